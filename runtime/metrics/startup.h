/* startup.h - where the time goes between the start of the process and the first step.
 *
 *     met_startup s = met_startup_begin(arena);
 *     ...; met_startup_mark(&s, "plan");
 *     ...; met_startup_mark(&s, "weights");
 *     met_startup_text(&s);                 "0.43 s (program 0.02, plan 0.05, weights 0.36)"
 */
#ifndef DFM_RUNTIME_METRICS_STARTUP_H
#define DFM_RUNTIME_METRICS_STARTUP_H

#include "runtime/base/arena.h"
#include "runtime/base/str.h"

typedef struct met_startup {
    double begin, last;                      /* since the process started, seconds */
    dfm_sb parts;
} met_startup;

/* Seconds since this process started, also if it has replaced itself by exec; the system counts
 * them in hundredths. 0 if it does not say. */
double met_since_start(void);
/* What has passed until now is "program": loading it and its libraries. */
met_startup met_startup_begin(dfm_arena *a);
/* The time since the mark before goes to `what`, a literal. */
void met_startup_mark(met_startup *s, const char *what);
/* Up to the last mark; in the arena. */
const char *met_startup_text(const met_startup *s, dfm_arena *a);

#endif

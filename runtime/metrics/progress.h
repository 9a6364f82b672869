/* progress.h - one line that says how a run is going.
 *
 *   step  120/1650   7%  loss 0.4123  lr 2.00e-03  grad 0.812  1,234 samples/s  ETA 2m10s
 *
 * On a terminal the line is redrawn in place, at most ten times a second. Elsewhere a plain line is
 * written at the first and the last step and every `every` seconds between. Colour only on a
 * terminal, and not with NO_COLOR or TERM=dumb.
 */
#ifndef DFM_RUNTIME_METRICS_PROGRESS_H
#define DFM_RUNTIME_METRICS_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

typedef struct met_progress {
    FILE *out;
    bool tty, color;
    double every;              /* seconds between plain lines */
    const char *unit;          /* "samples" */
    /* state */
    double first_time, shown_time, last_time, step_seconds;
    uint64_t first_step, last_step, n_updates;
    bool on_line;              /* the cursor stands behind an unfinished line */
} met_progress;

typedef struct met_step {
    uint64_t step, total;      /* steps done, steps wanted; total 0: unknown */
    double loss, lr, grad_norm;/* NaN: not shown */
    uint64_t samples_per_step;
} met_step;

/* What stream and environment allow; `now` in seconds of a monotonic clock, as below. */
met_progress met_progress_start(FILE *out, double now);
/* A step is done. `last` forces the line out. */
void met_progress_update(met_progress *p, const met_step *s, double now, bool last);
/* A line of its own, above the progress line. */
void met_progress_note(met_progress *p, const char *text);
/* End the line. */
void met_progress_end(met_progress *p);

/* "2m10s", "3h05m", "4d02h", "12s"; `out` has room for 32 characters. Returns out. */
char *met_duration(double seconds, char out[32]);
/* Seconds of the monotonic clock. */
double met_now(void);

#endif

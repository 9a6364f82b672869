/* status.h - failures of the world (files, memory, devices, peers), as values.
 *
 * A function that can fail for such a reason returns dfm_status and takes a dfm_err *. The text
 * of the failure and the chain of "while ..." lines live in the dfm_err, which is the caller's;
 * nothing is allocated on the error path. Libraries never print and never exit.
 */
#ifndef DFM_RUNTIME_BASE_STATUS_H
#define DFM_RUNTIME_BASE_STATUS_H

#include <stdbool.h>
#include <stdlib.h>

/* Values are the exit codes of dfm-rt (sysexits); see docs/cli.md. */
typedef enum dfm_status {
    DFM_OK = 0,
    DFM_USAGE = 64,            /* the command line is wrong */
    DFM_BAD_DATA = 65,         /* an input file is damaged, hostile or does not fit */
    DFM_UNAVAILABLE = 69,      /* something needed is not there: device, library, peer */
    DFM_INTERNAL = 70,         /* our own bug */
    DFM_NO_MEMORY = 71,        /* the system has no memory left */
    DFM_CANNOT_WRITE = 73,     /* disk full, no permission, I/O error */
    DFM_STOPPED = 75,          /* stopped by a signal, checkpoint saved: run again to go on */
    DFM_BAD_CONFIG = 78,       /* configuration file or override is wrong */
} dfm_status;

typedef struct dfm_err {
    dfm_status code;
    unsigned len;
    char text[2000];           /* what, then "  help: ..." and "  while ..." lines */
} dfm_err;

/* Record a failure and return its code. A first failure is kept: later calls are ignored until
 * dfm_err_clear. `err` may be NULL. */
dfm_status dfm_fail(dfm_err *err, dfm_status code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Add "  help: ..." (what to do). */
void dfm_help(dfm_err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Add "  while ..." (what was going on), innermost first. */
void dfm_while(dfm_err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));
void dfm_err_clear(dfm_err *err);

#define DFM_TRY(expr)                                                                           \
    do {                                                                                        \
        dfm_status try_status_ = (expr);                                                        \
        if (try_status_ != DFM_OK) return try_status_;                                          \
    } while (0)

/* Our own invariants: prints the place and aborts. On in release builds too. */
#define DFM_ASSERT(cond) ((cond) ? (void)0 : dfm_assert_failed(#cond, __FILE__, __LINE__))
_Noreturn void dfm_assert_failed(const char *what, const char *file, int line);

#endif

/* jsonl.h - log.jsonl: one JSON object per line, appended, and cut back when a run resumes.
 *
 *     met_log_begin(log);
 *     met_log_int(log, "step", 12);
 *     met_log_real(log, "loss", 0.25);
 *     DFM_TRY(met_log_end(log, err));         {"step":12,"loss":0.25}
 *
 * Each line is one write, so a crash leaves at most one torn line, at the end.
 */
#ifndef DFM_RUNTIME_METRICS_JSONL_H
#define DFM_RUNTIME_METRICS_JSONL_H

#include "runtime/base/arena.h"
#include "runtime/base/status.h"

typedef struct met_log met_log;

/* Open `path` for appending. With `resume`, lines whose "step" exceeds `step` and a torn last line
 * are removed first, by replacing the file as a whole; a missing file is a new one. Without it an
 * existing file is emptied. The log and its lines live in an arena of its own. */
dfm_status met_log_open(const char *path, bool resume, uint64_t step, met_log **out, dfm_err *err);
void met_log_begin(met_log *log);
void met_log_int(met_log *log, const char *name, int64_t x);
void met_log_real(met_log *log, const char *name, double x);    /* nan, inf: as text */
void met_log_text(met_log *log, const char *name, const char *x);
dfm_status met_log_end(met_log *log, dfm_err *err);
dfm_status met_log_sync(met_log *log, dfm_err *err);            /* the lines are on the disk */
void met_log_close(met_log *log);           /* NULL is allowed */

#endif

/* jsonl.c - append JSON lines; cut a log back to a step. */
#include "runtime/metrics/jsonl.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "runtime/base/file.h"
#include "runtime/base/str.h"

#define MAX_LOG ((size_t)1 << 33)

struct met_log {
    dfm_arena *arena, *line_arena;
    dfm_out file;
    dfm_sb line;
};

/* Does the line belong to a step after `step`? Lines that are not JSON objects are kept. */
static bool is_later(const char *line, size_t n, uint64_t step)
{
    json_t *root = json_loadb(line, n, 0, NULL);
    const json_t *at = json_object_get(root, "step");
    bool later = json_is_integer(at) && json_integer_value(at) > (json_int_t)step;
    json_decref(root);
    return later;
}

static dfm_status cut_back(const char *path, uint64_t step, dfm_err *err)
{
    if (!dfm_file_exists(path)) return DFM_OK;
    dfm_arena *a = dfm_arena_create("log");
    char *text;
    size_t n, out = 0;
    dfm_status s = dfm_file_read(a, path, MAX_LOG, &text, &n, err);
    for (size_t at = 0; s == DFM_OK && at < n;) {
        const char *end = memchr(text + at, '\n', n - at);
        size_t length = end ? (size_t)(end - text) - at + 1 : n - at;
        if (end && !is_later(text + at, length, step)) {
            memmove(text + out, text + at, length);
            out += length;
        }
        at += length;
    }
    if (s == DFM_OK && out != n) s = dfm_file_replace(path, text, out, err);
    dfm_arena_destroy(a);
    return s;
}

void met_log_close(met_log *log)
{
    if (!log) return;
    if (log->file.fd >= 0) (void)dfm_out_close(&log->file, NULL);   /* each line was checked */
    dfm_arena_destroy(log->line_arena);
    dfm_arena_destroy(log->arena);
}

dfm_status met_log_open(const char *path, bool resume, uint64_t step, met_log **out, dfm_err *err)
{
    if (resume) DFM_TRY(cut_back(path, step, err));
    dfm_arena *a = dfm_arena_create("log");
    met_log *log = dfm_new(a, met_log);
    *log = (met_log){.arena = a, .line_arena = dfm_arena_create("log line")};
    dfm_status s = dfm_out_open(dfm_strdup(a, path), resume ? DFM_OUT_APPEND : DFM_OUT_TRUNCATE,
                                &log->file, err);
    if (s == DFM_OK) s = dfm_sync_parent(path, err);
    if (s != DFM_OK) {
        met_log_close(log);
        log = NULL;
    }
    *out = log;
    return s;
}

void met_log_begin(met_log *log)
{
    dfm_arena_reset(log->line_arena);
    log->line = dfm_sb_make(log->line_arena);
    dfm_sb_puts(&log->line, "{");
}

static void add_name(met_log *log, const char *name)
{
    if (log->line.n > 1) dfm_sb_puts(&log->line, ",");
    dfm_sb_json(&log->line, name);
    dfm_sb_puts(&log->line, ":");
}

void met_log_int(met_log *log, const char *name, int64_t x)
{
    add_name(log, name);
    dfm_sb_printf(&log->line, "%" PRId64, x);
}

void met_log_real(met_log *log, const char *name, double x)
{
    add_name(log, name);
    if (!isfinite(x)) dfm_sb_puts(&log->line, "\"");
    dfm_sb_double(&log->line, x);
    if (!isfinite(x)) dfm_sb_puts(&log->line, "\"");
}

void met_log_text(met_log *log, const char *name, const char *x)
{
    add_name(log, name);
    dfm_sb_json(&log->line, x);
}

dfm_status met_log_end(met_log *log, dfm_err *err)
{
    dfm_sb_puts(&log->line, "}\n");
    return dfm_out_write(&log->file, log->line.p, log->line.n, err);
}

dfm_status met_log_sync(met_log *log, dfm_err *err) { return dfm_out_sync(&log->file, err); }

/* diag.c - source files, spans, and the list of reports. Printing is in diag_print.c. */
#include "compiler/diag.h"
#include "compiler/diag_impl.h"

#include <string.h>

diag_ctx *diag_create(dfm_arena *arena)
{
    diag_ctx *cx = dfm_new(arena, diag_ctx);
    cx->arena = arena;
    dfm_push(arena, &cx->files, ((diag_file){.path = "", .text = ""}));
    dfm_push(arena, &cx->spans, (diag_span){0});
    return cx;
}

/* -- source files ---------------------------------------------------------------------------- */

diag_src diag_add_file(diag_ctx *cx, const char *path, const char *text, uint32_t n)
{
    DFM_ASSERT(n <= DIAG_MAX_FILE_BYTES);
    diag_src src = {cx->files.n};
    dfm_push(cx->arena, &cx->files, ((diag_file){.path = path, .text = text, .n = n}));
    return src;
}

dfm_status diag_load_file(diag_ctx *cx, const char *path, diag_src *out_src, dfm_err *err)
{
    char *text = NULL;
    size_t n = 0;
    *out_src = (diag_src){0};
    DFM_TRY(dfm_file_read(cx->arena, path, DIAG_MAX_FILE_BYTES, &text, &n, err));
    *out_src = diag_add_file(cx, dfm_strdup(cx->arena, path), text, (uint32_t)n);
    return DFM_OK;
}

static const diag_file *file_of(const diag_ctx *cx, diag_src src)
{
    DFM_ASSERT(src.i < cx->files.n);
    return &cx->files.p[src.i];
}

const char *diag_src_path(const diag_ctx *cx, diag_src src) { return file_of(cx, src)->path; }

const char *diag_src_text(const diag_ctx *cx, diag_src src, uint32_t *out_n)
{
    const diag_file *f = file_of(cx, src);
    if (out_n) *out_n = f->n;
    return f->text;
}

/* -- spans ----------------------------------------------------------------------------------- */

dfm_loc diag_span_make(diag_ctx *cx, diag_src src, uint32_t begin, uint32_t end)
{
    const diag_file *f = file_of(cx, src);
    if (src.i == 0) return (dfm_loc){0};
    if (end > f->n) end = f->n;
    if (begin > end) begin = end;
    /* Nodes are made bottom up, so equal spans come in a row. */
    const diag_span *last = &cx->spans.p[cx->spans.n - 1];
    if (last->src.i == src.i && last->begin == begin && last->end == end)
        return (dfm_loc){cx->spans.n - 1};
    dfm_push(cx->arena, &cx->spans, ((diag_span){src, begin, end}));
    return (dfm_loc){cx->spans.n - 1};
}

diag_span diag_get_span(const diag_ctx *cx, dfm_loc loc)
{
    DFM_ASSERT(loc.i < cx->spans.n);
    return cx->spans.p[loc.i];
}

dfm_loc diag_merge(diag_ctx *cx, dfm_loc a, dfm_loc b)
{
    if (a.i == 0) return b;
    if (b.i == 0) return a;
    diag_span x = diag_get_span(cx, a), y = diag_get_span(cx, b);
    if (x.src.i != y.src.i) return a;
    return diag_span_make(cx, x.src, x.begin < y.begin ? x.begin : y.begin,
                          x.end > y.end ? x.end : y.end);
}

/* The table of line starts of a file, made on first use. */
static const diag_file *lines_of(const diag_ctx *cx, diag_src src)
{
    diag_file *f = &((diag_ctx *)cx)->files.p[src.i];
    if (f->lines.n) return f;
    dfm_push(cx->arena, &f->lines, 0);
    for (uint32_t i = 0; i < f->n; i++)
        if (f->text[i] == '\n') dfm_push(cx->arena, &f->lines, i + 1);
    return f;
}

uint32_t diag_line_at(const diag_ctx *cx, diag_src src, uint32_t offset)
{
    const diag_file *f = lines_of(cx, src);
    uint32_t lo = 0, hi = f->lines.n;
    while (hi - lo > 1) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (f->lines.p[mid] <= offset) lo = mid;
        else hi = mid;
    }
    return lo + 1;
}

void diag_line_bounds(const diag_ctx *cx, diag_src src, uint32_t line, uint32_t *out_begin,
                      uint32_t *out_end)
{
    const diag_file *f = lines_of(cx, src);
    DFM_ASSERT(line >= 1 && line <= f->lines.n);
    *out_begin = f->lines.p[line - 1];
    *out_end = line < f->lines.n ? f->lines.p[line] - 1 : f->n;
    if (*out_end > *out_begin && f->text[*out_end - 1] == '\r') --*out_end;
}

uint32_t diag_columns(const char *p, uint32_t n)
{
    uint32_t cols = 0;
    for (uint32_t i = 0; i < n; i++) cols += ((unsigned char)p[i] & 0xC0) != 0x80;
    return cols;
}

bool diag_line_col(const diag_ctx *cx, dfm_loc loc, uint32_t *out_line, uint32_t *out_col)
{
    diag_span s = diag_get_span(cx, loc);
    *out_line = *out_col = 0;
    if (s.src.i == 0) return false;
    uint32_t begin, end;
    *out_line = diag_line_at(cx, s.src, s.begin);
    diag_line_bounds(cx, s.src, *out_line, &begin, &end);
    *out_col = 1 + diag_columns(file_of(cx, s.src)->text + begin, s.begin - begin);
    return true;
}

const char *diag_place(const diag_ctx *cx, dfm_arena *a, dfm_loc loc)
{
    uint32_t line, col;
    if (!diag_line_col(cx, loc, &line, &col)) return "";
    return dfm_fmt(a, "%s:%u:%u", diag_src_path(cx, diag_get_span(cx, loc).src), line, col);
}

const char *diag_source(const diag_ctx *cx, dfm_arena *a, dfm_loc loc)
{
    diag_span s = diag_get_span(cx, loc);
    if (s.src.i == 0) return "";
    return dfm_strndup(a, file_of(cx, s.src)->text + s.begin, s.end - s.begin);
}

/* -- reports --------------------------------------------------------------------------------- */

static diag *report(diag_ctx *cx, diag_severity sev, diag_code code, dfm_loc loc,
                    const char *format, va_list ap)
{
    DFM_ASSERT(code < DIAG_N_CODES && loc.i < cx->spans.n);
    const char *text = dfm_vfmt(cx->arena, format, ap);
    diag_span s = diag_get_span(cx, loc);
    for (uint32_t i = 0; i < cx->diags.n; i++) {
        const diag *d = cx->diags.p[i];
        diag_span t = diag_get_span(cx, d->loc);
        if (d->code == code && t.src.i == s.src.i && t.begin == s.begin && t.end == s.end &&
            strcmp(d->message, text) == 0)
            return NULL;
    }
    if (sev == DIAG_ERROR ? cx->n_errors++ >= DIAG_MAX_ERRORS
                          : cx->n_warnings++ >= DIAG_MAX_WARNINGS)
        return NULL;
    diag *d = dfm_new(cx->arena, diag);
    *d = (diag){.cx = cx, .severity = sev, .code = code, .loc = loc, .message = text};
    dfm_push(cx->arena, &cx->diags, d);
    return d;
}

diag *diag_error(diag_ctx *cx, diag_code code, dfm_loc loc, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    diag *d = report(cx, DIAG_ERROR, code, loc, format, ap);
    va_end(ap);
    return d;
}

diag *diag_warning(diag_ctx *cx, diag_code code, dfm_loc loc, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    diag *d = report(cx, DIAG_WARNING, code, loc, format, ap);
    va_end(ap);
    return d;
}

diag *diag_label(diag *d, dfm_loc loc, const char *format, ...)
{
    if (!d || loc.i == 0) return d;
    va_list ap;
    va_start(ap, format);
    diag_mark m = {loc, dfm_vfmt(d->cx->arena, format, ap)};
    dfm_push(d->cx->arena, &d->labels, m);
    va_end(ap);
    return d;
}

diag *diag_note(diag *d, const char *format, ...)
{
    if (!d) return d;
    va_list ap;
    va_start(ap, format);
    dfm_push(d->cx->arena, &d->tail, ((diag_line){false, dfm_vfmt(d->cx->arena, format, ap)}));
    va_end(ap);
    return d;
}

diag *diag_help(diag *d, const char *format, ...)
{
    if (!d) return d;
    va_list ap;
    va_start(ap, format);
    dfm_push(d->cx->arena, &d->tail, ((diag_line){true, dfm_vfmt(d->cx->arena, format, ap)}));
    va_end(ap);
    return d;
}

uint32_t diag_n_errors(const diag_ctx *cx) { return cx->n_errors; }
uint32_t diag_n_warnings(const diag_ctx *cx) { return cx->n_warnings; }
bool diag_full(const diag_ctx *cx) { return cx->n_errors >= DIAG_MAX_ERRORS; }
uint32_t diag_count(const diag_ctx *cx) { return cx->diags.n; }

static bool comes_before(const diag_ctx *cx, const diag *x, const diag *y)
{
    diag_span a = diag_get_span(cx, x->loc), b = diag_get_span(cx, y->loc);
    return a.src.i != b.src.i ? a.src.i < b.src.i : a.begin < b.begin;
}

void diag_sort_from(diag_ctx *cx, uint32_t n)
{
    diag **p = cx->diags.p;     /* few: insertion sort, which is stable */
    for (uint32_t i = n + 1; i < cx->diags.n; i++)
        for (uint32_t k = i; k > n && comes_before(cx, p[k], p[k - 1]); k--) {
            diag *t = p[k];
            p[k] = p[k - 1];
            p[k - 1] = t;
        }
}

diag_code diag_code_at(const diag_ctx *cx, uint32_t n)
{
    DFM_ASSERT(n < cx->diags.n);
    return cx->diags.p[n]->code;
}

const char *diag_message_at(const diag_ctx *cx, uint32_t n)
{
    DFM_ASSERT(n < cx->diags.n);
    return cx->diags.p[n]->message;
}

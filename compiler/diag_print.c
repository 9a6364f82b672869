/* diag_print.c - reports as text with carets, as one line each, as JSON; the table of codes.
 *
 * One source line is shown per line that has a mark, in order, primary file first. Under it the
 * marks are drawn: `^` for the report's own place, `-` for labels. The text of the rightmost
 * mark stands beside it, those of the others hang below:
 *
 *     57 |   return x + g2 * f
 *        |          ^   ------ f32[B, S, F]
 *        |          |
 *        |          bf16[B, S, D]
 *
 * Text that comes from files is cleaned on the way out (no control characters, valid UTF-8), and
 * very long lines are shown in part.
 */
#include "compiler/diag_impl.h"
#include "runtime/base/str.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

enum { VIEW_COLUMNS = 160, VIEW_BEFORE = 60 };    /* the part of a long line that is shown */

/* -- text, cleaned --------------------------------------------------------------------------- */

/* Decode one code point of p[0..n), n > 0; -1 if it is not UTF-8. *len is what to skip. */
static int32_t decode(const char *text, uint32_t n, uint32_t *len)
{
    const unsigned char *p = (const unsigned char *)text;
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    *len = 1;
    if (p[0] < 0x80) return p[0];
    uint32_t k = p[0] >= 0xF0 ? 4 : p[0] >= 0xE0 ? 3 : 2;
    if (p[0] < 0xC2 || p[0] > 0xF4 || k > n) return -1;
    uint32_t cp = p[0] & (0xFFu >> (k + 1));
    for (uint32_t i = 1; i < k; i++) {
        if ((p[i] & 0xC0) != 0x80) return -1;
        cp = cp << 6 | (p[i] & 0x3F);
    }
    if (cp < least[k] || cp > 0x10FFFF || (cp >= 0xD800 && cp < 0xE000)) return -1;
    *len = k;
    return (int32_t)cp;
}

/* Marks that turn the direction of text around. */
static bool turns_text(uint32_t cp)
{
    return (cp >= 0x202A && cp <= 0x202E) || (cp >= 0x2066 && cp <= 0x2069);
}

/* Add n bytes; every code point and every byte that is none takes one column. */
static void put_clean(dfm_sb *sb, const char *p, uint32_t n)
{
    for (uint32_t i = 0, len; i < n; i += len) {
        int32_t cp = decode(p + i, n - i, &len);
        if (cp == '\t') dfm_sb_puts(sb, " ");
        else if (cp >= 0x20 && cp != 0x7F && !(cp >= 0x80 && cp < 0xA0) && !turns_text(cp))
            dfm_sb_add(sb, p + i, len);
        else if (((unsigned char)p[i] & 0xC0) != 0x80) dfm_sb_puts(sb, "\xEF\xBF\xBD");
    }
}

static void put_text(dfm_sb *sb, const char *s) { put_clean(sb, s, (uint32_t)strlen(s)); }

/* Offset of the byte at which column `col` (from 0) starts. */
static uint32_t byte_of_column(const char *p, uint32_t n, uint32_t col)
{
    uint32_t i = 0;
    while (i < n && (col > 0 || ((unsigned char)p[i] & 0xC0) == 0x80)) {
        i++;
        while (i < n && ((unsigned char)p[i] & 0xC0) == 0x80) i++;
        if (col > 0) col--;
    }
    return i;
}

/* -- the snippet ----------------------------------------------------------------------------- */

typedef struct mark {              /* one underlined piece of one line */
    diag_src src;
    uint32_t line, col, width;     /* col from 0 */
    const char *text;
    bool primary;
} mark;

typedef struct printer {
    const diag_ctx *cx;
    dfm_sb *sb;
    bool colour;
    int gutter;                    /* digits of the largest line number */
} printer;

static const char *const bold = "\033[1m", *const red = "\033[1;31m", *const blue = "\033[1;34m",
                         *const yellow = "\033[1;33m", *const plain = "\033[0m";

static void style(printer *p, const char *code)
{
    if (p->colour) dfm_sb_puts(p->sb, code);
}

static mark mark_of(const diag_ctx *cx, dfm_loc loc, const char *text, bool primary)
{
    diag_span s = diag_get_span(cx, loc);
    const char *p = diag_src_text(cx, s.src, NULL);
    mark m = {.src = s.src, .text = text, .primary = primary};
    uint32_t begin, end;
    m.line = diag_line_at(cx, s.src, s.begin);
    diag_line_bounds(cx, s.src, m.line, &begin, &end);
    m.col = diag_columns(p + begin, s.begin - begin);
    uint32_t stop = s.end < end ? s.end : end;      /* spans over lines end with the first */
    m.width = stop > s.begin ? diag_columns(p + s.begin, stop - s.begin) : 1;
    return m;
}

static bool same_place(const diag_ctx *cx, dfm_loc x, dfm_loc y)
{
    diag_span a = diag_get_span(cx, x), b = diag_get_span(cx, y);
    return a.src.i == b.src.i && a.begin == b.begin && a.end == b.end;
}

static bool mark_before(const mark *x, const mark *y, diag_src first)
{
    if (x->src.i != y->src.i)
        return x->src.i == first.i || (y->src.i != first.i && x->src.i < y->src.i);
    if (x->line != y->line) return x->line < y->line;
    return x->col < y->col;
}

/* All marks of a report, sorted for display. */
static mark *collect(const diag *d, dfm_arena *a, uint32_t *out_n)
{
    mark *m = dfm_new_n(a, mark, d->labels.n + 1);
    uint32_t n = 0;
    m[n++] = mark_of(d->cx, d->loc, "", true);
    for (uint32_t i = 0; i < d->labels.n; i++) {
        const diag_mark *l = &d->labels.p[i];
        if (same_place(d->cx, l->loc, d->loc) && !*m[0].text) m[0].text = l->text;
        else m[n++] = mark_of(d->cx, l->loc, l->text, false);
    }
    diag_src first = m[0].src;
    for (uint32_t i = 1; i < n; i++)
        for (uint32_t k = i; k > 0 && mark_before(&m[k], &m[k - 1], first); k--) {
            mark t = m[k];
            m[k] = m[k - 1];
            m[k - 1] = t;
        }
    *out_n = n;
    return m;
}

static void put_gutter(printer *p, uint32_t line)
{
    style(p, blue);
    if (line) dfm_sb_printf(p->sb, "%*u |", p->gutter, line);
    else dfm_sb_printf(p->sb, "%*s |", p->gutter, "");
    style(p, plain);
}

static void put_spaces(dfm_sb *sb, uint32_t n)
{
    while (n--) dfm_sb_add(sb, " ", 1);
}

/* The row of `^` and `-`, with the text of the last mark beside it if `beside`. */
static void put_underlines(printer *p, const mark *m, uint32_t n, uint32_t columns, bool beside)
{
    char row[VIEW_COLUMNS + 8];
    memset(row, ' ', sizeof row);
    for (int pass = 0; pass < 2; pass++)       /* primary ones last: they win */
        for (uint32_t i = 0; i < n; i++)
            if (m[i].primary == (pass == 1))
                memset(row + m[i].col, pass ? '^' : '-', m[i].width);
    put_gutter(p, 0);
    put_spaces(p->sb, 1);
    for (uint32_t i = 0; i < columns;) {
        uint32_t k = i;
        while (k < columns && row[k] == row[i]) k++;
        if (row[i] != ' ') style(p, row[i] == '^' ? red : blue);
        dfm_sb_add(p->sb, row + i, k - i);
        if (row[i] != ' ') style(p, plain);
        i = k;
    }
    if (beside) {
        put_spaces(p->sb, 1);
        put_text(p->sb, m[n - 1].text);
    }
    dfm_sb_puts(p->sb, "\n");
}

/* Texts that hang below their marks, the rightmost first, with a `|` for those still to come. */
static void put_hanging(printer *p, const mark *m, uint32_t n)
{
    bool lead = true;
    for (uint32_t i = n; i-- > 0;) {
        if (!*m[i].text) continue;
        for (int row = lead ? 0 : 1; row < 2; row++) {
            uint32_t col = 0;
            put_gutter(p, 0);
            put_spaces(p->sb, 1);
            for (uint32_t k = 0; k < i + (row == 0); k++) {
                if (!*m[k].text || m[k].col < col || (row == 1 && m[k].col >= m[i].col)) continue;
                put_spaces(p->sb, m[k].col - col);
                style(p, m[k].primary ? red : blue);
                dfm_sb_puts(p->sb, "|");
                style(p, plain);
                col = m[k].col + 1;
            }
            if (row == 1) {
                put_spaces(p->sb, m[i].col - col);
                put_text(p->sb, m[i].text);
            }
            dfm_sb_puts(p->sb, "\n");
        }
        lead = false;
    }
}

/* One source line with its n marks. */
static void put_line(printer *p, mark *m, uint32_t n)
{
    const char *text = diag_src_text(p->cx, m->src, NULL);
    uint32_t begin, end;
    diag_line_bounds(p->cx, m->src, m->line, &begin, &end);
    text += begin;
    uint32_t bytes = end - begin, all = diag_columns(text, bytes), shift = 0;
    if (all > VIEW_COLUMNS && m[0].col > VIEW_BEFORE) shift = m[0].col - VIEW_BEFORE;
    uint32_t from = shift ? shift + 3 : 0, to = shift + VIEW_COLUMNS;
    uint32_t b = byte_of_column(text, bytes, from);
    uint32_t e = to < all ? byte_of_column(text, bytes, to) : bytes;
    put_gutter(p, m->line);
    if (bytes > 0) put_spaces(p->sb, 1);
    if (shift) dfm_sb_puts(p->sb, "...");
    put_clean(p->sb, text + b, e - b);
    if (to < all) dfm_sb_puts(p->sb, "...");
    dfm_sb_puts(p->sb, "\n");

    uint32_t columns = 0, last = n - 1;
    for (uint32_t i = 0; i < n; i++) {
        m[i].col = m[i].col - shift < VIEW_COLUMNS ? m[i].col - shift : VIEW_COLUMNS;
        if (m[i].col + m[i].width > VIEW_COLUMNS + 1) m[i].width = VIEW_COLUMNS + 1 - m[i].col;
        if (m[i].col + m[i].width > columns) columns = m[i].col + m[i].width;
    }
    bool beside = *m[last].text && m[last].col + m[last].width == columns;
    for (uint32_t i = 0; i < last; i++)        /* nothing may lie under the text beside */
        if (m[i].col + m[i].width > m[last].col && *m[i].text && m[i].col == m[last].col)
            beside = false;
    put_underlines(p, m, n, columns, beside);
    put_hanging(p, m, beside ? n - 1 : n);
}

static void put_snippet(printer *p, const diag *d)
{
    uint32_t n, largest = 0, line, col;
    mark *m = collect(d, p->sb->arena, &n);
    for (uint32_t i = 0; i < n; i++)
        if (m[i].line > largest) largest = m[i].line;
    p->gutter = snprintf(NULL, 0, "%u", largest);
    diag_line_col(p->cx, d->loc, &line, &col);
    for (uint32_t i = 0, k; i < n; i = k) {
        for (k = i + 1; k < n && m[k].src.i == m[i].src.i && m[k].line == m[i].line;) k++;
        bool new_file = i == 0 || m[i - 1].src.i != m[i].src.i;
        if (new_file) {
            style(p, blue);
            dfm_sb_printf(p->sb, "%*s%s ", p->gutter, "", i == 0 ? "-->" : ":::");
            style(p, plain);
            put_text(p->sb, diag_src_path(p->cx, m[i].src));
            dfm_sb_printf(p->sb, ":%u:%u\n", i ? m[i].line : line, i ? m[i].col + 1 : col);
            put_gutter(p, 0);
            dfm_sb_puts(p->sb, "\n");
        } else if (m[i].line > m[i - 1].line + 1) {
            dfm_sb_puts(p->sb, "...\n");
        }
        put_line(p, m + i, k - i);
    }
}

/* -- formats --------------------------------------------------------------------------------- */

const char *diag_severity_name(const diag *d)
{
    return d->severity == DIAG_ERROR ? "error" : "warning";
}

static void put_report(printer *p, const diag *d)
{
    style(p, d->severity == DIAG_ERROR ? red : yellow);
    dfm_sb_puts(p->sb, diag_severity_name(d));
    if (d->code) dfm_sb_printf(p->sb, "[%s]", diag_code_name(d->code));
    style(p, plain);
    style(p, bold);
    dfm_sb_puts(p->sb, ": ");
    put_text(p->sb, d->message);
    style(p, plain);
    dfm_sb_puts(p->sb, "\n");
    p->gutter = 1;
    if (d->loc.i) put_snippet(p, d);
    for (uint32_t i = 0; i < d->tail.n; i++) {
        style(p, blue);
        dfm_sb_printf(p->sb, "%*s = ", p->gutter, "");
        style(p, bold);
        dfm_sb_puts(p->sb, d->tail.p[i].help ? "help: " : "note: ");
        style(p, plain);
        for (const char *s = d->tail.p[i].text; *s;) {     /* further lines are indented */
            uint32_t k = (uint32_t)strcspn(s, "\n");
            put_clean(p->sb, s, k);
            s += k;
            if (*s != '\n') continue;
            dfm_sb_printf(p->sb, "\n%*s         ", p->gutter, "");
            s++;
        }
        dfm_sb_puts(p->sb, "\n");
    }
}

static void print_text(const diag_ctx *cx, dfm_sb *sb, bool colour)
{
    printer p = {.cx = cx, .sb = sb, .colour = colour};
    diag_code explain = DIAG_NONE;
    for (uint32_t i = 0; i < cx->diags.n; i++) {
        if (i) dfm_sb_puts(sb, "\n");
        put_report(&p, cx->diags.p[i]);
        if (!explain) explain = cx->diags.p[i]->code;
    }
    if (cx->n_errors >= DIAG_MAX_ERRORS)
        dfm_sb_printf(sb, "\n%d errors: no more are looked for\n", DIAG_MAX_ERRORS);
    else if (cx->n_errors > 1)
        dfm_sb_printf(sb, "\n%u errors\n", cx->n_errors);
    if (explain)
        dfm_sb_printf(sb, "run `dfmc explain %s` for rules and examples\n",
                      diag_code_name(explain));
}

static void print_short(const diag *d, dfm_sb *sb)
{
    uint32_t line, col;
    if (diag_line_col(d->cx, d->loc, &line, &col)) {
        put_text(sb, diag_src_path(d->cx, diag_get_span(d->cx, d->loc).src));
        dfm_sb_printf(sb, ":%u:%u: ", line, col);
    }
    dfm_sb_puts(sb, diag_severity_name(d));
    if (d->code) dfm_sb_printf(sb, "[%s]", diag_code_name(d->code));
    dfm_sb_puts(sb, ": ");
    put_text(sb, d->message);
    dfm_sb_puts(sb, "\n");
}

void diag_put_json(dfm_sb *sb, const char *s)
{
    uint32_t n = (uint32_t)strlen(s);
    dfm_sb_puts(sb, "\"");
    for (uint32_t i = 0, len; i < n; i += len) {
        int32_t cp = decode(s + i, n - i, &len);
        if (cp < 0) dfm_sb_puts(sb, "\\ufffd");
        else if (cp == '"' || cp == '\\') dfm_sb_printf(sb, "\\%c", cp);
        else if (cp == '\n') dfm_sb_puts(sb, "\\n");
        else if (cp < 0x20 || cp == 0x7F) dfm_sb_printf(sb, "\\u%04x", (unsigned)cp);
        else dfm_sb_add(sb, s + i, len);
    }
    dfm_sb_puts(sb, "\"");
}

diag_region diag_region_of(const diag_ctx *cx, dfm_loc loc)
{
    diag_span s = diag_get_span(cx, loc);
    diag_region r = {0};
    uint32_t begin, end;
    if (!diag_line_col(cx, loc, &r.line, &r.col)) return r;
    r.end_line = diag_line_at(cx, s.src, s.end);
    diag_line_bounds(cx, s.src, r.end_line, &begin, &end);
    r.end_col = 1 + diag_columns(diag_src_text(cx, s.src, NULL) + begin, s.end - begin);
    return r;
}

/* "file": ..., "line": ... of a place, ready to stand inside an object. */
static void json_place(const diag_ctx *cx, dfm_sb *sb, dfm_loc loc)
{
    diag_region r = diag_region_of(cx, loc);
    dfm_sb_puts(sb, "\"file\": ");
    diag_put_json(sb, diag_src_path(cx, diag_get_span(cx, loc).src));
    dfm_sb_printf(sb, ", \"line\": %u, \"column\": %u, \"end_line\": %u, \"end_column\": %u",
                  r.line, r.col, r.end_line, r.end_col);
}

static void print_json(const diag *d, dfm_sb *sb)
{
    dfm_sb_printf(sb, "{\"severity\": \"%s\", \"code\": \"%s\", \"message\": ",
                  diag_severity_name(d), diag_code_name(d->code));
    diag_put_json(sb, d->message);
    if (d->loc.i) {
        dfm_sb_puts(sb, ", ");
        json_place(d->cx, sb, d->loc);
    }
    dfm_sb_puts(sb, ", \"labels\": [");
    for (uint32_t i = 0; i < d->labels.n; i++) {
        dfm_sb_puts(sb, i ? ", {" : "{");
        json_place(d->cx, sb, d->labels.p[i].loc);
        dfm_sb_puts(sb, ", \"text\": ");
        diag_put_json(sb, d->labels.p[i].text);
        dfm_sb_puts(sb, "}");
    }
    for (int help = 0; help < 2; help++) {
        dfm_sb_printf(sb, "], \"%s\": [", help ? "help" : "notes");
        for (uint32_t i = 0, n = 0; i < d->tail.n; i++) {
            if (d->tail.p[i].help != (help == 1)) continue;
            if (n++) dfm_sb_puts(sb, ", ");
            diag_put_json(sb, d->tail.p[i].text);
        }
    }
    dfm_sb_puts(sb, "]}\n");
}

void diag_print(const diag_ctx *cx, FILE *out, diag_format format, bool colour)
{
    dfm_arena *a = dfm_arena_create("diag_print");
    dfm_sb sb = dfm_sb_make(a);
    if (format == DIAG_TEXT) print_text(cx, &sb, colour);
    else if (format == DIAG_SARIF) diag_put_sarif(cx, &sb);
    else
        for (uint32_t i = 0; i < cx->diags.n; i++)
            (format == DIAG_JSON ? print_json : print_short)(cx->diags.p[i], &sb);
    fwrite(dfm_sb_cstr(&sb), 1, sb.n, out);
    dfm_arena_destroy(a);
}

/* -- the table of codes ---------------------------------------------------------------------- */

static const struct {
    const char *name, *title, *explanation;
} table[DIAG_N_CODES] = {
    {"", "", ""},
#define DIAG(code, title, explanation) {#code, title, explanation},
#include "compiler/diag.def"
#undef DIAG
};

static const struct {
    const char *prefix, *title;
} groups[] = {
    {"E01", "lexing"},          {"E02", "syntax"},
    {"E03", "dims and types"},  {"E04", "names and parameters"},
    {"E05", "index ops"},       {"E06", "precision and gradients"},
    {"E07", "layout and memory"}, {"E08", "weights"},
    {"E09", "plan"},
};

const char *diag_code_name(diag_code code) { return table[code].name; }
const char *diag_code_title(diag_code code) { return table[code].title; }
const char *diag_code_explanation(diag_code code) { return table[code].explanation; }

diag_code diag_code_find(const char *name)
{
    for (int c = DIAG_NONE + 1; c < DIAG_N_CODES; c++)
        if (strcasecmp(table[c].name, name) == 0) return (diag_code)c;
    return DIAG_NONE;
}

void diag_explain(diag_code code, FILE *out)
{
    fprintf(out, "%s: %s\n\n%s", table[code].name, table[code].title, table[code].explanation);
}

void diag_write_markdown(FILE *out)
{
    fprintf(out, "# Errors\n\n"
                 "Generated from `compiler/diag.def`; `dfmc explain CODE` prints one entry. "
                 "Codes are never used again\nfor something else.\n");
    for (size_t g = 0; g < DFM_LEN(groups); g++) {
        fprintf(out, "\n## %sxx: %s\n", groups[g].prefix, groups[g].title);
        bool any = false;
        for (int c = DIAG_NONE + 1; c < DIAG_N_CODES; c++) {
            if (!dfm_starts_with(table[c].name, groups[g].prefix)) continue;
            fprintf(out, "\n### %s: %s\n\n%s", table[c].name, table[c].title,
                    table[c].explanation);
            any = true;
        }
        if (!any) fprintf(out, "\nNone yet.\n");
    }
}

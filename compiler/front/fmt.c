/* fmt.c - the canonical form of a source file (dfmc fmt).
 *
 * Works on tokens, so that nothing can be lost. The author's line breaks are kept where they
 * matter: a statement that was broken inside brackets stays broken there, a body written on one
 * line stays on one line, single blank lines stay. All the rest is fixed: blanks between tokens,
 * 2 columns of indentation per body, continuation lines under the innermost open bracket, the `=`
 * of neighbouring assignments and the comments behind code aligned, and lines of more than 100
 * columns broken behind commas.
 *
 * Steps: cut_rows() cuts the tokens into rows (one per output line), layout_row() writes each row
 * and breaks long ones, then `=` and comments are aligned. Formatting is idempotent: rows that
 * layout_row() makes are read back as rows that it leaves alone.
 */
#include <string.h>

#include "compiler/front/ast_parse.h"
#include "dfm.tab.h"

enum { COLUMNS = 100, INDENT = 2, HANG = 4, MAX_HANG = 60, MAX_SHIFT = 4 };

typedef struct row {               /* tokens [first, first + n) on one line, then a comment */
    uint32_t first, n;
    uint32_t comment;              /* 1 + index; 0 = none */
    bool blank_before;
} row;

typedef struct line {              /* finished: code (may be empty) and comment (may be NULL) */
    const char *code, *comment;
    uint32_t equals;               /* bytes before the `=` to align */
    int kind;                      /* first token of an assignment that may be aligned; 0 = not */
    bool blank_before;
} line;

typedef struct fmt {
    dfm_arena *a;
    const char *text;
    const ast_tokens *in;
    ast_token *t;                  /* tokens that are printed: no supplied ones */
    uint32_t n;
    bool *broken;                  /* per `{` and `}`: the body spans lines */
    bool *tight;                   /* per `=`: it has no blanks around it */
    DFM_VEC(row) rows;
    DFM_VEC(line) lines;
    struct { char c; uint32_t col; bool broken; } open[AST_MAX_BRACKETS + 1];
    uint32_t n_open;
    bool after_open;               /* the last row ended with `{` */
} fmt;

/* -- blanks between tokens ------------------------------------------------------------------- */

static bool is_unary_minus(const fmt *f, uint32_t i)
{
    return f->t[i].kind == '-' && (i == 0 || !ast_ends_statement(f->t[i - 1].kind));
}

/* A blank between tokens i - 1 and i, when they stand on one line. */
static bool blank_between(const fmt *f, uint32_t i)
{
    int p = f->t[i - 1].kind, q = f->t[i].kind;
    if (p == '(' || p == '[' || p == '.' || p == TOK_DOTDOT) return false;
    if (q == ')' || q == ']' || q == ',' || q == ';' || q == '.' || q == ':' || q == TOK_DOTDOT)
        return false;
    if (is_unary_minus(f, i - 1) || f->tight[i - 1] || f->tight[i]) return false;
    if (q == '(' || q == '[') return !ast_ends_statement(p);
    return true;
}

/* -- rows ------------------------------------------------------------------------------------ */

/* Copy the tokens that are printed: supplied ones and empty statements are left out, and so is a
 * `;` where a line end or a `}` says the same. Comments find their tokens by offset. */
static void pick_tokens(fmt *f)
{
    f->t = dfm_new_n(f->a, ast_token, f->in->n);
    uint16_t carry = 0;            /* flags of tokens left out: the next one starts their line */
    for (uint32_t i = 0; i + 1 < f->in->n; i++) {
        const ast_token *t = &f->in->t[i];
        int last = f->n ? f->t[f->n - 1].kind : ';';
        bool drop = t->flags & AST_TOK_INSERTED;
        if (t->kind == ';' && !drop) {
            const ast_token *next = t + 1;
            unsigned lines = carry | t->flags | next->flags;
            while (next->kind == ';') lines |= (++next)->flags;
            drop = last == ';' || last == '{' || next->kind == '}' || next->kind == 0 ||
                   /* the automatic one does it, unless the next line would go on */
                   (lines & AST_TOK_FIRST && ast_ends_statement(last) && !ast_goes_on(next->kind));
        }
        if (drop) {
            carry |= t->flags & (AST_TOK_FIRST | AST_TOK_BLANK_BEFORE);
            continue;
        }
        f->t[f->n] = *t;
        f->t[f->n++].flags |= carry;
        carry = 0;
    }
}

/* A body is broken over lines if anything in it starts a line. */
static void mark_bodies(fmt *f)
{
    uint32_t stack[AST_MAX_BRACKETS + 1], n = 0;
    f->broken = dfm_new_n(f->a, bool, f->n + 1);
    uint32_t c = 0;
    for (uint32_t i = 0; i < f->n; i++) {
        bool comment = false;
        for (; c < f->in->n_comments && f->in->comments[c].begin < f->t[i].begin; c++)
            comment = true;
        if (comment || f->t[i].flags & AST_TOK_FIRST)
            for (uint32_t k = 0; k < n; k++) f->broken[stack[k]] = true;
        if (f->t[i].kind == '{') stack[n++] = i;
        if (f->t[i].kind == '}') f->broken[i] = f->broken[stack[--n]];
    }
}

/* `=` is tight in `f(k=v)` and in `mesh dp=2`. */
static void mark_equals(fmt *f)
{
    char open[AST_MAX_BRACKETS + 1] = {'{'};
    uint32_t n = 1;
    bool mesh = false;
    f->tight = dfm_new_n(f->a, bool, f->n + 1);
    for (uint32_t i = 0; i < f->n; i++) {
        int k = f->t[i].kind;
        if (k == TOK_MESH) mesh = true;
        if (k == ';' || k == '{' || k == '}' || (f->t[i].flags & AST_TOK_FIRST && k != TOK_MESH))
            mesh = mesh && i > 0 && f->t[i - 1].kind == ',';
        if (k == '(' || k == '[' || k == '{') open[n++] = (char)k;
        if (k == ')' || k == ']' || k == '}') n--;
        if (k != '=' || i < 2 || f->t[i - 1].kind != TOK_IDENT) continue;
        int before = f->t[i - 2].kind;
        f->tight[i] = open[n - 1] == '(' ? before == '(' || before == ','
                                         : open[n - 1] == '{' && mesh &&
                                               (before == ',' || before == TOK_MESH);
    }
}

static bool starts_row(const fmt *f, uint32_t i)
{
    int p = f->t[i - 1].kind, q = f->t[i].kind;
    if ((p == '{' && f->broken[i - 1]) || (q == '}' && f->broken[i])) return true;
    if (p == '}' && (q == TOK_ELSE || q == TOK_VJP)) return false;
    return f->t[i].flags & AST_TOK_FIRST;
}

static void cut_rows(fmt *f)
{
    uint32_t c = 0, parens = 0;
    const ast_comment *comments = f->in->comments;
    for (uint32_t i = 0; i <= f->n; i++) {
        uint32_t at = i < f->n ? f->t[i].begin : UINT32_MAX;
        bool own = false;
        for (; c < f->in->n_comments && comments[c].begin < at; c++) {
            bool blank = comments[c].flags & AST_TOK_BLANK_BEFORE;
            row *last = f->rows.n ? &f->rows.p[f->rows.n - 1] : NULL;
            own = true;
            if (!(comments[c].flags & AST_TOK_OWN_LINE) && last && !last->comment && last->n) {
                last->comment = c + 1;
                continue;
            }
            row r = {i, 0, c + 1, blank && !parens};
            dfm_push(f->a, &f->rows, r);
        }
        if (i == f->n) break;
        bool blank = f->t[i].flags & AST_TOK_BLANK_BEFORE && !parens;
        if (i == 0 || own || starts_row(f, i)) {
            row r = {i, 0, 0, blank};
            dfm_push(f->a, &f->rows, r);
        }
        f->rows.p[f->rows.n - 1].n++;
        int k = f->t[i].kind;
        parens += k == '(' || k == '[';
        parens -= k == ')' || k == ']';
    }
}

/* -- layout ---------------------------------------------------------------------------------- */

static uint32_t columns_of(const char *p, uint32_t n)
{
    uint32_t cols = 0;
    for (uint32_t i = 0; i < n; i++) cols += ((unsigned char)p[i] & 0xC0) != 0x80;
    return cols;
}

static uint32_t width_of(const char *s) { return columns_of(s, (uint32_t)strlen(s)); }

static bool in_parens(const fmt *f) { return f->n_open && f->open[f->n_open - 1].c != '{'; }

static bool starts_statement(const fmt *f, uint32_t i)
{
    if (i == 0 || i >= f->n) return true;
    int p = f->t[i - 1].kind;
    return p == ';' || p == '{' || p == '}' ||
           (ast_ends_statement(p) && !ast_goes_on(f->t[i].kind));
}

/* Indentation of a line that starts with token i (f->n for a comment alone). */
static uint32_t indent_of(const fmt *f, uint32_t i)
{
    uint32_t base = 0;
    for (uint32_t k = 0; k < f->n_open; k++)
        if (f->open[k].c == '{' && f->open[k].broken) base += INDENT;
    if (in_parens(f)) {
        uint32_t col = f->open[f->n_open - 1].col;
        return col <= MAX_HANG ? col : base + HANG;
    }
    if (i < f->n && f->t[i].kind == '}') return base - INDENT;
    return starts_statement(f, i) ? base : base + HANG;
}

/* Blanks that stand before token i in a line that starts with token `first`. */
static uint32_t gap(const fmt *f, uint32_t first, uint32_t i)
{
    return i > first && (blank_between(f, i) || (f->t[i].kind == '}' && !f->broken[i]));
}

static uint32_t token_columns(const fmt *f, uint32_t i)
{
    return columns_of(f->text + f->t[i].begin, f->t[i].end - f->t[i].begin);
}

static void track(fmt *f, uint32_t i, uint32_t col_behind)
{
    int k = f->t[i].kind;
    if (k == '(' || k == '[' || k == '{') {
        f->open[f->n_open].c = (char)k;
        f->open[f->n_open].col = col_behind;
        f->open[f->n_open++].broken = f->broken[i];
    } else if (k == ')' || k == ']' || k == '}') {
        f->n_open--;
    }
}

/* How far a line that starts with token i goes: to `end`, or behind a comma in brackets if it
 * would be longer than 100 columns. Of the commas that fit, the last one in the fewest brackets is
 * taken; if none fits, the first one. */
static uint32_t line_end(fmt *f, uint32_t i, uint32_t end, uint32_t indent)
{
    uint32_t col = indent, best = end, keep = f->n_open, least = UINT32_MAX, k = i;
    typeof(f->open) saved;
    memcpy(saved, f->open, sizeof saved);
    for (; k < end; k++) {
        col += gap(f, i, k) + token_columns(f, k);
        if (col > COLUMNS && best < end) break;
        track(f, k, col);
        if (f->t[k].kind == ',' && in_parens(f) && f->n_open <= least && k + 1 < end) {
            least = f->n_open;
            best = k + 1;
            if (col > COLUMNS) break;
        }
    }
    memcpy(f->open, saved, sizeof saved);
    f->n_open = keep;
    return k < end ? best : end;
}

/* Tokens [i, end) as a line; *equals gets the offset of its first `=` outside brackets, or 0. */
static const char *write_code(fmt *f, uint32_t i, uint32_t end, uint32_t *equals)
{
    dfm_sb sb = dfm_sb_make(f->a);
    uint32_t col = indent_of(f, i), floor = f->n_open;
    dfm_sb_printf(&sb, "%*s", (int)col, "");
    *equals = 0;
    for (uint32_t k = i; k < end; k++) {
        if (gap(f, i, k)) {
            dfm_sb_puts(&sb, " ");
            col++;
        }
        if (f->t[k].kind == '=' && f->n_open == floor && !*equals) *equals = (uint32_t)sb.n;
        dfm_sb_add(&sb, f->text + f->t[k].begin, f->t[k].end - f->t[k].begin);
        col += token_columns(f, k);
        track(f, k, col);
    }
    return dfm_sb_cstr(&sb);
}

/* A row that is one whole statement `name = ...` or `dim name = ...`: its `=` may be aligned. */
static bool is_assignment(const fmt *f, const row *r)
{
    uint32_t i = r->first, end = r->first + r->n;
    if (in_parens(f) || !starts_statement(f, i) || !starts_statement(f, end)) return false;
    if (f->t[i].kind != TOK_IDENT && f->t[i].kind != TOK_DIM) return false;
    int depth = 0;
    for (uint32_t k = i; k < end; k++) {
        int c = f->t[k].kind;
        if (c == ';' || c == '{' || c == '}') return false;
        depth += (c == '(' || c == '[') - (c == ')' || c == ']');
    }
    return depth == 0;
}

static void layout_row(fmt *f, const row *r)
{
    uint32_t i = r->first, end = r->first + r->n;
    bool assigns = r->n && is_assignment(f, r);
    bool closes = i < f->n && f->t[i].kind == '}';
    bool blank = r->blank_before && !f->after_open && !closes && f->lines.n;
    line l = {.code = "", .blank_before = blank};
    l.kind = assigns ? f->t[i].kind : 0;
    while (i < end) {
        uint32_t stop = line_end(f, i, end, indent_of(f, i));
        l.code = write_code(f, i, stop, &l.equals);
        if (stop < end) {
            l.kind = 0;
            dfm_push(f->a, &f->lines, l);
            l = (line){.code = ""};
        }
        i = stop;
    }
    if (r->comment) {
        const ast_comment *c = &f->in->comments[r->comment - 1];
        l.comment = dfm_strndup(f->a, f->text + c->begin, c->end - c->begin);
        if (r->n == 0) {
            l.code = dfm_fmt(f->a, "%*s%s", (int)indent_of(f, f->n), "", l.comment);
            l.comment = NULL;
        }
    }
    dfm_push(f->a, &f->lines, l);
    f->after_open = r->n && f->t[end - 1].kind == '{';
}

/* -- alignment ------------------------------------------------------------------------------- */

static uint32_t indent_in(const char *code) { return (uint32_t)strspn(code, " "); }

/* Align the `=` of runs of assignments, where that moves none by more than MAX_SHIFT columns. */
static void align_equals(fmt *f)
{
    line *p = f->lines.p;
    for (uint32_t i = 0, k; i < f->lines.n; i = k) {
        uint32_t least = p[i].equals, most = p[i].equals, widest = 0;
        for (k = i; k < f->lines.n && p[k].kind && p[k].kind == p[i].kind && p[k].equals; k++) {
            if (k > i && (p[k].blank_before || indent_in(p[k].code) != indent_in(p[i].code))) break;
            uint32_t lo = p[k].equals < least ? p[k].equals : least;
            uint32_t hi = p[k].equals > most ? p[k].equals : most;
            uint32_t rest = width_of(p[k].code + p[k].equals);
            if (rest > widest) widest = rest;
            if (hi - lo > MAX_SHIFT || hi + widest > COLUMNS) break;
            least = lo;
            most = hi;
        }
        if (k == i) k = i + 1;
        for (uint32_t j = i; k > i + 1 && j < k; j++)
            p[j].code = dfm_fmt(f->a, "%.*s%*s%s", (int)p[j].equals, p[j].code,
                                (int)(most - p[j].equals), "", p[j].code + p[j].equals);
    }
}

/* Column of the comments of the run of lines that starts at i; *end is the line behind the run. */
static uint32_t comment_column(const fmt *f, uint32_t i, uint32_t *end)
{
    uint32_t col = 0;
    for (*end = i; *end < f->lines.n && f->lines.p[*end].comment; ++*end) {
        const line *l = &f->lines.p[*end];
        if (*end > i && l->blank_before) break;
        if (width_of(l->code) + 2 > col) col = width_of(l->code) + 2;
    }
    return col;
}

static void write_lines(const fmt *f, dfm_sb *out)
{
    for (uint32_t i = 0; i < f->lines.n;) {
        uint32_t end, col = comment_column(f, i, &end);
        if (end == i) end = i + 1;
        for (; i < end; i++) {
            const line *l = &f->lines.p[i];
            if (l->blank_before) dfm_sb_puts(out, "\n");
            dfm_sb_puts(out, l->code);
            if (l->comment)
                dfm_sb_printf(out, "%*s%s", (int)(col - width_of(l->code)), "", l->comment);
            dfm_sb_puts(out, "\n");
        }
    }
}

/* -- check ----------------------------------------------------------------------------------- */

/* The next token that counts: empty statements do not. */
static uint32_t next_token(const ast_tokens *t, uint32_t i)
{
    while (t->t[i].kind == ';' && (i == 0 || t->t[i - 1].kind == ';' || t->t[i - 1].kind == '{'))
        i++;
    return i;
}

/* Formatting must keep the program: same tokens, same comments. */
static void check_same(const fmt *f, const char *text, uint32_t n)
{
    diag_ctx *cx = diag_create(f->a);
    const ast_tokens *x = f->in, *y = ast_lex(f->a, cx, diag_add_file(cx, "formatted", text, n));
    uint32_t i = next_token(x, 0), k = next_token(y, 0);
    DFM_ASSERT(y->ok && x->n_comments == y->n_comments);
    for (;;) {
        const ast_token *s = &x->t[i], *t = &y->t[k];
        DFM_ASSERT(s->kind == t->kind);
        if (s->kind == 0) break;
        uint32_t len = s->end - s->begin;
        DFM_ASSERT(s->kind == ';' || (len == t->end - t->begin &&
                                      !memcmp(f->text + s->begin, text + t->begin, len)));
        i = next_token(x, i + 1);
        k = next_token(y, k + 1);
    }
}

bool ast_format(dfm_arena *a, diag_ctx *cx, diag_src src, dfm_sb *out)
{
    dfm_arena *scratch = dfm_arena_create("fmt");
    ast_file *file = ast_parse(scratch, cx, src);
    if (file->ok) {
        fmt f = {.a = scratch, .text = diag_src_text(cx, src, NULL), .in = file->tokens};
        size_t start = out->n;
        pick_tokens(&f);
        mark_bodies(&f);
        mark_equals(&f);
        cut_rows(&f);
        for (uint32_t i = 0; i < f.rows.n; i++) layout_row(&f, &f.rows.p[i]);
        align_equals(&f);
        write_lines(&f, out);
        check_same(&f, dfm_sb_cstr(out) + start, (uint32_t)(out->n - start));
    }
    bool ok = file->ok;
    dfm_arena_destroy(scratch);
    return ok;
}

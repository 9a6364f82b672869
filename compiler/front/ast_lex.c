/* ast_lex.c - the scanner's actions: tokens with values, comments, the automatic `;`, brackets.
 *
 * A line end acts as `;` when the last token can end a statement, no `(` or `[` is open, and the
 * next line does not start with a word that goes on (keywords.def), `->` or a binary operator.
 * (`for` goes on with items and with `keep`: elsewhere it is a loop of another language, and shall
 * not hide in the statement before.) A `;` is supplied before `}` and at the end of the file.
 *
 * The token array always has matched brackets: a `(` or `[` that is still open at `}`, at a
 * statement or item keyword that starts a line, or at the end of the file is reported and closed
 * there (else it would swallow the line ends of the rest of the file), and so is a `{` at an item
 * keyword in the first column. Tokens that are supplied have the flag INSERTED.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "compiler/front/ast_parse.h"
#include "dfm.tab.h"

static const struct {
    int token, flags;
    const char *text;
} keywords[] = {
#define KEYWORD(token, text, flags) {TOK_##token, flags, text},
#include "grammar/keywords.def"
#undef KEYWORD
};

int ast_keyword_flags(int token)
{
    for (size_t i = 0; i < DFM_LEN(keywords); i++)
        if (keywords[i].token == token) return keywords[i].flags;
    return -1;
}

const char *ast_keyword_text(int token)
{
    for (size_t i = 0; i < DFM_LEN(keywords); i++)
        if (keywords[i].token == token) return keywords[i].text;
    return NULL;
}

bool ast_goes_on(int token)
{
    int flags = ast_keyword_flags(token);
    switch (token) {
    case TOK_ARROW: case TOK_DOTDOT: case TOK_FDIV:
    case '+': case '-': case '*': case '/': case '%':
    case '^': case TOK_EQ: case TOK_NE: case TOK_LE: case TOK_GE: case '<': case '>': return true;
    default: return flags >= 0 && (flags & GOES);
    }
}

bool ast_ends_statement(int token)
{
    switch (token) {
    case TOK_IDENT: case TOK_INT: case TOK_FLOAT: case TOK_UNIT: case TOK_STRING:
    case TOK_TRUE: case TOK_FALSE: case TOK_ELLIPSIS: case ')': case ']': case '}':
    case TOK_DFM_YYerror:
        return true;
    default:
        return false;
    }
}

/* -- reports --------------------------------------------------------------------------------- */

static dfm_loc place(ast_lexer *l, uint32_t at, uint32_t n)
{
    return diag_span_make(l->cx, l->src, at, at + n);
}

static diag *fault(ast_lexer *l, diag *d)
{
    l->ok = false;
    l->fault = true;
    return d;
}

static void report_open(ast_lexer *l, const ast_bracket *b, uint32_t at)
{
    diag *d = diag_error(l->cx, b->c == '{' ? DIAG_E0207 : DIAG_E0205, place(l, b->at, 1),
                         "this `%c` is not closed", b->c);
    if (at < l->n) diag_label(d, place(l, at, 1), "it should be closed before this");
    fault(l, d);
}

/* -- tokens ---------------------------------------------------------------------------------- */

static const ast_token *last_token(const ast_lexer *l)
{
    return l->out.n ? &l->out.p[l->out.n - 1] : NULL;
}

static ast_token *push(ast_lexer *l, int kind, uint32_t begin, uint32_t end, unsigned flags)
{
    const ast_token *t = last_token(l);
    if (!t || t->kind == ';' || t->kind == '{' || t->kind == '}') l->start = kind;
    if (l->fault) flags |= AST_TOK_FAULT;
    l->fault = false;
    dfm_push(l->arena, &l->out, ((ast_token){.kind = (uint16_t)kind, .flags = (uint16_t)flags,
                                             .begin = begin, .end = end}));
    return &l->out.p[l->out.n - 1];
}

/* Supply a token behind the last one. */
static void supply(ast_lexer *l, int kind)
{
    uint32_t at = l->out.n ? last_token(l)->end : 0;
    push(l, kind, at, at, AST_TOK_INSERTED);
}

static bool in_parens(const ast_lexer *l) { return l->n_open && l->open[l->n_open - 1].c != '{'; }

static int closer(char c) { return c == '(' ? ')' : c == '[' ? ']' : '}'; }

/* Close what is open above `keep` brackets; report the outermost of them if `at` is a place. */
static void close_to(ast_lexer *l, uint32_t keep, bool report, uint32_t at)
{
    if (report && l->n_open > keep) report_open(l, &l->open[keep], at);
    while (l->n_open > keep) {
        int c = closer(l->open[--l->n_open].c);
        const ast_token *t = last_token(l);
        if (c == '}' && t->kind != ';' && t->kind != '{') supply(l, ';');
        l->fault = true;
        supply(l, c);
    }
}

static uint32_t innermost_brace(const ast_lexer *l)     /* number of brackets up to it */
{
    uint32_t n = l->n_open;
    while (n && l->open[n - 1].c != '{') n--;
    return n;
}

/* A keyword at the start of a line shows that brackets were forgotten. (`train = x`, a line of a
 * variant, does not.) */
static void close_forgotten(ast_lexer *l, int kind, uint32_t at, uint32_t n)
{
    int flags = ast_keyword_flags(kind);
    const ast_token *t = last_token(l);
    if (flags < 0 || !(flags & BOTH) || !l->n_open) return;
    const char *behind = l->text + at + n;
    if (behind[strspn(behind, " \t")] == '=') return;
    bool formal_kind = (flags & BOTH) == BOTH && t && (t->kind == ':' || t->kind == TOK_ARROW);
    if (in_parens(l) && !formal_kind) close_to(l, innermost_brace(l), true, at);
    if ((flags & BOTH) == ITEM && l->n_open && l->text[at - 1] == '\n') close_to(l, 0, true, at);
}

/* Does a line that starts with `kind` go on with the line before? */
static bool goes_on(const ast_lexer *l, int kind)
{
    if (kind == TOK_FOR && l->n_open && l->start != TOK_KEEP) return false;
    return ast_goes_on(kind);
}

static ast_token *emit(ast_lexer *l, int kind, uint32_t at, uint32_t n)
{
    unsigned flags = 0;
    if (l->lines || !l->out.n) {
        flags = AST_TOK_FIRST | (l->blanks > 1 ? AST_TOK_BLANK_BEFORE : 0);
        if (l->lines) close_forgotten(l, kind, at, n);
        const ast_token *t = last_token(l);
        if (t && !in_parens(l) && ast_ends_statement(t->kind) && !goes_on(l, kind))
            supply(l, ';');
    }
    while (l->pending < l->comments.n) l->comments.p[l->pending++].before = l->out.n;
    l->lines = l->blanks = 0;
    if (l->out.n == AST_MAX_NODES) {
        diag_error(l->cx, DIAG_E0204, place(l, at, n), "the file has more than %d tokens",
                   AST_MAX_NODES);
        l->ok = false;
        l->stopped = true;
    }
    return push(l, kind, at, at + n, flags);
}

void ast_scan_newline(ast_lexer *l, uint32_t at)
{
    l->lines++;
    l->blanks++;
}

void ast_scan_comment(ast_lexer *l, uint32_t at, uint32_t n)
{
    if (l->stopped) return;
    unsigned flags = l->blanks || (!l->out.n && !l->comments.n) ? AST_TOK_OWN_LINE : 0;
    if (l->blanks > 1) flags |= AST_TOK_BLANK_BEFORE;
    while (n && strchr(" \t\r\f\v", l->text[at + n - 1])) n--;
    ast_comment c = {.begin = at, .end = at + n, .flags = (uint16_t)flags};
    dfm_push(l->arena, &l->comments, c);
    l->blanks = 0;
}

void ast_scan_name(ast_lexer *l, uint32_t at, uint32_t n)
{
    if (l->stopped) return;
    const char *p = l->text + at;
    for (size_t i = 0; i < DFM_LEN(keywords); i++)
        if (keywords[i].text[0] == p[0] && strncmp(keywords[i].text, p, n) == 0 &&
            !keywords[i].text[n]) {
            emit(l, keywords[i].token, at, n)->text = keywords[i].text;
            return;
        }
    emit(l, TOK_IDENT, at, n)->text = dfm_strndup(l->arena, p, n);
}

void ast_scan_word(ast_lexer *l, int kind, uint32_t at, uint32_t n)
{
    if (!l->stopped) emit(l, kind, at, n);
}

void ast_scan_bad(ast_lexer *l, uint32_t at, uint32_t n)
{
    if (l->stopped) return;
    const char *p = l->text + at;
    bool known = false;      /* bytes that are not UTF-8 have been reported as E0107 */
    for (uint32_t i = 0; i < diag_count(l->cx) && !known; i++)
        known = diag_code_at(l->cx, i) == DIAG_E0107 && ((unsigned char)p[0] >= 0x80 || !p[0]);
    if (!known) {
        diag *d = (unsigned char)p[0] < 0x20 || p[0] == 0x7F
                      ? diag_error(l->cx, DIAG_E0101, place(l, at, n),
                                   "the control character 0x%02x is not part of the language",
                                   (unsigned char)p[0])
                      : diag_error(l->cx, DIAG_E0101, place(l, at, n),
                                   "`%.*s` is not part of the language", (int)n, p);
        if (p[0] == '@') diag_help(d, "a matrix product is written `linear` or `contract`");
        if (p[0] == '!') diag_help(d, "write `not`");
        if (p[0] == '&') diag_help(d, "write `and`");
        if (p[0] == '|') diag_help(d, "write `or`");
        if (p[0] == '\'') diag_help(d, "strings are written with \"");
        if (strncmp(p, "\xE2\x80\x9C", 3) == 0 || strncmp(p, "\xE2\x80\x9D", 3) == 0)
            diag_help(d, "strings are written with \"");
        if (strncmp(p, "\xC2\xA0", 2) == 0) diag_help(d, "this is a no-break space");
    }
    l->ok = false;
    emit(l, TOK_DFM_YYerror, at, n)->flags |= AST_TOK_FAULT;
}

/* -- numbers --------------------------------------------------------------------------------- */

static const struct {
    const char *text;
    uint8_t unit;
    double factor;
} units[] = {
    {"B", AST_UNIT_BYTES, 1},          {"kB", AST_UNIT_BYTES, 1e3},
    {"MB", AST_UNIT_BYTES, 1e6},       {"GB", AST_UNIT_BYTES, 1e9},
    {"TB", AST_UNIT_BYTES, 1e12},      {"KiB", AST_UNIT_BYTES, 1024.0},
    {"MiB", AST_UNIT_BYTES, 0x1p20},   {"GiB", AST_UNIT_BYTES, 0x1p30},
    {"TiB", AST_UNIT_BYTES, 0x1p40},   {"ns", AST_UNIT_SECONDS, 1e-9},
    {"us", AST_UNIT_SECONDS, 1e-6},    {"ms", AST_UNIT_SECONDS, 1e-3},
    {"s", AST_UNIT_SECONDS, 1},        {"min", AST_UNIT_SECONDS, 60},
    {"h", AST_UNIT_SECONDS, 3600},
};

static void number_help(diag *d, const char *text)
{
    if (text[0] == '.') diag_help(d, "write a digit before the point: `0%s`", text);
    else if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))
        diag_help(d, "numbers are decimal: `%llu`", strtoull(text, NULL, 16));
    else if (strstr(text, "__") || text[strlen(text) - 1] == '_')
        diag_help(d, "`_` stands between two digits only");
    else diag_help(d, "a name cannot start with a digit");
}

static bool read_unit(ast_lexer *l, ast_token *t, const char *digits, const char *unit)
{
    for (size_t i = 0; i < DFM_LEN(units); i++) {
        if (strcmp(unit, units[i].text) != 0) continue;
        t->f = strtod(digits, NULL) * units[i].factor;
        t->unit = units[i].unit;
        return true;
    }
    uint32_t n = (uint32_t)strlen(unit);
    diag *d = diag_error(l->cx, DIAG_E0106, place(l, t->end - n, n), "unknown unit `%s`", unit);
    for (size_t i = 0; i < DFM_LEN(units); i++)
        if (strcasecmp(unit, units[i].text) == 0) {
            diag_help(fault(l, d), "did you mean `%s`?", units[i].text);
            return false;
        }
    diag_help(fault(l, d), "sizes are in B, kB, MB, GB, TB, KiB, MiB, GiB, TiB; "
                           "times in ns, us, ms, s, min, h");
    return false;
}

void ast_scan_number(ast_lexer *l, int kind, uint32_t at, uint32_t n)
{
    if (l->stopped) return;
    ast_token *t = emit(l, kind ? kind : TOK_INT, at, n);
    t->text = dfm_strndup(l->arena, l->text + at, n);
    if (kind == 0) {
        diag *d = diag_error(l->cx, DIAG_E0104, place(l, at, n), "`%s` is not a number", t->text);
        number_help(fault(l, d), t->text);
        return;
    }
    char *digits = dfm_strdup(l->scratch, t->text), *q = digits;
    for (const char *s = t->text; *s; s++)
        if (*s != '_') *q++ = *s;
    *q = 0;
    if (kind == TOK_UNIT) {
        size_t k = strcspn(digits, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
        const char *unit = dfm_strdup(l->scratch, digits + k);
        digits[k] = 0;
        if (!read_unit(l, t, digits, unit)) return;
    } else {
        t->f = strtod(digits, NULL);
    }
    errno = 0;
    if (kind == TOK_INT) t->i = strtoll(digits, NULL, 10);
    if (kind == TOK_UNIT && t->f < 0x1p63 && t->f == floor(t->f)) t->i = (int64_t)t->f;
    if (errno == ERANGE || !isfinite(t->f) || (t->unit == AST_UNIT_BYTES && t->f >= 0x1p63))
        fault(l, diag_error(l->cx, DIAG_E0105, place(l, at, n), "`%s` is too large", t->text));
}

/* -- strings --------------------------------------------------------------------------------- */

static const char *const escapes = "\\\\\"\"''n\nr\rt\ta\ab\bf\fv\v";    /* letter, value */

static bool is_octal(char c) { return c >= '0' && c <= '7'; }

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                                                              : -1;
}

/* Decode the escape behind the backslash at s[0]; returns its length, 0 if unknown. */
static uint32_t decode_escape(const char *s, uint32_t n, char *out)
{
    unsigned v = 0;
    uint32_t i = 1;
    if (n < 2) return 0;
    if (is_octal(s[1])) {
        for (; i < n && i < 4 && is_octal(s[i]); i++) v = v * 8 + (unsigned)(s[i] - '0');
    } else if (s[1] == 'x') {
        for (i = 2; i < n && i < 4 && hex_digit(s[i]) >= 0; i++)
            v = v * 16 + (unsigned)hex_digit(s[i]);
    } else {
        for (const char *e = escapes; *e; e += 2)
            if (e[0] == s[1]) v = (unsigned char)e[1];
        i = 2;
    }
    *out = (char)v;
    return v == 0 || v > 255 ? 0 : i;
}

void ast_scan_string(ast_lexer *l, bool closed, uint32_t at, uint32_t n)
{
    if (l->stopped) return;
    const char *s = l->text + at;
    ast_token *t = emit(l, TOK_STRING, at, n);
    char *out = dfm_alloc(l->arena, n), *q = out;
    uint32_t end = closed ? n - 1 : n;
    for (uint32_t i = 1, len; i < end; i += len) {
        len = 1;
        if (s[i] != '\\') {
            *q++ = s[i];
        } else if ((len = decode_escape(s + i, end - i, q)) != 0) {
            q++;
        } else {
            len = i + 1 < end ? 2 : 1;
            fault(l, diag_error(l->cx, DIAG_E0103, place(l, at + i, len),
                                "unknown escape `%.*s` in a string", (int)len, s + i));
        }
    }
    t->text = out;
    if (!closed)
        diag_help(fault(l, diag_error(l->cx, DIAG_E0102, place(l, at, n),
                                      "this string has no end")),
                  "a string ends on its line, with \"");
}

/* -- brackets -------------------------------------------------------------------------------- */

static void open_bracket(ast_lexer *l, char c, uint32_t at)
{
    emit(l, c, at, 1);
    if (l->n_open == AST_MAX_BRACKETS) {
        l->ok = false;
        diag *d = diag_error(l->cx, DIAG_E0203, place(l, at, 1),
                             "brackets are nested more than %d deep", AST_MAX_BRACKETS);
        diag_help(d, "give parts of it names in statements of their own");
        l->out.n--;
        l->fault = l->stopped = true;
        return;
    }
    l->open[l->n_open++] = (ast_bracket){c, at};
}

/* `)` or `]`. */
static void close_paren(ast_lexer *l, char c, uint32_t at)
{
    uint32_t low = innermost_brace(l), i = l->n_open;
    while (i > low && closer(l->open[i - 1].c) != c) i--;
    if (i > low) {                           /* close what was forgotten inside */
        close_to(l, i, true, at);
        emit(l, c, at, 1);
        l->n_open--;
    } else if (l->n_open > low) {            /* the wrong one: take it for the right one */
        const ast_bracket *b = &l->open[--l->n_open];
        diag *d = diag_error(l->cx, DIAG_E0206, place(l, at, 1), "`%c` cannot close a `%c`", c,
                             b->c);
        diag_label(fault(l, d), place(l, b->at, 1), "opened here");
        emit(l, closer(b->c), at, 1);
    } else {
        fault(l, diag_error(l->cx, DIAG_E0206, place(l, at, 1), "this `%c` closes nothing", c));
        emit(l, TOK_DFM_YYerror, at, 1);
    }
}

static void close_brace(ast_lexer *l, uint32_t at)
{
    uint32_t keep = innermost_brace(l);
    if (keep == 0) {
        fault(l, diag_error(l->cx, DIAG_E0206, place(l, at, 1), "this `}` closes nothing"));
        return;
    }
    close_to(l, keep, true, at);
    const ast_token *t = last_token(l);
    if (t->kind != ';' && t->kind != '{') supply(l, ';');
    emit(l, '}', at, 1);
    l->n_open--;
}

void ast_scan_bracket(ast_lexer *l, char c, uint32_t at)
{
    if (l->stopped) return;
    if (c == '(' || c == '[' || c == '{') open_bracket(l, c, at);
    else if (c == '}') close_brace(l, at);
    else close_paren(l, c, at);
}

/* -- the whole file -------------------------------------------------------------------------- */

/* Offset of the first byte that is not UTF-8 or is 0; n if there is none. */
static uint32_t first_bad_byte(const char *text, uint32_t n)
{
    const unsigned char *p = (const unsigned char *)text;
    for (uint32_t i = 0; i < n;) {
        uint32_t k = p[i] < 0x80 ? 1 : p[i] >= 0xF0 ? 4 : p[i] >= 0xE0 ? 3 : 2;
        if (p[i] == 0 || (p[i] >= 0x80 && p[i] < 0xC2) || p[i] > 0xF4 || k > n - i) return i;
        for (uint32_t j = 1; j < k; j++)
            if ((p[i + j] & 0xC0) != 0x80) return i;
        if ((p[i] == 0xE0 && p[i + 1] < 0xA0) || (p[i] == 0xED && p[i + 1] >= 0xA0) ||
            (p[i] == 0xF0 && p[i + 1] < 0x90) || (p[i] == 0xF4 && p[i + 1] >= 0x90))
            return i;
        i += k;
    }
    return n;
}

/* Characters that turn the direction of text around (U+202A to U+202E, U+2066 to U+2069): with them
 * a reader sees another program than the compiler. https://trojansource.codes */
static uint32_t first_turning(const char *text, uint32_t n)
{
    for (uint32_t i = 0; i + 2 < n; i++) {
        const unsigned char *p = (const unsigned char *)text + i;
        if (p[0] != 0xe2) continue;
        if ((p[1] == 0x80 && p[2] >= 0xaa && p[2] <= 0xae) ||
            (p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9))
            return i;
    }
    return n;
}

static void finish(ast_lexer *l)
{
    close_to(l, 0, !l->stopped, l->n);
    const ast_token *t = last_token(l);
    if (t && t->kind != ';') supply(l, ';');
    while (l->pending < l->comments.n) l->comments.p[l->pending++].before = l->out.n;
    unsigned flags = AST_TOK_FIRST | (l->blanks > 1 ? AST_TOK_BLANK_BEFORE : 0);
    push(l, 0, l->n, l->n, flags);
}

ast_tokens *ast_lex(dfm_arena *a, diag_ctx *cx, diag_src src)
{
    ast_lexer l = {.arena = a, .scratch = dfm_arena_create("scanner"), .cx = cx, .src = src,
                   .ok = true};
    l.text = diag_src_text(cx, src, &l.n);
    uint32_t bad = first_bad_byte(l.text, l.n);
    if (bad < l.n) {
        l.ok = false;
        diag_error(cx, DIAG_E0107, place(&l, bad, 1), "this is not UTF-8 text (byte 0x%02x)",
                   (unsigned char)l.text[bad]);
    }
    uint32_t turns = bad < l.n ? l.n : first_turning(l.text, l.n);
    if (turns < l.n) {
        l.ok = false;
        diag_error(cx, DIAG_E0107, place(&l, turns, 3),
                   "this character turns the direction of text: what is shown is not what is read");
    }
    ast_scan_all(&l);
    finish(&l);
    dfm_arena_destroy(l.scratch);
    ast_tokens *t = dfm_new(a, ast_tokens);
    *t = (ast_tokens){.src = src, .t = l.out.p, .n = l.out.n, .comments = l.comments.p,
                      .n_comments = l.comments.n, .ok = l.ok};
    return t;
}

/* ast_error.c - syntax errors in plain words.
 *
 * The parser knows the token it met and the set of tokens that could have stood there. Common
 * mistakes get a code of their own; everything else is E0201, "expected ..., found ...", with the
 * set summed up ("an expression", "an operator"). Nothing is said about a statement in which the
 * scanner has already reported something.
 */
#include "compiler/front/ast_parse.h"

#include <string.h>

#include "dfm.tab.h"

typedef struct site {              /* where the parser stands */
    ast_parser *p;
    const ast_token *t;            /* all tokens */
    uint32_t at;                   /* the one that was not expected */
    uint32_t start;                /* the first one of its statement */
    const char *const *expected;
    uint32_t n;
} site;

static bool expects(const site *s, const char *name)
{
    for (uint32_t i = 0; i < s->n; i++)
        if (strcmp(s->expected[i], name) == 0) return true;
    return false;
}

static ast_range range_of(const site *s, uint32_t i)
{
    return (ast_range){s->t[i].begin, s->t[i].end};
}

static const char *spelling(const site *s, uint32_t i)
{
    const char *text = diag_src_text(s->p->cx, s->p->tokens->src, NULL);
    uint32_t n = s->t[i].end - s->t[i].begin;
    if (n > 40) return dfm_fmt(s->p->arena, "%.37s...", text + s->t[i].begin);
    return dfm_strndup(s->p->arena, text + s->t[i].begin, n);
}

/* What stands at the token, for "found ...". */
static const char *found(const site *s)
{
    const ast_token *t = &s->t[s->at];
    if (t->kind == 0) return "the end of the file";
    if (t->kind == ';' && (t->flags & AST_TOK_INSERTED)) {
        const ast_token *next = t + 1;
        if (next->kind == 0) return "the end of the file";
        return next->flags & AST_TOK_FIRST ? "the end of the line" : "`}`";
    }
    const char *word = ast_keyword_flags(t->kind) >= 0 ? "the keyword " : "";
    return dfm_fmt(s->p->arena, "%s`%s`", word, spelling(s, s->at));
}

/* -- the expected set in words --------------------------------------------------------------- */

static bool one_of(const char *name, const char *const *set, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(name, set[i]) == 0) return true;
    return false;
}

static const char *const expr_starts[] = {"a name", "a string", "a whole number", "a number",
                                          "a size or time", "true", "false", "'('", "'['", "'-'",
                                          "not"};
static const char *const operators[] = {"or", "and", "==", "!=", "'<'", "'>'", "<=", ">=", "..",
                                        "'+'", "'-'", "'*'", "'/'", "'%'", "//", "'^'", "'('",
                                        "'['", "'.'", "as", "init", "tag"};

static bool is_sum(const site *s, const char *name, bool expr, bool op, bool item, bool stmt)
{
    if (expr && one_of(name, expr_starts, DFM_LEN(expr_starts))) return true;
    if (op && one_of(name, operators, DFM_LEN(operators))) return true;
    if (item) return strcmp(name, "';'") != 0;
    return stmt && (strcmp(name, "a name") == 0 || one_of(name, (const char *[]){
        "dim", "require", "param", "buffer", "data", "return", "repeat", "if", "minimize", "use"},
        10));
}

/* bison's name of a token in the words of a message. */
static const char *in_words(const site *s, const char *name)
{
    if (strcmp(name, "';'") == 0) return "the end of the line";
    if (name[0] == '\'') return dfm_fmt(s->p->arena, "`%c`", name[1]);
    return strchr(name, ' ') ? name : dfm_fmt(s->p->arena, "`%s`", name);
}

/* "`)`, `,` or an expression"; "" if the set is of no help. */
static const char *expected_words(const site *s)
{
    enum { MOST = 5 };
    const char *words[MOST + 4];
    uint32_t n = 0;
    bool expr = expects(s, "a whole number") && expects(s, "'-'");
    bool op = expects(s, "'+'") && expects(s, "'*'");
    bool item = expects(s, "block") && expects(s, "op");
    bool stmt = expects(s, "return") && expects(s, "repeat");
    for (uint32_t i = 0; i < s->n; i++) {
        if (is_sum(s, s->expected[i], expr, op, item, stmt)) continue;
        if ((item || stmt) && strcmp(s->expected[i], "';'") == 0) continue;
        if (n == MOST) return "";
        words[n++] = in_words(s, s->expected[i]);
    }
    if (item) words[n++] = "an item (`dim`, `op`, `block`, `model`, `train`, ...)";
    if (stmt) words[n++] = "a statement";
    if (expr) words[n++] = "an expression";
    if (op) words[n++] = "an operator";
    dfm_sb sb = dfm_sb_make(s->p->arena);
    for (uint32_t i = 0; i < n; i++)
        dfm_sb_printf(&sb, "%s%s", i == 0 ? "" : i + 1 == n ? " or " : ", ", words[i]);
    return dfm_sb_cstr(&sb);
}

/* -- common mistakes ------------------------------------------------------------------------- */

static diag *report(const site *s, diag_code code, uint32_t i, const char *text)
{
    return diag_error(s->p->cx, code, ast_span(s->p, range_of(s, i)), "%s", text);
}

/* The keyword that could stand at the start of this statement and resembles its first word. */
static const char *nearest_keyword(const site *s, bool item)
{
    static const int tokens[] = {
#define KEYWORD(token, text, flags) TOK_##token,
#include "grammar/keywords.def"
#undef KEYWORD
    };
    const char *words[DFM_LEN(tokens)];
    for (size_t i = 0; i < DFM_LEN(tokens); i++) {
        int flags = ast_keyword_flags(tokens[i]);
        words[i] = flags & (item ? ITEM : STMT) & BOTH ? ast_keyword_text(tokens[i]) : NULL;
    }
    return dfm_nearest(s->t[s->start].text, words, DFM_LEN(words));
}

static bool in_body(const site *s)
{
    int depth = 0;
    for (uint32_t i = 0; i < s->start; i++) depth += (s->t[i].kind == '{') - (s->t[i].kind == '}');
    return depth > 0;
}

static bool misspelt(const site *s)
{
    const ast_token *first = &s->t[s->start];
    if (first->kind != TOK_IDENT || s->at > s->start + 1) return false;
    int next = s->t[s->start + 1].kind;
    if (next == '=' || next == ',' || next == '(' || next == '[' || next == '.') {
        if (!(next == '(' && !in_body(s))) return false;
    }
    const char *word = nearest_keyword(s, !in_body(s));
    if (!word) return false;
    diag *d = report(s, DIAG_E0208, s->start,
                     dfm_fmt(s->p->arena, "`%s` starts no %s", first->text,
                             in_body(s) ? "statement" : "item"));
    diag_help(d, "did you mean `%s`?", word);
    return true;
}

static bool bare_expression(const site *s)
{
    int next = s->t[s->start + 1].kind;
    if (s->t[s->start].kind != TOK_IDENT || s->at != s->start + 1 || !expects(s, "'='") ||
        !(next == '(' || next == '.'))
        return false;
    diag *d = report(s, DIAG_E0211, s->start, "this value is computed and not kept");
    const char *name = s->t[s->start].text;
    if (strcmp(name, "error") == 0) diag_help(d, "write `require false, \"text\"`");
    else diag_help(d, "write `y = %s...` or `return %s...`", name, name);
    return true;
}

static bool comparison_chain(const site *s)
{
    switch (s->t[s->at].kind) {
    case TOK_EQ: case TOK_NE: case TOK_LE: case TOK_GE: case '<': case '>': break;
    default: return false;
    }
    if (!expects(s, "'+'")) return false;
    diag *d = report(s, DIAG_E0209, s->at, "comparisons cannot be chained");
    diag_help(d, "join two of them with `and`: `0 < D and D < 4096`");
    return true;
}

static bool wrong_place(const site *s)
{
    int flags = ast_keyword_flags(s->t[s->at].kind);
    if (s->at != s->start || flags < 0 || s->t[s->at + 1].kind == '=') return false;
    const char *word = spelling(s, s->at);
    if ((flags & BOTH) == ITEM && in_body(s)) {
        diag *d = report(s, DIAG_E0212, s->at,
                         dfm_fmt(s->p->arena, "`%s` cannot stand inside a body", word));
        diag_help(d, "items stand at the top level of the file");
        return true;
    }
    if ((flags & STMT) && flags != BOTH && !in_body(s)) {
        diag *d = report(s, DIAG_E0212, s->at,
                         dfm_fmt(s->p->arena, "`%s` cannot stand at the top level", word));
        diag_help(d, "it belongs in a body, between `{` and `}`");
        return true;
    }
    if ((flags & BOTH) && in_body(s)) {
        report(s, DIAG_E0212, s->at,
               dfm_fmt(s->p->arena, "`%s` cannot stand in this section", word));
        return true;
    }
    return false;
}

static bool reserved_name(const site *s)
{
    const ast_token *t = &s->t[s->at];
    if (ast_keyword_flags(t->kind) < 0) return false;
    if (!expects(s, "a name") && t[1].kind != '=') return false;
    if (expects(s, "return") || expects(s, "block")) {
        if (t[1].kind != '=') return false;
    }
    diag *d = report(s, DIAG_E0210, s->at,
                     dfm_fmt(s->p->arena, "`%s` is a reserved word and cannot be a name",
                             spelling(s, s->at)));
    if (s->at > 0 && t[-1].kind == TOK_AS)
        diag_help(d, "write it as a string: `as \"%s\"`", t->text);
    else if (t->kind == TOK_WHERE && t[1].kind == '(')
        diag_help(d, "`select(c, a, b)` chooses by element");
    else if (t->kind == TOK_DIM && t[1].kind == '=')
        diag_help(d, "dims are given by name: `softmax(x, D)`, `sum(x, S, D)`");
    else
        diag_help(d, "call it something else, such as `%s_`", spelling(s, s->at));
    return true;
}

static void other(const site *s)
{
    const char *words = expected_words(s);
    const char *text = *words ? dfm_fmt(s->p->arena, "expected %s, found %s", words, found(s))
                              : dfm_fmt(s->p->arena, "%s cannot stand here", found(s));
    diag *d = report(s, DIAG_E0201, s->at, text);
    const ast_token *t = &s->t[s->at];
    if (t->kind == '=' && expects(s, "=="))
        diag_help(d, "equality is written `==`");
    if (s->start < s->at && s->t[s->start].kind == TOK_DFM && s->at == s->start + 1)
        diag_help(d, "make the first line `dfm 1`");
    if (t->kind == '*' && s->at > 0 && t[-1].kind == '*' && t[-1].end == t->begin)
        diag_help(d, "powers are written `^`");
    if (t->kind == '{' && expects(s, "->"))
        diag_help(d, "write the type of the result: `-> [B, D] {`");
    if (t->kind == TOK_FOR && s->at == s->start)
        diag_help(d, "`repeat name[i: L] with x { ... }` runs a body L times");
    bool sum = t->kind == '+' || t->kind == '-' || t->kind == '*' || t->kind == '/';
    if (sum && t[1].kind == '=' && s->at == s->start + 1)
        diag_help(d, "write it out: `%s = %s %c ...`", s->t[s->start].text, s->t[s->start].text,
                  t->kind);
    if (t->kind == ':' && s->at > 0 && (t[-1].kind == '[' || t[1].kind == ']'))
        diag_help(d, "`slice(x, D -> E, lo..hi)` cuts a dim, `unstack(x, D)` takes it apart");
    if (t->kind == ':' && expects(s, "'='"))
        diag_help(d, "statements take no types; parameters are declared with `param`");
}

void ast_syntax_error(ast_parser *p, const char *const *expected, uint32_t n)
{
    const ast_tokens *all = p->tokens;
    site s = {.p = p, .t = all->t, .expected = expected, .n = n};
    s.start = s.at = p->look;
    while (s.start > 0 && s.t[s.start - 1].kind != ';' && s.t[s.start - 1].kind != '{' &&
           s.t[s.start - 1].kind != '}')
        s.start--;
    p->recovering = p->failed = true;
    if (s.t[s.at].kind == '{') p->next = s.at;      /* the block is passed over, from here */
    for (uint32_t i = s.start; i < all->n; i++) {
        if (s.t[i].flags & AST_TOK_FAULT) return;
        if (i >= s.at && (s.t[i].kind == ';' || s.t[i].kind == '{')) break;
    }
    if (misspelt(&s) || bare_expression(&s) || comparison_chain(&s) || wrong_place(&s) ||
        reserved_name(&s))
        return;
    other(&s);
}

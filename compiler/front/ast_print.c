/* ast_print.c - tokens and trees as text, for --emit=tokens, --emit=ast and tests. */
#include <string.h>

#include "compiler/front/ast_parse.h"
#include "dfm.tab.h"

/* The slots of each kind, from ast_kinds.def; 0 = unused. */
static const struct {
    const char *print, *text, *slot[4], *kids;
} kinds[AST_N_KINDS] = {
    {"none", 0, {0, 0, 0, 0}, 0},
#define AST_KIND(name, print, text, a, b, c, d, kids, form) {print, text, {a, b, c, d}, kids},
#include "compiler/front/ast_kinds.def"
#undef AST_KIND
};

static const char *const ops[AST_N_OPS] = {"",  "or", "and", "not", "==", "!=", "<", ">", "<=",
                                           ">=", "+", "-",   "*",   "/",  "%",  "//", "-", "^"};

const char *ast_kind_name(ast_kind kind) { return kinds[kind].print; }
const char *ast_op_text(ast_op op) { return ops[op]; }

static void put_quoted(dfm_sb *sb, const char *s)
{
    dfm_sb_puts(sb, "\"");
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\') dfm_sb_printf(sb, "\\%c", c);
        else if (c == '\n') dfm_sb_puts(sb, "\\n");
        else if (c < 0x20 || c == 0x7F) dfm_sb_printf(sb, "\\%03o", c);
        else dfm_sb_add(sb, s, 1);
    }
    dfm_sb_puts(sb, "\"");
}

static void put_spaces(dfm_sb *sb, uint32_t n)
{
    while (n--) dfm_sb_add(sb, " ", 1);
}

/* -- tokens ---------------------------------------------------------------------------------- */

static const char *token_class(int kind)
{
    switch (kind) {
    case 0: return "end";
    case TOK_IDENT: return "name";
    case TOK_INT: return "int";
    case TOK_FLOAT: return "float";
    case TOK_UNIT: return "unit";
    case TOK_STRING: return "string";
    case TOK_DFM_YYerror: return "bad";
    default: return ast_keyword_flags(kind) >= 0 ? "word" : "sign";
    }
}

static void put_line(dfm_sb *sb, const ast_tokens *t, const diag_ctx *cx, const char *what,
                     uint32_t begin, uint32_t end)
{
    uint32_t line, col;
    dfm_loc loc = diag_span_make((diag_ctx *)cx, t->src, begin, end);
    diag_line_col(cx, loc, &line, &col);
    dfm_sb_printf(sb, "%u:%u %s", line, col, what);
    if (end > begin) dfm_sb_puts(sb, " ");
    dfm_sb_add(sb, diag_src_text(cx, t->src, NULL) + begin, end - begin);
    dfm_sb_puts(sb, "\n");
}

void ast_print_tokens(const ast_tokens *t, const diag_ctx *cx, FILE *out)
{
    dfm_arena *a = dfm_arena_create("tokens");
    dfm_sb sb = dfm_sb_make(a);
    for (uint32_t i = 0, c = 0; i < t->n; i++) {
        const ast_token *tok = &t->t[i];
        for (; c < t->n_comments && t->comments[c].before <= i; c++)
            put_line(&sb, t, cx, "comment", t->comments[c].begin, t->comments[c].end);
        bool inserted = tok->flags & AST_TOK_INSERTED;
        const char *what = !inserted ? token_class(tok->kind)
                                     : dfm_fmt(a, "supplied %c", tok->kind);
        put_line(&sb, t, cx, what, tok->begin, tok->end);
    }
    fwrite(dfm_sb_cstr(&sb), 1, sb.n, out);
    dfm_arena_destroy(a);
}

/* -- the tree -------------------------------------------------------------------------------- */

typedef struct printer {
    dfm_sb *sb;
    const diag_ctx *cx;
    bool locs;
} printer;

static void put_loc(printer *p, dfm_loc loc)
{
    uint32_t line, col;
    diag_span s = diag_get_span(p->cx, loc);
    if (!diag_line_col(p->cx, loc, &line, &col)) return;
    dfm_sb_printf(p->sb, " @%u:%u", line, col);
    dfm_loc end = diag_span_make((diag_ctx *)p->cx, s.src, s.end, s.end);
    diag_line_col(p->cx, end, &line, &col);
    dfm_sb_printf(p->sb, "-%u:%u", line, col);
}

static void put_node(printer *p, const ast_node *n, uint32_t indent)
{
    dfm_sb_printf(p->sb, "(%s", kinds[n->kind].print);
    if (n->op) dfm_sb_printf(p->sb, " %s", ops[n->op]);
    if (n->text) {
        dfm_sb_puts(p->sb, " ");
        bool number = n->kind == AST_INT || n->kind == AST_FLOAT || n->kind == AST_UNIT ||
                      n->kind == AST_BOOL;
        if (number) dfm_sb_puts(p->sb, n->text);
        else put_quoted(p->sb, n->text);
    }
    if (p->locs) put_loc(p, n->loc);
    if (n->doc) {
        dfm_sb_puts(p->sb, "\n");
        put_spaces(p->sb, indent + 2);
        dfm_sb_puts(p->sb, "doc: ");
        put_quoted(p->sb, n->doc);
    }
    const ast_node *const slots[] = {n->a, n->b, n->c, n->d};
    for (uint32_t i = 0; i < DFM_LEN(slots); i++) {
        if (!slots[i]) continue;
        dfm_sb_puts(p->sb, "\n");
        put_spaces(p->sb, indent + 2);
        dfm_sb_printf(p->sb, "%c: ", 'a' + (int)i);
        put_node(p, slots[i], indent + 5);
    }
    for (uint32_t i = 0; i < n->n_kids; i++) {
        dfm_sb_puts(p->sb, "\n");
        put_spaces(p->sb, indent + 2);
        put_node(p, n->kids[i], indent + 2);
    }
    dfm_sb_puts(p->sb, ")");
}

void ast_print(const ast_node *n, const diag_ctx *cx, bool locs, FILE *out)
{
    dfm_arena *a = dfm_arena_create("ast_print");
    dfm_sb sb = dfm_sb_make(a);
    printer p = {&sb, cx, locs};
    put_node(&p, n, 0);
    dfm_sb_puts(&sb, "\n");
    fwrite(dfm_sb_cstr(&sb), 1, sb.n, out);
    dfm_arena_destroy(a);
}

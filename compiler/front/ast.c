/* ast.c - building nodes for the grammar, and ast_parse. */
#include "compiler/front/ast_parse.h"

#include <string.h>

#include "dfm.tab.h"

enum { POOL_NODES = 128 };

/* -- tokens for the parser ------------------------------------------------------------------- */

/* Index behind the block that opens at token i. */
static uint32_t behind_block(const ast_tokens *t, uint32_t i)
{
    uint32_t depth = 0;
    for (; i + 1 < t->n; i++) {
        if (t->t[i].kind == '{') depth++;
        if (t->t[i].kind == '}' && --depth == 0) return i + 1;
    }
    return t->n - 1;
}

const ast_token *ast_next_token(ast_parser *p)
{
    const ast_tokens *t = p->tokens;
    while (p->recovering && t->t[p->next].kind == '{') p->next = behind_block(t, p->next);
    const ast_token *tok = &t->t[p->next];
    p->look = p->next;
    if (p->next + 1 < t->n) p->next++;
    if (tok->kind == TOK_DFM_YYerror) p->recovering = true;     /* reported by the scanner */
    return tok;
}

bool ast_recovered(ast_parser *p)
{
    p->recovering = false;
    return !diag_full(p->cx) && !p->too_many;
}

/* -- nodes ----------------------------------------------------------------------------------- */

dfm_loc ast_span(ast_parser *p, ast_range r)
{
    return diag_span_make(p->cx, p->tokens->src, r.begin, r.end);
}

void ast_too_deep(ast_parser *p, ast_range r)
{
    if (p->too_deep) return;
    p->too_deep = p->failed = true;
    diag *d = diag_error(p->cx, DIAG_E0203, ast_span(p, r), "this is nested too deeply");
    diag_help(d, "give parts of it names in statements of their own");
}

static uint32_t depth_of(const ast_node *n)
{
    uint32_t depth = 0;
    const ast_node *const slots[] = {n->a, n->b, n->c, n->d};
    for (size_t i = 0; i < DFM_LEN(slots); i++)
        if (slots[i] && slots[i]->depth > depth) depth = slots[i]->depth;
    for (uint32_t i = 0; i < n->n_kids; i++)
        if (n->kids[i]->depth > depth) depth = n->kids[i]->depth;
    return depth + 1;
}

ast_node *ast_make(ast_parser *p, ast_kind kind, ast_range r, ast_node init)
{
    init.kind = (uint16_t)kind;
    init.loc = ast_span(p, r);
    init.depth = depth_of(&init);
    if (init.depth >= AST_MAX_DEPTH && kind != AST_FILE) {
        ast_too_deep(p, r);
        init = (ast_node){.kind = AST_ERROR, .loc = init.loc, .depth = 1};
    }
    if (++p->n_nodes > AST_MAX_NODES && !p->too_many) {
        p->too_many = p->failed = true;
        diag_error(p->cx, DIAG_E0204, init.loc, "the file has more than %d parts", AST_MAX_NODES);
    }
    if (p->pool_left == 0) {
        p->pool = dfm_new_n(p->arena, ast_node, POOL_NODES);
        p->pool_left = POOL_NODES;
    }
    ast_node *n = p->pool++;
    p->pool_left--;
    *n = init;
    return n;
}

ast_list *ast_list_new(ast_parser *p) { return dfm_new(p->arena, ast_list); }

ast_list *ast_list_add(ast_parser *p, ast_list *l, ast_node *n)
{
    dfm_push(p->arena, l, n);
    return l;
}

ast_node *ast_list_node(ast_parser *p, ast_list *l, ast_range r)
{
    return ast_make(p, AST_LIST, r, (ast_node){.kids = l->p, .n_kids = l->n});
}

ast_node *ast_join_path(ast_parser *p, ast_list *parts, ast_range r)
{
    if (parts->n == 1) return parts->p[0];
    dfm_sb sb = dfm_sb_make(p->arena);
    for (uint32_t i = 0; i < parts->n; i++) {
        if (i) dfm_sb_puts(&sb, ".");
        dfm_sb_puts(&sb, parts->p[i]->text);
    }
    return ast_make(p, AST_PATH, r,
                    (ast_node){.text = dfm_sb_cstr(&sb), .name_loc = ast_span(p, r),
                               .kids = parts->p, .n_kids = parts->n});
}

void ast_set_version(ast_parser *p, ast_node *version)
{
    if (p->version || p->items.n) {
        p->failed = true;
        diag *d = diag_error(p->cx, DIAG_E0202, version->loc,
                             p->version ? "the language version is given twice"
                                        : "the language version must stand before everything else");
        diag_label(d, p->version ? p->version->loc : p->items.p[0]->loc, "%s",
                   p->version ? "first here" : "this stands before it");
    } else if (version->num.i != 1) {
        p->failed = true;
        diag *d = diag_error(p->cx, DIAG_E0213, version->loc, "unknown language version %s",
                             version->text);
        diag_help(d, "this compiler reads `dfm 1`");
    }
    if (!p->version) p->version = version;
}

/* -- doc comments ---------------------------------------------------------------------------- */

/* The text of the `##` lines directly above the token at offset `at`; *next is the first comment
 * not looked at yet. */
static const char *doc_above(ast_parser *p, uint32_t at, uint32_t *next)
{
    const ast_tokens *t = p->tokens;
    const char *text = diag_src_text(p->cx, t->src, NULL);
    uint32_t first = *next, end = *next;
    while (end < t->n_comments && t->comments[end].begin < at) end++;
    *next = end;
    uint32_t i = end;
    while (i > first) {
        const ast_comment *c = &t->comments[i - 1];
        uint16_t below = i == end ? t->t[c->before].flags : t->comments[i].flags;
        if (t->t[c->before].begin != at || !(c->flags & AST_TOK_OWN_LINE) ||
            (below & AST_TOK_BLANK_BEFORE) || c->end - c->begin < 2 || text[c->begin + 1] != '#')
            break;
        i--;
    }
    if (i == end) return NULL;
    dfm_sb sb = dfm_sb_make(p->arena);
    for (uint32_t k = i; k < end; k++) {
        uint32_t b = t->comments[k].begin + 2;
        if (b < t->comments[k].end && text[b] == ' ') b++;
        if (k > i) dfm_sb_puts(&sb, "\n");
        dfm_sb_add(&sb, text + b, t->comments[k].end - b);
    }
    return dfm_sb_cstr(&sb);
}

static void attach_docs(ast_parser *p)
{
    uint32_t next = 0;
    for (uint32_t i = 0; i < p->items.n; i++)
        p->items.p[i]->doc =
            doc_above(p, diag_get_span(p->cx, p->items.p[i]->loc).begin, &next);
}

/* -- ast_parse ------------------------------------------------------------------------------- */

static void check_version(ast_parser *p)
{
    const ast_token *t = p->tokens->t;
    while (t->kind == ';') t++;
    if (p->version || t->kind == TOK_DFM || (t->flags & AST_TOK_FAULT)) return;
    p->failed = true;
    diag *d = diag_error(p->cx, DIAG_E0202, ast_span(p, (ast_range){t->begin, t->end}),
                         "the file does not start with the language version");
    diag_help(d, "make the first line `dfm 1`");
}

ast_file *ast_parse(dfm_arena *a, diag_ctx *cx, diag_src src)
{
    uint32_t first_report = diag_count(cx), n;
    ast_parser p = {.arena = a, .cx = cx, .tokens = ast_lex(a, cx, src)};
    ast_run_grammar(&p);
    check_version(&p);
    attach_docs(&p);
    diag_src_text(cx, src, &n);
    ast_file *f = dfm_new(a, ast_file);
    f->src = src;
    f->tokens = p.tokens;
    f->root = ast_make(&p, AST_FILE, (ast_range){0, n},
                       (ast_node){.a = p.version, .kids = p.items.p, .n_kids = p.items.n});
    diag_sort_from(cx, first_report);
    f->ok = p.tokens->ok && !p.failed;
    return f;
}

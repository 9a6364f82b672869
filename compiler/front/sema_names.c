/* sema_names.c - names and functions in code that was not evaluated: the branch of an `if` that was
 * not taken, and functions that nothing calls and that cannot be evaluated by themselves.
 *
 * Types and dims there depend on constants that do not hold, so only this is checked: every name is
 * bound somewhere in the function or in its file, and every function that is called exists.
 */
#include <string.h>

#include "compiler/front/sema.h"

typedef struct names_check {
    sema *s;
    sema_file *file;
    DFM_VEC(const char *) bound;   /* anywhere in the function */
} names_check;

static void walk_kids(names_check *c, const ast_node *e,
                      void (*visit)(names_check *, const ast_node *))
{
    const ast_node *slots[] = {e->a, e->b, e->c, e->d};
    for (uint32_t i = 0; i < DFM_LEN(slots); i++)
        if (slots[i]) visit(c, slots[i]);
    for (uint32_t i = 0; i < e->n_kids; i++)
        if (e->kids[i]) visit(c, e->kids[i]);
}

/* -- what the function binds ------------------------------------------------------------------- */

static void bind(names_check *c, const char *name)
{
    if (name) dfm_push(c->s->arena, &c->bound, name);
}

static void bind_list(names_check *c, const ast_node *const *p, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (ast_is(p[i], AST_NAME)) bind(c, p[i]->text);
}

static void collect(names_check *c, const ast_node *e)
{
    switch ((ast_kind)e->kind) {
    case AST_TARGET:
        bind(c, e->text);
        if (e->a) bind_list(c, (const ast_node *const *)e->a->kids, e->a->n_kids);
        break;
    case AST_FORMAL:
    case AST_PARAM:
    case AST_BUFFER:
    case AST_DATA:
    case AST_DIM_DEF:
    case AST_ELEM: bind(c, e->text); break;
    case AST_CALL:                           /* sum[k](...) */
        if (ast_is(e->a, AST_INDEX))
            bind_list(c, (const ast_node *const *)e->a->kids, e->a->n_kids);
        break;
    case AST_VJP: bind_list(c, (const ast_node *const *)e->a->kids, e->a->n_kids); break;
    case AST_RETURN:                         /* dy, in a vjp */
        for (uint32_t i = 0; i < e->n_kids; i++)
            if (ast_is(e->kids[i], AST_NAME)) bind(c, sema_fmt(c->s, "d%s", e->kids[i]->text));
        break;
    default: break;
    }
    walk_kids(c, e, collect);
}

/* -- what it uses ------------------------------------------------------------------------------ */

static bool is_bound(const names_check *c, const char *name)
{
    for (uint32_t i = 0; i < c->bound.n; i++)
        if (!strcmp(c->bound.p[i], name)) return true;
    return false;
}

static void check_value(names_check *c, const ast_node *e)
{
    sema_value v;
    if (is_bound(c, e->text) || !strcmp(e->text, "named")) return;
    if (sema_file_name(c->s, c->file, e->text, &v)) return;
    diag *d = sema_error(c->s, E0401, e->loc, "unknown name `%s`", e->text);
    sema_suggest(c->s, d, e->text, c->bound.p, c->bound.n);
}

static void check_callee(names_check *c, const ast_node *e)
{
    sema *s = c->s;
    sema_file *f = c->file;
    sema_fn fn;
    dfm_dtype dt;
    bool any;
    if (ast_is(e, AST_FIELD) && ast_is(e->a, AST_NAME)) f = sema_alias(s, f, e->a->text);
    else if (!ast_is(e, AST_NAME) || sema_is_builtin(e->text)) return;
    else if (sema_dtype_of_name(e->text, &dt, &any)) return;
    if (f && !sema_find_fn(s, f, e->text, &fn)) sema_unknown_fn(s, f, e->text, e->loc);
}

static void check_uses(names_check *c, const ast_node *e)
{
    switch ((ast_kind)e->kind) {
    case AST_NAME: check_value(c, e); return;
    case AST_CALL:
        check_callee(c, e->a);
        if (ast_is(e->a, AST_INDEX)) check_uses(c, e->a);
        for (uint32_t i = 0; i < e->n_kids; i++) check_uses(c, e->kids[i]);
        return;
    case AST_FIELD:
        if (!ast_is(e->a, AST_NAME) || !sema_alias(c->s, c->file, e->a->text)) check_uses(c, e->a);
        return;
    case AST_INDEX:                          /* of a reduction: its name is no value */
        if (!ast_is(e->a, AST_NAME) || !sema_is_builtin(e->a->text)) check_uses(c, e->a);
        for (uint32_t i = 0; i < e->n_kids; i++) check_uses(c, e->kids[i]);
        return;
    case AST_AS: case AST_TAG: check_uses(c, e->a); return;
    case AST_INIT:
        check_uses(c, e->a);
        for (uint32_t i = 0; e->b && i < e->b->n_kids; i++) check_uses(c, e->b->kids[i]);
        return;
    case AST_PARAM: check_uses(c, e->a); return;
    case AST_REPEAT:
        check_uses(c, e->a);
        if (e->c) check_uses(c, e->c);
        return;
    case AST_USE: return;                    /* evaluated whenever its section is */
    case AST_VJP: if (e->c) check_uses(c, e->c); return;
    default: walk_kids(c, e, check_uses); return;
    }
}

static void check_function(sema *s, sema_file *f, const ast_node *node)
{
    names_check c = {.s = s, .file = f};
    collect(&c, node);
    if (node->a) check_uses(&c, node->a);
    if (node->c) check_uses(&c, node->c);
    if (ast_is(node, AST_OP) && node->d) check_uses(&c, node->d);
}

void sema_check_names(sema *s)
{
    for (uint32_t i = 0; i < s->files.n; i++) {
        sema_file *f = s->files.p[i];
        sema_act_begin(s, NULL, f, (dfm_loc){0});
        for (uint32_t k = 0; k < f->fns.n && !diag_full(s->diag); k++)
            check_function(s, f, f->fns.p[k].node);
        for (uint32_t k = 0; k < f->sections.n && !diag_full(s->diag); k++)
            if (f->sections.p[k]->kind == AST_TRAIN || f->sections.p[k]->kind == AST_SAMPLER)
                check_function(s, f, f->sections.p[k]);
        sema_act_end(s);
    }
}

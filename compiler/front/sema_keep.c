/* sema_keep.c - the chosen layout's `recompute` lines, put on the values they speak of.
 *
 * `recompute b saving f, "part"` marks what block, model or repeat `b` computes as to be computed
 * again in the backward pass, except results of calls of `f` and of calls whose path ends in
 * `part`: those are marked as saved. The marks are ir_op.keep; pass/remat.c acts on them.
 */
#include <string.h>

#include "compiler/front/sema.h"

static bool lists(const ast_node *names, const char *name)
{
    for (uint32_t i = 0; i < ast_n(names); i++)
        if (ast_at(names, i)->text && !strcmp(ast_at(names, i)->text, name)) return true;
    return false;
}

sema_keep_state sema_keep_enter(sema *s, const char *name)
{
    sema_keep_state before = {s->keep, s->saving};
    for (uint32_t i = 0; s->layout && name && i < ast_n(s->layout->c); i++) {
        const ast_node *line = ast_at(s->layout->c, i);
        if (line->kind != AST_RECOMPUTE || !lists(line->a, name)) continue;
        s->keep = IR_KEEP_AGAIN;
        s->saving = line->b;
    }
    return before;
}

void sema_keep_leave(sema *s, sema_keep_state before)
{
    s->keep = before.keep;
    s->saving = before.saving;
}

/* Is `part` the end of the call's path, in whole segments? */
static bool ends_path(sema *s, const char *as, const char *part)
{
    const char *up = s->act && s->act->path ? s->act->path : "";
    const char *path = sema_fmt(s, "%s%s%s", up, *up ? "." : "", as);
    size_t n = strlen(path), k = strlen(part);
    return k <= n && !strcmp(path + n - k, part) && (k == n || path[n - k - 1] == '.');
}

static void mark(sema *s, const sema_value *v)
{
    if (v->kind == SV_RECORD)
        for (uint32_t i = 0; i < v->u.rec.n; i++) mark(s, v->u.rec.p[i].value);
    if (v->kind != SV_TENSOR) return;
    ir_graph *g = v->u.t.frame->g;
    ir_op *op = &g->ops.p[v->u.t.v.i];
    op->keep = IR_KEEP_SAVED;
    if (op->kind == IR_GET) g->ops.p[op->args[0].i].keep = IR_KEEP_SAVED;
}

void sema_keep_result(sema *s, const char *fn, const char *as, const sema_value *v)
{
    for (uint32_t i = 0; i < ast_n(s->saving); i++) {
        const ast_node *n = ast_at(s->saving, i);
        if (!n->text) continue;
        bool found = n->kind == AST_STRING ? as && ends_path(s, as, n->text) : !strcmp(n->text, fn);
        if (found) mark(s, v);
    }
}

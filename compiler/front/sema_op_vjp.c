/* sema_op_vjp.c - ops whose author wrote the gradient: a body graph, a gradient graph, a call.
 *
 * Formals of the gradient graph are those of the body, the body's results, and one cotangent per
 * result, named `d` and the name that is returned. Its results are one cotangent per formal.
 */
#include "compiler/front/sema_op.h"

#include <string.h>

typedef struct vjp_formal {
    const char *name;
    sema_value outer;              /* what the caller gave */
    ir_type type;
    dfm_loc loc;
} vjp_formal;

typedef struct vjp_call {
    const ast_node *op;
    vjp_formal formal[SEMA_MAX_ARGS];
    uint32_t n;
    const char *result[SEMA_MAX_ARGS];       /* names that are returned */
    ir_type result_type[SEMA_MAX_ARGS];
    uint32_t n_results;
    ir_call at;
} vjp_call;

static bool collect_formals(sema *s, const ast_node *op, vjp_call *c)
{
    for (uint32_t i = 0; i < ast_n(op->a); i++) {
        const ast_node *f = ast_at(op->a, i);
        sema_value v;
        if (!sema_local(s, f->text, &v) || v.kind != SV_TENSOR) continue;
        if (c->n == SEMA_MAX_ARGS) return false;
        c->formal[c->n++] = (vjp_formal){f->text, v, sema_type_of(s, v), f->loc};
    }
    return true;
}

/* The names that the op returns; a gradient needs each result to have one. */
static bool collect_results(sema *s, const ast_node *op, vjp_call *c)
{
    for (uint32_t i = 0; i < ast_n(op->c); i++) {
        const ast_node *st = ast_at(op->c, i);
        if (st->kind != AST_RETURN) continue;
        for (uint32_t k = 0; k < st->n_kids && k < SEMA_MAX_ARGS; k++) {
            if (!ast_is(st->kids[k], AST_NAME)) {
                diag *d = sema_error(s, E0601, st->kids[k]->loc, "result without a name");
                diag_help(d,
                          "`vjp` calls the gradient of a result `d` and its name: return a name");
                return false;
            }
            c->result[c->n_results++] = st->kids[k]->text;
        }
        return true;
    }
    sema_error(s, E0410, op->name_loc, "op `%s` has no `return` at its end", op->text);
    return false;
}

static void bind_inputs(sema *s, const vjp_call *c)
{
    for (uint32_t i = 0; i < c->n; i++) {
        const vjp_formal *f = &c->formal[i];
        ir_val v = ir_input_new(sema_at(s, f->loc), f->type, IR_ROLE_BODY, i, f->name);
        sema_set(s, f->name, sema_tensor(s, v));
    }
}

static void reset_results(sema *s)
{
    s->act->results.n = 0;
    s->act->returned = false;
}

static bool build_body(sema *s, vjp_call *c)
{
    sema_frame *f = sema_root_begin(s, sema_fmt(s, "%s.body", c->op->text));
    c->at.body = f->graph;
    bind_inputs(s, c);
    op_begin(s, c->op);
    bool ok = op_stmts(s, c->op->c) && s->act->results.n == c->n_results;
    for (uint32_t k = 0; ok && k < c->n_results; k++) {
        sema_value r = s->act->results.p[k];
        ir_val v = sema_as_val(s, r, DFM_F32, r.loc);
        ok = v.i != 0;
        if (!ok) break;
        ir_result_add(sema_at(s, r.loc), v, c->result[k]);
        c->result_type[k] = ir_type_at(s->frame->g, v);
    }
    op_end(s);
    sema_root_end(s);
    reset_results(s);
    return ok;
}

static int formal_of_gradient(const vjp_call *c, const char *name)
{
    for (uint32_t i = 0; i < c->n; i++)
        if (name[0] == 'd' && !strcmp(name + 1, c->formal[i].name)) return (int)i;
    return -1;
}

/* The names in `vjp (dx, dw)`: gradients of formals, each once. */
static bool check_names(sema *s, const vjp_call *c, const ast_node *names, bool *given)
{
    bool ok = true;
    for (uint32_t k = 0; k < ast_n(names); k++) {
        const ast_node *n = ast_at(names, k);
        int i = n->text ? formal_of_gradient(c, n->text) : -1;
        if (i >= 0 && !given[i]) {
            given[i] = true;
            continue;
        }
        diag *d = sema_error(s, E0602, n->loc, "`%s` is not the gradient of a formal of `%s`",
                             n->text ? n->text : "this", c->op->text);
        diag_help(d, "the gradient of formal `x` is called `dx`");
        ok = false;
    }
    return ok;
}

/* The gradient of formal i: what the body assigned, in the formal's type; else zeros. */
static ir_val gradient_of(sema *s, const vjp_call *c, uint32_t i, bool given)
{
    const vjp_formal *f = &c->formal[i];
    const char *name = sema_fmt(s, "d%s", f->name);
    dfm_loc loc = c->op->d->loc;
    ir_builder *b = sema_at(s, loc);
    const ir_type_info want = *ir_type_of(s->m, f->type);
    dfm_dtype dt = dfm_dtype_is_float(want.dtype) ? want.dtype : DFM_F32;
    ir_type t = ir_with_dtype(s->m, f->type, dt);
    sema_value v;
    if (!given) return ir_broadcast(b, ir_scalar(b, dt, 0.0), t);
    if (!sema_local(s, name, &v) || v.kind != SV_TENSOR) {
        if (sema_local(s, name, &v) && sema_bad(v)) return (ir_val){0};
        sema_error(s, E0602, loc, "`%s` is listed and never assigned", name);
        return (ir_val){0};
    }
    ir_val x = sema_use(s, v);
    const ir_type_info have = *ir_type_of(s->m, ir_type_at(b->g, x));
    ir_ix coords[IR_MAX_RANK];
    bool same = have.rank == want.rank;
    for (uint32_t k = 0; same && k < have.rank; k++) {
        same = ir_extent(s->m, have.dims[k]) == ir_extent(s->m, want.dims[k]);
        coords[k] = ir_ix_var(s->m, want.dims[k]);
    }
    if (!same) {
        diag *d = sema_error(s, E0602, loc, "`%s` has another shape than `%s`", name, f->name);
        diag_note(d, "%s and %s", sema_value_text(s, v), sema_ir_type_text(s, f->type));
        return (ir_val){0};
    }
    x = ir_view_of(b, x, ir_with_dtype(s->m, t, have.dtype), coords, NULL, 0, 0.0);
    return ir_cast(b, x, dt);
}

static bool build_gradient(sema *s, vjp_call *c, bool *given)
{
    const ast_node *vjp = c->op->d;
    sema_frame *f = sema_root_begin(s, sema_fmt(s, "%s.vjp", c->op->text));
    c->at.vjp = f->graph;
    bind_inputs(s, c);
    for (uint32_t pass = 0; pass < 2; pass++)
        for (uint32_t k = 0; k < c->n_results; k++) {
            const char *name = pass ? sema_fmt(s, "d%s", c->result[k]) : c->result[k];
            uint32_t at = c->n + pass * c->n_results + k;
            ir_val v =
                ir_input_new(sema_at(s, vjp->loc), c->result_type[k], IR_ROLE_BODY, at, name);
            sema_set(s, name, sema_tensor(s, v));
        }
    op_begin(s, c->op)->in_vjp = true;
    for (uint32_t k = 0; k < c->n_results; k++) {
        op_register_result(s, c->result[k], k);
        op_register_result(s, sema_fmt(s, "d%s", c->result[k]), k);
    }
    bool ok = check_names(s, c, vjp->a, given) && op_stmts(s, vjp->c);
    if (ok && s->act->returned) {
        sema_error(s, E0411, vjp->loc, "`vjp` has no `return`: it assigns the gradients");
        ok = false;
    }
    for (uint32_t i = 0; ok && i < c->n; i++) {
        ir_val v = gradient_of(s, c, i, given[i]);
        ok = v.i != 0;
        if (ok) ir_result_add(sema_at(s, vjp->loc), v, sema_fmt(s, "d%s", c->formal[i].name));
    }
    op_end(s);
    sema_root_end(s);
    reset_results(s);
    return ok;
}

/* -- does a value need a gradient? ------------------------------------------------------------- */

static bool depends(sema *s, sema_frame *f, ir_val v, uint8_t *seen);

static bool input_depends(sema *s, sema_frame *f, ir_val v, const ir_op *op)
{
    if (op->at->input.role != IR_ROLE_BODY) return false;
    for (uint32_t i = 0; i < f->caps.n; i++) {
        if (!ir_same(f->caps.p[i].inner, v) || !f->parent) continue;
        uint8_t *seen = dfm_new_n(s->arena, uint8_t, f->parent->g->ops.n);
        return depends(s, f->parent, f->caps.p[i].outer, seen);
    }
    return !ir_same(v, f->iter);             /* a carry, a layer's parameter */
}

static bool depends(sema *s, sema_frame *f, ir_val v, uint8_t *seen)
{
    const ir_op *op = ir_op_of(f->g, v);
    if (seen[v.i]) return false;
    seen[v.i] = 1;
    switch (op->kind) {
    case IR_PARAM: return s->m->params.p[op->at->param].trainable;
    case IR_INPUT: return input_depends(s, f, v, op);
    case IR_STOP_GRAD: return false;
    case IR_SCAN: return true;
    default: break;
    }
    for (uint32_t i = 0; i < op->n_args; i++)
        if (depends(s, f, op->args[i], seen)) return true;
    return false;
}

static bool check_missing(sema *s, const vjp_call *c, const bool *given)
{
    bool ok = true;
    for (uint32_t i = 0; i < c->n; i++) {
        const vjp_formal *f = &c->formal[i];
        if (given[i] || !dfm_dtype_is_float(ir_type_of(s->m, f->type)->dtype)) continue;
        uint8_t *seen = dfm_new_n(s->arena, uint8_t, s->frame->g->ops.n);
        if (!depends(s, s->frame, sema_use(s, f->outer), seen)) continue;
        diag *d = sema_error(s, E0603, s->act->call_loc,
                             "`%s` needs a gradient here, and the `vjp` of `%s` gives none",
                             f->name, c->op->text);
        diag_label(d, c->op->d->loc, "no `d%s` here", f->name);
        diag_help(d, "add `d%s` to the vjp, or pass `stop_grad(...)`", f->name);
        ok = false;
    }
    return ok;
}

bool op_call_with_vjp(sema *s, const ast_node *op)
{
    vjp_call *c = dfm_new(s->arena, vjp_call);
    bool given[SEMA_MAX_ARGS] = {0};
    ir_val args[SEMA_MAX_ARGS];
    c->op = op;
    if (!collect_formals(s, op, c) || !collect_results(s, op, c) || !build_body(s, c)
        || !build_gradient(s, c, given) || !check_missing(s, c, given))
        return false;
    for (uint32_t i = 0; i < c->n; i++) {
        args[i] = sema_use(s, c->formal[i].outer);
        sema_set(s, c->formal[i].name, c->formal[i].outer);
    }
    ir_call *at = dfm_dup(s->arena, &c->at, sizeof c->at);
    ir_builder *b = sema_at(s, s->act->call_loc);
    ir_val call = ir_call_op(b, at, args, c->n);
    for (uint32_t k = 0; k < c->n_results; k++) {
        ir_val v = c->n_results > 1 ? ir_get(b, call, k) : call;
        dfm_push(s->arena, &s->act->results, sema_tensor(s, v));
    }
    s->act->returned = true;
    return true;
}

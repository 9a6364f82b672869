/* simplify.c - drop what nothing uses and fold again.
 *
 * Most of the work is the builder's: what an earlier pass made foldable folds when it is copied.
 * Of its own the pass knows: a float divided by a value with fewer dims (a row's norm, say) is
 * multiplied by the reciprocal, which is computed once per row; and after differentiation
 * stop_grad is the identity (pass_options).
 */
#include "compiler/pass/pass.h"

static bool divides_rows(const ir_module *m, const ir_graph *g, const ir_op *op,
                         const ir_val *args)
{
    if (op->kind != IR_MAP || op->at->fn != IR_FN_DIV || ir_const_of(g, args[1])) return false;
    const ir_type_info *t = ir_type_of(m, op->type);
    const ir_type_info *x = ir_type_of(m, ir_type_at(g, args[0]));
    const ir_type_info *y = ir_type_of(m, ir_type_at(g, args[1]));
    return dfm_dtype_is_float(t->dtype) && y->rank < x->rank && x->rank == t->rank;
}

static ir_val simplified(pass_ctx *cx, ir_builder *b, const ir_op *op, const ir_val *args)
{
    if (op->kind == IR_STOP_GRAD && cx->options.drop_stop_grad) return args[0];
    if (!divides_rows(cx->m, b->g, op, args)) return ir_emit_copy(b, op, args);
    ir_attrs at = {.fn = IR_FN_MUL};
    ir_op mul = *op;
    b->loc = op->loc;
    ir_val factors[2] = {args[0], ir_map1(b, IR_FN_RECIP, args[1])};
    mul.at = &at;
    mul.args = factors;
    return ir_emit_copy(b, &mul, factors);
}

bool pass_simplify(pass_ctx *cx, const ir_graph *in, ir_graph *out)
{
    ir_graph *between = ir_graph_scratch(cx->m);
    ir_builder b = {.m = cx->m, .g = between};
    const bool *live = pass_live(cx, in);
    ir_val *map = dfm_new_n(cx->scratch, ir_val, in->ops.n);
    for (uint32_t i = 1; i < in->ops.n; i++) {
        ir_op op = in->ops.p[i];
        ir_attrs at;
        if (!live[i]) continue;
        if (op.kind == IR_SCAN || op.kind == IR_CALL) {
            at = *op.at;
            uint32_t *body = op.kind == IR_SCAN ? &at.scan.body : &at.call.body;
            *body = pass_body(cx, pass_simplify, *body);
            if (op.kind == IR_CALL && at.call.vjp)
                at.call.vjp = pass_body(cx, pass_simplify, at.call.vjp);
            if (!*body) return false;
            op.at = &at;
        }
        map[i] = simplified(cx, &b, &op, pass_args(cx, &op, map));
    }
    pass_results(cx, in, map, between);
    ir_compact(cx->m, between, out);
    return true;
}

/* ir_copy.c - copies of ops and of whole graphs through the folding emitters; concat and stack. */
#include "compiler/ir/ir_impl.h"

#include <string.h>

/* t's dims in their order if x's type has the same set; else x's own. */
static ir_type same_order(ir_builder *b, ir_type natural, ir_type wanted)
{
    const ir_type_info *a = ir_type_of(b->m, natural), *w = ir_type_of(b->m, wanted);
    if (a->rank != w->rank) return natural;
    for (int i = 0; i < a->rank; i++)
        if (!ir_has_dim(w, a->dims[i])) return natural;
    return ir_with_dtype(b->m, wanted, a->dtype);
}

static ir_val copy_op(ir_builder *b, const ir_op *op, const ir_val *args)
{
    const ir_attrs *at = op->at;
    switch (op->kind) {
    case IR_CONST: return ir_emit(b, IR_CONST, op->type, NULL, 0, at);
    case IR_IOTA: return ir_iota(b, ir_type_of(b->m, op->type)->dims[0]);
    case IR_MAP: {
        ir_type natural = ir_map_type(b->m, b->g, at->fn, args, op->n_args);
        return ir_map_typed(b, at->fn, args, op->n_args, same_order(b, natural, op->type));
    }
    case IR_CAST: return ir_cast(b, args[0], ir_type_of(b->m, op->type)->dtype);
    case IR_STOP_GRAD: return ir_stop_grad(b, args[0]);
    case IR_VIEW:
        return ir_view_of(b, args[0], op->type, at->view.coords, at->view.guard, at->view.n_conds,
                          at->view.fill);
    case IR_REDUCE:
        return ir_reduce_over(b, at->reduce.kind, args[0], at->reduce.dims, at->reduce.n_dims);
    case IR_CONTRACT:
        return ir_contract_over(b, args[0], args[1], at->contract.pairs, at->contract.n_pairs,
                                op->type);
    case IR_GATHER: return ir_gather_rows(b, args[0], at->gather.dim, args[1]);
    case IR_SCATTER_ADD:
        return ir_scatter_add_rows(b, args[0], args[1], at->gather.dim, op->type);
    case IR_GET: return ir_get(b, args[0], at->member);
    case IR_SCAN: return ir_scan_over(b, &at->scan, args, op->n_args);
    case IR_CALL: return ir_call_op(b, &at->call, args, op->n_args);
    default: return ir_emit(b, op->kind, op->type, args, op->n_args, at);
    }
}

ir_val ir_emit_copy(ir_builder *b, const ir_op *op, const ir_val *args)
{
    dfm_loc saved = b->loc;
    ir_keep keep = b->keep;
    if (op->loc.i) b->loc = op->loc;
    b->keep = op->keep;
    ir_val v = copy_op(b, op, args);
    b->loc = saved;
    b->keep = keep;
    if (op->keep && !b->g->ops.p[v.i].keep) b->g->ops.p[v.i].keep = op->keep;
    if (op->name.i && !b->g->ops.p[v.i].name.i) b->g->ops.p[v.i].name = op->name;
    /* Folding may order the dims differently: whoever copies a graph relies on the types. */
    if (!ir_type_of(b->m, op->type)->is_tuple && ir_type_at(b->g, v).i != op->type.i) {
        ir_type t = same_order(b, ir_type_at(b->g, v), op->type);
        if (ir_type_at(b->g, v).i != t.i) v = ir_transpose_to(b, v, t);
    }
    return v;
}

void ir_inline(ir_builder *b, const ir_graph *src, const ir_val *inputs, ir_val *out_results)
{
    ir_val *map = dfm_new_n(b->m->arena, ir_val, src->ops.n);
    ir_val *args = NULL;
    uint32_t cap = 0;
    for (uint32_t i = 0; i < src->inputs.n; i++) map[src->inputs.p[i].i] = inputs[i];
    for (uint32_t i = 1; i < src->ops.n; i++) {
        const ir_op *op = &src->ops.p[i];
        if (op->kind == IR_INPUT) continue;
        if (op->n_args > cap) args = dfm_new_n(b->m->arena, ir_val, cap = op->n_args);
        for (uint32_t k = 0; k < op->n_args; k++) args[k] = map[op->args[k].i];
        map[i] = ir_emit_copy(b, op, args);
    }
    for (uint32_t i = 0; i < src->results.n; i++) out_results[i] = map[src->results.p[i].val.i];
}

void ir_compact(ir_module *m, const ir_graph *src, ir_graph *out)
{
    dfm_arena *a = dfm_arena_create("compact");
    bool *live = dfm_new_n(a, bool, src->ops.n);
    ir_val *map = dfm_new_n(a, ir_val, src->ops.n);
    for (uint32_t i = 0; i < src->results.n; i++) live[src->results.p[i].val.i] = true;
    for (uint32_t i = src->ops.n; i-- > 1;) {
        const ir_op *op = &src->ops.p[i];
        for (uint32_t k = 0; live[i] && k < op->n_args; k++) live[op->args[k].i] = true;
    }
    for (uint32_t i = 1; i < src->ops.n; i++) {
        ir_op op = src->ops.p[i];
        if (!live[i] && op.kind != IR_INPUT) continue;
        ir_val *args = dfm_new_n(m->arena, ir_val, op.n_args);
        for (uint32_t k = 0; k < op.n_args; k++) args[k] = map[op.args[k].i];
        op.args = args;
        map[i] = ir_append(m, out, &op);
    }
    for (uint32_t i = 0; i < src->results.n; i++) {
        ir_result r = {map[src->results.p[i].val.i], src->results.p[i].name};
        dfm_push(m->arena, &out->results, r);
    }
    dfm_arena_destroy(a);
}

/* -- concat, stack --------------------------------------------------------------------------- */

/* The piece x, whose index along dim_in is dim_out - offset, under the type of the whole; zero
 * outside the piece. */
static ir_val placed(ir_builder *b, ir_val x, ir_dim dim_in, ir_dim dim_out, int64_t offset,
                     ir_type t)
{
    ir_type_info ti = *ir_type_of(b->m, ir_type_at(b->g, x));
    ir_ix coords[IR_MAX_RANK];
    ir_ix at = ir_ix_add(b->m, ir_ix_var(b->m, dim_out), ir_ix_const(b->m, -offset));
    for (int i = 0; i < ti.rank; i++)
        coords[i] = ti.dims[i].i == dim_in.i ? at : ir_ix_var(b->m, ti.dims[i]);
    ir_cond in_piece = {at, 0, ir_extent(b->m, dim_in) - 1};
    return ir_view_of(b, x, t, coords, &in_piece, 1, 0);
}

ir_val ir_concat(ir_builder *b, const ir_val *xs, uint32_t n, ir_dim dim_out,
                 const ir_dim *dims_in)
{
    DFM_ASSERT(n > 0);
    ir_type_info ti = *ir_type_of(b->m, ir_type_at(b->g, xs[0]));
    for (int i = 0; i < ti.rank; i++)
        if (ti.dims[i].i == dims_in[0].i) ti.dims[i] = dim_out;
    ir_type t = ir_tensor(b->m, ti.dtype, ti.dims, ti.rank);
    int64_t end = ir_extent(b->m, dim_out);
    ir_val all = {0};
    for (uint32_t k = n; k-- > 0;) {                    /* from the last: first < first's extent */
        int64_t begin = end - ir_extent(b->m, dims_in[k]);
        DFM_ASSERT(begin >= 0);
        ir_val piece = placed(b, xs[k], dims_in[k], dim_out, begin, t);
        if (all.i) {
            ir_val mine = ir_map2(b, IR_FN_LT, ir_iota(b, dim_out),
                                  ir_scalar(b, DFM_I32, (double)end));
            piece = ir_map_typed(b, IR_FN_SELECT, (ir_val[]){mine, piece, all}, 3, t);
        }
        all = piece;
        end = begin;
    }
    DFM_ASSERT(end == 0);
    return all;
}

ir_val ir_stack(ir_builder *b, const ir_val *xs, uint32_t n, ir_dim dim_out)
{
    DFM_ASSERT(n > 0 && ir_extent(b->m, dim_out) == (int64_t)n);
    ir_type x = ir_type_at(b->g, xs[0]);
    dfm_dtype dt = ir_type_of(b->m, x)->dtype;
    ir_type t = ir_union(b->m, dt, ir_tensor(b->m, dt, &dim_out, 1), x);
    ir_val all = {0};
    for (uint32_t k = n; k-- > 0;) {
        ir_val piece = ir_broadcast(b, xs[k], t);
        if (all.i) {
            ir_val mine = ir_map2(b, IR_FN_LE, ir_iota(b, dim_out), ir_scalar(b, DFM_I32, k));
            piece = ir_map_typed(b, IR_FN_SELECT, (ir_val[]){mine, piece, all}, 3, t);
        }
        all = piece;
    }
    return all;
}

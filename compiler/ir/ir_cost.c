/* ir_cost.c - what an op costs if it stands alone: operations, bytes read and written.
 *
 * A pointwise function counts as one operation, a multiply-add as two. Views, constants and casts
 * cost bytes only. A scan costs its body times the trips.
 */
#include "compiler/ir/ir_impl.h"

static double bytes_of(const ir_module *m, ir_type t)
{
    const ir_type_info *ti = ir_type_of(m, t);
    double n = 0;
    if (!ti->is_tuple) return (double)ir_elems(m, t) * (double)dfm_dtype_bytes(ti->dtype);
    for (uint32_t i = 0; i < ti->n_members; i++) n += bytes_of(m, ti->members[i]);
    return n;
}

static double elems_of(const ir_module *m, const ir_graph *g, ir_val v)
{
    return (double)ir_elems(m, ir_type_at(g, v));
}

/* Pairs of query and key, times batch; causal attention sees half of them, a window its width. */
static double attend_pairs(const ir_module *m, const ir_graph *g, const ir_op *op)
{
    const ir_attend *a = &op->at->attend;
    double q = (double)ir_extent(m, a->seq), k = (double)ir_extent(m, a->over), seen = q * k;
    double batch = elems_of(m, g, op->args[0]) / q / (double)ir_extent(m, a->feature);
    if (a->window && 2 * a->window + 1 < k) seen = q * (double)(2 * a->window + 1);
    return batch * (a->causal ? seen / 2 : seen);
}

static double flops_of(const ir_module *m, const ir_graph *g, const ir_op *op)
{
    double out = ir_type_of(m, op->type)->is_tuple ? 0 : (double)ir_elems(m, op->type);
    const ir_attend *a = &op->at->attend;
    switch (op->kind) {
    case IR_MAP:
    case IR_RANDOM: return out;
    case IR_REDUCE: return elems_of(m, g, op->args[0]);
    case IR_SCATTER_ADD: return elems_of(m, g, op->args[1]);
    case IR_CONTRACT:
        for (uint32_t i = 0; i < op->at->contract.n_pairs; i++)
            out *= (double)ir_extent(m, op->at->contract.pairs[i].a);
        return 2 * out;
    case IR_ATTEND:
        return 2 * attend_pairs(m, g, op)
            * (double)(ir_extent(m, a->feature) + ir_extent(m, a->value));
    case IR_ATTEND_BWD:
        return 2 * attend_pairs(m, g, op)
            * (double)(3 * ir_extent(m, a->feature) + 2 * ir_extent(m, a->value));
    default: return 0;
    }
}

static void add(ir_cost *to, ir_cost x, double times)
{
    to->flops += times * x.flops;
    to->bytes_read += times * x.bytes_read;
    to->bytes_written += times * x.bytes_written;
}

ir_cost ir_op_cost(const ir_module *m, const ir_graph *g, ir_val v)
{
    const ir_op *op = ir_op_of(g, v);
    ir_cost c = {0};
    if (op->kind == IR_SCAN || op->kind == IR_CALL) {
        bool scan = op->kind == IR_SCAN;
        const ir_graph *body = m->graphs.p[scan ? op->at->scan.body : op->at->call.body];
        double trips = scan ? (double)ir_extent(m, op->at->scan.loop) : 1;
        for (uint32_t i = 1; i < body->ops.n; i++) add(&c, ir_op_cost(m, body, (ir_val){i}), trips);
        return c;
    }
    switch (op->kind) {
    case IR_INPUT:
    case IR_PARAM:
    case IR_CONST:
    case IR_IOTA:
    case IR_GET:
    case IR_STOP_GRAD: return c;
    default: break;
    }
    c.flops = flops_of(m, g, op);
    c.bytes_written = bytes_of(m, op->type);
    for (uint32_t k = 0; k < op->n_args; k++) {
        bool rows = op->kind == IR_GATHER && k == 0;     /* only the rows that are taken */
        c.bytes_read += rows ? c.bytes_written : bytes_of(m, ir_type_at(g, op->args[k]));
    }
    return c;
}

/* inline_calls.c - replace each call by its body.
 *
 * A call exists for its user-written gradient; once gradients are there its body is like any
 * other code, and can fuse with what surrounds it. Calls inside bodies of scans, and inside
 * bodies of calls, are inlined too.
 */
#include "compiler/pass/pass.h"

/* A call's results: what `get` of the call refers to. */
typedef struct inlined {
    ir_val *results;
    uint32_t n;
} inlined;

static bool inline_one(pass_ctx *cx, ir_builder *b, const ir_op *op, const ir_val *args,
                       inlined *out)
{
    uint32_t body = pass_body(cx, pass_inline_calls, op->at->call.body);
    if (!body) return false;
    const ir_graph *src = cx->m->graphs.p[body];
    out->n = src->results.n;
    out->results = dfm_new_n(cx->scratch, ir_val, out->n);
    ir_inline(b, src, args, out->results);
    return true;
}

bool pass_inline_calls(pass_ctx *cx, const ir_graph *in, ir_graph *out)
{
    ir_builder b = {.m = cx->m, .g = out};
    ir_val *map = dfm_new_n(cx->scratch, ir_val, in->ops.n);
    inlined *calls = dfm_new_n(cx->scratch, inlined, in->ops.n);
    for (uint32_t i = 1; i < in->ops.n; i++) {
        ir_op op = in->ops.p[i];
        const ir_val *args = pass_args(cx, &op, map);
        b.loc = op.loc;
        if (op.kind == IR_CALL) {
            if (!inline_one(cx, &b, &op, args, &calls[i])) return false;
            if (calls[i].n == 1) map[i] = calls[i].results[0];
        } else if (op.kind == IR_GET && calls[op.args[0].i].results) {
            map[i] = calls[op.args[0].i].results[op.at->member];
        } else if (op.kind == IR_SCAN) {
            ir_attrs at = *op.at;
            at.scan.body = pass_body(cx, pass_inline_calls, at.scan.body);
            if (!at.scan.body) return false;
            op.at = &at;
            map[i] = ir_emit_copy(&b, &op, args);
        } else {
            map[i] = ir_emit_copy(&b, &op, args);
        }
    }
    pass_results(cx, in, map, out);
    return true;
}

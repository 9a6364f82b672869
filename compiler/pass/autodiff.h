/* autodiff.h - reverse-mode differentiation on G.
 *
 * The forward graph is copied and the gradient appended; nothing but `in`'s own ops is needed, so
 * the pass can run on any graph with a scalar result. The rules are in four tables: per op
 * (autodiff_ops.c), per scalar function (autodiff_fns.c), for views (autodiff_view.c) and for
 * scans (autodiff_scan.c). docs/design/0003-differentiation.md gives the reasons.
 */
#ifndef DFM_COMPILER_PASS_AUTODIFF_H
#define DFM_COMPILER_PASS_AUTODIFF_H

#include "compiler/pass/pass.h"

/* What to differentiate with respect to. */
typedef struct ad_request {
    bool params;                             /* all trainable parameters, in the module's order */
    uint32_t n_wrt;
    const ir_val *wrt;                       /* then these float values of `in`, inputs or others */
} ad_request;

/* Fills the empty graph `out`: a copy of `in`, and gradients of in's result 0, a float scalar.
 * Inputs of out: those of `in`, in order. Results of out: the loss, under its name, then one
 * gradient per target, in order, named "grad." and the target's name, typed as the target
 * (parameters: f32). A target without influence gets zeros. Scans that take part get new bodies;
 * graphs that exist are never changed. New graphs and dims are added to the module.
 * False after recording a failure in cx->err: the result is no float scalar, or a gradient would
 * have to flow through attend_bwd or to a parameter inside a body. */
bool ad_grad(pass_ctx *cx, const ir_graph *in, const ad_request *rq, ir_graph *out);

#endif

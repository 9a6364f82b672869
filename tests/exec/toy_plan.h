/* toy_plan.h - a plan made by hand that trains, samples and runs, with kernels of 60 lines of C.
 *
 *   model toy (x: f32[B=2, N=4], y: i32[B]) -> out[b, n] = sum_k x[b, k] w[n, k] + y[b]
 *   train fit: data x0 f32[B, N] from "x.npy", label i32[B] from "cls"; draw e f32[B, N];
 *       loss = mean((u - x0 - label - e / 100)^2) / 2 with the vector u; g = its gradient
 *       update: v = 0.9 v + g; u = u - 0.5 v; average ema.0 = (ema.0 + u) / 2
 *   sampler: out f32[B, 1, 2, 2] = u + label / 100 + noise of the sample
 *
 * Weights: "layer.w" f32[4, 4] (its inverse permutation at first: a loop with moving operands makes
 * it), "u" f32[4], buffer "pos" f32[4].
 */
#ifndef DFM_TESTS_TOY_PLAN_H
#define DFM_TESTS_TOY_PLAN_H

#include "runtime/plan/plan.h"

typedef struct toy_options {
    const char *target;                      /* "cpu", "null" */
    const char *flag; /* a processor flag that the plan asks for; NULL: none */
    const char *data;                        /* default data; NULL: none */
    const char *symbol;                      /* of the first kernel, if not the right one */
    bool nan_at_3;                           /* step.grad makes NaN in step 3 */
} toy_options;

/* Compile the kernels with the host's cc in `folder` and write the plan. */
dfm_status toy_plan_write(const char *path, const char *folder, const toy_options *o, dfm_err *err);

#endif

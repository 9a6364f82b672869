/* levels.h - one program through every level, compared: interpreter of G in float64 (the truth),
 * interpreter of K on planned memory, compiled code on planned memory. */
#ifndef DFM_TESTS_LEVELS_H
#define DFM_TESTS_LEVELS_H

#include "compiler/ir/ir.h"

typedef struct levels_options {
    uint64_t seed;                           /* of inputs, parameters and draws */
    bool compiled;                           /* also compile and run; else only K's interpreter */
    double floor;                            /* relative error always allowed, e.g. 1e-5 */
    double spread;                           /* allowed multiple of the rounding spread, e.g. 8 */
    double quiet;                            /* errors are relative to the result's size plus this
                                                share of the largest among its kind (gradients,
                                                states, outputs) */
    double agree;                            /* allowed error of code against K's interpreter; 0: any */
    bool quick;                              /* compile for speed of compilation */
} levels_options;

typedef struct levels_report {
    double worst_k, worst_code;              /* largest relative errors met */
    uint32_t n_kernels, n_nodes;
    char text[1024];                         /* what differed, when levels_check is false */
} levels_report;

/* Every program of m (calls inlined, no programs of gradients to make any more). Inputs are filled
 * by dtype: floats about normal, i32 in 0..6, bool; states likewise. Results are compared by the
 * norm of the difference over the norm of the truth, each tensor. The spread is how far the
 * interpreter of G moves when it rounds as f32 does, and in modules with bf16 as bf16 does. */
bool levels_check(ir_module *m, const levels_options *o, levels_report *out);

#endif

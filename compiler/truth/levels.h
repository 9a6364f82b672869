/* levels.h - one program through every level, compared: interpreter of G in float64 (the truth),
 * interpreter of K on planned memory, compiled code on planned memory. */
#ifndef DFM_COMPILER_TRUTH_LEVELS_H
#define DFM_COMPILER_TRUTH_LEVELS_H

#include "compiler/kir/kir.h"

typedef struct levels_options {
    uint64_t seed;                           /* of inputs, parameters and draws */
    bool compiled;                           /* also compile and run; else only K's interpreter */
    double floor;                            /* relative error always allowed, e.g. 1e-5 */
    double spread;                           /* allowed multiple of the rounding spread, e.g. 8 */
    double quiet;                            /* errors are relative to the result's size plus this
                                                share of the largest among its kind (gradients,
                                                states, outputs) */
    double agree;                            /* allowed error of code against K's interpreter,
                                                beyond `spread` times the rounding spread of f32
                                                alone; 0: any */
    bool positive;                           /* float inputs are all positive */
    bool quick;                              /* compile for speed of compilation */
    const char *arch;                        /* processor level; NULL: native */
    uint32_t part;                           /* code of: 0 every program; 1 of gradients and
                                                updates; 2 of the others. K's interpreter runs
                                                all. */
    /* Called after each program that agreed, if set, with the largest errors of its results. */
    void (*program)(void *user, const char *name, double worst_k, double worst_code);
    /* Called for each node of K, if set. */
    void (*visit)(void *user, const kir_module *k, const kir_node *n);
    void *user;
} levels_options;

typedef struct levels_report {
    double worst_k, worst_code;              /* largest relative errors met */
    uint32_t n_kernels, n_nodes;
    bool not_finite;                         /* the truth is not finite: other inputs might do */
    char text[1024];                         /* what differed, when levels_check is false */
} levels_report;

/* Every program of m (calls inlined, no programs of gradients to make any more). Inputs are filled
 * by dtype: floats about normal, i32 in 0..6, bool; states likewise. Results are compared by the
 * norm of the difference over the norm of the truth, each tensor. The spread is how far the
 * interpreter of G moves when it rounds as f32 does, and in modules with bf16 as bf16 does. Where
 * that is too little for a result, also when it rounds either way, three times: to the nearest,
 * equal values have equal errors, which may cancel in one order of sums and not in another. */
bool levels_check(ir_module *m, const levels_options *o, levels_report *out);

/* The same in two steps, so that the code of many modules is compiled at once. `begin` lowers and
 * writes the translation units, with `prefix` before every symbol; `end` compares, with the code
 * found in `handle` (of dlopen), and frees. NULL, and out->text, if lowering fails. m, o and out
 * stay in use in between. */
typedef struct levels levels;
levels *levels_begin(ir_module *m, const levels_options *o, const char *prefix,
                     levels_report *out);
const char *const *levels_texts(const levels *l, uint32_t *out_n);
bool levels_end(levels *l, void *handle);

#endif

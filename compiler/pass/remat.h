/* remat.h - what a backward scan finds stored, and what it computes again.
 *
 * Differentiation leaves pairs of scans: a forward one that stacks values per iteration, and a
 * backward one that reads the stacks. This pass decides for each pair which values are stacked. In
 * the order of precedence:
 *
 *   the layout   values marked `again` (ir_op.keep) are computed again, values marked `saved` kept
 *   the model    else whatever takes less time by the cost model below
 *   the budget   level k > 0 of a list of choices that need ever fewer bytes and ever more time
 *
 * Cost model, per iteration. Keeping a value costs its bytes twice (store, load). Computing it
 * again costs its operations, and for what is no part of another kernel (products, attention,
 * reductions) the bytes it moves; then what it is computed from must be there, kept or computed
 * again likewise. Pointwise chains run inside the kernels that use them: they are never kept if
 * that takes more bytes. remat_rates says how fast a machine is; only ratios matter. The usual ones
 * are those of two AVX-512 cores, where a training step of DiT-S/2 runs its products at 220
 * GFLOP/s, attention at 110, element-wise kernels and reductions at 25, and moves 29 GB/s.
 *
 * The work depends on the bodies, not on the number of iterations: that is a factor.
 */
#ifndef DFM_COMPILER_PASS_REMAT_H
#define DFM_COMPILER_PASS_REMAT_H

#include "compiler/pass/pass.h"

typedef struct remat_rates { double product, attend, vector; } remat_rates;      /* FLOP per byte */
extern const remat_rates remat_usual;

/* What one choice takes, all iterations of all pairs together. */
typedef struct remat_level {
    double bytes;                            /* stacked */
    double flops;                            /* in backward scans, of forward values */
    double time;                             /* in bytes moved: the model's unit */
} remat_level;

typedef struct remat_value {                 /* of a forward body */
    const char *name;                        /* the user's, or the op's */
    dfm_loc loc;
    double bytes, trips;                     /* per iteration; iterations */
} remat_value;

typedef struct remat_options {
    remat_rates rates;
    uint32_t level;                          /* 0: the cheapest choice */
} remat_options;

typedef struct remat_report {                /* filled by the pass */
    uint32_t n_pairs;
    DFM_VEC(remat_level) levels;             /* fewer bytes, more time each; in m's arena */
    double trips;                            /* of the longest pair */
    DFM_VEC(remat_value) kept;               /* at the level asked for, largest first */
    DFM_VEC(remat_value) dropped;            /* kept at level 0, computed again at this one */
} remat_report;

#endif

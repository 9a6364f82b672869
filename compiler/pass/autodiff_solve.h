/* autodiff_solve.h - inverts the coordinates of a view: given source[c_k(i..)] = result[i..], an
 * index i of the result as an expression of the source's indices, and of indices to sum over. */
#ifndef DFM_COMPILER_PASS_AUTODIFF_SOLVE_H
#define DFM_COMPILER_PASS_AUTODIFF_SOLVE_H

#include "compiler/ir/ir.h"

enum { AD_MAX_FREE = 2 * IR_MAX_RANK };

typedef struct ad_eqn { ir_ix lhs, rhs; bool done; } ad_eqn;

typedef struct ad_solver {
    ir_module *m;
    dfm_arena *tmp;
    uint32_t n_vars;
    ir_dim var[IR_MAX_RANK];                 /* names of the unknowns; disjoint from the knowns */
    bool known[IR_MAX_RANK];
    ir_ix sol[IR_MAX_RANK];                  /* where known: over source dims and free dims */
    DFM_VEC(ad_eqn) eqs;
    DFM_VEC(ir_cond) conds;                  /* must hold for the solution to count */
    uint32_t n_free;
    ir_dim free[AD_MAX_FREE];                /* dims to sum over */
    uint32_t n_taken;
    ir_dim taken[4 * IR_MAX_RANK];           /* names that no free dim may have */
    bool empty;                              /* the conditions cannot hold */
} ad_solver;

/* lhs uses unknowns, rhs only knowns. */
void ad_solve_eq(ad_solver *s, ir_ix lhs, ir_ix rhs);
/* lo <= e <= hi, over knowns; conditions that always hold are dropped. */
void ad_solve_cond(ad_solver *s, ir_ix e, int64_t lo, int64_t hi);
/* Make every unknown known. */
void ad_solve(ad_solver *s);
/* e with the solutions in place of the unknowns. */
ir_ix ad_solved(ad_solver *s, ir_ix e);
/* Shrink free dims to what conditions on them alone allow. */
void ad_solve_tighten(ad_solver *s);

#endif

/* remat_int.h - shared by the files of the remat pass and by nobody else. */
#ifndef DFM_COMPILER_PASS_REMAT_INT_H
#define DFM_COMPILER_PASS_REMAT_INT_H

#include "compiler/pass/remat.h"

/* A forward scan F and the backward scan B that reads its stacks. `x` is F's body, extended by what
 * B's body computes from forward values alone: all that could be kept, or computed again. */
typedef struct remat_pair {
    ir_val fwd, bwd;                         /* in the graph that the pass reads */
    const ir_op *f, *b;
    const ir_graph *fg, *bg;                 /* their bodies */
    ir_graph *x;
    double trips;
    ir_val *of_b;                            /* per value of bg: the same in x, or {0} */
    ir_val *of_f;                            /* per value of fg: in x */
    bool *needed;                            /* per value of x: B's own part reads it */
    bool *outside;                           /* per result of fg: read by others than B */
    /* per value of x */
    bool *is_leaf;                           /* iter, xs, captures: there in B for the asking */
    double *bytes, *flops, *time;            /* to keep; to compute again */
    bool *fixed;                             /* the layout, or its nature, says what `keep` is */
    bool *keep;                              /* the choice: if needed, it is kept */
    bool *required, *kept;                   /* what follows from it */
} remat_pair;

typedef struct remat_state {
    pass_ctx *cx;
    const ir_graph *in;
    remat_rates rates;
    DFM_VEC(remat_pair *) pairs;
} remat_state;

/* -- remat_body.c -- */
/* The pair of these scans; NULL if they are none. */
remat_pair *remat_pair_of(remat_state *s, ir_val fwd, ir_val bwd);
/* What the new scan's operands are: one of the old graph, or a stack that the new F makes. */
typedef struct remat_arg { ir_val old; uint32_t stack; } remat_arg;
typedef struct remat_bodies {
    ir_scan f, b;                            /* F's operands stay */
    uint32_t *result_of;                   /* per result of fg: which of the new F, or UINT32_MAX */
    DFM_VEC(remat_arg) b_args;               /* stack: a result of the new F, if old is {0} */
} remat_bodies;
/* New bodies by the choice made. */
void remat_rewrite(remat_state *s, remat_pair *p, remat_bodies *out);

/* -- remat_choose.c -- */
/* required and kept from keep; the costs of all iterations. */
remat_level remat_follow(remat_pair *p);
void remat_price(remat_state *s, remat_pair *p);
/* Sets keep of all pairs to the cheapest choice, then lists the levels, then takes `level`. */
void remat_choose(remat_state *s, uint32_t level, remat_report *out);

#endif

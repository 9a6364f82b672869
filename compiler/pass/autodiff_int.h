/* autodiff_int.h - shared by the files of the differentiation pass and by nobody else.
 *
 * A region is one graph being differentiated: the whole program, or the body of a scan. Its
 * forward ops are `fwd`, its adjoint ops go to `b`. At top level both are the same graph. In a
 * scan they are two bodies: a forward value is then either a formal of the backward body (what
 * goes into the forward body goes into the backward one; carries and kept values arrive as
 * stacked outputs of the forward scan) or is computed again. ad_value hides the difference.
 */
#ifndef DFM_COMPILER_PASS_AUTODIFF_INT_H
#define DFM_COMPILER_PASS_AUTODIFF_INT_H

#include "compiler/pass/pass.h"

/* -- which values take part: autodiff_flow.c ------------------------------------------------ */

enum {
    AD_VARIED = 1,                           /* depends on a target */
    AD_USEFUL = 2,                           /* the loss depends on it */
    AD_NEEDED = AD_VARIED | AD_USEFUL,       /* has a cotangent */
};

typedef struct ad_flow {
    uint8_t *bits;                           /* per value; of a tuple: union over the members */
    uint8_t **member;                        /* per tuple: bits of each member; else NULL */
} ad_flow;

struct ad_plan;
typedef struct ad_state {
    ir_module *m;
    dfm_err *err;
    bool failed;                             /* err says why; what is emitted is of no use */
    dfm_arena *tmp;                          /* lives as long as the pass */
    DFM_VEC(struct ad_plan *) plans;         /* differentiated bodies: equal uses share one */
} ad_state;

ad_flow ad_flow_new(ad_state *s, const ir_graph *g);
/* Propagate AD_VARIED from the seeds in f to all values, then AD_USEFUL likewise, backward. */
void ad_flow_varied(ad_state *s, const ir_graph *g, ad_flow *f);
void ad_flow_useful(ad_state *s, const ir_graph *g, ad_flow *f);

/* -- scans ----------------------------------------------------------------------------------- */

typedef enum ad_slot_kind {                  /* formals of a backward body, in this order */
    AD_ITER,
    AD_COT_CARRY,                            /* cotangent of carry `index`: a carry, f32 */
    AD_ACC,                                  /* sum of cotangents of capture `index`: as well */
    AD_COT_Y,                                /* cotangent of stacked output `index`: an xs */
    AD_XS,                                   /* the forward scan's xs `index`: an xs */
    AD_SAVED,                                /* extra stacked output `index`: an xs */
    AD_CAP,                                  /* capture `index`: a capture */
} ad_slot_kind;

typedef struct ad_slot { ad_slot_kind kind; uint32_t index; ir_val formal; } ad_slot;
typedef DFM_VEC(ad_slot) ad_slots;

typedef struct ad_plan {                     /* how a scan is differentiated */
    ir_scan at;                              /* of the scan it was made for */
    const uint8_t *formals, *results;        /* its AD_VARIED formals, AD_USEFUL results */
    uint32_t fwd_body, bwd_body;
    uint32_t n_saved;
    ad_slots slots;
    uint32_t n_dxs;
    uint32_t *dxs;                           /* xs whose cotangents the backward scan stacks */
} ad_plan;

typedef struct ad_inst {                     /* a scan of a region's forward graph */
    ir_val scan;
    ad_plan *plan;
    ir_val *saved;                           /* `get` of each extra output */
} ad_inst;
typedef DFM_VEC(ad_inst) ad_insts;

/* -- regions --------------------------------------------------------------------------------- */

typedef struct ad_back {                     /* only of a backward body */
    ir_val *known;                           /* per forward value: where it is in b.g */
    ad_slots slots;
    ir_builder fwd;                          /* to append what is saved to the forward body */
    ir_dim loop;
    const ir_scan *at;
    uint32_t n_saved;
} ad_back;

typedef struct ad_region {
    ad_state *s;
    ir_builder b;                            /* adjoint ops go here */
    const ir_graph *fwd;
    uint32_t n;                              /* forward values are 1..n-1 */
    ad_flow flow;
    ad_insts insts;
    bool *wide;                              /* cotangent kept in f32: see ad_cot_type */
    ir_val *cot;                             /* per forward value */
    ir_val **mcot;                           /* per forward tuple: of each member, or NULL */
    ad_back *back;                           /* NULL at top level */
} ad_region;

/* The region for fwd's present ops; flow seeds are set and propagated by the caller. */
ad_region *ad_region_new(ad_state *s, const ir_graph *fwd, ir_graph *to);
/* Run all adjoint rules, last value first. */
void ad_sweep(ad_region *r);

/* Copy src into b->g with scans that take part replaced by ones that save what is needed.
 * map[v] is the copy of v; insts gets an entry per replaced scan. */
void ad_copy(ad_state *s, const ir_graph *src, const ad_flow *flow, ir_builder *b, ir_val *map,
             ad_insts *insts);

/* A forward value, as a value of the graph that is being built. */
ir_val ad_value(ad_region *r, ir_val v);
ir_val ad_member_value(ad_region *r, ir_val tuple, uint32_t member);
bool ad_needs(const ad_region *r, ir_val v);
/* Type of v's cotangent: v's own, except that parameters, body formals, what is merely a cast or a
 * view of these, and next carries have it in f32, where contributions are summed. */
ir_type ad_cot_type(const ad_region *r, ir_val v);
/* Add c to v's cotangent: summed over dims that v lacks, cast, transposed. Ignored if v needs
 * none. */
void ad_add(ad_region *r, ir_val v, ir_val c);
void ad_add_member(ad_region *r, ir_val tuple, uint32_t member, ir_val c);
/* The cotangent, zeros if nothing was added. */
ir_val ad_cot(ad_region *r, ir_val v);
ir_val ad_member_cot(ad_region *r, ir_val tuple, uint32_t member);

ir_val ad_zeros(ir_builder *b, ir_type t);
/* c with exactly type t: cast, summed over dims that t lacks, broadcast, transposed. */
ir_val ad_fit(ir_builder *b, ir_val c, ir_type t);

/* -- rules ----------------------------------------------------------------------------------- */

/* Run the rule of op, which is v of the region; dy is its cotangent ({0} for tuples). */
void ad_rule(ad_region *r, ir_val v, const ir_op *op, ir_val dy);
/* Whether a gradient flows from the op's result to operand k. */
bool ad_flows(const ir_module *m, const ir_graph *g, const ir_op *op, uint32_t k);

/* autodiff_fns.c: contribution of a map to its operand k, {0} where the derivative is zero. */
ir_val ad_fn_adjoint(ad_region *r, ir_val v, const ir_op *op, uint32_t k, ir_val dy);
bool ad_fn_flows(ir_fn fn, uint32_t k);

/* autodiff_view.c: cotangent (type: dims of `src`, dtype of dy) of the source of a view with
 * attributes at, or {0} if no element of the source is read. */
ir_val ad_view_adjoint(ir_builder *b, dfm_arena *tmp, ir_val dy, const ir_view *at, ir_type src);

/* autodiff_scan.c */
ad_plan *ad_scan_plan(ad_state *s, const ir_op *op, const ad_flow *flow, ir_val v);
ir_val ad_scan_value(ad_region *r, ir_val v);        /* ad_value in a backward body */
void ad_scan_rule(ad_region *r, ir_val v, const ir_op *op);

#endif

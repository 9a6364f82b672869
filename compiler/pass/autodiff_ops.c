/* autodiff_ops.c - the adjoint of every op, in the order of ir_ops.def.
 *
 * A rule gets the cotangent dy of the op's result and adds to the cotangents of its operands.
 * The table is made from ir_ops.def: an op without a rule does not compile.
 */
#include "compiler/pass/autodiff_int.h"

static bool flows(const ad_region *r, const ir_op *op, uint32_t k)
{
    return ad_needs(r, op->args[k]) && ad_flows(r->s->m, r->fwd, op, k);
}

static bool in_dims(const ir_type_info *t, ir_dim d)
{
    for (int i = 0; i < t->rank; i++)
        if (t->dims[i].i == d.i) return true;
    return false;
}

/* -- leaves: their cotangents are read by whoever asked for them ----------------------------- */

static void rule_INPUT(ad_region *r, ir_val v, const ir_op *op, ir_val dy) {}
static void rule_PARAM(ad_region *r, ir_val v, const ir_op *op, ir_val dy) {}
static void rule_CONST(ad_region *r, ir_val v, const ir_op *op, ir_val dy) {}
static void rule_IOTA(ad_region *r, ir_val v, const ir_op *op, ir_val dy) {}
static void rule_RANDOM(ad_region *r, ir_val v, const ir_op *op, ir_val dy) {}

/* -- per element ----------------------------------------------------------------------------- */

static void rule_MAP(ad_region *r, ir_val v, const ir_op *op, ir_val dy)
{
    for (uint32_t k = 0; k < op->n_args; k++)
        if (flows(r, op, k)) ad_add(r, op->args[k], ad_fn_adjoint(r, v, op, k, dy));
}

static void rule_CAST(ad_region *r, ir_val v, const ir_op *op, ir_val dy)
{
    if (flows(r, op, 0)) ad_add(r, op->args[0], dy);      /* ad_add casts */
}

static void rule_STOP_GRAD(ad_region *r, ir_val v, const ir_op *op, ir_val dy) {}

static void rule_VIEW(ad_region *r, ir_val v, const ir_op *op, ir_val dy)
{
    ir_val x = op->args[0];
    if (!flows(r, op, 0)) return;
    ir_type t = ad_cot_type(r, x);
    dy = ir_cast(&r->b, dy, ir_type_of(r->s->m, t)->dtype);
    ad_add(r, x, ad_view_adjoint(&r->b, r->s->tmp, dy, &op->at->view, t));
}

/* -- reductions ------------------------------------------------------------------------------ */

static ir_val select_or(ir_builder *b, ir_val cond, ir_val x, double other)
{
    dfm_dtype dt = ir_type_of(b->m, ir_type_at(b->g, x))->dtype;
    return ir_map3(b, IR_FN_SELECT, cond, x, ir_scalar(b, dt, other));
}

/* Elements equal to the result share dy. The result is computed again from the f32 operand, so
 * that rounding of the stored result cannot leave a row without a maximum. */
static ir_val extremum_adjoint(ir_builder *b, ir_val x, const ir_reduce *at, ir_val dy)
{
    ir_val wide = ir_cast(b, x, DFM_F32);
    ir_val y = ir_reduce_over(b, at->kind, wide, at->dims, at->n_dims);
    ir_val hit = ir_map2(b, IR_FN_EQ, wide, y);
    ir_val ones = ir_cast(b, hit, DFM_F32);
    ir_val count = ir_reduce_over(b, IR_RED_SUM, ones, at->dims, at->n_dims);
    return select_or(b, hit, ir_map2(b, IR_FN_DIV, dy, count), 0);
}

/* dy times the product of the other elements: y / x where no element of the row is zero; where
 * exactly one is, it alone gets the product of the rest. */
static ir_val product_adjoint(ir_builder *b, ir_val x, const ir_reduce *at, ir_val dy)
{
    ir_val wide = ir_cast(b, x, DFM_F32);
    ir_val zero = ir_map2(b, IR_FN_EQ, wide, ir_scalar(b, DFM_F32, 0));
    ir_val safe = ir_map3(b, IR_FN_SELECT, zero, ir_scalar(b, DFM_F32, 1), wide);
    ir_val rest = ir_reduce_over(b, IR_RED_PROD, safe, at->dims, at->n_dims);
    ir_val zeros = ir_reduce_over(b, IR_RED_SUM, ir_cast(b, zero, DFM_F32), at->dims, at->n_dims);
    ir_val none = ir_map2(b, IR_FN_EQ, zeros, ir_scalar(b, DFM_F32, 0));
    ir_val one = ir_map2(b, IR_FN_EQ, zeros, ir_scalar(b, DFM_F32, 1));
    ir_val at_zero = select_or(b, one, rest, 0);
    ir_val elsewhere = select_or(b, none, ir_map2(b, IR_FN_DIV, rest, safe), 0);
    return ir_map2(b, IR_FN_MUL, dy, ir_map3(b, IR_FN_SELECT, zero, at_zero, elsewhere));
}

static void rule_REDUCE(ad_region *r, ir_val v, const ir_op *op, ir_val dy)
{
    ir_val x = op->args[0];
    const ir_reduce *at = &op->at->reduce;
    if (!flows(r, op, 0)) return;
    switch (at->kind) {
    case IR_RED_SUM: ad_add(r, x, dy); return;           /* ad_add broadcasts */
    case IR_RED_PROD: ad_add(r, x, product_adjoint(&r->b, ad_value(r, x), at, dy)); return;
    case IR_RED_MAX:
    case IR_RED_MIN: ad_add(r, x, extremum_adjoint(&r->b, ad_value(r, x), at, dy)); return;
    default: return;
    }
}

/* -- contract -------------------------------------------------------------------------------- */

/* An alias of d that no type of the list and no dim of `taken` has; d itself if it is free. */
static ir_dim free_alias(ir_module *m, ir_dim d, const ir_type_info *const *types, uint32_t n,
                         const ir_dim *taken, uint32_t n_taken)
{
    for (;; d = ir_dim_alias(m, d)) {
        bool used = false;
        for (uint32_t i = 0; i < n; i++) used |= in_dims(types[i], d);
        for (uint32_t i = 0; i < n_taken; i++) used |= taken[i].i == d.i;
        if (!used) return d;
    }
}

/* Cotangent of operand `k` of a contract with the other operand w:
 *
 *     y[X-a, W-b] = sum over pairs (a, b) of x[X] w[W]
 *     dx[X]       = sum over W-b-X of dy w, whose dims b become a
 *
 * A name may mean one thing in x and another in y (linear(x, D -> D) pairs D with D', and y's D
 * is the weight's). Paired dims of w whose names occur in dy or twice are renamed before. */
static ir_val contract_adjoint(ad_region *r, const ir_op *op, uint32_t k, ir_val dy)
{
    ir_builder *b = &r->b;
    ir_module *m = r->s->m;
    const ir_contract *at = &op->at->contract;
    ir_val w = ad_value(r, op->args[1 - k]);
    ir_type t = ad_cot_type(r, op->args[k]);
    ir_type_info x = *ir_type_of(m, t), wt = *ir_type_of(m, ir_type_at(b->g, w));
    ir_type_info yt = *ir_type_of(m, ir_type_at(b->g, dy));
    const ir_type_info *const all[3] = {&x, &wt, &yt};
    ir_dim mine[IR_MAX_RANK], theirs[IR_MAX_RANK];
    uint32_t n = at->n_pairs, n_sum = 0;
    ir_pair sum[IR_MAX_RANK];
    for (uint32_t i = 0; i < n; i++) {
        mine[i] = k == 0 ? at->pairs[i].a : at->pairs[i].b;
        theirs[i] = k == 0 ? at->pairs[i].b : at->pairs[i].a;
    }
    ir_type w_rest = ir_without_dims(m, ir_type_at(b->g, w), theirs, n);
    ir_type x_rest = ir_without_dims(m, t, mine, n);
    for (int i = 0; i < wt.rank; i++)
        if (ir_dim_at(m, w_rest, wt.dims[i]) >= 0 && ir_dim_at(m, x_rest, wt.dims[i]) < 0)
            sum[n_sum++] = (ir_pair){wt.dims[i], wt.dims[i]};
    for (uint32_t i = 0; i < n; i++) {
        if (!in_dims(&yt, theirs[i])) continue;
        bool clear = !in_dims(&yt, mine[i]) && !in_dims(&wt, mine[i]);
        ir_dim fresh = clear ? mine[i] : free_alias(m, theirs[i], all, 3, theirs, n);
        w = ir_rename(b, w, theirs[i], fresh);
        theirs[i] = fresh;
    }
    dy = ir_cast(b, dy, wt.dtype);                       /* the operands' precision, as forward */
    ir_type_info made = x;                               /* t in the names of the result */
    for (int i = 0; i < made.rank; i++)
        for (uint32_t p = 0; p < n; p++)
            if (x.dims[i].i == mine[p].i) made.dims[i] = theirs[p];
    ir_type mt = ir_tensor(m, x.dtype, made.dims, made.rank);
    ir_val dx = ir_contract_over(b, dy, w, sum, n_sum, mt);
    ir_ix coords[IR_MAX_RANK];
    for (int i = 0; i < x.rank; i++) coords[i] = ir_ix_var(m, x.dims[i]);
    return ir_view_of(b, dx, t, coords, NULL, 0, 0);
}

static void rule_CONTRACT(ad_region *r, ir_val v, const ir_op *op, ir_val dy)
{
    for (uint32_t k = 0; k < 2; k++)
        if (flows(r, op, k)) ad_add(r, op->args[k], contract_adjoint(r, op, k, dy));
}

/* -- rows ------------------------------------------------------------------------------------ */

/* Both ops clamp the index to the rows that there are. */
static void rule_GATHER(ad_region *r, ir_val v, const ir_op *op, ir_val dy)
{
    if (!flows(r, op, 0)) return;
    ir_type t = ad_cot_type(r, op->args[0]);
    dy = ir_cast(&r->b, dy, ir_type_of(r->s->m, t)->dtype);
    ir_val index = ad_value(r, op->args[1]);
    ad_add(r, op->args[0], ir_scatter_add_rows(&r->b, index, dy, op->at->gather.dim, t));
}

static void rule_SCATTER_ADD(ad_region *r, ir_val v, const ir_op *op, ir_val dy)
{
    if (!flows(r, op, 1)) return;
    ir_val index = ad_value(r, op->args[0]);
    ad_add(r, op->args[1], ir_gather_rows(&r->b, dy, op->at->gather.dim, index));
}

/* -- attend ---------------------------------------------------------------------------------- */

typedef struct attend_args {
    ir_val q, k, v, mask, lse, d_lse;
    ir_attend at;
} attend_args;

/* lse = log sum_j exp(scale q k_j): d q = scale d_lse sum_j p_j k_j, which is attend with the
 * keys as values, and d k_j = scale sum_i d_lse_i p_ij q_i, which is its dv for that cotangent. */
static void lse_adjoint(ad_region *r, const ir_op *op, const attend_args *a)
{
    ir_builder *b = &r->b;
    ir_module *m = r->s->m;
    ir_type_info q = *ir_type_of(m, ir_type_at(b->g, a->q));
    ir_type_info k = *ir_type_of(m, ir_type_at(b->g, a->k));
    const ir_type_info *const all[2] = {&q, &k};
    ir_attend at = a->at;
    at.value = free_alias(m, at.feature, all, 2, NULL, 0);
    ir_val keys = ir_rename(b, a->k, at.feature, at.value);
    ir_val o = ir_get(b, ir_attend_fwd(b, a->q, a->k, keys, a->mask, &at), 0);
    ir_val by = ir_map2(b, IR_FN_MUL, a->d_lse, ir_scalar(b, DFM_F32, at.scale));
    ad_add(r, op->args[0], ir_map2(b, IR_FN_MUL, ir_rename(b, o, at.value, at.feature), by));
    ir_val d_o = ir_map2(b, IR_FN_MUL, ir_rename(b, a->q, at.feature, at.value), by);
    d_o = ad_fit(b, d_o, ir_type_at(b->g, o));
    ir_val back = ir_attend_back(b, a->q, a->k, keys, o, a->lse, d_o, a->mask, &at);
    ad_add(r, op->args[1], ir_rename(b, ir_get(b, back, 2), at.value, at.feature));
}

static void rule_ATTEND(ad_region *r, ir_val v, const ir_op *op, ir_val dy)
{
    ir_builder *b = &r->b;
    attend_args a = {
        .q = ad_value(r, op->args[0]), .k = ad_value(r, op->args[1]),
        .v = ad_value(r, op->args[2]), .at = op->at->attend,
        .mask = op->n_args > 3 ? ad_value(r, op->args[3]) : (ir_val){0},
        .lse = ad_member_value(r, v, 1), .d_lse = r->mcot[v.i][1],
    };
    if (r->mcot[v.i][0].i) {
        ir_val o = ad_member_value(r, v, 0), d_o = ad_member_cot(r, v, 0);
        ir_val back = ir_attend_back(b, a.q, a.k, a.v, o, a.lse, d_o, a.mask, &a.at);
        for (uint32_t k = 0; k < 3; k++)
            if (flows(r, op, k)) ad_add(r, op->args[k], ir_get(b, back, k));
    }
    if (a.d_lse.i) lse_adjoint(r, op, &a);
}

static void rule_ATTEND_BWD(ad_region *r, ir_val v, const ir_op *op, ir_val dy)
{
    bool any = false;
    for (uint32_t k = 0; k < op->n_args; k++) any |= flows(r, op, k);
    if (any) dfm_fail(r->s->err, DFM_INTERNAL, "attend_bwd has no gradient");
    r->s->failed |= any;
}

/* -- control --------------------------------------------------------------------------------- */

static void rule_SCAN(ad_region *r, ir_val v, const ir_op *op, ir_val dy)
{
    ad_scan_rule(r, v, op);
}

/* The user's gradient graph, inlined. It takes the formals, the results and their cotangents. */
static void rule_CALL(ad_region *r, ir_val v, const ir_op *op, ir_val dy)
{
    ir_module *m = r->s->m;
    const ir_graph *vjp = m->graphs.p[op->at->call.vjp];
    ir_type_info t = *ir_type_of(m, op->type);
    if (!vjp) {
        dfm_fail(r->s->err, DFM_INTERNAL, "a call without a vjp has no gradient");
        r->s->failed = true;
        return;
    }
    uint32_t n_res = t.is_tuple ? t.n_members : 1, n = 0;
    ir_val *in = dfm_new_n(r->s->tmp, ir_val, op->n_args + 2 * n_res);
    ir_val *out = dfm_new_n(r->s->tmp, ir_val, vjp->results.n + 1);
    DFM_ASSERT(vjp->inputs.n == op->n_args + 2 * n_res && vjp->results.n == op->n_args);
    for (uint32_t k = 0; k < op->n_args; k++) in[n++] = ad_value(r, op->args[k]);
    for (uint32_t k = 0; k < n_res; k++)
        in[n++] = t.is_tuple ? ad_member_value(r, v, k) : ad_value(r, v);
    for (uint32_t k = 0; k < n_res; k++) in[n++] = t.is_tuple ? ad_member_cot(r, v, k) : dy;
    for (n = op->n_args + n_res; n < vjp->inputs.n; n++)
        in[n] = ad_fit(&r->b, in[n], ir_type_at(vjp, vjp->inputs.p[n]));
    ir_inline(&r->b, vjp, in, out);
    for (uint32_t k = 0; k < op->n_args; k++)
        if (flows(r, op, k)) ad_add(r, op->args[k], out[k]);
}

static void rule_GET(ad_region *r, ir_val v, const ir_op *op, ir_val dy)
{
    ad_add_member(r, op->args[0], op->at->member, dy);
}

typedef void rule_fn(ad_region *r, ir_val v, const ir_op *op, ir_val dy);

static rule_fn *const rules[IR_OP_COUNT] = {
#define OP(id, name, lo, hi, cls, grad, doc) [IR_##id] = rule_##id,
#include "compiler/ir/ir_ops.def"
#undef OP
};

void ad_rule(ad_region *r, ir_val v, const ir_op *op, ir_val dy) { rules[op->kind](r, v, op, dy); }

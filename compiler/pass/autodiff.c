/* autodiff.c - the entry, regions, cotangents, and the copy of the forward graph. */
#include "compiler/pass/autodiff.h"

#include "compiler/pass/autodiff_int.h"

/* -- cotangents ------------------------------------------------------------------------------ */

ir_val ad_zeros(ir_builder *b, ir_type t)
{
    dfm_dtype dt = ir_type_of(b->m, t)->dtype;
    return ir_broadcast(b, ir_scalar(b, dt, 0), t);
}

ir_val ad_fit(ir_builder *b, ir_val c, ir_type t)
{
    ir_type_info from = *ir_type_of(b->m, ir_type_at(b->g, c)), to = *ir_type_of(b->m, t);
    ir_dim extra[IR_MAX_RANK];
    uint32_t n = 0;
    for (int i = 0; i < from.rank; i++)
        if (ir_dim_at(b->m, t, from.dims[i]) < 0) extra[n++] = from.dims[i];
    bool widen = dfm_dtype_bytes(to.dtype) > dfm_dtype_bytes(from.dtype);
    if (widen) c = ir_cast(b, c, to.dtype);
    if (n) c = ir_reduce_over(b, IR_RED_SUM, c, extra, n);
    c = ir_cast(b, c, to.dtype);
    if ((uint32_t)from.rank - n < to.rank) return ir_broadcast(b, c, t);
    return ir_transpose_to(b, c, t);
}

bool ad_needs(const ad_region *r, ir_val v) { return r->flow.bits[v.i] == AD_NEEDED; }

ir_type ad_cot_type(const ad_region *r, ir_val v)
{
    ir_type t = ir_type_at(r->fwd, v);
    dfm_dtype dt = ir_type_of(r->s->m, t)->dtype;
    bool half = dt == DFM_BF16 || dt == DFM_F16;
    return half && r->wide[v.i] ? ir_with_dtype(r->s->m, t, DFM_F32) : t;
}

static ir_val add_to(ir_builder *b, ir_val sum, ir_val c)
{
    return sum.i ? ir_map2(b, IR_FN_ADD, sum, c) : c;
}

void ad_add(ad_region *r, ir_val v, ir_val c)
{
    if (!c.i || !ad_needs(r, v)) return;
    ir_type t = ad_cot_type(r, v);
    r->cot[v.i] = ad_fit(&r->b, add_to(&r->b, r->cot[v.i], ad_fit(&r->b, c, t)), t);
}

static ir_type member_type(const ad_region *r, ir_val tuple, uint32_t member)
{
    return ir_type_of(r->s->m, ir_type_at(r->fwd, tuple))->members[member];
}

void ad_add_member(ad_region *r, ir_val tuple, uint32_t member, ir_val c)
{
    uint32_t n = ir_type_of(r->s->m, ir_type_at(r->fwd, tuple))->n_members;
    ir_type t = member_type(r, tuple, member);
    if (!r->mcot[tuple.i]) r->mcot[tuple.i] = dfm_new_n(r->s->tmp, ir_val, n);
    ir_val *sum = &r->mcot[tuple.i][member];
    *sum = ad_fit(&r->b, add_to(&r->b, *sum, ad_fit(&r->b, c, t)), t);
}

ir_val ad_cot(ad_region *r, ir_val v)
{
    return r->cot[v.i].i ? r->cot[v.i] : ad_zeros(&r->b, ad_cot_type(r, v));
}

ir_val ad_member_cot(ad_region *r, ir_val tuple, uint32_t member)
{
    ir_val *c = r->mcot[tuple.i];
    if (c && c[member].i) return c[member];
    return ad_zeros(&r->b, member_type(r, tuple, member));
}

/* -- forward values -------------------------------------------------------------------------- */

ir_val ad_value(ad_region *r, ir_val v) { return r->back ? ad_scan_value(r, v) : v; }

ir_val ad_member_value(ad_region *r, ir_val tuple, uint32_t member)
{
    if (!r->back) return ir_get(&r->b, tuple, member);
    for (uint32_t i = tuple.i + 1; i < r->n; i++) {
        const ir_op *op = ir_op_of(r->fwd, (ir_val){i});
        if (op->kind == IR_GET && ir_same(op->args[0], tuple) && op->at->member == member)
            return ad_value(r, (ir_val){i});
    }
    return ir_get(&r->b, ad_value(r, tuple), member);
}

/* -- regions --------------------------------------------------------------------------------- */

static void mark_wide(ad_region *r)
{
    for (uint32_t v = 1; v < r->n; v++) {
        const ir_op *op = ir_op_of(r->fwd, (ir_val){v});
        bool moves = op->kind == IR_CAST || op->kind == IR_VIEW || op->kind == IR_GATHER;
        r->wide[v] = op->kind == IR_PARAM || op->kind == IR_INPUT
                  || (moves && r->wide[op->args[0].i]);
    }
}

ad_region *ad_region_new(ad_state *s, const ir_graph *fwd, ir_graph *to)
{
    ad_region *r = dfm_new(s->tmp, ad_region);
    r->s = s;
    r->b = (ir_builder){.m = s->m, .g = to};
    r->fwd = fwd;
    r->n = fwd->ops.n;
    r->flow = ad_flow_new(s, fwd);
    r->wide = dfm_new_n(s->tmp, bool, r->n);
    r->cot = dfm_new_n(s->tmp, ir_val, r->n);
    r->mcot = dfm_new_n(s->tmp, ir_val *, r->n);
    mark_wide(r);
    return r;
}

void ad_sweep(ad_region *r)
{
    for (uint32_t v = r->n; v-- > 1;) {
        ir_op op = *ir_op_of(r->fwd, (ir_val){v});
        bool tuple = ir_type_of(r->s->m, op.type)->is_tuple;
        if (tuple ? !r->mcot[v] : !r->cot[v].i) continue;
        r->b.loc = op.loc;
        ad_rule(r, (ir_val){v}, &op, r->cot[v]);
    }
}

/* -- the copy of the forward graph ------------------------------------------------------------ */

static bool scan_takes_part(const ir_op *op, const uint8_t *member)
{
    for (uint32_t k = 0; k < op->at->scan.n_carry + op->at->scan.n_ys; k++)
        if (member[k] == AD_NEEDED) return true;
    return false;
}

static ir_val copy_scan(ad_state *s, const ir_op *op, ad_plan *plan, const ir_val *args,
                        ir_builder *b, ad_insts *insts)
{
    ir_scan at = op->at->scan;
    uint32_t first = at.n_carry + at.n_ys;
    at.body = plan->fwd_body;
    at.n_ys += plan->n_saved;
    ir_val scan = ir_scan_over(b, &at, args, op->n_args);
    ad_inst inst = {scan, plan, dfm_new_n(s->tmp, ir_val, plan->n_saved + 1)};
    for (uint32_t k = 0; k < plan->n_saved; k++) inst.saved[k] = ir_get(b, scan, first + k);
    dfm_push(s->tmp, insts, inst);
    return scan;
}

void ad_copy(ad_state *s, const ir_graph *src, const ad_flow *flow, ir_builder *b, ir_val *map,
             ad_insts *insts)
{
    for (uint32_t k = 0; k < src->inputs.n; k++) {
        const ir_op *op = ir_op_of(src, src->inputs.p[k]);
        const ir_input *in = &op->at->input;
        b->loc = op->loc;
        map[src->inputs.p[k].i] = ir_input_new(b, op->type, in->role, in->index,
                                               dfm_name_str(s->m->names, in->name));
    }
    for (uint32_t v = 1; v < src->ops.n; v++) {
        const ir_op *op = ir_op_of(src, (ir_val){v});
        if (op->kind == IR_INPUT) continue;
        ir_val *args = dfm_new_n(s->tmp, ir_val, op->n_args + 1);
        for (uint32_t k = 0; k < op->n_args; k++) args[k] = map[op->args[k].i];
        b->loc = op->loc;
        if (op->kind == IR_SCAN && scan_takes_part(op, flow->member[v]))
            map[v] = copy_scan(s, op, ad_scan_plan(s, op, flow, (ir_val){v}), args, b, insts);
        else
            map[v] = ir_emit_copy(b, op, args);
        if (op->kind == IR_ATTEND && flow->bits[v] == AD_NEEDED)
            for (uint32_t k = 0; k < 2; k++) ir_get(b, map[v], k);   /* what its adjoint reads */
        if (op->name.i) ir_set_name(b, map[v], dfm_name_str(s->m->names, op->name));
    }
}

/* -- the entry ------------------------------------------------------------------------------- */

static bool is_target(const ir_module *m, const ad_request *rq, const ir_op *op)
{
    return rq->params && op->kind == IR_PARAM && m->params.p[op->at->param].trainable;
}

/* Seeds: targets (as mapped) are varied, the loss is useful. */
static void run_flow(ad_state *s, const ad_request *rq, const ir_graph *g, const ir_val *map,
                     ir_val loss, ad_flow *f)
{
    for (uint32_t v = 1; v < g->ops.n; v++)
        if (is_target(s->m, rq, ir_op_of(g, (ir_val){v}))) f->bits[v] |= AD_VARIED;
    for (uint32_t k = 0; k < rq->n_wrt; k++)
        f->bits[map ? map[rq->wrt[k].i].i : rq->wrt[k].i] |= AD_VARIED;
    ad_flow_varied(s, g, f);
    f->bits[loss.i] |= AD_USEFUL;
    ad_flow_useful(s, g, f);
}

static void add_result(ad_region *r, ir_val v, ir_type t, const char *name)
{
    char *full = dfm_fmt(r->s->tmp, "grad.%s", name);
    ir_result_add(&r->b, ad_fit(&r->b, v, t), full);
}

static void add_param_results(ad_region *r)
{
    ir_module *m = r->s->m;
    ir_val *of = dfm_new_n(r->s->tmp, ir_val, m->params.n + 1);
    for (uint32_t v = 1; v < r->n; v++) {
        const ir_op *op = ir_op_of(r->fwd, (ir_val){v});     /* the builder makes one per param */
        if (op->kind == IR_PARAM) of[op->at->param] = r->cot[v];
    }
    for (uint32_t p = 0; p < m->params.n; p++) {
        if (!m->params.p[p].trainable) continue;
        ir_type t = ir_with_dtype(m, m->params.p[p].type, DFM_F32);
        ir_val g = of[p].i ? of[p] : ad_zeros(&r->b, t);
        add_result(r, g, t, dfm_name_str(m->names, m->params.p[p].path));
    }
}

static const char *name_of(const ir_module *m, const ir_op *op)
{
    const char *s = dfm_name_str(m->names, op->name);
    if (!*s && op->kind == IR_INPUT) s = dfm_name_str(m->names, op->at->input.name);
    return *s ? s : "value";
}

static bool is_float_scalar(const ir_module *m, ir_type t)
{
    const ir_type_info *ti = ir_type_of(m, t);
    return !ti->is_tuple && ti->rank == 0 && dfm_dtype_is_float(ti->dtype);
}

static void add_results(ad_region *r, const ad_request *rq, const ir_graph *in, const ir_val *map)
{
    ir_module *m = r->s->m;
    const ir_result *loss = &in->results.p[0];
    r->b.loc = (dfm_loc){0};
    ir_result_add(&r->b, map[loss->val.i], dfm_name_str(m->names, loss->name));
    if (rq->params) add_param_results(r);
    for (uint32_t k = 0; k < rq->n_wrt; k++) {
        const ir_op *op = ir_op_of(in, rq->wrt[k]);
        ir_val v = map[rq->wrt[k].i];
        add_result(r, r->cot[v.i].i ? r->cot[v.i] : ad_zeros(&r->b, op->type), op->type,
                   name_of(m, op));
    }
}

bool ad_grad(pass_ctx *cx, const ir_graph *in, const ad_request *rq, ir_graph *out)
{
    ad_state s = {.m = cx->m, .err = cx->err, .tmp = cx->scratch};
    ir_builder b = {.m = cx->m, .g = out};
    ir_val *map = dfm_new_n(s.tmp, ir_val, in->ops.n), loss = {0};
    ad_flow flow = ad_flow_new(&s, in);
    ad_insts insts = {0};
    if (in->results.n) loss = in->results.p[0].val;
    if (!loss.i || !is_float_scalar(cx->m, ir_type_at(in, loss))) {
        dfm_fail(cx->err, DFM_INTERNAL, "only a float scalar has gradients");
        return false;
    }
    run_flow(&s, rq, in, NULL, loss, &flow);
    ad_copy(&s, in, &flow, &b, map, &insts);
    loss = map[loss.i];

    ad_region *r = ad_region_new(&s, out, out);
    r->insts = insts;
    run_flow(&s, rq, out, map, loss, &r->flow);
    dfm_dtype dt = ir_type_of(cx->m, ir_type_at(out, loss))->dtype;
    ad_add(r, loss, ir_scalar(&r->b, dt, 1));
    ad_sweep(r);
    add_results(r, rq, in, map);
    return !s.failed;
}

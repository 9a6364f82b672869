/* autodiff_scan.c - the adjoint of a scan: a scan of the backward body in the other direction.
 *
 *   forward   (carries, xs, captures)                   -> (carries, ys, kept values)
 *   backward  (d carries, sums of d captures,
 *              d ys, xs, kept values, captures)         -> (d carries, sums of d captures, d xs)
 *
 * The forward body becomes a copy that also returns, per iteration, what the backward body asks
 * for: its carries, and the values that keep_value chooses. All others are computed again from
 * these. The backward body asks while its adjoint is being built, so nothing is kept in vain.
 */
#include "compiler/pass/autodiff_int.h"

#include <string.h>

/* -- what is kept ----------------------------------------------------------------------------- */

enum {
    KEEP_REDUCE_RATIO = 8,                   /* a reduce is kept if it reads this much more */
    KEEP_TABLE_ELEMS = 1 << 16,              /* so is a gather from a table as large as this */
};

static bool has_anchor(const ir_module *m, const ir_graph *g)
{
    for (uint32_t v = 1; v < g->ops.n; v++) {
        ir_op_kind k = g->ops.p[v].kind;
        if (k == IR_CONTRACT || k == IR_ATTEND || k == IR_SCAN) return true;
    }
    return false;
}

/* Whether iteration by iteration v is kept for the backward scan rather than computed again: where
 * the remat pass starts from, which moves the line by cost, layout and budget.
 * Kept: results of ops that cost far more than a load (matrix products, attention and its
 * statistics, scatters, whole scans), and small results of large reductions (norm statistics).
 * Computed again: maps, views, casts, constants, draws: they fuse into the kernels that need
 * them. */
static bool keep_value(const ir_module *m, const ir_graph *g, const ir_op *op)
{
    const ir_op *from = op->n_args ? ir_op_of(g, op->args[0]) : NULL;
    switch (op->kind) {
    case IR_CONTRACT:
    case IR_SCATTER_ADD: return true;
    case IR_CALL: return !ir_type_of(m, op->type)->is_tuple
                      && has_anchor(m, m->graphs.p[op->at->call.body]);
    case IR_GET: return from->kind != IR_CALL || has_anchor(m, m->graphs.p[from->at->call.body]);
    case IR_REDUCE: return ir_elems(m, from->type) / ir_elems(m, op->type) >= KEEP_REDUCE_RATIO;
    case IR_GATHER: return ir_elems(m, from->type) >= KEEP_TABLE_ELEMS;
    default: return false;
    }
}

/* -- forward values in the backward body ------------------------------------------------------ */

static ir_val add_slot(ad_region *r, ad_slot_kind kind, uint32_t index, ir_type t)
{
    ad_slots *slots = &r->back->slots;
    ir_val formal = ir_input_new(&r->b, t, IR_ROLE_BODY, slots->n, NULL);
    dfm_push(r->s->tmp, slots, ((ad_slot){kind, index, formal}));
    return formal;
}

/* Return v from the forward body and take it in. A stacked value has the loop's dim: if v has
 * it already, it goes under another name. */
static ir_val save(ad_region *r, ir_val v)
{
    ad_back *k = r->back;
    ir_module *m = r->s->m;
    ir_dim other = {0};
    ir_val out = v;
    if (ir_dim_at(m, ir_type_at(r->fwd, v), k->loop) >= 0) {
        other = ir_dim_alias(m, k->loop);
        while (ir_dim_at(m, ir_type_at(r->fwd, v), other) >= 0) other = ir_dim_alias(m, other);
        out = ir_rename(&k->fwd, v, k->loop, other);
    }
    ir_result_add(&k->fwd, out, NULL);
    ir_val in = add_slot(r, AD_SAVED, k->n_saved++, ir_type_at(r->fwd, out));
    return other.i ? ir_rename(&r->b, in, other, k->loop) : in;
}

static ir_val formal_value(ad_region *r, ir_val v)
{
    const ir_scan *at = r->back->at;
    ir_type t = ir_type_at(r->fwd, v);
    uint32_t k = 0;
    while (r->fwd->inputs.p[k].i != v.i) k++;
    if (k == 0) return add_slot(r, AD_ITER, 0, t);
    k--;
    if (k < at->n_carry) return save(r, v);
    k -= at->n_carry;
    if (k < at->n_xs) return add_slot(r, AD_XS, k, t);
    return add_slot(r, AD_CAP, k - at->n_xs, t);
}

ir_val ad_scan_value(ad_region *r, ir_val v)
{
    ir_val *known = &r->back->known[v.i];
    if (known->i) return *known;
    ir_op op = *ir_op_of(r->fwd, v);
    if (op.kind == IR_INPUT) return *known = formal_value(r, v);
    if (keep_value(r->s->m, r->fwd, &op)) return *known = save(r, v);
    ir_val *args = dfm_new_n(r->s->tmp, ir_val, op.n_args + 1);
    for (uint32_t k = 0; k < op.n_args; k++) args[k] = ad_scan_value(r, op.args[k]);
    return *known = ir_emit_copy(&r->b, &op, args);
}

/* -- the two bodies ---------------------------------------------------------------------------- */

static void flow_of_body(ad_state *s, const ad_plan *p, const ir_graph *g, ad_flow *f)
{
    uint32_t n_in = p->at.n_carry + p->at.n_xs + p->at.n_caps, n_out = p->at.n_carry + p->at.n_ys;
    for (uint32_t k = 0; k < n_in; k++) f->bits[g->inputs.p[k + 1].i] |= p->formals[k];
    ad_flow_varied(s, g, f);
    for (uint32_t k = 0; k < n_out; k++) f->bits[g->results.p[k].val.i] |= p->results[k];
    ad_flow_useful(s, g, f);
}

static ir_graph *forward_body(ad_state *s, ad_plan *p, ad_insts *insts)
{
    ir_module *m = s->m;
    const ir_graph *body = m->graphs.p[p->at.body];
    ad_flow flow = ad_flow_new(s, body);
    ir_val *map = dfm_new_n(s->tmp, ir_val, body->ops.n);
    const char *name = dfm_fmt(s->tmp, "%s.fwd", dfm_name_str(m->names, body->name));
    for (uint32_t v = 1; v < body->ops.n; v++) {
        const ir_op *op = &body->ops.p[v];
        if (op->kind != IR_PARAM || !m->params.p[op->at->param].trainable) continue;
        dfm_fail(s->err, DFM_INTERNAL, "graph %s uses a parameter that should be an operand",
                 dfm_name_str(m->names, body->name));
        s->failed = true;
    }
    flow_of_body(s, p, body, &flow);
    ir_builder b = {.m = m, .g = ir_graph_create(m, name, &p->fwd_body)};
    ad_copy(s, body, &flow, &b, map, insts);
    for (uint32_t k = 0; k < p->at.n_carry + p->at.n_ys; k++)
        ir_result_add(&b, map[body->results.p[k].val.i],
                      dfm_name_str(m->names, body->results.p[k].name));
    return b.g;
}

static ir_type in_f32(const ad_region *r, ir_val v)
{
    ir_type t = ir_type_at(r->fwd, v);
    bool wide = ir_type_of(r->s->m, t)->dtype == DFM_F64;
    return wide ? t : ir_with_dtype(r->s->m, t, DFM_F32);
}

/* Formals for the cotangents that come in, added to those of the forward body's results. */
static void seed_cotangents(ad_region *r, const ad_plan *p)
{
    const ir_graph *g = r->fwd;
    add_slot(r, AD_ITER, 0, ir_type_at(g, g->inputs.p[0]));
    r->back->known[g->inputs.p[0].i] = r->back->slots.p[0].formal;
    for (uint32_t k = 0; k < p->at.n_carry; k++) {
        ir_val v = g->results.p[k].val;
        if (!p->formals[k] || !p->results[k]) continue;
        r->wide[v.i] = true;                 /* the next carry's cotangent is not rounded here */
        ad_add(r, v, add_slot(r, AD_COT_CARRY, k, in_f32(r, v)));
    }
    for (uint32_t k = 0; k < p->at.n_ys; k++) {
        ir_val v = g->results.p[p->at.n_carry + k].val;
        if (p->results[p->at.n_carry + k] && ad_needs(r, v))
            ad_add(r, v, add_slot(r, AD_COT_Y, k, ir_type_at(g, v)));
    }
}

static void collect_results(ad_region *r, ad_plan *p)
{
    const ir_graph *g = r->fwd;
    const ir_val *formal = g->inputs.p + 1;
    uint32_t n_seeds = r->back->slots.n;
    for (uint32_t k = 0; k < n_seeds; k++) {
        ad_slot slot = r->back->slots.p[k];
        if (slot.kind != AD_COT_CARRY) continue;
        ir_val v = formal[slot.index];
        ir_result_add(&r->b, ad_fit(&r->b, ad_cot(r, v), in_f32(r, v)), NULL);
    }
    formal += p->at.n_carry + p->at.n_xs;
    for (uint32_t k = 0; k < p->at.n_caps; k++) {
        if (!ad_needs(r, formal[k])) continue;
        ir_type t = in_f32(r, formal[k]);
        ir_val sum = add_slot(r, AD_ACC, k, t), d = ad_fit(&r->b, ad_cot(r, formal[k]), t);
        ir_result_add(&r->b, ad_fit(&r->b, ir_map2(&r->b, IR_FN_ADD, sum, d), t), NULL);
    }
    formal -= p->at.n_xs;
    p->dxs = dfm_new_n(r->s->tmp, uint32_t, p->at.n_xs + 1);
    for (uint32_t k = 0; k < p->at.n_xs; k++) {
        if (!ad_needs(r, formal[k])) continue;
        p->dxs[p->n_dxs++] = k;
        ir_result_add(&r->b, ad_cot(r, formal[k]), NULL);
    }
}

/* Formals were made when they were first wanted. Order them by kind, as a body has them, by
 * copying the graph into one with the formals first. */
static void order_formals(ad_state *s, ir_graph *g, ad_slots *slots)
{
    ir_graph old = *g;
    ir_module *m = s->m;
    ad_slots sorted = {0};
    ir_val *in = dfm_new_n(s->tmp, ir_val, old.inputs.n);
    ir_val *out = dfm_new_n(s->tmp, ir_val, old.results.n + 1);
    *g = *ir_graph_create(m, dfm_name_str(m->names, old.name), NULL);
    m->graphs.n--;                           /* the new one takes the old one's place */
    ir_builder b = {.m = m, .g = g};
    for (ad_slot_kind kind = AD_ITER; kind <= AD_CAP; kind++)
        for (uint32_t k = 0; k < slots->n; k++) {
            ad_slot slot = slots->p[k];
            if (slot.kind != kind) continue;
            ir_type t = ir_type_at(&old, slot.formal);
            for (uint32_t i = 0; i < old.inputs.n; i++) {
                if (old.inputs.p[i].i != slot.formal.i) continue;
                in[i] = ir_input_new(&b, t, IR_ROLE_BODY, sorted.n, NULL);
            }
            dfm_push(s->tmp, &sorted, slot);
        }
    ir_inline(&b, &old, in, out);
    for (uint32_t k = 0; k < old.results.n; k++) ir_result_add(&b, out[k], NULL);
    *slots = sorted;
}

static void make_bodies(ad_state *s, ad_plan *p)
{
    ir_module *m = s->m;
    ad_insts insts = {0};
    ir_graph *fwd = forward_body(s, p, &insts);
    const char *body = dfm_name_str(m->names, m->graphs.p[p->at.body]->name);
    ir_graph *bwd = ir_graph_create(m, dfm_fmt(s->tmp, "%s.bwd", body), &p->bwd_body);
    ad_region *r = ad_region_new(s, fwd, bwd);
    r->insts = insts;
    r->back = dfm_new(s->tmp, ad_back);
    r->back->known = dfm_new_n(s->tmp, ir_val, r->n);
    r->back->fwd = (ir_builder){.m = m, .g = fwd};
    r->back->loop = p->at.loop;
    r->back->at = &p->at;
    flow_of_body(s, p, fwd, &r->flow);
    seed_cotangents(r, p);
    ad_sweep(r);
    r->b.loc = (dfm_loc){0};
    collect_results(r, p);
    p->n_saved = r->back->n_saved;
    p->slots = r->back->slots;
    order_formals(s, bwd, &p->slots);
}

static bool same_plan(const ad_plan *a, const ad_plan *b)
{
    const ir_scan *x = &a->at, *y = &b->at;
    return x->body == y->body && x->loop.i == y->loop.i && x->n_carry == y->n_carry
        && x->n_xs == y->n_xs && x->n_caps == y->n_caps && x->n_ys == y->n_ys
        && !memcmp(a->formals, b->formals, x->n_carry + x->n_xs + x->n_caps)
        && !memcmp(a->results, b->results, x->n_carry + x->n_ys);
}

ad_plan *ad_scan_plan(ad_state *s, const ir_op *op, const ad_flow *flow, ir_val v)
{
    const ir_scan *at = &op->at->scan;
    const uint8_t *member = flow->member[v.i];
    uint8_t *formals = dfm_new_n(s->tmp, uint8_t, op->n_args + 1);
    uint8_t *results = dfm_new_n(s->tmp, uint8_t, at->n_carry + at->n_ys + 1);
    for (uint32_t k = 0; k < op->n_args; k++)
        formals[k] = (k < at->n_carry ? member[k] : flow->bits[op->args[k].i]) & AD_VARIED;
    for (uint32_t k = 0; k < at->n_carry + at->n_ys; k++) results[k] = member[k] & AD_USEFUL;
    ad_plan *p = dfm_new(s->tmp, ad_plan);
    p->at = *at;
    p->formals = formals;
    p->results = results;
    for (uint32_t k = 0; k < s->plans.n; k++)
        if (same_plan(s->plans.p[k], p)) return s->plans.p[k];
    make_bodies(s, p);
    dfm_push(s->tmp, &s->plans, p);
    return p;
}

/* -- the backward scan ------------------------------------------------------------------------ */

static const ad_inst *inst_of(const ad_region *r, ir_val scan)
{
    for (uint32_t k = 0; k < r->insts.n; k++)
        if (ir_same(r->insts.p[k].scan, scan)) return &r->insts.p[k];
    return NULL;
}

static ir_val slot_operand(ad_region *r, ir_val v, const ir_op *op, const ad_inst *inst,
                           const ad_slot *slot)
{
    const ir_scan *at = &op->at->scan;
    const ir_graph *body = r->s->m->graphs.p[inst->plan->bwd_body];
    ir_type formal = ir_type_at(body, body->inputs.p[slot - inst->plan->slots.p]);
    switch (slot->kind) {
    case AD_COT_CARRY: return ad_fit(&r->b, ad_member_cot(r, v, slot->index), formal);
    case AD_ACC: return ad_zeros(&r->b, formal);
    case AD_COT_Y: return ad_member_cot(r, v, at->n_carry + slot->index);
    case AD_XS: return ad_value(r, op->args[at->n_carry + slot->index]);
    case AD_SAVED: return ad_value(r, inst->saved[slot->index]);
    default: return ad_value(r, op->args[at->n_carry + at->n_xs + slot->index]);
    }
}

void ad_scan_rule(ad_region *r, ir_val v, const ir_op *op)
{
    const ad_inst *inst = inst_of(r, v);
    if (!inst) return;                       /* planned only if a gradient goes through it */
    ad_plan *p = inst->plan;
    ir_scan at = {.body = p->bwd_body, .loop = op->at->scan.loop, .reverse = !op->at->scan.reverse,
                  .n_ys = p->n_dxs};
    ir_val *args = dfm_new_n(r->s->tmp, ir_val, p->slots.n);
    uint32_t n = 0, caps = op->at->scan.n_carry + op->at->scan.n_xs, out = 0;
    for (uint32_t k = 0; k < p->slots.n; k++) {
        const ad_slot *slot = &p->slots.p[k];
        if (slot->kind == AD_ITER) continue;
        if (slot->kind == AD_COT_CARRY || slot->kind == AD_ACC) at.n_carry++;
        else if (slot->kind == AD_CAP) at.n_caps++;
        else at.n_xs++;
        args[n++] = slot_operand(r, v, op, inst, slot);
    }
    if (!at.n_carry && !at.n_ys) return;
    ir_val back = ir_scan_over(&r->b, &at, args, n);
    for (uint32_t k = 0; k < p->slots.n; k++) {
        const ad_slot *slot = &p->slots.p[k];
        if (slot->kind != AD_COT_CARRY && slot->kind != AD_ACC) continue;
        uint32_t arg = slot->kind == AD_ACC ? caps + slot->index : slot->index;
        ad_add(r, op->args[arg], ir_get(&r->b, back, out++));
    }
    for (uint32_t k = 0; k < p->n_dxs; k++)
        ad_add(r, op->args[op->at->scan.n_carry + p->dxs[k]], ir_get(&r->b, back, out++));
}

/* autodiff_flow.c - which values have a cotangent: those that depend on a target and that the
 * loss depends on, both through differentiable operands only. Carries of a scan are a fixed
 * point over its iterations. */
#include "compiler/pass/autodiff_int.h"

ad_flow ad_flow_new(ad_state *s, const ir_graph *g)
{
    return (ad_flow){dfm_new_n(s->tmp, uint8_t, g->ops.n), dfm_new_n(s->tmp, uint8_t *, g->ops.n)};
}

static bool is_float(const ir_module *m, const ir_graph *g, ir_val v)
{
    const ir_type_info *t = ir_type_of(m, ir_type_at(g, v));
    return !t->is_tuple && dfm_dtype_is_float(t->dtype);
}

bool ad_flows(const ir_module *m, const ir_graph *g, const ir_op *op, uint32_t k)
{
    ir_val x = op->args[k];
    const ir_type_info *t = ir_type_of(m, op->type);
    bool floats = is_float(m, g, x) && (t->is_tuple || dfm_dtype_is_float(t->dtype));
    switch (op->kind) {
    case IR_MAP: return floats && ad_fn_flows(op->at->fn, k);
    case IR_CAST: case IR_VIEW: case IR_CONTRACT: case IR_CALL: case IR_SCAN: case IR_ATTEND_BWD:
        return floats;
    case IR_REDUCE:
        return floats && op->at->reduce.kind >= IR_RED_SUM && op->at->reduce.kind <= IR_RED_MIN;
    case IR_GATHER: return floats && k == 0;
    case IR_SCATTER_ADD: return floats && k == 1;
    case IR_ATTEND: return floats && k < 3;
    case IR_GET: return dfm_dtype_is_float(t->dtype);
    default: return false;
    }
}

static uint32_t n_members(const ir_module *m, const ir_op *op)
{
    return ir_type_of(m, op->type)->n_members;
}

/* -- forward --------------------------------------------------------------------------------- */

static void varied_scan(ad_state *s, const ir_graph *g, const ir_op *op, uint8_t *member,
                        const ad_flow *f)
{
    const ir_scan *at = &op->at->scan;
    const ir_graph *body = s->m->graphs.p[at->body];
    uint8_t *formal = dfm_new_n(s->tmp, uint8_t, op->n_args + 1);
    bool changed = true;
    for (uint32_t k = 0; k < op->n_args; k++) formal[k] = f->bits[op->args[k].i] & AD_VARIED;
    while (changed) {
        ad_flow bf = ad_flow_new(s, body);
        changed = false;
        for (uint32_t k = 0; k < op->n_args; k++) bf.bits[body->inputs.p[k + 1].i] = formal[k];
        ad_flow_varied(s, body, &bf);
        for (uint32_t k = 0; k < at->n_carry + at->n_ys; k++) {
            uint8_t bit = bf.bits[body->results.p[k].val.i] & AD_VARIED;
            changed |= k < at->n_carry && bit > formal[k];
            if (k < at->n_carry) bit = formal[k] |= bit;
            member[k] |= bit;
        }
    }
}

void ad_flow_varied(ad_state *s, const ir_graph *g, ad_flow *f)
{
    for (uint32_t v = 1; v < g->ops.n; v++) {
        const ir_op *op = &g->ops.p[v];
        uint32_t n = n_members(s->m, op);
        uint8_t bit = 0;
        for (uint32_t k = 0; k < op->n_args; k++)
            if (ad_flows(s->m, g, op, k)) bit |= f->bits[op->args[k].i] & AD_VARIED;
        if (ir_type_of(s->m, op->type)->is_tuple) {
            f->member[v] = dfm_new_n(s->tmp, uint8_t, n + 1);
            if (op->kind == IR_SCAN) varied_scan(s, g, op, f->member[v], f);
            for (uint32_t k = 0; k < n; k++) {
                if (op->kind != IR_SCAN) f->member[v][k] |= bit;
                f->bits[v] |= f->member[v][k];
            }
        } else if (op->kind == IR_GET) {
            if (is_float(s->m, g, (ir_val){v}))
                f->bits[v] |= f->member[op->args[0].i][op->at->member] & AD_VARIED;
        } else {
            f->bits[v] |= bit;
        }
    }
}

/* -- backward -------------------------------------------------------------------------------- */

static void useful_scan(ad_state *s, const ir_op *op, uint8_t *member, ad_flow *f)
{
    const ir_scan *at = &op->at->scan;
    const ir_graph *body = s->m->graphs.p[at->body];
    bool changed = true;
    while (changed) {
        ad_flow bf = ad_flow_new(s, body);
        changed = false;
        for (uint32_t k = 0; k < at->n_carry + at->n_ys; k++)
            bf.bits[body->results.p[k].val.i] |= member[k] & AD_USEFUL;
        ad_flow_useful(s, body, &bf);
        for (uint32_t k = 0; k < op->n_args; k++) {
            uint8_t bit = bf.bits[body->inputs.p[k + 1].i] & AD_USEFUL;
            f->bits[op->args[k].i] |= bit;
            if (k >= at->n_carry || (member[k] | bit) == member[k]) continue;
            member[k] |= bit;
            changed = true;
        }
    }
}

void ad_flow_useful(ad_state *s, const ir_graph *g, ad_flow *f)
{
    for (uint32_t v = g->ops.n; v-- > 1;) {
        const ir_op *op = &g->ops.p[v];
        bool tuple = ir_type_of(s->m, op->type)->is_tuple;
        if (tuple && !f->member[v])
            f->member[v] = dfm_new_n(s->tmp, uint8_t, n_members(s->m, op) + 1);
        if (!(f->bits[v] & AD_USEFUL)) continue;
        if (op->kind == IR_SCAN) {
            useful_scan(s, op, f->member[v], f);
        } else if (op->kind == IR_GET) {
            uint32_t t = op->args[0].i;
            if (!f->member[t])
                f->member[t] = dfm_new_n(s->tmp, uint8_t, n_members(s->m, &g->ops.p[t]) + 1);
            f->member[t][op->at->member] |= AD_USEFUL;
            f->bits[t] |= AD_USEFUL;
        } else {
            for (uint32_t k = 0; k < op->n_args; k++)
                if (ad_flows(s->m, g, op, k)) f->bits[op->args[k].i] |= AD_USEFUL;
        }
    }
}

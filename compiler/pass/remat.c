/* remat.c - the pass: finds pairs of scans, has their bodies rewritten, puts the new ones in. */
#include "compiler/pass/remat_int.h"

#include <string.h>

/* Pairs of one graph. A scan belongs to one pair at most; scans inside of bodies are ops like any
 * other to the pair around them. */
static void find_pairs(remat_state *s)
{
    const ir_graph *in = s->in;
    bool *taken = dfm_new_n(s->cx->scratch, bool, in->ops.n);
    for (uint32_t v = 1; v < in->ops.n; v++) {
        const ir_op *op = ir_op_of(in, (ir_val){v});
        if (op->kind != IR_SCAN) continue;
        const ir_scan *at = &op->at->scan;
        for (uint32_t k = at->n_carry; k < at->n_carry + at->n_xs && !taken[v]; k++) {
            const ir_op *x = ir_op_of(in, op->args[k]);
            if (x->kind != IR_GET || ir_op_of(in, x->args[0])->kind != IR_SCAN) continue;
            ir_val fwd = x->args[0];
            if (taken[fwd.i] || x->at->member < ir_op_of(in, fwd)->at->scan.n_carry) continue;
            remat_pair *p = remat_pair_of(s, fwd, (ir_val){v});
            if (!p) continue;
            taken[v] = taken[fwd.i] = true;
            remat_price(s, p);
            dfm_push(s->cx->scratch, &s->pairs, p);
        }
    }
}

typedef struct copy {
    remat_state *s;
    ir_builder b;
    ir_val *map;
    remat_bodies *bodies;                    /* per pair */
} copy;

static const remat_pair *pair_at(const copy *c, ir_val v, uint32_t *out)
{
    for (uint32_t i = 0; i < c->s->pairs.n; i++) {
        const remat_pair *p = c->s->pairs.p[i];
        *out = i;
        if (ir_same(p->fwd, v) || ir_same(p->bwd, v)) return p;
    }
    return NULL;
}

static ir_val new_scan(copy *c, ir_val v, const remat_pair *p, const remat_bodies *n)
{
    const ir_op *op = ir_op_of(c->s->in, v);
    if (ir_same(v, p->fwd))
        return ir_scan_over(&c->b, &n->f, pass_args(c->s->cx, op, c->map), op->n_args);
    ir_val *args = dfm_new_n(c->s->cx->scratch, ir_val, n->b_args.n + 1);
    for (uint32_t k = 0; k < n->b_args.n; k++) {
        const remat_arg *a = &n->b_args.p[k];
        args[k] = a->old.i ? c->map[a->old.i] : ir_get(&c->b, c->map[p->fwd.i], a->stack);
    }
    return ir_scan_over(&c->b, &n->b, args, n->b_args.n);
}

static void copy_op(copy *c, ir_val v)
{
    const ir_op *op = ir_op_of(c->s->in, v);
    uint32_t i;
    const remat_pair *p = op->kind == IR_SCAN ? pair_at(c, v, &i) : NULL;
    c->b.loc = op->loc;
    if (p) {
        c->map[v.i] = new_scan(c, v, p, &c->bodies[i]);
        return;
    }
    p = op->kind == IR_GET ? pair_at(c, op->args[0], &i) : NULL;
    if (!p || !ir_same(p->fwd, op->args[0])) {
        c->map[v.i] = ir_emit_copy(&c->b, op, pass_args(c->s->cx, op, c->map));
        return;
    }
    uint32_t member = c->bodies[i].result_of[op->at->member];
    if (member != UINT32_MAX) c->map[v.i] = ir_get(&c->b, c->map[p->fwd.i], member);
}

bool pass_remat(pass_ctx *cx, const ir_graph *in, ir_graph *out)
{
    remat_state s = {.cx = cx, .in = in, .rates = remat_usual};
    remat_report own = {0}, *report = cx->options.remat_report ? cx->options.remat_report : &own;
    uint32_t level = 0;
    if (cx->options.remat) {
        s.rates = cx->options.remat->rates;
        level = cx->options.remat->level;
    }
    *report = (remat_report){0};
    find_pairs(&s);
    remat_choose(&s, level, report);
    copy c = {.s = &s, .b = {.m = cx->m, .g = out}};
    c.map = dfm_new_n(cx->scratch, ir_val, in->ops.n);
    c.bodies = dfm_new_n(cx->scratch, remat_bodies, s.pairs.n + 1);
    for (uint32_t i = 0; i < s.pairs.n; i++) remat_rewrite(&s, s.pairs.p[i], &c.bodies[i]);
    const bool *live = pass_live(cx, in);
    for (uint32_t v = 1; v < in->ops.n; v++)
        if (live[v]) copy_op(&c, (ir_val){v});
    pass_results(cx, in, c.map, out);
    return true;
}

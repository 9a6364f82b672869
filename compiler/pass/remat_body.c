/* remat_body.c - pairs of scans, and their bodies rewritten.
 *
 * B's body is matched with F's by computing it there: what B makes of forward values alone (its
 * formals that stand for F's stacks, operands or counter, and ops on these) is emitted into a copy
 * of F's body, where the builder finds what is there already. So B's pointwise recomputations turn
 * out to be values of F, and the rest of B, which knows cotangents, reads them by those names.
 */
#include "compiler/pass/remat_int.h"

#include <string.h>

/* -- pairs ------------------------------------------------------------------------------------- */

static uint32_t n_operands(const ir_scan *at) { return at->n_carry + at->n_xs + at->n_caps; }

/* A stacked result of F: its index among the body's results, or -1. */
static int stack_of(const remat_pair *p, const ir_graph *in, ir_val v)
{
    const ir_op *op = ir_op_of(in, v);
    bool stacked = op->kind == IR_GET && ir_same(op->args[0], p->fwd) &&
                   op->at->member >= p->f->at->scan.n_carry;
    return stacked ? (int)op->at->member : -1;
}

static ir_val *copy_formals(remat_state *s, const ir_graph *from, ir_builder *b)
{
    ir_val *map = dfm_new_n(s->cx->scratch, ir_val, from->ops.n);
    for (uint32_t k = 0; k < from->inputs.n; k++) {
        const ir_op *op = ir_op_of(from, from->inputs.p[k]);
        b->loc = op->loc;
        map[from->inputs.p[k].i] = ir_input_new(b, op->type, IR_ROLE_BODY, k,
                                                dfm_name_str(s->cx->m->names, op->at->input.name));
    }
    return map;
}

static ir_val emit(remat_state *s, ir_builder *b, const ir_op *op, const ir_val *map)
{
    b->loc = op->loc;
    return ir_emit_copy(b, op, pass_args(s->cx, op, map));
}

/* Which value of x B's formal for operand k stands for. */
static ir_val formal_in_x(const remat_pair *p, const ir_graph *in, uint32_t k)
{
    const ir_scan *f = &p->f->at->scan, *b = &p->b->at->scan;
    bool xs = k >= b->n_carry && k < b->n_carry + b->n_xs;
    int stack = xs ? stack_of(p, in, p->b->args[k]) : -1;
    if (stack >= 0) return p->of_f[p->fg->results.p[stack].val.i];
    if (k < b->n_carry) return (ir_val){0};
    uint32_t lo = xs ? f->n_carry : f->n_carry + f->n_xs, hi = xs ? lo + f->n_xs : n_operands(f);
    for (uint32_t j = lo; j < hi; j++)
        if (ir_same(p->f->args[j], p->b->args[k])) return p->of_f[p->fg->inputs.p[j + 1].i];
    return (ir_val){0};
}

static void match(remat_state *s, remat_pair *p)
{
    ir_builder b = {.m = s->cx->m, .g = p->x};
    p->of_b = dfm_new_n(s->cx->scratch, ir_val, p->bg->ops.n);
    p->of_b[p->bg->inputs.p[0].i] = p->of_f[p->fg->inputs.p[0].i];
    for (uint32_t k = 0; k < n_operands(&p->b->at->scan); k++) {
        ir_val formal = p->bg->inputs.p[k + 1], v = formal_in_x(p, s->in, k);
        bool same = v.i && ir_type_at(p->x, v).i == ir_type_at(p->bg, formal).i;
        if (same) p->of_b[formal.i] = v;
    }
    for (uint32_t v = 1; v < p->bg->ops.n; v++) {
        const ir_op *op = ir_op_of(p->bg, (ir_val){v});
        bool all = op->kind != IR_INPUT;
        for (uint32_t k = 0; k < op->n_args; k++) all &= p->of_b[op->args[k].i].i != 0;
        if (!all) continue;
        ir_val x = emit(s, &b, op, p->of_b);
        if (ir_type_at(p->x, x).i == op->type.i) p->of_b[v] = x;
    }
}

static void find_needed(remat_state *s, remat_pair *p)
{
    p->needed = dfm_new_n(s->cx->scratch, bool, p->x->ops.n);
    for (uint32_t v = 1; v < p->bg->ops.n; v++) {
        const ir_op *op = ir_op_of(p->bg, (ir_val){v});
        for (uint32_t k = 0; !p->of_b[v].i && k < op->n_args; k++)
            p->needed[p->of_b[op->args[k].i].i] = true;
    }
    for (uint32_t k = 0; k < p->bg->results.n; k++)
        p->needed[p->of_b[p->bg->results.p[k].val.i].i] = true;
    p->needed[0] = false;
}

static void find_outside(remat_state *s, remat_pair *p)
{
    const ir_graph *in = s->in;
    bool *seen = dfm_new_n(s->cx->scratch, bool, in->ops.n);         /* stacks read by others */
    for (uint32_t v = 1; v < in->ops.n; v++) {
        const ir_op *op = ir_op_of(in, (ir_val){v});
        for (uint32_t k = 0; k < op->n_args; k++) {
            const ir_scan *b = &p->b->at->scan;
            bool as_xs = v == p->bwd.i && k >= b->n_carry && k < b->n_carry + b->n_xs;
            if (!as_xs) seen[op->args[k].i] = true;
        }
    }
    for (uint32_t k = 0; k < in->results.n; k++) seen[in->results.p[k].val.i] = true;
    p->outside = dfm_new_n(s->cx->scratch, bool, p->fg->results.n + 1);
    for (uint32_t v = 1; v < in->ops.n; v++)
        if (seen[v] && stack_of(p, in, (ir_val){v}) >= 0)
            p->outside[stack_of(p, in, (ir_val){v})] = true;
}

remat_pair *remat_pair_of(remat_state *s, ir_val fwd, ir_val bwd)
{
    ir_module *m = s->cx->m;
    remat_pair *p = dfm_new(s->cx->scratch, remat_pair);
    *p = (remat_pair){.fwd = fwd, .bwd = bwd, .f = ir_op_of(s->in, fwd), .b = ir_op_of(s->in, bwd)};
    const ir_scan *f = &p->f->at->scan, *b = &p->b->at->scan;
    if (f->loop.i != b->loop.i || f->reverse == b->reverse) return NULL;
    p->fg = m->graphs.p[f->body];
    p->bg = m->graphs.p[b->body];
    p->trips = (double)ir_extent(m, f->loop);
    p->x = ir_graph_scratch(m);
    ir_builder to = {.m = m, .g = p->x};
    p->of_f = copy_formals(s, p->fg, &to);
    for (uint32_t v = 1; v < p->fg->ops.n; v++) {
        const ir_op *op = ir_op_of(p->fg, (ir_val){v});
        if (op->kind != IR_INPUT) p->of_f[v] = emit(s, &to, op, p->of_f);
    }
    match(s, p);
    find_needed(s, p);
    find_outside(s, p);
    p->is_leaf = dfm_new_n(s->cx->scratch, bool, p->x->ops.n);
    for (uint32_t k = 0; k < p->x->inputs.n; k++)
        p->is_leaf[p->x->inputs.p[k].i] = k == 0 || k > f->n_carry;
    return p;
}

/* -- rewriting --------------------------------------------------------------------------------- */

typedef struct rewrite {
    remat_state *s;
    remat_pair *p;
    remat_bodies *out;
    ir_builder f, b;
    uint32_t *stack;                         /* per value of x: result of the new F that keeps it */
    ir_val *in_b;                            /* per value of x: in the new B */
    ir_val *own;                             /* per value of bg that is B's own: likewise */
} rewrite;

static void emit_x(rewrite *r, ir_val *map, const bool *live)
{
    const ir_graph *x = r->p->x;
    for (uint32_t v = 1; v < x->ops.n; v++)
        if (live[v] && !map[v].i) map[v] = emit(r->s, &r->f, ir_op_of(x, (ir_val){v}), map);
}

/* A stack has the loop's dim; a value that has it already goes under another name. */
static ir_dim alias_for(const rewrite *r, ir_type t)
{
    ir_module *m = r->s->cx->m;
    ir_dim loop = r->p->f->at->scan.loop, other = {0};
    if (ir_dim_at(m, t, loop) < 0) return other;
    other = ir_dim_alias(m, loop);
    while (ir_dim_at(m, t, other) >= 0) other = ir_dim_alias(m, other);
    return other;
}

static void new_forward(rewrite *r)
{
    remat_pair *p = r->p;
    ir_module *m = r->s->cx->m;
    bool *live = dfm_new_n(r->s->cx->scratch, bool, p->x->ops.n);
    const ir_scan *at = &p->f->at->scan;
    r->out->f = *at;
    r->out->result_of = dfm_new_n(r->s->cx->scratch, uint32_t, p->fg->results.n + 1);
    for (uint32_t v = 1; v < p->x->ops.n; v++) live[v] = p->kept[v];
    for (uint32_t k = 0; k < p->fg->results.n; k++)
        if (k < at->n_carry || p->outside[k]) live[p->of_f[p->fg->results.p[k].val.i].i] = true;
    for (uint32_t v = p->x->ops.n; v-- > 1;) {
        const ir_op *op = ir_op_of(p->x, (ir_val){v});
        for (uint32_t k = 0; live[v] && k < op->n_args; k++) live[op->args[k].i] = true;
    }
    r->f = (ir_builder){.m = m, .g = ir_graph_create(m, dfm_name_str(m->names, p->fg->name),
                                                     &r->out->f.body)};
    ir_val *map = copy_formals(r->s, p->x, &r->f);
    emit_x(r, map, live);
    for (uint32_t k = 0; k < p->fg->results.n; k++) {
        const ir_result *res = &p->fg->results.p[k];
        ir_val v = p->of_f[res->val.i];
        r->out->result_of[k] = UINT32_MAX;
        if (k >= at->n_carry && !p->outside[k]) continue;
        r->out->result_of[k] = r->f.g->results.n;
        if (k >= at->n_carry && p->kept[v.i] && !alias_for(r, ir_type_at(p->x, v)).i)
            r->stack[v.i] = r->f.g->results.n;
        ir_result_add(&r->f, map[v.i], dfm_name_str(m->names, res->name));
    }
    for (uint32_t v = 1; v < p->x->ops.n; v++) {
        if (!p->kept[v] || r->stack[v]) continue;
        ir_dim other = alias_for(r, ir_type_at(p->x, (ir_val){v}));
        r->stack[v] = r->f.g->results.n;
        ir_result_add(&r->f, other.i ? ir_rename(&r->f, map[v], at->loop, other) : map[v], NULL);
    }
    r->out->f.n_ys = r->f.g->results.n - at->n_carry;
}

static ir_val new_formal(rewrite *r, ir_type t)
{
    return ir_input_new(&r->b, t, IR_ROLE_BODY, r->b.g->inputs.n, NULL);
}

static void add_arg(rewrite *r, ir_val old, uint32_t stack)
{
    dfm_push(r->s->cx->scratch, &r->out->b_args, ((remat_arg){old, stack}));
}

/* Operands [lo, hi) of the old B that stand for no forward value. */
static uint32_t own_formals(rewrite *r, uint32_t lo, uint32_t hi)
{
    uint32_t n = 0;
    for (uint32_t k = lo; k < hi; k++) {
        ir_val formal = r->p->bg->inputs.p[k + 1];
        if (r->p->of_b[formal.i].i) continue;
        r->own[formal.i] = new_formal(r, ir_type_at(r->p->bg, formal));
        add_arg(r, r->p->b->args[k], 0);
        n++;
    }
    return n;
}

/* Operands [lo, hi) of F that the new B wants as well. */
static uint32_t leaf_formals(rewrite *r, uint32_t lo, uint32_t hi)
{
    uint32_t n = 0;
    for (uint32_t k = lo; k < hi; k++) {
        ir_val formal = r->p->x->inputs.p[k + 1];
        if (!r->p->required[formal.i]) continue;
        r->in_b[formal.i] = new_formal(r, ir_type_at(r->p->x, formal));
        add_arg(r, r->p->f->args[k], 0);
        n++;
    }
    return n;
}

static uint32_t kept_formals(rewrite *r)
{
    const remat_pair *p = r->p;
    uint32_t n = 0;
    for (uint32_t v = 1; v < p->x->ops.n; v++) {
        if (!p->kept[v]) continue;
        uint32_t k = r->stack[v];
        r->in_b[v] = new_formal(r, ir_type_at(r->f.g, r->f.g->results.p[k].val));
        add_arg(r, (ir_val){0}, k);
        n++;
    }
    return n;
}

/* Kept values that went under another name get theirs back; only after all formals. */
static void rename_back(rewrite *r)
{
    for (uint32_t v = 1; v < r->p->x->ops.n; v++) {
        ir_type t = ir_type_at(r->p->x, (ir_val){v});
        if (!r->p->kept[v] || ir_type_at(r->b.g, r->in_b[v]).i == t.i) continue;
        r->in_b[v] = ir_rename(&r->b, r->in_b[v], alias_for(r, t), r->p->f->at->scan.loop);
    }
}

static ir_val provide(rewrite *r, ir_val v)
{
    if (r->in_b[v.i].i) return r->in_b[v.i];
    const ir_op *op = ir_op_of(r->p->x, v);
    for (uint32_t k = 0; k < op->n_args; k++) provide(r, op->args[k]);
    return r->in_b[v.i] = emit(r->s, &r->b, op, r->in_b);
}

static ir_val new_value(rewrite *r, ir_val v)
{
    return r->p->of_b[v.i].i ? provide(r, r->p->of_b[v.i]) : r->own[v.i];
}

static void new_backward(rewrite *r)
{
    remat_pair *p = r->p;
    ir_module *m = r->s->cx->m;
    const ir_scan *f = &p->f->at->scan, *b = &p->b->at->scan;
    ir_scan *at = &r->out->b;
    *at = *b;
    r->b = (ir_builder){.m = m, .g = ir_graph_create(m, dfm_name_str(m->names, p->bg->name),
                                                     &at->body)};
    r->in_b[p->x->inputs.p[0].i] = new_formal(r, ir_type_at(p->bg, p->bg->inputs.p[0]));
    own_formals(r, 0, b->n_carry);
    at->n_xs = own_formals(r, b->n_carry, b->n_carry + b->n_xs);
    at->n_xs += leaf_formals(r, f->n_carry, f->n_carry + f->n_xs);
    at->n_xs += kept_formals(r);
    at->n_caps = own_formals(r, b->n_carry + b->n_xs, n_operands(b));
    at->n_caps += leaf_formals(r, f->n_carry + f->n_xs, n_operands(f));
    rename_back(r);
    for (uint32_t v = 1; v < p->bg->ops.n; v++) {
        const ir_op *op = ir_op_of(p->bg, (ir_val){v});
        if (op->kind == IR_INPUT || p->of_b[v].i) continue;
        ir_val *args = dfm_new_n(r->s->cx->scratch, ir_val, op->n_args + 1);
        for (uint32_t k = 0; k < op->n_args; k++) args[k] = new_value(r, op->args[k]);
        r->b.loc = op->loc;
        r->own[v] = ir_emit_copy(&r->b, op, args);
    }
    for (uint32_t k = 0; k < p->bg->results.n; k++)
        ir_result_add(&r->b, new_value(r, p->bg->results.p[k].val),
                      dfm_name_str(m->names, p->bg->results.p[k].name));
}

void remat_rewrite(remat_state *s, remat_pair *p, remat_bodies *out)
{
    rewrite r = {.s = s, .p = p, .out = out};
    r.stack = dfm_new_n(s->cx->scratch, uint32_t, p->x->ops.n);
    r.in_b = dfm_new_n(s->cx->scratch, ir_val, p->x->ops.n);
    r.own = dfm_new_n(s->cx->scratch, ir_val, p->bg->ops.n);
    *out = (remat_bodies){0};
    new_forward(&r);
    new_backward(&r);
}

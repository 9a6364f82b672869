/* ir_emit.c - appending ops to a graph, and finding an identical op that is already there. */
#include "compiler/ir/ir_impl.h"

#include <string.h>

#include "runtime/base/hash.h"

static uint64_t mix(uint64_t h, const void *p, size_t n) { return n ? dfm_hash64(p, n, h) : h; }
static uint64_t mix64(uint64_t h, uint64_t x) { return dfm_hash64(&x, sizeof x, h); }

/* Conditions field by field: the struct has padding. */
static uint64_t mix_view(uint64_t h, const ir_view *v)
{
    for (uint32_t i = 0; i < v->n_conds; i++) {
        uint64_t w[3] = {v->guard[i].e.i, (uint64_t)v->guard[i].lo, (uint64_t)v->guard[i].hi};
        h = mix(h, w, sizeof w);
    }
    return mix(h, &v->fill, sizeof v->fill);
}

/* Attributes that depend on nothing but themselves. The coordinates of a view, whose number is
 * the rank of its operand, are left to attrs_same. */
static uint64_t attrs_hash(ir_op_kind k, const ir_attrs *a)
{
    switch (k) {
    case IR_INPUT: return mix64(a->input.index, a->input.role);
    case IR_PARAM: return a->param;
    case IR_CONST: return mix(a->cst.n, a->cst.data, a->cst.n * sizeof(double));
    case IR_RANDOM: return mix64(a->random.stream, a->random.dist);
    case IR_MAP: return a->fn;
    case IR_VIEW: return mix_view(a->view.n_conds, &a->view);
    case IR_REDUCE:
        return mix(a->reduce.kind, a->reduce.dims, a->reduce.n_dims * sizeof(ir_dim));
    case IR_CONTRACT:
        return mix(a->contract.n_pairs, a->contract.pairs, a->contract.n_pairs * sizeof(ir_pair));
    case IR_GATHER:
    case IR_SCATTER_ADD: return a->gather.dim.i;
    case IR_ATTEND:
    case IR_ATTEND_BWD: return mix64(a->attend.seq.i, a->attend.over.i);
    case IR_SCAN: return mix64(a->scan.body, a->scan.loop.i);
    case IR_CALL: return a->call.body;
    case IR_GET: return a->member;
    default: return 0;
    }
}

static bool bytes_same(const void *a, const void *b, size_t n)
{
    return !n || a == b || !memcmp(a, b, n);
}

static bool conds_same(const ir_view *x, const ir_view *y)
{
    for (uint32_t i = 0; i < x->n_conds; i++)
        if (x->guard[i].e.i != y->guard[i].e.i || x->guard[i].lo != y->guard[i].lo
            || x->guard[i].hi != y->guard[i].hi)
            return false;
    return true;
}

static bool attend_same(const ir_attend *x, const ir_attend *y)
{
    return x->seq.i == y->seq.i && x->over.i == y->over.i && x->feature.i == y->feature.i
        && x->value.i == y->value.i && x->scale == y->scale && x->causal == y->causal
        && x->window == y->window;
}

static bool scan_same(const ir_scan *x, const ir_scan *y)
{
    return x->body == y->body && x->loop.i == y->loop.i && x->n_carry == y->n_carry
        && x->n_xs == y->n_xs && x->n_caps == y->n_caps && x->n_ys == y->n_ys
        && x->reverse == y->reverse;
}

bool ir_attrs_same(ir_op_kind k, const ir_attrs *a, const ir_attrs *b)
{
    switch (k) {
    case IR_INPUT: return a->input.role == b->input.role && a->input.index == b->input.index;
    case IR_PARAM: return a->param == b->param;
    case IR_CONST:
        return a->cst.n == b->cst.n && bytes_same(a->cst.data, b->cst.data, a->cst.n * 8);
    case IR_RANDOM:
        return a->random.dist == b->random.dist && a->random.stream == b->random.stream
            && a->random.sample.i == b->random.sample.i && a->random.lo == b->random.lo
            && a->random.hi == b->random.hi;
    case IR_MAP: return a->fn == b->fn;
    case IR_VIEW:
        return a->view.n_conds == b->view.n_conds && bytes_same(&a->view.fill, &b->view.fill, 8)
            && conds_same(&a->view, &b->view);
    case IR_REDUCE:
        return a->reduce.kind == b->reduce.kind && a->reduce.n_dims == b->reduce.n_dims
            && bytes_same(a->reduce.dims, b->reduce.dims, a->reduce.n_dims * sizeof(ir_dim));
    case IR_CONTRACT:
        return a->contract.n_pairs == b->contract.n_pairs
            && bytes_same(a->contract.pairs, b->contract.pairs,
                          a->contract.n_pairs * sizeof(ir_pair));
    case IR_GATHER:
    case IR_SCATTER_ADD: return a->gather.dim.i == b->gather.dim.i;
    case IR_ATTEND:
    case IR_ATTEND_BWD: return attend_same(&a->attend, &b->attend);
    case IR_SCAN: return scan_same(&a->scan, &b->scan);
    case IR_CALL: return a->call.body == b->call.body && a->call.vjp == b->call.vjp;
    case IR_GET: return a->member == b->member;
    default: return true;
    }
}

ir_attrs *ir_attrs_copy(ir_module *m, ir_op_kind k, uint32_t n_view_coords, const ir_attrs *at)
{
    ir_attrs *own = dfm_new(m->arena, ir_attrs);
    if (at) *own = *at;
    if (k == IR_VIEW) {
        own->view.coords = dfm_dup(m->arena, at->view.coords, n_view_coords * sizeof(ir_ix));
        own->view.guard = dfm_dup(m->arena, at->view.guard, at->view.n_conds * sizeof(ir_cond));
    } else if (k == IR_REDUCE) {
        own->reduce.dims = dfm_dup(m->arena, at->reduce.dims, at->reduce.n_dims * sizeof(ir_dim));
    } else if (k == IR_CONTRACT) {
        own->contract.pairs =
            dfm_dup(m->arena, at->contract.pairs, at->contract.n_pairs * sizeof(ir_pair));
    }
    return own;
}

static uint32_t source_rank(const ir_module *m, const ir_graph *g, const ir_op *op)
{
    return ir_type_of(m, ir_type_at(g, op->args[0]))->rank;
}

static uint64_t op_hash(const ir_op *op)
{
    uint64_t h = mix64(attrs_hash(op->kind, op->at), (uint64_t)op->kind << 32 | op->type.i);
    return mix(h, op->args, op->n_args * sizeof(ir_val));
}

static bool op_same(const ir_module *m, const ir_graph *g, const ir_op *a, const ir_op *b)
{
    if (a->kind != b->kind || a->type.i != b->type.i || a->n_args != b->n_args
        || !bytes_same(a->args, b->args, a->n_args * sizeof(ir_val))
        || !ir_attrs_same(a->kind, a->at, b->at))
        return false;
    return a->kind != IR_VIEW
        || bytes_same(a->at->view.coords, b->at->view.coords, source_rank(m, g, a) * sizeof(ir_ix));
}

static void cse_insert(ir_module *m, ir_graph *g, uint32_t i)
{
    ir_slots *s = &g->cse->slots;
    if ((s->used + 1) * 2 >= s->n) {
        uint32_t n = s->n ? s->n * 2 : 64;
        *s = (ir_slots){.p = dfm_new_n(m->arena, uint32_t, n), .n = n};
        for (uint32_t k = 1; k < i; k++) cse_insert(m, g, k);
    }
    uint64_t h = op_hash(&g->ops.p[i]);
    while (s->p[h & (s->n - 1)]) h++;
    s->p[h & (s->n - 1)] = i;
    s->used++;
}

static ir_val cse_find(const ir_module *m, const ir_graph *g, const ir_op *op)
{
    const ir_slots *s = &g->cse->slots;
    if (!s->n) return (ir_val){0};
    for (uint64_t h = op_hash(op); s->p[h & (s->n - 1)]; h++) {
        uint32_t i = s->p[h & (s->n - 1)];
        if (op_same(m, g, &g->ops.p[i], op)) return (ir_val){i};
    }
    return (ir_val){0};
}

ir_val ir_append(ir_module *m, ir_graph *g, const ir_op *op)
{
    ir_val v = {g->ops.n};
    dfm_push(m->arena, &g->ops, *op);
    cse_insert(m, g, v.i);
    if (op->kind == IR_INPUT) dfm_push(m->arena, &g->inputs, v);
    return v;
}

ir_val ir_emit(ir_builder *b, ir_op_kind k, ir_type t, const ir_val *args, uint32_t n,
               const ir_attrs *at)
{
    static const ir_attrs none;
    ir_op op = {.kind = k, .n_args = n, .args = args, .at = at ? at : &none, .type = t,
                .loc = b->loc, .keep = b->keep};
    for (uint32_t i = 0; i < n; i++) DFM_ASSERT(args[i].i && args[i].i < b->g->ops.n);
    ir_val old = cse_find(b->m, b->g, &op);
    if (old.i) return old;
    uint32_t coords = k == IR_VIEW ? source_rank(b->m, b->g, &op) : 0;
    op.at = ir_attrs_copy(b->m, k, coords, op.at);
    op.args = dfm_dup(b->m->arena, args, n * sizeof *args);
    return ir_append(b->m, b->g, &op);
}

/* -- equal bodies ---------------------------------------------------------------------------- */

static uint64_t graph_hash(const ir_graph *g)
{
    uint64_t h = mix64(g->ops.n, g->results.n);
    for (uint32_t i = 1; i < g->ops.n; i++) h = mix64(h, op_hash(&g->ops.p[i]));
    for (uint32_t i = 0; i < g->results.n; i++) h = mix64(h, g->results.p[i].val.i);
    return h;
}

static bool graph_same(const ir_module *m, const ir_graph *a, const ir_graph *b)
{
    if (a->ops.n != b->ops.n || a->results.n != b->results.n || a->inputs.n != b->inputs.n)
        return false;
    for (uint32_t i = 1; i < a->ops.n; i++)
        if (!op_same(m, a, &a->ops.p[i], &b->ops.p[i])) return false;
    for (uint32_t i = 0; i < a->results.n; i++)
        if (a->results.p[i].val.i != b->results.p[i].val.i) return false;
    for (uint32_t i = 0; i < a->inputs.n; i++)
        if (a->inputs.p[i].i != b->inputs.p[i].i) return false;
    return true;
}

uint32_t ir_same_body(ir_module *m, uint32_t body)
{
    struct ir_intern *t = m->intern;
    const ir_graph *g = m->graphs.p[body];
    uint64_t h = graph_hash(g);
    for (uint32_t i = 0; i < t->bodies.n; i++) {
        uint32_t old = t->bodies.p[i].graph;
        if (old == body || (t->bodies.p[i].hash == h && graph_same(m, m->graphs.p[old], g)))
            return old;
    }
    dfm_push(m->arena, &t->bodies, ((ir_known_body){body, h}));
    return body;
}

const ir_const *ir_const_of(const ir_graph *g, ir_val v)
{
    const ir_op *op = ir_op_of(g, v);
    return op->kind == IR_CONST ? &op->at->cst : NULL;
}

ir_type ir_type_at(const ir_graph *g, ir_val v) { return ir_op_of(g, v)->type; }

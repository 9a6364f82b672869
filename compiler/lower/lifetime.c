/* lifetime.c - uses and lifetimes of a program's buffers. */
#include "compiler/lower/lifetime.h"

bool life_is_planned(const kir_buffer *b)
{
    return b->mem == KIR_MEM_TEMP || b->mem == KIR_MEM_INPUT || b->mem == KIR_MEM_OUTPUT;
}

typedef struct walk {
    lives *s;
    kir_node *node;
} walk;

static void add_use(void *user, kir_arg *a)
{
    walk *w = user;
    lives *s = w->s;
    dfm_push(s->a, &s->of[a->buf.i].uses, ((life_use){w->node, a, s->n_nodes}));
}

static void number(lives *s, const kir_nodes *list)
{
    for (uint32_t i = 0; i < list->n; i++) {
        kir_node *n = list->p[i];
        if (n->kind != KIR_NODE_LOOP) {
            walk w = {s, n};
            s->n_nodes++;
            dfm_push(s->a, &s->nodes, n);
            kir_each_arg(n, add_use, &w);
            continue;
        }
        life_loop l = {.first = s->n_nodes + 1, .depth = n->loop.depth,
                       .trips = ir_extent(s->m->ir, n->loop.dim)};
        number(s, &n->loop.body);
        l.last = s->n_nodes;
        if (l.last >= l.first) dfm_push(s->a, &s->loops, l);
    }
}

/* Does the epilogue read there what its product has made? */
static bool is_just_made(const life_use *u, uint32_t buf)
{
    const kir_node *n = u->node;
    return n->kind == KIR_NODE_GEMM && n->gemm.epi && n->gemm.c.buf.i == buf;
}

static void measure(lives *s, life *l)
{
    (void)s;
    l->first = l->last = 0;
    l->walked = 0;
    l->read_first = false;
    for (uint32_t i = 0; i < l->uses.n; i++) {
        const life_use *u = &l->uses.p[i];
        for (uint32_t d = 0; d < KIR_MAX_LOOPS; d++)
            if (u->arg->loop_stride[d]) l->walked |= (uint8_t)(1u << d);
        if (!l->first || u->at < l->first) {
            l->first = u->at;
            l->read_first = false;
        }
        if (u->at == l->first && !u->arg->write && !is_just_made(u, l->buf)) l->read_first = true;
        if (u->at > l->last) l->last = u->at;
    }
}

static void widen(const lives *s, life *l)
{
    l->from = l->first;
    l->to = l->last;
    for (uint32_t i = 0; i < s->loops.n; i++) {
        const life_loop *o = &s->loops.p[i];
        if (l->to < o->first || l->from > o->last) continue;
        bool outside = l->from < o->first || l->to > o->last;
        bool walked = l->walked >> o->depth & 1;
        if (!outside && !l->read_first && !walked) continue;
        if (o->first < l->from) l->from = o->first;
        if (o->last > l->to) l->to = o->last;
    }
}

void life_refresh(lives *s, life *l)
{
    const kir_buffer *b = &s->m->bufs.p[l->buf];
    measure(s, l);
    if (l->first) widen(s, l);
    else l->from = l->to = 0;
    if (b->mem == KIR_MEM_INPUT) l->from = 0;
    if (b->mem == KIR_MEM_OUTPUT) l->to = s->n_nodes + 1;
    l->bytes = (b->elems * dfm_dtype_bytes(b->dtype) + LIFE_ALIGN - 1) / LIFE_ALIGN * LIFE_ALIGN;
    if (l->bytes >= LIFE_LARGE) l->bytes += LIFE_SKEW;
}

dfm_status lives_of(kir_module *m, uint32_t program, dfm_arena *a, lives *out, dfm_err *err)
{
    const kir_program *p = m->programs.p[program];
    *out = (lives){.m = m, .a = a, .program = program};
    out->of = dfm_new_n(a, life, m->bufs.n + 1);
    dfm_push(a, &out->nodes, NULL);
    number(out, &p->nodes);
    for (uint32_t b = 1; b < m->bufs.n; b++) {
        const kir_buffer *info = &m->bufs.p[b];
        life *l = &out->of[b];
        l->buf = b;
        if (!life_is_planned(info)) continue;
        if (info->program == program) life_refresh(out, l);
        else if (l->uses.n)
            return dfm_fail(err, DFM_INTERNAL, "program '%s' uses a buffer of another one",
                            p->name);
    }
    return DFM_OK;
}

/* memplan.c - places the buffers of each program in one arena.
 *
 * Nodes are numbered in order; a loop covers the numbers of its body. A buffer is live from its
 * first to its last use. Used both inside and outside of a loop, or read in the body before it is
 * written there, or walked along by the loop, it is live during the whole loop; used in the body
 * alone it is free again between its last use and its first use of the next iteration. Inputs are
 * live from the start, outputs to the end.
 *
 * Placement: the largest first, each at the lowest offset that is free during its life. The result
 * depends on the module alone.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "compiler/kir/kir.h"

enum { ALIGN = 64 };

typedef struct life {
    uint32_t buf, first, last;               /* node numbers, inclusive */
    uint64_t bytes, offset;
    bool used, read_first;
} life;

typedef struct span { uint32_t first, last, depth; } span;

typedef struct planner {
    const kir_module *m;
    dfm_arena *a;
    life *life;                              /* by buffer */
    uint8_t *walked;                         /* by buffer: depths of loops that walk along it */
    uint32_t now;
    DFM_VEC(span) loops;                     /* inner ones before outer ones */
} planner;

static void use(void *user, kir_arg *a)
{
    planner *p = user;
    life *l = &p->life[a->buf.i];
    for (uint32_t d = 0; d < KIR_MAX_LOOPS; d++)
        if (a->loop_stride[d]) p->walked[a->buf.i] |= (uint8_t)(1u << d);
    if (!l->used) {
        l->used = true;
        l->first = p->now;
        l->read_first = !a->write;
    } else if (l->first == p->now && !a->write) {
        l->read_first = true;                /* read and written by its first node */
    }
    l->last = p->now;
}

static void number(planner *p, const kir_nodes *list)
{
    for (uint32_t i = 0; i < list->n; i++) {
        kir_node *n = list->p[i];
        if (n->kind != KIR_NODE_LOOP) {
            p->now++;
            kir_each_arg(n, use, p);
            continue;
        }
        span s = {.first = p->now + 1, .depth = n->loop.depth};
        number(p, &n->loop.body);
        s.last = p->now;
        if (s.last >= s.first) dfm_push(p->a, &p->loops, s);
    }
}

static void widen(planner *p, life *l)
{
    for (uint32_t i = 0; i < p->loops.n; i++) {
        span s = p->loops.p[i];
        if (l->last < s.first || l->first > s.last) continue;
        bool outside = l->first < s.first || l->last > s.last;
        bool walked = p->walked[l->buf] >> s.depth & 1;
        if (!outside && !l->read_first && !walked) continue;
        if (s.first < l->first) l->first = s.first;
        if (s.last > l->last) l->last = s.last;
    }
}

static int larger_first(const void *x, const void *y)
{
    const life *a = *(life *const *)x, *b = *(life *const *)y;
    if (a->bytes != b->bytes) return a->bytes < b->bytes ? 1 : -1;
    if (a->first != b->first) return a->first < b->first ? -1 : 1;
    return a->buf < b->buf ? -1 : a->buf > b->buf;
}

static bool meet(const life *a, const life *b)
{
    return a->first <= b->last && b->first <= a->last;
}

/* Lowest offset at which l fits beside the n buffers that are placed and live with it. placed is
 * in order of offsets. Returns where in the order it belongs. */
static uint32_t fit(life **placed, uint32_t n, life *l)
{
    uint64_t at = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (!meet(placed[i], l)) continue;
        if (placed[i]->offset >= at + l->bytes) break;
        uint64_t end = placed[i]->offset + placed[i]->bytes;
        if (end > at) at = end;
    }
    l->offset = at;
    uint32_t k = n;
    while (k > 0 && placed[k - 1]->offset > at) k--;
    return k;
}

static uint64_t place(life **order, uint32_t n, dfm_arena *a)
{
    life **placed = dfm_new_n(a, life *, n + 1);
    uint64_t top = 0;
    qsort(order, n, sizeof *order, larger_first);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t k = fit(placed, i, order[i]);
        for (uint32_t j = i; j > k; j--) placed[j] = placed[j - 1];
        placed[k] = order[i];
        if (order[i]->offset + order[i]->bytes > top) top = order[i]->offset + order[i]->bytes;
    }
    return top;
}

/* Largest sum of live bytes at any node. */
static uint64_t peak(life *const *order, uint32_t n, uint32_t last, dfm_arena *a)
{
    int64_t *change = dfm_new_n(a, int64_t, last + 3), live = 0;
    uint64_t most = 0;
    for (uint32_t i = 0; i < n; i++) {
        change[order[i]->first] += (int64_t)order[i]->bytes;
        change[order[i]->last + 1] -= (int64_t)order[i]->bytes;
    }
    for (uint32_t t = 0; t <= last + 1; t++) {
        live += change[t];
        if ((uint64_t)live > most) most = (uint64_t)live;
    }
    return most;
}

static bool in_arena(const kir_buffer *b)
{
    return b->mem == KIR_MEM_TEMP || b->mem == KIR_MEM_INPUT || b->mem == KIR_MEM_OUTPUT;
}

static dfm_status plan_program(kir_module *m, uint32_t index, lower_memory *out, dfm_err *err)
{
    planner p = {.m = m, .a = dfm_arena_create("memory plan")};
    kir_program *g = m->programs.p[index];
    p.life = dfm_new_n(p.a, life, m->bufs.n + 1);
    p.walked = dfm_new_n(p.a, uint8_t, m->bufs.n + 1);
    number(&p, &g->nodes);
    life **order = dfm_new_n(p.a, life *, m->bufs.n + 1);
    uint32_t n = 0;
    dfm_status st = DFM_OK;
    for (uint32_t b = 1; b < m->bufs.n; b++) {
        const kir_buffer *info = &m->bufs.p[b];
        life *l = &p.life[b];
        bool io = info->mem == KIR_MEM_INPUT || info->mem == KIR_MEM_OUTPUT;
        if (!in_arena(info)) continue;
        if (info->program != index) {
            if (l->used)
                st = dfm_fail(err, DFM_INTERNAL, "program '%s' uses a buffer of another one",
                              g->name);
            continue;
        }
        l->buf = b;
        if (!l->used) l->first = l->last = 0;
        else widen(&p, l);
        if (info->mem == KIR_MEM_INPUT) l->first = 0;
        if (info->mem == KIR_MEM_OUTPUT) l->last = p.now + 1;
        l->bytes = (info->elems * dfm_dtype_bytes(info->dtype) + ALIGN - 1) / ALIGN * ALIGN;
        if (l->used || io) order[n++] = l;
    }
    g->arena_bytes = place(order, n, p.a);
    for (uint32_t i = 0; i < n; i++) m->bufs.p[order[i]->buf].offset = order[i]->offset;
    uint64_t least = peak(order, n, p.now + 1, p.a);
    if (g->arena_bytes > out->arena_bytes) out->arena_bytes = g->arena_bytes;
    if (least > out->lower_bound) out->lower_bound = least;
    dfm_arena_destroy(p.a);
    return st;
}

dfm_status lower_memplan(kir_module *m, lower_memory *out, dfm_err *err)
{
    *out = (lower_memory){0};
    for (uint32_t i = 0; i < m->programs.n; i++) DFM_TRY(plan_program(m, i, out, err));
    return DFM_OK;
}

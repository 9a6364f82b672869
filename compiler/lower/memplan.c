/* memplan.c - places the buffers of each program in one arena.
 *
 * First buffers that can share memory without a copy do so (share.c); then every buffer gets the
 * lowest offset that is free during its life (lifetime.h). In which order they are placed decides
 * how much is lost between them, so several orders are tried and the best one is taken: by size,
 * by how long they live, by size times life, and each with the buffers that are live at the fullest
 * node first. The result depends on the module alone.
 */
#include <stdlib.h>

#include "compiler/lower/lifetime.h"

enum { ORDERS = 6, BY_SIZE = 0, BY_LIFE, BY_AREA };

typedef struct item { life *l; uint64_t key; bool full; } item;

static int larger_key_first(const void *x, const void *y)
{
    const item *a = x, *b = y;
    if (a->full != b->full) return a->full ? -1 : 1;
    if (a->key != b->key) return a->key < b->key ? 1 : -1;
    if (a->l->bytes != b->l->bytes) return a->l->bytes < b->l->bytes ? 1 : -1;
    if (a->l->from != b->l->from) return a->l->from < b->l->from ? -1 : 1;
    return a->l->buf < b->l->buf ? -1 : a->l->buf > b->l->buf;
}

static bool meet(const life *a, const life *b) { return a->from <= b->to && b->from <= a->to; }

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

/* Largest sum of live bytes at any node, and the node. */
static uint64_t peak(life *const *list, uint32_t n, uint32_t last, dfm_arena *a, uint32_t *node)
{
    int64_t *change = dfm_new_n(a, int64_t, last + 3), live = 0;
    uint64_t most = 0;
    for (uint32_t i = 0; i < n; i++) {
        change[list[i]->from] += (int64_t)list[i]->bytes;
        change[list[i]->to + 1] -= (int64_t)list[i]->bytes;
    }
    for (uint32_t t = 0; t <= last + 1; t++) {
        live += change[t];
        if ((uint64_t)live <= most) continue;
        most = (uint64_t)live;
        *node = t;
    }
    return most;
}

static bool is_live(const life *l, uint32_t node) { return l->from <= node && node <= l->to; }

/* Places all in one order; returns the high-water mark. */
static uint64_t place(life **list, uint32_t n, int order, uint32_t fullest, dfm_arena *a)
{
    life **placed = dfm_new_n(a, life *, n + 1);
    item *items = dfm_new_n(a, item, n + 1);
    uint64_t top = 0;
    for (uint32_t i = 0; i < n; i++) {
        life *l = list[i];
        uint64_t nodes = l->to - l->from + 1;
        uint64_t key = order / 2 == BY_SIZE ? l->bytes : order / 2 == BY_LIFE ? nodes
                                                                              : l->bytes * nodes;
        items[i] = (item){l, key, order % 2 && is_live(l, fullest)};
    }
    if (n) qsort(items, n, sizeof *items, larger_key_first);
    for (uint32_t i = 0; i < n; i++) {
        life *l = items[i].l;
        uint32_t k = fit(placed, i, l);
        for (uint32_t j = i; j > k; j--) placed[j] = placed[j - 1];
        placed[k] = l;
        if (l->offset + l->bytes > top) top = l->offset + l->bytes;
    }
    return top;
}

static uint64_t place_best(life **list, uint32_t n, uint64_t bound, uint32_t fullest, dfm_arena *a)
{
    uint64_t best = UINT64_MAX;
    int order = 0;
    for (int k = 0; k < ORDERS && best > bound; k++) {
        uint64_t top = place(list, n, k, fullest, a);
        if (top >= best) continue;
        best = top;
        order = k;
    }
    return place(list, n, order, fullest, a);
}

static void list_holders(const lives *s, life *const *list, uint32_t n, uint32_t node,
                         lower_memory *out)
{
    item *items = dfm_new_n(s->a, item, n + 1);
    for (uint32_t i = 0; i < n; i++) items[i] = (item){list[i], list[i]->bytes, false};
    if (n) qsort(items, n, sizeof *items, larger_key_first);
    out->holders.n = 0;
    for (uint32_t i = 0; i < n; i++) {
        const life *l = items[i].l;
        if (!is_live(l, node)) continue;
        lower_holder h = {s->m->bufs.p[l->buf].name, l->bytes, l->walked != 0};
        dfm_push(s->m->arena, &out->holders, h);
    }
}

static dfm_status plan_program(kir_module *m, uint32_t index, lower_memory *out, dfm_err *err)
{
    lives s;
    dfm_arena *a = dfm_arena_create("memory plan");
    kir_program *g = m->programs.p[index];
    dfm_status st = lives_of(m, index, a, &s, err);
    if (st == DFM_OK) {
        share_counts shared = share_buffers(&s);
        life **list = dfm_new_n(a, life *, m->bufs.n + 1);
        uint32_t n = 0, fullest = 0;
        for (uint32_t b = 1; b < m->bufs.n; b++) {
            const kir_buffer *info = &m->bufs.p[b];
            bool io = info->mem == KIR_MEM_INPUT || info->mem == KIR_MEM_OUTPUT;
            if (!life_is_planned(info) || info->program != index) continue;
            if (s.of[b].uses.n || io) list[n++] = &s.of[b];
        }
        g->bound_bytes = peak(list, n, s.n_nodes, a, &fullest);
        g->arena_bytes = place_best(list, n, g->bound_bytes, fullest, a);
        for (uint32_t i = 0; i < n; i++) m->bufs.p[list[i]->buf].offset = list[i]->offset;
        out->n_in_place += shared.in_place;
        out->n_in_slots += shared.in_slots;
        if (g->bound_bytes > out->lower_bound) {
            out->lower_bound = g->bound_bytes;
            out->program = index;
            list_holders(&s, list, n, fullest, out);
        }
        if (g->arena_bytes > out->arena_bytes) out->arena_bytes = g->arena_bytes;
    }
    dfm_arena_destroy(a);
    return st;
}

dfm_status lower_memplan(kir_module *m, lower_memory *out, dfm_err *err)
{
    *out = (lower_memory){0};
    for (uint32_t i = 0; i < m->programs.n; i++) DFM_TRY(plan_program(m, i, out, err));
    return DFM_OK;
}

/* share.c - buffers of one program that can share memory without a copy.
 *
 * In place: a kernel's result takes over the memory of an operand of the same shape that dies in
 * that kernel, if every element is read only by the work that writes it (rule K10 decides).
 *
 * In slots: a stack has one slice per iteration. In the loop that reads a stack for the last time,
 * the slice of this iteration is free from its last use to the iteration's end; in the loop that
 * makes a stack, from the iteration's start to its first use. Temporaries of the body are placed
 * there: their windows then move along with the loop, and cost nothing besides the stack. Only
 * loops that are in no other loop are looked at: there a slice is made and consumed once.
 *
 * All that is decided per node and per buffer of the body; the number of iterations is a factor in
 * addresses only.
 */
#include "compiler/lower/lifetime.h"

#include <stdlib.h>
#include <string.h>

/* -- what may share ---------------------------------------------------------------------------- */

static bool is_temp(const lives *s, const life *l)
{
    const kir_buffer *b = &s->m->bufs.p[l->buf];
    return l->uses.n && b->mem == KIR_MEM_TEMP && b->program == s->program;
}

/* Is l live in single iterations only, for all loops that contain node `at`? */
static bool is_local(const lives *s, const life *l, uint32_t at)
{
    for (uint32_t i = 0; i < s->loops.n; i++) {
        const life_loop *o = &s->loops.p[i];
        if (at < o->first || at > o->last) continue;
        if (l->read_first || l->walked >> o->depth & 1) return false;
        if (l->first < o->first || l->last > o->last) return false;
    }
    return true;
}

/* The node's kernel, be it a product's epilogue; NULL: it has none. */
static kir_kernel *kernel_of(const kir_node *n)
{
    return n->kind == KIR_NODE_KERNEL ? n->kernel : n->kind == KIR_NODE_GEMM ? n->gemm.epi : NULL;
}

/* A product's own operands stay where they are: it has written all of a row before its epilogue
 * reads the first element of it. */
static bool product_uses(const kir_node *n, uint32_t buf)
{
    return n->kind == KIR_NODE_GEMM && kir_gemm_uses(&n->gemm, (kir_buf){buf});
}

static bool kernel_stays_sound(const lives *s, const kir_node *n, uint32_t at)
{
    int64_t trips[KIR_MAX_LOOPS] = {0};
    uint32_t depth = 0;
    const kir_kernel *k = kernel_of(n);
    if (!k) return false;
    if (n->kind == KIR_NODE_GEMM && kir_epi_objection(s->m, &n->gemm, k)) return false;
    for (uint32_t i = 0; i < s->loops.n; i++) {
        const life_loop *o = &s->loops.p[i];
        if (at < o->first || at > o->last) continue;
        trips[o->depth] = o->trips;
        if (o->depth >= depth) depth = o->depth + 1;
    }
    return kir_kernel_is_sound(s->m, k, depth, trips);
}

/* -- operands rewritten ------------------------------------------------------------------------ */

typedef struct window { kir_buf buf; int64_t shift, stride; uint32_t depth; } window;

static void move_uses(life *l, const window *w, int sign)
{
    for (uint32_t i = 0; i < l->uses.n; i++) {
        kir_arg *a = l->uses.p[i].arg;
        a->buf = sign > 0 ? w->buf : (kir_buf){l->buf};
        a->offset += sign * w->shift;
        a->loop_stride[w->depth] += sign * w->stride;
    }
}

static void give_uses(lives *s, life *from, life *to)
{
    life_use *old = to->uses.p;
    uint32_t n = to->uses.n, i = 0, j = 0;
    to->uses.p = NULL;
    to->uses.n = to->uses.cap = 0;
    while (i < n || j < from->uses.n) {
        bool mine = j == from->uses.n || (i < n && old[i].at <= from->uses.p[j].at);
        dfm_push(s->a, &to->uses, mine ? old[i++] : from->uses.p[j++]);
    }
    from->uses.n = 0;
    life_refresh(s, from);
    life_refresh(s, to);
}

/* -- in place ---------------------------------------------------------------------------------- */

static bool same_memory(const kir_arg *a, const kir_arg *b)
{
    return a->rank == b->rank && a->offset == b->offset && a->dtype == b->dtype
        && !memcmp(a->loop_stride, b->loop_stride, sizeof a->loop_stride);
}

/* Puts the buffer that r's kernel writes as w into that which it reads as r, if it may. */
static bool take_over(lives *s, kir_node *n, uint32_t at, const kir_arg *w, const kir_arg *r)
{
    life *made = &s->of[w->buf.i], *dies = &s->of[r->buf.i];
    const kir_buffer *x = &s->m->bufs.p[w->buf.i], *y = &s->m->bufs.p[r->buf.i];
    if (made == dies || !is_temp(s, made) || !is_temp(s, dies)) return false;
    if (product_uses(n, made->buf)) return false;
    if (x->elems != y->elems || !same_memory(w, r)) return false;
    if (made->first != at || made->read_first || dies->last != at) return false;
    if (!is_local(s, made, at) || !is_local(s, dies, at)) return false;
    window to = {.buf = r->buf};
    move_uses(made, &to, 1);
    if (!kernel_stays_sound(s, n, at)) {
        move_uses(made, &to, -1);
        return false;
    }
    give_uses(s, made, dies);
    return true;
}

static uint32_t share_in_place(lives *s)
{
    uint32_t n = 0;
    for (uint32_t at = 1; at <= s->n_nodes; at++) {
        kir_node *node = s->nodes.p[at];
        kir_kernel *k = kernel_of(node);
        if (!k) continue;
        for (uint32_t w = 0; w < k->args.n; w++)
            for (uint32_t r = 0; k->args.p[w].write && r < k->args.n; r++)
                if (!k->args.p[r].write && take_over(s, node, at, &k->args.p[w], &k->args.p[r])) {
                    n++;
                    break;
                }
    }
    return n;
}

/* -- in slots ---------------------------------------------------------------------------------- */

typedef struct guest { uint32_t first, last; int64_t lo, hi; } guest;

typedef struct slot {                        /* this iteration's slice of a stack */
    life *stack;
    const life_loop *loop;
    int64_t elems;                           /* = stride of the loop */
    uint32_t first, last;                    /* nodes of the body that use the stack, with all of
                                                the inner loops that do */
    bool made_here, done_here;
    bool again;                              /* the last use repeats: it is in an inner loop */
    DFM_VEC(guest) guests;
} slot;

typedef DFM_VEC(slot) slots;

/* Does each use of the stack in the loop stay within the iteration's slice? */
static bool in_slices(const life *l, const life_loop *o, int64_t stride)
{
    for (uint32_t i = 0; i < l->uses.n; i++) {
        const kir_arg *a = l->uses.p[i].arg;
        if (l->uses.p[i].at < o->first || l->uses.p[i].at > o->last) continue;
        if (a->loop_stride[o->depth] != stride || a->offset < 0 || a->offset >= stride)
            return false;
        for (uint32_t d = 0; d < KIR_MAX_LOOPS; d++)
            if (d != o->depth && a->loop_stride[d] < 0) return false;
    }
    return true;
}

/* The nodes [first, last] in which a use at `at` may happen again: the inner loops around it. */
static bool in_inner_loop(const lives *s, const life_loop *o, uint32_t at, uint32_t *first,
                          uint32_t *last)
{
    bool inner = false;
    *first = *last = at;
    for (uint32_t i = 0; i < s->loops.n; i++) {
        const life_loop *x = &s->loops.p[i];
        if (x->depth <= o->depth || at < x->first || at > x->last) continue;
        inner = true;
        if (x->first < *first) *first = x->first;
        if (x->last > *last) *last = x->last;
    }
    return inner;
}

static void add_slot(lives *s, slots *list, life *l, const life_loop *o)
{
    slot x = {.stack = l, .loop = o};
    for (uint32_t i = 0; i < l->uses.n; i++) {
        const life_use *u = &l->uses.p[i];
        uint32_t first, last;
        if (u->at < o->first || u->at > o->last) continue;
        x.again = in_inner_loop(s, o, u->at, &first, &last);
        if (!x.first) x.elems = u->arg->loop_stride[o->depth];
        if (!x.first || first < x.first) x.first = first;
        if (last > x.last) x.last = last;
    }
    if (!x.first || x.elems <= 0) return;
    if ((uint64_t)(x.elems * o->trips) != s->m->bufs.p[l->buf].elems) return;
    if (!in_slices(l, o, x.elems)) return;
    x.made_here = l->first >= o->first && !l->read_first;
    x.done_here = l->last <= o->last;
    if (x.made_here || x.done_here) dfm_push(s->a, list, x);
}

static void find_slots(lives *s, slots *list)
{
    for (uint32_t i = 0; i < s->loops.n; i++) {
        const life_loop *o = &s->loops.p[i];
        if (o->depth) continue;
        for (uint32_t b = 1; b < s->m->bufs.n; b++)
            if (is_temp(s, &s->of[b])) add_slot(s, list, &s->of[b], o);
    }
}

/* May l have the part of the slot from lo on, as far as time is concerned? In the stack's own last
 * node only in place: the caller lets K10 decide. */
static bool is_free(const slot *x, const life *l, int64_t lo, int64_t hi)
{
    bool after = x->done_here && (x->again ? l->from > x->last : l->from >= x->last);
    bool before = x->made_here && l->to < x->first;
    if (!after && !before) return false;
    for (uint32_t i = 0; i < x->guests.n; i++) {
        const guest *g = &x->guests.p[i];
        if (l->from <= g->last && g->first <= l->to && lo < g->hi && g->lo < hi) return false;
    }
    return true;
}

/* Do all products with an epilogue that use l still take it? (Two operands of one may have come
 * into the same stack.) */
static bool epilogues_stay(const lives *s, const life *l)
{
    for (uint32_t i = 0; i < l->uses.n; i++) {
        const kir_node *n = s->nodes.p[l->uses.p[i].at];
        if (n->kind == KIR_NODE_GEMM && n->gemm.epi &&
            kir_epi_objection(s->m, &n->gemm, n->gemm.epi))
            return false;
    }
    return true;
}

static bool put(lives *s, slot *x, life *l, int64_t lo)
{
    int64_t n = (int64_t)s->m->bufs.p[l->buf].elems;
    if (lo < 0 || lo + n > x->elems || !is_free(x, l, lo, lo + n)) return false;
    window w = {.buf = {x->stack->buf}, .shift = lo, .stride = x->elems, .depth = x->loop->depth};
    bool in_place = x->done_here && l->from == x->last;
    const kir_node *end = s->nodes.p[x->last];
    if (in_place && (product_uses(end, l->buf) || product_uses(end, x->stack->buf))) return false;
    move_uses(l, &w, 1);
    if ((in_place && !kernel_stays_sound(s, end, x->last)) || !epilogues_stay(s, l)) {
        move_uses(l, &w, -1);
        return false;
    }
    dfm_push(s->a, &x->guests, ((guest){l->from, l->to, lo, lo + n}));
    l->uses.n = 0;
    life_refresh(s, l);
    return true;
}

/* Lowest free place first: the slot's start, then behind each guest. */
static bool fit_slot(lives *s, slot *x, life *l)
{
    int64_t size = dfm_dtype_bytes(s->m->bufs.p[l->buf].dtype), unit = LIFE_ALIGN / size;
    if (l->from < x->loop->first || l->to > x->loop->last) return false;
    if (!is_local(s, l, l->first) || put(s, x, l, 0)) return is_local(s, l, l->first);
    for (uint32_t i = 0; i < x->guests.n; i++)
        if (put(s, x, l, (x->guests.p[i].hi + unit - 1) / unit * unit)) return true;
    return false;
}

static int by_size(const void *p, const void *q)
{
    const life *a = *(life *const *)p, *b = *(life *const *)q;
    if (a->bytes != b->bytes) return a->bytes < b->bytes ? 1 : -1;
    return a->buf < b->buf ? -1 : a->buf > b->buf;
}

/* The smallest slot that takes l. */
static bool host(lives *s, slots *list, life *l)
{
    for (int64_t least = 0;;) {
        int64_t next = INT64_MAX;
        for (uint32_t i = 0; i < list->n; i++)
            if (list->p[i].elems > least && list->p[i].elems < next) next = list->p[i].elems;
        if (next == INT64_MAX) return false;
        for (uint32_t i = 0; i < list->n; i++) {
            slot *x = &list->p[i];
            if (x->elems != next || x->stack == l) continue;
            if (s->m->bufs.p[x->stack->buf].dtype != s->m->bufs.p[l->buf].dtype) continue;
            if (fit_slot(s, x, l)) return true;
        }
        least = next;
    }
}

static uint32_t share_slots(lives *s)
{
    slots list = {0};
    uint32_t n = 0, moved = 0;
    life **order = dfm_new_n(s->a, life *, s->m->bufs.n + 1);
    find_slots(s, &list);
    if (!list.n) return 0;
    for (uint32_t b = 1; b < s->m->bufs.n; b++)
        if (is_temp(s, &s->of[b]) && !s->of[b].walked) order[n++] = &s->of[b];
    qsort(order, n, sizeof *order, by_size);
    for (uint32_t i = 0; i < n; i++) moved += host(s, &list, order[i]);
    return moved;
}

share_counts share_buffers(lives *s)
{
    share_counts n = {0};
    n.in_place = share_in_place(s);
    n.in_slots = share_slots(s);
    return n;
}

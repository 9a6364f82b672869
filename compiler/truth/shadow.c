/* shadow.c - two replays of a schedule, compared by who wrote what is read. */
#include "compiler/truth/shadow.h"

#include <stdio.h>
#include <string.h>

enum { GIVEN = 1, OPERANDS = 128, DIMS = KIR_MAX_RANK + 2 };

typedef struct side {
    const kir_module *m;
    const kir_program *p;
    bool planned;
    uint32_t **shadow;                       /* by buffer: writer of each byte */
    uint32_t *arena;
    uint64_t arena_bytes;
} side;

typedef struct piece {                       /* an operand with all of its counters */
    const kir_arg *a;
    const char *what;
    int64_t extent[DIMS], stride[DIMS];
    uint32_t n;
} piece;

typedef struct pieces {
    piece p[OPERANDS];
    uint32_t n, n_product;                   /* the first n_product are of a product, not of its
                                                epilogue; 0 in other nodes */
} pieces;

typedef struct replay {
    side s[2];
    dfm_arena *mem;
    uint32_t now;                            /* node instance, from GIVEN + 1 */
    int64_t iter[KIR_MAX_LOOPS];
    char *text;
    size_t n_text;
} replay;

/* -- operands ---------------------------------------------------------------------------------- */

static void add(pieces *l, const kir_arg *a, const char *what, const int64_t *extent,
                const int64_t *stride, uint32_t n)
{
    if (!a->buf.i || l->n == OPERANDS) return;
    piece *p = &l->p[l->n++];
    *p = (piece){.a = a, .what = what, .n = n};
    memcpy(p->extent, extent, n * sizeof *extent);
    memcpy(p->stride, stride, n * sizeof *stride);
}

static void add_window(pieces *l, const ir_module *m, const kir_arg *a, const char *what)
{
    int64_t e[DIMS];
    for (uint32_t k = 0; k < a->rank; k++) e[k] = ir_extent(m, a->dims[k]);
    add(l, a, what, e, a->stride, a->rank);
}

static void add_bytes(pieces *l, const kir_module *m, const kir_arg *a)
{
    int64_t one = 1, n = a->buf.i ? (int64_t)m->bufs.p[a->buf.i].elems : 0;
    add(l, a, "scratch", &n, &one, 1);
}

static void add_tokens(pieces *l, const kir_attn *t, const kir_arg *a, const char *what,
                       int64_t count, int64_t feature, const int64_t *s)
{
    int64_t e[6] = {t->batch[0], t->batch[1], t->batch[2], t->batch[3], count, feature};
    int64_t by[6] = {s[0], s[1], s[2], s[3], s[4], 1};
    add(l, a, what, e, by, 6);
}

static void list_attn(pieces *l, const kir_module *m, const kir_attn *t)
{
    add_tokens(l, t, &t->q, "q", t->seq, t->feature, t->sq);
    add_tokens(l, t, &t->k, "k", t->over, t->feature, t->sk);
    add_tokens(l, t, &t->v, "v", t->over, t->value, t->sv);
    add_tokens(l, t, &t->o, "o", t->seq, t->value, t->so);
    add_tokens(l, t, &t->lse, "lse", t->seq, 1, t->slse);
    add_tokens(l, t, &t->d_o, "do", t->seq, t->value, t->sd_o);
    add_tokens(l, t, &t->dq, "dq", t->seq, t->feature, t->sdq);
    add_tokens(l, t, &t->dk, "dk", t->over, t->feature, t->sdk);
    add_tokens(l, t, &t->dv, "dv", t->over, t->value, t->sdv);
    int64_t e[6] = {t->batch[0], t->batch[1], t->batch[2], t->batch[3], t->seq, t->over};
    add(l, &t->mask, "mask", e, t->smask, 6);
    add_bytes(l, m, &t->scratch);
}

static void list_gemm(pieces *l, const kir_module *m, const kir_gemm *g)
{
    int64_t one = 1;
    add(l, &g->a, "a", (int64_t[]){g->batch[0], g->batch[1], g->m, g->k}, g->sa, 4);
    add(l, &g->b, "b", (int64_t[]){g->batch[0], g->batch[1], g->k, g->n}, g->sb, 4);
    add(l, &g->c, "c", (int64_t[]){g->batch[0], g->batch[1], g->m, g->n}, g->sc, 4);
    add(l, &g->bias, "bias", &g->n, &one, 1);
    add_bytes(l, m, &g->scratch);
}

static void list_operands(pieces *l, const kir_module *m, const kir_node *n)
{
    int64_t one = 1;
    l->n = l->n_product = 0;
    switch (n->kind) {
    case KIR_NODE_KERNEL:
        for (uint32_t i = 0; i < n->kernel->args.n; i++)
            add_window(l, m->ir, &n->kernel->args.p[i], "operand");
        return;
    case KIR_NODE_GEMM:
        list_gemm(l, m, &n->gemm);
        l->n_product = l->n;
        for (uint32_t i = 0; n->gemm.epi && i < n->gemm.epi->args.n; i++)
            add_window(l, m->ir, &n->gemm.epi->args.p[i], "epilogue's operand");
        return;
    case KIR_NODE_ATTN: list_attn(l, m, &n->attn); return;
    case KIR_NODE_SCATTER:
        add_window(l, m->ir, &n->scatter.index, "index");
        add_window(l, m->ir, &n->scatter.updates, "updates");
        add_window(l, m->ir, &n->scatter.out, "out");
        return;
    case KIR_NODE_COPY:
        add(l, &n->copy.src, "source", &n->copy.elems, &one, 1);
        add(l, &n->copy.dst, "destination", &n->copy.elems, &one, 1);
        return;
    case KIR_NODE_NONE:
    case KIR_NODE_LOOP: return;
    }
}

/* -- memory ------------------------------------------------------------------------------------ */

/* Shadow of an element's first byte; NULL: outside of the memory. */
static uint32_t *at_elem(const replay *r, const side *s, const kir_arg *a, int64_t elem)
{
    const kir_buffer *b = &s->m->bufs.p[a->buf.i];
    int64_t size = dfm_dtype_bytes(b->dtype);
    for (uint32_t d = 0; d < KIR_MAX_LOOPS; d++) elem += r->iter[d] * a->loop_stride[d];
    if (elem < 0 || (uint64_t)elem >= b->elems) return NULL;
    if (s->shadow[a->buf.i]) return s->shadow[a->buf.i] + elem * size;
    uint64_t at = b->offset + (uint64_t)(elem * size);
    return at + (uint64_t)size <= s->arena_bytes ? s->arena + at : NULL;
}

static bool in_arena(const kir_buffer *b)
{
    return b->mem == KIR_MEM_TEMP || b->mem == KIR_MEM_INPUT || b->mem == KIR_MEM_OUTPUT;
}

static void fill(uint32_t *p, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) p[i] = GIVEN;
}

static void make_side(replay *r, side *s, const kir_module *m, uint32_t program, bool planned)
{
    *s = (side){.m = m, .p = m->programs.p[program], .planned = planned};
    s->shadow = dfm_new_n(r->mem, uint32_t *, m->bufs.n + 1);
    s->arena_bytes = planned ? s->p->arena_bytes : 0;
    s->arena = dfm_new_n(r->mem, uint32_t, s->arena_bytes + 1);
    for (uint32_t b = 1; b < m->bufs.n; b++) {
        const kir_buffer *info = &m->bufs.p[b];
        uint64_t bytes = info->elems * dfm_dtype_bytes(info->dtype);
        if (in_arena(info) && info->program != program) continue;
        if (in_arena(info) && planned) {
            if (info->mem == KIR_MEM_INPUT && info->offset + bytes <= s->arena_bytes)
                fill(s->arena + info->offset, bytes);
            continue;
        }
        s->shadow[b] = dfm_new_n(r->mem, uint32_t, bytes + 1);
        if (info->mem != KIR_MEM_TEMP && info->mem != KIR_MEM_OUTPUT) fill(s->shadow[b], bytes);
    }
}

/* -- one node ---------------------------------------------------------------------------------- */

typedef struct visit {
    replay *r;
    const piece *p[2];
    const char *node;
    bool write;
} visit;

static bool differ(visit *v, uint32_t wanted, uint32_t found)
{
    snprintf(v->r->text, v->r->n_text,
             "node instance %u '%s' finds in its %s '%s' what instance %u wrote; it should be %u",
             v->r->now, v->node, v->p[0]->what,
             dfm_name_str(v->r->s[0].m->ir->names, v->r->s[0].m->bufs.p[v->p[0]->a->buf.i].name),
             found, wanted);
    return false;
}

static bool visit_elem(visit *v, int64_t off0, int64_t off1)
{
    replay *r = v->r;
    uint32_t *x = at_elem(r, &r->s[0], v->p[0]->a, off0),
             *y = at_elem(r, &r->s[1], v->p[1]->a, off1);
    uint32_t size = dfm_dtype_bytes(v->p[0]->a->dtype);
    if (!x && !y) return true;               /* a window larger than what is touched */
    if (!x || !y) return differ(v, 0, UINT32_MAX);
    for (uint32_t k = 0; k < size; k++) {
        if (v->write) x[k] = y[k] = r->now;
        else if (x[k] && x[k] != y[k]) return differ(v, x[k], y[k]);
    }
    return true;
}

static bool visit_piece(visit *v)
{
    const piece *p = v->p[0], *q = v->p[1];
    int64_t c[DIMS] = {0}, x = p->a->offset, y = q->a->offset;
    if (p->n != q->n) return differ(v, 0, 0);
    for (uint32_t k = 0; k < p->n; k++)
        if (p->extent[k] < 1) return true;
    for (;;) {
        if (!visit_elem(v, x, y)) return false;
        uint32_t k = p->n;
        while (k > 0) {
            k--;
            x += p->stride[k];
            y += q->stride[k];
            if (++c[k] < p->extent[k]) break;
            x -= p->extent[k] * p->stride[k];
            y -= q->extent[k] * q->stride[k];
            c[k] = 0;
            if (!k) return true;
        }
        if (!p->n) return true;
    }
}

/* A kernel may read where it writes (K10 says how), and an epilogue what its product has made. */
static bool may_touch(const pieces *l, uint32_t written, uint32_t read)
{
    if (!l->n_product || read < l->n_product) return false;
    return written >= l->n_product || l->p[written].a->buf.i == l->p[read].a->buf.i;
}

/* What a product, attention, scatter or copy writes may not lie where it reads. An epilogue runs
 * while its product still does: it may not write where that reads. */
static bool apart(replay *r, const pieces *l, const char *node)
{
    int64_t lo[OPERANDS], hi[OPERANDS];
    const side *s = &r->s[1];
    for (uint32_t i = 0; i < l->n; i++) {
        const piece *p = &l->p[i];
        lo[i] = p->a->offset;
        for (uint32_t d = 0; d < KIR_MAX_LOOPS; d++) lo[i] += r->iter[d] * p->a->loop_stride[d];
        hi[i] = lo[i];
        for (uint32_t k = 0; k < p->n; k++)
            *(p->stride[k] < 0 ? &lo[i] : &hi[i]) += (p->extent[k] - 1) * p->stride[k];
        const kir_buffer *b = &s->m->bufs.p[p->a->buf.i];
        int64_t size = dfm_dtype_bytes(b->dtype);
        lo[i] = lo[i] * size + (in_arena(b) ? (int64_t)b->offset : 0);
        hi[i] = (hi[i] + 1) * size + (in_arena(b) ? (int64_t)b->offset : 0);
    }
    for (uint32_t i = 0; i < l->n; i++)
        for (uint32_t j = 0; j < l->n; j++) {
            const kir_buffer *x = &s->m->bufs.p[l->p[i].a->buf.i],
                             *y = &s->m->bufs.p[l->p[j].a->buf.i];
            bool same = (in_arena(x) && in_arena(y)) || x == y;
            if (i == j || !l->p[i].a->write || l->p[j].a->write || !same) continue;
            if (may_touch(l, i, j)) continue;
            if (lo[i] >= hi[j] || lo[j] >= hi[i]) continue;
            snprintf(r->text, r->n_text, "node '%s' writes its %s where its %s lies", node,
                     l->p[i].what, l->p[j].what);
            return false;
        }
    return true;
}

/* The reads of pieces from..to - 1, then the writes. */
static bool visit_pieces(visit *v, const pieces *l, uint32_t from, uint32_t to)
{
    for (int pass = 0; pass < 2; pass++)
        for (uint32_t i = from; i < to; i++) {
            v->p[0] = &l[0].p[i];
            v->p[1] = &l[1].p[i];
            v->write = pass == 1;
            if (v->p[0]->a->write == v->write && !visit_piece(v)) return false;
        }
    return true;
}

static bool run_node(replay *r, const kir_node *a, const kir_node *b)
{
    pieces *l = dfm_new_n(r->mem, pieces, 2);
    visit v = {.r = r, .node = dfm_name_str(r->s[0].m->ir->names, a->kind == KIR_NODE_KERNEL
                                                                      ? a->kernel->name : a->name)};
    list_operands(&l[0], r->s[0].m, a);
    list_operands(&l[1], r->s[1].m, b);
    r->now++;
    if (l[0].n != l[1].n) {
        snprintf(r->text, r->n_text, "the plan has changed node '%s'", v.node);
        return false;
    }
    const uint32_t mid = l[0].n_product ? l[0].n_product : l[0].n;
    if (!visit_pieces(&v, l, 0, mid) || !visit_pieces(&v, l, mid, l[0].n)) return false;
    return a->kind == KIR_NODE_KERNEL || apart(r, &l[1], v.node);
}

static bool run_nodes(replay *r, const kir_nodes *a, const kir_nodes *b)
{
    if (a->n != b->n) {
        snprintf(r->text, r->n_text, "the plan has changed the number of nodes");
        return false;
    }
    for (uint32_t i = 0; i < a->n; i++) {
        const kir_node *n = a->p[i];
        if (n->kind != KIR_NODE_LOOP) {
            if (!run_node(r, n, b->p[i])) return false;
            continue;
        }
        int64_t trips = ir_extent(r->s[0].m->ir, n->loop.dim);
        for (int64_t t = 0; t < trips; t++) {
            r->iter[n->loop.depth] = n->loop.reverse ? trips - 1 - t : t;
            if (!run_nodes(r, &n->loop.body, &b->p[i]->loop.body)) return false;
        }
        r->iter[n->loop.depth] = 0;
    }
    return true;
}

static bool check_outputs(replay *r)
{
    for (uint32_t i = 0; i < r->s[0].p->outputs.n; i++) {
        pieces *l = dfm_new_n(r->mem, pieces, 2);
        for (int k = 0; k < 2; k++)
            add_window(&l[k], r->s[k].m->ir, &r->s[k].p->outputs.p[i].arg, "output");
        visit v = {.r = r, .p = {&l[0].p[0], &l[1].p[0]}, .node = "host"};
        if (!visit_piece(&v)) return false;
    }
    return true;
}

bool shadow_check(const kir_module *alone, const kir_module *planned, uint32_t program, char *text,
                  size_t n)
{
    dfm_arena *mem = dfm_arena_create("shadow");
    replay *r = dfm_new(mem, replay);
    *r = (replay){.mem = mem, .now = GIVEN, .text = text, .n_text = n};
    make_side(r, &r->s[0], alone, program, false);
    make_side(r, &r->s[1], planned, program, true);
    bool ok = run_nodes(r, &r->s[0].p->nodes, &r->s[1].p->nodes) && check_outputs(r);
    dfm_arena_destroy(mem);
    return ok;
}

/* kernelize_anchor.c - contractions become matrix products, scatter_add a scatter node.
 *
 * A contraction is c[batch, m, n] = sum_k a[batch, m, k] b[batch, k, n] with several dims behind
 * each letter. Dims of one letter form a single stride where the operands allow it; an operand that
 * does not is copied into an order that does.
 */
#include "compiler/lower/kernelize.h"

#include <string.h>

typedef struct letter {                      /* dims of x, y and the result, outermost first */
    uint32_t n;
    ir_dim x[IR_MAX_RANK], y[IR_MAX_RANK];   /* K: pairs; else the same dims */
} letter;

typedef struct product {
    letter batch, m, n, k;
    kir_arg x, y, c, bias;                   /* bias.buf {0}: none */
} product;

/* -- operands ---------------------------------------------------------------------------------- */

kir_arg kz_operand(kz_frame *f, ir_val v)
{
    kir_arg w;
    bool ok = kz_window(f, v, &w);
    for (uint32_t k = 0; ok && k < w.rank; k++) ok = w.stride[k] >= 0;
    if (ok) return w;
    kz_note(f->z, kz_loc(f, v), "'%s' is copied: it is not a window of memory", kz_name(f, v));
    w = kz_temp(f->z, kz_name(f, v), ir_type_at(f->g, v));
    kz_emit_copy(f, v, &w);
    return w;
}

/* A dense copy of an operand with its dims in the given order. */
kir_arg kz_copied(kz_frame *f, const kir_arg *a, dfm_dtype dt, const ir_dim *order,
                  const char *name)
{
    kir_arg c = kz_temp(f->z, name, ir_tensor(f->z->m, dt, order, a->rank));
    kz_copy_args(f, a, &c, name);
    return c;
}

void kz_scratch(kz *z, kir_arg *out, uint64_t bytes)
{
    if (!bytes) return;
    out->buf = kir_buffer_new(z->k, KIR_MEM_TEMP, "scratch", DFM_U8, bytes);
    out->dtype = DFM_U8;
    out->write = true;
}

static int64_t stride_of(const kir_arg *a, ir_dim d)
{
    for (uint32_t k = 0; k < a->rank; k++)
        if (ir_dim_same(a->dims[k], d)) return a->stride[k];
    return 0;
}

/* -- letters ----------------------------------------------------------------------------------- */

static void classify(const kz_frame *f, const ir_op *op, product *p)
{
    const ir_module *m = f->z->m;
    const ir_type_info *x = ir_type_of(m, ir_type_at(f->g, op->args[0]));
    const ir_type_info *y = ir_type_of(m, ir_type_at(f->g, op->args[1]));
    const ir_contract *c = &op->at->contract;
    ir_dim px[IR_MAX_RANK], py[IR_MAX_RANK];
    for (uint32_t k = 0; k < c->n_pairs; k++) {
        px[k] = p->k.x[k] = c->pairs[k].a;
        py[k] = p->k.y[k] = c->pairs[k].b;
    }
    p->k.n = c->n_pairs;
    for (uint32_t k = 0; k < x->rank; k++) {
        if (kz_has(px, c->n_pairs, x->dims[k])) continue;
        bool both = kz_has(y->dims, y->rank, x->dims[k]) && !kz_has(py, c->n_pairs, x->dims[k]);
        letter *l = both ? &p->batch : &p->m;
        l->x[l->n] = l->y[l->n] = x->dims[k];
        l->n++;
    }
    for (uint32_t k = 0; k < y->rank; k++) {
        if (kz_has(py, c->n_pairs, y->dims[k]) || kz_has(p->batch.x, p->batch.n, y->dims[k]))
            continue;
        p->n.x[p->n.n] = p->n.y[p->n.n] = y->dims[k];
        p->n.n++;
    }
}

/* Outermost first as operand `a` has them (by its strides); dims of extent 1 go. */
static void sort_letter(const kz *z, letter *l, const kir_arg *a, bool by_y)
{
    uint32_t n = 0;
    for (uint32_t k = 0; k < l->n; k++) {
        if (ir_extent(z->m, l->x[k]) == 1) continue;
        ir_dim x = l->x[k], y = l->y[k];
        uint32_t at = n++;
        for (; at > 0 && stride_of(a, by_y ? l->y[at - 1] : l->x[at - 1]) <
                             stride_of(a, by_y ? y : x); at--) {
            l->x[at] = l->x[at - 1];
            l->y[at] = l->y[at - 1];
        }
        l->x[at] = x;
        l->y[at] = y;
    }
    l->n = n;
}

/* The stride of dims [from, to) of a letter in operand a as one dim, or -1. */
static int64_t collapse(const kz *z, const kir_arg *a, const ir_dim *d, uint32_t from, uint32_t to)
{
    if (from == to) return 0;
    int64_t inner = stride_of(a, d[to - 1]), next = inner * ir_extent(z->m, d[to - 1]);
    for (uint32_t k = to - 1; k-- > from;) {
        if (stride_of(a, d[k]) != next) return -1;
        next *= ir_extent(z->m, d[k]);
    }
    return inner > 0 ? inner : -1;
}

static int64_t letter_size(const kz *z, const letter *l) { return kz_extents(z, l->x, l->n); }

/* Where the batch splits into two groups that collapse in all three operands; -1 if nowhere. */
static int batch_split(const kz *z, const product *p)
{
    const letter *l = &p->batch;
    for (int at = 0; at <= (int)l->n; at++) {
        bool ok = true;
        const kir_arg *const args[3] = {&p->x, &p->y, &p->c};
        for (int i = 0; i < 3; i++)
            ok = ok && collapse(z, args[i], l->x, 0, (uint32_t)at) >= 0
                    && collapse(z, args[i], l->x, (uint32_t)at, l->n) >= 0;
        if (ok) return at;
    }
    return -1;
}

/* Do letters r (rows) and c (columns) collapse in a, and has one of them stride 1? */
static bool is_matrix(const kz *z, const kir_arg *a, const ir_dim *r, uint32_t nr, const ir_dim *c,
                      uint32_t nc)
{
    int64_t sr = collapse(z, a, r, 0, nr), sc = collapse(z, a, c, 0, nc);
    return sr >= 0 && sc >= 0 && (sr == 1 || sc == 1 || !nr || !nc);
}

/* -- emission ---------------------------------------------------------------------------------- */

static kir_gemm make_gemm(const kz *z, const product *p)
{
    int s = batch_split(z, p);
    uint32_t at = s < 0 ? 0 : (uint32_t)s, nb = p->batch.n;
    kir_gemm g = {.a = p->x, .b = p->y, .c = p->c, .bias = p->bias};
    g.batch[0] = kz_extents(z, p->batch.x, at);
    g.batch[1] = kz_extents(z, p->batch.x + at, nb - at);
    g.m = letter_size(z, &p->m);
    g.n = letter_size(z, &p->n);
    g.k = letter_size(z, &p->k);
    for (int i = 0; i < 2; i++) {
        uint32_t from = i ? at : 0, to = i ? nb : at;
        g.sa[i] = collapse(z, &p->x, p->batch.x, from, to);
        g.sb[i] = collapse(z, &p->y, p->batch.x, from, to);
        g.sc[i] = collapse(z, &p->c, p->batch.x, from, to);
    }
    g.sa[2] = collapse(z, &p->x, p->m.x, 0, p->m.n);
    g.sa[3] = collapse(z, &p->x, p->k.x, 0, p->k.n);
    g.sb[2] = collapse(z, &p->y, p->k.y, 0, p->k.n);
    g.sb[3] = collapse(z, &p->y, p->n.y, 0, p->n.n);
    g.sc[2] = collapse(z, &p->c, p->m.x, 0, p->m.n);
    g.sc[3] = collapse(z, &p->c, p->n.y, 0, p->n.n);
    g.c.write = true;
    return g;
}

static uint32_t put(ir_dim *out, uint32_t n, const ir_dim *d, uint32_t nd)
{
    for (uint32_t k = 0; k < nd; k++) out[n++] = d[k];
    return n;
}

/* Dims of operand a that the letters lack (extent 1) go in front. */
static void order_for(const kir_arg *a, ir_dim *out, uint32_t n)
{
    uint32_t extra = 0;
    ir_dim d[2 * IR_MAX_RANK];
    for (uint32_t k = 0; k < a->rank; k++)
        if (!kz_has(out, n, a->dims[k])) d[extra++] = a->dims[k];
    put(d, extra, out, n);
    memcpy(out, d, a->rank * sizeof d[0]);
}

/* A copy of an operand as [batch, rows, columns]; other element type if wanted. */
static kir_arg rearranged(kz_frame *f, const kir_arg *a, dfm_dtype dt, const product *p,
                          const ir_dim *r, uint32_t nr, const ir_dim *c, uint32_t nc)
{
    ir_dim d[2 * IR_MAX_RANK];
    uint32_t n = put(d, 0, p->batch.x, p->batch.n);
    n = put(d, n, r, nr);
    n = put(d, n, c, nc);
    order_for(a, d, n);
    kz_note(f->z, (dfm_loc){0}, "an operand of a matrix product is copied");
    return kz_copied(f, a, dt, d, "operand");
}

static kir_arg dense_result(kz_frame *f, dfm_dtype dt, const product *p)
{
    ir_dim d[2 * IR_MAX_RANK];
    uint32_t n = put(d, 0, p->batch.x, p->batch.n);
    n = put(d, n, p->m.x, p->m.n);
    n = put(d, n, p->n.y, p->n.n);
    order_for(&p->c, d, n);
    return kz_temp(f->z, "product", ir_tensor(f->z->m, dt, d, p->c.rank));
}

static bool has_strides(const kir_arg *a, const letter *l)
{
    for (uint32_t k = 0; k < l->n; k++)
        if (stride_of(a, l->x[k]) <= 0) return false;
    return true;
}

static void swap_sides(product *p)
{
    kir_arg a = p->x;
    letter m = p->m;
    p->x = p->y;
    p->y = a;
    p->m = p->n;
    p->n = m;
    for (uint32_t k = 0; k < p->k.n; k++) {
        ir_dim d = p->k.x[k];
        p->k.x[k] = p->k.y[k];
        p->k.y[k] = d;
    }
}

/* Make every operand collapse, copying where it does not; the result, if it must, at the end. */
static void arrange(kz_frame *f, product *p, bool dense_f32)
{
    kz *z = f->z;
    sort_letter(z, &p->batch, &p->c, false);
    sort_letter(z, &p->m, &p->c, false);
    sort_letter(z, &p->n, &p->c, false);
    sort_letter(z, &p->k, &p->x, false);
    if (p->m.n && collapse(z, &p->c, p->m.x, 0, p->m.n) == 1) {
        swap_sides(p);                       /* the result's columns are the contiguous ones */
        sort_letter(z, &p->k, &p->x, false);
    }
    dfm_dtype xt = dense_f32 ? DFM_F32 : p->x.dtype, yt = dense_f32 ? DFM_F32 : p->y.dtype;
    bool c_ok = is_matrix(z, &p->c, p->m.x, p->m.n, p->n.y, p->n.n) &&
                has_strides(&p->c, &p->batch) && !(dense_f32 && p->c.dtype != DFM_F32);
    if (!c_ok) p->c = dense_result(f, dense_f32 ? DFM_F32 : p->c.dtype, p);
    if (dense_f32 || xt != p->x.dtype || !is_matrix(z, &p->x, p->m.x, p->m.n, p->k.x, p->k.n) ||
        !has_strides(&p->x, &p->batch))
        p->x = rearranged(f, &p->x, xt, p, p->m.x, p->m.n, p->k.x, p->k.n);
    if (dense_f32 || yt != p->y.dtype || !is_matrix(z, &p->y, p->k.y, p->k.n, p->n.y, p->n.n) ||
        !has_strides(&p->y, &p->batch))
        p->y = rearranged(f, &p->y, yt, p, p->n.y, p->n.n, p->k.y, p->k.n);
    if (batch_split(z, p) >= 0) return;
    p->x = rearranged(f, &p->x, xt, p, p->m.x, p->m.n, p->k.x, p->k.n);
    p->y = rearranged(f, &p->y, yt, p, p->n.y, p->n.n, p->k.y, p->k.n);
    if (batch_split(z, p) < 0) p->c = dense_result(f, p->c.dtype, p);
}

static void emit_product(kz_frame *f, ir_val v, product *p)
{
    kz *z = f->z;
    const product given = *p;
    const kir_arg dest = p->c;
    arrange(f, p, false);
    kir_gemm g = make_gemm(z, p);
    if (z->lim->gemm_takes && !z->lim->gemm_takes(&g)) {
        kz_note(z, kz_loc(f, v),
                "'%s': the target takes no such product: operands become dense f32", kz_name(f, v));
        *p = given;
        arrange(f, p, true);
        g = make_gemm(z, p);
    }
    if (g.bias.buf.i && p->n.n && collapse(z, &g.bias, p->n.y, 0, p->n.n) != 1)
        kz_fail(z, "the bias of '%s' is not in the order of the columns", kz_name(f, v));
    if (z->lim->gemm_scratch) kz_scratch(z, &g.scratch, z->lim->gemm_scratch(&g));
    if (z->lim->gemm_how)
        kz_note(z, kz_loc(f, v), "'%s': product of %lld x %lld over %lld, %s", kz_name(f, v),
                (long long)g.m, (long long)g.n, (long long)g.k, z->lim->gemm_how(&g));
    kz_node(f, KIR_NODE_GEMM, v)->gemm = g;
    if (p->c.buf.i == dest.buf.i) return;
    ir_type t = ir_type_at(f->g, v);
    kir_arg from = kz_as(z, p->c, ir_with_dtype(z->m, t, p->c.dtype));
    kz_copy_args(f, &from, &dest, kz_name(f, v));
}

/* -- places of results ------------------------------------------------------------------------- */

static kir_arg own_place(kz_frame *f, ir_val v)
{
    kz_slot *s = &f->slot[v.i];
    kir_arg temp;
    if (s->placed && !kz_read_later(f, s->unit - 1, &s->place)) return s->place;
    temp = kz_temp(f->z, kz_name(f, v), ir_type_at(f->g, v));
    if (s->placed) dfm_push(f->z->a, &f->pending, ((kz_pending){temp, s->place}));
    s->place = temp;
    s->placed = true;
    return temp;
}

static void emit_contract(kz_frame *f, ir_val v)
{
    const kz_slot *s = &f->slot[v.i];
    const ir_op *op = ir_op_of(f->g, s->product.i ? s->product : v);
    product p = {0};
    classify(f, op, &p);
    if (s->product.i) p.bias = kz_operand(f, s->bias);
    p.x = kz_operand(f, op->args[0]);
    p.y = kz_operand(f, op->args[1]);
    p.c = own_place(f, v);
    emit_product(f, v, &p);
}

/* Sums are kept in f32: a narrower result is converted at the end. */
static void emit_scatter(kz_frame *f, ir_val v)
{
    kz *z = f->z;
    const ir_op *op = ir_op_of(f->g, v);
    kir_scatter s = {.dim = op->at->gather.dim};
    s.index = kz_operand(f, op->args[0]);
    s.updates = kz_operand(f, op->args[1]);
    kir_arg dest = own_place(f, v);
    if (s.index.dtype != DFM_I32)
        s.index = kz_copied(f, &s.index, DFM_I32, s.index.dims, "index");
    s.out = dest;
    if (dest.dtype != DFM_F32 && dfm_dtype_is_float(dest.dtype))
        s.out = kz_temp(z, "sums", ir_with_dtype(z->m, op->type, DFM_F32));
    s.index.write = s.updates.write = false;
    s.out.write = true;
    kir_arg out = s.out;
    kz_node(f, KIR_NODE_SCATTER, v)->scatter = s;
    out.write = false;
    if (out.buf.i != dest.buf.i) kz_copy_args(f, &out, &dest, kz_name(f, v));
}

void kz_emit_anchor(kz_frame *f, ir_val v)
{
    if (f->slot[v.i].product.i) {
        emit_contract(f, v);
        return;
    }
    switch (ir_op_of(f->g, v)->kind) {
    case IR_CONTRACT: emit_contract(f, v); return;
    case IR_SCATTER_ADD: emit_scatter(f, v); return;
    case IR_ATTEND:
    case IR_ATTEND_BWD: kz_emit_attend(f, v); return;
    case IR_SCAN: kz_emit_scan(f, v); return;
    default: kz_fail(f->z, "no kernel for '%s'", ir_op_name(ir_op_of(f->g, v)->kind));
    }
}

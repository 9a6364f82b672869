/* kernelize_attend.c - attention: strided windows for a node, dense copies where they do not fit.
 */
#include "compiler/lower/kernelize.h"

#include <string.h>

typedef struct attention {
    kz_frame *f;
    const ir_attend *at;
    uint32_t n_batch;
    ir_dim batch[KIR_ATTN_BATCH];
} attention;

static int64_t stride_of(const kir_arg *a, ir_dim d)
{
    for (uint32_t k = 0; k < a->rank; k++)
        if (ir_dim_same(a->dims[k], d)) return a->stride[k];
    return 0;
}

static void strides(const attention *x, const kir_arg *a, ir_dim token, int64_t *out)
{
    const ir_module *m = x->f->z->m;
    for (uint32_t k = 0; k < KIR_ATTN_BATCH; k++)
        out[k] = k < x->n_batch && ir_extent(m, x->batch[k]) > 1 ? stride_of(a, x->batch[k]) : 0;
    out[KIR_ATTN_BATCH] = ir_extent(m, token) > 1 ? stride_of(a, token) : 0;
}

/* Batch dims as q has them; those of extent 1 go. */
static void find_batch(attention *x, const ir_type_info *q)
{
    for (uint32_t k = 0; k < q->rank; k++) {
        ir_dim d = q->dims[k];
        if (ir_dim_same(d, x->at->seq) || ir_dim_same(d, x->at->feature)) continue;
        if (ir_extent(x->f->z->m, d) == 1) continue;
        if (x->n_batch == KIR_ATTN_BATCH) kz_fail(x->f->z, "attention over too many batch dims");
        else x->batch[x->n_batch++] = d;
    }
}

/* The operand with its last dim contiguous, and f32 or bf16. */
static kir_arg operand(const attention *x, ir_val v, ir_dim last)
{
    kir_arg a = kz_operand(x->f, v);
    ir_dim d[IR_MAX_RANK];
    uint32_t n = 0;
    if (!last.i || stride_of(&a, last) == 1 || ir_extent(x->f->z->m, last) == 1) return a;
    for (uint32_t k = 0; k < a.rank; k++)
        if (!ir_dim_same(a.dims[k], last)) d[n++] = a.dims[k];
    d[n++] = last;
    return kz_copied(x->f, &a, a.dtype, d, kz_name(x->f, v));
}

typedef struct output { kir_arg dest, own; } output;

/* Where a result is written: its place, or a dense temporary that has all batch dims. */
static output result(const attention *x, ir_val v, uint32_t member, ir_dim token, ir_dim last)
{
    kz *z = x->f->z;
    output r = {.dest = kz_member_place(x->f, v, member)};
    bool fits = !last.i || stride_of(&r.dest, last) == 1 || ir_extent(z->m, last) == 1;
    for (uint32_t k = 0; k < x->n_batch; k++)
        fits = fits && kz_has(r.dest.dims, r.dest.rank, x->batch[k]);
    r.own = r.dest;
    if (fits) return r;
    ir_dim d[IR_MAX_RANK];
    uint32_t n = 0;
    for (uint32_t k = 0; k < x->n_batch; k++) d[n++] = x->batch[k];
    for (uint32_t k = 0; k < r.dest.rank; k++)
        if (!kz_has(d, n, r.dest.dims[k]) && !ir_dim_same(r.dest.dims[k], token) &&
            !ir_dim_same(r.dest.dims[k], last))
            d[n++] = r.dest.dims[k];
    d[n++] = token;
    if (last.i) d[n++] = last;
    r.own = kz_temp(z, "gradient", ir_tensor(z->m, DFM_F32, d, n));
    return r;
}

static void finish(const attention *x, const output *r, ir_val v)
{
    if (r->own.buf.i == r->dest.buf.i) return;
    kz_combine(x->f, &r->own, IR_RED_SUM, &r->dest, kz_name(x->f, v), kz_loc(x->f, v));
}

static void mask_operand(const attention *x, kir_attn *t, ir_val v)
{
    t->mask = kz_operand(x->f, v);
    bool both = ir_dim_same(x->at->seq, x->at->over);        /* then it is a key mask */
    int64_t s[5];
    strides(x, &t->mask, x->at->over, s);
    memcpy(t->smask, s, KIR_ATTN_BATCH * sizeof s[0]);
    t->smask[5] = s[KIR_ATTN_BATCH];
    strides(x, &t->mask, x->at->seq, s);
    t->smask[4] = both ? 0 : s[KIR_ATTN_BATCH];
}

void kz_emit_attend(kz_frame *f, ir_val v)
{
    kz *z = f->z;
    const ir_op *op = ir_op_of(f->g, v);
    const ir_attend *at = &op->at->attend;
    attention x = {.f = f, .at = at};
    find_batch(&x, ir_type_of(z->m, ir_type_at(f->g, op->args[0])));
    kir_attn t = {.backward = op->kind == IR_ATTEND_BWD, .causal = at->causal, .window = at->window,
                  .scale = at->scale};
    for (uint32_t k = 0; k < KIR_ATTN_BATCH; k++)
        t.batch[k] = k < x.n_batch ? ir_extent(z->m, x.batch[k]) : 1;
    t.seq = ir_extent(z->m, at->seq);
    t.over = ir_extent(z->m, at->over);
    t.feature = ir_extent(z->m, at->feature);
    t.value = ir_extent(z->m, at->value);
    t.q = operand(&x, op->args[0], at->feature);
    t.k = operand(&x, op->args[1], at->feature);
    t.v = operand(&x, op->args[2], at->value);
    uint32_t plain = t.backward ? 6 : 3;
    if (op->n_args > plain) mask_operand(&x, &t, op->args[plain]);
    output r[3];
    if (t.backward) {
        t.o = operand(&x, op->args[3], at->value);
        t.lse = operand(&x, op->args[4], (ir_dim){0});
        t.d_o = operand(&x, op->args[5], at->value);
        r[0] = result(&x, v, 0, at->seq, at->feature);
        r[1] = result(&x, v, 1, at->over, at->feature);
        r[2] = result(&x, v, 2, at->over, at->value);
        t.dq = r[0].own;
        t.dk = r[1].own;
        t.dv = r[2].own;
        t.dq.write = t.dk.write = t.dv.write = true;
        strides(&x, &t.d_o, at->seq, t.sd_o);
        strides(&x, &t.dq, at->seq, t.sdq);
        strides(&x, &t.dk, at->over, t.sdk);
        strides(&x, &t.dv, at->over, t.sdv);
    } else {
        r[0] = result(&x, v, 0, at->seq, at->value);
        r[1] = result(&x, v, 1, at->seq, (ir_dim){0});
        t.o = r[0].own;
        t.lse = r[1].own;
        t.o.write = t.lse.write = true;
    }
    strides(&x, &t.q, at->seq, t.sq);
    strides(&x, &t.k, at->over, t.sk);
    strides(&x, &t.v, at->over, t.sv);
    strides(&x, &t.o, at->seq, t.so);
    strides(&x, &t.lse, at->seq, t.slse);
    if (z->lim->attn_scratch) kz_scratch(z, &t.scratch, z->lim->attn_scratch(&t, z->k));
    kz_node(f, KIR_NODE_ATTN, v)->attn = t;
    for (int k = 0; k < (t.backward ? 3 : 2); k++) finish(&x, &r[k], v);
}

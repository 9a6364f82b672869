/* kir_verify_nodes.c - rules of the nodes that are not kernels: K12 to K15. */
#include "compiler/kir/kir_verify_impl.h"

#include <inttypes.h>
#include <string.h>

static dfm_status strided(kir_checker *c, const kir_arg *a, const char *what, bool write, int rule,
                          const int64_t *extents, const int64_t *strides, uint32_t n)
{
    KIR_RULE(c, a->buf.i, rule, "%s is missing", what);
    KIR_RULE(c, a->write == write, rule, "%s is %swritten", what, write ? "not " : "");
    kir_arg plain = *a;                      /* its dims are for reading only */
    plain.rank = 0;
    DFM_TRY(kir_check_arg(c, &plain, what));
    for (uint32_t k = 0; k < n; k++)
        KIR_RULE(c, strides[k] >= 0 && (extents[k] >= 1), rule, "%s has a bad size or stride",
                 what);
    return kir_check_window(c, a, what, extents, strides, n);
}

/* A strided operand: the arg, and the extents and strides that count. */
typedef struct piece {
    const kir_arg *a;
    int64_t e[6], s[6];
    uint32_t n;
} piece;

static piece piece_of(const kir_arg *a, const int64_t *e, const int64_t *s, uint32_t n)
{
    piece p = {.a = a, .n = n};
    memcpy(p.e, e, n * sizeof *e);
    memcpy(p.s, s, n * sizeof *s);
    return p;
}

/* Could they touch the same element in one iteration? Strides are not negative. */
static bool pieces_meet(const kir_checker *c, const piece *x, const piece *y)
{
    const piece *const p[2] = {x, y};
    int64_t lo[2], hi[2];
    if (!x->a->buf.i || x->a->buf.i != y->a->buf.i) return false;
    bool apart = memcmp(x->a->loop_stride, y->a->loop_stride, sizeof x->a->loop_stride) != 0;
    for (int i = 0; i < 2; i++) {
        lo[i] = hi[i] = p[i]->a->offset;
        for (uint32_t k = 0; k < p[i]->n; k++) hi[i] = kir_sat(p[i]->e[k] - 1, p[i]->s[k], hi[i]);
        for (uint32_t l = 0; apart && l < c->depth; l++) {
            int64_t by = p[i]->a->loop_stride[l];
            *(by < 0 ? &lo[i] : &hi[i]) = kir_sat(c->trips[l] - 1, by, by < 0 ? lo[i] : hi[i]);
        }
    }
    return lo[0] <= hi[1] && lo[1] <= hi[0];
}

/* Written elements are distinct: strides of dims with more than one element grow past each other.
 */
static bool injective(const int64_t *extents, const int64_t *strides, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (extents[i] == 1) continue;
        if (strides[i] <= 0) return false;
        int64_t below = 0;                   /* span of all dims with smaller strides */
        for (uint32_t j = 0; j < n; j++) {
            if (j == i || extents[j] == 1) continue;
            if (strides[j] == strides[i]) return false;
            if (strides[j] < strides[i]) below = kir_sat(extents[j] - 1, strides[j], below);
        }
        if (below >= strides[i]) return false;
    }
    return true;
}

static dfm_status check_scratch(kir_checker *c, const kir_arg *a)
{
    if (!a->buf.i) return DFM_OK;
    DFM_TRY(kir_check_arg(c, a, "scratch"));
    KIR_RULE(c, a->dtype == DFM_U8 && a->write, 2, "scratch is not written bytes");
    return DFM_OK;
}

static dfm_status matrix(kir_checker *c, const kir_arg *a, const char *what, bool write,
                         const int64_t *batch, int64_t rows, int64_t cols, const int64_t *s)
{
    int64_t e[4] = {batch[0], batch[1], rows, cols};
    DFM_TRY(strided(c, a, what, write, 12, e, s, 4));
    KIR_RULE(c, dfm_dtype_is_float(a->dtype), 12, "%s is not of a float type", what);
    KIR_RULE(c, s[2] == 1 || s[3] == 1 || rows == 1 || cols == 1, 12,
             "%s has no stride of 1", what);
    KIR_RULE(c, !write || injective(e, s, 4), 12, "%s is written twice", what);
    return DFM_OK;
}

dfm_status kir_check_gemm(kir_checker *c, const kir_gemm *g)
{
    DFM_TRY(matrix(c, &g->a, "a", false, g->batch, g->m, g->k, g->sa));
    DFM_TRY(matrix(c, &g->b, "b", false, g->batch, g->k, g->n, g->sb));
    DFM_TRY(matrix(c, &g->c, "c", true, g->batch, g->m, g->n, g->sc));
    DFM_TRY(check_scratch(c, &g->scratch));
    if (g->bias.buf.i) {
        KIR_RULE(c, g->bias.dtype == DFM_F32, 12, "the bias is not f32");
        DFM_TRY(strided(c, &g->bias, "bias", false, 12, &g->n, (int64_t[]){1}, 1));
    }
    const int64_t *const b = g->batch;
    piece out = piece_of(&g->c, (int64_t[]){b[0], b[1], g->m, g->n}, g->sc, 4);
    piece in[3] = {piece_of(&g->a, (int64_t[]){b[0], b[1], g->m, g->k}, g->sa, 4),
                   piece_of(&g->b, (int64_t[]){b[0], b[1], g->k, g->n}, g->sb, 4),
                   piece_of(&g->bias, &g->n, (int64_t[]){1}, 1)};
    for (int i = 0; i < 3; i++)
        KIR_RULE(c, !pieces_meet(c, &out, &in[i]), 12, "c overlaps what is read");
    return DFM_OK;
}

static dfm_status tokens(kir_checker *c, const kir_attn *t, const kir_arg *a, const char *what,
                         bool write, int64_t count, int64_t feature, const int64_t *s)
{
    int64_t e[6] = {t->batch[0], t->batch[1], t->batch[2], t->batch[3], count, feature};
    int64_t by[6] = {s[0], s[1], s[2], s[3], s[4], 1};
    DFM_TRY(strided(c, a, what, write, 13, e, by, 6));
    KIR_RULE(c, dfm_dtype_is_float(a->dtype), 13, "%s is not of a float type", what);
    KIR_RULE(c, !write || injective(e, by, 6), 13, "%s is written twice", what);
    return DFM_OK;
}

static piece tokens_of(const kir_attn *t, const kir_arg *a, int64_t count, int64_t feature,
                       const int64_t *s)
{
    const int64_t *b = t->batch;
    return piece_of(a, (int64_t[]){b[0], b[1], b[2], b[3], count, feature},
                    (int64_t[]){s[0], s[1], s[2], s[3], s[4], 1}, 6);
}

/* What is written overlaps nothing that is read. Results may be woven into each other. */
static dfm_status attn_apart(kir_checker *c, const kir_attn *t)
{
    const int64_t *b = t->batch;
    const piece p[] = {
        tokens_of(t, &t->q, t->seq, t->feature, t->sq),
        tokens_of(t, &t->k, t->over, t->feature, t->sk),
        tokens_of(t, &t->v, t->over, t->value, t->sv),
        tokens_of(t, &t->o, t->seq, t->value, t->so),
        tokens_of(t, &t->lse, t->seq, 1, t->slse),
        piece_of(&t->mask, (int64_t[]){b[0], b[1], b[2], b[3], t->seq, t->over}, t->smask, 6),
        tokens_of(t, &t->d_o, t->seq, t->value, t->sd_o),
        tokens_of(t, &t->dq, t->seq, t->feature, t->sdq),
        tokens_of(t, &t->dk, t->over, t->feature, t->sdk),
        tokens_of(t, &t->dv, t->over, t->value, t->sdv),
    };
    for (uint32_t i = 0; i < DFM_LEN(p); i++)
        for (uint32_t j = 0; p[i].a->write && j < DFM_LEN(p); j++)
            KIR_RULE(c, p[j].a->write || !pieces_meet(c, &p[i], &p[j]), 13,
                     "a result overlaps what is read");
    return DFM_OK;
}

dfm_status kir_check_attn(kir_checker *c, const kir_attn *t)
{
    KIR_RULE(c, t->window >= 0, 13, "the window is negative");
    DFM_TRY(tokens(c, t, &t->q, "q", false, t->seq, t->feature, t->sq));
    DFM_TRY(tokens(c, t, &t->k, "k", false, t->over, t->feature, t->sk));
    DFM_TRY(tokens(c, t, &t->v, "v", false, t->over, t->value, t->sv));
    DFM_TRY(tokens(c, t, &t->o, "o", !t->backward, t->seq, t->value, t->so));
    DFM_TRY(tokens(c, t, &t->lse, "lse", !t->backward, t->seq, 1, t->slse));
    KIR_RULE(c, t->lse.dtype == DFM_F32, 13, "lse is not f32");
    DFM_TRY(check_scratch(c, &t->scratch));
    if (t->mask.buf.i) {
        int64_t e[6] = {t->batch[0], t->batch[1], t->batch[2], t->batch[3], t->seq, t->over};
        DFM_TRY(strided(c, &t->mask, "mask", false, 13, e, t->smask, 6));
        KIR_RULE(c, t->mask.dtype == DFM_BOOL, 13, "the mask is not bool");
    }
    if (!t->backward) return attn_apart(c, t);
    DFM_TRY(tokens(c, t, &t->d_o, "do", false, t->seq, t->value, t->sd_o));
    DFM_TRY(tokens(c, t, &t->dq, "dq", true, t->seq, t->feature, t->sdq));
    DFM_TRY(tokens(c, t, &t->dk, "dk", true, t->over, t->feature, t->sdk));
    DFM_TRY(tokens(c, t, &t->dv, "dv", true, t->over, t->value, t->sdv));
    return attn_apart(c, t);
}

static bool has_dim(const kir_arg *a, ir_dim d)
{
    for (uint32_t k = 0; k < a->rank; k++)
        if (ir_dim_same(a->dims[k], d)) return true;
    return false;
}

dfm_status kir_check_scatter(kir_checker *c, const kir_scatter *s)
{
    DFM_TRY(kir_check_arg(c, &s->index, "index"));
    DFM_TRY(kir_check_arg(c, &s->updates, "updates"));
    DFM_TRY(kir_check_arg(c, &s->out, "out"));
    KIR_RULE(c, s->index.dtype == DFM_I32, 14, "the index is not i32");
    KIR_RULE(c, s->out.write && !s->index.write && !s->updates.write, 14, "wrong operand written");
    KIR_RULE(c, has_dim(&s->out, s->dim), 14, "out lacks the indexed dim");
    for (uint32_t k = 0; k < s->index.rank; k++)
        KIR_RULE(c, has_dim(&s->updates, s->index.dims[k]), 14, "updates lack a dim of the index");
    for (uint32_t k = 0; k < s->out.rank; k++)
        KIR_RULE(c, ir_dim_same(s->out.dims[k], s->dim) || has_dim(&s->updates, s->out.dims[k]), 14,
                 "updates lack a dim of out");
    for (uint32_t k = 0; k < s->updates.rank; k++)
        KIR_RULE(c, has_dim(&s->index, s->updates.dims[k]) || has_dim(&s->out, s->updates.dims[k]),
                 14, "updates have a dim too many");
    KIR_RULE(c, !kir_args_overlap(c, &s->out, &s->updates), 14, "out overlaps updates");
    return DFM_OK;
}

dfm_status kir_check_copy(kir_checker *c, const kir_copy *y)
{
    int64_t one = 1;
    DFM_TRY(strided(c, &y->src, "source", false, 15, &y->elems, &one, 1));
    DFM_TRY(strided(c, &y->dst, "destination", true, 15, &y->elems, &one, 1));
    KIR_RULE(c, y->src.dtype == y->dst.dtype, 15, "a copy converts");
    bool same_loops = !memcmp(y->src.loop_stride, y->dst.loop_stride, sizeof y->src.loop_stride);
    KIR_RULE(c, y->src.buf.i != y->dst.buf.i ||
                    (same_loops && (y->src.offset >= y->dst.offset + y->elems ||
                                    y->dst.offset >= y->src.offset + y->elems)), 15,
             "source and destination overlap");
    return DFM_OK;
}

/* kir_interp_nodes.c - matrix products, attention, scatter and copies by plain loops. */
#include "compiler/kir/kir_interp_impl.h"

#include <math.h>

void kir_run_gemm(kir_run *r, const kir_gemm *g)
{
    for (int64_t p = 0; p < g->batch[0]; p++)
        for (int64_t q = 0; q < g->batch[1]; q++)
            for (int64_t m = 0; m < g->m; m++)
                for (int64_t n = 0; n < g->n; n++) {
                    int64_t a = p * g->sa[0] + q * g->sa[1] + m * g->sa[2];
                    int64_t b = p * g->sb[0] + q * g->sb[1] + n * g->sb[3];
                    double sum = g->bias.buf.i ? kir_get(r, &g->bias, n) : 0;
                    for (int64_t k = 0; k < g->k; k++)
                        sum += kir_get(r, &g->a, a + k * g->sa[3])
                             * kir_get(r, &g->b, b + k * g->sb[2]);
                    kir_put(r, &g->c, p * g->sc[0] + q * g->sc[1] + m * g->sc[2] + n * g->sc[3],
                            (float)sum);
                }
}

/* -- attention --------------------------------------------------------------------------------- */

typedef struct head {                        /* one batch position */
    int64_t at[KIR_ATTN_BATCH];
} head;

static int64_t token(const head *h, const int64_t *stride, int64_t i)
{
    int64_t x = i * stride[KIR_ATTN_BATCH];
    for (int b = 0; b < KIR_ATTN_BATCH; b++) x += h->at[b] * stride[b];
    return x;
}

static bool seen(kir_run *r, const kir_attn *t, const head *h, int64_t i, int64_t j)
{
    if (t->causal && j > i) return false;
    if (t->window && (i > j ? i - j : j - i) > t->window) return false;
    return !t->mask.buf.i || kir_get(r, &t->mask, token(h, t->smask, i) + j * t->smask[5]) != 0;
}

static double dot(kir_run *r, const kir_arg *a, int64_t at, const kir_arg *b, int64_t bt, int64_t n)
{
    double s = 0;
    for (int64_t d = 0; d < n; d++) s += kir_get(r, a, at + d) * kir_get(r, b, bt + d);
    return s;
}

static double score(kir_run *r, const kir_attn *t, const head *h, int64_t i, int64_t j)
{
    if (!seen(r, t, h, i, j)) return -INFINITY;
    return t->scale * dot(r, &t->q, token(h, t->sq, i), &t->k, token(h, t->sk, j), t->feature);
}

/* A query that sees no key gives 0 and lse = -inf. */
static void forward(kir_run *r, const kir_attn *t, const head *h)
{
    double *p = dfm_new_n(r->scratch, double, t->over);
    for (int64_t i = 0; i < t->seq; i++) {
        double top = -INFINITY, sum = 0;
        for (int64_t j = 0; j < t->over; j++) {
            p[j] = score(r, t, h, i, j);
            top = p[j] > top ? p[j] : top;
        }
        for (int64_t j = 0; j < t->over; j++) {
            p[j] = isinf(top) && top < 0 ? 0 : exp(p[j] - top);
            sum += p[j];
        }
        for (int64_t d = 0; d < t->value; d++) {
            double o = 0;
            for (int64_t j = 0; j < t->over; j++)
                if (p[j] != 0) o += p[j] * kir_get(r, &t->v, token(h, t->sv, j) + d);
            kir_put(r, &t->o, token(h, t->so, i) + d, (float)(sum > 0 ? o / sum : 0));
        }
        kir_put(r, &t->lse, token(h, t->slse, i), (float)(sum > 0 ? top + log(sum) : -INFINITY));
    }
}

/* ds[i,j] = p (do . v - do . o) scale; dq = ds k; dk = ds^T q; dv = p^T do. */
static void backward(kir_run *r, const kir_attn *t, const head *h)
{
    double *dq = dfm_new_n(r->scratch, double, t->seq * t->feature);
    double *dk = dfm_new_n(r->scratch, double, t->over * t->feature);
    double *dv = dfm_new_n(r->scratch, double, t->over * t->value);
    for (int64_t i = 0; i < t->seq; i++) {
        int64_t q = token(h, t->sq, i), o = token(h, t->so, i), d_o = token(h, t->sd_o, i);
        double lse = kir_get(r, &t->lse, token(h, t->slse, i));
        double mean = dot(r, &t->d_o, d_o, &t->o, o, t->value);
        for (int64_t j = 0; j < t->over; j++) {
            double s = score(r, t, h, i, j), p = isinf(s) ? 0 : exp(s - lse);
            if (p == 0) continue;
            int64_t k = token(h, t->sk, j), v = token(h, t->sv, j);
            double ds = p * (dot(r, &t->d_o, d_o, &t->v, v, t->value) - mean) * t->scale;
            for (int64_t d = 0; d < t->feature; d++) {
                dq[i * t->feature + d] += ds * kir_get(r, &t->k, k + d);
                dk[j * t->feature + d] += ds * kir_get(r, &t->q, q + d);
            }
            for (int64_t d = 0; d < t->value; d++)
                dv[j * t->value + d] += p * kir_get(r, &t->d_o, d_o + d);
        }
    }
    for (int64_t i = 0; i < t->seq * t->feature; i++)
        kir_put(r, &t->dq, token(h, t->sdq, i / t->feature) + i % t->feature, (float)dq[i]);
    for (int64_t i = 0; i < t->over * t->feature; i++)
        kir_put(r, &t->dk, token(h, t->sdk, i / t->feature) + i % t->feature, (float)dk[i]);
    for (int64_t i = 0; i < t->over * t->value; i++)
        kir_put(r, &t->dv, token(h, t->sdv, i / t->value) + i % t->value, (float)dv[i]);
}

void kir_run_attn(kir_run *r, const kir_attn *t)
{
    head h = {{0}};
    for (;;) {
        if (t->backward) backward(r, t, &h);
        else forward(r, t, &h);
        int b = KIR_ATTN_BATCH - 1;
        while (b >= 0 && ++h.at[b] == t->batch[b]) h.at[b--] = 0;
        if (b < 0) return;
    }
}

/* -- scatter, copy ----------------------------------------------------------------------------- */

static int64_t stride_of(const kir_arg *a, ir_dim d)
{
    for (uint32_t k = 0; k < a->rank; k++)
        if (ir_dim_same(a->dims[k], d)) return a->stride[k];
    return 0;
}

static int64_t count(const kir_run *r, const kir_arg *a)
{
    int64_t n = 1;
    for (uint32_t k = 0; k < a->rank; k++) n *= ir_extent(r->m->ir, a->dims[k]);
    return n;
}

static void clear(kir_run *r, const kir_arg *out)
{
    int64_t n = count(r, out);
    for (int64_t e = 0; e < n; e++) {
        int64_t rest = e, at = 0;
        for (uint32_t k = out->rank; k-- > 0;) {
            int64_t x = ir_extent(r->m->ir, out->dims[k]);
            at += rest % x * out->stride[k];
            rest /= x;
        }
        kir_put(r, out, at, 0);
    }
}

/* The order: index positions row-major in the order of index.dims, then the other dims. */
void kir_run_scatter(kir_run *r, const kir_scatter *s)
{
    ir_dim d[2 * KIR_MAX_RANK];
    uint32_t nd = 0;
    int64_t n = 1, rows = ir_extent(r->m->ir, s->dim);
    for (uint32_t k = 0; k < s->index.rank; k++) d[nd++] = s->index.dims[k];
    for (uint32_t k = 0; k < s->updates.rank; k++) {
        bool known = false;
        for (uint32_t j = 0; j < s->index.rank; j++)
            known |= ir_dim_same(s->index.dims[j], s->updates.dims[k]);
        if (!known) d[nd++] = s->updates.dims[k];
    }
    for (uint32_t k = 0; k < nd; k++) n *= ir_extent(r->m->ir, d[k]);
    clear(r, &s->out);
    for (int64_t e = 0; e < n; e++) {
        int64_t rest = e, from = 0, row = 0, to = 0;
        for (uint32_t k = nd; k-- > 0;) {
            int64_t x = ir_extent(r->m->ir, d[k]), i = rest % x;
            rest /= x;
            row += i * stride_of(&s->index, d[k]);
            from += i * stride_of(&s->updates, d[k]);
            if (!ir_dim_same(d[k], s->dim)) to += i * stride_of(&s->out, d[k]);
        }
        int64_t at = (int64_t)kir_get(r, &s->index, row);
        at = at < 0 ? 0 : at >= rows ? rows - 1 : at;
        to += at * stride_of(&s->out, s->dim);
        kir_put(r, &s->out, to, (float)(kir_get(r, &s->out, to) + kir_get(r, &s->updates, from)));
    }
}

void kir_run_copy(kir_run *r, const kir_copy *y)
{
    for (int64_t i = 0; i < y->elems; i++) kir_put(r, &y->dst, i, kir_get(r, &y->src, i));
}

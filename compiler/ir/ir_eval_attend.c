/* ir_eval_attend.c - attention and its gradient as the formulas say, one query row at a time.
 *
 *   s[q,k] = scale * sum_f Q[q,f] K[k,f]      masked pairs: -inf
 *   lse[q] = log sum_k exp s[q,k]             P = exp(s - lse)
 *   O[q,v] = sum_k P[q,k] V[k,v]
 *   dV = P' dO,  dS = P (dO V' - rowsum(dO O)),  dQ = scale dS K,  dK = scale dS' Q
 *
 * A row whose keys are all masked has O = 0, lse = -inf and no gradient. Batch dims are matched
 * by name in any position; k, v and mask may lack some, and dk, dv are then summed over them. A
 * mask dim that is both seq and over (self-attention) counts as over: a key mask.
 *
 * Where values are rounded, the two sums in dS are, term by term: over one key they are equal and
 * dS is 0, but what a target computes is the difference of their roundings.
 */
#include "compiler/ir/ir_impl.h"

#include <math.h>

typedef struct tensor {                      /* one operand: strides over the batch dims, and own */
    const double *p;
    int64_t batch[IR_MAX_RANK], token, query, last;
} tensor;

typedef struct attention {
    const ir_module *m;
    const ir_attend *at;
    uint32_t rank;                           /* batch dims, in the order of q */
    ir_dim dim[IR_MAX_RANK];
    int64_t extent[IR_MAX_RANK], index[IR_MAX_RANK];
    int64_t n_q, n_k, n_f, n_v;
} attention;

static tensor describe(const attention *a, ir_type t, const double *p, ir_dim token, ir_dim last)
{
    const ir_type_info *ti = ir_type_of(a->m, t);
    tensor r = {.p = p};
    int64_t stride = 1;
    for (int i = ti->rank; i-- > 0;) {
        ir_dim d = ti->dims[i];
        for (uint32_t k = 0; k < a->rank; k++)
            if (a->dim[k].i == d.i) r.batch[k] = stride;
        if (d.i == last.i) r.last = stride;
        else if (d.i == token.i) r.token = stride;
        else if (d.i == a->at->seq.i) r.query = stride;
        stride *= ir_extent(a->m, d);
    }
    return r;
}

static int64_t base(const attention *a, const tensor *t)
{
    int64_t off = 0;
    for (uint32_t k = 0; k < a->rank; k++) off += t->batch[k] * a->index[k];
    return off;
}

static bool next_batch(attention *a)
{
    for (uint32_t k = a->rank; k-- > 0;) {
        if (++a->index[k] < a->extent[k]) return true;
        a->index[k] = 0;
    }
    return false;
}

static attention prepare(const ir_module *m, const ir_graph *g, const ir_op *op)
{
    attention a = {.m = m, .at = &op->at->attend};
    const ir_type_info *q = ir_type_of(m, ir_type_at(g, op->args[0]));
    for (int i = 0; i < q->rank; i++) {
        if (q->dims[i].i == a.at->seq.i || q->dims[i].i == a.at->feature.i) continue;
        a.dim[a.rank] = q->dims[i];
        a.extent[a.rank++] = ir_extent(m, q->dims[i]);
    }
    a.n_q = ir_extent(m, a.at->seq);
    a.n_k = ir_extent(m, a.at->over);
    a.n_f = ir_extent(m, a.at->feature);
    a.n_v = ir_extent(m, a.at->value);
    return a;
}

static bool sees(const attention *a, const tensor *mask, int64_t q, int64_t k)
{
    if (a->at->causal && k > q) return false;
    if (a->at->window && (k > q ? k - q : q - k) > a->at->window) return false;
    return !mask->p || mask->p[base(a, mask) + q * mask->query + k * mask->token] != 0;
}

/* Scores of query row i, -inf where masked. */
static void scores(const attention *a, const tensor *q, const tensor *k, const tensor *mask,
                   int64_t i, double *s)
{
    const double *qr = q->p + base(a, q) + i * q->token, *k0 = k->p + base(a, k);
    for (int64_t j = 0; j < a->n_k; j++) {
        double dot = 0;
        for (int64_t f = 0; f < a->n_f; f++)
            dot += qr[f * q->last] * k0[j * k->token + f * k->last];
        s[j] = sees(a, mask, i, j) ? dot * a->at->scale : -INFINITY;
    }
}

static double log_sum_exp(const double *s, int64_t n)
{
    double top = -INFINITY, sum = 0;
    for (int64_t j = 0; j < n; j++) top = s[j] > top ? s[j] : top;
    if (top == -INFINITY) return top;
    for (int64_t j = 0; j < n; j++) sum += exp(s[j] - top);
    return top + log(sum);
}

static void forward(const ir_module *m, const ir_graph *g, const ir_op *op,
                    const double *const *args, double *const *out, double *s)
{
    attention a = prepare(m, g, op);
    const ir_attend *at = a.at;
    const ir_type_info *tuple = ir_type_of(m, op->type);
    tensor q = describe(&a, ir_type_at(g, op->args[0]), args[0], at->seq, at->feature);
    tensor k = describe(&a, ir_type_at(g, op->args[1]), args[1], at->over, at->feature);
    tensor v = describe(&a, ir_type_at(g, op->args[2]), args[2], at->over, at->value);
    tensor o = describe(&a, tuple->members[0], NULL, at->seq, at->value);
    tensor l = describe(&a, tuple->members[1], NULL, at->seq, (ir_dim){0});
    tensor mask = {0};
    if (op->n_args == 4)
        mask = describe(&a, ir_type_at(g, op->args[3]), args[3], at->over, (ir_dim){0});
    do {
        for (int64_t i = 0; i < a.n_q; i++) {
            scores(&a, &q, &k, &mask, i, s);
            double lse = log_sum_exp(s, a.n_k), *row = out[0] + base(&a, &o) + i * o.token;
            out[1][base(&a, &l) + i * l.token] = lse;
            for (int64_t x = 0; x < a.n_v; x++) {
                double acc = 0;
                const double *vx = v.p + base(&a, &v) + x * v.last;
                for (int64_t j = 0; j < a.n_k; j++)
                    if (s[j] > -INFINITY) acc += exp(s[j] - lse) * vx[j * v.token];
                row[x * o.last] = acc;
            }
        }
    } while (next_batch(&a));
}

typedef struct backward {
    attention a;
    tensor q, k, v, o, lse, d_o, mask;
    double *dq, *dk, *dv;                    /* laid out as q, k, v */
    ir_rounding round;
    uint64_t added;                          /* terms so far: what tells roundings apart */
} backward;

/* x[0] y[0] + ... over n strided terms. */
static double dot(backward *w, const double *x, int64_t sx, const double *y, int64_t sy, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum = ir_rounded(w->round, DFM_F32, sum + x[i * sx] * y[i * sy], w->added++);
    return sum;
}

static void backward_row(backward *w, int64_t i, double *s)
{
    attention *a = &w->a;
    double lse = w->lse.p[base(a, &w->lse) + i * w->lse.token];
    if (lse == -INFINITY) return;
    scores(a, &w->q, &w->k, &w->mask, i, s);
    const double *d_o = w->d_o.p + base(a, &w->d_o) + i * w->d_o.token;
    const double *o = w->o.p + base(a, &w->o) + i * w->o.token;
    int64_t q0 = base(a, &w->q) + i * w->q.token;
    const double delta = dot(w, d_o, w->d_o.last, o, w->o.last, a->n_v);
    for (int64_t j = 0; j < a->n_k; j++) {
        if (s[j] == -INFINITY) continue;
        double p = exp(s[j] - lse);
        int64_t v0 = base(a, &w->v) + j * w->v.token, k0 = base(a, &w->k) + j * w->k.token;
        for (int64_t x = 0; x < a->n_v; x++)
            w->dv[v0 + x * w->v.last] += p * d_o[x * w->d_o.last];
        double dp = dot(w, d_o, w->d_o.last, w->v.p + v0, w->v.last, a->n_v);
        double ds = p * (dp - delta) * a->at->scale;
        for (int64_t f = 0; f < a->n_f; f++) {
            w->dq[q0 + f * w->q.last] += ds * w->k.p[k0 + f * w->k.last];
            w->dk[k0 + f * w->k.last] += ds * w->q.p[q0 + f * w->q.last];
        }
    }
}

static void gradient(const ir_module *m, const ir_graph *g, const ir_op *op,
                     const double *const *args, ir_rounding r, double *const *out, double *s)
{
    backward w = {.a = prepare(m, g, op), .dq = out[0], .dk = out[1], .dv = out[2], .round = r};
    const ir_attend *at = w.a.at;
    ir_type t[7];
    for (uint32_t i = 0; i < op->n_args; i++) t[i] = ir_type_at(g, op->args[i]);
    for (uint32_t i = 0; i < 3; i++)
        for (uint64_t e = 0; e < ir_elems(m, t[i]); e++) out[i][e] = 0;
    w.q = describe(&w.a, t[0], args[0], at->seq, at->feature);
    w.k = describe(&w.a, t[1], args[1], at->over, at->feature);
    w.v = describe(&w.a, t[2], args[2], at->over, at->value);
    w.o = describe(&w.a, t[3], args[3], at->seq, at->value);
    w.lse = describe(&w.a, t[4], args[4], at->seq, (ir_dim){0});
    w.d_o = describe(&w.a, t[5], args[5], at->seq, at->value);
    if (op->n_args == 7) w.mask = describe(&w.a, t[6], args[6], at->over, (ir_dim){0});
    do
        for (int64_t i = 0; i < w.a.n_q; i++) backward_row(&w, i, s);
    while (next_batch(&w.a));
}

void ir_eval_attend(const ir_module *m, const ir_graph *g, const ir_op *op,
                    const double *const *args, ir_rounding r, double *const *out)
{
    dfm_arena *a = dfm_arena_create("attend");
    double *s = dfm_new_n(a, double, ir_extent(m, op->at->attend.over));
    if (op->kind == IR_ATTEND) forward(m, g, op, args, out, s);
    else gradient(m, g, op, args, r, out, s);
    dfm_arena_destroy(a);
}

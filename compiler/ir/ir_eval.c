/* ir_eval.c - one op on given operand values, in float64: scalar functions and the plain ops. */
#include "compiler/ir/ir_impl.h"

#include <math.h>
#include <string.h>

/* -- scalar functions ------------------------------------------------------------------------ */

static double wrap(dfm_dtype t, int64_t x)
{
    return t == DFM_I32 ? (double)(int32_t)(uint32_t)(uint64_t)x : (double)x;
}

static int64_t whole(double x)
{
    if (!(x > -9.2e18)) return INT64_MIN;
    return x < 9.2e18 ? (int64_t)x : INT64_MAX;
}

static double integer_fn(ir_fn fn, dfm_dtype t, double x, double y)
{
    int64_t a = whole(x), b = whole(y), r = 0;
    switch (fn) {
    case IR_FN_NEG: __builtin_sub_overflow((int64_t)0, a, &r); break;
    case IR_FN_ADD: __builtin_add_overflow(a, b, &r); break;
    case IR_FN_SUB: __builtin_sub_overflow(a, b, &r); break;
    case IR_FN_MUL: __builtin_mul_overflow(a, b, &r); break;
    case IR_FN_DIV: r = b > 0 ? ir_floor_div(a, b) : b < 0 ? (int64_t)floor(x / y) : 0; break;
    case IR_FN_MOD: r = b > 0 ? ir_floor_mod(a, b) : b < 0 ? whole(x - y * floor(x / y)) : 0; break;
    default: break;
    }
    return wrap(t, r);
}

static double sigmoid(double a)
{
    if (a >= 0) return 1 / (1 + exp(-a));
    double e = exp(a);
    return e / (1 + e);
}

static double binary_fn(ir_fn fn, double a, double b)
{
    switch (fn) {
    case IR_FN_ADD: return a + b;
    case IR_FN_SUB: return a - b;
    case IR_FN_MUL: return a * b;
    case IR_FN_DIV: return a / b;
    case IR_FN_MOD: return a - b * floor(a / b);
    case IR_FN_POW: return pow(a, b);
    case IR_FN_MIN: return b < a ? b : a;
    case IR_FN_MAX: return b > a ? b : a;
    case IR_FN_LT: return a < b;
    case IR_FN_LE: return a <= b;
    case IR_FN_EQ: return a == b;
    case IR_FN_NE: return a != b;
    case IR_FN_AND: return a != 0 && b != 0;
    case IR_FN_OR: return a != 0 || b != 0;
    default: return NAN;
    }
}

static bool wraps(ir_fn fn)
{
    return fn == IR_FN_NEG || fn == IR_FN_ADD || fn == IR_FN_SUB || fn == IR_FN_MUL
        || fn == IR_FN_DIV || fn == IR_FN_MOD;
}

double ir_fn_eval(ir_fn fn, dfm_dtype operand, double a, double b, double c)
{
    if (!dfm_dtype_is_float(operand) && wraps(fn)) return integer_fn(fn, operand, a, b);
    switch (fn) {
    case IR_FN_NEG: return -a;
    case IR_FN_ABS: return fabs(a);
    case IR_FN_SIGN: return (a > 0) - (a < 0);
    case IR_FN_FLOOR: return floor(a);
    case IR_FN_CEIL: return ceil(a);
    case IR_FN_ROUND: return nearbyint(a);
    case IR_FN_EXP: return exp(a);
    case IR_FN_EXPM1: return expm1(a);
    case IR_FN_LOG: return log(a);
    case IR_FN_LOG1P: return log1p(a);
    case IR_FN_SQRT: return sqrt(a);
    case IR_FN_RSQRT: return 1 / sqrt(a);
    case IR_FN_RECIP: return 1 / a;
    case IR_FN_SIN: return sin(a);
    case IR_FN_COS: return cos(a);
    case IR_FN_TANH: return tanh(a);
    case IR_FN_ERF: return erf(a);
    case IR_FN_SIGMOID: return sigmoid(a);
    case IR_FN_NOT: return a == 0;
    case IR_FN_SELECT: return a != 0 ? b : c;
    default: return binary_fn(fn, a, b);
    }
}

/* -- walking over an index space ------------------------------------------------------------- */

enum { WALK_RANK = 2 * IR_MAX_RANK };

typedef struct walk {                        /* n offsets that follow one row-major index */
    uint32_t rank, n;
    int64_t extent[WALK_RANK], index[WALK_RANK];
    int64_t (*stride)[WALK_RANK];
    int64_t *off;
} walk;

static void walk_next(walk *w)
{
    for (uint32_t d = w->rank; d-- > 0;) {
        for (uint32_t k = 0; k < w->n; k++) w->off[k] += w->stride[k][d];
        if (++w->index[d] < w->extent[d]) return;
        for (uint32_t k = 0; k < w->n; k++) w->off[k] -= w->stride[k][d] * w->extent[d];
        w->index[d] = 0;
    }
}

static int64_t stride_of(const ir_module *m, const ir_type_info *t, int at)
{
    int64_t s = 1;
    for (int i = at + 1; i < t->rank; i++) s *= ir_extent(m, t->dims[i]);
    return s;
}

static int position(const ir_type_info *t, ir_dim d)
{
    for (int i = 0; i < t->rank; i++)
        if (t->dims[i].i == d.i) return i;
    return -1;
}

void ir_strides_over(const ir_module *m, const ir_type_info *src, const ir_type_info *over,
                     int64_t *out)
{
    for (int i = 0; i < over->rank; i++) {
        int at = position(src, over->dims[i]);
        out[i] = at < 0 ? 0 : stride_of(m, src, at);
    }
}

static void walk_over(const ir_module *m, walk *w, const ir_type_info *t)
{
    w->rank = t->rank;
    for (int i = 0; i < t->rank; i++) w->extent[i] = ir_extent(m, t->dims[i]);
}

static const ir_type_info *arg_type(const ir_module *m, const ir_graph *g, const ir_op *op,
                                    uint32_t k)
{
    return ir_type_of(m, ir_type_at(g, op->args[k]));
}

/* -- ops ------------------------------------------------------------------------------------- */

static void eval_map(const ir_module *m, const ir_graph *g, const ir_op *op,
                     const double *const *args, double *out)
{
    const ir_type_info *t = ir_type_of(m, op->type);
    int64_t stride[3][WALK_RANK] = {{0}}, off[3] = {0};
    walk w = {.n = op->n_args, .stride = stride, .off = off};
    walk_over(m, &w, t);
    for (uint32_t k = 0; k < op->n_args; k++)
        ir_strides_over(m, arg_type(m, g, op, k), t, stride[k]);
    ir_fn fn = op->at->fn;
    dfm_dtype od = arg_type(m, g, op, op->n_args == 3 ? 1 : 0)->dtype;
    uint64_t n = ir_elems(m, op->type);
    for (uint64_t i = 0; i < n; i++, walk_next(&w)) {
        double b = op->n_args > 1 ? args[1][off[1]] : 0, c = op->n_args > 2 ? args[2][off[2]] : 0;
        out[i] = ir_fn_eval(fn, od, args[0][off[0]], b, c);
    }
}

static double cast_one(dfm_dtype to, double x)
{
    switch (to) {
    case DFM_BOOL: return x != 0;
    case DFM_F32:
    case DFM_F64: return x;
    default: return dfm_round_to(to, x);
    }
}

/* An index expression tabulated over the dims of `t` that it uses. */
typedef struct tabulated {
    int64_t *values;
    int64_t stride[WALK_RANK];               /* per dim of t */
} tabulated;

static tabulated tabulate(const ir_module *m, dfm_arena *a, const ir_type_info *t, ir_ix e)
{
    tabulated r = {0};
    ir_dim dims[IR_MAX_RANK];
    int64_t at[IR_MAX_RANK] = {0}, n = 1;
    uint32_t k = 0;
    for (int i = t->rank; i-- > 0;) {
        if (!ir_ix_uses(m, e, t->dims[i])) continue;
        r.stride[i] = n;
        n *= ir_extent(m, t->dims[i]);
        dims[k++] = t->dims[i];              /* fastest first */
    }
    r.values = dfm_new_n(a, int64_t, n);
    for (int64_t i = 0; i < n; i++) {
        r.values[i] = ir_ix_eval(m, e, dims, at, k);
        for (uint32_t d = 0; d < k; d++) {
            if (++at[d] < ir_extent(m, dims[d])) break;
            at[d] = 0;
        }
    }
    return r;
}

void ir_eval_view(const ir_module *m, const ir_graph *g, const ir_op *op, const double *x,
                  double *out)
{
    const ir_type_info *t = ir_type_of(m, op->type), *src = arg_type(m, g, op, 0);
    const ir_view *v = &op->at->view;
    dfm_arena *a = dfm_arena_create("view");
    uint32_t n = (uint32_t)src->rank + v->n_conds;
    int64_t(*stride)[WALK_RANK] = dfm_alloc_n(a, n + 1, sizeof *stride);
    int64_t *off = dfm_new_n(a, int64_t, n + 1);
    int64_t **values = dfm_new_n(a, int64_t *, n + 1);
    int64_t size = (int64_t)ir_elems(m, ir_type_at(g, op->args[0]));
    walk w = {.n = n, .stride = stride, .off = off};
    walk_over(m, &w, t);
    for (uint32_t k = 0; k < n; k++) {
        bool coord = k < src->rank;
        tabulated e = tabulate(m, a, t, coord ? v->coords[k] : v->guard[k - src->rank].e);
        memcpy(stride[k], e.stride, sizeof *stride);
        values[k] = e.values;
    }
    uint64_t total = ir_elems(m, op->type);
    for (uint64_t i = 0; i < total; i++, walk_next(&w)) {
        bool in = true;
        int64_t from = 0;
        for (uint32_t k = src->rank; k < n && in; k++) {
            const ir_cond *c = &v->guard[k - src->rank];
            in = values[k][off[k]] >= c->lo && values[k][off[k]] <= c->hi;
        }
        for (uint32_t k = 0; k < src->rank && in; k++)
            from += values[k][off[k]] * stride_of(m, src, (int)k);
        if (in) DFM_ASSERT(from >= 0 && from < size);
        out[i] = in ? x[from] : v->fill;
    }
    dfm_arena_destroy(a);
}

static double red_start(ir_reducer r)
{
    switch (r) {
    case IR_RED_PROD:
    case IR_RED_ALL: return 1;
    case IR_RED_MAX:
    case IR_RED_ARGMAX: return -INFINITY;
    case IR_RED_MIN: return INFINITY;
    default: return 0;
    }
}

static double red_step(ir_reducer r, double acc, double x)
{
    switch (r) {
    case IR_RED_SUM: return acc + x;
    case IR_RED_PROD: return acc * x;
    case IR_RED_MAX: return x > acc || isnan(x) ? x : acc;
    case IR_RED_MIN: return x < acc || isnan(x) ? x : acc;
    case IR_RED_ANY: return acc != 0 || x != 0;
    case IR_RED_ALL: return acc != 0 && x != 0;
    default: return acc;
    }
}

static void eval_argmax(const ir_module *m, const ir_op *op, const ir_type_info *src,
                        const double *x, double *out)
{
    int at = position(src, op->at->reduce.dims[0]);
    int64_t n = ir_extent(m, src->dims[at]), inner = stride_of(m, src, at);
    int64_t outer = (int64_t)ir_elems(m, op->type) / inner;
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < inner; i++) {
            const double *row = x + o * n * inner + i;
            int64_t best = 0;
            for (int64_t k = 1; k < n; k++)
                if (row[k * inner] > row[best * inner]) best = k;
            out[o * inner + i] = (double)best;
        }
}

static void eval_reduce(const ir_module *m, const ir_graph *g, const ir_op *op, const double *x,
                        double *out)
{
    const ir_type_info *t = ir_type_of(m, op->type), *src = arg_type(m, g, op, 0);
    ir_reducer kind = op->at->reduce.kind;
    if (kind == IR_RED_ARGMAX) {
        eval_argmax(m, op, src, x, out);
        return;
    }
    int64_t stride[1][WALK_RANK] = {{0}}, off[1] = {0};
    walk w = {.n = 1, .stride = stride, .off = off};
    walk_over(m, &w, src);
    ir_strides_over(m, t, src, stride[0]);
    uint64_t n = ir_elems(m, ir_type_at(g, op->args[0])), results = ir_elems(m, op->type);
    for (uint64_t i = 0; i < results; i++) out[i] = red_start(kind);
    for (uint64_t i = 0; i < n; i++, walk_next(&w)) out[off[0]] = red_step(kind, out[off[0]], x[i]);
}

void ir_eval_contract(const ir_module *m, const ir_graph *g, const ir_op *op,
                      const double *const *args, double *out)
{
    const ir_type_info *t = ir_type_of(m, op->type);
    const ir_type_info *x = arg_type(m, g, op, 0), *y = arg_type(m, g, op, 1);
    const ir_contract *c = &op->at->contract;
    int64_t stride[3][WALK_RANK] = {{0}}, off[3] = {0};
    walk w = {.n = 3, .stride = stride, .off = off};
    walk_over(m, &w, t);
    ir_type_info xf = *x, yf = *y;           /* without the paired dims, which may share names */
    for (uint32_t i = 0; i < c->n_pairs; i++) {
        xf.dims[position(x, c->pairs[i].a)] = (ir_dim){0};
        yf.dims[position(y, c->pairs[i].b)] = (ir_dim){0};
        uint32_t d = t->rank + i;
        w.extent[d] = ir_extent(m, c->pairs[i].a);
        stride[0][d] = stride_of(m, x, position(x, c->pairs[i].a));
        stride[1][d] = stride_of(m, y, position(y, c->pairs[i].b));
    }
    for (int i = 0; i < t->rank; i++) {
        int ax = position(&xf, t->dims[i]), ay = position(&yf, t->dims[i]);
        stride[0][i] = ax < 0 ? 0 : stride_of(m, x, ax);
        stride[1][i] = ay < 0 ? 0 : stride_of(m, y, ay);
        stride[2][i] = stride_of(m, t, i);
    }
    uint32_t last = t->rank + c->n_pairs - 1;
    uint64_t n = ir_elems(m, op->type);
    for (uint64_t i = 0; i < n; i++) out[i] = 0;
    for (uint32_t i = 0; i < c->n_pairs; i++) n *= (uint64_t)w.extent[t->rank + i];
    int64_t inner = w.extent[last], sx = stride[0][last], sy = stride[1][last];
    w.rank = last;                           /* the last pair is the inner loop */
    for (uint64_t i = 0; i < n / (uint64_t)inner; i++, walk_next(&w)) {
        const double *p = args[0] + off[0], *q = args[1] + off[1];
        double acc = 0;
        for (int64_t k = 0; k < inner; k++) acc += p[k * sx] * q[k * sy];
        out[off[2]] += acc;
    }
}

static int64_t row_index(double x, int64_t extent)
{
    int64_t i = whole(x);
    return i < 0 ? 0 : i >= extent ? extent - 1 : i;
}

/* Gather and scatter_add walk the same space (`rows`: dims of the table with dim replaced by the
 * index's dims). table_off, index_off: what belongs to the current element. */
static walk walk_rows(const ir_module *m, const ir_type_info *table, const ir_type_info *index,
                      const ir_type_info *rows, ir_dim dim, int64_t (*stride)[WALK_RANK],
                      int64_t *off)
{
    walk w = {.n = 2, .stride = stride, .off = off};
    ir_type_info t = *table;
    walk_over(m, &w, rows);
    t.dims[position(table, dim)] = (ir_dim){0};
    for (int i = 0; i < rows->rank; i++) {
        int at = position(&t, rows->dims[i]);
        stride[0][i] = at < 0 ? 0 : stride_of(m, table, at);
    }
    ir_strides_over(m, index, rows, stride[1]);
    return w;
}

static void eval_gather(const ir_module *m, const ir_graph *g, const ir_op *op,
                        const double *const *args, double *out)
{
    const ir_type_info *table = arg_type(m, g, op, 0);
    ir_dim dim = op->at->gather.dim;
    int64_t stride[2][WALK_RANK] = {{0}}, off[2] = {0};
    int64_t step = stride_of(m, table, position(table, dim)), extent = ir_extent(m, dim);
    walk w = walk_rows(m, table, arg_type(m, g, op, 1), ir_type_of(m, op->type), dim, stride, off);
    uint64_t n = ir_elems(m, op->type);
    for (uint64_t i = 0; i < n; i++, walk_next(&w))
        out[i] = args[0][off[0] + step * row_index(args[1][off[1]], extent)];
}

static void eval_scatter(const ir_module *m, const ir_graph *g, const ir_op *op,
                         const double *const *args, double *out)
{
    const ir_type_info *table = ir_type_of(m, op->type);
    ir_dim dim = op->at->gather.dim;
    int64_t stride[2][WALK_RANK] = {{0}}, off[2] = {0};
    int64_t step = stride_of(m, table, position(table, dim)), extent = ir_extent(m, dim);
    walk w = walk_rows(m, table, arg_type(m, g, op, 0), arg_type(m, g, op, 1), dim, stride, off);
    uint64_t n = ir_elems(m, ir_type_at(g, op->args[1])), results = ir_elems(m, op->type);
    for (uint64_t i = 0; i < results; i++) out[i] = 0;
    for (uint64_t i = 0; i < n; i++, walk_next(&w))
        out[off[0] + step * row_index(args[0][off[1]], extent)] += args[1][i];
}

void ir_eval_op(const ir_module *m, const ir_graph *g, const ir_op *op, const double *const *args,
                double *out)
{
    uint64_t n = ir_elems(m, op->type);
    dfm_dtype dt = ir_type_of(m, op->type)->dtype;
    switch (op->kind) {
    case IR_CONST: memcpy(out, op->at->cst.data, n * sizeof *out); return;
    case IR_IOTA:
        for (uint64_t i = 0; i < n; i++) out[i] = (double)i;
        return;
    case IR_MAP: eval_map(m, g, op, args, out); return;
    case IR_CAST:
        for (uint64_t i = 0; i < n; i++) out[i] = cast_one(dt, args[0][i]);
        return;
    case IR_STOP_GRAD: memcpy(out, args[0], n * sizeof *out); return;
    case IR_VIEW: ir_eval_view(m, g, op, args[0], out); return;
    case IR_REDUCE: eval_reduce(m, g, op, args[0], out); return;
    case IR_CONTRACT: ir_eval_contract(m, g, op, args, out); return;
    case IR_GATHER: eval_gather(m, g, op, args, out); return;
    case IR_SCATTER_ADD: eval_scatter(m, g, op, args, out); return;
    default: DFM_ASSERT(!"ir_eval_op: a pure op with one result");
    }
}

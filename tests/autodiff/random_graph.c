/* random_graph.c - random well-typed graphs with a loss, for tests of every level.
 *
 * A graph grows from a few inputs and parameters by steps that each pick an op and operands from
 * a pool of values. Values are kept small by tanh, so that differences stay exact. Extents are 1
 * and primes. Scans have bodies that grow in the same way, two levels deep.
 */
#include "tests/autodiff/random_graph.h"

enum { POOL = FX_POOL, MAX_ELEMS = 300, N_DIMS = 8 };

typedef struct gen {
    fx *f;
    ir_builder b;
    uint32_t n;
    ir_val pool[POOL];
    int depth;                               /* of scans around this graph */
    ir_val iter;                             /* the loop counter, or none */
    bool bf16;                               /* round some values to bf16 */
} gen;

static const struct { const char *name; int64_t extent; } dims[N_DIMS] = {
    {"A", 1}, {"B", 2}, {"C", 3}, {"D", 5}, {"E", 7}, {"F", 3}, {"G", 2}, {"H", 5},
};

static ir_module *mod(gen *g) { return g->f->m; }
static int64_t rnd(gen *g, int64_t lo, int64_t hi) { return fx_int(g->f, lo, hi); }
static ir_dim dim(gen *g, int64_t k) { return fx_dim(g->f, dims[k].name, dims[k].extent); }
static ir_type_info info(gen *g, ir_val v) { return *ir_type_of(mod(g), ir_type_at(g->b.g, v)); }
static ir_val pick(gen *g)                   /* half of the time one of the latest */
{
    int64_t first = g->n > 4 && rnd(g, 0, 1) ? g->n - 4 : 0;
    return g->pool[rnd(g, first, g->n - 1)];
}
static ir_val num(gen *g, double x) { return ir_scalar(&g->b, DFM_F32, x); }
static ir_val f1(gen *g, ir_fn fn, ir_val x) { return ir_map1(&g->b, fn, x); }
static ir_val f2(gen *g, ir_fn fn, ir_val x, ir_val y) { return ir_map2(&g->b, fn, x, y); }
static ir_val calm(gen *g, ir_val x) { return f1(g, IR_FN_TANH, f2(g, IR_FN_MUL, x, num(g, 0.5))); }
static ir_val positive(gen *g, ir_val x)
{
    return f2(g, IR_FN_ADD, f2(g, IR_FN_MUL, x, x), num(g, 0.5));
}

static ir_type random_type(gen *g, int max_rank)
{
    ir_dim d[4];
    int rank = (int)rnd(g, 0, max_rank), n = 0;
    int64_t first = rnd(g, 0, N_DIMS - 1), step = 2 * rnd(g, 0, 3) + 1;
    for (int i = 0; i < rank; i++) d[n++] = dim(g, (first + i * step) % N_DIMS);
    return ir_tensor(mod(g), DFM_F32, d, (uint32_t)n);
}

/* x with type t: summed over what t lacks, broadcast over what x lacks. */
static ir_val coerce(gen *g, ir_val x, ir_type t)
{
    ir_type_info xi = info(g, x);
    ir_dim extra[IR_MAX_RANK];
    uint32_t n = 0;
    for (int i = 0; i < xi.rank; i++)
        if (ir_dim_at(mod(g), t, xi.dims[i]) < 0) extra[n++] = xi.dims[i];
    x = ir_reduce_over(&g->b, IR_RED_SUM, x, extra, n);
    if (n) x = calm(g, x);
    return ir_broadcast(&g->b, ir_cast(&g->b, x, ir_type_of(mod(g), t)->dtype), t);
}

static void keep(gen *g, ir_val v)
{
    ir_type_info t = info(g, v);
    while (ir_elems(mod(g), ir_type_at(g->b.g, v)) > MAX_ELEMS || t.rank > 4) {
        v = calm(g, ir_reduce_over(&g->b, IR_RED_SUM, v, &t.dims[rnd(g, 0, t.rank - 1)], 1));
        t = info(g, v);
    }
    g->pool[g->n < POOL ? g->n++ : (uint32_t)rnd(g, 0, POOL - 1)] = v;
}

/* -- steps ------------------------------------------------------------------------------------- */

static ir_val step_unary(gen *g)
{
    static const ir_fn any[] = {IR_FN_NEG, IR_FN_ABS, IR_FN_SIN, IR_FN_COS, IR_FN_TANH, IR_FN_ERF,
                                IR_FN_SIGMOID, IR_FN_EXPM1, IR_FN_EXP};
    static const ir_fn pos[] = {IR_FN_LOG, IR_FN_LOG1P, IR_FN_SQRT, IR_FN_RSQRT, IR_FN_RECIP};
    ir_val x = pick(g);
    if (rnd(g, 0, 2)) return f1(g, any[rnd(g, 0, DFM_LEN(any) - 1)], x);
    return f1(g, pos[rnd(g, 0, DFM_LEN(pos) - 1)], positive(g, x));
}

static ir_val step_binary(gen *g)
{
    static const ir_fn fns[] = {IR_FN_ADD, IR_FN_SUB, IR_FN_MUL, IR_FN_MUL, IR_FN_MIN, IR_FN_MAX};
    ir_val x = pick(g), y = pick(g);
    switch (rnd(g, 0, 5)) {
    case 0: return f2(g, IR_FN_DIV, x, positive(g, y));
    case 1: return f2(g, IR_FN_POW, positive(g, x), y);
    default: return f2(g, fns[rnd(g, 0, DFM_LEN(fns) - 1)], x, y);
    }
}

static ir_val step_select(gen *g)
{
    ir_dim d = dim(g, rnd(g, 0, N_DIMS - 1));
    ir_val at = ir_scalar(&g->b, DFM_I32, (double)rnd(g, 0, 4)), i = ir_iota(&g->b, d);
    ir_val c = ir_map2(&g->b, rnd(g, 0, 1) ? IR_FN_LT : IR_FN_EQ, i, at);
    return ir_map3(&g->b, IR_FN_SELECT, c, pick(g), pick(g));
}

static ir_val step_reduce(gen *g)
{
    static const ir_reducer r[] = {IR_RED_SUM, IR_RED_SUM, IR_RED_MAX, IR_RED_MIN, IR_RED_PROD};
    ir_val x = pick(g);
    ir_type_info t = info(g, x);
    uint32_t n = 0;
    ir_dim over[IR_MAX_RANK];
    for (int i = 0; i < t.rank; i++)
        if (rnd(g, 0, 1)) over[n++] = t.dims[i];
    return calm(g, ir_reduce_over(&g->b, r[rnd(g, 0, DFM_LEN(r) - 1)], x, over, n));
}

/* Any dims of equal extent may be paired, whatever their names; common others are batch dims. */
static ir_val step_contract(gen *g)
{
    ir_val x = pick(g), y = pick(g);
    ir_type_info tx = info(g, x), ty = info(g, y);
    ir_pair p[IR_MAX_RANK];
    bool used[IR_MAX_RANK] = {false};
    uint32_t n = 0;
    for (int i = 0; i < tx.rank; i++)
        for (int j = 0; j < ty.rank; j++) {
            bool equal = ir_extent(mod(g), tx.dims[i]) == ir_extent(mod(g), ty.dims[j]);
            if (!equal || used[j] || !rnd(g, 0, 1)) continue;
            p[n++] = (ir_pair){tx.dims[i], ty.dims[j]};
            used[j] = true;
            break;
        }
    ir_type at = ir_type_at(g->b.g, x), bt = ir_type_at(g->b.g, y);
    ir_type t = ir_contract_type(mod(g), at, bt, p, n, DFM_F32);
    if (ir_elems(mod(g), t) > 2000) return x;
    return calm(g, ir_contract_over(&g->b, x, y, p, n, t));
}

static ir_ix random_ix(gen *g, const ir_type_info *t)
{
    ir_module *m = mod(g);
    ir_ix e = ir_ix_const(m, rnd(g, -2, 2));
    for (int i = 0; i < t->rank; i++) {
        ir_ix v = ir_ix_var(m, t->dims[i]);
        switch (rnd(g, 0, 6)) {
        case 0: e = ir_ix_add(m, e, v); break;
        case 1: e = ir_ix_add(m, e, ir_ix_mul(m, v, rnd(g, -1, 3))); break;
        case 2: e = ir_ix_add(m, e, ir_ix_div(m, v, 2)); break;
        case 3: e = ir_ix_add(m, e, ir_ix_mod(m, v, 3)); break;
        default: break;
        }
    }
    return e;
}

static ir_val step_view(gen *g)
{
    ir_module *m = mod(g);
    ir_val x = pick(g);
    ir_type_info src = info(g, x);
    ir_type t = random_type(g, 3);
    if (rnd(g, 0, 1)) t = ir_union(m, DFM_F32, t, ir_type_at(g->b.g, x));
    t = ir_with_dtype(m, t, src.dtype);
    if (ir_elems(m, t) > 1000) return x;
    ir_type_info res = *ir_type_of(m, t);
    ir_ix coords[IR_MAX_RANK];
    ir_cond guard[IR_MAX_RANK];
    uint32_t n = 0;
    for (int i = 0; i < src.rank; i++) {
        int64_t hi = ir_extent(m, src.dims[i]) - 1;
        if (ir_dim_at(m, t, src.dims[i]) >= 0 && rnd(g, 0, 2)) {
            coords[i] = ir_ix_var(m, src.dims[i]);
            continue;
        }
        coords[i] = random_ix(g, &res);
        if (rnd(g, 0, 1)) guard[n++] = (ir_cond){coords[i], 0, hi};
        else coords[i] = ir_ix_clamp(m, coords[i], 0, hi);
    }
    return ir_view_of(&g->b, x, t, coords, guard, n, 0);
}

/* Indices are constants (a table) or an input. */
static ir_val random_index(gen *g, ir_type t, int64_t extent)
{
    if (!g->depth && rnd(g, 0, 1) && g->f->n_inputs < FX_MAX)
        return fx_input(g->f, t, -1, (double)extent);
    uint64_t n = ir_elems(mod(g), t);
    double *data = dfm_new_n(g->f->a, double, n);
    for (uint64_t i = 0; i < n; i++) data[i] = (double)rnd(g, -1, extent);
    return ir_table(&g->b, t, data);
}

static ir_val step_gather(gen *g)
{
    ir_val x = pick(g);
    ir_type_info t = info(g, x);
    if (!t.rank) return x;
    ir_dim d = t.dims[rnd(g, 0, t.rank - 1)];
    ir_type it = ir_with_dtype(mod(g), random_type(g, 2), DFM_I32);
    return ir_gather_rows(&g->b, x, d, random_index(g, it, ir_extent(mod(g), d)));
}

static ir_val step_scatter(gen *g)
{
    ir_module *m = mod(g);
    ir_type t = random_type(g, 3), it = ir_with_dtype(m, random_type(g, 2), DFM_I32);
    ir_type_info ti = *ir_type_of(m, t);
    if (!ti.rank) return pick(g);
    ir_dim d = ti.dims[rnd(g, 0, ti.rank - 1)];
    if (ir_dim_at(m, it, d) >= 0) return pick(g);
    ir_type rows = ir_union(m, DFM_F32, it, ir_without_dims(m, t, &d, 1));
    if (ir_elems(m, rows) > 1000) return pick(g);
    ir_val index = random_index(g, it, ir_extent(m, d));
    return calm(g, ir_scatter_add_rows(&g->b, index, coerce(g, pick(g), rows), d, t));
}

static ir_val step_attend(gen *g)
{
    ir_module *m = mod(g);
    bool batch = rnd(g, 0, 1), self = rnd(g, 0, 2) == 0;
    ir_dim s = dim(g, 3), t = self ? s : dim(g, 4), f = dim(g, 2), v = rnd(g, 0, 1) ? f : dim(g, 6);
    ir_dim b = dim(g, 1);
    ir_dim qd[3] = {b, s, f}, kd[3] = {b, t, f}, vd[3] = {b, t, v};
    if (v.i == b.i) return pick(g);
    uint32_t skip_batch = !batch, n = 3 - skip_batch;
    ir_val q = coerce(g, pick(g), ir_tensor(m, DFM_F32, qd + skip_batch, n));
    ir_val k = coerce(g, pick(g), ir_tensor(m, DFM_F32, kd + skip_batch, n));
    ir_val x = coerce(g, pick(g), ir_tensor(m, DFM_F32, vd + skip_batch, n));
    ir_attend at = {.seq = s, .over = t, .feature = f, .value = v, .scale = 0.6,
                    .causal = rnd(g, 0, 3) == 0, .window = rnd(g, 0, 3) ? 0 : 3};
    ir_val tuple = ir_attend_fwd(&g->b, q, k, x, (ir_val){0}, &at);
    return rnd(g, 0, 4) ? ir_get(&g->b, tuple, 0) : calm(g, ir_get(&g->b, tuple, 1));
}

static ir_val step_draw(gen *g)
{
    ir_random at = {.dist = rnd(g, 0, 1) ? IR_NORMAL : IR_UNIFORM};
    at.stream = (uint64_t)rnd(g, 1, 9);
    ir_val x = pick(g);
    ir_val r = ir_random_draw(&g->b, ir_type_at(g->b.g, x), &at, &g->iter, g->iter.i ? 1 : 0);
    return calm(g, f2(g, IR_FN_MUL, x, r));
}

/* The same random numbers are used with and without bf16, so that the graphs correspond. */
static ir_val step_half(gen *g)
{
    ir_val x = pick(g);
    return g->bf16 ? ir_cast(&g->b, x, DFM_BF16) : x;
}

static ir_val step_scan(gen *g);

static void grow(gen *g, int steps)
{
    while (steps-- > 0) {
        ir_val v;
        switch (rnd(g, 0, 15)) {
        case 0: case 1: case 2: v = step_unary(g); break;
        case 3: case 4: case 5: v = step_binary(g); break;
        case 6: v = step_select(g); break;
        case 7: v = step_reduce(g); break;
        case 8: v = step_contract(g); break;
        case 9: case 10: v = step_view(g); break;
        case 11: v = step_gather(g); break;
        case 12: v = step_scatter(g); break;
        case 13: v = step_attend(g); break;
        case 14: v = rnd(g, 0, 2) ? step_half(g) : step_draw(g); break;
        default: v = g->depth < 2 ? step_scan(g) : step_unary(g); break;
        }
        keep(g, rnd(g, 0, 3) ? v : calm(g, v));
    }
}

/* -- scans ------------------------------------------------------------------------------------ */

static ir_val step_scan(gen *g)
{
    ir_module *m = mod(g);
    static const int64_t trips[] = {1, 2, 3};
    int64_t trip = trips[rnd(g, 0, 2)];
    ir_dim loop = fx_dim(g->f, dfm_fmt(g->f->a, "L%d_%lld", g->depth, (long long)trip), trip);
    ir_scan at = {.loop = loop, .n_carry = (uint32_t)rnd(g, 0, 2), .n_xs = (uint32_t)rnd(g, 0, 2),
                  .n_caps = (uint32_t)rnd(g, 0, 2), .reverse = rnd(g, 0, 1)};
    at.n_ys = (uint32_t)rnd(g, at.n_carry ? 0 : 1, 2);
    if (!(at.n_carry + at.n_xs + at.n_caps)) return pick(g);
    ir_val args[6];
    uint32_t n = 0;
    gen in = {.f = g->f, .depth = g->depth + 1, .bf16 = g->bf16};
    in.b = fx_body(g->f, "body", &at.body);
    in.iter = fx_formal(&in.b, ir_tensor(m, DFM_I32, NULL, 0));
    for (uint32_t k = 0; k < at.n_carry + at.n_xs + at.n_caps; k++) {
        bool xs = k >= at.n_carry && k < at.n_carry + at.n_xs;
        ir_val x = pick(g);
        ir_type t = ir_type_at(g->b.g, x), own = ir_without_dims(m, t, &loop, 1);
        if (k < at.n_carry) x = coerce(g, x, own);
        dfm_dtype dt = ir_type_of(m, t)->dtype;
        if (xs) x = coerce(g, x, ir_union(m, dt, ir_tensor(m, dt, &loop, 1), own));
        args[n++] = x;
        in.pool[in.n++] = fx_formal(&in.b, xs || k < at.n_carry ? own : t);
    }
    ir_type carry[2];
    for (uint32_t k = 0; k < at.n_carry; k++) carry[k] = ir_type_at(in.b.g, in.pool[k]);
    grow(&in, (int)rnd(g, 2, 6));
    for (uint32_t k = 0; k < at.n_carry; k++) {
        ir_val next = rnd(g, 0, 4) ? in.pool[in.n - 1 - rnd(g, 0, in.n - 1) / 2] : pick(&in);
        ir_result_add(&in.b, coerce(&in, calm(&in, next), carry[k]), "carry");
    }
    for (uint32_t k = 0; k < at.n_ys; k++) {
        ir_val y = pick(&in);
        ir_type t = ir_without_dims(m, ir_type_at(in.b.g, y), &loop, 1);
        ir_result_add(&in.b, coerce(&in, y, t), "y");
    }
    ir_val s = ir_scan_over(&g->b, &at, args, n);
    for (uint32_t k = 0; k + 1 < at.n_carry + at.n_ys; k++)
        if (rnd(g, 0, 2)) keep(g, ir_get(&g->b, s, k));
    return ir_get(&g->b, s, at.n_carry + at.n_ys - 1);
}

/* -- graphs ----------------------------------------------------------------------------------- */

fx *fx_random_graph(uint64_t seed, bool bf16, ir_val *pool, uint32_t *n_pool)
{
    fx *f = fx_new(seed);
    gen g = {.f = f, .b = f->b, .bf16 = bf16};
    int n = (int)rnd(&g, 1, 3);
    for (int k = 0; k < n; k++)
        keep(&g, fx_input(f, random_type(&g, 3), -1, 1));
    ir_param p = {.path = dfm_intern(f->names, "w"), .type = random_type(&g, 3), .trainable = true};
    f->param[0] = dfm_new_n(f->a, double, ir_elems(f->m, p.type));
    for (uint64_t i = 0; i < ir_elems(f->m, p.type); i++) f->param[0][i] = fx_uniform(f, -1, 1);
    dfm_push(f->a, &f->m->params, p);
    keep(&g, ir_param_ref(&g.b, 0));
    grow(&g, (int)rnd(&g, 3, 12));
    for (uint32_t k = g.n > 6 ? g.n - 6 : 0; k < g.n; k++) fx_loss(f, g.pool[k]);
    f->tolerance = 1e-5;
    if (pool) {
        for (uint32_t k = 0; k < g.n; k++) pool[k] = g.pool[k];
        *n_pool = g.n;
    }
    return f;
}

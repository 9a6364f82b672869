/* ir_random_graph.c - random well-typed graphs and how to run them. */
#include "tests/ir/ir_testing.h"

#include <stdio.h>
#include <stdlib.h>

#include "runtime/base/hash.h"

world world_make(void)
{
    world w = {.a = dfm_arena_create("test")};
    w.names = dfm_names_create(w.a);
    w.m = ir_module_create(w.a, w.names);
    w.g = ir_graph_create(w.m, "main", NULL);
    w.b = (ir_builder){.m = w.m, .g = w.g};
    return w;
}

void world_free(world *w)
{
    dfm_arena_destroy(w->a);
}

ir_dim dim(world *w, const char *name, int64_t extent)
{
    return ir_dim_new(w->m, dfm_intern(w->names, name), extent, (dfm_loc){0});
}

ir_type tensor(world *w, dfm_dtype dt, uint32_t n, ...)
{
    ir_dim dims[IR_MAX_RANK];
    va_list ap;
    va_start(ap, n);
    for (uint32_t i = 0; i < n; i++) dims[i] = va_arg(ap, ir_dim);
    va_end(ap);
    return ir_tensor(w->m, dt, dims, n);
}

ir_val input(world *w, const char *name, ir_type t)
{
    return ir_input_new(&w->b, t, IR_ROLE_FORMAL, w->b.g->inputs.n, name);
}

ir_val scalar(world *w, double x)
{
    return ir_scalar(&w->b, DFM_F32, x);
}

uint32_t roll(uint64_t *s)
{
    *s = *s * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*s >> 33);
}

int64_t roll_in(uint64_t *s, int64_t lo, int64_t hi)
{
    return lo + (int64_t)(roll(s) % (uint64_t)(hi - lo + 1));
}

/* -- running --------------------------------------------------------------------------------- */

static double *values(const ir_module *m, const char *name, ir_type t)
{
    uint64_t seed = dfm_hash64(name, strlen(name), 1), n = ir_elems(m, t);
    double *out = dfm_new_n(m->arena, double, n);
    for (uint64_t i = 0; i < n; i++) {
        uint32_t r = roll(&seed);
        switch (ir_type_of(m, t)->dtype) {
        case DFM_BOOL: out[i] = r & 1; break;
        case DFM_I32: out[i] = r % 4; break;
        default: out[i] = (double)(int32_t)(r % 4001 - 2000u) / 1000; break;
        }
        if (name[0] == 'k') out[i] = strtod(name + 1, NULL);
    }
    return out;
}

double *value_of(world *w, const char *name, ir_type t)
{
    return values(w->m, name, t);
}

static const double *random_values(void *user, const ir_module *m, const ir_graph *g, ir_val v)
{
    const ir_op *op = ir_op_of(g, v);
    if (op->kind == IR_RANDOM) return NULL;
    const char *name = op->kind == IR_PARAM
                           ? dfm_name_str(m->names, m->params.p[op->at->param].path)
                           : dfm_name_str(m->names, op->at->input.name);
    return values(m, name, op->type);
}

ir_env random_env(void)
{
    return (ir_env){.seed = 7, .step = 3, .lookup = random_values};
}

const double **run(world *w, const ir_graph *g)
{
    ir_env env = random_env();
    dfm_err err = {0};
    const double **out = dfm_new_n(w->a, const double *, g->results.n);
    if (ir_interpret(w->m, g, &env, w->a, out, &err) != DFM_OK) fail_msg("%s", err.text);
    return out;
}

static void show(world *w, const ir_graph *g, const char *what)
{
    dfm_sb sb = dfm_sb_make(w->a);
    ir_print_graph(&sb, w->m, g);
    fprintf(stderr, "-- %s\n%s", what, dfm_sb_cstr(&sb));
}

void same_results(world *w, const ir_graph *x, const ir_graph *y, double tol)
{
    assert_int_equal(x->results.n, y->results.n);
    const double **p = run(w, x), **q = run(w, y);
    for (uint32_t k = 0; k < x->results.n; k++) {
        ir_type t = ir_type_at(x, x->results.p[k].val);
        double top = 0, worst = 0;
        assert_int_equal(t.i, ir_type_at(y, y->results.p[k].val).i);
        for (uint64_t i = 0; i < ir_elems(w->m, t); i++) {
            bool equal = p[k][i] == q[k][i] || (isnan(p[k][i]) && isnan(q[k][i]));
            if (!equal && !(fabs(p[k][i] - q[k][i]) <= worst)) worst = fabs(p[k][i] - q[k][i]);
            if (isfinite(p[k][i]) && fabs(p[k][i]) > top) top = fabs(p[k][i]);
        }
        if (worst == 0 || worst <= tol * top) continue;
        show(w, x, "first");
        show(w, y, "second");
        fail_msg("result %u differs by %g of %g", k, worst, top);
    }
}

/* -- generation ------------------------------------------------------------------------------ */

typedef struct gen {
    world *w;
    ir_builder *b;
    uint64_t *s;
    ir_dim dims[6];
    DFM_VEC(ir_val) vals; /* tensors made so far */
} gen;

static const ir_type_info *type_of(gen *x, ir_val v)
{
    return ir_type_of(x->w->m, ir_type_at(x->b->g, v));
}

static ir_val keep(gen *x, ir_val v)
{
    dfm_push(x->w->a, &x->vals, v);
    return v;
}

/* A value of a dtype class ('f' float, 'i' i32, 'b' bool), {0} if there is none. */
static ir_val pick(gen *x, char cls)
{
    for (int tries = 0; tries < 40; tries++) {
        ir_val v = x->vals.p[roll(x->s) % x->vals.n];
        dfm_dtype dt = type_of(x, v)->dtype;
        char c = dfm_dtype_is_float(dt) ? 'f' : dt == DFM_I32 ? 'i' : 'b';
        if (c == cls) return v;
    }
    return (ir_val){0};
}

static ir_type random_type(gen *x, dfm_dtype dt)
{
    ir_dim dims[6];
    uint32_t n = 0;
    for (uint32_t i = 0; i < 6; i++)
        if (roll(x->s) % 3 == 0 && n < 3) dims[n++] = x->dims[i];
    return ir_tensor(x->w->m, dt, dims, n);
}

static bool fits(gen *x, ir_type t)
{
    return ir_elems(x->w->m, t) <= 3000;
}

static ir_val gen_map(gen *x)
{
    static const ir_fn safe[] = {IR_FN_NEG,     IR_FN_ABS, IR_FN_SIGN, IR_FN_TANH,  IR_FN_ERF,
                                 IR_FN_SIGMOID, IR_FN_SIN, IR_FN_COS,  IR_FN_FLOOR, IR_FN_ADD,
                                 IR_FN_SUB,     IR_FN_MUL, IR_FN_MIN,  IR_FN_MAX,   IR_FN_LT,
                                 IR_FN_LE,      IR_FN_AND, IR_FN_OR,   IR_FN_NOT,   IR_FN_SELECT,
                                 IR_FN_DIV,     IR_FN_MOD};
    ir_fn fn = safe[roll(x->s) % DFM_LEN(safe)];
    char cls = ir_fn_class_of(fn) == IR_LOGIC                          ? 'b'
               : ir_fn_class_of(fn) != IR_FLOAT && roll(x->s) % 3 == 0 ? 'i'
                                                                       : 'f';
    bool divides = fn == IR_FN_DIV || fn == IR_FN_MOD;
    ir_val a[3] = {pick(x, cls), pick(x, cls), pick(x, cls)};
    uint32_t n = ir_fn_arity(fn);
    if (fn == IR_FN_SELECT) a[0] = pick(x, 'b');
    if (divides) /* by a constant: quotients stay away from zero */
        a[1] = ir_scalar(x->b, cls == 'i' ? DFM_I32 : DFM_F32, (double)roll_in(x->s, 1, 5));
    for (uint32_t k = 0; k < n; k++)
        if (!a[k].i) return (ir_val){0};
    uint64_t elems = 1;
    for (uint32_t k = 0; k < n; k++) elems *= ir_elems(x->w->m, ir_type_at(x->b->g, a[k]));
    if (elems > 200000) return (ir_val){0};
    ir_val v = n == 1   ? ir_map1(x->b, fn, a[0])
               : n == 2 ? ir_map2(x->b, fn, a[0], a[1])
                        : ir_map3(x->b, fn, a[0], a[1], a[2]);
    return fits(x, ir_type_at(x->b->g, v)) ? v : (ir_val){0};
}

static ir_val gen_view(gen *x)
{
    ir_val v = x->vals.p[roll(x->s) % x->vals.n];
    ir_type_info src = *type_of(x, v);
    ir_type t = random_type(x, src.dtype);
    const ir_type_info *ti = ir_type_of(x->w->m, t);
    ir_module *m = x->w->m;
    ir_ix coords[IR_MAX_RANK];
    ir_cond guard[IR_MAX_RANK];
    uint32_t n = 0;
    for (int i = 0; i < src.rank; i++) {
        int64_t ext = ir_extent(m, src.dims[i]);
        ir_ix e = ir_ix_const(m, roll_in(x->s, -1, ext));
        for (int k = 0; k < ti->rank; k++)
            if (roll(x->s) % 2)
                e = ir_ix_add(m, e, ir_ix_mul(m, ir_ix_var(m, ti->dims[k]), roll_in(x->s, -2, 3)));
        switch (roll(x->s) % 4) {
        case 0: e = ir_ix_mod(m, e, ext); break;
        case 1: e = ir_ix_clamp(m, ir_ix_div(m, e, roll_in(x->s, 1, 3)), 0, ext - 1); break;
        default: guard[n++] = (ir_cond){e, 0, ext - 1}; break;
        }
        coords[i] = e;
    }
    return ir_view_of(x->b, v, t, coords, guard, n, roll(x->s) % 2);
}

static ir_val gen_reduce(gen *x)
{
    static const ir_reducer kinds[] = {IR_RED_SUM, IR_RED_MAX, IR_RED_MIN, IR_RED_PROD};
    ir_val v = x->vals.p[roll(x->s) % x->vals.n];
    const ir_type_info *t = type_of(x, v);
    ir_dim dims[IR_MAX_RANK];
    uint32_t n = 0;
    for (int i = 0; i < t->rank; i++)
        if (roll(x->s) % 2) dims[n++] = t->dims[i];
    if (!n) return (ir_val){0};
    if (t->dtype == DFM_BOOL)
        return ir_reduce_over(x->b, roll(x->s) % 2 ? IR_RED_ANY : IR_RED_ALL, v, dims, n);
    if (roll(x->s) % 5 == 0) return ir_reduce_over(x->b, IR_RED_ARGMAX, v, dims, 1);
    return ir_reduce_over(x->b, kinds[roll(x->s) % 4], v, dims, n);
}

static ir_val gen_contract(gen *x)
{
    ir_val a = pick(x, 'f'), c = pick(x, 'f');
    ir_pair pairs[IR_MAX_RANK];
    uint32_t n = 0;
    if (!a.i || !c.i) return (ir_val){0};
    const ir_type_info *t = type_of(x, a), *u = type_of(x, c);
    bool used[IR_MAX_RANK] = {0};
    for (int i = 0; i < t->rank; i++)
        for (int k = 0; k < u->rank; k++) {
            if (used[k] || ir_extent(x->w->m, t->dims[i]) != ir_extent(x->w->m, u->dims[k])
                || roll(x->s) % 3 == 0)
                continue;
            pairs[n++] = (ir_pair){t->dims[i], u->dims[k]};
            used[k] = true;
            break;
        }
    if (!n) return (ir_val){0};
    ir_type r = ir_contract_type(x->w->m, ir_type_at(x->b->g, a), ir_type_at(x->b->g, c), pairs, n,
                                 DFM_F32);
    return fits(x, r) ? ir_contract_over(x->b, a, c, pairs, n, r) : (ir_val){0};
}

static ir_val gen_rows(gen *x)
{
    ir_val table = pick(x, 'f'), index = pick(x, 'i');
    if (!table.i || !index.i || !type_of(x, table)->rank) return (ir_val){0};
    ir_dim d = type_of(x, table)->dims[roll(x->s) % type_of(x, table)->rank];
    uint64_t n = ir_elems(x->w->m, ir_type_at(x->b->g, table))
                 * ir_elems(x->w->m, ir_type_at(x->b->g, index));
    if (n > 3000) return (ir_val){0};
    ir_val rows = ir_gather_rows(x->b, table, d, index);
    if (roll(x->s) % 2) return rows;
    return ir_scatter_add_rows(x->b, index, rows, d, ir_type_at(x->b->g, table));
}

static ir_val gen_cast(gen *x)
{
    static const dfm_dtype to[] = {DFM_F32, DFM_BF16, DFM_F64, DFM_I32};
    ir_val v = x->vals.p[roll(x->s) % x->vals.n];
    return ir_cast(x->b, v, to[roll(x->s) % DFM_LEN(to)]);
}

static ir_val gen_op(gen *x)
{
    switch (roll(x->s) % 10) {
    case 0:
    case 1:
    case 2:
    case 3: return gen_map(x);
    case 4:
    case 5: return gen_view(x);
    case 6: return gen_reduce(x);
    case 7: return gen_contract(x);
    case 8: return gen_rows(x);
    default: return gen_cast(x);
    }
}

static void gen_leaves(gen *x)
{
    static const dfm_dtype dts[] = {DFM_F32, DFM_BF16, DFM_F32, DFM_I32, DFM_BOOL};
    for (uint32_t i = 0; i < DFM_LEN(dts); i++) {
        ir_type t = random_type(x, dts[i]);
        keep(x, ir_input_new(x->b, t, IR_ROLE_FORMAL, i, dfm_fmt(x->w->a, "in%u", i)));
    }
    static const struct {
        const char *name;
        dfm_dtype dt;
    } constants[] = {
        {"k0", DFM_F32},  {"k1", DFM_F32}, {"k-1", DFM_F32}, {"k2", DFM_BF16},
        {"k1", DFM_BOOL}, {"k0", DFM_I32}, {"k3", DFM_I32},  {"k-0.5", DFM_F32},
    };
    for (uint32_t i = 0; i < DFM_LEN(constants); i++)
        keep(x, ir_input_new(x->b, ir_tensor(x->w->m, constants[i].dt, NULL, 0), IR_ROLE_FORMAL,
                             10 + i, constants[i].name));
    keep(x, ir_iota(x->b, x->dims[roll(x->s) % 6]));
    keep(x, ir_scalar(x->b, DFM_F32, (double)roll_in(x->s, -2, 2)));
    ir_type t = random_type(x, DFM_F32);
    double *data = dfm_new_n(x->w->a, double, ir_elems(x->w->m, t));
    for (uint64_t i = 0; i < ir_elems(x->w->m, t); i++) data[i] = (double)roll_in(x->s, -9, 9) / 4;
    keep(x, ir_table(x->b, t, data));
}

/* A scan over a random dim whose carry, xs, captures and ys all have something to do. */
static ir_val gen_scan(gen *x)
{
    ir_val carry = pick(x, 'f'), cap = pick(x, 'f'), xs = {0};
    if (!carry.i || !cap.i) return (ir_val){0};
    ir_scan at = {.n_carry = 2, .n_xs = 1, .n_caps = 2, .n_ys = 2, .reverse = roll(x->s) % 2};
    for (uint32_t i = 0; i < x->vals.n && !xs.i; i++)
        if (type_of(x, x->vals.p[i])->rank && dfm_dtype_is_float(type_of(x, x->vals.p[i])->dtype))
            xs = x->vals.p[i];
    if (!xs.i) return xs;
    at.loop = type_of(x, xs)->dims[0];
    ir_type tc = ir_type_at(x->b->g, carry), tx = ir_type_at(x->b->g, xs);
    if (ir_dim_at(x->w->m, tc, at.loop) >= 0) return (ir_val){0};
    ir_builder b = {.m = x->w->m, .g = ir_graph_create(x->w->m, "body", &at.body)};
    ir_val f[6];
    f[0] = ir_input_new(&b, ir_tensor(x->w->m, DFM_I32, NULL, 0), IR_ROLE_BODY, 0, "iter");
    f[1] = ir_input_new(&b, tc, IR_ROLE_BODY, 1, "c");
    f[2] = ir_input_new(&b, tc, IR_ROLE_BODY, 2, "idle");
    f[3] = ir_input_new(&b, ir_without_dims(x->w->m, tx, &at.loop, 1), IR_ROLE_BODY, 3, "x");
    f[4] = ir_input_new(&b, ir_type_at(x->b->g, cap), IR_ROLE_BODY, 4, "k");
    f[5] = ir_input_new(&b, tc, IR_ROLE_BODY, 5, "k2");
    ir_type_info all = *ir_type_of(x->w->m, ir_type_at(b.g, f[4]));
    ir_val k = ir_reduce_over(&b, IR_RED_SUM, f[4], all.dims, all.rank);
    all = *ir_type_of(x->w->m, ir_type_at(b.g, f[3]));
    ir_val s = ir_reduce_over(&b, IR_RED_SUM, f[3], all.dims, all.rank);
    ir_val step =
        ir_map1(&b, IR_FN_TANH,
                ir_map2(&b, IR_FN_ADD, ir_map2(&b, IR_FN_MUL, s, k), ir_cast(&b, f[0], DFM_F32)));
    ir_val next = ir_map2(&b, IR_FN_ADD, ir_map2(&b, IR_FN_SUB, f[1], step), f[5]);
    ir_result_add(&b, ir_cast(&b, next, ir_type_of(x->w->m, tc)->dtype), "c");
    ir_result_add(&b, f[2], "idle");
    ir_result_add(&b, ir_map2(&b, IR_FN_MUL, next, f[2]), "y");
    ir_result_add(&b, step, "z");
    ir_val args[5] = {carry, carry, xs, cap, carry};
    ir_val v = ir_scan_over(x->b, &at, args, 5);
    ir_val y = ir_get(x->b, v, 2);
    if (!fits(x, ir_type_at(x->b->g, y))) return (ir_val){0};
    keep(x, y);
    if (roll(x->s) % 2) keep(x, ir_get(x->b, v, 3));
    if (roll(x->s) % 2) keep(x, ir_get(x->b, v, 1));
    return ir_get(x->b, v, 0);
}

ir_graph *random_graph(world *w, uint64_t *seed, uint32_t n, int flags)
{
    static const int64_t extents[] = {1, 2, 3, 4, 3, 6};
    static const char *const names[] = {"U", "A", "B", "C", "D", "E"};
    ir_builder b = {.m = w->m, .g = ir_graph_create(w->m, "random", NULL)};
    gen x = {.w = w, .b = &b, .s = seed};
    for (uint32_t i = 0; i < 6; i++) x.dims[i] = dim(w, names[i], extents[i]);
    gen_leaves(&x);
    for (uint32_t i = 0; i < n; i++) {
        ir_val v = (flags & RG_SCANS) && i % 8 == 4 ? gen_scan(&x) : gen_op(&x);
        if (v.i) keep(&x, flags & RG_BARRIERS ? ir_stop_grad(&b, v) : v);
    }
    for (uint32_t i = 0; i < 3; i++) {
        char name[8];
        snprintf(name, sizeof name, "r%u", i);
        ir_result_add(&b, x.vals.p[x.vals.n - 1 - i * 2 % x.vals.n], name);
    }
    dfm_err err = {0};
    if (ir_verify(w->m, &err) != DFM_OK) {
        show(w, b.g, "broken");
        fail_msg("%s", err.text);
    }
    return b.g;
}

/* check.c - gradients against central differences of the float64 interpreter. */
#include "tests/autodiff/check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

fx *fx_new(uint64_t seed)
{
    dfm_arena *a = dfm_arena_create("test");
    fx *f = dfm_new(a, fx);
    f->a = a;
    f->tmp = dfm_arena_create("evaluation");
    f->names = dfm_names_create(a);
    f->m = ir_module_create(a, f->names);
    f->b = (ir_builder){.m = f->m, .g = ir_graph_create(f->m, "loss", NULL)};
    f->rng = seed * 0x9e3779b97f4a7c15u + 1;
    f->tolerance = 2e-6;
    f->h = 1e-5;
    return f;
}

void fx_free(fx *f)
{
    dfm_arena_destroy(f->tmp);
    dfm_arena_destroy(f->a);
}

static uint64_t next(fx *f)                  /* splitmix64 */
{
    uint64_t z = f->rng += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

double fx_uniform(fx *f, double lo, double hi)
{
    return lo + (hi - lo) * (double)(next(f) >> 11) * 0x1p-53;
}

int64_t fx_int(fx *f, int64_t lo, int64_t hi)
{
    return lo + (int64_t)(next(f) % (uint64_t)(hi - lo + 1));
}

/* -- types and inputs ------------------------------------------------------------------------- */

ir_dim fx_dim(fx *f, const char *name, int64_t extent)
{
    return ir_dim_new(f->m, dfm_intern(f->names, name), extent, (dfm_loc){0});
}

ir_type fx_type(fx *f, dfm_dtype dt, const char *dims)
{
    ir_dim d[IR_MAX_RANK];
    uint32_t n = 0;
    while (*dims) {
        size_t len = strcspn(dims, "=,");
        dfm_name name = dfm_intern_n(f->names, dims, len);
        dims += len;
        char *end = (char *)dims;
        int64_t extent = *dims == '=' ? strtol(dims + 1, &end, 10) : 0;
        d[n] = ir_dim_find(f->m, name);      /* aliases are found, too */
        if (!d[n].i || (extent && ir_extent(f->m, d[n]) != extent))
            d[n] = ir_dim_new(f->m, name, extent, (dfm_loc){0});
        assert_true(d[n++].i != 0);
        dims = *end == ',' ? end + 1 : end;
    }
    return ir_tensor(f->m, dt, d, n);
}

static double *random_data(fx *f, ir_type t, double lo, double hi)
{
    uint64_t n = ir_elems(f->m, t);
    dfm_dtype dt = ir_type_of(f->m, t)->dtype;
    double *x = dfm_new_n(f->a, double, n);
    for (uint64_t i = 0; i < n; i++)
        x[i] = dt == DFM_BOOL ? (double)(fx_int(f, 0, 1))
             : dfm_dtype_is_float(dt) ? fx_uniform(f, lo, hi)
                                      : (double)fx_int(f, (int64_t)lo, (int64_t)hi);
    return x;
}

ir_val fx_input(fx *f, ir_type t, double lo, double hi)
{
    assert_true(f->n_inputs < FX_MAX);
    uint32_t k = f->n_inputs++;
    f->data[k] = random_data(f, t, lo, hi);
    return f->input[k] = ir_input_new(&f->b, t, IR_ROLE_FORMAL, k, dfm_fmt(f->a, "x%u", k));
}

ir_val fx_f32(fx *f, const char *dims) { return fx_input(f, fx_type(f, DFM_F32, dims), -1, 1); }

double *fx_data(fx *f, ir_val input)
{
    for (uint32_t k = 0; k < f->n_inputs; k++)
        if (ir_same(f->input[k], input)) return f->data[k];
    return NULL;
}

ir_val fx_param(fx *f, const char *path, const char *dims)
{
    ir_param p = {.path = dfm_intern(f->names, path), .type = fx_type(f, DFM_F32, dims),
                  .trainable = true, .init = IR_INIT_ZEROS};
    uint32_t k = f->m->params.n;
    dfm_push(f->a, &f->m->params, p);
    f->param[k] = random_data(f, p.type, -1, 1);
    return ir_param_ref(&f->b, k);
}

/* -- loss ------------------------------------------------------------------------------------ */

ir_val fx_weigh(fx *f, ir_val v)
{
    ir_type_info t = *ir_type_of(f->m, ir_type_at(f->b.g, v));
    ir_type wt = ir_tensor(f->m, DFM_F32, t.dims, t.rank);
    ir_val w = ir_table(&f->b, wt, random_data(f, wt, 0.5, 1.5));
    ir_val x = ir_map2(&f->b, IR_FN_MUL, v, w);
    return ir_reduce_over(&f->b, IR_RED_SUM, x, t.dims, t.rank);
}

void fx_loss(fx *f, ir_val v)
{
    ir_val s = fx_weigh(f, v);
    if (f->b.g->results.n) {
        s = ir_map2(&f->b, IR_FN_ADD, f->b.g->results.p[0].val, s);
        f->b.g->results.n = 0;
    }
    ir_result_add(&f->b, s, "loss");
}

/* -- evaluation ------------------------------------------------------------------------------- */

static const double *lookup(void *user, const ir_module *m, const ir_graph *g, ir_val v)
{
    const fx *f = user;
    const ir_op *op = ir_op_of(g, v);
    if (op->kind == IR_PARAM) return f->param[op->at->param];
    if (op->kind == IR_INPUT) return f->data[op->at->input.index];
    return NULL;
}

static const double **run(fx *f, const ir_graph *g, dfm_arena *a)
{
    ir_env env = {.round = IR_EXACT, .seed = 5, .lookup = lookup, .user = f};
    dfm_err err = {0};
    const double **out = dfm_new_n(a, const double *, g->results.n);
    if (ir_interpret(f->m, g, &env, a, out, &err) != DFM_OK) {
        print_error("%s\n", err.text);
        fail();
    }
    return out;
}

double *fx_eval(fx *f, const ir_graph *g, uint32_t k)
{
    const double *x = run(f, g, f->tmp)[k];
    uint64_t n = ir_elems(f->m, ir_type_at(g, g->results.p[k].val));
    double *own = dfm_dup(f->a, x, n * sizeof *x);
    dfm_arena_reset(f->tmp);
    return own;
}

static double loss_of(fx *f)
{
    double x = run(f, f->b.g, f->tmp)[0][0];
    dfm_arena_reset(f->tmp);
    return x;
}

static void show(fx *f, const ir_graph *g)
{
    dfm_sb sb = dfm_sb_make(f->a);
    for (uint32_t k = 1; k < f->m->graphs.n; k++)
        if (f->m->graphs.p[k] != g) ir_print_graph(&sb, f->m, f->m->graphs.p[k]);
    ir_print_graph(&sb, f->m, g);
    fputs(dfm_sb_cstr(&sb), stderr);         /* print_error cuts long texts */
}

static void verify(fx *f, const ir_graph *g)
{
    dfm_err err = {0};
    for (uint32_t k = 1; k < f->m->graphs.n; k++) {
        if (ir_verify_graph(f->m, f->m->graphs.p[k], &err) == DFM_OK) continue;
        print_error("%s\n", err.text);
        show(f, g);
        fail();
    }
}

ir_graph *fx_grad(fx *f, const ir_val *wrt, uint32_t n)
{
    dfm_err err = {0};
    pass_ctx cx = {.m = f->m, .err = &err, .scratch = dfm_arena_create("scratch")};
    ad_request rq = {.params = true, .wrt = wrt, .n_wrt = n};
    ir_graph *g = ir_graph_create(f->m, "grad", NULL);
    bool ok = ad_grad(&cx, f->b.g, &rq, g);
    dfm_arena_destroy(cx.scratch);
    if (!ok) print_error("%s\n", err.text);
    assert_true(ok);
    verify(f, g);
    return g;
}

/* -- comparison ------------------------------------------------------------------------------- */

/* (loss(x + h d) - loss(x - h d)) / 2h, with d a unit vector (one element) or +-1 everywhere. */
static double difference(fx *f, double *x, uint64_t n, uint64_t only, const double *d)
{
    double *old = dfm_dup(f->a, x, n * sizeof *x), side[2];
    for (int s = 0; s < 2; s++) {
        double h = s ? -f->h : f->h;
        for (uint64_t i = 0; i < n; i++) x[i] = old[i] + (d ? h * d[i] : i == only ? h : 0);
        side[s] = loss_of(f);
    }
    memcpy(x, old, n * sizeof *x);
    return (side[0] - side[1]) / (2 * f->h);
}

static bool near(const fx *f, double got, double want, double loss, double scale)
{
    double tol = f->tolerance * (1 + fabs(want) + scale) + 2e-9 * fabs(loss);
    return isfinite(got) && fabs(got - want) <= tol;
}

static void compare(fx *f, const ir_graph *g, const char *what, uint32_t k, double *x,
                    const double *dx, uint64_t n, double loss)
{
    double along = 0;
    double *d = dfm_new_n(f->a, double, n);
    for (uint64_t i = 0; i < n; i++) {
        d[i] = fx_int(f, 0, 1) ? 1 : -1;
        along += d[i] * dx[i];
    }
    double want = difference(f, x, n, 0, d);
    if (!near(f, along, want, loss, sqrt((double)n))) {
        show(f, g);
        print_error("%s %u: along a direction %.9g, difference %.9g\n", what, k, along, want);
        fail();
    }
    uint64_t tries = f->full || n <= 24 ? n : 12;
    for (uint64_t t = 0; t < tries; t++) {
        uint64_t i = tries == n ? t : (uint64_t)fx_int(f, 0, (int64_t)n - 1);
        want = difference(f, x, n, i, NULL);
        if (near(f, dx[i], want, loss, 0)) continue;
        show(f, g);
        print_error("%s %u [%llu] = %g: gradient %.9g, difference %.9g\n", what, k,
                    (unsigned long long)i, x[i], dx[i], want);
        fail();
    }
}

double *fx_gradient(fx *f, const ir_graph *g, uint32_t k) { return fx_eval(f, g, k + 1); }

ir_graph *fx_check(fx *f)
{
    ir_val wrt[FX_MAX];
    uint32_t n = 0;
    for (uint32_t k = 0; k < f->n_inputs; k++)
        if (dfm_dtype_is_float(ir_type_of(f->m, ir_type_at(f->b.g, f->input[k]))->dtype))
            wrt[n++] = f->input[k];
    ir_graph *g = fx_grad(f, wrt, n);
    uint32_t n_params = f->m->params.n;
    assert_int_equal(g->results.n, 1 + n_params + n);
    double loss = loss_of(f), again = *fx_eval(f, g, 0);
    assert_true(isfinite(loss));
    assert_true(fabs(loss - again) <= 1e-12 * (1 + fabs(loss)));
    for (uint32_t k = 0; k < n_params + n; k++) {
        bool param = k < n_params;
        ir_type t = param ? f->m->params.p[k].type : ir_type_at(f->b.g, wrt[k - n_params]);
        assert_int_equal(ir_type_at(g, g->results.p[k + 1].val).i, t.i);
        compare(f, g, param ? "parameter" : "input", param ? k : k - n_params,
                param ? f->param[k] : fx_data(f, wrt[k - n_params]), fx_gradient(f, g, k),
                ir_elems(f->m, t), loss);
    }
    return g;
}

/* -- bodies, counts ---------------------------------------------------------------------------- */

uint32_t fx_count(const fx *f, const ir_graph *g, ir_op_kind k)
{
    uint32_t n = 0;
    for (uint32_t v = 1; v < g->ops.n; v++) {
        const ir_op *op = &g->ops.p[v];
        n += op->kind == k;
        if (op->kind == IR_SCAN) n += fx_count(f, f->m->graphs.p[op->at->scan.body], k);
    }
    return n;
}

ir_builder fx_body(fx *f, const char *name, uint32_t *index)
{
    return (ir_builder){.m = f->m, .g = ir_graph_create(f->m, name, index)};
}

ir_val fx_formal(ir_builder *b, ir_type t)
{
    return ir_input_new(b, t, IR_ROLE_BODY, b->g->inputs.n, NULL);
}

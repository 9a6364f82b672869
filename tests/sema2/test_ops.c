/* test_ops.c - index ops: each rule by the interpreter, each report by a program that breaks it. */
#include "tests/sema2/harness.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const char DIMS[] =
    "dim B = 2, T = 4, D = 5, D2 = D, E = 3, K = 3, H = 2, W = 3, G = H * W\n";

/* A program of DIMS and `text`. */
static h_ctx *program(const char *text)
{
    char all[4000];
    snprintf(all, sizeof all, "%s%s", DIMS, text);
    return h_compile(all, NULL);
}

/* -- reads and targets ------------------------------------------------------------------------ */

static void shift_with_select(void **state)
{
    static const char *const forms[] = {
        "select(t > 0, x[b, t - 1], 10.0)", "select(t < 1, 10.0, x[b, t - 1])",
        "select(not (t == 0), x[b, t - 1], 10.0)", "select(0 < t and b < 9, x[b, t - 1], 10.0)",
        "select(t <= 0 or b > 7, 10.0, x[b, t - 1])", "select(t == 0, 10.0, x[b, max(t - 1, 0)])",
    };
    for (uint32_t k = 0; k < DFM_LEN(forms); k++) {
        char text[600];
        snprintf(text, sizeof text, "op f(x: f32[B, T]) -> f32[B, T] { y[b, t] = %s; return y }\n"
                 "model m(x: f32[B, T]) -> f32[B, T] { return f(x) }\n", forms[k]);
        h_ctx *h = program(text);
        const double *y = h_run(h, "forward", 0), *x = h_get(h, "x", 8);
        for (int i = 0; i < 8; i++) CLOSE(y[i], i % 4 ? x[i - 1] : 10, 0);
        h_done(h);
    }
}

static void index_arithmetic(void **state)
{
    h_ctx *h = program(
        "op f(x: f32[B, T]) -> (a: f32[B, T], b: f32[B, T], c: i32[B, T]) {\n"
        "  a[b, t] = x[b, T - 1 - t] + x[B - 1 - b, t // 2 * 2]\n"
        "  b[i, t] = x[i, min(t + 2, T - 1)] * f32(t % 3)\n"
        "  c[b, t] = 10 * b + t\n  return a, b, c\n}\n"
        "model m(x: f32[B, T]) -> (a: f32[B, T], b: f32[B, T], c: i32[B, T]) { return f(x) }\n");
    const double *const *y = h_run_all(h, "forward"), *x = h_get(h, "x", 8);
    for (int b = 0; b < 2; b++)
        for (int t = 0; t < 4; t++) {
            CLOSE(y[0][b * 4 + t], x[b * 4 + 3 - t] + x[(1 - b) * 4 + t / 2 * 2], 1e-15);
            CLOSE(y[1][b * 4 + t], x[b * 4 + (t + 2 < 3 ? t + 2 : 3)] * (t % 3), 1e-15);
            CLOSE(y[2][b * 4 + t], 10 * b + t, 0);
        }
    h_done(h);
}

static void square_needs_a_second_name(void **state)
{
    h_ctx *h = program("op f(x: f32[B, D]) -> f32[B, D, D2] {\n"
                       "  y[b, i, j] = x[b, i] - 2 * x[b, j]\n  return y\n}\n"
                       "model m(x: f32[B, D]) -> f32[B, D, D2] { return f(x) }\n");
    const double *y = h_run(h, "forward", 0), *x = h_get(h, "x", 10);
    for (int b = 0; b < 2; b++)
        for (int i = 0; i < 5; i++)
            for (int j = 0; j < 5; j++)
                CLOSE(y[(b * 5 + i) * 5 + j], x[b * 5 + i] - 2 * x[b * 5 + j], 1e-15);
    h_done(h);
}

static void group_is_one_index(void **state)
{
    h_ctx *h = program("op f(x: f32[..., N], N: dim) -> f32[..., N] {\n"
                       "  y[..., i] = x[..., i] + f32(i) + x[..., len(N) * 0]\n  return y\n}\n"
                       "model m(x: f32[B, H, W]) -> f32[B, H, W] { return f(x, (H, W)) }\n");
    const double *y = h_run(h, "forward", 0), *x = h_get(h, "x", 12);
    for (int b = 0; b < 2; b++)
        for (int i = 0; i < 6; i++) CLOSE(y[b * 6 + i], x[b * 6 + i] + i + x[b * 6], 1e-15);
    h_done(h);
}

static void several_targets_and_constants(void **state)
{
    h_ctx *h = program("const C = 3\n"
                       "op f(x: f32[D], s: const = 2) -> (p: f32[D], q: f32[D]) {\n"
                       "  half = D // 2\n  if s == 2 { w[d: D] = 1.0 } else { w[d: D] = 9.0 }\n"
                       "  p[d], q[d] = (x[d] * C + w[d], select(d < half, x[d], 0.0))\n"
                       "  return p, q\n}\n"
                       "model m(x: f32[D]) -> (p: f32[D], q: f32[D]) { return f(x) }\n");
    const double *const *y = h_run_all(h, "forward"), *x = h_get(h, "x", 5);
    for (int d = 0; d < 5; d++) {
        CLOSE(y[0][d], x[d] * 3 + 1, 1e-15);
        CLOSE(y[1][d], d < 2 ? x[d] : 0, 1e-15);
    }
    h_done(h);
}

static void rest_stands_for_other_dims(void **state)
{
    h_ctx *h = program("op swiglu(gu: [..., H, D]) -> [..., D] {\n"
                       "  y[..., f] = silu(gu[..., 0, f]) * gu[..., 1, f]\n  return y\n}\n"
                       "model m(x: f32[B, H, D, T]) -> f32[B, T, D] { return swiglu(x) }\n");
    const double *y = h_run(h, "forward", 0), *x = h_get(h, "x", 80);
    for (int b = 0; b < 2; b++)
        for (int t = 0; t < 4; t++)
            for (int d = 0; d < 5; d++) {
                double g = x[((b * 2 + 0) * 5 + d) * 4 + t], u = x[((b * 2 + 1) * 5 + d) * 4 + t];
                CLOSE(y[(b * 4 + t) * 5 + d], g / (1 + exp(-g)) * u, 1e-12);
            }
    h_done(h);
}

/* -- reductions -------------------------------------------------------------------------------- */

static void all_reductions(void **state)
{
    h_ctx *h = program(
        "op f(x: f32[B, D]) -> (a: f32[B], b: f32[B], c: f32[B], d: f32[B], e: f32[B], f: bool[B],"
        " g: bool[B], h: i32[B], i: f32) {\n"
        "  a[b] = sum[d](x[b, d])\n  b_[b] = mean[d](x[b, d])\n  c[b] = max[d](x[b, d])\n"
        "  e_[b] = min[d](x[b, d])\n  p[b] = prod[d](x[b, d])\n  n[b] = any[d](x[b, d] > 0.9)\n"
        "  o[b] = all[d](x[b, d] < 0.9)\n  q[b] = argmax[d](x[b, d])\n"
        "  r[u: 0..1] = sum[b, d](x[b, d])\n  t = sum(r)\n"
        "  return a, b_, c, e_, p, n, o, q, t\n}\n"
        "model m(x: f32[B, D]) -> (a: f32[B], b: f32[B], c: f32[B], d: f32[B], e: f32[B], f: "
        "i32[B],"
        " g: i32[B], h: i32[B], i: f32) {\n  r = f(x)\n"
        "  return r.a, r.b, r.c, r.d, r.e, i32(r.f), i32(r.g), r.h, r.i\n}\n");
    const double *const *y = h_run_all(h, "forward"), *x = h_get(h, "x", 10);
    double all = 0;
    for (int b = 0; b < 2; b++) {
        double sum = 0, hi = -9, lo = 9, prod = 1;
        int any = 0, every = 1, at = 0;
        for (int d = 0; d < 5; d++) {
            double v = x[b * 5 + d];
            sum += v;
            prod *= v;
            if (v > hi) hi = v, at = d;
            if (v < lo) lo = v;
            any |= v > 0.9;
            every &= v < 0.9;
        }
        all += sum;
        double want[] = {sum, sum / 5, hi, lo, prod, any, every, at};
        for (int k = 0; k < 8; k++) CLOSE(y[k][b], want[k], 1e-12);
    }
    CLOSE(y[8][0], all, 1e-12);
    h_done(h);
}

static void windows_with_a_written_range(void **state)
{
    h_ctx *h = program("op f(x: f32[B, T], w: f32[K]) -> f32[B, T] {\n"
                       "  y[b, t] = sum[k: 0..3](w[k] * select(t + k >= 1 and t + k <= T,"
                       " x[b, t + k - 1], 0.0))\n  return y\n}\n"
                       "model m(x: f32[B, T], w: f32[K]) -> f32[B, T] { return f(x, w) }\n");
    const double *y = h_run(h, "forward", 0), *x = h_get(h, "x", 8), *w = h_get(h, "w", 3);
    for (int b = 0; b < 2; b++)
        for (int t = 0; t < 4; t++) {
            double want = 0;
            for (int k = 0; k < 3; k++)
                if (t + k >= 1 && t + k <= 4) want += w[k] * x[b * 4 + t + k - 1];
            CLOSE(y[b * 4 + t], want, 1e-12);
        }
    h_done(h);
}

static void products_become_contractions_where_it_pays(void **state)
{
    h_ctx *h =
        program("op f(x: f32[B, D], w: f32[E, D], v: f32[D]) -> (a: f32[B, E], b: f32[B]) {\n"
                "  a[b, e] = sum[d](x[b, d] * w[e, d])\n  c[b] = sum[d](x[b, d] * v[d])\n"
                "  return a, c\n}\n"
                "model m(x: f32[B, D], w: f32[E, D], v: f32[D]) -> (a: f32[B, E], b: f32[B]) {\n"
                "  return f(x, w, v)\n}\n");
    const double *const *y = h_run_all(h, "forward"), *x = h_get(h, "x", 10);
    const double *w = h_get(h, "w", 15), *v = h_get(h, "v", 5);
    for (int b = 0; b < 2; b++) {
        double c = 0;
        for (int d = 0; d < 5; d++) c += x[b * 5 + d] * v[d];
        CLOSE(y[1][b], c, 1e-12);
        for (int e = 0; e < 3; e++) {
            double a = 0;
            for (int d = 0; d < 5; d++) a += x[b * 5 + d] * w[e * 5 + d];
            CLOSE(y[0][b * 3 + e], a, 1e-12);
        }
    }
    assert_int_equal(h_count(h_graph(h, "forward"), IR_CONTRACT), 1);
    h_done(h);
}

static void sum_over_the_dim_of_the_target(void **state)
{
    h_ctx *h = program("op f(x: f32[D]) -> f32[D] {\n"
                       "  y[i] = sum[j](exp(x[i] - x[j]) * f32(i - j))\n  return y\n}\n"
                       "model m(x: f32[D]) -> f32[D] { return f(x) }\n");
    const double *y = h_run(h, "forward", 0), *x = h_get(h, "x", 5);
    for (int i = 0; i < 5; i++) {
        double want = 0;
        for (int j = 0; j < 5; j++) want += exp(x[i] - x[j]) * (i - j);
        CLOSE(y[i], want, 1e-12);
    }
    h_done(h);
}

static void blocks_inside_are_inlined(void **state)
{
    h_ctx *h =
        program("block twice(x: any[...]) -> any[...] { return 2 * x }\n"
                "op g(x: any[...]) -> any[...] { y[...] = x[...] + 1.0; return y }\n"
                "op f(x: f32[D]) -> f32[D, D2] { y[i, j] = twice(g(x[i] * x[j])); return y }\n"
                "model m(x: f32[D]) -> f32[D, D2] { return f(x) }\n");
    const double *y = h_run(h, "forward", 0), *x = h_get(h, "x", 5);
    for (int i = 0; i < 25; i++) CLOSE(y[i], 2 * (x[i / 5] * x[i % 5] + 1), 1e-12);
    h_done(h);
}

/* Tables of constants are evaluated in f64 by the compiler: no op of the graph is left of them. */
static void tables_fold(void **state)
{
    h_ctx *h =
        program("op f(x: f32[D]) -> f32[D] {\n"
                "  w[d: D] = exp(-0.5 * f32(d)) / (1 + d)\n  s[d: D] = sum[k: D](w[k]) * w[d]\n"
                "  y[d] = x[d] * s[d]\n  return y\n}\n"
                "model m(x: f32[D]) -> f32[D] { return f(x) }\n");
    const double *y = h_run(h, "forward", 0), *x = h_get(h, "x", 5);
    double sum = 0;
    for (int d = 0; d < 5; d++) sum += exp(-0.5 * d) / (1 + d);
    for (int d = 0; d < 5; d++) CLOSE(y[d], x[d] * sum * exp(-0.5 * d) / (1 + d), 1e-14);
    const ir_graph *g = h_graph(h, "forward");
    const ir_op *last = ir_op_of(g, g->results.p[0].val);
    assert_int_equal(last->kind, IR_MAP);
    assert_true(ir_const_of(g, last->args[0]) || ir_const_of(g, last->args[1]));
    h_done(h);
}

/* A variable may index a shorter dim directly where a select keeps it inside. */
static void guarded_direct_index(void **state)
{
    h_ctx *h = program(
        "op f(x: f32[D], w: f32[E]) -> f32[D] {\n"
        "  y[d] = select(d < E, w[d], x[d]) + select(d >= 2, w[d - 2], 0.0)\n  return y\n}\n"
        "model m(x: f32[D], w: f32[E]) -> f32[D] { return f(x, w) }\n");
    const double *y = h_run(h, "forward", 0), *x = h_get(h, "x", 5), *w = h_get(h, "w", 3);
    for (int d = 0; d < 5; d++) CLOSE(y[d], (d < 3 ? w[d] : x[d]) + (d < 2 ? 0 : w[d - 2]), 1e-15);
    h_done(h);
}

/* Ops of constants are evaluated once: the second call gives the same table. */
static void tables_are_kept(void **state)
{
    h_ctx *h = program("op table(n: const, N: dim) -> f32[N] { y[d: N] = f32(d) * n; return y }\n"
                       "model m(x: f32[D]) -> f32[D] {\n"
                       "  return x + table(2, D) * table(2, D) + table(3, D)\n}\n");
    const double *y = h_run(h, "forward", 0), *x = h_get(h, "x", 5);
    for (int d = 0; d < 5; d++) CLOSE(y[d], x[d] + 4.0 * d * d + 3 * d, 1e-15);
    h_done(h);
}

/* -- vjp -------------------------------------------------------------------------------------- */

static const char CLIP[] =
    "op clip(x: [..., D], lim: f32) -> [..., D] {\n  y[..., d] = lim * tanh(x[..., d] / lim)\n"
    "  return y\n} vjp (dx) {\n  dx[..., d] = dy[..., d] * (1 - (y[..., d] / lim) ^ 2)\n}\n";

static void vjp_makes_a_call(void **state)
{
    char text[800];
    snprintf(text, sizeof text, "%smodel m(x: f32[B, D]) -> f32[B, D] { return clip(x, 3.0) }\n",
             CLIP);
    h_ctx *h = program(text);
    const double *y = h_run(h, "forward", 0), *x = h_get(h, "x", 10);
    for (int i = 0; i < 10; i++) CLOSE(y[i], 3 * tanh(x[i] / 3), 1e-12);
    const ir_graph *g = h_graph(h, "forward");
    assert_int_equal(h_count(g, IR_CALL), 1);
    for (uint32_t i = 1; i < g->ops.n; i++) {
        if (g->ops.p[i].kind != IR_CALL) continue;
        const ir_graph *v = h->m->graphs.p[g->ops.p[i].at->call.vjp];
        assert_int_equal(v->inputs.n, 4);    /* x, lim, y, dy */
        assert_int_equal(v->results.n, 2);   /* dx, dlim */
        dfm_err err = {0};
        h->values.n = 0;
        const double *out[2];
        double in[4][10];
        for (int k = 0; k < 10; k++) {
            in[0][k] = 0.1 * k - 0.4;
            in[1][k] = 3;
            in[2][k] = 3 * tanh(in[0][k] / 3);
            in[3][k] = 1 + k;
        }
        h_set(h, "x", in[0], 10);
        h_set(h, "lim", in[1], 1);
        h_set(h, "y", in[2], 10);
        h_set(h, "dy", in[3], 10);
        ir_env env = {.round = IR_EXACT, .lookup = h_lookup, .user = h};
        assert_int_equal(ir_interpret(h->m, v, &env, h->arena, out, &err), DFM_OK);
        for (int k = 0; k < 10; k++)
            CLOSE(out[0][k], in[3][k] / pow(cosh(in[0][k] / 3), 2), 1e-12);
        CLOSE(out[1][0], 0, 0);
    }
    h_done(h);
}

/* -- reports ---------------------------------------------------------------------------------- */

static void reports(void **state)
{
    static const struct { const char *body, *code, *part; } table[] = {
        {"y[b, d] = x[b, d + 1]; return y", "E0501", "may leave its range"},
        {"y[b, d] = select(d > 0, x[b, d - 2], 0.0); return y", "E0501", "may leave"},
        {"y[b, d] = select(d > 0 or b > 0, x[b, d - 1], 0.0); return y", "E0501", "may leave"},
        {"y[b, d] = select(d > 0, 0.0, x[b, d - 1]); return y", "E0501", "may leave"},
        {"y[b, d] = x[b, 5]; return y", "E0501", "may leave"},
        {"y[b, d] = x[b, d] * x[d, b]; return y", "E0502", "two ranges"},
        {"y[b, d] = x[b, d]; z[q] = 1.0; return y", "E0503", "`q` has no range"},
        {"y[b, d] = sum[k](x[b, (d + k) % 5]); return y", "E0503", "`k` has no range"},
        {"y[b, d] = x[b, i32(x[b, d])]; return y", "E0504", "not known at compile time"},
        {"y[b, d] = x[b, d * d]; return y", "E0504", "not known"},
        {"y[b, d] = x[d]; return y", "E0505", "has 2 indices"},
        {"y[b, d] = x[..., d]; return y", "E0505", "cannot stand"},
        {"y[b] = x[b, 0]; return y", "E0505", "has 2 dims"},
        {"y[b, d] = x[b, d] + x; return y", "E0506", "without indices"},
        {"y[b, d] = sum[d](x[b, d]); return y", "E0507", "already"},
        {"y[b, b] = x[b, b]; return y", "E0507", "already"},
        {"y[b, 2 * d] = x[b, d]; return y", "E0508", "index variable must stand"},
        {"y[b, d: 1..5] = x[b, d]; return y", "E0508", "starts at 0"},
        {"y[b, d] = x[b, d: 0..2]; return y", "E0508", "range cannot stand"},
        {"param w: f32[D] init zeros; y[b, d] = x[b, d]; return y", "E0411", "param"},
        {"y[b, d] = x[b, d]", "E0410", "return"},
        {"y[b, d] = sum[k: 3..3](x[b, d]); return y", "E0308", "empty"},
        {"y[b, d] = f32(any[k: 0..2](x[b, d])); return y", "E0312", "any"},
        {"y[b, d], z[b, d] = x[b, d]; return y", "E0409", "2 targets"},
        {"y[b, d] = sum[k: 0..99999999999](x[b, d]); return y", "E0310", "2^31"},
        {"y[b, d] = sum[k: 2000000000, l: 2000000000](x[b, d]); return y", "E0310", "2^58"},
        {"y[b, d] = x[b, d * 9223372036854775807]; return y", "E0501", ""},
        {"y[b, d] = select(d * 4611686018427387904 > -9, x[b, d + 1], 0.0); return y", "E0501", ""},
    };
    for (uint32_t k = 0; k < DFM_LEN(table); k++) {
        char text[600];
        snprintf(text, sizeof text, "op f(x: f32[B, D]) -> f32[B, D] { %s }\n"
                 "model m(x: f32[B, D]) -> f32[B, D] { return f(x) }\n", table[k].body);
        h_ctx *h = program(text);
        if (h->m || !h_reported(h, table[k].code, table[k].part)) {
            h_print(h);
            fail_msg("%s: expected %s `%s`", table[k].body, table[k].code, table[k].part);
        }
        h_done(h);
    }
}

/* Programs with a mistake in the vjp, or in how it is used. */
static void vjp_reports(void **state)
{
    static const struct { const char *text, *code; } table[] = {
        {"op f(x: [D]) -> [D] { return 2 * x } vjp (dx) { dx[d] = 2 * dx[d] }\n"
         "model m(x: [D]) -> [D] { return f(x) }\n", "E0601"},
        {"op f(x: [D]) -> [D] { y[d] = 2 * x[d]; return y } vjp (dz) { dz[d] = 2 * dy[d] }\n"
         "model m(x: [D]) -> [D] { return f(x) }\n", "E0602"},
        {"op f(x: [D]) -> [D] { y[d] = 2 * x[d]; return y } vjp (dx) { z[d] = 2 * dy[d] }\n"
         "model m(x: [D]) -> [D] { return f(x) }\n", "E0602"},
        {"op f(x: [D], w: [D]) -> [D] { y[d] = w[d] * x[d]; return y } vjp (dx) { dx[d] = dy[d] }\n"
         "model m(x: [D]) -> [D] { param w: [D] init ones; return f(x, w) }\n", "E0603"},
        {"op f(x: [D], w: [D]) -> [D] { y[d] = w[d] * x[d]; return y } vjp (dx) { dx[d] = dy[d] }\n"
         "model m(x: [D]) -> [D] { param w: [D] init ones\n"
         "  repeat l[i: 3] with x { x = f(x, w) }\n  return x }\n", "E0603"},
    };
    for (uint32_t k = 0; k < DFM_LEN(table); k++) {
        h_ctx *h = program(table[k].text);
        if (h->m || !h_reported(h, table[k].code, "")) {
            h_print(h);
            fail_msg("%u: expected %s", k, table[k].code);
        }
        h_done(h);
    }
    h_ctx *h =
        program("op f(x: [D], w: [D]) -> [D] { y[d] = w[d] * x[d]; return y } vjp (dx) { dx[d] ="
                " dy[d] }\nmodel m(x: [D]) -> [D] { param w: [D] init ones\n"
                "  return f(x, stop_grad(w)) }\n");
    assert_non_null(h->m);
    h_done(h);
}

/* An op that nobody calls is checked too. */
static void uncalled_ops_are_checked(void **state)
{
    front_options o = {.check_only = true};
    h_ctx *h = h_compile("dim D = 4\nop f(x: f32[D]) -> f32[D] { y[d] = x[d + 1]; return y }\n"
                         "model m(x: f32[D]) -> f32[D] { return x }\n", &o);
    assert_true(h_reported(h, "E0501", ""));
    h_done(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shift_with_select),
        cmocka_unit_test(index_arithmetic),
        cmocka_unit_test(square_needs_a_second_name),
        cmocka_unit_test(group_is_one_index),
        cmocka_unit_test(several_targets_and_constants),
        cmocka_unit_test(rest_stands_for_other_dims),
        cmocka_unit_test(all_reductions),
        cmocka_unit_test(windows_with_a_written_range),
        cmocka_unit_test(products_become_contractions_where_it_pays),
        cmocka_unit_test(sum_over_the_dim_of_the_target),
        cmocka_unit_test(blocks_inside_are_inlined),
        cmocka_unit_test(tables_fold),
        cmocka_unit_test(guarded_direct_index),
        cmocka_unit_test(tables_are_kept),
        cmocka_unit_test(vjp_makes_a_call),
        cmocka_unit_test(reports),
        cmocka_unit_test(vjp_reports),
        cmocka_unit_test(uncalled_ops_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

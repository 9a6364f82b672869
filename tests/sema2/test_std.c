/* test_std.c - functions of models/std against a few lines of C each. */
#include "runtime/base/file.h"
#include "tests/sema2/harness.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const double PI = 3.141592653589793;

/* -- pointwise ------------------------------------------------------------------------------- */

static double gelu_tanh(double x)
{
    return 0.5 * x * (1 + tanh(sqrt(2 / PI) * (x + 0.044715 * pow(x, 3))));
}
static double gelu_erf(double x) { return 0.5 * x * (1 + erf(x / sqrt(2))); }
static double silu(double x) { return x / (1 + exp(-x)); }
static double softplus(double x) { return log1p(exp(x)); }
static double relu(double x) { return x > 0 ? x : 0; }
static double logit_normal(double x) { return 1 / (1 + exp(-(0.5 + 2 * x))); }
static double shift3(double x) { return 3 * x / (1 + 2 * x); }

static void pointwise(void **state)
{
    static const struct { const char *call; double (*f)(double); } table[] = {
        {"gelu(x, approx=\"tanh\")", gelu_tanh}, {"gelu(x)", gelu_erf}, {"silu(x)", silu},
        {"softplus(x)", softplus}, {"relu(x)", relu},
        {"logit_normal(x, 0.5, 2.0)", logit_normal}, {"shift_time(x, 3.0)", shift3},
        {"relu(nn.silu(x))", NULL},
    };
    for (uint32_t k = 0; k < DFM_LEN(table); k++) {
        char text[400];
        snprintf(text, sizeof text, "import \"std/nn.dfm\" as nn\ndim B = 2, D = 5\n"
                 "model m(x: f32[B, D]) -> f32[B, D] { return %s }\n", table[k].call);
        h_ctx *h = h_compile(text, NULL);
        h->scale = 2.5;
        const double *y = h_run(h, "forward", 0), *x = h_get(h, "x", 10);
        for (int i = 0; i < 10; i++)
            CLOSE(y[i], table[k].f ? table[k].f(x[i]) : relu(silu(x[i])), 1e-12);
        h_done(h);
    }
}

static void gelu_refuses_other_approximations(void **state)
{
    h_ctx *h = h_compile(
        "dim D = 5\nmodel m(x: f32[D]) -> f32[D] { return gelu(x, approx=\"x\") }\n", NULL);
    assert_null(h->m);
    assert_true(h_reported(h, "E0306", "approx"));
    h_done(h);
}

/* -- norms ----------------------------------------------------------------------------------- */

static void norms(void **state)
{
    enum { B = 3, D = 7 };
    h_ctx *h = h_compile("dim B = 3, D = 7\nmodel m(x: f32[B, D]) -> (a: f32[B, D], b: f32[B, D], "
                         "c: f32[B, D], d: f32[B, D]) {\n"
                         "  a = layer_norm(x, D)\n  b = layer_norm(x, D, eps=0.1) as ln\n"
                         "  c = rms_norm(x, D)\n  d = rms_norm(x, D, eps=0.1) as rn\n"
                         "  return a, b, c, d\n}\n", NULL);
    const double *const *y = h_run_all(h, "forward"), *x = h_get(h, "x", B * D);
    const double *w = h_get(h, "ln.weight", D), *c = h_get(h, "ln.bias", D);
    const double *r = h_get(h, "rn.weight", D);
    assert_int_equal(h->m->params.n, 3);
    for (int b = 0; b < B; b++) {
        double mean = 0, var = 0, sq = 0;
        for (int i = 0; i < D; i++) mean += x[b * D + i] / D;
        for (int i = 0; i < D; i++) var += pow(x[b * D + i] - mean, 2) / D;
        for (int i = 0; i < D; i++) sq += pow(x[b * D + i], 2) / D;
        for (int i = 0; i < D; i++) {
            double v = x[b * D + i];
            CLOSE(y[0][b * D + i], (v - mean) / sqrt(var + 1e-5), 1e-12);
            CLOSE(y[1][b * D + i], (v - mean) / sqrt(var + 0.1) * w[i] + c[i], 1e-12);
            CLOSE(y[2][b * D + i], v / sqrt(sq + 1e-6), 1e-12);
            CLOSE(y[3][b * D + i], v / sqrt(sq + 0.1) * r[i], 1e-12);
        }
    }
    h_done(h);
}

static void norm_over_a_group(void **state)
{
    h_ctx *h = h_compile("dim B = 2, H = 2, E = 3\nmodel m(x: f32[B, H, E]) -> f32[B, H, E] {\n"
                         "  return rms_norm(x, (H, E), eps=0.25)\n}\n", NULL);
    const double *y = h_run(h, "forward", 0), *x = h_get(h, "x", 12);
    for (int b = 0; b < 2; b++) {
        double sq = 0;
        for (int i = 0; i < 6; i++) sq += pow(x[b * 6 + i], 2) / 6;
        for (int i = 0; i < 6; i++) CLOSE(y[b * 6 + i], x[b * 6 + i] / sqrt(sq + 0.25), 1e-12);
    }
    h_done(h);
}

static void softmax_over_a_middle_dim(void **state)
{
    h_ctx *h = h_compile("dim B = 2, D = 4, E = 3\nmodel m(x: f32[B, D, E]) -> f32[B, D, E] {\n"
                         "  return softmax(x, D)\n}\n", NULL);
    const double *y = h_run(h, "forward", 0), *x = h_get(h, "x", 24);
    for (int b = 0; b < 2; b++)
        for (int e = 0; e < 3; e++) {
            double z = 0;
            for (int d = 0; d < 4; d++) z += exp(x[b * 12 + d * 3 + e]);
            for (int d = 0; d < 4; d++)
                CLOSE(y[b * 12 + d * 3 + e], exp(x[b * 12 + d * 3 + e]) / z, 1e-12);
        }
    h_done(h);
}

/* -- layers ------------------------------------------------------------------------------------ */

static void linear_groups_and_same_dim(void **state)
{
    enum { B = 2, D = 3, H = 2, E = 2 };
    h_ctx *h =
        h_compile("dim B = 2, D = 3, H = 2, E = 2\n"
                  "model m(x: f32[B, D]) -> (a: f32[B, H, E], b: f32[B, D], c: f32[B, D]) {\n"
                  "  a = linear(x, D -> (H, E)) as p\n  b = linear(x, D -> D) as q\n"
                  "  c = linear(a, (H, E) -> D, bias=false) as r\n  return a, b, c\n}\n",
                  NULL);
    const double *const *y = h_run_all(h, "forward"), *x = h_get(h, "x", B * D);
    const double *wp = h_get(h, "p.weight", 12), *bp = h_get(h, "p.bias", 4);
    const double *wq = h_get(h, "q.weight", 9), *bq = h_get(h, "q.bias", 3);
    const double *wr = h_get(h, "r.weight", 12);
    assert_int_equal(h->m->params.n, 5);
    for (int b = 0; b < B; b++) {
        double a[4];
        for (int o = 0; o < 4; o++) {
            a[o] = bp[o];
            for (int i = 0; i < D; i++) a[o] += x[b * D + i] * wp[o * D + i];
            CLOSE(y[0][b * 4 + o], a[o], 1e-12);
        }
        for (int o = 0; o < D; o++) {
            double q = bq[o], r = 0;
            for (int i = 0; i < D; i++) q += x[b * D + i] * wq[o * D + i];
            for (int i = 0; i < 4; i++) r += a[i] * wr[o * 4 + i];
            CLOSE(y[1][b * D + o], q, 1e-12);
            CLOSE(y[2][b * D + o], r, 1e-12);
        }
    }
    const ir_param *p = &h->m->params.p[0];
    assert_int_equal(p->file_rank, 2);       /* published: [product of outputs, inputs] */
    assert_int_equal(p->file_shape[0], 4);
    assert_int_equal(p->file_shape[1], 3);
    assert_int_equal(p->init, IR_INIT_XAVIER_UNIFORM);
    assert_int_equal(p->fan_out, 4);
    assert_int_equal(p->fan_in, 3);
    assert_int_equal(h->m->params.p[1].init, IR_INIT_ZEROS);
    h_done(h);
}

static void embed_takes_rows(void **state)
{
    h_ctx *h = h_compile("dim B = 3, N = 5, D = 2\nmodel m(y: i32[B]) -> f32[B, D] {\n"
                         "  return embed(y, N -> D) as table\n}\n", NULL);
    double y[] = {4, 0, 2};
    h_set(h, "y", y, 3);
    const double *o = h_run(h, "forward", 0), *w = h_get(h, "table.weight", 10);
    for (int b = 0; b < 3; b++)
        for (int d = 0; d < 2; d++) CLOSE(o[b * 2 + d], w[(int)y[b] * 2 + d], 0);
    h_done(h);
}

static void patches_there_and_back(void **state)
{
    h_ctx *h =
        h_compile("dim B = 2, Y = 4, X = 6, Py = 2, Px = 3, Gy = Y // Py, Gx = X // Px\n"
                  "dim S = Gy * Gx\n"
                  "model m(x: f32[B, Y, X]) -> (p: f32[B, Gy, Gx, Py, Px], x: f32[B, Y, X]) {\n"
                  "  p = patchify(x, Y -> (Gy, Py), X -> (Gx, Px))\n"
                  "  h = merge(2 * p, (Gy, Gx) -> S)\n"
                  "  return p, unpatchify(h, S -> (Gy, Gx), (Gy, Py) -> Y, (Gx, Px) -> X)\n}\n",
                  NULL);
    const double *const *o = h_run_all(h, "forward"), *x = h_get(h, "x", 48);
    for (int b = 0; b < 2; b++)
        for (int y = 0; y < 4; y++)
            for (int c = 0; c < 6; c++) {
                double v = x[b * 24 + y * 6 + c];
                int at = (((b * 2 + y / 2) * 2 + c / 3) * 2 + y % 2) * 3 + c % 3;
                CLOSE(o[0][at], v, 0);
                CLOSE(o[1][b * 24 + y * 6 + c], 2 * v, 0);
            }
    h_done(h);
}

static void halves_of_a_dim(void **state)
{
    h_ctx *h = h_compile("dim B = 2, Co = 6, C = 3, Y = 2\n"
                         "model m(x: f32[B, Co, Y]) -> (a: f32[B, C, Y], b: f32[B, C, Y]) {\n"
                         "  a, b = halves(x, Co -> C)\n  return a, b\n}\n", NULL);
    const double *const *o = h_run_all(h, "forward"), *x = h_get(h, "x", 24);
    for (int b = 0; b < 2; b++)
        for (int i = 0; i < 6; i++) {
            CLOSE(o[0][b * 6 + i], x[b * 12 + i], 0);
            CLOSE(o[1][b * 6 + i], x[b * 12 + 6 + i], 0);
        }
    h_done(h);
}

/* -- positions -------------------------------------------------------------------------------- */

static void sinusoid_orders(void **state)
{
    h_ctx *h =
        h_compile("dim B = 3, K = 6\nmodel m(t: f32[B]) -> (a: f32[B, K], b: f32[B, K]) {\n"
                  "  return sinusoid(t, K), sinusoid(t, K, max_period=100, order=\"sin_cos\")\n"
                  "}\n",
                  NULL);
    h->scale = 50;
    const double *const *y = h_run_all(h, "forward"), *t = h_get(h, "t", 3);
    for (int b = 0; b < 3; b++)
        for (int i = 0; i < 3; i++) {
            double p = t[b] * pow(10000, -i / 3.0), q = t[b] * pow(100, -i / 3.0);
            CLOSE(y[0][b * 6 + i], cos(p), 1e-6);
            CLOSE(y[0][b * 6 + 3 + i], sin(p), 1e-6);
            CLOSE(y[1][b * 6 + i], sin(q), 1e-6);
            CLOSE(y[1][b * 6 + 3 + i], cos(q), 1e-6);
        }
    h_done(h);
}

static void sincos_2d_has_x_first(void **state)
{
    h_ctx *h =
        h_compile("dim Gy = 2, Gx = 3, D = 8\nmodel m(x: f32[D]) -> f32[Gy, Gx, D] {\n"
                  "  buffer pos: f32[Gy, Gx, D] = sincos_2d(Gy, Gx, D)\n  return pos + 0 * x\n}\n",
                  NULL);
    const double *p = h_run(h, "forward", 0);
    for (int y = 0; y < 2; y++)
        for (int x = 0; x < 3; x++)
            for (int d = 0; d < 8; d++) {
                double a = (d < 4 ? x : y) / pow(10000, d % 2 / 2.0);
                CLOSE(p[(y * 3 + x) * 8 + d], d % 4 < 2 ? sin(a) : cos(a), 1e-12);
            }
    assert_int_equal(h->m->params.p[0].init, IR_INIT_TABLE);
    h_done(h);
}

static void rope_on_a_grid(void **state)
{
    enum { B = 2, T = 2, GY = 2, GX = 3, H = 2, F = 10 };
    h_ctx *h = h_compile("dim B = 2, T = 2, Gy = 2, Gx = 3, S = T * Gy * Gx, H = 2, E = 10\n"
                         "model m(x: f32[B, S, H, E]) -> f32[B, S, H, E] {\n"
                         "  return rope(x, grid=(T, Gy, Gx), split=(4, 4, 2), theta=100.0)\n}\n",
                         NULL);
    const double *y = h_run(h, "forward", 0), *x = h_get(h, "x", B * T * GY * GX * H * F);
    static const int width[] = {4, 4, 2}, first[] = {0, 4, 8};
    for (int b = 0; b < B; b++)
        for (int s = 0; s < T * GY * GX; s++)
            for (int k = 0; k < H; k++) {
                int pos[] = {s / (GY * GX), s / GX % GY, s % GX};
                const double *in = x + ((b * T * GY * GX + s) * H + k) * F;
                const double *out = y + ((b * T * GY * GX + s) * H + k) * F;
                for (int a = 0; a < 3; a++)
                    for (int i = 0; i < width[a] / 2; i++) {
                        double t = pos[a] * pow(100, -2.0 * i / width[a]);
                        double u = in[first[a] + 2 * i], v = in[first[a] + 2 * i + 1];
                        CLOSE(out[first[a] + 2 * i], u * cos(t) - v * sin(t), 1e-12);
                        CLOSE(out[first[a] + 2 * i + 1], v * cos(t) + u * sin(t), 1e-12);
                    }
            }
    h_done(h);
}

static void rope_nd_by_positions(void **state)
{
    enum { N = 3, H = 2, F = 8 };
    h_ctx *h = h_compile("dim N = 3, H = 2, E = 8, A = 2\n"
                         "model m(x: f32[N, H, E], pos: f32[N, A]) -> f32[N, H, E] {\n"
                         "  return rope_nd(x, pos, theta=10.0)\n}\n", NULL);
    const double *y = h_run(h, "forward", 0), *x = h_get(h, "x", N * H * F);
    const double *pos = h_get(h, "pos", N * 2);
    for (int n = 0; n < N; n++)
        for (int k = 0; k < H; k++)
            for (int p = 0; p < F / 2; p++) {
                double t = pos[n * 2 + p / 2] * pow(10, -(p % 2) / 2.0);
                const double *in = x + (n * H + k) * F, *out = y + (n * H + k) * F;
                CLOSE(out[2 * p], in[2 * p] * cos(t) - in[2 * p + 1] * sin(t), 1e-6);
                CLOSE(out[2 * p + 1], in[2 * p + 1] * cos(t) + in[2 * p] * sin(t), 1e-6);
            }
    h_done(h);
}

/* -- diffusion -------------------------------------------------------------------------------- */

static void ddim_tables(void **state)
{
    h_ctx *h =
        h_compile("dim B = 5\nmodel m(x: f32[B]) -> f32[B] {\n"
                  "  s = ddim_schedule(100, 1e-3, 0.2, 5)\n"
                  "  return x * 0 + rename(s.t + 10000 * s.abar + 1e7 * s.prev, 5 -> B)\n}\n",
                  NULL);
    const double *y = h_run(h, "forward", 0);
    double abar[100], p = 1;
    for (int i = 0; i < 100; i++) abar[i] = p *= 1 - (1e-3 + (0.2 - 1e-3) * i / 99);
    for (int i = 0; i < 5; i++) {
        int t = (4 - i) * 20;
        CLOSE(y[i], t + 1e4 * abar[t] + 1e7 * (i < 4 ? abar[t - 20] : 1), 1e-12);
    }
    h_done(h);
}

static double cdf(double x) { return 0.5 * (1 + tanh(sqrt(2 / PI) * (x + 0.044715 * x * x * x))); }

static void vlb_of_learned_variance(void **state)
{
    enum { B = 4, C = 3, N = 50 };
    h_ctx *h =
        h_compile("dim B = 4, C = 3\n"
                  "model m(e: f32[B, C], v: f32[B, C], x0: f32[B, C], xt: f32[B, C], t: i32[B])"
                  " -> f32 {\n"
                  "  return learned_sigma_vlb(e, v, x0, xt, t, linear_betas(50, 1e-3, 0.1))\n}\n",
                  NULL);
    double t[] = {0, 49, 0, 7}, beta[N], abar[N], p = 1, sum = 0;
    h_set(h, "t", t, B);
    const double *y = h_run(h, "forward", 0), *e = h_get(h, "e", 12), *v = h_get(h, "v", 12);
    const double *x0 = h_get(h, "x0", 12), *xt = h_get(h, "xt", 12);
    for (int i = 0; i < N; i++) {
        beta[i] = 1e-3 + (0.1 - 1e-3) * i / (N - 1);
        abar[i] = p *= 1 - beta[i];
    }
    for (int i = 0; i < B * C; i++) {
        int k = (int)t[i / C], j = k ? k : 1;
        double prev = k ? abar[k - 1] : 1, before = abar[j - 1];
        double least = log(beta[j] * (1 - before) / (1 - abar[j])), most = log(beta[k]);
        double lv = (v[i] + 1) / 2 * most + (1 - (v[i] + 1) / 2) * least;
        double c0 = beta[k] * sqrt(prev) / (1 - abar[k]);
        double c1 = (1 - prev) * sqrt(1 - beta[k]) / (1 - abar[k]);
        double p0 = xt[i] / sqrt(abar[k]) - sqrt(1 / abar[k] - 1) * e[i];
        double m1 = c0 * x0[i] + c1 * xt[i], m2 = c0 * p0 + c1 * xt[i];
        double term;
        if (k) {
            term = 0.5 * (-1 + lv - least + exp(least - lv) + pow(m1 - m2, 2) * exp(-lv));
        } else {
            double s = exp(-0.5 * lv), c = x0[i] - m2;
            double a = cdf(s * (c + 1 / 255.0)), b = cdf(s * (c - 1 / 255.0));
            double q = x0[i] < -0.999 ? a : x0[i] > 0.999 ? 1 - b : a - b;
            term = -log(q > 1e-12 ? q : 1e-12);
        }
        sum += term / log(2) / (B * C);
    }
    CLOSE(y[0], sum, 1e-9);
    h_done(h);
}

static void flow_path_between(void **state)
{
    h_ctx *h =
        h_compile("dim B = 2, C = 3\nmodel m(x: f32[B, C], n: f32[B, C], t: f32[B]) -> f32[B, C]"
                  " { return flow_path(x, n, t) }\n",
                  NULL);
    const double *y = h_run(h, "forward", 0), *x = h_get(h, "x", 6), *n = h_get(h, "n", 6);
    const double *t = h_get(h, "t", 2);
    for (int i = 0; i < 6; i++) CLOSE(y[i], (1 - t[i / 3]) * x[i] + t[i / 3] * n[i], 1e-12);
    h_done(h);
}

/* -- schedules: called like any function ------------------------------------------------------ */

static double rate(const char *args, int step)
{
    char text[400];
    snprintf(text, sizeof text, "dim B = 1\nmodel m(b: f32[B], step: i32[B]) -> f32[B] {\n"
             "  return lr(sum(b), sum(step), %s) + 0 * b\n}\n", args);
    h_ctx *h = h_compile(text, NULL);
    double one = 1, at = step;
    h_set(h, "b", &one, 1);
    h_set(h, "step", &at, 1);
    double r = h_run(h, "forward", 0)[0];
    h_done(h);
    return r;
}

static void learning_rates(void **state)
{
    CLOSE(rate("warmup=10", 3), 0.4, 1e-12);
    CLOSE(rate("warmup=10", 30), 1, 1e-12);
    CLOSE(rate("warmup=10, decay=\"cosine\", total=110, least=0.1", 59),
          0.1 + 0.9 * (0.5 + 0.5 * cos(PI * 0.5)), 1e-12);
    CLOSE(rate("decay=\"linear\", total=100, least=0.5", 49), 0.75, 1e-12);
    CLOSE(rate("decay=\"linear\", total=100", 500), 0, 1e-12);
    CLOSE(rate("decay=\"inv_sqrt\", ref=100", 399), 0.5, 1e-12);
    CLOSE(rate("decay=\"inv_sqrt\", ref=100", 50), 1, 1e-12);
}

/* -- nothing is known by its name ------------------------------------------------------------- */

static const char *graph_text(h_ctx *h)
{
    dfm_sb sb = dfm_sb_make(h->arena);
    if (!h->m) h_print(h);
    assert_non_null(h->m);
    ir_print_graph(&sb, h->m, h_graph(h, "forward"));
    return dfm_sb_cstr(&sb);
}

/* The library's text in the user's file, every function under another name: the same graph. */
static void copies_give_the_same_graph(void **state)
{
    static const char *const names[] = {"linear", "layer_norm", "gelu", "silu", "sinusoid", "embed",
                                        "softplus"};
    static const char body[] =
        "dim B = 2, D = 4, K = 6, N = 3\nmodel m(x: f32[B, D], t: f32[B], y: i32[B]) -> f32[B, D] "
        "{\n"
        "  h = %slinear(%slayer_norm(x, D) as norm, D -> D) as fc\n"
        "  h = %sgelu(h, approx=\"tanh\") + %slinear(%ssinusoid(t, K), K -> D) as time\n"
        "  return h + %sembed(y, N -> D) as label + %ssoftplus(%ssilu(x))\n}\n";
    dfm_arena *a = dfm_arena_create("copies");
    dfm_err err = {0};
    dfm_sb copy = dfm_sb_make(a);
    for (int k = 0; k < 2; k++) {
        char *p, *text;
        size_t n;
        const char *path =
            dfm_fmt(a, "%s/models/std/%s.dfm", DFM_SOURCE_DIR, k ? "position" : "nn");
        assert_int_equal(dfm_file_read(a, path, 1 << 20, &p, &n, &err), DFM_OK);
        text = strstr(p, "dfm 1") + 5;
        for (const char *c = text; *c;) {    /* every name gets a prefix where it is a whole word */
            bool done = false;
            for (uint32_t i = 0; i < DFM_LEN(names) && !done; i++) {
                size_t len = strlen(names[i]);
                if (strncmp(c, names[i], len) || c[len] != '(' || (c > text && c[-1] == '_'))
                    continue;
                dfm_sb_printf(&copy, "my_%s", names[i]);
                c += len;
                done = true;
            }
            if (!done) dfm_sb_add(&copy, c++, 1);
        }
    }
    char own[2000], given[2000];
    snprintf(given, sizeof given, body, "", "", "", "", "", "", "", "");
    snprintf(own, sizeof own, body, "my_", "my_", "my_", "my_", "my_", "my_", "my_", "my_");
    h_ctx *x = h_compile(given, NULL);
    h_ctx *y = h_compile(dfm_fmt(a, "%s\n%s", dfm_sb_cstr(&copy), own), NULL);
    assert_string_equal(graph_text(x), graph_text(y));
    h_done(x);
    h_done(y);
    dfm_arena_destroy(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pointwise), cmocka_unit_test(gelu_refuses_other_approximations),
        cmocka_unit_test(norms), cmocka_unit_test(norm_over_a_group),
        cmocka_unit_test(softmax_over_a_middle_dim), cmocka_unit_test(linear_groups_and_same_dim),
        cmocka_unit_test(embed_takes_rows), cmocka_unit_test(patches_there_and_back),
        cmocka_unit_test(halves_of_a_dim), cmocka_unit_test(sinusoid_orders),
        cmocka_unit_test(sincos_2d_has_x_first), cmocka_unit_test(rope_on_a_grid),
        cmocka_unit_test(rope_nd_by_positions), cmocka_unit_test(ddim_tables),
        cmocka_unit_test(vlb_of_learned_variance), cmocka_unit_test(flow_path_between),
        cmocka_unit_test(learning_rates), cmocka_unit_test(copies_give_the_same_graph),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

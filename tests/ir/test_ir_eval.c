/* test_ir_eval.c - the interpreter, op by op, against a few lines of independent arithmetic. */
#include "tests/ir/ir_testing.h"

#include <stdlib.h>

#include "runtime/base/philox.h"

static void near(double got, double want)
{
    if (!(fabs(got - want) <= 1e-12 * (1 + fabs(want))) && !(isnan(got) && isnan(want)))
        fail_msg("%.17g instead of %.17g", got, want);
}

static void functions(void **state)
{
    static const struct {
        ir_fn fn;
        double a, b, c, want;
    } t[] = {
        {IR_FN_NEG, 2, 0, 0, -2},
        {IR_FN_ABS, -3, 0, 0, 3},
        {IR_FN_SIGN, -0.5, 0, 0, -1},
        {IR_FN_SIGN, 0, 0, 0, 0},
        {IR_FN_FLOOR, -1.5, 0, 0, -2},
        {IR_FN_CEIL, -1.5, 0, 0, -1},
        {IR_FN_ROUND, 2.5, 0, 0, 2},
        {IR_FN_ROUND, 3.5, 0, 0, 4},
        {IR_FN_EXP, 1, 0, 0, 2.718281828459045},
        {IR_FN_EXPM1, 1e-9, 0, 0, 1.0000000005e-9},
        {IR_FN_LOG, 2, 0, 0, 0.6931471805599453},
        {IR_FN_LOG1P, 1e-9, 0, 0, 9.999999995e-10},
        {IR_FN_SQRT, 9, 0, 0, 3},
        {IR_FN_RSQRT, 4, 0, 0, 0.5},
        {IR_FN_RECIP, 8, 0, 0, 0.125},
        {IR_FN_SIN, 0.5, 0, 0, 0.479425538604203},
        {IR_FN_COS, 0.5, 0, 0, 0.8775825618903728},
        {IR_FN_TANH, 0.5, 0, 0, 0.46211715726000973},
        {IR_FN_ERF, 0.5, 0, 0, 0.5204998778130465},
        {IR_FN_SIGMOID, -800, 0, 0, 0},
        {IR_FN_SIGMOID, 800, 0, 0, 1},
        {IR_FN_SIGMOID, 1, 0, 0, 0.7310585786300049},
        {IR_FN_NOT, 1, 0, 0, 0},
        {IR_FN_ADD, 2, 3, 0, 5},
        {IR_FN_SUB, 2, 3, 0, -1},
        {IR_FN_MUL, 2, 3, 0, 6},
        {IR_FN_DIV, 3, 2, 0, 1.5},
        {IR_FN_MOD, -1, 3, 0, 2},
        {IR_FN_MOD, 5.5, -2, 0, -0.5},
        {IR_FN_POW, 2, 10, 0, 1024},
        {IR_FN_MIN, 2, 3, 0, 2},
        {IR_FN_MAX, 2, 3, 0, 3},
        {IR_FN_LT, 2, 2, 0, 0},
        {IR_FN_LE, 2, 2, 0, 1},
        {IR_FN_EQ, 2, 2, 0, 1},
        {IR_FN_NE, 2, 2, 0, 0},
        {IR_FN_AND, 1, 0, 0, 0},
        {IR_FN_OR, 1, 0, 0, 1},
        {IR_FN_SELECT, 1, 5, 6, 5},
        {IR_FN_SELECT, 0, 5, 6, 6},
    };
    bool seen[IR_FN_COUNT] = {0};
    for (size_t i = 0; i < DFM_LEN(t); i++) {
        near(ir_fn_eval(t[i].fn, DFM_F32, t[i].a, t[i].b, t[i].c), t[i].want);
        seen[t[i].fn] = true;
    }
    for (int f = 1; f < IR_FN_COUNT; f++)
        if (!seen[f]) fail_msg("no case for %s", ir_fn_name((ir_fn)f));
    near(ir_fn_eval(IR_FN_DIV, DFM_I32, -7, 2, 0), -4);
    near(ir_fn_eval(IR_FN_DIV, DFM_I32, 7, -2, 0), -4);
    near(ir_fn_eval(IR_FN_MOD, DFM_I32, -7, 4, 0), 1);
    near(ir_fn_eval(IR_FN_MOD, DFM_I32, 7, -4, 0), -1);
    near(ir_fn_eval(IR_FN_ADD, DFM_I32, 2147483647, 1, 0), -2147483648.0);
}

/* One graph: broadcasting map, reductions, contraction, gather, scatter; checked with loops. */
static void plain_ops(void **state)
{
    world w = world_make();
    ir_builder *b = &w.b;
    enum { A = 3, C = 4, K = 5 };
    ir_dim a = dim(&w, "A", A), c = dim(&w, "C", C), k = dim(&w, "K", K);
    ir_val x = input(&w, "x", tensor(&w, DFM_F32, 2, a, c)),
           y = input(&w, "y", tensor(&w, DFM_F32, 2, c, k));
    ir_val i = input(&w, "i", tensor(&w, DFM_I32, 2, a, k)),
           z = input(&w, "z", tensor(&w, DFM_F32, 1, k));
    ir_val far = ir_map2(b, IR_FN_SUB, ir_map2(b, IR_FN_MUL, i, ir_scalar(b, DFM_I32, 3)),
                         ir_scalar(b, DFM_I32, 2));
    ir_val rows = ir_gather_rows(b, x, c, far);
    ir_val outs[] = {
        ir_map2(b, IR_FN_MUL, x, y),
        ir_reduce_over(b, IR_RED_SUM, x, &a, 1),
        ir_reduce_over(b, IR_RED_MAX, x, (ir_dim[]){c, a}, 2),
        ir_reduce_over(b, IR_RED_PROD, x, &c, 1),
        ir_reduce_over(b, IR_RED_ARGMAX, x, &c, 1),
        ir_contract_over(b, x, y, (ir_pair[]){{c, c}}, 1, tensor(&w, DFM_F32, 2, k, a)),
        rows,
        ir_scatter_add_rows(b, far, rows, c, tensor(&w, DFM_F32, 2, a, c)),
        ir_cast(b, x, DFM_I32),
        ir_cast(b, x, DFM_BF16),
        ir_contract_over(b, ir_map2(b, IR_FN_MUL, y, x), z, (ir_pair[]){{k, k}}, 1,
                         tensor(&w, DFM_F32, 2, a, c)),
        ir_reduce_over(b, IR_RED_MIN, x, &a, 1),
        x,
        y,
        i,
        z,
    };
    for (uint32_t n = 0; n < DFM_LEN(outs); n++) ir_result_add(b, outs[n], "r");
    const double **r = run(&w, w.g), *X = r[12], *Y = r[13], *I = r[14], *Z = r[15];
    double scattered[A * C] = {0}, top = -INFINITY;
    for (int ia = 0; ia < A; ia++) {
        double prod = 1, best = -INFINITY;
        int arg = 0;
        for (int ic = 0; ic < C; ic++) {
            double dot = 0;
            prod *= X[ia * C + ic];
            if (X[ia * C + ic] > best) best = X[ia * C + (arg = ic)];
            for (int ik = 0; ik < K; ik++) {
                near(r[0][(ia * C + ic) * K + ik], X[ia * C + ic] * Y[ic * K + ik]);
                dot += X[ia * C + ic] * Y[ic * K + ik] * Z[ik];
            }
            near(r[10][ia * C + ic], dot);
            near(r[8][ia * C + ic], trunc(X[ia * C + ic]));
            near(r[9][ia * C + ic],
                 (double)dfm_bf16_to_f32(dfm_f32_to_bf16((float)X[ia * C + ic])));
        }
        near(r[3][ia], prod);
        near(r[4][ia], arg);
        if (best > top) top = best;
        for (int ik = 0; ik < K; ik++) {
            double dot = 0;
            int at = (int)I[ia * K + ik] * 3 - 2;
            at = at < 0 ? 0 : at > C - 1 ? C - 1 : at;
            for (int ic = 0; ic < C; ic++) dot += X[ia * C + ic] * Y[ic * K + ik];
            near(r[5][ik * A + ia], dot);
            near(r[6][ia * K + ik], X[ia * C + at]);
            scattered[ia * C + at] += X[ia * C + at];
        }
    }
    near(r[2][0], top);
    for (int n = 0; n < A * C; n++) near(r[7][n], scattered[n]);
    for (int ic = 0; ic < C; ic++) {
        near(r[1][ic], X[ic] + X[C + ic] + X[2 * C + ic]);
        near(r[11][ic], fmin(X[ic], fmin(X[C + ic], X[2 * C + ic])));
    }
    world_free(&w);
}

/* result[s] = s % 4 > 0 ? x[s // 4, s - 1] : 9, and a clamped coordinate. */
static void views(void **state)
{
    world w = world_make();
    ir_module *m = w.m;
    ir_dim r = dim(&w, "R", 3), s = dim(&w, "S", 12), t = dim(&w, "T", 12);
    ir_val x = input(&w, "x", tensor(&w, DFM_F32, 2, r, t));
    ir_ix q = ir_ix_div(m, ir_ix_var(m, s), 4),
          p = ir_ix_add(m, ir_ix_var(m, s), ir_ix_const(m, -1));
    ir_cond c = {ir_ix_mod(m, ir_ix_var(m, s), 4), 1, 100};
    ir_result_add(&w.b, ir_view_of(&w.b, x, tensor(&w, DFM_F32, 1, s), (ir_ix[]){q, p}, &c, 1, 9),
                  "v");
    ir_ix far =
        ir_ix_clamp(m, ir_ix_add(m, ir_ix_mul(m, ir_ix_var(m, s), 2), ir_ix_const(m, -5)), 0, 11);
    ir_result_add(&w.b,
                  ir_view_of(&w.b, x, tensor(&w, DFM_F32, 2, s, r), (ir_ix[]){ir_ix_var(m, r), far},
                             NULL, 0, 0),
                  "c");
    ir_result_add(&w.b, x, "x");
    const double **out = run(&w, w.g);
    for (int i = 0; i < 12; i++) {
        assert_true(out[0][i] == (i % 4 ? out[2][i / 4 * 12 + i - 1] : 9));
        int at = 2 * i - 5 < 0 ? 0 : 2 * i - 5 > 11 ? 11 : 2 * i - 5;
        for (int k = 0; k < 3; k++) assert_true(out[1][i * 3 + k] == out[2][k * 12 + at]);
    }
    world_free(&w);
}

/* Attention with batch dims in odd places, causal, window and key mask, against the formula; its
 * gradient against central differences of sum(o * w). */
enum { B = 2, Q = 3, K = 4, H = 2, F = 3, V = 2 };

typedef struct heads { /* q [Q,B,F,H]  k [B,K,H,F]  v [H,V,K]  mask [B,K] */
    double q[Q * B * F * H], k[B * K * H * F], v[H * V * K], mask[B * K], w[B * Q * H * V];
} heads;

static double attention(const heads *x, bool causal, int window, double scale, double *o,
                        double *lse)
{
    double total = 0;
    for (int b = 0; b < B; b++)
        for (int h = 0; h < H; h++)
            for (int q = 0; q < Q; q++) {
                double s[K], z = 0;
                for (int k = 0; k < K; k++) {
                    double dot = 0;
                    for (int f = 0; f < F; f++)
                        dot += x->q[((q * B + b) * F + f) * H + h]
                               * x->k[((b * K + k) * H + h) * F + f];
                    bool seen = x->mask[b * K + k] != 0 && (!causal || k <= q)
                                && (!window || abs(q - k) <= window);
                    s[k] = seen ? exp(scale * dot) : 0;
                    z += s[k];
                }
                if (lse) lse[(q * B + b) * H + h] = log(z);
                for (int v = 0; v < V; v++) {
                    double acc = 0;
                    for (int k = 0; k < K && z > 0; k++)
                        acc += s[k] / z * x->v[(h * V + v) * K + k];
                    if (o) o[((q * B + b) * V + v) * H + h] = acc;
                    total += acc * x->w[((q * B + b) * V + v) * H + h];
                }
            }
    return total;
}

static const double *given(void *user, const ir_module *m, const ir_graph *g, ir_val v)
{
    const heads *x = user;
    const double *all[] = {x->q, x->k, x->v, x->mask, x->w};
    return all[ir_op_of(g, v)->at->input.index];
}

static void attend_case(bool causal, int window, bool masked)
{
    world w = world_make();
    ir_dim b = dim(&w, "B", B), q = dim(&w, "Q", Q), k = dim(&w, "K", K), h = dim(&w, "H", H);
    ir_dim f = dim(&w, "F", F), v = dim(&w, "V", V);
    heads x;
    uint64_t seed = 9;
    double *all = (double *)&x;
    for (size_t i = 0; i < sizeof x / sizeof *all; i++)
        all[i] = (double)roll_in(&seed, -100, 100) / 60;
    for (int i = 0; i < B * K; i++)
        x.mask[i] = !masked || (i % 3 != 1 && i < K); /* batch 1: none */
    ir_val vals[5] = {input(&w, "q", tensor(&w, DFM_F32, 4, q, b, f, h)),
                      input(&w, "k", tensor(&w, DFM_F32, 4, b, k, h, f)),
                      input(&w, "v", tensor(&w, DFM_F32, 3, h, v, k)),
                      input(&w, "mask", tensor(&w, DFM_BOOL, 2, b, k)),
                      input(&w, "w", tensor(&w, DFM_F32, 4, q, b, v, h))};
    ir_attend at = {.seq = q,
                    .over = k,
                    .feature = f,
                    .value = v,
                    .scale = 0.7,
                    .causal = causal,
                    .window = window};
    ir_val o = ir_attend_fwd(&w.b, vals[0], vals[1], vals[2], vals[3], &at);
    ir_val oo = ir_get(&w.b, o, 0), lse = ir_get(&w.b, o, 1);
    ir_val back = ir_attend_back(&w.b, vals[0], vals[1], vals[2], oo, lse, vals[4], vals[3], &at);
    ir_result_add(&w.b, oo, "o");
    ir_result_add(&w.b, lse, "lse");
    for (uint32_t i = 0; i < 3; i++) ir_result_add(&w.b, ir_get(&w.b, back, i), "d");
    dfm_err err = {0};
    if (ir_verify(w.m, &err) != DFM_OK) fail_msg("%s", err.text);
    ir_env env = {.lookup = given, .user = &x};
    const double *r[5];
    assert_int_equal(ir_interpret(w.m, w.g, &env, w.a, r, &err), DFM_OK);
    double want[Q * B * V * H], want_lse[Q * B * H];
    attention(&x, causal, window, 0.7, want, want_lse);
    for (int i = 0; i < Q * B * V * H; i++) near(r[0][i], want[i]);
    for (int i = 0; i < Q * B * H; i++)
        if (isfinite(want_lse[i]))
            near(r[1][i], want_lse[i]);
        else
            assert_true(r[1][i] == want_lse[i]);
    double *parts[3] = {x.q, x.k, x.v};
    int sizes[3] = {Q * B * F * H, B * K * H * F, H * V * K};
    for (int p = 0; p < 3; p++)
        for (int i = 0; i < sizes[p]; i++) {
            double keep = parts[p][i], eps = 1e-5;
            parts[p][i] = keep + eps;
            double up = attention(&x, causal, window, 0.7, NULL, NULL);
            parts[p][i] = keep - eps;
            double down = attention(&x, causal, window, 0.7, NULL, NULL);
            parts[p][i] = keep;
            if (fabs(r[2 + p][i] - (up - down) / (2 * eps)) > 1e-8)
                fail_msg("gradient %d[%d]: %g, difference %g", p, i, r[2 + p][i],
                         (up - down) / (2 * eps));
        }
    world_free(&w);
}

static void attend(void **state)
{
    attend_case(false, 0, false);
    attend_case(true, 0, false);
    attend_case(false, 1, false);
    attend_case(false, 0, true);
    attend_case(true, 2, true);
}

/* Draws are keyed as philox.h documents: sample dim in the middle, offset of the batch, loops. */
static void draws(void **state)
{
    world w = world_make();
    ir_builder *b = &w.b;
    ir_dim a = dim(&w, "A", 3), n = dim(&w, "N", 2), c = dim(&w, "C", 5), l = dim(&w, "L", 4);
    ir_random rn = {.dist = IR_NORMAL, .stream = 77, .sample = n};
    ir_random ru = {.dist = IR_UNIFORM, .stream = 78};
    ir_random ri = {.dist = IR_RANDINT, .stream = 79, .sample = n, .lo = -3, .hi = 9};
    uint32_t body;
    ir_builder bb = {.m = w.m, .g = ir_graph_create(w.m, "body", &body)};
    ir_val it = ir_input_new(&bb, tensor(&w, DFM_I32, 0), IR_ROLE_BODY, 0, "i");
    ir_result_add(&bb, ir_random_draw(&bb, tensor(&w, DFM_F32, 2, n, a), &rn, &it, 1), "y");
    ir_scan s = {.body = body, .loop = l, .n_ys = 1};
    ir_result_add(b, ir_random_draw(b, tensor(&w, DFM_F32, 3, a, n, c), &rn, NULL, 0), "n");
    ir_result_add(b, ir_random_draw(b, tensor(&w, DFM_F32, 2, a, c), &ru, NULL, 0), "u");
    ir_result_add(b, ir_random_draw(b, tensor(&w, DFM_I32, 1, n), &ri, NULL, 0), "i");
    ir_result_add(b, ir_get(b, ir_scan_over(b, &s, NULL, 0), 0), "l");
    ir_val two[2] = {ir_scalar(b, DFM_I32, 3), ir_scalar(b, DFM_I32, 2)}; /* nested loops */
    ir_result_add(b, ir_random_draw(b, tensor(&w, DFM_F32, 1, a), &ru, two, 2), "k");
    ir_env env = {.seed = 123456789012345, .step = 6, .first_sample = 100};
    dfm_err err = {0};
    const double *r[5];
    assert_int_equal(ir_interpret(w.m, w.g, &env, w.a, r, &err), DFM_OK);
    for (uint32_t ia = 0; ia < 3; ia++)
        for (uint32_t in = 0; in < 2; in++)
            for (uint32_t ic = 0; ic < 5; ic++)
                assert_true(r[0][(ia * 2 + in) * 5 + ic]
                            == (double)dfm_draw_normal(env.seed, 77, 6, 100 + in, 0, ia * 5 + ic));
    for (uint32_t i = 0; i < 15; i++)
        assert_true(r[1][i] == (double)dfm_draw_uniform(env.seed, 78, 6, 0, 0, i));
    for (uint32_t i = 0; i < 2; i++)
        assert_true(r[2][i] == dfm_draw_randint(env.seed, 79, 6, 100 + i, 0, 0, -3, 9));
    for (uint32_t il = 0; il < 4; il++)
        for (uint32_t i = 0; i < 6; i++)
            assert_true(r[3][il * 6 + i]
                        == (double)dfm_draw_normal(env.seed, 77, 6, 100 + i / 3, il, i % 3));
    uint32_t joined = dfm_draw_loop(dfm_draw_loop(0, 3), 2);
    for (uint32_t i = 0; i < 3; i++)
        assert_true(r[4][i] == (double)dfm_draw_uniform(env.seed, 78, 6, 0, joined, i));
    world_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(functions), cmocka_unit_test(plain_ops), cmocka_unit_test(views),
        cmocka_unit_test(attend),    cmocka_unit_test(draws),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

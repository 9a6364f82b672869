/* test_cpu_math.c - the vectorisable functions of generated code against libm in double.
 *
 * Fails if an error bound is exceeded anywhere on a dense grid, or if a special value is wrong.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "runtime/base/dtype.h"
#include "runtime/base/philox.h"
#include "codegen/cpu/templates/prelude.h"

/* attn_tile.h wants the sizes of a node: any will do. */
#define B0 1
#define B1 1
#define B2 1
#define B3 1
#define SEQ 1
#define OVER 1
#define CAUSAL 0
#define WINDOW 0
#define HAS_MASK 0
#define SLOTS 0
#include "codegen/cpu/templates/attn_tile.h"

static double ulps(float y, double r)
{
    float size = (float)fabs(r);
    if (size < 0x1p-126f) size = 0x1p-126f;
    return fabs((double)y - r) / ((double)nextafterf(size, INFINITY) - (double)size);
}

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }

/* The header's functions are inlined always; these have an address. */
#define WRAP(f) static float w##f(float x) { return f(x); }
WRAP(f_exp) WRAP(f_expm1) WRAP(f_log) WRAP(f_log1p) WRAP(f_tanh) WRAP(f_sigmoid) WRAP(f_erf)
WRAP(f_sin) WRAP(f_cos)

static void test_bounds(void **state)
{
    (void)state;
    const struct {
        const char *name;
        float (*f)(float);
        double (*g)(double);
        double lo, hi, limit;
    } t[] = {
        {"exp", wf_exp, exp, -87, 88.7, 1.5},      {"exp tiny", wf_exp, exp, -103, -87, 1.5},
        {"expm1", wf_expm1, expm1, -10, 10, 2},    {"expm1 small", wf_expm1, expm1, -1e-2, 1e-2, 1},
        {"log", wf_log, log, 1e-30, 1e3, 1.5},     {"log near 1", wf_log, log, 0.5, 2, 1.5},
        {"log1p", wf_log1p, log1p, -0.9, 10, 3},   {"log1p small", wf_log1p, log1p, -1e-3, 1e-3, 3},
        {"tanh", wf_tanh, tanh, -11, 11, 3.5},     {"tanh small", wf_tanh, tanh, -0.1, 0.1, 3.5},
        {"sigmoid", wf_sigmoid, sigmoid, -80, 80, 3.5}, {"erf", wf_erf, erf, -5, 5, 3},
        {"erf small", wf_erf, erf, -1e-2, 1e-2, 3}, {"sin", wf_sin, sin, -10, 10, 2},
        {"sin large", wf_sin, sin, -1e5, 1e5, 2},  {"cos", wf_cos, cos, -10, 10, 2},
        {"cos large", wf_cos, cos, -1e5, 1e5, 2},  {"sin huge", wf_sin, sin, 3e5, 1e7, 2},
    };
    enum { N = 200000 };
    for (size_t k = 0; k < sizeof t / sizeof *t; k++) {
        double worst = 0, at = 0;
        for (int i = 0; i <= N; i++) {
            float x = (float)(t[k].lo + (t[k].hi - t[k].lo) * i / N);
            double u = ulps(t[k].f(x), t[k].g((double)x));
            if (u > worst) { worst = u; at = (double)x; }
        }
        if (worst > t[k].limit) fail_msg("%s: %.2f ulp at %g", t[k].name, worst, at);
    }
}

static void test_special(void **state)
{
    (void)state;
    assert_true(f_exp(-200) == 0 && f_exp(200) == INFINITY && isnan(f_exp(NAN)));
    assert_true(f_exp(-INFINITY) == 0 && f_exp(INFINITY) == INFINITY);
    assert_true(f_log(0) == -INFINITY && isnan(f_log(-1)) && f_log(INFINITY) == INFINITY);
    assert_true(fabs((double)f_log(1e-42f) - log((double)1e-42f)) < 1e-4);
    assert_true(f_tanh(50) == 1 && f_tanh(-50) == -1 && isnan(f_tanh(NAN)));
    assert_true(f_erf(9) == 1 && f_erf(-9) == -1 && isnan(f_erf(NAN)));
    assert_true(f_sigmoid(-200) == 0 && f_sigmoid(200) == 1);
    assert_true(isnan(f_sin(INFINITY)) && f_cos(0) == 1);
    assert_int_equal(floor_div(-7, 2), -4);
    assert_int_equal(floor_mod(-7, 2), 1);
    assert_int_equal(floor_mod(7, -2), -1);
    assert_int_equal(floor_div(7, 0), 0);
    assert_int_equal(to_bf16(1.00390625f), 0x3f80);      /* a tie goes to even */
    assert_int_equal(to_bf16(1.01171875f), 0x3f82);
    assert_true(isnan(from_bf16(to_bf16(NAN))));
}

/* Every upper half with what lies around the ends and the middle below it: also infinities, all
 * kinds of NaN, subnormals, ties. */
static void test_bf16(void **state)
{
    (void)state;
    static const uint32_t below[] = {0, 1, 0x3fff, 0x7fff, 0x8000, 0x8001, 0xfffe, 0xffff};
    for (uint32_t i = 0; i < 8 * 65536; i++) {
        float x = as_float((int32_t)(i >> 3 << 16 | below[i & 7]));
        uint16_t want = dfm_f32_to_bf16(x);
        if (to_bf16(x) != want || rounded_to_bf16(round_bf16(x)) != want)
            fail_msg("%08x becomes %04x, not %04x", as_int(x), to_bf16(x), want);
        assert_int_equal(as_int(round_bf16(x)), (int32_t)((uint32_t)want << 16));
    }
}

/* 2^(x - ref) of attention: 2.5e-7 relative, whatever the reference. */
static void test_exp2(void **state)
{
    (void)state;
    enum { N = 400000 };
    const float refs[] = {0, 1, -17, 1000, -4000000};
    for (size_t k = 0; k < sizeof refs / sizeof *refs; k++)
        for (int i = 0; i <= N; i++) {
            const float ref = refs[k], x = ref + (float)(-125.0 + 125.5 * i / N);
            const vec y = exp2_from(splat(x), splat(0x1.8p+23f - ref), splat(ref - 126.0f));
            const double r = exp2((double)x - (double)ref);
            if (!(fabs((double)y[0] - r) <= 2.5e-7 * r))
                fail_msg("2^(%a - %g) is %a", x, ref, y[0]);
        }
    assert_true(isnan(exp2_from(splat(NAN), splat(0x1.8p+23f), splat(-126.0f))[VL - 1]));
    assert_true(exp2_from(splat(-INFINITY), splat(0x1.8p+23f), splat(-126.0f))[0] <= 0x1p-125f);
}

static void test_transpose(void **state)
{
    (void)state;
    float a[VL][2 * VL], b[2 * VL][VL];
    for (int i = 0; i < VL; i++)
        for (int j = 0; j < 2 * VL; j++) a[i][j] = (float)(100 * i + j);
    transpose_tile(VL, 2 * VL, a[0], 2 * VL, b[0], VL);
    for (int i = 0; i < VL; i++)
        for (int j = 0; j < 2 * VL; j++) assert_true(b[j][i] == a[i][j]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_special),
        cmocka_unit_test(test_bf16),
        cmocka_unit_test(test_exp2),
        cmocka_unit_test(test_transpose),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

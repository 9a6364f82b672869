/* test_cpu_math.c - the vectorisable functions of generated code against libm in double.
 *
 * Fails if an error bound is exceeded anywhere on a dense grid, or if a special value is wrong.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "runtime/base/philox.h"
#include "codegen/cpu/templates/prelude.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_bounds),
                                       cmocka_unit_test(test_special)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

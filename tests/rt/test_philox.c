/* test_philox.c - the generator against Random123's known answers, its draws against libm in
 * double precision, and one golden hash that every compiler flag must reproduce. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdbool.h>

#include "runtime/base/hash.h"
#include "runtime/base/philox.h"

static void known_answers(void **state)
{
    static const struct { uint32_t ctr[4], key[2], want[4]; } t[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        uint32_t out[4];
        dfm_philox(t[i].key, t[i].ctr, out);
        assert_memory_equal(out, t[i].want, sizeof out);
    }
}

/* Every input that a draw can have (stride 3, to be quick): errors in units of the last place. */
static double error_in_ulp(float got, double want)
{
    int e;
    frexpf((float)want, &e);
    return fabs((double)got - want) / ldexp(1.0, e - 24);
}

static void log_is_accurate(void **state)
{
    assert_true(dfm_logf_exact(1.0f) == 0.0f);
    double worst = 0;
    for (uint32_t i = 1; i < 1u << 24; i += 3) {
        float u = (float)i * 0x1p-24f;
        double e = error_in_ulp(dfm_logf_exact(u), log((double)u));
        if (e > worst) worst = e;
    }
    for (float x = 0x1p-126f; x < 0x1p127f; x *= 1.37f) {
        double e = error_in_ulp(dfm_logf_exact(x), log((double)x));
        if (e > worst) worst = e;
    }
    assert_true(worst < 1.0);
}

static void sincos_is_accurate(void **state)
{
    static const float quarter[5][2] = {{0, 1}, {1, 0}, {0, -1}, {-1, 0}, {0, 1}};
    for (int q = 0; q <= 4; q++) {
        float s, c;
        dfm_sincos_2pi((float)q * 0.25f, &s, &c);
        assert_true(s == quarter[q][0] && c == quarter[q][1]);
    }
    double worst = 0;
    for (uint32_t i = 1; i < 1u << 24; i += 3) {
        if (i % (1u << 22) == 0) continue;
        float u = (float)i * 0x1p-24f, s, c;
        dfm_sincos_2pi(u, &s, &c);
        double a = 6.283185307179586476925286766559 * (double)u;
        double e = fmax(error_in_ulp(s, sin(a)), error_in_ulp(c, cos(a)));
        if (e > worst) worst = e;
    }
    assert_true(worst < 1.0);
}

/* Means of powers over 2^18 draws, within five standard errors. */
static void moments(void **state)
{
    enum { N = 1 << 18 };
    double m[4] = {0}, u1 = 0, u2 = 0;
    for (uint32_t i = 0; i < N; i++) {
        double x = dfm_draw_normal(7, 99, 3, i >> 8, 1, i & 255);
        double u = dfm_draw_uniform(7, 98, 3, i >> 8, 1, i & 255);
        assert_true(u >= 0 && u < 1);
        for (int k = 0, p = 1; k < 4; k++, p++) m[k] += pow(x, p) / N;
        u1 += u / N;
        u2 += u * u / N;
    }
    double se = 1 / sqrt((double)N);
    assert_true(fabs(m[0]) < 5 * se);
    assert_true(fabs(m[1] - 1) < 5 * sqrt(2) * se);
    assert_true(fabs(m[2]) < 5 * sqrt(15) * se);
    assert_true(fabs(m[3] - 3) < 5 * sqrt(96) * se);
    assert_true(fabs(u1 - 0.5) < 5 * sqrt(1 / 12.0) * se);
    assert_true(fabs(u2 - 1 / 3.0) < 5 * sqrt(4 / 45.0) * se);
}

static void integers(void **state)
{
    uint32_t count[7] = {0};
    for (uint32_t i = 0; i < 70000; i++) {
        int32_t x = dfm_draw_randint(1, 2, 0, i, 0, 0, -3, 4);
        assert_in_range(x + 3, 0, 6);
        count[x + 3]++;
    }
    for (int k = 0; k < 7; k++) assert_in_range(count[k], 9500, 10500);
    assert_int_equal(dfm_word_randint(0xffffffffu, INT32_MIN, INT32_MAX), INT32_MAX - 1);
    assert_int_equal(dfm_word_randint(0, INT32_MIN, INT32_MAX), INT32_MIN);
}

/* Each of the six numbers changes the draw; neighbours share a block but not a word. */
static void every_coordinate_counts(void **state)
{
    uint32_t base = dfm_draw_word(1, 2, 3, 4, 5, 6);
    assert_int_equal(base, dfm_draw_word(1, 2, 3, 4, 5, 6));
    uint32_t other[] = {
        dfm_draw_word(2, 2, 3, 4, 5, 6),          dfm_draw_word(1, 3, 3, 4, 5, 6),
        dfm_draw_word(1, 2, 4, 4, 5, 6),          dfm_draw_word(1, 2, 3, 5, 5, 6),
        dfm_draw_word(1, 2, 3, 4, 6, 6),          dfm_draw_word(1, 2, 3, 4, 5, 7),
        dfm_draw_word(1, 2, 3, 4, 5, 10),         dfm_draw_word(1ull << 32 | 1, 2, 3, 4, 5, 6),
        dfm_draw_word(1, 1ull << 32 | 2, 3, 4, 5, 6),
    };
    for (size_t i = 0; i < sizeof other / sizeof other[0]; i++) assert_true(other[i] != base);
}

static void golden_bits(void **state)
{
    static float x[3][4096];
    for (uint32_t i = 0; i < 4096; i++) {
        x[0][i] = dfm_draw_normal(1234, 0x123456789abcdefull, 17, i / 64, 2, i % 64);
        x[1][i] = dfm_draw_uniform(1234, 0x123456789abcdefull, 17, i / 64, 2, i % 64);
        x[2][i] = (float)dfm_draw_randint(1234, 0x123456789abcdefull, 17, i / 64, 2, i % 64, 0,
                                          1000);
    }
    char hex[33];
    assert_string_equal(dfm_hash128_hex(dfm_hash128_of(x, sizeof x), hex),
                        "ca1eba474434745f852530af7340b4ab");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers),   cmocka_unit_test(log_is_accurate),
        cmocka_unit_test(sincos_is_accurate), cmocka_unit_test(moments),
        cmocka_unit_test(integers),        cmocka_unit_test(every_coordinate_counts),
        cmocka_unit_test(golden_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_cpu_gemm.c - oneDNN's products against three loops: layouts, batches, broadcasts, extents 1.
 *
 * Fails if a stride, a batch dim, a transposition or the bias is described wrongly.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "runtime/device/gemm/cpu_gemm.h"

enum { ROOM = 1 << 15 };

static double at(dfm_dtype d, const void *p, int64_t i)
{
    return dfm_load_as_double(d, p, (size_t)i);
}

static void check(const cpu_gemm_shape *s, const char *what)
{
    static char a[ROOM * 4], b[ROOM * 4], c[ROOM * 4];
    static float bias[ROOM];
    char *scratch = NULL;
    for (int i = 0; i < ROOM; i++) {
        dfm_store_double(s->da, a, (size_t)i, sin(i * 0.37) + 0.1);
        dfm_store_double(s->db, b, (size_t)i, cos(i * 0.91) - 0.2);
        dfm_store_double(s->dc, c, (size_t)i, -77);
        bias[i] = (float)(i % 7) - 3;
    }
    cpu_gemm *g;
    dfm_err err = {0};
    if (cpu_gemm_create(s, &g, &err) != DFM_OK) fail_msg("%s: %s", what, err.text);
    uint64_t bytes = cpu_gemm_scratch(s);
    if (bytes) scratch = aligned_alloc(64, bytes);
    assert_int_equal(cpu_gemm_run(g, a, b, c, bias, scratch, &err), DFM_OK);
    double limit = s->dc == DFM_BF16 ? 1e-2 : 1e-5 * (double)s->k;
    for (int64_t i0 = 0; i0 < s->batch[0]; i0++)
        for (int64_t i1 = 0; i1 < s->batch[1]; i1++)
            for (int64_t m = 0; m < s->m; m++)
                for (int64_t n = 0; n < s->n; n++) {
                    double want = s->has_bias ? (double)bias[n] : 0, sum = 0;
                    for (int64_t k = 0; k < s->k; k++)
                        sum += at(s->da, a,
                                  i0 * s->sa[0] + i1 * s->sa[1] + m * s->sa[2] + k * s->sa[3]) *
                               at(s->db, b,
                                  i0 * s->sb[0] + i1 * s->sb[1] + k * s->sb[2] + n * s->sb[3]);
                    want += sum;
                    double got = at(s->dc, c,
                                    i0 * s->sc[0] + i1 * s->sc[1] + m * s->sc[2] + n * s->sc[3]);
                    if (!(fabs(got - want) <= limit * (1 + fabs(want))))
                        fail_msg("%s at %d %d: %g, not %g", what, (int)m, (int)n, got, want);
                }
    cpu_gemm_destroy(g);
    free(scratch);
}

static void test_layouts(void **state)
{
    (void)state;
    const dfm_dtype F = DFM_F32, H = DFM_BF16;
    const cpu_gemm_shape t[] = {
        {{1, 1}, 5, 7, 9, {0, 0, 9, 1}, {0, 0, 7, 1}, {0, 0, 7, 1}, F, F, F, false},
        {{1, 1}, 5, 7, 9, {0, 0, 1, 5}, {0, 0, 1, 9}, {0, 0, 7, 1}, F, F, F, true},
        {{1, 1}, 5, 7, 9, {0, 0, 20, 1}, {0, 0, 30, 1}, {0, 0, 40, 1}, F, F, F, true},
        {{1, 3}, 4, 6, 8, {0, 32, 8, 1}, {0, 48, 6, 1}, {0, 24, 6, 1}, F, F, F, false},
        {{1, 3}, 4, 6, 8, {0, 8, 24, 1}, {0, 0, 1, 8}, {0, 6, 18, 1}, F, F, F, true},
        {{2, 3}, 4, 6, 8, {96, 32, 8, 1}, {0, 48, 6, 1}, {72, 24, 6, 1}, F, F, F, false},
        {{1, 1}, 1, 7, 9, {0, 0, 0, 1}, {0, 0, 7, 1}, {0, 0, 0, 1}, F, F, F, false},
        {{1, 1}, 5, 1, 9, {0, 0, 9, 1}, {0, 0, 1, 0}, {0, 0, 1, 0}, F, F, F, false},
        {{1, 1}, 5, 7, 1, {0, 0, 1, 0}, {0, 0, 0, 1}, {0, 0, 7, 1}, F, F, F, false},
        {{1, 1}, 1, 1, 1, {0, 0, 0, 0}, {0, 0, 0, 0}, {0, 0, 0, 0}, F, F, F, true},
        {{1, 1}, 64, 96, 128, {0, 0, 128, 1}, {0, 0, 1, 128}, {0, 0, 96, 1}, H, H, F, false},
        {{1, 1}, 6, 9, 33, {0, 0, 33, 1}, {0, 0, 1, 33}, {0, 0, 9, 1}, H, H, H, true},
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        char what[32];
        snprintf(what, sizeof what, "case %d", (int)i);
        if (t[i].da == DFM_BF16 && !cpu_gemm_takes(&t[i])) continue;     /* no such instructions */
        assert_true(cpu_gemm_takes(&t[i]));
        check(&t[i], what);
    }
}

static void test_refuses_mixed(void **state)
{
    (void)state;
    cpu_gemm_shape s = {{1, 1}, 4, 4, 4, {0, 0, 4, 1}, {0, 0, 4, 1}, {0, 0, 4, 1},
                        DFM_F32, DFM_BF16, DFM_F32, false};
    assert_false(cpu_gemm_takes(&s));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_layouts),
                                       cmocka_unit_test(test_refuses_mixed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

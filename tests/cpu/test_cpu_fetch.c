/* test_cpu_fetch.c - which lines a kernel's C asks for ahead, and in which pass. The values do not
 * depend on it, so that no other test would miss it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "codegen/cpu/cpu.h"

enum { MOST = 8 };

#define HEAD "kir\ndim B 64\ndim D 384\n"
#define BUF(name, mem) "buf " name " " mem " f32 24576 program 0 offset 0\n"
#define ARG(name) " arg " name " f32 [B 384, D 1] + 0 loop 0 0 0 0\n"
#define KERNEL "program p arena 0 {\n kernel k {\n rows B keep 0 block 8\n lanes D\n"

/* Three passes over x, y and z, which the third reads; its result takes the place of x. */
#define THREE(more, value, last)                                                                   \
    HEAD BUF("x", "output") BUF("y", "input") BUF("z", "input")                                    \
    KERNEL ARG("x") ARG("y") ARG("z") ARG("out x")                                                 \
    " pass {\n %1 = load f32 0 (B, D) fill 0 keep\n %2 = load f32 1 (B, D) fill 0 keep\n"          \
    " %3 = fn f32 %1 %2 mul\n %4 = reduce f32 %3 sum\n }\n"                                        \
    " pass {\n %5 = fn f32 %1 %4 mul keep\n %6 = reduce f32 %5 sum\n }\n"                          \
    " pass {\n %7 = load f32 2 (B, D) fill 0\n %8 = fn f32 %7 %6 add\n" more                       \
    " " last " = store f32 " value " 3 (B, D)\n }\n }\n}\n"

static const char three[] = THREE("", "%8", "%9");
static const char dear[] =
    THREE(" %9 = fn f32 %8 exp\n %10 = fn f32 %9 exp\n %11 = fn f32 %10 exp\n", "%11", "%12");
static const char one[] =
    HEAD BUF("x", "input") BUF("y", "output")
    KERNEL ARG("x") ARG("out y")
    " pass {\n %1 = load f32 0 (B, D) fill 0\n %2 = fn f32 %1 %1 add\n"
    " %3 = store f32 %2 1 (B, D)\n }\n }\n}\n";
static const char gelu_like[] =
    HEAD BUF("x", "input") BUF("y", "output")
    KERNEL ARG("x") ARG("out y")
    " pass {\n %1 = load f32 0 (B, D) fill 0\n %2 = fn f32 %1 tanh\n"
    " %3 = store f32 %2 1 (B, D)\n }\n }\n}\n";

/* Of each pass of the kernel in `text`: which arguments it asks for, one letter each; '!' after
 * one that will be written. */
static uint32_t fetches(const char *text, char out[MOST][MOST * 2])
{
    dfm_arena *a = dfm_arena_create("test");
    dfm_names *names = dfm_names_create(a);
    kir_module *m;
    dfm_err err = {0};
    if (kir_parse(a, names, text, strlen(text), &m, &err) != DFM_OK) fail_msg("%s", err.text);
    if (kir_verify(m, &err) != DFM_OK) fail_msg("%s", err.text);
    dfm_sb c = dfm_sb_make(a);
    cpu_emit_kernel(&c, m, m->programs.p[0]->nodes.p[0]->kernel, "k");
    uint32_t passes = 0, n = 0;
    static const char mark[] = "__builtin_prefetch(a", loop[] = "_Pragma(\"omp simd";
    for (const char *at = dfm_sb_cstr(&c); *at && passes < MOST; at++) {
        if (!strncmp(at, mark, strlen(mark)) && n + 2 < MOST * 2) {
            out[passes][n++] = (char)('a' + at[strlen(mark)] - '0');
            const char *end = strchr(at, '\n');
            if (!strncmp(end - 5, ", 1);", 5)) out[passes][n++] = '!';
        }
        if (!strncmp(at, loop, strlen(loop))) out[passes++][n] = 0, n = 0;
    }
    dfm_arena_destroy(a);
    return passes;
}

static void test_each_pass_has_its_share(void **state)
{
    (void)state;
    char pass[MOST][MOST * 2];
    assert_int_equal(fetches(three, pass), 3);
    assert_string_equal(pass[0], "a!");
    assert_string_equal(pass[1], "b");
    assert_string_equal(pass[2], "c");
}

static void test_one_pass_has_all(void **state)
{
    (void)state;
    char pass[MOST][MOST * 2];
    assert_int_equal(fetches(one, pass), 1);
    assert_string_equal(pass[0], "ab!");
}

static void test_busy_kernels_ask_for_nothing(void **state)
{
    (void)state;
    char pass[MOST][MOST * 2];
    assert_int_equal(fetches(gelu_like, pass), 1);
    assert_string_equal(pass[0], "");
    assert_int_equal(fetches(dear, pass), 3);
    for (int i = 0; i < 3; i++) assert_string_equal(pass[i], "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_pass_has_its_share),
        cmocka_unit_test(test_one_pass_has_all),
        cmocka_unit_test(test_busy_kernels_ask_for_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_code_open.c - compiled objects side by side: each is itself, whatever was opened before. */
#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "codegen/cpu/code_run.h"
#include "codegen/cpu/cpu.h"

enum { N = 3 };

static cg_object compile(dfm_arena *a, int value)
{
    cg_options o = {.arch = "x86-64-v2", .cc = "cc", .jobs = 1, .quick = true};
    cg_object object = {0};
    dfm_err err = {0};
    const char *text = dfm_fmt(a, "int value(void) { return %d; }\n", value);
    if (cpu_compile(&text, 1, &o, a, &object, &err) != DFM_OK) fail_msg("%s", err.text);
    return object;
}

static void open_object(const cg_object *o, code_file *f)
{
    dfm_err err = {0};
    if (code_open(o->code, o->n_code, f, &err) != DFM_OK) fail_msg("%s", err.text);
}

static int value_of(const code_file *f)
{
    int (*fn)(void) = (int (*)(void))dlsym(f->handle, "value");
    assert_non_null(fn);
    return fn();
}

static void test_together(void **state)
{
    (void)state;
    dfm_arena *a = dfm_arena_create("test");
    cg_object object[N];
    code_file f[N];
    for (int i = 0; i < N; i++) object[i] = compile(a, 100 + i);
    for (int i = 0; i < N; i++) open_object(&object[i], &f[i]);
    for (int i = 0; i < N; i++) assert_int_equal(value_of(&f[i]), 100 + i);
    code_close(&f[0]);                       /* its descriptor is free for the next */
    open_object(&object[2], &f[0]);
    assert_int_equal(value_of(&f[0]), 102);
    assert_int_equal(value_of(&f[1]), 101);
    for (int i = 0; i < N; i++) code_close(&f[i]);
    dfm_arena_destroy(a);
}

static void test_refused(void **state)
{
    (void)state;
    dfm_err err = {0};
    code_file f;
    assert_int_equal(code_open("no object", 9, &f, &err), DFM_INTERNAL);
    assert_null(f.handle);
    code_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_together),
                                       cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

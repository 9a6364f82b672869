/* rt_test.h - what the runtime's tests share: cmocka, a folder to write in, hostile bytes. */
#ifndef DFM_TESTS_RT_TEST_H
#define DFM_TESTS_RT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/arena.h"
#include "runtime/base/file.h"
#include "runtime/base/status.h"
#include "runtime/base/str.h"

typedef struct rt_fixture {
    dfm_arena *arena;
    const char *folder;        /* fresh and empty for each test */
    dfm_err err;
} rt_fixture;

static inline int rt_setup(void **state)
{
    const char *base = getenv("TMPDIR");
    dfm_arena *a = dfm_arena_create("test");
    rt_fixture *f = dfm_new(a, rt_fixture);
    f->arena = a;
    char *path = dfm_fmt(a, "%s/dfm-rt-test-XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(path)) return -1;
    f->folder = path;
    *state = f;
    return 0;
}

static inline int rt_teardown(void **state)
{
    rt_fixture *f = *state;
    dfm_remove_tree(f->folder, NULL);
    dfm_arena_destroy(f->arena);
    return 0;
}

static inline const char *rt_path(rt_fixture *f, const char *name)
{
    return dfm_path_join(f->arena, f->folder, name);
}

static inline void rt_write(const char *path, const void *p, size_t n)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(p, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
}

static inline void rt_write_text(const char *path, const char *text)
{
    rt_write(path, text, strlen(text));
}

/* Flip one bit of a file. */
static inline void rt_flip(const char *path, long at)
{
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, at, at < 0 ? SEEK_END : SEEK_SET), 0);
    int c = fgetc(file);
    assert_true(c != EOF);
    assert_int_equal(fseek(file, -1, SEEK_CUR), 0);
    fputc(c ^ 1, file);
    assert_int_equal(fclose(file), 0);
}

/* The call fails with this code, and its message holds this text. The error is cleared. */
#define RT_FAILS(f, expr, status, words)                                                        \
    do {                                                                                        \
        assert_int_equal((expr), (status));                                                     \
        assert_int_equal((f)->err.code, (status));                                              \
        if (!strstr((f)->err.text, (words)))                                                    \
            fail_msg("message lacks '%s':\n%s", (words), (f)->err.text);                        \
        dfm_err_clear(&(f)->err);                                                               \
    } while (0)

#define RT_OK(f, expr)                                                                          \
    do {                                                                                        \
        if ((expr) != DFM_OK) fail_msg("%s: %s", #expr, (f)->err.text);                         \
    } while (0)

#define RT_TEST(name) cmocka_unit_test_setup_teardown(name, rt_setup, rt_teardown)

#endif

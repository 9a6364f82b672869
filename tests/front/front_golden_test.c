/* front_golden_test.c - source files beside the text they must give.
 *
 *   errors/X.dfm   the printed reports       X.txt
 *   tokens/X.dfm   the token dump            X.txt
 *   trees/X.dfm    the tree                  X.txt   (with spans if X starts with "spans")
 *   fmt/X.dfm      the formatted file        X.txt
 *
 * DFM_UPDATE=1 in the environment writes the .txt files instead; read the difference before you
 * commit it. Every code of E01 and E02 must occur in errors/, except those that need a large
 * file (front_limits_test.c).
 */
#include <dirent.h>

#include "runtime/base/file.h"
#include "tests/front/front_util.h"

typedef char *make_text(front *f, const char *name);

static char *make_errors(front *f, const char *name)
{
    ast_parse(f->a, f->cx, f->src);
    return front_reports(f, DIAG_TEXT);
}

static char *make_tokens(front *f, const char *name) { return front_tokens(f); }

static char *make_tree(front *f, const char *name)
{
    char *tree = front_tree(f, dfm_starts_with(name, "spans"));
    if (diag_count(f->cx)) fail_msg("%s", front_reports(f, DIAG_TEXT));
    return tree;
}

static char *make_format(front *f, const char *name)
{
    const char *text = front_format(f);
    if (!text) fail_msg("%s", front_reports(f, DIAG_TEXT));
    return dfm_strdup(f->a, text);
}

static int by_name(const struct dirent **x, const struct dirent **y)
{
    return strcmp((*x)->d_name, (*y)->d_name);
}

static int is_source(const struct dirent *d) { return dfm_ends_with(d->d_name, ".dfm"); }

static void show_difference(const char *name, const char *got, const char *want)
{
    int line = 1, i = 0;
    for (; got[i] && got[i] == want[i]; i++)
        if (got[i] == '\n') {
            line++;
            got += i + 1;
            want += i + 1;
            i = -1;
        }
    print_error("%s differs in line %d:\n  got  %.*s\n  want %.*s\n", name, line,
                (int)strcspn(got, "\n"), got, (int)strcspn(want, "\n"), want);
}

/* Compare one file; returns the text that was made, in the arena of *f, which the caller closes. */
static char *check_file(front *f, const char *folder, const char *name, make_text *make, int *bad)
{
    dfm_arena *a = dfm_arena_create("golden");
    dfm_err err = {0};
    char *text, *want = "";
    size_t n, k;
    char *path = dfm_fmt(a, "%s/%s", folder, name);
    assert_int_equal(dfm_file_read(a, path, 1 << 20, &text, &n, &err), DFM_OK);
    *f = front_open(name, text, n);
    char *got = make(f, name);
    path = dfm_fmt(a, "%s/%.*s.txt", folder, (int)strlen(name) - 4, name);
    if (getenv("DFM_UPDATE"))
        assert_int_equal(dfm_file_replace(path, got, strlen(got), &err), DFM_OK);
    else if (dfm_file_read(a, path, 1 << 20, &want, &k, &err) != DFM_OK || strcmp(got, want) != 0) {
        show_difference(path, got, want);
        ++*bad;
    }
    dfm_arena_destroy(a);
    return got;
}

static void check_folder(const char *name, make_text *make, bool *seen)
{
    struct dirent **files;
    dfm_arena *a = dfm_arena_create("golden");
    const char *folder = dfm_fmt(a, "%s/tests/front/%s", DFM_SOURCE_DIR, name);
    int n = scandir(folder, &files, is_source, by_name), bad = 0;
    assert_true(n > 0);
    for (int i = 0; i < n; i++) {
        front f;
        check_file(&f, folder, files[i]->d_name, make, &bad);
        for (uint32_t k = 0; seen && k < diag_count(f.cx); k++) seen[diag_code_at(f.cx, k)] = true;
        front_close(&f);
        free(files[i]);
    }
    free(files);
    dfm_arena_destroy(a);
    assert_int_equal(bad, 0);
}

static void test_errors(void **state)
{
    bool seen[DIAG_N_CODES] = {[DIAG_E0204] = true};
    check_folder("errors", make_errors, seen);
    for (int c = DIAG_NONE + 1; c < DIAG_N_CODES; c++) {
        const char *name = diag_code_name((diag_code)c);
        bool ours = dfm_starts_with(name, "E01") || dfm_starts_with(name, "E02");
        if (ours && !seen[c]) fail_msg("no file in tests/front/errors gives %s", name);
    }
}

static void test_tokens(void **state) { check_folder("tokens", make_tokens, NULL); }
static void test_trees(void **state) { check_folder("trees", make_tree, NULL); }
static void test_format(void **state) { check_folder("fmt", make_format, NULL); }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_trees),
        cmocka_unit_test(test_format),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* sema_errors_test.c - programs with errors beside the reports they must give.
 *
 * errors/X.dfm must print errors/X.txt. A comment in the first line may give options:
 *     # options: compile variant=b set=dim.B=4 train=t sampler=s precision=f32 weights=w
 * (without `compile` it is a check). Files whose name starts with "_" are imported by others.
 * DFM_UPDATE=1 in the environment writes the .txt files; read the difference before you commit.
 * Every code of the core (listed below) must occur in some X.txt.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#include <string.h>

#include "compiler/front/front.h"
#include "runtime/base/file.h"

#define CODES                                                                                    \
    "E0301", "E0302", "E0303", "E0304", "E0305", "E0306", "E0307", "E0308", "E0309", "E0310",    \
        "E0311", "E0312", "E0313", "E0314", "E0315", "E0316", "E0317", "E0318", "E0319",         \
        "E0401", "E0402", "E0403", "E0404", "E0405", "E0406", "E0407", "E0408", "E0409",         \
        "E0410", "E0411", "E0412", "E0413", "E0414", "E0415", "E0416", "E0417", "E0418",         \
        "E0420"

static void read_options(dfm_arena *a, const char *text, front_options *o, const char **sets)
{
    const char *head = "# options:";
    if (!dfm_starts_with(text, head)) return;
    char *line = dfm_strndup(a, text + strlen(head), strcspn(text, "\n") - strlen(head));
    for (char *w = strtok(line, " "); w; w = strtok(NULL, " ")) {
        if (strcmp(w, "compile") == 0) o->check_only = false;
        if (dfm_starts_with(w, "variant=")) o->variant = w + 8;
        if (dfm_starts_with(w, "train=")) o->train = w + 6;
        if (dfm_starts_with(w, "sampler=")) o->sampler = w + 8;
        if (dfm_starts_with(w, "precision=")) o->precision = w + 10;
        if (dfm_starts_with(w, "weights=")) o->weights = w + 8;
        if (dfm_starts_with(w, "set=") && o->n_sets < 8) sets[o->n_sets++] = w + 4;
    }
}

static char *reports(dfm_arena *a, const char *name)
{
    char *text, *out = NULL;
    size_t n;
    dfm_err err = {0};
    const char *sets[8];
    diag_ctx *cx = diag_create(a);
    front_ctx fcx = {a, dfm_names_create(a), cx};
    front_options o = {.file = name, .std_path = "../../../models/std", .check_only = true,
                       .sets = sets};
    ir_module *m;
    assert_int_equal(dfm_file_read(a, name, 1 << 20, &text, &n, &err), DFM_OK);
    read_options(a, text, &o, sets);
    front_compile(&fcx, &o, &m);
    FILE *f = open_memstream(&out, &n);
    diag_print(cx, f, DIAG_TEXT, false);
    fclose(f);
    char *copy = dfm_strdup(a, out);
    free(out);
    return copy;
}

static int is_source(const struct dirent *d)
{
    return dfm_ends_with(d->d_name, ".dfm") && d->d_name[0] != '_';
}

static void test_reports(void **state)
{
    struct dirent **list;
    dfm_sb all = {0};
    dfm_arena *whole = dfm_arena_create("all");
    int bad = 0, n = (assert_int_equal(chdir(DFM_SOURCE_DIR "/tests/sema/errors"), 0),
                      scandir(".", &list, is_source, alphasort));
    all = dfm_sb_make(whole);
    assert_true(n > 0);
    for (int i = 0; i < n; i++) {
        dfm_arena *a = dfm_arena_create("golden");
        dfm_err err = {0};
        const char *name = list[i]->d_name;
        char *want = "", *got = reports(a, name);
        size_t k;
        char *path = dfm_fmt(a, "%.*s.txt", (int)strlen(name) - 4, name);
        if (getenv("DFM_UPDATE"))
            assert_int_equal(dfm_file_replace(path, got, strlen(got), &err), DFM_OK);
        else if (dfm_file_read(a, path, 1 << 20, &want, &k, &err) != DFM_OK || strcmp(got, want)) {
            print_error("%s gives\n%s\ninstead of\n%s\n", name, got, want);
            bad++;
        }
        dfm_sb_puts(&all, got);
        dfm_arena_destroy(a);
        free(list[i]);
    }
    free(list);
    static const char *const codes[] = {CODES};
    for (size_t i = 0; i < DFM_LEN(codes); i++)
        if (!strstr(dfm_sb_cstr(&all), codes[i])) {
            print_error("%s occurs in no file\n", codes[i]);
            bad++;
        }
    dfm_arena_destroy(whole);
    assert_int_equal(bad, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_reports)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

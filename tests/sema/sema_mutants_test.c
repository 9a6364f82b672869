/* sema_mutants_test.c - programs with one or two words exchanged: the front end reports or
 * compiles, and never fails in another way.
 *
 * Each mutant of a shipped program or of a file in errors/ has words of one class exchanged: a name
 * for a name, a number for a number, an operator for an operator. So most of them are correct in
 * syntax and wrong in meaning. What compiles must pass the verifier. DFM_MUTANTS=n in the
 * environment makes n mutants instead of 400; a failing one is left in the build folder.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <ctype.h>
#include <string.h>

#include "compiler/front/front.h"
#include "runtime/base/file.h"

enum { MAX_WORDS = 20000, MAX_FILES = 128 };
typedef enum word_class { OTHER, NAME, NUMBER, OPERATOR, TEXT } word_class;
typedef struct word { const char *p; int n; word_class c; } word;

static uint32_t pick(uint64_t *state, uint32_t n)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33) % n;
}

static bool is_keyword(const char *p, int n)
{
    static const char *const words[] = {
        "dfm", "dim", "const", "require", "block", "model", "op", "train", "sampler", "for",
        "variant", "precision", "weights", "layout", "where", "import", "as", "init", "tag",
        "param", "buffer", "data", "in", "return", "repeat", "with", "if", "else", "minimize",
        "use", "keep", "map", "to", "via", "mesh", "shard", "on", "pipeline", "recompute",
        "saving", "bucket",
        "vjp", "and", "or", "not", "true", "false"};
    for (size_t i = 0; i < DFM_LEN(words); i++)
        if ((int)strlen(words[i]) == n && !memcmp(words[i], p, (size_t)n)) return true;
    return false;
}

static uint32_t cut(const char *s, word *out)
{
    uint32_t n = 0;
    while (*s && n < MAX_WORDS) {
        word w = {.p = s, .n = 1};
        if (isalpha((unsigned char)*s) || *s == '_') {
            while (isalnum((unsigned char)s[w.n]) || s[w.n] == '_') w.n++;
            w.c = is_keyword(s, w.n) ? OTHER : NAME;
        } else if (isdigit((unsigned char)*s)) {
            while (isalnum((unsigned char)s[w.n])) w.n++;
            w.c = NUMBER;
        } else if (*s == '"') {
            w.n += (int)strcspn(s + 1, "\"\n") + 1;
            w.c = TEXT;
        } else if (*s == '#') {
            w.n = (int)strcspn(s, "\n");
        } else if (strchr("+-*/^%<>", *s) && !strchr(">=/", s[1])) {
            w.c = OPERATOR;
        }
        out[n++] = w;
        s += w.n;
    }
    return n;
}

static void mutate(uint64_t *state, word *w, uint32_t n)
{
    static const char *const numbers[] = {"0", "1", "2", "3", "7", "64", "999999999999"};
    for (int tries = 0; tries < 2000; tries++) {
        uint32_t a = pick(state, n), b = pick(state, n);
        if (w[a].c == OTHER) continue;
        if (w[a].c == NUMBER && pick(state, 3) == 0) {
            w[a].p = numbers[pick(state, DFM_LEN(numbers))];
            w[a].n = (int)strlen(w[a].p);
            return;
        }
        bool cross = w[a].c == NUMBER && w[b].c == NAME && pick(state, 4) == 0;
        if (w[b].c != w[a].c && !cross) continue;
        w[a] = w[b];
        return;
    }
}

static char *mutant(dfm_arena *a, uint64_t *state, const char *text)
{
    word *w = dfm_new_n(a, word, MAX_WORDS);
    uint32_t n = cut(text, w);
    dfm_sb sb = dfm_sb_make(a);
    if (n)
        for (uint32_t i = 0; i <= pick(state, 2); i++) mutate(state, w, n);
    for (uint32_t i = 0; i < n; i++) dfm_sb_add(&sb, w[i].p, (size_t)w[i].n);
    dfm_sb_puts(&sb, "\n");
    return sb.p;
}

static uint32_t sources(dfm_arena *a, const char *folder, char **out, uint32_t n)
{
    struct dirent **list;
    int k = scandir(folder, &list, NULL, alphasort);
    for (int i = 0; i < k; i++) {
        if (dfm_ends_with(list[i]->d_name, ".dfm") && n < MAX_FILES)
            out[n++] = dfm_path_join(a, folder, list[i]->d_name);
        free(list[i]);
    }
    if (k >= 0) free(list);
    return n;
}

/* 1 if it compiled, 0 if it was refused. */
static int try_one(const char *source, uint64_t seed)
{
    dfm_arena *a = dfm_arena_create("mutant");
    dfm_err err = {0};
    uint64_t state = seed;
    char *text;
    size_t n;
    const char *path = DFM_BINARY_DIR "/sema_mutant.dfm";
    assert_int_equal(dfm_file_read(a, source, 1 << 20, &text, &n, &err), DFM_OK);
    char *changed = mutant(a, &state, text);
    assert_int_equal(dfm_file_replace(path, changed, strlen(changed), &err), DFM_OK);
    front_ctx cx = {a, dfm_names_create(a), diag_create(a)};
    front_options o = {.file = path, .std_path = DFM_SOURCE_DIR "/models/std", .check_only = true};
    ir_module *m;
    bool ok = front_compile(&cx, &o, &m);
    assert_true(ok == (diag_n_errors(cx.diag) == 0));
    if (ok && ir_verify(m, &err) != DFM_OK) fail_msg("%s, mutant %llu: %s", source,
                                                     (unsigned long long)seed, err.text);
    dfm_arena_destroy(a);
    return ok;
}

static void test_mutants(void **state)
{
    dfm_arena *a = dfm_arena_create("files");
    char *files[MAX_FILES];
    uint32_t n = sources(a, DFM_SOURCE_DIR "/models", files, 0), models = n, compiled = 0;
    n = sources(a, DFM_SOURCE_DIR "/tests/sema/errors", files, n);
    const char *wanted = getenv("DFM_MUTANTS");
    uint64_t count = wanted ? strtoull(wanted, NULL, 10) : 400;
    assert_true(models >= 4 && n > models);
    for (uint64_t i = 0; i < count; i++)
        compiled += (uint32_t)try_one(files[i % 2 ? i / 2 % models : i / 2 % n], i * 7919 + 1);
    print_message("%u of %llu mutants compile\n", compiled, (unsigned long long)count);
    assert_true(compiled > 0 && compiled < count);
    dfm_arena_destroy(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_mutants)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

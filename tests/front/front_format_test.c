/* front_format_test.c - properties of the formatter, on all shipped programs and on variants of
 * them with other blanks, comments and line breaks: the tokens stay, formatting twice changes
 * nothing, and blanks do not matter. */
#include <dirent.h>

#include "runtime/base/file.h"
#include "tests/front/front_util.h"

/* A small generator, so that the variants are the same in every run. */
static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* Spellings of all tokens, without supplied `;` and `;` at line ends, one per line. */
static char *spellings(front *f)
{
    const ast_tokens *t = ast_lex(f->a, f->cx, f->src);
    const char *text = diag_src_text(f->cx, f->src, NULL);
    dfm_sb sb = dfm_sb_make(f->a);
    bool pending = false;
    for (uint32_t i = 0; i < t->n; i++) {
        if (t->t[i].kind == ';') {           /* empty statements do not count */
            pending = sb.n > 0 && sb.p[sb.n - 2] != '{';
            continue;
        }
        if (pending) dfm_sb_puts(&sb, ";\n");
        pending = false;
        dfm_sb_add(&sb, text + t->t[i].begin, t->t[i].end - t->t[i].begin);
        dfm_sb_puts(&sb, "\n");
    }
    for (uint32_t i = 0; i < t->n_comments; i++) {
        dfm_sb_add(&sb, text + t->comments[i].begin, t->comments[i].end - t->comments[i].begin);
        dfm_sb_puts(&sb, "\n");
    }
    return (char *)dfm_sb_cstr(&sb);
}

/* Format; check that the tokens stay and that a second time changes nothing. The result is in the
 * arena of *f. */
static const char *check(front *f, const char *name)
{
    const char *once = front_format(f);
    if (!once) fail_msg("%s: %s", name, front_reports(f, DIAG_TEXT));
    front g = front_text(once);
    assert_string_equal(spellings(f), spellings(&g));
    const char *twice = front_format(&g);
    assert_non_null(twice);
    assert_string_equal(once, twice);
    front_close(&g);
    return once;
}

/* The text with its blanks changed: runs of blanks between tokens on a line become other runs. */
static char *other_blanks(front *f, uint32_t *seed)
{
    const ast_tokens *t = ast_lex(f->a, f->cx, f->src);
    const char *text = diag_src_text(f->cx, f->src, NULL);
    dfm_sb sb = dfm_sb_make(f->a);
    uint32_t at = 0, c = 0;
    for (uint32_t i = 0; i < t->n;) {
        bool comment = c < t->n_comments && t->comments[c].begin < t->t[i].begin;
        uint32_t begin = comment ? t->comments[c].begin : t->t[i].begin;
        uint32_t end = comment ? t->comments[c].end : t->t[i].end;
        bool needed = begin > at;            /* there was something: keep at least one blank */
        uint32_t lines = 0;
        for (uint32_t k = at; k < begin; k++) lines += text[k] == '\n';
        for (uint32_t k = 0; k < lines; k++) dfm_sb_puts(&sb, k ? "  \n" : " \t\n");
        uint32_t blanks = next_random(seed) % 4;
        if (lines == 0 && needed && blanks == 0) blanks = 1;
        for (uint32_t k = 0; k < blanks; k++) dfm_sb_puts(&sb, next_random(seed) % 5 ? " " : "\t");
        bool supplied = !comment && t->t[i].flags & AST_TOK_INSERTED;
        if (!supplied) dfm_sb_add(&sb, text + begin, end - begin);
        at = end;
        if (comment) c++;
        else i++;
    }
    return (char *)dfm_sb_cstr(&sb);
}

/* The text with line breaks and comments added where a line can be broken: behind commas and
 * behind `{`. */
static char *other_breaks(front *f, uint32_t *seed)
{
    const ast_tokens *t = ast_lex(f->a, f->cx, f->src);
    const char *text = diag_src_text(f->cx, f->src, NULL);
    dfm_sb sb = dfm_sb_make(f->a);
    uint32_t at = 0;
    for (uint32_t i = 0; i < t->n; i++) {
        dfm_sb_add(&sb, text + at, t->t[i].end - at);
        at = t->t[i].end;
        if (t->t[i].kind != ',' && t->t[i].kind != '{') continue;
        switch (next_random(seed) % 6) {
        case 0: dfm_sb_puts(&sb, "\n"); break;
        case 1: dfm_sb_puts(&sb, "\n\n\n"); break;
        case 2: dfm_sb_puts(&sb, "   # behind \n"); break;
        case 3: dfm_sb_puts(&sb, "\n\n # alone\n\n#   two\n"); break;
        default: break;
        }
    }
    return (char *)dfm_sb_cstr(&sb);
}

static void check_program(const char *name, const char *text, size_t n)
{
    uint32_t seed = 7;
    front f = front_open(name, text, n);
    const char *canonical = check(&f, name);
    for (int round = 0; round < 8; round++) {
        front g = front_text(other_blanks(&f, &seed));
        assert_string_equal(check(&g, name), canonical);
        front h = front_text(other_breaks(&g, &seed));
        check(&h, name);
        front_close(&h);
        front_close(&g);
    }
    for (const char *p = canonical; *p; p = strchr(p, '\n') + 1) {
        const char *e = strchr(p, '\n');
        assert_true(e == p || e[-1] != ' ');           /* no blanks at line ends */
        assert_false(p[0] == '\n' && p[1] == '\n');    /* no two empty lines */
    }
    front_close(&f);
}

static void check_folder(const char *folder)
{
    dfm_arena *a = dfm_arena_create("test");
    const char *path = dfm_fmt(a, "%s/%s", DFM_SOURCE_DIR, folder);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    int n = 0;
    for (struct dirent *d; (d = readdir(dir));) {
        if (!dfm_ends_with(d->d_name, ".dfm")) continue;
        char *text;
        size_t bytes;
        dfm_err err = {0};
        assert_int_equal(dfm_file_read(a, dfm_fmt(a, "%s/%s", path, d->d_name), 1 << 20, &text,
                                       &bytes, &err), DFM_OK);
        check_program(d->d_name, text, bytes);
        n++;
    }
    closedir(dir);
    dfm_arena_destroy(a);
    assert_true(n > 0);
}

static void test_models(void **state) { check_folder("models"); }
static void test_std(void **state) { check_folder("models/std"); }
static void test_samples(void **state)
{
    check_folder("tests/front/fmt");
    check_folder("tests/front/trees");
}

static void expect(const char *in, const char *out)
{
    front f = front_text(in);
    assert_string_equal(check(&f, "text"), out);
    front_close(&f);
}

static void test_details(void **state)
{
    expect("dfm 1", "dfm 1\n");
    expect("# only\n\n\n\ndfm 1;;;\n;;dim A=1;\n", "# only\n\ndfm 1\ndim A = 1\n");
    expect("dfm 1\nblock f() -> f32 { ; a = 1;; return a; }\n",
           "dfm 1\nblock f() -> f32 { a = 1; return a }\n");
    expect("dfm 1\nblock f() -> f32 {\n\n\n  # c\n\n}\n", "dfm 1\nblock f() -> f32 {\n  # c\n}\n");
    expect("dfm 1\nblock f() -> f32 { # c\n return 1 }\n",
           "dfm 1\nblock f() -> f32 {  # c\n  return 1\n}\n");
    expect("dfm 1\r\ndim A = 1\r\n\r\ndim B = 2 # c\r\n", "dfm 1\ndim A = 1\n\ndim B = 2  # c\n");
    expect("\xEF\xBB\xBF" "dfm 1\n", "dfm 1\n");
    expect("dfm 1\nconst A = \"\xC3\xA4\" # a\nconst BB = \"b\" # b\n",
           "dfm 1\nconst A = \"\xC3\xA4\"   # a\nconst BB = \"b\"  # b\n");
}

static void test_errors_are_reported(void **state)
{
    front f = front_text("dfm 1\ndim = 1\n");
    assert_null(front_format(&f));
    assert_int_equal(diag_n_errors(f.cx), 1);
    front_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_models),
        cmocka_unit_test(test_std),
        cmocka_unit_test(test_samples),
        cmocka_unit_test(test_details),
        cmocka_unit_test(test_errors_are_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

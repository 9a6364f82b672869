/* front_limits_test.c - hostile sizes: deep nesting, long chains, many tokens, many errors. The
 * parser must answer with a message and a tree, in little time and without deep recursion. */
#include "tests/front/front_util.h"

/* head, then n times unit, then tail. */
static front repeated(const char *head, const char *unit, size_t n, const char *tail)
{
    size_t k = strlen(unit), h = strlen(head), t = strlen(tail);
    char *text = malloc(h + n * k + t + 1), *p = text + h;
    assert_non_null(text);
    memcpy(text, head, h);
    for (size_t i = 0; i < n; i++, p += k) memcpy(p, unit, k);
    memcpy(p, tail, t + 1);
    front f = front_open("t.dfm", text, h + n * k + t);
    free(text);
    return f;
}

/* Parses with exactly one error, of this code, and a tree no deeper than allowed. */
static void expect_code(front f, diag_code code)
{
    const ast_file *file = ast_parse(f.a, f.cx, f.src);
    assert_false(file->ok);
    assert_true(file->root->depth <= AST_MAX_DEPTH);
    if (diag_count(f.cx) != 1 || diag_code_at(f.cx, 0) != code)
        fail_msg("%.2000s", front_reports(&f, DIAG_SHORT));
    front_close(&f);
}

static void expect_ok(front f)
{
    const ast_file *file = ast_parse(f.a, f.cx, f.src);
    if (!file->ok) fail_msg("%.2000s", front_reports(&f, DIAG_SHORT));
    front_close(&f);
}

static void test_depth(void **state)
{
    const char *head = "dfm 1\nconst A = ";
    expect_ok(repeated(head, "(", 0, "((((((((1))))))))\n"));
    expect_code(repeated(head, "(", 100000, "1\n"), DIAG_E0203);
    expect_code(repeated(head, "[", 100000, "1\n"), DIAG_E0203);
    expect_code(repeated(head, "f(", 100000, "1\n"), DIAG_E0203);
    expect_code(repeated(head, "(1, [", 100000, "1\n"), DIAG_E0203);
    expect_code(repeated(head, "-", 100000, "1\n"), DIAG_E0203);
    expect_code(repeated(head, "not ", 100000, "1\n"), DIAG_E0203);
    expect_code(repeated(head, "1 ^ ", 100000, "1\n"), DIAG_E0203);
    expect_code(repeated(head, "1 + ", 100000, "1\n"), DIAG_E0203);
    expect_code(repeated("dfm 1\nconst A = a", ".b", 100000, "\n"), DIAG_E0203);
    expect_code(repeated("dfm 1\nconst A = a", "[1]", 100000, "\n"), DIAG_E0203);
    expect_code(repeated("dfm 1\nconst A = a", " as b", 100000, "\n"), DIAG_E0203);
    expect_code(repeated("dfm 1\nblock f() -> f32 {\n", "if a {\n", 100000, "}\n"), DIAG_E0203);
    expect_code(repeated("dfm 1\nblock f() -> f32 {\nif a { }", " else if a { }", 100000, "\n}\n"),
                DIAG_E0203);
}

static void test_depth_below_the_limit(void **state)
{
    expect_ok(repeated("dfm 1\nconst A = ", "1 + ", 900, "1\n"));
    expect_ok(repeated("dfm 1\nconst A = ", "- ", 900, "1\n"));
    expect_ok(repeated("dfm 1\nblock f() -> f32 {\n x = ", "f(", 0, "f(f(f(1)))\n}\n"));
}

static void test_long_lists(void **state)
{
    expect_ok(repeated("dfm 1\nconst A = [", "1, ", 100000, "1]\n"));
    expect_ok(repeated("dfm 1\n", "dim A = 1\n", 50000, ""));
    expect_ok(repeated("dfm 1\n", "# comment\n", 100000, "dim A = 1\n"));
    expect_ok(repeated("dfm 1\nblock f() -> f32 {\n", "x = f(x)\n", 50000, "}\n"));
    expect_ok(repeated("dfm 1\nconst A = \"", "a", 1000000, "\"\n"));
}

static void test_too_many_tokens(void **state)
{
    expect_code(repeated("dfm 1\ndim A = 1\n", ";;;;;;;;", AST_MAX_NODES / 8, "\n"), DIAG_E0204);
}

static void test_many_errors(void **state)
{
    front f = repeated("dfm 1\n", "dim A )(=\n", 100000, "");
    ast_parse(f.a, f.cx, f.src);
    assert_int_equal(diag_count(f.cx), DIAG_MAX_ERRORS);
    assert_true(diag_full(f.cx));
    front_close(&f);
    f = repeated("dfm 1\n", "@", 1000000, "\n");
    ast_parse(f.a, f.cx, f.src);
    assert_int_equal(diag_count(f.cx), DIAG_MAX_ERRORS);
    assert_true(strlen(front_reports(&f, DIAG_TEXT)) < 20000);     /* long lines are cut */
    front_close(&f);
}

static void test_recovery_keeps_the_rest(void **state)
{
    front f = front_text("dfm 1\n"
                         "dim A = )\n"
                         "block f(x: [B]) -> [B] {\n"
                         "  y = 1 +\n"
                         "  if ( { z = 2 }\n"
                         "  return x\n"
                         "}\n"
                         "block broken(x [B]) -> [B] { return x }\n"
                         "dim Z = 3\n");
    const ast_file *file = ast_parse(f.a, f.cx, f.src);
    assert_false(file->ok);
    const ast_node *root = file->root;
    assert_true(root->n_kids >= 2);
    assert_int_equal(root->kids[root->n_kids - 1]->kind, AST_DIMS);
    const ast_node *block = NULL;
    for (uint32_t i = 0; i < root->n_kids; i++)
        if (root->kids[i]->kind == AST_BLOCK) block = root->kids[i];
    assert_non_null(block);
    const ast_node *body = ast_body(block);
    assert_int_equal(body->kids[body->n_kids - 1]->kind, AST_RETURN);
    assert_int_equal(body->kids[0]->kind, AST_ERROR);
    front_close(&f);
}

static void test_empty_files(void **state)
{
    static const char *const texts[] = {"", "\n", "# comment", ";", ";;;", "dfm", "dfm 1", "}", "(",
                                        "\"", "\\", "{", "dfm 1\n\xEF\xBB\xBF", "0", ".", "..."};
    for (size_t i = 0; i < DFM_LEN(texts); i++) {
        front f = front_text(texts[i]);
        const ast_file *file = ast_parse(f.a, f.cx, f.src);
        assert_int_equal(file->ok, strcmp(texts[i], "dfm 1") == 0);
        assert_int_equal(file->ok, diag_count(f.cx) == 0);
        assert_non_null(file->root);
        front_reports(&f, DIAG_TEXT);
        front_close(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_depth_below_the_limit),
        cmocka_unit_test(test_long_lists),
        cmocka_unit_test(test_too_many_tokens),
        cmocka_unit_test(test_many_errors),
        cmocka_unit_test(test_recovery_keeps_the_rest),
        cmocka_unit_test(test_empty_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

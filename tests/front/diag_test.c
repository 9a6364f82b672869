/* diag_test.c - spans, the printed forms of reports, and their limits. */
#include "runtime/base/file.h"
#include "tests/front/front_util.h"

static const char *const wan = "dfm 1\n"
                               "dim D = 1536\n"
                               "block b(x: [B, S, D]) -> [B, S, D] {\n"
                               "  return x + g2 * f\n"
                               "}\n";

static dfm_loc find(front *f, const char *what)
{
    const char *text = diag_src_text(f->cx, f->src, NULL), *p = strstr(text, what);
    assert_non_null(p);
    return diag_span_make(f->cx, f->src, (uint32_t)(p - text),
                          (uint32_t)(p - text + (long)strlen(what)));
}

static void test_language_example(void **state)
{
    front f = front_open("wan_1_3b.dfm", wan, strlen(wan));
    diag *d = diag_error(f.cx, DIAG_E0304, find(&f, "+"), "dims `%s` and `%s` do not meet in `+`",
                         "F", "D");
    diag_label(d, find(&f, "g2 * f"), "f32[B, S, F]");
    diag_label(d, find(&f, "x +"), "%s", "bf16[B, S, D]");
    diag_note(d, "F = 8960, D = 1536 in variant \"1.3B\"");
    diag_help(d, "the second matrix of the MLP is missing: `linear(f, F -> D) as \"ffn.2\"`");
    assert_string_equal(
        front_reports(&f, DIAG_TEXT),
        "error[E0304]: dims `F` and `D` do not meet in `+`\n"
        " --> wan_1_3b.dfm:4:12\n"
        "  |\n"
        "4 |   return x + g2 * f\n"
        "  |          --^ ------ f32[B, S, F]\n"
        "  |          |\n"
        "  |          bf16[B, S, D]\n"
        "  = note: F = 8960, D = 1536 in variant \"1.3B\"\n"
        "  = help: the second matrix of the MLP is missing: `linear(f, F -> D) as \"ffn.2\"`\n"
        "run `dfmc explain E0304` for rules and examples\n");
    assert_string_equal(front_reports(&f, DIAG_SHORT),
                        "wan_1_3b.dfm:4:12: error[E0304]: dims `F` and `D` do not meet in `+`\n");
    assert_string_equal(
        front_reports(&f, DIAG_JSON),
        "{\"severity\": \"error\", \"code\": \"E0304\", \"message\": \"dims `F` and `D` do not "
        "meet in `+`\", \"file\": \"wan_1_3b.dfm\", \"line\": 4, \"column\": 12, \"end_line\": 4, "
        "\"end_column\": 13, \"labels\": [{\"file\": \"wan_1_3b.dfm\", \"line\": 4, \"column\": "
        "14, \"end_line\": 4, \"end_column\": 20, \"text\": \"f32[B, S, F]\"}, {\"file\": "
        "\"wan_1_3b.dfm\", \"line\": 4, \"column\": 10, \"end_line\": 4, \"end_column\": 13, "
        "\"text\": \"bf16[B, S, D]\"}], \"notes\": [\"F = 8960, D = 1536 in variant "
        "\\\"1.3B\\\"\"], \"help\": [\"the second matrix of the MLP is missing: `linear(f, F -> D) "
        "as \\\"ffn.2\\\"`\"]}\n");
    front_close(&f);
}

static void test_labels_on_other_lines_and_files(void **state)
{
    front f = front_open("a.dfm", wan, strlen(wan));
    diag_src lib = diag_add_file(f.cx, "lib.dfm", "one\ntwo three\n", 14);
    diag *d = diag_warning(f.cx, DIAG_E0304, find(&f, "g2"), "message");
    diag_label(d, find(&f, "g2"), "primary");
    diag_label(d, find(&f, "1536"), "declared here");
    diag_label(d, diag_span_make(f.cx, lib, 8, 13), "elsewhere");
    diag_label(d, find(&f, "x + g2 * f\n}"), "to the end of its line");
    assert_string_equal(front_reports(&f, DIAG_TEXT),
                        "warning[E0304]: message\n"
                        " --> a.dfm:4:14\n"
                        "  |\n"
                        "2 | dim D = 1536\n"
                        "  |         ---- declared here\n"
                        "...\n"
                        "4 |   return x + g2 * f\n"
                        "  |          ----^^----\n"
                        "  |          |   |\n"
                        "  |          |   primary\n"
                        "  |          to the end of its line\n"
                        " ::: lib.dfm:2:5\n"
                        "  |\n"
                        "2 | two three\n"
                        "  |     ----- elsewhere\n"
                        "run `dfmc explain E0304` for rules and examples\n");
    assert_int_equal(diag_n_errors(f.cx), 0);
    assert_int_equal(diag_n_warnings(f.cx), 1);
    front_close(&f);
}

static void test_no_place(void **state)
{
    front f = front_text("");
    diag *d = diag_error(f.cx, DIAG_NONE, (dfm_loc){0}, "no variant `%s`", "x");
    diag_label(d, (dfm_loc){0}, "dropped");
    diag_help(d, "first line\nsecond line");
    assert_string_equal(front_reports(&f, DIAG_TEXT), "error: no variant `x`\n"
                                                      "  = help: first line\n"
                                                      "          second line\n");
    assert_string_equal(front_reports(&f, DIAG_SHORT), "error: no variant `x`\n");
    front_close(&f);
}

static void test_hostile_text_is_cleaned(void **state)
{
    const char *text = "a\033[31m\xFF\tb\n";
    front f = front_open("p\033.dfm", text, strlen(text));
    diag_error(f.cx, DIAG_E0101, diag_span_make(f.cx, f.src, 8, 9), "m\033\x7F");
    const char *out = front_reports(&f, DIAG_TEXT);
    assert_null(strchr(out, '\033'));
    assert_non_null(strstr(out, "1 | a\xEF\xBF\xBD[31m\xEF\xBF\xBD b\n"));
    assert_non_null(strstr(out, "  |         ^\n"));
    assert_null(strchr(front_reports(&f, DIAG_JSON), '\033'));
    front_close(&f);
}

static void test_spans(void **state)
{
    front f = front_open("a.dfm", "ab\n\xC3\xA4\xC3\xB6x\n", 9);
    dfm_loc a = diag_span_make(f.cx, f.src, 0, 2), x = diag_span_make(f.cx, f.src, 7, 8);
    uint32_t line, col;
    assert_true(diag_line_col(f.cx, x, &line, &col));
    assert_int_equal(line, 2);
    assert_int_equal(col, 3);                          /* code points, not bytes */
    diag_span s = diag_get_span(f.cx, diag_merge(f.cx, x, a));
    assert_int_equal(s.begin, 0);
    assert_int_equal(s.end, 8);
    assert_int_equal(diag_merge(f.cx, a, (dfm_loc){0}).i, a.i);
    assert_int_equal(diag_merge(f.cx, (dfm_loc){0}, a).i, a.i);
    s = diag_get_span(f.cx, diag_span_make(f.cx, f.src, 100, 200));
    assert_int_equal(s.begin, 9);
    assert_int_equal(s.end, 9);
    assert_string_equal(diag_place(f.cx, f.a, x), "a.dfm:2:3");
    assert_string_equal(diag_source(f.cx, f.a, a), "ab");
    assert_false(diag_line_col(f.cx, (dfm_loc){0}, &line, &col));
    assert_string_equal(diag_place(f.cx, f.a, (dfm_loc){0}), "");
    front_close(&f);
}

static void test_limit_order_and_doubles(void **state)
{
    front f = front_text("abcdefghijklmnopqrstuvwxyzabcdefghij");
    assert_non_null(diag_error(f.cx, DIAG_E0101, diag_span_make(f.cx, f.src, 30, 31), "same"));
    assert_null(diag_error(f.cx, DIAG_E0101, diag_span_make(f.cx, f.src, 30, 31), "same"));
    assert_int_equal(diag_n_errors(f.cx), 1);
    for (uint32_t i = 29; i > 0; i--)
        diag_error(f.cx, DIAG_E0101, diag_span_make(f.cx, f.src, i, i + 1), "at %u", i);
    assert_int_equal(diag_count(f.cx), DIAG_MAX_ERRORS);
    assert_int_equal(diag_n_errors(f.cx), 30);
    diag_sort_from(f.cx, 1);
    assert_string_equal(diag_message_at(f.cx, 0), "same");
    assert_string_equal(diag_message_at(f.cx, 1), "at 11");
    assert_string_equal(diag_message_at(f.cx, 19), "at 29");
    diag_note(diag_help(diag_label(NULL, (dfm_loc){0}, "x"), "y"), "z");     /* dropped report */
    front_close(&f);
}

static void test_codes(void **state)
{
    assert_int_equal(diag_code_find("E0304"), DIAG_E0304);
    assert_int_equal(diag_code_find("e0304"), DIAG_E0304);
    assert_int_equal(diag_code_find("E9999"), DIAG_NONE);
    assert_int_equal(diag_code_find(""), DIAG_NONE);
    for (int c = DIAG_NONE + 1; c < DIAG_N_CODES; c++) {
        diag_code code = (diag_code)c;
        const char *name = diag_code_name(code), *title = diag_code_title(code);
        const char *text = diag_code_explanation(code);
        if (strlen(name) != 5 || (c > 1 && strcmp(name, diag_code_name((diag_code)(c - 1))) <= 0))
            fail_msg("%s is out of order in diag.def", name);
        if (!*title || title[strlen(title) - 1] == '.') fail_msg("%s: bad title", name);
        if (strlen(text) < 40 || text[strlen(text) - 1] != '\n') fail_msg("%s: bad text", name);
    }
}

static void test_committed_document(void **state)
{
    char *p = NULL, *text;
    size_t n = 0;
    dfm_err err = {0};
    FILE *out = open_memstream(&p, &n);
    diag_write_markdown(out);
    fclose(out);
    dfm_arena *a = dfm_arena_create("test");
    const char *path = DFM_SOURCE_DIR "/docs/errors.md";
    if (getenv("DFM_UPDATE")) assert_int_equal(dfm_file_replace(path, p, n, &err), DFM_OK);
    assert_int_equal(dfm_file_read(a, path, 1 << 22, &text, &n, &err), DFM_OK);
    if (strcmp(text, p) != 0)
        fail_msg("docs/errors.md is old: run this test with DFM_UPDATE=1 in the environment");
    dfm_arena_destroy(a);
    free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_language_example),
        cmocka_unit_test(test_labels_on_other_lines_and_files),
        cmocka_unit_test(test_no_place),
        cmocka_unit_test(test_hostile_text_is_cleaned),
        cmocka_unit_test(test_spans),
        cmocka_unit_test(test_limit_order_and_doubles),
        cmocka_unit_test(test_codes),
        cmocka_unit_test(test_committed_document),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

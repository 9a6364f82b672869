/* test_config.c - defaults, YAML, overrides, writing back, and the exact text of complaints. */
#include "tests/rt/rt_test.h"

#include "runtime/app/config.h"

static dfm_status read_text(rt_fixture *f, cfg *c, const char *text)
{
    cfg_init(f->arena, c);
    return cfg_read_yaml(c, "run.yaml", text, strlen(text), &f->err);
}

static void defaults(void **state)
{
    rt_fixture *f = *state;
    cfg c;
    cfg_init(f->arena, &c);
    assert_int_equal(c.train_steps, 1650);
    assert_false(c.is_set[CFG_train_lr]);
    assert_string_equal(c.data_path, "");
    assert_true(c.data_shuffle);
}

static void yaml_values(void **state)
{
    rt_fixture *f = *state;
    cfg c;
    RT_OK(f, read_text(f, &c, "# a comment\ntrain:\n  steps: 20\n  lr: 2e-3\n  resume: yes\n"
                       "data: {path: \"x-{000..012}.tar\", shuffle: false}\nrun.name: 'it''s'\n"));
    assert_int_equal(c.train_steps, 20);
    assert_true(c.train_lr == 2e-3 && c.is_set[CFG_train_lr] && c.is_given[CFG_train_lr]);
    assert_true(c.train_resume);
    assert_string_equal(c.data_path, "x-{000..012}.tar");
    assert_false(c.data_shuffle);
    assert_string_equal(c.run_name, "it's");
    assert_false(c.is_given[CFG_train_seed]);
    RT_OK(f, read_text(f, &c, ""));
    RT_OK(f, read_text(f, &c, "---\n# nothing\n"));
    RT_OK(f, read_text(f, &c, "train: {lr: ~, weights: }"));
    assert_false(c.is_set[CFG_train_lr]);
    RT_OK(f, read_text(f, &c, "run: {threads: &n 3}\ntrain: {accumulate: *n}\n"));
    assert_int_equal(c.train_accumulate, 3);
    const char *path = rt_path(f, "c.yaml");
    rt_write_text(path, "run: {threads: 2}");
    RT_OK(f, cfg_read_file(&c, path, &f->err));
    assert_int_equal(c.run_threads, 2);
    assert_int_equal(c.train_accumulate, 3);    /* a later file keeps what it does not mention */
    RT_FAILS(f, cfg_read_file(&c, rt_path(f, "none.yaml"), &f->err), DFM_BAD_CONFIG, "cannot open");
}

/* The whole message, letter for letter. */
static void exact_messages(void **state)
{
    rt_fixture *f = *state;
    static const struct { const char *text, *message; } t[] = {
        {"train:\n  stpes: 3\n",
         "run.yaml:2:3: unknown key 'train.stpes'\n  help: did you mean 'train.steps'?"},
        {"steps: 3\n",
         "run.yaml:1:1: unknown key 'steps'\n  help: did you mean 'train.steps'?"},
        {"qwertyuiop: 3\n", "run.yaml:1:1: unknown key 'qwertyuiop'\n"
                            "  help: dfm-rt help config lists all keys"},
        {"train:\n  steps: many\n", "run.yaml:2:10: 'train.steps' must be a whole number, "
                                    "1 to 99999999, not 'many'"},
        {"train: {steps: 0}", "run.yaml:1:16: 'train.steps' must be a whole number, 1 to "
                              "99999999, not '0'"},
        {"train: {seed: -1}", "run.yaml:1:15: 'train.seed' must be a whole number, at least "
                              "0, not '-1'"},
        {"train: {seed: 9223372036854775808}", "run.yaml:1:15: 'train.seed' must be a whole "
                                               "number, at least 0, not '9223372036854775808'"},
        {"train: {steps: 1.5}", "run.yaml:1:16: 'train.steps' must be a whole number, 1 to "
                                "99999999, not '1.5'"},
        {"train: {lr: fast}", "run.yaml:1:13: 'train.lr' must be a number, 0 to 1e+06, not "
                              "'fast'"},
        {"train: {lr: .inf}", "run.yaml:1:13: 'train.lr' must be a number, 0 to 1e+06, not "
                              "'.inf'"},
        {"train: {resume: 1}", "run.yaml:1:17: 'train.resume' must be true or false, not '1'"},
        {"train: {steps: ~}", "run.yaml:1:16: 'train.steps' needs a value"},
        {"train: {steps: [1, 2]}", "run.yaml:1:16: lists are not allowed here"},
        {"train: {steps: 1, steps: 2}", "run.yaml:1:19: 'steps' is given twice"},
        {"train: {steps: 1}\ntrain.steps: 2", "run.yaml:2:1: 'train.steps' is given twice"},
        {"train: {steps: 1}\ntrain: {seed: 2}", "run.yaml:2:1: 'train' is given twice"},
        {"train: {steps: !!int 3}", "run.yaml:1:16: tags are not allowed"},
        {"train: !python/object {steps: 3}", "run.yaml:1:8: tags are not allowed"},
        {"[1]: 2", "run.yaml:1:1: a key must be text"},
        {"- 1", "run.yaml:1:1: it must be a map of keys and values"},
        {"train: {steps: 1}\n---\nrun: {threads: 1}\n", "run.yaml:2:1: a second document "
                                                       "starts here"},
        {"train: {steps: 1", "run.yaml:2:1: did not find expected ',' or '}'"},
        {"run: {name: \"a\\0b\"}", "run.yaml:1:13: it holds a NUL"},
        {"run: {folder: \"a\\nb\"}", "run.yaml:1:15: 'run.folder' must be UTF-8 text without "
                                     "control characters, not '?'"},
        {"run: {name: a/b}", "run.yaml:1:13: 'run.name' must be the name of a folder, without '/' "
                             "and not hidden, not 'a/b'"},
        {"run: {folder: \"a\\Lb\"}", "run.yaml:1:15: 'run.folder' must be UTF-8 text without "
                                     "control characters, not '?'"},
        {"\"\\e[2J\": 1", "run.yaml:1:1: a key has control characters"},
        {"train: 3", "run.yaml:1:1: unknown key 'train'\n"
                     "  help: dfm-rt help config lists all keys"},
        {"train: *none", "run.yaml:1:8: found undefined alias"},
        {"a: &a {b: *a}", "run.yaml:1:4: it nests deeper than 64"},
        {"run: {name: \"\xff\"}", "run.yaml: byte 13: invalid leading UTF-8 octet"},
    };
    for (size_t i = 0; i < DFM_LEN(t); i++) {
        cfg c;
        assert_int_equal(read_text(f, &c, t[i].text), DFM_BAD_CONFIG);
        assert_string_equal(f->err.text, t[i].message);
        dfm_err_clear(&f->err);
    }
}

static void overrides(void **state)
{
    rt_fixture *f = *state;
    cfg c;
    cfg_init(f->arena, &c);
    RT_OK(f, cfg_override(&c, "train.steps=7", &f->err));
    RT_OK(f, cfg_override(&c, "train.steps=8", &f->err));       /* the later one wins */
    RT_OK(f, cfg_override(&c, "data.path=a=b", &f->err));
    RT_OK(f, cfg_override(&c, "run.name=", &f->err));
    assert_int_equal(c.train_steps, 8);
    assert_string_equal(c.data_path, "a=b");
    assert_false(c.is_set[CFG_run_name]);
    static const struct { const char *text, *message; } t[] = {
        {"train.step=7", "override 'train.step=7': unknown key 'train.step'\n"
                         "  help: did you mean 'train.steps'?"},
        {"train.steps", "override 'train.steps': it is not of the form key=value\n"
                        "  help: for example train.steps=1000"},
        {"=3", "override '=3': it is not of the form key=value\n"
               "  help: for example train.steps=1000"},
        {"train.steps=-3", "override 'train.steps=-3': 'train.steps' must be a whole number, "
                           "1 to 99999999, not '-3'"},
        {"data.mock=maybe", "override 'data.mock=maybe': 'data.mock' must be true or false, "
                            "not 'maybe'"},
        {"train.steps=", "override 'train.steps=': 'train.steps' needs a value"},
    };
    for (size_t i = 0; i < DFM_LEN(t); i++) {
        assert_int_equal(cfg_override(&c, t[i].text, &f->err), DFM_BAD_CONFIG);
        assert_string_equal(f->err.text, t[i].message);
        dfm_err_clear(&f->err);
    }
    cfg_init(f->arena, &c);                     /* what was refused sets nothing */
    RT_FAILS(f, cfg_override(&c, "sample.classes=~x", &f->err), DFM_BAD_CONFIG, "sample.classes");
    assert_false(c.is_set[CFG_sample_classes]);
    RT_OK(f, cfg_override(&c, "sample.classes=10", &f->err));
    RT_FAILS(f, cfg_override(&c, "sample.classes=-1", &f->err), DFM_BAD_CONFIG, "sample.classes");
    assert_true(c.is_set[CFG_sample_classes] && c.sample_classes == 10);
}

static void bombs(void **state)
{
    rt_fixture *f = *state;
    cfg c;
    dfm_sb sb = dfm_sb_make(f->arena);          /* nine levels of nine: 387 million leaves */
    dfm_sb_puts(&sb, "a0: &a0 {x: 1}\n");
    for (int i = 1; i < 10; i++) {
        dfm_sb_printf(&sb, "a%d: &a%d {", i, i);
        for (int k = 0; k < 9; k++) dfm_sb_printf(&sb, "%sk%d: *a%d", k ? ", " : "", k, i - 1);
        dfm_sb_puts(&sb, "}\n");
    }
    assert_int_equal(read_text(f, &c, sb.p), DFM_BAD_CONFIG);
    dfm_err_clear(&f->err);
    sb = dfm_sb_make(f->arena);
    dfm_sb_puts(&sb, "run: {threads: &t 1}\nx: {");
    for (int i = 0; i < 101; i++) dfm_sb_printf(&sb, "k%d: *t, ", i);
    dfm_sb_puts(&sb, "}\n");
    RT_FAILS(f, read_text(f, &c, sb.p), DFM_BAD_CONFIG, "more than 100 aliases");
    sb = dfm_sb_make(f->arena);
    for (int i = 0; i < 100; i++) dfm_sb_puts(&sb, "{a: ");
    for (int i = 0; i < 100; i++) dfm_sb_puts(&sb, "}");
    RT_FAILS(f, read_text(f, &c, sb.p), DFM_BAD_CONFIG, "nests deeper than 64");
    cfg_init(f->arena, &c);
    char *big = dfm_alloc(f->arena, (16 << 20) + 1);
    memset(big, '#', (16 << 20) + 1);
    RT_FAILS(f, cfg_read_yaml(&c, "big", big, (16 << 20) + 1, &f->err), DFM_BAD_CONFIG, "16 MiB");
}

static void writes_back(void **state)
{
    rt_fixture *f = *state;
    cfg c, d;
    cfg_init(f->arena, &c);
    RT_OK(f, cfg_override(&c, "train.lr=0.1", &f->err));
    RT_OK(f, cfg_override(&c, "train.seed=9223372036854775807", &f->err));
    RT_OK(f, cfg_override(&c, "data.path=odd \"name\" \\ {0..1}: #x.tar", &f->err));
    RT_OK(f, cfg_override(&c, "run.folder=~", &f->err));
    const char *text = cfg_yaml(&c, f->arena);
    RT_OK(f, read_text(f, &d, text));
    assert_string_equal(cfg_yaml(&d, f->arena), text);
    assert_string_equal(d.data_path, c.data_path);
    assert_int_equal(d.train_seed, INT64_MAX);
    assert_true(d.train_lr == 0.1);
    assert_false(d.is_set[CFG_run_folder]);
    assert_non_null(strstr(text, "train:\n  steps: 1650\n"));
}

static void table(void **state)
{
    rt_fixture *f = *state;
    const char *text = cfg_markdown(f->arena);
    for (int i = 0; i < CFG_COUNT; i++) {
        assert_non_null(strstr(text, dfm_fmt(f->arena, "| `%s` |", cfg_name((cfg_key)i))));
        assert_int_equal(cfg_find(cfg_name((cfg_key)i)), i);
    }
    assert_non_null(strstr(text, "| `train.steps` | whole number, 1 to 99999999 | `1650` | "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RT_TEST(defaults), RT_TEST(yaml_values), RT_TEST(exact_messages),
        RT_TEST(overrides), RT_TEST(bombs), RT_TEST(writes_back), RT_TEST(table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_attacks.c - every file of tests/attacks is refused in the words that EXPECTED says, or
 * accepted where it says ok; and no file there is missing from EXPECTED. */
#include "tests/rt/rt_test.h"

#include <dirent.h>

#include "runtime/app/config.h"
#include "runtime/ckpt/safetensors.h"
#include "runtime/data/npy.h"
#include "runtime/data/wds.h"

#define ATTACKS DFM_SOURCE_DIR "/tests/attacks"

static dfm_status read_tar(const char *path, dfm_err *err)
{
    data_shard *s;
    bool end = false;
    dfm_status status = data_shard_open(path, 0, true, &s, err);
    while (status == DFM_OK && !end) {
        data_sample x;
        status = data_shard_next(s, &x, &end, err);
    }
    data_shard_close(s);
    return status;
}

static dfm_status read_any(rt_fixture *f, const char *path)
{
    if (dfm_ends_with(path, ".tar")) return read_tar(path, &f->err);
    if (dfm_ends_with(path, ".yaml")) {
        cfg c;
        cfg_init(f->arena, &c);
        return cfg_read_file(&c, path, &f->err);
    }
    if (dfm_ends_with(path, ".npy")) {
        char *p;
        size_t n;
        data_array x;
        DFM_TRY(dfm_file_read(f->arena, path, 1 << 24, &p, &n, &f->err));
        return data_npy_parse(p, n, &x, &f->err);
    }
    ckpt_weights w;
    dfm_status s = ckpt_weights_open(f->arena, path, &w, &f->err);
    ckpt_weights_close(&w);
    return s;
}

/* What is wrong with the treatment of one file; NULL: nothing. */
static const char *wrong(rt_fixture *f, const char *line, const char *words)
{
    const char *path = dfm_path_join(f->arena, ATTACKS, line);
    if (!dfm_file_exists(path)) return "it is missing";
    dfm_status s = read_any(f, path);
    dfm_status want = dfm_ends_with(line, ".yaml") ? DFM_BAD_CONFIG : DFM_BAD_DATA;
    if (!strcmp(words, "ok"))
        return s == DFM_OK ? NULL : dfm_fmt(f->arena, "refused: %s", f->err.text);
    if (s != want) return dfm_fmt(f->arena, "status %d, not %d", (int)s, (int)want);
    if (!strstr(f->err.text, words))
        return dfm_fmt(f->arena, "no '%s' in: %s", words, f->err.text);
    for (const char *p = f->err.text; *p; p++)          /* an escape would reach a terminal */
        if ((unsigned char)*p < 0x20 && *p != '\n') return "a control character is printed";
    return NULL;
}

static void all_files(void **state)
{
    rt_fixture *f = *state;
    char *text;
    size_t n;
    int accepted = 0, refused = 0, bad = 0;
    RT_OK(f, dfm_file_read(f->arena, ATTACKS "/EXPECTED", 1 << 20, &text, &n, &f->err));
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        char *words = strchr(line, '\t');
        assert_non_null(words);
        *words++ = 0;
        if (dfm_starts_with(line, "dfm/")) continue;    /* tests/system/test_attacks.py */
        const char *why = wrong(f, line, words);
        if (why) print_error("%s: %s\n", line, why);
        bad += why != NULL;
        accepted += !strcmp(words, "ok");
        refused += strcmp(words, "ok") != 0;
        dfm_err_clear(&f->err);
    }
    assert_int_equal(bad, 0);
    assert_true(accepted >= 15 && refused >= 150);
}

static void none_is_forgotten(void **state)
{
    rt_fixture *f = *state;
    static const char *const folders[] = {"safetensors", "index", "npy", "tar", "yaml", "dfm"};
    char *text;
    size_t n;
    RT_OK(f, dfm_file_read(f->arena, ATTACKS "/EXPECTED", 1 << 20, &text, &n, &f->err));
    for (size_t i = 0; i < DFM_LEN(folders); i++) {
        DIR *d = opendir(dfm_path_join(f->arena, ATTACKS, folders[i]));
        assert_non_null(d);
        for (struct dirent *e; (e = readdir(d));) {
            if (e->d_name[0] == '.') continue;
            const char *line = dfm_fmt(f->arena, "%s/%s\t", folders[i], e->d_name);
            if (!strstr(text, line)) fail_msg("%s is not in EXPECTED", line);
        }
        closedir(d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {RT_TEST(all_files), RT_TEST(none_is_forgotten)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

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

static void all_files(void **state)
{
    rt_fixture *f = *state;
    char *text;
    size_t n;
    int accepted = 0, refused = 0;
    RT_OK(f, dfm_file_read(f->arena, ATTACKS "/EXPECTED", 1 << 20, &text, &n, &f->err));
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        char *words = strchr(line, '\t');
        assert_non_null(words);
        *words++ = 0;
        const char *path = dfm_path_join(f->arena, ATTACKS, line);
        if (!dfm_file_exists(path)) fail_msg("%s is missing", line);
        dfm_status s = read_any(f, path);
        dfm_status bad = dfm_ends_with(line, ".yaml") ? DFM_BAD_CONFIG : DFM_BAD_DATA;
        if (!strcmp(words, "ok")) {
            if (s != DFM_OK) fail_msg("%s: refused: %s", line, f->err.text);
            accepted++;
        } else {
            if (s != bad) fail_msg("%s: status %d, not %d", line, (int)s, (int)bad);
            if (!strstr(f->err.text, words)) fail_msg("%s: no '%s' in: %s", line, words, f->err.text);
            refused++;
        }
        dfm_err_clear(&f->err);
    }
    assert_true(accepted >= 10 && refused >= 60);
}

static void none_is_forgotten(void **state)
{
    rt_fixture *f = *state;
    static const char *const folders[] = {"safetensors", "npy", "tar", "yaml"};
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

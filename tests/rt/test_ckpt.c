/* test_ckpt.c - checkpoints: round trip, kill at every phase, damage, fall-back, pruning. */
#include "tests/rt/rt_test.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "runtime/ckpt/ckpt.h"

enum { N = 100000 };               /* elements of the large tensor: several writes */

typedef struct save_options {
    uint32_t keep;
    const char *die_in;            /* kill -9 when this phase begins */
    bool use_fetch;
    char phases[200];
} save_options;

static void on_phase(void *user, const char *name)
{
    save_options *o = user;
    if (o->die_in && !strcmp(name, o->die_in)) raise(SIGKILL);
    strncat(o->phases, name, 20);
    strcat(o->phases, " ");
}

static dfm_status fetch(void *user, uint32_t part, uint32_t tensor, uint64_t offset, uint64_t bytes,
                        void *dst, dfm_err *err)
{
    assert_int_equal(part, 1);
    assert_int_equal(tensor, 0);
    for (uint64_t i = 0; i < bytes; i++) ((uint8_t *)dst)[i] = (uint8_t)(offset + i);
    return DFM_OK;
}

/* Two parts: weights whose value is the step, and bytes that come through fetch. */
static dfm_status save(rt_fixture *f, const char *folder, uint64_t step, save_options *o)
{
    static const uint64_t sw[2] = {2, N / 2}, sm[1] = {5000000};
    float *w = dfm_new_n(f->arena, float, N);
    for (int i = 0; i < N; i++) w[i] = (float)step;
    const ckpt_tensor model[] = {
        {.name = "w", .dtype = DFM_F32, .rank = 2, .shape = sw, .data = w},
        {.name = "step", .dtype = DFM_I64, .rank = 0, .data = &step},
    };
    const ckpt_tensor optim[] = {{.name = "m", .dtype = DFM_U8, .rank = 1, .shape = sm}};
    const ckpt_part parts[] = {{.file = "model.safetensors", .tensors = model, .n_tensors = 2},
                               {.file = "optim.safetensors", .tensors = optim, .n_tensors = 1}};
    const ckpt_save_args args = {
        .folder = folder, .step = step, .parts = parts, .n_parts = o->use_fetch ? 2 : 1,
        .state = dfm_fmt(f->arena, "{\"step\": %d}", (int)step),
        .keep = o->keep, .fetch = fetch, .phase = on_phase, .user = o,
    };
    return ckpt_save(&args, &f->err);
}

static void save_plain(rt_fixture *f, const char *folder, uint64_t step, uint32_t keep)
{
    save_options o = {.keep = keep};
    RT_OK(f, save(f, folder, step, &o));
}

/* The folder loads, as this step, whole. Returns the warning. */
static const char *load_gives(rt_fixture *f, const char *path, uint64_t step)
{
    ckpt_loaded l;
    RT_OK(f, ckpt_load(f->arena, path, &l, &f->err));
    assert_true(l.found);
    assert_int_equal(l.step, step);
    const ckpt_tensor *w = ckpt_loaded_find(&l, "model.safetensors", "w");
    assert_non_null(w);
    for (int i = 0; i < N; i += 999) assert_true(((const float *)w->data)[i] == (float)step);
    assert_string_equal(l.state, dfm_fmt(f->arena, "{\"step\": %d}", (int)step));
    const char *warning = l.warning;
    ckpt_loaded_close(&l);
    return warning;
}

static const char *in_step(rt_fixture *f, const char *folder, uint64_t step, const char *name)
{
    return dfm_fmt(f->arena, "%s/step_%08d/%s", folder, (int)step, name);
}

static int count_names(rt_fixture *f, const char *folder, const char *with)
{
    char *text = dfm_fmt(f->arena, "ls -a '%s' | grep -c -- '%s'", folder, with);
    FILE *p = popen(text, "r");
    int n = -1;
    assert_int_equal(fscanf(p, "%d", &n), 1);
    pclose(p);
    return n;
}

static void round_trip(void **state)
{
    rt_fixture *f = *state;
    const char *folder = rt_path(f, "run/ckpt");
    ckpt_loaded l;
    RT_OK(f, ckpt_load(f->arena, folder, &l, &f->err));
    assert_false(l.found);
    save_options o = {.use_fetch = true};
    RT_OK(f, save(f, folder, 7, &o));
    assert_string_equal(o.phases, "clean part part state manifest sync rename latest prune done ");
    assert_null(load_gives(f, folder, 7));
    assert_null(load_gives(f, in_step(f, folder, 7, ""), 7));
    RT_OK(f, ckpt_load(f->arena, folder, &l, &f->err));
    const ckpt_tensor *m = ckpt_loaded_find(&l, "optim.safetensors", "m");
    for (uint64_t i = 0; i < m->bytes; i += 9973)
        assert_int_equal(((const uint8_t *)m->data)[i], (uint8_t)i);
    assert_null(ckpt_loaded_find(&l, "optim.safetensors", "w"));
    ckpt_loaded_close(&l);
    char *latest;
    size_t n;
    RT_OK(f, dfm_file_read(f->arena, dfm_path_join(f->arena, folder, "latest"), 100, &latest, &n,
                           &f->err));
    assert_string_equal(latest, "step_00000007\n");
}

/* kill -9 at the beginning of every phase: the last whole checkpoint loads, and the next save
 * cleans up and works. */
static void killed_anywhere(void **state)
{
    rt_fixture *f = *state;
    static const struct { const char *phase; uint64_t then; } t[] = {
        {"clean", 10}, {"part", 10}, {"state", 10}, {"manifest", 10}, {"sync", 10},
        {"rename", 10}, {"latest", 20}, {"prune", 20}, {"done", 20},
    };
    for (size_t i = 0; i < DFM_LEN(t); i++) {
        const char *folder = rt_path(f, t[i].phase);
        save_plain(f, folder, 10, 1);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            save_options o = {.keep = 1, .die_in = t[i].phase};
            save(f, folder, 20, &o);
            _exit(0);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        load_gives(f, folder, t[i].then);
        save_plain(f, folder, 30, 1);
        assert_null(load_gives(f, folder, 30));
        assert_int_equal(count_names(f, folder, "step_"), 1);
    }
}

/* kill -9 at 40 instants spread over running saves: what was reported as saved, or newer, loads. */
static void killed_any_time(void **state)
{
    rt_fixture *f = *state;
    const char *folder = rt_path(f, "ckpt");
    uint64_t done = 1;
    save_plain(f, folder, done, 2);
    for (uint32_t i = 0; i < 40; i++) {
        int pipe_ends[2], status;
        assert_int_equal(pipe(pipe_ends), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            for (uint64_t step = done + 1;; step++) {
                save_options o = {.keep = 2, .use_fetch = true};
                if (save(f, folder, step, &o) != DFM_OK) _exit(1);
                if (write(pipe_ends[1], &step, sizeof step) != sizeof step) _exit(1);
            }
        }
        usleep(1000 + i * 2654435761u % 20000);
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        close(pipe_ends[1]);
        for (uint64_t step; read(pipe_ends[0], &step, sizeof step) == sizeof step;) done = step;
        close(pipe_ends[0]);
        ckpt_loaded l;
        RT_OK(f, ckpt_load(f->arena, folder, &l, &f->err));
        assert_true(l.found && l.step >= done);
        assert_null(l.warning);
        done = l.step;
        ckpt_loaded_close(&l);
    }
}

/* Any damage of the newest one: the one before is used, and said so; nothing is removed. */
static void damage_falls_back(void **state)
{
    rt_fixture *f = *state;
    static const struct { const char *file; long at; const char *words; } t[] = {
        {"model.safetensors", -5, "the contents of 'model.safetensors' have changed"},
        {"model.safetensors", 20, "the contents of 'model.safetensors' have changed"},
        {"state.json", 3, "the contents of 'state.json' have changed"},
        {"MANIFEST", 20, "MANIFEST has changed"},
        {"MANIFEST", -10, "MANIFEST has changed"},
    };
    for (size_t i = 0; i < DFM_LEN(t); i++) {
        const char *folder = rt_path(f, dfm_fmt(f->arena, "d%zu", i));
        save_plain(f, folder, 1, 0);
        save_plain(f, folder, 2, 0);
        rt_flip(in_step(f, folder, 2, t[i].file), t[i].at);
        const char *warning = load_gives(f, folder, 1);
        assert_non_null(warning);
        assert_non_null(strstr(warning, t[i].words));
        assert_non_null(strstr(warning, "step_00000001"));
        save_plain(f, folder, 3, 1);            /* prunes 1, which is whole */
        assert_false(dfm_file_exists(in_step(f, folder, 1, "")));
        if (!strcmp(t[i].file, "MANIFEST")) assert_true(dfm_file_exists(in_step(f, folder, 2, "")));
        assert_null(load_gives(f, folder, 3));
    }
}

static void cut_files_and_missing_files(void **state)
{
    rt_fixture *f = *state;
    const char *folder = rt_path(f, "ckpt");
    for (uint64_t s = 1; s <= 5; s++) save_plain(f, folder, s, 0);
    assert_int_equal(truncate(in_step(f, folder, 5, "model.safetensors"), 1000), 0);
    assert_int_equal(unlink(in_step(f, folder, 4, "MANIFEST")), 0);
    assert_int_equal(unlink(in_step(f, folder, 3, "state.json")), 0);
    assert_int_equal(truncate(in_step(f, folder, 2, "MANIFEST"), 50), 0);
    const char *warning = load_gives(f, folder, 1);
    assert_non_null(strstr(warning, "has 1000 bytes"));
    assert_non_null(strstr(warning, "no MANIFEST"));
    assert_non_null(strstr(warning, "'state.json': No such file"));
    assert_non_null(strstr(warning, "cut off"));
    assert_int_equal(unlink(in_step(f, folder, 1, "MANIFEST")), 0);
    ckpt_loaded l;
    RT_FAILS(f, ckpt_load(f->arena, folder, &l, &f->err), DFM_BAD_DATA, "no checkpoint in");
    save_plain(f, folder, 6, 1);                /* what does not verify stays */
    for (uint64_t s = 1; s <= 6; s++) assert_true(dfm_file_exists(in_step(f, folder, s, "")));
    RT_FAILS(f, ckpt_load(f->arena, in_step(f, folder, 5, ""), &l, &f->err), DFM_BAD_DATA,
             "not whole");
}

/* A MANIFEST whose check is right and whose contents are not. */
static void hostile_manifests(void **state)
{
    rt_fixture *f = *state;
#define FILES(entry) "{\"format\": 1, \"step\": 3, \"serial\": 1, \"files\": [" entry "],\n"
#define HASH "\"xxh3_128\": \"00000000000000000000000000000000\""
    static const struct { const char *body, *words; } t[] = {
        {"{\"step\": 3, \"serial\": 1, \"files\": [],\n", "lacks a field"},
        {"{\"format\": 1, \"step\": -3, \"serial\": 1, \"files\": [],\n", "lacks a field"},
        {"{\"format\": 1, \"step\": 3, \"serial\": 0, \"files\": [],\n", "lacks a field"},
        {"{\"format\": 1, \"step\": 3, \"serial\": 1, \"files\": 7,\n", "lacks a field"},
        {"{\"format\": 2, \"step\": 3, \"serial\": 1, \"files\": [],\n", "unknown format"},
        {"{\"format\": 1, \"format\": 1,\n", "duplicate"},
        {"[\n", "not whole"},
        {FILES("3"), "lists a file wrongly"},
        {FILES("{\"name\": \"../x\", \"bytes\": 1, " HASH "}"), "lists a file wrongly"},
        {FILES("{\"name\": \"a/x\", \"bytes\": 1, " HASH "}"), "lists a file wrongly"},
        {FILES("{\"name\": \"\", \"bytes\": 1, " HASH "}"), "lists a file wrongly"},
        {FILES("{\"name\": \"x\\u001b\", \"bytes\": 1, " HASH "}"), "lists a file wrongly"},
        {FILES("{\"name\": \"x\", \"bytes\": -1, " HASH "}"), "lists a file wrongly"},
        {FILES("{\"name\": \"x\", \"bytes\": 1.5, " HASH "}"), "lists a file wrongly"},
        {FILES("{\"name\": \"x\", \"bytes\": 1}"), "lists a file wrongly"},
        {FILES("{\"name\": \"x\", \"bytes\": 1, "
               "\"xxh3_128\": \"0g000000000000000000000000000000\"}"),
         "lists a file wrongly"},
        {FILES("{\"name\": \"x\", \"bytes\": 1, " HASH "}"), "'x': No such file"},
        {FILES(""), "has no state.json"},
        {"{\"format\": 1, \"step\": 4, \"serial\": 1, \"files\": [],\n", "of another step"},
    };
    const char *folder = rt_path(f, "ckpt");
    RT_OK(f, dfm_make_folders(in_step(f, folder, 3, ""), &f->err));
    for (size_t i = 0; i < DFM_LEN(t); i++) {
        char hex[33];
        dfm_hash128_hex(dfm_hash128_of(t[i].body, strlen(t[i].body)), hex);
        rt_write_text(in_step(f, folder, 3, "MANIFEST"),
                      dfm_fmt(f->arena, "%s \"check\": \"%s\"\n}\n", t[i].body, hex));
        ckpt_loaded l;
        RT_FAILS(f, ckpt_load(f->arena, folder, &l, &f->err), DFM_BAD_DATA, t[i].words);
    }
    ckpt_loaded l;
    save_options o = {0};
    RT_FAILS(f, save(f, folder, 100000000, &o), DFM_CANNOT_WRITE, "too large");
    RT_FAILS(f, ckpt_load(f->arena, "/dev/null", &l, &f->err), DFM_BAD_DATA, "cannot open");
}

static void pruning_and_serials(void **state)
{
    rt_fixture *f = *state;
    const char *folder = rt_path(f, "ckpt");
    for (uint64_t s = 10; s <= 50; s += 10) save_plain(f, folder, s, 2);
    assert_int_equal(count_names(f, folder, "step_"), 2);
    save_plain(f, folder, 45, 3);               /* went back to 40: 45 is now the newest */
    assert_null(load_gives(f, folder, 45));
    save_plain(f, folder, 50, 3);               /* the same step again: replaced */
    assert_null(load_gives(f, folder, 50));
    assert_int_equal(count_names(f, folder, "step_"), 3);
    rt_flip(in_step(f, folder, 50, "model.safetensors"), -1);
    save_plain(f, folder, 50, 3);               /* replaced, and the damaged one is kept */
    assert_null(load_gives(f, folder, 50));
    assert_int_equal(count_names(f, folder, "step_00000050.damaged-"), 1);
}

static void leftovers(void **state)
{
    rt_fixture *f = *state;
    const char *folder = rt_path(f, "ckpt");
    save_plain(f, folder, 1, 0);
    char *alive = dfm_fmt(f->arena, "%s/step_00000002.tmp-00000000-%d-00000001", folder,
                          (int)getppid());
    assert_int_equal(mkdir(alive, 0777), 0);    /* of another host */
    assert_int_equal(mkdir(dfm_path_join(f->arena, folder, "step_00000003.tmp-mine"), 0777), 0);
    save_plain(f, folder, 4, 1);
    assert_true(dfm_file_exists(alive));
    assert_true(dfm_file_exists(dfm_path_join(f->arena, folder, "step_00000003.tmp-mine")));
    assert_null(load_gives(f, folder, 4));
}

static void full_disk(void **state)
{
    rt_fixture *f = *state;
    const char *folder = rt_path(f, "ckpt");
    save_plain(f, folder, 1, 1);
    struct rlimit old, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    signal(SIGXFSZ, SIG_IGN);
    static const rlim_t limits[] = {0, 5, 100, 70000, 399999};
    for (size_t i = 0; i < DFM_LEN(limits); i++) {
        small = old;
        small.rlim_cur = limits[i];
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
        save_options o = {.keep = 1};
        dfm_status s = save(f, folder, 2, &o);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
        RT_FAILS(f, s, DFM_CANNOT_WRITE, "while saving the checkpoint of step 2");
        assert_null(load_gives(f, folder, 1));
        assert_int_equal(count_names(f, folder, "tmp"), 0);
    }
    save_plain(f, folder, 2, 1);
    assert_null(load_gives(f, folder, 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RT_TEST(round_trip), RT_TEST(killed_anywhere), RT_TEST(killed_any_time),
        RT_TEST(damage_falls_back), RT_TEST(cut_files_and_missing_files),
        RT_TEST(hostile_manifests), RT_TEST(pruning_and_serials), RT_TEST(leftovers),
        RT_TEST(full_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

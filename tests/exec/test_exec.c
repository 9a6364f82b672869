/* test_exec.c - a hand-made plan on the cpu and null devices, through runtime/exec and dfm_rt.h. */
#include <math.h>
#include <sys/mman.h>

#include "runtime/dfm_rt.h"
#include "runtime/exec/exec.h"
#include "tests/exec/toy_plan.h"
#include "tests/rt/rt_test.h"

static rt *open_toy(rt_fixture *f, const toy_options *o, const rt_options *ro)
{
    rt *r = NULL;
    RT_OK(f, toy_plan_write(rt_path(f, "toy.plan"), f->folder, o, &f->err));
    RT_OK(f, rt_open(rt_path(f, "toy.plan"), ro, &r, &f->err));
    return r;
}

static const toy_options cpu = {.target = "cpu"};
static const rt_options plain = {.threads = 1}, accumulating = {.threads = 1, .accumulate = true};

static void read_w(rt *r, uint32_t state, float out[32])
{
    const plan_region *g;
    void *p = rt_state(r, state, 0, &g);
    rt_device(r)->ops->copy_out(rt_device(r), out, p, g->bytes);
}

/* The loop runs downwards, its operands move; the copy fills the buffer; averages start equal. */
static void init_fills_weights(void **state)
{
    rt_fixture *f = *state;
    rt *r = open_toy(f, &cpu, &plain);
    RT_OK(f, rt_init(r, 7, &f->err));
    float w[32], ema[32];
    read_w(r, 0, w);
    read_w(r, rt_state_find(r, "ema.0"), ema);
    for (int i = 0; i < 16; i++) assert_true(w[i] == (i % 4 == 3 - i / 4 ? 1.0f : 0.0f));
    for (int i = 0; i < 4; i++) assert_true(w[16 + i] == 7.0f + (float)i);
    for (int i = 0; i < 4; i++) assert_true(w[20 + i] == 1.0f + (float)i);
    assert_memory_equal(w, ema, sizeof w);
    assert_int_equal(rt_state_find(r, "none"), UINT32_MAX);
    assert_null(rt_state(r, rt_state_find(r, "acc"), 0, NULL));     /* not accumulating */
    rt_close(r);
}

static void forward_multiplies(void **state)
{
    rt_fixture *f = *state;
    rt *r = open_toy(f, &cpu, &plain);
    RT_OK(f, rt_init(r, 0, &f->err));
    rt_program *p;
    RT_OK(f, rt_program_get(r, "forward", &p, &f->err));
    double x[8] = {1, 2, 3, 4, 5, 6, 7, 8};                         /* f64 converts */
    int64_t y[2] = {1, 2};
    uint64_t shape[] = {2, 4};
    RT_OK(f, rt_set(r, p, "x", &(rt_value){DFM_F64, 2, shape, x}, &f->err));
    RT_OK(f, rt_set(r, p, "y", &(rt_value){DFM_I64, 1, shape, y}, &f->err));
    rt_call call = {0};
    RT_OK(f, rt_run(r, p, &call, &f->err));
    float out[8], want[8] = {5, 4, 3, 2, 10, 9, 8, 7};
    rt_get(r, rt_find_io(p, "out", PLAN_IO_OUTPUT), out);
    assert_memory_equal(out, want, sizeof out);
    rt_close(r);
}

static void inputs_are_checked(void **state)
{
    rt_fixture *f = *state;
    rt *r = open_toy(f, &cpu, &plain);
    rt_program *p;
    RT_OK(f, rt_program_get(r, "forward", &p, &f->err));
    double x[8] = {0.1, 2};
    int64_t y[2] = {1, 3};
    uint64_t shape[] = {2, 4}, wrong[] = {3, 4};
    RT_FAILS(f, rt_set(r, p, "x", &(rt_value){DFM_F64, 2, shape, x}, &f->err), DFM_BAD_DATA,
             "cannot hold");
    RT_FAILS(f, rt_set(r, p, "x", &(rt_value){DFM_F64, 2, wrong, x}, &f->err), DFM_BAD_DATA,
             "the program takes f32[B=2, N=4]");
    RT_FAILS(f, rt_set(r, p, "x", &(rt_value){DFM_F64, 1, shape, x}, &f->err), DFM_BAD_DATA,
             "the program takes");
    RT_FAILS(f, rt_set(r, p, "xx", &(rt_value){DFM_F64, 2, shape, x}, &f->err), DFM_BAD_DATA,
             "did you mean 'x'?");
    RT_FAILS(f, rt_set(r, p, "out", &(rt_value){DFM_F64, 2, shape, x}, &f->err), DFM_BAD_DATA,
             "no input 'out'");
    RT_FAILS(f, rt_set(r, p, "y", &(rt_value){DFM_I64, 1, shape, y}, &f->err), DFM_BAD_DATA,
             "holds 3 where the program takes 0 to 2");
    RT_FAILS(f, rt_program_get(r, "sampel", &p, &f->err), DFM_BAD_CONFIG, "it has: init forward");
    rt_close(r);
}

/* A draw by name replaces the program's own, until cleared. */
static void draws_are_replaced(void **state)
{
    rt_fixture *f = *state;
    rt *r = open_toy(f, &cpu, &plain);
    RT_OK(f, rt_init(r, 0, &f->err));
    rt_program *p;
    RT_OK(f, rt_program_get(r, "loss", &p, &f->err));
    float x0[8] = {0}, e[8];
    int32_t label[2] = {0, 0};
    uint64_t shape[] = {2, 4};
    rt_call call = {.seed = 3};
    RT_OK(f, rt_set(r, p, "x0", &(rt_value){DFM_F32, 2, shape, x0}, &f->err));
    RT_OK(f, rt_set(r, p, "label", &(rt_value){DFM_I32, 1, shape, label}, &f->err));
    const plan_io *loss = rt_find_io(p, "loss", PLAN_IO_OUTPUT);
    RT_OK(f, rt_run(r, p, &call, &f->err));
    double drawn = rt_get_number(r, loss);
    for (int i = 0; i < 8; i++) e[i] = (float)(i % 4) * 100;        /* u = 0 1 2 3: loss is 0 */
    RT_OK(f, rt_set(r, p, "e", &(rt_value){DFM_F32, 2, shape, e}, &f->err));
    RT_OK(f, rt_run(r, p, &call, &f->err));
    assert_true(rt_get_number(r, loss) < 1e-12);
    assert_true(drawn > 1e-3);
    rt_clear_given(p);
    RT_OK(f, rt_run(r, p, &call, &f->err));
    assert_true(rt_get_number(r, loss) == drawn);
    rt_close(r);
}

/* -- training ---------------------------------------------------------------------------------- */

typedef struct feed { const float *x; uint32_t first; } feed;

static dfm_status fetch(void *user, rt *r, rt_program *p, uint32_t part, dfm_err *err)
{
    const feed *d = user;
    int32_t label[2] = {0, 0};
    dfm_status s = rt_set_raw(r, p, rt_find_io(p, "x0", PLAN_IO_DATA),
                              d->x + 8 * (d->first + part), err);
    return s != DFM_OK ? s : rt_set_raw(r, p, rt_find_io(p, "label", PLAN_IO_DATA), label, err);
}

/* Two parts give the mean gradient of both, with draws keyed by the sample's place in all. */
static void accumulation_is_the_mean(void **state)
{
    rt_fixture *f = *state;
    rt *r = open_toy(f, &cpu, &accumulating);
    float x[16], g[2][32], both[32];
    for (int i = 0; i < 16; i++) x[i] = (float)(i * i % 7);
    feed d = {.x = x};
    rt_step_args args = {.seed = 5, .parts = 1, .batch = 2, .fetch = fetch, .user = &d};
    rt_step_result v[2], all;
    uint32_t gs = rt_state_find(r, "g");
    for (uint32_t k = 0; k < 2; k++) {
        RT_OK(f, rt_init(r, 0, &f->err));
        rt_program *p;
        RT_OK(f, rt_program_get(r, "step.grad", &p, &f->err));
        RT_OK(f, fetch(&d, r, p, k, &f->err));
        rt_call call = {.seed = 5, .first_sample = 2 * k};
        RT_OK(f, rt_run(r, p, &call, &f->err));
        v[k].loss = rt_get_number(r, rt_find_io(p, "loss", PLAN_IO_OUTPUT));
        read_w(r, gs, g[k]);
    }
    RT_OK(f, rt_init(r, 0, &f->err));
    args.parts = 2;
    RT_OK(f, rt_train_step(r, &args, &all, &f->err));
    read_w(r, gs, both);
    assert_true(fabs(all.loss - (v[0].loss + v[1].loss) / 2) < 1e-6);
    for (int i = 16; i < 20; i++) assert_true(fabsf(both[i] - (g[0][i] + g[1][i]) / 2) < 1e-6f);
    assert_true(all.lr == 0.5 && all.grad_norm > 0 && all.finite);
    rt_close(r);
}

static void training_fits(void **state)
{
    rt_fixture *f = *state;
    rt *r = open_toy(f, &cpu, &plain);
    RT_OK(f, rt_init(r, 9, &f->err));
    float x[8] = {1, 2, 3, 4, 1, 2, 3, 4}, w[32], ema[32];
    feed d = {.x = x};
    rt_step_result v = {0};
    for (uint64_t i = 0; i < 200; i++) {
        rt_step_args args = {
            .seed = 1, .step = i, .parts = 1, .batch = 2, .fetch = fetch, .user = &d};
        RT_OK(f, rt_train_step(r, &args, &v, &f->err));
    }
    read_w(r, 0, w);
    read_w(r, rt_state_find(r, "ema.0"), ema);
    for (int i = 0; i < 4; i++) assert_true(fabsf(w[16 + i] - (float)(i + 1)) < 0.05f);
    assert_memory_not_equal(w + 16, ema + 16, 16);
    rt_close(r);
}

static void nan_stops_the_update(void **state)
{
    rt_fixture *f = *state;
    toy_options o = {.target = "cpu", .nan_at_3 = true};
    rt *r = open_toy(f, &o, &plain);
    RT_OK(f, rt_init(r, 0, &f->err));
    float x[8] = {0}, before[32], after[32];
    feed d = {.x = x};
    rt_step_args args = {.step = 3, .parts = 1, .batch = 2, .fetch = fetch, .user = &d};
    rt_step_result v;
    read_w(r, 0, before);
    RT_OK(f, rt_train_step(r, &args, &v, &f->err));
    read_w(r, 0, after);
    assert_false(v.finite);
    assert_true(isnan(v.loss));
    assert_memory_equal(before, after, sizeof before);
    rt_close(r);
}

/* -- weights ----------------------------------------------------------------------------------- */

typedef struct put { const char *name; dfm_dtype dtype; uint32_t rank; uint64_t shape[4]; } put;

static const char *write_weights(rt_fixture *f, const put *t, uint32_t n)
{
    static const uint16_t half[16] = {0x3c00, 0x4000};               /* 1, 2 */
    static float data[64];
    ckpt_tensor all[16] = {0};
    for (int i = 0; i < 64; i++) data[i] = (float)i + 0.5f;
    for (uint32_t i = 0; i < n; i++) {
        uint64_t elems = 1;
        for (uint32_t k = 0; k < t[i].rank; k++) elems *= t[i].shape[k];
        all[i] = (ckpt_tensor){.name = t[i].name, .dtype = t[i].dtype, .rank = t[i].rank,
                               .shape = t[i].shape, .bytes = elems * dfm_dtype_bytes(t[i].dtype),
                               .data = t[i].dtype == DFM_F16 ? (const void *)half : data};
    }
    const char *path = rt_path(f, "w.safetensors");
    RT_OK(f, ckpt_write_file(path, all, n, NULL, 0, &f->err));
    return path;
}

static void weights_load_by_name(void **state)
{
    rt_fixture *f = *state;
    rt *r = open_toy(f, &cpu, &plain);
    RT_OK(f, rt_init(r, 0, &f->err));
    /* Shapes agree after dropping ones and merging; f16 converts; the buffer may be missing. */
    put ok[] = {{"layer.w", DFM_F32, 3, {1, 4, 4}}, {"net.u", DFM_F16, 2, {2, 2}},
                {"more", DFM_F32, 1, {3}}};
    rt_unused unused;
    RT_OK(f, rt_load_weights(r, write_weights(f, ok, 3), f->arena, &unused, &f->err));
    float w[32];
    read_w(r, 0, w);
    assert_true(w[0] == 0.5f && w[15] == 15.5f && w[16] == 1.0f && w[17] == 2.0f && w[23] == 4.0f);
    assert_int_equal(unused.n, 1);
    assert_non_null(strstr(unused.text, "more F32 [3]"));
    put bad[] = {{"layer.w", DFM_F32, 2, {2, 8}}, {"net.v", DFM_F32, 1, {4}},
                 {"pos", DFM_I32, 1, {4}}};
    const char *path = write_weights(f, bad, 3);
    dfm_status s = rt_load_weights(r, path, f->arena, NULL, &f->err);
    assert_int_equal(s, DFM_BAD_DATA);
    static const char *const parts[] = {
        "1 missing in the file:", "net.u F32 [4] (the file has 'net.v')",
        "2 of another shape or type:", "layer.w: the file has F32 [2, 8], the program F32 [4, 4]",
        "pos: the file has I32 [4]", "1 in the file that the program does not have:", "net.v",
    };
    for (size_t i = 0; i < DFM_LEN(parts); i++)
        if (!strstr(f->err.text, parts[i])) fail_msg("no '%s' in:\n%s", parts[i], f->err.text);
    dfm_err_clear(&f->err);
    rt_close(r);
}

/* Only what the file lacks is made: the buffer pos (1, 2, ..) stays zero if it is there; so do w
 * and u (7, 8, ..), which one loop fills, if both are. State that was used is cleared. */
static void init_leaves_out_what_is_given(void **state)
{
    rt_fixture *f = *state;
    rt *r = open_toy(f, &cpu, &plain);
    put all[] = {{"pos", DFM_F32, 1, {4}}, {"net.u", DFM_F32, 1, {4}},
                 {"layer.w", DFM_F32, 1, {16}}};
    for (uint32_t k = 0; k < 4; k++) {       /* k of them are there */
        ckpt_weights w;
        float v[32];
        RT_OK(f, ckpt_weights_open(f->arena, write_weights(f, all, k), &w, &f->err));
        RT_OK(f, rt_init_except(r, 7, &w, &f->err));
        read_w(r, 0, v);
        assert_true(v[3] == (k == 3 ? 0.0f : 1.0f) && v[6] == v[3]);
        for (int i = 0; i < 4; i++) assert_true(v[16 + i] == (k == 3 ? 0.0f : 7.0f + (float)i));
        for (int i = 0; i < 4; i++) assert_true(v[20 + i] == (k >= 1 ? 0.0f : 1.0f + (float)i));
        ckpt_weights_close(&w);
    }
    float w[32];
    RT_OK(f, rt_init(r, 7, &f->err));                    /* the program itself is whole */
    read_w(r, 0, w);
    assert_true(w[16] == 7.0f && w[20] == 1.0f);
    rt_close(r);
}

/* Memory that nothing has used takes no pages, also after `init` has run. */
static void fresh_state_is_untouched(void **state)
{
    rt_fixture *f = *state;
    rt *r = open_toy(f, &cpu, &plain);
    RT_OK(f, rt_init(r, 0, &f->err));
    unsigned char in_core = 0;
    void *g = rt_state(r, rt_state_find(r, "g"), 0, NULL);
    assert_non_null(g);
    assert_int_equal(mincore(g, 1, &in_core), 0);
    assert_int_equal(in_core & 1, 0);
    rt_close(r);
}

/* -- devices ----------------------------------------------------------------------------------- */

static void null_counts(void **state)
{
    rt_fixture *f = *state;
    toy_options o = {.target = "null"};
    rt *r = open_toy(f, &o, &plain);
    RT_OK(f, rt_init(r, 0, &f->err));
    dev_counts c = rt_device(r)->ops->counts(rt_device(r));
    assert_int_equal(c.calls, 4);
    assert_int_equal(c.copies, 1);
    rt_program *p;
    rt_call call = {0};
    RT_OK(f, rt_program_get(r, "forward", &p, &f->err));
    RT_OK(f, rt_run(r, p, &call, &f->err));
    c = rt_device(r)->ops->counts(rt_device(r));
    assert_int_equal(c.products, 1);
    assert_true(c.flops == 5 * 10 + 2 * 2 * 4 * 4);
    rt_close(r);
}

static void unfit_plans_are_refused(void **state)
{
    rt_fixture *f = *state;
    const char *path = rt_path(f, "toy.plan");
    rt *r;
    toy_options other = {.target = "cpu", .flag = "no_such_flag"}, cuda = {.target = "cuda"},
                symbol = {.target = "cpu", .symbol = "k_none"};
    RT_OK(f, toy_plan_write(path, f->folder, &other, &f->err));
    RT_FAILS(f, rt_open(path, &plain, &r, &f->err), DFM_UNAVAILABLE,
             "another processor, level toy-level: this one lacks no_such_flag");
    assert_null(r);
    RT_OK(f, toy_plan_write(path, f->folder, &cuda, &f->err));
    RT_FAILS(f, rt_open(path, &plain, &r, &f->err), DFM_UNAVAILABLE, "target 'cuda'");
    RT_OK(f, toy_plan_write(path, f->folder, &symbol, &f->err));
    RT_FAILS(f, rt_open(path, &plain, &r, &f->err), DFM_BAD_DATA, "no function 'k_none'");
}

/* Machine code is loaded only if nobody else could have written it. */
static void exposed_plans_are_refused(void **state)
{
    rt_fixture *f = *state;
    const char *path = rt_path(f, "toy.plan");
    rt_options trust = {.threads = 1, .trust = true};
    rt *r;
    RT_OK(f, toy_plan_write(path, f->folder, &cpu, &f->err));
    assert_int_equal(chmod(path, 0666), 0);
    RT_FAILS(f, rt_open(path, &plain, &r, &f->err), DFM_BAD_DATA,
             "its file can be written by everybody");
    RT_OK(f, rt_open(path, &trust, &r, &f->err));
    rt_close(r);
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(chmod(f->folder, 0777), 0);
    RT_FAILS(f, rt_open(path, &plain, &r, &f->err), DFM_BAD_DATA, "its folder can be written");
    assert_int_equal(chmod(f->folder, 0755), 0);
    RT_OK(f, rt_open(path, &plain, &r, &f->err));
    rt_close(r);
    if (geteuid() == 0) {
        assert_int_equal(chown(path, 12345, (gid_t)-1), 0);
        RT_FAILS(f, rt_open(path, &plain, &r, &f->err), DFM_BAD_DATA, "belongs to another user");
    }
}

static void public_interface(void **state)
{
    rt_fixture *f = *state;
    assert_null(dfm_rt_load(rt_path(f, "none.plan"), 1, 0));
    assert_non_null(strstr(dfm_rt_error(NULL), "none.plan"));
    RT_OK(f, toy_plan_write(rt_path(f, "toy.plan"), f->folder, &cpu, &f->err));
    dfm_rt *x = dfm_rt_load(rt_path(f, "toy.plan"), 1, 0);
    assert_non_null(x);
    assert_int_equal(dfm_rt_init(x, 2), 0);
    float in[8] = {1, 2, 3, 4, 5, 6, 7, 8}, out[8];
    int32_t y[2] = {0, 0};
    uint64_t shape[] = {2, 4};
    assert_int_equal(dfm_rt_set(x, "forward", "x", "f32", 2, shape, in), 0);
    assert_int_equal(dfm_rt_set(x, "forward", "y", "i32", 1, shape, y), 0);
    assert_int_equal(dfm_rt_run(x, "forward", 0, 0, 0), 0);
    assert_int_equal(dfm_rt_get(x, "forward", "out", out, sizeof out), 0);
    assert_true(out[0] == 4 && out[7] == 5);
    assert_int_equal(dfm_rt_get(x, "forward", "out", out, 4), DFM_USAGE);
    assert_int_equal(dfm_rt_set(x, "forward", "x", "f31", 2, shape, in), DFM_USAGE);
    assert_non_null(strstr(dfm_rt_error(x), "f31"));
    assert_int_equal(dfm_rt_weights(x, rt_path(f, "none")), DFM_BAD_DATA);
    double loss = -1;
    assert_int_equal(dfm_rt_set(x, "step.grad", "x0", "f32", 2, shape, in), 0);
    assert_int_equal(dfm_rt_set(x, "step.grad", "label", "i32", 1, shape, y), 0);
    assert_int_equal(dfm_rt_train_step(x, 1, 0, &loss), 0);
    assert_true(loss > 0);
    dfm_rt_close(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RT_TEST(init_fills_weights), RT_TEST(forward_multiplies), RT_TEST(inputs_are_checked),
        RT_TEST(draws_are_replaced), RT_TEST(accumulation_is_the_mean), RT_TEST(training_fits),
        RT_TEST(nan_stops_the_update), RT_TEST(weights_load_by_name),
        RT_TEST(init_leaves_out_what_is_given), RT_TEST(fresh_state_is_untouched),
        RT_TEST(null_counts), RT_TEST(unfit_plans_are_refused), RT_TEST(exposed_plans_are_refused),
        RT_TEST(public_interface),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

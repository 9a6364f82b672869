/* test_models.c - the shipped models: parameter counts, and the interpreter on goldens of published
 * implementations (tests/golden). */
#include "compiler/pass/autodiff.h"
#include "tests/golden/st_file.h"
#include "tests/sema2/harness.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* -- counts --------------------------------------------------------------------------------- */

static void parameter_counts(void **state)
{
    static const struct { const char *file, *variant; uint64_t want; } table[] = {
        {"models/dit.dfm", "S/2", 32865056}, {"models/dit.dfm", "B/2", 130315808},
        {"models/dit.dfm", "L/2", 457840672}, {"models/dit.dfm", "XL/2", 674834720},
        {"models/wan_1_3b.dfm", "1.3B", 1418996800}, {"models/wan_1_3b.dfm", "14B", 14288491584},
    };
    for (uint32_t k = 0; k < DFM_LEN(table); k++) {
        front_options o = {.variant = table[k].variant, .check_only = true};
        h_ctx *h = h_compile_file(table[k].file, &o);
        if (!h->m) h_print(h);
        assert_non_null(h->m);
        assert_true(front_params(h->m).trainable == table[k].want);
        h_done(h);
    }
}

static void all_files_check(void **state)
{
    static const char *const files[] = {"dit", "wan_1_3b", "novel", "edm_xattn"};
    for (uint32_t k = 0; k < DFM_LEN(files); k++) {
        char path[64];
        front_options o = {.check_only = true};
        snprintf(path, sizeof path, "models/%s.dfm", files[k]);
        h_ctx *h = h_compile_file(path, &o);
        if (!h->m) h_print(h);
        assert_non_null(h->m);
        assert_int_equal(diag_n_warnings(h->front.diag), 0);
        h_done(h);
    }
}

static void variants_choose_their_sections(void **state)
{
    front_options o = {.variant = "S/2", .check_only = true};
    h_ctx *h = h_compile_file("models/dit.dfm", &o);
    assert_string_equal(h->m->train, "ddpm");
    assert_string_equal(h->m->sampler, "ddim");
    assert_int_equal(h->m->data.n, 2);
    assert_string_equal(h->m->data.p[0].source, "latent.npy");
    h_done(h);
    h = h_compile_file("models/dit.dfm", NULL);
    assert_string_equal(h->m->train, "flow");
    assert_string_equal(h->m->sampler, "euler");
    assert_non_null(h_program(h, "step.update"));
    assert_string_equal(ir_dim_str(h->m, h->m->batch), "B");
    assert_int_equal(ir_extent(h->m, h->m->batch), 128);
    h_done(h);
}

/* -- goldens ---------------------------------------------------------------------------------- */

static const char *with_layer(h_ctx *h, const char *name, int64_t layer)
{
    const char *open = strchr(name, '{'), *close = open ? strchr(open, '}') : NULL;
    if (!close) return name;
    return dfm_fmt(h->arena, "%.*s%lld%s", (int)(open - name), name, (long long)layer, close + 1);
}

static void give_weights(h_ctx *h, const st_file *f)
{
    for (uint32_t i = 0; i < h->m->params.n; i++) {
        const ir_param *p = &h->m->params.p[i];
        uint64_t n = ir_elems(h->m, p->type), layers = 1, at = 0;
        double *all = dfm_new_n(h->arena, double, n);
        if (p->n_loops) layers = (uint64_t)ir_extent(h->m, ir_type_of(h->m, p->type)->dims[0]);
        for (uint64_t k = 0; k < layers; k++) {
            const char *name = with_layer(h, dfm_name_str(h->m->names, p->published), (int64_t)k);
            const st_tensor *t = st_find(f, dfm_fmt(h->arena, "w.%s", name));
            if (!t) fail_msg("the golden has no %s", name);
            assert_int_equal(t->n, n / layers);
            assert_int_equal(t->n_dims, p->file_rank);
            for (uint32_t d = 0; d < t->n_dims; d++)
                assert_int_equal(t->dims[d], p->file_shape[d]);
            for (uint64_t e = 0; e < t->n; e++) all[at++] = st_at(t, e);
        }
        h_set(h, dfm_name_str(h->m->names, p->path), all, n);
    }
}

static void give_inputs(h_ctx *h, const st_file *f, const char *prefix)
{
    for (uint32_t i = 0; i < f->n; i++) {
        const st_tensor *t = &f->t[i];
        if (!dfm_starts_with(t->name, prefix)) continue;
        double *p = dfm_new_n(h->arena, double, t->n);
        for (uint64_t e = 0; e < t->n; e++) p[e] = st_at(t, e);
        h_set(h, t->name + strlen(prefix), p, t->n);
    }
}

static double relative_error(const double *have, const st_tensor *want)
{
    double diff = 0, norm = 0;
    for (uint64_t i = 0; i < want->n; i++) {
        diff += pow(have[i] - st_at(want, i), 2);
        norm += pow(st_at(want, i), 2);
    }
    return sqrt(diff / norm);
}

/* Gradients of program "loss" against `grad.NAME`: worst relative error of all tensors. */
static double gradient_error(h_ctx *h, const st_file *f)
{
    dfm_err err = {0};
    dfm_arena *scratch = dfm_arena_create("scratch");
    uint32_t index;
    pass_ctx cx = {.m = h->m, .err = &err, .scratch = scratch};
    ir_graph *g = ir_graph_create(h->m, "golden.grad", &index);
    if (!ad_grad(&cx, h_graph(h, "loss"), &(ad_request){.params = true}, g))
        fail_msg("%s", err.text);
    const double **out = dfm_new_n(h->arena, const double *, g->results.n);
    ir_env env = {.round = IR_EXACT, .lookup = h_lookup, .user = h};
    if (ir_interpret(h->m, g, &env, h->arena, out, &err) != DFM_OK) fail_msg("%s", err.text);
    double worst = 0;
    uint32_t at = 1, compared = 0;
    for (uint32_t i = 0; i < h->m->params.n; i++) {
        const ir_param *p = &h->m->params.p[i];
        uint64_t n = ir_elems(h->m, p->type), layers = 1;
        if (!p->trainable || p->is_buffer) continue;
        if (p->n_loops) layers = (uint64_t)ir_extent(h->m, ir_type_of(h->m, p->type)->dims[0]);
        for (uint64_t k = 0; k < layers; k++) {
            const char *name = with_layer(h, dfm_name_str(h->m->names, p->published), (int64_t)k);
            const st_tensor *t = st_find(f, dfm_fmt(h->arena, "grad.%s", name));
            if (!t) fail_msg("the golden has no gradient of %s", name);
            double e = relative_error(out[at] + k * (n / layers), t);
            if (e > worst) worst = e;
            compared++;
        }
        at++;
    }
    assert_int_equal(at, g->results.n);
    assert_true(compared > 10);
    dfm_arena_destroy(scratch);
    return worst;
}

static void golden(const char *name, const char *model, const char *train, const char *sets)
{
    dfm_arena *a = dfm_arena_create("golden");
    st_file f;
    dfm_err err = {0};
    const char *list[32];
    front_options o = {.train = train, .precision = "f32", .sets = list};
    const char *path = dfm_fmt(a, "%s/tests/golden/%s.safetensors", DFM_SOURCE_DIR, name);
    if (st_read(a, path, &f, &err) != DFM_OK) fail_msg("%s", err.text);
    char *save = NULL, *words = dfm_strdup(a, sets);
    for (char *w = strtok_r(words, " ", &save); w; w = strtok_r(NULL, " ", &save))
        list[o.n_sets++] = dfm_fmt(a, "dim.%s", w);
    static const struct { const char *program, *prefix, *result; } runs[] = {
        {"forward", "forward.", "out"}, {"loss", "train.", "loss"},
    };
    for (uint32_t k = 0; k < 2; k++) {
        h_ctx *h = h_compile_file(model, &o);
        if (!h->m) h_print(h);
        assert_non_null(h->m);
        give_weights(h, &f);
        give_inputs(h, &f, runs[k].prefix);
        double e = relative_error(h_run(h, runs[k].program, 0), st_find(&f, runs[k].result));
        if (!(e < 2e-7)) fail_msg("%s: %s is off by %g", name, runs[k].result, e);
        if (k) e = gradient_error(h, &f);
        if (!(e < 1e-6)) fail_msg("%s: a gradient is off by %g", name, e);
        h_done(h);
    }
    dfm_arena_destroy(a);
}

/* Sizes as in the goldens' JSON. */
static void dit_goldens(void **state)
{
    static const struct { const char *name, *sets; } table[] = {
        {"dit_small", "B=3 C=4 Co=8 Y=8 X=8 Py=2 Px=2 D=32 H=2 L=2 F=128 NC=10"},
        {"dit_odd", "B=5 C=3 Co=6 Y=10 X=10 Py=2 Px=2 D=36 H=3 L=3 F=144 NC=7"},
        {"dit_patch4", "B=2 C=4 Co=8 Y=12 X=12 Py=4 Px=4 D=48 H=4 L=1 F=192 NC=5"},
        {"dit_wide", "B=4 C=1 Co=2 Y=8 X=8 Py=2 Px=2 D=96 H=4 L=1 F=192 NC=10"},
        {"dit_first_steps", "B=6 C=3 Co=6 Y=12 X=12 Py=2 Px=2 D=24 H=2 L=1 F=96 NC=3"},
    };
    for (uint32_t k = 0; k < DFM_LEN(table); k++)
        golden(table[k].name, "models/dit.dfm", "ddpm", table[k].sets);
}

static void wan_goldens(void **state)
{
    static const struct { const char *name, *sets; } table[] = {
        {"wan_small", "B=2 C=4 T=3 Y=6 X=8 L=2 H=2 D=48 F=100 K=64 Lt=7 Dt=20"},
        {"wan_odd", "B=3 C=3 T=5 Y=4 X=6 L=3 H=3 D=48 F=77 K=32 Lt=5 Dt=12"},
        {"wan_still", "B=1 C=2 T=1 Y=4 X=2 L=1 H=1 D=10 F=24 K=256 Lt=3 Dt=6"},
    };
    for (uint32_t k = 0; k < DFM_LEN(table); k++)
        golden(table[k].name, "models/wan_1_3b.dfm", "flow", table[k].sets);
}

/* -- the default model runs ------------------------------------------------------------------- */

static void digits_sample_and_loss(void **state)
{
    const char *sets[] = {"dim.B=2", "dim.D=8", "dim.H=2", "dim.L=2", "const.steps=3"};
    front_options o = {.sets = sets, .n_sets = 5};
    h_ctx *h = h_compile_file("models/dit.dfm", &o);
    h->scale = 0.3;
    const double *x = h_run(h, "sample", 0), *loss = h_run(h, "loss", 0);
    for (int i = 0; i < 2 * 64; i++) assert_true(isfinite(x[i]));
    assert_true(isfinite(loss[0]) && loss[0] > 0);
    h_done(h);
}

static void novel_block_runs(void **state)
{
    const char *sets[] = {"dim.B=2", "dim.D=6", "dim.R=3", "dim.L=2", "dim.K=4", "const.steps=2"};
    front_options o = {.sets = sets, .n_sets = 6};
    h_ctx *h = h_compile_file("models/novel.dfm", &o);
    if (!h->m) h_print(h);
    h->scale = 0.3;
    const double *x = h_run(h, "sample", 0), *loss = h_run(h, "loss", 0);
    for (int i = 0; i < 2 * 64; i++) assert_true(isfinite(x[i]));
    assert_true(isfinite(loss[0]) && loss[0] > 0);
    h_done(h);
}

/* Shifts, reductions, maxima and a user's vjp: gradients by parameters against differences. */
static void novel_gradients(void **state)
{
    const char *sets[] = {"dim.B=2", "dim.D=6", "dim.R=3", "dim.L=2",
                          "dim.K=4", "dim.T=3", "dim.N=2"};
    front_options o = {.sets = sets, .n_sets = DFM_LEN(sets)};
    h_ctx *h = h_compile_file("models/novel.dfm", &o);
    assert_non_null(h->m);
    dfm_err err = {0};
    dfm_arena *scratch = dfm_arena_create("scratch");
    pass_ctx cx = {.m = h->m, .err = &err, .scratch = scratch};
    uint32_t index, at = 1;
    ir_graph *g = ir_graph_create(h->m, "novel.grad", &index);
    if (!ad_grad(&cx, h_graph(h, "loss"), &(ad_request){.params = true}, g))
        fail_msg("%s", err.text);
    const double **out = dfm_new_n(h->arena, const double *, g->results.n);
    ir_env env = {.round = IR_EXACT, .seed = 7, .lookup = h_lookup, .user = h};
    h->scale = 0.7;
    if (ir_interpret(h->m, g, &env, h->arena, out, &err) != DFM_OK) fail_msg("%s", err.text);
    for (uint32_t i = 0; i < h->m->params.n; i++) {
        const ir_param *p = &h->m->params.p[i];
        const char *path = dfm_name_str(h->m->names, p->path);
        uint64_t n = ir_elems(h->m, p->type);
        double *w = (double *)(uintptr_t)h_get(h, path, n);
        for (uint64_t k = 0; k < n; k += n / 2 + 1) {
            double keep = w[k], step = 1e-5;
            w[k] = keep + step;
            double up = h_run(h, "loss", 0)[0];
            w[k] = keep - step;
            double down = h_run(h, "loss", 0)[0];
            w[k] = keep;
            double want = (up - down) / (2 * step);
            if (fabs(out[at][k] - want) > 1e-7 + 1e-5 * fabs(want))
                fail_msg("%s[%u]: %g, by differences %g", path, (unsigned)k, out[at][k], want);
        }
        at++;
    }
    assert_int_equal(at, g->results.n);
    dfm_arena_destroy(scratch);
    h_done(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameter_counts), cmocka_unit_test(all_files_check),
        cmocka_unit_test(variants_choose_their_sections), cmocka_unit_test(dit_goldens),
        cmocka_unit_test(wan_goldens), cmocka_unit_test(digits_sample_and_loss),
        cmocka_unit_test(novel_block_runs), cmocka_unit_test(novel_gradients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

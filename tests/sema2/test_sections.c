/* test_sections.c - train, use, sampler, precision, weights and layout sections. */
#include "tests/sema2/harness.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const char MODEL[] =
    "dim B = 3, D = 4, E = 2\n"
    "model m(x: f32[B, D]) -> f32[B, E] {\n"
    "  param scale: f32[D] init ones tag no_decay\n  return linear(x * scale, D -> E) as out\n}\n";
static const char DATA[] = "  data x: f32[B, D] in webdataset(\"x.npy\")\n"
                           "  data y: f32[B, E] in webdataset(\"y.npy\")\n";

/* MODEL and a train section of DATA and `body`. */
static h_ctx *train(const char *body)
{
    char text[4000];
    snprintf(text, sizeof text, "%strain t for m {\n%s%s}\n", MODEL, DATA, body);
    return h_compile(text, NULL);
}

static uint32_t state_index(const h_ctx *h, const char *name)
{
    for (uint32_t i = 0; i < h->m->states.n; i++)
        if (!strcmp(dfm_name_str(h->m->names, h->m->states.p[i].name), name)) return i;
    fail_msg("no state %s", name);
    return 0;
}

/* Result of a program by its name. */
static const double *result(h_ctx *h, const char *program, const char *name)
{
    const ir_graph *g = h_graph(h, program);
    const double *const *all = h_run_all(h, program);
    for (uint32_t k = 0; k < g->results.n; k++)
        if (!strcmp(dfm_name_str(h->m->names, g->results.p[k].name), name)) return all[k];
    fail_msg("no result %s", name);
    return NULL;
}

/* -- train ---------------------------------------------------------------------------------- */

static void loss_of_data_and_draws(void **state)
{
    h_ctx *h = train("  n = normal([B, D])\n  u = uniform([B])\n"
                     "  z = select(u < 0.5, x, x + n)\n  minimize mean((m(z) - y) ^ 2)\n");
    double u[] = {0.1, 0.9, 0.6};
    h_set(h, "u", u, 3);
    const double *n = h_get(h, "n", 12);     /* given, so not drawn */
    const double *loss = h_run(h, "loss", 0), *x = h_get(h, "x", 12), *y = h_get(h, "y", 6);
    const double *s = h_get(h, "scale", 4), *w = h_get(h, "out.weight", 8);
    const double *c = h_get(h, "out.bias", 2);
    double want = 0;
    for (int b = 0; b < 3; b++)
        for (int e = 0; e < 2; e++) {
            double v = c[e] - y[b * 2 + e];
            for (int d = 0; d < 4; d++)
                v += (x[b * 4 + d] + (u[b] < 0.5 ? 0 : n[b * 4 + d])) * s[d] * w[e * 4 + d];
            want += v * v / 6;
        }
    CLOSE(loss[0], want, 1e-12);
    assert_true(h_program(h, "loss")->replace_draws);
    assert_int_equal(h->m->data.n, 2);
    assert_string_equal(h->m->data.p[1].source, "y.npy");
    assert_string_equal(ir_dim_str(h->m, h->m->batch), "B");
    h_done(h);
}

static void flats_by_tag_and_alignment(void **state)
{
    h_ctx *h = train("  minimize mean((m(x) - y) ^ 2)\n  use adamw(lr=0.1, skip=no_decay)\n");
    const ir_module *m = h->m;
    assert_int_equal(m->flats.n, 2);
    uint64_t used[2] = {0};
    for (uint32_t i = 0; i < m->params.n; i++) {
        const ir_param *p = &m->params.p[i];
        bool decays = !strcmp(dfm_name_str(m->names, p->path), "out.weight");
        assert_string_equal(dfm_name_str(m->names, m->flats.p[p->group].name),
                            decays ? "decay" : "no_decay");
        assert_int_equal(p->flat_offset % 16, 0);
        assert_true(p->flat_offset >= used[p->group]);
        used[p->group] = p->flat_offset + ir_elems(m, p->type);
        assert_true(used[p->group] <= m->flats.p[p->group].n_elems);
    }
    h_done(h);
}

/* -- optimizer -------------------------------------------------------------------------------- */

static void adamw_clip_schedule_and_average(void **state)
{
    h_ctx *h = train("  minimize mean((m(x) - y) ^ 2)\n  use ema(0.9, 0.5)\n"
                     "  use lr(warmup=10)\n  use clip_norm(0.5)\n"
                     "  use adamw(lr=0.1, decay=0.2, betas=(0.8, 0.9), eps=1e-3, skip=no_decay)\n");
    double step = 3;
    h_set(h, "step", &step, 1);
    static const char *const groups[] = {"decay", "no_decay"};
    double v[2][32];
    for (int g = 0; g < 2; g++) {            /* second moments are positive */
        uint32_t n = (uint32_t)h->m->flats.p[g].n_elems;
        for (uint32_t i = 0; i < n; i++) v[g][i] = 0.01 * (i + 1);
        h_set(h, dfm_fmt(h->arena, "adamw.v.%s", groups[g]), v[g], 32);
    }
    const double *lr = result(h, "step.update", "lr"),
                 *norm = result(h, "step.update", "grad_norm");
    double sq = 0;
    uint64_t n[2];
    for (int g = 0; g < 2; g++)
        for (uint32_t k = 0; k < 2; k++)
            if (!strcmp(dfm_name_str(h->m->names, h->m->flats.p[k].name), groups[g]))
                n[g] = h->m->flats.p[k].n_elems;
    for (int g = 0; g < 2; g++) {
        const double *gr = h_get(h, dfm_fmt(h->arena, "g.%s", groups[g]), n[g]);
        for (uint64_t i = 0; i < n[g]; i++) sq += gr[i] * gr[i];
    }
    CLOSE(norm[0], sqrt(sq), 1e-12);
    CLOSE(lr[0], 0.1 * 4 / 10, 1e-12);
    for (int g = 0; g < 2; g++) {
        const char *name = groups[g];
        const double *w = h_get(h, dfm_fmt(h->arena, "w.%s", name), n[g]);
        const double *gr = h_get(h, dfm_fmt(h->arena, "g.%s", name), n[g]);
        const double *m = h_get(h, dfm_fmt(h->arena, "adamw.m.%s", name), n[g]);
        const double *avg[] = {h_get(h, dfm_fmt(h->arena, "ema.0.%s", name), n[g]),
                               h_get(h, dfm_fmt(h->arena, "ema.1.%s", name), n[g])};
        for (uint64_t i = 0; i < n[g]; i++) {
            double c = gr[i] * fmin(1, 0.5 / (sqrt(sq) + 1e-6));
            double m1 = 0.8 * m[i] + 0.2 * c, v1 = 0.9 * v[g][i] + 0.1 * c * c;
            double decay = g == 0 ? 0.2 : 0;
            double w1 = w[i] * (1 - lr[0] * decay)
                - lr[0] * (m1 / (1 - pow(0.8, 4))) / (sqrt(v1 / (1 - pow(0.9, 4))) + 1e-3);
            CLOSE(result(h, "step.update", dfm_fmt(h->arena, "adamw.m.%s", name))[i], m1, 1e-12);
            CLOSE(result(h, "step.update", dfm_fmt(h->arena, "adamw.v.%s", name))[i], v1, 1e-12);
            CLOSE(result(h, "step.update", dfm_fmt(h->arena, "w.%s", name))[i], w1, 1e-12);
            for (int k = 0; k < 2; k++) {
                double keep = fmin(k ? 0.5 : 0.9, 5.0 / 14);
                CLOSE(result(h, "step.update", dfm_fmt(h->arena, "ema.%d.%s", k, name))[i],
                      keep * avg[k][i] + (1 - keep) * w1, 1e-12);
            }
        }
    }
    const ir_state *ema = &h->m->states.p[state_index(h, "ema.1")];
    assert_true(ema->is_ema && ema->saved);
    assert_false(h->m->states.p[state_index(h, "adamw.m")].is_ema);
    assert_false(h->m->states.p[IR_STATE_G].saved);
    h_done(h);
}

static void accumulation(void **state)
{
    h_ctx *h = train("  minimize mean((m(x) - y) ^ 2)\n  use sgd(lr=0.1)\n");
    for (int keep = 0; keep < 2; keep++) {
        double k = keep, scale = 0.25;
        h->values.n = 0;
        h_set(h, "keep", &k, 1);
        h_set(h, "scale", &scale, 1);
        const double *acc = result(h, "step.accumulate", "acc.decay");
        const double *mean = result(h, "step.accumulate", "g.decay");
        const double *g = h_get(h, "g.decay", 16), *a = h_get(h, "acc.decay", 16);
        for (int i = 0; i < 16; i++) {
            CLOSE(acc[i], keep ? a[i] + g[i] : g[i], 1e-15);
            CLOSE(mean[i], 0.25 * acc[i], 1e-15);
        }
    }
    h_done(h);
}

/* An optimizer of the user's own, under a name that nobody knows. */
static void own_optimizer(void **state)
{
    char text[2000];
    snprintf(text, sizeof text,
             "%sblock lion(w: f32[...], g: f32[...], mom: f32[...], lr: f32, b: const = 0.5)\n"
             "    -> (w: f32[...], mom: f32[...]) {\n"
             "  return w - lr * select(mom + g > 0, 1.0, -1.0), b * mom + (1 - b) * g\n}\n"
             "train t for m {\n%s  minimize mean((m(x) - y) ^ 2)\n  use lion(lr=0.5)\n}\n",
             MODEL, DATA);
    h_ctx *h = h_compile(text, NULL);
    const double *w1 = result(h, "step.update", "w.decay"), *m1 = result(h, "step.update",
                                                                        "lion.mom.decay");
    const double *w = h_get(h, "w.decay", 16), *g = h_get(h, "g.decay", 16);
    const double *m = h_get(h, "lion.mom.decay", 16);
    for (int i = 0; i < 16; i++) {
        CLOSE(w1[i], w[i] - (m[i] + g[i] > 0 ? 0.5 : -0.5), 1e-15);
        CLOSE(m1[i], 0.5 * m[i] + 0.5 * g[i], 1e-15);
    }
    h_done(h);
}

/* -- samplers --------------------------------------------------------------------------------- */

/* Tags may be called like the groups of the other parameters, or begin like them. */
static void skip_is_a_tag(void **state)
{
    static const struct { const char *tag, *skip, *groups[2]; } table[] = {
        {"decay", "decay", {"skip_decay", "decay"}},
        {"d", "d", {"d", "decay"}},
        {"no_decay", "dec", {"decay", ""}},
    };
    for (uint32_t k = 0; k < DFM_LEN(table); k++) {
        char text[1000];
        snprintf(text, sizeof text,
                 "dim B = 3, D = 4\nmodel m(x: f32[B, D]) -> f32[B, D] {\n"
                 "  param s: f32[D] init ones tag %s\n  param t: f32[D] init ones\n"
                 "  return x * s * t\n}\n"
                 "block plain(w: f32[...], g: f32[...], lr: f32 = 1, decay: const = 0.5)"
                 " -> (w: f32[...]) { return w * (1 - decay) - lr * g }\n"
                 "train t for m {\n  data x: f32[B, D] in webdataset(\"x.npy\")\n"
                 "  minimize mean(m(x) ^ 2)\n  use plain(skip=%s)\n}\n",
                 table[k].tag, table[k].skip);
        h_ctx *h = h_compile(text, NULL);
        if (!h->m) h_print(h);
        assert_non_null(h->m);
        assert_int_equal(h_reported(h, "E0613", "no parameter has the tag"), k == 2);
        for (uint32_t f = 0; f < h->m->flats.n; f++) {
            const char *group = dfm_name_str(h->m->names, h->m->flats.p[f].name);
            assert_string_equal(group, table[k].groups[f]);
            const double *w = result(h, "step.update", dfm_fmt(h->arena, "w.%s", group));
            double w0 = h_get(h, dfm_fmt(h->arena, "w.%s", group), 1)[0];
            double g0 = h_get(h, dfm_fmt(h->arena, "g.%s", group), 1)[0];
            CLOSE(w[0], w0 * (k < 2 && f == 0 ? 1 : 0.5) - g0, 1e-12);
        }
        h_done(h);
    }
}

/* The second change of the gradients sees their length after the first. */
static void each_change_sees_the_length(void **state)
{
    h_ctx *h = train("  minimize mean((m(x) - y) ^ 2)\n  use clip_norm(0.5)\n"
                     "  use clip_norm(0.1)\n  use sgd(lr=1.0, momentum=0.0)\n");
    const double *w = result(h, "step.update", "w.decay");
    double norm = result(h, "step.update", "grad_norm")[0];
    double w0 = h_get(h, "w.decay", 1)[0], g0 = h_get(h, "g.decay", 1)[0];
    assert_true(norm > 1);
    CLOSE(w[0], w0 - g0 * 0.1 / norm, 1e-5);
    h_done(h);
}

/* Constants of a sampler: from --set, else from the variant, else as declared. */
static void sampler_repeats(void **state)
{
    char text[2000];
    const char *sets[] = {"const.steps=1+2"};
    snprintf(
        text, sizeof text,
        "%ssampler s(c: f32[B, D], steps: const = 50, gain: const = 2.0) for m -> f32[B, D] {\n"
        "  x = 0 * c\n  repeat k[i: steps] with x {\n"
        "    a = gain * (i + 1) / steps\n"
        "    repeat j[n: 2] with x { x = x + a * c + n }\n  }\n  return x\n}\n"
        "sampler other(n: const = 1) for m -> f32[B, D] { return n * normal([B, D]) }\n"
        "variant \"v\" for m { steps = 5; gain = 4.0; n = 2 }\n",
        MODEL);
    for (int k = 0; k < 4; k++) {
        front_options o = {.sets = sets, .n_sets = k & 1, .variant = k & 2 ? "v" : NULL};
        int steps = k & 1 ? 3 : k & 2 ? 5 : 50, gain = k & 2 ? 4 : 2;
        h_ctx *h = h_compile(text, &o);
        if (!h->m) h_print(h);
        assert_non_null(h->m);
        const double *x = h_run(h, "sample", 0), *c = h_get(h, "c", 12);
        for (int i = 0; i < 12; i++) CLOSE(x[i], c[i] * gain * (steps + 1) + steps, 1e-5);
        const ir_graph *g = h_graph(h, "sample");
        assert_string_equal(dfm_name_str(h->m->names, g->results.p[0].name), "out");
        h_done(h);
    }
}

static void draws_in_repeats_differ(void **state)
{
    char text[2000];
    snprintf(text, sizeof text,
             "%sdim T = 4\nsampler s(c: f32[B]) for m -> f32[B] {\n  x = 0 * c\n"
             "  repeat k[i: T] with x { n = normal([B]); x = x * 10 + select(n > 0, 1.0, 2.0) }\n"
             "  return x\n}\n", MODEL);
    h_ctx *h = h_compile(text, NULL);
    const double *x = h_run(h, "sample", 0);
    bool differ = false;
    for (int b = 0; b < 3; b++) differ |= x[b] != 1111 && x[b] != 2222;
    assert_true(differ);
    h_done(h);
}

/* -- precision -------------------------------------------------------------------------------- */

static void precision_keeps(void **state)
{
    char text[3000];
    snprintf(text, sizeof text,
             "dim B = 3, D = 4, E = 2\n"
             "model m(x: f32[B, D]) -> f32[B, E] {\n  h = linear(x, D -> D) as first\n"
             "  h = linear(rms_norm(h, D), D -> D) as deep\n  return linear(h, D -> E) as out\n}\n"
             "precision half for m { compute = bf16; keep f32 for rms_norm, \"out\" }\n");
    h_ctx *h = h_compile(text, NULL);
    const ir_graph *g = h_graph(h, "forward");
    uint32_t half = 0, full = 0;
    for (uint32_t i = 1; i < g->ops.n; i++) {
        const ir_op *op = &g->ops.p[i];
        dfm_dtype dt = op->kind == IR_CONTRACT ? ir_type_of(h->m, op->type)->dtype : DFM_DT_NONE;
        half += dt == DFM_BF16;
        full += dt == DFM_F32;
        if (op->kind == IR_REDUCE) assert_int_equal(ir_type_of(h->m, op->type)->dtype, DFM_F32);
    }
    assert_int_equal(half, 2);
    assert_int_equal(full, 1);
    for (uint32_t i = 0; i < h->m->params.n; i++)
        assert_int_equal(ir_type_of(h->m, h->m->params.p[i].type)->dtype, DFM_F32);
    h_done(h);
    front_options o = {.precision = "f32"};
    h = h_compile(text, &o);
    g = h_graph(h, "forward");
    for (uint32_t i = 1; i < g->ops.n; i++)
        assert_int_not_equal(ir_type_of(h->m, g->ops.p[i].type)->dtype, DFM_BF16);
    h_done(h);
}

/* -- weights ---------------------------------------------------------------------------------- */

static const ir_param *param(const h_ctx *h, const char *path)
{
    for (uint32_t i = 0; i < h->m->params.n; i++)
        if (!strcmp(dfm_name_str(h->m->names, h->m->params.p[i].path), path))
            return &h->m->params.p[i];
    fail_msg("no param %s", path);
    return NULL;
}

static void weights_names_and_shapes(void **state)
{
    h_ctx *h = h_compile(
        "dim B = 2, D = 6, H = 2, E = 3, L = 2\nblock b(x: [B, D]) -> [B, D] {\n"
        "  param table: f32[H, D] init ones\n"
        "  return linear(linear(x, D -> (H, E)) as q_in, (H, E) -> D) as o + sum(table, H)\n}\n"
        "model m(x: f32[B, D]) -> f32[B, D] {\n"
        "  repeat blocks[i: L] with x { x = b(x) as attn }\n  return linear(x, D -> D) as out\n}\n"
        "weights w for m {\n  strict = true; folder = \"transformer\"\n"
        "  map \"blocks.{i}.attn.{x}_in\" to \"layers.{i}.to_{x}\"\n"
        "  map \"blocks.{i}.attn.table\" to \"layers.{i}.t\" via squeeze(1)\n"
        "  map \"blocks.{i}.attn\" to \"layers.{i}.rest\"\n"
        "  map \"out.weight\" to \"final\" via reshape(D, H, E, 1)\n}\n", NULL);
    static const struct {
        const char *path, *published;
        uint32_t rank;
        int64_t shape[4];
    } want[] = {
        {"blocks.{i}.attn.q_in.weight", "layers.{i}.to_q.weight", 2, {6, 6}},
        {"blocks.{i}.attn.q_in.bias", "layers.{i}.to_q.bias", 1, {6}},
        {"blocks.{i}.attn.table", "layers.{i}.t", 3, {2, 1, 6}},
        {"blocks.{i}.attn.o.weight", "layers.{i}.rest.o.weight", 2, {6, 6}},
        {"out.weight", "final", 4, {6, 2, 3, 1}},
        {"out.bias", "out.bias", 1, {6}},
    };
    for (uint32_t k = 0; k < DFM_LEN(want); k++) {
        const ir_param *p = param(h, want[k].path);
        assert_string_equal(dfm_name_str(h->m->names, p->published), want[k].published);
        assert_int_equal(p->file_rank, want[k].rank);
        for (uint32_t i = 0; i < want[k].rank; i++)
            assert_int_equal(p->file_shape[i], want[k].shape[i]);
    }
    assert_true(h->m->weights_strict);
    assert_string_equal(h->m->weights_folder, "transformer");
    h_done(h);
}

/* -- draws ------------------------------------------------------------------------------------ */

/* Whatever the variables are called and wherever the draws stand, no two have the same stream. A
 * body whose carry changes its type is evaluated twice; the draws behind it are still others. */
static void every_draw_is_its_own(void **state)
{
    char text[2000];
    snprintf(text, sizeof text, "%s%s", MODEL,
             "block noisy(x: f32[B, D]) -> f32[B, D] {\n  e = normal([B, D])\n  x = x + e\n"
             "  e = normal([B, D])\n  return x + e\n}\n"
             "sampler s(steps: const = 2) for m -> f32[B, D] {\n"
             "  x = normal([B, D])\n  y = 1 * x\n  x = normal([B, D])\n  x = noisy(x) + y\n"
             "  x = bf16(x)\n"
             "  repeat step[i: steps] with x {\n    z = normal([B, D])\n    x = f32(x) + z\n"
             "    z = normal([B, D])\n    x = x + z\n    x = x + normal([B, D])\n    x = noisy(x)\n"
             "  }\n"
             "  x = x + normal([B, D])\n  return noisy(x) - normal([B, D]) + normal([B, D])\n}\n");
    h_ctx *h = h_compile(text, NULL);
    uint64_t seen[32];
    uint32_t n = 0;
    if (!h->m) h_print(h);
    assert_non_null(h->m);
    for (uint32_t k = 1; k < h->m->graphs.n; k++) {
        const ir_graph *g = h->m->graphs.p[k];
        if (strstr(dfm_name_str(h->m->names, g->name), "init")) continue;
        for (uint32_t i = 1; i < g->ops.n; i++) {
            if (g->ops.p[i].kind != IR_RANDOM) continue;
            for (uint32_t j = 0; j < n; j++)
                assert_int_not_equal(seen[j], g->ops.p[i].at->random.stream);
            seen[n++] = g->ops.p[i].at->random.stream;
        }
    }
    assert_int_equal(n, 2 + 2 + 3 + 2 + 1 + 2 + 2);
    h_done(h);
}

/* -- reports ---------------------------------------------------------------------------------- */

static void train_reports(void **state)
{
    static const struct { const char *body, *code, *part;
    } table[] = {
        {"  use adamw(lr=0.1)\n", "E0610", "minimizes nothing"},
        {"  minimize mean(x)\n  minimize mean(y)\n", "E0610", "second"},
        {"  minimize x * 2\n", "E0612", "not one number"},
        {"  minimize mean(x)\n  use silu(1.0)\n", "E0613", "no part"},
        {"  minimize mean(x)\n  use adamv(lr=0.1)\n", "E0402", "adamv"},
        {"  minimize mean(x)\n  use adamw()\n", "E0613", "learning rate"},
        {"  minimize mean(x)\n  use adamw(lr=0.1, beta=2)\n", "E0407", "beta"},
        {"  minimize mean(x)\n  use adamw(lr=0.1)\n  use sgd(lr=0.1)\n", "E0610", "second update"},
        {"  minimize mean(x)\n  use ema(0.9, skip=no_decay)\n  use sgd(lr=0.1)\n", "E0613", "skip"},
        {"  data z: f32[D, B] in webdataset(\"z.npy\")\n  minimize mean(x)\n", "E0611",
         "first dim"},
        {"  data z: f32[B, D] in \"z.npy\"\n  minimize mean(x)\n", "E0610", "webdataset"},
        {"  data z: f32[B, D] in webdataset(\"z.npy\", pad=E)\n  minimize mean(x)\n", "E0610",
         "pad"},
    };
    for (uint32_t k = 0; k < DFM_LEN(table); k++) {
        h_ctx *h = train(table[k].body);
        if (h->m || !h_reported(h, table[k].code, table[k].part)) {
            h_print(h);
            fail_msg("%s: expected %s `%s`", table[k].body, table[k].code, table[k].part);
        }
        h_done(h);
    }
}

static void section_reports(void **state)
{
    static const struct { const char *section, *code, *part;
    } table[] = {
        {"sampler s() for m -> f32[B, D] {\n  x = normal([B, D])\n  repeat a[i: 3] with x {\n"
         "    repeat b[j: 5000] with x { x = x + normal([B, D]) }\n  }\n  return x\n}", "E0302",
         "5000 turns"},
        {"sampler s(g: f32) for m -> f32[B, E] { return m(normal([B, D])) * g }", "E0614",
         "`g` has no dim"},
        {"sampler s(g: f32[D]) for m -> f32[B, E] { return m(normal([B, D]) * g) }", "E0614",
         "`g` is `D`"},
        {"sampler s() for m -> f32 { return mean(normal([B, D])) }", "E0614", "`out` has no dim"},
        {"sampler s() for m -> (a: f32[B, E], b: f32[E]) {\n  x = m(normal([B, D]))\n"
         "  return x, mean(x, B)\n}", "E0614", "`b` is `E`"},
        {"precision p for m { compute = f16 }", "E0604", "compute"},
        {"precision p for m { computes = bf16 }", "E0604", "computes"},
        {"precision p for m { keep bf16 for silu }", "E0604", "keep"},
        {"weights w for m { map \"{a}.weight\" to \"{b}\" }", "E0801", "{b}"},
        {"weights w for m { map \"{a.weight\" to \"x\" }", "E0801", "segment"},
        {"weights w for m { map \"out.{a}\" to \"x\" }", "E0802", "{a}"},
        {"weights w for m { map \"out.weight\" to \"x\"; map \"out.bias\" to \"x\" }", "E0802",
         "x"},
        {"weights w for m { map \"out.bias\" to \"x\" via transpose(1) }", "E0803", "not known"},
        {"weights w for m { map \"out.bias\" to \"x\" via reshape(D) }", "E0803", "elements"},
        {"weights w for m { map \"out.bias\" to \"x\" via squeeze(5) }", "E0803", "no such dim"},
        {"weights w for m { stict = true }", "E0801", "setting"},
        {"layout l for m { shard B on dp }", "E0704", "no `mesh`"},
        {"layout l for m { mesh dp=2, dp=4 }", "E0704", "twice"},
        {"layout l for m { mesh dp=0 }", "E0704", "size 0"},
        {"layout l for m { mesh dp=2; shard B on tp }", "E0701", "`tp`"},
        {"layout l for m { mesh dp=2; shard Q on dp }", "E0702", "`Q`"},
        {"layout l for m { mesh dp=2; shard B on dp; shard B on dp }", "E0704", "already"},
        {"layout l for m { mesh dp=2; shard B on dp in nothing }", "E0703", "nothing"},
        {"layout l for m { mesh dp=2; recompute blocks }", "E0703", "blocks"},
        {"layout l for m { mesh dp=2; bucket B, D in [(1, 2, 3)] }", "E0704", "3 values"},
        {"sampler s(n: const) for m -> f32[B] { return normal([B]) }", "E0407", "no value"},
        {"sampler s(x: f32[B]) for m -> f32[B] { y = x }", "E0410", "returns 0"},
    };
    front_options o = {.check_only = true};
    for (uint32_t k = 0; k < DFM_LEN(table); k++) {
        char text[2000];
        snprintf(text, sizeof text, "%s%s\n", MODEL, table[k].section);
        h_ctx *h = h_compile(text, &o);
        if (!h_reported(h, table[k].code, table[k].part)) {
            h_print(h);
            fail_msg("%s: expected %s `%s`", table[k].section, table[k].code, table[k].part);
        }
        h_done(h);
    }
}

static void lines_that_match_nothing_warn(void **state)
{
    char text[2000];
    snprintf(text, sizeof text, "%sprecision p for m { keep f32 for \"nowhere.*\" }\n"
             "weights w for m { map \"nowhere\" to \"x\" }\n", MODEL);
    h_ctx *h = h_compile(text, NULL);
    assert_non_null(h->m);
    assert_true(h_reported(h, "E0604", "nowhere") && h_reported(h, "E0804", "nowhere"));
    assert_int_equal(diag_n_warnings(h->front.diag), 2);
    h_done(h);
}

/* check evaluates all train sections; the optimizer is that of the chosen one. */
static void check_keeps_the_chosen_section(void **state)
{
    char text[4000];
    front_options o = {.check_only = true};
    snprintf(text, sizeof text,
             "%strain a for m {\n%s  minimize mean(m(x) - y)\n  use adamw(lr=0.1)\n}\n"
             "train b for m {\n%s  minimize mean(m(x) * y)\n  use sgd(lr=0.1)\n}\n",
             MODEL, DATA, DATA);
    h_ctx *h = h_compile(text, &o);
    if (!h->m) h_print(h);
    state_index(h, "adamw.m");
    for (uint32_t i = 0; i < h->m->states.n; i++)
        assert_string_not_equal(dfm_name_str(h->m->names, h->m->states.p[i].name), "sgd.m");
    h_done(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loss_of_data_and_draws), cmocka_unit_test(flats_by_tag_and_alignment),
        cmocka_unit_test(adamw_clip_schedule_and_average), cmocka_unit_test(accumulation),
        cmocka_unit_test(own_optimizer), cmocka_unit_test(skip_is_a_tag),
        cmocka_unit_test(each_change_sees_the_length),
        cmocka_unit_test(sampler_repeats),
        cmocka_unit_test(draws_in_repeats_differ), cmocka_unit_test(precision_keeps),
        cmocka_unit_test(weights_names_and_shapes), cmocka_unit_test(every_draw_is_its_own),
        cmocka_unit_test(train_reports),
        cmocka_unit_test(section_reports), cmocka_unit_test(lines_that_match_nothing_warn),
        cmocka_unit_test(check_keeps_the_chosen_section),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

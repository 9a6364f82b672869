/* sample.c - `dfm-rt sample`: batches of the sampler, put together.
 *
 * Sample i depends on the seed and on i, not on the batch: noise is keyed by the global index.
 * Integer inputs count: sample i gets i modulo the labels seen in training, or else modulo the
 * input's range in the plan. Other inputs come from --inputs, row i modulo their rows. The last
 * batch is computed whole and cut.
 */
#include <math.h>
#include <string.h>

#include "runtime/app/app.h"
#include "runtime/metrics/png_grid.h"
#include "runtime/metrics/progress.h"

typedef struct input {                       /* of the sampler, as rows to choose from */
    const plan_io *io;
    uint64_t rows, row_bytes;
    char *data;                              /* [rows, row_bytes]; NULL: counts up to rows */
} input;

typedef struct result {
    const plan_io *io;
    const char *name;                        /* "images" for pictures, else the sampler's */
    bool picture;
    char *data;                              /* [count, row], of row_bytes each */
    uint64_t row_bytes;
} result;

typedef struct sampler {
    app *x;
    rt *r;
    rt_program *p;
    uint32_t batch;
    uint64_t count;
    DFM_VEC(input) inputs;
    DFM_VEC(result) results;
    const int32_t *labels;                   /* [count]; NULL: none */
    uint64_t classes;
    uint32_t seen;                           /* labels that training has seen; 0: unknown */
    void *stage;                             /* one batch of any input or output */
} sampler;

/* -- inputs ------------------------------------------------------------------------------------ */

static const char *io_name(const sampler *s, const plan_io *io)
{
    return plan_text(s->p->p, io->name);
}

/* Rows of a tensor, in the input's type. */
static dfm_status rows_of(sampler *s, const ckpt_tensor *t, input *in, dfm_err *err)
{
    const plan_io *io = in->io;
    bool fits = t->rank == io->rank && t->rank > 0 && t->shape[0] > 0 && t->dtype != DFM_DT_NONE;
    for (uint32_t i = 1; fits && i < io->rank; i++) fits = t->shape[i] == (uint64_t)io->shape[i];
    if (!fits)
        return dfm_fail(err, DFM_BAD_DATA,
                        "input '%s' is %s, the sampler takes %s, with any number of samples",
                        t->name, ckpt_tensor_text(s->x->arena, t),
                        rt_io_text(s->p->p, io, s->x->arena));
    uint64_t size = dfm_dtype_bytes((dfm_dtype)io->dtype), n = t->shape[0] * (in->row_bytes / size);
    in->rows = t->shape[0];
    in->data = dfm_alloc_n(s->x->arena, n, size);
    void *aligned = dfm_dup(s->x->arena, t->data, t->bytes);
    bool rounded = false;
    for (uint64_t i = 0; i < n; i++) {
        double v = dfm_load_as_double(t->dtype, aligned, i);
        dfm_store_double((dfm_dtype)io->dtype, in->data, i, v);
        rounded = rounded || dfm_load_as_double((dfm_dtype)io->dtype, in->data, i) != v;
    }
    if (rounded)
        app_say(s->x, "note: input '%s' is rounded from %s to %s", t->name,
                dfm_dtype_name(t->dtype), dfm_dtype_name((dfm_dtype)io->dtype));
    return DFM_OK;
}

static dfm_status no_rows(const sampler *s, const plan_io *io, dfm_err *err)
{
    const char *type = rt_io_text(s->p->p, io, s->x->arena);
    dfm_fail(err, DFM_BAD_DATA, "the sampler needs input '%s': %s", io_name(s, io), type);
    if (!dfm_dtype_is_float((dfm_dtype)io->dtype))
        dfm_help(err, "sample.classes=N counts 0 to N - 1; --inputs FILE gives any values by name");
    else
        dfm_help(err, "give it by name in a safetensors file: --inputs FILE");
    return DFM_BAD_DATA;
}

static dfm_status open_inputs(sampler *s, const ckpt_weights *w, dfm_err *err)
{
    for (uint32_t i = 0; i < s->p->prog->n_io; i++) {
        const plan_io *io = &s->p->io[i];
        if (!(io->flags & PLAN_IO_FORMAL)) continue;
        input in = {.io = io, .row_bytes = io->bytes / s->batch};
        const ckpt_tensor *t = w ? ckpt_weights_find(w, io_name(s, io)) : NULL;
        bool counts = io->rank == 1 && !dfm_dtype_is_float((dfm_dtype)io->dtype);
        if (io->rank == 0 || io->shape[0] != s->batch)
            return dfm_fail(err, DFM_BAD_CONFIG,
                            "the first dim of sampler input '%s' does not count samples",
                            io_name(s, io));
        if (t) {
            DFM_TRY(rows_of(s, t, &in, err));
        } else if (counts) {
            in.rows = s->x->cfg.sample_classes ? (uint64_t)s->x->cfg.sample_classes
                      : s->seen                ? s->seen
                                               : (uint64_t)io->modulus;
            if (in.rows == 0) return no_rows(s, io, err);
        } else {
            return no_rows(s, io, err);
        }
        dfm_push(s->x->arena, &s->inputs, in);
    }
    for (uint32_t i = 0; w && i < w->n_tensors; i++)
        if (!rt_find_io(s->p, w->tensors[i].name, PLAN_IO_FORMAL | PLAN_IO_DRAW))
            return dfm_fail(err, DFM_BAD_DATA, "the sampler has no input '%s' (in '%s')",
                            w->tensors[i].name, w->path);
    return DFM_OK;
}

static dfm_status read_inputs(sampler *s, dfm_err *err)
{
    const char *path = s->x->o->value[FLAG_INPUTS];
    ckpt_weights w;
    if (!path) return open_inputs(s, NULL, err);
    DFM_TRY(ckpt_weights_open(s->x->arena, path, &w, err));
    dfm_status status = open_inputs(s, &w, err);
    ckpt_weights_close(&w);
    return status;
}

static dfm_status set_batch(sampler *s, uint64_t first, dfm_err *err)
{
    for (uint32_t k = 0; k < s->inputs.n; k++) {
        const input *in = &s->inputs.p[k];
        for (uint64_t b = 0; b < s->batch; b++) {
            uint64_t row = (first + b) % in->rows;
            if (in->data)
                memcpy((char *)s->stage + b * in->row_bytes, in->data + row * in->row_bytes,
                       in->row_bytes);
            else
                dfm_store_double((dfm_dtype)in->io->dtype, s->stage, b, (double)row);
        }
        DFM_TRY(rt_set_raw(s->r, s->p, in->io, s->stage, err));
    }
    return DFM_OK;
}

/* The first integer input with one number per sample is the label. */
static void make_labels(sampler *s)
{
    for (uint32_t k = 0; k < s->inputs.n && !s->labels; k++) {
        const input *in = &s->inputs.p[k];
        if (in->io->rank != 1 || dfm_dtype_is_float((dfm_dtype)in->io->dtype)) continue;
        int32_t *labels = dfm_new_n(s->x->arena, int32_t, s->count);
        for (uint64_t i = 0; i < s->count; i++) {
            uint64_t row = i % in->rows;
            labels[i] = in->data
                            ? (int32_t)dfm_load_as_double((dfm_dtype)in->io->dtype, in->data, row)
                            : (int32_t)row;
        }
        s->labels = labels;
        s->classes = in->data ? 0 : in->rows;
    }
}

/* -- outputs ----------------------------------------------------------------------------------- */

static bool is_picture(const plan_io *io)
{
    return io->rank == 4 && dfm_dtype_is_float((dfm_dtype)io->dtype) &&
           (io->shape[1] == 1 || io->shape[1] == 3);
}

static dfm_status open_results(sampler *s, dfm_err *err)
{
    bool have_picture = false;
    uint64_t stage = 64;
    for (uint32_t i = 0; i < s->p->prog->n_io; i++) {
        const plan_io *io = &s->p->io[i];
        if (io->bytes > stage) stage = io->bytes;
        if (!(io->flags & PLAN_IO_OUTPUT)) continue;
        if (io->rank == 0 || io->shape[0] != s->batch)
            return dfm_fail(err, DFM_BAD_CONFIG,
                            "the first dim of the sampler's '%s' does not count samples",
                            io_name(s, io));
        result out = {.io = io, .name = io_name(s, io), .row_bytes = io->bytes / s->batch};
        out.picture = is_picture(io) && !have_picture;
        have_picture = have_picture || out.picture;
        if (out.picture) {
            out.name = "images";
            out.row_bytes = out.row_bytes / dfm_dtype_bytes((dfm_dtype)io->dtype) * 4;
        }
        out.data = dfm_alloc_n(s->x->arena, s->count, out.row_bytes);
        dfm_push(s->x->arena, &s->results, out);
    }
    s->stage = dfm_alloc(s->x->arena, stage);
    return DFM_OK;
}

/* -1..1 to 0..1. */
static void take_picture(const result *out, const void *from, uint64_t first, uint64_t n)
{
    float *to = (float *)out->data + first * (out->row_bytes / 4);
    for (uint64_t i = 0; i < n * (out->row_bytes / 4); i++) {
        float v = 0.5f * (float)dfm_load_as_double((dfm_dtype)out->io->dtype, from, i) + 0.5f;
        to[i] = v > 0 ? (v < 1 ? v : 1) : 0;             /* NaN: 0 */
    }
}

static dfm_status take_batch(sampler *s, uint64_t first, dfm_err *err)
{
    uint64_t n = s->count - first < s->batch ? s->count - first : s->batch;
    for (uint32_t k = 0; k < s->results.n; k++) {
        const result *out = &s->results.p[k];
        rt_get(s->r, out->io, s->stage);
        dfm_dtype d = (dfm_dtype)out->io->dtype;
        for (uint64_t i = 0; dfm_dtype_is_float(d) && i < out->io->bytes / dfm_dtype_bytes(d); i++)
            if (!isfinite(dfm_load_as_double(d, s->stage, i)))
                return dfm_fail(err, DFM_BAD_DATA, "the sampler made NaN or infinite numbers: the "
                                "weights are not usable");
        if (out->picture) take_picture(out, s->stage, first, n);
        else memcpy(out->data + first * out->row_bytes, s->stage, n * out->row_bytes);
    }
    return DFM_OK;
}

/* Picture of row i, column k of the grid: columns are classes where there are some. */
static uint64_t grid_sample(const sampler *s, uint64_t row, uint64_t col, uint64_t cols)
{
    if (!s->classes) return row * cols + col;
    uint64_t per_row = (cols + s->classes - 1) / s->classes;
    return (row * per_row + col / s->classes) * s->classes + col % s->classes;
}

static dfm_status write_grid(sampler *s, const result *out, const char *path, dfm_err *err)
{
    const cfg *c = &s->x->cfg;
    dfm_arena *a = s->x->arena;
    uint32_t rows = (uint32_t)c->sample_grid_rows, cols = (uint32_t)c->sample_grid_cols, n = 0;
    float *images = dfm_alloc_n(a, (size_t)rows * cols, out->row_bytes);
    int32_t *labels = dfm_new_n(a, int32_t, cols);
    for (uint32_t i = 0; i < rows * cols; i++) {
        uint64_t at = grid_sample(s, i / cols, i % cols, cols);
        if (at >= s->count) break;
        memcpy((char *)images + n++ * out->row_bytes, out->data + at * out->row_bytes,
               out->row_bytes);
        if (i < cols && s->labels) labels[i] = s->labels[at];
    }
    met_grid g = {.rows = rows, .cols = cols, .channels = (uint32_t)out->io->shape[1],
                  .height = (uint32_t)out->io->shape[2], .width = (uint32_t)out->io->shape[3],
                  .scale = (uint32_t)c->sample_grid_scale, .images = images, .n = n,
                  .col_labels = s->classes ? labels : NULL};
    return met_png_grid(path, &g, err);
}

static dfm_status write_samples(sampler *s, const char *folder, dfm_err *err)
{
    dfm_arena *a = s->x->arena;
    ckpt_tensor *all = dfm_new_n(a, ckpt_tensor, s->results.n + 1);
    uint32_t n = 0;
    for (; n < s->results.n; n++) {
        const result *out = &s->results.p[n];
        uint64_t *shape = dfm_new_n(a, uint64_t, out->io->rank);
        for (uint32_t i = 1; i < out->io->rank; i++) shape[i] = (uint64_t)out->io->shape[i];
        shape[0] = s->count;
        all[n] = (ckpt_tensor){.name = out->name,
                               .dtype = out->picture ? DFM_F32 : (dfm_dtype)out->io->dtype,
                               .rank = out->io->rank, .shape = shape, .data = out->data,
                               .bytes = s->count * out->row_bytes};
    }
    if (s->labels)
        all[n++] = (ckpt_tensor){.name = "labels", .dtype = DFM_I32, .rank = 1, .shape = &s->count,
                                 .data = s->labels, .bytes = s->count * 4};
    const char *path = dfm_path_join(a, folder, "samples.safetensors");
    DFM_TRY(ckpt_write_file(path, all, n, NULL, 0, err));
    app_say(s->x, "%llu samples: %s", (unsigned long long)s->count, path);
    for (uint32_t k = 0; k < s->results.n && s->x->cfg.sample_grid_rows; k++) {
        if (!s->results.p[k].picture) continue;
        path = dfm_path_join(a, folder, "samples.png");
        DFM_TRY(write_grid(s, &s->results.p[k], path, err));
        app_say(s->x, "picture: %s", path);
    }
    return DFM_OK;
}

/* -- weights and folder ------------------------------------------------------------------------ */

/* The run or file whose weights are used; *out_folder: where samples go if -o does not say. */
static dfm_status find_weights(sampler *s, const char **out, const char **out_folder, dfm_err *err)
{
    app *x = s->x;
    *out_folder = ".";
    *out = x->o->value[FLAG_WEIGHTS];
    if (*out) {
        if (app_is_run(x, *out)) *out_folder = *out;
        return DFM_OK;
    }
    if (x->cfg.run_name[0]) *out = dfm_path_join(x->arena, x->cfg.run_folder, x->cfg.run_name);
    else DFM_TRY(app_run_newest(x, plan_meta_string(s->p->p, x->arena, "model"), out, err));
    *out_folder = *out;
    if (*out && app_is_run(x, *out)) return DFM_OK;
    dfm_fail(err, DFM_BAD_DATA, "there are no trained weights in '%s'", x->cfg.run_folder);
    dfm_help(err, "train first: dfm-rt train %s; or say which: --weights FILE-OR-FOLDER",
             x->o->plan);
    return DFM_BAD_DATA;
}

static dfm_status generate(sampler *s, dfm_err *err)
{
    app *x = s->x;
    bool show = !x->o->value[FLAG_QUIET];
    met_progress bar = met_progress_start(x->log, met_now());
    bar.unit = "samples";
    for (uint64_t first = 0; first < s->count; first += s->batch) {
        rt_call call = {.seed = (uint64_t)x->cfg.sample_seed, .first_sample = (int64_t)first};
        DFM_TRY(set_batch(s, first, err));
        DFM_TRY(rt_run(s->r, s->p, &call, err));
        DFM_TRY(take_batch(s, first, err));
        uint64_t done = first / s->batch + 1, all = (s->count + s->batch - 1) / s->batch;
        met_step step = {.step = done, .total = all, .loss = NAN, .lr = NAN, .grad_norm = NAN,
                         .samples_per_step = s->batch};
        if (show) met_progress_update(&bar, &step, met_now(), done == all);
    }
    met_progress_end(&bar);
    return DFM_OK;
}

static dfm_status sample(sampler *s, dfm_err *err)
{
    app *x = s->x;
    const char *weights, *folder;
    DFM_TRY(rt_program_get(s->r, "sample", &s->p, err));
    int64_t batch = plan_meta_int(s->p->p, "batch", 1);
    s->batch = batch > 0 && batch <= INT32_MAX ? (uint32_t)batch : 1;
    s->count = (uint64_t)x->cfg.sample_count;
    DFM_TRY(find_weights(s, &weights, &folder, err));
    if (x->o->value[FLAG_OUTPUT]) folder = x->o->value[FLAG_OUTPUT];
    DFM_TRY(app_start_weights(x, s->r, 0, weights, x->cfg.sample_ema, &s->seen, err));
    DFM_TRY(read_inputs(s, err));
    DFM_TRY(open_results(s, err));
    make_labels(s);
    DFM_TRY(dfm_make_folders(folder, err));
    DFM_TRY(generate(s, err));
    return write_samples(s, folder, err);
}

dfm_status app_sample(app *x, dfm_err *err)
{
    sampler s = {.x = x};
    DFM_TRY(app_configure(x, NULL, err));
    DFM_TRY(app_open(x, false, &s.r, err));
    dfm_status status = sample(&s, err);
    rt_close(s.r);
    return status;
}

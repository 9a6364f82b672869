/* train.c - `dfm-rt train`: the loop around optimizer steps.
 *
 * A run is a folder (run_folder.c). Each step: for each part of the batch fetch samples and compute
 * gradients; then one update. A signal ends the run after the step with a checkpoint; a second one
 * ends it at once. What a resumed run computes is, bit for bit, what it would have computed without
 * the interruption: weights, optimizer state and averages come from the checkpoint, the order of
 * the data from its cursor, random draws from (seed, step, sample).
 */
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "runtime/app/app.h"
#include "runtime/app/extract.h"
#include "runtime/data/dataset.h"
#include "runtime/metrics/jsonl.h"
#include "runtime/metrics/progress.h"
#include "runtime/metrics/startup.h"

typedef struct trainer {
    app *x;
    rt *r;
    rt_program *grad;
    const char *folder;
    data_set *data;                          /* NULL: the program reads none */
    uint32_t n_fields;
    const plan_io **field;                   /* inputs of `grad`, in the data set's order */
    met_log *log;
    met_progress progress;
    app_progress_state at;
    double data_seconds;                     /* waited for data, in all */
    bool saved;                              /* the last step is in a checkpoint */
    met_startup startup;
} trainer;

/* -- signals ----------------------------------------------------------------------------------- */

static volatile sig_atomic_t stop_signal; /* the one that asked to stop; handlers need a global */

static void on_signal(int sig)
{
    if (stop_signal) _exit(128 + sig);
    stop_signal = sig;
}

static void catch_signals(void)
{
    struct sigaction sa = {.sa_handler = on_signal};
    sigemptyset(&sa.sa_mask);
    stop_signal = 0;
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
}

/* -- data -------------------------------------------------------------------------------------- */

static dfm_status make_field(trainer *t, const plan_io *io, data_field *f, dfm_err *err)
{
    const plan *p = rt_plan_of(t->r);
    const char *name = plan_text(p, io->name);
    if (io->rank == 0 || io->shape[0] != t->at.batch)
        return dfm_fail(err, DFM_BAD_DATA, "the first dim of data '%s' does not count samples",
                        name);
    uint64_t *shape = dfm_new_n(t->x->arena, uint64_t, io->rank);
    for (uint32_t k = 1; k < io->rank; k++) shape[k - 1] = (uint64_t)io->shape[k];
    *f = (data_field){.name = name, .dtype = (dfm_dtype)io->dtype, .rank = io->rank - 1,
                      .shape = shape, .source = plan_text(p, io->source), .pad = io->pad_dim != 0,
                      .modulus = (uint32_t)io->modulus};
    return DFM_OK;
}

static dfm_status open_data(trainer *t, dfm_err *err)
{
    const cfg *c = &t->x->cfg;
    uint32_t n_io = t->grad->prog->n_io;
    data_field *fields = dfm_new_n(t->x->arena, data_field, n_io + 1);
    t->field = dfm_new_n(t->x->arena, const plan_io *, n_io + 1);
    for (uint32_t i = 0; i < n_io; i++) {
        if (!(t->grad->io[i].flags & PLAN_IO_DATA)) continue;
        t->field[t->n_fields] = &t->grad->io[i];
        DFM_TRY(make_field(t, &t->grad->io[i], &fields[t->n_fields++], err));
    }
    if (t->n_fields == 0) return DFM_OK;
    data_options o = {.mock = c->data_mock, .shuffle = c->data_shuffle,
                      .seed = (uint64_t)c->data_seed, .batch = t->at.batch,
                      .prefetch = (uint32_t)c->data_prefetch,
                      .memory_limit = (uint64_t)c->data_memory_mib << 20,
                      .start = {t->at.epoch, t->at.position}, .extract = app_extract, .path = ""};
    if (!o.mock) DFM_TRY(app_data_path(t->x, t->r, &o.path, err));
    DFM_TRY(data_open(&o, fields, t->n_fields, &t->data, err));
    app_say(t->x, "data: %s%s%s", data_describe(t->data, t->x->arena), o.mock ? "" : ", ", o.path);
    return DFM_OK;
}

/* Labels: the first data field that is one whole number per sample. */
static void note_labels(trainer *t, const data_batch *b)
{
    for (uint32_t i = 0; i < t->n_fields; i++) {
        dfm_dtype d = (dfm_dtype)t->field[i]->dtype;
        if (t->field[i]->rank != 1 || dfm_dtype_is_float(d)) continue;
        for (uint32_t k = 0; k < t->at.batch; k++) {
            double x = dfm_load_as_double(d, b->fields[i], k) + 1;
            if (x > t->at.labels && x <= INT32_MAX) t->at.labels = (uint32_t)x;
        }
        return;
    }
}

static dfm_status fetch(void *user, rt *r, rt_program *p, uint32_t part, dfm_err *err)
{
    (void)part;
    trainer *t = user;
    const data_batch *b;
    if (!t->data) return DFM_OK;
    double before = met_now();
    DFM_TRY(data_next(t->data, &b, err));
    t->data_seconds += met_now() - before;
    for (uint32_t i = 0; i < t->n_fields; i++) {
        dfm_status s = rt_set_raw(r, p, t->field[i], b->fields[i], err);
        if (s == DFM_OK) continue;
        dfm_while(err, "taking %u samples of the data, from number %" PRIu64 " of epoch %" PRIu64,
                  t->at.batch, t->at.position, t->at.epoch);
        return s;
    }
    note_labels(t, b);
    t->at.epoch = b->next.epoch;
    t->at.position = b->next.position;
    return DFM_OK;
}

/* -- where the run starts ---------------------------------------------------------------------- */

static dfm_status same_as_before(const app *x, const app_progress_state *was,
                                 const app_progress_state *now, dfm_err *err)
{
    struct { const char *key; uint64_t was, now; } rows[] = {
        {"train.seed", was->seed, now->seed},
        {"data.seed", was->data_seed, now->data_seed},
        {"data.shuffle", was->shuffle, now->shuffle},
        {"train.accumulate", was->parts, now->parts},
        {"the plan's batch", was->batch, now->batch},
    };
    for (size_t i = 0; i < DFM_LEN(rows); i++) {
        if (rows[i].was == rows[i].now) continue;
        dfm_fail(err, DFM_BAD_CONFIG, "the run was started with %s = %" PRIu64 ", not %" PRIu64,
                 rows[i].key, rows[i].was, rows[i].now);
        dfm_help(err, "leave it as it was, or start a new run from its weights with --weights");
        return DFM_BAD_CONFIG;
    }
    if (strcmp(was->plan_id, now->plan_id) != 0)
        app_say(x, "note: the plan was compiled anew since the checkpoint; numbers may differ in "
                   "their last bits");
    if (was->threads != now->threads)
        app_say(x, "note: %u threads now, %u before; numbers may differ in their last bits",
                now->threads, was->threads);
    return DFM_OK;
}

static dfm_status start_state(trainer *t, const char *resume, bool *out_resumed, dfm_err *err)
{
    app *x = t->x;
    char id[33];
    t->at = (app_progress_state){
        .seed = (uint64_t)x->cfg.train_seed, .data_seed = (uint64_t)x->cfg.data_seed,
        .shuffle = x->cfg.data_shuffle, .parts = (uint32_t)x->cfg.train_accumulate,
        .batch = (uint32_t)plan_meta_int(rt_plan_of(t->r), "batch", 1),
        .threads = rt_device(t->r)->threads,
        .plan_id = dfm_strdup(x->arena, dfm_hash128_hex(rt_plan_of(t->r)->id, id))};
    *out_resumed = false;
    if (resume) {
        app_progress_state was;
        DFM_TRY(app_ckpt_load(x, t->r, resume, &was, out_resumed, err));
        if (*out_resumed) {
            DFM_TRY(same_as_before(x, &was, &t->at, err));
            was.plan_id = t->at.plan_id;
            was.threads = t->at.threads;
            t->at = was;
            met_startup_mark(&t->startup, "checkpoint");
            app_say(x, "resuming %s after step %" PRIu64, resume, was.step);
            return DFM_OK;
        }
        app_say(x, "%s has no checkpoint: starting from the beginning", resume);
    }
    const char *weights =
        x->o->value[FLAG_WEIGHTS] ? x->o->value[FLAG_WEIGHTS] : x->cfg.train_weights;
    DFM_TRY(app_start_weights(x, t->r, t->at.seed, *weights ? weights : NULL, false, NULL, err));
    met_startup_mark(&t->startup, "weights");
    if (*weights) rt_reset_averages(t->r);
    met_startup_mark(&t->startup, "averages");
    return DFM_OK;
}

/* The run folder to resume: given, named by the configuration, or the newest; NULL: none yet. */
static dfm_status resume_folder(app *x, const char *model, const char **out, dfm_err *err)
{
    const char *flag = x->o->value[FLAG_RESUME];
    *out = NULL;
    if (!flag && !x->cfg.train_resume) return DFM_OK;
    if (flag && *flag) {
        *out = flag;
        /* config.yaml alone: a run that was killed before its first step */
        if (app_is_run(x, flag) || dfm_file_exists(dfm_path_join(x->arena, flag, "MANIFEST")) ||
            dfm_file_exists(dfm_path_join(x->arena, flag, "config.yaml")))
            return DFM_OK;
        dfm_fail(err, DFM_BAD_CONFIG, "'%s' is no run folder", flag);
        dfm_help(err, "--resume without a folder takes the run of run.name=, or the newest, or "
                      "starts one");
        return DFM_BAD_CONFIG;
    }
    if (x->cfg.run_name[0]) {
        const char *named = dfm_path_join(x->arena, x->cfg.run_folder, x->cfg.run_name);
        if (app_is_run(x, named)) *out = named;
    } else {
        DFM_TRY(app_run_newest(x, model, out, err));
    }
    if (!*out) app_say(x, "nothing to resume in '%s': starting a new run", x->cfg.run_folder);
    return DFM_OK;
}

/* The run folder of a checkpoint: "runs/a/ckpt/step_1" belongs to "runs/a". Not by way of "..": the
 * checkpoint may be pruned while the run goes on. */
static const char *run_of_checkpoint(app *x, const char *path)
{
    if (!dfm_file_exists(dfm_path_join(x->arena, path, "MANIFEST"))) return path;
    char *run = dfm_path_real(x->arena, path);
    for (int i = 0; i < 2; i++) {
        char *slash = strrchr(run, '/');
        if (slash && slash != run) *slash = 0;
    }
    return run;
}

/* -- the loop ---------------------------------------------------------------------------------- */

static dfm_status save(trainer *t, dfm_err *err)
{
    if (t->saved) return DFM_OK;
    /* A checkpoint must not be safe before the log of its steps is. */
    if (t->log) DFM_TRY(met_log_sync(t->log, err));
    dfm_status s = app_ckpt_save(t->x, t->r, t->folder, &t->at, err);
    t->saved = s == DFM_OK;
    return s;
}

static dfm_status log_step(trainer *t, const rt_step_result *v, double seconds, dfm_err *err)
{
    met_log_begin(t->log);
    met_log_int(t->log, "step", (int64_t)t->at.step);
    met_log_real(t->log, "dfm_loss", v->loss);
    if (!isnan(v->lr)) met_log_real(t->log, "dfm_lr", v->lr);
    if (!isnan(v->grad_norm)) met_log_real(t->log, "dfm_grad_norm", v->grad_norm);
    met_log_int(t->log, "dfm_samples_total",
                (int64_t)(t->at.step * t->at.parts) * (int64_t)t->at.batch);
    met_log_real(t->log, "dfm_step_seconds", seconds);
    met_log_real(t->log, "dfm_data_wait_seconds_total", t->data_seconds);
    return met_log_end(t->log, err);
}

static dfm_status diverged(trainer *t, const char *what, double value, dfm_err *err)
{
    dfm_fail(err, DFM_BAD_DATA, "the %s became %s in step %" PRIu64, what,
             isnan(value) ? "NaN" : "infinite", t->at.step);
    const char *saved = dfm_path_join(t->x->arena, t->folder, "ckpt/latest");
    const char *rest = dfm_file_exists(saved)
                           ? dfm_fmt(t->x->arena, "--resume %s goes on from its last checkpoint",
                                     t->folder)
                           : "the run had no checkpoint yet";
    dfm_help(err, "a lower learning rate, a longer warm-up or clip_norm helps; nothing of this "
             "step was saved, %s", rest);
    return DFM_BAD_DATA;
}

static dfm_status one_step(trainer *t, bool last, dfm_err *err)
{
    const cfg *c = &t->x->cfg;
    rt_step_args args = {.seed = t->at.seed, .step = t->at.step, .parts = t->at.parts,
                         .batch = t->at.batch, .fetch = fetch, .user = t,
                         .lr = t->x->cfg.is_set[CFG_train_lr] ? t->x->cfg.train_lr : 0};
    rt_step_result v;
    double began = met_now();
    DFM_TRY(rt_train_step(t->r, &args, &v, err));
    double now = met_now();
    t->at.step++;
    t->saved = false;
    last = last || !v.finite || stop_signal;
    if (last || t->at.step % (uint64_t)c->train_log_every == 0)
        DFM_TRY(log_step(t, &v, now - began, err));
    met_step shown = {.step = t->at.step, .total = (uint64_t)c->train_steps, .loss = v.loss,
                      .lr = v.lr, .grad_norm = v.grad_norm,
                      .samples_per_step = (uint64_t)t->at.parts * t->at.batch};
    if (!t->x->o->value[FLAG_QUIET]) met_progress_update(&t->progress, &shown, now, last);
    if (!isfinite(v.loss)) return diverged(t, "loss", v.loss, err);
    if (!v.finite) return diverged(t, "gradient", v.grad_norm, err);
    return DFM_OK;
}

static dfm_status loop(trainer *t, dfm_err *err)
{
    const cfg *c = &t->x->cfg;
    uint64_t steps = (uint64_t)c->train_steps, every = (uint64_t)c->train_ckpt_every;
    while (t->at.step < steps && !stop_signal) {
        DFM_TRY(one_step(t, t->at.step + 1 == steps, err));
        if (every && t->at.step % every == 0) DFM_TRY(save(t, err));
    }
    DFM_TRY(save(t, err));
    return t->at.step < steps ? DFM_STOPPED : DFM_OK;
}

static void say_what(trainer *t)
{
    const plan *p = rt_plan_of(t->r);
    dfm_arena *a = t->x->arena;
    uint64_t n = 0;
    char count[32], memory[32];
    for (uint32_t i = 0; i < p->n_params; i++)
        if (p->params[i].flags & PLAN_PARAM_TRAINABLE) n += p->params[i].elems;
    app_say(t->x, "%s, %s: %s parameters, %s of memory", plan_meta_string(p, a, "model"),
            plan_meta_string(p, a, "train"), dfm_thousands(n, count),
            dfm_human_bytes(rt_memory(t->r), memory));
}

/* train.lr needs an update that asks for it. */
static dfm_status check_rate(trainer *t, dfm_err *err)
{
    const plan *p = rt_plan_of(t->r);
    if (!t->x->cfg.is_set[CFG_train_lr]) return DFM_OK;
    for (uint32_t i = 0; i < p->n_scalars; i++)
        if (!strcmp(plan_text(p, p->scalars[i]), "lr")) return DFM_OK;
    dfm_fail(err, DFM_BAD_CONFIG, "the learning rate is part of the plan");
    dfm_help(err, "name it in the program (const LR = 1e-3) and compile: dfmc --set const.LR=...");
    return DFM_BAD_CONFIG;
}

static dfm_status run(trainer *t, const char *resume, dfm_err *err)
{
    app *x = t->x;
    bool resumed;
    rt_program *update;
    DFM_TRY(rt_program_get(t->r, "step.grad", &t->grad, err));
    DFM_TRY(rt_program_get(t->r, "step.update", &update, err));
    DFM_TRY(check_rate(t, err));
    met_startup_mark(&t->startup, "code");
    say_what(t);
    DFM_TRY(start_state(t, resume, &resumed, err));
    DFM_TRY(open_data(t, err));
    met_startup_mark(&t->startup, "data");
    if (resume) t->folder = run_of_checkpoint(x, resume);
    else
        DFM_TRY(
            app_run_new(x, plan_meta_string(rt_plan_of(t->r), x->arena, "model"), &t->folder, err));
    t->saved = resumed;
    if (resumed && t->folder != resume) {
        /* Back to an older checkpoint: first it becomes the newest, then the log is cut to it. */
        t->saved = false;
        DFM_TRY(save(t, err));
    }
    DFM_TRY(app_run_describe(x, t->r, t->folder, err));
    DFM_TRY(met_log_open(dfm_path_join(x->arena, t->folder, "log.jsonl"), resumed, t->at.step,
                         &t->log, err));
    app_say(x, "run folder: %s", t->folder);
    met_startup_mark(&t->startup, "run folder");
    app_say(x, "first step after %s", met_startup_text(&t->startup, x->arena));
    catch_signals();
    t->progress = met_progress_start(x->log, met_now());
    dfm_status s = loop(t, err);
    met_progress_end(&t->progress);
    if (s == DFM_OK)
        app_say(x, "done: %" PRIu64 " steps%s%s", t->at.step,
                rt_has_program(t->r, "sample") ? "; samples: dfm-rt sample " : "",
                rt_has_program(t->r, "sample") ? x->o->plan : "");
    if (s == DFM_STOPPED)
        app_say(x, "stopped after step %" PRIu64 ", checkpoint saved; to go on: dfm-rt train %s "
                   "--resume %s", t->at.step, x->o->plan, t->folder);
    return s;
}

/* The run to resume, and with its configuration below what the command line says. */
static dfm_status configure(app *x, const char **out_resume, dfm_err *err)
{
    plan p;
    DFM_TRY(app_configure(x, NULL, err));
    DFM_TRY(plan_open(x->o->plan, &p, err));
    const char *model = plan_meta_string(&p, x->arena, "model");
    plan_close(&p);
    DFM_TRY(resume_folder(x, model, out_resume, err));
    if (!*out_resume) return DFM_OK;
    const char *yaml = dfm_path_join(x->arena, run_of_checkpoint(x, *out_resume), "config.yaml");
    return dfm_file_exists(yaml) ? app_configure(x, yaml, err) : DFM_OK;
}

dfm_status app_train(app *x, dfm_err *err)
{
    trainer t = {.x = x, .startup = met_startup_begin(x->arena)};
    const char *resume;
    DFM_TRY(configure(x, &resume, err));
    DFM_TRY(app_open(x, x->cfg.train_accumulate > 1, &t.r, err));
    met_startup_mark(&t.startup, "plan");
    dfm_status s = run(&t, resume, err);
    met_log_close(t.log);
    data_close(t.data);
    rt_close(t.r);
    return s;
}

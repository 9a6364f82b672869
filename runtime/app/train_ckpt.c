/* train_ckpt.c - all state of a training run to and from a checkpoint.
 *
 *   model.safetensors     the weights, by published names
 *   ema.0.safetensors     an average of them, by published names: usable as weights elsewhere
 *   optim.safetensors     optimizer state, "adamw.m.PATH"
 *   state.json            step, seeds, position in the data, plan
 */
#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "runtime/app/app.h"

/* -- parts ------------------------------------------------------------------------------------- */

typedef struct place { uint32_t state, param; } place;

typedef struct part_list {
    rt *r;
    dfm_arena *a;
    DFM_VEC(ckpt_part) parts;
    DFM_VEC(place *) places;                 /* by part, then tensor */
} part_list;

/* Add the tensors of the states first .. last that `want` picks, as one part. */
static void add_part(part_list *l, const char *file, const uint32_t *states, uint32_t n_states,
                     rt_names names)
{
    const plan *p = rt_plan_of(l->r);
    ckpt_tensor *all = dfm_new_n(l->a, ckpt_tensor, (size_t)p->n_params * n_states + 1), *some;
    place *places = dfm_new_n(l->a, place, (size_t)p->n_params * n_states + 1);
    uint32_t n = 0;
    for (uint32_t k = 0; k < n_states; k++) {
        uint32_t m = rt_state_tensors(l->r, states[k], names, "", l->a, &some), at = 0;
        for (uint32_t i = 0; i < p->n_params; i++)
            if (rt_has_param(l->r, states[k], i)) places[n + at++] = (place){states[k], i};
        DFM_ASSERT(at == m);
        memcpy(all + n, some, m * sizeof *all);
        n += m;
    }
    if (n == 0) return;
    dfm_push(l->a, &l->parts, ((ckpt_part){.file = file, .tensors = all, .n_tensors = n}));
    dfm_push(l->a, &l->places, places);
}

static const char *average_file(const plan *p, uint32_t state, dfm_arena *a)
{
    return dfm_fmt(a, "%s.safetensors", plan_text(p, p->states[state].name));
}

static bool is_optimizer_state(const plan *p, uint32_t state)
{
    return state != RT_MODEL_STATE && p->states[state].saved && !p->states[state].is_ema;
}

static void make_parts(part_list *l)
{
    const plan *p = rt_plan_of(l->r);
    uint32_t *states = dfm_new_n(l->a, uint32_t, p->n_states + 1), n = 0, model = RT_MODEL_STATE;
    add_part(l, "model.safetensors", &model, 1, RT_PUBLISHED);
    for (uint32_t s = 0; s < p->n_states; s++) {
        if (p->states[s].is_ema) add_part(l, average_file(p, s, l->a), &s, 1, RT_PUBLISHED);
        if (is_optimizer_state(p, s)) states[n++] = s;
    }
    add_part(l, "optim.safetensors", states, n, RT_STATE_PATH);
}

/* -- state.json -------------------------------------------------------------------------------- */

const char *app_state_text(const app_progress_state *s, dfm_arena *a)
{
    json_t *j = json_pack(
        "{sI sI sI s{sI sI sI sb} sI sI sI sI ss}", "format", (json_int_t)1, "step",
        (json_int_t)s->step, "seed", (json_int_t)s->seed, "data", "seed", (json_int_t)s->data_seed,
        "epoch", (json_int_t)s->epoch, "position", (json_int_t)s->position, "shuffle", s->shuffle,
        "parts", (json_int_t)s->parts, "batch", (json_int_t)s->batch, "threads",
        (json_int_t)s->threads, "labels", (json_int_t)s->labels, "plan", s->plan_id);
    const char *text = app_json_text(j, a);
    json_decref(j);
    return text;
}

dfm_status app_state_read(const char *text, const char *path, dfm_arena *a, app_progress_state *out,
                          dfm_err *err)
{
    json_int_t format, step, seed, data_seed, epoch, position, parts, batch, threads, labels;
    int shuffle;
    const char *plan_id;
    json_error_t why;
    json_t *j = json_loads(text, JSON_REJECT_DUPLICATES, &why);
    bool ok = j && json_unpack_ex(j, &why, 0, "{sI sI sI s{sI sI sI sb} sI sI sI sI ss}", "format",
                                  &format, "step", &step, "seed", &seed, "data", "seed", &data_seed,
                                  "epoch", &epoch, "position", &position, "shuffle", &shuffle,
                                  "parts", &parts, "batch", &batch, "threads", &threads, "labels",
                                  &labels, "plan", &plan_id) == 0;
    ok = ok && format == 1 && step >= 0 && epoch >= 0 && position >= 0 && parts > 0 && batch > 0 &&
         labels >= 0 && labels <= INT32_MAX;
    if (ok)
        *out = (app_progress_state){.step = (uint64_t)step,
                                    .seed = (uint64_t)seed,
                                    .data_seed = (uint64_t)data_seed,
                                    .epoch = (uint64_t)epoch,
                                    .position = (uint64_t)position,
                                    .shuffle = shuffle,
                                    .parts = (uint32_t)parts,
                                    .batch = (uint32_t)batch,
                                    .threads = (uint32_t)threads,
                                    .labels = (uint32_t)labels,
                                    .plan_id = dfm_strdup(a, plan_id)};
    json_decref(j);
    if (ok) return DFM_OK;
    return dfm_fail(err, DFM_BAD_DATA, "'%s/state.json' does not say where the run was", path);
}

uint32_t app_state_labels(const char *state)
{
    json_t *j = json_loads(state, 0, NULL);
    json_int_t n = json_integer_value(json_object_get(j, "labels"));
    json_decref(j);
    return n > 0 && n <= INT32_MAX ? (uint32_t)n : 0;
}

/* -- saving and loading ------------------------------------------------------------------------ */

static dfm_status fetch(void *user, uint32_t part, uint32_t tensor, uint64_t offset, uint64_t bytes,
                        void *dst, dfm_err *err)
{
    (void)err;
    const part_list *l = user;
    place at = l->places.p[part][tensor];
    rt_read_param(l->r, at.state, at.param, offset, bytes, dst);
    return DFM_OK;
}

dfm_status app_ckpt_save(app *x, rt *r, const char *folder, const app_progress_state *s,
                         dfm_err *err)
{
    dfm_arena *a = dfm_arena_create("checkpoint");
    part_list l = {.r = r, .a = a};
    make_parts(&l);
    ckpt_save_args args = {.folder = dfm_path_join(a, folder, "ckpt"), .step = s->step,
                           .parts = l.parts.p, .n_parts = l.parts.n, .state = app_state_text(s, a),
                           .keep = (uint32_t)x->cfg.train_ckpt_keep, .fetch = fetch, .user = &l};
    dfm_status status = ckpt_save(&args, err);
    dfm_arena_destroy(a);
    return status;
}

static const ckpt_weights *part_of(const ckpt_loaded *l, const char *file, dfm_err *err)
{
    for (uint32_t i = 0; i < l->n_parts; i++)
        if (!strcmp(l->part_names[i], file)) return &l->parts[i];
    dfm_fail(err, DFM_BAD_DATA, "checkpoint '%s' has no %s", l->path, file);
    dfm_help(err, "the plan's optimizer or averages differ from those of the run; --weights starts "
                  "a new run from its weights");
    return NULL;
}

/* The model is state 0: first of all. */
static dfm_status load_states(rt *r, uint64_t seed, const ckpt_loaded *l, dfm_arena *a,
                              dfm_err *err)
{
    const plan *p = rt_plan_of(r);
    for (uint32_t s = 0; s < p->n_states; s++) {
        bool optimizer = is_optimizer_state(p, s);
        if (s != RT_MODEL_STATE && !optimizer && !p->states[s].is_ema) continue;
        const char *file = s == RT_MODEL_STATE ? "model.safetensors"
                           : optimizer         ? "optim.safetensors"
                                               : average_file(p, s, a);
        const ckpt_weights *w = part_of(l, file, err);
        if (!w) return DFM_BAD_DATA;
        if (s == RT_MODEL_STATE) DFM_TRY(rt_init_except(r, seed, w, err));
        DFM_TRY(rt_load_state(r, s, optimizer ? RT_STATE_PATH : RT_PUBLISHED, w, 0, a, NULL, err));
    }
    return DFM_OK;
}

dfm_status app_ckpt_load(app *x, rt *r, const char *folder, app_progress_state *out,
                         bool *out_found, dfm_err *err)
{
    ckpt_loaded l;
    bool itself = dfm_file_exists(dfm_path_join(x->arena, folder, "MANIFEST"));
    const char *path = itself ? folder : dfm_path_join(x->arena, folder, "ckpt");
    DFM_TRY(ckpt_load(x->arena, path, &l, err));
    *out_found = l.found;
    if (!l.found) return DFM_OK;
    if (l.warning) app_say(x, "warning: %s", l.warning);
    dfm_status s = app_state_read(l.state, l.path, x->arena, out, err);
    if (s == DFM_OK) s = load_states(r, out->seed, &l, x->arena, err);
    if (s == DFM_OK && out->step != l.step)
        s = dfm_fail(err, DFM_BAD_DATA, "'%s' is of step %" PRIu64 " by its name, of %" PRIu64
                     " by its state", l.path, l.step, out->step);
    if (s == DFM_OK && !itself) ckpt_tidy(path, l.path);
    ckpt_loaded_close(&l);
    return s;
}

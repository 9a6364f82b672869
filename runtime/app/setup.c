/* setup.c - what the commands share: configuration, opening the plan, weights, inputs. */
#include <jansson.h>
#include <stdarg.h>
#include <string.h>

#include "runtime/app/app.h"

void app_say(const app *x, const char *format, ...)
{
    if (x->o->value[FLAG_QUIET]) return;
    va_list ap;
    va_start(ap, format);
    vfprintf(x->log, format, ap);
    va_end(ap);
    fputc('\n', x->log);
    fflush(x->log);
}

static int add_text(const char *p, size_t n, void *user)
{
    dfm_sb_add(user, p, n);
    return 0;
}

const char *app_json_text(const json_t *value, dfm_arena *a)
{
    dfm_sb sb = dfm_sb_make(a);
    if (!value || json_dump_callback(value, add_text, &sb, JSON_INDENT(2)) != 0)
        dfm_no_memory("JSON", 0);
    dfm_sb_puts(&sb, "\n");
    return dfm_sb_cstr(&sb);
}

dfm_status app_configure(app *x, const char *base, dfm_err *err)
{
    cfg_init(x->arena, &x->cfg);
    if (base) DFM_TRY(cfg_read_file(&x->cfg, base, err));
    if (x->o->value[FLAG_CONFIG]) DFM_TRY(cfg_read_file(&x->cfg, x->o->value[FLAG_CONFIG], err));
    for (uint32_t i = 0; i < x->o->overrides.n; i++)
        DFM_TRY(cfg_override(&x->cfg, x->o->overrides.p[i], err));
    if (x->o->value[FLAG_MOCK]) x->cfg.data_mock = true;
    return DFM_OK;
}

dfm_status app_open(app *x, bool accumulate, rt **out, dfm_err *err)
{
    rt_options options = {.threads = (uint32_t)x->cfg.run_threads, .accumulate = accumulate,
                          .trust = x->o->value[FLAG_TRUST] != NULL};
    return rt_open(x->o->plan, &options, out, err);
}

/* -- weights ----------------------------------------------------------------------------------- */

static const ckpt_weights *part_named(const ckpt_loaded *l, const char *name)
{
    for (uint32_t i = 0; i < l->n_parts; i++)
        if (!strcmp(l->part_names[i], name)) return &l->parts[i];
    return NULL;
}

/* The first average in the checkpoint: "ema.0.safetensors". */
static const ckpt_weights *average_of(const ckpt_loaded *l)
{
    for (uint32_t i = 0; i < l->n_parts; i++)
        if (strcmp(l->part_names[i], "model.safetensors") &&
            strcmp(l->part_names[i], "optim.safetensors"))
            return &l->parts[i];
    return NULL;
}

static dfm_status start_from_parts(app *x, rt *r, uint64_t seed, const ckpt_loaded *l, bool average,
                                   dfm_err *err)
{
    const ckpt_weights *model = part_named(l, "model.safetensors"), *mean = average_of(l);
    if (!model)
        return dfm_fail(err, DFM_BAD_DATA, "checkpoint '%s' has no model.safetensors", l->path);
    DFM_TRY(rt_init_except(r, seed, model, err));
    DFM_TRY(rt_load_state(r, RT_MODEL_STATE, RT_PUBLISHED, model, 0, x->arena, NULL, err));
    average = average && mean;
    if (average)
        DFM_TRY(
            rt_load_state(r, RT_MODEL_STATE, RT_PUBLISHED, mean, RT_PARTIAL, x->arena, NULL, err));
    if (l->warning) app_say(x, "warning: %s", l->warning);
    app_say(x, "weights: %s%s", l->path, average ? ", averaged" : "");
    return DFM_OK;
}

static dfm_status start_from_file(app *x, rt *r, uint64_t seed, const char *path, dfm_err *err)
{
    ckpt_weights w;
    rt_unused unused = {0};
    uint32_t how = plan_meta_int(rt_plan_of(r), "weights_strict", 0) ? RT_STRICT : 0;
    DFM_TRY(ckpt_weights_open(x->arena, path, &w, err));
    dfm_status s = rt_init_except(r, seed, &w, err);
    if (s == DFM_OK)
        s = rt_load_state(r, RT_MODEL_STATE, RT_PUBLISHED, &w, how, x->arena, &unused, err);
    ckpt_weights_close(&w);
    if (unused.n) app_say(x, "warning: not all of '%s' is used%s", path, unused.text);
    return s;
}

dfm_status app_start_weights(app *x, rt *r, uint64_t seed, const char *path, bool average,
                             uint32_t *out_labels, dfm_err *err)
{
    if (out_labels) *out_labels = 0;
    if (!path) return rt_init(r, seed, err);
    const char *ckpt = dfm_path_join(x->arena, path, "ckpt");
    bool is_ckpt = dfm_file_exists(dfm_path_join(x->arena, path, "MANIFEST"));
    if (!is_ckpt && !dfm_is_folder(ckpt)) return start_from_file(x, r, seed, path, err);
    ckpt_loaded l;
    DFM_TRY(ckpt_load(x->arena, is_ckpt ? path : ckpt, &l, err));
    if (!l.found) return dfm_fail(err, DFM_BAD_DATA, "'%s' holds no checkpoint yet", path);
    dfm_status s = start_from_parts(x, r, seed, &l, average, err);
    if (out_labels) *out_labels = app_state_labels(l.state);
    ckpt_loaded_close(&l);
    return s;
}

/* -- inputs ------------------------------------------------------------------------------------ */

dfm_status app_set_inputs(app *x, rt *r, rt_program *p, const ckpt_weights *w, dfm_err *err)
{
    (void)x;
    for (uint32_t i = 0; i < w->n_tensors; i++) {
        const ckpt_tensor *t = &w->tensors[i];
        if (t->dtype == DFM_DT_NONE)
            return dfm_fail(err, DFM_BAD_DATA, "input '%s' is of type %s, which is not supported",
                            t->name, t->dtype_text);
        rt_value v = {.dtype = t->dtype, .rank = t->rank, .shape = t->shape, .data = t->data};
        dfm_status s = rt_set(r, p, t->name, &v, err);
        if (s != DFM_OK) {
            dfm_while(err, "reading inputs from '%s'", w->path);
            return s;
        }
    }
    return DFM_OK;
}

/* run_folder.c - folders of runs: names, the newest one, and what describes a run in them. */
#include <jansson.h>
#include <string.h>
#include <unistd.h>

#include "runtime/app/app.h"
#include "runtime/base/sys.h"

enum { MAX_MANIFEST = 1 << 20 };

/* -- names ------------------------------------------------------------------------------------- */

static const char *file_name_of(dfm_arena *a, const char *model)
{
    char *s = dfm_strdup(a, *model ? model : "run");
    for (char *p = s; *p; p++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-", *p))
            *p = '-';
    return s;
}

/* N of "MODEL-N"; 0 if it is not such a name. */
static unsigned long number_of(const char *name, const char *model)
{
    size_t n = strlen(model);
    if (strncmp(name, model, n) != 0 || name[n] != '-') return 0;
    const char *digits = name + n + 1;
    if (!*digits || strlen(digits) > 9 || strspn(digits, "0123456789") != strlen(digits)) return 0;
    return strtoul(digits, NULL, 10);
}

static dfm_status last_number(app *x, const char *folder, const char *model, unsigned long *out,
                              dfm_err *err)
{
    const char **names;
    uint32_t n;
    *out = 0;
    DFM_TRY(dfm_list_folder(x->arena, folder, &names, &n, err));
    for (uint32_t i = 0; i < n; i++) {
        unsigned long k = number_of(names[i], model);
        if (k > *out) *out = k;
    }
    return DFM_OK;
}

bool app_is_run(app *x, const char *folder)
{
    return dfm_file_exists(dfm_path_join(x->arena, folder, "log.jsonl")) ||
           dfm_is_folder(dfm_path_join(x->arena, folder, "ckpt"));
}

static dfm_status named_folder(app *x, const char **out, dfm_err *err)
{
    *out = dfm_path_join(x->arena, x->cfg.run_folder, x->cfg.run_name);
    if (!app_is_run(x, *out)) return dfm_make_folders(*out, err);
    dfm_fail(err, DFM_BAD_CONFIG, "'%s' holds a run already", *out);
    dfm_help(err, "--resume %s goes on with it; another run.name= starts a new one", *out);
    return DFM_BAD_CONFIG;
}

dfm_status app_run_new(app *x, const char *model, const char **out, dfm_err *err)
{
    if (x->cfg.run_name[0]) return named_folder(x, out, err);
    const char *name = file_name_of(x->arena, model);
    unsigned long n;
    bool made = false;
    DFM_TRY(dfm_make_folders(x->cfg.run_folder, err));
    DFM_TRY(last_number(x, x->cfg.run_folder, name, &n, err));
    while (!made) {
        *out = dfm_path_join(x->arena, x->cfg.run_folder, dfm_fmt(x->arena, "%s-%lu", name, ++n));
        DFM_TRY(dfm_make_folder(*out, &made, err));
    }
    return DFM_OK;
}

/* -- the newest -------------------------------------------------------------------------------- */

static bool modified(const char *path, struct timespec *out)
{
    struct stat st;
    if (dfm_sys_stat(path, true, &st) != 0) return false;
    *out = st.st_mtim;
    return true;
}

/* Is the run of another model? Runs that do not say count as of this one. */
static bool other_model(app *x, const char *folder, const char *model)
{
    char *text;
    size_t n;
    const char *path = dfm_path_join(x->arena, folder, "manifest.json");
    if (dfm_file_read(x->arena, path, MAX_MANIFEST, &text, &n, NULL) != DFM_OK) return false;
    json_t *m = json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);
    const char *has = json_string_value(json_object_get(m, "model"));
    bool other = has && strcmp(has, model) != 0;
    json_decref(m);
    return other;
}

static bool newer(struct timespec a, struct timespec b)
{
    return a.tv_sec != b.tv_sec ? a.tv_sec > b.tv_sec : a.tv_nsec > b.tv_nsec;
}

dfm_status app_run_newest(app *x, const char *model, const char **out, dfm_err *err)
{
    struct timespec when = {0}, t;
    bool best_saved = false;
    const char **names;
    uint32_t n;
    *out = NULL;
    DFM_TRY(dfm_list_folder(x->arena, x->cfg.run_folder, &names, &n, err));
    for (uint32_t i = 0; i < n; i++) {
        if (names[i][0] == '.') continue;
        const char *folder = dfm_path_join(x->arena, x->cfg.run_folder, names[i]);
        bool saved = modified(dfm_path_join(x->arena, folder, "ckpt/latest"), &t);
        if (!saved && !modified(dfm_path_join(x->arena, folder, "log.jsonl"), &t)) continue;
        if (other_model(x, folder, model) || saved < best_saved) continue;
        if (*out && saved == best_saved && !newer(t, when)) continue;
        *out = folder;
        when = t;
        best_saved = saved;
    }
    return DFM_OK;
}

/* -- describing -------------------------------------------------------------------------------- */

static dfm_status put_file(app *x, const char *folder, const char *name, const void *p, size_t n,
                           dfm_err *err)
{
    return dfm_file_replace(dfm_path_join(x->arena, folder, name), p, n, err);
}

static const char *manifest_text(app *x, rt *r)
{
    static const char *const keys[] = {"model",  "train", "sampler", "variant", "precision",
                                       "target", "arch",  "source",  "dfmc"};
    static const char *const env[] = {"OMP_NUM_THREADS", "OMP_PROC_BIND", "OMP_PLACES",
                                      "SLURM_JOB_ID", "SLURM_RESTART_COUNT"};
    const plan *p = rt_plan_of(r);
    char id[33], host[256] = "";
    json_t *m = json_object(), *e = json_object();
    json_object_set_new(m, "dfm_rt", json_string(DFM_VERSION));
    json_object_set_new(m, "plan", json_string(dfm_hash128_hex(p->id, id)));
    json_object_set_new(m, "program", json_string(dfm_hash128_hex(p->source_id, id)));
    for (size_t i = 0; i < DFM_LEN(keys); i++)
        json_object_set_new(m, keys[i], json_string(plan_meta_string(p, x->arena, keys[i])));
    gethostname(host, sizeof host - 1);
    json_object_set_new(m, "host", json_string(host));
    json_object_set_new(m, "threads", json_integer(rt_device(r)->threads));
    json_object_set_new(m, "seed", json_integer(x->cfg.train_seed));
    json_object_set_new(m, "data_seed", json_integer(x->cfg.data_seed));
    for (size_t i = 0; i < DFM_LEN(env); i++)
        if (getenv(env[i])) json_object_set_new(e, env[i], json_string(getenv(env[i])));
    json_object_set_new(m, "environment", e);
    const char *text = app_json_text(m, x->arena);
    json_decref(m);
    return text;
}

dfm_status app_run_describe(app *x, rt *r, const char *folder, dfm_err *err)
{
    const char *yaml = cfg_yaml(&x->cfg, x->arena), *manifest = manifest_text(x, r);
    dfm_sb overrides = dfm_sb_make(x->arena), text = dfm_sb_make(x->arena);
    for (uint32_t i = 0; i < x->o->overrides.n; i++)
        dfm_sb_printf(&overrides, "%s\n", x->o->overrides.p[i]);
    plan_print(rt_plan_of(r), &text);
    const dfm_map *map = &rt_plan_of(r)->map;
    DFM_TRY(put_file(x, folder, "config.yaml", yaml, strlen(yaml), err));
    DFM_TRY(put_file(x, folder, "overrides.txt", dfm_sb_cstr(&overrides), overrides.n, err));
    DFM_TRY(put_file(x, folder, "plan.plan", map->p, map->n, err));
    DFM_TRY(put_file(x, folder, "plan.txt", dfm_sb_cstr(&text), text.n, err));
    return put_file(x, folder, "manifest.json", manifest, strlen(manifest), err);
}

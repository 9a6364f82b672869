/* app.h - the commands of dfm-rt. Only main.c prints errors and exits. */
#ifndef DFM_RUNTIME_APP_H
#define DFM_RUNTIME_APP_H

#include <stdio.h>

#include "runtime/app/config.h"
#include "runtime/app/options.h"
#include "runtime/ckpt/ckpt.h"
#include "runtime/exec/exec.h"

typedef struct app {
    dfm_arena *arena;
    const app_options *o;
    cfg cfg;
    FILE *out, *log;                         /* results; progress and notes */
} app;

dfm_status app_train(app *x, dfm_err *err);  /* train.c; DFM_STOPPED: a signal, checkpoint saved */
dfm_status app_sample(app *x, dfm_err *err); /* sample.c */
dfm_status app_run(app *x, dfm_err *err);    /* run.c */
dfm_status app_info(app *x, dfm_err *err);   /* info.c: `info` and `dis` */
dfm_status app_bench(app *x, dfm_err *err);  /* bench.c */

/* -- setup.c: what commands share -------------------------------------------------------------- */
/* Configuration: defaults, then base (a YAML file, or NULL), --config, key=value, flags. */
dfm_status app_configure(app *x, const char *base, dfm_err *err);
dfm_status app_open(app *x, bool accumulate, rt **out, dfm_err *err);
/* A line on the log, unless -q. */
void app_say(const app *x, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A value as indented text that ends with a line end. Ends the process if there is no memory. */
struct json_t;
const char *app_json_text(const struct json_t *value, dfm_arena *a);
/* Initial weights, drawn by `seed`, and in their place those of `path` (NULL: none): a safetensors
 * file or folder, a run folder, a checkpoint. What is loaded is not drawn. With `average` the first
 * average of a checkpoint replaces the weights where there is one. Averages of the program are not
 * set: rt_reset_averages. *out_labels (may be NULL): number of labels of the run; 0: unknown. */
dfm_status app_start_weights(app *x, rt *r, uint64_t seed, const char *path, bool average,
                             uint32_t *out_labels, dfm_err *err);
/* One safetensors file with inputs for a program; close with ckpt_weights_close. */
dfm_status app_set_inputs(app *x, rt *r, rt_program *p, const ckpt_weights *w, dfm_err *err);

/* -- run_folder.c ------------------------------------------------------------------------------ */
/* Make the folder of a new run: run.folder/run.name, or run.folder/MODEL-N with the next free N. A
 * folder of that name that already holds a run is an error. */
dfm_status app_run_new(app *x, const char *model, const char **out, dfm_err *err);
/* The run with the newest checkpoint (with any log, if there is none) of that model; *out = NULL:
 * none. A folder that cannot be read is an error, not a folder without runs. */
dfm_status app_run_newest(app *x, const char *model, const char **out, dfm_err *err);
bool app_is_run(app *x, const char *folder);             /* holds a run's files */
/* Write config.yaml, overrides.txt, plan.plan, plan.txt and manifest.json. */
dfm_status app_run_describe(app *x, rt *r, const char *folder, dfm_err *err);

/* -- data_path.c ------------------------------------------------------------------------------- */
/* data.path, or the plan's default data where it is found. DFM_BAD_DATA lists the places tried. */
dfm_status app_data_path(app *x, rt *r, const char **out, dfm_err *err);

/* -- train_ckpt.c ------------------------------------------------------------------------------ */
typedef struct app_progress_state {          /* what state.json holds */
    uint64_t step, seed, data_seed, epoch, position;
    bool shuffle;
    uint32_t parts, batch, threads;
    uint32_t labels;                         /* one more than the largest label seen; 0: none */
    const char *plan_id;
} app_progress_state;
dfm_status app_ckpt_save(app *x, rt *r, const char *folder, const app_progress_state *s,
                         dfm_err *err);
/* The text of a state.json, and back: DFM_BAD_DATA, naming `path`. */
const char *app_state_text(const app_progress_state *s, dfm_arena *a);
dfm_status app_state_read(const char *text, const char *path, dfm_arena *a, app_progress_state *out,
                          dfm_err *err);
/* Number of labels in the text of a state.json; 0 if it does not say. */
uint32_t app_state_labels(const char *state);
/* *out_found = false: there is no checkpoint. */
dfm_status app_ckpt_load(app *x, rt *r, const char *folder, app_progress_state *out,
                         bool *out_found, dfm_err *err);

#endif

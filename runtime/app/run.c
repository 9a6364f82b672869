/* run.c - `dfm-rt run`: one program on given inputs, results into a safetensors file. */
#include <string.h>

#include "runtime/app/app.h"

static const char *const programs[] = {"forward", "loss", "grad"};

static dfm_status check_flags(const app *x, dfm_err *err)
{
    const char *name = x->o->value[FLAG_PROGRAM];
    if (!name || !x->o->value[FLAG_OUTPUT]) {
        dfm_fail(err, DFM_USAGE, "dfm-rt run needs %s", name ? "-o FILE for the results"
                                                             : "--program forward, loss or grad");
        return DFM_USAGE;
    }
    for (size_t i = 0; i < DFM_LEN(programs); i++)
        if (!strcmp(name, programs[i])) return DFM_OK;
    const char *near = dfm_nearest(name, programs, DFM_LEN(programs));
    dfm_fail(err, DFM_USAGE, "dfm-rt run does not run '%s'", name);
    dfm_help(err, near ? "did you mean '%s'?" : "it runs forward, loss and grad", near);
    return DFM_USAGE;
}

/* Everything but draws must be given. */
static dfm_status check_inputs(app *x, const rt_program *p, const ckpt_weights *w, dfm_err *err)
{
    dfm_sb missing = dfm_sb_make(x->arena);
    for (uint32_t i = 0; i < p->prog->n_io; i++) {
        const plan_io *io = &p->io[i];
        const char *name = plan_text(p->p, io->name);
        if (!(io->flags & (PLAN_IO_FORMAL | PLAN_IO_DATA)) || (w && ckpt_weights_find(w, name)))
            continue;
        dfm_sb_printf(&missing, "\n    %s: %s", name, rt_io_text(p->p, io, x->arena));
    }
    if (!missing.n) return DFM_OK;
    dfm_fail(err, DFM_BAD_DATA, "inputs are missing:%s", dfm_sb_cstr(&missing));
    dfm_help(err, "give them by these names in a safetensors file: --inputs FILE");
    return DFM_BAD_DATA;
}

static dfm_status set_inputs(app *x, rt *r, rt_program *p, dfm_err *err)
{
    const char *path = x->o->value[FLAG_INPUTS];
    ckpt_weights w;
    if (!path) return check_inputs(x, p, NULL, err);
    DFM_TRY(ckpt_weights_open(x->arena, path, &w, err));
    dfm_status s = check_inputs(x, p, &w, err);
    if (s == DFM_OK) s = app_set_inputs(x, r, p, &w, err);
    ckpt_weights_close(&w);
    return s;
}

static uint64_t *shape_of(dfm_arena *a, const plan_io *io)
{
    uint64_t *shape = dfm_new_n(a, uint64_t, io->rank + 1);
    for (uint32_t i = 0; i < io->rank; i++) shape[i] = (uint64_t)io->shape[i];
    return shape;
}

static dfm_status write_results(app *x, rt *r, const rt_program *p, dfm_err *err)
{
    DFM_VEC(ckpt_tensor) all = {0};
    for (uint32_t i = 0; i < p->prog->n_io; i++) {
        const plan_io *io = &p->io[i];
        if (!(io->flags & PLAN_IO_OUTPUT)) continue;
        void *data = dfm_alloc(x->arena, io->bytes);
        rt_get(r, io, data);
        dfm_push(x->arena, &all, ((ckpt_tensor){
            .name = plan_text(p->p, io->name), .dtype = (dfm_dtype)io->dtype, .rank = io->rank,
            .shape = shape_of(x->arena, io), .data = data, .bytes = io->bytes}));
    }
    uint32_t g = rt_state_find(r, "g");
    if (!strcmp(x->o->value[FLAG_PROGRAM], "grad") && g != UINT32_MAX) {
        ckpt_tensor *t;
        uint32_t n = rt_state_tensors(r, g, RT_PUBLISHED, "grad.", x->arena, &t), k = 0;
        for (uint32_t i = 0; i < p->p->n_params; i++) {
            if (!rt_has_param(r, g, i)) continue;
            void *data = dfm_alloc(x->arena, t[k].bytes);
            rt_read_param(r, g, i, 0, t[k].bytes, data);
            t[k++].data = data;
        }
        for (uint32_t i = 0; i < n; i++) dfm_push(x->arena, &all, t[i]);
    }
    return ckpt_write_file(x->o->value[FLAG_OUTPUT], all.p, all.n, NULL, 0, err);
}

static dfm_status run(app *x, rt *r, dfm_err *err)
{
    rt_program *p;
    uint64_t seed = (uint64_t)x->cfg.train_seed;
    DFM_TRY(rt_program_get(r, x->o->value[FLAG_PROGRAM], &p, err));
    DFM_TRY(app_start_weights(x, r, seed, x->o->value[FLAG_WEIGHTS], false, NULL, err));
    DFM_TRY(set_inputs(x, r, p, err));
    rt_call call = {.seed = seed};
    DFM_TRY(rt_run(r, p, &call, err));
    return write_results(x, r, p, err);
}

dfm_status app_run(app *x, dfm_err *err)
{
    rt *r;
    DFM_TRY(check_flags(x, err));
    DFM_TRY(app_configure(x, NULL, err));
    DFM_TRY(app_open(x, false, &r, err));
    dfm_status s = run(x, r, err);
    rt_close(r);
    return s;
}

/* dfm_rt.c - the public interface over runtime/exec. */
#include "runtime/dfm_rt.h"

#include <string.h>

#include "runtime/base/sys.h"
#include "runtime/exec/exec.h"

struct dfm_rt {
    rt *r;
    dfm_err err;
};

static _Thread_local char load_error[sizeof((dfm_err *)0)->text];

dfm_rt *dfm_rt_load(const char *plan_path, unsigned threads, int trust)
{
    dfm_err err = {0};
    dfm_rt *x = dfm_sys_zeroed(sizeof *x);
    rt_options options = {.threads = threads, .trust = trust != 0};
    if (!x) dfm_fail(&err, DFM_NO_MEMORY, "no memory");
    else if (rt_open(plan_path, &options, &x->r, &err) == DFM_OK) return x;
    memcpy(load_error, err.text, sizeof load_error);
    dfm_sys_free(x);
    return NULL;
}

void dfm_rt_close(dfm_rt *x)
{
    if (x) rt_close(x->r);
    dfm_sys_free(x);
}

const char *dfm_rt_error(const dfm_rt *x) { return x ? x->err.text : load_error; }

int dfm_rt_init(dfm_rt *x, uint64_t seed)
{
    dfm_err_clear(&x->err);
    return (int)rt_init(x->r, seed, &x->err);
}

int dfm_rt_weights(dfm_rt *x, const char *path)
{
    dfm_err_clear(&x->err);
    dfm_arena *a = dfm_arena_create("weights");
    dfm_status s = rt_load_weights(x->r, path, a, NULL, &x->err);
    dfm_arena_destroy(a);
    return (int)s;
}

int dfm_rt_set(dfm_rt *x, const char *program, const char *name, const char *dtype, unsigned rank,
               const uint64_t *shape, const void *data)
{
    rt_program *p;
    rt_value v = {.dtype = dfm_dtype_of_name(dtype), .rank = rank, .shape = shape, .data = data};
    dfm_err_clear(&x->err);
    if (v.dtype == DFM_DT_NONE)
        return (int)dfm_fail(&x->err, DFM_USAGE, "unknown element type '%s'", dtype);
    dfm_status s = rt_program_get(x->r, program, &p, &x->err);
    return (int)(s != DFM_OK ? s : rt_set(x->r, p, name, &v, &x->err));
}

int dfm_rt_run(dfm_rt *x, const char *program, uint64_t seed, uint64_t step, int64_t first_sample)
{
    rt_program *p;
    rt_call call = {.seed = seed, .step = step, .first_sample = first_sample};
    dfm_err_clear(&x->err);
    dfm_status s = rt_program_get(x->r, program, &p, &x->err);
    return (int)(s != DFM_OK ? s : rt_run(x->r, p, &call, &x->err));
}

int dfm_rt_get(dfm_rt *x, const char *program, const char *name, void *out, size_t bytes)
{
    rt_program *p;
    dfm_err_clear(&x->err);
    dfm_status s = rt_program_get(x->r, program, &p, &x->err);
    if (s != DFM_OK) return (int)s;
    const plan_io *io = rt_find_io(p, name, PLAN_IO_OUTPUT);
    if (!io)
        return (int)dfm_fail(&x->err, DFM_USAGE, "program '%s' has no output '%s'", program, name);
    if (io->bytes != bytes)
        return (int)dfm_fail(&x->err, DFM_USAGE, "output '%s' has %llu bytes, not %zu", name,
                             (unsigned long long)io->bytes, bytes);
    rt_get(x->r, io, out);
    return 0;
}

static dfm_status already_stored(void *user, rt *r, rt_program *p, uint32_t part, dfm_err *err)
{
    (void)user, (void)r, (void)p, (void)part, (void)err;
    return DFM_OK;
}

int dfm_rt_train_step(dfm_rt *x, uint64_t seed, uint64_t step, double *out_loss)
{
    rt_step_args args = {.seed = seed, .step = step, .parts = 1, .fetch = already_stored};
    rt_step_result result;
    dfm_err_clear(&x->err);
    dfm_status s = rt_train_step(x->r, &args, &result, &x->err);
    if (s == DFM_OK && out_loss) *out_loss = result.loss;
    return (int)s;
}

/* exec_train.c - initial state, and one optimizer step. */
#include <math.h>

#include "runtime/exec/exec_impl.h"

/* Fresh memory is zero, and stays untouched until something is written: its pages cost nothing. */
static void clear_state(rt *r)
{
    if (!r->used) return;
    for (uint32_t i = 0; i < r->p.n_regions; i++) {
        const plan_region *g = &r->p.regions[i];
        if (g->kind == PLAN_REGION_STATE && r->region[i])
            r->device->ops->clear(r->device, r->region[i], g->bytes);
    }
}

/* Elements of one type to another, through host memory. */
static void copy_converted(rt *r, char *to, const plan_region *tr, const char *from,
                           const plan_region *fr)
{
    enum { CHUNK = 1 << 16 };
    dfm_arena *a = dfm_arena_create("copy");
    dfm_dtype td = (dfm_dtype)tr->dtype, fd = (dfm_dtype)fr->dtype;
    uint64_t n = tr->bytes / dfm_dtype_bytes(td), ts = dfm_dtype_bytes(td),
             fs = dfm_dtype_bytes(fd);
    void *src = dfm_alloc(a, CHUNK * fs), *dst = dfm_alloc(a, CHUNK * ts);
    for (uint64_t at = 0; at < n; at += CHUNK) {
        uint64_t m = n - at < CHUNK ? n - at : CHUNK;
        r->device->ops->copy_out(r->device, src, from + at * fs, m * fs);
        for (uint64_t i = 0; i < m; i++)
            dfm_store_double(td, dst, i, dfm_load_as_double(fd, src, i));
        r->device->ops->copy_in(r->device, to + at * ts, dst, m * ts);
    }
    dfm_arena_destroy(a);
}

void rt_reset_averages(rt *r)
{
    for (uint32_t i = 0; i < r->p.n_regions; i++) {
        const plan_region *g = &r->p.regions[i], *w = NULL;
        if (g->kind != PLAN_REGION_STATE || !r->p.states[g->state].is_ema || !r->region[i])
            continue;
        char *from = rt_state(r, RT_MODEL_STATE, g->flat, &w);
        if (!from) continue;
        if (w->dtype == g->dtype) r->device->ops->copy(r->device, r->region[i], from, g->bytes);
        else copy_converted(r, r->region[i], g, from, w);
    }
}

dfm_status rt_init(rt *r, uint64_t seed, dfm_err *err)
{
    rt_program *p;
    clear_state(r);
    DFM_TRY(rt_program_get(r, "init", &p, err));
    rt_call call = {.seed = seed};
    DFM_TRY(rt_run(r, p, &call, err));
    rt_reset_averages(r);
    return DFM_OK;
}

/* Does operand o write nothing but parameters that are given? last: of the open loops' counters. */
static bool writes_given(const rt *r, const plan_operand *o, const int64_t last[PLAN_MAX_LOOPS],
                         const bool *given)
{
    if (o->region == UINT32_MAX || !(o->flags & PLAN_WRITE)) return true;
    const plan_region *g = &r->p.regions[o->region];
    if (g->kind != PLAN_REGION_STATE || g->state != RT_MODEL_STATE) return false;
    int64_t begin = (int64_t)o->offset, end = (int64_t)(o->offset + o->span);
    for (int j = 0; j < PLAN_MAX_LOOPS; j++) {
        int64_t reach = o->loop_stride[j] * last[j];
        *(reach < 0 ? &begin : &end) += reach;
    }
    int64_t size = (int64_t)dfm_dtype_bytes((dfm_dtype)g->dtype);
    for (uint32_t i = 0; i < r->p.n_params; i++) {
        const plan_param *q = &r->p.params[i];
        bool apart = q->flat != g->flat || (int64_t)(q->offset + q->elems) * size <= begin ||
                     (int64_t)q->offset * size >= end;
        if (!apart && !given[i]) return false;
    }
    return true;
}

/* A copy of the bound program `init` in which steps that only make given weights are skipped, as a
 * draw is that is given from outside. */
static rt_program *init_of_the_rest(rt *r, const rt_program *p, const bool *given, dfm_arena *a)
{
    rt_program *q = dfm_new(a, rt_program);
    dev_step *steps = dfm_new_n(a, dev_step, p->list.n_steps + 1);
    int64_t last[PLAN_MAX_LOOPS] = {0};
    *q = *p;
    q->given = dfm_new_n(a, bool, p->prog->n_io + 1);
    q->given[p->prog->n_io] = true;          /* the draw of all steps that are skipped */
    for (uint32_t i = 0; i < p->list.n_steps; i++) {
        const plan_step *s = &r->p.steps[p->prog->first_step + i];
        bool skip = s->kind != PLAN_STEP_LOOP && s->kind != PLAN_STEP_END;
        if (!skip) last[s->depth] = s->kind == PLAN_STEP_LOOP ? (int64_t)s->value - 1 : 0;
        for (uint32_t k = 0; k < s->n_operands; k++)
            skip = skip && writes_given(r, &r->p.operands[s->first_operand + k], last, given);
        steps[i] = p->list.steps[i];
        if (skip) steps[i].draw = p->prog->n_io;
    }
    q->list.steps = steps;
    return q;
}

dfm_status rt_init_except(rt *r, uint64_t seed, const ckpt_weights *w, dfm_err *err)
{
    rt_program *p;
    clear_state(r);
    DFM_TRY(rt_program_get(r, "init", &p, err));
    dfm_arena *a = dfm_arena_create("init");
    bool *given = dfm_new_n(a, bool, r->p.n_params + 1);
    for (uint32_t i = 0; i < r->p.n_params; i++)
        given[i] = ckpt_weights_find(w, plan_text(&r->p, r->p.params[i].published)) != NULL;
    rt_call call = {.seed = seed};
    dfm_status s = rt_run(r, init_of_the_rest(r, p, given, a), &call, err);
    dfm_arena_destroy(a);
    return s;
}

static double number_or_nan(rt *r, const rt_program *p, const char *name)
{
    const plan_io *io = rt_find_io(p, name, PLAN_IO_OUTPUT);
    return io ? rt_get_number(r, io) : NAN;
}

dfm_status rt_train_step(rt *r, const rt_step_args *args, rt_step_result *out, dfm_err *err)
{
    rt_program *grad, *update, *sum = NULL;
    *out = (rt_step_result){.lr = NAN, .grad_norm = NAN};
    DFM_TRY(rt_program_get(r, "step.grad", &grad, err));
    DFM_TRY(rt_program_get(r, "step.update", &update, err));
    if (args->parts > 1) DFM_TRY(rt_program_get(r, "step.accumulate", &sum, err));
    for (uint32_t k = 0; k < args->parts; k++) {
        rt_call call = {.seed = args->seed, .step = args->step,
                        .first_sample = (int64_t)k * args->batch,
                        .keep = k ? 1.0 : 0.0, .scale = 1.0 / args->parts};
        DFM_TRY(args->fetch(args->user, r, grad, k, err));
        DFM_TRY(rt_run(r, grad, &call, err));
        out->loss += number_or_nan(r, grad, "loss") / args->parts;
        if (sum) DFM_TRY(rt_run(r, sum, &call, err));
    }
    out->finite = isfinite(out->loss);
    if (!out->finite) return DFM_OK;
    rt_call call = {.seed = args->seed, .step = args->step, .lr = args->lr};
    DFM_TRY(rt_run(r, update, &call, err));
    out->lr = number_or_nan(r, update, "lr");
    out->grad_norm = number_or_nan(r, update, "grad_norm");
    out->finite = isfinite(out->grad_norm) || !rt_find_io(update, "grad_norm", PLAN_IO_OUTPUT);
    return DFM_OK;
}

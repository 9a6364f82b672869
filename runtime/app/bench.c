/* bench.c - `dfm-rt bench`: where the time of a program goes.
 *
 * Inputs are random or given, weights are the initial ones or given. After one run that is not
 * counted, every step of the next ones is timed (bench_report.c says what is printed). With --paced
 * nothing is timed inside a run: another program says when to run, and gets the seconds.
 */
#include "runtime/app/bench.h"

#include <math.h>
#include <string.h>

#include "runtime/base/philox.h"
#include "runtime/metrics/progress.h"

/* -- what steps cost --------------------------------------------------------------------------- */

static double operand_bytes(const plan_gemm *g, const int64_t s[4], int64_t rows, int64_t cols,
                            uint32_t dtype)
{
    double n = (double)rows * (double)cols * (double)dfm_dtype_bytes((dfm_dtype)dtype);
    for (int i = 0; i < 2; i++)
        if (s[i]) n *= (double)g->batch[i];
    return n;
}

static bench_entry describe(const plan *p, const plan_step *s)
{
    bench_entry e = {.kind = s->kind, .item = s->item, .name = plan_text(p, s->name),
                     .where = plan_text(p, s->where)};
    if (s->kind == PLAN_STEP_CALL) {
        e.flops = p->kernels[s->item].flops;
        e.bytes = p->kernels[s->item].bytes;
        e.product = plan_text(p, p->kernels[s->item].symbol)[0] == PLAN_PRODUCT_SYMBOL;
        if (!e.product) e.name = plan_text(p, p->kernels[s->item].name);
    } else if (s->kind == PLAN_STEP_GEMM) {
        const plan_gemm *g = &p->gemms[s->item];
        e.flops = 2.0 * (double)g->batch[0] * (double)g->batch[1] * (double)g->m * (double)g->n *
                  (double)g->k;
        e.bytes = operand_bytes(g, g->sa, g->m, g->k, g->da) +
                  operand_bytes(g, g->sb, g->k, g->n, g->db) +
                  operand_bytes(g, g->sc, g->m, g->n, g->dc) +
                  (g->has_bias ? 4.0 * (double)g->n : 0);
    } else
        e.bytes = 2.0 * (double)s->value;
    return e;
}

/* Steps that call the same kernel share a line; products of one shape and place do too. */
static void group_steps(bench *b)
{
    const plan *p = rt_plan_of(b->r);
    b->entry_of = dfm_new_n(b->x->arena, uint32_t, p->n_steps);
    for (uint32_t i = 0; i < p->n_steps; i++) {
        if (p->steps[i].kind == PLAN_STEP_LOOP || p->steps[i].kind == PLAN_STEP_END) continue;
        bench_entry e = describe(p, &p->steps[i]);
        uint32_t k = 0;
        for (; k < b->entries.n; k++) {
            const bench_entry *f = &b->entries.p[k];
            if (f->kind == e.kind && f->item == e.item &&
                ((e.kind == PLAN_STEP_CALL && !e.product) || !strcmp(f->where, e.where)))
                break;
        }
        if (k == b->entries.n) dfm_push(b->x->arena, &b->entries, e);
        b->entry_of[i] = k;
    }
}

static void on_step(void *user, uint32_t index, const int64_t *iter, double begin, double end)
{
    bench *b = user;
    uint32_t step = b->programs[b->program]->prog->first_step + index;
    if (!b->timing) return;
    bench_entry *e = &b->entries.p[b->entry_of[step]];
    e->seconds += end - begin;
    e->calls++;
    b->seconds += end - begin;
    if (b->tracing)
        dfm_push(b->x->arena, &b->events, ((bench_event){b->program, step, iter[0], begin, end}));
}

/* -- inputs ------------------------------------------------------------------------------------ */

/* Normal numbers; integers within their range. */
static void *random_input(bench *b, const plan_io *io, uint32_t index)
{
    dfm_dtype d = (dfm_dtype)io->dtype;
    uint64_t n = io->bytes / dfm_dtype_bytes(d), most = io->modulus ? (uint64_t)io->modulus : 2;
    char *data = dfm_alloc(b->x->arena, io->bytes ? io->bytes : 1);
    for (uint64_t e = 0; e < n; e++)
        dfm_store_double(d, data, e,
                         dfm_dtype_is_float(d)
                             ? (double)dfm_draw_normal(1, index, 0, 0, 0, (uint32_t)e)
                             : (double)(e % most));
    return data;
}

static void prepare_inputs(bench *b)
{
    for (uint32_t k = 0; k < b->n_programs; k++) {
        const rt_program *p = b->programs[k];
        b->host[k] = dfm_new_n(b->x->arena, void *, p->prog->n_io + 1);
        for (uint32_t i = 0; i < p->prog->n_io; i++)
            if (!(p->io[i].flags & (PLAN_IO_OUTPUT | PLAN_IO_DRAW)))
                b->host[k][i] = random_input(b, &p->io[i], i);
    }
}

/* The inputs of --inputs, converted and checked, replace the random ones of the first program. */
static dfm_status read_inputs(bench *b, dfm_err *err)
{
    const char *path = b->x->o->value[FLAG_INPUTS];
    rt_program *p = b->programs[0];
    ckpt_weights w;
    if (!path) return DFM_OK;
    DFM_TRY(ckpt_weights_open(b->x->arena, path, &w, err));
    dfm_status s = app_set_inputs(b->x, b->r, p, &w, err);
    for (uint32_t i = 0; s == DFM_OK && i < p->prog->n_io; i++) {
        if (!ckpt_weights_find(&w, plan_text(p->p, p->io[i].name))) continue;
        if (!b->host[0][i]) b->host[0][i] = dfm_alloc(b->x->arena, p->io[i].bytes + 1);
        rt_get(b->r, &p->io[i], b->host[0][i]);
    }
    ckpt_weights_close(&w);
    return s;
}

/* -- running ----------------------------------------------------------------------------------- */

/* What training does for one step: inputs are copied in, programs run. */
static dfm_status run_once(bench *b, uint64_t step, double *out_seconds, dfm_err *err)
{
    double begin = met_now();
    for (uint32_t k = 0; k < b->n_programs; k++) {
        rt_program *p = b->programs[k];
        rt_call call = {.step = step, .scale = 1.0};
        for (uint32_t i = 0; i < p->prog->n_io; i++)
            if (b->host[k][i]) DFM_TRY(rt_set_raw(b->r, p, &p->io[i], b->host[k][i], err));
        b->program = k;
        DFM_TRY(rt_run(b->r, p, &call, err));
    }
    *out_seconds = met_now() - begin;
    return DFM_OK;
}

static dfm_status choose(bench *b, dfm_err *err)
{
    const char *name = b->x->o->value[FLAG_PROGRAM];
    bool step = name ? !strcmp(name, "step") : rt_has_program(b->r, "step.grad");
    b->what = step ? "step" : name ? name : "forward";
    b->n_programs = step ? 2 : 1;
    if (!step) return rt_program_get(b->r, b->what, &b->programs[0], err);
    DFM_TRY(rt_program_get(b->r, "step.grad", &b->programs[0], err));
    return rt_program_get(b->r, "step.update", &b->programs[1], err);
}

static dfm_status run_count(const app *x, uint32_t *out, dfm_err *err)
{
    const char *text = x->o->value[FLAG_COUNT];
    char *end = NULL;
    long n = text ? strtol(text, &end, 10) : 5;
    if (n < 1 || n > 100000 || (end && *end))
        return dfm_fail(err, DFM_USAGE, "--count wants a whole number from 1 to 100000, not '%s'",
                        text);
    *out = (uint32_t)n;
    return DFM_OK;
}

static dfm_status timed_runs(bench *b, dfm_err *err)
{
    double first, seconds;
    dev *d = rt_device(b->r);
    const char *trace = b->x->o->value[FLAG_TRACE];
    DFM_TRY(run_once(b, 0, &first, err));
    DFM_TRY(d->ops->roof(d, &b->roof, err));
    b->timing = true;
    for (uint32_t i = 0; i < b->runs; i++) {
        b->tracing = trace && i + 1 == b->runs;
        DFM_TRY(run_once(b, i + 1, &seconds, err));
        b->wall += seconds;
        if (i == 0 || seconds < b->least) b->least = seconds;
        DFM_TRY(d->ops->roof(d, &b->roof, err));
    }
    app_say(b->x, "first run %.3f ms, then %u runs", 1e3 * first, b->runs);
    return DFM_OK;
}

static dfm_status measure(bench *b, dfm_err *err)
{
    dev_profile profile = {on_step, b};
    dev *d = rt_device(b->r);
    const char *trace = b->x->o->value[FLAG_TRACE];
    group_steps(b);
    d->profile = &profile;
    dfm_status s = timed_runs(b, err);
    d->profile = NULL;
    DFM_TRY(s);
    if (trace) DFM_TRY(bench_write_trace(b, trace, err));
    if (b->x->o->value[FLAG_JSON]) bench_print_json(b, b->x->out);
    else bench_print(b, b->x->out);
    return DFM_OK;
}

/* -- paced ------------------------------------------------------------------------------------- */

/* All state is touched, so that what the process grows by from now on is not state. */
static void touch_state(bench *b)
{
    const plan *p = rt_plan_of(b->r);
    dev *d = rt_device(b->r);
    for (uint32_t i = 0; i < p->n_regions; i++) {
        const plan_region *g = &p->regions[i];
        if (g->kind != PLAN_REGION_STATE) continue;
        char *at = rt_state(b->r, g->state, g->flat, NULL);
        if (at && g->state != RT_MODEL_STATE && !p->states[g->state].is_ema)
            d->ops->clear(d, at, g->bytes);
    }
}

/* Each line of the standard input is a number of runs; the answer is one line of JSON. */
static dfm_status paced(bench *b, dfm_err *err)
{
    FILE *out = b->x->out;
    char line[64];
    uint64_t step = 0;
    touch_state(b);
    fprintf(out, "{\"ready\":true,\"program\":\"%s\",\"flops\":%.17g,\"threads\":%u}\n", b->what,
            bench_flops(b), rt_device(b->r)->threads);
    fflush(out);
    while (fgets(line, sizeof line, stdin)) {
        char *end;
        long n = strtol(line, &end, 10);
        if (n < 1 || n > 100000 || *end != '\n')
            return dfm_fail(err, DFM_USAGE, "--paced wants a number of runs, 1 to 100000, on each "
                            "line of the standard input, not '%.*s'", (int)strcspn(line, "\n"),
                            line);
        fputs("{\"seconds\":[", out);
        for (long i = 0; i < n; i++) {
            double seconds;
            DFM_TRY(run_once(b, step++, &seconds, err));
            fprintf(out, "%s%.9f", i ? "," : "", seconds);
        }
        fputs("]}\n", out);
        fflush(out);
    }
    return DFM_OK;
}

/* -- the command ------------------------------------------------------------------------------- */

static dfm_status run(bench *b, dfm_err *err)
{
    const char *weights = b->x->o->value[FLAG_WEIGHTS];
    DFM_TRY(run_count(b->x, &b->runs, err));
    DFM_TRY(choose(b, err));
    if (weights || rt_has_program(b->r, "init"))
        DFM_TRY(app_start_weights(b->x, b->r, 0, weights, false, NULL, err));
    rt_reset_averages(b->r);
    prepare_inputs(b);
    DFM_TRY(read_inputs(b, err));
    return b->x->o->value[FLAG_PACED] ? paced(b, err) : measure(b, err);
}

dfm_status app_bench(app *x, dfm_err *err)
{
    bench b = {.x = x};
    DFM_TRY(app_configure(x, NULL, err));
    const char *name = x->o->value[FLAG_PROGRAM];
    DFM_TRY(app_open(x, name && !strcmp(name, "step.accumulate"), &b.r, err));
    dfm_status s = run(&b, err);
    rt_close(b.r);
    return s;
}

/* bench.c - `dfm-rt bench`: where the time of a program goes.
 *
 * Inputs are random, weights are the initial ones. After one run that is not counted, every step of
 * the next ones is timed; the table has one line per kernel or product: calls and time of one run,
 * share, arithmetic, bytes, and how near it comes to the roof that binds: the rate of a large matrix
 * product, or of a large copy, both measured just before on the same machine.
 */
#include <math.h>
#include <string.h>

#include "runtime/app/app.h"
#include "runtime/base/file.h"
#include "runtime/base/philox.h"
#include "runtime/metrics/progress.h"

typedef struct entry {                       /* what one line of the table is about */
    uint32_t kind, item;                     /* plan_step_kind; kernel or product */
    const char *name, *where;
    double flops, bytes;                     /* of one call */
    double seconds;                          /* of all timed runs */
    uint64_t calls;
} entry;

typedef struct event { uint32_t step; double begin, end; } event;

typedef struct bench {
    app *x;
    rt *r;
    rt_program *program;                     /* that runs now */
    bool timing, tracing;
    uint32_t *entry_of;                      /* by step of the plan */
    DFM_VEC(entry) entries;
    DFM_VEC(event) events;
    double seconds;                          /* inside steps, all timed runs */
} bench;

/* -- what steps cost -------------------------------------------------------------------------------- */

static double operand_bytes(const plan *p, const plan_step *s)
{
    double n = 0;
    for (uint32_t i = 0; i < s->n_operands; i++)
        if (p->operands[s->first_operand + i].region != UINT32_MAX)
            n += (double)p->operands[s->first_operand + i].span;
    return n;
}

static entry describe(const plan *p, const plan_step *s)
{
    entry e = {.kind = s->kind, .item = s->item, .name = plan_text(p, s->name),
               .where = plan_text(p, s->where)};
    if (s->kind == PLAN_STEP_CALL) {
        e.flops = p->kernels[s->item].flops;
        e.bytes = p->kernels[s->item].bytes;
        e.name = plan_text(p, p->kernels[s->item].name);
    } else if (s->kind == PLAN_STEP_GEMM) {
        const plan_gemm *g = &p->gemms[s->item];
        e.flops = 2.0 * (double)g->batch[0] * (double)g->batch[1] * (double)g->m * (double)g->n *
                  (double)g->k;
        e.bytes = operand_bytes(p, s) - (double)g->scratch_bytes;
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
        entry e = describe(p, &p->steps[i]);
        uint32_t k = 0;
        for (; k < b->entries.n; k++) {
            const entry *f = &b->entries.p[k];
            if (f->kind == e.kind && f->item == e.item &&
                (e.kind == PLAN_STEP_CALL || !strcmp(f->where, e.where)))
                break;
        }
        if (k == b->entries.n) dfm_push(b->x->arena, &b->entries, e);
        b->entry_of[i] = k;
    }
}

static void on_step(void *user, uint32_t index, double begin, double end)
{
    bench *b = user;
    uint32_t step = b->program->prog->first_step + index;
    if (!b->timing) return;
    entry *e = &b->entries.p[b->entry_of[step]];
    e->seconds += end - begin;
    e->calls++;
    b->seconds += end - begin;
    if (b->tracing) dfm_push(b->x->arena, &b->events, ((event){step, begin, end}));
}

/* -- running ----------------------------------------------------------------------------------------- */

/* Normal numbers; integers within their range. */
static dfm_status fill_inputs(bench *b, rt_program *p, dfm_err *err)
{
    for (uint32_t i = 0; i < p->prog->n_io; i++) {
        const plan_io *io = &p->io[i];
        if (io->flags & (PLAN_IO_OUTPUT | PLAN_IO_DRAW)) continue;
        dfm_dtype d = (dfm_dtype)io->dtype;
        uint64_t n = io->bytes / dfm_dtype_bytes(d);
        char *data = dfm_alloc(b->x->arena, io->bytes ? io->bytes : 1);
        for (uint64_t e = 0; e < n; e++)
            dfm_store_double(d, data, e,
                             dfm_dtype_is_float(d) ? (double)dfm_draw_normal(1, i, 0, 0, 0, (uint32_t)e)
                                                   : (double)(e % (io->modulus ? (uint64_t)io->modulus : 2)));
        DFM_TRY(rt_set_raw(b->r, p, io, data, err));
    }
    return DFM_OK;
}

static dfm_status run_once(bench *b, rt_program *const *programs, uint32_t n, uint64_t step,
                           dfm_err *err)
{
    for (uint32_t i = 0; i < n; i++) {
        rt_call call = {.step = step, .scale = 1.0};
        DFM_TRY(fill_inputs(b, programs[i], err));
        b->program = programs[i];
        DFM_TRY(rt_run(b->r, programs[i], &call, err));
    }
    return DFM_OK;
}

static dfm_status choose(bench *b, rt_program **out, uint32_t *out_n, dfm_err *err)
{
    const char *name = b->x->o->value[FLAG_PROGRAM];
    bool step = name ? !strcmp(name, "step") : rt_has_program(b->r, "step.grad");
    if (!step)
        return *out_n = 1, rt_program_get(b->r, name ? name : "forward", &out[0], err);
    *out_n = 2;
    DFM_TRY(rt_program_get(b->r, "step.grad", &out[0], err));
    return rt_program_get(b->r, "step.update", &out[1], err);
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

/* -- the table ---------------------------------------------------------------------------------------- */

static int slower_first(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    if (x->seconds != y->seconds) return x->seconds < y->seconds ? 1 : -1;
    return strcmp(x->name, y->name);
}

static void print_line(FILE *out, const entry *e, uint32_t runs, double total, const dev_roof *roof)
{
    double per_call = e->seconds / (double)e->calls;
    double by_flops = roof->flops > 0 ? e->flops / per_call / roof->flops : 0;
    double by_bytes = roof->bytes > 0 ? e->bytes / per_call / roof->bytes : 0;
    static const char *const kinds[] = {"", "kernel", "gemm", "copy"};
    char near[24] = "";
    if (by_flops > 0 || by_bytes > 0)
        snprintf(near, sizeof near, "%.0f%% %s", 100 * fmax(by_flops, by_bytes),
                 by_flops > by_bytes ? "flops" : "bytes");
    fprintf(out, "%-6s %-34.34s %6.0f %9.3f %5.1f%% %8.1f %8.1f %11s  %s\n", kinds[e->kind], e->name,
            (double)e->calls / runs, 1e3 * e->seconds / runs, 100 * e->seconds / total,
            e->flops / per_call / 1e9, e->bytes / per_call / 1e9, near, e->where);
}

static void print_table(bench *b, uint32_t runs, double wall, const dev_roof *roof)
{
    FILE *out = b->x->out;
    double flops = 0;
    qsort(b->entries.p, b->entries.n, sizeof *b->entries.p, slower_first);
    fprintf(out, "%-6s %-34s %6s %9s %6s %8s %8s %11s  %s\n", "kind", "name", "calls", "ms", "share",
            "GFLOP/s", "GB/s", "of the roof", "source");
    for (uint32_t i = 0; i < b->entries.n; i++) {
        const entry *e = &b->entries.p[i];
        if (!e->calls) continue;
        flops += e->flops * (double)e->calls / runs;
        print_line(out, e, runs, b->seconds, roof);
    }
    fprintf(out, "run: %.3f ms, %.3f ms of it in steps, %.2f GFLOP, %.1f GFLOP/s\n", 1e3 * wall / runs,
            1e3 * b->seconds / runs, flops / 1e9, flops * runs / wall / 1e9);
    if (roof->flops > 0)
        fprintf(out, "roofs: %.1f GFLOP/s in a product, %.1f GB/s copied; the run reaches %.1f%% of the "
                     "first\n", roof->flops / 1e9, roof->bytes / 1e9,
                100 * flops * runs / wall / roof->flops);
}

/* -- the trace ----------------------------------------------------------------------------------------- */

/* Chrome's trace format: one complete event per step, in microseconds. */
static dfm_status write_trace(bench *b, const char *path, dfm_err *err)
{
    const plan *p = rt_plan_of(b->r);
    dfm_sb sb = dfm_sb_make(b->x->arena);
    double start = b->events.n ? b->events.p[0].begin : 0;
    dfm_sb_puts(&sb, "{\"traceEvents\":[");
    for (uint32_t i = 0; i < b->events.n; i++) {
        const event *e = &b->events.p[i];
        dfm_sb_printf(&sb, "%s\n{\"ph\":\"X\",\"pid\":0,\"tid\":0,\"ts\":%.3f,\"dur\":%.3f,\"name\":",
                      i ? "," : "", 1e6 * (e->begin - start), 1e6 * (e->end - e->begin));
        dfm_sb_json(&sb, plan_text(p, p->steps[e->step].name));
        dfm_sb_puts(&sb, ",\"args\":{\"source\":");
        dfm_sb_json(&sb, plan_text(p, p->steps[e->step].where));
        dfm_sb_printf(&sb, ",\"step\":%u}}", e->step);
    }
    dfm_sb_puts(&sb, "\n]}\n");
    return dfm_file_replace(path, dfm_sb_cstr(&sb), sb.n, err);
}

/* -- the command ----------------------------------------------------------------------------------------- */

static dfm_status measure(bench *b, dfm_err *err)
{
    rt_program *programs[2];
    uint32_t n = 0, runs = 0;
    dev_roof roof;
    dev_profile profile = {on_step, b};
    const char *trace = b->x->o->value[FLAG_TRACE];
    DFM_TRY(run_count(b->x, &runs, err));
    DFM_TRY(choose(b, programs, &n, err));
    if (rt_has_program(b->r, "init")) DFM_TRY(rt_init(b->r, 0, err));
    group_steps(b);
    dev *d = rt_device(b->r);
    DFM_TRY(d->ops->roof(d, &roof, err));
    d->profile = &profile;
    double first = met_now();
    dfm_status s = run_once(b, programs, n, 0, err);
    double begin = met_now();
    b->timing = true;
    for (uint32_t i = 0; i < runs && s == DFM_OK; i++) {
        b->tracing = trace && i + 1 == runs;
        s = run_once(b, programs, n, i + 1, err);
    }
    double wall = met_now() - begin;
    d->profile = NULL;
    DFM_TRY(s);
    app_say(b->x, "first run %.3f ms, then %u runs", 1e3 * (begin - first), runs);
    print_table(b, runs, wall, &roof);
    return trace ? write_trace(b, trace, err) : DFM_OK;
}

dfm_status app_bench(app *x, dfm_err *err)
{
    bench b = {.x = x};
    DFM_TRY(app_configure(x, NULL, err));
    DFM_TRY(app_open(x, false, &b.r, err));
    dfm_status s = measure(&b, err);
    rt_close(b.r);
    return s;
}

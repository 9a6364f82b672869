/* bench_trace.c - the last run of `dfm-rt bench` as a trace (Chrome's format) for Perfetto.
 *
 * One process, one thread: a step's own threads are inside it. Slices nest: program, iteration of
 * its outermost loop, step. Two counters follow the steps: GFLOP/s and GB/s. Microseconds.
 */
#include <inttypes.h>
#include <string.h>

#include "runtime/app/bench.h"

typedef struct trace {
    const bench *b;
    const plan *p;
    dfm_sb sb;
    uint32_t *loop_of;                       /* by step: its outermost LOOP, or UINT32_MAX */
    double start;
} trace;

static void find_loops(trace *t)
{
    uint32_t open = UINT32_MAX;
    t->loop_of = dfm_new_n(t->b->x->arena, uint32_t, t->p->n_steps + 1);
    for (uint32_t i = 0; i < t->p->n_steps; i++) {
        const plan_step *s = &t->p->steps[i];
        if (s->kind == PLAN_STEP_LOOP && s->depth == 0) open = i;
        t->loop_of[i] = open;
        if (s->kind == PLAN_STEP_END && s->depth == 0) open = UINT32_MAX;
    }
}

static void put_name(trace *t, const char *phase, const char *what, const char *name)
{
    dfm_sb_printf(&t->sb, "{\"ph\":\"%s\",\"pid\":1,\"tid\":1,\"name\":\"%s\",\"args\":{\"name\":",
                  phase, what);
    dfm_sb_json(&t->sb, name);
    dfm_sb_puts(&t->sb, "}}");
}

/* The part of a complete event before its arguments; in whole nanoseconds, so that a slice never
 * ends after the one around it. */
static void put_slice(trace *t, const char *category, const char *name, double begin, double end)
{
    int64_t from = (int64_t)(1e9 * (begin - t->start)), to = (int64_t)(1e9 * (end - t->start));
    dfm_sb_printf(&t->sb, ",\n{\"ph\":\"X\",\"pid\":1,\"tid\":1,\"ts\":%" PRId64 ".%03d,\"dur\":"
                  "%" PRId64 ".%03d,\"cat\":\"%s\",\"name\":", from / 1000, (int)(from % 1000),
                  (to - from) / 1000, (int)((to - from) % 1000), category);
    dfm_sb_json(&t->sb, name);
}

static void put_counter(trace *t, const char *name, double at, double value)
{
    int64_t ns = (int64_t)(1e9 * (at - t->start));
    dfm_sb_printf(&t->sb, ",\n{\"ph\":\"C\",\"pid\":1,\"ts\":%" PRId64 ".%03d,\"name\":\"%s\","
                  "\"args\":{\"value\":%.3f}}", ns / 1000, (int)(ns % 1000), name, value);
}

/* Slices around the events from `first` on that belong together: the program's, or with `loop` one
 * iteration's. */
static void put_group(trace *t, uint32_t first, bool loop)
{
    const bench_event *e = t->b->events.p, *f = &e[first];
    uint32_t last = first, of = t->loop_of[f->step];
    while (last + 1 < t->b->events.n && e[last + 1].program == f->program &&
           (!loop || (t->loop_of[e[last + 1].step] == of && e[last + 1].iter == f->iter)))
        last++;
    const plan_program *g = t->b->programs[f->program]->prog;
    const char *name = plan_text(t->p, g->name);
    if (loop)
        name = dfm_fmt(t->b->x->arena, "%s %" PRId64, plan_text(t->p, t->p->steps[of].name),
                       f->iter);
    put_slice(t, loop ? "loop" : "program", name, f->begin, e[last].end);
    dfm_sb_puts(&t->sb, "}");
}

static void put_event(trace *t, uint32_t i)
{
    const bench_event *e = &t->b->events.p[i], *before = i ? e - 1 : NULL;
    const plan_step *s = &t->p->steps[e->step];
    const bench_entry *n = &t->b->entries.p[t->b->entry_of[e->step]];
    uint32_t loop = t->loop_of[e->step];
    double seconds = e->end - e->begin;
    if (!before || before->program != e->program) put_group(t, i, false);
    if (loop != UINT32_MAX && (!before || before->program != e->program ||
                               before->iter != e->iter || t->loop_of[before->step] != loop))
        put_group(t, i, true);
    put_slice(t, "step", plan_text(t->p, s->name), e->begin, e->end);
    dfm_sb_puts(&t->sb, ",\"args\":{\"source\":");
    dfm_sb_json(&t->sb, plan_text(t->p, s->where));
    dfm_sb_printf(&t->sb, ",\"step\":%u,\"flops\":%.9g,\"bytes\":%.9g}}", e->step, n->flops,
                  n->bytes);
    put_counter(t, "GFLOP/s", e->begin, seconds > 0 ? n->flops / seconds / 1e9 : 0);
    put_counter(t, "GB/s", e->begin, seconds > 0 ? n->bytes / seconds / 1e9 : 0);
}

dfm_status bench_write_trace(const bench *b, const char *path, dfm_err *err)
{
    trace t = {.b = b, .p = rt_plan_of(b->r), .sb = dfm_sb_make(b->x->arena),
               .start = b->events.n ? b->events.p[0].begin : 0};
    find_loops(&t);
    dfm_sb_puts(&t.sb, "{\"traceEvents\":[\n");
    put_name(&t, "M", "process_name", dfm_fmt(b->x->arena, "dfm-rt %s", b->what));
    dfm_sb_puts(&t.sb, ",\n");
    put_name(&t, "M", "thread_name", "steps");
    for (uint32_t i = 0; i < b->events.n; i++) put_event(&t, i);
    dfm_sb_puts(&t.sb, "\n],\"displayTimeUnit\":\"ms\"}\n");
    return dfm_file_replace(path, dfm_sb_cstr(&t.sb), t.sb.n, err);
}

/* bench_report.c - the table of `dfm-rt bench`, the same as JSON, and the trace. */
#include <math.h>
#include <string.h>

#include "runtime/app/bench.h"

static const char *const kinds[] = {"", "kernel", "gemm", "copy"};

double bench_flops(const bench *b)
{
    double n = 0;
    for (uint32_t k = 0; k < b->n_programs; k++) n += b->programs[k]->prog->flops;
    return n;
}

static int slower_first(const void *a, const void *b)
{
    const bench_entry *x = a, *y = b;
    if (x->seconds != y->seconds) return x->seconds < y->seconds ? 1 : -1;
    return strcmp(x->name, y->name);
}

/* Share of the roof that binds, and which it is: "flops", "bytes", or "" if there is none. */
static double near_roof(const bench *b, const bench_entry *e, const char **out_which)
{
    double per_call = e->seconds / (double)e->calls;
    double by_flops = b->roof.flops > 0 ? e->flops / per_call / b->roof.flops : 0;
    double by_bytes = b->roof.bytes > 0 ? e->bytes / per_call / b->roof.bytes : 0;
    *out_which = by_flops <= 0 && by_bytes <= 0 ? "" : by_flops > by_bytes ? "flops" : "bytes";
    return fmax(by_flops, by_bytes);
}

static void print_line(const bench *b, FILE *out, const bench_entry *e)
{
    double per_call = e->seconds / (double)e->calls;
    const char *which;
    double share = near_roof(b, e, &which);
    char near[24] = "";
    if (*which) snprintf(near, sizeof near, "%.0f%% %s", 100 * share, which);
    fprintf(out, "%-6s %-34.34s %6.0f %9.3f %5.1f%% %8.1f %8.1f %11s  %s\n", kinds[e->kind], e->name,
            (double)e->calls / b->runs, 1e3 * e->seconds / b->runs, 100 * e->seconds / b->seconds,
            e->flops / per_call / 1e9, e->bytes / per_call / 1e9, near, e->where);
}

void bench_print(bench *b, FILE *out)
{
    double flops = bench_flops(b), wall = b->wall / b->runs;
    qsort(b->entries.p, b->entries.n, sizeof *b->entries.p, slower_first);
    fprintf(out, "%-6s %-34s %6s %9s %6s %8s %8s %11s  %s\n", "kind", "name", "calls", "ms", "share",
            "GFLOP/s", "GB/s", "of the roof", "source");
    for (uint32_t i = 0; i < b->entries.n; i++)
        if (b->entries.p[i].calls) print_line(b, out, &b->entries.p[i]);
    fprintf(out, "run: %.3f ms, %.3f ms of it in steps, %.2f GFLOP, %.1f GFLOP/s\n", 1e3 * wall,
            1e3 * b->seconds / b->runs, flops / 1e9, flops / wall / 1e9);
    if (b->roof.flops > 0)
        fprintf(out, "roofs: %.1f GFLOP/s in a product, %.1f GB/s copied; the run reaches %.1f%% of the "
                     "first\n", b->roof.flops / 1e9, b->roof.bytes / 1e9,
                100 * flops / wall / b->roof.flops);
}

/* -- JSON -------------------------------------------------------------------------------------------- */

static void put_number(dfm_sb *sb, const char *name, double x)
{
    dfm_sb_printf(sb, ",\"%s\":%.9g", name, x);
}

static void put_entry(const bench *b, dfm_sb *sb, const bench_entry *e)
{
    const char *which;
    double share = near_roof(b, e, &which);
    dfm_sb_printf(sb, "{\"kind\":\"%s\",\"name\":", kinds[e->kind]);
    dfm_sb_json(sb, e->name);
    dfm_sb_puts(sb, ",\"source\":");
    dfm_sb_json(sb, e->where);
    put_number(sb, "calls", (double)e->calls / b->runs);
    put_number(sb, "seconds", e->seconds / b->runs);
    put_number(sb, "share", e->seconds / b->seconds);
    put_number(sb, "flops", e->flops);
    put_number(sb, "bytes", e->bytes);
    put_number(sb, "of_roof", share);
    dfm_sb_printf(sb, ",\"roof\":\"%s\"}", which);
}

void bench_print_json(bench *b, FILE *out)
{
    dfm_sb sb = dfm_sb_make(b->x->arena);
    qsort(b->entries.p, b->entries.n, sizeof *b->entries.p, slower_first);
    dfm_sb_puts(&sb, "{\"program\":");
    dfm_sb_json(&sb, b->what);
    put_number(&sb, "runs", b->runs);
    put_number(&sb, "seconds", b->wall / b->runs);
    put_number(&sb, "seconds_least", b->least);
    put_number(&sb, "seconds_in_steps", b->seconds / b->runs);
    put_number(&sb, "flops", bench_flops(b));
    put_number(&sb, "roof_flops", b->roof.flops);
    put_number(&sb, "roof_bytes", b->roof.bytes);
    dfm_sb_puts(&sb, ",\"steps\":[");
    for (uint32_t i = 0, n = 0; i < b->entries.n; i++) {
        if (!b->entries.p[i].calls) continue;
        dfm_sb_puts(&sb, n++ ? ",\n" : "\n");
        put_entry(b, &sb, &b->entries.p[i]);
    }
    dfm_sb_puts(&sb, "\n]}\n");
    fputs(dfm_sb_cstr(&sb), out);
}

/* -- the trace ----------------------------------------------------------------------------------------- */

/* Chrome's trace format: one complete event per step, in microseconds. */
dfm_status bench_write_trace(const bench *b, const char *path, dfm_err *err)
{
    const plan *p = rt_plan_of(b->r);
    dfm_sb sb = dfm_sb_make(b->x->arena);
    double start = b->events.n ? b->events.p[0].begin : 0;
    dfm_sb_puts(&sb, "{\"traceEvents\":[");
    for (uint32_t i = 0; i < b->events.n; i++) {
        const bench_event *e = &b->events.p[i];
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

/* bench_report.c - the table of `dfm-rt bench`, and the same as JSON. */
#include <math.h>
#include <string.h>

#include "runtime/app/bench.h"

static const char *kind_of(const bench_entry *e)
{
    static const char *const kinds[] = {"", "kernel", "gemm", "copy"};
    return e->product ? "gemm" : kinds[e->kind];
}

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

/* Rate of a copy that moves so many bytes; between the sizes measured linear in their logarithm. */
static double copy_rate(const dev_roof *r, double bytes)
{
    uint32_t i = 0;
    while (i + 2 < DEV_ROOF_SIZES && bytes > (double)r->size[i + 1]) i++;
    double low = (double)r->size[i], high = (double)r->size[i + 1];
    if (low <= 0 || high <= low) return 0;
    double at = fmin(fmax(log(bytes / low) / log(high / low), 0), 1);
    return (1 - at) * r->bytes[i] + at * r->bytes[i + 1];
}

/* Share of the roof that binds, and which it is: "flops", "bytes", or "" if there is none. */
static double near_roof(const bench *b, const bench_entry *e, const char **out_which)
{
    double per_call = e->seconds / (double)e->calls;
    double by_flops = b->roof.flops > 0 ? e->flops / per_call / b->roof.flops : 0;
    double copy = e->bytes > 0 ? copy_rate(&b->roof, e->bytes) : 0;
    double by_bytes = copy > 0 ? e->bytes / per_call / copy : 0;
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
    fprintf(out, "%-6s %-34.34s %6.0f %9.3f %5.1f%% %8.1f %8.1f %11s  %s\n", kind_of(e), e->name,
            (double)e->calls / b->runs, 1e3 * e->seconds / b->runs, 100 * e->seconds / b->seconds,
            e->flops / per_call / 1e9, e->bytes / per_call / 1e9, near, e->where);
}

static void print_roofs(const bench *b, FILE *out)
{
    const dev_roof *r = &b->roof;
    char size[32];
    fprintf(out, "roofs: %.1f GFLOP/s in a product, of which the run reaches %.1f%%; copies of",
            r->flops / 1e9, 100 * bench_flops(b) / (b->wall / b->runs) / r->flops);
    for (uint32_t i = 0; i < DEV_ROOF_SIZES; i++)
        fprintf(out, "%s %s %.1f GB/s", i ? "," : "", dfm_human_bytes(r->size[i], size),
                r->bytes[i] / 1e9);
    fputc('\n', out);
}

void bench_print(bench *b, FILE *out)
{
    double flops = bench_flops(b), wall = b->wall / b->runs;
    qsort(b->entries.p, b->entries.n, sizeof *b->entries.p, slower_first);
    fprintf(out, "%-6s %-34s %6s %9s %6s %8s %8s %11s  %s\n", "kind", "name", "calls", "ms",
            "share", "GFLOP/s", "GB/s", "of the roof", "source");
    for (uint32_t i = 0; i < b->entries.n; i++)
        if (b->entries.p[i].calls) print_line(b, out, &b->entries.p[i]);
    fprintf(out, "run: %.3f ms, %.3f ms of it in steps, %.2f GFLOP, %.1f GFLOP/s\n", 1e3 * wall,
            1e3 * b->seconds / b->runs, flops / 1e9, flops / wall / 1e9);
    if (b->roof.flops > 0) print_roofs(b, out);
}

/* -- JSON -------------------------------------------------------------------------------------- */

static void put_number(dfm_sb *sb, const char *name, double x)
{
    dfm_sb_printf(sb, ",\"%s\":%.9g", name, x);
}

static void put_entry(const bench *b, dfm_sb *sb, const bench_entry *e)
{
    const char *which;
    double share = near_roof(b, e, &which);
    dfm_sb_printf(sb, "{\"kind\":\"%s\",\"name\":", kind_of(e));
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
    dfm_sb_puts(&sb, ",\"roof_copies\":[");
    for (uint32_t i = 0; i < DEV_ROOF_SIZES; i++)
        dfm_sb_printf(&sb, "%s[%.9g,%.9g]", i ? "," : "", (double)b->roof.size[i],
                      b->roof.bytes[i]);
    dfm_sb_puts(&sb, "]");
    dfm_sb_puts(&sb, ",\"steps\":[");
    for (uint32_t i = 0, n = 0; i < b->entries.n; i++) {
        if (!b->entries.p[i].calls) continue;
        dfm_sb_puts(&sb, n++ ? ",\n" : "\n");
        put_entry(b, &sb, &b->entries.p[i]);
    }
    dfm_sb_puts(&sb, "\n]}\n");
    fputs(dfm_sb_cstr(&sb), out);
}

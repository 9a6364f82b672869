/* driver_memory.c - `--memory`: the cheapest choice of what to compute again that fits the budget.
 *
 * The remat pass lists its choices by estimate: ever fewer bytes, ever more time. Which of them
 * fits is measured: each that is tried is lowered to K and planned, as far as memory. A search by
 * halves tries few; what a try costs depends on the bodies of the scans, not on how often they run.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/driver_impl.h"
#include "compiler/emit_plan.h"

/* -- sizes ------------------------------------------------------------------------------------- */

/* "2GiB", "1.5 GB", "800MiB", "4096": bytes, or 0. */
static uint64_t parse_size(const char *text)
{
    static const struct { const char *name; double bytes; } units[] = {
        {"", 1}, {"B", 1}, {"KiB", 0x1p10}, {"MiB", 0x1p20}, {"GiB", 0x1p30}, {"TiB", 0x1p40},
        {"K", 0x1p10}, {"M", 0x1p20}, {"G", 0x1p30}, {"T", 0x1p40},
        {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}};
    char *end;
    double x = strtod(text, &end);
    if (end == text || !(x > 0)) return 0;
    while (*end == ' ') end++;
    for (size_t i = 0; i < DFM_LEN(units); i++)
        if (!strcmp(end, units[i].name) && x * units[i].bytes < 0x1p62)
            return (uint64_t)(x * units[i].bytes);
    return 0;
}

/* -- one try ----------------------------------------------------------------------------------- */

typedef struct fit {
    driver *d;
    ir_module *m;
    const kir_limits *limits;
    uint64_t states, others;                 /* arena of the programs without gradients */
    lower_memory mem;                        /* of the last try */
} fit;

static bool has_gradient(const ir_program *p)
{
    return !strcmp(p->name, "grad") || !strcmp(p->name, "step.grad");
}

/* Plans the programs with or without gradients; their arena. */
static bool plan_some(fit *f, bool gradients, uint64_t *out)
{
    ir_module *m = f->m;
    dfm_arena *a = dfm_arena_create("budget");
    ir_program *all = m->programs.p, *some = dfm_new_n(a, ir_program, m->programs.n + 1);
    uint32_t n_all = m->programs.n, n = 0;
    for (uint32_t i = 0; i < n_all; i++)
        if (has_gradient(&all[i]) == gradients) some[n++] = all[i];
    kir_module *k = NULL;
    m->programs.p = some;                    /* for as long as this plan takes */
    m->programs.n = n;
    bool ok = lower_kernelize(m, f->limits, a, NULL, NULL, &k, &f->d->err) == DFM_OK &&
              lower_memplan(k, &f->mem, &f->d->err) == DFM_OK;
    m->programs.p = all;
    m->programs.n = n_all;
    if (ok) *out = f->mem.arena_bytes;
    f->mem.holders.p = dfm_dup(f->d->arena, f->mem.holders.p,
                               f->mem.holders.n * sizeof *f->mem.holders.p);
    dfm_arena_destroy(a);
    return ok;
}

bool driver_take_level(driver *d, ir_module *m, uint32_t level)
{
    driver_remat *r = d->remat;
    remat_options o = {.rates = remat_usual, .level = level};
    pass_ctx cx = {.m = m, .err = &d->err, .scratch = dfm_arena_create("budget passes"),
                   .options = {.drop_stop_grad = true, .remat = &o, .remat_report = &r->now}};
    uint32_t graph = r->before;
    bool ok = driver_run_pass(d, &cx, "remat", &graph) &&
              driver_run_pass(d, &cx, "simplify", &graph);
    for (uint32_t i = 0; ok && i < m->programs.n; i++)
        if (has_gradient(&m->programs.p[i])) m->programs.p[i].graph = graph;
    r->level = level;
    dfm_arena_destroy(cx.scratch);
    return ok;
}

/* Arena and state with this level, or UINT64_MAX after a failure. */
static uint64_t measure(fit *f, uint32_t level)
{
    uint64_t arena;
    if (!driver_take_level(f->d, f->m, level) || !plan_some(f, true, &arena)) return UINT64_MAX;
    return (arena > f->others ? arena : f->others) + f->states;
}

/* -- the search -------------------------------------------------------------------------------- */

/* Up by half of the last digit that is printed: what the message says shall be enough. */
static uint64_t rounded_up(uint64_t bytes)
{
    uint64_t unit = 1;
    while (bytes / unit >= 1024) unit *= 1024;
    return unit > 1 ? bytes + unit / 200 : bytes;
}

static int cannot_fit(fit *f, uint64_t budget, uint64_t least)
{
    driver *d = f->d;
    char a[32], b[32], c[32];
    dfm_fail(&d->err, DFM_BAD_DATA, "%s do not suffice: arena and state need %s",
             dfm_human_bytes(budget, a), dfm_human_bytes(rounded_up(least), b));
    dfm_help(&d->err, "state (weights, gradients, optimizer, averages) takes %s",
             dfm_human_bytes(f->states, a));
    for (uint32_t i = 0; i < f->mem.holders.n && i < 4; i++) {
        const lower_holder *h = &f->mem.holders.p[i];
        dfm_help(&d->err, "%s takes %s%s", dfm_name_str(f->m->names, h->name),
                 dfm_human_bytes(h->bytes, c), h->stack ? ", one slice per iteration" : "");
    }
    dfm_help(&d->err, "with fewer samples at a time it takes less: --set dim.B=..., and "
                      "train.accumulate=... when training");
    return 1;
}

static int search(fit *f, uint64_t budget)
{
    uint32_t n = f->d->remat->first.levels.n, lo = 0, hi = n ? n - 1 : 0;
    uint64_t first = measure(f, 0), least = first;
    if (first == UINT64_MAX) return 4;
    if (first <= budget) return 0;
    for (uint32_t k = 0; k < 4 && k < n && least > budget; k++) {    /* estimates are no promise */
        uint64_t bytes = measure(f, n - 1 - k);
        if (bytes == UINT64_MAX) return 4;
        if (bytes < least) least = bytes;
        if (bytes <= budget) hi = n - 1 - k;
    }
    if (least > budget) return cannot_fit(f, budget, least);
    while (hi - lo > 1) {
        uint32_t mid = lo + (hi - lo) / 2;
        uint64_t bytes = measure(f, mid);
        if (bytes == UINT64_MAX) return 4;
        if (bytes <= budget) hi = mid;
        else lo = mid;
    }
    return driver_take_level(f->d, f->m, hi) ? 0 : 4;
}

int driver_fit_memory(driver *d, ir_module *m, const kir_limits *limits)
{
    const char *text = d->opt->value[OPT_MEMORY];
    if (!text) return 0;
    uint64_t budget = parse_size(text);
    if (!budget) {
        dfm_fail(&d->err, DFM_USAGE, "'%s' is no size", text);
        dfm_help(&d->err, "a number and B, KiB, MiB, GiB or TiB: --memory 2GiB");
        return 2;
    }
    fit f = {.d = d, .m = m, .limits = limits, .states = emit_state_bytes(m)};
    int code = 4;
    if (plan_some(&f, false, &f.others)) {
        uint64_t least = f.others + f.states;
        if (d->remat) code = search(&f, budget);
        else code = least <= budget ? 0 : cannot_fit(&f, budget, least);
    }
    return code;
}

/* -- reports ----------------------------------------------------------------------------------- */

static void remark_values(driver *d, const remat_value *v, uint32_t n, const char *what)
{
    for (uint32_t i = 0; i < n; i++) {
        char b[32];
        const char *place = diag_place(d->diag, d->arena, v[i].loc);
        fprintf(d->log, "remark: %s%sremat: '%s' is %s, %s in each of %.0f iterations\n", place,
                *place ? ": " : "", v[i].name, what, dfm_human_bytes((uint64_t)v[i].bytes, b),
                v[i].trips);
    }
}

void driver_report_remat(driver *d)
{
    const driver_remat *r = d->remat;
    bool talk = driver_flag(d, OPT_VERBOSE) || driver_flag(d, OPT_REMARKS);
    if (!r || !r->now.levels.n || !talk || driver_flag(d, OPT_QUIET)) return;
    const remat_level *first = &r->now.levels.p[0], *now = &r->now.levels.p[r->level];
    char a[32], b[32];
    fprintf(d->log, "backward finds %s stored per iteration, of %.0f\n",
            dfm_human_bytes((uint64_t)(now->bytes / r->now.trips), a), r->now.trips);
    if (r->level)
        fprintf(d->log, "to fit the budget (choice %u of %u): %s less per iteration; %.3g FLOP "
                        "computed again, %.1f%% of a step's\n",
                r->level, r->now.levels.n - 1,
                dfm_human_bytes((uint64_t)((first->bytes - now->bytes) / r->now.trips), b),
                now->flops - first->flops, 100 * (now->flops - first->flops) / r->flops);
    if (driver_flag(d, OPT_REMARKS))
        remark_values(d, r->now.kept.p, r->now.kept.n, "kept for the backward pass");
    remark_values(d, r->now.dropped.p, r->now.dropped.n, "computed again in the backward pass");
}

void driver_report_holders(driver *d, const kir_module *k, const lower_memory *mem)
{
    char a[32];
    fprintf(d->log, "  fullest in %s; %u buffers are in place of others, %u in slices of stacks:\n",
            k->programs.p[mem->program]->name, mem->n_in_place, mem->n_in_slots);
    for (uint32_t i = 0; i < mem->holders.n; i++) {
        const lower_holder *h = &mem->holders.p[i];
        if (h->bytes * 100 < mem->lower_bound) break;
        fprintf(d->log, "    %-12s %s%s\n", dfm_human_bytes(h->bytes, a),
                dfm_name_str(k->ir->names, h->name), h->stack ? ", one slice per iteration" : "");
    }
}

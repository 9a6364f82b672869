/* remat_choose.c - prices of keeping and of computing again, and the choice between them. */
#include "compiler/pass/remat_int.h"

#include <stdlib.h>
#include <string.h>

const remat_rates remat_usual = {.product = 220.0 / 29, .attend = 110.0 / 29, .vector = 25.0 / 29};

enum {
    MAX_UNITS = 12,
    MAX_SWEEPS = 8,
    IN_KERNEL = 16,                         /* operations hidden behind a kernel's memory traffic */
};

static bool is_anchor(const ir_op *op)
{
    return op->kind == IR_CONTRACT || op->kind == IR_ATTEND || op->kind == IR_ATTEND_BWD ||
           op->kind == IR_SCATTER_ADD || op->kind == IR_SCAN || op->kind == IR_CALL;
}

/* -- prices ------------------------------------------------------------------------------------ */

static double time_of(const remat_state *s, const ir_op *op, ir_cost c)
{
    double moved = c.bytes_read + c.bytes_written;
    switch (op->kind) {
    case IR_CONTRACT: return c.flops / s->rates.product + moved;
    case IR_ATTEND:
    case IR_ATTEND_BWD: return c.flops / s->rates.attend + moved;
    case IR_SCAN:
    case IR_CALL: return c.flops / s->rates.product + moved;
    case IR_SCATTER_ADD: return c.flops / s->rates.vector + moved;
    case IR_REDUCE: return c.flops / s->rates.vector + c.bytes_read;
    case IR_GATHER: return c.bytes_written;
    default: return c.flops / s->rates.vector / IN_KERNEL;
    }
}

/* Loops do not matter to what a value is at first: products, attention and statistics are kept. */
static void first_choice(remat_pair *p, const ir_module *m, uint32_t v)
{
    const ir_op *op = ir_op_of(p->x, (ir_val){v});
    const ir_op *from = op->n_args ? ir_op_of(p->x, op->args[0]) : NULL;
    bool tuple = ir_type_of(m, op->type)->is_tuple;
    p->fixed[v] = tuple || op->kind == IR_CONST || op->kind == IR_IOTA || op->kind == IR_RANDOM;
    p->keep[v] = !tuple && (is_anchor(op) || op->kind == IR_GET || op->kind == IR_REDUCE ||
                            op->kind == IR_GATHER);
    if (op->kind == IR_INPUT) {
        p->fixed[v] = true;
        p->keep[v] = !p->is_leaf[v];         /* a carry: nothing else gives it */
    } else if (!p->fixed[v]) {
        ir_keep mark = op->kind == IR_GET && from->keep ? from->keep : op->keep;
        p->fixed[v] = mark != IR_KEEP_FREE;
        if (mark) p->keep[v] = mark == IR_KEEP_SAVED;
    }
}

void remat_price(remat_state *s, remat_pair *p)
{
    ir_module *m = s->cx->m;
    uint32_t n = p->x->ops.n;
    p->bytes = dfm_new_n(s->cx->scratch, double, n);
    p->flops = dfm_new_n(s->cx->scratch, double, n);
    p->time = dfm_new_n(s->cx->scratch, double, n);
    p->fixed = dfm_new_n(s->cx->scratch, bool, n);
    p->keep = dfm_new_n(s->cx->scratch, bool, n);
    p->required = dfm_new_n(s->cx->scratch, bool, n);
    p->kept = dfm_new_n(s->cx->scratch, bool, n);
    for (uint32_t v = 1; v < n; v++) {
        const ir_op *op = ir_op_of(p->x, (ir_val){v});
        const ir_type_info *t = ir_type_of(m, op->type);
        ir_cost c = ir_op_cost(m, p->x, (ir_val){v});
        if (!t->is_tuple) p->bytes[v] = (double)ir_elems(m, op->type) * dfm_dtype_bytes(t->dtype);
        p->flops[v] = c.flops;
        p->time[v] = time_of(s, op, c);
        first_choice(p, m, v);
    }
}

/* -- what follows ------------------------------------------------------------------------------ */

remat_level remat_follow(remat_pair *p)
{
    remat_level l = {0};
    uint32_t n = p->x->ops.n;
    memcpy(p->required, p->needed, n * sizeof *p->required);
    memset(p->kept, 0, n * sizeof *p->kept);
    for (uint32_t v = n; v-- > 1;) {
        const ir_op *op = ir_op_of(p->x, (ir_val){v});
        if (!p->required[v] || p->is_leaf[v]) continue;
        if (p->keep[v]) {
            p->kept[v] = true;
            l.bytes += p->bytes[v];
            l.time += 2 * p->bytes[v];
            continue;
        }
        l.flops += p->flops[v];
        l.time += p->time[v];
        for (uint32_t k = 0; k < op->n_args; k++) p->required[op->args[k].i] = true;
    }
    l.bytes *= p->trips;
    l.flops *= p->trips;
    l.time *= p->trips;
    return l;
}

static bool is_pointwise(const ir_op *op)
{
    return op->kind == IR_MAP || op->kind == IR_CAST || op->kind == IR_VIEW ||
           op->kind == IR_STOP_GRAD;
}

/* Changes one value's choice at a time while that takes less time. Keeping a pointwise value may
 * not take more bytes: it stands for another one then (a product with its bias added). */
static void improve(remat_pair *p)
{
    remat_level best = remat_follow(p);
    for (int sweep = 0; sweep < MAX_SWEEPS; sweep++) {
        bool changed = false;
        for (uint32_t v = 1; v < p->x->ops.n; v++) {
            if (p->fixed[v] || p->is_leaf[v]) continue;
            p->keep[v] = !p->keep[v];
            remat_level l = remat_follow(p);
            bool more = p->keep[v] && is_pointwise(ir_op_of(p->x, (ir_val){v})) &&
                        l.bytes > best.bytes;
            if (l.time < best.time && !more) {
                best = l;
                changed = true;
            } else {
                p->keep[v] = !p->keep[v];
            }
        }
        if (!changed) break;
    }
    remat_follow(p);                       /* what stands behind a kept value is not kept in turn */
    for (uint32_t v = 1; v < p->x->ops.n; v++)
        if (!p->fixed[v]) p->keep[v] = p->kept[v];
}

/* -- levels ------------------------------------------------------------------------------------ */

typedef struct unit { remat_pair *p; uint32_t v; double bytes; } unit;

typedef struct frontier {
    remat_state *s;
    DFM_VEC(unit) units;                     /* kept values that a budget may drop, largest first */
    bool **cheapest;                         /* per pair: keep at level 0 */
} frontier;

static int larger_first(const void *x, const void *y)
{
    const unit *a = x, *b = y;
    if (a->bytes != b->bytes) return a->bytes < b->bytes ? 1 : -1;
    return a->v < b->v ? -1 : a->v > b->v;
}

static void find_units(frontier *f)
{
    remat_state *s = f->s;
    f->cheapest = dfm_new_n(s->cx->scratch, bool *, s->pairs.n + 1);
    for (uint32_t i = 0; i < s->pairs.n; i++) {
        remat_pair *p = s->pairs.p[i];
        f->cheapest[i] = dfm_dup(s->cx->scratch, p->keep, p->x->ops.n * sizeof(bool));
        for (uint32_t v = 1; v < p->x->ops.n; v++)
            if (p->kept[v] && !p->fixed[v])
                dfm_push(s->cx->scratch, &f->units, ((unit){p, v, p->bytes[v] * p->trips}));
    }
    if (f->units.n) qsort(f->units.p, f->units.n, sizeof *f->units.p, larger_first);
}

/* Bit i drops unit i; the last bit all units from there on. */
static remat_level take(frontier *f, uint32_t mask)
{
    remat_level sum = {0};
    for (uint32_t i = 0; i < f->s->pairs.n; i++)
        memcpy(f->s->pairs.p[i]->keep, f->cheapest[i], f->s->pairs.p[i]->x->ops.n * sizeof(bool));
    for (uint32_t i = 0; i < f->units.n; i++)
        if (mask >> (i < MAX_UNITS ? i : MAX_UNITS - 1) & 1)
            f->units.p[i].p->keep[f->units.p[i].v] = false;
    for (uint32_t i = 0; i < f->s->pairs.n; i++) {
        remat_level l = remat_follow(f->s->pairs.p[i]);
        sum.bytes += l.bytes;
        sum.flops += l.flops;
        sum.time += l.time;
    }
    return sum;
}

typedef struct choice { remat_level l; uint32_t mask; } choice;

static int less_time_first(const void *x, const void *y)
{
    const choice *a = x, *b = y;
    if (a->l.time != b->l.time) return a->l.time < b->l.time ? -1 : 1;
    if (a->l.bytes != b->l.bytes) return a->l.bytes < b->l.bytes ? -1 : 1;
    return a->mask < b->mask ? -1 : a->mask > b->mask;
}

/* All sets of units to drop; of those the ones that no other beats in both bytes and time. */
static void list_levels(frontier *f, uint32_t level, remat_report *out)
{
    dfm_arena *a = f->s->cx->scratch;
    uint32_t bits = f->units.n < MAX_UNITS ? f->units.n : MAX_UNITS, n = 1u << bits, mask = 0;
    choice *all = dfm_new_n(a, choice, n);
    for (uint32_t k = 0; k < n; k++) all[k] = (choice){take(f, k), k};
    double least = all[0].l.bytes;
    choice none = all[0];
    qsort(all, n, sizeof *all, less_time_first);
    dfm_push(f->s->cx->m->arena, &out->levels, none.l);
    for (uint32_t k = 0; k < n; k++) {
        if (all[k].l.bytes >= least) continue;
        least = all[k].l.bytes;
        if (out->levels.n <= level) mask = all[k].mask;
        dfm_push(f->s->cx->m->arena, &out->levels, all[k].l);
    }
    take(f, level ? mask : 0);
}

static remat_value describe(const remat_state *s, const unit *u)
{
    const ir_op *op = ir_op_of(u->p->x, (ir_val){u->v});
    const char *name = dfm_name_str(s->cx->m->names, op->name);
    if (!*name) name = op->kind == IR_MAP ? ir_fn_name(op->at->fn) : ir_op_name(op->kind);
    return (remat_value){name, op->loc, u->p->bytes[u->v], u->p->trips};
}

static void list_values(frontier *f, remat_report *out)
{
    remat_state *s = f->s;
    DFM_VEC(unit) kept = {0};
    out->kept.n = out->dropped.n = 0;
    for (uint32_t i = 0; i < s->pairs.n; i++) {
        remat_pair *p = s->pairs.p[i];
        if (p->trips > out->trips) out->trips = p->trips;
        for (uint32_t v = 1; v < p->x->ops.n; v++)
            if (p->kept[v])
                dfm_push(s->cx->scratch, &kept, ((unit){p, v, p->bytes[v] * p->trips}));
    }
    if (kept.n) qsort(kept.p, kept.n, sizeof *kept.p, larger_first);
    for (uint32_t i = 0; i < kept.n; i++)
        dfm_push(s->cx->m->arena, &out->kept, describe(s, &kept.p[i]));
    for (uint32_t i = 0; i < f->units.n; i++)
        if (!f->units.p[i].p->kept[f->units.p[i].v])
            dfm_push(s->cx->m->arena, &out->dropped, describe(s, &f->units.p[i]));
}

void remat_choose(remat_state *s, uint32_t level, remat_report *out)
{
    frontier f = {.s = s};
    for (uint32_t i = 0; i < s->pairs.n; i++) improve(s->pairs.p[i]);
    find_units(&f);
    out->levels.n = 0;
    out->n_pairs = s->pairs.n;
    if (s->pairs.n) list_levels(&f, level, out);
    list_values(&f, out);
}

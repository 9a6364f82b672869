/* kernelize_sections.c - orders the instructions of a kernel into prologue, rows, passes and flush.
 *
 * Every instruction has a level (const, row, lane) and a phase (how many reductions it is behind).
 * Phase p becomes the sections ROW p and PASS p. Lane values are made where something needs them:
 * reductions, accumulations and stores ask, operands follow. A lane value that an earlier pass has
 * made is kept in the row buffer, or made again where that is as cheap.
 */
#include "compiler/lower/kernelize.h"

enum { KEEP_COST = 3 };                      /* dearer than this to make again: keep */

typedef struct maker {
    kz_kernel *b;
    uint32_t *at;                            /* by instruction: its number in the kernel, or 0 */
    uint32_t *pass;                          /* by instruction: the pass that made it, + 1 */
    uint32_t now;                            /* current pass + 1; 0 outside */
    ir_dim *dim;                             /* by indirect dim: that of its value made last */
    uint64_t kept_bytes;
    int64_t lanes;
} maker;

static bool is_dear(const kir_inst *i)
{
    if (i->op != KIR_FN) return i->op == KIR_RANDOM;
    switch (i->fn) {
    case IR_FN_EXP: case IR_FN_EXPM1: case IR_FN_LOG: case IR_FN_LOG1P: case IR_FN_SIN:
    case IR_FN_COS: case IR_FN_TANH: case IR_FN_ERF: case IR_FN_SIGMOID: case IR_FN_POW:
    case IR_FN_SQRT: case IR_FN_RSQRT: case IR_FN_DIV: case IR_FN_RECIP: return true;
    default: return false;
    }
}

static const kz_inst *inst_of(const maker *x, uint32_t i) { return &x->b->insts.p[i]; }
static bool is_lane(const maker *x, uint32_t i)
{
    return inst_of(x, i)->level == KZ_LANES && inst_of(x, i)->inst.op != KIR_REDUCE;
}

/* What it costs to have lane value i in the current pass without keeping it. Counts as far as
 * KEEP_COST: values used several times would be walked through as often, at every level. */
static uint32_t cost(const maker *x, uint32_t i)
{
    const kz_inst *n = inst_of(x, i);
    if (!is_lane(x, i) || x->pass[i] == x->now) return 0;
    if (x->at[i] && x->b->k->insts.p[x->at[i]].keep) return 1;
    if (n->inst.op == KIR_CONST || n->inst.op == KIR_INDEX) return 0;
    uint32_t c = is_dear(&n->inst) ? 10 : 1;
    for (int r = 0; r < 3 && c <= KEEP_COST; r++)
        if (n->inst.ref[r].i) c += cost(x, n->inst.ref[r].i);
    for (uint32_t k = 0; k < n->n_deps && c <= KEEP_COST; k++) c += cost(x, n->deps[k]);
    return c;
}

/* The expression with each indirect dim as that of its value made last. */
static ir_ix with_dims(const maker *x, ir_ix e)
{
    ir_module *m = x->b->z->m;
    for (uint32_t k = 0; k < x->b->indirect.n; k++) {
        ir_dim from = x->b->indirect.p[k].dim;
        ir_ix to = ir_ix_var(m, x->dim[k]);
        if (!ir_dim_same(from, x->dim[k])) e = ir_ix_subst(m, e, &from, &to, 1);
    }
    return e;
}

static void use_dims(const maker *x, kir_inst *n)
{
    dfm_arena *a = x->b->z->a;
    if (n->op == KIR_INDEX) n->ix = with_dims(x, n->ix);
    if (n->op == KIR_LOAD || n->op == KIR_STORE) {
        uint32_t rank = x->b->k->args.p[n->arg].rank;
        ir_ix *c = dfm_new_n(a, ir_ix, rank + 1);
        for (uint32_t k = 0; k < rank; k++) c[k] = with_dims(x, n->coords[k]);
        n->coords = c;
    }
    ir_cond *g = dfm_new_n(a, ir_cond, n->n_conds + 1);
    for (uint32_t k = 0; k < n->n_conds; k++) {
        g[k] = n->guard[k];
        g[k].e = with_dims(x, g[k].e);
    }
    n->guard = g;
}

/* A value that is used as a coordinate stands for its dim; made again, for one of its own. */
static void stand_for_dims(maker *x, uint32_t i, bool again)
{
    ir_module *m = x->b->z->m;
    for (uint32_t k = 0; k < x->b->indirect.n; k++) {
        const kir_indirect *d = &x->b->indirect.p[k];
        if (d->value.i != i) continue;
        const char *name = dfm_fmt(x->b->z->a, "%s.%u", ir_dim_str(m, d->dim), x->now);
        if (again)
            x->dim[k] =
                ir_dim_new(m, dfm_intern(m->names, name), ir_extent(m, d->dim), (dfm_loc){0});
        dfm_push(x->b->z->a, &x->b->k->indirect, ((kir_indirect){x->dim[k], {x->at[i]}}));
    }
}

static void make(maker *x, uint32_t i)
{
    kz_kernel *b = x->b;
    kir_inst n = inst_of(x, i)->inst;
    for (int r = 0; r < 3; r++)
        if (n.ref[r].i) n.ref[r].i = x->at[n.ref[r].i];
    if (inst_of(x, i)->n_deps) use_dims(x, &n);
    bool again = x->at[i] != 0;
    x->at[i] = kir_push(b->z->k, b->k, n).i;
    x->pass[i] = x->now;
    stand_for_dims(x, i, again);
}

/* Make sure that lane value i is usable in the current pass. */
static void need(maker *x, uint32_t i)
{
    const kz_inst *n = inst_of(x, i);
    if (!is_lane(x, i) || x->pass[i] == x->now) return;
    if (x->at[i]) {
        kir_inst *old = &x->b->k->insts.p[x->at[i]];
        uint64_t room = x->b->z->lim->row_bytes;
        uint64_t more = (uint64_t)x->lanes * 4;
        if (old->keep) return;
        if (cost(x, i) > KEEP_COST && x->kept_bytes + more <= room) {
            old->keep = true;
            x->kept_bytes += more;
            return;
        }
    }
    for (int r = 0; r < 3; r++)
        if (n->inst.ref[r].i) need(x, n->inst.ref[r].i);
    for (uint32_t k = 0; k < n->n_deps; k++) need(x, n->deps[k]);
    make(x, i);
}

static void open_section(kz_kernel *b, kir_section_kind kind)
{
    kir_section s = {.kind = kind, .first = b->k->insts.n ? b->k->insts.n : 1};
    dfm_push(b->z->a, &b->k->sections, s);
}

static void close_section(kz_kernel *b)
{
    kir_section *s = &b->k->sections.p[b->k->sections.n - 1];
    s->n = (b->k->insts.n ? b->k->insts.n : 1) - s->first;
    if (!s->n) b->k->sections.n--;
}

/* The instructions of a level and phase that are there for their effect or are scalars: in order.
 * Stores come last, so that a kernel in place has read before it writes. */
static void rows_of(maker *x, uint32_t phase)
{
    open_section(x->b, KIR_ROW);
    for (int stores = 0; stores < 2; stores++)
        for (uint32_t i = 1; i < x->b->insts.n; i++) {
            const kz_inst *n = inst_of(x, i);
            if (n->level == KZ_ROWS && n->phase == phase && !x->at[i] &&
                (n->inst.op == KIR_STORE) == stores)
                make(x, i);
        }
    close_section(x->b);
}

static bool flushed(const maker *x, const kz_inst *n)
{
    return n->inst.op == KIR_STORE && inst_of(x, n->inst.ref[0].i)->inst.op == KIR_ACC;
}

static bool acts_in_pass(const maker *x, uint32_t i, uint32_t phase, uint32_t last)
{
    const kz_inst *n = inst_of(x, i);
    kir_op op = n->inst.op;
    uint32_t when = op == KIR_STORE && x->b->stores_last ? last : n->phase;
    return n->level == KZ_LANES && when == phase && !flushed(x, n)
        && (op == KIR_STORE || op == KIR_REDUCE || op == KIR_ACC);
}

static void pass_of(maker *x, uint32_t phase, uint32_t last)
{
    x->now = phase + 1;
    open_section(x->b, KIR_PASS);
    for (uint32_t i = 1; i < x->b->insts.n; i++) {
        const kz_inst *n = inst_of(x, i);
        if (!acts_in_pass(x, i, phase, last)) continue;
        need(x, n->inst.ref[0].i);
        for (uint32_t k = 0; k < n->n_deps; k++) need(x, n->deps[k]);
        if (n->inst.op != KIR_STORE) make(x, i);
    }
    for (uint32_t i = 1; i < x->b->insts.n; i++)
        if (acts_in_pass(x, i, phase, last) && inst_of(x, i)->inst.op == KIR_STORE) make(x, i);
    close_section(x->b);
}

void kz_finish_kernel(kz_kernel *b)
{
    maker x = {.b = b, .lanes = kir_lanes(b->z->m, b->k)};
    x.at = dfm_new_n(b->z->a, uint32_t, b->insts.n + 1);
    x.pass = dfm_new_n(b->z->a, uint32_t, b->insts.n + 1);
    x.dim = dfm_new_n(b->z->a, ir_dim, b->indirect.n + 1);
    for (uint32_t i = 0; i < b->indirect.n; i++) x.dim[i] = b->indirect.p[i].dim;
    uint32_t last = 0;
    bool acc = false;
    for (uint32_t i = 1; i < b->insts.n; i++) {
        if (inst_of(&x, i)->phase > last) last = inst_of(&x, i)->phase;
        acc |= inst_of(&x, i)->inst.op == KIR_ACC;
    }
    for (uint32_t i = 1; i < b->insts.n; i++)
        if (inst_of(&x, i)->level == KZ_CONST) make(&x, i);
    for (uint32_t p = 0; p <= last; p++) {
        x.now = 0;
        rows_of(&x, p);
        pass_of(&x, p, last);
    }
    x.now = 0;
    if (acc) open_section(b, KIR_FLUSH);
    for (uint32_t i = 1; i < b->insts.n; i++)
        if (flushed(&x, inst_of(&x, i))) make(&x, i);
    if (acc) close_section(b);
}

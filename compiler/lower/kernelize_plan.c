/* kernelize_plan.c - which values of a frame live in memory, and the units that make them.
 *
 * Anchors, reductions and draws are always material. A pointwise value is material if something
 * needs it in memory (an anchor's operand, a result), if several kernels would have to compute it
 * and that costs more than storing it, or if its expression would grow too large.
 */
#include "compiler/lower/kernelize.h"

#include <string.h>

enum {
    MAX_WEIGHT = 20,                         /* loads of one inlined expression */
    MAX_FLOPS = 160,
    CHEAP_FLOPS = 8,                         /* may be computed by every user */
    CHEAP_LOADS = 1,
    WIDE_FLOPS = 3,
    SMALL = 16,                              /* so much smaller than its user: computing is cheap */
    WIDE = 4,                                /* so much larger a user: computing it is dear */
};

static uint32_t op_flops(const ir_op *op)
{
    if (op->kind == IR_GATHER) return 2;
    if (op->kind == IR_CAST) return 1;
    if (op->kind != IR_MAP) return 0;
    switch (op->at->fn) {
    case IR_FN_EXP: case IR_FN_EXPM1: case IR_FN_LOG: case IR_FN_LOG1P: case IR_FN_SIN:
    case IR_FN_COS: case IR_FN_TANH: case IR_FN_ERF: case IR_FN_SIGMOID: case IR_FN_POW: return 12;
    case IR_FN_DIV: case IR_FN_MOD: case IR_FN_SQRT: case IR_FN_RSQRT: case IR_FN_RECIP: return 4;
    default: return 1;
    }
}

/* -- uses -------------------------------------------------------------------------------------- */

static void count_uses(kz_frame *f)
{
    for (uint32_t i = 0; i < f->g->results.n; i++)
        if (!f->unused || !f->unused[i]) f->slot[f->g->results.p[i].val.i].uses++;
    for (uint32_t v = f->g->ops.n; v-- > 1;) {
        const ir_op *op = &f->g->ops.p[v];
        uint32_t uses = f->slot[v].uses;
        if (!uses) continue;
        uint32_t each = kz_is_free(op) ? uses : 1;
        for (uint32_t k = 0; k < op->n_args; k++) {
            bool again = false;
            for (uint32_t j = 0; j < k; j++) again |= ir_same(op->args[j], op->args[k]);
            if (!again) f->slot[op->args[k].i].uses += each;
        }
    }
}

/* -- materialisation --------------------------------------------------------------------------- */

static void materialise(kz_frame *f, ir_val v)
{
    kz_slot *s = &f->slot[v.i];
    if (s->aliased || s->placed) return;
    s->material = true;
    s->weight = 1;
    s->flops = 0;
}

/* The value under strided views of v that would have to be in memory for v to be a window. */
static ir_val window_base(kz_frame *f, ir_val v)
{
    const ir_op *op = ir_op_of(f->g, v);
    const kz_slot *s = &f->slot[v.i];
    kir_arg src, out;
    if (s->aliased || s->placed || s->material || op->kind == IR_CONST) return v;
    if (op->kind == IR_STOP_GRAD) return window_base(f, op->args[0]);
    if (op->kind != IR_VIEW || op->at->view.n_conds) return v;
    ir_val base = window_base(f, op->args[0]);
    src = kz_dense(f->z, (kir_buf){0}, ir_type_at(f->g, op->args[0]));
    return kz_view_arg(f->z, &src, op, &out) ? base : v;
}

static void need_window(kz_frame *f, ir_val v)
{
    ir_val base = window_base(f, v);
    const ir_op *op = ir_op_of(f->g, base);
    if (op->kind == IR_CONST && op->at->cst.n > 1) return;
    if (f->slot[base.i].aliased) return;     /* outside: a window, or copied where it is used */
    if (f->slot[base.i].material || f->slot[base.i].placed) return;
    if (f->slot[base.i].uses < 2 &&
        ir_elems(f->z->m, op->type) > ir_elems(f->z->m, ir_type_at(f->g, v)))
        base = v;
    if (op->kind == IR_CONST) base = v;      /* a broadcast scalar */
    materialise(f, base);
}

/* What a capture reads is computed once, before the loop. */
static void need_capture(kz_frame *f, ir_val v)
{
    const ir_op *op = ir_op_of(f->g, v);
    if (kz_is_pointwise(op) && !kz_is_free(op)) materialise(f, v);
    else if (op->kind == IR_VIEW || op->kind == IR_STOP_GRAD) need_capture(f, op->args[0]);
}

static void need_operands(kz_frame *f, const ir_op *op)
{
    uint32_t n_carry = op->kind == IR_SCAN ? op->at->scan.n_carry : 0;
    uint32_t n_xs = op->kind == IR_SCAN ? op->at->scan.n_xs : 0;
    for (uint32_t k = 0; k < op->n_args; k++) {
        if (op->kind != IR_SCAN || (k >= n_carry && k < n_carry + n_xs))
            need_window(f, op->args[k]);
        else if (k >= n_carry + n_xs) need_capture(f, op->args[k]);
    }
}

static bool is_inline_work(const kz_frame *f, ir_val v)
{
    const kz_slot *s = &f->slot[v.i];
    return !s->material && !s->aliased && !s->placed && s->flops > 0;
}

static ir_val below_views(const kz_frame *f, ir_val v)
{
    while (!f->slot[v.i].aliased && !f->slot[v.i].placed && !f->slot[v.i].material &&
           (ir_op_of(f->g, v)->kind == IR_VIEW || ir_op_of(f->g, v)->kind == IR_STOP_GRAD))
        v = ir_op_of(f->g, v)->args[0];
    return v;
}

/* An expression that a much larger user would compute again and again, lane by lane. */
static void split_off_wide(kz_frame *f, const ir_op *op)
{
    const ir_module *m = f->z->m;
    const ir_type_info *t = ir_type_of(m, op->type);
    for (uint32_t k = 0; k < op->n_args; k++) {
        ir_val a = below_views(f, op->args[k]);
        const ir_type_info *at = ir_type_of(m, ir_type_at(f->g, a));
        bool table = op->kind == IR_GATHER && k == 0;
        if (!is_inline_work(f, a) || f->slot[a.i].flops < WIDE_FLOPS) continue;
        bool wide = ir_elems(m, op->type) >= WIDE * ir_elems(m, ir_type_at(f->g, a));
        bool lanes = t->rank && kz_has(at->dims, at->rank, t->dims[t->rank - 1]);
        if (table || (wide && lanes)) materialise(f, a);
    }
}

static void weigh(kz_frame *f, ir_val v)
{
    const ir_op *op = ir_op_of(f->g, v);
    kz_slot *s = &f->slot[v.i];
    for (;;) {
        ir_val heaviest = {0};
        s->weight = 0;
        s->flops = op_flops(op);
        for (uint32_t k = 0; k < op->n_args; k++) {
            const kz_slot *a = &f->slot[op->args[k].i];
            s->weight += a->weight;
            s->flops += a->flops;
            if (a->flops && (!heaviest.i || a->weight + a->flops / 8 >
                                                f->slot[heaviest.i].weight +
                                                    f->slot[heaviest.i].flops / 8))
                heaviest = op->args[k];
        }
        if ((s->weight <= MAX_WEIGHT && s->flops <= MAX_FLOPS) || !heaviest.i) return;
        heaviest = below_views(f, heaviest);
        if (!is_inline_work(f, heaviest)) return;
        kz_note(f->z, op->loc, "'%s' is stored: the expression around it is too large",
                kz_name(f, heaviest));
        materialise(f, heaviest);
        for (uint32_t k = 0; k < op->n_args; k++)
            if (!f->slot[op->args[k].i].material && ir_op_of(f->g, op->args[k])->kind == IR_VIEW)
                weigh(f, op->args[k]);
    }
}

/* Work and loads of v's expression at (about) v's own size; smaller parts are computed per row. */
typedef struct price { uint32_t flops, loads; uint64_t elems; uint32_t left; } price;

static void add_price(const kz_frame *f, ir_val v, price *p)
{
    const kz_slot *s = &f->slot[v.i];
    const ir_op *op = ir_op_of(f->g, v);
    bool full = ir_elems(f->z->m, op->type) * SMALL > p->elems;
    if (!p->left) return;
    p->left--;
    if (s->aliased || s->placed || s->material || (op->kind == IR_CONST && op->at->cst.n > 1)) {
        p->loads += full;
        return;
    }
    p->flops += full ? op_flops(op) : 0;
    for (uint32_t k = 0; k < op->n_args; k++) add_price(f, op->args[k], p);
}

static bool is_cheap(const kz_frame *f, ir_val v)
{
    price p = {.elems = ir_elems(f->z->m, ir_type_at(f->g, v)), .left = 64};
    add_price(f, v, &p);
    return p.left && p.flops <= CHEAP_FLOPS && p.loads <= CHEAP_LOADS;
}

/* Largest user, through free ops. */
static uint64_t widest_user(const kz_frame *f, ir_val v)
{
    uint64_t most = 0;
    for (uint32_t u = v.i + 1; u < f->g->ops.n; u++) {
        const ir_op *op = &f->g->ops.p[u];
        if (!f->slot[u].uses) continue;
        for (uint32_t k = 0; k < op->n_args; k++) {
            if (!ir_same(op->args[k], v) || ir_type_of(f->z->m, op->type)->is_tuple) continue;
            uint64_t n = ir_elems(f->z->m, op->type);
            most = n > most ? n : most;
        }
    }
    return most;
}

static void plan_value(kz_frame *f, ir_val v)
{
    const ir_op *op = ir_op_of(f->g, v);
    kz_slot *s = &f->slot[v.i];
    if (!s->uses || s->aliased) {
        s->weight = s->aliased;
        return;
    }
    if (s->placed) {
        s->weight = 1;
        return;
    }
    if (op->kind == IR_GET || !kz_is_pointwise(op)) {
        materialise(f, v);
        bool inlines = op->kind == IR_REDUCE || op->kind == IR_RANDOM || kz_is_dot(f, op);
        if (!inlines && op->kind != IR_GET) need_operands(f, op);
        return;
    }
    if (op->kind == IR_CONST) s->weight = op->at->cst.n > 1;
    if (!op->n_args) return;
    split_off_wide(f, op);
    weigh(f, v);
    if (kz_is_free(op) || s->uses < 2 || is_cheap(f, v)) return;
    if (s->weight <= CHEAP_LOADS && ir_elems(f->z->m, op->type) * SMALL <= widest_user(f, v))
        return;
    materialise(f, v);
}

void kz_plan(kz_frame *f)
{
    count_uses(f);
    for (uint32_t v = 1; v < f->g->ops.n; v++) plan_value(f, (ir_val){v});
}

/* -- leaves ------------------------------------------------------------------------------------ */

typedef struct walker {
    kz_frame *f;
    uint8_t *seen;                           /* by value: 1 at identity, 2 elsewhere */
    kz_leaves *out;
} walker;

static void add_leaf(walker *w, ir_val v, bool identity)
{
    for (uint32_t i = 0; i < w->out->n; i++) {
        if (!ir_same(w->out->p[i].v, v)) continue;
        w->out->p[i].identity &= identity;
        return;
    }
    dfm_push(w->f->z->a, w->out, ((kz_leaf){v, identity}));
}

static bool view_keeps_names(const kz_frame *f, const ir_op *op)
{
    const ir_type_info *s = ir_type_of(f->z->m, ir_type_at(f->g, op->args[0]));
    if (op->at->view.n_conds) return false;
    for (uint32_t k = 0; k < s->rank; k++) {
        const ir_ix_node *e = ir_ix_of(f->z->m, op->at->view.coords[k]);
        if (e->kind != IX_VAR || !ir_dim_same(e->var, s->dims[k])) return false;
    }
    return true;
}

static bool pairs_keep_names(const ir_op *op)
{
    const ir_contract *c = &op->at->contract;
    for (uint32_t k = 0; k < c->n_pairs; k++)
        if (!ir_dim_same(c->pairs[k].a, c->pairs[k].b)) return false;
    return true;
}

static void walk(walker *w, ir_val v, bool identity, bool expand)
{
    kz_frame *f = w->f;
    const kz_slot *s = &f->slot[v.i];
    const ir_op *op = ir_op_of(f->g, v);
    if (s->aliased) return;
    if (!expand && (s->material || s->placed)) {
        add_leaf(w, v, identity);
        return;
    }
    uint8_t bit = identity ? 1 : 2;
    if (w->seen[v.i] & bit) return;
    w->seen[v.i] |= bit;
    bool keeps = identity, dot = kz_is_dot(f, op);
    if (op->kind == IR_VIEW) keeps &= view_keeps_names(f, op);
    else if (dot) keeps &= pairs_keep_names(op);
    else if (op->kind != IR_REDUCE && !kz_is_pointwise(op)) keeps = false;
    for (uint32_t k = 0; k < op->n_args; k++)
        walk(w, op->args[k], keeps && !(op->kind == IR_GATHER && k == 0), false);
}

void kz_gather_leaves(kz_frame *f, ir_val v, bool identity, bool expand, kz_leaves *out)
{
    walker w = {f, dfm_new_n(f->z->a, uint8_t, f->g->ops.n), out};
    walk(&w, v, identity, expand);
}

/* -- units ------------------------------------------------------------------------------------- */

void kz_count_reads(kz_frame *f, const kz_unit *u, int by)
{
    for (uint32_t i = 0; i < u->leaves.n; i++) f->slot[u->leaves.p[i].v.i].readers += (uint32_t)by;
}

static bool reduced(const ir_op *op, ir_dim d)
{
    return kz_has(op->at->reduce.dims, op->at->reduce.n_dims, d);
}

enum { FEW_ROWS = 8, LONG = 16384, MANY_LANES = 4096, ENOUGH_LANES = 512, LEAST_COLUMNS = 4 };

/* Row, column or split reduction; sets the unit's lanes where the kind demands them. */
static kz_root_kind classify(const kz_frame *f, kz_unit *u, const ir_op *op)
{
    const ir_module *m = f->z->m;
    const ir_type_info *t = ir_type_of(m, ir_type_at(f->g, op->args[0]));
    ir_reducer red = op->at->reduce.kind;
    int64_t outer = 1, run = 1, all = kz_extents(f->z, op->at->reduce.dims, op->at->reduce.n_dims);
    uint32_t at = t->rank;
    bool inner = t->rank && reduced(op, t->dims[t->rank - 1]);
    for (uint32_t k = 0; k < t->rank; k++)
        if (!reduced(op, t->dims[k])) outer *= ir_extent(m, t->dims[k]);
    while (at > 0 && reduced(op, t->dims[at - 1]) == inner) run *= ir_extent(m, t->dims[--at]);
    if (!inner && red == IR_RED_SUM && t->dtype != DFM_I32 && t->dtype != DFM_I64 &&
        t->dtype != DFM_U8 && run >= LEAST_COLUMNS &&
        ir_extent(m, t->dims[t->rank - 1]) <= KZ_ACC_ELEMS)
        return KZ_COLUMN;
    bool can_split = inner && red != IR_RED_ARGMAX;
    if (can_split && op->at->reduce.n_dims == 1 && outer < FEW_ROWS && all >= LONG) return KZ_SPLIT;
    if (can_split && ((all > run && all > MANY_LANES) || (outer < FEW_ROWS && all >= LONG))) {
        int64_t n = 1;                       /* some of the innermost dims are lanes */
        uint32_t k = t->rank;
        while (k > at + (all == run) && n < ENOUGH_LANES) n *= ir_extent(m, t->dims[--k]);
        for (; k < t->rank; k++) u->lanes[u->n_lanes++] = t->dims[k];
        return KZ_SPLIT;
    }
    for (uint32_t k = 0; k < t->rank; k++)
        if (reduced(op, t->dims[k])) u->lanes[u->n_lanes++] = t->dims[k];
    return KZ_ROW;
}

static void add_unit(kz_frame *f, ir_val v)
{
    kz_unit u = {.key = v.i};
    const ir_op *op = ir_op_of(f->g, v);
    bool dot = kz_is_dot(f, op);
    if (kz_is_pointwise(op) || op->kind == IR_REDUCE || op->kind == IR_RANDOM || dot) {
        kz_root r = {.v = v, .kind = dot ? KZ_ROW : KZ_STORE};
        bool red = op->kind == IR_REDUCE || dot;
        const ir_type_info *t = ir_type_of(f->z->m, red ? ir_type_at(f->g, op->args[0]) : op->type);
        u.n_dims = t->rank;
        memcpy(u.dims, t->dims, t->rank * sizeof t->dims[0]);
        if (red && !dot) r.kind = classify(f, &u, op);
        for (uint32_t k = 0; dot && k < op->at->contract.n_pairs; k++)
            u.lanes[u.n_lanes++] = op->at->contract.pairs[k].a;
        dfm_push(f->z->a, &u.roots, r);
    } else {
        u.anchor = v;
    }
    kz_gather_leaves(f, v, true, true, &u.leaves);
    kz_count_reads(f, &u, 1);
    dfm_push(f->z->a, &f->units, u);
    f->slot[v.i].unit = f->units.n;
}

void kz_make_units(kz_frame *f)
{
    kz_assemble(f);
    for (uint32_t v = 1; v < f->g->ops.n; v++) {
        kz_slot *s = &f->slot[v];
        if (!s->material || !s->uses) continue;
        const ir_op *op = &f->g->ops.p[v];
        if (op->kind == IR_GET) s->unit = f->slot[op->args[0].i].unit;
        else if (s->maker.i) s->unit = f->slot[s->maker.i].unit;
        else add_unit(f, (ir_val){v});
    }
}

void kz_add_copy(kz_frame *f, ir_val v, const kir_arg *dest)
{
    kz_unit u = {.key = f->g->ops.n};
    kz_root r = {.v = v, .kind = KZ_STORE, .has_dest = true, .dest = *dest};
    const ir_type_info *t = ir_type_of(f->z->m, ir_type_at(f->g, v));
    u.n_dims = t->rank;
    memcpy(u.dims, t->dims, t->rank * sizeof t->dims[0]);
    dfm_push(f->z->a, &u.roots, r);
    kz_gather_leaves(f, v, true, false, &u.leaves);
    kz_count_reads(f, &u, 1);
    dfm_push(f->z->a, &f->units, u);
}

void kz_split_unit(kz_frame *f, uint32_t unit)
{
    kz_count_reads(f, &f->units.p[unit], -1);
    f->units.p[unit].dead = true;
    kz_note(f->z, kz_loc(f, f->units.p[unit].roots.p[0].v),
            "a kernel of %u results has too many operands: one kernel each",
            f->units.p[unit].roots.n);
    for (uint32_t i = 0; i < f->units.p[unit].roots.n; i++) {
        kz_root r = f->units.p[unit].roots.p[i];
        if (r.has_dest) kz_add_copy(f, r.v, &r.dest);
        else add_unit(f, r.v);
    }
}

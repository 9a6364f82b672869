/* kir_verify_kernel.c - rules of kernels: K4 to K11. */
#include "compiler/kir/kir_verify_impl.h"

#include <inttypes.h>
#include <string.h>

enum { MAX_ENUMERATED = 1 << 16, MAX_KNOWN = 64, MAX_COMBINED = 3, MAX_STEPS = 16 };

typedef enum level { PROLOGUE, ROW, LANE, FLUSHED } level;

typedef struct place {                       /* of an instruction */
    level level;
    uint32_t section;                        /* 0: prologue; else its index + 1 */
} place;

typedef struct kernel_checker {
    kir_checker *c;
    const kir_kernel *k;
    place *at;                               /* by instruction */
} kernel_checker;

/* -- K4, K5 ------------------------------------------------------------------------------------ */

static bool product_fits(const ir_module *m, const ir_dim *d, uint32_t n)
{
    int64_t x = 1;
    for (uint32_t k = 0; k < n; k++) x = kir_sat(x, ir_extent(m, d[k]), 0);
    return x <= (int64_t)1 << 48;
}

static dfm_status check_shape(kir_checker *c, const kir_kernel *k)
{
    KIR_RULE(c, k->n_rows <= KIR_MAX_RANK && k->n_lanes <= KIR_MAX_RANK && k->n_keep <= k->n_rows,
             4, "too many dims");
    KIR_RULE(c, k->block >= 1, 4, "block %" PRId64, k->block);
    KIR_RULE(c, k->args.n <= KIR_MAX_ARGS, 4, "%" PRIu32 " operands", k->args.n);
    DFM_VEC(ir_dim) all = {0};
    for (uint32_t i = 0; i < k->n_rows; i++) dfm_push(c->m->arena, &all, k->rows[i]);
    for (uint32_t i = 0; i < k->n_lanes; i++) dfm_push(c->m->arena, &all, k->lanes[i]);
    for (uint32_t i = 0; i < k->indirect.n; i++) dfm_push(c->m->arena, &all, k->indirect.p[i].dim);
    if (k->block_dim.i) dfm_push(c->m->arena, &all, k->block_dim);
    for (uint32_t i = 0; i < all.n; i++) {
        KIR_RULE(c, kir_dim_ok(c, all.p[i]), 4, "a dim is missing");
        for (uint32_t j = 0; j < i; j++)
            KIR_RULE(c, !ir_dim_same(all.p[i], all.p[j]), 4, "dim '%.60s' is there twice",
                     ir_dim_str(c->m->ir, all.p[i]));
    }
    KIR_RULE(c, product_fits(c->m->ir, k->rows, k->n_rows) &&
                    product_fits(c->m->ir, k->lanes, k->n_lanes), 4, "too many rows or lanes");
    return DFM_OK;
}

static dfm_status check_sections(kernel_checker *x)
{
    kir_checker *c = x->c;
    const kir_kernel *k = x->k;
    uint32_t next = k->sections.n ? k->sections.p[0].first : k->insts.n;
    bool flush = false, acc = false;
    KIR_RULE(c, !k->sections.n || next >= 1, 5, "a section begins at 0");
    for (uint32_t s = 0; s < k->sections.n; s++) {
        const kir_section *sec = &k->sections.p[s];
        KIR_RULE(c, sec->kind >= KIR_PASS && sec->kind <= KIR_FLUSH, 5, "a section has no kind");
        KIR_RULE(c, sec->first == next && sec->n <= k->insts.n - next, 5,
                 "section %" PRIu32 " does not follow the one before", s);
        KIR_RULE(c, !flush, 5, "a section after the flush");
        flush = sec->kind == KIR_FLUSH;
        for (uint32_t i = 0; i < sec->n; i++, next++) {
            x->at[next].section = s + 1;
            x->at[next].level = sec->kind == KIR_PASS ? LANE : sec->kind == KIR_ROW ? ROW : FLUSHED;
            acc |= k->insts.p[next].op == KIR_ACC;
        }
    }
    KIR_RULE(c, next == k->insts.n || !k->insts.n, 5, "instructions after the last section");
    KIR_RULE(c, flush == acc, 5, "ACC and FLUSH go together");
    KIR_RULE(c, flush == (k->block_dim.i != 0), 4, "block_dim and FLUSH go together");
    if (!flush) return DFM_OK;
    int64_t rest = 1;
    for (uint32_t i = k->n_keep; i < k->n_rows; i++) rest *= ir_extent(c->m->ir, k->rows[i]);
    KIR_RULE(c, ir_extent(c->m->ir, k->block_dim) == (rest + k->block - 1) / k->block, 4,
             "block_dim does not count the blocks");
    return DFM_OK;
}

/* -- K6, K8 ------------------------------------------------------------------------------------ */

static bool visible(const kernel_checker *x, uint32_t from, uint32_t to)
{
    place a = x->at[from], b = x->at[to];
    const kir_inst *i = &x->k->insts.p[from];
    if (i->op == KIR_STORE) return false;
    if (a.level == PROLOGUE) return true;
    if (b.level == PROLOGUE) return false;
    if (i->op == KIR_ACC) return b.level == FLUSHED;
    if (b.level == FLUSHED) return a.level == FLUSHED;
    if (i->op == KIR_REDUCE) return b.section > a.section;
    if (a.level == ROW) return true;
    return b.level == LANE && (a.section == b.section || i->keep);
}

static bool in_list(const ir_dim *list, uint32_t n, ir_dim d)
{
    for (uint32_t i = 0; i < n; i++)
        if (ir_dim_same(list[i], d)) return true;
    return false;
}

static bool dim_has_value(const kernel_checker *x, ir_dim d, uint32_t at)
{
    const kir_kernel *k = x->k;
    level l = x->at[at].level;
    for (uint32_t i = 0; i < k->indirect.n; i++)
        if (ir_dim_same(k->indirect.p[i].dim, d))
            return k->indirect.p[i].value.i < at && visible(x, k->indirect.p[i].value.i, at);
    if (l == PROLOGUE) return false;
    if (in_list(k->rows, l == FLUSHED ? k->n_keep : k->n_rows, d)) return true;
    if (in_list(k->lanes, k->n_lanes, d)) return l == LANE || l == FLUSHED;
    return l == FLUSHED && ir_dim_same(k->block_dim, d);
}

static bool ix_has_value(const kernel_checker *x, ir_ix e, uint32_t at)
{
    if (!e.i || e.i >= x->c->m->ir->ixs.n) return false;
    const ir_ix_node *n = ir_ix_of(x->c->m->ir, e);
    if (n->kind == IX_VAR) return dim_has_value(x, n->var, at);
    return (!n->a.i || ix_has_value(x, n->a, at)) && (!n->b.i || ix_has_value(x, n->b, at));
}

/* -- K9 ---------------------------------------------------------------------------------------- */

typedef struct range { int64_t lo, hi; } range;

static range meet(range a, range b)
{
    return (range){a.lo > b.lo ? a.lo : b.lo, a.hi < b.hi ? a.hi : b.hi};
}

static int64_t floor_div(int64_t a, int64_t c) { return a / c - (a % c < 0); }

/* The terms of a sum, the last first: coefficient times atom. */
static bool next_term(const ir_module *m, ir_ix *sum, ir_ix *atom, int64_t *coef)
{
    if (!sum->i) return false;
    const ir_ix_node *x = ir_ix_of(m, *sum);
    ir_ix term = x->kind == IX_ADD ? x->b : *sum;
    *sum = x->kind == IX_ADD ? x->a : (ir_ix){0};
    x = ir_ix_of(m, term);
    *atom = x->kind == IX_MUL ? x->a : term;
    *coef = x->kind == IX_MUL ? x->c : 1;
    return true;
}

/* How often sum `g` fits into sum `e` by their coefficients of this atom; 0: they do not match. */
static int64_t times(const ir_module *m, ir_ix e, ir_ix atom, int64_t in_g)
{
    ir_ix x;
    int64_t c;
    while (next_term(m, &e, &x, &c))
        if (x.i == atom.i && ir_ix_of(m, x)->kind != IX_CONST) return c % in_g ? 0 : c / in_g;
    return 0;
}

/* Range of e as a multiple of a bounded expression, and a rest to which others may contribute. */
static range combined_range(ir_module *m, ir_ix e, const ir_cond *g, uint32_t n, int depth)
{
    range r, s;
    ir_ix_range(m, e, &r.lo, &r.hi);
    r = (range){kir_sat(1, r.lo, 0), kir_sat(1, r.hi, 0)};      /* sums below cannot overflow */
    for (uint32_t i = 0; depth && i < n; i++) {
        ir_ix sum = g[i].e, atom;
        int64_t in_g, last = 0;
        while (next_term(m, &sum, &atom, &in_g)) {
            int64_t k = times(m, e, atom, in_g);
            if (!k || k == last) continue;
            last = k;
            ir_ix rest = ir_ix_add(m, e, ir_ix_mul(m, g[i].e, -k));
            ir_ix_range(m, rest, &s.lo, &s.hi);
            if (s.lo < INT64_MIN / 4 || s.hi > INT64_MAX / 4) continue;
            s = combined_range(m, rest, g + i + 1, n - i - 1, depth - 1);
            r = meet(r, (range){kir_sat(k < 0 ? g[i].hi : g[i].lo, k, s.lo),
                                kir_sat(k < 0 ? g[i].lo : g[i].hi, k, s.hi)});
        }
    }
    return r;
}

/* Range of e where the conditions hold. */
static range guarded_range(ir_module *m, ir_ix e, const ir_cond *g, uint32_t n)
{
    const ir_ix_node *x = ir_ix_of(m, e);
    ir_ix a = x->a, b = x->b;
    int64_t c = x->c, c2 = x->c2;
    range s, r = combined_range(m, e, g, n, MAX_COMBINED);
    switch (ir_ix_of(m, e)->kind) {
    case IX_ADD:
        s = guarded_range(m, a, g, n);
        range t = guarded_range(m, b, g, n);
        return meet(r, (range){kir_sat(1, s.lo, t.lo), kir_sat(1, s.hi, t.hi)});
    case IX_MUL:
        s = guarded_range(m, a, g, n);
        return meet(
            r, (range){kir_sat(c >= 0 ? s.lo : s.hi, c, 0), kir_sat(c >= 0 ? s.hi : s.lo, c, 0)});
    case IX_DIV:
        s = guarded_range(m, a, g, n);
        return meet(r, (range){floor_div(s.lo, c), floor_div(s.hi, c)});
    case IX_CLAMP:
        s = guarded_range(m, a, g, n);
        return meet(r, (range){s.lo < c ? c : s.lo > c2 ? c2 : s.lo,
                               s.hi < c ? c : s.hi > c2 ? c2 : s.hi});
    default: return r;
    }
}

/* What the guard says, and what follows for the operands of its quotients and remainders. */
typedef struct known { uint32_t n; ir_cond c[MAX_KNOWN]; } known;

/* The first quotient among the terms of a sum; {0}: none. */
static ir_ix quotient_in(const ir_module *m, ir_ix e)
{
    const ir_ix_node *x = ir_ix_of(m, e);
    for (; x->kind == IX_ADD; e = x->a, x = ir_ix_of(m, e))
        if (ir_ix_of(m, x->b)->kind == IX_DIV) return x->b;
    return x->kind == IX_DIV ? e : (ir_ix){0};
}

static void learn(ir_module *m, known *k, ir_cond c)
{
    for (int step = 0; step < MAX_STEPS && k->n < MAX_KNOWN; step++) {
        ir_ix q = quotient_in(m, c.e);
        ir_ix_node e = *ir_ix_of(m, q.i ? q : c.e);
        bool is_new = true;
        for (uint32_t i = 0; i < k->n; i++)
            is_new &= k->c[i].e.i != c.e.i || k->c[i].lo != c.lo || k->c[i].hi != c.hi;
        if (is_new) k->c[k->n++] = c;
        if (q.i) {                           /* x + a // c = (c x + a) // c */
            ir_ix rest = ir_ix_add(m, c.e, ir_ix_mul(m, q, -1));
            c.e = ir_ix_add(m, e.a, ir_ix_mul(m, rest, e.c));
            c.lo = kir_sat(c.lo, e.c, 0);
            c.hi = kir_sat(c.hi, e.c, e.c - 1);
        } else if (e.kind == IX_ADD && ir_ix_of(m, e.b)->kind == IX_CONST) {
            int64_t shift = ir_ix_of(m, e.b)->c;
            c = (ir_cond){e.a, kir_sat(shift, -1, c.lo), kir_sat(shift, -1, c.hi)};
        } else if (e.kind == IX_MOD) {       /* a = c (a // c) + a % c */
            range r = guarded_range(m, e.a, k->c, k->n);
            c.e = e.a;
            c.lo = kir_sat(floor_div(r.lo, e.c), e.c, c.lo < 0 ? 0 : c.lo);
            c.hi = kir_sat(floor_div(r.hi, e.c), e.c, c.hi < e.c ? c.hi : e.c - 1);
        } else {
            return;
        }
    }
}

/* In two rounds: a bound on a remainder gains from one on the quotient. */
static known guard_facts(ir_module *m, const kir_inst *i)
{
    known k = {0};
    for (int round = 0; round < 2; round++)
        for (uint32_t g = 0; g < i->n_conds; g++) learn(m, &k, i->guard[g]);
    return k;
}

/* False if there are more than KIR_MAX_RANK. */
static bool collect_dims(const ir_module *m, ir_ix e, ir_dim *out, uint32_t *n)
{
    const ir_ix_node *x = ir_ix_of(m, e);
    if (x->kind == IX_VAR && !in_list(out, *n, x->var)) {
        if (*n == KIR_MAX_RANK) return false;
        out[(*n)++] = x->var;
    }
    return (!x->a.i || collect_dims(m, x->a, out, n)) && (!x->b.i || collect_dims(m, x->b, out, n));
}

/* The last resort: all index values, if they are few. */
static bool inside_by_trial(const ir_module *m, ir_ix e, int64_t extent, const ir_cond *g,
                            uint32_t n)
{
    ir_dim d[KIR_MAX_RANK];
    int64_t at[KIR_MAX_RANK] = {0}, count = 1;
    uint32_t nd = 0;
    bool fit = collect_dims(m, e, d, &nd);
    for (uint32_t i = 0; i < n; i++) fit = fit && collect_dims(m, g[i].e, d, &nd);
    if (!fit) return false;
    for (uint32_t i = 0; i < nd; i++) count = kir_sat(count, ir_extent(m, d[i]), 0);
    if (count > MAX_ENUMERATED) return false;
    for (int64_t k = 0; k < count; k++) {
        bool holds = true;
        for (uint32_t i = 0; i < n && holds; i++) {
            int64_t v = ir_ix_eval(m, g[i].e, d, at, nd);
            holds = v >= g[i].lo && v <= g[i].hi;
        }
        int64_t v = ir_ix_eval(m, e, d, at, nd);
        if (holds && (v < 0 || v >= extent)) return false;
        for (uint32_t i = nd; i-- > 0;) {
            if (++at[i] < ir_extent(m, d[i])) break;
            at[i] = 0;
        }
    }
    return true;
}

static dfm_status check_coords(kernel_checker *x, uint32_t at)
{
    kir_checker *c = x->c;
    const kir_inst *i = &x->k->insts.p[at];
    KIR_RULE(c, i->arg < x->k->args.n, 9, "%%%" PRIu32 " has no operand", at);
    const kir_arg *a = &x->k->args.p[i->arg];
    KIR_RULE(c, a->write == (i->op == KIR_STORE), 10, "%%%" PRIu32 " %s an operand that is %s", at,
             a->write ? "loads" : "stores to", a->write ? "written" : "read");
    for (uint32_t g = 0; g < i->n_conds; g++)
        KIR_RULE(c, ix_has_value(x, i->guard[g].e, at), 8, "the guard of %%%" PRIu32, at);
    const known facts = guard_facts(c->m->ir, i);
    for (uint32_t k = 0; k < a->rank; k++) {
        int64_t extent = ir_extent(c->m->ir, a->dims[k]);
        KIR_RULE(c, ix_has_value(x, i->coords[k], at), 8, "coordinate %" PRIu32 " of %%%" PRIu32, k,
                 at);
        range r = guarded_range(c->m->ir, i->coords[k], facts.c, facts.n);
        bool in = r.lo > r.hi || (r.lo >= 0 && r.hi < extent)
               || inside_by_trial(c->m->ir, i->coords[k], extent, i->guard, i->n_conds);
        KIR_RULE(c, in, 9, "coordinate %" PRIu32 " of %%%" PRIu32 " leaves dim '%.60s'", k, at,
                 ir_dim_str(c->m->ir, a->dims[k]));
    }
    return DFM_OK;
}

/* -- K7 ---------------------------------------------------------------------------------------- */

static bool fn_types_ok(const kir_inst *i, const dfm_dtype *t, uint32_t n)
{
    switch (ir_fn_class_of(i->fn)) {
    case IR_ARITH:
        for (uint32_t k = 0; k < n; k++)
            if (t[k] != i->dtype) return false;
        return i->dtype == DFM_F32 || i->dtype == DFM_I32;
    case IR_FLOAT:
        for (uint32_t k = 0; k < n; k++)
            if (t[k] != DFM_F32) return false;
        return i->dtype == DFM_F32;
    case IR_CMP: return i->dtype == DFM_BOOL && t[0] == t[1] && t[0] != DFM_BOOL;
    case IR_LOGIC:
        for (uint32_t k = 0; k < n; k++)
            if (t[k] != DFM_BOOL) return false;
        return i->dtype == DFM_BOOL;
    case IR_SELECT: return t[0] == DFM_BOOL && t[1] == i->dtype && t[2] == i->dtype;
    }
    return false;
}

static bool reduce_types_ok(const kir_inst *i, dfm_dtype t)
{
    switch (i->red) {
    case IR_RED_ANY: case IR_RED_ALL: return t == DFM_BOOL && i->dtype == DFM_BOOL;
    case IR_RED_ARGMAX: return t != DFM_BOOL && i->dtype == DFM_I32;
    case IR_RED_SUM: case IR_RED_PROD: case IR_RED_MAX: case IR_RED_MIN:
        return t != DFM_BOOL && i->dtype == t;
    default: return false;
    }
}

static bool types_ok(const kernel_checker *x, const kir_inst *i)
{
    dfm_dtype t[3] = {0};
    for (int r = 0; r < 3; r++) t[r] = i->ref[r].i ? kir_at(x->k, i->ref[r])->dtype : DFM_DT_NONE;
    switch (i->op) {
    case KIR_INDEX: case KIR_ITER: case KIR_STEP: return i->dtype == DFM_I32;
    case KIR_SCALAR: return i->dtype != DFM_BOOL && i->name.i;
    case KIR_FN: return fn_types_ok(i, t, ir_fn_arity(i->fn));
    case KIR_CONVERT: return true;
    case KIR_ROUND: return t[0] == DFM_F32 && i->dtype == DFM_F32;
    case KIR_RANDOM:
        return t[0] == DFM_I32 && (!t[1] || t[1] == DFM_I32) && (!t[2] || t[2] == DFM_I32) &&
               i->random &&
               (i->random->dist == IR_RANDINT ? i->dtype == DFM_I32 && i->random->lo < i->random->hi
                                              : i->dtype == DFM_F32);
    case KIR_REDUCE: return reduce_types_ok(i, t[0]);
    case KIR_ACC: return t[0] == DFM_F32 && i->dtype == DFM_F32;
    default: return true;
    }
}

static dfm_status check_inst(kernel_checker *x, uint32_t at)
{
    kir_checker *c = x->c;
    const kir_inst *i = &x->k->insts.p[at];
    level l = x->at[at].level;
    KIR_RULE(c, i->op > KIR_NONE && i->op < KIR_OP_COUNT, 7, "%%%" PRIu32 " has no op", at);
    KIR_RULE(c, i->dtype == DFM_F32 || i->dtype == DFM_I32 || i->dtype == DFM_BOOL, 7,
             "%%%" PRIu32 " is of type %s", at, dfm_dtype_name(i->dtype));
    KIR_RULE(c, i->op != KIR_FN || (i->fn > IR_FN_NONE && i->fn < IR_FN_COUNT), 7,
             "%%%" PRIu32 " has no function", at);
    uint32_t want = i->op == KIR_FN ? ir_fn_arity(i->fn) : kir_op_refs(i->op);
    for (uint32_t r = 0; r < 3; r++) {
        bool optional = i->op == KIR_RANDOM && r > 0;
        KIR_RULE(c, (i->ref[r].i != 0) == (r < want) || (optional && !i->ref[r].i), 6,
                 "%%%" PRIu32 " has a wrong number of operands", at);
        if (!i->ref[r].i) continue;
        KIR_RULE(c, i->ref[r].i < at && visible(x, i->ref[r].i, at), 6,
                 "%%%" PRIu32 " does not see %%%" PRIu32, at, i->ref[r].i);
    }
    KIR_RULE(c, types_ok(x, i), 7, "%%%" PRIu32 " (%s) has wrong types", at, kir_op_name(i->op));
    KIR_RULE(c, l == LANE || (i->op != KIR_REDUCE && i->op != KIR_ACC), 5,
             "%%%" PRIu32 " is not in a pass", at);
    KIR_RULE(c, l != PROLOGUE || (i->op != KIR_STORE && i->op != KIR_RANDOM && i->op != KIR_INDEX),
             5, "%%%" PRIu32 " (%s) is in the prologue", at, kir_op_name(i->op));
    KIR_RULE(c, !i->keep || (l == LANE && i->op != KIR_REDUCE && i->op != KIR_ACC &&
                             i->op != KIR_STORE), 6, "%%%" PRIu32 " cannot be kept", at);
    if (i->op == KIR_INDEX)
        KIR_RULE(c, ix_has_value(x, i->ix, at), 8, "%%%" PRIu32 " uses a dim without a value", at);
    if (i->op == KIR_ITER)
        KIR_RULE(c, i->arg < c->depth, 8, "%%%" PRIu32 " counts a loop that is not there", at);
    if (i->op == KIR_RANDOM)
        KIR_RULE(c, i->n_iters <= c->depth, 8, "%%%" PRIu32 " is keyed by a loop that is not there",
                 at);
    return i->op == KIR_LOAD || i->op == KIR_STORE ? check_coords(x, at) : DFM_OK;
}

/* -- K10, K11 ---------------------------------------------------------------------------------- */

static bool same_window(const kir_arg *a, const kir_arg *b)
{
    return a->rank == b->rank && a->offset == b->offset
        && !memcmp(a->dims, b->dims, a->rank * sizeof a->dims[0])
        && !memcmp(a->stride, b->stride, a->rank * sizeof a->stride[0])
        && !memcmp(a->loop_stride, b->loop_stride, sizeof a->loop_stride);
}

/* Is the load evaluated once for every evaluation of the store? Levels may differ by loops that
 * run once. */
static bool as_often(const kernel_checker *x, uint32_t load, uint32_t store)
{
    level l = x->at[load].level, s = x->at[store].level;
    if (l == s) return true;
    bool one_row = kir_rows(x->c->m->ir, x->k) == 1, one_lane = kir_lanes(x->c->m->ir, x->k) == 1;
    if (l == PROLOGUE) return one_row && (s == ROW || one_lane);
    return l == ROW && s == LANE && one_lane;
}

static dfm_status check_in_place(kernel_checker *x, uint32_t store)
{
    kir_checker *c = x->c;
    const kir_kernel *k = x->k;
    const kir_inst *s = &k->insts.p[store];
    const kir_arg *a = &k->args.p[s->arg];
    for (uint32_t i = 1; i < k->insts.n; i++) {
        const kir_inst *l = &k->insts.p[i];
        if ((l->op != KIR_LOAD && l->op != KIR_STORE) || i == store) continue;
        const kir_arg *b = &k->args.p[l->arg];
        if (!kir_args_overlap(c, a, b)) continue;
        KIR_RULE(c, l->op == KIR_LOAD, 10, "two stores to the same memory");
        bool same = same_window(a, b) && as_often(x, i, store);
        for (uint32_t d = 0; same && d < a->rank; d++) same = s->coords[d].i == l->coords[d].i;
        KIR_RULE(c, same && i < store, 10, "%%%" PRIu32 " reads what %%%" PRIu32 " writes", i,
                 store);
    }
    return DFM_OK;
}

static bool is_clamped(const kernel_checker *x, kir_ref r, int64_t extent)
{
    const kir_inst *i = kir_at(x->k, r);
    int64_t lo, hi;
    if (i->op == KIR_INDEX) {
        ir_ix_range(x->c->m->ir, i->ix, &lo, &hi);
        return lo >= 0 && hi < extent;
    }
    if (i->op == KIR_CONST) return i->value >= 0 && i->value < (double)extent;
    if (i->op != KIR_FN || i->fn != IR_FN_MIN) return false;
    const kir_inst *top = kir_at(x->k, i->ref[1]), *max = kir_at(x->k, i->ref[0]);
    if (top->op != KIR_CONST || top->value < 0 || top->value >= (double)extent) return false;
    if (max->op != KIR_FN || max->fn != IR_FN_MAX) return false;
    const kir_inst *bottom = kir_at(x->k, max->ref[1]);
    return bottom->op == KIR_CONST && bottom->value >= 0 && bottom->value < (double)extent;
}

dfm_status kir_check_kernel(kir_checker *c, const kir_kernel *k)
{
    kernel_checker x = {c, k, dfm_new_n(c->m->arena, place, k->insts.n + 1)};
    DFM_TRY(check_shape(c, k));
    for (uint32_t i = 0; i < k->args.n; i++) DFM_TRY(kir_check_arg(c, &k->args.p[i], "an operand"));
    DFM_TRY(check_sections(&x));
    for (uint32_t i = 0; i < k->indirect.n; i++)
        KIR_RULE(c, k->indirect.p[i].value.i && k->indirect.p[i].value.i < k->insts.n, 11,
                 "an indirect dim has no value");
    for (uint32_t i = 1; i < k->insts.n; i++) DFM_TRY(check_inst(&x, i));
    for (uint32_t i = 0; i < k->indirect.n; i++) {
        const kir_indirect *d = &k->indirect.p[i];
        KIR_RULE(c, kir_at(k, d->value)->dtype == DFM_I32 &&
                        is_clamped(&x, d->value, ir_extent(c->m->ir, d->dim)), 11,
                 "the value of indirect dim '%.60s' is not clamped", ir_dim_str(c->m->ir, d->dim));
    }
    for (uint32_t i = 1; i < k->insts.n; i++)
        if (k->insts.p[i].op == KIR_STORE) DFM_TRY(check_in_place(&x, i));
    return DFM_OK;
}

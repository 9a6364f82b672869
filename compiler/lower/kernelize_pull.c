/* kernelize_pull.c - computes a value inside a kernel at given coordinates.
 *
 * pull(x, coords, guard) gives the instruction that holds x[coords] where the guard holds; where it
 * fails the value is arbitrary but defined, and loads do not touch memory. Views compose their
 * coordinates, material values are loaded, everything else is computed from its operands. Equal
 * requests give the same instruction.
 */
#include "compiler/lower/kernelize.h"

#include <string.h>

#include "runtime/base/philox.h"

/* -- instructions ------------------------------------------------------------------------------ */

static bool is_const_level(kir_op op)
{
    return op == KIR_CONST || op == KIR_ITER || op == KIR_STEP || op == KIR_SCALAR || op == KIR_FN
        || op == KIR_LOAD;
}

static void raise_to(kz_inst *n, uint8_t level, uint32_t phase)
{
    if (level > n->level) n->level = level;
    if (phase > n->phase) n->phase = phase;
}

/* Level and phase of an index expression; values of indirect dims become dependences. */
static void place_ix(kz_kernel *b, kz_inst *n, ir_ix e)
{
    const ir_ix_node *x = ir_ix_of(b->z->m, e);
    if (x->kind == IX_VAR) {
        if (kz_has(b->k->lanes, b->k->n_lanes, x->var)) raise_to(n, KZ_LANES, 0);
        else if (kz_has(b->k->rows, b->k->n_rows, x->var)) raise_to(n, KZ_ROWS, 0);
        for (uint32_t i = 0; i < b->indirect.n; i++) {
            if (!ir_dim_same(b->indirect.p[i].dim, x->var)) continue;
            uint32_t v = b->indirect.p[i].value.i;
            raise_to(n, b->insts.p[v].level, b->insts.p[v].phase);
            bool known = false;
            for (uint32_t k = 0; k < n->n_deps; k++) known |= n->deps[k] == v;
            if (known) continue;
            if (n->n_deps == KZ_MAX_DEPS) kz_fail(b->z, "an address depends on too many gathers");
            else n->deps[n->n_deps++] = v;
        }
    }
    if (x->a.i) place_ix(b, n, ir_ix_of(b->z->m, e)->a);
    if (ir_ix_of(b->z->m, e)->b.i) place_ix(b, n, ir_ix_of(b->z->m, e)->b);
}

static bool same_inst(const kz_kernel *b, const kir_inst *x, const kir_inst *y)
{
    if (x->op != y->op || x->dtype != y->dtype || x->fn != y->fn || x->red != y->red ||
        memcmp(x->ref, y->ref, sizeof x->ref) || memcmp(&x->value, &y->value, sizeof x->value) ||
        x->ix.i != y->ix.i || x->arg != y->arg || x->name.i != y->name.i ||
        x->n_conds != y->n_conds || x->op == KIR_RANDOM || x->op == KIR_STORE || x->op == KIR_ACC)
        return false;
    for (uint32_t i = 0; i < x->n_conds; i++)
        if (x->guard[i].e.i != y->guard[i].e.i || x->guard[i].lo != y->guard[i].lo ||
            x->guard[i].hi != y->guard[i].hi)
            return false;
    if (x->op != KIR_LOAD) return true;
    for (uint32_t i = 0; i < b->k->args.p[x->arg].rank; i++)
        if (x->coords[i].i != y->coords[i].i) return false;
    return true;
}

kir_ref kz_add_inst(kz_kernel *b, kir_inst i)
{
    kz_inst n = {.inst = i};
    if (!b->insts.n) dfm_push(b->z->a, &b->insts, ((kz_inst){0}));
    for (uint32_t k = 1; k < b->insts.n; k++)
        if (same_inst(b, &i, &b->insts.p[k].inst)) return (kir_ref){k};
    for (int r = 0; r < 3; r++) {
        if (!i.ref[r].i) continue;
        const kz_inst *from = &b->insts.p[i.ref[r].i];
        bool reduced = from->inst.op == KIR_REDUCE;
        raise_to(&n, reduced ? KZ_ROWS : from->level, from->phase + reduced);
    }
    if (i.op == KIR_INDEX) place_ix(b, &n, i.ix);
    if (i.op == KIR_LOAD || i.op == KIR_STORE)
        for (uint32_t k = 0; k < b->k->args.p[i.arg].rank; k++) place_ix(b, &n, i.coords[k]);
    for (uint32_t k = 0; k < i.n_conds; k++) place_ix(b, &n, i.guard[k].e);
    if (!is_const_level(i.op)) raise_to(&n, KZ_ROWS, 0);
    if (i.op == KIR_REDUCE || i.op == KIR_ACC) raise_to(&n, KZ_LANES, 0);
    dfm_push(b->z->a, &b->insts, n);
    return (kir_ref){b->insts.n - 1};
}

static kir_ref constant(kz_kernel *b, dfm_dtype stored, double x)
{
    dfm_dtype t = kz_scalar_type(stored);
    return kz_add_inst(b,
                       (kir_inst){.op = KIR_CONST, .dtype = t, .value = dfm_round_to(stored, x)});
}

static kir_ref fn(kz_kernel *b, ir_fn f, dfm_dtype t, kir_ref x, kir_ref y, kir_ref w)
{
    return kz_add_inst(b, (kir_inst){.op = KIR_FN, .dtype = t, .fn = f, .ref = {x, y, w}});
}

static kir_ref index_inst(kz_kernel *b, ir_ix e)
{
    const ir_ix_node *x = ir_ix_of(b->z->m, e);
    if (x->kind == IX_CONST) return constant(b, DFM_I32, (double)x->c);
    return kz_add_inst(b, (kir_inst){.op = KIR_INDEX, .dtype = DFM_I32, .ix = e});
}

/* -- guards ------------------------------------------------------------------------------------ */

static bool same_conds(const kz_guard *x, const kz_guard *y)
{
    if (x->n != y->n) return false;
    for (uint32_t i = 0; i < x->n; i++)
        if (x->c[i].e.i != y->c[i].e.i || x->c[i].lo != y->c[i].lo || x->c[i].hi != y->c[i].hi)
            return false;
    return true;
}

/* The guard with further conditions (over `from`, replaced by `to`); *never: they cannot hold. */
static uint32_t guard_and(kz_kernel *b, uint32_t guard, const ir_view *v, const ir_type_info *t,
                          const ir_ix *coords, bool *never)
{
    kz_guard g = {0};
    const kz_guard old = guard ? b->guards.p[guard] : g;
    ir_cond *c = dfm_new_n(b->z->a, ir_cond, old.n + v->n_conds + 1);
    for (uint32_t i = 0; i < old.n; i++) c[g.n++] = old.c[i];
    *never = false;
    for (uint32_t i = 0; i < v->n_conds; i++) {
        ir_cond x = v->guard[i];
        int64_t lo, hi;
        bool known = false;
        x.e = ir_ix_subst(b->z->m, x.e, t->dims, coords, t->rank);
        ir_ix_range(b->z->m, x.e, &lo, &hi);
        if (lo > x.hi || hi < x.lo) *never = true;
        for (uint32_t k = 0; k < old.n; k++)
            known |= old.c[k].e.i == x.e.i && old.c[k].lo == x.lo && old.c[k].hi == x.hi;
        if (!known && !(lo >= x.lo && hi <= x.hi)) c[g.n++] = x;
    }
    if (!g.n) return 0;
    g.c = c;
    if (!b->guards.n) dfm_push(b->z->a, &b->guards, ((kz_guard){0}));
    for (uint32_t i = 1; i < b->guards.n; i++)
        if (same_conds(&b->guards.p[i], &g)) return i;
    dfm_push(b->z->a, &b->guards, g);
    return b->guards.n - 1;
}

/* The guard as a bool value, without the conditions of `outer`. */
static kir_ref guard_value(kz_kernel *b, uint32_t guard, uint32_t outer)
{
    const kz_guard g = b->guards.p[guard];
    uint32_t skip = outer ? b->guards.p[outer].n : 0;
    kir_ref all = {0}, none = {0};
    for (uint32_t i = skip; i < g.n; i++) {
        int64_t lo, hi;
        ir_ix_range(b->z->m, g.c[i].e, &lo, &hi);
        kir_ref e = index_inst(b, g.c[i].e);
        if (lo < g.c[i].lo) {
            kir_ref at = constant(b, DFM_I32, (double)g.c[i].lo);
            kir_ref ok = fn(b, IR_FN_LE, DFM_BOOL, at, e, none);
            all = all.i ? fn(b, IR_FN_AND, DFM_BOOL, all, ok, none) : ok;
        }
        if (hi > g.c[i].hi) {
            kir_ref at = constant(b, DFM_I32, (double)g.c[i].hi);
            kir_ref ok = fn(b, IR_FN_LE, DFM_BOOL, e, at, none);
            all = all.i ? fn(b, IR_FN_AND, DFM_BOOL, all, ok, none) : ok;
        }
    }
    return all;
}

/* -- memory ------------------------------------------------------------------------------------ */

ir_ix kz_coord(kz_kernel *b, ir_dim d)
{
    ir_module *m = b->z->m;
    if (!ir_dim_same(b->cut, d)) return ir_ix_var(m, d);
    ir_ix row = ir_ix_mul(m, ir_ix_var(m, b->cut_row), ir_extent(m, b->cut_lane));
    return ir_ix_add(m, row, ir_ix_var(m, b->cut_lane));
}

const ir_ix *kz_coords(kz_kernel *b, ir_type t)
{
    const ir_type_info *i = ir_type_of(b->z->m, t);
    ir_ix *c = dfm_new_n(b->z->a, ir_ix, i->rank + 1);
    for (uint32_t k = 0; k < i->rank; k++) c[k] = kz_coord(b, ir_type_of(b->z->m, t)->dims[k]);
    return c;
}

uint32_t kz_arg_index(kz_kernel *b, const kir_arg *a)
{
    for (uint32_t i = 0; i < b->k->args.n; i++) {
        const kir_arg *o = &b->k->args.p[i];
        if (o->buf.i == a->buf.i && o->write == a->write && o->rank == a->rank &&
            o->offset == a->offset && !memcmp(o->dims, a->dims, a->rank * sizeof a->dims[0]) &&
            !memcmp(o->stride, a->stride, a->rank * sizeof a->stride[0]) &&
            !memcmp(o->loop_stride, a->loop_stride, sizeof a->loop_stride))
            return i;
    }
    dfm_push(b->z->a, &b->k->args, *a);
    return b->k->args.n - 1;
}

static uint32_t add_dim(const kz *z, kir_arg *r, ir_dim d, const ir_dim *dims, const int64_t *coef,
                        uint32_t n)
{
    for (uint32_t k = 0; k < n; k++) {
        if (!ir_dim_same(dims[k], d) || ir_extent(z->m, d) == 1) continue;
        r->dims[r->rank] = d;
        r->stride[r->rank++] = coef[k];
        return 1;
    }
    return 0;
}

/* The operand as a window over the kernel's own dims, if the address is affine in them. */
kir_arg kz_over_space(kz_kernel *b, const kir_arg *a, const ir_ix *coords, const ir_ix **out)
{
    ir_module *m = b->z->m;
    ir_ix at = ir_ix_const(m, a->offset);
    for (uint32_t k = 0; k < a->rank; k++)
        at = ir_ix_add(m, at, ir_ix_mul(m, coords[k], a->stride[k]));
    ir_dim dims[IR_MAX_RANK];
    int64_t coef[IR_MAX_RANK], c;
    uint32_t n, used = 0;
    *out = coords;
    if (!ir_ix_affine(m, at, dims, coef, IR_MAX_RANK, &n, &c)) return *a;
    kir_arg r = *a;
    r.rank = 0;
    r.offset = c;
    for (uint32_t k = 0; k < b->k->n_rows; k++)
        used += add_dim(b->z, &r, b->k->rows[k], dims, coef, n);
    for (uint32_t k = 0; k < b->k->n_lanes; k++)
        used += add_dim(b->z, &r, b->k->lanes[k], dims, coef, n);
    for (uint32_t k = 0; k < n; k++)
        if (ir_extent(m, dims[k]) == 1) used++;
    if (used != n) return *a;
    ir_ix *vars = dfm_new_n(b->z->a, ir_ix, r.rank + 1);
    for (uint32_t k = 0; k < r.rank; k++) vars[k] = ir_ix_var(m, r.dims[k]);
    *out = vars;
    return r;
}

kir_ref kz_load(kz_kernel *b, const kir_arg *a, const ir_ix *coords, uint32_t guard, double fill)
{
    kir_arg w = *a;
    w.write = false;
    if (!guard) w = kz_over_space(b, &w, coords, &coords);
    kir_inst i = {
        .op = KIR_LOAD, .dtype = kz_scalar_type(a->dtype), .coords = coords, .value = fill};
    i.arg = kz_arg_index(b, &w);
    if (guard) {
        i.n_conds = b->guards.p[guard].n;
        i.guard = b->guards.p[guard].c;
    }
    return kz_add_inst(b, i);
}

void kz_store(kz_kernel *b, kir_ref v, kir_arg dest)
{
    ir_ix *c = dfm_new_n(b->z->a, ir_ix, dest.rank + 1);
    const ir_ix *coords = c;
    for (uint32_t k = 0; k < dest.rank; k++) c[k] = kz_coord(b, dest.dims[k]);
    dest.write = true;
    dest = kz_over_space(b, &dest, coords, &coords);
    uint32_t arg = kz_arg_index(b, &dest);
    kz_add_inst(b, (kir_inst){.op = KIR_STORE, .dtype = kz_scalar_type(dest.dtype), .ref = {v},
                              .arg = arg, .coords = coords});
}

/* -- ops --------------------------------------------------------------------------------------- */

/* Coordinates of an operand by name, from those of the result. */
static const ir_ix *by_name(kz_kernel *b, ir_type from, const ir_ix *coords, ir_type to)
{
    const ir_type_info *f = ir_type_of(b->z->m, from), *t = ir_type_of(b->z->m, to);
    ir_ix *c = dfm_new_n(b->z->a, ir_ix, t->rank + 1);
    for (uint32_t k = 0; k < t->rank; k++)
        for (uint32_t j = 0; j < f->rank; j++)
            if (ir_dim_same(f->dims[j], t->dims[k])) c[k] = coords[j];
    return c;
}

static ir_type arg_type(kz_val x, uint32_t k) { return ir_type_at(x.f->g, kz_op(x)->args[k]); }

static kir_ref pull_arg(kz_kernel *b, kz_val x, uint32_t k, const ir_ix *coords, uint32_t guard)
{
    const ir_op *op = kz_op(x);
    const ir_ix *c = by_name(b, op->type, coords, arg_type(x, k));
    return kz_pull(b, (kz_val){x.f, op->args[k]}, c, guard);
}

static dfm_dtype dtype_of(kz_kernel *b, kz_val x)
{
    return ir_type_of(b->z->m, kz_op(x)->type)->dtype;
}

/* Operands of a map may mix i32 with i64 and u8, which are all i32 here. */
static kir_ref pull_map(kz_kernel *b, kz_val x, const ir_ix *coords, uint32_t guard)
{
    const ir_op *op = kz_op(x);
    kir_ref a[3] = {{0}};
    for (uint32_t k = 0; k < op->n_args; k++) a[k] = pull_arg(b, x, k, coords, guard);
    return fn(b, op->at->fn, kz_scalar_type(dtype_of(b, x)), a[0], a[1], a[2]);
}

static kir_ref pull_cast(kz_kernel *b, kz_val x, const ir_ix *coords, uint32_t guard)
{
    kir_ref a = pull_arg(b, x, 0, coords, guard);
    dfm_dtype to = dtype_of(b, x), from = ir_type_of(b->z->m, arg_type(x, 0))->dtype;
    dfm_dtype t = kz_scalar_type(to), f = kz_scalar_type(from);
    if (t == DFM_BOOL && f != DFM_BOOL)
        return fn(b, IR_FN_NE, DFM_BOOL, a, constant(b, f, 0), (kir_ref){0});
    if (t != f) a = kz_add_inst(b, (kir_inst){.op = KIR_CONVERT, .dtype = t, .ref = {a}});
    if (to == DFM_BF16 && from != DFM_BF16)
        a = kz_add_inst(b, (kir_inst){.op = KIR_ROUND, .dtype = DFM_F32, .ref = {a}});
    if (to == DFM_U8 && from != DFM_U8 && from != DFM_BOOL) {
        a = fn(b, IR_FN_MAX, DFM_I32, a, constant(b, DFM_I32, 0), (kir_ref){0});
        a = fn(b, IR_FN_MIN, DFM_I32, a, constant(b, DFM_I32, 255), (kir_ref){0});
    }
    return a;
}

static kir_ref pull_view(kz_kernel *b, kz_val x, const ir_ix *coords, uint32_t guard)
{
    const ir_op *op = kz_op(x);
    const ir_view *v = &op->at->view;
    ir_type_info t = *ir_type_of(b->z->m, op->type);
    uint32_t rank = ir_type_of(b->z->m, arg_type(x, 0))->rank;
    ir_ix *c = dfm_new_n(b->z->a, ir_ix, rank + 1);
    for (uint32_t k = 0; k < rank; k++)
        c[k] = ir_ix_subst(b->z->m, v->coords[k], t.dims, coords, t.rank);
    bool never = false;
    uint32_t inner = v->n_conds ? guard_and(b, guard, v, &t, coords, &never) : guard;
    if (never) return constant(b, t.dtype, v->fill);
    kz_val src = {x.f, op->args[0]};
    kir_arg w;
    if (inner == guard) return kz_pull(b, src, c, guard);
    kir_ref y;
    src = kz_resolve(src.f, src.v);
    if (!guard && kz_slot_of(src)->placed && kz_slot_of(src)->unit != b->unit &&
        kz_window(src.f, src.v, &w))
        return kz_load(b, &w, c, inner, dfm_round_to(t.dtype, v->fill));
    y = kz_pull(b, src, c, inner);
    kir_ref ok = guard_value(b, inner, guard);
    if (!ok.i) return y;
    return fn(b, IR_FN_SELECT, kz_scalar_type(t.dtype), ok, y, constant(b, t.dtype, v->fill));
}

/* Result dims of a gather come from the index where it has them, else from the table. */
static kir_ref pull_gather(kz_kernel *b, kz_val x, const ir_ix *coords, uint32_t guard)
{
    const ir_op *op = kz_op(x);
    ir_module *m = b->z->m;
    ir_dim dim = op->at->gather.dim;
    kir_ref none = {0}, at = pull_arg(b, x, 1, coords, guard);
    int64_t n = ir_extent(m, dim);
    at = fn(b, IR_FN_MAX, DFM_I32, at, constant(b, DFM_I32, 0), none);
    at = fn(b, IR_FN_MIN, DFM_I32, at, constant(b, DFM_I32, (double)(n - 1)), none);
    ir_dim d = {0};
    for (uint32_t i = 0; i < b->indirect.n; i++)
        if (b->indirect.p[i].value.i == at.i && ir_extent(m, b->indirect.p[i].dim) == n)
            d = b->indirect.p[i].dim;
    if (!d.i) {
        char name[32];
        snprintf(name, sizeof name, "%%i%u", b->indirect.n);
        d = ir_dim_new(m, dfm_intern(m->names, name), n, (dfm_loc){0});
        dfm_push(b->z->a, &b->indirect, ((kir_indirect){d, at}));
    }
    ir_type_info r = *ir_type_of(m, op->type), t = *ir_type_of(m, arg_type(x, 0));
    ir_ix *c = dfm_new_n(b->z->a, ir_ix, t.rank + 1);
    for (uint32_t k = 0; k < t.rank; k++) {
        if (ir_dim_same(t.dims[k], dim)) {
            c[k] = ir_ix_var(m, d);
            continue;
        }
        for (uint32_t j = 0; j < r.rank; j++)
            if (ir_dim_same(r.dims[j], t.dims[k])) c[k] = coords[j];
    }
    return kz_pull(b, (kz_val){x.f, op->args[0]}, c, guard);
}

static kir_ref pull_reduce(kz_kernel *b, kz_val x)
{
    const ir_op *op = kz_op(x);
    kir_ref a = kz_pull(b, (kz_val){x.f, op->args[0]}, kz_coords(b, arg_type(x, 0)), 0);
    dfm_dtype t = op->at->reduce.kind == IR_RED_ARGMAX ? DFM_I32 : b->insts.p[a.i].inst.dtype;
    return kz_add_inst(b, (kir_inst){.op = KIR_REDUCE, .dtype = t, .red = op->at->reduce.kind,
                                     .ref = {a}});
}

/* Operands of a contraction are rounded to their type, as a product would read them. */
static kir_ref pull_factor(kz_kernel *b, kz_val x, uint32_t k)
{
    const ir_op *op = kz_op(x);
    const ir_contract *c = &op->at->contract;
    ir_type_info t = *ir_type_of(b->z->m, arg_type(x, k));
    ir_ix *at = dfm_new_n(b->z->a, ir_ix, t.rank + 1);
    for (uint32_t i = 0; i < t.rank; i++) {
        at[i] = kz_coord(b, t.dims[i]);
        for (uint32_t p = 0; k == 1 && p < c->n_pairs; p++)
            if (ir_dim_same(c->pairs[p].b, t.dims[i])) at[i] = kz_coord(b, c->pairs[p].a);
    }
    kir_ref v = kz_pull(b, (kz_val){x.f, op->args[k]}, at, 0);
    if (t.dtype != DFM_BF16 || b->insts.p[v.i].inst.op == KIR_LOAD) return v;
    return kz_add_inst(b, (kir_inst){.op = KIR_ROUND, .dtype = DFM_F32, .ref = {v}});
}

static kir_ref pull_dot(kz_kernel *b, kz_val x)
{
    kir_ref p = pull_factor(b, x, 0), q = pull_factor(b, x, 1);
    p = fn(b, IR_FN_MUL, DFM_F32, p, q, (kir_ref){0});
    return kz_add_inst(b, (kir_inst){.op = KIR_REDUCE, .dtype = DFM_F32, .red = IR_RED_SUM,
                                     .ref = {p}});
}

/* Are the loop counters of a draw those of the enclosing loops, from the outermost on? */
static bool counts_outer_loops(kz_val x)
{
    const ir_op *op = kz_op(x);
    for (uint32_t k = 0; k < op->n_args; k++) {
        kz_val it = kz_resolve(x.f, op->args[k]);
        const ir_op *in = kz_op(it);
        bool counter = in->kind == IR_INPUT && in->at->input.role == IR_ROLE_BODY
                    && in->at->input.index == 0 && !kz_slot_of(it)->placed;
        if (!counter || it.f->depth != k + 1) return false;
    }
    return true;
}

static kir_ref loop_number(kz_kernel *b, kz_val x)
{
    const ir_op *op = kz_op(x);
    kir_ref none = {0}, n = kz_pull(b, (kz_val){x.f, op->args[0]}, NULL, 0);
    kir_ref stride = constant(b, DFM_I32, (double)dfm_draw_loop(1, 0));
    for (uint32_t k = 1; k < op->n_args; k++) {
        n = fn(b, IR_FN_MUL, DFM_I32, n, stride, none);
        n = fn(b, IR_FN_ADD, DFM_I32, n, kz_pull(b, (kz_val){x.f, op->args[k]}, NULL, 0), none);
    }
    return n;
}

/* Element: row-major over the dims without the sample dim. */
static kir_ref pull_random(kz_kernel *b, kz_val x, const ir_ix *coords)
{
    const ir_op *op = kz_op(x);
    const ir_random *r = &op->at->random;
    ir_type_info t = *ir_type_of(b->z->m, op->type);
    ir_ix at = ir_ix_const(b->z->m, 0);
    kir_inst i = {.op = KIR_RANDOM, .dtype = kz_scalar_type(t.dtype), .random = r};
    if (r->dist != IR_RANDINT) i.dtype = DFM_F32;
    for (uint32_t k = 0; k < t.rank; k++) {
        if (ir_dim_same(t.dims[k], r->sample)) {
            i.ref[1] = index_inst(b, coords[k]);
            continue;
        }
        at = ir_ix_mul(b->z->m, at, ir_extent(b->z->m, t.dims[k]));
        at = ir_ix_add(b->z->m, at, coords[k]);
    }
    i.ref[0] = index_inst(b, at);
    if (counts_outer_loops(x)) i.n_iters = op->n_args;
    else i.ref[2] = loop_number(b, x);
    return kz_add_inst(b, i);
}

static kir_ref pull_input(kz_kernel *b, kz_val x)
{
    const ir_op *op = kz_op(x);
    const ir_input *in = &op->at->input;
    dfm_dtype t = kz_scalar_type(dtype_of(b, x));
    if (in->role == IR_ROLE_BODY)            /* the counter: every other formal has a place */
        return kz_add_inst(b, (kir_inst){.op = KIR_ITER, .dtype = DFM_I32, .arg = x.f->depth - 1});
    const char *n = dfm_name_str(b->z->m->names, in->name);
    if (t == DFM_I32 && !strcmp(n, "step"))
        return kz_add_inst(b, (kir_inst){.op = KIR_STEP, .dtype = DFM_I32});
    bool known = false;
    for (uint32_t i = 0; i < b->z->prog->scalars.n; i++)
        known |= dfm_name_eq(b->z->prog->scalars.p[i], in->name);
    if (!known) dfm_push(b->z->a, &b->z->prog->scalars, in->name);
    return kz_add_inst(b, (kir_inst){.op = KIR_SCALAR, .dtype = t, .name = in->name});
}

static kir_ref compute(kz_kernel *b, kz_val x, const ir_ix *coords, uint32_t guard)
{
    const ir_op *op = kz_op(x);
    kir_arg w;
    switch (op->kind) {
    case IR_INPUT: return pull_input(b, x);
    case IR_CONST:
        if (op->at->cst.n == 1) return constant(b, dtype_of(b, x), op->at->cst.data[0]);
        w = kz_const_arg(b->z, op);
        return kz_load(b, &w, coords, guard, 0);
    case IR_IOTA: return index_inst(b, coords[0]);
    case IR_MAP: return pull_map(b, x, coords, guard);
    case IR_CAST: return pull_cast(b, x, coords, guard);
    case IR_STOP_GRAD: return pull_arg(b, x, 0, coords, guard);
    case IR_VIEW: return pull_view(b, x, coords, guard);
    case IR_GATHER: return pull_gather(b, x, coords, guard);
    case IR_REDUCE: return pull_reduce(b, x);
    case IR_CONTRACT: return pull_dot(b, x);
    case IR_RANDOM: return pull_random(b, x, coords);
    default:
        kz_fail(b->z, "a value of '%s' is not in memory", ir_op_name(op->kind));
        return constant(b, DFM_F32, 0);
    }
}

static bool same_coords(const ir_ix *a, const ir_ix *b, uint32_t n)
{
    for (uint32_t k = 0; k < n; k++)
        if (a[k].i != b[k].i) return false;
    return true;
}

/* What this kernel stores, its other instructions use as others will read it: a value compared with
 * its own maximum must not differ by a rounding. */
static kir_ref as_stored(kz_kernel *b, kir_ref v, dfm_dtype d)
{
    kir_op op = b->insts.p[v.i].inst.op;
    if (d != DFM_BF16 || op == KIR_LOAD || op == KIR_ROUND) return v;
    return kz_add_inst(b, (kir_inst){.op = KIR_ROUND, .dtype = DFM_F32, .ref = {v}});
}

/* A reduction in two stages is here the sum of a part, which nobody else sees. */
static bool is_part(const kz_kernel *b, kz_val x)
{
    const kz_unit *u = &b->f->units.p[b->unit - 1];
    for (uint32_t i = 0; i < u->roots.n; i++)
        if (u->roots.p[i].v.i == x.v.i && u->roots.p[i].kind == KZ_SPLIT) return true;
    return false;
}

kir_ref kz_pull(kz_kernel *b, kz_val x, const ir_ix *coords, uint32_t guard)
{
    x = kz_resolve(x.f, x.v);
    uint32_t rank = ir_type_of(b->z->m, kz_op(x)->type)->rank;
    for (uint32_t i = 0; i < b->memo.n; i++) {
        const kz_memo *e = &b->memo.p[i];
        if (e->x.f == x.f && e->x.v.i == x.v.i && e->guard == guard &&
            same_coords(e->coords, coords, rank))
            return e->ref;
    }
    const kz_slot *s = kz_slot_of(x);
    bool mine = b->unit && s->unit == b->unit && x.f == b->f && s->material;
    kir_ref r;
    if (s->placed && !mine) r = kz_load(b, &s->place, coords, guard, 0);
    else r = compute(b, x, coords, guard);
    if (mine && !is_part(b, x)) r = as_stored(b, r, dtype_of(b, x));
    dfm_push(b->z->a, &b->memo, ((kz_memo){x, guard, coords, r}));
    return r;
}

/* ir_view.c - views: guards made canonical, views of views composed, identities dropped. */
#include "compiler/ir/ir_impl.h"

#include <string.h>

/* -- guards ---------------------------------------------------------------------------------- */

/* lo <= e <= hi with e freed of an added constant, an outer factor and an outer division. */
static void cond_peel(ir_module *m, ir_cond *c)
{
    for (;;) {
        ir_ix_node e = *ir_ix_of(m, c->e);
        if (e.kind == IX_ADD && ir_ix_of(m, e.b)->kind == IX_CONST) {
            int64_t k = ir_sat_mul(ir_ix_of(m, e.b)->c, -1);
            c->lo = ir_sat_add(c->lo, k);
            c->hi = ir_sat_add(c->hi, k);
        } else if (e.kind == IX_MUL && e.c > 0) {
            c->lo = ir_sat_mul(ir_floor_div(ir_sat_mul(c->lo, -1), e.c), -1);
            c->hi = ir_floor_div(c->hi, e.c);
        } else if (e.kind == IX_MUL && e.c < 0 && e.c > INT64_MIN) {
            int64_t lo = ir_sat_mul(c->hi, -1), hi = ir_sat_mul(c->lo, -1);
            c->lo = ir_sat_mul(ir_floor_div(ir_sat_mul(lo, -1), -e.c), -1);
            c->hi = ir_floor_div(hi, -e.c);
        } else if (e.kind == IX_DIV) {
            c->lo = ir_sat_mul(c->lo, e.c);
            c->hi = ir_sat_add(ir_sat_mul(c->hi, e.c), e.c - 1);
        } else {
            return;
        }
        c->e = e.a;
    }
}

static bool cond_merge(const ir_module *m, ir_cond *out, uint32_t *n, ir_cond c)
{
    uint32_t k = 0;
    for (; k < *n; k++) {
        int r = ir_ix_compare(m, out[k].e, c.e);
        if (r > 0) break;
        if (r < 0) continue;
        if (c.lo > out[k].lo) out[k].lo = c.lo;
        if (c.hi < out[k].hi) out[k].hi = c.hi;
        return out[k].lo <= out[k].hi;
    }
    memmove(out + k + 1, out + k, (*n - k) * sizeof *out);
    out[k] = c;
    ++*n;
    return true;
}

bool ir_guard_simplify(ir_module *m, ir_cond *conds, uint32_t *n)
{
    uint32_t kept = 0;
    ir_cond *out = dfm_new_n(m->arena, ir_cond, *n + 1);
    for (uint32_t i = 0; i < *n; i++) {
        ir_cond c = conds[i];
        int64_t lo, hi;
        cond_peel(m, &c);
        ir_ix_range(m, c.e, &lo, &hi);
        if (lo >= c.lo && hi <= c.hi) continue;
        if (lo > c.hi || hi < c.lo) return false;
        if (c.lo < lo) c.lo = lo;
        if (c.hi > hi) c.hi = hi;
        if (!cond_merge(m, out, &kept, c)) return false;
    }
    memcpy(conds, out, kept * sizeof *out);
    *n = kept;
    return true;
}

/* -- what a view is -------------------------------------------------------------------------- */

static bool view_uses(const ir_module *m, uint32_t rank, const ir_ix *coords, const ir_cond *guard,
                      uint32_t n_conds, ir_dim d)
{
    for (uint32_t i = 0; i < rank; i++)
        if (ir_ix_uses(m, coords[i], d)) return true;
    for (uint32_t i = 0; i < n_conds; i++)
        if (ir_ix_uses(m, guard[i].e, d)) return true;
    return false;
}

/* Does the result have a dim of extent > 1 that neither coordinates nor guard use? */
bool ir_is_broadcast(const ir_module *m, const ir_graph *g, const ir_op *view)
{
    const ir_type_info *t = ir_type_of(m, view->type);
    uint32_t rank = ir_type_of(m, ir_type_at(g, view->args[0]))->rank;
    const ir_view *v = &view->at->view;
    for (int i = 0; i < t->rank; i++)
        if (ir_extent(m, t->dims[i]) > 1
            && !view_uses(m, rank, v->coords, v->guard, v->n_conds, t->dims[i]))
            return true;
    return false;
}

static bool is_identity(const ir_module *m, ir_type from, ir_type to, const ir_ix *coords)
{
    const ir_type_info *t = ir_type_of(m, to);
    if (from.i != to.i) return false;
    for (int i = 0; i < t->rank; i++) {
        const ir_ix_node *e = ir_ix_of(m, coords[i]);
        bool var = e->kind == IX_VAR && e->var.i == t->dims[i].i;
        if (!var && !(e->kind == IX_CONST && ir_extent(m, t->dims[i]) == 1)) return false;
    }
    return true;
}

/* -- emission -------------------------------------------------------------------------------- */

ir_val ir_splat(ir_builder *b, ir_type t, double x)
{
    const ir_type_info *ti = ir_type_of(b->m, t);
    ir_val s = ir_scalar(b, ti->dtype, x);
    if (!ti->rank) return s;
    return ir_emit(b, IR_VIEW, t, &s, 1, &(ir_attrs){0});
}

/* A view of a view as one view, where the fills allow it. */
static ir_val compose(ir_builder *b, const ir_op *in, ir_type t, const ir_ix *coords,
                      const ir_cond *guard, uint32_t n, double fill)
{
    const ir_view *v = &in->at->view;
    ir_type_info mid = *ir_type_of(b->m, in->type);
    uint32_t rank = ir_type_of(b->m, ir_type_at(b->g, in->args[0]))->rank;
    bool same_fill = !memcmp(&fill, &v->fill, sizeof fill);
    ir_ix through[IR_MAX_RANK];
    if (n && v->n_conds && !same_fill) return (ir_val){0};
    for (uint32_t i = 0; i < rank; i++)
        through[i] = ir_ix_subst(b->m, v->coords[i], mid.dims, coords, mid.rank);
    ir_cond *all = dfm_new_n(b->m->arena, ir_cond, n + v->n_conds);
    if (n) memcpy(all, guard, n * sizeof *all);
    for (uint32_t i = 0; i < v->n_conds; i++) {
        all[n + i] = v->guard[i];
        all[n + i].e = ir_ix_subst(b->m, v->guard[i].e, mid.dims, coords, mid.rank);
    }
    return ir_view_of(b, in->args[0], t, through, all, n + v->n_conds, n ? fill : v->fill);
}

/* A view of a table that also broadcasts: the part without broadcasting, which folds, and a
 * broadcast of that. */
static ir_val view_of_table(ir_builder *b, ir_val x, ir_type t, const ir_attrs *at)
{
    ir_type_info ti = *ir_type_of(b->m, t);
    uint32_t rank = ir_type_of(b->m, ir_type_at(b->g, x))->rank, n_idle = 0;
    ir_dim idle[IR_MAX_RANK];
    const ir_view *v = &at->view;
    for (int i = 0; i < ti.rank; i++)
        if (!view_uses(b->m, rank, v->coords, v->guard, v->n_conds, ti.dims[i]))
            idle[n_idle++] = ti.dims[i];
    ir_type small = ir_without_dims(b->m, t, idle, n_idle);
    if (!v->n_conds && is_identity(b->m, ir_type_at(b->g, x), small, v->coords))
        return (ir_val){0};                  /* nothing but a broadcast */
    ir_val y = ir_fold_constant(b, IR_VIEW, &x, 1, at, small);
    return y.i && n_idle ? ir_broadcast(b, y, t) : y;
}

ir_val ir_view_of(ir_builder *b, ir_val x, ir_type t, const ir_ix *coords, const ir_cond *guard,
                  uint32_t n_conds, double fill)
{
    const ir_op *op = ir_op_of(b->g, x);
    ir_cond *conds = dfm_new_n(b->m->arena, ir_cond, n_conds);
    double s;
    DFM_ASSERT(ir_type_of(b->m, t)->dtype == ir_type_of(b->m, op->type)->dtype);
    if (n_conds) memcpy(conds, guard, n_conds * sizeof *conds);
    if (!ir_guard_simplify(b->m, conds, &n_conds)) return ir_splat(b, t, fill);
    if (!n_conds) {
        fill = 0;
        if (is_identity(b->m, op->type, t, coords)) return x;
        if (ir_splat_of(b->g, x, &s)) return ir_splat(b, t, s);
    } else if (ir_splat_of(b->g, x, &s) && !memcmp(&s, &fill, sizeof s)) {
        return ir_splat(b, t, s);
    }
    if (op->kind == IR_VIEW) {
        ir_val v = compose(b, op, t, coords, conds, n_conds, fill);
        if (v.i) return v;
    }
    ir_attrs at = {.view = {.coords = coords, .n_conds = n_conds, .guard = conds, .fill = fill}};
    if (op->kind == IR_CONST && ir_type_of(b->m, op->type)->rank) {
        ir_val v = view_of_table(b, x, t, &at);
        if (v.i) return v;
    }
    if (op->kind == IR_IOTA && !n_conds && ir_ix_of(b->m, coords[0])->kind == IX_CONST)
        return ir_splat(b, t, (double)ir_ix_of(b->m, coords[0])->c);
    return ir_emit(b, IR_VIEW, t, &x, 1, &at);
}

static ir_val view_by_name(ir_builder *b, ir_val x, ir_type t)
{
    ir_type_info ti = *ir_type_of(b->m, ir_type_at(b->g, x));
    ir_ix coords[IR_MAX_RANK];
    for (int i = 0; i < ti.rank; i++) {
        DFM_ASSERT(ir_dim_at(b->m, t, ti.dims[i]) >= 0);
        coords[i] = ir_ix_var(b->m, ti.dims[i]);
    }
    return ir_view_of(b, x, ir_with_dtype(b->m, t, ti.dtype), coords, NULL, 0, 0);
}

ir_val ir_broadcast(ir_builder *b, ir_val x, ir_type t) { return view_by_name(b, x, t); }

ir_val ir_transpose_to(ir_builder *b, ir_val x, ir_type t)
{
    DFM_ASSERT(ir_type_of(b->m, t)->rank == ir_type_of(b->m, ir_type_at(b->g, x))->rank);
    return view_by_name(b, x, t);
}

ir_val ir_fit(ir_builder *b, ir_val x, ir_type t)
{
    return view_by_name(b, ir_cast(b, x, ir_type_of(b->m, t)->dtype), t);
}

ir_val ir_rename(ir_builder *b, ir_val x, ir_dim from, ir_dim to)
{
    ir_type_info ti = *ir_type_of(b->m, ir_type_at(b->g, x));
    ir_ix coords[IR_MAX_RANK];
    DFM_ASSERT(ir_extent(b->m, from) == ir_extent(b->m, to));
    for (int i = 0; i < ti.rank; i++) {
        if (ti.dims[i].i == from.i) ti.dims[i] = to;
        coords[i] = ir_ix_var(b->m, ti.dims[i]);
    }
    return ir_view_of(b, x, ir_tensor(b->m, ti.dtype, ti.dims, ti.rank), coords, NULL, 0, 0);
}

/* autodiff_view.c - the adjoint of a view, as views and sums.
 *
 *     y[i..] = guard(i) ? x[c_1(i), .., c_n(i)] : fill
 *     dx[j..] = sum over i with guard(i) and c(i) = j of dy[i]
 *
 * Result dims that nothing mentions are summed first. A clamp in a coordinate is split into its
 * three pieces, whose adjoints add up. The rest is a system of equations (autodiff_solve.c) that
 * gives i in terms of j and of free indices f:
 *
 *     dx[j] = sum over f of (cond(j, f) ? dy[i(j, f)] : 0)
 *
 * Source dims with a constant coordinate stay out of the sum and are put in by a last view.
 */
#include "compiler/pass/autodiff_int.h"
#include "compiler/pass/autodiff_solve.h"

typedef struct piece {                       /* a view without some of its clamps */
    ir_ix coords[IR_MAX_RANK];
    uint32_t n_conds;
    ir_cond *conds;
} piece;

typedef struct view_case {
    ir_builder *b;
    dfm_arena *tmp;
    ir_val dy;
    ir_type_info src, res;                   /* types of the source and of dy */
    ir_type src_type;
} view_case;

/* -- clamps ---------------------------------------------------------------------------------- */

/* An innermost clamp in e, or none. */
static ir_ix find_clamp(const ir_module *m, ir_ix e)
{
    const ir_ix_node *x = ir_ix_of(m, e);
    ir_ix found = {0};
    if (x->a.i) found = find_clamp(m, x->a);
    if (!found.i && x->b.i) found = find_clamp(m, x->b);
    return found.i || x->kind != IX_CLAMP ? found : e;
}

static ir_ix replace(ir_module *m, ir_ix e, ir_ix old, ir_ix by)
{
    if (e.i == old.i) return by;
    ir_ix_node x = *ir_ix_of(m, e);
    switch (x.kind) {
    case IX_ADD: return ir_ix_add(m, replace(m, x.a, old, by), replace(m, x.b, old, by));
    case IX_MUL: return ir_ix_mul(m, replace(m, x.a, old, by), x.c);
    case IX_DIV: return ir_ix_div(m, replace(m, x.a, old, by), x.c);
    case IX_MOD: return ir_ix_mod(m, replace(m, x.a, old, by), x.c);
    case IX_CLAMP: return ir_ix_clamp(m, replace(m, x.a, old, by), x.c, x.c2);
    default: return e;
    }
}

/* p with `clamp` replaced by `by` where lo <= clamp.a <= hi. */
static piece with_clamp(const view_case *v, const piece *p, ir_ix clamp, ir_ix by, int64_t lo,
                        int64_t hi)
{
    ir_module *m = v->b->m;
    piece q = {.n_conds = p->n_conds + 1, .conds = dfm_new_n(v->tmp, ir_cond, p->n_conds + 1)};
    for (int i = 0; i < v->src.rank; i++) q.coords[i] = replace(m, p->coords[i], clamp, by);
    for (uint32_t i = 0; i < p->n_conds; i++) {
        q.conds[i] = p->conds[i];
        q.conds[i].e = replace(m, p->conds[i].e, clamp, by);
    }
    q.conds[p->n_conds] = (ir_cond){ir_ix_of(m, clamp)->a, lo, hi};
    return q;
}

/* -- one piece ------------------------------------------------------------------------------- */

static bool has_dim(const ir_type_info *t, ir_dim d)
{
    for (int i = 0; i < t->rank; i++)
        if (t->dims[i].i == d.i) return true;
    return false;
}

/* Is the index of result dim d simply that of source dim d? */
static bool is_same_index(const view_case *v, const piece *p, ir_dim d)
{
    for (int k = 0; k < v->src.rank; k++)
        if (v->src.dims[k].i == d.i)
            return p->coords[k].i == ir_ix_var(v->b->m, d).i;
    return false;
}

static void take(ad_solver *s, ir_dim d) { s->taken[s->n_taken++] = d; }

static bool is_taken(const ad_solver *s, ir_dim d)
{
    for (uint32_t i = 0; i < s->n_taken; i++)
        if (s->taken[i].i == d.i) return true;
    return false;
}

/* One unknown per result dim, under a name that no source dim has; except where a dim keeps its
 * index: then it is the source's. */
static void name_unknowns(const view_case *v, const piece *p, ad_solver *s)
{
    for (int k = 0; k < v->src.rank; k++) take(s, v->src.dims[k]);
    for (int k = 0; k < v->res.rank; k++)
        if (!has_dim(&v->src, v->res.dims[k])) take(s, v->res.dims[k]);
    s->n_vars = v->res.rank;
    for (int k = 0; k < v->res.rank; k++) {
        ir_dim d = v->res.dims[k];
        s->var[k] = d;
        if (is_same_index(v, p, d)) {
            s->known[k] = true;
            s->sol[k] = ir_ix_var(s->m, d);
        } else if (has_dim(&v->src, d)) {
            while (is_taken(s, s->var[k])) s->var[k] = ir_dim_alias(s->m, s->var[k]);
            take(s, s->var[k]);
        }
    }
}

static ir_ix in_unknowns(const view_case *v, ad_solver *s, ir_ix e)
{
    ir_ix to[IR_MAX_RANK];
    for (uint32_t k = 0; k < s->n_vars; k++) to[k] = ir_ix_var(s->m, s->var[k]);
    return ir_ix_subst(s->m, e, v->res.dims, to, s->n_vars);
}

static bool is_const(const ir_module *m, ir_ix e) { return ir_ix_of(m, e)->kind == IX_CONST; }

/* The last view: source dims with a constant coordinate, zero elsewhere. */
static ir_val place_consts(const view_case *v, const piece *p, ir_val inner)
{
    ir_module *m = v->b->m;
    ir_ix coords[IR_MAX_RANK];
    ir_cond conds[IR_MAX_RANK];
    uint32_t n = 0, n_conds = 0;
    for (int k = 0; k < v->src.rank; k++) {
        ir_ix j = ir_ix_var(m, v->src.dims[k]);
        int64_t c = ir_ix_of(m, p->coords[k])->c;
        if (is_const(m, p->coords[k])) conds[n_conds++] = (ir_cond){j, c, c};
        else coords[n++] = j;
    }
    return ir_view_of(v->b, inner, v->src_type, coords, conds, n_conds, 0);
}

static ir_val solve_piece(const view_case *v, const piece *p)
{
    ir_module *m = v->b->m;
    ad_solver s = {.m = m, .tmp = v->tmp};
    ir_dim dims[3 * IR_MAX_RANK];
    ir_ix coords[IR_MAX_RANK];
    uint32_t rank = 0;
    name_unknowns(v, p, &s);
    for (int k = 0; k < v->src.rank; k++) {
        if (is_const(m, p->coords[k])) continue;
        dims[rank++] = v->src.dims[k];
        ir_ix lhs = in_unknowns(v, &s, p->coords[k]), rhs = ir_ix_var(m, v->src.dims[k]);
        if (lhs.i != rhs.i) ad_solve_eq(&s, lhs, rhs);
    }
    ad_solve(&s);
    for (uint32_t i = 0; i < p->n_conds; i++)
        ad_solve_cond(&s, ad_solved(&s, in_unknowns(v, &s, p->conds[i].e)), p->conds[i].lo,
                      p->conds[i].hi);
    ad_solve_tighten(&s);
    if (s.empty) return (ir_val){0};
    for (uint32_t i = 0; i < s.n_free; i++) dims[rank++] = s.free[i];
    ir_type t = ir_tensor(m, v->res.dtype, dims, rank);
    for (int k = 0; k < v->res.rank; k++) coords[k] = s.sol[k];
    ir_val x = ir_view_of(v->b, v->dy, t, coords, s.conds.p, s.conds.n, 0);
    x = ir_reduce_over(v->b, IR_RED_SUM, x, s.free, s.n_free);
    return place_consts(v, p, x);
}

static ir_val adjoint_of(const view_case *v, const piece *p)
{
    ir_module *m = v->b->m;
    ir_ix clamp = {0};
    for (int k = 0; k < v->src.rank && !clamp.i; k++) clamp = find_clamp(m, p->coords[k]);
    if (!clamp.i) return solve_piece(v, p);
    ir_ix_node e = *ir_ix_of(m, clamp);
    int64_t lo, hi;
    ir_ix_range(m, e.a, &lo, &hi);
    struct { ir_ix by; int64_t lo, hi; } cut[3] = {
        {ir_ix_const(m, e.c), lo, e.c - 1},
        {e.a, e.c, e.c2},
        {ir_ix_const(m, e.c2), e.c2 + 1, hi},
    };
    ir_val all = {0};
    for (int k = 0; k < 3; k++) {
        if (cut[k].lo > cut[k].hi) continue;
        piece q = with_clamp(v, p, clamp, cut[k].by, cut[k].lo, cut[k].hi);
        ir_val part = adjoint_of(v, &q);
        if (part.i) all = all.i ? ir_map2(v->b, IR_FN_ADD, all, part) : part;
    }
    return all;
}

/* -- the entry ------------------------------------------------------------------------------- */

/* Sum dy over the result dims that neither a coordinate nor the guard mentions. */
static ir_val sum_idle(ir_builder *b, ir_val dy, const ir_view *at, int src_rank)
{
    ir_type_info t = *ir_type_of(b->m, ir_type_at(b->g, dy));
    ir_dim idle[IR_MAX_RANK];
    uint32_t n = 0;
    for (int i = 0; i < t.rank; i++) {
        bool used = false;
        for (int k = 0; k < src_rank; k++) used |= ir_ix_uses(b->m, at->coords[k], t.dims[i]);
        for (uint32_t k = 0; k < at->n_conds; k++)
            used |= ir_ix_uses(b->m, at->guard[k].e, t.dims[i]);
        if (!used) idle[n++] = t.dims[i];
    }
    return ir_reduce_over(b, IR_RED_SUM, dy, idle, n);
}

ir_val ad_view_adjoint(ir_builder *b, dfm_arena *tmp, ir_val dy, const ir_view *at, ir_type src)
{
    ir_type_info st = *ir_type_of(b->m, src);
    dy = sum_idle(b, dy, at, st.rank);
    view_case v = {.b = b, .tmp = tmp, .dy = dy, .src = st};
    v.res = *ir_type_of(b->m, ir_type_at(b->g, dy));
    v.src_type = ir_with_dtype(b->m, src, v.res.dtype);
    piece p = {.n_conds = at->n_conds};
    for (int k = 0; k < st.rank; k++) p.coords[k] = at->coords[k];
    p.conds = dfm_dup(tmp, at->guard, at->n_conds * sizeof *p.conds);
    return adjoint_of(&v, &p);
}

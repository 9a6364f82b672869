/* autodiff_solve.c - solves systems of quasi-affine equations over bounded integers.
 *
 * One step at a time, the cheapest first (rules of docs/design/0003-differentiation.md):
 *
 *   known      no unknown left: the equation becomes a condition
 *   single     c * a = t: a = t // c where c divides t; a variable gets its range as condition
 *   radix      c * A + b = t with 0 <= b < c: A = t // c and b = t % c
 *   digits     x // 6 = t, (x // 2) % 3 = u, x % 2 = w: x = 6 t + 2 u + w; digits that are
 *              missing become free indices
 *   overlap    i + j = t: i = t - j, with j free
 *   give up    the unknowns of an equation become free; it becomes a condition
 *
 * A free index is one that the adjoint sums over. Conditions make every step exact, whatever is
 * chosen; the choice only decides how much is summed in vain.
 */
#include "compiler/pass/autodiff_solve.h"

enum { MAX_TERMS = 48, MAX_EQS = 256 };

typedef struct term { ir_ix atom; int64_t coef; } term;

typedef struct sum {                         /* the unknown terms of an equation */
    uint32_t n;
    term t[MAX_TERMS];
} sum;

static ir_ix num(ad_solver *s, int64_t c) { return ir_ix_const(s->m, c); }
static ir_ix plus(ad_solver *s, ir_ix a, ir_ix b) { return ir_ix_add(s->m, a, b); }
static ir_ix times(ad_solver *s, ir_ix a, int64_t c) { return ir_ix_mul(s->m, a, c); }

void ad_solve_eq(ad_solver *s, ir_ix lhs, ir_ix rhs)
{
    DFM_ASSERT(s->eqs.n < MAX_EQS);
    dfm_push(s->tmp, &s->eqs, ((ad_eqn){lhs, rhs, false}));
}

void ad_solve_cond(ad_solver *s, ir_ix e, int64_t lo, int64_t hi)
{
    int64_t l, h;
    ir_ix_range(s->m, e, &l, &h);
    if (h < lo || l > hi) s->empty = true;
    if (l >= lo && h <= hi) return;
    dfm_push(s->tmp, &s->conds, ((ir_cond){e, lo, hi}));
}

ir_ix ad_solved(ad_solver *s, ir_ix e)
{
    ir_dim from[IR_MAX_RANK];
    ir_ix to[IR_MAX_RANK];
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->n_vars; i++) {
        if (!s->known[i]) continue;
        from[n] = s->var[i];
        to[n++] = s->sol[i];
    }
    return ir_ix_subst(s->m, e, from, to, n);
}

static bool unknown_in(const ad_solver *s, ir_ix e)
{
    for (uint32_t i = 0; i < s->n_vars; i++)
        if (!s->known[i] && ir_ix_uses(s->m, e, s->var[i])) return true;
    return false;
}

static uint32_t var_of(const ad_solver *s, ir_ix atom)           /* n_vars if it is none */
{
    const ir_ix_node *e = ir_ix_of(s->m, atom);
    for (uint32_t i = 0; i < s->n_vars && e->kind == IX_VAR; i++)
        if (!s->known[i] && s->var[i].i == e->var.i) return i;
    return s->n_vars;
}

static void set_known(ad_solver *s, uint32_t i, ir_ix e)
{
    s->known[i] = true;
    s->sol[i] = e;
    for (uint32_t k = 0; k < s->eqs.n; k++) {
        ad_eqn *q = &s->eqs.p[k];
        if (!q->done) q->lhs = ir_ix_subst(s->m, q->lhs, &s->var[i], &e, 1);
    }
}

static void set_free(ad_solver *s, uint32_t i)
{
    DFM_ASSERT(s->n_free < AD_MAX_FREE);
    s->free[s->n_free++] = s->var[i];
    s->known[i] = true;
    s->sol[i] = ir_ix_var(s->m, s->var[i]);
}

/* A new dim of the given extent that stands for nothing yet. */
static ir_dim fresh_dim(ad_solver *s, int64_t extent)
{
    dfm_name name = dfm_intern(s->m->names, dfm_fmt(s->tmp, "r%lld", (long long)extent));
    ir_dim d = ir_dim_new(s->m, name, extent, (dfm_loc){0});
    for (;; d = ir_dim_alias(s->m, d)) {
        bool used = false;
        for (uint32_t i = 0; i < s->n_taken; i++) used |= s->taken[i].i == d.i;
        for (uint32_t i = 0; i < s->n_free; i++) used |= s->free[i].i == d.i;
        if (!used) return d;
    }
}

static ir_ix fresh_free(ad_solver *s, int64_t extent)
{
    if (extent == 1) return num(s, 0);
    DFM_ASSERT(s->n_free < AD_MAX_FREE);
    ir_dim d = fresh_dim(s, extent);
    s->free[s->n_free++] = d;
    return ir_ix_var(s->m, d);
}

/* -- one equation ---------------------------------------------------------------------------- */

/* Split coef * e into unknown terms (to out) and knowns (subtracted from *rhs). */
static void collect(ad_solver *s, ir_ix e, int64_t coef, sum *out, ir_ix *rhs)
{
    ir_ix_node x = *ir_ix_of(s->m, e);
    if (x.kind == IX_ADD) {
        collect(s, x.a, coef, out, rhs);
        collect(s, x.b, coef, out, rhs);
    } else if (x.kind == IX_MUL) {
        collect(s, x.a, coef * x.c, out, rhs);
    } else if (unknown_in(s, e)) {
        DFM_ASSERT(out->n < MAX_TERMS);
        out->t[out->n++] = (term){e, coef};
    } else {
        *rhs = plus(s, *rhs, times(s, e, -coef));
    }
}

static bool step_single(ad_solver *s, ad_eqn *e, term t, ir_ix rhs)
{
    if (t.coef < 0) {
        rhs = times(s, rhs, -1);
        t.coef = -t.coef;
    }
    if (t.coef > 1) {
        ad_solve_cond(s, ir_ix_mod(s->m, rhs, t.coef), 0, 0);
        rhs = ir_ix_div(s->m, rhs, t.coef);
    }
    bool changed = e->lhs.i != t.atom.i || e->rhs.i != rhs.i;
    e->lhs = t.atom;
    e->rhs = rhs;
    uint32_t i = var_of(s, t.atom);
    if (i == s->n_vars) return changed;
    e->done = true;
    ad_solve_cond(s, rhs, 0, ir_extent(s->m, s->var[i]) - 1);
    set_known(s, i, rhs);
    return true;
}

/* Every term as c * digit with c > 0 and 0 <= digit < width, largest c first; returns what the
 * digits leave out: sum of terms = sum of c * digit + offset. */
static int64_t as_digits(ad_solver *s, sum *u, int64_t *width)
{
    int64_t offset = 0;
    for (uint32_t k = 0; k < u->n; k++) {
        int64_t lo, hi, c = u->t[k].coef;
        ir_ix_range(s->m, u->t[k].atom, &lo, &hi);
        width[k] = hi - lo + 1;
        if (c > 0) {
            offset += c * lo;
            u->t[k].atom = plus(s, u->t[k].atom, num(s, -lo));
        } else {
            offset += c * hi;
            u->t[k] = (term){plus(s, times(s, u->t[k].atom, -1), num(s, hi)), -c};
        }
    }
    for (uint32_t i = 1; i < u->n; i++)
        for (uint32_t k = i; k > 0 && u->t[k].coef > u->t[k - 1].coef; k--) {
            term t = u->t[k];
            int64_t w = width[k];
            u->t[k] = u->t[k - 1];
            width[k] = width[k - 1];
            u->t[k - 1] = t;
            width[k - 1] = w;
        }
    return offset;
}

/* g * A + b = t with 0 <= b < g, where g divides the coefficients of the terms in A. */
static bool step_radix(ad_solver *s, ad_eqn *e, sum u, ir_ix rhs)
{
    int64_t width[MAX_TERMS], g = 0;
    int64_t offset = as_digits(s, &u, width);
    for (uint32_t k = 1; k < u.n; k++) {
        int64_t low = 0;
        g = ir_gcd(g, u.t[k - 1].coef);
        for (uint32_t i = k; i < u.n; i++) low += u.t[i].coef * (width[i] - 1);
        if (low >= g) continue;
        ir_ix t = plus(s, rhs, num(s, -offset)), hi = num(s, 0), lo = num(s, 0);
        for (uint32_t i = 0; i < k; i++) hi = plus(s, hi, times(s, u.t[i].atom, u.t[i].coef / g));
        for (uint32_t i = k; i < u.n; i++) lo = plus(s, lo, times(s, u.t[i].atom, u.t[i].coef));
        e->done = true;
        ad_solve_eq(s, hi, ir_ix_div(s->m, t, g));
        ad_solve_eq(s, lo, ir_ix_mod(s->m, t, g));
        return true;
    }
    return false;
}

static bool step(ad_solver *s, uint32_t k)
{
    ad_eqn e = s->eqs.p[k];
    sum u = {0};
    collect(s, e.lhs, 1, &u, &e.rhs);
    bool progress = true;
    if (!u.n) {
        e.lhs = num(s, 0);
        ad_solve_cond(s, e.rhs, 0, 0);
        e.done = true;
        s->eqs.p[k] = e;
    } else if (u.n == 1) {
        progress = step_single(s, &e, u.t[0], e.rhs);
        s->eqs.p[k] = e;
    } else {
        ir_ix lhs = num(s, 0);
        for (uint32_t i = 0; i < u.n; i++) lhs = plus(s, lhs, times(s, u.t[i].atom, u.t[i].coef));
        progress = lhs.i != e.lhs.i && ir_ix_of(s->m, lhs)->kind != IX_ADD;
        e.lhs = lhs;
        if (step_radix(s, &e, u, e.rhs)) progress = true;
        s->eqs.p[k] = e;                     /* step_radix may have moved the array */
    }
    return progress;
}

/* -- digits ---------------------------------------------------------------------------------- */

typedef struct digit {                       /* (base // lo) % (hi / lo) = rhs; hi 0: no modulus */
    ir_ix base, rhs;
    int64_t lo, hi;
    uint32_t eq;
} digit;

static bool digit_of(const ad_solver *s, const ad_eqn *e, digit *out)
{
    ir_ix_node x = *ir_ix_of(s->m, e->lhs);
    if (e->done || (x.kind != IX_DIV && x.kind != IX_MOD)) return false;
    ir_ix_node a = *ir_ix_of(s->m, x.a);
    *out = (digit){.base = x.a, .rhs = e->rhs};
    if (x.kind == IX_DIV) {
        out->lo = x.c;
    } else if (a.kind == IX_DIV) {
        out->base = a.a;
        out->lo = a.c;
        out->hi = a.c * x.c;
    } else {
        out->lo = 1;
        out->hi = x.c;
    }
    return true;
}

enum { MAX_DIGITS = 24 };

typedef struct chain {                       /* digits of one base that fit together */
    uint32_t n;
    digit d[MAX_DIGITS];
    double cost;                             /* product of the free extents */
} chain;

static chain chain_of(const ad_solver *s, ir_ix base)
{
    chain all = {0}, c = {.cost = 1};
    for (uint32_t k = 0; k < s->eqs.n && all.n < MAX_DIGITS; k++) {
        digit d;
        if (!digit_of(s, &s->eqs.p[k], &d) || d.base.i != base.i) continue;
        d.eq = k;
        uint32_t at = all.n++;
        for (; at > 0 && all.d[at - 1].lo > d.lo; at--) all.d[at] = all.d[at - 1];
        all.d[at] = d;
    }
    int64_t pos = 1, lo, hi;
    for (uint32_t k = 0; k < all.n && pos; k++) {
        digit d = all.d[k];
        if (d.lo < pos || d.lo % pos) continue;
        c.cost *= (double)(d.lo / pos);
        c.d[c.n++] = d;
        pos = d.hi;
    }
    ir_ix_range(s->m, base, &lo, &hi);
    if (pos) c.cost *= (double)(hi / pos - (lo >= 0 ? lo / pos : -((-lo + pos - 1) / pos)) + 1);
    return c;
}

static void apply_chain(ad_solver *s, const chain *c)
{
    ir_ix base = c->d[0].base, x = num(s, 0);
    int64_t pos = 1, lo, hi;
    for (uint32_t k = 0; k < c->n; k++) {
        const digit *d = &c->d[k];
        if (d->lo > pos) x = plus(s, x, times(s, fresh_free(s, d->lo / pos), pos));
        if (d->hi) ad_solve_cond(s, d->rhs, 0, d->hi / d->lo - 1);
        x = plus(s, x, times(s, d->rhs, d->lo));
        s->eqs.p[d->eq].done = true;
        pos = d->hi;
    }
    if (pos) {
        ir_ix_range(s->m, ir_ix_div(s->m, base, pos), &lo, &hi);
        ir_ix top = plus(s, fresh_free(s, hi - lo + 1), num(s, lo));
        x = plus(s, x, times(s, top, pos));
    }
    ad_solve_eq(s, base, x);
}

/* -- overlaps -------------------------------------------------------------------------------- */

typedef struct overlap {
    uint32_t eq, var;
    double cost;
} overlap;

static double cost_without(const ad_solver *s, ir_ix lhs, uint32_t var)
{
    double cost = 1;
    for (uint32_t i = 0; i < s->n_vars; i++)
        if (i != var && !s->known[i] && ir_ix_uses(s->m, lhs, s->var[i]))
            cost *= (double)ir_extent(s->m, s->var[i]);
    return cost;
}

/* The variable to solve an equation for so that the others, made free, have the fewest values. */
static bool best_overlap(ad_solver *s, overlap *best)
{
    bool found = false;
    for (uint32_t k = 0; k < s->eqs.n; k++) {
        if (s->eqs.p[k].done) continue;
        sum u = {0};
        ir_ix rhs = s->eqs.p[k].rhs;
        collect(s, s->eqs.p[k].lhs, 1, &u, &rhs);
        for (uint32_t i = 0; i < u.n; i++) {
            uint32_t var = var_of(s, u.t[i].atom), uses = 0;
            if (var == s->n_vars) continue;
            for (uint32_t j = 0; j < u.n; j++) uses += ir_ix_uses(s->m, u.t[j].atom, s->var[var]);
            double cost = cost_without(s, s->eqs.p[k].lhs, var);
            if (uses != 1 || (found && cost >= best->cost)) continue;
            *best = (overlap){k, var, cost};
            found = true;
        }
    }
    return found;
}

static void free_all_in(ad_solver *s, ir_ix lhs, uint32_t except)
{
    for (uint32_t i = 0; i < s->n_vars; i++)
        if (i != except && !s->known[i] && ir_ix_uses(s->m, lhs, s->var[i])) set_free(s, i);
}

/* -- all of it ------------------------------------------------------------------------------- */

static bool stuck(ad_solver *s)                     /* true when nothing is left to do */
{
    chain best = {0};
    overlap over = {0};
    for (uint32_t k = 0; k < s->eqs.n; k++) {
        digit d;
        if (!digit_of(s, &s->eqs.p[k], &d)) continue;
        chain c = chain_of(s, d.base);
        if (c.n && (!best.n || c.cost < best.cost)) best = c;
    }
    bool can_free = best_overlap(s, &over);
    if (best.n && (!can_free || best.cost <= over.cost)) {
        apply_chain(s, &best);
    } else if (can_free) {
        free_all_in(s, s->eqs.p[over.eq].lhs, over.var);
    } else {
        uint32_t k = 0;
        while (k < s->eqs.n && s->eqs.p[k].done) k++;
        if (k == s->eqs.n) return true;
        free_all_in(s, s->eqs.p[k].lhs, s->n_vars);
    }
    return false;
}

void ad_solve(ad_solver *s)
{
    do {
        bool progress = true;
        while (progress) {
            progress = false;
            for (uint32_t k = 0; k < s->eqs.n; k++)
                if (!s->eqs.p[k].done) progress |= step(s, k);
        }
    } while (!stuck(s));
    for (uint32_t i = 0; i < s->n_vars; i++)
        if (!s->known[i]) set_free(s, i);
}

/* -- shrinking free dims --------------------------------------------------------------------- */

/* Bounds that conditions on d alone put on it. */
static void bounds_of(const ad_solver *s, ir_dim d, int64_t *lo, int64_t *hi)
{
    *lo = 0;
    *hi = ir_extent(s->m, d) - 1;
    for (uint32_t k = 0; k < s->conds.n; k++) {
        ir_dim var;
        int64_t coef, c;
        uint32_t n;
        const ir_cond *g = &s->conds.p[k];
        if (!ir_ix_affine(s->m, g->e, &var, &coef, 1, &n, &c) || n != 1 || var.i != d.i) continue;
        if (coef != 1 && coef != -1) continue;
        int64_t a = coef > 0 ? g->lo - c : c - g->hi, b = coef > 0 ? g->hi - c : c - g->lo;
        if (a > *lo) *lo = a;
        if (b < *hi) *hi = b;
    }
}

static void substitute(ad_solver *s, ir_dim d, ir_ix e)
{
    uint32_t n = s->conds.n;
    for (uint32_t i = 0; i < s->n_vars; i++) s->sol[i] = ir_ix_subst(s->m, s->sol[i], &d, &e, 1);
    ir_cond *old = dfm_dup(s->tmp, s->conds.p, n * sizeof *old);
    s->conds.n = 0;
    for (uint32_t i = 0; i < n; i++)
        ad_solve_cond(s, ir_ix_subst(s->m, old[i].e, &d, &e, 1), old[i].lo, old[i].hi);
}

void ad_solve_tighten(ad_solver *s)
{
    for (uint32_t k = 0; k < s->n_free && !s->empty; k++) {
        int64_t lo, hi;
        ir_dim d = s->free[k];
        bounds_of(s, d, &lo, &hi);
        if (lo > hi) s->empty = true;
        if (s->empty || (lo == 0 && hi == ir_extent(s->m, d) - 1)) continue;
        s->free[k] = hi > lo ? fresh_dim(s, hi - lo + 1) : (ir_dim){0};
        ir_ix at = hi > lo ? ir_ix_var(s->m, s->free[k]) : num(s, 0);
        substitute(s, d, plus(s, at, num(s, lo)));
    }
    uint32_t n = 0;
    for (uint32_t k = 0; k < s->n_free; k++)
        if (s->free[k].i) s->free[n++] = s->free[k];
    s->n_free = n;
}

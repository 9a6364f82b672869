/* ir_index.c - quasi-affine index expressions in a canonical form.
 *
 * Canonical form: a sum of terms coefficient * atom plus a constant, terms sorted by structure;
 * an atom is a variable, a division, a remainder or a clamp. A sum is stored as a chain of ADD
 * to the left with the constant last. What is simplified:
 *
 *   division   whole multiples of the divisor leave it; common factors cancel; a part smaller
 *              than a common factor of the rest vanishes: (c a + b) // c = a for 0 <= b < c;
 *              (x // a) // b = x // (a b); (x % (a b)) // a = (x // a) % b
 *   remainder  likewise; x % c = x - k c where the range of x shows it
 *   sum        c (x // c) + x % c = x;  c ((x // c) % b) + x % c = x % (b c);
 *              x - c (x // c) = x % c
 *   clamp      vanishes where the range shows it; bounds shrink to the range
 *
 * Arithmetic on constants saturates, so hostile text cannot overflow. Sums of more than MAX_TERMS
 * terms (no front end makes them) are left as they are.
 */
#include "compiler/ir/ir_impl.h"

#include <string.h>

#include "runtime/base/hash.h"

enum { MAX_TERMS = 48 };

typedef struct lin {
    uint32_t n;
    ir_ix atom[MAX_TERMS];
    int64_t coef[MAX_TERMS];
    int64_t c;
} lin;

/* -- interning ------------------------------------------------------------------------------- */

static uint64_t node_hash(const ir_ix_node *x)
{
    int64_t w[6] = {x->kind, x->var.i, x->a.i, x->b.i, x->c, x->c2};
    return dfm_hash64(w, sizeof w, 7);
}

static bool node_same(const ir_ix_node *x, const ir_ix_node *y)
{
    return x->kind == y->kind && x->var.i == y->var.i && x->a.i == y->a.i && x->b.i == y->b.i
        && x->c == y->c && x->c2 == y->c2;
}

static void ixs_rehash(ir_module *m)
{
    ir_slots *s = &m->intern->ixs;
    s->n = s->n ? s->n * 2 : 512;
    s->p = dfm_new_n(m->arena, uint32_t, s->n);
    for (uint32_t i = 1; i < m->ixs.n; i++) {
        uint64_t h = node_hash(&m->ixs.p[i]);
        while (s->p[h & (s->n - 1)]) h++;
        s->p[h & (s->n - 1)] = i;
    }
}

ir_ix ir_ix_raw(ir_module *m, const ir_ix_node *node)
{
    ir_slots *s = &m->intern->ixs;
    if (m->ixs.n * 2 >= s->n) ixs_rehash(m);
    uint64_t h = node_hash(node);
    for (; s->p[h & (s->n - 1)]; h++) {
        uint32_t i = s->p[h & (s->n - 1)];
        if (node_same(&m->ixs.p[i], node)) return (ir_ix){i};
    }
    s->p[h & (s->n - 1)] = m->ixs.n;
    dfm_push(m->arena, &m->ixs, *node);
    return (ir_ix){m->ixs.n - 1};
}

const ir_ix_node *ir_ix_of(const ir_module *m, ir_ix x) { return &m->ixs.p[x.i]; }

static int cmp64(int64_t a, int64_t b) { return a < b ? -1 : a > b; }

int ir_ix_compare(const ir_module *m, ir_ix a, ir_ix b)
{
    if (a.i == b.i) return 0;
    const ir_ix_node *x = ir_ix_of(m, a), *y = ir_ix_of(m, b);
    int r = cmp64(x->kind, y->kind);
    if (!r) r = cmp64(x->var.i, y->var.i);
    if (!r) r = ir_ix_compare(m, x->a, y->a);
    if (!r) r = ir_ix_compare(m, x->b, y->b);
    if (!r) r = cmp64(x->c, y->c);
    return r ? r : cmp64(x->c2, y->c2);
}

ir_ix ir_ix_const(ir_module *m, int64_t c)
{
    return ir_ix_raw(m, &(ir_ix_node){.kind = IX_CONST, .c = c});
}

ir_ix ir_ix_var(ir_module *m, ir_dim d)
{
    DFM_ASSERT(d.i && d.i < m->dims.n);
    return ir_ix_raw(m, &(ir_ix_node){.kind = IX_VAR, .var = d});
}

/* -- ranges and values ----------------------------------------------------------------------- */

static int64_t clamp64(int64_t x, int64_t lo, int64_t hi)
{
    x = x > lo ? x : lo;
    return x < hi ? x : hi;
}

static void mod_range(int64_t c, int64_t *lo, int64_t *hi)
{
    if (ir_floor_div(*lo, c) == ir_floor_div(*hi, c)) {
        *lo = ir_floor_mod(*lo, c);
        *hi = ir_floor_mod(*hi, c);
    } else {
        *lo = 0;
        *hi = c - 1;
    }
}

void ir_ix_range(const ir_module *m, ir_ix x, int64_t *lo, int64_t *hi)
{
    const ir_ix_node *e = ir_ix_of(m, x);
    int64_t l, h;
    *lo = *hi = 0;
    switch (e->kind) {
    case IX_NONE: return;
    case IX_CONST: *lo = *hi = e->c; return;
    case IX_VAR: *hi = ir_extent(m, e->var) - 1; return;
    case IX_ADD:
        ir_ix_range(m, e->a, lo, hi);
        ir_ix_range(m, e->b, &l, &h);
        *lo = ir_sat_add(*lo, l);
        *hi = ir_sat_add(*hi, h);
        return;
    case IX_MUL:
        ir_ix_range(m, e->a, &l, &h);
        *lo = ir_sat_mul(e->c >= 0 ? l : h, e->c);
        *hi = ir_sat_mul(e->c >= 0 ? h : l, e->c);
        return;
    default: break;
    }
    ir_ix_range(m, e->a, lo, hi);
    if (e->kind == IX_DIV) {
        *lo = ir_floor_div(*lo, e->c);
        *hi = ir_floor_div(*hi, e->c);
    } else if (e->kind == IX_MOD) {
        mod_range(e->c, lo, hi);
    } else {
        *lo = clamp64(*lo, e->c, e->c2);
        *hi = clamp64(*hi, e->c, e->c2);
    }
}

int64_t ir_ix_eval(const ir_module *m, ir_ix x, const ir_dim *dims, const int64_t *at, uint32_t n)
{
    const ir_ix_node *e = ir_ix_of(m, x);
    switch (e->kind) {
    case IX_CONST: return e->c;
    case IX_VAR:
        for (uint32_t i = 0; i < n; i++)
            if (dims[i].i == e->var.i) return at[i];
        return 0;
    case IX_ADD:
        return ir_sat_add(ir_ix_eval(m, e->a, dims, at, n), ir_ix_eval(m, e->b, dims, at, n));
    case IX_MUL: return ir_sat_mul(ir_ix_eval(m, e->a, dims, at, n), e->c);
    case IX_DIV: return ir_floor_div(ir_ix_eval(m, e->a, dims, at, n), e->c);
    case IX_MOD: return ir_floor_mod(ir_ix_eval(m, e->a, dims, at, n), e->c);
    case IX_CLAMP: return clamp64(ir_ix_eval(m, e->a, dims, at, n), e->c, e->c2);
    default: return 0;
    }
}

bool ir_ix_uses(const ir_module *m, ir_ix x, ir_dim d)
{
    const ir_ix_node *e = ir_ix_of(m, x);
    if (e->kind == IX_VAR) return e->var.i == d.i;
    return (e->a.i && ir_ix_uses(m, e->a, d)) || (e->b.i && ir_ix_uses(m, e->b, d));
}

/* -- linear forms ---------------------------------------------------------------------------- */

static void lin_drop(lin *s, uint32_t k)
{
    for (; k + 1 < s->n; k++) {
        s->atom[k] = s->atom[k + 1];
        s->coef[k] = s->coef[k + 1];
    }
    s->n--;
}

/* s += coef * atom, keeping the order; false if there is no room. */
static bool lin_add_atom(const ir_module *m, lin *s, ir_ix atom, int64_t coef)
{
    uint32_t k = 0;
    if (!coef) return true;
    for (; k < s->n; k++) {
        int r = ir_ix_compare(m, s->atom[k], atom);
        if (r > 0) break;
        if (r < 0) continue;
        s->coef[k] = ir_sat_add(s->coef[k], coef);
        if (!s->coef[k]) lin_drop(s, k);
        return true;
    }
    if (s->n == MAX_TERMS) return false;
    for (uint32_t i = s->n++; i > k; i--) {
        s->atom[i] = s->atom[i - 1];
        s->coef[i] = s->coef[i - 1];
    }
    s->atom[k] = atom;
    s->coef[k] = coef;
    return true;
}

/* s += coef * x */
static bool lin_add(const ir_module *m, lin *s, ir_ix x, int64_t coef)
{
    const ir_ix_node *e = ir_ix_of(m, x);
    while (e->kind == IX_ADD) {
        if (!lin_add(m, s, e->b, coef)) return false;
        x = e->a;
        e = ir_ix_of(m, x);
    }
    if (e->kind == IX_MUL) return lin_add(m, s, e->a, ir_sat_mul(coef, e->c));
    if (e->kind != IX_CONST) return lin_add_atom(m, s, x, coef);
    s->c = ir_sat_add(s->c, ir_sat_mul(e->c, coef));
    return true;
}

/* One step of the rules for sums; false if none applies. */
static bool lin_merge_once(ir_module *m, lin *s)
{
    for (uint32_t k = 0; k < s->n; k++) {
        ir_ix_node e = *ir_ix_of(m, s->atom[k]);
        int64_t coef = s->coef[k];
        if (e.kind == IX_DIV && coef % e.c == 0) {      /* x - c (x // c) = x % c */
            for (uint32_t i = 0; i < s->n; i++) {
                if (s->atom[i].i != e.a.i || s->coef[i] != ir_sat_mul(coef / e.c, -1))
                    continue;
                ir_ix rem = ir_ix_mod(m, e.a, e.c);
                int64_t times = s->coef[i];
                lin_drop(s, i > k ? i : k);
                lin_drop(s, i > k ? k : i);
                return lin_add(m, s, rem, times);
            }
        }
        if (e.kind != IX_MOD) continue;
        ir_ix q = ir_ix_div(m, e.a, e.c);
        for (uint32_t i = 0; i < s->n; i++) {
            ir_ix_node d = *ir_ix_of(m, s->atom[i]);
            bool whole = s->atom[i].i == q.i, part = d.kind == IX_MOD && d.a.i == q.i;
            if (i == k || (!whole && !part) || s->coef[i] != ir_sat_mul(coef, e.c)) continue;
            ir_ix sum = whole ? e.a : ir_ix_mod(m, e.a, ir_sat_mul(d.c, e.c));
            lin_drop(s, i > k ? i : k);
            lin_drop(s, i > k ? k : i);
            return lin_add(m, s, sum, coef);
        }
    }
    return false;
}

static ir_ix lin_make(ir_module *m, lin *s)
{
    while (lin_merge_once(m, s)) {}
    ir_ix x = {0};
    for (uint32_t k = 0; k < s->n; k++) {
        ir_ix term = s->atom[k];
        if (s->coef[k] != 1)
            term = ir_ix_raw(m, &(ir_ix_node){.kind = IX_MUL, .a = term, .c = s->coef[k]});
        x = x.i ? ir_ix_raw(m, &(ir_ix_node){.kind = IX_ADD, .a = x, .b = term}) : term;
    }
    if (!x.i) return ir_ix_const(m, s->c);
    if (!s->c) return x;
    return ir_ix_raw(m, &(ir_ix_node){.kind = IX_ADD, .a = x, .b = ir_ix_const(m, s->c)});
}

static void lin_range(const ir_module *m, const lin *s, int64_t *lo, int64_t *hi)
{
    *lo = *hi = s->c;
    for (uint32_t k = 0; k < s->n; k++) {
        int64_t l, h;
        ir_ix_range(m, s->atom[k], &l, &h);
        *lo = ir_sat_add(*lo, ir_sat_mul(s->coef[k] >= 0 ? l : h, s->coef[k]));
        *hi = ir_sat_add(*hi, ir_sat_mul(s->coef[k] >= 0 ? h : l, s->coef[k]));
    }
}

ir_ix ir_ix_add(ir_module *m, ir_ix a, ir_ix b)
{
    lin s = {0};
    if (lin_add(m, &s, a, 1) && lin_add(m, &s, b, 1)) return lin_make(m, &s);
    return ir_ix_raw(m, &(ir_ix_node){.kind = IX_ADD, .a = a, .b = b});
}

ir_ix ir_ix_mul(ir_module *m, ir_ix a, int64_t c)
{
    lin s = {0};
    if (lin_add(m, &s, a, c)) return lin_make(m, &s);
    return ir_ix_raw(m, &(ir_ix_node){.kind = IX_MUL, .a = a, .c = c});
}

/* -- division and remainder ------------------------------------------------------------------ */

int64_t ir_gcd(int64_t a, int64_t b)
{
    if (a == INT64_MIN || b == INT64_MIN) return 1;
    a = a < 0 ? -a : a;
    b = b < 0 ? -b : b;
    while (b) {
        int64_t r = a % b;
        a = b;
        b = r;
    }
    return a;
}

/* What x // c and x % c have in common:
 *     x = c * quot + g * rest + part,   0 <= part < g,   g divides c,
 * so  x // c = quot + rest // (c / g)   and   x % c = g * (rest % (c / g)) + part. */
typedef struct split {
    lin quot, rest, part;
    int64_t g;
} split;

/* Move the terms of s->rest that g does not divide (and the constant's remainder) to part. */
static bool try_factor(const ir_module *m, split *s, int64_t g)
{
    lin rest = {0}, part = {0};
    int64_t lo, hi;
    for (uint32_t k = 0; k < s->rest.n; k++) {
        bool whole = s->rest.coef[k] % g == 0;
        lin *to = whole ? &rest : &part;
        to->atom[to->n] = s->rest.atom[k];
        to->coef[to->n++] = whole ? s->rest.coef[k] / g : s->rest.coef[k];
    }
    part.c = s->rest.c;
    lin_range(m, &part, &lo, &hi);
    if (ir_floor_div(lo, g) != ir_floor_div(hi, g)) return false;
    rest.c = ir_floor_div(lo, g);
    part.c = ir_sat_add(part.c, ir_sat_mul(rest.c, -g));
    s->rest = rest;
    s->part = part;
    s->g = g;
    return true;
}

static bool split_by(const ir_module *m, ir_ix x, int64_t c, split *s)
{
    memset(s, 0, sizeof *s);
    s->g = 1;
    lin all = {0};
    int64_t lo, hi;
    if (!lin_add(m, &all, x, 1)) return false;
    lin_range(m, &all, &lo, &hi);
    if (ir_floor_div(lo, c) == ir_floor_div(hi, c)) {   /* the quotient is a constant */
        s->quot.c = ir_floor_div(lo, c);
        s->part = all;
        s->part.c = ir_sat_add(all.c, ir_sat_mul(s->quot.c, -c));
        s->g = c;
        return true;
    }
    s->quot.c = ir_floor_div(all.c, c);
    s->rest.c = ir_floor_mod(all.c, c);
    for (uint32_t k = 0; k < all.n; k++) {
        int64_t q = all.coef[k] / c, r = all.coef[k] % c;
        if (q) {
            s->quot.atom[s->quot.n] = all.atom[k];
            s->quot.coef[s->quot.n++] = q;
        }
        if (r) {
            s->rest.atom[s->rest.n] = all.atom[k];
            s->rest.coef[s->rest.n++] = r;
        }
    }
    int64_t best[MAX_TERMS + 1];
    uint32_t n = 0;
    best[n++] = c;
    for (uint32_t k = 0; k < s->rest.n; k++) best[n++] = ir_gcd(s->rest.coef[k], c);
    for (uint32_t i = 1; i < n; i++)                    /* largest factor first */
        for (uint32_t k = i; k > 0 && best[k] > best[k - 1]; k--) {
            int64_t t = best[k];
            best[k] = best[k - 1];
            best[k - 1] = t;
        }
    for (uint32_t i = 0; i < n && best[i] > 1; i++)
        if (try_factor(m, s, best[i])) break;
    return true;
}

/* The single atom that s is, or none. */
static ir_ix lone_atom(const lin *s)
{
    return s->n == 1 && s->coef[0] == 1 ? s->atom[0] : (ir_ix){0};
}

static ir_ix div_rest(ir_module *m, lin *rest, int64_t c)
{
    if (c == 1) return lin_make(m, rest);
    ir_ix atom = lone_atom(rest);
    ir_ix_node e = atom.i ? *ir_ix_of(m, atom) : (ir_ix_node){0};
    if (e.kind == IX_DIV) {                             /* (x // a + k) // c = (x + k a) // (a c) */
        ir_ix x = ir_ix_add(m, e.a, ir_ix_const(m, ir_sat_mul(rest->c, e.c)));
        return ir_ix_div(m, x, ir_sat_mul(e.c, c));
    }
    if (e.kind == IX_MOD && !rest->c && e.c % c == 0)   /* (x % (c b)) // c = (x // c) % b */
        return ir_ix_mod(m, ir_ix_div(m, e.a, c), e.c / c);
    ir_ix x = lin_make(m, rest);
    return ir_ix_raw(m, &(ir_ix_node){.kind = IX_DIV, .a = x, .c = c});
}

ir_ix ir_ix_div(ir_module *m, ir_ix a, int64_t c)
{
    DFM_ASSERT(c > 0);
    split s;
    if (c == 1) return a;
    if (!split_by(m, a, c, &s))
        return ir_ix_raw(m, &(ir_ix_node){.kind = IX_DIV, .a = a, .c = c});
    ir_ix q = lin_make(m, &s.quot);
    if (!s.rest.n && s.g == c) return ir_ix_add(m, q, ir_ix_const(m, s.rest.c));
    return ir_ix_add(m, q, div_rest(m, &s.rest, c / s.g));
}

static ir_ix mod_rest(ir_module *m, const lin *rest, int64_t c)
{
    lin s = *rest;
    int64_t lo, hi;
    if (c == 1) return ir_ix_const(m, 0);
    for (uint32_t k = 0; k < s.n; k++) {                /* (b (x % (a c))) % c = (b x) % c */
        ir_ix_node e = *ir_ix_of(m, s.atom[k]);
        int64_t coef = s.coef[k];
        if (e.kind != IX_MOD || ir_sat_mul(coef, e.c) % c) continue;
        lin_drop(&s, k);
        if (!lin_add(m, &s, e.a, coef)) {
            s = *rest;
            break;
        }
        return ir_ix_mod(m, lin_make(m, &s), c);
    }
    ir_ix x = lin_make(m, &s);
    ir_ix_range(m, x, &lo, &hi);
    if (lo >= 0 && hi < c) return x;
    return ir_ix_raw(m, &(ir_ix_node){.kind = IX_MOD, .a = x, .c = c});
}

ir_ix ir_ix_mod(ir_module *m, ir_ix a, int64_t c)
{
    DFM_ASSERT(c > 0);
    split s;
    if (c == 1) return ir_ix_const(m, 0);
    if (!split_by(m, a, c, &s))
        return ir_ix_raw(m, &(ir_ix_node){.kind = IX_MOD, .a = a, .c = c});
    ir_ix r = ir_ix_mul(m, mod_rest(m, &s.rest, c / s.g), s.g);
    return ir_ix_add(m, r, lin_make(m, &s.part));
}

ir_ix ir_ix_clamp(ir_module *m, ir_ix a, int64_t lo, int64_t hi)
{
    int64_t l, h;
    ir_ix_node e = *ir_ix_of(m, a);
    ir_ix_range(m, a, &l, &h);
    if (lo > hi) return ir_ix_const(m, hi);
    if (l >= lo && h <= hi) return a;
    if (h <= lo) return ir_ix_const(m, lo);
    if (l >= hi) return ir_ix_const(m, hi);
    if (e.kind == IX_CLAMP && lo <= e.c2 && hi >= e.c)  /* clamps that overlap are one */
        return ir_ix_clamp(m, e.a, lo > e.c ? lo : e.c, hi < e.c2 ? hi : e.c2);
    lo = lo > l ? lo : l;
    hi = hi < h ? hi : h;
    return ir_ix_raw(m, &(ir_ix_node){.kind = IX_CLAMP, .a = a, .c = lo, .c2 = hi});
}

/* -- substitution, affine view ---------------------------------------------------------------- */

ir_ix ir_ix_subst(ir_module *m, ir_ix x, const ir_dim *from, const ir_ix *to, uint32_t n)
{
    ir_ix_node e = *ir_ix_of(m, x);
    switch (e.kind) {
    case IX_VAR:
        for (uint32_t i = 0; i < n; i++)
            if (from[i].i == e.var.i) return to[i];
        return x;
    case IX_ADD:
        return ir_ix_add(m, ir_ix_subst(m, e.a, from, to, n), ir_ix_subst(m, e.b, from, to, n));
    case IX_MUL: return ir_ix_mul(m, ir_ix_subst(m, e.a, from, to, n), e.c);
    case IX_DIV: return ir_ix_div(m, ir_ix_subst(m, e.a, from, to, n), e.c);
    case IX_MOD: return ir_ix_mod(m, ir_ix_subst(m, e.a, from, to, n), e.c);
    case IX_CLAMP: return ir_ix_clamp(m, ir_ix_subst(m, e.a, from, to, n), e.c, e.c2);
    default: return x;
    }
}

bool ir_ix_affine(const ir_module *m, ir_ix x, ir_dim *dims, int64_t *coef, uint32_t cap,
                  uint32_t *out_n, int64_t *out_c)
{
    lin s = {0};
    if (!lin_add(m, &s, x, 1) || s.n > cap) return false;
    for (uint32_t k = 0; k < s.n; k++) {
        const ir_ix_node *e = ir_ix_of(m, s.atom[k]);
        if (e->kind != IX_VAR) return false;
        dims[k] = e->var;
        coef[k] = s.coef[k];
    }
    *out_n = s.n;
    *out_c = s.c;
    return true;
}

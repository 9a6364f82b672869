/* sema_dims.c - symbolic dims: polynomials over base dims and floor terms.
 *
 * A polynomial is a sorted list of terms, a term a coefficient and a sorted list of atoms. Atoms
 * are base dims, p // q and p % q. `require a % b == 0` for one atom `a` (after what the products
 * share is cancelled) replaces it by b * (a // b) in every normal form; other facts are kept in a
 * list that division consults.
 * So equality is equality of lists, and nothing is ever searched. Sizes are bounded; a polynomial
 * that grows beyond MAX_TERMS becomes an atom of its own.
 */
#include "compiler/front/sema.h"

#include "compiler/front/sema_dims.h"

enum { MAX_TERMS = 64, MAX_DEGREE = 12 };

/* -- construction ---------------------------------------------------------------------------- */

static struct sema_dims *table(sema *s)
{
    if (!s->dims) s->dims = dfm_new(s->arena, struct sema_dims);
    return s->dims;
}

static int term_cmp(const sema_term *a, const sema_term *b)
{
    if (a->n != b->n) return a->n > b->n ? -1 : 1;           /* higher degree first */
    for (uint32_t i = 0; i < a->n; i++)
        if (a->atoms[i] != b->atoms[i]) return a->atoms[i] < b->atoms[i] ? -1 : 1;
    return 0;
}

static bool poly_same(const sema_poly *a, const sema_poly *b)
{
    if (a == b) return true;
    if (a->n != b->n) return false;
    for (uint32_t i = 0; i < a->n; i++)
        if (a->t[i].coef != b->t[i].coef || term_cmp(&a->t[i], &b->t[i]) != 0) return false;
    return true;
}

/* Add c * (atoms of t) to a list of terms under construction. False on overflow. */
static bool add_term(sema *s, sema_poly *p, int64_t coef, const uint32_t *atoms, uint32_t n)
{
    sema_term t = {.coef = coef, .n = n};
    if (n) memcpy(t.atoms, atoms, n * sizeof *atoms);
    uint32_t at = 0;
    while (at < p->n && term_cmp(&p->t[at], &t) < 0) at++;
    if (at < p->n && term_cmp(&p->t[at], &t) == 0) {
        if (__builtin_add_overflow(p->t[at].coef, coef, &p->t[at].coef)) return false;
        if (p->t[at].coef == 0) {
            memmove(p->t + at, p->t + at + 1, (p->n - at - 1) * sizeof *p->t);
            p->n--;
        }
        return true;
    }
    if (coef == 0) return true;
    if (p->n >= MAX_TERMS) return false;
    if (p->n == p->cap) p->t = dfm_vec_grow(s->arena, p->t, p->n, &p->cap, sizeof *p->t);
    memmove(p->t + at + 1, p->t + at, (p->n - at) * sizeof *p->t);
    p->t[at] = t;
    p->n++;
    return true;
}

static sema_poly *poly_new(sema *s)
{
    return dfm_new(s->arena, sema_poly);
}

static const sema_poly *poly_const(sema *s, int64_t c)
{
    sema_poly *p = poly_new(s);
    add_term(s, p, c, NULL, 0);
    return p;
}

static const sema_poly *poly_atom(sema *s, uint32_t atom)
{
    sema_poly *p = poly_new(s);
    add_term(s, p, 1, &atom, 1);
    return p;
}

static bool poly_is_const(const sema_poly *p, int64_t *out)
{
    if (p->n == 0) return *out = 0, true;
    if (p->n == 1 && p->t[0].n == 0) return *out = p->t[0].coef, true;
    return false;
}

static const sema_poly *poly_add(sema *s, const sema_poly *a, const sema_poly *b, int64_t sign)
{
    sema_poly *p = poly_new(s);
    for (uint32_t i = 0; i < a->n; i++)
        if (!add_term(s, p, a->t[i].coef, a->t[i].atoms, a->t[i].n)) return NULL;
    for (uint32_t i = 0; i < b->n; i++) {
        int64_t c;
        if (__builtin_mul_overflow(b->t[i].coef, sign, &c)) return NULL;
        if (!add_term(s, p, c, b->t[i].atoms, b->t[i].n)) return NULL;
    }
    return p;
}

static bool term_mul(const sema_term *a, const sema_term *b, sema_term *out)
{
    if (a->n + b->n > MAX_DEGREE) return false;
    if (__builtin_mul_overflow(a->coef, b->coef, &out->coef)) return false;
    out->n = a->n + b->n;
    uint32_t i = 0, j = 0, k = 0;
    while (i < a->n || j < b->n) {
        bool left = j >= b->n || (i < a->n && a->atoms[i] <= b->atoms[j]);
        out->atoms[k++] = left ? a->atoms[i++] : b->atoms[j++];
    }
    return true;
}

static const sema_poly *poly_mul(sema *s, const sema_poly *a, const sema_poly *b)
{
    sema_poly *p = poly_new(s);
    for (uint32_t i = 0; i < a->n; i++)
        for (uint32_t j = 0; j < b->n; j++) {
            sema_term t;
            if (!term_mul(&a->t[i], &b->t[j], &t)) return NULL;
            if (!add_term(s, p, t.coef, t.atoms, t.n)) return NULL;
        }
    return p;
}

static bool has_replaced(const struct sema_dims *d, const sema_poly *p)
{
    for (uint32_t i = 0; i < p->n; i++)
        for (uint32_t k = 0; k < p->t[i].n; k++)
            if (d->atoms.p[p->t[i].atoms[k]].replaced) return true;
    return false;
}

/* Every atom that a fact replaced, replaced. */
static const sema_poly *poly_norm(sema *s, const sema_poly *p)
{
    struct sema_dims *d = table(s);
    if (!has_replaced(d, p)) return p;
    for (int round = 0; round < 16; round++) {
        bool again = false;
        const sema_poly *sum = poly_const(s, 0);
        for (uint32_t i = 0; i < p->n; i++) {
            const sema_poly *term = poly_const(s, p->t[i].coef);
            for (uint32_t k = 0; k < p->t[i].n && term; k++) {
                const sema_poly *by = d->atoms.p[p->t[i].atoms[k]].replaced;
                again |= by != NULL;
                term = poly_mul(s, term, by ? by : poly_atom(s, p->t[i].atoms[k]));
            }
            sum = term ? poly_add(s, sum, term, 1) : NULL;
            if (!sum) return p;
        }
        if (!again) return p;
        p = sum;
    }
    return p;
}

/* -- atoms ------------------------------------------------------------------------------------- */

static uint32_t atom_of(sema *s, sema_atom_kind kind, const sema_poly *p, const sema_poly *q,
                        int64_t value, bool fixed, bool unbound)
{
    struct sema_dims *d = table(s);
    for (uint32_t i = 0; i < d->atoms.n; i++) {
        const sema_atom *a = &d->atoms.p[i];
        if (a->kind == kind && poly_same(a->p, p) && poly_same(a->q, q)) return i;
    }
    sema_atom a = {.kind = kind, .p = p, .q = q, .value = value, .fixed = fixed,
                   .unbound = unbound};
    dfm_push(s->arena, &d->atoms, a);
    return d->atoms.n - 1;
}

/* Value and flags of a polynomial; false on overflow. */
static bool poly_value(sema *s, const sema_poly *p, int64_t *out, bool *fixed, bool *unbound)
{
    struct sema_dims *d = table(s);
    *out = 0;
    *fixed = true;
    *unbound = false;
    for (uint32_t i = 0; i < p->n; i++) {
        int64_t v = p->t[i].coef;
        for (uint32_t k = 0; k < p->t[i].n; k++) {
            const sema_atom *a = &d->atoms.p[p->t[i].atoms[k]];
            if (__builtin_mul_overflow(v, a->value, &v)) return false;
            *fixed &= a->fixed;
            *unbound |= a->unbound;
        }
        if (__builtin_add_overflow(*out, v, out)) return false;
    }
    return true;
}

/* -- dims -------------------------------------------------------------------------------------- */

static const sema_dim *dim_add(sema *s, sema_dim proto)
{
    struct sema_dims *d = table(s);
    sema_dim *x = dfm_new(s->arena, sema_dim);
    *x = proto;
    x->id = d->dims.n;
    dfm_push(s->arena, &d->dims, x);
    return x;
}

/* The normal form under the facts known now. */
static const sema_poly *dim_norm(sema *s, const sema_dim *x)
{
    struct sema_dims *d = table(s);
    sema_dim *w = d->dims.p[x->id];
    if (!w->norm || w->norm_facts != d->facts.n) {
        w->norm = poly_norm(s, w->nf);
        w->norm_facts = d->facts.n;
    }
    return w->norm;
}

static const sema_dim *anonymous(sema *s, const sema_poly *nf, dfm_loc loc)
{
    struct sema_dims *d = table(s);
    nf = poly_norm(s, nf);
    for (uint32_t i = 0; i < d->dims.n; i++) {
        const sema_dim *x = d->dims.p[i];
        if ((!x->name || x->is_base) && poly_same(dim_norm(s, x), nf)) return x;
    }
    sema_dim proto = {.nf = nf, .loc = loc};
    if (!poly_value(s, nf, &proto.value, &proto.fixed, &proto.unbound)) {
        sema_error(s, E0310, loc, "the value of this dim expression is too large");
        return NULL;
    }
    return dim_add(s, proto);
}

const sema_dim *sema_dim_int(sema *s, int64_t v)
{
    return anonymous(s, poly_const(s, v), (dfm_loc){0});
}

const sema_dim *sema_dim_base(sema *s, const char *name, int64_t value, bool fixed, bool unbound,
                              const sema_dim *ragged_over, dfm_loc loc)
{
    sema_dim proto = {.name = dfm_strdup(s->arena, name), .value = value, .fixed = fixed,
                      .unbound = unbound, .ragged_over = ragged_over, .is_base = true, .loc = loc};
    struct sema_dims *d = table(s);
    sema_atom a = {.kind = ATOM_BASE, .p = poly_const(s, 0), .q = poly_const(s, d->atoms.n + 1),
                   .name = proto.name, .value = value, .fixed = fixed, .unbound = unbound};
    dfm_push(s->arena, &d->atoms, a);
    proto.nf = poly_atom(s, d->atoms.n - 1);
    return dim_add(s, proto);
}

const sema_dim *sema_dim_named(sema *s, const char *name, const sema_dim *def, dfm_loc loc)
{
    struct sema_dims *d = table(s);
    for (uint32_t i = 0; i < d->dims.n; i++) {
        const sema_dim *x = d->dims.p[i];
        if (x->name && strcmp(x->name, name) == 0 && poly_same(x->nf, def->nf)) return x;
    }
    sema_dim proto = {.name = dfm_strdup(s->arena, name), .nf = def->nf, .value = def->value,
                      .fixed = def->fixed, .unbound = def->unbound,
                      .ragged_over = def->ragged_over, .loc = loc};
    return dim_add(s, proto);
}

/* -- division ---------------------------------------------------------------------------------- */

static bool term_div(const sema_term *a, const sema_term *b, sema_term *out)
{
    if (b->coef == 0 || a->coef % b->coef != 0) return false;
    out->coef = a->coef / b->coef;
    out->n = 0;
    uint32_t j = 0;
    for (uint32_t i = 0; i < a->n; i++) {
        if (j < b->n && a->atoms[i] == b->atoms[j]) j++;
        else out->atoms[out->n++] = a->atoms[i];
    }
    return j == b->n;
}

/* p / q as a polynomial, or NULL: q of one term, or p a multiple of q by one term. */
static const sema_poly *poly_div(sema *s, const sema_poly *p, const sema_poly *q)
{
    if (q->n == 0) return NULL;
    if (q->n == 1) {
        sema_poly *r = poly_new(s);
        for (uint32_t i = 0; i < p->n; i++) {
            sema_term t;
            if (!term_div(&p->t[i], &q->t[0], &t)) return NULL;
            if (!add_term(s, r, t.coef, t.atoms, t.n)) return NULL;
        }
        return r;
    }
    sema_term lead;
    if (p->n == 0) return p;
    if (!term_div(&p->t[0], &q->t[0], &lead)) return NULL;
    sema_poly *r = poly_new(s);
    add_term(s, r, lead.coef, lead.atoms, lead.n);
    const sema_poly *back = poly_mul(s, r, q);
    return back && poly_same(back, p) ? r : NULL;
}

/* p with the values of its fixed atoms in place of them; NULL on overflow. */
static const sema_poly *poly_with_values(sema *s, const sema_poly *p)
{
    struct sema_dims *d = table(s);
    sema_poly *out = poly_new(s);
    for (uint32_t i = 0; i < p->n; i++) {
        sema_term t = {.coef = p->t[i].coef};
        for (uint32_t k = 0; k < p->t[i].n; k++) {
            const sema_atom *a = &d->atoms.p[p->t[i].atoms[k]];
            if (!a->fixed) t.atoms[t.n++] = p->t[i].atoms[k];
            else if (__builtin_mul_overflow(t.coef, a->value, &t.coef)) return NULL;
        }
        if (!add_term(s, out, t.coef, t.atoms, t.n)) return NULL;
    }
    return out;
}

/* p / q where the values of fixed dims make it exact for all values of the others, else NULL. */
static const sema_poly *poly_div_by_values(sema *s, const sema_poly *p, const sema_poly *q)
{
    p = poly_with_values(s, p);
    q = poly_with_values(s, q);
    return p && q ? poly_div(s, p, q) : NULL;
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

static bool known_multiple(sema *s, const sema_poly *p, const sema_poly *q)
{
    struct sema_dims *d = table(s);
    for (uint32_t i = 0; i < d->facts.n; i++)
        if (poly_same(poly_norm(s, d->facts.p[i].p), p) &&
            poly_same(poly_norm(s, d->facts.p[i].q), q))
            return true;
    return false;
}

static const char *operand_text(sema *s, const sema_dim *d)
{
    const char *text = sema_dim_text(s, d);
    return d->name || (d->nf->n == 1 && d->nf->t[0].n <= 1) ? text : sema_fmt(s, "(%s)", text);
}

static const sema_dim *report_inexact(sema *s, const sema_dim *a, const sema_dim *b, dfm_loc loc)
{
    const char *ta = operand_text(s, a), *tb = operand_text(s, b);
    diag *d = sema_error(s, E0307, loc, "`%s / %s` is not known to be exact", ta, tb);
    bool number = !b->name && b->nf->n == 1 && b->nf->t[0].n == 0;
    if (a->value % b->value != 0 && number && a->name)
        diag_note(d, "%s = %lld", ta, (long long)a->value);
    else if (a->value % b->value != 0 && !number)
        diag_note(d, "%s = %lld, %s = %lld", ta, (long long)a->value, tb, (long long)b->value);
    diag_help(d, "write `//` to round down, or add `require %s %% %s == 0`", ta, tb);
    return NULL;
}

static const sema_dim *divide(sema *s, ast_op op, const sema_dim *a, const sema_dim *b,
                              dfm_loc loc)
{
    if (b->value == 0) {
        bool zero = b->nf->n == 0;
        sema_error(s, E0310, loc, zero ? "division by 0%s" : "division by `%s`, which is 0",
                   zero ? "" : sema_dim_text(s, b));
        return NULL;
    }
    const sema_poly *p = dim_norm(s, a), *q = dim_norm(s, b);
    const sema_poly *exact = poly_div(s, p, q);
    if (exact) return op == AST_OP_MOD ? sema_dim_int(s, 0) : anonymous(s, exact, loc);
    bool fixed = a->fixed && b->fixed, unbound = a->unbound || b->unbound;
    if (!fixed && op == AST_OP_DIV && (exact = poly_div_by_values(s, p, q)))
        return anonymous(s, exact, loc);
    int64_t quotient = floor_div(a->value, b->value), rest = a->value - quotient * b->value;
    int64_t cp, cq;
    if (poly_is_const(p, &cp) && poly_is_const(q, &cq) && op != AST_OP_DIV)
        return sema_dim_int(s, op == AST_OP_MOD ? rest : quotient);
    if (op == AST_OP_MOD) {
        if (known_multiple(s, p, q)) return sema_dim_int(s, 0);
        return anonymous(s, poly_atom(s, atom_of(s, ATOM_MOD, p, q, rest, fixed, unbound)), loc);
    }
    if (op == AST_OP_DIV && !known_multiple(s, p, q) && (rest != 0 || !fixed))
        return report_inexact(s, a, b, loc);
    return anonymous(s, poly_atom(s, atom_of(s, ATOM_FLOOR, p, q, quotient, fixed, unbound)), loc);
}

const sema_dim *sema_dim_binary(sema *s, ast_op op, const sema_dim *a, const sema_dim *b,
                                dfm_loc loc)
{
    const sema_poly *p = NULL;
    switch (op) {
    case AST_OP_ADD: p = poly_add(s, a->nf, b->nf, 1); break;
    case AST_OP_SUB: p = poly_add(s, a->nf, b->nf, -1); break;
    case AST_OP_MUL: p = poly_mul(s, a->nf, b->nf); break;
    case AST_OP_DIV: case AST_OP_FDIV: case AST_OP_MOD: return divide(s, op, a, b, loc);
    case AST_OP_POW: {
        if (b->value < 0 || b->value > MAX_DEGREE) break;
        p = poly_const(s, 1);
        for (int64_t i = 0; i < b->value && p; i++) p = poly_mul(s, p, a->nf);
        break;
    }
    default: break;
    }
    if (!p) {
        sema_error(s, E0310, loc, "`%s %s %s` is too large or too long for a dim",
                   sema_dim_text(s, a), ast_op_text(op), sema_dim_text(s, b));
        return NULL;
    }
    return anonymous(s, p, loc);
}

const sema_dim *sema_dim_neg(sema *s, const sema_dim *a, dfm_loc loc)
{
    return sema_dim_binary(s, AST_OP_SUB, sema_dim_int(s, 0), a, loc);
}

bool sema_dim_equal(sema *s, const sema_dim *a, const sema_dim *b)
{
    if (a == b) return true;
    if (poly_same(dim_norm(s, a), dim_norm(s, b))) return true;
    if (a->value != b->value) return false;
    const sema_poly *p = poly_with_values(s, dim_norm(s, a));
    const sema_poly *q = poly_with_values(s, dim_norm(s, b));
    return p && q && poly_same(p, q);
}

/* -- facts ------------------------------------------------------------------------------------- */

static bool poly_uses(const struct sema_dims *d, const sema_poly *p, uint32_t atom, int depth)
{
    for (uint32_t i = 0; i < p->n; i++)
        for (uint32_t k = 0; k < p->t[i].n; k++) {
            const sema_atom *a = &d->atoms.p[p->t[i].atoms[k]];
            if (p->t[i].atoms[k] == atom || depth > 32) return true;
            if (a->kind != ATOM_BASE &&
                (poly_uses(d, a->p, atom, depth + 1) || poly_uses(d, a->q, atom, depth + 1)))
                return true;
        }
    return false;
}

static int64_t common(int64_t a, int64_t b)
{
    while (b) {
        int64_t r = a % b;
        a = b;
        b = r;
    }
    return a < 0 ? -a : a;
}

/* Of two products, what both have: a multiple of H times f is divisible by H * 2 if f is by 2. */
static void cancel(sema *s, const sema_poly **p, const sema_poly **q)
{
    if ((*p)->n != 1 || (*q)->n != 1) return;
    sema_term a = (*p)->t[0], b = (*q)->t[0], x = {.n = 0}, y = {.n = 0};
    int64_t c = common(a.coef, b.coef);
    uint32_t i = 0, j = 0;
    while (i < a.n || j < b.n) {
        if (i < a.n && j < b.n && a.atoms[i] == b.atoms[j]) i++, j++;
        else if (j == b.n || (i < a.n && a.atoms[i] < b.atoms[j])) x.atoms[x.n++] = a.atoms[i++];
        else y.atoms[y.n++] = b.atoms[j++];
    }
    sema_poly *u = poly_new(s), *v = poly_new(s);
    if (!add_term(s, u, a.coef / c, x.atoms, x.n) || !add_term(s, v, b.coef / c, y.atoms, y.n))
        return;
    *p = u;
    *q = v;
    /* c * f is a multiple of d, coprime to c, where f is */
    int64_t only;
    if (!poly_is_const(*q, &only) || u->t[0].n == 0) return;
    u->t[0].coef = 1;
}

void sema_dim_fact(sema *s, const sema_dim *a, const sema_dim *b)
{
    struct sema_dims *d = table(s);
    const sema_poly *p = dim_norm(s, a), *q = dim_norm(s, b);
    if (b->value == 0 || poly_div(s, p, q) || known_multiple(s, p, q)) return;
    sema_fact f = {p, q};
    dfm_push(s->arena, &d->facts, f);
    cancel(s, &p, &q);
    bool single = p->n == 1 && p->t[0].n == 1 && p->t[0].coef == 1;
    if (!single) return;
    uint32_t x = p->t[0].atoms[0];
    if (poly_uses(d, q, x, 0)) return;
    uint32_t whole = atom_of(s, ATOM_FLOOR, p, q, floor_div(a->value, b->value),
                             a->fixed && b->fixed, a->unbound || b->unbound);
    d->atoms.p[x].replaced = poly_mul(s, q, poly_atom(s, whole));
}

/* -- text -------------------------------------------------------------------------------------- */

static void poly_text(sema *s, dfm_sb *sb, const sema_poly *p, bool inner);

static void atom_text(sema *s, dfm_sb *sb, uint32_t atom)
{
    const sema_atom *a = &table(s)->atoms.p[atom];
    if (a->kind == ATOM_BASE) {
        dfm_sb_puts(sb, a->name);
        return;
    }
    dfm_sb_puts(sb, "(");
    poly_text(s, sb, a->p, true);
    dfm_sb_puts(sb, a->kind == ATOM_FLOOR ? " // " : " % ");
    poly_text(s, sb, a->q, true);
    dfm_sb_puts(sb, ")");
}

static void poly_text(sema *s, dfm_sb *sb, const sema_poly *p, bool inner)
{
    if (p->n == 0) dfm_sb_puts(sb, "0");
    bool brackets = inner && p->n > 1;
    if (brackets) dfm_sb_puts(sb, "(");
    for (uint32_t i = 0; i < p->n; i++) {
        int64_t c = p->t[i].coef;
        if (i) dfm_sb_puts(sb, c < 0 ? " - " : " + ");
        else if (c < 0) dfm_sb_puts(sb, "-");
        uint64_t size = c < 0 ? 0 - (uint64_t)c : (uint64_t)c;
        if (size != 1 || p->t[i].n == 0) dfm_sb_printf(sb, "%llu", (unsigned long long)size);
        for (uint32_t k = 0; k < p->t[i].n; k++) {
            if (k || size != 1) dfm_sb_puts(sb, " * ");
            atom_text(s, sb, p->t[i].atoms[k]);
        }
    }
    if (brackets) dfm_sb_puts(sb, ")");
}

const char *sema_dim_text(sema *s, const sema_dim *d)
{
    if (!d) return "?";
    if (d->name) return d->name;
    dfm_sb sb = dfm_sb_make(s->arena);
    poly_text(s, &sb, d->nf, false);
    return dfm_sb_cstr(&sb);
}

/* -- dims of the module ------------------------------------------------------------------------ */

/* An identifier for an anonymous dim: "_1000", "_2_D". */
static const char *module_name(sema *s, const sema_dim *d)
{
    if (d->name) return d->name;
    const char *t = sema_dim_text(s, d);
    dfm_sb sb = dfm_sb_make(s->arena);
    dfm_sb_puts(&sb, "_");
    bool gap = false;
    for (; *t; t++) {
        bool word = (*t >= '0' && *t <= '9') || (*t >= 'a' && *t <= 'z') ||
                    (*t >= 'A' && *t <= 'Z');
        const char *sign = *t == '+'   ? "p"
                           : *t == '-' ? "m"
                           : *t == '/' ? "d"
                           : *t == '%' ? "r"
                                       : "";
        if ((word || *sign) && gap) dfm_sb_puts(&sb, "_");
        if (word || *sign) gap = false;
        if (word) dfm_sb_add(&sb, t, 1);
        else if (*sign) dfm_sb_puts(&sb, sign);
        else gap = sb.n > 1;
    }
    return dfm_sb_cstr(&sb);
}

ir_dim sema_ir_dim(sema *s, const sema_dim *d, dfm_loc loc)
{
    struct sema_dims *t = table(s);
    sema_dim *x = t->dims.p[d->id];
    if (x->ir.i) return x->ir;
    if (x->value < 1) {
        diag *e = sema_error(s, E0308, loc, "dim `%s` is %lld here; a dim is at least 1",
                             sema_dim_text(s, d), (long long)d->value);
        if (dfm_loc_some(d->loc)) diag_label(e, d->loc, "defined here");
        return (ir_dim){0};
    }
    if (x->value > INT32_MAX) {              /* an index is an i32 */
        diag *e = sema_error(s, E0310, loc, "dim `%s` is %lld here; a dim must be below 2^31",
                             sema_dim_text(s, d), (long long)d->value);
        if (dfm_loc_some(d->loc)) diag_label(e, d->loc, "defined here");
        return (ir_dim){0};
    }
    const char *name = module_name(s, d);
    ir_dim old = ir_dim_find(s->m, dfm_intern(s->cx->names, name));
    if (old.i && old.i < t->of_ir.n && t->of_ir.p[old.i]) name = sema_fmt(s, "%s_%u", name, d->id);
    x->ir = ir_dim_new(s->m, dfm_intern(s->cx->names, name), d->value, d->loc);
    while (t->of_ir.n <= x->ir.i) dfm_push(s->arena, &t->of_ir, NULL);
    t->of_ir.p[x->ir.i] = d;
    return x->ir;
}

const sema_dim *sema_dim_of(sema *s, ir_dim d)
{
    struct sema_dims *t = table(s);
    while (s->m->dims.p[d.i].alias_of.i) d = s->m->dims.p[d.i].alias_of;
    if (d.i < t->of_ir.n && t->of_ir.p[d.i]) return t->of_ir.p[d.i];
    /* made by others (flat buffers): wrap it */
    const sema_dim *w = sema_dim_base(s, ir_dim_str(s->m, d), ir_extent(s->m, d), true, false, NULL,
                                      s->m->dims.p[d.i].loc);
    t->dims.p[w->id]->ir = d;
    while (t->of_ir.n <= d.i) dfm_push(s->arena, &t->of_ir, NULL);
    t->of_ir.p[d.i] = w;
    return w;
}

/* -- factors ----------------------------------------------------------------------------------- */

static const sema_factors *factors_of(const struct sema_dims *t, const sema_dim *d)
{
    for (uint32_t i = 0; i < t->factors.n; i++)
        if (t->factors.p[i].of == d) return &t->factors.p[i];
    return NULL;
}

typedef struct spread {                      /* a group with each dim replaced by its factors */
    const sema_dim *dim[IR_MAX_FACTORS * IR_MAX_FACTORS];
    uint32_t n;
} spread;

static void spread_add(const struct sema_dims *t, const sema_dim *d, spread *out, int depth)
{
    const sema_factors *f = depth < IR_MAX_FACTORS ? factors_of(t, d) : NULL;
    for (uint32_t i = 0; f && i < f->n && out->n < DFM_LEN(out->dim); i++)
        spread_add(t, f->group[i], out, depth + 1);
    if (!f && out->n < DFM_LEN(out->dim)) out->dim[out->n++] = d;
}

/* Are two groups the same dims in the same order, whatever of them is merged? With N = Gy * Gx,
 * (T, N) and (T, Gy, Gx) are. */
static bool same_group(const struct sema_dims *t, const sema_dim *const *x, uint32_t n,
                       const sema_dim *const *y, uint32_t k)
{
    spread a = {.n = 0}, b = {.n = 0};
    if (n == k && memcmp(x, y, n * sizeof *x) == 0) return true;
    for (uint32_t i = 0; i < n; i++) spread_add(t, x[i], &a, 0);
    for (uint32_t i = 0; i < k; i++) spread_add(t, y[i], &b, 0);
    return a.n < DFM_LEN(a.dim) && a.n == b.n && memcmp(a.dim, b.dim, a.n * sizeof *a.dim) == 0;
}

const sema_dim *sema_dim_merged(sema *s, const sema_dim *const *group, uint32_t n)
{
    struct sema_dims *t = table(s);
    for (uint32_t i = 0; i < t->factors.n; i++) {
        const sema_factors *f = &t->factors.p[i];
        if (same_group(t, f->group, f->n, group, n)) return f->of;
    }
    return n == 1 ? group[0] : NULL;
}

static const char *group_text(sema *s, const sema_dim *const *g, uint32_t n)
{
    dfm_sb sb = dfm_sb_make(s->arena);
    dfm_sb_puts(&sb, "(");
    for (uint32_t i = 0; i < n; i++)
        dfm_sb_printf(&sb, "%s%s", i ? ", " : "", sema_dim_text(s, g[i]));
    dfm_sb_puts(&sb, ")");
    return dfm_sb_cstr(&sb);
}

bool sema_dim_factors(sema *s, const sema_dim *d, const sema_dim *const *group, uint32_t n,
                      dfm_loc loc)
{
    struct sema_dims *t = table(s);
    const sema_factors *was = factors_of(t, d);
    if (was && same_group(t, was->group, was->n, group, n)) return true;
    if (was) {
        diag *e = sema_error(s, E0309, loc, "dim `%s` is made of %s here, but of %s before",
                             sema_dim_text(s, d), group_text(s, group, n),
                             group_text(s, was->group, was->n));
        diag_label(e, was->loc, "first here");
        diag_help(e, "the order of factors belongs to the dim; use another dim for another order");
        return false;
    }
    if (n > IR_MAX_FACTORS) return true;
    sema_factors f = {.of = d, .n = n, .loc = loc};
    memcpy(f.group, group, n * sizeof *group);
    dfm_push(s->arena, &t->factors, f);
    ir_dim x = sema_ir_dim(s, d, loc);
    if (!x.i) return false;
    for (uint32_t i = 0; i < n; i++) {
        ir_dim y = sema_ir_dim(s, group[i], loc);
        if (!y.i) return false;
        s->m->dims.p[x.i].factors[i] = y;
    }
    s->m->dims.p[x.i].n_factors = (uint8_t)n;
    return true;
}

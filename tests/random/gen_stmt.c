/* gen_stmt.c - statements that work element by element, and reductions. */
#include "tests/random/gen_int.h"

void gs_unary(gen *g)
{
    static const char *const forms[] = {
        "exp(0.5 * tanh(@))",
        "log(@ ^ 2 + 1.5)",
        "sqrt(@ ^ 2 + 0.5)",
        "rsqrt(@ * @ + 0.7)",
        "recip(@ * @ + 1.2)",
        "sin(@)",
        "cos(@)",
        "tanh(@)",
        "erf(@)",
        "sigmoid(@)",
        "expm1(0.5 * tanh(@))",
        "log1p(@ ^ 2)",
        "-@",
        "1 / (1.5 + @ ^ 2)",
        "(0.5 + sigmoid(@)) ^ 1.5",
        "(0.5 + sigmoid(@)) ^ -0.7",
        "2 * @ / (1 + @ ^ 2)",
        "0.3 * @ ^ 3 / (1 + @ ^ 2)",
        "exp(-(@ ^ 2))",
        "f32(@)",
    };
    gval *v = gpick(g, GF);
    const char *f = forms[grnd(g, DFM_LEN(forms))];
    dfm_sb sb = dfm_sb_make(g->a);
    for (; *f; f++) {
        if (*f == '@')
            dfm_sb_puts(&sb, v->name);
        else
            dfm_sb_add(&sb, f, 1);
    }
    if (g->stops && gchance(g, 10))
        gput(g, GF, &v->ds, "stop_grad(%s)", dfm_sb_cstr(&sb));
    else
        gput(g, GF, &v->ds, "%s", dfm_sb_cstr(&sb));
}

static bool pair(gen *g, gval **a, gval **b, bool mul)
{
    for (int tries = 0; tries < 6; tries++) {
        *a = gpick(g, GF);
        *b = gpick(g, GF);
        if (gmeet(g, &(*a)->ds, &(*b)->ds, mul)) return true;
    }
    return false;
}

void gs_binary(gen *g)
{
    gval *a, *b;
    bool mul = gchance(g, 40);
    if (!pair(g, &a, &b, mul)) return;
    dset u = gunion(&a->ds, &b->ds);
    if (mul) {
        gput(g, GF, &u, gchance(g, 50) ? "%s * tanh(%s)" : "sin(%s) * %s", a->name, b->name);
        return;
    }
    switch (grnd(g, 5)) {
    case 0: gput(g, GF, &u, "%s + %s", a->name, b->name); return;
    case 1: gput(g, GF, &u, "%s - 0.5 * %s", a->name, b->name); return;
    case 2: gput(g, GF, &u, "0.5 * (%s + %s)", a->name, b->name); return;
    case 3: gput(g, GF, &u, "%s / (1.5 + %s ^ 2)", a->name, b->name); return;
    default: gput(g, GF, &u, "(1.1 + sin(%s)) ^ (0.4 * tanh(%s))", a->name, b->name); return;
    }
}

/* Functions with a jump or a kink, at places far from it: whole numbers carry the decision. */
void gs_separated(gen *g)
{
    gval *a = gpick(g, GF), *i = gint_for(g, &a->ds), *b = NULL, *other;
    if (!i) return;
    const char *x = a->name, *k = i->name;
    switch (grnd(g, 8)) {
    case 0: gput(g, GF, &a->ds, "abs(0.4 * tanh(%s) + f32(%s %% 2) * 2 - 1)", x, k); return;
    case 1: gput(g, GF, &a->ds, "%s * sign(f32(%s) - 2.5)", x, k); return;
    case 2: gput(g, GF, &a->ds, "%s * floor(f32(%s) * 0.37 + 0.11) * 0.5", x, k); return;
    case 3: gput(g, GF, &a->ds, "%s * ceil(f32(%s) * 0.37 + 0.11) * 0.4", x, k); return;
    case 4: gput(g, GF, &a->ds, "%s * (round(f32(%s) * 0.37 + 0.11) - 1)", x, k); return;
    case 5: gput(g, GF, &a->ds, "(0.3 * tanh(%s) + f32(%s) + 0.5) %% 3.0 - 1.5", x, k); return;
    default: break;
    }
    if (!pair(g, &b, &other, false) || !gmeet(g, &a->ds, &b->ds, false)) b = a;
    dset u = gunion(&a->ds, &b->ds);
    gput(g, GF, &u, "%s(0.5 * tanh(%s) + 3 * f32(%s %% 2), 0.5 * sin(%s) + 1.5) - 1.5",
         gchance(g, 50) ? "max" : "min", x, k, b->name);
}

/* Dims that overlap in part: [B, S] with [S, D], in any order of the operands. */
void gs_overlap(gen *g)
{
    static const uint8_t dims[] = {DS, DT, DD, DE, DH, DQ};
    uint8_t shared = dims[grnd(g, 6)], one = dims[grnd(g, 6)], two = dims[grnd(g, 6)];
    if (shared == one || shared == two || one == two) return;
    dset a = gchance(g, 50) ? GSET(DB, one, shared) : GSET(one, shared), b = GSET(shared, two);
    dset u = gunion(&a, &b);
    if (gelems(g, &u) > gen_elems(g)) return;
    gval *x = gshape(g, &a);
    x = gordered(g, x, &a);
    gval *y = gshape(g, &b);
    y = gordered(g, y, &b);
    switch (grnd(g, 3)) {
    case 0: gput(g, GF, &u, "%s + %s", x->name, y->name); return;
    case 1: gput(g, GF, &u, "sin(%s) * %s", x->name, y->name); return;
    default:
        u = gunion(&b, &a);
        gput(g, GF, &u, "%s - tanh(%s)", y->name, x->name);
        return;
    }
}

void gs_ints(gen *g)
{
    gval *i = gpick(g, GI), *j, *v;
    if (!i) {
        v = gpick(g, GF);
        (void)gint_for(g, &v->ds);
        return;
    }
    j = gpick(g, GI);
    bool two = gchance(g, 50) && (gsubset(&i->ds, &j->ds) || gsubset(&j->ds, &i->ds));
    dset u = two ? gunion(&i->ds, &j->ds) : i->ds;
    const char *a = i->name, *b = j->name;
    bool data = i->data;
    if (two) {
        switch (grnd(g, 5)) {
        case 0: v = gput(g, GI, &u, "(%s + %s) %% 7", a, b); break;
        case 1: v = gput(g, GI, &u, "(%s * %s - 3) %% 5", a, b); break;
        case 2: v = gput(g, GI, &u, "max(%s, %s)", a, b); break;
        case 3: v = gput(g, GI, &u, "min(%s, %s)", a, b); break;
        default: gput(g, GI, &u, "(%s - %s) // 2 + 6", a, b); return; /* a may be b: 6 */
        }
        v->data = data && j->data;
        return;
    }
    switch (grnd(g, 5)) {
    case 0: v = gput(g, GI, &u, "(%s * 3 + 1) %% 6", a); break;
    case 1: v = gput(g, GI, &u, "%s // 2", a); break;
    case 2: v = gput(g, GI, &u, "abs(%s - 3)", a); break;
    case 3: v = gput(g, GI, &u, "(-%s) %% 5", a); break;
    default: v = gput(g, GI, &u, "min(%s, 4) + sign(%s - 2) + 1", a, a); break;
    }
    v->data = data;
}

void gs_bools(gen *g)
{
    gval *v = gpick(g, GF), *a = gbool_for(g, &v->ds);
    if (!a) return;
    gval *b = gbool_new(g, &a->ds);          /* another one: "a or a" would fold */
    if (!b) return;
    dset u = gunion(&a->ds, &b->ds);
    switch (grnd(g, 6)) {
    case 0: gput(g, GB, &u, "%s and not %s", a->name, b->name); return;
    case 1:
    case 2: gput(g, GB, &u, "%s or %s", a->name, b->name); return;
    case 3: gput(g, GB, &a->ds, "not %s", a->name); return;
    default: break;
    }
    if (!a->ds.n) return;
    uint8_t d = a->ds.d[grnd(g, a->ds.n)];
    dset r = gwithout(&a->ds, d);
    gput(g, GB, &r, "%s(%s, %s)", gchance(g, 50) ? "any" : "all", a->name, gname(g, d));
}

void gs_select(gen *g)
{
    gval *a, *b;
    if (!pair(g, &a, &b, false)) return;
    dset u = gunion(&a->ds, &b->ds);
    gval *c = gbool_for(g, gchance(g, 50) ? &a->ds : &u);
    if (!c) return;
    dset r = gunion(&c->ds, &a->ds);
    r = gunion(&r, &b->ds);
    if (gchance(g, 25)) {
        dset s = gunion(&c->ds, &a->ds);
        if (gmeet(g, &c->ds, &a->ds, false))
            gput(g, GF, &s, gchance(g, 50) ? "select(%s, %s, 0.25)" : "select(%s, %s, 0)", c->name,
                 a->name);
        return;
    }
    dset ca = gunion(&c->ds, &a->ds);
    if (!gmeet(g, &c->ds, &a->ds, false) || !gmeet(g, &ca, &b->ds, false)) return;
    if (gchance(g, 20))
        gput(g, GF, &ca, "%s * f32(i32(f32(%s)))", a->name, c->name);
    else
        gput(g, GF, &r, "select(%s, %s, %s)", c->name, a->name, b->name);
}

/* Values that differ by at least 0.4 along d; 37 is more than any extent. */
static const char *separated(gen *g, const gval *v, uint8_t d)
{
    return dfm_fmt(g->a, "0.3 * tanh(%s) + f32((arange(%s) * %u + %u) %% 37)", v->name, gname(g, d),
                   1 + grnd(g, 30), grnd(g, 30));
}

void gs_reduce(gen *g)
{
    static const char *const f[] = {"sum", "mean", "max", "min", "prod", "argmax", "mean"};
    gval *v = gpick(g, GF);
    if (!v->ds.n) return;
    uint8_t d = v->ds.d[grnd(g, v->ds.n)];
    dset r = gwithout(&v->ds, d);
    uint32_t k = grnd(g, 7);
    const char *x = v->name;
    if (k >= 2 && k <= 5 && gextent(g, d) > 36) return;
    if (k == 5) {
        gput(g, GI, &r, "argmax(%s, %s) %% 7", separated(g, v, d), gname(g, d));
    } else if (k == 2 || k == 3) {
        gput(g, GF, &r, "%s(%s, %s) * 0.1", f[k], separated(g, v, d), gname(g, d));
    } else if (k == 4) {
        gput(g, GF, &r, "prod(1 + %g * tanh(%s), %s)", gfactor(g, d, 0.2), x, gname(g, d));
    } else if (k == 6 && v->ds.n > 1 && gchance(g, 60)) {
        uint8_t e = r.d[grnd(g, r.n)];
        r = gwithout(&r, e);
        bool group = gchance(g, 50);
        gput(g, GF, &r, group ? "mean(%s, (%s, %s))" : "mean(%s ^ 2, %s, %s)", x, gname(g, d),
             gname(g, e));
    } else if (k == 6 && gchance(g, 30)) {
        dset none = {0};
        gput(g, GF, &none, "mean(%s * %s)", x, x);
    } else
        gput(g, GF, &r, "%s(%s, %s)%s", f[k], x, gname(g, d), k ? "" : " * 0.2");
}

/* Functions of the standard library. */
void gs_std(gen *g)
{
    static const char *const maps[] = {"gelu", "gelu", "silu", "softplus"};
    gval *v = gpick(g, GF);
    const char *x = v->name;
    uint32_t k = grnd(g, 9);
    if (k < 4 || !v->ds.n) {
        k %= 4;
        gput(g, GF, &v->ds, "%s(%s%s)", maps[k], x, k == 1 ? ", approx=\"tanh\"" : "");
        return;
    }
    uint8_t d = v->ds.d[grnd(g, v->ds.n)];
    const char *dim = gname(g, d);
    if (v->ds.n >= 2 && gchance(g, 25)) {
        uint8_t e = v->ds.d[grnd(g, v->ds.n)];
        if (e != d) dim = dfm_fmt(g->a, "(%s, %s)", dim, gname(g, e));
    }
    const char *as = g->params && gchance(g, 60) ? dfm_fmt(g->a, " as %s", gfresh(g, "n")) : "";
    if (k <= 5) {
        gput(g, GF, &v->ds, "layer_norm(%s, %s, eps=0.02)%s", x, dim, as);
    } else if (k <= 7) {
        gput(g, GF, &v->ds, "rms_norm(%s, %s, eps=0.02)%s", x, dim, as);
    } else
        gput(g, GF, &v->ds, "softmax(2 * %s, %s) * 3", x, dim);
}

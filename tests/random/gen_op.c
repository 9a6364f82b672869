/* gen_op.c - `op` definitions from templates: a chain of comprehensions over the same indices, each
 * a shift, a clamp, a reversal, a guarded read, a window, a reduction, pairs of places, strides;
 * and ops whose author wrote the gradient. */
#include <string.h>

#include "tests/random/gen_int.h"

typedef struct chain {
    gen *g;
    dfm_sb sb;
    dset ds;
    char at[64]; /* "a, b, c": the indices */
    const char *cur; /* the array made last */
    uint32_t n;
} chain;

static const char *const letters[] = {"a", "b", "c", "d", "e", "f", "h", "k"};

/* "a, b, c" with the index of dim k replaced by `by`; NULL: left out. */
static const char *indices(chain *c, uint32_t k, const char *by)
{
    dfm_sb sb = dfm_sb_make(c->g->a);
    for (uint32_t i = 0; i < c->ds.n; i++) {
        const char *ix = i == k ? by : letters[i];
        if (ix) dfm_sb_printf(&sb, "%s%s", sb.n ? ", " : "", ix);
    }
    return dfm_sb_cstr(&sb);
}

/* "a: B, b: S": the indices with their ranges. */
static const char *ranges(gen *g, const dset *ds)
{
    dfm_sb sb = dfm_sb_make(g->a);
    for (uint32_t i = 0; i < ds->n; i++)
        dfm_sb_printf(&sb, "%s%s: %s", i ? ", " : "", letters[i], gname(g, ds->d[i]));
    return dfm_sb_cstr(&sb);
}

static const char *next(chain *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A new array with all indices, computed by the expression. */
static const char *next(chain *c, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    const char *name = dfm_fmt(c->g->a, "z%u", c->n++), *text = dfm_vfmt(c->g->a, format, ap);
    bool direct = strstr(text, dfm_fmt(c->g->a, "[%s]", c->at)) != NULL;
    const char *at = direct && gchance(c->g, 70) ? c->at : ranges(c->g, &c->ds);
    dfm_sb_printf(&c->sb, "  %s[%s] = %s\n", name, at, text);
    va_end(ap);
    return c->cur = name;
}

static void shifts(chain *c, uint32_t k)
{
    gen *g = c->g;
    const char *i = letters[k], *N = gname(g, c->ds.d[k]), *x = c->cur, *p = c->at;
    uint32_t n = 1 + grnd(g, 3);
    switch (grnd(g, 8)) {
    case 0:
        next(c, "select(%s >= %u, %s[%s], 0.5)", i, n, x,
             indices(c, k, dfm_fmt(g->a, "%s - %u", i, n)));
        return;
    case 1:
        next(c, "select(%s + %u < %s, %s[%s], %s[%s])", i, n, N, x,
             indices(c, k, dfm_fmt(g->a, "%s + %u", i, n)), x, p);
        return;
    case 2:
        next(c, "%s[%s] - 0.5 * %s[%s]", x, p, x,
             indices(c, k, dfm_fmt(g->a, "min(%s + %u, %s - 1)", i, n, N)));
        return;
    case 3:
        next(c, "0.5 * %s[%s] + %s[%s] / (1 + %s[%s] ^ 2)", x,
             indices(c, k, dfm_fmt(g->a, "max(%s - %u, 0)", i, n)), x, p, x, p);
        return;
    case 4: next(c, "tanh(%s[%s])", x, indices(c, k, dfm_fmt(g->a, "%s - 1 - %s", N, i))); return;
    case 5:
        next(c, "%s[%s] + 0.1 * f32(%s)", x, indices(c, k, dfm_fmt(g->a, "%s // 2 * 2", i)), i);
        return;
    case 6:
        next(c, "sin(%s[%s])", x, indices(c, k, dfm_fmt(g->a, "(%u * %s + 1) %% %s", n, i, N)));
        return;
    default:
        next(c, "select(%s > 0 and %s < %s - 1, 0.5 * (%s[%s] - %s[%s]), %s[%s])", i, i, N, x,
             indices(c, k, dfm_fmt(g->a, "min(%s + 1, %s - 1)", i, N)), x,
             indices(c, k, dfm_fmt(g->a, "max(%s - 1, 0)", i)), x, p);
        return;
    }
}

static void windows(chain *c, uint32_t k)
{
    gen *g = c->g;
    const char *i = letters[k], *N = gname(g, c->ds.d[k]), *x = c->cur;
    uint32_t w = 2 + grnd(g, 3), off = grnd(g, w);
    if (gchance(g, 50)) {
        next(c, "%s[w: 0..%u](%s[%s] * f32(w + 1)) * 0.2", gchance(g, 50) ? "sum" : "mean", w, x,
             indices(c, k, dfm_fmt(g->a, "min(max(%s + w - %u, 0), %s - 1)", i, off, N)));
        return;
    }
    next(c, "0.4 * sum[w: 0..%u](select(%s + w >= %u and %s + w < %s + %u, %s[%s], 0.0))", w, i,
         off, i, N, off, x, indices(c, k, dfm_fmt(g->a, "%s + w - %u", i, off)));
}

static void reductions(chain *c, uint32_t k)
{
    gen *g = c->g;
    const char *i = letters[k], *x = c->cur, *p = c->at, *r = dfm_fmt(g->a, "r%u", c->n++);
    const char *rest = indices(c, k, NULL);
    if (c->ds.n < 2) return;
    switch (grnd(g, 5)) {
    case 0: dfm_sb_printf(&c->sb, "  %s[%s] = mean[%s](%s[%s] ^ 2)\n", r, rest, i, x, p); break;
    case 1:
        dfm_sb_printf(&c->sb, "  %s[%s] = 0.2 * sum[%s](%s[%s] * cos(0.3 * f32(%s)))\n", r, rest, i,
                      x, p, i);
        break;
    case 2:
        dfm_sb_printf(&c->sb,
                      "  %s[%s] = 0.1 * max[%s](0.3 * tanh(%s[%s]) + f32((%s * 5) %% 37))\n", r,
                      rest, i, x, p, i);
        break;
    case 3:
        dfm_sb_printf(&c->sb, "  %s[%s] = prod[%s](1 + %g * sin(%s[%s]))\n", r, rest, i,
                      gfactor(g, c->ds.d[k], 0.1), x, p);
        break;
    default:
        dfm_sb_printf(&c->sb,
                      "  %s[%s] = f32(argmax[%s](0.3 * tanh(%s[%s]) + "
                      "f32((%s * 3) %% 37)) %% 5)\n",
                      r, rest, i, x, p, i);
        break;
    }
    next(c, gchance(g, 50) ? "%s[%s] * (1 + 0.3 * %s[%s])" : "0.5 * %s[%s] + %s[%s]", x, p, r,
         rest);
}

/* S x S: places in pairs. */
static void pairs(chain *c, uint32_t k)
{
    gen *g = c->g;
    const char *x = c->cur, *p = c->at, *r = dfm_fmt(g->a, "p%u", c->n++);
    uint32_t f = (k + 1) % c->ds.n;
    const char *with = indices(c, f, NULL), *i = letters[k];
    dset all = c->ds;
    if (c->ds.n < 2 || gelems(g, &all) * (uint64_t)gextent(g, c->ds.d[k]) > 20000) return;
    dfm_sb_printf(&c->sb, "  %s[%s, u: %s] = 0.3 * sum[%s](%s[%s] * %s[%s])\n", r, with,
                  gname(g, c->ds.d[k]), letters[f], x, p, x, indices(c, k, "u"));
    if (gchance(g, 50))
        next(c, "mean[u](tanh(%s[%s, u]) * %s[%s])", r, with, x, indices(c, k, "u"));
    else
        next(c, "mean[u: 0..%s](select(u <= %s, sin(%s[%s, u]) * %s[%s], 0.0))",
             gname(g, c->ds.d[k]), i, r, with, x, indices(c, k, "u"));
}

static void strides(chain *c, uint32_t k)
{
    gen *g = c->g;
    const char *x = c->cur, *N = gname(g, c->ds.d[k]), *r = dfm_fmt(g->a, "h%u", c->n++);
    const char *i = letters[k];
    dfm_sb_printf(&c->sb, "  %s[%s] = %s[%s]\n", r,
                  indices(c, k, dfm_fmt(g->a, "%s: 0..(%s + 1) // 2", i, N)), x,
                  indices(c, k, dfm_fmt(g->a, "2 * %s", i)));
    next(c, "sin(%s[%s]) + 0.3 * %s[%s]", r, indices(c, k, dfm_fmt(g->a, "%s // 2", i)), x, c->at);
}

static void maps(chain *c, uint32_t k)
{
    gen *g = c->g;
    const char *x = c->cur, *p = c->at, *i = letters[k];
    switch (grnd(g, 4)) {
    case 0: next(c, "select(%s %% 2 == 0, %s[%s], sin(%s[%s]))", i, x, p, x, p); return;
    case 1: next(c, "%s[%s] * w[%s]", x, p, letters[c->ds.n - 1]); return;
    case 2: next(c, "exp(0.3 * tanh(%s[%s])) * f32((%s * 3 + 1) %% 4)", x, p, i); return;
    default: next(c, "silu(%s[%s]) + w[%s]", x, p, letters[c->ds.n - 1]); return;
    }
}

/* Dims of a value of rank 1 to 4 to work on; the batch is among them or not. */
static bool subject(gen *g, dset *out)
{
    gval *v = gpick(g, GF);
    for (int tries = 0; tries < 5 && (!v->ds.n || v->ds.n > 4); tries++) v = gpick(g, GF);
    *out = v->ds;
    return v->ds.n && v->ds.n <= 4;
}

void gs_op(gen *g)
{
    static void (*const steps[])(chain *, uint32_t) = {shifts, shifts,  windows, reductions,
                                                       pairs,  strides, maps};
    chain c = {.g = g, .sb = dfm_sb_make(g->a), .cur = "x"};
    if (!subject(g, &c.ds)) return;
    for (uint32_t i = 0; i < c.ds.n; i++) {
        strcat(c.at, i ? ", " : "");
        strcat(c.at, letters[i]);
    }
    dset last = GSET(c.ds.d[c.ds.n - 1]);
    gval *x = gshape(g, &c.ds), *w = gshape(g, &last);
    x->used = w->used = true;
    next(&c, "tanh(0.5 * x[%s]) + 0.1 * w[%s]", c.at, letters[c.ds.n - 1]);
    for (uint32_t n = 1 + grnd(g, 3); n; n--) steps[grnd(g, DFM_LEN(steps))](&c, grnd(g, c.ds.n));
    const char *f = dfm_fmt(g->a, "op%u", g->n_fns++);
    const char *dt = gchance(g, 70) ? "f32" : "";
    dfm_sb_printf(&g->defs, "op %s(x: %s[%s], w: f32[%s]) -> %s[%s] {\n%s  return %s\n}\n", f, dt,
                  gdims(g, &c.ds), gname(g, last.d[0]), dt, gdims(g, &c.ds), dfm_sb_cstr(&c.sb),
                  c.cur);
    gput(g, GF, &c.ds, "%s(%s, %s)", f, x->name, w->name);
}

/* -- gradients by hand ------------------------------------------------------------------------- */

static const char *op_head(gen *g, const char *f, const dset *ds, const char *more)
{
    return dfm_fmt(g->a, "op %s(x: f32[%s]%s) -> f32[%s] {\n", f, gdims(g, ds), more, gdims(g, ds));
}

static const char *all_indices(gen *g, const dset *ds, uint32_t k, const char *by)
{
    chain c = {.g = g, .ds = *ds};
    return indices(&c, k, by);
}

void gs_op_vjp(gen *g)
{
    dset ds;
    if (!subject(g, &ds)) return;
    const char *f = dfm_fmt(g->a, "op%u", g->n_fns++);
    uint32_t k = grnd(g, ds.n);
    const char *p = all_indices(g, &ds, 99, NULL), *i = letters[k], *N = gname(g, ds.d[k]);
    gval *x = gshape(g, &ds);
    x->used = true;
    switch (grnd(g, 3)) {
    case 0:
        dfm_sb_printf(&g->defs,
                      "%s  y[%s] = lim * tanh(x[%s] / lim)\n  return y\n} vjp (dx) {\n"
                      "  dx[%s] = dy[%s] * (1 - (y[%s] / lim) ^ 2)\n}\n",
                      op_head(g, f, &ds, ", lim: const"), p, p, p, p, p);
        gput(g, GF, &ds, "%s(%s, %g)", f, x->name, 0.5 + grnd(g, 4));
        return;
    case 1: {
        const char *up = all_indices(g, &ds, k, dfm_fmt(g->a, "max(%s - 1, 0)", i));
        const char *down = all_indices(g, &ds, k, dfm_fmt(g->a, "min(%s + 1, %s - 1)", i, N));
        dfm_sb_printf(&g->defs,
                      "%s  y[%s] = select(%s > 0, x[%s], 0.0)\n  return y\n} vjp (dx) {\n"
                      "  dx[%s] = select(%s < %s - 1, dy[%s], 0.0)\n}\n",
                      op_head(g, f, &ds, ""), p, i, up, ranges(g, &ds), i, N, down);
        gput(g, GF, &ds, "%s(%s)", f, x->name);
        return;
    }
    default: break;
    }
    dset one = GSET(ds.d[k]);
    gval *w = gshape(g, &one);
    w->used = true;
    dfm_sb others = dfm_sb_make(g->a);
    for (uint32_t j = 0; j < ds.n; j++)
        if (j != k) dfm_sb_printf(&others, "%s%s", others.n ? ", " : "", letters[j]);
    dfm_sb_printf(&g->defs,
                  "%s  y[%s] = x[%s] * w[%s]\n  return y\n} vjp (dx, dw) {\n"
                  "  dx[%s] = dy[%s] * w[%s]\n",
                  op_head(g, f, &ds, dfm_fmt(g->a, ", w: f32[%s]", N)), p, p, i, p, p, i);
    if (others.n)
        dfm_sb_printf(&g->defs, "  dw[%s] = sum[%s](dy[%s] * x[%s])\n}\n", i, dfm_sb_cstr(&others),
                      p, p);
    else
        dfm_sb_printf(&g->defs, "  dw[%s] = dy[%s] * x[%s]\n}\n", i, p, p);
    gput(g, GF, &ds, "%s(%s, %s)", f, x->name, w->name);
}

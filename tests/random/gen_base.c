/* gen_base.c - random choices, dims, the values in scope, and how one is brought to given dims. */
#include <stdarg.h>
#include <string.h>

#include "runtime/base/philox.h"
#include "runtime/base/status.h"
#include "tests/random/gen_int.h"

/* -- choices ----------------------------------------------------------------------------------- */

uint32_t grnd(gen *g, uint32_t n)
{
    return (uint32_t)dfm_draw_randint(g->seed, 77, 0, 0, 0, g->counter++, 0, (int32_t)n);
}

bool gchance(gen *g, uint32_t percent) { return grnd(g, 100) < percent; }
const char *gone(gen *g, const char *const *items, uint32_t n) { return items[grnd(g, n)]; }

const char *gfresh(gen *g, const char *prefix)
{
    return dfm_fmt(g->a, "%s%u", prefix, g->n_names++);
}

/* -- dims -------------------------------------------------------------------------------------- */

uint8_t gdim_new(gen *g, int extent, const char *format, ...)
{
    va_list ap;
    DFM_ASSERT(g->n_dims < GEN_DIMS);
    gdim *d = &g->dims[g->n_dims];
    d->extent = extent;
    snprintf(d->name, sizeof d->name, "N%u", g->n_dims);
    va_start(ap, format);
    dfm_sb_printf(&g->decl, "dim %s = %s\n", d->name, dfm_vfmt(g->a, format, ap));
    va_end(ap);
    return (uint8_t)g->n_dims++;
}

const char *gname(const gen *g, uint8_t d) { return g->dims[d].name; }
int gextent(const gen *g, uint8_t d) { return g->dims[d].extent; }
double gfactor(const gen *g, uint8_t d, double most)
{
    double x = 3.0 / gextent(g, d);          /* (1 + x)^extent < 20.1 */
    return x < most ? x : most;
}

const char *gdims(gen *g, const dset *s)
{
    dfm_sb sb = dfm_sb_make(g->a);
    for (uint32_t i = 0; i < s->n; i++)
        dfm_sb_printf(&sb, "%s%s", i ? ", " : "", gname(g, s->d[i]));
    return dfm_sb_cstr(&sb);
}

bool ghas(const dset *s, uint8_t d)
{
    for (uint32_t i = 0; i < s->n; i++)
        if (s->d[i] == d) return true;
    return false;
}

bool gsubset(const dset *a, const dset *b)
{
    for (uint32_t i = 0; i < a->n; i++)
        if (!ghas(b, a->d[i])) return false;
    return true;
}

dset gunion(const dset *a, const dset *b)
{
    dset u = *a;
    for (uint32_t i = 0; i < b->n; i++)
        if (!ghas(&u, b->d[i]) && u.n < GEN_RANK) u.d[u.n++] = b->d[i];
    return u;
}

dset gwithout(const dset *a, uint8_t d)
{
    dset r = {0};
    for (uint32_t i = 0; i < a->n; i++)
        if (a->d[i] != d) r.d[r.n++] = a->d[i];
    return r;
}

dset gset(const uint8_t *d, uint32_t n)
{
    dset r = {.n = (uint8_t)n};
    memcpy(r.d, d, n);
    return r;
}

uint64_t gelems(const gen *g, const dset *s)
{
    uint64_t n = 1;
    for (uint32_t i = 0; i < s->n; i++) n *= (uint64_t)gextent(g, s->d[i]);
    return n;
}

uint64_t gen_elems(const gen *g) { return g->big ? GEN_BIG_ELEMS : GEN_ELEMS; }

bool gmeet(const gen *g, const dset *a, const dset *b, bool mul)
{
    dset u = gunion(a, b);
    if (a->n + b->n > GEN_RANK || gelems(g, &u) > gen_elems(g)) return false;
    if (gsubset(a, b) || gsubset(b, a)) return true;
    bool share = false;
    for (uint32_t i = 0; i < a->n; i++) share |= ghas(b, a->d[i]);
    return mul && !share;
}

/* -- lines and values -------------------------------------------------------------------------- */

void gline(gen *g, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    dfm_sb_printf(g->out, "%*s%s\n", 2 * g->indent, "", dfm_vfmt(g->a, format, ap));
    va_end(ap);
}

gval *gadd(gen *g, gkind k, const char *name, const dset *ds)
{
    DFM_ASSERT(g->n_vals < GEN_VALS);
    gval *v = &g->vals[g->n_vals++];
    *v = (gval){.kind = k, .ds = *ds};
    snprintf(v->name, sizeof v->name, "%s", name);
    return v;
}

gval *gput(gen *g, gkind k, const dset *ds, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    const char *name = gfresh(g, "v"), *text = dfm_vfmt(g->a, format, ap);
    va_end(ap);
    gline(g, "%s = %s", name, text);
    return gadd(g, k, name, ds);
}

gval *gpick(gen *g, gkind k)
{
    uint32_t at[GEN_VALS], n = 0;
    for (uint32_t i = 0; i < g->n_vals; i++)
        if (g->vals[i].kind == k) at[n++] = i;
    if (!n) return NULL;
    uint32_t last = n < 4 ? n : 4;
    gval *v = &g->vals[gchance(g, 65) ? at[n - 1 - grnd(g, last)] : at[grnd(g, n)]];
    v->used = true;
    return v;
}

gval *gint_for(gen *g, const dset *ds)
{
    for (int tries = 0; tries < 4; tries++) {
        gval *v = gpick(g, GI);
        if (v && v->ds.n && gsubset(&v->ds, ds)) return v;
    }
    if (!ds->n) return NULL;
    uint8_t d = ds->d[grnd(g, ds->n)];
    dset one = GSET(d);
    gval *v = gput(g, GI, &one, "(arange(%s) * %u + %u) %% %u", gname(g, d), 1 + grnd(g, 4),
                   grnd(g, 5), 2 + grnd(g, 6));
    v->used = true;
    return v;
}

const char *grows(gen *g, const gval *i, uint8_t d)
{
    if (gextent(g, d) > 12) return i->name;
    if (i->data) return g->clamps = true, i->name;
    return dfm_fmt(g->a, "min(%s, %s - 1)", i->name, gname(g, d));
}

gval *gbool_new(gen *g, const dset *ds)
{
    static const char *const ops[] = {"<", "<=", ">", ">=", "==", "!="};
    gval *i = gint_for(g, ds);
    if (!i) return NULL;
    gval *v = gput(g, GB, &i->ds, "%s %s %u", i->name, gone(g, ops, 6), grnd(g, 6));
    v->used = true;
    return v;
}

gval *gbool_for(gen *g, const dset *ds)
{
    for (int tries = 0; tries < 3; tries++) {
        gval *v = gpick(g, GB);
        if (v && v->ds.n && gsubset(&v->ds, ds)) return v;
    }
    return gbool_new(g, ds);
}

/* -- a value of given dims --------------------------------------------------------------------- */

/* v without dim d. */
static gval *drop(gen *g, gval *v, uint8_t d)
{
    dset r = gwithout(&v->ds, d);
    uint32_t k = gextent(g, d) > 9 ? 0 : grnd(g, 3);
    const char *text = k == 0   ? dfm_fmt(g->a, "mean(%s, %s)", v->name, gname(g, d))
                       : k == 1 ? dfm_fmt(g->a, "0.4 * sum(%s, %s)", v->name, gname(g, d))
                                : dfm_fmt(g->a, "mean(tanh(%s) ^ 2, %s)", v->name, gname(g, d));
    gval *w = gput(g, GF, &r, "%s", text);
    w->used = true;
    return w;
}

/* v times something that has dim d. */
static gval *extend(gen *g, gval *v, uint8_t d)
{
    static const char *const inits[] = {"ones", "normal(std=0.3)", "constant(0.7)",
                                        "uniform(-0.5, 0.5)", "trunc_normal(std=0.2)"};
    dset one = GSET(d), u = gunion(&v->ds, &one);
    gval *w;
    if (g->params) {
        const char *p = gfresh(g, "p");
        gline(g, "param %s: f32[%s] init %s%s", p, gname(g, d), gone(g, inits, 5),
              gchance(g, 30) ? " tag no_decay" : "");
        w = gput(g, GF, &u, gchance(g, 50) ? "%s * %s" : "%s * (1 + %s)", v->name, p);
    } else
        w = gput(g, GF, &u, "%s * cos(0.3 * f32(arange(%s)))", v->name, gname(g, d));
    w->used = true;
    return w;
}

gval *gshape(gen *g, const dset *want)
{
    gval *v = gpick(g, GF);
    for (int tries = 0; tries < 3 && !gsubset(&v->ds, want); tries++) v = gpick(g, GF);
    dset extra = {0}, missing = {0};
    for (uint32_t i = 0; i < v->ds.n; i++)
        if (!ghas(want, v->ds.d[i])) extra.d[extra.n++] = v->ds.d[i];
    for (uint32_t i = 0; i < want->n; i++)
        if (!ghas(&v->ds, want->d[i])) missing.d[missing.n++] = want->d[i];
    while (extra.n && missing.n && g->params) { /* a linear layer changes dims */
        uint8_t from = extra.d[--extra.n], to = missing.d[--missing.n];
        dset r = gwithout(&v->ds, from);
        r.d[r.n++] = to;
        v = gput(g, GF, &r, "linear(%s, %s -> %s%s) as %s", v->name, gname(g, from), gname(g, to),
                 gchance(g, 30) ? ", bias=false" : "", gfresh(g, "l"));
        v->used = true;
    }
    while (extra.n) v = drop(g, v, extra.d[--extra.n]);
    while (missing.n) v = extend(g, v, missing.d[--missing.n]);
    return v;
}

gval *gordered(gen *g, const gval *v, const dset *order)
{
    const char *f = dfm_fmt(g->a, "order%u", g->n_fns++);
    dfm_sb_printf(&g->defs, "block %s(x: [%s]) -> [%s] { return x }\n", f, gdims(g, order),
                  gdims(g, order));
    gval *w = gput(g, GF, order, "%s(%s)", f, v->name);
    w->used = true;
    return w;
}

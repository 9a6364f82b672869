/* gen_view.c - statements that move elements: split, merge, slice, concat, stack, rename, index. */
#include "tests/random/gen_int.h"

static dset replaced(const dset *s, uint8_t from, const uint8_t *to, uint32_t n)
{
    dset r = {0};
    for (uint32_t i = 0; i < s->n; i++) {
        if (r.n + n > sizeof r.d) break;
        if (s->d[i] != from) r.d[r.n++] = s->d[i];
        for (uint32_t k = 0; s->d[i] == from && k < n; k++) r.d[r.n++] = to[k];
    }
    return r;
}

/* A float value with dim d: one that has it, or one made to have it. */
static gval *with(gen *g, uint8_t d)
{
    for (int tries = 0; tries < 5; tries++) {
        gval *v = gpick(g, GF);
        if (ghas(&v->ds, d)) return v;
    }
    dset want = GSET(DB, d);
    return gshape(g, &want);
}

void gs_split(gen *g)
{
    gval *v;
    if (gchance(g, 60)) {
        v = with(g, DHK);
        if (ghas(&v->ds, DH) || ghas(&v->ds, DK)) return;
        dset r = replaced(&v->ds, DHK, (const uint8_t[]){DH, DK}, 2);
        gput(g, GF, &r, "split(%s, HK -> (H, K))", v->name);
        return;
    }
    v = with(g, DSG);
    if (v->ds.n > 4 || ghas(&v->ds, DG0) || ghas(&v->ds, DG1) || ghas(&v->ds, DG2)) return;
    dset r = replaced(&v->ds, DSG, (const uint8_t[]){DG0, DG1, DG2}, 3);
    gput(g, GF, &r, "split(%s, SG -> (G0, G1, G2))", v->name);
}

void gs_merge(gen *g)
{
    for (int tries = 0; tries < 6; tries++) {
        gval *v = gpick(g, GF);
        if (ghas(&v->ds, DHK) || !ghas(&v->ds, DH) || !ghas(&v->ds, DK)) continue;
        dset r = {0};
        for (uint32_t i = 0; i < v->ds.n; i++) {
            uint8_t d = v->ds.d[i];
            if (d != DH && d != DK)
                r.d[r.n++] = d;
            else if (!ghas(&r, DHK))
                r.d[r.n++] = DHK;
        }
        gput(g, GF, &r, "merge(%s, (H, K) -> HK)", v->name);
        return;
    }
    dset want = GSET(DB, DG1, DG0, DG2);
    gval *v = gshape(g, &want);
    if (ghas(&v->ds, DSG)) return;
    dset r = {0};
    for (uint32_t i = 0; i < v->ds.n; i++) {
        uint8_t d = v->ds.d[i];
        bool part = d == DG0 || d == DG1 || d == DG2;
        if (!part)
            r.d[r.n++] = d;
        else if (!ghas(&r, DSG))
            r.d[r.n++] = DSG;
    }
    gput(g, GF, &r, "merge(%s, (G0, G1, G2) -> SG)", v->name);
}

void gs_slice(gen *g)
{
    gval *v = gpick(g, GF);
    if (!v->ds.n || g->n_dims + 4 > GEN_DIMS) return;
    uint8_t d = v->ds.d[grnd(g, v->ds.n)];
    int n = gextent(g, d);
    if (n < 2 || d == DB) return;
    int lo = (int)grnd(g, (uint32_t)n - 1), len = 1 + (int)grnd(g, (uint32_t)(n - lo));
    uint8_t to = gdim_new(g, len, "%d", len);
    dset r = replaced(&v->ds, d, &to, 1);
    gput(g, GF, &r, "slice(%s, %s -> %s, %d..%d)", v->name, gname(g, d), gname(g, to), lo,
         lo + len);
}

void gs_concat(gen *g)
{
    gval *a = gpick(g, GF);
    if (!a->ds.n || g->n_dims + 4 > GEN_DIMS) return;
    uint8_t d = a->ds.d[grnd(g, a->ds.n)], e = d;
    if (d == DB) return;
    gval *b = a;
    for (int tries = 0; tries < 5; tries++) {
        gval *c = gpick(g, GF);
        dset rest = gwithout(&a->ds, d);
        if (!c->ds.n) continue;
        e = c->ds.d[c->ds.n - 1];
        dset other = gwithout(&c->ds, e);
        if (e != DB && gsubset(&other, &rest) && !ghas(&rest, e)) {
            b = c;
            break;
        }
        e = d;
    }
    int n = gextent(g, d) + gextent(g, e);
    uint8_t to = gdim_new(g, n, "%s + %s", gname(g, d), gname(g, e));
    dset r = replaced(&a->ds, d, &to, 1);
    if (gelems(g, &r) > gen_elems(g)) return;
    if (d == e && gchance(g, 50))
        gput(g, GF, &r, "concat(%s, tanh(%s), %s -> %s)", a->name, b->name, gname(g, d),
             gname(g, to));
    else
        gput(g, GF, &r, "concat(%s, cos(%s), (%s, %s) -> %s)", a->name, b->name, gname(g, d),
             gname(g, e), gname(g, to));
}

void gs_stack(gen *g)
{
    gval *a = gpick(g, GF), *b = gpick(g, GF);
    if (g->n_dims + 4 > GEN_DIMS || !gsubset(&b->ds, &a->ds) || a->ds.n > 4) return;
    if (2 * gelems(g, &a->ds) > gen_elems(g)) return;
    uint8_t to = gdim_new(g, 2, "2");
    dset one = GSET(to), r = gunion(&one, &a->ds);
    gput(g, GF, &r, "stack(%s, %s, %s)", a->name, b->name, gname(g, to));
}

void gs_unstack(gen *g)
{
    gval *v = with(g, DQ);
    dset r = gwithout(&v->ds, DQ);
    dfm_sb sb = dfm_sb_make(g->a);
    const char *names[8];
    for (int i = 0; i < gextent(g, DQ); i++) {
        names[i] = gfresh(g, "v");
        dfm_sb_printf(&sb, "%s%s", i ? ", " : "", names[i]);
    }
    if (gextent(g, DQ) == 1) {
        gput(g, GF, &r, "unstack(%s, Q)[0]", v->name);
        return;
    }
    gline(g, "%s = unstack(%s, Q)", dfm_sb_cstr(&sb), v->name);
    for (int i = 0; i < gextent(g, DQ); i++) gadd(g, GF, names[i], &r);
}

void gs_rename(gen *g)
{
    for (int tries = 0; tries < 5; tries++) {
        gval *v = gpick(g, GF);
        bool back = ghas(&v->ds, DS2) && !ghas(&v->ds, DS);
        if (!back && (!ghas(&v->ds, DS) || ghas(&v->ds, DS2))) continue;
        uint8_t from = back ? DS2 : DS, to = back ? DS : DS2;
        dset r = replaced(&v->ds, from, &to, 1);
        gput(g, GF, &r, "rename(%s, %s -> %s)", v->name, gname(g, from), gname(g, to));
        return;
    }
}

/* Rows of the first dim: by a number, or by whole numbers that are data. */
void gs_index(gen *g)
{
    gval *v = gpick(g, GF);
    if (!v->ds.n || (v->ds.n > 1 && *v->name == 'v')) return; /* its order is the compiler's */
    uint8_t first = v->ds.d[0];
    dset r = gwithout(&v->ds, first);
    if (gchance(g, 40)) {
        gput(g, GF, &r, "%s[%u]", v->name, grnd(g, (uint32_t)gextent(g, first)));
        return;
    }
    gval *i = gpick(g, GI);
    if (!i || i->ds.n > 2 || ghas(&i->ds, first)) return;
    dset u = i->ds;
    u = gunion(&u, &r);
    if (u.n > 5 || gelems(g, &u) > gen_elems(g)) return;
    if (gchance(g, 50))
        gput(g, GF, &u, "%s[%s]", v->name, grows(g, i, first));
    else
        gput(g, GF, &u, "gather(%s, %s, %s)", v->name, grows(g, i, first), gname(g, first));
}

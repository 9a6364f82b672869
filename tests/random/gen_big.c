/* gen_big.c - products, tables, attention, convolution, and statements that hold others: repeats,
 * blocks, conditions. */
#include <string.h>

#include "tests/random/gen_int.h"

/* -- products ---------------------------------------------------------------------------------- */

static const uint8_t features[] = {DD, DE, DF, DHK, DS, DT, DQ};

void gs_linear(gen *g)
{
    gval *v = gpick(g, GF);
    if (!g->params || !v->ds.n) return;
    uint8_t from = v->ds.d[grnd(g, v->ds.n)], to = features[grnd(g, DFM_LEN(features))];
    dset r = gwithout(&v->ds, from);
    const char *rest = gchance(g, 20) ? ", bias=false" : gchance(g, 20) ? ", bias=true" : "";
    const char *init = gchance(g, 30) ? " init normal(std=0.1)" : "", *as = gfresh(g, "l");
    if (from == DB) return;
    if (gchance(g, 30) && !ghas(&r, DH) && !ghas(&r, DK)) {
        r.d[r.n++] = DH;
        r.d[r.n++] = DK;
        if (gelems(g, &r) > gen_elems(g)) return;
        gput(g, GF, &r, "linear(%s, %s -> (H, K)%s) as %s%s", v->name, gname(g, from), rest, as,
             init);
        return;
    }
    if (ghas(&v->ds, DH) && ghas(&v->ds, DK) && gchance(g, 60)) {
        r = gwithout(&v->ds, DH);
        r = gwithout(&r, DK);
        if (ghas(&r, to)) return;
        r.d[r.n++] = to;
        gput(g, GF, &r, "linear(%s, (H, K) -> %s%s) as %s%s", v->name, gname(g, to), rest, as,
             init);
        return;
    }
    if (ghas(&r, to)) to = from;
    r.d[r.n++] = to;
    if (gelems(g, &r) <= gen_elems(g))
        gput(g, GF, &r, "linear(%s, %s -> %s%s) as %s%s", v->name, gname(g, from), gname(g, to),
             rest, as, init);
}

void gs_contract(gen *g)
{
    for (int tries = 0; tries < 8; tries++) {
        gval *a = gpick(g, GF), *b = gpick(g, GF);
        if (!a->ds.n || a->ds.n + b->ds.n > GEN_RANK) continue;
        uint8_t d = a->ds.d[grnd(g, a->ds.n)], e = d;
        if (!ghas(&b->ds, d)) continue;
        for (uint32_t k = 0; k < a->ds.n; k++)
            if (ghas(&b->ds, a->ds.d[k]) && gchance(g, 30)) e = a->ds.d[k];
        dset u = gunion(&a->ds, &b->ds), r = gwithout(&u, d);
        r = gwithout(&r, e);
        if (gelems(g, &u) > 20000 || gelems(g, &r) > gen_elems(g)) continue;
        double scale = e == d ? 0.3 : 0.1;
        if (e == d)
            gput(g, GF, &r, "%g * contract(%s, tanh(%s), %s)", scale, a->name, b->name,
                 gname(g, d));
        else
            gput(g, GF, &r, "%g * contract(sin(%s), %s, %s, %s)", scale, a->name, b->name,
                 gname(g, d), gname(g, e));
        return;
    }
}

void gs_param(gen *g)
{
    static const uint8_t ds[] = {DS, DT, DD, DE, DF, DH, DK, DHK, DQ, DSG};
    static const char *const inits[] = {"zeros", "normal(std=0.02)", "xavier_uniform"};
    dset s = {0};
    if (!g->params) return;
    for (uint32_t n = 1 + grnd(g, 3), i = 0; i < n; i++) {
        uint8_t d = ds[grnd(g, DFM_LEN(ds))];
        if (!ghas(&s, d)) s.d[s.n++] = d;
    }
    if (gelems(g, &s) > 800) return;
    const char *p = gfresh(g, "p");
    gline(g, "param %s: %s[%s] init %s%s", p, gchance(g, 60) ? "f32" : "", gdims(g, &s),
          gone(g, inits, s.n > 1 ? 3 : 2),
          gchance(g, 20)   ? " tag no_decay"
          : gchance(g, 10) ? " tag frozen"
                           : "");
    gadd(g, GF, p, &s);
}

/* -- tables ------------------------------------------------------------------------------------ */

void gs_embed(gen *g)
{
    gval *v = gpick(g, GI);
    if (!g->params || !v || v->ds.n > 3) return;
    uint8_t to = features[grnd(g, DFM_LEN(features))];
    dset r = v->ds, one = GSET(to);
    if (ghas(&r, to) || ghas(&r, DC)) return;
    r = gunion(&r, &one);
    if (gelems(g, &r) <= gen_elems(g))
        gput(g, GF, &r, "embed(%s, C -> %s) as %s", grows(g, v, DC), gname(g, to),
             gfresh(g, "e"));
}

/* Dims of t gathered along d by i; false: too many, or d among those of i. */
static bool gathered(gen *g, const gval *t, const gval *i, uint8_t d, dset *r)
{
    *r = (dset){0};
    for (uint32_t k = 0; k < t->ds.n; k++) {
        dset one = GSET(t->ds.d[k]);
        *r = t->ds.d[k] == d ? gunion(r, &i->ds) : gunion(r, &one);
    }
    return !ghas(&i->ds, d) && r->n <= 5 && gelems(g, r) <= gen_elems(g);
}

void gs_gather(gen *g)
{
    gval *t = gpick(g, GF), *i = gpick(g, GI);
    if (!i || !t->ds.n || i->ds.n > 2) return;
    uint8_t d = t->ds.d[grnd(g, t->ds.n)];
    dset r;
    if (!gathered(g, t, i, d, &r)) return;
    gput(g, GF, &r, "gather(%s, %s, %s)", t->name, grows(g, i, d), gname(g, d));
}

/* Two tables by one index, the second only after a sum over rows of the first. */
void gs_lookups(gen *g)
{
    gval *t = gpick(g, GF), *u = gpick(g, GF), *i = gpick(g, GI);
    if (!i || !i->ds.n || i->ds.n > 2 || !t->ds.n) return;
    uint8_t d = t->ds.d[grnd(g, t->ds.n)];
    if (!ghas(&u->ds, d)) u = t;
    dset r, s;
    if (!gathered(g, t, i, d, &r) || !gathered(g, u, i, d, &s)) return;
    r = gunion(&r, &s);
    if (r.n > 5 || gelems(g, &r) > gen_elems(g)) return;
    const char *rows = grows(g, i, d);
    gput(g, GF, &r, "gather(0.8 * %s + 0.1, %s, %s) * softmax(2 * gather(%s, %s, %s), %s) * 3",
         u->name, rows, gname(g, d), t->name, rows, gname(g, d),
         gname(g, i->ds.d[grnd(g, i->ds.n)]));
}

void gs_scatter(gen *g)
{
    gval *v = gpick(g, GF), *i = gint_for(g, &v->ds);
    if (!i || ghas(&v->ds, DC) || ghas(&i->ds, DC) || i->ds.n > 2) return;
    dset r = {0};
    r.d[r.n++] = DC;
    for (uint32_t k = 0; k < v->ds.n; k++)
        if (!ghas(&i->ds, v->ds.d[k])) r.d[r.n++] = v->ds.d[k];
    gput(g, GF, &r, "0.4 * scatter_add(%s, %s, C)", grows(g, i, DC), v->name);
}

void gs_buffer(gen *g)
{
    static const uint8_t ds[] = {DS, DT, DD, DE};
    uint8_t a = ds[grnd(g, 2)], b = ds[2 + grnd(g, 2)];
    dset s = GSET(a, b);
    if (!g->params || g->loops || g->calls) return;
    const char *p = gfresh(g, "c");
    gline(g,
          "buffer %s: f32[%s, %s] = sin(0.3 * f32(arange(%s))) * cos(0.2 * f32(arange(%s)) + %u)",
          p, gname(g, a), gname(g, b), gname(g, a), gname(g, b), grnd(g, 4));
    gadd(g, GF, p, &s);
}

/* -- attention, rotation, convolution ---------------------------------------------------------- */

static const char *attend_options(gen *g, uint8_t seq, uint8_t over, const dset *batch)
{
    uint32_t k = grnd(g, 6);
    /* Scores far apart: a later block of keys has a new maximum. */
    if (g->big && gchance(g, 50)) return dfm_fmt(g->a, ", scale=%u", 2 + grnd(g, 4));
    if (seq == over && k == 0) return ", causal=true";
    if (seq == over && k == 1) return dfm_fmt(g->a, ", window=%u", grnd(g, 4));
    if (seq == over && k == 2) return dfm_fmt(g->a, ", causal=true, window=%u", 1 + grnd(g, 6));
    if (k == 3) return dfm_fmt(g->a, ", scale=%g", 0.2 + 0.2 * grnd(g, 4));
    if (k != 4) return "";
    dset dims = GSET(over); /* row 0 of the keys is always seen */
    if (seq != over && gchance(g, 40)) {
        gval *m = gput(g, GB, &dims, "(arange(%s) * %u) %% 3 != 1", gname(g, over), 1 + grnd(g, 4));
        return dfm_fmt(g->a, ", mask=%s", m->name);
    }
    gval *i = batch->n ? gint_for(g, batch) : NULL;
    if (!i || ghas(&i->ds, over) || ghas(&i->ds, seq)) return "";
    dset u = gunion(&i->ds, &dims);
    gval *m = gput(g, GB, &u, "%s * arange(%s) %% 3 != 1", i->name, gname(g, over));
    return dfm_fmt(g->a, ", mask=%s", m->name);
}

void gs_attend(gen *g)
{
    static const uint8_t tokens[] = {DS, DT, DSG};
    uint8_t seq = tokens[grnd(g, 3)], over = gchance(g, 50) ? seq : tokens[grnd(g, 3)];
    uint8_t feat = gchance(g, 60) ? DK : DD, val = gchance(g, 75) ? feat : DE;
    dset batch = GSET(DB);
    if (gchance(g, 60)) batch.d[batch.n++] = DH;
    dset q = batch, k = batch, v = batch;
    if (gchance(g, 20)) k = v = (dset){0};
    if (gchance(g, 10)) q = GSET(DH);
    if (q.n == 1 && q.d[0] == DH && !gchance(g, 50)) q = batch;
    q.d[q.n++] = seq;
    q.d[q.n++] = feat;
    k.d[k.n++] = over;
    k.d[k.n++] = feat;
    v.d[v.n++] = over;
    v.d[v.n++] = val;
    if (gelems(g, &q) > gen_elems(g) || gelems(g, &k) > gen_elems(g) ||
        gelems(g, &v) > gen_elems(g))
        return;
    dset u = gunion(&q, &k), r;
    r = gwithout(&u, over);
    r = gwithout(&r, seq);
    r = gwithout(&r, feat);
    const char *options = attend_options(g, seq, over, &r);
    /* views put the dims in the order that attend wants: features last */
    const char *name[3];
    const dset *want[] = {&q, &k, &v};
    for (int i = 0; i < 3; i++) {
        gval *x = gshape(g, want[i]);
        x = gordered(g, x, want[i]);
        x->used = true;
        name[i] = x->name;
    }
    r = batch;
    for (uint32_t i = 0; i < q.n; i++)
        if (q.d[i] != seq && q.d[i] != feat && !ghas(&r, q.d[i])) r.d[r.n++] = q.d[i];
    if (gsubset(&k, &u) && k.n == 2 && q.n == 3 && q.d[0] == DH) r = GSET(DH);
    r.d[r.n++] = seq;
    r.d[r.n++] = val;
    gput(g, GF, &r, "attend(%s, %s, %s, seq=%s%s%s)", name[0], name[1], name[2], gname(g, seq),
         over != seq || gchance(g, 20) ? dfm_fmt(g->a, ", over=%s", gname(g, over)) : "", options);
}

void gs_rope(gen *g)
{
    if (g->n_dims + 4 > GEN_DIMS) return;
    int w[3], sum = 0;
    for (int i = 0; i < 3; i++) sum += w[i] = 2 + 2 * (int)grnd(g, 2);
    uint8_t f = gdim_new(g, sum, "%d", sum);
    if (gchance(g, 40)) {
        dset t = GSET(DB);
        gval *v = gshape(g, &t);
        t.d[t.n++] = f;
        gput(g, GF, &t, "sinusoid(3 * tanh(%s), %s, max_period=50%s)", v->name, gname(g, f),
             gchance(g, 50) ? ", order=\"sin_cos\"" : "");
        return;
    }
    dset want = GSET(DB, DSG, f);
    gval *v = gshape(g, &want);
    gput(g, GF, &want, "rope(%s, grid=(G0, G1, G2), split=(%d, %d, %d), theta=100.0, S=SG, F=%s)",
         v->name, w[0], w[1], w[2], gname(g, f));
}

void gs_conv(gen *g)
{
    if (!g->params || g->n_dims + 4 > GEN_DIMS) return;
    uint8_t over = gchance(g, 50) ? DS : DT, chan = gchance(g, 50) ? DE : DQ;
    int n = gextent(g, over), k = 1 + (int)grnd(g, 3), pad = (int)grnd(g, (uint32_t)k),
        stride = 1 + (int)grnd(g, 2);
    if (n + 2 * pad < k) return;
    int fits = (n + 2 * pad - k) / stride + 1;
    dset want = GSET(DB, chan, over);
    gval *v = gshape(g, &want);
    uint8_t ko = gdim_new(g, k, "%d", k);
    uint8_t to = gdim_new(g, fits, "(%s + %d - %d) // %d + 1", gname(g, over), 2 * pad, k, stride);
    dset r = GSET(DB, to, DF);
    const char *p = gfresh(g, "w");
    gline(g, "param %s: [F, %s, %s] init xavier_uniform", p, gname(g, chan), gname(g, ko));
    gput(g, GF, &r, "conv(%s, %s, %s, %s -> (%s, %s), stride=%d, pad=%d)", v->name, p,
         gname(g, chan), gname(g, over), gname(g, to), gname(g, ko), stride, pad);
}

/* -- statements that hold others --------------------------------------------------------------- */

static const char *inner_value(gen *g, const dset *want)
{
    gval *v = gshape(g, want);
    return v->name;
}

void gs_repeat(gen *g)
{
    if (g->loops >= 2 || g->n_vals > GEN_VALS - 80) return;
    gval *h = gpick(g, GF), *c = gchance(g, 30) ? gpick(g, GI) : NULL;
    h = gput(g, GF, &h->ds, "sin(%s)", h->name); /* of this scope: a body may carry it */
    if (c) c = gput(g, GI, &c->ds, "(%s + 1) %% 5", c->name);
    dset hd = h->ds;
    const char *name = h->name, *ix = gfresh(g, "i"), *table = NULL;
    const char *L = gname(g, (uint8_t)(gchance(g, 40) ? DL : DL + g->loops + 2 * g->calls));
    if (gchance(g, 40)) {
        table = gfresh(g, "tab");
        gline(g, "%s = cos(0.5 * f32(arange(%s)))", table, L);
    }
    const char *carries = c ? dfm_fmt(g->a, "%s, %s", name, c->name) : name;
    gline(g, "repeat %s[%s: %s] with %s {", gfresh(g, "loop"), ix, L, carries);
    uint32_t n_vals = g->n_vals;
    g->indent++;
    g->loops++;
    if (gchance(g, 40)) gput(g, GF, &hd, "%s * (1 - 0.3 * %s / %s)", name, ix, L);
    if (gchance(g, 20)) gput(g, GF, &hd, "%s + 0.1 * f32(%s)", name, ix);
    if (table) gput(g, GF, &hd, "%s * %s[%s]", name, table, ix);
    gstatements(g, 1 + grnd(g, 4));
    const char *v = inner_value(g, &hd);
    if (!strcmp(v, name))
        gline(g, "%s = tanh(%s)", name, name);
    else
        gline(g, gchance(g, 50) ? "%s = 0.5 * (%s + %s)" : "%s = %s + 0.5 * tanh(%s)", name, name,
              v);
    if (c) gline(g, "%s = (%s + 2) %% 7", c->name, c->name);
    g->loops--;
    g->indent--;
    g->n_vals = n_vals;
    gline(g, "}");
}

void gs_if(gen *g)
{
    gval *v = gpick(g, GF);
    if (v->name[0] != 'v' || g->loops) return;
    const char *r = gfresh(g, "v");
    gline(g, "if %s {", gchance(g, 50) ? "FLAG" : "S > 4 and MODE == \"b\"");
    gline(g, "  %s = sin(%s)", r, v->name);
    gline(g, "} else {");
    gline(g, "  %s = 0.5 * %s", r, v->name);
    gline(g, "}");
    gadd(g, GF, r, &v->ds);
}

/* A block of its own, with the values and statements inside, and its call. */
void gs_block(gen *g)
{
    if (!g->params || g->calls || g->n_vals > GEN_VALS - 80) return;
    gval *a = gpick(g, GF), *b = gpick(g, GF), *i = gpick(g, GI);
    dset ad = a->ds, bd = b->ds, id = i ? i->ds : (dset){0}, rd = gchance(g, 70) ? ad : bd;
    dfm_sb body = dfm_sb_make(g->a), *outer = g->out;
    uint32_t base = g->n_vals, loops = (uint32_t)g->loops;
    const char *f = dfm_fmt(g->a, "block%u", g->n_fns++), *r = gfresh(g, "v");
    gval *keep = dfm_dup(g->a, g->vals, sizeof g->vals);
    int indent = g->indent;
    const char *an = a->name, *bn = b->name, *in = i ? i->name : NULL;
    bool two = gchance(g, 30);
    g->out = &body;
    g->n_vals = 0;
    g->indent = 1;
    g->calls++;
    g->loops = 0;
    gadd(g, GF, "xa", &ad);
    gadd(g, GF, "xb", &bd);
    if (i) gadd(g, GI, "xi", &id);
    gput(g, GF, &ad, "sin(xa)");
    gstatements(g, 2 + grnd(g, 5));
    const char *v = inner_value(g, &rd);
    if (two)
        gline(g, "return tanh(%s), 0.5 * xa", v);
    else
        gline(g, "return %s", v);
    g->calls--;
    g->loops = (int)loops;
    g->indent = indent;
    g->out = outer;
    memcpy(g->vals, keep, sizeof g->vals);
    g->n_vals = base;
    dfm_sb_printf(&g->defs, "block %s(xa: f32[%s], xb: [%s]%s%s%s) -> ", f, gdims(g, &ad),
                  gdims(g, &bd), i ? ", xi: i32[" : "", i ? gdims(g, &id) : "", i ? "]" : "");
    if (two)
        dfm_sb_printf(&g->defs, "(p: f32[%s], q: [%s])", gdims(g, &rd), gdims(g, &ad));
    else
        dfm_sb_printf(&g->defs, "f32[%s]", gdims(g, &rd));
    dfm_sb_printf(&g->defs, " {\n%s}\n", dfm_sb_cstr(&body));
    const char *args = dfm_fmt(g->a, "%s, %s%s%s", an, bn, in ? ", xi=" : "", in ? in : "");
    if (two && gchance(g, 50)) {
        const char *q = gfresh(g, "v");
        gline(g, "%s, %s = %s(%s) as %s", r, q, f, args, gfresh(g, "b"));
        gadd(g, GF, r, &rd);
        gadd(g, GF, q, &ad);
        return;
    }
    gline(g, "%s = %s(%s) as %s", r, f, args, gfresh(g, "b"));
    if (!two) {
        gadd(g, GF, r, &rd);
        return;
    }
    gput(g, GF, &rd, "%s.p", r);
    gput(g, GF, &ad, "%s.q", r);
}

/* gen_net.c - the chains that networks are made of, written as authors write them: norm, modulate,
 * project, attend, gate and add; gelu between products; several of them in the layers of a repeat.
 * They are what fusion, products with epilogues, attention and column sums of biases see. */
#include <string.h>

#include "tests/random/gen_int.h"

/* A vector per sample to steer with: [B, D]. */
static const char *steer(gen *g, uint8_t d, const char *init)
{
    dset c = GSET(DB, DE);
    gval *v = gshape(g, &c);
    const char *l = gfresh(g, "l");
    dset r = GSET(DB, d);
    return gput(g, GF, &r, "linear(%s(%s), E -> %s) as %s%s", gchance(g, 50) ? "silu" : "sin",
                v->name, gname(g, d), l, init)
        ->name;
}

static const char *norm(gen *g, const char *x, const char *d)
{
    const char *as = gchance(g, 50) ? dfm_fmt(g->a, " as %s", gfresh(g, "n")) : "";
    switch (grnd(g, 3)) {
    case 0: return dfm_fmt(g->a, "(rms_norm(%s, %s, eps=0.02)%s)", x, d, as);
    case 1: return dfm_fmt(g->a, "(layer_norm(%s, %s, eps=0.02)%s)", x, d, as);
    default: return dfm_fmt(g->a, "(layer_norm(%s, %s, eps=0.05))", x, d);
    }
}

/* norm(x) * (1 + scale) + shift */
static const char *modulated(gen *g, const char *x, uint8_t d)
{
    const char *scale = steer(g, d, ""), *shift = steer(g, d, " init normal(std=0.1)");
    return dfm_fmt(g->a, "%s * (1 + %s) + %s", norm(g, x, gname(g, d)), scale, shift);
}

static const char *wide(gen *g, const dset *ds, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* A line `hN = ...` whose value is taken as used. */
static const char *wide(gen *g, const dset *ds, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    gval *v = gput(g, GF, ds, "%s", dfm_vfmt(g->a, format, ap));
    va_end(ap);
    v->used = true;
    return v->name;
}

static const char *mlp(gen *g, const char *x, const dset *ds, uint8_t d)
{
    static const char *const acts[] = {"gelu(%s)", "gelu(%s, approx=\"tanh\")", "silu(%s)",
                                       "", "tanh(%s)"};
    uint8_t f = gchance(g, 50) ? DF : DHK;
    dset wf = gwithout(ds, d);
    if (ghas(&wf, f) || f == d) return x;
    wf.d[wf.n++] = f;
    const char *up = dfm_fmt(g->a, "linear(%s, %s -> %s%s) as %s", x, gname(g, d), gname(g, f),
                             gchance(g, 20) ? ", bias=false" : "", gfresh(g, "up"));
    uint32_t k = grnd(g, 5);
    const char *h;
    if (k == 3) { /* a gate: two products of one operand */
        const char *h1 = wide(g, &wf, "%s", up);
        h = wide(g, &wf, "silu(%s) * (linear(%s, %s -> %s, bias=false) as %s)", h1, x, gname(g, d),
                 gname(g, f), gfresh(g, "up"));
    } else {
        const char *inner = dfm_fmt(g->a, "(%s)", up);
        dfm_sb sb = dfm_sb_make(g->a);
        for (const char *p = acts[k]; *p; p++) {
            if (p[0] == '%' && p[1] == 's')
                dfm_sb_puts(&sb, inner), p++;
            else
                dfm_sb_add(&sb, p, 1);
        }
        h = wide(g, &wf, "%s", dfm_sb_cstr(&sb));
    }
    return wide(g, ds, "linear(%s, %s -> %s) as %s", h, gname(g, f), gname(g, d),
                gfresh(g, "down"));
}

/* Queries or keys: projected, perhaps normalised and turned. [B, S, H, F] */
static const char *heads(gen *g, const char *x, const char *from, uint8_t seq, uint8_t f,
                         const char *turn, bool normed)
{
    dset r = GSET(DB, seq, DH, f);
    const char *y = wide(g, &r, "linear(%s, %s -> (H, %s)%s) as %s", x, from, gname(g, f),
                         gchance(g, 30) ? ", bias=false" : "", gfresh(g, "q"));
    if (normed) y = wide(g, &r, "rms_norm(%s, %s, eps=0.02) as %s", y, gname(g, f), gfresh(g, "n"));
    if (*turn) y = wide(g, &r, turn, y, gname(g, f));
    return y;
}

static const char *mask_option(gen *g, uint8_t seq, uint8_t over)
{
    switch (grnd(g, 6)) {
    case 0: return seq == over ? ", causal=true" : "";
    case 1: return seq == over ? dfm_fmt(g->a, ", window=%u", 1 + grnd(g, 80)) : "";
    case 2: {
        dset b = GSET(DB), bo = GSET(DB, over);
        gval *i = gint_for(g, &b);
        if (!i || seq == over) return "";
        gval *m = gput(g, GB, &bo, "%s * arange(%s) %% 3 != 1", i->name, gname(g, over));
        return dfm_fmt(g->a, ", mask=%s", m->name);
    }
    case 3: return dfm_fmt(g->a, ", scale=%g", 0.2 + 0.1 * grnd(g, 4));
    default: return "";
    }
}

/* Self or cross attention of x: [B, seq, d] with c: [B, over, from]. */
static const char *attention(gen *g, const char *x, uint8_t seq, uint8_t d, const char *c,
                             uint8_t over, uint8_t from)
{
    int w[3], sum = 0;
    bool turned = seq == DSG && over == DSG && gchance(g, 60);
    for (int i = 0; i < 3; i++) sum += w[i] = 2 + 2 * (int)grnd(g, 2);
    uint8_t f = turned ? gdim_new(g, sum, "%d", sum) : DK;
    bool normed = gchance(g, 60);
    dfm_sb turn = dfm_sb_make(g->a);
    if (turned)
        dfm_sb_printf(&turn,
                      "rope(%%s, grid=(G0, G1, G2), split=(%d, %d, %d), theta=100.0, S=SG, F=%%s)",
                      w[0], w[1], w[2]);
    const char *q = heads(g, x, gname(g, d), seq, f, dfm_sb_cstr(&turn), normed);
    const char *k = heads(g, c, gname(g, from), over, f, dfm_sb_cstr(&turn), normed);
    const char *v = heads(g, c, gname(g, from), over, gchance(g, 80) ? f : DK, "", false);
    dset o = GSET(DB, seq, DH, f), r = GSET(DB, seq, d);
    if (strstr(g->vals[g->n_vals - 1].name, v)) o.d[3] = g->vals[g->n_vals - 1].ds.d[3];
    const char *a = wide(g, &o, "attend(%s, %s, %s, seq=%s, over=%s%s)", q, k, v, gname(g, seq),
                         gname(g, over), mask_option(g, seq, over));
    return wide(g, &r, "linear(%s, (H, %s) -> %s) as %s", a, gname(g, o.d[3]), gname(g, d),
                gfresh(g, "o"));
}

/* Queries, keys and values as slices of one product. */
static const char *packed(gen *g, const char *x, uint8_t seq, uint8_t d)
{
    uint8_t q3 = gdim_new(g, 3 * gextent(g, DHK), "3 * HK");
    dset all = GSET(DB, seq, q3), hk = GSET(DB, seq, DH, DK), r = GSET(DB, seq, d);
    const char *p = wide(g, &all, "linear(%s, %s -> %s) as %s", x, gname(g, d), gname(g, q3),
                         gfresh(g, "qkv")),
               *part[3];
    for (int i = 0; i < 3; i++)
        part[i] = wide(g, &hk, "split(slice(%s, %s -> HK, %d * HK..%d * HK), HK -> (H, K))", p,
                       gname(g, q3), i, i + 1);
    const char *a = wide(g, &hk, "attend(%s, %s, %s, seq=%s%s)", part[0], part[1], part[2],
                         gname(g, seq), gchance(g, 30) ? ", causal=true" : "");
    return wide(g, &r, "linear(merge(%s, (H, K) -> HK), HK -> %s) as %s", a, gname(g, d),
                gfresh(g, "o"));
}

/* x + gate * branch(modulated(x)), in place. */
static void residual(gen *g, const char *x, uint8_t seq, uint8_t d)
{
    dset ds = GSET(DB, seq, d);
    const char *h = wide(g, &ds, "%s", modulated(g, x, d)), *y;
    static const uint8_t others[] = {DT, DS, DSG};
    switch (g->n_dims + 6 > GEN_DIMS ? 3 : grnd(g, g->big ? 4 : 5)) {
    case 0: y = packed(g, h, seq, d); break;
    case 1: y = attention(g, h, seq, d, h, seq, d); break;
    case 2: {
        uint8_t over = others[grnd(g, 3)];
        dset cd = GSET(DB, over, DE);
        if (over == seq) over = DT, cd = GSET(DB, DT, DE);
        if (over == seq) {
            y = mlp(g, h, &ds, d);
            break;
        }
        gval *c = gshape(g, &cd);
        y = attention(g, h, seq, d, c->name, over, DE);
        break;
    }
    default: y = mlp(g, h, &ds, d); break;
    }
    const char *gate = gchance(g, 70) ? steer(g, d, "") : "0.5";
    gline(g, "%s = %s + %s * %s", x, x, gate, y);
}

/* Of the dims of tokens: the one that programs with long dims are about. */
static uint8_t longest(const gen *g) { return gextent(g, DT) > gextent(g, DS) ? DT : DS; }

static bool fits(gen *g, uint8_t seq, uint8_t d)
{
    dset wide_one = GSET(DB, seq, DHK), also = GSET(DB, seq, DF), own = GSET(DB, seq, d);
    return 3 * gelems(g, &wide_one) <= 2 * gen_elems(g) && gelems(g, &also) <= gen_elems(g) &&
           gelems(g, &own) <= gen_elems(g) && d != DE;
}

/* One residual branch, on a copy of a value in scope. */
void gs_branch(gen *g)
{
    static const uint8_t tokens[] = {DS, DT, DSG};
    uint8_t seq = g->big ? longest(g) : tokens[grnd(g, 3)], d = gchance(g, 70) ? DD : DF;
    dset ds = GSET(DB, seq, d);
    if (!g->params || g->loops || g->n_vals > GEN_VALS - 120 || !fits(g, seq, d)) return;
    gval *v = gshape(g, &ds);
    const char *x = gput(g, GF, &ds, "sin(%s)", v->name)->name;
    residual(g, x, seq, d);
}

/* Layers: two or three branches on the carry. */
void gs_layers(gen *g)
{
    static const uint8_t tokens[] = {DS, DT, DSG};
    uint8_t seq = g->big ? longest(g) : tokens[grnd(g, 3)], d = DD;
    dset ds = GSET(DB, seq, d), c = GSET(DB, DE);
    if (!g->params || g->loops || g->n_vals > GEN_VALS - 200 || !fits(g, seq, d)) return;
    gval *v = gshape(g, &ds), *cond = gshape(g, &c);
    const char *x = gput(g, GF, &ds, "sin(%s)", v->name)->name;
    (void)cond;
    gline(g, "repeat %s[%s: L] with %s {", gfresh(g, "layers"), gfresh(g, "i"), x);
    uint32_t n_vals = g->n_vals;
    g->indent++;
    g->loops++;
    for (uint32_t n = 1 + grnd(g, 2) + (uint32_t)gchance(g, 40); n; n--) residual(g, x, seq, d);
    g->loops--;
    g->indent--;
    g->n_vals = n_vals;
    gline(g, "}");
}

/* Pictures to patches: a convolution in two dims. */
void gs_conv2(gen *g)
{
    if (!g->params || g->n_dims + 6 > GEN_DIMS) return;
    uint8_t y = gchance(g, 50) ? DS : DSG, x = DT, chan = DQ;
    int n[2] = {gextent(g, y), gextent(g, x)}, k[2], pad = (int)grnd(g, 2),
        stride = 1 + (int)grnd(g, 2);
    for (int i = 0; i < 2; i++) {
        k[i] = 1 + (int)grnd(g, 3);
        if (n[i] + 2 * pad < k[i] || pad >= k[i]) return;
    }
    dset want = GSET(DB, chan, y, x);
    if (gelems(g, &want) > gen_elems(g)) return;
    gval *v = gshape(g, &want);
    uint8_t ky = gdim_new(g, k[0], "%d", k[0]), kx = gdim_new(g, k[1], "%d", k[1]);
    uint8_t to[2];
    for (int i = 0; i < 2; i++)
        to[i] = gdim_new(g, (n[i] + 2 * pad - k[i]) / stride + 1, "(%s + %d - %d) // %d + 1",
                         gname(g, i ? x : y), 2 * pad, k[i], stride);
    dset r = GSET(DB, to[0], to[1], DE);
    if (gelems(g, &r) > gen_elems(g)) return;
    const char *p = gfresh(g, "w");
    gline(g, "param %s: [E, %s, %s, %s] init xavier_uniform", p, gname(g, chan), gname(g, ky),
          gname(g, kx));
    gput(g, GF, &r, "conv(%s, %s, %s, %s -> (%s, %s), %s -> (%s, %s), stride=%d, pad=%d)", v->name,
         p, gname(g, chan), gname(g, y), gname(g, to[0]), gname(g, ky), gname(g, x),
         gname(g, to[1]), gname(g, kx), stride, pad);
}

/* Whole numbers meet: the first of equals is what argmax gives, in any order of work. */
void gs_ties(gen *g)
{
    gval *v = gpick(g, GF), *i = gint_for(g, &v->ds);
    if (!i || !i->ds.n) return;
    uint8_t d = i->ds.d[grnd(g, i->ds.n)];
    dset r = gwithout(&i->ds, d);
    switch (grnd(g, 3)) {
    case 0: gput(g, GI, &r, "argmax(f32(%s %% 3), %s) %% 7", i->name, gname(g, d)); return;
    case 1: gput(g, GF, &r, "%s(f32(%s %% 3), %s)", gchance(g, 50) ? "max" : "min", i->name,
                 gname(g, d));
        return;
    default:
        gput(g, GF, &i->ds, "max(f32(%s %% 3), 1.0) + min(f32(%s %% 2), 1.0)", i->name, i->name);
    }
}

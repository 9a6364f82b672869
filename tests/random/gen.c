/* gen.c - a whole program: dims, constants, the model, its train section and sampler. */
#include "tests/random/gen.h"

#include <string.h>

#include "tests/random/gen_int.h"

/* -- dims -------------------------------------------------------------------------------------- */

static void make_dims(gen *g)
{
    static const char *const names[] = {"B", "S",  "T",  "D",  "E",  "F",  "H", "K", "HK", "C",
                                        "Q", "G0", "G1", "G2", "SG", "S2", "L", "M", "P",  "R"};
    static const int batch[] = {1, 2, 3, 5}, tokens[] = {1, 2, 3, 5, 7, 8, 9, 15, 16, 17},
                     width[] = {1, 3, 5, 7, 8, 9, 11, 15, 16, 17, 31}, head[] = {1, 2, 3},
                     key[] = {1, 2, 3, 4, 7, 8, 9, 16}, table[] = {5, 7, 11}, few[] = {1, 2, 3},
                     loop[] = {1, 2, 3};
#define PICK(list) (list)[grnd(g, DFM_LEN(list))]
    int h = PICK(head), k = PICK(key), g0 = PICK(few), g1 = PICK(few), g2 = PICK(head),
        s = PICK(tokens);
    int extents[] = {PICK(batch), s,        PICK(tokens), PICK(width), PICK(width), PICK(width),
                     h,           k,        h * k,        PICK(table), PICK(few),   g0,
                     g1,          g2,       g0 * g1 * g2, s,           PICK(loop),  PICK(few),
                     PICK(few),   PICK(few)};
    static const int long_tokens[] = {49, 63, 64, 65, 97, 130, 200},
                     long_width[] = {47, 48, 63, 64, 65, 97, 130, 257},
                     long_sum[] = {257, 384, 521, 600};
    if (g->big) { /* one or two dims at a time, so that the interpreters can keep up */
        extents[gchance(g, 50) ? DS : DT] = PICK(long_tokens);
        extents[DB] = 1 + (int)grnd(g, 2);
        if (gchance(g, 60)) extents[gchance(g, 50) ? DD : DF] = PICK(long_width);
        if (gchance(g, 25)) extents[gchance(g, 50) ? DD : DF] = PICK(long_sum);
        if (gchance(g, 25)) extents[DK] = gchance(g, 50) ? 64 : 72, extents[DH] = 1;
        extents[DHK] = extents[DH] * extents[DK];
        extents[DS2] = extents[DS];
    }
#undef PICK
    for (uint32_t i = 0; i < N_FIXED_DIMS; i++) {
        gdim *d = &g->dims[g->n_dims++];
        snprintf(d->name, sizeof d->name, "%s", names[i]);
        d->extent = extents[i];
        if (i == DB && gchance(g, 60))
            dfm_sb_printf(&g->decl, "dim B = dynamic(1..64, %d)\n", d->extent);
        else if (i == DHK)
            dfm_sb_puts(&g->decl, "dim HK = H * K\n");
        else if (i == DSG)
            dfm_sb_puts(&g->decl, "dim SG = G0 * G1 * G2\n");
        else if (i == DS2)
            dfm_sb_puts(&g->decl, "dim S2 = S\n");
        else
            dfm_sb_printf(&g->decl, "dim %s = %d\n", d->name, d->extent);
    }
    dfm_sb_printf(&g->decl, "const FLAG = %s\nconst MODE = \"%s\"\n",
                  gchance(g, 50) ? "true" : "false", gchance(g, 50) ? "a" : "b");
}

static dset data_dims(gen *g)
{
    static const uint8_t shapes[][4] = {{1, DD},         {2, DS, DD}, {2, DD, DS},
                                        {3, DS, DH, DK}, {2, DT, DE}, {3, DE, DS, DT},
                                        {2, DSG, DHK},   {2, DHK, DT}};
    for (;;) {
        const uint8_t *s = shapes[grnd(g, DFM_LEN(shapes))];
        dset r = GSET(DB);
        for (uint32_t i = 0; i < s[0]; i++) r.d[r.n++] = s[1 + i];
        if (gelems(g, &r) <= gen_elems(g)) return r;
    }
}

/* -- statements -------------------------------------------------------------------------------- */

void gstatements(gen *g, uint32_t n)
{
    static const struct {
        gstmt *make;
        int weight;
    } kinds[] = {
        {gs_unary, 9},  {gs_binary, 9},  {gs_separated, 4}, {gs_ints, 3},     {gs_bools, 3},
        {gs_select, 4}, {gs_reduce, 7},  {gs_overlap, 3},   {gs_std, 6},      {gs_split, 2},
        {gs_merge, 2},  {gs_slice, 3},   {gs_concat, 3},    {gs_stack, 2},    {gs_unstack, 2},
        {gs_rename, 2}, {gs_index, 3},   {gs_linear, 6},    {gs_contract, 5}, {gs_embed, 3},
        {gs_gather, 3}, {gs_scatter, 3}, {gs_attend, 5},    {gs_conv, 3},     {gs_param, 4},
        {gs_repeat, 5}, {gs_block, 3},   {gs_if, 2},        {gs_rope, 2},     {gs_buffer, 2},
        {gs_op, 8},     {gs_op_vjp, 3},  {gs_branch, 4},    {gs_layers, 3},   {gs_conv2, 2},
        {gs_ties, 2},   {gs_lookups, 2},
    };
    uint32_t sum = 0;
    for (uint32_t i = 0; i < DFM_LEN(kinds); i++) sum += (uint32_t)kinds[i].weight;
    while (n-- > 0 && g->n_vals < GEN_VALS - 60) {
        uint32_t r = grnd(g, sum), i = 0;
        while (r >= (uint32_t)kinds[i].weight) r -= (uint32_t)kinds[i++].weight;
        kinds[i].make(g);
    }
}

/* The result: a bit of the input and of every value that nothing used. */
static void finish(gen *g, const dset *ds, bool two)
{
    const char *o = gfresh(g, "o");
    uint32_t n = 0;
    gline(g, "%s = 0.3 * x", o);
    for (uint32_t i = g->n_vals; i-- > 0 && n < 6;) {
        gval v = g->vals[i];
        if (v.used || v.kind == GB) continue;
        const char *x = v.kind == GI ? dfm_fmt(g->a, "0.1 * f32(%s)", v.name) : v.name;
        dset r = v.ds;
        dfm_sb extra = dfm_sb_make(g->a);
        for (uint32_t k = 0; k < v.ds.n; k++)
            if (!ghas(ds, v.ds.d[k])) {
                dfm_sb_printf(&extra, ", %s", gname(g, v.ds.d[k]));
                r = gwithout(&r, v.ds.d[k]);
            }
        const char *t = gfresh(g, "t");
        if (extra.n)
            gline(g, "%s = mean(%s%s)", t, x, dfm_sb_cstr(&extra));
        else
            gline(g, "%s = %s", t, x);
        gline(g, "%s = %s + %s", o, o, t);
        n++;
    }
    dset rest = gwithout(ds, DB);
    if (two)
        gline(g, "return %s, mean(%s, %s)", o, o, gdims(g, &rest));
    else
        gline(g, "return %s", o);
}

static void write_model(gen *g, const dset *ds, bool two, bool ctx, dfm_sb *out)
{
    dset b = GSET(DB), c = GSET(DB, DT, DE);
    dfm_sb body = dfm_sb_make(g->a);
    g->out = &body;
    g->indent = 1;
    g->params = true;
    gadd(g, GF, "x", ds);
    gadd(g, GF, "t", &b);
    gadd(g, GI, "y", &b)->data = true;
    if (ctx) gadd(g, GF, "ctx", &c);
    gput(g, GF, ds, "sin(x)");
    gput(g, GF, &b, "1 + t");
    gput(g, GI, &b, "(y + 1) %% 7")->data = true;
    if (g->big)
        gchance(g, 50) ? gs_layers(g) : gs_branch(g), gstatements(g, 2 + grnd(g, 4));
    else
        gstatements(g, 8 + grnd(g, 10));
    finish(g, ds, two);
    dfm_sb_printf(out, "model m(x: f32[%s], t: f32[B], y: i32[B]%s) -> ", gdims(g, ds),
                  ctx ? ", ctx: f32[B, T, E]" : "");
    if (two)
        dfm_sb_printf(out, "(out: f32[%s], aux: f32[B])", gdims(g, ds));
    else
        dfm_sb_printf(out, "f32[%s]", gdims(g, ds));
    dfm_sb_printf(out, " {\n%s}\n", dfm_sb_cstr(&body));
}

/* -- sections ---------------------------------------------------------------------------------- */

static void write_train(gen *g, const dset *ds, bool two, bool ctx, dfm_sb *out)
{
    const char *dims = gdims(g, ds);
    dfm_sb_printf(out,
                  "train fit for m {\n  data x1: f32[%s] in webdataset(\"image.npy\")\n"
                  "  data label: i32[B] in webdataset(\"cls\")\n",
                  dims);
    if (ctx) dfm_sb_puts(out, "  data ctx: f32[B, T, E] in webdataset(\"text.npy\")\n");
    dfm_sb_printf(out, "  n = normal([%s])\n  u = uniform([B])\n  k = randint(0, 5, [B])\n", dims);
    dfm_sb_puts(out,
                gchance(g, 50) ? "  s = 0.1 + 0.8 * u\n" : "  s = logit_normal(normal([B]))\n");
    dfm_sb_puts(out,
                gchance(g, 50) ? "  xt = flow_path(x1, n, s)\n" : "  xt = (1 - s) * x1 + s * n\n");
    dfm_sb_printf(out, "  y = select(k == 0, %u, label)\n", grnd(g, 5));
    dfm_sb_printf(out, "  r = m(xt, %s, y%s)\n", gchance(g, 50) ? "s" : "2 * s + f32(k)",
                  ctx ? ", ctx" : "");
    dfm_sb_printf(out, "  e = f32(%s) - (n - x1)\n", two ? "r.out" : "r");
    if (gchance(g, 30))
        dfm_sb_puts(out,
                    "  betas = linear_betas(50, 1e-4, 0.02)\n"
                    "  abar = gather(cumprod(1 - betas), 7 * k)\n  e = e * sqrt(1 - abar / 2)\n");
    dfm_sb_puts(out,
                gchance(g, 70) ? "  minimize mean(e ^ 2)" : "  minimize mean(e ^ 2 / (1 + s))");
    dfm_sb_puts(out, two ? " + 0.3 * mean(r.aux ^ 2)\n" : "\n");
    if (gchance(g, 75)) {
        dfm_sb_printf(out, "  use adamw(lr=1e-3, decay=%s%s)\n", gchance(g, 50) ? "0.01" : "0.0",
                      gchance(g, 50) ? ", skip=no_decay" : "");
    } else
        dfm_sb_puts(out, "  use sgd(lr=1e-2)\n");
    if (gchance(g, 60)) dfm_sb_puts(out, "  use clip_norm(1.0)\n");
    if (gchance(g, 50))
        dfm_sb_puts(out, gchance(g, 50) ? "  use ema(0.999)\n" : "  use ema(0.99, 0.9)\n");
    if (gchance(g, 50))
        dfm_sb_puts(out, gchance(g, 50) ? "  use lr(warmup=10)\n"
                                        : "  use lr(warmup=2, decay=\"cosine\", total=50)\n");
    dfm_sb_puts(out, "}\n");
}

static void write_sampler(gen *g, const dset *ds, bool two, bool ctx, dfm_sb *out)
{
    const char *dims = gdims(g, ds);
    dfm_sb_printf(out, "sampler walk(y: i32[B]%s, steps: const = %u) for m -> f32[%s] {\n",
                  ctx ? ", ctx: f32[B, T, E]" : "", 1 + grnd(g, 3), dims);
    dfm_sb_printf(out, "  x = normal([%s])\n  repeat step[i: steps] with x {\n", dims);
    const char *t = gchance(g, 50) ? "1 - i / steps" : "0.5", *of = two ? ".out" : "";
    const char *more = ctx ? ", ctx" : "";
    dfm_sb_printf(out, "    r = m(x, %s, y%s)%s\n", t, more, of);
    if (gchance(g, 40)) { /* guidance: the model twice, without the label, without the context */
        const char *none = gchance(g, 50) ? "0" : "0 * y";
        dfm_sb_printf(out, "    u = m(x, %s, %s%s)%s\n", t, g->clamps ? "min(y, 0)" : none,
                      ctx ? gchance(g, 50) ? ", 0 * ctx" : more : "", of);
        dfm_sb_printf(out, "    r = u + %u.5 * (r - u)\n", grnd(g, 3));
    }
    dfm_sb_puts(out, "    x = x - 0.3 * r / steps\n");
    if (gchance(g, 40)) dfm_sb_printf(out, "    x = x + 0.1 * normal([%s])\n", dims);
    dfm_sb_puts(out, "  }\n  return x\n}\n");
}

/* -- all --------------------------------------------------------------------------------------- */

gen_traits gen_traits_of(const char *text)
{
    return (gen_traits){.bf16 = strstr(text, "bf16") != NULL,
                        .stops = strstr(text, "stop_grad(") != NULL};
}

void gen_program(dfm_arena *a, uint64_t seed, dfm_sb *out, gen_traits *traits)
{
    gen *g = dfm_new(a, gen);
    dfm_sb model = dfm_sb_make(a);
    g->a = a;
    g->seed = seed;
    g->decl = dfm_sb_make(a);
    g->defs = dfm_sb_make(a);
    g->stops = gchance(g, 25);
    g->big = gchance(g, 8);
    bool two = gchance(g, 20), ctx = gchance(g, 25), bf16 = gchance(g, 25);
    make_dims(g);
    dset ds = data_dims(g);
    write_model(g, &ds, two, ctx, &model);
    write_train(g, &ds, two, ctx, &model);
    write_sampler(g, &ds, two, ctx, &model);
    dfm_sb_printf(out, "# random program %llu\ndfm 1\n%s%s%s", (unsigned long long)seed,
                  dfm_sb_cstr(&g->decl), dfm_sb_cstr(&g->defs), dfm_sb_cstr(&model));
    if (bf16) {
        dfm_sb_puts(
            out,
            "precision low for m {\n  params = f32; compute = bf16; reduce = f32; optim = f32\n");
        if (gchance(g, 60)) dfm_sb_puts(out, "  keep f32 for layer_norm, softmax\n");
        dfm_sb_puts(out, "}\n");
    }
    *traits = gen_traits_of(dfm_sb_cstr(out));
}

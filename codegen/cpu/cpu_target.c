/* cpu_target.c - the cpu target: which nodes share code, and the texts that are compiled.
 *
 * Nodes whose C text is the same (but for the function's name) share one function. Kernels are
 * dealt out, in order, to translation units of similar size, so that compiling runs in parallel and
 * a change of one kernel recompiles one unit; each attention node is a unit of its own, and so are
 * the products of each kind, which share their code but for a table of sizes.
 */
#include "codegen/cpu/cpu.h"

#include <string.h>

#include "codegen/cpu/cpu_product.h"

#include "runtime/base/hash.h"
#include "runtime/device/gemm/cpu_gemm.h"
#include "runtime/plan/plan.h"

enum { UNIT_BYTES = 24 * 1024, NO_UNIT = UINT32_MAX };

typedef struct text_unit {
    const char *body;                        /* with the symbol's name spelled @ */
    uint64_t hash;
} text_unit;

typedef struct build {
    const kir_module *m;
    const cpu_product_level *level;
    dfm_arena *a;
    const char *prefix;
    cg_object *out;
    DFM_VEC(text_unit) texts;                /* by unit */
    DFM_VEC(uint32_t) unit_of;
    bool apart;                              /* a product of oneDNN's has an epilogue */
} build;

static void count_arg(void *user, kir_arg *arg)
{
    (void)arg;
    ++*(uint32_t *)user;
}

/* Generated here, and with the scratch that it needs? (Text that was read may have none.) */
static bool own_product(const build *b, const kir_node *n)
{
    if (n->kind != KIR_NODE_GEMM || !cpu_product_own(&n->gemm, b->level, NULL)) return false;
    const kir_arg *s = &n->gemm.scratch;
    const uint64_t need = cpu_product_scratch(&n->gemm, b->level);
    return !need || (s->buf.i && b->m->bufs.p[s->buf.i].elems >= need);
}

static uint32_t unit_of_kernel(build *b, kir_kernel *k);

static bool emit_node(build *b, const kir_node *n, dfm_sb *text)
{
    if (own_product(b, n)) {
        const char *then = NULL;
        if (n->gemm.epi) {
            uint32_t u = unit_of_kernel(b, n->gemm.epi);
            then = b->out->units.p[u].symbol;
        }
        return cpu_emit_product(text, &n->gemm, b->level, "@", then), true;
    }
    b->apart |= n->kind == KIR_NODE_GEMM && n->gemm.epi;
    switch (n->kind) {
    case KIR_NODE_KERNEL: cpu_emit_kernel(text, b->m, n->kernel, "@"); return true;
    case KIR_NODE_ATTN: cpu_emit_attn(text, b->m, &n->attn, "@"); return true;
    case KIR_NODE_SCATTER: cpu_emit_scatter(text, b->m, &n->scatter, "@"); return true;
    default: return false;
    }
}

/* The first line is a comment with the node's name and does not count. */
static const char *after_comment(const char *text)
{
    while (*text == '\n') text++;
    const char *end = strncmp(text, "/*", 2) == 0 ? strchr(text, '\n') : NULL;
    return end ? end : text;
}

/* The unit of node n with this text: one that is there, or a new one. */
static uint32_t unit_with(build *b, kir_node *n, dfm_sb *text)
{
    const char *body = after_comment(dfm_sb_cstr(text));
    uint64_t hash = dfm_hash64(body, strlen(body), 0);
    for (uint32_t u = 0; u < b->texts.n; u++)
        if (b->texts.p[u].hash == hash && !strcmp(after_comment(b->texts.p[u].body), body))
            return u;
    uint32_t u = b->texts.n, n_args = 0;
    kir_each_arg(n, count_arg, &n_args);
    dfm_push(b->a, &b->texts, ((text_unit){dfm_sb_cstr(text), hash}));
    const char *symbol = dfm_fmt(b->a, "%s%c%u", b->prefix,
                                 n->kind == KIR_NODE_GEMM ? PLAN_PRODUCT_SYMBOL : 'k', u);
    dfm_push(b->a, &b->out->units, ((cg_unit){n, symbol, n_args}));
    return u;
}

/* An epilogue is a unit of its own, which no step calls. */
static uint32_t unit_of_kernel(build *b, kir_kernel *k)
{
    kir_node *n = dfm_new(b->a, kir_node);
    *n = (kir_node){.kind = KIR_NODE_KERNEL, .loc = k->loc, .name = k->name, .kernel = k};
    dfm_sb text = dfm_sb_make(b->a);
    cpu_emit_kernel(&text, b->m, k, "@");
    return unit_with(b, n, &text);
}

static void visit(void *user, kir_node *n)
{
    build *b = user;
    dfm_sb text = dfm_sb_make(b->a);
    uint32_t u = emit_node(b, n, &text) ? unit_with(b, n, &text) : NO_UNIT;
    dfm_push(b->a, &b->unit_of, u);
}

/* The body with @ replaced by the symbol. */
static void put_named(dfm_sb *out, const char *body, const char *symbol)
{
    for (const char *p = body; *p; p++) {
        if (*p == '@') dfm_sb_puts(out, symbol);
        else dfm_sb_add(out, p, 1);
    }
}

static dfm_sb unit_begin(build *b)
{
    dfm_sb sb = dfm_sb_make(b->a);
    dfm_sb_puts(&sb, cg_text_philox);
    dfm_sb_puts(&sb, cg_text_prelude);
    return sb;
}

static dfm_sb product_begin(build *b)
{
    dfm_sb sb = dfm_sb_make(b->a);
    cpu_product_begin(&sb, b->level);
    return sb;
}

typedef DFM_VEC(const char *) strings;

/* The driver of a kind, unless it is among those that the unit has. */
static void add_driver(build *b, dfm_sb *text, cpu_product_kind kind, strings *have)
{
    for (uint32_t i = 0; i < have->n; i++)
        if (!strcmp(have->p[i], kind.letters)) return;
    cpu_emit_product_driver(text, kind, b->level);
    dfm_push(b->a, have, dfm_strdup(b->a, kind.letters));
}

/* A translation unit that is being filled. */
typedef struct open_unit {
    dfm_sb text;
    size_t filled;
} open_unit;

static void unit_close(build *b, open_unit *o, strings *texts)
{
    if (o->text.arena) dfm_push(b->a, texts, dfm_sb_cstr(&o->text));
    *o = (open_unit){0};
}

static void unit_add(build *b, open_unit *o, uint32_t u)
{
    const cg_unit *unit = &b->out->units.p[u];
    if (!o->text.arena) o->text = unit_begin(b);
    put_named(&o->text, b->texts.p[u].body, unit->symbol);
    o->filled += strlen(b->texts.p[u].body);
}

static kir_node_kind kind_of(const build *b, uint32_t u) { return b->out->units.p[u].node->kind; }

static cpu_product_kind product_kind(const build *b, uint32_t u)
{
    return cpu_product_kind_of(&b->out->units.p[u].node->gemm);
}

/* All products of one kind share a driver, and so a translation unit. */
static void split_products(build *b, strings *texts)
{
    bool *done = dfm_new_n(b->a, bool, b->texts.n);
    for (uint32_t u = 0; u < b->texts.n; u++) {
        if (done[u] || kind_of(b, u) != KIR_NODE_GEMM) continue;
        const cpu_product_kind kind = product_kind(b, u);
        open_unit unit = {.text = product_begin(b)};
        strings drivers = {0};
        for (uint32_t v = u; v < b->texts.n; v++) {
            if (kind_of(b, v) != KIR_NODE_GEMM || !cpu_product_shares(kind, product_kind(b, v)))
                continue;
            add_driver(b, &unit.text, product_kind(b, v), &drivers);
            unit_add(b, &unit, v);
            done[v] = true;
        }
        unit_close(b, &unit, texts);
    }
}

/* What takes longest to compile comes first: attention, then products. */
static void split_units(build *b, strings *texts)
{
    open_unit unit = {0};
    for (uint32_t u = 0; u < b->texts.n; u++) {
        if (kind_of(b, u) != KIR_NODE_ATTN) continue;
        unit_add(b, &unit, u);
        unit_close(b, &unit, texts);
    }
    split_products(b, texts);
    for (uint32_t u = 0; u < b->texts.n; u++) {
        if (kind_of(b, u) == KIR_NODE_ATTN || kind_of(b, u) == KIR_NODE_GEMM) continue;
        if (unit.filled + strlen(b->texts.p[u].body) > UNIT_BYTES) unit_close(b, &unit, texts);
        unit_add(b, &unit, u);
    }
    unit_close(b, &unit, texts);
}

typedef struct product_search { const build *b; bool bf16, tiles; } product_search;

static void look_at_product(void *user, kir_node *n)
{
    product_search *s = user;
    if (n->kind != KIR_NODE_GEMM) return;
    if (own_product(s->b, n)) s->tiles |= cpu_product_tiles(&n->gemm, s->b->level);
    else s->bf16 |= n->gemm.a.dtype == DFM_BF16;
}

/* What the level needs, and what tiles and oneDNN's bf16 products need if the plan has any. */
static void set_features(build *b, const char *level)
{
    uint32_t n;
    product_search has = {.b = b};
    const char *const *needs = cpu_arch_features(level, &n);
    cg_each_node(b->m, look_at_product, &has);
    const char **all = dfm_new_n(b->a, const char *, n + 3);
    memcpy(all, needs, n * sizeof *all);
    if (has.bf16) all[n++] = "avx512_bf16";
    if (has.tiles) {
        all[n++] = "amx_tile";
        all[n++] = "amx_bf16";
    }
    b->out->features = all;
    b->out->n_features = n;
}

static dfm_status cpu_build(const kir_module *m, const cg_options *opt, dfm_arena *a,
                            cg_object *out, dfm_err *err)
{
    build b = {.m = m, .level = cpu_product_level_of(opt->arch), .a = a,
               .prefix = opt->prefix ? opt->prefix : "", .out = out};
    strings texts = {0};
    const char *level = cpu_arch_level(opt->arch);
    if (!level) {
        dfm_fail(err, DFM_USAGE, "unknown processor level '%s'", opt->arch);
        dfm_help(err, "levels: native x86-64-v2 x86-64-v3 x86-64-v4");
        return DFM_USAGE;
    }
    cg_each_node(m, visit, &b);
    if (b.apart)
        return dfm_fail(err, DFM_INTERNAL, "an epilogue behind a product that is not generated at "
                        "level %s", opt->arch);
    split_units(&b, &texts);
    out->unit_of = b.unit_of.p;
    set_features(&b, level);
    if (opt->keep_source || opt->source_only) {
        dfm_sb all = dfm_sb_make(a);
        for (uint32_t u = 0; u < b.texts.n; u++)
            put_named(&all, b.texts.p[u].body, out->units.p[u].symbol);
        out->source = dfm_sb_cstr(&all);
    }
    out->texts = texts.p;
    out->n_texts = texts.n;
    if (opt->source_only || opt->texts_only || texts.n == 0) return DFM_OK;
    return cpu_compile(texts.p, texts.n, opt, a, out, err);
}

static cpu_gemm_shape gemm_shape(const kir_gemm *g)
{
    cpu_gemm_shape s = {.batch = {g->batch[0], g->batch[1]}, .m = g->m, .n = g->n, .k = g->k,
                        .da = g->a.dtype, .db = g->b.dtype, .dc = g->c.dtype,
                        .has_bias = g->bias.buf.i != 0};
    memcpy(s.sa, g->sa, sizeof s.sa);
    memcpy(s.sb, g->sb, sizeof s.sb);
    memcpy(s.sc, g->sc, sizeof s.sc);
    return s;
}

/* -- limits: one set for each level ------------------------------------------------------------ */

static uint64_t scratch_at(const kir_gemm *g, const cpu_product_level *l)
{
    cpu_gemm_shape s = gemm_shape(g);
    return cpu_product_own(g, l, NULL) ? cpu_product_scratch(g, l) : cpu_gemm_plan_scratch(&s);
}

/* A level without bf16 instructions: oneDNN gets f32 only; what is not generated is converted. */
static bool takes_at(const kir_gemm *g, const cpu_product_level *l)
{
    cpu_gemm_shape s = gemm_shape(g);
    if (cpu_product_own(g, l, NULL)) return true;
    return (l->bf16 || (g->a.dtype == DFM_F32 && g->b.dtype == DFM_F32)) && cpu_gemm_takes(&s);
}

static const char *how_at(const kir_gemm *g, const cpu_product_level *l)
{
    const char *why;
    (void)cpu_product_own(g, l, &why);
    return why;
}

/* Questions of kernelisation carry no level: each level has its own functions. */
#define LIMITS_OF(id, arch)                                                                        \
    static uint64_t scratch_##id(const kir_gemm *g)                                                \
    {                                                                                              \
        return scratch_at(g, cpu_product_level_of(arch));                                          \
    }                                                                                              \
    static bool takes_##id(const kir_gemm *g) { return takes_at(g, cpu_product_level_of(arch)); }  \
    static const char *how_##id(const kir_gemm *g)                                                 \
    {                                                                                              \
        return how_at(g, cpu_product_level_of(arch));                                              \
    }                                                                                              \
    static bool epi_##id(const kir_module *m, const kir_gemm *g, const kir_kernel *k)              \
    {                                                                                              \
        return (void)m, cpu_product_takes_epi(g, k, cpu_product_level_of(arch));                   \
    }

#define LIMITS(id)                                                                                 \
    {                                                                                              \
        .target = "cpu", .row_bytes = 16 * 1024, .max_streams = 24, .lane_target = 1024,           \
        .gemm_scratch = scratch_##id, .attn_scratch = cpu_attn_scratch, .gemm_takes = takes_##id,  \
        .gemm_how = how_##id, .gemm_epi = epi_##id                                                 \
    }

LIMITS_OF(native, "native")
LIMITS_OF(v4, "x86-64-v4")
LIMITS_OF(v3, "x86-64-v3")
LIMITS_OF(v2, "x86-64-v2")

static const kir_limits *limits_for(const char *arch)
{
    static const kir_limits v4 = LIMITS(v4), v3 = LIMITS(v3), v2 = LIMITS(v2);
    const char *level = cpu_arch_level(arch);
    if (!strcmp(arch, "native") || !level) return &cg_cpu_target.limits;
    return !strcmp(level, "x86-64-v4") ? &v4 : !strcmp(level, "x86-64-v3") ? &v3 : &v2;
}

const cg_target cg_cpu_target = {
    .name = "cpu",
    .meaning = "C compiled by the host's compiler, OpenMP; oneDNN for the products that it does "
               "better",
    .limits = LIMITS(native),
    .limits_for = limits_for,
    .build = cpu_build,
};

/* cpu_target.c - the cpu target: which nodes share code, and the texts that are compiled.
 *
 * Nodes whose C text is the same (but for the function's name) share one function. Kernels are
 * dealt out, in order, to translation units of similar size, so that compiling runs in parallel and
 * a change of one kernel recompiles one unit; each attention node is a unit of its own.
 */
#include "codegen/cpu/cpu.h"

#include <string.h>

#include "runtime/base/hash.h"
#include "runtime/device/gemm/cpu_gemm.h"

enum { UNIT_BYTES = 24 * 1024, NO_UNIT = UINT32_MAX };

typedef struct text_unit {
    const char *body;                        /* with the symbol's name spelled @ */
    uint64_t hash;
} text_unit;

typedef struct build {
    const kir_module *m;
    dfm_arena *a;
    const char *prefix;
    cg_object *out;
    DFM_VEC(text_unit) texts;                /* by unit */
    DFM_VEC(uint32_t) unit_of;
} build;

static void count_arg(void *user, kir_arg *arg)
{
    (void)arg;
    ++*(uint32_t *)user;
}

static bool emit_node(build *b, const kir_node *n, dfm_sb *text)
{
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

static void visit(void *user, kir_node *n)
{
    build *b = user;
    dfm_sb text = dfm_sb_make(b->a);
    if (!emit_node(b, n, &text)) {
        dfm_push(b->a, &b->unit_of, NO_UNIT);
        return;
    }
    const char *body = after_comment(dfm_sb_cstr(&text));
    uint64_t hash = dfm_hash64(body, strlen(body), 0);
    for (uint32_t u = 0; u < b->texts.n; u++)
        if (b->texts.p[u].hash == hash && !strcmp(after_comment(b->texts.p[u].body), body)) {
            dfm_push(b->a, &b->unit_of, u);
            return;
        }
    uint32_t u = b->texts.n, n_args = 0;
    kir_each_arg(n, count_arg, &n_args);
    dfm_push(b->a, &b->texts, ((text_unit){dfm_sb_cstr(&text), hash}));
    dfm_push(b->a, &b->out->units, ((cg_unit){n, dfm_fmt(b->a, "%sk%u", b->prefix, u), n_args}));
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

static dfm_sb unit_begin(dfm_arena *a)
{
    dfm_sb sb = dfm_sb_make(a);
    dfm_sb_puts(&sb, cg_text_philox);
    dfm_sb_puts(&sb, cg_text_prelude);
    return sb;
}

typedef DFM_VEC(const char *) strings;

static void split_units(build *b, strings *texts)
{
    dfm_sb open = {0};
    size_t filled = 0;
    for (uint32_t u = 0; u < b->texts.n; u++) {
        const cg_unit *unit = &b->out->units.p[u];
        bool own = unit->node->kind == KIR_NODE_ATTN;
        size_t n = strlen(b->texts.p[u].body);
        if (own) {
            dfm_sb sb = unit_begin(b->a);
            put_named(&sb, b->texts.p[u].body, unit->symbol);
            dfm_push(b->a, texts, dfm_sb_cstr(&sb));
            continue;
        }
        if (open.arena && filled + n > UNIT_BYTES) {
            dfm_push(b->a, texts, dfm_sb_cstr(&open));
            open = (dfm_sb){0};
        }
        if (!open.arena) {
            open = unit_begin(b->a);
            filled = 0;
        }
        put_named(&open, b->texts.p[u].body, unit->symbol);
        filled += n;
    }
    if (open.arena) dfm_push(b->a, texts, dfm_sb_cstr(&open));
}

static void look_for_bf16(void *user, kir_node *n)
{
    if (n->kind == KIR_NODE_GEMM && n->gemm.a.dtype == DFM_BF16) *(bool *)user = true;
}

/* What the level needs, and what oneDNN's bf16 products need if the plan has any. */
static void set_features(build *b, const char *level)
{
    uint32_t n;
    bool bf16 = false;
    const char *const *needs = cpu_arch_features(level, &n);
    cg_each_node(b->m, look_for_bf16, &bf16);
    const char **all = dfm_new_n(b->a, const char *, n + 1);
    memcpy(all, needs, n * sizeof *all);
    if (bf16) all[n++] = "avx512_bf16";
    b->out->features = all;
    b->out->n_features = n;
}

static dfm_status cpu_build(const kir_module *m, const cg_options *opt, dfm_arena *a,
                            cg_object *out, dfm_err *err)
{
    build b = {.m = m, .a = a, .prefix = opt->prefix ? opt->prefix : "", .out = out};
    strings texts = {0};
    cg_each_node(m, visit, &b);
    split_units(&b, &texts);
    out->unit_of = b.unit_of.p;
    const char *level = cpu_arch_level(opt->arch);
    if (!level) {
        dfm_fail(err, DFM_USAGE, "unknown processor level '%s'", opt->arch);
        dfm_help(err, "levels: native x86-64-v2 x86-64-v3 x86-64-v4");
        return DFM_USAGE;
    }
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

static uint64_t gemm_scratch(const kir_gemm *g)
{
    cpu_gemm_shape s = gemm_shape(g);
    return cpu_gemm_scratch(&s);
}

static bool gemm_takes(const kir_gemm *g)
{
    cpu_gemm_shape s = gemm_shape(g);
    return cpu_gemm_takes(&s);
}

/* No level has bf16 instructions: products of bf16 are converted to f32 by kernels. */
static bool gemm_takes_f32(const kir_gemm *g)
{
    return g->a.dtype == DFM_F32 && g->b.dtype == DFM_F32 && gemm_takes(g);
}

#define LIMITS(takes)                                                                              \
    {                                                                                              \
        .target = "cpu", .row_bytes = 16 * 1024, .max_streams = 24, .lane_target = 1024,           \
        .gemm_scratch = gemm_scratch, .attn_scratch = cpu_attn_scratch, .gemm_takes = takes        \
    }

static const kir_limits level_limits = LIMITS(gemm_takes_f32);

static const kir_limits *limits_for(const char *arch)
{
    return strcmp(arch, "native") ? &level_limits : &cg_cpu_target.limits;
}

const cg_target cg_cpu_target = {
    .name = "cpu",
    .meaning = "C compiled by the host's compiler, OpenMP, oneDNN for matrix products",
    .limits = LIMITS(gemm_takes),
    .limits_for = limits_for,
    .build = cpu_build,
};

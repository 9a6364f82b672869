/* null_target.c - units without code: every node that would need some gets a name, no more. */
#include "codegen/null/null.h"

typedef struct build {
    dfm_arena *a;
    cg_object *out;
    DFM_VEC(uint32_t) unit_of;
} build;

static void count_arg(void *user, kir_arg *arg)
{
    (void)arg;
    ++*(uint32_t *)user;
}

static void visit(void *user, kir_node *n)
{
    build *b = user;
    bool code = n->kind == KIR_NODE_KERNEL || n->kind == KIR_NODE_ATTN ||
                n->kind == KIR_NODE_SCATTER;
    uint32_t u = code ? b->out->units.n : UINT32_MAX, n_args = 0;
    if (code) {
        kir_each_arg(n, count_arg, &n_args);
        dfm_push(b->a, &b->out->units, ((cg_unit){n, dfm_fmt(b->a, "k%u", u), n_args}));
    }
    dfm_push(b->a, &b->unit_of, u);
}

static dfm_status null_build(const kir_module *m, const cg_options *opt, dfm_arena *a,
                             cg_object *out, dfm_err *err)
{
    (void)opt, (void)err;
    build b = {.a = a, .out = out};
    cg_each_node(m, visit, &b);
    out->unit_of = b.unit_of.p;
    return DFM_OK;
}

static uint64_t no_scratch(const kir_gemm *g) { return (void)g, 0; }
static uint64_t no_attn_scratch(const kir_attn *n, const kir_module *m)
{
    return (void)n, (void)m, 0;
}
static bool takes_all(const kir_gemm *g) { return (void)g, true; }

const cg_target cg_null_target = {
    .name = "null",
    .meaning = "compiles nothing; counts",
    .limits = {.target = "null", .row_bytes = 16 * 1024, .max_streams = 24, .lane_target = 1024,
               .gemm_scratch = no_scratch, .attn_scratch = no_attn_scratch,
               .gemm_takes = takes_all},
    .build = null_build,
};

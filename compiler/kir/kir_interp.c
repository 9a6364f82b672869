/* kir_interp.c - runs K programs on real memory: the meaning of K, slowly.
 *
 * Values are f32, i32 or bool as kernels hold them, memory has the stored dtypes. Sums are
 * accumulated in f64 and rounded once, so that a target's error is its own.
 */
#include "compiler/kir/kir_interp_impl.h"

static int64_t address(const kir_run *r, const kir_arg *a, int64_t distance)
{
    int64_t at = a->offset + distance;
    for (uint32_t k = 0; k < r->depth; k++) at += r->iter[k] * a->loop_stride[k];
    DFM_ASSERT(at >= 0 && (uint64_t)at < r->m->bufs.p[a->buf.i].elems);
    return at;
}

double kir_get(const kir_run *r, const kir_arg *a, int64_t distance)
{
    return dfm_load_as_double(a->dtype, r->base[a->buf.i], (size_t)address(r, a, distance));
}

void kir_put(const kir_run *r, const kir_arg *a, int64_t distance, double x)
{
    dfm_store_double(a->dtype, r->base[a->buf.i], (size_t)address(r, a, distance), x);
}

static dfm_status run_nodes(kir_run *r, const kir_nodes *list);

static dfm_status run_loop(kir_run *r, const kir_loop *l)
{
    int64_t n = ir_extent(r->m->ir, l->dim);
    uint32_t d = r->depth++;
    for (int64_t i = 0; i < n; i++) {
        r->iter[d] = l->reverse ? n - 1 - i : i;
        DFM_TRY(run_nodes(r, &l->body));
    }
    r->depth--;
    return DFM_OK;
}

static dfm_status run_node(kir_run *r, const kir_node *n)
{
    if (n->replaces.i && r->env->replaced &&
        r->env->replaced(r->env->user, dfm_name_str(r->m->ir->names, n->replaces)))
        return DFM_OK;
    switch (n->kind) {
    case KIR_NODE_KERNEL: return kir_run_kernel(r, n->kernel);
    case KIR_NODE_GEMM:
        kir_run_gemm(r, &n->gemm);
        return n->gemm.epi ? kir_run_kernel(r, n->gemm.epi) : DFM_OK;
    case KIR_NODE_ATTN: kir_run_attn(r, &n->attn); break;
    case KIR_NODE_SCATTER: kir_run_scatter(r, &n->scatter); break;
    case KIR_NODE_COPY: kir_run_copy(r, &n->copy); break;
    case KIR_NODE_LOOP: return run_loop(r, &n->loop);
    case KIR_NODE_NONE: break;
    }
    return DFM_OK;
}

static dfm_status run_nodes(kir_run *r, const kir_nodes *list)
{
    for (uint32_t i = 0; i < list->n; i++) {
        DFM_TRY(run_node(r, list->p[i]));
        if (list->p[i]->kind != KIR_NODE_LOOP) dfm_arena_reset(r->scratch);
    }
    return DFM_OK;
}

dfm_status kir_interpret(const kir_module *m, const kir_program *p, void *const *base,
                         const kir_env *env, dfm_err *err)
{
    kir_run r = {.m = m, .p = p, .base = base, .env = env, .err = err};
    r.scratch = dfm_arena_create("kernel interpreter");
    dfm_status st = run_nodes(&r, &p->nodes);
    dfm_arena_destroy(r.scratch);
    return st;
}

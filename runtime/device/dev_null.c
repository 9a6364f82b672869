/* dev_null.c - executes loops and copies, and only counts kernels and products. */
#include <string.h>

#include "runtime/device/dev_impl.h"

typedef struct null_dev {
    dev base;
    dfm_arena *arena;
    const plan *p;
    dev_blocks blocks;
    dev_counts counts;
} null_dev;

static void null_close(dev *d) { dev_blocks_free(&((null_dev *)d)->blocks); }

static dfm_status null_open(dfm_arena *a, const dev_options *options, dev **out, dfm_err *err)
{
    (void)err;
    null_dev *n = dfm_new(a, null_dev);
    *n = (null_dev){.base.ops = &dev_null_ops, .arena = a, .p = options->p};
    *out = &n->base;
    return DFM_OK;
}

static dfm_status null_alloc(dev *d, uint64_t bytes, void **out, dfm_err *err)
{
    null_dev *n = (null_dev *)d;
    return dev_blocks_add(&n->blocks, n->arena, bytes, out, err);
}

static dfm_status null_constants(dev *d, const void *p, uint64_t bytes, void **out, dfm_err *err)
{
    (void)d, (void)bytes, (void)err;
    *out = (void *)p;
    return DFM_OK;
}

static dfm_status null_prepare(dev *d, const dev_list *list, dfm_err *err)
{
    (void)d, (void)list, (void)err;
    return DFM_OK;
}

static char *address(const dev_list *list, const dev_step *s, uint32_t k, const plan_kctx *ctx)
{
    const dev_operand *o = &list->operands[s->first_operand + k];
    char *at = o->base;
    for (int j = 0; j < PLAN_MAX_LOOPS; j++) at += o->loop_stride[j] * ctx->iter[j];
    return at;
}

static dfm_status null_run(dev *d, const dev_list *list, plan_kctx *ctx, const bool *given,
                           dfm_err *err)
{
    (void)err;
    null_dev *n = (null_dev *)d;
    for (uint32_t i = 0; i < list->n_steps;) {
        const dev_step *s = &list->steps[i];
        if (s->kind == PLAN_STEP_LOOP || s->kind == PLAN_STEP_END) {
            i = dev_loop_next(list, i, ctx);
            continue;
        }
        i++;
        if (s->draw != DEV_NO_DRAW && given[s->draw]) continue;
        if (s->kind == PLAN_STEP_CALL) {
            n->counts.calls++;
            n->counts.flops += n->p->kernels[s->item].flops;
        } else if (s->kind == PLAN_STEP_GEMM) {
            const plan_gemm *g = &n->p->gemms[s->item];
            n->counts.products++;
            n->counts.flops += 2.0 * (double)g->batch[0] * (double)g->batch[1] * (double)g->m *
                               (double)g->n * (double)g->k;
        } else {
            memmove(address(list, s, 1, ctx), address(list, s, 0, ctx), s->value);
            n->counts.copies++;
        }
    }
    return DFM_OK;
}

static dev_counts null_counts(const dev *d) { return ((const null_dev *)d)->counts; }

static dfm_status null_roof(dev *d, dev_roof *out, dfm_err *err)
{
    (void)d, (void)out, (void)err;
    return DFM_OK;
}

const dev_ops dev_null_ops = {
    .name = "null",
    .meaning = "runs nothing, counts",
    .open = null_open,
    .close = null_close,
    .alloc = null_alloc,
    .constants = null_constants,
    .roof = null_roof,
    .prepare = null_prepare,
    .run = null_run,
    .copy_in = dev_host_copy_in,
    .copy_out = dev_host_copy_out,
    .copy = dev_host_copy,
    .clear = dev_host_clear,
    .counts = null_counts,
};

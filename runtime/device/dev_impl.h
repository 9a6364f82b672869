/* dev_impl.h - what devices share: blocks of host memory, copies, stepping through loops. */
#ifndef DFM_RUNTIME_DEV_IMPL_H
#define DFM_RUNTIME_DEV_IMPL_H

#include "runtime/device/device.h"

extern const dev_ops dev_cpu_ops, dev_null_ops;

/* -- dev_blocks.c: page-aligned zeros from the system ------------------------------------------ */
typedef struct dev_block { void *p; uint64_t bytes; } dev_block;
typedef struct dev_blocks { DFM_VEC(dev_block) list; } dev_blocks;
dfm_status dev_blocks_add(dev_blocks *b, dfm_arena *a, uint64_t bytes, void **out, dfm_err *err);
void dev_blocks_free(dev_blocks *b);

/* -- dev_blocks.c: the copies of devices whose memory is the host's ---------------------------- */
void dev_host_copy_in(dev *d, void *device, const void *host, uint64_t bytes);
void dev_host_copy_out(dev *d, void *host, const void *device, uint64_t bytes);
void dev_host_copy(dev *d, void *to, const void *from, uint64_t bytes);
void dev_host_clear(dev *d, void *device, uint64_t bytes);

/* -- dev_code.c: host code of a plan --------------------------------------------------------------
 * The plan's file and its folder must belong to the user or to root and nobody else may be able to
 * write them, unless `trust`. The code goes into a sealed memory file and is loaded from there. */
typedef struct dev_code { void *handle; int fd; plan_kernel_fn **fn; } dev_code;
dfm_status dev_code_load(dfm_arena *a, const dev_options *options, dev_code *out, dfm_err *err);
void dev_code_unload(dev_code *c);

/* -- dev_cpu_copy.c ---------------------------------------------------------------------------- */
void dev_cpu_copy(dev *d, void *to, const void *from, uint64_t bytes);

/* -- dev_cpu_roof.c ---------------------------------------------------------------------------- */
dfm_status dev_cpu_roof(dev_roof *out, dfm_err *err);

/* Index of the step after step i, which is a LOOP or an END; ctx->iter is updated. */
static inline uint32_t dev_loop_next(const dev_list *list, uint32_t i, plan_kctx *ctx)
{
    const dev_step *s = &list->steps[i];
    if (s->kind == PLAN_STEP_LOOP) {
        ctx->iter[s->depth] = s->reverse ? (int64_t)s->value - 1 : 0;
        return i + 1;
    }
    const dev_step *loop = &list->steps[s->partner];
    int64_t *iter = &ctx->iter[loop->depth];
    *iter += loop->reverse ? -1 : 1;
    if (loop->reverse ? *iter >= 0 : *iter < (int64_t)loop->value) return s->partner + 1;
    *iter = 0;
    return i + 1;
}

#endif

/* dev_cpu.c - this processor: compiled kernels, oneDNN, OpenMP. */
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/cpu.h"
#include "runtime/device/dev_impl.h"
#include "runtime/device/gemm/cpu_gemm.h"

typedef struct cpu {
    dev base;
    dfm_arena *arena;
    dev_options options;
    dev_blocks blocks;
    dev_code code;
    cpu_gemm **gemms;                        /* by product of the plan; NULL: not yet made */
    uint64_t *scratch_needs;                 /* by product: bytes it needs here */
    void *scratch;                           /* for products that need more than the plan gives */
    uint64_t scratch_bytes;
    void **args;                             /* of the step that runs */
    uint32_t n_args;
    dev_counts counts;
} cpu;

/* -- processor flags --------------------------------------------------------------------------- */

static dfm_status check_flags(dfm_arena *a, const plan *p, dfm_err *err)
{
    const char **needs, *level;
    uint32_t n = plan_meta_strings(p, a, "cpu", &needs);
    if (n == 0) return DFM_OK;
    const char *flags = dfm_cpu_flags(a);
    dfm_sb missing = dfm_sb_make(a);
    for (uint32_t i = 0; i < n; i++)
        if (!dfm_cpu_has(flags, needs[i])) dfm_sb_printf(&missing, " %s", needs[i]);
    for (uint32_t i = 0; i < n && !missing.n; i++)
        if (!strcmp(needs[i], "amx_tile") && !dfm_cpu_allow_tiles())
            dfm_sb_puts(&missing, " the system's permission to use amx_tile");
    if (!missing.n) return DFM_OK;
    level = plan_meta_string(p, a, "arch");
    dfm_fail(err, DFM_UNAVAILABLE,
             "the plan was compiled for another processor%s%s: this one lacks%s",
             *level ? ", level " : "", level, dfm_sb_cstr(&missing));
    dfm_help(err,
             "compile it here, or for the least of your machines: dfmc --target cpu:x86-64-v2");
    return DFM_UNAVAILABLE;
}

/* -- life -------------------------------------------------------------------------------------- */

static void cpu_close(dev *d)
{
    cpu *c = (cpu *)d;
    for (uint32_t i = 0; i < c->options.p->n_gemms; i++) cpu_gemm_destroy(c->gemms[i]);
    dev_code_unload(&c->code);
    dev_blocks_free(&c->blocks);
}

static dfm_status cpu_open(dfm_arena *a, const dev_options *options, dev **out, dfm_err *err)
{
    const plan *p = options->p;
    DFM_TRY(check_flags(a, p, err));
    cpu *c = dfm_new(a, cpu);
    *c = (cpu){.base.ops = &dev_cpu_ops, .arena = a, .options = *options, .code.fd = -1};
    omp_set_dynamic(0);
    c->base.threads = options->threads ? options->threads : (uint32_t)omp_get_num_procs();
    omp_set_num_threads((int)c->base.threads);
    c->gemms = dfm_new_n(a, cpu_gemm *, p->n_gemms + 1);
    c->scratch_needs = dfm_new_n(a, uint64_t, p->n_gemms + 1);
    if (p->n_code) DFM_TRY(dev_code_load(a, options, &c->code, err));
    *out = &c->base;
    return DFM_OK;
}

static dfm_status cpu_alloc(dev *d, uint64_t bytes, void **out, dfm_err *err)
{
    cpu *c = (cpu *)d;
    return dev_blocks_add(&c->blocks, c->arena, bytes, out, err);
}

static dfm_status cpu_constants(dev *d, const void *p, uint64_t bytes, void **out, dfm_err *err)
{
    (void)d, (void)bytes, (void)err;
    *out = (void *)p;
    return DFM_OK;
}

/* -- running ----------------------------------------------------------------------------------- */

static dfm_status make_gemm(cpu *c, uint32_t item, dfm_err *err)
{
    const plan_gemm *g = &c->options.p->gemms[item];
    cpu_gemm_shape s = {.batch = {g->batch[0], g->batch[1]}, .m = g->m, .n = g->n, .k = g->k,
                        .da = (dfm_dtype)g->da, .db = (dfm_dtype)g->db, .dc = (dfm_dtype)g->dc,
                        .has_bias = g->has_bias};
    memcpy(s.sa, g->sa, sizeof s.sa);
    memcpy(s.sb, g->sb, sizeof s.sb);
    memcpy(s.sc, g->sc, sizeof s.sc);
    DFM_TRY(cpu_gemm_create(&s, &c->gemms[item], err));
    /* Scratch grows with the threads: the plan's was measured where it was compiled. */
    c->scratch_needs[item] = cpu_gemm_scratch(&s);
    if (c->scratch_needs[item] <= g->scratch_bytes || c->scratch_needs[item] <= c->scratch_bytes)
        return DFM_OK;
    c->scratch_bytes = c->scratch_needs[item];
    return dev_blocks_add(&c->blocks, c->arena, c->scratch_bytes, &c->scratch, err);
}

static dfm_status cpu_prepare(dev *d, const dev_list *list, dfm_err *err)
{
    cpu *c = (cpu *)d;
    for (uint32_t i = 0; i < list->n_steps; i++) {
        const dev_step *s = &list->steps[i];
        if (s->kind == PLAN_STEP_GEMM && !c->gemms[s->item]) DFM_TRY(make_gemm(c, s->item, err));
        if (s->kind == PLAN_STEP_CALL && !c->code.handle)
            return dfm_fail(err, DFM_BAD_DATA, "damaged plan: it calls kernels and has no code");
    }
    if (list->max_operands > c->n_args) {
        c->n_args = list->max_operands;
        c->args = dfm_new_n(c->arena, void *, c->n_args);
    }
    return DFM_OK;
}

static void *const *addresses(cpu *c, const dev_list *list, const dev_step *s, const plan_kctx *ctx)
{
    if (!s->moves) return list->fixed + s->first_operand;
    const dev_operand *o = list->operands + s->first_operand;
    for (uint32_t k = 0; k < s->n_operands; k++) {
        const int64_t *stride = o[k].loop_stride, *iter = ctx->iter;
        int64_t at = stride[0] * iter[0] + stride[1] * iter[1] + stride[2] * iter[2] +
                     stride[3] * iter[3];
        c->args[k] = o[k].base ? o[k].base + at : NULL;
    }
    return c->args;
}

static dfm_status run_gemm(cpu *c, uint32_t item, void *const *at, dfm_err *err)
{
    const plan_gemm *g = &c->options.p->gemms[item];
    void *scratch = c->scratch_needs[item] > g->scratch_bytes ? c->scratch : at[4];
    return cpu_gemm_run(c->gemms[item], at[0], at[1], at[2], at[3], scratch, err);
}

static dfm_status cpu_run(dev *d, const dev_list *list, plan_kctx *ctx, const bool *given,
                          dfm_err *err)
{
    cpu *c = (cpu *)d;
    for (uint32_t i = 0; i < list->n_steps;) {
        const dev_step *s = &list->steps[i];
        if (s->kind == PLAN_STEP_LOOP || s->kind == PLAN_STEP_END) {
            i = dev_loop_next(list, i, ctx);
            continue;
        }
        i++;
        if (s->draw != DEV_NO_DRAW && given[s->draw]) continue;
        void *const *at = addresses(c, list, s, ctx);
        double begin = d->profile ? omp_get_wtime() : 0;
        if (s->kind == PLAN_STEP_CALL) {
            c->code.fn[s->item](ctx, at);
            c->counts.calls++;
        } else if (s->kind == PLAN_STEP_GEMM) {
            DFM_TRY(run_gemm(c, s->item, at, err));
            c->counts.products++;
        } else {
            memmove(at[1], at[0], s->value);
            c->counts.copies++;
        }
        if (d->profile)
            d->profile->step(d->profile->user, i - 1, ctx->iter, begin, omp_get_wtime());
    }
    return DFM_OK;
}

static dfm_status cpu_roof(dev *d, dev_roof *out, dfm_err *err)
{
    (void)d;
    return dev_cpu_roof(out, err);
}

static dev_counts cpu_counts(const dev *d) { return ((const cpu *)d)->counts; }

const dev_ops dev_cpu_ops = {
    .name = "cpu",
    .meaning = "this processor: compiled kernels, oneDNN, OpenMP",
    .open = cpu_open,
    .close = cpu_close,
    .alloc = cpu_alloc,
    .constants = cpu_constants,
    .roof = cpu_roof,
    .prepare = cpu_prepare,
    .run = cpu_run,
    .copy_in = dev_cpu_copy,
    .copy_out = dev_cpu_copy,
    .copy = dev_cpu_copy,
    .clear = dev_host_clear,
    .counts = cpu_counts,
};

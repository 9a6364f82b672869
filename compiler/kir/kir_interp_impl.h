/* kir_interp_impl.h - shared by the files of the K interpreter and by nobody else. */
#ifndef DFM_COMPILER_KIR_INTERP_IMPL_H
#define DFM_COMPILER_KIR_INTERP_IMPL_H

#include "compiler/kir/kir.h"

typedef struct kir_run {
    const kir_module *m;
    const kir_program *p;
    void *const *base;
    const kir_env *env;
    dfm_arena *scratch;                      /* reset after each node */
    int64_t iter[KIR_MAX_LOOPS];
    uint32_t depth;
    dfm_err *err;
} kir_run;

/* Element of an operand: offset + loops + the given extra distance. */
double kir_get(const kir_run *r, const kir_arg *a, int64_t distance);
void kir_put(const kir_run *r, const kir_arg *a, int64_t distance, double x);

dfm_status kir_run_kernel(kir_run *r, const kir_kernel *k);           /* kir_interp_kernel.c */
void kir_run_gemm(kir_run *r, const kir_gemm *g);                     /* kir_interp_nodes.c */
void kir_run_attn(kir_run *r, const kir_attn *t);
void kir_run_scatter(kir_run *r, const kir_scatter *s);
void kir_run_copy(kir_run *r, const kir_copy *y);

#endif

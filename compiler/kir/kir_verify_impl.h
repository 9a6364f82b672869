/* kir_verify_impl.h - shared by the files of the verifier and by nobody else. */
#ifndef DFM_COMPILER_KIR_VERIFY_IMPL_H
#define DFM_COMPILER_KIR_VERIFY_IMPL_H

#include "compiler/kir/kir.h"

typedef struct kir_checker {
    const kir_module *m;
    const kir_program *p;
    const char *where;                       /* name of the node */
    uint32_t depth;                          /* enclosing loops */
    int64_t trips[KIR_MAX_LOOPS];
    dfm_err *err;
} kir_checker;

/* Fails with "K<rule>: <text> (in <node> of <program>)" unless cond holds. */
#define KIR_RULE(c, cond, rule, ...)                                                              \
    do {                                                                                          \
        if (!(cond)) return kir_broken((c), (rule), __VA_ARGS__);                                 \
    } while (0)
dfm_status kir_broken(kir_checker *c, int rule, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

bool kir_dim_ok(const kir_checker *c, ir_dim d);
/* a * b + c with saturation. */
int64_t kir_sat(int64_t a, int64_t b, int64_t c);
/* The window at offset, n counters of the given extents and strides, and the loops: in the buffer?
 */
dfm_status kir_check_window(kir_checker *c, const kir_arg *a, const char *what,
                            const int64_t *extents, const int64_t *strides, uint32_t n);
dfm_status kir_check_arg(kir_checker *c, const kir_arg *a, const char *what);
/* Lowest and highest element of the operand's dims, without the loops. */
void kir_arg_span(const kir_module *m, const kir_arg *a, int64_t *lo, int64_t *hi);
/* Could they touch the same element (in the same iteration)? */
bool kir_args_overlap(const kir_checker *c, const kir_arg *a, const kir_arg *b);

dfm_status kir_check_kernel(kir_checker *c, const kir_kernel *k);     /* kir_verify_kernel.c */
dfm_status kir_check_gemm(kir_checker *c, const kir_gemm *g);         /* kir_verify_nodes.c */
dfm_status kir_check_attn(kir_checker *c, const kir_attn *t);
dfm_status kir_check_scatter(kir_checker *c, const kir_scatter *s);
dfm_status kir_check_copy(kir_checker *c, const kir_copy *y);

#endif

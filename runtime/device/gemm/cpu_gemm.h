/* cpu_gemm.h - matrix products on the CPU through oneDNN.
 *
 *   c[b,m,n] = sum_k a[b,m,k] * b[b,k,n] (+ bias[n]),  f32 accumulation
 *
 * Used by the cpu device, which executes the products, and by the cpu target, which must say at
 * compile time how much scratch each gets: both ask the same primitive. Strides are in elements;
 * index 0 and 1 are batch dims, then rows and columns: sa {b0, b1, m, k}, sb {b0, b1, k, n},
 * sc {b0, b1, m, n}. A broadcast operand has batch stride 0. In each operand one of the two last
 * strides is 1 or its extent is 1; in c the stride of n.
 */
#ifndef DFM_RUNTIME_DEVICE_GEMM_H
#define DFM_RUNTIME_DEVICE_GEMM_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/dtype.h"
#include "runtime/base/status.h"

typedef struct cpu_gemm_shape {
    int64_t batch[2], m, n, k;
    int64_t sa[4], sb[4], sc[4];
    dfm_dtype da, db, dc;                    /* f32 or bf16 */
    bool has_bias;                           /* f32[n] */
} cpu_gemm_shape;

typedef struct cpu_gemm cpu_gemm;

/* Can it run here as it stands? bf16 operands only on processors with bf16 instructions. */
bool cpu_gemm_takes(const cpu_gemm_shape *s);
/* Bytes of scratch that a call needs here, aligned to 64: it depends on the number of threads. */
uint64_t cpu_gemm_scratch(const cpu_gemm_shape *s);
/* The same for plans: with CPU_GEMM_THREADS, whatever there are here, so that every machine of a
 * level makes the same plan. */
enum { CPU_GEMM_THREADS = 16 };
uint64_t cpu_gemm_plan_scratch(const cpu_gemm_shape *s);
/* Build the primitive. Fails with DFM_UNAVAILABLE if oneDNN cannot. */
dfm_status cpu_gemm_create(const cpu_gemm_shape *s, cpu_gemm **out, dfm_err *err);
void cpu_gemm_destroy(cpu_gemm *g);
/* bias may be NULL if the shape has none; scratch NULL if none is needed. */
dfm_status cpu_gemm_run(cpu_gemm *g, const void *a, const void *b, void *c, const void *bias,
                        void *scratch, dfm_err *err);

#endif

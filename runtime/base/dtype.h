/* dtype.h - element types of tensors, shared by compiler, plan and runtime. */
#ifndef DFM_RUNTIME_BASE_DTYPE_H
#define DFM_RUNTIME_BASE_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef enum dfm_dtype {
    DFM_DT_NONE = 0,
#define DTYPE(id, name, bytes, flt, st, npy, doc) DFM_##id,
#include "runtime/base/dtype.def"
#undef DTYPE
    DFM_DT_COUNT
} dfm_dtype;

const char *dfm_dtype_name(dfm_dtype d);        /* "f32"; "none" for DFM_DT_NONE */
size_t dfm_dtype_bytes(dfm_dtype d);
bool dfm_dtype_is_float(dfm_dtype d);
const char *dfm_dtype_safetensors(dfm_dtype d); /* "F32" */
dfm_dtype dfm_dtype_of_name(const char *name);          /* DFM_DT_NONE if unknown */
dfm_dtype dfm_dtype_of_safetensors(const char *name);   /* DFM_DT_NONE if unknown */
dfm_dtype dfm_dtype_of_npy(const char *descr);          /* DFM_DT_NONE if unknown */

/* bf16 <-> f32. To bf16: round to nearest, ties to even; NaN stays a quiet NaN. */
static inline float dfm_bf16_to_f32(uint16_t x)
{
    uint32_t u = (uint32_t)x << 16;
    float f;
    memcpy(&f, &u, 4);
    return f;
}
static inline uint16_t dfm_f32_to_bf16(float f)
{
    uint32_t u;
    memcpy(&u, &f, 4);
    if ((u & 0x7fffffffu) > 0x7f800000u) return (uint16_t)(u >> 16 | 0x40);
    return (uint16_t)((u + 0x7fffu + (u >> 16 & 1)) >> 16);
}
float dfm_f16_to_f32(uint16_t x);

/* Element i of an array of dtype d, as a double; and the reverse, rounding to nearest even
 * (integers: truncation toward zero, saturating). */
double dfm_load_as_double(dfm_dtype d, const void *base, size_t i);
void dfm_store_double(dfm_dtype d, void *base, size_t i, double x);
/* x rounded to the nearest value of d, as a double. */
double dfm_round_to(dfm_dtype d, double x);

#endif

/* dtype.c - element types: names, sizes, conversions. */
#include "runtime/base/dtype.h"

#include <math.h>

static const struct { const char *name, *st, *npy; uint8_t bytes, is_float; } table[] = {
    {"none", "", "", 0, 0},
#define DTYPE(id, name, bytes, flt, st, npy, doc) {name, st, npy, bytes, flt},
#include "runtime/base/dtype.def"
#undef DTYPE
};

const char *dfm_dtype_name(dfm_dtype d) { return table[d].name; }
size_t dfm_dtype_bytes(dfm_dtype d) { return table[d].bytes; }
bool dfm_dtype_is_float(dfm_dtype d) { return table[d].is_float; }
const char *dfm_dtype_safetensors(dfm_dtype d) { return table[d].st; }

dfm_dtype dfm_dtype_of_name(const char *name)
{
    for (int d = 1; d < DFM_DT_COUNT; d++)
        if (!strcmp(table[d].name, name)) return (dfm_dtype)d;
    return DFM_DT_NONE;
}

dfm_dtype dfm_dtype_of_safetensors(const char *name)
{
    for (int d = 1; d < DFM_DT_COUNT; d++)
        if (!strcmp(table[d].st, name)) return (dfm_dtype)d;
    return DFM_DT_NONE;
}

dfm_dtype dfm_dtype_of_npy(const char *descr)
{
    for (int d = 1; d < DFM_DT_COUNT; d++)
        if (table[d].npy[0] && !strcmp(table[d].npy, descr)) return (dfm_dtype)d;
    return DFM_DT_NONE;
}

float dfm_f16_to_f32(uint16_t x)
{
    int e = x >> 10 & 31, m = x & 1023;
    float v = e == 31 ? (m ? NAN : INFINITY) : e ? ldexpf((float)(m | 1024), e - 25)
                                                 : ldexpf((float)m, -24);
    return x >> 15 ? -v : v;
}

static uint16_t double_to_f16(double x)
{
    uint16_t sign = signbit(x) ? 0x8000 : 0;
    double a = fabs(x);
    if (isnan(x)) return sign | 0x7e00;
    if (a >= 65520.0) return sign | 0x7c00;
    int e;
    frexp(a, &e);                               /* a = f * 2^e, f in [0.5, 1) */
    int q = e - 11 < -24 ? -24 : e - 11;        /* exponent of the last place */
    double scaled = nearbyint(ldexp(a, -q));    /* at most 2048 */
    if (scaled == 0) return sign;
    if (q == -24 && scaled < 1024) return sign | (uint16_t)scaled;
    if (scaled == 2048) { scaled = 1024; q++; }
    return sign | (uint16_t)((q + 25) << 10) | ((uint16_t)scaled & 1023);
}

/* Straight from double: rounding to f32 first could round twice. */
static uint16_t double_to_bf16(double x)
{
    float f = (float)x;
    if (isfinite(f) && (double)f != x) {        /* make the float's last bit sticky */
        uint32_t u;
        float toward = fabs((double)f) > fabs(x) ? nextafterf(f, 0) : f;
        memcpy(&u, &toward, 4);
        u |= 1;
        memcpy(&f, &u, 4);
    }
    return dfm_f32_to_bf16(f);
}

double dfm_load_as_double(dfm_dtype d, const void *base, size_t i)
{
    switch (d) {
    case DFM_BOOL: return ((const uint8_t *)base)[i] != 0;
    case DFM_U8: return ((const uint8_t *)base)[i];
    case DFM_I32: return ((const int32_t *)base)[i];
    case DFM_I64: return (double)((const int64_t *)base)[i];
    case DFM_F16: return dfm_f16_to_f32(((const uint16_t *)base)[i]);
    case DFM_BF16: return dfm_bf16_to_f32(((const uint16_t *)base)[i]);
    case DFM_F32: return ((const float *)base)[i];
    case DFM_F64: return ((const double *)base)[i];
    default: return 0;
    }
}

static double clamp_int(double x, double lo, double hi)
{
    return isnan(x) ? 0 : x < lo ? lo : x > hi ? hi : trunc(x);
}

void dfm_store_double(dfm_dtype d, void *base, size_t i, double x)
{
    switch (d) {
    case DFM_BOOL: ((uint8_t *)base)[i] = x != 0; break;
    case DFM_U8: ((uint8_t *)base)[i] = (uint8_t)clamp_int(x, 0, 255); break;
    case DFM_I32: ((int32_t *)base)[i] = (int32_t)clamp_int(x, INT32_MIN, INT32_MAX); break;
    case DFM_I64:
        ((int64_t *)base)[i] = x >= 9223372036854775807.0 ? INT64_MAX
                               : (int64_t)clamp_int(x, -9223372036854775808.0, 9.3e18);
        break;
    case DFM_F16: ((uint16_t *)base)[i] = double_to_f16(x); break;
    case DFM_BF16: ((uint16_t *)base)[i] = double_to_bf16(x); break;
    case DFM_F32: ((float *)base)[i] = (float)x; break;
    case DFM_F64: ((double *)base)[i] = x; break;
    default: break;
    }
}

double dfm_round_to(dfm_dtype d, double x)
{
    union { double f; int64_t i; uint16_t h; } cell = {0};
    dfm_store_double(d, &cell, 0, x);
    return dfm_load_as_double(d, &cell, 0);
}

/* prelude.h - what generated C for the CPU begins with: types and vectorisable mathematics.
 *
 * Every function is branch-free where it can stand in a lane loop, so that the host compiler turns
 * loops over it into vector code. Errors are relative to the correctly rounded result, measured by
 * tests/cpu/test_math.c over the stated ranges.
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

typedef struct kctx {                /* = plan_kctx of runtime/plan/plan.h */
    uint64_t seed, step;
    int64_t first_sample;
    int64_t iter[4];
    const double *scalars;
} kctx;

int omp_get_thread_num(void), omp_get_num_threads(void);

#define INLINE static inline __attribute__((always_inline))

INLINE float as_float(int32_t i) { float f; memcpy(&f, &i, 4); return f; }
INLINE int32_t as_int(float f) { int32_t i; memcpy(&i, &f, 4); return i; }

/* -- integers: division and remainder round toward minus infinity; by zero gives zero ---------- */
INLINE int64_t floor_div(int64_t a, int64_t b)
{
    if (b == 0) return 0;
    int64_t q = a / b;
    return q - (a % b != 0 && (a < 0) != (b < 0));
}
INLINE int64_t floor_mod(int64_t a, int64_t b) { return b == 0 ? 0 : a - floor_div(a, b) * b; }
INLINE int64_t clamp_int(int64_t a, int64_t lo, int64_t hi)
{
    return a < lo ? lo : a > hi ? hi : a;
}

/* -- bf16 ------------------------------------------------------------------------------------- */
INLINE float from_bf16(uint16_t x) { return as_float((int32_t)((uint32_t)x << 16)); }
/* The nearest bf16 as the upper half of a word, ties to even; NaN stays NaN. */
INLINE uint32_t bf16_above(float f)
{
    uint32_t u = (uint32_t)as_int(f);
    return f != f ? u | 0x400000u : u + 0x7fffu + (u >> 16 & 1);
}
INLINE uint16_t rounded_to_bf16(float f) { return (uint16_t)((uint32_t)as_int(f) >> 16); }
INLINE uint16_t to_bf16(float f) { return (uint16_t)(bf16_above(f) >> 16); }
INLINE float round_bf16(float f) { return as_float((int32_t)(bf16_above(f) & 0xffff0000u)); }
INLINE float from_f16(uint16_t x)
{
    uint32_t e = x >> 10 & 31, m = x & 1023;
    float v = e == 31 ? (m ? NAN : INFINITY)
              : e     ? ldexpf((float)(m | 1024), (int)e - 25)
                      : ldexpf((float)m, -24);
    return x >> 15 ? -v : v;
}
/* To the nearest f16, ties to even. Below the normal ones, 0.5 + x has the spacing of f16 there. */
INLINE uint16_t to_f16(float f)
{
    uint32_t u = (uint32_t)as_int(f), sign = u >> 16 & 0x8000u, a = u & 0x7fffffffu;
    uint32_t normal = (a - 0x38000000u + 0xfffu + (a >> 13 & 1)) >> 13;
    uint32_t tiny = (uint32_t)as_int(as_float((int32_t)a) + 0.5f) - 0x3f000000u;
    uint32_t r = a < 0x38800000u ? tiny : normal;
    r = a >= 0x47800000u ? 0x7c00u : r;
    return (uint16_t)(sign | (a > 0x7f800000u ? 0x7e00u : r));
}

/* -- exp: x = n ln 2 + r, |r| <= ln 2 / 2, minimax degree 6 (2.0e-9 relative); 0 below -103.9,
 * inf above 88.73 ------------------------------------------------------------------------------ */
INLINE float f_exp(float x)
{
    float c = x < -104.0f ? -104.0f : x;
    c = c > 89.0f ? 89.0f : c;
    float n = __builtin_fmaf(c, 0x1.715476p+0f, 0x1.8p+23f) - 0x1.8p+23f;
    float r = __builtin_fmaf(n, -0x1.62e4p-1f, c);
    r = __builtin_fmaf(n, -0x1.7f7d1cp-20f, r);
    float p = 0x1.6ab28cp-10f;
    p = __builtin_fmaf(p, r, 0x1.1274p-7f);
    p = __builtin_fmaf(p, r, 0x1.5558bcp-5f);
    p = __builtin_fmaf(p, r, 0x1.5553fep-3f);
    p = __builtin_fmaf(p, r, 0x1.fffffap-2f);
    p = __builtin_fmaf(p, r, 1.0f);
    p = __builtin_fmaf(p, r, 1.0f);
    int32_t k = (int32_t)n, h = k >> 1;                 /* two factors: subnormals, overflow */
    float y = p * as_float((h + 127) << 23) * as_float((k - h + 127) << 23);
    return x != x ? x : y;
}

/* -- log: the polynomial of philox.h, with zero, negative, infinite and subnormal arguments ---- */
INLINE float f_log(float x)
{
    int tiny = x < 0x1p-126f;
    float s = tiny ? x * 0x1p+24f : x;
    float y = dfm_logf_exact(s);
    y = tiny ? y - 0x1.0a2b24p+4f : y;                  /* 24 ln 2 */
    y = x == 0.0f ? -INFINITY : y;
    y = x < 0.0f ? NAN : y;
    return x != x || x == INFINITY ? x : y;
}

/* -- expm1: minimax of (e^x - 1 - x) / x^2 where |x| < 1/2, else exp - 1 ----------------------- */
/* -- log1p: Kahan's correction ----------------------------------------------------------------- */
INLINE float f_expm1(float x)
{
    float p = 0x1.a2b5a2p-16f;
    p = __builtin_fmaf(p, x, 0x1.a2a32ap-13f);
    p = __builtin_fmaf(p, x, 0x1.6c14dep-10f);
    p = __builtin_fmaf(p, x, 0x1.110fccp-7f);
    p = __builtin_fmaf(p, x, 0x1.555556p-5f);
    p = __builtin_fmaf(p, x, 0x1.555556p-3f);
    p = __builtin_fmaf(p, x, 0.5f);
    float small = __builtin_fmaf(x * x, p, x);
    return x > -0.5f && x < 0.5f ? small : f_exp(x) - 1.0f;
}
INLINE float f_log1p(float x)
{
    float u = 1.0f + x;
    float y = f_log(u) * x / (u - 1.0f);
    return u == 1.0f ? x : x == INFINITY ? x : y;
}

/* -- tanh: e / (e + 1) of e = (e^2a - 1) / 2, a = |x| = n ln 2 / 2 + r:
 * e = 2^n p(r) + (2^n - 1) / 2, where p is the polynomial of exp at 2 r without its 1, halved, so
 * that nothing cancels. The error of ln 2 / 2 as one float (2.7e-9) times n does not show: the
 * larger n, the flatter tanh. 1 from 9.5 on. --------------------------------------------------- */
INLINE float f_tanh(float x)
{
    float a = __builtin_fabsf(x);
    a = a > 9.5f ? 9.5f : a;
    float t = __builtin_fmaf(a, 0x1.715476p+1f, 0x1.8p+23f), n = t - 0x1.8p+23f;
    float r = __builtin_fmaf(n, -0x1.62e43p-2f, a);
    float p = 0x1.6ab28cp-5f;
    p = __builtin_fmaf(p, r, 0x1.1274p-3f);
    p = __builtin_fmaf(p, r, 0x1.5558bcp-2f);
    p = __builtin_fmaf(p, r, 0x1.5553fep-1f);
    p = __builtin_fmaf(p, r, 0x1.fffffap-1f);
    p = __builtin_fmaf(p * r, r, r);
    float s = as_float((as_int(t) + 127) << 23);        /* 2^n: t ends in n */
    float e = __builtin_fmaf(s, p, __builtin_fmaf(s, 0.5f, -0.5f));
    float y = e / (e + 1.0f);
    return as_float(as_int(y) | (as_int(x) & INT32_MIN));
}

/* -- sigmoid: through exp of a negative argument ----------------------------------------------- */
INLINE float f_sigmoid(float x)
{
    float a = x < 0 ? x : -x;                           /* -|x| */
    float e = f_exp(a);
    float s = 1.0f / (1.0f + e);
    return x < 0 ? e * s : s;
}

/* -- erf: x P(x^2) below 1; above, 1 - t exp(Q(t) - x^2) with t = 1 / (1 + x/2). Both are Remez
 * fits of our own (8e-13 relative; 5e-12 in Q's exponent). ------------------------------------- */
INLINE float f_erf(float x)
{
    float a = x < 0 ? -x : x, z = x * x;
    float p = 0x1.1b8c1ep-20f;
    p = __builtin_fmaf(p, z, -0x1.d25cdep-17f);
    p = __builtin_fmaf(p, z, 0x1.f56bep-14f);
    p = __builtin_fmaf(p, z, -0x1.bfdf58p-11f);
    p = __builtin_fmaf(p, z, 0x1.56586cp-8f);
    p = __builtin_fmaf(p, z, -0x1.b82cb8p-6f);
    p = __builtin_fmaf(p, z, 0x1.ce2f2p-4f);
    p = __builtin_fmaf(p, z, -0x1.812746p-2f);
    p = __builtin_fmaf(p, z, 0x1.20dd76p+0f);
    float c = a > 4.3f ? 4.3f : a;
    float t = 1.0f / __builtin_fmaf(0.5f, c, 1.0f);
    float q = -0x1.09a266p-2f;
    q = __builtin_fmaf(q, t, 0x1.01ff1ap+0f);
    q = __builtin_fmaf(q, t, -0x1.60bb2ep+0f);
    q = __builtin_fmaf(q, t, 0x1.48e08p-1f);
    q = __builtin_fmaf(q, t, -0x1.568568p-3f);
    q = __builtin_fmaf(q, t, 0x1.b2ab96p-2f);
    q = __builtin_fmaf(q, t, 0x1.fd7894p-1f);
    q = __builtin_fmaf(q, t, -0x1.43eddp+0f);
    float big = 1.0f - t * f_exp(q - c * c);
    big = x < 0 ? -big : big;
    float y = a < 1.0f ? x * p : big;
    return x != x ? x : y;
}

/* -- sin, cos: reduction by pi/2 in three parts, |x| up to 2^18; beyond, libm.
 * Minimax polynomials on [-pi/4, pi/4] ------------------- */
INLINE float sincos_reduced(float x, int quarter)
{
    float n = __builtin_fmaf(x, 0x1.45f306p-1f, 0x1.8p+23f) - 0x1.8p+23f;
    float r = __builtin_fmaf(n, -0x1.921fb4p+0f, x);
    r = __builtin_fmaf(n, -0x1.4442d0p-24f, r);
    r = __builtin_fmaf(n, -0x1.846988p-48f, r);
    int32_t q = (int32_t)n + quarter;
    float z = r * r;
    float s = 0x1.6da93p-19f;
    s = __builtin_fmaf(s, z, -0x1.a01366p-13f);
    s = __builtin_fmaf(s, z, 0x1.11110ep-7f);
    s = __builtin_fmaf(s, z, -0x1.555556p-3f);
    s = __builtin_fmaf(s * z, r, r);
    float c = -0x1.25165cp-22f;
    c = __builtin_fmaf(c, z, 0x1.a0159ap-16f);
    c = __builtin_fmaf(c, z, -0x1.6c16cp-10f);
    c = __builtin_fmaf(c, z, 0x1.555556p-5f);
    c = __builtin_fmaf(c, z, -0.5f);
    c = __builtin_fmaf(c, z, 1.0f);
    float y = q & 1 ? c : s;
    return q & 2 ? -y : y;
}
INLINE float f_sin(float x)
{
    return x > -0x1p+18f && x < 0x1p+18f ? sincos_reduced(x, 0) : sinf(x);
}
INLINE float f_cos(float x)
{
    return x > -0x1p+18f && x < 0x1p+18f ? sincos_reduced(x, 1) : cosf(x);
}

/* -- the rest ---------------------------------------------------------------------------------- */
INLINE float f_sign(float x) { return x > 0 ? 1.0f : x < 0 ? -1.0f : 0.0f; }
/* The first where they are equal or one is not a number. */
INLINE float f_min(float a, float b) { return b < a ? b : a; }
INLINE float f_max(float a, float b) { return b > a ? b : a; }
INLINE float f_mod(float a, float b) { return a - b * floorf(a / b); }

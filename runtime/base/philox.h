/* philox.h - random numbers as a function of where they are used, equal bit for bit everywhere.
 *
 * Generator: Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as
 * 1, 2, 3", SC 2011). A draw depends on six numbers and on nothing else:
 *
 *   seed     u64  the run's seed
 *   stream   u64  what is drawn: a hash of section and variable name
 *   step     u32  the training step (0 in a sampler's start noise)
 *   sample   u32  global position of the sample in the batch
 *   loop     u32  counters of the enclosing `repeat`s, outermost first, joined by dfm_draw_loop;
 *                 0 outside of any
 *   element  u32  row-major index within one sample (the value's elements without the sample dim)
 *
 * Mapping, in full:
 *
 *   key   = words 0 and 1 of philox(key {seed lo, seed hi}, ctr {stream lo, stream hi, K2, K3}),
 *           K2 = 0x64666d6b ("dfmk"), K3 = 0x65790001
 *   words = philox(key, ctr {element / 4, sample, step, loop});
 *           element e has word w = words[e % 4]
 *   uniform f32 in [0, 1):   (w >> 8) * 2^-24
 *   integer in lo .. hi - 1: lo + (w * (hi - lo) >> 32), the product in 64 bits
 *   normal f32: Box-Muller on the pair of words that e belongs to, a = words[e % 4 & 2] and
 *           b = words[e % 4 | 1]:  u1 = ((a >> 8) + 1) * 2^-24 in (0, 1],  u2 = (b >> 8) * 2^-24,
 *           r = sqrt(-2 log u1);  e even: r * cos(2 pi u2),  e odd: r * sin(2 pi u2)
 *
 * Normals need a logarithm, a sine and a cosine that have the same bits on every target, so they
 * are written here with explicit fused multiply-adds; besides these only f32 addition,
 * multiplication and square root are used, which IEEE 754 rounds correctly everywhere. Compile
 * with -ffp-contract=off (CUDA: -fmad=false) and without -ffast-math. The same text, with the
 * names changed, goes into generated kernels.
 */
#ifndef DFM_RUNTIME_BASE_PHILOX_H
#define DFM_RUNTIME_BASE_PHILOX_H

#include <math.h>
#include <stdint.h>
#include <string.h>

/* -- generator ----------------------------------------------------------------------------- */

/* One block: 128 random bits for a 64-bit key and a 128-bit counter. */
static inline void dfm_philox(const uint32_t key[2], const uint32_t ctr[4], uint32_t out[4])
{
    uint32_t k0 = key[0], k1 = key[1];
    uint32_t c0 = ctr[0], c1 = ctr[1], c2 = ctr[2], c3 = ctr[3];
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xd2511f53u * c0;
        uint64_t p1 = (uint64_t)0xcd9e8d57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += 0x9e3779b9u;
        k1 += 0xbb67ae85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

/* The key of one stream of draws. Does not depend on step, sample, loop or element: hoist it. */
static inline void dfm_draw_key(uint64_t seed, uint64_t stream, uint32_t key[2])
{
    uint32_t k[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    uint32_t c[4] = {(uint32_t)stream, (uint32_t)(stream >> 32), 0x64666d6bu, 0x65790001u};
    uint32_t w[4];
    dfm_philox(k, c, w);
    key[0] = w[0];
    key[1] = w[1];
}

/* Joins the counter of one more enclosing loop, from the outermost inwards, starting with 0. */
static inline uint32_t dfm_draw_loop(uint32_t outer, uint32_t counter)
{
    return outer * 4096u + counter;
}

/* The four words of elements 4 * (element / 4) .. + 3. */
static inline void dfm_draw_words(const uint32_t key[2], uint32_t step, uint32_t sample,
                                  uint32_t loop, uint32_t element, uint32_t out[4])
{
    uint32_t ctr[4] = {element / 4, sample, step, loop};
    dfm_philox(key, ctr, out);
}

/* -- elementary functions with fixed bits -------------------------------------------------- */

/* Natural logarithm of a positive, finite, normal x; error below 1 ulp.
 * x = m * 2^e with m in [sqrt(1/2), sqrt(2)), log m = f - f^2/2 + f^3 P(f), f = m - 1; P is the
 * polynomial of degree 8 of least largest relative error (7.5e-10), from Remez' algorithm. */
static inline float dfm_logf_exact(float x)
{
    int32_t bits, shifted;
    float m;
    memcpy(&bits, &x, 4);
    int32_t e = (bits - 0x3f3504f3) >> 23;      /* arithmetic shift: floor */
    shifted = (int32_t)((uint32_t)bits - ((uint32_t)e << 23));
    memcpy(&m, &shifted, 4);
    float f = m - 1.0f, z = f * f, k = (float)e;
    float p = 0x1.1457c0p-4f;
    p = fmaf(p, f, -0x1.de3c1cp-4f);
    p = fmaf(p, f, 0x1.e6f062p-4f);
    p = fmaf(p, f, -0x1.fc2206p-4f);
    p = fmaf(p, f, 0x1.233768p-3f);
    p = fmaf(p, f, -0x1.555c4ep-3f);
    p = fmaf(p, f, 0x1.99a4b6p-3f);
    p = fmaf(p, f, -0x1.000006p-2f);
    p = fmaf(p, f, 0x1.555548p-2f);
    float y = f * z * p;
    y = fmaf(k, 0x1.7f7d1cp-20f, y);            /* log 2 = 0x1.62e4p-1 + 0x1.7f7d1cp-20 */
    y = fmaf(-0.5f, z, y);
    return fmaf(k, 0x1.62e4p-1f, f + y);
}

/* *s = sin(2 pi u), *c = cos(2 pi u) for u in [0, 1]; error below 1 ulp.
 * u * 4 = q + t with q whole and |t| <= 1/2, exactly; then sin and cos of t * pi/2 as polynomials
 * in t^2 (Remez, relative errors 4.9e-12 and 5.4e-11), and the quadrant decides. */
static inline void dfm_sincos_2pi(float u, float *s, float *c)
{
    float turns = u * 4.0f;
    int32_t q = (int32_t)(turns + 0.5f);
    float t = turns - (float)q, z = t * t;
    float a = 0x1.4be68ep-13f;
    a = fmaf(a, z, -0x1.32cb24p-8f);
    a = fmaf(a, z, 0x1.466bbcp-4f);
    a = fmaf(a, z, -0x1.4abbcep-1f);
    a = fmaf(a, z, -0x1.777a5cp-25f);           /* pi/2 = 0x1.921fb6p0 - 0x1.777a5cp-25 */
    a = fmaf(t, 0x1.921fb6p+0f, t * a);
    float b = 0x1.d9f7bcp-11f;
    b = fmaf(b, z, -0x1.55c664p-6f);
    b = fmaf(b, z, 0x1.03c1dep-2f);
    b = fmaf(b, z, -0x1.3bd3ccp+0f);
    b = fmaf(b, z, 1.0f);
    float sine = q & 1 ? b : a, cosine = q & 1 ? a : b;
    *s = q & 2 ? -sine : sine;
    *c = (q + 1) & 2 ? -cosine : cosine;
}

/* -- words to values ----------------------------------------------------------------------- */

static inline float dfm_word_uniform(uint32_t w)
{
    return (float)(w >> 8) * 0x1p-24f;
}
/* lo <= result < hi; needs lo < hi and hi - lo < 2^32. */
static inline int32_t dfm_word_randint(uint32_t w, int32_t lo, int32_t hi)
{
    uint32_t range = (uint32_t)hi - (uint32_t)lo;
    return (int32_t)((uint32_t)lo + (uint32_t)((uint64_t)w * range >> 32));
}
/* Two independent normals: *even belongs to the first word's element, *odd to the second's. */
static inline void dfm_words_normal(uint32_t first, uint32_t second, float *even, float *odd)
{
    float u1 = (float)((first >> 8) + 1u) * 0x1p-24f;
    float u2 = (float)(second >> 8) * 0x1p-24f;
    float r = sqrtf(-2.0f * dfm_logf_exact(u1)), s, c;
    dfm_sincos_2pi(u2, &s, &c);
    *even = r * c;
    *odd = r * s;
}

/* -- one element at a time ----------------------------------------------------------------- */

static inline uint32_t dfm_draw_word(uint64_t seed, uint64_t stream, uint32_t step,
                                     uint32_t sample, uint32_t loop, uint32_t element)
{
    uint32_t key[2], w[4];
    dfm_draw_key(seed, stream, key);
    dfm_draw_words(key, step, sample, loop, element, w);
    return w[element & 3];
}
static inline float dfm_draw_uniform(uint64_t seed, uint64_t stream, uint32_t step,
                                     uint32_t sample, uint32_t loop, uint32_t element)
{
    return dfm_word_uniform(dfm_draw_word(seed, stream, step, sample, loop, element));
}
static inline float dfm_draw_normal(uint64_t seed, uint64_t stream, uint32_t step,
                                    uint32_t sample, uint32_t loop, uint32_t element)
{
    uint32_t key[2], w[4];
    float even, odd;
    dfm_draw_key(seed, stream, key);
    dfm_draw_words(key, step, sample, loop, element, w);
    dfm_words_normal(w[element & 2], w[(element & 2) | 1], &even, &odd);
    return element & 1 ? odd : even;
}
static inline int32_t dfm_draw_randint(uint64_t seed, uint64_t stream, uint32_t step,
                                       uint32_t sample, uint32_t loop, uint32_t element,
                                       int32_t lo, int32_t hi)
{
    return dfm_word_randint(dfm_draw_word(seed, stream, step, sample, loop, element), lo, hi);
}

#endif

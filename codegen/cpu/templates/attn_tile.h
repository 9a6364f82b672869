/* attn_tile.h - vectors, register-blocked products, exp2 and transposition for attention.
 *
 * A product keeps MR rows of NV vectors in registers: C += A B, where elements of A (any two
 * constant strides) are broadcast and rows of B are contiguous. All extents and strides are
 * constants of the node, so the addresses are displacements. MR and NV: enough independent sums
 * (latency x units: 8) in the registers there are, more arithmetic than loads. A dim that is
 * broadcast is padded to ROWS, one that lies along vectors to VL.
 */
#if defined(__clang__)
#pragma clang fp contract(fast)
#else
#pragma GCC optimize("fp-contract=fast")     /* multiply and add become one; sums stay in order */
#endif

#if defined(__AVX512F__)
enum { VL = 16, MR = 8, NV = 2 };
typedef float vec __attribute__((vector_size(64), aligned(4), may_alias));
typedef int32_t ivec __attribute__((vector_size(64), aligned(4), may_alias));
#elif defined(__AVX__)
enum { VL = 8, MR = 6, NV = 2 };
typedef float vec __attribute__((vector_size(32), aligned(4), may_alias));
typedef int32_t ivec __attribute__((vector_size(32), aligned(4), may_alias));
#else
enum { VL = 4, MR = 6, NV = 2 };
typedef float vec __attribute__((vector_size(16), aligned(4), may_alias));
typedef int32_t ivec __attribute__((vector_size(16), aligned(4), may_alias));
#endif

#define UP(n, m) (((n) + (m) - 1) / (m) * (m))
/* Rows come in eights, or in sixes and fours: any even number but two. */
#define ROWS(n) (MR == 8 ? UP(n, 8) : (n) <= 4 ? 4 : UP(n, 2))
#define ALIGNED __attribute__((aligned(64)))
#define CHUNK static __attribute__((noinline)) void

INLINE vec splat(float x) { return x - (vec){0}; }
INLINE vec load(const float *p) { return *(const vec *)p; }
INLINE void store(float *p, vec v) { *(vec *)p = v; }

/* The second operand where either is not a number, as the instruction does. */
INLINE vec larger(vec a, vec b)
{
#if defined(__AVX512F__) && defined(__clang__)
    return (vec)__builtin_ia32_maxps512(a, b, 4);
#elif defined(__AVX512F__)
    return (vec)__builtin_ia32_maxps512_mask(a, b, a, -1, 4);
#elif defined(__AVX__)
    return (vec)__builtin_ia32_maxps256(a, b);
#else
    return (vec)__builtin_ia32_maxps(a, b);
#endif
}

/* 2^(x - ref): `magic` is 1.5 * 2^23 - ref, ref an integer with |ref| < 2^22, |x - ref| <= 126.
 * Adding magic rounds x to an integer n of which the low bits move into the exponent; then a
 * minimax polynomial of degree 5 for 2^f, |f| <= 1/2 (1.8e-7 relative). */
INLINE vec exp2_near(vec x, vec magic)
{
    vec t = x + magic, f = x - (t - magic);
    vec p = f * 0x1.5c08e6p-10f + 0x1.3d0c54p-7f;
    p = p * f + 0x1.c6b6dep-5f;
    p = p * f + 0x1.ebf914p-3f;
    p = p * f + 0x1.62e42ap-1f;
    p = p * f + 0x1.000002p+0f;
    return (vec)((ivec)p + ((ivec)t << 23));
}

/* The same; `least` is ref - 126, and below it: 2^-126. */
INLINE vec exp2_from(vec x, vec magic, vec least) { return exp2_near(larger(least, x), magic); }

/* -- products ---------------------------------------------------------------------------------- */

/* c += a b. Left to itself, GCC lets sums wander between registers, or spills them. */
INLINE void add_product(vec *c, vec a, vec b)
{
#if defined(__FMA__)
    __asm__("vfmadd231ps %2, %1, %0" : "+v"(*c) : "v"(a), "v"(b));
#else
    *c += a * b;
#endif
}

/* c[mr][nv] += A[mr rows, stride sm][K, stride sk] B[K rows, stride ldb][nv vectors] */
INLINE void product(int mr, int nv, int64_t K, const float *A, int64_t sm, int64_t sk,
                    const float *B, int64_t ldb, vec c[8][NV])
{
    for (int64_t k = 0; k < K; k++) {
        vec b[NV];
#pragma GCC unroll 2
        for (int j = 0; j < nv; j++) b[j] = load(B + k * ldb + j * VL);
#pragma GCC unroll 8
        for (int i = 0; i < mr; i++) {
            const vec a = splat(A[i * sm + k * sk]);
#pragma GCC unroll 2
            for (int j = 0; j < nv; j++) add_product(&c[i][j], a, b[j]);
        }
    }
}

/* What becomes of the registers: `i`, `j` count rows and vectors; `c` is the tile's value. */
#define EACH(mr, nv, ...)                                                                          \
    do {                                                                                           \
        _Pragma("GCC unroll 8") for (int i = 0; i < (mr); i++)                                     \
            _Pragma("GCC unroll 2") for (int j = 0; j < (nv); j++) { __VA_ARGS__; }                \
    } while (0)

/* Runs `body` with constant `mr` over all M rows (M = ROWS(M)); `row` is the first of them. */
#if defined(__AVX512F__)
#define ROW_BLOCKS(M, ...)                                                                         \
    do {                                                                                           \
        for (int64_t row = 0; row < (M); row += 8) { enum { mr = 8 }; __VA_ARGS__; }               \
    } while (0)
#else
#define ROW_BLOCKS(M, ...)                                                                         \
    do {                                                                                           \
        int64_t row = 0;                                                                           \
        const int64_t sixes = (M) % 6 == 0 ? (M) : (M) % 6 == 4 ? (M)-4 : (M)-8;                   \
        for (; row < sixes; row += 6) { enum { mr = 6 }; __VA_ARGS__; }                            \
        for (; row < (M); row += 4) { enum { mr = 4 }; __VA_ARGS__; }                              \
    } while (0)
#endif

/* -- transposition ----------------------------------------------------------------------------- */

#if defined(__clang__)
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (ivec){__VA_ARGS__})
#endif
#if defined(__AVX512F__)
#define LOW(a, b) SHUFFLE(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define HIGH(a, b) SHUFFLE(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
#elif defined(__AVX__)
#define LOW(a, b) SHUFFLE(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
#define HIGH(a, b) SHUFFLE(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
#else
#define LOW(a, b) SHUFFLE(a, b, 0, 4, 1, 5)
#define HIGH(a, b) SHUFFLE(a, b, 2, 6, 3, 7)
#endif

/* VL x VL: each of log2 VL rounds interleaves rows i and i + VL/2. */
INLINE void transpose(const float *from, int64_t lf, float *to, int64_t lt)
{
    vec a[VL], b[VL];
#pragma GCC unroll 16
    for (int i = 0; i < VL; i++) a[i] = load(from + i * lf);
#pragma GCC unroll 4
    for (int n = VL; n > 1; n /= 2) {
#pragma GCC unroll 8
        for (int i = 0; i < VL / 2; i++) {
            b[2 * i] = LOW(a[i], a[i + VL / 2]);
            b[2 * i + 1] = HIGH(a[i], a[i + VL / 2]);
        }
#pragma GCC unroll 16
        for (int i = 0; i < VL; i++) a[i] = b[i];
    }
#pragma GCC unroll 16
    for (int i = 0; i < VL; i++) store(to + i * lt, a[i]);
}

/* to[c][r] = from[r][c]; R and C multiples of VL. Not inlined: one copy serves all calls. */
CHUNK transpose_tile(int64_t R, int64_t C, const float *from, int64_t lf, float *to, int64_t lt)
{
    for (int64_t r = 0; r < R; r += VL)
        for (int64_t c = 0; c < C; c += VL) transpose(from + r * lf + c, lf, to + c * lt + r, lt);
}

/* -- fetching ahead ---------------------------------------------------------------------------- */

/* Rows of operands lie far apart, where no hardware prefetcher follows: with each block of a
 * product a few rows of what is packed next are asked for, so that they arrive in the second cache
 * level under the arithmetic. The last stream never ends and never moves. */
typedef struct stream {
    const char *at;
    int64_t left, step;                      /* rows; bytes from one to the next */
} stream;

enum { STREAMS = 10 };
typedef struct ahead {
    stream s[STREAMS];
    int64_t now, rows;                       /* rows asked for with a block */
} ahead;

/* Lines that a row of n elements of type T touches. */
#define LINES(T, n) (((int64_t)sizeof(T) * (n) + 63) / 64 + ((int64_t)sizeof(T) * (n) % 64 != 0))

/* Appends `n` rows, if there are any. */
INLINE void ahead_rows(ahead *a, const void *base, int64_t n, int64_t step)
{
    if (n <= 0) return;
    a->rows += n;
    a->s[a->now++] = (stream){base, n, step};
}
#define AHEAD(a, base, n, token_stride)                                                            \
    ahead_rows(a, base, n, (token_stride) * (int64_t)sizeof *(base))

/* Of n rows the share of tile t of T, so that many are not asked for at once. */
#define AHEAD_SHARE(a, base, n, token_stride, t, T)                                                \
    AHEAD(a, (base) + (n) * (t) / (T) * (token_stride), (n) * ((t) + 1) / (T) - (n) * (t) / (T),   \
          token_stride)

INLINE void ahead_begin(ahead *a) { a->now = a->rows = 0; }

/* All are asked for within `blocks` blocks. */
INLINE void ahead_end(ahead *a, const void *anywhere, int64_t blocks)
{
    a->s[a->now] = (stream){anywhere, INT64_MAX, 0};
    a->now = 0;
    a->rows = (a->rows + blocks - 1) / blocks;
}

INLINE void fetch_ahead(ahead *a, int lines)
{
    for (int64_t r = 0; r < a->rows; r++) {
        stream *s = &a->s[a->now];
#pragma GCC unroll 8
        for (int i = 0; i < lines; i++) __builtin_prefetch(s->at + 64 * i, 0, 2);
        s->at += s->step;
        a->now += --s->left == 0;
    }
}

/* -- the node ---------------------------------------------------------------------------------- */

/* Row of the batch: index b counts B0 x B1 x B2 x B3, row-major. */
INLINE int64_t batch_offset(int64_t b, int64_t s0, int64_t s1, int64_t s2, int64_t s3)
{
    int64_t b3 = b % B3, b2 = b / B3 % B2, b1 = b / (B3 * B2) % B1, b0 = b / (B3 * B2 * B1);
    return b0 * s0 + b1 * s1 + b2 * s2 + b3 * s3;
}

enum { BATCH = (int64_t)B0 * B1 * B2 * B3 };
#define WORTH ((double)BATCH * SEQ * OVER > 4096)

/* A thread's work area: on its stack, or in scratch, `skip` bytes after its begin. */
#if SLOTS
int omp_get_max_threads(void);
int omp_get_thread_num(void);
#define THREADS num_threads(omp_get_max_threads() < SLOTS ? omp_get_max_threads() : SLOTS)
#define WORK_AREA(w, scratch, skip)                                                                \
    work *w = (work *)(((uintptr_t)(scratch) + (skip) + 63) / 64 * 64 +                            \
                       (uintptr_t)omp_get_thread_num() * WORK)
#else
#define THREADS
#define WORK_AREA(w, scratch, skip) work area, *w = &area
#endif

/* Of queries i0..i0+M-1 and keys j0..j0+N-1: does any see any; do all see all? */
INLINE int tile_hidden(int64_t i0, int64_t M, int64_t j0, int64_t N)
{
    return (CAUSAL && j0 > i0 + M - 1) ||
           (WINDOW && (j0 - (i0 + M - 1) > WINDOW || i0 - (j0 + N - 1) > WINDOW));
}
INLINE int tile_open(int64_t i0, int64_t M, int64_t j0, int64_t N)
{
    return !HAS_MASK && (!CAUSAL || j0 + N - 1 <= i0) &&
           (!WINDOW || (i0 + M - 1 - j0 <= WINDOW && j0 + N - 1 - i0 <= WINDOW));
}

/* May query i see key j? */
INLINE int sees(int64_t i, int64_t j)
{
    (void)i, (void)j;
    return (!CAUSAL || j <= i) && (!WINDOW || (i - j <= WINDOW && j - i <= WINDOW));
}
#if HAS_MASK
#define SEES(i, j) (sees(i, j) && mask[MASK_S(b) + (i) * (int64_t)MASK_I + (j) * (int64_t)MASK_J])
#else
#define SEES(i, j) sees(i, j)
#endif

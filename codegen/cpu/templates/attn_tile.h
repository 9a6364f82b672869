/* attn_tile.h - small matrix products on tiles that lie in the first two cache levels.
 *
 * tile_gemm: C[M][N] (+)= A[M][K] B[K][N], A with any strides (its elements are broadcast), B and C
 * rows contiguous; N a multiple of VL. Register blocking: up to MR rows by NV vectors.
 */
#ifdef __AVX512F__
enum { VL = 16, MR = 6, NV = 4 };
typedef float vec __attribute__((vector_size(64), aligned(4), may_alias));
#elif defined(__AVX__)
enum { VL = 8, MR = 6, NV = 2 };
typedef float vec __attribute__((vector_size(32), aligned(4), may_alias));
#else
enum { VL = 4, MR = 4, NV = 2 };
typedef float vec __attribute__((vector_size(16), aligned(4), may_alias));
#endif
#define PAD(n) (((n) + VL - 1) / VL * VL)

INLINE void tile_micro(int mr, int nv, int K, const float *A, int sm, int sk, const float *B,
                       int ldb, float *C, int ldc, int add)
{
    vec c[6][4];
#pragma GCC unroll 6
    for (int i = 0; i < mr; i++)
#pragma GCC unroll 4
        for (int j = 0; j < nv; j++)
            c[i][j] = add ? *(const vec *)(C + i * ldc + j * VL) : (vec){0};
    for (int k = 0; k < K; k++) {
        vec b[4];
#pragma GCC unroll 4
        for (int j = 0; j < nv; j++) b[j] = *(const vec *)(B + k * ldb + j * VL);
#pragma GCC unroll 6
        for (int i = 0; i < mr; i++) {
            float a = A[i * sm + k * sk];
#pragma GCC unroll 4
            for (int j = 0; j < nv; j++) c[i][j] += a * b[j];
        }
    }
#pragma GCC unroll 6
    for (int i = 0; i < mr; i++)
#pragma GCC unroll 4
        for (int j = 0; j < nv; j++) *(vec *)(C + i * ldc + j * VL) = c[i][j];
}

INLINE void tile_columns(int nv, int M, int K, const float *A, int sm, int sk, const float *B,
                         int ldb, float *C, int ldc, int add)
{
    int i = 0;
    for (; i + MR <= M; i += MR)
        tile_micro(MR, nv, K, A + i * sm, sm, sk, B, ldb, C + i * ldc, ldc, add);
    for (; i + 2 <= M; i += 2)
        tile_micro(2, nv, K, A + i * sm, sm, sk, B, ldb, C + i * ldc, ldc, add);
    if (i < M) tile_micro(1, nv, K, A + i * sm, sm, sk, B, ldb, C + i * ldc, ldc, add);
}

/* Contraction of multiply and add is wanted here: the order of the sums stays as written. */
__attribute__((noinline, optimize("fp-contract=fast"))) static void
tile_gemm(int M, int N, int K, const float *A, int sm, int sk, const float *B, int ldb, float *C,
          int ldc, int add)
{
    int j = 0;
    for (; j + NV * VL <= N; j += NV * VL)
        tile_columns(NV, M, K, A, sm, sk, B + j, ldb, C + j, ldc, add);
#if defined(__AVX512F__)
    if (j + 2 * VL <= N) {
        tile_columns(2, M, K, A, sm, sk, B + j, ldb, C + j, ldc, add);
        j += 2 * VL;
    }
#endif
    if (j < N) tile_columns(1, M, K, A, sm, sk, B + j, ldb, C + j, ldc, add);
}

/* Row of the batch: index b counts B0 x B1 x B2 x B3, row-major. */
INLINE int64_t batch_offset(int64_t b, int64_t s0, int64_t s1, int64_t s2, int64_t s3)
{
    int64_t b3 = b % B3, b2 = b / B3 % B2, b1 = b / (B3 * B2) % B1, b0 = b / (B3 * B2 * B1);
    return b0 * s0 + b1 * s1 + b2 * s2 + b3 * s3;
}

/* May query i see key j? */
INLINE int attn_sees(int64_t i, int64_t j)
{
    (void)i, (void)j;
    return (!CAUSAL || j <= i) && (!WINDOW || (i - j <= WINDOW && j - i <= WINDOW));
}

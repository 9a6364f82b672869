/* gemm_vector.c - the inside of a product by vectors: how A and B are packed, and one strip of A by
 * one panel of B. bf16 becomes f32 while it is packed.
 */
#define NR (NV * VL)
#define PACKED_BYTES 4                       /* of an element */
#define TERMS 1                              /* packed terms are a multiple of it */
#define CHECKED 0                            /* every value can be packed */
#define BEGIN()
#define END()

/* `rows` rows of A, kc of K, as strips [kc][MR]; rows beyond the end are zero. */
NOINLINE int L(pack_a)(const product *g, const TA *a, int rows, int kc, void *to)
{
    float *out = to;
    int s = 0;
    if (A_BY_M) {                            /* row by row of memory, a piece to each strip */
        const int whole = rows / MR * MR;
        for (int k = 0; k < kc; k++)
            for (s = 0; s < whole; s += MR) {
                const TA *p = a + k * A_K + s;
                float *to = out + s * kc + k * MR;
                __builtin_prefetch(p + 12 * A_K, 0, 2);
                if (s + 8 <= rows) {
                    const vec8 v = VA(p);
                    memcpy(to, &v, MR * sizeof(float));
                } else
                    for (int i = 0; i < MR; i++) to[i] = LA(p[i]);
            }
        out += whole * kc;
    }
    for (; s < rows; s += MR, out += kc * MR) {
        const TA *p = a + s * A_M;
        const int r = rows - s < MR ? rows - s : MR;
        int k = 0;
        if (A_BY_K && r == MR && MR <= 8) {
            /* Eight stored where MR belong: the next row overwrites what is too much. */
            for (; k + 8 <= kc; k += 8) {
                vec8 x[8], y[8];
                UNROLL for (int i = 0; i < 8; i++) x[i] = VA(p + (i < MR ? i : 0) * A_M + k);
                transpose8(x, y);
                UNROLL for (int i = 0; i < 8; i++) *(vec8 *)(out + (k + i) * MR) = y[i];
            }
        }
        for (; k < kc; k++)
            for (int i = 0; i < MR; i++) out[k * MR + i] = i < r ? LA(p[i * A_M + k * A_K]) : 0;
    }
    return 0;
}

/* One panel, w columns wide of which `cols` exist, kc of K, as [kc][w]. */
NOINLINE int L(pack_b)(const product *g, const TB *b, int cols, int w, int kc, void *to)
{
    float *out = to;
    int whole = 0;                           /* columns done */
    if (B_BY_N && cols == w) {
        for (int k = 0; k < kc; k++) {
            const TB *p = b + k * B_K;
            for (int j = 0; j < w; j += 16) {
                __builtin_prefetch(p + 8 * B_K + j, 0, 2);
                __builtin_prefetch(out + (k + 16) * w + j, 1, 2);
            }
            for (int j = 0; j < w; j += 8) *(vec8 *)(out + k * w + j) = VB(p + j);
        }
        return 0;
    }
    if (B_BY_K)
        for (; whole + 8 <= cols; whole += 8) {
            const TB *p = b + whole * B_N;
            int k = 0;
            for (; k + 8 <= kc; k += 8) {
                vec8 x[8], y[8];
                UNROLL for (int i = 0; i < 8; i++) {
                    __builtin_prefetch(p + (8 + i) * B_N + k + 8, 0, 2);
                    __builtin_prefetch(out + (kc + k + i) * w + whole, 1, 2);
                    x[i] = VB(p + i * B_N + k);
                }
                transpose8(x, y);
                UNROLL for (int i = 0; i < 8; i++) *(vec8 *)(out + (k + i) * w + whole) = y[i];
            }
            for (; k < kc; k++)
                for (int j = 0; j < 8; j++) out[k * w + whole + j] = LB(p[j * B_N + k]);
        }
    for (int k = 0; k < kc; k++)
        for (int j = whole; j < w; j++) out[k * w + j] = j < cols ? LB(b[k * B_K + j * B_N]) : 0;
    return 0;
}

/* A strip of A by a panel of B: `rows` x `cols` of C exist, panels are w columns wide. */
INLINE void L(call)(const product *g, micro *x, const L(dest) *d, int rows, int cols, int w)
{
    x->c = d->c;
    x->c_step = C_BY_N ? C_M * (int64_t)sizeof(TC) : 0;
    if (rows == MR && cols == NR && C_F32 && C_BY_N) {
        x->to = d->sum;
        x->to_step = C_M * (int64_t)sizeof(float);
        x->bias = d->bias;
        const int bias = d->bias && d->last;
        if (bias && d->first) micro_bias(x);
        else if (bias) micro_add_bias(x);
        else if (d->first) micro_plain(x);
        else micro_add(x);
        return;
    }
    float sums[MR * NR] __attribute__((aligned(64)));
    x->to = sums;
    x->to_step = w * (int64_t)sizeof(float);
    if (rows == MR && w == NR) micro_plain(x);
    else if (rows == MR) g->few_columns(x);
    else if (w == NR) g->few_rows(x);
    else g->corner(x);
    L(finish)(g, sums, rows, w, cols, d);
}

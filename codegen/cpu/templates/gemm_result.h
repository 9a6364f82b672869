/* gemm_result.h - a product's operands by their strides, and where its sums go: what gemm_vector.c
 * or gemm_amx.c, which multiply, and gemm.c, which cuts into tasks, both build on.
 */
#define CAT2(a, b) a##_##b
#define CAT(a, b) CAT2(a, b)
#define L(name) CAT(FN, name)
/* Sums beside C are needed where C cannot hold f32 in vectors. */
#define MAY_TILE (!(C_F32 && C_BY_N))

/* A piece of the result: where it goes, where its sums are, and what is left to do with it. */
typedef struct L(dest) {
    TC *c;
    float *sum;
    int64_t ld;                              /* of sum */
    const float *bias;                       /* NULL: none */
    int first, last;                         /* block of K */
} L(dest);

/* The stride of one dim of an operand, where it is known. */
#define A_M (A_BY_M ? 1 : g->a[2])
#define A_K (A_BY_K ? 1 : g->a[3])
#define B_K (B_BY_K ? 1 : g->b[2])
#define B_N (B_BY_N ? 1 : g->b[3])
#define C_M (g->c[2])
#define C_N (C_BY_N ? 1 : g->c[3])

INLINE void L(put)(const product *g, const L(dest) *d, int i, int j, vec v)
{
    float *s = d->sum + i * d->ld + j;
    if (!d->first) v += *(const vec *)s;
    if (!d->last) {
        *(vec *)s = v;
        return;
    }
    if (d->bias) v += *(const vec *)(d->bias + j);
    STORE(d->c + i * C_M + j, v);
}

/* Where no vector can be stored: element by element. */
INLINE void L(put_one)(const product *g, const L(dest) *d, int i, int j, float x)
{
    float *s = d->sum + i * d->ld + j;
    if (!d->first) x += *s;
    if (!d->last) {
        *s = x;
        return;
    }
    if (d->bias) x += d->bias[j];
    TC all[VL];
    STORE(all, (vec){x});
    d->c[i * C_M + j * C_N] = all[0];
}

/* Sums of mr x cols, rows of w floats, to where they go. */
NOINLINE void L(finish)(const product *g, const float *sums, int mr, int w, int cols,
                        const L(dest) *d)
{
    const int vectors = C_BY_N ? cols / VL * VL : 0;
    for (int i = 0; i < mr; i++, sums += w) {
        for (int j = 0; j < vectors; j += VL) L(put)(g, d, i, j, *(const vec *)(sums + j));
        for (int j = vectors; j < cols; j++) L(put_one)(g, d, i, j, sums[j]);
    }
}

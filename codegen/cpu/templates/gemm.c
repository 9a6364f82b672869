/* gemm.c - c[b,m,n] = sum_k a[b,m,k] b[b,k,n] (+ bias[n]) with the operands packed into panels.
 *
 * Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication", 2008, with the loop
 * over K inside a block of C, so that the block stays in the second cache:
 *
 *     pack B:  panels of NR columns, KC rows at a time             in parallel, in scratch
 *     for each task = block of MC rows x PT panels of C            in parallel
 *         for each KC rows of K
 *             pack A: strips of MR rows                            on the stack
 *             for each panel, for each strip: MR x NR of C in registers, over KC
 *
 * Every element of C is the sum over k in ascending order, in blocks of KC that are added in
 * ascending order: cutting C into tasks changes no bit, so the number of column parts may follow
 * the number of threads.
 *
 * This text is a driver for all products of one kind (cpu_product_kind): the same element types,
 * the same dims that lie contiguously. Sizes and strides come in a `product` (gemm_tile.h), so that
 * one copy of it, compiled once, serves all of them. The emitter defines, before this text:
 *   FN                          name of the driver
 *   TA LA VA, TB LB VB          element types, their conversion to float, eight of them to floats
 *   TC STORE C_F32              type of C, how a vector is stored to it; 1 if it is f32
 *   A_BY_M A_BY_K               1 if a's strides of M and K are 1; B_BY_N B_BY_K, C_BY_N likewise
 *   MR NV                       registers: MR rows by NV vectors
 *   STRIP_FLOATS TILE_FLOATS    that no block of A and no sums of a task exceed
 *   UNROLL_K                    steps of a turn of the innermost loops
 */
#define CAT2(a, b) a##_##b
#define CAT(a, b) CAT2(a, b)
#define L(name) CAT(FN, name)
#define NR (NV * VL)
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

/* `rows` rows of A, kc of K, as strips [kc][MR]; rows beyond the end are zero. */
NOINLINE void L(pack_a)(const product *g, const TA *a, int rows, int kc, float *out)
{
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
}

/* One panel, w columns wide of which `cols` exist, kc of K, as [kc][w]. */
NOINLINE void L(pack_b)(const product *g, const TB *b, int cols, int w, int kc, float *out)
{
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
        return;
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

/* Panels j0..j1 of a block of rows, over one block of K, with a packed. `after` is fetched
 * meanwhile, and the next panel of B while this one is used. */
NOINLINE void L(block)(const product *g, int rows, int j0, int j1, int kc, const float *a,
                       const float *b, L(dest) to, next after)
{
    const int strips = (rows + MR - 1) / MR, calls = (j1 - j0) * strips, n = (int)g->n;
    int call = 0;
    for (int j = j0; j < j1; j++) {
        const int cols = n - j * NR < NR ? n - j * NR : NR;
        const int w = j < g->panels - 1 ? NR : g->last_nv * VL;
        const float *bj = b + j * (int64_t)kc * NR, *then = bj + (int64_t)kc * NR;
        const int64_t share = (int64_t)kc * NR * 4 / strips;         /* of the next panel, bytes */
        for (int i = 0; i < rows; i += MR, call++) {
            L(dest) d = to;
            d.c += i * C_M + j * NR * C_N;
            d.sum += i * d.ld + (g->tiled ? j - j0 : j) * (int64_t)NR;
            if (d.bias) d.bias += j * NR;
            micro x = {.a = a + i * kc, .b = bj, .kc = kc,
                       .panel = (const char *)then + i / MR * share};
            x.panel_step = j + 1 < g->panels ? share / (kc / UNROLL_K + 1) : 0;
            fetch(&x, &after, call, calls);
            L(call)(g, &x, &d, rows - i < MR ? rows - i : MR, cols, w);
        }
    }
}

/* What is packed after rows m0.., block of K k0..: the next block of K, else of rows. */
static next L(after)(const product *g, const TA *am, int64_t m0, int64_t k0)
{
    const int last = k0 + g->kc >= g->k;
    const int64_t m_left = g->m - m0 - (last ? g->mc : 0), k_left = g->k - (last ? 0 : k0 + g->kc);
    const int rows = m_left < 0 ? 0 : m_left < g->mc ? (int)m_left : g->mc;
    const int kc = k_left < g->kc ? (int)k_left : g->kc;
    return (next){
        .at = (const char *)(rows ? last ? am + g->mc * A_M : am + (k0 + g->kc) * A_K : am),
        .stride = (int64_t)sizeof(TA) * (A_BY_M ? A_K : A_M),
        .rows = A_BY_M && rows ? kc : rows,
        .lines = ((int)sizeof(TA) * (A_BY_M ? rows : kc) + 63) / 64};
}

/* One task: rows m0.., panels j0..j1 of batch entry (a, c). */
static void L(task)(const product *g, const TA *a, const float *b, TC *c, const float *bias,
                    int64_t m0, int j0, int j1)
{
    float strips[STRIP_FLOATS + 8] __attribute__((aligned(64)));
#if MAY_TILE
    float tile[TILE_FLOATS] __attribute__((aligned(64)));
#endif
    const int rows = g->m - m0 < g->mc ? (int)(g->m - m0) : g->mc;
    const TA *am = a + m0 * A_M;
    /* The sum is read and written only if C is f32 or there is one block of K. */
    L(dest) to = {.c = c + m0 * C_M, .bias = bias, .ld = C_M};
    to.sum = (float *)to.c;
#if MAY_TILE
    if (g->tiled) {
        to.sum = tile;
        to.ld = g->pt * NR;
    }
#endif
    for (int64_t k0 = 0; k0 < g->k; k0 += g->kc) {
        const int kc = g->k - k0 < g->kc ? (int)(g->k - k0) : g->kc;
        L(pack_a)(g, am + k0 * A_K, rows, kc, strips);
        to.first = k0 == 0;
        to.last = k0 + g->kc >= g->k;
        L(block)(g, rows, j0, j1, kc, strips, b + k0 * g->width, to, L(after)(g, am, m0, k0));
    }
}

/* Task t of those that share the packed B of batch entry e: one entry, or all from e on. */
static void L(turn)(const product *g, const kctx *x, void *const *p, const float *packed,
                    int64_t e, int64_t t, int parts)
{
    const int64_t m0 = t / parts % g->m_blocks * g->mc;
    const int part = (int)(t % parts);
    e += t / parts / g->m_blocks;
    const TA *a = (const TA *)p[0] + e / g->b1 * g->a[0] + e % g->b1 * g->a[1];
    TC *c = (TC *)p[2] + e / g->b1 * g->c[0] + e % g->b1 * g->c[1];
    L(task)(g, a, packed, c, g->bias ? p[3] : 0, m0, g->panels * part / parts,
            g->panels * (part + 1) / parts);
    if (g->epi) {
        const int64_t m1 = m0 + g->mc < g->m ? m0 + g->mc : g->m;
        g->epi(x, p + 4 + g->bias, m0 / g->epi_block, (m1 + g->epi_block - 1) / g->epi_block);
    }
}

/* Panel u % panels of block u / panels of K, packed. */
static void L(panel)(const product *g, const TB *b, float *packed, int64_t u)
{
    const int64_t k0 = u / g->panels * g->kc, j = u % g->panels * NR;
    const int kc = g->k - k0 < g->kc ? (int)(g->k - k0) : g->kc;
    const int cols = g->n - j < NR ? (int)(g->n - j) : NR;
    const int w = g->width - j < NR ? (int)(g->width - j) : NR;
    L(pack_b)(g, b + k0 * B_K + j * B_N, cols, w, kc, packed + k0 * g->width + j * kc);
}

/* Not copied for each product that calls it. */
__attribute__((noipa)) static void FN(const product *g, const kctx *x, void *const *p)
{
    const int shared = g->b[0] == 0 && g->b[1] == 0;         /* one B for all entries */
    const int64_t entries = g->b0 * g->b1, each = shared ? entries : 1;
    const TB *b = p[1];
    float *packed = p[3 + g->bias];
#pragma omp parallel
    {
        const int parts = parts_of(g, each * g->m_blocks, omp_get_num_threads(), NR);
        for (int64_t e = 0; e < entries; e += each) {
            const TB *be = b + e / g->b1 * g->b[0] + e % g->b1 * g->b[1];
#pragma omp for schedule(static)
            for (int64_t u = 0; u < g->panels * g->k_blocks; u++) L(panel)(g, be, packed, u);
            /* Three quarters in equal shares, so that what is fetched ahead is what the thread
             * packs next; the rest as threads come. */
            const int64_t tasks = each * g->m_blocks * parts, rest = tasks / 4;
#pragma omp for schedule(static) nowait
            for (int64_t t = 0; t < tasks - rest; t++) L(turn)(g, x, p, packed, e, t, parts);
#pragma omp for schedule(dynamic)
            for (int64_t t = tasks - rest; t < tasks; t++) L(turn)(g, x, p, packed, e, t, parts);
        }
    }
}

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
 * and puts gemm_result.h and gemm_vector.c or gemm_amx.c before it, which define
 *   NR PACKED_BYTES TERMS       columns of a panel; bytes of a packed element; packed terms are a
 *                               multiple of it
 *   CHECKED                     1 if packing tells of values that cannot be packed
 *   BEGIN END                   what a thread does before and after
 */

/* Panels j0..j1 of a block of rows, over one block of K, with a packed. `after` is fetched
 * meanwhile, and the next panel of B while this one is used. */
NOINLINE void L(block)(const product *g, int rows, int j0, int j1, int kc, const char *a,
                       const char *b, L(dest) to, next after)
{
    const int strips = (rows + MR - 1) / MR, calls = (j1 - j0) * strips, n = (int)g->n;
    int call = 0;
    for (int j = j0; j < j1; j++) {
        const int cols = n - j * NR < NR ? n - j * NR : NR;
        const int w = j < g->panels - 1 ? NR : g->last_nv * VL;
        const int64_t bytes = (int64_t)kc * NR * PACKED_BYTES, share = bytes / strips;
        const char *bj = b + j * bytes, *then = bj + bytes;
        for (int i = 0; i < rows; i += MR, call++) {
            L(dest) d = to;
            d.c += i * C_M + j * NR * C_N;
            d.sum += i * d.ld + (g->tiled ? j - j0 : j) * (int64_t)NR;
            if (d.bias) d.bias += j * NR;
            micro x = {.a = a + i * (int64_t)kc * PACKED_BYTES, .b = bj, .kc = kc,
                       .panel = then + i / MR * share};
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

/* The terms of the block of K that begins at k0, as they are packed. */
INLINE int L(terms)(const product *g, int64_t k0, int packed)
{
    const int kc = g->k - k0 < g->kc ? (int)(g->k - k0) : g->kc;
    return packed ? (kc + TERMS - 1) / TERMS * TERMS : kc;
}

/* What was met while B was packed: behind it, if CHECKED. */
#define MET(packed) ((int *)((char *)(packed) + g->packed))

/* rows x columns n0..n1 of C without packing. */
NOINLINE void L(plain)(const product *g, const TA *a, const TB *b, L(dest) d, int rows, int n0,
                       int n1)
{
    d.first = d.last = 1;
    for (int i = 0; i < rows; i++)
        for (int n = n0; n < n1; n += VL) {
            const int cols = n1 - n < VL ? n1 - n : VL;
            float sums[VL] = {0};
            for (int64_t k = 0; k < g->k; k++)
                for (int j = 0; j < cols; j++)
                    sums[j] += LA(a[i * A_M + k * A_K]) * LB(b[k * B_K + (n + j) * B_N]);
            for (int j = 0; j < cols; j++) L(put_one)(g, &d, i, n + j, sums[j]);
        }
}

/* One task: rows m0.., panels j0..j1 of batch entry (a, b, c), b packed. */
static void L(task)(const product *g, const TA *a, const TB *b, const char *packed, TC *c,
                    const float *bias, int64_t m0, int j0, int j1)
{
    char strips[STRIP_FLOATS * PACKED_BYTES + 64] __attribute__((aligned(64)));
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
    int met = CHECKED && *MET(packed);
    for (int64_t k0 = 0; k0 < g->k && !met; k0 += g->kc) {
        if ((met = L(pack_a)(g, am + k0 * A_K, rows, L(terms)(g, k0, 0), strips))) break;
        to.first = k0 == 0;
        to.last = k0 + g->kc >= g->k;
        L(block)(g, rows, j0, j1, L(terms)(g, k0, 1), strips,
                 packed + k0 * g->width * PACKED_BYTES, to, L(after)(g, am, m0, k0));
    }
    if (CHECKED && met)
        L(plain)(g, am, b, to, rows, j0 * NR, j1 * NR < g->n ? j1 * NR : (int)g->n);
}

/* Task t of those that share the packed B of batch entry e: one entry, or all from e on. */
static void L(turn)(const product *g, const kctx *x, void *const *p, const TB *b,
                    const char *packed, int64_t e, int64_t t, int parts)
{
    const int64_t m0 = t / parts % g->m_blocks * g->mc;
    const int part = (int)(t % parts);
    e += t / parts / g->m_blocks;
    const TA *a = (const TA *)p[0] + e / g->b1 * g->a[0] + e % g->b1 * g->a[1];
    TC *c = (TC *)p[2] + e / g->b1 * g->c[0] + e % g->b1 * g->c[1];
    L(task)(g, a, b, packed, c, g->bias ? p[3] : 0, m0, g->panels * part / parts,
            g->panels * (part + 1) / parts);
    if (g->epi) {
        const int64_t m1 = m0 + g->mc < g->m ? m0 + g->mc : g->m;
        g->epi(x, p + 4 + g->bias, m0 / g->epi_block, (m1 + g->epi_block - 1) / g->epi_block);
    }
}

/* Panel u % panels of block u / panels of K, packed. */
static void L(panel)(const product *g, const TB *b, char *packed, int64_t u)
{
    const int64_t k0 = u / g->panels * g->kc, j = u % g->panels * NR;
    const int cols = g->n - j < NR ? (int)(g->n - j) : NR;
    const int w = g->width - j < NR ? (int)(g->width - j) : NR;
    char *to = packed + (k0 * g->width + j * L(terms)(g, k0, 1)) * PACKED_BYTES;
    const int met = L(pack_b)(g, b + k0 * B_K + j * B_N, cols, w, L(terms)(g, k0, 0), to);
    if (CHECKED && met) __atomic_store_n(MET(packed), 1, __ATOMIC_RELAXED);
}

/* Not copied for each product that calls it. */
__attribute__((noipa)) static void FN(const product *g, const kctx *x, void *const *p)
{
    const int shared = g->b[0] == 0 && g->b[1] == 0;         /* one B for all entries */
    const int64_t entries = g->b0 * g->b1, each = shared ? entries : 1;
    const TB *b = p[1];
    char *packed = p[3 + g->bias];
    if (CHECKED) *MET(packed) = 0;           /* of all entries: what one met holds for the next */
#pragma omp parallel
    {
        BEGIN();
        const int parts = parts_of(g, each * g->m_blocks, omp_get_num_threads(), NR);
        for (int64_t e = 0; e < entries; e += each) {
            const TB *be = b + e / g->b1 * g->b[0] + e % g->b1 * g->b[1];
#pragma omp for schedule(static)
            for (int64_t u = 0; u < g->panels * g->k_blocks; u++) L(panel)(g, be, packed, u);
            /* Three quarters in equal shares, so that what is fetched ahead is what the thread
             * packs next; the rest as threads come. */
            const int64_t tasks = each * g->m_blocks * parts, rest = tasks / 4;
#pragma omp for schedule(static) nowait
            for (int64_t t = 0; t < tasks - rest; t++) L(turn)(g, x, p, be, packed, e, t, parts);
#pragma omp for schedule(dynamic)
            for (int64_t t = tasks - rest; t < tasks; t++)
                L(turn)(g, x, p, be, packed, e, t, parts);
        }
        END();
    }
}

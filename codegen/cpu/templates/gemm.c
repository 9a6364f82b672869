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
 * the number of threads. The emitter defines, before this text:
 *   FN                          name of the function
 *   B0 B1 M N K                 extents
 *   A_0 A_1 A_M A_K             strides of a; B_0 B_1 B_K B_N of b; C_0 C_1 C_M C_N of c
 *   TA LA VA, TB LB VB          element types, their conversion to float, eight of them to floats
 *   TC STORE C_F32              type of C, how a vector is stored to it; 1 if it is f32
 *   HAS_BIAS                    operands: a b c [bias] scratch (f32[K, WIDTH])
 *   MR NV                       registers: MR rows by NV vectors    MC KC  block sizes, MC % MR = 0
 *   PT                          panels of a task at most            LAST_MR LAST_NV  at the edges
 *   HAS_EPI                     is there an epilogue? Then EPI(x, operands behind scratch, first,
 *                               last) works on blocks of EPI_BLOCK rows of C, MC % EPI_BLOCK = 0
 *   micro_plain .. FN_corner    the innermost loops (cpu_micro.c)   UNROLL_K  steps of their turns
 */
#define CAT2(a, b) a##_##b
#define CAT(a, b) CAT2(a, b)
#define L(name) CAT(FN, name)
#define NR (NV * VL)
#define PANELS ((N + NR - 1) / NR)
#define K_BLOCKS ((K + KC - 1) / KC)
#define M_BLOCKS ((M + MC - 1) / MC)
/* Columns of the packed B: whole panels, then one as wide as it must be. */
#define WIDTH ((N + VL - 1) / VL * VL)
/* Is there a block of sums beside C, as C cannot hold f32 in vectors? */
#define TILED (K_BLOCKS > 1 && !(C_F32 && C_N == 1))
#define SHARED_B (B_0 == 0 && B_1 == 0)

/* A block of A that is packed next: `rows` pieces of `lines` cache lines. */
typedef struct L(next) {
    const char *at;
    int64_t stride;                          /* bytes between pieces */
    int rows, lines;
} L(next);

/* A piece of the result: where it goes, where its sums are, and what is left to do with it. */
typedef struct L(dest) {
    TC *c;
    float *sum;
    int64_t ld;                              /* of sum */
    const float *bias;
    int first, last;                         /* block of K */
} L(dest);

INLINE void L(put)(const L(dest) *d, int i, int j, vec v)
{
    float *s = d->sum + i * d->ld + j;
    if (!d->first) v += *(const vec *)s;
    if (!d->last) {
        *(vec *)s = v;
        return;
    }
#if HAS_BIAS
    v += *(const vec *)(d->bias + j);
#endif
    STORE(d->c + i * (int64_t)C_M + j, v);
}

/* Where no vector can be stored: element by element. */
INLINE void L(put_one)(const L(dest) *d, int i, int j, float x)
{
    float *s = d->sum + i * d->ld + j;
    if (!d->first) x += *s;
    if (!d->last) {
        *s = x;
        return;
    }
#if HAS_BIAS
    x += d->bias[j];
#endif
    TC all[VL];
    STORE(all, (vec){x});
    d->c[i * (int64_t)C_M + j * (int64_t)C_N] = all[0];
}

/* Sums of mr x cols, rows of w floats, to where they go. */
static void L(finish)(const float *sums, int mr, int w, int cols, const L(dest) *d)
{
    const int vectors = C_N == 1 ? cols / VL * VL : 0;
    for (int i = 0; i < mr; i++, sums += w) {
        for (int j = 0; j < vectors; j += VL) L(put)(d, i, j, *(const vec *)(sums + j));
        for (int j = vectors; j < cols; j++) L(put_one)(d, i, j, sums[j]);
    }
}

/* `rows` rows of A, kc of K, as strips [kc][MR]; rows beyond the end are zero. */
static void L(pack_a)(const TA *a, int rows, int kc, float *out)
{
    int s = 0;
    if (A_M == 1) {                          /* row by row of memory, a piece to each strip */
        const int whole = rows / MR * MR;
        for (int k = 0; k < kc; k++)
            for (s = 0; s < whole; s += MR) {
                const TA *p = a + k * (int64_t)A_K + s;
                float *to = out + s * kc + k * MR;
                if (s + 8 <= rows) {
                    const vec8 v = VA(p);
                    memcpy(to, &v, MR * sizeof(float));
                } else
                    for (int i = 0; i < MR; i++) to[i] = LA(p[i]);
            }
        out += whole * kc;
    }
    for (; s < rows; s += MR, out += kc * MR) {
        const TA *p = a + s * (int64_t)A_M;
        const int r = rows - s < MR ? rows - s : MR;
        int k = 0;
        if (A_K == 1 && r == MR && MR <= 8) {
            /* Eight stored where MR belong: the next row overwrites what is too much. */
            for (; k + 8 <= kc; k += 8) {
                vec8 x[8], y[8];
                UNROLL for (int i = 0; i < 8; i++)
                    x[i] = VA(p + (i < MR ? i : 0) * (int64_t)A_M + k);
                transpose8(x, y);
                UNROLL for (int i = 0; i < 8; i++) *(vec8 *)(out + (k + i) * MR) = y[i];
            }
        }
        for (; k < kc; k++)
            for (int i = 0; i < MR; i++)
                out[k * MR + i] = i < r ? LA(p[i * (int64_t)A_M + k * (int64_t)A_K]) : 0;
    }
}

/* One panel, w columns wide of which `cols` exist, kc of K, as [kc][w]. */
static void L(pack_b)(const TB *b, int cols, int w, int kc, float *out)
{
    int whole = 0;                           /* columns done */
    if (B_N == 1 && cols == w) {
        for (int k = 0; k < kc; k++) {
            const TB *p = b + k * (int64_t)B_K;
            for (int j = 0; j < w; j += 16) {
                __builtin_prefetch(p + 8 * (int64_t)B_K + j, 0, 2);
                __builtin_prefetch(out + (k + 16) * w + j, 1, 2);
            }
            for (int j = 0; j < w; j += 8) *(vec8 *)(out + k * w + j) = VB(p + j);
        }
        return;
    }
    if (B_K == 1)
        for (; whole + 8 <= cols; whole += 8) {
            const TB *p = b + whole * (int64_t)B_N;
            int k = 0;
            for (; k + 8 <= kc; k += 8) {
                vec8 x[8], y[8];
                UNROLL for (int i = 0; i < 8; i++) {
                    __builtin_prefetch(p + (8 + i) * (int64_t)B_N + k + 8, 0, 2);
                    __builtin_prefetch(out + (kc + k + i) * w + whole, 1, 2);
                    x[i] = VB(p + i * (int64_t)B_N + k);
                }
                transpose8(x, y);
                UNROLL for (int i = 0; i < 8; i++) *(vec8 *)(out + (k + i) * w + whole) = y[i];
            }
            for (; k < kc; k++)
                for (int j = 0; j < 8; j++) out[k * w + whole + j] = LB(p[j * (int64_t)B_N + k]);
        }
    for (int k = 0; k < kc; k++)
        for (int j = whole; j < w; j++)
            out[k * w + j] = j < cols ? LB(b[k * (int64_t)B_K + j * (int64_t)B_N]) : 0;
}

/* The block of A that is packed next is fetched by some calls of the innermost loop, evenly spread:
 * each takes a line of as many pieces as it has turns. Is there too little time, then the rest is
 * not. */
INLINE void L(fetch)(micro *x, const L(next) *f, int call, int calls)
{
    const int turns = (int)x->kc / UNROLL_K;
    x->piece = f->at;
    x->piece_step = 0;
    if (!turns || !f->rows) return;
    const int runs = (f->rows + turns - 1) / turns, all = runs * f->lines;
    const int each = calls > all ? calls / all : 1, run = call / each;
    if (call % each || run >= all) return;
    const int row = run % runs < runs - 1 || f->rows < turns ? run % runs * turns : f->rows - turns;
    x->piece = f->at + run / runs * 64 + row * f->stride;
    x->piece_step = f->stride;
}

/* A strip of A by a panel of B: `rows` x `cols` of C exist, panels are w columns wide. */
INLINE void L(call)(micro *x, const L(dest) *d, int rows, int cols, int w)
{
    x->c = d->c;
    x->c_step = C_N == 1 ? (int64_t)C_M * (int64_t)sizeof(TC) : 0;
    if (rows == MR && cols == NR && C_F32 && C_N == 1) {
        const int bias = HAS_BIAS && d->last;
        x->to = d->sum;
        x->to_step = C_M * (int64_t)sizeof(float);
        x->bias = d->bias;
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
#if LAST_NV != NV
    else if (rows == MR) L(few_columns)(x);
#endif
#if LAST_MR
    else if (w == NR) L(few_rows)(x);
#endif
#if LAST_MR && LAST_NV != NV
    else L(corner)(x);
#endif
    L(finish)(sums, rows, w, cols, d);
}

/* Panels j0..j1 of a block of rows, over one block of K, with a packed. `after` is fetched
 * meanwhile, and the next panel of B while this one is used. */
NOINLINE void L(block)(int rows, int j0, int j1, int kc, const float *a, const float *b, L(dest) to,
                       L(next) after)
{
    const int strips = (rows + MR - 1) / MR, calls = (j1 - j0) * strips;
    int call = 0;
    for (int j = j0; j < j1; j++) {
        const int cols = N - j * NR < NR ? N - j * NR : NR;
        const int w = j < PANELS - 1 ? NR : LAST_NV * VL;
        const float *bj = b + j * (int64_t)kc * NR, *next = bj + (int64_t)kc * NR;
        const int64_t share = (int64_t)kc * NR * 4 / strips;         /* of the next panel, bytes */
        for (int i = 0; i < rows; i += MR, call++) {
            L(dest) d = to;
            d.c += i * (int64_t)C_M + j * (int64_t)NR * C_N;
            d.sum += i * d.ld + (TILED ? j - j0 : j) * (int64_t)NR;
            d.bias += HAS_BIAS ? j * NR : 0;
            micro x = {.a = a + i * kc, .b = bj, .kc = kc,
                       .panel = (const char *)next + i / MR * share};
            x.panel_step = j + 1 < PANELS ? share / (kc / UNROLL_K + 1) : 0;
            L(fetch)(&x, &after, call, calls);
            L(call)(&x, &d, rows - i < MR ? rows - i : MR, cols, w);
        }
    }
}

/* What is packed after rows m0.., block of K k0..: the next block of K, else of rows. */
static L(next) L(after)(const TA *am, int64_t m0, int64_t k0)
{
    const int last = k0 + KC >= K;
    const int64_t m_left = M - m0 - (last ? MC : 0), k_left = K - (last ? 0 : k0 + KC);
    const int rows = m_left < 0 ? 0 : m_left < MC ? (int)m_left : MC;
    const int kc = k_left < KC ? (int)k_left : KC;
    return (L(next)){
        .at = (const char *)(rows ? last ? am + MC * (int64_t)A_M : am + (k0 + KC) * (int64_t)A_K
                                  : am),
        .stride = (int64_t)sizeof(TA) * (A_M == 1 ? (int64_t)A_K : (int64_t)A_M),
        .rows = A_M == 1 && rows ? kc : rows,
        .lines = ((int)sizeof(TA) * (A_M == 1 ? rows : kc) + 63) / 64};
}

/* One task: rows m0.., panels j0..j1 of batch entry (a, c). */
static void L(task)(const TA *a, const float *b, TC *c, const float *bias, int64_t m0, int j0,
                    int j1)
{
    float strips[MC * KC + 8] __attribute__((aligned(64)));
#if TILED
    float tile[MC * PT * NR] __attribute__((aligned(64)));
#endif
    const int rows = M - m0 < MC ? (int)(M - m0) : MC;
    const TA *am = a + m0 * (int64_t)A_M;
    L(dest) to = {.c = c + m0 * (int64_t)C_M, .bias = bias};
#if TILED
    to.sum = tile;
    to.ld = PT * NR;
#else
    to.sum = (float *)to.c;                  /* read and written only if C is f32 or there is
                                                one block */
    to.ld = C_M;
#endif
    for (int kb = 0; kb < K_BLOCKS; kb++) {
        const int64_t k0 = kb * (int64_t)KC;
        const int kc = K - k0 < KC ? (int)(K - k0) : KC;
        L(pack_a)(am + k0 * (int64_t)A_K, rows, kc, strips);
        to.first = kb == 0;
        to.last = kb == K_BLOCKS - 1;
        L(block)(rows, j0, j1, kc, strips, b + k0 * WIDTH, to, L(after)(am, m0, k0));
    }
}

/* Column parts of the task grid: as few as keep `threads` evenly busy. A is packed once for
 * each. */
static int L(parts)(int64_t row_tasks, int threads)
{
#if HAS_EPI
    return 1;                                /* an epilogue wants whole rows */
#endif
    const int least = (PANELS + PT - 1) / PT;
    int best = least;
    double best_share = 1e30;
    for (int p = least; p <= PANELS; p++) {
        const int64_t tasks = row_tasks * p, rounds = (tasks + threads - 1) / threads;
        const int width = (PANELS + p - 1) / p;
        const double share = (double)rounds * (width * NR + 24);     /* 24: packing, in columns */
        if (share < best_share * 0.97) {
            best_share = share;
            best = p;
        }
        if (p > least + 63) break;
    }
    return best;
}

/* Task t of those that share the packed B of batch entry g: one entry, or all from g on. */
static void L(turn)(const kctx *x, void *const *p, const float *packed, int64_t g, int64_t t,
                    int parts)
{
    const int64_t e = g + t / parts / M_BLOCKS, m0 = t / parts % M_BLOCKS * MC;
    const int part = (int)(t % parts);
    const TA *a = (const TA *)p[0] + e / B1 * (int64_t)A_0 + e % B1 * (int64_t)A_1;
    TC *c = (TC *)p[2] + e / B1 * (int64_t)C_0 + e % B1 * (int64_t)C_1;
    L(task)(a, packed, c, HAS_BIAS ? p[3] : 0, m0, PANELS * part / parts,
            PANELS * (part + 1) / parts);
#if HAS_EPI
    const int64_t m1 = m0 + MC < M ? m0 + MC : M;
    EPI(x, p + 4 + HAS_BIAS, m0 / EPI_BLOCK, (m1 + EPI_BLOCK - 1) / EPI_BLOCK);
#endif
    (void)x;
}

void FN(const kctx *x, void *const *p)
{
    enum { SHARED = SHARED_B, GROUPS = SHARED ? 1 : B0 * B1, EACH = SHARED ? B0 * B1 : 1 };
    const TB *b = p[1];
    float *packed = p[3 + HAS_BIAS];
#pragma omp parallel
    {
        const int parts = L(parts)((int64_t)EACH * M_BLOCKS, omp_get_num_threads());
        for (int64_t g = 0; g < GROUPS; g++) {
            const TB *bg = b + g / B1 * (int64_t)B_0 + g % B1 * (int64_t)B_1;
#pragma omp for schedule(static)
            for (int64_t u = 0; u < (int64_t)PANELS * K_BLOCKS; u++) {
                const int64_t k0 = u / PANELS * KC, j = u % PANELS * NR;
                const int kc = K - k0 < KC ? (int)(K - k0) : KC;
                const int cols = N - j < NR ? (int)(N - j) : NR;
                const int w = WIDTH - j < NR ? (int)(WIDTH - j) : NR;
                L(pack_b)(bg + k0 * (int64_t)B_K + j * (int64_t)B_N, cols, w, kc,
                          packed + k0 * WIDTH + j * kc);
            }
            /* Three quarters in equal shares, so that what is fetched ahead is what the thread
             * packs next; the rest as threads come. */
            const int64_t tasks = (int64_t)EACH * M_BLOCKS * parts, rest = tasks / 4;
#pragma omp for schedule(static) nowait
            for (int64_t t = 0; t < tasks - rest; t++) L(turn)(x, p, packed, g, t, parts);
#pragma omp for schedule(dynamic)
            for (int64_t t = tasks - rest; t < tasks; t++) L(turn)(x, p, packed, g, t, parts);
        }
    }
}

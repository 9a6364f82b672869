/* attn_bwd.c - attention backward; scores are recomputed tile by tile from q, k and lse.
 *
 * Dao, "FlashAttention-2", 2023, algorithm 2: blocks of keys outside, blocks of queries inside. A
 * tile of p and ds has queries down and keys along vectors; dk and dv of a block are held
 * transposed, so that of the five products only dq = ds k has features along vectors. The scores
 * start at -lse and do.v at -do.o, so that exp2 and p * ds are all that is left to do in registers.
 * dq is summed over the blocks of keys in order. A job is a batch entry, or one of GROUPS ranges of
 * its keys; then each range has its own sum of dq, and these are added up in order at the end: the
 * order of every sum follows from the shapes alone.
 * Definitions as in attn_fwd.c (QB queries and KB keys of a tile, multiples of 32), and DO_S, DO_T,
 * DQ_S, DQ_T, ... for the gradients, and
 *   GROUPS      see above
 *   SUMS        bytes of scratch before the work areas
 *   IN_PLACE    1: dq is f32, GROUPS is 1 and no tile needs padding: dq itself holds the sums
 *   LOCAL       1: all keys are one block that all queries see: a tile's sums are in the work area
 * Operands: q k v o lse [mask] do dq dk dv scratch. Scratch, in f32: -do.o [BATCH, GROUPS, SEQ];
 * sums of dq [BATCH, GROUPS, SUM_ROWS, SUM_T] unless IN_PLACE or LOCAL; work areas [SLOTS].
 */
enum {
    PV = OVER <= VL ? 1 : NV, PW = PV * VL,  /* vectors, keys of a panel */
    DQR = ROWS(DQ), DVR = ROWS(DV), DQP = UP(DQR, VL), DVP = UP(DVR, VL), QBR = ROWS(QB),
    /* rows that are read down lie an odd number of lines apart: they spread over the whole cache */
    KT = DQP % (2 * VL) ? DQP : DQP + VL, PT = KB + VL,
    DQ_KEYS = 128,                           /* keys that dq takes at a time: what they are
                                                multiplied by stays in the first cache level */
    SUM_ROWS = UP(SEQ, 8), SUM_T = IN_PLACE ? DQ_T : UP(DQ, 16),
    WHOLE = DQ % (NV * VL) == 0 && DV % (NV * VL) == 0,
    BLOCKS = (OVER + KB - 1) / KB, SHARE = (BLOCKS + GROUPS - 1) / GROUPS,
    JOBS = BATCH * GROUPS, TURN = JOBS >= 64 ? 4 : (JOBS + 15) / 16,     /* jobs taken at a time */
    LAZY = !CAUSAL && !WINDOW,               /* every block meets all queries */
    EARLY = LAZY && GROUPS == 1 && !IN_PLACE,    /* the last block hands out the sums of dq */
    /* blocks of a tile's products */
    STEPS = (KB * (2 * QBR + DVR + DQR) + QB * UP(DQ, PW)) / (PW * MR),
    Q_LINES = LINES(TQ, DQ), V_LINES = LINES(TV, DV),
    ROW_LINES = Q_LINES > V_LINES ? Q_LINES : V_LINES
};

#if defined(__AVX512F__)
#define HALF (DQ % 16 >= 1 && DQ % 16 <= 8 && OVER % 2 == 0)
#define EVEN(a, b) SHUFFLE(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30)
#define ODD(a, b) SHUFFLE(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31)
#else
#define HALF 0
#endif

typedef struct work {
    float kt[KB / PW][DQP][PW], vt[KB / PW][DVP][PW];   /* transposed */
    float dk[KB / PW][DQP][PW], dv[KB / PW][DVP][PW];
    float k[KB][KT];                         /* scaled */
    float q[QBR][DQR] ALIGNED, go[QBR][DVR] ALIGNED, p[QBR][PT] ALIGNED, ds[QBR][PT] ALIGNED;
#if HALF
    float pairs[KB / 2][VL] ALIGNED;         /* the last columns of k, two keys side by side */
#endif
    float rows[PW][DQP > DVP ? DQP : DVP] ALIGNED;
    float lse[QBR] ALIGNED, mean[QBR] ALIGNED;
#if LOCAL
    float dq[QBR][SUM_T] ALIGNED;
#endif
    ahead ahead;
} work;

_Static_assert(sizeof(work) <= WORK, "the work area");

/* N keys and values. Padding is zero. */
CHUNK pack_kv(work *w, const TK *k, const TV *v, int64_t N)
{
    float *rows = w->rows[0];
    for (int64_t j = 0; j < N; j++)
        for (int64_t d = 0; d < DQP; d++)
            w->k[j][d] = d < DQ ? LK(k[j * (int64_t)K_T + d]) * (float)SCALE : 0;
#if HALF
    for (int64_t j = 0; j < N; j++)
        for (int64_t c = 0; c < VL / 2; c++)
            w->pairs[j / 2][2 * c + j % 2] = w->k[j][DQ / VL * VL + c];
#endif
    for (int64_t at = 0; at < N; at += PW) {
        for (int64_t j = 0; j < PW; j++)
            for (int64_t d = 0; d < DQP; d++)
                rows[j * DQP + d] = at + j < N && d < DQ ? LK(k[(at + j) * (int64_t)K_T + d]) : 0;
        transpose_tile(PW, DQP, rows, DQP, w->kt[at / PW][0], PW);
        for (int64_t j = 0; j < PW; j++)
            for (int64_t d = 0; d < DVP; d++)
                rows[j * DVP + d] = at + j < N && d < DV ? LV(v[(at + j) * (int64_t)V_T + d]) : 0;
        transpose_tile(PW, DVP, rows, DVP, w->vt[at / PW][0], PW);
    }
}

/* mean[i] = -do.o of M rows */
static void row_means(float *mean, const TO *o, const TDO *go, int64_t M)
{
    for (int64_t i = 0; i < M; i++) {
        float t = 0;
#pragma omp simd reduction(+ : t)
        for (int64_t d = 0; d < DV; d++)
            t += LO(o[i * (int64_t)O_T + d]) * LDO(go[i * (int64_t)DO_T + d]);
        mean[i] = -t;
    }
}

/* M queries, scaled and in units of log 2, and what comes back for them. Padding is zero. */
CHUNK pack_q(work *w, const TQ *q, const TDO *go, const float *lse, const float *mean, int64_t M)
{
    for (int64_t i = 0; i < M; i++) {
        for (int64_t d = 0; d < DQ; d++)
            w->q[i][d] = LQ(q[i * (int64_t)Q_T + d]) * (float)(SCALE * 0x1.71547652b82fep+0);
        for (int64_t d = DQ; d < DQR; d++) w->q[i][d] = 0;
        for (int64_t d = 0; d < DV; d++) w->go[i][d] = LDO(go[i * (int64_t)DO_T + d]);
        for (int64_t d = DV; d < DVR; d++) w->go[i][d] = 0;
        const float l = lse[i * (int64_t)LSE_T];
        w->lse[i] = l == -INFINITY ? l : -l * 0x1.715476p+0f;
        w->mean[i] = mean[i];
    }
    for (int64_t i = M; i < ROWS(M); i++) {
        memset(w->q[i], 0, sizeof w->q[i]);
        memset(w->go[i], 0, sizeof w->go[i]);
        w->lse[i] = w->mean[i] = 0;
    }
}

/* p = exp2(q k^T - lse) */
CHUNK weights(work *w, int64_t M, int64_t N)
{
    const vec magic = splat(0x1.8p+23f), least = splat(-126.0f);
    for (int64_t at = 0; at < N; at += PW)
        ROW_BLOCKS(ROWS(M), {
            fetch_ahead(&w->ahead, ROW_LINES);
            vec c[8][NV];
            EACH(mr, PV, c[i][j] = splat(w->lse[row + i]));
            product(mr, PV, DQ, w->q[row], DQR, 1, w->kt[at / PW][0], PW, c);
            EACH(mr, PV, store(w->p[row + i] + at + j * VL, exp2_from(c[i][j], magic, least)));
        });
}

CHUNK hide(work *w, const uint8_t *mask, int64_t b, int64_t i0, int64_t M, int64_t j0, int64_t N)
{
    (void)mask, (void)b;
    for (int64_t i = 0; i < M; i++)
        for (int64_t j = 0; j < N; j++)
            if (!SEES(i0 + i, j0 + j)) w->p[i][j] = 0;
}

/* ds = p (do v^T - do.o) */
CHUNK slopes(work *w, int64_t M, int64_t N)
{
    for (int64_t at = 0; at < N; at += PW)
        ROW_BLOCKS(ROWS(M), {
            fetch_ahead(&w->ahead, ROW_LINES);
            vec c[8][NV];
            EACH(mr, PV, c[i][j] = splat(w->mean[row + i]));
            product(mr, PV, DV, w->go[row], DVR, 1, w->vt[at / PW][0], PW, c);
            EACH(mr, PV, store(w->ds[row + i] + at + j * VL,
                               c[i][j] * load(w->p[row + i] + at + j * VL)));
        });
}

/* dx += c^T y for c = p, y = do, or c = ds, y = q. Where features fill whole panels, dx lies as it
 * is wanted: keys down, features along vectors. Else it is held transposed, features down, in
 * panels of keys, and no lane is wasted. */
INLINE void add_down(work *w, float *dx, int64_t width, const float *c, const float *y, int64_t ldy,
                     int64_t M, int64_t N, int first)
{
    if (WHOLE)
        for (int64_t e = 0; e < width; e += NV * VL)
            ROW_BLOCKS(ROWS(N), {
                fetch_ahead(&w->ahead, ROW_LINES);
                vec t[8][NV];
                float *to = dx + row * width + e;
                if (first) EACH(mr, NV, t[i][j] = (vec){0});
                else EACH(mr, NV, t[i][j] = load(to + i * width + j * VL));
                product(mr, NV, M, c + row, 1, PT, y + e, ldy, t);
                EACH(mr, NV, store(to + i * width + j * VL, t[i][j]));
            });
    else
        for (int64_t at = 0; at < N; at += PW)
            ROW_BLOCKS(ldy, {
                fetch_ahead(&w->ahead, ROW_LINES);
                vec t[8][NV];
                float *to = dx + at * UP(ldy, VL) + row * PW;
                if (first) EACH(mr, PV, t[i][j] = (vec){0});
                else EACH(mr, PV, t[i][j] = load(to + i * PW + j * VL));
                product(mr, PV, M, y + row, 1, ldy, c + at, PT, t);
                EACH(mr, PV, store(to + i * PW + j * VL, t[i][j]));
            });
}

CHUNK add_dv(work *w, int64_t M, int64_t N, int first)
{
    add_down(w, w->dv[0][0], DV, w->p[0], w->go[0], DVR, M, N, first);
}

CHUNK add_dk(work *w, int64_t M, int64_t N, int first)
{
    add_down(w, w->dk[0][0], DQ, w->ds[0], w->q[0], DQR, M, N, first);
}

#if HALF
/* The last columns of dq, at most half a vector: a vector holds two keys for each of them, side by
 * side, so that the lanes are full; sums of even and odd keys meet at the end. */
INLINE void add_dq_half(work *w, float *sum, int64_t M, int64_t N, int first)
{
    typedef double dvec __attribute__((vector_size(64), aligned(4), may_alias));
    typedef float half __attribute__((vector_size(32), aligned(4), may_alias));
    const int64_t e = DQ / VL * VL;
    ROW_BLOCKS(ROWS(M), {
        vec c[8];
        EACH(mr, 1, c[i] = (vec){0});
        for (int64_t k = 0; k < N; k += 2) {
            const vec b = load(w->pairs[k / 2]);
            EACH(mr, 1, double a; memcpy(&a, &w->ds[row + i][k], 8);
                 c[i] += (vec)(dvec){a, a, a, a, a, a, a, a} * b);
        }
        float *to = sum + row * SUM_T + e;
        _Pragma("GCC unroll 4") for (int i = 0; i < mr; i += 2) {
            vec t = EVEN(c[i], c[i + 1]) + ODD(c[i], c[i + 1]);
            float both[VL] ALIGNED;
            store(both, t);
            half *a = (half *)(to + i * (int64_t)SUM_T);
            half *b = (half *)(to + (i + 1) * (int64_t)SUM_T);
            *a = *(half *)both + (first ? (half){0} : *a);
            *b = *(half *)(both + VL / 2) + (first ? (half){0} : *b);
        }
    });
}
#endif

/* dq += ds k (the first time =) of N keys from `at`; columns from e, nv vectors wide. */
INLINE void add_dq_columns(work *w, float *sum, int64_t M, int64_t at, int64_t N, int first,
                           int64_t e, int nv)
{
    ROW_BLOCKS(ROWS(M), {
        fetch_ahead(&w->ahead, ROW_LINES);
        vec c[8][NV];
        float *to = sum + row * SUM_T + e;
        if (first) EACH(mr, nv, c[i][j] = (vec){0});
        else EACH(mr, nv, c[i][j] = load(to + i * (int64_t)SUM_T + j * VL));
        product(mr, nv, N, w->ds[row] + at, PT, 1, w->k[at] + e, KT, c);
        EACH(mr, nv, store(to + i * (int64_t)SUM_T + j * VL, c[i][j]));
    });
}

CHUNK add_dq(work *w, float *sum, int64_t M, int64_t N, int first)
{
    const int64_t end = HALF ? DQ / VL * VL : UP(DQ, VL);
    for (int64_t at = 0; at < N; at += DQ_KEYS) {
        const int64_t n = N - at < DQ_KEYS ? N - at : DQ_KEYS;
        int64_t e = 0;
        for (; e + NV * VL <= end; e += NV * VL)
            add_dq_columns(w, sum, M, at, n, first && at == 0, e, NV);
        if (e < end) add_dq_columns(w, sum, M, at, n, first && at == 0, e, 1);
    }
#if HALF
    add_dq_half(w, sum, M, N, first);
#endif
}

/* Rows at.. of a gradient of the block, features along vectors. */
INLINE const float *rows_of(work *w, float *dx, int64_t width, int64_t at)
{
    if (WHOLE) return dx + at * width;
    transpose_tile(width, PW, dx + at * width, PW, w->rows[0], width);
    return w->rows[0];
}

/* The block's N rows of dk and dv. */
CHUNK finish(work *w, TDK *dk, TDV *dv, int64_t N)
{
    for (int64_t at = 0; at < N; at += PW) {
        const int64_t n = N - at < PW ? N - at : PW;
        const float *rows = rows_of(w, w->dk[0][0], DQP, at);
        for (int64_t j = 0; j < n; j++)
            for (int64_t d = 0; d < DQ; d++)
                dk[(at + j) * (int64_t)DK_T + d] = SDK(rows[j * DQP + d] * 0x1.62e43p-1f);
        rows = rows_of(w, w->dv[0][0], DVP, at);
        for (int64_t j = 0; j < n; j++)
            for (int64_t d = 0; d < DV; d++)
                dv[(at + j) * (int64_t)DV_T + d] = SDV(rows[j * DVP + d]);
    }
}

/* M rows of dq are complete. */
INLINE void hand_out(TDQ *dq, const float *sum, int64_t M)
{
    for (int64_t i = 0; i < M; i++)
        for (int64_t d = 0; d < DQ; d++) dq[i * (int64_t)DQ_T + d] = SDQ(sum[i * SUM_T + d]);
}

/* A job: keys from..to-1 of batch entry b; its sums of dq, and -do.o of the entry's queries. */
typedef struct job {
    void *const *p;
    int64_t b, from, to;
    float *sum, *mean;
} job;

static job job_of(void *const *p, int64_t n)
{
    float *scratch = p[9 + HAS_MASK];
    job x = {.p = p, .b = n / GROUPS, .from = n % GROUPS * SHARE * KB, .mean = scratch + n * SEQ};
    x.to = x.from + SHARE * KB < OVER ? x.from + SHARE * KB : OVER;
    x.sum = IN_PLACE ? (float *)p[6 + HAS_MASK] + DQ_S(x.b)
                     : scratch + UP((int64_t)JOBS * SEQ, 16) + n * ((int64_t)SUM_ROWS * SUM_T);
    return x;
}

/* What is packed next: the next tile's queries; and of what comes at the end of a block (its
 * results' lines, the next keys) this tile's share. */
static void plan_ahead(work *w, const job *x, int64_t i0, int64_t j0)
{
    enum { TILES = (SEQ + QB - 1) / QB };
    ahead *a = &w->ahead;
    void *const *p = x->p;
    const int64_t t = i0 / QB, N = OVER - j0 < KB ? OVER - j0 : KB, i = i0 + QB < SEQ ? i0 + QB : 0;
    int64_t b = x->b, from = x->from, j = j0 + KB;
    if (j >= x->to) b++, from = j = 0;       /* of a whole entry; ranges of keys last long enough */
    ahead_begin(a);
    AHEAD_SHARE(a, (const TDK *)p[7 + HAS_MASK] + DK_S(x->b) + j0 * DK_T, N, DK_T, t, TILES);
    AHEAD_SHARE(a, (const TDV *)p[8 + HAS_MASK] + DV_S(x->b) + j0 * DV_T, N, DV_T, t, TILES);
    if (b < BATCH) {
        const int64_t n = OVER - j < KB ? OVER - j : KB;
        AHEAD_SHARE(a, (const TK *)p[1] + K_S(b) + j * K_T, n, K_T, t, TILES);
        AHEAD_SHARE(a, (const TV *)p[2] + V_S(b) + j * V_T, n, V_T, t, TILES);
    }
    if (EARLY && x->b != b)
        AHEAD(a, (const TDQ *)p[6 + HAS_MASK] + DQ_S(x->b) + i0 * DQ_T,
              SEQ - i0 < QB ? SEQ - i0 : QB, DQ_T);
    if (i > 0) b = x->b, j = j0;
    if (b < BATCH) {
        const int64_t M = SEQ - i < QB ? SEQ - i : QB;
        AHEAD(a, (const TQ *)p[0] + Q_S(b) + i * Q_T, M, Q_T);
        AHEAD(a, (const TDO *)p[5 + HAS_MASK] + DO_S(b) + i * DO_T, M, DO_T);
        if (j == from) AHEAD(a, (const TO *)p[3] + O_S(b) + i * O_T, M, O_T);
        if (b == x->b && !LOCAL) AHEAD(a, x->sum + i * SUM_T, M, SUM_T);
    }
    ahead_end(a, p[0], STEPS);
}

/* Keys j0.. with all queries that see them. */
CHUNK block(work *w, const job *x, int64_t j0)
{
    void *const *p = x->p;
    const int64_t b = x->b, N = OVER - j0 < KB ? OVER - j0 : KB;
    const TQ *q = (const TQ *)p[0] + Q_S(b);
    const TO *o = (const TO *)p[3] + O_S(b);
    const TDO *go = (const TDO *)p[5 + HAS_MASK] + DO_S(b);
    const float *lse = (const float *)p[4] + LSE_S(b);
    const uint8_t *mask = HAS_MASK ? p[5] : 0;
    const int first = LAZY && j0 == x->from;
    pack_kv(w, (const TK *)p[1] + K_S(b) + j0 * K_T, (const TV *)p[2] + V_S(b) + j0 * V_T, N);
    int64_t tiles = 0;
    for (int64_t i0 = 0; i0 < SEQ; i0 += QB) {
        const int64_t M = SEQ - i0 < QB ? SEQ - i0 : QB;
        if (tile_hidden(i0, M, j0, N)) continue;
        plan_ahead(w, x, i0, j0);
        if (first) row_means(x->mean + i0, o + i0 * O_T, go + i0 * DO_T, M);
        pack_q(w, q + i0 * Q_T, go + i0 * DO_T, lse + i0 * LSE_T, x->mean + i0, M);
        weights(w, M, N);
        if (!tile_open(i0, M, j0, N)) hide(w, mask, b, i0, M, j0, N);
        slopes(w, M, N);
        add_dv(w, M, N, tiles == 0);
        add_dk(w, M, N, tiles++ == 0);
#if LOCAL
        float *sum = w->dq[0];
#else
        float *sum = x->sum + i0 * SUM_T;
#endif
        add_dq(w, sum, M, N, first);
        if (EARLY && j0 + KB >= x->to)
            hand_out((TDQ *)p[6 + HAS_MASK] + DQ_S(b) + i0 * DQ_T, sum, M);
    }
    if (tiles == 0) memset(w->dk, 0, sizeof w->dk), memset(w->dv, 0, sizeof w->dv);
    finish(w, (TDK *)p[7 + HAS_MASK] + DK_S(b) + j0 * DK_T,
           (TDV *)p[8 + HAS_MASK] + DV_S(b) + j0 * DV_T, N);
}

/* Where some tiles are skipped: everything that the first block would have done. */
static void begin(const job *x)
{
    row_means(x->mean, (const TO *)x->p[3] + O_S(x->b),
              (const TDO *)x->p[5 + HAS_MASK] + DO_S(x->b), SEQ);
    for (int64_t i = 0; i < (IN_PLACE ? SEQ : SUM_ROWS); i++)
        for (int64_t d = 0; d < UP(DQ, IN_PLACE ? 1 : 16); d++) x->sum[i * SUM_T + d] = 0;
}

/* dq = the groups' sums, in order */
static void collect(void *const *p)
{
#pragma omp parallel for schedule(static) if (WORTH)
    for (int64_t r = 0; r < (int64_t)BATCH * SEQ; r++) {
        const int64_t b = r / SEQ, i = r % SEQ;
        const float *from = job_of(p, b * GROUPS).sum + i * SUM_T;
        TDQ *dq = (TDQ *)p[6 + HAS_MASK] + DQ_S(b) + i * DQ_T;
        for (int64_t d = 0; d < DQ; d++) {
            float t = from[d];
            for (int64_t g = 1; g < GROUPS; g++) t += from[g * ((int64_t)SUM_ROWS * SUM_T) + d];
            dq[d] = SDQ(t);
        }
    }
}

void FN(const kctx *x, void *const *p)
{
    (void)x;
#pragma omp parallel for schedule(dynamic, TURN) if (WORTH) THREADS
    for (int64_t n = 0; n < (int64_t)JOBS; n++) {
        WORK_AREA(w, p[9 + HAS_MASK], SUMS);
        const job now = job_of(p, n);
        if (!LAZY) begin(&now);
        for (int64_t j0 = now.from; j0 < now.to; j0 += KB) block(w, &now, j0);
        if (GROUPS == 1 && !IN_PLACE && !EARLY)
            hand_out((TDQ *)p[6 + HAS_MASK] + DQ_S(now.b), now.sum, SEQ);
    }
    if (GROUPS > 1) collect(p);
}

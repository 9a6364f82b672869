/* attn_fwd.c - attention forward; no more than a KB x panel tile of the scores exists at a time.
 *
 * Dao, "FlashAttention-2", 2023, algorithm 1: per block of queries, a running maximum and sum over
 * blocks of keys. Scores are held transposed, keys down and queries along vectors, so that maximum,
 * sum and rescaling work lane by lane, keys and values are read as they lie (broadcast), and no
 * head size wastes lanes. Scores are in units of log 2 (scale and log2 e are folded into q) and are
 * taken relative to an integer near the maximum, so that rescaling is exact and exp2 needs no
 * reduction. Where |q| |k| says that all scores of a tile are near 0, that integer is 0 (a panel
 * that is `plain`): nobody looks for a maximum, and scores become weights in registers.
 * The emitter defines, before this text:
 *   FN                       name of the function
 *   B0 B1 B2 B3              batch extents      SEQ OVER   queries, keys    DQ DV  head sizes
 *   SCALE CAUSAL WINDOW      WINDOW 0: none     HAS_MASK
 *   QB KB                    queries of a job (a multiple of 32); keys of a block (of 8)
 *   TQ TK TV TO, LQ() ...    element types and their conversions to and from float
 *   Q_S(b) K_S(b) ...        offset of batch entry b; Q_T K_T V_T O_T token strides; LSE_T
 *   MASK_S(b), MASK_I, MASK_J strides of the mask
 *   WORK SLOTS               bytes of a work area; 0 slots: on the stack, else in scratch, one a
 *                            thread
 * Operands: q k v o lse [mask] [scratch].
 */
enum {
    PV = SEQ <= VL ? 1 : NV, PW = PV * VL,   /* vectors, queries of a panel */
    DQP = UP(DQ, VL), DVR = ROWS(DV), DVP = UP(DVR, VL), KBR = ROWS(KB),
    JOBS = (SEQ + QB - 1) / QB, SHARE = JOBS * BATCH >= 64 ? 4 : (JOBS * BATCH + 15) / 16,
    BLOCKS = (OVER + KB - 1) / KB,
    STEPS = QB / PW * (KBR / MR + DVR / MR), /* blocks of a tile's products */
    Q_LINES = LINES(TQ, DQ), V_LINES = LINES(TV, DV),
    ROW_LINES = Q_LINES > V_LINES ? Q_LINES : V_LINES
};

typedef struct work {
    float q[QB / PW][DQP][PW], acc[QB / PW][DVP][PW] ALIGNED;
    float k[KBR][DQ] ALIGNED, v[KB][DVR] ALIGNED, s[KBR][PW] ALIGNED;
    float rows[PW][DQP > DVP ? DQP : DVP] ALIGNED;
    float top[QB] ALIGNED, sum[QB] ALIGNED, shrink[PW] ALIGNED;
    float q_norm[QB / PW], k_norm;           /* largest squares of the norms */
    ahead ahead;
    uint64_t seen, plain;                    /* panels with results (at most 64); top is 0 */
} work;

_Static_assert(sizeof(work) <= WORK, "the work area");

/* The larger one; NaN if one of them is. */
INLINE float norm_larger(float most, float x) { return x > most || x != x ? x : most; }

/* A panel of queries, scaled and transposed; rows beyond M are zero. */
CHUNK pack_q(work *w, int64_t panel, const TQ *q, int64_t M)
{
    float *rows = w->rows[0];
    for (int64_t i = 0; i < PW; i++)
        for (int64_t d = 0; d < DQP; d++)
            rows[i * DQP + d] =
                i < M && d < DQ
                    ? LQ(q[i * (int64_t)Q_T + d]) * (float)(SCALE * 0x1.71547652b82fep+0)
                    : 0;
    transpose_tile(PW, DQP, rows, DQP, w->q[panel][0], PW);
    vec norm[PV];
    EACH(1, PV, norm[j] = (vec){0});
    for (int64_t d = 0; d < DQ; d++)
        EACH(1, PV, const vec x = load(w->q[panel][d] + j * VL); norm[j] += x * x);
    float most = 0;
    for (int j = 0; j < PV; j++)
        for (int l = 0; l < VL; l++) most = norm_larger(most, norm[j][l]);
    w->q_norm[panel] = most;
}

/* N keys and values as f32, densely. */
CHUNK pack_kv(work *w, const TK *k, const TV *v, int64_t N)
{
    float most = 0;
    for (int64_t j = 0; j < N; j++) {
        float norm = 0;
#pragma omp simd reduction(+ : norm)
        for (int64_t d = 0; d < DQ; d++) {
            const float x = LK(k[j * (int64_t)K_T + d]);
            w->k[j][d] = x;
            norm += x * x;
        }
        most = norm_larger(most, norm);
        for (int64_t d = 0; d < DV; d++) w->v[j][d] = LV(v[j * (int64_t)V_T + d]);
        for (int64_t d = DV; d < DVR; d++) w->v[j][d] = 0;
    }
    for (int64_t j = N; j < ROWS(N); j++)
        for (int64_t d = 0; d < DQ; d++) w->k[j][d] = 0;
    w->k_norm = most;
}

/* May a tile of N keys, all of them seen, be taken relative to 0? Then its scores are at most 40,
 * so that neither weights (2^-40 .. 2^40) nor what is summed of them come near the ends of f32. */
static int near_zero(const work *w, int64_t panel, int64_t N)
{
    const int untouched = !((w->seen & ~w->plain) >> panel & 1);
    return untouched && N == ROWS(N) && w->q_norm[panel] * w->k_norm <= 40.0f * 40.0f;
}

/* Scores of N keys (rows) with the panel's queries; what may not be seen becomes -inf. */
CHUNK scores(work *w, int64_t panel, int64_t N)
{
    ROW_BLOCKS(ROWS(N), {
        fetch_ahead(&w->ahead, ROW_LINES);
        vec c[8][NV] = {0};
        product(mr, PV, DQ, w->k[row], DQ, 1, w->q[panel][0], PW, c);
        EACH(mr, PV, store(w->s[row + i] + j * VL, c[i][j]));
    });
}

/* The same in one go for a tile that is near_zero: weights, and their sums. */
CHUNK plain_weights(work *w, int64_t panel, int64_t N)
{
    const vec magic = splat(0x1.8p+23f);
    float *sum = w->sum + panel * PW, part[PW] ALIGNED = {0};
    ROW_BLOCKS(N, {
        fetch_ahead(&w->ahead, ROW_LINES);
        vec c[8][NV] = {0};
        product(mr, PV, DQ, w->k[row], DQ, 1, w->q[panel][0], PW, c);
        EACH(mr, PV, c[i][j] = exp2_near(c[i][j], magic);
             store(w->s[row + i] + j * VL, c[i][j]));
        EACH(1, PV, vec t = c[0][j] + c[1][j]; vec u = c[2][j] + c[3][j];
             if (mr > 4) t += c[4][j], u += c[5][j]; if (mr > 6) t += c[6][j], u += c[7][j];
             store(part + j * VL, load(part + j * VL) + (t + u)));
    });
    EACH(1, PV, store(sum + j * VL, load(sum + j * VL) + load(part + j * VL));
         store(w->shrink + j * VL, splat(1.0f)));
}

CHUNK hide(work *w, const uint8_t *mask, int64_t b, int64_t i0, int64_t M, int64_t j0, int64_t N)
{
    (void)mask, (void)b, (void)M;
    for (int64_t j = 0; j < N; j++)
        for (int64_t i = 0; i < PW; i++)
            if (!(HAS_MASK && i >= M) && !SEES(i0 + i, j0 + j)) w->s[j][i] = -INFINITY;
}

/* Scores become 2^(score - top), rounded relative to an integer top; the sums and the factors by
 * which older sums shrink. `some`: the tile has hidden scores, which become 0. */
CHUNK soften(work *w, int64_t panel, int64_t N, int some)
{
    float *top = w->top + panel * PW, *sum = w->sum + panel * PW, *shrink = w->shrink;
    vec m[4][PV];
    EACH(4, PV, m[i][j] = splat(-INFINITY));
    int64_t r = 0;
    for (; r + 4 <= N; r += 4) EACH(4, PV, m[i][j] = larger(load(w->s[r + i] + j * VL), m[i][j]));
    for (; r < N; r++) EACH(1, PV, m[i][j] = larger(load(w->s[r] + j * VL), m[i][j]));
    float best[PW] ALIGNED, least[PW] ALIGNED, magic[PW] ALIGNED;
    EACH(1, PV, store(best + j * VL, larger(larger(m[0][j], m[1][j]), larger(m[2][j], m[3][j]))));
    int far = 0;
    for (int i = 0; i < PW; i++) {
        const float old = top[i], near = rintf(best[i]), now = near > old ? near : old;
        const float k = old - now, ref = now == -INFINITY ? 0.0f : now;
        shrink[i] = k >= -126.0f ? as_float(((int32_t)k + 127) << 23) : 0.0f;
        top[i] = now;
        best[i] = ref;
        least[i] = ref - 126.0f;
        magic[i] = 0x1.8p+23f - ref;
        far |= !(ref > -0x1p+22f && ref < 0x1p+22f);
    }
    if (far)                                 /* beyond exp2_from's range: subtract first */
        for (int64_t j = 0; j < N; j++)
            for (int i = 0; i < PW; i++) w->s[j][i] -= best[i];
    vec a[4][PV];
    EACH(4, PV, a[i][j] = (vec){0});
    vec mg[PV], lo[PV];
    EACH(1, PV, mg[j] = far ? splat(0x1.8p+23f) : load(magic + j * VL));
    EACH(1, PV, lo[j] = far ? splat(-126.0f) : load(least + j * VL));
    for (r = 0; r + 4 <= N; r += 4)
        EACH(4, PV, vec s = load(w->s[r + i] + j * VL), e = exp2_from(s, mg[j], lo[j]);
             if (some) e = (vec)((ivec)e & ~(s == -INFINITY));
             store(w->s[r + i] + j * VL, e); a[i][j] += e);
    for (; r < N; r++)
        EACH(1, PV, vec s = load(w->s[r] + j * VL), e = exp2_from(s, mg[j], lo[j]);
             if (some) e = (vec)((ivec)e & ~(s == -INFINITY));
             store(w->s[r] + j * VL, e); a[0][j] += e);
    EACH(1, PV, store(sum + j * VL, load(sum + j * VL) * load(shrink + j * VL) +
                                        ((a[0][j] + a[1][j]) + (a[2][j] + a[3][j]))));
}

/* acc = acc * shrink + v^T s, features down. The first time acc holds nothing. */
CHUNK values(work *w, int64_t panel, int64_t N, int first)
{
    const float *shrink = w->shrink;
    float *acc = w->acc[panel][0];
    ROW_BLOCKS(DVR, {
        fetch_ahead(&w->ahead, ROW_LINES);
        vec c[8][NV];
        if (first) EACH(mr, PV, c[i][j] = (vec){0});
        else EACH(mr, PV, c[i][j] = load(acc + (row + i) * PW + j * VL) * load(shrink + j * VL));
        product(mr, PV, N, w->v[0] + row, 1, DVR, w->s[0], PW, c);
        EACH(mr, PV, store(acc + (row + i) * PW + j * VL, c[i][j]));
    });
}

/* The panel's M results, divided by their sums and transposed back. */
CHUNK finish(work *w, int64_t panel, TO *o, float *lse, int64_t M)
{
    float *acc = w->acc[panel][0], *rows = w->rows[0], inv[PW] ALIGNED;
    float *sum = w->sum + panel * PW, *top = w->top + panel * PW;
#pragma omp simd
    for (int i = 0; i < PW; i++) {
        inv[i] = sum[i] == 0 ? 0.0f : 1.0f / sum[i];
        top[i] = sum[i] == 0 ? -INFINITY : __builtin_fmaf(top[i], 0x1.62e43p-1f, f_log(sum[i]));
    }
    for (int64_t d = 0; d < DVP; d++)
        for (int j = 0; j < PV; j++)
            store(acc + d * PW + j * VL, load(acc + d * PW + j * VL) * load(inv + j * VL));
    transpose_tile(DVP, PW, acc, PW, rows, DVP);
    for (int64_t i = 0; i < M; i++) {
        for (int64_t d = 0; d < DV; d++) o[i * (int64_t)O_T + d] = SO(rows[i * DVP + d]);
        lse[i * (int64_t)LSE_T] = top[i];
    }
}

/* What is packed next: the next block of keys and values, or the next job's first; and of what
 * comes at the end of a job (its results' lines, the next one's queries) this block's share. */
static void plan_ahead(work *w, void *const *p, int64_t b, int64_t i0, int64_t j0)
{
    const TQ *q = p[0];
    const TK *k = p[1];
    const TV *v = p[2];
    const TO *o = p[3];
    const int64_t n = j0 / KB, next = i0 + QB < SEQ ? i0 + QB : 0;
    const int64_t M = SEQ - i0 < QB ? SEQ - i0 : QB, next_M = SEQ - next < QB ? SEQ - next : QB;
    ahead *a = &w->ahead;
    ahead_begin(a);
    AHEAD_SHARE(a, o + O_S(b) + i0 * O_T, M, O_T, n, BLOCKS);
    const int64_t then = b + (next == 0), j = j0 + KB < OVER ? j0 + KB : 0, at = j ? b : then;
    if (then < BATCH)
        AHEAD_SHARE(a, q + Q_S(then) + next * Q_T, next_M, Q_T, n, BLOCKS);
    if (at < BATCH) {
        const int64_t N = OVER - j < KB ? OVER - j : KB;
        AHEAD(a, k + K_S(at) + j * K_T, N, K_T);
        AHEAD(a, v + V_S(at) + j * V_T, N, V_T);
    }
    ahead_end(a, q, STEPS);
}

/* A panel's M queries i0.. and N keys j0..; `some` of the scores are hidden. */
CHUNK tile(work *w, int64_t panel, const uint8_t *mask, int64_t b, int64_t i0, int64_t M,
           int64_t j0, int64_t N, int some)
{
    const uint64_t bit = (uint64_t)1 << panel;
    if (!some && near_zero(w, panel, N)) {
        if (!(w->seen & bit)) memset(w->top + panel * PW, 0, PW * sizeof(float));
        plain_weights(w, panel, N);
        w->plain |= bit;
    } else {
        scores(w, panel, N);
        if (some) hide(w, mask, b, i0, M, j0, N);
        soften(w, panel, N, some);
        w->plain &= ~bit;
    }
    values(w, panel, N, !(w->seen & bit));
    w->seen |= bit;
}

/* Queries i0.. of batch entry b. */
CHUNK attend(work *w, void *const *p, int64_t b, int64_t i0)
{
    const int64_t M = SEQ - i0 < QB ? SEQ - i0 : QB;
    const TK *k = (const TK *)p[1] + K_S(b);
    const TV *v = (const TV *)p[2] + V_S(b);
    const uint8_t *mask = HAS_MASK ? p[5] : 0;
    for (int64_t i = 0; i < M; i += PW)
        pack_q(w, i / PW, (const TQ *)p[0] + Q_S(b) + (i0 + i) * (int64_t)Q_T, M - i);
    w->seen = w->plain = 0;
    for (int64_t i = 0; i < QB; i++) w->top[i] = -INFINITY, w->sum[i] = 0;
    for (int64_t j0 = 0; j0 < OVER; j0 += KB) {
        const int64_t N = OVER - j0 < KB ? OVER - j0 : KB;
        if (tile_hidden(i0, M, j0, N)) continue;
        pack_kv(w, k + j0 * (int64_t)K_T, v + j0 * (int64_t)V_T, N);
        plan_ahead(w, p, b, i0, j0);
        for (int64_t i = 0; i < M; i += PW) {
            const int64_t rows = M - i < PW ? M - i : PW;
            if (tile_hidden(i0 + i, rows, j0, N)) continue;
            const int some = !tile_open(i0 + i, rows, j0, N);
            tile(w, i / PW, mask, b, i0 + i, rows, j0, N, some);
        }
    }
    for (int64_t i = 0; i < M; i += PW) {
        if (!(w->seen >> (i / PW) & 1)) memset(w->acc[i / PW], 0, sizeof w->acc[0]);
        finish(w, i / PW, (TO *)p[3] + O_S(b) + (i0 + i) * (int64_t)O_T,
               (float *)p[4] + LSE_S(b) + (i0 + i) * (int64_t)LSE_T, M - i < PW ? M - i : PW);
    }
}

void FN(const kctx *x, void *const *p)
{
    (void)x;
#pragma omp parallel for schedule(dynamic, SHARE) if (WORTH) THREADS
    for (int64_t job = 0; job < (int64_t)BATCH * JOBS; job++) {
        WORK_AREA(w, p[5 + HAS_MASK], 0);
        attend(w, p, job / JOBS, job % JOBS * QB);
    }
}

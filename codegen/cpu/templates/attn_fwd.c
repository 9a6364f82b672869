/* attn_fwd.c - attention forward; no more than a QB x KB tile of the scores exists at a time.
 *
 * Dao, "FlashAttention-2", 2023, algorithm 1: per block of queries, a running maximum and sum over
 * blocks of keys. The emitter defines, before this text:
 *   FN                       name of the function
 *   B0 B1 B2 B3              batch extents      SEQ OVER   queries, keys    DQ DV  head sizes
 *   SCALE CAUSAL WINDOW      WINDOW 0: none     HAS_MASK
 *   TQ TK TV TO, LQ() ...    element types and their conversions to and from float
 *   Q_S(b) K_S(b) ...        offset of batch entry b; Q_T K_T V_T O_T token strides; LSE_T
 *   MASK_S(b), MASK_I, MASK_J strides of the mask
 * Operands: q k v o lse [mask].
 */
void FN(const kctx *x, void *const *p)
{
    (void)x;
    enum { QB = 48, KB = 64, DVP = PAD(DV), NQB = (SEQ + QB - 1) / QB };
    const TQ *q = p[0];
    const TK *k = p[1];
    const TV *v = p[2];
#if HAS_MASK
    const uint8_t *mask = p[5];
#endif
    TO *o = p[3];
    float *lse = p[4];
#pragma omp parallel for schedule(static) if ((int64_t)B0 * B1 * B2 * B3 * SEQ * OVER > 4096)
    for (int64_t job = 0; job < (int64_t)B0 * B1 * B2 * B3 * NQB; job++) {
        const int64_t b = job / NQB, i0 = job % NQB * QB;
        const int M = (int)(SEQ - i0 < QB ? SEQ - i0 : QB);
        const TQ *qb = q + Q_S(b) + i0 * Q_T;
        const TK *kb = k + K_S(b);
        const TV *vb = v + V_S(b);
        float qs[QB * DQ] __attribute__((aligned(64))), kt[DQ * KB] __attribute__((aligned(64)));
        float vs[KB * DVP] __attribute__((aligned(64))), s[QB * KB] __attribute__((aligned(64)));
        float acc[QB * DVP] __attribute__((aligned(64))), top[QB], sum[QB];
        for (int i = 0; i < M; i++) {
            for (int d = 0; d < DQ; d++) qs[i * DQ + d] = LQ(qb[i * (int64_t)Q_T + d]) * (float)SCALE;
            for (int d = 0; d < DVP; d++) acc[i * DVP + d] = 0;
            top[i] = -INFINITY;
            sum[i] = 0;
        }
        for (int64_t j0 = 0; j0 < OVER; j0 += KB) {
            const int N = (int)(OVER - j0 < KB ? OVER - j0 : KB);
            if (CAUSAL && j0 > i0 + M - 1) break;
            for (int j = 0; j < KB; j++)
                for (int d = 0; d < DQ; d++)
                    kt[d * KB + j] = j < N ? LK(kb[(j0 + j) * (int64_t)K_T + d]) : 0;
            for (int j = 0; j < KB; j++)
                for (int d = 0; d < DVP; d++)
                    vs[j * DVP + d] = j < N && d < DV ? LV(vb[(j0 + j) * (int64_t)V_T + d]) : 0;
            tile_gemm(M, KB, DQ, qs, DQ, 1, kt, KB, s, KB, 0);
            for (int i = 0; i < M; i++) {
                float *si = s + i * KB, best = top[i], part = 0;
                if (N < KB || CAUSAL || WINDOW || HAS_MASK)
                    for (int j = 0; j < KB; j++) {
                        int see = j < N && attn_sees(i0 + i, j0 + j);
#if HAS_MASK
                        see = see && mask[MASK_S(b) + (i0 + i) * (int64_t)MASK_I +
                                          (j0 + j) * (int64_t)MASK_J];
#endif
                        if (!see) si[j] = -INFINITY;
                    }
#pragma omp simd reduction(max : best)
                for (int j = 0; j < KB; j++) best = best < si[j] ? si[j] : best;
                const float base = best == -INFINITY ? 0.0f : best;
                const float shrink = top[i] == -INFINITY ? 0.0f : f_exp(top[i] - base);
#pragma omp simd reduction(+ : part)
                for (int j = 0; j < KB; j++) {
                    float e = f_exp(si[j] - base);
                    si[j] = e;
                    part += e;
                }
                sum[i] = sum[i] * shrink + part;
                top[i] = best;
                for (int d = 0; d < DVP; d++) acc[i * DVP + d] *= shrink;
            }
            tile_gemm(M, DVP, N, s, KB, 1, vs, DVP, acc, DVP, 1);
        }
        for (int i = 0; i < M; i++) {
            const float inv = sum[i] > 0 ? 1.0f / sum[i] : 0.0f;
            TO *oi = o + O_S(b) + (i0 + i) * (int64_t)O_T;
            for (int d = 0; d < DV; d++) oi[d] = SO(acc[i * DVP + d] * inv);
            lse[LSE_S(b) + (i0 + i) * (int64_t)LSE_T] = sum[i] > 0 ? top[i] + f_log(sum[i]) : -INFINITY;
        }
    }
}

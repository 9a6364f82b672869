/* attn_bwd.c - attention backward; scores are recomputed tile by tile from q, k and lse.
 *
 * Dao, "FlashAttention-2", 2023, algorithm 2: blocks of keys outside, blocks of queries inside; dK
 * and dV of a block in local tiles, dQ accumulated in memory in f32. One batch entry is one
 * thread's work, so nothing is shared and the order of every sum is fixed. Definitions as in
 * attn_fwd.c, and DO_S, DO_T, DQ_S, DQ_T, ... for the gradients; DQ_F32 is 1 if dq is f32.
 * Operands: q k v o lse [mask] do dq dk dv scratch (f32[batch, SEQ, DQ] if dq is not f32).
 */
void FN(const kctx *x, void *const *p)
{
    (void)x;
    enum { QB = 48, KB = 64, DQP = PAD(DQ), DVP = PAD(DV) };
    const TQ *q = p[0];
    const TK *k = p[1];
    const TV *v = p[2];
#if HAS_MASK
    const uint8_t *mask = p[5];
#endif
    const TO *o = p[3];
    const float *lse = p[4];
    const TDO *d_o = p[5 + HAS_MASK];
    TDQ *dq = p[6 + HAS_MASK];
    TDK *dk = p[7 + HAS_MASK];
    TDV *dv = p[8 + HAS_MASK];
#pragma omp parallel for schedule(static) if ((int64_t)B0 * B1 * B2 * B3 * SEQ * OVER > 4096)
    for (int64_t b = 0; b < (int64_t)B0 * B1 * B2 * B3; b++) {
#if DQ_F32
        float *sum = dq + DQ_S(b);
        enum { SUM_T = DQ_T };
#else
        float *sum = (float *)p[9 + HAS_MASK] + b * (int64_t)SEQ * DQ;
        enum { SUM_T = DQ };
#endif
        for (int64_t i = 0; i < SEQ; i++)
            for (int d = 0; d < DQ; d++) sum[i * SUM_T + d] = 0;
        for (int64_t j0 = 0; j0 < OVER; j0 += KB) {
            const int N = (int)(OVER - j0 < KB ? OVER - j0 : KB);
            float ks[KB * DQP] __attribute__((aligned(64))), kt[DQ * KB] __attribute__((aligned(64)));
            float vt[DV * KB] __attribute__((aligned(64)));
            float dks[KB * DQP] __attribute__((aligned(64))), dvs[KB * DVP] __attribute__((aligned(64)));
            for (int j = 0; j < KB; j++) {
                for (int d = 0; d < DQP; d++) {
                    float e = j < N && d < DQ ? LK(k[K_S(b) + (j0 + j) * (int64_t)K_T + d]) : 0;
                    ks[j * DQP + d] = e;
                    if (d < DQ) kt[d * KB + j] = e;
                    dks[j * DQP + d] = 0;
                }
                for (int d = 0; d < DVP; d++) {
                    if (d < DV) vt[d * KB + j] = j < N ? LV(v[V_S(b) + (j0 + j) * (int64_t)V_T + d]) : 0;
                    dvs[j * DVP + d] = 0;
                }
            }
            for (int64_t i0 = 0; i0 < SEQ; i0 += QB) {
                const int M = (int)(SEQ - i0 < QB ? SEQ - i0 : QB);
                if (CAUSAL && i0 + M - 1 < j0) continue;
                float qs[QB * DQP] __attribute__((aligned(64))), dos[QB * DVP] __attribute__((aligned(64)));
                float s[QB * KB] __attribute__((aligned(64))), ds[QB * KB] __attribute__((aligned(64)));
                float dqs[QB * DQP] __attribute__((aligned(64))), dot[QB];
                for (int i = 0; i < M; i++) {
                    float t = 0;
                    for (int d = 0; d < DQP; d++)
                        qs[i * DQP + d] = d < DQ ? LQ(q[Q_S(b) + (i0 + i) * (int64_t)Q_T + d]) : 0;
                    for (int d = 0; d < DVP; d++)
                        dos[i * DVP + d] = d < DV ? LDO(d_o[DO_S(b) + (i0 + i) * (int64_t)DO_T + d]) : 0;
                    for (int d = 0; d < DV; d++)
                        t += dos[i * DVP + d] * LO(o[O_S(b) + (i0 + i) * (int64_t)O_T + d]);
                    dot[i] = t;
                }
                tile_gemm(M, KB, DQ, qs, DQP, 1, kt, KB, s, KB, 0);
                tile_gemm(M, KB, DV, dos, DVP, 1, vt, KB, ds, KB, 0);
                for (int i = 0; i < M; i++) {
                    float *si = s + i * KB, *di = ds + i * KB;
                    const float l = lse[LSE_S(b) + (i0 + i) * (int64_t)LSE_T];
                    const float base = l == -INFINITY ? INFINITY : l, t = dot[i];
#pragma omp simd
                    for (int j = 0; j < KB; j++) si[j] = f_exp(si[j] * (float)SCALE - base);
                    if (N < KB || CAUSAL || WINDOW || HAS_MASK)
                        for (int j = 0; j < KB; j++) {
                            int see = j < N && attn_sees(i0 + i, j0 + j);
#if HAS_MASK
                            see = see && mask[MASK_S(b) + (i0 + i) * (int64_t)MASK_I +
                                              (j0 + j) * (int64_t)MASK_J];
#endif
                            if (!see) si[j] = 0;
                        }
                    for (int j = 0; j < KB; j++) di[j] = si[j] * (di[j] - t) * (float)SCALE;
                }
                tile_gemm(KB, DVP, M, s, 1, KB, dos, DVP, dvs, DVP, 1);
                tile_gemm(KB, DQP, M, ds, 1, KB, qs, DQP, dks, DQP, 1);
                tile_gemm(M, DQP, N, ds, KB, 1, ks, DQP, dqs, DQP, 0);
                for (int i = 0; i < M; i++)
                    for (int d = 0; d < DQ; d++) sum[(i0 + i) * SUM_T + d] += dqs[i * DQP + d];
            }
            for (int j = 0; j < N; j++) {
                for (int d = 0; d < DQ; d++)
                    dk[DK_S(b) + (j0 + j) * (int64_t)DK_T + d] = SDK(dks[j * DQP + d]);
                for (int d = 0; d < DV; d++)
                    dv[DV_S(b) + (j0 + j) * (int64_t)DV_T + d] = SDV(dvs[j * DVP + d]);
            }
        }
#if !DQ_F32
        for (int64_t i = 0; i < SEQ; i++)
            for (int d = 0; d < DQ; d++)
                dq[DQ_S(b) + i * DQ_T + d] = SDQ(sum[i * SUM_T + d]);
#endif
    }
}

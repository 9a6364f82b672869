/* thin.c - products of few rows or few terms: they take as long as reading the weights, or writing
 * them, so nothing is packed and what is large passes by once.
 *
 *   THIN_N   few rows, b by n: FEW rows of sums, as wide as the first cache allows; b's rows pass
 *   THIN_K   few rows, a and b by k: sums in registers, one per lane; b's columns pass
 *   THIN_T   few terms, b and c by n: b waits in a cache; c's rows are written one after another
 *
 * An element of C is summed by the same steps whatever columns or rows a thread takes: ascending in
 * k, THIN_K in VL sums that are then added. The emitter defines, before this text: FN, the name of
 * the driver; FEW, how many rows or terms; one of the above as 1, the others as 0. gemm_tile.h
 * comes first. Sizes and strides come in a `product`, whose blocks and panels have no meaning here.
 */
#define CAT2(a, b) a##_##b
#define CAT(a, b) CAT2(a, b)
#define L(name) CAT(FN, name)
#define LINE 16                              /* floats of a cache line */
#define PIECE 512                            /* columns that one task sums, in THIN_N */
#define STEPS 4                              /* of its terms at a time */
#define COLUMNS (FEW > 4 ? 1 : FEW > 2 ? 2 : 4)          /* at a time, in THIN_K */
#define ROWS 2                               /* at a time, in THIN_T */

/* One task's operands: of a batch entry, from its first row or column. */
typedef struct L(task) {
    const float *a, *b, *bias;               /* bias NULL: none */
    float *c;
} L(task);

#if THIN_N
/* c += a b over STEPS terms, for one vector of columns of every row. */
INLINE void L(add)(const vec (*x)[FEW], const float *b, int64_t step, float *sums)
{
    vec s[FEW];
    UNROLL for (int i = 0; i < FEW; i++) s[i] = *(const vec *)(sums + i * PIECE);
    UNROLL for (int t = 0; t < STEPS; t++) {
        const vec y = *(const vec *)(b + t * step);
        UNROLL for (int i = 0; i < FEW; i++) add_product(&s[i], x[t][i], y);
    }
    UNROLL for (int i = 0; i < FEW; i++) *(vec *)(sums + i * PIECE) = s[i];
}

/* n columns, at most PIECE. */
NOINLINE void L(piece)(const product *g, L(task) d, int n)
{
    float sums[FEW * PIECE] __attribute__((aligned(64)));
    const int64_t bk = g->b[2], ak = g->a[3], am = g->a[2];
    const int lines = n / LINE * LINE;
    memset(sums, 0, sizeof sums);
    int64_t k = 0;
    for (; k + STEPS <= g->k; k += STEPS) {
        vec x[STEPS][FEW];
        UNROLL for (int t = 0; t < STEPS; t++)
            UNROLL for (int i = 0; i < FEW; i++) x[t][i] = splat(d.a[i * am + (k + t) * ak]);
        for (int j = 0; j < lines; j += LINE) {
            UNROLL for (int t = 0; t < STEPS; t++)
                __builtin_prefetch(d.b + (k + t + 2 * STEPS) * bk + j);
            for (int v = j; v < j + LINE; v += VL)
                L(add)((const vec (*)[FEW])x, d.b + k * bk + v, bk, sums + v);
        }
    }
    for (; k < g->k; k++)
        for (int i = 0; i < FEW; i++) {
            const vec x = splat(d.a[i * am + k * ak]);
            for (int j = 0; j < lines; j += VL)
                add_product((vec *)(sums + i * PIECE + j), x, *(const vec *)(d.b + k * bk + j));
        }
    for (int j = lines; j < n; j++)
        for (int i = 0; i < FEW; i++) {
            float s = 0;
            for (k = 0; k < g->k; k++)
                s = __builtin_fmaf(d.a[i * am + k * ak], d.b[k * bk + j], s);
            sums[i * PIECE + j] = s;
        }
    for (int i = 0; i < FEW; i++)
        for (int j = 0; j < n; j++)
            d.c[i * g->c[2] + j * g->c[3]] = sums[i * PIECE + j] + (d.bias ? d.bias[j] : 0);
}

/* Part `at` of `of`. */
static void L(part)(const product *g, L(task) d, int at, int of)
{
    const int64_t lines = (g->n + LINE - 1) / LINE, most = PIECE / LINE;
    const int64_t pieces = ((lines + most - 1) / most + of - 1) / of * of;
    for (int64_t p = pieces * at / of; p < pieces * (at + 1) / of; p++) {
        const int64_t n0 = lines * p / pieces * LINE, n1 = lines * (p + 1) / pieces * LINE;
        L(task) e = {d.a, d.b + n0, d.bias ? d.bias + n0 : 0, d.c + n0 * g->c[3]};
        if (n0 < n1) L(piece)(g, e, (int)((n1 < g->n ? n1 : g->n) - n0));
    }
}
#endif

#if THIN_K
/* `cols` columns of c, from d's first. */
INLINE void L(columns)(const product *g, L(task) d, int cols)
{
    const int64_t am = g->a[2], bn = g->b[3], whole = g->k / LINE * LINE;
    vec s[FEW][COLUMNS] = {0};
    for (int64_t k = 0; k < whole; k += LINE) {
        UNROLL for (int j = 0; j < cols; j++) __builtin_prefetch(d.b + (j + cols) * bn + k);
        UNROLL for (int v = 0; v < LINE; v += VL) {
            vec y[COLUMNS];
            UNROLL for (int j = 0; j < cols; j++) y[j] = *(const vec *)(d.b + j * bn + k + v);
            UNROLL for (int i = 0; i < FEW; i++) {
                const vec x = *(const vec *)(d.a + i * am + k + v);
                UNROLL for (int j = 0; j < cols; j++) add_product(&s[i][j], x, y[j]);
            }
        }
    }
    float lanes[FEW][COLUMNS][VL] __attribute__((aligned(64)));      /* s, to be counted through */
    UNROLL for (int i = 0; i < FEW; i++)
        UNROLL for (int j = 0; j < cols; j++) *(vec *)lanes[i][j] = s[i][j];
    for (int j = 0; j < cols; j++)
        for (int i = 0; i < FEW; i++) {
            float *l = lanes[i][j];
            for (int h = VL / 2; h; h /= 2)
                for (int v = 0; v < h; v++) l[v] += l[v + h];
            for (int64_t k = whole; k < g->k; k++)
                l[0] = __builtin_fmaf(d.a[i * am + k], d.b[j * bn + k], l[0]);
            d.c[i * g->c[2] + j * g->c[3]] = l[0] + (d.bias ? d.bias[j] : 0);
        }
}

static void L(part)(const product *g, L(task) d, int at, int of)
{
    const int64_t n1 = g->n * (at + 1) / of;
    for (int64_t n = g->n * at / of; n < n1;) {
        L(task) e = {d.a, d.b + n * g->b[3], d.bias ? d.bias + n : 0, d.c + n * g->c[3]};
        const int cols = n + COLUMNS <= n1 ? COLUMNS : 1;
        if (COLUMNS == 1 || cols == 1) L(columns)(g, e, 1);
        else L(columns)(g, e, COLUMNS);
        n += cols;
    }
}
#endif

#if THIN_T
/* `rows` rows of c, from d's first. */
INLINE void L(rows)(const product *g, L(task) d, int rows)
{
    const int64_t am = g->a[2], ak = g->a[3], bk = g->b[2], cm = g->c[2];
    const int64_t lines = g->n / LINE * LINE;
    vec x[ROWS][FEW];
    UNROLL for (int i = 0; i < rows; i++)
        UNROLL for (int t = 0; t < FEW; t++) x[i][t] = splat(d.a[i * am + t * ak]);
    for (int64_t j = 0; j < lines; j += LINE) {
        UNROLL for (int i = 0; i < rows; i++) __builtin_prefetch(d.c + (i + rows) * cm + j, 1);
        for (int v = 0; v < LINE; v += VL) {
            vec s[ROWS] = {0};
            UNROLL for (int t = 0; t < FEW; t++) {
                const vec y = *(const vec *)(d.b + t * bk + j + v);
                UNROLL for (int i = 0; i < rows; i++) add_product(&s[i], x[i][t], y);
            }
            UNROLL for (int i = 0; i < rows; i++) {
                if (d.bias) s[i] += *(const vec *)(d.bias + j + v);
                *(vec *)(d.c + i * cm + j + v) = s[i];
            }
        }
    }
    for (int64_t j = lines; j < g->n; j++)
        for (int i = 0; i < rows; i++) {
            float s = 0;
            for (int t = 0; t < FEW; t++)
                s = __builtin_fmaf(d.a[i * am + t * ak], d.b[t * bk + j], s);
            d.c[i * cm + j] = s + (d.bias ? d.bias[j] : 0);
        }
}

static void L(part)(const product *g, L(task) d, int at, int of)
{
    const int64_t m1 = g->m * (at + 1) / of;
    for (int64_t m = g->m * at / of; m < m1;) {
        L(task) e = {d.a + m * g->a[2], d.b, d.bias, d.c + m * g->c[2]};
        const int rows = m + ROWS <= m1 ? ROWS : 1;
        if (rows == 1) L(rows)(g, e, 1);
        else L(rows)(g, e, ROWS);
        m += rows;
    }
}
#endif

__attribute__((noipa)) static void FN(const product *g, const kctx *x, void *const *p)
{
    (void)x;
#pragma omp parallel
    for (int64_t e = 0; e < g->b0 * g->b1; e++) {
        const int64_t u = e / g->b1, w = e % g->b1;
        L(task) d = {(const float *)p[0] + u * g->a[0] + w * g->a[1],
                     (const float *)p[1] + u * g->b[0] + w * g->b[1], g->bias ? p[3] : 0,
                     (float *)p[2] + u * g->c[0] + w * g->c[1]};
        L(part)(g, d, omp_get_thread_num(), omp_get_num_threads());
    }
}

/* gemm_amx.c - the inside of a product of f32 by the tiles of AMX: how A and B are packed, and one
 * strip of A by one panel of B. amx_tile.h says what the parts are.
 */
#define NR PANEL
#define PACKED_BYTES 6                       /* of an element: three bf16 */
#define TERMS TILE_TERMS                     /* packed terms are a multiple of it */
#define CHECKED 1                            /* packing tells if it met values that are too large */
#define BEGIN tiles_begin
#define END tiles_end

/* `rows` rows of A, kc of K, as strips of 32 rows. */
INLINE word L(pack_a_at)(const product *g, const float *a, int rows, int kc, int s, int k,
                         char *out)
{
    const int r = rows - s < STRIP ? rows - s : STRIP, halves = r > TILE_ROWS ? 2 : 1;
    const int steps = (kc + TILE_TERMS - 1) / TILE_TERMS;
    const int terms = kc - k < TILE_TERMS ? kc - k : TILE_TERMS;
    char *to = out + (int64_t)s * steps * TILE_TERMS * PACKED_BYTES +
               k / TILE_TERMS * 3 * halves * TILE_STORED;
    word large = {0};
    for (int h = 0; h < halves; h++, to += TILE_STORED) {
        const float *p = a + (s + h * TILE_ROWS) * A_M + k * A_K;
        const int lines = r - h * TILE_ROWS < TILE_ROWS ? r - h * TILE_ROWS : TILE_ROWS;
        const int64_t part = halves * TILE_STORED;
        if (lines == TILE_ROWS && terms == TILE_TERMS && (A_BY_M || A_BY_K))
            large |= pack_tiles(p, A_BY_K ? A_M : A_K, A_BY_K, 1, to, part);
        else
            large |= pack_tiles_of(p, A_M, A_K, lines, terms, 1, to, part);
    }
    return large;
}

NOINLINE int L(pack_a)(const product *g, const float *a, int rows, int kc, void *out)
{
    word large = {0};
    if (A_BY_M) {                            /* in the order of memory */
        for (int k = 0; k < kc; k += TILE_TERMS)
            for (int s = 0; s < rows; s += STRIP) large |= L(pack_a_at)(g, a, rows, kc, s, k, out);
    } else {
        for (int s = 0; s < rows; s += STRIP)
            for (int k = 0; k < kc; k += TILE_TERMS)
                large |= L(pack_a_at)(g, a, rows, kc, s, k, out);
    }
    return any_large(large);
}

/* One panel, w columns wide of which `cols` exist, kc of K. */
NOINLINE int L(pack_b)(const product *g, const float *b, int cols, int w, int kc, void *out)
{
    const int halves = w / TILE_ROWS;
    char *to = out;
    word large = {0};
    for (int k = 0; k < kc; k += TILE_TERMS, to += 3 * halves * TILE_STORED) {
        const int terms = kc - k < TILE_TERMS ? kc - k : TILE_TERMS;
        for (int h = 0; h < halves; h++) {
            const float *p = b + k * B_K + h * TILE_ROWS * B_N;
            const int lines = cols - h * TILE_ROWS < TILE_ROWS ? cols - h * TILE_ROWS : TILE_ROWS;
            const int64_t part = halves * TILE_STORED;
            if (lines == TILE_ROWS && terms == TILE_TERMS && (B_BY_N || B_BY_K))
                large |= pack_tiles(p, B_BY_K ? B_N : B_K, B_BY_K, 0, to + h * TILE_STORED, part);
            else
                large |= pack_tiles_of(p, B_N, B_K, lines, terms, 0, to + h * TILE_STORED, part);
        }
    }
    return any_large(large);
}

/* A strip of A by a panel of B: `rows` x `cols` of C exist, panels are w columns wide. */
INLINE void L(call)(const product *g, micro *x, const L(dest) *d, int rows, int cols, int w)
{
    float sums[STRIP * PANEL] __attribute__((aligned(64)));
    const int direct = C_BY_N && rows % TILE_ROWS == 0 && cols % TILE_ROWS == 0;
    int from = FROM_ZERO;
    x->c = d->c;
    x->c_step = C_BY_N ? C_M * (int64_t)sizeof(float) : 0;
    if (direct) {
        x->to = d->sum;
        x->to_step = x->c_step;
        x->bias = d->bias;
        from = !d->first ? FROM_TO : d->bias ? FROM_BIAS : FROM_ZERO;
    } else {
        x->to = sums;
        x->to_step = PANEL * sizeof(float);
    }
    if (rows > TILE_ROWS && w > TILE_ROWS) tiles_2x2(x, from);
    else if (rows > TILE_ROWS) tiles_2x1(x, from);
    else if (w > TILE_ROWS) tiles_1x2(x, from);
    else tiles_1x1(x, from);
    if (!direct) L(finish)(g, sums, rows, PANEL, cols, d);
}

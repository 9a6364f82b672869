/* amx_tile.h - f32 products by the tiles of AMX, which multiply bf16 and sum in f32.
 *
 * An f32 has 24 bits, a bf16 eight: x = h + m + l exactly, and the product of two such sums has
 * nine parts, of which six matter. The three left out, m l, l m and l l, are together at most 2^-24
 * of the product: half a unit of f32's last place. A tile adds up its 32 terms before they meet the
 * sum, so that the result is no worse than one summed term by term (Henry, Tang and Heinecke,
 * "Leveraging the bfloat16 Artificial Intelligence Datatype For Higher-Precision Computations",
 * 2019). What is packed is not always so: parts below 2^-126 count as zero, and from 2^110 up the
 * parts could not be taken apart, so that packing tells if it met such a value, infinity or NaN.
 *
 * Packed are tiles of 16 rows of 64 bytes: 16 rows of A by 32 terms, or 16 pairs of terms by 16
 * columns of B; for each 32 terms the halves (16 rows or columns) of h, then of m, then of l.
 *
 * In assembly, as compilers ask for headers and flags of their own; nobody else uses tiles here.
 */
typedef uint16_t half2 __attribute__((vector_size(4 * VL), aligned(4), may_alias));
typedef uint32_t word __attribute__((vector_size(4 * VL), aligned(4), may_alias));
typedef int32_t lanes __attribute__((vector_size(4 * VL)));
typedef int16_t lanes2 __attribute__((vector_size(4 * VL)));

enum { TILE_ROWS = 16, TILE_TERMS = 32, TILE_STORED = 1024, STRIP = 32, PANEL = 32 };

/* Behind each, eight instructions that do nothing. On a core that is shared (with its other thread,
 * it seems) tile instructions right behind each other take twice as long; else this is free. */
#define GAP "\n\t.fill 8, 1, 0x90"
#define TILE_ZERO(t) __asm__ volatile("tilezero %%tmm" #t ::: "memory")
#define TILE_LOAD(t, at, step)                                                                     \
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #t GAP ::"r"(at), "r"(step) : "memory")
#define TILE_STORE(t, at, step)                                                                    \
    __asm__ volatile("tilestored %%tmm" #t ", (%0,%1,1)" ::"r"(at), "r"(step) : "memory")
/* sums += a b */
#define TILE_DOT(sums, a, b)                                                                       \
    __asm__ volatile("tdpbf16ps %%tmm" #b ", %%tmm" #a ", %%tmm" #sums GAP ::: "memory")

/* All eight tiles: 16 rows of 64 bytes. */
INLINE void tiles_begin(void)
{
    static const struct {
        uint8_t palette, from, unused[14];
        uint16_t bytes[16];
        uint8_t rows[16];
    } shape = {1, 0, {0}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};
    __asm__ volatile("ldtilecfg %0" ::"m"(shape));
}
INLINE void tiles_end(void) { __asm__ volatile("tilerelease" ::: "memory"); }

/* -- packing ----------------------------------------------------------------------------------- */

/* The leading eight bits of each x (Dekker, "A Floating-Point Technique for Extending the Available
 * Precision", 1971): to the nearest, and what is left fits the bits that are left. */
INLINE vec leading(vec x)
{
    const vec t = x * 65537.0f;
    return t - (t - x);
}

INLINE void apart(vec x, word *out)
{
    const vec h = leading(x), m = leading(x - h);
    out[0] = (word)h;
    out[1] = (word)m;
    out[2] = (word)(x - h - m);
}

/* The sign bit is set where x is too large to be taken apart. */
INLINE word too_large(vec x) { return ((word)x & 0x7fffffff) + (0x80000000 - 0x76800000); }

#define EXCHANGE(s, low, high)                                                                     \
    UNROLL for (int i = 0; i < 16; i++) {                                                          \
        if (i & s) continue;                                                                       \
        const word a = r[i], b = r[i + s];                                                         \
        r[i] = low;                                                                                \
        r[i + s] = high;                                                                           \
    }
/* 16 rows of 16 words, in place. */
NOINLINE void transpose16(char *tile)
{
    word r[16];
    UNROLL for (int i = 0; i < 16; i++) r[i] = *(const word *)(tile + i * 64);
    EXCHANGE(8, SHUFFLE(lanes, a, b, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23),
             SHUFFLE(lanes, a, b, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31))
    EXCHANGE(4, SHUFFLE(lanes, a, b, 0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27),
             SHUFFLE(lanes, a, b, 4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31))
    EXCHANGE(2, SHUFFLE(lanes, a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29),
             SHUFFLE(lanes, a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31))
    EXCHANGE(1, SHUFFLE(lanes, a, b, 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30),
             SHUFFLE(lanes, a, b, 1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31))
    UNROLL for (int i = 0; i < 16; i++) *(word *)(tile + i * 64) = r[i];
}
#undef EXCHANGE

/* 16 lines by 32 terms to three tiles, `part` bytes apart: of A if lines are rows, of B if they are
 * columns. Either terms lie one behind the other and lines `step` apart, or the reverse. */
INLINE word pack_tiles(const float *p, int64_t step, int by_term, int of_a, char *out, int64_t part)
{
    word large = {0}, x[3], y[3];
    for (int r = 0; r < 16; r++) {
        const float *q = p + (by_term ? r : 2 * r) * step;
        const vec u = *(const vec *)q, v = *(const vec *)(q + (by_term ? 16 : step));
        if (!by_term) {
            __builtin_prefetch(q + 32 * step, 0, 2);
            __builtin_prefetch(q + 33 * step, 0, 2);
        }
        large |= too_large(u) | too_large(v);
        apart(u, x);
        apart(v, y);
        UNROLL for (int i = 0; i < 3; i++) {
            char *to = out + i * part + r * 64;
            if (by_term)
                *(half2 *)to = SHUFFLE(lanes2, (half2)x[i], (half2)y[i], 1, 3, 5, 7, 9, 11, 13, 15,
                                       17, 19, 21, 23, 25, 27, 29, 31, 33, 35, 37, 39, 41, 43, 45,
                                       47, 49, 51, 53, 55, 57, 59, 61, 63);
            else
                *(word *)to = x[i] >> 16 | (y[i] & 0xffff0000);
        }
    }
    if (by_term != of_a)
        for (int i = 0; i < 3; i++) transpose16(out + i * part);
    return large;
}

/* The same where lines or terms end or nothing lies contiguously: what is not there is zero. */
NOINLINE word pack_tiles_of(const float *p, int64_t line, int64_t term, int lines, int terms,
                            int of_a, char *out, int64_t part)
{
    float x[TILE_ROWS * TILE_TERMS] = {0};
    for (int i = 0; i < lines; i++)
        for (int k = 0; k < terms; k++) x[i * TILE_TERMS + k] = p[i * line + k * term];
    return pack_tiles(x, TILE_TERMS, 1, of_a, out, part);
}

INLINE int any_large(word large)
{
    uint32_t any = 0;
    for (int i = 0; i < VL; i++) any |= large[i];
    return any >> 31;
}

/* -- multiplying ------------------------------------------------------------------------------- */

/* What the sums begin with. */
enum { FROM_ZERO, FROM_TO, FROM_BIAS };

#define ROWS_AT(r) ((const char *)x->to + (r) * x->to_step)
#define LOAD_A(i)                                                                                  \
    TILE_LOAD(4, a + (i) * part_a, row);                                                           \
    if (ha == 2) TILE_LOAD(5, a + (i) * part_a + TILE_STORED, row)
#define LOAD_B(i)                                                                                  \
    TILE_LOAD(6, b + (i) * part_b, row);                                                           \
    if (hb == 2) TILE_LOAD(7, b + (i) * part_b + TILE_STORED, row)
#define DOTS                                                                                       \
    TILE_DOT(0, 4, 6);                                                                             \
    if (hb == 2) TILE_DOT(1, 4, 7);                                                                \
    if (ha == 2) TILE_DOT(2, 5, 6);                                                                \
    if (ha == 2 && hb == 2) TILE_DOT(3, 5, 7)
/* What is fetched meanwhile, as micro says: at each place a row of C while there are rows, lines of
 * the two streams. All rows of C at once would hold up the tiles behind them. */
typedef struct ahead {
    const char *c, *panel, *piece;
    int rows;
} ahead;

INLINE void fetch_some(const micro *x, ahead *f)
{
    if (f->rows > 0) {
        __builtin_prefetch(f->c, 1, 3);
        __builtin_prefetch(f->c + 64, 1, 3);
        f->c += x->c_step;
        f->rows--;
    }
    for (int64_t at = 0; at < x->panel_step; at += 64) __builtin_prefetch(f->panel + at, 0, 2);
    __builtin_prefetch(f->piece, 0, 2);
    f->panel += x->panel_step;
    f->piece += x->piece_step;
}
/* Whole strips and panels only: edges are few. */
#define FETCH                                                                                      \
    if (ha == 2 && hb == 2) fetch_some(x, &f)

/* A strip of `ha` halves by a panel of `hb`. */
INLINE void tiles_run(const micro *x, int ha, int hb, int from)
{
    const char *a = (const char *)x->a, *b = (const char *)x->b;
    ahead f = {x->c, x->panel, x->piece, STRIP};
    const int64_t part_a = ha * TILE_STORED, part_b = hb * TILE_STORED, row = 64;
    if (from == FROM_ZERO) {
        TILE_ZERO(0);
        if (hb == 2) TILE_ZERO(1);
        if (ha == 2) TILE_ZERO(2);
        if (ha == 2 && hb == 2) TILE_ZERO(3);
    } else {
        /* A step of 0 reads one row for all. */
        const int64_t step = from == FROM_TO ? x->to_step : 0;
        const char *at = from == FROM_TO ? ROWS_AT(0) : (const char *)x->bias;
        TILE_LOAD(0, at, step);
        if (hb == 2) TILE_LOAD(1, at + 64, step);
        if (ha == 2) TILE_LOAD(2, at + 16 * step, step);
        if (ha == 2 && hb == 2) TILE_LOAD(3, at + 16 * step + 64, step);
    }
    for (int64_t k = 0; k < x->kc; k += TILE_TERMS, a += 3 * part_a, b += 3 * part_b) {
        LOAD_A(0);
        LOAD_B(2);
        FETCH;
        DOTS;
        FETCH;
        LOAD_B(1);
        DOTS;
        FETCH;
        LOAD_A(1);
        DOTS;
        FETCH;
        LOAD_B(0);
        FETCH;
        DOTS;
        FETCH;
        LOAD_A(2);
        FETCH;
        DOTS;
        FETCH;
        LOAD_A(0);
        DOTS;
    }
    TILE_STORE(0, ROWS_AT(0), x->to_step);
    if (hb == 2) TILE_STORE(1, ROWS_AT(0) + 64, x->to_step);
    if (ha == 2) TILE_STORE(2, ROWS_AT(16), x->to_step);
    if (ha == 2 && hb == 2) TILE_STORE(3, ROWS_AT(16) + 64, x->to_step);
}

NOINLINE void tiles_1x1(const micro *x, int from) { tiles_run(x, 1, 1, from); }
NOINLINE void tiles_1x2(const micro *x, int from) { tiles_run(x, 1, 2, from); }
NOINLINE void tiles_2x1(const micro *x, int from) { tiles_run(x, 2, 1, from); }
NOINLINE void tiles_2x2(const micro *x, int from) { tiles_run(x, 2, 2, from); }

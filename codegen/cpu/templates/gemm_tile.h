/* gemm_tile.h - what every matrix product begins with: vectors, fused multiply-add, transposition,
 * and what is the same for products of all kinds.
 *
 * Products stand in translation units of their own, without the prelude: this text, the innermost
 * loops, then drivers (gemm.c) and the products that use them. VL, the floats of a vector, is the
 * level's; the emitter defines it.
 */
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")
#define NOINLINE __attribute__((noinline)) static

typedef struct kctx kctx;
int omp_get_num_threads(void);
int omp_get_thread_num(void);
typedef float vec __attribute__((vector_size(4 * VL), aligned(4), may_alias));
typedef uint32_t uvec __attribute__((vector_size(4 * VL)));
typedef uint16_t half __attribute__((vector_size(2 * VL), aligned(2), may_alias));
typedef float vec8 __attribute__((vector_size(32), aligned(4), may_alias));
typedef uint32_t uvec8 __attribute__((vector_size(32)));
typedef int32_t ivec8 __attribute__((vector_size(32)));
typedef uint16_t half8 __attribute__((vector_size(16), aligned(2), may_alias));

/* What the innermost loop needs: it multiplies a strip of A by a panel of B, both packed, over kc
 * of K. Every UNROLL_K-th step of K it fetches one line from `panel`, one from `piece`, and goes on
 * by their steps; in the first ones it fetches the lines of C. Steps are in bytes. */
typedef struct micro {
    const void *a, *b;                       /* [kc][strip], [kc][columns] */
    float *to;                               /* where the sums go */
    const float *bias;                       /* [columns] */
    const void *c, *panel, *piece;
    int64_t kc, to_step, c_step, panel_step, piece_step;
} micro;

INLINE vec splat(float x) { return x - (vec){0}; }
/* c += a b, rounded once. */
INLINE void add_product(vec *c, vec a, vec b)
{
    __asm__("vfmadd231ps %2, %1, %0" : "+v"(*c) : "v"(a), "v"(b));
}

INLINE float float_of_f32(float x) { return x; }
INLINE float float_of_bf16(uint16_t x)
{
    uint32_t u = (uint32_t)x << 16;
    float f;
    memcpy(&f, &u, 4);
    return f;
}
INLINE vec8 vec8_of_f32(const float *p) { return *(const vec8 *)p; }
INLINE vec8 vec8_of_bf16(const uint16_t *p)
{
    return (vec8)(__builtin_convertvector(*(const half8 *)p, uvec8) << 16);
}

/* To the nearest bf16, ties to even; NaN stays NaN: to_bf16 of the prelude, by vectors. */
INLINE half half_of(vec v)
{
    const uvec u = (uvec)v;
    const uvec round = u + 0x7fff + (u >> 16 & 1), nan = u | 0x400000, is_nan = (uvec)(v != v);
    return __builtin_convertvector(((is_nan & nan) | (~is_nan & round)) >> 16, half);
}
INLINE void store_f32(float *p, vec v) { *(vec *)p = v; }
INLINE void store_bf16(uint16_t *p, vec v) { *(half *)p = half_of(v); }

/* Lanes of a, then of b, by number; gcc wants the numbers as a vector of integers, `type`. */
#if defined(__clang__)
#define SHUFFLE(type, a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(type, a, b, ...) __builtin_shuffle(a, b, (type){__VA_ARGS__})
#endif
#define SHUFFLE8(a, b, ...) SHUFFLE(ivec8, a, b, __VA_ARGS__)

/* Eight rows of eight to eight columns. */
INLINE void transpose8(const vec8 *r, vec8 *out)
{
    vec8 t[8], u[8];
    UNROLL for (int i = 0; i < 4; i++) {
        t[2 * i] = SHUFFLE8(r[2 * i], r[2 * i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
        t[2 * i + 1] = SHUFFLE8(r[2 * i], r[2 * i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
    }
    UNROLL for (int h = 0; h < 8; h += 4)
        UNROLL for (int i = 0; i < 2; i++) {
            u[h + 2 * i] = SHUFFLE8(t[h + i], t[h + 2 + i], 0, 1, 8, 9, 4, 5, 12, 13);
            u[h + 2 * i + 1] = SHUFFLE8(t[h + i], t[h + 2 + i], 2, 3, 10, 11, 6, 7, 14, 15);
        }
    UNROLL for (int i = 0; i < 4; i++) {
        out[i] = SHUFFLE8(u[i], u[4 + i], 0, 1, 2, 3, 8, 9, 10, 11);
        out[4 + i] = SHUFFLE8(u[i], u[4 + i], 4, 5, 6, 7, 12, 13, 14, 15);
    }
}

typedef void micro_fn(const micro *);
typedef void epilogue_fn(const kctx *, void *const *, int64_t first, int64_t last);

/* One product: its operands are a b c [bias] scratch, then those of the epilogue. */
typedef struct product {
    int64_t b0, b1, m, n, k;                 /* extents: batch; rows, columns, terms */
    int64_t a[4], b[4], c[4];                /* strides: of b0, b1, then of M K, K N, M N */
    int mc, kc;                              /* rows and terms of a block; mc is whole strips */
    int pt;                                  /* panels of a task at most */
    int64_t m_blocks, k_blocks, panels;
    int64_t width;                           /* columns of the packed B: whole panels, then one as
                                                wide as it must be, of last_nv vectors */
    int64_t packed;                          /* bytes of all of it */
    int last_nv;
    int tiled;                               /* sums lie beside C */
    int bias;                                /* is there one? */
    micro_fn *few_rows, *few_columns, *corner;       /* the innermost loops at edges that exist */
    epilogue_fn *epi;                        /* works on blocks of epi_block rows of C; or NULL */
    int epi_block;                           /* mc is whole blocks */
} product;

/* A block of A that is packed next: `rows` pieces of `lines` cache lines. */
typedef struct next {
    const char *at;
    int64_t stride;                          /* bytes between pieces */
    int rows, lines;
} next;

/* The block of A that is packed next is fetched by some calls of the innermost loop, evenly spread:
 * each takes a line of as many pieces as it has turns. Is there too little time, then the rest is
 * not. */
INLINE void fetch(micro *x, const next *f, int call, int calls)
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

/* Column parts of the task grid: as few as keep `threads` evenly busy. A is packed once for
 * each. `nr` columns are a panel. */
static int parts_of(const product *g, int64_t row_tasks, int threads, int nr)
{
    if (g->epi) return 1;                    /* an epilogue wants whole rows */
    const int panels = (int)g->panels, least = (panels + g->pt - 1) / g->pt;
    int best = least;
    double best_share = 1e30;
    for (int p = least; p <= panels && p <= least + 64; p++) {
        const int64_t tasks = row_tasks * p, rounds = (tasks + threads - 1) / threads;
        const int width = (panels + p - 1) / p;
        const double share = (double)rounds * (width * nr + 24);     /* 24: packing, in columns */
        if (share < best_share * 0.97) {
            best_share = share;
            best = p;
        }
    }
    return best;
}

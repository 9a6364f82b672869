/* cpu_product.c - matrix products of our own: the rule, the block sizes, the text. */
#include "codegen/cpu/cpu_product.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "codegen/cpu/cpu.h"
#include "codegen/cpu/cpu_micro.h"

enum {
    MC_LEAST = 64, MC_MOST = 144,            /* rows of a block */
    KC_MOST = 384,                           /* a strip of A and a panel of B: first and second
                                                cache */
    TILE_BYTES = 320 * 1024,                 /* sums beside C, on a thread's stack */
    EPI_BYTES = 1 << 20                      /* rows of C that an epilogue follows */
};

/* Register blocks: 24 accumulators of 32 registers with three loads of B and one broadcast, 12 of
 * 16 with two. vl 0: no generated products. */
static const cpu_product_level levels[] = {
    {"x86-64-v4", 16, 8, 3, false},
    {"x86-64-v3", 8, 6, 2, false},
    {"x86-64-v2", 0, 0, 0, false},
};
static const cpu_product_level native_bf16 = {"x86-64-v4", 16, 8, 3, true};

const cpu_product_level *cpu_product_level_of(const char *arch)
{
    static const cpu_product_level *native;  /* asked for once: it reads a file */
    if (!strcmp(arch, "native") && native) return native;
    const char *name = cpu_arch_level(arch);
    if (!name) return NULL;
    if (!strcmp(arch, "native")) {
        bool bf16 = !strcmp(name, "x86-64-v4") && __builtin_cpu_supports("avx512bf16");
        return native = bf16 ? &native_bf16 : cpu_product_level_of(name);
    }
    for (size_t i = 0; i < DFM_LEN(levels); i++)
        if (!strcmp(levels[i].name, name)) return &levels[i];
    return NULL;
}

/* -- the rule ---------------------------------------------------------------------------------- */

static int64_t f32_least = 32;               /* rows, columns, sum of an f32 product of ours */

void cpu_product_least(int64_t least) { f32_least = least; }

bool cpu_product_own(const kir_gemm *g, const cpu_product_level *l, const char **out_why)
{
    const char *ignored;
    const char **why = out_why ? out_why : &ignored;
    bool half = g->a.dtype == DFM_BF16 || g->b.dtype == DFM_BF16 || g->c.dtype == DFM_BF16;
    bool floats = (g->a.dtype == DFM_F32 || g->a.dtype == DFM_BF16) &&
                  (g->b.dtype == DFM_F32 || g->b.dtype == DFM_BF16) &&
                  (g->c.dtype == DFM_F32 || g->c.dtype == DFM_BF16);
    if (!l->vl) return *why = "oneDNN: the level has no fused multiply-add", false;
    if (!floats) return *why = "oneDNN: an element type that is neither f32 nor bf16", false;
    if (half && l->bf16) return *why = "oneDNN: the processor has bf16 instructions", false;
    if (half) return *why = "generated: bf16 is converted while it is packed", true;
    if (g->m < f32_least || g->n < f32_least || g->k < f32_least)
        return *why = "oneDNN: it is small or thin, packing would not pay", false;
    return *why = "generated: faster than oneDNN, bias included", true;
}

/* -- block sizes: of shapes only --------------------------------------------------------------- */

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

typedef struct blocks { int64_t mc, kc, pt; } blocks;

/* Rows of a block, a multiple of `step`: what divides the rows evenly among 2, 4 and 8 threads,
 * rather large than small. */
static int64_t rows_of_block(int64_t m, int64_t mr, int64_t step, int64_t most_rows)
{
    double best = 1e30;
    int64_t found = step;
    for (int64_t mc = ceil_div(MC_LEAST, step) * step; mc <= most_rows; mc += step) {
        int64_t n = ceil_div(m, mc);
        double cost = 0;
        for (int64_t t = 2; t <= 8; t *= 2) {
            int64_t most = ceil_div(n, t) * mc;
            cost += ((double)(most < m ? most : m) * (double)t / (double)m + 4.0 / (double)mc) /
                    (double)t;
        }
        if (cost < best) {
            best = cost;
            found = mc;
        }
    }
    return found < ceil_div(m, mr) * mr ? found : ceil_div(m, mr) * mr;
}

/* Rows that are whole strips and, with an epilogue, whole blocks of its. */
static int64_t row_step(const kir_kernel *epi, const cpu_product_level *l)
{
    return epi ? l->mr / ir_gcd(l->mr, epi->block) * epi->block : l->mr;
}

/* An epilogue wants its rows of C in the second cache, whole. */
static int64_t most_rows(const kir_gemm *g, const kir_kernel *epi)
{
    int64_t most = epi ? EPI_BYTES / (g->n * (int64_t)dfm_dtype_bytes(g->c.dtype)) : MC_MOST;
    return most < MC_MOST ? most : MC_MOST;
}

static bool is_tiled(const kir_gemm *g)
{
    return g->k > KC_MOST && !(g->c.dtype == DFM_F32 && (g->n == 1 || g->sc[3] == 1));
}

bool cpu_product_takes_epi(const kir_gemm *g, const kir_kernel *k, const cpu_product_level *l)
{
    if (!cpu_product_own(g, l, NULL)) return false;          /* so the level has registers */
    int64_t step = row_step(k, l), width = ceil_div(g->n, l->vl * l->nv) * l->vl * l->nv;
    if (step > most_rows(g, k)) return false;
    return !is_tiled(g) || ceil_div(MC_LEAST, step) * step * width * 4 <= TILE_BYTES;
}

static blocks blocks_of(const kir_gemm *g, const cpu_product_level *l)
{
    int64_t nr = l->vl * l->nv, panels = ceil_div(g->n, nr), step = row_step(g->epi, l);
    blocks b = {.mc = rows_of_block(g->m, l->mr, step, most_rows(g, g->epi)), .kc = g->k,
                .pt = panels};
    int64_t n = ceil_div(g->k, KC_MOST);
    if (n > 1) b.kc = ceil_div(ceil_div(g->k, n), 8) * 8;
    if (!is_tiled(g)) return b;
    if (b.mc > MC_LEAST) b.mc = ceil_div(MC_LEAST, step) * step;
    if (g->epi) return b;
    int64_t most = TILE_BYTES / (b.mc * nr * 4);
    if (b.pt > most) b.pt = most;
    return b;
}

uint64_t cpu_product_scratch(const kir_gemm *g, const cpu_product_level *l)
{
    return ((uint64_t)g->k * (uint64_t)(ceil_div(g->n, l->vl) * l->vl) * 4 + 63) / 64 * 64;
}

/* -- the text ---------------------------------------------------------------------------------- */

static void define(dfm_sb *out, const char *name, int64_t value)
{
    dfm_sb_printf(out, "#define %s %" PRId64 "\n", name, value);
}

static void define_operand(dfm_sb *out, char which, const char *dims, const int64_t s[4],
                           dfm_dtype d)
{
    const char *type = d == DFM_BF16 ? "bf16" : "f32";
    dfm_sb_printf(out, "#define T%c %s\n#define L%c float_of_%s\n#define V%c vec8_of_%s\n", which,
                  cpu_ctype(d), which, type, which, type);
    for (int i = 0; i < 4; i++)
        dfm_sb_printf(out, "#define %c_%c %" PRId64 "\n", which, i < 2 ? '0' + i : dims[i - 2],
                      s[i]);
}

void cpu_product_begin(dfm_sb *out, const cpu_product_level *l)
{
    cpu_micro whole = {.vl = l->vl, .mr = l->mr, .nv = l->nv, .strip = l->mr};
    define(out, "VL", l->vl);
    define(out, "UNROLL_K", CPU_MICRO_UNROLL);
    dfm_sb_puts(out, cg_text_gemm_tile);
    static const char *const names[] = {"micro_plain", "micro_add", "micro_bias", "micro_add_bias"};
    for (size_t i = 0; i < DFM_LEN(names); i++) {
        whole.name = names[i];
        whole.add = i & 1;
        whole.bias = i & 2;
        cpu_emit_micro(out, &whole);
    }
}

/* The innermost loops at the edges of C, if there are such. */
static void emit_edges(dfm_sb *out, const cpu_product_level *l, const char *symbol, int last_mr,
                       int last_nv)
{
    static const char *const names[] = {"few_rows", "few_columns", "corner"};
    for (int i = 0; i < 3; i++) {
        char name[256];
        bool rows = i != 1, columns = i != 0;
        if ((rows && !last_mr) || (columns && last_nv == l->nv)) continue;
        snprintf(name, sizeof name, "%s_%s", symbol, names[i]);
        cpu_emit_micro(out, &(cpu_micro){.name = name, .vl = l->vl, .mr = rows ? last_mr : l->mr,
                                         .nv = columns ? last_nv : l->nv, .strip = l->mr});
    }
}

void cpu_emit_product(dfm_sb *out, const kir_gemm *g, const cpu_product_level *l,
                      const char *symbol, const char *epilogue)
{
    static const char *const own[] = {
        "FN", "B0", "B1", "M", "N", "K", "HAS_BIAS", "MR", "NV", "MC", "KC", "PT", "STORE", "C_F32",
        "CAT2", "CAT", "L", "NR", "PANELS", "K_BLOCKS", "M_BLOCKS", "WIDTH", "LAST_NV", "LAST_MR",
        "TILED", "SHARED_B", "TA", "LA", "VA", "TB", "LB", "VB", "TC", "LC", "VC", "A_0", "A_1",
        "A_M", "A_K", "B_0", "B_1", "B_K", "B_N", "C_0", "C_1", "C_M", "C_N", "HAS_EPI", "EPI",
        "EPI_BLOCK"};
    const blocks b = blocks_of(g, l);
    int64_t sb[4] = {g->batch[0] == 1 ? 0 : g->sb[0], g->batch[1] == 1 ? 0 : g->sb[1],
                     g->sb[2], g->sb[3]};
    int64_t sc[4] = {g->sc[0], g->sc[1], g->sc[2], g->n == 1 ? 1 : g->sc[3]};
    dfm_sb_printf(out, "\n#define FN %s\n", symbol);
    define(out, "B0", g->batch[0]);
    define(out, "B1", g->batch[1]);
    define(out, "M", g->m);
    define(out, "N", g->n);
    define(out, "K", g->k);
    define(out, "HAS_BIAS", g->bias.buf.i != 0);
    define(out, "MR", l->mr);
    define(out, "NV", l->nv);
    define(out, "MC", b.mc);
    define(out, "KC", b.kc);
    define(out, "PT", b.pt);
    int64_t nr = l->vl * l->nv, last = ceil_div(g->n - (ceil_div(g->n, nr) - 1) * nr, l->vl);
    define(out, "LAST_MR", g->m % l->mr);
    define(out, "LAST_NV", last);
    emit_edges(out, l, symbol, (int)(g->m % l->mr), (int)last);
    define_operand(out, 'A', "MK", g->sa, g->a.dtype);
    define_operand(out, 'B', "KN", sb, g->b.dtype);
    define_operand(out, 'C', "MN", sc, g->c.dtype);
    dfm_sb_printf(out, "#define STORE store_%s\n", g->c.dtype == DFM_BF16 ? "bf16" : "f32");
    define(out, "C_F32", g->c.dtype == DFM_F32);
    define(out, "HAS_EPI", g->epi != NULL);
    if (g->epi) {
        dfm_sb_printf(out, "void %s_blocks(const kctx *, void *const *, int64_t, int64_t);\n"
                           "#define EPI %s_blocks\n", epilogue, epilogue);
        define(out, "EPI_BLOCK", g->epi->block);
    }
    dfm_sb_puts(out, cg_text_gemm);
    for (size_t i = 0; i < DFM_LEN(own); i++) dfm_sb_printf(out, "#undef %s\n", own[i]);
}

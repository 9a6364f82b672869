/* cpu_product.c - matrix products of our own: the rule, the block sizes, the text. */
#include "codegen/cpu/cpu_product.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "codegen/cpu/cpu.h"
#include "codegen/cpu/cpu_micro.h"
#include "codegen/cpu/cpu_thin.h"
#include "runtime/base/cpu.h"

enum {
    MC_LEAST = 48, MC_MOST = 144,            /* rows of a block */
    MC_TILED = 64,                           /* with sums beside C */
    KC_MOST = 384,                           /* a strip of A and a panel of B: first and second
                                                cache */
    TILE_BYTES = 320 * 1024,                 /* sums beside C, on a thread's stack */
    EPI_BYTES = 1 << 20,                     /* rows of C that an epilogue follows */
    AMX_STRIP = 32, AMX_PANEL = 32,          /* as in templates/amx_tile.h */
    AMX_TERMS = 32, AMX_BYTES = 6
};

/* Register blocks: 24 accumulators of 32 registers with three loads of B and one broadcast, 12 of
 * 16 with two. vl 0: no generated products. */
static const cpu_product_level levels[] = {
    {"x86-64-v4", 16, 8, 3, false, false},
    {"x86-64-v3", 8, 6, 2, false, false},
    {"x86-64-v2", 0, 0, 0, false, false},
};
static const cpu_product_level native_bf16 = {"x86-64-v4", 16, 8, 3, true, false};
static const cpu_product_level native_amx = {"x86-64-v4", 16, 8, 3, true, true};

static bool has_amx(void)
{
    dfm_arena *a = dfm_arena_create("flags");
    const char *flags = dfm_cpu_flags(a);
    bool yes = dfm_cpu_has(flags, "amx_tile") && dfm_cpu_has(flags, "amx_bf16");
    dfm_arena_destroy(a);
    return yes && dfm_cpu_allow_tiles();
}

const cpu_product_level *cpu_product_level_of(const char *arch)
{
    static const cpu_product_level *native;  /* asked for once: it reads a file */
    if (!strcmp(arch, "native") && native) return native;
    const char *name = cpu_arch_level(arch);
    if (!name) return NULL;
    if (!strcmp(arch, "native")) {
        bool bf16 = !strcmp(name, "x86-64-v4") && __builtin_cpu_supports("avx512bf16");
        return native = bf16 ? has_amx() ? &native_amx : &native_bf16 : cpu_product_level_of(name);
    }
    for (size_t i = 0; i < DFM_LEN(levels); i++)
        if (!strcmp(levels[i].name, name)) return &levels[i];
    return NULL;
}

/* -- the rule ---------------------------------------------------------------------------------- */

static int64_t f32_least = 32;               /* rows, columns, sum of an f32 product of ours */

void cpu_product_least(int64_t least) { f32_least = least; }

static bool is_thin(const kir_gemm *g) { return cpu_thin(g, f32_least, (char[8]){0}); }

/* f32 all through, where there are tiles. */
static bool kind_tiles(cpu_product_kind k, const cpu_product_level *l)
{
    return l->tiles && k.letters[0] == 'f' && k.letters[2] == 'f' && k.letters[4] == 'f';
}

bool cpu_product_tiles(const kir_gemm *g, const cpu_product_level *l)
{
    return kind_tiles(cpu_product_kind_of(g), l);
}

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
    /* oneDNN 2.6 with AMX: 33 or 97 rows of 63 terms end in an illegal instruction. */
    if (half && l->bf16 && g->k % 2) return *why = "generated: an odd number of bf16 terms", true;
    if (half && l->bf16) return *why = "oneDNN: the processor has bf16 instructions", false;
    if (half) return *why = "generated: bf16 is converted while it is packed", true;
    if (is_thin(g)) return *why = "generated: few rows or terms, the weights pass by once", true;
    if (g->m < f32_least || g->n < f32_least || g->k < f32_least)
        return *why = "oneDNN: it is small or thin, packing would not pay", false;
    *why = l->tiles ? "generated: tiles of AMX, each f32 as three bf16"
                    : "generated: faster than oneDNN, bias included";
    return true;
}

/* -- block sizes: of shapes only --------------------------------------------------------------- */

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/* The piece of C that one innermost loop makes: rows by columns. */
typedef struct piece { int64_t mr, nr; } piece;

static piece piece_of(const kir_gemm *g, const cpu_product_level *l)
{
    if (cpu_product_tiles(g, l)) return (piece){AMX_STRIP, AMX_PANEL};
    return (piece){l->mr, l->vl * l->nv};
}

typedef struct blocks { int64_t mc, kc, pt; } blocks;

/* Rows of a block, a multiple of `step`: what divides the rows evenly among 2, 4 and 8 threads.
 * Large blocks read B less often, small ones keep threads from waiting for the last of them. */
static int64_t rows_of_block(int64_t m, int64_t mr, int64_t step, int64_t most_rows)
{
    double best = 1e30;
    int64_t found = step;
    for (int64_t mc = ceil_div(MC_LEAST, step) * step; mc <= most_rows; mc += step) {
        int64_t n = ceil_div(m, mc);
        double cost = 0.4 * (double)mc / (double)m;
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
static int64_t row_step(const kir_kernel *epi, int64_t mr)
{
    return epi ? mr / ir_gcd(mr, epi->block) * epi->block : mr;
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
    if (!cpu_product_own(g, l, NULL) || is_thin(g)) return false;    /* the level has registers */
    const piece p = piece_of(g, l);
    int64_t step = row_step(k, p.mr), width = ceil_div(g->n, p.nr) * p.nr;
    if (step > most_rows(g, k)) return false;
    return !is_tiled(g) || ceil_div(MC_TILED, step) * step * width * 4 <= TILE_BYTES;
}

static blocks blocks_of(const kir_gemm *g, const cpu_product_level *l)
{
    const piece p = piece_of(g, l);
    int64_t step = row_step(g->epi, p.mr), n = ceil_div(g->k, KC_MOST);
    blocks b = {.mc = rows_of_block(g->m, p.mr, step, most_rows(g, g->epi)), .kc = g->k,
                .pt = ceil_div(g->n, p.nr)};
    if (n > 1) b.kc = ceil_div(ceil_div(g->k, n), AMX_TERMS) * AMX_TERMS;
    if (!is_tiled(g)) return b;
    if (b.mc > MC_TILED) b.mc = ceil_div(MC_TILED, step) * step;
    if (g->epi) return b;
    int64_t most = TILE_BYTES / (b.mc * p.nr * 4);
    if (b.pt > most) b.pt = most;
    return b;
}

static uint64_t packed_bytes(const kir_gemm *g, const cpu_product_level *l)
{
    bool tiles = cpu_product_tiles(g, l);
    uint64_t k = (uint64_t)(tiles ? ceil_div(g->k, AMX_TERMS) * AMX_TERMS : g->k);
    uint64_t n = (uint64_t)(ceil_div(g->n, l->vl) * l->vl);
    return (k * n * (tiles ? AMX_BYTES : 4) + 63) / 64 * 64;
}

/* With tiles there is a word behind, for what packing met. */
uint64_t cpu_product_scratch(const kir_gemm *g, const cpu_product_level *l)
{
    if (is_thin(g)) return 0;
    return packed_bytes(g, l) + (cpu_product_tiles(g, l) ? 64 : 0);
}

/* -- the text ---------------------------------------------------------------------------------- */

/* Strides as the generated code has them: 0 where an extent is 1, 1 where that makes C
 * contiguous. */
typedef struct strides { int64_t b[4], c[4]; } strides;

static strides strides_of(const kir_gemm *g)
{
    return (strides){{g->batch[0] == 1 ? 0 : g->sb[0], g->batch[1] == 1 ? 0 : g->sb[1], g->sb[2],
                      g->sb[3]},
                     {g->sc[0], g->sc[1], g->sc[2], g->n == 1 ? 1 : g->sc[3]}};
}

static char letter_of(dfm_dtype d) { return d == DFM_BF16 ? 'h' : 'f'; }

cpu_product_kind cpu_product_kind_of(const kir_gemm *g)
{
    const strides s = strides_of(g);
    cpu_product_kind thin;
    if (cpu_thin(g, f32_least, thin.letters)) return thin;
    return (cpu_product_kind){{letter_of(g->a.dtype),
                               g->sa[2] == 1 ? 'm' : g->sa[3] == 1 ? 'k' : 's',
                               letter_of(g->b.dtype), s.b[3] == 1 ? 'n' : s.b[2] == 1 ? 'k' : 's',
                               letter_of(g->c.dtype), s.c[3] == 1 ? 'n' : 's'}};
}

static bool is_thin_kind(cpu_product_kind k) { return k.letters[0] == 't'; }

bool cpu_product_shares(cpu_product_kind a, cpu_product_kind b)
{
    return is_thin_kind(a) ? is_thin_kind(b) : !strcmp(a.letters, b.letters);
}

static void define(dfm_sb *out, const char *name, int64_t value)
{
    dfm_sb_printf(out, "#define %s %" PRId64 "\n", name, value);
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
    if (l->tiles) dfm_sb_puts(out, cg_text_amx_tile);
}

void cpu_emit_product_driver(dfm_sb *out, cpu_product_kind kind, const cpu_product_level *l)
{
    static const char *const own[] = {
        "FN", "MR", "NV", "BEGIN", "END", "TERMS", "CHECKED", "MET", "PACKED_BYTES",
        "STRIP_FLOATS", "TILE_FLOATS", "STORE", "C_F32", "CAT2", "CAT", "L", "NR",
        "MAY_TILE", "A_BY_M", "A_BY_K", "B_BY_N", "B_BY_K", "C_BY_N", "A_M", "A_K", "B_K",
        "B_N", "C_M", "C_N", "TA", "LA", "VA", "TB", "LB", "VB", "TC", "LC", "VC"};
    const char *k = kind.letters;
    if (is_thin_kind(kind)) {
        cpu_emit_thin_driver(out, k);
        return;
    }
    dfm_sb_printf(out, "\n#define FN multiply_%s\n", k);
    for (int i = 0; i < 3; i++) {
        bool half = k[2 * i] == 'h';
        const char *type = half ? "bf16" : "f32";
        const char c = "ABC"[i];
        dfm_sb_printf(out, "#define T%c %s\n#define L%c float_of_%s\n#define V%c vec8_of_%s\n", c,
                      cpu_ctype(half ? DFM_BF16 : DFM_F32), c, type, c, type);
    }
    dfm_sb_printf(out, "#define STORE store_%s\n", k[4] == 'h' ? "bf16" : "f32");
    define(out, "C_F32", k[4] == 'f');
    define(out, "A_BY_M", k[1] == 'm');
    define(out, "A_BY_K", k[1] == 'k');
    define(out, "B_BY_N", k[3] == 'n');
    define(out, "B_BY_K", k[3] == 'k');
    define(out, "C_BY_N", k[5] == 'n');
    const bool tiles = kind_tiles(kind, l);
    define(out, "MR", tiles ? AMX_STRIP : l->mr);
    define(out, "NV", tiles ? AMX_PANEL / l->vl : l->nv);
    define(out, "STRIP_FLOATS", MC_MOST * KC_MOST);
    define(out, "TILE_FLOATS", TILE_BYTES / 4);
    dfm_sb_puts(out, cg_text_gemm_result);
    dfm_sb_puts(out, tiles ? cg_text_gemm_amx : cg_text_gemm_vector);
    dfm_sb_puts(out, cg_text_gemm);
    for (size_t i = 0; i < DFM_LEN(own); i++) dfm_sb_printf(out, "#undef %s\n", own[i]);
}

/* The innermost loops at the edges of C, if there are such; a text may hold several products. */
static void emit_edges(dfm_sb *out, dfm_sb *fields, const kir_gemm *g, const cpu_product_level *l)
{
    const int64_t nr = piece_of(g, l).nr, panels = ceil_div(g->n, nr);
    const int last_mr = (int)(g->m % l->mr);
    const int last_nv = (int)ceil_div(g->n - (panels - 1) * nr, l->vl);
    static const char *const fields_of[] = {"few_rows", "few_columns", "corner"};
    for (int i = 0; i < 3; i++) {
        char name[64];
        bool rows = i != 1, columns = i != 0;
        if ((rows && !last_mr) || (columns && last_nv == l->nv)) continue;
        cpu_micro m = {.name = name, .vl = l->vl, .mr = rows ? last_mr : l->mr,
                       .nv = columns ? last_nv : l->nv, .strip = l->mr};
        snprintf(name, sizeof name, "micro_%dx%d", m.mr, m.nv);
        dfm_sb_printf(out, "\n#ifndef MICRO_%dx%d\n#define MICRO_%dx%d", m.mr, m.nv, m.mr, m.nv);
        cpu_emit_micro(out, &m);
        dfm_sb_puts(out, "#endif\n");
        dfm_sb_printf(fields, " .%s = %s,", fields_of[i], name);
    }
}

static void put_strides(dfm_sb *out, const char *name, const int64_t s[4])
{
    dfm_sb_printf(out, " .%s = {%" PRId64 ", %" PRId64 ", %" PRId64 ", %" PRId64 "},", name, s[0],
                  s[1], s[2], s[3]);
}

/* How it is cut and packed. */
static void put_blocks(dfm_sb *out, const kir_gemm *g, const cpu_product_level *l,
                       const char *edges)
{
    const blocks b = blocks_of(g, l);
    const int64_t nr = piece_of(g, l).nr, panels = ceil_div(g->n, nr);
    const int64_t last_nv = ceil_div(g->n - (panels - 1) * nr, l->vl);
    dfm_sb_printf(out, "\n    .mc = %" PRId64 ", .kc = %" PRId64 ", .pt = %" PRId64
                       ", .m_blocks = %" PRId64 ", .k_blocks = %" PRId64 ", .panels = %" PRId64
                       ",\n    .width = %" PRId64 ", .packed = %" PRIu64 ", .last_nv = %" PRId64
                       ", .tiled = %d,%s",
                  b.mc, b.kc, b.pt, ceil_div(g->m, b.mc), ceil_div(g->k, b.kc), panels,
                  ceil_div(g->n, l->vl) * l->vl, packed_bytes(g, l), last_nv, is_tiled(g), edges);
}

void cpu_emit_product(dfm_sb *out, const kir_gemm *g, const cpu_product_level *l,
                      const char *symbol, const char *epilogue)
{
    const strides s = strides_of(g);
    dfm_sb edges = dfm_sb_make(out->arena);
    if (!is_thin(g) && !cpu_product_tiles(g, l)) emit_edges(out, &edges, g, l);
    if (epilogue)
        dfm_sb_printf(out, "\nvoid %s_blocks(const kctx *, void *const *, int64_t, int64_t);",
                      epilogue);
    dfm_sb_printf(out, "\nstatic const product %s_of = {\n   ", symbol);
    dfm_sb_printf(out, " .b0 = %" PRId64 ", .b1 = %" PRId64 ", .m = %" PRId64 ", .n = %" PRId64
                       ", .k = %" PRId64 ",\n   ", g->batch[0], g->batch[1], g->m, g->n, g->k);
    put_strides(out, "a", g->sa);
    put_strides(out, "b", s.b);
    put_strides(out, "c", s.c);
    if (!is_thin(g)) put_blocks(out, g, l, dfm_sb_cstr(&edges));
    if (g->bias.buf.i) dfm_sb_puts(out, " .bias = 1,");
    if (epilogue)
        dfm_sb_printf(out, " .epi = %s_blocks, .epi_block = %" PRId64 ",", epilogue, g->epi->block);
    dfm_sb_printf(out, "\n};\nvoid %s(const kctx *x, void *const *p)\n{\n", symbol);
    const cpu_product_kind kind = cpu_product_kind_of(g);
    dfm_sb_printf(out, "    multiply_%s(&%s_of, x, p);\n}\n", kind.letters, symbol);
}

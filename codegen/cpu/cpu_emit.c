/* cpu_emit.c - one K kernel as C functions.
 *
 * Output: static code that the host compiler vectorises. NAME_blocks(x, p, first, last) does the
 * blocks of rows first .. last - 1: a loop over blocks, a loop over the tiles of rows of a block
 * (cpu_kernel.h), and for each PASS a loop nest over the lanes whose innermost loop is marked
 * `omp simd`. NAME(x, p) shares the blocks out among the threads, each a run of them, so that the
 * same rows are the same thread's from kernel to kernel. Lane dims that every access walks like
 * one longer dim are merged first, so that the innermost loop is long. Values are local variables
 * v<n>, or v<n>_<row> where they differ between the rows of a tile; kept lanes and accumulators
 * are arrays on the stack; row parts of addresses are pointers computed once per tile.
 */
#include "codegen/cpu/cpu_kernel.h"
#include <string.h>

enum {
    MIN_PARALLEL_WORK = 16384,
    MOST_TILE = 4,
    BF16_TILE = 2,                       /* a vector of bf16 is two of floats */
    LONG_ROW = 1024,                     /* lanes: a page */
    SHORT_TILE = 512,                    /* lanes of all rows of a tile of short rows */
    EARLY_LOADS = 8,                     /* of a tile: before anything else is computed */
    NEXT_ROW = 16 * 1024,                /* bytes of a row that are fetched ahead */
    LINE_FLOATS = 16,
    BUSY = 10,                           /* operations per stream: the processor fetches alone */
    BUSY_PASSES = 16,                    /* the same where there are several passes */
    DEAR = 20,                           /* operations of an elementary function */
    LEAST_CHUNK = 64,                    /* lanes between two rounds of prefetching */
    CHUNK_FLOATS = 4096,                 /* of all streams, on their way at a time */
    TILE_INSTS = 256,                    /* instructions of the passes, all rows of a tile */
    RAGGED_ROWS = 16,                    /* from here on, some rows alone do not matter */
    STACK_SUMS = 512 * 1024,             /* bytes of accumulators that may stand on the stack */
};

/* -- sections ---------------------------------------------------------------------------------- */

/* Once for each row of a tile, even if the value is the same. */
static bool is_per_row(const emitter *em, uint32_t i)
{
    kir_op op = em->k->insts.p[i].op;
    return em->varies[i] || op == KIR_ACC || op == KIR_STORE;
}

static bool is_early(const emitter *em, const kir_section *s, uint32_t i)
{
    return s->kind == KIR_PASS && em->k->insts.p[i].op == KIR_LOAD && em->varies[i] &&
           !em->acc[i].opaque && !em->k->insts.p[i].n_conds;
}

typedef enum order { LOADS, REST, STORES, ALL } order;

/* The instructions of one row that belong to this part of the order. */
static void row_insts(emitter *em, const kir_section *s, order part)
{
    for (uint32_t i = s->first; i < s->first + s->n; i++) {
        bool store = em->k->insts.p[i].op == KIR_STORE, early = is_early(em, s, i);
        if (store && em->direct[i]) continue;
        if (em->tile > 1 && !is_per_row(em, i)) continue;
        if (store && !em->varies[i] && em->row + 1 < em->tile) continue;
        if (part == ALL || part == (early ? LOADS : store ? STORES : REST)) cpu_inst_text(em, i, s);
    }
}

/* What is the same for all rows first, then row by row: few values are alive at a time. Where they
 * are not many, all loads come before and all stores after that, which leaves the host compiler
 * free to weave the rows into each other. */
static void section_insts(emitter *em, const kir_section *s)
{
    int loads = 0;
    for (uint32_t i = s->first; i < s->first + s->n && em->tile > 1; i++) {
        if (!is_per_row(em, i)) cpu_inst_text(em, i, s);
        loads += is_early(em, s, i);
    }
    bool weave = em->tile > 1 && loads && loads * em->tile <= EARLY_LOADS;
    for (order part = weave ? LOADS : ALL; part <= (weave ? STORES : ALL); part++)
        for (em->row = 0; em->row < em->tile; em->row++) row_insts(em, s, part);
    em->row = 0;
}

/* A simd reduction clause needs plain accumulation; argmax keeps its loop scalar. */
static bool simd_clause(emitter *em, uint32_t i, dfm_sb *clauses)
{
    static const struct { ir_reducer r; const char *op; } ops[] = {
        {IR_RED_SUM, "+"}, {IR_RED_PROD, "*"}, {IR_RED_MAX, "max"},
        {IR_RED_MIN, "min"}, {IR_RED_ANY, "|"}, {IR_RED_ALL, "&"}};
    const kir_inst *in = &em->k->insts.p[i];
    for (size_t o = 0; o < DFM_LEN(ops); o++)
        if (ops[o].r == in->red)
            dfm_sb_printf(clauses, " reduction(%s:%s)", ops[o].op, cpu_name(em, "v", i));
    return in->red != IR_RED_ARGMAX;
}

/* Declares what a pass needs outside of its loops: results of reductions, pointers. */
static bool declare_pass(emitter *em, const kir_section *s, uint32_t i, dfm_sb *clauses)
{
    const kir_inst *in = &em->k->insts.p[i];
    bool simd = true;
    (void)s;
    if (cpu_watches_nan(in)) {
        LINE("int32_t %s = 0;", cpu_name(em, "nan", i));
        dfm_sb_printf(clauses, " reduction(|:%s)", cpu_name(em, "nan", i));
    }
    if (in->op == KIR_REDUCE) {
        simd = simd_clause(em, i, clauses);
        LINE("%s %s = %s;", cpu_value_ctype(in->dtype), cpu_name(em, "v", i),
             simd ? cpu_reducer_start(in->red, in->dtype) : "0");
        if (!simd) {
            dfm_dtype of = kir_at(em->k, in->ref[0])->dtype;
            LINE("%s %s = %s;", cpu_value_ctype(of), cpu_name(em, "top", i),
                 cpu_reducer_start(IR_RED_MAX, of));
        }
    }
    if ((in->op != KIR_LOAD && in->op != KIR_STORE) || em->direct[i]) return simd;
    cpu_line_start(em);
    OUT("%s%s *const %s = a%u + (", in->op == KIR_LOAD ? "const " : "",
        cpu_ctype(em->k->args.p[in->arg].dtype), cpu_name(em, "q", i), in->arg);
    /* An indirect row value is in scope; an indirect lane value is in the lane part. */
    cpu_row_address(em, i);
    OUT(");\n");
    return simd;
}

/* Elements from one row to the next of an access that is a stream of whole lines; else 0. */
static int64_t stream_step(const emitter *em, uint32_t i)
{
    const kir_inst *in = &em->k->insts.p[i];
    bool access_op = in->op == KIR_LOAD || in->op == KIR_STORE;
    if (!access_op || em->level[i] != 2 || !em->varies[i]) return 0;
    const access *ac = &em->acc[i];
    int r = cpu_find_dim(em->k->rows, em->k->n_rows, em->tile_dim);
    bool lines = !ac->opaque && em->n_groups == 1 && ac->lane[em->group_last[0]] == 1;
    return lines && r >= 0 && ac->row[r] >= LINE_FLOATS ? ac->row[r] : 0;
}

static bool same_stream(const emitter *em, uint32_t i, uint32_t j)
{
    const kir_arg *a = &em->k->args.p[em->k->insts.p[i].arg];
    const kir_arg *b = &em->k->args.p[em->k->insts.p[j].arg];
    return a->buf.i == b->buf.i && a->offset == b->offset &&
           !memcmp(&em->acc[i], &em->acc[j], sizeof em->acc[i]) &&
           !memcmp(a->loop_stride, b->loop_stride, sizeof a->loop_stride);
}

static bool is_first_of_stream(const emitter *em, uint32_t i)
{
    if (!stream_step(em, i)) return false;
    for (uint32_t j = 1; j < i; j++)
        if (em->starts[j] && same_stream(em, i, j)) return false;
    return true;
}

static void find_streams(emitter *em)
{
    for (uint32_t i = 1; i < em->k->insts.n; i++) {
        em->starts[i] = is_first_of_stream(em, i);
        em->n_streams += em->starts[i];
    }
}

static bool is_written(const emitter *em, uint32_t i)
{
    for (uint32_t j = i; j < em->k->insts.n; j++) {
        bool store = em->k->insts.p[j].op == KIR_STORE;
        if (store && stream_step(em, j) && same_stream(em, i, j)) return true;
    }
    return false;
}

/* A pass and how many there are: each asks for its share of the streams. of 0: none does. */
typedef struct turn {
    uint32_t at, of;
} turn;

/* Asks for what comes next of this turn's streams, results too: their lines must be there before a
 * store can retire, and be nobody else's: another core may have them from a buffer that lay there
 * before. chunk 0: the rows of the next tile. Else the next `chunk` lanes of these rows or,
 * from the last on, the first ones of the next tile. */
static void prefetch(emitter *em, int64_t chunk, turn t)
{
    int64_t lanes = kir_lanes(em->ir, em->k);
    bool open = false;
    uint32_t stream = 0;
    for (uint32_t i = 1; i < em->k->insts.n; i++) {
        if (!em->starts[i] || stream++ * t.of / em->n_streams != t.at) continue;
        if (!open)
            LINE("for (int l = 0; l < %" PRId64 "; l += %d) {", chunk ? chunk : lanes, LINE_FLOATS);
        open = true;
        for (int u = 0; u < em->tile; u++) {
            em->row = chunk ? u : u + em->tile;
            cpu_line_start(em);
            OUT("    __builtin_prefetch(a%u + (", em->k->insts.p[i].arg);
            cpu_row_address(em, i);
            OUT(") + l");
            if (chunk)
                OUT(" + (c < %" PRId64 " ? c + %" PRId64 " : %" PRId64 ")", lanes - chunk, chunk,
                    stream_step(em, i) * em->tile);
            OUT("%s);\n", is_written(em, i) ? ", 1" : "");
        }
    }
    em->row = 0;
    if (open) LINE("}");
}

static uint32_t passes_of(const kir_kernel *k)
{
    uint32_t n = 0;
    for (uint32_t s = 0; s < k->sections.n; s++) n += k->sections.p[s].kind == KIR_PASS;
    return n;
}

/* Is there so much to compute that fetching ahead would only hold it up? */
static bool is_busy(const emitter *em)
{
    int64_t work = 0;
    for (uint32_t i = 1; i < em->k->insts.n; i++) {
        const kir_inst *in = &em->k->insts.p[i];
        if (em->level[i] != 2) continue;
        work += in->op == KIR_RANDOM || (in->op == KIR_FN && cpu_fn_is_dear(in->fn)) ? DEAR : 1;
    }
    return work > (passes_of(em->k) > 1 ? BUSY_PASSES : BUSY) * em->n_streams;
}

/* Lanes between two rounds of prefetching in the only pass of a kernel; 0: all before it. */
static int64_t chunk_of(const emitter *em, const kir_section *s)
{
    int64_t lanes = em->n_groups == 1 ? em->group_extent[0] : 0;
    int64_t most = CHUNK_FLOATS / em->tile, n = 0;
    for (uint32_t i = s->first; i < s->first + s->n; i++) {
        if (em->k->insts.p[i].op == KIR_REDUCE) return 0;
        n += em->starts[i];
    }
    for (int64_t c = n ? most / n : 0; c >= LEAST_CHUNK; c -= LINE_FLOATS)
        if (c % LINE_FLOATS == 0 && lanes % c == 0 && lanes > c) return c;
    return 0;
}

static void lane_section(emitter *em, const kir_section *s, turn t)
{
    dfm_sb clauses = dfm_sb_make(em->a);
    bool simd = true;
    for (uint32_t i = s->first; i < s->first + s->n; i++) {
        int n = em->varies[i] ? em->tile : 1;
        for (em->row = 0; em->row < n; em->row++) simd &= declare_pass(em, s, i, &clauses);
        em->row = 0;
    }
    int64_t chunk = t.of == 1 ? chunk_of(em, s) : 0;
    if (chunk) {
        LINE("for (int c = 0; c < %" PRId64 "; c += %" PRId64 ") {", em->group_extent[0], chunk);
        em->indent++;
        prefetch(em, chunk, t);
    } else if (t.of)
        prefetch(em, 0, t);
    for (uint32_t g = 0; g < em->n_groups; g++) {
        bool inner = g + 1 == em->n_groups;
        if (inner && simd) LINE("_Pragma(\"omp simd%s\")", dfm_sb_cstr(&clauses));
        if (chunk) LINE("for (int l0 = c; l0 < c + %" PRId64 "; l0++) {", chunk);
        else LINE("for (int l%u = 0; l%u < %" PRId64 "; l%u++) {", g, g, em->group_extent[g], g);
        em->indent++;
    }
    cpu_line_start(em);
    OUT("const int lane = 0");
    for (uint32_t g = 0; g < em->n_groups; g++) {
        int64_t after = 1;
        for (uint32_t h = g + 1; h < em->n_groups; h++) after *= em->group_extent[h];
        OUT(" + l%u * %" PRId64, g, after);
    }
    OUT(";\n");
    LINE("(void)lane;");
    section_insts(em, s);
    for (uint32_t g = 0; g < em->n_groups + (chunk > 0); g++) {
        em->indent--;
        LINE("}");
    }
    for (uint32_t i = s->first; i < s->first + s->n; i++) {
        int n = em->varies[i] ? em->tile : 1;
        for (em->row = 0; em->row < n && cpu_watches_nan(&em->k->insts.p[i]); em->row++)
            LINE("if (%s) %s = NAN;", cpu_name(em, "nan", i), cpu_name(em, "v", i));
        em->row = 0;
    }
}

/* -- tiles ------------------------------------------------------------------------------------- */

static bool is_kept_lane(const emitter *em, uint32_t i)
{
    const kir_inst *in = &em->k->insts.p[i];
    return in->keep && em->level[i] == 2 && in->op != KIR_REDUCE && in->op != KIR_ACC;
}

static int64_t tile_extent(const emitter *em)
{
    return em->tile_dim.i ? ir_extent(em->ir, em->tile_dim) : 1;
}

static bool is_ragged(const emitter *em, int tile)
{
    return tile_extent(em) % tile != 0 || em->k->block % tile != 0;
}

static bool is_bf16_lane(const emitter *em, uint32_t i)
{
    const kir_inst *in = &em->k->insts.p[i];
    return em->level[i] == 2 && (in->op == KIR_LOAD || in->op == KIR_STORE) &&
           em->k->args.p[in->arg].dtype == DFM_BF16;
}

/* Rows of a tile: from shapes and the kernel alone. Long rows are pages apart, so each row of a
 * tile is a stream of its own to the processor's prefetchers; short ones give several chains of
 * sums. Rows between the two, and kernels of several passes, are better off one by one with the
 * next row on its way (docs/design/0012). */
static int best_tile(const emitter *em)
{
    const kir_kernel *k = em->k;
    int64_t lanes = kir_lanes(em->ir, k), insts = 0;
    int tile = MOST_TILE;
    for (uint32_t i = 1; i < k->insts.n; i++) {
        const kir_inst *in = &k->insts.p[i];
        insts += em->level[i] == 2;
        if (in->op == KIR_RANDOM || (in->op == KIR_REDUCE && in->red == IR_RED_ARGMAX)) return 1;
        if (is_bf16_lane(em, i)) tile = BF16_TILE;
    }
    bool is_long = passes_of(k) == 1 && lanes >= LONG_ROW;
    while (tile > 1 && ((!is_long && lanes * tile > SHORT_TILE) || insts * tile > TILE_INSTS))
        tile /= 2;
    return tile;
}

static void choose_tile(emitter *em)
{
    const kir_kernel *k = em->k;
    for (uint32_t r = k->n_rows; r-- > k->n_keep && !em->tile_dim.i;)
        if (ir_extent(em->ir, k->rows[r]) > 1) em->tile_dim = k->rows[r];
    em->tile = best_tile(em);
    while (em->tile > 1 && (em->tile > k->block || em->tile > tile_extent(em) ||
                            (is_ragged(em, em->tile) && tile_extent(em) < RAGGED_ROWS)))
        em->tile /= 2;
    cpu_find_variation(em);
}

/* Do the lanes of a store lie one after the other, as f32? */
static bool is_dense(const emitter *em, uint32_t i)
{
    const kir_inst *in = &em->k->insts.p[i];
    const access *ac = &em->acc[i];
    bool dense = em->k->args.p[in->arg].dtype == DFM_F32 && !in->n_conds && !ac->opaque;
    int64_t after = 1;
    for (uint32_t g = em->n_groups; g-- > 0 && dense; after *= em->group_extent[g])
        dense = em->group_extent[g] == 1 || ac->lane[em->group_last[g]] == after;
    return dense;
}

/* Accumulators of very long rows do not fit on a stack: they sum where the FLUSH stores them. */
static void find_direct(emitter *em)
{
    const kir_kernel *k = em->k;
    int64_t bytes = 0;
    for (uint32_t i = 1; i < k->insts.n; i++)
        if (k->insts.p[i].op == KIR_ACC) bytes += kir_lanes(em->ir, k) * (int64_t)sizeof(float);
    for (uint32_t s = 0; s < k->sections.n && bytes > STACK_SUMS; s++) {
        const kir_section *sec = &k->sections.p[s];
        bool reads = false;                  /* what a sum would have overwritten */
        for (uint32_t i = sec->first; i < sec->first + sec->n; i++)
            reads |= k->insts.p[i].op == KIR_LOAD;
        if (sec->kind != KIR_FLUSH || reads) continue;
        for (uint32_t i = sec->first; i < sec->first + sec->n; i++) {
            uint32_t sum = k->insts.p[i].op == KIR_STORE ? k->insts.p[i].ref[0].i : 0;
            if (!sum || k->insts.p[sum].op != KIR_ACC || em->direct[sum] || !is_dense(em, i))
                continue;
            em->direct[sum] = i;
            em->direct[i] = sum;
        }
    }
}

static void declare_accumulators(emitter *em)
{
    int64_t lanes = kir_lanes(em->ir, em->k);
    for (uint32_t i = 1; i < em->k->insts.n; i++) {
        uint32_t store = em->direct[i];
        const char *type = cpu_value_ctype(em->k->insts.p[i].dtype);
        if (em->k->insts.p[i].op != KIR_ACC) continue;
        if (!store) {
            LINE("%s acc%u[%" PRId64 "] __attribute__((aligned(64))) = {0};", type, i, lanes);
            continue;
        }
        cpu_line_start(em);
        OUT("%s *const acc%u = a%u + (", type, i, em->k->insts.p[store].arg);
        cpu_row_address(em, store);
        OUT(");\n");
        LINE("memset(acc%u, 0, %" PRId64 " * sizeof *acc%u);", i, lanes, i);
    }
}

static void declare_kept(emitter *em)
{
    for (uint32_t i = 1; i < em->k->insts.n; i++) {
        int n = em->varies[i] ? em->tile : 1;
        if (!is_kept_lane(em, i)) continue;
        for (em->row = 0; em->row < n; em->row++)
            LINE("%s %s[%" PRId64 "] __attribute__((aligned(64)));",
                 cpu_value_ctype(em->k->insts.p[i].dtype), cpu_name(em, "keep", i),
                 kir_lanes(em->ir, em->k));
        em->row = 0;
    }
}

/* Declares the index of each row dim of `from`..`to` - 1 from the flat counter `flat`. */
static void split_rows(emitter *em, const char *flat, uint32_t from, uint32_t to)
{
    int64_t after = 1;
    for (uint32_t r = from; r < to; r++) after *= ir_extent(em->ir, em->k->rows[r]);
    for (uint32_t r = from; r < to; r++) {
        int64_t extent = ir_extent(em->ir, em->k->rows[r]);
        after /= extent;
        LINE("const int r%u = (int)(%s / %" PRId64 " %% %" PRId64 ");", r, flat, after, extent);
        LINE("(void)r%u;", r);
    }
}

static void tile_sections(emitter *em, int tile)
{
    const kir_kernel *k = em->k;
    bool ahead = em->tile_dim.i && kir_lanes(em->ir, k) * 4 <= NEXT_ROW && !is_busy(em);
    turn t = {0, ahead ? passes_of(k) : 0};
    em->tile = tile;
    declare_kept(em);
    for (uint32_t s = 0; s < k->sections.n; s++) {
        const kir_section *sec = &k->sections.p[s];
        if (sec->kind == KIR_PASS) {
            lane_section(em, sec, t);
            t.at++;
        }
        if (sec->kind == KIR_ROW) section_insts(em, sec);
    }
}

/* The rows from `row` to `end` - 1 of a block. */
static void rows(emitter *em)
{
    int tile = em->tile;
    bool ragged = is_ragged(em, tile);
    if (ragged) LINE("while (row < end) {");
    else LINE("for (; row < end; row += %d) {", tile);
    em->indent++;
    split_rows(em, "row", em->k->n_keep, em->k->n_rows);
    if (!ragged) {
        tile_sections(em, tile);
    } else {
        LINE("if (row + %d <= end && %s + %d <= %" PRId64 ") {", tile,
             em->dim_text[em->tile_dim.i], tile, tile_extent(em));
        em->indent++;
        tile_sections(em, tile);
        LINE("row += %d;", tile);
        em->indent--;
        LINE("} else {");
        em->indent++;
        tile_sections(em, 1);
        LINE("row++;");
        em->indent--;
        LINE("}");
    }
    em->indent--;
    LINE("}");
    em->tile = 1;
}

/* -- the kernel -------------------------------------------------------------------------------- */

static void blocks(emitter *em, int64_t parts, int64_t rest)
{
    const kir_kernel *k = em->k;
    LINE("for (int64_t block = first; block < last; block++) {");
    em->indent++;
    LINE("const int64_t kept = block / %" PRId64 ", part = block %% %" PRId64 ";", parts, parts);
    LINE("(void)kept;");
    split_rows(em, "kept", 0, k->n_keep);
    declare_accumulators(em);
    LINE("int64_t row = part * %" PRId64 ";", k->block);
    LINE("const int64_t end = row + %" PRId64 " < %" PRId64 " ? row + %" PRId64 " : %" PRId64 ";",
         k->block, rest, k->block, rest);
    rows(em);
    for (uint32_t s = 0; s < k->sections.n; s++)
        if (k->sections.p[s].kind == KIR_FLUSH) lane_section(em, &k->sections.p[s], (turn){0, 0});
    em->indent--;
    LINE("}");
}

static void blocks_function(emitter *em, const char *symbol, int64_t parts, int64_t rest)
{
    const kir_kernel *k = em->k;
    LINE("__attribute__((noinline)) void %s_blocks(const kctx *x, void *const *p, int64_t first, "
         "int64_t last)", symbol);
    LINE("{");
    em->indent++;
    LINE("(void)x;");
    for (uint32_t i = 0; i < k->args.n; i++) {
        LINE("%s *const a%u = p[%u];", cpu_ctype(k->args.p[i].dtype), i, i);
        LINE("(void)a%u;", i);
    }
    uint32_t first = k->sections.n ? k->sections.p[0].first : k->insts.n;
    for (uint32_t i = 1; i < first; i++) {
        cpu_inst_text(em, i, NULL);
        LINE("(void)v%u;", i);
    }
    blocks(em, parts, rest);
    em->indent--;
    LINE("}");
}

void cpu_emit_kernel(dfm_sb *out, const kir_module *m, const kir_kernel *k, const char *symbol)
{
    dfm_arena *a = out->arena;
    emitter e = {.out = out, .a = a, .m = m, .ir = m->ir, .k = k}, *em = &e;
    int64_t kept = 1, rest = 1;
    for (uint32_t r = 0; r < k->n_rows; r++)
        *(r < k->n_keep ? &kept : &rest) *= ir_extent(em->ir, k->rows[r]);
    int64_t parts = (rest + k->block - 1) / k->block, all = kept * parts;
    em->acc = dfm_new_n(a, access, k->insts.n);
    em->level = dfm_new_n(a, uint8_t, k->insts.n);
    em->varies = dfm_new_n(a, bool, k->insts.n);
    em->direct = dfm_new_n(a, uint32_t, k->insts.n);
    em->starts = dfm_new_n(a, bool, k->insts.n);
    em->dim_text = dfm_new_n(a, const char *, m->ir->dims.n);
    for (uint32_t r = 0; r < k->n_rows; r++) em->dim_text[k->rows[r].i] = dfm_fmt(a, "r%u", r);
    if (k->block_dim.i) em->dim_text[k->block_dim.i] = "part";
    cpu_analyse(em);
    choose_tile(em);
    find_direct(em);
    find_streams(em);

    OUT("\n/* %s */\n", dfm_name_str(m->ir->names, k->name));
    blocks_function(em, symbol, parts, rest);
    LINE("void %s(const kctx *x, void *const *p)", symbol);
    LINE("{");
    if (all > 1 && kept * rest * kir_lanes(em->ir, k) >= MIN_PARALLEL_WORK) {
        OUT("    _Pragma(\"omp parallel\")\n    {\n"
            "        const int64_t me = omp_get_thread_num(), n = omp_get_num_threads();\n"
            "        %s_blocks(x, p, %" PRId64 " * me / n, %" PRId64 " * (me + 1) / n);\n    }\n",
            symbol, all, all);
    } else
        OUT("    %s_blocks(x, p, 0, %" PRId64 ");\n", symbol, all);
    LINE("}");
}

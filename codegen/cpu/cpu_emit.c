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

enum {
    MIN_PARALLEL_WORK = 16384,
    MOST_TILE = 4,
    TILE_KEPT = 24 * 1024,               /* bytes of kept lanes of a tile: half a small L1 */
    TILE_INSTS = 256,                    /* instructions of the passes, all rows of a tile */
    RAGGED_ROWS = 16,                    /* from here on, some rows alone do not matter */
};

/* -- sections ------------------------------------------------------------------------------------ */

/* Once for each row of a tile, even if the value is the same. */
static bool is_per_row(const emitter *em, uint32_t i)
{
    kir_op op = em->k->insts.p[i].op;
    return em->varies[i] || op == KIR_ACC || op == KIR_STORE;
}

/* What is the same for all rows first, then row by row: few values are alive at a time. */
static void section_insts(emitter *em, const kir_section *s)
{
    for (uint32_t i = s->first; i < s->first + s->n && em->tile > 1; i++)
        if (!is_per_row(em, i)) cpu_inst_text(em, i, s);
    for (em->row = 0; em->row < em->tile; em->row++)
        for (uint32_t i = s->first; i < s->first + s->n; i++) {
            bool again = em->k->insts.p[i].op == KIR_STORE && !em->varies[i];
            if (em->tile > 1 && !is_per_row(em, i)) continue;
            if (again && em->row + 1 < em->tile) continue;
            cpu_inst_text(em, i, s);
        }
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
    if (in->op == KIR_REDUCE) {
        simd = simd_clause(em, i, clauses);
        LINE("%s %s = %s;", cpu_value_ctype(in->dtype), cpu_name(em, "v", i),
             simd ? cpu_reducer_start(in->red, in->dtype) : "0");
        if (!simd) LINE("float %s = -INFINITY;", cpu_name(em, "top", i));
    }
    if (in->op != KIR_LOAD && in->op != KIR_STORE) return simd;
    cpu_line_start(em);
    OUT("%s%s *const %s = a%u + (", in->op == KIR_LOAD ? "const " : "",
        cpu_ctype(em->k->args.p[in->arg].dtype), cpu_name(em, "q", i), in->arg);
    /* An indirect row value is in scope; an indirect lane value is in the lane part. */
    cpu_row_address(em, i);
    OUT(");\n");
    return simd;
}

static void lane_section(emitter *em, const kir_section *s)
{
    dfm_sb clauses = dfm_sb_make(em->a);
    bool simd = true;
    for (uint32_t i = s->first; i < s->first + s->n; i++) {
        int n = em->varies[i] ? em->tile : 1;
        for (em->row = 0; em->row < n; em->row++) simd &= declare_pass(em, s, i, &clauses);
        em->row = 0;
    }
    for (uint32_t g = 0; g < em->n_groups; g++) {
        bool inner = g + 1 == em->n_groups;
        if (inner && simd) LINE("_Pragma(\"omp simd%s\")", dfm_sb_cstr(&clauses));
        LINE("for (int l%u = 0; l%u < %" PRId64 "; l%u++) {", g, g, em->group_extent[g], g);
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
    for (uint32_t g = 0; g < em->n_groups; g++) {
        em->indent--;
        LINE("}");
    }
}

/* -- tiles --------------------------------------------------------------------------------------- */

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

/* Rows of a tile: from shapes and the kernel alone. */
static void choose_tile(emitter *em)
{
    const kir_kernel *k = em->k;
    int64_t kept = 0, insts = 0;
    int tile = MOST_TILE;
    for (uint32_t r = k->n_rows; r-- > k->n_keep && !em->tile_dim.i;)
        if (ir_extent(em->ir, k->rows[r]) > 1) em->tile_dim = k->rows[r];
    for (uint32_t i = 1; i < k->insts.n; i++) {
        const kir_inst *in = &k->insts.p[i];
        if (is_kept_lane(em, i)) kept += kir_lanes(em->ir, k) * 4;
        insts += em->level[i] == 2;
        if (in->op == KIR_RANDOM || (in->op == KIR_REDUCE && in->red == IR_RED_ARGMAX)) tile = 1;
    }
    while (tile > 1 && (kept * tile > TILE_KEPT || insts * tile > TILE_INSTS)) tile /= 2;
    while (tile > 1 && (tile > k->block || tile > tile_extent(em) ||
                        (is_ragged(em, tile) && tile_extent(em) < RAGGED_ROWS)))
        tile /= 2;
    em->tile = tile;
    if (tile == 1) em->tile_dim.i = 0;
    cpu_find_variation(em);
}

static void declare_accumulators(emitter *em)
{
    for (uint32_t i = 1; i < em->k->insts.n; i++)
        if (em->k->insts.p[i].op == KIR_ACC)
            LINE("%s acc%u[%" PRId64 "] __attribute__((aligned(64))) = {0};",
                 cpu_value_ctype(em->k->insts.p[i].dtype), i, kir_lanes(em->ir, em->k));
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
    em->tile = tile;
    declare_kept(em);
    for (uint32_t s = 0; s < k->sections.n; s++) {
        const kir_section *sec = &k->sections.p[s];
        if (sec->kind == KIR_PASS) lane_section(em, sec);
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

/* -- the kernel ---------------------------------------------------------------------------------- */

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
        if (k->sections.p[s].kind == KIR_FLUSH) lane_section(em, &k->sections.p[s]);
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
    em->dim_text = dfm_new_n(a, const char *, m->ir->dims.n);
    for (uint32_t r = 0; r < k->n_rows; r++) em->dim_text[k->rows[r].i] = dfm_fmt(a, "r%u", r);
    if (k->block_dim.i) em->dim_text[k->block_dim.i] = "part";
    cpu_analyse(em);
    choose_tile(em);

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

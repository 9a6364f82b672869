/* cpu_emit.c - one K kernel as a C function.
 *
 * Output: static code that the host compiler vectorises: one loop over blocks of rows (OpenMP), a
 * loop over the rows of a block, and for each PASS a loop nest over the lanes whose innermost loop
 * is marked `omp simd`. Lane dims that every access walks like one longer dim are merged first, so
 * that the innermost loop is long. Values are local variables v<n>; kept lanes, accumulators are
 * arrays on the stack; row parts of addresses are pointers computed once per row.
 */
#include "codegen/cpu/cpu.h"

#include <inttypes.h>
#include <math.h>

enum { MIN_PARALLEL_WORK = 16384 };

/* Where a LOAD or STORE goes: coefficient of each row and lane dim, or text where not affine. */
typedef struct access {
    int64_t c;
    int64_t row[KIR_MAX_RANK], lane[KIR_MAX_RANK], block;
    bool opaque;                         /* some coordinate is not affine: see opaque_text */
    bool opaque_lane;                    /* ... and uses lane dims or lane-level indirects */
} access;

typedef struct emitter {
    dfm_sb *out;
    dfm_arena *a;
    const kir_module *m;
    const ir_module *ir;
    const kir_kernel *k;
    access *acc;                         /* by instruction, LOAD and STORE only */
    const char **dim_text;               /* by dim handle; NULL: not in scope */
    uint8_t *level;                      /* by instruction: 0 kernel, 1 row, 2 lane */
    uint32_t n_groups;                   /* merged lane dims */
    uint32_t group_last[KIR_MAX_RANK];   /* last lane dim of the group */
    int64_t group_extent[KIR_MAX_RANK];
    int indent;
} emitter;

#define OUT(...) dfm_sb_printf(em->out, __VA_ARGS__)

static void line_start(emitter *em)
{
    for (int i = 0; i < em->indent; i++) dfm_sb_puts(em->out, "    ");
}
#define LINE(...) (line_start(em), OUT(__VA_ARGS__), dfm_sb_puts(em->out, "\n"))

static int find_dim(const ir_dim *dims, uint32_t n, ir_dim d)
{
    for (uint32_t i = 0; i < n; i++)
        if (dims[i].i == d.i) return (int)i;
    return -1;
}

static const kir_indirect *indirect_of(const kir_kernel *k, ir_dim d)
{
    for (uint32_t i = 0; i < k->indirect.n; i++)
        if (k->indirect.p[i].dim.i == d.i) return &k->indirect.p[i];
    return NULL;
}

static const char *dim_in_scope(void *user, ir_dim d)
{
    emitter *em = user;
    DFM_ASSERT(em->dim_text[d.i] != NULL);
    return em->dim_text[d.i];
}

/* Which levels an index expression depends on: bit 0 rows or block, bit 1 lanes. */
static unsigned ix_levels(const emitter *em, ir_ix x)
{
    const ir_ix_node *n = ir_ix_of(em->ir, x);
    const kir_kernel *k = em->k;
    if (n->kind == IX_CONST) return 0;
    if (n->kind == IX_VAR) {
        if (find_dim(k->lanes, k->n_lanes, n->var) >= 0) return 2;
        const kir_indirect *ind = indirect_of(k, n->var);
        if (ind) return em->level[ind->value.i] == 2 ? 2 : 1;
        return 1;
    }
    return ix_levels(em, n->a) | (n->kind == IX_ADD ? ix_levels(em, n->b) : 0);
}

/* Uses of single lane dims that merging must respect. */
static void ix_lane_uses(const emitter *em, ir_ix x, bool used[KIR_MAX_RANK])
{
    const ir_ix_node *n = ir_ix_of(em->ir, x);
    if (n->kind == IX_CONST) return;
    if (n->kind == IX_VAR) {
        int l = find_dim(em->k->lanes, em->k->n_lanes, n->var);
        if (l >= 0) used[l] = true;
        return;
    }
    ix_lane_uses(em, n->a, used);
    if (n->kind == IX_ADD) ix_lane_uses(em, n->b, used);
}

static bool add_affine(emitter *em, access *ac, ir_ix x, int64_t stride)
{
    ir_dim dims[KIR_MAX_RANK];
    int64_t coef[KIR_MAX_RANK], c;
    uint32_t n;
    const kir_kernel *k = em->k;
    if (!ir_ix_affine(em->ir, x, dims, coef, KIR_MAX_RANK, &n, &c)) return false;
    for (uint32_t i = 0; i < n; i++)
        if (find_dim(k->rows, k->n_rows, dims[i]) < 0 &&
            find_dim(k->lanes, k->n_lanes, dims[i]) < 0 && dims[i].i != k->block_dim.i)
            return false;                               /* an indirect dim */
    ac->c += c * stride;
    for (uint32_t i = 0; i < n; i++) {
        int r = find_dim(k->rows, k->n_rows, dims[i]), l = find_dim(k->lanes, k->n_lanes, dims[i]);
        if (r >= 0) ac->row[r] += coef[i] * stride;
        else if (l >= 0) ac->lane[l] += coef[i] * stride;
        else ac->block += coef[i] * stride;
    }
    return true;
}

static void analyse_accesses(emitter *em)
{
    const kir_kernel *k = em->k;
    for (uint32_t i = 1; i < k->insts.n; i++) {
        const kir_inst *in = &k->insts.p[i];
        if (in->op != KIR_LOAD && in->op != KIR_STORE) continue;
        const kir_arg *arg = &k->args.p[in->arg];
        access *ac = &em->acc[i];
        for (uint32_t d = 0; d < arg->rank; d++) {
            if (add_affine(em, ac, in->coords[d], arg->stride[d])) continue;
            ac->opaque = true;
            if (ix_levels(em, in->coords[d]) & 2) ac->opaque_lane = true;
        }
    }
}

/* Level of every instruction: the deepest section or operand it depends on. */
static void assign_levels(emitter *em)
{
    const kir_kernel *k = em->k;
    for (uint32_t s = 0; s < k->sections.n; s++) {
        const kir_section *sec = &k->sections.p[s];
        for (uint32_t i = sec->first; i < sec->first + sec->n; i++)
            em->level[i] = sec->kind == KIR_ROW ? 1 : 2;
    }
}

static void merge_lanes(emitter *em)
{
    const kir_kernel *k = em->k;
    bool alone[KIR_MAX_RANK] = {false};                 /* must keep its own loop variable */
    bool joined[KIR_MAX_RANK] = {false};                /* lane l is merged with l + 1 */
    for (uint32_t i = 1; i < k->insts.n; i++) {
        const kir_inst *in = &k->insts.p[i];
        if (in->op == KIR_INDEX) ix_lane_uses(em, in->ix, alone);
        if (in->op != KIR_LOAD && in->op != KIR_STORE) continue;
        for (uint32_t c = 0; c < in->n_conds; c++) ix_lane_uses(em, in->guard[c].e, alone);
        const kir_arg *arg = &k->args.p[in->arg];
        access probe = {0};
        for (uint32_t d = 0; d < arg->rank; d++)
            if (!add_affine(em, &probe, in->coords[d], 0)) ix_lane_uses(em, in->coords[d], alone);
    }
    for (uint32_t l = 0; l + 1 < k->n_lanes; l++) {
        int64_t inner = ir_extent(em->ir, k->lanes[l + 1]);
        joined[l] = !alone[l] && !alone[l + 1];
        for (uint32_t i = 1; i < k->insts.n && joined[l]; i++)
            if ((k->insts.p[i].op == KIR_LOAD || k->insts.p[i].op == KIR_STORE) &&
                em->level[i] == 2)
                joined[l] = em->acc[i].lane[l] == em->acc[i].lane[l + 1] * inner;
    }
    em->n_groups = 0;
    int64_t extent = 1;
    for (uint32_t l = 0; l < k->n_lanes; l++) {
        extent *= ir_extent(em->ir, k->lanes[l]);
        if (l + 1 < k->n_lanes && joined[l]) continue;
        em->group_last[em->n_groups] = l;
        em->group_extent[em->n_groups++] = extent;
        extent = 1;
    }
    for (uint32_t g = 0; g < em->n_groups; g++) {
        uint32_t l = em->group_last[g];
        if (ir_extent(em->ir, k->lanes[l]) == em->group_extent[g])
            em->dim_text[k->lanes[l].i] = dfm_fmt(em->a, "l%u", g);
    }
}

/* -- addresses ---------------------------------------------------------------------------------- */

static void opaque_text(emitter *em, uint32_t i, unsigned want_lane)
{
    const kir_inst *in = &em->k->insts.p[i];
    const kir_arg *arg = &em->k->args.p[in->arg];
    access probe = {0};
    for (uint32_t d = 0; d < arg->rank; d++) {
        if (add_affine(em, &probe, in->coords[d], 0)) continue;
        if ((ix_levels(em, in->coords[d]) >> 1) != want_lane) continue;
        OUT(" + (int64_t)(");
        cpu_index_text(em->out, em->ir, in->coords[d], dim_in_scope, em);
        OUT(") * %" PRId64, arg->stride[d]);
    }
}

/* The part of an address that is the same for all lanes, as an int64_t expression. */
static void row_address(emitter *em, uint32_t i)
{
    const access *ac = &em->acc[i];
    OUT("%" PRId64, ac->c);
    for (uint32_t r = 0; r < em->k->n_rows; r++)
        if (ac->row[r])
            OUT(" + (int64_t)%s * %" PRId64, em->dim_text[em->k->rows[r].i], ac->row[r]);
    if (ac->block) OUT(" + (int64_t)part * %" PRId64, ac->block);
    if (ac->opaque) opaque_text(em, i, 0);
}

static void lane_address(emitter *em, uint32_t i)
{
    const access *ac = &em->acc[i];
    const char *plus = "";
    for (uint32_t g = 0; g < em->n_groups; g++) {
        int64_t c = ac->lane[em->group_last[g]];
        if (!c) continue;
        if (c == 1) OUT("%sl%u", plus, g);
        else OUT("%s(int64_t)l%u * %" PRId64, plus, g, c);
        plus = " + ";
    }
    if (ac->opaque_lane) {
        if (!*plus) OUT("0");
        opaque_text(em, i, 1);
    } else if (!*plus)
        OUT("0");
}

/* -- values -------------------------------------------------------------------------------------- */

static const char *value_ctype(dfm_dtype d)
{
    return d == DFM_F32 ? "float" : "int32_t";
}

static void literal(emitter *em, dfm_dtype d, double x)
{
    if (d != DFM_F32) { OUT("%lld", (long long)x); return; }
    float f = (float)x;
    if (isnan(f)) OUT("NAN");
    else if (isinf(f)) OUT(f > 0 ? "INFINITY" : "-INFINITY");
    else OUT("%af", (double)f);
}

static const char *fn_text(ir_fn fn, bool is_float)
{
    switch (fn) {
    case IR_FN_NEG: return is_float ? "-%a" : "(int32_t)(0u - (uint32_t)%a)";
    case IR_FN_ABS: return is_float ? "fabsf(%a)" : "(%a < 0 ? (int32_t)(0u - (uint32_t)%a) : %a)";
    case IR_FN_SIGN: return is_float ? "f_sign(%a)" : "((%a > 0) - (%a < 0))";
    case IR_FN_FLOOR: return "floorf(%a)";
    case IR_FN_CEIL: return "ceilf(%a)";
    case IR_FN_ROUND: return "rintf(%a)";
    case IR_FN_EXP: return "f_exp(%a)";
    case IR_FN_EXPM1: return "f_expm1(%a)";
    case IR_FN_LOG: return "f_log(%a)";
    case IR_FN_LOG1P: return "f_log1p(%a)";
    case IR_FN_SQRT: return "sqrtf(%a)";
    case IR_FN_RSQRT: return "(1.0f / sqrtf(%a))";
    case IR_FN_RECIP: return "(1.0f / %a)";
    case IR_FN_SIN: return "f_sin(%a)";
    case IR_FN_COS: return "f_cos(%a)";
    case IR_FN_TANH: return "f_tanh(%a)";
    case IR_FN_ERF: return "f_erf(%a)";
    case IR_FN_SIGMOID: return "f_sigmoid(%a)";
    case IR_FN_NOT: return "!%a";
    case IR_FN_ADD: return is_float ? "%a + %b" : "(int32_t)((uint32_t)%a + (uint32_t)%b)";
    case IR_FN_SUB: return is_float ? "%a - %b" : "(int32_t)((uint32_t)%a - (uint32_t)%b)";
    case IR_FN_MUL: return is_float ? "%a * %b" : "(int32_t)((uint32_t)%a * (uint32_t)%b)";
    case IR_FN_DIV: return is_float ? "%a / %b" : "(int32_t)floor_div(%a, %b)";
    case IR_FN_MOD: return is_float ? "f_mod(%a, %b)" : "(int32_t)floor_mod(%a, %b)";
    case IR_FN_POW: return "powf(%a, %b)";
    case IR_FN_MIN: return is_float ? "f_min(%a, %b)" : "(%a <= %b ? %a : %b)";
    case IR_FN_MAX: return is_float ? "f_max(%a, %b)" : "(%a >= %b ? %a : %b)";
    case IR_FN_LT: return "(%a < %b)";
    case IR_FN_LE: return "(%a <= %b)";
    case IR_FN_EQ: return "(%a == %b)";
    case IR_FN_NE: return "(%a != %b)";
    case IR_FN_AND: return "(%a & %b)";
    case IR_FN_OR: return "(%a | %b)";
    case IR_FN_SELECT: return "(%a ? %b : %c)";
    default: DFM_ASSERT(!"scalar function"); return "";
    }
}

/* Name of a value as seen from the instruction being emitted. */
static void ref_text(emitter *em, kir_ref r, const kir_section *here)
{
    const kir_inst *in = kir_at(em->k, r);
    bool elsewhere = here && (r.i < here->first || r.i >= here->first + here->n);
    if (in->op == KIR_ACC) OUT("acc%u[lane]", r.i);
    else if (elsewhere && in->keep && in->op != KIR_REDUCE) OUT("keep%u[lane]", r.i);
    else OUT("v%u", r.i);
}

static void fn_call(emitter *em, const kir_inst *in, const kir_section *here)
{
    bool is_float = kir_at(em->k, in->ref[in->fn == IR_FN_SELECT ? 1 : 0])->dtype == DFM_F32;
    for (const char *t = fn_text(in->fn, is_float); *t; t++) {
        if (*t == '%' && t[1] >= 'a' && t[1] <= 'c') ref_text(em, in->ref[*++t - 'a'], here);
        else dfm_sb_add(em->out, t, 1);
    }
}

/* The guard of an access as a C condition; nothing if it has none. */
static bool guard_text(emitter *em, const kir_inst *in)
{
    for (uint32_t c = 0; c < in->n_conds; c++) {
        const ir_cond *g = &in->guard[c];
        int64_t lo, hi;
        ir_ix_range(em->ir, g->e, &lo, &hi);
        OUT("%s(", c ? " & " : "");
        bool low = lo < g->lo, high = hi > g->hi;
        if (low) {
            OUT("(");
            cpu_index_text(em->out, em->ir, g->e, dim_in_scope, em);
            OUT(") >= %" PRId64, g->lo);
        }
        if (high) {
            OUT("%s(", low ? " & " : "");
            if (low) OUT("(");
            cpu_index_text(em->out, em->ir, g->e, dim_in_scope, em);
            OUT(") <= %" PRId64 "%s", g->hi, low ? ")" : "");
        }
        OUT(low || high ? ")" : "1)");
    }
    return in->n_conds > 0;
}

static void load_text(emitter *em, uint32_t i, bool lanes)
{
    const kir_inst *in = &em->k->insts.p[i];
    dfm_dtype d = em->k->args.p[in->arg].dtype;
    const char *wrap = d == DFM_BF16 ? "from_bf16(" : d == DFM_F16 ? "from_f16(" : "";
    if (in->dtype == DFM_BOOL) wrap = "(int32_t)(0 != ";
    else if (!*wrap) wrap = in->dtype == DFM_F32 ? "(float)(" : "(int32_t)(";
    if (in->n_conds) {
        guard_text(em, in);
        OUT(" ? ");
    }
    OUT("%s", wrap);
    if (lanes) {
        OUT("q%u[", i);
        lane_address(em, i);
    } else {
        OUT("a%u[", in->arg);
        row_address(em, i);
    }
    OUT("])");
    if (in->n_conds) {
        OUT(" : ");
        literal(em, in->dtype, in->value);
    }
}

static void store_text(emitter *em, uint32_t i, bool lanes, const kir_section *here)
{
    const kir_inst *in = &em->k->insts.p[i];
    dfm_dtype d = em->k->args.p[in->arg].dtype;
    line_start(em);
    if (in->n_conds) {
        OUT("if (");
        guard_text(em, in);
        OUT(") ");
    }
    if (lanes) {
        OUT("q%u[", i);
        lane_address(em, i);
    } else {
        OUT("a%u[", in->arg);
        row_address(em, i);
    }
    OUT("] = %s", d == DFM_BF16 ? "to_bf16(" : d == DFM_BOOL ? "0 != (" : "(");
    ref_text(em, in->ref[0], here);
    OUT(");\n");
}

static void draw_text(emitter *em, const kir_inst *in, const kir_section *here)
{
    const ir_random *r = in->random;
    const char *what = r->dist == IR_NORMAL ? "normal" : r->dist == IR_UNIFORM ? "uniform" : "randint";
    OUT("dfm_draw_%s(x->seed, %" PRIu64 "u, (uint32_t)x->step, ", what, r->stream);
    if (in->ref[1].i) {
        OUT("(uint32_t)(x->first_sample + ");
        ref_text(em, in->ref[1], here);
        OUT("), ");
    } else
        OUT("0u, ");
    if (in->ref[2].i) {
        OUT("(uint32_t)");
        ref_text(em, in->ref[2], here);
    } else {
        for (uint32_t j = 0; j < in->n_iters; j++) OUT("dfm_draw_loop(");
        OUT("0u");
        for (uint32_t j = 0; j < in->n_iters; j++) OUT(", (uint32_t)x->iter[%u])", j);
    }
    OUT(", (uint32_t)");
    ref_text(em, in->ref[0], here);
    if (r->dist == IR_RANDINT) OUT(", %" PRId64 ", %" PRId64, r->lo, r->hi);
    OUT(")");
}

static const char *reducer_start(ir_reducer r, dfm_dtype d)
{
    bool f = d == DFM_F32;
    switch (r) {
    case IR_RED_PROD: return f ? "1.0f" : "1";
    case IR_RED_MAX: return f ? "-INFINITY" : "INT32_MIN";
    case IR_RED_MIN: return f ? "INFINITY" : "INT32_MAX";
    case IR_RED_ALL: return "1";
    default: return f ? "0.0f" : "0";
    }
}

static void inst_text(emitter *em, uint32_t i, const kir_section *here)
{
    const kir_inst *in = &em->k->insts.p[i];
    bool lanes = here && here->kind != KIR_ROW;
    if (in->op == KIR_STORE) { store_text(em, i, lanes, here); return; }
    line_start(em);
    if (in->op == KIR_ACC) {
        OUT("acc%u[lane] += ", i);
        ref_text(em, in->ref[0], here);
        OUT(";\n");
        return;
    }
    if (in->op == KIR_REDUCE) {
        const char *op = in->red == IR_RED_SUM ? " + " : in->red == IR_RED_PROD ? " * "
                       : in->red == IR_RED_ANY ? " | " : " & ";
        if (in->red == IR_RED_ARGMAX) {
            OUT("if (");
            ref_text(em, in->ref[0], here);
            OUT(" > top%u) { top%u = ", i, i);
            ref_text(em, in->ref[0], here);
            OUT("; v%u = lane; }\n", i);
        } else if (in->red == IR_RED_MAX || in->red == IR_RED_MIN) {
            OUT("v%u = v%u %c ", i, i, in->red == IR_RED_MAX ? '<' : '>');
            ref_text(em, in->ref[0], here);
            OUT(" ? ");
            ref_text(em, in->ref[0], here);
            OUT(" : v%u;\n", i);
        } else {
            OUT("v%u = v%u%s", i, i, op);
            ref_text(em, in->ref[0], here);
            OUT(";\n");
        }
        return;
    }
    OUT("const %s v%u = ", value_ctype(in->dtype), i);
    switch (in->op) {
    case KIR_CONST: literal(em, in->dtype, in->value); break;
    case KIR_INDEX:
        OUT("(int32_t)(");
        cpu_index_text(em->out, em->ir, in->ix, dim_in_scope, em);
        OUT(")");
        break;
    case KIR_ITER: OUT("(int32_t)x->iter[%u]", in->arg); break;
    case KIR_STEP: OUT("(int32_t)x->step"); break;
    case KIR_SCALAR:
        OUT("(%s)x->scalars[%u]", value_ctype(in->dtype), cg_scalar_index(em->m, in->name));
        break;
    case KIR_LOAD: load_text(em, i, lanes); break;
    case KIR_FN: fn_call(em, in, here); break;
    case KIR_CONVERT:
        if (in->dtype == DFM_BOOL) OUT("(0 != ");
        else OUT("(%s)(", value_ctype(in->dtype));
        ref_text(em, in->ref[0], here);
        OUT(")");
        break;
    case KIR_ROUND:
        OUT("round_bf16(");
        ref_text(em, in->ref[0], here);
        OUT(")");
        break;
    case KIR_RANDOM: draw_text(em, in, here); break;
    default: DFM_ASSERT(!"kernel instruction");
    }
    OUT(";\n");
    for (uint32_t j = 0; j < em->k->indirect.n; j++)
        if (em->k->indirect.p[j].value.i == i)
            em->dim_text[em->k->indirect.p[j].dim.i] = dfm_fmt(em->a, "v%u", i);
    if (in->keep) LINE("keep%u[lane] = v%u;", i, i);
}

/* -- sections ------------------------------------------------------------------------------------- */

/* A simd reduction clause needs plain accumulation; argmax keeps its loop scalar. */
static bool simd_clauses(emitter *em, const kir_section *s, dfm_sb *clauses)
{
    const struct { ir_reducer r; const char *op; } ops[] = {
        {IR_RED_SUM, "+"}, {IR_RED_PROD, "*"}, {IR_RED_MAX, "max"},
        {IR_RED_MIN, "min"}, {IR_RED_ANY, "|"}, {IR_RED_ALL, "&"}};
    bool ok = true;
    for (uint32_t i = s->first; i < s->first + s->n; i++) {
        const kir_inst *in = &em->k->insts.p[i];
        if (in->op != KIR_REDUCE) continue;
        if (in->red == IR_RED_ARGMAX) ok = false;
        for (size_t o = 0; o < DFM_LEN(ops); o++)
            if (ops[o].r == in->red) dfm_sb_printf(clauses, " reduction(%s:v%u)", ops[o].op, i);
    }
    return ok;
}

static void lane_section(emitter *em, const kir_section *s)
{
    const kir_kernel *k = em->k;
    dfm_sb clauses = dfm_sb_make(em->a);
    bool simd = simd_clauses(em, s, &clauses);
    for (uint32_t i = s->first; i < s->first + s->n; i++) {
        const kir_inst *in = &k->insts.p[i];
        if (in->op == KIR_REDUCE) {
            LINE("%s v%u = %s;", value_ctype(in->dtype), i,
                 in->red == IR_RED_ARGMAX ? "0" : reducer_start(in->red, in->dtype));
            if (in->red == IR_RED_ARGMAX) LINE("float top%u = -INFINITY;", i);
        }
        if (in->op != KIR_LOAD && in->op != KIR_STORE) continue;
        line_start(em);
        OUT("%s%s *const q%u = a%u + (", in->op == KIR_LOAD ? "const " : "",
            cpu_ctype(k->args.p[in->arg].dtype), i, in->arg);
        /* An indirect row value is in scope; an indirect lane value is in the lane part. */
        row_address(em, i);
        OUT(");\n");
    }
    for (uint32_t g = 0; g < em->n_groups; g++) {
        bool inner = g + 1 == em->n_groups;
        if (inner && simd) LINE("_Pragma(\"omp simd%s\")", dfm_sb_cstr(&clauses));
        LINE("for (int l%u = 0; l%u < %" PRId64 "; l%u++) {", g, g, em->group_extent[g], g);
        em->indent++;
    }
    line_start(em);
    OUT("const int lane = 0");
    for (uint32_t g = 0; g < em->n_groups; g++) {
        int64_t after = 1;
        for (uint32_t h = g + 1; h < em->n_groups; h++) after *= em->group_extent[h];
        OUT(" + l%u * %" PRId64, g, after);
    }
    OUT(";\n");
    LINE("(void)lane;");
    for (uint32_t i = s->first; i < s->first + s->n; i++) inst_text(em, i, s);
    for (uint32_t g = 0; g < em->n_groups; g++) {
        em->indent--;
        LINE("}");
    }
}

static void declare_arrays(emitter *em, int64_t lanes)
{
    const kir_kernel *k = em->k;
    for (uint32_t i = 1; i < k->insts.n; i++) {
        const kir_inst *in = &k->insts.p[i];
        if (in->op == KIR_ACC)
            LINE("%s acc%u[%" PRId64 "] __attribute__((aligned(64))) = {0};",
                 value_ctype(in->dtype), i, lanes);
        else if (in->keep && em->level[i] == 2 && in->op != KIR_REDUCE)
            LINE("%s keep%u[%" PRId64 "] __attribute__((aligned(64)));", value_ctype(in->dtype), i,
                 lanes);
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

static void body(emitter *em)
{
    const kir_kernel *k = em->k;
    int64_t kept = 1, rest = 1, lanes = kir_lanes(em->ir, k);
    for (uint32_t r = 0; r < k->n_rows; r++)
        *(r < k->n_keep ? &kept : &rest) *= ir_extent(em->ir, k->rows[r]);
    int64_t parts = (rest + k->block - 1) / k->block;
    bool parallel = kept * parts > 1 && kept * rest * lanes >= MIN_PARALLEL_WORK;
    if (parallel) LINE("_Pragma(\"omp parallel for schedule(static)\")");
    LINE("for (int64_t block = 0; block < %" PRId64 "; block++) {", kept * parts);
    em->indent++;
    LINE("const int64_t kept = block / %" PRId64 ", part = block %% %" PRId64 ";", parts, parts);
    LINE("(void)kept;");
    split_rows(em, "kept", 0, k->n_keep);
    declare_arrays(em, lanes);
    LINE("const int64_t end = part * %" PRId64 " + %" PRId64 " < %" PRId64 " ? part * %" PRId64
         " + %" PRId64 " : %" PRId64 ";", k->block, k->block, rest, k->block, k->block, rest);
    LINE("for (int64_t row = part * %" PRId64 "; row < end; row++) {", k->block);
    em->indent++;
    split_rows(em, "row", k->n_keep, k->n_rows);
    for (uint32_t s = 0; s < k->sections.n; s++) {
        const kir_section *sec = &k->sections.p[s];
        if (sec->kind == KIR_PASS) lane_section(em, sec);
        if (sec->kind == KIR_ROW)
            for (uint32_t i = sec->first; i < sec->first + sec->n; i++) inst_text(em, i, sec);
    }
    em->indent--;
    LINE("}");
    for (uint32_t s = 0; s < k->sections.n; s++)
        if (k->sections.p[s].kind == KIR_FLUSH) lane_section(em, &k->sections.p[s]);
    em->indent--;
    LINE("}");
}

void cpu_emit_kernel(dfm_sb *out, const kir_module *m, const kir_kernel *k, const char *symbol)
{
    dfm_arena *a = out->arena;
    emitter e = {.out = out, .a = a, .m = m, .ir = m->ir, .k = k}, *em = &e;
    em->acc = dfm_new_n(a, access, k->insts.n);
    em->level = dfm_new_n(a, uint8_t, k->insts.n);
    em->dim_text = dfm_new_n(a, const char *, m->ir->dims.n);
    for (uint32_t r = 0; r < k->n_rows; r++) em->dim_text[k->rows[r].i] = dfm_fmt(a, "r%u", r);
    if (k->block_dim.i) em->dim_text[k->block_dim.i] = "part";
    assign_levels(em);
    analyse_accesses(em);
    merge_lanes(em);

    OUT("\n/* %s */\n", dfm_name_str(m->ir->names, k->name));
    LINE("void %s(const kctx *x, void *const *p)", symbol);
    LINE("{");
    em->indent++;
    LINE("(void)x;");
    for (uint32_t i = 0; i < k->args.n; i++) {
        LINE("%s *const a%u = p[%u];", cpu_ctype(k->args.p[i].dtype), i, i);
        LINE("(void)a%u;", i);
    }
    uint32_t first = k->sections.n ? k->sections.p[0].first : k->insts.n;
    for (uint32_t i = 1; i < first; i++) {
        inst_text(em, i, NULL);
        LINE("(void)v%u;", i);
    }
    body(em);
    em->indent--;
    LINE("}");
}

/* cpu_value.c - one instruction of a kernel as C. */
#include "codegen/cpu/cpu_kernel.h"

#include <math.h>

const char *cpu_name(const emitter *em, const char *letter, uint32_t inst)
{
    if (em->tile == 1 || !em->varies[inst]) return dfm_fmt(em->a, "%s%u", letter, inst);
    return dfm_fmt(em->a, "%s%u_%d", letter, inst, em->row);
}

const char *cpu_value_ctype(dfm_dtype d)
{
    return d == DFM_F32 ? "float" : "int32_t";
}

bool cpu_fn_is_dear(ir_fn fn)
{
    switch (fn) {
    case IR_FN_EXP: case IR_FN_EXPM1: case IR_FN_LOG: case IR_FN_LOG1P: case IR_FN_SIN:
    case IR_FN_COS: case IR_FN_TANH: case IR_FN_ERF: case IR_FN_SIGMOID: case IR_FN_POW:
        return true;
    default: return false;
    }
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

/* A value as seen from the instruction being emitted. */
static void ref_text(emitter *em, kir_ref r) { OUT("%s", cpu_value_at(em, r)); }

static void fn_call(emitter *em, const kir_inst *in)
{
    bool is_float = kir_at(em->k, in->ref[in->fn == IR_FN_SELECT ? 1 : 0])->dtype == DFM_F32;
    for (const char *t = fn_text(in->fn, is_float); *t; t++) {
        if (*t == '%' && t[1] >= 'a' && t[1] <= 'c') ref_text(em, in->ref[*++t - 'a']);
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
            cpu_index_text(em->out, em->ir, g->e, cpu_dim_in_scope, em);
            OUT(") >= %" PRId64, g->lo);
        }
        if (high) {
            OUT("%s(", low ? " & " : "");
            if (low) OUT("(");
            cpu_index_text(em->out, em->ir, g->e, cpu_dim_in_scope, em);
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
        OUT("%s[", cpu_name(em, "q", i));
        cpu_lane_address(em, i);
    } else {
        OUT("a%u[", in->arg);
        cpu_row_address(em, i);
    }
    OUT("])");
    if (in->n_conds) {
        OUT(" : ");
        literal(em, in->dtype, in->value);
    }
}

static void store_text(emitter *em, uint32_t i, bool lanes)
{
    const kir_inst *in = &em->k->insts.p[i];
    dfm_dtype d = em->k->args.p[in->arg].dtype;
    cpu_line_start(em);
    if (in->n_conds) {
        OUT("if (");
        guard_text(em, in);
        OUT(") ");
    }
    if (lanes) {
        OUT("%s[", cpu_name(em, "q", i));
        cpu_lane_address(em, i);
    } else {
        OUT("a%u[", in->arg);
        cpu_row_address(em, i);
    }
    bool rounded = em->k->insts.p[in->ref[0].i].op == KIR_ROUND;
    const char *bf16 = rounded ? "rounded_to_bf16(" : "to_bf16(";
    OUT("] = %s", d == DFM_BF16 ? bf16 : d == DFM_F16 ? "to_f16(" : d == DFM_BOOL ? "0 != (" : "(");
    ref_text(em, in->ref[0]);
    OUT(");\n");
}

static void draw_text(emitter *em, const kir_inst *in)
{
    const ir_random *r = in->random;
    const char *what = r->dist == IR_NORMAL ? "normal"
                       : r->dist == IR_UNIFORM ? "uniform" : "randint";
    OUT("dfm_draw_%s(x->seed, %" PRIu64 "u, (uint32_t)x->step, ", what, r->stream);
    if (in->ref[1].i) {
        OUT("(uint32_t)(x->first_sample + ");
        ref_text(em, in->ref[1]);
        OUT("), ");
    } else
        OUT("0u, ");
    if (in->ref[2].i) {
        OUT("(uint32_t)");
        ref_text(em, in->ref[2]);
    } else {
        for (uint32_t j = 0; j < in->n_iters; j++) OUT("dfm_draw_loop(");
        OUT("0u");
        for (uint32_t j = 0; j < in->n_iters; j++) OUT(", (uint32_t)x->iter[%u])", j);
    }
    OUT(", (uint32_t)");
    ref_text(em, in->ref[0]);
    if (r->dist == IR_RANDINT) OUT(", %" PRId64 ", %" PRId64, r->lo, r->hi);
    OUT(")");
}

const char *cpu_reducer_start(ir_reducer r, dfm_dtype d)
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

bool cpu_watches_nan(const kir_inst *in)
{
    return in->op == KIR_REDUCE && in->dtype == DFM_F32 &&
           (in->red == IR_RED_MAX || in->red == IR_RED_MIN);
}

static void reduce_text(emitter *em, uint32_t i)
{
    const kir_inst *in = &em->k->insts.p[i];
    const char *v = cpu_name(em, "v", i), *top = cpu_name(em, "top", i);
    const char *op = in->red == IR_RED_SUM ? " + " : in->red == IR_RED_PROD ? " * "
                   : in->red == IR_RED_ANY ? " | " : " & ";
    if (in->red == IR_RED_ARGMAX) {
        OUT("if (");
        ref_text(em, in->ref[0]);
        OUT(" > %s) { %s = ", top, top);
        ref_text(em, in->ref[0]);
        OUT("; %s = lane; }\n", v);
    } else if (in->red == IR_RED_MAX || in->red == IR_RED_MIN) {
        OUT("%s = %s %c ", v, v, in->red == IR_RED_MAX ? '<' : '>');
        ref_text(em, in->ref[0]);
        OUT(" ? ");
        ref_text(em, in->ref[0]);
        OUT(" : %s;\n", v);
        if (!cpu_watches_nan(in)) return;
        cpu_line_start(em);
        OUT("%s |= ", cpu_name(em, "nan", i));
        ref_text(em, in->ref[0]);
        OUT(" != ");
        ref_text(em, in->ref[0]);
        OUT(";\n");
    } else {
        OUT("%s = %s%s", v, v, op);
        ref_text(em, in->ref[0]);
        OUT(";\n");
    }
}

void cpu_inst_text(emitter *em, uint32_t i, const kir_section *here)
{
    em->here = here;
    const kir_inst *in = &em->k->insts.p[i];
    bool lanes = here && here->kind != KIR_ROW;
    if (in->op == KIR_STORE) { store_text(em, i, lanes); return; }
    cpu_line_start(em);
    if (in->op == KIR_ACC) {
        OUT("acc%u[lane] += ", i);
        ref_text(em, in->ref[0]);
        OUT(";\n");
        return;
    }
    if (in->op == KIR_REDUCE) {
        reduce_text(em, i);
        return;
    }
    OUT("const %s %s = ", cpu_value_ctype(in->dtype), cpu_name(em, "v", i));
    switch (in->op) {
    case KIR_CONST: literal(em, in->dtype, in->value); break;
    case KIR_INDEX:
        OUT("(int32_t)(");
        cpu_index_text(em->out, em->ir, in->ix, cpu_dim_in_scope, em);
        OUT(")");
        break;
    case KIR_ITER: OUT("(int32_t)x->iter[%u]", in->arg); break;
    case KIR_STEP: OUT("(int32_t)x->step"); break;
    case KIR_SCALAR:
        OUT("(%s)x->scalars[%u]", cpu_value_ctype(in->dtype), cg_scalar_index(em->m, in->name));
        break;
    case KIR_LOAD: load_text(em, i, lanes); break;
    case KIR_FN: fn_call(em, in); break;
    case KIR_CONVERT:
        if (in->dtype == DFM_BOOL) OUT("(0 != ");
        else OUT("(%s)(", cpu_value_ctype(in->dtype));
        ref_text(em, in->ref[0]);
        OUT(")");
        break;
    case KIR_ROUND:
        OUT("round_bf16(");
        ref_text(em, in->ref[0]);
        OUT(")");
        break;
    case KIR_RANDOM: draw_text(em, in); break;
    default: DFM_ASSERT(!"kernel instruction");
    }
    OUT(";\n");
    if (in->keep) LINE("%s[lane] = %s;", cpu_name(em, "keep", i), cpu_name(em, "v", i));
}

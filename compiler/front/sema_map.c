/* sema_map.c - scalar functions on whatever mix of constants, tables and tensors.
 *
 * Weak numbers (literals, constants, dims, the index of a repeat) stay numbers among themselves
 * and take the element type of the tensor that they meet. Tensors are aligned by the names of
 * their dims; the result's dims are the union.
 */
#include <math.h>
#include <string.h>

#include "compiler/front/sema.h"

/* -- constants -------------------------------------------------------------------------------- */

static bool int_result(ir_fn fn, const int64_t *x, int64_t *out)
{
    switch (fn) {
    case IR_FN_ADD: return !__builtin_add_overflow(x[0], x[1], out);
    case IR_FN_SUB: return !__builtin_sub_overflow(x[0], x[1], out);
    case IR_FN_MUL: return !__builtin_mul_overflow(x[0], x[1], out);
    case IR_FN_NEG: return !__builtin_sub_overflow((int64_t)0, x[0], out);
    case IR_FN_MIN: return *out = x[0] < x[1] ? x[0] : x[1], true;
    case IR_FN_MAX: return *out = x[0] > x[1] ? x[0] : x[1], true;
    case IR_FN_ABS: return *out = x[0] < 0 ? -x[0] : x[0], x[0] != INT64_MIN;
    case IR_FN_SIGN: return *out = (x[0] > 0) - (x[0] < 0), true;
    case IR_FN_FLOOR: case IR_FN_CEIL: case IR_FN_ROUND: return *out = x[0], true;
    case IR_FN_MOD:
        if (x[1] == 0 || x[1] == -1) return *out = 0, x[1] != 0;
        *out = x[0] % x[1];
        if (*out != 0 && (*out < 0) != (x[1] < 0)) *out += x[1];
        return true;
    case IR_FN_POW: {
        if (x[1] < 0 || x[1] > 63) return false;
        *out = 1;
        for (int64_t i = 0; i < x[1]; i++)
            if (__builtin_mul_overflow(*out, x[0], out)) return false;
        return true;
    }
    default: return false;
    }
}

static sema_value of_bools(ir_fn fn, const sema_value *a, uint32_t n)
{
    double x = a[0].u.b, y = n > 1 ? a[1].u.b : 0;
    return sema_bool(ir_fn_eval(fn, DFM_BOOL, x, y, 0) != 0);
}

/* Numbers only. False if the mix of kinds has no meaning. */
static bool of_numbers(ir_fn fn, const sema_value *a, uint32_t n, sema_value *out)
{
    double x[3] = {0};
    int64_t k[3] = {0};
    bool ints = true, bools = true;
    if (fn == IR_FN_SELECT) {
        if (a[0].kind != SV_BOOL) return false;
        *out = a[0].u.b ? a[1] : a[2];
        return true;
    }
    for (uint32_t i = 0; i < n; i++) {
        bools &= a[i].kind == SV_BOOL;
        if (a[i].kind == SV_BOOL) continue;
        if (!sema_is_number(a[i], &x[i])) return false;
        ints &= sema_is_int(a[i], &k[i]);
    }
    ir_fn_class cls = ir_fn_class_of(fn);
    if (bools && (cls == IR_LOGIC || fn == IR_FN_EQ || fn == IR_FN_NE))
        return *out = of_bools(fn, a, n), true;
    for (uint32_t i = 0; i < n; i++)
        if (a[i].kind == SV_BOOL) return false;
    if (cls == IR_LOGIC) return false;
    int64_t r;
    if (ints && cls != IR_CMP && int_result(fn, k, &r)) {
        *out = sema_int(r);
        return true;
    }
    double y = ir_fn_eval(fn, DFM_F64, x[0], x[1], x[2]);
    *out = cls == IR_CMP ? sema_bool(y != 0) : sema_float(y);
    return true;
}

/* -- tables ------------------------------------------------------------------------------------ */

static sema_value of_tables(sema *s, ir_fn fn, const sema_value *a, uint32_t n)
{
    const sema_table *first = NULL;
    bool is_int = true;
    for (uint32_t i = 0; i < n; i++) {
        if (a[i].kind != SV_TABLE) is_int &= a[i].kind != SV_FLOAT;
        else if (!first) first = a[i].u.tab;
        if (a[i].kind == SV_TABLE) is_int &= a[i].u.tab->is_int;
    }
    double *data = dfm_new_n(s->arena, double, first->n);
    for (int64_t k = 0; k < first->n; k++) {
        double x[3] = {0};
        for (uint32_t i = 0; i < n; i++)
            if (a[i].kind == SV_TABLE) x[i] = a[i].u.tab->data[k];
            else sema_is_number(a[i], &x[i]);
        data[k] = ir_fn_eval(fn, DFM_F64, x[0], x[1], x[2]);
        is_int &= data[k] == floor(data[k]);
    }
    sema_table *t = dfm_new(s->arena, sema_table);
    *t = (sema_table){.frame = first->frame, .data = data, .n = first->n};
    t->is_int = is_int && fn != IR_FN_DIV && fn != IR_FN_POW;
    return (sema_value){.kind = SV_TABLE, .u.tab = t};
}

/* One table at least, all of one repeat, otherwise numbers, and a function with a number. */
static bool all_tables(ir_fn fn, const sema_value *a, uint32_t n)
{
    const sema_frame *f = NULL;
    double x;
    if (ir_fn_class_of(fn) != IR_ARITH && ir_fn_class_of(fn) != IR_FLOAT) return false;
    for (uint32_t i = 0; i < n; i++) {
        if (a[i].kind == SV_TABLE && !f) f = a[i].u.tab->frame;
        if (a[i].kind == SV_TABLE ? a[i].u.tab->frame != f : !sema_is_number(a[i], &x))
            return false;
    }
    return f != NULL;
}

/* -- tensors ----------------------------------------------------------------------------------- */

static sema_value wrong_dtype(sema *s, const sema_value *args, uint32_t n, dfm_loc loc,
                              const char *spelling, const char *need)
{
    diag *d = sema_error(s, E0312, loc, "`%s` takes %s", spelling, need);
    for (uint32_t i = 0; i < n; i++)
        if (dfm_loc_some(args[i].loc))
            diag_label(d, args[i].loc, "%s", sema_value_text(s, args[i]));
    return sema_poison();
}

/* The element type that operands first..n share: float if any is, i32 if all are. */
static dfm_dtype common_dtype(sema *s, ir_fn fn, const sema_value *a, uint32_t first, uint32_t n)
{
    dfm_dtype dt = DFM_DT_NONE;
    bool float_weak = false, any_bool = false, any_number = false;
    for (uint32_t i = first; i < n; i++) {
        dfm_dtype t = sema_dtype_of(s, a[i]);
        any_bool |= t == DFM_BOOL || a[i].kind == SV_BOOL;
        any_number |= (t != DFM_BOOL && t != DFM_DT_NONE) || a[i].kind == SV_INT ||
                      a[i].kind == SV_FLOAT || a[i].kind == SV_DIM || a[i].kind == SV_TABLE;
        float_weak |= a[i].kind == SV_FLOAT || (a[i].kind == SV_TABLE && !a[i].u.tab->is_int);
        if (t == DFM_DT_NONE || t == DFM_BOOL) continue;
        if (dt == DFM_DT_NONE || dt == t) dt = t;
        else if (dfm_dtype_is_float(dt) && dfm_dtype_is_float(t))
            dt = dt == DFM_F64 || t == DFM_F64 ? DFM_F64 : DFM_F32;
        else dt = dfm_dtype_is_float(dt) ? dt : t;
    }
    if (any_bool) return any_number ? DFM_DT_COUNT : DFM_BOOL;
    if (dt == DFM_DT_NONE) dt = float_weak ? DFM_F32 : DFM_I32;
    bool to_float = float_weak || ir_fn_class_of(fn) == IR_FLOAT || fn == IR_FN_DIV;
    if (to_float && !dfm_dtype_is_float(dt)) dt = DFM_F32;
    if (!dfm_dtype_is_float(dt)) dt = DFM_I32;
    return dt;
}

static ir_val operand(sema *s, sema_value v, dfm_dtype dt, dfm_loc loc)
{
    ir_val x = sema_as_val(s, v, dt, dfm_loc_some(v.loc) ? v.loc : loc);
    if (!x.i) return x;
    dfm_dtype from = ir_type_of(s->m, ir_type_at(s->frame->g, x))->dtype;
    bool both_float = dfm_dtype_is_float(from) && dfm_dtype_is_float(dt);
    return from == dt || both_float ? x : ir_cast(sema_at(s, loc), x, dt);
}

/* -- dims -------------------------------------------------------------------------------------- */

static bool subset(sema *s, ir_type a, ir_type b)
{
    const ir_type_info *ti = ir_type_of(s->m, a);
    for (uint32_t i = 0; i < ti->rank; i++)
        if (ir_dim_at(s->m, b, ti->dims[i]) < 0) return false;
    return true;
}

/* Two tensors meet if one has all dims of the other, or if the last dim of one is in the other. */
static bool meet(sema *s, ir_fn fn, ir_type a, ir_type b, ir_dim *out_a, ir_dim *out_b)
{
    if (subset(s, a, b) || subset(s, b, a)) return true;
    const ir_type_info *ta = ir_type_of(s->m, a), *tb = ir_type_of(s->m, b);
    *out_a = ta->dims[ta->rank - 1];
    *out_b = tb->dims[tb->rank - 1];
    if (ir_dim_at(s->m, b, *out_a) >= 0 || ir_dim_at(s->m, a, *out_b) >= 0) return true;
    bool share = false;
    for (uint32_t i = 0; i < ta->rank; i++) share |= ir_dim_at(s->m, b, ta->dims[i]) >= 0;
    return !share && fn == IR_FN_MUL;
}

static const char *dim_value_note(sema *s, const sema_dim *a, const sema_dim *b)
{
    const char *v = s->o->variant;
    return sema_fmt(s, "%s = %lld, %s = %lld%s%s%s", sema_dim_text(s, a), (long long)a->value,
                    sema_dim_text(s, b), (long long)b->value, v ? " in variant \"" : "",
                    v ? v : "", v ? "\"" : "");
}

static uint32_t union_rank(const ir_module *m, ir_type a, ir_type b)
{
    const ir_type_info *ti = ir_type_of(m, b);
    uint32_t n = ir_type_of(m, a)->rank;
    for (uint32_t i = 0; i < ti->rank; i++) n += ir_dim_at(m, a, ti->dims[i]) < 0;
    return n;
}

static void report_dims(sema *s, ir_dim left, ir_dim right, sema_value a, sema_value b,
                        dfm_loc op_loc, const char *spelling)
{
    const sema_dim *da = sema_dim_of(s, left), *db = sema_dim_of(s, right);
    const char *na = sema_dim_text(s, da), *nb = sema_dim_text(s, db);
    diag *d = sema_error(s, E0304, op_loc, "dims `%s` and `%s` do not meet in `%s`", na, nb,
                         spelling);
    diag_label(d, a.loc, "%s", sema_value_text(s, a));
    diag_label(d, b.loc, "%s", sema_value_text(s, b));
    diag_note(d, "%s", dim_value_note(s, da, db));
    const char *text = dfm_loc_some(b.loc) ? diag_source(s->diag, s->arena, b.loc) : "x";
    if (strlen(text) > 24 || strchr(text, '\n')) text = "...";
    bool apart = a.kind == SV_TENSOR && b.kind == SV_TENSOR &&
                 union_rank(s->m, sema_type_of(s, a), sema_type_of(s, b)) ==
                     ir_type_of(s->m, sema_type_of(s, a))->rank +
                         ir_type_of(s->m, sema_type_of(s, b))->rank;
    if (da->value == db->value)
        diag_help(d, "if they mean the same: `rename(%s, %s -> %s)`", text, nb, na);
    else if (apart)
        diag_help(d, "if all pairs are meant, say so in an `op`: `y[i, j] = a[i] %s b[j]`",
                  spelling);
    else
        diag_help(d, "bring one to the other, for example `linear(%s, %s -> %s) as name`", text, nb,
                  na);
}

static bool align(sema *s, ir_fn fn, const sema_value *args, ir_val *x, uint32_t n,
                  dfm_loc op_loc, const char *spelling)
{
    ir_dim all[SEMA_MAX_ARGS];
    uint32_t n_all = 0;
    for (uint32_t i = 0; i < n; i++) {
        const ir_type_info *ti = ir_type_of(s->m, ir_type_at(s->frame->g, x[i]));
        for (uint32_t k = 0; k < ti->rank; k++) all[n_all++] = ti->dims[k];
    }
    for (uint32_t i = 0; i < n; i++) x[i] = sema_absorb_ragged(s, x[i], all, n_all, op_loc);
    ir_type sum = ir_type_at(s->frame->g, x[0]);
    for (uint32_t i = 1; i < n; i++) {
        ir_type t = ir_type_at(s->frame->g, x[i]);
        ir_dim a, b;
        bool in_op = s->op && s->op_act == s->act;            /* there every dim is an index */
        if (!in_op && !meet(s, fn, sum, t, &a, &b)) {
            report_dims(s, a, b, args[i - 1], args[i], op_loc, spelling);
            return false;
        }
        if (union_rank(s->m, sum, t) > IR_MAX_RANK) {
            sema_error(s, E0311, op_loc, "a tensor has at most %d dims", IR_MAX_RANK);
            return false;
        }
        sum = ir_union(s->m, DFM_F32, sum, t);
    }
    return true;
}

static sema_value of_tensors(sema *s, ir_fn fn, const sema_value *a, uint32_t n, dfm_loc loc,
                             dfm_loc op_loc, const char *spelling)
{
    ir_val x[3];
    ir_fn_class cls = ir_fn_class_of(fn);
    uint32_t first = cls == IR_SELECT ? 1 : 0;
    dfm_dtype dt = common_dtype(s, fn, a, first, n);
    if (dt == DFM_DT_COUNT) return wrong_dtype(s, a, n, op_loc, spelling, "numbers, or bools only");
    if (cls == IR_LOGIC && dt != DFM_BOOL)
        return wrong_dtype(s, a, n, op_loc, spelling, "conditions (bool)");
    if (cls != IR_LOGIC && cls != IR_SELECT && dt == DFM_BOOL)
        return wrong_dtype(s, a, n, op_loc, spelling, "numbers, not conditions (bool)");
    if (first) {
        bool is_bool = a[0].kind == SV_BOOL || sema_dtype_of(s, a[0]) == DFM_BOOL;
        if (!is_bool)
            return wrong_dtype(s, a, 1, op_loc, spelling, "a condition (bool) as first argument");
        x[0] = sema_as_val(s, a[0], DFM_BOOL, loc);
    }
    for (uint32_t i = first; i < n; i++) {
        x[i] = operand(s, a[i], dt, loc);
        if (!x[i].i) return sema_poison();
    }
    if (!align(s, fn, a, x, n, op_loc, spelling)) return sema_poison();
    ir_builder *b = sema_at(s, loc);
    return sema_tensor(s, n == 1 ? ir_map1(b, fn, x[0]) : n == 2 ? ir_map2(b, fn, x[0], x[1])
                                                               : ir_map3(b, fn, x[0], x[1], x[2]));
}

/* -- the whole --------------------------------------------------------------------------------- */

sema_value sema_map(sema *s, ir_fn fn, const sema_value *args, uint32_t n, dfm_loc loc,
                    dfm_loc op_loc, const char *spelling)
{
    bool tensors = false;
    sema_value r;
    for (uint32_t i = 0; i < n; i++) {
        if (sema_bad(args[i])) return args[i];
        tensors |= args[i].kind == SV_TENSOR || args[i].kind == SV_TABLE;
        bool scalar = args[i].kind == SV_TENSOR || args[i].kind == SV_TABLE ||
                      args[i].kind == SV_INT || args[i].kind == SV_FLOAT ||
                      args[i].kind == SV_BOOL || args[i].kind == SV_DIM;
        if (scalar) continue;
        diag *d = sema_error(s, E0311, dfm_loc_some(args[i].loc) ? args[i].loc : op_loc,
                             "`%s` needs numbers or tensors, not %s", spelling,
                             sema_value_text(s, args[i]));
        if (args[i].kind == SV_TUPLE)
            diag_help(d, "a call with several results is unpacked first: `a, b = f(x)`");
        return sema_poison();
    }
    if (!tensors) {
        if (of_numbers(fn, args, n, &r)) {
            r.loc = loc;
            return r;
        }
        return wrong_dtype(s, args, n, op_loc, spelling, "numbers, or conditions, not a mix");
    }
    if (all_tables(fn, args, n)) r = of_tables(s, fn, args, n);
    else r = of_tensors(s, fn, args, n, loc, op_loc, spelling);
    r.loc = loc;
    return r;
}

sema_value sema_cast(sema *s, sema_value v, dfm_dtype dt, dfm_loc loc)
{
    double x;
    if (sema_bad(v)) return v;
    if (v.kind == SV_BOOL) v = sema_int(v.u.b);
    if (sema_is_number(v, &x) && !dfm_dtype_is_float(dt) && dt != DFM_BOOL)
        v = sema_int((int64_t)dfm_round_to(dt, x));
    ir_val y = sema_as_val(s, v, dt, loc);
    if (!y.i) return sema_poison();
    dfm_dtype from = ir_type_of(s->m, ir_type_at(s->frame->g, y))->dtype;
    if (dt == DFM_BOOL && from != DFM_BOOL)
        return wrong_dtype(s, &v, 1, loc, "bool(...)", "a condition; compare with 0 instead");
    sema_value r = sema_tensor(s, ir_cast(sema_at(s, loc), y, dt));
    r.loc = loc;
    return r;
}

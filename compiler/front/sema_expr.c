/* sema_expr.c - expressions: literals, names, operators, indexing, fields; calls go on. */
#include <string.h>

#include "compiler/front/sema.h"

/* -- operators --------------------------------------------------------------------------------- */

static ir_fn fn_of(ast_op op, bool *swap)
{
    *swap = op == AST_OP_GT || op == AST_OP_GE;
    switch (op) {
    case AST_OP_OR: return IR_FN_OR;
    case AST_OP_AND: return IR_FN_AND;
    case AST_OP_NOT: return IR_FN_NOT;
    case AST_OP_EQ: return IR_FN_EQ;
    case AST_OP_NE: return IR_FN_NE;
    case AST_OP_LT: case AST_OP_GT: return IR_FN_LT;
    case AST_OP_LE: case AST_OP_GE: return IR_FN_LE;
    case AST_OP_ADD: return IR_FN_ADD;
    case AST_OP_SUB: return IR_FN_SUB;
    case AST_OP_MUL: return IR_FN_MUL;
    case AST_OP_DIV: return IR_FN_DIV;
    case AST_OP_MOD: return IR_FN_MOD;
    case AST_OP_NEG: return IR_FN_NEG;
    case AST_OP_POW: return IR_FN_POW;
    default: return IR_FN_NONE;
    }
}

static bool is_arith(ast_op op)
{
    return op == AST_OP_ADD || op == AST_OP_SUB || op == AST_OP_MUL || op == AST_OP_DIV ||
           op == AST_OP_FDIV || op == AST_OP_MOD || op == AST_OP_POW;
}

/* Whole numbers with a dim among them, or in a dim expression: stay symbolic. */
static bool of_dims(sema *s, ast_op op, sema_value a, sema_value b, dfm_loc loc, sema_value *out)
{
    int64_t x, y;
    if (!sema_is_int(a, &x) || !sema_is_int(b, &y) || !is_arith(op)) return false;
    if (a.kind == SV_INT && b.kind == SV_INT && !s->in_dim_expr && op != AST_OP_FDIV) return false;
    if (op == AST_OP_DIV && !s->in_dim_expr) {
        bool fixed = (a.kind == SV_INT || a.u.dim->fixed) && (b.kind == SV_INT || b.u.dim->fixed);
        if (!fixed || y == 0 || x % y != 0) return false;
    }
    if (op == AST_OP_POW && (y < 0 || !s->in_dim_expr)) return false;
    const sema_dim *da = sema_need_dim(s, a, loc, "an operand");
    const sema_dim *db = sema_need_dim(s, b, loc, "an operand");
    const sema_dim *r = da && db ? sema_dim_binary(s, op, da, db, loc) : NULL;
    *out = sema_of_dim(r);
    if (r && a.kind == SV_INT && b.kind == SV_INT) *out = sema_int(r->value);
    return true;
}

static bool same_values(sema_value a, sema_value b, bool *out)
{
    if (a.kind == SV_STRING && b.kind == SV_STRING)
        return *out = strcmp(a.u.s, b.u.s) == 0, true;
    if (a.kind != SV_TUPLE || b.kind != SV_TUPLE) return false;
    *out = a.u.list.n == b.u.list.n;
    for (uint32_t i = 0; *out && i < a.u.list.n; i++) {
        sema_value x = a.u.list.p[i], y = b.u.list.p[i];
        double p, q;
        if (same_values(x, y, out)) continue;
        *out = sema_is_number(x, &p) && sema_is_number(y, &q) && p == q;
    }
    return true;
}

/* a // b on values: whole numbers round down; floats are divided and floored. */
static sema_value floor_quotient(sema *s, const sema_value *v, dfm_loc loc, dfm_loc op_loc)
{
    bool ints = true;
    for (int i = 0; i < 2; i++) {
        int64_t k;
        bool tensor_int = v[i].kind == SV_TENSOR && !dfm_dtype_is_float(sema_dtype_of(s, v[i]));
        ints &= tensor_int || sema_is_int(v[i], &k);
    }
    if (ints) {
        ir_val x = sema_as_val(s, v[0], DFM_I32, loc), y = sema_as_val(s, v[1], DFM_I32, loc);
        if (!x.i || !y.i) return sema_poison();
        ir_builder *b = sema_at(s, loc);
        return sema_tensor(s,
                           ir_map2(b, IR_FN_DIV, ir_cast(b, x, DFM_I32), ir_cast(b, y, DFM_I32)));
    }
    sema_value q = sema_map(s, IR_FN_DIV, v, 2, loc, op_loc, "//");
    return sema_map(s, IR_FN_FLOOR, &q, 1, loc, op_loc, "//");
}

static sema_value binary(sema *s, const ast_node *e)
{
    sema_value v[2] = {sema_expr(s, e->a), sema_expr(s, e->b)}, r;
    bool swap, same;
    if (sema_bad(v[0]) || sema_bad(v[1])) return sema_poison();
    for (int i = 0; i < 2; i++)
        if (!dfm_loc_some(v[i].loc)) v[i].loc = (i ? e->b : e->a)->loc;
    ast_op op = (ast_op)e->op;
    if (of_dims(s, op, v[0], v[1], e->loc, &r)) return r;
    if ((op == AST_OP_EQ || op == AST_OP_NE) && same_values(v[0], v[1], &same))
        return sema_bool(same == (op == AST_OP_EQ));
    if (op == AST_OP_FDIV) return floor_quotient(s, v, e->loc, e->name_loc);
    ir_fn fn = fn_of(op, &swap);
    if (swap) {
        sema_value t = v[0];
        v[0] = v[1];
        v[1] = t;
    }
    dfm_loc at = dfm_loc_some(e->name_loc) ? e->name_loc : e->loc;
    return sema_map(s, fn, v, 2, e->loc, at, ast_op_text(op));
}

static sema_value unary(sema *s, const ast_node *e)
{
    sema_value v = sema_expr(s, e->a);
    bool swap;
    if (sema_bad(v)) return v;
    if (!dfm_loc_some(v.loc)) v.loc = e->a->loc;
    if (v.kind == SV_DIM && e->op == AST_OP_NEG)
        return sema_of_dim(sema_dim_neg(s, v.u.dim, e->loc));
    return sema_map(s, fn_of((ast_op)e->op, &swap), &v, 1, e->loc, e->name_loc,
                    ast_op_text((ast_op)e->op));
}

/* -- indexing ---------------------------------------------------------------------------------- */

diag *sema_out_of_range(sema *s, int64_t i, int64_t n, const char *what, dfm_loc loc)
{
    return sema_error(s, E0318, loc, "index %lld is outside %s, which has %lld element%s",
                      (long long)i, what, (long long)n, n == 1 ? "" : "s");
}

static sema_value out_of_range(sema *s, int64_t i, int64_t n, const char *what, dfm_loc loc)
{
    sema_out_of_range(s, i, n, what, loc);
    return sema_poison();
}

static sema_value index_const(sema *s, ir_val x, ir_dim d, int64_t at, dfm_loc loc)
{
    ir_type t = ir_type_at(s->frame->g, x);
    const ir_type_info ti = *ir_type_of(s->m, t);
    const char *name = sema_fmt(s, "dim `%s`", sema_dim_text(s, sema_dim_of(s, d)));
    if (at < 0 || at >= ir_extent(s->m, d))
        return out_of_range(s, at, ir_extent(s->m, d), name, loc);
    ir_ix coords[IR_MAX_RANK];
    for (uint32_t i = 0; i < ti.rank; i++)
        coords[i] =
            ir_dim_same(ti.dims[i], d) ? ir_ix_const(s->m, at) : ir_ix_var(s->m, ti.dims[i]);
    ir_type to = ir_without_dims(s->m, t, &d, 1);
    return sema_tensor(s, ir_view_of(sema_at(s, loc), x, to, coords, NULL, 0, 0));
}

/* A rank-1 constant indexed by numbers known per iteration: picked now, looked up by counter. */
static bool index_by_table(sema *s, sema_value base, const sema_table *t, dfm_loc loc,
                           sema_value *out)
{
    sema_frame *here = s->frame;
    ir_type bt = sema_type_of(s, base);
    if (ir_type_of(s->m, bt)->rank != 1) return false;
    s->frame = base.u.t.frame;
    const double *data = sema_const_data(s, base.u.t.v);
    s->frame = here;
    ir_dim loop = sema_ir_dim(s, t->frame->loop, loc);
    if (!data || !loop.i) return false;
    int64_t n = (int64_t)ir_elems(s->m, bt);
    double *picked = dfm_new_n(s->arena, double, t->n);
    for (int64_t i = 0; i < t->n; i++) {
        if (t->data[i] < 0 || t->data[i] >= (double)n) {
            *out = out_of_range(s, (int64_t)t->data[i], n, "the table", loc);
            return true;
        }
        picked[i] = data[(int64_t)t->data[i]];
    }
    sema_value iter = {.kind = SV_TENSOR, .u.t = {t->frame->iter, t->frame}};
    ir_type tt = ir_tensor(s->m, ir_type_of(s->m, bt)->dtype, &loop, 1);
    ir_val table = ir_table(sema_at(s, loc), tt, picked), at = sema_use(s, iter);
    *out = sema_tensor(s, ir_gather_rows(sema_at(s, loc), table, loop, at));
    return true;
}

static sema_value index_tensor(sema *s, sema_value base, sema_value ix, dfm_loc loc)
{
    const ir_type_info *ti = ir_type_of(s->m, sema_type_of(s, base));
    sema_value r;
    int64_t at;
    if (ti->is_tuple || ti->rank == 0) {
        sema_error(s, E0311, loc, "a scalar has no elements to index");
        return sema_poison();
    }
    ir_dim d = ti->dims[0];
    if (sema_is_int(ix, &at)) return index_const(s, sema_use(s, base), d, at, loc);
    if (ix.kind == SV_TABLE && !ix.u.tab->is_int) {
        sema_error(s, E0312, loc, "an index is a whole number; round it with `i32(...)`");
        return sema_poison();
    }
    if (ix.kind == SV_TABLE && index_by_table(s, base, ix.u.tab, loc, &r)) return r;
    return sema_gather(s, base, sema_dim_of(s, d), ix, loc, loc);
}

static sema_value index_expr(sema *s, const ast_node *e)
{
    sema_value base = sema_expr(s, e->a);
    if (sema_bad(base)) return base;
    if (e->n_kids == 0) {
        sema_error(s, E0311, e->loc, "an index is missing between `[` and `]`");
        return sema_poison();
    }
    for (uint32_t i = 0; i < e->n_kids; i++) {
        const ast_node *k = e->kids[i];
        if (k->kind == AST_ELLIPSIS || k->kind == AST_ELEM || k->kind == AST_RANGE) {
            diag *d = sema_error(s, E0311, k->loc, "outside an `op`, an index is one number");
            if (k->kind == AST_RANGE) diag_help(d, "cut a part out with `slice(x, D -> D2, 0..n)`");
            return sema_poison();
        }
        sema_value ix = sema_expr(s, k);
        int64_t at;
        if (sema_bad(ix)) return ix;
        if (base.kind == SV_TUPLE || base.kind == SV_SHAPE) {
            if (!sema_need_int(s, ix, k->loc, "an index of a tuple", &at)) return sema_poison();
            if (at < 0 || at >= base.u.list.n)
                return out_of_range(s, at, base.u.list.n, "the tuple", k->loc);
            base = base.u.list.p[at];
        } else if (base.kind == SV_TENSOR) {
            base = index_tensor(s, base, ix, k->loc);
        } else if (base.kind == SV_DIM) {
            if (!sema_need_int(s, ix, k->loc, "an index of a group", &at)) return sema_poison();
            if (at != 0) return out_of_range(s, at, 1, "the group", k->loc);
        } else {
            sema_error(s, E0311, e->a->loc, "%s has no elements", sema_value_text(s, base));
            return sema_poison();
        }
        if (sema_bad(base)) return base;
    }
    base.loc = e->loc;
    return base;
}

/* -- fields ------------------------------------------------------------------------------------ */

static sema_value field(sema *s, const ast_node *e)
{
    sema_value v;
    const char *name = e->text;
    dfm_loc at = dfm_loc_some(e->name_loc) ? e->name_loc : e->loc;
    if (e->a->kind == AST_NAME && !sema_local(s, e->a->text, &v)) {
        sema_file *f = sema_alias(s, s->act ? s->act->file : s->main, e->a->text);
        if (f && sema_file_name(s, f, name, &v)) return v;
        if (f) {
            sema_error(s, E0401, at, "`%s` has no dim or constant `%s`", e->a->text, name);
            return sema_poison();
        }
    }
    v = sema_expr(s, e->a);
    if (sema_bad(v)) return v;
    if (v.kind == SV_ARROW && (strcmp(name, "src") == 0 || strcmp(name, "dst") == 0))
        return v.u.pair[name[0] == 'd'];
    const char *names[64];
    uint32_t n = 0;
    if (v.kind == SV_RECORD)
        for (uint32_t i = 0; i < v.u.rec.n && n < 64; i++) {
            if (strcmp(v.u.rec.p[i].name, name) == 0) return *v.u.rec.p[i].value;
            names[n++] = v.u.rec.p[i].name;
        }
    diag *d = sema_error(s, E0408, at, "%s has no field `%s`", sema_value_text(s, v), name);
    if (v.kind == SV_ARROW) diag_help(d, "the fields of a dim -> dim are `src` and `dst`");
    if (v.kind == SV_TENSOR && sema_foreign(name)) diag_help(d, "%s", sema_foreign(name));
    sema_suggest(s, d, name, names, n);
    return sema_poison();
}

/* -- lists ------------------------------------------------------------------------------------- */

static sema_value list_of(sema *s, const ast_node *e, sema_kind kind)
{
    sema_value *p = dfm_new_n(s->arena, sema_value, e->n_kids ? e->n_kids : 1);
    bool bad = false;
    for (uint32_t i = 0; i < e->n_kids; i++) {
        p[i] = sema_expr(s, e->kids[i]);
        if (!dfm_loc_some(p[i].loc)) p[i].loc = e->kids[i]->loc;
        bad |= sema_bad(p[i]);
    }
    if (bad) return sema_poison();
    sema_value v = {.kind = kind};
    v.u.list.p = p;
    v.u.list.n = e->n_kids;
    return v;
}

static sema_value pair_of(sema *s, const ast_node *e, sema_kind kind)
{
    sema_value *p = dfm_new_n(s->arena, sema_value, 2);
    p[0] = sema_expr(s, e->a);
    p[1] = sema_expr(s, e->b);
    if (sema_bad(p[0]) || sema_bad(p[1])) return sema_poison();
    sema_value v = {.kind = kind};
    v.u.pair = p;
    return v;
}

sema_value sema_dim_expr(sema *s, const ast_node *e)
{
    bool before = s->in_dim_expr;
    s->in_dim_expr = true;
    sema_value v = sema_expr(s, e);
    s->in_dim_expr = before;
    return v;
}

static sema_value array(sema *s, const ast_node *e)
{
    bool before = s->in_dim_expr;
    s->in_dim_expr = true;
    sema_value v = list_of(s, e, SV_SHAPE);
    s->in_dim_expr = before;
    return v;
}

static sema_value expr(sema *s, const ast_node *e)
{
    switch ((ast_kind)e->kind) {
    case AST_INT: return sema_int(e->num.i);
    case AST_FLOAT: return sema_float(e->num.f);
    case AST_UNIT: return sema_float(e->num.f);
    case AST_BOOL: return sema_bool(e->num.i != 0);
    case AST_STRING: return sema_string(e->text);
    case AST_NAME: return sema_name(s, e->text, e->loc);
    case AST_BINARY: return binary(s, e);
    case AST_UNARY: return unary(s, e);
    case AST_RANGE: return pair_of(s, e, SV_RANGE);
    case AST_ARROW: return pair_of(s, e, SV_ARROW);
    case AST_TUPLE: return list_of(s, e, SV_TUPLE);
    case AST_ARRAY: return array(s, e);
    case AST_INDEX: return index_expr(s, e);
    case AST_FIELD: return field(s, e);
    case AST_CALL: case AST_AS: case AST_INIT: case AST_TAG: return sema_call_expr(s, e);
    case AST_ERROR: return sema_poison();
    default:
        sema_error(s, E0311, e->loc, "this cannot stand in an expression");
        return sema_poison();
    }
}

sema_value sema_expr(sema *s, const ast_node *e)
{
    if (!e) return sema_poison();
    sema_value v;
    if (!s->op || s->op_act != s->act || !sema_op_expr(s, e, &v)) v = expr(s, e);
    v.loc = e->loc;
    return v;
}

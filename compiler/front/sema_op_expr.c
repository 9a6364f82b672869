/* sema_op_expr.c - inside a comprehension: index variables, reads, reductions, select. */
#include "compiler/front/sema_op.h"

#include <string.h>

/* -- index variables as numbers -------------------------------------------------------------- */

static sema_value var_value(sema *s, const op_var *v, dfm_loc loc)
{
    ir_builder *b = sema_at(s, loc);
    ir_val sum = {0};
    int64_t stride = 1;
    for (uint32_t i = v->n; i-- > 0;) {
        ir_val x = ir_iota(b, v->dims[i]);
        if (stride != 1) x = ir_map2(b, IR_FN_MUL, x, ir_scalar(b, DFM_I32, (double)stride));
        sum = sum.i ? ir_map2(b, IR_FN_ADD, x, sum) : x;
        stride *= ir_extent(s->m, v->dims[i]);
    }
    if (!sum.i) return sema_int(v->low);
    if (v->low) sum = ir_map2(b, IR_FN_ADD, sum, ir_scalar(b, DFM_I32, (double)v->low));
    return sema_tensor(s, sum);
}

/* -- reads ----------------------------------------------------------------------------------- */

typedef struct reading {
    ir_ix coords[IR_MAX_RANK];
    ir_cond guard[IR_MAX_RANK];
    uint32_t n, n_guard;
} reading;

static void report_range(sema *s, const ast_node *e, const ast_node *elem, int64_t lo, int64_t hi,
                         int64_t extent)
{
    diag *d = sema_error(s, E0501, elem->loc, "index of `%s` may leave its range", e->a->text);
    diag_label(d, elem->loc, "%lld..%lld, of 0..%lld", (long long)lo, (long long)hi,
               (long long)extent - 1);
    diag_help(d, "clamp it, `%s`, or read inside a `select` whose condition keeps it in range",
              lo < 0 ? "max(i, 0)" : "min(i, D - 1)");
}

/* A flat index over the axis' dims, cut into one coordinate per dim. */
static bool read_flat(sema *s, const ast_node *e, const ast_node *elem, const op_axis *ax, ir_ix x,
                      reading *r)
{
    ir_module *m = s->m;
    int64_t extent = op_extent(m, ax->dims, ax->n), lo, hi, stride = 1;
    op_range(s, x, &lo, &hi);
    if (lo < 0 || hi >= extent) {
        report_range(s, e, elem, lo, hi, extent);
        return false;
    }
    ir_ix_range(m, x, &lo, &hi);
    if (lo < 0 || hi >= extent) r->guard[r->n_guard++] = (ir_cond){x, 0, extent - 1};
    for (uint32_t i = ax->n; i-- > 0;) {
        ir_ix c = ir_ix_div(m, x, stride);
        int64_t n = ir_extent(m, ax->dims[i]);
        r->coords[r->n + i] = i ? ir_ix_mod(m, c, n) : c;
        stride *= n;
    }
    r->n += ax->n;
    return true;
}

/* A plain variable, whose range must be the axis': same extents, dim by dim. */
static bool read_direct(sema *s, const ast_node *e, const ast_node *elem, const op_axis *ax,
                        const op_var *v, reading *r, bool *out_done)
{
    ir_module *m = s->m;
    bool same = v->n == ax->n && v->low == 0;
    *out_done = true;
    for (uint32_t i = 0; same && i < ax->n; i++)
        same = ir_extent(m, v->dims[i]) == ir_extent(m, ax->dims[i]);
    if (same) {
        for (uint32_t i = 0; i < ax->n; i++) r->coords[r->n++] = ir_ix_var(m, v->dims[i]);
        return true;
    }
    int64_t have = op_extent(m, v->dims, v->n), want = op_extent(m, ax->dims, ax->n), lo, hi;
    op_range(s, op_var_ix(s, v), &lo, &hi);
    bool guarded = s->op->n_conds && lo >= 0 && hi < want;
    if (!v->exact || have == want || guarded) {
        *out_done = false;
        return true;
    }
    diag *d = sema_error(s, E0502, elem->loc, "`%s` has two ranges", v->name);
    diag_label(d, elem->loc, "0..%lld in `%s`", (long long)want - 1, e->a->text);
    diag_label(d, v->loc, "0..%lld here", (long long)have - 1);
    diag_help(d, "give it one range where it is introduced, `%s: 0..%lld`, if the smaller is meant",
              v->name, (long long)(have < want ? have : want));
    return false;
}

static bool read_axis(sema *s, const ast_node *e, const ast_node *elem, const op_axis *ax,
                      reading *r)
{
    bool done = false;
    ir_ix x;
    if (elem->kind == AST_NAME || elem->kind == AST_ELLIPSIS) {
        const op_var *v = op_find_var(s->op, ast_is(elem, AST_NAME) ? elem->text : "...");
        if (v && !read_direct(s, e, elem, ax, v, r, &done)) return false;
        if (done) return true;
        if (!v && elem->kind == AST_ELLIPSIS) {
            sema_error(s, E0503, elem->loc, "`...` is not an index of the target");
            return false;
        }
    }
    if (elem->kind == AST_ELEM) {
        sema_error(s, E0508, elem->loc, "a range cannot stand in a read");
        return false;
    }
    if (!op_index_of(s, elem, &x)) {
        uint32_t before = diag_n_errors(s->diag);
        if (!sema_bad(sema_expr(s, elem)) && diag_n_errors(s->diag) == before) {
            diag *d = sema_error(s, E0504, elem->loc, "index that is not known at compile time");
            diag_help(d, "an index is made of index variables and constants with + - * // %% min "
                         "max; for indices that are data use `gather`");
        }
        return false;
    }
    return read_flat(s, e, elem, ax, x, r);
}

static sema_value read_value(sema *s, const ast_node *e, const op_array *a, sema_value src)
{
    struct sema_op *op = s->op;
    reading r = {0};
    if (e->n_kids != a->n) {
        diag *d = sema_error(s, E0505, e->loc, "`%s` has %u indices, not %u", a->name, a->n,
                             e->n_kids);
        diag_help(d, "it is %s", sema_value_text(s, src));
        return sema_poison();
    }
    for (uint32_t k = 0; k < a->n; k++) {
        const ast_node *elem = e->kids[k];
        if ((elem->kind == AST_ELLIPSIS) != a->axis[k].rest) {
            sema_error(s, E0505, elem->loc, a->axis[k].rest ? "`...` must stand here"
                                                            : "`...` cannot stand here");
            return sema_poison();
        }
        if (!read_axis(s, e, elem, &a->axis[k], &r)) return sema_poison();
    }
    ir_dim dims[IR_MAX_RANK];
    uint32_t n = 0;
    for (uint32_t v = 0; v < op->n_vars; v++)
        for (uint32_t i = 0; i < op->vars[v].n; i++) {
            bool uses = false;
            for (uint32_t k = 0; k < r.n && !uses; k++)
                uses = ir_ix_uses(s->m, r.coords[k], op->vars[v].dims[i]);
            if (!uses) continue;
            if (n == IR_MAX_RANK) {
                sema_error(s, E0505, e->loc, "more than %d dims in one expression", IR_MAX_RANK);
                return sema_poison();
            }
            dims[n++] = op->vars[v].dims[i];
        }
    ir_val x = sema_use(s, src);
    dfm_dtype dt = ir_type_of(s->m, ir_type_at(s->frame->g, x))->dtype;
    return sema_tensor(s, ir_view_of(sema_at(s, e->loc), x, ir_tensor(s->m, dt, dims, n), r.coords,
                                     r.guard, r.n_guard, 0.0));
}

/* -- reductions ------------------------------------------------------------------------------ */

typedef struct reducer_name {
    const char *name;
    ir_reducer kind;
} reducer_name;

static const reducer_name *find_reducer(const char *name)
{
    static const reducer_name table[] = {
        {"sum", IR_RED_SUM}, {"mean", IR_RED_SUM}, {"prod", IR_RED_PROD}, {"max", IR_RED_MAX},
        {"min", IR_RED_MIN}, {"any", IR_RED_ANY},  {"all", IR_RED_ALL},   {"argmax", IR_RED_ARGMAX},
    };
    for (uint32_t i = 0; i < DFM_LEN(table); i++)
        if (!strcmp(table[i].name, name)) return &table[i];
    return NULL;
}

bool op_is_reduction(const ast_node *e)
{
    return ast_is(e, AST_CALL) && ast_is(e->a, AST_INDEX) && ast_is(e->a->a, AST_NAME)
        && find_reducer(e->a->a->text);
}

/* Does x have a dim of more than one element that y lacks? */
static bool has_own(const ir_module *m, ir_type x, ir_type y)
{
    const ir_type_info *a = ir_type_of(m, x);
    for (uint32_t i = 0; i < a->rank; i++)
        if (ir_dim_at(m, y, a->dims[i]) < 0 && ir_extent(m, a->dims[i]) > 1) return true;
    return false;
}

/* sum over dims of x * y as a contract; {0} where multiplying and reducing costs no more. */
static ir_val as_contract(sema *s, ir_val x, ir_val y, const ir_dim *dims, uint32_t n, dfm_loc loc)
{
    ir_builder *b = sema_at(s, loc);
    ir_type tx = ir_type_at(b->g, x), ty = ir_type_at(b->g, y);
    dfm_dtype dx = ir_type_of(s->m, tx)->dtype, dy = ir_type_of(s->m, ty)->dtype;
    ir_pair pairs[IR_MAX_RANK];
    if (!dfm_dtype_is_float(dx) || !dfm_dtype_is_float(dy)) return (ir_val){0};
    if (!has_own(s->m, tx, ty) || !has_own(s->m, ty, tx)) return (ir_val){0};
    for (uint32_t i = 0; i < n; i++) {
        if (ir_dim_at(s->m, tx, dims[i]) < 0 || ir_dim_at(s->m, ty, dims[i]) < 0)
            return (ir_val){0};
        pairs[i] = (ir_pair){dims[i], dims[i]};
    }
    dfm_dtype dt = dx == dy ? dx : DFM_F32;
    x = ir_cast(b, x, dt);
    y = ir_cast(b, y, dt);
    ir_type t = ir_contract_type(s->m, ir_type_at(b->g, x), ir_type_at(b->g, y), pairs, n, dt);
    return ir_contract_over(b, x, y, pairs, n, t);
}

static ir_val with_dims(sema *s, ir_val x, const ir_dim *dims, uint32_t n, dfm_loc loc)
{
    ir_builder *b = sema_at(s, loc);
    ir_type t = ir_type_at(b->g, x);
    ir_type over = ir_tensor(s->m, ir_type_of(s->m, t)->dtype, dims, n);
    return ir_broadcast(b, x, ir_union(s->m, ir_type_of(s->m, t)->dtype, t, over));
}

static sema_value reduce_body(sema *s, const ast_node *e, const reducer_name *r, const ir_dim *dims,
                              uint32_t n)
{
    const ast_node *body = e->kids[0];
    ir_val v = {0};
    sema_value x = {0};
    if (r->kind == IR_RED_SUM && ast_is(body, AST_BINARY) && body->op == AST_OP_MUL) {
        sema_value f[2] = {sema_expr(s, body->a), sema_expr(s, body->b)};
        if (sema_bad(f[0]) || sema_bad(f[1])) return sema_poison();
        if (f[0].kind == SV_TENSOR && f[1].kind == SV_TENSOR)
            v = as_contract(s, sema_use(s, f[0]), sema_use(s, f[1]), dims, n, e->loc);
        if (!v.i) x = sema_map(s, IR_FN_MUL, f, 2, body->loc, body->name_loc, "*");
    } else {
        x = sema_expr(s, body);
    }
    if (!v.i) {
        if (sema_bad(x)) return x;
        v = sema_as_val(s, x, x.kind == SV_INT ? DFM_I32 : DFM_F32, body->loc);
        if (!v.i) return sema_poison();
        ir_builder *b = sema_at(s, e->loc);
        dfm_dtype dt = ir_type_of(s->m, ir_type_at(b->g, v))->dtype;
        bool logic = r->kind == IR_RED_ANY || r->kind == IR_RED_ALL;
        if (logic != (dt == DFM_BOOL)) {
            sema_error(s, E0312, body->loc, "`%s` reduces %s, and this is %s", r->name,
                       logic ? "bools" : "numbers", dfm_dtype_name(dt));
            return sema_poison();
        }
        if (!strcmp(r->name, "mean") && !dfm_dtype_is_float(dt)) v = ir_cast(b, v, DFM_F32);
        v = ir_reduce_over(b, r->kind, with_dims(s, v, dims, n, e->loc), dims, n);
    }
    if (!strcmp(r->name, "mean")) {
        ir_builder *b = sema_at(s, e->loc);
        dfm_dtype dt = ir_type_of(s->m, ir_type_at(b->g, v))->dtype;
        v = ir_map2(b, IR_FN_MUL, v, ir_scalar(b, dt, 1.0 / (double)op_extent(s->m, dims, n)));
    }
    return sema_tensor(s, v);
}

static sema_value reduction(sema *s, const ast_node *e)
{
    struct sema_op *op = s->op;
    const reducer_name *r = find_reducer(e->a->a->text);
    uint32_t old_vars = op->n_vars, n = 0;
    ir_dim dims[OP_MAX_VARS * 2];
    sema_value out = sema_poison();
    if (e->n_kids != 1 || e->kids[0]->kind == AST_ARG || e->kids[0]->kind == AST_ARROW) {
        sema_error(s, E0508, e->loc, "`%s[...]` takes one expression", r->name);
        return out;
    }
    for (uint32_t i = 0; i < e->a->n_kids; i++)
        if (!op_push_var(s, e->a->kids[i], NULL, e->kids[0])) goto done;
    for (uint32_t v = old_vars; v < op->n_vars; v++)
        for (uint32_t i = 0; i < op->vars[v].n && n < DFM_LEN(dims); i++)
            dims[n++] = op->vars[v].dims[i];
    if (r->kind == IR_RED_ARGMAX && n != 1) {
        sema_error(s, E0508, e->loc, "`argmax` goes over one dim");
        goto done;
    }
    if (n > IR_MAX_RANK) {
        sema_error(s, E0505, e->loc, "more than %d dims in one expression", IR_MAX_RANK);
        goto done;
    }
    out = reduce_body(s, e, r, dims, n);
done:
    op->n_vars = old_vars;
    return out;
}

/* -- select: its condition guards the reads of its branches ------------------------------------ */

static sema_value guarded(sema *s, const ast_node *cond, bool negated, const ast_node *e)
{
    uint32_t old = s->op->n_conds;
    op_assume(s, cond, negated);
    sema_value v = sema_expr(s, e);
    s->op->n_conds = old;
    return v;
}

static sema_value op_select(sema *s, const ast_node *e)
{
    sema_value v[3];
    v[0] = sema_expr(s, e->kids[0]);
    if (v[0].kind == SV_BOOL) return sema_expr(s, e->kids[v[0].u.b ? 1 : 2]);
    v[1] = guarded(s, e->kids[0], false, e->kids[1]);
    v[2] = guarded(s, e->kids[0], true, e->kids[2]);
    if (sema_bad(v[0]) || sema_bad(v[1]) || sema_bad(v[2])) return sema_poison();
    return sema_map(s, IR_FN_SELECT, v, 3, e->loc, e->a->loc, "select");
}

static bool is_select(const ast_node *e)
{
    if (!ast_is(e->a, AST_NAME) || strcmp(e->a->text, "select") || e->n_kids != 3) return false;
    for (uint32_t i = 0; i < 3; i++)
        if (e->kids[i]->kind == AST_ARG || e->kids[i]->kind == AST_ARROW) return false;
    return true;
}

/* -- the hook ---------------------------------------------------------------------------------- */

static bool name_expr(sema *s, const ast_node *e, sema_value *out)
{
    const op_var *v = op_find_var(s->op, e->text);
    sema_value value;
    if (v) {
        *out = var_value(s, v, e->loc);
        return true;
    }
    const op_array *a = op_array_of(s, e->text, &value);
    if (!a) return false;
    diag *d = sema_error(s, E0506, e->loc, "`%s` without indices", e->text);
    diag_label(d, e->loc, "%s", sema_value_text(s, value));
    diag_help(d, "inside `target[i] = ...` tensors are read element by element: `%s[i]`", e->text);
    *out = sema_poison();
    return true;
}

bool sema_op_expr(sema *s, const ast_node *e, sema_value *out)
{
    sema_value src;
    if (!s->op->inside) return false;
    switch (e->kind) {
    case AST_NAME: return name_expr(s, e, out);
    case AST_INDEX: {
        if (!ast_is(e->a, AST_NAME)) return false;
        const op_array *a = op_array_of(s, e->a->text, &src);
        if (!a) return false;
        *out = read_value(s, e, a, src);
        return true;
    }
    case AST_CALL:
        if (op_is_reduction(e)) *out = reduction(s, e);
        else if (is_select(e)) *out = op_select(s, e);
        else return false;
        return true;
    default: return false;
    }
}

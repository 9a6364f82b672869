/* sema_op.c - bodies of ops: comprehensions, the ranges of their variables, return. */
#include "compiler/front/sema_op.h"

#include <string.h>

int64_t op_extent(const ir_module *m, const ir_dim *dims, uint32_t n)
{
    int64_t x = 1;
    for (uint32_t i = 0; i < n; i++) x *= ir_extent(m, dims[i]);
    return x;
}

/* -- arrays ---------------------------------------------------------------------------------- */

static op_array *find_array(struct sema_op *op, const char *name)
{
    for (uint32_t i = op->arrays.n; i-- > 0;)
        if (op->arrays.p[i].name && !strcmp(op->arrays.p[i].name, name)) return &op->arrays.p[i];
    return NULL;
}

static void forget_array(struct sema_op *op, const char *name)
{
    op_array *a = find_array(op, name);
    if (a) a->name = NULL;
}

const op_array *op_array_of(sema *s, const char *name, sema_value *out)
{
    sema_value v;
    if (!sema_local(s, name, &v) || v.kind != SV_TENSOR) return NULL;
    const ir_type_info *t = ir_type_of(s->m, sema_type_of(s, v));
    const op_array *known = find_array(s->op, name);
    if (out) *out = v;
    if (known) return known;
    if (t->is_tuple || !t->rank) return NULL;
    op_array a = {.name = name, .n = t->rank};
    for (uint32_t i = 0; i < t->rank; i++) a.axis[i] = (op_axis){.n = 1, .dims = {t->dims[i]}};
    dfm_push(s->arena, &s->op->arrays, a);
    return &s->op->arrays.p[s->op->arrays.n - 1];
}

/* The axes of a type as it is written: one per elem, which may be a group or `...`. dims: of the
 * value, one per dim of t. */
static void axes_of_type(const ast_node *type, const sema_type *t, const ir_dim *dims, op_array *a)
{
    uint32_t at = 0;
    for (uint32_t k = 0; k < ast_n(type->a) && k <= IR_MAX_RANK; k++) {
        op_axis *ax = &a->axis[a->n++];
        if (ast_at(type->a, k)->kind == AST_ELLIPSIS) {
            ax->rest = true;
            while (ax->n < t->rest_n) ax->dims[ax->n++] = dims[at++];
            continue;
        }
        if (at >= t->rank) return;
        uint32_t last = t->has_rest && at < t->rest_at ? t->rest_at : t->rank;
        uint8_t g = t->group[at];
        while (at < last && t->group[at] == g) ax->dims[ax->n++] = dims[at++];
    }
}

static void register_formal(sema *s, const ast_node *f)
{
    sema_value v;
    sema_type t;
    if (f->a->kind != AST_TYPE || !ast_n(f->a->a)) return;
    if (!sema_local(s, f->text, &v) || v.kind != SV_TENSOR || !sema_eval_type(s, f->a, &t)) return;
    const ir_type_info *have = ir_type_of(s->m, sema_type_of(s, v));
    op_array a = {.name = f->text};
    if (have->rank != t.rank) return;
    axes_of_type(f->a, &t, have->dims, &a);
    for (uint32_t k = 0; k < a.n; k++)
        if (a.axis[k].rest && !s->op->n_rest) {
            s->op->n_rest = a.axis[k].n;
            memcpy(s->op->rest, a.axis[k].dims, sizeof s->op->rest);
        }
    dfm_push(s->arena, &s->op->arrays, a);
}

struct sema_op *op_begin(sema *s, const ast_node *node)
{
    struct sema_op *op = dfm_new(s->arena, struct sema_op);
    *op = (struct sema_op){.outer = s->op, .outer_act = s->op_act, .node = node};
    s->op = op;
    s->op_act = s->act;
    for (uint32_t i = 0; i < ast_n(node->a); i++)
        if (ast_is(ast_at(node->a, i), AST_FORMAL)) register_formal(s, ast_at(node->a, i));
    return op;
}

void op_end(sema *s)
{
    s->op_act = s->op->outer_act;
    s->op = s->op->outer;
}

bool sema_in_comprehension(const sema *s) { return s->op && s->op->inside; }

/* -- variables ------------------------------------------------------------------------------- */

op_var *op_find_var(struct sema_op *op, const char *name)
{
    for (uint32_t i = op->n_vars; i-- > 0;)
        if (!strcmp(op->vars[i].name, name)) return &op->vars[i];
    return NULL;
}

/* The first axis that `name` indexes directly in e, in source order; NULL if there is none. */
static const op_axis *find_direct(sema *s, const char *name, const ast_node *e)
{
    const op_axis *found = NULL;
    if (!e) return NULL;
    if (e->kind == AST_INDEX && ast_is(e->a, AST_NAME) && !op_find_var(s->op, e->a->text)) {
        const op_array *a = op_array_of(s, e->a->text, NULL);
        for (uint32_t k = 0; a && k < e->n_kids && k < a->n; k++)
            if (ast_is(e->kids[k], AST_NAME) && !strcmp(e->kids[k]->text, name))
                return &a->axis[k];
    }
    const ast_node *slots[] = {e->a, e->b, e->c, e->d};
    for (uint32_t i = 0; i < DFM_LEN(slots) && !found; i++) found = find_direct(s, name, slots[i]);
    for (uint32_t i = 0; i < e->n_kids && !found; i++) found = find_direct(s, name, e->kids[i]);
    return found;
}

/* Does e read a value whose error has been reported? */
static bool reads_poison(sema *s, const ast_node *e)
{
    sema_value v;
    if (!e) return false;
    if (e->kind == AST_NAME && sema_local(s, e->text, &v) && sema_bad(v)) return true;
    if (reads_poison(s, e->a) || reads_poison(s, e->b)) return true;
    for (uint32_t i = 0; i < e->n_kids; i++)
        if (reads_poison(s, e->kids[i])) return true;
    return false;
}

static bool dim_in_use(const struct sema_op *op, const op_var *self, ir_dim d)
{
    for (uint32_t i = 0; i < op->n_vars; i++)
        for (uint32_t k = 0; k < op->vars[i].n; k++)
            if (op->vars[i].dims[k].i == d.i) return true;
    for (uint32_t k = 0; k < self->n; k++)
        if (self->dims[k].i == d.i) return true;
    return false;
}

/* Give v dims like those of the axis; where another variable has them, new ones of equal extent
 * under the variable's own name. False after reporting. */
static bool take_dims(sema *s, op_var *v, const ir_dim *dims, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        ir_dim d = dims[i];
        const char *name = v->name;
        while (dim_in_use(s->op, v, d)) {
            d = sema_ir_dim(s, sema_dim_named(s, name, sema_dim_of(s, dims[i]), v->loc), v->loc);
            if (!d.i) return false;
            name = sema_fmt(s, "%s_", name);
        }
        v->dims[v->n++] = d;
    }
    return true;
}

/* `k: K` or `k: lo..hi` */
static bool take_range(sema *s, op_var *v, const ast_node *range)
{
    const sema_dim *d;
    sema_value x = sema_dim_expr(s, range);
    if (sema_bad(x)) return false;
    if (x.kind == SV_RANGE) {
        int64_t lo, hi;
        if (!sema_need_int(s, x.u.pair[0], range->loc, "the start of a range", &lo)
            || !sema_need_int(s, x.u.pair[1], range->loc, "the end of a range", &hi))
            return false;
        if (lo < -INT32_MAX || hi > INT32_MAX) {
            sema_error(s, E0310, range->loc, "the bounds of a range must be below 2^31");
            return false;
        }
        if (lo >= hi) {
            sema_error(s, E0308, range->loc, "range %lld..%lld is empty", (long long)lo,
                       (long long)hi);
            return false;
        }
        v->low = lo;
        d = lo == 0 ? sema_need_dim(s, x.u.pair[1], range->loc, "the end of a range")
                    : sema_dim_int(s, hi - lo);
        v->exact = false;
        if (!d) return false;
        ir_dim one = sema_ir_dim(s, d, range->loc);
        if (!one.i) return false;
        return take_dims(s, v, &one, 1);
    }
    const sema_dim *group[IR_MAX_RANK];
    ir_dim dims[IR_MAX_RANK];
    int n = sema_need_dims(s, x, range->loc, "the range of an index", group, IR_MAX_RANK);
    if (n < 0) return false;
    for (int i = 0; i < n; i++)
        if (!(dims[i] = sema_ir_dim(s, group[i], range->loc)).i) return false;
    return take_dims(s, v, dims, (uint32_t)n);
}

/* All variables in scope together make a tensor that a program can hold. */
static bool fits(sema *s, const ast_node *elem)
{
    double elems = 1;
    uint32_t rank = 0;
    for (uint32_t i = 0; i < s->op->n_vars; i++)
        for (uint32_t k = 0; k < s->op->vars[i].n; k++, rank++)
            elems *= (double)ir_extent(s->m, s->op->vars[i].dims[k]);
    if (rank > IR_MAX_RANK) {
        sema_error(s, E0505, elem->loc, "more than %d dims in one expression", IR_MAX_RANK);
        return false;
    }
    if (elems <= 0x1p58) return true;
    sema_error(s, E0310, elem->loc, "the index variables take more than 2^58 values");
    return false;
}

static bool push_rest(sema *s, const ast_node *elem)
{
    struct sema_op *op = s->op;
    op_var *v = &op->vars[op->n_vars];
    if (op_find_var(op, "...")) {
        sema_error(s, E0507, elem->loc, "`...` is an index already");
        return false;
    }
    *v = (op_var){.name = "...", .exact = true, .n = op->n_rest, .loc = elem->loc};
    memcpy(v->dims, op->rest, sizeof v->dims);
    op->n_vars++;
    return fits(s, elem);
}

bool op_push_var(sema *s, const ast_node *elem, const op_axis *prefer, const ast_node *scope)
{
    struct sema_op *op = s->op;
    op_var v = {.exact = true, .loc = elem->loc};
    if (op->n_vars == OP_MAX_VARS) {
        sema_error(s, E0507, elem->loc, "more than %d index variables", OP_MAX_VARS);
        return false;
    }
    if (elem->kind == AST_ELLIPSIS) return push_rest(s, elem);
    if (elem->kind != AST_NAME && elem->kind != AST_ELEM) {
        diag *d = sema_error(s, E0508, elem->loc, "an index variable must stand here");
        diag_help(d, "what is written is every element of the target; expressions stand in reads");
        return false;
    }
    v.name = elem->text;
    if (op_find_var(op, v.name)) {
        sema_error(s, E0507, elem->loc, "`%s` is an index variable already", v.name);
        return false;
    }
    if (elem->kind == AST_ELEM) {
        if (!take_range(s, &v, elem->a)) return false;
    } else {
        const op_axis *ax = prefer ? prefer : find_direct(s, v.name, scope);
        if (!ax && reads_poison(s, scope)) return false;
        if (!ax) {
            diag *d = sema_error(s, E0503, elem->loc, "index `%s` has no range", v.name);
            diag_help(d, "index a tensor directly by it, `x[%s]`, or write its range, `%s: 0..3`",
                      v.name, v.name);
            return false;
        }
        if (!take_dims(s, &v, ax->dims, ax->n)) return false;
    }
    op->vars[op->n_vars++] = v;
    return fits(s, elem);
}

/* -- results --------------------------------------------------------------------------------- */

static const ast_node *result_type(const ast_node *op, uint32_t k)
{
    const ast_node *r = op->b;
    if (ast_is(r, AST_TYPE)) return k ? NULL : r;
    if (ast_is(r, AST_RESULTS) && k < r->n_kids) return r->kids[k]->a;
    return NULL;
}

/* The axes that the function's result type gives to the target `name`, if it is returned. */
static bool returned_axes(sema *s, const char *name, const ast_node *list, op_array *out)
{
    for (uint32_t i = 0; i < ast_n(list); i++) {
        const ast_node *st = ast_at(list, i);
        if (st->kind == AST_IF) {
            if (returned_axes(s, name, st->c, out)) return true;
            if (st->d && returned_axes(s, name, st->d, out)) return true;
        }
        if (st->kind != AST_RETURN) continue;
        for (uint32_t k = 0; k < st->n_kids; k++) {
            const ast_node *type = result_type(s->op->node, k);
            sema_type t;
            ir_dim dims[IR_MAX_RANK];
            if (!ast_is(st->kids[k], AST_NAME) || strcmp(st->kids[k]->text, name)) continue;
            if (!type || !sema_eval_type(s, type, &t)) return false;
            for (uint32_t d = 0; d < t.rank; d++) {
                bool rest = t.has_rest && d >= t.rest_at && d < t.rest_at + t.rest_n;
                dims[d] = rest && s->op->n_rest == t.rest_n ? s->op->rest[d - t.rest_at]
                                                            : sema_ir_dim(s, t.dims[d], type->loc);
                if (!dims[d].i) return false;
            }
            *out = (op_array){.name = name};
            axes_of_type(type, &t, dims, out);
            return true;
        }
    }
    return false;
}

void op_register_result(sema *s, const char *name, uint32_t k)
{
    const ast_node *type = result_type(s->op->node, k);
    sema_value v;
    sema_type t;
    op_array a = {.name = name};
    if (!type || !sema_local(s, name, &v) || v.kind != SV_TENSOR || !sema_eval_type(s, type, &t))
        return;
    const ir_type_info *have = ir_type_of(s->m, sema_type_of(s, v));
    if (have->rank != t.rank || !t.rank) return;
    axes_of_type(type, &t, have->dims, &a);
    dfm_push(s->arena, &s->op->arrays, a);
}

/* v with the dims of type k of the results, which correspond to its own by place. */
static sema_value fit_result(sema *s, sema_value v, uint32_t k, dfm_loc loc)
{
    const ast_node *type = result_type(s->op->node, k);
    sema_type t;
    if (!type || v.kind != SV_TENSOR || !sema_eval_type(s, type, &t)) return v;
    const ir_type_info have = *ir_type_of(s->m, sema_type_of(s, v));
    ir_dim dims[IR_MAX_RANK];
    ir_ix coords[IR_MAX_RANK];
    if (have.rank != t.rank) return v;       /* converted, or reported, by the caller */
    for (uint32_t i = 0; i < t.rank; i++) {
        dims[i] = sema_ir_dim(s, t.dims[i], loc);
        if (!dims[i].i) return sema_poison();
        if (ir_extent(s->m, dims[i]) != ir_extent(s->m, have.dims[i])) return v;
        coords[i] = ir_ix_var(s->m, dims[i]);
        for (uint32_t j = 0; j < i; j++)
            if (dims[j].i == dims[i].i) return v;
    }
    ir_type want = ir_tensor(s->m, have.dtype, dims, t.rank);
    return sema_tensor(s, ir_view_of(sema_at(s, loc), sema_use(s, v), want, coords, NULL, 0, 0.0));
}

static bool op_return(sema *s, const ast_node *st)
{
    for (uint32_t k = 0; k < st->n_kids; k++) {
        sema_value v = sema_expr(s, st->kids[k]);
        if (sema_bad(v)) return false;
        dfm_push(s->arena, &s->act->results, fit_result(s, v, k, st->kids[k]->loc));
    }
    s->act->returned = true;
    return true;
}

/* -- statements ------------------------------------------------------------------------------ */

/* In a vjp: the gradient of formal `x` is indexed like `x`. */
static bool gradient_axes(sema *s, const char *name, op_array *out)
{
    const op_array *a = name[0] == 'd' ? find_array(s->op, name + 1) : NULL;
    if (!a) return false;
    *out = *a;
    return true;
}

static bool push_target_vars(sema *s, const ast_node *target, const ast_node *rhs)
{
    op_array result;
    bool known = s->op->in_vjp ? gradient_axes(s, target->text, &result)
                               : returned_axes(s, target->text, s->op->node->c, &result);
    if (known && result.n != ast_n(target->a)) {
        sema_error(s, E0505, target->loc, "`%s` has %u dims, not %u", target->text, result.n,
                   ast_n(target->a));
        return false;
    }
    for (uint32_t k = 0; k < ast_n(target->a); k++) {
        const ast_node *elem = ast_at(target->a, k);
        const op_axis *prefer = known && !result.axis[k].rest ? &result.axis[k] : NULL;
        if (known && result.axis[k].rest != (elem->kind == AST_ELLIPSIS)) {
            sema_error(s, E0505, elem->loc, result.axis[k].rest ? "`...` must stand here"
                                                                : "`...` cannot stand here");
            return false;
        }
        if (!op_push_var(s, elem, prefer, rhs)) return false;
    }
    return true;
}

/* The target as an array, and its dims in order. */
static uint32_t target_dims(const struct sema_op *op, const ast_node *target, op_array *a,
                            ir_dim *dims)
{
    uint32_t n = 0;
    *a = (op_array){.name = target->text, .n = op->n_vars};
    for (uint32_t k = 0; k < op->n_vars; k++) {
        const op_var *v = &op->vars[k];
        a->axis[k].rest = !strcmp(v->name, "...");
        a->axis[k].n = v->n;
        memcpy(a->axis[k].dims, v->dims, sizeof v->dims);
        for (uint32_t i = 0; i < v->n && n < IR_MAX_RANK; i++) dims[n++] = v->dims[i];
    }
    return n;
}

/* Ranges start at 0: an array's places are counted from there. */
static bool ranges_from_zero(sema *s)
{
    for (uint32_t k = 0; k < s->op->n_vars; k++) {
        const op_var *v = &s->op->vars[k];
        if (!v->low) continue;
        sema_error(s, E0508, v->loc, "the range of a target starts at 0");
        return false;
    }
    return true;
}

static sema_value comprehension(sema *s, const ast_node *target, const ast_node *rhs, op_array *out)
{
    struct sema_op *op = s->op;
    ir_dim dims[IR_MAX_RANK];
    op->n_vars = op->n_conds = 0;
    if (ast_n(target->a) > IR_MAX_RANK) {
        sema_error(s, E0505, target->loc, "more than %d indices", IR_MAX_RANK);
        return sema_poison();
    }
    if (!push_target_vars(s, target, rhs) || !ranges_from_zero(s)) return sema_poison();
    op->inside = true;
    sema_value v = sema_expr(s, rhs);
    op->inside = false;
    if (sema_bad(v)) return v;
    ir_val x = sema_as_val(s, v, v.kind == SV_INT ? DFM_I32 : DFM_F32, rhs->loc);
    if (!x.i) return sema_poison();
    uint32_t n = target_dims(op, target, out, dims);
    ir_builder *b = sema_at(s, rhs->loc);
    const ir_type_info *t = ir_type_of(s->m, ir_type_at(b->g, x));
    for (uint32_t i = 0; i < t->rank; i++) {
        bool found = false;
        for (uint32_t k = 0; k < n; k++) found |= dims[k].i == t->dims[i].i;
        if (found) continue;
        sema_error(s, E0304, rhs->loc, "dim `%s` of the right-hand side is not an index of `%s`",
                   ir_dim_str(s->m, t->dims[i]), target->text);
        return sema_poison();
    }
    x = ir_broadcast(b, x, ir_tensor(s->m, t->dtype, dims, n));
    x = sema_fold(s, x);
    return sema_tensor(s, x);
}

static bool assign_indexed(sema *s, const ast_node *st)
{
    uint32_t n = ast_n(st->a);
    sema_value v[SEMA_MAX_ARGS];
    op_array arrays[8];
    if (n > DFM_LEN(arrays) || (n > 1 && (!ast_is(st->b, AST_TUPLE) || st->b->n_kids != n))) {
        sema_error(s, E0409, st->loc, "%u targets need as many expressions on the right", n);
        return false;
    }
    for (uint32_t k = 0; k < n; k++) {
        const ast_node *target = ast_at(st->a, k);
        if (!target->a) {
            sema_error(s, E0508, target->loc, "`%s` has no indices, and other targets have",
                       target->text);
            return false;
        }
        v[k] = comprehension(s, target, n > 1 ? st->b->kids[k] : st->b, &arrays[k]);
        s->op->n_vars = s->op->n_conds = 0;
    }
    for (uint32_t k = 0; k < n; k++) {
        const char *name = ast_at(st->a, k)->text;
        forget_array(s->op, name);
        if (v[k].kind == SV_TENSOR) {
            ir_set_name(sema_at(s, st->loc), sema_use(s, v[k]), name);
            dfm_push(s->arena, &s->op->arrays, arrays[k]);
        }
        sema_set(s, name, v[k]);
    }
    return true;
}

static bool op_if(sema *s, const ast_node *st)
{
    bool yes;
    sema_value c = sema_expr(s, st->a);
    if (sema_bad(c) || !sema_need_bool(s, c, st->a->loc, "the condition of `if`", &yes))
        return false;
    return op_stmts(s, yes ? st->c : st->d);
}

static bool plain_stmt(sema *s, ast_node *st)
{
    ast_node *kids[1] = {st};
    ast_node list = {.kind = AST_LIST, .loc = st->loc, .kids = kids, .n_kids = 1};
    if (st->kind == AST_ASSIGN)
        for (uint32_t i = 0; i < ast_n(st->a); i++) forget_array(s->op, ast_at(st->a, i)->text);
    return sema_stmts(s, &list);
}

static bool op_stmt(sema *s, ast_node *st)
{
    switch (st->kind) {
    case AST_ERROR: return false;
    case AST_RETURN: return op_return(s, st);
    case AST_IF: return op_if(s, st);
    case AST_ASSIGN:
        for (uint32_t i = 0; i < ast_n(st->a); i++)
            if (ast_at(st->a, i)->a) return assign_indexed(s, st);
        return plain_stmt(s, st);
    case AST_DIMS:
    case AST_REQUIRE: return plain_stmt(s, st);
    default:
        sema_error(s, E0411, st->loc, "`%s` cannot stand in an op", ast_kind_name(st->kind));
        return false;
    }
}

bool op_stmts(sema *s, const ast_node *list)
{
    for (uint32_t i = 0; i < ast_n(list) && !s->act->returned && !diag_full(s->diag); i++)
        if (!op_stmt(s, ast_at(list, i))) return false;
    return true;
}

bool sema_call_op(sema *s, const ast_node *op)
{
    const char *key;
    size_t n_key = 0;
    if (op->d) return op_call_with_vjp(s, op);
    if (op_memo_find(s, op, &key, &n_key)) return true;
    op_begin(s, op);
    bool ok = op_stmts(s, op->c);
    op_end(s);
    if (ok) op_memo_keep(s, op, key, n_key);
    return ok;
}

/* -- ops that nobody calls --------------------------------------------------------------------- */

static bool checkable(const ast_node *op)
{
    for (uint32_t i = 0; i < ast_n(op->a); i++) {
        const ast_node *f = ast_at(op->a, i);
        if (!ast_is(f, AST_FORMAL)) return false;
        if (f->a->kind == AST_TYPE) {
            if (f->a->text && !strcmp(f->a->text, "any")) return false;
            continue;
        }
        if (f->a->kind != AST_KIND_CONST || !f->b) return false;
    }
    return true;
}

static bool bind_formals(sema *s, const ast_node *op)
{
    for (uint32_t i = 0; i < ast_n(op->a); i++) {
        const ast_node *f = ast_at(op->a, i);
        if (f->a->kind == AST_KIND_CONST) {
            sema_set(s, f->text, sema_expr(s, f->b));
            continue;
        }
        sema_type t;
        if (!sema_eval_type(s, f->a, &t)) return false;
        ir_type it = sema_ir_type(s, &t, f->loc);
        if (!it.i) return false;
        sema_set(s, f->text,
                 sema_tensor(s, ir_input_new(sema_at(s, f->loc), it, IR_ROLE_FORMAL, i, f->text)));
    }
    return true;
}

bool sema_check_op(sema *s, const ast_node *op, sema_file *file)
{
    uint32_t before = diag_n_errors(s->diag);
    if (!checkable(op)) return true;         /* its types are known at calls only */
    sema_root_begin(s, sema_fmt(s, "check.%s", op->text));
    sema_act_begin(s, op, file, op->loc);
    if (bind_formals(s, op)) sema_call_op(s, op);
    if (!s->act->returned && diag_n_errors(s->diag) == before)
        sema_error(s, E0410, op->name_loc, "op `%s` has no `return`", op->text);
    sema_act_end(s);
    sema_root_end(s);
    return diag_n_errors(s->diag) == before;
}

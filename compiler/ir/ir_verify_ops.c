/* ir_verify_ops.c - rules R1 to R6 and R9: one function per op kind. */
#include "compiler/ir/ir_verify.h"

#include <string.h>

bool ir_valid_dim(const ir_module *m, ir_dim d)
{
    return d.i && d.i < m->dims.n && m->dims.p[d.i].extent >= 1;
}

bool ir_same_dims(const ir_type_info *a, const ir_type_info *b)
{
    if (a->rank != b->rank) return false;
    for (int i = 0; i < a->rank; i++)
        if (!ir_has_dim(b, a->dims[i])) return false;
    return true;
}

static bool valid_tensor(const ir_module *m, const ir_type_info *t)
{
    if (!t->dtype || t->dtype >= DFM_DT_COUNT || t->rank > IR_MAX_RANK) return false;
    for (int i = 0; i < t->rank; i++) {
        if (!ir_valid_dim(m, t->dims[i])) return false;
        for (int k = 0; k < i; k++)
            if (t->dims[k].i == t->dims[i].i) return false;
    }
    return true;
}

bool ir_valid_type(const ir_module *m, ir_type t)
{
    if (!t.i || t.i >= m->types.n) return false;
    const ir_type_info *ti = ir_type_of(m, t);
    if (!ti->is_tuple) return valid_tensor(m, ti);
    for (uint32_t i = 0; i < ti->n_members; i++) {
        ir_type member = ti->members[i];
        if (!member.i || member.i >= m->types.n) return false;
        const ir_type_info *inner = ir_type_of(m, member);
        if (inner->is_tuple || !valid_tensor(m, inner)) return false;
    }
    return true;
}

/* -- structure ------------------------------------------------------------------------------- */

static bool valid_ix(const ir_module *m, ir_ix x, uint32_t depth)
{
    if (!x.i || x.i >= m->ixs.n || depth > 1000) return false;
    const ir_ix_node *e = ir_ix_of(m, x);
    switch (e->kind) {
    case IX_CONST: return true;
    case IX_VAR: return ir_valid_dim(m, e->var);
    case IX_ADD: return valid_ix(m, e->a, depth + 1) && valid_ix(m, e->b, depth + 1);
    case IX_DIV:
    case IX_MOD: return e->c > 0 && valid_ix(m, e->a, depth + 1);
    case IX_CLAMP: return e->c <= e->c2 && valid_ix(m, e->a, depth + 1);
    case IX_MUL: return valid_ix(m, e->a, depth + 1);
    default: return false;
    }
}

static bool valid_dims(const ir_module *m, const ir_dim *dims, uint32_t n)
{
    if (n && !dims) return false;
    for (uint32_t i = 0; i < n; i++)
        if (!ir_valid_dim(m, dims[i])) return false;
    return true;
}

static bool view_structure(const ir_check *c)
{
    const ir_view *v = &c->op->at->view;
    uint32_t rank = ir_arg(c, 0)->rank;
    if ((rank && !v->coords) || (v->n_conds && !v->guard)) return false;
    for (uint32_t i = 0; i < rank; i++)
        if (!valid_ix(c->m, v->coords[i], 0)) return false;
    for (uint32_t i = 0; i < v->n_conds; i++)
        if (!valid_ix(c->m, v->guard[i].e, 0)) return false;
    return true;
}

static bool attrs_structure(const ir_check *c)
{
    const ir_attrs *at = c->op->at;
    switch (c->op->kind) {
    case IR_INPUT: return at->input.role >= IR_ROLE_BODY && at->input.role <= IR_ROLE_STATE;
    case IR_PARAM: return at->param < c->m->params.n;
    case IR_CONST: return at->cst.data || !at->cst.n;
    case IR_RANDOM:
        return at->random.dist > IR_DIST_NONE && at->random.dist < IR_DIST_COUNT
            && (!at->random.sample.i || ir_valid_dim(c->m, at->random.sample));
    case IR_MAP: return at->fn > IR_FN_NONE && at->fn < IR_FN_COUNT;
    case IR_VIEW: return view_structure(c);
    case IR_REDUCE:
        return at->reduce.kind > IR_RED_NONE && at->reduce.kind < IR_RED_COUNT
            && valid_dims(c->m, at->reduce.dims, at->reduce.n_dims);
    case IR_CONTRACT:
        if (at->contract.n_pairs && !at->contract.pairs) return false;
        for (uint32_t i = 0; i < at->contract.n_pairs; i++)
            if (!ir_valid_dim(c->m, at->contract.pairs[i].a)
                || !ir_valid_dim(c->m, at->contract.pairs[i].b))
                return false;
        return true;
    case IR_GATHER:
    case IR_SCATTER_ADD: return ir_valid_dim(c->m, at->gather.dim);
    case IR_ATTEND:
    case IR_ATTEND_BWD:
        return ir_valid_dim(c->m, at->attend.seq) && ir_valid_dim(c->m, at->attend.over)
            && ir_valid_dim(c->m, at->attend.feature) && ir_valid_dim(c->m, at->attend.value);
    case IR_SCAN:
        return at->scan.body && at->scan.body < c->m->graphs.n
            && ir_valid_dim(c->m, at->scan.loop);
    case IR_CALL:
        return at->call.body && at->call.body < c->m->graphs.n && at->call.vjp < c->m->graphs.n;
    default: return true;
    }
}

bool ir_check_structure(ir_check *c)
{
    const ir_op *op = c->op;
    if (op->kind <= IR_NONE || op->kind >= IR_OP_COUNT)
        return ir_broken(c, "R1", "no such op: %d", (int)op->kind);
    const ir_op_desc *d = ir_describe(op->kind);
    if (op->n_args < d->min_args || op->n_args > d->max_args)
        return ir_broken(c, "R1", "%s with %u operands", d->name, op->n_args);
    if ((op->n_args && !op->args) || !op->at)
        return ir_broken(c, "R1", "%s without operands or attributes", d->name);
    for (uint32_t i = 0; i < op->n_args; i++) {
        uint32_t arg = op->args[i].i;
        if (!arg || arg >= c->v.i)
            return ir_broken(c, "R1", "operand %%%u of %s does not come before it", arg, d->name);
        if (op->kind != IR_GET && ir_arg(c, i)->is_tuple)
            return ir_broken(c, "R1", "%s takes the tuple %%%u", d->name, arg);
    }
    if (!ir_valid_type(c->m, op->type))
        return ir_broken(c, "R2", "%s has a damaged type, or one with a dim twice", d->name);
    if (!attrs_structure(c)) return ir_broken(c, "R1", "%s has damaged attributes", d->name);
    c->printable = true;
    return true;
}

/* -- leaves ---------------------------------------------------------------------------------- */

static bool check_random(const ir_check *c, const ir_type_info *t)
{
    const ir_random *r = &c->op->at->random;
    for (uint32_t i = 0; i < c->op->n_args; i++)
        if (ir_arg(c, i)->dtype != DFM_I32 || ir_arg(c, i)->rank)
            return ir_broken(c, "R3", "loop counter %u is no i32 scalar", i);
    if (r->sample.i && !ir_has_dim(t, r->sample))
        return ir_broken(c, "R3", "the sample dim is not in the type");
    if (r->dist != IR_RANDINT)
        return dfm_dtype_is_float(t->dtype) || ir_broken(c, "R3", "the draw is not a float");
    if (t->dtype != DFM_I32) return ir_broken(c, "R3", "an integer draw that is not i32");
    if (r->lo >= r->hi || r->lo < INT32_MIN || r->hi > (int64_t)INT32_MAX + 1)
        return ir_broken(c, "R3", "an empty or too wide range");
    return true;
}

static bool check_leaf(const ir_check *c, const ir_type_info *t)
{
    switch (c->op->kind) {
    case IR_PARAM:
        return c->op->type.i == c->m->params.p[c->op->at->param].type.i
            || ir_broken(c, "R9", "the type is not that of the parameter");
    case IR_CONST:
        return c->op->at->cst.n == ir_elems(c->m, c->op->type)
            || ir_broken(c, "R9", "%llu elements for a type of %llu",
                         (unsigned long long)c->op->at->cst.n,
                         (unsigned long long)ir_elems(c->m, c->op->type));
    case IR_IOTA:
        return (t->rank == 1 && t->dtype == DFM_I32)
            || ir_broken(c, "R3", "iota is i32 over one dim");
    case IR_RANDOM: return check_random(c, t);
    default: return true;
    }
}

/* -- pointwise ------------------------------------------------------------------------------- */

/* Is every operand from the k-th on a float, or every one of the integer (or bool) type dt? */
static bool all_float(const ir_check *c, uint32_t k)
{
    for (; k < c->op->n_args; k++)
        if (!dfm_dtype_is_float(ir_arg(c, k)->dtype)) return false;
    return true;
}
static bool all_of(const ir_check *c, uint32_t k, dfm_dtype dt)
{
    for (; k < c->op->n_args; k++)
        if (ir_arg(c, k)->dtype != dt) return false;
    return true;
}

static bool integer(dfm_dtype dt) { return dt == DFM_I32 || dt == DFM_I64 || dt == DFM_U8; }

static bool map_dtypes(const ir_check *c, dfm_dtype result)
{
    dfm_dtype first = ir_arg(c, 0)->dtype;
    switch (ir_fn_class_of(c->op->at->fn)) {
    case IR_ARITH:
        return (all_float(c, 0) && dfm_dtype_is_float(result))
            || (integer(first) && all_of(c, 0, first) && result == first);
    case IR_FLOAT: return all_float(c, 0) && dfm_dtype_is_float(result);
    case IR_CMP:
        return result == DFM_BOOL
            && (all_float(c, 0) || (integer(first) && all_of(c, 0, first)));
    case IR_LOGIC: return result == DFM_BOOL && all_of(c, 0, DFM_BOOL);
    case IR_SELECT:
        return first == DFM_BOOL
            && ((all_float(c, 1) && dfm_dtype_is_float(result)) || all_of(c, 1, result));
    }
    return false;
}

static bool check_map(const ir_check *c, const ir_type_info *t)
{
    if (c->op->n_args != ir_fn_arity(c->op->at->fn)) return ir_broken(c, "R3", "wrong arity");
    for (uint32_t k = 0; k < c->op->n_args; k++)
        for (int i = 0; i < ir_arg(c, k)->rank; i++)
            if (!ir_has_dim(t, ir_arg(c, k)->dims[i]))
                return ir_broken(c, "R3", "dim %s of operand %u is not in the result",
                                 ir_dim_str(c->m, ir_arg(c, k)->dims[i]), k);
    for (int i = 0; i < t->rank; i++) {
        bool held = false;
        for (uint32_t k = 0; k < c->op->n_args; k++) held |= ir_has_dim(ir_arg(c, k), t->dims[i]);
        if (!held)
            return ir_broken(c, "R3", "no operand has dim %s", ir_dim_str(c->m, t->dims[i]));
    }
    return map_dtypes(c, t->dtype) || ir_broken(c, "R3", "the element types do not fit");
}

/* -- views ----------------------------------------------------------------------------------- */

static bool uses_only(const ir_module *m, ir_ix x, const ir_type_info *t)
{
    const ir_ix_node *e = ir_ix_of(m, x);
    if (e->kind == IX_VAR) return ir_has_dim(t, e->var);
    return (!e->a.i || uses_only(m, e->a, t)) && (!e->b.i || uses_only(m, e->b, t));
}

/* Does the guard say that x is inside [0, extent)? Tried by range, then by trying all indices of
 * the dims that occur, if they are at most MAX_TRIES; larger spaces are believed. */
enum { MAX_TRIES = 1 << 16 };

static bool inside(const ir_check *c, ir_ix x, int64_t extent)
{
    const ir_view *v = &c->op->at->view;
    const ir_type_info *t = ir_type_of(c->m, c->op->type);
    int64_t lo, hi, at[IR_MAX_RANK] = {0}, tries = 1;
    ir_dim dims[IR_MAX_RANK];
    uint32_t n = 0;
    ir_ix_range(c->m, x, &lo, &hi);
    if (lo >= 0 && hi < extent) return true;
    for (int i = 0; i < t->rank; i++) {
        bool used = ir_ix_uses(c->m, x, t->dims[i]);
        for (uint32_t k = 0; k < v->n_conds; k++)
            used |= ir_ix_uses(c->m, v->guard[k].e, t->dims[i]);
        if (!used) continue;
        dims[n++] = t->dims[i];
        tries = ir_sat_mul(tries, ir_extent(c->m, t->dims[i]));
    }
    for (int64_t k = 0; k < tries && tries <= MAX_TRIES; k++) {
        bool holds = true;
        for (uint32_t i = 0; i < v->n_conds && holds; i++) {
            int64_t e = ir_ix_eval(c->m, v->guard[i].e, dims, at, n);
            holds = e >= v->guard[i].lo && e <= v->guard[i].hi;
        }
        int64_t e = holds ? ir_ix_eval(c->m, x, dims, at, n) : 0;
        if (e < 0 || e >= extent) return false;
        for (uint32_t d = 0; d < n; d++) {
            if (++at[d] < ir_extent(c->m, dims[d])) break;
            at[d] = 0;
        }
    }
    return tries <= MAX_TRIES || v->n_conds > 0;
}

static bool check_view(const ir_check *c, const ir_type_info *t)
{
    const ir_type_info *src = ir_arg(c, 0);
    const ir_view *v = &c->op->at->view;
    if (src->dtype != t->dtype) return ir_broken(c, "R4", "the element type changes");
    for (int i = 0; i < src->rank; i++)
        if (!uses_only(c->m, v->coords[i], t))
            return ir_broken(c, "R4", "coordinate %d uses a dim that the result lacks", i);
    for (uint32_t i = 0; i < v->n_conds; i++)
        if (!uses_only(c->m, v->guard[i].e, t))
            return ir_broken(c, "R4", "the guard uses a dim that the result lacks");
    for (int i = 0; i < src->rank; i++)
        if (!inside(c, v->coords[i], ir_extent(c->m, src->dims[i])))
            return ir_broken(c, "R4", "coordinate %d leaves the source", i);
    return true;
}

/* -- reduce, contract, gather ---------------------------------------------------------------- */

static bool reduce_dtypes(const ir_reduce *r, dfm_dtype from, dfm_dtype to)
{
    switch (r->kind) {
    case IR_RED_ARGMAX: return from != DFM_BOOL && to == DFM_I32;
    case IR_RED_ANY:
    case IR_RED_ALL: return from == DFM_BOOL && to == DFM_BOOL;
    default: return from != DFM_BOOL && from == to;
    }
}

static bool check_reduce(const ir_check *c, const ir_type_info *t)
{
    const ir_reduce *r = &c->op->at->reduce;
    const ir_type_info *src = ir_arg(c, 0);
    uint32_t kept = 0, found = 0;
    if (!r->n_dims || (r->kind == IR_RED_ARGMAX && r->n_dims != 1))
        return ir_broken(c, "R5", "a reduction over %u dims", r->n_dims);
    for (int i = 0; i < src->rank; i++) {
        uint32_t times = 0;
        for (uint32_t k = 0; k < r->n_dims; k++) times += r->dims[k].i == src->dims[i].i;
        found += times;
        if (times > 1) return ir_broken(c, "R5", "a dim is reduced twice");
        if (times) continue;
        if (kept >= t->rank || t->dims[kept].i != src->dims[i].i)
            return ir_broken(c, "R5", "the result is not the operand without the reduced dims");
        kept++;
    }
    if (kept != t->rank || found != r->n_dims)
        return ir_broken(c, "R5", "the result is not the operand without the reduced dims");
    return reduce_dtypes(r, src->dtype, t->dtype)
        || ir_broken(c, "R5", "the element types do not fit %s", ir_reducer_name(r->kind));
}

/* Takes the paired dims of one side out of the type. */
static bool take_out(ir_type_info *t, ir_dim d)
{
    for (int i = 0; i < t->rank; i++) {
        if (t->dims[i].i != d.i) continue;
        memmove(t->dims + i, t->dims + i + 1, (size_t)(t->rank - i - 1) * sizeof *t->dims);
        t->rank--;
        return true;
    }
    return false;
}

static bool check_contract(const ir_check *c, const ir_type_info *t)
{
    const ir_contract *k = &c->op->at->contract;
    ir_type_info x = *ir_arg(c, 0), y = *ir_arg(c, 1);
    if (!k->n_pairs) return ir_broken(c, "R6", "nothing is summed");
    for (uint32_t i = 0; i < k->n_pairs; i++) {
        if (!take_out(&x, k->pairs[i].a) || !take_out(&y, k->pairs[i].b))
            return ir_broken(c, "R6", "pair %u is not in the operands, or is there twice", i);
        if (ir_extent(c->m, k->pairs[i].a) != ir_extent(c->m, k->pairs[i].b))
            return ir_broken(c, "R6", "the extents of pair %u differ", i);
    }
    int n = x.rank;
    for (int i = 0; i < y.rank; i++) n += !ir_has_dim(&x, y.dims[i]);
    bool ok = n == t->rank;
    for (int i = 0; i < t->rank; i++)
        ok = ok && (ir_has_dim(&x, t->dims[i]) || ir_has_dim(&y, t->dims[i]));
    if (!ok) return ir_broken(c, "R6", "the result is not made of the dims left over");
    return (dfm_dtype_is_float(x.dtype) && dfm_dtype_is_float(y.dtype)
            && dfm_dtype_is_float(t->dtype))
        || ir_broken(c, "R6", "a contraction is of floats");
}

/* rows = table with dim replaced by the index's dims (shared ones once). */
static bool rows_fit(const ir_check *c, const ir_type_info *table, const ir_type_info *index,
                     const ir_type_info *rows)
{
    ir_dim dim = c->op->at->gather.dim;
    int n = 0;
    if (!ir_has_dim(table, dim) || index->dtype != DFM_I32 || table->dtype != rows->dtype)
        return false;
    for (int i = 0; i < table->rank; i++) {
        if (table->dims[i].i == dim.i) continue;
        if (!ir_has_dim(rows, table->dims[i])) return false;
        n++;
    }
    for (int i = 0; i < index->rank; i++) {
        if (!ir_has_dim(rows, index->dims[i])) return false;
        n += index->dims[i].i == dim.i || !ir_has_dim(table, index->dims[i]);
    }
    return n == rows->rank;
}

bool ir_check_op(const ir_check *c)
{
    const ir_op *op = c->op;
    const ir_type_info *t = ir_type_of(c->m, op->type);
    bool tuple = op->kind == IR_ATTEND || op->kind == IR_ATTEND_BWD || op->kind == IR_SCAN;
    if (op->kind != IR_CALL && t->is_tuple != tuple)
        return ir_broken(c, "R1", tuple ? "the result is a tuple" : "the result is no tuple");
    switch (op->kind) {
    case IR_MAP: return check_map(c, t);
    case IR_CAST:
        return (ir_arg(c, 0)->rank == t->rank
                && !memcmp(ir_arg(c, 0)->dims, t->dims, t->rank * sizeof *t->dims))
            || ir_broken(c, "R3", "a cast keeps the dims");
    case IR_STOP_GRAD:
        return ir_type_at(c->g, op->args[0]).i == op->type.i
            || ir_broken(c, "R3", "stop_grad keeps the type");
    case IR_VIEW: return check_view(c, t);
    case IR_REDUCE: return check_reduce(c, t);
    case IR_CONTRACT: return check_contract(c, t);
    case IR_GATHER:
        return rows_fit(c, ir_arg(c, 0), ir_arg(c, 1), t)
            || ir_broken(c, "R3", "the result is not rows of the table at an i32 index");
    case IR_SCATTER_ADD:
        return (dfm_dtype_is_float(t->dtype) && rows_fit(c, t, ir_arg(c, 0), ir_arg(c, 1)))
            || ir_broken(c, "R3", "the updates are not rows of the result at an i32 index");
    case IR_ATTEND: return ir_check_attend(c);
    case IR_ATTEND_BWD: return ir_check_attend_bwd(c);
    case IR_SCAN: return ir_check_scan(c);
    case IR_CALL: return ir_check_call(c);
    case IR_GET: {
        const ir_type_info *from = ir_arg(c, 0);
        return (from->is_tuple && op->at->member < from->n_members
                && from->members[op->at->member].i == op->type.i)
            || ir_broken(c, "R1", "get takes a member of a tuple");
    }
    default: return check_leaf(c, t);
    }
}

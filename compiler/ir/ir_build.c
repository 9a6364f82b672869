/* ir_build.c - one emitter per op: result types, identities, and the fold before each emission. */
#include "compiler/ir/ir_impl.h"

#include <string.h>

static const ir_type_info *info_of(const ir_builder *b, ir_val v)
{
    return ir_type_of(b->m, ir_type_at(b->g, v));
}

/* -- leaves ---------------------------------------------------------------------------------- */

ir_val ir_input_new(ir_builder *b, ir_type t, ir_role role, uint32_t index, const char *name)
{
    dfm_name nm = dfm_intern(b->m->names, name ? name : "");
    ir_attrs at = {.input = {.role = role, .index = index, .name = nm}};
    return ir_emit(b, IR_INPUT, t, NULL, 0, &at);
}

ir_val ir_param_ref(ir_builder *b, uint32_t param)
{
    DFM_ASSERT(param < b->m->params.n);
    ir_attrs at = {.param = param};
    return ir_emit(b, IR_PARAM, b->m->params.p[param].type, NULL, 0, &at);
}

ir_val ir_table(ir_builder *b, ir_type t, const double *data)
{
    ir_attrs at = {.cst = {.data = data, .n = ir_elems(b->m, t)}};
    return ir_emit(b, IR_CONST, t, NULL, 0, &at);
}

ir_val ir_scalar(ir_builder *b, dfm_dtype dt, double x)
{
    return ir_table(b, ir_tensor(b->m, dt, NULL, 0), dfm_dup(b->m->arena, &x, sizeof x));
}

ir_val ir_iota(ir_builder *b, ir_dim d)
{
    if (ir_extent(b->m, d) == 1)
        return ir_splat(b, ir_tensor(b->m, DFM_I32, &d, 1), 0);
    return ir_emit(b, IR_IOTA, ir_tensor(b->m, DFM_I32, &d, 1), NULL, 0, NULL);
}

ir_val ir_random_draw(ir_builder *b, ir_type t, const ir_random *at, const ir_val *loops,
                      uint32_t n_loops)
{
    ir_attrs a = {.random = *at};
    DFM_ASSERT(n_loops <= 4);
    return ir_emit(b, IR_RANDOM, t, loops, n_loops, &a);
}

/* -- pointwise ------------------------------------------------------------------------------- */

static dfm_dtype float_mix(const ir_builder *b, const ir_val *args, uint32_t n)
{
    dfm_dtype first = info_of(b, args[0])->dtype;
    for (uint32_t i = 1; i < n; i++)
        if (info_of(b, args[i])->dtype != first) return DFM_F32;
    return first;
}

ir_type ir_map_type(ir_module *m, const ir_graph *g, ir_fn fn, const ir_val *args, uint32_t n)
{
    ir_builder b = {.m = m, .g = (ir_graph *)g};
    dfm_dtype dt = DFM_BOOL;
    switch (ir_fn_class_of(fn)) {
    case IR_ARITH:
    case IR_FLOAT: dt = float_mix(&b, args, n); break;
    case IR_SELECT: dt = float_mix(&b, args + 1, n - 1); break;
    case IR_CMP:
    case IR_LOGIC: break;
    }
    uint32_t first = 0;                      /* the order of the largest operand, then the rest */
    for (uint32_t i = 1; i < n; i++)
        if (info_of(&b, args[i])->rank > info_of(&b, args[first])->rank) first = i;
    ir_type t = ir_with_dtype(m, ir_type_at(g, args[first]), dt);
    for (uint32_t i = 0; i < n; i++) t = ir_union(m, dt, t, ir_type_at(g, args[i]));
    return t;
}

static ir_val map_n(ir_builder *b, ir_fn fn, const ir_val *args, uint32_t n)
{
    DFM_ASSERT(ir_fn_arity(fn) == n);
    return ir_map_typed(b, fn, args, n, ir_map_type(b->m, b->g, fn, args, n));
}

ir_val ir_map1(ir_builder *b, ir_fn fn, ir_val x) { return map_n(b, fn, &x, 1); }
ir_val ir_map2(ir_builder *b, ir_fn fn, ir_val x, ir_val y)
{
    return map_n(b, fn, (ir_val[]){x, y}, 2);
}
ir_val ir_map3(ir_builder *b, ir_fn fn, ir_val x, ir_val y, ir_val z)
{
    return map_n(b, fn, (ir_val[]){x, y, z}, 3);
}

/* Does every value of `from` have an equal value in `to`? */
static bool widens(dfm_dtype from, dfm_dtype to)
{
    if (from == to) return true;
    switch (to) {
    case DFM_F64: return from != DFM_I64;
    case DFM_F32: return from == DFM_BF16 || from == DFM_F16 || from == DFM_BOOL || from == DFM_U8;
    case DFM_I64: return from == DFM_I32 || from == DFM_U8 || from == DFM_BOOL;
    case DFM_I32: return from == DFM_U8 || from == DFM_BOOL;
    default: return from == DFM_BOOL;
    }
}

ir_val ir_cast(ir_builder *b, ir_val x, dfm_dtype dt)
{
    const ir_op *op = ir_op_of(b->g, x);
    dfm_dtype from = info_of(b, x)->dtype;
    if (from == dt) return x;
    if (op->kind == IR_CAST && widens(info_of(b, op->args[0])->dtype, from))
        return ir_cast(b, op->args[0], dt);
    ir_type t = ir_with_dtype(b->m, op->type, dt);
    double s;
    if (op->kind == IR_VIEW && ir_splat_of(b->g, x, &s)) {  /* keep broadcasts outermost */
        return ir_broadcast(b, ir_cast(b, ir_scalar(b, from, s), dt), t);
    }
    ir_val folded = ir_fold_constant(b, IR_CAST, &x, 1, NULL, t);
    return folded.i ? folded : ir_emit(b, IR_CAST, t, &x, 1, NULL);
}

ir_val ir_stop_grad(ir_builder *b, ir_val x)
{
    const ir_op *op = ir_op_of(b->g, x);
    if (op->kind == IR_STOP_GRAD || op->kind == IR_CONST || op->kind == IR_IOTA) return x;
    return ir_emit(b, IR_STOP_GRAD, op->type, &x, 1, NULL);
}

/* -- reduce ---------------------------------------------------------------------------------- */

static ir_val reduce_unit_dims(ir_builder *b, ir_reducer kind, ir_val x, const ir_dim *dims,
                               uint32_t n)
{
    ir_type_info ti = *info_of(b, x);
    ir_type t = ir_without_dims(b->m, ir_type_at(b->g, x), dims, n);
    if (kind == IR_RED_ARGMAX) return ir_splat(b, ir_with_dtype(b->m, t, DFM_I32), 0);
    ir_ix coords[IR_MAX_RANK];
    for (int i = 0; i < ti.rank; i++)
        coords[i] = ir_dim_at(b->m, t, ti.dims[i]) >= 0 ? ir_ix_var(b->m, ti.dims[i])
                                                         : ir_ix_const(b->m, 0);
    return ir_view_of(b, x, t, coords, NULL, 0, 0);
}

static double power(double x, double n)
{
    double r = 1;
    while (n-- > 0) r *= x;
    return r;
}

/* Dims along which x is constant leave the reduction: a sum becomes a product with the extent. */
static ir_val reduce_constant_dims(ir_builder *b, ir_reducer kind, ir_val x, const ir_dim *dims,
                                   uint32_t n)
{
    const ir_op *op = ir_op_of(b->g, x);
    ir_dim idle[IR_MAX_RANK];
    uint32_t n_idle = 0;
    double count = 1, s;
    if (op->kind != IR_VIEW || kind == IR_RED_ARGMAX) return (ir_val){0};
    for (uint32_t k = 0; k < n; k++) {
        bool used = false;
        for (int i = 0; i < info_of(b, op->args[0])->rank; i++)
            used |= ir_ix_uses(b->m, op->at->view.coords[i], dims[k]);
        for (uint32_t i = 0; i < op->at->view.n_conds; i++)
            used |= ir_ix_uses(b->m, op->at->view.guard[i].e, dims[k]);
        if (used) continue;
        idle[n_idle++] = dims[k];
        count *= (double)ir_extent(b->m, dims[k]);
    }
    if (!n_idle) return (ir_val){0};
    ir_type t = ir_without_dims(b->m, op->type, idle, n_idle);
    dfm_dtype dt = ir_type_of(b->m, t)->dtype;
    if (kind == IR_RED_PROD) {
        if (!ir_splat_of(b->g, x, &s) || n_idle != n || count > 64) return (ir_val){0};
        return ir_splat(b, t, power(s, count));
    }
    ir_val y = ir_view_of(b, op->args[0], t, op->at->view.coords, op->at->view.guard,
                          op->at->view.n_conds, op->at->view.fill);
    ir_dim rest[IR_MAX_RANK];
    uint32_t n_rest = 0;
    for (uint32_t k = 0; k < n; k++)
        if (ir_dim_at(b->m, t, dims[k]) >= 0) rest[n_rest++] = dims[k];
    y = ir_reduce_over(b, kind, y, rest, n_rest);
    return kind == IR_RED_SUM ? ir_map2(b, IR_FN_MUL, y, ir_scalar(b, dt, count)) : y;
}

/* A reduction of a renamed or transposed value is that of the value, renamed or transposed. */
static ir_val reduce_through_view(ir_builder *b, ir_reducer kind, ir_val x, const ir_dim *dims,
                                  uint32_t n)
{
    const ir_op *op = ir_op_of(b->g, x);
    if (op->kind != IR_VIEW || op->at->view.n_conds) return (ir_val){0};
    ir_type_info src = *info_of(b, op->args[0]);
    ir_dim mapped[IR_MAX_RANK];
    ir_ix coords[IR_MAX_RANK];
    uint32_t k = 0, kept = 0;
    if (src.rank != ir_type_of(b->m, op->type)->rank) return (ir_val){0};
    for (int i = 0; i < src.rank; i++) {
        ir_ix at = op->at->view.coords[i];
        const ir_ix_node *e = ir_ix_of(b->m, at);
        bool reduced = false;
        if (e->kind != IX_VAR || ir_extent(b->m, e->var) != ir_extent(b->m, src.dims[i]))
            return (ir_val){0};
        for (int j = 0; j < i; j++)
            if (op->at->view.coords[j].i == at.i) return (ir_val){0};
        for (uint32_t j = 0; j < n; j++) reduced |= dims[j].i == e->var.i;
        if (reduced) mapped[k++] = src.dims[i];
        else coords[kept++] = at;
    }
    ir_type t = ir_without_dims(b->m, op->type, dims, n);
    ir_val y = ir_reduce_over(b, kind, op->args[0], mapped, k);
    return ir_view_of(b, y, ir_with_dtype(b->m, t, info_of(b, y)->dtype), coords, NULL, 0, 0);
}

/* Dims in the order of the operand's type, each once. */
static uint32_t sort_dims(const ir_builder *b, ir_val x, const ir_dim *dims, uint32_t n,
                          ir_dim *out)
{
    const ir_type_info *ti = info_of(b, x);
    uint32_t k = 0;
    for (int i = 0; i < ti->rank; i++)
        for (uint32_t j = 0; j < n; j++)
            if (dims[j].i == ti->dims[i].i) {
                out[k++] = dims[j];
                break;
            }
    return k;
}

ir_val ir_reduce_over(ir_builder *b, ir_reducer kind, ir_val x, const ir_dim *dims, uint32_t n)
{
    ir_dim sorted[IR_MAX_RANK], unit[IR_MAX_RANK], both[2 * IR_MAX_RANK];
    for (uint32_t i = 0; i < n; i++)
        DFM_ASSERT(ir_dim_at(b->m, ir_type_at(b->g, x), dims[i]) >= 0);
    n = sort_dims(b, x, dims, n, sorted);
    if (!n) return x;
    const ir_op *op = ir_op_of(b->g, x);
    if (op->kind == IR_REDUCE && op->at->reduce.kind == kind && kind != IR_RED_ARGMAX) {
        memcpy(both, sorted, n * sizeof *both);
        memcpy(both + n, op->at->reduce.dims, op->at->reduce.n_dims * sizeof *both);
        return ir_reduce_over(b, kind, op->args[0], both, n + op->at->reduce.n_dims);
    }
    ir_val inner = reduce_through_view(b, kind, x, sorted, n);
    if (inner.i) return inner;
    uint32_t n_unit = 0;
    for (uint32_t i = 0; i < n; i++)
        if (ir_extent(b->m, sorted[i]) == 1) unit[n_unit++] = sorted[i];
    if (n_unit) {
        ir_val y = reduce_unit_dims(b, kind, x, unit, n_unit);
        if (kind == IR_RED_ARGMAX) return y;
        uint32_t rest = 0;
        for (uint32_t i = 0; i < n; i++)
            if (ir_extent(b->m, sorted[i]) > 1) sorted[rest++] = sorted[i];
        return ir_reduce_over(b, kind, y, sorted, rest);
    }
    ir_val y = reduce_constant_dims(b, kind, x, sorted, n);
    if (y.i) return y;
    ir_type t = ir_without_dims(b->m, op->type, sorted, n);
    if (kind == IR_RED_ARGMAX) t = ir_with_dtype(b->m, t, DFM_I32);
    ir_attrs at = {.reduce = {.kind = kind, .n_dims = n, .dims = sorted}};
    y = ir_fold_constant(b, IR_REDUCE, &x, 1, &at, t);
    return y.i ? y : ir_emit(b, IR_REDUCE, t, &x, 1, &at);
}

/* -- contract -------------------------------------------------------------------------------- */

ir_type ir_contract_type(ir_module *m, ir_type x, ir_type y, const ir_pair *pairs, uint32_t n,
                         dfm_dtype dt)
{
    ir_dim a[IR_MAX_RANK], c[IR_MAX_RANK];
    for (uint32_t i = 0; i < n; i++) {
        a[i] = pairs[i].a;
        c[i] = pairs[i].b;
    }
    return ir_union(m, dt, ir_without_dims(m, x, a, n), ir_without_dims(m, y, c, n));
}

/* If x is a rename or transposition of another value, use that one where every dim of the source
 * is either paired or keeps its name. (A pair names one dim of each side, so a name that also
 * occurs on the other side is in nobody's way.) */
static bool contract_through(ir_builder *b, ir_val *x, ir_pair *pairs, uint32_t n, bool left)
{
    const ir_op *op = ir_op_of(b->g, *x);
    if (op->kind != IR_VIEW || op->at->view.n_conds) return false;
    const ir_type_info *src = info_of(b, op->args[0]), *res = ir_type_of(b->m, op->type);
    if (src->rank != res->rank) return false;
    ir_pair fresh[IR_MAX_RANK];
    memcpy(fresh, pairs, n * sizeof *pairs);
    for (int i = 0; i < src->rank; i++) {
        const ir_ix_node *e = ir_ix_of(b->m, op->at->view.coords[i]);
        if (e->kind != IX_VAR || ir_extent(b->m, e->var) != ir_extent(b->m, src->dims[i]))
            return false;
        bool paired = false;
        for (int j = 0; j < i; j++)
            if (op->at->view.coords[j].i == op->at->view.coords[i].i) return false;
        for (uint32_t k = 0; k < n; k++) {
            if ((left ? pairs[k].a : pairs[k].b).i != e->var.i) continue;
            *(left ? &fresh[k].a : &fresh[k].b) = src->dims[i];
            paired = true;
        }
        if (!paired && e->var.i != src->dims[i].i) return false;
    }
    memcpy(pairs, fresh, n * sizeof *pairs);
    *x = op->args[0];
    return true;
}

ir_val ir_contract_over(ir_builder *b, ir_val x, ir_val y, const ir_pair *pairs, uint32_t n,
                        ir_type t)
{
    ir_pair p[IR_MAX_RANK];
    ir_val args[2] = {x, y};
    DFM_ASSERT(n <= IR_MAX_RANK);
    if (!n) {                                           /* an outer product */
        dfm_dtype dt = ir_type_of(b->m, t)->dtype;
        ir_val f32[2] = {x, y};
        if (dt == DFM_F32 && info_of(b, x)->dtype != DFM_F32) f32[0] = ir_cast(b, x, DFM_F32);
        return ir_fit(b, ir_map2(b, IR_FN_MUL, f32[0], f32[1]), t);
    }
    for (uint32_t i = 0; i < n; i++) {
        DFM_ASSERT(ir_extent(b->m, pairs[i].a) == ir_extent(b->m, pairs[i].b));
        p[i] = pairs[i];
        for (uint32_t k = i; k > 0 && p[k].a.i < p[k - 1].a.i; k--) {
            ir_pair swap = p[k];
            p[k] = p[k - 1];
            p[k - 1] = swap;
        }
    }
    while (contract_through(b, &args[0], p, n, true)) {}
    while (contract_through(b, &args[1], p, n, false)) {}
    ir_attrs at = {.contract = {.n_pairs = n, .pairs = p}};
    return ir_emit(b, IR_CONTRACT, t, args, 2, &at);
}

/* -- gather, scatter, attend ------------------------------------------------------------------ */

ir_type ir_gather_type(ir_module *m, ir_type table, ir_dim dim, ir_type index)
{
    const ir_type_info *tt = ir_type_of(m, table), *ti = ir_type_of(m, index);
    ir_dim dims[3 * IR_MAX_RANK];
    uint32_t n = 0;
    for (int i = 0; i < tt->rank; i++) {
        if (tt->dims[i].i != dim.i) {
            dims[n++] = tt->dims[i];
            continue;
        }
        for (int k = 0; k < ti->rank; k++)
            if (!ir_has_dim(tt, ti->dims[k]) || ti->dims[k].i == dim.i) dims[n++] = ti->dims[k];
    }
    return ir_tensor(m, tt->dtype, dims, n);
}

/* A gather whose index is an index expression is a view. */
static ir_val gather_as_view(ir_builder *b, ir_val table, ir_dim dim, ir_val index, ir_type t)
{
    ir_ix at, coords[IR_MAX_RANK];
    if (!ir_ix_of_val(b->m, b->g, index, &at)) return (ir_val){0};
    ir_type_info tt = *info_of(b, table);
    for (int i = 0; i < tt.rank; i++)
        coords[i] = tt.dims[i].i == dim.i
            ? ir_ix_clamp(b->m, at, 0, ir_extent(b->m, dim) - 1) : ir_ix_var(b->m, tt.dims[i]);
    return ir_view_of(b, table, t, coords, NULL, 0, 0);
}

ir_val ir_gather_rows(ir_builder *b, ir_val table, ir_dim dim, ir_val index)
{
    ir_type t = ir_gather_type(b->m, ir_type_at(b->g, table), dim, ir_type_at(b->g, index));
    ir_val args[2] = {table, index}, v = gather_as_view(b, table, dim, index, t);
    double s;
    if (v.i) return v;
    if (ir_splat_of(b->g, table, &s)) return ir_splat(b, t, s);
    ir_attrs at = {.gather = {.dim = dim}};
    v = ir_fold_constant(b, IR_GATHER, args, 2, &at, t);
    return v.i ? v : ir_emit(b, IR_GATHER, t, args, 2, &at);
}

ir_val ir_scatter_add_rows(ir_builder *b, ir_val index, ir_val updates, ir_dim dim, ir_type t)
{
    ir_attrs at = {.gather = {.dim = dim}};
    return ir_emit(b, IR_SCATTER_ADD, t, (ir_val[]){index, updates}, 2, &at);
}

ir_type ir_attend_type(ir_module *m, ir_type q, ir_type v, const ir_attend *at)
{
    ir_type_info ti = *ir_type_of(m, q);
    for (int i = 0; i < ti.rank; i++)
        if (ti.dims[i].i == at->feature.i) ti.dims[i] = at->value;
    ir_type o = ir_tensor(m, ti.dtype, ti.dims, ti.rank);
    ir_type lse = ir_with_dtype(m, ir_without_dims(m, q, &at->feature, 1), DFM_F32);
    return ir_tuple(m, (ir_type[]){o, lse}, 2);
}

ir_val ir_attend_fwd(ir_builder *b, ir_val q, ir_val k, ir_val v, ir_val mask_or_none,
                     const ir_attend *at)
{
    ir_attrs a = {.attend = *at};
    ir_type t = ir_attend_type(b->m, ir_type_at(b->g, q), ir_type_at(b->g, v), at);
    return ir_emit(b, IR_ATTEND, t, (ir_val[]){q, k, v, mask_or_none}, mask_or_none.i ? 4 : 3, &a);
}

ir_val ir_attend_back(ir_builder *b, ir_val q, ir_val k, ir_val v, ir_val o, ir_val lse, ir_val d_o,
                      ir_val mask_or_none, const ir_attend *at)
{
    ir_attrs a = {.attend = *at};
    ir_type t[3] = {ir_type_at(b->g, q), ir_type_at(b->g, k), ir_type_at(b->g, v)};
    return ir_emit(b, IR_ATTEND_BWD, ir_tuple(b->m, t, 3),
                   (ir_val[]){q, k, v, o, lse, d_o, mask_or_none}, mask_or_none.i ? 7 : 6, &a);
}

/* -- control --------------------------------------------------------------------------------- */

ir_type ir_scan_type(ir_module *m, const ir_scan *at)
{
    const ir_graph *body = m->graphs.p[at->body];
    uint32_t n = at->n_carry + at->n_ys;
    ir_type *members = dfm_new_n(m->arena, ir_type, n);
    DFM_ASSERT(body->results.n == n);
    for (uint32_t i = 0; i < n; i++) {
        members[i] = ir_type_at(body, body->results.p[i].val);
        if (i < at->n_carry) continue;
        const ir_type_info *ti = ir_type_of(m, members[i]);
        ir_type loop = ir_tensor(m, ti->dtype, &at->loop, 1);
        members[i] = ir_union(m, ti->dtype, loop, members[i]);
    }
    return ir_tuple(m, members, n);
}

ir_type ir_call_type(ir_module *m, const ir_call *at)
{
    const ir_graph *body = m->graphs.p[at->body];
    if (body->results.n == 1) return ir_type_at(body, body->results.p[0].val);
    ir_type *members = dfm_new_n(m->arena, ir_type, body->results.n);
    for (uint32_t i = 0; i < body->results.n; i++)
        members[i] = ir_type_at(body, body->results.p[i].val);
    return ir_tuple(m, members, body->results.n);
}

ir_val ir_scan_over(ir_builder *b, const ir_scan *at, const ir_val *args, uint32_t n)
{
    ir_attrs a = {.scan = *at};
    DFM_ASSERT(n == at->n_carry + at->n_xs + at->n_caps);
    a.scan.body = ir_same_body(b->m, at->body);
    return ir_emit(b, IR_SCAN, ir_scan_type(b->m, at), args, n, &a);
}

ir_val ir_call_op(ir_builder *b, const ir_call *at, const ir_val *args, uint32_t n)
{
    ir_attrs a = {.call = *at};
    a.call.body = ir_same_body(b->m, at->body);
    return ir_emit(b, IR_CALL, ir_call_type(b->m, at), args, n, &a);
}

ir_val ir_get(ir_builder *b, ir_val tuple, uint32_t member)
{
    const ir_type_info *ti = info_of(b, tuple);
    ir_attrs at = {.member = member};
    if (!ti->is_tuple && !member) return tuple;
    DFM_ASSERT(ti->is_tuple && member < ti->n_members);
    return ir_emit(b, IR_GET, ti->members[member], &tuple, 1, &at);
}

void ir_result_add(ir_builder *b, ir_val v, const char *name)
{
    ir_result r = {v, dfm_intern(b->m->names, name ? name : "")};
    dfm_push(b->m->arena, &b->g->results, r);
}

void ir_set_name(ir_builder *b, ir_val v, const char *name)
{
    ir_op *op = &b->g->ops.p[v.i];
    if (!op->name.i) op->name = dfm_intern(b->m->names, name);
}

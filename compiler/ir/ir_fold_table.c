/* ir_fold_table.c - what depends on constants and iota alone, evaluated in float64.
 *
 * Tables are folded without rounding in between: their data stays float64 whatever their dtype,
 * and is rounded when it is materialised; only a cast to bf16 or to an integer rounds. Integer and
 * logical expressions of iota stay symbolic (guards, masks): they cost nothing to compute and
 * would fill memory as tables. So do plain broadcasts.
 */
#include "compiler/ir/ir_impl.h"

#include <string.h>

enum { MAX_DEPTH = 64, MAX_NODES = 200, MAX_INT_TABLE = 1 << 16 };

/* Does v depend on nothing but consts and iota, through cheap ops? *table: on a const of rank
 * above 0. Every value on the way has at most IR_FOLD_ELEMS elements, and *nodes, which counts the
 * steps of the walk, ends at MAX_NODES: shared operands are visited again. */
static bool is_constant(const ir_module *m, const ir_graph *g, ir_val v, uint32_t *nodes,
                        bool *table)
{
    const ir_op *op = ir_op_of(g, v);
    if (++*nodes > MAX_NODES || ir_type_of(m, op->type)->is_tuple
        || ir_elems(m, op->type) > IR_FOLD_ELEMS)
        return false;
    switch (op->kind) {
    case IR_CONST: *table |= ir_type_of(m, op->type)->rank > 0; return true;
    case IR_IOTA: return true;
    case IR_MAP:
    case IR_CAST:
    case IR_VIEW:
    case IR_REDUCE:
        for (uint32_t i = 0; i < op->n_args; i++)
            if (!is_constant(m, g, op->args[i], nodes, table)) return false;
        return true;
    default: return false;
    }
}

/* The value of a constant expression. At most MAX_NODES steps. */
static const double *evaluate(ir_module *m, const ir_graph *g, ir_val v, dfm_arena *a)
{
    const ir_op *op = ir_op_of(g, v);
    const double *args[3];
    if (op->kind == IR_CONST) return op->at->cst.data;
    for (uint32_t i = 0; i < op->n_args; i++) args[i] = evaluate(m, g, op->args[i], a);
    double *out = dfm_new_n(a, double, ir_elems(m, op->type));
    ir_eval_op(m, g, op, args, out);
    return out;
}

/* Is a map of this kind worth a table, when its operands are constant? */
static bool map_folds(const ir_builder *b, ir_fn fn, ir_type t, bool table)
{
    if (!dfm_dtype_is_float(ir_type_of(b->m, t)->dtype))
        return table && ir_elems(b->m, t) <= MAX_INT_TABLE;
    return table || ir_fn_class_of(fn) == IR_FLOAT || fn == IR_FN_DIV;
}

static bool op_folds(const ir_builder *b, ir_op_kind k, const ir_attrs *at, ir_type t, bool table)
{
    switch (k) {
    case IR_MAP: return map_folds(b, at->fn, t, table);
    case IR_CAST: return true;
    case IR_VIEW:
    case IR_GATHER: return table;
    case IR_REDUCE: return true;
    default: return false;
    }
}

ir_val ir_fold_constant(ir_builder *b, ir_op_kind k, const ir_val *args, uint32_t n,
                        const ir_attrs *at, ir_type t)
{
    static const ir_attrs no_attrs;
    bool table = false;
    uint32_t nodes = 0;
    if (ir_elems(b->m, t) > IR_FOLD_ELEMS) return (ir_val){0};
    for (uint32_t i = 0; i < n; i++) {
        const ir_op *op = ir_op_of(b->g, args[i]);
        if (!is_constant(b->m, b->g, args[i], &nodes, &table)) return (ir_val){0};
        /* A cast or view is done as soon as its operand is a const. */
        if ((k == IR_CAST || k == IR_VIEW) && op->kind != IR_CONST) return (ir_val){0};
    }
    if (!op_folds(b, k, at, t, table)) return (ir_val){0};
    ir_op op = {.kind = k, .n_args = n, .args = args, .at = at ? at : &no_attrs, .type = t};
    const double *values[3];
    dfm_arena *scratch = dfm_arena_create("fold");
    double *out = dfm_new_n(b->m->arena, double, ir_elems(b->m, t));
    for (uint32_t i = 0; i < n; i++) values[i] = evaluate(b->m, b->g, args[i], scratch);
    ir_eval_op(b->m, b->g, &op, values, out);
    dfm_arena_destroy(scratch);
    return ir_table(b, t, out);
}

/* -- maps of gathers ------------------------------------------------------------------------- */

static bool is_table_gather(const ir_builder *b, ir_val v)
{
    const ir_op *op = ir_op_of(b->g, v);
    if (op->kind != IR_GATHER || !ir_const_of(b->g, op->args[0])) return false;
    const ir_type_info *idx = ir_type_of(b->m, ir_type_at(b->g, op->args[1]));
    for (int i = 0; i < idx->rank; i++)                 /* no dim of the table is a batch dim */
        if (ir_dim_at(b->m, ir_type_at(b->g, op->args[0]), idx->dims[i]) >= 0) return false;
    return true;
}

/* An operand that may join the table: one constant, or a table without the index's dims. */
static bool joins(const ir_builder *b, ir_val v, const ir_op *gather)
{
    double s;
    if (ir_splat_of(b->g, v, &s)) return ir_type_of(b->m, ir_type_at(b->g, v))->rank == 0;
    if (!ir_const_of(b->g, v)) return false;
    const ir_type_info *t = ir_type_of(b->m, ir_type_at(b->g, v));
    const ir_type_info *idx = ir_type_of(b->m, ir_type_at(b->g, gather->args[1]));
    for (int i = 0; i < idx->rank; i++)
        if (ir_has_dim(t, idx->dims[i])) return false;
    return !ir_has_dim(t, gather->at->gather.dim);
}

/* map(gather(T, i), gather(U, i), c) = gather(map(T, U, c), i), the map in float64. */
ir_val ir_fold_gathers(ir_builder *b, ir_fn fn, const ir_val *args, uint32_t n, ir_type t)
{
    const ir_op *first = NULL;
    ir_val tables[3];
    for (uint32_t k = 0; k < n; k++)
        if (!first && is_table_gather(b, args[k])) first = ir_op_of(b->g, args[k]);
    if (!first) return (ir_val){0};
    for (uint32_t k = 0; k < n; k++) {
        const ir_op *op = ir_op_of(b->g, args[k]);
        if (is_table_gather(b, args[k])) {
            if (op->args[1].i != first->args[1].i
                || op->at->gather.dim.i != first->at->gather.dim.i)
                return (ir_val){0};
            tables[k] = op->args[0];
        } else if (joins(b, args[k], first)) {
            tables[k] = args[k];
        } else {
            return (ir_val){0};
        }
    }
    ir_dim dim = first->at->gather.dim;
    ir_val index = first->args[1];
    ir_type whole = ir_map_type(b->m, b->g, fn, tables, n);
    if (ir_elems(b->m, whole) > IR_FOLD_ELEMS) return (ir_val){0};
    ir_val table = ir_map_typed(b, fn, tables, n, whole);
    if (!ir_const_of(b->g, table)) return (ir_val){0};
    return ir_fit(b, ir_gather_rows(b, table, dim, index), t);
}

/* -- integers as index expressions ----------------------------------------------------------- */

static bool scalar_int(const ir_graph *g, ir_val v, int64_t *out)
{
    double s;
    if (!ir_splat_of(g, v, &s) || s != (double)(int64_t)s || s > 1e15 || s < -1e15) return false;
    *out = (int64_t)s;
    return true;
}

static bool ix_of(ir_module *m, const ir_graph *g, ir_val v, ir_ix *out, uint32_t depth);

static bool ix_of_map(ir_module *m, const ir_graph *g, const ir_op *op, ir_ix *out, uint32_t depth)
{
    ir_ix x, y;
    int64_t c;
    if (!ix_of(m, g, op->args[0], &x, depth)) return false;
    if (op->at->fn == IR_FN_NEG) {
        *out = ir_ix_mul(m, x, -1);
        return true;
    }
    if (op->n_args != 2 || !ix_of(m, g, op->args[1], &y, depth)) return false;
    bool constant = scalar_int(g, op->args[1], &c);
    switch (op->at->fn) {
    case IR_FN_ADD: *out = ir_ix_add(m, x, y); return true;
    case IR_FN_SUB: *out = ir_ix_add(m, x, ir_ix_mul(m, y, -1)); return true;
    case IR_FN_MUL:
        if (!constant) return false;
        *out = ir_ix_mul(m, x, c);
        return true;
    case IR_FN_DIV:
    case IR_FN_MOD:
        if (!constant || c <= 0) return false;
        *out = op->at->fn == IR_FN_DIV ? ir_ix_div(m, x, c) : ir_ix_mod(m, x, c);
        return true;
    case IR_FN_MIN:
    case IR_FN_MAX:
        if (!constant) return false;
        *out = op->at->fn == IR_FN_MIN ? ir_ix_clamp(m, x, INT64_MIN, c)
                                       : ir_ix_clamp(m, x, c, INT64_MAX);
        return true;
    default: return false;
    }
}

static bool ix_of(ir_module *m, const ir_graph *g, ir_val v, ir_ix *out, uint32_t depth)
{
    const ir_op *op = ir_op_of(g, v);
    const ir_type_info *t = ir_type_of(m, op->type);
    int64_t c;
    if (t->is_tuple || t->dtype != DFM_I32 || depth > MAX_DEPTH) return false;
    if (scalar_int(g, v, &c)) {
        *out = ir_ix_const(m, c);
        return true;
    }
    if (op->kind == IR_IOTA) {
        *out = ir_ix_var(m, t->dims[0]);
        return true;
    }
    if (op->kind == IR_MAP) return ix_of_map(m, g, op, out, depth + 1);
    if (op->kind != IR_VIEW || op->at->view.n_conds) return false;
    const ir_type_info *src = ir_type_of(m, ir_type_at(g, op->args[0]));
    if (!ix_of(m, g, op->args[0], out, depth + 1)) return false;
    *out = ir_ix_subst(m, *out, src->dims, op->at->view.coords, src->rank);
    return true;
}

bool ir_ix_of_val(ir_module *m, const ir_graph *g, ir_val v, ir_ix *out)
{
    return ix_of(m, g, v, out, 0);
}

/* ir_fold.c - algebraic identities of `map`, applied as it is emitted.
 *
 * An identity is used only where it holds for every float, NaN and infinities included, or where
 * the operands are integers. Products with zero are therefore kept.
 */
#include "compiler/ir/ir_impl.h"

#include <math.h>
#include <string.h>

typedef struct mapping {                     /* the map being emitted */
    ir_builder *b;
    ir_fn fn;
    ir_val x, y, z;
    uint32_t n;
    ir_type t;
    dfm_dtype dt;                            /* of the result */
    bool cx, cy;                             /* is x, y one constant? */
    double sx, sy;
} mapping;

static const ir_val none = {0};

bool ir_splat_of(const ir_graph *g, ir_val v, double *out)
{
    const ir_op *op = ir_op_of(g, v);
    if (op->kind == IR_VIEW && !op->at->view.n_conds) op = ir_op_of(g, op->args[0]);
    if (op->kind != IR_CONST || op->at->cst.n != 1) return false;
    *out = op->at->cst.data[0];
    return true;
}

static dfm_dtype dtype_at(const mapping *p, ir_val v)
{
    return ir_type_of(p->b->m, ir_type_at(p->b->g, v))->dtype;
}

static bool is_fn(const mapping *p, ir_val v, ir_fn fn)
{
    const ir_op *op = ir_op_of(p->b->g, v);
    return op->kind == IR_MAP && op->at->fn == fn;
}
static ir_val arg_of(const mapping *p, ir_val v, uint32_t k)
{
    return ir_op_of(p->b->g, v)->args[k];
}

static ir_val fit(const mapping *p, ir_val v) { return ir_fit(p->b, v, p->t); }
static ir_val one(const mapping *p, ir_fn fn, ir_val v) { return fit(p, ir_map1(p->b, fn, v)); }
static ir_val two(const mapping *p, ir_fn fn, ir_val v, ir_val w)
{
    return fit(p, ir_map2(p->b, fn, v, w));
}
static ir_val value(const mapping *p, double x) { return ir_splat(p->b, p->t, x); }

/* The operand as it enters the computation: in the result's dtype. */
static ir_val same(const mapping *p, ir_val v) { return fit(p, v); }

static ir_val fold_unary(const mapping *p)
{
    switch (p->fn) {
    case IR_FN_NEG:
        if (is_fn(p, p->x, IR_FN_NEG)) return same(p, arg_of(p, p->x, 0));
        if (is_fn(p, p->x, IR_FN_SUB) && !dfm_dtype_is_float(p->dt))
            return two(p, IR_FN_SUB, arg_of(p, p->x, 1), arg_of(p, p->x, 0));
        return none;
    case IR_FN_NOT: return is_fn(p, p->x, IR_FN_NOT) ? same(p, arg_of(p, p->x, 0)) : none;
    case IR_FN_ABS:
        if (is_fn(p, p->x, IR_FN_NEG)) return one(p, IR_FN_ABS, arg_of(p, p->x, 0));
        return is_fn(p, p->x, IR_FN_ABS) ? same(p, p->x) : none;
    case IR_FN_RECIP:
        if (is_fn(p, p->x, IR_FN_SQRT)) return one(p, IR_FN_RSQRT, arg_of(p, p->x, 0));
        if (is_fn(p, p->x, IR_FN_RSQRT)) return one(p, IR_FN_SQRT, arg_of(p, p->x, 0));
        return none;
    case IR_FN_FLOOR:
    case IR_FN_CEIL:
    case IR_FN_ROUND: return is_fn(p, p->x, p->fn) ? same(p, p->x) : none;
    default: return none;
    }
}

static ir_val fold_add(const mapping *p)
{
    /* For x = -0 this gives -0 instead of 0, which only a division by it could tell. */
    if (p->cy && p->sy == 0) return same(p, p->x);
    if (p->cx && p->sx == 0) return same(p, p->y);
    if (is_fn(p, p->y, IR_FN_NEG)) return two(p, IR_FN_SUB, p->x, arg_of(p, p->y, 0));
    if (is_fn(p, p->x, IR_FN_NEG)) return two(p, IR_FN_SUB, p->y, arg_of(p, p->x, 0));
    return none;
}

static ir_val fold_sub(const mapping *p)
{
    bool whole = !dfm_dtype_is_float(p->dt);
    if (p->cy && p->sy == 0) return same(p, p->x);
    if (p->cx && p->sx == 0) return one(p, IR_FN_NEG, p->y);
    if (whole && ir_same(p->x, p->y)) return value(p, 0);
    if (is_fn(p, p->y, IR_FN_NEG)) return two(p, IR_FN_ADD, p->x, arg_of(p, p->y, 0));
    return none;
}

static ir_val fold_mul(const mapping *p)
{
    bool whole = !dfm_dtype_is_float(p->dt);
    if (p->cy && p->sy == 1) return same(p, p->x);
    if (p->cx && p->sx == 1) return same(p, p->y);
    if (p->cy && p->sy == -1) return one(p, IR_FN_NEG, p->x);
    if (p->cx && p->sx == -1) return one(p, IR_FN_NEG, p->y);
    if (whole && ((p->cx && p->sx == 0) || (p->cy && p->sy == 0))) return value(p, 0);
    if (is_fn(p, p->x, IR_FN_NEG) && is_fn(p, p->y, IR_FN_NEG))
        return two(p, IR_FN_MUL, arg_of(p, p->x, 0), arg_of(p, p->y, 0));
    return none;
}

static ir_val fold_div(const mapping *p)
{
    int e;
    if (p->cy && p->sy == 1) return same(p, p->x);
    if (!dfm_dtype_is_float(p->dt)) return none;
    if (p->cx && p->sx == 1) return one(p, IR_FN_RECIP, p->y);
    if (p->cy && isfinite(p->sy) && fabs(frexp(p->sy, &e)) == 0.5 && e > -100 && e < 100)
        return two(p, IR_FN_MUL, p->x, ir_scalar(p->b, dtype_at(p, p->y), 1 / p->sy));
    return none;
}

static ir_val fold_pow(const mapping *p)
{
    if (!p->cy) return none;
    if (p->sy == 0) return value(p, 1);
    if (p->sy == 1) return same(p, p->x);
    if (p->sy == -1) return one(p, IR_FN_RECIP, p->x);
    if (p->sy == 0.5) return one(p, IR_FN_SQRT, p->x);
    if (p->sy == -0.5) return one(p, IR_FN_RSQRT, p->x);
    ir_val square = p->sy >= 2 && p->sy <= 4 ? ir_map2(p->b, IR_FN_MUL, p->x, p->x) : none;
    if (p->sy == 2) return fit(p, square);
    if (p->sy == 3) return two(p, IR_FN_MUL, square, p->x);
    if (p->sy == 4) return two(p, IR_FN_MUL, square, square);
    return none;
}

static ir_val fold_logic(const mapping *p)
{
    bool is_and = p->fn == IR_FN_AND;
    if (ir_same(p->x, p->y)) return same(p, p->x);
    if (p->cx) return (p->sx != 0) == is_and ? same(p, p->y) : value(p, !is_and);
    if (p->cy) return (p->sy != 0) == is_and ? same(p, p->x) : value(p, !is_and);
    return none;
}

/* Integer comparisons that the ranges of index expressions decide. */
static ir_val fold_compare(const mapping *p)
{
    ir_ix x, y;
    int64_t lo, hi;
    if (dfm_dtype_is_float(dtype_at(p, p->x))) return none;
    if (ir_same(p->x, p->y)) return value(p, p->fn == IR_FN_LE || p->fn == IR_FN_EQ);
    if (!ir_ix_of_val(p->b->m, p->b->g, p->x, &x) || !ir_ix_of_val(p->b->m, p->b->g, p->y, &y))
        return none;
    ir_ix_range(p->b->m, ir_ix_add(p->b->m, x, ir_ix_mul(p->b->m, y, -1)), &lo, &hi);
    switch (p->fn) {                                    /* lo <= x - y <= hi */
    case IR_FN_LT: return hi < 0 || lo >= 0 ? value(p, hi < 0) : none;
    case IR_FN_LE: return hi <= 0 || lo > 0 ? value(p, hi <= 0) : none;
    case IR_FN_EQ: return lo == hi || lo > 0 || hi < 0 ? value(p, lo == 0 && hi == 0) : none;
    case IR_FN_NE: return lo == hi || lo > 0 || hi < 0 ? value(p, lo || hi) : none;
    default: return none;
    }
}

static ir_val fold_binary(const mapping *p)
{
    switch (p->fn) {
    case IR_FN_ADD: return fold_add(p);
    case IR_FN_SUB: return fold_sub(p);
    case IR_FN_MUL: return fold_mul(p);
    case IR_FN_DIV: return fold_div(p);
    case IR_FN_MOD:
        return !dfm_dtype_is_float(p->dt) && p->cy && p->sy == 1 ? value(p, 0) : none;
    case IR_FN_POW: return fold_pow(p);
    case IR_FN_MIN:
    case IR_FN_MAX: return ir_same(p->x, p->y) ? same(p, p->x) : none;
    case IR_FN_AND:
    case IR_FN_OR: return fold_logic(p);
    default: return fold_compare(p);
    }
}

static ir_val fold_select(const mapping *p)
{
    if (p->cx) return same(p, p->sx != 0 ? p->y : p->z);
    if (ir_same(p->y, p->z)) return same(p, p->y);
    if (is_fn(p, p->x, IR_FN_NOT))
        return fit(p, ir_map3(p->b, IR_FN_SELECT, arg_of(p, p->x, 0), p->z, p->y));
    return none;
}

ir_val ir_fold_map(ir_builder *b, ir_fn fn, const ir_val *args, uint32_t n, ir_type t)
{
    mapping p = {.b = b, .fn = fn, .x = args[0], .n = n, .t = t,
                 .dt = ir_type_of(b->m, t)->dtype};
    if (n > 1) p.y = args[1];
    if (n > 2) p.z = args[2];
    p.cx = ir_splat_of(b->g, p.x, &p.sx);
    p.cy = n > 1 && ir_splat_of(b->g, p.y, &p.sy);
    double sz;
    if (p.cx && (n < 2 || p.cy) && (n < 3 || ir_splat_of(b->g, p.z, &sz))) {
        dfm_dtype od = dtype_at(&p, n == 3 ? p.y : p.x);
        return value(&p, ir_fn_eval(fn, od, p.sx, p.sy, n > 2 ? sz : 0));
    }
    if (n == 1) return fold_unary(&p);
    return n == 2 ? fold_binary(&p) : fold_select(&p);
}

/* -- the map emitter ------------------------------------------------------------------------- */

static bool commutes(ir_fn fn)
{
    switch (fn) {
    case IR_FN_ADD: case IR_FN_MUL: case IR_FN_EQ: case IR_FN_NE: case IR_FN_AND: case IR_FN_OR:
        return true;
    default: return false;
    }
}

/* A broadcast operand that brings no dim of its own to the map is replaced by its source. */
static ir_val without_broadcast(ir_builder *b, ir_val v, const ir_val *args, uint32_t n, uint32_t k)
{
    const ir_op *op = ir_op_of(b->g, v);
    if (op->kind != IR_VIEW || op->at->view.n_conds) return v;
    const ir_type_info *src = ir_type_of(b->m, ir_type_at(b->g, op->args[0]));
    const ir_type_info *res = ir_type_of(b->m, op->type);
    for (int i = 0; i < src->rank; i++) {
        const ir_ix_node *e = ir_ix_of(b->m, op->at->view.coords[i]);
        if (e->kind != IX_VAR || e->var.i != src->dims[i].i) return v;
    }
    for (int i = 0; i < res->rank; i++) {
        bool held = ir_has_dim(src, res->dims[i]);
        for (uint32_t j = 0; j < n && !held; j++)
            held = j != k && ir_dim_at(b->m, ir_type_at(b->g, args[j]), res->dims[i]) >= 0;
        if (!held) return v;
    }
    return op->args[0];
}

ir_val ir_map_typed(ir_builder *b, ir_fn fn, const ir_val *args, uint32_t n, ir_type t)
{
    ir_val a[3] = {{0}};
    memcpy(a, args, n * sizeof *a);
    for (uint32_t k = 0; k < n; k++) a[k] = without_broadcast(b, a[k], a, n, k);
    ir_val v = ir_fold_map(b, fn, a, n, t);
    if (v.i) return v;
    ir_attrs at = {.fn = fn};
    v = ir_fold_constant(b, IR_MAP, a, n, &at, t);
    if (!v.i) v = ir_fold_gathers(b, fn, a, n, t);
    if (v.i) return v;
    if (commutes(fn)) {                                 /* constants last, else the older first */
        bool cx = ir_const_of(b->g, a[0]) != NULL, cy = ir_const_of(b->g, a[1]) != NULL;
        if (cx != cy ? cx : a[0].i > a[1].i) {
            ir_val swap = a[0];
            a[0] = a[1];
            a[1] = swap;
        }
    }
    return ir_emit(b, IR_MAP, t, a, n, &at);
}

/* autodiff_fns.c - derivatives of the scalar functions, per operand.
 *
 * A contribution is dy * f'(operands), as map ops. Results are reused (exp, sqrt, tanh, ..).
 * `select` stays outside: a cotangent select(c, d, 0) is passed on as select(c, d * f', 0), never
 * as select(c, d, 0) * f', so that a branch which is not taken may be infinite without harm.
 * Constants are f32 whatever the operands are.
 */
#include "compiler/pass/autodiff_int.h"

#include <math.h>

typedef struct fn_case {
    ad_region *r;
    ir_builder *b;
    const ir_op *op;
    ir_val v, dy;
    uint32_t k;                              /* the operand */
} fn_case;

static ir_val arg(fn_case *c, uint32_t k) { return ad_value(c->r, c->op->args[k]); }
static ir_val y(fn_case *c) { return ad_value(c->r, c->v); }
static ir_val f1(fn_case *c, ir_fn fn, ir_val a) { return ir_map1(c->b, fn, a); }
static ir_val f2(fn_case *c, ir_fn fn, ir_val a, ir_val b) { return ir_map2(c->b, fn, a, b); }
static ir_val mul(fn_case *c, ir_val a, ir_val b) { return f2(c, IR_FN_MUL, a, b); }
static ir_val num(fn_case *c, double x) { return ir_scalar(c->b, DFM_F32, x); }
static ir_val neg(fn_case *c, ir_val a) { return f1(c, IR_FN_NEG, a); }

/* x as a constant of the dtype of `like` */
static ir_val num_like(fn_case *c, double x, ir_val like)
{
    return ir_scalar(c->b, ir_type_of(c->b->m, ir_type_at(c->b->g, like))->dtype, x);
}

/* side 1: select(cond, a, 0); side 2: select(cond, 0, a); with the dims in the order of a. */
static ir_val where(fn_case *c, ir_val cond, uint32_t side, ir_val a)
{
    ir_val zero = num_like(c, 0, a);
    ir_type at = ir_type_at(c->b->g, a), ct = ir_type_at(c->b->g, cond);
    cond = ir_broadcast(c->b, cond, ir_union(c->b->m, DFM_BOOL, at, ct));
    return ir_map3(c->b, IR_FN_SELECT, cond, side == 1 ? a : zero, side == 1 ? zero : a);
}

/* a^b with a constant b has a derivative wherever a^(b-1) is finite. Otherwise the derivative
 * in b is taken as 0 where a <= 0, and that in a as 0 where b = 0. */
static ir_val d_pow(fn_case *c)
{
    const ir_const *e = ir_const_of(c->r->fwd, c->op->args[1]);
    ir_val a = arg(c, 0), b = arg(c, 1);
    if (c->k == 1) {
        ir_val d = mul(c, c->dy, mul(c, y(c), f1(c, IR_FN_LOG, a)));
        return where(c, f2(c, IR_FN_LT, num_like(c, 0, a), a), 1, d);
    }
    if (e && e->n == 1) {
        double x = e->data[0];
        if (x == 0) return (ir_val){0};
        if (x == 1) return c->dy;
        ir_val p = x == 2 ? a : f2(c, IR_FN_POW, a, num(c, x - 1));
        return mul(c, c->dy, mul(c, num(c, x), p));
    }
    ir_val p = f2(c, IR_FN_POW, a, f2(c, IR_FN_SUB, b, num(c, 1)));
    ir_val d = mul(c, c->dy, mul(c, b, p));
    return where(c, f2(c, IR_FN_NE, b, num_like(c, 0, b)), 1, d);
}

/* The gradient goes to the operand that is the result; a tie is the first operand's. */
static ir_val d_pick(fn_case *c, bool max)
{
    ir_val a = arg(c, 0), b = arg(c, 1);
    ir_val lo = max ? b : a, hi = max ? a : b;
    ir_val mine = c->k == 0 ? f2(c, IR_FN_LE, lo, hi) : f2(c, IR_FN_LT, hi, lo);
    return where(c, mine, 1, c->dy);
}

static ir_val d_unary(fn_case *c)
{
    ir_val dy = c->dy;
    switch (c->op->at->fn) {
    case IR_FN_NEG: return neg(c, dy);
    case IR_FN_ABS: return mul(c, dy, f1(c, IR_FN_SIGN, arg(c, 0)));
    case IR_FN_EXP: return mul(c, dy, y(c));
    case IR_FN_EXPM1: return mul(c, dy, f2(c, IR_FN_ADD, y(c), num(c, 1)));
    case IR_FN_LOG: return f2(c, IR_FN_DIV, dy, arg(c, 0));
    case IR_FN_LOG1P: return f2(c, IR_FN_DIV, dy, f2(c, IR_FN_ADD, arg(c, 0), num(c, 1)));
    case IR_FN_SQRT: return f2(c, IR_FN_DIV, mul(c, dy, num(c, 0.5)), y(c));
    case IR_FN_RSQRT:
        return mul(c, mul(c, dy, num(c, -0.5)), mul(c, y(c), mul(c, y(c), y(c))));
    case IR_FN_RECIP: return neg(c, mul(c, dy, mul(c, y(c), y(c))));
    case IR_FN_SIN: return mul(c, dy, f1(c, IR_FN_COS, arg(c, 0)));
    case IR_FN_COS: return neg(c, mul(c, dy, f1(c, IR_FN_SIN, arg(c, 0))));
    case IR_FN_TANH:
        return mul(c, dy, f2(c, IR_FN_SUB, num(c, 1), mul(c, y(c), y(c))));
    case IR_FN_ERF: {
        ir_val e = f1(c, IR_FN_EXP, neg(c, mul(c, arg(c, 0), arg(c, 0))));
        return mul(c, dy, mul(c, num(c, 2 / sqrt(acos(-1.0))), e));
    }
    case IR_FN_SIGMOID:
        return mul(c, dy, mul(c, y(c), f2(c, IR_FN_SUB, num(c, 1), y(c))));
    default: return (ir_val){0};
    }
}

static ir_val d_binary(fn_case *c)
{
    ir_val dy = c->dy;
    bool first = c->k == 0;
    switch (c->op->at->fn) {
    case IR_FN_ADD: return dy;
    case IR_FN_SUB: return first ? dy : neg(c, dy);
    case IR_FN_MUL: return mul(c, dy, arg(c, first ? 1 : 0));
    case IR_FN_DIV:
        if (first) return f2(c, IR_FN_DIV, dy, arg(c, 1));
        return neg(c, f2(c, IR_FN_DIV, mul(c, dy, y(c)), arg(c, 1)));
    case IR_FN_MOD:
        if (first) return dy;
        return neg(c, mul(c, dy, f1(c, IR_FN_FLOOR, f2(c, IR_FN_DIV, arg(c, 0), arg(c, 1)))));
    case IR_FN_POW: return d_pow(c);
    case IR_FN_MIN: return d_pick(c, false);
    case IR_FN_MAX: return d_pick(c, true);
    default: return (ir_val){0};
    }
}

bool ad_fn_flows(ir_fn fn, uint32_t k)
{
    switch (fn) {
    case IR_FN_SIGN: case IR_FN_FLOOR: case IR_FN_CEIL: case IR_FN_ROUND: return false;
    case IR_FN_SELECT: return k > 0;
    default: return ir_fn_class_of(fn) == IR_ARITH || ir_fn_class_of(fn) == IR_FLOAT;
    }
}

static bool is_zero(const ir_graph *g, ir_val v)
{
    const ir_op *op = ir_op_of(g, v);
    if (op->kind == IR_VIEW && !op->at->view.n_conds) return is_zero(g, op->args[0]);
    const ir_const *c = ir_const_of(g, v);
    return c && c->n == 1 && c->data[0] == 0;
}

static bool same_dims(const ir_module *m, ir_type a, ir_type b)
{
    const ir_type_info *t = ir_type_of(m, a);
    bool same = t->rank == ir_type_of(m, b)->rank;
    for (int i = 0; i < t->rank && same; i++) same = ir_dim_at(m, b, t->dims[i]) >= 0;
    return same;
}

/* What v is a mere transposition of, else v. */
static ir_val as_made(const ir_builder *b, ir_val v)
{
    const ir_op *op = ir_op_of(b->g, v);
    if (op->kind != IR_VIEW || op->at->view.n_conds) return v;
    ir_type src = ir_type_at(b->g, op->args[0]);
    ir_type_info t = *ir_type_of(b->m, src);
    if (!same_dims(b->m, src, op->type)) return v;
    for (int i = 0; i < t.rank; i++)
        if (op->at->view.coords[i].i != ir_ix_var(b->m, t.dims[i]).i) return v;
    return op->args[0];
}

/* dy with the dims in the order of operand k, or of another operand that has all dims. A map's
 * own order is that of its operands as written (g[B,D] * x[B,S,D] is [B,D,S]) and means nothing,
 * but what is made here may be stored, or reduced along what its type says is contiguous. */
static ir_val in_order_of(const fn_case *c, ir_val dy)
{
    const ir_op *op = c->op;
    ir_type d = ir_type_at(c->b->g, dy);
    for (uint32_t i = 0; i < op->n_args; i++) {
        ir_type t = ir_type_at(c->r->fwd, op->args[(c->k + i) % op->n_args]);
        if (!same_dims(c->b->m, t, d)) continue;
        return ir_transpose_to(c->b, dy, ir_with_dtype(c->b->m, t, ir_type_of(c->b->m, d)->dtype));
    }
    return dy;
}

ir_val ad_fn_adjoint(ad_region *r, ir_val v, const ir_op *op, uint32_t k, ir_val dy)
{
    fn_case c = {r, &r->b, op, v, dy, k};
    ir_op by = *ir_op_of(r->b.g, as_made(&r->b, dy));
    if (!ad_fn_flows(op->at->fn, k)) return (ir_val){0};
    if (by.kind == IR_MAP && by.at->fn == IR_FN_SELECT) {        /* see the head of this file */
        for (uint32_t side = 1; side <= 2; side++) {
            if (!is_zero(r->b.g, by.args[3 - side])) continue;
            ir_val d = ad_fn_adjoint(r, v, op, k, by.args[side]);
            return d.i ? where(&c, by.args[0], side, d) : d;
        }
    }
    c.dy = dy = in_order_of(&c, dy);
    if (op->at->fn == IR_FN_SELECT) return where(&c, arg(&c, 0), k, dy);
    return op->n_args == 1 ? d_unary(&c) : d_binary(&c);
}

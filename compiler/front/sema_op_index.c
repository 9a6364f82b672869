/* sema_op_index.c - index expressions of ops: from the tree to ir_ix, and their ranges under the
 * conditions of the selects around.
 */
#include "compiler/front/sema_op.h"

#include <string.h>

ir_ix op_var_ix(sema *s, const op_var *v)
{
    ir_module *m = s->m;
    ir_ix x = ir_ix_const(m, v->low);
    int64_t stride = 1;
    for (uint32_t i = v->n; i-- > 0;) {
        x = ir_ix_add(m, x, ir_ix_mul(m, ir_ix_var(m, v->dims[i]), stride));
        stride *= ir_extent(m, v->dims[i]);
    }
    return x;
}

static bool is_const_ix(const ir_module *m, ir_ix x, int64_t *out)
{
    const ir_ix_node *n = ir_ix_of(m, x);
    if (n->kind != IX_CONST) return false;
    *out = n->c;
    return true;
}

static bool index_binary(sema *s, const ast_node *e, ir_ix *out)
{
    ir_module *m = s->m;
    ir_ix a, b;
    int64_t c;
    if (!op_index_of(s, e->a, &a) || !op_index_of(s, e->b, &b)) return false;
    switch (e->op) {
    case AST_OP_ADD: *out = ir_ix_add(m, a, b); return true;
    case AST_OP_SUB: *out = ir_ix_add(m, a, ir_ix_mul(m, b, -1)); return true;
    case AST_OP_MUL:
        if (is_const_ix(m, b, &c)) *out = ir_ix_mul(m, a, c);
        else if (is_const_ix(m, a, &c)) *out = ir_ix_mul(m, b, c);
        else return false;
        return true;
    case AST_OP_FDIV:
    case AST_OP_MOD:
        if (!is_const_ix(m, b, &c) || c <= 0) return false;
        *out = e->op == AST_OP_MOD ? ir_ix_mod(m, a, c) : ir_ix_div(m, a, c);
        return true;
    default: return false;
    }
}

/* min and max of an index expression and a constant. */
static bool index_clamp(sema *s, const ast_node *e, ir_ix *out)
{
    ir_module *m = s->m;
    bool is_min;
    ir_ix a, b;
    int64_t c, lo, hi;
    if (!ast_is(e->a, AST_NAME) || e->n_kids != 2) return false;
    is_min = !strcmp(e->a->text, "min");
    if (!is_min && strcmp(e->a->text, "max")) return false;
    if (!op_index_of(s, e->kids[0], &a) || !op_index_of(s, e->kids[1], &b)) return false;
    if (is_const_ix(m, a, &c)) a = b;
    else if (!is_const_ix(m, b, &c)) return false;
    ir_ix_range(m, a, &lo, &hi);
    if (is_min) *out = ir_ix_clamp(m, a, lo < c ? lo : c, c);
    else *out = ir_ix_clamp(m, a, c, hi > c ? hi : c);
    return true;
}

/* len(N), extent(D): compile-time numbers. */
static bool is_query(const ast_node *e)
{
    return ast_is(e->a, AST_NAME) && (!strcmp(e->a->text, "len") || !strcmp(e->a->text, "extent"));
}

bool op_index_of(sema *s, const ast_node *e, ir_ix *out)
{
    int64_t c;
    ir_ix a;
    switch (e->kind) {
    case AST_INT: *out = ir_ix_const(s->m, e->num.i); return true;
    case AST_NAME: {
        const op_var *v = op_find_var(s->op, e->text);
        if (v) {
            *out = op_var_ix(s, v);
            return true;
        }
        break;
    }
    case AST_UNARY:
        if (e->op != AST_OP_NEG || !op_index_of(s, e->a, &a)) return false;
        *out = ir_ix_mul(s->m, a, -1);
        return true;
    case AST_BINARY: return index_binary(s, e, out);
    case AST_CALL:
        if (!is_query(e)) return index_clamp(s, e, out);
        break;
    case AST_INDEX:
    case AST_FIELD: break;
    default: return false;
    }
    if (e->kind == AST_INDEX && ast_is(e->a, AST_NAME) && op_array_of(s, e->a->text, NULL))
        return false;
    if (e->kind == AST_NAME && op_array_of(s, e->text, NULL)) return false;
    if (!sema_is_int(sema_expr(s, e), &c)) return false;
    *out = ir_ix_const(s->m, c);
    return true;
}

/* -- ranges ---------------------------------------------------------------------------------- */

static int64_t floor_div(int64_t a, int64_t b)
{
    int64_t q = a / b;
    return a % b && (a < 0) != (b < 0) ? q - 1 : q;
}
static int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t max64(int64_t a, int64_t b) { return a > b ? a : b; }

/* Bounds saturate far below overflow, so that sums and quotients of them are exact or far away. */
#define FAR ((int64_t)1 << 60)
static int64_t near64(int64_t x) { return max64(min64(x, FAR), -FAR); }
static int64_t near_mul(int64_t a, int64_t b)
{
    int64_t r;
    if (__builtin_mul_overflow(a, b, &r)) r = (a < 0) != (b < 0) ? -FAR : FAR;
    return near64(r);
}

/* Bounds of one variable: its extent, and conditions lo <= k * var + c <= hi. */
static void var_range(sema *s, ir_dim d, int64_t *lo, int64_t *hi)
{
    *lo = 0;
    *hi = ir_extent(s->m, d) - 1;
    for (uint32_t i = 0; i < s->op->n_conds; i++) {
        const ir_cond *c = &s->op->conds[i];
        ir_dim dims[2];
        int64_t coef[2], k;
        uint32_t n;
        if (!ir_ix_affine(s->m, c->e, dims, coef, 1, &n, &k) || n != 1 || dims[0].i != d.i)
            continue;
        int64_t a = near64(c->lo) - near64(k), b = near64(c->hi) - near64(k), q = coef[0];
        bool below = c->lo > -FAR, above = c->hi < FAR;        /* is there a bound at all? */
        if (q == 0 || q == INT64_MIN) continue;
        if (q > 0 ? below : above) *lo = max64(*lo, q > 0 ? -floor_div(-a, q) : -floor_div(b, -q));
        if (q > 0 ? above : below) *hi = min64(*hi, q > 0 ? floor_div(b, q) : floor_div(-a, -q));
    }
    if (*hi < *lo) *hi = *lo;                /* never: any bounds will do */
}

static void tree_range(sema *s, ir_ix x, int64_t *lo, int64_t *hi)
{
    const ir_ix_node *e = ir_ix_of(s->m, x);
    int64_t l, h;
    switch (e->kind) {
    case IX_VAR: var_range(s, e->var, lo, hi); return;
    case IX_ADD:
        tree_range(s, e->a, lo, hi);
        tree_range(s, e->b, &l, &h);
        *lo = near64(*lo + l);
        *hi = near64(*hi + h);
        return;
    case IX_MUL:
        tree_range(s, e->a, &l, &h);
        *lo = near_mul(e->c >= 0 ? l : h, e->c);
        *hi = near_mul(e->c >= 0 ? h : l, e->c);
        return;
    case IX_DIV:
        tree_range(s, e->a, lo, hi);
        *lo = floor_div(*lo, e->c);
        *hi = floor_div(*hi, e->c);
        return;
    case IX_MOD:
        tree_range(s, e->a, &l, &h);
        if (floor_div(l, e->c) != floor_div(h, e->c)) {
            *lo = 0;
            *hi = e->c - 1;
            return;
        }
        *lo = l - floor_div(l, e->c) * e->c;
        *hi = h - floor_div(h, e->c) * e->c;
        return;
    case IX_CLAMP:
        tree_range(s, e->a, lo, hi);
        *lo = min64(max64(*lo, near64(e->c)), near64(e->c2));
        *hi = min64(max64(*hi, near64(e->c)), near64(e->c2));
        return;
    default:
        ir_ix_range(s->m, x, lo, hi);
        *lo = near64(*lo);
        *hi = near64(*hi);
        return;
    }
}

void op_range(sema *s, ir_ix x, int64_t *lo, int64_t *hi)
{
    int64_t l, h, c;
    ir_ix_range(s->m, x, lo, hi);
    if (*lo < -FAR || *hi > FAR) return;
    tree_range(s, x, &l, &h);
    *lo = max64(*lo, l);
    *hi = min64(*hi, h);
    for (uint32_t i = 0; i < s->op->n_conds; i++) {        /* x = +-e + c, lo <= e <= hi */
        const ir_cond *k = &s->op->conds[i];
        ir_ix minus = ir_ix_mul(s->m, k->e, -1);
        if (is_const_ix(s->m, ir_ix_add(s->m, x, minus), &c)) {
            *lo = max64(*lo, near64(k->lo) + near64(c));
            *hi = min64(*hi, near64(k->hi) + near64(c));
        } else if (is_const_ix(s->m, ir_ix_add(s->m, x, k->e), &c)) {
            *lo = max64(*lo, near64(c) - near64(k->hi));
            *hi = min64(*hi, near64(c) - near64(k->lo));
        }
    }
}

/* -- conditions ------------------------------------------------------------------------------ */

static void assume(sema *s, ir_ix e, int64_t lo, int64_t hi)
{
    if (s->op->n_conds < OP_MAX_CONDS) s->op->conds[s->op->n_conds++] = (ir_cond){e, lo, hi};
}

static void assume_compare(sema *s, ast_op op, ir_ix a, ir_ix b, bool negated)
{
    ir_ix d = ir_ix_add(s->m, a, ir_ix_mul(s->m, b, -1));
    const int64_t far = FAR;
    if (negated) {
        static const struct { ast_op op, opposite; } opposite[] = {
            {AST_OP_LT, AST_OP_GE}, {AST_OP_GE, AST_OP_LT}, {AST_OP_GT, AST_OP_LE},
            {AST_OP_LE, AST_OP_GT}, {AST_OP_EQ, AST_OP_NE}, {AST_OP_NE, AST_OP_EQ},
        };
        for (uint32_t i = 0; i < DFM_LEN(opposite); i++) {
            if (opposite[i].op != op) continue;
            op = opposite[i].opposite;
            break;
        }
    }
    switch (op) {
    case AST_OP_LT: assume(s, d, -far, -1); return;
    case AST_OP_LE: assume(s, d, -far, 0); return;
    case AST_OP_GT: assume(s, d, 1, far); return;
    case AST_OP_GE: assume(s, d, 0, far); return;
    case AST_OP_EQ: assume(s, d, 0, 0); return;
    case AST_OP_NE: {                        /* helps at an end of the range */
        int64_t lo, hi;
        op_range(s, d, &lo, &hi);
        if (lo == 0) assume(s, d, 1, far);
        if (hi == 0) assume(s, d, -far, -1);
        return;
    }
    default: return;
    }
}

void op_assume(sema *s, const ast_node *cond, bool negated)
{
    ir_ix a, b;
    if (cond->kind == AST_UNARY && cond->op == AST_OP_NOT) {
        op_assume(s, cond->a, !negated);
        return;
    }
    if (cond->kind != AST_BINARY) return;
    if (cond->op == (negated ? AST_OP_OR : AST_OP_AND)) {
        op_assume(s, cond->a, negated);
        op_assume(s, cond->b, negated);
        return;
    }
    if (cond->op < AST_OP_EQ || cond->op > AST_OP_GE) return;
    if (op_index_of(s, cond->a, &a) && op_index_of(s, cond->b, &b))
        assume_compare(s, cond->op, a, b, negated);
}

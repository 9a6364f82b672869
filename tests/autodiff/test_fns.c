/* test_fns.c - derivatives of every scalar function of ir_fns.def. */
#include "tests/autodiff/check.h"

#include <math.h>

/* Where the operands are drawn from, away from kinks; a function without an entry fails. */
typedef struct domain {
    bool set;
    double lo[3], hi[3];
} domain;

#define ONE(l, h) {true, {l}, {h}}
#define TWO(l, h, l2, h2) {true, {l, l2}, {h, h2}}

static const domain domains[IR_FN_COUNT] = {
    [IR_FN_NEG] = ONE(-2, 2), [IR_FN_ABS] = ONE(-2, -0.1), [IR_FN_SIGN] = ONE(0.1, 2),
    [IR_FN_FLOOR] = ONE(1.1, 1.9), [IR_FN_CEIL] = ONE(1.1, 1.9), [IR_FN_ROUND] = ONE(0.6, 1.4),
    [IR_FN_EXP] = ONE(-2, 2), [IR_FN_EXPM1] = ONE(-2, 2), [IR_FN_LOG] = ONE(0.2, 3),
    [IR_FN_LOG1P] = ONE(-0.7, 3), [IR_FN_SQRT] = ONE(0.2, 3), [IR_FN_RSQRT] = ONE(0.3, 3),
    [IR_FN_RECIP] = ONE(-3, -0.4), [IR_FN_SIN] = ONE(-3, 3), [IR_FN_COS] = ONE(-3, 3),
    [IR_FN_TANH] = ONE(-2, 2), [IR_FN_ERF] = ONE(-2, 2), [IR_FN_SIGMOID] = ONE(-3, 3),
    [IR_FN_NOT] = ONE(0, 1), [IR_FN_ADD] = TWO(-2, 2, -2, 2), [IR_FN_SUB] = TWO(-2, 2, -2, 2),
    [IR_FN_MUL] = TWO(-2, 2, -2, 2), [IR_FN_DIV] = TWO(-2, 2, 0.5, 2),
    [IR_FN_MOD] = TWO(-0.9, -0.1, 1, 2), [IR_FN_POW] = TWO(0.3, 2, -2, 2),
    [IR_FN_MIN] = TWO(-2, 2, -2, 2), [IR_FN_MAX] = TWO(-2, 2, -2, 2),
    [IR_FN_LT] = TWO(-2, 2, -2, 2), [IR_FN_LE] = TWO(-2, 2, -2, 2),
    [IR_FN_EQ] = TWO(-2, 2, -2, 2), [IR_FN_NE] = TWO(-2, 2, -2, 2),
    [IR_FN_AND] = TWO(0, 1, 0, 1), [IR_FN_OR] = TWO(0, 1, 0, 1),
    [IR_FN_SELECT] = {true, {0, -2, -2}, {1, 2, 2}},
};

/* y[A,B] = fn(a[A], b[A,B], ..): every operand but the last is broadcast. */
static void check_fn(ir_fn fn, uint64_t seed)
{
    fx *f = fx_new(seed);
    uint32_t n = ir_fn_arity(fn);
    ir_val arg[3];
    const char *dims[3] = {n == 1 ? "A=3,B=5" : "A=3", n == 2 ? "A=3,B=5" : "B=5", "A=3,B=5"};
    for (uint32_t k = 0; k < n; k++) {
        bool truth = ir_fn_class_of(fn) == IR_LOGIC || (fn == IR_FN_SELECT && k == 0);
        ir_type t = fx_type(f, truth ? DFM_BOOL : DFM_F32, dims[k]);
        arg[k] = fx_input(f, t, domains[fn].lo[k], domains[fn].hi[k]);
    }
    ir_val y = n == 1 ? ir_map1(&f->b, fn, arg[0])
             : n == 2 ? ir_map2(&f->b, fn, arg[0], arg[1])
                      : ir_map3(&f->b, fn, arg[0], arg[1], arg[2]);
    if (ir_type_of(f->m, ir_type_at(f->b.g, y))->dtype == DFM_BOOL) {
        ir_val p = fx_f32(f, "A=3,B=5"), q = fx_f32(f, "A=3");
        y = ir_map3(&f->b, IR_FN_SELECT, y, ir_map2(&f->b, IR_FN_MUL, p, p), q);
    } else if (n == 1) {                     /* a function without a derivative still scales */
        y = ir_map2(&f->b, IR_FN_MUL, y, arg[0]);
    }
    fx_loss(f, y);
    f->full = true;
    fx_check(f);
    fx_free(f);
}

static void every_function(void **state)
{
    for (ir_fn fn = 1; fn < IR_FN_COUNT; fn++) {
        if (!domains[fn].set) fail_msg("function %s has no test", ir_fn_name(fn));
        for (uint64_t seed = 1; seed <= 3; seed++) check_fn(fn, seed * 100 + fn);
    }
}

/* The gradient of sum(fn(a, b)) at one point: da, db. */
static void point(ir_fn fn, double a, double b, double *da, double *db)
{
    fx *f = fx_new(1);
    ir_val x = fx_f32(f, "A=1"), y = fx_f32(f, "A=1"), wrt[2] = {x, y};
    *fx_data(f, x) = a;
    *fx_data(f, y) = b;
    ir_val s = ir_fn_arity(fn) == 1 ? ir_map1(&f->b, fn, x) : ir_map2(&f->b, fn, x, y);
    ir_dim d = fx_dim(f, "A", 1);
    ir_result_add(&f->b, ir_reduce_over(&f->b, IR_RED_SUM, s, &d, 1), "loss");
    ir_graph *g = fx_grad(f, wrt, 2);
    *da = *fx_gradient(f, g, 0);
    *db = *fx_gradient(f, g, 1);
    fx_free(f);
}

static void points_of_choice(void **state)
{
    double a, b;
    point(IR_FN_MAX, 1, 1, &a, &b);          /* ties go to the first operand */
    assert_true(a == 1 && b == 0);
    point(IR_FN_MIN, 1, 1, &a, &b);
    assert_true(a == 1 && b == 0);
    point(IR_FN_ABS, 0, 0, &a, &b);
    assert_true(a == 0);
    point(IR_FN_POW, -2, 3, &a, &b);         /* d/db is 0 where the logarithm has no value */
    assert_true(fabs(a - 12) < 1e-12 && b == 0);
    point(IR_FN_POW, 0, 2, &a, &b);
    assert_true(a == 0 && b == 0);
    point(IR_FN_POW, 0, 0, &a, &b);
    assert_true(a == 0 && b == 0);
    point(IR_FN_MOD, 7, 2, &a, &b);
    assert_true(a == 1 && b == -3);
    point(IR_FN_EXPM1, -30, 0, &a, &b);
    assert_true(fabs(a - exp(-30)) < 1e-15);
}

static void constant_exponents(void **state)
{
    static const double e[] = {0, 1, 2, 3, -1, -2, 0.5, 2.5};
    for (uint32_t k = 0; k < DFM_LEN(e); k++) {
        fx *f = fx_new(k + 1);
        bool whole = e[k] == floor(e[k]);    /* negative bases too */
        ir_val x = fx_input(f, fx_type(f, DFM_F32, "A=5"), whole ? -2 : 0.3, whole ? -0.3 : 2);
        fx_loss(f, ir_map2(&f->b, IR_FN_POW, x, ir_scalar(&f->b, DFM_F32, e[k])));
        fx_loss(f, x);
        fx_check(f);
        fx_free(f);
    }
}

/* select(x > 0, sin(fn(x) * 3), 0) at x <= 0: the branch that is not taken has an infinite
 * derivative, or no value at all. */
static void untaken_branch(void **state)
{
    static const ir_fn fns[] = {IR_FN_SQRT, IR_FN_LOG, IR_FN_RSQRT, IR_FN_RECIP};
    for (uint32_t k = 0; k < DFM_LEN(fns); k++) {
        fx *f = fx_new(k + 1);
        ir_val x = fx_f32(f, "A=3"), zero = ir_scalar(&f->b, DFM_F32, 0);
        double *data = fx_data(f, x);
        data[0] = 0;
        data[1] = -1;
        data[2] = 4;
        ir_val ok = ir_map2(&f->b, IR_FN_LT, zero, x);
        ir_val y = ir_map2(&f->b, IR_FN_MUL, ir_map1(&f->b, fns[k], x),
                           ir_scalar(&f->b, DFM_F32, 3));
        y = ir_map3(&f->b, IR_FN_SELECT, ok, ir_map1(&f->b, IR_FN_SIN, y), zero);
        ir_dim d = fx_dim(f, "A", 3);
        ir_result_add(&f->b, ir_reduce_over(&f->b, IR_RED_SUM, y, &d, 1), "loss");
        double *dx = fx_gradient(f, fx_grad(f, &x, 1), 0);
        assert_true(dx[0] == 0 && dx[1] == 0);
        assert_true(isfinite(dx[2]) && dx[2] != 0);
        fx_free(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_function), cmocka_unit_test(points_of_choice),
        cmocka_unit_test(constant_exponents), cmocka_unit_test(untaken_branch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

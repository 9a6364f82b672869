/* sema_dims_test.c - symbolic dims: normal forms, facts, exact division, identity. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#include "compiler/front/sema.h"

static const dfm_loc nowhere;

typedef struct fixture {
    sema s;
    front_ctx cx;
    front_options o;
    const sema_dim *d, *h, *t, *f;           /* D = 48, H = 4 fixed; T dynamic, 6; F = 48 */
} fixture;

static fixture *begin(void)
{
    dfm_arena *a = dfm_arena_create("dims");
    fixture *x = dfm_new(a, fixture);
    x->cx = (front_ctx){a, dfm_names_create(a), diag_create(a)};
    x->s = (sema){.cx = &x->cx, .o = &x->o, .arena = a, .diag = x->cx.diag};
    x->s.m = ir_module_create(a, x->cx.names);
    x->d = sema_dim_base(&x->s, "D", 48, true, false, NULL, nowhere);
    x->h = sema_dim_base(&x->s, "H", 4, true, false, NULL, nowhere);
    x->t = sema_dim_base(&x->s, "T", 6, false, false, NULL, nowhere);
    x->f = sema_dim_base(&x->s, "F", 48, true, false, NULL, nowhere);
    return x;
}

static void end(fixture *x) { dfm_arena_destroy(x->s.arena); }

static const sema_dim *op(fixture *x, ast_op o, const sema_dim *a, const sema_dim *b)
{
    return sema_dim_binary(&x->s, o, a, b, nowhere);
}
static const sema_dim *num(fixture *x, int64_t v) { return sema_dim_int(&x->s, v); }

static void test_normal_form(void **state)
{
    fixture *x = begin();
    const sema_dim *a = op(x, AST_OP_MUL, op(x, AST_OP_ADD, x->t, num(x, 1)),
                           op(x, AST_OP_ADD, x->t, num(x, 1)));
    const sema_dim *b = op(x, AST_OP_ADD, op(x, AST_OP_ADD, op(x, AST_OP_MUL, x->t, x->t),
                                             op(x, AST_OP_MUL, num(x, 2), x->t)), num(x, 1));
    assert_ptr_equal(a, b);                             /* (T + 1)^2 = T*T + 2*T + 1 */
    assert_int_equal(a->value, 49);
    assert_string_equal(sema_dim_text(&x->s, a), "T * T + 2 * T + 1");
    assert_ptr_equal(op(x, AST_OP_SUB, op(x, AST_OP_ADD, x->t, x->d), x->d), x->t);
    assert_ptr_equal(num(x, 7), op(x, AST_OP_ADD, num(x, 3), num(x, 4)));
    end(x);
}

static void test_identity(void **state)
{
    fixture *x = begin();
    assert_ptr_not_equal(x->d, x->f);                   /* equal values, different dims */
    assert_true(sema_dim_equal(&x->s, x->d, x->f));
    const sema_dim *t2 = sema_dim_base(&x->s, "T2", 6, false, false, NULL, nowhere);
    assert_false(sema_dim_equal(&x->s, x->t, t2));      /* values of dynamic dims prove nothing */
    const sema_dim *s = sema_dim_named(&x->s, "S", x->d, nowhere);
    assert_ptr_not_equal(s, x->d);
    assert_ptr_equal(s, sema_dim_named(&x->s, "S", x->d, nowhere));
    assert_true(sema_dim_equal(&x->s, s, x->d));
    ir_dim a = sema_ir_dim(&x->s, x->d, nowhere), b = sema_ir_dim(&x->s, x->f, nowhere);
    assert_int_not_equal(a.i, b.i);
    assert_ptr_equal(sema_dim_of(&x->s, a), x->d);
    assert_ptr_equal(sema_dim_of(&x->s, ir_dim_alias(x->s.m, a)), x->d);
    end(x);
}

static void test_division(void **state)
{
    fixture *x = begin();
    const sema_dim *f4 = op(x, AST_OP_MUL, num(x, 4), x->t);
    assert_ptr_equal(op(x, AST_OP_DIV, f4, num(x, 2)), op(x, AST_OP_MUL, num(x, 2), x->t));
    assert_ptr_equal(op(x, AST_OP_DIV, f4, x->t), num(x, 4));
    assert_null(op(x, AST_OP_DIV, x->t, num(x, 2)));    /* even, but nothing says so */
    assert_int_equal(diag_code_at(x->s.diag, 0), DIAG_E0307);
    const sema_dim *half = op(x, AST_OP_FDIV, x->t, num(x, 2));
    assert_int_equal(half->value, 3);
    assert_string_equal(sema_dim_text(&x->s, half), "(T // 2)");
    assert_int_equal(op(x, AST_OP_FDIV, num(x, -7), num(x, 2))->value, -4);
    assert_int_equal(op(x, AST_OP_MOD, num(x, -7), num(x, 2))->value, 1);
    assert_int_equal(op(x, AST_OP_DIV, x->d, x->h)->value, 12);     /* fixed: by value */
    assert_null(op(x, AST_OP_DIV, x->d, num(x, 5)));
    assert_null(op(x, AST_OP_FDIV, x->d, num(x, 0)));
    end(x);
}

static void test_facts(void **state)
{
    fixture *x = begin();
    const sema_dim *th = op(x, AST_OP_FDIV, x->t, num(x, 2));
    const sema_dim *back = op(x, AST_OP_MUL, th, num(x, 2));
    assert_false(sema_dim_equal(&x->s, back, x->t));
    sema_dim_fact(&x->s, x->t, num(x, 2));
    assert_true(sema_dim_equal(&x->s, back, x->t));     /* require T % 2 == 0 */
    const sema_dim *exact = op(x, AST_OP_DIV, x->t, num(x, 2));
    assert_non_null(exact);
    assert_true(sema_dim_equal(&x->s, exact, th));
    assert_int_equal(op(x, AST_OP_MOD, x->t, num(x, 2))->value, 0);
    const sema_dim *sum = op(x, AST_OP_ADD, x->d, x->t);
    sema_dim_fact(&x->s, sum, x->h);                    /* of a sum: consulted by division */
    assert_non_null(op(x, AST_OP_DIV, sum, x->h));
    end(x);
}

/* Facts about quotients and products, in either order. */
static void test_facts_of_facts(void **state)
{
    for (int order = 0; order < 3; order++) {
        fixture *x = begin();
        const sema_dim *e = sema_dim_base(&x->s, "E", 48, false, false, NULL, nowhere);
        const sema_dim *g = sema_dim_base(&x->s, "G", 4, false, false, NULL, nowhere);
        const sema_dim *g2 = op(x, AST_OP_MUL, num(x, 2), g);
        if (order == 1) sema_dim_fact(&x->s, e, g2);            /* E % (2 G) == 0, E % G == 0 */
        sema_dim_fact(&x->s, e, g);
        const sema_dim *q = op(x, AST_OP_DIV, e, g);
        if (order == 0) sema_dim_fact(&x->s, e, g2);
        if (order == 2) sema_dim_fact(&x->s, q, num(x, 2));     /* E % G == 0, (E / G) % 2 == 0 */
        const sema_dim *half = op(x, AST_OP_DIV, q, num(x, 2));
        assert_non_null(half);
        assert_int_equal(half->value, 6);
        assert_true(sema_dim_equal(&x->s, op(x, AST_OP_MUL, half, num(x, 2)), q));
        assert_true(sema_dim_equal(&x->s, op(x, AST_OP_MUL, half, g2), e));
        assert_true(sema_dim_equal(&x->s, op(x, AST_OP_DIV, e, g2), half));
        assert_null(op(x, AST_OP_DIV, q, num(x, 3)));           /* 12 is, but nothing says so */
        const sema_dim *six = op(x, AST_OP_MUL, num(x, 6), q);
        sema_dim_fact(&x->s, six, num(x, 8));                   /* so q is a multiple of 4 */
        assert_non_null(op(x, AST_OP_DIV, q, num(x, 4)));
        end(x);
    }
}

static void test_overflow(void **state)
{
    fixture *x = begin();
    const sema_dim *big = num(x, INT64_MAX);
    assert_null(op(x, AST_OP_MUL, big, num(x, 2)));
    assert_int_equal(diag_code_at(x->s.diag, 0), DIAG_E0310);
    const sema_dim *p = x->t;
    for (int i = 0; i < 40 && p; i++) p = op(x, AST_OP_MUL, p, x->t);
    assert_null(p);                                     /* T^40: degree is bounded */
    end(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_normal_form), cmocka_unit_test(test_identity),
        cmocka_unit_test(test_division), cmocka_unit_test(test_facts),
        cmocka_unit_test(test_facts_of_facts), cmocka_unit_test(test_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

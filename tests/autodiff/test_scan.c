/* test_scan.c - adjoints of scans: carries, stacked inputs and outputs, captures, directions,
 * nesting, and what is kept for the backward scan. */
#include "tests/autodiff/check.h"

#include <math.h>

static ir_dim dim(fx *f, const char *name) { return ir_dim_find(f->m, dfm_intern(f->names, name)); }
static ir_val mul(ir_builder *b, ir_val x, ir_val y) { return ir_map2(b, IR_FN_MUL, x, y); }
static ir_val add(ir_builder *b, ir_val x, ir_val y) { return ir_map2(b, IR_FN_ADD, x, y); }
static ir_val tanh_of(ir_builder *b, ir_val x) { return ir_map1(b, IR_FN_TANH, x); }

static ir_val iter_formal(fx *f, ir_builder *b)
{
    return fx_formal(b, ir_tensor(f->m, DFM_I32, NULL, 0));
}

/* x' = tanh(x w_l + c), y_l = x' * x' */
static uint32_t simple_body(fx *f, bool with_ys)
{
    uint32_t index;
    ir_builder b = fx_body(f, "body", &index);
    ir_type t = fx_type(f, DFM_F32, "A=3");
    iter_formal(f, &b);
    ir_val x = fx_formal(&b, t), w = fx_formal(&b, t), c = fx_formal(&b, t);
    ir_val next = tanh_of(&b, add(&b, mul(&b, x, w), c));
    ir_result_add(&b, next, "x");
    if (with_ys) ir_result_add(&b, mul(&b, next, x), "y");
    return index;
}

static void carries_xs_captures(void **state)
{
    for (int reverse = 0; reverse <= 1; reverse++)
        for (int ys = 0; ys <= 1; ys++) {
            fx *f = fx_new((uint64_t)(reverse * 2 + ys + 1));
            ir_dim loop = fx_dim(f, "L", 4);
            ir_val x = fx_f32(f, "A=3"), w = fx_param(f, "blocks.{i}.w", "L=4,A=3");
            ir_val c = fx_f32(f, "A=3");
            ir_scan at = {.body = simple_body(f, ys), .loop = loop, .n_carry = 1, .n_xs = 1,
                          .n_caps = 1, .n_ys = (uint32_t)ys, .reverse = reverse};
            ir_val s = ir_scan_over(&f->b, &at, (ir_val[]){x, w, c}, 3);
            fx_loss(f, ir_get(&f->b, s, 0));
            if (ys) fx_loss(f, ir_get(&f->b, s, 1));
            f->full = true;
            fx_check(f);
            fx_free(f);
        }
}

static void only_stacked_outputs(void **state)
{
    fx *f = fx_new(3);
    ir_val x = fx_f32(f, "A=3"), w = fx_f32(f, "L=4,A"), c = fx_f32(f, "A");
    ir_scan at = {.body = simple_body(f, true), .loop = dim(f, "L"), .n_carry = 1, .n_xs = 1,
                  .n_caps = 1, .n_ys = 1};
    ir_val s = ir_scan_over(&f->b, &at, (ir_val[]){x, w, c}, 3);
    fx_loss(f, ir_get(&f->b, s, 1));
    fx_check(f);
    fx_free(f);
}

/* A map over layers: no carry at all. */
static void no_carry(void **state)
{
    fx *f = fx_new(4);
    ir_val w = fx_f32(f, "L=3,A=2"), c = fx_f32(f, "A");
    uint32_t index;
    ir_builder b = fx_body(f, "body", &index);
    ir_type t = fx_type(f, DFM_F32, "A");
    iter_formal(f, &b);
    ir_val x = fx_formal(&b, t), k = fx_formal(&b, t);
    ir_result_add(&b, mul(&b, ir_map1(&b, IR_FN_SIN, x), k), "y");
    ir_scan at = {.body = index, .loop = dim(f, "L"), .n_xs = 1, .n_caps = 1, .n_ys = 1};
    fx_loss(f, ir_get(&f->b, ir_scan_over(&f->b, &at, (ir_val[]){w, c}, 2), 0));
    fx_check(f);
    fx_free(f);
}

/* The loop counter: as a number, as an index into a captured table over the loop's own dim (what
 * is kept then has that dim twice), and in a random draw. */
static void counter(void **state)
{
    fx *f = fx_new(5);
    ir_dim loop = fx_dim(f, "L", 3);
    ir_val x = fx_f32(f, "A=2"), table = fx_f32(f, "L=3,A");
    uint32_t index;
    ir_builder b = fx_body(f, "body", &index);
    ir_val i = iter_formal(f, &b);
    ir_val c = fx_formal(&b, fx_type(f, DFM_F32, "A"));
    ir_val t = fx_formal(&b, fx_type(f, DFM_F32, "L,A"));
    ir_val row = ir_gather_rows(&b, t, loop, i);
    ir_random at_r = {.dist = IR_NORMAL, .stream = 7};
    ir_val noise = ir_random_draw(&b, fx_type(f, DFM_F32, "A"), &at_r, &i, 1);
    ir_val n = ir_cast(&b, i, DFM_F32);
    ir_val outer = mul(&b, t, c);            /* [L, A] */
    ir_val s = ir_reduce_over(&b, IR_RED_SUM, ir_map1(&b, IR_FN_SIN, outer), &loop, 1);
    ir_pair p = {dim(f, "A"), dim(f, "A")};
    ir_type gt = fx_type(f, DFM_F32, "L,M=3");
    ir_val other = ir_rename(&b, t, loop, dim(f, "M"));
    ir_val gram = ir_contract_over(&b, outer, other, &p, 1, gt);     /* kept, with dim L */
    ir_dim both[2] = {loop, dim(f, "M")};
    ir_val q = ir_reduce_over(&b, IR_RED_SUM, mul(&b, gram, gram), both, 2);
    ir_val y = add(&b, mul(&b, row, noise), mul(&b, add(&b, s, q), n));
    ir_result_add(&b, tanh_of(&b, mul(&b, add(&b, y, c), ir_scalar(&b, DFM_F32, 0.3))), "c");
    ir_scan at = {.body = index, .loop = loop, .n_carry = 1, .n_caps = 1};
    fx_loss(f, ir_get(&f->b, ir_scan_over(&f->b, &at, (ir_val[]){x, table}, 2), 0));
    fx_check(f);
    fx_free(f);
}

/* Carries: one that feeds the other, one of integers, one that no gradient reaches, one that is
 * overwritten, two that swap. */
static void many_carries(void **state)
{
    fx *f = fx_new(6);
    ir_type t = fx_type(f, DFM_F32, "A=2"), it = fx_type(f, DFM_I32, "A");
    ir_val a = fx_f32(f, "A"), c = fx_f32(f, "A"), d = fx_f32(f, "A"), e = fx_f32(f, "A");
    ir_val n = fx_input(f, it, 0, 1), g = fx_f32(f, "A"), w = fx_f32(f, "V=4,A");
    uint32_t index;
    ir_builder b = fx_body(f, "body", &index);
    ir_val i = iter_formal(f, &b), x[6];
    for (int k = 0; k < 6; k++) x[k] = fx_formal(&b, k == 4 ? it : t);
    ir_val table = fx_formal(&b, fx_type(f, DFM_F32, "V,A"));
    ir_result_add(&b, tanh_of(&b, add(&b, x[0], x[1])), "a");            /* fed by c */
    ir_result_add(&b, mul(&b, x[1], ir_gather_rows(&b, table, dim(f, "V"), x[4])), "c");
    ir_result_add(&b, x[3], "d");                                        /* d and e swap */
    ir_result_add(&b, ir_map1(&b, IR_FN_SIN, x[2]), "e");
    ir_result_add(&b, add(&b, x[4], i), "n");
    ir_result_add(&b, ir_stop_grad(&b, mul(&b, x[0], x[5])), "g");
    ir_scan at = {.body = index, .loop = fx_dim(f, "L", 3), .n_carry = 6, .n_caps = 1};
    ir_val s = ir_scan_over(&f->b, &at, (ir_val[]){a, c, d, e, n, g, w}, 7);
    for (uint32_t k = 0; k < 4; k++) fx_loss(f, ir_get(&f->b, s, k));
    f->full = true;
    fx_check(f);
    fx_free(f);
}

/* An initial value that is a constant, and a carry whose initial value does not matter. */
static void constant_start(void **state)
{
    fx *f = fx_new(7);
    ir_type t = fx_type(f, DFM_F32, "A=2");
    ir_val w = fx_f32(f, "L=3,A"), unused = fx_f32(f, "A");
    ir_val zero = ir_broadcast(&f->b, ir_scalar(&f->b, DFM_F32, 0), t);
    uint32_t index;
    ir_builder b = fx_body(f, "body", &index);
    iter_formal(f, &b);
    ir_val x = fx_formal(&b, t);
    fx_formal(&b, t);
    ir_val k = fx_formal(&b, t);
    ir_result_add(&b, tanh_of(&b, add(&b, x, k)), "x");
    ir_result_add(&b, mul(&b, x, k), "last");
    ir_scan at = {.body = index, .loop = dim(f, "L"), .n_carry = 2, .n_xs = 1};
    ir_val s = ir_scan_over(&f->b, &at, (ir_val[]){zero, unused, w}, 3);
    fx_loss(f, ir_get(&f->b, s, 0));
    fx_loss(f, ir_get(&f->b, s, 1));
    fx_check(f);
    fx_free(f);
}

/* x reaches b only through a, one iteration after the other; both start as constants. */
static void chain_of_carries(void **state)
{
    for (int reverse = 0; reverse <= 1; reverse++) {
        fx *f = fx_new(14);
        ir_type t = fx_type(f, DFM_F32, "A=2");
        ir_val x = fx_f32(f, "A");
        ir_val one = ir_broadcast(&f->b, ir_scalar(&f->b, DFM_F32, 1), t);
        uint32_t index;
        ir_builder b = fx_body(f, "body", &index);
        iter_formal(f, &b);
        ir_val c[3];
        for (int k = 0; k < 3; k++) c[k] = fx_formal(&b, t);
        ir_result_add(&b, ir_map1(&b, IR_FN_SIN, c[1]), "b");
        ir_result_add(&b, mul(&b, c[2], c[2]), "a");
        ir_result_add(&b, c[2], "x");
        ir_scan at = {.body = index, .loop = fx_dim(f, "L", 4), .n_carry = 3, .reverse = reverse};
        fx_loss(f, ir_get(&f->b, ir_scan_over(&f->b, &at, (ir_val[]){one, one, x}, 3), 0));
        double *dx = fx_gradient(f, fx_check(f), 0);
        assert_true(dx[0] != 0 && dx[1] != 0);
        fx_free(f);
    }
}

/* for l: x = tanh(W_l x); for m: x = x + sin(x * V_lm + u_l) c */
static void nested(void **state)
{
    fx *f = fx_new(8);
    ir_type t = fx_type(f, DFM_F32, "A=3");
    ir_dim l = fx_dim(f, "L", 3), m = fx_dim(f, "M", 2);
    ir_val x = fx_f32(f, "A"), w = fx_param(f, "w", "L=3,B=3,A"), v = fx_param(f, "v", "L,M=2,A");
    ir_val u = fx_f32(f, "L,A"), c = fx_f32(f, "A");
    uint32_t inner, outer;
    ir_builder b = fx_body(f, "inner", &inner);
    iter_formal(f, &b);
    ir_val ix = fx_formal(&b, t), iv = fx_formal(&b, t);
    ir_val iu = fx_formal(&b, t), ic = fx_formal(&b, t);
    ir_val s = ir_map1(&b, IR_FN_SIN, add(&b, mul(&b, ix, iv), iu));
    ir_result_add(&b, add(&b, ix, mul(&b, s, ic)), "x");
    ir_result_add(&b, mul(&b, s, ix), "y");
    b = fx_body(f, "outer", &outer);
    iter_formal(f, &b);
    ir_val ox = fx_formal(&b, t), ow = fx_formal(&b, fx_type(f, DFM_F32, "B,A"));
    ir_val ov = fx_formal(&b, fx_type(f, DFM_F32, "M,A")), ou = fx_formal(&b, t);
    ir_val oc = fx_formal(&b, t);
    ir_pair p = {dim(f, "A"), dim(f, "A")};
    ir_val h = ir_contract_over(&b, ow, ox, &p, 1, fx_type(f, DFM_F32, "B"));
    h = tanh_of(&b, ir_rename(&b, h, dim(f, "B"), dim(f, "A")));
    ir_scan at = {.body = inner, .loop = m, .n_carry = 1, .n_xs = 1, .n_caps = 2, .n_ys = 1};
    ir_val is = ir_scan_over(&b, &at, (ir_val[]){h, ov, ou, oc}, 4);
    ir_result_add(&b, tanh_of(&b, ir_get(&b, is, 0)), "x");
    ir_result_add(&b, mul(&b, ir_get(&b, is, 1), ox), "y");
    at = (ir_scan){.body = outer, .loop = l, .n_carry = 1, .n_xs = 3, .n_caps = 1, .n_ys = 1};
    s = ir_scan_over(&f->b, &at, (ir_val[]){x, w, v, u, c}, 5);
    fx_loss(f, ir_get(&f->b, s, 0));
    fx_loss(f, ir_get(&f->b, s, 1));
    f->full = true;
    fx_check(f);
    fx_free(f);
}

/* One body used twice with the same parameters (guidance): gradients add up, bodies are shared. */
static void shared_body(void **state)
{
    fx *f = fx_new(9);
    ir_val x = fx_f32(f, "A=3"), w = fx_param(f, "w", "L=4,A"), c = fx_f32(f, "A");
    ir_scan at = {.body = simple_body(f, false), .loop = dim(f, "L"), .n_carry = 1, .n_xs = 1,
                  .n_caps = 1};
    ir_val s = ir_get(&f->b, ir_scan_over(&f->b, &at, (ir_val[]){x, w, c}, 3), 0);
    ir_val t = ir_get(&f->b, ir_scan_over(&f->b, &at, (ir_val[]){s, w, x}, 3), 0);
    fx_loss(f, t);
    fx_loss(f, s);
    uint32_t before = f->m->graphs.n;
    fx_check(f);
    assert_int_equal(f->m->graphs.n, before + 3);                /* the gradient, two bodies */
    fx_free(f);
}

/* Scans that take no part are used as they are. */
static void untouched(void **state)
{
    fx *f = fx_new(10);
    ir_val x = fx_f32(f, "A=3"), w = fx_f32(f, "L=4,A"), c = fx_f32(f, "A");
    ir_scan at = {.body = simple_body(f, false), .loop = dim(f, "L"), .n_carry = 1, .n_xs = 1,
                  .n_caps = 1};
    ir_val s = ir_get(&f->b, ir_scan_over(&f->b, &at, (ir_val[]){x, w, c}, 3), 0);
    ir_val y = mul(&f->b, ir_stop_grad(&f->b, s), x);
    ir_dim d = dim(f, "A");
    ir_result_add(&f->b, ir_reduce_over(&f->b, IR_RED_SUM, y, &d, 1), "loss");
    uint32_t before = f->m->graphs.n;
    ir_graph *g = fx_grad(f, &x, 1);
    assert_int_equal(f->m->graphs.n, before + 1);
    double *dx = fx_gradient(f, g, 0), loss = *fx_eval(f, g, 0), sum = 0;
    for (int i = 0; i < 3; i++) sum += dx[i] * fx_data(f, x)[i];
    assert_true(fabs(sum - loss) < 1e-12);
    fx_free(f);
}

/* A transformer-like block: norm, matrix products, attention, gates from a captured condition.
 * The backward body computes no matrix product or attention of the forward body again. */
static void block(void **state)
{
    fx *f = fx_new(11);
    ir_dim l = fx_dim(f, "L", 2);
    ir_type xt = fx_type(f, DFM_F32, "N=2,S=5,D=4");
    ir_val x = fx_f32(f, "N,S,D"), cond = fx_f32(f, "N,D");
    ir_val qkv = fx_param(f, "qkv", "L=2,K=3,E=4,D");
    uint32_t index;
    ir_builder b = fx_body(f, "block", &index);
    iter_formal(f, &b);
    ir_val h = fx_formal(&b, xt), w = fx_formal(&b, fx_type(f, DFM_F32, "K,E,D"));
    ir_val c = fx_formal(&b, fx_type(f, DFM_F32, "N,D"));
    ir_dim d = dim(f, "D"), k = dim(f, "K");
    ir_val q = ir_reduce_over(&b, IR_RED_SUM, mul(&b, h, h), &d, 1);
    ir_val n = mul(&b, h, ir_map1(&b, IR_FN_RSQRT, add(&b, q, ir_scalar(&b, DFM_F32, 0.1))));
    n = mul(&b, n, c);
    ir_pair p = {d, d};
    ir_val y = ir_contract_over(&b, n, w, &p, 1, fx_type(f, DFM_F32, "N,S,K,E")), part[3];
    for (int i = 0; i < 3; i++) {
        ir_ix at[4] = {ir_ix_var(f->m, dim(f, "N")), ir_ix_var(f->m, dim(f, "S")),
                       ir_ix_const(f->m, i), ir_ix_var(f->m, dim(f, "E"))};
        part[i] = ir_view_of(&b, y, fx_type(f, DFM_F32, "N,S,E"), at, NULL, 0, 0);
    }
    ir_attend aat = {.seq = dim(f, "S"), .over = dim(f, "S"), .feature = dim(f, "E"),
                     .value = dim(f, "E"), .scale = 0.5};
    ir_val o = ir_get(&b, ir_attend_fwd(&b, part[0], part[1], part[2], (ir_val){0}, &aat), 0);
    o = ir_rename(&b, o, dim(f, "E"), d);
    ir_result_add(&b, add(&b, h, mul(&b, o, tanh_of(&b, c))), "x");
    ir_scan at = {.body = index, .loop = l, .n_carry = 1, .n_xs = 1, .n_caps = 1};
    fx_loss(f, ir_get(&f->b, ir_scan_over(&f->b, &at, (ir_val[]){x, qkv, cond}, 3), 0));
    ir_graph *g = fx_check(f);
    assert_int_equal(fx_count(f, g, IR_ATTEND), 1);
    assert_int_equal(fx_count(f, g, IR_ATTEND_BWD), 1);
    assert_int_equal(fx_count(f, g, IR_CONTRACT), 3);
    assert_int_equal(ir_extent(f->m, k), 3);
    fx_free(f);
}

/* A user's op with a (scaled) gradient inside a body: it is used there, too. */
static void call_in_a_body(void **state)
{
    fx *f = fx_new(12);
    ir_type t = fx_type(f, DFM_F32, "A=3");
    ir_val x = fx_f32(f, "A");
    ir_call call;
    uint32_t index;
    ir_builder b = fx_body(f, "square", &call.body), v = fx_body(f, "square.vjp", &call.vjp);
    ir_val a = fx_formal(&b, t);
    ir_result_add(&b, mul(&b, a, a), "y");
    a = fx_formal(&v, t);
    fx_formal(&v, t);
    ir_val dy = fx_formal(&v, t);            /* 10 a dy instead of 2 a dy */
    ir_result_add(&v, mul(&v, mul(&v, a, ir_scalar(&v, DFM_F32, 10)), dy), "dx");
    b = fx_body(f, "body", &index);
    iter_formal(f, &b);
    a = fx_formal(&b, t);
    ir_result_add(&b, ir_call_op(&b, &call, &a, 1), "x");
    ir_scan at = {.body = index, .loop = fx_dim(f, "L", 2), .n_carry = 1};
    ir_val y = ir_get(&f->b, ir_scan_over(&f->b, &at, &x, 1), 0);
    ir_dim d = dim(f, "A");
    ir_result_add(&f->b, ir_reduce_over(&f->b, IR_RED_SUM, y, &d, 1), "loss");
    double *dx = fx_gradient(f, fx_grad(f, &x, 1), 0);
    for (int i = 0; i < 3; i++) {
        double want = 100 * pow(fx_data(f, x)[i], 3);    /* 10 x^2 times 10 x */
        assert_true(fabs(dx[i] - want) <= 1e-12 * fabs(want));
    }
    fx_free(f);
}

/* Rows of a large table are kept, not gathered again; so are statistics of long rows. */
static void kept_rows(void **state)
{
    fx *f = fx_new(13);
    ir_type xt = fx_type(f, DFM_F32, "N=2,A=9");
    ir_val x = fx_f32(f, "N,A"), w = fx_f32(f, "V=8192,A");
    ir_val i = fx_input(f, fx_type(f, DFM_I32, "L=3,N"), 0, 8191);
    uint32_t index;
    ir_builder b = fx_body(f, "body", &index);
    iter_formal(f, &b);
    ir_val c = fx_formal(&b, xt), rows = fx_formal(&b, fx_type(f, DFM_I32, "N"));
    ir_val table = fx_formal(&b, fx_type(f, DFM_F32, "V,A"));
    ir_dim d = dim(f, "A");
    ir_val r = ir_gather_rows(&b, table, dim(f, "V"), rows);
    ir_val q = ir_reduce_over(&b, IR_RED_SUM, mul(&b, c, c), &d, 1);
    ir_val s = ir_map1(&b, IR_FN_RECIP, add(&b, q, ir_scalar(&b, DFM_F32, 1)));
    ir_result_add(&b, tanh_of(&b, mul(&b, mul(&b, c, s), r)), "x");
    ir_scan at = {.body = index, .loop = dim(f, "L"), .n_carry = 1, .n_xs = 1, .n_caps = 1};
    fx_loss(f, ir_get(&f->b, ir_scan_over(&f->b, &at, (ir_val[]){x, i, w}, 3), 0));
    ir_graph *g = fx_check(f);
    assert_int_equal(fx_count(f, g, IR_GATHER), 1);
    const ir_scan *fwd = NULL;
    for (uint32_t v = 1; v < g->ops.n && !fwd; v++)
        if (g->ops.p[v].kind == IR_SCAN) fwd = &g->ops.p[v].at->scan;
    assert_int_equal(fwd->n_ys, 3);          /* the carry, the rows, the sum of squares */
    fx_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(carries_xs_captures), cmocka_unit_test(only_stacked_outputs),
        cmocka_unit_test(no_carry), cmocka_unit_test(counter), cmocka_unit_test(many_carries),
        cmocka_unit_test(constant_start), cmocka_unit_test(chain_of_carries),
        cmocka_unit_test(nested), cmocka_unit_test(shared_body),
        cmocka_unit_test(untouched), cmocka_unit_test(block), cmocka_unit_test(call_in_a_body),
        cmocka_unit_test(kept_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

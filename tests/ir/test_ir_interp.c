/* test_ir_interp.c - the interpreter's regions, environment and rounding; costs; docs/ops.md. */
#include "tests/ir/ir_testing.h"

static ir_val formal(ir_builder *b, uint32_t i, ir_type t, const char *name)
{
    return ir_input_new(b, t, IR_ROLE_BODY, i, name);
}

static ir_builder body_of(world *w, uint32_t *index)
{
    return (ir_builder){.m = w->m, .g = ir_graph_create(w->m, "body", index)};
}

/* c' = 2 c + x[i] + i, y = c (before), for both directions. */
static void scans(void **state)
{
    for (int reverse = 0; reverse < 2; reverse++) {
        world w = world_make();
        ir_dim l = dim(&w, "L", 5), d = dim(&w, "D", 2);
        ir_scan s = {
            .loop = l, .n_carry = 2, .n_xs = 1, .n_caps = 1, .n_ys = 1, .reverse = reverse};
        ir_builder b = body_of(&w, &s.body);
        ir_type t = tensor(&w, DFM_F32, 1, d);
        ir_val i = formal(&b, 0, tensor(&w, DFM_I32, 0), "i"), c = formal(&b, 1, t, "c");
        ir_val e = formal(&b, 2, t, "e"), x = formal(&b, 3, t, "x"),
               k = formal(&b, 4, tensor(&w, DFM_F32, 0), "k");
        ir_val step = ir_map2(&b, IR_FN_ADD, x, ir_cast(&b, i, DFM_F32));
        ir_result_add(&b, ir_map2(&b, IR_FN_ADD, ir_map2(&b, IR_FN_MUL, c, k), step), "c");
        ir_result_add(&b, c, "e"); /* the carries change places */
        ir_result_add(&b, e, "y");
        ir_val c0 = input(&w, "c", t), e0 = input(&w, "e", t),
               xs = input(&w, "xs", tensor(&w, DFM_F32, 2, l, d));
        ir_val k0 = input(&w, "k2", tensor(&w, DFM_F32, 0));
        ir_val r = ir_scan_over(&w.b, &s, (ir_val[]){c0, e0, xs, k0}, 4);
        for (uint32_t m = 0; m < 3; m++) ir_result_add(&w.b, ir_get(&w.b, r, m), "r");
        ir_result_add(&w.b, c0, "c0");
        ir_result_add(&w.b, e0, "e0");
        ir_result_add(&w.b, xs, "xs");
        dfm_err err = {0};
        if (ir_verify(w.m, &err) != DFM_OK) fail_msg("%s", err.text);
        const double **o = run(&w, w.g);
        for (int q = 0; q < 2; q++) {
            double cc = o[3][q], ee = o[4][q];
            for (int n = 0; n < 5; n++) {
                int it = reverse ? 4 - n : n;
                assert_true(o[2][it * 2 + q] == ee);
                ee = cc;
                cc = 2 * cc + (o[5][it * 2 + q] + it);
            }
            assert_true(o[0][q] == cc && o[1][q] == ee);
        }
        world_free(&w);
    }
}

/* sum over i < 3 of sum over j < 4 of (10 i + j), through a scan in a scan that captures i. */
static void nested(void **state)
{
    world w = world_make();
    ir_type f = tensor(&w, DFM_F32, 0), n = tensor(&w, DFM_I32, 0);
    ir_scan in = {.loop = dim(&w, "J", 4), .n_carry = 1, .n_caps = 1},
            out = {.loop = dim(&w, "I", 3), .n_carry = 1};
    ir_builder b = body_of(&w, &in.body), c = body_of(&w, &out.body);
    ir_val j = formal(&b, 0, n, "j"), s = formal(&b, 1, f, "s"), i = formal(&b, 2, n, "i");
    ir_val term = ir_map2(&b, IR_FN_ADD, ir_map2(&b, IR_FN_MUL, i, ir_scalar(&b, DFM_I32, 10)), j);
    ir_result_add(&b, ir_map2(&b, IR_FN_ADD, s, ir_cast(&b, term, DFM_F32)), "s");
    ir_val ii = formal(&c, 0, n, "i"), ss = formal(&c, 1, f, "s");
    ir_result_add(&c, ir_get(&c, ir_scan_over(&c, &in, (ir_val[]){ss, ii}, 2), 0), "s");
    ir_val zero = scalar(&w, 0);
    ir_result_add(&w.b, ir_get(&w.b, ir_scan_over(&w.b, &out, &zero, 1), 0), "s");
    dfm_err err = {0};
    if (ir_verify(w.m, &err) != DFM_OK) fail_msg("%s", err.text);
    assert_true(run(&w, w.g)[0][0] == 10 * 3 * 4 + 6 * 3);
    /* cost of the whole: 12 times mul, add, add */
    assert_true(ir_op_cost(w.m, w.g, (ir_val){2}).flops == 12 * 3);
    world_free(&w);
}

static void calls(void **state)
{
    world w = world_make();
    ir_type t = tensor(&w, DFM_F32, 1, dim(&w, "D", 3));
    ir_call one = {0}, two = {0};
    ir_builder b = body_of(&w, &one.body), c = body_of(&w, &two.body);
    ir_val x = formal(&b, 0, t, "x"), y = formal(&c, 0, t, "y");
    ir_result_add(&b, ir_map1(&b, IR_FN_EXP, x), "e");
    ir_result_add(&c, ir_map1(&c, IR_FN_NEG, y), "n");
    ir_result_add(&c, ir_map2(&c, IR_FN_MUL, y, y), "q");
    ir_val in = input(&w, "in", t);
    ir_val e = ir_call_op(&w.b, &one, &in, 1), p = ir_call_op(&w.b, &two, &e, 1);
    ir_result_add(&w.b, ir_get(&w.b, p, 0), "n");
    ir_result_add(&w.b, ir_get(&w.b, p, 1), "q");
    ir_result_add(&w.b, in, "in");
    dfm_err err = {0};
    if (ir_verify(w.m, &err) != DFM_OK) fail_msg("%s", err.text);
    const double **r = run(&w, w.g);
    for (int i = 0; i < 3; i++)
        assert_true(r[0][i] == -exp(r[2][i]) && r[1][i] == exp(r[2][i]) * exp(r[2][i]));
    world_free(&w);
}

/* Two bodies that differ in names only are one; a different constant makes another. */
static void equal_bodies(void **state)
{
    world w = world_make();
    ir_type t = tensor(&w, DFM_F32, 0);
    ir_val in = input(&w, "in", t), out[3];
    for (int i = 0; i < 3; i++) {
        ir_call c = {0};
        ir_builder b = body_of(&w, &c.body);
        ir_val x = formal(&b, 0, t, i == 1 ? "other" : "x");
        ir_val k = ir_scalar(&b, DFM_F32, i == 2 ? 3 : 2);
        ir_result_add(&b, ir_map2(&b, IR_FN_MUL, x, k), "y");
        out[i] = ir_call_op(&w.b, &c, &in, 1);
    }
    assert_int_equal(out[0].i, out[1].i);
    assert_int_not_equal(out[0].i, out[2].i);
    world_free(&w);
}

static void rounding(void **state)
{
    world w = world_make();
    ir_type f = tensor(&w, DFM_F32, 0), h = tensor(&w, DFM_BF16, 0);
    ir_val x = input(&w, "x", f), y = input(&w, "y", h);
    ir_result_add(&w.b, ir_map2(&w.b, IR_FN_DIV, x, scalar(&w, 3)), "f");
    ir_result_add(&w.b, ir_map2(&w.b, IR_FN_MUL, y, y), "h");
    ir_result_add(&w.b, ir_cast(&w.b, x, DFM_BF16), "c");
    double a = *value_of(&w, "x", f), c = *value_of(&w, "y", h);
    ir_env env = random_env();
    dfm_err err = {0};
    const double *r[3];
    for (int mode = IR_EXACT; mode <= IR_ROUND_ALL; mode++) {
        env.round = (ir_round)mode;
        assert_int_equal(ir_interpret(w.m, w.g, &env, w.a, r, &err), DFM_OK);
        double fa = mode == IR_EXACT ? a : (double)(float)a;
        double hc = mode == IR_EXACT       ? c
                    : mode == IR_ROUND_F32 ? (double)(float)c
                                           : dfm_round_to(DFM_BF16, c);
        double third = fa / 3, square = hc * hc;
        assert_true(r[0][0] == (mode == IR_EXACT ? third : (double)(float)third));
        assert_true(r[1][0]
                    == (mode == IR_EXACT       ? square
                        : mode == IR_ROUND_F32 ? (double)(float)square
                                               : dfm_round_to(DFM_BF16, square)));
        assert_true(r[2][0] == dfm_round_to(DFM_BF16, fa));
    }
    world_free(&w);
}

/* Either neighbour, both over many seeds, exact values as they are, inputs to the nearest. */
static void rounding_either_way(void **state)
{
    world w = world_make();
    ir_type f = tensor(&w, DFM_F32, 0), h = tensor(&w, DFM_BF16, 0);
    ir_val x = input(&w, "x", f), y = input(&w, "y", h);
    ir_result_add(&w.b, ir_map2(&w.b, IR_FN_DIV, x, scalar(&w, 7)), "part");
    ir_result_add(&w.b, ir_map2(&w.b, IR_FN_MUL, x, scalar(&w, 4)), "exact");
    ir_result_add(&w.b, ir_map2(&w.b, IR_FN_MUL, y, y), "square");
    const double c = dfm_round_to(DFM_BF16, *value_of(&w, "y", h)), square = c * c;
    const double a = (double)(float)*value_of(&w, "x", f), part = a / 7;
    ir_env env = random_env();
    dfm_err err = {0};
    const double *r[3];
    int above = 0, half_above = 0;
    env.round = IR_ROUND_EITHER;
    for (env.round_seed = 0; env.round_seed < 64; env.round_seed++) {
        assert_int_equal(ir_interpret(w.m, w.g, &env, w.a, r, &err), DFM_OK);
        float got = (float)r[0][0];
        assert_true((double)got == r[0][0]);
        if (r[0][0] > part) above++, got = nextafterf(got, -INFINITY);
        else got = nextafterf(got, INFINITY);
        assert_true((r[0][0] > part) == ((double)got < part));
        assert_true(r[1][0] == 4 * a);
        assert_true(r[2][0] == dfm_round_to(DFM_BF16, r[2][0]));
        assert_true(fabs(r[2][0] - square) < 0x1p-7 * square);
        half_above += r[2][0] > square;
    }
    assert_true(above > 8 && above < 56 && half_above > 8 && half_above < 56);
    world_free(&w);
}

static const double *replace_draw(void *user, const ir_module *m, const ir_graph *g, ir_val v)
{
    return ir_op_of(g, v)->kind == IR_RANDOM ? user : NULL;
}

static void count(void *user, const ir_graph *g, ir_val v, const double *data)
{
    ++*(int *)user;
}

static void environment(void **state)
{
    world w = world_make();
    ir_type t = tensor(&w, DFM_F32, 1, dim(&w, "D", 2));
    ir_random at = {.dist = IR_NORMAL, .stream = 5};
    ir_val r = ir_random_draw(&w.b, t, &at, NULL, 0);
    ir_result_add(&w.b, ir_map1(&w.b, IR_FN_NEG, r), "n");
    double given[2] = {3, 4};
    const double *out[2];
    dfm_err err = {0};
    ir_env env = {.lookup = replace_draw, .user = given};
    assert_int_equal(ir_interpret(w.m, w.g, &env, w.a, out, &err), DFM_OK);
    assert_true(out[0][0] == -3 && out[0][1] == -4);
    int n = 0;
    ir_env traced = {.trace = count, .user = &n};
    assert_int_equal(ir_interpret(w.m, w.g, &traced, w.a, out, &err), DFM_OK);
    assert_int_equal(n, 2);
    ir_result_add(&w.b, input(&w, "absent", t), "a");
    assert_int_equal(ir_interpret(w.m, w.g, &env, w.a, out, &err), DFM_BAD_DATA);
    assert_non_null(strstr(err.text, "absent"));
    world_free(&w);
}

static void costs(void **state)
{
    world w = world_make();
    ir_dim n = dim(&w, "N", 4), d = dim(&w, "D", 8), e = dim(&w, "E", 16);
    ir_val x = input(&w, "x", tensor(&w, DFM_BF16, 2, n, d)),
           y = input(&w, "y", tensor(&w, DFM_BF16, 2, d, e));
    ir_val z = ir_contract_over(&w.b, x, y, (ir_pair[]){{d, d}}, 1, tensor(&w, DFM_F32, 2, n, e));
    ir_cost c = ir_op_cost(w.m, w.g, z);
    assert_true(c.flops == 2 * 4 * 8 * 16 && c.bytes_read == 2 * (4 * 8 + 8 * 16)
                && c.bytes_written == 4 * 4 * 16);
    assert_true(ir_op_cost(w.m, w.g, x).bytes_read == 0);
    ir_val s = ir_reduce_over(&w.b, IR_RED_SUM, z, &e, 1);
    c = ir_op_cost(w.m, w.g, s);
    assert_true(c.flops == 64 && c.bytes_read == 256 && c.bytes_written == 16);
    world_free(&w);
}

static void documentation(void **state)
{
    dfm_arena *a = dfm_arena_create("doc");
    dfm_sb sb = dfm_sb_make(a);
    ir_write_ops_markdown(&sb);
    for (int k = 1; k < IR_OP_COUNT; k++)
        assert_non_null(strstr(sb.p, dfm_fmt(a, "| `%s` |", ir_op_name((ir_op_kind)k))));
    for (int f = 1; f < IR_FN_COUNT; f++) {
        assert_non_null(strstr(sb.p, dfm_fmt(a, "| `%s` |", ir_fn_name((ir_fn)f))));
        assert_int_equal(ir_fn_find(ir_fn_name((ir_fn)f)), f);
    }
    assert_int_equal(ir_fn_find("frobnicate"), IR_FN_NONE);
    dfm_arena_destroy(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scans),    cmocka_unit_test(nested),
        cmocka_unit_test(calls),    cmocka_unit_test(equal_bodies),
        cmocka_unit_test(rounding),
        cmocka_unit_test(rounding_either_way),
        cmocka_unit_test(environment),
        cmocka_unit_test(costs),    cmocka_unit_test(documentation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

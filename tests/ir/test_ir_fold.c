/* test_ir_fold.c - folding at emission: every identity once, then random graphs against
 * themselves without folding. */
#include "tests/ir/ir_testing.h"

static const ir_op *op_of(world *w, ir_val v)
{
    return ir_op_of(w->b.g, v);
}

static double const_value(world *w, ir_val v, uint64_t i)
{
    const ir_const *c = ir_const_of(w->b.g, v);
    assert_non_null(c);
    assert_true(i < c->n);
    return c->data[i];
}

#define same_val(x, y) assert_int_equal((x).i, (y).i)

static void identities(void **state)
{
    world w = world_make();
    ir_builder *b = &w.b;
    ir_dim d = dim(&w, "D", 6), e = dim(&w, "E", 3);
    ir_val x = input(&w, "x", tensor(&w, DFM_F32, 1, d)),
           y = input(&w, "y", tensor(&w, DFM_F32, 1, d));
    ir_val n = input(&w, "n", tensor(&w, DFM_I32, 1, d)),
           c = input(&w, "c", tensor(&w, DFM_BOOL, 1, d));
    ir_val zero = scalar(&w, 0), one = scalar(&w, 1), two = scalar(&w, 2);
    same_val(ir_map2(b, IR_FN_ADD, x, zero), x);
    same_val(ir_map2(b, IR_FN_ADD, zero, x), x);
    same_val(ir_map2(b, IR_FN_SUB, x, zero), x);
    same_val(ir_map2(b, IR_FN_MUL, x, one), x);
    same_val(ir_map2(b, IR_FN_MUL, one, x), x);
    same_val(ir_map2(b, IR_FN_DIV, x, one), x);
    same_val(ir_map2(b, IR_FN_POW, x, one), x);
    assert_int_equal(op_of(&w, ir_map2(b, IR_FN_MUL, x, zero))->kind, IR_MAP); /* 0 * inf */
    same_val(ir_map2(b, IR_FN_MUL, n, ir_scalar(b, DFM_I32, 0)), ir_map2(b, IR_FN_SUB, n, n));
    same_val(ir_map2(b, IR_FN_POW, x, two), ir_map2(b, IR_FN_MUL, x, x));
    same_val(ir_map2(b, IR_FN_DIV, one, x), ir_map1(b, IR_FN_RECIP, x));
    same_val(ir_map2(b, IR_FN_DIV, x, two), ir_map2(b, IR_FN_MUL, x, scalar(&w, 0.5)));
    same_val(ir_map1(b, IR_FN_NEG, ir_map1(b, IR_FN_NEG, x)), x);
    same_val(ir_map2(b, IR_FN_ADD, x, ir_map1(b, IR_FN_NEG, y)), ir_map2(b, IR_FN_SUB, x, y));
    same_val(ir_map2(b, IR_FN_ADD, x, y), ir_map2(b, IR_FN_ADD, y, x)); /* one op */
    same_val(ir_map1(b, IR_FN_RECIP, ir_map1(b, IR_FN_SQRT, x)), ir_map1(b, IR_FN_RSQRT, x));
    same_val(ir_map3(b, IR_FN_SELECT, ir_scalar(b, DFM_BOOL, 1), x, y), x);
    same_val(ir_map3(b, IR_FN_SELECT, ir_scalar(b, DFM_BOOL, 0), x, y), y);
    same_val(ir_map3(b, IR_FN_SELECT, c, x, x), x);
    same_val(ir_map3(b, IR_FN_SELECT, ir_map1(b, IR_FN_NOT, c), x, y),
             ir_map3(b, IR_FN_SELECT, c, y, x));
    same_val(ir_map2(b, IR_FN_AND, c, ir_scalar(b, DFM_BOOL, 1)), c);
    same_val(ir_cast(b, x, DFM_F32), x);
    same_val(ir_cast(b, ir_cast(b, x, DFM_F64), DFM_F32), x);
    assert_int_equal(op_of(&w, ir_cast(b, ir_cast(b, x, DFM_BF16), DFM_F32))->kind, IR_CAST);
    same_val(ir_stop_grad(b, ir_stop_grad(b, x)), ir_stop_grad(b, x));
    /* x * 1 where the one is broadcast over a dim that x lacks: only the broadcast is left */
    ir_val wide = ir_map2(b, IR_FN_MUL, x, ir_broadcast(b, one, tensor(&w, DFM_F32, 1, e)));
    assert_int_equal(op_of(&w, wide)->kind, IR_VIEW);
    assert_int_equal(ir_type_at(b->g, wide).i, tensor(&w, DFM_F32, 2, d, e).i);
    /* integer comparisons by range */
    ir_val i = ir_iota(b, d);
    assert_true(
        const_value(&w, op_of(&w, ir_map2(b, IR_FN_LT, i, ir_scalar(b, DFM_I32, 6)))->args[0], 0)
        == 1);
    assert_int_equal(op_of(&w, ir_map2(b, IR_FN_LT, i, ir_scalar(b, DFM_I32, 5)))->kind, IR_MAP);
    world_free(&w);
}

static void views_compose(void **state)
{
    world w = world_make();
    ir_module *m = w.m;
    ir_builder *b = &w.b;
    ir_dim s = dim(&w, "S", 12), y = dim(&w, "Y", 4), x = dim(&w, "X", 3), d = dim(&w, "D", 2);
    ir_val v = input(&w, "v", tensor(&w, DFM_F32, 2, s, d));
    ir_ix merged = ir_ix_add(m, ir_ix_mul(m, ir_ix_var(m, y), 3), ir_ix_var(m, x));
    ir_val split = ir_view_of(b, v, tensor(&w, DFM_F32, 3, y, x, d),
                              (ir_ix[]){merged, ir_ix_var(m, d)}, NULL, 0, 0);
    ir_ix up = ir_ix_div(m, ir_ix_var(m, s), 3), low = ir_ix_mod(m, ir_ix_var(m, s), 3);
    same_val(ir_view_of(b, split, tensor(&w, DFM_F32, 2, s, d), (ir_ix[]){up, low, ir_ix_var(m, d)},
                        NULL, 0, 0),
             v); /* split then merged: nothing */
    same_val(ir_transpose_to(b, ir_transpose_to(b, v, tensor(&w, DFM_F32, 2, d, s)),
                             tensor(&w, DFM_F32, 2, s, d)),
             v);
    /* a shift by one with zeros, twice: one view, the guard s >= 2 */
    ir_ix back1 = ir_ix_add(m, ir_ix_var(m, s), ir_ix_const(m, -1));
    ir_cond in = {back1, 0, 11};
    ir_val once =
        ir_view_of(b, v, ir_type_at(b->g, v), (ir_ix[]){back1, ir_ix_var(m, d)}, &in, 1, 0);
    ir_val twice =
        ir_view_of(b, once, ir_type_at(b->g, v), (ir_ix[]){back1, ir_ix_var(m, d)}, &in, 1, 0);
    same_val(op_of(&w, twice)->args[0], v);
    assert_int_equal(op_of(&w, twice)->at->view.n_conds, 1);
    assert_int_equal(op_of(&w, twice)->at->view.guard[0].lo, 2);
    /* fills differ: two views stay */
    ir_val other =
        ir_view_of(b, once, ir_type_at(b->g, v), (ir_ix[]){back1, ir_ix_var(m, d)}, &in, 1, 9);
    same_val(op_of(&w, other)->args[0], once);
    /* a guard that never holds: only the fill is left */
    ir_cond never = {ir_ix_var(m, s), 20, 30};
    ir_val fill =
        ir_view_of(b, v, ir_type_at(b->g, v), (ir_ix[]){back1, ir_ix_var(m, d)}, &never, 1, 7);
    assert_true(const_value(&w, op_of(&w, fill)->args[0], 0) == 7);
    world_free(&w);
}

static void reductions(void **state)
{
    world w = world_make();
    ir_builder *b = &w.b;
    ir_dim a = dim(&w, "A", 4), u = dim(&w, "U", 1), c = dim(&w, "C", 3);
    ir_val x = input(&w, "x", tensor(&w, DFM_F32, 3, a, u, c));
    ir_dim all[3] = {c, a, u};
    ir_val sum = ir_reduce_over(b, IR_RED_SUM, x, all, 3);
    ir_val half = ir_reduce_over(b, IR_RED_SUM, x, &c, 1);
    same_val(ir_reduce_over(b, IR_RED_SUM, half, (ir_dim[]){a, u}, 2), sum);
    same_val(ir_reduce_over(b, IR_RED_MAX, x, &u, 1), ir_reduce_over(b, IR_RED_SUM, x, &u, 1));
    same_val(ir_reduce_over(b, IR_RED_SUM, x, NULL, 0), x);
    ir_val turned = ir_transpose_to(b, x, tensor(&w, DFM_F32, 3, c, u, a));
    same_val(ir_reduce_over(b, IR_RED_SUM, turned, &c, 1),
             ir_transpose_to(b, half, tensor(&w, DFM_F32, 2, u, a)));
    same_val(ir_reduce_over(b, IR_RED_SUM, turned, all, 3), sum);
    ir_dim e = dim(&w, "E", 5);
    ir_val y = input(&w, "y", tensor(&w, DFM_F32, 1, a));
    ir_val wide = ir_broadcast(b, y, tensor(&w, DFM_F32, 2, a, e));
    same_val(ir_reduce_over(b, IR_RED_MAX, wide, &e, 1), y);
    same_val(ir_reduce_over(b, IR_RED_SUM, wide, &e, 1), ir_map2(b, IR_FN_MUL, y, scalar(&w, 5)));
    world_free(&w);
}

/* Tables in float64: sqrt(1 - abar[t]) must not lose digits, whatever the dtype says. */
static void tables(void **state)
{
    world w = world_make();
    ir_builder *b = &w.b;
    ir_dim t = dim(&w, "T", 1000), n = dim(&w, "B", 4), d = dim(&w, "D", 8);
    double *abar = dfm_new_n(w.a, double, 1000), p = 1;
    for (int i = 0; i < 1000; i++) abar[i] = p *= 1 - (1e-4 + i * (0.02 - 1e-4) / 999);
    ir_val index = input(&w, "t", tensor(&w, DFM_I32, 1, n));
    ir_val table = ir_table(b, tensor(&w, DFM_F32, 1, t), abar);
    ir_val rows = ir_gather_rows(b, table, t, index);
    ir_val v = ir_map1(b, IR_FN_SQRT, ir_map2(b, IR_FN_SUB, scalar(&w, 1), rows));
    assert_int_equal(op_of(&w, v)->kind, IR_GATHER);
    same_val(op_of(&w, v)->args[1], index);
    assert_true(const_value(&w, op_of(&w, v)->args[0], 0) == sqrt(1 - abar[0]));
    ir_val both = ir_map2(b, IR_FN_DIV, rows, v); /* two gathers, one index */
    assert_int_equal(op_of(&w, both)->kind, IR_GATHER);
    assert_true(const_value(&w, op_of(&w, both)->args[0], 7) == abar[7] / sqrt(1 - abar[7]));
    ir_val other = ir_gather_rows(b, table, t, input(&w, "t2", tensor(&w, DFM_I32, 1, n)));
    assert_int_equal(op_of(&w, ir_map2(b, IR_FN_ADD, rows, other))->kind, IR_MAP);
    /* a constant index is a view of the table, and so a scalar */
    assert_true(const_value(&w, ir_gather_rows(b, table, t, ir_scalar(b, DFM_I32, 5000)), 0)
                == abar[999]);
    /* rope-like: sin(iota * freq) becomes a table; the integer part stays symbolic */
    ir_val pos = ir_iota(b, n);
    assert_int_equal(op_of(&w, ir_map2(b, IR_FN_MUL, pos, ir_iota(b, d)))->kind, IR_MAP);
    assert_int_equal(op_of(&w, ir_map2(b, IR_FN_LE, pos, ir_iota(b, d)))->kind, IR_MAP);
    ir_val freq = ir_map1(
        b, IR_FN_EXP, ir_map2(b, IR_FN_MUL, ir_cast(b, ir_iota(b, d), DFM_F32), scalar(&w, -0.1)));
    ir_val angle = ir_map1(b, IR_FN_SIN, ir_map2(b, IR_FN_MUL, ir_cast(b, pos, DFM_F32), freq));
    assert_true(const_value(&w, angle, 3 * 8 + 2) == sin(3 * exp(2 * -0.1)));
    /* rounding happens at a cast to bf16, and only there */
    ir_val third = ir_map2(b, IR_FN_DIV, scalar(&w, 1), scalar(&w, 3));
    assert_true(const_value(&w, third, 0) == 1.0 / 3);
    assert_true(const_value(&w, ir_cast(b, third, DFM_BF16), 0) == (double)dfm_bf16_to_f32(0x3eab));
    world_free(&w);
}

static void concat_and_stack(void **state)
{
    world w = world_make();
    ir_builder *b = &w.b;
    ir_dim a = dim(&w, "A", 2), c = dim(&w, "C", 3), o = dim(&w, "O", 5), n = dim(&w, "N", 4);
    ir_val x = input(&w, "x", tensor(&w, DFM_F32, 2, n, a)),
           y = input(&w, "y", tensor(&w, DFM_F32, 2, n, c));
    ir_val z = ir_concat(b, (ir_val[]){x, y}, 2, o, (ir_dim[]){a, c});
    ir_dim two = dim(&w, "two", 2);
    ir_val x2 = input(&w, "x2", tensor(&w, DFM_F32, 2, n, a));
    ir_result_add(b, z, "z");
    ir_result_add(b, ir_stack(b, (ir_val[]){x, x2}, 2, two), "s");
    ir_result_add(b, x, "x");
    ir_result_add(b, y, "y");
    ir_result_add(b, x2, "x2");
    dfm_err err = {0};
    if (ir_verify(w.m, &err) != DFM_OK) fail_msg("%s", err.text);
    const double **r = run(&w, w.g);
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < 5; k++)
            assert_true(r[0][i * 5 + k] == (k < 2 ? r[2][i * 2 + k] : r[3][i * 3 + k - 2]));
    for (int i = 0; i < 8; i++) assert_true(r[1][i] == r[2][i] && r[1][8 + i] == r[4][i]);
    world_free(&w);
}

/* Contractions absorb renames and transpositions of their operands. */
static void contract_operands(void **state)
{
    world w = world_make();
    ir_builder *b = &w.b;
    ir_dim d = dim(&w, "D", 4), n = dim(&w, "N", 3), d1 = ir_dim_alias(w.m, d);
    ir_val x = input(&w, "x", tensor(&w, DFM_F32, 2, n, d)),
           k = input(&w, "k", tensor(&w, DFM_F32, 2, d, d1));
    ir_type t = tensor(&w, DFM_F32, 2, n, d);
    ir_val y = ir_contract_over(b, x, k, (ir_pair[]){{d, d1}}, 1, t);
    ir_val z = ir_contract_over(b, ir_rename(b, x, d, d1), k, (ir_pair[]){{d1, d1}}, 1, t);
    same_val(y, z);
    ir_val kt = ir_transpose_to(b, k, tensor(&w, DFM_F32, 2, d1, d));
    same_val(ir_contract_over(b, x, kt, (ir_pair[]){{d, d1}}, 1, t), y);
    world_free(&w);
}

/* The graph once more without its barriers, and with some inputs replaced by constants: all
 * foldings at once, against the interpreter on the graph that could not fold. */
static void random_foldings(void **state)
{
    for (uint64_t trial = 0; trial < 250; trial++) {
        world w = world_make();
        uint64_t seed = trial * 1009 + 3;
        ir_graph *g = random_graph(&w, &seed, 25, RG_BARRIERS | (trial % 3 ? 0 : RG_SCANS));
        ir_builder b = {.m = w.m, .g = ir_graph_create(w.m, "folded", NULL)};
        ir_val *map = dfm_new_n(w.a, ir_val, g->ops.n), args[8];
        for (uint32_t i = 1; i < g->ops.n; i++) {
            const ir_op *op = &g->ops.p[i];
            for (uint32_t k = 0; k < op->n_args; k++) args[k] = map[op->args[k].i];
            const char *name =
                op->kind == IR_INPUT ? dfm_name_str(w.names, op->at->input.name) : "";
            if (op->kind == IR_STOP_GRAD)
                map[i] = args[0];
            else if (op->kind == IR_INPUT && (*name == 'k' || roll(&seed) % 3 == 0))
                map[i] = ir_table(&b, op->type, value_of(&w, name, op->type));
            else
                map[i] = ir_emit_copy(&b, op, args);
        }
        for (uint32_t i = 0; i < g->results.n; i++)
            ir_result_add(&b, map[g->results.p[i].val.i], "r");
        dfm_err err = {0};
        if (ir_verify_graph(w.m, b.g, &err) != DFM_OK)
            fail_msg("trial %d: %s", (int)trial, err.text);
        same_results(&w, g, b.g, 1e-9);
        world_free(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(identities),       cmocka_unit_test(views_compose),
        cmocka_unit_test(reductions),       cmocka_unit_test(tables),
        cmocka_unit_test(concat_and_stack), cmocka_unit_test(contract_operands),
        cmocka_unit_test(random_foldings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

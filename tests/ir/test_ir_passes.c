/* test_ir_passes.c - passes keep the meaning of random graphs, and do what they are for. */
#include "tests/ir/ir_testing.h"

#include "compiler/pass/pass.h"

typedef struct passing {
    world w;
    pass_ctx cx;
    dfm_err err;
    int remarks;
} passing;

static void note(void *user, const char *pass, dfm_loc loc, const char *text)
{
    ++*(int *)user;
}

static void prepare(passing *p)
{
    p->w = world_make();
    p->err = (dfm_err){0};
    p->remarks = 0;
    p->cx = (pass_ctx){.m = p->w.m,
                       .err = &p->err,
                       .scratch = dfm_arena_create("scratch"),
                       .remark = note,
                       .user = &p->remarks};
}

static void finish(passing *p)
{
    dfm_arena_destroy(p->cx.scratch);
    world_free(&p->w);
}

static ir_graph *apply(passing *p, const char *name, const ir_graph *in)
{
    ir_graph *out = ir_graph_create(p->w.m, "out", NULL);
    if (!pass_find(name)->run(&p->cx, in, out)) fail_msg("%s", p->err.text);
    dfm_err err = {0};
    if (ir_verify(p->w.m, &err) != DFM_OK) fail_msg("after %s: %s", name, err.text);
    return out;
}

static void random_graphs(void **state)
{
    for (uint64_t trial = 0; trial < 80; trial++) {
        passing p;
        prepare(&p);
        uint64_t seed = trial * 31 + 7;
        p.cx.options.drop_stop_grad = true;
        const ir_graph *g = random_graph(&p.w, &seed, 26, RG_SCANS | (trial % 2 ? RG_BARRIERS : 0));
        const ir_graph *a = apply(&p, "simplify", g);
        const ir_graph *b = apply(&p, "inline_calls", a);
        const ir_graph *c = apply(&p, "dce_scan", b);
        same_results(&p.w, g, a, 1e-9);
        same_results(&p.w, a, b, 1e-12);
        same_results(&p.w, b, c, 1e-12);
        finish(&p);
    }
    assert_null(pass_find("frobnicate"));
}

static uint32_t count(const ir_graph *g, ir_op_kind k)
{
    uint32_t n = 0;
    for (uint32_t i = 1; i < g->ops.n; i++) n += g->ops.p[i].kind == k;
    return n;
}

static ir_val formal(ir_builder *b, uint32_t i, ir_type t, const char *name)
{
    return ir_input_new(b, t, IR_ROLE_BODY, i, name);
}

/* A call with two results inside a scan, and one outside. */
static void inlining(void **state)
{
    passing p;
    prepare(&p);
    world *w = &p.w;
    ir_type t = tensor(w, DFM_F32, 1, dim(w, "D", 3));
    ir_call call = {0};
    ir_scan s = {.loop = dim(w, "L", 2), .n_carry = 1};
    ir_builder f = {.m = w->m, .g = ir_graph_create(w->m, "f", &call.body)};
    ir_builder b = {.m = w->m, .g = ir_graph_create(w->m, "b", &s.body)};
    ir_val x = formal(&f, 0, t, "x");
    ir_result_add(&f, ir_map1(&f, IR_FN_SIN, x), "s");
    ir_result_add(&f, ir_map1(&f, IR_FN_COS, x), "c");
    formal(&b, 0, tensor(w, DFM_I32, 0), "i");
    ir_val c = formal(&b, 1, t, "c"), r = ir_call_op(&b, &call, &c, 1);
    ir_result_add(&b, ir_map2(&b, IR_FN_ADD, ir_get(&b, r, 0), ir_get(&b, r, 1)), "c");
    ir_val in = input(w, "in", t), q = ir_call_op(&w->b, &call, &in, 1);
    ir_val first = ir_get(&w->b, q, 1), scan = ir_scan_over(&w->b, &s, &first, 1);
    ir_result_add(&w->b, ir_get(&w->b, scan, 0), "r");
    const ir_graph *out = apply(&p, "inline_calls", w->g);
    assert_int_equal(count(out, IR_CALL), 0);
    for (uint32_t i = 1; i < out->ops.n; i++)
        if (out->ops.p[i].kind == IR_SCAN)
            assert_int_equal(count(w->m->graphs.p[out->ops.p[i].at->scan.body], IR_CALL), 0);
    same_results(w, w->g, out, 1e-12);
    finish(&p);
}

/* carries: 0 used; 1 needed by 0 only; 2 passed on unchanged; 3 feeds only itself.
 * xs 0 used, 1 not; captures 0 used, 1 the same value again, 2 unused, 3 a constant; ys 1 unused.
 */
static void trimming(void **state)
{
    passing p;
    prepare(&p);
    world *w = &p.w;
    ir_dim l = dim(w, "L", 4);
    ir_type t = tensor(w, DFM_F32, 0), tl = tensor(w, DFM_F32, 1, l);
    ir_scan s = {.loop = l, .n_carry = 4, .n_xs = 2, .n_caps = 4, .n_ys = 2};
    ir_builder b = {.m = w->m, .g = ir_graph_create(w->m, "b", &s.body)};
    ir_val f[11];
    f[0] = formal(&b, 0, tensor(w, DFM_I32, 0), "i");
    for (uint32_t i = 1; i < 11; i++) f[i] = formal(&b, i, t, "f");
    ir_val sum = ir_map2(&b, IR_FN_ADD, ir_map2(&b, IR_FN_ADD, f[1], f[2]),
                         ir_map2(&b, IR_FN_MUL, f[5], f[3]));
    sum = ir_map2(&b, IR_FN_ADD, sum,
                  ir_map2(&b, IR_FN_MUL, ir_map2(&b, IR_FN_SUB, f[7], f[8]), f[10]));
    ir_result_add(&b, sum, "0");
    ir_result_add(&b, ir_map1(&b, IR_FN_SIN, f[2]), "1");
    ir_result_add(&b, f[3], "2");
    ir_result_add(&b, ir_map2(&b, IR_FN_MUL, f[4], f[9]), "3");
    ir_result_add(&b, sum, "y");
    ir_result_add(&b, ir_map1(&b, IR_FN_COS, f[6]), "z");
    ir_val a = input(w, "a", t), c = input(w, "c", t), xs = input(w, "xs", tl),
           zs = input(w, "zs", tl);
    ir_val args[10] = {a, c, c, a, xs, zs, a, a, c, scalar(w, 3)};
    ir_val v = ir_scan_over(&w->b, &s, args, 10);
    ir_result_add(&w->b, ir_get(&w->b, v, 0), "0");
    ir_result_add(&w->b, ir_get(&w->b, v, 2), "2");
    ir_result_add(&w->b, ir_get(&w->b, v, 4), "y");
    const ir_graph *out = apply(&p, "dce_scan", w->g);
    same_results(w, w->g, out, 1e-12);
    for (uint32_t i = 1; i < out->ops.n; i++) {
        if (out->ops.p[i].kind != IR_SCAN) continue;
        const ir_scan *k = &out->ops.p[i].at->scan;
        assert_int_equal(k->n_carry, 2);
        assert_int_equal(k->n_xs, 1);
        assert_int_equal(k->n_caps, 2); /* a, and the carry that never changes */
        assert_int_equal(k->n_ys, 1);
    }
    assert_true(p.remarks > 0);
    /* a scan of which nothing is used vanishes */
    w->g->results.n = 1;
    w->g->results.p[0].val = ir_get(&w->b, v, 2);
    assert_int_equal(count(apply(&p, "dce_scan", w->g), IR_SCAN), 0);
    finish(&p);
}

static void simplification(void **state)
{
    passing p;
    prepare(&p);
    world *w = &p.w;
    ir_builder *b = &w->b;
    ir_dim n = dim(w, "N", 3), d = dim(w, "D", 5);
    ir_val x = input(w, "x", tensor(w, DFM_F32, 2, n, d)),
           y = input(w, "y", tensor(w, DFM_F32, 1, n));
    ir_map1(b, IR_FN_EXP, x); /* dead */
    ir_val z =
        ir_stop_grad(b, ir_map2(b, IR_FN_DIV, x, ir_map1(b, IR_FN_SQRT, ir_map1(b, IR_FN_EXP, y))));
    ir_result_add(b, z, "z");
    const ir_graph *kept = apply(&p, "simplify", w->g);
    assert_int_equal(count(kept, IR_STOP_GRAD), 1);
    p.cx.options.drop_stop_grad = true;
    const ir_graph *out = apply(&p, "simplify", w->g);
    assert_int_equal(count(out, IR_STOP_GRAD), 0);
    assert_int_equal(count(out, IR_MAP), 3); /* exp(y), rsqrt, mul */
    assert_int_equal(out->inputs.n, 2);
    same_results(w, w->g, out, 1e-12);
    finish(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_graphs),
        cmocka_unit_test(inlining),
        cmocka_unit_test(trimming),
        cmocka_unit_test(simplification),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_remat.c - whatever backward finds stored, gradients are the same; and what it finds stored.
 *
 *   autodiff_remat [first seed [graphs]]
 */
#include "compiler/pass/remat.h"
#include "tests/autodiff/random_graph.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GRAPHS = 120 };

typedef struct request { uint64_t first, n; } request;

static ir_val mul(ir_builder *b, ir_val x, ir_val y) { return ir_map2(b, IR_FN_MUL, x, y); }
static ir_val add(ir_builder *b, ir_val x, ir_val y) { return ir_map2(b, IR_FN_ADD, x, y); }

static const ir_graph *run(fx *f, const char *pass, const ir_graph *from, const remat_options *o,
                           remat_report *report)
{
    dfm_err err = {0};
    pass_ctx cx = {.m = f->m, .err = &err, .scratch = dfm_arena_create("scratch"),
                   .options = {.drop_stop_grad = true, .remat = o, .remat_report = report}};
    ir_graph *to = ir_graph_create(f->m, pass, NULL);
    if (!pass_find(pass)->run(&cx, from, to) || ir_verify_graph(f->m, to, &err) != DFM_OK)
        fail_msg("%s: %s", pass, err.text);
    dfm_arena_destroy(cx.scratch);
    return to;
}

/* The gradient as remat gets it. */
static const ir_graph *prepared(fx *f, const ir_graph *grad)
{
    const ir_graph *g = run(f, "simplify", grad, NULL, NULL);
    g = run(f, "inline_calls", g, NULL, NULL);
    return run(f, "dce_scan", g, NULL, NULL);
}

static const ir_graph *at_level(fx *f, const ir_graph *g, uint32_t level, remat_report *report)
{
    remat_options o = {.rates = remat_usual, .level = level};
    return run(f, "simplify", run(f, "remat", g, &o, report), NULL, NULL);
}

static void same_values(fx *f, const ir_graph *want, const ir_graph *got, uint32_t level)
{
    assert_int_equal(want->results.n, got->results.n);
    for (uint32_t k = 0; k < want->results.n; k++) {
        double *x = fx_eval(f, want, k), *y = fx_eval(f, got, k);
        uint64_t n = ir_elems(f->m, ir_type_at(want, want->results.p[k].val));
        for (uint64_t i = 0; i < n; i++)
            if (!(fabs(x[i] - y[i]) <= 1e-9 * (1 + fabs(x[i]))))
                fail_msg("level %u, result %u: %.12g is %.12g", level, k, x[i], y[i]);
    }
}

static uint32_t all_levels(fx *f, const ir_graph *g)
{
    remat_report first, r;
    at_level(f, g, 0, &first);
    uint32_t n = first.levels.n;
    for (uint32_t i = 1; i < n; i++) {
        assert_true(first.levels.p[i].bytes < first.levels.p[i - 1].bytes);
        assert_true(first.levels.p[i].time >= first.levels.p[0].time);
    }
    uint32_t step = n > 6 ? n / 6 : 1;
    for (uint32_t i = 0; i < n + step; i += step) {
        uint32_t level = i < n ? i : n - 1;
        same_values(f, g, at_level(f, g, level, &r), level);
        double bytes = 0;                    /* what is listed is what the level promised */
        for (uint32_t k = 0; k < r.kept.n; k++) bytes += r.kept.p[k].bytes * r.kept.p[k].trips;
        assert_true(fabs(bytes - first.levels.p[level].bytes) <= 1e-6 * bytes);
    }
    return n;
}

/* -- random graphs ----------------------------------------------------------------------------- */

static void random_levels(void **state)
{
    const request *rq = *state;
    uint32_t pairs = 0, levels = 0;
    for (uint64_t seed = rq->first; seed < rq->first + rq->n; seed++) {
        fx *f = fx_random_graph(seed, false, NULL, NULL);
        const ir_graph *g = prepared(f, fx_grad(f, f->input, 1));
        remat_report r;
        at_level(f, g, 0, &r);
        pairs += r.n_pairs;
        if (r.n_pairs) levels += all_levels(f, g);
        fx_free(f);
    }
    printf("%u pairs of scans, %u levels\n", pairs, levels);
    if (rq->n >= GRAPHS) assert_true(pairs > 20 && levels > 60);
}

/* Marks are part of the text. */
static void check_text(fx *f)
{
    dfm_err err = {0};
    dfm_sb first = dfm_sb_make(f->a), second = dfm_sb_make(f->a);
    ir_module *m = NULL;
    ir_print(&first, f->m);
    assert_non_null(strstr(dfm_sb_cstr(&first), " saved"));
    if (ir_parse(f->a, f->names, dfm_sb_cstr(&first), first.n, &m, &err) != DFM_OK)
        fail_msg("%s", err.text);
    ir_print(&second, m);
    assert_string_equal(dfm_sb_cstr(&first), dfm_sb_cstr(&second));
}

/* Marks at random, as a layout might set them. */
static void random_marks(void **state)
{
    const request *rq = *state;
    for (uint64_t seed = rq->first; seed < rq->first + rq->n; seed++) {
        fx *f = fx_random_graph(seed, false, NULL, NULL);
        const ir_graph *plain = prepared(f, fx_grad(f, f->input, 1));
        for (uint32_t i = 1; i < f->m->graphs.n; i++)
            for (uint32_t v = 1; v < f->m->graphs.p[i]->ops.n; v++)
                f->m->graphs.p[i]->ops.p[v].keep = (ir_keep)fx_int(f, 0, IR_KEEP_COUNT - 1);
        remat_report r;
        const ir_graph *g = prepared(f, fx_grad(f, f->input, 1));
        check_text(f);
        same_values(f, plain, at_level(f, g, 0, &r), 0);
        same_values(f, plain, at_level(f, g, 1000, &r), 1000);
        fx_free(f);
    }
}

/* -- a block like those of models -------------------------------------------------------------- */

typedef struct block { fx *f; int64_t layers; ir_keep mark; bool narrow; } block;

/* x' = x + g * (sin(x w + b) v): the sum with b is what backward wants, not the product; with
 * `narrow`, the second product is over 2 values and cheaper to make again than to keep. */
static const ir_graph *block_grad(block *k)
{
    fx *f = k->f = fx_new(11);
    ir_dim loop = fx_dim(f, "L", k->layers);
    fx_dim(f, "R", 512);
    ir_dim d = fx_dim(f, "D", 32), h = fx_dim(f, "H", k->narrow ? 2 : 64);
    uint32_t index;
    ir_builder b = fx_body(f, "body", &index);
    fx_formal(&b, ir_tensor(f->m, DFM_I32, NULL, 0));
    ir_val x = fx_formal(&b, fx_type(f, DFM_F32, "R,D"));
    ir_val w = fx_formal(&b, fx_type(f, DFM_F32, "H,D"));
    ir_val v = fx_formal(&b, fx_type(f, DFM_F32, "D,H"));
    ir_val bias = fx_formal(&b, fx_type(f, DFM_F32, "H"));
    ir_val g = fx_formal(&b, fx_type(f, DFM_F32, "D"));
    b.keep = k->mark;
    ir_pair by_d = {d, d}, by_h = {h, h};
    ir_val p = ir_contract_over(&b, x, w, &by_d, 1, fx_type(f, DFM_F32, "R,H"));
    ir_val y = ir_map1(&b, IR_FN_SIN, add(&b, p, bias));
    ir_val q = ir_contract_over(&b, y, v, &by_h, 1, fx_type(f, DFM_F32, "R,D"));
    ir_result_add(&b, add(&b, x, mul(&b, q, g)), "x");
    ir_scan at = {.body = index, .loop = loop, .n_carry = 1, .n_xs = 4};
    ir_val s = ir_scan_over(&f->b, &at,
                            (ir_val[]){fx_f32(f, "R,D"), fx_param(f, "w", "L,H,D"),
                                       fx_param(f, "v", "L,D,H"), fx_param(f, "b", "L,H"),
                                       fx_param(f, "g", "L,D")}, 5);
    fx_loss(f, ir_get(&f->b, s, 0));
    return prepared(f, fx_grad(f, NULL, 0));
}

static double kept_bytes(const remat_report *r, double bytes)
{
    double n = 0;
    for (uint32_t i = 0; i < r->kept.n; i++) n += r->kept.p[i].bytes == bytes;
    return n;
}

static void keeps_sums_with_bias(void **state)
{
    block k = {.layers = 3};
    remat_report r;
    const ir_graph *g = block_grad(&k), *to = at_level(k.f, g, 0, &r);
    double rows = 512 * 4;
    assert_int_equal(r.n_pairs, 1);
    assert_true(kept_bytes(&r, rows * 32) == 2);         /* x, and the product that g multiplies */
    assert_true(kept_bytes(&r, rows * 64) == 1);         /* x w + b */
    assert_true(r.levels.p[0].flops < r.levels.p[r.levels.n - 1].flops);
    assert_string_equal(r.kept.p[0].name, "add");
    same_values(k.f, g, to, 0);
    all_levels(k.f, g);
    fx_free(k.f);
}

/* q = y v over two values: 4 operations for 4 bytes that would be stored and loaded. */
static void cheap_products_are_made_again(void **state)
{
    block k = {.layers = 3, .narrow = true};
    remat_report r;
    const ir_graph *g = block_grad(&k), *to = at_level(k.f, g, 0, &r);
    assert_true(kept_bytes(&r, 512 * 4 * 32) == 1);      /* x alone */
    assert_true(kept_bytes(&r, 512 * 4 * 2) == 1);
    same_values(k.f, g, to, 0);
    fx_free(k.f);
}

static void marks_are_obeyed(void **state)
{
    block again = {.layers = 3, .mark = IR_KEEP_AGAIN};
    block saved = {.layers = 3, .mark = IR_KEEP_SAVED};
    remat_report r;
    const ir_graph *g = block_grad(&again), *to = at_level(again.f, g, 0, &r);
    assert_int_equal(r.kept.n, 1);                       /* the carry */
    assert_int_equal(r.levels.n, 1);                     /* and no budget changes that */
    same_values(again.f, g, to, 0);
    fx_free(again.f);
    g = block_grad(&saved);
    to = at_level(saved.f, g, 0, &r);
    assert_true(r.kept.n >= 4);                          /* the sine as well */
    same_values(saved.f, g, to, 0);
    fx_free(saved.f);
}

/* The work does not depend on the number of layers: same choices, same bodies. */
static void independent_of_layers(void **state)
{
    remat_report r[2];
    uint32_t ops[2];
    double each[2];
    for (int i = 0; i < 2; i++) {
        block k = {.layers = i ? 56 : 2};
        const ir_graph *g = block_grad(&k);
        at_level(k.f, g, 1, &r[i]);
        ops[i] = k.f->m->graphs.p[k.f->m->graphs.n - 2]->ops.n;
        assert_int_equal(r[i].kept.n, r[0].kept.n);
        assert_int_equal(r[i].levels.n, r[0].levels.n);
        each[i] = r[i].levels.p[0].bytes / r[i].trips;
        fx_free(k.f);
    }
    assert_int_equal(ops[0], ops[1]);
    assert_true(each[0] == each[1]);
}

int main(int argc, char **argv)
{
    request rq = {argc > 1 ? strtoull(argv[1], NULL, 10) : 1,
                  argc > 2 ? strtoull(argv[2], NULL, 10) : GRAPHS};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_sums_with_bias),
        cmocka_unit_test(cheap_products_are_made_again),
        cmocka_unit_test(marks_are_obeyed),
        cmocka_unit_test(independent_of_layers),
        cmocka_unit_test_prestate(random_levels, &rq),
        cmocka_unit_test_prestate(random_marks, &rq),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

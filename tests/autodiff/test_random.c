/* test_random.c - random well-typed graphs, differentiated and compared.
 *
 *   autodiff_random [first seed [graphs]]
 *
 * Graphs and their growth: random_graph.c.
 */
#include "tests/autodiff/random_graph.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { GRAPHS = 250 };

typedef struct coverage { uint32_t fwd[IR_OP_COUNT], grad[IR_OP_COUNT]; } coverage;

/* Gradients are what later passes get: every pass of pass.def keeps their values. */
static void check_passes(fx *f, const ir_graph *grad)
{
    dfm_err err = {0};
    pass_ctx cx = {.m = f->m, .err = &err, .scratch = dfm_arena_create("scratch"),
                   .options = {.drop_stop_grad = true}};
    const ir_graph *from = grad;
    for (const pass_info *p = pass_table; p->name; p++) {
        ir_graph *to = ir_graph_create(f->m, p->name, NULL);
        if (!p->run(&cx, from, to) || ir_verify_graph(f->m, to, &err) != DFM_OK)
            fail_msg("%s: %s", p->name, err.text);
        from = to;
    }
    dfm_arena_destroy(cx.scratch);
    assert_int_equal(from->results.n, grad->results.n);
    for (uint32_t k = 0; k < grad->results.n; k++) {
        double *want = fx_eval(f, grad, k), *got = fx_eval(f, from, k);
        uint64_t n = ir_elems(f->m, ir_type_at(grad, grad->results.p[k].val));
        for (uint64_t i = 0; i < n; i++)
            assert_true(fabs(want[i] - got[i]) <= 1e-9 * (1 + fabs(want[i])));
    }
}

/* And they can be written down and read back. */
static void check_text(fx *f)
{
    dfm_err err = {0};
    dfm_sb first = dfm_sb_make(f->a), second = dfm_sb_make(f->a);
    ir_module *m = NULL;
    ir_print(&first, f->m);
    if (ir_parse(f->a, f->names, dfm_sb_cstr(&first), first.n, &m, &err) != DFM_OK)
        fail_msg("%s", err.text);
    ir_print(&second, m);
    assert_string_equal(dfm_sb_cstr(&first), dfm_sb_cstr(&second));
}

static void check_graph(uint64_t seed, coverage *c)
{
    fx *f = fx_random_graph(seed, false, NULL, NULL);
    ir_graph *grad = fx_check(f);
    check_text(f);
    check_passes(f, grad);
    for (ir_op_kind k = 1; k < IR_OP_COUNT; k++) {
        c->fwd[k] += fx_count(f, f->b.g, k) > 0;
        c->grad[k] += fx_count(f, grad, k) > fx_count(f, f->b.g, k);
    }
    fx_free(f);
}

typedef struct request { uint64_t first; uint64_t n; bool talk; } request;

static void random_graphs(void **state)
{
    const request *rq = *state;
    coverage c = {{0}, {0}};
    for (uint64_t seed = rq->first; seed < rq->first + rq->n; seed++) {
        if (rq->talk) fprintf(stderr, "seed %llu\n", (unsigned long long)seed);
        check_graph(seed, &c);
    }
    printf("%-12s %8s %8s   graphs with the op; whose gradient adds some\n", "op", "forward",
           "added");
    for (ir_op_kind k = 1; k < IR_OP_COUNT; k++)
        printf("%-12s %8u %8u\n", ir_op_name(k), c.fwd[k], c.grad[k]);
    if (rq->n < GRAPHS) return;
    static const ir_op_kind wanted[] = {IR_RANDOM, IR_MAP, IR_VIEW, IR_REDUCE, IR_CONTRACT,
                                        IR_GATHER, IR_SCATTER_ADD, IR_ATTEND, IR_SCAN};
    for (uint32_t k = 0; k < DFM_LEN(wanted); k++)
        if (c.fwd[wanted[k]] < 10) fail_msg("%s is in too few graphs", ir_op_name(wanted[k]));
}

/* Gradients of a graph that rounds to bf16 here and there are near those of one that does not:
 * types fit, and casts pass the cotangent on. Rounding may change which element is a maximum, so
 * a few graphs may differ. */
static void random_graphs_in_bf16(void **state)
{
    const request *rq = *state;
    uint64_t far = 0, rounded = 0;
    for (uint64_t seed = rq->first; seed < rq->first + rq->n; seed++) {
        if (rq->talk) fprintf(stderr, "bf16 seed %llu\n", (unsigned long long)seed);
        fx *f = fx_random_graph(seed, false, NULL, NULL);
        fx *h = fx_random_graph(seed, true, NULL, NULL);
        double *want = fx_gradient(f, fx_grad(f, f->input, 1), 0);
        double *got = fx_gradient(h, fx_grad(h, h->input, 1), 0), err = 0, norm = 0;
        for (uint64_t i = 0; i < ir_elems(f->m, f->m->params.p[0].type); i++) {
            err += (want[i] - got[i]) * (want[i] - got[i]);
            norm += want[i] * want[i];
        }
        rounded += err > 0;
        far += sqrt(err) > 0.05 * sqrt(norm) + 0.02;
        fx_free(f);
        fx_free(h);
    }
    printf("%llu graphs, %llu changed by rounding, %llu by much\n", (unsigned long long)rq->n,
           (unsigned long long)rounded, (unsigned long long)far);
    assert_true(far * 50 <= rq->n);
}

int main(int argc, char **argv)
{
    request rq = {argc > 1 ? strtoull(argv[1], NULL, 10) : 1,
                  argc > 2 ? strtoull(argv[2], NULL, 10) : GRAPHS, argc > 1};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(random_graphs, &rq),
        cmocka_unit_test_prestate(random_graphs_in_bf16, &rq),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

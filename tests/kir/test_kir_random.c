/* test_kir_random.c - random graphs and their gradients: K's interpreter against G's.
 *
 *   kir_random [first seed [graphs]]
 */
#include "tests/autodiff/random_graph.h"
#include "tests/kir/kt.h"

#include <stdio.h>
#include <stdlib.h>

enum { GRAPHS = 300 };

typedef struct request {
    uint64_t first, n;
    bool talk;
    uint32_t fwd[IR_OP_COUNT], grad[IR_OP_COUNT];        /* graphs that have the op */
} request;

static void count_ops(const fx *f, const ir_graph *g, uint32_t *count)
{
    for (ir_op_kind k = 1; k < IR_OP_COUNT; k++) count[k] += fx_count(f, g, k) > 0;
}

static void forward(request *rq, uint64_t seed, bool bf16)
{
    ir_val pool[FX_POOL];
    uint32_t n = 0;
    fx *f = fx_random_graph(seed, bf16, pool, &n);
    for (uint32_t i = n > 5 ? n - 5 : 0; i < n; i++) ir_result_add(&f->b, pool[i], "r");
    count_ops(f, f->b.g, rq->fwd);
    kt_check_for(f, f->b.g, bf16 ? 2e-2 : 1e-5, (int)(seed % KT_LIMITS));
    fx_free(f);
}

static void backward(request *rq, uint64_t seed)
{
    fx *f = fx_random_graph(seed, false, NULL, NULL);
    ir_graph *g = fx_grad(f, f->input, 1);
    count_ops(f, g, rq->grad);
    kt_check_for(f, g, 2e-5, (int)(seed / 3 % KT_LIMITS));
    fx_free(f);
}

static void random_graphs(void **state)
{
    request *rq = *state;
    for (uint64_t seed = rq->first; seed < rq->first + rq->n; seed++) {
        if (rq->talk) fprintf(stderr, "seed %llu\n", (unsigned long long)seed);
        forward(rq, seed, false);
        forward(rq, seed, true);
        backward(rq, seed);
    }
    printf("%-12s %8s %8s   graphs with the op\n", "op", "forward", "gradient");
    for (ir_op_kind k = 1; k < IR_OP_COUNT; k++)
        printf("%-12s %8u %8u\n", ir_op_name(k), rq->fwd[k], rq->grad[k]);
    static const ir_op_kind wanted[] = {IR_RANDOM, IR_MAP, IR_CAST, IR_VIEW, IR_REDUCE, IR_CONTRACT,
                                        IR_GATHER, IR_SCATTER_ADD, IR_ATTEND, IR_SCAN};
    for (uint32_t k = 0; rq->n >= GRAPHS && k < DFM_LEN(wanted); k++)
        if (rq->fwd[wanted[k]] < 10) fail_msg("%s is in too few graphs", ir_op_name(wanted[k]));
}

/* Graphs that were wrong once: a captured view that is no window, draws keyed by an inner loop. */
static void once_wrong(void **state)
{
    static const uint64_t seeds[] = {72, 348, 2123, 6949, 7034, 7103};
    for (uint32_t i = 0; i < DFM_LEN(seeds); i++) {
        forward(*state, seeds[i], false);
        backward(*state, seeds[i]);
    }
}

int main(int argc, char **argv)
{
    request rq = {argc > 1 ? strtoull(argv[1], NULL, 10) : 1,
                  argc > 2 ? strtoull(argv[2], NULL, 10) : GRAPHS, argc > 1, {0}, {0}};
    const struct CMUnitTest tests[] = {cmocka_unit_test_prestate(random_graphs, &rq),
                                       cmocka_unit_test_prestate(once_wrong, &rq)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

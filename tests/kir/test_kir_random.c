/* test_kir_random.c - random graphs and their gradients: K's interpreter against G's.
 *
 *   kir_random [first seed [graphs]]
 */
#include "tests/autodiff/random_graph.h"
#include "tests/kir/kt.h"

#include <stdio.h>
#include <stdlib.h>

enum { GRAPHS = 120 };

typedef struct request { uint64_t first, n; bool talk; } request;

static void forward(uint64_t seed, bool bf16)
{
    ir_val pool[FX_POOL];
    uint32_t n = 0;
    fx *f = fx_random_graph(seed, bf16, pool, &n);
    for (uint32_t i = n > 5 ? n - 5 : 0; i < n; i++) ir_result_add(&f->b, pool[i], "r");
    kt_check_for(f, f->b.g, bf16 ? 2e-2 : 1e-5, (int)(seed % KT_LIMITS));
    fx_free(f);
}

static void backward(uint64_t seed)
{
    fx *f = fx_random_graph(seed, false, NULL, NULL);
    ir_graph *g = fx_grad(f, f->input, 1);
    kt_check_for(f, g, 2e-5, (int)(seed / 3 % KT_LIMITS));
    fx_free(f);
}

static void random_graphs(void **state)
{
    const request *rq = *state;
    for (uint64_t seed = rq->first; seed < rq->first + rq->n; seed++) {
        if (rq->talk) fprintf(stderr, "seed %llu\n", (unsigned long long)seed);
        forward(seed, false);
        forward(seed, true);
        backward(seed);
    }
}

int main(int argc, char **argv)
{
    request rq = {argc > 1 ? strtoull(argv[1], NULL, 10) : 1,
                  argc > 2 ? strtoull(argv[2], NULL, 10) : GRAPHS, argc > 1};
    const struct CMUnitTest tests[] = {cmocka_unit_test_prestate(random_graphs, &rq)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

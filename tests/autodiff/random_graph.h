/* random_graph.h - random well-typed graphs with a loss, for tests of every level. */
#ifndef DFM_TESTS_AUTODIFF_RANDOM_GRAPH_H
#define DFM_TESTS_AUTODIFF_RANDOM_GRAPH_H

#include "tests/autodiff/check.h"

enum { FX_POOL = 64 };

/* The graph of a seed; with `bf16`, some values are rounded. pool, if not NULL, has room for
 * FX_POOL values and receives those that were made last and may serve as results. */
fx *fx_random_graph(uint64_t seed, bool bf16, ir_val *pool, uint32_t *n_pool);

#endif

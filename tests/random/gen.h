/* gen.h - well-typed random programs in the language, as text.
 *
 * A seed gives a whole file: dims whose extents are 1, primes and neighbours of vector widths, a
 * model with blocks, ops, repeats and parameters, a train section, a sampler, now and then a
 * precision section. Values stay of moderate size, and nothing depends on how computed floats
 * compare: minima, maxima, floors and remainders are taken where their operands are far apart.
 */
#ifndef DFM_TESTS_RANDOM_GEN_H
#define DFM_TESTS_RANDOM_GEN_H

#include "runtime/base/str.h"

typedef struct gen_traits {
    bool bf16; /* computes in bf16 */
    bool stops; /* stop_grad: its gradient is no derivative */
} gen_traits;

/* The same seed gives the same text (with one compiler: choices are made inside argument lists). */
void gen_program(dfm_arena *a, uint64_t seed, dfm_sb *out, gen_traits *traits);

/* What a program's text says about itself. */
gen_traits gen_traits_of(const char *text);

#endif

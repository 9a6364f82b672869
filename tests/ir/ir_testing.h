/* ir_testing.h - what the tests of the graph IR share: a module with dims, random graphs, and
 * running a graph on random inputs. */
#ifndef DFM_TESTS_IR_TESTING_H
#define DFM_TESTS_IR_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "compiler/ir/ir.h"

typedef struct world {
    dfm_arena *a;
    dfm_names *names;
    ir_module *m;
    ir_graph *g;
    ir_builder b;
} world;

world world_make(void);
void world_free(world *w);
ir_dim dim(world *w, const char *name, int64_t extent);
ir_type tensor(world *w, dfm_dtype dt, uint32_t n, ...);         /* n ir_dims */
ir_val input(world *w, const char *name, ir_type t);             /* role FORMAL, next index */
ir_val scalar(world *w, double x);                               /* f32 */

/* Deterministic pseudo-random numbers; *s is the state. */
uint32_t roll(uint64_t *s);
int64_t roll_in(uint64_t *s, int64_t lo, int64_t hi);            /* lo <= x <= hi */

/* Interprets g: inputs and params get numbers that depend on their name and element only (floats
 * in about -2 .. 2, i32 in 0 .. 3, bool both). Fails the test on an error. */
const double **run(world *w, const ir_graph *g);
ir_env random_env(void);

/* A random well-typed graph of about n ops and with 3 results; verified. RG_BARRIERS puts a
 * stop_grad behind every op, so that nothing folds. Inputs named k<number> hold that number. */
enum { RG_SCANS = 1, RG_BARRIERS = 2 };
ir_graph *random_graph(world *w, uint64_t *seed, uint32_t n, int flags);
/* What `run` gives to an input or param. */
double *value_of(world *w, const char *name, ir_type t);

/* Results of both graphs on the same inputs are equal to `tol` relative to the largest. */
void same_results(world *w, const ir_graph *x, const ir_graph *y, double tol);

#endif

/* harness.h - compile a program given as text, run its graphs in the interpreter, look at results
 * and reports. Values that a test does not give are made from their names: sines, so that tests
 * can compute with them. */
#ifndef DFM_TESTS_SEMA2_HARNESS_H
#define DFM_TESTS_SEMA2_HARNESS_H

#include "compiler/front/front.h"

typedef struct h_value {
    const char *name;              /* input, parameter path, draw */
    double *p;
    uint64_t n;
    ir_type type;
} h_value;

typedef struct h_ctx {
    dfm_arena *arena;
    front_ctx front;
    ir_module *m;                  /* NULL: errors were reported */
    char file[64];
    DFM_VEC(h_value) values;
    double scale;                  /* of made-up values; 1 */
} h_ctx;

/* Compile text (a whole program without `dfm 1`). Options may be NULL; `file` and `std_path` in
 * them are set here. End with h_done. */
h_ctx *h_compile(const char *text, const front_options *o);
/* Compile a file of the source tree. */
h_ctx *h_compile_file(const char *path, const front_options *o);
void h_done(h_ctx *h);

/* Print the reports (for a test that expected none). */
void h_print(h_ctx *h);
/* Was a report with this code given, with `part` in its message? */
bool h_reported(const h_ctx *h, const char *code, const char *part);

const ir_program *h_program(const h_ctx *h, const char *name);
const ir_graph *h_graph(const h_ctx *h, const char *program);
/* Result k of a program; verifies the module first. Fails the test if it cannot be run. */
const double *h_run(h_ctx *h, const char *program, uint32_t k);
/* All results. */
const double *const *h_run_all(h_ctx *h, const char *program);
/* The value behind a name, made up when first asked for (after h_run: those that were used). */
const double *h_get(h_ctx *h, const char *name, uint64_t n);
/* Give a value. */
void h_set(h_ctx *h, const char *name, const double *p, uint64_t n);
/* ir_env.lookup over the values; user is the h_ctx. */
const double *h_lookup(void *user, const ir_module *m, const ir_graph *g, ir_val v);
/* Number of ops of a kind in a graph. */
uint32_t h_count(const ir_graph *g, ir_op_kind kind);

void h_close(double have, double want, double tolerance, const char *file, int line);
#define CLOSE(have, want, tol) h_close((have), (want), (tol), __FILE__, __LINE__)

#endif

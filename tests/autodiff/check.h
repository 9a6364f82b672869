/* check.h - gradients against central differences of the float64 interpreter. */
#ifndef DFM_TESTS_AUTODIFF_CHECK_H
#define DFM_TESTS_AUTODIFF_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "compiler/ir/ir.h"
#include "compiler/pass/autodiff.h"

enum { FX_MAX = 64 };

typedef struct fx {                          /* a module, a graph under construction, its data */
    dfm_arena *a, *tmp;                      /* tmp is reset after each evaluation */
    dfm_names *names;
    ir_module *m;
    ir_builder b;                            /* the forward graph */
    uint64_t rng;
    uint32_t n_inputs;
    ir_val input[FX_MAX];
    double *data[FX_MAX];                    /* of inputs */
    double *param[FX_MAX];                   /* of parameters, by index */
    bool full;                               /* compare every element, however many */
    double tolerance;                        /* relative; default 2e-6 */
    double h;                                /* step of the difference; default 1e-5 */
} fx;

fx *fx_new(uint64_t seed);
void fx_free(fx *f);
double fx_uniform(fx *f, double lo, double hi);
int64_t fx_int(fx *f, int64_t lo, int64_t hi);               /* lo..hi, both included */

ir_dim fx_dim(fx *f, const char *name, int64_t extent);
/* The dims by name, comma-separated with extents ("A=3,B=4"); an extent may be left out if the
 * dim exists. */
ir_type fx_type(fx *f, dfm_dtype dt, const char *dims);
/* An input with random data: floats uniform in lo..hi, integers lo..hi, bools half true. */
ir_val fx_input(fx *f, ir_type t, double lo, double hi);
ir_val fx_f32(fx *f, const char *dims);                      /* uniform in -1..1 */
double *fx_data(fx *f, ir_val input);
/* A trainable parameter with random data in -1..1; returns its `param` op. */
ir_val fx_param(fx *f, const char *path, const char *dims);

/* Float values as one scalar: a sum with random weights. */
ir_val fx_weigh(fx *f, ir_val v);
void fx_loss(fx *f, ir_val v);               /* adds fx_weigh(v) to the loss */
/* Differentiates the loss with respect to all float inputs and all parameters, verifies both
 * graphs and compares. Returns the graph with the gradients. */
ir_graph *fx_check(fx *f);
/* The graph alone, without comparison. */
ir_graph *fx_grad(fx *f, const ir_val *wrt, uint32_t n);
/* Result k of a graph for the present data, in f->a. */
double *fx_eval(fx *f, const ir_graph *g, uint32_t k);
/* The k-th gradient of the graph of fx_check: parameters first, then float inputs. */
double *fx_gradient(fx *f, const ir_graph *g, uint32_t k);
/* How many ops of a kind g has; bodies of scans included. */
uint32_t fx_count(const fx *f, const ir_graph *g, ir_op_kind k);

/* A graph to be used as a body; `formal` makes its next formal. */
ir_builder fx_body(fx *f, const char *name, uint32_t *index);
ir_val fx_formal(ir_builder *b, ir_type t);

#endif

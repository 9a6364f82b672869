/* pass.h - what passes on G have in common.
 *
 * A pass copies forward: it reads `in`, which stays as it is, and emits into the empty graph
 * `out` of the same module through the folding builder. Inputs and results keep their number,
 * order, names and types. Bodies of scans that need a change become new graphs; a body met twice
 * in one pass_ctx is rewritten once, so shared bodies stay shared.
 *
 * A pass prints nothing; it may remark. The driver creates graphs, times, dumps and verifies.
 * Returns false after recording a failure in cx->err.
 */
#ifndef DFM_COMPILER_PASS_H
#define DFM_COMPILER_PASS_H

#include "compiler/ir/ir.h"

typedef struct pass_options {
    bool drop_stop_grad;                     /* simplify: the identity, once differentiated */
    const struct remat_options *remat;       /* remat: NULL: the usual rates, level 0 */
    struct remat_report *remat_report;       /* remat: filled, if not NULL */
} pass_options;

typedef struct pass_ctx {
    ir_module *m;                            /* of both graphs */
    dfm_err *err;
    dfm_arena *scratch;                      /* freed by the driver between passes */
    pass_options options;
    void (*remark)(void *user, const char *pass, dfm_loc loc, const char *text);     /* or NULL */
    void *user;
    struct pass_memo *memo;                  /* bodies rewritten so far; NULL at first */
} pass_ctx;

typedef bool pass_fn(pass_ctx *cx, const ir_graph *in, ir_graph *out);

#define PASS(name, meaning) pass_fn pass_##name;
#include "compiler/pass/pass.def"
#undef PASS

typedef struct pass_info {
    const char *name, *meaning;
    pass_fn *run;
} pass_info;

/* -- pass_common.c --------------------------------------------------------------------------- */
extern const pass_info pass_table[];         /* ends with a NULL name */
const pass_info *pass_find(const char *name);            /* NULL if unknown */
void pass_remark(pass_ctx *cx, const char *pass, dfm_loc loc, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* -- pass_common.c: for the passes ----------------------------------------------------------- */

/* live[v] for every op that a result depends on; inputs are always live. In scratch. */
bool *pass_live(pass_ctx *cx, const ir_graph *in);
/* Apply `run` to graph `body`; the index of the new graph, or 0 after a failure. */
uint32_t pass_body(pass_ctx *cx, pass_fn *run, uint32_t body);
/* New operands of op: map[] of the old ones, in scratch. */
const ir_val *pass_args(pass_ctx *cx, const ir_op *op, const ir_val *map);
/* Results of `in`, mapped, as results of out. */
void pass_results(pass_ctx *cx, const ir_graph *in, const ir_val *map, ir_graph *out);

#endif

/* codegen.h - targets: from K nodes to code.
 *
 * A target is a const struct of data and functions, listed in codegen.c. It answers questions that
 * kernelisation asks (limits), and turns the nodes of a K module that need code of their own
 * (kernels, attention, scatters, the matrix products that it generates) into one code object. Other
 * products and copies stay steps of the plan; the runtime's device executes them.
 */
#ifndef DFM_CODEGEN_H
#define DFM_CODEGEN_H

#include "compiler/kir/kir.h"

typedef struct cg_options {
    const char *arch;                        /* "native", "x86-64-v4", "x86-64-v3", "x86-64-v2" */
    const char *cc;                          /* host compiler, e.g. "cc" */
    const char *cache_dir;                   /* NULL: no cache */
    uint32_t jobs;                           /* parallel compilations */
    bool keep_source;                        /* fill out_source (--emit=c) */
    bool source_only;                        /* emit source, compile nothing */
    bool quick;                              /* code that compiles fast rather than runs fast */
    const char *prefix;                      /* of the symbols; NULL: none */
    bool texts_only;                         /* fill out->texts, compile nothing */
} cg_options;

/* One piece of code: the nodes that share it, and how it is called. */
typedef struct cg_unit {
    const kir_node *node;                    /* first node that uses it */
    const char *symbol;                      /* function name in the object */
    uint32_t n_args;                         /* operands, in the order of kir_each_arg */
} cg_unit;

typedef struct cg_object {
    const void *code;                        /* CPU: ELF shared object; no time stamps */
    uint64_t n_code;
    const char *const *features;             /* processor flags that the code needs */
    uint32_t n_features;
    DFM_VEC(cg_unit) units;
    const uint32_t *unit_of;                 /* by position of cg_each_node: unit, or UINT32_MAX */
    const char *source;                      /* if asked for */
    const char *const *texts;                /* texts_only: the translation units */
    uint32_t n_texts;
    uint32_t n_compiled, n_cached;           /* translation units */
    const char *note;                        /* for the user: what could not be used; or NULL */
} cg_object;

typedef struct cg_target {
    const char *name;                        /* "cpu", "null" */
    const char *meaning;
    kir_limits limits;                       /* of the machine at hand */
    /* Limits of a named level, which may be less than the machine's; NULL: always `limits`. */
    const kir_limits *(*limits_for)(const char *arch);
    /* Emit and compile. Nodes are visited in the order of cg_each_node. */
    dfm_status (*build)(const kir_module *m, const cg_options *opt, dfm_arena *a, cg_object *out,
                        dfm_err *err);
} cg_target;

const cg_target *cg_target_find(const char *name);       /* NULL if unknown */
const cg_target *const *cg_targets(uint32_t *out_n);

/* Calls visit for each node of every program in order, loops before their bodies. */
void cg_each_node(const kir_module *m, void (*visit)(void *user, kir_node *n), void *user);

/* Runtime scalars of all programs, each name once, in the order of the programs: the order of
 * plan_kctx.scalars. Returns the name at `index`, {0} beyond the end. */
dfm_name cg_scalar_at(const kir_module *m, uint32_t index);
uint32_t cg_scalar_index(const kir_module *m, dfm_name name);    /* must be there */

#endif

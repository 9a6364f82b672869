/* front.h - the front end's entry: from a .dfm file to a module of graphs.
 *
 *     file --ast_parse--> trees --sema (evaluates and inlines)--> ir_module
 *
 * The module holds every parameter and buffer, the data fields of the train section, and the
 * programs `init`, `forward`, `loss`, `step.update` and `sample` (those that the file has sections
 * for). Programs of gradients are made later, by the driver.
 *
 * Every error of the user's is reported to the diag context; nothing is printed.
 */
#ifndef DFM_COMPILER_FRONT_FRONT_H
#define DFM_COMPILER_FRONT_FRONT_H

#include "compiler/diag.h"
#include "compiler/ir/ir.h"

typedef struct front_ctx {
    dfm_arena *arena;              /* everything made lives here */
    dfm_names *names;
    diag_ctx *diag;
} front_ctx;

typedef struct front_options {
    const char *file;              /* path of the program */
    const char *std_path;          /* folder of the standard library: holds prelude.dfm */
    const char *variant;           /* NULL: the file's own values */
    const char *train;             /* NULL: the variant's, or the file's first, or none */
    const char *sampler;           /* NULL: likewise */
    const char *precision;         /* a section's name, or "f32", "bf16"; NULL: likewise, or f32 */
    const char *layout;            /* NULL: none */
    const char *weights;           /* NULL: the only weights section, or none */
    const char *const *sets;       /* "dim.B=8", "const.EPS=1e-5" */
    uint32_t n_sets;
    bool check_only;               /* unbound dynamic dims get a witness; layouts are checked */
    bool witnesses;               /* the first of these alone; ragged dims get runs of one length */
    bool units;                    /* programs: each op and block of the user's files that something
                                      calls, as it is called first, under its own name */
} front_options;

/* Compile. False if errors were reported; *out is then NULL. Warnings do not count. */
bool front_compile(front_ctx *cx, const front_options *o, ir_module **out);

/* What `dfmc params` prints at the end. */
typedef struct front_counts {
    uint64_t trainable, frozen, buffers;     /* elements */
    uint32_t n_params, n_buffers;            /* entries; a stack of layers is one */
} front_counts;
front_counts front_params(const ir_module *m);

#endif

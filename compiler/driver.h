/* driver.h - the pipeline: from options to a plan or to the print of one stage.
 *
 *   front -> [loss] simplify -> differentiate -> passes (pass.def) -> kernelize -> memory plan
 *         -> code -> plan
 *
 * The driver alone knows all parts: it runs, times, dumps and verifies. It prints to the files it
 * is given and never exits.
 */
#ifndef DFM_COMPILER_DRIVER_H
#define DFM_COMPILER_DRIVER_H

#include <stdio.h>

#include "compiler/diag.h"
#include "compiler/options.h"

typedef struct driver {
    dfm_arena *arena;                        /* all that one run makes */
    dfm_names *names;
    diag_ctx *diag;                          /* the user's errors: print them after driver_run */
    const options *opt;
    const char *std_path;          /* folder of the standard library, once it is known */
    FILE *out, *log;                         /* stages; progress, remarks */
    dfm_err err;                             /* failures of the world, and our own */
    struct driver_remat *remat;              /* driver_memory.c: of the gradients; NULL: none */
} driver;

/* Runs the command. Returns the exit code: 0 ok, 1 user error, 2 usage, 3 environment, 4 bug. */
int driver_run(driver *d);

#endif

/* driver_impl.h - what the driver's files and tests of whole programs share. */
#ifndef DFM_COMPILER_DRIVER_IMPL_H
#define DFM_COMPILER_DRIVER_IMPL_H

#include "compiler/driver.h"
#include "compiler/front/front.h"
#include "compiler/kir/kir.h"
#include "compiler/pass/remat.h"

bool driver_flag(const driver *d, option_id o);          /* was the flag given? */
front_options driver_front_options(driver *d);
/* From the file of the options to G; NULL after errors of the user's (in d->diag). */
ir_module *driver_front(driver *d);
/* Differentiate the loss, run all passes on every program. False: d->err says why. */
bool driver_passes(driver *d, ir_module *m);

/* -- driver_params.c: `dfmc params` ------------------------------------------------------------ */
void driver_print_params(driver *d, const ir_module *m);

/* -- driver_test.c: `dfmc test`; the exit code ------------------------------------------------ */
int driver_test(driver *d);
/* -- driver_sizes.c: sizes to test at. Extents of dims as arguments of --set ("dim.D=3"), so small
 * that the interpreter can follow, with which the file still compiles. Dims that the user set stay.
 * NULL after errors of the user's. */
typedef DFM_VEC(const char *) driver_sets;
bool driver_small_sizes(driver *d, driver_sets *out);

/* -- driver_memory.c: what backward finds stored; `--memory` ----------------------------------- */
typedef struct driver_remat {
    uint32_t before;                         /* the gradient's graph before the remat pass */
    uint32_t level;                          /* taken */
    remat_report first, now;                 /* at level 0; at the level taken */
    double flops;                            /* of one gradient at level 0 */
} driver_remat;

/* One pass on graph `index`; *index becomes the new graph. */
bool driver_run_pass(driver *d, pass_ctx *cx, const char *name, uint32_t *index);
/* Rewrites the gradients so that arena and state fit the budget of --memory, if there is one.
 * Returns the exit code; 1 after saying (d->err) what the least possible is and what holds it. */
int driver_fit_memory(driver *d, ir_module *m, const kir_limits *limits);
/* Rewrites the gradients by this level of the remat pass (remat.h). */
bool driver_take_level(driver *d, ir_module *m, uint32_t level);
void driver_report_remat(driver *d);         /* with -v and --remarks */
void driver_report_holders(driver *d, const kir_module *k, const lower_memory *mem);

#endif

/* driver_impl.h - what the driver's files and tests of whole programs share. */
#ifndef DFM_COMPILER_DRIVER_IMPL_H
#define DFM_COMPILER_DRIVER_IMPL_H

#include "compiler/driver.h"
#include "compiler/front/front.h"
#include "compiler/pass/pass.h"

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

#endif

/* driver_impl.h - what the driver's files and tests of whole programs share. */
#ifndef DFM_COMPILER_DRIVER_IMPL_H
#define DFM_COMPILER_DRIVER_IMPL_H

#include "compiler/driver.h"
#include "compiler/front/front.h"
#include "compiler/pass/pass.h"

bool driver_flag(const driver *d, option_id o);          /* was the flag given? */
/* From the file of the options to G; NULL after errors of the user's (in d->diag). */
ir_module *driver_front(driver *d);
/* Differentiate the loss, run all passes on every program. False: d->err says why. */
bool driver_passes(driver *d, ir_module *m);

/* -- driver_params.c: `dfmc params` ------------------------------------------------------------ */
void driver_print_params(driver *d, const ir_module *m);

#endif

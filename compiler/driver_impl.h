/* driver_impl.h - what the driver's files share. */
#ifndef DFM_COMPILER_DRIVER_IMPL_H
#define DFM_COMPILER_DRIVER_IMPL_H

#include "compiler/driver.h"
#include "compiler/front/front.h"
#include "compiler/pass/pass.h"

bool driver_flag(const driver *d, option_id o);          /* was the flag given? */

/* -- driver_params.c: `dfmc params` ------------------------------------------------------------ */
void driver_print_params(driver *d, const ir_module *m);

#endif

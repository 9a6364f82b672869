/* loc.h - a place in the user's text, as a handle (see compiler/diag.h for what it decodes to). */
#ifndef DFM_COMPILER_LOC_H
#define DFM_COMPILER_LOC_H

#include <stdint.h>

typedef struct { uint32_t i; } dfm_loc;     /* {0}: no place */

#endif

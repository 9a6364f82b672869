/* cpu.h - which instructions this processor has, by the names of /proc/cpuinfo. */
#ifndef DFM_RUNTIME_BASE_CPU_H
#define DFM_RUNTIME_BASE_CPU_H

#include <stdbool.h>

#include "runtime/base/arena.h"

/* The flags of the first processor, separated by blanks; "" if the system does not say. */
const char *dfm_cpu_flags(dfm_arena *a);
/* Is `flag` one of them? A part of a longer name does not count. */
bool dfm_cpu_has(const char *flags, const char *flag);
/* Asks the system to let this process, with all its threads, use the tiles of AMX, which processors
 * list as amx_tile (Linux, Documentation/arch/x86/xstate.rst; not handed on by exec). Does it? */
bool dfm_cpu_allow_tiles(void);

#endif

/* exec_impl.h - the opened plan, from inside. */
#ifndef DFM_RUNTIME_EXEC_IMPL_H
#define DFM_RUNTIME_EXEC_IMPL_H

#include "runtime/exec/exec.h"

struct rt {
    dfm_arena *arena;
    plan p;
    bool opened;                             /* p is mapped */
    const char *path;
    rt_options options;
    dev *device;
    char **region;                           /* addresses; NULL: not allocated */
    uint64_t memory;
    bool used;                               /* something may have been written to state */
    rt_program **programs;                   /* by program; NULL: not bound yet */
};

#endif

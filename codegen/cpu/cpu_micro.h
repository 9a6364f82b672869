/* cpu_micro.h - the innermost loop of generated matrix products, in assembly (internal to
 * codegen/cpu).
 *
 * Van Zee and van de Geijn, "BLIS: A Framework for Rapidly Instantiating BLAS Functionality", 2015:
 * all else is built around one small kernel that keeps mr x nv vectors of sums in registers.
 * Compilers keep them there or not by the shape of the code around; assembly does so always.
 */
#ifndef DFM_CODEGEN_CPU_MICRO_H
#define DFM_CODEGEN_CPU_MICRO_H

#include "codegen/codegen.h"

typedef struct cpu_micro {
    const char *name;                        /* of the function */
    int vl, mr, nv;                          /* 16 or 8 floats of a vector; sums: mr rows, nv
                                                vectors */
    int strip;                               /* rows of a packed strip of A, >= mr */
    bool add, bias;                          /* to what is there; bias after it */
} cpu_micro;

/* Steps of K for which a line of each stream is fetched. */
enum { CPU_MICRO_UNROLL = 4 };

/* The C function `static void NAME(const micro *)`; see micro in
 * templates/gemm_tile.h. */
void cpu_emit_micro(dfm_sb *out, const cpu_micro *m);

#endif

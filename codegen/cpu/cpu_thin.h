/* cpu_thin.h - products of few rows or few terms, by templates/thin.c (internal to codegen/cpu). */
#ifndef DFM_CODEGEN_CPU_THIN_H
#define DFM_CODEGEN_CPU_THIN_H

#include "codegen/codegen.h"

/* Is it one: f32, 8 rows or terms at most, the other extents from `least` up, contiguous where its
 * loops need it? Then `letters`: its kind (cpu_product_kind), as "thin_n4". */
bool cpu_thin(const kir_gemm *g, int64_t least, char letters[8]);
/* For tests: whether there are any, that small programs meet the other drivers too. */
void cpu_thin_allow(bool yes);
/* The driver of a kind; gemm_tile.h stands before it. */
void cpu_emit_thin_driver(dfm_sb *out, const char *letters);

#endif

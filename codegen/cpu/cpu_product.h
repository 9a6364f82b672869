/* cpu_product.h - matrix products: which are our own code, and that code (internal to codegen/cpu).
 *
 * A product is either generated (templates/gemm.c, thin.c) or left to oneDNN, by a rule on its
 * shape, its element types and the level alone: the same inputs give the same plan.
 */
#ifndef DFM_CODEGEN_CPU_PRODUCT_H
#define DFM_CODEGEN_CPU_PRODUCT_H

#include "codegen/codegen.h"

/* What products can count on: a level, and the processor's bf16 instructions and tiles if it is
 * `native`. */
typedef struct cpu_product_level {
    const char *name;                        /* as of cpu_arch_level */
    int vl, mr, nv;                          /* floats of a vector; register block: mr rows, nv
                                                vectors */
    bool bf16;                               /* oneDNN multiplies bf16 as it is */
    bool tiles;                              /* of AMX, which the system lets this process use */
} cpu_product_level;

/* By -arch: "native" or a level's name. NULL if unknown. */
const cpu_product_level *cpu_product_level_of(const char *arch);

/* Is the product generated? `out_why` (may be NULL): the reason, for remarks. */
bool cpu_product_own(const kir_gemm *g, const cpu_product_level *l, const char **out_why);
/* For tests: f32 products from this many rows, columns and terms up are generated (32), that small
 * programs meet them too. Before anything is lowered. */
void cpu_product_least(int64_t least);
/* Does a generated product multiply by tiles of AMX? */
bool cpu_product_tiles(const kir_gemm *g, const cpu_product_level *l);
/* Bytes of scratch of a generated product: B in panels, as f32 or as three bf16 for each; or 0. */
uint64_t cpu_product_scratch(const kir_gemm *g, const cpu_product_level *l);
/* Would a generated product run kernel k, which kir_epi_objection allows, on its rows? */
bool cpu_product_takes_epi(const kir_gemm *g, const kir_kernel *k, const cpu_product_level *l);

/* -- the text of a translation unit: begin, a driver for each kind, products of those kinds --- */

/* What a driver is compiled for: element types (f: f32, h: bf16) of a, b, c, each with the dim that
 * lies contiguously (s: none), as "fkfnfn"; of a thin product as cpu_thin.h says. */
typedef struct cpu_product_kind { char letters[8]; } cpu_product_kind;

cpu_product_kind cpu_product_kind_of(const kir_gemm *g);
/* Do products of both kinds stand in one translation unit? Those of one kind, and all thin ones. */
bool cpu_product_shares(cpu_product_kind a, cpu_product_kind b);
void cpu_product_begin(dfm_sb *out, const cpu_product_level *l);
void cpu_emit_product_driver(dfm_sb *out, cpu_product_kind kind, const cpu_product_level *l);
/* The C function `symbol`(const kctx *, void *const *); operands a b c [bias] scratch, then those
 * of the epilogue if there is one: the kernel's functions are `epilogue` and `epilogue`_blocks
 * (cpu_emit_kernel). */
void cpu_emit_product(dfm_sb *out, const kir_gemm *g, const cpu_product_level *l,
                      const char *symbol, const char *epilogue);

#endif

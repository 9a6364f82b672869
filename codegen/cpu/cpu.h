/* cpu.h - the cpu target: K nodes -> C -> shared object (internal to codegen/cpu). */
#ifndef DFM_CODEGEN_CPU_H
#define DFM_CODEGEN_CPU_H

#include "codegen/codegen.h"

/* Texts embedded at build time (codegen/embed.c). */
extern const char cg_text_prelude[], cg_text_attn_fwd[], cg_text_attn_bwd[], cg_text_attn_tile[],
    cg_text_amx_tile[], cg_text_gemm[], cg_text_gemm_amx[], cg_text_gemm_result[],
    cg_text_gemm_tile[], cg_text_gemm_vector[], cg_text_philox[], cg_text_thin[];

/* -- cpu_emit.c ----------------------------------------------------------------------------- */
/* One kernel as two C functions: `symbol`(const kctx *, void *const *p) does all of it, on all
 * threads; `symbol`_blocks(const kctx *, void *const *p, int64_t first, int64_t last) does blocks
 * of rows first .. last - 1 of kir_blocks on the calling thread. Blocks are independent of each
 * other; block b is rows (b % parts) * k->block .. of kept row b / parts. */
void cpu_emit_kernel(dfm_sb *out, const kir_module *m, const kir_kernel *k, const char *symbol);

/* -- cpu_attn.c, cpu_scatter.c ---------------------------------------------------------------- */
void cpu_emit_attn(dfm_sb *out, const kir_module *m, const kir_attn *n, const char *symbol);
/* Bytes of the scratch operand of an attention node. */
uint64_t cpu_attn_scratch(const kir_attn *n, const kir_module *m);
void cpu_emit_scatter(dfm_sb *out, const kir_module *m, const kir_scatter *n, const char *symbol);

/* -- cpu_index.c: index expressions and addresses as text ------------------------------------ */
typedef const char *cpu_dim_text(void *user, ir_dim d);  /* C expression of a dim's index */
void cpu_index_text(dfm_sb *out, const ir_module *m, ir_ix x, cpu_dim_text *dim, void *user);
const char *cpu_ctype(dfm_dtype d);                      /* "float", "uint16_t", ... */

/* -- cpu_cc.c: the host compiler ---------------------------------------------------------------
 * Compile n translation units (text, in order) in parallel and link them to one shared object.
 * The same texts and flags give the same bytes. */
dfm_status cpu_compile(const char *const *texts, uint32_t n, const cg_options *opt, dfm_arena *a,
                       cg_object *out, dfm_err *err);
/* "native" resolved to the best level that this machine has; flags it implies. */
const char *cpu_arch_level(const char *arch);
const char *const *cpu_arch_features(const char *level, uint32_t *out_n);

extern const cg_target cg_cpu_target;

#endif

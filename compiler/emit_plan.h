/* emit_plan.h - from K, memory plan and code object to a plan's records. */
#ifndef DFM_COMPILER_EMIT_PLAN_H
#define DFM_COMPILER_EMIT_PLAN_H

#include "codegen/codegen.h"
#include "compiler/diag.h"
#include "runtime/plan/plan.h"

typedef struct emit_plan_input {
    const kir_module *kir;                   /* kernelised, memory planned */
    const cg_object *code;
    const diag_ctx *diag;                    /* decodes places */
    const char *target, *arch;
    const char *std_path;                    /* folder of the standard library */
    const char *source_file;                 /* as the user named it */
    const char *data_path;                   /* default data, relative to the program; "" */
    dfm_hash128 source_id;
} emit_plan_input;

/* Bytes of all states that a plan always has: weights, gradients, the optimizer's, averages. */
uint64_t emit_state_bytes(const ir_module *m);
/* Fill *out; everything belongs to the arena. Records are in a fixed order. */
void emit_plan(const emit_plan_input *in, dfm_arena *a, plan *out);

#endif

/* null.h - a target that compiles nothing: plans for counting and for testing the pipeline. */
#ifndef DFM_CODEGEN_NULL_H
#define DFM_CODEGEN_NULL_H

#include "codegen/codegen.h"

extern const cg_target cg_null_target;

#endif

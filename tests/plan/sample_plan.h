/* sample_plan.h - a small plan made by hand that uses every kind of record, for tests.
 *
 * Programs: init (fills w), forward (x, noise -> out; a loop over two rows), loss.
 */
#ifndef DFM_TESTS_SAMPLE_PLAN_H
#define DFM_TESTS_SAMPLE_PLAN_H

#include "runtime/plan/plan.h"

enum { SAMPLE_REGIONS = 4, SAMPLE_STATES = 2, SAMPLE_PARAMS = 2, SAMPLE_IO = 4, SAMPLE_STEPS = 6,
       SAMPLE_OPERANDS = 13, SAMPLE_CODE = 64 };

/* Owns its records, so that tests can damage them. */
typedef struct sample_plan {
    plan p;
    char strs[512], meta[128];
    plan_region regions[SAMPLE_REGIONS];
    plan_state states[SAMPLE_STATES];
    plan_param params[SAMPLE_PARAMS];
    plan_io io[SAMPLE_IO];
    plan_program programs[2];
    plan_str scalars[1];
    plan_step steps[SAMPLE_STEPS];
    plan_operand operands[SAMPLE_OPERANDS];
    plan_gemm gemms[1];
    plan_kernel kernels[1];
    float consts[16];
    char code[SAMPLE_CODE];
} sample_plan;

void sample_plan_make(sample_plan *s);

#endif

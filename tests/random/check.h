/* check.h - one program, given as a file, through the whole compiler: front end, gradients, passes,
 * finite differences, kernels interpreted and compiled. */
#ifndef DFM_TESTS_RANDOM_CHECK_H
#define DFM_TESTS_RANDOM_CHECK_H

#include "compiler/ir/ir.h"

typedef struct check_options {
    uint64_t seed; /* of inputs, weights and draws */
    bool compiled; /* also compile and run */
    bool differences; /* also check the loss's gradient by differences */
} check_options;

/* How often ops and functions occur: in the programs as the front end makes them; and what
 * differentiation adds, after all passes. */
typedef struct check_coverage {
    uint32_t op[IR_OP_COUNT], fn[IR_FN_COUNT], reducer[IR_RED_COUNT];
    uint32_t op_back[IR_OP_COUNT], fn_back[IR_FN_COUNT], reducer_back[IR_RED_COUNT];
} check_coverage;

typedef struct check_outcome {
    bool ok;
    char stage[24]; /* which part failed: "front", "passes", "K", "code", .. */
    char text[900];
    double worst_k, worst_code, worst_diff; /* relative errors */
    uint32_t n_kernels, n_nodes;
    check_coverage seen;
} check_outcome;

/* In this process: a crash is a crash. */
void check_file(const char *path, const check_options *o, check_outcome *out);

/* In a process of its own, given `seconds`: crashes and endless loops are outcomes (stage "crash").
 * The handle is waited for by check_end. */
typedef struct check_job {
    int pid, fd;
} check_job;
check_job check_begin(const char *path, const check_options *o, unsigned seconds);
void check_end(check_job *j, check_outcome *out);

#endif

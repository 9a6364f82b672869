/* check.h - one program, given as a file, through the whole compiler: front end, gradients, passes,
 * finite differences, kernels interpreted and compiled. */
#ifndef DFM_TESTS_RANDOM_CHECK_H
#define DFM_TESTS_RANDOM_CHECK_H

#include "compiler/ir/ir.h"
#include "tests/random/paths.h"

typedef struct check_options {
    uint64_t seed; /* of inputs, weights and draws */
    bool compiled; /* also compile and run */
    bool differences; /* also check the loss's gradient by differences */
    bool quick; /* compile for speed of compilation, not with the flags of real plans */
    const char *arch; /* processor level; NULL: native */
    uint32_t part; /* of the programs to compile: see levels.h */
} check_options;

/* What a seed is checked with: 16 seeds in a row share level and flags (one run of the host
 * compiler serves them all); the first 16 of every 256 (beyond seed
 * 1,024: of every 1,024) have the flags of real plans. */
enum { CHECK_BATCH = 16 };
check_options check_options_of(uint64_t seed, bool interpreted);

/* How often ops and functions occur: in the programs as the front end makes them; and what
 * differentiation adds, after all passes. */
typedef struct check_coverage {
    uint32_t op[IR_OP_COUNT], fn[IR_FN_COUNT], reducer[IR_RED_COUNT];
    uint32_t op_back[IR_OP_COUNT], fn_back[IR_FN_COUNT], reducer_back[IR_RED_COUNT];
    uint32_t path[PATH_COUNT]; /* by K node */
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

/* The same for several files that share level and flags, compiled together (batch.c). */
void check_files(const char (*paths)[256], const check_options *o, uint32_t n, check_outcome *out);
check_job check_begin_all(const char (*paths)[256], const check_options *o, uint32_t n,
                          unsigned seconds);
/* False if the process died: then no outcome is known. */
bool check_end_all(check_job *j, check_outcome *out, uint32_t n);

/* Steps of check_file, for batch.c: through the front end and the passes, lowered and written as C;
 * then compared. Begin gives NULL, and *out, if something failed on the way. */
typedef struct checked checked;
checked *check_open(const char *path, const check_options *o, const char *prefix,
                    check_outcome *out);
const char *const *check_texts(const checked *c, uint32_t *out_n);
void check_close(checked *c, void *handle, check_outcome *out);

#endif

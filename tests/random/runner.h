/* runner.h - what the files of test_random_programs share: failures, coverage. */
#ifndef DFM_TESTS_RANDOM_RUNNER_H
#define DFM_TESTS_RANDOM_RUNNER_H

#include "tests/random/check.h"

/* -- failure.c: shrink, print, keep ------------------------------------------------------------ */

typedef struct failure {
    const char *path; /* of the program */
    check_options o;
    const check_outcome *out;
    bool from_seed, shrink;
    const char *save; /* folder to keep the shrunk program in */
} failure;

/* Prints what failed, the program, shrunk or not, where it was kept, and the command to see it
 * again. */
void failure_report(const failure *f);

/* A file's own words, in comments at its head: `# inputs: seed 7 x86-64-v3 quick` is what it was
 * found with, `# fails: reason` says that it fails for now. */
typedef struct file_marks {
    check_options o; /* seed, level, flags: as the file says, else as given */
    char reason[200]; /* "" if it should pass */
} file_marks;
file_marks marks_of(const char *path, const check_options *given);

/* -- coverage.c -------------------------------------------------------------------------------- */
/* Prints the table; how many ops, functions, reducers and paths were never met. */
uint32_t print_coverage(const check_coverage *c);

#endif

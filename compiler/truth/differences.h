/* differences.h - is a gradient the derivative? Differences of the float64 interpreter say.
 *
 * Every float input and every trainable parameter of a graph is tried, at some of its elements and
 * along one direction of all of them. A difference is Richardson's: two central ones, of steps h
 * and h/2. Where these show a kink (max at a tie, abs at 0, a select that changes sides) no
 * difference is the derivative: such a place is left out; others are tried, at other inputs too.
 */
#ifndef DFM_COMPILER_TRUTH_DIFFERENCES_H
#define DFM_COMPILER_TRUTH_DIFFERENCES_H

#include "compiler/ir/ir.h"

typedef struct differences_options {
    uint64_t seed;
    uint32_t per_tensor;                     /* elements tried of each tensor */
    double tolerance;                        /* relative, e.g. 1e-5 */
    double seconds;                          /* stop trying more after these; 0: no limit */
    bool inputs;                             /* also the inputs of the graph, not only parameters */
} differences_options;

typedef enum differences_verdict {
    DIFFERENCES_AGREE,
    DIFFERENCES_DISAGREE,
    DIFFERENCES_NONE,                        /* nothing to differentiate */
    DIFFERENCES_NOT_TRIED,                   /* `why` says what stands in the way */
    DIFFERENCES_FAILED,                      /* a failure of ours: `why` */
} differences_verdict;

typedef struct differences_report {
    differences_verdict verdict;
    const char *why;
    uint32_t n_tried, n_kinks;               /* places compared; left out */
    double worst;                            /* largest relative error */
    /* the first place that disagrees */
    const char *target;                      /* name of the input, path of the parameter */
    bool is_param;
    const char *place;                       /* "x[B=1, D=3]", or "x, along a direction" */
    double gradient, difference;
} differences_report;

/* Of the sum of all float results of g, each element times a random weight (one number: itself).
 * Adds graphs to m. Texts of the report are in a. */
void differences_check(ir_module *m, const ir_graph *g, const differences_options *o, dfm_arena *a,
                       differences_report *out);

#endif

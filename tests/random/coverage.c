/* coverage.c - which ops, functions, reducers and paths the programs had. */
#include <stdio.h>

#include "tests/random/runner.h"

static void row(const char *name, uint32_t forward, uint32_t backward)
{
    printf("  %-14s %9u %9u\n", name, forward, backward);
}

/* What no program of the language can have in its first graphs. */
static bool exempt_op(ir_op_kind k)
{
    return k == IR_ATTEND_BWD; /* made by differentiation: counted there */
}

uint32_t print_coverage(const check_coverage *c)
{
    uint32_t missing = 0;
    printf("  %-14s %9s %9s\n", "op", "forward", "gradient");
    for (int k = IR_NONE + 1; k < IR_OP_COUNT; k++) {
        row(ir_op_name((ir_op_kind)k), c->op[k], c->op_back[k]);
        bool met = exempt_op((ir_op_kind)k) ? c->op_back[k] : c->op[k];
        if (!met) printf("never met: op %s\n", ir_op_name((ir_op_kind)k)), missing++;
    }
    for (int k = IR_FN_NONE + 1; k < IR_FN_COUNT; k++) {
        row(ir_fn_name((ir_fn)k), c->fn[k], c->fn_back[k]);
        if (!c->fn[k]) printf("never met: function %s\n", ir_fn_name((ir_fn)k)), missing++;
    }
    for (int k = IR_RED_NONE + 1; k < IR_RED_COUNT; k++) {
        row(ir_reducer_name((ir_reducer)k), c->reducer[k], c->reducer_back[k]);
        if (!c->reducer[k])
            printf("never met: reducer %s\n", ir_reducer_name((ir_reducer)k)), missing++;
    }
    printf("  %-44s %9s\n", "path", "nodes");
    for (int p = 0; p < PATH_COUNT; p++) {
        printf("  %-44s %9u\n", path_text((path_kind)p), c->path[p]);
        if (!c->path[p]) printf("never met: path %s\n", path_text((path_kind)p)), missing++;
    }
    return missing;
}

/* ir_verify.h - shared by the files of the verifier. */
#ifndef DFM_COMPILER_IR_VERIFY_H
#define DFM_COMPILER_IR_VERIFY_H

#include "compiler/ir/ir_impl.h"

typedef struct ir_check {
    const ir_module *m;
    const ir_graph *g;
    dfm_err *err;
    ir_val v;                                /* the op being checked; {0}: the graph as a whole */
    const ir_op *op;
    bool printable;                          /* the op is sound enough to be printed */
} ir_check;

/* Record that a rule is broken ("R4"); always returns false. */
bool ir_broken(const ir_check *c, const char *rule, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* -- ir_verify_ops.c -- */
bool ir_check_structure(ir_check *c);        /* handles and pointers; then the op can be printed */
bool ir_check_op(const ir_check *c);         /* type rules */
bool ir_valid_dim(const ir_module *m, ir_dim d);
bool ir_valid_type(const ir_module *m, ir_type t);

/* -- ir_verify_region.c -- */
bool ir_check_scan(const ir_check *c);
bool ir_check_call(const ir_check *c);
bool ir_check_attend(const ir_check *c);
bool ir_check_attend_bwd(const ir_check *c);

static inline const ir_type_info *ir_arg(const ir_check *c, uint32_t k)
{
    return ir_type_of(c->m, ir_type_at(c->g, c->op->args[k]));
}
bool ir_same_dims(const ir_type_info *a, const ir_type_info *b);        /* in any order */

#endif

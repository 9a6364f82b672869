/* plan_verify_impl.h - what the two halves of the verifier share. */
#ifndef DFM_RUNTIME_PLAN_VERIFY_IMPL_H
#define DFM_RUNTIME_PLAN_VERIFY_IMPL_H

#include "runtime/plan/plan_impl.h"

typedef struct verifier {
    const plan *p;
    dfm_arena *a;
    dfm_err *err;
    uint32_t arena, consts;                  /* regions; UINT32_MAX: there is none */
} verifier;

/* "damaged plan: SECTION index: rule" */
dfm_status plan_bad(const verifier *v, const char *section, uint64_t index, const char *rule);
#define PLAN_RULE(cond, section, index, rule)                                                   \
    do {                                                                                        \
        if (!(cond)) return plan_bad(v, (section), (index), (rule));                            \
    } while (0)

bool plan_str_ok(const plan *p, plan_str s);             /* begins a text of STRS */
bool plan_name_ok(const plan *p, plan_str s);            /* ... that is not empty */

/* plan_verify_steps.c: sections PROG to KIDX. */
dfm_status plan_verify_steps(const verifier *v);

#endif

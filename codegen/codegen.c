/* codegen.c - the list of targets, and the order in which nodes are visited. */
#include "codegen/codegen.h"

#include <string.h>

#include "codegen/cpu/cpu.h"
#include "codegen/null/null.h"

static const cg_target *const targets[] = {&cg_cpu_target, &cg_null_target};

const cg_target *const *cg_targets(uint32_t *out_n)
{
    *out_n = DFM_LEN(targets);
    return targets;
}

const cg_target *cg_target_find(const char *name)
{
    for (size_t i = 0; i < DFM_LEN(targets); i++)
        if (!strcmp(targets[i]->name, name)) return targets[i];
    return NULL;
}

/* Loops nest at most KIR_MAX_LOOPS deep, so this recursion is bounded. */
static void each(const kir_nodes *nodes, void (*visit)(void *, kir_node *), void *user)
{
    for (uint32_t i = 0; i < nodes->n; i++) {
        visit(user, nodes->p[i]);
        if (nodes->p[i]->kind == KIR_NODE_LOOP) each(&nodes->p[i]->loop.body, visit, user);
    }
}

void cg_each_node(const kir_module *m, void (*visit)(void *user, kir_node *n), void *user)
{
    for (uint32_t p = 0; p < m->programs.n; p++) each(&m->programs.p[p]->nodes, visit, user);
}

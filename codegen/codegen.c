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

static bool met_before(const kir_module *m, uint32_t program, uint32_t scalar)
{
    dfm_name name = m->programs.p[program]->scalars.p[scalar];
    for (uint32_t p = 0; p <= program; p++)
        for (uint32_t i = 0; i < (p < program ? m->programs.p[p]->scalars.n : scalar); i++)
            if (dfm_name_eq(m->programs.p[p]->scalars.p[i], name)) return true;
    return false;
}

dfm_name cg_scalar_at(const kir_module *m, uint32_t index)
{
    for (uint32_t p = 0; p < m->programs.n; p++)
        for (uint32_t i = 0; i < m->programs.p[p]->scalars.n; i++)
            if (!met_before(m, p, i) && index-- == 0) return m->programs.p[p]->scalars.p[i];
    return (dfm_name){0};
}

uint32_t cg_scalar_index(const kir_module *m, dfm_name name)
{
    uint32_t i = 0;
    for (dfm_name at; (at = cg_scalar_at(m, i)).i; i++)
        if (dfm_name_eq(at, name)) return i;
    DFM_ASSERT(!"a scalar that its program does not list");
    return 0;
}

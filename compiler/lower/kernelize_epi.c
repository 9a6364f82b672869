/* kernelize_epi.c - a kernel directly behind a product that works on its rows becomes its epilogue
 * (semantics.md 9): the target then runs it on rows that are still in a core's cache.
 */
#include "compiler/lower/kernelize.h"

static bool joins(kz *z, const kir_node *a, const kir_node *b)
{
    if (a->kind != KIR_NODE_GEMM || b->kind != KIR_NODE_KERNEL) return false;
    if (a->gemm.epi || a->replaces.i || b->replaces.i) return false;
    const char *why = kir_epi_objection(z->k, &a->gemm, b->kernel);
    bool takes = !why && z->lim->gemm_epi(z->k, &a->gemm, b->kernel);
    if (z->remark) {
        const char *first = dfm_name_str(z->m->names, a->name),
                   *then = dfm_name_str(z->m->names, b->kernel->name);
        if (takes)
            kz_note(z, b->kernel->loc, "kernel '%s' runs on the rows of product '%s' as they "
                    "become ready", then, first);
        else
            kz_note(z, b->kernel->loc, "kernel '%s' runs after product '%s': %s", then, first,
                    why ? why : "the target does not take it");
    }
    return takes;
}

/* Loops nest at most KIR_MAX_LOOPS deep, so this recursion is bounded. */
static void join(kz *z, kir_nodes *list)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < list->n; i++) {
        kir_node *x = list->p[i];
        if (x->kind == KIR_NODE_LOOP) join(z, &x->loop.body);
        if (n && joins(z, list->p[n - 1], x)) list->p[n - 1]->gemm.epi = x->kernel;
        else list->p[n++] = x;
    }
    list->n = n;
}

void kz_join_epilogues(kz *z)
{
    if (z->lim->gemm_epi) join(z, &z->prog->nodes);
}

/* ir_verify.c - the verifier: ops in order, graphs, and what the module says about them.
 *
 * Nothing is trusted: handles are checked before they are used, so a broken graph gives a message
 * and never a crash. The rules are listed in ir.h; R10 is about dims, tables and programs.
 */
#include "compiler/ir/ir_verify.h"

bool ir_broken(const ir_check *c, const char *rule, const char *format, ...)
{
    dfm_arena *a = dfm_arena_create("verify");
    dfm_sb sb = dfm_sb_make(a);
    va_list ap;
    va_start(ap, format);
    dfm_sb_puts(&sb, dfm_vfmt(a, format, ap));
    va_end(ap);
    if (c->g) dfm_sb_printf(&sb, "\n  in graph '%s'", dfm_name_str(c->m->names, c->g->name));
    if (c->v.i) dfm_sb_printf(&sb, ", value %%%u", c->v.i);
    if (c->printable) {
        dfm_sb line = dfm_sb_make(a);
        ir_print_op(&line, c->m, c->g, c->v);
        dfm_sb_printf(&sb, ":\n  %.600s", dfm_sb_cstr(&line));
    }
    dfm_fail(c->err, DFM_INTERNAL, "rule %s: %s", rule, dfm_sb_cstr(&sb));
    dfm_arena_destroy(a);
    return false;
}

static bool check_inputs(const ir_check *c)
{
    const ir_graph *g = c->g;
    uint32_t n = 0;
    for (uint32_t i = 1; i < g->ops.n; i++) n += g->ops.p[i].kind == IR_INPUT;
    if (n != g->inputs.n) return ir_broken(c, "R1", "%u inputs, %u of them listed", n, g->inputs.n);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t v = g->inputs.p[i].i;
        if (!v || v >= g->ops.n || g->ops.p[v].kind != IR_INPUT)
            return ir_broken(c, "R1", "the list of inputs names %%%u", v);
        for (uint32_t k = 0; k < i; k++)
            if (g->inputs.p[k].i == v) return ir_broken(c, "R1", "input %%%u is listed twice", v);
    }
    for (uint32_t i = 0; i < g->results.n; i++) {
        uint32_t v = g->results.p[i].val.i;
        if (!v || v >= g->ops.n) return ir_broken(c, "R1", "result %u names %%%u", i, v);
        if (ir_type_of(c->m, g->ops.p[v].type)->is_tuple)
            return ir_broken(c, "R1", "result %u is a tuple", i);
    }
    return true;
}

dfm_status ir_verify_graph(const ir_module *m, const ir_graph *g, dfm_err *err)
{
    for (uint32_t i = 1; i < g->ops.n; i++) {
        ir_check c = {.m = m, .g = g, .err = err, .v = {i}, .op = &g->ops.p[i]};
        if (!ir_check_structure(&c) || !ir_check_op(&c)) return DFM_INTERNAL;
    }
    ir_check c = {.m = m, .g = g, .err = err};
    return check_inputs(&c) ? DFM_OK : DFM_INTERNAL;
}

/* -- module ---------------------------------------------------------------------------------- */

static bool check_dims(const ir_check *c)
{
    const ir_module *m = c->m;
    for (uint32_t i = 1; i < m->dims.n; i++) {
        const ir_dim_info *d = &m->dims.p[i];
        const char *name = ir_dim_str(m, (ir_dim){i});
        int64_t product = 1;
        if (d->extent < 1) return ir_broken(c, "R10", "dim %s has no extent", name);
        if (d->alias_of.i
            && (!ir_valid_dim(m, d->alias_of) || ir_extent(m, d->alias_of) != d->extent))
            return ir_broken(c, "R10", "dim %s is an alias of a dim of another extent", name);
        for (uint32_t k = 0; k < d->n_factors && k < IR_MAX_FACTORS; k++) {
            if (!ir_valid_dim(m, d->factors[k]))
                return ir_broken(c, "R10", "dim %s has a damaged factor", name);
            product = ir_sat_mul(product, ir_extent(m, d->factors[k]));
        }
        if (d->n_factors > IR_MAX_FACTORS || (d->n_factors && product != d->extent))
            return ir_broken(c, "R10", "the factors of dim %s do not make its extent", name);
    }
    return true;
}

static bool check_tables(const ir_check *c)
{
    const ir_module *m = c->m;
    for (uint32_t i = 0; i < m->params.n; i++)
        if (!ir_valid_type(m, m->params.p[i].type) || m->params.p[i].init >= IR_INIT_COUNT
            || m->params.p[i].n_loops > DFM_LEN(m->params.p[i].loop_vars)
            || ir_type_of(m, m->params.p[i].type)->is_tuple
            || m->params.p[i].n_loops > ir_type_of(m, m->params.p[i].type)->rank)
            return ir_broken(c, "R10", "parameter %u is damaged", i);
    for (uint32_t i = 0; i < m->flats.n; i++)
        if (m->flats.p[i].dim.i
            && (!ir_valid_dim(m, m->flats.p[i].dim)
                || (uint64_t)ir_extent(m, m->flats.p[i].dim) != m->flats.p[i].n_elems))
            return ir_broken(c, "R10", "flat buffer %u is not as long as its dim", i);
    for (uint32_t i = 0; i < m->data.n; i++)
        if (!ir_valid_type(m, m->data.p[i].type))
            return ir_broken(c, "R10", "data field %u has a damaged type", i);
    return true;
}

static bool target_exists(const ir_module *m, ir_target to, uint32_t index)
{
    switch (to) {
    case IR_TO_OUTPUT: return true;
    case IR_TO_GRAD:
    case IR_TO_PARAM: return index < m->params.n;
    case IR_TO_STATE:
        return index / IR_STATE_STRIDE < m->states.n && index % IR_STATE_STRIDE < m->flats.n;
    }
    return false;
}

static bool check_program(const ir_check *c, const ir_program *p)
{
    if (!p->graph || p->graph >= c->m->graphs.n || !c->m->graphs.p[p->graph])
        return ir_broken(c, "R10", "program '%s' has no graph", p->name);
    if (p->n_results != c->m->graphs.p[p->graph]->results.n)
        return ir_broken(c, "R10", "program '%s' has %u results, its graph %u", p->name,
                         p->n_results, c->m->graphs.p[p->graph]->results.n);
    for (uint32_t i = 0; i < p->n_results; i++)
        if (!target_exists(c->m, p->to[i], p->index[i]))
            return ir_broken(c, "R10", "result %u of program '%s' goes nowhere", i, p->name);
    return true;
}

/* Bodies must not contain themselves. colour: 1 being visited, 2 done. */
enum { MAX_NESTING = 200 };

static bool acyclic(const ir_check *c, uint32_t graph, uint8_t *colour, uint32_t depth)
{
    const ir_graph *g = c->m->graphs.p[graph];
    if (colour[graph] == 2) return true;
    if (colour[graph] == 1) return ir_broken(c, "R8", "graph %u contains itself", graph);
    if (depth > MAX_NESTING) return ir_broken(c, "R8", "bodies nested too deeply");
    colour[graph] = 1;
    for (uint32_t i = 1; i < g->ops.n; i++) {
        const ir_op *op = &g->ops.p[i];
        if (op->kind == IR_SCAN && !acyclic(c, op->at->scan.body, colour, depth + 1)) return false;
        if (op->kind != IR_CALL) continue;
        if (!acyclic(c, op->at->call.body, colour, depth + 1)) return false;
        if (op->at->call.vjp && !acyclic(c, op->at->call.vjp, colour, depth + 1)) return false;
    }
    colour[graph] = 2;
    return true;
}

dfm_status ir_verify(const ir_module *m, dfm_err *err)
{
    ir_check c = {.m = m, .err = err};
    if (!check_dims(&c) || !check_tables(&c)) return DFM_INTERNAL;
    for (uint32_t i = 1; i < m->graphs.n; i++)
        if (m->graphs.p[i]) DFM_TRY(ir_verify_graph(m, m->graphs.p[i], err));
    dfm_arena *a = dfm_arena_create("verify");
    uint8_t *colour = dfm_new_n(a, uint8_t, m->graphs.n);
    bool ok = true;
    for (uint32_t i = 1; i < m->graphs.n && ok; i++)
        if (m->graphs.p[i]) ok = acyclic(&c, i, colour, 0);
    for (uint32_t i = 0; i < m->programs.n && ok; i++) ok = check_program(&c, &m->programs.p[i]);
    dfm_arena_destroy(a);
    return ok ? DFM_OK : DFM_INTERNAL;
}

/* sema_sampler.c - samplers: program "sample". Formals of tensor types are the program's inputs;
 * constants have defaults that a variant or `--set const.NAME=` replaces. */
#include <string.h>

#include "compiler/front/sema.h"

/* What the variant or `--set const.NAME=` gives a constant, the last one given; NULL if nothing. */
static const ast_node *override_of(const sema *s, const char *name)
{
    for (uint32_t i = s->sampler_sets.n; i-- > 0;)
        if (!strcmp(s->sampler_sets.p[i].name, name)) return s->sampler_sets.p[i].value;
    return NULL;
}

static bool takes(const ast_node *sampler, const char *name)
{
    for (uint32_t i = 0; i < ast_n(sampler->a); i++) {
        const ast_node *f = ast_at(sampler->a, i);
        if (ast_is(f, AST_FORMAL) && f->a->kind == AST_KIND_CONST && !strcmp(f->text, name))
            return true;
    }
    return false;
}

bool sema_sampler_takes(const sema *s, const char *name, bool any)
{
    for (uint32_t i = 0; any && i < s->main->sections.n; i++) {
        const ast_node *section = s->main->sections.p[i];
        if (section->kind == AST_SAMPLER && takes(section, name)) return true;
    }
    return s->sampler && takes(s->sampler, name);
}

static bool bind_constant(sema *s, const ast_node *sampler, const ast_node *f)
{
    const ast_node *value = override_of(s, f->text);
    if (!value) value = f->b;
    if (!value) {
        diag *d = sema_error(s, E0407, f->loc, "constant `%s` of sampler `%s` has no value",
                             f->text, sampler->text);
        diag_help(d, "give it a default, or `--set const.%s=`", f->text);
        return false;
    }
    sema_value v = sema_expr(s, value);
    if (sema_bad(v)) return false;
    if (v.kind == SV_TENSOR || v.kind == SV_RECORD) {
        sema_error(s, E0313, f->loc, "`%s` must be a constant", f->text);
        return false;
    }
    v.loc = f->loc;
    sema_set(s, f->text, v);
    return true;
}

static bool bind_input(sema *s, const ast_node *f, uint32_t index)
{
    sema_type t;
    if (!sema_eval_type(s, f->a, &t)) return false;
    if (t.dtype == DFM_DT_NONE || t.has_rest) {
        sema_error(s, E0311, f->a->loc, "an input of a sampler has an element type and dims");
        return false;
    }
    ir_type it = sema_ir_type(s, &t, f->a->loc);
    if (!it.i) return false;
    ir_val v = ir_input_new(sema_at(s, f->loc), it, IR_ROLE_FORMAL, index, f->text);
    sema_set(s, f->text, sema_tensor(s, v));
    return true;
}

static bool bind_formals(sema *s, const ast_node *sampler)
{
    uint32_t inputs = 0;
    for (uint32_t i = 0; i < ast_n(sampler->a); i++) {
        const ast_node *f = ast_at(sampler->a, i);
        if (!ast_is(f, AST_FORMAL)) return false;
        if (f->a->kind == AST_KIND_CONST) {
            if (!bind_constant(s, sampler, f)) return false;
        } else if (f->a->kind == AST_TYPE) {
            if (!bind_input(s, f, inputs++)) return false;
        } else {
            sema_error(s, E0407, f->loc, "formals of samplers are tensors and constants");
            return false;
        }
    }
    return true;
}

static const ast_node *result_type(const ast_node *sampler, uint32_t k, const char **out_name)
{
    const ast_node *r = sampler->b;
    *out_name = "out";
    if (ast_is(r, AST_TYPE)) return k ? NULL : r;
    if (!ast_is(r, AST_RESULTS) || k >= r->n_kids) return NULL;
    *out_name = r->kids[k]->text;
    return r->kids[k]->a;
}

/* The batch, for draws, where no train section has fixed it: first dim of the first result. */
static bool fix_batch(sema *s, const ast_node *sampler)
{
    const char *name;
    sema_type t;
    const ast_node *type = result_type(sampler, 0, &name);
    if (s->m->batch.i) return true;
    if (!type || !sema_eval_type(s, type, &t)) return false;
    if (t.rank) s->m->batch = sema_ir_dim(s, t.dims[0], type->loc);
    return true;
}

/* A tensor that goes in or out has one row per sample: batches are cut and put together by them. */
static bool counts_samples(sema *s, const ast_node *type, const char *what, const char *name)
{
    sema_type t;
    if (!sema_eval_type(s, type, &t)) return false;
    const sema_dim *d = t.rank ? t.dims[0] : NULL;
    ir_dim first = {0};
    if (d) first = sema_ir_dim(s, d->ragged_over ? d->ragged_over : d, type->loc);
    if (first.i && (!s->m->batch.i || ir_dim_same(first, s->m->batch))) return true;
    diag *e = first.i ? sema_error(s, E0614, type->loc, "the first dim of %s `%s` is `%s`, which "
                                   "does not count samples", what, name, ir_dim_str(s->m, first))
                      : sema_error(s, E0614, type->loc, "%s `%s` has no dim that counts samples",
                                   what, name);
    const char *batch = s->m->batch.i ? ir_dim_str(s->m, s->m->batch) : "B";
    if (!strcmp(what, "input"))
        diag_help(e, "samples are counted by `%s`: `%s: f32[%s, ...]`; what is the same for all is "
                     "a constant: `%s: const = ...`", batch, name, batch, name);
    else
        diag_help(e, "samples are counted by `%s`, which stands first: `-> f32[%s, ...]`", batch,
                  batch);
    return false;
}

static bool all_count_samples(sema *s, const ast_node *sampler)
{
    const char *name;
    const ast_node *type;
    bool ok = true;
    for (uint32_t i = 0; i < ast_n(sampler->a); i++) {
        const ast_node *f = ast_at(sampler->a, i);
        if (f->a->kind == AST_TYPE) ok &= counts_samples(s, f->a, "input", f->text);
    }
    for (uint32_t k = 0; (type = result_type(sampler, k, &name)); k++)
        ok &= counts_samples(s, type, "result", name);
    return ok;
}

static bool results(sema *s, const ast_node *sampler)
{
    uint32_t declared = ast_is(sampler->b, AST_RESULTS) ? sampler->b->n_kids : 1;
    uint32_t n = s->act->results.n;
    if (n != declared) {
        diag_error(s->diag, n ? DIAG_E0409 : DIAG_E0410, sampler->name_loc,
                   "sampler `%s` declares %u result%s and returns %u", sampler->text, declared,
                   declared == 1 ? "" : "s", n);
        return false;
    }
    for (uint32_t k = 0; k < n; k++) {
        const char *name;
        sema_type t;
        const ast_node *type = result_type(sampler, k, &name);
        sema_value v = s->act->results.p[k];
        if (!type || !sema_eval_type(s, type, &t)) return false;
        if (t.dtype == DFM_DT_NONE) t.dtype = sema_dtype_of(s, v);
        v = sema_convert(s, v, &t, v.loc, sema_fmt(s, "result `%s` of `%s`", name, sampler->text));
        if (sema_bad(v)) return false;
        ir_result_add(sema_at(s, type->loc), sema_use(s, v), name);
    }
    return true;
}

static void sample_program(sema *s, uint32_t graph, uint32_t n)
{
    ir_target *to = dfm_new_n(s->m->arena, ir_target, n);
    uint32_t *index = dfm_new_n(s->m->arena, uint32_t, n);
    for (uint32_t k = 0; k < n; k++) to[k] = IR_TO_OUTPUT;
    ir_program p = {.name = "sample", .graph = graph, .n_results = n, .to = to, .index = index};
    dfm_push(s->m->arena, &s->m->programs, p);
}

bool sema_sampler_section(sema *s, const ast_node *sampler)
{
    uint32_t before = diag_n_errors(s->diag);
    sema_frame *f = sema_root_begin(s, "sample");
    sema_act_begin(s, sampler, s->main, sampler->name_loc);
    bool ok = bind_formals(s, sampler) && fix_batch(s, sampler) && all_count_samples(s, sampler)
        && sema_stmts(s, sampler->c) && diag_n_errors(s->diag) == before && results(s, sampler);
    sema_act_end(s);
    sema_root_end(s);
    ok = ok && diag_n_errors(s->diag) == before;
    if (ok) sample_program(s, f->graph, f->g->results.n);
    return ok;
}

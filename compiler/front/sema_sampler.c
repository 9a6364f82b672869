/* sema_sampler.c - samplers: program "sample". Formals of tensor types are the program's inputs;
 * constants have defaults that `--set const.NAME=` replaces. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/front/sema.h"

/* The text after `const.NAME=` on the command line, the last one given; NULL if there is none. */
static const char *override_of(const sema *s, const char *name)
{
    const char *found = NULL;
    size_t n = strlen(name);
    for (uint32_t i = 0; i < s->o->n_sets; i++) {
        const char *t = s->o->sets[i];
        if (strncmp(t, "const.", 6) || strncmp(t + 6, name, n) || t[6 + n] != '=') continue;
        found = t + 7 + n;
    }
    return found;
}

bool sema_sampler_takes(const sema *s, const char *name)
{
    for (uint32_t i = 0; s->sampler && i < ast_n(s->sampler->a); i++) {
        const ast_node *f = ast_at(s->sampler->a, i);
        if (ast_is(f, AST_FORMAL) && f->a->kind == AST_KIND_CONST && !strcmp(f->text, name))
            return true;
    }
    return false;
}

static sema_value constant_of_text(sema *s, const char *text)
{
    char *end;
    if (!strcmp(text, "true") || !strcmp(text, "false")) return sema_bool(text[0] == 't');
    errno = 0;
    long long i = strtoll(text, &end, 10);
    if (*text && !*end && !errno) return sema_int(i);
    double f = strtod(text, &end);
    if (*text && !*end) return sema_float(f);
    return sema_string(dfm_strdup(s->arena, text));
}

static bool bind_constant(sema *s, const ast_node *sampler, const ast_node *f)
{
    const char *text = override_of(s, f->text);
    if (!text && !f->b) {
        diag *d = sema_error(s, E0407, f->loc, "constant `%s` of sampler `%s` has no value",
                             f->text, sampler->text);
        diag_help(d, "give it a default, or `--set const.%s=`", f->text);
        return false;
    }
    sema_value v = text ? constant_of_text(s, text) : sema_expr(s, f->b);
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
    bool ok = bind_formals(s, sampler) && fix_batch(s, sampler) && sema_stmts(s, sampler->c)
        && diag_n_errors(s->diag) == before && results(s, sampler);
    sema_act_end(s);
    sema_root_end(s);
    ok = ok && diag_n_errors(s->diag) == before;
    if (ok) sample_program(s, f->graph, f->g->results.n);
    return ok;
}

/* sema_block.c - a call of an op, block or model: formals take arguments, the body is evaluated in
 * an activation of its own, results take their declared types.
 *
 * Order: dims and constants first, then raw tensors, then defaults (which may ask for the dims of
 * tensors), then what `...` stands for, then the conversion of the tensors.
 */
#include <string.h>

#include "compiler/front/sema.h"
#include "runtime/base/hash.h"

typedef struct binder {
    sema *s;
    sema_fn fn;
    const sema_call *call;
    sema_act *act;
    const ast_node *formals;
    const sema_arg *given[SEMA_MAX_ARGS];    /* per formal */
    dfm_dtype any;                           /* what `any` is in results */
} binder;

/* -- matching arguments to formals ------------------------------------------------------------- */

static const char *kind_of(const ast_node *fn)
{
    return fn->kind == AST_OP ? "op" : fn->kind == AST_MODEL ? "model" :
           fn->kind == AST_SAMPLER ? "sampler" : "block";
}

static void note_signature(binder *b, diag *d)
{
    sema *s = b->s;
    if (b->fn.file->is_std) {
        dfm_sb sb = dfm_sb_make(s->arena);
        for (uint32_t i = 0; i < ast_n(b->formals); i++)
            dfm_sb_printf(&sb, "%s%s%s", i ? ", " : "", ast_at(b->formals, i)->text,
                          ast_at(b->formals, i)->b ? "=..." : "");
        diag_note(d, "%s(%s)", b->fn.node->text, dfm_sb_cstr(&sb));
    } else if (dfm_loc_some(b->fn.node->name_loc)) {
        diag_label(d, b->fn.node->name_loc, "defined here");
    }
}

static int formal_named(const ast_node *formals, const char *name)
{
    for (uint32_t i = 0; i < ast_n(formals); i++)
        if (strcmp(ast_at(formals, i)->text, name) == 0) return (int)i;
    return -1;
}

static bool match_args(binder *b, const sema_arg *args, uint32_t n)
{
    sema *s = b->s;
    const char *name = b->fn.node->text;
    uint32_t n_formals = ast_n(b->formals);
    if (n_formals > SEMA_MAX_ARGS) {
        sema_error(s, E0407, b->fn.node->loc, "a function has at most %d formals", SEMA_MAX_ARGS);
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        int at = args[i].name ? formal_named(b->formals, args[i].name) : (int)i;
        if (at >= 0 && at < (int)n_formals && !b->given[at]) {
            b->given[at] = &args[i];
            continue;
        }
        diag *d;
        if (args[i].name && at < 0) {
            const char *names[SEMA_MAX_ARGS];
            for (uint32_t k = 0; k < n_formals; k++) names[k] = ast_at(b->formals, k)->text;
            d = sema_error(s, E0407, args[i].loc, "%s `%s` has no formal `%s`",
                           kind_of(b->fn.node), name, args[i].name);
            sema_suggest(s, d, args[i].name, names, n_formals);
        } else if (at >= (int)n_formals) {
            d = sema_error(s, E0407, args[i].loc,
                           "%s `%s` takes %u argument%s, and this is one more", kind_of(b->fn.node),
                           name, n_formals, n_formals == 1 ? "" : "s");
        } else {
            d = sema_error(s, E0407, args[i].loc, "formal `%s` of `%s` is given twice",
                           ast_at(b->formals, (uint32_t)at)->text, name);
        }
        note_signature(b, d);
        return false;
    }
    for (uint32_t i = 0; i < n_formals; i++) {
        const ast_node *f = ast_at(b->formals, i);
        if (b->given[i] || f->b) continue;
        diag *d = sema_error(s, E0407, b->call->loc, "argument `%s` of %s `%s` is missing", f->text,
                             kind_of(b->fn.node), name);
        note_signature(b, d);
        return false;
    }
    return true;
}

/* -- kinds of formals -------------------------------------------------------------------------- */

static const char *what_arg(binder *b, const ast_node *formal)
{
    return sema_fmt(b->s, "argument `%s` of `%s`", formal->text, b->fn.node->text);
}

static bool bind_dim(binder *b, const ast_node *formal, sema_value v, dfm_loc loc)
{
    sema *s = b->s;
    const sema_dim *dims[IR_MAX_RANK];
    int n = sema_need_dims(s, v, loc, what_arg(b, formal), dims, IR_MAX_RANK);
    if (n < 0) return false;
    if (n != 1) {
        sema_value items[IR_MAX_RANK];
        for (int i = 0; i < n; i++) items[i] = sema_of_dim(dims[i]);
        v = sema_tuple(s, items, (uint32_t)n);
    } else {
        v = sema_of_dim(dims[0]);
    }
    v.loc = loc;
    sema_set(s, formal->text, v);
    return true;
}

static bool bind_const(binder *b, const ast_node *formal, sema_value v, dfm_loc loc)
{
    sema *s = b->s;
    double x;
    if (v.kind == SV_TENSOR) {
        if (!sema_need_number(s, v, loc, what_arg(b, formal), &x)) return false;
        v = sema_float(x);
    }
    if (v.kind == SV_TABLE || v.kind == SV_RECORD || v.kind == SV_ARROW) {
        diag *d = sema_error(s, E0313, loc, "%s must be a constant", what_arg(b, formal));
        diag_label(d, loc, "%s", sema_value_text(s, v));
        return false;
    }
    v.loc = loc;
    sema_set(s, formal->text, v);
    return true;
}

static bool bind_arrow(binder *b, const ast_node *formal, sema_value v, dfm_loc loc)
{
    sema *s = b->s;
    if (v.kind == SV_ARROW) {
        sema_set(s, formal->text, v);
        return true;
    }
    diag *d = sema_error(s, E0311, loc, "%s is of the form `D -> F`, not %s", what_arg(b, formal),
                         sema_value_text(s, v));
    note_signature(b, d);
    return false;
}

static bool is_tensor_formal(const ast_node *f) { return f->a && f->a->kind == AST_TYPE; }

static bool bind_other(binder *b, const ast_node *f, sema_value v, dfm_loc loc)
{
    switch ((ast_kind)f->a->kind) {
    case AST_KIND_DIM: return bind_dim(b, f, v, loc);
    case AST_KIND_CONST: return bind_const(b, f, v, loc);
    case AST_KIND_DIM_MAP: return bind_arrow(b, f, v, loc);
    default: return false;
    }
}

static bool bind_given(binder *b)
{
    bool ok = true;
    for (uint32_t i = 0; i < ast_n(b->formals); i++) {
        const ast_node *f = ast_at(b->formals, i);
        if (b->given[i] && !is_tensor_formal(f))
            ok &= bind_other(b, f, b->given[i]->v, b->given[i]->v.loc);
        else if (b->given[i]) sema_set(b->s, f->text, b->given[i]->v);
    }
    return ok;
}

static bool bind_defaults(binder *b)
{
    for (uint32_t i = 0; i < ast_n(b->formals); i++) {
        const ast_node *f = ast_at(b->formals, i);
        if (b->given[i]) continue;
        bool dims = f->a && f->a->kind != AST_KIND_CONST && !is_tensor_formal(f);
        sema_value v = dims ? sema_dim_expr(b->s, f->b) : sema_expr(b->s, f->b);
        if (sema_bad(v)) return false;
        if (is_tensor_formal(f)) sema_set(b->s, f->text, v);
        else if (!bind_other(b, f, v, f->b->loc)) return false;
    }
    return true;
}

/* -- what `...` stands for --------------------------------------------------------------------- */

/* `f32` or `f32[]`. Inside a comprehension a value is an element, so that such a formal takes it;
 * for the compiler it has the dims of the index variables: `...`. */
static bool is_element(const sema_act *act, const ast_node *type)
{
    return act->on_elements && !ast_n(type->a);
}

static bool has_rest(const ast_node *type)
{
    for (uint32_t i = 0; i < ast_n(type->a); i++)
        if (ast_at(type->a, i)->kind == AST_ELLIPSIS) return true;
    return false;
}

static void rest_add(sema_act *a, const sema_dim *d)
{
    for (uint32_t i = 0; i < a->n_rest; i++)
        if (a->rest[i] == d || a->rest[i]->ragged_over == d) return;
    for (uint32_t i = 0; i < a->n_rest; i++)
        if (d->ragged_over == a->rest[i]) {
            a->rest[i] = d;
            return;
        }
    if (a->n_rest < IR_MAX_RANK) a->rest[a->n_rest++] = d;
}

static bool collect_rest(binder *b)
{
    sema *s = b->s;
    for (uint32_t i = 0; i < ast_n(b->formals); i++) {
        const ast_node *f = ast_at(b->formals, i);
        sema_value v;
        sema_type own;
        if (!is_tensor_formal(f) || !sema_local(s, f->text, &v)) continue;
        if (!has_rest(f->a) && !is_element(b->act, f->a)) continue;
        if (v.kind != SV_TENSOR) continue;
        uint32_t n = b->act->n_rest;
        b->act->n_rest = 0;
        bool ok = sema_eval_type(s, f->a, &own);
        b->act->n_rest = n;
        if (!ok) return false;
        const ir_type_info ti = *ir_type_of(s->m, sema_type_of(s, v));
        for (uint32_t k = 0; k < ti.rank; k++) {
            const sema_dim *d = sema_dim_of(s, ti.dims[k]);
            bool written = false;
            for (uint32_t j = 0; j < own.rank; j++)
                written |= own.dims[j] == d || own.dims[j]->ragged_over == d;
            if (!written) rest_add(b->act, d);
        }
    }
    return true;
}

/* -- tensors ----------------------------------------------------------------------------------- */

/* A written type, where an element has the dims that `...` stands for. */
static bool type_with_elements(binder *b, const ast_node *type, sema_type *t)
{
    if (!sema_eval_type(b->s, type, t)) return false;
    if (!is_element(b->act, type)) return true;
    t->has_rest = true;
    t->rank = t->rest_n = b->act->n_rest;
    memcpy(t->dims, b->act->rest, sizeof t->dims);
    return true;
}

static bool bind_tensors(binder *b)
{
    sema *s = b->s;
    for (uint32_t i = 0; i < ast_n(b->formals); i++) {
        const ast_node *f = ast_at(b->formals, i);
        sema_value v;
        sema_type t;
        if (!is_tensor_formal(f)) continue;
        sema_local(s, f->text, &v);
        bool number = v.kind != SV_TENSOR || !ir_type_of(s->m, sema_type_of(s, v))->rank;
        if (!(number ? sema_eval_type(s, f->a, &t) : type_with_elements(b, f->a, &t))) return false;
        bool any = t.dtype == DFM_DT_NONE;
        dfm_dtype from = sema_dtype_of(s, v);
        if (any && b->act->kept && (from == DFM_DT_NONE || dfm_dtype_is_float(from)))
            t.dtype = DFM_F32;
        sema_frame *here = s->frame;
        dfm_loc loc = dfm_loc_some(v.loc) ? v.loc : b->call->loc;
        v = sema_convert(s, v, &t, loc, what_arg(b, f));
        if (sema_bad(v)) return false;
        DFM_ASSERT(s->frame == here);
        dfm_dtype dt = sema_dtype_of(s, v);
        if (any && b->any == DFM_DT_NONE) b->any = dt;
        else if (any && b->any != dt && dfm_dtype_is_float(dt)) b->any = DFM_F32;
        sema_set(s, f->text, v);
    }
    return true;
}

/* -- results ----------------------------------------------------------------------------------- */

static bool result_type(binder *b, const ast_node *type, sema_type *t)
{
    if (!type_with_elements(b, type, t)) return false;
    if (t->dtype == DFM_DT_NONE) t->dtype = b->any;
    bool is_float = t->dtype == DFM_DT_NONE || dfm_dtype_is_float(t->dtype);
    if (b->act->kept && is_float) t->dtype = DFM_F32;
    return true;
}

static sema_value one_result(binder *b, const ast_node *type, uint32_t at, const char *name)
{
    sema *s = b->s;
    sema_type t;
    sema_value v = b->act->results.p[at];
    if (!result_type(b, type, &t)) return sema_poison();
    if (t.dtype == DFM_DT_NONE) t.dtype = sema_dtype_of(s, v);
    const char *fn = b->fn.node->text;
    const char *what = name ? sema_fmt(s, "result `%s` of `%s`", name, fn)
                            : sema_fmt(s, "the result of `%s`", fn);
    dfm_loc loc = dfm_loc_some(v.loc) ? v.loc : type->loc;
    v = sema_convert(s, v, &t, loc, what);
    v.loc = b->call->loc;
    return v;
}

static sema_value take_results(binder *b)
{
    sema *s = b->s;
    const ast_node *declared = ast_results(b->fn.node);
    uint32_t n = declared->kind == AST_RESULTS ? declared->n_kids : 1;
    if (!b->act->results.n) {
        diag *d = sema_error(s, E0410, b->fn.node->name_loc, "%s `%s` ends without `return`",
                             kind_of(b->fn.node), b->fn.node->text);
        diag_help(d, "end its body with `return value`");
        return sema_poison();
    }
    if (b->act->results.n != n) {
        diag *d = sema_error(s, E0409, b->act->results.p[0].loc,
                             "`%s` declares %u result%s and returns %u", b->fn.node->text, n,
                             n == 1 ? "" : "s", b->act->results.n);
        diag_label(d, declared->loc, "declared here");
        return sema_poison();
    }
    if (declared->kind != AST_RESULTS) return one_result(b, declared, 0, NULL);
    sema_field *fields = dfm_new_n(s->arena, sema_field, n);
    for (uint32_t i = 0; i < n; i++) {
        const ast_node *f = declared->kids[i];
        sema_value *v = dfm_new(s->arena, sema_value);
        *v = f->a && f->a->kind == AST_TYPE ? one_result(b, f->a, i, f->text) : sema_poison();
        if (sema_bad(*v)) return *v;
        if (n == 1) return *v;
        fields[i] = (sema_field){f->text, v};
    }
    sema_value r = {.kind = SV_RECORD, .loc = b->call->loc};
    r.u.rec.p = fields;
    r.u.rec.n = n;
    return r;
}

/* -- the activation ---------------------------------------------------------------------------- */

static bool may_call(sema *s, sema_fn fn, const sema_call *call)
{
    for (const sema_act *a = s->act; a; a = a->caller) {
        if (a->node != fn.node) continue;
        dfm_sb sb = dfm_sb_make(s->arena);
        dfm_sb_puts(&sb, fn.node->text);
        for (const sema_act *k = s->act; k != a->caller; k = k->caller)
            dfm_sb_printf(&sb, " <- %s", k->name);
        diag *d = sema_error(s, E0404, call->loc, "`%s` calls itself", fn.node->text);
        diag_note(d, "%s", dfm_sb_cstr(&sb));
        diag_help(d, "layers are repeated with `repeat name[i: L] with x { ... }`");
        return false;
    }
    if (s->act && s->act->depth >= SEMA_MAX_DEPTH) {
        sema_error(s, E0416, call->loc, "calls are nested more than %d deep", SEMA_MAX_DEPTH);
        return false;
    }
    return true;
}

static void enter_scope(binder *b, const sema_act *up)
{
    sema *s = b->s;
    sema_act *a = b->act;
    const sema_call *c = b->call;
    bool from_section = !up || !up->node || up->node->kind == AST_TRAIN ||
                        up->node->kind == AST_SAMPLER;
    if (b->fn.node->kind == AST_MODEL && from_section) {
        a->path = "";
        a->in_model = true;
        a->site = 1;
    } else {
        const char *outer = up ? up->path : "";
        a->named = c->as != NULL;
        a->in_model = up && up->in_model;
        a->path = !c->as || c->as_self ? outer
                                       : sema_fmt(s, "%s%s%s", outer, *outer ? "." : "", c->as);
        a->site = dfm_hash64(&c->loc.i, sizeof c->loc.i, up ? up->site : 0);
        a->makes_no_params = !c->as || (up && up->makes_no_params);
        a->no_as_loc = up && up->makes_no_params ? up->no_as_loc : c->loc;
        a->no_as_fn = up && up->makes_no_params ? up->no_as_fn : b->fn.node->text;
    }
    a->on_elements = up && (up->on_elements || (s->op_act == up && sema_in_comprehension(s)));
    a->init = c->init;
    for (uint32_t i = 0; up && i < up->tags.n; i++) dfm_push(s->arena, &a->tags, up->tags.p[i]);
    for (uint32_t i = 0; i < c->n_tags; i++) dfm_push(s->arena, &a->tags, c->tags[i]);
    a->compute = sema_precision_for(s, b->fn.node->text, a->path, up ? up->compute : DFM_DT_NONE,
                                    &a->kept);
}

static void mark_called(sema *s, const ast_node *fn)
{
    for (uint32_t i = 0; i < s->called.n; i++)
        if (s->called.p[i] == fn) return;
    dfm_push(s->arena, &s->called, fn);
}

static bool run_body(binder *b)
{
    const ast_node *fn = b->fn.node;
    if (fn->kind == AST_OP) return sema_call_op(b->s, fn);
    return sema_stmts(b->s, ast_body(fn));
}

sema_value sema_invoke(sema *s, sema_fn fn, const sema_arg *args, uint32_t n,
                       const sema_call *call)
{
    if (!may_call(s, fn, call) || !sema_step(s, call->loc)) return sema_poison();
    mark_called(s, fn.node);
    if (s->o->units) sema_unit_note(s, fn, args, n, call);
    binder b = {.s = s, .fn = fn, .call = call, .formals = ast_formals(fn.node)};
    if (!match_args(&b, args, n)) return sema_poison();
    const sema_act *up = s->act;
    b.act = sema_act_begin(s, fn.node, fn.file, call->loc);
    sema_keep_state keep = sema_keep_enter(s, fn.node->text);
    enter_scope(&b, up);
    bool ok = bind_given(&b) && bind_defaults(&b) && collect_rest(&b) && bind_tensors(&b) &&
              run_body(&b);
    if (ok && call->init && !b.act->init_used) {
        sema_error(s, E0414, call->init->loc,
                   "`%s` makes no parameter `weight`, which `init` is for", fn.node->text);
    }
    sema_value r = ok ? take_results(&b) : sema_poison();
    sema_act_end(s);
    sema_keep_leave(s, keep);
    sema_keep_result(s, fn.node->text, call->as, &r);
    return r;
}

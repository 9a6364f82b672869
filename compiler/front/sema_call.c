/* sema_call.c - call expressions, and the activations that they begin and end. */
#include <stdarg.h>
#include <string.h>

#include "compiler/front/sema.h"
#include "runtime/base/hash.h"

/* -- reports ----------------------------------------------------------------------------------- */

static bool in_std(sema *s, dfm_loc loc)
{
    uint32_t src = diag_get_span(s->diag, loc).src.i;
    for (uint32_t i = 0; i < s->files.n; i++)
        if (s->files.p[i]->is_std && s->files.p[i]->ast && s->files.p[i]->ast->src.i == src)
            return true;
    return false;
}

dfm_loc sema_user_loc(sema *s, dfm_loc loc)
{
    const sema_act *a = in_std(s, loc) ? s->act : NULL;
    while (a && (!dfm_loc_some(a->call_loc) || in_std(s, a->call_loc))) a = a->caller;
    return a ? a->call_loc : loc;
}

diag *sema_report(sema *s, diag_code code, dfm_loc loc, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    const char *text = dfm_vfmt(s->arena, format, ap);
    va_end(ap);
    dfm_loc user = sema_user_loc(s, loc);
    diag *d = diag_error(s->diag, code, user, "%s", text);
    return user.i == loc.i ? d : diag_label(d, loc, "found here");
}

/* -- activations ------------------------------------------------------------------------------- */

sema_act *sema_act_begin(sema *s, const ast_node *node, sema_file *file, dfm_loc call_loc)
{
    sema_act *a = dfm_new(s->arena, sema_act), *up = s->act;
    a->caller = up;
    a->node = node;
    a->name = node && node->text ? node->text : "";
    a->file = file;
    a->scope = dfm_new(s->arena, sema_scope);
    a->path = "";
    a->named = true;
    a->call_loc = call_loc;
    a->compute = up ? up->compute : DFM_F32;
    a->depth = up ? up->depth + 1 : 0;
    a->stream = dfm_hash64(a->name, strlen(a->name), up ? up->stream : 0);
    if (up) a->stream = dfm_hash64(&up->n_calls, sizeof up->n_calls, a->stream);
    if (up) up->n_calls++;
    a->in_dim_expr = s->in_dim_expr;
    s->in_dim_expr = false;
    s->act = a;
    if (!up || node->kind == AST_TRAIN || node->kind == AST_SAMPLER)
        a->compute = sema_precision_for(s, a->name, "", DFM_DT_NONE, &a->kept);
    return a;
}

void sema_act_end(sema *s)
{
    s->in_dim_expr = s->act->in_dim_expr;
    s->act = s->act->caller;
}

/* -- roots ------------------------------------------------------------------------------------- */

sema_frame *sema_root_begin(sema *s, const char *name)
{
    sema_frame *f = dfm_new(s->arena, sema_frame);
    f->suspended = s->frame;
    f->g = ir_graph_create(s->m, name, &f->graph);
    s->frame = f;
    return f;
}

void sema_root_end(sema *s) { s->frame = s->frame->suspended; }

/* -- arguments --------------------------------------------------------------------------------- */

int sema_eval_args(sema *s, const ast_node *call, sema_arg *out, uint32_t cap)
{
    bool bad = false, named = false;
    if (call->n_kids > cap) {
        sema_error(s, E0407, call->loc, "a call has at most %u arguments", cap);
        return -1;
    }
    for (uint32_t i = 0; i < call->n_kids; i++) {
        const ast_node *k = call->kids[i];
        out[i] = (sema_arg){.loc = k->loc};
        if (k->kind == AST_ARG) {
            out[i].name = k->text;
            out[i].v = sema_expr(s, k->a);
            named = true;
        } else {
            out[i].v = sema_expr(s, k);
            if (named && k->kind != AST_ERROR)
                sema_error(s, E0407, k->loc, "arguments by position come before those by name");
        }
        if (!dfm_loc_some(out[i].v.loc)) out[i].v.loc = out[i].loc;
        bad |= sema_bad(out[i].v);
    }
    return bad ? -1 : (int)call->n_kids;
}

/* -- the words around a call ------------------------------------------------------------------- */

typedef struct wrapped {
    const ast_node *call;
    const ast_node *as, *init, *first;       /* nodes; first: any of them */
    const char *tags[8];
    uint32_t n_tags;
} wrapped;

static bool unwrap(sema *s, const ast_node *e, wrapped *w)
{
    const ast_node *top = e;
    *w = (wrapped){0};
    for (; e && (e->kind == AST_AS || e->kind == AST_INIT || e->kind == AST_TAG); e = e->a) {
        if (e->kind == AST_AS && w->as)
            sema_error(s, E0415, e->loc, "a call has one `as` only");
        if (e->kind == AST_AS) w->as = e->b;
        if (e->kind == AST_INIT) w->init = e->b;
        if (e->kind == AST_TAG && w->n_tags < 8) w->tags[w->n_tags++] = e->b->text;
        w->first = e;
    }
    w->call = e;
    if (ast_is(e, AST_ERROR)) return false;
    if (ast_is(e, AST_CALL)) return true;
    const char *word = top->kind == AST_AS ? "as" : top->kind == AST_INIT ? "init" : "tag";
    diag *d = sema_error(s, E0415, top->loc, "`%s` belongs to a call, and this is none", word);
    if (e) diag_label(d, e->loc, "not a call");
    diag_help(d, "write it directly behind the call of the block that makes the parameters");
    return false;
}

/* -- calls ------------------------------------------------------------------------------------- */

static sema_value call_fn(sema *s, sema_fn fn, const wrapped *w)
{
    sema_arg args[SEMA_MAX_ARGS];
    int n = sema_eval_args(s, w->call, args, SEMA_MAX_ARGS);
    if (n < 0) return sema_poison();
    sema_call c = {.loc = w->call->loc, .callee_loc = w->call->a->loc, .init = w->init,
                   .tags = w->tags, .n_tags = w->n_tags};
    if (w->as) c.as = w->as->text;
    c.as_self = w->as && w->as->kind == AST_NAME && strcmp(w->as->text, "self") == 0;
    return sema_invoke(s, fn, args, (uint32_t)n, &c);
}

static sema_value no_function(sema *s, const ast_node *callee)
{
    if (callee->kind == AST_ERROR) return sema_poison();
    if (callee->kind == AST_INDEX && callee->a->kind == AST_NAME) {
        diag *d = sema_error(s, E0411, callee->loc,
                             "index expressions like `%s[...](...)` stand in "
                             "an `op` only",
                             callee->a->text);
        diag_help(d, "outside an `op`, name the dims: `%s(x, D)`", callee->a->text);
    } else {
        sema_error(s, E0402, callee->loc, "this is not a function");
    }
    return sema_poison();
}

sema_value sema_call_expr(sema *s, const ast_node *e)
{
    wrapped w;
    sema_fn fn;
    dfm_dtype dt;
    bool any;
    if (!unwrap(s, e, &w)) return sema_poison();
    const ast_node *callee = w.call->a;
    if (callee->kind == AST_FIELD && callee->a->kind == AST_NAME) {
        sema_file *f = sema_alias(s, s->act->file, callee->a->text);
        if (f && sema_find_fn(s, f, callee->text, &fn)) return call_fn(s, fn, &w);
        if (f) sema_unknown_fn(s, f, callee->text, callee->loc);
        else no_function(s, callee);
        return sema_poison();
    }
    if (callee->kind != AST_NAME) return no_function(s, callee);
    const char *name = callee->text;
    bool is_cast = sema_dtype_of_name(name, &dt, &any) && !any;
    if (is_cast || sema_is_builtin(name)) {
        if (w.first) {
            diag *d = sema_error(s, E0415, e->loc, "`%s` is built in and has no parameters", name);
            diag_help(d, "leave out `as`, `init` and `tag` here");
            return sema_poison();
        }
        return sema_call_builtin(s, w.call, name);
    }
    if (sema_find_fn(s, s->act->file, name, &fn)) return call_fn(s, fn, &w);
    sema_unknown_fn(s, s->act->file, name, callee->loc);
    return sema_poison();
}

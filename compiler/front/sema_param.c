/* sema_param.c - parameters and buffers.
 *
 * A parameter is known by its path. A statement reached again (the model is called twice, the body
 * of a repeat is evaluated again) finds the parameter it made before; another statement, or another
 * call, that arrives at the same path is an error. Parameters of a repeat have its loop dim in
 * front, and come into the body as slices.
 */
#include <math.h>
#include <string.h>

#include "compiler/front/sema.h"

typedef struct param_info {
    uint64_t site;
    dfm_loc loc;
} param_info;

struct sema_params {
    DFM_VEC(param_info) info;      /* parallel to m->params */
};

/* -- references -------------------------------------------------------------------------------- */

static ir_val ref_in(sema *s, sema_frame *f, uint32_t param)
{
    ir_builder b = {.m = s->m, .g = f->g, .loc = s->m->params.p[param].loc};
    if (!f->parent) return ir_param_ref(&b, param);
    for (uint32_t i = 0; i < f->xs.n; i++)
        if (f->xs.p[i].param == param) return f->xs.p[i].inner;
    ir_val outer = ref_in(s, f->parent, param);
    for (uint32_t i = 0; i < f->caps.n; i++)
        if (ir_same(f->caps.p[i].outer, outer)) return f->caps.p[i].inner;
    ir_type t = ir_type_at(f->parent->g, outer);
    const char *path = dfm_name_str(s->m->names, s->m->params.p[param].path);
    if (!f->scopes_params) {
        sema_capture c = {.outer = outer};
        c.inner = ir_input_new(&b, t, IR_ROLE_BODY, f->g->inputs.n, path);
        dfm_push(s->arena, &f->caps, c);
        return c.inner;
    }
    ir_dim loop = f->loop->ir, first = ir_type_of(s->m, t)->dims[0];
    if (!ir_dim_same(first, loop)) {         /* a repeat in a repeat over the same dim */
        ir_builder up = {.m = s->m, .g = f->parent->g, .loc = b.loc};
        outer = ir_rename(&up, outer, first, loop);
        t = ir_type_at(up.g, outer);
    }
    sema_xs x = {.param = param, .outer = outer};
    x.inner = ir_input_new(&b, ir_without_dims(s->m, t, &loop, 1), IR_ROLE_BODY, f->g->inputs.n,
                           path);
    dfm_push(s->arena, &f->xs, x);
    return x.inner;
}

ir_val sema_param_ref(sema *s, uint32_t param) { return ref_in(s, s->frame, param); }

/* The parameter with the dims that it was declared with: a dim that a repeat around it has too is
 * an alias in storage. */
static ir_val declared_ref(sema *s, uint32_t param, const sema_type *t, dfm_loc loc)
{
    ir_val v = sema_param_ref(s, param);
    ir_builder *b = sema_at(s, loc);
    const ir_type_info have = *ir_type_of(s->m, ir_type_at(b->g, v));
    sema_type own = *t;
    own.dtype = have.dtype;
    ir_type want = sema_ir_type(s, &own, loc);
    ir_ix coords[IR_MAX_RANK];
    if (!want.i || want.i == ir_type_at(b->g, v).i || own.rank != have.rank) return v;
    for (uint32_t k = 0; k < own.rank; k++)
        coords[k] = ir_ix_var(s->m, ir_type_of(s->m, want)->dims[k]);
    return ir_view_of(b, v, want, coords, NULL, 0, 0);
}

/* -- where it stands --------------------------------------------------------------------------- */

static uint32_t loops_around(sema *s, sema_frame **out, uint32_t cap)
{
    sema_frame *chain[16];
    uint32_t n = 0, k = 0;
    for (sema_frame *f = s->frame; f && n < 16; f = f->parent)
        if (f->parent && f->scopes_params) chain[n++] = f;
    while (n-- > 0 && k < cap) out[k++] = chain[n];
    return k;
}

static bool allowed_here(sema *s, const ast_node *st)
{
    if (!s->act->in_model) {
        diag *d = sema_error(s, E0411, st->loc, "parameters belong to the model; this call stands "
                                                "outside");
        if (dfm_loc_some(s->act->call_loc)) diag_label(d, s->act->call_loc, "called here");
        return false;
    }
    if (!s->act->makes_no_params) return true;
    diag *d = sema_error(s, E0412, s->act->no_as_loc, "`%s` makes parameters and has no `as`",
                         s->act->no_as_fn);
    const char *call = diag_source(s->diag, s->arena, s->act->no_as_loc);
    if (strlen(call) > 40 || strchr(call, '\n')) call = sema_fmt(s, "%s(...)", s->act->no_as_fn);
    diag_help(d, "name them: `%s as name`", call);
    return false;
}

static const char *path_of(sema *s, const ast_node *st)
{
    const char *name = st->text;
    for (uint32_t i = 0; st->kind == AST_PARAM && i < ast_n(st->b); i++)
        if (ast_at(st->b, i)->kind == AST_ATTR_AS) name = ast_at(st->b, i)->a->text;
    return sema_fmt(s, "%s%s%s", s->act->path, *s->act->path ? "." : "", name);
}

/* -- start values ------------------------------------------------------------------------------ */

static const struct { const char *name; ir_init init; int args; } inits[] = {
    {"zeros", IR_INIT_ZEROS, 0}, {"ones", IR_INIT_ONES, 0}, {"constant", IR_INIT_CONSTANT, 1},
    {"normal", IR_INIT_NORMAL, 1}, {"trunc_normal", IR_INIT_TRUNC_NORMAL, 1},
    {"uniform", IR_INIT_UNIFORM, 2}, {"xavier_uniform", IR_INIT_XAVIER_UNIFORM, 0},
};

static bool init_args(sema *s, const ast_node *spec, int wanted, ir_param *p)
{
    sema_arg args[SEMA_MAX_ARGS];
    double *out[2] = {&p->init_a, &p->init_b};
    int n = spec->kind == AST_CALL ? sema_eval_args(s, spec, args, SEMA_MAX_ARGS) : 0;
    if (n < 0) return false;
    if (n != wanted) {
        sema_error(s, E0414, spec->loc, "this start value takes %d argument%s", wanted,
                   wanted == 1 ? "" : "s");
        return false;
    }
    for (int i = 0; i < n; i++) {
        if (args[i].name && strcmp(args[i].name, "std") != 0 &&
            strcmp(args[i].name, "value") != 0 && strcmp(args[i].name, "lo") != 0 &&
            strcmp(args[i].name, "hi") != 0) {
            sema_error(s, E0407, args[i].loc, "a start value has no argument `%s`", args[i].name);
            return false;
        }
        if (!sema_need_number(s, args[i].v, args[i].loc, "a start value", out[i])) return false;
        if (isfinite(*out[i])) continue;
        sema_error(s, E0414, args[i].loc, "a start value must be finite");
        return false;
    }
    return true;
}

static bool read_init(sema *s, const ast_node *spec, ir_param *p)
{
    const ast_node *name = spec->kind == AST_CALL ? spec->a : spec;
    const char *names[DFM_LEN(inits)];
    if (!ast_is(name, AST_NAME)) return false;
    for (uint32_t i = 0; i < DFM_LEN(inits); i++) {
        names[i] = inits[i].name;
        if (strcmp(name->text, inits[i].name) != 0) continue;
        p->init = inits[i].init;
        return init_args(s, spec, inits[i].args, p);
    }
    diag *d = sema_error(s, E0414, name->loc, "`%s` is not a way to start a parameter", name->text);
    dfm_sb all = dfm_sb_make(s->arena);
    for (size_t i = 0; i < DFM_LEN(inits); i++)
        dfm_sb_printf(&all, "%s`%s`", i ? ", " : "", names[i]);
    if (dfm_nearest(name->text, names, DFM_LEN(inits)))
        sema_suggest(s, d, name->text, names, DFM_LEN(inits));
    else diag_help(d, "ways are %s", dfm_sb_cstr(&all));
    return false;
}

/* The `init` of the call goes to the parameter `weight`; it was written in the caller's scope. */
static bool find_init(sema *s, const ast_node *st, ir_param *p)
{
    if (s->act->init && strcmp(st->text, "weight") == 0) {
        sema_act *own = s->act;
        own->init_used = true;
        if (own->caller) s->act = own->caller;
        bool ok = read_init(s, own->init, p);
        s->act = own;
        return ok;
    }
    for (uint32_t i = 0; i < ast_n(st->b); i++)
        if (ast_at(st->b, i)->kind == AST_ATTR_INIT) return read_init(s, ast_at(st->b, i)->a, p);
    diag *d = sema_error(s, E0414, st->loc, "parameter `%s` needs an `init`", st->text);
    diag_help(d, "for example `init zeros`, `init normal(std=0.02)`, `init xavier_uniform`");
    return false;
}

static void read_tags(sema *s, const ast_node *st, ir_param *p)
{
    dfm_name tags[64];
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->act->tags.n && n < 64; i++)
        tags[n++] = dfm_intern(s->cx->names, s->act->tags.p[i]);
    for (uint32_t i = 0; i < ast_n(st->b) && n < 64; i++)
        if (ast_at(st->b, i)->kind == AST_ATTR_TAG)
            tags[n++] = dfm_intern(s->cx->names, ast_at(st->b, i)->a->text);
    p->trainable = true;
    for (uint32_t i = 0; i < n; i++) {
        const char *t = dfm_name_str(s->cx->names, tags[i]);
        if (strcmp(t, "frozen") == 0 || strcmp(t, "freeze") == 0) p->trainable = false;
    }
    p->tags = dfm_dup(s->arena, tags, n * sizeof *tags);
    p->n_tags = n;
}

/* -- declaring --------------------------------------------------------------------------------- */

static bool shape(sema *s, const sema_type *t, dfm_loc loc, ir_param *p)
{
    sema_frame *loops[4];
    sema_type all = {.dtype = t->dtype};
    uint32_t n = loops_around(s, loops, 4);
    if (n + t->rank > IR_MAX_RANK) {
        sema_error(s, E0311, loc, "a parameter and the repeats around it have at most %d dims",
                   IR_MAX_RANK);
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        all.dims[all.rank++] = loops[i]->loop;
        p->loop_vars[i] = dfm_intern(s->cx->names, loops[i]->loop_var);
    }
    p->n_loops = (uint8_t)n;
    p->fan_in = p->fan_out = 1;
    for (uint32_t i = 0; i < t->rank; i++) {
        all.dims[all.rank++] = t->dims[i];
        if (p->file_rank <= t->group[i]) p->file_shape[p->file_rank++] = 1;
        p->file_shape[t->group[i]] *= t->dims[i]->value;
        *(t->group[i] == 0 ? &p->fan_out : &p->fan_in) *= t->dims[i]->value;
    }
    p->type = sema_ir_type(s, &all, loc);
    p->loc = loc;
    return p->type.i != 0;
}

static int find_param(sema *s, dfm_name path)
{
    for (uint32_t i = 0; i < s->m->params.n; i++)
        if (dfm_name_eq(s->m->params.p[i].path, path)) return (int)i;
    return -1;
}

/* The index of the parameter: the one there is at this path, or a new one. -1 after reporting. */
static int declare(sema *s, ir_param *p, dfm_loc loc)
{
    if (!s->params) s->params = dfm_new(s->arena, struct sema_params);
    int old = find_param(s, p->path);
    if (old < 0) {
        p->published = p->path;
        dfm_push(s->arena, &s->m->params, *p);
        dfm_push(s->arena, &s->params->info, ((param_info){s->act->site, loc}));
        return (int)s->m->params.n - 1;
    }
    const param_info *q = &s->params->info.p[old];
    bool same = q->site == s->act->site && q->loc.i == loc.i;
    if (same && s->m->params.p[old].type.i == p->type.i) return old;
    const char *path = dfm_name_str(s->cx->names, p->path);
    dfm_loc at = dfm_loc_some(s->act->call_loc) && *s->act->path ? s->act->call_loc : loc;
    diag *d = same ? sema_error(s, E0413, at, "parameter `%s` has another type in another call of "
                                "the model", path)
                   : sema_error(s, E0413, at, "there is a parameter `%s` already", path);
    diag_label(d, q->loc, "made here");
    if (!same) diag_help(d, "give this call another name after `as`");
    return -1;
}

sema_value sema_param_value(sema *s, const ast_node *st)
{
    ir_param p = {0};
    sema_type t;
    s->aliases_allowed = true;
    bool ok = allowed_here(s, st) && sema_eval_type(s, st->a, &t);
    s->aliases_allowed = false;
    if (!ok) return sema_poison();
    bool omitted = !st->a->text;
    dfm_dtype compute = s->act->compute;
    if (omitted || t.dtype == DFM_DT_NONE) t.dtype = sema_precision_params(s);
    if (!dfm_dtype_is_float(t.dtype)) {
        sema_error(s, E0312, st->a->loc, "a parameter is of a float type");
        return sema_poison();
    }
    p.path = dfm_intern(s->cx->names, path_of(s, st));
    read_tags(s, st, &p);
    if (!shape(s, &t, st->loc, &p) || !find_init(s, st, &p)) return sema_poison();
    int at = declare(s, &p, st->loc);
    if (at < 0) return sema_poison();
    ir_val v = declared_ref(s, (uint32_t)at, &t, st->loc);
    if (omitted) v = ir_cast(sema_at(s, st->loc), v, compute);
    sema_value r = sema_tensor(s, v);
    r.loc = st->loc;
    return r;
}

/* -- buffers ----------------------------------------------------------------------------------- */

static const double *replicated(sema *s, const double *data, uint64_t n, uint64_t times)
{
    if (times == 1) return data;
    double *all = dfm_new_n(s->arena, double, n * times);
    for (uint64_t i = 0; i < times; i++) memcpy(all + i * n, data, n * sizeof *data);
    return all;
}

sema_value sema_buffer_value(sema *s, const ast_node *st)
{
    ir_param p = {.is_buffer = true, .init = IR_INIT_TABLE};
    sema_type t;
    if (!allowed_here(s, st) || !sema_eval_type(s, st->a, &t)) return sema_poison();
    if (!st->a->text || t.dtype == DFM_DT_NONE) t.dtype = DFM_F32;
    sema_value v = sema_expr(s, st->b);
    v = sema_convert(s, v, &t, st->b->loc, sema_fmt(s, "buffer `%s`", st->text));
    if (sema_bad(v)) return v;
    ir_val x = sema_use(s, v);
    const double *data = sema_const_data(s, x);
    if (!data) {
        diag *d = sema_error(s, E0420, st->b->loc,
                             "the value of buffer `%s` is not known at compile "
                             "time",
                             st->text);
        diag_label(d, st->b->loc, "%s", sema_value_text(s, v));
        return sema_poison();
    }
    p.path = dfm_intern(s->cx->names, path_of(s, st));
    if (!shape(s, &t, st->loc, &p)) return sema_poison();
    uint64_t n = ir_elems(s->m, ir_type_at(s->frame->g, x));
    int at = find_param(s, p.path);
    if (at < 0) p.table = replicated(s, data, n, ir_elems(s->m, p.type) / n);
    at = declare(s, &p, st->loc);
    if (at < 0) return sema_poison();
    sema_value r = sema_tensor(s, declared_ref(s, (uint32_t)at, &t, st->loc));
    r.loc = st->loc;
    return r;
}

void sema_params_drop(sema *s, uint32_t first)
{
    if (!s->params) return;
    s->m->params.n = first;
    s->params->info.n = first;
}

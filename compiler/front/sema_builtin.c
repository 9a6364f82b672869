/* sema_builtin.c - builtins: the table of them, scalar functions, reductions, casts. */
#include <string.h>

#include "compiler/front/sema_builtin.h"

/* -- arguments -------------------------------------------------------------------------------- */

const sema_arg *builtin_named(builtin_call *c, const char *name)
{
    for (uint32_t i = c->n_pos; i < c->n; i++)
        if (strcmp(c->args[i].name, name) == 0) return &c->args[i];
    return NULL;
}

bool builtin_args(builtin_call *c, uint32_t lo, uint32_t hi, const char *const *allowed,
                  const char *usage)
{
    diag *d = NULL;
    uint32_t n_allowed = 0;
    while (allowed && allowed[n_allowed]) n_allowed++;
    for (uint32_t i = c->n_pos; i < c->n; i++) {
        bool known = false;
        for (uint32_t k = 0; k < n_allowed; k++) known |= strcmp(c->args[i].name, allowed[k]) == 0;
        for (uint32_t k = c->n_pos; k < i; k++)
            known &= strcmp(c->args[k].name, c->args[i].name) != 0;
        if (known) continue;
        d = sema_error(c->s, E0407, c->args[i].loc, "`%s` has no argument `%s`, or has it already",
                       c->name, c->args[i].name);
        sema_suggest(c->s, d, c->args[i].name, allowed, n_allowed);
        diag_note(d, "%s", usage);
        return false;
    }
    if (c->n_pos >= lo && c->n_pos <= hi) return true;
    d = sema_error(c->s, E0407, c->loc, "`%s` has too %s arguments", c->name,
                   c->n_pos < lo ? "few" : "many");
    diag_note(d, "%s", usage);
    return false;
}

ir_val builtin_val(builtin_call *c, uint32_t i)
{
    return sema_as_val(c->s, c->args[i].v, DFM_DT_NONE, c->args[i].loc);
}

bool builtin_has_dim(builtin_call *c, ir_val x, const sema_dim *d, dfm_loc loc)
{
    sema *s = c->s;
    ir_type t = ir_type_at(s->frame->g, x);
    if (d->ir.i && ir_dim_at(s->m, t, d->ir) >= 0) return true;
    diag *e = sema_error(s, E0316, loc, "`%s`: the tensor has no dim `%s`", c->name,
                         sema_dim_text(s, d));
    diag_label(e, c->args[0].loc, "%s", sema_ir_type_text(s, t));
    const char *have[IR_MAX_RANK];
    const ir_type_info *ti = ir_type_of(s->m, t);
    for (uint32_t i = 0; i < ti->rank; i++) have[i] = ir_dim_str(s->m, ti->dims[i]);
    if (d->name) sema_suggest(s, e, d->name, have, ti->rank);
    return false;
}

bool builtin_new_dim(builtin_call *c, ir_val x, const sema_dim *d, dfm_loc loc)
{
    sema *s = c->s;
    ir_type t = ir_type_at(s->frame->g, x);
    ir_dim id = sema_ir_dim(s, d, loc);
    if (!id.i) return false;
    if (ir_dim_at(s->m, t, id) < 0) return true;
    diag *e = sema_error(s, E0314, loc, "`%s`: the tensor has a dim `%s` already", c->name,
                         sema_dim_text(s, d));
    diag_label(e, c->args[0].loc, "%s", sema_ir_type_text(s, t));
    diag_help(e, "no type holds a dim twice; declare another name: `dim %s2 = %s`",
              sema_dim_text(s, d), sema_dim_text(s, d));
    return false;
}

int builtin_dims(builtin_call *c, uint32_t i, const sema_dim **out)
{
    const char *what = sema_fmt(c->s, "argument %u of `%s`", i + 1, c->name);
    return sema_need_dims(c->s, c->args[i].v, c->args[i].loc, what, out, IR_MAX_RANK);
}

sema_value builtin_result(builtin_call *c, ir_val v)
{
    sema_value r = v.i ? sema_tensor(c->s, v) : sema_poison();
    r.loc = c->loc;
    return r;
}

/* -- reductions -------------------------------------------------------------------------------- */

static ir_reducer reducer_of(const char *name)
{
    if (strcmp(name, "mean") == 0) return IR_RED_SUM;
    for (int r = IR_RED_NONE + 1; r < IR_RED_COUNT; r++)
        if (strcmp(ir_reducer_name((ir_reducer)r), name) == 0) return (ir_reducer)r;
    return IR_RED_NONE;
}

static bool reduce_dtype_ok(sema *s, const char *name, ir_reducer r, dfm_dtype dt, dfm_loc loc)
{
    bool logic = r == IR_RED_ANY || r == IR_RED_ALL;
    if (logic == (dt == DFM_BOOL)) return true;
    sema_error(s, E0312, loc, "`%s` takes %s, and this is %s", name,
               logic ? "conditions (bool)" : "numbers", dfm_dtype_name(dt));
    return false;
}

sema_value sema_reduce(sema *s, const char *name, sema_value x, const sema_dim *const *dims,
                       int n_dims, dfm_loc loc)
{
    ir_dim d[IR_MAX_RANK];
    ir_reducer r = reducer_of(name);
    ir_val v = sema_as_val(s, x, DFM_DT_NONE, loc);
    if (!v.i) return sema_poison();
    const ir_type_info ti = *ir_type_of(s->m, ir_type_at(s->frame->g, v));
    bool mean = strcmp(name, "mean") == 0;
    if (!reduce_dtype_ok(s, name, r, ti.dtype, loc)) return sema_poison();
    double count = 1;
    uint32_t n = 0;
    for (uint32_t i = 0; i < (n_dims < 0 ? ti.rank : (uint32_t)n_dims); i++) {
        d[n] = n_dims < 0 ? ti.dims[i] : dims[i]->ir;
        count *= (double)ir_extent(s->m, d[n++]);
    }
    ir_builder *b = sema_at(s, loc);
    if (mean && !dfm_dtype_is_float(ti.dtype)) v = ir_cast(b, v, DFM_F32);
    ir_val y = ir_reduce_over(b, r, v, d, n);
    if (mean && count > 1) {
        dfm_dtype dt = ir_type_of(s->m, ir_type_at(s->frame->g, y))->dtype;
        y = ir_map2(b, IR_FN_DIV, y, ir_scalar(b, dt, count));
    }
    sema_value out = sema_tensor(s, y);
    out.loc = loc;
    return out;
}

static sema_value call_reduce(builtin_call *c)
{
    sema *s = c->s;
    const sema_dim *dims[IR_MAX_RANK];
    const char *usage =
        sema_fmt(s, "%s(x) over all dims, %s(x, D, ...) over some", c->name, c->name);
    int n = 0;
    if (!builtin_args(c, 1, IR_MAX_RANK + 1, NULL, usage)) return sema_poison();
    ir_val x = builtin_val(c, 0);
    if (!x.i) return sema_poison();
    for (uint32_t i = 1; i < c->n_pos; i++) {
        const sema_dim *part[IR_MAX_RANK];
        int k = builtin_dims(c, i, part);
        if (k < 0) return sema_poison();
        for (int j = 0; j < k; j++) {
            if (!builtin_has_dim(c, x, part[j], c->args[i].loc)) return sema_poison();
            if (n < IR_MAX_RANK) dims[n++] = part[j];
        }
    }
    int all = ir_type_of(s->m, ir_type_at(s->frame->g, x))->rank;
    if (strcmp(c->name, "argmax") == 0 && (c->n_pos == 1 ? all : n) != 1) {
        sema_error(s, E0407, c->loc, "`argmax` works on exactly one dim: argmax(x, D)");
        return sema_poison();
    }
    sema_value v = sema_tensor(s, x);
    return sema_reduce(s, c->name, v, dims, c->n_pos == 1 ? -1 : n, c->loc);
}

/* max(x, D): a reduction if x has the dim, or if D is a dim by name; else elementwise. */
static bool minmax_reduces(builtin_call *c)
{
    sema *s = c->s;
    sema_value x = c->args[0].v;
    if (c->n_pos == 1) return true;
    if (x.kind != SV_TENSOR) return false;
    for (uint32_t i = 1; i < c->n_pos; i++) {
        sema_value v = c->args[i].v;
        if (v.kind == SV_TUPLE) continue;
        /* Arithmetic is a number, even where it comes to be a dim: `N - 1` with N = S + 1. */
        if (v.kind != SV_DIM || c->node->kids[i]->kind == AST_BINARY) return false;
        ir_type t = sema_type_of(s, x);
        bool has = v.u.dim->ir.i && ir_dim_at(s->m, t, v.u.dim->ir) >= 0;
        if (!has && !v.u.dim->name) return false;
    }
    return true;
}

/* -- scalar functions -------------------------------------------------------------------------- */

static sema_value call_scalar(builtin_call *c)
{
    ir_fn fn = strcmp(c->name, "mod") == 0 ? IR_FN_MOD : ir_fn_find(c->name);
    uint32_t arity = ir_fn_arity(fn);
    sema_value v[3];
    const char *usage = arity == 1 ? sema_fmt(c->s, "%s(x)", c->name)
                        : arity == 2 ? sema_fmt(c->s, "%s(a, b)", c->name)
                                     : "select(condition, where_true, where_false)";
    if (!builtin_args(c, arity, arity, NULL, usage)) return sema_poison();
    for (uint32_t i = 0; i < arity; i++) v[i] = c->args[i].v;
    return sema_map(c->s, fn, v, arity, c->loc, c->node->a->loc, c->name);
}

static sema_value call_minmax(builtin_call *c)
{
    return c->n_pos >= 1 && minmax_reduces(c) ? call_reduce(c) : call_scalar(c);
}

static sema_value call_stop_grad(builtin_call *c)
{
    if (!builtin_args(c, 1, 1, NULL, "stop_grad(x)")) return sema_poison();
    if (c->args[0].v.kind != SV_TENSOR) return c->args[0].v;
    ir_val x = builtin_val(c, 0);
    return builtin_result(c, ir_stop_grad(sema_at(c->s, c->loc), x));
}

static sema_value call_elsewhere(builtin_call *c)
{
    bool data = strcmp(c->name, "webdataset") == 0;
    sema_error(c->s, E0411, c->loc, "`%s` stands %s only", c->name,
               data ? "in `data name: type in webdataset(\"member\")`" : "in a dim at file level");
    return sema_poison();
}

/* -- the table --------------------------------------------------------------------------------- */

typedef struct builtin {
    const char *name;
    sema_value (*call)(builtin_call *c);
} builtin;

static const builtin table[] = {
    {"abs", call_scalar}, {"sign", call_scalar}, {"floor", call_scalar}, {"ceil", call_scalar},
    {"round", call_scalar}, {"exp", call_scalar}, {"expm1", call_scalar}, {"log", call_scalar},
    {"log1p", call_scalar}, {"sqrt", call_scalar}, {"rsqrt", call_scalar}, {"recip", call_scalar},
    {"sin", call_scalar}, {"cos", call_scalar}, {"tanh", call_scalar}, {"erf", call_scalar},
    {"sigmoid", call_scalar}, {"pow", call_scalar}, {"mod", call_scalar}, {"select", call_scalar},
    {"max", call_minmax}, {"min", call_minmax},
    {"sum", call_reduce}, {"mean", call_reduce}, {"prod", call_reduce}, {"any", call_reduce},
    {"all", call_reduce}, {"argmax", call_reduce},
    {"contract", builtin_contract}, {"attend", builtin_attend}, {"conv", builtin_conv},
    {"split", builtin_split}, {"merge", builtin_merge}, {"slice", builtin_slice},
    {"unstack", builtin_unstack}, {"stack", builtin_stack}, {"concat", builtin_concat},
    {"rename", builtin_rename}, {"gather", builtin_gather}, {"scatter_add", builtin_scatter_add},
    {"stop_grad", call_stop_grad},
    {"normal", builtin_draw}, {"uniform", builtin_draw}, {"randint", builtin_draw},
    {"arange", builtin_arange}, {"append", builtin_append}, {"cumprod", builtin_cumprod},
    {"last_dim", builtin_dim_query}, {"first_dim", builtin_dim_query},
    {"has_dim", builtin_dim_query}, {"merged", builtin_dim_query}, {"len", builtin_dim_query},
    {"extent", builtin_dim_query},
    {"dynamic", call_elsewhere}, {"ragged", call_elsewhere}, {"webdataset", call_elsewhere},
};

bool sema_is_builtin(const char *name)
{
    for (uint32_t i = 0; i < DFM_LEN(table); i++)
        if (strcmp(table[i].name, name) == 0) return true;
    return false;
}

const char *const *sema_builtin_names(void)
{
    static const char *const names[] = {
        "abs", "sign", "floor", "ceil", "round", "exp", "expm1", "log", "log1p", "sqrt", "rsqrt",
        "recip", "sin", "cos", "tanh", "erf", "sigmoid", "pow", "mod", "select", "max", "min",
        "sum", "mean", "prod", "any", "all", "argmax", "contract", "attend", "conv", "split",
        "merge", "slice", "unstack", "stack", "concat", "rename", "gather", "scatter_add",
        "stop_grad", "normal", "uniform", "randint", "arange", "append", "cumprod", "last_dim",
        "first_dim", "has_dim", "merged", "len", "extent", NULL};
    return names;
}

static sema_value call_cast(builtin_call *c, dfm_dtype dt)
{
    if (!builtin_args(c, 1, 1, NULL, sema_fmt(c->s, "%s(x)", c->name))) return sema_poison();
    return sema_cast(c->s, c->args[0].v, dt, c->loc);
}

sema_value sema_call_builtin(sema *s, const ast_node *call, const char *name)
{
    sema_arg args[SEMA_MAX_ARGS];
    int n = sema_eval_args(s, call, args, SEMA_MAX_ARGS);
    if (n < 0) return sema_poison();
    builtin_call c = {.s = s, .node = call, .name = name, .args = args, .n = (uint32_t)n,
                      .loc = call->loc};
    while (c.n_pos < c.n && !args[c.n_pos].name) c.n_pos++;
    for (uint32_t i = c.n_pos; i < c.n; i++)
        if (!args[i].name) return sema_poison();
    dfm_dtype dt = dfm_dtype_of_name(name);
    if (dt != DFM_DT_NONE) return call_cast(&c, dt);
    for (uint32_t i = 0; i < DFM_LEN(table); i++) {
        if (strcmp(table[i].name, name) != 0) continue;
        sema_value v = table[i].call(&c);
        sema_keep_result(s, name, NULL, &v);
        if (v.kind == SV_TENSOR) v.loc = call->loc;
        return v;
    }
    return sema_poison();
}

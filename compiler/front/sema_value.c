/* sema_value.c - values, and how they become tensors of the current frame.
 *
 * A tensor belongs to the frame whose graph holds it. Used in the body of a repeat, a tensor of an
 * enclosing frame is captured: the body gets an input for it, the scan an operand. Constants and
 * iotas are copied into the body instead, so that they fold there.
 */
#include <math.h>
#include <string.h>

#include "compiler/front/sema.h"

sema_value sema_poison(void) { return (sema_value){.kind = SV_POISON}; }
sema_value sema_int(int64_t i) { return (sema_value){.kind = SV_INT, .u.i = i}; }
sema_value sema_float(double f) { return (sema_value){.kind = SV_FLOAT, .u.f = f}; }
sema_value sema_bool(bool b) { return (sema_value){.kind = SV_BOOL, .u.b = b}; }
sema_value sema_string(const char *t) { return (sema_value){.kind = SV_STRING, .u.s = t}; }

sema_value sema_of_dim(const sema_dim *d)
{
    return d ? (sema_value){.kind = SV_DIM, .u.dim = d} : sema_poison();
}

sema_value sema_tensor(sema *s, ir_val v)
{
    return (sema_value){.kind = SV_TENSOR, .u.t = {v, s->frame}};
}

sema_value sema_tuple(sema *s, const sema_value *p, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (sema_bad(p[i])) return sema_poison();
    sema_value v = {.kind = SV_TUPLE};
    v.u.list.p = dfm_dup(s->arena, p, n * sizeof *p);
    v.u.list.n = n;
    return v;
}

ir_builder *sema_at(sema *s, dfm_loc loc)
{
    s->b.m = s->m;
    s->b.g = s->frame->g;
    s->b.keep = s->keep;
    s->b.loc = sema_user_loc(s, loc);        /* profiles name the user's line, not the library's */
    return &s->b;
}

/* -- frames ------------------------------------------------------------------------------------ */

static ir_val use_in(sema *s, sema_frame *f, ir_val v, sema_frame *home)
{
    if (f == home) return v;
    DFM_ASSERT(f->parent);
    ir_val outer = use_in(s, f->parent, v, home);
    const ir_op op = *ir_op_of(f->parent->g, outer);
    ir_builder b = {.m = s->m, .g = f->g, .loc = op.loc};
    if (op.kind == IR_CONST) return ir_table(&b, op.type, op.at->cst.data);
    if (op.kind == IR_IOTA) return ir_iota(&b, ir_type_of(s->m, op.type)->dims[0]);
    for (uint32_t i = 0; i < f->caps.n; i++)
        if (ir_same(f->caps.p[i].outer, outer)) return f->caps.p[i].inner;
    const char *name = op.name.i ? dfm_name_str(s->m->names, op.name) : NULL;
    sema_capture c = {.outer = outer};
    c.inner = ir_input_new(&b, op.type, IR_ROLE_BODY, f->g->inputs.n, name);
    dfm_push(s->arena, &f->caps, c);
    return c.inner;
}

ir_val sema_use(sema *s, sema_value tensor)
{
    return use_in(s, s->frame, tensor.u.t.v, tensor.u.t.frame);
}

ir_type sema_type_of(sema *s, sema_value tensor)
{
    return ir_type_at(tensor.u.t.frame->g, tensor.u.t.v);
}

dfm_dtype sema_dtype_of(sema *s, sema_value v)
{
    if (v.kind != SV_TENSOR) return DFM_DT_NONE;
    return ir_type_of(s->m, sema_type_of(s, v))->dtype;
}

static ir_val table_value(sema *s, const sema_table *t, dfm_dtype weak, dfm_loc loc)
{
    sema_value iter = {.kind = SV_TENSOR, .u.t = {t->frame->iter, t->frame}};
    ir_val at = sema_use(s, iter);
    ir_dim d = sema_ir_dim(s, t->frame->loop, loc);
    if (weak == DFM_DT_NONE) weak = t->is_int ? DFM_I32 : DFM_F32;
    if (!t->is_int && !dfm_dtype_is_float(weak)) weak = DFM_F32;
    bool identity = t->is_int && weak == DFM_I32;
    for (int64_t i = 0; i < t->n && identity; i++) identity = t->data[i] == (double)i;
    if (identity) return at;
    ir_val table = ir_table(sema_at(s, loc), ir_tensor(s->m, weak, &d, 1), t->data);
    return ir_gather_rows(sema_at(s, loc), table, d, at);
}

ir_val sema_as_val(sema *s, sema_value v, dfm_dtype weak, dfm_loc loc)
{
    double x;
    if (v.kind == SV_POISON) return (ir_val){0};
    if (v.kind == SV_TENSOR) return sema_use(s, v);
    if (v.kind == SV_TABLE) return table_value(s, v.u.tab, weak, loc);
    if (v.kind == SV_BOOL) return ir_scalar(sema_at(s, loc), DFM_BOOL, v.u.b);
    if (sema_is_number(v, &x)) {
        if (weak == DFM_DT_NONE) weak = v.kind == SV_FLOAT ? DFM_F32 : DFM_I32;
        if (v.kind == SV_FLOAT && !dfm_dtype_is_float(weak)) weak = DFM_F32;
        return ir_scalar(sema_at(s, loc), weak, x);
    }
    sema_error(s, E0311, loc, "a number or tensor is needed here, not %s", sema_value_text(s, v));
    return (ir_val){0};
}

/* -- compile-time readings --------------------------------------------------------------------- */

bool sema_is_number(sema_value v, double *out)
{
    switch (v.kind) {
    case SV_INT: return *out = (double)v.u.i, true;
    case SV_FLOAT: return *out = v.u.f, true;
    case SV_DIM: return *out = (double)v.u.dim->value, true;
    default: return false;
    }
}

bool sema_is_int(sema_value v, int64_t *out)
{
    if (v.kind == SV_INT) return *out = v.u.i, true;
    if (v.kind == SV_DIM) return *out = v.u.dim->value, true;
    return false;
}

static bool not_constant(sema *s, sema_value v, dfm_loc loc, const char *what, const char *kind)
{
    if (sema_bad(v)) return false;
    bool runtime = v.kind == SV_TENSOR || v.kind == SV_TABLE;
    diag *d = sema_error(s, E0313, loc, "%s needs %s known at compile time", what, kind);
    diag_label(d, loc, runtime ? "a tensor: %s" : "this is %s", sema_value_text(s, v));
    if (runtime && strcmp(what, "`if`") == 0)
        diag_help(d, "`select(c, a, b)` chooses between values for each element");
    return false;
}

bool sema_need_int(sema *s, sema_value v, dfm_loc loc, const char *what, int64_t *out)
{
    if (sema_is_int(v, out)) return true;
    if (v.kind == SV_FLOAT && v.u.f == floor(v.u.f) && fabs(v.u.f) < 9e15)
        return *out = (int64_t)v.u.f, true;
    return not_constant(s, v, loc, what, "a whole number");
}

bool sema_need_number(sema *s, sema_value v, dfm_loc loc, const char *what, double *out)
{
    if (sema_is_number(v, out)) return true;
    if (v.kind == SV_TENSOR && ir_type_of(s->m, sema_type_of(s, v))->rank == 0) {
        ir_val x = sema_use(s, v);
        const double *p = sema_const_data(s, x);
        if (p) return *out = *p, true;
    }
    return not_constant(s, v, loc, what, "a number");
}

bool sema_need_bool(sema *s, sema_value v, dfm_loc loc, const char *what, bool *out)
{
    if (v.kind == SV_BOOL) return *out = v.u.b, true;
    return not_constant(s, v, loc, what, "`true` or `false`");
}

bool sema_need_string(sema *s, sema_value v, dfm_loc loc, const char *what, const char **out)
{
    if (v.kind == SV_STRING) return *out = v.u.s, true;
    return not_constant(s, v, loc, what, "a string");
}

const sema_dim *sema_need_dim(sema *s, sema_value v, dfm_loc loc, const char *what)
{
    if (v.kind == SV_DIM) return v.u.dim;
    if (v.kind == SV_INT) return sema_dim_int(s, v.u.i);
    if (v.kind == SV_TUPLE && v.u.list.n == 1) return sema_need_dim(s, v.u.list.p[0], loc, what);
    if (sema_bad(v)) return NULL;
    diag *d = sema_error(s, E0311, loc, "%s must be a dim, not %s", what, sema_value_text(s, v));
    if (v.kind == SV_FLOAT)
        diag_help(d, "between dims, `//` rounds down, and `/` must be exact");
    return NULL;
}

int sema_need_dims(sema *s, sema_value v, dfm_loc loc, const char *what, const sema_dim **out,
                   uint32_t cap)
{
    if (v.kind != SV_TUPLE && v.kind != SV_SHAPE) {
        const sema_dim *d = sema_need_dim(s, v, loc, what);
        if (!d) return -1;
        if (cap < 1) goto full;
        out[0] = d;
        return 1;
    }
    uint32_t n = 0;
    for (uint32_t i = 0; i < v.u.list.n; i++) {
        int k = sema_need_dims(s, v.u.list.p[i], loc, what, out + n, cap - n);
        if (k < 0) return -1;
        n += (uint32_t)k;
    }
    return (int)n;
full:
    sema_error(s, E0311, loc, "%s has more than %d dims", what, IR_MAX_RANK);
    return -1;
}

/* -- values made of constants only ------------------------------------------------------------- */

enum { CONST_DEPTH = 200 };

static bool pure_of_constants(const ir_op *op)
{
    switch (op->kind) {
    case IR_MAP: case IR_CAST: case IR_VIEW: case IR_REDUCE: case IR_GATHER: case IR_CONTRACT:
    case IR_STOP_GRAD: case IR_SCATTER_ADD: return true;
    default: return false;
    }
}

static const double *const_data(sema *s, ir_graph *g, ir_val v, const double **memo, int depth)
{
    if (memo[v.i]) return memo[v.i];
    const ir_op op = *ir_op_of(g, v);
    if (op.kind == IR_CONST) return memo[v.i] = op.at->cst.data;
    uint64_t n = ir_elems(s->m, op.type);
    if (n > IR_FOLD_ELEMS || depth > CONST_DEPTH) return NULL;
    if (op.kind == IR_IOTA) {
        double *p = dfm_new_n(s->arena, double, n);
        for (uint64_t i = 0; i < n; i++) p[i] = (double)i;
        return memo[v.i] = p;
    }
    if (!pure_of_constants(&op)) return NULL;
    const double *args[3];
    for (uint32_t k = 0; k < op.n_args; k++) {
        args[k] = const_data(s, g, op.args[k], memo, depth + 1);
        if (!args[k]) return NULL;
    }
    double *out = dfm_new_n(s->arena, double, n);
    ir_eval_op(s->m, g, &op, args, out);
    return memo[v.i] = out;
}

/* Does v depend on constants only? Bounded walk without evaluation. */
static bool only_constants(ir_graph *g, ir_val v, uint8_t *seen, int depth)
{
    if (seen[v.i]) return seen[v.i] == 1;
    const ir_op *op = ir_op_of(g, v);
    bool yes = op->kind == IR_CONST || op->kind == IR_IOTA;
    if (!yes && pure_of_constants(op) && depth < CONST_DEPTH) {
        yes = true;
        for (uint32_t k = 0; k < op->n_args && yes; k++)
            yes = only_constants(g, op->args[k], seen, depth + 1);
    }
    seen[v.i] = yes ? 1 : 2;
    return yes;
}

const double *sema_const_data(sema *s, ir_val v)
{
    ir_graph *g = s->frame->g;
    const ir_const *c = ir_const_of(g, v);
    if (c) return c->data;
    dfm_arena *tmp = s->scratch;
    dfm_arena_reset(tmp);
    uint8_t *seen = dfm_new_n(tmp, uint8_t, g->ops.n);
    if (!only_constants(g, v, seen, 0)) return NULL;
    return const_data(s, g, v, dfm_new_n(tmp, const double *, g->ops.n), 0);
}

ir_val sema_fold(sema *s, ir_val v)
{
    if (ir_const_of(s->frame->g, v)) return v;
    const double *p = sema_const_data(s, v);
    if (!p) return v;
    dfm_loc loc = ir_op_of(s->frame->g, v)->loc;
    return ir_table(sema_at(s, loc), ir_type_at(s->frame->g, v), p);
}

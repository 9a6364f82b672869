/* sema_builtin_const.c - compile-time builtins: tables, and questions about dims. */
#include <string.h>

#include "compiler/front/sema_builtin.h"

static sema_value table_over(builtin_call *c, const sema_dim *d, dfm_dtype dt, const double *data)
{
    sema *s = c->s;
    ir_dim id = sema_ir_dim(s, d, c->loc);
    if (!id.i) return sema_poison();
    return builtin_result(c, ir_table(sema_at(s, c->loc), ir_tensor(s->m, dt, &id, 1), data));
}

/* The data and type of argument 0, a constant of rank 1. NULL after reporting. */
static const double *table_of(builtin_call *c, ir_type *out_type)
{
    sema *s = c->s;
    ir_val x = builtin_val(c, 0);
    if (!x.i) return NULL;
    *out_type = ir_type_at(s->frame->g, x);
    const double *p = sema_const_data(s, x);
    if (p && ir_type_of(s->m, *out_type)->rank == 1) return p;
    diag *d = sema_error(s, E0313, c->loc,
                         "`%s` works on a table known at compile time, of one dim", c->name);
    diag_label(d, c->args[0].loc, "%s", sema_ir_type_text(s, *out_type));
    return NULL;
}

sema_value builtin_arange(builtin_call *c)
{
    if (!builtin_args(c, 1, 1, NULL, "arange(n) is 0, 1, ... n - 1")) return sema_poison();
    const sema_dim *d = sema_need_dim(c->s, c->args[0].v, c->args[0].loc, "the length of `arange`");
    if (!d) return sema_poison();
    if (d->value > IR_FOLD_ELEMS) {
        sema_error(c->s, E0310, c->loc, "a table has at most %d elements", IR_FOLD_ELEMS);
        return sema_poison();
    }
    double *data = dfm_new_n(c->s->arena, double, d->value > 0 ? d->value : 1);
    for (int64_t i = 0; i < d->value; i++) data[i] = (double)i;
    return table_over(c, d, DFM_I32, data);
}

sema_value builtin_append(builtin_call *c)
{
    sema *s = c->s;
    ir_type t;
    double last;
    if (!builtin_args(c, 2, 2, NULL, "append(table, x): the table and one more element"))
        return sema_poison();
    const double *p = table_of(c, &t);
    if (!p || !sema_need_number(s, c->args[1].v, c->args[1].loc, "the element appended", &last))
        return sema_poison();
    const ir_type_info *ti = ir_type_of(s->m, t);
    uint64_t n = ir_elems(s->m, t);
    double *data = dfm_new_n(s->arena, double, n + 1);
    memcpy(data, p, n * sizeof *data);
    data[n] = last;
    const sema_dim *d = sema_dim_binary(s, AST_OP_ADD, sema_dim_of(s, ti->dims[0]),
                                        sema_dim_int(s, 1), c->loc);
    return d ? table_over(c, d, ti->dtype, data) : sema_poison();
}

sema_value builtin_cumprod(builtin_call *c)
{
    sema *s = c->s;
    ir_type t;
    if (!builtin_args(c, 1, 1, NULL, "cumprod(table): products of the elements up to each"))
        return sema_poison();
    const double *p = table_of(c, &t);
    if (!p) return sema_poison();
    uint64_t n = ir_elems(s->m, t);
    double *data = dfm_new_n(s->arena, double, n);
    for (uint64_t i = 0; i < n; i++) data[i] = i ? data[i - 1] * p[i] : p[i];
    return builtin_result(c, ir_table(sema_at(s, c->loc), t, data));
}

static sema_value end_dim(builtin_call *c, bool last)
{
    sema *s = c->s;
    if (!builtin_args(c, 1, 1, NULL, "last_dim(x), first_dim(x): a dim of a tensor"))
        return sema_poison();
    sema_value x = c->args[0].v;
    if (x.kind == SV_TENSOR) {
        const ir_type_info *ti = ir_type_of(s->m, sema_type_of(s, x));
        if (ti->rank) return sema_of_dim(sema_dim_of(s, ti->dims[last ? ti->rank - 1 : 0]));
    }
    sema_error(s, E0311, c->args[0].loc, "`%s` needs a tensor with dims, not %s", c->name,
               sema_value_text(s, x));
    return sema_poison();
}

static sema_value has_dim(builtin_call *c)
{
    sema *s = c->s;
    const sema_dim *dims[IR_MAX_RANK];
    if (!builtin_args(c, 2, 2, NULL, "has_dim(x, D)")) return sema_poison();
    int n = builtin_dims(c, 1, dims);
    if (n < 0) return sema_poison();
    bool yes = c->args[0].v.kind == SV_TENSOR;
    for (int i = 0; yes && i < n; i++)
        yes = dims[i]->ir.i && ir_dim_at(s->m, sema_type_of(s, c->args[0].v), dims[i]->ir) >= 0;
    return sema_bool(yes);
}

static sema_value merged(builtin_call *c)
{
    sema *s = c->s;
    const sema_dim *dims[IR_MAX_RANK];
    uint32_t n = 0;
    if (!builtin_args(c, 1, IR_MAX_FACTORS, NULL, "merged(Gy, Gx): the dim made of these"))
        return sema_poison();
    for (uint32_t i = 0; i < c->n_pos; i++) {
        const sema_dim *part[IR_MAX_RANK];
        int k = builtin_dims(c, i, part);
        if (k < 0 || n + (uint32_t)k > IR_MAX_RANK) return sema_poison();
        memcpy(dims + n, part, (size_t)k * sizeof *part);
        n += (uint32_t)k;
    }
    const sema_dim *d = sema_dim_merged(s, dims, n);
    if (d) return sema_of_dim(d);
    diag *e = sema_error(s, E0315, c->loc, "no dim is made of these factors, in this order");
    diag_help(e, "`merge(x, (...) -> S)` or a declaration `dim S = Gy * Gx` makes one");
    return sema_poison();
}

sema_value builtin_dim_query(builtin_call *c)
{
    sema *s = c->s;
    if (strcmp(c->name, "last_dim") == 0) return end_dim(c, true);
    if (strcmp(c->name, "first_dim") == 0) return end_dim(c, false);
    if (strcmp(c->name, "has_dim") == 0) return has_dim(c);
    if (strcmp(c->name, "merged") == 0) return merged(c);
    if (!builtin_args(c, 1, 1, NULL, sema_fmt(s, "%s(x)", c->name))) return sema_poison();
    sema_value x = c->args[0].v;
    if (strcmp(c->name, "len") == 0) {
        if (x.kind == SV_TUPLE || x.kind == SV_SHAPE) return sema_int(x.u.list.n);
        if (x.kind == SV_DIM) return sema_int(1);
        sema_error(s, E0311, c->args[0].loc, "`len` needs a tuple or a group of dims, not %s",
                   sema_value_text(s, x));
        return sema_poison();
    }
    int64_t n;
    if (!sema_need_int(s, x, c->args[0].loc, "`extent`", &n)) return sema_poison();
    return sema_int(n);
}

/* sema_builtin_view.c - builtins that only move elements: split merge slice rename unstack stack
 * concat. All but the last two are one view. */
#include <string.h>

#include "compiler/front/sema_builtin.h"

typedef struct mapping {           /* one argument of the form a -> b */
    const sema_dim *from[IR_MAX_RANK], *to[IR_MAX_RANK];
    int n_from, n_to;
    dfm_loc loc;
} mapping;

static bool read_mapping(builtin_call *c, uint32_t i, mapping *m)
{
    sema *s = c->s;
    sema_value v = c->args[i].v;
    m->loc = c->args[i].loc;
    if (v.kind != SV_ARROW) {
        sema_error(s, E0407, m->loc, "argument %u of `%s` is of the form `A -> B`", i + 1, c->name);
        return false;
    }
    const char *what = sema_fmt(s, "a side of the arrow in `%s`", c->name);
    m->n_from = sema_need_dims(s, v.u.pair[0], m->loc, what, m->from, IR_MAX_RANK);
    if (m->n_from < 0) return false;
    m->n_to = sema_need_dims(s, v.u.pair[1], m->loc, what, m->to, IR_MAX_RANK);
    return m->n_to > 0 && m->n_from > 0;
}

typedef ir_val apply_mapping(builtin_call *c, ir_val x, const mapping *m);

/* f(x, A -> B, ...): one after the other. */
static sema_value each_mapping(builtin_call *c, const char *usage, apply_mapping *one)
{
    mapping m;
    if (!builtin_args(c, 2, 1 + IR_MAX_RANK, NULL, usage)) return sema_poison();
    ir_val x = builtin_val(c, 0);
    for (uint32_t i = 1; i < c->n_pos && x.i; i++)
        x = read_mapping(c, i, &m) ? one(c, x, &m) : (ir_val){0};
    return builtin_result(c, x);
}

/* The view of x with these dims, read at coords (one for each dim of x). */
static ir_val rearranged(builtin_call *c, ir_val x, const ir_dim *dims, uint32_t n, ir_ix *coords)
{
    sema *s = c->s;
    dfm_dtype dt = ir_type_of(s->m, ir_type_at(s->frame->g, x))->dtype;
    return ir_view_of(sema_at(s, c->loc), x, ir_tensor(s->m, dt, dims, n), coords, NULL, 0, 0);
}

static bool one_dim(builtin_call *c, int n, dfm_loc loc, const char *side)
{
    if (n == 1) return true;
    sema_error(c->s, E0407, loc, "`%s` has one dim on the %s of the arrow", c->name, side);
    return false;
}

static bool product_equals(builtin_call *c, const sema_dim *whole, const sema_dim *const *parts,
                           int n, dfm_loc loc)
{
    sema *s = c->s;
    const sema_dim *p = parts[0];
    for (int i = 1; i < n && p; i++) p = sema_dim_binary(s, AST_OP_MUL, p, parts[i], loc);
    if (!p) return false;
    if (sema_dim_equal(s, whole, p)) return true;
    /* by value, as the last resort: division that a `require` has not made exact */
    bool by_value = whole->value == p->value;
    if (by_value && (whole->fixed && p->fixed)) return true;
    dfm_sb sb = dfm_sb_make(s->arena);
    for (int i = 0; i < n; i++)
        dfm_sb_printf(&sb, "%s%s", i ? " * " : "", sema_dim_text(s, parts[i]));
    const char *whole_text = sema_dim_text(s, whole), *product = dfm_sb_cstr(&sb);
    diag *d = sema_error(s, E0315, loc, "`%s`: `%s` is not known to be `%s`", c->name, whole_text,
                         product);
    diag_note(d, "%s = %lld, %s = %lld", whole_text, (long long)whole->value, product,
              (long long)p->value);
    bool floor = n == 2 && parts[1]->value > 0 && whole->value / parts[1]->value == parts[0]->value;
    if (by_value || floor)
        diag_help(d,
                  by_value
                      ? "it holds for these values; `require %s %% %s == 0` makes it hold always"
                      : "`require %s %% %s == 0`, so that nothing is left over",
                  whole_text, sema_dim_text(s, parts[n - 1]));
    return false;
}

/* -- split ------------------------------------------------------------------------------------- */

static ir_val split_one(builtin_call *c, ir_val x, const mapping *m)
{
    sema *s = c->s;
    if (!one_dim(c, m->n_from, m->loc, "left")) return (ir_val){0};
    const sema_dim *d = m->from[0];
    if (!builtin_has_dim(c, x, d, m->loc)) return (ir_val){0};
    if (!product_equals(c, d, m->to, m->n_to, m->loc)) return (ir_val){0};
    ir_dim parts[IR_MAX_RANK];
    for (int i = 0; i < m->n_to; i++) {
        if (m->to[i] != d && !builtin_new_dim(c, x, m->to[i], m->loc)) return (ir_val){0};
        parts[i] = sema_ir_dim(s, m->to[i], m->loc);
        for (int k = 0; k < i; k++)
            if (ir_dim_same(parts[k], parts[i])) {
                sema_error(s, E0314, m->loc, "`split`: dim `%s` stands twice in the group",
                           sema_dim_text(s, m->to[i]));
                return (ir_val){0};
            }
    }
    if (m->n_to > 1 &&
        !sema_dim_factors(s, d, m->to, (uint32_t)m->n_to, m->loc)) return (ir_val){0};
    const ir_type_info ti = *ir_type_of(s->m, ir_type_at(s->frame->g, x));
    ir_dim dims[2 * IR_MAX_RANK];
    ir_ix coords[IR_MAX_RANK];
    uint32_t n = 0;
    if (ti.rank + m->n_to - 1 > IR_MAX_RANK) {
        sema_error(s, E0311, m->loc, "a tensor has at most %d dims", IR_MAX_RANK);
        return (ir_val){0};
    }
    for (uint32_t i = 0; i < ti.rank; i++) {
        if (!ir_dim_same(ti.dims[i], d->ir)) {
            coords[i] = ir_ix_var(s->m, ti.dims[i]);
            dims[n++] = ti.dims[i];
            continue;
        }
        ir_ix at = ir_ix_const(s->m, 0);
        for (int k = 0; k < m->n_to; k++) {
            at = ir_ix_add(s->m, ir_ix_mul(s->m, at, ir_extent(s->m, parts[k])),
                           ir_ix_var(s->m, parts[k]));
            dims[n++] = parts[k];
        }
        coords[i] = at;
    }
    return rearranged(c, x, dims, n, coords);
}

sema_value builtin_split(builtin_call *c)
{
    return each_mapping(c, "split(x, Y -> (Gy, Py), ...)", split_one);
}

/* -- merge ------------------------------------------------------------------------------------- */

static ir_val merge_one(builtin_call *c, ir_val x, const mapping *m)
{
    sema *s = c->s;
    if (!one_dim(c, m->n_to, m->loc, "right")) return (ir_val){0};
    const sema_dim *d = m->to[0];
    for (int i = 0; i < m->n_from; i++)
        if (!builtin_has_dim(c, x, m->from[i], m->loc)) return (ir_val){0};
    if (!product_equals(c, d, m->from, m->n_from, m->loc)) return (ir_val){0};
    bool again = false;
    for (int i = 0; i < m->n_from; i++) again |= m->from[i] == d;
    if (!again && !builtin_new_dim(c, x, d, m->loc)) return (ir_val){0};
    if (m->n_from > 1 &&
        !sema_dim_factors(s, d, m->from, (uint32_t)m->n_from, m->loc)) return (ir_val){0};
    const ir_type_info ti = *ir_type_of(s->m, ir_type_at(s->frame->g, x));
    ir_dim dims[IR_MAX_RANK];
    ir_ix coords[IR_MAX_RANK];
    uint32_t n = 0;
    bool placed = false;
    for (uint32_t i = 0; i < ti.rank; i++) {
        int at = -1;
        int64_t stride = 1;
        for (int k = 0; k < m->n_from; k++)
            if (ir_dim_same(m->from[k]->ir, ti.dims[i])) at = k;
        if (at < 0) {
            coords[i] = ir_ix_var(s->m, ti.dims[i]);
            dims[n++] = ti.dims[i];
            continue;
        }
        for (int k = at + 1; k < m->n_from; k++) stride *= m->from[k]->value;
        ir_ix e = ir_ix_div(s->m, ir_ix_var(s->m, d->ir), stride);
        coords[i] = at == 0 ? e : ir_ix_mod(s->m, e, m->from[at]->value);
        if (!placed) dims[n++] = d->ir;
        placed = true;
    }
    return rearranged(c, x, dims, n, coords);
}

sema_value builtin_merge(builtin_call *c)
{
    return each_mapping(c, "merge(x, (Gy, Gx) -> S, ...)", merge_one);
}

/* -- slice, rename ----------------------------------------------------------------------------- */

/* x with dim `from` read at from = to + offset. */
static ir_val shifted(builtin_call *c, ir_val x, const sema_dim *from, const sema_dim *to,
                      int64_t offset)
{
    sema *s = c->s;
    ir_type_info ti = *ir_type_of(s->m, ir_type_at(s->frame->g, x));
    ir_ix coords[IR_MAX_RANK];
    for (uint32_t i = 0; i < ti.rank; i++) {
        bool here = ir_dim_same(ti.dims[i], from->ir);
        if (here) ti.dims[i] = to->ir;
        coords[i] = ir_ix_var(s->m, ti.dims[i]);
        if (here) coords[i] = ir_ix_add(s->m, coords[i], ir_ix_const(s->m, offset));
    }
    return rearranged(c, x, ti.dims, ti.rank, coords);
}

static bool pair_of_dims(builtin_call *c, ir_val x, const mapping *m)
{
    if (!one_dim(c, m->n_from, m->loc, "left") || !one_dim(c, m->n_to, m->loc, "right"))
        return false;
    if (!builtin_has_dim(c, x, m->from[0], m->loc)) return false;
    return m->from[0] == m->to[0] || builtin_new_dim(c, x, m->to[0], m->loc);
}

sema_value builtin_slice(builtin_call *c)
{
    sema *s = c->s;
    mapping m;
    int64_t lo, hi;
    if (!builtin_args(c, 3, 3, NULL, "slice(x, D -> D2, lo..hi): elements lo to hi - 1"))
        return sema_poison();
    ir_val x = builtin_val(c, 0);
    if (!x.i || !read_mapping(c, 1, &m) || !pair_of_dims(c, x, &m)) return sema_poison();
    sema_value r = c->args[2].v;
    if (r.kind != SV_RANGE) {
        sema_error(s, E0407, c->args[2].loc, "the third argument of `slice` is a range `lo..hi`");
        return sema_poison();
    }
    if (!sema_need_int(s, r.u.pair[0], c->args[2].loc, "the start of a slice", &lo) ||
        !sema_need_int(s, r.u.pair[1], c->args[2].loc, "the end of a slice", &hi))
        return sema_poison();
    const sema_dim *from = m.from[0], *to = m.to[0];
    if (lo < 0 || hi > from->value || lo >= hi) {
        sema_error(s, E0318, c->args[2].loc, "%lld..%lld is not inside dim `%s`, which has %lld",
                   (long long)lo, (long long)hi, sema_dim_text(s, from), (long long)from->value);
        return sema_poison();
    }
    if (hi - lo != to->value) {
        diag *d = sema_error(s, E0315, c->args[2].loc, "the range has %lld elements, dim `%s` has "
                             "%lld", (long long)(hi - lo), sema_dim_text(s, to),
                             (long long)to->value);
        diag_label(d, m.loc, "this dim");
        return sema_poison();
    }
    return builtin_result(c, shifted(c, x, from, to, lo));
}

static ir_val rename_one(builtin_call *c, ir_val x, const mapping *m)
{
    sema *s = c->s;
    if (!pair_of_dims(c, x, m)) return (ir_val){0};
    const sema_dim *from = m->from[0], *to = m->to[0];
    if (sema_dim_equal(s, from, to)) return shifted(c, x, from, to, 0);
    diag *d = sema_error(s, E0315, m->loc, "`rename` keeps the extent");
    diag_note(d, "%s = %lld, %s = %lld", sema_dim_text(s, from), (long long)from->value,
              sema_dim_text(s, to), (long long)to->value);
    return (ir_val){0};
}

sema_value builtin_rename(builtin_call *c)
{
    return each_mapping(c, "rename(x, F -> D, ...)", rename_one);
}

/* -- unstack, stack, concat -------------------------------------------------------------------- */

enum { MAX_UNSTACK = 1024 };

sema_value builtin_unstack(builtin_call *c)
{
    sema *s = c->s;
    const sema_dim *d[IR_MAX_RANK];
    if (!builtin_args(c, 2, 2, NULL, "a, b, c = unstack(x, M3)")) return sema_poison();
    ir_val x = builtin_val(c, 0);
    int k = x.i ? builtin_dims(c, 1, d) : -1;
    if (k != 1 || !builtin_has_dim(c, x, d[0], c->args[1].loc)) {
        if (k > 1) sema_error(s, E0407, c->args[1].loc, "`unstack` takes one dim apart");
        return sema_poison();
    }
    if (d[0]->value > MAX_UNSTACK) {
        sema_error(s, E0310, c->args[1].loc, "`unstack` makes at most %d values", MAX_UNSTACK);
        return sema_poison();
    }
    ir_type t = ir_type_at(s->frame->g, x), to = ir_without_dims(s->m, t, &d[0]->ir, 1);
    const ir_type_info ti = *ir_type_of(s->m, t);
    sema_value *items = dfm_new_n(s->arena, sema_value, d[0]->value);
    for (int64_t i = 0; i < d[0]->value; i++) {
        ir_ix coords[IR_MAX_RANK];
        for (uint32_t r = 0; r < ti.rank; r++)
            coords[r] = ir_dim_same(ti.dims[r], d[0]->ir) ? ir_ix_const(s->m, i)
                                                           : ir_ix_var(s->m, ti.dims[r]);
        items[i] = builtin_result(c, ir_view_of(sema_at(s, c->loc), x, to, coords, NULL, 0, 0));
    }
    return sema_tuple(s, items, (uint32_t)d[0]->value);
}

/* Arguments 0..n-1 (or the tuple that argument 0 is) with one element type. */
static int pieces(builtin_call *c, uint32_t n, ir_val *out, uint32_t cap)
{
    sema *s = c->s;
    sema_value list = c->args[0].v;
    bool tuple = n == 1 && list.kind == SV_TUPLE;
    uint32_t count = tuple ? list.u.list.n : n;
    bool all_same = true;
    if (count > cap) {
        sema_error(s, E0407, c->loc, "`%s` joins at most %u values", c->name, cap);
        return -1;
    }
    for (uint32_t i = 0; i < count; i++) {
        out[i] = sema_as_val(s, tuple ? list.u.list.p[i] : c->args[i].v, s->act->compute,
                             c->args[tuple ? 0 : i].loc);
        if (!out[i].i) return -1;
        all_same &= ir_type_of(s->m, ir_type_at(s->frame->g, out[i]))->dtype ==
                    ir_type_of(s->m, ir_type_at(s->frame->g, out[0]))->dtype;
    }
    for (uint32_t i = 0; i < count && !all_same; i++) {
        dfm_dtype dt = ir_type_of(s->m, ir_type_at(s->frame->g, out[i]))->dtype;
        if (dt == DFM_BOOL) {
            sema_error(s, E0312, c->loc, "`%s` joins numbers, or conditions, not a mix", c->name);
            return -1;
        }
        out[i] = ir_cast(sema_at(s, c->loc), out[i], DFM_F32);
    }
    return (int)count;
}

sema_value builtin_stack(builtin_call *c)
{
    sema *s = c->s;
    ir_val x[SEMA_MAX_ARGS];
    if (!builtin_args(c, 2, SEMA_MAX_ARGS, NULL, "stack(a, b, c, M3): along a new dim"))
        return sema_poison();
    uint32_t last = c->n_pos - 1;
    const sema_dim *d = sema_need_dim(s, c->args[last].v, c->args[last].loc,
                                      "the last argument of `stack`");
    int n = d ? pieces(c, last, x, SEMA_MAX_ARGS) : -1;
    if (n < 1) return sema_poison();
    if (d->value != n) {
        sema_error(s, E0315, c->loc, "%d values are stacked along dim `%s`, which has %lld", n,
                   sema_dim_text(s, d), (long long)d->value);
        return sema_poison();
    }
    ir_type t = ir_type_at(s->frame->g, x[0]);
    dfm_dtype dt = ir_type_of(s->m, t)->dtype;
    for (int i = 0; i < n; i++) {
        if (!builtin_new_dim(c, x[i], d, c->args[last].loc)) return sema_poison();
        t = ir_union(s->m, dt, t, ir_type_at(s->frame->g, x[i]));
    }
    for (int i = 0; i < n; i++)
        if (ir_type_at(s->frame->g, x[i]).i != t.i)
            x[i] = ir_broadcast(sema_at(s, c->loc), x[i], t);
    return builtin_result(c, ir_stack(sema_at(s, c->loc), x, (uint32_t)n, d->ir));
}

sema_value builtin_concat(builtin_call *c)
{
    sema *s = c->s;
    ir_val x[SEMA_MAX_ARGS];
    mapping m;
    ir_dim in[SEMA_MAX_ARGS];
    const char *usage = "concat(a, b, (Da, Db) -> D), or D1 -> D where all pieces have D1";
    if (!builtin_args(c, 2, SEMA_MAX_ARGS, NULL, usage)) return sema_poison();
    uint32_t last = c->n_pos - 1;
    int n = read_mapping(c, last, &m) ? pieces(c, last, x, IR_MAX_RANK) : -1;
    if (n < 1 || !one_dim(c, m.n_to, m.loc, "right")) return sema_poison();
    if (m.n_from != n && m.n_from != 1) {
        sema_error(s, E0407, m.loc, "%d values are joined, and %d dims are named", n, m.n_from);
        return sema_poison();
    }
    int64_t sum = 0;
    ir_type rest = {0};
    for (int i = 0; i < n; i++) {
        const sema_dim *d = m.from[m.n_from == 1 ? 0 : i];
        if (!builtin_has_dim(c, x[i], d, m.loc)) return sema_poison();
        if (d != m.to[0] && !builtin_new_dim(c, x[i], m.to[0], m.loc)) return sema_poison();
        in[i] = d->ir;
        sum += d->value;
        ir_type t = ir_without_dims(s->m, ir_type_at(s->frame->g, x[i]), &in[i], 1);
        rest = i ? ir_union(s->m, ir_type_of(s->m, t)->dtype, rest, t) : t;
    }
    if (sum != m.to[0]->value) {
        sema_error(s, E0315, m.loc, "the pieces have %lld elements, dim `%s` has %lld",
                   (long long)sum, sema_dim_text(s, m.to[0]), (long long)m.to[0]->value);
        return sema_poison();
    }
    const ir_type_info r = *ir_type_of(s->m, rest);
    for (int i = 0; i < n; i++) {                 /* the joined dim goes where the first has it */
        int at = ir_dim_at(s->m, ir_type_at(s->frame->g, x[0]), in[0]);
        ir_dim dims[IR_MAX_RANK];
        uint32_t k = 0;
        if (at > r.rank) at = r.rank;
        for (uint32_t j = 0; j <= r.rank; j++) {
            if ((int)j == at) dims[k++] = in[i];
            if (j < r.rank) dims[k++] = r.dims[j];
        }
        ir_type t = ir_tensor(s->m, r.dtype, dims, k);
        if (ir_type_at(s->frame->g, x[i]).i != t.i)
            x[i] = ir_broadcast(sema_at(s, c->loc), x[i], t);
    }
    return builtin_result(c, ir_concat(sema_at(s, c->loc), x, (uint32_t)n, m.to[0]->ir, in));
}

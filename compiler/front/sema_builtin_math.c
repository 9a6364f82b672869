/* sema_builtin_math.c - builtins with an op of their own: contract attend conv gather scatter_add,
 * and draws. Operands of contract, attend and conv are rounded to the compute type. */
#include <math.h>
#include <string.h>

#include "compiler/front/sema_builtin.h"
#include "runtime/base/hash.h"

static ir_type type_of(builtin_call *c, ir_val v) { return ir_type_at(c->s->frame->g, v); }

static ir_val rounded(builtin_call *c, ir_val v, dfm_loc loc)
{
    sema *s = c->s;
    dfm_dtype from = ir_type_of(s->m, type_of(c, v))->dtype;
    if (from != DFM_BOOL) return ir_cast(sema_at(s, c->loc), v, s->act->compute);
    sema_error(s, E0312, loc, "`%s` takes numbers, and this is bool", c->name);
    return (ir_val){0};
}

/* -- contract ---------------------------------------------------------------------------------- */

/* The dim of t that d is paired with: an alias of d if there is one, else d. */
static ir_dim partner(sema *s, ir_type t, ir_dim d)
{
    const ir_type_info *ti = ir_type_of(s->m, t);
    for (uint32_t i = ti->rank; i-- > 0;)
        if (ir_dim_same(s->m->dims.p[ti->dims[i].i].alias_of, d)) return ti->dims[i];
    return ir_dim_at(s->m, t, d) >= 0 ? d : (ir_dim){0};
}

static ir_val contract_over(builtin_call *c, ir_val a, ir_val b, const sema_dim *const *dims,
                            uint32_t n, const dfm_loc *locs)
{
    sema *s = c->s;
    ir_pair pairs[IR_MAX_RANK];
    for (uint32_t i = 0; i < n; i++) {
        ir_dim d = dims[i]->ir, other = d.i ? partner(s, type_of(c, b), d) : d;
        if (d.i && ir_dim_at(s->m, type_of(c, a), d) >= 0 && other.i) {
            pairs[i] = (ir_pair){d, other};
            continue;
        }
        diag *e = sema_error(s, E0316, locs[i], "`%s` sums over `%s`, which one operand lacks",
                             c->name, sema_dim_text(s, dims[i]));
        diag_label(e, c->args[0].loc, "%s", sema_ir_type_text(s, type_of(c, a)));
        diag_label(e, c->args[1].loc, "%s", sema_ir_type_text(s, type_of(c, b)));
        return (ir_val){0};
    }
    ir_type t = ir_contract_type(s->m, type_of(c, a), type_of(c, b), pairs, n, s->act->compute);
    return ir_contract_over(sema_at(s, c->loc), a, b, pairs, n, t);
}

sema_value builtin_contract(builtin_call *c)
{
    const sema_dim *dims[2 * IR_MAX_RANK];
    dfm_loc locs[IR_MAX_RANK];
    uint32_t n = 0;
    if (!builtin_args(c, 3, 2 + IR_MAX_RANK, NULL, "contract(a, b, D, ...): sum over D of a * b"))
        return sema_poison();
    ir_val a = builtin_val(c, 0), b = builtin_val(c, 1);
    if (a.i) a = rounded(c, a, c->args[0].loc);
    if (b.i) b = rounded(c, b, c->args[1].loc);
    if (!a.i || !b.i) return sema_poison();
    for (uint32_t i = 2; i < c->n_pos; i++) {
        int k = builtin_dims(c, i, dims + n);
        if (k < 0) return sema_poison();
        if (n + (uint32_t)k > IR_MAX_RANK) {
            sema_error(c->s, E0311, c->loc, "`contract` sums over at most %d dims", IR_MAX_RANK);
            return sema_poison();
        }
        for (int j = 0; j < k; j++) locs[n++] = c->args[i].loc;
    }
    return builtin_result(c, contract_over(c, a, b, dims, n, locs));
}

/* -- attend ------------------------------------------------------------------------------------ */

static const char *const attend_names[] = {"seq", "over", "within", "window", "causal", "mask",
                                           "scale", NULL};

typedef struct attention {
    ir_val x[3], mask;             /* q, k, v */
    const sema_dim *seq, *over, *within;
    ir_attend at;
} attention;

static ir_dim last_dim(sema *s, ir_type t)
{
    const ir_type_info *ti = ir_type_of(s->m, t);
    return ti->dims[ti->rank - 1];
}

static const sema_dim *dim_arg(builtin_call *c, const char *name)
{
    const sema_arg *a = builtin_named(c, name);
    return a ? sema_need_dim(c->s, a->v, a->loc, sema_fmt(c->s, "`%s` of `attend`", name)) : NULL;
}

static bool attend_options(builtin_call *c, attention *t)
{
    sema *s = c->s;
    const sema_arg *a;
    if ((a = builtin_named(c, "causal")) &&
        !sema_need_bool(s, a->v, a->loc, "`causal`", &t->at.causal)) return false;
    if ((a = builtin_named(c, "window")) &&
        !sema_need_int(s, a->v, a->loc, "`window`", &t->at.window)) return false;
    t->at.scale = 1 / sqrt((double)ir_extent(s->m, t->at.feature));
    if ((a = builtin_named(c, "scale")) &&
        !sema_need_number(s, a->v, a->loc, "`scale`", &t->at.scale)) return false;
    if (t->at.window < 0) {
        sema_error(s, E0313, c->loc, "`window` is a distance, 0 or more");
        return false;
    }
    return true;
}

static bool attend_roles(builtin_call *c, attention *t)
{
    sema *s = c->s;
    t->seq = dim_arg(c, "seq");
    t->over = dim_arg(c, "over");
    t->within = dim_arg(c, "within");
    if (!t->seq) {
        if (!builtin_named(c, "seq"))
            sema_error(s, E0407, c->loc, "`attend` needs `seq=`, the dim of the queries' tokens");
        return false;
    }
    if (!t->over) t->over = t->seq;
    for (int i = 0; i < 3; i++) {
        const sema_dim *d = i ? t->over : t->seq;
        ir_type ty = type_of(c, t->x[i]);
        bool ok = d->ir.i && ir_dim_at(s->m, ty, d->ir) >= 0;
        if (ok && !ir_dim_same(last_dim(s, ty), d->ir)) continue;
        diag *e = sema_error(s, E0316, c->args[i].loc, ok ? "`attend`: `%s` is the last dim, which "
                             "is the feature dim" : "`attend`: the %s has no dim `%s`",
                             ok ? sema_dim_text(s, d) : i == 0 ? "query" : i == 1 ? "key" : "value",
                             sema_dim_text(s, d));
        diag_label(e, c->args[i].loc, "%s", sema_ir_type_text(s, ty));
        return false;
    }
    if (t->within && t->seq->ragged_over != t->within) {
        sema_error(s, E0311, builtin_named(c, "within")->loc, "`within` names the dim that `%s` is "
                   "ragged over", sema_dim_text(s, t->seq));
        return false;
    }
    t->at.seq = t->seq->ir;
    t->at.over = t->over->ir;
    t->at.feature = last_dim(s, type_of(c, t->x[0]));
    t->at.value = last_dim(s, type_of(c, t->x[2]));
    if (ir_dim_same(t->at.value, t->at.seq)) {
        sema_error(s, E0305, c->args[2].loc, "`attend`: the value's features lie along `%s`, the "
                   "dim of the queries' tokens", sema_dim_text(s, t->seq));
        return false;
    }
    ir_type k = type_of(c, t->x[1]);
    if (ir_dim_same(last_dim(s, k), t->at.feature)) return true;
    diag *e =
        sema_error(s, E0304, c->loc, "the last dims of query and key do not meet in `attend`");
    diag_label(e, c->args[0].loc, "%s", sema_ir_type_text(s, type_of(c, t->x[0])));
    diag_label(e, c->args[1].loc, "%s", sema_ir_type_text(s, k));
    return false;
}

/* Batch dims: the union over the operands, each broadcast to it. */
static bool attend_batch(builtin_call *c, attention *t)
{
    sema *s = c->s;
    ir_dim batch[3 * IR_MAX_RANK];
    uint32_t n = 0;
    for (int i = 0; i < 3; i++) {
        const ir_type_info *ti = ir_type_of(s->m, type_of(c, t->x[i]));
        for (uint32_t k = 0; k < ti->rank; k++) {
            ir_dim own[4] = {i ? t->at.over : t->at.seq, i == 2 ? t->at.value : t->at.feature};
            bool skip = ir_dim_same(ti->dims[k], own[0]) || ir_dim_same(ti->dims[k], own[1]);
            for (uint32_t j = 0; j < n; j++) skip |= ir_dim_same(batch[j], ti->dims[k]);
            if (!skip) batch[n++] = ti->dims[k];
        }
    }
    int longer = 0;
    for (uint32_t j = 0; j < n; j++) longer += ir_extent(s->m, batch[j]) > 1;
    if (longer > IR_ATTEND_BATCH) {
        diag *d = sema_error(s, E0310, c->loc, "`attend` over %d batch dims, and %d are the most",
                             longer, IR_ATTEND_BATCH);
        diag_help(d, "merge some of them before, and split the result: merge(x, (A, B) -> AB)");
        return false;
    }
    for (int i = 0; i < 3; i++) {
        const ir_type_info ti = *ir_type_of(s->m, type_of(c, t->x[i]));
        ir_dim dims[4 * IR_MAX_RANK];
        uint32_t rank = 0;
        for (uint32_t j = 0; j < n; j++) {
            bool clash = ir_dim_same(batch[j], t->at.seq) || ir_dim_same(batch[j], t->at.over) ||
                         ir_dim_same(batch[j], t->at.feature) ||
                         ir_dim_same(batch[j], t->at.value);
            if (clash) {
                sema_error(s, E0305, c->loc,
                           "`attend`: dim `%s` has a role in one operand and is a "
                           "batch dim in another",
                           sema_dim_text(s, sema_dim_of(s, batch[j])));
                return false;
            }
            if (ir_dim_at(s->m, type_of(c, t->x[i]), batch[j]) < 0) dims[rank++] = batch[j];
        }
        if (!rank) continue;
        for (uint32_t k = 0; k < ti.rank; k++) dims[rank++] = ti.dims[k];
        if (rank > IR_MAX_RANK) {
            sema_error(s, E0310, c->loc, "`attend` over more than %d dims", IR_MAX_RANK);
            return false;
        }
        ir_type to = ir_tensor(s->m, ti.dtype, dims, rank);
        t->x[i] = ir_broadcast(sema_at(s, c->loc), t->x[i], to);
    }
    return true;
}

static bool attend_mask(builtin_call *c, attention *t)
{
    sema *s = c->s;
    const sema_arg *a = builtin_named(c, "mask");
    if (!a) return true;
    ir_val m = sema_as_val(s, a->v, DFM_BOOL, a->loc);
    if (!m.i) return false;
    ir_type ty = type_of(c, m);
    const ir_type_info mi = *ir_type_of(s->m, ty), qi = *ir_type_of(s->m, type_of(c, t->x[0]));
    if (mi.dtype != DFM_BOOL) {
        diag *d = sema_error(s, E0312, a->loc, "`mask` is bool: true where a query sees a key");
        diag_label(d, a->loc, "%s", sema_ir_type_text(s, ty));
        return false;
    }
    for (uint32_t i = 0; i < mi.rank; i++) {
        bool known = ir_dim_same(mi.dims[i], t->at.over);
        for (uint32_t k = 0; k + 1 < qi.rank; k++) known |= ir_dim_same(mi.dims[i], qi.dims[k]);
        if (known) continue;
        sema_error(s, E0305, a->loc, "`mask` has dim `%s`, which the attention has not",
                   sema_dim_text(s, sema_dim_of(s, mi.dims[i])));
        return false;
    }
    t->mask = m;
    return true;
}

/* Runs of equal length: a query sees the keys of its own sample. */
static void ragged_mask(builtin_call *c, attention *t)
{
    sema *s = c->s;
    if (!t->within || t->mask.i || t->over == t->seq || t->over->ragged_over != t->within) return;
    ir_builder *b = sema_at(s, c->loc);
    ir_val run[2];
    for (int i = 0; i < 2; i++) {
        const sema_dim *d = i ? t->over : t->seq;
        int64_t len = t->within->value > 0 ? d->value / t->within->value : 1;
        ir_val n = ir_scalar(b, DFM_I32, (double)(len > 0 ? len : 1));
        run[i] = ir_map2(b, IR_FN_DIV, ir_iota(b, d->ir), n);
    }
    t->mask = ir_map2(b, IR_FN_EQ, run[0], run[1]);
}

sema_value builtin_attend(builtin_call *c)
{
    sema *s = c->s;
    attention t = {0};
    if (!builtin_args(c, 3, 3, attend_names, "attend(q, k, v, seq=S, over=, within=, window=, "
                      "causal=, mask=, scale=)"))
        return sema_poison();
    for (uint32_t i = 0; i < 3; i++) {
        t.x[i] = builtin_val(c, i);
        if (t.x[i].i) t.x[i] = rounded(c, t.x[i], c->args[i].loc);
        if (!t.x[i].i) return sema_poison();
        if (ir_type_of(s->m, type_of(c, t.x[i]))->rank >= 2) continue;
        sema_error(s, E0311, c->args[i].loc, "`attend` needs a token dim and a feature dim");
        return sema_poison();
    }
    if (!attend_roles(c, &t) || !attend_options(c, &t) || !attend_batch(c, &t) ||
        !attend_mask(c, &t))
        return sema_poison();
    ragged_mask(c, &t);
    ir_builder *b = sema_at(s, c->loc);
    ir_val o = ir_attend_fwd(b, t.x[0], t.x[1], t.x[2], t.mask, &t.at);
    return builtin_result(c, ir_get(b, o, 0));
}

/* -- conv -------------------------------------------------------------------------------------- */

typedef struct window {
    const sema_dim *in, *out, *kernel;
    int64_t stride, pad;
    dfm_loc loc;
} window;

static bool window_number(builtin_call *c, const char *name, uint32_t i, int64_t least,
                          int64_t *out)
{
    sema *s = c->s;
    const sema_arg *a = builtin_named(c, name);
    if (!a) return true;
    sema_value v = a->v;
    if (v.kind == SV_TUPLE) {
        if (i >= v.u.list.n) {
            sema_error(s, E0407, a->loc, "`%s` has fewer numbers than `conv` has windows", name);
            return false;
        }
        v = v.u.list.p[i];
    }
    if (!sema_need_int(s, v, a->loc, sema_fmt(s, "`%s` of `conv`", name), out)) return false;
    if (*out >= least && *out <= 1 << 20) return true;
    sema_error(s, E0313, a->loc, "`%s` of `conv` is at least %lld", name, (long long)least);
    return false;
}

static bool read_window(builtin_call *c, uint32_t arg, uint32_t i, ir_val x, window *w)
{
    sema *s = c->s;
    const sema_dim *to[IR_MAX_RANK];
    sema_value v = c->args[arg].v;
    *w = (window){.stride = 1, .loc = c->args[arg].loc};
    w->in = sema_need_dim(s, v.u.pair[0], w->loc, "the dim that a window slides over");
    if (!w->in || !builtin_has_dim(c, x, w->in, w->loc)) return false;
    int n = sema_need_dims(s, v.u.pair[1], w->loc, "a window", to, IR_MAX_RANK);
    if (n != 2) {
        if (n >= 0) sema_error(s, E0407, w->loc, "a window is `Y -> (Yout, Ky)`: the dim of the "
                                                 "result and that of the kernel");
        return false;
    }
    w->out = to[0];
    w->kernel = to[1];
    if (!window_number(c, "stride", i, 1, &w->stride) || !window_number(c, "pad", i, 0, &w->pad))
        return false;
    if (w->out != w->in && !builtin_new_dim(c, x, w->out, w->loc)) return false;
    if (!builtin_new_dim(c, x, w->kernel, w->loc)) return false;
    int64_t fits = (w->in->value + 2 * w->pad - w->kernel->value) / w->stride + 1;
    if (w->in->value + 2 * w->pad >= w->kernel->value && fits == w->out->value) return true;
    diag *d = sema_error(s, E0315, w->loc, "`conv`: the window fits %lld times, and dim `%s` has "
                         "%lld", (long long)fits, sema_dim_text(s, w->out),
                         (long long)w->out->value);
    diag_help(d, "(%s + 2 * pad - %s) // stride + 1 is the extent of the result",
              sema_dim_text(s, w->in), sema_dim_text(s, w->kernel));
    return false;
}

static sema_value too_many_dims(builtin_call *c, dfm_loc loc)
{
    sema_error(c->s, E0311, loc, "`%s`: a tensor has at most %d dims, windows included", c->name,
               IR_MAX_RANK);
    return sema_poison();
}

static ir_val windowed(builtin_call *c, ir_val x, const window *w)
{
    sema *s = c->s;
    const ir_type_info ti = *ir_type_of(s->m, type_of(c, x));
    ir_dim dims[IR_MAX_RANK + 1];
    ir_ix coords[IR_MAX_RANK];
    ir_cond guard = {.lo = 0, .hi = w->in->value - 1};
    uint32_t n = 0;
    if (ti.rank + 1 > IR_MAX_RANK) return too_many_dims(c, w->loc), (ir_val){0};
    for (uint32_t i = 0; i < ti.rank; i++) {
        bool here = ir_dim_same(ti.dims[i], w->in->ir);
        dims[n] = here ? w->out->ir : ti.dims[i];
        coords[i] = ir_ix_var(s->m, dims[n++]);
        if (!here) continue;
        ir_ix at = ir_ix_add(s->m, ir_ix_mul(s->m, coords[i], w->stride),
                             ir_ix_var(s->m, w->kernel->ir));
        coords[i] = guard.e = ir_ix_add(s->m, at, ir_ix_const(s->m, -w->pad));
    }
    dims[n++] = w->kernel->ir;
    ir_type t = ir_tensor(s->m, ti.dtype, dims, n);
    return ir_view_of(sema_at(s, c->loc), x, t, coords, &guard, w->pad ? 1 : 0, 0);
}

sema_value builtin_conv(builtin_call *c)
{
    static const char *const names[] = {"stride", "pad", NULL};
    const sema_dim *over[3 * IR_MAX_RANK];
    dfm_loc locs[3 * IR_MAX_RANK];
    uint32_t n = 0, n_windows = 0;
    if (!builtin_args(c, 3, 2 + IR_MAX_RANK, names,
                      "conv(x, w, C, Y -> (Yout, Ky), ..., stride=1, pad=0)"))
        return sema_poison();
    ir_val x = builtin_val(c, 0), w = builtin_val(c, 1);
    if (x.i) x = rounded(c, x, c->args[0].loc);
    if (w.i) w = rounded(c, w, c->args[1].loc);
    for (uint32_t i = 2; i < c->n_pos && x.i && w.i; i++) {
        window win;
        if (c->args[i].v.kind == SV_ARROW) {
            if (!read_window(c, i, n_windows++, x, &win)) return sema_poison();
            x = windowed(c, x, &win);
            locs[n] = win.loc;
            over[n++] = win.kernel;
            continue;
        }
        int k = builtin_dims(c, i, over + n);
        if (k < 0) return sema_poison();
        for (int j = 0; j < k; j++) locs[n++] = c->args[i].loc;
        if (n > IR_MAX_RANK) return too_many_dims(c, c->args[i].loc);
    }
    if (!x.i || !w.i) return sema_poison();
    return builtin_result(c, contract_over(c, x, w, over, n, locs));
}

/* -- gather, scatter_add ----------------------------------------------------------------------- */

static ir_val as_index(sema *s, sema_value v, dfm_loc loc)
{
    ir_val ix = sema_as_val(s, v, DFM_I32, loc);
    if (!ix.i) return ix;
    dfm_dtype dt = ir_type_of(s->m, ir_type_at(s->frame->g, ix))->dtype;
    if (dt == DFM_I32) return ix;
    if (dt == DFM_I64 || dt == DFM_U8) return ir_cast(sema_at(s, loc), ix, DFM_I32);
    diag *d = sema_error(s, E0312, loc, "an index is a whole number (i32), not %s",
                         dfm_dtype_name(dt));
    diag_help(d, "convert it explicitly: `i32(...)`");
    return (ir_val){0};
}

/* Rows that are not known before the program runs are clamped; a known one outside is a mistake. */
static bool rows_exist(sema *s, sema_value index, ir_val ix, const sema_dim *dim, dfm_loc loc)
{
    bool turns = index.kind == SV_TABLE;
    const double *rows = turns ? index.u.tab->data : sema_const_data(s, ix);
    uint64_t n = turns ? (uint64_t)index.u.tab->n
                 : rows ? ir_elems(s->m, ir_type_at(s->frame->g, ix)) : 0;
    for (uint64_t i = 0; i < n; i++) {
        if (rows[i] >= 0 && rows[i] < (double)dim->value) continue;
        const char *name = sema_dim_text(s, dim);
        diag *d = sema_out_of_range(s, (int64_t)rows[i], dim->value,
                                    sema_fmt(s, "dim `%s`", name), loc);
        diag_help(d, "if the nearest row is meant: `min(max(..., 0), %s - 1)`", name);
        return false;
    }
    return true;
}

sema_value sema_gather(sema *s, sema_value table, const sema_dim *dim, sema_value index,
                       dfm_loc index_loc, dfm_loc loc)
{
    ir_val t = sema_as_val(s, table, DFM_DT_NONE, loc), ix = as_index(s, index, index_loc);
    if (!t.i || !ix.i || !rows_exist(s, index, ix, dim, index_loc)) return sema_poison();
    t = sema_fold(s, t);
    sema_value r = sema_tensor(s, ir_gather_rows(sema_at(s, loc), t, dim->ir, ix));
    r.loc = loc;
    return r;
}

sema_value builtin_gather(builtin_call *c)
{
    sema *s = c->s;
    if (!builtin_args(c, 2, 3, NULL, "gather(table, index, D): rows along D; D may be left out if "
                      "the table has one dim"))
        return sema_poison();
    ir_val t = builtin_val(c, 0);
    if (!t.i) return sema_poison();
    const ir_type_info *ti = ir_type_of(s->m, type_of(c, t));
    const sema_dim *d = NULL;
    if (c->n_pos == 3) d = sema_need_dim(s, c->args[2].v, c->args[2].loc, "the dim of `gather`");
    else if (ti->rank == 1) d = sema_dim_of(s, ti->dims[0]);
    else sema_error(s, E0407, c->loc, "`gather` from a table of %u dims needs the dim: "
                    "gather(table, index, D)", ti->rank);
    if (!d || !builtin_has_dim(c, t, d, c->loc)) return sema_poison();
    return sema_gather(s, sema_tensor(s, t), d, c->args[1].v, c->args[1].loc, c->loc);
}

static bool is_among(const sema_dim *d, const sema_dim *const *list, int n)
{
    for (int i = 0; i < n; i++)
        if (list[i] == d) return true;
    return false;
}

/* The dims of the result: D, then those of the updates that are not summed over. `over`: the dims
 * of the index that are, all of them if n_over is 0; the others count the tables. */
static bool scatter_dims(builtin_call *c, ir_val ix, ir_val u, const sema_dim *const *over,
                         int n_over, ir_dim *dims, uint32_t *n)
{
    sema *s = c->s;
    const ir_type_info ti = *ir_type_of(s->m, type_of(c, ix)),
                       ui = *ir_type_of(s->m, type_of(c, u));
    for (uint32_t i = 0; i < ti.rank; i++)
        if (!builtin_has_dim(c, u, sema_dim_of(s, ti.dims[i]), c->args[0].loc)) return false;
    for (int i = 0; i < n_over; i++)
        if (!builtin_has_dim(c, ix, over[i], c->args[3].loc)) return false;
    for (uint32_t i = 0; i < ui.rank && *n < IR_MAX_RANK; i++) {
        bool indexed = ir_dim_at(s->m, type_of(c, ix), ui.dims[i]) >= 0;
        if (!indexed || (n_over && !is_among(sema_dim_of(s, ui.dims[i]), over, n_over)))
            dims[(*n)++] = ui.dims[i];
    }
    return true;
}

sema_value builtin_scatter_add(builtin_call *c)
{
    sema *s = c->s;
    const sema_dim *over[3 * IR_MAX_RANK];
    int n_over = 0;
    if (!builtin_args(
            c, 3, 3 + IR_MAX_RANK, NULL,
            "scatter_add(index, updates, D, K): sums of updates over K by row of D; without "
            "K over all dims of the index"))
        return sema_poison();
    ir_val ix = as_index(s, c->args[0].v, c->args[0].loc), u = builtin_val(c, 1);
    const sema_dim *d = sema_need_dim(s, c->args[2].v, c->args[2].loc, "the dim of `scatter_add`");
    if (!ix.i || !u.i || !d) return sema_poison();
    if (!rows_exist(s, c->args[0].v, ix, d, c->args[0].loc)) return sema_poison();
    for (uint32_t i = 3; i < c->n_pos; i++) {
        int k = n_over > IR_MAX_RANK ? -1 : builtin_dims(c, i, over + n_over);
        if (k < 0) return sema_poison();
        n_over += k;
    }
    dfm_dtype dt = ir_type_of(s->m, type_of(c, u))->dtype;
    if (!dfm_dtype_is_float(dt)) {
        diag *e = sema_error(s, E0312, c->args[1].loc, "`scatter_add` sums floats, and this is %s",
                             dfm_dtype_name(dt));
        diag_help(e, "convert it explicitly: `f32(...)`");
        return sema_poison();
    }
    ir_dim dims[IR_MAX_RANK + 1] = {sema_ir_dim(s, d, c->args[2].loc)};
    uint32_t n = 1;
    if (!dims[0].i || !builtin_new_dim(c, u, d, c->args[2].loc)) return sema_poison();
    if (!scatter_dims(c, ix, u, over, n_over, dims, &n)) return sema_poison();
    ir_type t = ir_tensor(s->m, dt, dims, n);
    return builtin_result(c, ir_scatter_add_rows(sema_at(s, c->loc), ix, u, dims[0], t));
}

/* -- draws ------------------------------------------------------------------------------------- */

/* Is the draw all that its variable gets, for the first time? Such a draw is known by that name. */
static bool takes_name(sema_act *a)
{
    if (!a->target_direct) return false;
    for (uint32_t i = 0; i < a->drawn.n; i++)
        if (strcmp(a->drawn.p[i], a->target) == 0) return false;
    return true;
}

/* Every draw of a program has a stream of its own. */
static uint64_t stream_of(sema *s, bool named)
{
    sema_act *a = s->act;
    const char *name = a->target ? a->target : "";
    uint64_t h = dfm_hash64(name, strlen(name), a->stream);
    if (named) {
        dfm_push(s->arena, &a->drawn, name);
        return h;
    }
    uint32_t nth = a->n_draws++;
    return dfm_hash64(&nth, sizeof nth, h);
}

enum { MAX_LOOPS = 4, MAX_TURNS = 4096 };    /* counters that key a draw; see dfm_draw_loop */

/* Counters are joined as outer * 4096 + inner: further turns would repeat the numbers of others. */
static bool counters_fit(builtin_call *c)
{
    sema *s = c->s;
    int64_t room = (int64_t)1 << 32;
    for (sema_frame *f = s->frame; f && f->parent; f = f->parent) {
        int64_t most = f->parent->parent ? MAX_TURNS : room;
        if (f->loop->value > most) {
            diag *d = sema_error(s, E0302, c->loc, "`%s` in a repeat of %lld turns inside others",
                                 c->name, (long long)f->loop->value);
            diag_help(d, "around a draw, %s repeat has at most %lld turns: its numbers would come "
                         "again", most == MAX_TURNS ? "an inner" : "the outer", (long long)most);
            return false;
        }
        room /= MAX_TURNS;
    }
    return true;
}

/* The counters of the repeats around, from outside in. Number, or -1 after reporting. */
static int loop_counters(builtin_call *c, ir_val *out)
{
    sema *s = c->s;
    int n = 0, k;
    for (sema_frame *f = s->frame; f && f->parent; f = f->parent) n++;
    if (n > MAX_LOOPS) {
        sema_error(s, E0311, c->loc, "`%s` in more than %d repeats, one inside the other", c->name,
                   MAX_LOOPS);
        return -1;
    }
    if (!counters_fit(c)) return -1;
    k = n;
    for (sema_frame *f = s->frame; f && f->parent; f = f->parent)
        out[--k] = sema_use(s, (sema_value){.kind = SV_TENSOR, .u.t = {f->iter, f}});
    return n;
}

sema_value builtin_draw(builtin_call *c)
{
    sema *s = c->s;
    bool randint = strcmp(c->name, "randint") == 0;
    ir_random at = {.dist = randint ? IR_RANDINT : *c->name == 'n' ? IR_NORMAL : IR_UNIFORM};
    uint32_t lo = randint ? 3 : 1;
    if (!builtin_args(c, lo, lo, NULL, randint ? "randint(lo, hi, [B]): lo <= x < hi"
                                               : "normal([B, D]), uniform([B, D])"))
        return sema_poison();
    const sema_arg *shape = &c->args[lo - 1];
    sema_type t = {.dtype = randint ? DFM_I32 : DFM_F32};
    if (shape->v.kind != SV_SHAPE && shape->v.kind != SV_TUPLE) {
        sema_error(s, E0311, shape->loc, "`%s` needs a shape, as in `[B, D]`", c->name);
        return sema_poison();
    }
    int n = builtin_dims(c, lo - 1, t.dims);
    if (n < 0) return sema_poison();
    t.rank = (uint32_t)n;
    if (randint && (!sema_need_int(s, c->args[0].v, c->args[0].loc, "`randint`", &at.lo) ||
                    !sema_need_int(s, c->args[1].v, c->args[1].loc, "`randint`", &at.hi)))
        return sema_poison();
    if (randint && (at.lo >= at.hi || at.lo < INT32_MIN || at.hi > INT32_MAX)) {
        sema_error(s, E0318, c->loc, "`randint` needs lo < hi, both 32-bit numbers");
        return sema_poison();
    }
    ir_type type = sema_ir_type(s, &t, shape->loc);
    if (!type.i) return sema_poison();
    if (s->m->batch.i && ir_dim_at(s->m, type, s->m->batch) >= 0) at.sample = s->m->batch;
    bool named = takes_name(s->act);
    at.stream = stream_of(s, named);
    bool section = s->act->node && !s->act->caller && !s->frame->parent;
    if (named && section)
        at.name = dfm_intern(s->cx->names, s->act->target);
    ir_val loops[MAX_LOOPS];
    int n_loops = loop_counters(c, loops);
    if (n_loops < 0) return sema_poison();
    return builtin_result(c, ir_random_draw(sema_at(s, c->loc), type, &at, loops,
                                           (uint32_t)n_loops));
}

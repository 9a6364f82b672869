/* sema_type.c - types as written, their text, and implicit conversion. */
#include <string.h>

#include "compiler/front/sema.h"

/* -- text -------------------------------------------------------------------------------------- */

const char *sema_type_text(sema *s, const sema_type *t)
{
    dfm_sb sb = dfm_sb_make(s->arena);
    dfm_sb_puts(&sb, t->dtype ? dfm_dtype_name(t->dtype) : "any");
    dfm_sb_puts(&sb, "[");
    for (uint32_t i = 0; i < t->rank; i++)
        dfm_sb_printf(&sb, "%s%s", i ? ", " : "", sema_dim_text(s, t->dims[i]));
    dfm_sb_puts(&sb, "]");
    return dfm_sb_cstr(&sb);
}

const char *sema_ir_type_text(sema *s, ir_type t)
{
    const ir_type_info *ti = ir_type_of(s->m, t);
    sema_type x = {.dtype = ti->dtype, .rank = ti->rank};
    if (ti->is_tuple) return "a tuple";
    for (uint32_t i = 0; i < ti->rank; i++) x.dims[i] = sema_dim_of(s, ti->dims[i]);
    return sema_type_text(s, &x);
}

static const char *list_text(sema *s, sema_value v, const char *open, const char *close)
{
    dfm_sb sb = dfm_sb_make(s->arena);
    dfm_sb_puts(&sb, open);
    for (uint32_t i = 0; i < v.u.list.n; i++)
        dfm_sb_printf(&sb, "%s%s", i ? ", " : "", sema_value_text(s, v.u.list.p[i]));
    dfm_sb_puts(&sb, close);
    return dfm_sb_cstr(&sb);
}

const char *sema_value_text(sema *s, sema_value v)
{
    dfm_sb sb = dfm_sb_make(s->arena);
    switch (v.kind) {
    case SV_POISON: return "?";
    case SV_INT: return sema_fmt(s, "%lld", (long long)v.u.i);
    case SV_FLOAT: dfm_sb_double(&sb, v.u.f); return dfm_sb_cstr(&sb);
    case SV_BOOL: return v.u.b ? "true" : "false";
    case SV_STRING: return sema_fmt(s, "\"%s\"", v.u.s);
    case SV_DIM: return sema_dim_text(s, v.u.dim);
    case SV_TUPLE: return list_text(s, v, "(", ")");
    case SV_SHAPE: return list_text(s, v, "[", "]");
    case SV_ARROW: case SV_RANGE:
        return sema_fmt(s, "%s %s %s", sema_value_text(s, v.u.pair[0]),
                        v.kind == SV_ARROW ? "->" : "..", sema_value_text(s, v.u.pair[1]));
    case SV_TENSOR: return sema_ir_type_text(s, sema_type_of(s, v));
    case SV_RECORD: return "a record";
    case SV_TABLE: return "a number that depends on the index of a repeat";
    }
    return "?";
}

/* -- types ------------------------------------------------------------------------------------- */

bool sema_dtype_of_name(const char *name, dfm_dtype *out, bool *out_any)
{
    *out_any = strcmp(name, "any") == 0;
    *out = *out_any ? DFM_DT_NONE : dfm_dtype_of_name(name);
    /* Others occur in files only: kernels compute none of them. */
    if (*out != DFM_F32 && *out != DFM_BF16 && *out != DFM_I32 && *out != DFM_BOOL)
        *out = DFM_DT_NONE;
    return *out_any || *out != DFM_DT_NONE;
}

static bool add_dim(sema *s, sema_type *t, const sema_dim *d, dfm_loc loc)
{
    if (t->rank == IR_MAX_RANK) {
        sema_error(s, E0311, loc, "a tensor has at most %d dims", IR_MAX_RANK);
        return false;
    }
    t->group[t->rank] = (uint8_t)t->n_groups;
    t->dims[t->rank++] = d;
    return true;
}

static bool add_elem(sema *s, sema_type *t, const ast_node *e)
{
    if (e->kind == AST_ELLIPSIS) {
        t->has_rest = true;
        t->rest_at = t->rank;
        t->rest_n = s->act ? s->act->n_rest : 0;
        for (uint32_t i = 0; i < t->rest_n; i++, t->n_groups++)
            if (!add_dim(s, t, s->act->rest[i], e->loc)) return false;
        return true;
    }
    if (e->kind == AST_ERROR) return false;
    if (e->kind == AST_ELEM) {
        sema_error(s, E0311, e->loc, "a shape lists dims only, without `:`");
        return false;
    }
    const sema_dim *dims[IR_MAX_RANK];
    sema_value v = sema_dim_expr(s, e);
    int n = sema_need_dims(s, v, e->loc, "an element of a shape", dims, IR_MAX_RANK);
    if (n < 0) return false;
    for (int i = 0; i < n; i++)
        if (!add_dim(s, t, dims[i], e->loc)) return false;
    t->n_groups++;
    return true;
}

static bool no_dim_twice(sema *s, const sema_type *t, dfm_loc loc)
{
    for (uint32_t i = 0; i < t->rank; i++)
        for (uint32_t k = 0; k < i; k++) {
            if (t->dims[i] != t->dims[k]) continue;
            const char *name = sema_dim_text(s, t->dims[i]);
            diag *d = sema_error(s, E0314, loc, "dim `%s` stands twice in this type", name);
            diag_note(d, "%s", sema_type_text(s, t));
            diag_help(d, "give one of them a name of its own: `dim %s2 = %s`",
                      t->dims[i]->name ? name : "D", name);
            return false;
        }
    return true;
}

bool sema_eval_type(sema *s, const ast_node *type, sema_type *out)
{
    bool any;
    *out = (sema_type){0};
    if (!ast_is(type, AST_TYPE)) return false;
    if (!type->text) {
        out->dtype = s->act ? s->act->compute : DFM_F32;
    } else if (!sema_dtype_of_name(type->text, &out->dtype, &any)) {
        dfm_loc at = dfm_loc_some(type->name_loc) ? type->name_loc : type->loc;
        diag *d = sema_error(s, E0401, at, "`%s` is not an element type", type->text);
        diag_help(d, "element types are f32, bf16, i32, bool and `any`");
        return false;
    }
    for (uint32_t i = 0; i < ast_n(type->a); i++)
        if (!add_elem(s, out, ast_at(type->a, i))) return false;
    return s->aliases_allowed || no_dim_twice(s, out, type->loc);
}

ir_type sema_ir_type(sema *s, const sema_type *t, dfm_loc loc)
{
    ir_dim dims[IR_MAX_RANK];
    for (uint32_t i = 0; i < t->rank; i++) {
        uint32_t before = 0;
        for (uint32_t k = 0; k < i; k++) before += t->dims[k] == t->dims[i];
        dims[i] = sema_ir_dim(s, t->dims[i], loc);
        if (!dims[i].i) return (ir_type){0};
        dims[i] = ir_dim_nth_alias(s->m, dims[i], before);
    }
    ir_type r = ir_tensor(s->m, t->dtype, dims, t->rank);
    if (ir_elems(s->m, r) > (uint64_t)INT64_MAX / 16) {
        sema_error(s, E0310, loc, "%s has too many elements", sema_type_text(s, t));
        return (ir_type){0};
    }
    return r;
}

/* -- conversion -------------------------------------------------------------------------------- */

static ir_val convert_dtype(sema *s, ir_val v, dfm_dtype to, dfm_loc loc, const char *what)
{
    dfm_dtype from = ir_type_of(s->m, ir_type_at(s->frame->g, v))->dtype;
    if (from == to || to == DFM_DT_NONE) return v;
    bool to_float = dfm_dtype_is_float(to), from_float = dfm_dtype_is_float(from);
    bool fits = from != DFM_BOOL && to != DFM_BOOL && (to_float || !from_float);
    if (fits) return ir_cast(sema_at(s, loc), v, to);
    diag *d = sema_error(s, E0312, loc, "%s is %s, and the value is %s", what,
                         dfm_dtype_name(to), dfm_dtype_name(from));
    if (to == DFM_BOOL) diag_help(d, "compare it: `x > 0`, `x == 1`");
    else diag_help(d, "convert it explicitly: `%s(...)`", dfm_dtype_name(to));
    return (ir_val){0};
}

/* A ragged dim takes the place of the one it is ragged over. Runs have equal lengths here. */
static ir_val absorb(sema *s, ir_val v, ir_dim over, ir_dim ragged, dfm_loc loc)
{
    ir_type t = ir_type_at(s->frame->g, v);
    const ir_type_info ti = *ir_type_of(s->m, t);
    ir_dim dims[IR_MAX_RANK];
    ir_ix coords[IR_MAX_RANK];
    int64_t run = ir_extent(s->m, ragged) / ir_extent(s->m, over);
    for (uint32_t i = 0; i < ti.rank; i++) {
        bool here = ir_dim_same(ti.dims[i], over);
        dims[i] = here ? ragged : ti.dims[i];
        ir_ix x = ir_ix_var(s->m, dims[i]);
        if (here && run > 1) x = ir_ix_div(s->m, x, run);
        coords[i] = here ? ir_ix_clamp(s->m, x, 0, ir_extent(s->m, over) - 1) : x;
    }
    ir_type to = ir_tensor(s->m, ti.dtype, dims, ti.rank);
    return ir_view_of(sema_at(s, loc), v, to, coords, NULL, 0, 0);
}

ir_val sema_absorb_ragged(sema *s, ir_val v, const ir_dim *dims, uint32_t n, dfm_loc loc)
{
    for (uint32_t i = 0; i < n; i++) {
        const sema_dim *over = sema_dim_of(s, dims[i])->ragged_over;
        if (!over || !over->ir.i) continue;
        ir_type t = ir_type_at(s->frame->g, v);
        if (ir_dim_at(s->m, t, over->ir) < 0 || ir_dim_at(s->m, t, dims[i]) >= 0) continue;
        v = absorb(s, v, over->ir, dims[i], loc);
    }
    return v;
}

static bool check_dims(sema *s, ir_val v, ir_type to, const sema_type *want, dfm_loc loc,
                       const char *what)
{
    const ir_type_info *ti = ir_type_of(s->m, ir_type_at(s->frame->g, v));
    for (uint32_t i = 0; i < ti->rank; i++) {
        if (ir_dim_at(s->m, to, ti->dims[i]) >= 0) continue;
        const char *name = sema_dim_text(s, sema_dim_of(s, ti->dims[i]));
        diag *d = sema_error(s, E0305, loc, "%s is %s and has no dim `%s`", what,
                             sema_type_text(s, want), name);
        diag_label(d, loc, "%s", sema_ir_type_text(s, ir_type_at(s->frame->g, v)));
        for (uint32_t k = 0; k < want->rank; k++) {
            bool there = ir_dim_at(s->m, ir_type_at(s->frame->g, v), want->dims[k]->ir) >= 0;
            if (there || want->dims[k]->value != ir_extent(s->m, ti->dims[i])) continue;
            diag_help(d, "if they mean the same: `rename(..., %s -> %s)`", name,
                      sema_dim_text(s, want->dims[k]));
            break;
        }
        return false;
    }
    return true;
}

sema_value sema_convert(sema *s, sema_value v, const sema_type *want, dfm_loc loc,
                        const char *what)
{
    if (sema_bad(v)) return v;
    dfm_dtype weak = want->dtype ? want->dtype : v.kind == SV_BOOL ? DFM_BOOL : s->act->compute;
    double number;
    if (want->dtype == DFM_BOOL && sema_is_number(v, &number)) {
        sema_error(s, E0312, loc, "%s is bool, and the value is a number", what);
        return sema_poison();
    }
    ir_val x = sema_as_val(s, v, weak, loc);
    if (!x.i) return sema_poison();
    x = convert_dtype(s, x, want->dtype, loc, what);
    if (!x.i) return sema_poison();
    sema_type t = *want;
    t.dtype = ir_type_of(s->m, ir_type_at(s->frame->g, x))->dtype;
    ir_type to = sema_ir_type(s, &t, loc);
    if (!to.i) return sema_poison();
    const ir_type_info ti = *ir_type_of(s->m, to);
    x = sema_absorb_ragged(s, x, ti.dims, ti.rank, loc);
    if (!check_dims(s, x, to, want, loc, what)) return sema_poison();
    if (ir_type_at(s->frame->g, x).i != to.i) x = ir_broadcast(sema_at(s, loc), x, to);
    sema_value r = sema_tensor(s, x);
    r.loc = loc;
    return r;
}

/* sema_stmt.c - statements: assignments, return, require, if, local dims; others go on. */
#include <string.h>

#include "compiler/front/sema.h"

/* -- assignments ------------------------------------------------------------------------------- */

static bool is_draw(const ast_node *e)
{
    if (!ast_is(e, AST_CALL) || !ast_is(e->a, AST_NAME)) return false;
    const char *f = e->a->text;
    return strcmp(f, "normal") == 0 || strcmp(f, "uniform") == 0 || strcmp(f, "randint") == 0;
}

static bool target_ok(sema *s, const ast_node *t)
{
    if (!ast_is(t, AST_TARGET)) return false;
    if (!t->a) return true;
    diag *d = sema_error(s, E0411, t->loc, "an indexed target stands in an `op` only");
    diag_help(d, "values are whole tensors here: `%s = ...`", t->text);
    return false;
}

/* Unpack v into the targets. */
static void assign_parts(sema *s, const ast_node *targets, sema_value v, dfm_loc loc)
{
    uint32_t n = v.kind == SV_RECORD ? v.u.rec.n : v.kind == SV_TUPLE ? v.u.list.n : 1;
    uint32_t wanted = ast_n(targets);
    if (n != wanted) {
        diag *d = sema_error(s, E0409, loc, "%u names, but %u value%s", wanted, n,
                             n == 1 ? "" : "s");
        diag_label(d, targets->loc, "assigned to these");
        for (uint32_t i = 0; i < wanted; i++) sema_set(s, ast_at(targets, i)->text, sema_poison());
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        const ast_node *t = ast_at(targets, i);
        sema_value x = v.kind == SV_RECORD ? *v.u.rec.p[i].value : v.u.list.p[i];
        if (x.kind == SV_TENSOR && x.u.t.frame == s->frame)
            ir_set_name(sema_at(s, t->loc), x.u.t.v, t->text);
        sema_assign(s, t->text, x, false, t->loc);
    }
}

static void assign(sema *s, const ast_node *st)
{
    const ast_node *targets = st->a;
    for (uint32_t i = 0; i < ast_n(targets); i++)
        if (!target_ok(s, ast_at(targets, i))) return;
    if (!ast_n(targets)) return;
    const ast_node *first = ast_at(targets, 0);
    s->act->target = ast_n(targets) == 1 ? first->text : NULL;
    s->act->target_direct = s->act->target && is_draw(st->b);
    bool in_train = s->act->node && s->act->node->kind == AST_TRAIN;
    bool drawn = s->act->target_direct && in_train;
    sema_value v = sema_expr(s, st->b);
    s->act->target = NULL;
    s->act->target_direct = false;
    if (ast_n(targets) == 1) {
        if (v.kind == SV_TENSOR && v.u.t.frame == s->frame)
            ir_set_name(sema_at(s, st->loc), v.u.t.v, first->text);
        sema_assign(s, first->text, v, drawn, first->loc);
        return;
    }
    if (sema_bad(v)) {
        for (uint32_t i = 0; i < ast_n(targets); i++)
            sema_assign(s, ast_at(targets, i)->text, v, false, ast_at(targets, i)->loc);
        return;
    }
    assign_parts(s, targets, v, st->b->loc);
}

static void do_return(sema *s, const ast_node *st)
{
    sema_act *a = s->act;
    if (a->scope->parent) {
        diag *d = sema_error(s, E0411, st->loc, "`return` in the body of a repeat");
        diag_help(d, "carry the value out with `with`, and return it behind the repeat");
        return;
    }
    if (a->node && a->node->kind == AST_TRAIN) {
        sema_error(s, E0411, st->loc, "a train section has no result; it says `minimize`");
        return;
    }
    a->returned = true;
    a->results.n = 0;
    for (uint32_t i = 0; i < st->n_kids; i++) {
        sema_value v = sema_expr(s, st->kids[i]);
        bool spread = st->n_kids == 1 && (v.kind == SV_TUPLE || v.kind == SV_RECORD);
        uint32_t n = !spread ? 1 : v.kind == SV_TUPLE ? v.u.list.n : v.u.rec.n;
        for (uint32_t k = 0; k < n; k++) {
            sema_value x = !spread ? v : v.kind == SV_TUPLE ? v.u.list.p[k] : *v.u.rec.p[k].value;
            x.loc = st->kids[i]->loc;
            dfm_push(s->arena, &a->results, x);
        }
    }
}

/* -- require ----------------------------------------------------------------------------------- */

bool sema_require_facts(sema *s, const ast_node *cond)
{
    if (!ast_is(cond, AST_BINARY)) return true;
    if (cond->op == AST_OP_AND) {
        bool left = sema_require_facts(s, cond->a);
        return sema_require_facts(s, cond->b) && left;
    }
    bool rest = cond->op == AST_OP_EQ && ast_is(cond->a, AST_BINARY) &&
                cond->a->op == AST_OP_MOD && ast_is(cond->b, AST_INT) && cond->b->num.i == 0;
    if (!rest) return true;
    sema_value a = sema_dim_expr(s, cond->a->a), b = sema_dim_expr(s, cond->a->b);
    int64_t x, y;
    if (!sema_is_int(a, &x) || !sema_is_int(b, &y) || y == 0) return true;
    if (x % y != 0) return false;
    sema_dim_fact(s, sema_need_dim(s, a, cond->loc, "an operand"),
                  sema_need_dim(s, b, cond->loc, "an operand"));
    return true;
}

/* "D = 48, H = 5" for the names in a condition. */
static void names_in(sema *s, const ast_node *e, dfm_sb *sb, int depth)
{
    sema_value v;
    double x;
    if (!e || depth > 20) return;
    if (e->kind == AST_NAME) {
        sema_file *f = s->act ? s->act->file : s->main;
        bool known = sema_local(s, e->text, &v) || sema_file_name(s, f, e->text, &v);
        if (!known || !sema_is_number(v, &x)) return;
        const char *item = sema_fmt(s, "%s = %.15g", e->text, x);
        if (sb->n && strstr(sb->p, item)) return;
        dfm_sb_printf(sb, "%s%s", sb->n ? ", " : "", item);
    } else if (e->kind == AST_BINARY || e->kind == AST_UNARY) {
        names_in(s, e->a, sb, depth + 1);
        names_in(s, e->b, sb, depth + 1);
    }
}

void sema_require(sema *s, const ast_node *st)
{
    bool holds;
    sema_value v = sema_dim_expr(s, st->a);
    if (sema_bad(v)) return;
    if (!sema_need_bool(s, v, st->a->loc, "`require`", &holds)) return;
    if (holds) {
        sema_require_facts(s, st->a);
        return;
    }
    const char *text = ast_is(st->b, AST_STRING)
                           ? st->b->text
                           : sema_fmt(s, "`%s` does not hold",
                                      diag_source(s->diag, s->arena, st->a->loc));
    diag *d = sema_error(s, E0306, st->a->loc, "%s", text);
    dfm_sb sb = dfm_sb_make(s->arena);
    names_in(s, st->a, &sb, 0);
    if (sb.n) diag_note(d, "%s%s%s%s", dfm_sb_cstr(&sb), s->o->variant ? " in variant \"" : "",
                        s->o->variant ? s->o->variant : "", s->o->variant ? "\"" : "");
    if (s->act && dfm_loc_some(s->act->call_loc)) diag_label(d, s->act->call_loc, "called here");
}

/* -- local dims, if ---------------------------------------------------------------------------- */

static void local_dims(sema *s, const ast_node *st)
{
    for (uint32_t i = 0; i < st->n_kids; i++) {
        const ast_node *def = st->kids[i];
        if (!ast_is(def, AST_DIM_DEF)) continue;
        if (!def->a) {
            sema_error(s, E0301, def->loc, "dim `%s` has no value", def->text);
            sema_set(s, def->text, sema_poison());
            continue;
        }
        sema_value v = sema_dim_expr(s, def->a);
        const sema_dim *d = sema_bad(v) ? NULL : sema_need_dim(s, v, def->a->loc, "a dim");
        sema_set(s, def->text, d ? sema_of_dim(sema_dim_named(s, def->text, d, def->loc))
                                 : sema_poison());
    }
}

static bool do_if(sema *s, const ast_node *st)
{
    bool yes;
    sema_value v = sema_expr(s, st->a);
    if (sema_bad(v)) return true;
    if (!sema_need_bool(s, v, st->a->loc, "`if`", &yes)) return true;
    if (yes) return sema_stmts(s, st->c);
    return st->d ? sema_stmts(s, st->d) : true;
}

/* -- all --------------------------------------------------------------------------------------- */

static bool in_section(const sema *s)
{
    const ast_node *n = s->act->node;
    return n && (n->kind == AST_TRAIN || n->kind == AST_SAMPLER);
}

static void wrong_place(sema *s, const ast_node *st, const char *word, const char *where)
{
    sema_error(s, E0411, st->loc, "`%s` stands in %s", word, where);
    if (st->text) sema_set(s, st->text, sema_poison());
}

static bool stmt(sema *s, const ast_node *st)
{
    switch ((ast_kind)st->kind) {
    case AST_ASSIGN: assign(s, st); return true;
    case AST_RETURN: do_return(s, st); return true;
    case AST_REQUIRE: sema_require(s, st); return true;
    case AST_DIMS: local_dims(s, st); return true;
    case AST_IF: return do_if(s, st);
    case AST_REPEAT: return sema_repeat(s, st);
    case AST_PARAM:
    case AST_BUFFER:
        if (in_section(s)) {
            wrong_place(s, st, ast_kind_name((ast_kind)st->kind), "blocks and models");
            return true;
        }
        sema_set(s, st->text, st->kind == AST_PARAM ? sema_param_value(s, st)
                                                    : sema_buffer_value(s, st));
        return true;
    case AST_DATA:
    case AST_MINIMIZE:
    case AST_USE:
        if (!s->act->node || s->act->node->kind != AST_TRAIN || s->act->scope->parent)
            wrong_place(s, st, ast_kind_name((ast_kind)st->kind), "a train section");
        else sema_train_stmt(s, st);
        return true;
    default: return true;
    }
}

bool sema_step(sema *s, dfm_loc loc)
{
    if (s->n_steps < SEMA_MAX_STEPS) return ++s->n_steps, true;
    if (s->n_steps++ > SEMA_MAX_STEPS) return false;         /* reported */
    diag *d = sema_error(s, E0416, loc, "the program evaluates more than %d statements and calls",
                         SEMA_MAX_STEPS);
    diag_help(
        d, "calls are inlined: functions that call functions twice, many levels deep, grow fast");
    return false;
}

bool sema_stmts(sema *s, const ast_node *list)
{
    for (uint32_t i = 0; i < ast_n(list); i++) {
        if (diag_full(s->diag) || !sema_step(s, ast_at(list, i)->loc)) return false;
        if (s->act->returned) {
            sema_error(s, E0411, ast_at(list, i)->loc,
                       "this stands behind `return` and never runs");
            return true;
        }
        if (!stmt(s, ast_at(list, i))) return false;
    }
    return true;
}

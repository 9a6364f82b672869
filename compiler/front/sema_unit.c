/* sema_unit.c - ops and blocks by themselves: a program for each, called as the model calls it.
 *
 * What a function is given when it is called first is kept: types of tensors, values of all else.
 * When the file has been evaluated, each function is called again, alone, with inputs of these
 * types. Functions that nothing calls are called with their formals' own types, if those are known.
 */
#include <string.h>

#include "compiler/front/sema.h"

typedef struct unit {
    sema_fn fn;
    uint32_t n;
    sema_arg args[SEMA_MAX_ARGS];
    ir_type types[SEMA_MAX_ARGS];  /* of tensor arguments */
    dfm_dtype compute;
    bool named;                    /* the call has `as` */
} unit;

struct sema_units {
    DFM_VEC(unit *) list;
    bool building;
};

/* Values that outlive their frame: no tensors among them. A table is its first entry. */
static bool keepable(sema_value *v)
{
    switch (v->kind) {
    case SV_TABLE: {
        double x = v->u.tab->data[0];
        *v = v->u.tab->is_int ? sema_int((int64_t)x) : sema_float(x);
        return true;
    }
    case SV_TUPLE:
        for (uint32_t i = 0; i < v->u.list.n; i++)
            if (v->u.list.p[i].kind == SV_TENSOR || v->u.list.p[i].kind == SV_TABLE) return false;
        return true;
    case SV_RECORD: case SV_POISON: return false;
    default: return true;
    }
}

static bool known(const struct sema_units *u, const ast_node *fn)
{
    for (uint32_t i = 0; i < u->list.n; i++)
        if (u->list.p[i]->fn.node == fn) return true;
    return false;
}

void sema_unit_note(sema *s, sema_fn fn, const sema_arg *args, uint32_t n, const sema_call *call)
{
    if (!s->units) s->units = dfm_new(s->arena, struct sema_units);
    bool user = !fn.file->is_std && (fn.node->kind == AST_OP || fn.node->kind == AST_BLOCK);
    bool on_elements = s->act && (s->act->on_elements || sema_in_comprehension(s));
    if (!user || on_elements || s->units->building || known(s->units, fn.node)) return;
    unit *u = dfm_new(s->arena, unit);
    u->fn = fn;
    u->n = n;
    u->compute = s->act ? s->act->compute : DFM_F32;
    u->named = call->as != NULL;
    for (uint32_t i = 0; i < n; i++) {
        u->args[i] = args[i];
        if (args[i].v.kind == SV_TENSOR) u->types[i] = sema_type_of(s, args[i].v);
        else if (!keepable(&u->args[i].v)) return;
    }
    dfm_push(s->arena, &s->units->list, u);
}

static const char *formal_name(const unit *u, uint32_t i)
{
    if (u->args[i].name) return u->args[i].name;
    return i < ast_n(u->fn.node->a) ? ast_at(u->fn.node->a, i)->text : "x";
}

/* Inputs in the place of tensors. */
static void bind(sema *s, unit *u)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < u->n; i++) {
        if (!u->types[i].i) continue;
        ir_val v = ir_input_new(sema_at(s, u->fn.node->name_loc), u->types[i], IR_ROLE_FORMAL, n++,
                                formal_name(u, i));
        u->args[i].v = sema_tensor(s, v);
        u->args[i].v.loc = u->fn.node->name_loc;
    }
}

static void build(sema *s, unit *u, bool own_types)
{
    const ast_node *fn = u->fn.node;
    sema_frame *root = sema_root_begin(s, fn->text);
    sema_act *a = sema_act_begin(s, NULL, u->fn.file, (dfm_loc){0});
    a->in_model = true;
    if (!own_types) a->compute = u->compute;
    int n = (int)u->n;
    if (own_types) n = sema_formal_inputs(s, fn, u->args, SEMA_MAX_ARGS);
    else bind(s, u);
    sema_call c = {.loc = fn->name_loc, .callee_loc = fn->name_loc,
                   .as = u->named ? fn->text : NULL};
    sema_value v = n >= 0 ? sema_invoke(s, u->fn, u->args, (uint32_t)n, &c) : sema_poison();
    if (!sema_bad(v)) {
        sema_add_results(s, fn, v);
        sema_program(s, fn->text, root, IR_TO_OUTPUT, false);
    }
    sema_act_end(s);
    sema_root_end(s);
}

/* Every formal a tensor, or with a default. */
static bool stands_alone(const ast_node *fn)
{
    for (uint32_t i = 0; i < ast_n(fn->a); i++) {
        const ast_node *f = ast_at(fn->a, i);
        if (!f->b && (!f->a || f->a->kind != AST_TYPE)) return false;
        for (uint32_t k = 0; f->a && f->a->kind == AST_TYPE && k < ast_n(f->a->a); k++)
            if (ast_at(f->a->a, k)->kind == AST_ELLIPSIS) return false;
    }
    return ast_n(fn->a) > 0;
}

static void build_uncalled(sema *s)
{
    for (uint32_t i = 0; i < s->files.n; i++) {
        sema_file *f = s->files.p[i];
        for (uint32_t k = 0; !f->is_std && k < f->fns.n; k++) {
            unit u = {.fn = f->fns.p[k], .named = true};
            const ast_node *fn = u.fn.node;
            bool called = fn->kind == AST_MODEL || known(s->units, fn);
            if (!called && stands_alone(fn)) build(s, &u, true);
        }
    }
}

void sema_units_build(sema *s)
{
    if (!s->units) s->units = dfm_new(s->arena, struct sema_units);
    s->units->building = true;
    s->m->programs.n = 0;
    s->m->data.n = 0;
    sema_params_drop(s, 0);
    for (uint32_t i = 0; i < s->units->list.n; i++) build(s, s->units->list.p[i], false);
    build_uncalled(s);
}

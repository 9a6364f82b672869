/* sema_train.c - train sections: data, minimize, use; program "loss".
 *
 * The section's body is evaluated like a function's. `data` makes inputs of the program and
 * fields of the module; `minimize` makes the result `loss`; `use` is kept for sema_optim.c.
 */
#include "compiler/front/sema_train.h"

#include <string.h>

/* -- data ------------------------------------------------------------------------------------ */

static bool data_source(sema *s, const ast_node *e, ir_data_field *f)
{
    bool ok = ast_is(e, AST_CALL) && ast_is(e->a, AST_NAME) && !strcmp(e->a->text, "webdataset");
    for (uint32_t i = 0; ok && i < e->n_kids; i++) {
        const ast_node *k = e->kids[i];
        if (k->kind == AST_STRING && !f->source) f->source = k->text;
        else if (k->kind == AST_ARG && !strcmp(k->text, "pad") && ast_is(k->a, AST_NAME))
            f->pad_dim = k->a->text;
        else if (k->kind == AST_ARG && !strcmp(k->text, "path") && ast_is(k->a, AST_STRING))
            s->m->data_path = k->a->text;
        else ok = false;
    }
    if (ok && f->source && f->source[0]) return true;
    diag *d = sema_error(s, E0610, e->loc, "data comes from `webdataset(\"member\")`");
    diag_help(d, "the member's name without the sample's key: \"image.npy\", \"cls\", "
                 "\"text.safetensors:h\"; `pad=D` pads dim D with zeros; "
                 "`path=\"shards/a.tar\"` is where to look if nobody says");
    return false;
}

static bool pads_own_dim(sema *s, const ast_node *st, const sema_type *t, const char *pad)
{
    for (uint32_t i = 1; pad && i < t->rank; i++)
        if (t->dims[i]->name && !strcmp(t->dims[i]->name, pad)) return true;
    if (!pad) return true;
    sema_error(s, E0610, st->b->loc, "`pad=%s` is not a dim of `%s` behind the first", pad,
               st->text);
    return false;
}

static ir_type data_type(sema *s, const ast_node *st, sema_type *t)
{
    if (!sema_eval_type(s, st->a, t)) return (ir_type){0};
    if (!t->rank || t->dtype == DFM_DT_NONE) {
        sema_error(s, E0311, st->a->loc, "data has an element type, and the batch as first dim");
        return (ir_type){0};
    }
    t->dtype = sema_precision_data(s, t->dtype);
    return sema_ir_type(s, t, st->a->loc);
}

/* The dim that counts samples: the first, or the one that it is ragged over. */
static ir_dim sample_dim(sema *s, const sema_type *t, dfm_loc loc)
{
    const sema_dim *d = t->dims[0];
    return sema_ir_dim(s, d->ragged_over ? d->ragged_over : d, loc);
}

static void data_stmt(sema *s, const ast_node *st)
{
    ir_data_field f = {.name = dfm_intern(s->m->names, st->text), .loc = st->loc};
    sema_type t;
    sema_set(s, st->text, sema_poison());
    f.type = data_type(s, st, &t);
    if (!f.type.i || !data_source(s, st->b, &f) || !pads_own_dim(s, st, &t, f.pad_dim)) return;
    ir_dim first = sample_dim(s, &t, st->a->loc);
    if (!ir_dim_same(first, s->m->batch)) {
        diag *d = sema_error(s, E0611, st->a->loc, "the first dim of `%s` is `%s`", st->text,
                             ir_dim_str(s->m, first));
        diag_help(d, "other data of this section has `%s` as its first dim, which counts samples",
                  ir_dim_str(s->m, s->m->batch));
        return;
    }
    dfm_push(s->m->arena, &s->m->data, f);
    ir_builder *b = sema_at(s, st->loc);
    ir_val v = ir_input_new(b, f.type, IR_ROLE_DATA, s->m->data.n - 1, st->text);
    sema_set(s, st->text, sema_tensor(s, v));
}

/* The batch must be known before the first draw. */
static bool find_batch(sema *s, const ast_node *train)
{
    for (uint32_t i = 0; i < ast_n(train->c); i++) {
        const ast_node *st = ast_at(train->c, i);
        sema_type t;
        if (st->kind != AST_DATA) continue;
        ir_type it = data_type(s, st, &t);
        if (!it.i) return false;
        s->m->batch = sample_dim(s, &t, st->a->loc);
        return s->m->batch.i != 0;
    }
    sema_error(s, E0610, train->name_loc, "train section `%s` has no `data`", train->text);
    return false;
}

/* -- minimize, use --------------------------------------------------------------------------- */

static void minimize_stmt(sema *s, const ast_node *st)
{
    if (s->tr->minimized) {
        sema_error(s, E0610, st->loc, "a second `minimize`: add the losses up in one");
        return;
    }
    s->tr->minimized = true;
    sema_value v = sema_expr(s, st->a);
    if (sema_bad(v)) return;
    ir_val x = sema_as_val(s, v, DFM_F32, st->a->loc);
    if (!x.i) return;
    const ir_type_info *t = ir_type_of(s->m, ir_type_at(s->frame->g, x));
    if (t->rank || !dfm_dtype_is_float(t->dtype)) {
        diag *d = sema_error(s, E0612, st->a->loc, "the loss is not one number");
        diag_label(d, st->a->loc, "%s", sema_value_text(s, v));
        diag_help(d, "reduce it: `minimize mean(...)`");
        return;
    }
    ir_builder *b = sema_at(s, st->loc);
    ir_result_add(b, ir_cast(b, x, DFM_F32), "loss");
}

static void use_stmt(sema *s, const ast_node *st)
{
    const ast_node *call = st->a;
    if (!ast_is(call, AST_CALL) || !ast_is(call->a, AST_NAME)) {
        sema_error(s, E0613, st->loc, "`use` takes the call of a function: `use adamw(lr=1e-4)`");
        return;
    }
    train_use *u = dfm_new(s->arena, train_use);
    u->node = st;
    if (!sema_find_fn(s, s->act->file, call->a->text, &u->fn)) {
        sema_unknown_fn(s, s->act->file, call->a->text, call->a->loc);
        return;
    }
    for (uint32_t i = 0; i < call->n_kids; i++) {
        const ast_node *k = call->kids[i];
        if (k->kind == AST_ARG && !strcmp(k->text, "skip") && ast_is(k->a, AST_NAME)) {
            u->skip = k->a->text;
            continue;
        }
        if (u->n_args == SEMA_MAX_ARGS) break;
        sema_arg *a = &u->args[u->n_args++];
        *a = (sema_arg){.name = k->kind == AST_ARG ? k->text : NULL, .loc = k->loc};
        a->v = sema_expr(s, k->kind == AST_ARG ? k->a : k);
        if (sema_bad(a->v)) return;
        a->v.loc = k->loc;
    }
    dfm_push(s->arena, &s->tr->uses, u);
}

bool sema_train_stmt(sema *s, const ast_node *st)
{
    switch (st->kind) {
    case AST_DATA: data_stmt(s, st); return true;
    case AST_MINIMIZE: minimize_stmt(s, st); return true;
    case AST_USE: use_stmt(s, st); return true;
    default: return false;
    }
}

/* -- the section ----------------------------------------------------------------------------- */

static void loss_program(sema *s, uint32_t graph)
{
    ir_target *to = dfm_new_n(s->m->arena, ir_target, 1);
    uint32_t *index = dfm_new_n(s->m->arena, uint32_t, 1);
    to[0] = IR_TO_OUTPUT;
    ir_program p = {.name = "loss", .graph = graph, .n_results = 1, .to = to, .index = index,
                    .replace_draws = true};
    dfm_push(s->m->arena, &s->m->programs, p);
}

bool sema_train_section(sema *s, const ast_node *train)
{
    uint32_t before = diag_n_errors(s->diag);
    struct sema_train *tr = dfm_new(s->arena, struct sema_train);
    tr->node = train;
    tr->before = s->tr;
    s->tr = tr;
    sema_frame *f = sema_root_begin(s, "loss");
    sema_act_begin(s, train, s->main, train->name_loc);
    bool ok = find_batch(s, train) && sema_stmts(s, train->c);
    if (ok && !s->tr->minimized && diag_n_errors(s->diag) == before) {
        diag *d = sema_error(s, E0610, train->name_loc, "train section `%s` minimizes nothing",
                             train->text);
        diag_help(d, "say what: `minimize mean((out - target) ^ 2)`");
    }
    sema_act_end(s);
    sema_root_end(s);
    ok = ok && diag_n_errors(s->diag) == before;
    if (ok) loss_program(s, f->graph);
    return ok;
}

/* sema_model.c - the programs `forward` and `init`, and a look at what nothing calls. */
#include <math.h>
#include <string.h>

#include "compiler/front/sema.h"
#include "runtime/base/hash.h"

/* -- programs ---------------------------------------------------------------------------------- */

void sema_program(sema *s, const char *name, const sema_frame *root, ir_target to, bool replace)
{
    uint32_t n = root->g->results.n;
    ir_target *targets = dfm_new_n(s->arena, ir_target, n ? n : 1);
    uint32_t *index = dfm_new_n(s->arena, uint32_t, n ? n : 1);
    for (uint32_t i = 0; i < n; i++) {
        targets[i] = to;
        index[i] = to == IR_TO_PARAM ? i : 0;
    }
    ir_program p = {.name = name, .graph = root->graph, .n_results = n, .to = targets,
                    .index = index, .replace_draws = replace};
    dfm_push(s->arena, &s->m->programs, p);
}

/* -- arguments from outside -------------------------------------------------------------------- */

int sema_formal_inputs(sema *s, const ast_node *fn, sema_arg *out, uint32_t cap)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < ast_n(fn->a) && n < cap; i++) {
        const ast_node *f = ast_at(fn->a, i);
        sema_type t;
        if (!f->a || f->a->kind != AST_TYPE) continue;
        if (!sema_eval_type(s, f->a, &t)) return -1;
        if (t.dtype == DFM_DT_NONE) t.dtype = s->act->compute;
        ir_type ty = sema_ir_type(s, &t, f->a->loc);
        if (!ty.i) return -1;
        if (!s->m->batch.i && t.rank) s->m->batch = ir_type_of(s->m, ty)->dims[0];
        ir_val v = ir_input_new(sema_at(s, f->loc), ty, IR_ROLE_FORMAL, n, f->text);
        out[n] = (sema_arg){.name = f->text, .v = sema_tensor(s, v), .loc = f->loc};
        out[n++].v.loc = f->loc;
    }
    return (int)n;
}

void sema_add_results(sema *s, const ast_node *fn, sema_value v)
{
    if (v.kind == SV_TENSOR) {
        const ast_node *r = ast_results(fn);
        bool named = r->kind == AST_RESULTS && r->n_kids == 1;
        ir_result_add(sema_at(s, v.loc), sema_use(s, v), named ? r->kids[0]->text : "out");
    }
    for (uint32_t i = 0; v.kind == SV_RECORD && i < v.u.rec.n; i++)
        ir_result_add(sema_at(s, v.loc), sema_use(s, *v.u.rec.p[i].value), v.u.rec.p[i].name);
}

bool sema_forward(sema *s)
{
    sema_arg args[SEMA_MAX_ARGS];
    sema_frame *root = sema_root_begin(s, "forward");
    sema_act_begin(s, NULL, s->main, (dfm_loc){0});
    int n = sema_formal_inputs(s, s->model.node, args, SEMA_MAX_ARGS);
    sema_value v = sema_poison();
    sema_call c = {.loc = s->model.node->name_loc, .callee_loc = s->model.node->name_loc};
    if (n >= 0) v = sema_invoke(s, s->model, args, (uint32_t)n, &c);
    if (!sema_bad(v)) {
        sema_add_results(s, s->model.node, v);
        sema_program(s, "forward", root, IR_TO_OUTPUT, false);
    }
    sema_act_end(s);
    sema_root_end(s);
    return !sema_bad(v);
}

/* -- init -------------------------------------------------------------------------------------- */

static ir_val draw(ir_builder *b, ir_type t, ir_dist dist, const char *path, uint32_t nth)
{
    ir_random at = {.dist = dist};
    at.stream = dfm_hash64(path, strlen(path), 0x696e6974u + nth);
    return ir_random_draw(b, t, &at, NULL, 0);
}

static ir_val scaled(ir_builder *b, ir_val x, double by, double plus)
{
    if (by != 1) x = ir_map2(b, IR_FN_MUL, x, ir_scalar(b, DFM_F32, by));
    return plus != 0 ? ir_map2(b, IR_FN_ADD, x, ir_scalar(b, DFM_F32, plus)) : x;
}

/* Normal within two deviations: the first of four draws that lies there, else the border. */
static ir_val truncated(ir_builder *b, ir_type t, const char *path)
{
    ir_val two = ir_scalar(b, DFM_F32, 2), x = draw(b, t, IR_NORMAL, path, 4);
    x = ir_map2(b, IR_FN_MAX, ir_map2(b, IR_FN_MIN, x, two), ir_scalar(b, DFM_F32, -2));
    for (uint32_t i = 0; i < 4; i++) {
        ir_val y = draw(b, t, IR_NORMAL, path, i);
        ir_val inside = ir_map2(b, IR_FN_LE, ir_map1(b, IR_FN_ABS, y), two);
        x = ir_map3(b, IR_FN_SELECT, inside, y, x);
    }
    return x;
}

static ir_val start_value(ir_builder *b, const ir_param *p)
{
    ir_type t = ir_with_dtype(b->m, p->type, DFM_F32);
    const char *path = dfm_name_str(b->m->names, p->path);
    double bound;
    switch (p->init) {
    case IR_INIT_ONES: return ir_broadcast(b, ir_scalar(b, DFM_F32, 1), t);
    case IR_INIT_CONSTANT: return ir_broadcast(b, ir_scalar(b, DFM_F32, p->init_a), t);
    case IR_INIT_NORMAL: return scaled(b, draw(b, t, IR_NORMAL, path, 0), p->init_a, 0);
    case IR_INIT_TRUNC_NORMAL: return scaled(b, truncated(b, t, path), p->init_a, 0);
    case IR_INIT_UNIFORM:
        return scaled(b, draw(b, t, IR_UNIFORM, path, 0), p->init_b - p->init_a, p->init_a);
    case IR_INIT_XAVIER_UNIFORM:
        bound = sqrt(6.0 / ((double)p->fan_in + (double)p->fan_out));
        return scaled(b, draw(b, t, IR_UNIFORM, path, 0), 2 * bound, -bound);
    case IR_INIT_TABLE: return ir_table(b, t, p->table);
    default: return ir_broadcast(b, ir_scalar(b, DFM_F32, 0), t);
    }
}

bool sema_init_program(sema *s)
{
    sema_frame *root = sema_root_begin(s, "init");
    for (uint32_t i = 0; i < s->m->params.n; i++) {
        const ir_param *p = &s->m->params.p[i];
        ir_builder *b = sema_at(s, p->loc);
        ir_val v = ir_cast(b, start_value(b, p), ir_type_of(s->m, p->type)->dtype);
        ir_result_add(b, v, dfm_name_str(s->cx->names, p->path));
    }
    sema_program(s, "init", root, IR_TO_PARAM, false);
    sema_root_end(s);
    return true;
}

/* -- what nothing calls (check) ---------------------------------------------------------------- */

sema_mark sema_mark_take(sema *s)
{
    return (sema_mark){s->m->graphs.n, s->m->params.n, s->m->programs.n, s->m->data.n,
                       s->m->batch};
}

void sema_mark_restore(sema *s, const sema_mark *mark)
{
    sema_bodies_drop(s, mark->graphs);
    sema_params_drop(s, mark->params);
    s->m->programs.n = mark->programs;
    s->m->data.n = mark->data;
    s->m->batch = mark->batch;
}

static bool was_called(const sema *s, const ast_node *fn)
{
    for (uint32_t i = 0; i < s->called.n; i++)
        if (s->called.p[i] == fn) return true;
    return false;
}

/* Can it be evaluated by itself: every formal a tensor of known dims, or with a default? */
static bool stands_alone(const ast_node *fn)
{
    for (uint32_t i = 0; i < ast_n(fn->a); i++) {
        const ast_node *f = ast_at(fn->a, i);
        if (f->b) continue;
        if (!f->a || f->a->kind != AST_TYPE) return false;
    }
    return true;
}

static void check_block(sema *s, sema_fn fn)
{
    sema_arg args[SEMA_MAX_ARGS];
    sema_mark mark = sema_mark_take(s);
    sema_root_begin(s, fn.node->text);
    sema_act *a = sema_act_begin(s, NULL, fn.file, (dfm_loc){0});
    a->in_model = true;
    int n = sema_formal_inputs(s, fn.node, args, SEMA_MAX_ARGS);
    sema_call c = {.loc = fn.node->name_loc, .callee_loc = fn.node->name_loc, .as = fn.node->text};
    if (n >= 0) sema_invoke(s, fn, args, (uint32_t)n, &c);
    sema_act_end(s);
    sema_root_end(s);
    sema_mark_restore(s, &mark);
}

void sema_check_uncalled(sema *s)
{
    for (uint32_t i = 0; i < s->files.n; i++) {
        sema_file *f = s->files.p[i];
        if (f->is_std) continue;
        /* Later functions call earlier ones: from the end, so that callers come first. */
        for (uint32_t k = f->fns.n; k-- > 0;) {
            sema_fn fn = f->fns.p[k];
            if (was_called(s, fn.node) || fn.node->kind == AST_MODEL || diag_full(s->diag))
                continue;
            if (fn.node->kind == AST_BLOCK && stands_alone(fn.node)) check_block(s, fn);
            else if (fn.node->kind == AST_OP) {
                sema_mark mark = sema_mark_take(s);
                sema_check_op(s, fn.node, f);
                sema_mark_restore(s, &mark);
            }
        }
    }
}

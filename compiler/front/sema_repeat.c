/* sema_repeat.c - `repeat`: the body is evaluated once, in a frame of its own, into a draft; then
 * what is needed of the draft is copied into the body graph of a scan.
 *
 * A carry has the type of its last assignment in the body. So the body is evaluated with the type
 * of the initial value first, and again with the type that came out, until they agree.
 * Bodies that came out identical are one graph: guidance calls the model twice.
 */
#include <string.h>

#include "compiler/front/sema.h"

enum { MAX_CARRIES = 32, MAX_ROUNDS = 6, MAX_TRIPS = 1 << 16 };

struct sema_bodies {
    DFM_VEC(uint32_t) graphs;
    DFM_VEC(const char *) texts;
};

typedef struct carry {
    const char *name;
    dfm_loc loc;
    sema_value init;               /* converted to `type` */
    ir_type type;
    ir_val in, out;                /* of the draft */
} carry;

typedef struct loop {
    sema *s;
    const ast_node *node;
    const sema_dim *dim;
    const char *var, *path_var;
    carry c[MAX_CARRIES];
    uint32_t n;
    sema_frame *frame;
    uint32_t calls, draws, drawn;            /* of the activation, before the body */
} loop;

/* -- what is written --------------------------------------------------------------------------- */

/* The variable in the paths of parameters: i, or i2 inside a repeat over i. */
static const char *unique_var(sema *s, const char *var)
{
    const char *name = var;
    for (int n = 2;; n++) {
        bool taken = false;
        for (const sema_frame *f = s->frame; f; f = f->parent)
            taken |= f->parent && f->scopes_params && strcmp(f->loop_var, name) == 0;
        if (!taken) return name;
        name = sema_fmt(s, "%s%d", var, n);
    }
}

static bool read_header(loop *l)
{
    sema *s = l->s;
    const ast_node *e = l->node->a, *count = e;
    l->var = "i";
    if (ast_is(e, AST_ELEM)) {
        l->var = e->text;
        count = e->a;
    }
    if (!count || count->kind == AST_ERROR) return false;
    sema_value v = sema_dim_expr(s, count);
    if (sema_bad(v)) return false;
    l->dim = sema_need_dim(s, v, count->loc, "the number of repetitions");
    if (!l->dim || !sema_ir_dim(s, l->dim, count->loc).i) return false;
    l->path_var = unique_var(s, l->var);
    int depth = 1;
    for (const sema_frame *f = s->frame; f && f->parent; f = f->parent) depth++;
    if (depth > IR_MAX_LOOPS) {
        diag *d = sema_error(s, E0416, count->loc, "repeats are nested more than %d deep",
                             IR_MAX_LOOPS);
        diag_help(d, "write the body of the shortest one as often as it runs");
        return false;
    }
    if (l->dim->value > MAX_TRIPS) {
        sema_error(s, E0310, count->loc, "a repeat runs at most %d times", MAX_TRIPS);
        return false;
    }
    return true;
}

static ir_type plain_type(sema *s, sema_value v)
{
    return ir_type_at(v.u.t.frame->g, v.u.t.v);
}

/* Whole numbers start as i32; the body may make floats of them. */
static ir_val carry_val(sema *s, sema_value v, dfm_loc loc)
{
    int64_t whole;
    bool is_int = sema_is_int(v, &whole) || (v.kind == SV_TABLE && v.u.tab->is_int);
    if (sema_bad(v)) return (ir_val){0};
    return sema_as_val(s, v, is_int ? DFM_DT_NONE : s->act->compute, loc);
}

static bool read_carries(loop *l)
{
    sema *s = l->s;
    bool ok = true;
    for (uint32_t i = 0; i < ast_n(l->node->b); i++) {
        const ast_node *n = ast_at(l->node->b, i);
        sema_value v;
        if (!n->text) continue;
        if (l->n == MAX_CARRIES) {
            sema_error(s, E0416, n->loc, "a repeat carries at most %d values", MAX_CARRIES);
            return false;
        }
        carry c = {.name = n->text, .loc = n->loc};
        v = sema_name(s, n->text, n->loc);
        ir_val x = carry_val(s, v, n->loc);
        ok &= x.i != 0;
        if (!x.i) continue;
        c.init = sema_tensor(s, x);
        c.type = plain_type(s, c.init);
        l->c[l->n++] = c;
    }
    return ok;
}

/* -- evaluation -------------------------------------------------------------------------------- */

static void draft_begin(loop *l)
{
    sema *s = l->s;
    sema_frame *f = dfm_new(s->arena, sema_frame);
    f->parent = s->frame;
    f->g = ir_graph_create(s->m, l->node->text, &f->graph);
    f->scopes_params = s->act->in_model;
    f->loop = l->dim;
    f->loop_name = l->node->text;
    f->loop_var = l->path_var;
    s->frame = f;
    l->frame = f;
    ir_type i32 = ir_tensor(s->m, DFM_I32, NULL, 0);
    f->iter = ir_input_new(sema_at(s, l->node->loc), i32, IR_ROLE_BODY, 0, l->var);
    for (uint32_t i = 0; i < l->n; i++)
        l->c[i].in = ir_input_new(sema_at(s, l->c[i].loc), l->c[i].type, IR_ROLE_BODY, i + 1,
                                  l->c[i].name);
}

static sema_value index_value(loop *l)
{
    sema *s = l->s;
    double *data = dfm_new_n(s->arena, double, l->dim->value);
    for (int64_t i = 0; i < l->dim->value; i++) data[i] = (double)i;
    sema_table *t = dfm_new(s->arena, sema_table);
    *t = (sema_table){.frame = l->frame, .is_int = true, .data = data, .n = l->dim->value};
    return (sema_value){.kind = SV_TABLE, .u.tab = t};
}

/* One evaluation of the body; the carries' results go to c.out. */
static bool evaluate(loop *l)
{
    sema *s = l->s;
    sema_act *a = s->act;
    const char *path = a->path;
    sema_scope *scope = dfm_new(s->arena, sema_scope);
    a->n_calls = l->calls;                   /* again, if it was evaluated before */
    a->n_draws = l->draws;
    a->drawn.n = l->drawn;
    draft_begin(l);
    scope->parent = a->scope;
    a->scope = scope;
    if (l->frame->scopes_params)
        a->path = sema_fmt(s, "%s%s%s.{%s}", path, *path ? "." : "", l->node->text, l->path_var);
    sema_set(s, l->var, index_value(l));
    for (uint32_t i = 0; i < l->n; i++) sema_set(s, l->c[i].name, sema_tensor(s, l->c[i].in));
    bool ok = sema_stmts(s, l->node->c);
    for (uint32_t i = 0; i < l->n && ok; i++) {
        sema_value v;
        sema_local(s, l->c[i].name, &v);
        ir_val x = carry_val(s, v, l->c[i].loc);
        ok = x.i != 0;
        l->c[i].out = x;
    }
    a->scope = scope->parent;
    a->path = path;
    return ok;
}

/* The type that the carry must start with, given what the body made of it. */
static bool settle(loop *l, carry *c, bool *changed)
{
    sema *s = l->s;
    ir_type out = ir_type_at(l->frame->g, c->out);
    const ir_type_info *to = ir_type_of(s->m, out), *ti = ir_type_of(s->m, c->type);
    if (out.i == c->type.i) return true;
    bool same = to->rank == ti->rank && to->dtype == ti->dtype;
    for (uint32_t i = 0; i < ti->rank; i++)
        if (ir_dim_at(s->m, out, ti->dims[i]) < 0) {
            diag *d = sema_error(s, E0319, c->loc, "carry `%s` does not keep its dims", c->name);
            diag_note(d, "it starts as %s and comes out of the body as %s",
                      sema_ir_type_text(s, c->type), sema_ir_type_text(s, out));
            return false;
        }
    if (same) {                                /* another order only: keep the one it came with */
        c->out = ir_broadcast(sema_at(s, c->loc), c->out, c->type);
        return true;
    }
    c->type = out;
    *changed = true;
    return true;
}

static bool convert_inits(loop *l)
{
    sema *s = l->s;
    for (uint32_t i = 0; i < l->n; i++) {
        carry *c = &l->c[i];
        const ir_type_info *ti = ir_type_of(s->m, c->type);
        sema_type t = {.dtype = ti->dtype, .rank = ti->rank};
        for (uint32_t k = 0; k < ti->rank; k++) t.dims[k] = sema_dim_of(s, ti->dims[k]);
        sema_value v = sema_convert(s, c->init, &t, c->loc, sema_fmt(s, "carry `%s`", c->name));
        if (sema_bad(v)) return false;
        c->init = v;
    }
    return true;
}

/* -- the scan ---------------------------------------------------------------------------------- */

static uint8_t *live_ops(loop *l)
{
    const ir_graph *g = l->frame->g;
    uint8_t *live = dfm_new_n(l->s->arena, uint8_t, g->ops.n);
    for (uint32_t i = 0; i < l->n; i++) live[l->c[i].out.i] = 1;
    for (uint32_t i = g->ops.n; i-- > 1;)
        for (uint32_t k = 0; live[i] && k < g->ops.p[i].n_args; k++)
            live[g->ops.p[i].args[k].i] = 1;
    return live;
}

static ir_val formal(ir_builder *b, const ir_graph *from, ir_val v, uint32_t index)
{
    const ir_op *op = ir_op_of(from, v);
    b->loc = op->loc;
    const char *name = dfm_name_str(b->m->names, op->at->input.name);
    return ir_input_new(b, op->type, IR_ROLE_BODY, index, *name ? name : NULL);
}

/* Copy what is live into a graph with its formals in order: iter, carries, xs, captures. Drops
 * captures and xs that nothing uses. The copy takes the draft's place in the module. */
static void finish_body(loop *l)
{
    sema *s = l->s;
    sema_frame *f = l->frame;
    ir_graph *g = f->g;
    uint8_t *live = live_ops(l);
    uint32_t index, k = 0, top = s->m->graphs.n;
    ir_graph *to = ir_graph_create(s->m, l->node->text, &index);
    ir_builder b = {.m = s->m, .g = to};
    ir_val *map = dfm_new_n(s->arena, ir_val, g->ops.n);
    uint32_t n_formals = 0;
    map[f->iter.i] = formal(&b, g, f->iter, n_formals++);
    for (uint32_t i = 0; i < l->n; i++) map[l->c[i].in.i] = formal(&b, g, l->c[i].in, n_formals++);
    for (uint32_t i = k = 0; i < f->xs.n; i++) {
        if (!live[f->xs.p[i].inner.i]) continue;
        map[f->xs.p[i].inner.i] = formal(&b, g, f->xs.p[i].inner, n_formals++);
        f->xs.p[k++] = f->xs.p[i];
    }
    f->xs.n = k;
    for (uint32_t i = k = 0; i < f->caps.n; i++) {
        if (!live[f->caps.p[i].inner.i]) continue;
        map[f->caps.p[i].inner.i] = formal(&b, g, f->caps.p[i].inner, n_formals++);
        f->caps.p[k++] = f->caps.p[i];
    }
    f->caps.n = k;
    for (uint32_t i = 1; i < g->ops.n; i++) {
        const ir_op *op = &g->ops.p[i];
        if (!live[i] || op->kind == IR_INPUT) continue;
        ir_val *args = dfm_new_n(s->arena, ir_val, op->n_args ? op->n_args : 1);
        for (uint32_t j = 0; j < op->n_args; j++) args[j] = map[op->args[j].i];
        map[i] = ir_emit_copy(&b, op, args);
    }
    for (uint32_t i = 0; i < l->n; i++) ir_result_add(&b, map[l->c[i].out.i], l->c[i].name);
    *g = *to;
    DFM_ASSERT(s->m->graphs.n == top + 1);
    s->m->graphs.n = top;
}

/* The text of a body without its header, places and names: the key under which it is shared. */
static const char *body_text(sema *s, const ir_graph *g)
{
    dfm_sb sb = dfm_sb_make(s->arena), key = dfm_sb_make(s->arena);
    ir_print_graph(&sb, s->m, g);
    const char *p = strchr(dfm_sb_cstr(&sb), '\n');
    bool quoted = false;
    for (; p && *p; p++) {
        if (!quoted && p[0] == ' ' && p[1] == ';') p += strcspn(p, "\n");
        if (*p == '"') quoted = !quoted;
        else if (!quoted && *p) dfm_sb_add(&key, p, 1);
        if (!*p) break;
    }
    return dfm_sb_cstr(&key);
}

static uint32_t share_body(loop *l)
{
    sema *s = l->s;
    if (!s->bodies) s->bodies = dfm_new(s->arena, struct sema_bodies);
    struct sema_bodies *b = s->bodies;
    const char *text = body_text(s, l->frame->g);
    for (uint32_t i = 0; i < b->graphs.n; i++)
        if (b->graphs.p[i] < l->frame->graph && strcmp(b->texts.p[i], text) == 0) {
            if (s->m->graphs.n == l->frame->graph + 1) s->m->graphs.n--;
            return b->graphs.p[i];
        }
    dfm_push(s->arena, &b->graphs, l->frame->graph);
    dfm_push(s->arena, &b->texts, text);
    return l->frame->graph;
}

/* Graphs made after `mark` are dropped: a round of evaluation that did not settle. */
void sema_bodies_drop(sema *s, uint32_t first_graph)
{
    uint32_t mark = first_graph;
    s->m->graphs.n = mark;
    struct sema_bodies *b = s->bodies;
    while (b && b->graphs.n && b->graphs.p[b->graphs.n - 1] >= mark) {
        b->graphs.n--;
        b->texts.n--;
    }
}

static void emit_scan(loop *l)
{
    sema *s = l->s;
    sema_frame *f = l->frame;
    ir_scan at = {.loop = sema_ir_dim(s, l->dim, l->node->loc), .n_carry = l->n,
                  .n_xs = f->xs.n, .n_caps = f->caps.n};
    uint32_t n = 0;
    ir_val *args = dfm_new_n(s->arena, ir_val, l->n + f->xs.n + f->caps.n + 1);
    at.body = share_body(l);
    for (uint32_t i = 0; i < l->n; i++) args[n++] = sema_use(s, l->c[i].init);
    for (uint32_t i = 0; i < f->xs.n; i++) args[n++] = f->xs.p[i].outer;
    for (uint32_t i = 0; i < f->caps.n; i++) args[n++] = f->caps.p[i].outer;
    ir_val scan = ir_scan_over(sema_at(s, l->node->loc), &at, args, n);
    for (uint32_t i = 0; i < l->n; i++) {
        ir_val v = ir_get(sema_at(s, l->c[i].loc), scan, i);
        sema_assign(s, l->c[i].name, sema_tensor(s, v), false, l->c[i].loc);
    }
}

static void poison_carries(loop *l)
{
    for (uint32_t i = 0; i < ast_n(l->node->b); i++)
        if (ast_at(l->node->b, i)->text) sema_set(l->s, ast_at(l->node->b, i)->text, sema_poison());
}

static bool run(loop *l)
{
    sema *s = l->s;
    sema_frame *outer = s->frame;
    uint32_t mark = s->m->graphs.n;
    for (int round = 0; round < MAX_ROUNDS; round++) {
        bool changed = false, ok = convert_inits(l) && evaluate(l);
        for (uint32_t i = 0; i < l->n && ok; i++) ok = settle(l, &l->c[i], &changed);
        if (ok && !changed) finish_body(l);
        s->frame = outer;
        if (!ok || changed) sema_bodies_drop(s, mark);
        if (!ok) return false;
        if (!changed) return true;
    }
    sema_error(s, E0319, l->node->loc, "the types of the carries of `%s` do not settle",
               l->node->text);
    return false;
}

bool sema_repeat(sema *s, const ast_node *repeat)
{
    loop *l = dfm_new(s->arena, loop);
    l->s = s;
    l->node = repeat;
    l->calls = s->act->n_calls;
    l->draws = s->act->n_draws;
    l->drawn = s->act->drawn.n;
    sema_keep_state keep = sema_keep_enter(s, repeat->text);
    bool ok = read_header(l) && read_carries(l) && run(l);
    sema_keep_leave(s, keep);
    if (ok) emit_scan(l);
    else poison_carries(l);
    return true;
}

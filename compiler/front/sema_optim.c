/* sema_optim.c - flat buffers of parameters, and the programs that update them.
 *
 * What `use` names is told apart by results (models/std/optim.dfm): an update gives `w`, a change
 * of gradients `g`, a schedule `lr`, an average `avg`. Nothing is known by a function's name.
 *
 * Programs, on one flat buffer per group of parameters:
 *
 *   step.update       scalars: step; lr, which if positive replaces the base rate. Length of all
 *                     gradients; changes of gradients in order, each with the length that the one
 *                     before left; schedules in order; the update; averages of the new weights.
 *                     Outputs `lr` and `grad_norm`, the length before any change.
 *   step.accumulate   scalars: keep, scale. acc = keep > 0 ? acc + g : g; g = acc * scale. Called
 *                     after the gradients of each part of a batch (keep = 0 for the first), it
 *                     leaves their mean in g if scale = 1 / number of parts.
 */
#include "compiler/front/sema_train.h"

#include <string.h>

/* Flat buffers end at a multiple of FLAT_ROUND: kernels over them can be cut into equal rows. */
enum { MAX_FLATS = IR_STATE_STRIDE, FLAT_ALIGN = 16, FLAT_ROUND = 1024, MAX_AVERAGES = 8 };

/* -- what a `use` is -------------------------------------------------------------------------- */

static int result_at(const ast_node *fn, const char *name)
{
    if (!ast_is(fn->b, AST_RESULTS)) return -1;
    for (uint32_t i = 0; i < fn->b->n_kids; i++)
        if (!strcmp(fn->b->kids[i]->text, name)) return (int)i;
    return -1;
}

static const ast_node *formal_named(const ast_node *fn, const char *name)
{
    for (uint32_t i = 0; i < ast_n(fn->a); i++)
        if (!strcmp(ast_at(fn->a, i)->text, name)) return ast_at(fn->a, i);
    return NULL;
}

typedef enum use_kind { USE_NONE, USE_UPDATE, USE_GRADIENT, USE_RATE, USE_AVERAGE } use_kind;

static use_kind kind_of_use(const train_use *u)
{
    static const struct { const char *result; use_kind kind; } table[] = {
        {"w", USE_UPDATE}, {"g", USE_GRADIENT}, {"lr", USE_RATE}, {"avg", USE_AVERAGE},
    };
    for (uint32_t i = 0; i < DFM_LEN(table); i++)
        if (result_at(u->fn.node, table[i].result) >= 0) return table[i].kind;
    return USE_NONE;
}

static const char *use_name(const train_use *u) { return u->fn.node->text; }

static const train_use *find_update(const struct sema_train *tr)
{
    for (uint32_t i = 0; tr && i < tr->uses.n; i++)
        if (kind_of_use(tr->uses.p[i]) == USE_UPDATE) return tr->uses.p[i];
    return NULL;
}

/* -- groups ------------------------------------------------------------------------------------ */

static bool has_tag(const ir_module *m, const ir_param *p, const char *tag)
{
    for (uint32_t i = 0; tag && i < p->n_tags; i++)
        if (!strcmp(dfm_name_str(m->names, p->tags[i]), tag)) return true;
    return false;
}

/* Parameters that the update skips have a group called like the tag; two names are taken. */
static const char *skip_group(sema *s, const char *tag)
{
    return !strcmp(tag, "decay") || !strcmp(tag, "frozen") ? sema_fmt(s, "skip_%s", tag) : tag;
}

static uint32_t group_of(sema *s, const ir_param *p, const char *skip)
{
    ir_module *m = s->m;
    dfm_dtype dt = ir_type_of(m, p->type)->dtype;
    bool skipped = p->trainable && has_tag(m, p, skip);
    const char *base = !p->trainable ? "frozen" : skipped ? skip_group(s, skip) : "decay";
    const char *text = dt == DFM_F32 ? base : sema_fmt(s, "%s.%s", base, dfm_dtype_name(dt));
    dfm_name name = dfm_intern(m->names, text);
    for (uint32_t i = 0; i < m->flats.n; i++)
        if (dfm_name_eq(m->flats.p[i].name, name)) return i;
    dfm_push(m->arena, &m->flats,
             ((ir_flat){.name = name, .dtype = dt, .trainable = p->trainable}));
    return m->flats.n - 1;
}

/* Does the update skip flat buffer k? All parameters in it do, or none. */
static bool skips_flat(const ir_module *m, uint32_t k, const char *skip)
{
    for (uint32_t i = 0; i < m->params.n; i++)
        if (m->params.p[i].group == k) return has_tag(m, &m->params.p[i], skip);
    return false;
}

/* A tag that no parameter has, where others have tags: misspelt, perhaps. */
static void check_skip(sema *s, const train_use *update)
{
    const ir_module *m = s->m;
    const char *tags[64];
    uint32_t n = 0;
    if (!update || !update->skip) return;
    for (uint32_t i = 0; i < m->params.n; i++) {
        const ir_param *p = &m->params.p[i];
        if (has_tag(m, p, update->skip)) return;
        for (uint32_t k = 0; k < p->n_tags && n < DFM_LEN(tags); k++)
            tags[n++] = dfm_name_str(m->names, p->tags[k]);
    }
    if (!n) return;
    diag *d = diag_warning(s->diag, DIAG_E0613, update->node->loc, "no parameter has the tag `%s`",
                           update->skip);
    sema_suggest(s, d, update->skip, tags, n);
}

static void add_state(ir_module *m, const char *name, dfm_dtype dt, bool is_ema, bool saved)
{
    ir_state st = {.name = dfm_intern(m->names, name), .dtype = dt, .is_ema = is_ema,
                   .saved = saved};
    dfm_push(m->arena, &m->states, st);
}

bool sema_assign_flats(sema *s)
{
    ir_module *m = s->m;
    while (s->tr && s->tr->node != s->train) s->tr = s->tr->before;     /* of the chosen section */
    const train_use *update = find_update(s->tr);
    const char *skip = update ? update->skip : NULL;
    check_skip(s, update);
    for (uint32_t i = 0; i < m->params.n; i++) {
        ir_param *p = &m->params.p[i];
        p->group = group_of(s, p, skip);
        ir_flat *f = &m->flats.p[p->group];
        p->flat_offset = f->n_elems;
        f->n_elems += (ir_elems(m, p->type) + FLAT_ALIGN - 1) / FLAT_ALIGN * FLAT_ALIGN;
    }
    DFM_ASSERT(m->flats.n < MAX_FLATS);
    for (uint32_t i = 0; i < m->flats.n; i++) {
        ir_flat *f = &m->flats.p[i];
        if (f->n_elems > FLAT_ROUND)
            f->n_elems = (f->n_elems + FLAT_ROUND - 1) / FLAT_ROUND * FLAT_ROUND;
        const char *name = sema_fmt(s, "P_%s", dfm_name_str(m->names, f->name));
        f->dim = ir_dim_new(m, dfm_intern(m->names, name), (int64_t)f->n_elems, (dfm_loc){0});
    }
    add_state(m, "w", DFM_DT_NONE, false, true);
    add_state(m, "g", DFM_F32, false, false);
    return true;
}

/* -- building the update ---------------------------------------------------------------------- */

typedef struct update {
    sema *s;
    const train_use *rule;
    sema_value step, lr;
    sema_value first_norm, norm;             /* of the gradients as given; as changed so far */
    sema_value w[MAX_FLATS], g[MAX_FLATS];   /* per flat; f32 */
    DFM_VEC(ir_target) to;
    DFM_VEC(uint32_t) index;
} update;

static sema_value state_input(sema *s, uint32_t state, uint32_t flat)
{
    ir_module *m = s->m;
    const ir_state *st = &m->states.p[state];
    const ir_flat *f = &m->flats.p[flat];
    dfm_dtype dt = st->dtype ? st->dtype : f->dtype;
    ir_builder *b = sema_at(s, (dfm_loc){0});
    const char *name = sema_fmt(s, "%s.%s", dfm_name_str(m->names, st->name),
                                dfm_name_str(m->names, f->name));
    ir_val v = ir_input_new(b, ir_tensor(m, dt, &f->dim, 1), IR_ROLE_STATE,
                            state * IR_STATE_STRIDE + flat, name);
    return sema_tensor(s, ir_cast(b, v, DFM_F32));
}

static void state_result(update *u, sema_value v, uint32_t state, uint32_t flat)
{
    sema *s = u->s;
    const ir_state *st = &s->m->states.p[state];
    const ir_flat *f = &s->m->flats.p[flat];
    ir_builder *b = sema_at(s, (dfm_loc){0});
    ir_val x = ir_cast(b, sema_use(s, v), st->dtype ? st->dtype : f->dtype);
    ir_result_add(b, x, sema_fmt(s, "%s.%s", dfm_name_str(s->m->names, st->name),
                                 dfm_name_str(s->m->names, f->name)));
    dfm_push(s->arena, &u->to, IR_TO_STATE);
    dfm_push(s->arena, &u->index, state * IR_STATE_STRIDE + flat);
}

static void output(update *u, sema_value v, const char *name)
{
    sema *s = u->s;
    ir_val x = sema_as_val(s, v, DFM_F32, (dfm_loc){0});
    ir_result_add(sema_at(s, (dfm_loc){0}), x, name);
    dfm_push(s->arena, &u->to, IR_TO_OUTPUT);
    dfm_push(s->arena, &u->index, 0);
}

/* The written arguments; those by position belong to the constants, in order. `only`: the one
 * that is taken of those by position, or -1 for all. */
static bool written_args(sema *s, const train_use *u, int only, sema_arg *out, uint32_t *n)
{
    uint32_t at = 0, formals = ast_n(u->fn.node->a);
    for (uint32_t i = 0; i < u->n_args; i++) {
        sema_arg a = u->args[i];
        if (!a.name && only >= 0) {
            if ((int)i != only) continue;
            at = 0;
        }
        while (!a.name && at < formals && ast_at(u->fn.node->a, at)->a->kind != AST_KIND_CONST)
            at++;
        if (!a.name && at == formals) {
            sema_error(s, E0407, a.loc, "`%s` takes fewer constants", use_name(u));
            return false;
        }
        if (!a.name) a.name = ast_at(u->fn.node->a, at++)->text;
        out[(*n)++] = a;
    }
    return true;
}

typedef struct provided { const char *name; sema_value v; } provided;

/* Call a used function with what it is given by name, and the written arguments. */
static sema_value call_use(sema *s, const train_use *u, const provided *give, uint32_t n_give,
                           int only)
{
    sema_arg args[SEMA_MAX_ARGS * 2];
    sema_call call = {.loc = u->node->loc, .callee_loc = u->node->a->loc};
    uint32_t n = 0;
    if (!written_args(s, u, only, args, &n)) return sema_poison();
    for (uint32_t i = 0; i < n_give; i++) {
        bool written = false;
        for (uint32_t k = 0; k < n; k++) {
            if (strcmp(args[k].name, give[i].name)) continue;
            written = true;
            args[k].v = give[i].v;           /* the rate after its schedule; no decay */
        }
        if (written || !formal_named(u->fn.node, give[i].name)) continue;
        args[n] = (sema_arg){.name = give[i].name, .v = give[i].v, .loc = u->node->loc};
        args[n++].v.loc = u->node->loc;
    }
    return sema_invoke(s, u->fn, args, n, &call);
}

/* Result k of a call: a function of one result gives the value itself. */
static sema_value result_of(const train_use *u, sema_value r, uint32_t k)
{
    if (r.kind == SV_RECORD) return *r.u.rec.p[k].value;
    return u->fn.node->b->n_kids == 1 && k == 0 ? r : sema_poison();
}

static bool is_trainable(const sema *s, uint32_t flat) { return s->m->flats.p[flat].trainable; }

/* The length of all gradients together, as they are now. */
static sema_value length_of(update *u)
{
    sema *s = u->s;
    ir_builder *b = sema_at(s, (dfm_loc){0});
    ir_val sum = {0};
    for (uint32_t k = 0; k < s->m->flats.n; k++) {
        if (!is_trainable(s, k)) continue;
        ir_val g = ir_cast(b, sema_use(s, u->g[k]), DFM_F32);
        ir_val q = ir_reduce_over(b, IR_RED_SUM, ir_map2(b, IR_FN_MUL, g, g),
                                  &s->m->flats.p[k].dim, 1);
        sum = sum.i ? ir_map2(b, IR_FN_ADD, sum, q) : q;
    }
    if (!sum.i) sum = ir_scalar(b, DFM_F32, 0.0);
    return sema_tensor(s, ir_map1(b, IR_FN_SQRT, sum));
}

static void inputs(update *u)
{
    sema *s = u->s;
    ir_builder *b = sema_at(s, (dfm_loc){0});
    ir_type i32 = ir_tensor(s->m, DFM_I32, NULL, 0);
    u->step = sema_tensor(s, ir_input_new(b, i32, IR_ROLE_SCALAR, 0, "step"));
    for (uint32_t k = 0; k < s->m->flats.n; k++) {
        if (!is_trainable(s, k)) continue;
        u->w[k] = state_input(s, IR_STATE_W, k);
        u->g[k] = state_input(s, IR_STATE_G, k);
    }
    u->norm = u->first_norm = length_of(u);
}

static bool base_rate(update *u)
{
    const train_use *r = u->rule;
    for (uint32_t i = 0; i < r->n_args; i++)
        if (r->args[i].name && !strcmp(r->args[i].name, "lr")) u->lr = r->args[i].v;
    const ast_node *f = formal_named(r->fn.node, "lr");
    if (sema_bad(u->lr) && f && !f->b) {
        sema_error(u->s, E0613, r->node->loc, "`%s` needs a learning rate: `lr=1e-4`", use_name(r));
        return false;
    }
    if (sema_bad(u->lr)) u->lr = f ? sema_expr(u->s, f->b) : sema_float(1.0);
    ir_val v = sema_as_val(u->s, u->lr, DFM_F32, r->node->loc);
    if (!v.i) return false;
    ir_builder *b = sema_at(u->s, r->node->loc);
    ir_val given = ir_input_new(b, ir_tensor(u->s->m, DFM_F32, NULL, 0), IR_ROLE_SCALAR, 1, "lr");
    ir_val is_given = ir_map2(b, IR_FN_LT, ir_scalar(b, DFM_F32, 0.0), given);
    u->lr = sema_tensor(u->s, ir_map3(b, IR_FN_SELECT, is_given, given, v));
    return true;
}

static bool schedules(update *u)
{
    struct sema_train *tr = u->s->tr;
    for (uint32_t i = 0; i < tr->uses.n; i++) {
        const train_use *x = tr->uses.p[i];
        if (kind_of_use(x) != USE_RATE) continue;
        provided give[] = {{"lr", u->lr}, {"step", u->step}};
        u->lr = result_of(x, call_use(u->s, x, give, 2, -1), (uint32_t)result_at(x->fn.node, "lr"));
        if (sema_bad(u->lr)) return false;
    }
    return true;
}

static bool change_gradients(update *u)
{
    sema *s = u->s;
    bool changed = false;
    for (uint32_t i = 0; i < s->tr->uses.n; i++) {
        const train_use *x = s->tr->uses.p[i];
        if (kind_of_use(x) != USE_GRADIENT) continue;
        if (changed) u->norm = length_of(u);
        changed = true;
        for (uint32_t k = 0; k < s->m->flats.n; k++) {
            if (!is_trainable(s, k)) continue;
            provided give[] = {
                {"g", u->g[k]}, {"w", u->w[k]}, {"norm", u->norm}, {"step", u->step}};
            sema_value r = call_use(s, x, give, 4, -1);
            u->g[k] = result_of(x, r, (uint32_t)result_at(x->fn.node, "g"));
            if (sema_bad(u->g[k])) return false;
        }
    }
    return true;
}

/* Formals of the rule that are results too, beside w: its state. */
static bool collect_states(update *u, const ast_node **formal, uint32_t *n)
{
    sema *s = u->s;
    const ast_node *fn = u->rule->fn.node;
    for (uint32_t i = 0; i < ast_n(fn->a); i++) {
        const ast_node *f = ast_at(fn->a, i);
        if (f->a->kind != AST_TYPE || !strcmp(f->text, "w")) continue;
        if (result_at(fn, f->text) >= 0 && *n < SEMA_MAX_ARGS) {
            formal[(*n)++] = f;
            add_state(s->m, sema_fmt(s, "%s.%s", fn->text, f->text), sema_precision_optim(s), false,
                      true);
            continue;
        }
        if (!strcmp(f->text, "g") || !strcmp(f->text, "lr") || !strcmp(f->text, "step") || f->b)
            continue;
        diag *d = sema_error(s, E0613, u->rule->node->loc,
                             "`%s` has a formal `%s` that is no result", fn->text, f->text);
        diag_label(d, f->loc, "what should it be given?");
        diag_help(d, "an update is given w, g, lr and step; other tensors are state and results");
        return false;
    }
    return true;
}

static bool update_weights(update *u)
{
    sema *s = u->s;
    const ast_node *fn = u->rule->fn.node, *formal[SEMA_MAX_ARGS];
    uint32_t n = 0, first = s->m->states.n;
    provided give[SEMA_MAX_ARGS + 8];
    if (!collect_states(u, formal, &n)) return false;
    for (uint32_t k = 0; k < s->m->flats.n; k++) {
        if (!is_trainable(s, k)) continue;
        uint32_t m = 0;
        give[m++] = (provided){"w", u->w[k]};
        give[m++] = (provided){"g", u->g[k]};
        give[m++] = (provided){"lr", u->lr};
        give[m++] = (provided){"step", u->step};
        for (uint32_t i = 0; i < n; i++)
            give[m++] = (provided){formal[i]->text, state_input(s, first + i, k)};
        if (skips_flat(s->m, k, u->rule->skip))
            give[m++] = (provided){"decay", sema_float(0.0)};
        sema_value r = call_use(s, u->rule, give, m, -1);
        if (sema_bad(r)) return false;
        u->w[k] = result_of(u->rule, r, (uint32_t)result_at(fn, "w"));
        state_result(u, u->w[k], IR_STATE_W, k);
        for (uint32_t i = 0; i < n; i++)
            state_result(u, result_of(u->rule, r, (uint32_t)result_at(fn, formal[i]->text)),
                         first + i, k);
    }
    return true;
}

/* One average: argument `only` of those by position, or all arguments. */
static bool average(update *u, const train_use *x, int only, uint32_t number)
{
    sema *s = u->s;
    uint32_t state = s->m->states.n;
    add_state(s->m, sema_fmt(s, "%s.%u", use_name(x), number), DFM_F32, true, true);
    for (uint32_t k = 0; k < s->m->flats.n; k++) {
        if (!is_trainable(s, k)) continue;
        provided give[] = {{"avg", state_input(s, state, k)}, {"w", u->w[k]}, {"step", u->step}};
        sema_value r = call_use(s, x, give, 3, only);
        if (sema_bad(r)) return false;
        state_result(u, result_of(x, r, (uint32_t)result_at(x->fn.node, "avg")), state, k);
    }
    return true;
}

/* `use ema(0.999, 0.9999)`: several arguments by position are several averages. */
static bool averages(update *u)
{
    struct sema_train *tr = u->s->tr;
    uint32_t number = 0;
    for (uint32_t i = 0; i < tr->uses.n; i++) {
        const train_use *x = tr->uses.p[i];
        uint32_t by_place = 0;
        if (kind_of_use(x) != USE_AVERAGE) continue;
        for (uint32_t k = 0; k < x->n_args; k++) {
            if (x->args[k].name) continue;
            by_place++;
            if (!average(u, x, (int)k, number++)) return false;
        }
        if (!by_place && !average(u, x, -1, number++)) return false;
    }
    if (number <= MAX_AVERAGES) return true;
    sema_error(u->s, E0613, tr->node->name_loc, "more than %d averages of the weights",
               MAX_AVERAGES);
    return false;
}

static void add_program(update *u, const char *name, uint32_t graph)
{
    ir_module *m = u->s->m;
    ir_program p = {.name = name, .graph = graph, .n_results = u->to.n};
    p.to = dfm_dup(m->arena, u->to.p, u->to.n * sizeof *u->to.p);
    p.index = dfm_dup(m->arena, u->index.p, u->index.n * sizeof *u->index.p);
    dfm_push(m->arena, &m->programs, p);
    u->to.n = u->index.n = 0;
}

static void accumulate_program(update *u)
{
    sema *s = u->s;
    uint32_t acc_state = s->m->states.n;
    add_state(s->m, "acc", DFM_F32, false, false);
    sema_frame *f = sema_root_begin(s, "step.accumulate");
    ir_builder *b = sema_at(s, (dfm_loc){0});
    ir_type f32 = ir_tensor(s->m, DFM_F32, NULL, 0);
    ir_val keep = ir_input_new(b, f32, IR_ROLE_SCALAR, 0, "keep");
    ir_val scale = ir_input_new(b, f32, IR_ROLE_SCALAR, 1, "scale");
    ir_val more = ir_map2(b, IR_FN_LT, ir_scalar(b, DFM_F32, 0.0), keep);
    for (uint32_t k = 0; k < s->m->flats.n; k++) {
        if (!is_trainable(s, k)) continue;
        ir_val acc = sema_use(s, state_input(s, acc_state, k));
        ir_val g = sema_use(s, state_input(s, IR_STATE_G, k));
        b = sema_at(s, (dfm_loc){0});
        ir_val sum = ir_map3(b, IR_FN_SELECT, more, ir_map2(b, IR_FN_ADD, acc, g), g);
        state_result(u, sema_tensor(s, sum), acc_state, k);
        state_result(u, sema_tensor(s, ir_map2(b, IR_FN_MUL, sum, scale)), IR_STATE_G, k);
    }
    sema_root_end(s);
    add_program(u, "step.accumulate", f->graph);
}

/* Every `use` is something, and one of them is the update. */
static bool check_uses(update *u)
{
    struct sema_train *tr = u->s->tr;
    for (uint32_t i = 0; i < tr->uses.n; i++) {
        const train_use *x = tr->uses.p[i];
        use_kind kind = kind_of_use(x);
        if (kind == USE_NONE) {
            diag *d = sema_error(u->s, E0613, x->node->loc, "`%s` is no part of an optimizer",
                                 use_name(x));
            diag_help(d, "its results must be named: w, g, lr or avg");
            return false;
        }
        if (kind == USE_UPDATE && u->rule) {
            diag *d = sema_error(u->s, E0610, x->node->loc, "a second update, `%s`", use_name(x));
            diag_label(d, u->rule->node->loc, "the first one");
            return false;
        }
        if (kind == USE_UPDATE) u->rule = x;
        if (x->skip && (kind != USE_UPDATE || !formal_named(x->fn.node, "decay"))) {
            sema_error(u->s, E0613, x->node->loc, "`skip` is for an update with a formal `decay`");
            return false;
        }
    }
    return true;
}

bool sema_optimizer_programs(sema *s, const ast_node *train)
{
    update *u = dfm_new(s->arena, update);
    u->s = s;
    u->lr = sema_poison();
    if (!s->tr || !check_uses(u)) return false;
    if (!u->rule) return true;               /* gradients only */
    sema_frame *f = sema_root_begin(s, "step.update");
    sema_act_begin(s, train, s->main, train->name_loc);
    inputs(u);
    bool ok = base_rate(u) && schedules(u) && change_gradients(u) && update_weights(u)
        && averages(u);
    if (ok) {
        output(u, u->lr, "lr");
        output(u, u->first_norm, "grad_norm");
    }
    sema_act_end(s);
    sema_root_end(s);
    if (!ok) return false;
    add_program(u, "step.update", f->graph);
    accumulate_program(u);
    return true;
}

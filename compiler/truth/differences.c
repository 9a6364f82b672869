/* differences.c - see differences.h. */
#include "compiler/truth/differences.h"

#include <math.h>
#include <string.h>
#include <time.h>

#include "compiler/pass/autodiff.h"
#include "runtime/base/philox.h"

enum { ATTEMPTS = 6, MAX_INPUTS = 64 };

typedef struct target {
    const char *name;
    ir_type type;
    double *x;                               /* its values: changed while a difference is taken */
    uint32_t result;                         /* of the graph of gradients */
    bool is_param;
} target;

typedef struct work {
    ir_module *m;
    const differences_options *o;
    dfm_arena *a, *run;                      /* run: of one evaluation */
    differences_report *out;
    ir_graph *loss, *grad;
    ir_graph *frozen;                        /* the loss, with stop_grad's values as inputs */
    double *params[1 << 12], *inputs[MAX_INPUTS];
    ir_type input_type[MAX_INPUTS];
    const char *input_name[MAX_INPUTS];
    uint32_t n_inputs, n_frozen;             /* inputs from n_inputs on: values of stop_grad */
    target *targets;
    uint32_t n_targets;
    double base;                             /* the loss */
    double *old;                             /* values while they are moved */
    double since;
} work;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* -- what stands in the way -------------------------------------------------------------------- */

typedef bool op_test(const ir_module *m, const ir_op *op);

static bool contains(const ir_module *m, const ir_graph *g, op_test *is, int depth)
{
    for (uint32_t i = 1; i < g->ops.n && depth < 8; i++) {
        const ir_op *op = &g->ops.p[i];
        if (is(m, op)) return true;
        if (op->kind == IR_SCAN && contains(m, m->graphs.p[op->at->scan.body], is, depth + 1))
            return true;
        if (op->kind == IR_CALL && contains(m, m->graphs.p[op->at->call.body], is, depth + 1))
            return true;
    }
    return false;
}

static bool is_stop(const ir_module *m, const ir_op *op)
{
    (void)m;
    return op->kind == IR_STOP_GRAD;
}

static bool is_rounding(const ir_module *m, const ir_op *op)
{
    return op->kind == IR_CAST && ir_type_of(m, op->type)->dtype == DFM_BF16;
}

/* Bodies too; g itself may have some, whose values are frozen. */
static bool stops_inside(const ir_module *m, const ir_graph *g)
{
    for (uint32_t i = 1; i < g->ops.n; i++) {
        const ir_op *op = &g->ops.p[i];
        if (op->kind == IR_SCAN && contains(m, m->graphs.p[op->at->scan.body], is_stop, 1))
            return true;
        if (op->kind == IR_CALL && contains(m, m->graphs.p[op->at->call.body], is_stop, 1))
            return true;
    }
    return false;
}

static void give_up(work *w, differences_verdict v, const char *why)
{
    w->out->verdict = v;
    w->out->why = dfm_fmt(w->a, "%s", why);
}

/* -- the loss and its gradient ----------------------------------------------------------------- */

static bool is_float(const ir_module *m, ir_type t)
{
    return dfm_dtype_is_float(ir_type_of(m, t)->dtype);
}

static ir_val weighed(work *w, ir_builder *b, ir_val v, uint64_t stream)
{
    const ir_type_info t = *ir_type_of(w->m, ir_type_at(b->g, v));
    ir_type wt = ir_tensor(w->m, DFM_F32, t.dims, t.rank);
    uint64_t n = ir_elems(w->m, wt);
    double *x = dfm_new_n(w->m->arena, double, n);
    for (uint64_t i = 0; i < n; i++)
        x[i] = 0.5 + (double)dfm_draw_uniform(w->o->seed, 900 + stream, 0, 0, 0, (uint32_t)i);
    ir_val y = ir_map2(b, IR_FN_MUL, v, ir_table(b, wt, x));
    return t.rank ? ir_reduce_over(b, IR_RED_SUM, y, t.dims, t.rank) : y;
}

/* g with one number as its result. False: no result is a float. */
static bool make_loss(work *w, const ir_graph *g)
{
    w->loss = ir_graph_create(w->m, "differences.loss", NULL);
    ir_builder b = {.m = w->m, .g = w->loss};
    ir_val in[MAX_INPUTS], *results = dfm_new_n(w->a, ir_val, g->results.n + 1), sum = {0};
    for (uint32_t i = 0; i < g->inputs.n; i++) {
        const ir_op *op = ir_op_of(g, g->inputs.p[i]);
        w->input_type[i] = op->type;
        w->input_name[i] = dfm_name_str(w->m->names, op->at->input.name);
        in[i] = ir_input_new(&b, op->type, IR_ROLE_FORMAL, i, w->input_name[i]);
    }
    w->n_inputs = g->inputs.n;
    ir_inline(&b, g, in, results);
    for (uint32_t r = 0; r < g->results.n; r++) {
        ir_type t = ir_type_at(w->loss, results[r]);
        if (!is_float(w->m, t)) continue;
        bool alone = g->results.n == 1 && !ir_type_of(w->m, t)->rank;
        ir_val x = alone ? results[r] : weighed(w, &b, results[r], r);
        x = ir_cast(&b, x, DFM_F32);
        sum = sum.i ? ir_map2(&b, IR_FN_ADD, sum, x) : x;
    }
    if (sum.i) ir_result_add(&b, sum, "loss");
    return sum.i != 0;
}

/* The same, where each stop_grad is an input: what differences move must not move its value. */
static bool make_frozen(work *w)
{
    const ir_graph *g = w->loss;
    w->frozen = ir_graph_create(w->m, "differences.frozen", NULL);
    ir_builder b = {.m = w->m, .g = w->frozen};
    ir_val *map = dfm_new_n(w->a, ir_val, g->ops.n), args[64];
    for (uint32_t i = 1; i < g->ops.n; i++) {
        const ir_op *op = &g->ops.p[i];
        if (op->n_args > DFM_LEN(args)) return false;
        if (op->kind == IR_INPUT) {
            map[i] = ir_input_new(&b, op->type, IR_ROLE_FORMAL, op->at->input.index,
                                  dfm_name_str(w->m->names, op->at->input.name));
            continue;
        }
        if (op->kind == IR_STOP_GRAD) {
            uint32_t k = w->n_inputs + w->n_frozen++;
            if (k >= MAX_INPUTS) return false;
            w->input_type[k] = op->type;
            w->inputs[k] = dfm_new_n(w->a, double, ir_elems(w->m, op->type) + 1);
            map[i] = ir_input_new(&b, op->type, IR_ROLE_FORMAL, k, dfm_fmt(w->a, "stop.%u", k));
            continue;
        }
        for (uint32_t j = 0; j < op->n_args; j++) args[j] = map[op->args[j].i];
        map[i] = ir_emit_copy(&b, op, args);
    }
    ir_result_add(&b, map[g->results.p[0].val.i], "loss");
    return true;
}

/* Values of stop_grad at the base point, in the order of make_frozen. */
static void keep_stops(void *user, const ir_graph *g, ir_val v, const double *data)
{
    work *w = user;
    uint32_t k = w->n_inputs;
    if (g != w->loss || ir_op_of(g, v)->kind != IR_STOP_GRAD) return;
    for (uint32_t i = 1; i < v.i; i++) k += g->ops.p[i].kind == IR_STOP_GRAD;
    memcpy(w->inputs[k], data, ir_elems(w->m, w->input_type[k]) * sizeof *data);
}

static bool make_gradient(work *w)
{
    dfm_err err = {0};
    ir_val wrt[MAX_INPUTS];
    ad_request rq = {.params = true, .wrt = wrt};
    for (uint32_t i = 0; w->o->inputs && i < w->n_inputs; i++)
        if (is_float(w->m, w->input_type[i])) wrt[rq.n_wrt++] = w->loss->inputs.p[i];
    pass_ctx cx = {.m = w->m, .err = &err, .scratch = dfm_arena_create("scratch")};
    w->grad = ir_graph_create(w->m, "differences.grad", NULL);
    bool ok = ad_grad(&cx, w->loss, &rq, w->grad);
    dfm_arena_destroy(cx.scratch);
    if (!ok) give_up(w, DIFFERENCES_FAILED, err.text);
    return ok;
}

/* Which parameters does the graph use? */
static void used_params(const ir_graph *g, bool *used)
{
    for (uint32_t i = 1; i < g->ops.n; i++)
        if (g->ops.p[i].kind == IR_PARAM) used[g->ops.p[i].at->param] = true;
}

static void make_targets(work *w)
{
    bool *used = dfm_new_n(w->a, bool, w->m->params.n + 1);
    used_params(w->loss, used);
    w->targets = dfm_new_n(w->a, target, w->m->params.n + w->n_inputs + 1);
    uint32_t r = 1;
    for (uint32_t p = 0; p < w->m->params.n; p++) {
        const ir_param *q = &w->m->params.p[p];
        w->params[p] = dfm_new_n(w->a, double, ir_elems(w->m, q->type) + 1);
        if (!q->trainable) continue;
        if (used[p])
            w->targets[w->n_targets++] = (target){dfm_name_str(w->m->names, q->path), q->type,
                                                  w->params[p], r, true};
        r++;
    }
    for (uint32_t i = 0; i < w->n_inputs; i++) {
        w->inputs[i] = dfm_new_n(w->a, double, ir_elems(w->m, w->input_type[i]) + 1);
        if (!w->o->inputs || !is_float(w->m, w->input_type[i])) continue;
        w->targets[w->n_targets++] = (target){w->input_name[i], w->input_type[i], w->inputs[i], r,
                                              false};
        r++;
    }
}

/* -- values ------------------------------------------------------------------------------------ */

static double draw(const work *w, uint32_t attempt, uint64_t stream, uint64_t i)
{
    uint64_t seed = w->o->seed + 1000u * attempt;
    double n = (double)dfm_draw_normal(seed, stream, 0, 0, 0, (uint32_t)i);
    double u = (double)dfm_draw_uniform(seed, stream, 0, 0, 0, (uint32_t)i);
    switch (attempt % 3) {                   /* about 0; positive; between 0 and 1 */
    case 0: return 0.7 * n;
    case 1: return 0.4 + 0.5 * fabs(n);
    default: return 0.1 + 0.8 * u;
    }
}

static void fill(work *w, uint32_t attempt)
{
    for (uint32_t p = 0; p < w->m->params.n; p++) {
        const ir_param *q = &w->m->params.p[p];
        uint64_t n = ir_elems(w->m, q->type);
        double base = q->init == IR_INIT_ONES ? 1 : q->init == IR_INIT_CONSTANT ? q->init_a : 0;
        for (uint64_t i = 0; i < n; i++) {
            double x = (double)dfm_draw_normal(w->o->seed + attempt, 300 + p, 0, 0, 0, (uint32_t)i);
            w->params[p][i] = q->init == IR_INIT_TABLE ? q->table[i]
                                                       : base + (base != 0 ? 0.2 : 0.3) * x;
        }
    }
    for (uint32_t k = 0; k < w->n_inputs; k++) {
        dfm_dtype d = ir_type_of(w->m, w->input_type[k])->dtype;
        uint64_t n = ir_elems(w->m, w->input_type[k]);
        for (uint64_t i = 0; i < n; i++)
            w->inputs[k][i] =
                dfm_dtype_is_float(d)
                    ? draw(w, attempt, 100 + k, i)
                    : dfm_draw_randint(w->o->seed + attempt, 100 + k, 0, 0, 0, (uint32_t)i, 0,
                                       d == DFM_BOOL ? 2 : 7);
    }
}

static const double *lookup(void *user, const ir_module *m, const ir_graph *g, ir_val v)
{
    const work *w = user;
    const ir_op *op = ir_op_of(g, v);
    (void)m;
    if (op->kind == IR_PARAM) return w->params[op->at->param];
    return op->kind == IR_INPUT ? w->inputs[op->at->input.index] : NULL;
}

static bool evaluate(work *w, const ir_graph *g, dfm_arena *a, const double **out)
{
    dfm_err err = {0};
    ir_env env = {.round = IR_EXACT, .seed = w->o->seed, .step = 2, .lookup = lookup, .user = w,
                  .trace = g == w->loss ? keep_stops : NULL};
    bool ok = ir_interpret(w->m, g, &env, a, out, &err) == DFM_OK;
    if (!ok) give_up(w, DIFFERENCES_FAILED, err.text);
    return ok;
}

static double loss_at(work *w)
{
    const double *out[1] = {0};
    double x = evaluate(w, w->frozen, w->run, out) ? out[0][0] : NAN;
    dfm_arena_reset(w->run);
    return x;
}

/* -- one place --------------------------------------------------------------------------------- */

typedef enum place_verdict { PLACE_FINE, PLACE_KINK, PLACE_WRONG } place_verdict;

/* along: NULL for the element `at`. */
static double moved(work *w, const target *t, uint64_t at, const double *along, double h)
{
    uint64_t n = ir_elems(w->m, t->type), from = along ? 0 : at, to = along ? n : at + 1;
    for (uint64_t i = from; i < to; i++) w->old[i] = t->x[i], t->x[i] += along ? h * along[i] : h;
    double y = loss_at(w);
    for (uint64_t i = from; i < to; i++) t->x[i] = w->old[i];
    return y;
}

static place_verdict compare(work *w, const target *t, uint64_t at, const double *along,
                             double gradient, double scale, double *out_difference)
{
    const double h = 2e-4;
    double up = moved(w, t, at, along, h), down = moved(w, t, at, along, -h);
    double up2 = moved(w, t, at, along, h / 2), down2 = moved(w, t, at, along, -h / 2);
    double far = (up - down) / (2 * h), close = (up2 - down2) / h;
    double d = *out_difference = (4 * close - far) / 3;
    double size = fabs(gradient) + scale + 1e-7 * (1 + fabs(w->base));
    double error = fabs(d - gradient) / size;
    if (!isfinite(d)) return PLACE_KINK;
    if (error <= w->o->tolerance) {
        if (error > w->out->worst) w->out->worst = error;
        return PLACE_FINE;
    }
    /* smooth: the two differences agree to h^2, and the bend halves with the step */
    double bend = fabs(up - 2 * w->base + down) / h,
           bend2 = 2 * fabs(up2 - 2 * w->base + down2) / h;
    double gap = fabs(far - close);
    bool apart = gap > 0.1 * w->o->tolerance * size && gap > 1e-3 * fabs(d - gradient);
    bool kink = bend2 > 0.8 * bend && bend > 0.1 * w->o->tolerance * size;
    return apart || kink ? PLACE_KINK : PLACE_WRONG;
}

static const char *place_text(work *w, const target *t, uint64_t at)
{
    const ir_type_info *ti = ir_type_of(w->m, t->type);
    dfm_sb sb = dfm_sb_make(w->a);
    uint64_t after = ir_elems(w->m, t->type);
    dfm_sb_puts(&sb, t->name);
    for (uint32_t k = 0; k < ti->rank; k++) {
        uint64_t n = (uint64_t)ir_extent(w->m, ti->dims[k]);
        after /= n;
        dfm_sb_printf(&sb, "%s%s=%llu", k ? ", " : "[", ir_dim_str(w->m, ti->dims[k]),
                      (unsigned long long)(at / after % n));
    }
    if (ti->rank) dfm_sb_puts(&sb, "]");
    return dfm_sb_cstr(&sb);
}

static void wrong(work *w, const target *t, const char *place, double gradient, double difference)
{
    differences_report *r = w->out;
    double size = fabs(gradient) + 1e-12, e = fabs(gradient - difference) / size;
    if (r->verdict == DIFFERENCES_DISAGREE) return;
    r->verdict = DIFFERENCES_DISAGREE;
    if (e > r->worst) r->worst = e;
    r->target = t->name;
    r->is_param = t->is_param;
    r->place = place;
    r->gradient = gradient;
    r->difference = difference;
}

/* Places of one target. False: every one of them is a kink. */
static bool check_target(work *w, const target *t, const double *dx, uint32_t attempt)
{
    uint64_t n = ir_elems(w->m, t->type), fine = 0;
    double square = 0, along_g = 0, d;
    double *along = dfm_new_n(w->a, double, n + 1);
    for (uint64_t i = 0; i < n; i++) {
        square += dx[i] * dx[i];
        along[i] = dfm_draw_randint(w->o->seed + attempt, 77, 0, 0, 0, (uint32_t)i, 0, 2) ? 1 : -1;
        along_g += along[i] * dx[i];
    }
    double scale = sqrt(square / (double)(n ? n : 1));
    uint64_t tries = n < w->o->per_tensor ? n : w->o->per_tensor;
    for (uint64_t k = 0; k <= tries; k++) {
        bool all = k == tries;
        uint64_t at = tries == n ? k : (uint64_t)dfm_draw_randint(w->o->seed + attempt, 78, 0, 0, 0,
                                                                  (uint32_t)k, 0, (int32_t)n);
        if (all && n == 1) break;
        double g = all ? along_g : dx[at];
        double size = all ? scale * sqrt((double)n) : scale;
        switch (compare(w, t, at, all ? along : NULL, g, size, &d)) {
        case PLACE_FINE: fine++, w->out->n_tried++; break;
        case PLACE_KINK: w->out->n_kinks++; break;
        case PLACE_WRONG:
            wrong(w, t,
                  all ? dfm_fmt(w->a, "%s, along a direction", t->name) : place_text(w, t, at), g,
                  d);
            return true;
        }
        if (w->o->seconds > 0 && now() - w->since > w->o->seconds && fine) return true;
    }
    return fine > 0;
}

/* -- all --------------------------------------------------------------------------------------- */

static bool finite_all(work *w, const double *const *out)
{
    for (uint32_t r = 0; r < w->grad->results.n; r++) {
        uint64_t n = ir_elems(w->m, ir_type_at(w->grad, w->grad->results.p[r].val));
        for (uint64_t i = 0; i < n; i++)
            if (!isfinite(out[r][i])) return false;
    }
    return true;
}

static void attempts(work *w)
{
    bool *done = dfm_new_n(w->a, bool, w->n_targets + 1), ever_finite = false;
    uint32_t left = w->n_targets;
    for (uint32_t k = 0; k < ATTEMPTS && left; k++) {
        const double **out = dfm_new_n(w->a, const double *, w->grad->results.n + 1);
        fill(w, k);
        const double *loss[1];
        if (!evaluate(w, w->grad, w->a, out) || !evaluate(w, w->loss, w->run, loss)) return;
        dfm_arena_reset(w->run);
        if (!finite_all(w, out)) continue;
        ever_finite = true;
        w->base = out[0][0];
        for (uint32_t t = 0; t < w->n_targets; t++) {
            if (done[t]) continue;
            done[t] = check_target(w, &w->targets[t], out[w->targets[t].result], k);
            left -= done[t];
            if (w->out->verdict != DIFFERENCES_AGREE) return;
        }
    }
    if (!ever_finite) give_up(w, DIFFERENCES_NOT_TRIED, "not finite at any inputs tried");
    for (uint32_t t = 0; left && ever_finite && t < w->n_targets; t++)
        if (!done[t])
            give_up(w, DIFFERENCES_NOT_TRIED,
                    dfm_fmt(w->a, "`%s` has a kink wherever it was tried", w->targets[t].name));
}

void differences_check(ir_module *m, const ir_graph *g, const differences_options *o, dfm_arena *a,
                       differences_report *out)
{
    work *w = dfm_new(a, work);
    *out = (differences_report){.verdict = DIFFERENCES_AGREE};
    *w = (work){.m = m, .o = o, .out = out, .a = a, .since = now()};
    if (stops_inside(m, g)) {
        give_up(w, DIFFERENCES_NOT_TRIED, "stop_grad in a repeat: its gradient is no derivative");
        return;
    }
    if (contains(m, g, is_rounding, 0)) {
        give_up(w, DIFFERENCES_NOT_TRIED, "it rounds to bf16: try --precision f32");
        return;
    }
    if (g->inputs.n > MAX_INPUTS || m->params.n > DFM_LEN(w->params)) {
        give_up(w, DIFFERENCES_NOT_TRIED, "too many inputs or parameters");
        return;
    }
    if (!make_loss(w, g)) {
        give_up(w, DIFFERENCES_NONE, "no result is a float");
        return;
    }
    if (!make_gradient(w)) return;
    if (!make_frozen(w)) {
        give_up(w, DIFFERENCES_NOT_TRIED, "too many operands");
        return;
    }
    make_targets(w);
    if (!w->n_targets) {
        give_up(w, DIFFERENCES_NONE, "no float input");
        return;
    }
    uint64_t most = 1;
    for (uint32_t t = 0; t < w->n_targets; t++) {
        uint64_t n = ir_elems(m, w->targets[t].type);
        most = n > most ? n : most;
    }
    w->old = dfm_new_n(a, double, most);
    w->run = dfm_arena_create("differences");
    attempts(w);
    dfm_arena_destroy(w->run);
}

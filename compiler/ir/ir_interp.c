/* ir_interp.c - the interpreter: what a graph means, in float64, one op after the other.
 *
 * Nothing is clever here. Pure ops are evaluated by ir_eval_op; this file has what needs an
 * environment (inputs, parameters, draws), what has several results, and the regions.
 */
#include "compiler/ir/ir_impl.h"

#include <math.h>
#include <string.h>

#include "runtime/base/hash.h"
#include "runtime/base/philox.h"

typedef struct value {
    const double *p;                         /* tensor */
    const double **members;                  /* tuple */
} value;

typedef struct run {
    const ir_module *m;
    const ir_env *env;
    dfm_err *err;
} run;

typedef struct frame {                       /* one graph being evaluated */
    const run *r;
    const ir_graph *g;
    dfm_arena *a;
    value *vals;
} frame;

/* One of the two neighbours of x in dt, f32 or bf16 (x itself if it is one). */
static double either(dfm_dtype dt, double x, uint64_t seed)
{
    const double near = dfm_round_to(dt, x);
    if (near == x || !isfinite(near)) return near;
    if (dfm_hash64(&x, sizeof x, seed) & 1) return near;
    if (dt == DFM_F32) return (double)nextafterf((float)near, near < x ? INFINITY : -INFINITY);
    if (near == 0) return near;
    const bool away = fabs(near) < fabs(x);
    return (double)dfm_bf16_to_f32((uint16_t)(dfm_f32_to_bf16((float)near) + (away ? 1 : -1)));
}

double ir_rounded(ir_rounding r, dfm_dtype dt, double x, uint64_t i)
{
    if (r.how == IR_EXACT || (dt != DFM_F32 && dt != DFM_BF16)) return x;
    if (r.how == IR_ROUND_EITHER && r.seed) return either(dt, x, r.seed + i);
    return dt == DFM_BF16 && r.how >= IR_ROUND_ALL ? dfm_round_to(DFM_BF16, x) : (double)(float)x;
}

/* Of the results of v; of what comes from outside for {0}. */
static ir_rounding rounding_of(const run *r, ir_val v)
{
    return (ir_rounding){r->env->round, v.i ? (r->env->round_seed << 32 | v.i) << 16 : 0};
}

/* Rounds n elements typed dt in place, as the mode says; `v`: whose they are. */
static void round_values(const run *r, dfm_dtype dt, double *p, uint64_t n, ir_val v)
{
    const ir_rounding how = rounding_of(r, v);
    if (how.how == IR_EXACT) return;
    for (uint64_t i = 0; i < n; i++) p[i] = ir_rounded(how, dt, p[i], i);
}

/* -- leaves ---------------------------------------------------------------------------------- */

static const double *outside(const frame *f, ir_val v)
{
    const ir_env *e = f->r->env;
    const double *given = e->lookup ? e->lookup(e->user, f->r->m, f->g, v) : NULL;
    if (!given || e->round == IR_EXACT) return given;
    ir_type t = ir_type_at(f->g, v);
    uint64_t n = ir_elems(f->r->m, t);
    double *own = dfm_dup(f->a, given, n * sizeof *own);
    round_values(f->r, ir_type_of(f->r->m, t)->dtype, own, n, (ir_val){0});
    return own;
}

static double draw(const ir_random *at, uint32_t w[4], uint32_t e)
{
    float even, odd;
    switch (at->dist) {
    case IR_UNIFORM: return (double)dfm_word_uniform(w[e & 3]);
    case IR_RANDINT: return dfm_word_randint(w[e & 3], (int32_t)at->lo, (int32_t)at->hi);
    default:
        dfm_words_normal(w[e & 2], w[(e & 2) | 1], &even, &odd);
        return (double)(e & 1 ? odd : even);
    }
}

/* One draw per element, keyed as philox.h says: the element counts within one sample. */
static const double *draw_all(const frame *f, const ir_op *op)
{
    const ir_module *m = f->r->m;
    const ir_random *at = &op->at->random;
    const ir_type_info *t = ir_type_of(m, op->type);
    uint64_t n = ir_elems(m, op->type), inner = 1, samples = 1;
    uint32_t loop = 0, key[2], w[4];
    int where = at->sample.i ? ir_dim_at(m, op->type, at->sample) : -1;
    for (int i = where + 1; i < t->rank && where >= 0; i++)
        inner *= (uint64_t)ir_extent(m, t->dims[i]);
    if (where >= 0) samples = (uint64_t)ir_extent(m, at->sample);
    for (uint32_t k = 0; k < op->n_args; k++)
        loop = dfm_draw_loop(loop, (uint32_t)(int64_t)f->vals[op->args[k].i].p[0]);
    dfm_draw_key(f->r->env->seed, at->stream, key);
    double *out = dfm_new_n(f->a, double, n);
    for (uint64_t i = 0; i < n; i++) {
        uint64_t s = where >= 0 ? i / inner % samples : 0;
        uint64_t e = where >= 0 ? i / (inner * samples) * inner + i % inner : i;
        uint64_t sample = where >= 0 ? s + (uint64_t)f->r->env->first_sample : 0;
        dfm_draw_words(key, (uint32_t)f->r->env->step, (uint32_t)sample, loop, (uint32_t)e, w);
        out[i] = draw(at, w, (uint32_t)e);
    }
    return out;
}

static dfm_status leaf(const frame *f, ir_val v, const double **out)
{
    const ir_op *op = ir_op_of(f->g, v);
    const ir_module *m = f->r->m;
    *out = outside(f, v);
    if (*out) return DFM_OK;
    if (op->kind == IR_RANDOM) {
        *out = draw_all(f, op);
        return DFM_OK;
    }
    const char *name = op->kind == IR_PARAM
        ? dfm_name_str(m->names, m->params.p[op->at->param].path)
        : dfm_name_str(m->names, op->at->input.name);
    return dfm_fail(f->r->err, DFM_BAD_DATA, "no value given for %s '%s' of graph '%s'",
                    ir_op_name(op->kind), name, dfm_name_str(m->names, f->g->name));
}

/* -- regions --------------------------------------------------------------------------------- */

static dfm_status run_graph(const run *r, const ir_graph *g, const double *const *inputs,
                            dfm_arena *a, const double **out);

static dfm_status run_call(const frame *f, ir_val v)
{
    const ir_op *op = ir_op_of(f->g, v);
    const ir_graph *body = f->r->m->graphs.p[op->at->call.body];
    const double **args = dfm_new_n(f->a, const double *, op->n_args);
    const double **out = dfm_new_n(f->a, const double *, body->results.n);
    for (uint32_t k = 0; k < op->n_args; k++) args[k] = f->vals[op->args[k].i].p;
    DFM_TRY(run_graph(f->r, body, args, f->a, out));
    if (ir_type_of(f->r->m, op->type)->is_tuple) f->vals[v.i].members = out;
    else f->vals[v.i].p = out[0];
    return DFM_OK;
}

typedef struct scan_state {
    const ir_scan *at;
    const ir_graph *body;
    const double **in;                       /* of the body: iter, carries, xs, captures */
    const double **next;                     /* results of the body */
    double **members;                        /* carries and stacked ys: the scan's own memory */
    uint64_t *elems;                         /* per result of the body */
} scan_state;

static dfm_status run_iteration(const frame *f, const ir_op *op, scan_state *s, int64_t it,
                                dfm_arena *scratch)
{
    const ir_scan *at = s->at;
    double iter = (double)it;
    s->in[0] = &iter;
    for (uint32_t k = 0; k < at->n_carry; k++) s->in[1 + k] = s->members[k];
    for (uint32_t k = at->n_carry; k < op->n_args; k++) {
        const double *p = f->vals[op->args[k].i].p;
        if (k < at->n_carry + at->n_xs)
            p += ir_elems(f->r->m, ir_type_at(s->body, s->body->inputs.p[1 + k])) * (uint64_t)it;
        s->in[1 + k] = p;
    }
    DFM_TRY(run_graph(f->r, s->body, s->in, scratch, s->next));
    const double **carries = dfm_new_n(scratch, const double *, at->n_carry);
    for (uint32_t k = 0; k < at->n_carry; k++)       /* results may be formals of carries */
        carries[k] = dfm_dup(scratch, s->next[k], s->elems[k] * sizeof(double));
    for (uint32_t k = at->n_carry; k < at->n_carry + at->n_ys; k++)
        memcpy(s->members[k] + s->elems[k] * (uint64_t)it, s->next[k],
               s->elems[k] * sizeof(double));
    for (uint32_t k = 0; k < at->n_carry; k++)
        memcpy(s->members[k], carries[k], s->elems[k] * sizeof(double));
    return DFM_OK;
}

static dfm_status run_scan(const frame *f, ir_val v)
{
    const ir_op *op = ir_op_of(f->g, v);
    const ir_scan *at = &op->at->scan;
    const ir_module *m = f->r->m;
    scan_state s = {.at = at, .body = m->graphs.p[at->body]};
    uint32_t n = at->n_carry + at->n_ys;
    int64_t trips = ir_extent(m, at->loop);
    s.in = dfm_new_n(f->a, const double *, op->n_args + 1);
    s.next = dfm_new_n(f->a, const double *, n);
    s.members = dfm_new_n(f->a, double *, n);
    s.elems = dfm_new_n(f->a, uint64_t, n);
    for (uint32_t k = 0; k < n; k++) {
        bool carry = k < at->n_carry;
        s.elems[k] = ir_elems(m, ir_type_at(s.body, s.body->results.p[k].val));
        s.members[k] = dfm_new_n(f->a, double, s.elems[k] * (carry ? 1 : (uint64_t)trips));
        if (carry) memcpy(s.members[k], f->vals[op->args[k].i].p, s.elems[k] * sizeof(double));
    }
    dfm_arena *scratch = dfm_arena_create("iteration");
    dfm_status st = DFM_OK;
    for (int64_t i = 0; i < trips && st == DFM_OK; i++) {
        dfm_arena_reset(scratch);
        st = run_iteration(f, op, &s, at->reverse ? trips - 1 - i : i, scratch);
    }
    dfm_arena_destroy(scratch);
    f->vals[v.i].members = (const double **)s.members;
    return st;
}

/* -- ops ------------------------------------------------------------------------------------- */

static void run_attend(const frame *f, ir_val v)
{
    const ir_op *op = ir_op_of(f->g, v);
    const ir_type_info *t = ir_type_of(f->r->m, op->type);
    const double *args[7];
    double **out = dfm_new_n(f->a, double *, t->n_members);
    for (uint32_t k = 0; k < op->n_args; k++) args[k] = f->vals[op->args[k].i].p;
    for (uint32_t k = 0; k < t->n_members; k++)
        out[k] = dfm_new_n(f->a, double, ir_elems(f->r->m, t->members[k]));
    ir_eval_attend(f->r->m, f->g, op, args, rounding_of(f->r, v), out);
    for (uint32_t k = 0; k < t->n_members; k++)
        round_values(f->r, ir_type_of(f->r->m, t->members[k])->dtype, out[k],
                     ir_elems(f->r->m, t->members[k]), v);
    f->vals[v.i].members = (const double **)out;
}

static void run_pure(const frame *f, ir_val v)
{
    const ir_op *op = ir_op_of(f->g, v);
    const double *args[3];
    uint64_t n = ir_elems(f->r->m, op->type);
    double *out = dfm_new_n(f->a, double, n);
    for (uint32_t k = 0; k < op->n_args; k++) args[k] = f->vals[op->args[k].i].p;
    ir_eval_op(f->r->m, f->g, op, args, out);
    round_values(f->r, ir_type_of(f->r->m, op->type)->dtype, out, n, v);
    f->vals[v.i].p = out;
}

static dfm_status run_op(const frame *f, ir_val v)
{
    const ir_op *op = ir_op_of(f->g, v);
    switch (op->kind) {
    case IR_INPUT:
    case IR_PARAM:
    case IR_RANDOM: return f->vals[v.i].p ? DFM_OK : leaf(f, v, &f->vals[v.i].p);
    case IR_GET: f->vals[v.i].p = f->vals[op->args[0].i].members[op->at->member]; return DFM_OK;
    case IR_ATTEND:
    case IR_ATTEND_BWD: run_attend(f, v); return DFM_OK;
    case IR_SCAN: return run_scan(f, v);
    case IR_CALL: return run_call(f, v);
    default: run_pure(f, v); return DFM_OK;
    }
}

/* inputs: values of a body's formals, or NULL for a program, which looks them up. */
static dfm_status run_graph(const run *r, const ir_graph *g, const double *const *inputs,
                            dfm_arena *a, const double **out)
{
    frame f = {.r = r, .g = g, .a = a, .vals = dfm_new_n(a, value, g->ops.n)};
    for (uint32_t i = 0; inputs && i < g->inputs.n; i++) f.vals[g->inputs.p[i].i].p = inputs[i];
    for (uint32_t i = 1; i < g->ops.n; i++) {
        ir_val v = {i};
        DFM_TRY(run_op(&f, v));
        if (r->env->trace && f.vals[i].p) r->env->trace(r->env->user, g, v, f.vals[i].p);
    }
    for (uint32_t i = 0; i < g->results.n; i++) out[i] = f.vals[g->results.p[i].val.i].p;
    return DFM_OK;
}

dfm_status ir_interpret(const ir_module *m, const ir_graph *g, const ir_env *env, dfm_arena *a,
                        const double **out, dfm_err *err)
{
    run r = {.m = m, .env = env, .err = err};
    return run_graph(&r, g, NULL, a, out);
}

/* levels.c - the same inputs through the interpreters of G and K and through compiled code. */
#include "compiler/truth/levels.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/philox.h"
#include "codegen/cpu/code_run.h"
#include "compiler/truth/shadow.h"

typedef struct named { dfm_name name; const double *data; } named;

typedef struct bench {
    ir_module *m;
    const levels_options *o;
    levels_report *out;
    dfm_arena *a;
    const double **params;                   /* by parameter: stacked values */
    double ***states;                        /* [state][flat]: values */
    DFM_VEC(named) inputs;
    kir_module *k, shown;                    /* shown: with the programs that are compiled */
    code_run code;
} bench;

struct levels { bench b; };

static bool bad(bench *b, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    vsnprintf(b->out->text, sizeof b->out->text, format, ap);
    va_end(ap);
    return false;
}

/* -- inputs ------------------------------------------------------------------------------------ */

static double *numbers(bench *b, dfm_dtype d, uint64_t n, uint64_t stream)
{
    double *x = dfm_new_n(b->a, double, n ? n : 1);
    for (uint64_t i = 0; i < n; i++) {
        if (d == DFM_BOOL) x[i] = dfm_draw_randint(b->o->seed, stream, 0, 0, 0, (uint32_t)i, 0, 2);
        else if (!dfm_dtype_is_float(d))
            x[i] = dfm_draw_randint(b->o->seed, stream, 0, 0, 0, (uint32_t)i, 0, 7);
        else
            x[i] = dfm_round_to(
                d, (double)dfm_draw_normal(b->o->seed, stream, 0, 0, 0, (uint32_t)i));
    }
    return x;
}

/* Parameters live in the flat buffers of state W, small enough that deep networks stay tame; states
 * of the optimizer are positive, for they may be means of squares. */
static void make_states(bench *b)
{
    ir_module *m = b->m;
    b->params = dfm_new_n(b->a, const double *, m->params.n + 1);
    b->states = dfm_new_n(b->a, double **, m->states.n + 2);
    for (uint32_t s = 0; s < m->states.n || s < 1; s++) {
        b->states[s] = dfm_new_n(b->a, double *, m->flats.n + 1);
        for (uint32_t f = 0; f < m->flats.n; f++) {
            dfm_dtype d = s < m->states.n && m->states.p[s].dtype ? m->states.p[s].dtype
                                                                  : m->flats.p[f].dtype;
            double *x = b->states[s][f] = numbers(b, d, m->flats.p[f].n_elems, 1000 + s * 64 + f);
            for (uint64_t i = 0; i < m->flats.p[f].n_elems; i++)
                x[i] = dfm_round_to(d, s < IR_STATE_FIRST_OPT ? 0.2 * x[i] : fabs(x[i]) * 0.1);
        }
    }
    for (uint32_t p = 0; p < m->params.n; p++)
        b->params[p] = b->states[IR_STATE_W][m->params.p[p].group] + m->params.p[p].flat_offset;
}

static const double *input_data(bench *b, dfm_name name, ir_type t)
{
    for (uint32_t i = 0; i < b->inputs.n; i++)
        if (dfm_name_eq(b->inputs.p[i].name, name)) return b->inputs.p[i].data;
    double *x = numbers(b, ir_type_of(b->m, t)->dtype, ir_elems(b->m, t), 7000 + b->inputs.n);
    bool is_float = dfm_dtype_is_float(ir_type_of(b->m, t)->dtype);
    for (uint64_t i = 0; b->o->positive && is_float && i < ir_elems(b->m, t); i++)
        x[i] = dfm_round_to(ir_type_of(b->m, t)->dtype, 0.25 + 0.5 * fabs(x[i]));
    dfm_push(b->a, &b->inputs, ((named){name, x}));
    return x;
}

static const double *lookup(void *user, const ir_module *m, const ir_graph *g, ir_val v)
{
    bench *b = user;
    const ir_op *op = ir_op_of(g, v);
    static const double step = 3;
    if (op->kind == IR_PARAM) return b->params[op->at->param];
    if (op->kind != IR_INPUT) return NULL;
    uint32_t at = op->at->input.index;
    if (op->at->input.role == IR_ROLE_STATE)
        return b->states[at / IR_STATE_STRIDE][at % IR_STATE_STRIDE];
    if (op->at->input.role == IR_ROLE_SCALAR) return &step;
    return input_data(b, op->at->input.name, op->type);
    (void)m;
}

/* -- K memory ---------------------------------------------------------------------------------- */

typedef struct memory {
    void **base;                             /* by buffer */
    char *arena;
    void ***states;                          /* [state][flat]: stored */
} memory;

static void *stored(bench *b, dfm_dtype d, const double *x, uint64_t n)
{
    char *p = dfm_alloc(b->a, (n + 16) * dfm_dtype_bytes(d));
    for (uint64_t i = 0; i < n; i++) dfm_store_double(d, p, i, x[i]);
    return p;
}

static memory make_memory(bench *b, const kir_module *k, const kir_program *p)
{
    ir_module *m = b->m;
    memory mem = {.base = dfm_new_n(b->a, void *, k->bufs.n),
                  .arena = dfm_alloc(b->a, p->arena_bytes + 64),
                  .states = dfm_new_n(b->a, void **, m->states.n + 2)};
    memset(mem.arena, 0xa5, p->arena_bytes);            /* what nobody wrote shows */
    for (uint32_t s = 0; s < m->states.n || s < 1; s++) {
        mem.states[s] = dfm_new_n(b->a, void *, m->flats.n + 1);
        for (uint32_t f = 0; f < m->flats.n; f++) {
            dfm_dtype d = s < m->states.n && m->states.p[s].dtype ? m->states.p[s].dtype
                                                                  : m->flats.p[f].dtype;
            mem.states[s][f] = stored(b, d, b->states[s][f], m->flats.p[f].n_elems);
        }
    }
    for (uint32_t i = 1; i < k->bufs.n; i++) {
        const kir_buffer *buf = &k->bufs.p[i];
        if (buf->mem == KIR_MEM_STATE) mem.base[i] = mem.states[buf->state][buf->flat];
        else if (buf->mem == KIR_MEM_CONST)
            mem.base[i] = stored(b, buf->dtype, buf->data, buf->elems);
        else mem.base[i] = mem.arena + buf->offset;
    }
    for (uint32_t i = 0; i < p->inputs.n; i++) {
        const kir_io *io = &p->inputs.p[i];
        if (k->bufs.p[io->arg.buf.i].is_draw) continue;
        const double *x = input_data(b, io->name, io->type);
        for (uint64_t e = 0; e < ir_elems(m, io->type); e++)
            dfm_store_double(io->arg.dtype, mem.base[io->arg.buf.i], (uint64_t)io->arg.offset + e,
                             x[e]);
    }
    return mem;
}

static double scalar(void *user, const char *name) { return (void)user, (void)name, 3; }
static bool replaced(void *user, const char *name) { return (void)user, (void)name, false; }

/* -- comparison -------------------------------------------------------------------------------- */

typedef struct where { dfm_dtype dtype; const void *p; uint64_t offset; } where;

static where result_place(bench *b, const ir_program *ip, const kir_program *p, const memory *mem,
                          const ir_graph *g, uint32_t r)
{
    if (ip->to[r] == IR_TO_OUTPUT) {
        for (uint32_t i = 0; i < p->outputs.n; i++)
            if (dfm_name_eq(p->outputs.p[i].name, g->results.p[r].name))
                return (where){p->outputs.p[i].arg.dtype, mem->base[p->outputs.p[i].arg.buf.i],
                               (uint64_t)p->outputs.p[i].arg.offset};
        return (where){0};
    }
    uint32_t s = ip->to[r] == IR_TO_GRAD ? IR_STATE_G : IR_STATE_W, f, i = ip->index[r];
    if (ip->to[r] == IR_TO_STATE) {
        s = i / IR_STATE_STRIDE;
        f = i % IR_STATE_STRIDE;
    } else
        f = b->m->params.p[i].group;
    dfm_dtype d = s < b->m->states.n && b->m->states.p[s].dtype ? b->m->states.p[s].dtype
                                                                : b->m->flats.p[f].dtype;
    return (where){d, mem->states[s][f],
                   ip->to[r] == IR_TO_STATE ? 0 : b->m->params.p[i].flat_offset};
}

static double distance(const double *x, const double *y, uint64_t n, double noise)
{
    double diff = 0, size = 0;
    for (uint64_t i = 0; i < n; i++) {
        diff += (x[i] - y[i]) * (x[i] - y[i]);
        size += y[i] * y[i];
    }
    if (!(diff == diff)) return INFINITY;
    return diff == 0 ? 0 : sqrt(diff) / (sqrt(size) + (1e-6 + noise) * sqrt((double)n));
}

static bool computes_in_bf16(const ir_module *m)
{
    for (uint32_t i = 1; i < m->types.n; i++)
        if (!m->types.p[i].is_tuple && m->types.p[i].dtype == DFM_BF16) return true;
    return false;
}

/* The largest root mean square among the results that go where result r goes, times `quiet`. */
static double noise_of(bench *b, const ir_program *ip, const ir_graph *g, const double **truth,
                       uint32_t r)
{
    double most = 0;
    for (uint32_t i = 0; i < g->results.n; i++) {
        uint64_t n = ir_elems(b->m, ir_type_at(g, g->results.p[i].val));
        double size = 0;
        for (uint64_t k = 0; k < n && ip->to[i] == ip->to[r]; k++)
            size += truth[i][k] * truth[i][k];
        most = fmax(most, sqrt(size / (double)(n ? n : 1)));
    }
    return b->o->quiet * fmax(most, computes_in_bf16(b->m) ? 0.1 : 1e-3);
}

/* Results of one program with rounding, in some ways. */
enum { N_EITHER = 3 };
typedef struct roundings {
    const double **of[2 + N_EITHER];
    uint32_t n;
    bool either;                             /* IR_ROUND_EITHER is among them */
} roundings;                                 /* the first is IR_ROUND_F32 */

/* Results of the interpreter of G; NULL: it failed, and the report says so. */
static const double **interpret(bench *b, const ir_program *ip, const ir_graph *g, ir_round how,
                                uint64_t round_seed)
{
    dfm_err err = {0};
    ir_env env = {.round = how, .round_seed = round_seed, .seed = b->o->seed, .step = 3,
                  .first_sample = 40, .lookup = lookup, .user = b};
    const double **results = dfm_new_n(b->a, const double *, g->results.n + 1);
    if (ir_interpret(b->m, g, &env, b->a, results, &err) == DFM_OK) return results;
    return bad(b, "interpreter of %s: %s", ip->name, err.text), NULL;
}

static bool round_once(bench *b, const ir_program *ip, const ir_graph *g, ir_round how,
                       roundings *out)
{
    const double **results = interpret(b, ip, g, how, out->n);
    if (results) out->of[out->n++] = results;
    return results != NULL;
}

static bool round_either(bench *b, const ir_program *ip, const ir_graph *g, roundings *out)
{
    for (int i = 0; i < N_EITHER && !out->either; i++)
        if (!round_once(b, ip, g, IR_ROUND_EITHER, out)) return false;
    out->either = true;
    return true;
}

static double spread_of(const roundings *x, const double **truth, uint32_t r, uint64_t n)
{
    double s = 0;
    for (uint32_t i = 0; i < x->n; i++) s = fmax(s, distance(x->of[i][r], truth[r], n, 0));
    return s;
}

/* seen: results of the level before, or NULLs; becomes those of this one. */
static bool compare(bench *b, const char *level, const ir_program *ip, const kir_program *p,
                    const memory *mem, const ir_graph *g, const double **truth,
                    roundings *rounded, const double **seen, double *worst)
{
    for (uint32_t r = 0; r < g->results.n; r++) {
        ir_type t = ir_type_at(g, g->results.p[r].val);
        uint64_t n = ir_elems(b->m, t);
        where w = result_place(b, ip, p, mem, g, r);
        const char *name = dfm_name_str(b->m->names, g->results.p[r].name);
        if (!w.p) return bad(b, "%s of %s: result %s has no place", level, ip->name, name);
        double *got = dfm_new_n(b->a, double, n ? n : 1);
        for (uint64_t i = 0; i < n; i++) got[i] = dfm_load_as_double(w.dtype, w.p, w.offset + i);
        for (uint64_t i = 0; i < n; i++)
            if (!isfinite(truth[r][i])) {
                b->out->not_finite = true;
                return bad(b, "%s: result %s is not finite", ip->name, name);
            }
        double noise = b->o->quiet > 0 ? noise_of(b, ip, g, truth, r) : 0;
        double e = distance(got, truth[r], n, noise);
        double s = spread_of(rounded, truth, r, n);
        double more = b->o->floor + (w.dtype == DFM_BF16 ? 0x1p-8 : 0);
        if (e > more + b->o->spread * s) {
            if (!round_either(b, ip, g, rounded)) return false;
            s = spread_of(rounded, truth, r, n);
        }
        double limit = more + b->o->spread * s;
        if (e > *worst) *worst = e;
        if (b->o->agree > 0 && seen[r]) {
            double apart = distance(got, seen[r], n, noise);
            double f32 = distance(rounded->of[0][r], truth[r], n, 0);
            double most = b->o->agree + b->o->spread * f32;
            if (!(apart <= most))
                return bad(b, "%s of %s: result %s differs by %.3g from K's interpreter, limit "
                              "%.3g", level, ip->name, name, apart, most);
        }
        seen[r] = got;
        if (e > limit || !(e == e))
            return bad(b, "%s of %s: result %s differs by %.3g, limit %.3g (spread %.3g), first "
                          "values %.9g and %.9g", level, ip->name, name, e, limit, s,
                       n ? got[0] : 0, n ? truth[r][0] : 0);
    }
    return true;
}

static bool check_one(bench *b, kir_module *k, code_run *code, uint32_t index, double worst[2])
{
    const ir_program *ip = &b->m->programs.p[index];
    const kir_program *p = k->programs.p[index];
    const ir_graph *g = b->m->graphs.p[ip->graph];
    dfm_err err = {0};
    const double **truth = interpret(b, ip, g, IR_EXACT, 0);
    roundings rounded = {0};
    if (!truth) return false;
    if (!round_once(b, ip, g, IR_ROUND_F32, &rounded)) return false;
    if (computes_in_bf16(b->m) && !round_once(b, ip, g, IR_ROUND_ALL, &rounded)) return false;
    kir_env kenv = {.seed = b->o->seed, .step = 3, .first_sample = 40, .scalar = scalar,
                    .replaced = replaced};
    memory mem = make_memory(b, k, p);
    if (kir_interpret(k, p, mem.base, &kenv, &err) != DFM_OK)
        return bad(b, "K interpreter of %s: %s", ip->name, err.text);
    const double **seen = dfm_new_n(b->a, const double *, g->results.n + 1);
    if (!compare(b, "K", ip, p, &mem, g, truth, &rounded, seen, &worst[0])) return false;
    if (!code) return true;
    mem = make_memory(b, k, p);
    if (code_execute(code, p, mem.base, &kenv, &err) != DFM_OK)
        return bad(b, "code of %s: %s", ip->name, err.text);
    return compare(b, "code", ip, p, &mem, g, truth, &rounded, seen, &worst[1]);
}

static bool check_program(bench *b, kir_module *k, code_run *code, uint32_t index)
{
    double worst[2] = {0};
    bool ok = check_one(b, k, code, index, worst);
    b->out->worst_k = fmax(b->out->worst_k, worst[0]);
    b->out->worst_code = fmax(b->out->worst_code, worst[1]);
    if (ok && b->o->program)
        b->o->program(b->o->user, b->m->programs.p[index].name, worst[0], worst[1]);
    return ok;
}

static void count(void *user, kir_node *n)
{
    bench *b = user;
    b->out->n_nodes++;
    b->out->n_kernels += n->kind == KIR_NODE_KERNEL;
    if (b->o->visit) b->o->visit(b->o->user, b->k, n);
}

/* The limits that the lowering asks for. */
static const kir_limits *limits(const bench *b)
{
    const cg_target *t = cg_target_find("cpu");
    return t->limits_for ? t->limits_for(b->o->arch ? b->o->arch : "native") : &t->limits;
}

static bool is_compiled(const bench *b, const char *program)
{
    bool gradients = !strcmp(program, "grad") || dfm_starts_with(program, "step.");
    return b->o->compiled && (b->o->part == 0 || (b->o->part == 1) == gradients);
}

static void choose_programs(bench *b)
{
    b->shown = *b->k;
    b->shown.programs.p = dfm_new_n(b->a, kir_program *, b->k->programs.n);
    b->shown.programs.n = 0;
    for (uint32_t i = 0; i < b->k->programs.n; i++)
        if (is_compiled(b, b->k->programs.p[i]->name))
            b->shown.programs.p[b->shown.programs.n++] = b->k->programs.p[i];
}

/* Does the plan keep what is still wanted? Replayed beside the same module without one. */
static bool check_memory(bench *b)
{
    dfm_err err = {0};
    kir_module *alone;
    char text[400];
    if (lower_kernelize(b->m, limits(b), b->a, NULL, NULL, &alone, &err) != DFM_OK)
        return bad(b, "kernelize: %s", err.text);
    for (uint32_t i = 0; i < b->m->programs.n; i++)
        if (!shadow_check(alone, b->k, i, text, sizeof text))
            return bad(b, "memory of %s: %s", b->m->programs.p[i].name, text);
    return true;
}

static bool lower(bench *b)
{
    dfm_err err = {0};
    lower_memory lm;
    if (lower_kernelize(b->m, limits(b), b->a, NULL, NULL, &b->k, &err) != DFM_OK)
        return bad(b, "kernelize: %s", err.text);
    if (lower_memplan(b->k, &lm, &err) != DFM_OK) return bad(b, "memory plan: %s", err.text);
    if (kir_verify(b->k, &err) != DFM_OK) return bad(b, "verify: %s", err.text);
    if (!check_memory(b)) return false;
    cg_each_node(b->k, count, b);
    choose_programs(b);
    return true;
}

static bool check_programs(bench *b)
{
    bool ok = true;
    for (uint32_t i = 0; i < b->m->programs.n && ok; i++)
        ok = check_program(b, b->k, is_compiled(b, b->m->programs.p[i].name) ? &b->code : NULL, i);
    return ok;
}

static levels *make_bench(ir_module *m, const levels_options *o, levels_report *out)
{
    dfm_arena *a = dfm_arena_create("levels");
    levels *l = dfm_new(a, levels);
    *out = (levels_report){0};
    l->b = (bench){.m = m, .o = o, .out = out, .a = a};
    make_states(&l->b);
    return l;
}

bool levels_check(ir_module *m, const levels_options *o, levels_report *out)
{
    dfm_err err = {0};
    bench *b = &make_bench(m, o, out)->b;
    bool ok = lower(b);
    if (ok && o->compiled) {
        ok = code_load_as(&b->code, &b->shown, o->arch, o->quick, b->a, &err) == DFM_OK;
        if (!ok) bad(b, "code: %s", err.text);
    }
    ok = ok && check_programs(b);
    code_unload(&b->code);
    dfm_arena_destroy(b->a);
    return ok;
}

levels *levels_begin(ir_module *m, const levels_options *o, const char *prefix, levels_report *out)
{
    dfm_err err = {0};
    levels *l = make_bench(m, o, out);
    bool ok = lower(&l->b);
    if (ok && o->compiled) {
        const char *arch = o->arch ? o->arch : "native";
        ok = code_texts(&l->b.code, &l->b.shown, prefix, arch, l->b.a, &err) == DFM_OK;
        if (!ok) bad(&l->b, "code: %s", err.text);
    }
    if (ok) return l;
    dfm_arena_destroy(l->b.a);
    return NULL;
}

const char *const *levels_texts(const levels *l, uint32_t *out_n)
{
    *out_n = l->b.code.object.n_texts;
    return l->b.code.object.texts;
}

bool levels_end(levels *l, void *handle)
{
    l->b.code.file.handle = handle;
    bool ok = check_programs(&l->b);
    dfm_arena_destroy(l->b.a);
    return ok;
}

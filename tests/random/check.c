/* check.c - one file through front end, passes, interpreters and compiled code. */
#include "tests/random/check.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "codegen/cpu/cpu.h"
#include "compiler/driver_impl.h"
#include "runtime/base/philox.h"
#include "tests/random/gen.h"
#include "compiler/truth/levels.h"

static void fail(check_outcome *out, const char *stage, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void fail(check_outcome *out, const char *stage, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    out->ok = false;
    snprintf(out->stage, sizeof out->stage, "%s", stage);
    vsnprintf(out->text, sizeof out->text, format, ap);
    va_end(ap);
}

/* -- coverage ---------------------------------------------------------------------------------- */

typedef struct tally {
    uint32_t op[IR_OP_COUNT], fn[IR_FN_COUNT], reducer[IR_RED_COUNT];
} tally;

static void count_graph(const ir_module *m, uint32_t graph, bool *seen, tally *t)
{
    const ir_graph *g = m->graphs.p[graph];
    if (seen[graph]) return;
    seen[graph] = true;
    for (uint32_t i = 1; i < g->ops.n; i++) {
        const ir_op *op = &g->ops.p[i];
        t->op[op->kind]++;
        if (op->kind == IR_MAP) t->fn[op->at->fn]++;
        if (op->kind == IR_REDUCE) t->reducer[op->at->reduce.kind]++;
        if (op->kind == IR_SCAN) count_graph(m, op->at->scan.body, seen, t);
        if (op->kind == IR_CALL) count_graph(m, op->at->call.body, seen, t);
    }
}

static tally count_program(const ir_module *m, dfm_arena *a, const char *name)
{
    tally t = {0};
    for (uint32_t p = 0; p < m->programs.n; p++)
        if (!strcmp(m->programs.p[p].name, name))
            count_graph(m, m->programs.p[p].graph, dfm_new_n(a, bool, m->graphs.n), &t);
    return t;
}

static void add(uint32_t *to, const uint32_t *x, const uint32_t *less, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (!less || x[i] > less[i]) to[i] += x[i] - (less ? less[i] : 0);
}

static void cover(check_coverage *c, const tally *x, const tally *less, bool back)
{
    add(back ? c->op_back : c->op, x->op, less ? less->op : NULL, IR_OP_COUNT);
    add(back ? c->fn_back : c->fn, x->fn, less ? less->fn : NULL, IR_FN_COUNT);
    add(back ? c->reducer_back : c->reducer, x->reducer, less ? less->reducer : NULL, IR_RED_COUNT);
}

/* -- finite differences ------------------------------------------------------------------------ */

typedef struct inputs {
    dfm_arena *a;
    uint64_t seed;
    const ir_module *m;
    double **params; /* by parameter */
    struct {
        dfm_name name;
        double *p;
    } given[32];
    uint32_t n;
} inputs;

static const double *lookup(void *user, const ir_module *m, const ir_graph *g, ir_val v)
{
    inputs *in = user;
    const ir_op *op = ir_op_of(g, v);
    if (op->kind == IR_PARAM) return in->params[op->at->param];
    if (op->kind != IR_INPUT) return NULL;
    for (uint32_t i = 0; i < in->n; i++)
        if (dfm_name_eq(in->given[i].name, op->at->input.name)) return in->given[i].p;
    uint64_t n = ir_elems(m, op->type);
    bool is_float = dfm_dtype_is_float(ir_type_of(m, op->type)->dtype);
    double *p = dfm_new_n(in->a, double, n);
    for (uint64_t i = 0; i < n; i++)
        p[i] = is_float ? (double)dfm_draw_normal(in->seed, 50 + in->n, 0, 0, 0, (uint32_t)i)
                        : dfm_draw_randint(in->seed, 50 + in->n, 0, 0, 0, (uint32_t)i, 0, 7);
    in->given[in->n].name = op->at->input.name;
    in->given[in->n].p = p;
    in->n++;
    return p;
}

static const ir_program *program(const ir_module *m, const char *name)
{
    for (uint32_t p = 0; p < m->programs.n; p++)
        if (!strcmp(m->programs.p[p].name, name)) return &m->programs.p[p];
    return NULL;
}

static const double **run(inputs *in, const char *name, dfm_err *err)
{
    const ir_program *p = program(in->m, name);
    const ir_graph *g = in->m->graphs.p[p->graph];
    const double **out = dfm_new_n(in->a, const double *, g->results.n + 1);
    ir_env env = {.seed = in->seed, .step = 2, .lookup = lookup, .user = in};
    return ir_interpret(in->m, g, &env, in->a, out, err) == DFM_OK ? out : NULL;
}

/* Weights, and a direction in their space. */
static double *make_params(inputs *in, uint64_t **out_first, double **out_direction)
{
    const ir_module *m = in->m;
    uint64_t *first = *out_first = dfm_new_n(in->a, uint64_t, m->params.n + 1);
    for (uint32_t p = 0; p < m->params.n; p++)
        first[p + 1] = first[p] + ir_elems(m, m->params.p[p].type);
    double *w = dfm_new_n(in->a, double, first[m->params.n] + 1);
    double *d = *out_direction = dfm_new_n(in->a, double, first[m->params.n] + 1);
    in->params = dfm_new_n(in->a, double *, m->params.n + 1);
    for (uint32_t p = 0; p < m->params.n; p++) {
        const ir_param *q = &m->params.p[p];
        in->params[p] = w + first[p];
        for (uint64_t i = first[p]; i < first[p + 1]; i++) {
            w[i] = q->init == IR_INIT_TABLE
                       ? q->table[i - first[p]]
                       : 0.2 * (double)dfm_draw_normal(in->seed, 7, 0, 0, 0, (uint32_t)i);
            d[i] = q->trainable ? (double)dfm_draw_normal(in->seed, 8, 0, 0, 0, (uint32_t)i) : 0;
        }
    }
    return w;
}

/* The derivative of the loss along d, the n weights at w moved by h of it: fourth order, so that h
 * need not be tiny. */
static double by_differences(inputs *in, double *w, const double *d, uint64_t n, double h)
{
    static const double at[] = {-2, -1, 1, 2},
                        weight[] = {1.0 / 12, -8.0 / 12, 8.0 / 12, -1.0 / 12};
    double sum = 0;
    dfm_err err = {0};
    for (int k = 0; k < 4; k++) {
        for (uint64_t i = 0; i < n; i++) w[i] += at[k] * h * d[i];
        const double **loss = run(in, "loss", &err);
        sum += loss ? weight[k] * loss[0][0] / h : NAN;
        for (uint64_t i = 0; i < n; i++) w[i] -= at[k] * h * d[i];
    }
    return sum;
}

/* The derivative of the loss along one direction of all weights, by the gradient and by
 * differences. Where the loss bends too much for a step, a smaller one must agree: a wrong gradient
 * agrees with none. */
static void differences(const ir_module *m, const check_options *o, dfm_arena *a,
                        check_outcome *out)
{
    inputs in = {.a = a, .seed = o->seed, .m = m};
    uint64_t *first;
    double *d, along = 0, size = 0, by = 0;
    static const double steps[] = {1e-4, 1e-5, 1e-6, 1e-7};
    dfm_err err = {0};
    if (!program(m, "grad") || !program(m, "loss")) return;
    double *w = make_params(&in, &first, &d);
    const ir_program *grad = program(m, "grad");
    const double **g = run(&in, "grad", &err);
    if (!g) {
        fail(out, "differences", "grad: %s", err.text);
        return;
    }
    for (uint32_t r = 0; r < grad->n_results; r++) {
        if (grad->to[r] != IR_TO_GRAD) continue;
        uint64_t from = first[grad->index[r]], n = first[grad->index[r] + 1] - from;
        for (uint64_t i = 0; i < n; i++) {
            along += g[r][i] * d[from + i];
            size += g[r][i] * g[r][i] * d[from + i] * d[from + i];
        }
    }
    const double scale = sqrt(size) + fabs(along) + 1e-4;
    for (size_t k = 0; k < DFM_LEN(steps); k++) {
        by = by_differences(&in, w, d, first[m->params.n], steps[k]);
        out->worst_diff = fabs(along - by) / scale;
        if (out->worst_diff < 1e-5) return;
    }
    fail(out, "differences", "gradient along a direction: %.9g, differences %.9g", along, by);
}

/* -- all --------------------------------------------------------------------------------------- */

static void first_report(driver *d, check_outcome *out)
{
    for (uint32_t i = 0; i < diag_count(d->diag); i++) {
        fail(out, "front", "%s: %s", diag_code_name(diag_code_at(d->diag, i)),
             diag_message_at(d->diag, i));
        return;
    }
    fail(out, "front", "no module and no report");
}

check_options check_options_of(uint64_t seed, bool interpreted)
{
    static const char *const archs[] = {NULL, "x86-64-v3", "x86-64-v4", "x86-64-v2"};
    uint64_t group = seed / CHECK_BATCH;
    bool real = group % (seed < 1024 ? 16 : 64) == 0;
    const char *arch = archs[real ? group / (seed < 1024 ? 16 : 64) % 4 : group % 4];
    /* Where tiles do a native program's products, vectors are met at their level. */
    if (arch && !strcmp(arch, "x86-64-v4") && strcmp(cpu_arch_level("native"), arch) != 0)
        arch = NULL;
    return (check_options){.seed = seed,
                           .compiled = !interpreted,
                           .differences = seed % 3 == 0,
                           .quick = !real,
                           .part = real ? 0 : 1 + (uint32_t)(seed % 2),
                           .arch = arch};
}

struct checked {
    driver d;
    options opt;
    levels_options lo;
    levels_report report;
    levels *levels;
};

static void visit(void *user, const kir_module *k, const kir_node *n)
{
    check_outcome *out = user;
    paths_count(k, n, out->seen.path);
}

static void set_levels_options(checked *c, const check_options *o, bool bf16, check_outcome *out)
{
    c->lo = (levels_options){.seed = o->seed,
                             .compiled = o->compiled,
                             .quick = o->quick,
                             .arch = o->arch,
                             .part = o->part,
                             .visit = visit,
                             .user = out,
                             .floor = bf16 ? 0.03 : 2e-5,
                             .spread = bf16 ? 6 : 10,
                             .quiet = bf16 ? 0.1 : 0.03,
                             .agree = bf16 ? 0.02 : 0};
}

static void take_report(const checked *c, bool ok, check_outcome *out)
{
    const levels_report *r = &c->report;
    out->worst_k = r->worst_k;
    out->worst_code = r->worst_code;
    out->n_kernels = r->n_kernels;
    out->n_nodes = r->n_nodes;
    if (ok) return;
    char stage[24];
    snprintf(stage, sizeof stage, "%.*s", (int)strcspn(r->text, ":"), r->text);
    fail(out, stage, "%s", r->text);
}

/* In every second program backward computes again what some budget asks for. */
static bool vary_memory(driver *d, ir_module *m, uint64_t seed)
{
    uint32_t n = d->remat ? d->remat->first.levels.n : 0;
    if (n < 2 || seed % 2) return true;
    return driver_take_level(d, m, 1 + (uint32_t)(seed / 2 % (n - 1)));
}

/* In every third, values are marked as a layout might: see ir_keep. */
static void mark_values(ir_module *m, uint64_t seed)
{
    for (uint32_t g = 1; seed % 3 == 1 && g < m->graphs.n; g++)
        for (uint32_t v = 1; v < m->graphs.p[g]->ops.n; v++)
            m->graphs.p[g]->ops.p[v].keep =
                (ir_keep)dfm_draw_randint(seed, 90 + g, 0, 0, 0, v, 0, IR_KEEP_COUNT);
}

/* From the file to G with gradients, all passes done; NULL after a failure. */
static ir_module *graphs(driver *d, const check_options *o, gen_traits traits, check_outcome *out)
{
    ir_module *m = driver_front(d);
    if (!m) {
        first_report(d, out);
        return NULL;
    }
    if (ir_verify(m, &d->err) != DFM_OK) {
        fail(out, "verify", "%s", d->err.text);
        return NULL;
    }
    tally before[4];
    static const char *const names[] = {"loss", "step.update", "sample", "init"};
    for (int i = 0; i < 4; i++) before[i] = count_program(m, d->arena, names[i]);
    for (int i = 0; i < 4; i++) cover(&out->seen, &before[i], NULL, false);
    mark_values(m, o->seed);
    if (!driver_passes(d, m)) {
        fail(out, "passes", "%s", d->err.text);
        return NULL;
    }
    if (!vary_memory(d, m, o->seed)) {
        fail(out, "memory", "%s", d->err.text);
        return NULL;
    }
    tally loss = count_program(m, d->arena, "loss"), grad = count_program(m, d->arena, "grad");
    cover(&out->seen, &grad, &loss, true);
    if (o->differences && !traits.bf16 && !traits.stops) differences(m, o, d->arena, out);
    return out->ok ? m : NULL;
}

static gen_traits traits_of_file(const char *path)
{
    static char text[1 << 17];
    FILE *f = fopen(path, "r");
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    if (f) fclose(f);
    text[n] = 0;
    return gen_traits_of(text);
}

static checked *make_checked(const char *path)
{
    dfm_arena *a = dfm_arena_create("random");
    checked *c = dfm_new(a, checked);
    c->opt = (options){.cmd = CMD_COMPILE, .input = path};
    c->d = (driver){.arena = a, .opt = &c->opt, .out = stdout, .log = stderr};
    c->d.names = dfm_names_create(a);
    c->d.diag = diag_create(a);
    return c;
}

checked *check_open(const char *path, const check_options *o, const char *prefix,
                    check_outcome *out)
{
    checked *c = make_checked(path);
    gen_traits traits = traits_of_file(path);
    *out = (check_outcome){.ok = true};
    ir_module *m = graphs(&c->d, o, traits, out);
    set_levels_options(c, o, traits.bf16, out);
    if (m) c->levels = levels_begin(m, &c->lo, prefix, &c->report);
    if (c->levels) return c;
    if (m) take_report(c, false, out);
    dfm_arena_destroy(c->d.arena);
    return NULL;
}

const char *const *check_texts(const checked *c, uint32_t *out_n)
{
    return levels_texts(c->levels, out_n);
}

void check_close(checked *c, void *handle, check_outcome *out)
{
    bool ok = levels_end(c->levels, handle);
    take_report(c, ok, out);
    dfm_arena_destroy(c->d.arena);
}

void check_file(const char *path, const check_options *o, check_outcome *out)
{
    checked *c = make_checked(path);
    gen_traits traits = traits_of_file(path);
    *out = (check_outcome){.ok = true};
    ir_module *m = graphs(&c->d, o, traits, out);
    set_levels_options(c, o, traits.bf16, out);
    if (m) {
        bool ok = levels_check(m, &c->lo, &c->report);
        take_report(c, ok, out);
    }
    dfm_arena_destroy(c->d.arena);
}

/* -- in a process of its own ------------------------------------------------------------------- */

check_job check_begin(const char *path, const check_options *o, unsigned seconds)
{
    int pipe_fd[2];
    check_job j = {-1, -1};
    if (pipe(pipe_fd) != 0) return j;
    fflush(NULL);
    j.pid = fork();
    if (j.pid == 0) {
        check_outcome out;
        close(pipe_fd[0]);
        alarm(seconds);
        check_file(path, o, &out);
        ssize_t n = write(pipe_fd[1], &out, sizeof out);
        _exit(n == (ssize_t)sizeof out ? 0 : 1);
    }
    close(pipe_fd[1]);
    j.fd = pipe_fd[0];
    return j;
}

void check_end(check_job *j, check_outcome *out)
{
    size_t got = 0;
    int status = 0;
    *out = (check_outcome){0};
    for (ssize_t n; (n = read(j->fd, (char *)out + got, sizeof *out - got)) > 0;) got += (size_t)n;
    close(j->fd);
    waitpid(j->pid, &status, 0);
    j->pid = -1;
    if (got == sizeof *out) return;
    *out = (check_outcome){0};
    if (WIFSIGNALED(status))
        fail(out, "crash", "signal %d%s", WTERMSIG(status),
             WTERMSIG(status) == SIGALRM ? ": too slow" : "");
    else
        fail(out, "crash", "exit code %d", WEXITSTATUS(status));
}

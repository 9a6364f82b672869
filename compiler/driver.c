/* driver.c - the pipeline, in order. Each phase is timed, and verified where a verifier exists. */
#include "compiler/driver.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#include "codegen/codegen.h"
#include "compiler/driver_impl.h"
#include "compiler/emit_plan.h"
#include "compiler/front/ast.h"
#include "compiler/pass/autodiff.h"
#include "runtime/base/file.h"

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

bool driver_flag(const driver *d, option_id o) { return d->opt->value[o] != NULL; }

static bool emitting(const driver *d, const char *stage)
{
    const char *e = d->opt->value[OPT_EMIT];
    return e && !strcmp(e, stage);
}

/* Ends the phase that began at *since; begins the next. */
static void phase(driver *d, const char *name, double *since)
{
    double t = now_ms();
    if (driver_flag(d, OPT_TIME)) fprintf(d->log, "  %-14s %9.1f ms\n", name, t - *since);
    *since = t;
}

/* -- before G ---------------------------------------------------------------------------------- */

/* Stages that need no names and types. Returns -1 to go on. */
static int syntax_stages(driver *d)
{
    bool fmt = d->opt->cmd == CMD_FMT;
    if (!fmt && !emitting(d, "tokens") && !emitting(d, "ast")) return -1;
    diag_src src;
    if (diag_load_file(d->diag, d->opt->input, &src, &d->err) != DFM_OK) return 1;
    if (emitting(d, "tokens")) {
        ast_print_tokens(ast_lex(d->arena, d->diag, src), d->diag, d->out);
    } else if (emitting(d, "ast")) {
        ast_print(ast_parse(d->arena, d->diag, src)->root, d->diag, true, d->out);
    } else {
        dfm_sb text = dfm_sb_make(d->arena);
        if (!ast_format(d->arena, d->diag, src, &text)) return 1;
        if (!driver_flag(d, OPT_WRITE)) fputs(dfm_sb_cstr(&text), d->out);
        else if (dfm_file_replace(d->opt->input, dfm_sb_cstr(&text), text.n, &d->err) != DFM_OK)
            return 3;
    }
    return diag_n_errors(d->diag) ? 1 : 0;
}

/* The standard library: given, installed beside the program, or in the source tree of the build. */
static const char *std_folder(driver *d)
{
    if (d->opt->value[OPT_STD]) return d->opt->value[OPT_STD];
    if (d->std_path) return d->std_path;
    const char *here = dfm_program_folder(d->arena);
    const char *tries[] = {dfm_path_join(d->arena, here, "../share/dfm/models/std"),
                           DFM_SOURCE_DIR "/models/std"};
    d->std_path = tries[0];
    for (size_t i = DFM_LEN(tries); i-- > 0;)
        if (dfm_is_folder(tries[i])) d->std_path = tries[i];
    return d->std_path;
}

front_options driver_front_options(driver *d)
{
    return (front_options){
        .file = d->opt->input, .std_path = std_folder(d),
        .variant = d->opt->value[OPT_VARIANT], .train = d->opt->value[OPT_TRAIN],
        .sampler = d->opt->value[OPT_SAMPLER], .precision = d->opt->value[OPT_PRECISION],
        .weights = d->opt->value[OPT_WEIGHTS], .layout = d->opt->value[OPT_LAYOUT],
        .sets = d->opt->sets.p, .n_sets = d->opt->sets.n,
        .check_only = d->opt->cmd == CMD_CHECK || d->opt->cmd == CMD_PARAMS};
}

ir_module *driver_front(driver *d)
{
    front_ctx cx = {d->arena, d->names, d->diag};
    front_options o = driver_front_options(d);
    ir_module *m = NULL;
    return front_compile(&cx, &o, &m) ? m : NULL;
}

/* -- passes on G ------------------------------------------------------------------------------- */

static bool dump_asked(const driver *d, const char *when, const char *pass)
{
    const char *e = d->opt->value[OPT_EMIT];
    size_t n = strlen(when);
    return e && !strncmp(e, when, n) && e[n] == ':' && !strcmp(e + n + 1, pass);
}

static void place_of(const void *user, dfm_loc loc, dfm_sb *out)
{
    const driver *d = user;
    dfm_sb_puts(out, diag_place(d->diag, d->arena, loc));
}

/* One graph, or (g NULL) all of m. Dumps show places; what identifies a plan does not hold them. */
static void dump(driver *d, const ir_module *m, const ir_graph *g)
{
    dfm_sb sb = dfm_sb_make(d->arena);
    ir_module shown = *m;
    shown.place_of = place_of;
    shown.place_user = d;
    if (g) ir_print_graph(&sb, &shown, g);
    else ir_print(&sb, &shown);
    fputs(dfm_sb_cstr(&sb), d->out);
}

static void remark(void *user, const char *pass, dfm_loc loc, const char *text)
{
    driver *d = user;
    const char *place = diag_place(d->diag, d->arena, loc);
    fprintf(d->log, "remark: %s%s%s: %s\n", place, *place ? ": " : "", pass, text);
}

static void lower_remark(void *user, dfm_loc loc, const char *text)
{
    remark(user, "kernelize", loc, text);
}

enum { MAX_PASSES = 16 };

typedef struct passes {
    driver *d;
    pass_ctx cx;
    dfm_arena *scratch;
    struct { const char *name; double ms; uint32_t graphs; } spent[MAX_PASSES];
} passes;

/* Add the time since `began` to what the pass has taken; its graph's verification included. */
static void spend(passes *ps, const char *name, double began)
{
    for (int i = 0; i < MAX_PASSES; i++) {
        if (ps->spent[i].name && strcmp(ps->spent[i].name, name) != 0) continue;
        ps->spent[i].name = name;
        ps->spent[i].ms += now_ms() - began;
        ps->spent[i].graphs++;
        return;
    }
}

static void print_spent(const passes *ps)
{
    if (!driver_flag(ps->d, OPT_TIME)) return;
    for (int i = 0; i < MAX_PASSES && ps->spent[i].name; i++)
        fprintf(ps->d->log, "    %-14s %7.1f ms  %u graphs\n", ps->spent[i].name, ps->spent[i].ms,
                ps->spent[i].graphs);
}

bool driver_run_pass(driver *d, pass_ctx *cx, const char *name, uint32_t *index)
{
    ir_module *m = cx->m;
    const ir_graph *in = m->graphs.p[*index];
    if (dump_asked(d, "before", name)) dump(d, m, in);
    uint32_t out_index;
    ir_graph *out = ir_graph_create(m, dfm_name_str(m->names, in->name), &out_index);
    if (!pass_find(name)->run(cx, in, out)) return false;
    dfm_arena_reset(cx->scratch);
    if (dump_asked(d, "after", name)) dump(d, m, out);
    if (ir_verify_graph(m, out, &d->err) != DFM_OK) {
        dfm_while(&d->err, "verifying '%s' after pass %s", dfm_name_str(m->names, in->name), name);
        return false;
    }
    *index = out_index;
    return true;
}

static bool run_pass(passes *ps, const char *name, uint32_t *index)
{
    double began = now_ms();
    bool ok = driver_run_pass(ps->d, &ps->cx, name, index);
    spend(ps, name, began);
    return ok;
}

static double flops_of(const ir_module *m, const ir_graph *g)
{
    double sum = 0;
    for (uint32_t v = 1; v < g->ops.n; v++) sum += ir_op_cost(m, g, (ir_val){v}).flops;
    return sum;
}

/* All passes of the table, and a last cleaning. Of the gradient it is remembered what remat saw. */
static bool run_table(passes *ps, const char *program, uint32_t *g)
{
    driver *d = ps->d;
    bool gradient = !strcmp(program, "grad"), ok = true;
    if (gradient && !d->remat) d->remat = dfm_new(d->arena, driver_remat);
    ps->cx.options.remat_report = gradient ? &d->remat->now : NULL;
    for (const pass_info *i = pass_table; i->name && ok; i++) {
        if (gradient && !strcmp(i->name, "remat")) d->remat->before = *g;
        ok = run_pass(ps, i->name, g);
    }
    ok = ok && run_pass(ps, "simplify", g);
    if (!gradient || !ok) return ok;
    d->remat->first = d->remat->now;
    d->remat->flops = flops_of(ps->cx.m, ps->cx.m->graphs.p[*g]);
    return true;
}

/* The programs of gradients: the loss's graph, differentiated by every trainable parameter.
 * `grad` lets draws be replaced; `step.grad` is the same graph for training. */
static bool add_gradients(passes *ps, uint32_t loss)
{
    ir_module *m = ps->cx.m;
    uint32_t simple = loss, index, n = 1;
    if (!run_pass(ps, "simplify", &simple)) return false;
    double began = now_ms();
    ir_graph *g = ir_graph_create(m, "grad", &index);
    ad_request rq = {.params = true};
    if (!ad_grad(&ps->cx, m->graphs.p[simple], &rq, g)) return false;
    dfm_arena_reset(ps->scratch);
    if (ir_verify_graph(m, g, &ps->d->err) != DFM_OK) {
        dfm_while(&ps->d->err, "verifying the gradient");
        return false;
    }
    spend(ps, "differentiate", began);
    ir_target *to = dfm_new_n(m->arena, ir_target, m->params.n + 1);
    uint32_t *which = dfm_new_n(m->arena, uint32_t, m->params.n + 1);
    to[0] = IR_TO_OUTPUT;
    for (uint32_t p = 0; p < m->params.n; p++) {
        if (!m->params.p[p].trainable) continue;
        to[n] = IR_TO_GRAD;
        which[n++] = p;
    }
    ir_program grad = {.name = "grad", .graph = index, .n_results = n, .to = to, .index = which,
                       .replace_draws = true};
    dfm_push(m->arena, &m->programs, grad);
    grad.name = "step.grad";
    grad.replace_draws = false;
    dfm_push(m->arena, &m->programs, grad);
    return true;
}

bool driver_passes(driver *d, ir_module *m)
{
    passes ps = {.d = d, .scratch = dfm_arena_create("pass")};
    ps.cx = (pass_ctx){.m = m, .err = &d->err, .scratch = ps.scratch,
                       .remark = driver_flag(d, OPT_REMARKS) ? remark : NULL, .user = d};
    bool ok = true;
    uint32_t n = m->programs.n;
    for (uint32_t p = 0; p < n && ok; p++)
        if (!strcmp(m->programs.p[p].name, "loss")) ok = add_gradients(&ps, m->programs.p[p].graph);
    if (ok && emitting(d, "grad")) {
        dfm_arena_destroy(ps.scratch);
        return true;
    }
    ps.cx.options.drop_stop_grad = true;
    ps.cx.memo = NULL;
    uint32_t *done = dfm_new_n(d->arena, uint32_t, m->graphs.n);    /* by graph before the passes */
    uint32_t n_graphs = m->graphs.n;
    for (uint32_t p = 0; p < m->programs.n && ok; p++) {
        uint32_t *g = &m->programs.p[p].graph, from = *g;
        if (from < n_graphs && done[from]) {
            *g = done[from];
            continue;
        }
        ok = run_table(&ps, m->programs.p[p].name, g);
        done[from] = *g;
    }
    print_spent(&ps);
    dfm_arena_destroy(ps.scratch);
    return ok;
}

/* -- after G ----------------------------------------------------------------------------------- */

typedef struct target_choice {
    const cg_target *target;
    const char *name, *arch;
} target_choice;

static dfm_status choose_target(driver *d, target_choice *out)
{
    const char *t = d->opt->value[OPT_TARGET] ? d->opt->value[OPT_TARGET] : "cpu";
    const char *colon = strchr(t, ':');
    out->name = colon ? dfm_strndup(d->arena, t, (size_t)(colon - t)) : t;
    out->arch = colon ? colon + 1 : "native";
    out->target = cg_target_find(out->name);
    if (out->target) return DFM_OK;
    uint32_t n;
    const cg_target *const *all = cg_targets(&n);
    dfm_fail(&d->err, DFM_USAGE, "unknown target '%s'", t);
    for (uint32_t i = 0; i < n; i++) dfm_help(&d->err, "%s: %s", all[i]->name, all[i]->meaning);
    return DFM_USAGE;
}

static const char *cache_folder(driver *d)
{
    if (driver_flag(d, OPT_NO_CACHE)) return NULL;
    const char *x = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (x && x[0] == '/') return dfm_path_join(d->arena, x, "dfm");
    return home && home[0] == '/' ? dfm_path_join(d->arena, home, ".cache/dfm") : NULL;
}

static uint32_t job_count(const driver *d)
{
    const char *v = d->opt->value[OPT_JOBS];
    long n = v ? strtol(v, NULL, 10) : sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > 256 ? 256 : (uint32_t)n;
}

/* What identifies the inputs: the program's text, the flags that matter and our version. */
static dfm_hash128 source_id(driver *d, const ir_module *m)
{
    dfm_sb sb = dfm_sb_make(d->arena);
    dfm_sb_puts(&sb, DFM_VERSION "\n");
    ir_print(&sb, m);
    return dfm_hash128_of(dfm_sb_cstr(&sb), sb.n);
}

static const char *output_path(driver *d)
{
    if (d->opt->value[OPT_OUTPUT]) return d->opt->value[OPT_OUTPUT];
    const char *slash = strrchr(d->opt->input, '/'), *base = slash ? slash + 1 : d->opt->input;
    const char *dot = strrchr(base, '.');
    return dfm_fmt(d->arena, "%.*s.plan", dot ? (int)(dot - base) : (int)strlen(base), base);
}

static void report(driver *d, const ir_module *m, const kir_module *k, const cg_object *code,
                   const lower_memory *mem, const plan *p, const char *path)
{
    if (driver_flag(d, OPT_QUIET)) return;
    char a[32], b[32], c[32];
    uint64_t states = emit_state_bytes(m);
    front_counts n = front_params(m);
    fprintf(d->log, "%s: %s parameters, %u kernels (%u compiled, %u cached units)\n", path,
            dfm_thousands(n.trainable, a), code->units.n, code->n_compiled, code->n_cached);
    fprintf(d->log, "memory: arena %s + state %s = %s\n", dfm_human_bytes(mem->arena_bytes, a),
            dfm_human_bytes(states, b), dfm_human_bytes(mem->arena_bytes + states, c));
    if (!driver_flag(d, OPT_VERBOSE)) return;
    for (uint32_t i = 0; i < k->programs.n; i++)
        fprintf(d->log, "  %-16s arena %-12s bound %-12s %.3g FLOP\n", k->programs.p[i]->name,
                dfm_human_bytes(k->programs.p[i]->arena_bytes, a),
                dfm_human_bytes(k->programs.p[i]->bound_bytes, b), p->programs[i].flops);
    driver_report_holders(d, k, mem);
}

static int code_and_plan(driver *d, ir_module *m, kir_module *k, const target_choice *t,
                         const lower_memory *mem, double *since)
{
    cg_options co = {.arch = t->arch,
                     .cc = d->opt->value[OPT_CC] ? d->opt->value[OPT_CC] : "cc",
                     .cache_dir = cache_folder(d), .jobs = job_count(d),
                     .keep_source = emitting(d, "c"), .source_only = emitting(d, "c")};
    cg_object *code = dfm_new(d->arena, cg_object);
    if (t->target->build(k, &co, d->arena, code, &d->err) != DFM_OK) return 4;
    phase(d, "code", since);
    if (code->note) fprintf(d->log, "note: %s\n", code->note);
    if (emitting(d, "c")) {
        fputs(code->source ? code->source : "", d->out);
        return 0;
    }
    plan p;
    emit_plan_input in = {.kir = k, .code = code, .diag = d->diag, .target = t->name,
                          .arch = t->arch, .std_path = std_folder(d), .source_file = d->opt->input,
                          .data_path = m->data_path ? m->data_path : "",
                          .source_id = source_id(d, m)};
    emit_plan(&in, d->arena, &p);
    if (emitting(d, "plan")) {
        dfm_sb sb = dfm_sb_make(d->arena);
        plan_print(&p, &sb);
        fputs(dfm_sb_cstr(&sb), d->out);
        return 0;
    }
    const char *path = output_path(d);
    if (plan_save(&p, path, &d->err) != DFM_OK) return 3;
    phase(d, "plan", since);
    report(d, m, k, code, mem, &p, path);
    return 0;
}

static const kir_limits *limits_of(const target_choice *t)
{
    return t->target->limits_for ? t->target->limits_for(t->arch) : &t->target->limits;
}

static int lower_and_emit(driver *d, ir_module *m, const target_choice *target, double *since)
{
    target_choice t = *target;
    kir_module *k = NULL;
    lower_memory mem;
    const kir_limits *limits = limits_of(&t);
    if (lower_kernelize(m, limits, d->arena, driver_flag(d, OPT_REMARKS) ? lower_remark : NULL, d,
                        &k, &d->err) != DFM_OK)
        return 4;
    phase(d, "kernelize", since);
    if (lower_memplan(k, &mem, &d->err) != DFM_OK) return 4;
    phase(d, "memory", since);
    if (kir_verify(k, &d->err) != DFM_OK) return 4;
    phase(d, "verify", since);
    if (emitting(d, "kernel")) {
        dfm_sb sb = dfm_sb_make(d->arena);
        kir_print(&sb, k);
        fputs(dfm_sb_cstr(&sb), d->out);
        return 0;
    }
    return code_and_plan(d, m, k, &t, &mem, since);
}

static int compile(driver *d)
{
    double began = now_ms(), since = began;
    ir_module *m = driver_front(d);
    phase(d, "front", &since);
    if (!m || diag_n_errors(d->diag)) return 1;
    if (d->opt->cmd == CMD_CHECK) {
        if (!driver_flag(d, OPT_QUIET)) fprintf(d->log, "%s: no errors\n", d->opt->input);
        return 0;
    }
    if (d->opt->cmd == CMD_PARAMS) {
        driver_print_params(d, m);
        return 0;
    }
    if (emitting(d, "graph")) {
        dump(d, m, NULL);
        return 0;
    }
    if (m->programs.n == 0) {
        dfm_fail(&d->err, DFM_BAD_DATA, "'%s' has no model: nothing to compile", d->opt->input);
        dfm_help(&d->err, "a library file can be checked: dfmc check %s", d->opt->input);
        return 1;
    }
    target_choice t;
    if (!driver_passes(d, m)) return 4;
    phase(d, "passes", &since);
    if (choose_target(d, &t) != DFM_OK) return 2;
    int code = emitting(d, "grad") ? 0 : driver_fit_memory(d, m, limits_of(&t));
    if (code) return code;
    if (driver_flag(d, OPT_MEMORY)) phase(d, "budget", &since);
    driver_report_remat(d);
    if (emitting(d, "grad") || emitting(d, "optimized")) {
        dump(d, m, NULL);
        return 0;
    }
    if (driver_flag(d, OPT_EMIT) && strchr(d->opt->value[OPT_EMIT], ':')) return 0;
    int exit_code = lower_and_emit(d, m, &t, &since);
    phase(d, "total", &began);
    return exit_code;
}

/* Is the stage asked for one that exists? */
static bool emit_ok(driver *d)
{
    static const char *const stages[] = {"tokens", "ast", "graph", "grad", "optimized",
                                         "kernel", "c", "plan"};
    const char *e = d->opt->value[OPT_EMIT];
    if (!e) return true;
    for (size_t i = 0; i < DFM_LEN(stages); i++)
        if (!strcmp(stages[i], e)) return true;
    const char *colon = strchr(e, ':');
    if (colon && (dfm_starts_with(e, "before:") || dfm_starts_with(e, "after:")) &&
        pass_find(colon + 1))
        return true;
    dfm_fail(&d->err, DFM_USAGE, "unknown stage '%s'", e);
    const char *near = dfm_nearest(e, stages, DFM_LEN(stages));
    dfm_sb names = dfm_sb_make(d->arena);
    for (const pass_info *i = pass_table; i->name; i++) dfm_sb_printf(&names, " %s", i->name);
    if (near) dfm_help(&d->err, "did you mean %s?", near);
    else dfm_help(&d->err, "stages: tokens ast graph grad optimized kernel c plan before:PASS "
                           "after:PASS, with a pass of:%s", dfm_sb_cstr(&names));
    return false;
}

static bool jobs_ok(driver *d)
{
    const char *v = d->opt->value[OPT_JOBS];
    if (!v || (*v && strspn(v, "0123456789") == strlen(v))) return true;
    dfm_fail(&d->err, DFM_USAGE, "--jobs takes a number, not '%s'", v);
    return false;
}

int driver_run(driver *d)
{
    if (!emit_ok(d) || !jobs_ok(d)) return 2;
    if (d->opt->cmd == CMD_TEST) return driver_test(d);
    int done = syntax_stages(d);
    return done >= 0 ? done : compile(d);
}

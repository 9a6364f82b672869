/* driver_test.c - `dfmc test`: a file's gradients against differences, its code against the
 * interpreter, on small sizes.
 *
 *   each op and block    differences of the float64 interpreter, of inputs and parameters
 *   the loss             the same, of the model's parameters
 *   each program         compiled for the cpu, against the interpreter
 */
#include <string.h>

#include "codegen/codegen.h"
#include "compiler/driver_impl.h"
#include "compiler/truth/differences.h"
#include "compiler/truth/levels.h"

enum { SEED = 20, OP_PLACES = 16, BLOCK_PLACES = 4, LOSS_PLACES = 2 };
static const double OP_SECONDS = 0.7, LOSS_SECONDS = 2, TOLERANCE = 5e-5;

typedef struct suite {
    driver *d;
    front_options o;
    uint32_t n_rows, n_passed, n_failed, n_skipped;
    bool ours;                               /* a failure of the compiler's own */
} suite;

/* -- the table --------------------------------------------------------------------------------- */

static void heading(suite *s)
{
    if (s->n_rows++ || driver_flag(s->d, OPT_QUIET)) return;
    fprintf(s->d->out, "%-30s %-18s %-34s %7s %9s  %s\n", "what", "line", "inputs", "places",
            "error", "result");
}

static void row(suite *s, const char *what, dfm_loc loc, const char *inputs, const char *places,
                const char *error, const char *result)
{
    heading(s);
    if (driver_flag(s->d, OPT_QUIET)) return;
    const char *place = diag_place(s->d->diag, s->d->arena, loc);
    const char *slash = strrchr(place, '/');
    place = slash ? slash + 1 : place;
    const char *colon = strchr(place, ':'), *second = colon ? strchr(colon + 1, ':') : NULL;
    int n = second ? (int)(second - place) : (int)strlen(place);
    fprintf(s->d->out, "%-30s %-18.*s %-34.34s %7s %9s  %s\n", what, n, place, inputs, places,
            error, result);
    fflush(s->d->out);
}

static const char *inputs_text(suite *s, const ir_module *m, const ir_graph *g)
{
    dfm_sb sb = dfm_sb_make(s->d->arena);
    for (uint32_t i = 0; i < g->inputs.n; i++) {
        const ir_op *op = ir_op_of(g, g->inputs.p[i]);
        const ir_type_info *t = ir_type_of(m, op->type);
        dfm_sb_printf(&sb, "%s%s", i ? " " : "", dfm_name_str(m->names, op->at->input.name));
        for (uint32_t k = 0; k < t->rank; k++)
            dfm_sb_printf(&sb, "%s%lld", k ? "," : "[", (long long)ir_extent(m, t->dims[k]));
        if (t->rank) dfm_sb_puts(&sb, "]");
    }
    return dfm_sb_cstr(&sb);
}

/* -- differences ------------------------------------------------------------------------------- */

static const ir_op *call_in(const ir_graph *g)
{
    for (uint32_t i = 1; i < g->ops.n; i++)
        if (g->ops.p[i].kind == IR_CALL) return &g->ops.p[i];
    return NULL;
}

/* A `vjp` that is wrong: the user's error. */
static void wrong_vjp(suite *s, const char *op, dfm_loc loc, const differences_report *r)
{
    diag *e = diag_error(s->d->diag, DIAG_E0605, loc, "the `vjp` of `%s` is not its gradient", op);
    diag_note(e, "`d%s` at %s: the vjp gives %.6g, differences give %.6g", r->target, r->place,
              r->gradient, r->difference);
    double ratio = r->difference != 0 ? r->gradient / r->difference : 0;
    if (ratio < -0.999 && ratio > -1.001) diag_help(e, "the sign is wrong");
    else if (r->gradient == 0) diag_help(e, "a term is missing: here the vjp gives nothing");
    else if (ratio > 0.1 && ratio < 10)
        diag_help(e, "the vjp gives %.4g times what it should: a factor, a term or an index",
                  ratio);
    else diag_help(e, "look for a term or an index in what is assigned to `d%s`", r->target);
    diag_help(e, "or leave the `vjp` out: the gradient is derived from the op itself");
}

static void take(suite *s, const char *kind, const char *name, bool by_hand, dfm_loc loc,
                 const char *inputs, const differences_report *r)
{
    driver *d = s->d;
    const char *what = dfm_fmt(d->arena, "%s%s%s%s", kind, *kind ? " " : "", name,
                               by_hand ? " (vjp)" : "");
    const char *places = dfm_fmt(d->arena, "%u", r->n_tried);
    const char *error = dfm_fmt(d->arena, "%.1e", r->worst);
    switch (r->verdict) {
    case DIFFERENCES_AGREE:
        s->n_passed++;
        row(s, what, loc, inputs, places, error, "passed");
        return;
    case DIFFERENCES_NONE:
    case DIFFERENCES_NOT_TRIED:
        s->n_skipped++;
        row(s, what, loc, inputs, "", "", dfm_fmt(d->arena, "not tested: %s", r->why));
        return;
    case DIFFERENCES_FAILED:
        s->n_failed++;
        s->ours = true;
        row(s, what, loc, inputs, "", "", dfm_fmt(d->arena, "failed: %s", r->why));
        return;
    case DIFFERENCES_DISAGREE: break;
    }
    s->n_failed++;
    row(s, what, loc, inputs, places, error, "failed");
    if (by_hand && !r->is_param) {
        wrong_vjp(s, name, loc, r);
        return;
    }
    fprintf(d->log, "%s: gradient of %s at %s: %.9g, differences give %.9g\n", what, r->target,
            r->place, r->gradient, r->difference);
}

static ir_module *front(suite *s, bool units, const char *precision)
{
    front_ctx cx = {s->d->arena, s->d->names, s->d->diag};
    front_options o = s->o;
    ir_module *m = NULL;
    o.units = units;
    o.precision = precision;
    return front_compile(&cx, &o, &m) ? m : NULL;
}

static void test_units(suite *s, ir_module *m)
{
    uint32_t n = m->programs.n;
    bool derived_failed = false;
    for (uint32_t i = 0; i < n; i++) {
        const ir_program *p = &m->programs.p[i];
        const ir_graph *g = m->graphs.p[p->graph];
        const ir_op *call = call_in(g);
        dfm_loc loc = g->ops.n > 1 ? g->ops.p[1].loc : (dfm_loc){0};
        /* an op with a vjp is one call, and nothing else computes */
        const ir_graph *inner = call ? m->graphs.p[call->at->call.body] : NULL;
        const char *body = inner ? dfm_name_str(m->names, inner->name) : "";
        size_t len = strlen(p->name);
        bool by_hand = call && !strncmp(body, p->name, len) && !strcmp(body + len, ".body");
        differences_options o = {.seed = SEED, .tolerance = TOLERANCE, .seconds = OP_SECONDS,
                                 .inputs = true, .per_tensor = by_hand ? OP_PLACES : BLOCK_PLACES};
        differences_report r;
        differences_check(m, g, &o, s->d->arena, &r);
        take(s, "", p->name, by_hand, loc, inputs_text(s, m, g), &r);
        if (r.verdict == DIFFERENCES_DISAGREE && !by_hand && !call) derived_failed = true;
    }
    if (derived_failed) s->ours = true;
}

static void test_loss(suite *s, ir_module *m)
{
    for (uint32_t i = 0; i < m->programs.n; i++) {
        const ir_program *p = &m->programs.p[i];
        if (strcmp(p->name, "loss") != 0) continue;
        const ir_graph *g = m->graphs.p[p->graph];
        differences_options o = {.seed = SEED, .tolerance = TOLERANCE, .seconds = LOSS_SECONDS,
                                 .per_tensor = LOSS_PLACES};
        differences_report r;
        differences_check(m, g, &o, s->d->arena, &r);
        uint32_t before = s->n_failed;
        take(s, "loss of", m->train, false, ir_op_of(g, g->results.p[0].val)->loc,
             inputs_text(s, m, g), &r);
        if (s->n_failed > before && !diag_n_errors(s->d->diag)) s->ours = true;
    }
}

/* -- code -------------------------------------------------------------------------------------- */

static void code_row(void *user, const char *name, double worst_k, double worst_code)
{
    suite *s = user;
    (void)worst_k;
    s->n_passed++;
    row(s, dfm_fmt(s->d->arena, "code of %s", name), (dfm_loc){0}, "", "",
        dfm_fmt(s->d->arena, "%.1e", worst_code), "passed");
}

static bool has_bf16(const ir_module *m)
{
    for (uint32_t i = 1; i < m->types.n; i++)
        if (!m->types.p[i].is_tuple && m->types.p[i].dtype == DFM_BF16) return true;
    return false;
}

static bool test_code(suite *s, ir_module *m)
{
    if (!driver_passes(s->d, m)) return false;
    bool bf16 = has_bf16(m);
    levels_options o = {.seed = SEED, .compiled = true, .floor = bf16 ? 0.03 : 2e-5,
                        .spread = bf16 ? 6 : 10, .quiet = bf16 ? 0.1 : 0.03,
                        .agree = bf16 ? 0.02 : 0, .program = code_row, .user = s};
    levels_report r;
    bool ok = levels_check(m, &o, &r);
    if (!ok && r.not_finite) {
        o.positive = true;
        ok = levels_check(m, &o, &r);
    }
    if (ok) return true;
    if (r.not_finite) {
        s->n_skipped++;
        row(s, "code", (dfm_loc){0}, "", "", "", dfm_fmt(s->d->arena, "not tested: %s", r.text));
        return true;
    }
    s->n_failed++;
    s->ours = true;
    row(s, "code", (dfm_loc){0}, "", "", "", "failed");
    fprintf(s->d->log, "%s\n", r.text);
    return true;
}

/* -- all --------------------------------------------------------------------------------------- */

static void print_sizes(suite *s, const driver_sets *sets)
{
    uint32_t given = s->d->opt->sets.n;
    if (driver_flag(s->d, OPT_QUIET) || sets->n == given) return;
    fprintf(s->d->out, "sizes (others: --set):");
    for (uint32_t i = given; i < sets->n; i++) fprintf(s->d->out, " %s", sets->p[i] + 4);
    fprintf(s->d->out, "\n");
}

int driver_test(driver *d)
{
    suite s = {.d = d, .o = driver_front_options(d)};
    driver_sets sets = {0};
    if (!driver_small_sizes(d, &sets)) return 1;
    s.o.sets = sets.p;
    s.o.n_sets = sets.n;
    s.o.witnesses = true;
    print_sizes(&s, &sets);
    ir_module *units = front(&s, true, "f32");
    if (!units) return 1;
    test_units(&s, units);
    ir_module *m = front(&s, false, "f32");
    if (!m) return 1;
    test_loss(&s, m);
    if (m->programs.n) {
        m = front(&s, false, s.o.precision);
        if (!m || !test_code(&s, m)) return m ? 4 : 1;
    }
    if (!driver_flag(d, OPT_QUIET))
        fprintf(d->out, "%u passed, %u failed, %u not tested\n", s.n_passed, s.n_failed,
                s.n_skipped);
    if (s.ours) dfm_fail(&d->err, DFM_INTERNAL, "a derived gradient or compiled code is wrong");
    return s.ours ? 4 : s.n_failed ? 1 : 0;
}

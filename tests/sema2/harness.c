/* harness.c - see harness.h */
#include "tests/sema2/harness.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static h_ctx *compile(h_ctx *h, const char *path, const front_options *given)
{
    front_options o = given ? *given : (front_options){0};
    o.file = path;
    o.std_path = DFM_SOURCE_DIR "/models/std";
    h->front = (front_ctx){h->arena, dfm_names_create(h->arena), diag_create(h->arena)};
    h->scale = 1;
    if (!front_compile(&h->front, &o, &h->m)) h->m = NULL;
    return h;
}

static h_ctx *new_ctx(void)
{
    dfm_arena *a = dfm_arena_create("test");
    h_ctx *h = dfm_new(a, h_ctx);
    h->arena = a;
    return h;
}

h_ctx *h_compile(const char *text, const front_options *o)
{
    h_ctx *h = new_ctx();
    strcpy(h->file, "/tmp/dfm_sema2_XXXXXX.dfm");
    int fd = mkstemps(h->file, 4);
    assert_true(fd >= 0);
    dprintf(fd, "dfm 1\n%s", text);
    close(fd);
    return compile(h, h->file, o);
}

h_ctx *h_compile_file(const char *path, const front_options *o)
{
    h_ctx *h = new_ctx();
    return compile(h, dfm_fmt(h->arena, "%s/%s", DFM_SOURCE_DIR, path), o);
}

void h_done(h_ctx *h)
{
    if (h->file[0]) unlink(h->file);
    dfm_arena_destroy(h->arena);
}

void h_print(h_ctx *h) { diag_print(h->front.diag, stderr, DIAG_TEXT, false); }

bool h_reported(const h_ctx *h, const char *code, const char *part)
{
    for (uint32_t i = 0; i < diag_count(h->front.diag); i++)
        if (!strcmp(diag_code_name(diag_code_at(h->front.diag, i)), code)
            && strstr(diag_message_at(h->front.diag, i), part))
            return true;
    return false;
}

const ir_program *h_program(const h_ctx *h, const char *name)
{
    for (uint32_t i = 0; h->m && i < h->m->programs.n; i++)
        if (!strcmp(h->m->programs.p[i].name, name)) return &h->m->programs.p[i];
    return NULL;
}

const ir_graph *h_graph(const h_ctx *h, const char *program)
{
    const ir_program *p = h_program(h, program);
    return p ? h->m->graphs.p[p->graph] : NULL;
}

/* -- values ---------------------------------------------------------------------------------- */

static h_value *find(h_ctx *h, const char *name)
{
    for (uint32_t i = 0; i < h->values.n; i++)
        if (!strcmp(h->values.p[i].name, name)) return &h->values.p[i];
    return NULL;
}

const double *h_get(h_ctx *h, const char *name, uint64_t n)
{
    h_value *v = find(h, name);
    double phase = 0;
    if (v) {
        assert_true(v->n >= n);
        return v->p;
    }
    for (const char *c = name; *c; c++) phase = phase * 1.7 + *c;
    double *p = dfm_new_n(h->arena, double, n);
    for (uint64_t i = 0; i < n; i++) p[i] = h->scale * sin(fmod(phase, 6.0) + 1.37 * (double)i);
    dfm_push(h->arena, &h->values, ((h_value){dfm_strdup(h->arena, name), p, n, {0}}));
    return p;
}

void h_set(h_ctx *h, const char *name, const double *p, uint64_t n)
{
    dfm_push(h->arena, &h->values,
             ((h_value){dfm_strdup(h->arena, name), dfm_dup(h->arena, p, n * sizeof *p), n, {0}}));
}

const double *h_lookup(void *user, const ir_module *m, const ir_graph *g, ir_val v)
{
    h_ctx *h = user;
    const ir_op *op = ir_op_of(g, v);
    uint64_t n = ir_elems(m, op->type);
    if (op->kind == IR_PARAM) {
        const ir_param *p = &m->params.p[op->at->param];
        if (p->init == IR_INIT_TABLE && !find(h, dfm_name_str(m->names, p->path))) return p->table;
        return h_get(h, dfm_name_str(m->names, p->path), n);
    }
    dfm_name name = op->kind == IR_INPUT ? op->at->input.name : op->at->random.name;
    if (op->kind == IR_RANDOM && !find(h, dfm_name_str(m->names, name))) return NULL;
    bool whole = !dfm_dtype_is_float(ir_type_of(m, op->type)->dtype);
    if (whole && !find(h, dfm_name_str(m->names, name))) {
        double *p = dfm_new_n(h->arena, double, n);
        for (uint64_t i = 0; i < n; i++) p[i] = (double)(i % 3);
        h_set(h, dfm_name_str(m->names, name), p, n);
    }
    return h_get(h, dfm_name_str(m->names, name), n);
}

const double *const *h_run_all(h_ctx *h, const char *program)
{
    dfm_err err = {0};
    const ir_graph *g = h_graph(h, program);
    if (!g) {
        h_print(h);
        fail_msg("no program %s", program);
    }
    if (ir_verify(h->m, &err) != DFM_OK) fail_msg("%s", err.text);
    const double **out = dfm_new_n(h->arena, const double *, g->results.n + 1);
    ir_env env = {.round = IR_EXACT, .seed = 7, .lookup = h_lookup, .user = h};
    if (ir_interpret(h->m, g, &env, h->arena, out, &err) != DFM_OK) fail_msg("%s", err.text);
    return out;
}

const double *h_run(h_ctx *h, const char *program, uint32_t k)
{
    return h_run_all(h, program)[k];
}

uint32_t h_count(const ir_graph *g, ir_op_kind kind)
{
    uint32_t n = 0;
    for (uint32_t i = 1; i < g->ops.n; i++) n += g->ops.p[i].kind == kind;
    return n;
}

void h_close(double have, double want, double tolerance, const char *file, int line)
{
    double scale = fabs(want) > 1 ? fabs(want) : 1;
    if (fabs(have - want) <= tolerance * scale) return;
    fprintf(stderr, "%s:%d: have %.17g, want %.17g\n", file, line, have, want);
    _fail(file, line);
}

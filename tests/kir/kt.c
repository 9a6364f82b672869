/* kt.c - a G graph through every step below it, compared with G's interpreter. */
#include "tests/kir/kt.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/truth/shadow.h"

static uint64_t gemm_scratch(const kir_gemm *g) { return g->batch[0] > 1 ? 128 : 0; }
static uint64_t attn_scratch(const kir_attn *a, const kir_module *m)
{
    (void)m;
    return a->backward ? 256 : 0;
}

static bool dense_f32_only(const kir_gemm *g)
{
    return g->a.dtype == DFM_F32 && g->b.dtype == DFM_F32 && g->c.dtype == DFM_F32;
}

static const kir_limits limits_of[KT_LIMITS] = {
    {.target = "wide", .row_bytes = 16384, .max_streams = 12, .lane_target = 64,
     .gemm_scratch = gemm_scratch, .attn_scratch = attn_scratch},
    {.target = "narrow", .row_bytes = 0, .max_streams = 4, .lane_target = 16,
     .gemm_takes = dense_f32_only},
    {.target = "alone", .row_bytes = 64, .max_streams = 0, .lane_target = 1000},
};

/* Parameters without a place get one flat buffer. */
static void give_places(fx *f)
{
    uint64_t at = 0;
    if (f->m->flats.n || !f->m->params.n) return;
    for (uint32_t i = 0; i < f->m->params.n; i++) {
        f->m->params.p[i].flat_offset = at;
        at += (ir_elems(f->m, f->m->params.p[i].type) + 15) / 16 * 16;
    }
    ir_flat fl = {
        .name = dfm_intern(f->names, "all"), .dtype = DFM_F32, .trainable = true, .n_elems = at};
    fl.dim = ir_dim_new(f->m, dfm_intern(f->names, "P_all"), (int64_t)at, (dfm_loc){0});
    dfm_push(f->a, &f->m->flats, fl);
    ir_state w = {.name = dfm_intern(f->names, "w"), .saved = true};
    dfm_push(f->a, &f->m->states, w);
    w.name = dfm_intern(f->names, "g");
    dfm_push(f->a, &f->m->states, w);
}

static void fail_err(const dfm_err *e) { fail_msg("%s", e->text); }

static void print_graph(fx *f, const ir_graph *g)
{
    dfm_sb s = dfm_sb_make(f->a);
    for (uint32_t i = 1; i < f->m->graphs.n; i++)
        if (f->m->graphs.p[i] != g) ir_print_graph(&s, f->m, f->m->graphs.p[i]);
    ir_print_graph(&s, f->m, g);
    printf("%s", dfm_sb_cstr(&s));
}

/* The plan, replayed beside the same module without one. */
static void check_plan(fx *f, const kir_module *k, int limits)
{
    char text[400];
    dfm_err err = {0};
    kir_module *alone = NULL;
    if (lower_kernelize(f->m, &limits_of[limits], f->a, NULL, NULL, &alone, &err) != DFM_OK)
        fail_err(&err);
    if (!shadow_check(alone, k, 0, text, sizeof text)) fail_msg("memory plan: %s", text);
}

kir_module *kt_lower_for(fx *f, const ir_graph *g, bool replace_draws, int limits)
{
    give_places(f);
    ir_target *to = dfm_new_n(f->a, ir_target, g->results.n + 1);
    uint32_t *index = dfm_new_n(f->a, uint32_t, g->results.n + 1), graph = 0;
    for (uint32_t i = 0; i < g->results.n; i++) to[i] = IR_TO_OUTPUT;
    for (uint32_t i = 1; i < f->m->graphs.n; i++)
        if (f->m->graphs.p[i] == g) graph = i;
    for (uint32_t i = 0; i < g->results.n; i++)          /* names of outputs are unique */
        ((ir_graph *)g)->results.p[i].name = dfm_intern(f->names, dfm_fmt(f->a, "r%u", i));
    f->m->programs.n = 0;
    dfm_push(f->a, &f->m->programs,
             ((ir_program){"test", graph, g->results.n, to, index, replace_draws}));
    dfm_err err = {0};
    kir_module *k = NULL;
    if (lower_kernelize(f->m, &limits_of[limits], f->a, NULL, NULL, &k, &err) != DFM_OK) {
        print_graph(f, g);
        fail_err(&err);
    }
    lower_memory mem;
    if (lower_memplan(k, &mem, &err) != DFM_OK) fail_err(&err);
    assert_true(mem.arena_bytes >= mem.lower_bound);
    if (kir_verify(k, &err) != DFM_OK) fail_err(&err);
    check_plan(f, k, limits);
    return k;
}

kir_module *kt_lower(fx *f, const ir_graph *g, bool replace_draws)
{
    return kt_lower_for(f, g, replace_draws, KT_WIDE);
}

const char *kt_text(fx *f, const kir_module *m)
{
    dfm_sb s = dfm_sb_make(f->a);
    kir_print(&s, m);
    return dfm_sb_cstr(&s);
}

static void check_round_trip(fx *f, const kir_module *k)
{
    dfm_err err = {0};
    const char *text = kt_text(f, k);
    kir_module *again = NULL;
    if (kir_parse(f->a, dfm_names_create(f->a), text, strlen(text), &again, &err) != DFM_OK) {
        printf("%s", text);
        fail_err(&err);
    }
    const char *second = kt_text(f, again);
    if (strcmp(text, second)) {
        size_t i = 0;
        while (text[i] == second[i]) i++;
        fail_msg("text changes at: %.200s\n---\n%.200s", text + (i > 60 ? i - 60 : 0),
                 second + (i > 60 ? i - 60 : 0));
    }
}

/* -- running ----------------------------------------------------------------------------------- */

static const double *lookup(void *user, const ir_module *m, const ir_graph *g, ir_val v)
{
    const fx *f = user;
    const ir_op *op = ir_op_of(g, v);
    (void)m;
    if (op->kind == IR_PARAM) return f->param[op->at->param];
    if (op->kind == IR_INPUT && op->at->input.index < FX_MAX) return f->data[op->at->input.index];
    return NULL;
}

static void fill(const kir_module *k, kir_arg a, ir_type t, void *const *base, const double *x)
{
    uint64_t n = ir_elems(k->ir, t);
    for (uint64_t i = 0; i < n; i++)
        dfm_store_double(a.dtype, base[a.buf.i], (size_t)a.offset + i, x[i]);
}

static void **make_memory(fx *f, const kir_module *k)
{
    const kir_program *p = k->programs.p[0];
    char *arena = dfm_alloc(f->a, p->arena_bytes + 64);
    void **base = dfm_new_n(f->a, void *, k->bufs.n + 1);
    memset(arena, 0xa5, p->arena_bytes + 64);
    for (uint32_t i = 1; i < k->bufs.n; i++) {
        const kir_buffer *b = &k->bufs.p[i];
        uint64_t bytes = b->elems * dfm_dtype_bytes(b->dtype);
        if (b->mem != KIR_MEM_STATE && b->mem != KIR_MEM_CONST) {
            assert_true(b->offset % 64 == 0);
            base[i] = arena + b->offset;
            assert_true(b->offset + bytes <= p->arena_bytes || !p->arena_bytes);
            continue;
        }
        base[i] = dfm_alloc(f->a, bytes);
        for (uint64_t e = 0; b->mem == KIR_MEM_CONST && e < b->elems; e++)
            dfm_store_double(b->dtype, base[i], e, b->data[e]);
        if (b->mem != KIR_MEM_STATE || b->state != IR_STATE_W) continue;
        for (uint32_t j = 0; j < f->m->params.n; j++) {
            const ir_param *pr = &f->m->params.p[j];
            for (uint64_t e = 0; e < ir_elems(f->m, pr->type); e++)
                dfm_store_double(b->dtype, base[i], pr->flat_offset + e, f->param[j][e]);
        }
    }
    return base;
}

static const double *input_data(const fx *f, const ir_graph *g, dfm_name name)
{
    for (uint32_t i = 0; i < g->inputs.n; i++) {
        const ir_op *op = ir_op_of(g, g->inputs.p[i]);
        if (dfm_name_eq(op->at->input.name, name)) return f->data[op->at->input.index];
    }
    return NULL;
}

static void compare(fx *f, const ir_graph *g, const kir_module *k, void *const *base, double tol)
{
    const double **want = dfm_new_n(f->tmp, const double *, g->results.n);
    const double **near = dfm_new_n(f->tmp, const double *, g->results.n);
    ir_env env = {.round = IR_EXACT, .seed = 7, .step = 3, .lookup = lookup, .user = f};
    dfm_err err = {0};
    if (ir_interpret(f->m, g, &env, f->tmp, want, &err) != DFM_OK) fail_err(&err);
    env.round = IR_ROUND_ALL;
    if (ir_interpret(f->m, g, &env, f->tmp, near, &err) != DFM_OK) fail_err(&err);
    const kir_program *p = k->programs.p[0];
    assert_int_equal(p->outputs.n, g->results.n);
    for (uint32_t r = 0; r < g->results.n; r++) {
        const kir_io *io = &p->outputs.p[r];
        double d = 0, n = 0, spread = 0;
        for (uint64_t i = 0; i < ir_elems(f->m, io->type); i++) {
            double got = dfm_load_as_double(io->arg.dtype, base[io->arg.buf.i], i), w = want[r][i];
            if (isinf(w) && got == w) continue;
            d += (got - w) * (got - w);
            n += w * w;
            spread += (near[r][i] - w) * (near[r][i] - w);
        }
        if (!(sqrt(d) <=
              tol * sqrt(n) + 8 * sqrt(spread) + 3e-6 * sqrt((double)ir_elems(f->m, io->type)))) {
            printf("%s", kt_text(f, k));
            print_graph(f, g);
            fail_msg("result %u: error %g, norm %g, spread %g", r, sqrt(d), sqrt(n), sqrt(spread));
        }
    }
}

static kir_module *check(fx *f, const ir_graph *g, double tol, bool replace_draws, int limits)
{
    kir_module *k = kt_lower_for(f, g, replace_draws, limits);
    check_round_trip(f, k);
    void **base = make_memory(f, k);
    const kir_program *p = k->programs.p[0];
    for (uint32_t i = 0; i < p->inputs.n; i++) {
        const double *x = input_data(f, g, p->inputs.p[i].name);
        if (x) fill(k, p->inputs.p[i].arg, p->inputs.p[i].type, base, x);
    }
    kir_env env = {.seed = 7, .step = 3};
    dfm_err err = {0};
    if (kir_interpret(k, p, base, &env, &err) != DFM_OK) fail_err(&err);
    compare(f, g, k, base, tol);
    dfm_arena_reset(f->tmp);
    return k;
}

void kt_check_for(fx *f, const ir_graph *g, double tol, int limits)
{
    check(f, g, tol, false, limits);
}
void kt_check(fx *f, const ir_graph *g, double tol) { check(f, g, tol, false, KT_WIDE); }
kir_module *kt_check_with(fx *f, const ir_graph *g, double tol, bool replace_draws)
{
    return check(f, g, tol, replace_draws, KT_WIDE);
}

static uint32_t count(const kir_nodes *list, kir_node_kind kind)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < list->n; i++) {
        n += list->p[i]->kind == kind;
        if (list->p[i]->kind == KIR_NODE_LOOP) n += count(&list->p[i]->loop.body, kind);
    }
    return n;
}

uint32_t kt_count(const kir_module *m, kir_node_kind kind)
{
    return count(&m->programs.p[0]->nodes, kind);
}

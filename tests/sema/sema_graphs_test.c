/* sema_graphs_test.c - what programs become: parameter counts of the examples, graphs, paths,
 * shared bodies, types of carries, constants folded, choices of sections. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#include "compiler/front/front.h"
#include "runtime/base/file.h"

typedef struct program {
    dfm_arena *a;
    front_ctx cx;
    ir_module *m;
} program;

static program compile_file(const char *path, front_options o)
{
    program p = {.a = dfm_arena_create("graphs")};
    p.cx = (front_ctx){p.a, dfm_names_create(p.a), diag_create(p.a)};
    o.file = path;
    o.std_path = DFM_SOURCE_DIR "/models/std";
    if (!front_compile(&p.cx, &o, &p.m)) {
        diag_print(p.cx.diag, stdout, DIAG_TEXT, false);
        fail_msg("%s has errors", path);
    }
    dfm_err err = {0};
    if (ir_verify(p.m, &err) != DFM_OK) fail_msg("%s: %s", path, err.text);
    return p;
}

/* Text as a file `dfm 1` and the dims that all these tests use. */
static program compile_text(const char *text, front_options o)
{
    dfm_arena *a = dfm_arena_create("text");
    dfm_err err = {0};
    const char *path = DFM_BINARY_DIR "/sema_graphs_test.dfm";
    char *all = dfm_fmt(a, "dfm 1\ndim B = 2, S = 3, D = 4, F = 6, L = 5\n%s", text);
    assert_int_equal(dfm_file_replace(path, all, strlen(all), &err), DFM_OK);
    dfm_arena_destroy(a);
    return compile_file(path, o);
}

static void end(program *p) { dfm_arena_destroy(p->a); }

static const ir_graph *graph_of(const program *p, const char *name)
{
    for (uint32_t i = 0; i < p->m->programs.n; i++)
        if (strcmp(p->m->programs.p[i].name, name) == 0)
            return p->m->graphs.p[p->m->programs.p[i].graph];
    fail_msg("no program %s", name);
    return NULL;
}

static const char *result_type(const program *p, const char *name)
{
    const ir_graph *g = graph_of(p, name);
    dfm_sb sb = dfm_sb_make(p->a);
    ir_print_type(&sb, p->m, ir_type_at(g, g->results.p[0].val));
    return dfm_sb_cstr(&sb);
}

static uint32_t count_ops(const ir_graph *g, ir_op_kind kind)
{
    uint32_t n = 0;
    for (uint32_t i = 1; i < g->ops.n; i++) n += g->ops.p[i].kind == kind;
    return n;
}

static const ir_param *param(const program *p, const char *path)
{
    for (uint32_t i = 0; i < p->m->params.n; i++)
        if (strcmp(dfm_name_str(p->m->names, p->m->params.p[i].path), path) == 0)
            return &p->m->params.p[i];
    fail_msg("no parameter %s", path);
    return NULL;
}

/* -- the published sizes ---------------------------------------------------------------------- */

static uint64_t trainable(const char *file, const char *variant)
{
    front_options o = {.variant = variant, .check_only = true};
    program p = compile_file(file, o);
    uint64_t n = front_params(p.m).trainable;
    end(&p);
    return n;
}

static void test_sizes(void **state)
{
    const char *dit = DFM_SOURCE_DIR "/models/dit.dfm";
    const char *wan = DFM_SOURCE_DIR "/models/wan_1_3b.dfm";
    assert_int_equal(trainable(dit, "S/2"), 32865056);
    assert_int_equal(trainable(dit, "B/2"), 130315808);
    assert_int_equal(trainable(dit, "L/2"), 457840672);
    assert_int_equal(trainable(dit, "XL/2"), 674834720);
    assert_int_equal(trainable(wan, "1.3B"), 1418996800);
    assert_int_equal(trainable(wan, "14B"), 14288491584);
}

/* -- parameters -------------------------------------------------------------------------------- */

static void test_stacked(void **state)
{
    program p = compile_text("block inner(x: [..., D]) -> [..., D] {\n"
                             "  param gain: f32[D] init ones tag no_decay\n"
                             "  return gain * linear(x, D -> D) as fc init normal(std=0.5)\n"
                             "}\n"
                             "model m(x: [B, D]) -> [B, S, F] {\n"
                             "  repeat layers[i: L] with x {\n"
                             "    repeat part[i: S] with x { x = inner(x) as sub tag special }\n"
                             "  }\n"
                             "  return linear(x, D -> (S, F)) as \"head.0\" init zeros\n"
                             "}\n", (front_options){0});
    const ir_param *w = param(&p, "layers.{i}.part.{i2}.sub.fc.weight");
    dfm_sb sb = dfm_sb_make(p.a);
    ir_print_type(&sb, p.m, w->type);
    assert_string_equal(dfm_sb_cstr(&sb), "f32[L,S,D,D']");
    assert_int_equal(w->n_loops, 2);
    assert_int_equal(w->file_rank, 2);
    assert_int_equal(w->init, IR_INIT_NORMAL);
    assert_true(w->init_a == 0.5);
    assert_int_equal(w->n_tags, 1);
    assert_int_equal(param(&p, "layers.{i}.part.{i2}.sub.gain")->n_tags, 2);
    const ir_param *h = param(&p, "head.0.weight");
    assert_int_equal(h->file_shape[0], 18);             /* (S, F) is one published dim */
    assert_int_equal(h->file_shape[1], 4);
    assert_int_equal(h->fan_out, 18);
    assert_int_equal(h->init, IR_INIT_ZEROS);
    assert_int_equal(param(&p, "head.0.bias")->init, IR_INIT_ZEROS);
    assert_int_equal(graph_of(&p, "init")->results.n, p.m->params.n);
    end(&p);
}

/* -- repeats ----------------------------------------------------------------------------------- */

static void test_carry_type(void **state)
{
    /* The carry starts as bf16 and comes out as f32: it starts as f32. */
    program p = compile_text("model m(x: bf16[B, D]) -> f32[B, D] {\n"
                             "  repeat r[i: L] with x { x = f32(x) * 0.5 }\n"
                             "  return x\n"
                             "}\n", (front_options){0});
    const ir_graph *g = graph_of(&p, "forward");
    assert_string_equal(result_type(&p, "forward"), "f32[B,D]");
    assert_int_equal(count_ops(g, IR_SCAN), 1);
    for (uint32_t i = 1; i < g->ops.n; i++)
        if (g->ops.p[i].kind == IR_SCAN)
            assert_int_equal(ir_type_of(p.m, ir_type_at(g, g->ops.p[i].args[0]))->dtype, DFM_F32);
    end(&p);
}

static void test_index_is_a_table(void **state)
{
    /* 1 - i / L depends on the index only: one table of L numbers, looked up by the counter. */
    program p = compile_text("model m(x: f32[B, D]) -> f32[B, D] {\n"
                             "  repeat r[i: L] with x { x = x * sqrt(1 - i / L) }\n"
                             "  return x\n"
                             "}\n", (front_options){0});
    const ir_graph *body = NULL, *g = graph_of(&p, "forward");
    for (uint32_t i = 1; i < g->ops.n; i++)
        if (g->ops.p[i].kind == IR_SCAN) body = p.m->graphs.p[g->ops.p[i].at->scan.body];
    assert_non_null(body);
    assert_int_equal(count_ops(body, IR_GATHER), 1);
    assert_int_equal(count_ops(body, IR_MAP), 1);
    for (uint32_t i = 1; i < body->ops.n; i++)
        if (body->ops.p[i].kind == IR_CONST && body->ops.p[i].at->cst.n == 5)
            assert_true(body->ops.p[i].at->cst.data[4] == __builtin_sqrt(1 - 4.0 / 5));
    end(&p);
}

static void test_shared_body(void **state)
{
    program p = compile_text("model m(x: [B, D], y: [B, D]) -> [B, D] {\n"
                             "  repeat layers[i: L] with x { x = linear(x + y, D -> D) as fc }\n"
                             "  return x\n"
                             "}\n"
                             "sampler s(y: [B, D]) for m -> [B, D] {\n"
                             "  x = normal([B, D])\n"
                             "  repeat step[i: 4] with x { x = m(x, y) + 2 * m(x, 0 * y) }\n"
                             "  return x\n"
                             "}\n", (front_options){0});
    uint32_t layers = 0, steps = 0;
    for (uint32_t i = 1; i < p.m->graphs.n; i++) {
        const char *name = dfm_name_str(p.m->names, p.m->graphs.p[i]->name);
        layers += strcmp(name, "layers") == 0;
        steps += strcmp(name, "step") == 0;
    }
    assert_int_equal(layers, 1);                        /* forward and both calls of the sampler */
    assert_int_equal(steps, 1);
    assert_int_equal(p.m->params.n, 2);
    end(&p);
}

/* -- calls, types ------------------------------------------------------------------------------ */

static void test_broadcast(void **state)
{
    /* Arguments lack dims, results are ordered as declared, `...` takes the rest. */
    program p = compile_text("block f(a: any[..., D], b: any[..., D]) -> any[D, ...] {\n"
                             "  return a * b\n"
                             "}\n"
                             "model m(x: f32[B, D], y: f32[S, D]) -> f32[D, S, B] {\n"
                             "  return f(x, y)\n"
                             "}\n", (front_options){0});
    assert_string_equal(result_type(&p, "forward"), "f32[D,S,B]");
    end(&p);
}

static void test_compute_type(void **state)
{
    const char *text = "model m(x: [B, D]) -> f32[B, F] {\n"
                       "  y = linear(x, D -> F) as fc\n"
                       "  return y\n"
                       "}\n"
                       "precision half for m { params = f32; compute = bf16 }\n";
    program p = compile_text(text, (front_options){0});
    const ir_graph *g = graph_of(&p, "forward");
    for (uint32_t i = 1; i < g->ops.n; i++)
        if (g->ops.p[i].kind == IR_CONTRACT)
            for (int k = 0; k < 2; k++)
                assert_int_equal(ir_type_of(p.m, ir_type_at(g, g->ops.p[i].args[k]))->dtype,
                                 DFM_BF16);
    assert_int_equal(ir_type_of(p.m, param(&p, "fc.weight")->type)->dtype, DFM_F32);
    end(&p);
    p = compile_text(text, (front_options){.precision = "f32"});
    assert_int_equal(count_ops(graph_of(&p, "forward"), IR_CAST), 0);
    end(&p);
}

static void test_overrides(void **state)
{
    const char *sets[] = {"dim.D=8", "const.K=3"};
    program p = compile_text("dim E = 2 * D\nconst K = 2\n"
                             "model m(x: f32[B, D]) -> f32[B, E] {\n"
                             "  if K == 3 { y = linear(x, D -> E) as three }\n"
                             "  else { y = linear(x, D -> E) as two }\n"
                             "  return y\n"
                             "}\n", (front_options){.sets = sets, .n_sets = 2});
    const ir_param *w = param(&p, "three.weight");
    assert_int_equal(w->file_shape[0], 16);             /* derived dims follow */
    assert_int_equal(w->file_shape[1], 8);
    end(&p);
}

/* -- numbers ----------------------------------------------------------------------------------- */

static const double *given(void *user, const ir_module *m, const ir_graph *g, ir_val v)
{
    const ir_op *op = ir_op_of(g, v);
    if (op->kind != IR_INPUT) return NULL;
    uint64_t n = ir_elems(m, op->type);
    double *p = dfm_new_n(m->arena, double, n);
    for (uint64_t i = 0; i < n; i++) p[i] = (double)i;
    return p;
}

static const double *run(program *p)
{
    const double *out[8];
    dfm_err err = {0};
    ir_env env = {.lookup = given};
    if (ir_interpret(p->m, graph_of(p, "forward"), &env, p->a, out, &err) != DFM_OK)
        fail_msg("%s", err.text);
    return out[0];
}

static void test_conv(void **state)
{
    program p = compile_text("dim K = 3\n"
                             "model m(x: f32[B, S], w: f32[K]) -> f32[B, S] {\n"
                             "  return conv(x, w, S -> (S, K), pad=1)\n"
                             "}\n", (front_options){0});
    const double *y = run(&p);                          /* x = 0..5, w = 0 1 2 */
    const double x[2][5] = {{0, 0, 1, 2, 0}, {0, 3, 4, 5, 0}};
    for (int b = 0; b < 2; b++)
        for (int s = 0; s < 3; s++)
            assert_true(y[b * 3 + s] == 1 * x[b][s + 1] + 2 * x[b][s + 2]);
    end(&p);
}

static void test_carries_from_numbers(void **state)
{
    /* n stays a whole number; acc takes the type and the dims of what is added to it. */
    program p = compile_text("model m(x: f32[B, D]) -> f32[B, D] {\n"
                             "  n = 0\n  acc = 0\n"
                             "  repeat r[i: L] with n, acc {\n"
                             "    n = n + i\n"
                             "    repeat q[j: 2] with acc { acc = acc + x * j }\n"
                             "  }\n"
                             "  return acc * n\n"
                             "}\n", (front_options){0});
    const double *y = run(&p);
    for (int i = 0; i < 8; i++) assert_true(y[i] == 5.0 * i * 10);
    end(&p);
}

static void test_moves(void **state)
{
    program p = compile_text("dim T = B * S\n"
                             "model m(x: f32[B, S, D]) -> f32[T, F] {\n"
                             "  a = slice(x, D -> B2, 1..3)\n"
                             "  c = concat(x, a, (D, B2) -> F)\n"
                             "  return merge(c, (B, S) -> T)\n"
                             "}\n"
                             "dim B2 = 2\n", (front_options){0});
    const double *y = run(&p);
    for (int r = 0; r < 6; r++)
        for (int f = 0; f < 6; f++)
            assert_true(y[r * 6 + f] == (f < 4 ? r * 4 + f : r * 4 + f - 3));
    end(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),          cmocka_unit_test(test_stacked),
        cmocka_unit_test(test_carry_type),     cmocka_unit_test(test_index_is_a_table),
        cmocka_unit_test(test_shared_body),    cmocka_unit_test(test_broadcast),
        cmocka_unit_test(test_compute_type),   cmocka_unit_test(test_overrides),
        cmocka_unit_test(test_conv),           cmocka_unit_test(test_moves),
        cmocka_unit_test(test_carries_from_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_kir_memory.c - the memory plan: what shares memory, how near the bound it comes, that the
 * number of layers does not matter, and that a wrong plan is found (compiler/truth/shadow.h). */
#include <stdio.h>

#include "tests/autodiff/random_graph.h"
#include "tests/kir/kt.h"
#include "compiler/lower/lifetime.h"
#include "compiler/truth/shadow.h"

static ir_val mul(ir_builder *b, ir_val x, ir_val y) { return ir_map2(b, IR_FN_MUL, x, y); }
static ir_val add(ir_builder *b, ir_val x, ir_val y) { return ir_map2(b, IR_FN_ADD, x, y); }

/* Gradient of x' = x + g * (sin(x w + b) v), `layers` times. */
static const ir_graph *block_grad(fx *f, int64_t layers)
{
    ir_dim loop = fx_dim(f, "L", layers), d = fx_dim(f, "D", 16), h = fx_dim(f, "H", 64);
    uint32_t index;
    fx_dim(f, "R", 48);
    ir_builder b = fx_body(f, "body", &index);
    fx_formal(&b, ir_tensor(f->m, DFM_I32, NULL, 0));
    ir_val x = fx_formal(&b, fx_type(f, DFM_F32, "R,D"));
    ir_val w = fx_formal(&b, fx_type(f, DFM_F32, "H,D"));
    ir_val v = fx_formal(&b, fx_type(f, DFM_F32, "D,H"));
    ir_val bias = fx_formal(&b, fx_type(f, DFM_F32, "H"));
    ir_val g = fx_formal(&b, fx_type(f, DFM_F32, "D"));
    ir_pair by_d = {d, d}, by_h = {h, h};
    ir_val p = ir_contract_over(&b, x, w, &by_d, 1, fx_type(f, DFM_F32, "R,H"));
    ir_val y = ir_map1(&b, IR_FN_SIN, add(&b, p, bias));
    ir_val q = ir_contract_over(&b, y, v, &by_h, 1, fx_type(f, DFM_F32, "R,D"));
    ir_result_add(&b, add(&b, x, mul(&b, q, g)), "x");
    ir_scan at = {.body = index, .loop = loop, .n_carry = 1, .n_xs = 4};
    ir_val s = ir_scan_over(&f->b, &at,
                            (ir_val[]){fx_f32(f, "R,D"), fx_param(f, "w", "L,H,D"),
                                       fx_param(f, "v", "L,D,H"), fx_param(f, "b", "L,H"),
                                       fx_param(f, "g", "L,D")}, 5);
    fx_loss(f, ir_get(&f->b, s, 0));
    return fx_grad(f, NULL, 0);
}

typedef struct census { const kir_module *m; bool *used; uint32_t nodes; } census;

static void touch(void *user, kir_arg *a) { ((census *)user)->used[a->buf.i] = true; }

static void walk(census *c, const kir_nodes *list)
{
    for (uint32_t i = 0; i < list->n; i++) {
        c->nodes++;
        if (list->p[i]->kind == KIR_NODE_LOOP) walk(c, &list->p[i]->loop.body);
        else kir_each_arg(list->p[i], touch, c);
    }
}

static uint32_t buffers_in_use(fx *f, const kir_module *m, uint32_t *nodes)
{
    census c = {m, dfm_new_n(f->a, bool, m->bufs.n), 0};
    uint32_t n = 0;
    walk(&c, &m->programs.p[0]->nodes);
    for (uint32_t i = 1; i < m->bufs.n; i++) n += c.used[i];
    *nodes = c.nodes;
    return n;
}

/* Each layer adds its slices and nothing else: 54 more layers, 54 times the same. */
static void grows_by_slices_only(void **state)
{
    static const int64_t layers[] = {2, 3, 56};
    uint64_t arena[3];
    uint32_t buffers[3], nodes[3];
    for (int i = 0; i < 3; i++) {
        fx *f = fx_new(5);
        kir_module *m = kt_lower(f, block_grad(f, layers[i]), false);
        arena[i] = m->programs.p[0]->arena_bytes;
        buffers[i] = buffers_in_use(f, m, &nodes[i]);
        uint64_t outputs = 0;                /* gradients are outputs here: slices too */
        for (uint32_t k = 0; k < m->programs.p[0]->outputs.n; k++)
            outputs += ir_elems(m->ir, m->programs.p[0]->outputs.p[k].type) * 4;
        arena[i] -= outputs;
        fx_free(f);
    }
    assert_int_equal(buffers[0], buffers[2]);
    assert_int_equal(nodes[0], nodes[2]);
    uint64_t slice = arena[1] - arena[0];
    assert_true(slice >= 48 * (64 + 16 + 16) * 4);       /* sum with bias, product, x */
    assert_true(arena[2] - arena[0] <= 54 * slice + 54 * 256 + buffers[2] * LIFE_SKEW);
}

/* In the backward body, what the size of a slice has lies in slices, or over what dies. */
static void bodies_live_in_slices(void **state)
{
    fx *f = fx_new(6);
    kir_module *m = kt_lower(f, block_grad(f, 8), false);
    uint32_t big = 0, nodes;
    buffers_in_use(f, m, &nodes);
    census c = {m, dfm_new_n(f->a, bool, m->bufs.n), 0};
    walk(&c, &m->programs.p[0]->nodes);
    for (uint32_t i = 1; i < m->bufs.n; i++)
        big += c.used[i] && m->bufs.p[i].mem == KIR_MEM_TEMP && m->bufs.p[i].elems == 48 * 64;
    assert_true(big <= 2);                   /* without sharing: sin, d sin, d sum, sin again */
    fx_free(f);
}

/* Gradients of random graphs. */
static void near_the_bound(void **state)
{
    double sum = 0, worst = 1;
    uint32_t n = 0;
    for (uint64_t seed = 1; seed <= 120; seed++) {
        fx *f = fx_random_graph(seed, false, NULL, NULL);
        kir_module *m = kt_lower(f, fx_grad(f, f->input, 1), false);
        const kir_program *p = m->programs.p[0];
        assert_true(p->arena_bytes >= p->bound_bytes);
        double over = (double)p->arena_bytes / (double)p->bound_bytes;
        sum += over;
        worst = over > worst ? over : worst;
        n++;
        fx_free(f);
    }
    printf("arena over bound: mean %.4f, worst %.3f of %u\n", sum / n, worst, n);
    assert_true(sum / n <= 1.01 && worst <= 1.1);
}

/* The check itself: a buffer pushed 4 KiB down lies on its neighbour, which is found out if both
 * are live at a time: most are. */
static void wrong_plans_are_found(void **state)
{
    uint32_t found = 0, tried = 0;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        fx *f = fx_new(seed);
        const ir_graph *g = block_grad(f, 3);
        kir_module *m = kt_lower(f, g, false), *alone = NULL;
        dfm_err err = {0};
        char text[400];
        static const kir_limits wide = {.target = "wide", .row_bytes = 16384, .max_streams = 12,
                                        .lane_target = 64};
        if (lower_kernelize(f->m, &wide, f->a, NULL, NULL, &alone, &err) != DFM_OK)
            fail_msg("%s", err.text);
        kir_module *planned = NULL;
        lower_memory mem;
        if (lower_kernelize(f->m, &wide, f->a, NULL, NULL, &planned, &err) != DFM_OK ||
            lower_memplan(planned, &mem, &err) != DFM_OK)
            fail_msg("%s", err.text);
        assert_true(shadow_check(alone, planned, 0, text, sizeof text));
        assert_true(mem.n_in_place + mem.n_in_slots > 0);
        for (uint32_t i = 1; i < planned->bufs.n; i++) {
            kir_buffer *b = &planned->bufs.p[i];
            uint64_t kept = b->offset;
            if (b->mem != KIR_MEM_TEMP || kept < 4096 || b->elems < 64) continue;
            b->offset -= 4096;
            found += !shadow_check(alone, planned, 0, text, sizeof text);
            tried++;
            b->offset = kept;
        }
        (void)m;
        fx_free(f);
    }
    printf("%u of %u wrong plans found\n", found, tried);
    assert_true(tried >= 12 && found * 4 >= tried * 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grows_by_slices_only),
        cmocka_unit_test(bodies_live_in_slices),
        cmocka_unit_test(near_the_bound),
        cmocka_unit_test(wrong_plans_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_kir_ops.c - hand-written graphs: every op, and how many kernels well-known chains become. */
#include "tests/kir/kt.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct net {                         /* a graph with the names of a transformer's dims */
    fx *f;
    ir_builder *b;
} net;

static net begin(uint64_t seed)
{
    net n = {.f = fx_new(seed)};
    n.b = &n.f->b;
    return n;
}

static ir_val f1(net *n, ir_fn fn, ir_val x) { return ir_map1(n->b, fn, x); }
static ir_val f2(net *n, ir_fn fn, ir_val x, ir_val y) { return ir_map2(n->b, fn, x, y); }
static ir_val num(net *n, double x) { return ir_scalar(n->b, DFM_F32, x); }
static ir_val in(net *n, const char *dims) { return fx_f32(n->f, dims); }
static void out(net *n, ir_val v) { ir_result_add(n->b, v, "out"); }

static ir_val mean(net *n, ir_val x, ir_dim d)
{
    ir_val s = ir_reduce_over(n->b, IR_RED_SUM, x, &d, 1);
    return f2(n, IR_FN_MUL, s, num(n, 1.0 / (double)ir_extent(n->f->m, d)));
}

static ir_val layer_norm(net *n, ir_val x, ir_dim d)
{
    ir_val c = f2(n, IR_FN_SUB, x, mean(n, x, d));
    ir_val v = f2(n, IR_FN_ADD, mean(n, f2(n, IR_FN_MUL, c, c), d), num(n, 1e-5));
    return f2(n, IR_FN_DIV, c, f1(n, IR_FN_SQRT, v));
}

static ir_val modulate(net *n, ir_val x, ir_val shift, ir_val scale)
{
    return f2(n, IR_FN_ADD, f2(n, IR_FN_MUL, x, f2(n, IR_FN_ADD, num(n, 1), scale)), shift);
}

/* Checks the numbers and the kernels; ends the net. */
static void expect(net *n, uint32_t kernels, uint32_t gemms, double tol)
{
    kir_module *k = kt_check_with(n->f, n->b->g, tol, false);
    if (kt_count(k, KIR_NODE_KERNEL) != kernels || kt_count(k, KIR_NODE_GEMM) != gemms ||
        kt_count(k, KIR_NODE_COPY)) {
        printf("%s", kt_text(n->f, k));
        fail_msg("%u kernels, %u products", kt_count(k, KIR_NODE_KERNEL),
                 kt_count(k, KIR_NODE_GEMM));
    }
    fx_free(n->f);
}

/* -- golden kernel lists ----------------------------------------------------------------------- */

static void norm_and_modulate_is_one_kernel(void **state)
{
    net n = begin(1);
    ir_val x = in(&n, "B=3,S=7,D=24"), shift = in(&n, "B,D"), scale = in(&n, "B,D");
    out(&n, modulate(&n, layer_norm(&n, x, fx_dim(n.f, "D", 24)), shift, scale));
    expect(&n, 1, 0, 1e-5);
}

static void residual_norm_modulate_is_one_kernel(void **state)
{
    net n = begin(2);
    ir_val x = in(&n, "B=3,S=7,D=24"), h = in(&n, "B,S,D"), gate = in(&n, "B,D");
    ir_val shift = in(&n, "B,D"), scale = in(&n, "B,D");
    ir_val y = f2(&n, IR_FN_ADD, x, f2(&n, IR_FN_MUL, gate, h));
    out(&n, y);
    out(&n, modulate(&n, layer_norm(&n, y, fx_dim(n.f, "D", 24)), shift, scale));
    expect(&n, 1, 0, 1e-5);
}

static void softmax_is_one_kernel(void **state)
{
    net n = begin(3);
    ir_val x = in(&n, "B=3,S=7,T=11");
    ir_dim t = fx_dim(n.f, "T", 11);
    ir_val e = f1(&n, IR_FN_EXP, f2(&n, IR_FN_SUB, x, ir_reduce_over(n.b, IR_RED_MAX, x, &t, 1)));
    out(&n, f2(&n, IR_FN_DIV, e, ir_reduce_over(n.b, IR_RED_SUM, e, &t, 1)));
    expect(&n, 1, 0, 1e-5);
}

/* Backward of norm + modulate: one kernel over the activations, which also sums the gradients of
 * shift and scale over tokens, a combining kernel for each of these, and one for the loss. */
static void norm_and_modulate_backward(void **state)
{
    net n = begin(4);
    ir_val x = in(&n, "B=3,S=40,D=24"), shift = in(&n, "B,D"), scale = in(&n, "B,D");
    ir_val y = modulate(&n, layer_norm(&n, x, fx_dim(n.f, "D", 24)), shift, scale);
    fx_loss(n.f, f1(&n, IR_FN_TANH, y));
    ir_graph *g = fx_grad(n.f, n.f->input, 3);
    kir_module *k = kt_check_with(n.f, g, 1e-5, false);
    uint32_t kernels = kt_count(k, KIR_NODE_KERNEL);
    if (kernels > 4) printf("%s", kt_text(n.f, k));
    assert_int_equal(kernels, 4);
    fx_free(n.f);
}

/* AdamW over a flat buffer with f32 moments, in place of three results. */
static void adamw_is_one_kernel(void **state)
{
    net n = begin(5);
    ir_val w = in(&n, "P=4096"), g = in(&n, "P"), m = in(&n, "P"), v = in(&n, "P"), lr = in(&n, "");
    ir_val m1 =
        f2(&n, IR_FN_ADD, f2(&n, IR_FN_MUL, m, num(&n, 0.9)), f2(&n, IR_FN_MUL, g, num(&n, 0.1)));
    ir_val g2 = f2(&n, IR_FN_MUL, g, g),
           v2 = f2(&n, IR_FN_MUL, f2(&n, IR_FN_MUL, v, v), num(&n, 0.99));
    ir_val v1 = f2(&n, IR_FN_ADD, v2, f2(&n, IR_FN_MUL, g2, num(&n, 0.01)));
    ir_val step = f2(&n, IR_FN_DIV, m1, f2(&n, IR_FN_ADD, f1(&n, IR_FN_SQRT, v1), num(&n, 1e-3)));
    out(&n, f2(&n, IR_FN_SUB, w, f2(&n, IR_FN_MUL, lr, step)));
    out(&n, m1);
    out(&n, v1);
    expect(&n, 1, 0, 1e-5);
}

static void sum_of_a_long_vector(void **state)
{
    net n = begin(6);
    ir_val x = in(&n, "P=65536");
    ir_dim p = fx_dim(n.f, "P", 65536);
    out(&n, ir_reduce_over(n.b, IR_RED_SUM, f2(&n, IR_FN_MUL, x, x), &p, 1));
    expect(&n, 2, 0, 1e-5);
}

/* The same over several dims, in and out of order with the kept ones. */
static void sums_of_large_tensors(void **state)
{
    static const char *const over[] = {"A,B,C", "B,C", "A,C", "A", "B", "A,B", "C"};
    static const ir_reducer reds[] = {IR_RED_SUM, IR_RED_MAX, IR_RED_ARGMAX};
    for (uint32_t i = 0; i < 21; i++) {
        net n = begin(60 + i);
        ir_val x = in(&n, "A=5,B=96,C=70");
        ir_type_info t = *ir_type_of(n.f->m, fx_type(n.f, DFM_F32, over[i % 7]));
        if (reds[i / 7] == IR_RED_ARGMAX && t.rank > 1) t.rank = 1;
        out(&n, ir_reduce_over(n.b, reds[i / 7], f2(&n, IR_FN_MUL, x, x), t.dims, t.rank));
        kt_check(n.f, n.b->g, 1e-5);
        fx_free(n.f);
    }
}

/* A bias that would be a kernel of its own goes into the product, also with split heads. */
static void bias_goes_into_the_product(void **state)
{
    net n = begin(50);
    ir_val x = in(&n, "B=2,S=5,D=8"), w = fx_param(n.f, "w", "Q=3,H=2,E=4,D");
    ir_val bias = fx_param(n.f, "b", "Q,H,E"), other = fx_param(n.f, "c", "S");
    ir_pair p = {fx_dim(n.f, "D", 8), fx_dim(n.f, "D", 8)};
    ir_type xt = ir_type_at(n.b->g, x), wt = ir_type_at(n.b->g, w);
    ir_type t = ir_contract_type(n.f->m, xt, wt, &p, 1, DFM_F32);
    ir_val y = ir_contract_over(n.b, x, w, &p, 1, t);
    out(&n, f2(&n, IR_FN_ADD, bias, y));
    ir_val z = ir_contract_over(n.b, w, in(&n, "S,D"), &p, 1, fx_type(n.f, DFM_F32, "H,Q,E,S"));
    out(&n, f2(&n, IR_FN_ADD, z, other));    /* over columns */
    ir_val v = ir_contract_over(n.b, w, in(&n, "S,D"), &p, 1, fx_type(n.f, DFM_F32, "S,H,Q,E"));
    out(&n, f2(&n, IR_FN_ADD, v, bias));     /* in another order: stays a kernel */
    expect(&n, 1 + 2, 3, 1e-5);              /* two copy w, whose heads are in another order */
}

static void linear_with_split_heads(void **state)
{
    net n = begin(7);
    ir_val x = in(&n, "B=2,S=5,D=8"), w = fx_param(n.f, "w", "Q=3,H=2,E=4,D");
    ir_dim d = fx_dim(n.f, "D", 8);
    ir_pair p = {d, d};
    ir_type t =
        ir_contract_type(n.f->m, ir_type_at(n.b->g, x), ir_type_at(n.b->g, w), &p, 1, DFM_F32);
    out(&n, ir_contract_over(n.b, x, w, &p, 1, t));
    expect(&n, 0, 1, 1e-5);
}

/* -- single ops
 * ------------------------------------------------------------------------------------- */

static void reducers(void **state)
{
    net n = begin(8);
    ir_val x = in(&n, "B=5,C=6,D=7");
    ir_dim c = fx_dim(n.f, "C", 6), d = fx_dim(n.f, "D", 7);
    ir_val i = fx_input(n.f, fx_type(n.f, DFM_I32, "B,C,D"), -3, 3);
    ir_val q = fx_input(n.f, fx_type(n.f, DFM_BOOL, "B,C,D"), 0, 1);
    static const ir_reducer r[] = {IR_RED_SUM, IR_RED_PROD, IR_RED_MAX, IR_RED_MIN};
    for (uint32_t k = 0; k < DFM_LEN(r); k++) {
        out(&n, ir_reduce_over(n.b, r[k], x, &c, 1));
        out(&n, ir_reduce_over(n.b, r[k], x, &d, 1));
        out(&n, ir_reduce_over(n.b, r[k], i, &c, 1));
    }
    out(&n, ir_reduce_over(n.b, IR_RED_ARGMAX, x, &c, 1));
    out(&n, ir_reduce_over(n.b, IR_RED_ARGMAX, i, &d, 1));
    out(&n, ir_reduce_over(n.b, IR_RED_ANY, q, &c, 1));
    out(&n, ir_reduce_over(n.b, IR_RED_ALL, q, &d, 1));
    ir_dim all[3] = {fx_dim(n.f, "B", 5), c, d};
    out(&n, ir_reduce_over(n.b, IR_RED_SUM, x, all, 3));
    out(&n, ir_reduce_over(n.b, IR_RED_ALL, q, all, 3));
    kt_check(n.f, n.b->g, 1e-5);
    fx_free(n.f);
}

static void integers_and_casts(void **state)
{
    net n = begin(9);
    ir_val a = fx_input(n.f, fx_type(n.f, DFM_I32, "B=9"), -20, 20), x = in(&n, "B");
    ir_val three = ir_scalar(n.b, DFM_I32, 3);
    static const ir_fn two[] = {IR_FN_ADD, IR_FN_SUB, IR_FN_MUL, IR_FN_DIV,
                                IR_FN_MOD, IR_FN_MIN, IR_FN_MAX};
    for (uint32_t k = 0; k < DFM_LEN(two); k++) out(&n, f2(&n, two[k], a, three));
    out(&n, f1(&n, IR_FN_ABS, a));
    out(&n, f1(&n, IR_FN_SIGN, a));
    out(&n, ir_cast(n.b, f2(&n, IR_FN_MUL, x, num(&n, 10)), DFM_I32));
    out(&n, ir_cast(n.b, x, DFM_BOOL));
    out(&n, ir_cast(n.b, a, DFM_F32));
    out(&n, ir_cast(n.b, a, DFM_U8));
    out(&n, ir_cast(n.b, x, DFM_BF16));
    out(&n, ir_cast(n.b, ir_cast(n.b, x, DFM_BF16), DFM_F32));
    ir_val lt = f2(&n, IR_FN_LT, a, three), le = f2(&n, IR_FN_LE, x, num(&n, 0));
    out(&n, f2(&n, IR_FN_AND, lt, f1(&n, IR_FN_NOT, le)));
    out(&n, f2(&n, IR_FN_OR, lt, f2(&n, IR_FN_NE, a, three)));
    out(&n, ir_map3(n.b, IR_FN_SELECT, lt, x, f1(&n, IR_FN_NEG, x)));
    kt_check(n.f, n.b->g, 1e-5);
    fx_free(n.f);
}

static void functions(void **state)
{
    net n = begin(10);
    ir_val x = in(&n, "B=33"), p = f2(&n, IR_FN_ADD, f2(&n, IR_FN_MUL, x, x), num(&n, 0.25));
    for (ir_fn fn = 1; fn < IR_FN_COUNT; fn++) {
        bool pos = fn == IR_FN_LOG || fn == IR_FN_LOG1P || fn == IR_FN_SQRT || fn == IR_FN_RSQRT
                || fn == IR_FN_RECIP;
        ir_fn_class c = ir_fn_class_of(fn);
        if (c != IR_ARITH && c != IR_FLOAT) continue;
        if (ir_fn_arity(fn) == 1) out(&n, f1(&n, fn, pos ? p : f2(&n, IR_FN_MUL, x, num(&n, 3))));
        else out(&n, f2(&n, fn, fn == IR_FN_POW ? p : x, p));
    }
    kt_check(n.f, n.b->g, 1e-5);
    fx_free(n.f);
}

/* Results that are inputs, parameters, constants, duplicates, views, scalars. */
static void plain_results(void **state)
{
    net n = begin(11);
    ir_val x = in(&n, "B=3,C=4"), s = in(&n, ""), w = fx_param(n.f, "w", "B,C");
    double table[4] = {1, 2, 3, 4};
    ir_val c = ir_table(n.b, fx_type(n.f, DFM_F32, "C"), dfm_dup(n.f->a, table, sizeof table));
    ir_val y = f2(&n, IR_FN_ADD, x, w);
    ir_val r[] = {x, x, s, w, c, y, y, num(&n, 7), ir_iota(n.b, fx_dim(n.f, "C", 4)),
                  ir_transpose_to(n.b, y, fx_type(n.f, DFM_F32, "C,B")),
                  ir_broadcast(n.b, s, fx_type(n.f, DFM_F32, "B")), f1(&n, IR_FN_EXP, s)};
    for (uint32_t k = 0; k < DFM_LEN(r); k++) out(&n, r[k]);
    kt_check(n.f, n.b->g, 1e-5);
    fx_free(n.f);
}

/* Every order of the dims of operands and result, with two batch dims among them. */
static void products(void **state)
{
    static const char *const xs[] = {"A=2,B=3,M=4,K=5", "M,A,K,B", "K,B,A,M", "A,M,B,K"};
    static const char *const ys[] = {"A,B,K,N=6", "N,K,B,A", "B,N,A,K", "A,N,B,K"};
    static const char *const ts[] = {"A,B,M,N", "M,N,A,B", "N,B,A,M", "A,M,B,N"};
    for (uint32_t i = 0; i < 64; i++) {
        net n = begin(12 + i);
        fx_type(n.f, DFM_F32, "A=2,B=3,M=4,K=5,N=6");
        ir_val x = in(&n, xs[i % 4]), y = in(&n, ys[i / 4 % 4]);
        ir_pair p = {fx_dim(n.f, "K", 5), fx_dim(n.f, "K", 5)};
        out(&n, ir_contract_over(n.b, x, y, &p, 1, fx_type(n.f, DFM_F32, ts[i / 16])));
        kt_check(n.f, n.b->g, 1e-5);
        fx_free(n.f);
    }
}

/* Dot products per row are reductions: no product of 1 x 1 matrices, and they fuse. */
static void dot_products_are_kernels(void **state)
{
    net n = begin(90);
    ir_val x = in(&n, "B=3,S=7,D=24"), y = in(&n, "B,S,D"), z = in(&n, "S,E=24,B");
    ir_dim d = fx_dim(n.f, "D", 24), e = fx_dim(n.f, "E", 24);
    ir_pair same = {d, d}, renamed = {d, e};
    ir_type t = fx_type(n.f, DFM_F32, "B,S");
    ir_val s = ir_contract_over(n.b, x, f1(&n, IR_FN_TANH, y), &same, 1, t);
    out(&n, f2(&n, IR_FN_MUL, s, f2(&n, IR_FN_ADD, x, y)));
    out(&n, ir_contract_over(n.b, x, z, &renamed, 1, t));
    ir_val h = ir_cast(n.b, f2(&n, IR_FN_MUL, x, y), DFM_BF16);
    out(&n, ir_contract_over(n.b, h, h, &same, 1, t));
    kir_module *k = kt_check_with(n.f, n.b->g, 1e-5, false);
    assert_int_equal(kt_count(k, KIR_NODE_GEMM), 0);
    assert_in_range(kt_count(k, KIR_NODE_KERNEL), 1, 2);
    fx_free(n.f);
}

static void attention_shapes(void **state)
{
    for (uint32_t i = 0; i < 12; i++) {
        net n = begin(100 + i);
        ir_val qkv = in(&n, "B=2,S=5,Q=3,H=3,E=4");
        ir_dim s = fx_dim(n.f, "S", 5), e = fx_dim(n.f, "E", 4);
        ir_type t = fx_type(n.f, DFM_F32, i & 1 ? "B,H,S,E" : "B,S,H,E");
        ir_val x[3];
        for (int64_t k = 0; k < 3; k++) {
            ir_module *m = n.f->m;
            ir_ix c[5] = {ir_ix_var(m, fx_dim(n.f, "B", 2)), ir_ix_var(m, s), ir_ix_const(m, k),
                          ir_ix_var(m, fx_dim(n.f, "H", 3)), ir_ix_var(m, e)};
            x[k] = ir_view_of(n.b, qkv, t, c, NULL, 0, 0);
        }
        ir_attend at = {.seq = s, .over = s, .feature = e, .value = e, .scale = 0.5,
                        .causal = i % 3 == 1, .window = i % 3 == 2 ? 2 : 0};
        ir_val mask = {0};
        if (i & 2) mask = fx_input(n.f, fx_type(n.f, DFM_BOOL, i & 4 ? "B,S" : "S"), 0, 1);
        ir_val o = ir_get(n.b, ir_attend_fwd(n.b, x[0], x[1], x[2], mask, &at), 0);
        fx_loss(n.f, o);
        kir_module *k = kt_check_with(n.f, fx_grad(n.f, n.f->input, 1), 1e-5, false);
        assert_int_equal(kt_count(k, KIR_NODE_ATTN), 2);
        assert_int_equal(kt_count(k, KIR_NODE_KERNEL), 1);       /* the loss: q, k, v in place */
        fx_free(n.f);
    }
}

/* Keys and values shared by all heads: their gradients are summed over heads. */
static void attention_with_shared_keys(void **state)
{
    net n = begin(200);
    ir_val q = in(&n, "B=2,H=3,S=5,E=4"), k = in(&n, "B,T=6,E"), v = in(&n, "B,T,E");
    ir_attend at = {.seq = fx_dim(n.f, "S", 5), .over = fx_dim(n.f, "T", 6),
                    .feature = fx_dim(n.f, "E", 4), .value = fx_dim(n.f, "E", 4), .scale = 0.5};
    fx_loss(n.f, ir_get(n.b, ir_attend_fwd(n.b, q, k, v, (ir_val){0}, &at), 0));
    kt_check(n.f, fx_grad(n.f, n.f->input, 3), 1e-5);
    fx_free(n.f);
}

static void draws_that_may_be_replaced(void **state)
{
    net n = begin(201);
    ir_val x = in(&n, "B=4,C=5");
    ir_random at = {.dist = IR_NORMAL, .stream = 99, .sample = fx_dim(n.f, "B", 4),
                    .name = dfm_intern(n.f->names, "eps")};
    ir_val e = ir_random_draw(n.b, ir_type_at(n.b->g, x), &at, NULL, 0);
    out(&n, f2(&n, IR_FN_ADD, x, f2(&n, IR_FN_MUL, e, e)));
    kir_module *k = kt_check_with(n.f, n.b->g, 1e-5, true);
    const kir_program *p = k->programs.p[0];
    bool found = false;
    for (uint32_t i = 0; i < p->inputs.n; i++)
        found |= !strcmp(dfm_name_str(n.f->names, p->inputs.p[i].name), "eps");
    assert_true(found);
    assert_true(p->nodes.p[0]->replaces.i != 0);
    assert_int_equal(kt_count(k, KIR_NODE_KERNEL), 2);
    fx_free(n.f);
}

static void half_precision(void **state)
{
    net n = begin(202);
    ir_val x = ir_cast(n.b, in(&n, "B=4,S=5,D=8"), DFM_BF16),
           w = ir_cast(n.b, in(&n, "N=6,D"), DFM_BF16);
    ir_pair p = {fx_dim(n.f, "D", 8), fx_dim(n.f, "D", 8)};
    ir_type t =
        ir_contract_type(n.f->m, ir_type_at(n.b->g, x), ir_type_at(n.b->g, w), &p, 1, DFM_BF16);
    ir_val y = ir_contract_over(n.b, x, w, &p, 1, t);
    out(&n, f1(&n, IR_FN_TANH, y));
    out(&n, y);
    kt_check(n.f, n.b->g, 1e-2);
    fx_free(n.f);
}

/* Each result adds fifteen more rows of a table: as one kernel it would have 120 operands. */
static void too_many_operands_for_one_kernel(void **state)
{
    net n = begin(203);
    ir_module *m = n.f->m;
    ir_val t = in(&n, "T=120,D=9"), sum = in(&n, "D");
    ir_dim d = fx_dim(n.f, "D", 9);
    for (int64_t k = 0; k < 120; k++) {
        ir_ix c[2] = {ir_ix_const(m, k), ir_ix_var(m, d)};
        ir_val row = ir_view_of(n.b, t, fx_type(n.f, DFM_F32, "D"), c, NULL, 0, 0);
        sum = f2(&n, IR_FN_ADD, sum, f2(&n, IR_FN_MUL, row, num(&n, 1.0 / (double)(k + 1))));
        if (k % 15 == 14) out(&n, sum);
    }
    kir_module *k = kt_check_with(n.f, n.b->g, 1e-5, false);
    assert_in_range(kt_count(k, KIR_NODE_KERNEL), 2, 16);
    fx_free(n.f);
}

/* Carries that are swapped, kept, replaced by constants; a carry that others read after its
 * successor is made; a carry in place. */
static void carries(void **state)
{
    net n = begin(204);
    uint32_t body;
    ir_type v = fx_type(n.f, DFM_F32, "D=6"), i32 = ir_tensor(n.f->m, DFM_I32, NULL, 0);
    ir_dim loop = fx_dim(n.f, "L", 4);
    ir_builder b = fx_body(n.f, "body", &body);
    ir_val it = fx_formal(&b, i32), a = fx_formal(&b, v), c = fx_formal(&b, v),
           e = fx_formal(&b, v);
    ir_val g = fx_formal(&b, v), x = fx_formal(&b, v), cap = fx_formal(&b, v);
    ir_val next = ir_map2(&b, IR_FN_ADD, g, ir_map2(&b, IR_FN_MUL, x, ir_cast(&b, it, DFM_F32)));
    ir_result_add(&b, c, "a");               /* swapped with the next */
    ir_result_add(&b, a, "c");
    ir_result_add(&b, e, "e");               /* kept */
    ir_result_add(&b, ir_map2(&b, IR_FN_ADD, next, cap), "g");
    ir_result_add(&b, ir_map2(&b, IR_FN_MUL, ir_map2(&b, IR_FN_SUB, g, a), cap), "y");
    ir_dim d = fx_dim(n.f, "D", 6);
    ir_result_add(&b, ir_reduce_over(&b, IR_RED_SUM, ir_map2(&b, IR_FN_MUL, g, g), &d, 1), "z");
    ir_val args[6];
    for (int k = 0; k < 4; k++) args[k] = in(&n, "D");
    args[4] = in(&n, "L,D");
    args[5] = in(&n, "D");
    for (int reverse = 0; reverse < 2; reverse++) {
        ir_scan at = {.body = body, .loop = loop, .n_carry = 4, .n_xs = 1, .n_caps = 1, .n_ys = 2,
                      .reverse = reverse};
        ir_val s = ir_scan_over(n.b, &at, args, 6);
        for (uint32_t k = 0; k < 6; k++) out(&n, ir_get(n.b, s, k));
    }
    for (int k = 0; k < KT_LIMITS; k++) kt_check_for(n.f, n.b->g, 1e-5, k);
    fx_free(n.f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(norm_and_modulate_is_one_kernel),
        cmocka_unit_test(residual_norm_modulate_is_one_kernel),
        cmocka_unit_test(softmax_is_one_kernel),
        cmocka_unit_test(norm_and_modulate_backward),
        cmocka_unit_test(adamw_is_one_kernel),
        cmocka_unit_test(sum_of_a_long_vector),
        cmocka_unit_test(sums_of_large_tensors),
        cmocka_unit_test(bias_goes_into_the_product),
        cmocka_unit_test(linear_with_split_heads),
        cmocka_unit_test(reducers),
        cmocka_unit_test(integers_and_casts),
        cmocka_unit_test(functions),
        cmocka_unit_test(plain_results),
        cmocka_unit_test(products),
        cmocka_unit_test(dot_products_are_kernels),
        cmocka_unit_test(attention_shapes),
        cmocka_unit_test(attention_with_shared_keys),
        cmocka_unit_test(draws_that_may_be_replaced),
        cmocka_unit_test(half_precision),
        cmocka_unit_test(too_many_operands_for_one_kernel),
        cmocka_unit_test(carries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

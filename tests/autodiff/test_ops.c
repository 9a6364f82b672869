/* test_ops.c - the adjoint of every op but views and scans. */
#include "tests/autodiff/check.h"

#include <math.h>

static ir_dim dim(fx *f, const char *name) { return ir_dim_find(f->m, dfm_intern(f->names, name)); }

static ir_val reduce(fx *f, ir_reducer r, ir_val x, const char *a, const char *b)
{
    ir_dim d[2] = {dim(f, a), {0}};
    if (b) d[1] = dim(f, b);
    return ir_reduce_over(&f->b, r, x, d, b ? 2 : 1);
}

/* -- point and reduce -------------------------------------------------------------------------- */

static void stop_grad(void **state)
{
    fx *f = fx_new(1);
    ir_val x = fx_f32(f, "A=3"), y = ir_map1(&f->b, IR_FN_SIN, x);
    fx_loss(f, ir_map2(&f->b, IR_FN_MUL, ir_stop_grad(&f->b, y), y));
    ir_graph *g = fx_grad(f, &x, 1);
    double *dx = fx_gradient(f, g, 0), *data = fx_data(f, x);
    f->b.g->results.n = 0;
    fx_loss(f, y);                           /* other weights: compare ratios of d(y sg(y)) / y */
    double *plain = fx_gradient(f, fx_grad(f, &x, 1), 0);
    for (int i = 0; i < 3; i++) {
        double ratio = dx[i] / (sin(data[i]) * cos(data[i])), weight = plain[i] / cos(data[i]);
        assert_true(ratio > 0.49 && ratio < 1.51 && weight > 0.49 && weight < 1.51);
    }
    fx_free(f);
}

static void every_reducer(void **state)
{
    for (ir_reducer r = IR_RED_SUM; r < IR_RED_COUNT; r++)
        for (int n = 1; n <= 2; n++) {
            fx *f = fx_new(r * 10 + (uint64_t)n);
            ir_val x = fx_f32(f, "A=3,B=5,C=2");
            if (r == IR_RED_ARGMAX && n == 2) {
                fx_free(f);
                continue;
            }
            ir_val in = x;
            ir_val limit = ir_scalar(&f->b, DFM_F32, r == IR_RED_ANY ? 0.5 : -0.5);
            if (r == IR_RED_ANY || r == IR_RED_ALL) in = ir_map2(&f->b, IR_FN_LT, limit, x);
            ir_val y = reduce(f, r, in, "B", n == 2 ? "A" : NULL);
            if (r == IR_RED_ANY || r == IR_RED_ALL)
                y = ir_map3(&f->b, IR_FN_SELECT, y, ir_map2(&f->b, IR_FN_MUL, x, x), x);
            if (r == IR_RED_ARGMAX)
                y = ir_map2(&f->b, IR_FN_MUL, x, ir_cast(&f->b, y, DFM_F32));
            fx_loss(f, y);
            f->full = true;
            fx_check(f);
            fx_free(f);
        }
}

static void product_with_zeros(void **state)
{
    for (int zeros = 0; zeros <= 3; zeros++) {
        fx *f = fx_new((uint64_t)zeros + 1);
        ir_val x = fx_f32(f, "A=3,B=4");
        for (int i = 0; i < zeros; i++) fx_data(f, x)[i] = 0;
        fx_loss(f, reduce(f, IR_RED_PROD, x, "B", NULL));
        f->full = true;
        fx_check(f);
        fx_free(f);
    }
}

static void ties_share(void **state)
{
    for (ir_reducer r = IR_RED_MAX; r <= IR_RED_MIN; r++) {
        fx *f = fx_new(1);
        ir_val x = fx_f32(f, "A=4");
        double *d = fx_data(f, x), s = r == IR_RED_MAX ? 1 : -1;
        d[0] = d[2] = 2 * s;
        d[1] = d[3] = s;
        ir_result_add(&f->b, reduce(f, r, x, "A", NULL), "loss");
        double *dx = fx_gradient(f, fx_grad(f, &x, 1), 0);
        assert_true(dx[0] == 0.5 && dx[1] == 0 && dx[2] == 0.5 && dx[3] == 0);
        fx_free(f);
    }
}

static void softmax_and_norm(void **state)
{
    fx *f = fx_new(3);
    ir_builder *b = &f->b;
    ir_val x = fx_f32(f, "A=3,B=7"), w = fx_param(f, "scale", "B");
    ir_val e = ir_map1(b, IR_FN_EXP, ir_map2(b, IR_FN_SUB, x, reduce(f, IR_RED_MAX, x, "B", NULL)));
    fx_loss(f, ir_map2(b, IR_FN_DIV, e, reduce(f, IR_RED_SUM, e, "B", NULL)));
    ir_val n = ir_scalar(b, DFM_F32, 7);
    ir_val mean = ir_map2(b, IR_FN_DIV, reduce(f, IR_RED_SUM, x, "B", NULL), n);
    ir_val c = ir_map2(b, IR_FN_SUB, x, mean);
    ir_val q = reduce(f, IR_RED_SUM, ir_map2(b, IR_FN_MUL, c, c), "B", NULL);
    ir_val s = ir_map1(b, IR_FN_RSQRT, ir_map2(b, IR_FN_DIV, q, n));
    fx_loss(f, ir_map2(b, IR_FN_MUL, ir_map2(b, IR_FN_MUL, c, s), w));
    fx_check(f);
    fx_free(f);
}

/* -- contract ---------------------------------------------------------------------------------- */

typedef struct contract_case {
    const char *x, *y;
    const char *pairs[3][2];
} contract_case;

static const contract_case contracts[] = {
    {"A=3,K=5", "K=5,B=2", {{"K", "K"}}},                       /* matrix product */
    {"K=5,A=3", "B=2,K=5", {{"K", "K"}}},                       /* other layouts */
    {"N=2,A=3,K=5", "N=2,K=5,B=4", {{"K", "K"}}},               /* batch */
    {"N=2,A=3,K=5", "K=5,B=4,N=2", {{"K", "K"}}},               /* batch dim elsewhere */
    {"A=3,H=2,K=5", "H=2,K=5,B=4", {{"H", "H"}, {"K", "K"}}},   /* two pairs */
    {"A=3,K=5", "J=5,B=4", {{"K", "J"}}},                       /* names differ */
    {"A=3,D=5", "D=5,D'=5", {{"D", "D'"}}},                     /* square: the D of y is w's */
    {"D=5,D'=5", "A=3,D=5", {{"D'", "D"}}},                     /* the same from the other side */
    {"D=5,D'=5", "D=5,D'=5", {{"D", "D'"}}},                    /* both names on both sides */
    {"D=5,D'=5", "D=5,D'=5", {{"D'", "D"}}},
    {"D=5,D'=5", "D=5,D'=5", {{"D", "D"}}},                     /* D' is a batch dim */
    {"D=5,D'=5", "D=5,D'=5", {{"D", "D"}, {"D'", "D'"}}},       /* to a scalar */
    {"D=5,D'=5", "D=5,D'=5", {{"D", "D'"}, {"D'", "D"}}},       /* trace of a product */
    {"D=5,E=5,A=2", "D=5,E=5,B=3", {{"D", "E"}}},               /* E of x, D of y stay */
    {"A=3", "B=4", {{0}}},                                      /* outer product */
    {"A=3,B=2", "A=3,B=2", {{0}}},                              /* elementwise */
    {"K=5", "K=5", {{"K", "K"}}},                               /* dot */
    {"A=3,K=1", "K=1,B=1", {{"K", "K"}}},                       /* extent 1 */
    {"A=3,K=7", "K=7", {{"K", "K"}}},                           /* matrix times vector */
};

static ir_val contract(fx *f, ir_val x, ir_val y, const contract_case *c)
{
    ir_pair p[3];
    uint32_t n = 0;
    for (; n < 3 && c->pairs[n][0]; n++)
        p[n] = (ir_pair){dim(f, c->pairs[n][0]), dim(f, c->pairs[n][1])};
    ir_type t = ir_contract_type(f->m, ir_type_at(f->b.g, x), ir_type_at(f->b.g, y), p, n, DFM_F32);
    return ir_contract_over(&f->b, x, y, p, n, t);
}

static void contract_variants(void **state)
{
    for (uint32_t k = 0; k < DFM_LEN(contracts); k++) {
        const contract_case *c = &contracts[k];
        fx *f = fx_new(k + 1);
        ir_dim d = fx_dim(f, "D", 5);
        ir_dim_alias(f->m, d);
        ir_val x = fx_f32(f, c->x), y = fx_f32(f, c->y);
        fx_loss(f, contract(f, x, y, c));
        fx_check(f);
        fx_free(f);
    }
}

static void contract_with_itself(void **state)
{
    fx *f = fx_new(1);
    ir_val x = fx_f32(f, "A=3,K=5");
    ir_val other = ir_rename(&f->b, x, dim(f, "A"), fx_dim(f, "B", 3));
    fx_loss(f, contract(f, x, other, &(contract_case){"", "", {{"K", "K"}}}));
    fx_loss(f, contract(f, x, x, &(contract_case){"", "", {{"K", "K"}}}));
    fx_check(f);
    fx_free(f);
}

/* -- rows ------------------------------------------------------------------------------------- */

typedef struct rows_case {
    const char *table, *index, *updates;
    double lo, hi;                           /* of the index */
} rows_case;

static const rows_case rows[] = {
    {"V=7,D=3", "N=4", "N=4,D=3", 0, 6},
    {"D=3,V=7", "N=4", "D=3,N=4", 0, 6},
    {"V=2,D=3", "N=5", "N=5,D=3", 0, 1},                        /* repeated indices */
    {"V=3,D=2", "N=5", "N=5,D=2", -2, 5},                       /* clamped indices */
    {"V=7", "N=4,M=2", "N=4,M=2", 0, 6},
    {"V=7,D=3", "", "D=3", 0, 6},                               /* one row */
    {"B=2,V=7,D=3", "B=2,N=4", "B=2,N=4,D=3", 0, 6},            /* batch dim */
    {"V=7,B=2,D=3", "N=4,B=2", "N=4,B=2,D=3", 0, 6},
    {"V=5,D=3", "V=5", "V=5,D=3", 0, 4},                        /* a permutation of its own dim */
    {"B=2,V=7,D=3", "B=2", "B=2,D=3", 0, 6},                    /* one element per batch */
};

static void gather_variants(void **state)
{
    for (uint32_t k = 0; k < DFM_LEN(rows); k++) {
        fx *f = fx_new(k + 1);
        ir_val x = fx_f32(f, rows[k].table);
        ir_val i = fx_input(f, fx_type(f, DFM_I32, rows[k].index), rows[k].lo, rows[k].hi);
        fx_loss(f, ir_gather_rows(&f->b, x, dim(f, "V"), i));
        f->full = true;
        fx_check(f);
        fx_free(f);
    }
}

static void scatter_variants(void **state)
{
    for (uint32_t k = 0; k < DFM_LEN(rows); k++) {
        fx *f = fx_new(k + 1);
        ir_type t = fx_type(f, DFM_F32, rows[k].table);
        ir_val i = fx_input(f, fx_type(f, DFM_I32, rows[k].index), rows[k].lo, rows[k].hi);
        ir_val x = fx_f32(f, rows[k].updates);
        ir_val y = ir_scatter_add_rows(&f->b, i, x, dim(f, "V"), t);
        fx_loss(f, ir_map2(&f->b, IR_FN_MUL, y, y));
        f->full = true;
        fx_check(f);
        fx_free(f);
    }
}

/* -- attend ----------------------------------------------------------------------------------- */

typedef struct attend_case {
    const char *q, *k, *v, *mask, *seq, *over, *value;
    bool causal, lse;
    int64_t window;
} attend_case;

static const attend_case attends[] = {
    {"B=2,S=5,F=3", "B,T=5,F", "B,T,F", NULL, "S", "T", "F", false, false, 0},
    {"B=2,S=5,H=2,F=3", "B,T=7,H,F", "B,T,H,G=4", NULL, "S", "T", "G", false, false, 0},
    {"B=2,H=3,S=4,F=2", "T=6,B,H,F", "H,B,T,F", NULL, "S", "T", "F", false, false, 0},
    {"B=2,S=5,F=3", "B,T=5,F", "B,T,F", NULL, "S", "T", "F", true, false, 0},
    {"B=2,S=5,F=3", "B,T=5,F", "B,T,F", NULL, "S", "T", "F", false, false, 1},
    {"B=2,S=5,F=3", "B,T=5,F", "B,T,F", NULL, "S", "T", "F", true, false, 2},
    {"B=2,S=5,F=3", "B,T=7,F", "B,T,F", "B,T", "S", "T", "F", false, false, 0},
    {"B=2,S=5,F=3", "B,T=7,F", "B,T,F", "S,T", "S", "T", "F", false, false, 0},
    {"B=2,S=5,F=3", "B,S,F", "B,S,F", NULL, "S", "S", "F", false, false, 0},
    {"B=2,S=5,F=3", "B,T=4,F", "B,T,F", NULL, "S", "T", "F", false, true, 0},
    {"B=2,S=5,F=3", "B,T=5,F", "B,T,G=2", NULL, "S", "T", "G", true, true, 0},
    {"B=1,S=1,F=1", "B,T=3,F", "B,T,F", NULL, "S", "T", "F", false, true, 0},
    {"B=2,H=3,S=4,F=2", "B,T=5,F", "B,T,F", NULL, "S", "T", "F", false, true, 0},  /* one k, v */
};

static void attend_variants(void **state)
{
    for (uint32_t k = 0; k < DFM_LEN(attends); k++) {
        const attend_case *c = &attends[k];
        fx *f = fx_new(k + 1);
        ir_val q = fx_f32(f, c->q), key = fx_f32(f, c->k), v = fx_f32(f, c->v), mask = {0};
        if (c->mask) {
            mask = fx_input(f, fx_type(f, DFM_BOOL, c->mask), 0, 1);
            uint64_t n = ir_elems(f->m, ir_type_at(f->b.g, mask));
            for (uint64_t i = 0; i < n; i++) fx_data(f, mask)[i] = i % 3 != 1;
        }
        ir_attend at = {.seq = dim(f, c->seq), .over = dim(f, c->over), .feature = dim(f, "F"),
                        .value = dim(f, c->value), .scale = 0.7, .causal = c->causal,
                        .window = c->window};
        ir_val t = ir_attend_fwd(&f->b, q, key, v, mask, &at);
        fx_loss(f, ir_get(&f->b, t, 0));
        if (c->lse) fx_loss(f, ir_get(&f->b, t, 1));
        fx_check(f);
        fx_free(f);
    }
}

static void only_the_lse(void **state)
{
    fx *f = fx_new(4);
    ir_val q = fx_f32(f, "B=2,S=3,F=4"), k = fx_f32(f, "B,T=5,F"), v = fx_f32(f, "B,T,F");
    ir_attend at = {.seq = dim(f, "S"), .over = dim(f, "T"), .feature = dim(f, "F"),
                    .value = dim(f, "F"), .scale = 0.5};
    fx_loss(f, ir_get(&f->b, ir_attend_fwd(&f->b, q, k, v, (ir_val){0}, &at), 1));
    fx_check(f);
    fx_free(f);
}

/* -- call ------------------------------------------------------------------------------------- */

/* y = sin(x) w, with a gradient that is 3 (in x) and 5 (in w) times the true one. */
static ir_call scaled_call(fx *f, ir_type t)
{
    ir_call at;
    ir_builder b = fx_body(f, "op", &at.body), g = fx_body(f, "op.vjp", &at.vjp);
    ir_val x = fx_formal(&b, t), w = fx_formal(&b, t);
    ir_result_add(&b, ir_map2(&b, IR_FN_MUL, ir_map1(&b, IR_FN_SIN, x), w), "y");
    ir_val v[4];
    for (int i = 0; i < 4; i++) v[i] = fx_formal(&g, t);         /* x, w, y, dy */
    ir_val c = ir_map2(&g, IR_FN_MUL, ir_map1(&g, IR_FN_COS, v[0]), v[1]);
    c = ir_map2(&g, IR_FN_MUL, c, ir_scalar(&g, DFM_F32, 3));
    ir_result_add(&g, ir_map2(&g, IR_FN_MUL, c, v[3]), "dx");
    ir_val s = ir_map2(&g, IR_FN_DIV, v[2], v[1]);               /* sin x, from the result */
    s = ir_map2(&g, IR_FN_MUL, s, ir_scalar(&g, DFM_F32, 5));
    ir_result_add(&g, ir_map2(&g, IR_FN_MUL, s, v[3]), "dw");
    return at;
}

static void users_vjp(void **state)
{
    fx *f = fx_new(2);
    ir_type t = fx_type(f, DFM_F32, "A=4");
    ir_val x = fx_f32(f, "A"), w = fx_f32(f, "A"), wrt[2] = {x, w};
    ir_call at = scaled_call(f, t);
    ir_val y = ir_call_op(&f->b, &at, (ir_val[]){x, w}, 2);
    ir_dim d = dim(f, "A");
    ir_result_add(&f->b, ir_reduce_over(&f->b, IR_RED_SUM, y, &d, 1), "loss");
    ir_graph *g = fx_grad(f, wrt, 2);
    double *dx = fx_gradient(f, g, 0), *dw = fx_gradient(f, g, 1);
    for (int i = 0; i < 4; i++) {
        double a = fx_data(f, x)[i], c = fx_data(f, w)[i];
        assert_true(fabs(dx[i] - 3 * cos(a) * c) < 1e-12);
        assert_true(fabs(dw[i] - 5 * sin(a)) < 1e-12);
    }
    fx_free(f);
}

/* (x w, x + w) with its true gradient. */
static void vjp_of_two_results(void **state)
{
    fx *f = fx_new(2);
    ir_type t = fx_type(f, DFM_F32, "A=4");
    ir_val x = fx_f32(f, "A"), w = fx_f32(f, "A"), v[6];
    ir_call at;
    ir_builder b = fx_body(f, "op", &at.body), g = fx_body(f, "op.vjp", &at.vjp);
    for (int i = 0; i < 2; i++) v[i] = fx_formal(&b, t);
    ir_result_add(&b, ir_map2(&b, IR_FN_MUL, v[0], v[1]), "p");
    ir_result_add(&b, ir_map2(&b, IR_FN_ADD, v[0], v[1]), "s");
    for (int i = 0; i < 6; i++) v[i] = fx_formal(&g, t);         /* x, w, p, s, dp, ds */
    for (int i = 0; i < 2; i++) {
        ir_val d = ir_map2(&g, IR_FN_MUL, v[4], v[1 - i]);
        ir_result_add(&g, ir_map2(&g, IR_FN_ADD, d, v[5]), "d");
    }
    ir_val y = ir_call_op(&f->b, &at, (ir_val[]){x, w}, 2);
    fx_loss(f, ir_map2(&f->b, IR_FN_MUL, ir_get(&f->b, y, 0), x));
    fx_loss(f, ir_get(&f->b, y, 1));
    fx_check(f);
    fx_free(f);
}

/* -- dtypes, targets -------------------------------------------------------------------------- */

/* Weights in f32 go through a cast to bf16; their gradient is made and kept in f32. Data are
 * multiples of 1/4 and the loss is linear in each, so rounding to bf16 changes nothing. */
static void check_bf16_contract(dfm_dtype result)
{
    fx *f = fx_new(9);
    ir_val w = fx_param(f, "w", "K=5,B=2"), x = fx_input(f, fx_type(f, DFM_BF16, "A=3,K"), 0, 0);
    for (int i = 0; i < 10; i++) f->param[0][i] = (double)fx_int(f, -8, 8) / 4;
    for (int i = 0; i < 15; i++) fx_data(f, x)[i] = (double)fx_int(f, -8, 8) / 4;
    ir_pair p = {dim(f, "K"), dim(f, "K")};
    ir_val wb = ir_cast(&f->b, w, DFM_BF16);
    ir_type xt = ir_type_at(f->b.g, x), wt = ir_type_at(f->b.g, wb);
    ir_type t = ir_contract_type(f->m, xt, wt, &p, 1, result);
    ir_val y = ir_cast(&f->b, ir_contract_over(&f->b, x, wb, &p, 1, t), DFM_F32);
    ir_dim d[2] = {dim(f, "A"), dim(f, "B")};
    ir_result_add(&f->b, ir_reduce_over(&f->b, IR_RED_SUM, y, d, 2), "loss");
    f->h = 0.125;
    ir_graph *g = fx_check(f);
    ir_val dw = g->results.p[1].val;
    assert_int_equal(ir_op_of(g, dw)->kind, IR_CONTRACT);       /* in f32, no cast on the way */
    for (uint32_t v = 1; v < g->ops.n; v++)
        for (uint32_t k = 0; k < 2 && g->ops.p[v].kind == IR_CONTRACT; k++) {
            ir_type at = ir_type_at(g, g->ops.p[v].args[k]);
            assert_int_equal(ir_type_of(f->m, at)->dtype, DFM_BF16);
        }
    fx_free(f);
}

static void bf16_contract(void **state)
{
    check_bf16_contract(DFM_BF16);
    check_bf16_contract(DFM_F32);
}

/* g[B,D] * x[B,S,D] is typed [B,D,S]; what its gradient feeds to a contract is not. */
static void order_of_dims(void **state)
{
    fx *f = fx_new(1);
    ir_val h = fx_f32(f, "B=2,S=3,E=5"), w = fx_param(f, "w", "E,D=7"), g = fx_f32(f, "B,D");
    ir_pair p = {dim(f, "E"), dim(f, "E")};
    ir_val x = ir_contract_over(&f->b, h, w, &p, 1, fx_type(f, DFM_F32, "B,S,D"));
    ir_val y = ir_map2(&f->b, IR_FN_MUL, g, x), mask = fx_input(f, fx_type(f, DFM_BOOL, "S"), 0, 1);
    y = ir_map3(&f->b, IR_FN_SELECT, mask, y, ir_scalar(&f->b, DFM_F32, 0.5));
    fx_loss(f, y);
    ir_graph *grad = fx_check(f);
    for (uint32_t v = 1; v < grad->ops.n; v++) {
        const ir_op *op = &grad->ops.p[v];
        for (uint32_t k = 0; k < op->n_args && op->kind == IR_CONTRACT; k++) {
            const ir_type_info *t = ir_type_of(f->m, ir_type_at(grad, op->args[k]));
            if (t->rank == 3) assert_true(t->dims[1].i == dim(f, "S").i);
        }
    }
    fx_free(f);
}

/* An inner value as target, a target that does nothing, a frozen parameter. */
static void targets(void **state)
{
    fx *f = fx_new(1);
    ir_val x = fx_f32(f, "A=3"), idle = fx_f32(f, "A"), w = fx_param(f, "w", "A");
    fx_param(f, "unused", "A");
    ir_val frozen = fx_param(f, "frozen", "A");
    f->m->params.p[2].trainable = false;
    ir_val y = ir_map2(&f->b, IR_FN_MUL, ir_map2(&f->b, IR_FN_MUL, x, w), frozen);
    ir_val s = ir_map1(&f->b, IR_FN_SIN, y), wrt[3] = {y, idle, x};
    ir_dim d = dim(f, "A");
    ir_result_add(&f->b, ir_reduce_over(&f->b, IR_RED_SUM, s, &d, 1), "loss");
    ir_graph *g = fx_grad(f, wrt, 3);
    assert_int_equal(g->results.n, 6);
    double *dw = fx_gradient(f, g, 0), *unused = fx_gradient(f, g, 1), *dy = fx_gradient(f, g, 2);
    double *di = fx_gradient(f, g, 3), *dx = fx_gradient(f, g, 4);
    for (int i = 0; i < 3; i++) {
        double a = fx_data(f, x)[i], b = f->param[0][i], c = f->param[2][i], k = cos(a * b * c);
        assert_true(fabs(dy[i] - k) < 1e-12 && unused[i] == 0 && di[i] == 0);
        assert_true(fabs(dw[i] - k * a * c) < 1e-12 && fabs(dx[i] - k * b * c) < 1e-12);
    }
    assert_string_equal(dfm_name_str(f->names, g->results.p[0].name), "loss");
    assert_string_equal(dfm_name_str(f->names, g->results.p[1].name), "grad.w");
    fx_free(f);
}

static void refusals(void **state)
{
    fx *f = fx_new(1);
    ir_val x = fx_f32(f, "A=3");
    dfm_err err = {0};
    pass_ctx cx = {.m = f->m, .err = &err, .scratch = f->tmp};
    ad_request rq = {.wrt = &x, .n_wrt = 1};
    ir_result_add(&f->b, x, "loss");         /* no scalar */
    assert_false(ad_grad(&cx, f->b.g, &rq, ir_graph_create(f->m, "grad", NULL)));
    assert_int_equal(err.code, DFM_INTERNAL);
    fx_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stop_grad), cmocka_unit_test(every_reducer),
        cmocka_unit_test(product_with_zeros), cmocka_unit_test(ties_share),
        cmocka_unit_test(softmax_and_norm), cmocka_unit_test(contract_variants),
        cmocka_unit_test(contract_with_itself), cmocka_unit_test(gather_variants),
        cmocka_unit_test(scatter_variants), cmocka_unit_test(attend_variants),
        cmocka_unit_test(only_the_lse), cmocka_unit_test(users_vjp),
        cmocka_unit_test(vjp_of_two_results), cmocka_unit_test(bf16_contract),
        cmocka_unit_test(order_of_dims), cmocka_unit_test(targets),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

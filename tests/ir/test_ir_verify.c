/* test_ir_verify.c - one broken graph per rule: refused, and for the right reason; and graphs
 * with random damage, which must never crash the verifier. */
#include "tests/ir/ir_testing.h"

static world w;
static ir_dim A, B, C;
static ir_val x, n, c, f; /* f32[A,B]  i32[A]  bool[A]  bf16[B,C] */

static void start(void)
{
    w = world_make();
    A = dim(&w, "A", 3);
    B = dim(&w, "B", 4);
    C = dim(&w, "C", 4);
    x = input(&w, "x", tensor(&w, DFM_F32, 2, A, B));
    n = input(&w, "n", tensor(&w, DFM_I32, 1, A));
    c = input(&w, "c", tensor(&w, DFM_BOOL, 1, A));
    f = input(&w, "f", tensor(&w, DFM_BF16, 2, B, C));
}

/* The verifier must refuse the module with this rule; then everything is thrown away. */
static void refused(const char *rule, const char *why)
{
    dfm_err err = {0};
    assert_int_equal(ir_verify(w.m, &err), DFM_INTERNAL);
    if (strncmp(err.text, "rule ", 5) || strncmp(err.text + 5, rule, strlen(rule))
        || !strstr(err.text, why))
        fail_msg("expected rule %s (%s), got: %s", rule, why, err.text);
    world_free(&w);
    start();
}

/* Appended as it is, without the emitters' help. */
static ir_val raw(ir_op_kind k, ir_type t, ir_attrs at, uint32_t n_args, const ir_val *args)
{
    ir_op op = {.kind = k,
                .n_args = n_args,
                .args = dfm_dup(w.a, args, n_args * sizeof *args),
                .at = dfm_dup(w.a, &at, sizeof at),
                .type = t};
    dfm_push(w.a, &w.g->ops, op);
    return (ir_val){w.g->ops.n - 1};
}

static void structure(void **state)
{
    start();
    ir_type t = ir_type_at(w.g, x);
    dfm_err err = {0};
    assert_int_equal(ir_verify(w.m, &err), DFM_OK);
    raw(IR_STOP_GRAD, t, (ir_attrs){0}, 1, (ir_val[]){{w.g->ops.n}});
    refused("R1", "does not come before");
    raw(IR_STOP_GRAD, ir_type_at(w.g, x), (ir_attrs){0}, 1, (ir_val[]){{0}});
    refused("R1", "does not come before");
    raw((ir_op_kind)99, t, (ir_attrs){0}, 0, NULL);
    refused("R1", "no such op");
    raw(IR_MAP, t, (ir_attrs){.fn = IR_FN_NEG}, 0, NULL);
    refused("R1", "operands");
    raw(IR_MAP, ir_type_at(w.g, x), (ir_attrs){.fn = (ir_fn)1000}, 1, &x);
    refused("R1", "damaged attributes");
    ir_type_info twice = {.dtype = DFM_F32, .rank = 2, .dims = {A, A}};
    dfm_push(w.a, &w.m->types, twice);
    raw(IR_STOP_GRAD, (ir_type){w.m->types.n - 1}, (ir_attrs){0}, 1, &x);
    refused("R2", "a dim twice");
    raw(IR_STOP_GRAD, (ir_type){99999}, (ir_attrs){0}, 1, &x);
    refused("R2", "damaged type");
    raw(IR_GET, ir_type_at(w.g, x), (ir_attrs){.member = 0}, 1, &x);
    refused("R1", "member of a tuple");
    dfm_push(w.a, &w.g->results, ((ir_result){{77}, {0}}));
    refused("R1", "result 0");
    w.g->inputs.n--;
    refused("R1", "listed");
    world_free(&w);
}

static void pointwise(void **state)
{
    start();
    raw(IR_MAP, tensor(&w, DFM_F32, 2, A, C), (ir_attrs){.fn = IR_FN_NEG}, 1, &x);
    refused("R3", "dim B of operand 0");
    raw(IR_MAP, tensor(&w, DFM_F32, 3, A, B, C), (ir_attrs){.fn = IR_FN_NEG}, 1, &x);
    refused("R3", "no operand has dim C");
    raw(IR_MAP, tensor(&w, DFM_F32, 2, A, B), (ir_attrs){.fn = IR_FN_ADD}, 2, (ir_val[]){x, n});
    refused("R3", "element types");
    raw(IR_MAP, tensor(&w, DFM_I32, 1, A), (ir_attrs){.fn = IR_FN_EXP}, 1, &n);
    refused("R3", "element types");
    raw(IR_MAP, tensor(&w, DFM_F32, 2, A, B), (ir_attrs){.fn = IR_FN_LT}, 2, (ir_val[]){x, x});
    refused("R3", "element types");
    raw(IR_MAP, tensor(&w, DFM_F32, 2, A, B), (ir_attrs){.fn = IR_FN_SELECT}, 3,
        (ir_val[]){c, x, n});
    refused("R3", "element types");
    raw(IR_CAST, tensor(&w, DFM_BF16, 2, B, A), (ir_attrs){0}, 1, &x);
    refused("R3", "keeps the dims");
    raw(IR_IOTA, tensor(&w, DFM_F32, 1, A), (ir_attrs){0}, 0, NULL);
    refused("R3", "iota");
    raw(IR_RANDOM, tensor(&w, DFM_I32, 1, A), (ir_attrs){.random = {.dist = IR_NORMAL}}, 0, NULL);
    refused("R3", "not a float");
    raw(IR_RANDOM, tensor(&w, DFM_F32, 1, A),
        (ir_attrs){.random = {.dist = IR_NORMAL, .sample = B}}, 0, NULL);
    refused("R3", "sample dim");
    static const double two[2];
    raw(IR_CONST, tensor(&w, DFM_F32, 1, A), (ir_attrs){.cst = {two, 2}}, 0, NULL);
    refused("R9", "2 elements");
    world_free(&w);
}

static void movement(void **state)
{
    start();
    ir_ix ab[2] = {ir_ix_var(w.m, A), ir_ix_var(w.m, B)},
          ac[2] = {ir_ix_var(w.m, A), ir_ix_var(w.m, C)};
    raw(IR_VIEW, tensor(&w, DFM_F32, 2, A, B), (ir_attrs){.view = {.coords = ac}}, 1, &x);
    refused("R4", "lacks");
    ir_ix far[2] = {ir_ix_add(w.m, ir_ix_var(w.m, A), ir_ix_const(w.m, 1)), ir_ix_var(w.m, B)};
    raw(IR_VIEW, tensor(&w, DFM_F32, 2, A, B), (ir_attrs){.view = {.coords = far}}, 1, &x);
    refused("R4", "coordinate 0 leaves");
    far[0] = ir_ix_add(w.m, ir_ix_var(w.m, A), ir_ix_const(w.m, 1));
    far[1] = ir_ix_var(w.m, B);
    ir_cond loose = {ir_ix_var(w.m, A), 0, 1}, tight = {ir_ix_var(w.m, A), 0, 2};
    raw(IR_VIEW, tensor(&w, DFM_F32, 2, A, B), (ir_attrs){.view = {far, 1, &loose, 0}}, 1, &x);
    dfm_err err = {0};
    assert_int_equal(ir_verify(w.m, &err), DFM_OK);
    raw(IR_VIEW, tensor(&w, DFM_F32, 2, A, B), (ir_attrs){.view = {far, 1, &tight, 0}}, 1, &x);
    refused("R4", "coordinate 0 leaves");
    ab[0] = ir_ix_var(w.m, A);
    ab[1] = ir_ix_var(w.m, B);
    raw(IR_VIEW, tensor(&w, DFM_BF16, 2, A, B), (ir_attrs){.view = {.coords = ab}}, 1, &x);
    refused("R4", "element type");
    raw(IR_VIEW, tensor(&w, DFM_F32, 2, A, B), (ir_attrs){.view = {.coords = NULL}}, 1, &x);
    refused("R1", "damaged attributes");
    ir_dim dims[2] = {B, B};
    raw(IR_REDUCE, tensor(&w, DFM_F32, 1, A), (ir_attrs){.reduce = {IR_RED_SUM, 2, dims}}, 1, &x);
    refused("R5", "twice");
    raw(IR_REDUCE, tensor(&w, DFM_F32, 1, B), (ir_attrs){.reduce = {IR_RED_SUM, 1, dims}}, 1, &x);
    refused("R5", "without the reduced dims");
    raw(IR_REDUCE, tensor(&w, DFM_F32, 1, A), (ir_attrs){.reduce = {IR_RED_ARGMAX, 1, dims}}, 1,
        &x);
    refused("R5", "do not fit argmax");
    world_free(&w);
}

static void anchors(void **state)
{
    start();
    ir_pair bc = {B, C}, ba = {B, B}, ac = {A, B};
    raw(IR_CONTRACT, tensor(&w, DFM_F32, 1, A), (ir_attrs){.contract = {1, &bc}}, 2,
        (ir_val[]){x, f});
    refused("R6", "left over");
    raw(IR_CONTRACT, tensor(&w, DFM_F32, 2, B, C), (ir_attrs){.contract = {1, &ac}}, 2,
        (ir_val[]){x, f});
    refused("R6", "extents");
    ir_pair both[2] = {ba, ba};
    raw(IR_CONTRACT, tensor(&w, DFM_F32, 2, A, C), (ir_attrs){.contract = {2, both}}, 2,
        (ir_val[]){x, f});
    refused("R6", "twice");
    raw(IR_GATHER, tensor(&w, DFM_F32, 2, A, B), (ir_attrs){.gather = {C}}, 2, (ir_val[]){x, n});
    refused("R3", "rows of the table");
    raw(IR_GATHER, tensor(&w, DFM_F32, 2, A, B), (ir_attrs){.gather = {A}}, 2, (ir_val[]){x, c});
    refused("R3", "rows of the table");
    raw(IR_SCATTER_ADD, tensor(&w, DFM_F32, 2, C, B), (ir_attrs){.gather = {A}}, 2,
        (ir_val[]){n, x});
    refused("R3", "updates");
    ir_attend at = {.seq = A, .over = A, .feature = B, .value = B, .scale = 1};
    raw(IR_ATTEND, tensor(&w, DFM_F32, 2, A, B), (ir_attrs){.attend = at}, 3, (ir_val[]){x, x, x});
    refused("R1", "is a tuple");
    ir_type t2[2] = {tensor(&w, DFM_F32, 2, A, B), tensor(&w, DFM_F32, 1, B)};
    raw(IR_ATTEND, ir_tuple(w.m, t2, 2), (ir_attrs){.attend = at}, 3, (ir_val[]){x, x, x});
    refused("R3", "lse");
    t2[0] = tensor(&w, DFM_F32, 2, A, B);
    t2[1] = tensor(&w, DFM_F32, 1, A);
    raw(IR_ATTEND, ir_tuple(w.m, t2, 2), (ir_attrs){.attend = at}, 3, (ir_val[]){x, x, f});
    refused("R3", "v is over");
    t2[0] = tensor(&w, DFM_F32, 2, A, B);
    t2[1] = tensor(&w, DFM_F32, 1, A);
    raw(IR_ATTEND, ir_tuple(w.m, t2, 2), (ir_attrs){.attend = at}, 4, (ir_val[]){x, x, x, n});
    refused("R3", "mask");
    world_free(&w);
}

/* A scan over A: carry f32[B], xs x, one y; `wrong` breaks one thing. */
static void scan_case(int wrong, const char *rule, const char *why)
{
    ir_scan s = {.loop = A, .n_carry = 1, .n_xs = 1, .n_ys = 1};
    ir_builder b = {.m = w.m, .g = ir_graph_create(w.m, "body", &s.body)};
    ir_type tb = tensor(&w, DFM_F32, 1, B), tab = ir_type_at(w.g, x);
    ir_input_new(&b, tensor(&w, wrong == 1 ? DFM_F32 : DFM_I32, 0), IR_ROLE_BODY, 0, "i");
    ir_val carry = ir_input_new(&b, wrong == 2 ? tab : tb, IR_ROLE_BODY, 1, "c");
    ir_val slice = ir_input_new(&b, wrong == 3 ? tab : tb, wrong == 4 ? IR_ROLE_DATA : IR_ROLE_BODY,
                                wrong == 5 ? 7 : 2, "x");
    ir_result_add(&b, wrong == 6 ? slice : carry, "c");
    ir_result_add(&b, ir_cast(&b, slice, DFM_BF16), "y");
    if (wrong == 6) b.g->results.p[0].val = b.g->results.p[1].val;
    ir_val c0 = input(&w, "c0", wrong == 2 ? tensor(&w, DFM_F32, 1, C) : tb);
    ir_type out[2] = {wrong == 2 ? tab : tb, tensor(&w, DFM_BF16, 2, A, B)};
    if (wrong == 7) out[1] = tensor(&w, DFM_F32, 2, A, B);
    if (wrong == 8) s.n_caps = 1;
    if (wrong == 9) s.body = 1;
    if (wrong == 10) s.body = 50;
    ir_val v = raw(IR_SCAN, ir_tuple(w.m, out, 2), (ir_attrs){.scan = s}, 2, (ir_val[]){c0, x});
    if (wrong == 11) { /* the body contains the graph it is used in */
        ir_call rec = {.body = 1};
        ir_op op = {.kind = IR_CALL,
                    .at = dfm_dup(w.a, &(ir_attrs){.call = rec}, sizeof(ir_attrs)),
                    .type = tb};
        dfm_push(w.a, &b.g->ops, op);
        w.g->results.n = 0;
        (void)v;
    }
    dfm_err err = {0};
    if (rule)
        refused(rule, why);
    else if (ir_verify(w.m, &err) != DFM_OK)
        fail_msg("%s", err.text);
}

static void regions(void **state)
{
    start();
    scan_case(0, NULL, NULL);
    world_free(&w);
    start();
    scan_case(1, "R7", "i32 scalar");
    scan_case(2, "R7", "operand 0");
    scan_case(3, "R7", "operand 1");
    scan_case(4, "R8", "from outside");
    scan_case(5, "R7", "not in its place");
    scan_case(6, "R7", "changes its type");
    scan_case(7, "R7", "member 1");
    scan_case(8, "R7", "as many");
    scan_case(9, "R7", "another graph");
    scan_case(10, "R1", "damaged attributes");
    scan_case(11, "R7", "");
    /* a call whose body calls it back */
    ir_call call = {0};
    ir_builder b = {.m = w.m, .g = ir_graph_create(w.m, "g", &call.body)};
    ir_val s = scalar(&w, 1);
    dfm_push(w.a, &w.g->results, ((ir_result){s, {0}}));
    ir_result_add(&b, ir_scalar(&b, DFM_F32, 2), "r");
    ir_call other = {0};
    ir_builder d = {.m = w.m, .g = ir_graph_create(w.m, "h", &other.body)};
    ir_result_add(&d, ir_call_op(&d, &call, NULL, 0), "r");
    ir_val back = ir_call_op(&b, &other, NULL, 0);
    b.g->results.p[0].val = back;
    refused("R8", "contains itself");
    world_free(&w);
}

static void module_rules(void **state)
{
    start();
    w.m->dims.p[A.i].n_factors = 1;
    w.m->dims.p[A.i].factors[0] = B;
    refused("R10", "factors of dim A");
    w.m->dims.p[A.i].alias_of = B;
    refused("R10", "alias");
    ir_program p = {.name = "loss", .graph = 9};
    dfm_push(w.a, &w.m->programs, p);
    refused("R10", "has no graph");
    static const ir_target to = IR_TO_GRAD;
    static const uint32_t index = 0;
    ir_program q = {.name = "grad", .graph = 1, .n_results = 1, .to = &to, .index = &index};
    ir_result_add(&w.b, x, "x");
    dfm_push(w.a, &w.m->programs, q);
    refused("R10", "goes nowhere");
    ir_param bad = {.type = {4711}};
    dfm_push(w.a, &w.m->params, bad);
    refused("R10", "parameter 0");
    world_free(&w);
}

/* Damage one field of one op of a good graph: the verifier answers, whatever the answer. */
static void random_damage(void **state)
{
    int refusals = 0;
    for (uint64_t trial = 0; trial < 400; trial++) {
        world v = world_make();
        uint64_t seed = trial + 1;
        ir_graph *g = random_graph(&v, &seed, 12, RG_SCANS);
        ir_op *op = &g->ops.p[1 + roll(&seed) % (g->ops.n - 1)];
        ir_attrs *at = dfm_dup(v.a, op->at, sizeof *at);
        op->at = at;
        switch (roll(&seed) % 6) {
        case 0:
            op->kind = (ir_op_kind)(roll(&seed) % (IR_OP_COUNT + 2));
            memset(at, 0, sizeof *at);
            break;
        case 1: op->type.i = roll(&seed) % (v.m->types.n + 3); break;
        case 2:
            if (op->n_args) ((ir_val *)op->args)[0].i = roll(&seed) % (g->ops.n + 3);
            break;
        case 3: op->n_args = op->n_args ? op->n_args - 1 : 0; break;
        case 4:
            if (op->kind == IR_MAP) at->fn = (ir_fn)roll(&seed);
            break;
        default: op->at = NULL; break;
        }
        dfm_err err = {0};
        refusals += ir_verify_graph(v.m, g, &err) != DFM_OK;
        world_free(&v);
    }
    assert_true(refusals > 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(structure),     cmocka_unit_test(pointwise),
        cmocka_unit_test(movement),      cmocka_unit_test(anchors),
        cmocka_unit_test(regions),       cmocka_unit_test(module_rules),
        cmocka_unit_test(random_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

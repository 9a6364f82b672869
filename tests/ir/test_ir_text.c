/* test_ir_text.c - the text form: exact round trips, and errors with a place for damaged text. */
#include "tests/ir/ir_testing.h"

static const char *printed(world *w, const ir_module *m)
{
    dfm_sb sb = dfm_sb_make(w->a);
    ir_print(&sb, m);
    return dfm_sb_cstr(&sb);
}

/* print(parse(print(m))) == print(m); returns the parsed module. */
static ir_module *round_trip(world *w)
{
    const char *one = printed(w, w->m);
    dfm_err err = {0};
    ir_module *back;
    if (ir_parse(w->a, w->names, one, strlen(one), &back, &err) != DFM_OK)
        fail_msg("%s in\n%s", err.text, one);
    assert_string_equal(one, printed(w, back));
    return back;
}

static void random_graphs(void **state)
{
    for (uint64_t trial = 0; trial < 60; trial++) {
        world w = world_make();
        uint64_t seed = trial * 77 + 5;
        ir_graph *g = random_graph(&w, &seed, 24, RG_SCANS);
        ir_module *back = round_trip(&w);
        world v = w; /* and it means the same */
        v.m = back;
        ir_graph *h = NULL;
        for (uint32_t i = 1; i < back->graphs.n; i++)
            if (dfm_name_eq(back->graphs.p[i]->name, g->name)) h = back->graphs.p[i];
        assert_non_null(h);
        const double **p = run(&w, g), **q = run(&v, h);
        for (uint32_t k = 0; k < g->results.n; k++) {
            uint64_t n = ir_elems(w.m, ir_type_at(g, g->results.p[k].val));
            assert_memory_equal(p[k], q[k], n * sizeof(double));
        }
        world_free(&w);
    }
}

/* Everything that the module can hold, with awkward names and numbers. */
static void fill_tables(world *w)
{
    ir_module *m = w->m;
    ir_dim d = dim(w, "D", 6), odd = dim(w, "two words \"q\" \\ \n", 5), p0 = dim(w, "P0", 48);
    ir_dim s = dim(w, "S", 12), gy = dim(w, "Gy", 4), gx = dim(w, "Gx", 3);
    m->dims.p[s.i].n_factors = 2;
    m->dims.p[s.i].factors[0] = gy;
    m->dims.p[s.i].factors[1] = gx;
    ir_dim_nth_alias(m, d, 2);
    m->batch = odd;
    m->model = "dit";
    m->weights_folder = "transformer";
    m->weights_strict = true;
    m->data_path = "digits.tar";
    m->train = "flow \x01";
    static const double table[6] = {0.1, -0.0, 1e300, NAN, INFINITY, -5e-324};
    static dfm_name tags[2];
    tags[0] = dfm_intern(w->names, "no_decay");
    tags[1] = dfm_intern(w->names, "x");
    ir_param p = {.path = dfm_intern(w->names, "blocks.{i}.w"),
                  .type = tensor(w, DFM_BF16, 2, s, d),
                  .n_loops = 1,
                  .trainable = true,
                  .n_tags = 2,
                  .tags = tags,
                  .init = IR_INIT_TRUNC_NORMAL,
                  .init_a = 0.02,
                  .init_b = -1.0 / 3,
                  .fan_in = 7,
                  .fan_out = 9,
                  .file_rank = 2,
                  .file_shape = {6, 12},
                  .reshape_any = true,
                  .group = UINT32_MAX,
                  .flat_offset = 1ull << 40};
    p.loop_vars[0] = dfm_intern(w->names, "i");
    p.published = dfm_intern(w->names, "transformer.{i}.w");
    dfm_push(w->a, &m->params, p);
    ir_param q = {.path = dfm_intern(w->names, "pos"),
                  .type = tensor(w, DFM_F32, 1, d),
                  .is_buffer = true,
                  .init = IR_INIT_TABLE,
                  .table = table};
    dfm_push(w->a, &m->params, q);
    ir_flat f = {dfm_intern(w->names, "decay"), DFM_F32, true, p0, 48};
    ir_state st = {dfm_intern(w->names, "adamw.m"), DFM_DT_NONE, true, true};
    ir_data_field x0 = {dfm_intern(w->names, "x0"), tensor(w, DFM_F32, 1, odd), "a.npy", "D", {0}};
    dfm_push(w->a, &m->flats, f);
    dfm_push(w->a, &m->states, st);
    dfm_push(w->a, &m->data, x0);
}

static void everything(void **state)
{
    world w = world_make();
    fill_tables(&w);
    ir_module *m = w.m;
    ir_dim d = dim(&w, "D", 6), s = dim(&w, "S", 12), b = dim(&w, "B", 2);
    ir_val x = input(&w, "x", tensor(&w, DFM_F32, 3, b, s, d));
    ir_set_name(&w.b, x, "user's \"name\"");
    double *big = dfm_new_n(w.a, double, 72);
    for (int i = 0; i < 72; i++) big[i] = 1.0 / (i - 3);
    ir_val t = ir_table(&w.b, tensor(&w, DFM_F32, 2, s, d), big);
    ir_random r = {
        .dist = IR_NORMAL, .stream = UINT64_MAX, .sample = b, .name = dfm_intern(w.names, "eps")};
    ir_val eps = ir_random_draw(&w.b, tensor(&w, DFM_F32, 3, b, s, d), &r, NULL, 0);
    ir_random ri = {.dist = IR_RANDINT, .stream = 3, .lo = -5, .hi = 2147483648};
    ir_val count = ir_random_draw(&w.b, tensor(&w, DFM_I32, 1, b), &ri, NULL, 0);
    ir_attend at = {.seq = s,
                    .over = s,
                    .feature = d,
                    .value = d,
                    .scale = 1.0 / 3,
                    .causal = true,
                    .window = 4};
    ir_val o = ir_attend_fwd(&w.b, x, ir_map2(&w.b, IR_FN_ADD, x, t), eps, (ir_val){0}, &at);
    ir_val back = ir_attend_back(&w.b, x, x, x, ir_get(&w.b, o, 0), ir_get(&w.b, o, 1), eps,
                                 (ir_val){0}, &at);
    ir_result_add(&w.b, ir_get(&w.b, back, 2), "dv");
    ir_result_add(&w.b, ir_stop_grad(&w.b, ir_param_ref(&w.b, 1)), NULL);
    ir_result_add(&w.b, ir_gather_rows(&w.b, t, s, count), "rows");
    static const ir_target to[3] = {IR_TO_OUTPUT, IR_TO_GRAD, IR_TO_STATE};
    static const uint32_t index[3] = {0, 1, 0};
    ir_program p = {"grad", 1, 3, to, index, true};
    dfm_push(w.a, &m->programs, p);
    ir_graph_create(m, "nobody reaches this", NULL);
    round_trip(&w);
    assert_null(strstr(printed(&w, m), "nobody"));
    world_free(&w);
}

/* -- places ------------------------------------------------------------------------------------ */

static void place_of(const void *user, dfm_loc loc, dfm_sb *out)
{
    const char *const *files = user;
    dfm_sb_printf(out, "%s:%u:%u", files[loc.i % 3], loc.i, loc.i + 7);
}

/* Behind ops and read back; other comments are none. */
static void places(void **state)
{
    static const char *const files[] = {"a b;\"c.dfm", "/x:1/y.dfm", "new\nline.dfm"};
    world w = world_make();
    ir_val v[4], x = input(&w, "x", tensor(&w, DFM_F32, 1, dim(&w, "A", 3)));
    for (uint32_t k = 0; k < 4; k++) {
        w.b.loc.i = k;                       /* the first of them has no place */
        v[k] = x = ir_map1(&w.b, IR_FN_EXP, x);
    }
    ir_result_add(&w.b, x, "y");
    w.m->place_of = place_of;
    w.m->place_user = files;
    const char *text = printed(&w, w.m);
    assert_non_null(strstr(text, "%2 = exp %1 : f32[A]\n"));
    assert_non_null(strstr(text, "%3 = exp %2 : f32[A]  ; /x:1/y.dfm:1:8\n"));
    assert_non_null(strstr(text, "  ; new?line.dfm:2:9\n"));
    assert_non_null(strstr(text, "  ; a b;\"c.dfm:3:10\n"));
    ir_module *back = round_trip(&w);
    const ir_graph *g = back->graphs.p[1];
    assert_int_equal(g->ops.p[v[0].i].loc.i, 0);
    assert_int_not_equal(g->ops.p[v[3].i].loc.i, 0);
    char *same = dfm_strdup(w.a, text), *at = strstr(same, ":1:8");
    memcpy(at, ": :8", 4);                   /* a comment, and no place */
    dfm_err err = {0};
    assert_int_equal(ir_parse(w.a, w.names, same, strlen(same), &back, &err), DFM_OK);
    assert_int_equal(back->graphs.p[1]->ops.p[v[1].i].loc.i, 0);
    world_free(&w);
}

static void damaged(const char *text, const char *place)
{
    world w = world_make();
    dfm_err err = {0};
    ir_module *m;
    assert_int_equal(ir_parse(w.a, w.names, text, strlen(text), &m, &err), DFM_BAD_DATA);
    assert_null(m);
    if (!dfm_starts_with(err.text, place))
        fail_msg("'%s' does not start with '%s'", err.text, place);
    world_free(&w);
}

#define HEAD                                                                                       \
    "module {model=\"\", train=\"\", sampler=\"\", variant=\"\", precision=\"\", strict=0, "       \
    "batch=-}\n"

static void errors(void **state)
{
    damaged("", "1:1: expected 'module'");
    damaged(HEAD "dim A = 0 ;\n", "3:1: an extent");
    damaged(HEAD "dim A = 3 = B\n", "3:1: unknown factor");
    damaged(HEAD "dim A = 2\ndim A = 2\n", "4:1: a dim twice");
    damaged(HEAD "graph 2 \"g\" {", "2:10: expected graph 1");
    damaged(HEAD "graph 1 \"g\" {\n %2 = iota : i32[]\n", "3:");
    damaged(HEAD "graph 1 \"g\" {\n %1 = frobnicate : i32[]\n", "3:7: unknown op 'frob");
    damaged(HEAD "graph 1 \"g\" {\n %1 = neg %1 : f32[]\n", "3:");
    damaged(HEAD "graph 1 \"g\" {\n %1 = const {data=[1]} : f32[Q]\n", "3:30: unknown dim 'Q'");
    damaged(HEAD "graph 1 \"g\" {\n %1 = const {hex=\"12\"} : f32[]\n", "3:");
    damaged(HEAD "graph 1 \"g\" {\n %1 = const {data=[1,2]} : f32[]\n ret %1\n}\n", "rule R9");
    damaged(HEAD "dim A = 2\ndim B = 3\ngraph 1 \"g\" {\n %1 = iota : i32[A]\n"
                 " %2 = view %1 {coords=[B]} : i32[B]\n ret %2\n}\n",
            "rule R4");
    damaged(HEAD "dim A = 2\ngraph 1 \"g\" {\n %1 = iota : i32[A]\n"
                 " %2 = view %1 {coords=[A//0]} : i32[A]\n ret %2\n}\n",
            "5:");
    damaged(HEAD "graph 1 \"g\" {\n ret\n}\nprogram \"p\" {graph=3", "5:");
    char deep[2000];
    strcpy(deep, HEAD "dim A = 2\ngraph 1 \"g\" {\n %1 = iota : i32[A]\n %2 = view %1 {coords=[");
    for (int i = 0; i < 500; i++) strcat(deep, "(");
    damaged(deep, "5:");
}

/* Every prefix, and every text with one byte changed, is read or refused, never worse. */
static void mutations(void **state)
{
    world w = world_make();
    uint64_t seed = 11;
    random_graph(&w, &seed, 20, RG_SCANS);
    const char *text = printed(&w, w.m);
    size_t n = strlen(text);
    char *copy = dfm_strdup(w.a, text);
    for (size_t i = 0; i < n; i += 1 + n / 700) {
        dfm_arena *a = dfm_arena_create("mutation");
        dfm_err err = {0};
        ir_module *m;
        copy[i] = "09azA%{}[],:=\"- \n~"[roll(&seed) % 18];
        if (ir_parse(a, dfm_names_create(a), copy, n, &m, &err) == DFM_OK)
            assert_int_equal(ir_verify(m, &err), DFM_OK);
        copy[i] = text[i];
        dfm_err_clear(&err);
        dfm_status st = ir_parse(a, dfm_names_create(a), text, i, &m, &err);
        assert_true(st == DFM_BAD_DATA || (st == DFM_OK && m));
        dfm_arena_destroy(a);
    }
    world_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_graphs),
        cmocka_unit_test(everything),
        cmocka_unit_test(places),
        cmocka_unit_test(errors),
        cmocka_unit_test(mutations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

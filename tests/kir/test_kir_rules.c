/* test_kir_rules.c - K's text, the verifier's rules one by one, and the memory plan's promises. */
#include "tests/autodiff/random_graph.h"
#include "tests/kir/kt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The product and its epilogue. */
#define PRODUCT \
    "  gemm prod size 1 1 4 4 8 a s f32 [B 8, D 1] + 0 loop 0 0 0 0 by 0 0 8 1" \
    " b x f32 [D 1, B 8] + 0 loop 0 0 0 0 by 0 0 1 8 c out mm f32 [] + 0 loop 0 0 0 0 by 0 0 4 1" \
    " bias none scratch out rs u8 [] + 0 loop 0 0 0 0 then twice {\n" \
    "    rows B keep 0 block 2\n" \
    "    lanes B2\n" \
    "    arg mm f32 [B 4, B2 1] + 0 loop 0 0 0 0\n" \
    "    arg out e f32 [B 4, B2 1] + 0 loop 0 0 0 0\n" \
    "    arg x f32 [B 8] + 0 loop 0 0 0 0\n" \
    "    row {\n" \
    "      %1 = load f32 2 (B) fill 0\n" \
    "    }\n" \
    "    pass {\n" \
    "      %2 = load f32 0 (B, B2) fill 0\n" \
    "      %3 = fn f32 %2 %1 add\n" \
    "      %4 = store f32 %3 1 (B, B2)\n" \
    "    }\n" \
    "  }\n"

/* A module that keeps all rules; tests replace one piece of it. */
static const char good[] =
    "kir\n"
    "dim B 4\n"
    "dim D 8\n"
    "dim L 3\n"
    "dim \"%i0\" 6\n"
    "dim \"%block\" 2\n"
    "dim T 6\n"
    "dim B2 4\n"
    "buf x input f32 32 program 0 offset 0\n"
    "buf n input i32 4 program 0 offset 0\n"
    "buf t const f32 6 program 0 offset 0 = 1 2 3 4 5 6\n"
    "buf y output f32 32 program 0 offset 0\n"
    "buf p temp f32 16 program 0 offset 0\n"
    "buf s temp f32 96 program 0 offset 0\n"
    "buf mm temp f32 16 program 0 offset 0\n"
    "buf e temp f32 16 program 0 offset 0\n"
    "buf rs temp u8 64 program 0 offset 0\n"
    "program test arena 0 {\n"
    "  in x : f32[B,D] = x f32 [B 8, D 1] + 0 loop 0 0 0 0\n"
    "  in n : i32[B] = n i32 [B 1] + 0 loop 0 0 0 0\n"
    "  result y : f32[B,D] = y f32 [B 8, D 1] + 0 loop 0 0 0 0\n"
    "  kernel norm {\n"
    "    rows B keep 0 block 2 \"%block\"\n"
    "    lanes D\n"
    "    arg x f32 [B 8, D 1] + 0 loop 0 0 0 0\n"
    "    arg n i32 [B 1] + 0 loop 0 0 0 0\n"
    "    arg t f32 [T 1] + 0 loop 0 0 0 0\n"
    "    arg out y f32 [B 8, D 1] + 0 loop 0 0 0 0\n"
    "    arg out p f32 [\"%block\" 8, D 1] + 0 loop 0 0 0 0\n"
    "    indirect \"%i0\" %6\n"
    "    %1 = const i32 0\n"
    "    %2 = const i32 5\n"
    "    %3 = const f32 0.125\n"
    "    row {\n"
    "      %4 = load i32 1 (B) fill 0\n"
    "      %5 = fn i32 %4 %1 max\n"
    "      %6 = fn i32 %5 %2 min\n"
    "      %7 = load f32 2 (\"%i0\") fill 0\n"
    "    }\n"
    "    pass {\n"
    "      %8 = load f32 0 (B, D + -1) if (D : 1 7) fill 0\n"
    "      %9 = fn f32 %8 %7 mul keep\n"
    "      %10 = reduce f32 %9 sum\n"
    "      %11 = acc f32 %8\n"
    "    }\n"
    "    row {\n"
    "      %12 = fn f32 %10 %3 mul\n"
    "    }\n"
    "    pass {\n"
    "      %13 = fn f32 %9 %12 sub\n"
    "      %14 = store f32 %13 3 (B, D)\n"
    "    }\n"
    "    flush {\n"
    "      %15 = store f32 %11 4 (\"%block\", D)\n"
    "    }\n"
    "  }\n"
    "  loop layers L depth 0 {\n"
    "    copy stack 32 from x f32 [] + 0 loop 0 0 0 0 to out s f32 [] + 0 loop 32 0 0 0\n"
    "  }\n"
    PRODUCT
    "}\n";

/* o, written, lies over the end of v. */
#define ATTENTION                                                                                \
    "attn a forward full scale 1 window 0 batch 1 1 1 1 size 4 4 8 8"                             \
    " q x f32 [] + 0 loop 0 0 0 0 by 0 0 0 0 8 k x f32 [] + 0 loop 0 0 0 0 by 0 0 0 0 8"          \
    " v s f32 [] + 0 loop 0 0 0 0 by 0 0 0 0 8 o out s f32 [] + 31 loop 0 0 0 0 by 0 0 0 0 8"     \
    " lse out mm f32 [] + 0 loop 0 0 0 0 by 0 0 0 0 1 mask none by 0 0 0 0 0 0"                   \
    " do none by 0 0 0 0 0 dq none by 0 0 0 0 0 dk none by 0 0 0 0 0 dv none by 0 0 0 0 0"

static dfm_status parse(const char *text, size_t n, dfm_err *err, char **again)
{
    dfm_arena *a = dfm_arena_create("test");
    kir_module *m = NULL;
    dfm_status st = kir_parse(a, dfm_names_create(a), text, n, &m, err);
    if (st == DFM_OK && again) {
        dfm_sb s = dfm_sb_make(a);
        kir_print(&s, m);
        *again = strdup(dfm_sb_cstr(&s));
    }
    dfm_arena_destroy(a);
    return st;
}

static void text_round_trips(void **state)
{
    dfm_err err = {0};
    char *again = NULL;
    if (parse(good, strlen(good), &err, &again) != DFM_OK) fail_msg("%s", err.text);
    assert_string_equal(again, good);
    free(again);
}

/* The module with one piece replaced breaks the rule with this number (0: is no K text). */
static void breaks(int rule, const char *piece, const char *by)
{
    char text[sizeof good + 600], want[16];
    const char *at = strstr(good, piece);
    dfm_err err = {0};
    assert_non_null(at);
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - good), good, by, at + strlen(piece));
    dfm_status st = parse(text, strlen(text), &err, NULL);
    snprintf(want, sizeof want, "K%d: ", rule);
    if (rule ? st != DFM_INTERNAL || strncmp(err.text, want, strlen(want)) : st != DFM_BAD_DATA)
        fail_msg("'%s' for '%s': wanted rule %d, got '%s'", by, piece, rule, err.text);
}

static void each_rule_is_checked(void **state)
{
    breaks(1, "buf p temp f32 16", "buf p temp f32 0");
    breaks(1, "mm temp f32 16 program 0", "mm temp f32 16 program 9");
    breaks(2, "arg x f32 [B 8, D 1]", "arg x f32 [D 8, D 1]");
    breaks(2, "arg x f32 [", "arg x bf16 [");
    breaks(2, "arg out y f32 [B 8", "arg out x f32 [B 8");
    breaks(2, "[B 8, D 1] + 0 loop 0 0 0 0\n    arg n", "[B 8, D 1] + 0 loop 1 0 0 0\n    arg n");
    breaks(3, "arg x f32 [B 8, D 1] + 0", "arg x f32 [B 8, D 1] + 1");
    breaks(3, "loop 32 0 0 0", "loop 33 0 0 0");
    breaks(4, "keep 0 block 2 \"%block\"", "keep 0 block 4 \"%block\"");
    breaks(4, "keep 0", "keep 2");
    breaks(4, "lanes D\n", "lanes B\n");
    breaks(5, "%11 = acc f32 %8", "%11 = const f32 1");
    breaks(6, "%13 = fn f32 %9 %12 sub", "%13 = fn f32 %8 %12 sub");
    breaks(6, "%12 = fn f32 %10 %3 mul", "%12 = fn f32 %12 %3 mul");
    breaks(6, "%12 = fn f32 %10 %3 mul", "%12 = fn f32 %9 %3 mul");
    breaks(6, "%9 = fn f32 %8 %7 mul keep", "%9 = fn f32 %8 %10 mul keep");
    breaks(7, "%5 = fn i32 %4 %1 max", "%5 = fn i32 %4 %3 max");
    breaks(7, "%10 = reduce f32 %9 sum", "%10 = reduce i32 %9 sum");
    breaks(8, "%4 = load i32 1 (B)", "%4 = load i32 1 (D)");
    breaks(9, "(B, D + -1) if (D : 1 7)", "(B, D + -1)");
    breaks(9, "(B, D + -1) if (D : 1 7)", "(B, D + 1) if (D : 1 7)");
    breaks(10, "arg x f32 [B 8, D 1] + 0 loop 0 0 0 0\n    arg n",
           "arg y f32 [B 8, D 1] + 0 loop 0 0 0 0\n    arg n");
    breaks(11, "%2 = const i32 5", "%2 = const i32 6");
    breaks(12, "by 0 0 8 1", "by 0 0 4 2");
    breaks(12, "by 0 0 4 1", "by 0 0 0 1");
    breaks(12, "b x f32 [D 1, B 8] + 0 loop 0 0 0 0 by 0 0 1 8 c out mm",
           "b s f32 [D 1, B 8] + 0 loop 0 0 0 0 by 0 0 1 8 c out s");
    breaks(12, "bias none", "bias mm f32 [] + 12 loop 0 0 0 0");
    breaks(13, PRODUCT, "  " ATTENTION " scratch none\n");
    breaks(3, "size 1 1 4 4 8", "size 1 1 5 4 8");
    breaks(15, "32 from x", "32 from s");
    breaks(16, "depth 0", "depth 1");
    breaks(17, "in n : i32[B]", "in n : i32[D]");
    breaks(17, "in n :", "in x :");
    breaks(18, "kernel norm {", "kernel norm replaces z {");
    breaks(19, "load f32 0 (B, B2)", "load f32 0 (B2, B)");
    breaks(19, "load f32 0 (B, B2)", "load f32 0 (0, B2)");
    breaks(19, "arg mm f32 [B 4, B2 1]", "arg mm f32 [B 1, B2 4]");
    breaks(19, "arg mm f32 [", "arg e f32 [");
    breaks(19, "arg out e f32 [B 4, B2 1] + 0 loop", "arg out s f32 [B 4, B2 1] + 0 loop");
    breaks(19, "size 1 1 4 4 8", "size 1 1 2 4 8");
    breaks(9, "load f32 0 (B, B2)", "load f32 0 (B, B2 + 1)");
    breaks(0, "then twice {", "then {");
    breaks(0, "kernel norm {", "kernel norm");
    breaks(0, "dim T 6", "dim T 0");
    breaks(0, "dim T 6", "dim \"\" 6");
    breaks(0, "(B, D + -1)", "(B, (D // 0))");
    breaks(0, "%2 = const", "%7 = const");
}

/* Any prefix and any damaged byte is either read or refused; nothing else happens. */
static void hostile_text(void **state)
{
    size_t n = strlen(good);
    uint32_t seed = 1;
    char *text = malloc(n + 1);
    for (size_t k = 0; k < n; k += 7) {
        dfm_err err = {0};
        if (parse(good, k, &err, NULL) != DFM_OK) assert_true(err.len > 0);
        memcpy(text, good, n + 1);
        for (int c = 0; c < 3; c++) {
            seed = seed * 1664525u + 1013904223u;
            text[(seed >> 8) % n] = " 0123456789%(){}[]-\"ab\n"[(seed >> 4) % 23];
        }
        dfm_err_clear(&err);
        if (parse(text, n, &err, NULL) != DFM_OK) assert_true(err.len > 0);
    }
    free(text);
    char deep[4000] =
        "kir\ndim B 2\nbuf x input f32 2 program 0 offset 0\nprogram p arena 0 {\n kernel k {\n"
        " rows B keep 0 block 1\n lanes\n row {\n %1 = index i32 (";
    memset(deep + strlen(deep), '(', 3000);
    dfm_err err = {0};
    assert_int_equal(parse(deep, strlen(deep), &err, NULL), DFM_BAD_DATA);
}

/* -- memory plan
 * ------------------------------------------------------------------------------------ */

typedef struct usage { const kir_module *m; uint32_t now; uint32_t *first, *last; } usage;

static void touch(void *user, kir_arg *a)
{
    usage *u = user;
    if (!u->first[a->buf.i]) u->first[a->buf.i] = u->now;
    u->last[a->buf.i] = u->now;
}

static void walk(usage *u, const kir_nodes *list)
{
    for (uint32_t i = 0; i < list->n; i++) {
        if (list->p[i]->kind == KIR_NODE_LOOP) {
            walk(u, &list->p[i]->loop.body);
            continue;
        }
        u->now++;
        kir_each_arg(list->p[i], touch, u);
    }
}

/* Buffers whose uses overlap in time share no bytes; the arena holds them all. */
static void plans_do_not_overlap(void **state)
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
        fx *f = fx_random_graph(seed, false, NULL, NULL);
        kir_module *m = kt_lower(f, fx_grad(f, f->input, 1), false);
        usage u = {.m = m};
        u.first = dfm_new_n(f->a, uint32_t, m->bufs.n);
        u.last = dfm_new_n(f->a, uint32_t, m->bufs.n);
        walk(&u, &m->programs.p[0]->nodes);
        for (uint32_t i = 1; i < m->bufs.n; i++) {
            const kir_buffer *a = &m->bufs.p[i];
            if (a->mem == KIR_MEM_INPUT) u.first[i] = u.first[i] ? 1 : 0;
            if (a->mem == KIR_MEM_OUTPUT) u.last[i] = u.now + 1;
        }
        for (uint32_t i = 1; i < m->bufs.n; i++)
            for (uint32_t j = 1; j < i; j++) {
                const kir_buffer *a = &m->bufs.p[i], *b = &m->bufs.p[j];
                if (a->mem == KIR_MEM_CONST || a->mem == KIR_MEM_STATE || b->mem == KIR_MEM_CONST ||
                    b->mem == KIR_MEM_STATE || !u.first[i] || !u.first[j])
                    continue;
                uint64_t ae = a->offset + a->elems * dfm_dtype_bytes(a->dtype);
                uint64_t be = b->offset + b->elems * dfm_dtype_bytes(b->dtype);
                bool together = u.first[i] <= u.last[j] && u.first[j] <= u.last[i];
                assert_false(together && a->offset < be && b->offset < ae);
                assert_true(ae <= m->programs.p[0]->arena_bytes);
            }
        fx_free(f);
    }
}

/* A chain of n equal temporaries needs two of them at a time. */
static void a_chain_needs_two_buffers(void **state)
{
    char text[8000], *t = text;
    t += sprintf(t, "kir\ndim N 64\n");
    for (int i = 0; i < 10; i++) t += sprintf(t, "buf t%d temp f32 64 program 0 offset 0\n", i);
    t += sprintf(t, "program p arena 0 {\n");
    for (int i = 0; i < 9; i++)
        t += sprintf(
            t, "copy c 64 from t%d f32 [] + 0 loop 0 0 0 0 to out t%d f32 [] + 0 loop 0 0 0 0\n", i,
            i + 1);
    sprintf(t, "}\n");
    dfm_arena *a = dfm_arena_create("test");
    dfm_err err = {0};
    kir_module *m = NULL;
    assert_int_equal(kir_parse(a, dfm_names_create(a), text, strlen(text), &m, &err), DFM_OK);
    lower_memory mem;
    assert_int_equal(lower_memplan(m, &mem, &err), DFM_OK);
    assert_int_equal(mem.arena_bytes, 512);
    assert_int_equal(mem.lower_bound, 512);
    dfm_arena_destroy(a);
}

/* Of the kernel: 2 per row, 3 per lane, 1 per row, 1 per lane; t has 6 elements, of which the 4
 * rows load 4. Of the product: 4 x 4 x 8, and an addition for each result. A loop itself costs
 * nothing. */
static void costs_count_what_is_done(void **state)
{
    dfm_arena *a = dfm_arena_create("test");
    dfm_err err = {0};
    kir_module *m = NULL;
    assert_int_equal(kir_parse(a, dfm_names_create(a), good, strlen(good), &m, &err), DFM_OK);
    kir_node **node = m->programs.p[0]->nodes.p;
    kir_cost kernel = kir_node_cost(m, node[0]), loop = kir_node_cost(m, node[1]),
             copy = kir_node_cost(m, node[1]->loop.body.p[0]), product = kir_node_cost(m, node[2]);
    assert_int_equal((int)kernel.flops, 4 * (2 + 1) + 32 * (3 + 1));
    assert_int_equal((int)kernel.bytes, 128 + 16 + 16 + 128 + 64);
    assert_int_equal((int)product.flops, 2 * 4 * 4 * 8 + 16);
    assert_int_equal((int)product.bytes, 128 + 128 + 64 + 64 + 64 + 16);
    assert_int_equal((int)copy.bytes, 2 * 32 * 4);
    assert_int_equal((int)(loop.flops + loop.bytes + copy.flops), 0);
    dfm_arena_destroy(a);
}

static const char *named(const kir_module *m, kir_buf b)
{
    return dfm_name_str(m->ir->names, m->bufs.p[b.i].name);
}

/* Also among the names that were read; a number that is somebody's name is passed over. */
static void names_are_given_once(void **state)
{
    dfm_arena *a = dfm_arena_create("test");
    dfm_err err = {0};
    kir_module *m = NULL;
    assert_int_equal(kir_parse(a, dfm_names_create(a), good, strlen(good), &m, &err), DFM_OK);
    static const struct { const char *wanted, *given; } names[] = {
        {"x", "x.2"}, {"x.3", "x.3"}, {"x", "x.4"}, {"x.2", "x.2.2"}, {"new", "new"},
        {"new", "new.2"}, {"x", "x.5"},
    };
    for (size_t i = 0; i < DFM_LEN(names); i++) {
        kir_buf b = kir_buffer_new(m, KIR_MEM_TEMP, names[i].wanted, DFM_F32, 1);
        assert_string_equal(named(m, b), names[i].given);
    }
    const char *twice = "kir\nbuf x temp f32 1 program 0 offset 0\n"
                        "buf x temp f32 1 program 0 offset 0\n";
    assert_int_equal(kir_parse(a, dfm_names_create(a), twice, strlen(twice), &m, &err),
                     DFM_BAD_DATA);
    assert_non_null(strstr(err.text, "two buffers have this name"));
    dfm_arena_destroy(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_round_trips),
        cmocka_unit_test(each_rule_is_checked),
        cmocka_unit_test(hostile_text),
        cmocka_unit_test(names_are_given_once),
        cmocka_unit_test(costs_count_what_is_done),
        cmocka_unit_test(plans_do_not_overlap),
        cmocka_unit_test(a_chain_needs_two_buffers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

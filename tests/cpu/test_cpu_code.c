/* test_cpu_code.c - emitted C against the K interpreter, kernel by kernel.
 *
 * Each case is a K program as text. Inputs are filled with the same numbers on both sides; every
 * output must agree to a few units in the last place times the length of the reduction. A wrong
 * address, guard, merge of lane dims, reduction, accumulator, kept lane, rounding or draw fails.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "codegen/cpu/code_run.h"

typedef struct kcase { const char *title, *text; double limit; } kcase;

static void fill(const kir_module *m, void **base)
{
    for (uint32_t b = 1; b < m->bufs.n; b++) {
        const kir_buffer *buf = &m->bufs.p[b];
        for (uint64_t i = 0; i < buf->elems; i++) {
            double x = sin((double)i * 0.7 + b) * 1.5;
            if (buf->dtype == DFM_I32) x = (double)((i * 7 + 3) % 11) - 2;
            if (buf->dtype == DFM_BOOL) x = (double)(i % 3 != 1);
            if (buf->mem == KIR_MEM_OUTPUT || buf->mem == KIR_MEM_TEMP) x = -5;
            if (buf->mem == KIR_MEM_CONST && buf->data) x = buf->data[i];
            dfm_store_double(buf->dtype, base[b], i, x);
        }
    }
}

static void **memory(dfm_arena *a, const kir_module *m)
{
    void **base = dfm_new_n(a, void *, m->bufs.n);
    for (uint32_t b = 1; b < m->bufs.n; b++)
        base[b] = dfm_alloc(a, (m->bufs.p[b].elems + 64) * dfm_dtype_bytes(m->bufs.p[b].dtype));
    fill(m, base);
    return base;
}

static double scalar(void *user, const char *name) { return (void)user, name[0] == 'a' ? 0.25 : 3; }

static void run_case(const kcase *c)
{
    dfm_arena *a = dfm_arena_create("test");
    dfm_names *names = dfm_names_create(a);
    kir_module *m;
    dfm_err err = {0};
    if (kir_parse(a, names, c->text, strlen(c->text), &m, &err) != DFM_OK)
        fail_msg("%s: %s", c->title, err.text);
    if (kir_verify(m, &err) != DFM_OK) fail_msg("%s: %s", c->title, err.text);
    void **want = memory(a, m), **got = memory(a, m);
    kir_env env = {.seed = 77, .step = 5, .first_sample = 40, .scalar = scalar};
    code_run r;
    if (kir_interpret(m, m->programs.p[0], want, &env, &err) != DFM_OK) fail_msg("%s", err.text);
    if (code_load(&r, m, a, &err) != DFM_OK) fail_msg("%s: %s", c->title, err.text);
    if (code_execute(&r, m->programs.p[0], got, &env, &err) != DFM_OK) fail_msg("%s", err.text);
    for (uint32_t b = 1; b < m->bufs.n; b++) {
        const kir_buffer *buf = &m->bufs.p[b];
        for (uint64_t i = 0; i < buf->elems + 64; i++) {
            double w = dfm_load_as_double(buf->dtype, want[b], i);
            double g = dfm_load_as_double(buf->dtype, got[b], i);
            if (!(fabs(w - g) <= c->limit * (1 + fabs(w))) && !(w == g) && !(isnan(w) && isnan(g)))
                fail_msg("%s: %s[%d] is %.9g, not %.9g", c->title,
                         dfm_name_str(names, buf->name), (int)i, g, w);
        }
    }
    code_unload(&r);
    dfm_arena_destroy(a);
}

#define DIMS                                                                                       \
    "kir\ndim B 3\ndim S 17\ndim D 29\ndim H 4\ndim E 6\ndim P 2\ndim L 3\ndim blk 5\n"         \
    "dim g 9\ndim u 9\ndim w 9\ndim two 2\n"
#define BUF(name, mem, type, n) "buf " name " " mem " " type " " n " program 0 offset 0\n"
#define NOLOOP " loop 0 0 0 0\n"

static const kcase cases[] = {
    {"pointwise over two lane dims that merge",
     DIMS BUF("x", "input", "f32", "1479") BUF("y", "output", "f32", "1479")
     "program p arena 0 {\n kernel k {\n rows B keep 0 block 2\n lanes S D\n"
     " arg x f32 [B 493, S 29, D 1] + 0" NOLOOP " arg out y f32 [B 493, S 29, D 1] + 0" NOLOOP
     " pass {\n %1 = load f32 0 (B, S, D) fill 0\n %2 = fn f32 %1 exp\n %3 = fn f32 %2 tanh\n"
     " %4 = store f32 %3 1 (B, S, D)\n }\n }\n}\n", 2e-6},
    {"a transposed store keeps the lane dims apart",
     DIMS BUF("x", "input", "f32", "1479") BUF("y", "output", "bf16", "1479")
     "program p arena 0 {\n kernel k {\n rows B keep 0 block 1\n lanes S D\n"
     " arg x f32 [B 493, S 29, D 1] + 0" NOLOOP " arg out y bf16 [B 493, D 17, S 1] + 0" NOLOOP
     " pass {\n %1 = load f32 0 (B, S, D) fill 0\n %2 = round_bf16 f32 %1\n"
     " %3 = store f32 %2 1 (B, D, S)\n }\n }\n}\n", 0},
    {"row statistics, kept lanes, a second pass: layer norm",
     DIMS BUF("x", "input", "f32", "1479") BUF("k", "input", "f32", "87")
     BUF("y", "output", "f32", "1479")
     "program p arena 0 {\n kernel k {\n rows B S keep 1 block 4\n lanes D\n"
     " arg x f32 [B 493, S 29, D 1] + 0" NOLOOP " arg k f32 [B 29, D 1] + 0" NOLOOP
     " arg out y f32 [B 493, S 29, D 1] + 0" NOLOOP
     " %1 = const f32 29\n"
     " pass {\n %2 = load f32 0 (B, S, D) fill 0 keep\n %3 = reduce f32 %2 sum\n }\n"
     " row {\n %4 = fn f32 %3 %1 div\n }\n"
     " pass {\n %5 = fn f32 %2 %4 sub keep\n %6 = fn f32 %5 %5 mul\n %7 = reduce f32 %6 sum\n }\n"
     " row {\n %8 = fn f32 %7 %1 div\n %9 = fn f32 %8 rsqrt\n }\n"
     " pass {\n %10 = fn f32 %5 %9 mul\n %11 = load f32 1 (B, D) fill 0\n"
     " %12 = fn f32 %10 %11 mul\n %13 = store f32 %12 2 (B, S, D)\n }\n }\n}\n", 1e-5},
    {"column sums per kept row, in blocks",
     DIMS BUF("x", "input", "f32", "1479") BUF("y", "output", "f32", "435")
     "program p arena 0 {\n kernel k {\n rows B S keep 1 block 4 blk\n lanes D\n"
     " arg x f32 [B 493, S 29, D 1] + 0" NOLOOP " arg out y f32 [B 145, blk 29, D 1] + 0" NOLOOP
     " pass {\n %1 = load f32 0 (B, S, D) fill 0\n %2 = acc f32 %1\n }\n"
     " flush {\n %3 = store f32 %2 1 (B, blk, D)\n }\n }\n}\n", 1e-5},
    {"guards, fills, indices with division and remainder",
     DIMS BUF("x", "input", "f32", "1479") BUF("y", "output", "f32", "1479")
     "program p arena 0 {\n kernel k {\n rows B S keep 0 block 8\n lanes D\n"
     " arg x f32 [B 493, S 29, D 1] + 0" NOLOOP " arg out y f32 [B 493, S 29, D 1] + 0" NOLOOP
     " pass {\n %1 = load f32 0 (B, S + -1, D) if (S : 1 16) fill 7.5\n"
     " %2 = load f32 0 (B, S, clamp((D * 2) + -3, 0, 28)) fill 0\n"
     " %3 = load f32 0 (B, S, ((D // 2) * 2)) fill 0\n %4 = index i32 ((D % 3) + S)\n"
     " %5 = convert f32 %4\n %6 = fn f32 %1 %2 add\n %7 = fn f32 %6 %3 add\n"
     " %8 = fn f32 %7 %5 add\n %9 = store f32 %8 1 (B, S, D) if (D : 0 27)\n }\n }\n}\n", 1e-6},
    {"gathers: by a row's index and by a lane's index",
     DIMS BUF("t", "input", "f32", "261") BUF("i", "input", "i32", "17")
     BUF("j", "input", "i32", "29") BUF("y", "output", "f32", "493")
     "program p arena 0 {\n kernel k {\n rows S keep 0 block 17\n lanes D\n"
     " arg t f32 [g 29, D 1] + 0" NOLOOP " arg i i32 [S 1] + 0" NOLOOP " arg j i32 [D 1] + 0" NOLOOP
     " arg out y f32 [S 29, D 1] + 0" NOLOOP " indirect u %5\n indirect w %9\n"
     " %1 = const i32 0\n %2 = const i32 8\n"
     " row {\n %3 = load i32 1 (S) fill 0\n %4 = fn i32 %3 %1 max\n %5 = fn i32 %4 %2 min\n }\n"
     " pass {\n %6 = load f32 0 (u, D) fill 0\n %7 = load i32 2 (D) fill 0\n"
     " %8 = fn i32 %7 %1 max\n %9 = fn i32 %8 %2 min\n %10 = load f32 0 (w, D) fill 0\n"
     " %11 = fn f32 %6 %10 sub\n %12 = store f32 %11 3 (S, D)\n }\n }\n}\n", 0},
    {"every reducer",
     DIMS BUF("x", "input", "f32", "493") BUF("m", "input", "bool", "493")
     BUF("y0", "output", "f32", "17") BUF("y1", "output", "f32", "17")
     BUF("y2", "output", "f32", "17") BUF("y3", "output", "f32", "17")
     BUF("y4", "output", "f32", "17") BUF("y5", "output", "f32", "17")
     BUF("y6", "output", "f32", "17")
     "program p arena 0 {\n kernel k {\n rows S keep 0 block 5\n lanes D\n"
     " arg x f32 [S 29, D 1] + 0" NOLOOP " arg m bool [S 29, D 1] + 0" NOLOOP
     " arg out y0 f32 [S 1] + 0" NOLOOP " arg out y1 f32 [S 1] + 0" NOLOOP
     " arg out y2 f32 [S 1] + 0" NOLOOP " arg out y3 f32 [S 1] + 0" NOLOOP
     " arg out y4 f32 [S 1] + 0" NOLOOP " arg out y5 f32 [S 1] + 0" NOLOOP
     " arg out y6 f32 [S 1] + 0" NOLOOP
     " pass {\n %1 = load f32 0 (S, D) fill 0\n %2 = load bool 1 (S, D) fill 0\n"
     " %3 = reduce f32 %1 sum\n %4 = reduce f32 %1 prod\n %5 = reduce f32 %1 max\n"
     " %6 = reduce f32 %1 min\n %7 = reduce i32 %1 argmax\n %8 = reduce bool %2 any\n"
     " %9 = reduce bool %2 all\n }\n"
     " row {\n %10 = convert f32 %7\n %11 = convert f32 %8\n %12 = convert f32 %9\n"
     " %13 = store f32 %3 2 (S)\n %14 = store f32 %4 3 (S)\n %15 = store f32 %5 4 (S)\n"
     " %16 = store f32 %6 5 (S)\n %17 = store f32 %10 6 (S)\n %18 = store f32 %11 7 (S)\n"
     " %19 = store f32 %12 8 (S)\n }\n }\n}\n", 1e-5},
    {"f16: loads, stores, updates of a scatter",
     DIMS "dim V 9\n" BUF("x", "input", "f16", "493") BUF("y", "output", "f16", "493")
     BUF("tiny", "output", "f16", "493") BUF("huge", "output", "f16", "493")
     BUF("i", "input", "i32", "17") BUF("z", "output", "f32", "261")
     "program p arena 0 {\n kernel k {\n rows S keep 0 block 5\n lanes D\n"
     " arg x f16 [S 29, D 1] + 0" NOLOOP " arg out y f16 [S 29, D 1] + 0" NOLOOP
     " arg out tiny f16 [S 29, D 1] + 0" NOLOOP " arg out huge f16 [S 29, D 1] + 0" NOLOOP
     " %1 = const f32 0.67\n %2 = const f32 1.25e-06\n %3 = const f32 50000\n"
     " pass {\n %4 = load f32 0 (S, D) fill 0\n %5 = fn f32 %4 %1 mul\n"
     " %6 = fn f32 %4 %2 mul\n %7 = fn f32 %4 %3 mul\n %8 = store f32 %5 1 (S, D)\n"
     " %9 = store f32 %6 2 (S, D)\n %10 = store f32 %7 3 (S, D)\n }\n }\n"
     " scatter s V index i i32 [S 1] + 0 loop 0 0 0 0 updates x f16 [S 29, D 1] + 0 loop 0 0 0 0"
     " to out z f32 [V 29, D 1] + 0 loop 0 0 0 0\n}\n", 0},
    {"largest and smallest of what is not a number",
     DIMS BUF("x", "input", "f32", "493") BUF("a", "output", "f32", "17")
     BUF("b", "output", "f32", "17") BUF("c", "output", "f32", "493")
     BUF("d", "output", "f32", "493")
     "program p arena 0 {\n kernel k {\n rows S keep 0 block 8\n lanes D\n"
     " arg x f32 [S 29, D 1] + 0" NOLOOP " arg out a f32 [S 1] + 0" NOLOOP
     " arg out b f32 [S 1] + 0" NOLOOP " arg out c f32 [S 29, D 1] + 0" NOLOOP
     " arg out d f32 [S 29, D 1] + 0" NOLOOP
     " %1 = const f32 1.49\n %2 = const f32 0\n"
     " pass {\n %3 = load f32 0 (S, D) fill 0\n %4 = fn f32 %1 %3 sub\n %5 = fn f32 %4 sqrt\n"
     " %6 = reduce f32 %5 max\n %7 = reduce f32 %5 min\n %8 = fn f32 %5 %2 max\n"
     " %9 = fn f32 %2 %5 min\n %10 = store f32 %8 3 (S, D)\n %11 = store f32 %9 4 (S, D)\n }\n"
     " row {\n %12 = store f32 %6 1 (S)\n %13 = store f32 %7 2 (S)\n }\n }\n}\n", 1e-6},
    {"argmax of integers that f32 does not tell apart",
     DIMS BUF("x", "input", "i32", "493") BUF("y", "output", "i32", "17")
     "program p arena 0 {\n kernel k {\n rows S keep 0 block 5\n lanes D\n"
     " arg x i32 [S 29, D 1] + 0" NOLOOP " arg out y i32 [S 1] + 0" NOLOOP
     " %1 = const i32 1073741824\n"
     " pass {\n %2 = load i32 0 (S, D) fill 0\n %3 = fn i32 %2 %1 add\n"
     " %4 = reduce i32 %3 argmax\n }\n row {\n %5 = store i32 %4 1 (S)\n }\n }\n}\n", 0},
    {"column sums of rows that are longer than a stack",
     DIMS "dim Z 3000000\n" BUF("x", "input", "f32", "9000000")
     BUF("y", "output", "f32", "6000000")
     "program p arena 0 {\n kernel k {\n rows B keep 0 block 2 two\n lanes Z\n"
     " arg x f32 [B 3000000, Z 1] + 0" NOLOOP " arg out y f32 [two 3000000, Z 1] + 0" NOLOOP
     " pass {\n %1 = load f32 0 (B, Z) fill 0\n %2 = acc f32 %1\n }\n"
     " flush {\n %3 = store f32 %2 1 (two, Z)\n }\n }\n}\n", 1e-6},
    {"draws, keyed by sample, element and the counters of two loops",
     DIMS BUF("y", "output", "f32", "783") BUF("z", "output", "i32", "783")
     "program p arena 0 {\n scalar aa\n loop o L depth 0 {\n loop q B depth 1 reverse {\n"
     " kernel k {\n rows B keep 0 block 1\n lanes D\n"
     " arg out y f32 [B 29, D 1] + 0 loop 261 87 0 0\n"
     " arg out z i32 [B 29, D 1] + 0 loop 261 87 0 0\n %1 = scalar f32 : aa\n %2 = step i32\n"
     " %3 = iter i32 1\n"
     " pass {\n %4 = index i32 (D)\n %5 = index i32 (B)\n"
     " %6 = random f32 %4 %5 normal 99 0 0 iters 2\n %7 = fn f32 %6 %1 add\n %8 = convert f32 %2\n"
     " %9 = fn f32 %7 %8 add\n %10 = convert f32 %3\n %11 = fn f32 %9 %10 add\n"
     " %12 = random i32 %4 randint 98 -3 5 iters 1\n"
     " %13 = store f32 %11 0 (B, D)\n %14 = store i32 %12 1 (B, D)\n }\n }\n }\n }\n}\n", 1e-6},
    {"scalars only: no row and no lane dims",
     DIMS BUF("x", "input", "f32", "1") BUF("y", "output", "f32", "1")
     "program p arena 0 {\n kernel k {\n rows keep 0 block 1\n lanes\n arg x f32 [] + 0" NOLOOP
     " arg out y f32 [] + 0" NOLOOP " pass {\n %1 = load f32 0 () fill 0\n %2 = fn f32 %1 erf\n"
     " %3 = store f32 %2 1 ()\n }\n }\n}\n", 1e-6},
};

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) run_case(&cases[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cases)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_cpu_product.c - generated matrix products against three loops, at each level that runs here.
 *
 * Operands are small multiples of 1/4, so that every product and sum is exact in f32: results must
 * be equal to the last bit whatever the order of summation, results in bf16 must be the exact sum
 * rounded once, and what lies between the rows of C must be untouched. With other numbers, any
 * number of threads must give the same bits. A wrong stride, edge, batch, panel, block of K, bias,
 * conversion or partition fails.
 */
#include <dlfcn.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "codegen/cpu/cpu.h"
#include "codegen/cpu/cpu_product.h"

#define F DFM_F32
#define H DFM_BF16
enum { PER_TEXT = 6, GUARD = 64 };

typedef struct pcase {
    const char *title;
    int64_t batch[2], m, n, k;
    int64_t sa[4], sb[4], sc[4];
    dfm_dtype da, db, dc;
    bool bias;
} pcase;

typedef void product_fn(const void *ctx, void *const *operands);

static const pcase cases[] = {
    {"one element", {1, 1}, 1, 1, 1,
     {0}, {0}, {0}, F, F, F, true},
    {"one row", {1, 1}, 1, 100, 70,
     {0, 0, 0, 1}, {0, 0, 100, 1}, {0, 0, 0, 1}, F, F, F, false},
    {"one column", {1, 1}, 50, 1, 70,
     {0, 0, 70, 1}, {0, 0, 1, 0}, {0, 0, 1, 0}, F, F, F, true},
    {"no sum", {1, 1}, 20, 30, 1,
     {0, 0, 1, 0}, {0, 0, 0, 1}, {0, 0, 30, 1}, F, F, F, false},
    {"NN, whole blocks", {1, 1}, 256, 192, 64,
     {0, 0, 64, 1}, {0, 0, 192, 1}, {0, 0, 192, 1}, F, F, F, false},
    {"NT, odd", {1, 1}, 131, 117, 93,
     {0, 0, 93, 1}, {0, 0, 1, 93}, {0, 0, 117, 1}, F, F, F, true},
    {"TN, two blocks of K", {1, 1}, 90, 101, 700,
     {0, 0, 1, 90}, {0, 0, 101, 1}, {0, 0, 101, 1}, F, F, F, false},
    {"TT, odd", {1, 1}, 77, 65, 389,
     {0, 0, 1, 77}, {0, 0, 1, 389}, {0, 0, 65, 1}, F, F, F, true},
    {"windows with gaps", {1, 1}, 70, 50, 60,
     {0, 0, 64, 1}, {0, 0, 55, 1}, {0, 0, 59, 1}, F, F, F, true},
    {"C by columns, two blocks of K", {1, 1}, 70, 50, 500,
     {0, 0, 500, 1}, {0, 0, 50, 1}, {0, 0, 1, 73}, F, F, F, true},
    {"no stride is 1", {1, 1}, 21, 35, 19,
     {0, 0, 40, 2}, {0, 0, 110, 3}, {0, 0, 72, 2}, F, F, F, false},
    {"batch, each with its B", {2, 3}, 33, 40, 24,
     {2400, 792, 24, 1}, {2880, 960, 1, 24}, {3960, 1320, 40, 1}, F, F, F, true},
    {"batch, interleaved heads", {2, 3}, 40, 20, 40,
     {4800, 40, 120, 1}, {2400, 20, 60, 1}, {2400, 20, 60, 1}, F, F, F, false},
    {"batch with one B", {3, 2}, 17, 96, 48,
     {1632, 816, 48, 1}, {0, 0, 96, 1}, {3264, 1632, 96, 1}, F, F, F, true},
    {"batch with one A", {1, 4}, 64, 48, 30,
     {0, 0, 30, 1}, {0, 1440, 48, 1}, {0, 3072, 48, 1}, F, F, F, false},
    {"wide, many panels", {1, 1}, 12, 2000, 16,
     {0, 0, 16, 1}, {0, 0, 2000, 1}, {0, 0, 2000, 1}, F, F, F, false},
    {"tall, one panel", {1, 1}, 1500, 24, 32,
     {0, 0, 32, 1}, {0, 0, 1, 32}, {0, 0, 24, 1}, F, F, F, true},
    {"eight rows, b by n, four pieces", {1, 1}, 8, 1670, 70,
     {0, 0, 70, 1}, {0, 0, 1670, 1}, {0, 0, 1670, 1}, F, F, F, true},
    {"five rows of a by m, b by n with gaps, c by columns", {1, 1}, 5, 100, 43,
     {0, 0, 1, 5}, {0, 0, 111, 1}, {0, 0, 1, 6}, F, F, F, false},
    {"three rows, b by k", {1, 1}, 3, 101, 75,
     {0, 0, 75, 1}, {0, 0, 1, 80}, {0, 0, 101, 1}, F, F, F, true},
    {"eight rows, b by k, batch", {2, 2}, 8, 39, 64,
     {1024, 512, 64, 1}, {4992, 2496, 1, 64}, {624, 312, 39, 1}, F, F, F, true},
    {"two rows, batch with one B by n", {3, 1}, 2, 48, 40,
     {80, 0, 40, 1}, {0, 0, 48, 1}, {96, 0, 48, 1}, F, F, F, true},
    {"eight terms, rows with gaps", {1, 1}, 77, 117, 8,
     {0, 0, 1, 77}, {0, 0, 119, 1}, {0, 0, 120, 1}, F, F, F, true},
    {"three terms, batch", {2, 2}, 33, 64, 3,
     {198, 99, 3, 1}, {384, 192, 64, 1}, {4224, 2112, 64, 1}, F, F, F, false},
    {"NT, strips and panels of 32", {1, 1}, 160, 96, 800,
     {0, 0, 800, 1}, {0, 0, 1, 800}, {0, 0, 96, 1}, F, F, F, true},
    {"TN, halves of both", {1, 1}, 80, 48, 420,
     {0, 0, 1, 80}, {0, 0, 48, 1}, {0, 0, 48, 1}, F, F, F, true},
    {"bf16 NT", {1, 1}, 130, 100, 70,
     {0, 0, 70, 1}, {0, 0, 1, 70}, {0, 0, 100, 1}, H, H, H, true},
    {"bf16 NN to f32, two blocks of K", {1, 1}, 65, 96, 600,
     {0, 0, 600, 1}, {0, 0, 96, 1}, {0, 0, 96, 1}, H, H, F, false},
    {"bf16 TN, sums beside C", {1, 1}, 90, 210, 800,
     {0, 0, 1, 90}, {0, 0, 210, 1}, {0, 0, 210, 1}, H, H, H, true},
    {"bf16, C too wide for one tile", {1, 1}, 66, 1300, 390,
     {0, 0, 390, 1}, {0, 0, 1, 390}, {0, 0, 1300, 1}, H, H, H, false},
    {"bf16 times f32", {1, 1}, 33, 64, 50,
     {0, 0, 50, 1}, {0, 0, 1, 50}, {0, 0, 64, 1}, H, F, F, false},
    {"f32 times bf16 to bf16", {1, 1}, 33, 64, 450,
     {0, 0, 450, 1}, {0, 0, 64, 1}, {0, 0, 64, 1}, F, H, H, true},
    {"bf16 batch, C by columns", {2, 2}, 20, 36, 400,
     {16000, 8000, 400, 1}, {28800, 14400, 36, 1}, {1440, 720, 1, 20}, H, H, H, false},
};

static int64_t reach(const pcase *c, const int64_t s[4], int64_t rows, int64_t cols)
{
    return (c->batch[0] - 1) * s[0] + (c->batch[1] - 1) * s[1] + (rows - 1) * s[2] +
           (cols - 1) * s[3] + 1;
}

static kir_gemm node_of(kir_module *m, const pcase *c)
{
    kir_gemm g = {.batch = {c->batch[0], c->batch[1]}, .m = c->m, .n = c->n, .k = c->k};
    memcpy(g.sa, c->sa, sizeof g.sa);
    memcpy(g.sb, c->sb, sizeof g.sb);
    memcpy(g.sc, c->sc, sizeof g.sc);
    g.a.dtype = c->da;
    g.b.dtype = c->db;
    g.c.dtype = c->dc;
    g.a.buf = g.b.buf = g.c.buf = kir_buffer_new(m, KIR_MEM_TEMP, "any", DFM_F32, 1);
    if (c->bias) g.bias = g.a;
    return g;
}

/* -- compiling: all cases of a level as one object --------------------------------------------- */

typedef struct level {
    dfm_arena *a;
    const cpu_product_level *l;
    kir_module *m;
    void *handle;
} level;

/* Was this kind not yet among them? It is then. */
static bool is_new(cpu_product_kind *kinds, uint32_t *n, cpu_product_kind kind)
{
    for (uint32_t i = 0; i < *n; i++)
        if (!strcmp(kinds[i].letters, kind.letters)) return false;
    kinds[(*n)++] = kind;
    return true;
}

static void level_open(level *v, const char *arch)
{
    cpu_product_kind kinds[DFM_LEN(cases)];
    uint32_t n_kinds = 0;
    const char *texts[DFM_LEN(cases)];
    uint32_t n = 0;
    dfm_sb sb = {0};
    dfm_err err = {0};
    cg_object object = {0};
    cg_options o = {.arch = arch, .cc = "cc", .jobs = 2};
    v->a = dfm_arena_create("test");
    v->l = cpu_product_level_of(arch);
    v->m = kir_module_create(v->a, ir_module_create(v->a, dfm_names_create(v->a)));
    for (size_t i = 0; i < DFM_LEN(cases); i++) {
        kir_gemm g = node_of(v->m, &cases[i]);
        if (i % PER_TEXT == 0) {
            sb = dfm_sb_make(v->a);
            cpu_product_begin(&sb, v->l);
            n_kinds = 0;
        }
        if (is_new(kinds, &n_kinds, cpu_product_kind_of(&g)))
            cpu_emit_product_driver(&sb, cpu_product_kind_of(&g), v->l);
        cpu_emit_product(&sb, &g, v->l, dfm_fmt(v->a, "g%u", (unsigned)i), NULL);
        if (i % PER_TEXT == PER_TEXT - 1 || i + 1 == DFM_LEN(cases)) texts[n++] = dfm_sb_cstr(&sb);
    }
    if (cpu_compile(texts, n, &o, v->a, &object, &err) != DFM_OK) fail_msg("%s", err.text);
    char path[] = "/tmp/dfm-test-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, object.code, object.n_code) == (ssize_t)object.n_code);
    close(fd);
    v->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    unlink(path);
    if (!v->handle) fail_msg("%s", dlerror());
}

/* -- running ----------------------------------------------------------------------------------- */

typedef struct memory { void *at[5]; uint64_t n_a, n_b, n_c; } memory;

/* Multiples of 1/4 up to 1, or numbers with all bits. */
static double number(bool exact, uint64_t i, uint64_t salt)
{
    uint64_t h = (i + 1) * 0x9e3779b97f4a7c15u ^ salt * 0xd1b54a32d192ed03u;
    h ^= h >> 29;
    return exact ? ((double)(h % 9) - 4) / 4 : sin((double)(h % 100003));
}

static memory prepare(const level *v, const pcase *c, bool exact)
{
    kir_gemm g = node_of(v->m, c);
    memory t = {.n_a = (uint64_t)reach(c, c->sa, c->m, c->k),
                .n_b = (uint64_t)reach(c, c->sb, c->k, c->n),
                .n_c = (uint64_t)reach(c, c->sc, c->m, c->n)};
    float *bias = dfm_new_n(v->a, float, (size_t)c->n);
    void *a = dfm_alloc(v->a, t.n_a * 4), *b = dfm_alloc(v->a, t.n_b * 4);
    void *out = dfm_alloc(v->a, (t.n_c + GUARD) * 4);
    char *scratch = dfm_alloc(v->a, cpu_product_scratch(&g, v->l) + 128);
    for (uint64_t i = 0; i < t.n_a; i++) dfm_store_double(c->da, a, i, number(exact, i, 1));
    for (uint64_t i = 0; i < t.n_b; i++) dfm_store_double(c->db, b, i, number(exact, i, 2));
    for (uint64_t i = 0; i < t.n_c + GUARD; i++) dfm_store_double(c->dc, out, i, -77);
    for (int64_t i = 0; i < c->n; i++) bias[i] = (float)number(exact, (uint64_t)i, 3);
    scratch += 64 - (uintptr_t)scratch % 64;
    memset(scratch + cpu_product_scratch(&g, v->l), 0x5a, 64);
    t.at[0] = a;
    t.at[1] = b;
    t.at[2] = out;
    t.at[3] = c->bias ? (void *)bias : scratch;
    t.at[4] = c->bias ? scratch : NULL;
    return t;
}

static void run(const level *v, size_t i, memory *t, int threads)
{
    void (*set)(int) = (void (*)(int))dlsym(v->handle, "omp_set_num_threads");
    product_fn *fn = (product_fn *)dlsym(v->handle, dfm_fmt(v->a, "g%u", (unsigned)i));
    kir_gemm g = node_of(v->m, &cases[i]);
    assert_true(set && fn);
    set(threads);
    fn(NULL, t->at);
    const unsigned char *end = t->at[cases[i].bias ? 4 : 3];
    end += cpu_product_scratch(&g, v->l);
    for (int k = 0; k < 64; k++)
        if (end[k] != 0x5a) fail_msg("%s: writes beyond its scratch", cases[i].title);
}

static double at(dfm_dtype d, const void *p, int64_t i)
{
    return dfm_load_as_double(d, p, (size_t)i);
}

/* What C must be before it is stored, gaps included; `scale` (NULL: not wanted): the sum of the
 * magnitudes. */
static void expect(const pcase *c, const memory *t, double *want, double *scale)
{
    for (uint64_t i = 0; i < t->n_c + GUARD; i++) want[i] = -77;
    for (int64_t x = 0; x < c->batch[0]; x++)
        for (int64_t y = 0; y < c->batch[1]; y++)
            for (int64_t m = 0; m < c->m; m++)
                for (int64_t n = 0; n < c->n; n++) {
                    double sum = c->bias ? (double)((float *)t->at[3])[n] : 0, size = fabs(sum);
                    for (int64_t k = 0; k < c->k; k++) {
                        double one = at(c->da, t->at[0],
                                        x * c->sa[0] + y * c->sa[1] + m * c->sa[2] + k * c->sa[3]) *
                                     at(c->db, t->at[1],
                                        x * c->sb[0] + y * c->sb[1] + k * c->sb[2] + n * c->sb[3]);
                        sum += one;
                        size += fabs(one);
                    }
                    int64_t e = x * c->sc[0] + y * c->sc[1] + m * c->sc[2] + n * c->sc[3];
                    want[e] = sum;
                    if (scale) scale[e] = size;
                }
}

static double stored(dfm_dtype d, double x)
{
    char cell[8];
    dfm_store_double(d, cell, 0, x);
    return at(d, cell, 0);
}

static void check_exact(const level *v, size_t i)
{
    const pcase *c = &cases[i];
    memory t = prepare(v, c, true);
    double *want = dfm_new_n(v->a, double, t.n_c + GUARD);
    expect(c, &t, want, NULL);
    run(v, i, &t, 2);
    for (uint64_t e = 0; e < t.n_c + GUARD; e++)
        if (at(c->dc, t.at[2], (int64_t)e) != stored(c->dc, want[e]))
            fail_msg("%s: %s: c[%d] is %g, not %g", v->l->name, c->title, (int)e,
                     at(c->dc, t.at[2], (int64_t)e), want[e]);
}

/* Numbers with all bits: within 2^-22 of the sum of magnitudes, whichever way f32 is multiplied. */
static void check_close(const level *v, size_t i)
{
    const pcase *c = &cases[i];
    memory t = prepare(v, c, false);
    double *want = dfm_new_n(v->a, double, t.n_c + GUARD);
    double *scale = dfm_new_n(v->a, double, t.n_c + GUARD);
    expect(c, &t, want, scale);
    run(v, i, &t, 2);
    for (uint64_t e = 0; e < t.n_c + GUARD; e++) {
        double is = at(c->dc, t.at[2], (int64_t)e);
        double limit = ldexp(scale[e], -22) + (c->dc == H ? ldexp(fabs(want[e]), -8) : 0);
        if (fabs(is - want[e]) > limit)
            fail_msg("%s: %s: c[%d] is %.9g, not %.9g: %.3g instead of %.3g at most", v->l->name,
                     c->title, (int)e, is, want[e], fabs(is - want[e]), limit);
    }
}

static void check_threads(const level *v, size_t i)
{
    static const int counts[] = {3};
    const pcase *c = &cases[i];
    memory one = prepare(v, c, false);
    run(v, i, &one, 1);
    for (size_t k = 0; k < DFM_LEN(counts); k++) {
        memory t = prepare(v, c, false);
        run(v, i, &t, counts[k]);
        if (memcmp(t.at[2], one.at[2], t.n_c * dfm_dtype_bytes(c->dc)))
            fail_msg("%s: %s: %d threads give other bits than one", v->l->name, c->title,
                     counts[k]);
    }
}

/* A NaN reaches its row and no other, also through bf16. */
static void check_nan(const level *v, size_t i)
{
    const pcase *c = &cases[i];
    memory t = prepare(v, c, true);
    dfm_store_double(c->da, t.at[0], (size_t)(2 * c->sa[2]), NAN);
    run(v, i, &t, 2);
    for (int64_t m = 0; m < c->m; m++)
        for (int64_t n = 0; n < c->n; n++)
            if (isnan(at(c->dc, t.at[2], m * c->sc[2] + n * c->sc[3])) != (m == 2))
                fail_msg("%s: a NaN of row 2 at row %d", c->title, (int)m);
}

/* Values that three bf16 cannot hold: of A they concern a block of rows, of B all. */
static void check_large(const level *v, size_t i, bool of_b, double value)
{
    const pcase *c = &cases[i];
    memory t = prepare(v, c, true);
    double *want = dfm_new_n(v->a, double, t.n_c + GUARD);
    if (of_b) dfm_store_double(c->db, t.at[1], (size_t)(5 * c->sb[3]), value);
    else dfm_store_double(c->da, t.at[0], (size_t)(2 * c->sa[2]), value);
    expect(c, &t, want, NULL);
    run(v, i, &t, 2);
    for (uint64_t e = 0; e < t.n_c + GUARD; e++) {
        double is = at(c->dc, t.at[2], (int64_t)e), should = stored(c->dc, want[e]);
        if (isnan(is) && isnan(should)) continue;
        if (is != should && !(fabs(is - should) <= 1e-6 * fabs(should)))
            fail_msg("%s: %s: with %g c[%d] is %g, not %g", v->l->name, c->title, value, (int)e, is,
                     should);
    }
}

static void check_level(const char *arch, bool runs)
{
    level v;
    if (!runs) return;
    level_open(&v, arch);
    for (size_t i = 0; i < DFM_LEN(cases); i++) {
        check_exact(&v, i);
        check_close(&v, i);
        check_threads(&v, i);
        if (cases[i].m > 64 && cases[i].batch[0] * cases[i].batch[1] == 1) check_nan(&v, i);
        if (cases[i].m <= 64 || cases[i].da != F || cases[i].db != F || cases[i].dc != F) continue;
        for (int of_b = 0; of_b < 2; of_b++) {
            check_large(&v, i, of_b, 3e38);
            check_large(&v, i, of_b, -INFINITY);
            check_large(&v, i, of_b, 1e33);  /* the largest power of ten that parts hold */
            check_large(&v, i, of_b, 1e-39);
        }
    }
    dfm_arena_destroy(v.a);                  /* the object stays: closing it would unload libgomp,
                                                whose threads still wait inside it */
}

static void test_avx2(void **state)
{
    (void)state;
    check_level("x86-64-v3", __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"));
}

static void test_avx512(void **state)
{
    (void)state;
    check_level("x86-64-v4",
                __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl"));
}

/* What this processor has beyond the levels: f32 by tiles. Other products are its level's. */
static void test_tiles(void **state)
{
    (void)state;
    bool tiles = cpu_product_level_of("native")->tiles;
    if (!tiles) print_message("no tiles of AMX here\n");
    check_level("native", tiles);
}

/* -- the rule ---------------------------------------------------------------------------------- */

static void rule(const char *arch, dfm_dtype d, int64_t m, int64_t n, int64_t k, bool own,
                 const char *word)
{
    dfm_arena *a = dfm_arena_create("test");
    kir_module *mod = kir_module_create(a, ir_module_create(a, dfm_names_create(a)));
    const pcase c = {"", {1, 1}, m, n, k, {0, 0, k, 1}, {0, 0, n, 1}, {0, 0, n, 1}, d, d, d, false};
    kir_gemm g = node_of(mod, &c);
    const char *why = "";
    if (cpu_product_own(&g, cpu_product_level_of(arch), &why) != own || !strstr(why, word))
        fail_msg("%d x %d over %d at %s: %s", (int)m, (int)n, (int)k, arch, why);
    dfm_arena_destroy(a);
}

static void test_rule(void **state)
{
    (void)state;
    rule("x86-64-v3", F, 2048, 1152, 384, true, "faster");
    rule("x86-64-v4", F, 384, 384, 2048, true, "faster");
    rule("x86-64-v4", F, 9, 2304, 384, false, "thin");
    rule("x86-64-v4", F, 8, 2304, 31, false, "thin");
    rule("x86-64-v4", F, 8, 2304, 384, true, "few rows");
    rule("x86-64-v3", F, 2304, 384, 8, true, "terms");
    rule("x86-64-v4", F, 31, 384, 8, false, "thin");
    rule("x86-64-v2", F, 8, 2304, 384, false, "no fused multiply-add");
    rule("x86-64-v4", F, 2048, 1152, 31, false, "thin");
    rule("x86-64-v2", H, 2048, 1152, 384, false, "no fused multiply-add");
    rule("x86-64-v3", H, 8, 2304, 384, true, "bf16");
    rule("x86-64-v4", H, 2048, 1152, 384, true, "bf16");
    rule("x86-64-v4", DFM_I32, 2048, 1152, 384, false, "element type");
    kir_gemm g = {.batch = {1, 1}, .m = 2048, .n = 1152, .k = 384, .sc = {0, 0, 1152, 1}};
    kir_kernel k = {.block = 32}, tall = {.block = 4096};
    g.a.dtype = g.b.dtype = g.c.dtype = F;
    assert_true(cpu_product_takes_epi(&g, &k, cpu_product_level_of("x86-64-v4")));
    assert_true(cpu_product_takes_epi(&g, &k, cpu_product_level_of("x86-64-v3")));
    assert_false(cpu_product_takes_epi(&g, &k, cpu_product_level_of("x86-64-v2")));
    assert_false(cpu_product_takes_epi(&g, &tall, cpu_product_level_of("x86-64-v4")));
}

int main(void)
{
    /* Read when libgomp is loaded, with the first object. */
    setenv("OMP_WAIT_POLICY", "passive", 1);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rule), cmocka_unit_test(test_avx2),
                                       cmocka_unit_test(test_avx512),
                                       cmocka_unit_test(test_tiles)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

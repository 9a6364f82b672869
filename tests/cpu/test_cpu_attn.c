/* test_cpu_attn.c - compiled attention against the K interpreter, forward and backward.
 *
 * One table of nodes, whole at the best processor level that this machine has, its first part at
 * the others: odd extents, heads that are no multiple of a vector, several blocks, ranges of keys
 * with sums of their own, work areas in scratch, everything that hides keys. Then the same bits
 * with one thread and three. A wrong tile bound, stride, padding, rescaling, order of sums, or a
 * result that depends on the threads fails.
 */
#include <math.h>
#include <omp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "codegen/cpu/code_run.h"
#include "codegen/cpu/cpu.h"

enum masked { NO_MASK, KEY_MASK, PAIR_MASK };

typedef struct attn_case {
    const char *title;
    int64_t batch[4], seq, over, feature, value;
    bool causal;
    int64_t window;
    enum masked mask;
    bool interleaved;                      /* q, k, v are windows of one buffer; needs seq = over */
    dfm_dtype type;
    double scale;                            /* 0: 0.3 */
} attn_case;

#define SHAPE(t, b0, b1, b2, b3, queries, keys, dq, dv)                                            \
    .title = t, .batch = {b0, b1, b2, b3}, .seq = queries, .over = keys, .feature = dq, .value = dv
static const attn_case cases[] = {
    {SHAPE("several jobs and blocks, 72 features", 1, 1, 2, 1, 300, 300, 72, 72)},
    {SHAPE("sums of dq in place, two blocks of keys", 4, 3, 1, 2, 16, 260, 32, 16)},
    {SHAPE("cross, other value width", 2, 1, 1, 2, 50, 97, 7, 19)},
    {SHAPE("few queries, many keys: ranges of keys", 1, 1, 1, 1, 9, 700, 20, 33)},
    {SHAPE("mask of pairs, causal", 2, 1, 2, 1, 70, 90, 16, 8), .causal = true, .mask = PAIR_MASK},
    {SHAPE("bf16", 2, 1, 2, 1, 65, 65, 24, 24), .type = DFM_BF16},
    {SHAPE("one key", 1, 1, 2, 1, 33, 1, 16, 8)},
    {SHAPE("causal, more keys than queries", 1, 1, 2, 1, 60, 290, 16, 16), .causal = true},
    {SHAPE("self, one tile", 2, 1, 3, 1, 17, 17, 24, 24)},
    {SHAPE("several tiles, odd", 1, 2, 2, 1, 133, 133, 40, 40)},
    {SHAPE("one query, one key, width one", 1, 1, 1, 1, 1, 1, 1, 1)},
    {SHAPE("one query", 3, 1, 1, 1, 1, 70, 16, 16)},
    {SHAPE("large heads: work areas in scratch", 1, 2, 1, 1, 40, 70, 700, 650), .scale = 0.002},
    {SHAPE("causal", 2, 1, 2, 1, 130, 130, 16, 16), .causal = true},
    {SHAPE("causal, more queries than keys", 1, 1, 2, 1, 290, 60, 16, 16), .causal = true},
    {SHAPE("window", 2, 1, 2, 1, 130, 130, 16, 16), .window = 9},
    {SHAPE("window that leaves queries without keys", 1, 1, 2, 1, 300, 20, 16, 16), .window = 9},
    {SHAPE("causal window", 1, 1, 2, 1, 270, 270, 8, 8), .causal = true, .window = 70},
    {SHAPE("key mask, one entry without keys", 3, 1, 2, 1, 70, 90, 16, 8), .mask = KEY_MASK},
    {SHAPE("windows of one buffer", 2, 1, 3, 1, 65, 65, 24, 24), .interleaved = true},
    {SHAPE("bf16, ranges of keys", 1, 1, 1, 1, 64, 700, 64, 64), .type = DFM_BF16},
    {SHAPE("bf16, two blocks of keys in one range", 4, 3, 2, 1, 9, 260, 8, 8), .type = DFM_BF16},
    {SHAPE("causal, two blocks in one range", 4, 3, 2, 1, 9, 260, 8, 8), .causal = true},
    {SHAPE("large scores", 1, 1, 2, 1, 40, 300, 24, 24), .scale = 1.5},
    {SHAPE("scores around the limit of what needs no maximum", 1, 1, 2, 1, 70, 290, 24, 24),
     .scale = 0.75},
};
enum { N_CASES = sizeof cases / sizeof *cases, N_EVERYWHERE = 6 };

static kir_arg window_of(kir_module *m, const char *name, kir_mem mem, dfm_dtype d, int64_t elems,
                         bool write)
{
    kir_arg a = {.dtype = d, .write = write};
    a.buf = kir_buffer_new(m, mem, name, d, (uint64_t)elems);
    return a;
}

/* Dense [b0, b1, tokens, b2, b3, width]: batch dims 2 and 3 stand between token and feature. */
static void dense(int64_t s[5], const attn_case *c, int64_t tokens, int64_t width)
{
    s[3] = width;
    s[2] = s[3] * c->batch[3];
    s[4] = s[2] * c->batch[2];
    s[1] = s[4] * tokens;
    s[0] = s[1] * c->batch[1];
}

static void build_attn(kir_module *m, kir_attn *t, const attn_case *c, bool backward)
{
    int64_t n = c->batch[0] * c->batch[1] * c->batch[2] * c->batch[3];
    dfm_dtype d = c->type == DFM_BF16 ? DFM_BF16 : DFM_F32;
    *t = (kir_attn){.backward = backward, .causal = c->causal, .window = c->window,
                    .scale = c->scale != 0 ? c->scale : 0.3, .seq = c->seq, .over = c->over,
                    .feature = c->feature, .value = c->value};
    memcpy(t->batch, c->batch, sizeof t->batch);
    dense(t->sq, c, c->seq, c->feature);
    dense(t->sk, c, c->over, c->feature);
    dense(t->sv, c, c->over, c->value);
    dense(t->so, c, c->seq, c->value);
    dense(t->slse, c, c->seq, 1);
    memcpy(t->sd_o, t->so, sizeof t->so);
    memcpy(t->sdq, t->sq, sizeof t->sq);
    memcpy(t->sdk, t->sk, sizeof t->sk);
    memcpy(t->sdv, t->sv, sizeof t->sv);
    int64_t windows = c->interleaved ? 3 : 1;
    t->q = window_of(m, "q", KIR_MEM_INPUT, d, n * c->seq * c->feature * windows, false);
    if (c->interleaved) {                    /* one buffer [.., 3, tokens, ..]: needs seq = over */
        t->k = t->v = t->q;
        t->k.offset = n * c->seq * c->feature;
        t->v.offset = 2 * t->k.offset;
    } else {
        t->k = window_of(m, "k", KIR_MEM_INPUT, d, n * c->over * c->feature, false);
        t->v = window_of(m, "v", KIR_MEM_INPUT, d, n * c->over * c->value, false);
    }
    t->o = window_of(m, "o", KIR_MEM_OUTPUT, d, n * c->seq * c->value, true);
    t->lse = window_of(m, "lse", KIR_MEM_OUTPUT, DFM_F32, n * c->seq, true);
    if (c->mask != NO_MASK) {
        int64_t pairs = c->mask == PAIR_MASK ? c->seq : 1;
        t->mask = window_of(m, "mask", KIR_MEM_INPUT, DFM_BOOL, c->batch[0] * pairs * c->over,
                            false);
        t->smask[0] = pairs * c->over;
        t->smask[4] = c->mask == PAIR_MASK ? c->over : 0;
        t->smask[5] = 1;
    }
    if (!backward) return;
    t->o.write = t->lse.write = false;
    t->d_o = window_of(m, "do", KIR_MEM_INPUT, d, n * c->seq * c->value, false);
    t->dq = window_of(m, "dq", KIR_MEM_OUTPUT, d, n * c->seq * c->feature, true);
    t->dk = window_of(m, "dk", KIR_MEM_OUTPUT, d, n * c->over * c->feature, true);
    t->dv = window_of(m, "dv", KIR_MEM_OUTPUT, d, n * c->over * c->value, true);
    uint64_t bytes = cpu_attn_scratch(t, m);
    if (bytes) t->scratch = window_of(m, "scratch", KIR_MEM_TEMP, DFM_U8, (int64_t)bytes, true);
}

/* Forward and backward in one program, so that backward reads forward's results. */
static kir_program *add_program(dfm_arena *a, kir_module *m, const attn_case *c)
{
    kir_program *p = dfm_new(a, kir_program);
    kir_node *f = dfm_new(a, kir_node), *g = dfm_new(a, kir_node);
    p->name = c->title;
    f->kind = g->kind = KIR_NODE_ATTN;
    build_attn(m, &g->attn, c, true);
    f->attn = g->attn;
    f->attn.backward = false;
    f->attn.o.write = f->attn.lse.write = true;
    f->attn.d_o = f->attn.dq = f->attn.dk = f->attn.dv = f->attn.scratch = (kir_arg){0};
    uint64_t bytes = cpu_attn_scratch(&f->attn, m);
    if (bytes)
        f->attn.scratch = window_of(m, "scratch", KIR_MEM_TEMP, DFM_U8, (int64_t)bytes, true);
    dfm_push(a, &p->nodes, f);
    dfm_push(a, &p->nodes, g);
    dfm_push(a, &m->programs, p);
    return p;
}

/* -- the memory of one case: buffers first .. end - 1 ------------------------------------------ */

enum { GUARD = 64 };                         /* elements behind each buffer that must not change */

static void **memory(dfm_arena *a, const kir_module *m, uint32_t first, uint32_t end)
{
    void **base = dfm_new_n(a, void *, m->bufs.n);
    for (uint32_t b = first; b < end; b++) {
        const kir_buffer *buf = &m->bufs.p[b];
        base[b] = dfm_alloc(a, (buf->elems + GUARD) * dfm_dtype_bytes(buf->dtype));
        for (uint64_t i = 0; i < buf->elems + GUARD; i++) {
            double x = sin((double)i * 0.7 + (double)(b - first)) * 1.5;
            if (buf->dtype == DFM_BOOL) x = (double)(i % 7 != 1 && i >= 90); /* first entry: none */
            if (buf->mem == KIR_MEM_OUTPUT || i >= buf->elems) x = -5;
            if (buf->dtype == DFM_U8) x = 255;                  /* scratch: not a number */
            dfm_store_double(buf->dtype, base[b], i, x);
        }
    }
    return base;
}

static void compare(const char *level, const kir_module *m, const attn_case *c, uint32_t first,
                    uint32_t end, void *const *want, void *const *got)
{
    for (uint32_t b = first; b < end; b++) {
        const kir_buffer *buf = &m->bufs.p[b];
        double diff = 0, size = 0;
        if (buf->mem == KIR_MEM_TEMP) continue;
        for (uint64_t i = 0; i < buf->elems + GUARD; i++) {
            double w = dfm_load_as_double(buf->dtype, want[b], i);
            double e = dfm_load_as_double(buf->dtype, got[b], i);
            if (isinf(w) && w == e) continue;
            diff += (e - w) * (e - w);
            size += w * w;
        }
        /* Operands are of order one: a gradient that cancels to nothing is held against 0.01. */
        double rel = sqrt(diff) / (sqrt(size) + 1e-2 * sqrt((double)buf->elems));
        if (!(rel <= (c->type == DFM_BF16 ? 1e-2 : 1e-5)))
            fail_msg("%s, %s: %s differs by %g", level, c->title,
                     dfm_name_str(m->ir->names, buf->name), rel);
    }
}

static void same_bits(const kir_module *m, const attn_case *c, uint32_t first, uint32_t end,
                        void *const *want, void *const *got)
{
    for (uint32_t b = first; b < end; b++) {
        const kir_buffer *buf = &m->bufs.p[b];
        if (buf->mem != KIR_MEM_TEMP &&
            memcmp(want[b], got[b], buf->elems * dfm_dtype_bytes(buf->dtype)))
            fail_msg("%s: %s has other bits with three threads", c->title,
                     dfm_name_str(m->ir->names, buf->name));
    }
}

/* All cases are one module, so that two compilers run at a time. */
static void run_cases(const char *level, const attn_case *c, uint32_t n)
{
    dfm_arena *a = dfm_arena_create("test");
    kir_module *m = kir_module_create(a, ir_module_create(a, dfm_names_create(a)));
    uint32_t first[N_CASES + 1];
    kir_program *p[N_CASES];
    for (uint32_t i = 0; i < n; i++) {
        first[i] = m->bufs.n;
        p[i] = add_program(a, m, &c[i]);
    }
    first[n] = m->bufs.n;
    dfm_err err = {0};
    kir_env env = {0};
    code_run r;
    if (code_load_as(&r, m, level, false, a, &err) != DFM_OK) fail_msg("%s: %s", level, err.text);
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t from = first[i], to = first[i + 1];
        void **want = memory(a, m, from, to), **one = memory(a, m, from, to);
        if (kir_interpret(m, p[i], want, &env, &err) != DFM_OK) fail_msg("%s", err.text);
        omp_set_num_threads(1);
        assert_int_equal(code_execute(&r, p[i], one, &env, &err), DFM_OK);
        compare(level, m, &c[i], from, to, want, one);
        void **three = memory(a, m, from, to);
        omp_set_num_threads(3);
        assert_int_equal(code_execute(&r, p[i], three, &env, &err), DFM_OK);
        same_bits(m, &c[i], from, to, one, three);
    }
    code_unload(&r);
    dfm_arena_destroy(a);
}

static void test_native(void **state)
{
    (void)state;
    run_cases(cpu_arch_level("native"), cases, N_CASES);
}

static void test_lower(void **state)
{
    (void)state;
    const char *best = cpu_arch_level("native");
    if (strcmp("x86-64-v3", best) < 0) run_cases("x86-64-v3", cases, N_EVERYWHERE);
    if (strcmp("x86-64-v2", best) < 0) run_cases("x86-64-v2", cases, N_EVERYWHERE);
}

/* Scores so large that their distance to 0 is no exponent: every key is the same key, so that the
 * result is the mean of the values whatever the scores round to. Forward: lse in f32 says too
 * little about such scores for backward to mean anything. */
static void test_far(void **state)
{
    (void)state;
    const attn_case c = {SHAPE("far scores", 1, 1, 2, 1, 40, 150, 16, 16), .scale = 3e8};
    const char *level = cpu_arch_level("native");
    dfm_arena *a = dfm_arena_create("test");
    kir_module *m = kir_module_create(a, ir_module_create(a, dfm_names_create(a)));
    kir_program *p = add_program(a, m, &c);
    p->nodes.n = 1;
    p->nodes.p[0]->attn.sk[KIR_ATTN_BATCH] = 0;
    dfm_err err = {0};
    kir_env env = {0};
    code_run r;
    void **want = memory(a, m, 1, m->bufs.n), **got = memory(a, m, 1, m->bufs.n);
    if (kir_interpret(m, p, want, &env, &err) != DFM_OK) fail_msg("%s", err.text);
    if (code_load_as(&r, m, level, false, a, &err) != DFM_OK) fail_msg("%s", err.text);
    assert_int_equal(code_execute(&r, p, got, &env, &err), DFM_OK);
    compare(level, m, &c, 1, m->bufs.n, want, got);
    code_unload(&r);
    dfm_arena_destroy(a);
}

/* A query that is not a number makes its own results so; a key makes all of its entry so. */
static void test_nan(void **state)
{
    (void)state;
    enum { SEQ = 40, OVER = 150, WIDTH = 16 };
    const attn_case c = {SHAPE("not a number", 1, 1, 2, 1, SEQ, OVER, WIDTH, WIDTH), .scale = 0.1};
    dfm_arena *a = dfm_arena_create("test");
    kir_module *m = kir_module_create(a, ir_module_create(a, dfm_names_create(a)));
    kir_program *p = add_program(a, m, &c);
    const kir_attn *n = &p->nodes.p[0]->attn;
    p->nodes.n = 1;
    dfm_err err = {0};
    kir_env env = {0};
    code_run r;
    void **mem = memory(a, m, 1, m->bufs.n);
    ((float *)mem[n->q.buf.i])[5 * n->sq[4] + 3] = NAN;
    ((float *)mem[n->k.buf.i])[n->sk[2] + 7 * n->sk[4] + 2] = NAN;
    if (code_load_as(&r, m, cpu_arch_level("native"), false, a, &err) != DFM_OK)
        fail_msg("%s", err.text);
    assert_int_equal(code_execute(&r, p, mem, &env, &err), DFM_OK);
    const float *o = mem[n->o.buf.i];
    for (int entry = 0; entry < 2; entry++)
        for (int i = 0; i < SEQ * WIDTH; i++) {
            const int row = i / WIDTH;
            const float x = o[entry * n->so[2] + row * n->so[4] + i % WIDTH];
            if (isnan(x) != (entry == 1 || row == 5))
                fail_msg("entry %d, query %d: %g", entry, row, (double)x);
        }
    code_unload(&r);
    dfm_arena_destroy(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_native), cmocka_unit_test(test_lower),
                                       cmocka_unit_test(test_far), cmocka_unit_test(test_nan)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

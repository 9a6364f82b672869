/* cpu_attn.c - attention as a C function: the templates, and the sizes they are compiled with.
 *
 * Sizes follow from the shapes alone, not from the processor or its threads: they fix the order of
 * sums. A tile of scores and what it is made of should lie in the second cache level; a thread's
 * work area stands on its stack, or in scratch where heads are so large that it would not fit.
 */
#include "codegen/cpu/cpu.h"

#include <inttypes.h>

enum {
    STACK_BYTES = 640 * 1024,                /* a work area on the stack */
    MIN_JOBS = 16,                           /* forward: tiles shrink until there are as many */
    BACK_JOBS = 12,                       /* backward: keys of an entry are shared out until then */
    MAX_GROUPS = 8,
    MAX_SLOTS = 64,                          /* threads, where work areas are in scratch */
};

typedef struct sizes {
    int64_t qb, kb, groups;
    uint64_t work;                           /* bytes that a work area has at most */
    uint64_t sums;                           /* bytes: -do.o and sums of dq */
    uint32_t slots;                          /* 0: work areas are on the stack */
    bool in_place, local;
} sizes;

static int64_t up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }
static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

/* Floats of `work` in attn_fwd.c and attn_bwd.c with the longest vectors. */
static uint64_t work_bytes(const kir_attn *n, int64_t qb, int64_t kb)
{
    int64_t q = up(n->feature, 16), v = up(n->value, 16), both = q + v, f;
    if (n->backward) f = kb * (2 * both + q + 24) + qb * (both + 2 * kb + q + 34);
    else f = qb * (both + 3) + kb * (both + 32) + 32;
    return (uint64_t)(f + 32 * larger(q, v) + 192) * sizeof(float);
}

static int64_t batch_of(const kir_attn *n)
{
    int64_t batch = 1;
    for (int i = 0; i < KIR_ATTN_BATCH; i++) batch *= n->batch[i];
    return batch;
}

/* Blocks of about equal size, none larger than `most`. */
static int64_t evenly(int64_t n, int64_t most, int64_t multiple)
{
    int64_t blocks = (n + most - 1) / most;
    return up((n + blocks - 1) / blocks, multiple);
}

static void find_tile(const kir_attn *n, sizes *s)
{
    static const int64_t forward[][2] = {{256, 64}, {128, 64}, {64, 64}, {32, 32}};
    static const int64_t backward[][2] = {{64, 256}, {64, 128}, {64, 64}, {32, 32}};
    const int64_t (*t)[2] = n->backward ? backward : forward;
    size_t n_tiles = n->backward ? DFM_LEN(backward) : DFM_LEN(forward);
    for (size_t i = 0; i < n_tiles; i++) {
        s->qb = evenly(n->seq, t[i][0], 32);
        s->kb = evenly(n->over, t[i][1], n->backward ? 32 : 8);
        s->work = work_bytes(n, s->qb, s->kb);
        if (s->work <= STACK_BYTES) return;
    }
}

static sizes sizes_of(const kir_attn *n)
{
    sizes s = {.groups = 1};
    int64_t batch = batch_of(n);
    find_tile(n, &s);
    if (n->backward) {
        int64_t blocks = (n->over + s.kb - 1) / s.kb;
        while (batch * s.groups < BACK_JOBS && s.groups < MAX_GROUPS && 2 * s.groups <= blocks)
            s.groups++;
        int64_t share = (blocks + s.groups - 1) / s.groups;
        s.groups = (blocks + share - 1) / share;
        s.in_place = s.groups == 1 && n->dq.dtype == DFM_F32 && n->seq % 8 == 0 &&
                     n->feature % 16 == 0;
        s.local = s.groups == 1 && blocks == 1 && !s.in_place && !n->causal && !n->window;
        s.sums = (uint64_t)up(batch * s.groups * n->seq, 16) * sizeof(float);
        if (!s.in_place && !s.local)
            s.sums += sizeof(float) *
                      (uint64_t)(batch * s.groups * up(n->seq, 8) * up(n->feature, 16));
    } else
        while (s.qb > 32 && batch * ((n->seq + s.qb - 1) / s.qb) < MIN_JOBS)
            s.qb = up(s.qb / 2, 32);
    s.work = up(work_bytes(n, s.qb, s.kb), 64);
    int64_t jobs = n->backward ? batch * s.groups : batch * ((n->seq + s.qb - 1) / s.qb);
    if (s.work > STACK_BYTES) s.slots = (uint32_t)(jobs < MAX_SLOTS ? jobs : MAX_SLOTS);
    return s;
}

uint64_t cpu_attn_scratch(const kir_attn *n, const kir_module *m)
{
    (void)m;
    sizes s = sizes_of(n);
    return s.sums + (s.slots ? s.slots * s.work + 64 : 0);   /* 64: they are aligned */
}

/* -- the definitions before the template ------------------------------------------------------- */

static void define(dfm_sb *out, const char *name, int64_t value)
{
    dfm_sb_printf(out, "#define %s %" PRId64 "\n", name, value);
}

static void define_type(dfm_sb *out, const char *t, dfm_dtype d)
{
    bool half = d == DFM_BF16;
    dfm_sb_printf(out, "#define T%s %s\n#define L%s(e) %s(e)\n#define S%s(e) %s(e)\n", t,
                  cpu_ctype(d), t, half ? "from_bf16" : "", t, half ? "to_bf16" : "");
}

static void define_strides(dfm_sb *out, const char *t, const int64_t s[5])
{
    dfm_sb_printf(out, "#define %s_S(b) batch_offset(b, %" PRId64 ", %" PRId64 ", %" PRId64
                  ", %" PRId64 ")\n", t, s[0], s[1], s[2], s[3]);
    dfm_sb_printf(out, "#define %s_T %" PRId64 "\n", t, s[4]);
}

static void define_operands(dfm_sb *out, const kir_attn *n)
{
    static const char *const types[] = {"Q", "K", "V", "O", "DO", "DQ", "DK", "DV"};
    const kir_arg *args[] = {&n->q, &n->k, &n->v, &n->o, &n->d_o, &n->dq, &n->dk, &n->dv};
    const int64_t *strides[] = {n->sq, n->sk, n->sv, n->so, n->sd_o, n->sdq, n->sdk, n->sdv};
    for (uint32_t i = 0; i < (n->backward ? 8u : 4u); i++) {
        define_type(out, types[i], args[i]->dtype);
        define_strides(out, types[i], strides[i]);
    }
    define_strides(out, "LSE", n->slse);
    if (!n->mask.buf.i) return;
    define_strides(out, "MASK", n->smask);
    define(out, "MASK_I", n->smask[4]);
    define(out, "MASK_J", n->smask[5]);
}

/* An attention node is a translation unit of its own (cpu_target.c): nothing is undefined then. */
void cpu_emit_attn(dfm_sb *out, const kir_module *m, const kir_attn *n, const char *symbol)
{
    (void)m;
    sizes s = sizes_of(n);
    dfm_sb_printf(out, "\n#define FN %s\n#define SCALE %a\n", symbol, n->scale);
    for (int i = 0; i < KIR_ATTN_BATCH; i++)
        dfm_sb_printf(out, "#define B%d %" PRId64 "\n", i, n->batch[i]);
    define(out, "SEQ", n->seq);
    define(out, "OVER", n->over);
    define(out, "DQ", n->feature);
    define(out, "DV", n->value);
    define(out, "CAUSAL", n->causal);
    define(out, "WINDOW", n->window);
    define(out, "HAS_MASK", n->mask.buf.i != 0);
    define(out, "QB", s.qb);
    define(out, "KB", s.kb);
    define(out, "WORK", (int64_t)s.work);
    define(out, "SLOTS", s.slots);
    if (n->backward) {
        define(out, "GROUPS", s.groups);
        define(out, "IN_PLACE", s.in_place);
        define(out, "LOCAL", s.local);
        define(out, "SUMS", (int64_t)s.sums);
    }
    define_operands(out, n);
    dfm_sb_puts(out, cg_text_attn_tile);
    dfm_sb_puts(out, n->backward ? cg_text_attn_bwd : cg_text_attn_fwd);
}

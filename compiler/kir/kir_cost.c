/* kir_cost.c - what one execution of a node takes: operations, and bytes to and from memory.
 *
 * A multiply-add counts as two operations, an elementary function as the dozen that its polynomial
 * takes, division and roots as four. Bytes are those that must move at least: every operand once,
 * and of an operand that is read where an index points no more than is loaded.
 */
#include "compiler/kir/kir.h"

static double fn_flops(ir_fn fn)
{
    switch (fn) {
    case IR_FN_EXP: case IR_FN_EXPM1: case IR_FN_LOG: case IR_FN_LOG1P: case IR_FN_SIN:
    case IR_FN_COS: case IR_FN_TANH: case IR_FN_ERF: case IR_FN_SIGMOID: case IR_FN_POW: return 12;
    case IR_FN_DIV: case IR_FN_MOD: case IR_FN_SQRT: case IR_FN_RSQRT: case IR_FN_RECIP: return 4;
    default: return 1;
    }
}

static double inst_flops(const kir_inst *i)
{
    if (i->op == KIR_FN) return fn_flops(i->fn);
    return i->op == KIR_REDUCE || i->op == KIR_ACC ? 1 : 0;
}

static double kernel_flops(const kir_module *m, const kir_kernel *k)
{
    double row = 0, lane = 0, flush = 0;
    for (uint32_t s = 0; s < k->sections.n; s++) {
        const kir_section *sec = &k->sections.p[s];
        double *to = sec->kind == KIR_ROW ? &row : sec->kind == KIR_FLUSH ? &flush : &lane;
        for (uint32_t i = sec->first; i < sec->first + sec->n; i++)
            *to += inst_flops(&k->insts.p[i]);
    }
    double lanes = (double)kir_lanes(m->ir, k);
    return (double)kir_rows(m->ir, k) * (row + lane * lanes) +
           (double)kir_blocks(m->ir, k) * flush * lanes;
}

static double attn_flops(const kir_attn *a)
{
    double pairs = (double)a->seq * (double)a->over;
    for (int i = 0; i < KIR_ATTN_BATCH; i++) pairs *= (double)a->batch[i];
    return 2.0 * pairs * (a->backward ? 3.0 * (double)a->feature + 2.0 * (double)a->value
                                      : (double)a->feature + (double)a->value);
}

/* -- bytes ------------------------------------------------------------------------------------- */

static double arg_bytes(const kir_module *m, const kir_arg *a)
{
    double n = (double)dfm_dtype_bytes(a->dtype);
    for (int d = 0; d < a->rank; d++)
        if (a->stride[d]) n *= (double)ir_extent(m->ir, a->dims[d]);
    return n;
}

/* How often operand `arg` is loaded or stored in one call. */
static double accesses(const kir_module *m, const kir_kernel *k, uint32_t arg)
{
    double n = 0, rows = (double)kir_rows(m->ir, k), lanes = (double)kir_lanes(m->ir, k);
    for (uint32_t s = 0; s < k->sections.n; s++) {
        const kir_section *sec = &k->sections.p[s];
        double times = sec->kind == KIR_ROW ? rows : rows * lanes;
        for (uint32_t i = sec->first; i < sec->first + sec->n; i++) {
            const kir_inst *in = &k->insts.p[i];
            if ((in->op == KIR_LOAD || in->op == KIR_STORE) && in->arg == arg) n += times;
        }
    }
    return n;
}

static double kernel_bytes(const kir_module *m, const kir_kernel *k)
{
    double bytes = 0;
    for (uint32_t i = 0; i < k->args.n; i++) {
        const kir_arg *a = &k->args.p[i];
        double all = arg_bytes(m, a);
        double used = accesses(m, k, i) * (double)dfm_dtype_bytes(a->dtype);
        bytes += used > 0 && used < all ? used : all;
    }
    return bytes;
}

static double operand_bytes(const int64_t batch[2], const int64_t s[4], int64_t rows, int64_t cols,
                            dfm_dtype d)
{
    double n = (double)rows * (double)cols * (double)dfm_dtype_bytes(d);
    for (int i = 0; i < 2; i++)
        if (s[i]) n *= (double)batch[i];
    return n;
}

static double gemm_bytes(const kir_gemm *g)
{
    return operand_bytes(g->batch, g->sa, g->m, g->k, g->a.dtype) +
           operand_bytes(g->batch, g->sb, g->k, g->n, g->b.dtype) +
           operand_bytes(g->batch, g->sc, g->m, g->n, g->c.dtype) +
           (g->bias.buf.i ? (double)g->n * (double)dfm_dtype_bytes(g->bias.dtype) : 0);
}

typedef struct sum { const kir_module *m; double bytes; } sum;

static void add_arg(void *user, kir_arg *a)
{
    sum *s = user;
    bool scratch = a->dtype == DFM_U8 && a->rank == 0;
    if (!scratch) s->bytes += arg_bytes(s->m, a);
}

/* Only the rows that the updates reach are read and written. */
static double scatter_bytes(const kir_module *m, const kir_scatter *s)
{
    double updates = arg_bytes(m, &s->updates), out = arg_bytes(m, &s->out);
    return arg_bytes(m, &s->index) + updates + out + (2 * updates < out ? 2 * updates : out);
}

kir_cost kir_node_cost(const kir_module *m, const kir_node *n)
{
    sum s = {m, 0};
    kir_cost epi = {0};
    switch (n->kind) {
    case KIR_NODE_KERNEL: return (kir_cost){kernel_flops(m, n->kernel), kernel_bytes(m, n->kernel)};
    case KIR_NODE_GEMM:
        if (n->gemm.epi)
            epi = (kir_cost){kernel_flops(m, n->gemm.epi), kernel_bytes(m, n->gemm.epi)};
        return (kir_cost){epi.flops + 2.0 * (double)n->gemm.batch[0] * (double)n->gemm.batch[1] *
                                          (double)n->gemm.m * (double)n->gemm.n * (double)n->gemm.k,
                          epi.bytes + gemm_bytes(&n->gemm)};
    case KIR_NODE_ATTN:
        kir_each_arg((kir_node *)n, add_arg, &s);        /* which it does not change */
        return (kir_cost){attn_flops(&n->attn), s.bytes};
    case KIR_NODE_SCATTER: return (kir_cost){0, scatter_bytes(m, &n->scatter)};
    case KIR_NODE_COPY:
        return (kir_cost){0, 2.0 * (double)n->copy.elems *
                                 (double)dfm_dtype_bytes(n->copy.src.dtype)};
    default: return (kir_cost){0};
    }
}

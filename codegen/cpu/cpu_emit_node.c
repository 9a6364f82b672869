/* cpu_emit_node.c - attention (from templates) and scatter as C functions. */
#include "codegen/cpu/cpu.h"

#include <inttypes.h>

/* -- attention -------------------------------------------------------------------------------- */

static void define_type(dfm_sb *out, const char *t, dfm_dtype d)
{
    bool half = d == DFM_BF16;
    dfm_sb_printf(out, "#define T%s %s\n#define L%s(e) %s(e)\n#define S%s(e) %s(e)\n", t, cpu_ctype(d),
                  t, half ? "from_bf16" : "", t, half ? "to_bf16" : "");
}

static void define_strides(dfm_sb *out, const char *t, const int64_t s[5])
{
    dfm_sb_printf(out, "#define %s_S(b) batch_offset(b, %" PRId64 ", %" PRId64 ", %" PRId64 ", %" PRId64
                  ")\n#define %s_T %" PRId64 "\n", t, s[0], s[1], s[2], s[3], t, s[4]);
}

void cpu_emit_attn(dfm_sb *out, const kir_module *m, const kir_attn *n, const char *symbol)
{
    static const char *const names[] = {
        "FN", "B0", "B1", "B2", "B3", "SEQ", "OVER", "DQ", "DV", "SCALE", "CAUSAL", "WINDOW",
        "HAS_MASK", "DQ_F32", "MASK_S(b)", "MASK_I", "MASK_J"};
    static const char *const types[] = {"Q", "K", "V", "O", "DO", "DQ", "DK", "DV"};
    (void)m;
    dfm_sb_printf(out, "\n#define FN %s\n", symbol);
    for (int i = 0; i < KIR_ATTN_BATCH; i++)
        dfm_sb_printf(out, "#define B%d %" PRId64 "\n", i, n->batch[i]);
    dfm_sb_printf(out, "#define SEQ %" PRId64 "\n#define OVER %" PRId64 "\n#define DQ %" PRId64
                  "\n#define DV %" PRId64 "\n#define SCALE %a\n#define CAUSAL %d\n#define WINDOW %" PRId64
                  "\n#define HAS_MASK %d\n", n->seq, n->over, n->feature, n->value, n->scale,
                  n->causal, n->window, n->mask.buf.i != 0);
    const kir_arg *args[] = {&n->q, &n->k, &n->v, &n->o, &n->d_o, &n->dq, &n->dk, &n->dv};
    const int64_t *strides[] = {n->sq, n->sk, n->sv, n->so, n->sd_o, n->sdq, n->sdk, n->sdv};
    uint32_t n_types = n->backward ? 8 : 4;
    for (uint32_t i = 0; i < n_types; i++) {
        define_type(out, types[i], args[i]->dtype);
        define_strides(out, types[i], strides[i]);
    }
    define_strides(out, "LSE", n->slse);
    if (n->mask.buf.i) {
        define_strides(out, "MASK", n->smask);
        dfm_sb_printf(out, "#define MASK_I %" PRId64 "\n#define MASK_J %" PRId64 "\n", n->smask[4],
                      n->smask[5]);
    }
    if (n->backward) dfm_sb_printf(out, "#define DQ_F32 %d\n", n->dq.dtype == DFM_F32);
    dfm_sb_puts(out, cg_text_attn_tile);
    dfm_sb_puts(out, n->backward ? cg_text_attn_bwd : cg_text_attn_fwd);
    for (size_t i = 0; i < DFM_LEN(names); i++)
        dfm_sb_printf(out, "#undef %.*s\n", (int)strcspn(names[i], "("), names[i]);
}

uint64_t cpu_attn_scratch(const kir_attn *n, const kir_module *m)
{
    (void)m;
    if (!n->backward || n->dq.dtype == DFM_F32) return 0;
    uint64_t batch = 1;
    for (int i = 0; i < KIR_ATTN_BATCH; i++) batch *= (uint64_t)n->batch[i];
    return batch * (uint64_t)n->seq * (uint64_t)n->feature * sizeof(float);
}

/* -- scatter ------------------------------------------------------------------------------------ */

static int position(const kir_arg *a, ir_dim d)
{
    for (int i = 0; i < a->rank; i++)
        if (a->dims[i].i == d.i) return i;
    return -1;
}

static int64_t stride_of(const kir_arg *a, ir_dim d)
{
    int at = position(a, d);
    return at < 0 ? 0 : a->stride[at];
}

static void loop_open(dfm_sb *out, int64_t extent, uint32_t var)
{
    dfm_sb_printf(out, "for (int64_t d%u = 0; d%u < %" PRId64 "; d%u++) ", var, var, extent, var);
}

static void address(dfm_sb *out, const kir_arg *a, const ir_module *ir)
{
    (void)ir;
    dfm_sb_puts(out, "0");
    for (int i = 0; i < a->rank; i++)
        dfm_sb_printf(out, " + d%u * %" PRId64, a->dims[i].i, a->stride[i]);
}

/* Zero out; then positions of the index in row-major order. Dims that index and out share are
 * batch; dims of updates that index lacks are lanes, shared out among the threads, so that every
 * element is added up by one thread in index order. */
void cpu_emit_scatter(dfm_sb *out, const kir_module *m, const kir_scatter *n, const char *symbol)
{
    const ir_module *ir = m->ir;
    const kir_arg *up = &n->updates, *to = &n->out, *ix = &n->index;
    ir_dim lanes[KIR_MAX_RANK];
    uint32_t n_lanes = 0;
    for (int i = 0; i < up->rank; i++)
        if (position(ix, up->dims[i]) < 0) lanes[n_lanes++] = up->dims[i];
    int64_t split = n_lanes ? ir_extent(ir, lanes[n_lanes - 1]) : 1;
    int64_t rows = ir_extent(ir, n->dim);
    dfm_sb_printf(out, "\nvoid %s(const kctx *x, void *const *p)\n{\n    (void)x;\n", symbol);
    dfm_sb_printf(out, "    const %s *ix = p[0];\n    const %s *up = p[1];\n    %s *to = p[2];\n",
                  cpu_ctype(ix->dtype), cpu_ctype(up->dtype), cpu_ctype(to->dtype));
    dfm_sb_printf(out, "    enum { SPLIT = %" PRId64 ", PART = 256 };\n", split);
    dfm_sb_puts(out, "#pragma omp parallel for schedule(static)\n");
    dfm_sb_puts(out, "    for (int64_t part = 0; part < SPLIT; part += PART) {\n");
    dfm_sb_puts(out, "    const int64_t end = part + PART < SPLIT ? part + PART : SPLIT;\n    ");
    for (int i = 0; i < to->rank; i++)
        if (!n_lanes || to->dims[i].i != lanes[n_lanes - 1].i)
            loop_open(out, ir_extent(ir, to->dims[i]), to->dims[i].i);
    if (n_lanes) dfm_sb_printf(out, "for (int64_t d%u = part; d%u < end; d%u++) ", lanes[n_lanes - 1].i,
                               lanes[n_lanes - 1].i, lanes[n_lanes - 1].i);
    dfm_sb_puts(out, "to[");
    address(out, to, ir);
    dfm_sb_puts(out, "] = 0;\n    ");
    for (int i = 0; i < ix->rank; i++) loop_open(out, ir_extent(ir, ix->dims[i]), ix->dims[i].i);
    dfm_sb_printf(out, "{\n    const int64_t at = clamp_int(ix[");
    address(out, ix, ir);
    dfm_sb_printf(out, "], 0, %" PRId64 ");\n    ", rows - 1);
    for (uint32_t i = 0; i + 1 < n_lanes; i++) loop_open(out, ir_extent(ir, lanes[i]), lanes[i].i);
    if (n_lanes) dfm_sb_printf(out, "for (int64_t d%u = part; d%u < end; d%u++) ", lanes[n_lanes - 1].i,
                               lanes[n_lanes - 1].i, lanes[n_lanes - 1].i);
    bool half = up->dtype == DFM_BF16;
    dfm_sb_printf(out, "to[at * %" PRId64, stride_of(to, n->dim));
    for (int i = 0; i < to->rank; i++)
        if (to->dims[i].i != n->dim.i)
            dfm_sb_printf(out, " + d%u * %" PRId64, to->dims[i].i, to->stride[i]);
    dfm_sb_printf(out, "] += %s(up[", half ? "from_bf16" : "");
    address(out, up, ir);
    dfm_sb_puts(out, "]);\n    }\n    (void)end;\n    }\n}\n");
}

/* cpu_scatter.c - scatter as a C function. */
#include "codegen/cpu/cpu.h"

#include <inttypes.h>

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
    if (n_lanes)
        dfm_sb_printf(out, "for (int64_t d%u = part; d%u < end; d%u++) ", lanes[n_lanes - 1].i,
                      lanes[n_lanes - 1].i, lanes[n_lanes - 1].i);
    dfm_sb_puts(out, "to[");
    address(out, to, ir);
    dfm_sb_puts(out, "] = 0;\n    ");
    for (int i = 0; i < ix->rank; i++) loop_open(out, ir_extent(ir, ix->dims[i]), ix->dims[i].i);
    dfm_sb_printf(out, "{\n    const int64_t at = clamp_int(ix[");
    address(out, ix, ir);
    dfm_sb_printf(out, "], 0, %" PRId64 ");\n    ", rows - 1);
    for (uint32_t i = 0; i + 1 < n_lanes; i++) loop_open(out, ir_extent(ir, lanes[i]), lanes[i].i);
    if (n_lanes)
        dfm_sb_printf(out, "for (int64_t d%u = part; d%u < end; d%u++) ", lanes[n_lanes - 1].i,
                      lanes[n_lanes - 1].i, lanes[n_lanes - 1].i);
    const char *convert = up->dtype == DFM_BF16  ? "from_bf16"
                          : up->dtype == DFM_F16 ? "from_f16"
                                                 : "";
    dfm_sb_printf(out, "to[at * %" PRId64, stride_of(to, n->dim));
    for (int i = 0; i < to->rank; i++)
        if (to->dims[i].i != n->dim.i)
            dfm_sb_printf(out, " + d%u * %" PRId64, to->dims[i].i, to->stride[i]);
    dfm_sb_printf(out, "] += %s(up[", convert);
    address(out, up, ir);
    dfm_sb_puts(out, "]);\n    }\n    (void)end;\n    }\n}\n");
}

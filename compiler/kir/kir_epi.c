/* kir_epi.c - which kernels may run on the rows of a product while it is still being computed.
 *
 * Row r of the kernel needs row r of c and no other one, so each block of rows can follow the rows
 * of the product that it covers. The rest of the kernel's operands must not be changed by the
 * product, nor the product's by the kernel.
 */
#include "compiler/kir/kir.h"

#include <string.h>

bool kir_gemm_uses(const kir_gemm *g, kir_buf b)
{
    return b.i && (b.i == g->a.buf.i || b.i == g->b.buf.i || b.i == g->c.buf.i ||
                   b.i == g->bias.buf.i || b.i == g->scratch.buf.i);
}

static bool is_row_dim(const kir_kernel *k, ir_dim d, uint32_t *out)
{
    for (*out = 0; *out < k->n_rows; ++*out)
        if (k->rows[*out].i == d.i) return true;
    return false;
}

static bool has_row_dim(const ir_module *m, const kir_kernel *k, ir_ix e)
{
    uint32_t r;
    const ir_ix_node *x = ir_ix_of(m, e);
    if (x->kind == IX_VAR) {
        bool lane = false;
        for (uint32_t i = 0; i < k->n_lanes; i++) lane |= k->lanes[i].i == x->var.i;
        return !lane || is_row_dim(k, x->var, &r);           /* also: indirect, block */
    }
    return (x->a.i && has_row_dim(m, k, x->a)) || (x->b.i && has_row_dim(m, k, x->b));
}

/* Does the access stay in row r of c for row r of the kernel? */
static bool keeps_to_its_row(const kir_module *m, const kir_gemm *g, const kir_kernel *k,
                             const kir_inst *in)
{
    const kir_arg *a = &k->args.p[in->arg];
    int64_t step[KIR_MAX_RANK] = {0}, last = a->offset - g->c.offset, want = g->sc[2];
    if (last < 0 || memcmp(a->loop_stride, g->c.loop_stride, sizeof a->loop_stride)) return false;
    for (uint32_t d = 0; d < a->rank; d++) {
        const ir_ix_node *x = ir_ix_of(m->ir, in->coords[d]);
        uint32_t r;
        if (x->kind == IX_VAR && is_row_dim(k, x->var, &r)) step[r] += a->stride[d];
        else if (a->stride[d] < 0 || has_row_dim(m->ir, k, in->coords[d])) return false;
        else last += (ir_extent(m->ir, a->dims[d]) - 1) * a->stride[d];
    }
    for (uint32_t r = k->n_rows; r-- > 0;) {
        if (ir_extent(m->ir, k->rows[r]) > 1 && step[r] != want) return false;
        want *= ir_extent(m->ir, k->rows[r]);
    }
    return last < g->n;
}

const char *kir_epi_objection(const kir_module *m, const kir_gemm *g, const kir_kernel *k)
{
    bool reads = false;
    int64_t rest = 1;
    for (uint32_t r = k->n_keep; r < k->n_rows; r++) rest *= ir_extent(m->ir, k->rows[r]);
    if (g->batch[0] != 1 || g->batch[1] != 1) return "the product is batched";
    if ((g->n > 1 && g->sc[3] != 1) || g->sc[2] < g->n) return "rows of the product are not dense";
    if (kir_rows(m->ir, k) != g->m) return "it has other rows";
    if (k->n_keep && rest % k->block) return "its blocks are not equally long";
    for (uint32_t i = 0; i < k->args.n; i++) {
        kir_buf b = k->args.p[i].buf;
        bool own = kir_gemm_uses(g, b) && b.i != g->c.buf.i;
        if (own && k->args.p[i].write) return "it writes what the product reads";
        if (b.i == g->scratch.buf.i && b.i) return "it reads the product's scratch";
    }
    for (uint32_t i = 1; i < k->insts.n; i++) {
        const kir_inst *in = &k->insts.p[i];
        if (in->op != KIR_LOAD && in->op != KIR_STORE) continue;
        if (k->args.p[in->arg].buf.i != g->c.buf.i) continue;
        if (!keeps_to_its_row(m, g, k, in)) return "it reads other rows of the product";
        reads |= in->op == KIR_LOAD;
    }
    return reads ? NULL : "it does not read the product";
}

/* paths.c - see paths.h. Block sizes here are those that make some target work in blocks; a node
 * beyond them has at least one whole block and a rest, or several. */
#include "tests/random/paths.h"

enum { LONG_SUM = 256, TALL = 96, FEW = 8, SEVERAL = 32, KEYS = 64, QUERIES = 48, LANES = 256 };

const char *path_text(path_kind p)
{
    static const char *const texts[] = {
#define PATH(id, text) text,
#include "tests/random/paths.def"
#undef PATH
    };
    return texts[p];
}

static void gemm(const kir_module *m, const kir_gemm *g, uint32_t *c)
{
    uint64_t a = (uint64_t)(g->batch[0] * g->batch[1] * g->m * g->k);
    c[PATH_GEMM]++;
    c[PATH_GEMM_BATCH] += g->batch[0] * g->batch[1] > 1;
    c[PATH_GEMM_BIAS] += g->bias.buf.i != 0;
    c[PATH_GEMM_BF16] += g->a.dtype == DFM_BF16;
    c[PATH_GEMM_LEFT_T] += g->sa[2] == 1 && g->m > 1 && g->k > 1;
    c[PATH_GEMM_RIGHT_T] += g->sb[2] == 1 && g->n > 1 && g->k > 1;
    c[PATH_GEMM_PART] += m->bufs.p[g->a.buf.i].elems > a;
    c[PATH_GEMM_LONG] += g->k > LONG_SUM;
    c[PATH_GEMM_TALL] += g->m > TALL;
    c[PATH_GEMM_WIDE] += g->n > TALL;
    c[PATH_GEMM_EPI] += g->epi != NULL;
    c[PATH_GEMM_ROWS] += g->m <= FEW && g->n >= SEVERAL && g->k >= SEVERAL;
    c[PATH_GEMM_TERMS] += g->k <= FEW && g->m >= SEVERAL && g->n >= SEVERAL;
    c[PATH_GEMM_ONE] += g->m == 1 || g->n == 1 || g->k == 1;
}

static void attn(const kir_attn *n, uint32_t *c)
{
    c[n->backward ? PATH_ATTN_BACK : PATH_ATTN]++;
    c[PATH_ATTN_KEYS] += !n->backward && n->over > KEYS;
    c[PATH_ATTN_QUERIES] += !n->backward && n->seq > QUERIES;
    c[PATH_ATTN_MASK] += n->mask.buf.i != 0;
    c[PATH_ATTN_CAUSAL] += n->causal;
    c[PATH_ATTN_WINDOW] += n->window > 0;
    c[PATH_ATTN_BF16] += n->q.dtype == DFM_BF16;
    c[PATH_ATTN_LONG_BACK] += n->backward && n->over > KEYS;
}

/* Is a value used as coordinate kept for later passes, or made again in them? */
static bool gathers_later(const kir_kernel *k)
{
    for (uint32_t s = 0, n = 0; s < k->sections.n; s++) {
        uint32_t first = k->sections.p[s].first, end = first + k->sections.p[s].n;
        bool here = false;
        for (uint32_t i = 0; i < k->indirect.n && k->sections.p[s].kind == KIR_PASS; i++) {
            uint32_t v = k->indirect.p[i].value.i;
            if (k->insts.p[v].keep) return true;
            here |= v >= first && v < end;
        }
        if ((n += here) > 1) return true;
    }
    return false;
}

static void kernel(const kir_module *m, const kir_kernel *k, uint32_t *c)
{
    bool row = false, keep = false, guard = false, draw = false, column = false;
    for (uint32_t i = 1; i < k->insts.n; i++) {
        const kir_inst *in = &k->insts.p[i];
        row |= in->op == KIR_REDUCE;
        column |= in->op == KIR_ACC;
        keep |= in->keep;
        guard |= in->op == KIR_LOAD && in->n_conds;
        draw |= in->op == KIR_RANDOM;
    }
    c[PATH_KERNEL]++;
    c[PATH_KERNEL_ROW] += row;
    c[PATH_KERNEL_KEEP] += keep;
    c[PATH_KERNEL_COLUMN] += column;
    c[PATH_KERNEL_COLUMNS] += column && k->block_dim.i && ir_extent(m->ir, k->block_dim) > 1;
    c[PATH_KERNEL_ROW_COLUMN] += row && column;
    c[PATH_KERNEL_GATHER] += k->indirect.n > 0;
    c[PATH_KERNEL_GATHERS] += gathers_later(k);
    c[PATH_KERNEL_GUARD] += guard;
    c[PATH_KERNEL_DRAW] += draw;
    c[PATH_KERNEL_WIDE] += kir_lanes(m->ir, k) > LANES;
}

void paths_count(const kir_module *m, const kir_node *n, uint32_t counts[PATH_COUNT])
{
    switch (n->kind) {
    case KIR_NODE_KERNEL: kernel(m, n->kernel, counts); return;
    case KIR_NODE_GEMM:
        gemm(m, &n->gemm, counts);
        if (n->gemm.epi) kernel(m, n->gemm.epi, counts);
        return;
    case KIR_NODE_ATTN: attn(&n->attn, counts); return;
    case KIR_NODE_SCATTER: counts[PATH_SCATTER]++; return;
    case KIR_NODE_COPY: counts[PATH_COPY]++; return;
    case KIR_NODE_LOOP:
        counts[PATH_LOOP]++;
        counts[PATH_LOOP_INNER] += n->loop.depth > 0;
        counts[PATH_LOOP_REVERSE] += n->loop.reverse;
        return;
    default: return;
    }
}

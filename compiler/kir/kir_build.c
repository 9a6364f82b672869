/* kir_build.c - making K modules, and the questions that everyone asks about them. */
#include "compiler/kir/kir.h"

kir_module *kir_module_create(dfm_arena *a, ir_module *ir)
{
    kir_module *m = dfm_new(a, kir_module);
    m->arena = a;
    m->ir = ir;
    dfm_push(a, &m->bufs, ((kir_buffer){0}));
    return m;
}

bool kir_take_name(kir_module *m, kir_taken *t, dfm_name name)
{
    while (t->n <= name.i) dfm_push(m->arena, t, 0);
    if (t->p[name.i]) return false;
    t->p[name.i] = 2;
    return true;
}

dfm_name kir_free_name(kir_module *m, kir_taken *t, const char *base)
{
    dfm_name first = dfm_intern(m->ir->names, base), name = first;
    while (!kir_take_name(m, t, name))
        name = dfm_intern(m->ir->names, dfm_fmt(m->arena, "%s.%u", base, t->p[first.i]++));
    return name;
}

kir_buf kir_buffer_new(kir_module *m, kir_mem mem, const char *name, dfm_dtype dt, uint64_t elems)
{
    kir_buffer b = {.name = kir_free_name(m, &m->buf_names, name), .mem = mem, .dtype = dt,
                    .elems = elems};
    b.program = m->programs.n ? m->programs.n - 1 : 0;
    dfm_push(m->arena, &m->bufs, b);
    return (kir_buf){m->bufs.n - 1};
}

kir_ref kir_push(kir_module *m, kir_kernel *k, kir_inst inst)
{
    if (!k->insts.n) dfm_push(m->arena, &k->insts, ((kir_inst){0}));
    dfm_push(m->arena, &k->insts, inst);
    return (kir_ref){k->insts.n - 1};
}

const kir_inst *kir_at(const kir_kernel *k, kir_ref r) { return &k->insts.p[r.i]; }

static const struct { const char *name; uint32_t refs; } ops[] = {
    {"none", 0},
#define KOP(id, name, n, doc) {name, n},
#include "compiler/kir/kir_ops.def"
#undef KOP
};

const char *kir_op_name(kir_op op) { return ops[op].name; }
uint32_t kir_op_refs(kir_op op) { return ops[op].refs; }

static int64_t product(const ir_module *m, const ir_dim *d, uint32_t n)
{
    int64_t x = 1;
    for (uint32_t k = 0; k < n; k++) x *= ir_extent(m, d[k]);
    return x;
}

int64_t kir_rows(const ir_module *m, const kir_kernel *k) { return product(m, k->rows, k->n_rows); }

int64_t kir_lanes(const ir_module *m, const kir_kernel *k)
{
    return product(m, k->lanes, k->n_lanes);
}

int64_t kir_blocks(const ir_module *m, const kir_kernel *k)
{
    int64_t kept = product(m, k->rows, k->n_keep);
    int64_t rest = product(m, k->rows + k->n_keep, k->n_rows - k->n_keep);
    return kept * ((rest + k->block - 1) / k->block);
}

static void each(void (*visit)(void *, kir_arg *), void *user, kir_arg *const *args, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (args[i]->buf.i) visit(user, args[i]);
}

void kir_each_arg(kir_node *n, void (*visit)(void *user, kir_arg *a), void *user)
{
    kir_gemm *g = &n->gemm;
    kir_attn *t = &n->attn;
    switch (n->kind) {
    case KIR_NODE_KERNEL:
        for (uint32_t i = 0; i < n->kernel->args.n; i++) visit(user, &n->kernel->args.p[i]);
        return;
    case KIR_NODE_GEMM:
        each(visit, user, (kir_arg *[]){&g->a, &g->b, &g->c, &g->bias, &g->scratch}, 5);
        for (uint32_t i = 0; g->epi && i < g->epi->args.n; i++) visit(user, &g->epi->args.p[i]);
        return;
    case KIR_NODE_ATTN:
        each(visit, user,
             (kir_arg *[]){&t->q, &t->k, &t->v, &t->o, &t->lse, &t->mask, &t->d_o, &t->dq, &t->dk,
                           &t->dv, &t->scratch}, 11);
        return;
    case KIR_NODE_SCATTER:
        each(visit, user, (kir_arg *[]){&n->scatter.index, &n->scatter.updates, &n->scatter.out},
             3);
        return;
    case KIR_NODE_COPY: each(visit, user, (kir_arg *[]){&n->copy.src, &n->copy.dst}, 2); return;
    case KIR_NODE_NONE:
    case KIR_NODE_LOOP: return;
    }
}

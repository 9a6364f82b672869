/* kir_text.c - K as text. kir_parse.c reads it back; printing that gives the same text again.
 *
 *     kir
 *     dim S 16
 *     buf x input f32 2048 program 0 offset 0
 *     program forward arena 8192 {
 *       in x : f32[B,S] = x f32 [B 16, S 1] + 0 loop 0 0 0 0
 *       kernel norm {
 *         rows B keep 0 block 4
 *         lanes S
 *         arg x f32 [B 16, S 1] + 0 loop 0 0 0 0
 *         pass {
 *           %1 = load f32 0 (B, S) fill 0
 *           %2 = reduce f32 %1 sum
 *         }
 *       }
 *     }
 */
#include "compiler/kir/kir.h"

#include <inttypes.h>
#include <string.h>

typedef struct printer {
    dfm_sb *o;
    const kir_module *m;
} printer;

static bool is_plain(const char *s)
{
    if (!(*s == '_' || (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z'))) return false;
    for (; *s; s++)
        if (!((*s >= '0' && *s <= '9') || (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') ||
              *s == '_' || *s == '.' || *s == '\''))
            return false;
    return true;
}

/* Words of the language are quoted too where they are names: quotes tell them apart. */
static void word(printer *p, const char *s)
{
    static const char *const reserved[] = {"clamp", "inf", "nan", "keep", "block", "if", "fill",
                                           "loop", "reverse", "replaces", "none", "arg", "out",
                                           "lanes", "indirect", "pass", "row", "flush"};
    bool plain = is_plain(s);
    for (size_t i = 0; i < DFM_LEN(reserved); i++)
        if (!strcmp(s, reserved[i])) plain = false;
    if (plain) {
        dfm_sb_puts(p->o, s);
        return;
    }
    dfm_sb_puts(p->o, "\"");
    for (; *s; s++) {
        if (*s == '"' || *s == '\\' || (unsigned char)*s < ' ')
            dfm_sb_printf(p->o, "\\%02x", (unsigned char)*s);
        else dfm_sb_add(p->o, s, 1);
    }
    dfm_sb_puts(p->o, "\"");
}

static void name(printer *p, dfm_name n) { word(p, dfm_name_str(p->m->ir->names, n)); }
static void dim(printer *p, ir_dim d) { word(p, ir_dim_str(p->m->ir, d)); }
static void i64(printer *p, int64_t x) { dfm_sb_printf(p->o, " %" PRId64, x); }

static void i64s(printer *p, const char *what, const int64_t *x, uint32_t n)
{
    dfm_sb_printf(p->o, " %s", what);
    for (uint32_t i = 0; i < n; i++) i64(p, x[i]);
}

static void ix(printer *p, ir_ix x)
{
    const ir_ix_node *e = ir_ix_of(p->m->ir, x);
    switch (e->kind) {
    case IX_NONE: dfm_sb_puts(p->o, "0"); return;
    case IX_CONST: dfm_sb_printf(p->o, "%" PRId64, e->c); return;
    case IX_VAR: dim(p, e->var); return;
    case IX_ADD:
        ix(p, e->a);
        dfm_sb_puts(p->o, " + ");
        ix(p, e->b);
        return;
    case IX_CLAMP:
        dfm_sb_puts(p->o, "clamp(");
        ix(p, e->a);
        dfm_sb_printf(p->o, ", %" PRId64 ", %" PRId64 ")", e->c, e->c2);
        return;
    case IX_MUL: case IX_DIV: case IX_MOD: break;
    }
    dfm_sb_puts(p->o, "(");
    ix(p, e->a);
    dfm_sb_printf(p->o, " %s %" PRId64 ")",
                  e->kind == IX_MUL   ? "*"
                  : e->kind == IX_DIV ? "//"
                                      : "%",
                  e->c);
}

static void type(printer *p, ir_type t)
{
    const ir_type_info *i = ir_type_of(p->m->ir, t);
    dfm_sb_printf(p->o, "%s[", dfm_dtype_name(i->dtype));
    for (uint32_t k = 0; k < i->rank; k++) {
        if (k) dfm_sb_puts(p->o, ",");
        dim(p, i->dims[k]);
    }
    dfm_sb_puts(p->o, "]");
}

static void arg(printer *p, const kir_arg *a)
{
    if (!a->buf.i) {
        dfm_sb_puts(p->o, " none");
        return;
    }
    dfm_sb_puts(p->o, a->write ? " out " : " ");
    name(p, p->m->bufs.p[a->buf.i].name);
    dfm_sb_printf(p->o, " %s [", dfm_dtype_name(a->dtype));
    for (uint32_t k = 0; k < a->rank; k++) {
        if (k) dfm_sb_puts(p->o, ", ");
        dim(p, a->dims[k]);
        i64(p, a->stride[k]);
    }
    dfm_sb_printf(p->o, "] + %" PRId64, a->offset);
    i64s(p, "loop", a->loop_stride, KIR_MAX_LOOPS);
}

/* -- kernels ----------------------------------------------------------------------------------- */

static void dims(printer *p, const ir_dim *d, uint32_t n)
{
    for (uint32_t k = 0; k < n; k++) {
        dfm_sb_puts(p->o, " ");
        dim(p, d[k]);
    }
}

static const char *const dists[] = {"none", "uniform", "normal", "randint"};

static void address(printer *p, const kir_kernel *k, const kir_inst *i)
{
    dfm_sb_printf(p->o, " %" PRIu32 " (", i->arg);
    uint32_t rank = i->arg < k->args.n ? k->args.p[i->arg].rank : 0;
    for (uint32_t c = 0; c < rank; c++) {
        if (c) dfm_sb_puts(p->o, ", ");
        ix(p, i->coords[c]);
    }
    dfm_sb_puts(p->o, ")");
    if (i->n_conds) dfm_sb_puts(p->o, " if (");
    for (uint32_t c = 0; c < i->n_conds; c++) {
        if (c) dfm_sb_puts(p->o, ", ");
        ix(p, i->guard[c].e);
        dfm_sb_printf(p->o, " : %" PRId64 " %" PRId64, i->guard[c].lo, i->guard[c].hi);
    }
    if (i->n_conds) dfm_sb_puts(p->o, ")");
}

static void inst(printer *p, const kir_kernel *k, uint32_t at)
{
    const kir_inst *i = &k->insts.p[at];
    dfm_sb_printf(p->o, "%%%" PRIu32 " = %s %s", at, kir_op_name(i->op), dfm_dtype_name(i->dtype));
    for (uint32_t r = 0; r < kir_op_refs(i->op); r++)
        if (i->ref[r].i && !(i->op == KIR_RANDOM && r == 2))
            dfm_sb_printf(p->o, " %%%" PRIu32, i->ref[r].i);
    switch (i->op) {
    case KIR_CONST: dfm_sb_puts(p->o, " "); dfm_sb_double(p->o, i->value); break;
    case KIR_INDEX: dfm_sb_puts(p->o, " ("); ix(p, i->ix); dfm_sb_puts(p->o, ")"); break;
    case KIR_ITER: dfm_sb_printf(p->o, " %" PRIu32, i->arg); break;
    case KIR_LOAD:
        address(p, k, i);
        dfm_sb_puts(p->o, " fill ");
        dfm_sb_double(p->o, i->value);
        break;
    case KIR_STORE: address(p, k, i); break;
    case KIR_FN: dfm_sb_printf(p->o, " %s", ir_fn_name(i->fn)); break;
    case KIR_REDUCE: dfm_sb_printf(p->o, " %s", ir_reducer_name(i->red)); break;
    case KIR_RANDOM:
        dfm_sb_printf(p->o, " %s %" PRIu64 " %" PRId64 " %" PRId64 " iters %" PRIu32,
                      dists[i->random->dist], i->random->stream, i->random->lo, i->random->hi,
                      i->n_iters);
        if (i->ref[2].i) dfm_sb_printf(p->o, " loop %%%" PRIu32, i->ref[2].i);
        break;
    default: break;
    }
    if (i->name.i) {
        dfm_sb_puts(p->o, " : ");
        name(p, i->name);
    }
    dfm_sb_puts(p->o, i->keep ? " keep\n" : "\n");
}

static void kernel(printer *p, const kir_kernel *k, int depth)
{
    static const char *const kinds[] = {"none", "pass", "row", "flush"};
    int in = 2 * depth + 2;
    dfm_sb_printf(p->o, "%*srows", in, "");
    dims(p, k->rows, k->n_rows);
    dfm_sb_printf(p->o, " keep %" PRIu32 " block %" PRId64, k->n_keep, k->block);
    if (k->block_dim.i) dims(p, &k->block_dim, 1);
    dfm_sb_printf(p->o, "\n%*slanes", in, "");
    dims(p, k->lanes, k->n_lanes);
    for (uint32_t i = 0; i < k->args.n; i++) {
        dfm_sb_printf(p->o, "\n%*sarg", in, "");
        arg(p, &k->args.p[i]);
    }
    for (uint32_t i = 0; i < k->indirect.n; i++) {
        dfm_sb_printf(p->o, "\n%*sindirect", in, "");
        dims(p, &k->indirect.p[i].dim, 1);
        dfm_sb_printf(p->o, " %%%" PRIu32, k->indirect.p[i].value.i);
    }
    dfm_sb_puts(p->o, "\n");
    uint32_t first = k->sections.n ? k->sections.p[0].first : k->insts.n;
    for (uint32_t i = 1; i < first; i++) {
        dfm_sb_printf(p->o, "%*s", in, "");
        inst(p, k, i);
    }
    for (uint32_t s = 0; s < k->sections.n; s++) {
        const kir_section *sec = &k->sections.p[s];
        dfm_sb_printf(p->o, "%*s%s {\n", in, "", kinds[sec->kind]);
        for (uint32_t i = 0; i < sec->n; i++) {
            dfm_sb_printf(p->o, "%*s", in + 2, "");
            inst(p, k, sec->first + i);
        }
        dfm_sb_printf(p->o, "%*s}\n", in, "");
    }
}

void kir_print_kernel(dfm_sb *out, const kir_module *m, const kir_kernel *k)
{
    printer p = {out, m};
    dfm_sb_puts(out, "kernel ");
    name(&p, k->name);
    dfm_sb_puts(out, " {\n");
    kernel(&p, k, 0);
    dfm_sb_puts(out, "}\n");
}

/* -- nodes ------------------------------------------------------------------------------------- */

static void labelled(printer *p, const char *label, const kir_arg *a)
{
    dfm_sb_printf(p->o, " %s", label);
    arg(p, a);
}

static void gemm(printer *p, const kir_gemm *g)
{
    i64s(p, "size", (int64_t[]){g->batch[0], g->batch[1], g->m, g->n, g->k}, 5);
    labelled(p, "a", &g->a);
    i64s(p, "by", g->sa, 4);
    labelled(p, "b", &g->b);
    i64s(p, "by", g->sb, 4);
    labelled(p, "c", &g->c);
    i64s(p, "by", g->sc, 4);
    labelled(p, "bias", &g->bias);
    labelled(p, "scratch", &g->scratch);
}

static void attn(printer *p, const kir_attn *t)
{
    dfm_sb_printf(p->o, " %s %s scale ", t->backward ? "backward" : "forward",
                  t->causal ? "causal" : "full");
    dfm_sb_double(p->o, t->scale);
    i64s(p, "window", &t->window, 1);
    i64s(p, "batch", t->batch, KIR_ATTN_BATCH);
    i64s(p, "size", (int64_t[]){t->seq, t->over, t->feature, t->value}, 4);
    const kir_arg *const a[] = {&t->q, &t->k, &t->v, &t->o, &t->lse, &t->mask, &t->d_o, &t->dq,
                                &t->dk, &t->dv};
    const int64_t *const s[] = {t->sq, t->sk, t->sv, t->so, t->slse, t->smask, t->sd_o, t->sdq,
                                t->sdk, t->sdv};
    static const char *const label[] = {"q", "k", "v", "o", "lse", "mask", "do", "dq", "dk", "dv"};
    for (uint32_t i = 0; i < DFM_LEN(a); i++) {
        labelled(p, label[i], a[i]);
        i64s(p, "by", s[i], a[i] == &t->mask ? 6 : 5);
    }
    labelled(p, "scratch", &t->scratch);
}

static void nodes(printer *p, const kir_nodes *list, int depth);

static void node(printer *p, const kir_node *n, int depth)
{
    static const char *const kinds[] = {"none",    "kernel", "gemm", "attn",
                                        "scatter", "copy",   "loop"};
    int in = 2 * depth;
    dfm_sb_printf(p->o, "%*s%s ", in, "", kinds[n->kind]);
    name(p, n->kind == KIR_NODE_KERNEL ? n->kernel->name : n->name);
    if (n->replaces.i) {
        dfm_sb_puts(p->o, " replaces ");
        name(p, n->replaces);
    }
    switch (n->kind) {
    case KIR_NODE_KERNEL:
        dfm_sb_puts(p->o, " {\n");
        kernel(p, n->kernel, depth);
        dfm_sb_printf(p->o, "%*s}", in, "");
        break;
    case KIR_NODE_GEMM:
        gemm(p, &n->gemm);
        if (!n->gemm.epi) break;
        dfm_sb_puts(p->o, " then ");
        name(p, n->gemm.epi->name);
        dfm_sb_puts(p->o, " {\n");
        kernel(p, n->gemm.epi, depth);
        dfm_sb_printf(p->o, "%*s}", in, "");
        break;
    case KIR_NODE_ATTN: attn(p, &n->attn); break;
    case KIR_NODE_SCATTER:
        dims(p, &n->scatter.dim, 1);
        labelled(p, "index", &n->scatter.index);
        labelled(p, "updates", &n->scatter.updates);
        labelled(p, "to", &n->scatter.out);
        break;
    case KIR_NODE_COPY:
        i64(p, n->copy.elems);
        labelled(p, "from", &n->copy.src);
        labelled(p, "to", &n->copy.dst);
        break;
    case KIR_NODE_LOOP:
        dims(p, &n->loop.dim, 1);
        dfm_sb_printf(p->o, " depth %" PRIu32 "%s {\n", n->loop.depth,
                      n->loop.reverse ? " reverse" : "");
        nodes(p, &n->loop.body, depth + 1);
        dfm_sb_printf(p->o, "%*s}", in, "");
        break;
    case KIR_NODE_NONE: break;
    }
    dfm_sb_puts(p->o, "\n");
}

static void nodes(printer *p, const kir_nodes *list, int depth)
{
    for (uint32_t i = 0; i < list->n; i++) node(p, list->p[i], depth);
}

static void io(printer *p, const char *what, const kir_io *x)
{
    dfm_sb_printf(p->o, "  %s ", what);
    name(p, x->name);
    dfm_sb_puts(p->o, " : ");
    type(p, x->type);
    dfm_sb_puts(p->o, " =");
    arg(p, &x->arg);
    dfm_sb_puts(p->o, "\n");
}

/* -- modules ----------------------------------------------------------------------------------- */

static void buffer(printer *p, const kir_buffer *b)
{
    static const char *const mems[] = {"none", "temp", "input", "output", "state", "const"};
    dfm_sb_puts(p->o, "buf ");
    name(p, b->name);
    dfm_sb_printf(p->o, " %s %s %" PRIu64, mems[b->mem], dfm_dtype_name(b->dtype), b->elems);
    dfm_sb_printf(p->o, " program %" PRIu32 " offset %" PRIu64, b->program, b->offset);
    if (b->mem == KIR_MEM_STATE)
        dfm_sb_printf(p->o, " state %" PRIu32 " flat %" PRIu32, b->state, b->flat);
    if (b->is_draw) dfm_sb_puts(p->o, " draw");
    if (b->mem == KIR_MEM_CONST) dfm_sb_puts(p->o, " =");
    for (uint64_t i = 0; b->mem == KIR_MEM_CONST && i < b->elems; i++) {
        dfm_sb_puts(p->o, i && i % 16 == 0 ? "\n    " : " ");
        dfm_sb_double(p->o, b->data[i]);
    }
    dfm_sb_puts(p->o, "\n");
}

void kir_print(dfm_sb *out, const kir_module *m)
{
    printer p = {out, m};
    dfm_sb_puts(out, "kir\n");
    for (uint32_t i = 1; i < m->ir->dims.n; i++) {
        dfm_sb_puts(out, "dim ");
        dim(&p, (ir_dim){i});
        i64(&p, ir_extent(m->ir, (ir_dim){i}));
        dfm_sb_puts(out, "\n");
    }
    for (uint32_t i = 1; i < m->bufs.n; i++) buffer(&p, &m->bufs.p[i]);
    for (uint32_t i = 0; i < m->programs.n; i++) {
        const kir_program *g = m->programs.p[i];
        dfm_sb_puts(out, "program ");
        word(&p, g->name);
        dfm_sb_printf(out, " arena %" PRIu64 " {\n", g->arena_bytes);
        for (uint32_t k = 0; k < g->inputs.n; k++) io(&p, "in", &g->inputs.p[k]);
        for (uint32_t k = 0; k < g->outputs.n; k++) io(&p, "result", &g->outputs.p[k]);
        for (uint32_t k = 0; k < g->scalars.n; k++) {
            dfm_sb_puts(out, "  scalar ");
            name(&p, g->scalars.p[k]);
            dfm_sb_puts(out, "\n");
        }
        nodes(&p, &g->nodes, 1);
        dfm_sb_puts(out, "}\n");
    }
}

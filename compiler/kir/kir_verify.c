/* kir_verify.c - the rules of K. Each has a number, which the message begins with.
 *
 *   K1  buffers have an element type, at least one element, a name of their own; CONST has data
 *   K2  an operand has its buffer's dtype and distinct dims; CONST is never written, INPUT only
 *       by draws; loop strides belong to enclosing loops
 *   K3  every element of an operand's window, in all iterations, lies in its buffer
 *   K4  a kernel's dims are distinct; block >= 1; block_dim counts the blocks if there is a FLUSH
 *   K5  sections cover the instructions in order; one FLUSH, at the end, if and only if ACC is used
 *   K6  references point backwards to values that are visible there: see kir.h
 *   K7  instructions have the operand and result types that their op wants
 *   K8  index expressions use only dims that have a value there
 *   K9  coordinates lie inside the operand where the guard holds
 *   K10 a kernel reads what it writes only element-wise in place, before the STORE
 *   K11 a value used as coordinate is clamped to the indirect dim's range
 *   K12 gemm: sizes and strides fit, one of the last two strides is 1, c overlaps nothing
 *       that is read
 *   K13 attn: likewise
 *   K14 scatter: dims relate by name, index is i32
 *   K15 copy: equal dtypes, windows inside the buffers, no overlap
 *   K16 a loop's depth is the number of loops around it, at most KIR_MAX_LOOPS
 *   K17 inputs and outputs are named once, lie in their buffers and have their type's dims
 *   K18 what a node replaces is an input of the program
 *   K19 an epilogue needs only its own row of the product's result, and changes none of the
 *       product's operands
 */
#include "compiler/kir/kir_verify_impl.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

dfm_status kir_broken(kir_checker *c, int rule, const char *format, ...)
{
    char text[400];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    return dfm_fail(c->err, DFM_INTERNAL, "K%d: %s%s%.100s%s%.100s", rule, text,
                    c->where ? " (in " : "", c->where ? c->where : "",
                    c->p ? c->where ? ") of " : " (in " : "", c->p ? c->p->name : "");
}

bool kir_dim_ok(const kir_checker *c, ir_dim d) { return d.i && d.i < c->m->ir->dims.n; }

int64_t kir_sat(int64_t a, int64_t b, int64_t c)
{
    __int128 x = (__int128)a * b + c;
    return x > INT64_MAX / 4 ? INT64_MAX / 4 : x < INT64_MIN / 4 ? INT64_MIN / 4 : (int64_t)x;
}

dfm_status kir_check_window(kir_checker *c, const kir_arg *a, const char *what,
                            const int64_t *extents, const int64_t *strides, uint32_t n)
{
    int64_t lo = a->offset, hi = a->offset;
    for (uint32_t k = 0; k < n; k++) {
        KIR_RULE(c, extents[k] >= 1, 3, "%s has an extent below 1", what);
        if (strides[k] < 0) lo = kir_sat(extents[k] - 1, strides[k], lo);
        else hi = kir_sat(extents[k] - 1, strides[k], hi);
    }
    for (uint32_t k = 0; k < c->depth; k++) {
        if (a->loop_stride[k] < 0) lo = kir_sat(c->trips[k] - 1, a->loop_stride[k], lo);
        else hi = kir_sat(c->trips[k] - 1, a->loop_stride[k], hi);
    }
    const kir_buffer *b = &c->m->bufs.p[a->buf.i];
    KIR_RULE(c, lo >= 0 && (uint64_t)hi < b->elems, 3,
             "%s covers elements %" PRId64 " to %" PRId64 " of '%.60s', which has %" PRIu64, what,
             lo, hi, dfm_name_str(c->m->ir->names, b->name), b->elems);
    return DFM_OK;
}

static dfm_status check_operand(kir_checker *c, const kir_arg *a, const char *what)
{
    KIR_RULE(c, a->buf.i && a->buf.i < c->m->bufs.n, 2, "%s has no buffer", what);
    const kir_buffer *b = &c->m->bufs.p[a->buf.i];
    KIR_RULE(c, a->dtype == b->dtype, 2, "%s has another dtype than its buffer", what);
    KIR_RULE(c, !a->write || (b->mem != KIR_MEM_CONST && (b->mem != KIR_MEM_INPUT || b->is_draw)),
             2, "%s writes '%.60s'", what, dfm_name_str(c->m->ir->names, b->name));
    KIR_RULE(c, a->rank <= KIR_MAX_RANK, 2, "%s has too many dims", what);
    for (uint32_t k = 0; k < a->rank; k++) {
        KIR_RULE(c, kir_dim_ok(c, a->dims[k]), 2, "%s has a bad dim", what);
        for (uint32_t j = 0; j < k; j++)
            KIR_RULE(c, !ir_dim_same(a->dims[j], a->dims[k]), 2, "%s has a dim twice", what);
    }
    for (uint32_t k = c->depth; k < KIR_MAX_LOOPS; k++)
        KIR_RULE(c, !a->loop_stride[k], 2, "%s moves with a loop that is not there", what);
    return DFM_OK;
}

dfm_status kir_check_arg(kir_checker *c, const kir_arg *a, const char *what)
{
    DFM_TRY(check_operand(c, a, what));
    int64_t extents[KIR_MAX_RANK];
    for (uint32_t k = 0; k < a->rank; k++) extents[k] = ir_extent(c->m->ir, a->dims[k]);
    return kir_check_window(c, a, what, extents, a->stride, a->rank);
}

void kir_arg_span(const kir_module *m, const kir_arg *a, int64_t *lo, int64_t *hi)
{
    *lo = *hi = a->offset;
    for (uint32_t k = 0; k < a->rank; k++) {
        int64_t *end = a->stride[k] < 0 ? lo : hi;
        *end = kir_sat(ir_extent(m->ir, a->dims[k]) - 1, a->stride[k], *end);
    }
}

/* The span of all iterations of the loops around. */
static void span_of_loops(const kir_checker *c, const kir_arg *a, int64_t *lo, int64_t *hi)
{
    kir_arg_span(c->m, a, lo, hi);
    for (uint32_t l = 0; l < c->depth; l++) {
        int64_t *end = a->loop_stride[l] < 0 ? lo : hi;
        *end = kir_sat(c->trips[l] - 1, a->loop_stride[l], *end);
    }
}

bool kir_args_overlap(const kir_checker *c, const kir_arg *a, const kir_arg *b)
{
    if (a->buf.i != b->buf.i) return false;
    int64_t al, ah, bl, bh;
    if (memcmp(a->loop_stride, b->loop_stride, sizeof a->loop_stride)) {
        span_of_loops(c, a, &al, &ah);
        span_of_loops(c, b, &bl, &bh);
    } else {                                 /* in the same iteration */
        kir_arg_span(c->m, a, &al, &ah);
        kir_arg_span(c->m, b, &bl, &bh);
    }
    return al <= bh && bl <= ah;
}

/* -- module ------------------------------------------------------------------------------------ */

static dfm_status check_buffers(kir_checker *c)
{
    const kir_module *m = c->m;
    for (uint32_t i = 1; i < m->bufs.n; i++) {
        const kir_buffer *b = &m->bufs.p[i];
        const char *n = dfm_name_str(m->ir->names, b->name);
        KIR_RULE(c, b->mem > KIR_MEM_NONE && b->mem < KIR_MEM_COUNT && b->dtype > DFM_DT_NONE &&
                        b->dtype < DFM_DT_COUNT, 1, "buffer '%.60s' has no kind or dtype", n);
        KIR_RULE(c, b->elems >= 1 && b->elems <= (uint64_t)1 << 48, 1,
                 "buffer '%.60s' has %" PRIu64 " elements", n, b->elems);
        KIR_RULE(c, b->mem != KIR_MEM_CONST || b->data, 1, "buffer '%.60s' has no data", n);
        KIR_RULE(c, b->mem == KIR_MEM_CONST || b->mem == KIR_MEM_STATE ||
                        b->program < m->programs.n, 1, "buffer '%.60s' belongs to no program", n);
        KIR_RULE(c, b->name.i, 1, "buffer %" PRIu32 " has no name", i);
    }
    return DFM_OK;
}

static bool is_input(const kir_program *p, dfm_name n)
{
    for (uint32_t i = 0; i < p->inputs.n; i++)
        if (dfm_name_eq(p->inputs.p[i].name, n)) return true;
    return false;
}

static dfm_status check_nodes(kir_checker *c, const kir_nodes *list);

static dfm_status check_loop(kir_checker *c, const kir_loop *l)
{
    KIR_RULE(c, l->depth == c->depth && l->depth < KIR_MAX_LOOPS, 16,
             "a loop at depth %" PRIu32 " is marked %" PRIu32, c->depth, l->depth);
    KIR_RULE(c, kir_dim_ok(c, l->dim), 16, "a loop has no dim");
    c->trips[c->depth++] = ir_extent(c->m->ir, l->dim);
    dfm_status st = check_nodes(c, &l->body);
    c->depth--;
    return st;
}

static dfm_status check_epilogue(kir_checker *c, const kir_gemm *g)
{
    c->where = dfm_name_str(c->m->ir->names, g->epi->name);
    DFM_TRY(kir_check_kernel(c, g->epi));
    const char *why = kir_epi_objection(c->m, g, g->epi);
    KIR_RULE(c, !why, 19, "the kernel may not run on the product's rows: %s", why);
    return DFM_OK;
}

static dfm_status check_node(kir_checker *c, const kir_node *n)
{
    c->where = dfm_name_str(c->m->ir->names,
                            n->kind == KIR_NODE_KERNEL ? n->kernel->name : n->name);
    KIR_RULE(c, !n->replaces.i || is_input(c->p, n->replaces), 18, "'%.60s' is not an input",
             dfm_name_str(c->m->ir->names, n->replaces));
    switch (n->kind) {
    case KIR_NODE_KERNEL: return kir_check_kernel(c, n->kernel);
    case KIR_NODE_GEMM:
        DFM_TRY(kir_check_gemm(c, &n->gemm));
        return n->gemm.epi ? check_epilogue(c, &n->gemm) : DFM_OK;
    case KIR_NODE_ATTN: return kir_check_attn(c, &n->attn);
    case KIR_NODE_SCATTER: return kir_check_scatter(c, &n->scatter);
    case KIR_NODE_COPY: return kir_check_copy(c, &n->copy);
    case KIR_NODE_LOOP: return check_loop(c, &n->loop);
    case KIR_NODE_NONE: break;
    }
    return kir_broken(c, 16, "a node has no kind");
}

static dfm_status check_nodes(kir_checker *c, const kir_nodes *list)
{
    for (uint32_t i = 0; i < list->n; i++) DFM_TRY(check_node(c, list->p[i]));
    return DFM_OK;
}

static dfm_status check_io(kir_checker *c, const kir_io *x, const kir_io *list, uint32_t at)
{
    KIR_RULE(c, x->name.i, 17, "an input or output has no name");
    for (uint32_t i = 0; i < at; i++)
        KIR_RULE(c, !dfm_name_eq(list[i].name, x->name), 17, "'%.60s' is there twice",
                 dfm_name_str(c->m->ir->names, x->name));
    DFM_TRY(kir_check_arg(c, &x->arg, "an input or output"));
    const ir_type_info *t = ir_type_of(c->m->ir, x->type);
    bool same = !t->is_tuple && t->dtype == x->arg.dtype && t->rank == x->arg.rank;
    for (uint32_t k = 0; same && k < t->rank; k++) same = ir_dim_same(t->dims[k], x->arg.dims[k]);
    KIR_RULE(c, same, 17, "'%.60s' has another type than its operand",
             dfm_name_str(c->m->ir->names, x->name));
    return DFM_OK;
}

dfm_status kir_verify(const kir_module *m, dfm_err *err)
{
    kir_checker c = {.m = m, .err = err};
    DFM_TRY(check_buffers(&c));
    for (uint32_t i = 0; i < m->programs.n; i++) {
        const kir_program *p = m->programs.p[i];
        c.p = p;
        c.where = NULL;
        for (uint32_t k = 0; k < p->inputs.n; k++)
            DFM_TRY(check_io(&c, &p->inputs.p[k], p->inputs.p, k));
        for (uint32_t k = 0; k < p->outputs.n; k++)
            DFM_TRY(check_io(&c, &p->outputs.p[k], p->outputs.p, k));
        DFM_TRY(check_nodes(&c, &p->nodes));
    }
    return DFM_OK;
}

bool kir_kernel_is_sound(const kir_module *m, const kir_kernel *k, uint32_t depth,
                         const int64_t *trips)
{
    dfm_err err = {0};
    kir_checker c = {.m = m, .err = &err, .depth = depth};
    memcpy(c.trips, trips, depth * sizeof *trips);
    return kir_check_kernel(&c, k) == DFM_OK;
}

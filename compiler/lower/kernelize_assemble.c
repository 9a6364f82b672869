/* kernelize_assemble.c - a value put together from the results of one anchor is made in place.
 *
 * The gradient of a projection to q, k and v is a sum of three views of the attention's gradients,
 * each non-zero where the others are zero. If such views cover a value exactly, each result is
 * written to its piece of the value, and no kernel is needed.
 */
#include "compiler/lower/kernelize.h"

enum { MAX_PIECES = 8 };

typedef struct piece { ir_val v; ir_dim along; int64_t lo, hi; const ir_op *view; } piece;

/* The views that v is the sum of, if it is one of single-use views of members of one tuple. */
static bool find_pieces(const kz_frame *f, ir_val v, piece *p, uint32_t *n)
{
    const ir_op *op = ir_op_of(f->g, v);
    if (op->kind == IR_MAP && op->at->fn == IR_FN_ADD)
        return find_pieces(f, op->args[0], p, n) && find_pieces(f, op->args[1], p, n);
    if (op->kind != IR_VIEW || op->at->view.n_conds != 1 || op->at->view.fill != 0) return false;
    const ir_cond *c = &op->at->view.guard[0];
    const ir_op *src = ir_op_of(f->g, op->args[0]);
    const ir_ix_node *e = ir_ix_of(f->z->m, c->e);
    if (*n == MAX_PIECES || e->kind != IX_VAR || src->kind != IR_GET) return false;
    if (ir_op_of(f->g, src->args[0])->kind != IR_ATTEND_BWD) return false;
    if (*n && !ir_same(src->args[0], ir_op_of(f->g, p[0].v)->args[0])) return false;
    const kz_slot *s = &f->slot[op->args[0].i];
    if (s->placed || s->uses != 1) return false;
    p[(*n)++] = (piece){op->args[0], e->var, c->lo, c->hi, op};
    return true;
}

/* Do they cut one dim of t into consecutive ranges, in any order? */
static bool cover(const kz_frame *f, const piece *p, uint32_t n)
{
    int64_t sum = 0, extent = ir_extent(f->z->m, p[0].along);
    for (uint32_t i = 0; i < n; i++) {
        if (!ir_dim_same(p[i].along, p[0].along) || p[i].lo < 0 || p[i].hi >= extent) return false;
        for (uint32_t j = 0; j < i; j++)
            if (p[i].lo <= p[j].hi && p[j].lo <= p[i].hi) return false;
        sum += p[i].hi - p[i].lo + 1;
    }
    return sum == extent;
}

static int64_t stride_of(const kir_arg *a, ir_dim d)
{
    for (uint32_t k = 0; k < a->rank; k++)
        if (ir_dim_same(a->dims[k], d)) return a->stride[k];
    return 0;
}

/* Where the elements of a piece lie in the whole; false if the view is not one to one. */
static bool place_piece(const kz_frame *f, const piece *p, const kir_arg *whole, kir_arg *out)
{
    const ir_module *m = f->z->m;
    const ir_type_info *s = ir_type_of(m, ir_type_at(f->g, p->v));
    kir_arg a = *whole;
    bool along = false;
    a.rank = s->rank;
    a.offset += p->lo * stride_of(whole, p->along);
    for (uint32_t k = 0; k < s->rank; k++) {
        const ir_ix_node *e = ir_ix_of(m, p->view->at->view.coords[k]);
        int64_t shift = 0;
        if (e->kind == IX_ADD && ir_ix_of(m, e->b)->kind == IX_CONST) {
            shift = ir_ix_of(m, e->b)->c;
            e = ir_ix_of(m, e->a);
        }
        bool is_along = e->kind == IX_VAR && ir_dim_same(e->var, p->along);
        int64_t extent = is_along            ? p->hi - p->lo + 1
                         : e->kind == IX_VAR ? ir_extent(m, e->var)
                                             : 0;
        if (extent != ir_extent(m, s->dims[k]) || shift != (is_along ? -p->lo : 0)) return false;
        a.dims[k] = s->dims[k];
        a.stride[k] = stride_of(whole, e->var);
        along |= is_along;
    }
    *out = a;
    uint64_t part = ir_elems(m, ir_type_at(f->g, p->v));
    uint64_t rows = ir_elems(m, p->view->type) / (uint64_t)ir_extent(m, p->along);
    return part == rows * (uint64_t)(p->hi - p->lo + 1) && (along || p->lo == p->hi);
}

/* Does the place of a result hold something that is read before: state, or the carry that it
 * follows? There pieces would need copies behind everybody's back. */
static bool has_old_contents(const kz_frame *f, const kir_arg *place)
{
    if (f->z->k->bufs.p[place->buf.i].mem == KIR_MEM_STATE) return true;
    for (uint32_t i = 0; i < f->g->inputs.n; i++) {
        const kz_slot *in = &f->slot[f->g->inputs.p[i].i];
        if (in->placed && in->place.buf.i == place->buf.i) return true;
    }
    return false;
}

static void assemble(kz_frame *f, ir_val v)
{
    kz_slot *s = &f->slot[v.i];
    piece p[MAX_PIECES];
    kir_arg place[MAX_PIECES];
    uint32_t n = 0;
    if (s->placed && has_old_contents(f, &s->place)) return;
    if (!find_pieces(f, v, p, &n) || n < 2 || !cover(f, p, n)) return;
    kir_arg whole = s->placed ? s->place : kz_dense(f->z, (kir_buf){0}, ir_type_at(f->g, v));
    for (uint32_t i = 0; i < n; i++)
        if (!place_piece(f, &p[i], &whole, &place[i])) return;
    if (!s->placed) {
        s->place = kz_temp(f->z, kz_name(f, v), ir_type_at(f->g, v));
        s->placed = true;
    }
    for (uint32_t i = 0; i < n; i++) {
        kz_slot *part = &f->slot[p[i].v.i];
        place[i].buf = s->place.buf;
        part->place = place[i];
        part->placed = true;
    }
    s->maker = ir_op_of(f->g, p[0].v)->args[0];
}

void kz_assemble(kz_frame *f)
{
    for (uint32_t v = 1; v < f->g->ops.n; v++) {
        const ir_op *op = &f->g->ops.p[v];
        kz_slot *s = &f->slot[v];
        if (s->material && s->uses && op->kind == IR_MAP && op->at->fn == IR_FN_ADD)
            assemble(f, (ir_val){v});
    }
}

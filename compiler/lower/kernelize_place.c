/* kernelize_place.c - where values are: buffers, windows, windows through views. */
#include "compiler/lower/kernelize.h"

#include <stdarg.h>
#include <string.h>

void kz_fail(kz *z, const char *format, ...)
{
    char text[300];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    if (z->status == DFM_OK) z->status = dfm_fail(z->err, DFM_INTERNAL, "kernelisation: %s", text);
}

void kz_note(kz *z, dfm_loc loc, const char *format, ...)
{
    char text[300];
    va_list ap;
    if (!z->remark) return;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    z->remark(z->user, loc, text);
}

/* -- values ------------------------------------------------------------------------------------ */

kz_slot *kz_slot_of(kz_val x) { return &x.f->slot[x.v.i]; }
const ir_op *kz_op(kz_val x) { return ir_op_of(x.f->g, x.v); }

kz_val kz_resolve(kz_frame *f, ir_val v)
{
    kz_val x = {f, v};
    while (kz_slot_of(x)->aliased) x = kz_slot_of(x)->alias;
    return x;
}

bool kz_is_free(const ir_op *op)
{
    return op->kind == IR_VIEW || op->kind == IR_CONST || op->kind == IR_IOTA
        || op->kind == IR_STOP_GRAD || op->kind == IR_INPUT || op->kind == IR_PARAM;
}

bool kz_is_pointwise(const ir_op *op)
{
    return kz_is_free(op) || op->kind == IR_MAP || op->kind == IR_CAST || op->kind == IR_GATHER;
}

bool kz_is_dot(const kz_frame *f, const ir_op *op)
{
    enum { FEW = 16, LONG = 16384 };
    const ir_module *m = f->z->m;
    if (op->kind != IR_CONTRACT) return false;
    const ir_type_info *x = ir_type_of(m, ir_type_at(f->g, op->args[0]));
    const ir_type_info *y = ir_type_of(m, ir_type_at(f->g, op->args[1]));
    const ir_contract *c = &op->at->contract;
    int64_t batch = 1, sum = 1;
    for (uint32_t side = 0; side < 2; side++) {
        const ir_type_info *own = side ? y : x, *other = side ? x : y;
        for (uint32_t k = 0; k < own->rank; k++) {
            ir_dim d = own->dims[k];
            bool paired = false, in_other = kz_has(other->dims, other->rank, d);
            for (uint32_t i = 0; i < c->n_pairs; i++) {
                paired |= ir_dim_same(side ? c->pairs[i].b : c->pairs[i].a, d);
                if (ir_dim_same(side ? c->pairs[i].a : c->pairs[i].b, d)) in_other = false;
            }
            if (!side) *(paired ? &sum : &batch) *= ir_extent(m, d);
            if (!paired && !in_other) return false;
        }
    }
    return batch >= FEW || sum < LONG;
}

dfm_dtype kz_scalar_type(dfm_dtype d)
{
    return dfm_dtype_is_float(d) ? DFM_F32 : d == DFM_BOOL ? DFM_BOOL : DFM_I32;
}

const char *kz_name(const kz_frame *f, ir_val v)
{
    const ir_op *op = ir_op_of(f->g, v);
    return op->name.i ? dfm_name_str(f->z->m->names, op->name) : ir_op_name(op->kind);
}

dfm_loc kz_loc(const kz_frame *f, ir_val v) { return ir_op_of(f->g, v)->loc; }

kir_node *kz_node(kz_frame *f, kir_node_kind kind, ir_val v)
{
    kir_node *n = dfm_new(f->z->a, kir_node);
    n->kind = kind;
    n->name = dfm_intern(f->z->m->names, kz_name(f, v));
    n->loc = kz_loc(f, v);
    dfm_push(f->z->a, f->out, n);
    return n;
}

/* -- dims -------------------------------------------------------------------------------------- */

int64_t kz_extents(const kz *z, const ir_dim *d, uint32_t n)
{
    int64_t x = 1;
    for (uint32_t i = 0; i < n; i++) x *= ir_extent(z->m, d[i]);
    return x;
}

bool kz_has(const ir_dim *list, uint32_t n, ir_dim d)
{
    for (uint32_t i = 0; i < n; i++)
        if (ir_dim_same(list[i], d)) return true;
    return false;
}

/* -- operands ---------------------------------------------------------------------------------- */

kir_arg kz_dense(kz *z, kir_buf b, ir_type t)
{
    const ir_type_info *i = ir_type_of(z->m, t);
    kir_arg a = {.buf = b, .dtype = i->dtype, .rank = i->rank};
    int64_t stride = 1;
    for (uint32_t k = i->rank; k-- > 0;) {
        a.dims[k] = i->dims[k];
        a.stride[k] = stride;
        stride *= ir_extent(z->m, i->dims[k]);
    }
    return a;
}

kir_arg kz_temp(kz *z, const char *name, ir_type t)
{
    dfm_dtype dt = ir_type_of(z->m, t)->dtype;
    return kz_dense(z, kir_buffer_new(z->k, KIR_MEM_TEMP, name, dt, ir_elems(z->m, t)), t);
}

/* The first product that reads v sums over some dims: those innermost and in one piece, so that
 * they are one dim for it, and the others too. False: no wish, or the innermost dim would change.
 */
static bool wanted_order(const ir_module *m, const ir_graph *g, ir_val v, ir_dim *out)
{
    const ir_type_info *t = ir_type_of(m, ir_type_at(g, v));
    for (uint32_t u = v.i + 1; u < g->ops.n; u++) {
        const ir_op *op = &g->ops.p[u];
        if (op->kind != IR_CONTRACT) continue;
        if (!ir_same(op->args[0], v) && !ir_same(op->args[1], v)) continue;
        bool right = !ir_same(op->args[0], v);
        uint32_t n = 0;
        for (int paired = 0; paired < 2; paired++)
            for (uint32_t k = 0; k < t->rank; k++) {
                bool sum = false;
                for (uint32_t i = 0; i < op->at->contract.n_pairs; i++) {
                    ir_pair p = op->at->contract.pairs[i];
                    sum |= ir_dim_same(right ? p.b : p.a, t->dims[k]);
                }
                if (sum == paired) out[n++] = t->dims[k];
            }
        return n > 0 && ir_dim_same(out[n - 1], t->dims[n - 1]);
    }
    return false;
}

kir_arg kz_temp_for(kz_frame *f, ir_val v)
{
    ir_module *m = f->z->m;
    const ir_op *op = ir_op_of(f->g, v),
                *of = op->kind == IR_GET ? ir_op_of(f->g, op->args[0]) : op;
    ir_type_info t = *ir_type_of(m, op->type);
    ir_dim d[IR_MAX_RANK + 1];
    bool ok;
    if (of->kind == IR_SCAN && op->at->member >= of->at->scan.n_carry) {
        const ir_graph *body = m->graphs.p[of->at->scan.body];
        d[0] = of->at->scan.loop;
        ok = wanted_order(m, body, body->results.p[op->at->member].val, d + 1);
    } else {
        ok = wanted_order(m, f->g, v, d);
    }
    kir_arg a = kz_temp(f->z, kz_name(f, v), ok ? ir_tensor(m, t.dtype, d, t.rank) : op->type);
    return ok ? kz_as(f->z, a, op->type) : a;
}

kir_arg kz_as(const kz *z, kir_arg a, ir_type t)
{
    const ir_type_info *i = ir_type_of(z->m, t);
    kir_arg r = a;
    bool by_name = true;
    for (uint32_t k = 0; k < i->rank; k++) by_name &= kz_has(a.dims, a.rank, i->dims[k]);
    for (uint32_t k = 0; k < i->rank; k++) {
        r.dims[k] = i->dims[k];
        for (uint32_t j = 0; by_name && j < a.rank; j++)
            if (ir_dim_same(a.dims[j], i->dims[k])) r.stride[k] = a.stride[j];
    }
    return r;
}

bool kz_view_arg(kz *z, const kir_arg *src, const ir_op *view, kir_arg *out)
{
    const ir_view *v = &view->at->view;
    const ir_type_info *t = ir_type_of(z->m, view->type);
    if (v->n_conds) return false;
    ir_ix at = ir_ix_const(z->m, src->offset);
    for (uint32_t k = 0; k < src->rank; k++)
        at = ir_ix_add(z->m, at, ir_ix_mul(z->m, v->coords[k], src->stride[k]));
    ir_dim dims[IR_MAX_RANK];
    int64_t coef[IR_MAX_RANK], c;
    uint32_t n;
    if (!ir_ix_affine(z->m, at, dims, coef, IR_MAX_RANK, &n, &c)) return false;
    kir_arg r = *src;
    r.rank = t->rank;
    r.offset = c;
    for (uint32_t k = 0; k < t->rank; k++) {
        r.dims[k] = t->dims[k];
        r.stride[k] = 0;
        for (uint32_t j = 0; j < n; j++)
            if (ir_dim_same(dims[j], t->dims[k])) r.stride[k] = coef[j];
    }
    *out = r;
    return true;
}

static bool same_table(const kz *z, const kir_buffer *b, const ir_const *c, dfm_dtype dt)
{
    return b->mem == KIR_MEM_CONST && b->dtype == dt && b->elems == c->n
        && (b->data == c->data || !memcmp(b->data, c->data, c->n * sizeof *c->data));
}

kir_arg kz_const_arg(kz *z, const ir_op *op)
{
    dfm_dtype dt = ir_type_of(z->m, op->type)->dtype;
    for (uint32_t i = 1; i < z->k->bufs.n; i++)
        if (same_table(z, &z->k->bufs.p[i], &op->at->cst, dt))
            return kz_dense(z, (kir_buf){i}, op->type);
    const char *name = op->name.i ? dfm_name_str(z->m->names, op->name) : "table";
    kir_buf b = kir_buffer_new(z->k, KIR_MEM_CONST, name, dt, op->at->cst.n);
    z->k->bufs.p[b.i].data = op->at->cst.data;
    return kz_dense(z, b, op->type);
}

/* One buffer per state and flat group in the module. */
static kir_buf state_buffer(kz *z, uint32_t state, uint32_t flat)
{
    for (uint32_t i = 1; i < z->k->bufs.n; i++) {
        const kir_buffer *b = &z->k->bufs.p[i];
        if (b->mem == KIR_MEM_STATE && b->state == state && b->flat == flat) return (kir_buf){i};
    }
    const ir_flat *fl = &z->m->flats.p[flat];
    dfm_dtype dt = fl->dtype;
    const char *sn = "state";
    if (state < z->m->states.n) {
        const ir_state *s = &z->m->states.p[state];
        if (s->dtype != DFM_DT_NONE) dt = s->dtype;
        sn = dfm_name_str(z->m->names, s->name);
    }
    const char *name = dfm_fmt(z->a, "%s.%s", sn, dfm_name_str(z->m->names, fl->name));
    kir_buf b = kir_buffer_new(z->k, KIR_MEM_STATE, name, dt, fl->n_elems);
    z->k->bufs.p[b.i].state = state;
    z->k->bufs.p[b.i].flat = flat;
    return b;
}

kir_arg kz_state_arg(kz *z, uint32_t state, uint32_t flat, ir_type t, uint64_t offset)
{
    kir_buf b = state_buffer(z, state, flat);
    kir_arg a = kz_dense(z, b, t);
    a.dtype = z->k->bufs.p[b.i].dtype;
    a.offset = (int64_t)offset;
    return a;
}

kir_arg kz_param_arg(kz *z, uint32_t state, uint32_t param)
{
    const ir_param *p = &z->m->params.p[param];
    return kz_state_arg(z, state, p->group, p->type, p->flat_offset);
}

bool kz_window(kz_frame *f, ir_val v, kir_arg *out)
{
    kz_val x = kz_resolve(f, v);
    const kz_slot *s = kz_slot_of(x);
    const ir_op *op = kz_op(x);
    kir_arg src;
    if (s->placed) {
        *out = s->place;
        out->write = false;
        return true;
    }
    switch (op->kind) {
    case IR_CONST: *out = kz_const_arg(f->z, op); return true;
    case IR_STOP_GRAD: return kz_window(x.f, op->args[0], out);
    case IR_VIEW:
        return !op->at->view.n_conds && kz_window(x.f, op->args[0], &src) &&
               kz_view_arg(f->z, &src, op, out);
    default: return false;
    }
}

/* kernelize_bias.c - a product whose only user adds a vector over its columns takes it as bias.
 *
 * Runs before fusion, on additions whose result is stored: then the product writes that result, and
 * whoever else uses it reads it. Where the sum is not stored the bias costs nothing inside the
 * kernel that uses it, and the product stays as it is.
 */
#include "compiler/lower/kernelize.h"

static bool is_plain_product(const kz_frame *f, ir_val c, const kz_unit *user)
{
    const kz_slot *s = &f->slot[c.i];
    const ir_op *op = ir_op_of(f->g, c);
    return op->kind == IR_CONTRACT && !kz_is_dot(f, op) && s->material && !s->placed && s->unit
        && !s->product.i && !kz_read_by_others(f, c, user, NULL);
}

static bool is_paired(const ir_contract *c, ir_dim d, bool right)
{
    for (uint32_t k = 0; k < c->n_pairs; k++)
        if (ir_dim_same(right ? c->pairs[k].b : c->pairs[k].a, d)) return true;
    return false;
}

/* Is d a dim of one operand alone (0: the left one, 1: the right one)? */
static bool is_side(const kz_frame *f, const ir_op *c, ir_dim d, int side)
{
    const ir_module *m = f->z->m;
    ir_type own = ir_type_at(f->g, c->args[side]), other = ir_type_at(f->g, c->args[!side]);
    bool in_other = ir_dim_at(m, other, d) >= 0 && !is_paired(&c->at->contract, d, !side);
    return ir_dim_at(m, own, d) >= 0 && !is_paired(&c->at->contract, d, side) && !in_other;
}

/* Are the dims of the vector w the innermost ones of v, in order, dense, and exactly the dims that
 * one operand of the product contributes? Dims of extent 1 do not matter. */
static bool is_row_vector(const kz_frame *f, const ir_op *c, ir_type v, const kir_arg *w)
{
    const ir_module *m = f->z->m;
    const ir_type_info *t = ir_type_of(m, v);
    int64_t stride = 1;
    uint32_t k = t->rank, found = 0, wanted = 0;
    int side = -1;
    for (uint32_t i = 0; i < w->rank; i++) wanted += ir_extent(m, w->dims[i]) > 1;
    if (!wanted || w->dtype != DFM_F32) return false;
    while (k > 0 && found < wanted) {
        ir_dim d = t->dims[--k];
        if (ir_extent(m, d) == 1) continue;
        bool here = false;
        for (uint32_t i = 0; i < w->rank; i++)
            here |= ir_dim_same(w->dims[i], d) && w->stride[i] == stride;
        if (side < 0) side = is_side(f, c, d, 1) ? 1 : 0;
        if (!here || !is_side(f, c, d, side)) return false;
        stride *= ir_extent(m, d);
        found++;
    }
    while (k-- > 0)                          /* no further dim of that side */
        if (ir_extent(m, t->dims[k]) > 1 && is_side(f, c, t->dims[k], side)) return false;
    return found == wanted;
}

/* A place given before must have the vector's dims in the type's order too. */
static bool keeps_order(const kz_frame *f, ir_val v, const kir_arg *w)
{
    const kz_slot *s = &f->slot[v.i];
    int64_t last = 0;
    for (uint32_t k = s->placed ? s->place.rank : 0; k-- > 0;) {
        ir_dim d = s->place.dims[k];
        if (!kz_has(w->dims, w->rank, d) || ir_extent(f->z->m, d) == 1) continue;
        if (s->place.stride[k] <= last) return false;
        last = s->place.stride[k];
    }
    return true;
}

static void take(kz_frame *f, uint32_t unit, ir_val product, ir_val bias)
{
    kz_unit *u = &f->units.p[unit];
    ir_val v = u->roots.p[0].v;
    kz_slot *s = &f->slot[v.i], *c = &f->slot[product.i];
    kz_leaves leaves = {0};
    s->product = product;
    s->bias = bias;
    kz_unit *from = &f->units.p[c->unit - 1];
    kz_count_reads(f, from, -1);
    kz_count_reads(f, u, -1);
    from->dead = true;
    c->material = false;
    kz_gather_leaves(f, product, false, true, &leaves);
    kz_gather_leaves(f, bias, false, false, &leaves);
    u->leaves = leaves;
    u->anchor = v;
    u->roots.n = 0;
    kz_count_reads(f, u, 1);
}

void kz_take_biases(kz_frame *f)
{
    for (uint32_t i = 0; i < f->units.n; i++) {
        kz_unit *u = &f->units.p[i];
        if (u->dead || u->anchor.i || u->roots.n != 1 || u->roots.p[0].has_dest) continue;
        ir_val v = u->roots.p[0].v;
        const ir_op *op = ir_op_of(f->g, v);
        if (op->kind != IR_MAP || op->at->fn != IR_FN_ADD) continue;
        for (int k = 0; k < 2; k++) {
            ir_val c = op->args[k], b = op->args[!k];
            kir_arg w;
            if (!is_plain_product(f, c, u)) continue;
            const ir_op *p = ir_op_of(f->g, c);
            bool same = ir_type_of(f->z->m, p->type)->dtype == ir_type_of(f->z->m, op->type)->dtype
                     && ir_elems(f->z->m, p->type) == ir_elems(f->z->m, op->type);
            if (!same || !kz_window(f, b, &w) || !is_row_vector(f, p, op->type, &w)) continue;
            if (!keeps_order(f, v, &w)) continue;
            take(f, i, c, b);
            break;
        }
    }
}

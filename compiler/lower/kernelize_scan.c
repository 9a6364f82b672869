/* kernelize_scan.c - a scan becomes a loop around its body.
 *
 * Carries live in buffers that the body reads; the next carry is written in place where nothing
 * later in the body needs the old one, else to a temporary that is copied at the body's end.
 * Stacked inputs and outputs are windows that move with the loop. Captures are the outer values.
 */
#include "compiler/lower/kernelize.h"

#include <string.h>

/* Where member k of a tuple is to be: its `get`'s place; made here if it has none yet. */
kir_arg kz_member_place(kz_frame *f, ir_val tuple, uint32_t member)
{
    kz *z = f->z;
    const ir_type_info *t = ir_type_of(z->m, ir_type_at(f->g, tuple));
    for (uint32_t v = tuple.i + 1; v < f->g->ops.n; v++) {
        const ir_op *op = &f->g->ops.p[v];
        kz_slot *s = &f->slot[v];
        if (op->kind != IR_GET || !ir_same(op->args[0], tuple) || op->at->member != member)
            continue;
        if (!s->uses) continue;
        uint32_t unit = f->slot[tuple.i].unit - 1;
        if (!s->placed) {
            s->place = kz_temp_for(f, (ir_val){v});
            s->placed = true;
        } else if (kz_read_later(f, unit, &s->place)) {
            kir_arg temp = kz_temp(z, kz_name(f, (ir_val){v}), op->type);
            dfm_push(z->a, &f->pending, ((kz_pending){temp, s->place}));
            s->place = temp;
        }
        return s->place;
    }
    return kz_temp(z, dfm_fmt(z->a, "%s.%u", kz_name(f, tuple), member), t->members[member]);
}

static bool is_used(const kz_frame *f, ir_val tuple, uint32_t member)
{
    for (uint32_t v = tuple.i + 1; v < f->g->ops.n; v++) {
        const ir_op *op = &f->g->ops.p[v];
        if (op->kind == IR_GET && ir_same(op->args[0], tuple) && op->at->member == member &&
            f->slot[v].uses)
            return true;
    }
    return false;
}

/* One layer of a stack: the loop's dim becomes a stride of the loop. */
static kir_arg slice(const kir_arg *stack, ir_dim loop, uint32_t depth)
{
    kir_arg a = *stack;
    a.rank = 0;
    for (uint32_t k = 0; k < stack->rank; k++) {
        if (ir_dim_same(stack->dims[k], loop)) {
            a.loop_stride[depth] += stack->stride[k];
            continue;
        }
        a.dims[a.rank] = stack->dims[k];
        a.stride[a.rank++] = stack->stride[k];
    }
    return a;
}

typedef struct loop {
    kz_frame *f, *body;
    ir_val v;
    const ir_scan *at;
    kir_arg *carry, *stack;
} loop;

static void place_formals(loop *l)
{
    kz_frame *f = l->f, *b = l->body;
    const ir_op *op = ir_op_of(f->g, l->v);
    const ir_scan *s = l->at;
    for (uint32_t k = 0; k + 1 < b->g->inputs.n; k++) {
        ir_val in = b->g->inputs.p[k + 1];
        kz_slot *slot = &b->slot[in.i];
        if (k < s->n_carry) {
            slot->place = kz_as(f->z, l->carry[k], ir_type_at(b->g, in));
            slot->placed = true;
        } else if (k < s->n_carry + s->n_xs) {
            kir_arg x = kz_operand(f, op->args[k]);
            x = slice(&x, s->loop, f->depth);
            slot->place = kz_as(f->z, x, ir_type_at(b->g, in));
            slot->placed = true;
        } else {
            slot->aliased = true;
            slot->alias = (kz_val){f, op->args[k]};
        }
    }
}

static bool is_same_place(const kir_arg *a, const kir_arg *b)
{
    return a->buf.i == b->buf.i && a->offset == b->offset
        && !memcmp(a->loop_stride, b->loop_stride, sizeof a->loop_stride);
}

static void place_results(loop *l, kir_arg *copy)
{
    kz_frame *b = l->body;
    const ir_scan *s = l->at;
    for (uint32_t k = 0; k < b->g->results.n; k++) {
        ir_val v = b->g->results.p[k].val;
        kz_slot *slot = &b->slot[v.i];
        ir_type t = ir_type_at(b->g, v);
        copy[k].buf.i = 0;
        if (k >= s->n_carry && !is_used(l->f, l->v, k)) continue;
        kir_arg dest = k < s->n_carry ? l->carry[k] : l->stack[k];
        if (k >= s->n_carry) dest = slice(&dest, s->loop, l->f->depth);
        dest = kz_as(l->f->z, dest, t);
        if (slot->placed && is_same_place(&slot->place, &dest)) continue;
        if (!slot->placed && !slot->aliased && dest.dtype == ir_type_of(l->f->z->m, t)->dtype) {
            slot->material = true;
            slot->placed = true;
            slot->place = dest;
        } else {
            copy[k] = dest;
        }
    }
}

void kz_emit_scan(kz_frame *f, ir_val v)
{
    kz *z = f->z;
    const ir_op *op = ir_op_of(f->g, v);
    const ir_scan *s = &op->at->scan;
    const ir_graph *g = z->m->graphs.p[s->body];
    if (f->depth >= KIR_MAX_LOOPS) {
        kz_fail(z, "more than %d nested repeats", KIR_MAX_LOOPS);
        return;
    }
    uint32_t n = s->n_carry + s->n_ys;
    kir_arg *places = dfm_new_n(z->a, kir_arg, n + 1), *copy = dfm_new_n(z->a, kir_arg, n + 1);
    for (uint32_t k = 0; k < n; k++) {
        if (k < s->n_carry || is_used(f, v, k)) places[k] = kz_member_place(f, v, k);
        if (k < s->n_carry) kz_emit_copy(f, op->args[k], &places[k]);
    }
    kir_node *node = dfm_new(z->a, kir_node);
    node->kind = KIR_NODE_LOOP;
    node->name = dfm_intern(z->m->names, kz_name(f, v));
    node->loc = op->loc;
    node->loop = (kir_loop){.dim = s->loop, .depth = f->depth, .reverse = s->reverse};
    loop l = {.f = f, .v = v, .at = s, .carry = places, .stack = places};
    l.body = kz_frame_new(z, f, g, f->depth + 1, &node->loop.body);
    place_formals(&l);
    dfm_push(z->a, f->out, node);
    bool *unused = dfm_new_n(z->a, bool, n + 1);
    for (uint32_t k = s->n_carry; k < n; k++) unused[k] = !is_used(f, v, k);
    l.body->unused = unused;
    kz_plan(l.body);
    place_results(&l, copy);
    kz_make_units(l.body);
    for (uint32_t k = 0; k < n; k++)
        if (copy[k].buf.i) kz_add_copy(l.body, g->results.p[k].val, &copy[k]);
    if (z->status == DFM_OK) kz_emit_frame(l.body);
}

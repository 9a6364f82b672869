/* kernelize.c - one K program per G program: frames, results, order of the units. */
#include "compiler/lower/kernelize.h"

#include <string.h>

kz_frame *kz_frame_new(kz *z, kz_frame *up, const ir_graph *g, uint32_t depth, kir_nodes *out)
{
    kz_frame *f = dfm_new(z->a, kz_frame);
    f->z = z;
    f->up = up;
    f->g = g;
    f->depth = depth;
    f->out = out;
    f->slot = dfm_new_n(z->a, kz_slot, g->ops.n + 1);
    return f;
}

/* -- schedule ---------------------------------------------------------------------------------- */

static bool overlap(const kz *z, const kir_arg *a, const kir_arg *b)
{
    int64_t lo[2], hi[2];
    const kir_arg *x[2] = {a, b};
    if (a->buf.i != b->buf.i) return false;
    if (memcmp(a->loop_stride, b->loop_stride, sizeof a->loop_stride)) return true;
    for (int k = 0; k < 2; k++) {
        lo[k] = hi[k] = x[k]->offset;
        for (uint32_t d = 0; d < x[k]->rank; d++) {
            int64_t span = (ir_extent(z->m, x[k]->dims[d]) - 1) * x[k]->stride[d];
            *(span < 0 ? &lo[k] : &hi[k]) += span;
        }
    }
    return lo[0] <= hi[1] && lo[1] <= hi[0];
}

/* Does unit u write element i of the window only after reading element i of the leaf? */
static bool element_wise(const kz_frame *f, const kz_unit *u, const kz_leaf *l, const kir_arg *dest)
{
    const ir_type_info *t = ir_type_of(f->z->m, ir_type_at(f->g, l->v));
    const kir_arg *p = &f->slot[l->v.i].place;
    if (u->anchor.i || !l->identity || t->rank != u->n_dims || p->offset != dest->offset)
        return false;
    for (uint32_t k = 0; k < p->rank; k++) {
        bool same = false;
        for (uint32_t j = 0; j < dest->rank; j++)
            same |= ir_dim_same(p->dims[k], dest->dims[j]) && p->stride[k] == dest->stride[j];
        if (!same) return false;
    }
    return p->rank == dest->rank;
}

bool kz_read_later(const kz_frame *f, uint32_t unit, const kir_arg *dest)
{
    for (uint32_t i = 0; i < f->units.n; i++) {
        const kz_unit *u = &f->units.p[i];
        if (u->dead || (u->emitted && i != unit)) continue;
        for (uint32_t k = 0; k < u->leaves.n; k++) {
            const kz_slot *s = &f->slot[u->leaves.p[k].v.i];
            if (!s->placed || s->unit == unit + 1 || !overlap(f->z, &s->place, dest)) continue;
            if (i == unit && element_wise(f, u, &u->leaves.p[k], dest)) continue;
            return true;
        }
    }
    return false;
}

static bool is_ready(const kz_frame *f, uint32_t unit)
{
    const kz_unit *u = &f->units.p[unit];
    for (uint32_t k = 0; k < u->leaves.n; k++) {
        uint32_t x = f->slot[u->leaves.p[k].v.i].unit;
        if (x && x != unit + 1 && !f->units.p[x - 1].emitted) return false;
    }
    return true;
}

/* Units that overwrite state wait until nothing else is left, so that its readers come first. */
static bool writes_state(const kz_frame *f, const kz_unit *u)
{
    for (uint32_t r = 0; r < u->roots.n; r++) {
        const kir_arg *d = u->roots.p[r].has_dest ? &u->roots.p[r].dest
                                                  : &f->slot[u->roots.p[r].v.i].place;
        if (d->buf.i && f->z->k->bufs.p[d->buf.i].mem == KIR_MEM_STATE) return true;
    }
    return false;
}

static void emit_units(kz_frame *f)
{
    for (;;) {
        uint32_t best = f->units.n;
        for (uint32_t i = 0; i < f->units.n; i++) {
            const kz_unit *u = &f->units.p[i], *b = best < f->units.n ? &f->units.p[best] : NULL;
            if (u->dead || u->emitted || !is_ready(f, i)) continue;
            if (!b || u->deferred < b->deferred || (u->deferred == b->deferred && u->key < b->key))
                best = i;
        }
        if (best == f->units.n) break;
        if (f->units.p[best].anchor.i) kz_emit_anchor(f, f->units.p[best].anchor);
        else kz_emit_group(f, best);
        f->units.p[best].emitted = !f->units.p[best].dead;       /* dead: it was split */
        if (f->z->status != DFM_OK) return;
    }
    for (uint32_t i = 0; i < f->units.n; i++)
        if (!f->units.p[i].dead && !f->units.p[i].emitted) kz_fail(f->z, "the units form a cycle");
    for (uint32_t i = 0; i < f->pending.n; i++)
        kz_copy_args(f, &f->pending.p[i].from, &f->pending.p[i].to, "write.back");
}

void kz_emit_frame(kz_frame *f)
{
    kz_take_biases(f);
    kz_fuse(f);
    for (uint32_t i = 0; i < f->units.n; i++)
        f->units.p[i].deferred = writes_state(f, &f->units.p[i]);
    emit_units(f);
}

/* -- programs ---------------------------------------------------------------------------------- */

static void add_input(kz *z, dfm_name name, const kir_arg *a, ir_type t)
{
    for (uint32_t i = 0; i < z->prog->inputs.n; i++)
        if (dfm_name_eq(z->prog->inputs.p[i].name, name)) return;
    dfm_push(z->a, &z->prog->inputs, ((kir_io){name, *a, t}));
}

static void place_input(kz_frame *f, ir_val v)
{
    kz *z = f->z;
    const ir_op *op = ir_op_of(f->g, v);
    kz_slot *s = &f->slot[v.i];
    const ir_input *in = &op->at->input;
    if (op->kind == IR_PARAM) {
        s->place = kz_param_arg(z, IR_STATE_W, op->at->param);
        s->placed = true;
        return;
    }
    if (op->kind != IR_INPUT || in->role == IR_ROLE_SCALAR || in->role == IR_ROLE_BODY) return;
    s->placed = true;
    if (in->role == IR_ROLE_STATE) {
        s->place =
            kz_state_arg(z, in->index / IR_STATE_STRIDE, in->index % IR_STATE_STRIDE, op->type, 0);
        return;
    }
    for (uint32_t i = 0; i < z->prog->inputs.n; i++) {
        if (!dfm_name_eq(z->prog->inputs.p[i].name, in->name)) continue;
        s->place = z->prog->inputs.p[i].arg;
        return;
    }
    const char *n = dfm_name_str(z->m->names, in->name);
    kir_buf b = kir_buffer_new(z->k, KIR_MEM_INPUT, dfm_fmt(z->a, "%s.in.%s", z->prog->name, n),
                               ir_type_of(z->m, op->type)->dtype, ir_elems(z->m, op->type));
    s->place = kz_dense(z, b, op->type);
    add_input(z, in->name, &s->place, op->type);
}

/* Draws that the user may give are buffers of their own, made by a node that can be skipped. */
static void place_draw(kz_frame *f, ir_val v)
{
    kz *z = f->z;
    const ir_op *op = ir_op_of(f->g, v);
    kz_slot *s = &f->slot[v.i];
    if (op->kind != IR_RANDOM || !op->at->random.name.i || !s->uses) return;
    dfm_name n = op->at->random.name;
    for (uint32_t i = 0; i < z->prog->inputs.n; i++)
        if (dfm_name_eq(z->prog->inputs.p[i].name, n)) return;       /* not by this name alone */
    kir_buf b =
        kir_buffer_new(z->k, KIR_MEM_INPUT,
                       dfm_fmt(z->a, "%s.draw.%s", z->prog->name, dfm_name_str(z->m->names, n)),
                       ir_type_of(z->m, op->type)->dtype, ir_elems(z->m, op->type));
    z->k->bufs.p[b.i].is_draw = true;
    s->place = kz_dense(z, b, op->type);
    s->placed = true;
    s->material = true;
    add_input(z, n, &s->place, op->type);
}

/* -- results ----------------------------------------------------------------------------------- */

static kir_arg result_place(kz_frame *f, uint32_t k)
{
    kz *z = f->z;
    ir_result r = f->g->results.p[k];
    ir_type t = ir_type_at(f->g, r.val);
    uint32_t index = z->ip->index ? z->ip->index[k] : 0;
    ir_target to = z->ip->to ? z->ip->to[k] : IR_TO_OUTPUT;
    if (to == IR_TO_GRAD) return kz_param_arg(z, IR_STATE_G, index);
    if (to == IR_TO_PARAM) return kz_param_arg(z, IR_STATE_W, index);
    if (to == IR_TO_STATE)
        return kz_state_arg(z, index / IR_STATE_STRIDE, index % IR_STATE_STRIDE, t, 0);
    const char *n = r.name.i ? dfm_name_str(z->m->names, r.name) : dfm_fmt(z->a, "out.%u", k);
    kir_buf b = kir_buffer_new(z->k, KIR_MEM_OUTPUT, dfm_fmt(z->a, "%s.out.%s", z->prog->name, n),
                               ir_type_of(z->m, t)->dtype, ir_elems(z->m, t));
    kir_arg a = kz_dense(z, b, t);
    dfm_push(z->a, &z->prog->outputs, ((kir_io){dfm_intern(z->m->names, n), a, t}));
    return a;
}

/* Whether v itself may be made in the result's memory (else it is copied there at the end). */
static bool can_take_place(const kz_frame *f, ir_val v, const kir_arg *dest)
{
    const kz_slot *s = &f->slot[v.i];
    return !s->placed && !s->aliased &&
           dest->dtype == ir_type_of(f->z->m, ir_type_at(f->g, v))->dtype;
}

static void place_result(kz_frame *f, uint32_t k, kir_arg *copy)
{
    ir_val v = f->g->results.p[k].val;
    kir_arg dest = kz_as(f->z, result_place(f, k), ir_type_at(f->g, v));
    copy->buf.i = 0;
    if (can_take_place(f, v, &dest)) {
        f->slot[v.i].material = true;
        f->slot[v.i].placed = true;
        f->slot[v.i].place = dest;
    } else {
        *copy = dest;
    }
}

static void emit_program(kz *z)
{
    const ir_graph *g = z->m->graphs.p[z->ip->graph];
    kz_frame *f = kz_frame_new(z, NULL, g, 0, &z->prog->nodes);
    f->keep_draws = z->ip->replace_draws;
    for (uint32_t v = 1; v < g->ops.n; v++) place_input(f, (ir_val){v});
    kz_plan(f);
    if (f->keep_draws)
        for (uint32_t v = 1; v < g->ops.n; v++) place_draw(f, (ir_val){v});
    uint32_t n = g->results.n;
    kir_arg *copy = dfm_new_n(z->a, kir_arg, n + 1);
    for (uint32_t k = 0; k < n; k++) place_result(f, k, &copy[k]);
    kz_make_units(f);
    for (uint32_t k = 0; k < n; k++)
        if (copy[k].buf.i) kz_add_copy(f, g->results.p[k].val, &copy[k]);
    if (z->status == DFM_OK) kz_emit_frame(f);
    if (z->status == DFM_OK) kz_join_epilogues(z);
}

dfm_status lower_kernelize(ir_module *ir, const kir_limits *limits, dfm_arena *a,
                           kir_remark_fn *remark, void *user, kir_module **out, dfm_err *err)
{
    kz z = {.m = ir, .lim = limits, .a = a, .remark = remark, .user = user, .err = err};
    z.k = kir_module_create(a, ir);
    for (uint32_t i = 0; i < ir->programs.n; i++) {
        z.ip = &ir->programs.p[i];
        z.prog = dfm_new(a, kir_program);
        z.prog->name = z.ip->name;
        dfm_push(a, &z.k->programs, z.prog);
        emit_program(&z);
        if (z.status != DFM_OK) {
            dfm_while(err, "making kernels of program '%s'", z.ip->name);
            return z.status;
        }
    }
    dfm_status st = kir_verify(z.k, err);
    if (st != DFM_OK) return st;
    *out = z.k;
    return DFM_OK;
}

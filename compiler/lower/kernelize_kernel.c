/* kernelize_kernel.c - a group of roots becomes a kernel, and kernels that combine partial sums.
 *
 * The space of a group is a set of dims. Lanes: what the row reductions reduce; else the innermost
 * dims, as far as column sums leave them; a single long dim is cut into rows of lane_target.
 * Sizes of blocks and cuts depend on shapes only, so results do not depend on the machine.
 */
#include "compiler/lower/kernelize.h"

#include <string.h>

enum {
    ENOUGH_LANES = 512,                      /* no more dims become lanes */
    MOST_LANES = 16384,
    BLOCK_ELEMS = 16384,                     /* of a block of rows */
    COLUMN_BLOCKS = 64,                      /* partial sums per kept row */
    COLUMN_ROWS = 8,                         /* least rows of such a block */
    SHORTEST_CUT = 16,
};

static kz_kernel *kernel_nameless(kz_frame *f, uint32_t unit, dfm_loc loc)
{
    kz_kernel *b = dfm_new(f->z->a, kz_kernel);
    b->z = f->z;
    b->f = f;
    b->unit = unit;
    b->k = dfm_new(f->z->a, kir_kernel);
    b->k->loc = loc;
    b->k->block = 1;
    return b;
}

static kz_kernel *kernel_new(kz_frame *f, uint32_t unit, const char *name, dfm_loc loc)
{
    kz_kernel *b = kernel_nameless(f, unit, loc);
    const char *base = dfm_fmt(f->z->a, "%s.%s", f->z->prog->name, name);
    b->k->name = kir_free_name(f->z->k, &f->z->kernel_names, base);
    return b;
}

static void kernel_done(kz_kernel *b)
{
    kz_finish_kernel(b);
    if (b->k->args.n > KIR_MAX_ARGS)
        kz_fail(b->z, "kernel '%s' has %u operands", dfm_name_str(b->z->m->names, b->k->name),
                b->k->args.n);
    kir_node *n = dfm_new(b->z->a, kir_node);
    n->kind = KIR_NODE_KERNEL;
    n->kernel = b->k;
    n->name = b->k->name;
    n->loc = b->k->loc;
    dfm_push(b->z->a, b->f->out, n);
    if (!b->unit)
        kz_note(b->z, b->k->loc, "kernel '%s' makes nothing new: it copies or combines results",
                dfm_name_str(b->z->m->names, b->k->name));
}

/* -- space ------------------------------------------------------------------------------------- */

/* Largest divisor of n up to twice the target. */
static int64_t cut_of(int64_t n, int64_t target)
{
    for (int64_t l = 2 * target; l >= SHORTEST_CUT; l--)
        if (n % l == 0) return l;
    return 0;
}

static void cut_last(kz_kernel *b, ir_dim d)
{
    ir_module *m = b->z->m;
    int64_t n = ir_extent(m, d),
            target = b->z->lim->lane_target > 0 ? b->z->lim->lane_target : 1024;
    int64_t l = cut_of(n, target);
    if (n <= 2 * target || !l) return;
    const char *name = ir_dim_str(m, d);
    b->cut = d;
    b->cut_row = ir_dim_new(m, dfm_intern(m->names, dfm_fmt(b->z->a, "%%%s.row", name)), n / l,
                            (dfm_loc){0});
    b->cut_lane = ir_dim_new(m, dfm_intern(m->names, dfm_fmt(b->z->a, "%%%s.lane", name)), l,
                             (dfm_loc){0});
}

static void add_row(kz_kernel *b, ir_dim d) { b->k->rows[b->k->n_rows++] = d; }

/* Which dims are lanes, in the order of u->dims; the others are rows. */
static void choose_lanes(const kz *z, const kz_unit *u, const kz_frame *f, bool *lane)
{
    int64_t n = 1;
    for (uint32_t i = 0; i < u->n_dims; i++) lane[i] = kz_has(u->lanes, u->n_lanes, u->dims[i]);
    if (u->n_lanes) return;
    for (uint32_t i = u->n_dims; i-- > 0;) {
        int64_t e = ir_extent(z->m, u->dims[i]);
        if (n >= ENOUGH_LANES || (n > 1 && n * e > MOST_LANES)) return;
        for (uint32_t r = 0; r < u->roots.n; r++)
            if (u->roots.p[r].kind == KZ_COLUMN &&
                ir_dim_at(z->m, ir_type_at(f->g, u->roots.p[r].v), u->dims[i]) < 0)
                return;
        lane[i] = true;
        n *= e;
    }
}

static bool kept_by_columns(const kz_frame *f, const kz_unit *u, ir_dim d)
{
    for (uint32_t r = 0; r < u->roots.n; r++)
        if (u->roots.p[r].kind == KZ_COLUMN &&
            ir_dim_at(f->z->m, ir_type_at(f->g, u->roots.p[r].v), d) >= 0)
            return true;
    return false;
}

/* Targets may take a few rows of a block at a time: blocks of whole fours, or eights. */
static int64_t whole_tiles(int64_t block, bool up)
{
    int64_t tile = block >= 16 ? 8 : 4;
    return block < tile ? block : (block + (up ? tile - 1 : 0)) / tile * tile;
}

static void set_space(kz_kernel *b, const kz_unit *u)
{
    kz *z = b->z;
    kir_kernel *k = b->k;
    bool lane[IR_MAX_RANK] = {false}, columns = false, flat = true;
    for (uint32_t r = 0; r < u->roots.n; r++) {
        columns |= u->roots.p[r].kind == KZ_COLUMN;
        flat &= u->roots.p[r].kind == KZ_STORE || u->roots.p[r].kind == KZ_SPLIT;
    }
    choose_lanes(z, u, b->f, lane);
    if (!u->n_lanes && flat && u->n_dims) cut_last(b, u->dims[u->n_dims - 1]);
    if (b->cut.i)
        for (uint32_t i = 0; i < u->n_dims; i++) lane[i] = false;
    for (uint32_t i = 0; columns && i < u->n_dims; i++)
        if (!lane[i] && kept_by_columns(b->f, u, u->dims[i])) add_row(b, u->dims[i]);
    k->n_keep = k->n_rows;
    for (uint32_t i = 0; i < u->n_dims; i++) {
        if (lane[i]) k->lanes[k->n_lanes++] = u->dims[i];
        else if (b->cut.i && ir_dim_same(b->cut, u->dims[i])) add_row(b, b->cut_row);
        else if (!kz_has(k->rows, k->n_rows, u->dims[i])) add_row(b, u->dims[i]);
    }
    if (b->cut.i) k->lanes[k->n_lanes++] = b->cut_lane;
    int64_t lanes = kir_lanes(z->m, k), kept = kz_extents(z, k->rows, k->n_keep);
    int64_t rest = kz_extents(z, k->rows + k->n_keep, k->n_rows - k->n_keep);
    k->block = BLOCK_ELEMS / (lanes ? lanes : 1);
    if (columns) {
        int64_t blocks = kept < COLUMN_BLOCKS ? COLUMN_BLOCKS / kept : 1;
        k->block = (rest + blocks - 1) / blocks;
        if (k->block < COLUMN_ROWS) k->block = COLUMN_ROWS;
    }
    k->block = whole_tiles(k->block, columns);
    if (k->block > rest) k->block = rest;
    if (k->block < 1) k->block = 1;
    if (columns)
        k->block_dim = ir_dim_new(z->m, dfm_intern(z->m->names, "%block"),
                                  (rest + k->block - 1) / k->block, (dfm_loc){0});
}

/* -- combining partial results ----------------------------------------------------------------- */

static ir_type type_of_dims(kz *z, dfm_dtype dt, const ir_dim *d, uint32_t n)
{
    return ir_tensor(z->m, dt, d, n);
}

void kz_combine(kz_frame *f, const kir_arg *partial, ir_reducer red, const kir_arg *dest,
                const char *name, dfm_loc loc)
{
    kz *z = f->z;
    kz_kernel *b = kernel_new(f, 0, dfm_fmt(z->a, "%s.combine", name), loc);
    kir_kernel *k = b->k;
    bool columns =
        partial->rank && kz_has(dest->dims, dest->rank, partial->dims[partial->rank - 1]);
    for (uint32_t i = 0; i < partial->rank; i++) {
        bool stays = kz_has(dest->dims, dest->rank, partial->dims[i]);
        bool last = true;                    /* no reduced dim follows */
        for (uint32_t j = i; j < partial->rank; j++)
            last &= kz_has(dest->dims, dest->rank, partial->dims[j]);
        if (columns ? last : !stays) k->lanes[k->n_lanes++] = partial->dims[i];
        else if (stays) add_row(b, partial->dims[i]);
    }
    const ir_ix *coords =
        kz_coords(b, type_of_dims(z, partial->dtype, partial->dims, partial->rank));
    if (columns) {
        k->n_keep = k->n_rows;
        for (uint32_t i = 0; i < partial->rank; i++)
            if (!kz_has(dest->dims, dest->rank, partial->dims[i])) add_row(b, partial->dims[i]);
        k->block = kz_extents(z, k->rows + k->n_keep, k->n_rows - k->n_keep);
        k->block_dim = ir_dim_new(z->m, dfm_intern(z->m->names, "%all"), 1, (dfm_loc){0});
    }
    kir_ref x = kz_load(b, partial, coords, 0, 0);
    dfm_dtype t = b->insts.p[x.i].inst.dtype;
    x = kz_add_inst(b, (kir_inst){.op = columns ? KIR_ACC : KIR_REDUCE, .dtype = t, .ref = {x},
                                  .red = columns ? IR_RED_NONE : red});
    kz_store(b, x, *dest);
    kernel_done(b);
}

/* -- roots ------------------------------------------------------------------------------------- */

/* A partial buffer over the rows that a root's result lacks. */
static kir_arg partials(kz_kernel *b, const kz_root *r, dfm_dtype dt)
{
    kz *z = b->z;
    const kir_kernel *k = b->k;
    ir_dim d[2 * IR_MAX_RANK];
    uint32_t n = 0;
    if (r->kind == KZ_COLUMN) {
        for (uint32_t i = 0; i < k->n_keep; i++) d[n++] = k->rows[i];
        d[n++] = k->block_dim;
        for (uint32_t i = 0; i < k->n_lanes; i++) d[n++] = k->lanes[i];
    } else {
        const ir_type_info *t = ir_type_of(z->m, ir_type_at(b->f->g, r->v));
        for (uint32_t i = 0; i < k->n_rows; i++)
            if (kz_has(t->dims, t->rank, k->rows[i])) d[n++] = k->rows[i];
        for (uint32_t i = 0; i < k->n_rows; i++)
            if (!kz_has(t->dims, t->rank, k->rows[i])) d[n++] = k->rows[i];
    }
    if (n > IR_MAX_RANK) kz_fail(z, "too many dims in a partial sum");
    return kz_temp(z, dfm_fmt(z->a, "%s.partial", kz_name(b->f, r->v)), type_of_dims(z, dt, d, n));
}

/* Column sums whose only block covers everything need no partials, nor do reductions of a long dim
 * that could not be cut. */
static bool is_whole(const kz_kernel *b, const kz_root *r)
{
    const ir_type_info *t = ir_type_of(b->z->m, ir_type_at(b->f->g, r->v));
    bool column = r->kind == KZ_COLUMN;
    if (column && ir_extent(b->z->m, b->k->block_dim) != 1) return false;
    for (uint32_t i = 0; i < (column ? b->k->n_keep : b->k->n_rows); i++)
        if (!kz_has(t->dims, t->rank, b->k->rows[i]) && ir_extent(b->z->m, b->k->rows[i]) > 1)
            return false;
    return true;
}

static void add_root(kz_kernel *b, const kz_root *r, const kir_arg *dest, kir_arg *partial)
{
    kz_val x = {b->f, r->v};
    const ir_op *op = kz_op(x);
    partial->buf.i = 0;
    if (r->kind == KZ_STORE || r->kind == KZ_ROW || r->has_dest) {
        kir_ref v = kz_pull(b, x, kz_coords(b, op->type), 0);
        if (dest->buf.i) kz_store(b, v, *dest);
        return;
    }
    kir_ref v;
    if (r->kind == KZ_SPLIT) {
        v = kz_pull(b, x, kz_coords(b, op->type), 0);
    } else {
        v = kz_pull(b, (kz_val){b->f, op->args[0]}, kz_coords(b, ir_type_at(b->f->g, op->args[0])),
                    0);
        v = kz_add_inst(b, (kir_inst){.op = KIR_ACC, .dtype = DFM_F32, .ref = {v}});
    }
    *partial = is_whole(b, r) ? *dest : partials(b, r, b->insts.p[v.i].inst.dtype);
    kz_store(b, v, *partial);
    if (is_whole(b, r)) partial->buf.i = 0;
}

/* -- groups ------------------------------------------------------------------------------------ */

/* Where a root's value goes; buf {0}: nowhere, all its users are in the group. */
static kir_arg destination(kz_frame *f, uint32_t unit, const kz_root *r)
{
    kz *z = f->z;
    kz_unit *u = &f->units.p[unit];
    kz_slot *s = &f->slot[r->v.i];
    kir_arg none = {0}, dest = r->has_dest ? r->dest : s->place;
    ir_type t = ir_type_at(f->g, r->v);
    if (!r->has_dest && !s->placed) {
        if (!kz_read_by_others(f, r->v, u, NULL)) return none;
        s->place = kz_temp_for(f, r->v);
        s->placed = true;
        return s->place;
    }
    if (!kz_read_later(f, unit, &dest)) return dest;
    kir_arg temp = kz_temp(z, kz_name(f, r->v), t);
    kz_note(z, kz_loc(f, r->v), "'%s' is written to memory that is read later: copied",
            kz_name(f, r->v));
    dfm_push(z->a, &f->pending, ((kz_pending){temp, dest}));
    if (!r->has_dest) s->place = temp;
    return temp;
}

static const char *group_name(const kz_frame *f, const kz_unit *u)
{
    for (uint32_t i = u->roots.n; i-- > 0;)
        if (ir_op_of(f->g, u->roots.p[i].v)->name.i) return kz_name(f, u->roots.p[i].v);
    return kz_name(f, u->roots.p[u->roots.n - 1].v);
}

static bool in_place(const kz_kernel *b)
{
    for (uint32_t i = 0; i < b->k->args.n; i++)
        for (uint32_t j = 0; j < b->k->args.n; j++)
            if (b->k->args.p[i].write && !b->k->args.p[j].write &&
                b->k->args.p[i].buf.i == b->k->args.p[j].buf.i)
                return true;
    return false;
}

/* Would the group be a kernel with more operands than there may be? Views can make several of one
 * value, so this is known only when the loads are there. */
static bool is_too_wide(kz_frame *f, uint32_t unit)
{
    const kz_unit *u = &f->units.p[unit];
    uint32_t n = u->roots.n;
    if (n < 2) return false;
    kz_kernel *b = kernel_nameless(f, unit + 1, (dfm_loc){0});
    set_space(b, u);
    for (uint32_t i = 0; i < n; i++) {
        const kz_root *r = &u->roots.p[i];
        const ir_op *op = ir_op_of(f->g, r->v);
        ir_val v = r->kind == KZ_COLUMN ? op->args[0] : r->v;
        kz_pull(b, (kz_val){f, v}, kz_coords(b, ir_type_at(f->g, v)), 0);
    }
    return b->k->args.n + n > KIR_MAX_ARGS;
}

void kz_emit_group(kz_frame *f, uint32_t unit)
{
    kz *z = f->z;
    if (is_too_wide(f, unit)) {
        kz_split_unit(f, unit);
        return;
    }
    uint32_t n = f->units.p[unit].roots.n;
    kir_arg *dest = dfm_new_n(z->a, kir_arg, n), *partial = dfm_new_n(z->a, kir_arg, n);
    for (uint32_t i = 0; i < n; i++) dest[i] = destination(f, unit, &f->units.p[unit].roots.p[i]);
    const kz_unit *u = &f->units.p[unit];
    kz_root first = u->roots.p[0];
    kz_kernel *b = kernel_new(f, unit + 1, group_name(f, u), kz_loc(f, u->roots.p[n - 1].v));
    set_space(b, u);
    for (uint32_t i = 0; i < n; i++) add_root(b, &u->roots.p[i], &dest[i], &partial[i]);
    b->stores_last = in_place(b);
    kernel_done(b);
    kz_remark_kernel(f, unit, b->k);
    const ir_op *op = ir_op_of(f->g, first.v);
    if (f->keep_draws && n == 1 && op->kind == IR_RANDOM && op->at->random.name.i)
        f->out->p[f->out->n - 1]->replaces = op->at->random.name;
    for (uint32_t i = 0; i < n; i++) {
        const kz_root *r = &f->units.p[unit].roots.p[i];
        if (!partial[i].buf.i) continue;
        ir_reducer red = ir_op_of(f->g, r->v)->at->reduce.kind;
        kir_arg p = partial[i];
        p.write = false;
        kz_combine(f, &p, red, &dest[i], kz_name(f, r->v), kz_loc(f, r->v));
    }
}

/* -- copies ------------------------------------------------------------------------------------ */

static bool dense_alike(const kz *z, const kir_arg *a, const kir_arg *b)
{
    int64_t stride = 1;
    if (a->dtype != b->dtype || a->rank != b->rank) return false;
    for (uint32_t k = a->rank; k-- > 0;) {
        int64_t e = ir_extent(z->m, a->dims[k]);
        if (!ir_dim_same(a->dims[k], b->dims[k])) return false;
        if (e > 1 && (a->stride[k] != stride || b->stride[k] != stride)) return false;
        stride *= e;
    }
    return true;
}

/* to = from, element by element; both over the same dims. */
void kz_copy_args(kz_frame *f, const kir_arg *from, const kir_arg *to, const char *name)
{
    kz *z = f->z;
    if (dense_alike(z, from, to)) {
        kir_node *n = dfm_new(z->a, kir_node);
        n->kind = KIR_NODE_COPY;
        n->name = dfm_intern(z->m->names, name);
        n->copy = (kir_copy){*from, *to, kz_extents(z, from->dims, from->rank)};
        n->copy.src.write = false;
        n->copy.dst.write = true;
        dfm_push(z->a, f->out, n);
        return;
    }
    kz_unit u = {.n_dims = to->rank};
    memcpy(u.dims, to->dims, to->rank * sizeof to->dims[0]);
    kz_kernel *b = kernel_new(f, 0, name, (dfm_loc){0});
    set_space(b, &u);
    ir_type t = type_of_dims(z, from->dtype, from->dims, from->rank);
    kz_store(b, kz_load(b, from, kz_coords(b, t), 0, 0), *to);
    kernel_done(b);
}

/* dest = v at once, whatever v is; dest has v's dims. */
void kz_emit_copy(kz_frame *f, ir_val v, const kir_arg *dest)
{
    kir_arg w;
    if (kz_window(f, v, &w)) {
        kir_arg d = kz_as(f->z, *dest, ir_type_at(f->g, v));
        if (w.buf.i == d.buf.i && w.offset == d.offset &&
            !memcmp(w.stride, d.stride, w.rank * sizeof w.stride[0]) &&
            !memcmp(w.loop_stride, d.loop_stride, sizeof w.loop_stride))
            return;
        kz_copy_args(f, &w, &d, kz_name(f, v));
        return;
    }
    const ir_type_info *t = ir_type_of(f->z->m, ir_type_at(f->g, v));
    kz_unit u = {.n_dims = t->rank};
    memcpy(u.dims, t->dims, t->rank * sizeof t->dims[0]);
    kz_kernel *b = kernel_new(f, 0, kz_name(f, v), kz_loc(f, v));
    set_space(b, &u);
    kir_ref x = kz_pull(b, (kz_val){f, v}, kz_coords(b, ir_type_at(f->g, v)), 0);
    kz_store(b, x, kz_as(f->z, *dest, ir_type_at(f->g, v)));
    kernel_done(b);
}

/* kernelize_fuse.c - merges groups of roots into kernels.
 *
 * A producer joins its consumer where every read is element-wise at the same indices and both walk
 * over the same space; a row value joins the group whose rows it is over. Siblings that read one
 * large value in the same space join too. What a group may not do: read its own column sums, leave
 * the group and come back (a cycle), reduce over different lanes, or have too many streams.
 */
#include "compiler/lower/kernelize.h"

#include <string.h>

static kz_unit *unit_of(kz_frame *f, ir_val v)
{
    uint32_t u = f->slot[v.i].unit;
    return u ? &f->units.p[u - 1] : NULL;
}

static bool same_set(const ir_dim *a, uint32_t n, const ir_dim *b, uint32_t m)
{
    if (n != m) return false;
    for (uint32_t i = 0; i < n; i++)
        if (!kz_has(b, m, a[i])) return false;
    return true;
}

/* -- spaces ------------------------------------------------------------------------------------ */

typedef struct space {
    uint32_t n_dims, n_lanes;
    ir_dim dims[IR_MAX_RANK], lanes[IR_MAX_RANK];
} space;

static space space_of(const kz_unit *u)
{
    space s = {.n_dims = u->n_dims, .n_lanes = u->n_lanes};
    memcpy(s.dims, u->dims, sizeof s.dims);
    memcpy(s.lanes, u->lanes, sizeof s.lanes);
    return s;
}

/* Are b's dims exactly the rows of a, which has row reductions? */
static bool over_rows(const space *a, const space *b)
{
    if (!a->n_lanes || b->n_lanes || b->n_dims + a->n_lanes != a->n_dims) return false;
    for (uint32_t i = 0; i < b->n_dims; i++)
        if (!kz_has(a->dims, a->n_dims, b->dims[i]) || kz_has(a->lanes, a->n_lanes, b->dims[i]))
            return false;
    return true;
}

static bool all_stores(const kz_unit *u)
{
    for (uint32_t i = 0; i < u->roots.n; i++)
        if (u->roots.p[i].kind != KZ_STORE) return false;
    return true;
}

static bool join_spaces(const kz_unit *p, const kz_unit *c, space *out)
{
    space a = space_of(p), b = space_of(c);
    if (same_set(a.dims, a.n_dims, b.dims, b.n_dims)) {
        if (a.n_lanes && b.n_lanes && !same_set(a.lanes, a.n_lanes, b.lanes, b.n_lanes))
            return false;
        *out = b;
        if (!b.n_lanes) {
            memcpy(out->lanes, a.lanes, sizeof a.lanes);
            out->n_lanes = a.n_lanes;
        }
        return true;
    }
    if (over_rows(&a, &b) && all_stores(c)) return *out = a, true;
    if (over_rows(&b, &a) && all_stores(p)) return *out = b, true;
    return false;
}

/* Rows that a column sum keeps must nest, so that one order of rows serves all; lanes must stay. */
static bool columns_fit(const kz_frame *f, const kz_unit *p, const kz_unit *c, const space *s)
{
    const kz_unit *const u[2] = {p, c};
    const ir_type_info *kept[64];
    uint32_t n = 0;
    bool flat_split = false;
    for (int k = 0; k < 2; k++)
        for (uint32_t i = 0; i < u[k]->roots.n; i++) {
            const kz_root *r = &u[k]->roots.p[i];
            if (r->kind == KZ_SPLIT && !u[k]->n_lanes) {
                flat_split = true;           /* the dim that it reduces is to be cut: the last */
                ir_dim last = s->dims[s->n_dims - 1];
                if (!ir_dim_same(ir_op_of(f->g, r->v)->at->reduce.dims[0], last)) return false;
            }
            if (r->kind != KZ_COLUMN) continue;
            if (n == DFM_LEN(kept)) return false;
            kept[n++] = ir_type_of(f->z->m, ir_type_at(f->g, r->v));
        }
    if (flat_split && (n || s->n_lanes)) return false;
    int64_t lanes = s->n_lanes ? kz_extents(f->z, s->lanes, s->n_lanes)
                    : s->n_dims ? ir_extent(f->z->m, s->dims[s->n_dims - 1]) : 1;
    if (n && lanes > KZ_ACC_ELEMS / n) return false;
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t l = 0; l < s->n_lanes; l++)
            if (!kz_has(kept[i]->dims, kept[i]->rank, s->lanes[l])) return false;
    if (n && !s->n_lanes)                    /* the innermost dim is a lane: all sums keep it */
        for (uint32_t i = 0; i < n; i++)
            if (!kz_has(kept[i]->dims, kept[i]->rank, s->dims[s->n_dims - 1])) return false;
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t j = 0; j < n; j++) {
            bool i_in_j = true, j_in_i = true;
            for (uint32_t d = 0; d < kept[i]->rank; d++)
                i_in_j &= kz_has(kept[j]->dims, kept[j]->rank, kept[i]->dims[d]);
            for (uint32_t d = 0; d < kept[j]->rank; d++)
                j_in_i &= kz_has(kept[i]->dims, kept[i]->rank, kept[j]->dims[d]);
            if (!i_in_j && !j_in_i) return false;
        }
    return true;
}

/* -- paths ------------------------------------------------------------------------------------- */

static bool reaches(kz_frame *f, kz_unit *from, const kz_unit *to)
{
    if (from == to) return true;
    if (from->mark == f->search) return false;
    from->mark = f->search;
    for (uint32_t i = 0; i < from->leaves.n; i++) {
        kz_unit *x = unit_of(f, from->leaves.p[i].v);
        if (x && x != from && reaches(f, x, to)) return true;
    }
    return false;
}

/* Does c depend on p by a way around, through a third unit? */
static bool path_around(kz_frame *f, const kz_unit *p, const kz_unit *c)
{
    f->search++;
    for (uint32_t i = 0; i < c->leaves.n; i++) {
        kz_unit *x = unit_of(f, c->leaves.p[i].v);
        if (x && x != p && x != c && reaches(f, x, p)) return true;
    }
    return false;
}

static bool depends(kz_frame *f, kz_unit *c, const kz_unit *p)
{
    f->search++;
    return reaches(f, c, p);
}

/* -- merging ----------------------------------------------------------------------------------- */

static bool reads(const kz_unit *u, ir_val v)
{
    for (uint32_t k = 0; u && !u->dead && k < u->leaves.n; k++)
        if (ir_same(u->leaves.p[k].v, v)) return true;
    return false;
}

bool kz_read_by_others(const kz_frame *f, ir_val v, const kz_unit *p, const kz_unit *c)
{
    uint32_t n = f->slot[v.i].readers;
    if (n > 2) return true;                  /* a unit has a leaf once */
    return n > (uint32_t)reads(p, v) + (c != p && reads(c, v));
}

/* Operands of the merged kernel that are not scalars. */
static uint32_t streams(kz_frame *f, const kz_unit *p, const kz_unit *c)
{
    const kz_unit *const u[2] = {p, c};
    uint32_t n = 0;
    for (int k = 0; k < 2; k++) {
        for (uint32_t i = 0; i < u[k]->roots.n; i++) {
            const kz_root *r = &u[k]->roots.p[i];
            n += r->has_dest || f->slot[r->v.i].placed || r->kind == KZ_COLUMN ||
                 r->kind == KZ_SPLIT || kz_read_by_others(f, r->v, p, c);
        }
        for (uint32_t i = 0; i < u[k]->leaves.n; i++) {
            ir_val v = u[k]->leaves.p[i].v;
            const kz_unit *x = unit_of(f, v);
            bool both = false;
            for (uint32_t j = 0; k == 1 && j < p->leaves.n; j++)
                both |= ir_same(p->leaves.p[j].v, v);
            n += !both && x != p && x != c && ir_type_of(f->z->m, ir_type_at(f->g, v))->rank;
        }
    }
    return n;
}

static bool keeps_draw(const kz_frame *f, const kz_unit *u)
{
    for (uint32_t i = 0; i < u->roots.n; i++)
        if (f->keep_draws && ir_op_of(f->g, u->roots.p[i].v)->kind == IR_RANDOM) return true;
    return false;
}

static const kz_root *root_of(const kz_unit *u, ir_val v)
{
    for (uint32_t i = 0; i < u->roots.n; i++)
        if (ir_same(u->roots.p[i].v, v) && !u->roots.p[i].has_dest) return &u->roots.p[i];
    return NULL;
}

/* Every read of p's results by c is at the same indices and of a kind that a kernel can give. */
static bool reads_fit(kz_frame *f, const kz_unit *p, const kz_unit *c)
{
    for (uint32_t i = 0; i < c->leaves.n; i++) {
        const kz_leaf *l = &c->leaves.p[i];
        if (unit_of(f, l->v) != p) continue;
        const kz_root *r = root_of(p, l->v);
        if (!l->identity || !r || r->kind == KZ_COLUMN || r->kind == KZ_SPLIT) return false;
    }
    return true;
}

/* Why the two may not be one kernel, or NULL. */
static const char *objection(kz_frame *f, const kz_unit *p, const kz_unit *c, space *s)
{
    if (p->anchor.i || c->anchor.i) return "3.1: one of them stands alone";
    if (keeps_draw(f, p) || keeps_draw(f, c)) return "3.6: the draw may be replaced";
    if (!reads_fit(f, p, c)) return "3.4: it is not read where it is made";
    if (!join_spaces(p, c, s) || !columns_fit(f, p, c, s)) return "3.2: they walk differently";
    if (streams(f, p, c) > f->z->lim->max_streams) return "3.5: too many streams";
    if (path_around(f, p, c)) return "3.3: a path leaves the kernel and returns";
    return NULL;
}

static void merge(kz_frame *f, kz_unit *p, kz_unit *c, const space *s)
{
    kz_unit m = *c;
    memset(&m.roots, 0, sizeof m.roots);
    for (uint32_t i = 0; i < p->roots.n; i++) dfm_push(f->z->a, &m.roots, p->roots.p[i]);
    for (uint32_t i = 0; i < c->roots.n; i++) dfm_push(f->z->a, &m.roots, c->roots.p[i]);
    for (uint32_t i = 0; i < p->leaves.n; i++) {
        bool known = false;
        for (uint32_t j = 0; j < m.leaves.n; j++) {
            if (!ir_same(m.leaves.p[j].v, p->leaves.p[i].v)) continue;
            m.leaves.p[j].identity &= p->leaves.p[i].identity;
            known = true;
        }
        if (!known) dfm_push(f->z->a, &m.leaves, p->leaves.p[i]);
    }
    memcpy(m.dims, s->dims, sizeof m.dims);
    memcpy(m.lanes, s->lanes, sizeof m.lanes);
    m.n_dims = s->n_dims;
    m.n_lanes = s->n_lanes;
    m.key = p->key > c->key ? p->key : c->key;
    uint32_t at = (uint32_t)(c - f->units.p);
    for (uint32_t i = 0; i < p->roots.n; i++)
        if (!p->roots.p[i].has_dest) f->slot[p->roots.p[i].v.i].unit = at + 1;
    kz_count_reads(f, p, -1);
    kz_count_reads(f, c, -1);
    kz_count_reads(f, &m, 1);
    p->dead = true;
    *c = m;
}

static void absorb_producers(kz_frame *f, uint32_t at)
{
    for (uint32_t i = 0; i < f->units.p[at].leaves.n; i++) {
        kz_unit *c = &f->units.p[at], *p = unit_of(f, c->leaves.p[i].v);
        space s;
        if (!p || p == c || p->dead) continue;
        if (objection(f, p, c, &s)) continue;
        merge(f, p, c, &s);
        i = (uint32_t)-1;                    /* its leaves have changed: from the start */
    }
}

/* Do both read, element by element, a value as large as their space? */
static bool share_large(const kz_frame *f, const kz_unit *a, const kz_unit *b)
{
    int64_t space_elems = kz_extents(f->z, a->dims, a->n_dims);
    for (uint32_t i = 0; i < a->leaves.n; i++)
        for (uint32_t j = 0; j < b->leaves.n; j++) {
            if (!ir_same(a->leaves.p[i].v, b->leaves.p[j].v)) continue;
            int64_t n = (int64_t)ir_elems(f->z->m, ir_type_at(f->g, a->leaves.p[i].v));
            if (n >= space_elems && a->leaves.p[i].identity && b->leaves.p[j].identity) return true;
        }
    return false;
}

static void merge_siblings(kz_frame *f, uint32_t at)
{
    for (uint32_t k = 0; k < at; k++) {
        kz_unit *a = &f->units.p[k], *b = &f->units.p[at];
        space s;
        if (a->dead || a->anchor.i || b->anchor.i || a->n_dims != b->n_dims) continue;
        if (!share_large(f, a, b) || depends(f, a, b) || depends(f, b, a)) continue;
        if (!objection(f, a, b, &s)) merge(f, a, b, &s);
    }
}

const char *kz_why_apart(kz_frame *f, const kz_unit *p, const kz_unit *c)
{
    space s;
    return objection(f, p, c, &s);
}

void kz_fuse(kz_frame *f)
{
    for (uint32_t i = 0; i < f->units.n; i++)
        if (!f->units.p[i].dead) absorb_producers(f, i);
    for (uint32_t i = 0; i < f->units.n; i++)
        if (!f->units.p[i].dead) merge_siblings(f, i);
}

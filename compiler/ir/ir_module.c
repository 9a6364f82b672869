/* ir_module.c - the module and its interned dims and types. */
#include "compiler/ir/ir_impl.h"

#include <string.h>

#include "runtime/base/hash.h"

int64_t ir_sat_add(int64_t a, int64_t b)
{
    int64_t r;
    if (!__builtin_add_overflow(a, b, &r)) return r;
    return a < 0 ? INT64_MIN : INT64_MAX;
}

int64_t ir_sat_mul(int64_t a, int64_t b)
{
    int64_t r;
    if (!__builtin_mul_overflow(a, b, &r)) return r;
    return (a < 0) == (b < 0) ? INT64_MAX : INT64_MIN;
}

int64_t ir_floor_div(int64_t a, int64_t c) { return a / c - (a % c < 0); }
int64_t ir_floor_mod(int64_t a, int64_t c) { return a % c + (a % c < 0 ? c : 0); }

ir_module *ir_module_create(dfm_arena *a, dfm_names *names)
{
    ir_module *m = dfm_new(a, ir_module);
    m->arena = a;
    m->names = names;
    m->intern = dfm_new(a, struct ir_intern);
    dfm_push(a, &m->dims, (ir_dim_info){0});
    dfm_push(a, &m->types, (ir_type_info){0});
    dfm_push(a, &m->ixs, (ir_ix_node){0});
    dfm_push(a, &m->graphs, NULL);
    dfm_push(a, &m->intern->next_alias, 0);
    m->model = m->train = m->sampler = m->variant = m->precision = "";
    return m;
}

/* -- dims ------------------------------------------------------------------------------------ */

ir_dim ir_dim_add(ir_module *m, const ir_dim_info *info)
{
    struct ir_intern *t = m->intern;
    uint32_t i = m->dims.n;
    dfm_push(m->arena, &m->dims, *info);
    dfm_push(m->arena, &t->next_alias, 0);
    while (t->dim_of_name.n <= info->name.i) dfm_push(m->arena, &t->dim_of_name, 0);
    t->dim_of_name.p[info->name.i] = i;
    if (info->alias_of.i) {                  /* at the end of its chain */
        uint32_t last = info->alias_of.i;
        while (t->next_alias.p[last]) last = t->next_alias.p[last];
        t->next_alias.p[last] = i;
    }
    return (ir_dim){i};
}

ir_dim ir_dim_find(const ir_module *m, dfm_name name)
{
    const struct ir_intern *t = m->intern;
    return (ir_dim){name.i && name.i < t->dim_of_name.n ? t->dim_of_name.p[name.i] : 0};
}

static dfm_name primed(ir_module *m, dfm_name name)
{
    const char *s = dfm_name_str(m->names, name);
    return dfm_intern(m->names, dfm_fmt(m->arena, "%s'", s));
}

ir_dim ir_dim_new(ir_module *m, dfm_name name, int64_t extent, dfm_loc loc)
{
    DFM_ASSERT(name.i && extent >= 1);
    for (;; name = primed(m, name)) {
        ir_dim d = ir_dim_find(m, name);
        if (!d.i) break;
        const ir_dim_info *info = &m->dims.p[d.i];
        if (info->extent == extent && !info->alias_of.i) return d;
    }
    return ir_dim_add(m, &(ir_dim_info){.name = name, .extent = extent, .loc = loc});
}

ir_dim ir_dim_alias(ir_module *m, ir_dim d)
{
    DFM_ASSERT(d.i && d.i < m->dims.n);
    if (m->intern->next_alias.p[d.i]) return (ir_dim){m->intern->next_alias.p[d.i]};
    ir_dim_info info = m->dims.p[d.i];
    if (!info.alias_of.i) info.alias_of = d;
    do info.name = primed(m, info.name);
    while (ir_dim_find(m, info.name).i);
    return ir_dim_add(m, &info);
}

ir_dim ir_dim_nth_alias(ir_module *m, ir_dim d, uint32_t n)
{
    while (n--) d = ir_dim_alias(m, d);
    return d;
}

const char *ir_dim_str(const ir_module *m, ir_dim d)
{
    if (!d.i || d.i >= m->dims.n) return "?";
    return dfm_name_str(m->names, m->dims.p[d.i].name);
}

int64_t ir_extent(const ir_module *m, ir_dim d) { return m->dims.p[d.i].extent; }

/* -- types ----------------------------------------------------------------------------------- */

static uint64_t type_hash(const ir_type_info *t)
{
    uint64_t seed = (uint64_t)t->dtype << 8 | t->is_tuple;
    if (t->is_tuple) return dfm_hash64(t->members, t->n_members * sizeof *t->members, seed);
    return dfm_hash64(t->dims, t->rank * sizeof *t->dims, seed);
}

static bool type_same(const ir_type_info *a, const ir_type_info *b)
{
    if (a->is_tuple != b->is_tuple || a->dtype != b->dtype || a->rank != b->rank
        || a->n_members != b->n_members)
        return false;
    if (a->is_tuple)
        return !a->n_members || !memcmp(a->members, b->members, a->n_members * sizeof *a->members);
    return !a->rank || !memcmp(a->dims, b->dims, a->rank * sizeof *a->dims);
}

static void types_rehash(ir_module *m)
{
    ir_slots *s = &m->intern->types;
    s->n = s->n ? s->n * 2 : 256;
    s->p = dfm_new_n(m->arena, uint32_t, s->n);
    for (uint32_t i = 1; i < m->types.n; i++) {
        uint64_t h = type_hash(&m->types.p[i]);
        while (s->p[h & (s->n - 1)]) h++;
        s->p[h & (s->n - 1)] = i;
    }
}

static ir_type type_intern(ir_module *m, const ir_type_info *t)
{
    ir_slots *s = &m->intern->types;
    if (m->types.n * 2 >= s->n) types_rehash(m);
    uint64_t h = type_hash(t);
    for (; s->p[h & (s->n - 1)]; h++) {
        uint32_t i = s->p[h & (s->n - 1)];
        if (type_same(&m->types.p[i], t)) return (ir_type){i};
    }
    ir_type_info own = *t;
    if (t->is_tuple) own.members = dfm_dup(m->arena, t->members, t->n_members * sizeof(ir_type));
    s->p[h & (s->n - 1)] = m->types.n;
    dfm_push(m->arena, &m->types, own);
    return (ir_type){m->types.n - 1};
}

ir_type ir_tensor(ir_module *m, dfm_dtype dt, const ir_dim *dims, uint32_t rank)
{
    DFM_ASSERT(rank <= IR_MAX_RANK);
    ir_type_info t = {.dtype = dt, .rank = (uint8_t)rank};
    for (uint32_t i = 0; i < rank; i++) {
        DFM_ASSERT(dims[i].i && dims[i].i < m->dims.n);
        for (uint32_t j = 0; j < i; j++) DFM_ASSERT(dims[j].i != dims[i].i);
        t.dims[i] = dims[i];
    }
    return type_intern(m, &t);
}

ir_type ir_tuple(ir_module *m, const ir_type *members, uint32_t n)
{
    return type_intern(m, &(ir_type_info){.is_tuple = true, .members = members, .n_members = n});
}

const ir_type_info *ir_type_of(const ir_module *m, ir_type t) { return &m->types.p[t.i]; }

static int find_dim(const ir_type_info *t, ir_dim d)
{
    for (int i = 0; i < t->rank; i++)
        if (t->dims[i].i == d.i) return i;
    return -1;
}

int ir_dim_at(const ir_module *m, ir_type t, ir_dim d) { return find_dim(ir_type_of(m, t), d); }
bool ir_has_dim(const ir_type_info *t, ir_dim d) { return find_dim(t, d) >= 0; }

uint64_t ir_elems(const ir_module *m, ir_type t)
{
    const ir_type_info *ti = ir_type_of(m, t);
    uint64_t n = 1;
    for (int i = 0; i < ti->rank; i++)
        if (__builtin_mul_overflow(n, (uint64_t)ir_extent(m, ti->dims[i]), &n)) return UINT64_MAX;
    return n;
}

ir_type ir_with_dtype(ir_module *m, ir_type t, dfm_dtype dt)
{
    ir_type_info ti = *ir_type_of(m, t);
    return ir_tensor(m, dt, ti.dims, ti.rank);
}

ir_type ir_without_dims(ir_module *m, ir_type t, const ir_dim *dims, uint32_t n)
{
    const ir_type_info *ti = ir_type_of(m, t);
    ir_dim kept[IR_MAX_RANK];
    uint32_t rank = 0;
    for (int i = 0; i < ti->rank; i++) {
        bool drop = false;
        for (uint32_t k = 0; k < n; k++) drop |= dims[k].i == ti->dims[i].i;
        if (!drop) kept[rank++] = ti->dims[i];
    }
    return ir_tensor(m, ti->dtype, kept, rank);
}

ir_type ir_union(ir_module *m, dfm_dtype dt, ir_type a, ir_type b)
{
    const ir_type_info *ta = ir_type_of(m, a), *tb = ir_type_of(m, b);
    ir_dim dims[2 * IR_MAX_RANK];
    uint32_t rank = 0;
    for (int i = 0; i < ta->rank; i++) dims[rank++] = ta->dims[i];
    for (int i = 0; i < tb->rank; i++)
        if (!ir_has_dim(ta, tb->dims[i])) dims[rank++] = tb->dims[i];
    return ir_tensor(m, dt, dims, rank);
}

ir_graph *ir_graph_scratch(ir_module *m)
{
    ir_graph *g = dfm_new(m->arena, ir_graph);
    g->cse = dfm_new(m->arena, struct ir_cse);
    dfm_push(m->arena, &g->ops, (ir_op){0});
    return g;
}

ir_graph *ir_graph_create(ir_module *m, const char *name, uint32_t *out_index)
{
    ir_graph *g = ir_graph_scratch(m);
    g->name = dfm_intern(m->names, name);
    if (out_index) *out_index = m->graphs.n;
    dfm_push(m->arena, &m->graphs, g);
    return g;
}

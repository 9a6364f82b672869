/* cpu_access.c - the accesses of a kernel: levels, addresses, merged lanes, what varies by row. */
#include "codegen/cpu/cpu_kernel.h"

void cpu_line_start(emitter *em)
{
    for (int i = 0; i < em->indent; i++) dfm_sb_puts(em->out, "    ");
}

int cpu_find_dim(const ir_dim *dims, uint32_t n, ir_dim d)
{
    for (uint32_t i = 0; i < n; i++)
        if (dims[i].i == d.i) return (int)i;
    return -1;
}

static const kir_indirect *indirect_of(const kir_kernel *k, ir_dim d)
{
    for (uint32_t i = 0; i < k->indirect.n; i++)
        if (k->indirect.p[i].dim.i == d.i) return &k->indirect.p[i];
    return NULL;
}

const char *cpu_value_at(const emitter *em, kir_ref r)
{
    const kir_inst *in = kir_at(em->k, r);
    const kir_section *s = em->here;
    bool elsewhere = s && (r.i < s->first || r.i >= s->first + s->n);
    if (in->op == KIR_ACC) return dfm_fmt(em->a, "acc%u[lane]", r.i);
    if (elsewhere && in->keep && in->op != KIR_REDUCE)
        return dfm_fmt(em->a, "%s[lane]", cpu_name(em, "keep", r.i));
    return cpu_name(em, "v", r.i);
}

const char *cpu_dim_in_scope(void *user, ir_dim d)
{
    emitter *em = user;
    const kir_indirect *ind = indirect_of(em->k, d);
    if (ind) return cpu_value_at(em, ind->value);
    DFM_ASSERT(em->dim_text[d.i] != NULL);
    if (em->row && d.i == em->tile_dim.i)
        return dfm_fmt(em->a, "(%s + %d)", em->dim_text[d.i], em->row);
    return em->dim_text[d.i];
}

/* Which levels an index expression depends on: bit 0 rows or block, bit 1 lanes. */
static unsigned ix_levels(const emitter *em, ir_ix x)
{
    const ir_ix_node *n = ir_ix_of(em->ir, x);
    const kir_kernel *k = em->k;
    if (n->kind == IX_CONST) return 0;
    if (n->kind == IX_VAR) {
        if (cpu_find_dim(k->lanes, k->n_lanes, n->var) >= 0) return 2;
        const kir_indirect *ind = indirect_of(k, n->var);
        if (ind) return em->level[ind->value.i] == 2 ? 2 : 1;
        return 1;
    }
    return ix_levels(em, n->a) | (n->kind == IX_ADD ? ix_levels(em, n->b) : 0);
}

/* Uses of single lane dims that merging must respect. */
static void ix_lane_uses(const emitter *em, ir_ix x, bool used[KIR_MAX_RANK])
{
    const ir_ix_node *n = ir_ix_of(em->ir, x);
    if (n->kind == IX_CONST) return;
    if (n->kind == IX_VAR) {
        int l = cpu_find_dim(em->k->lanes, em->k->n_lanes, n->var);
        if (l >= 0) used[l] = true;
        return;
    }
    ix_lane_uses(em, n->a, used);
    if (n->kind == IX_ADD) ix_lane_uses(em, n->b, used);
}

static bool add_affine(emitter *em, access *ac, ir_ix x, int64_t stride)
{
    ir_dim dims[KIR_MAX_RANK];
    int64_t coef[KIR_MAX_RANK], c;
    uint32_t n;
    const kir_kernel *k = em->k;
    if (!ir_ix_affine(em->ir, x, dims, coef, KIR_MAX_RANK, &n, &c)) return false;
    for (uint32_t i = 0; i < n; i++)
        if (cpu_find_dim(k->rows, k->n_rows, dims[i]) < 0 &&
            cpu_find_dim(k->lanes, k->n_lanes, dims[i]) < 0 && dims[i].i != k->block_dim.i)
            return false;                               /* an indirect dim */
    ac->c += c * stride;
    for (uint32_t i = 0; i < n; i++) {
        int r = cpu_find_dim(k->rows, k->n_rows, dims[i]);
        int l = cpu_find_dim(k->lanes, k->n_lanes, dims[i]);
        if (r >= 0) ac->row[r] += coef[i] * stride;
        else if (l >= 0) ac->lane[l] += coef[i] * stride;
        else ac->block += coef[i] * stride;
    }
    return true;
}

static void analyse_accesses(emitter *em)
{
    const kir_kernel *k = em->k;
    for (uint32_t i = 1; i < k->insts.n; i++) {
        const kir_inst *in = &k->insts.p[i];
        if (in->op != KIR_LOAD && in->op != KIR_STORE) continue;
        const kir_arg *arg = &k->args.p[in->arg];
        access *ac = &em->acc[i];
        for (uint32_t d = 0; d < arg->rank; d++) {
            if (add_affine(em, ac, in->coords[d], arg->stride[d])) continue;
            ac->opaque = true;
            if (ix_levels(em, in->coords[d]) & 2) ac->opaque_lane = true;
        }
    }
}

/* Level of every instruction: the deepest section or operand it depends on. */
static void assign_levels(emitter *em)
{
    const kir_kernel *k = em->k;
    for (uint32_t s = 0; s < k->sections.n; s++) {
        const kir_section *sec = &k->sections.p[s];
        for (uint32_t i = sec->first; i < sec->first + sec->n; i++)
            em->level[i] = sec->kind == KIR_ROW ? 1 : 2;
    }
}

static void merge_lanes(emitter *em)
{
    const kir_kernel *k = em->k;
    bool alone[KIR_MAX_RANK] = {false};                 /* must keep its own loop variable */
    bool joined[KIR_MAX_RANK] = {false};                /* lane l is merged with l + 1 */
    for (uint32_t i = 1; i < k->insts.n; i++) {
        const kir_inst *in = &k->insts.p[i];
        if (in->op == KIR_INDEX) ix_lane_uses(em, in->ix, alone);
        if (in->op != KIR_LOAD && in->op != KIR_STORE) continue;
        for (uint32_t c = 0; c < in->n_conds; c++) ix_lane_uses(em, in->guard[c].e, alone);
        const kir_arg *arg = &k->args.p[in->arg];
        access probe = {0};
        for (uint32_t d = 0; d < arg->rank; d++)
            if (!add_affine(em, &probe, in->coords[d], 0)) ix_lane_uses(em, in->coords[d], alone);
    }
    for (uint32_t l = 0; l + 1 < k->n_lanes; l++) {
        int64_t inner = ir_extent(em->ir, k->lanes[l + 1]);
        joined[l] = !alone[l] && !alone[l + 1];
        for (uint32_t i = 1; i < k->insts.n && joined[l]; i++)
            if ((k->insts.p[i].op == KIR_LOAD || k->insts.p[i].op == KIR_STORE) &&
                em->level[i] == 2)
                joined[l] = em->acc[i].lane[l] == em->acc[i].lane[l + 1] * inner;
    }
    em->n_groups = 0;
    int64_t extent = 1;
    for (uint32_t l = 0; l < k->n_lanes; l++) {
        extent *= ir_extent(em->ir, k->lanes[l]);
        if (l + 1 < k->n_lanes && joined[l]) continue;
        em->group_last[em->n_groups] = l;
        em->group_extent[em->n_groups++] = extent;
        extent = 1;
    }
    for (uint32_t g = 0; g < em->n_groups; g++) {
        uint32_t l = em->group_last[g];
        if (ir_extent(em->ir, k->lanes[l]) == em->group_extent[g])
            em->dim_text[k->lanes[l].i] = dfm_fmt(em->a, "l%u", g);
    }
}

/* -- variation --------------------------------------------------------------------------------- */

static bool ix_varies(const emitter *em, ir_ix x)
{
    const ir_ix_node *n = ir_ix_of(em->ir, x);
    if (n->kind == IX_CONST) return false;
    if (n->kind == IX_VAR) {
        const kir_indirect *ind = indirect_of(em->k, n->var);
        return ind ? em->varies[ind->value.i] : n->var.i == em->tile_dim.i;
    }
    return ix_varies(em, n->a) || (n->kind == IX_ADD && ix_varies(em, n->b));
}

void cpu_find_variation(emitter *em)
{
    const kir_kernel *k = em->k;
    for (uint32_t i = 1; i < k->insts.n; i++) {
        const kir_inst *in = &k->insts.p[i];
        bool v = in->op == KIR_INDEX && ix_varies(em, in->ix);
        for (int r = 0; r < 3; r++)
            if (in->ref[r].i && in->ref[r].i < i) v |= em->varies[in->ref[r].i];
        if (in->op == KIR_LOAD || in->op == KIR_STORE)
            for (uint32_t d = 0; d < k->args.p[in->arg].rank; d++)
                v |= ix_varies(em, in->coords[d]);
        for (uint32_t c = 0; c < in->n_conds; c++) v |= ix_varies(em, in->guard[c].e);
        em->varies[i] = v && em->tile_dim.i && in->op != KIR_ACC;
    }
}

/* -- addresses --------------------------------------------------------------------------------- */

static void opaque_text(emitter *em, uint32_t i, unsigned want_lane)
{
    const kir_inst *in = &em->k->insts.p[i];
    const kir_arg *arg = &em->k->args.p[in->arg];
    access probe = {0};
    for (uint32_t d = 0; d < arg->rank; d++) {
        if (add_affine(em, &probe, in->coords[d], 0)) continue;
        if ((ix_levels(em, in->coords[d]) >> 1) != want_lane) continue;
        OUT(" + (int64_t)(");
        cpu_index_text(em->out, em->ir, in->coords[d], cpu_dim_in_scope, em);
        OUT(") * %" PRId64, arg->stride[d]);
    }
}

/* The part of an address that is the same for all lanes, as an int64_t expression. */
void cpu_row_address(emitter *em, uint32_t i)
{
    const access *ac = &em->acc[i];
    OUT("%" PRId64, ac->c);
    for (uint32_t r = 0; r < em->k->n_rows; r++)
        if (ac->row[r])
            OUT(" + (int64_t)%s * %" PRId64, cpu_dim_in_scope(em, em->k->rows[r]), ac->row[r]);
    if (ac->block) OUT(" + (int64_t)part * %" PRId64, ac->block);
    if (ac->opaque) opaque_text(em, i, 0);
}

void cpu_lane_address(emitter *em, uint32_t i)
{
    const access *ac = &em->acc[i];
    const char *plus = "";
    for (uint32_t g = 0; g < em->n_groups; g++) {
        int64_t c = ac->lane[em->group_last[g]];
        if (!c) continue;
        if (c == 1) OUT("%sl%u", plus, g);
        else OUT("%s(int64_t)l%u * %" PRId64, plus, g, c);
        plus = " + ";
    }
    if (ac->opaque_lane) {
        if (!*plus) OUT("0");
        opaque_text(em, i, 1);
    } else if (!*plus)
        OUT("0");
}

void cpu_analyse(emitter *em)
{
    assign_levels(em);
    analyse_accesses(em);
    merge_lanes(em);
}

/* plan_verify_steps.c - programs, steps, operands, matrix products, kernels. */
#include "runtime/plan/plan_verify_impl.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

enum { MAX_TRIPS = 1 << 20, MAX_KERNEL_OPERANDS = 4096, MAX_PROGRAMS = 256,
       MAX_PROGRAM_IO = 1024 };

typedef struct program_check {
    const plan_program *prog;
    uint32_t depth;
    uint32_t open[PLAN_MAX_LOOPS];           /* loop steps */
} program_check;

/* -- operands ---------------------------------------------------------------------------------- */

static uint64_t region_bytes(const verifier *v, const program_check *c, uint32_t region)
{
    return region == v->arena ? c->prog->arena_bytes : v->p->regions[region].bytes;
}

static dfm_status check_operand(const verifier *v, const program_check *c, uint64_t i)
{
    const plan *p = v->p;
    const plan_operand *o = &p->operands[i];
    if (o->region == UINT32_MAX) {
        PLAN_RULE(!o->flags && !o->offset && !o->span && !o->zero && !o->loop_stride[0] &&
                      !o->loop_stride[1] && !o->loop_stride[2] && !o->loop_stride[3],
                  "OPND", i, "an absent operand has values");
        return DFM_OK;
    }
    PLAN_RULE(o->region < p->n_regions && !o->zero, "OPND", i, "its region does not exist");
    PLAN_RULE(o->flags && !(o->flags & ~3u), "OPND", i, "it is neither read nor written");
    PLAN_RULE(o->region != v->consts || o->flags == PLAN_READ, "OPND", i, "it writes a constant");
    /* Lowest and highest byte over all iterations of the open loops. */
    int64_t lo = 0, hi = 0, reach;
    for (uint32_t j = 0; j < PLAN_MAX_LOOPS; j++) {
        int64_t stride = o->loop_stride[j];
        if (!stride) continue;
        PLAN_RULE(j < c->depth, "OPND", i, "it moves with a loop that is not open");
        int64_t last = (int64_t)p->steps[c->open[j]].value - 1;
        PLAN_RULE(!__builtin_mul_overflow(stride, last, &reach) &&
                      !__builtin_add_overflow(reach, reach < 0 ? lo : hi, reach < 0 ? &lo : &hi),
                  "OPND", i, "its loop strides overflow");
    }
    uint64_t size = region_bytes(v, c, o->region), end;
    PLAN_RULE(size <= INT64_MAX && o->offset <= size && (uint64_t) - (uint64_t)lo <= o->offset,
              "OPND", i, "it begins outside its region");
    PLAN_RULE(!__builtin_add_overflow(o->offset, o->span, &end) &&
                  !__builtin_add_overflow(end, (uint64_t)hi, &end) && end <= size,
              "OPND", i, "it ends outside its region");
    return DFM_OK;
}

/* -- steps ------------------------------------------------------------------------------------- */

/* Bytes from an operand's start that a product touches; false if that overflows. */
static bool gemm_reach(const plan_gemm *g, const int64_t s[4], int64_t rows, int64_t cols,
                       uint32_t d, uint64_t *out)
{
    const int64_t extent[4] = {g->batch[0], g->batch[1], rows, cols};
    uint64_t last = 0, part;
    for (int i = 0; i < 4; i++) {
        if (s[i] < 0 || extent[i] < 1) return false;
        if (__builtin_mul_overflow((uint64_t)s[i], (uint64_t)extent[i] - 1, &part)) return false;
        if (__builtin_add_overflow(last, part, &last)) return false;
    }
    return !__builtin_add_overflow(last, 1, &last) &&
           !__builtin_mul_overflow(last, dfm_dtype_bytes(d), out);
}

static bool gemm_fits(const plan_operand *o, uint64_t reach, uint32_t access, uint32_t d)
{
    return o->region != UINT32_MAX && o->span >= reach && (o->flags & access) &&
           o->offset % dfm_dtype_bytes(d) == 0;
}

static dfm_status check_gemm_step(const verifier *v, const plan_step *s, uint64_t i)
{
    const plan *p = v->p;
    PLAN_RULE(s->item < p->n_gemms, "STEP", i, "its matrix product does not exist");
    const plan_gemm *g = &p->gemms[s->item];
    const plan_operand *o = &p->operands[s->first_operand];
    uint64_t ra, rb, rc;
    bool ok = gemm_reach(g, g->sa, g->m, g->k, g->da, &ra) &&
              gemm_reach(g, g->sb, g->k, g->n, g->db, &rb) &&
              gemm_reach(g, g->sc, g->m, g->n, g->dc, &rc);
    PLAN_RULE(ok, "GEMM", s->item, "extents or strides are negative or too large");
    PLAN_RULE(gemm_fits(&o[0], ra, PLAN_READ, g->da) && gemm_fits(&o[1], rb, PLAN_READ, g->db) &&
                  gemm_fits(&o[2], rc, PLAN_WRITE, g->dc),
              "STEP", i, "an operand is smaller than the product needs");
    PLAN_RULE((o[3].region != UINT32_MAX) == (g->has_bias != 0), "STEP", i,
              "it has a bias that the product does not, or the reverse");
    if (g->has_bias)
        PLAN_RULE(!__builtin_mul_overflow((uint64_t)g->n, 4, &rc) &&
                      gemm_fits(&o[3], rc, PLAN_READ, DFM_F32),
                  "STEP", i, "its bias is too small");
    if (g->scratch_bytes)
        PLAN_RULE(o[4].region != UINT32_MAX && o[4].span >= g->scratch_bytes &&
                      (o[4].flags & PLAN_WRITE),
                  "STEP", i, "its scratch is too small");
    return DFM_OK;
}

static dfm_status check_work(const verifier *v, const program_check *c, const plan_step *s,
                             uint64_t i)
{
    const plan *p = v->p;
    for (uint32_t k = 0; k < s->n_operands; k++)
        DFM_TRY(check_operand(v, c, (uint64_t)s->first_operand + k));
    const plan_operand *o = s->n_operands ? &p->operands[s->first_operand] : NULL;
    PLAN_RULE(!s->depth && !s->reverse, "STEP", i, "only loops have depth and direction");
    if (s->kind == PLAN_STEP_CALL) {
        PLAN_RULE(s->item < p->n_kernels, "STEP", i, "its kernel does not exist");
        PLAN_RULE(s->n_operands == p->kernels[s->item].n_operands && !s->value, "STEP", i,
                  "its kernel takes another number of operands");
    }
    if (s->kind == PLAN_STEP_COPY) {
        PLAN_RULE(s->n_operands == 2 && !s->item && o[0].region != UINT32_MAX &&
                      o[1].region != UINT32_MAX,
                  "STEP", i, "a copy has two operands");
        PLAN_RULE(s->value <= o[0].span && s->value <= o[1].span && (o[0].flags & PLAN_READ) &&
                      (o[1].flags & PLAN_WRITE),
                  "STEP", i, "it copies more than its operands hold");
    }
    if (s->kind != PLAN_STEP_GEMM) return DFM_OK;
    PLAN_RULE(s->n_operands == 5 && !s->value, "STEP", i, "a matrix product has five operands");
    return check_gemm_step(v, s, i);
}

static dfm_status check_step(const verifier *v, program_check *c, uint64_t i)
{
    const plan *p = v->p;
    const plan_step *s = &p->steps[i];
    PLAN_RULE(plan_str_ok(p, s->replaces) && plan_str_ok(p, s->where) && plan_str_ok(p, s->name) &&
                  !s->zero,
              "STEP", i, "a text does not exist");
    PLAN_RULE(s->first_operand <= p->n_operands &&
                  s->n_operands <= p->n_operands - s->first_operand,
              "STEP", i, "its operands do not exist");
    if (s->kind == PLAN_STEP_LOOP) {
        PLAN_RULE(c->depth < PLAN_MAX_LOOPS, "STEP", i, "loops are nested too deeply");
        PLAN_RULE(!s->n_operands && !s->item && !s->replaces && s->depth == c->depth &&
                      s->reverse <= 1,
                  "STEP", i, "a loop's depth or direction is wrong");
        PLAN_RULE(s->value >= 1 && s->value <= MAX_TRIPS, "STEP", i,
                  "a loop's trip count is wrong");
        c->open[c->depth++] = (uint32_t)i;
        return DFM_OK;
    }
    if (s->kind == PLAN_STEP_END) {
        PLAN_RULE(c->depth > 0 && s->value == c->open[c->depth - 1] && s->item == s->value &&
                      s->depth == c->depth - 1 && !s->n_operands && !s->replaces && !s->reverse,
                  "STEP", i, "it does not end the innermost loop");
        c->depth--;
        return DFM_OK;
    }
    PLAN_RULE(s->kind == PLAN_STEP_CALL || s->kind == PLAN_STEP_GEMM || s->kind == PLAN_STEP_COPY,
              "STEP", i, "unknown kind");
    return check_work(v, c, s, i);
}

/* -- programs ---------------------------------------------------------------------------------- */

static bool cost_ok(double x) { return isfinite(x) && x >= 0; }

static dfm_status check_program_io(const verifier *v, const plan_program *g, uint32_t i)
{
    const plan *p = v->p;
    PLAN_RULE(g->n_io <= MAX_PROGRAM_IO, "PROG", i, "it has too many inputs and outputs");
    PLAN_RULE(g->first_io <= p->n_io && g->n_io <= p->n_io - g->first_io, "PROG", i,
              "its inputs and outputs do not exist");
    bool outputs = false;
    for (uint32_t k = g->first_io; k < g->first_io + g->n_io; k++) {
        const plan_io *io = &p->io[k];
        bool output = io->flags & PLAN_IO_OUTPUT;
        PLAN_RULE(output || !outputs, "PROG", i, "an input comes after an output");
        PLAN_RULE(io->offset + io->bytes <= g->arena_bytes, "PROG", i,
                  "an input or output lies outside its arena");
        for (uint32_t j = g->first_io; j < k; j++)
            PLAN_RULE(p->io[j].name != io->name ||
                          (p->io[j].flags & PLAN_IO_OUTPUT) != (io->flags & PLAN_IO_OUTPUT),
                      "PROG", i, "two inputs or outputs have one name");
        outputs = outputs || output;
    }
    return DFM_OK;
}

static dfm_status check_program(const verifier *v, uint32_t i, uint32_t *next_step)
{
    const plan *p = v->p;
    const plan_program *g = &p->programs[i];
    PLAN_RULE(plan_name_ok(p, g->name), "PROG", i, "its name does not exist");
    for (uint32_t k = 0; k < i; k++)
        PLAN_RULE(strcmp(plan_text(p, p->programs[k].name), plan_text(p, g->name)) != 0, "PROG", i,
                  "another one has its name");
    PLAN_RULE(g->first_step == *next_step && g->n_steps <= p->n_steps - g->first_step, "PROG", i,
              "its steps do not follow those before");
    *next_step += g->n_steps;
    PLAN_RULE(g->first_scalar <= p->n_scalars && g->n_scalars <= p->n_scalars - g->first_scalar,
              "PROG", i, "its scalars do not exist");
    PLAN_RULE(!g->zero[0] && !g->zero[1] && cost_ok(g->flops) && cost_ok(g->bytes), "PROG", i,
              "reserved values or costs are wrong");
    PLAN_RULE(v->arena == UINT32_MAX ? !g->arena_bytes
                                     : g->arena_bytes <= p->regions[v->arena].bytes,
              "PROG", i, "its arena is larger than the plan's");
    DFM_TRY(check_program_io(v, g, i));
    program_check c = {.prog = g};
    for (uint64_t k = g->first_step; k < (uint64_t)g->first_step + g->n_steps; k++)
        DFM_TRY(check_step(v, &c, k));
    PLAN_RULE(c.depth == 0, "PROG", i, "a loop has no end");
    return DFM_OK;
}

static bool symbol_ok(const char *s)
{
    if (!isalpha((unsigned char)*s) && *s != '_') return false;
    for (; *s; s++)
        if (!isalnum((unsigned char)*s) && *s != '_') return false;
    return true;
}

static bool product_type(uint32_t d) { return d == DFM_F32 || d == DFM_BF16; }

dfm_status plan_verify_steps(const verifier *v)
{
    const plan *p = v->p;
    for (uint32_t i = 0; i < p->n_kernels; i++) {
        const plan_kernel *k = &p->kernels[i];
        PLAN_RULE(plan_name_ok(p, k->symbol) && symbol_ok(plan_text(p, k->symbol)), "KIDX", i,
                  "its symbol is no name of a function");
        PLAN_RULE(plan_str_ok(p, k->name) && plan_str_ok(p, k->where), "KIDX", i,
                  "a text does not exist");
        PLAN_RULE(k->n_operands <= MAX_KERNEL_OPERANDS && cost_ok(k->flops) && cost_ok(k->bytes),
                  "KIDX", i, "operands or costs are wrong");
    }
    for (uint32_t i = 0; i < p->n_gemms; i++) {
        const plan_gemm *g = &p->gemms[i];
        PLAN_RULE(product_type(g->da) && product_type(g->db) && product_type(g->dc) &&
                      g->has_bias <= 1,
                  "GEMM", i, "element types must be f32 or bf16");
    }
    for (uint32_t i = 0; i < p->n_scalars; i++)
        PLAN_RULE(plan_name_ok(p, p->scalars[i]), "SCAL", i, "its name does not exist");
    PLAN_RULE(p->n_programs <= MAX_PROGRAMS, "PROG", p->n_programs, "there are too many programs");
    uint32_t next = 0;
    for (uint32_t i = 0; i < p->n_programs; i++) DFM_TRY(check_program(v, i, &next));
    PLAN_RULE(next == p->n_steps, "STEP", next, "it belongs to no program");
    return DFM_OK;
}

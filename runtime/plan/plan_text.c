/* plan_text.c - plans for readers: everything (`dis`) and what it needs (`info`). */
#include "runtime/plan/plan_impl.h"

#include <inttypes.h>
#include <string.h>

const char *plan_step_name(uint32_t kind)
{
    static const char *const names[PLAN_STEP_COUNT] = {
#define PSTEP(id, name, n, doc) [PLAN_STEP_##id] = name,
#include "runtime/plan/plan_ops.def"
#undef PSTEP
    };
    return kind < PLAN_STEP_COUNT && names[kind] ? names[kind] : "?";
}

static void human_count(double x, char out[32])
{
    static const char *const unit[] = {" ", " k", " M", " G", " T", " P", " E"};
    size_t u = 0;
    while (x >= 1000 && u + 1 < DFM_LEN(unit)) { x /= 1000; u++; }
    snprintf(out, 32, u ? "%.2f%s" : "%.0f%s", x, unit[u]);
}

/* "f32[B=8, 4]" */
static void put_io_type(const plan *p, const plan_io *io, dfm_sb *out)
{
    dfm_sb_puts(out, dfm_dtype_name(io->dtype));
    if (io->rank == 0) return;
    for (uint32_t i = 0; i < io->rank; i++) {
        const char *dim = plan_text(p, io->dims[i]);
        dfm_sb_printf(out, "%s%s%s%" PRId64, i ? ", " : "[", dim, *dim ? "=" : "", io->shape[i]);
    }
    dfm_sb_puts(out, "]");
}

static const char *io_role(const plan_io *io)
{
    return io->flags & PLAN_IO_FORMAL ? "formal" : io->flags & PLAN_IO_DATA ? "data"
           : io->flags & PLAN_IO_DRAW ? "draw" : "output";
}

static void put_io(const plan *p, const plan_io *io, dfm_sb *out)
{
    dfm_sb_printf(out, "  %-7s %s: ", io_role(io), plan_text(p, io->name));
    put_io_type(p, io, out);
    dfm_sb_printf(out, "  arena+0x%" PRIx64, io->offset);
    if (io->source) dfm_sb_printf(out, "  from \"%s\"", plan_text(p, io->source));
    if (io->pad_dim) dfm_sb_printf(out, "  padded %s", plan_text(p, io->pad_dim));
    if (io->modulus) dfm_sb_printf(out, "  0..%d", io->modulus - 1);
    if (io->flags & PLAN_IO_BATCH) dfm_sb_puts(out, "  per sample");
    dfm_sb_puts(out, "\n");
}

static void put_region(const plan *p, uint32_t i, dfm_sb *out)
{
    const plan_region *r = &p->regions[i];
    if (r->kind == PLAN_REGION_ARENA) dfm_sb_puts(out, "arena");
    else if (r->kind == PLAN_REGION_CONST) dfm_sb_puts(out, "const");
    else dfm_sb_printf(out, "%s:%u", plan_text(p, p->states[r->state].name), r->flat);
}

static void put_operand(const plan *p, const plan_operand *o, dfm_sb *out)
{
    if (o->region == UINT32_MAX) {
        dfm_sb_puts(out, " -");
        return;
    }
    dfm_sb_puts(out, o->flags == PLAN_READ ? " " : o->flags == PLAN_WRITE ? " >" : " <>");
    put_region(p, o->region, out);
    dfm_sb_printf(out, "+0x%" PRIx64 ":%" PRIu64, o->offset, o->span);
    for (int j = 0; j < PLAN_MAX_LOOPS; j++)
        if (o->loop_stride[j]) dfm_sb_printf(out, "%+" PRId64 "*i%d", o->loop_stride[j], j);
}

static void put_step(const plan *p, uint32_t i, int depth, dfm_sb *out)
{
    const plan_step *s = &p->steps[i];
    dfm_sb_printf(out, "  %5u %*s%s", i, 2 * depth, "", plan_step_name(s->kind));
    if (s->kind == PLAN_STEP_LOOP)
        dfm_sb_printf(out, " i%u %" PRIu64 " times%s", s->depth, s->value,
                      s->reverse ? ", down" : "");
    if (s->kind == PLAN_STEP_CALL) dfm_sb_printf(out, " #%u %s", s->item,
                                                 plan_text(p, p->kernels[s->item].symbol));
    if (s->kind == PLAN_STEP_GEMM) {
        const plan_gemm *g = &p->gemms[s->item];
        dfm_sb_printf(out, " #%u %" PRId64 "x%" PRId64 " of %" PRId64 "x%" PRId64 "x%" PRId64,
                      s->item, g->batch[0], g->batch[1], g->m, g->n, g->k);
    }
    if (s->kind == PLAN_STEP_COPY) dfm_sb_printf(out, " %" PRIu64, s->value);
    for (uint32_t k = 0; k < s->n_operands; k++)
        put_operand(p, &p->operands[s->first_operand + k], out);
    if (s->replaces) dfm_sb_printf(out, "  unless %s is given", plan_text(p, s->replaces));
    if (s->name || s->where)
        dfm_sb_printf(out, "  ; %s %s", plan_text(p, s->name), plan_text(p, s->where));
    dfm_sb_puts(out, "\n");
}

static void put_program(const plan *p, const plan_program *g, dfm_sb *out)
{
    char arena[32], flops[32], bytes[32];
    human_count(g->flops, flops);
    dfm_sb_printf(out, "\nprogram %s: arena %s, %sFLOP, %s moved, %u steps\n",
                  plan_text(p, g->name), dfm_human_bytes(g->arena_bytes, arena), flops,
                  dfm_human_bytes((uint64_t)(g->bytes < 1e18 ? g->bytes : 1e18), bytes),
                  g->n_steps);
    for (uint32_t i = 0; i < g->n_io; i++) put_io(p, &p->io[g->first_io + i], out);
    for (uint32_t i = 0; i < g->n_scalars; i++)
        dfm_sb_printf(out, "  scalar  %s\n", plan_text(p, p->scalars[g->first_scalar + i]));
    int depth = 0;
    for (uint32_t i = g->first_step; i < g->first_step + g->n_steps; i++) {
        if (p->steps[i].kind == PLAN_STEP_END) depth--;
        put_step(p, i, depth, out);
        if (p->steps[i].kind == PLAN_STEP_LOOP) depth++;
    }
}

static void put_param(const plan *p, const plan_param *q, dfm_sb *out)
{
    dfm_sb_printf(out, "  %s: %s[", plan_text(p, q->published), dfm_dtype_name(q->dtype));
    for (uint32_t k = 0; k < q->rank; k++)
        dfm_sb_printf(out, "%s%" PRId64, k ? ", " : "", q->shape[k]);
    dfm_sb_printf(out, "]  flat %u + %" PRIu64, q->flat, q->offset);
    if (strcmp(plan_text(p, q->published), plan_text(p, q->path)) != 0)
        dfm_sb_printf(out, "  = %s", plan_text(p, q->path));
    if (q->flags & PLAN_PARAM_BUFFER) dfm_sb_puts(out, "  buffer");
    else if (!(q->flags & PLAN_PARAM_TRAINABLE)) dfm_sb_puts(out, "  frozen");
    dfm_sb_puts(out, "\n");
}

void plan_print(const plan *p, dfm_sb *out)
{
    char id[33];
    dfm_sb_printf(out, "plan %s format %d.%d\nmeta %.*s\n\nregions\n", dfm_hash128_hex(p->id, id),
                  PLAN_MAJOR, PLAN_MINOR, (int)p->n_meta, p->meta ? p->meta : "");
    for (uint32_t i = 0; i < p->n_regions; i++) {
        const plan_region *r = &p->regions[i];
        dfm_sb_printf(out, "  %u ", i);
        put_region(p, i, out);
        dfm_sb_printf(out, ": %" PRIu64 " bytes", r->bytes);
        if (r->kind == PLAN_REGION_STATE) dfm_sb_printf(out, " of %s", dfm_dtype_name(r->dtype));
        dfm_sb_puts(out, "\n");
    }
    dfm_sb_puts(out, "\nstates\n");
    for (uint32_t i = 0; i < p->n_states; i++) {
        const plan_state *s = &p->states[i];
        dfm_sb_printf(out, "  %s%s%s%s\n", plan_text(p, s->name), s->is_ema ? "  average" : "",
                      s->saved ? "  saved" : "", s->on_demand ? "  on demand" : "");
    }
    dfm_sb_puts(out, "\nparameters\n");
    for (uint32_t i = 0; i < p->n_params; i++) put_param(p, &p->params[i], out);
    dfm_sb_puts(out, "\nkernels\n");
    for (uint32_t i = 0; i < p->n_kernels; i++) {
        const plan_kernel *k = &p->kernels[i];
        dfm_sb_printf(out, "  #%u %s: %u operands  ; %s %s\n", i, plan_text(p, k->symbol),
                      k->n_operands, plan_text(p, k->name), plan_text(p, k->where));
    }
    for (uint32_t i = 0; i < p->n_programs; i++) put_program(p, &p->programs[i], out);
}

/* -- info -------------------------------------------------------------------------------------- */

static void put_words(const plan *p, dfm_sb *out)
{
    static const char *const rows[][2] = {
        {"model", "model"}, {"source", "source"}, {"variant", "variant"}, {"train", "train"},
        {"sampler", "sampler"}, {"precision", "precision"}, {"target", "target"}, {"level", "arch"},
        {"compiler", "dfmc"}, {"data", "data"},
    };
    for (size_t i = 0; i < DFM_LEN(rows); i++) {
        const char *text = plan_meta_string(p, out->arena, rows[i][1]);
        if (*text) dfm_sb_printf(out, "%-12s %s\n", rows[i][0], text);
    }
    const char **flags;
    uint32_t n = plan_meta_strings(p, out->arena, "cpu", &flags);
    if (n) dfm_sb_puts(out, "needs       ");
    for (uint32_t i = 0; i < n; i++) dfm_sb_printf(out, " %s", flags[i]);
    if (n) dfm_sb_puts(out, "\n");
    int64_t batch = plan_meta_int(p, "batch", 0);
    if (batch) dfm_sb_printf(out, "%-12s %" PRId64 "\n", "batch", batch);
}

static void put_memory(const plan *p, dfm_sb *out)
{
    uint64_t total = 0, state = 0, optional = 0;
    char text[32];
    for (uint32_t i = 0; i < p->n_regions; i++) {
        const plan_region *r = &p->regions[i];
        bool extra = r->kind == PLAN_REGION_STATE && p->states[r->state].on_demand;
        if (extra) optional += r->bytes;
        else if (r->kind == PLAN_REGION_STATE) state += r->bytes;
        else if (r->kind == PLAN_REGION_ARENA)
            dfm_sb_printf(out, "%-12s %s\n", "arena", dfm_human_bytes(r->bytes, text));
        if (!extra && r->kind != PLAN_REGION_CONST) total += r->bytes;
    }
    dfm_sb_printf(out, "%-12s %s", "state", dfm_human_bytes(state, text));
    if (optional)
        dfm_sb_printf(out, " (%s more when accumulating)", dfm_human_bytes(optional, text));
    dfm_sb_printf(out, "\n%-12s %s\n", "memory", dfm_human_bytes(total, text));
}

void plan_print_info(const plan *p, dfm_sb *out)
{
    char text[32], more[32];
    put_words(p, out);
    uint64_t trainable = 0, all = 0;
    for (uint32_t i = 0; i < p->n_params; i++) {
        all += p->params[i].elems;
        if (p->params[i].flags & PLAN_PARAM_TRAINABLE) trainable += p->params[i].elems;
    }
    dfm_sb_printf(out, "%-12s %s trainable of %s in %u tensors\n", "parameters",
                  dfm_thousands(trainable, text), dfm_thousands(all, more), p->n_params);
    put_memory(p, out);
    if (p->n_code)
        dfm_sb_printf(out, "%-12s %s in %u kernels\n", "host code",
                      dfm_human_bytes(p->n_code, text), p->n_kernels);
    for (uint32_t i = 0; i < p->n_programs; i++) {
        const plan_program *g = &p->programs[i];
        human_count(g->flops, text);
        dfm_sb_printf(out, "\nprogram %s: %sFLOP, arena %s\n", plan_text(p, g->name), text,
                      dfm_human_bytes(g->arena_bytes, more));
        for (uint32_t k = 0; k < g->n_io; k++) put_io(p, &p->io[g->first_io + k], out);
    }
}

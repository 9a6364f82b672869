/* sample_plan.c - the plan of sample_plan.h. */
#include "tests/plan/sample_plan.h"

#include <string.h>

static plan_str text(sample_plan *s, const char *t)
{
    uint64_t n = s->p.n_strs;
    for (uint64_t i = 1; i < n; i += strlen(s->strs + i) + 1)
        if (!strcmp(s->strs + i, t)) return (plan_str)i;
    memcpy(s->strs + n, t, strlen(t) + 1);
    s->p.n_strs = n + strlen(t) + 1;
    return (plan_str)n;
}

static void make_memory(sample_plan *s)
{
    s->regions[0] = (plan_region){.kind = PLAN_REGION_ARENA, .bytes = 1024};
    s->regions[1] = (plan_region){.kind = PLAN_REGION_CONST, .bytes = sizeof s->consts};
    s->regions[2] = (plan_region){.kind = PLAN_REGION_STATE, .dtype = DFM_F32, .bytes = 128};
    s->regions[3] =
        (plan_region){.kind = PLAN_REGION_STATE, .dtype = DFM_F32, .bytes = 128, .state = 1};
    s->states[0] = (plan_state){.name = text(s, "w"), .saved = 1};
    s->states[1] = (plan_state){.name = text(s, "g")};
    s->params[0] = (plan_param){.published = text(s, "a.weight"), .path = text(s, "a.weight"),
                                .dtype = DFM_F32, .elems = 12, .flags = PLAN_PARAM_TRAINABLE,
                                .rank = 2, .shape = {4, 3}};
    s->params[1] = (plan_param){.published = text(s, "pos_embed"), .path = text(s, "pos"),
                                .dtype = DFM_F32, .offset = 16, .elems = 4,
                                .flags = PLAN_PARAM_BUFFER, .rank = 1, .shape = {4}};
}

static void make_io(sample_plan *s)
{
    plan_str b = text(s, "B"), k = text(s, "K");
    s->io[0] = (plan_io){.name = text(s, "x"), .dtype = DFM_F32, .rank = 2,
                         .flags = PLAN_IO_FORMAL | PLAN_IO_BATCH, .shape = {2, 3}, .dims = {b, k},
                         .bytes = 24};
    s->io[1] = (plan_io){.name = text(s, "y"), .dtype = DFM_I32, .rank = 1, .modulus = 10,
                         .flags = PLAN_IO_DATA | PLAN_IO_BATCH, .shape = {2}, .dims = {b},
                         .offset = 64, .bytes = 8, .source = text(s, "cls"), .pad_dim = k};
    s->io[2] = (plan_io){.name = text(s, "noise"), .dtype = DFM_F32, .rank = 1,
                         .flags = PLAN_IO_DRAW, .shape = {8}, .dims = {k}, .offset = 128,
                         .bytes = 32};
    s->io[3] = (plan_io){.name = text(s, "out"), .dtype = DFM_F32, .rank = 2,
                         .flags = PLAN_IO_OUTPUT, .shape = {2, 4}, .dims = {b, k}, .offset = 192,
                         .bytes = 32};
}

static plan_operand operand(uint32_t region, uint32_t flags, uint64_t offset, uint64_t span)
{
    return (plan_operand){.region = region, .flags = flags, .offset = offset, .span = span};
}

static void make_steps(sample_plan *s)
{
    plan_operand *o = s->operands;
    plan_str where = text(s, "model.dfm:3:5");
    s->steps[0] = (plan_step){.kind = PLAN_STEP_COPY, .n_operands = 2, .value = 64, .where = where};
    o[0] = operand(1, PLAN_READ, 0, 64);
    o[1] = operand(2, PLAN_WRITE, 0, 64);
    s->steps[1] = (plan_step){.kind = PLAN_STEP_CALL, .first_operand = 2, .n_operands = 1,
                              .replaces = text(s, "noise"), .name = text(s, "draw")};
    o[2] = operand(0, PLAN_WRITE, 128, 32);
    s->steps[2] = (plan_step){.kind = PLAN_STEP_GEMM, .first_operand = 3, .n_operands = 5};
    o[3] = operand(0, PLAN_READ, 0, 24);
    o[4] = operand(2, PLAN_READ, 0, 48);
    o[5] = operand(0, PLAN_WRITE, 256, 32);
    o[6] = operand(UINT32_MAX, 0, 0, 0);
    o[7] = operand(0, PLAN_READ | PLAN_WRITE, 320, 64);
    s->gemms[0] = (plan_gemm){.batch = {1, 1}, .m = 2, .n = 4, .k = 3, .sa = {0, 0, 3, 1},
                              .sb = {0, 0, 1, 3}, .sc = {0, 0, 4, 1}, .da = DFM_F32, .db = DFM_F32,
                              .dc = DFM_F32, .scratch_bytes = 64};
    s->steps[3] = (plan_step){.kind = PLAN_STEP_LOOP, .value = 2, .reverse = 1};
    s->steps[4] = (plan_step){.kind = PLAN_STEP_COPY, .first_operand = 8, .n_operands = 2,
                              .value = 16, .where = where};
    o[8] = operand(0, PLAN_READ, 256, 16);
    o[8].loop_stride[0] = 16;
    o[9] = operand(0, PLAN_WRITE, 208, 16);
    o[9].loop_stride[0] = -16;
    s->steps[5] = (plan_step){.kind = PLAN_STEP_END, .item = 3, .value = 3};
    s->kernels[0] = (plan_kernel){.symbol = text(s, "k0"), .name = text(s, "draw"), .where = where,
                                  .n_operands = 1, .flops = 8, .bytes = 32};
}

void sample_plan_make(sample_plan *s)
{
    memset(s, 0, sizeof *s);
    s->p.n_strs = 1;
    strcpy(s->meta, "{\"batch\":2,\"cpu\":[\"fma\"],\"model\":\"m\",\"target\":\"cpu\"}");
    make_memory(s);
    make_io(s);
    make_steps(s);
    s->programs[0] = (plan_program){.name = text(s, "init"), .n_steps = 1, .arena_bytes = 0};
    s->programs[1] = (plan_program){.name = text(s, "forward"), .first_step = 1, .n_steps = 5,
                                    .n_io = 4, .n_scalars = 1, .arena_bytes = 1024, .flops = 48};
    s->scalars[0] = text(s, "step");
    for (int i = 0; i < 16; i++) s->consts[i] = (float)i;
    memcpy(s->code, "\177ELF", 4);
    plan *p = &s->p;
    p->flags = PLAN_HAS_HOST_CODE | PLAN_DETERMINISTIC;
    p->strs = s->strs;
    p->meta = s->meta;
    p->n_meta = strlen(s->meta);
    p->regions = s->regions;
    p->n_regions = SAMPLE_REGIONS;
    p->states = s->states;
    p->n_states = SAMPLE_STATES;
    p->params = s->params;
    p->n_params = SAMPLE_PARAMS;
    p->io = s->io;
    p->n_io = SAMPLE_IO;
    p->programs = s->programs;
    p->n_programs = 2;
    p->scalars = s->scalars;
    p->n_scalars = 1;
    p->steps = s->steps;
    p->n_steps = SAMPLE_STEPS;
    p->operands = s->operands;
    p->n_operands = 10;
    p->gemms = s->gemms;
    p->n_gemms = 1;
    p->kernels = s->kernels;
    p->n_kernels = 1;
    p->consts = s->consts;
    p->n_consts = sizeof s->consts;
    p->code = s->code;
    p->n_code = SAMPLE_CODE;
}

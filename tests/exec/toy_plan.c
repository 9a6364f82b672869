/* toy_plan.c - the plan of toy_plan.h. */
#include "tests/exec/toy_plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ARENA, W, G, V, EMA, ACC, CONST, N_REGIONS };
enum { BYTES = 32 * 4, W_AT = 0, U_AT = 16 * 4, POS_AT = 20 * 4 };
enum { X = 0, Y = 64, OUT = 128, E = 192, LOSS = 256, LR = 320, NORM = 384, ARENA_BYTES = 448 };
enum { K_ROW, K_BIAS, K_DRAW, K_GRAD, K_ACCUMULATE, K_UPDATE, K_SAMPLE, N_KERNELS };

typedef struct builder {
    dfm_arena *a;
    plan_pool *pool;
    const toy_options *o;
    DFM_VEC(plan_io) io;
    DFM_VEC(plan_program) programs;
    DFM_VEC(plan_step) steps;
    DFM_VEC(plan_operand) operands;
} builder;

static plan_str text(builder *b, const char *s) { return plan_pool_add(b->pool, s); }

static void operand(builder *b, uint32_t region, uint32_t access, uint64_t at, uint64_t span,
                    int64_t stride)
{
    dfm_push(b->a, &b->operands, ((plan_operand){.region = region, .flags = access, .offset = at,
                                                 .span = span, .loop_stride = {stride}}));
    b->steps.p[b->steps.n - 1].n_operands++;
}

static plan_step *step(builder *b, uint32_t kind, uint32_t item)
{
    dfm_push(b->a, &b->steps, ((plan_step){.kind = kind, .item = item,
                                           .first_operand = b->operands.n}));
    return &b->steps.p[b->steps.n - 1];
}

static void io(builder *b, const char *name, dfm_dtype d, uint32_t flags, uint32_t rank,
               const int64_t *shape, uint64_t at)
{
    plan_io x = {.name = text(b, name), .dtype = d, .flags = flags, .rank = rank, .offset = at,
                 .bytes = dfm_dtype_bytes(d)};
    for (uint32_t i = 0; i < rank; i++) {
        x.shape[i] = shape[i];
        x.bytes *= (uint64_t)shape[i];
        x.dims[i] = text(b, (const char *[]){"B", "N", "Y", "X"}[i]);
    }
    if (flags & PLAN_IO_DATA) x.source = text(b, d == DFM_I32 ? "cls" : "x.npy");
    dfm_push(b->a, &b->io, x);
}

static void begin(builder *b, const char *name)
{
    dfm_push(b->a, &b->programs,
             ((plan_program){.name = text(b, name), .first_step = b->steps.n, .first_io = b->io.n,
                             .n_scalars = 3, .arena_bytes = ARENA_BYTES, .flops = 1}));
}

static void end(builder *b)
{
    plan_program *p = &b->programs.p[b->programs.n - 1];
    p->n_steps = b->steps.n - p->first_step;
    p->n_io = b->io.n - p->first_io;
}

static const int64_t xs[] = {2, 4}, pictures[] = {2, 1, 2, 2};

static void init_program(builder *b)
{
    begin(b, "init");
    step(b, PLAN_STEP_COPY, 0)->value = 16;
    operand(b, CONST, PLAN_READ, 0, 16, 0);
    operand(b, W, PLAN_WRITE, POS_AT, 16, 0);
    uint32_t loop = b->steps.n;
    plan_step *l = step(b, PLAN_STEP_LOOP, 0);
    l->value = 4;
    l->reverse = 1;
    step(b, PLAN_STEP_CALL, K_ROW);
    operand(b, W, PLAN_WRITE, W_AT, 16, 16);
    operand(b, W, PLAN_WRITE, U_AT, 4, 4);
    step(b, PLAN_STEP_END, loop)->value = loop;
    end(b);
}

static void forward_program(builder *b)
{
    begin(b, "forward");
    io(b, "x", DFM_F32, PLAN_IO_FORMAL | PLAN_IO_BATCH, 2, xs, X);
    io(b, "y", DFM_I32, PLAN_IO_FORMAL | PLAN_IO_BATCH, 1, xs, Y);
    b->io.p[b->io.n - 1].modulus = 3;
    io(b, "out", DFM_F32, PLAN_IO_OUTPUT | PLAN_IO_BATCH, 2, xs, OUT);
    step(b, PLAN_STEP_GEMM, 0);
    operand(b, ARENA, PLAN_READ, X, 32, 0);
    operand(b, W, PLAN_READ, W_AT, 64, 0);
    operand(b, ARENA, PLAN_WRITE, OUT, 32, 0);
    operand(b, UINT32_MAX, 0, 0, 0, 0);
    operand(b, UINT32_MAX, 0, 0, 0, 0);
    step(b, PLAN_STEP_CALL, K_BIAS);
    operand(b, ARENA, PLAN_READ, Y, 8, 0);
    operand(b, ARENA, PLAN_READ | PLAN_WRITE, OUT, 32, 0);
    end(b);
}

static void grad_program(builder *b, const char *name, bool replace)
{
    begin(b, name);
    io(b, "x0", DFM_F32, PLAN_IO_DATA | PLAN_IO_BATCH, 2, xs, X);
    io(b, "label", DFM_I32, PLAN_IO_DATA | PLAN_IO_BATCH, 1, xs, Y);
    if (replace) io(b, "e", DFM_F32, PLAN_IO_DRAW | PLAN_IO_BATCH, 2, xs, E);
    io(b, "loss", DFM_F32, PLAN_IO_OUTPUT, 0, NULL, LOSS);
    plan_step *s = step(b, PLAN_STEP_CALL, K_DRAW);
    if (replace) s->replaces = text(b, "e");
    operand(b, ARENA, PLAN_WRITE, E, 32, 0);
    step(b, PLAN_STEP_CALL, K_GRAD);
    operand(b, W, PLAN_READ, U_AT, 16, 0);
    operand(b, ARENA, PLAN_READ, X, 32, 0);
    operand(b, ARENA, PLAN_READ, Y, 8, 0);
    operand(b, ARENA, PLAN_READ, E, 32, 0);
    operand(b, ARENA, PLAN_WRITE, LOSS, 4, 0);
    operand(b, G, PLAN_WRITE, U_AT, 16, 0);
    end(b);
}

static void update_programs(builder *b)
{
    begin(b, "step.accumulate");
    step(b, PLAN_STEP_CALL, K_ACCUMULATE);
    operand(b, ACC, PLAN_READ | PLAN_WRITE, U_AT, 16, 0);
    operand(b, G, PLAN_READ | PLAN_WRITE, U_AT, 16, 0);
    end(b);
    begin(b, "step.update");
    io(b, "lr", DFM_F32, PLAN_IO_OUTPUT, 0, NULL, LR);
    io(b, "grad_norm", DFM_F32, PLAN_IO_OUTPUT, 0, NULL, NORM);
    step(b, PLAN_STEP_CALL, K_UPDATE);
    const uint32_t states[] = {W, G, V, EMA};
    for (int i = 0; i < 4; i++) operand(b, states[i], PLAN_READ | PLAN_WRITE, U_AT, 16, 0);
    operand(b, ARENA, PLAN_WRITE, LR, 4, 0);
    operand(b, ARENA, PLAN_WRITE, NORM, 4, 0);
    end(b);
}

static void sample_program(builder *b)
{
    begin(b, "sample");
    io(b, "y", DFM_I32, PLAN_IO_FORMAL | PLAN_IO_BATCH, 1, xs, Y);
    io(b, "out", DFM_F32, PLAN_IO_OUTPUT | PLAN_IO_BATCH, 4, pictures, OUT);
    step(b, PLAN_STEP_CALL, K_SAMPLE);
    operand(b, W, PLAN_READ, U_AT, 16, 0);
    operand(b, ARENA, PLAN_READ, Y, 8, 0);
    operand(b, ARENA, PLAN_WRITE, OUT, 32, 0);
    end(b);
}

static dfm_status compile(builder *b, const char *folder, char **code, size_t *n, dfm_err *err)
{
    const char *so = dfm_path_join(b->a, folder, "toy.so");
    const char *command = dfm_fmt(b->a, "cc -shared -fPIC -O1 -ffp-contract=off %s -o '%s' '%s'",
                                  b->o->nan_at_3 ? "-DNAN_AT_3" : "", so,
                                  DFM_SOURCE_DIR "/tests/exec/toy_kernels.c");
    if (system(command) != 0) return dfm_fail(err, DFM_UNAVAILABLE, "failed: %s", command);
    return dfm_file_read(b->a, so, 1 << 24, code, n, err);
}

static const char *meta_text(builder *b)
{
    dfm_sb sb = dfm_sb_make(b->a);
    dfm_sb_printf(&sb, "{\"target\":\"%s\",\"model\":\"toy\",\"train\":\"fit\",\"batch\":2,"
                       "\"arch\":\"toy-level\",\"data\":\"%s\"", b->o->target,
                  b->o->data ? b->o->data : "");
    if (b->o->flag) dfm_sb_printf(&sb, ",\"cpu\":[\"%s\"]", b->o->flag);
    dfm_sb_puts(&sb, "}");
    return dfm_sb_cstr(&sb);
}

static dfm_status write_plan(builder *b, const char *path, const char *folder, dfm_err *err)
{
    static const char *const states[] = {"w", "g", "mom.v", "ema.0", "acc"};
    static const float pos[4] = {1, 2, 3, 4};
    static const struct { const char *symbol; uint32_t n; } kernel_table[] = {
        {"k_row", 2}, {"k_bias", 2}, {"k_draw", 1}, {"k_grad", 6}, {"k_accumulate", 2},
        {"k_update", 6}, {"k_sample", 3},
    };
    plan_region regions[N_REGIONS] = {{.kind = PLAN_REGION_ARENA, .bytes = ARENA_BYTES}};
    plan_state state[5] = {0};
    for (uint32_t s = 0; s < 5; s++) {
        regions[W + s] = (plan_region){.kind = PLAN_REGION_STATE, .dtype = DFM_F32, .bytes = BYTES,
                                       .state = s};
        state[s] = (plan_state){.name = text(b, states[s]), .is_ema = s == 3, .on_demand = s == 4,
                                .saved = s != 1 && s != 4};
    }
    regions[CONST] = (plan_region){.kind = PLAN_REGION_CONST, .bytes = sizeof pos};
    plan_param params[3] = {
        {.published = text(b, "layer.w"), .path = text(b, "layer.w"), .dtype = DFM_F32, .elems = 16,
         .flags = PLAN_PARAM_TRAINABLE, .rank = 2, .shape = {4, 4}},
        {.published = text(b, "net.u"), .path = text(b, "u"), .dtype = DFM_F32, .offset = 16,
         .elems = 4, .flags = PLAN_PARAM_TRAINABLE, .rank = 1, .shape = {4}},
        {.published = text(b, "pos"), .path = text(b, "pos"), .dtype = DFM_F32, .offset = 20,
         .elems = 4, .flags = PLAN_PARAM_BUFFER, .rank = 2, .shape = {2, 2}},
    };
    plan_str scalars[] = {text(b, "step"), text(b, "keep"), text(b, "scale")};
    plan_kernel kernels[N_KERNELS];
    for (uint32_t k = 0; k < N_KERNELS; k++) {
        const char *symbol = k == 0 && b->o->symbol ? b->o->symbol : kernel_table[k].symbol;
        kernels[k] = (plan_kernel){.symbol = text(b, symbol), .n_operands = kernel_table[k].n,
                                   .flops = 10};
    }
    /* out[b, n] = sum_k x[b, k] w[n, k] */
    plan_gemm gemm = {.batch = {1, 1},
                      .m = 2,
                      .n = 4,
                      .k = 4,
                      .sa = {0, 0, 4, 1},
                      .sb = {0, 0, 1, 4},
                      .sc = {0, 0, 4, 1},
                      .da = DFM_F32,
                      .db = DFM_F32,
                      .dc = DFM_F32};
    char *code;
    size_t n_code;
    DFM_TRY(compile(b, folder, &code, &n_code, err));
    const char *meta = meta_text(b);
    plan p = {.flags = PLAN_HAS_HOST_CODE,
              .meta = meta,
              .n_meta = strlen(meta),
              .regions = regions,
              .n_regions = N_REGIONS,
              .states = state,
              .n_states = 5,
              .params = params,
              .n_params = 3,
              .io = b->io.p,
              .n_io = b->io.n,
              .programs = b->programs.p,
              .n_programs = b->programs.n,
              .scalars = scalars,
              .n_scalars = 3,
              .steps = b->steps.p,
              .n_steps = b->steps.n,
              .operands = b->operands.p,
              .n_operands = b->operands.n,
              .gemms = &gemm,
              .n_gemms = 1,
              .kernels = kernels,
              .n_kernels = N_KERNELS,
              .consts = pos,
              .n_consts = sizeof pos,
              .code = code,
              .n_code = n_code};
    p.strs = plan_pool_bytes(b->pool, &p.n_strs);
    DFM_TRY(plan_verify(&p, err));
    return plan_save(&p, path, err);
}

dfm_status toy_plan_write(const char *path, const char *folder, const toy_options *o, dfm_err *err)
{
    dfm_arena *a = dfm_arena_create("toy");
    builder b = {.a = a, .pool = plan_pool_create(a), .o = o};
    init_program(&b);
    forward_program(&b);
    grad_program(&b, "loss", true);
    grad_program(&b, "grad", true);
    grad_program(&b, "step.grad", false);
    update_programs(&b);
    sample_program(&b);
    dfm_status s = write_plan(&b, path, folder, err);
    dfm_arena_destroy(a);
    return s;
}

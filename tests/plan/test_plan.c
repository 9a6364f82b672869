/* test_plan.c - round trip of plans, and each rule of the verifier with a plan that breaks it. */
#include "tests/plan/sample_plan.h"
#include "tests/rt/rt_test.h"

typedef void damage(sample_plan *s);
typedef struct case_ { const char *words; damage *make; } case_;

#define CASE(name, ...) static void name(sample_plan *s) { __VA_ARGS__; }

/* META, STRS */
CASE(no_end, s->strs[s->p.n_strs - 1] = 'x')
CASE(no_begin, s->strs[0] = 'x')
CASE(no_text, s->p.n_strs = 0)
CASE(control, s->strs[2] = '\n')
CASE(cut_utf8, s->strs[1] = (char)0xc3)
CASE(overlong, (s->strs[1] = (char)0xc0, s->strs[2] = (char)0x80))
CASE(meta_text, s->meta[0] = 'x')
CASE(meta_array, (strcpy(s->meta, "[1]"), s->p.n_meta = 3))
CASE(meta_twice, (strcpy(s->meta, "{\"target\":\"a\",\"target\":\"b\"}"), s->p.n_meta = 27))
/* REGN, STAT */
CASE(region_kind, s->regions[0].kind = 9)
CASE(region_huge, s->regions[0].bytes = UINT64_MAX)
CASE(region_state, s->regions[3].state = 2)
CASE(region_dtype, s->regions[2].dtype = 77)
CASE(region_odd, s->regions[2].bytes = 127)
CASE(two_arenas, s->regions[1].kind = PLAN_REGION_ARENA)
CASE(arena_typed, s->regions[0].dtype = DFM_F32)
CASE(const_size, s->regions[1].bytes = 60)
CASE(const_missing, (s->regions[1] = s->regions[3], s->p.n_regions = 3))
CASE(region_twice, s->regions[3].state = 0)
CASE(region_lengths, s->regions[3].bytes = 124)
CASE(many_regions, s->p.n_regions = 4097)
CASE(many_states, s->p.n_states = 257)
CASE(state_name, s->states[1].name = 0)
CASE(state_inside_text, s->states[1].name = s->params[0].path + 1)
CASE(state_flags, s->states[1].saved = 2)
CASE(state_twice, s->states[1].name = s->states[0].name)
CASE(state_not_w, s->states[0].name = s->params[0].path)
/* PARM */
CASE(param_name, s->params[1].path = UINT32_MAX)
CASE(param_flat, s->params[1].flat = 1)
CASE(param_dtype, s->params[1].dtype = DFM_BF16)
CASE(param_outside, s->params[1].offset = 29)
CASE(param_overflow, s->params[1].offset = UINT64_MAX - 1)
CASE(param_shape, s->params[0].shape[1] = 4)
CASE(param_negative, (s->params[0].shape[0] = -4, s->params[0].shape[1] = -3))
CASE(param_wraps, (s->params[0].shape[0] = INT64_MAX, s->params[0].shape[1] = INT64_MAX))
CASE(param_rank, s->params[0].rank = 17)
CASE(param_rest, s->params[0].shape[5] = 1)
CASE(param_flags, s->params[0].flags = 8)
CASE(param_published_twice, s->params[1].published = s->params[0].published)
CASE(param_path_twice, s->params[1].path = s->params[0].path)
/* INOU */
CASE(io_name, s->io[0].name = 0)
CASE(io_dtype, s->io[0].dtype = 0)
CASE(io_shape, s->io[0].shape[0] = 3)
CASE(io_rank, s->io[0].rank = 20)
CASE(io_zero, (s->io[0].shape[0] = 0, s->io[0].bytes = 0))
CASE(io_dim, s->io[0].dims[0] = 3000)
CASE(io_rest, s->io[0].dims[7] = s->io[0].dims[0])
CASE(io_two_roles, s->io[0].flags |= PLAN_IO_DRAW)
CASE(io_no_role, s->io[0].flags = PLAN_IO_BATCH)
CASE(io_unknown, s->io[0].flags |= 64)
CASE(io_outside, s->io[3].offset = 1000)
CASE(io_overflow, s->io[3].offset = UINT64_MAX - 3)
CASE(io_misaligned, s->io[3].offset = 193)
CASE(io_source, s->io[0].source = s->io[1].source)
CASE(io_no_source, s->io[1].source = 0)
CASE(io_text, s->io[1].pad_dim = 9999)
CASE(io_modulus, s->io[1].modulus = -1)
CASE(io_reserved, s->io[1].zero = 1)
/* header, CODE */
CASE(flags, s->p.flags |= 1u << 20)
CASE(code_unsaid, s->p.flags &= ~(uint32_t)PLAN_HAS_HOST_CODE)
CASE(code_absent, s->p.n_code = 0)
CASE(code_no_elf, s->code[0] = 'x')
/* PROG */
CASE(program_name, s->programs[0].name = 0)
CASE(program_twice, s->programs[1].name = s->programs[0].name)
CASE(program_steps, s->programs[1].first_step = 0)
CASE(program_long, s->programs[1].n_steps = UINT32_MAX)
CASE(program_short, (s->programs[1].n_steps = 2))
CASE(program_io, s->programs[1].first_io = 1)
CASE(program_many_io, s->programs[1].n_io = 2000)
CASE(program_order, (s->io[3].flags = PLAN_IO_FORMAL, s->io[2].flags = PLAN_IO_OUTPUT))
CASE(program_io_twice, s->io[2].name = s->io[0].name)
CASE(program_io_arena, s->programs[1].arena_bytes = 200)
CASE(program_arena, s->programs[1].arena_bytes = 2048)
CASE(program_scalars, s->programs[1].n_scalars = 2)
CASE(program_cost, s->programs[1].flops = -1)
CASE(program_reserved, s->programs[1].zero[1] = 1)
CASE(programs_many, s->p.n_programs = 257)
CASE(scalar_name, s->scalars[0] = 0)
/* STEP */
CASE(step_kind, s->steps[4].kind = 77)
CASE(step_text, s->steps[1].where = 9999)
CASE(step_reserved, s->steps[1].zero = 1)
CASE(step_operands, s->steps[1].first_operand = 10)
CASE(step_operands_wrap, (s->steps[1].first_operand = 2, s->steps[1].n_operands = UINT32_MAX))
CASE(loop_depth, s->steps[3].depth = 1)
CASE(loop_reverse, s->steps[3].reverse = 2)
CASE(loop_trips, s->steps[3].value = 0)
CASE(loop_trips_many, s->steps[3].value = (uint64_t)1 << 40)
CASE(loop_open, s->steps[5] = s->steps[0])
CASE(end_other, s->steps[5].value = 2)
CASE(end_alone, s->steps[3] = s->steps[5])
CASE(too_deep, for (uint32_t i = 1; i < 6; i++)
                   s->steps[i] = (plan_step){.kind = PLAN_STEP_LOOP, .value = 2, .depth = i - 1})
CASE(copy_depth, s->steps[4].depth = 1)
CASE(copy_long, s->steps[4].value = 17)
CASE(copy_read, s->operands[8].flags = PLAN_WRITE)
CASE(copy_write, s->operands[9].flags = PLAN_READ)
CASE(copy_none, (s->operands[9] = (plan_operand){.region = UINT32_MAX}, s->steps[4].value = 0))
CASE(call_kernel, s->steps[1].item = 1)
CASE(call_count, s->kernels[0].n_operands = 2)
CASE(gemm_index, s->steps[2].item = 1)
CASE(gemm_count, s->steps[2].n_operands = 4)
/* OPND */
CASE(operand_region, s->operands[2].region = 4)
CASE(operand_reserved, s->operands[2].zero = 1)
CASE(operand_access, s->operands[2].flags = 0)
CASE(operand_access_unknown, s->operands[2].flags = 4)
CASE(operand_const, s->operands[0].flags = PLAN_READ | PLAN_WRITE)
CASE(operand_absent, s->operands[6].span = 1)
CASE(operand_end, s->operands[2].span = 1000)
CASE(operand_begin, s->operands[2].offset = 2000)
CASE(operand_wraps, s->operands[2].offset = UINT64_MAX)
CASE(operand_arena, s->programs[1].arena_bytes = 256)
CASE(operand_no_loop, s->operands[2].loop_stride[0] = 4)
CASE(operand_other_loop, s->operands[8].loop_stride[1] = 4)
CASE(operand_moves_out, s->operands[8].loop_stride[0] = 1024 - 256 - 15)
CASE(operand_moves_before, s->operands[9].loop_stride[0] = -209)
CASE(operand_stride_overflow,
     (s->steps[3].value = 1 << 20, s->operands[8].loop_stride[0] = INT64_MAX))
CASE(operand_stride_min, s->operands[8].loop_stride[0] = INT64_MIN)
/* GEMM, KIDX */
CASE(gemm_type, s->gemms[0].da = DFM_I32)
CASE(gemm_bias_flag, s->gemms[0].has_bias = 2)
CASE(gemm_bias_missing, s->gemms[0].has_bias = 1)
CASE(gemm_bias_extra, s->operands[6] = s->operands[5])
CASE(gemm_bias_small, (s->gemms[0].has_bias = 1, s->operands[6] = s->operands[3],
                       s->operands[6].span = 15))
CASE(gemm_bias_wraps,                        /* 4 n is 16 modulo 2^64 */
     (s->gemms[0].has_bias = 1, s->operands[6] = s->operands[3], s->operands[6].span = 16,
      s->gemms[0].n = ((int64_t)1 << 62) + 4, s->gemms[0].sb[3] = 0, s->gemms[0].sc[3] = 0))
CASE(gemm_small_a, s->operands[3].span = 23)
CASE(gemm_small_b, s->operands[4].span = 47)
CASE(gemm_small_c, s->operands[5].span = 31)
CASE(gemm_reads_c, s->operands[5].flags = PLAN_READ)
CASE(gemm_unaligned, s->operands[3].offset = 2)
CASE(gemm_negative, s->gemms[0].sa[2] = -3)
CASE(gemm_wraps, (s->gemms[0].sa[2] = INT64_MAX, s->gemms[0].m = INT64_MAX))
CASE(gemm_empty, s->gemms[0].k = 0)
CASE(gemm_scratch, s->operands[7].span = 63)
CASE(kernel_symbol, s->kernels[0].symbol = 0)
CASE(kernel_symbol_name, s->kernels[0].symbol = s->params[0].path)
CASE(kernel_text, s->kernels[0].where = 9999)
CASE(kernel_cost, s->kernels[0].flops = 0.0 / 0.0)
CASE(kernel_operands, s->kernels[0].n_operands = 5000)

static const case_ cases[] = {
    {"begin and end with NUL", no_end}, {"begin and end with NUL", no_begin},
    {"begin and end with NUL", no_text}, {"cannot be printed", control},
    {"cannot be printed", cut_utf8}, {"cannot be printed", overlong}, {"no JSON object", meta_text},
    {"no JSON object", meta_array}, {"no JSON object", meta_twice}, {"unknown kind", region_kind},
    {"64 TiB", region_huge}, {"its state does not exist", region_state},
    {"element type does not fit", region_dtype}, {"element type does not fit", region_odd},
    {"another one of its kind", two_arenas}, {"only state has", arena_typed},
    {"not that of section CNST", const_size}, {"no region for section CNST", const_missing},
    {"occur twice", region_twice}, {"different lengths", region_lengths},
    {"too many regions", many_regions}, {"too many states", many_states},
    {"STAT 1: its name", state_name}, {"STAT 1: its name", state_inside_text},
    {"STAT 1: unknown flags", state_flags}, {"two have one name", state_twice},
    {"not called \"w\"", state_not_w}, {"PARM 1: its names", param_name},
    {"PARM 1: its buffer", param_flat}, {"PARM 1: its buffer", param_dtype},
    {"outside its buffer", param_outside}, {"outside its buffer", param_overflow},
    {"shape and number", param_shape}, {"shape and number", param_negative},
    {"shape and number", param_wraps}, {"shape and number", param_rank},
    {"shape and number", param_rest}, {"PARM 0: unknown flags", param_flags},
    {"one published name", param_published_twice}, {"one path", param_path_twice},
    {"INOU 0: its name", io_name}, {"unknown element type", io_dtype},
    {"shape and size", io_shape}, {"shape and size", io_rank}, {"shape and size", io_zero},
    {"dim's name", io_dim}, {"dim's name", io_rest}, {"INOU 0: unknown flags", io_two_roles},
    {"INOU 0: unknown flags", io_no_role}, {"INOU 0: unknown flags", io_unknown},
    {"outside the arena", io_outside}, {"outside the arena", io_overflow},
    {"outside the arena", io_misaligned}, {"only data has", io_source},
    {"only data has", io_no_source}, {"a text does not exist", io_text},
    {"reserved or negative", io_modulus}, {"reserved or negative", io_reserved},
    {"header 0: unknown flags", flags}, {"host code", code_unsaid}, {"host code", code_absent},
    {"not a shared object", code_no_elf}, {"PROG 0: its name", program_name},
    {"another one has its name", program_twice}, {"do not follow", program_steps},
    {"do not follow", program_long}, {"STEP 3: it belongs to no program", program_short},
    {"inputs and outputs do not exist", program_io}, {"too many inputs", program_many_io},
    {"comes after an output", program_order}, {"two inputs or outputs", program_io_twice},
    {"outside its arena", program_io_arena}, {"larger than the plan's", program_arena},
    {"its scalars", program_scalars}, {"costs are wrong", program_cost},
    {"reserved values", program_reserved}, {"too many programs", programs_many},
    {"SCAL 0", scalar_name}, {"STEP 4: unknown kind", step_kind},
    {"STEP 1: a text", step_text}, {"STEP 1: a text", step_reserved},
    {"its operands do not exist", step_operands}, {"its operands do not exist", step_operands_wrap},
    {"depth or direction", loop_depth}, {"depth or direction", loop_reverse},
    {"trip count", loop_trips}, {"trip count", loop_trips_many}, {"has no end", loop_open},
    {"innermost loop", end_other}, {"innermost loop", end_alone}, {"too deeply", too_deep},
    {"only loops have", copy_depth}, {"copies more", copy_long}, {"copies more", copy_read},
    {"copies more", copy_write}, {"two operands", copy_none}, {"its kernel does not", call_kernel},
    {"another number of operands", call_count}, {"product does not exist", gemm_index},
    {"five operands", gemm_count}, {"its region does not", operand_region},
    {"its region does not", operand_reserved}, {"neither read nor written", operand_access},
    {"neither read nor written", operand_access_unknown}, {"writes a constant", operand_const},
    {"absent operand", operand_absent}, {"ends outside", operand_end},
    {"begins outside", operand_begin}, {"begins outside", operand_wraps},
    {"outside its region", operand_arena}, {"loop that is not open", operand_no_loop},
    {"loop that is not open", operand_other_loop}, {"ends outside", operand_moves_out},
    {"begins outside", operand_moves_before}, {"strides overflow", operand_stride_overflow},
    {"begins outside", operand_stride_min}, {"must be f32 or bf16", gemm_type},
    {"must be f32 or bf16", gemm_bias_flag}, {"bias that the product", gemm_bias_missing},
    {"bias that the product", gemm_bias_extra}, {"bias is too small", gemm_bias_small},
    {"bias is too small", gemm_bias_wraps},
    {"smaller than the product", gemm_small_a}, {"smaller than the product", gemm_small_b},
    {"smaller than the product", gemm_small_c}, {"smaller than the product", gemm_reads_c},
    {"smaller than the product", gemm_unaligned}, {"negative or too large", gemm_negative},
    {"negative or too large", gemm_wraps}, {"negative or too large", gemm_empty},
    {"scratch is too small", gemm_scratch}, {"name of a function", kernel_symbol},
    {"name of a function", kernel_symbol_name}, {"KIDX 0: a text", kernel_text},
    {"operands or costs", kernel_cost}, {"operands or costs", kernel_operands},
};

static void each_rule(void **state)
{
    rt_fixture *f = *state;
    sample_plan *s = dfm_new(f->arena, sample_plan);
    for (size_t i = 0; i < DFM_LEN(cases); i++) {
        sample_plan_make(s);
        cases[i].make(s);
        dfm_status status = plan_verify(&s->p, &f->err);
        if (status != DFM_BAD_DATA || !strstr(f->err.text, cases[i].words))
            fail_msg("case %zu: expected '%s', got: %s", i, cases[i].words, f->err.text);
        dfm_err_clear(&f->err);
    }
}

static void round_trip(void **state)
{
    rt_fixture *f = *state;
    sample_plan *s = dfm_new(f->arena, sample_plan);
    sample_plan_make(s);
    RT_OK(f, plan_verify(&s->p, &f->err));
    RT_OK(f, plan_save(&s->p, rt_path(f, "a.plan"), &f->err));
    plan q;
    RT_OK(f, plan_open(rt_path(f, "a.plan"), &q, &f->err));
    assert_int_equal(q.n_steps, s->p.n_steps);
    assert_memory_equal(q.steps, s->steps, sizeof s->steps);
    assert_memory_equal(q.operands, s->operands, 10 * sizeof *s->operands);
    assert_memory_equal(q.io, s->io, sizeof s->io);
    assert_memory_equal(q.consts, s->consts, sizeof s->consts);
    assert_memory_equal(q.meta, s->meta, q.n_meta);
    assert_int_equal(q.flags, s->p.flags);
    assert_ptr_equal(plan_find_program(&q, "forward"), q.programs + 1);
    assert_null(plan_find_program(&q, "backward"));
    /* What was read is written as the same bytes. */
    const void *bytes;
    size_t n;
    plan_serialize(&q, f->arena, &bytes, &n);
    assert_int_equal(n, q.map.n);
    assert_memory_equal(bytes, q.map.p, n);
    plan_close(&q);
}

/* Every bit of the file counts: flipping any one of each byte makes it fail. */
static void every_byte_counts(void **state)
{
    rt_fixture *f = *state;
    sample_plan *s = dfm_new(f->arena, sample_plan);
    sample_plan_make(s);
    const void *bytes;
    size_t n;
    plan_serialize(&s->p, f->arena, &bytes, &n);
    uint8_t *copy = dfm_alloc(f->arena, n);
    memcpy(copy, bytes, n);
    plan q;
    for (size_t i = 0; i < n; i += i < 8192 ? 1 : 37) {
        copy[i] ^= (uint8_t)(1 << i % 8);
        assert_int_not_equal(plan_from_bytes(copy, n, &q, &f->err), DFM_OK);
        dfm_err_clear(&f->err);
        copy[i] ^= (uint8_t)(1 << i % 8);
    }
    RT_OK(f, plan_from_bytes(copy, n, &q, &f->err));
    for (size_t cut = 0; cut < n; cut += 97) {
        assert_int_equal(plan_from_bytes(copy, cut, &q, &f->err), DFM_BAD_DATA);
        dfm_err_clear(&f->err);
    }
}

static void reports_place(void **state)
{
    rt_fixture *f = *state;
    rt_write_text(rt_path(f, "text.plan"), "hello");
    plan q;
    RT_FAILS(f, plan_open(rt_path(f, "text.plan"), &q, &f->err), DFM_BAD_DATA, "not a plan");
    RT_FAILS(f, plan_open(rt_path(f, "none.plan"), &q, &f->err), DFM_BAD_DATA, "none.plan");
    rt_write(rt_path(f, "empty.plan"), "", 0);
    RT_FAILS(f, plan_open(rt_path(f, "empty.plan"), &q, &f->err), DFM_BAD_DATA, "not a plan");
}

static void text_shows_all(void **state)
{
    rt_fixture *f = *state;
    sample_plan *s = dfm_new(f->arena, sample_plan);
    sample_plan_make(s);
    dfm_sb out = dfm_sb_make(f->arena);
    plan_print(&s->p, &out);
    static const char *const parts[] = {
        "program forward", "data    y: i32[B=2]", "from \"cls\"", "loop i0 2 times, down",
        "unless noise is given", "gemm #0 1x1 of 2x4x3", "-16*i0", "pos_embed: f32[4]", "buffer",
        "scalar  step", "model.dfm:3:5", "w:0: 128 bytes of f32",
    };
    for (size_t i = 0; i < DFM_LEN(parts); i++)
        if (!strstr(dfm_sb_cstr(&out), parts[i]))
            fail_msg("no '%s' in:\n%s", parts[i], dfm_sb_cstr(&out));
    dfm_sb info = dfm_sb_make(f->arena);
    plan_print_info(&s->p, &info);
    assert_non_null(strstr(dfm_sb_cstr(&info), "12 trainable of 16 in 2 tensors"));
    assert_non_null(strstr(dfm_sb_cstr(&info), "needs        fma"));
}

static void meta_values(void **state)
{
    rt_fixture *f = *state;
    sample_plan *s = dfm_new(f->arena, sample_plan);
    sample_plan_make(s);
    const char **flags;
    assert_string_equal(plan_meta_string(&s->p, f->arena, "model"), "m");
    assert_string_equal(plan_meta_string(&s->p, f->arena, "batch"), "");
    assert_int_equal(plan_meta_int(&s->p, "batch", 7), 2);
    assert_int_equal(plan_meta_int(&s->p, "none", 7), 7);
    assert_int_equal(plan_meta_strings(&s->p, f->arena, "cpu", &flags), 1);
    assert_string_equal(flags[0], "fma");
}

static void pool_shares_texts(void **state)
{
    rt_fixture *f = *state;
    plan_pool *pool = plan_pool_create(f->arena);
    assert_int_equal(plan_pool_add(pool, ""), 0);
    plan_str a = plan_pool_add(pool, "alpha"), b = plan_pool_add(pool, "beta");
    assert_int_equal(plan_pool_add(pool, "alpha"), a);
    assert_int_not_equal(a, b);
    uint64_t n;
    const char *bytes = plan_pool_bytes(pool, &n);
    assert_string_equal(bytes + b, "beta");
    assert_int_equal(n, 1 + 6 + 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RT_TEST(round_trip), RT_TEST(each_rule), RT_TEST(every_byte_counts), RT_TEST(reports_place),
        RT_TEST(text_shows_all), RT_TEST(meta_values), RT_TEST(pool_shares_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_safetensors.c - files and folders of weights: round trips, shards, and every refusal. */
#include "tests/rt/rt_test.h"

#include <signal.h>
#include <sys/resource.h>

#include "runtime/ckpt/safetensors.h"

/* A file from header text and data. */
static dfm_status parse(rt_fixture *f, const char *header, size_t data_bytes, ckpt_st *out)
{
    size_t n = strlen(header);
    char *p = dfm_alloc(f->arena, 8 + n + data_bytes);
    for (int i = 0; i < 8; i++) p[i] = (char)((uint64_t)n >> 8 * i);
    memcpy(p + 8, header, n);
    return ckpt_st_parse(f->arena, "x.safetensors", p, 8 + n + data_bytes, out, &f->err);
}

static void round_trip(void **state)
{
    rt_fixture *f = *state;
    const char *path = rt_path(f, "w.safetensors");
    static const float a[6] = {1, 2, 3, 4, 5, 6};
    static const uint16_t b[3] = {7, 8, 9};
    static const uint64_t sa[2] = {2, 3}, sb[1] = {3}, se[2] = {0, 5};
    static const int64_t scalar = -5;
    const ckpt_tensor in[] = {
        {.name = "blocks.0.\"w\"", .dtype = DFM_F32, .rank = 2, .shape = sa, .data = a},
        {.name = "b", .dtype = DFM_BF16, .rank = 1, .shape = sb, .data = b},
        {.name = "empty", .dtype = DFM_F64, .rank = 2, .shape = se, .data = NULL},
        {.name = "scalar", .dtype = DFM_I64, .rank = 0, .shape = NULL, .data = &scalar},
    };
    const ckpt_meta meta[] = {{"format", "pt"}, {"note", "line\nbreak"}};
    RT_OK(f, ckpt_write_file(path, in, 4, meta, 2, &f->err));
    ckpt_weights w;
    RT_OK(f, ckpt_weights_open(f->arena, path, &w, &f->err));
    assert_int_equal(w.n_tensors, 4);
    assert_string_equal(ckpt_st_meta(&w.files[0], "note"), "line\nbreak");
    assert_null(ckpt_st_meta(&w.files[0], "other"));
    const ckpt_tensor *t = ckpt_weights_find(&w, "blocks.0.\"w\"");
    assert_non_null(t);
    assert_int_equal(t->rank, 2);
    assert_int_equal(t->shape[1], 3);
    assert_memory_equal(t->data, a, sizeof a);
    assert_int_equal((uintptr_t)t->data % 8, 0);
    assert_memory_equal(ckpt_weights_find(&w, "b")->data, b, sizeof b);
    assert_memory_equal(ckpt_weights_find(&w, "scalar")->data, &scalar, 8);
    assert_int_equal(ckpt_weights_find(&w, "empty")->bytes, 0);
    assert_null(ckpt_weights_find(&w, "c"));
    ckpt_weights_close(&w);

    char *one, *two;
    size_t n_one, n_two;
    RT_OK(f, dfm_file_read(f->arena, path, 1 << 20, &one, &n_one, &f->err));
    RT_OK(f, ckpt_write_file(path, in, 4, meta, 2, &f->err));
    RT_OK(f, dfm_file_read(f->arena, path, 1 << 20, &two, &n_two, &f->err));
    assert_int_equal(n_one, n_two);
    assert_memory_equal(one, two, n_one);
    assert_int_equal((unsigned char)one[0] % 8, 0);
}

static void many_names(void **state)
{
    rt_fixture *f = *state;
    enum { N = 3000 };
    static const uint64_t shape[1] = {1};
    ckpt_tensor *in = dfm_new_n(f->arena, ckpt_tensor, N);
    int32_t *data = dfm_new_n(f->arena, int32_t, N);
    for (int i = 0; i < N; i++) {
        data[i] = i;
        in[i] = (ckpt_tensor){.name = dfm_fmt(f->arena, "t.%d", i), .dtype = DFM_I32, .rank = 1,
                              .shape = shape, .data = &data[i]};
    }
    const char *path = rt_path(f, "many.safetensors");
    RT_OK(f, ckpt_write_file(path, in, N, NULL, 0, &f->err));
    ckpt_weights w;
    RT_OK(f, ckpt_weights_open(f->arena, path, &w, &f->err));
    for (int i = 0; i < N; i++) {
        const ckpt_tensor *t = ckpt_weights_find(&w, in[i].name);
        assert_non_null(t);
        assert_memory_equal(t->data, &data[i], 4);
        assert_string_equal(w.tensors[i].name, in[i].name);
    }
    ckpt_weights_close(&w);
}

static void clean_text(void **state)
{
    static const char *const good[] = {"", "a", "caf\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x99\x82"};
    static const char *const bad[] = {
        "\n", "\x7f", "\x80", "\xc2", "\xc2\x85", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80",
        "\xe2\x80\xa8", "\xef\xbb\xbf", "\xef\xbf\xbf", "\xf4\x90\x80\x80", "\xf8\x88", "\xe2\x82",
    };
    for (size_t i = 0; i < DFM_LEN(good); i++) assert_true(dfm_is_clean_text(good[i]));
    for (size_t i = 0; i < DFM_LEN(bad); i++) assert_false(dfm_is_clean_text(bad[i]));
}

static void accepts_what_others_write(void **state)
{
    rt_fixture *f = *state;
    ckpt_st st;
    RT_OK(f, parse(f, "{\"b\":{\"data_offsets\":[4,8],\"shape\":[1],\"dtype\":\"F32\"},"
                   "\"a\":{\"dtype\":\"F8_E4M3\",\"shape\":[2,2],\"data_offsets\":[0,4]},"
                   "\"__metadata__\":{\"k\":\"v\"}}      ", 8, &st));
    assert_int_equal(st.n_tensors, 2);
    assert_string_equal(st.tensors[0].name, "a");
    assert_int_equal(st.tensors[0].dtype, DFM_DT_NONE);
    assert_string_equal(ckpt_tensor_text(f->arena, &st.tensors[0]), "F8_E4M3 [2, 2]");
    RT_OK(f, parse(f, "{}", 0, &st));
    assert_int_equal(st.n_tensors, 0);
}

#define T(rest) "{\"a\":{\"dtype\":\"F32\"," rest "}}"

static void refuses_hostile_headers(void **state)
{
    rt_fixture *f = *state;
    static const struct { const char *header, *words; size_t data; } t[] = {
        {"", "does not start with '{'", 0},
        {"[]", "does not start with '{'", 0},
        {"{\"a\":1}", "not {dtype, shape, data_offsets}", 0},
        {"{\"a\":{}}", "not {dtype, shape, data_offsets}", 0},
        {"{\"a\":", "header byte", 0},
        {"{} x", "header byte", 0},
        {"{\"a\\u0000b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", "header byte",
         4},
        {"{\"a\xff\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", "header byte", 4},
        {"{\"\\u001b[31m\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
         "control characters", 4},
        {"{\"\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", "empty", 4},
        {T("\"shape\":[1],\"data_offsets\":[0,4],\"x\":1"), "not {dtype", 4},
        {T("\"shape\":[1],\"data_offsets\":[0,4],\"shape\":[1]"), "duplicate", 4},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
         "\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", "duplicate", 4},
        {"{\"a\":{\"dtype\":\"Q4\",\"shape\":[1],\"data_offsets\":[0,4]}}", "unknown dtype", 4},
        {T("\"shape\":[2],\"data_offsets\":[0,4]"), "do not fill", 4},
        {T("\"shape\":[1],\"data_offsets\":[0,8]"), "outside the file", 4},
        {T("\"shape\":[1],\"data_offsets\":[4,0]"), "outside the file", 4},
        {T("\"shape\":[1],\"data_offsets\":[-4,0]"), "whole numbers", 4},
        {T("\"shape\":[1],\"data_offsets\":[0,4,4]"), "pair", 4},
        {T("\"shape\":[1.0],\"data_offsets\":[0,4]"), "whole numbers", 4},
        {T("\"shape\":[-1],\"data_offsets\":[0,4]"), "whole numbers", 4},
        {T("\"shape\":[4611686018427387904,4],\"data_offsets\":[0,0]"), "overflows", 0},
        {T("\"shape\":[4294967296,4294967296,0],\"data_offsets\":[0,0]"), "overflows", 0},
        {T("\"shape\":[9223372036854775808],\"data_offsets\":[0,4]"), "header byte", 4},
        {T("\"shape\":[1],\"data_offsets\":[0,4]"), "belong to none", 5},
        {T("\"shape\":[1],\"data_offsets\":[4,8]"), "hole", 8},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
         "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", "overlaps", 8},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
         "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", "overlaps", 4},
        {"{\"__metadata__\":{\"k\":1}}", "not text", 0},
        {"{\"__metadata__\":[]}", "not an object", 0},
        {"{\"a\":[[[[[[[[[[]]]]]]]]]]}", "too deeply", 0},
        {T("\"shape\":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],"
           "\"data_offsets\":[0,4]"), "too many dims", 4},
        {"{\"a\":{},\"b\":{},\"c\":{},\"d\":{},\"e\":{},\"f\":{}}", "too many empty", 0},
    };
    for (size_t i = 0; i < DFM_LEN(t); i++) {
        ckpt_st st;
        RT_FAILS(f, parse(f, t[i].header, t[i].data, &st), DFM_BAD_DATA, t[i].words);
    }
}

static void refuses_hostile_lengths(void **state)
{
    rt_fixture *f = *state;
    static const struct { const char *bytes, *words; size_t n; } t[] = {
        {"", "shorter than 8", 0},
        {"\x02\0\0\0\0\0\0", "shorter than 8", 7},
        {"\x02\0\0\0\0\0\0\0", "longer than the file", 8},
        {"\x02\0\0\0\0\0\0\0{", "longer than the file", 9},
        {"\xff\xff\xff\xff\xff\xff\xff\xff{}", "over 100 MB", 10},
        {"\x01\xe1\xf5\x05\0\0\0\0{}", "over 100 MB", 10},
        {"\0\0\0\0\0\0\0\0", "does not start", 8},
    };
    for (size_t i = 0; i < DFM_LEN(t); i++) {
        ckpt_st st;
        RT_FAILS(f, ckpt_st_parse(f->arena, "x", t[i].bytes, t[i].n, &st, &f->err), DFM_BAD_DATA,
                 t[i].words);
    }
}

/* A valid file cut off anywhere is refused; so is one with a byte more. */
static void refuses_every_prefix(void **state)
{
    rt_fixture *f = *state;
    const char *path = rt_path(f, "p.safetensors");
    static const uint64_t shape[1] = {4};
    const ckpt_tensor in = {.name = "x", .dtype = DFM_F32, .rank = 1, .shape = shape,
                            .data = "0123456789abcdef"};
    RT_OK(f, ckpt_write_file(path, &in, 1, NULL, 0, &f->err));
    char *p;
    size_t n;
    RT_OK(f, dfm_file_read(f->arena, path, 1 << 20, &p, &n, &f->err));
    ckpt_st st;
    RT_OK(f, ckpt_st_parse(f->arena, "p", p, n, &st, &f->err));
    for (size_t i = 0; i <= n + 1; i++) {
        if (i == n) continue;
        char *copy = dfm_dup(f->arena, p, i <= n ? i : n);
        if (i > n) copy = memcpy(dfm_alloc(f->arena, i), p, n);
        RT_FAILS(f, ckpt_st_parse(f->arena, "p", copy, i, &st, &f->err), DFM_BAD_DATA, "'p'");
    }
}

static void write_one(rt_fixture *f, const char *file, const char *name, float x)
{
    static const uint64_t shape[1] = {1};
    const ckpt_tensor t = {.name = name, .dtype = DFM_F32, .rank = 1, .shape = shape, .data = &x};
    RT_OK(f, ckpt_write_file(rt_path(f, file), &t, 1, NULL, 0, &f->err));
}

static void folders(void **state)
{
    rt_fixture *f = *state;
    ckpt_weights w;
    RT_FAILS(f, ckpt_weights_open(f->arena, f->folder, &w, &f->err), DFM_BAD_DATA,
             "no .safetensors file");
    rt_write_text(rt_path(f, "model.bin"), "x");
    RT_FAILS(f, ckpt_weights_open(f->arena, f->folder, &w, &f->err), DFM_BAD_DATA, "pickle");
    RT_FAILS(f, ckpt_weights_open(f->arena, rt_path(f, "model.bin"), &w, &f->err), DFM_BAD_DATA,
             "pickle");
    RT_FAILS(f, ckpt_weights_open(f->arena, rt_path(f, "none.safetensors"), &w, &f->err),
             DFM_BAD_DATA, "cannot open");
    write_one(f, "b.safetensors", "x", 1);
    write_one(f, "a.safetensors", "y", 2);
    RT_OK(f, ckpt_weights_open(f->arena, f->folder, &w, &f->err));
    assert_int_equal(w.n_tensors, 2);
    assert_string_equal(w.tensors[0].name, "y");
    ckpt_weights_close(&w);
    write_one(f, "c.safetensors", "x", 3);
    RT_FAILS(f, ckpt_weights_open(f->arena, f->folder, &w, &f->err), DFM_BAD_DATA,
             "tensor 'x' is in");
}

static void diffusers_pipeline(void **state)
{
    rt_fixture *f = *state;
    ckpt_weights w;
    RT_OK(f, dfm_make_folders(rt_path(f, "transformer/transformer"), &f->err));
    write_one(f, "transformer/diffusion_pytorch_model.safetensors", "x", 1);
    RT_FAILS(f, ckpt_weights_open(f->arena, f->folder, &w, &f->err), DFM_BAD_DATA,
             "no .safetensors");
    rt_write_text(rt_path(f, "model_index.json"), "{}");
    RT_OK(f, ckpt_weights_open(f->arena, f->folder, &w, &f->err));
    assert_string_equal(w.tensors[0].name, "x");
    ckpt_weights_close(&w);
}

static void indexes(void **state)
{
    rt_fixture *f = *state;
    ckpt_weights w;
    const char *index = rt_path(f, "diffusion_pytorch_model.safetensors.index.json");
    write_one(f, "one.safetensors", "x", 1);
    write_one(f, "two.safetensors", "y", 2);
    write_one(f, "unlisted.safetensors", "x", 3);
    rt_write_text(index, "{\"metadata\":{},\"weight_map\":{\"x\":\"one.safetensors\","
                  "\"y\":\"two.safetensors\"}}");
    RT_OK(f, ckpt_weights_open(f->arena, f->folder, &w, &f->err));
    assert_int_equal(w.n_files, 2);
    assert_true(*(const float *)ckpt_weights_find(&w, "x")->data == 1);
    ckpt_weights_close(&w);
    static const struct { const char *text, *words; } t[] = {
        {"{\"weight_map\":{\"x\":\"two.safetensors\",\"y\":\"two.safetensors\"}}",
         "says that tensor 'x' is in 'two.safetensors'"},
        {"{\"weight_map\":{\"x\":\"../one.safetensors\"}}", "not a .safetensors file beside it"},
        {"{\"weight_map\":{\"x\":\"/etc/passwd\"}}", "not a .safetensors file beside it"},
        {"{\"weight_map\":{\"x\":\"missing.safetensors\"}}", "cannot open"},
        {"{\"weight_map\":{\"x\":3}}", "not a .safetensors file beside it"},
        {"{\"weight_map\":{\"x\":\"one.safetensors\",\"x\":\"two.safetensors\"}}", "duplicate"},
        {"{}", "no weight_map"},
        {"", "index of safetensors"},
    };
    for (size_t i = 0; i < DFM_LEN(t); i++) {
        rt_write_text(index, t[i].text);
        RT_FAILS(f, ckpt_weights_open(f->arena, f->folder, &w, &f->err), DFM_BAD_DATA, t[i].words);
    }
}

static void write_failures(void **state)
{
    rt_fixture *f = *state;
    const char *path = rt_path(f, "w.safetensors");
    static const uint64_t shape[1] = {200000};
    const ckpt_tensor t = {.name = "x", .dtype = DFM_F32, .rank = 1, .shape = shape,
                           .data = dfm_alloc(f->arena, 800000)};
    RT_FAILS(f, ckpt_write_file(rt_path(f, "no/such/folder.safetensors"), &t, 1, NULL, 0, &f->err),
             DFM_CANNOT_WRITE, "cannot create");
    write_one(f, "w.safetensors", "old", 1);

    struct rlimit old, small = {300000, RLIM_INFINITY};
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small.rlim_max = old.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    dfm_status s = ckpt_write_file(path, &t, 1, NULL, 0, &f->err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    RT_FAILS(f, s, DFM_CANNOT_WRITE, "File too large");

    ckpt_weights w;                             /* the old file is untouched, no leftover */
    RT_OK(f, ckpt_weights_open(f->arena, f->folder, &w, &f->err));
    assert_int_equal(w.n_tensors, 1);
    assert_string_equal(w.tensors[0].name, "old");
    ckpt_weights_close(&w);
    assert_false(dfm_file_exists(dfm_fmt(f->arena, "%s.tmp-%d", path, (int)getpid())));

    ckpt_writer *wr;                            /* never overwrites */
    RT_FAILS(f, ckpt_writer_open(f->arena, path, &wr, &f->err), DFM_CANNOT_WRITE, "File exists");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RT_TEST(round_trip), RT_TEST(many_names), RT_TEST(clean_text),
        RT_TEST(accepts_what_others_write),
        RT_TEST(refuses_hostile_headers), RT_TEST(refuses_hostile_lengths),
        RT_TEST(refuses_every_prefix), RT_TEST(folders), RT_TEST(diffusers_pipeline),
        RT_TEST(indexes), RT_TEST(write_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_dataset.c - decoding, order, exact resume, windows, mock data, errors with their place. */
#include "tests/rt/tar_test.h"

#include "runtime/data/dataset.h"

static const uint64_t image_shape[3] = {1, 2, 3};

/* n samples in `shards` shards; sample i has label i and an image that starts at 10 i. */
static const char *write_set(rt_fixture *f, const char *name, int n, int shards)
{
    const char *folder = rt_path(f, name);
    RT_OK(f, dfm_make_folders(folder, &f->err));
    for (int s = 0, i = 0; s < shards; s++) {
        dfm_sb sb = dfm_sb_make(f->arena);
        for (int end = n * (s + 1) / shards; i < end; i++) {
            tar_add_text(&sb, dfm_fmt(f->arena, "%05d.cls", i), dfm_fmt(f->arena, "%d\n", i));
            tar_add_npy(&sb, dfm_fmt(f->arena, "%05d.image.npy", i), DFM_F64, 3, image_shape,
                        10 * i);
        }
        tar_end(&sb);
        rt_write(dfm_path_join(f->arena, folder, dfm_fmt(f->arena, "s-%03d.tar", s)), sb.p, sb.n);
    }
    return folder;
}

static const data_field two_fields[] = {
    {.name = "x", .dtype = DFM_F32, .rank = 3, .shape = image_shape, .source = "image.npy"},
    {.name = "label", .dtype = DFM_I32, .rank = 0, .source = "cls"},
};

/* The labels of the next `n` samples, checking images on the way. */
static void take(rt_fixture *f, data_set *d, uint32_t batch, int n, int32_t *out, data_cursor *next)
{
    for (int i = 0; i < n; i += (int)batch) {
        const data_batch *b;
        RT_OK(f, data_next(d, &b, &f->err));
        const float *x = b->fields[0];
        const int32_t *label = b->fields[1];
        for (uint32_t k = 0; k < batch; k++) {
            for (int j = 0; j < 6; j++)
                assert_true(x[k * 6 + (uint32_t)j] == (float)(10 * label[k] + j));
            out[i + (int)k] = label[k];
        }
        if (next) *next = b->next;
    }
}

static data_set *open_set(rt_fixture *f, data_options o)
{
    data_set *d;
    RT_OK(f, data_open(&o, two_fields, 2, &d, &f->err));
    return d;
}

static bool is_permutation(const int32_t *x, int n)
{
    bool seen[1000] = {false};
    for (int i = 0; i < n; i++) {
        if (x[i] < 0 || x[i] >= n || seen[x[i]]) return false;
        seen[x[i]] = true;
    }
    return true;
}

static void order_in_memory(void **state)
{
    rt_fixture *f = *state;
    const char *path = write_set(f, "set", 70, 3);
    data_options o = {.path = path, .seed = 5, .batch = 7, .shuffle = true};
    int32_t a[140], b[140], c[140];
    data_set *d = open_set(f, o);
    assert_true(data_in_memory(d));
    assert_int_equal(data_samples(d), 70);
    assert_string_equal(data_describe(d, f->arena), "70 samples in 3 shards, 1.91 KiB decoded, "
                                                    "in memory");
    take(f, d, 7, 140, a, NULL);
    data_close(d);
    assert_true(is_permutation(a, 70) && is_permutation(a + 70, 70));
    assert_true(memcmp(a, a + 70, 280) != 0);   /* each epoch has its own order */
    d = open_set(f, o);
    take(f, d, 7, 140, b, NULL);
    data_close(d);
    assert_memory_equal(a, b, sizeof a);        /* the same seed, the same order */
    o.seed = 6;
    d = open_set(f, o);
    take(f, d, 7, 140, c, NULL);
    data_close(d);
    assert_true(memcmp(a, c, sizeof a) != 0);
    o.shuffle = false;
    d = open_set(f, o);
    take(f, d, 7, 70, c, NULL);
    data_close(d);
    for (int i = 0; i < 70; i++) assert_int_equal(c[i], i);
}

/* In memory and in windows; stop after any batch and go on: the same samples. */
static void resume_is_exact(void **state)
{
    rt_fixture *f = *state;
    const char *path = write_set(f, "set", 53, 4);
    static const uint64_t limits[] = {0, 28 * 40};      /* a window of 10 samples */
    for (size_t k = 0; k < DFM_LEN(limits); k++) {
        data_options o = {.path = path, .seed = 1, .batch = 5, .shuffle = true,
                          .memory_limit = limits[k], .prefetch = (uint32_t)k + 1};
        int32_t all[200], rest[200];
        data_set *d = open_set(f, o);
        assert_int_equal(data_in_memory(d), k == 0);
        take(f, d, 5, 200, all, NULL);
        data_close(d);
        assert_true(is_permutation(all, 53) && is_permutation(all + 53, 53) &&
                    is_permutation(all + 106, 53));
        assert_true(memcmp(all, all + 53, 53 * 4) != 0);
        for (int stop = 5; stop < 200; stop += 15) {
            o.start = (data_cursor){0, 0};
            d = open_set(f, o);
            take(f, d, 5, stop, rest, &o.start);
            data_close(d);
            assert_int_equal(o.start.epoch, stop / 53);
            assert_int_equal(o.start.position, stop % 53);
            d = open_set(f, o);
            take(f, d, 5, 200 - stop, rest, NULL);
            data_close(d);
            assert_memory_equal(rest, all + stop, (size_t)(200 - stop) * 4);
        }
    }
}

/* A batch larger than the data set holds some samples twice, in the order of the epochs. */
static void batch_over_epochs(void **state)
{
    rt_fixture *f = *state;
    data_options o = {.path = write_set(f, "set", 3, 1), .batch = 7};
    int32_t x[7];
    data_set *d = open_set(f, o);
    take(f, d, 7, 7, x, &o.start);
    data_close(d);
    for (int i = 0; i < 7; i++) assert_int_equal(x[i], i % 3);
    assert_int_equal(o.start.epoch, 2);
    assert_int_equal(o.start.position, 1);
    o.start.position = 3;
    RT_FAILS(f, data_open(&o, two_fields, 2, &d, &f->err), DFM_BAD_DATA, "it is other data");
}

static void permutations(void **state)
{
    uint32_t p[500], count[6] = {0};
    for (uint32_t n = 0; n <= 500; n += 1 + n / 3) {
        bool seen[500] = {false};
        data_permutation(true, 3, n, 0, n, p);
        for (uint32_t i = 0; i < n; i++) {
            assert_true(p[i] < n && !seen[p[i]]);
            seen[p[i]] = true;
        }
    }
    for (uint32_t epoch = 0; epoch < 6000; epoch++) {   /* all orders of 3 are equally likely */
        data_permutation(true, 9, epoch, 2, 3, p);
        count[p[0] * 2 + (p[1] > p[2])]++;
    }
    for (int i = 0; i < 6; i++) assert_in_range(count[i], 850, 1150);
}

static dfm_status decode(rt_fixture *f, data_field field, const char *name, const void *p, size_t n,
                         void *out)
{
    data_member m = {.name = name, .p = p, .n = n};
    data_sample s = {.shard = "s.tar", .key = "k", .members = &m, .n_members = 1};
    return data_decode(f->arena, &field, &s, NULL, out, &f->err);
}

static dfm_status decode_npy(rt_fixture *f, dfm_dtype to, dfm_dtype from, double x, void *out)
{
    char buf[600];
    size_t n = data_npy_header(from, 0, NULL, buf);
    dfm_store_double(from, buf + n, 0, x);
    data_field field = {.name = "v", .dtype = to, .source = "a.npy"};
    return decode(f, field, "a.npy", buf, n + dfm_dtype_bytes(from), out);
}

static void conversions(void **state)
{
    rt_fixture *f = *state;
    static const dfm_dtype from[] = {DFM_BOOL, DFM_U8, DFM_I32, DFM_I64, DFM_F16, DFM_F32, DFM_F64};
    static const dfm_dtype to[] = {DFM_BOOL, DFM_U8, DFM_I32, DFM_I64, DFM_F16, DFM_BF16, DFM_F32,
                                   DFM_F64};
    for (size_t i = 0; i < DFM_LEN(from); i++) {
        for (size_t k = 0; k < DFM_LEN(to); k++) {
            uint64_t cell = 0;
            if (dfm_dtype_is_float(from[i]) && !dfm_dtype_is_float(to[k])) {
                RT_FAILS(f, decode_npy(f, to[k], from[i], 1, &cell), DFM_BAD_DATA,
                         "store whole numbers");
                continue;
            }
            RT_OK(f, decode_npy(f, to[k], from[i], 1, &cell));
            assert_true(dfm_load_as_double(to[k], &cell, 0) == 1);
        }
    }
    uint64_t cell;
    RT_FAILS(f, decode_npy(f, DFM_U8, DFM_I64, 256, &cell), DFM_BAD_DATA, "256 does not fit 'v'");
    RT_FAILS(f, decode_npy(f, DFM_I32, DFM_I64, 3e9, &cell), DFM_BAD_DATA, "does not fit");
    RT_FAILS(f, decode_npy(f, DFM_BOOL, DFM_U8, 2, &cell), DFM_BAD_DATA, "does not fit");
    RT_OK(f, decode_npy(f, DFM_BF16, DFM_F64, 1.0 / 3, &cell));
    assert_int_equal((uint16_t)cell, 0x3eab);
}

static void members(void **state)
{
    rt_fixture *f = *state;
    static const uint64_t pair[1] = {2}, square[2] = {2, 2};
    int32_t x[6];
    float y[6];
    const data_field cls = {.name = "c", .dtype = DFM_I32, .source = "cls"};
    RT_OK(f, decode(f, cls, "cls", "-12\r\n", 5, x));
    assert_int_equal(x[0], -12);
    static const char *const bad_cls[] = {"", "-", "1x", "1 2", "1.5", "1234567890123456789012"};
    for (size_t i = 0; i < DFM_LEN(bad_cls); i++)
        RT_FAILS(f, decode(f, cls, "cls", bad_cls[i], strlen(bad_cls[i]), x), DFM_BAD_DATA,
                 "shard 's.tar', sample 'k', member 'cls': it is not one whole number");
    const char *json = "{\"a\": {\"size\": [3, 4]}, \"m\": [[1, 2.5], [3, 4]], \"t\": true, "
                       "\"bad\": [[1], [2, 3]], \"s\": \"x\"}";
    size_t n = strlen(json);
    const data_field size = {.name = "s", .dtype = DFM_I32, .rank = 1, .shape = pair,
                             .source = "meta.json:a.size"};
    RT_OK(f, decode(f, size, "meta.json", json, n, x));
    assert_int_equal(x[1], 4);
    const data_field m = {.name = "m", .dtype = DFM_F32, .rank = 2, .shape = square,
                          .source = "meta.json:m"};
    RT_OK(f, decode(f, m, "meta.json", json, n, y));
    assert_true(y[1] == 2.5f && y[3] == 4);
    static const struct { const char *source, *words; } t[] = {
        {"meta.json:bad", "regular array"}, {"meta.json:s", "regular array"},
        {"meta.json:none", "no value 'none'"}, {"meta.json:m.x", "no value"},
        {"meta.json:t", "its shape is []; 'm' needs [2, 2]"},
        {"meta.txt", "has no member 'meta.txt'"},
    };
    for (size_t i = 0; i < DFM_LEN(t); i++) {
        data_field bad = m;
        bad.source = t[i].source;
        RT_FAILS(f, decode(f, bad, "meta.json", json, n, y), DFM_BAD_DATA, t[i].words);
    }
    RT_FAILS(f, decode(f, m, "meta.json", "{", 1, y), DFM_BAD_DATA, "line 1");
    const data_field jpg = {.name = "j", .dtype = DFM_U8, .source = "jpg"};
    RT_FAILS(f, decode(f, jpg, "jpg", "x", 1, x), DFM_BAD_DATA, "only .npy");
}

static void shapes_and_padding(void **state)
{
    rt_fixture *f = *state;
    static const uint64_t stored[2] = {2, 3}, wide[2] = {3, 4}, narrow[2] = {2, 2};
    char buf[700];
    size_t n = data_npy_header(DFM_U8, 2, stored, buf);
    memcpy(buf + n, "\1\2\3\4\5\6", 6);
    float y[12];
    data_field field = {.name = "v", .dtype = DFM_F32, .rank = 2, .shape = wide, .source = "a.npy"};
    RT_FAILS(f, decode(f, field, "a.npy", buf, n + 6, y), DFM_BAD_DATA,
             "shard 's.tar', sample 'k', member 'a.npy': its shape is [2, 3]; 'v' needs [3, 4]");
    field.pad = true;
    RT_OK(f, decode(f, field, "a.npy", buf, n + 6, y));
    static const float want[12] = {1, 2, 3, 0, 4, 5, 6, 0, 0, 0, 0, 0};
    assert_memory_equal(y, want, sizeof want);
    field.shape = narrow;
    RT_FAILS(f, decode(f, field, "a.npy", buf, n + 6, y), DFM_BAD_DATA, "needs [2, 2] or smaller");
}

static void errors_on_the_way(void **state)
{
    rt_fixture *f = *state;
    data_set *d;
    data_options o = {.path = rt_path(f, "none.tar"), .batch = 2};
    RT_FAILS(f, data_open(&o, two_fields, 2, &d, &f->err), DFM_BAD_DATA, "there is no data at");
    dfm_sb sb = dfm_sb_make(f->arena);
    for (int i = 0; i < 6; i++) {
        tar_add_text(&sb, dfm_fmt(f->arena, "%d.cls", i), "1");
        tar_add_npy(&sb, dfm_fmt(f->arena, "%d.image.npy", i), DFM_F32, i == 4 ? 2 : 3,
                    i == 4 ? image_shape + 1 : image_shape, 10);
    }
    tar_end(&sb);
    o.path = rt_path(f, "bad.tar");
    rt_write(o.path, sb.p, sb.n);
    RT_FAILS(f, data_open(&o, two_fields, 2, &d, &f->err), DFM_BAD_DATA,
             "sample '4', member 'image.npy': its shape is [2, 3]; 'x' needs [1, 2, 3]");
    o.memory_limit = 28 * 4;                    /* windows of one sample: found while reading */
    RT_OK(f, data_open(&o, two_fields, 2, &d, &f->err));
    const data_batch *b;
    RT_OK(f, data_next(d, &b, &f->err));
    RT_OK(f, data_next(d, &b, &f->err));
    RT_FAILS(f, data_next(d, &b, &f->err), DFM_BAD_DATA, "sample '4'");
    RT_FAILS(f, data_next(d, &b, &f->err), DFM_BAD_DATA, "sample '4'");
    data_close(d);
    sb = dfm_sb_make(f->arena);
    tar_end(&sb);
    rt_write(o.path, sb.p, sb.n);
    RT_FAILS(f, data_open(&o, two_fields, 2, &d, &f->err), DFM_BAD_DATA, "holds no sample");
}

/* Labels that the program has no use for are found when the data is opened: all of a set in memory,
 * those of the first window of a larger one. */
static void labels_in_range(void **state)
{
    rt_fixture *f = *state;
    data_field fields[2] = {two_fields[0], two_fields[1]};
    fields[1].modulus = 9;
    data_options o = {.path = write_set(f, "set", 9, 1), .batch = 2};
    data_set *d;
    RT_OK(f, data_open(&o, fields, 2, &d, &f->err));
    data_close(d);
    fields[1].modulus = 8;
    RT_FAILS(f, data_open(&o, fields, 2, &d, &f->err), DFM_BAD_DATA,
             "member 'cls': it holds 8 where the program takes 0 to 7");
    fields[1].modulus = 1;
    o.memory_limit = 28 * 4 * 2;
    RT_FAILS(f, data_open(&o, fields, 2, &d, &f->err), DFM_BAD_DATA, "takes 0 to 0");
}

static void mock_data(void **state)
{
    rt_fixture *f = *state;
    data_field fields[2] = {two_fields[0], two_fields[1]};
    fields[1].modulus = 3;
    data_options o = {.mock = true, .batch = 100, .seed = 4};
    data_set *d, *again;
    RT_OK(f, data_open(&o, fields, 2, &d, &f->err));
    const data_batch *b, *c;
    RT_OK(f, data_next(d, &b, &f->err));
    double sum = 0, squares = 0;
    for (int i = 0; i < 600; i++) {
        double x = ((const float *)b->fields[0])[i];
        sum += x / 600;
        squares += x * x / 600;
    }
    assert_true(sum > -0.2 && sum < 0.2 && squares > 0.8 && squares < 1.25);
    int count[3] = {0};
    for (int i = 0; i < 100; i++) count[((const int32_t *)b->fields[1])[i]]++;
    assert_true(count[0] > 15 && count[1] > 15 && count[2] > 15);
    o.start = b->next;
    RT_OK(f, data_next(d, &b, &f->err));
    RT_OK(f, data_open(&o, fields, 2, &again, &f->err));
    RT_OK(f, data_next(again, &c, &f->err));
    assert_memory_equal(b->fields[0], c->fields[0], 2400);
    data_close(d);
    data_close(again);
    o = (data_options){.batch = 3};             /* a program without data */
    RT_OK(f, data_open(&o, NULL, 0, &d, &f->err));
    RT_OK(f, data_next(d, &b, &f->err));
    assert_int_equal(b->next.position, 3);
    data_close(d);
}

static void bundled_digits(void **state)
{
    rt_fixture *f = *state;
    static const uint64_t shape[3] = {1, 8, 8};
    const data_field fields[] = {
        {.name = "x", .dtype = DFM_F32, .rank = 3, .shape = shape, .source = "image.npy"},
        {.name = "y", .dtype = DFM_I32, .source = "cls"},
    };
    const char *path = DFM_SOURCE_DIR "/models/data/digits.tar";
    if (!dfm_file_exists(path)) skip();
    data_options o = {.path = path, .batch = 1797};
    data_set *d;
    const data_batch *b;
    RT_OK(f, data_open(&o, fields, 2, &d, &f->err));
    RT_OK(f, data_next(d, &b, &f->err));
    int count[10] = {0};
    for (int i = 0; i < 1797; i++) count[((const int32_t *)b->fields[1])[i]]++;
    for (int i = 0; i < 10; i++) assert_in_range(count[i], 174, 183);
    for (int i = 0; i < 1797 * 64; i++) {
        float x = ((const float *)b->fields[0])[i];
        assert_true(x >= -1 && x <= 1);
    }
    data_close(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RT_TEST(order_in_memory), RT_TEST(resume_is_exact), RT_TEST(batch_over_epochs),
        RT_TEST(permutations), RT_TEST(conversions), RT_TEST(members), RT_TEST(shapes_and_padding),
        RT_TEST(errors_on_the_way), RT_TEST(labels_in_range),
        RT_TEST(mock_data), RT_TEST(bundled_digits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_npy.c - .npy headers: what NumPy writes is read, everything else is refused in words. */
#include "tests/rt/tar_test.h"

static dfm_status parse(rt_fixture *f, int version, const char *header, size_t data,
                        data_array *out)
{
    size_t n = strlen(header), start = version == 1 ? 10 : 12;
    unsigned char *p = dfm_alloc(f->arena, start + n + data + 1);
    memcpy(p, "\x93NUMPY", 6);
    p[6] = (unsigned char)version;
    p[8] = (unsigned char)n;
    p[9] = (unsigned char)(n >> 8);
    memcpy(p + start, header, n);
    return data_npy_parse(p, start + n + data, out, &f->err);
}

#define HEAD(descr, shape) "{'descr': " descr ", 'fortran_order': False, 'shape': " shape ", }\n"

static void reads(void **state)
{
    rt_fixture *f = *state;
    data_array x;
    RT_OK(f, parse(f, 1, HEAD("'<f4'", "(2, 3)"), 24, &x));
    assert_int_equal(x.dtype, DFM_F32);
    assert_int_equal(x.rank, 2);
    assert_int_equal(x.shape[1], 3);
    assert_int_equal(x.bytes, 24);
    RT_OK(f, parse(f, 2, HEAD("'|u1'", "()"), 1, &x));
    assert_int_equal(x.rank, 0);
    RT_OK(f, parse(f, 3, "{\"shape\":(5,),\"fortran_order\":False,\"descr\":\"<i8\"}   \n", 40,
                   &x));
    assert_int_equal(x.dtype, DFM_I64);
    RT_OK(f, parse(f, 1, HEAD("'<f2'", "(0, 7)"), 0, &x));
    assert_int_equal(x.bytes, 0);
}

static void header_round_trip(void **state)
{
    rt_fixture *f = *state;
    static const uint64_t shape[4] = {3, 1, 8, 70000};
    for (int d = 1; d < DFM_DT_COUNT; d++) {
        if (d == DFM_BF16) continue;            /* has no npy type */
        for (uint32_t rank = 0; rank <= 4; rank++) {
            char out[512];
            size_t n = data_npy_header((dfm_dtype)d, rank, shape, out), count = 1;
            assert_int_equal(n % 64, 0);
            for (uint32_t i = 0; i < rank; i++) count *= shape[i];
            size_t total = n + count * dfm_dtype_bytes((dfm_dtype)d);
            char *p = malloc(total);
            memcpy(p, out, n);
            data_array x;
            RT_OK(f, data_npy_parse(p, total, &x, &f->err));
            assert_int_equal(x.dtype, d);
            assert_int_equal(x.rank, rank);
            assert_memory_equal(x.shape, shape, rank * sizeof *shape);
            free(p);
        }
    }
}

static void refuses(void **state)
{
    rt_fixture *f = *state;
    static const struct { const char *header, *words; size_t data; } t[] = {
        {"{'descr': '<f4', 'fortran_order': True, 'shape': (2,), }\n", "Fortran order", 8},
        {HEAD("'>f4'", "(2,)"), "big-endian", 8},
        {HEAD("'|O'", "(2,)"), "Python objects", 8},
        {HEAD("[('a', '<f4')]", "(2,)"), "structured", 8},
        {HEAD("'<c8'", "(2,)"), "type '<c8' is not supported", 16},
        {HEAD("'<f4'", "(2,)"), "12 bytes of data, its shape needs 8", 12},
        {HEAD("'<f4'", "(2,)"), "4 bytes of data, its shape needs 8", 4},
        {HEAD("'<f4'", "(2)"), "a number, not a tuple", 8},
        {HEAD("'<f4'", "(,)"), "whole numbers", 8},
        {HEAD("'<f4'", "(-2,)"), "whole numbers", 8},
        {HEAD("'<f4'", "2"), "not a tuple", 8},
        {HEAD("'<f4'", "(2 3)"), "not closed", 8},
        {HEAD("'<f4'", "(99999999999999999999,)"), "overflows", 8},
        {HEAD("'<f4'", "(4611686018427387904, 4)"), "overflows", 0},
        {HEAD("'<f4'", "(4294967296, 4294967296, 0)"), "overflows", 0},
        {HEAD("'<f4'", "(1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1)"),
         "more than 32 dims", 4},
        {"{'descr': '<f4', 'shape': (2,), }\n", "lacks a key", 8},
        {"{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,)}\n", "twice", 8},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'x': 1}\n", "one too many", 8},
        {"{'descr': '<f4', 'fortran_order': Fals, 'shape': (2,)}\n", "neither True nor False", 8},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,)} x\n", "text follows", 8},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,)\n", "malformed", 8},
        {"{'descr' '<f4', 'fortran_order': False, 'shape': (2,)}\n", "malformed", 8},
        {"{'descr': '<\\x66', 'fortran_order': False, 'shape': (2,)}\n", "not text", 8},
        {"{'descr': '<f4\n", "not text", 8},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", "no end of line", 0},
        {"__import__('os').system('id')\n", "not a dict", 0},
        {"", "no end of line", 0},
    };
    for (size_t i = 0; i < DFM_LEN(t); i++) {
        data_array x;
        RT_FAILS(f, parse(f, 1, t[i].header, t[i].data, &x), DFM_BAD_DATA, t[i].words);
    }
    data_array x;
    RT_FAILS(f, data_npy_parse("\x93NUMPZ\x01\0\0\0", 10, &x, &f->err), DFM_BAD_DATA, "start with");
    RT_FAILS(f, data_npy_parse("\x93NUMPY\x04\0\0\0", 10, &x, &f->err), DFM_BAD_DATA, "version");
    RT_FAILS(f, data_npy_parse("\x93NUMPY\x02\0\xff\xff", 10, &x, &f->err), DFM_BAD_DATA,
             "cut off");
    RT_FAILS(f, data_npy_parse("\x93NUMPY\x02\0\xff\xff\xff\xff", 12, &x, &f->err), DFM_BAD_DATA,
             "64 KiB");
    RT_FAILS(f, data_npy_parse("\x93NUMPY\x01\0\xff\0", 10, &x, &f->err), DFM_BAD_DATA,
             "cut off in its header");
}

static void refuses_every_prefix(void **state)
{
    rt_fixture *f = *state;
    static const uint64_t shape[1] = {4};
    char buf[600] = {0};
    size_t n = data_npy_header(DFM_F32, 1, shape, buf) + 16;
    data_array x;
    RT_OK(f, data_npy_parse(buf, n, &x, &f->err));
    for (size_t i = 0; i < n; i++) {
        char *copy = dfm_dup(f->arena, buf, i);
        RT_FAILS(f, data_npy_parse(copy, i, &x, &f->err), DFM_BAD_DATA, "not a usable");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {RT_TEST(reads), RT_TEST(header_round_trip), RT_TEST(refuses),
                                       RT_TEST(refuses_every_prefix)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

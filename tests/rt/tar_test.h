/* tar_test.h - build tar and npy bytes by hand, valid and hostile. */
#ifndef DFM_TESTS_TAR_TEST_H
#define DFM_TESTS_TAR_TEST_H

#include "tests/rt/rt_test.h"

#include "runtime/data/npy.h"

/* The checksum of a header, made right. */
static inline void tar_resum(char *h)
{
    unsigned sum = 0;
    memset(h + 148, ' ', 8);
    for (int i = 0; i < 512; i++) sum += (unsigned char)h[i];
    snprintf(h + 148, 8, "%06o", sum);
}

/* Append one ustar member; type '0' is a file. The header's checksum is right. */
static inline void tar_add(dfm_sb *sb, const char *name, char type, const void *p, size_t n)
{
    char h[512] = {0}, zeros[512] = {0};
    strncpy(h, name, 100);
    memcpy(h + 100, "0000644", 8);
    memcpy(h + 108, "0000000", 8);
    memcpy(h + 116, "0000000", 8);
    snprintf(h + 124, 12, "%011o", (unsigned)n & 0x7fffffff);
    memcpy(h + 136, "00000000000", 12);
    h[156] = type;
    if (type == '2' || type == '1') memcpy(h + 157, "/etc/passwd", 11);
    memcpy(h + 257, "ustar\0" "00", 8);
    tar_resum(h);
    dfm_sb_add(sb, h, 512);
    if (n) dfm_sb_add(sb, p, n);
    if (n % 512) dfm_sb_add(sb, zeros, 512 - n % 512);
}

static inline void tar_add_text(dfm_sb *sb, const char *name, const char *text)
{
    tar_add(sb, name, '0', text, strlen(text));
}

static inline void tar_end(dfm_sb *sb)
{
    char zeros[1024] = {0};
    dfm_sb_add(sb, zeros, 1024);
}

/* An .npy member of dtype d whose element i is first + i (as d). */
static inline void tar_add_npy(dfm_sb *sb, const char *name, dfm_dtype d, uint32_t rank,
                               const uint64_t *shape, double first)
{
    char buf[16384];
    size_t n = data_npy_header(d, rank, shape, buf), count = 1;
    for (uint32_t i = 0; i < rank; i++) count *= shape[i];
    assert_true(n + count * 8 < sizeof buf);
    for (size_t i = 0; i < count; i++) {
        char cell[8];
        dfm_store_double(d, cell, 0, first + (double)i);
        memcpy(buf + n + i * dfm_dtype_bytes(d), cell, dfm_dtype_bytes(d));
    }
    tar_add(sb, name, '0', buf, n + count * dfm_dtype_bytes(d));
}

#endif

/* fuzz_tar.c - any bytes as a shard: each sample, found without contents, can be read again from
 * its offset, with contents, and is the same: its key, and name, size and place of its members. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/data/wds.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_again(const char *path, const data_sample *x)
{
    data_shard *s;
    data_sample y;
    bool end;
    dfm_err err = {0};
    if (data_shard_open(path, x->offset, true, &s, &err) != DFM_OK) abort();
    if (data_shard_next(s, &y, &end, &err) != DFM_OK) abort();
    if (end || strcmp(x->key, y.key) || x->offset != y.offset) abort();
    if (x->n_members != y.n_members) abort();
    for (uint32_t i = 0; i < y.n_members; i++) {
        const data_member *a = &x->members[i], *b = &y.members[i];
        if (strcmp(a->name, b->name) || a->n != b->n || a->offset != b->offset) abort();
    }
    data_shard_close(s);
}

/* Right checksums in all blocks that could be headers: else hardly a change gets past them. */
static void repair(uint8_t *p, size_t n)
{
    for (size_t at = 0; at + 512 <= n; at += 512) {
        uint8_t *h = p + at;
        if (memcmp(h + 257, "ustar", 5) != 0) continue;
        unsigned sum = 0;
        memset(h + 148, ' ', 8);
        for (int i = 0; i < 512; i++) sum += h[i];
        snprintf((char *)h + 148, 7, "%06o", sum & 0777777);
        h[155] = ' ';
    }
}

static void read_all(const uint8_t *data, size_t n)
{
    char path[64];
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, n) != (ssize_t)n) abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    dfm_err err = {0};
    data_shard *s = NULL;
    bool end = false;
    dfm_status status = data_shard_open(path, 0, false, &s, &err);
    for (int i = 0; status == DFM_OK && !end && i < 50; i++) {
        data_sample x;
        status = data_shard_next(s, &x, &end, &err);
        if (status == DFM_OK && !end) check_again(path, &x);
    }
    if ((status == DFM_OK) != (err.code == DFM_OK)) abort();
    data_shard_close(s);
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    uint8_t *copy = malloc(n + 1);
    read_all(data, n);
    if (n) memcpy(copy, data, n);
    repair(copy, n);
    if (n && memcmp(copy, data, n)) read_all(copy, n);
    free(copy);
    return 0;
}

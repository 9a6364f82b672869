/* fuzz_npy.c - any bytes as a .npy file: what is accepted fills the rest of the bytes exactly, and
 * its header, written again, parses to the same array. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/data/npy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    dfm_err err = {0};
    data_array x, again;
    if (data_npy_parse(data, n, &x, &err) != DFM_OK) {
        if (err.code != DFM_BAD_DATA) abort();
        return 0;
    }
    const uint8_t *p = x.data;
    if (p < data || p + x.bytes != data + n) abort();
    if (x.rank > 16) return 0;
    char *copy = malloc(512 + x.bytes);
    size_t head = data_npy_header(x.dtype, x.rank, x.shape, copy);
    if (x.bytes) memcpy(copy + head, p, x.bytes);
    if (data_npy_parse(copy, head + x.bytes, &again, &err) != DFM_OK) abort();
    if (again.dtype != x.dtype || again.rank != x.rank || again.bytes != x.bytes ||
        memcmp(again.shape, x.shape, x.rank * sizeof *x.shape))
        abort();
    free(copy);
    return 0;
}

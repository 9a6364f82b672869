/* fuzz_member.c - any bytes as one member of a sample, decoded into a field.
 *
 * The first four bytes choose: the kind of member (cls, json, json:a, npy), the field's element
 * type, its rank and padding, its extents. What is accepted fills the field and writes nothing
 * beside it.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/data/dataset.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char *const sources[] = {"cls", "x.json", "x.json:a", "x.json:a.b", "x.npy"};
    static const dfm_dtype types[] = {DFM_F32, DFM_BF16, DFM_F64, DFM_I32,
                                      DFM_I64, DFM_U8, DFM_BOOL};
    if (n < 4) return 0;
    uint64_t shape[3] = {data[3] & 3, data[3] >> 2 & 3, data[3] >> 4 & 3};
    data_field f = {.name = "field", .source = sources[data[0] % 5], .dtype = types[data[1] % 7],
                    .rank = data[2] % 4, .shape = shape, .pad = data[2] & 8};
    char name[16];
    strcpy(name, f.source);
    if (strchr(name, ':')) *strchr(name, ':') = 0;
    dfm_arena *a = dfm_arena_create("fuzz");
    void *copy = malloc(n - 4 + 1);
    memcpy(copy, data + 4, n - 4);
    data_member m = {.name = name, .p = copy, .n = n - 4};
    data_sample s = {.shard = "x.tar", .key = "k", .members = &m, .n_members = 1};
    uint64_t bytes = data_field_bytes(&f);
    void *dst = malloc(bytes ? bytes : 1);
    dfm_err err = {0};
    dfm_status st = bytes ? data_decode(a, &f, &s, NULL, dst, &err) : DFM_OK;
    if (st != DFM_OK && (st != DFM_BAD_DATA || err.code != st || !err.len)) abort();
    free(dst);
    free(copy);
    dfm_arena_destroy(a);
    return 0;
}

/* fuzz_safetensors.c - any bytes as a safetensors file: what is accepted lies inside the file,
 * tiles it, and is found by name. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/ckpt/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void read_one(const uint8_t *data, size_t n)
{
    dfm_arena *a = dfm_arena_create("fuzz");
    dfm_err err = {0};
    ckpt_st st;
    dfm_status s = ckpt_st_parse(a, "fuzz", data, n, &st, &err);
    if ((s == DFM_OK) != (err.code == DFM_OK)) abort();
    if (s == DFM_OK) {
        const uint8_t *end = NULL;
        unsigned sum = 0;
        for (uint32_t i = 0; i < st.n_tensors; i++) {
            const ckpt_tensor *t = &st.tensors[i];
            const uint8_t *p = t->data;
            if (p < data || t->bytes > (uint64_t)(data + n - p) || (end && p != end)) abort();
            for (uint64_t k = 0; k < t->bytes; k++) sum += p[k];
            end = p + t->bytes;
            if (!ckpt_tensor_text(a, t)[0]) abort();
        }
        if (end && end != data + n) abort();
        volatile unsigned sink = sum;
        (void)sink;
    }
    dfm_arena_destroy(a);
}

/* As it is; and, if it begins with '{', as a header up to its last '}' (or the NUL, as data begins)
 * with the right length before it: else hardly a change gets past the length. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    read_one(data, n);
    size_t at = n >= 9 && data[8] == '{' ? 8 : 0, header = 0;
    if (n == 0 || data[at] != '{') return 0;
    for (size_t i = at; i < n && data[i]; i++)
        if (data[i] == '}') header = i + 1 - at;
    uint8_t *copy = malloc(n + 8);
    for (int i = 0; i < 8; i++) copy[i] = (uint8_t)((uint64_t)header >> 8 * i);
    memcpy(copy + 8, data + at, n - at);
    read_one(copy, n - at + 8);
    free(copy);
    return 0;
}

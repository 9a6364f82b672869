/* fuzz_safetensors.c - any bytes as a safetensors file: what is accepted lies inside the file,
 * tiles it, and is found by name. */
#include <stdint.h>
#include <stdlib.h>

#include "runtime/ckpt/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
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
    return 0;
}

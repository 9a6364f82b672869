/* fuzz_index.c - any bytes as the index of split weights, beside one file of weights: what is
 * accepted opens no file but that one. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/ckpt/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void put(const char *path, const void *p, size_t n)
{
    dfm_out o;
    if (dfm_make_folders("fuzz-index", NULL) != DFM_OK ||
        dfm_out_open(path, DFM_OUT_TRUNCATE, &o, NULL) != DFM_OK ||
        dfm_out_write(&o, p, n, NULL) != DFM_OK || dfm_out_close(&o, NULL) != DFM_OK)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char header[] = "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}";
    char part[8 + sizeof header] = {(char)(sizeof header - 1)};     /* the NUL is the tensor */
    memcpy(part + 8, header, sizeof header);
    const char *path = "fuzz-index/x.safetensors.index.json";
    dfm_arena *a = dfm_arena_create("fuzz");
    dfm_err err = {0};
    ckpt_weights w;
    put("fuzz-index/part.safetensors", part, sizeof part);
    put(path, data, n);
    dfm_status s = ckpt_weights_open(a, path, &w, &err);
    if (s == DFM_OK) {
        for (uint32_t i = 0; i < w.n_files; i++)
            if (strcmp(w.files[i].path, "fuzz-index/part.safetensors") != 0) abort();
        ckpt_weights_close(&w);
    } else if (s != DFM_BAD_DATA || err.code != s) {
        abort();
    }
    dfm_arena_destroy(a);
    return 0;
}

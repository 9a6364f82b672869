/* order.c - permutations that depend on numbers alone (Fisher-Yates over Philox words). */
#include "runtime/base/philox.h"
#include "runtime/data/dataset.h"

enum { STREAM = 0x73687566 };      /* "shuf": keeps these draws apart from a program's */

void data_permutation(bool shuffle, uint64_t seed, uint64_t epoch, uint32_t window, uint32_t n,
                      uint32_t *out)
{
    uint32_t key[2], words[4];
    for (uint32_t i = 0; i < n; i++) out[i] = i;
    if (!shuffle) return;
    dfm_draw_key(seed, STREAM, key);
    for (uint32_t i = n; i-- > 1;) {
        uint32_t ctr[4] = {i, (uint32_t)epoch, (uint32_t)(epoch >> 32), window};
        dfm_philox(key, ctr, words);
        uint64_t w = (uint64_t)words[0] << 32 | words[1];
        uint32_t j = (uint32_t)(((unsigned __int128)w * (i + 1)) >> 64), t = out[i];
        out[i] = out[j];
        out[j] = t;
    }
}

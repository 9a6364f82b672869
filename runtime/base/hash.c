/* hash.c - xxh3 behind our own two names. */
#include "runtime/base/hash.h"

#include <stdio.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t dfm_hash64(const void *p, size_t n, uint64_t seed)
{
    return XXH3_64bits_withSeed(p, n, seed);
}

dfm_hash128 dfm_hash128_of(const void *p, size_t n)
{
    XXH128_hash_t h = XXH3_128bits(p, n);
    return (dfm_hash128){h.low64, h.high64};
}

char *dfm_hash128_hex(dfm_hash128 h, char out[33])
{
    snprintf(out, 33, "%016llx%016llx", (unsigned long long)h.hi, (unsigned long long)h.lo);
    return out;
}

struct dfm_hash_stream { XXH3_state_t state; };

dfm_hash_stream *dfm_hash_begin(dfm_arena *a)
{
    dfm_hash_stream *s = dfm_new(a, dfm_hash_stream);
    XXH3_128bits_reset(&s->state);
    return s;
}

void dfm_hash_add(dfm_hash_stream *s, const void *p, size_t n)
{
    if (n) XXH3_128bits_update(&s->state, p, n);
}

dfm_hash128 dfm_hash_end(const dfm_hash_stream *s)
{
    XXH128_hash_t h = XXH3_128bits_digest(&s->state);
    return (dfm_hash128){h.low64, h.high64};
}

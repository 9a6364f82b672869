/* hash.h - hashes for integrity and for tables (xxHash, xxh3). Not cryptographic. */
#ifndef DFM_RUNTIME_BASE_HASH_H
#define DFM_RUNTIME_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "runtime/base/arena.h"

typedef struct { uint64_t lo, hi; } dfm_hash128;

uint64_t dfm_hash64(const void *p, size_t n, uint64_t seed);
dfm_hash128 dfm_hash128_of(const void *p, size_t n);
/* 32 hexadecimal digits, high half first, and a NUL. Returns out. */
char *dfm_hash128_hex(dfm_hash128 h, char out[33]);

/* dfm_hash128_of in pieces: after all dfm_hash_add calls, the value of their bytes joined. */
typedef struct dfm_hash_stream dfm_hash_stream;
dfm_hash_stream *dfm_hash_begin(dfm_arena *a);
void dfm_hash_add(dfm_hash_stream *s, const void *p, size_t n);
dfm_hash128 dfm_hash_end(const dfm_hash_stream *s);

#endif

/* dataset.h - batches of samples in typed buffers, in an order that can be resumed exactly.
 *
 * The order of samples is a function of (seed, epoch) and the files. A cursor is (epoch, position):
 * opening with a cursor continues with the very batch that would have come next. A batch that
 * reaches the end of an epoch continues into the next one; nothing is dropped or padded.
 *
 *   - A data set that fits memory_limit when decoded is read once and kept; each epoch is a
 *     permutation of all samples, uniform over all permutations.
 *   - A larger one is read in windows: per epoch the shards are permuted, their samples in sequence
 *     form a stream, the stream is cut into windows of a fixed number of samples that fill
 *     memory_limit / 4, and each window is permuted. Any position is found from the cursor alone.
 *   - Mock data is drawn from (seed, field, position): normals for floats, whole numbers below
 *     `modulus` for integers.
 *
 * A thread reads ahead. Its failures come out of data_next.
 */
#ifndef DFM_RUNTIME_DATA_DATASET_H
#define DFM_RUNTIME_DATA_DATASET_H

#include "runtime/base/arena.h"
#include "runtime/base/dtype.h"
#include "runtime/base/status.h"
#include "runtime/data/npy.h"
#include "runtime/data/wds.h"

typedef struct data_field {
    const char *name;          /* "x0"; for messages and mock data */
    dfm_dtype dtype;           /* of the batch's buffer; stored values are converted */
    uint32_t rank;
    const uint64_t *shape;     /* [rank], of one sample */
    const char *source;        /* "image.npy", "cls", "meta.json:size", "text.safetensors:feat" */
    bool pad;                  /* smaller arrays are filled up with zeros at the ends */
    uint32_t modulus;          /* integers are in 0 .. modulus - 1; 0: any (mock ones below 10) */
} data_field;

/* Find array `key` in n bytes of a .safetensors member; *out may point into p or the arena. Given
 * by the caller, because this module does not know the format. */
typedef dfm_status data_extract(dfm_arena *a, const void *p, size_t n, const char *key,
                                data_array *out, dfm_err *err);

typedef struct data_cursor { uint64_t epoch, position; } data_cursor;

typedef struct data_options {
    const char *path;          /* see data_shard_list; ignored for mock data */
    bool mock, shuffle;
    uint64_t seed;
    uint32_t batch;            /* samples per batch, >= 1 */
    uint32_t prefetch;         /* batches ahead; 0 means 2 */
    uint64_t memory_limit;     /* bytes of decoded samples to keep; 0 means 1 GiB */
    data_cursor start;
    data_extract *extract;     /* NULL: .safetensors members are refused */
} data_options;

typedef struct data_batch {
    void *const *fields;       /* [n_fields], each [batch, shape...], aligned to 64 bytes */
    data_cursor first;         /* cursor of its first sample */
    data_cursor next;          /* where the batch after it starts: what a checkpoint stores */
} data_batch;

typedef struct data_set data_set;

/* Fields and options are copied. On failure nothing is open. Reads all shards' directories, and
 * all samples if they fit memory_limit. DFM_BAD_DATA names shard and sample. */
dfm_status data_open(const data_options *options, const data_field *fields, uint32_t n_fields,
                     data_set **out, dfm_err *err);
/* The next batch; valid until the next call or data_close. After a failure the same failure is
 * returned again. */
dfm_status data_next(data_set *d, const data_batch **out, dfm_err *err);
void data_close(data_set *d);               /* NULL is allowed */

uint64_t data_samples(const data_set *d);   /* per epoch; 0 for mock data */
uint32_t data_shards(const data_set *d);
bool data_in_memory(const data_set *d);
/* "1,797 samples in 1 shard, 459.5 KiB decoded, in memory", in the arena. */
const char *data_describe(const data_set *d, dfm_arena *a);

/* -- decode.c ------------------------------------------------------------------------------ */
/* One field of one sample into dst (the field's bytes). DFM_BAD_DATA names shard, sample, member,
 * expected and found shape. */
dfm_status data_decode(dfm_arena *scratch, const data_field *f, const data_sample *s,
                       data_extract *extract, void *dst, dfm_err *err);
/* Bytes of one sample of the field; 0 if that overflows. */
uint64_t data_field_bytes(const data_field *f);

/* -- order.c ------------------------------------------------------------------------------- */
/* out[0..n) = a permutation of 0..n-1 that depends on (seed, epoch, window) alone; with `shuffle`
 * false the identity. */
void data_permutation(bool shuffle, uint64_t seed, uint64_t epoch, uint32_t window, uint32_t n,
                      uint32_t *out);

#endif

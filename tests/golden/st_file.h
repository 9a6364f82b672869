/* st_file.h - safetensors for the test tools: a reader and a writer of their own.
 *
 * Shares no code with the reader in runtime/ckpt, so that a mistake there cannot hide itself in
 * the comparison. Format: 8 bytes little-endian header length, a JSON object
 * {"name": {"dtype": "F32", "shape": [..], "data_offsets": [begin, end]}, ...}, then the data.
 */
#ifndef DFM_TESTS_GOLDEN_ST_FILE_H
#define DFM_TESTS_GOLDEN_ST_FILE_H

#include "runtime/base/arena.h"
#include "runtime/base/dtype.h"
#include "runtime/base/status.h"

enum { ST_MAX_DIMS = 16 };

typedef struct st_tensor {
    const char *name;
    dfm_dtype dtype;
    uint32_t n_dims;
    uint64_t dims[ST_MAX_DIMS];
    uint64_t n;                /* elements */
    const void *data;          /* n elements, aligned to 64 bytes */
} st_tensor;

typedef struct st_file {
    const char *path;
    uint32_t n;
    st_tensor *t;              /* in the order of the header's text */
} st_file;

/* Read a whole file into the arena. DFM_BAD_DATA with a reason if anything does not fit. */
dfm_status st_read(dfm_arena *a, const char *path, st_file *out, dfm_err *err);

/* NULL if there is none. */
const st_tensor *st_find(const st_file *f, const char *name);

/* Write tensors in the given order, header padded so that data starts at a multiple of 8. */
dfm_status st_write(dfm_arena *a, const char *path, const st_tensor *t, uint32_t n, dfm_err *err);

static inline double st_at(const st_tensor *t, uint64_t i)
{
    return dfm_load_as_double(t->dtype, t->data, i);
}

/* "[3, 1, 8, 8]" in the arena. */
const char *st_shape_text(dfm_arena *a, const st_tensor *t);

/* Same dims once the dims of extent 1 are dropped. */
bool st_same_shape(const st_tensor *x, const st_tensor *y);

#endif

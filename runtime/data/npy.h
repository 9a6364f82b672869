/* npy.h - NumPy's .npy format, versions 1 to 3: a view into bytes that are already in memory.
 *
 * Bytes are untrusted. The header must be exactly a dict of 'descr', 'fortran_order' and 'shape',
 * and the data must fill the rest exactly. Fortran order, big-endian and object or structured
 * types are refused in words.
 * https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
 */
#ifndef DFM_RUNTIME_DATA_NPY_H
#define DFM_RUNTIME_DATA_NPY_H

#include "runtime/base/dtype.h"
#include "runtime/base/status.h"

enum { DATA_MAX_RANK = 32 };

typedef struct data_array {
    dfm_dtype dtype;
    uint32_t rank;
    uint64_t shape[DATA_MAX_RANK];  /* outermost first */
    const void *data;               /* C order, little-endian, perhaps unaligned */
    uint64_t bytes;
} data_array;

/* *out points into p. DFM_BAD_DATA with the reason ("it ..."), to which callers add the place. */
dfm_status data_npy_parse(const void *p, size_t n, data_array *out, dfm_err *err);

/* The header of a version 1 file for this array, padded so that data starts at a multiple of 64.
 * Returns its size; `out` has room for 512 bytes. */
size_t data_npy_header(dfm_dtype dtype, uint32_t rank, const uint64_t *shape, char out[512]);

#endif

/* png_grid.h - a grid of small images in one PNG, with numbers along its edges. */
#ifndef DFM_RUNTIME_METRICS_PNG_GRID_H
#define DFM_RUNTIME_METRICS_PNG_GRID_H

#include <stdint.h>

#include "runtime/base/arena.h"
#include "runtime/base/status.h"

typedef struct met_grid {
    uint32_t rows, cols;
    uint32_t channels;         /* 1 grey, 3 RGB */
    uint32_t height, width;    /* of one image */
    uint32_t scale;            /* each pixel becomes scale x scale; >= 1 */
    const float *images;       /* [n, channels, height, width], 0 black .. 1 white, row by row */
    uint32_t n;                /* images given; the places after them stay empty */
    const int32_t *row_labels; /* [rows], written left of each row; NULL: none */
    const int32_t *col_labels; /* [cols], written above each column; NULL: none */
} met_grid;

/* Write the grid to `path` (replaced as a whole). The bytes depend on the arguments and the
 * installed zlib alone. NaN becomes black. */
dfm_status met_png_grid(const char *path, const met_grid *g, dfm_err *err);

#endif

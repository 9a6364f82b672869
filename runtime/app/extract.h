/* extract.h - one tensor out of a .safetensors member of a data set: joins runtime/data with
 * runtime/ckpt, which do not know each other. Give it as data_options.extract. */
#ifndef DFM_RUNTIME_APP_EXTRACT_H
#define DFM_RUNTIME_APP_EXTRACT_H

#include "runtime/data/dataset.h"

dfm_status app_extract(dfm_arena *a, const void *p, size_t n, const char *key, data_array *out,
                       dfm_err *err);

#endif

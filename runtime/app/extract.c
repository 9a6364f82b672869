/* extract.c - one tensor out of a .safetensors member. */
#include "runtime/app/extract.h"

#include <string.h>

#include "runtime/ckpt/safetensors.h"

_Static_assert((int)DATA_MAX_RANK >= (int)CKPT_MAX_RANK, "any tensor fits a data_array");

dfm_status app_extract(dfm_arena *a, const void *p, size_t n, const char *key, data_array *out,
                       dfm_err *err)
{
    ckpt_st st;
    DFM_TRY(ckpt_st_parse(a, "member", p, n, &st, err));
    for (uint32_t i = 0; i < st.n_tensors; i++) {
        const ckpt_tensor *t = &st.tensors[i];
        if (strcmp(t->name, key)) continue;
        if (t->dtype == DFM_DT_NONE)
            return dfm_fail(err, DFM_BAD_DATA, "tensor '%s' is of type %s, which is not supported",
                            key, t->dtype_text);
        *out = (data_array){.dtype = t->dtype, .rank = t->rank, .data = t->data, .bytes = t->bytes};
        if (t->rank) memcpy(out->shape, t->shape, t->rank * sizeof *t->shape);
        return DFM_OK;
    }
    return dfm_fail(err, DFM_BAD_DATA, "it has no tensor '%s'", key);
}

/* st_extract.c - copy the tensors whose names begin with a prefix, without the prefix.
 *
 *     st_extract IN.safetensors PREFIX OUT.safetensors
 *
 * Takes a golden file apart into what `dfm-rt run` reads: `w.` are weights, `forward.` and
 * `train.` are inputs. Exit status 1 when no name has the prefix.
 */
#include <stdio.h>

#include "runtime/base/str.h"
#include "tests/golden/st_file.h"

static dfm_status extract(dfm_arena *a, char **argv, dfm_err *err)
{
    st_file in;
    DFM_TRY(st_read(a, argv[1], &in, err));
    st_tensor *t = dfm_new_n(a, st_tensor, in.n + 1);
    uint32_t n = 0;
    for (uint32_t i = 0; i < in.n; i++) {
        if (!dfm_starts_with(in.t[i].name, argv[2])) continue;
        t[n] = in.t[i];
        t[n++].name += strlen(argv[2]);
    }
    if (n == 0)
        return dfm_fail(err, DFM_BAD_DATA, "%s: no name begins with '%s'", argv[1], argv[2]);
    return st_write(a, argv[3], t, n, err);
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: st_extract IN.safetensors PREFIX OUT.safetensors\n");
        return 2;
    }
    dfm_err err = {0};
    dfm_arena *a = dfm_arena_create("st_extract");
    dfm_status status = extract(a, argv, &err);
    if (status != DFM_OK) fprintf(stderr, "st_extract: %s\n", err.text);
    dfm_arena_destroy(a);
    return status == DFM_OK ? 0 : 1;
}

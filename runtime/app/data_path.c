/* data_path.c - where the data is. */
#include <string.h>

#include "runtime/app/app.h"

dfm_status app_data_path(app *x, rt *r, const char **out, dfm_err *err)
{
    const plan *p = rt_plan_of(r);
    *out = x->cfg.data_path;
    if (x->cfg.is_set[CFG_data_path] && **out) return DFM_OK;
    const char *given = plan_meta_string(p, x->arena, "data");
    if (!*given) {
        dfm_fail(err, DFM_BAD_CONFIG, "this program has no default data");
        dfm_help(err, "say where it is: data.path=SHARDS, or --mock for random numbers");
        return DFM_BAD_CONFIG;
    }
    const char *source = plan_meta_string(p, x->arena, "source");
    const char *share =
        dfm_path_join(x->arena, dfm_program_folder(x->arena), "../share/dfm/models");
    const char *tries[] = {
        dfm_path_beside(x->arena, rt_plan_path(r), given),
        dfm_path_beside(x->arena, source, given),
        dfm_path_join(x->arena, share, given),
        dfm_path_join(x->arena, DFM_SOURCE_DIR "/models", given),
    };
    for (size_t i = 0; i < DFM_LEN(tries); i++) {
        *out = tries[i];
        if (strchr(*out, '{') || dfm_file_exists(*out)) return DFM_OK;
    }
    dfm_fail(err, DFM_BAD_DATA, "the default data '%s' is not here:", given);
    for (size_t i = 0; i < DFM_LEN(tries); i++) dfm_while(err, "looking at '%s'", tries[i]);
    dfm_help(err, "say where it is: data.path=SHARDS, or --mock for random numbers");
    return DFM_BAD_DATA;
}

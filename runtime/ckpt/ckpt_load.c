/* ckpt_load.c - find and open the newest checkpoint that is whole, and say what was skipped. */
#include "runtime/ckpt/ckpt.h"

#include <string.h>

#include "runtime/base/str.h"

enum { MAX_STATE = 1 << 26 };

static dfm_status open_one(dfm_arena *a, const char *path, ckpt_loaded *out, dfm_err *err)
{
    ckpt_manifest m;
    DFM_TRY(ckpt_manifest_verify(a, path, true, &m, err));
    out->path = dfm_strdup(a, path);
    out->step = m.step;
    out->parts = dfm_new_n(a, ckpt_weights, m.n_entries + 1);
    out->part_names = dfm_new_n(a, const char *, m.n_entries + 1);
    for (uint32_t i = 0; i < m.n_entries; i++) {
        const char *file = dfm_path_join(a, path, m.entries[i].name);
        if (dfm_ends_with(file, ".safetensors")) {
            DFM_TRY(ckpt_weights_open(a, file, &out->parts[out->n_parts], err));
            out->part_names[out->n_parts++] = m.entries[i].name;
        } else if (!strcmp(m.entries[i].name, "state.json")) {
            char *text;
            size_t n;
            DFM_TRY(dfm_file_read(a, file, MAX_STATE, &text, &n, err));
            out->state = text;
        }
    }
    if (!out->state) return dfm_fail(err, DFM_BAD_DATA, "checkpoint '%s' has no state.json", path);
    out->found = true;
    return DFM_OK;
}

void ckpt_loaded_close(ckpt_loaded *l)
{
    for (uint32_t i = 0; i < l->n_parts; i++) ckpt_weights_close(&l->parts[i]);
    *l = (ckpt_loaded){0};
}

/* Reasons of damaged ones that are newer by step than `step` (all if nothing was found). */
static void add_damaged(dfm_sb *sb, const ckpt_listed *list, uint32_t n, bool found, uint64_t step)
{
    for (uint32_t i = 0; i < n; i++)
        if (list[i].serial == 0 && (!found || list[i].step >= step))
            dfm_sb_printf(sb, "%s%s", sb->n ? "\n" : "", list[i].why);
}

dfm_status ckpt_load(dfm_arena *a, const char *path, ckpt_loaded *out, dfm_err *err)
{
    *out = (ckpt_loaded){0};
    if (dfm_file_exists(dfm_path_join(a, path, "MANIFEST"))) {
        dfm_status s = open_one(a, path, out, err);
        if (s != DFM_OK) ckpt_loaded_close(out);
        return s;
    }
    ckpt_listed *list;
    uint32_t n;
    DFM_TRY(ckpt_list(a, path, &list, &n, err));
    dfm_sb skipped = dfm_sb_make(a);
    for (uint32_t i = 0; i < n && !out->found; i++) {
        dfm_err why = {0};
        if (list[i].serial == 0) break;
        if (open_one(a, list[i].path, out, &why) == DFM_OK) break;
        ckpt_loaded_close(out);
        dfm_sb_printf(&skipped, "%s%s", skipped.n ? "\n" : "", why.text);
    }
    add_damaged(&skipped, list, n, out->found, out->step);
    if (n && !out->found) {
        dfm_fail(err, DFM_BAD_DATA, "no checkpoint in '%s' is whole\n%s", path,
                 dfm_sb_cstr(&skipped));
        dfm_help(err, "nothing was removed; start a new run in another folder");
        return DFM_BAD_DATA;
    }
    if (skipped.n) {
        dfm_sb_printf(&skipped, "\ngoing on from '%s'", out->path);
        out->warning = dfm_sb_cstr(&skipped);
    }
    return DFM_OK;
}

const ckpt_tensor *ckpt_loaded_find(const ckpt_loaded *l, const char *part, const char *tensor)
{
    for (uint32_t i = 0; i < l->n_parts; i++)
        if (!strcmp(l->part_names[i], part)) return ckpt_weights_find(&l->parts[i], tensor);
    return NULL;
}

/* weights.c - open a weights file or folder; find tensors by name.
 *
 * A folder is what publishers upload: one file, or shards with an index that maps tensor names to
 * shard files. Shard names come from an untrusted file, so they must be plain names in the folder.
 */
#include "runtime/ckpt/safetensors.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/str.h"

enum { MAX_INDEX = 100000000, MAX_FILES = 4096 };

typedef DFM_VEC(const char *) name_list;

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static uint32_t slot_of(const ckpt_weights *w, const char *name)
{
    uint32_t mask = w->n_slots - 1, i = (uint32_t)dfm_hash64(name, strlen(name), 0) & mask;
    while (w->slots[i] && strcmp(w->tensors[w->slots[i] - 1].name, name)) i = (i + 1) & mask;
    return i;
}

const ckpt_tensor *ckpt_weights_find(const ckpt_weights *w, const char *name)
{
    if (!w->n_slots) return NULL;
    uint32_t at = w->slots[slot_of(w, name)];
    return at ? &w->tensors[at - 1] : NULL;
}

/* Join the files' tensors into one list with one name table. */
static dfm_status join_files(dfm_arena *a, ckpt_weights *w, dfm_err *err)
{
    size_t n = 0;
    for (uint32_t f = 0; f < w->n_files; f++) n += w->files[f].n_tensors;
    ckpt_tensor *all = dfm_new_n(a, ckpt_tensor, n + 1);
    w->tensors = all;
    for (w->n_slots = 16; w->n_slots < 2 * n;) w->n_slots *= 2;
    w->slots = dfm_new_n(a, uint32_t, w->n_slots);
    for (uint32_t f = 0; f < w->n_files; f++) {
        for (uint32_t i = 0; i < w->files[f].n_tensors; i++) {
            ckpt_tensor *t = &w->files[f].tensors[i];
            t->file = f;
            uint32_t slot = slot_of(w, t->name);
            if (w->slots[slot]) {
                const ckpt_tensor *other = &w->tensors[w->slots[slot] - 1];
                return dfm_fail(err, DFM_BAD_DATA, "tensor '%.200s' is in '%s' and in '%s'",
                                t->name, w->files[other->file].path, w->files[f].path);
            }
            all[w->n_tensors++] = *t;
            w->slots[slot] = w->n_tensors;
        }
    }
    return DFM_OK;
}

static dfm_status open_files(dfm_arena *a, const name_list *paths, ckpt_weights *w, dfm_err *err)
{
    w->files = dfm_new_n(a, ckpt_st, paths->n + 1);
    w->maps = dfm_new_n(a, dfm_map, paths->n + 1);
    for (uint32_t i = 0; i < paths->n; i++) {
        DFM_TRY(dfm_file_map(paths->p[i], &w->maps[i], err));
        w->n_files = i + 1;
        DFM_TRY(ckpt_st_parse(a, paths->p[i], w->maps[i].p, w->maps[i].n, &w->files[i], err));
    }
    return join_files(a, w, err);
}

/* -- index files --------------------------------------------------------------------------- */

static bool plain_name(const char *s)
{
    return s[0] && s[0] != '.' && !strchr(s, '/') && strlen(s) < 256 && dfm_is_clean_text(s) &&
           dfm_ends_with(s, ".safetensors");
}

static dfm_status bad_index(const char *path, const char *why, dfm_err *err)
{
    return dfm_fail(err, DFM_BAD_DATA, "'%s' is not a valid index of safetensors files: %s", path,
                    why);
}

/* The distinct file names of the weight map, sorted, as paths beside the index. */
static dfm_status index_files(dfm_arena *a, const char *path, json_t *map, name_list *out,
                              dfm_err *err)
{
    const char *key;
    json_t *value;
    name_list all = {0};
    if (!json_is_object(map)) return bad_index(path, "it has no weight_map", err);
    json_object_foreach(map, key, value) {
        if (!json_is_string(value) || !plain_name(json_string_value(value)))
            return bad_index(path, "weight_map names something that is not a .safetensors file "
                             "beside it", err);
        dfm_push(a, &all, json_string_value(value));
    }
    if (all.n) qsort(all.p, all.n, sizeof *all.p, by_text);
    for (uint32_t i = 0; i < all.n; i++)
        if (i == 0 || strcmp(all.p[i], all.p[i - 1]))
            dfm_push(a, out, dfm_path_beside(a, path, all.p[i]));
    if (out->n > MAX_FILES) return bad_index(path, "it names too many files", err);
    return DFM_OK;
}

/* Every tensor of the map is in the file that the map says. */
static dfm_status check_index(dfm_arena *a, const char *path, json_t *map, const ckpt_weights *w,
                              dfm_err *err)
{
    const char *key;
    json_t *value;
    json_object_foreach(map, key, value) {
        const ckpt_tensor *t = ckpt_weights_find(w, key);
        const char *file = dfm_path_beside(a, path, json_string_value(value));
        if (!t || strcmp(w->files[t->file].path, file)) {
            return dfm_fail(err, DFM_BAD_DATA, "'%s' says that tensor '%.200s' is in '%s'; it is "
                            "not", path, key, json_string_value(value));
        }
    }
    return DFM_OK;
}

static dfm_status open_index(dfm_arena *a, const char *path, ckpt_weights *w, dfm_err *err)
{
    char *text;
    size_t n;
    DFM_TRY(dfm_file_read(a, path, MAX_INDEX, &text, &n, err));
    json_error_t why;
    json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES, &why);
    if (!root) return bad_index(path, why.text, err);
    json_t *map = json_object_get(root, "weight_map");
    name_list files = {0};
    dfm_status s = index_files(a, path, map, &files, err);
    if (s == DFM_OK) s = open_files(a, &files, w, err);
    if (s == DFM_OK) s = check_index(a, path, map, w, err);
    json_decref(root);
    return s;
}

/* -- folders ------------------------------------------------------------------------------- */

static bool is_pickle(const char *name)
{
    static const char *const ends[] = {".pt", ".pth", ".bin", ".ckpt", ".pkl"};
    for (size_t i = 0; i < DFM_LEN(ends); i++)
        if (dfm_ends_with(name, ends[i])) return true;
    return false;
}

static dfm_status refuse_pickle(const char *path, dfm_err *err)
{
    dfm_status s = dfm_fail(err, DFM_BAD_DATA, "'%s' is a pickle, not a safetensors file", path);
    dfm_help(err, "pickles can run code when they are read; use the model's .safetensors files");
    return s;
}

static dfm_status open_folder(dfm_arena *a, const char *path, ckpt_weights *w, dfm_err *err)
{
    name_list files = {0}, indexes = {0};
    const char **names, *pickle = NULL;
    uint32_t n;
    DFM_TRY(dfm_list_folder(a, path, &names, &n, err));
    for (uint32_t i = 0; i < n && files.n <= MAX_FILES; i++) {
        const char *name = dfm_path_join(a, path, names[i]);
        if (names[i][0] == '.') continue;
        if (dfm_ends_with(name, ".safetensors")) dfm_push(a, &files, name);
        if (dfm_ends_with(name, ".safetensors.index.json")) dfm_push(a, &indexes, name);
        if (is_pickle(name)) pickle = name;
    }
    static const char *const usual[] = {"model.safetensors.index.json",
                                        "diffusion_pytorch_model.safetensors.index.json"};
    for (size_t i = 0; i < DFM_LEN(usual); i++) {
        const char *index = dfm_path_join(a, path, usual[i]);
        if (dfm_file_exists(index)) return open_index(a, index, w, err);
    }
    if (indexes.n == 1) return open_index(a, indexes.p[0], w, err);
    if (indexes.n > 1) {
        return dfm_fail(err, DFM_BAD_DATA, "'%s' holds several indexes ('%s' and '%s'): name one",
                        path, indexes.p[0], indexes.p[1]);
    }
    if (files.n > MAX_FILES) return dfm_fail(err, DFM_BAD_DATA, "'%s' holds too many files", path);
    const char *inner = dfm_path_join(a, path, "transformer");      /* a diffusers pipeline */
    const char *pipeline = dfm_path_join(a, path, "model_index.json");
    if (!files.n && dfm_is_folder(inner) && dfm_file_exists(pipeline))
        return open_folder(a, inner, w, err);
    if (!files.n && pickle) return refuse_pickle(pickle, err);
    if (!files.n) return dfm_fail(err, DFM_BAD_DATA, "no .safetensors file in '%s'", path);
    qsort(files.p, files.n, sizeof *files.p, by_text);
    return open_files(a, &files, w, err);
}

dfm_status ckpt_weights_open(dfm_arena *a, const char *path, ckpt_weights *out, dfm_err *err)
{
    *out = (ckpt_weights){.path = dfm_strdup(a, path)};
    dfm_status s;
    if (dfm_is_folder(path)) s = open_folder(a, path, out, err);
    else if (dfm_ends_with(path, ".index.json")) s = open_index(a, path, out, err);
    else if (is_pickle(path) && dfm_file_exists(path)) s = refuse_pickle(path, err);
    else {
        name_list one = {0};
        dfm_push(a, &one, path);
        s = open_files(a, &one, out, err);
    }
    if (s != DFM_OK) ckpt_weights_close(out);
    return s;
}

void ckpt_weights_close(ckpt_weights *w)
{
    for (uint32_t i = 0; i < w->n_files; i++) dfm_file_unmap(&w->maps[i]);
    *w = (ckpt_weights){0};
}

/* st_file.c - read and write safetensors (see st_file.h). */
#include "tests/golden/st_file.h"

#include <jansson.h>

#include "runtime/base/file.h"
#include "runtime/base/str.h"

enum { MAX_FILE_MIB = 4096, HEADER_ALIGN = 8 };

/* One member of the header object: shape, dtype and a range inside the data. */
static dfm_status read_tensor(dfm_arena *a, const char *path, const char *name, json_t *entry,
                              const char *data, uint64_t n_data, st_tensor *out, dfm_err *err)
{
    json_t *shape = json_object_get(entry, "shape");
    json_t *range = json_object_get(entry, "data_offsets");
    const char *dtype = json_string_value(json_object_get(entry, "dtype"));
    if (!json_is_array(shape) || !json_is_array(range) || json_array_size(range) != 2 || !dtype ||
        json_array_size(shape) > ST_MAX_DIMS)
        return dfm_fail(err, DFM_BAD_DATA, "%s: damaged header entry '%s'", path, name);
    out->name = dfm_strdup(a, name);
    out->dtype = dfm_dtype_of_safetensors(dtype);
    if (out->dtype == DFM_DT_NONE)
        return dfm_fail(err, DFM_BAD_DATA, "%s: '%s' has unknown dtype %s", path, name, dtype);
    out->n = 1;
    out->n_dims = (uint32_t)json_array_size(shape);
    for (uint32_t i = 0; i < out->n_dims; i++) {
        json_int_t extent = json_integer_value(json_array_get(shape, i));
        if (extent < 0 || (extent > 0 && out->n > n_data / (uint64_t)extent))
            return dfm_fail(err, DFM_BAD_DATA, "%s: '%s' is larger than its file", path, name);
        out->dims[i] = (uint64_t)extent;
        out->n *= (uint64_t)extent;
    }
    uint64_t begin = (uint64_t)json_integer_value(json_array_get(range, 0));
    uint64_t end = (uint64_t)json_integer_value(json_array_get(range, 1));
    uint64_t bytes = out->n * dfm_dtype_bytes(out->dtype);
    if (begin > end || end > n_data || end - begin != bytes)
        return dfm_fail(err, DFM_BAD_DATA, "%s: '%s' has %llu bytes at the wrong place", path, name,
                        (unsigned long long)bytes);
    out->data = dfm_dup(a, data + begin, bytes);
    return DFM_OK;
}

dfm_status st_read(dfm_arena *a, const char *path, st_file *out, dfm_err *err)
{
    char *p;
    size_t n;
    DFM_TRY(dfm_file_read(a, path, (size_t)MAX_FILE_MIB << 20, &p, &n, err));
    uint64_t n_head = 0;
    if (n >= 8) memcpy(&n_head, p, 8);
    if (n < 8 || n_head > n - 8)
        return dfm_fail(err, DFM_BAD_DATA, "%s: not a safetensors file", path);
    json_error_t why;
    json_t *head = json_loadb(p + 8, n_head, JSON_REJECT_DUPLICATES, &why);
    if (!json_is_object(head)) {
        json_decref(head);
        return dfm_fail(err, DFM_BAD_DATA, "%s: header is not a JSON object", path);
    }
    *out = (st_file){.path = dfm_strdup(a, path),
                     .t = dfm_new_n(a, st_tensor, json_object_size(head) + 1)};
    dfm_status status = DFM_OK;
    const char *name;
    json_t *entry;
    json_object_foreach(head, name, entry) {
        if (strcmp(name, "__metadata__") == 0) continue;
        status = read_tensor(a, path, name, entry, p + 8 + n_head, n - 8 - n_head, &out->t[out->n],
                             err);
        if (status != DFM_OK) break;
        out->n++;
    }
    json_decref(head);
    return status;
}

const st_tensor *st_find(const st_file *f, const char *name)
{
    for (uint32_t i = 0; i < f->n; i++)
        if (strcmp(f->t[i].name, name) == 0) return &f->t[i];
    return NULL;
}

static json_t *header_entry(const st_tensor *t, uint64_t begin)
{
    json_t *shape = json_array();
    for (uint32_t i = 0; i < t->n_dims; i++)
        json_array_append_new(shape, json_integer((json_int_t)t->dims[i]));
    uint64_t end = begin + t->n * dfm_dtype_bytes(t->dtype);
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", dfm_dtype_safetensors(t->dtype), "shape",
                     shape, "data_offsets", (json_int_t)begin, (json_int_t)end);
}

dfm_status st_write(dfm_arena *a, const char *path, const st_tensor *t, uint32_t n, dfm_err *err)
{
    json_t *head = json_object();
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < n; i++) {
        json_object_set_new(head, t[i].name, header_entry(&t[i], bytes));
        bytes += t[i].n * dfm_dtype_bytes(t[i].dtype);
    }
    char *text = json_dumps(head, JSON_COMPACT);
    json_decref(head);
    if (!text) return dfm_fail(err, DFM_BAD_DATA, "%s: names are not UTF-8", path);
    uint64_t n_text = strlen(text);
    uint64_t n_head = (n_text + HEADER_ALIGN - 1) / HEADER_ALIGN * HEADER_ALIGN;
    char *file = dfm_alloc(a, 8 + n_head + bytes);
    memcpy(file, &n_head, 8);
    memset(file + 8, ' ', n_head);
    memcpy(file + 8, text, n_text);
    free(text);
    char *data = file + 8 + n_head;
    for (uint32_t i = 0; i < n; i++) {
        size_t size = t[i].n * dfm_dtype_bytes(t[i].dtype);
        memcpy(data, t[i].data, size);
        data += size;
    }
    return dfm_file_replace(path, file, 8 + n_head + bytes, err);
}

const char *st_shape_text(dfm_arena *a, const st_tensor *t)
{
    dfm_sb sb = dfm_sb_make(a);
    dfm_sb_puts(&sb, "[");
    for (uint32_t i = 0; i < t->n_dims; i++)
        dfm_sb_printf(&sb, "%s%llu", i ? ", " : "", (unsigned long long)t->dims[i]);
    dfm_sb_puts(&sb, "]");
    return dfm_sb_cstr(&sb);
}

bool st_same_shape(const st_tensor *x, const st_tensor *y)
{
    uint32_t i = 0, j = 0;
    for (;;) {
        while (i < x->n_dims && x->dims[i] == 1) i++;
        while (j < y->n_dims && y->dims[j] == 1) j++;
        if (i == x->n_dims || j == y->n_dims) return i == x->n_dims && j == y->n_dims;
        if (x->dims[i++] != y->dims[j++]) return false;
    }
}

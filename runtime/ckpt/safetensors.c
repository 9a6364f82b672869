/* safetensors.c - parse one safetensors file, trusting nothing in it.
 *
 * Order of checks: sizes that bound memory first (header length, nesting, counts), then JSON, then
 * each entry by itself, then all ranges together: sorted by begin they must tile the data exactly.
 */
#include "runtime/ckpt/safetensors.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/str.h"

enum { MAX_HEADER = 100000000, MAX_DEPTH = 8, MAX_NAME = 4096 };

/* Types that the format knows and dfm does not; their tensors can be listed but not used. */
static const struct { const char *name; uint32_t bytes; } foreign[] = {
    {"I8", 1}, {"I16", 2}, {"U16", 2}, {"U32", 4}, {"U64", 8}, {"C64", 8},
    {"F8_E4M3", 1}, {"F8_E5M2", 1}, {"F8_E8M0", 1}, {"F8_E4M3FNUZ", 1}, {"F8_E5M2FNUZ", 1},
};

typedef struct parse_ctx {
    dfm_arena *arena;
    const char *path;
    const uint8_t *data;
    uint64_t data_bytes;
    dfm_err *err;
} parse_ctx;

static dfm_status bad(const parse_ctx *cx, const char *why)
{
    return dfm_fail(cx->err, DFM_BAD_DATA, "'%s' is not a valid safetensors file: %s", cx->path,
                    why);
}

static dfm_status bad_tensor(const parse_ctx *cx, const char *name, const char *why)
{
    return dfm_fail(cx->err, DFM_BAD_DATA,
                    "'%s' is not a valid safetensors file: tensor '%.100s': %s", cx->path, name,
                    why);
}

/* Bounds that keep the JSON parser's memory near the header's size: nesting, array lengths, and
 * the number of objects (an entry takes more than 40 bytes). */
static dfm_status check_header_size(const parse_ctx *cx, const char *p, size_t n)
{
    size_t depth = 0, objects = 0, elements = 0;
    bool in_string = false;
    for (size_t i = 0; i < n; i++) {
        char c = p[i];
        if (in_string) {
            if (c == '\\') i++;
            else if (c == '"') in_string = false;
            continue;
        }
        switch (c) {
        case '"': in_string = true; break;
        case '{': objects++; depth++; break;
        case '[': elements = 0; depth++; break;
        case ',': elements++; break;
        case '}': elements = 0; depth -= depth > 0; break;
        case ']': elements = 0; depth -= depth > 0; break;
        default: break;
        }
        if (depth > MAX_DEPTH) return bad(cx, "its header nests too deeply");
        if (depth > 2 && elements > CKPT_MAX_RANK) return bad(cx, "a shape has too many dims");
    }
    if (objects > n / 40 + 2) return bad(cx, "its header has too many empty entries");
    return DFM_OK;
}

static uint32_t element_bytes(const char *dtype, dfm_dtype *out)
{
    *out = dfm_dtype_of_safetensors(dtype);
    if (*out != DFM_DT_NONE) return (uint32_t)dfm_dtype_bytes(*out);
    for (size_t i = 0; i < DFM_LEN(foreign); i++)
        if (!strcmp(dtype, foreign[i].name)) return foreign[i].bytes;
    return 0;
}

/* A JSON array of n whole numbers >= 0. */
static bool read_numbers(const json_t *array, uint64_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const json_t *x = json_array_get(array, i);
        if (!json_is_integer(x) || json_integer_value(x) < 0) return false;
        out[i] = (uint64_t)json_integer_value(x);
    }
    return true;
}

static dfm_status read_tensor(const parse_ctx *cx, const char *name, const json_t *entry,
                              ckpt_tensor *out)
{
    if (!name[0] || strlen(name) > MAX_NAME || !dfm_is_clean_text(name))
        return bad(cx, "a tensor's name is empty, too long or has control characters");
    const json_t *dtype = json_object_get(entry, "dtype"), *shape = json_object_get(entry, "shape");
    const json_t *range = json_object_get(entry, "data_offsets");
    if (!json_is_string(dtype) || !json_is_array(shape) || !json_is_array(range) ||
        json_object_size(entry) != 3)
        return bad_tensor(cx, name, "its entry is not {dtype, shape, data_offsets}");
    uint64_t at[2];
    if (json_array_size(range) != 2 || !read_numbers(range, at, 2))
        return bad_tensor(cx, name, "data_offsets is not a pair of whole numbers");
    if (at[0] > at[1] || at[1] > cx->data_bytes)
        return bad_tensor(cx, name, "data_offsets lies outside the file (cut off?)");
    size_t rank = json_array_size(shape);
    if (rank > CKPT_MAX_RANK) return bad_tensor(cx, name, "too many dims");
    uint64_t *extents = dfm_new_n(cx->arena, uint64_t, rank + 1);
    if (!read_numbers(shape, extents, rank))
        return bad_tensor(cx, name, "shape is not a list of whole numbers");
    dfm_dtype known;
    uint64_t bytes = element_bytes(json_string_value(dtype), &known);
    if (!bytes) return bad_tensor(cx, name, "unknown dtype");
    for (size_t i = 0; i < rank; i++)
        if (__builtin_mul_overflow(bytes, extents[i], &bytes))
            return bad_tensor(cx, name, "its size overflows");
    if (bytes != at[1] - at[0])
        return bad_tensor(cx, name, "shape and dtype do not fill data_offsets exactly");
    *out = (ckpt_tensor){
        .name = dfm_strdup(cx->arena, name),
        .dtype_text = dfm_strdup(cx->arena, json_string_value(dtype)),
        .dtype = known, .rank = (uint32_t)rank, .shape = extents,
        .data = cx->data + at[0], .bytes = bytes,
    };
    return DFM_OK;
}

static dfm_status read_metadata(const parse_ctx *cx, json_t *object, ckpt_st *out)
{
    if (!json_is_object(object)) return bad(cx, "__metadata__ is not an object");
    ckpt_meta *meta = dfm_new_n(cx->arena, ckpt_meta, json_object_size(object) + 1);
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value) {
        if (!json_is_string(value)) return bad(cx, "__metadata__ holds a value that is not text");
        meta[out->n_meta++] = (ckpt_meta){dfm_strdup(cx->arena, key),
                                          dfm_strdup(cx->arena, json_string_value(value))};
    }
    out->meta = meta;
    return DFM_OK;
}

static int by_place(const void *x, const void *y)
{
    const ckpt_tensor *a = x, *b = y;
    if (a->data != b->data) return (const char *)a->data < (const char *)b->data ? -1 : 1;
    if (a->bytes != b->bytes) return a->bytes < b->bytes ? -1 : 1;
    return strcmp(a->name, b->name);
}

static dfm_status check_tiling(const parse_ctx *cx, ckpt_st *f)
{
    if (f->n_tensors) qsort(f->tensors, f->n_tensors, sizeof *f->tensors, by_place);
    const uint8_t *at = cx->data;
    for (uint32_t i = 0; i < f->n_tensors; i++) {
        const uint8_t *begin = f->tensors[i].data;
        if (begin < at) return bad_tensor(cx, f->tensors[i].name, "its data overlaps another's");
        if (begin > at) return bad_tensor(cx, f->tensors[i].name, "a hole lies before its data");
        at = begin + f->tensors[i].bytes;
    }
    if (at != cx->data + cx->data_bytes)
        return bad(cx, "bytes after the last tensor belong to none");
    return DFM_OK;
}

static dfm_status read_header(const parse_ctx *cx, json_t *root, ckpt_st *out)
{
    if (!json_is_object(root)) return bad(cx, "its header is not an object");
    out->tensors = dfm_new_n(cx->arena, ckpt_tensor, json_object_size(root) + 1);
    const char *name;
    json_t *entry;
    json_object_foreach(root, name, entry) {
        if (!strcmp(name, "__metadata__")) DFM_TRY(read_metadata(cx, entry, out));
        else DFM_TRY(read_tensor(cx, name, entry, &out->tensors[out->n_tensors++]));
    }
    return check_tiling(cx, out);
}

dfm_status ckpt_st_parse(dfm_arena *a, const char *path, const void *p, size_t n, ckpt_st *out,
                         dfm_err *err)
{
    parse_ctx cx = {.arena = a, .path = path, .err = err};
    *out = (ckpt_st){.path = dfm_strdup(a, path)};
    const uint8_t *bytes = p;
    if (n < 8) return bad(&cx, "it is shorter than 8 bytes");
    uint64_t header = 0;
    for (int i = 0; i < 8; i++) header |= (uint64_t)bytes[i] << 8 * i;
    if (header > MAX_HEADER) return bad(&cx, "its header claims to be over 100 MB");
    if (header > n - 8) return bad(&cx, "its header is longer than the file (cut off?)");
    if (header < 2 || bytes[8] != '{') return bad(&cx, "its header does not start with '{'");
    cx.data = bytes + 8 + header;
    cx.data_bytes = n - 8 - header;
    DFM_TRY(check_header_size(&cx, (const char *)bytes + 8, header));
    json_error_t why;
    json_t *root = json_loadb((const char *)bytes + 8, header, JSON_REJECT_DUPLICATES, &why);
    if (!root) {
        return dfm_fail(err, DFM_BAD_DATA,
                        "'%s' is not a valid safetensors file: header byte %d: %s", path,
                        why.position, why.text);
    }
    dfm_status s = read_header(&cx, root, out);
    json_decref(root);
    return s;
}

const char *ckpt_st_meta(const ckpt_st *f, const char *key)
{
    for (uint32_t i = 0; i < f->n_meta; i++)
        if (!strcmp(f->meta[i].key, key)) return f->meta[i].value;
    return NULL;
}

const char *ckpt_tensor_text(dfm_arena *a, const ckpt_tensor *t)
{
    dfm_sb sb = dfm_sb_make(a);
    dfm_sb_printf(&sb, "%s [", t->dtype_text ? t->dtype_text : dfm_dtype_safetensors(t->dtype));
    for (uint32_t i = 0; i < t->rank; i++)
        dfm_sb_printf(&sb, "%s%llu", i ? ", " : "", (unsigned long long)t->shape[i]);
    dfm_sb_puts(&sb, "]");
    return dfm_sb_cstr(&sb);
}

/* ckpt_manifest.c - the list of a checkpoint's files: text, parsing, verification, listing.
 *
 * The text is JSON whose last key, "check", is the xxh3-128 of all text before it, so a flipped
 * bit in the list itself is found as well.
 */
#include "runtime/ckpt/ckpt.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/str.h"
#include "runtime/base/sys.h"

enum { MAX_MANIFEST = 1 << 24, FORMAT = 1 };
static const char check_key[] = " \"check\": \"";

char *ckpt_manifest_text(dfm_arena *a, const ckpt_manifest *m)
{
    char hex[33];
    dfm_sb sb = dfm_sb_make(a);
    dfm_sb_printf(&sb, "{\n \"format\": %d,\n \"step\": %" PRIu64 ",\n \"serial\": %" PRIu64
                  ",\n \"files\": [", FORMAT, m->step, m->serial);
    for (uint32_t i = 0; i < m->n_entries; i++) {
        const ckpt_entry *e = &m->entries[i];
        dfm_sb_printf(&sb, "%s\n  {\"name\": \"%s\", \"bytes\": %" PRIu64 ", \"xxh3_128\": \"%s\"}",
                      i ? "," : "", e->name, e->bytes, dfm_hash128_hex(e->hash, hex));
    }
    dfm_sb_puts(&sb, "\n ],\n");
    dfm_hash128_hex(dfm_hash128_of(sb.p, sb.n), hex);
    dfm_sb_printf(&sb, "%s%s\"\n}\n", check_key, hex);
    return sb.p;
}

static bool hash_of_hex(const char *hex, dfm_hash128 *out)
{
    uint64_t v[2] = {0};
    if (!hex || strlen(hex) != 32) return false;
    for (int i = 0; i < 32; i++) {
        const char *at = strchr("0123456789abcdef", hex[i]);
        if (!at) return false;
        v[i / 16] = v[i / 16] << 4 | (uint64_t)(at - "0123456789abcdef");
    }
    *out = (dfm_hash128){.hi = v[0], .lo = v[1]};
    return true;
}

static bool plain_name(const char *s)
{
    if (!s || !s[0] || s[0] == '.' || strlen(s) > 255) return false;
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || strchr("/\\\"\x7f", *s)) return false;
    return true;
}

static dfm_status damaged(const char *folder, const char *why, dfm_err *err)
{
    return dfm_fail(err, DFM_BAD_DATA, "checkpoint '%s' is not whole: %s", folder, why);
}

static bool read_entry(dfm_arena *a, const json_t *file, ckpt_entry *out)
{
    const char *name = json_string_value(json_object_get(file, "name"));
    const json_t *bytes = json_object_get(file, "bytes");
    if (!plain_name(name) || !json_is_integer(bytes) || json_integer_value(bytes) < 0) return false;
    out->name = dfm_strdup(a, name);
    out->bytes = (uint64_t)json_integer_value(bytes);
    return hash_of_hex(json_string_value(json_object_get(file, "xxh3_128")), &out->hash);
}

static int by_name(const void *x, const void *y)
{
    return strcmp(*(const char *const *)x, *(const char *const *)y);
}

static bool names_twice(dfm_arena *a, const ckpt_manifest *m)
{
    const char **names = dfm_new_n(a, const char *, m->n_entries + 1);
    for (uint32_t i = 0; i < m->n_entries; i++) names[i] = m->entries[i].name;
    qsort(names, m->n_entries, sizeof *names, by_name);
    for (uint32_t i = 1; i < m->n_entries; i++)
        if (!strcmp(names[i - 1], names[i])) return true;
    return false;
}

static dfm_status read_manifest(dfm_arena *a, const char *folder, const json_t *root,
                                ckpt_manifest *out, dfm_err *err)
{
    const json_t *format = json_object_get(root, "format"), *files = json_object_get(root, "files");
    const json_t *step = json_object_get(root, "step"), *serial = json_object_get(root, "serial");
    if (!json_is_integer(format) || !json_is_integer(step) || !json_is_integer(serial) ||
        json_integer_value(step) < 0 || json_integer_value(serial) < 1 || !json_is_array(files))
        return damaged(folder, "its MANIFEST lacks a field", err);
    if (json_integer_value(format) != FORMAT)
        return damaged(folder, "its MANIFEST is of an unknown format", err);
    out->step = (uint64_t)json_integer_value(step);
    out->serial = (uint64_t)json_integer_value(serial);
    size_t n = json_array_size(files);
    out->entries = dfm_new_n(a, ckpt_entry, n + 1);
    for (size_t i = 0; i < n; i++)
        if (!read_entry(a, json_array_get(files, i), &out->entries[i]))
            return damaged(folder, "its MANIFEST lists a file wrongly", err);
    out->n_entries = (uint32_t)n;
    if (names_twice(a, out)) return damaged(folder, "its MANIFEST lists a file twice", err);
    return DFM_OK;
}

static dfm_status parse_manifest(dfm_arena *a, const char *folder, ckpt_manifest *out, dfm_err *err)
{
    char *text, hex[33];
    size_t n;
    const char *path = dfm_path_join(a, folder, "MANIFEST");
    if (!dfm_file_exists(path)) return damaged(folder, "it has no MANIFEST", err);
    DFM_TRY(dfm_file_read(a, path, MAX_MANIFEST, &text, &n, err));
    const char *check = strstr(text, check_key);
    if (!check) return damaged(folder, "its MANIFEST is cut off", err);
    dfm_hash128_hex(dfm_hash128_of(text, (size_t)(check - text)), hex);
    if (strncmp(check + strlen(check_key), hex, 32))
        return damaged(folder, "its MANIFEST has changed since it was written", err);
    json_error_t why;
    json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES, &why);
    if (!root) return damaged(folder, why.text, err);
    dfm_status s = read_manifest(a, folder, root, out, err);
    json_decref(root);
    return s;
}

static dfm_status verify_file(dfm_arena *a, const char *folder, const ckpt_entry *e, bool deep,
                              dfm_err *err)
{
    const char *path = dfm_path_join(a, folder, e->name);
    struct stat st;
    if (dfm_sys_stat(path, true, &st) != 0)
        return damaged(folder, dfm_fmt(a, "'%s': %s", e->name, strerror(errno)), err);
    if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != e->bytes)
        return damaged(folder, dfm_fmt(a, "'%s' has %lld bytes, not %llu", e->name,
                                       (long long)st.st_size, (unsigned long long)e->bytes), err);
    if (!deep) return DFM_OK;
    dfm_map map;
    DFM_TRY(dfm_file_map(path, &map, err));
    dfm_hash128 h = dfm_hash128_of(map.n ? map.p : "", map.n);
    dfm_file_unmap(&map);
    if (h.lo != e->hash.lo || h.hi != e->hash.hi)
        return damaged(folder, dfm_fmt(a, "the contents of '%s' have changed", e->name), err);
    return DFM_OK;
}

dfm_status ckpt_manifest_verify(dfm_arena *a, const char *folder, bool deep, ckpt_manifest *out,
                                dfm_err *err)
{
    *out = (ckpt_manifest){0};
    DFM_TRY(parse_manifest(a, folder, out, err));
    for (uint32_t i = 0; i < out->n_entries; i++)
        DFM_TRY(verify_file(a, folder, &out->entries[i], deep, err));
    return DFM_OK;
}

/* "step_" and 8 digits, nothing else. */
static bool step_of_name(const char *name, uint64_t *out)
{
    if (!dfm_starts_with(name, "step_")) return false;
    size_t n = strlen(name + 5);
    if (n != 8 || strspn(name + 5, "0123456789") != n) return false;
    *out = strtoull(name + 5, NULL, 10);
    return true;
}

static int newest_first(const void *x, const void *y)
{
    const ckpt_listed *a = x, *b = y;
    if (a->serial != b->serial) return a->serial > b->serial ? -1 : 1;
    return a->step > b->step ? -1 : a->step < b->step;
}

dfm_status ckpt_list(dfm_arena *a, const char *folder, ckpt_listed **out, uint32_t *out_n,
                     dfm_err *err)
{
    DFM_VEC(ckpt_listed) list = {0};
    *out = NULL;
    *out_n = 0;
    const char **names;
    uint32_t n;
    DFM_TRY(dfm_list_folder(a, folder, &names, &n, err));
    for (uint32_t i = 0; i < n; i++) {
        ckpt_listed l = {.name = names[i]};
        if (!step_of_name(names[i], &l.step)) continue;
        l.path = dfm_path_join(a, folder, names[i]);
        ckpt_manifest m;
        dfm_err why = {0};
        if (ckpt_manifest_verify(a, l.path, false, &m, &why) != DFM_OK)
            l.why = dfm_strdup(a, why.text);
        else if (m.step != l.step) l.why = dfm_fmt(a, "checkpoint '%s' is not whole: its MANIFEST "
                                                   "is of another step", l.path);
        else l.serial = m.serial;
        dfm_push(a, &list, l);
    }
    if (list.n) qsort(list.p, list.n, sizeof *list.p, newest_first);
    *out = list.p;
    *out_n = list.n;
    return DFM_OK;
}

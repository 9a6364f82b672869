/* shard_list.c - which shards a data path means: a file, a folder, or a pattern with braces. */
#include <stdlib.h>
#include <string.h>

#include "runtime/base/file.h"
#include "runtime/base/str.h"
#include "runtime/data/wds.h"

enum { MAX_SHARDS = 1000000 };

typedef DFM_VEC(const char *) name_list;

static dfm_status bad_pattern(const char *spec, const char *why, dfm_err *err)
{
    return dfm_fail(err, DFM_BAD_DATA, "data path '%s': %s", spec, why);
}

/* "000..012": numbers with the width of the first. */
static dfm_status expand_range(dfm_arena *a, const char *body, size_t n, name_list *out,
                               const char *spec, dfm_err *err)
{
    const char *dots = strstr(body, "..");
    size_t width = (size_t)(dots - body), right = n - width - 2;
    if (!width || !right || width > 18 || right > 18 || strspn(body, "0123456789") != width ||
        strspn(dots + 2, "0123456789") < right)
        return bad_pattern(spec, "a range is written {000..012}", err);
    unsigned long long lo = strtoull(body, NULL, 10), hi = strtoull(dots + 2, NULL, 10);
    if (lo > hi) return bad_pattern(spec, "a range ends before it starts", err);
    if (hi - lo >= MAX_SHARDS) return bad_pattern(spec, "a range has over 1,000,000 members", err);
    for (unsigned long long i = lo; i <= hi; i++)
        dfm_push(a, out, dfm_fmt(a, "%0*llu", body[0] == '0' ? (int)width : 1, i));
    return DFM_OK;
}

static dfm_status expand_body(dfm_arena *a, const char *body, size_t n, name_list *out,
                              const char *spec, dfm_err *err)
{
    const char *dots = strstr(body, "..");
    if (memchr(body, '{', n)) return bad_pattern(spec, "braces do not nest", err);
    if (dots && dots < body + n) return expand_range(a, body, n, out, spec, err);
    for (size_t i = 0, start = 0; i <= n; i++) {
        if (i < n && body[i] != ',') continue;
        dfm_push(a, out, dfm_strndup(a, body + start, i - start));
        start = i + 1;
    }
    return DFM_OK;
}

/* Replace the braces of all names from left to right. */
static dfm_status expand(dfm_arena *a, const char *spec, name_list *out, dfm_err *err)
{
    dfm_push(a, out, spec);
    for (;;) {
        const char *open = strchr(out->p[0], '{');
        if (!open) return DFM_OK;
        const char *close = strchr(open, '}');
        if (!close) return bad_pattern(spec, "a '{' is not closed", err);
        name_list parts = {0}, next = {0};
        size_t n = (size_t)(close - open) - 1;
        DFM_TRY(expand_body(a, open + 1, n, &parts, spec, err));
        if ((uint64_t)out->n * parts.n > MAX_SHARDS)
            return bad_pattern(spec, "it means over 1,000,000 files", err);
        for (uint32_t i = 0; i < out->n; i++) {
            const char *name = out->p[i];
            size_t head = (size_t)(strchr(name, '{') - name);
            const char *rest = strchr(name + head, '}') + 1;    /* a '}' before it is a letter */
            for (uint32_t k = 0; k < parts.n; k++)
                dfm_push(a, &next, dfm_fmt(a, "%.*s%s%s", (int)head, name, parts.p[k], rest));
        }
        *out = next;
    }
}

static dfm_status list_folder(dfm_arena *a, const char *path, name_list *out, dfm_err *err)
{
    const char **names;
    uint32_t n;
    DFM_TRY(dfm_list_folder(a, path, &names, &n, err));         /* sorted */
    for (uint32_t i = 0; i < n; i++)
        if (names[i][0] != '.' && dfm_ends_with(names[i], ".tar"))
            dfm_push(a, out, dfm_path_join(a, path, names[i]));
    return out->n ? DFM_OK : bad_pattern(path, "no *.tar file in this folder", err);
}

dfm_status data_shard_list(dfm_arena *a, const char *spec, const char ***out, uint32_t *out_n,
                           dfm_err *err)
{
    name_list names = {0};
    dfm_status s;
    *out = NULL;
    *out_n = 0;
    if (!spec[0]) s = bad_pattern(spec, "it is empty", err);
    else if (dfm_starts_with(spec, "pipe:") || strstr(spec, "://"))
        s = bad_pattern(spec, "commands and addresses are not read, only files", err);
    else if (dfm_is_folder(spec)) s = list_folder(a, spec, &names, err);
    else if (dfm_file_exists(spec)) {
        dfm_push(a, &names, spec);
        s = DFM_OK;
    } else s = expand(a, spec, &names, err);
    if (s != DFM_OK) return s;
    for (uint32_t i = 0; i < names.n; i++) {
        if (dfm_file_exists(names.p[i])) continue;
        dfm_fail(err, DFM_BAD_DATA, "there is no data at '%s'", names.p[i]);
        dfm_help(err, "give a shard, a folder or a pattern as data.path=..., or use --mock");
        return DFM_BAD_DATA;
    }
    *out = names.p;
    *out_n = names.n;
    return DFM_OK;
}

/* plan_meta.c - values of the section META. */
#include <jansson.h>

#include "runtime/plan/plan.h"

static json_t *parse(const plan *p)
{
    return json_loadb(p->n_meta ? p->meta : "", p->n_meta, JSON_REJECT_DUPLICATES, NULL);
}

const char *plan_meta_string(const plan *p, dfm_arena *a, const char *key)
{
    json_t *meta = parse(p);
    const char *text = json_string_value(json_object_get(meta, key));
    text = text ? dfm_strdup(a, text) : "";
    json_decref(meta);
    return text;
}

int64_t plan_meta_int(const plan *p, const char *key, int64_t fallback)
{
    json_t *meta = parse(p), *value = json_object_get(meta, key);
    int64_t x = json_is_integer(value)   ? (int64_t)json_integer_value(value)
                : json_is_boolean(value) ? json_is_true(value)
                                         : fallback;
    json_decref(meta);
    return x;
}

uint32_t plan_meta_strings(const plan *p, dfm_arena *a, const char *key, const char ***out)
{
    json_t *meta = parse(p), *list = json_object_get(meta, key);
    uint32_t n = 0;
    *out = dfm_new_n(a, const char *, json_array_size(list) + 1);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *text = json_string_value(json_array_get(list, i));
        if (text) (*out)[n++] = dfm_strdup(a, text);
    }
    json_decref(meta);
    return n;
}

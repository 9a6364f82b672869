/* decode.c - one member of a sample into a typed buffer: find it, parse it, check its shape,
 * convert its elements.
 */
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "runtime/base/str.h"
#include "runtime/data/dataset.h"

enum { MAX_JSON = 1 << 26 };

typedef struct decode_ctx {
    dfm_arena *arena;
    const data_field *field;
    const data_sample *sample;
    const char *member, *key;      /* "meta.json", "size"; key NULL if there is none */
    dfm_err *err;
} decode_ctx;

static dfm_status bad(const decode_ctx *cx, const char *why)
{
    return dfm_fail(cx->err, DFM_BAD_DATA, "shard '%s', sample '%s', member '%s': %s",
                    cx->sample->shard, cx->sample->key, cx->member, why);
}

uint64_t data_field_bytes(const data_field *f)
{
    uint64_t n = dfm_dtype_bytes(f->dtype);
    for (uint32_t i = 0; i < f->rank; i++)
        if (__builtin_mul_overflow(n, f->shape[i], &n)) return 0;
    return n;
}

static const char *shape_text(dfm_arena *a, uint32_t rank, const uint64_t *shape)
{
    dfm_sb sb = dfm_sb_make(a);
    dfm_sb_puts(&sb, "[");
    for (uint32_t i = 0; i < rank; i++) dfm_sb_printf(&sb, i ? ", %" PRIu64 : "%" PRIu64, shape[i]);
    dfm_sb_puts(&sb, "]");
    return dfm_sb_cstr(&sb);
}

/* -- element conversion -------------------------------------------------------------------- */

static int64_t load_int(dfm_dtype d, const void *p, uint64_t i)
{
    switch (d) {
    case DFM_BOOL: return ((const uint8_t *)p)[i] != 0;
    case DFM_U8: return ((const uint8_t *)p)[i];
    case DFM_I32: return ((const int32_t *)p)[i];
    default: return ((const int64_t *)p)[i];
    }
}

/* Store x if the type can hold it. */
static bool store_int(dfm_dtype d, void *p, uint64_t i, int64_t x)
{
    switch (d) {
    case DFM_BOOL: ((uint8_t *)p)[i] = (uint8_t)x; return x == 0 || x == 1;
    case DFM_U8: ((uint8_t *)p)[i] = (uint8_t)x; return x >= 0 && x <= 255;
    case DFM_I32: ((int32_t *)p)[i] = (int32_t)x; return x >= INT32_MIN && x <= INT32_MAX;
    default: ((int64_t *)p)[i] = x; return true;
    }
}

/* n elements of src, aligned, into dst. */
static dfm_status convert(const decode_ctx *cx, dfm_dtype from, const void *src, void *dst,
                          uint64_t n)
{
    dfm_dtype to = cx->field->dtype;
    if (from == to && to != DFM_BOOL) {
        if (n) memcpy(dst, src, n * dfm_dtype_bytes(to));
        return DFM_OK;
    }
    if (dfm_dtype_is_float(from) && !dfm_dtype_is_float(to)) {
        return bad(cx, dfm_fmt(cx->arena, "it holds %s, but '%s' is %s; store whole numbers",
                               dfm_dtype_name(from), cx->field->name, dfm_dtype_name(to)));
    }
    for (uint64_t i = 0; i < n; i++) {
        if (dfm_dtype_is_float(to)) {
            dfm_store_double(to, dst, i, dfm_load_as_double(from, src, i));
            continue;
        }
        int64_t x = load_int(from, src, i);
        if (!store_int(to, dst, i, x))
            return bad(cx, dfm_fmt(cx->arena, "%" PRId64 " does not fit '%s', which is %s", x,
                                   cx->field->name, dfm_dtype_name(to)));
    }
    return DFM_OK;
}

static bool same_shape(const data_field *f, const data_array *x)
{
    if (f->rank != x->rank) return false;
    return !f->rank || !memcmp(f->shape, x->shape, f->rank * sizeof(uint64_t));
}

static bool fits_padded(const data_field *f, const data_array *x)
{
    if (f->rank != x->rank) return false;
    for (uint32_t i = 0; i < f->rank; i++)
        if (x->shape[i] > f->shape[i]) return false;
    return true;
}

/* Row by row into a zeroed, larger box. */
static dfm_status convert_padded(const decode_ctx *cx, const data_array *x, const char *src,
                                 char *dst)
{
    const data_field *f = cx->field;
    uint64_t row = x->shape[x->rank - 1], rows = 1, index[DATA_MAX_RANK] = {0};
    size_t in = dfm_dtype_bytes(x->dtype), out = dfm_dtype_bytes(f->dtype);
    for (uint32_t i = 0; i + 1 < x->rank; i++) rows *= x->shape[i];
    memset(dst, 0, data_field_bytes(f));
    for (uint64_t r = 0; r < rows && row; r++) {
        uint64_t at = 0;
        for (uint32_t i = 0; i < f->rank; i++) at = at * f->shape[i] + index[i];
        DFM_TRY(convert(cx, x->dtype, src + r * row * in, dst + at * out, row));
        for (uint32_t i = x->rank - 1; i-- > 0;) {
            if (++index[i] < x->shape[i]) break;
            index[i] = 0;
        }
    }
    return DFM_OK;
}

static dfm_status take_array(const decode_ctx *cx, const data_array *x, void *dst)
{
    const data_field *f = cx->field;
    bool same = same_shape(f, x);
    if (!same && !(f->pad && fits_padded(f, x))) {
        return bad(cx, dfm_fmt(cx->arena, "its shape is %s; '%s' needs %s%s",
                               shape_text(cx->arena, x->rank, x->shape), f->name,
                               shape_text(cx->arena, f->rank, f->shape),
                               f->pad ? " or smaller" : ""));
    }
    const char *src = x->data;
    if ((uintptr_t)src % 8 && x->bytes) src = dfm_dup(cx->arena, src, x->bytes);
    if (same) return convert(cx, x->dtype, src, dst, x->bytes / dfm_dtype_bytes(x->dtype));
    return convert_padded(cx, x, src, dst);
}

/* -- kinds of members ---------------------------------------------------------------------- */

static dfm_status take_cls(const decode_ctx *cx, const data_member *m, void *dst)
{
    const char *p = m->p, *end = p + m->n;
    int64_t x = 0;
    bool minus = p < end && *p == '-';
    p += minus;
    const char *digits = p;
    for (; p < end && *p >= '0' && *p <= '9' && p - digits < 18; p++) x = 10 * x + (*p - '0');
    bool any = p > digits;
    while (p < end && (*p == '\n' || *p == '\r' || *p == ' ')) p++;
    if (!any || p != end) return bad(cx, "it is not one whole number in ASCII");
    x = minus ? -x : x;
    return take_array(cx, &(data_array){.dtype = DFM_I64, .data = &x, .bytes = 8}, dst);
}

/* Nested arrays of numbers, outermost first, into x->shape and doubles or integers. */
typedef DFM_VEC(double) number_list;

static bool flatten(dfm_arena *a, const json_t *v, uint32_t depth, data_array *x, number_list *out)
{
    if (json_is_number(v) || json_is_boolean(v)) {
        if (depth != x->rank) return false;
        dfm_push(a, out, json_is_boolean(v) ? json_is_true(v) : json_number_value(v));
        return true;
    }
    if (!json_is_array(v) || depth >= x->rank) return false;
    if (json_array_size(v) != x->shape[depth]) return false;
    for (size_t i = 0; i < json_array_size(v); i++)
        if (!flatten(a, json_array_get(v, i), depth + 1, x, out)) return false;
    return true;
}

static dfm_status take_json_value(const decode_ctx *cx, const json_t *v, void *dst)
{
    data_array x = {.dtype = DFM_F64};
    number_list numbers = {0};
    bool whole = true;
    for (const json_t *at = v; json_is_array(at) && x.rank < DATA_MAX_RANK;) {
        x.shape[x.rank++] = json_array_size(at);
        at = json_array_get(at, 0);
    }
    if (!flatten(cx->arena, v, 0, &x, &numbers))
        return bad(cx, "the value is not a number or a regular array of numbers");
    x.bytes = numbers.n * sizeof(double);
    x.data = numbers.p;
    int64_t *ints = dfm_new_n(cx->arena, int64_t, numbers.n + 1);
    for (uint32_t i = 0; i < numbers.n; i++) {
        double d = numbers.p[i];
        whole = whole && d == floor(d) && fabs(d) <= 9007199254740992.0;
        if (whole) ints[i] = (int64_t)d;
    }
    if (whole) {
        x.dtype = DFM_I64;
        x.data = ints;
    }
    return take_array(cx, &x, dst);
}

/* "a.b": value b of object a. */
static dfm_status take_json(const decode_ctx *cx, const data_member *m, void *dst)
{
    json_error_t why;
    if (m->n > MAX_JSON) return bad(cx, "it is larger than 64 MiB");
    json_t *root = json_loadb(m->p, m->n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
    if (!root) return bad(cx, dfm_fmt(cx->arena, "line %d: %s", why.line, why.text));
    const json_t *v = root;
    const char *rest = cx->key ? cx->key : "";
    while (v && *rest) {
        size_t n = strcspn(rest, ".");
        v = json_object_get(v, dfm_strndup(cx->arena, rest, n));
        rest += n + (rest[n] == '.');
    }
    dfm_status s = v ? take_json_value(cx, v, dst)
                     : bad(cx, dfm_fmt(cx->arena, "it has no value '%s'", cx->key));
    json_decref(root);
    return s;
}

static dfm_status take_member(const decode_ctx *cx, const data_member *m, data_extract *extract,
                              void *dst)
{
    data_array x;
    dfm_err why = {0};
    const char *dot = strrchr(cx->member, '.'), *kind = dot ? dot + 1 : cx->member;
    if (!strcmp(kind, "cls")) return take_cls(cx, m, dst);
    if (!strcmp(kind, "json")) return take_json(cx, m, dst);
    if (!strcmp(kind, "npy")) {
        if (data_npy_parse(m->p, m->n, &x, &why) != DFM_OK) return bad(cx, why.text);
        return take_array(cx, &x, dst);
    }
    if (!strcmp(kind, "safetensors") && cx->key && extract) {
        if (extract(cx->arena, m->p, m->n, cx->key, &x, &why) != DFM_OK) return bad(cx, why.text);
        return take_array(cx, &x, dst);
    }
    return bad(cx, "only .npy, .cls, .json and .safetensors:KEY members are read");
}

/* Whole numbers that the program uses as labels or indices are inside its range. */
static dfm_status check_range(const decode_ctx *cx, const void *p)
{
    const data_field *f = cx->field;
    if (!f->modulus || dfm_dtype_is_float(f->dtype)) return DFM_OK;
    uint64_t n = data_field_bytes(f) / dfm_dtype_bytes(f->dtype);
    for (uint64_t i = 0; i < n; i++) {
        double x = dfm_load_as_double(f->dtype, p, i);
        if (x >= 0 && x < f->modulus) continue;
        return bad(cx, dfm_fmt(cx->arena, "it holds %.0f where the program takes 0 to %u", x,
                               f->modulus - 1));
    }
    return DFM_OK;
}

dfm_status data_decode(dfm_arena *scratch, const data_field *f, const data_sample *s,
                       data_extract *extract, void *dst, dfm_err *err)
{
    const char *colon = strchr(f->source, ':');
    decode_ctx cx = {
        .arena = scratch, .field = f, .sample = s, .err = err, .key = colon ? colon + 1 : NULL,
        .member = colon ? dfm_strndup(scratch, f->source, (size_t)(colon - f->source)) : f->source,
    };
    for (uint32_t i = 0; i < s->n_members; i++)
        if (!strcmp(s->members[i].name, cx.member)) {
            DFM_TRY(take_member(&cx, &s->members[i], extract, dst));
            return check_range(&cx, dst);
        }
    dfm_sb has = dfm_sb_make(scratch);
    for (uint32_t i = 0; i < s->n_members && i < 8; i++)
        dfm_sb_printf(&has, "%s%s", i ? ", " : "", s->members[i].name);
    return dfm_fail(err, DFM_BAD_DATA, "shard '%s', sample '%s' has no member '%s' for '%s'; it "
                    "has %.300s", s->shard, s->key, cx.member, f->name, dfm_sb_cstr(&has));
}

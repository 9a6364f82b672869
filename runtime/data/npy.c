/* npy.c - parse the header of a .npy file: a Python dict literal, read strictly. */
#include "runtime/data/npy.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { MAX_HEADER = 1 << 16, MAX_DESCR = 32 };

typedef struct cursor {
    const char *p, *end;
    dfm_err *err;
} cursor;

static dfm_status bad(dfm_err *err, const char *why)
{
    return dfm_fail(err, DFM_BAD_DATA, "not a usable .npy file: %s", why);
}

static void skip_blanks(cursor *c)
{
    while (c->p < c->end && (*c->p == ' ' || *c->p == '\t' || *c->p == '\n')) c->p++;
}

/* Blanks, then this text, if it is there. */
static bool take(cursor *c, const char *text)
{
    skip_blanks(c);
    size_t n = strlen(text);
    if ((size_t)(c->end - c->p) < n || memcmp(c->p, text, n)) return false;
    c->p += n;
    return true;
}

/* A quoted string without escapes. */
static bool take_string(cursor *c, char out[MAX_DESCR])
{
    skip_blanks(c);
    if (c->p == c->end || (*c->p != '\'' && *c->p != '"')) return false;
    char quote = *c->p++;
    size_t n = 0;
    while (c->p < c->end && *c->p != quote) {
        if (n + 1 >= MAX_DESCR || *c->p == '\\' || (unsigned char)*c->p < 0x20) return false;
        out[n++] = *c->p++;
    }
    out[n] = 0;
    return c->p++ < c->end;
}

static dfm_status read_descr(cursor *c, data_array *out)
{
    char descr[MAX_DESCR];
    skip_blanks(c);
    if (c->p < c->end && *c->p == '[') return bad(c->err, "structured types are not supported");
    if (!take_string(c, descr)) return bad(c->err, "its 'descr' is not text");
    out->dtype = dfm_dtype_of_npy(descr);
    if (out->dtype != DFM_DT_NONE) return DFM_OK;
    if (descr[0] == '>') return bad(c->err, "it is big-endian; save it with astype('<...')");
    if (strchr("|O", descr[0]) && strchr(descr, 'O'))
        return bad(c->err, "it holds Python objects, which are never loaded");
    for (const char *s = descr; *s; s++)
        if ((unsigned char)*s > 0x7e) return bad(c->err, "its type is not supported");
    return dfm_fail(c->err, DFM_BAD_DATA, "not a usable .npy file: its type '%s' is not supported "
                    "(use bool, u1, i4, i8, f2, f4 or f8)", descr);
}

static dfm_status read_shape(cursor *c, data_array *out)
{
    if (!take(c, "(")) return bad(c->err, "its 'shape' is not a tuple");
    while (!take(c, ")")) {
        uint64_t x = 0;
        skip_blanks(c);
        const char *start = c->p;
        for (; c->p < c->end && *c->p >= '0' && *c->p <= '9'; c->p++)
            if (__builtin_mul_overflow(x, 10u, &x) ||
                __builtin_add_overflow(x, (uint64_t)(*c->p - '0'), &x))
                return bad(c->err, "its shape overflows");
        if (c->p == start) return bad(c->err, "its 'shape' is not a tuple of whole numbers");
        if (out->rank == DATA_MAX_RANK) return bad(c->err, "it has more than 32 dims");
        out->shape[out->rank++] = x;
        if (take(c, ",")) continue;
        if (!take(c, ")")) return bad(c->err, "its 'shape' is not closed");
        if (out->rank == 1) return bad(c->err, "its 'shape' is a number, not a tuple");
        break;
    }
    return DFM_OK;
}

static dfm_status read_order(cursor *c)
{
    if (take(c, "False")) return DFM_OK;
    if (take(c, "True"))
        return bad(c->err, "it is in Fortran order; save it with numpy.ascontiguousarray");
    return bad(c->err, "its 'fortran_order' is neither True nor False");
}

static dfm_status read_dict(cursor *c, data_array *out)
{
    bool descr = false, order = false, shape = false;
    if (!take(c, "{")) return bad(c->err, "its header is not a dict");
    while (!take(c, "}")) {
        char key[MAX_DESCR];
        if (!take_string(c, key) || !take(c, ":")) return bad(c->err, "its header is malformed");
        bool *seen = !strcmp(key, "descr") ? &descr : !strcmp(key, "fortran_order") ? &order
                     : !strcmp(key, "shape") ? &shape : NULL;
        if (!seen || *seen) return bad(c->err, "its header has a key twice or one too many");
        *seen = true;
        DFM_TRY(seen == &descr ? read_descr(c, out) : seen == &order ? read_order(c)
                                                                     : read_shape(c, out));
        if (take(c, ",")) continue;
        if (!take(c, "}")) return bad(c->err, "its header is malformed");
        break;
    }
    if (!descr || !order || !shape) return bad(c->err, "its header lacks a key");
    skip_blanks(c);
    if (c->p != c->end) return bad(c->err, "text follows its header");
    return DFM_OK;
}

dfm_status data_npy_parse(const void *p, size_t n, data_array *out, dfm_err *err)
{
    const uint8_t *b = p;
    *out = (data_array){0};
    if (n < 10 || memcmp(b, "\x93NUMPY", 6)) return bad(err, "it does not start with \\x93NUMPY");
    if (b[6] < 1 || b[6] > 3 || b[7] != 0) return bad(err, "its version is unknown");
    size_t start = b[6] == 1 ? 10 : 12;
    if (n < start) return bad(err, "it is cut off");
    uint64_t length = b[6] == 1 ? (uint64_t)b[8] | (uint64_t)b[9] << 8
                                : (uint64_t)b[8] | (uint64_t)b[9] << 8 | (uint64_t)b[10] << 16 |
                                      (uint64_t)b[11] << 24;
    if (length > MAX_HEADER) return bad(err, "its header is longer than 64 KiB");
    if (length > n - start) return bad(err, "it is cut off in its header");
    const char *text = (const char *)b + start;
    if (length == 0 || text[length - 1] != '\n') return bad(err, "its header has no end of line");
    cursor c = {text, text + length, err};
    DFM_TRY(read_dict(&c, out));
    uint64_t bytes = dfm_dtype_bytes(out->dtype);
    for (uint32_t i = 0; i < out->rank; i++)
        if (__builtin_mul_overflow(bytes, out->shape[i], &bytes))
            return bad(err, "its size overflows");
    if (bytes != n - start - length) {
        return dfm_fail(err, DFM_BAD_DATA, "not a usable .npy file: it has %zu bytes of data, its "
                        "shape needs %" PRIu64, (size_t)(n - start - length), bytes);
    }
    out->data = text + length;
    out->bytes = bytes;
    return DFM_OK;
}

size_t data_npy_header(dfm_dtype dtype, uint32_t rank, const uint64_t *shape, char out[512])
{
    static const char *const descr[] = {
        "",
#define DTYPE(id, name, bytes, flt, st, npy, doc) npy,
#include "runtime/base/dtype.def"
#undef DTYPE
    };
    char dims[400] = "";
    size_t at = 0;
    DFM_ASSERT(rank <= 16 && descr[dtype][0]);
    for (uint32_t i = 0; i < rank; i++)
        at += (size_t)snprintf(dims + at, sizeof dims - at, "%s%" PRIu64, i ? ", " : "", shape[i]);
    if (rank == 1) snprintf(dims + at, sizeof dims - at, ",");
    int n = snprintf(out + 10, 502, "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }",
                     descr[dtype], dims);
    size_t total = (10 + (size_t)n + 1 + 63) / 64 * 64;
    memset(out + 10 + n, ' ', total - 10 - (size_t)n);
    out[total - 1] = '\n';
    memcpy(out, "\x93NUMPY\x01\x00", 8);
    out[8] = (char)((total - 10) & 255);
    out[9] = (char)((total - 10) >> 8);
    return total;
}

/* safetensors_write.c - write one safetensors file, in order, checking every write.
 *
 * The header is complete before the first byte of data, so tensors are declared first. It is
 * padded with spaces to a multiple of 8. A hash of all bytes is kept while they go by, of what
 * was meant to be written: a disk that changes them is found out when the file is read.
 */
#include "runtime/ckpt/safetensors.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/str.h"

enum { BUFFER_BYTES = 1 << 16 };

struct ckpt_writer {
    dfm_arena *arena;
    dfm_out file;
    dfm_sb meta, header;
    uint64_t declared, given;      /* bytes of data */
    uint64_t written;              /* bytes of file */
    bool begun;
    uint32_t n_tensors;
    dfm_hash_stream *hash;
    char *buffer;                  /* joins small tensors into larger writes */
    size_t buffered;
};

static dfm_status write_all(ckpt_writer *w, const char *p, uint64_t n, dfm_err *err)
{
    w->written += n;
    return dfm_out_write(&w->file, p, n, err);
}

static dfm_status flush(ckpt_writer *w, dfm_err *err)
{
    size_t n = w->buffered;
    w->buffered = 0;
    return write_all(w, w->buffer, n, err);
}

static dfm_status put(ckpt_writer *w, const void *p, uint64_t n, dfm_err *err)
{
    dfm_hash_add(w->hash, p, n);
    if (n > BUFFER_BYTES - w->buffered) DFM_TRY(flush(w, err));
    if (n >= BUFFER_BYTES) return write_all(w, p, n, err);
    if (n) memcpy(w->buffer + w->buffered, p, n);
    w->buffered += n;
    return DFM_OK;
}

dfm_status ckpt_writer_open(dfm_arena *a, const char *path, ckpt_writer **out, dfm_err *err)
{
    ckpt_writer *w = dfm_new(a, ckpt_writer);
    *w = (ckpt_writer){
        .arena = a, .meta = dfm_sb_make(a), .header = dfm_sb_make(a),
        .hash = dfm_hash_begin(a), .buffer = dfm_alloc(a, BUFFER_BYTES),
    };
    *out = w;
    return dfm_out_open(dfm_strdup(a, path), DFM_OUT_NEW, &w->file, err);
}

void ckpt_writer_meta(ckpt_writer *w, const char *key, const char *value)
{
    DFM_ASSERT(!w->begun);
    if (w->meta.n) dfm_sb_puts(&w->meta, ",");
    dfm_sb_json(&w->meta, key);
    dfm_sb_puts(&w->meta, ":");
    dfm_sb_json(&w->meta, value);
}

dfm_status ckpt_writer_declare(ckpt_writer *w, const char *name, dfm_dtype dtype, uint32_t rank,
                               const uint64_t *shape, dfm_err *err)
{
    DFM_ASSERT(!w->begun && dtype != DFM_DT_NONE && rank <= CKPT_MAX_RANK);
    uint64_t bytes = dfm_dtype_bytes(dtype), end = 0;
    bool overflow = false;
    for (uint32_t i = 0; i < rank; i++) overflow |= __builtin_mul_overflow(bytes, shape[i], &bytes);
    overflow |= __builtin_add_overflow(w->declared, bytes, &end);
    if (overflow || end > INT64_MAX)
        return dfm_fail(err, DFM_CANNOT_WRITE, "tensor '%s' is too large for a file", name);
    dfm_sb *h = &w->header;
    if (w->n_tensors++) dfm_sb_puts(h, ",");
    dfm_sb_json(h, name);
    dfm_sb_printf(h, ":{\"dtype\":\"%s\",\"shape\":[", dfm_dtype_safetensors(dtype));
    for (uint32_t i = 0; i < rank; i++) dfm_sb_printf(h, "%s%" PRIu64, i ? "," : "", shape[i]);
    dfm_sb_printf(h, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", w->declared, end);
    w->declared = end;
    return DFM_OK;
}

static dfm_status begin(ckpt_writer *w, dfm_err *err)
{
    if (w->begun) return DFM_OK;
    w->begun = true;
    dfm_sb all = dfm_sb_make(w->arena);
    dfm_sb_puts(&all, "{");
    if (w->meta.n) dfm_sb_printf(&all, "\"__metadata__\":{%s}", dfm_sb_cstr(&w->meta));
    if (w->meta.n && w->n_tensors) dfm_sb_puts(&all, ",");
    dfm_sb_puts(&all, dfm_sb_cstr(&w->header));
    dfm_sb_puts(&all, "}");
    while (all.n % 8) dfm_sb_puts(&all, " ");
    uint8_t length[8];
    for (int i = 0; i < 8; i++) length[i] = (uint8_t)((uint64_t)all.n >> 8 * i);
    DFM_TRY(put(w, length, 8, err));
    return put(w, all.p, all.n, err);
}

dfm_status ckpt_writer_data(ckpt_writer *w, const void *p, uint64_t bytes, dfm_err *err)
{
    DFM_TRY(begin(w, err));
    DFM_ASSERT(bytes <= w->declared - w->given);
    w->given += bytes;
    return put(w, p, bytes, err);
}

void ckpt_writer_abort(ckpt_writer *w)
{
    if (w) dfm_out_abort(&w->file);
}

dfm_status ckpt_writer_close(ckpt_writer *w, uint64_t *out_bytes, dfm_hash128 *out_hash,
                             dfm_err *err)
{
    dfm_status s = begin(w, err);
    DFM_ASSERT(s != DFM_OK || w->given == w->declared);
    if (s == DFM_OK) s = flush(w, err);
    if (s == DFM_OK) s = dfm_out_sync(&w->file, err);
    if (s == DFM_OK) s = dfm_out_close(&w->file, err);
    if (s != DFM_OK) {
        ckpt_writer_abort(w);
        return s;
    }
    if (out_bytes) *out_bytes = w->written;
    if (out_hash) *out_hash = dfm_hash_end(w->hash);
    return DFM_OK;
}

static dfm_status write_tensors(ckpt_writer *w, const ckpt_tensor *t, uint32_t n, dfm_err *err)
{
    for (uint32_t i = 0; i < n; i++)
        DFM_TRY(ckpt_writer_declare(w, t[i].name, t[i].dtype, t[i].rank, t[i].shape, err));
    for (uint32_t i = 0; i < n; i++) {
        uint64_t bytes = dfm_dtype_bytes(t[i].dtype);
        for (uint32_t k = 0; k < t[i].rank; k++) bytes *= t[i].shape[k];
        DFM_TRY(ckpt_writer_data(w, t[i].data, bytes, err));
    }
    return DFM_OK;
}

dfm_status ckpt_write_file(const char *path, const ckpt_tensor *tensors, uint32_t n,
                           const ckpt_meta *meta, uint32_t n_meta, dfm_err *err)
{
    dfm_arena *a = dfm_arena_create("safetensors");
    ckpt_writer *w = NULL;
    const char *tmp = dfm_fmt(a, "%s.tmp-%d", path, (int)getpid());
    dfm_temp_note(tmp);
    dfm_file_remove(tmp);                           /* of a dead process */
    dfm_status s = ckpt_writer_open(a, tmp, &w, err);
    for (uint32_t i = 0; s == DFM_OK && i < n_meta; i++)
        ckpt_writer_meta(w, meta[i].key, meta[i].value);
    if (s == DFM_OK) s = write_tensors(w, tensors, n, err);
    if (s == DFM_OK) s = ckpt_writer_close(w, NULL, NULL, err);
    else ckpt_writer_abort(w);
    if (s == DFM_OK) s = dfm_file_put_in_place(tmp, path, err);
    else dfm_temp_forget(tmp);
    dfm_arena_destroy(a);
    return s;
}

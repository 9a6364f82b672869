/* safetensors.h - weights on disk: read one file or a folder of shards, write one file.
 *
 * The format (https://github.com/huggingface/safetensors): 8 bytes little-endian header length N,
 * N bytes of JSON {"name": {"dtype", "shape", "data_offsets": [begin, end]}, "__metadata__": {..}},
 * then the data. Files are untrusted. Refused besides malformed JSON: headers over 100 MB,
 * duplicate keys, unknown dtypes, a shape that does not fill its range exactly, ranges that
 * overlap, leave holes or end outside the file, metadata that is not text.
 *
 * Reading maps files; tensor data points into the map and may be unaligned (use memcpy).
 */
#ifndef DFM_RUNTIME_CKPT_SAFETENSORS_H
#define DFM_RUNTIME_CKPT_SAFETENSORS_H

#include "runtime/base/arena.h"
#include "runtime/base/dtype.h"
#include "runtime/base/file.h"
#include "runtime/base/hash.h"
#include "runtime/base/status.h"

enum { CKPT_MAX_RANK = 32 };

typedef struct ckpt_meta { const char *key, *value; } ckpt_meta;

typedef struct ckpt_tensor {
    const char *name;
    const char *dtype_text;    /* as in the file: "F32", "F8_E4M3" */
    dfm_dtype dtype;           /* DFM_DT_NONE: a type that safetensors knows and dfm does not */
    uint32_t rank;
    const uint64_t *shape;     /* [rank], outermost first */
    const void *data;          /* bytes of it, C order, little-endian, perhaps unaligned */
    uint64_t bytes;
    uint32_t file;             /* index in ckpt_weights.files */
} ckpt_tensor;

typedef struct ckpt_st {       /* one parsed file */
    const char *path;
    const ckpt_meta *meta;
    ckpt_tensor *tensors;      /* in the order of their data */
    uint32_t n_meta, n_tensors;
} ckpt_st;

typedef struct ckpt_weights {  /* one file or all files of a folder */
    const char *path;
    ckpt_st *files;
    dfm_map *maps;             /* [n_files] */
    const ckpt_tensor *tensors;/* of all files, in file order, then data order */
    uint32_t *slots;           /* hash table over names: index + 1, 0 = free */
    uint32_t n_files, n_tensors, n_slots;
} ckpt_weights;

/* -- safetensors.c ------------------------------------------------------------------------- */
/* Parse n bytes at p; `path` is for messages. Results live in the arena and point into p.
 * DFM_BAD_DATA with the reason if it is not a valid file. */
dfm_status ckpt_st_parse(dfm_arena *a, const char *path, const void *p, size_t n, ckpt_st *out,
                         dfm_err *err);
/* Value of a metadata key; NULL if there is none. */
const char *ckpt_st_meta(const ckpt_st *f, const char *key);
/* "F32 [2, 3]" for messages, in the arena. */
const char *ckpt_tensor_text(dfm_arena *a, const ckpt_tensor *t);

/* -- weights.c ----------------------------------------------------------------------------- */
/* Open `path`: a .safetensors file, a *.safetensors.index.json, or a folder. In a folder:
 * model.safetensors.index.json or diffusion_pytorch_model.safetensors.index.json (or the only
 * index there) names shards and tensors, otherwise all *.safetensors files together; of a diffusers
 * pipeline (model_index.json) the folder `transformer`. Pickle files are refused with advice. The
 * same tensor in two files is an error. Undo with ckpt_weights_close; on failure nothing stays
 * open. */
dfm_status ckpt_weights_open(dfm_arena *a, const char *path, ckpt_weights *out, dfm_err *err);
void ckpt_weights_close(ckpt_weights *w);
const ckpt_tensor *ckpt_weights_find(const ckpt_weights *w, const char *name);  /* NULL: none */

/* -- safetensors_write.c ------------------------------------------------------------------- */
/* Streaming writer: open, meta*, declare*, then the data of all tensors in the order declared,
 * in pieces of any size, then close. The bytes are a function of the calls alone. */
typedef struct ckpt_writer ckpt_writer;

/* Create `path`; it must not exist (O_EXCL). */
dfm_status ckpt_writer_open(dfm_arena *a, const char *path, ckpt_writer **out, dfm_err *err);
void ckpt_writer_meta(ckpt_writer *w, const char *key, const char *value);
dfm_status ckpt_writer_declare(ckpt_writer *w, const char *name, dfm_dtype dtype, uint32_t rank,
                               const uint64_t *shape, dfm_err *err);
dfm_status ckpt_writer_data(ckpt_writer *w, const void *p, uint64_t bytes, dfm_err *err);
/* Check that all data came, fsync, close. *out_bytes and *out_hash (either may be NULL): size and
 * hash of what was handed to the file. On failure, and by ckpt_writer_abort, the file is removed.
 * After either call w is gone. */
dfm_status ckpt_writer_close(ckpt_writer *w, uint64_t *out_bytes, dfm_hash128 *out_hash,
                             dfm_err *err);
void ckpt_writer_abort(ckpt_writer *w);      /* NULL is allowed */

/* A whole file at once, replacing `path` so that a crash leaves the old or the new one. Uses
 * name, dtype, rank, shape and data of each tensor. */
dfm_status ckpt_write_file(const char *path, const ckpt_tensor *tensors, uint32_t n,
                           const ckpt_meta *meta, uint32_t n_meta, dfm_err *err);

#endif

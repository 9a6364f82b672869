/* wds.h - WebDataset shards: tar files read as streams, never extracted.
 *
 * A sample is a run of members with the same key; the key is the member's path up to the first
 * dot of its last component, the rest is the member's name: "train/0001.image.npy" is member
 * "image.npy" of sample "train/0001". https://github.com/webdataset/webdataset
 *
 * Shards are untrusted. Refused: absolute paths, "..", names that are not UTF-8, hold control
 * characters or exceed 1 KiB, sparse members, members over 1 GiB, samples over 4 GiB or 256
 * members, two members of one name in a sample, files that are cut off. Links, devices, folders
 * and members without a dot or with an empty key are passed over. Only plain tar is read.
 */
#ifndef DFM_RUNTIME_DATA_WDS_H
#define DFM_RUNTIME_DATA_WDS_H

#include "runtime/base/arena.h"
#include "runtime/base/status.h"

typedef struct data_member {
    const char *name;          /* "image.npy" */
    const void *p;             /* n bytes; NULL if the shard was opened without contents */
    size_t n;
    uint64_t offset;           /* of its tar header in the shard */
} data_member;

typedef struct data_sample {
    const char *shard, *key;
    const data_member *members;
    uint32_t n_members;
    uint64_t offset;           /* where data_shard_open can start to read just this sample */
} data_sample;

/* Paths of all shards that `spec` means: a file, a folder (its *.tar files by name), or a pattern
 * with {000..012} ranges and {a,b} lists. Commands and URLs are refused. */
dfm_status data_shard_list(dfm_arena *a, const char *spec, const char ***out, uint32_t *out_n,
                           dfm_err *err);

typedef struct data_shard data_shard;

/* Open at byte `offset` (0, or a sample's). Without `contents` members are skipped over, which is
 * fast. Failures of this and of data_shard_next: DFM_BAD_DATA with shard, member and offset. */
dfm_status data_shard_open(const char *path, uint64_t offset, bool contents, data_shard **out,
                           dfm_err *err);
/* The next sample, valid until the next call; *out_end = true and no sample at the end. */
dfm_status data_shard_next(data_shard *s, data_sample *out, bool *out_end, dfm_err *err);
void data_shard_close(data_shard *s);       /* NULL is allowed */

#endif

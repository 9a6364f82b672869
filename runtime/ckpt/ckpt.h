/* ckpt.h - checkpoints that survive crashes.
 *
 *   ckpt/
 *     step_00012000/          whole, or it is not loaded
 *       model.safetensors     parts: any number of safetensors files
 *       optim.safetensors
 *       state.json            text of the caller's: step, seeds, cursors
 *       MANIFEST              every file with its size and xxh3-128, and a check of itself
 *     latest                  the name of the newest folder, for people and scripts
 *
 * Saving writes step_N.tmp-<host>-<pid>-<nonce>, syncs files and folder, renames it, syncs the
 * parent, replaces `latest`, and only then removes old ones. So at any instant, whatever dies, the
 * new or the previous checkpoint is whole. A rename of the folder is the commit.
 *
 * Each MANIFEST has a serial number, one more than the largest in the folder: "newest" means the
 * largest serial, so a run that went back to an earlier step continues from its own checkpoints.
 * What does not verify is never removed.
 */
#ifndef DFM_RUNTIME_CKPT_CKPT_H
#define DFM_RUNTIME_CKPT_CKPT_H

#include "runtime/ckpt/safetensors.h"

/* One file of a checkpoint. Of each tensor name, dtype, rank, shape and data are used; data NULL
 * means that the bytes come through ckpt_save_args.fetch. */
typedef struct ckpt_part {
    const char *file;              /* "model.safetensors" */
    const ckpt_tensor *tensors;
    uint32_t n_tensors;
    const ckpt_meta *meta;
    uint32_t n_meta;
} ckpt_part;

/* Copy `bytes` bytes from `offset` of tensor `tensor` of part `part` to dst. */
typedef dfm_status ckpt_fetch(void *user, uint32_t part, uint32_t tensor, uint64_t offset,
                              uint64_t bytes, void *dst, dfm_err *err);
/* Told before each phase: "clean", "part", "state", "manifest", "sync", "rename", "latest",
 * "prune", "done". For progress displays, and for tests, which die in it. */
typedef void ckpt_phase(void *user, const char *phase);

typedef struct ckpt_save_args {
    const char *folder;            /* ".../ckpt", made if missing */
    uint64_t step;                 /* <= 99,999,999 */
    const ckpt_part *parts;
    uint32_t n_parts;
    const char *state;             /* JSON text */
    uint32_t keep;                 /* whole checkpoints to keep, this one included; 0 = all */
    ckpt_fetch *fetch;             /* NULL when every tensor has data */
    ckpt_phase *phase;             /* may be NULL */
    void *user;
} ckpt_save_args;

/* -- ckpt_save.c --------------------------------------------------------------------------- */
/* Save one checkpoint (one rank). On failure the folder is as before, except for removed leftovers
 * of dead processes; DFM_CANNOT_WRITE, or what fetch returned. */
dfm_status ckpt_save(const ckpt_save_args *args, dfm_err *err);
/* Before a run goes on from `newest` (a path), the last one in `folder`: do what a save that was
 * interrupted behind its commit has left to do, but for pruning. What fails is left to the next
 * save. */
void ckpt_tidy(const char *folder, const char *newest);

/* -- ckpt_load.c --------------------------------------------------------------------------- */
typedef struct ckpt_loaded {
    bool found;                    /* false: the folder holds no checkpoint at all */
    uint64_t step;
    const char *path;              /* ".../ckpt/step_00012000" */
    const char *state;             /* text of state.json */
    const char *warning;           /* newer ones that were skipped, and why; NULL: none */
    ckpt_weights *parts;           /* one per safetensors file, in MANIFEST order */
    const char **part_names;
    uint32_t n_parts;
} ckpt_loaded;

/* Load the newest whole checkpoint of `path` (a checkpoint folder's parent), or `path` itself if it
 * holds a MANIFEST. Every byte is verified. DFM_BAD_DATA if there are checkpoints and none of them
 * is whole (the text says why, one line each). Undo with ckpt_loaded_close. */
dfm_status ckpt_load(dfm_arena *a, const char *path, ckpt_loaded *out, dfm_err *err);
void ckpt_loaded_close(ckpt_loaded *l);
/* A tensor of a part ("model.safetensors"); NULL if either is not there. */
const ckpt_tensor *ckpt_loaded_find(const ckpt_loaded *l, const char *part, const char *tensor);

/* -- ckpt_manifest.c: shared by saving and loading ----------------------------------------- */
typedef struct ckpt_entry { const char *name; uint64_t bytes; dfm_hash128 hash; } ckpt_entry;
typedef struct ckpt_manifest {
    uint64_t step, serial;
    ckpt_entry *entries;
    uint32_t n_entries;
} ckpt_manifest;

char *ckpt_manifest_text(dfm_arena *a, const ckpt_manifest *m);
/* Read folder/MANIFEST and check it; with `deep` the hashes of all files, else their sizes. */
dfm_status ckpt_manifest_verify(dfm_arena *a, const char *folder, bool deep, ckpt_manifest *out,
                                dfm_err *err);

typedef struct ckpt_listed {       /* a folder step_NNNNNNNN */
    const char *name, *path;
    uint64_t step, serial;         /* serial 0: MANIFEST missing or damaged */
    const char *why;               /* then: the reason */
} ckpt_listed;
/* All step folders of `folder`, newest first: by serial, then by step; damaged ones last, by step.
 * A folder that does not exist has none. */
dfm_status ckpt_list(dfm_arena *a, const char *folder, ckpt_listed **out, uint32_t *out_n,
                     dfm_err *err);

#endif

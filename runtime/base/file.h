/* file.h - whole files: read, map, and replace so that a crash leaves the old or the new one. */
#ifndef DFM_RUNTIME_BASE_FILE_H
#define DFM_RUNTIME_BASE_FILE_H

#include "runtime/base/arena.h"
#include "runtime/base/status.h"

typedef struct dfm_map {
    const void *p;
    size_t n;
} dfm_map;

/* The whole file, NUL-terminated (the NUL is not in *out_n), in the arena. Fails with
 * DFM_BAD_DATA if it cannot be read or is larger than max_bytes. */
dfm_status dfm_file_read(dfm_arena *a, const char *path, size_t max_bytes, char **out_p,
                         size_t *out_n, dfm_err *err);

/* Map a file read-only. An empty file gives p = NULL, n = 0. Undo with dfm_file_unmap. */
dfm_status dfm_file_map(const char *path, dfm_map *out, dfm_err *err);
void dfm_file_unmap(dfm_map *m);

/* Write to `path.tmp-<pid>`, fsync, rename over path, fsync the folder. On failure the old file
 * is untouched and the temporary one is removed; DFM_CANNOT_WRITE. */
dfm_status dfm_file_replace(const char *path, const void *p, size_t n, dfm_err *err);

bool dfm_file_exists(const char *path);
bool dfm_is_folder(const char *path);
dfm_status dfm_make_folders(const char *path, dfm_err *err);     /* like mkdir -p */
dfm_status dfm_sync_folder(const char *path, dfm_err *err);      /* fsync of the directory */
dfm_status dfm_remove_tree(const char *path, dfm_err *err);      /* does not follow links */

/* "dir/name" from the folder of `base` (a file path) and `name`; name itself if absolute. */
char *dfm_path_beside(dfm_arena *a, const char *base, const char *name);
char *dfm_path_join(dfm_arena *a, const char *folder, const char *name);
/* Folder of the running program ("/usr/bin"), to find installed files beside it. */
char *dfm_program_folder(dfm_arena *a);

#endif

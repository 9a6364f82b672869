/* file.h - files and folders: read, map, write, and replace so that a crash leaves the old or the
 * new one. All calls go through sys.h. Interrupted ones (EINTR) are made again.
 */
#ifndef DFM_RUNTIME_BASE_FILE_H
#define DFM_RUNTIME_BASE_FILE_H

#include "runtime/base/arena.h"
#include "runtime/base/status.h"

typedef struct dfm_map {
    const void *p;
    size_t n;
} dfm_map;

/* -- file.c: reading --------------------------------------------------------------------------- */
/* The whole file, NUL-terminated (the NUL is not in *out_n), in the arena. Fails with
 * DFM_BAD_DATA if it cannot be read or is larger than max_bytes. */
dfm_status dfm_file_read(dfm_arena *a, const char *path, size_t max_bytes, char **out_p,
                         size_t *out_n, dfm_err *err);

/* Map a file read-only. An empty file gives p = NULL, n = 0. Undo with dfm_file_unmap. */
dfm_status dfm_file_map(const char *path, dfm_map *out, dfm_err *err);
void dfm_file_unmap(dfm_map *m);

/* A regular file to read pieces of; *out_fd is closed with dfm_file_close. DFM_BAD_DATA. */
dfm_status dfm_file_open(const char *path, int *out_fd, uint64_t *out_bytes, dfm_err *err);
/* Up to n bytes from `at`; 0 at the end, -1 and errno on failure. */
long dfm_file_read_at(int fd, void *p, size_t n, uint64_t at);
void dfm_file_close(int fd);

/* -- file_write.c: writing; every failure is DFM_CANNOT_WRITE ---------------------------------- */
typedef enum dfm_out_mode {
    DFM_OUT_NEW = 1,           /* must not exist */
    DFM_OUT_TRUNCATE,          /* made if missing, emptied */
    DFM_OUT_APPEND,            /* made if missing */
} dfm_out_mode;

typedef struct dfm_out {
    int fd;                    /* < 0: closed */
    const char *path;          /* the caller's, while it is open */
} dfm_out;

dfm_status dfm_out_open(const char *path, dfm_out_mode mode, dfm_out *out, dfm_err *err);
dfm_status dfm_out_write(dfm_out *o, const void *p, uint64_t n, dfm_err *err);      /* all of it */
dfm_status dfm_out_sync(dfm_out *o, dfm_err *err);
dfm_status dfm_out_close(dfm_out *o, dfm_err *err);     /* closed even if it fails */
/* Close and remove; does nothing after an open that failed or a close that did not. */
void dfm_out_abort(dfm_out *o);

/* Write to `path.tmp-<pid>`, fsync, rename over path, fsync the folder. On failure the old file
 * is untouched and the temporary one is removed. */
dfm_status dfm_file_replace(const char *path, const void *p, size_t n, dfm_err *err);
void dfm_file_remove(const char *path);                 /* one file; failure is ignored */
/* The second half: sync has been done, `tmp` is closed. On failure tmp is removed. */
dfm_status dfm_file_put_in_place(const char *tmp, const char *path, dfm_err *err);

/* -- folder.c ---------------------------------------------------------------------------------- */
bool dfm_file_exists(const char *path);
bool dfm_is_folder(const char *path);
/* Like mkdir -p; what is made is safe: its parents are synced. */
dfm_status dfm_make_folders(const char *path, dfm_err *err);
/* One folder, safe as above; *out_made = false and DFM_OK: something of that name is there. */
dfm_status dfm_make_folder(const char *path, bool *out_made, dfm_err *err);
/* A new private folder in $TMPDIR or /tmp, "NAME-...", noted as temporary (below). A place where
 * others could exchange it is refused. Remove it with dfm_remove_tree and dfm_temp_forget. */
dfm_status dfm_make_temporary(dfm_arena *a, const char *name, const char **out, dfm_err *err);
/* Names in a folder, sorted, without "." and "..". A missing folder gives *out = NULL, n = 0; any
 * other failure is DFM_BAD_DATA. */
dfm_status dfm_list_folder(dfm_arena *a, const char *path, const char ***out, uint32_t *out_n,
                           dfm_err *err);
dfm_status dfm_sync_folder(const char *path, dfm_err *err);      /* fsync of the directory */
dfm_status dfm_sync_parent(const char *path, dfm_err *err);
dfm_status dfm_remove_tree(const char *path, dfm_err *err);      /* does not follow links */
/* Why others could change a file or folder of this state, or exchange what is in it: "belongs to
 * another user", ...; NULL: they could not. In a folder with the sticky bit (/tmp) nobody can
 * replace a file of somebody else. */
struct stat;
const char *dfm_exposed(const struct stat *st);

/* "dir/name" from the folder of `base` (a file path) and `name`; name itself if absolute. */
char *dfm_path_beside(dfm_arena *a, const char *base, const char *name);
char *dfm_path_join(dfm_arena *a, const char *folder, const char *name);
/* Absolute, without links and dots; the path itself if that cannot be found out. */
char *dfm_path_real(dfm_arena *a, const char *path);
/* Folder of the running program ("/usr/bin"), to find installed files beside it. */
char *dfm_program_folder(dfm_arena *a);

/* -- temporary.c ------------------------------------------------------------------------------- */
/* What a process must not leave behind when it ends in the middle (no memory, a signal) is noted
 * here while it exists. At most 32 at a time; more are not noted. For any thread. */
void dfm_temp_note(const char *path);
void dfm_temp_forget(const char *path);
/* Remove all that is noted. A folder first takes another name (PATH-gone), so that a thread that
 * is about to put it in place cannot put a half of it there. */
void dfm_temp_remove_all(void);

#endif

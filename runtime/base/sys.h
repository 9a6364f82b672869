/* sys.h - every call to the system that can fail: files, folders, maps, memory.
 *
 * Both programs reach files and memory through these functions alone (a test of the tree sees to
 * it), so that tests can put others in their place: a program that is linked with
 * tests/faults/faults.c before this library gets its functions, which fail on demand and keep a
 * record of what was written. The programs that are installed have no such thing in them.
 *
 * Results and errno are those of the calls behind; nothing is retried here.
 */
#ifndef DFM_RUNTIME_BASE_SYS_H
#define DFM_RUNTIME_BASE_SYS_H

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

/* -- files: `folder` is an open folder, or AT_FDCWD ------------------------------------------- */
int dfm_sys_open(int folder, const char *path, int flags, mode_t mode);
int dfm_sys_memory_file(const char *name);              /* sealable, may hold code */
ssize_t dfm_sys_read(int fd, void *p, size_t n);
ssize_t dfm_sys_pread(int fd, void *p, size_t n, off_t at);
ssize_t dfm_sys_write(int fd, const void *p, size_t n);
int dfm_sys_sync(int fd);
int dfm_sys_close(int fd);
int dfm_sys_fstat(int fd, struct stat *out);
void *dfm_sys_map(int fd, size_t n);                    /* private, to read; NULL: failed */
void dfm_sys_unmap(void *p, size_t n);

pid_t dfm_sys_fork(void);

/* -- names ------------------------------------------------------------------------------------- */
int dfm_sys_stat(const char *path, bool follow, struct stat *out);
int dfm_sys_rename(const char *from, const char *to);
int dfm_sys_exchange(const char *a, const char *b);     /* ENOSYS, EINVAL: cannot be had here */
int dfm_sys_unlink(int folder, const char *name, int flags);
int dfm_sys_mkdir(const char *path, mode_t mode);
DIR *dfm_sys_opendir(int fd);                           /* takes the fd if it succeeds */
struct dirent *dfm_sys_readdir(DIR *d);                 /* errno is 0 at the end */
void dfm_sys_closedir(DIR *d);

/* -- memory ------------------------------------------------------------------------------------ */
void *dfm_sys_alloc(size_t align, size_t n);            /* NULL: none; free with dfm_sys_free */
void *dfm_sys_zeroed(size_t n);
void dfm_sys_free(void *p);
void *dfm_sys_pages(size_t n);                          /* zeroed; NULL: none; dfm_sys_unmap */

#endif

/* sys.c - the calls themselves. */
#include "runtime/base/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

int dfm_sys_open(int folder, const char *path, int flags, mode_t mode)
{
    return openat(folder, path, flags | O_CLOEXEC, mode);
}

int dfm_sys_memory_file(const char *name)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
    if (fd < 0 && errno == EINVAL) fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    return fd;
}

ssize_t dfm_sys_read(int fd, void *p, size_t n) { return read(fd, p, n); }
ssize_t dfm_sys_pread(int fd, void *p, size_t n, off_t at) { return pread(fd, p, n, at); }
ssize_t dfm_sys_write(int fd, const void *p, size_t n) { return write(fd, p, n); }
int dfm_sys_sync(int fd) { return fsync(fd); }
int dfm_sys_close(int fd) { return close(fd); }
int dfm_sys_fstat(int fd, struct stat *out) { return fstat(fd, out); }

void *dfm_sys_map(int fd, size_t n)
{
    void *p = mmap(NULL, n, PROT_READ, MAP_PRIVATE, fd, 0);
    return p == MAP_FAILED ? NULL : p;
}

void dfm_sys_unmap(void *p, size_t n) { munmap(p, n); }

pid_t dfm_sys_fork(void) { return fork(); }

int dfm_sys_stat(const char *path, bool follow, struct stat *out)
{
    return follow ? stat(path, out) : lstat(path, out);
}

int dfm_sys_rename(const char *from, const char *to) { return rename(from, to); }

int dfm_sys_exchange(const char *a, const char *b)
{
    return renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE);
}

int dfm_sys_unlink(int folder, const char *name, int flags)
{
    return unlinkat(folder, name, flags);
}

int dfm_sys_mkdir(const char *path, mode_t mode) { return mkdir(path, mode); }
DIR *dfm_sys_opendir(int fd) { return fdopendir(fd); }

struct dirent *dfm_sys_readdir(DIR *d)
{
    errno = 0;
    return readdir(d);
}

void dfm_sys_closedir(DIR *d) { closedir(d); }

void *dfm_sys_alloc(size_t align, size_t n) { return aligned_alloc(align, n); }
void *dfm_sys_zeroed(size_t n) { return calloc(1, n); }
void dfm_sys_free(void *p) { free(p); }

void *dfm_sys_pages(size_t n)
{
    void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

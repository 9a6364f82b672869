/* file.c - reading files: whole, mapped, in pieces. */
#include "runtime/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "runtime/base/sys.h"

static dfm_status cannot(dfm_err *err, const char *verb, const char *path)
{
    return dfm_fail(err, DFM_BAD_DATA, "cannot %s '%s': %s", verb, path, strerror(errno));
}

void dfm_file_close(int fd)
{
    if (fd >= 0) (void)dfm_sys_close(fd);           /* nothing was written: nothing is lost */
}

/* Open to read; *st is the file's. `verb` is for the message if it is of the wrong kind. */
static dfm_status open_to_read(const char *path, const char *verb, bool regular, int *out_fd,
                               struct stat *st, dfm_err *err)
{
    int fd;
    do fd = dfm_sys_open(AT_FDCWD, path, O_RDONLY, 0);
    while (fd < 0 && errno == EINTR);
    *out_fd = -1;
    if (fd < 0) return cannot(err, "open", path);
    bool ok = dfm_sys_fstat(fd, st) == 0;
    if (ok && S_ISDIR(st->st_mode)) errno = EISDIR;
    else if (ok && regular && !S_ISREG(st->st_mode)) errno = EINVAL;
    else if (ok) {
        *out_fd = fd;
        return DFM_OK;
    }
    dfm_status s = cannot(err, verb, path);
    dfm_file_close(fd);
    return s;
}

/* Everything from fd; the buffer grows if the file is longer than it said. */
static dfm_status read_all(dfm_arena *a, int fd, const char *path, size_t cap, size_t max_bytes,
                           char **out_p, size_t *out_n, dfm_err *err)
{
    size_t n = 0;
    char *p = dfm_alloc(a, cap + 1);
    for (;;) {
        if (n > max_bytes) {
            return dfm_fail(err, DFM_BAD_DATA, "'%s' is larger than the limit of %zu bytes", path,
                            max_bytes);
        }
        if (n == cap) {
            char *q = dfm_alloc(a, 2 * cap + 1);
            memcpy(q, p, n);
            p = q;
            cap *= 2;
        }
        ssize_t got = dfm_sys_read(fd, p + n, cap - n);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return cannot(err, "read", path);
        if (got == 0) break;
        n += (size_t)got;
    }
    p[n] = 0;
    *out_p = p;
    *out_n = n;
    return DFM_OK;
}

dfm_status dfm_file_read(dfm_arena *a, const char *path, size_t max_bytes, char **out_p,
                         size_t *out_n, dfm_err *err)
{
    int fd;
    struct stat st;
    DFM_TRY(open_to_read(path, "read", false, &fd, &st, err));
    /* A size beyond the limit is not believed: devices and some file systems say anything. */
    size_t cap = st.st_size > 0 ? (size_t)st.st_size + 1 : 65536;
    if (max_bytes < SIZE_MAX - 1 && cap > max_bytes + 1) cap = max_bytes + 1;
    dfm_status s = read_all(a, fd, path, cap, max_bytes, out_p, out_n, err);
    dfm_file_close(fd);
    return s;
}

dfm_status dfm_file_map(const char *path, dfm_map *out, dfm_err *err)
{
    int fd;
    struct stat st;
    *out = (dfm_map){0};
    DFM_TRY(open_to_read(path, "map", true, &fd, &st, err));
    dfm_status s = DFM_OK;
    if (st.st_size > 0) {
        void *p = dfm_sys_map(fd, (size_t)st.st_size);
        if (p) *out = (dfm_map){p, (size_t)st.st_size};
        else s = cannot(err, "map", path);
    }
    dfm_file_close(fd);
    return s;
}

void dfm_file_unmap(dfm_map *m)
{
    if (m->p) dfm_sys_unmap((void *)m->p, m->n);
    *m = (dfm_map){0};
}

dfm_status dfm_file_open(const char *path, int *out_fd, uint64_t *out_bytes, dfm_err *err)
{
    struct stat st;
    *out_bytes = 0;
    DFM_TRY(open_to_read(path, "read", true, out_fd, &st, err));
    *out_bytes = (uint64_t)st.st_size;
    return DFM_OK;
}

long dfm_file_read_at(int fd, void *p, size_t n, uint64_t at)
{
    ssize_t got;
    do got = dfm_sys_pread(fd, p, n, (off_t)at);
    while (got < 0 && errno == EINTR);
    return got;
}

/* file.c - whole files, safely replaced. */
#include "runtime/base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static dfm_status cannot(dfm_err *err, dfm_status code, const char *verb, const char *path)
{
    return dfm_fail(err, code, "cannot %s '%s': %s", verb, path, strerror(errno));
}

dfm_status dfm_file_read(dfm_arena *a, const char *path, size_t max_bytes, char **out_p,
                         size_t *out_n, dfm_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0) return cannot(err, DFM_BAD_DATA, "open", path);
    if (fstat(fd, &st) != 0 || S_ISDIR(st.st_mode)) {
        if (S_ISDIR(st.st_mode)) errno = EISDIR;
        dfm_status s = cannot(err, DFM_BAD_DATA, "read", path);
        close(fd);
        return s;
    }
    size_t cap = st.st_size > 0 ? (size_t)st.st_size + 1 : 65536, n = 0;
    char *p = dfm_alloc(a, cap + 1);
    for (;;) {
        if (n > max_bytes) {
            close(fd);
            return dfm_fail(err, DFM_BAD_DATA, "'%s' is larger than the limit of %zu bytes", path,
                            max_bytes);
        }
        if (n == cap) {
            char *q = dfm_alloc(a, 2 * cap + 1);
            memcpy(q, p, n);
            p = q;
            cap *= 2;
        }
        ssize_t got = read(fd, p + n, cap - n);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) {
            dfm_status s = cannot(err, DFM_BAD_DATA, "read", path);
            close(fd);
            return s;
        }
        if (got == 0) break;
        n += (size_t)got;
    }
    close(fd);
    p[n] = 0;
    *out_p = p;
    *out_n = n;
    return DFM_OK;
}

dfm_status dfm_file_map(const char *path, dfm_map *out, dfm_err *err)
{
    *out = (dfm_map){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0) return cannot(err, DFM_BAD_DATA, "open", path);
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        if (!S_ISREG(st.st_mode)) errno = EINVAL;
        dfm_status s = cannot(err, DFM_BAD_DATA, "map", path);
        close(fd);
        return s;
    }
    if (st.st_size > 0) {
        void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p == MAP_FAILED) {
            dfm_status s = cannot(err, DFM_BAD_DATA, "map", path);
            close(fd);
            return s;
        }
        *out = (dfm_map){p, (size_t)st.st_size};
    }
    close(fd);
    return DFM_OK;
}

void dfm_file_unmap(dfm_map *m)
{
    if (m->p) munmap((void *)m->p, m->n);
    *m = (dfm_map){0};
}

static dfm_status sync_parent(const char *path, dfm_err *err)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : 0;
    if (n >= sizeof folder) return dfm_fail(err, DFM_CANNOT_WRITE, "path too long: '%s'", path);
    if (!slash) strcpy(folder, ".");
    else if (n == 0) strcpy(folder, "/");
    else {
        memcpy(folder, path, n);
        folder[n] = 0;
    }
    return dfm_sync_folder(folder, err);
}

static bool write_all(int fd, const char *p, size_t n)
{
    while (n) {
        ssize_t put = write(fd, p, n > 1 << 30 ? 1 << 30 : n);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return false;
        if (put == 0) { errno = ENOSPC; return false; }
        p += put;
        n -= (size_t)put;
    }
    return true;
}

dfm_status dfm_file_replace(const char *path, const void *p, size_t n, dfm_err *err)
{
    char tmp[PATH_MAX];
    if (snprintf(tmp, sizeof tmp, "%s.tmp-%d", path, (int)getpid()) >= (int)sizeof tmp)
        return dfm_fail(err, DFM_CANNOT_WRITE, "path too long: '%s'", path);
    int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) return cannot(err, DFM_CANNOT_WRITE, "create", tmp);
    bool ok = write_all(fd, p, n) && fsync(fd) == 0;
    int saved = errno;
    if (close(fd) != 0 && ok) { ok = false; saved = errno; }
    if (ok && rename(tmp, path) != 0) { ok = false; saved = errno; }
    if (!ok) {
        unlink(tmp);
        errno = saved;
        return cannot(err, DFM_CANNOT_WRITE, "write", path);
    }
    return sync_parent(path, err);
}

bool dfm_file_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

bool dfm_is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

dfm_status dfm_make_folders(const char *path, dfm_err *err)
{
    char buf[PATH_MAX];
    size_t n = strlen(path);
    if (n >= sizeof buf) return dfm_fail(err, DFM_CANNOT_WRITE, "path too long: '%s'", path);
    memcpy(buf, path, n + 1);
    for (size_t i = 1; i <= n; i++) {
        if (buf[i] != '/' && buf[i] != 0) continue;
        char keep = buf[i];
        buf[i] = 0;
        if (mkdir(buf, 0777) != 0 && !(errno == EEXIST && dfm_is_folder(buf)))
            return cannot(err, DFM_CANNOT_WRITE, "create folder", buf);
        buf[i] = keep;
    }
    return DFM_OK;
}

dfm_status dfm_sync_folder(const char *path, dfm_err *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return cannot(err, DFM_CANNOT_WRITE, "open folder", path);
    /* Some file systems cannot sync a folder and say EINVAL; there is nothing to do then. */
    bool ok = fsync(fd) == 0 || errno == EINVAL;
    dfm_status s = ok ? DFM_OK : cannot(err, DFM_CANNOT_WRITE, "sync folder", path);
    close(fd);
    return s;
}

static dfm_status remove_at(int parent, const char *name, int depth, dfm_err *err)
{
    if (unlinkat(parent, name, 0) == 0 || errno == ENOENT) return DFM_OK;
    if (errno != EISDIR && errno != EPERM) return cannot(err, DFM_CANNOT_WRITE, "remove", name);
    if (depth > 32) return dfm_fail(err, DFM_CANNOT_WRITE, "folders too deep at '%s'", name);
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    if (!d) {
        dfm_status s = cannot(err, DFM_CANNOT_WRITE, "open", name);
        if (fd >= 0) close(fd);
        return s;
    }
    dfm_status s = DFM_OK;
    for (struct dirent *e; s == DFM_OK && (e = readdir(d));)
        if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
            s = remove_at(fd, e->d_name, depth + 1, err);
    closedir(d);
    if (s == DFM_OK && unlinkat(parent, name, AT_REMOVEDIR) != 0)
        s = cannot(err, DFM_CANNOT_WRITE, "remove", name);
    return s;
}

dfm_status dfm_remove_tree(const char *path, dfm_err *err)
{
    return remove_at(AT_FDCWD, path, 0, err);
}

char *dfm_path_join(dfm_arena *a, const char *folder, const char *name)
{
    if (name[0] == '/' || !folder[0]) return dfm_strdup(a, name);
    return dfm_fmt(a, "%s%s%s", folder, folder[strlen(folder) - 1] == '/' ? "" : "/", name);
}

char *dfm_path_beside(dfm_arena *a, const char *base, const char *name)
{
    const char *slash = strrchr(base, '/');
    if (name[0] == '/' || !slash) return dfm_strdup(a, name);
    return dfm_fmt(a, "%.*s/%s", (int)(slash - base), base, name);
}

char *dfm_program_folder(dfm_arena *a)
{
    char buf[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", buf, sizeof buf - 1);
    if (n <= 0) return dfm_strdup(a, ".");
    buf[n] = 0;
    char *slash = strrchr(buf, '/');
    if (slash && slash != buf) *slash = 0;
    return dfm_strdup(a, buf);
}

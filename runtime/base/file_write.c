/* file_write.c - writing files, and putting whole ones in the place of others. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/file.h"
#include "runtime/base/sys.h"

enum { CLOSED_BADLY = -2 };                         /* closing failed: what is there is not whole */

static dfm_status cannot(dfm_err *err, const char *verb, const char *path)
{
    int why = errno;
    dfm_status s = dfm_fail(err, DFM_CANNOT_WRITE, "cannot %s '%s': %s", verb, path, strerror(why));
    if (why == ENOSPC || why == EDQUOT) dfm_help(err, "free some space and run again");
    return s;
}

dfm_status dfm_out_open(const char *path, dfm_out_mode mode, dfm_out *out, dfm_err *err)
{
    int flags = mode == DFM_OUT_NEW ? O_EXCL : mode == DFM_OUT_APPEND ? O_APPEND : O_TRUNC;
    do out->fd = dfm_sys_open(AT_FDCWD, path, O_WRONLY | O_CREAT | flags, 0644);
    while (out->fd < 0 && errno == EINTR);
    out->path = path;
    return out->fd >= 0 ? DFM_OK : cannot(err, "create", path);
}

dfm_status dfm_out_write(dfm_out *o, const void *p, uint64_t n, dfm_err *err)
{
    const char *at = p;
    while (n) {
        ssize_t put = dfm_sys_write(o->fd, at, n > 1 << 30 ? (size_t)1 << 30 : (size_t)n);
        if (put < 0 && errno == EINTR) continue;
        if (put == 0) errno = ENOSPC;
        if (put <= 0) return cannot(err, "write", o->path);
        at += put;
        n -= (uint64_t)put;
    }
    return DFM_OK;
}

/* After a failure the kernel may have dropped what it could not write: never tried again on the
 * same file. An interrupted call has dropped nothing. */
dfm_status dfm_out_sync(dfm_out *o, dfm_err *err)
{
    int r;
    do r = dfm_sys_sync(o->fd);
    while (r != 0 && errno == EINTR);
    return r == 0 ? DFM_OK : cannot(err, "write", o->path);
}

dfm_status dfm_out_close(dfm_out *o, dfm_err *err)
{
    /* Linux has closed it even when it was interrupted. */
    bool ok = dfm_sys_close(o->fd) == 0 || errno == EINTR;
    o->fd = ok ? -1 : CLOSED_BADLY;
    return ok ? DFM_OK : cannot(err, "write", o->path);
}

void dfm_out_abort(dfm_out *o)
{
    if (o->fd == -1) return;
    if (o->fd >= 0) (void)dfm_sys_close(o->fd);
    o->fd = -1;
    (void)dfm_sys_unlink(AT_FDCWD, o->path, 0);
}

void dfm_file_remove(const char *path) { (void)dfm_sys_unlink(AT_FDCWD, path, 0); }

/* A device or a pipe must not be replaced by a file: "-o /dev/null" would, for root. */
static bool may_be_replaced(const char *path)
{
    struct stat st;
    if (dfm_sys_stat(path, false, &st) != 0) return true;
    errno = EINVAL;
    return S_ISREG(st.st_mode) || S_ISLNK(st.st_mode) || S_ISDIR(st.st_mode);
}

dfm_status dfm_file_put_in_place(const char *tmp, const char *path, dfm_err *err)
{
    if (!may_be_replaced(path) || dfm_sys_rename(tmp, path) != 0) {
        dfm_status s = cannot(err, "write", path);
        (void)dfm_sys_unlink(AT_FDCWD, tmp, 0);
        dfm_temp_forget(tmp);
        return s;
    }
    dfm_temp_forget(tmp);
    return dfm_sync_parent(path, err);
}

dfm_status dfm_file_replace(const char *path, const void *p, size_t n, dfm_err *err)
{
    char tmp[PATH_MAX];
    dfm_out o;
    if (snprintf(tmp, sizeof tmp, "%s.tmp-%d", path, (int)getpid()) >= (int)sizeof tmp)
        return dfm_fail(err, DFM_CANNOT_WRITE, "path too long: '%s'", path);
    dfm_temp_note(tmp);
    dfm_file_remove(tmp);                         /* of a dead process, or a trap: never followed */
    dfm_status s = dfm_out_open(tmp, DFM_OUT_NEW, &o, err);
    if (s == DFM_OK) {
        s = dfm_out_write(&o, p, n, err);
        if (s == DFM_OK) s = dfm_out_sync(&o, err);
        if (s == DFM_OK) s = dfm_out_close(&o, err);
        if (s == DFM_OK) return dfm_file_put_in_place(tmp, path, err);
        dfm_out_abort(&o);
    }
    dfm_temp_forget(tmp);
    return s;
}

/* folder.c - folders: make, list, sync, remove; who can write them; paths. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/file.h"
#include "runtime/base/sys.h"

enum { MAX_DEPTH = 32, TEMPORARY_TRIES = 100 };

static dfm_status cannot(dfm_err *err, dfm_status code, const char *verb, const char *path)
{
    int why = errno;
    dfm_status s = dfm_fail(err, code, "cannot %s '%s': %s", verb, path, strerror(why));
    if (why == ENOSPC || why == EDQUOT) dfm_help(err, "free some space and run again");
    return s;
}

bool dfm_file_exists(const char *path)
{
    struct stat st;
    return dfm_sys_stat(path, true, &st) == 0;
}

bool dfm_is_folder(const char *path)
{
    struct stat st;
    return dfm_sys_stat(path, true, &st) == 0 && S_ISDIR(st.st_mode);
}

/* -- temporary folders ------------------------------------------------------------------------- */

/* A group that only the user is in, as many systems give each user. */
static bool private_group(gid_t gid)
{
    struct passwd *pw = getpwuid(geteuid());
    char user[256];
    if (!pw || pw->pw_gid != gid || strlen(pw->pw_name) >= sizeof user) return false;
    strcpy(user, pw->pw_name);
    struct group *g = getgrgid(gid);
    if (!g || strcmp(g->gr_name, user) != 0) return false;
    for (char **m = g->gr_mem; *m; m++)
        if (strcmp(*m, user) != 0) return false;
    return true;
}

const char *dfm_exposed(const struct stat *st)
{
    if (st->st_uid != 0 && st->st_uid != geteuid()) return "belongs to another user";
    bool sticky = S_ISDIR(st->st_mode) && (st->st_mode & S_ISVTX);
    if ((st->st_mode & S_IWOTH) && !sticky) return "can be written by everybody";
    if ((st->st_mode & S_IWGRP) && !sticky && !private_group(st->st_gid))
        return "can be written by its group";
    return NULL;
}

static uint64_t nonce(void)
{
    uint64_t x = 0;
    if (getrandom(&x, sizeof x, GRND_NONBLOCK) != (ssize_t)sizeof x) {
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        x = (uint64_t)t.tv_nsec << 32 ^ (uint64_t)t.tv_sec ^ (uint64_t)getpid() << 16;
    }
    return x;
}

dfm_status dfm_make_temporary(dfm_arena *a, const char *name, const char **out, dfm_err *err)
{
    const char *base = getenv("TMPDIR");
    struct stat st;
    if (!base || !*base) base = "/tmp";
    if (dfm_sys_stat(base, true, &st) != 0 || !S_ISDIR(st.st_mode)) {
        if (S_ISDIR(st.st_mode)) errno = ENOTDIR;
        cannot(err, DFM_CANNOT_WRITE, "use the temporary folder", base);
        dfm_help(err, "TMPDIR must name a folder");
        return DFM_CANNOT_WRITE;
    }
    const char *why = dfm_exposed(&st);
    if (why) {
        dfm_fail(err, DFM_CANNOT_WRITE, "the temporary folder '%s' %s: what is compiled there "
                 "could be exchanged", base, why);
        dfm_help(err, "let TMPDIR name a folder of your own");
        return DFM_CANNOT_WRITE;
    }
    for (int i = 0; i < TEMPORARY_TRIES; i++) {
        char *path = dfm_fmt(a, "%s/%s-%016llx", base, name, (unsigned long long)nonce());
        if (dfm_sys_mkdir(path, 0700) == 0) {
            dfm_temp_note(path);
            *out = path;
            return DFM_OK;
        }
        if (errno != EEXIST) return cannot(err, DFM_CANNOT_WRITE, "create", path);
    }
    return dfm_fail(err, DFM_CANNOT_WRITE, "no free name for a folder in '%s'", base);
}

/* -- looking ----------------------------------------------------------------------------------- */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static DIR *open_folder(int parent, const char *name, int flags)
{
    int fd;
    do fd = dfm_sys_open(parent, name, O_RDONLY | O_DIRECTORY | flags, 0);
    while (fd < 0 && errno == EINTR);
    if (fd < 0) return NULL;
    DIR *d = dfm_sys_opendir(fd);
    int why = errno;
    if (!d) dfm_file_close(fd);
    errno = why;
    return d;
}

static bool is_dots(const char *name) { return !strcmp(name, ".") || !strcmp(name, ".."); }

dfm_status dfm_list_folder(dfm_arena *a, const char *path, const char ***out, uint32_t *out_n,
                           dfm_err *err)
{
    DFM_VEC(const char *) names = {0};
    *out = NULL;
    *out_n = 0;
    DIR *d = open_folder(AT_FDCWD, path, 0);
    if (!d && errno == ENOENT) return DFM_OK;
    if (!d) return cannot(err, DFM_BAD_DATA, "open", path);
    struct dirent *e;
    while ((e = dfm_sys_readdir(d)))
        if (!is_dots(e->d_name)) dfm_push(a, &names, dfm_strdup(a, e->d_name));
    int why = errno;
    dfm_sys_closedir(d);
    errno = why;
    if (why) return cannot(err, DFM_BAD_DATA, "list", path);
    if (names.n) qsort(names.p, names.n, sizeof *names.p, by_text);
    *out = names.p;
    *out_n = names.n;
    return DFM_OK;
}

/* -- syncing ----------------------------------------------------------------------------------- */

dfm_status dfm_sync_folder(const char *path, dfm_err *err)
{
    int fd, r;
    do fd = dfm_sys_open(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
    while (fd < 0 && errno == EINTR);
    if (fd < 0) return cannot(err, DFM_CANNOT_WRITE, "open folder", path);
    do r = dfm_sys_sync(fd);
    while (r != 0 && errno == EINTR);
    /* Some file systems cannot sync a folder and say EINVAL; there is nothing to do then. */
    bool ok = r == 0 || errno == EINVAL;
    dfm_status s = ok ? DFM_OK : cannot(err, DFM_CANNOT_WRITE, "sync folder", path);
    dfm_file_close(fd);
    return s;
}

dfm_status dfm_sync_parent(const char *path, dfm_err *err)
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

/* -- making ------------------------------------------------------------------------------------ */

/* A name is safe only once the folder that it is in has been synced. */
dfm_status dfm_make_folder(const char *path, bool *out_made, dfm_err *err)
{
    *out_made = dfm_sys_mkdir(path, 0777) == 0;
    if (*out_made) return dfm_sync_parent(path, err);
    return errno == EEXIST ? DFM_OK : cannot(err, DFM_CANNOT_WRITE, "create folder", path);
}

dfm_status dfm_make_folders(const char *path, dfm_err *err)
{
    char buf[PATH_MAX];
    size_t n = strlen(path);
    if (n >= sizeof buf) return dfm_fail(err, DFM_CANNOT_WRITE, "path too long: '%s'", path);
    memcpy(buf, path, n + 1);
    for (size_t i = 1; i <= n; i++) {
        bool made;
        if (buf[i] != '/' && buf[i] != 0) continue;
        char keep = buf[i];
        buf[i] = 0;
        if (!dfm_is_folder(buf)) {
            DFM_TRY(dfm_make_folder(buf, &made, err));
            if (!made && !dfm_is_folder(buf)) {
                errno = ENOTDIR;
                return cannot(err, DFM_CANNOT_WRITE, "create folder", buf);
            }
        }
        buf[i] = keep;
    }
    return DFM_OK;
}

/* -- removing ---------------------------------------------------------------------------------- */

static dfm_status remove_at(int parent, const char *name, int depth, dfm_err *err)
{
    if (dfm_sys_unlink(parent, name, 0) == 0 || errno == ENOENT) return DFM_OK;
    if (errno != EISDIR && errno != EPERM) return cannot(err, DFM_CANNOT_WRITE, "remove", name);
    if (depth > MAX_DEPTH) return dfm_fail(err, DFM_CANNOT_WRITE, "folders too deep at '%s'", name);
    DIR *d = open_folder(parent, name, O_NOFOLLOW);
    if (!d) return cannot(err, DFM_CANNOT_WRITE, "open", name);
    dfm_status s = DFM_OK;
    for (struct dirent *e; s == DFM_OK && (e = dfm_sys_readdir(d));)
        if (!is_dots(e->d_name)) s = remove_at(dirfd(d), e->d_name, depth + 1, err);
    dfm_sys_closedir(d);
    if (s == DFM_OK && dfm_sys_unlink(parent, name, AT_REMOVEDIR) != 0 && errno != ENOENT)
        s = cannot(err, DFM_CANNOT_WRITE, "remove", name);
    return s;
}

dfm_status dfm_remove_tree(const char *path, dfm_err *err)
{
    return remove_at(AT_FDCWD, path, 0, err);
}

/* -- paths ------------------------------------------------------------------------------------- */

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

char *dfm_path_real(dfm_arena *a, const char *path)
{
    char buf[PATH_MAX];
    return dfm_strdup(a, realpath(path, buf) ? buf : path);
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

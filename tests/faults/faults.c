/* faults.c - stands in the place of runtime/base/sys.c: calls that fail on demand, and a record of
 * everything that is written.
 *
 * A program linked with this file before the base library gets these functions; the arena beside it
 * is built with DFM_ARENA_MALLOC, so that every object of the program is a call of its own. What
 * happens is said by the environment:
 *
 *   DFM_FAULT=CALLS:WHAT:N[:forever]   the N-th call (from 1) of these fails; or all from it on
 *       CALLS   names of calls with commas (open,write), or files, memory, all
 *       WHAT    an errno (ENOSPC EIO EINTR ENOMEM EMFILE EACCES), or short: half of a read or write
 *   DFM_FAULT_COUNT=FILE   an existing file of 64 bytes, kept current: calls counted (u64), calls
 *                          that failed (u64), the name of the last that did
 *   DFM_FAULT_RECORD=FILE  one line for each change; the bytes of writes go to FILE.data
 */
#include "runtime/base/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

typedef enum call {
    OPEN, MEMFILE, READ, PREAD, WRITE, SYNC, CLOSE, FSTAT, MAP, FORK, STAT, RENAME, EXCHANGE,
    UNLINK, MKDIR, OPENDIR, READDIR, N_FILE_CALLS, ALLOC = N_FILE_CALLS, ZEROED, PAGES, N_CALLS,
} call;

static const char *const names[N_CALLS] = {
    "open", "memfile", "read", "pread", "write", "sync", "close", "fstat", "map", "fork", "stat",
    "rename", "exchange", "unlink", "mkdir", "opendir", "readdir", "alloc", "zeroed", "pages"};

static const struct { const char *name; int number; } errors[] = {
    {"ENOSPC", ENOSPC}, {"EIO", EIO}, {"EINTR", EINTR}, {"ENOMEM", ENOMEM}, {"EMFILE", EMFILE},
    {"EACCES", EACCES}, {"short", 0}};

typedef struct counters {
    _Atomic uint64_t calls, failed;
    char last[48];
} counters;
_Static_assert(sizeof(counters) == 64, "read by scripts");

static struct {
    bool counted[N_CALLS], forever;
    int error;                              /* 0: short */
    uint64_t at;                            /* 0: never */
    counters *count, own;
    int log, data;                          /* files of the record, or -1 */
    uint64_t data_bytes;
    pthread_mutex_t lock;
} f = {.log = -1, .data = -1, .lock = PTHREAD_MUTEX_INITIALIZER};

/* -- what was asked for ------------------------------------------------------------------------ */

static _Noreturn void bad_setting(const char *text)
{
    fprintf(stderr, "faults: DFM_FAULT=%s is not CALLS:WHAT:N\n", text);
    _exit(99);
}

static bool choose_calls(char *list)
{
    for (char *save, *word = strtok_r(list, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
        bool known = false;
        for (int i = 0; i < N_CALLS; i++) {
            bool in = !strcmp(word, names[i]) || !strcmp(word, "all") ||
                      !strcmp(word, i < N_FILE_CALLS ? "files" : "memory");
            f.counted[i] = f.counted[i] || in;
            known = known || in;
        }
        if (!known) return false;
    }
    return true;
}

static void read_setting(const char *text)
{
    char copy[256], *save = copy;
    if (strlen(text) >= sizeof copy) bad_setting(text);
    strcpy(copy, text);
    char *calls = strsep(&save, ":"), *what = strsep(&save, ":"), *n = strsep(&save, ":");
    if (!what || !n || !choose_calls(calls)) bad_setting(text);
    f.error = -1;
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (!strcmp(what, errors[i].name)) f.error = errors[i].number;
    f.at = strtoull(n, NULL, 10);
    f.forever = save && !strcmp(save, "forever");
    if (f.error < 0 || (save && !f.forever)) bad_setting(text);
}

__attribute__((constructor)) static void begin(void)
{
    const char *fault = getenv("DFM_FAULT"), *count = getenv("DFM_FAULT_COUNT");
    const char *record = getenv("DFM_FAULT_RECORD");
    f.count = &f.own;
    if (fault) read_setting(fault);
    if (count) {
        int fd = open(count, O_RDWR | O_CLOEXEC);
        void *p = fd < 0 ? MAP_FAILED
                         : mmap(NULL, sizeof *f.count, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (p == MAP_FAILED) _exit(99);
        f.count = p;
        close(fd);
    }
    if (record) {
        char data[PATH_MAX];
        snprintf(data, sizeof data, "%s.data", record);
        f.log = open(record, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        f.data = open(data, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        if (f.log < 0 || f.data < 0) _exit(99);
    }
}

/* Count a call; is it the one? Then errno is set. */
static bool fails(call c)
{
    if (!f.counted[c]) return false;
    uint64_t i = atomic_fetch_add(&f.count->calls, 1) + 1;
    if (!f.at || (f.forever ? i < f.at : i != f.at)) return false;
    atomic_fetch_add(&f.count->failed, 1);
    strcpy(f.count->last, names[c]);
    errno = f.error;
    return true;
}

/* The same for calls that cannot be short: then they do not fail. */
static bool fails_whole(call c) { return fails(c) && f.error; }

/* -- the record -------------------------------------------------------------------------------- */

static void note(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void note(const char *format, ...)
{
    char line[3 * PATH_MAX];
    va_list ap;
    if (f.log < 0) return;
    va_start(ap, format);
    int n = vsnprintf(line, sizeof line - 1, format, ap);
    va_end(ap);
    line[n++] = '\n';
    if (write(f.log, line, (size_t)n) != n) _exit(99);
}

/* The full path of a name in an open folder. */
static const char *full(int folder, const char *name, char out[2 * PATH_MAX])
{
    char at[64], base[PATH_MAX] = "";
    if (name[0] == '/') return name;
    if (folder == AT_FDCWD) {
        if (!getcwd(base, sizeof base)) _exit(99);
    } else {
        snprintf(at, sizeof at, "/proc/self/fd/%d", folder);
        if (readlink(at, base, sizeof base - 1) < 0) _exit(99);
    }
    snprintf(out, 2 * PATH_MAX, "%s/%s", base, name);
    return out;
}

static unsigned long inode(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 ? (unsigned long)st.st_ino : 0;
}

static void note_write(int fd, const void *p, size_t n)
{
    struct stat st;
    off_t at = lseek(fd, 0, SEEK_CUR);
    if (f.log < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) return;
    if (fcntl(fd, F_GETFL) & O_APPEND) at = st.st_size;
    if (write(f.data, p, n) != (ssize_t)n) _exit(99);
    note("write %lu %lld %zu %llu", (unsigned long)st.st_ino, (long long)at, n,
         (unsigned long long)f.data_bytes);
    f.data_bytes += n;
}

/* -- files ------------------------------------------------------------------------------------- */

int dfm_sys_open(int folder, const char *path, int flags, mode_t mode)
{
    char buf[2 * PATH_MAX];
    struct stat st;
    if (fails_whole(OPEN)) return -1;
    pthread_mutex_lock(&f.lock);
    bool fresh = (flags & O_CREAT) && fstatat(folder, path, &st, 0) != 0;
    int fd = openat(folder, path, flags | O_CLOEXEC, mode);
    int why = errno;
    if (fd >= 0 && fresh) note("create %lu %s", inode(fd), full(folder, path, buf));
    else if (fd >= 0 && (flags & O_TRUNC)) note("empty %lu", inode(fd));
    pthread_mutex_unlock(&f.lock);
    errno = why;
    return fd;
}

int dfm_sys_memory_file(const char *name)
{
    if (fails_whole(MEMFILE)) return -1;
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
    return fd >= 0 ? fd : memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
}

ssize_t dfm_sys_read(int fd, void *p, size_t n)
{
    if (fails(READ)) {
        if (f.error) return -1;
        n = (n + 1) / 2;
    }
    return read(fd, p, n);
}

ssize_t dfm_sys_pread(int fd, void *p, size_t n, off_t at)
{
    if (fails(PREAD)) {
        if (f.error) return -1;
        n = (n + 1) / 2;
    }
    return pread(fd, p, n, at);
}

/* A full disk takes what fits: the half of it, then nothing. */
ssize_t dfm_sys_write(int fd, const void *p, size_t n)
{
    if (fails(WRITE)) {
        if (f.error == EINTR || (f.error && (f.forever || n < 2))) return -1;
        if (f.error) {
            if (write(fd, p, n / 2) < 0) return -1;
            errno = f.error;
            return -1;
        }
        n = (n + 1) / 2;
    }
    pthread_mutex_lock(&f.lock);
    note_write(fd, p, n);
    ssize_t put = write(fd, p, n);
    pthread_mutex_unlock(&f.lock);
    return put;
}

int dfm_sys_sync(int fd)
{
    char buf[2 * PATH_MAX];
    struct stat st;
    if (fails_whole(SYNC)) return -1;
    pthread_mutex_lock(&f.lock);
    int r = f.log >= 0 ? 0 : fsync(fd);     /* a record needs no disk */
    if (r == 0 && fstat(fd, &st) == 0) {
        if (S_ISDIR(st.st_mode)) note("syncdir %s", full(fd, ".", buf));
        else note("sync %lu", (unsigned long)st.st_ino);
    }
    pthread_mutex_unlock(&f.lock);
    return r;
}

int dfm_sys_close(int fd)
{
    bool bad = fails_whole(CLOSE);
    int r = close(fd);
    if (bad) errno = f.error;
    return bad ? -1 : r;
}

int dfm_sys_fstat(int fd, struct stat *out) { return fails_whole(FSTAT) ? -1 : fstat(fd, out); }

void *dfm_sys_map(int fd, size_t n)
{
    if (fails_whole(MAP)) return NULL;
    void *p = mmap(NULL, n, PROT_READ, MAP_PRIVATE, fd, 0);
    return p == MAP_FAILED ? NULL : p;
}

void dfm_sys_unmap(void *p, size_t n) { munmap(p, n); }
pid_t dfm_sys_fork(void) { return fails_whole(FORK) ? -1 : fork(); }

/* -- names ------------------------------------------------------------------------------------- */

int dfm_sys_stat(const char *path, bool follow, struct stat *out)
{
    if (fails_whole(STAT)) return -1;
    return follow ? stat(path, out) : lstat(path, out);
}

/* Of two paths, or of one with `to` NULL. */
static int noted(int r, const char *verb, int folder, const char *from, const char *to)
{
    char a[2 * PATH_MAX], b[2 * PATH_MAX];
    int why = errno;
    if (r == 0 && f.log >= 0) {
        const char *first = full(folder, from, a);
        if (to) note("%s %s %s", verb, first, full(AT_FDCWD, to, b));
        else note("%s %s", verb, first);
    }
    pthread_mutex_unlock(&f.lock);
    errno = why;
    return r;
}

int dfm_sys_rename(const char *from, const char *to)
{
    if (fails_whole(RENAME)) return -1;
    pthread_mutex_lock(&f.lock);
    return noted(rename(from, to), "rename", AT_FDCWD, from, to);
}

int dfm_sys_exchange(const char *a, const char *b)
{
    if (fails_whole(EXCHANGE)) return -1;
    pthread_mutex_lock(&f.lock);
    return noted(renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE), "exchange", AT_FDCWD, a, b);
}

int dfm_sys_unlink(int folder, const char *name, int flags)
{
    if (fails_whole(UNLINK)) return -1;
    pthread_mutex_lock(&f.lock);
    return noted(unlinkat(folder, name, flags), flags ? "rmdir" : "unlink", folder, name, NULL);
}

int dfm_sys_mkdir(const char *path, mode_t mode)
{
    if (fails_whole(MKDIR)) return -1;
    pthread_mutex_lock(&f.lock);
    return noted(mkdir(path, mode), "mkdir", AT_FDCWD, path, NULL);
}

DIR *dfm_sys_opendir(int fd) { return fails_whole(OPENDIR) ? NULL : fdopendir(fd); }

struct dirent *dfm_sys_readdir(DIR *d)
{
    errno = 0;
    return fails_whole(READDIR) ? NULL : readdir(d);
}

void dfm_sys_closedir(DIR *d) { closedir(d); }

/* -- memory ------------------------------------------------------------------------------------ */

void *dfm_sys_alloc(size_t align, size_t n)
{
    return fails_whole(ALLOC) ? NULL : aligned_alloc(align, n);
}

void *dfm_sys_zeroed(size_t n) { return fails_whole(ZEROED) ? NULL : calloc(1, n); }
void dfm_sys_free(void *p) { free(p); }

void *dfm_sys_pages(size_t n)
{
    if (fails_whole(PAGES)) return NULL;
    void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

/* cpu_cc.c - texts to one shared object, by the host's C compiler.
 *
 * The compiler is started directly (no shell) in a private temporary folder, several at a time.
 * Objects are cached by a hash of text, flags and compiler version, each with a hash of its bytes:
 * what has changed, or lies where others can write, is not used. Same texts and flags give the same
 * bytes: no debug information, no build id, no paths.
 */
#include "codegen/cpu/cpu.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/cpu.h"
#include "runtime/base/file.h"
#include "runtime/base/hash.h"
#include "runtime/base/sys.h"

enum { MAX_FLAGS = 40, MAX_OBJECT_BYTES = 1 << 30, MAX_LOG_BYTES = 1 << 20 };

typedef struct level {
    const char *name;
    const char *needs[16];                   /* names as in /proc/cpuinfo; abm: lzcnt */
} level;

static const level levels[] = {
    {"x86-64-v4", {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl", "avx2", "fma", "bmi1",
                   "bmi2", "abm", "f16c", "movbe"}},
    {"x86-64-v3", {"avx2", "fma", "bmi1", "bmi2", "abm", "f16c", "movbe"}},
    {"x86-64-v2", {"sse4_2", "ssse3", "popcnt"}},
};

const char *cpu_arch_level(const char *arch)
{
    if (strcmp(arch, "native") != 0) {
        for (size_t i = 0; i < DFM_LEN(levels); i++)
            if (!strcmp(levels[i].name, arch)) return levels[i].name;
        return NULL;
    }
    dfm_arena *a = dfm_arena_create("flags");
    const char *flags = dfm_cpu_flags(a), *best = NULL;
    for (size_t i = 0; i < DFM_LEN(levels) && !best; i++) {
        bool all = true;
        for (int k = 0; levels[i].needs[k]; k++)
            all = all && dfm_cpu_has(flags, levels[i].needs[k]);
        if (all) best = levels[i].name;
    }
    dfm_arena_destroy(a);
    return best ? best : "x86-64-v2";
}

const char *const *cpu_arch_features(const char *name, uint32_t *out_n)
{
    *out_n = 0;
    for (size_t i = 0; i < DFM_LEN(levels); i++) {
        if (strcmp(levels[i].name, name) != 0) continue;
        while (levels[i].needs[*out_n]) (*out_n)++;
        return levels[i].needs;
    }
    return NULL;
}

/* -- running the compiler ---------------------------------------------------------------------- */

typedef struct work {
    dfm_arena *a;
    const cg_options *opt;
    const char *folder;                      /* private, removed at the end */
    const char *flags[MAX_FLAGS];
    uint32_t n_flags;
    const char *version;
    bool use_cache;
    const char *cache_why;                   /* why the cache is not used, or NULL */
} work;

/* The child dies with us, and answers signals as any program does. */
static _Noreturn void become_compiler(const char *const *argv, int in, int out)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0) _exit(126);
    execvp(argv[0], (char *const *)argv);
    dprintf(2, "cannot run '%s': %s\n", argv[0], strerror(errno));
    _exit(127);
}

static dfm_status start(const char *const *argv, const char *log, pid_t *out_pid, dfm_err *err)
{
    dfm_out o;
    int in;
    *out_pid = 0;
    do in = dfm_sys_open(AT_FDCWD, "/dev/null", O_RDONLY, 0);
    while (in < 0 && errno == EINTR);
    if (in < 0)
        return dfm_fail(err, DFM_UNAVAILABLE, "cannot open '/dev/null': %s", strerror(errno));
    dfm_status s = dfm_out_open(log, DFM_OUT_TRUNCATE, &o, err);
    pid_t pid = s == DFM_OK ? dfm_sys_fork() : -1;
    if (pid == 0) become_compiler(argv, in, o.fd);
    if (s == DFM_OK && pid < 0)
        s = dfm_fail(err, DFM_UNAVAILABLE, "cannot start a process: %s", strerror(errno));
    dfm_file_close(in);
    if (o.fd >= 0) (void)dfm_out_close(&o, NULL);
    if (s == DFM_OK) *out_pid = pid;
    return s;
}

static dfm_status finish(work *w, pid_t pid, const char *what, const char *log, dfm_err *err)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR) return dfm_fail(err, DFM_INTERNAL, "lost the host compiler");
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return DFM_OK;
    char *text = "";
    size_t n = 0;
    dfm_err ignored = {0};
    if (dfm_file_read(w->a, log, MAX_LOG_BYTES, &text, &n, &ignored) != DFM_OK) text = "";
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127) {
        dfm_fail(err, DFM_UNAVAILABLE, "the host compiler '%s' cannot be run", w->opt->cc);
        dfm_help(err, "install gcc, or name another with --cc");
        return DFM_UNAVAILABLE;
    }
    /* It works and its disk is not full: then our code is wrong. */
    bool ours = w->version && WIFEXITED(status) && !strstr(text, strerror(ENOSPC));
    return dfm_fail(err, ours ? DFM_INTERNAL : DFM_UNAVAILABLE,
                    "the host compiler '%s' failed on %s:\n%.1500s", w->opt->cc, what, text);
}

static void set_flags(work *w, const char *arch)
{
    static const char *const common[] = {
        "-std=gnu17", "-fPIC", "-fopenmp", "-fno-math-errno", "-fno-trapping-math",
        "-ffp-contract=off", "-fwrapv", "-fno-strict-aliasing", "-fno-ident",
        "-fno-stack-protector", "-frandom-seed=dfm", "-fvisibility=default", "-w"};
    for (size_t i = 0; i < DFM_LEN(common); i++) w->flags[w->n_flags++] = common[i];
    /* Of -O3 one thing matters: conditions of guarded reads leave their loops. The rest takes a
     * fifth of the time and gives nothing. */
    static const char *const quick[] = {"-O0"};
    static const char *const good[] = {"-O2", "-ftree-vectorize", "-funswitch-loops"};
    const char *const *how = w->opt->quick ? quick : good;
    for (size_t i = 0; i < (w->opt->quick ? DFM_LEN(quick) : DFM_LEN(good)); i++)
        w->flags[w->n_flags++] = how[i];
    w->flags[w->n_flags++] = dfm_fmt(w->a, "-march=%s", arch);
    /* In no level, but harmless where it is unknown, and every processor since 2014 knows it. */
    w->flags[w->n_flags++] = "-mprfchw";
    if (!strcmp(arch, "x86-64-v4")) w->flags[w->n_flags++] = "-mprefer-vector-width=512";
}

static dfm_status compiler_version(work *w, dfm_err *err)
{
    const char *log = dfm_path_join(w->a, w->folder, "version");
    const char *argv[] = {w->opt->cc, "--version", NULL};
    char *text;
    size_t n;
    pid_t pid;
    DFM_TRY(start(argv, log, &pid, err));
    DFM_TRY(finish(w, pid, "--version", log, err));
    DFM_TRY(dfm_file_read(w->a, log, MAX_LOG_BYTES, &text, &n, err));
    w->version = text;
    return DFM_OK;
}

static const char *cache_path(work *w, const char *text)
{
    if (!w->use_cache) return NULL;
    dfm_sb key = dfm_sb_make(w->a);
    dfm_sb_puts(&key, w->version);
    for (uint32_t i = 0; i < w->n_flags; i++) dfm_sb_printf(&key, " %s", w->flags[i]);
    dfm_sb_puts(&key, text);
    char hex[33];
    dfm_hash128_hex(dfm_hash128_of(dfm_sb_cstr(&key), key.n), hex);
    return dfm_fmt(w->a, "%s/%s.o", w->opt->cache_dir, hex);
}

/* -- the cache: objects, each followed by its name's hash and by one of its bytes -------------- */

typedef struct trailer { dfm_hash128 name, bytes; } trailer;

static trailer trailer_of(const char *path, const char *bytes, size_t n)
{
    const char *name = strrchr(path, '/') + 1;
    return (trailer){dfm_hash128_of(name, strlen(name)), dfm_hash128_of(bytes, n)};
}

/* Only a folder of our own that nobody else can write: what is in it is linked into plans. */
static bool cache_is_ours(work *w)
{
    struct stat st;
    const char *path = w->opt->cache_dir;
    if (!path || dfm_sys_stat(path, true, &st) != 0) return path && errno == ENOENT;
    w->cache_why = !S_ISDIR(st.st_mode) ? "is not a folder" : dfm_exposed(&st);
    return !w->cache_why;
}

/* A good entry is copied into the private folder, where nobody can exchange it before the linker
 * reads it. */
static bool cache_fetch(work *w, const char *path, const char *object)
{
    struct stat st;
    char *bytes;
    size_t n;
    trailer is;
    dfm_out o;
    if (!path || dfm_sys_stat(path, false, &st) != 0 || !S_ISREG(st.st_mode) ||
        st.st_uid != geteuid() || (st.st_mode & 022) ||
        dfm_file_read(w->a, path, MAX_OBJECT_BYTES, &bytes, &n, NULL) != DFM_OK || n <= sizeof is)
        return false;
    n -= sizeof is;
    is = trailer_of(path, bytes, n);
    if (memcmp(&is, bytes + n, sizeof is) != 0) return false;
    if (dfm_out_open(object, DFM_OUT_NEW, &o, NULL) != DFM_OK) return false;
    if (dfm_out_write(&o, bytes, n, NULL) == DFM_OK && dfm_out_close(&o, NULL) == DFM_OK)
        return true;
    dfm_out_abort(&o);
    return false;
}

/* A cache that cannot be written is no error. */
static void cache_store(work *w, const char *path, const char *object)
{
    char *bytes;
    size_t n;
    mode_t old = umask(077);
    if (dfm_make_folders(w->opt->cache_dir, NULL) == DFM_OK && cache_is_ours(w) &&
        dfm_file_read(w->a, object, MAX_OBJECT_BYTES, &bytes, &n, NULL) == DFM_OK) {
        trailer t = trailer_of(path, bytes, n);
        char *entry = dfm_alloc(w->a, n + sizeof t);
        memcpy(entry, bytes, n);
        memcpy(entry + n, &t, sizeof t);
        (void)dfm_file_replace(path, entry, n + sizeof t, NULL);
    }
    umask(old);
}

typedef struct job {
    const char *source, *object, *log, *cached;
    pid_t pid;
} job;

static dfm_status put_text(const char *path, const char *text, dfm_err *err)
{
    dfm_out o;
    DFM_TRY(dfm_out_open(path, DFM_OUT_NEW, &o, err));
    dfm_status s = dfm_out_write(&o, text, strlen(text), err);
    return dfm_out_close(&o, err) == DFM_OK ? s : DFM_CANNOT_WRITE;
}

static dfm_status job_start(work *w, job *j, const char *text, uint32_t i, dfm_err *err)
{
    const char *argv[MAX_FLAGS + 8];
    uint32_t n = 0;
    j->source = dfm_fmt(w->a, "%s/u%u.c", w->folder, i);
    j->log = dfm_fmt(w->a, "%s/u%u.log", w->folder, i);
    DFM_TRY(put_text(j->source, text, err));
    argv[n++] = w->opt->cc;
    for (uint32_t f = 0; f < w->n_flags; f++) argv[n++] = w->flags[f];
    argv[n++] = "-c";
    argv[n++] = j->source;
    argv[n++] = "-o";
    argv[n++] = j->object;
    argv[n] = NULL;
    return start(argv, j->log, &j->pid, err);
}

static dfm_status job_end(work *w, job *j, dfm_err *err)
{
    if (j->pid <= 0) return DFM_OK;
    pid_t pid = j->pid;
    j->pid = 0;
    DFM_TRY(finish(w, pid, "generated code", j->log, err));
    if (j->cached) cache_store(w, j->cached, j->object);
    return DFM_OK;
}

static dfm_status compile_all(work *w, const char *const *texts, uint32_t n, job *jobs,
                              cg_object *out, dfm_err *err)
{
    uint32_t width = w->opt->jobs ? w->opt->jobs : 1, done = 0;
    dfm_status s = DFM_OK;
    for (uint32_t i = 0; i < n && s == DFM_OK; i++) {
        jobs[i].cached = cache_path(w, texts[i]);
        jobs[i].object = dfm_fmt(w->a, "%s/u%u.o", w->folder, i);
        if (cache_fetch(w, jobs[i].cached, jobs[i].object)) {
            out->n_cached++;
            continue;
        }
        out->n_compiled++;
        uint32_t running = 0;
        for (uint32_t k = done; k < i; k++) running += jobs[k].pid > 0;
        while (running >= width && s == DFM_OK) {        /* wait for the oldest */
            if (jobs[done].pid > 0) running--;
            s = job_end(w, &jobs[done++], err);
        }
        if (s == DFM_OK) s = job_start(w, &jobs[i], texts[i], i, err);
    }
    for (uint32_t i = 0; i < n; i++) {                   /* wait for all, whatever happened */
        dfm_status t = job_end(w, &jobs[i], s == DFM_OK ? err : NULL);
        if (s == DFM_OK) s = t;
    }
    return s;
}

static dfm_status link_all(work *w, const job *jobs, uint32_t n, cg_object *out, dfm_err *err)
{
    const char **argv = dfm_new_n(w->a, const char *, n + 16);
    const char *log = dfm_path_join(w->a, w->folder, "link.log");
    const char *so = dfm_path_join(w->a, w->folder, "code.so");
    uint32_t k = 0;
    argv[k++] = w->opt->cc;
    argv[k++] = "-shared";
    argv[k++] = "-fopenmp";
    argv[k++] = "-s";
    argv[k++] = "-Wl,--build-id=none";
    argv[k++] = "-Wl,-z,relro,-z,now";
    argv[k++] = "-o";
    argv[k++] = so;
    for (uint32_t i = 0; i < n; i++) argv[k++] = jobs[i].object;
    argv[k++] = "-lm";
    argv[k] = NULL;
    pid_t pid;
    DFM_TRY(start(argv, log, &pid, err));
    DFM_TRY(finish(w, pid, "linking", log, err));
    char *bytes;
    size_t bytes_n;
    DFM_TRY(dfm_file_read(w->a, so, MAX_OBJECT_BYTES, &bytes, &bytes_n, err));
    out->code = bytes;
    out->n_code = bytes_n;
    return DFM_OK;
}

dfm_status cpu_compile(const char *const *texts, uint32_t n, const cg_options *opt, dfm_arena *a,
                       cg_object *out, dfm_err *err)
{
    const char *arch = cpu_arch_level(opt->arch);
    if (!arch) return dfm_fail(err, DFM_USAGE, "unknown processor level '%s'", opt->arch);
    const char *folder;
    DFM_TRY(dfm_make_temporary(a, "dfmc", &folder, err));
    work w = {.a = a, .opt = opt, .folder = folder};
    w.use_cache = cache_is_ours(&w);
    if (!strcmp(opt->arch, "native") && !*dfm_cpu_flags(a))
        out->note = dfm_fmt(a, "what this processor can do cannot be read from /proc/cpuinfo: "
                            "compiled for any (%s)", arch);
    else if (w.cache_why)
        out->note = dfm_fmt(a, "the cache '%s' %s: it is not used", opt->cache_dir, w.cache_why);
    job *jobs = dfm_new_n(a, job, n ? n : 1);
    set_flags(&w, arch);
    dfm_status s = compiler_version(&w, err);
    if (s == DFM_OK) s = compile_all(&w, texts, n, jobs, out, err);
    if (s == DFM_OK) s = link_all(&w, jobs, n, out, err);
    (void)dfm_remove_tree(folder, NULL);
    dfm_temp_forget(folder);
    return s;
}

/* ckpt_save.c - write one checkpoint so that no crash can cost the last one. See ckpt.h. */
#include "runtime/ckpt/ckpt.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/str.h"
#include "runtime/base/sys.h"

enum { FETCH_BYTES = 1 << 22 };

typedef struct saver {
    dfm_arena *arena;
    const ckpt_save_args *args;
    const char *tmp, *final;       /* paths of the folder before and after the rename */
    uint32_t host;                 /* hash of the host's name: pids mean something only there */
    dfm_err *err;
} saver;

static void phase(const saver *sv, const char *name)
{
    if (sv->args->phase) sv->args->phase(sv->args->user, name);
}

static dfm_status failed(const saver *sv, const char *verb, const char *path)
{
    return dfm_fail(sv->err, DFM_CANNOT_WRITE, "cannot %s '%s': %s", verb, path, strerror(errno));
}

static uint32_t host_id(void)
{
    char name[256] = "";
    gethostname(name, sizeof name - 1);
    return (uint32_t)dfm_hash64(name, strlen(name), 0);
}

static uint32_t nonce(void)
{
    uint32_t x = 0;
    if (getrandom(&x, sizeof x, GRND_NONBLOCK) != (ssize_t)sizeof x) {
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        x = (uint32_t)t.tv_nsec ^ (uint32_t)t.tv_sec << 20;
    }
    return x;
}

static const char *temporary_name(const saver *sv, const char *path)
{
    return dfm_fmt(sv->arena, "%s.tmp-%08x-%d-%08x", path, sv->host, (int)getpid(), nonce());
}

/* -- leftovers ----------------------------------------------------------------------------- */

/* Is the process gone, or this one (which saves one at a time, so it is from a save that
 * failed)? */
static bool is_gone(int pid)
{
    return pid == getpid() || (pid > 0 && kill(pid, 0) != 0 && errno == ESRCH);
}

/* A temporary folder of this host, or file, whose process is gone. Folders of other hosts are left
 * alone. */
static bool is_stale(const saver *sv, const char *name)
{
    const char *tag = strstr(name, ".tmp-");
    unsigned host, tail;
    int pid, used = 0;
    if (sscanf(name, "latest.tmp-%d%n", &pid, &used) == 1 && !name[used]) return is_gone(pid);
    if (!dfm_starts_with(name, "step_") || !tag) return false;
    if (sscanf(tag, ".tmp-%8x-%d-%8x%n", &host, &pid, &tail, &used) != 3) return false;
    if (tag[used] && strcmp(tag + used, "-gone") != 0) return false;   /* see dfm_temp_remove_all */
    return host == sv->host && is_gone(pid);
}

static dfm_status remove_leftovers(const saver *sv)
{
    const char **names, *folder = sv->args->folder;
    uint32_t n;
    DFM_TRY(dfm_list_folder(sv->arena, folder, &names, &n, sv->err));
    for (uint32_t i = 0; i < n; i++)
        if (is_stale(sv, names[i]))
            DFM_TRY(dfm_remove_tree(dfm_path_join(sv->arena, folder, names[i]), sv->err));
    return DFM_OK;
}

/* -- files --------------------------------------------------------------------------------- */

static dfm_status write_tensor(const saver *sv, ckpt_writer *w, uint32_t p, uint32_t t,
                               char *buffer)
{
    const ckpt_tensor *x = &sv->args->parts[p].tensors[t];
    uint64_t bytes = dfm_dtype_bytes(x->dtype);
    for (uint32_t i = 0; i < x->rank; i++) bytes *= x->shape[i];
    if (x->data) return ckpt_writer_data(w, x->data, bytes, sv->err);
    DFM_ASSERT(sv->args->fetch || bytes == 0);
    for (uint64_t at = 0; at < bytes; at += FETCH_BYTES) {
        uint64_t n = bytes - at < FETCH_BYTES ? bytes - at : FETCH_BYTES;
        DFM_TRY(sv->args->fetch(sv->args->user, p, t, at, n, buffer, sv->err));
        DFM_TRY(ckpt_writer_data(w, buffer, n, sv->err));
    }
    return DFM_OK;
}

static dfm_status write_part_body(const saver *sv, ckpt_writer *w, uint32_t p)
{
    const ckpt_part *part = &sv->args->parts[p];
    char *buffer = dfm_alloc(sv->arena, FETCH_BYTES);
    for (uint32_t i = 0; i < part->n_meta; i++)
        ckpt_writer_meta(w, part->meta[i].key, part->meta[i].value);
    for (uint32_t i = 0; i < part->n_tensors; i++) {
        const ckpt_tensor *t = &part->tensors[i];
        DFM_TRY(ckpt_writer_declare(w, t->name, t->dtype, t->rank, t->shape, sv->err));
    }
    for (uint32_t i = 0; i < part->n_tensors; i++) DFM_TRY(write_tensor(sv, w, p, i, buffer));
    return DFM_OK;
}

static dfm_status write_part(const saver *sv, uint32_t p, ckpt_entry *out)
{
    ckpt_writer *w;
    out->name = sv->args->parts[p].file;
    DFM_TRY(ckpt_writer_open(sv->arena, dfm_path_join(sv->arena, sv->tmp, out->name), &w, sv->err));
    dfm_status s = write_part_body(sv, w, p);
    if (s == DFM_OK) return ckpt_writer_close(w, &out->bytes, &out->hash, sv->err);
    ckpt_writer_abort(w);
    return s;
}

static dfm_status write_text(const saver *sv, const char *name, const char *text)
{
    dfm_out o;
    DFM_TRY(dfm_out_open(dfm_path_join(sv->arena, sv->tmp, name), DFM_OUT_NEW, &o, sv->err));
    dfm_status s = dfm_out_write(&o, text, strlen(text), sv->err);
    if (s == DFM_OK) s = dfm_out_sync(&o, sv->err);
    if (s == DFM_OK) s = dfm_out_close(&o, sv->err);
    if (s != DFM_OK) dfm_out_abort(&o);
    return s;
}

static dfm_status write_files(const saver *sv)
{
    const ckpt_save_args *args = sv->args;
    ckpt_listed *list;
    ckpt_manifest m = {.step = args->step, .serial = 1};
    DFM_TRY(ckpt_list(sv->arena, args->folder, &list, &m.n_entries, sv->err));
    if (m.n_entries && list[0].serial) m.serial = list[0].serial + 1;
    m.n_entries = args->n_parts + 1;
    m.entries = dfm_new_n(sv->arena, ckpt_entry, m.n_entries);
    for (uint32_t i = 0; i < args->n_parts; i++) {
        phase(sv, "part");
        DFM_TRY(write_part(sv, i, &m.entries[i]));
    }
    phase(sv, "state");
    size_t n = strlen(args->state);
    DFM_TRY(write_text(sv, "state.json", args->state));
    m.entries[args->n_parts] = (ckpt_entry){"state.json", n, dfm_hash128_of(args->state, n)};
    phase(sv, "manifest");
    DFM_TRY(write_text(sv, "MANIFEST", ckpt_manifest_text(sv->arena, &m)));
    phase(sv, "sync");
    return dfm_sync_folder(sv->tmp, sv->err);
}

/* -- commit -------------------------------------------------------------------------------- */

/* Remove a checkpoint. First it takes a temporary name: what a crash leaves of it is removed by the
 * next save. */
static dfm_status remove_whole(const saver *sv, const char *path)
{
    const char *gone = temporary_name(sv, path);
    if (dfm_sys_rename(path, gone) != 0) return failed(sv, "rename", path);
    return dfm_remove_tree(gone, sv->err);
}

/* Put the new folder in place. If there is one of that step already, the two swap names in one
 * step where the file system can; what was there is removed if it was whole, else kept aside. */
static dfm_status commit(const saver *sv)
{
    phase(sv, "rename");
    if (dfm_sys_rename(sv->tmp, sv->final) == 0)
        return dfm_sync_folder(sv->args->folder, sv->err);
    if (errno != EEXIST && errno != ENOTEMPTY && errno != ENOTDIR)
        return failed(sv, "rename", sv->tmp);
    ckpt_manifest m;
    bool whole = ckpt_manifest_verify(sv->arena, sv->final, true, &m, NULL) == DFM_OK;
    const char *aside = dfm_fmt(sv->arena, "%s.%s-%08x", sv->final, whole ? "replaced" : "damaged",
                                nonce());
    if (dfm_sys_exchange(sv->tmp, sv->final) == 0) {
        if (dfm_sys_rename(sv->tmp, aside) != 0) return failed(sv, "rename", sv->tmp);
    } else {
        if (dfm_sys_rename(sv->final, aside) != 0) return failed(sv, "rename", sv->final);
        if (dfm_sys_rename(sv->tmp, sv->final) != 0) return failed(sv, "rename", sv->tmp);
    }
    DFM_TRY(dfm_sync_folder(sv->args->folder, sv->err));
    return whole ? remove_whole(sv, aside) : DFM_OK;
}

/* Remove whole checkpoints beyond the newest `keep`. */
static dfm_status prune(const saver *sv)
{
    ckpt_listed *list;
    uint32_t n, whole = 0;
    if (!sv->args->keep) return DFM_OK;
    DFM_TRY(ckpt_list(sv->arena, sv->args->folder, &list, &n, sv->err));
    for (uint32_t i = 0; i < n; i++)
        if (list[i].serial && ++whole > sv->args->keep) DFM_TRY(remove_whole(sv, list[i].path));
    return DFM_OK;
}

static dfm_status write_latest(const saver *sv, const char *name)
{
    const char *line = dfm_fmt(sv->arena, "%s\n", name);
    const char *path = dfm_path_join(sv->arena, sv->args->folder, "latest");
    return dfm_file_replace(path, line, strlen(line), sv->err);
}

static dfm_status run(saver *sv)
{
    const ckpt_save_args *args = sv->args;
    if (args->step > 99999999)
        return dfm_fail(sv->err, DFM_CANNOT_WRITE, "step %" PRIu64 " is too large for the name of "
                        "a checkpoint", args->step);
    const char *name = dfm_fmt(sv->arena, "step_%08" PRIu64, args->step);
    sv->host = host_id();
    sv->final = dfm_path_join(sv->arena, args->folder, name);
    sv->tmp = temporary_name(sv, sv->final);
    DFM_TRY(dfm_make_folders(args->folder, sv->err));
    phase(sv, "clean");
    DFM_TRY(remove_leftovers(sv));
    dfm_temp_note(sv->tmp);
    if (dfm_sys_mkdir(sv->tmp, 0777) != 0) {
        failed(sv, "create", sv->tmp);
        dfm_temp_forget(sv->tmp);
        return DFM_CANNOT_WRITE;
    }
    dfm_status s = write_files(sv);
    if (s == DFM_OK) s = commit(sv);
    else (void)dfm_remove_tree(sv->tmp, NULL);
    dfm_temp_forget(sv->tmp);
    DFM_TRY(s);
    phase(sv, "latest");
    DFM_TRY(write_latest(sv, name));
    phase(sv, "prune");
    DFM_TRY(prune(sv));
    phase(sv, "done");
    return DFM_OK;
}

dfm_status ckpt_save(const ckpt_save_args *args, dfm_err *err)
{
    dfm_arena *a = dfm_arena_create("checkpoint");
    saver sv = {.arena = a, .args = args, .err = err};
    dfm_status s = run(&sv);
    if (s != DFM_OK) dfm_while(err, "saving the checkpoint of step %" PRIu64, args->step);
    dfm_arena_destroy(a);
    return s;
}

void ckpt_tidy(const char *folder, const char *newest)
{
    dfm_arena *a = dfm_arena_create("checkpoint");
    ckpt_save_args args = {.folder = folder};
    saver sv = {.arena = a, .args = &args, .host = host_id()};
    const char *slash = strrchr(newest, '/'), *name = slash ? slash + 1 : newest;
    char *was = "";
    size_t n;
    (void)remove_leftovers(&sv);
    if (dfm_file_read(a, dfm_path_join(a, folder, "latest"), 256, &was, &n, NULL) != DFM_OK ||
        strcmp(was, dfm_fmt(a, "%s\n", name)) != 0)
        (void)write_latest(&sv, name);
    dfm_arena_destroy(a);
}

/* dev_code.c - host code of a plan: who may have written it, and loading it. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/file.h"
#include "runtime/base/sys.h"
#include "runtime/device/dev_impl.h"

static dfm_status check_owner(dfm_arena *a, const char *path, dfm_err *err)
{
    char *file = dfm_path_real(a, path);
    if (file[0] != '/') return dfm_fail(err, DFM_BAD_DATA, "cannot find '%s'", path);
    char *slash = strrchr(file, '/');
    const char *folder = slash == file ? "/" : dfm_strndup(a, file, (size_t)(slash - file));
    const char *const places[] = {file, folder};
    for (int i = 0; i < 2; i++) {
        struct stat st;
        if (dfm_sys_stat(places[i], true, &st) != 0)
            return dfm_fail(err, DFM_BAD_DATA, "cannot look at '%s': %s", places[i],
                            strerror(errno));
        const char *why = dfm_exposed(&st);
        if (!why) continue;
        dfm_fail(err, DFM_BAD_DATA, "the plan holds machine code and %s %s: '%s'",
                 i ? "its folder" : "its file", why, places[i]);
        dfm_help(err, "take the right to write away (chmod go-w), or say --trust-plan if you know "
                      "where it comes from");
        return DFM_BAD_DATA;
    }
    return DFM_OK;
}

static bool write_sealed(int fd, const char *p, uint64_t n)
{
    while (n) {
        ssize_t put = dfm_sys_write(fd, p, n > 1 << 30 ? 1 << 30 : n);
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) return false;
        p += put;
        n -= (uint64_t)put;
    }
    return fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) == 0;
}

dfm_status dev_code_load(dfm_arena *a, const dev_options *options, dev_code *out, dfm_err *err)
{
    const plan *p = options->p;
    *out = (dev_code){.fd = -1};
    if (!options->trust) DFM_TRY(check_owner(a, options->path, err));
    out->fd = dfm_sys_memory_file("dfm-code");
    if (out->fd < 0 || !write_sealed(out->fd, p->code, p->n_code)) {
        dfm_fail(err, DFM_UNAVAILABLE, "cannot make a memory file for the plan's code: %s",
                 strerror(errno));
        dev_code_unload(out);
        return DFM_UNAVAILABLE;
    }
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", out->fd);
    out->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!out->handle) {
        dfm_fail(err, DFM_BAD_DATA, "the plan's code cannot be loaded: %s", dlerror());
        dev_code_unload(out);
        return DFM_BAD_DATA;
    }
    out->fn = dfm_new_n(a, plan_kernel_fn *, p->n_kernels + 1);
    for (uint32_t i = 0; i < p->n_kernels; i++) {
        const char *symbol = plan_text(p, p->kernels[i].symbol);
        void *found = dlsym(out->handle, symbol);
        if (!found) {
            dfm_fail(err, DFM_BAD_DATA, "damaged plan: its code has no function '%s'", symbol);
            dev_code_unload(out);
            return DFM_BAD_DATA;
        }
        memcpy(&out->fn[i], &found, sizeof found);
    }
    return DFM_OK;
}

void dev_code_unload(dev_code *c)
{
    if (c->handle) dlclose(c->handle);
    dfm_file_close(c->fd);
    *c = (dev_code){.fd = -1};
}

/* dev_blocks.c - page-aligned, zeroed blocks of host memory, and copies between them. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "runtime/base/sys.h"
#include "runtime/device/dev_impl.h"

enum { HUGE_FROM = 4 << 20 };

dfm_status dev_blocks_add(dev_blocks *b, dfm_arena *a, uint64_t bytes, void **out, dfm_err *err)
{
    uint64_t size = (bytes + PLAN_PAGE - 1) / PLAN_PAGE * PLAN_PAGE;
    if (size == 0) size = PLAN_PAGE;
    void *p = dfm_sys_pages(size);
    if (!p) {
        char text[32];
        dfm_fail(err, DFM_NO_MEMORY, "the system has no memory for %s: %s",
                 dfm_human_bytes(bytes, text), strerror(errno));
        dfm_help(err, "compile the plan with a smaller batch (dfmc --set dim.B=...)");
        return DFM_NO_MEMORY;
    }
    if (size >= HUGE_FROM) madvise(p, size, MADV_HUGEPAGE);
    dfm_push(a, &b->list, ((dev_block){p, size}));
    *out = p;
    return DFM_OK;
}

void dev_blocks_free(dev_blocks *b)
{
    for (uint32_t i = 0; i < b->list.n; i++) dfm_sys_unmap(b->list.p[i].p, b->list.p[i].bytes);
    b->list.n = 0;
}

void dev_host_copy_in(dev *d, void *device, const void *host, uint64_t bytes)
{
    (void)d;
    memcpy(device, host, bytes);
}

void dev_host_copy_out(dev *d, void *host, const void *device, uint64_t bytes)
{
    (void)d;
    memcpy(host, device, bytes);
}

void dev_host_copy(dev *d, void *to, const void *from, uint64_t bytes)
{
    (void)d;
    memmove(to, from, bytes);
}

void dev_host_clear(dev *d, void *device, uint64_t bytes)
{
    (void)d;
    memset(device, 0, bytes);
}

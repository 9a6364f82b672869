/* cpu.c - processor flags from /proc/cpuinfo. */
#include "runtime/base/cpu.h"

#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/base/file.h"

enum { HEAD_BYTES = 16384 };

/* Only the start is read: the flags are the same for all processors, and of a large machine the
 * whole file takes long to make. */
const char *dfm_cpu_flags(dfm_arena *a)
{
    char *text = dfm_alloc(a, HEAD_BYTES + 1);
    uint64_t unknown;
    size_t n = 0;
    int fd;
    if (dfm_file_open("/proc/cpuinfo", &fd, &unknown, NULL) != DFM_OK) return "";
    for (long got = 1; got > 0 && n < HEAD_BYTES; n += got > 0 ? (size_t)got : 0)
        got = dfm_file_read_at(fd, text + n, HEAD_BYTES - n, n);
    dfm_file_close(fd);
    char *line = strncmp(text, "flags", 5) == 0 ? text : strstr(text, "\nflags");
    if (!line) return "";
    line += *line == '\n';
    char *end = strchr(line, '\n');
    if (end) end[1] = 0;
    return line;
}

bool dfm_cpu_has(const char *flags, const char *flag)
{
    size_t n = strlen(flag);
    for (const char *p = flags; (p = strstr(p, flag)); p += n)
        if (p > flags && (p[-1] == ' ' || p[-1] == '\t') && (p[n] == ' ' || p[n] == '\n' || !p[n]))
            return true;
    return false;
}

bool dfm_cpu_allow_tiles(void)
{
#ifdef __x86_64__
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };    /* asm/prctl.h; XCR0's bit */
    return syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
#else
    return false;
#endif
}

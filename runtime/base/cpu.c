/* cpu.c - processor flags from /proc/cpuinfo. */
#include "runtime/base/cpu.h"

#include <stdio.h>
#include <string.h>

enum { LINE_BYTES = 16384 };

const char *dfm_cpu_flags(dfm_arena *a)
{
    char *line = dfm_alloc(a, LINE_BYTES);
    FILE *f = fopen("/proc/cpuinfo", "r");
    while (f && fgets(line, LINE_BYTES, f))
        if (strncmp(line, "flags", 5) == 0) break;
    if (f) fclose(f);
    return strncmp(line, "flags", 5) == 0 ? line : "";
}

bool dfm_cpu_has(const char *flags, const char *flag)
{
    size_t n = strlen(flag);
    for (const char *p = flags; (p = strstr(p, flag)); p += n)
        if (p > flags && (p[-1] == ' ' || p[-1] == '\t') && (p[n] == ' ' || p[n] == '\n' || !p[n]))
            return true;
    return false;
}

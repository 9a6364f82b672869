/* startup.c - time since the process started, from /proc. */
#include "runtime/metrics/startup.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/file.h"
#include "runtime/metrics/progress.h"

/* Field 22 of /proc/self/stat: when the process started, in ticks since the system did. The fields
 * are counted from the end of the second, which is a name in brackets and may hold anything. */
double met_since_start(void)
{
    enum { FIELDS_AFTER_NAME = 20 };
    char text[1024] = "";
    uint64_t unknown;
    struct timespec now;
    int fd;
    if (dfm_file_open("/proc/self/stat", &fd, &unknown, NULL) != DFM_OK) return 0;
    long got = dfm_file_read_at(fd, text, sizeof text - 1, 0);
    dfm_file_close(fd);
    char *at = got > 0 ? strrchr(text, ')') : NULL;
    for (int i = 0; at && i < FIELDS_AFTER_NAME; i++) at = strchr(at + 1, ' ');
    if (!at || clock_gettime(CLOCK_BOOTTIME, &now) != 0) return 0;
    double started = strtod(at, NULL) / (double)sysconf(_SC_CLK_TCK);
    double since = (double)now.tv_sec + 1e-9 * (double)now.tv_nsec - started;
    return since > 0 ? since : 0;
}

met_startup met_startup_begin(dfm_arena *a)
{
    double since = met_since_start(), now = met_now();
    met_startup s = {.begin = now - since, .last = now, .parts = dfm_sb_make(a)};
    dfm_sb_printf(&s.parts, "program %.2f", since);
    return s;
}

void met_startup_mark(met_startup *s, const char *what)
{
    double now = met_now();
    dfm_sb_printf(&s->parts, ", %s %.2f", what, now - s->last);
    s->last = now;
}

const char *met_startup_text(const met_startup *s, dfm_arena *a)
{
    dfm_sb parts = s->parts;
    return dfm_fmt(a, "%.2f s (%s)", s->last - s->begin, dfm_sb_cstr(&parts));
}

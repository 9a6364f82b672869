/* status.c - the error record. */
#include "runtime/base/status.h"

#include <stdarg.h>
#include <stdio.h>

/* Names and texts from files may stand in a message; none of them may steer a terminal. */
static void make_safe(char *p)
{
    for (; *p; p++)
        if (((unsigned char)*p < 0x20 && *p != '\n' && *p != '\t') || *p == 0x7f) *p = '?';
}

static void add(dfm_err *err, const char *prefix, const char *format, va_list ap)
{
    size_t room = sizeof err->text - err->len;
    char *from = err->text + err->len;
    int n = snprintf(err->text + err->len, room, "%s", prefix);
    if (n > 0) err->len += (unsigned)n < room ? (unsigned)n : (unsigned)room - 1;
    room = sizeof err->text - err->len;
    n = vsnprintf(err->text + err->len, room, format, ap);
    if (n > 0) err->len += (unsigned)n < room ? (unsigned)n : (unsigned)room - 1;
    make_safe(from);
}

dfm_status dfm_fail(dfm_err *err, dfm_status code, const char *format, ...)
{
    if (!err) return code;
    if (err->code != DFM_OK) return err->code;
    err->code = code;
    err->len = 0;
    va_list ap;
    va_start(ap, format);
    add(err, "", format, ap);
    va_end(ap);
    return code;
}

void dfm_help(dfm_err *err, const char *format, ...)
{
    if (!err) return;
    va_list ap;
    va_start(ap, format);
    add(err, "\n  help: ", format, ap);
    va_end(ap);
}

void dfm_while(dfm_err *err, const char *format, ...)
{
    if (!err) return;
    va_list ap;
    va_start(ap, format);
    add(err, "\n  while ", format, ap);
    va_end(ap);
}

void dfm_err_clear(dfm_err *err)
{
    err->code = DFM_OK;
    err->len = 0;
    err->text[0] = 0;
}

_Noreturn void dfm_assert_failed(const char *what, const char *file, int line)
{
    fprintf(stderr, "%s:%d: internal error: '%s' does not hold. Please report this.\n", file, line,
            what);
    abort();
}

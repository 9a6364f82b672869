/* fuzz_override.c - lines as key=value words of a command line: what they set, written as YAML and
 * read back, is the same. A line that begins with '/' is a pattern of shards. */
#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/app/config.h"
#include "runtime/data/wds.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Patterns may mean a million files, which is allowed and slow. */
static bool is_large(const char *s)
{
    size_t digits = 0, braces = 0;
    for (; *s; s++) {
        digits = isdigit((unsigned char)*s) ? digits + 1 : 0;
        braces += *s == '{';
        if (digits > 2 || braces > 2) return true;
    }
    return false;
}

static void expand(dfm_arena *a, const char *spec)
{
    const char **names;
    uint32_t count;
    dfm_err err = {0};
    if (is_large(spec)) return;
    dfm_status s = data_shard_list(a, spec, &names, &count, &err);
    if (s != DFM_OK && (s != DFM_BAD_DATA || err.code != s)) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    dfm_arena *a = dfm_arena_create("fuzz");
    cfg c, d;
    char *text = dfm_strndup(a, (const char *)data, n), *save;
    cfg_init(a, &c);
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        dfm_err err = {0};
        if (*line == '/') {
            expand(a, line);
            continue;
        }
        dfm_status s = cfg_override(&c, line, &err);
        if (s != DFM_OK && ((s != DFM_BAD_CONFIG && s != DFM_USAGE) || err.code != s)) abort();
        for (const char *p = err.text; *p; p++)
            if ((unsigned char)*p < 0x20 && *p != '\n' && *p != '\t') abort();
    }
    const char *yaml = cfg_yaml(&c, a);
    cfg_init(a, &d);
    if (cfg_read_yaml(&d, "again", yaml, strlen(yaml), NULL) != DFM_OK) abort();
    if (strcmp(cfg_yaml(&d, a), yaml)) abort();
    dfm_arena_destroy(a);
    return 0;
}

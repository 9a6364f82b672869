/* fuzz_config.c - any bytes as a configuration file: what is accepted, written as YAML and read
 * again, is the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/app/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    dfm_arena *a = dfm_arena_create("fuzz");
    dfm_err err = {0};
    cfg c, d;
    cfg_init(a, &c);
    if (cfg_read_yaml(&c, "fuzz", (const char *)data, n, &err) == DFM_OK) {
        const char *text = cfg_yaml(&c, a);
        cfg_init(a, &d);
        if (cfg_read_yaml(&d, "again", text, strlen(text), &err) != DFM_OK) abort();
        if (strcmp(cfg_yaml(&d, a), text)) abort();
    } else if (err.code != DFM_BAD_CONFIG) {
        abort();
    }
    dfm_arena_destroy(a);
    return 0;
}

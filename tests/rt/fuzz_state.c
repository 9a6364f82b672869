/* fuzz_state.c - any text as the state.json of a run: what is accepted survives writing. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/app/app.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    dfm_arena *a = dfm_arena_create("fuzz");
    dfm_err err = {0};
    app_progress_state s = {0}, again = {0};
    const char *text = dfm_strndup(a, (const char *)data, n);
    (void)app_state_labels(text);
    if (app_state_read(text, "fuzz", a, &s, &err) == DFM_OK) {
        const char *one = app_state_text(&s, a);
        if (app_state_read(one, "again", a, &again, &err) != DFM_OK) abort();
        if (strcmp(one, app_state_text(&again, a)) != 0) abort();
    } else if (err.code != DFM_BAD_DATA) {
        abort();
    }
    dfm_arena_destroy(a);
    return 0;
}

/* fuzz_manifest.c - any bytes as the MANIFEST of a checkpoint, with its check made right, so that
 * the rules behind it are reached: what is accepted names plain files of the folder, each once, and
 * its text reads back as the same list. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/str.h"
#include "runtime/ckpt/ckpt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define FOLDER "fuzz-ckpt/step_00000001"

static void put(const char *name, const void *p, size_t n)
{
    char path[128] = FOLDER "/";
    dfm_out o;
    strcat(path, name);
    if (dfm_make_folders(FOLDER, NULL) != DFM_OK ||
        dfm_out_open(path, DFM_OUT_TRUNCATE, &o, NULL) != DFM_OK ||
        dfm_out_write(&o, p, n, NULL) != DFM_OK || dfm_out_close(&o, NULL) != DFM_OK)
        abort();
}

static void check(dfm_arena *a, const ckpt_manifest *m)
{
    if (m->serial < 1) abort();
    for (uint32_t i = 0; i < m->n_entries; i++) {
        if (strchr(m->entries[i].name, '/') || m->entries[i].name[0] == '.') abort();
        for (uint32_t k = 0; k < i; k++)
            if (!strcmp(m->entries[i].name, m->entries[k].name)) abort();
    }
    const char *text = ckpt_manifest_text(a, m);
    ckpt_manifest again;
    put("MANIFEST", text, strlen(text));
    if (ckpt_manifest_verify(a, FOLDER, true, &again, NULL) != DFM_OK) abort();
    if (strcmp(text, ckpt_manifest_text(a, &again)) != 0) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char hex[33];
    dfm_arena *a = dfm_arena_create("fuzz");
    dfm_err err = {0};
    ckpt_manifest m;
    if (memchr(data, 0, n)) n = (size_t)((const uint8_t *)memchr(data, 0, n) - data);
    char *text = dfm_strndup(a, (const char *)data, n);
    const char *had = strstr(text, " \"check\": \"");
    if (had) n = (size_t)(had - text);
    dfm_sb sb = dfm_sb_make(a);
    dfm_sb_add(&sb, text, n);
    dfm_sb_printf(&sb, " \"check\": \"%s\"\n}\n", dfm_hash128_hex(dfm_hash128_of(text, n), hex));
    put("state.json", "{}", 2);
    put("MANIFEST", sb.p, sb.n);
    dfm_status s = ckpt_manifest_verify(a, FOLDER, true, &m, &err);
    if (s == DFM_OK) check(a, &m);
    else if (s != DFM_BAD_DATA || err.code != s) abort();
    dfm_arena_destroy(a);
    return 0;
}

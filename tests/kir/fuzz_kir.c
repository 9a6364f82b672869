/* fuzz_kir.c - the text form of the kernel IR: any bytes are read or refused; what is read and
 * keeps the rules prints, and what is printed reads back as the same text. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/kir/kir.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    dfm_arena *a = dfm_arena_create("fuzz");
    dfm_err err = {0}, rule = {0};
    kir_module *m, *again;
    dfm_status s = kir_parse(a, dfm_names_create(a), (const char *)data, n, &m, &err);
    if ((s == DFM_OK) != (err.code == DFM_OK)) abort();
    if (s == DFM_OK && kir_verify(m, &rule) == DFM_OK) {
        dfm_sb one = dfm_sb_make(a), two = dfm_sb_make(a);
        kir_print(&one, m);
        if (kir_parse(a, dfm_names_create(a), one.p, one.n, &again, &err) != DFM_OK) abort();
        kir_print(&two, again);
        if (one.n != two.n || memcmp(one.p, two.p, one.n) != 0) abort();
    }
    dfm_arena_destroy(a);
    return 0;
}

/* fuzz_ir_text.c - the text form of the graph IR under libFuzzer: any bytes are read or refused;
 * what is read prints, and what is printed reads back as the same text. */
#include <stdint.h>
#include <string.h>

#include "compiler/ir/ir.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    dfm_arena *a = dfm_arena_create("fuzz");
    dfm_err err = {0};
    ir_module *m, *again;
    if (ir_parse(a, dfm_names_create(a), (const char *)data, n, &m, &err) == DFM_OK) {
        dfm_sb one = dfm_sb_make(a), two = dfm_sb_make(a);
        ir_print(&one, m);
        dfm_status st = ir_parse(a, dfm_names_create(a), one.p, one.n, &again, &err);
        if (st != DFM_OK) __builtin_trap();
        ir_print(&two, again);
        if (one.n != two.n || memcmp(one.p, two.p, one.n) != 0) __builtin_trap();
    }
    dfm_arena_destroy(a);
    return 0;
}

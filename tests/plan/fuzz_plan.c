/* fuzz_plan.c - hostile plans. The bytes are read as they are, and once more with every hash made
 * right, so that the fuzzer reaches the rules behind the hashes. */
#include <stddef.h>
#include <string.h>

#include "runtime/plan/plan_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void repair(uint8_t *bytes, size_t n)
{
    if (n < PLAN_HEADER_BYTES) return;
    plan_header h;
    memcpy(&h, bytes, sizeof h);
    h.file_bytes = n;
    uint64_t table_bytes = (uint64_t)h.n_sections * PLAN_ENTRY_BYTES;
    if (h.n_sections > 64 || table_bytes > n - PLAN_HEADER_BYTES) return;
    plan_entry *table = (plan_entry *)(bytes + PLAN_HEADER_BYTES);
    for (uint32_t i = 0; i < h.n_sections; i++)
        if (table[i].offset <= n && table[i].bytes <= n - table[i].offset)
            table[i].hash = dfm_hash128_of(bytes + table[i].offset, table[i].bytes);
    h.id = dfm_hash128_of(table, table_bytes);
    h.check = dfm_hash64(&h, offsetof(plan_header, check), 0);
    memcpy(bytes, &h, sizeof h);
}

static void read_one(const uint8_t *bytes, size_t n, dfm_arena *a)
{
    plan p;
    dfm_err err = {0};
    if (plan_from_bytes(bytes, n, &p, &err) != DFM_OK) return;
    dfm_sb out = dfm_sb_make(a);
    plan_print(&p, &out);
    plan_print_info(&p, &out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n > 1 << 20) return 0;
    dfm_arena *a = dfm_arena_create("fuzz");
    uint8_t *copy = dfm_alloc(a, n + 1);
    memcpy(copy, data, n);
    read_one(copy, n, a);
    repair(copy, n);
    read_one(copy, n, a);
    dfm_arena_destroy(a);
    return 0;
}

/* fuzz_plan.c - hostile plans.
 *
 * An input is a plan's bytes, read as they are and once more with every hash made right; or, if it
 * does not begin as a plan, a list of edits {section, offset u16, width, value u32} to a good plan,
 * after which the hashes are made right. So the fuzzer reaches the rules behind the hashes.
 */
#include <stddef.h>
#include <string.h>

#include "runtime/plan/plan_impl.h"
#include "tests/plan/sample_plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* The seed: a whole good plan, if the working folder has a corpus. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    static sample_plan s;
    sample_plan_make(&s);
    if (dfm_is_folder("corpus"))
        return plan_save(&s.p, "corpus/sample.plan", NULL) == DFM_OK ? 0 : 1;
    return 0;
}

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

static void edit(const uint8_t *data, size_t n, dfm_arena *a)
{
    sample_plan *s = dfm_new(a, sample_plan);
    sample_plan_make(s);
    const void *good;
    size_t size;
    plan_serialize(&s->p, a, &good, &size);
    uint8_t *bytes = dfm_dup(a, good, size);
    const plan_entry *table = (const plan_entry *)((const char *)good + PLAN_HEADER_BYTES);
    for (; n >= 8; data += 8, n -= 8) {
        const plan_entry *e = &table[data[0] % plan_n_sections];
        size_t width = data[3] % 4 + 1, offset = (size_t)(data[1] | data[2] << 8);
        if (e->bytes < width) continue;
        memcpy(bytes + e->offset + offset % (e->bytes - width + 1), data + 4, width);
    }
    repair(bytes, size);
    read_one(bytes, size, a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n > 1 << 20) return 0;
    dfm_arena *a = dfm_arena_create("fuzz");
    if (n >= 8 && !memcmp(data, plan_magic, 8)) {
        uint8_t *copy = dfm_alloc(a, n);
        memcpy(copy, data, n);
        read_one(copy, n, a);
        repair(copy, n);
        read_one(copy, n, a);
    } else {
        edit(data, n, a);
    }
    dfm_arena_destroy(a);
    return 0;
}

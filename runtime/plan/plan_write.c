/* plan_write.c - a plan in memory to the bytes of a container; the same plan gives the same bytes.
 */
#include "runtime/plan/plan_impl.h"

#include <stddef.h>
#include <string.h>

const uint8_t plan_magic[8] = {0x89, 'D', 'F', 'M', '\r', '\n', 0x1a, '\n'};

const plan_section_def plan_sections[] = {
#define PSECT(cc, field, count, type)                                                           \
    {cc, sizeof(type), offsetof(plan, field), offsetof(plan, count),                            \
     sizeof(((plan *)0)->count) == 8},
#include "runtime/plan/plan_sections.def"
#undef PSECT
};
const uint32_t plan_n_sections = DFM_LEN(plan_sections);

static const void *section_data(const plan *p, const plan_section_def *d, uint64_t *out_bytes)
{
    const void *data;
    memcpy(&data, (const char *)p + d->pointer_at, sizeof data);
    uint32_t n32;
    uint64_t n;
    if (d->wide) {
        memcpy(&n, (const char *)p + d->count_at, 8);
    } else {
        memcpy(&n32, (const char *)p + d->count_at, 4);
        n = n32;
    }
    *out_bytes = n * d->record_bytes;
    return data;
}

static uint64_t page_up(uint64_t x) { return (x + PLAN_PAGE - 1) / PLAN_PAGE * PLAN_PAGE; }

void plan_serialize(const plan *p, dfm_arena *a, const void **out_bytes, size_t *out_n)
{
    uint64_t table_bytes = (uint64_t)plan_n_sections * PLAN_ENTRY_BYTES, bytes, end;
    plan_entry *table = dfm_new_n(a, plan_entry, plan_n_sections);
    uint64_t at = end = PLAN_HEADER_BYTES + table_bytes;
    for (uint32_t i = 0; i < plan_n_sections; i++) {
        const plan_section_def *d = &plan_sections[i];
        const void *data = section_data(p, d, &bytes);
        memcpy(table[i].fourcc, d->fourcc, 4);
        table[i].flags = PLAN_ENTRY_REQUIRED;
        table[i].record_bytes = d->record_bytes;
        at = page_up(at);
        table[i].offset = at;
        table[i].bytes = bytes;
        table[i].hash = dfm_hash128_of(bytes ? data : "", bytes);
        at += bytes;
        if (bytes) end = at;
    }
    uint64_t total = page_up(end);
    for (uint32_t i = 0; i < plan_n_sections; i++)      /* trailing empty sections stay inside */
        if (table[i].offset > total) table[i].offset = total;
    char *out = dfm_alloc(a, total);
    for (uint32_t i = 0; i < plan_n_sections; i++) {
        const void *data = section_data(p, &plan_sections[i], &bytes);
        if (bytes) memcpy(out + table[i].offset, data, bytes);
    }
    memcpy(out + PLAN_HEADER_BYTES, table, table_bytes);
    plan_header h = {
        .major = PLAN_MAJOR, .minor = PLAN_MINOR, .header_bytes = PLAN_HEADER_BYTES,
        .file_bytes = total, .table_offset = PLAN_HEADER_BYTES, .n_sections = plan_n_sections,
        .flags = p->flags, .id = dfm_hash128_of(table, table_bytes), .source_id = p->source_id,
    };
    memcpy(h.magic, plan_magic, sizeof h.magic);
    h.check = dfm_hash64(&h, offsetof(plan_header, check), 0);
    memcpy(out, &h, sizeof h);
    *out_bytes = out;
    *out_n = total;
}

dfm_status plan_save(const plan *p, const char *path, dfm_err *err)
{
    dfm_arena *a = dfm_arena_create("plan file");
    const void *bytes;
    size_t n;
    plan_serialize(p, a, &bytes, &n);
    dfm_status s = dfm_file_replace(path, bytes, n, err);
    dfm_arena_destroy(a);
    return s;
}

/* -- text -------------------------------------------------------------------------------------- */

struct plan_pool {
    dfm_arena *arena;
    dfm_names *names;
    dfm_sb bytes;
    DFM_VEC(plan_str) at;                    /* by name handle */
};

plan_pool *plan_pool_create(dfm_arena *a)
{
    plan_pool *pool = dfm_new(a, plan_pool);
    pool->arena = a;
    pool->names = dfm_names_create(a);
    pool->bytes = dfm_sb_make(a);
    dfm_sb_add(&pool->bytes, "", 1);
    dfm_push(a, &pool->at, 0);
    return pool;
}

plan_str plan_pool_add(plan_pool *pool, const char *s)
{
    if (!s || !*s) return 0;
    dfm_name name = dfm_intern(pool->names, s);
    if (name.i < pool->at.n) return pool->at.p[name.i];
    plan_str at = (plan_str)pool->bytes.n;
    dfm_sb_add(&pool->bytes, s, strlen(s) + 1);
    dfm_push(pool->arena, &pool->at, at);
    return at;
}

const char *plan_pool_bytes(const plan_pool *pool, uint64_t *out_n)
{
    *out_n = pool->bytes.n;
    return pool->bytes.p;
}

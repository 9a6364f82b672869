/* plan_read.c - bytes of a container to a plan that points into them. Bytes are untrusted. */
#include "runtime/plan/plan_impl.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>

static dfm_status broken(dfm_err *err, const char *what)
{
    return dfm_fail(err, DFM_BAD_DATA, "damaged plan: %s", what);
}

static bool all_zero(const void *p, size_t n)
{
    const uint8_t *b = p;
    for (size_t i = 0; i < n; i++)
        if (b[i]) return false;
    return true;
}

static dfm_status read_header(const void *bytes, size_t n, plan_header *h, dfm_err *err)
{
    if (n < sizeof *h || memcmp(bytes, plan_magic, sizeof plan_magic) != 0)
        return dfm_fail(err, DFM_BAD_DATA, "not a plan: it does not begin as one");
    memcpy(h, bytes, sizeof *h);
    if (h->check != dfm_hash64(bytes, offsetof(plan_header, check), 0))
        return broken(err, "the header's check is wrong");
    if (h->major != PLAN_MAJOR) {
        dfm_fail(err, DFM_BAD_DATA, "the plan has format %u, this dfm-rt reads format %d", h->major,
                 PLAN_MAJOR);
        dfm_help(err, "compile it again with the dfmc that belongs to this dfm-rt");
        return DFM_BAD_DATA;
    }
    if (h->header_bytes != PLAN_HEADER_BYTES || h->table_offset != PLAN_HEADER_BYTES ||
        !all_zero(h->zero, sizeof h->zero))
        return broken(err, "the header has unknown parts");
    if (h->file_bytes != n)
        return dfm_fail(err, DFM_BAD_DATA,
                        "damaged plan: it has %zu bytes where its header says %" PRIu64, n,
                        h->file_bytes);
    if (h->flags & ~(uint32_t)PLAN_KNOWN_FLAGS) return broken(err, "the header has unknown flags");
    if (h->n_sections > PLAN_MAX_SECTIONS ||
        (uint64_t)h->n_sections * PLAN_ENTRY_BYTES > n - PLAN_HEADER_BYTES)
        return broken(err, "the section table does not fit");
    return DFM_OK;
}

/* Sections lie in order, page-aligned, inside the file, with zeros between them. */
static dfm_status check_table(const char *bytes, size_t n, const plan_header *h,
                              const plan_entry *table, dfm_err *err)
{
    size_t table_bytes = (size_t)h->n_sections * PLAN_ENTRY_BYTES;
    dfm_hash128 id = dfm_hash128_of(table, table_bytes);
    if (id.lo != h->id.lo || id.hi != h->id.hi)
        return broken(err, "the section table's hash is wrong");
    uint64_t at = PLAN_HEADER_BYTES + table_bytes;
    for (uint32_t i = 0; i < h->n_sections; i++) {
        const plan_entry *e = &table[i];
        if (e->zero || !all_zero(e->zeros, sizeof e->zeros) ||
            (e->flags & ~(uint32_t)PLAN_ENTRY_REQUIRED))
            return broken(err, "a section has unknown flags");
        if (e->offset % PLAN_PAGE || e->offset < at || e->offset > n || e->bytes > n - e->offset)
            return dfm_fail(err, DFM_BAD_DATA, "damaged plan: section %u lies outside or overlaps",
                            i);
        if (!all_zero(bytes + at, e->offset - at))
            return broken(err, "there are bytes between sections");
        at = e->offset + e->bytes;
    }
    return all_zero(bytes + at, n - at) ? DFM_OK
                                        : broken(err, "there are bytes after the sections");
}

static const plan_section_def *section_def(const plan_entry *e)
{
    for (uint32_t i = 0; i < plan_n_sections; i++)
        if (!memcmp(plan_sections[i].fourcc, e->fourcc, 4)) return &plan_sections[i];
    return NULL;
}

static dfm_status bind_section(const char *bytes, const plan_entry *e, plan *out, uint32_t *seen,
                               dfm_err *err)
{
    const plan_section_def *d = section_def(e);
    if (!d && !(e->flags & PLAN_ENTRY_REQUIRED)) return DFM_OK;
    if (!d) return broken(err, "it needs a section that this dfm-rt does not know");
    uint32_t bit = 1u << (d - plan_sections);
    if (*seen & bit) return dfm_fail(err, DFM_BAD_DATA, "damaged plan: two sections %s", d->fourcc);
    *seen |= bit;
    if (e->record_bytes != d->record_bytes || e->bytes % d->record_bytes ||
        (!d->wide && e->bytes / d->record_bytes > INT32_MAX))
        return dfm_fail(err, DFM_BAD_DATA, "damaged plan: section %s has a wrong size", d->fourcc);
    dfm_hash128 hash = dfm_hash128_of(bytes + e->offset, e->bytes);
    if (hash.lo != e->hash.lo || hash.hi != e->hash.hi)
        return dfm_fail(err, DFM_BAD_DATA, "damaged plan: the hash of section %s is wrong",
                        d->fourcc);
    const void *data = e->bytes ? bytes + e->offset : NULL;
    uint64_t count = e->bytes / d->record_bytes;
    uint32_t count32 = (uint32_t)count;
    memcpy((char *)out + d->pointer_at, &data, sizeof data);
    memcpy((char *)out + d->count_at, d->wide ? (void *)&count : (void *)&count32, d->wide ? 8 : 4);
    return DFM_OK;
}

dfm_status plan_from_bytes(const void *bytes, size_t n, plan *out, dfm_err *err)
{
    memset(out, 0, sizeof *out);
    plan_header h;
    DFM_TRY(read_header(bytes, n, &h, err));
    if (h.n_sections == 0) return broken(err, "it has no sections");
    const plan_entry *table = (const plan_entry *)((const char *)bytes + PLAN_HEADER_BYTES);
    DFM_TRY(check_table(bytes, n, &h, table, err));
    uint32_t seen = 0;
    for (uint32_t i = 0; i < h.n_sections; i++)
        DFM_TRY(bind_section(bytes, &table[i], out, &seen, err));
    for (uint32_t i = 0; i < plan_n_sections; i++)
        if (!(seen & 1u << i))
            return dfm_fail(err, DFM_BAD_DATA, "damaged plan: section %s is missing",
                            plan_sections[i].fourcc);
    out->flags = h.flags;
    out->id = h.id;
    out->source_id = h.source_id;
    return plan_verify(out, err);
}

dfm_status plan_open(const char *path, plan *out, dfm_err *err)
{
    dfm_map map;
    memset(out, 0, sizeof *out);
    DFM_TRY(dfm_file_map(path, &map, err));
    dfm_status s = plan_from_bytes(map.p, map.n, out, err);
    out->map = map;
    if (s != DFM_OK) {
        dfm_while(err, "reading '%s'", path);
        plan_close(out);
    }
    return s;
}

void plan_close(plan *p)
{
    dfm_file_unmap(&p->map);
    memset(p, 0, sizeof *p);
}

const plan_program *plan_find_program(const plan *p, const char *name)
{
    for (uint32_t i = 0; i < p->n_programs; i++)
        if (!strcmp(plan_text(p, p->programs[i].name), name)) return &p->programs[i];
    return NULL;
}

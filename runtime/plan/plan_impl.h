/* plan_impl.h - the container's header and table, shared by writer and reader. */
#ifndef DFM_RUNTIME_PLAN_IMPL_H
#define DFM_RUNTIME_PLAN_IMPL_H

#include "runtime/plan/plan.h"

typedef struct plan_header {
    uint8_t magic[8];
    uint16_t major, minor;
    uint32_t header_bytes;
    uint64_t file_bytes, table_offset;
    uint32_t n_sections, flags;
    dfm_hash128 id, source_id;
    uint8_t zero[48];
    uint64_t check;                          /* xxh3-64 of what is before it */
} plan_header;
_Static_assert(sizeof(plan_header) == PLAN_HEADER_BYTES, "header bytes");

typedef struct plan_entry {
    char fourcc[4];
    uint32_t flags;                          /* PLAN_ENTRY_REQUIRED */
    uint64_t offset, bytes;
    uint32_t record_bytes, zero;
    dfm_hash128 hash;
    uint8_t zeros[16];
} plan_entry;
_Static_assert(sizeof(plan_entry) == PLAN_ENTRY_BYTES, "entry bytes");

enum { PLAN_ENTRY_REQUIRED = 1, PLAN_KNOWN_FLAGS = PLAN_HAS_HOST_CODE | PLAN_DETERMINISTIC };

typedef struct plan_section_def {
    char fourcc[5];
    uint32_t record_bytes;
    size_t pointer_at, count_at;             /* offsets of the two fields in struct plan */
    bool wide;                               /* the count is a u64 */
} plan_section_def;

extern const plan_section_def plan_sections[];
extern const uint32_t plan_n_sections;
extern const uint8_t plan_magic[8];

const char *plan_step_name(uint32_t kind);   /* "call"; "?" if unknown */

#endif

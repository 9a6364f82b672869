/* plan.h - the plan: what dfmc writes and dfm-rt executes.
 *
 * A little-endian container, mapped read-only and used in place:
 *
 *   header 128 bytes | section table | sections, each page-aligned, gaps zero
 *
 *   0    u8[8]  magic 89 44 46 4D 0D 0A 1A 0A      8  u16 major, u16 minor
 *   12   u32 header bytes (128)    16 u64 file bytes    24 u64 table offset   32 u32 sections
 *   36   u32 flags                 40 u8[16] plan id = xxh3-128 of the table
 *   56   u8[16] source id          72 zeros to 120      120 u64 xxh3-64 of bytes 0..119
 *   table entry, 64 bytes: u32 fourcc, u32 flags, u64 offset, u64 bytes, u32 record bytes, u32
 * zero, u8[16] xxh3-128 of the section, u8[16] zero
 *
 * Records are fixed-width structs (below); text is an offset into the section STRS (0 is "").
 * No time stamps: the same inputs give the same bytes. plan_open checks everything once (sizes,
 * hashes, every index, every range, no overlap of live operands is the compiler's proof and not
 * repeated), so that execution needs no checks.
 *
 * Memory: a rank owns one block (the arena of temporaries) and one region per flat state buffer;
 * offsets and sizes are bytes. An operand's address is
 *   base(region) + offset + sum over open loops j of iter[j] * loop_stride[j].
 */
#ifndef DFM_RUNTIME_PLAN_H
#define DFM_RUNTIME_PLAN_H

#include <stdint.h>

#include "runtime/base/arena.h"
#include "runtime/base/dtype.h"
#include "runtime/base/file.h"
#include "runtime/base/hash.h"
#include "runtime/base/status.h"
#include "runtime/base/str.h"

enum {
    PLAN_MAJOR = 1, PLAN_MINOR = 0, PLAN_HEADER_BYTES = 128, PLAN_ENTRY_BYTES = 64,
    PLAN_PAGE = 4096, PLAN_MAX_RANK = 16, PLAN_MAX_LOOPS = 4, PLAN_MAX_SECTIONS = 4096,
    PLAN_HAS_HOST_CODE = 1, PLAN_DETERMINISTIC = 8,
};

typedef uint32_t plan_str;                   /* offset into STRS */

typedef enum plan_region_kind {
    PLAN_REGION_ARENA = 1,                   /* temporaries, inputs, outputs; one, shared */
    PLAN_REGION_STATE,                       /* persistent: weights, gradients, optimizer, ema */
    PLAN_REGION_CONST,                       /* inside the plan, read-only; one */
} plan_region_kind;

typedef struct plan_region {                 /* section REGN */
    uint32_t kind;
    uint32_t dtype;                          /* STATE */
    uint64_t bytes;
    uint32_t state, flat;                    /* STATE: index into STAT, and which flat buffer */
} plan_region;

typedef struct plan_state {                  /* section STAT: kinds of persistent state */
    plan_str name;                           /* "w", "g", "adamw.m", "ema.0", "acc" */
    uint32_t is_ema, saved;
    uint32_t on_demand;                      /* only allocated when accumulating ("acc") */
} plan_state;

typedef struct plan_param {                  /* section PARM: one per published tensor */
    plan_str published, path;                /* layers expanded: "blocks.3.attn.qkv.weight" */
    uint32_t flat, dtype;
    uint64_t offset, elems;                  /* in elements of the flat buffer */
    uint32_t flags;                          /* PLAN_PARAM_* */
    uint32_t rank;                           /* published shape */
    int64_t shape[PLAN_MAX_RANK];
} plan_param;
enum { PLAN_PARAM_TRAINABLE = 1, PLAN_PARAM_BUFFER = 2, PLAN_PARAM_RESHAPE = 4 };

typedef struct plan_io {                     /* section INOU: named inputs and outputs */
    plan_str name;
    uint32_t dtype, rank, flags;             /* PLAN_IO_* */
    int64_t shape[PLAN_MAX_RANK];
    plan_str dims[PLAN_MAX_RANK];            /* dim names, for messages */
    uint64_t offset, bytes;                  /* in the arena; dense, row-major over shape */
    plan_str source;                         /* DATA: member of the sample; else 0 */
    plan_str pad_dim;                        /* DATA: 0 or the dim padded with zeros */
    int32_t modulus;                         /* integer data: values in [0, modulus); 0 unknown */
    uint32_t zero;
} plan_io;
enum {
    PLAN_IO_FORMAL = 1, PLAN_IO_DATA = 2, PLAN_IO_DRAW = 4, PLAN_IO_OUTPUT = 8,
    PLAN_IO_BATCH = 16,                      /* its first dim counts samples */
};

typedef struct plan_program {                /* section PROG */
    plan_str name;
    uint32_t first_step, n_steps;
    uint32_t first_io, n_io;                 /* inputs, then outputs */
    uint32_t first_scalar, n_scalars; /* section SCAL: plan_str names, order of ctx->scalars */
    uint32_t n_results, zero[2];
    uint64_t arena_bytes;
    double flops, bytes;                     /* of one execution, by the cost model */
} plan_program;

typedef enum plan_step_kind {
    PLAN_STEP_NONE = 0,
#define PSTEP(id, name, n, doc) PLAN_STEP_##id,
#include "runtime/plan/plan_ops.def"
#undef PSTEP
    PLAN_STEP_COUNT
} plan_step_kind;

typedef struct plan_step {                   /* section STEP, 48 bytes */
    uint32_t kind;
    uint32_t item;                           /* see plan_ops.def */
    uint32_t first_operand, n_operands;      /* in OPND */
    uint32_t depth, reverse;                 /* LOOP */
    uint64_t value;                          /* COPY: bytes; LOOP: trip count; END: loop step */
    plan_str replaces;                       /* skipped when this draw is given from outside */
    plan_str where;                          /* "dit.dfm:41:9" */
    plan_str name;                           /* for profiles */
    uint32_t zero;
} plan_step;

typedef struct plan_operand {                /* section OPND, 64 bytes */
    uint32_t region;                         /* index into REGN; UINT32_MAX: none */
    uint32_t flags;                          /* PLAN_READ, PLAN_WRITE */
    uint64_t offset;                         /* bytes */
    uint64_t span;                           /* bytes from offset that may be touched, loops at 0 */
    int64_t loop_stride[PLAN_MAX_LOOPS];     /* bytes */
    uint64_t zero;
} plan_operand;
enum { PLAN_READ = 1, PLAN_WRITE = 2 };

/* Section GEMM: c[b,m,n] = sum_k a[b,m,k] b[b,k,n] (+ bias[n]); strides in elements. */
typedef struct plan_gemm {
    int64_t batch[2], m, n, k;
    int64_t sa[4], sb[4], sc[4];             /* {b0, b1, m, k} {b0, b1, k, n} {b0, b1, m, n} */
    uint32_t da, db, dc, has_bias;           /* dtypes */
    uint64_t scratch_bytes;
} plan_gemm;

/* First letter of the symbol of a kernel that is a matrix product in generated code: profiles call
 * it one. */
#define PLAN_PRODUCT_SYMBOL 'g'

typedef struct plan_kernel {                 /* section KIDX */
    plan_str symbol;                         /* in CODE */
    plan_str name, where;
    uint32_t n_operands;
    double flops, bytes;                     /* of one call */
} plan_kernel;

/* What a kernel of host code gets. Layout is part of the plan's ABI (major version). */
typedef struct plan_kctx {
    uint64_t seed, step;
    int64_t first_sample;
    int64_t iter[PLAN_MAX_LOOPS];
    const double *scalars;                   /* of the program, in SCAL order */
} plan_kctx;
_Static_assert(sizeof(plan_kctx) == 64, "part of the plan's ABI");
typedef void plan_kernel_fn(const plan_kctx *ctx, void *const *operands);

_Static_assert(sizeof(plan_region) == 24 && sizeof(plan_state) == 16, "record bytes");
_Static_assert(sizeof(plan_param) == 168 && sizeof(plan_io) == 240, "record bytes");
_Static_assert(sizeof(plan_program) == 64 && sizeof(plan_step) == 48, "record bytes");
_Static_assert(sizeof(plan_operand) == 64 && sizeof(plan_gemm) == 160, "record bytes");
_Static_assert(sizeof(plan_kernel) == 32, "record bytes");

/* A plan in memory: arrays of records. The writer fills one; the reader points into the map. */
typedef struct plan {
    uint32_t flags;
    dfm_hash128 id, source_id;
    const char *strs;            uint64_t n_strs;
    const char *meta;            uint64_t n_meta;        /* canonical JSON */
    const plan_region *regions;  uint32_t n_regions;
    const plan_state *states;    uint32_t n_states;
    const plan_param *params;    uint32_t n_params;
    const plan_io *io;           uint32_t n_io;
    const plan_program *programs; uint32_t n_programs;
    const plan_str *scalars;     uint32_t n_scalars;
    const plan_step *steps;      uint32_t n_steps;
    const plan_operand *operands; uint32_t n_operands;
    const plan_gemm *gemms;      uint32_t n_gemms;
    const plan_kernel *kernels;  uint32_t n_kernels;
    const void *consts;          uint64_t n_consts;      /* bytes of region CONST */
    const void *code;            uint64_t n_code;        /* ELF shared object */
    dfm_map map;                             /* reader only */
} plan;

/* META keys used by the runtime: "target" ("cpu"), "cpu" (array of needed cpu flags), "arch",
 * "model", "train", "sampler", "variant", "precision", "batch" (samples per micro-batch), "dims"
 * {name: extent}, "source" (file name), "dfmc" (version), "data" default path or "". */

/* -- plan_write.c: builds the container's bytes in the arena; deterministic -------------------- */
void plan_serialize(const plan *p, dfm_arena *a, const void **out_bytes, size_t *out_n);
dfm_status plan_save(const plan *p, const char *path, dfm_err *err);
/* String pool for writers: offset of s, adding it if new. */
typedef struct plan_pool plan_pool;
plan_pool *plan_pool_create(dfm_arena *a);
plan_str plan_pool_add(plan_pool *pool, const char *s);
const char *plan_pool_bytes(const plan_pool *pool, uint64_t *out_n);

/* -- plan_read.c, plan_verify.c ---------------------------------------------------------------- */
/* Map and verify. DFM_BAD_DATA names the section and the rule. Close with plan_close. */
dfm_status plan_open(const char *path, plan *out, dfm_err *err);
/* The same on bytes that the caller keeps (8-byte aligned). */
dfm_status plan_from_bytes(const void *bytes, size_t n, plan *out, dfm_err *err);
void plan_close(plan *p);
dfm_status plan_verify(const plan *p, dfm_err *err);
static inline const char *plan_text(const plan *p, plan_str s) { return p->strs + s; }
const plan_program *plan_find_program(const plan *p, const char *name);   /* NULL if absent */

/* -- plan_meta.c: values of META, which is one JSON object ------------------------------------- */
/* Text of a key, in the arena; "" if it is absent or no text. */
const char *plan_meta_string(const plan *p, dfm_arena *a, const char *key);
/* A whole number, or false and true as 0 and 1; `fallback` if it is absent or something else. */
int64_t plan_meta_int(const plan *p, const char *key, int64_t fallback);
/* An array of texts, in the arena. Returns how many. */
uint32_t plan_meta_strings(const plan *p, dfm_arena *a, const char *key, const char ***out);

/* -- plan_text.c ------------------------------------------------------------------------------- */
void plan_print(const plan *p, dfm_sb *out);             /* everything: `dfm-rt dis` */
void plan_print_info(const plan *p, dfm_sb *out);        /* what it needs: `dfm-rt info` */

#endif

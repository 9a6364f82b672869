/* cpu_kernel.h - what the files that write one kernel as C share; nobody else includes it.
 *
 *   cpu_access   where each load and store goes, what differs from row to row, merged lanes
 *   cpu_value    one instruction as C
 *   cpu_emit     blocks, tiles of rows, passes
 *
 * A TILE is `tile` consecutive rows of a block that differ in one row dim only (`tile_dim`). Each
 * pass walks over the lanes once for all rows of the tile, so that several streams of memory and
 * several chains of sums are under way at a time, and what is the same for all rows is loaded and
 * computed once. The order of every sum is that of one row after the other.
 */
#ifndef DFM_CODEGEN_CPU_KERNEL_H
#define DFM_CODEGEN_CPU_KERNEL_H

#include <inttypes.h>

#include "codegen/cpu/cpu.h"

/* Where a LOAD or STORE goes: coefficient of each row and lane dim, or text where not affine. */
typedef struct access {
    int64_t c;
    int64_t row[KIR_MAX_RANK], lane[KIR_MAX_RANK], block;
    bool opaque;                         /* some coordinate is not affine: see opaque_text */
    bool opaque_lane;                    /* ... and uses lane dims or lane-level indirects */
} access;

typedef struct emitter {
    dfm_sb *out;
    dfm_arena *a;
    const kir_module *m;
    const ir_module *ir;
    const kir_kernel *k;
    access *acc;                         /* by instruction, LOAD and STORE only */
    const char **dim_text;               /* by dim handle; NULL: not in scope */
    uint8_t *level;                      /* by instruction: 0 kernel, 1 row, 2 lane */
    bool *varies;                        /* by instruction: differs between the rows of a tile */
    uint32_t *direct;                    /* by instruction: ACC: the STORE in whose memory it sums;
                                            such a STORE: its ACC; else 0 */
    bool *starts;                        /* by instruction: the first access of a stream */
    uint32_t n_streams;
    uint32_t n_groups;                   /* merged lane dims */
    uint32_t group_last[KIR_MAX_RANK];   /* last lane dim of the group */
    int64_t group_extent[KIR_MAX_RANK];
    ir_dim tile_dim;                     /* {0}: tiles of one row */
    int tile, row;                       /* rows of a tile; the one that text is for */
    const kir_section *here;             /* that text is for; NULL: the prologue */
    int indent;
} emitter;

#define OUT(...) dfm_sb_printf(em->out, __VA_ARGS__)
#define LINE(...) (cpu_line_start(em), OUT(__VA_ARGS__), dfm_sb_puts(em->out, "\n"))

/* -- cpu_access.c ------------------------------------------------------------------------------ */
void cpu_line_start(emitter *em);
int cpu_find_dim(const ir_dim *dims, uint32_t n, ir_dim d);              /* -1: not there */
/* Sets level, acc, and the merged lanes; then, once tile_dim is known, varies. */
void cpu_analyse(emitter *em);
void cpu_find_variation(emitter *em);
/* A value where it is: in a variable, or where its pass has kept it. */
const char *cpu_value_at(const emitter *em, kir_ref r);
const char *cpu_dim_in_scope(void *user, ir_dim d);
void cpu_row_address(emitter *em, uint32_t inst);        /* the part that all lanes share */
void cpu_lane_address(emitter *em, uint32_t inst);

/* -- cpu_value.c ------------------------------------------------------------------------------- */
const char *cpu_value_ctype(dfm_dtype d);
const char *cpu_reducer_start(ir_reducer r, dfm_dtype d);
/* A largest or smallest float: it is NaN if one of its values is, which the comparisons lose. */
bool cpu_watches_nan(const kir_inst *in);
bool cpu_fn_is_dear(ir_fn fn);                           /* a call of the prelude's mathematics */
/* "v3", or "v3_1" for row 1 of a tile if it varies. */
const char *cpu_name(const emitter *em, const char *letter, uint32_t inst);
/* One instruction, for row em->row; here: the section it is in, NULL in the prologue. */
void cpu_inst_text(emitter *em, uint32_t inst, const kir_section *here);

#endif

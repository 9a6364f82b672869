/* kir.h - K, the kernel IR: what runs, in order, on which buffers.
 *
 * A K module holds, for each program of the plan, a list of nodes in schedule order. A node is a
 * kernel (a loop nest that this compiler generates code for), a matrix product, attention, a
 * scatter, a copy, or a loop around further nodes. Every operand is a strided piece of a buffer.
 * Nothing here knows a target; a target turns each node into code or into a library call.
 *
 * A KERNEL has exactly three levels:
 *
 *     for each block of rows                 in parallel: `block` consecutive rows
 *         acc[...] = 0                       accumulators over the lanes, private to the block
 *         for each row of the block          in order; rows = product of the row dims
 *             section 0   PASS               for each lane (product of the lane dims) ...
 *             section 1   ROW                once per row: scalars
 *             section 2   PASS               ...
 *         section FLUSH                      for each lane: store what was accumulated
 *
 * - Row index r counts row-major over rows[0..n_rows); blocks never straddle a change of the first
 *   n_keep row dims: the remaining row dims (extent R = their product) are cut into
 *   ceil(R / block) blocks. In FLUSH the row dims after the kept ones have no value; instead the
 *   pseudo-dim `block_dim` (extent ceil(R / block)) counts the blocks. ACC needs FLUSH.
 * - A value of a PASS may be used in the same section; in later sections only if it is a REDUCE
 *   result (then it is a row value) or marked `keep` (a lane value kept for the row, used by lane
 *   values at the same lane of later PASSes). Row values may be used anywhere later in the row.
 *   Instructions before the first section (`prologue`) are evaluated once per kernel: they may use
 *   CONST, ITER, STEP, SCALAR, FN, LOAD at constant coordinates.
 * - Coordinates are index expressions over the row dims, the lane dims, `block_dim` (FLUSH) and
 *   indirect dims (i32 values of this kernel used as coordinates: gathers; already clamped).
 * - Kernels never read what they write, except element-wise in place: a STORE and LOADs of the same
 *   operand memory at identical coordinates, LOADs before the STORE.
 * - Float arithmetic is f32. Reductions have a fixed order for given extents and target.
 *
 * Rules checked by kir_verify are numbered K1.. in kir_verify.c.
 * Text: kir_print and kir_parse round-trip. Meaning: kir_interp.c.
 */
#ifndef DFM_COMPILER_KIR_H
#define DFM_COMPILER_KIR_H

#include "compiler/ir/ir.h"

typedef struct { uint32_t i; } kir_buf;      /* a buffer of the module; {0} none */
typedef struct { uint32_t i; } kir_ref;      /* an instruction of a kernel; {0} none */

enum { KIR_MAX_RANK = IR_MAX_RANK, KIR_MAX_LOOPS = IR_MAX_LOOPS, KIR_MAX_ARGS = 64 };

/* -- buffers ----------------------------------------------------------------------------------- */

typedef enum kir_mem {
    KIR_MEM_NONE,
    KIR_MEM_TEMP,                            /* arena, lifetime from use: placed by the planner */
    KIR_MEM_INPUT,                           /* arena, live from the program's start; by name */
    KIR_MEM_OUTPUT,                          /* arena, live to the program's end; by name */
    KIR_MEM_STATE,                           /* persistent flat buffer: state, flat (ir_flat) */
    KIR_MEM_CONST,                           /* read-only table, in the plan */
    KIR_MEM_COUNT
} kir_mem;

typedef struct kir_buffer {
    dfm_name name;                           /* unique in the module */
    kir_mem mem;
    dfm_dtype dtype;
    uint64_t elems;
    uint32_t state, flat;                    /* STATE: indices into the G module's tables */
    const double *data;                      /* CONST: row-major values */
    uint32_t program;                        /* program that owns it (TEMP, INPUT, OUTPUT) */
    uint64_t offset;                         /* bytes in its region, set by the memory plan */
    bool is_draw;                            /* INPUT-like draw: see kir_node.replaces */
} kir_buffer;

/* An operand: a strided window. Address of coordinates c (in elements):
 *   offset + sum_k c[k] * stride[k] + sum_j iter[j] * loop_stride[j]                            */
typedef struct kir_arg {
    kir_buf buf;
    dfm_dtype dtype;                         /* = the buffer's */
    bool write;
    uint8_t rank;
    ir_dim dims[KIR_MAX_RANK];
    int64_t stride[KIR_MAX_RANK];
    int64_t offset;
    int64_t loop_stride[KIR_MAX_LOOPS];      /* by depth of the enclosing loops */
} kir_arg;

/* -- kernels ----------------------------------------------------------------------------------- */

typedef enum kir_op {
    KIR_NONE = 0,
#define KOP(id, name, n, doc) KIR_##id,
#include "compiler/kir/kir_ops.def"
#undef KOP
    KIR_OP_COUNT
} kir_op;

typedef struct kir_inst {
    kir_op op;
    dfm_dtype dtype;                         /* of the value: F32, I32 or BOOL */
    bool keep;                               /* lane value used by later passes of the row */
    ir_fn fn;                                /* FN */
    ir_reducer red;                          /* REDUCE */
    kir_ref ref[3];
    double value;                            /* CONST; LOAD: fill */
    ir_ix ix;                                /* INDEX */
    uint32_t arg;                            /* LOAD, STORE: operand; ITER: depth */
    const ir_ix *coords;                     /* LOAD, STORE: one per dim of the operand */
    uint32_t n_conds;
    const ir_cond *guard;                    /* LOAD, STORE */
    const ir_random *random;                 /* RANDOM */
    uint32_t n_iters;                        /* RANDOM without ref 2: counters of loops
                                                0..n_iters-1 make the loop number (philox.h) */
    dfm_name name;                           /* SCALAR: its name; else for readers */
    dfm_loc loc;
} kir_inst;

typedef enum kir_section_kind { KIR_PASS = 1, KIR_ROW, KIR_FLUSH } kir_section_kind;

typedef struct kir_section {
    kir_section_kind kind;
    uint32_t first, n;                       /* instructions */
} kir_section;

typedef struct kir_indirect { ir_dim dim; kir_ref value; } kir_indirect;

typedef struct kir_kernel {
    dfm_name name;                           /* unique: from the user's names, for profiles */
    uint32_t n_rows, n_lanes, n_keep;
    ir_dim rows[KIR_MAX_RANK], lanes[KIR_MAX_RANK];      /* outermost first */
    int64_t block;                           /* rows per block, >= 1; from shapes only */
    ir_dim block_dim;                        /* {0} unless there is a FLUSH */
    DFM_VEC(kir_arg) args;
    DFM_VEC(kir_inst) insts;                 /* [0] unused; prologue first, then the sections */
    DFM_VEC(kir_section) sections;
    DFM_VEC(kir_indirect) indirect;
    dfm_loc loc;
} kir_kernel;

/* -- nodes ------------------------------------------------------------------------------------- */

/* c[b,m,n] = sum_k a[b,m,k] * b[b,k,n], f32 accumulation; then the epilogue, if there is one: to
 * the result it is a kernel node behind, but a target may run it block by block as soon as the rows
 * of c that a block reads are there. Extents of 1 have stride 0.
 * Strides are in elements: index 0, 1 batch; then rows, columns of each operand. At least one of
 * the two last strides of every operand is 1 (or its extent is). */
typedef struct kir_gemm {
    int64_t batch[2], m, n, k;
    kir_arg a, b, c;                         /* offset, loop strides count; dims are for reading */
    int64_t sa[4], sb[4], sc[4];             /* {b0, b1, m, k}, {b0, b1, k, n}, {b0, b1, m, n} */
    kir_arg bias;                            /* f32[n], stride 1; buf {0}: none */
    kir_arg scratch;                         /* u8; buf {0}: none needed */
    kir_kernel *epi;                         /* runs on rows of c that are complete, while others
                                                are not yet (kir_epi.c); NULL: none */
} kir_gemm;

enum { KIR_ATTN_BATCH = IR_ATTEND_BATCH };

/* o[batch, i, :] = softmax_j(scale * q[batch, i, :] . k[batch, j, :] (+ mask)) v[batch, j, :]
 * lse[batch, i] = log of the sum of exp, f32. Feature strides are 1. Dims of extent 1 fill up. */
typedef struct kir_attn {
    bool backward;
    bool causal;
    int64_t window;                          /* 0: none */
    double scale;
    int64_t batch[KIR_ATTN_BATCH], seq, over, feature, value;
    kir_arg q, k, v, o, lse;                 /* forward writes o, lse; backward reads them */
    kir_arg mask;                            /* bool; buf {0}: none */
    kir_arg d_o, dq, dk, dv;                 /* backward */
    kir_arg scratch;                         /* u8; buf {0}: none needed */
    /* strides in elements: batch dims, then token; mask: batch, seq, over (0: broadcast) */
    int64_t sq[5], sk[5], sv[5], so[5], slse[5], sd_o[5], sdq[5], sdk[5], sdv[5], smask[6];
} kir_attn;

/* out = 0; then, for each index position in row-major order: out[.., index, ..] += updates.
 * Lanes (the dims of updates that index lacks) in parallel. out: `dim` counts its rows.
 * An index outside the range counts as the nearest one inside. */
typedef struct kir_scatter {
    kir_arg index, updates, out;             /* dims by name relate them */
    ir_dim dim;                              /* of out */
} kir_scatter;

typedef struct kir_copy { kir_arg src, dst; int64_t elems; } kir_copy;   /* both contiguous */

typedef enum kir_node_kind {
    KIR_NODE_NONE, KIR_NODE_KERNEL, KIR_NODE_GEMM, KIR_NODE_ATTN, KIR_NODE_SCATTER, KIR_NODE_COPY,
    KIR_NODE_LOOP
} kir_node_kind;

typedef struct kir_node kir_node;
typedef DFM_VEC(kir_node *) kir_nodes;

typedef struct kir_loop {
    ir_dim dim;                              /* extent: trip count */
    uint32_t depth;                          /* 0 outermost; iter[depth] is its counter */
    bool reverse;                            /* counter runs from extent - 1 to 0 */
    kir_nodes body;
} kir_loop;

struct kir_node {
    kir_node_kind kind;
    dfm_loc loc;
    dfm_name name;
    dfm_name replaces;                       /* this node makes a draw that the user may give under
                                                this name instead: then the node is skipped */
    union {
        kir_kernel *kernel;                  /* nodes with identical kernels share code */
        kir_gemm gemm;
        kir_attn attn;
        kir_scatter scatter;
        kir_copy copy;
        kir_loop loop;
    };
};

typedef struct kir_io { dfm_name name; kir_arg arg; ir_type type; } kir_io;

typedef struct kir_program {
    const char *name;                        /* as in ir_program */
    kir_nodes nodes;
    DFM_VEC(kir_io) inputs, outputs;         /* by name: formals, data, draws; results */
    DFM_VEC(dfm_name) scalars;               /* runtime scalars that are used */
    uint64_t arena_bytes;                    /* high-water mark, set by the memory plan */
    uint64_t bound_bytes;                    /* largest sum of live bytes at any node: no plan of
                                                this schedule needs less */
} kir_program;

/* By name: 0, not taken; else the number that the next one of this base tries first. */
typedef DFM_VEC(uint32_t) kir_taken;

typedef struct kir_module {
    dfm_arena *arena;
    ir_module *ir;                           /* dims, index expressions, names, params, flats */
    DFM_VEC(kir_buffer) bufs;                /* [0] unused */
    kir_taken buf_names;
    DFM_VEC(kir_program *) programs;
} kir_module;

/* What kernelisation may ask of a target, as data and as questions. */
typedef struct kir_limits {
    const char *target;                      /* "cpu", "null" */
    uint32_t row_bytes;                      /* kept lane values per row */
    uint32_t max_streams;                    /* operands of one kernel */
    int64_t lane_target;                     /* flat kernels: elements per row */
    /* Scratch a node needs, bytes. */
    uint64_t (*gemm_scratch)(const kir_gemm *g);
    uint64_t (*attn_scratch)(const kir_attn *a, const kir_module *m);
    bool (*gemm_takes)(const kir_gemm *g);   /* false: operands must be copied to f32, dense */
    const char *(*gemm_how)(const kir_gemm *g);       /* how it is computed, for remarks; or NULL */
    /* Would the kernel, which kir_epi_objection allows, run on g's rows? NULL: never. */
    bool (*gemm_epi)(const kir_module *m, const kir_gemm *g, const kir_kernel *k);
} kir_limits;

/* -- kir_build.c ------------------------------------------------------------------------------- */
kir_module *kir_module_create(dfm_arena *a, ir_module *ir);
/* A buffer named so, or name.2, name.3, ... if that is taken. */
kir_buf kir_buffer_new(kir_module *m, kir_mem mem, const char *name, dfm_dtype dt, uint64_t elems);
bool kir_take_name(kir_module *m, kir_taken *t, dfm_name name);  /* false: it is taken */
dfm_name kir_free_name(kir_module *m, kir_taken *t, const char *base);   /* takes it */
kir_ref kir_push(kir_module *m, kir_kernel *k, kir_inst inst);
const kir_inst *kir_at(const kir_kernel *k, kir_ref r);
const char *kir_op_name(kir_op op);
uint32_t kir_op_refs(kir_op op);                                 /* how many refs it may have */
int64_t kir_rows(const ir_module *m, const kir_kernel *k);       /* product of the row extents */
int64_t kir_lanes(const ir_module *m, const kir_kernel *k);
int64_t kir_blocks(const ir_module *m, const kir_kernel *k);     /* kept rows x blocks of each */
/* Calls visit for each operand of a node (loops: not their bodies). */
void kir_each_arg(kir_node *n, void (*visit)(void *user, kir_arg *a), void *user);

/* -- kir_epi.c --------------------------------------------------------------------------------- */
/* Why kernel k, in the node behind g, may not be g's epilogue; NULL: it may. */
const char *kir_epi_objection(const kir_module *m, const kir_gemm *g, const kir_kernel *k);
/* Is the buffer one of the product's own operands? */
bool kir_gemm_uses(const kir_gemm *g, kir_buf b);

/* -- kir_cost.c -------------------------------------------------------------------------------- */
typedef struct kir_cost { double flops, bytes; } kir_cost;
kir_cost kir_node_cost(const kir_module *m, const kir_node *n);  /* of one call; a loop: nothing */

/* -- kir_text.c, kir_parse.c ------------------------------------------------------------------- */
void kir_print(dfm_sb *out, const kir_module *m);
void kir_print_kernel(dfm_sb *out, const kir_module *m, const kir_kernel *k);
dfm_status kir_parse(dfm_arena *a, dfm_names *names, const char *text, size_t n, kir_module **out,
                     dfm_err *err);

/* -- kir_verify.c ------------------------------------------------------------------------------ */
dfm_status kir_verify(const kir_module *m, dfm_err *err);
/* Does the kernel keep K4 to K11, inside `depth` loops of these trip counts? */
bool kir_kernel_is_sound(const kir_module *m, const kir_kernel *k, uint32_t depth,
                         const int64_t *trips);

/* -- kir_interp.c: runs a program on real memory, shares no code with any emitter -------------- */
typedef struct kir_env {
    uint64_t seed, step;
    int64_t first_sample;
    double (*scalar)(void *user, const char *name);
    bool (*replaced)(void *user, const char *name);      /* is the draw given? */
    void *user;
} kir_env;
/* base[b] is the memory of buffer b (dtype as stored; the caller places them, planned or not). */
dfm_status kir_interpret(const kir_module *m, const kir_program *p, void *const *base,
                         const kir_env *env, dfm_err *err);

/* -- compiler/lower ---------------------------------------------------------------------------- */
typedef void kir_remark_fn(void *user, dfm_loc loc, const char *text);
/* kernelize.c: one K program per G program. G must be free of calls (pass_inline_calls). */
dfm_status lower_kernelize(ir_module *ir, const kir_limits *limits, dfm_arena *a,
                           kir_remark_fn *remark, void *user, kir_module **out, dfm_err *err);
/* memplan.c: lets buffers of one program share memory where no copy is needed (share.c rewrites
 * operands for it), then sets offset of every TEMP, INPUT and OUTPUT buffer (64-byte aligned, no
 * two live ones overlap) and arena_bytes and bound_bytes of every program. Buffers of different
 * programs may overlap. */
typedef struct lower_holder { dfm_name name; uint64_t bytes; bool stack; } lower_holder;
typedef struct lower_memory {
    uint64_t arena_bytes;                    /* maximum over the programs */
    uint64_t lower_bound;                    /* largest sum of live bytes at any node */
    uint32_t program;                        /* the one with that node */
    DFM_VEC(lower_holder) holders;           /* what is live there, largest first, in m's arena */
    uint32_t n_in_place, n_in_slots;         /* buffers that share another one's memory */
} lower_memory;
dfm_status lower_memplan(kir_module *m, lower_memory *out, dfm_err *err);

#endif

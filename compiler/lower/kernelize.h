/* kernelize.h - what the files of kernelisation share; nobody else includes it.
 *
 * A FRAME is one instance of a graph: a program's, or the body of a scan inside it. Each value of a
 * frame is either MATERIAL (it lives in memory: a root or an anchor's result) or is computed inside
 * the kernels that use it, at the coordinates they need. The steps for a frame, one file each:
 *
 *   plan      which values are material; UNITS: one group per root, one unit per anchor
 *   fuse      merges groups into kernels with several roots
 *   schedule  a topological order of the units, in G's order where free
 *   emit      a group becomes a kernel (pull + kernel), an anchor a gemm, attn, scatter or loop
 */
#ifndef DFM_COMPILER_LOWER_KERNELIZE_H
#define DFM_COMPILER_LOWER_KERNELIZE_H

#include "compiler/kir/kir.h"

typedef struct kz_frame kz_frame;
typedef struct kz_val { kz_frame *f; ir_val v; } kz_val;

typedef struct kz_slot {                     /* what is known about one value of a frame */
    bool material;                           /* lives in memory; else inlined */
    bool aliased;                            /* a capture: the same value as `alias` */
    bool placed;                             /* `place` is valid */
    kz_val alias;
    kir_arg place;                           /* dims: those of the type, in its order */
    uint32_t unit;                           /* that makes it, + 1 */
    uint32_t uses;                           /* consumers, seen through free ops */
    uint32_t readers;                        /* live units that have it among their leaves */
    uint32_t weight, flops;                  /* loads and operations of the inlined expression */
    ir_val product, bias;                    /* this value is that contraction plus that vector */
    ir_val maker;                            /* this value is pieces that this anchor writes */
} kz_slot;

typedef enum kz_root_kind {
    KZ_STORE,                                /* element-wise; or row-valued in a row group */
    KZ_ROW,                                  /* reduces all lanes */
    KZ_COLUMN,                               /* sums over rows: ACC, partials, combine */
    KZ_SPLIT,                                /* reduces all lanes, some rows: likewise */
} kz_root_kind;

typedef struct kz_root {
    ir_val v;
    kz_root_kind kind;
    bool has_dest;                           /* a copy of v to dest, else v itself to its place */
    kir_arg dest;
} kz_root;

typedef struct kz_leaf { ir_val v; bool identity; } kz_leaf;
typedef DFM_VEC(kz_leaf) kz_leaves;

typedef struct kz_unit {
    bool dead;                               /* merged into another */
    bool emitted, deferred;
    ir_val anchor;                           /* {0}: a group */
    DFM_VEC(kz_root) roots;
    kz_leaves leaves;                        /* what it reads: material and placed values */
    uint32_t n_dims, n_lanes;                /* group: space; lanes 0: free to choose */
    ir_dim dims[IR_MAX_RANK], lanes[IR_MAX_RANK];
    uint32_t key;                            /* place in G's order */
    uint32_t mark;                           /* visited by a search */
} kz_unit;

typedef struct kz_pending { kir_arg from, to; } kz_pending;

typedef struct kz {
    ir_module *m;
    kir_module *k;
    const kir_limits *lim;
    dfm_arena *a;
    kir_remark_fn *remark;
    void *user;
    const ir_program *ip;
    kir_program *prog;
    kir_taken kernel_names;
    dfm_err *err;
    dfm_status status;                       /* first failure */
} kz;

struct kz_frame {
    kz *z;
    kz_frame *up;
    const ir_graph *g;
    uint32_t depth;                          /* loops around it */
    kz_slot *slot;                           /* by value */
    DFM_VEC(kz_unit) units;
    DFM_VEC(kz_pending) pending;             /* copies at the end of the frame */
    kir_nodes *out;
    uint32_t search;
    bool keep_draws;                         /* draws are materialised alone */
    const bool *unused;                      /* results that nobody wants, or NULL: all wanted */
};

/* -- kernelize_place.c: where values are ------------------------------------------------------- */
kz_val kz_resolve(kz_frame *f, ir_val v);               /* through captures */
const ir_op *kz_op(kz_val x);
kz_slot *kz_slot_of(kz_val x);
kir_arg kz_dense(kz *z, kir_buf b, ir_type t); /* the whole buffer, row-major in t's order */
kir_arg kz_temp(kz *z, const char *name, ir_type t);
/* A temporary for v, in the order that the product which reads it wants. */
kir_arg kz_temp_for(kz_frame *f, ir_val v);
/* The operand with dims renamed and reordered to those of t (by name, else by position). */
kir_arg kz_as(const kz *z, kir_arg a, ir_type t);
/* A view of an operand as an operand, if it is strided. */
bool kz_view_arg(kz *z, const kir_arg *src, const ir_op *view, kir_arg *out);
/* v in memory as it is, through strided views; false if it is not. */
bool kz_window(kz_frame *f, ir_val v, kir_arg *out);
kir_arg kz_state_arg(kz *z, uint32_t state, uint32_t flat, ir_type t, uint64_t offset);
kir_arg kz_param_arg(kz *z, uint32_t state, uint32_t param);
kir_arg kz_const_arg(kz *z, const ir_op *op);
int64_t kz_extents(const kz *z, const ir_dim *d, uint32_t n);
bool kz_has(const ir_dim *list, uint32_t n, ir_dim d);
bool kz_is_free(const ir_op *op);            /* costs nothing inside a kernel */
bool kz_is_pointwise(const ir_op *op);       /* may be inlined */
/* A contraction without rows or columns, as a reduction: sum over pairs of products, per batch. */
bool kz_is_dot(const kz_frame *f, const ir_op *op);
dfm_dtype kz_scalar_type(dfm_dtype d);       /* of the value inside a kernel */
const char *kz_name(const kz_frame *f, ir_val v);
dfm_loc kz_loc(const kz_frame *f, ir_val v);
kir_node *kz_node(kz_frame *f, kir_node_kind kind, ir_val v);
void kz_note(kz *z, dfm_loc loc, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* -- kernelize_plan.c, kernelize_fuse.c -------------------------------------------------------- */
void kz_plan(kz_frame *f);
void kz_assemble(kz_frame *f);                          /* kernelize_assemble.c */
enum { KZ_ACC_ELEMS = 1 << 18 };             /* accumulators of a kernel: they lie on the stack */
void kz_make_units(kz_frame *f);
void kz_split_unit(kz_frame *f, uint32_t unit);         /* back to one unit per root */
void kz_add_copy(kz_frame *f, ir_val v, const kir_arg *dest);        /* a unit that copies v */
void kz_gather_leaves(kz_frame *f, ir_val v, bool identity, bool expand, kz_leaves *out);
/* u becomes a reader of its leaves (by: 1), or is none any more (-1), before they change. */
void kz_count_reads(kz_frame *f, const kz_unit *u, int by);
/* Does a unit besides these two (NULL: none) read v? */
bool kz_read_by_others(const kz_frame *f, ir_val v, const kz_unit *p, const kz_unit *c);
void kz_fuse(kz_frame *f);
/* The rule (docs/design/0004) that keeps two groups from being one kernel, or NULL. */
const char *kz_why_apart(kz_frame *f, const kz_unit *p, const kz_unit *c);
/* kernelize_remark.c: says what was fused into the kernel of this unit, and what was not. */
void kz_remark_kernel(kz_frame *f, uint32_t unit, const kir_kernel *k);
void kz_take_biases(kz_frame *f);                       /* kernelize_bias.c */

/* -- kernelize_pull.c, kernelize_kernel.c ------------------------------------------------------ */
enum { KZ_CONST, KZ_ROWS, KZ_LANES };        /* levels */
enum { KZ_MAX_DEPS = 8 };

typedef struct kz_guard { uint32_t n; const ir_cond *c; } kz_guard;

typedef struct kz_inst {                     /* an instruction before it has a section */
    kir_inst inst;
    uint8_t level;
    uint32_t phase;
    uint32_t deps[KZ_MAX_DEPS], n_deps;      /* values behind indirect coordinates */
} kz_inst;

typedef struct kz_memo { kz_val x; uint32_t guard; const ir_ix *coords; kir_ref ref; } kz_memo;

typedef struct kz_kernel {                   /* a kernel under construction */
    kz *z;
    kz_frame *f;
    uint32_t unit;                           /* the group it is for + 1, or 0 */
    kir_kernel *k;
    DFM_VEC(kz_inst) insts;
    DFM_VEC(kz_memo) memo;
    DFM_VEC(kz_guard) guards;
    DFM_VEC(kir_indirect) indirect;          /* values are indices into insts */
    ir_dim cut, cut_row, cut_lane;           /* one dim cut in two */
    bool stores_last;
} kz_kernel;

ir_ix kz_coord(kz_kernel *b, ir_dim d);                 /* of a dim of the space */
const ir_ix *kz_coords(kz_kernel *b, ir_type t);
kir_ref kz_pull(kz_kernel *b, kz_val x, const ir_ix *coords, uint32_t guard);
kir_ref kz_add_inst(kz_kernel *b, kir_inst i);
kir_ref kz_load(kz_kernel *b, const kir_arg *a, const ir_ix *coords, uint32_t guard, double fill);
void kz_store(kz_kernel *b, kir_ref v, kir_arg dest);
uint32_t kz_arg_index(kz_kernel *b, const kir_arg *a);
kir_arg kz_over_space(kz_kernel *b, const kir_arg *a, const ir_ix *coords, const ir_ix **out);

void kz_emit_group(kz_frame *f, uint32_t unit);
void kz_emit_copy(kz_frame *f, ir_val v, const kir_arg *dest);
void kz_copy_args(kz_frame *f, const kir_arg *from, const kir_arg *to, const char *name);
/* dest = the partials reduced over all dims that dest lacks. */
void kz_combine(kz_frame *f, const kir_arg *partial, ir_reducer red, const kir_arg *dest,
                const char *name, dfm_loc loc);
void kz_finish_kernel(kz_kernel *b);                    /* kernelize_sections.c */

/* -- kernelize_anchor.c, kernelize_attend.c, kernelize_scan.c ---------------------------------- */
void kz_emit_anchor(kz_frame *f, ir_val v);
void kz_emit_attend(kz_frame *f, ir_val v);
void kz_emit_scan(kz_frame *f, ir_val v);
/* An operand as a window: in place or, if it is no window, a copy. */
kir_arg kz_operand(kz_frame *f, ir_val v);
kir_arg kz_copied(kz_frame *f, const kir_arg *a, dfm_dtype dt, const ir_dim *order,
                  const char *name);
kir_arg kz_member_place(kz_frame *f, ir_val tuple, uint32_t member);
void kz_scratch(kz *z, kir_arg *out, uint64_t bytes);

/* -- kernelize.c ------------------------------------------------------------------------------- */
void kz_emit_frame(kz_frame *f);
kz_frame *kz_frame_new(kz *z, kz_frame *up, const ir_graph *g, uint32_t depth, kir_nodes *out);
/* Would writing dest now spoil what this or a later unit of the frame still reads? */
bool kz_read_later(const kz_frame *f, uint32_t unit, const kir_arg *dest);
void kz_fail(kz *z, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* -- kernelize_epi.c: products take the kernels behind them ------------------------------------ */
void kz_join_epilogues(kz *z);

#endif

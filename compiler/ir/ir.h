/* ir.h - G, the graph IR: ops on tensors whose dims have names.
 *
 * A module holds everything one compilation knows: dims, types, index expressions (all interned,
 * so equality is ==), parameters, and graphs. A graph is an array of ops in topological order;
 * a value is the index of the op that makes it. Ops with several results make a tuple that `get`
 * takes apart. A repeated body (`scan`) is a graph of its own, held once.
 *
 *   module --+-- dims     B=8  S=16=Gy*Gx  D=96  D'=96 (alias of D)
 *            +-- types    f32[B,S,D]   (f32[B,S,D], f32[B,S])
 *            +-- params   blocks.{i}.attn.qkv.weight : f32[L,QKV,H,Dh,D]
 *            +-- graphs   forward, loss, blocks.body, ...
 *            +-- programs what the plan will hold: init forward loss grad step.* sample
 *
 * Rules (checked by ir_verify; numbers are the verifier's):
 *   R1 operands come before their user in the same graph; only `get` takes a tuple.
 *   R2 no type holds a dim twice. Dims are identified by handle, never by extent.
 *   R3 map: every operand's dims are a subset of the result's; the result's are their union
 *      (any order); dtypes per ir_fns.def. Float operands may mix f32 and bf16.
 *   R4 view: one coordinate per dim of the source; coordinates use only dims of the result; where
 *      the guard holds they lie inside the source.
 *   R5 reduce: result dims = operand dims without `dims`; argmax reduces one dim and gives i32.
 *   R6 contract: pairs have equal extents; result = all unpaired dims of both, shared ones once.
 *   R7 scan: body formals and results match the op's operands and type (see ir_scan).
 *   R8 a body graph uses nothing but its own ops: what it needs from outside is captured.
 *   R9 const data has as many elements as its type.
 *   R10 dims, tables and programs refer to what exists.
 *
 * Meaning is defined by the float64 interpreter (ir_interp.c). Rounding to bf16 happens at
 * `cast`; a target may round anywhere else where it stores a value typed bf16.
 *
 * Memory: everything belongs to the module's arena. Text: ir_print and ir_parse round-trip.
 */
#ifndef DFM_COMPILER_IR_H
#define DFM_COMPILER_IR_H

#include <stdbool.h>
#include <stdint.h>

#include "compiler/loc.h"
#include "runtime/base/arena.h"
#include "runtime/base/dtype.h"
#include "runtime/base/status.h"
#include "runtime/base/str.h"

typedef struct { uint32_t i; } ir_val;       /* an op of a graph; {0} none */
typedef struct { uint32_t i; } ir_dim;       /* a named dim of a module; {0} none */
typedef struct { uint32_t i; } ir_type;      /* an interned type; {0} none */
typedef struct { uint32_t i; } ir_ix;        /* an interned index expression; {0} none */

enum { IR_MAX_RANK = 16, IR_MAX_FACTORS = 8 };
/* Scans, one inside the other; batch dims of an attention that are longer than 1. */
enum { IR_MAX_LOOPS = 4, IR_ATTEND_BATCH = 4 };

typedef enum ir_op_kind {
    IR_NONE = 0,
#define OP(id, name, lo, hi, cls, grad, doc) IR_##id,
#include "compiler/ir/ir_ops.def"
#undef OP
    IR_OP_COUNT
} ir_op_kind;

typedef enum ir_fn {
    IR_FN_NONE = 0,
#define FN(id, name, arity, cls, doc) IR_FN_##id,
#include "compiler/ir/ir_fns.def"
#undef FN
    IR_FN_COUNT
} ir_fn;

typedef enum ir_fn_class { IR_ARITH = 1, IR_FLOAT, IR_CMP, IR_LOGIC, IR_SELECT } ir_fn_class;

typedef enum ir_reducer {
    IR_RED_NONE, IR_RED_SUM, IR_RED_PROD, IR_RED_MAX, IR_RED_MIN, IR_RED_ANY, IR_RED_ALL,
    IR_RED_ARGMAX,                           /* first index of the maximum, i32 */
    IR_RED_COUNT
} ir_reducer;

typedef enum ir_dist { IR_DIST_NONE, IR_UNIFORM, IR_NORMAL, IR_RANDINT, IR_DIST_COUNT } ir_dist;

/* -- dims, types ------------------------------------------------------------- ir_module.c -- */

typedef struct ir_dim_info {
    dfm_name name;                           /* unique in the module */
    int64_t extent;                          /* >= 1 */
    ir_dim alias_of;                         /* D' is an alias of D: same extent and sharding */
    uint8_t n_factors;                       /* S = Gy * Gx: set by the first split or merge */
    ir_dim factors[IR_MAX_FACTORS];
    dfm_loc loc;                             /* declaration */
} ir_dim_info;

typedef struct ir_type_info {
    bool is_tuple;
    dfm_dtype dtype;                         /* tensor: element type */
    uint8_t rank;
    ir_dim dims[IR_MAX_RANK];                /* tensor: in storage order, outermost first */
    uint32_t n_members;
    const ir_type *members;                  /* tuple */
} ir_type_info;

/* -- index expressions -------------------------------------------------------- ir_index.c -- */

/* Quasi-affine integer expressions over dims (each dim stands for its index variable). Division
 * and remainder round toward minus infinity; divisors are positive constants. The builders
 * simplify to a canonical form, so equal expressions nearly always have equal handles. */
typedef enum ir_ix_kind {
    IX_NONE, IX_CONST, IX_VAR, IX_ADD, IX_MUL, IX_DIV, IX_MOD, IX_CLAMP
} ir_ix_kind;

typedef struct ir_ix_node {
    ir_ix_kind kind;
    ir_dim var;                              /* VAR */
    ir_ix a, b;                              /* ADD a + b; MUL a * c; DIV a // c; MOD a % c */
    int64_t c, c2;                           /* CONST c; CLAMP min(max(a, c), c2) */
} ir_ix_node;

/* A condition lo <= e <= hi. A guard is a list of them, all of which must hold. */
typedef struct ir_cond {
    ir_ix e;
    int64_t lo, hi;
} ir_cond;

/* -- attributes: one struct per op kind that has any ---------------------------------------- */

typedef enum ir_role {                       /* what an `input` is */
    IR_ROLE_NONE,
    IR_ROLE_BODY,                            /* formal of a scan body or call body, by index */
    IR_ROLE_FORMAL,                          /* formal of the model or of a sampler */
    IR_ROLE_DATA,                            /* from the dataset */
    IR_ROLE_SCALAR,                          /* from the runtime: step (i32), ... */
    IR_ROLE_STATE,                           /* a flat persistent buffer: see ir_flat */
} ir_role;

typedef struct ir_input { ir_role role; uint32_t index; dfm_name name; } ir_input;
typedef struct ir_const { const double *data; uint64_t n; } ir_const;    /* row-major over type */
/* random: args = at most 4 i32 scalars, the counters of the enclosing loops, outermost first,
 * joined by dfm_draw_loop (runtime/base/philox.h). */
typedef struct ir_random {
    ir_dist dist;
    uint64_t stream;                         /* hash of section and variable */
    ir_dim sample;                           /* dim that counts samples, or none (sample 0) */
    int64_t lo, hi;                          /* randint: lo <= x < hi */
    dfm_name name;                           /* the user's variable: replaceable in loss, grad */
} ir_random;
typedef struct ir_view {
    const ir_ix *coords;                     /* one per dim of the source */
    uint32_t n_conds;
    const ir_cond *guard;                    /* over the result's dims */
    double fill;                             /* where the guard fails */
} ir_view;
typedef struct ir_reduce { ir_reducer kind; uint32_t n_dims; const ir_dim *dims; } ir_reduce;
typedef struct ir_pair { ir_dim a, b; } ir_pair;
typedef struct ir_contract { uint32_t n_pairs; const ir_pair *pairs; } ir_contract;
typedef struct ir_gather { ir_dim dim; } ir_gather;    /* gather: of args[0]; scatter: of result */
typedef struct ir_attend {
    ir_dim seq, over;                        /* token dim of q, and of k and v (may be equal) */
    ir_dim feature, value;                   /* last dim of q and k; last dim of v and o */
    double scale;
    bool causal;                             /* key index <= query index */
    int64_t window;                          /* 0: none; else |query - key| <= window */
} ir_attend;
typedef struct ir_scan {
    uint32_t body;                           /* graph index in the module */
    ir_dim loop;                             /* its extent is the trip count */
    uint32_t n_carry, n_xs, n_caps, n_ys;
    bool reverse;                            /* iterations from last to first */
} ir_scan;
/* scan: args = carries, xs (each has `loop` as first dim), captures.
 *       body formals = iter (i32 scalar), carries, xs without `loop`, captures.
 *       body results = next carries, ys.   type = tuple (carries, ys with `loop` prepended). */
typedef struct ir_call { uint32_t body, vjp; } ir_call;
/* call: args = formals of body; type = type of body's result (tuple if several).
 *       vjp graph formals = args, results of body, cotangents of results; its results = one
 *       cotangent per formal of body, in order. */

typedef union ir_attrs {
    ir_input input;
    uint32_t param;                          /* param: index into the module's table */
    ir_const cst;
    ir_random random;
    ir_fn fn;                                /* map */
    ir_view view;
    ir_reduce reduce;
    ir_contract contract;
    ir_gather gather;                        /* gather, scatter_add */
    ir_attend attend;                        /* attend, attend_bwd */
    ir_scan scan;
    ir_call call;
    uint32_t member;                         /* get */
} ir_attrs;

/* What the layout wants of a value that backward needs: see pass/remat.h. Part of the text, of no
 * meaning for the numbers. */
typedef enum ir_keep { IR_KEEP_FREE, IR_KEEP_SAVED, IR_KEEP_AGAIN, IR_KEEP_COUNT } ir_keep;

typedef struct ir_op {
    ir_op_kind kind;
    ir_keep keep;
    uint32_t n_args;
    const ir_val *args;
    const ir_attrs *at;                      /* never NULL */
    ir_type type;
    dfm_name name;                           /* the user's name for the value, or none */
    dfm_loc loc;
} ir_op;

typedef struct ir_result { ir_val val; dfm_name name; } ir_result;

typedef struct ir_graph {
    dfm_name name;
    DFM_VEC(ir_op) ops;                      /* [0] is unused */
    DFM_VEC(ir_result) results;
    DFM_VEC(ir_val) inputs;                  /* body formals in order; else order of emission */
    struct ir_cse *cse;                      /* builder's table of identical ops */
} ir_graph;

/* -- parameters, programs -------------------------------------------------------------------- */

typedef enum ir_init {
    IR_INIT_NONE, IR_INIT_ZEROS, IR_INIT_ONES, IR_INIT_CONSTANT, IR_INIT_NORMAL, IR_INIT_UNIFORM,
    IR_INIT_XAVIER_UNIFORM, IR_INIT_TRUNC_NORMAL, IR_INIT_TABLE, IR_INIT_COUNT
} ir_init;

typedef struct ir_param {
    dfm_name path;                           /* "blocks.{i}.attn.qkv.weight" */
    ir_type type;                            /* stored: dims of enclosing repeats, then declared */
    uint8_t n_loops;                         /* how many leading dims are repeats */
    dfm_name loop_vars[4];                   /* names in braces in path, outermost first */
    bool trainable;                          /* false: buffer or frozen */
    bool is_buffer;
    uint32_t n_tags;
    const dfm_name *tags;                    /* "no_decay", ... */
    ir_init init;
    double init_a, init_b;                   /* constant; std; bounds; trunc: std */
    int64_t fan_in, fan_out;                 /* xavier */
    const double *table;                     /* IR_INIT_TABLE: row-major over type */
    uint8_t file_rank;                       /* published shape of one layer's slice */
    int64_t file_shape[IR_MAX_RANK];
    dfm_name published;                      /* published name, same loop_vars in braces */
    bool reshape_any;                        /* weights map says: any shape of equal size */
    uint32_t group;                          /* index into flats: which flat buffer holds it */
    uint64_t flat_offset;                    /* elements from the group's start; 16-aligned */
    dfm_loc loc;
} ir_param;

/* All parameters of one kind (dtype, decay tag, trainable or not) lie in one flat buffer, each at
 * a multiple of 16 elements; padding is zero. Gradients and optimizer state have the same layout.
 * The optimizer works on the flat buffers: an `input` of role STATE has type dtype[P_k], with
 * P_k a dim of extent n_elems, and index = (kind of state, group) as registered here. */
typedef struct ir_flat {
    dfm_name name;                           /* "decay", "no_decay", "frozen": unique */
    dfm_dtype dtype;
    bool trainable;
    ir_dim dim;                              /* P_k */
    uint64_t n_elems;
} ir_flat;

/* A kind of flat state: weights, gradients, and what the optimizer declares (m, v, ema.0). */
typedef struct ir_state {
    dfm_name name;                           /* "w", "g", "adamw.m", "ema.0" */
    dfm_dtype dtype;                         /* NONE: that of the group */
    bool is_ema;                             /* a copy of the weights, starts equal to them */
    bool saved;                              /* part of a checkpoint */
} ir_state;
enum { IR_STATE_W = 0, IR_STATE_G = 1, IR_STATE_FIRST_OPT = 2 };
/* input.index of a STATE input, and target of a STATE result: state * IR_STATE_STRIDE + flat. */
enum { IR_STATE_STRIDE = 256 };

typedef struct ir_data_field {               /* `data x0: f32[B,C,Y,X] in webdataset("...")` */
    dfm_name name;
    ir_type type;
    const char *source;                      /* member of the sample: "image.npy", "cls" */
    const char *pad_dim;                     /* NULL, or dim name padded with zeros at its end */
    dfm_loc loc;
} ir_data_field;

typedef enum ir_target {                     /* where a program's result goes */
    IR_TO_OUTPUT = 1,                        /* named output, read by the host */
    IR_TO_GRAD,                              /* gradient of parameter `index` */
    IR_TO_STATE,                             /* flat state, written in place */
    IR_TO_PARAM,                             /* parameter `index` (program init) */
} ir_target;

typedef struct ir_program {
    const char *name;                        /* "init", "forward", "loss", "grad", "step.grad",
                                                "step.update", "step.accumulate", "sample" */
    uint32_t graph;                          /* index; graph results in order: */
    uint32_t n_results;
    const ir_target *to;                     /* one per result */
    const uint32_t *index;                   /* parameter or state index, else 0 */
    bool replace_draws;                      /* draws are materialised: inputs may replace them */
} ir_program;

/* Append to out what a loc means, "dit.dfm:41:9", or nothing for none. */
typedef void ir_place_of(const void *user, dfm_loc loc, dfm_sb *out);

typedef struct ir_module {
    dfm_arena *arena;
    dfm_names *names;
    DFM_VEC(ir_dim_info) dims;               /* [0] unused, as in the next four */
    DFM_VEC(ir_type_info) types;
    DFM_VEC(ir_ix_node) ixs;
    DFM_VEC(ir_graph *) graphs;              /* [0] is NULL */
    DFM_VEC(ir_param) params;                /* from index 0 */
    DFM_VEC(ir_flat) flats;
    DFM_VEC(ir_state) states;
    DFM_VEC(ir_data_field) data;
    DFM_VEC(ir_program) programs;
    const char *model;                       /* name of the model, train section, sampler */
    const char *train, *sampler, *variant, *precision;
    const char *weights_folder;              /* of published weights: "transformer"; or NULL */
    bool weights_strict;                     /* names in a weights file that nothing takes: error */
    const char *data_path;                   /* default of data.path, or NULL */
    ir_dim batch;                            /* first dim of every data field, or of the model */
    struct ir_intern *intern;                /* hash tables behind types and ixs */
    ir_place_of *place_of;                   /* NULL: places of ops are not printed */
    const void *place_user;
} ir_module;

ir_module *ir_module_create(dfm_arena *a, dfm_names *names);

/* A new dim. If the name is taken by a dim of equal extent that one is returned; if by one of
 * another extent, primes are appended until the name is free. */
ir_dim ir_dim_new(ir_module *m, dfm_name name, int64_t extent, dfm_loc loc);
ir_dim ir_dim_alias(ir_module *m, ir_dim d);             /* a fresh-or-interned alias: D', D''.. */
ir_dim ir_dim_nth_alias(ir_module *m, ir_dim d, uint32_t n);     /* 0: d itself */
ir_dim ir_dim_find(const ir_module *m, dfm_name name);           /* {0} if there is none */
const char *ir_dim_str(const ir_module *m, ir_dim d);
int64_t ir_extent(const ir_module *m, ir_dim d);

ir_type ir_tensor(ir_module *m, dfm_dtype dt, const ir_dim *dims, uint32_t rank);
ir_type ir_tuple(ir_module *m, const ir_type *members, uint32_t n);
const ir_type_info *ir_type_of(const ir_module *m, ir_type t);
int ir_dim_at(const ir_module *m, ir_type t, ir_dim d);          /* position of d, or -1 */
uint64_t ir_elems(const ir_module *m, ir_type t);                /* product of the extents */
ir_type ir_with_dtype(ir_module *m, ir_type t, dfm_dtype dt);
ir_type ir_without_dims(ir_module *m, ir_type t, const ir_dim *dims, uint32_t n);
/* Dims of a, then those of b that a lacks, with dtype dt. */
ir_type ir_union(ir_module *m, dfm_dtype dt, ir_type a, ir_type b);

ir_graph *ir_graph_create(ir_module *m, const char *name, uint32_t *out_index);
/* A graph that the module does not list: for steps in between. */
ir_graph *ir_graph_scratch(ir_module *m);

static inline bool ir_same(ir_val a, ir_val b) { return a.i == b.i; }
static inline bool ir_dim_same(ir_dim a, ir_dim b) { return a.i == b.i; }
static inline const ir_op *ir_op_of(const ir_graph *g, ir_val v) { return &g->ops.p[v.i]; }

/* -- ir_index.c ------------------------------------------------------------------------------ */
ir_ix ir_ix_const(ir_module *m, int64_t c);
ir_ix ir_ix_var(ir_module *m, ir_dim d);
/* Greatest common divisor, not negative; 1 if an operand is INT64_MIN. */
int64_t ir_gcd(int64_t a, int64_t b);
ir_ix ir_ix_add(ir_module *m, ir_ix a, ir_ix b);
ir_ix ir_ix_mul(ir_module *m, ir_ix a, int64_t c);
ir_ix ir_ix_div(ir_module *m, ir_ix a, int64_t c);               /* c > 0 */
ir_ix ir_ix_mod(ir_module *m, ir_ix a, int64_t c);               /* c > 0 */
ir_ix ir_ix_clamp(ir_module *m, ir_ix a, int64_t lo, int64_t hi);
const ir_ix_node *ir_ix_of(const ir_module *m, ir_ix x);
/* Simultaneous substitution of to[k] for the variable of from[k]. */
ir_ix ir_ix_subst(ir_module *m, ir_ix x, const ir_dim *from, const ir_ix *to, uint32_t n);
/* Bounds over all indices of the dims that occur, 0 <= d < extent. Never too narrow. */
void ir_ix_range(const ir_module *m, ir_ix x, int64_t *lo, int64_t *hi);
int64_t ir_ix_eval(const ir_module *m, ir_ix x, const ir_dim *dims, const int64_t *at, uint32_t n);
bool ir_ix_uses(const ir_module *m, ir_ix x, ir_dim d);
/* x as sum of coef[k] * dims[k] + c, if it is affine with at most `cap` variables. */
bool ir_ix_affine(const ir_module *m, ir_ix x, ir_dim *dims, int64_t *coef, uint32_t cap,
                  uint32_t *out_n, int64_t *out_c);

/* -- ir_build.c: one function per op; each emits at the end of g and returns the value --------
 *
 * Operands must be values of g of fitting types (asserted: the front end reports user errors
 * before). Emission folds: operations on constants are evaluated in float64 (results up to
 * IR_FOLD_ELEMS elements), trivial identities (x + 0, x * 1, select of a constant condition, cast
 * to own type, view of view, identity view, reduce over dims of extent 1, ...) return an older
 * value, and an identical pure op already in g is returned instead of a new one.
 */
enum { IR_FOLD_ELEMS = 1 << 22 };

typedef struct ir_builder {
    ir_module *m;
    ir_graph *g;
    dfm_loc loc;                             /* given to what is emitted */
    ir_keep keep;                            /* likewise */
} ir_builder;

ir_val ir_input_new(ir_builder *b, ir_type t, ir_role role, uint32_t index, const char *name);
ir_val ir_param_ref(ir_builder *b, uint32_t param);
ir_val ir_scalar(ir_builder *b, dfm_dtype dt, double x);
ir_val ir_table(ir_builder *b, ir_type t, const double *data);   /* data is kept, not copied */
ir_val ir_iota(ir_builder *b, ir_dim d);
ir_val ir_random_draw(ir_builder *b, ir_type t, const ir_random *at, const ir_val *loops,
                      uint32_t n_loops);
/* Result dims: those of the operand of highest rank (the first such) in its order, then what the
 * others add, in operand order. Result dtype: per class; ARITH/FLOAT on floats: f32 if any operand
 * is f32, else that of the operands (f64 only if all are). */
ir_val ir_map1(ir_builder *b, ir_fn fn, ir_val x);
ir_val ir_map2(ir_builder *b, ir_fn fn, ir_val x, ir_val y);
ir_val ir_map3(ir_builder *b, ir_fn fn, ir_val x, ir_val y, ir_val z);
ir_val ir_cast(ir_builder *b, ir_val x, dfm_dtype dt);
ir_val ir_stop_grad(ir_builder *b, ir_val x);
/* Result dims are those of `t` (its dtype must be x's). coords: one per dim of x. */
ir_val ir_view_of(ir_builder *b, ir_val x, ir_type t, const ir_ix *coords, const ir_cond *guard,
                  uint32_t n_conds, double fill);
ir_val ir_broadcast(ir_builder *b, ir_val x, ir_type t);         /* t has all dims of x */
ir_val ir_rename(ir_builder *b, ir_val x, ir_dim from, ir_dim to);       /* equal extents */
ir_val ir_transpose_to(ir_builder *b, ir_val x, ir_type t);      /* same dims, another order */
ir_val ir_reduce_over(ir_builder *b, ir_reducer kind, ir_val x, const ir_dim *dims, uint32_t n);
/* t gives dtype and the order of the result's dims; ir_contract_type makes the usual one: shared
 * dims and unpaired dims of x in x's order, then unpaired dims of y. Accumulation is f32. */
ir_val ir_contract_over(ir_builder *b, ir_val x, ir_val y, const ir_pair *pairs, uint32_t n,
                        ir_type t);
ir_type ir_contract_type(ir_module *m, ir_type x, ir_type y, const ir_pair *pairs, uint32_t n,
                         dfm_dtype dt);
/* Result dims: those of the table with `dim` replaced by the index's dims (shared ones once). */
ir_val ir_gather_rows(ir_builder *b, ir_val table, ir_dim dim, ir_val index);
ir_val ir_scatter_add_rows(ir_builder *b, ir_val index, ir_val updates, ir_dim dim, ir_type t);
ir_val ir_attend_fwd(ir_builder *b, ir_val q, ir_val k, ir_val v, ir_val mask_or_none,
                     const ir_attend *at);   /* tuple; mask: bool over batch dims, seq, over;
                                                if seq and over are one dim: over the keys */
ir_val ir_attend_back(ir_builder *b, ir_val q, ir_val k, ir_val v, ir_val o, ir_val lse, ir_val d_o,
                      ir_val mask_or_none, const ir_attend *at);
/* `at->body` must be finished: if an older body equals it but for names, that one is used. args in
 * the order given at ir_scan. */
ir_val ir_scan_over(ir_builder *b, const ir_scan *at, const ir_val *args, uint32_t n);
ir_val ir_call_op(ir_builder *b, const ir_call *at, const ir_val *args, uint32_t n);
ir_val ir_get(ir_builder *b, ir_val tuple, uint32_t member);
/* xs[k] has dims_in[k] where the result has dim_out; the extents add up, the other dims and the
 * dtypes are equal. Made of views, iota and select. */
ir_val ir_concat(ir_builder *b, const ir_val *xs, uint32_t n, ir_dim dim_out,
                 const ir_dim *dims_in);
/* n values of one type, stacked along a new first dim of extent n. */
ir_val ir_stack(ir_builder *b, const ir_val *xs, uint32_t n, ir_dim dim_out);
void ir_result_add(ir_builder *b, ir_val v, const char *name);
void ir_set_name(ir_builder *b, ir_val v, const char *name);     /* if it has none yet */

/* Emit a copy of `op` (of another graph) with new operands, through the folding above. */
ir_val ir_emit_copy(ir_builder *b, const ir_op *op, const ir_val *args);
/* Emit all ops of src into b->g with its inputs replaced; out_results has src's result count. */
void ir_inline(ir_builder *b, const ir_graph *src, const ir_val *inputs, ir_val *out_results);
/* Append to the empty graph `out` the inputs of src, the ops its results need, as they are, and
 * its results. Folding leaves operands behind that nothing uses any more; this drops them. */
void ir_compact(ir_module *m, const ir_graph *src, ir_graph *out);
/* The scalar or table value of v if it is a const, else NULL. */
const ir_const *ir_const_of(const ir_graph *g, ir_val v);
ir_type ir_type_at(const ir_graph *g, ir_val v);

/* -- ir_text.c: what is printed can be read back ---------------------------------------------- */
/* With m->place_of, each op's line ends with its place, "; dit.dfm:41:9"; it is read back too. */
void ir_print(dfm_sb *out, const ir_module *m);
void ir_print_graph(dfm_sb *out, const ir_module *m, const ir_graph *g);
void ir_print_op(dfm_sb *out, const ir_module *m, const ir_graph *g, ir_val v);
void ir_print_type(dfm_sb *out, const ir_module *m, ir_type t);
void ir_print_ix(dfm_sb *out, const ir_module *m, ir_ix x);
/* Reads the text of ir_print. Errors: DFM_BAD_DATA with line and column. Verifies. */
dfm_status ir_parse(dfm_arena *a, dfm_names *names, const char *text, size_t n, ir_module **out,
                    dfm_err *err);

/* -- ir_verify.c ------------------------------------------------------------------------------ */
/* The first broken rule: DFM_INTERNAL with rule number and the op's text. */
dfm_status ir_verify(const ir_module *m, dfm_err *err);
dfm_status ir_verify_graph(const ir_module *m, const ir_graph *g, dfm_err *err);

/* -- ir_interp.c: the one truth --------------------------------------------------------------- */

typedef enum ir_round {
    IR_EXACT,                                /* float64, rounding only at casts to bf16 */
    IR_ROUND_F32,                            /* also round every f32 result to f32 */
    IR_ROUND_ALL,                            /* also round every bf16-typed result to bf16 */
    IR_ROUND_EITHER,                         /* as IR_ROUND_ALL, but to either neighbour, at random:
                                                no error cancels by the shape of the program */
} ir_round;

/* Values are arrays of double, row-major over the type (bool 0/1, integers exact). */
typedef struct ir_env {
    ir_round round;
    uint64_t round_seed;                     /* of IR_ROUND_EITHER */
    uint64_t seed, step;
    int64_t first_sample;                    /* global index of the batch's first sample */
    /* Value of an input, param or (if it may be replaced) random op; NULL: not given. A random
     * op that is not given is drawn with runtime/base/philox.h; any other is an error. */
    const double *(*lookup)(void *user, const ir_module *m, const ir_graph *g, ir_val v);
    void *user;
    /* Called for every computed value, if set (tests, tracing). */
    void (*trace)(void *user, const ir_graph *g, ir_val v, const double *data);
} ir_env;

/* Evaluate all results of graph g (a program's graph). out[k] points into `a`. */
dfm_status ir_interpret(const ir_module *m, const ir_graph *g, const ir_env *env, dfm_arena *a,
                        const double **out, dfm_err *err);
/* One pure op on given operand values, in float64; used by folding. out has ir_elems(type). */
void ir_eval_op(const ir_module *m, const ir_graph *g, const ir_op *op, const double *const *args,
                double *out);
double ir_fn_eval(ir_fn fn, dfm_dtype operand, double a, double b, double c);

/* -- ir_cost.c -------------------------------------------------------------------------------- */
typedef struct ir_cost { double flops, bytes_read, bytes_written; } ir_cost;
ir_cost ir_op_cost(const ir_module *m, const ir_graph *g, ir_val v);     /* scans: whole */

/* -- tables (ir_tables.c) --------------------------------------------------------------------- */
const char *ir_op_name(ir_op_kind k);
const char *ir_fn_name(ir_fn f);
uint32_t ir_fn_arity(ir_fn f);
ir_fn_class ir_fn_class_of(ir_fn f);
ir_fn ir_fn_find(const char *name);          /* IR_FN_NONE if unknown */
const char *ir_reducer_name(ir_reducer r);
void ir_write_ops_markdown(dfm_sb *out);     /* docs/ops.md */

#endif

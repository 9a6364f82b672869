/* sema.h - semantic analysis: an evaluator of the syntax tree that emits G. Internal to
 * compiler/front; the public entry is front.h.
 *
 * A program is evaluated like a script. What is known at compile time (numbers, strings, dims,
 * tuples) is computed on the spot; what is not is a tensor, a handle into the graph under
 * construction. Calls of blocks are inlined by evaluating their body in a new activation; `repeat`
 * evaluates its body once, in a frame of its own, which becomes the body of a scan.
 *
 *     sema ---- s->act   the activation: function, names, parameter scope, compute dtype
 *          \--- s->frame the frame: graph being built, loop index, captures; root or repeat body
 *
 * Errors are reported where they are found and yield SV_POISON, which every operation passes on
 * in silence. Functions that return bool return false after having reported.
 *
 * Identity of dims: a sema_dim is interned, so pointers are compared. A named dim is (name, normal
 * form); an anonymous one (`[2 * D]`, `[1000]`) is its normal form, and the normal form that is
 * just one named base dim is that dim. Normal forms are polynomials over base dims (those with a
 * literal, dynamic or ragged definition) and floor and remainder terms, under the facts that
 * `require a % b == 0` gave.
 *
 * What the library may rely on besides semantics.md 1 (decisions made here):
 *   - std_path/prelude.dfm is loaded for every program; it imports the other files of std
 *     (`import "std/nn.dfm"`), and names imported without `as` are visible to importers.
 *   - Names in a function are locals, then dims and consts of its own file, never the caller's.
 *   - All `...` of one function's formals are one group: the dims that the arguments have beyond
 *     those written, in order of first occurrence; arguments that lack some are broadcast.
 *   - An elem of a type may be a group (`f32[io.dst, io.src]`); it is one dim of the published
 *     shape. First elem = fan-out, the others = fan-in. A dim that occurs again is an alias.
 *   - contract(a, b, over...): sums over dims of a paired with the same dims of b, or with their
 *     aliases where b has those: linear is contract(x, weight, io.src), D -> D included. Operands
 *     are rounded to the activation's compute dtype, which is also the result's.
 *   - `param` needs an `init`.
 *   - last_dim(x), first_dim(x): dims of a tensor; has_dim(x, D): bool; merged(Gy, Gx) or
 *     merged(g): the dim whose factors these are; len(g): number of dims or elements;
 *     extent(D): an int; g[0]: an element of a group or tuple. `s = merged(g)` binds a local
 *     name to the dim itself, `dim S2 = S` makes a new dim.
 *   - `require false, "text"` refuses constants; the report stands at the user's call.
 */
#ifndef DFM_COMPILER_FRONT_SEMA_H
#define DFM_COMPILER_FRONT_SEMA_H

#include "compiler/front/ast.h"
#include "compiler/front/front.h"
#include "compiler/ir/ir.h"

typedef struct sema sema;
typedef struct sema_act sema_act;
typedef struct sema_frame sema_frame;
typedef struct sema_dim sema_dim;
typedef struct sema_poly sema_poly;
typedef struct sema_value sema_value;
typedef struct sema_file sema_file;

enum {
    SEMA_MAX_DEPTH = 64,           /* of calls */
    SEMA_MAX_ARGS = 64,            /* of a call */
    SEMA_MAX_STEPS = 500000,       /* statements and calls evaluated in all */
};

/* -- values ---------------------------------------------------------------------------------- */

typedef enum sema_kind {
    SV_POISON,                     /* an error has been reported */
    SV_INT, SV_FLOAT, SV_BOOL,     /* weak numbers, exact ints */
    SV_STRING,
    SV_DIM,                        /* a dim or a dim expression; as a number it is weak */
    SV_TUPLE,                      /* (a, b, c); of dims: a group */
    SV_ARROW,                      /* a -> b: .pair[0], .pair[1] */
    SV_RANGE,                      /* a..b: .pair[0], .pair[1] */
    SV_TENSOR,                     /* a value of a graph */
    SV_RECORD,                     /* named results */
    SV_TABLE,                      /* a weak number per iteration of a repeat: its index, i + 1 */
    SV_SHAPE,                      /* [B, C]: dims of a draw (array literal of dims) */
} sema_kind;

typedef struct sema_table {        /* numbers over the iterations of frame->loop */
    sema_frame *frame;
    bool is_int;
    const double *data;            /* [extent of frame->loop] */
    int64_t n;
} sema_table;

typedef struct sema_field {
    const char *name;
    const sema_value *value;
} sema_field;

struct sema_value {
    sema_kind kind;
    dfm_loc loc;                   /* the expression; none for what the compiler supplies */
    union {
        int64_t i;
        double f;
        bool b;
        const char *s;
        const sema_dim *dim;
        struct { const sema_value *p; uint32_t n; } list;            /* TUPLE, SHAPE */
        const sema_value *pair;                                      /* ARROW, RANGE */
        struct { ir_val v; sema_frame *frame; } t;                   /* TENSOR */
        struct { const sema_field *p; uint32_t n; } rec;             /* RECORD */
        const sema_table *tab;                                       /* TABLE */
    } u;
};

/* -- dims: sema_dims.c ------------------------------------------------------------------------ */

struct sema_dim {
    const char *name;              /* NULL: anonymous */
    const sema_poly *nf, *norm;    /* as defined; under the facts known at norm_facts */
    uint32_t norm_facts;
    bool is_base;                  /* an atom of its own */
    int64_t value;                 /* in this compilation (a witness if unbound in check) */
    bool fixed;                    /* depends on no dynamic or ragged dim */
    bool unbound;                  /* depends on a dynamic dim that has a witness value only */
    const sema_dim *ragged_over;   /* N = ragged(B): B */
    ir_dim ir;                     /* made on first use in a type */
    dfm_loc loc;
    uint32_t id;                   /* order of creation */
};

const sema_dim *sema_dim_int(sema *s, int64_t v);
/* Arithmetic. NULL after reporting at loc (overflow, division by zero or not exact). */
const sema_dim *sema_dim_binary(sema *s, ast_op op, const sema_dim *a, const sema_dim *b,
                                dfm_loc loc);
const sema_dim *sema_dim_neg(sema *s, const sema_dim *a, dfm_loc loc);
/* Equal as numbers: by normal form, with the values of what is fixed. */
bool sema_dim_equal(sema *s, const sema_dim *a, const sema_dim *b);
/* A new named dim with the same normal form (`dim S2 = S`). */
const sema_dim *sema_dim_named(sema *s, const char *name, const sema_dim *def, dfm_loc loc);
/* A named base dim: an atom with this value. */
const sema_dim *sema_dim_base(sema *s, const char *name, int64_t value, bool fixed, bool unbound,
                              const sema_dim *ragged_over, dfm_loc loc);
/* The fact a % b == 0. */
void sema_dim_fact(sema *s, const sema_dim *a, const sema_dim *b);
/* The dim in the module. Its extent must be >= 1: reports E0308 and returns {0} if not. */
ir_dim sema_ir_dim(sema *s, const sema_dim *d, dfm_loc loc);
/* The sema_dim behind an ir_dim; of an alias, that of the dim it stands for. */
const sema_dim *sema_dim_of(sema *s, ir_dim d);
/* "D", "2 * D", "1000": for messages. */
const char *sema_dim_text(sema *s, const sema_dim *d);
/* The dim whose factors are the group (by declaration, split or merge), or NULL. */
const sema_dim *sema_dim_merged(sema *s, const sema_dim *const *group, uint32_t n);
/* Remember S = (a, b, ...), or check it against what is known (E0309). */
bool sema_dim_factors(sema *s, const sema_dim *d, const sema_dim *const *group, uint32_t n,
                      dfm_loc loc);

void sema_collect_decls(sema *s, sema_file *f);
/* File-level dims and consts: sema_decl.c. Evaluated when first asked for. */
bool sema_declare_file(sema *s);
bool sema_file_name(sema *s, sema_file *f, const char *name, sema_value *out);

/* -- types: sema_type.c ----------------------------------------------------------------------- */

typedef struct sema_type {
    dfm_dtype dtype;               /* NONE: any */
    uint32_t rank;
    const sema_dim *dims[IR_MAX_RANK];
    uint8_t group[IR_MAX_RANK];    /* which written elem the dim comes from: file dims of params */
    uint32_t n_groups;
    bool has_rest;                 /* `...` was written; it stands before dims[rest_at] */
    uint32_t rest_at, rest_n;      /* where the expansion of `...` lies in dims */
} sema_type;

/* Evaluate a TYPE node in the current activation. `...` expands to s->act->rest; an omitted dtype
 * is the activation's compute dtype; `any` is NONE. */
bool sema_eval_type(sema *s, const ast_node *type, sema_type *out);
/* As a G type; a dim that occurs again becomes an alias. dtype NONE is not allowed. */
ir_type sema_ir_type(sema *s, const sema_type *t, dfm_loc loc);
/* Element type of a name: dtypes and `any` (NONE, *out_any). False, silently, if unknown. */
bool sema_dtype_of_name(const char *name, dfm_dtype *out, bool *out_any);
/* "f32[B, S, D]", for messages. */
const char *sema_type_text(sema *s, const sema_type *t);
const char *sema_ir_type_text(sema *s, ir_type t);
const char *sema_value_text(sema *s, sema_value v);      /* type of a tensor, value of a constant */

/* v as `want`: broadcasts dims that v lacks, reorders, converts the dtype (float to int is an
 * error E0312, a dim that `want` lacks is E0305). Constants become tensors. `what` completes the
 * message: "argument `x` of `attn`". */
sema_value sema_convert(sema *s, sema_value v, const sema_type *want, dfm_loc loc,
                        const char *what);

/* v with every dim B replaced by a dim of `dims` that is ragged over B, where v lacks that one. */
ir_val sema_absorb_ragged(sema *s, ir_val v, const ir_dim *dims, uint32_t n, dfm_loc loc);

/* -- frames, values as tensors: sema_value.c --------------------------------------------------- */

typedef struct sema_capture { ir_val outer, inner; } sema_capture;
typedef struct sema_xs { uint32_t param; ir_val outer, inner; } sema_xs;

struct sema_frame {
    sema_frame *parent;            /* NULL: root graph of a program */
    sema_frame *suspended;         /* root: the frame that was current before */
    ir_graph *g;
    uint32_t graph;                /* its index in the module */
    bool scopes_params;            /* a repeat of a model: parameters get a leading loop dim */
    const sema_dim *loop;          /* body of a repeat */
    const char *loop_name, *loop_var;
    ir_val iter;                   /* i32 scalar: loop counter */
    DFM_VEC(sema_capture) caps;
    DFM_VEC(sema_xs) xs;
};

static inline bool sema_bad(sema_value v) { return v.kind == SV_POISON; }
sema_value sema_poison(void);
sema_value sema_int(int64_t i);
sema_value sema_float(double f);
sema_value sema_bool(bool b);
sema_value sema_string(const char *t);
sema_value sema_of_dim(const sema_dim *d);
/* A value of the current frame. */
sema_value sema_tensor(sema *s, ir_val v);
sema_value sema_tuple(sema *s, const sema_value *p, uint32_t n);
/* The builder of the current frame, with its place set. */
ir_builder *sema_at(sema *s, dfm_loc loc);
/* A tensor as a value of the current frame: captured (constants: copied) if it belongs to an
 * enclosing one. */
ir_val sema_use(sema *s, sema_value tensor);
/* Any number (weak ones as `weak`), table, or tensor as a value of the current frame.
 * {0} after reporting E0311 if v is no number. */
ir_val sema_as_val(sema *s, sema_value v, dfm_dtype weak, dfm_loc loc);
ir_type sema_type_of(sema *s, sema_value tensor);
dfm_dtype sema_dtype_of(sema *s, sema_value v);          /* NONE: weak */

/* Compile-time readings. The is_ forms are silent; the others report E0313 naming `what`. */
bool sema_is_number(sema_value v, double *out);          /* INT FLOAT DIM BOOL(no) */
bool sema_is_int(sema_value v, int64_t *out);            /* INT, DIM */
bool sema_need_int(sema *s, sema_value v, dfm_loc loc, const char *what, int64_t *out);
bool sema_need_number(sema *s, sema_value v, dfm_loc loc, const char *what, double *out);
bool sema_need_bool(sema *s, sema_value v, dfm_loc loc, const char *what, bool *out);
bool sema_need_string(sema *s, sema_value v, dfm_loc loc, const char *what, const char **out);
/* INT or DIM as a dim. */
const sema_dim *sema_need_dim(sema *s, sema_value v, dfm_loc loc, const char *what);
/* A dim or a (nested) group, flattened into out[0..cap): number of dims, or -1. */
int sema_need_dims(sema *s, sema_value v, dfm_loc loc, const char *what, const sema_dim **out,
                   uint32_t cap);

/* The data of v if it is made of constants only (iotas, views, maps ... of constants are
 * evaluated in float64), else NULL. Row-major over its type. */
const double *sema_const_data(sema *s, ir_val v);
/* v replaced by a const op when it is made of constants only and not too large. */
ir_val sema_fold(sema *s, ir_val v);

/* -- expressions: sema_expr.c, sema_map.c ------------------------------------------------------ */

sema_value sema_expr(sema *s, const ast_node *e);
/* A CALL, or one wrapped in AS, INIT, TAG. */
sema_value sema_call_expr(sema *s, const ast_node *e);
/* An expression in which `/` divides dims exactly (dim definitions, shapes). */
sema_value sema_dim_expr(sema *s, const ast_node *e);
/* One scalar function with the rules of weak numbers, dtypes and broadcasting by name; loc is the
 * whole expression, op_loc the operator or callee, `spelling` what the user wrote ("+"). Works on
 * constants, tables and tensors alike. Maps of gathers from constant tables by one index become
 * gathers from a mapped table. */
sema_value sema_map(sema *s, ir_fn fn, const sema_value *args, uint32_t n, dfm_loc loc,
                    dfm_loc op_loc, const char *spelling);
sema_value sema_cast(sema *s, sema_value v, dfm_dtype dt, dfm_loc loc);

/* -- names: sema_scope.c ----------------------------------------------------------------------- */

typedef struct sema_binding {
    const char *name;
    sema_value v;
    bool drawn;                    /* a draw: may not be assigned again (E0406) */
    bool used;
} sema_binding;

typedef struct sema_scope {        /* of an activation or a repeat body; names are unique in it */
    struct sema_scope *parent;     /* same activation only */
    DFM_VEC(sema_binding) names;
} sema_scope;

/* A function: an op, a block, or a model, with the file it stands in. */
typedef struct sema_fn {
    const ast_node *node;
    sema_file *file;
} sema_fn;

void sema_set(sema *s, const char *name, sema_value v);          /* in the innermost scope */
/* An assignment: reports names that keep their value (E0406) or would lose it (E0417). */
bool sema_assign(sema *s, const char *name, sema_value v, bool drawn, dfm_loc loc);
bool sema_local(sema *s, const char *name, sema_value *out);     /* of the activation; silent */
/* Locals, then dims and consts of the activation's file and its imports. Reports E0401. */
sema_value sema_name(sema *s, const char *name, dfm_loc loc);
/* Functions visible from a file: its own, its imports', the prelude's. Silent. */
bool sema_find_fn(sema *s, sema_file *f, const char *name, sema_fn *out);
/* The file imported `as name` by f, or NULL. */
sema_file *sema_alias(sema *s, sema_file *f, const char *name);
/* sema_foreign.c: what says here what this word says in other frameworks, or NULL. */
const char *sema_foreign(const char *name);
void sema_unknown_fn(sema *s, sema_file *f, const char *name, dfm_loc loc);      /* E0402 */
bool sema_is_builtin(const char *name);
const char *const *sema_builtin_names(void);             /* ends with NULL */
void sema_suggest(sema *s, diag *d, const char *word, const char *const *candidates, uint32_t n);

/* -- activations and calls: sema_call.c, sema_block.c ------------------------------------------ */

struct sema_act {
    sema_act *caller;
    const ast_node *node;          /* OP BLOCK MODEL TRAIN SAMPLER */
    const char *name;              /* function's or section's name */
    sema_file *file;
    sema_scope *scope;             /* innermost */
    const char *path;              /* parameter scope: "" or "blocks.{i}.attn" */
    bool named;                    /* the call has `as` */
    bool makes_no_params;          /* the call, or one around it, lacks `as`: E0412 at no_as_loc */
    bool on_elements;              /* called inside a comprehension, perhaps through others */
    dfm_loc call_loc, no_as_loc;
    dfm_dtype compute;             /* what an omitted dtype is */
    bool kept;                     /* `keep f32` holds here */
    const sema_dim *rest[IR_MAX_RANK];       /* what `...` stands for */
    uint32_t n_rest;
    const ast_node *init;          /* `init` of the call: for the parameter `weight` */
    bool init_used;
    DFM_VEC(const char *) tags;    /* `tag`s of the call and of those around it */
    uint64_t site;                 /* hash of the chain of calls from the model on: E0413 */
    uint64_t stream;               /* hash of section and chain of calls: random streams */
    uint32_t n_calls, n_draws;
    DFM_VEC(const char *) drawn;   /* variables that were drawn, each once */
    const char *target;            /* variable being assigned, for draws; or NULL */
    bool target_direct;            /* the right-hand side is the draw itself */
    bool returned;
    DFM_VEC(sema_value) results;   /* of `return`, before conversion */
    uint32_t depth;
    bool in_model;                 /* the model is on the chain of calls: parameters are allowed */
    bool in_dim_expr;              /* of the caller, restored at the end */
    const char *no_as_fn;          /* the function called at no_as_loc */
};

typedef struct sema_arg {
    const char *name;              /* NULL: positional */
    sema_value v;
    dfm_loc loc;
} sema_arg;

typedef struct sema_call {         /* what is written around the call */
    dfm_loc loc, callee_loc;
    const char *as;                /* NULL: none */
    bool as_self;                  /* `as self`: the caller's own scope */
    const ast_node *init;
    const char *const *tags;
    uint32_t n_tags;
} sema_call;

/* Call an op, block or model with evaluated arguments: binds formals, evaluates, converts the
 * results. One result: its value. Several: a RECORD (which can be unpacked like a tuple). */
sema_value sema_invoke(sema *s, sema_fn fn, const sema_arg *args, uint32_t n,
                       const sema_call *call);
/* Evaluate the arguments of a CALL node. Number, or -1. */
int sema_eval_args(sema *s, const ast_node *call, sema_arg *out, uint32_t cap);
/* Begin and end an activation by hand (sections: path "", compute from the precision section). */
sema_act *sema_act_begin(sema *s, const ast_node *node, sema_file *file, dfm_loc call_loc);
void sema_act_end(sema *s);
/* One more step; false, after a report (E0416), when the program has used up its steps. */
bool sema_step(sema *s, dfm_loc loc);
/* Evaluate a list of statements in the current activation. False if it cannot go on. */
bool sema_stmts(sema *s, const ast_node *list);

/* A REQUIRE node: reports E0306 if it does not hold, keeps its facts if it does. */
void sema_require(sema *s, const ast_node *require);
/* Keeps the facts `a % b == 0` of a condition. False, silently, if one does not hold. */
bool sema_require_facts(sema *s, const ast_node *condition);

/* Roots: start a new program graph; the frame becomes current. End restores the previous one. */
sema_frame *sema_root_begin(sema *s, const char *name);
void sema_root_end(sema *s);

/* A call of the builtin `name`. */
sema_value sema_call_builtin(sema *s, const ast_node *call, const char *name);
/* Helpers of builtins, useful elsewhere. All in the current frame. */
sema_value sema_reduce(sema *s, const char *name, sema_value x, const sema_dim *const *dims,
                       int n_dims, dfm_loc loc);         /* n_dims -1: all */
sema_value sema_gather(sema *s, sema_value table, const sema_dim *dim, sema_value index,
                       dfm_loc index_loc, dfm_loc loc);
/* Reports index i outside `what` of n elements. */
diag *sema_out_of_range(sema *s, int64_t i, int64_t n, const char *what, dfm_loc loc);

/* -- parameters: sema_param.c ------------------------------------------------------------------ */

/* Declares the param (or finds it again) and returns its value in the current frame. */
sema_value sema_param_value(sema *s, const ast_node *param_stmt);
sema_value sema_buffer_value(sema *s, const ast_node *buffer_stmt);
/* A param as a value of the current frame: stacked ones come in as xs of the repeats around. */
ir_val sema_param_ref(sema *s, uint32_t param);

/* -- repeat: sema_repeat.c --------------------------------------------------------------------- */
bool sema_repeat(sema *s, const ast_node *repeat);

/* -- index ops: sema_op*.c --------------------------------------------------------------------- */

/* Evaluate the body of an op. s->act is the op's activation: formals are bound in its scope
 * (tensors already converted to the formals' types; `...` is act->rest). Leaves one value per
 * `return`ed expression in act->results, in the order written. Several results, dtype and order
 * of dims are the caller's work. False after reporting. */
bool sema_call_op(sema *s, const ast_node *op);
/* Is the right-hand side of a comprehension of s->op_act being evaluated? */
bool sema_in_comprehension(const sema *s);
/* Inside a comprehension (s->op is set and s->op_act == s->act), sema_expr asks this first for
 * every node, arguments of calls included: names of index variables, reads `x[i, ...]`,
 * `sum[k](...)` and `select` (whose condition guards reads) are handled here: true, and *out. */
bool sema_op_expr(sema *s, const ast_node *e, sema_value *out);
/* Errors in an op that is never called are found by this (check; formals get their own types). */
bool sema_check_op(sema *s, const ast_node *op, sema_file *file);

/* -- sections ---------------------------------------------------------------------------------- */

/* Statements that only sections have (DATA, MINIMIZE, USE): true if handled (or reported). */
bool sema_train_stmt(sema *s, const ast_node *stmt);             /* sema_train.c */
/* Builds program "loss" (graph result `loss`), module data fields, m->batch. */
bool sema_train_section(sema *s, const ast_node *train);         /* sema_train.c */
/* Groups, flat offsets and ir_flats of all params. Called once, after all params are known. */
bool sema_assign_flats(sema *s);                                 /* sema_optim.c */
/* Builds program "step.update" from the `use` statements that sema_train_stmt collected. */
bool sema_optimizer_programs(sema *s, const ast_node *train);    /* sema_optim.c */
bool sema_sampler_section(sema *s, const ast_node *sampler);     /* sema_sampler.c */
/* Is `name` a constant formal of the chosen sampler, which `--set` may give; or of any, for a
 * variant? */
bool sema_sampler_takes(const sema *s, const char *name, bool any);
/* Published names of all params from the chosen weights section (or none: native names). */
bool sema_apply_weights(sema *s, const ast_node *weights_or_null);       /* sema_weights.c */
/* Reads the precision section, or plain "f32" / "bf16" (node NULL, name given). */
bool sema_precision_begin(sema *s, const ast_node *section_or_null, const char *plain);
/* Compute dtype inside function `fn` called in parameter scope `path` ("" at the root), inside an
 * activation whose dtype is `outer`; *out_kept: a `keep` names it. */
dfm_dtype sema_precision_for(sema *s, const char *fn, const char *path, dfm_dtype outer,
                             bool *out_kept);                    /* sema_precision.c */
/* Storage type of a `param` whose dtype is omitted, and that of optimizer state: `params = ` and
 * `optim = ` of the section, else f32. */
dfm_dtype sema_precision_params(sema *s);                        /* sema_precision.c */
dfm_dtype sema_precision_optim(sema *s);
/* --precision f32: dtypes of data are read as f32. */
dfm_dtype sema_precision_data(sema *s, dfm_dtype declared);      /* sema_precision.c */
/* Names that a `keep` mentions and nothing matched: warning. At the end. */
void sema_precision_end(sema *s);
bool sema_check_layouts(sema *s);                                /* sema_layout.c: all sections */

/* -- what the chosen layout's `recompute` lines say about values: sema_keep.c ------------------ */
typedef struct sema_keep_state { ir_keep keep; const ast_node *saving; } sema_keep_state;
/* A block, model or repeat of this name begins; what leave takes back. */
sema_keep_state sema_keep_enter(sema *s, const char *name);
void sema_keep_leave(sema *s, sema_keep_state before);
/* v is what function fn gave, called `as` (NULL: not): marked if the line around saves it. */
void sema_keep_result(sema *s, const char *fn, const char *as, const sema_value *v);

/* -- the whole --------------------------------------------------------------------------------- */

typedef struct sema_import {
    const char *alias;             /* NULL: names are visible unqualified */
    sema_file *file;
    dfm_loc loc;
} sema_import;

typedef enum sema_decl_state { SD_NEW, SD_BUSY, SD_DONE } sema_decl_state;

typedef struct sema_decl {         /* a dim or const at file level */
    const char *name;
    bool is_const;
    const ast_node *node;          /* DIM_DEF or CONST */
    const ast_node *override;      /* expression from the variant or --set, instead of its own */
    const char *override_from;     /* "variant \"S/2\"", "--set" */
    sema_decl_state state;
    sema_value v;
    int64_t witness;               /* value of an unbound dynamic dim; 0: none yet */
} sema_decl;

typedef struct sema_setting {      /* of a constant formal of the sampler */
    const char *name;
    const ast_node *value;
} sema_setting;

struct sema_file {
    const char *path;              /* as opened; shown in messages */
    ast_file *ast;
    bool is_std, loading;
    DFM_VEC(sema_import) imports;
    DFM_VEC(sema_fn) fns;          /* ops, blocks, models */
    DFM_VEC(sema_decl) decls;
    DFM_VEC(const ast_node *) sections;      /* all other items, in order */
};

struct sema {
    front_ctx *cx;
    const front_options *o;
    dfm_arena *arena;
    dfm_arena *scratch;            /* reset by whoever needs it; nothing in it outlives a call */
    diag_ctx *diag;
    ir_module *m;
    sema_file *main, *prelude;
    DFM_VEC(sema_file *) files;
    sema_fn model;                 /* the model compiled; node NULL if the file has none */
    const ast_node *variant, *train, *sampler, *weights, *precision, *layout;
    ir_keep keep;                  /* sema_keep.c: given to values; results of these are saved */
    const ast_node *saving;
    DFM_VEC(sema_setting) sampler_sets;      /* from the variant, then from --set */
    sema_act *act;
    sema_frame *frame;
    ir_builder b;
    bool in_dim_expr;
    uint64_t n_steps;                        /* see SEMA_MAX_STEPS */
    bool aliases_allowed;                    /* the type is that of a parameter */
    DFM_VEC(const ast_node *) called;        /* functions that something called */
    struct sema_op *op;            /* sema_op.c: the comprehension being evaluated, or NULL */
    sema_act *op_act;              /* its activation: the hook sema_op_expr is for this one only */
    struct op_memo *op_memo;       /* sema_op_memo.c: tables that ops of constants made */
    struct sema_dims *dims;        /* sema_dims.c */
    struct sema_params *params;    /* sema_param.c */
    struct sema_bodies *bodies;    /* sema_repeat.c: finished bodies, for sharing */
    struct sema_train *tr;         /* sema_train.c */
    struct sema_units *units;      /* sema_unit.c */
    struct sema_prec *prec;        /* sema_precision.c */
};

/* -- sema_model.c, and what it needs ---------------------------------------------------------- */

bool sema_forward(sema *s);                              /* program "forward" */
/* Inputs for the tensor formals of fn, as arguments by name. -1 after reporting. */
int sema_formal_inputs(sema *s, const ast_node *fn, sema_arg *out, uint32_t cap);
/* The results of a function's call as results of the graph. */
void sema_add_results(sema *s, const ast_node *fn, sema_value v);
bool sema_init_program(sema *s);                         /* program "init" */
/* Adds a program for root's graph; all its results go to `to` (IR_TO_PARAM: parameter i). */
void sema_program(sema *s, const char *name, const sema_frame *root, ir_target to, bool replace);
void sema_check_uncalled(sema *s);
void sema_check_names(sema *s);                          /* sema_names.c */
bool sema_is_section_word(const char *word); /* train, sampler, ...: settable in variants */

/* sema_unit.c: functions by themselves, for tests. Note a call: the first one of a function of the
 * user's files counts. Build: these functions become the only programs of the module. */
void sema_unit_note(sema *s, sema_fn fn, const sema_arg *args, uint32_t n, const sema_call *call);
void sema_units_build(sema *s);

/* Where the module stands, to go back after something was evaluated only to be checked. */
typedef struct sema_mark {
    uint32_t graphs, params, programs, data;
    ir_dim batch;
} sema_mark;
sema_mark sema_mark_take(sema *s);
void sema_mark_restore(sema *s, const sema_mark *mark);
void sema_bodies_drop(sema *s, uint32_t first_graph);    /* sema_repeat.c */
void sema_params_drop(sema *s, uint32_t first);          /* sema_param.c */

/* loc, or, inside the standard library, the place of the user's call that led there. */
dfm_loc sema_user_loc(sema *s, dfm_loc loc);
/* diag_error, but what is found inside the standard library is reported at the user's call. */
diag *sema_report(sema *s, diag_code code, dfm_loc loc, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
#define sema_error(s, code, loc, ...) sema_report((s), DIAG_##code, (loc), __VA_ARGS__)
#define sema_fmt(s, ...) dfm_fmt((s)->arena, __VA_ARGS__)

#endif

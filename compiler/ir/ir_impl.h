/* ir_impl.h - shared by the files of compiler/ir and by nobody else. */
#ifndef DFM_COMPILER_IR_IMPL_H
#define DFM_COMPILER_IR_IMPL_H

#include "compiler/ir/ir.h"

/* Open addressing over handles; 0 is an empty slot. The owner compares and rehashes. */
typedef struct ir_slots {
    uint32_t *p;
    uint32_t n, used;                        /* n is a power of two */
} ir_slots;

typedef struct ir_known_body {
    uint32_t graph;
    uint64_t hash;
} ir_known_body;

struct ir_intern {
    ir_slots types, ixs;
    DFM_VEC(uint32_t) dim_of_name;           /* indexed by dfm_name */
    DFM_VEC(uint32_t) next_alias;            /* indexed by dim: D -> D' -> D'' */
    DFM_VEC(ir_known_body) bodies;           /* of scans and calls so far, each once */
};

struct ir_cse { ir_slots slots; };

typedef struct ir_op_desc {
    const char *name, *gradient, *meaning, *cls;
    uint32_t min_args, max_args;
} ir_op_desc;

/* -- ir_module.c -- */
/* A dim exactly as given, for the parser: no primes, no look-up. The name must be free. */
ir_dim ir_dim_add(ir_module *m, const ir_dim_info *info);
bool ir_has_dim(const ir_type_info *t, ir_dim d);
int64_t ir_sat_add(int64_t a, int64_t b);
int64_t ir_sat_mul(int64_t a, int64_t b);
int64_t ir_floor_div(int64_t a, int64_t c);             /* c > 0 */
int64_t ir_floor_mod(int64_t a, int64_t c);

/* -- ir_index.c -- */
ir_ix ir_ix_raw(ir_module *m, const ir_ix_node *node);  /* interned without simplification */
/* Structural order: independent of the order in which expressions were made. */
int ir_ix_compare(const ir_module *m, ir_ix a, ir_ix b);

/* -- ir_emit.c: appending ops -- */
/* Append, or return the older identical op. args and at are copied. */
ir_val ir_emit(ir_builder *b, ir_op_kind k, ir_type t, const ir_val *args, uint32_t n,
               const ir_attrs *at);
/* Append without looking (parser). */
ir_val ir_append(ir_module *m, ir_graph *g, const ir_op *op);
/* The first graph used as a body that equals `body` but for names and places. */
uint32_t ir_same_body(ir_module *m, uint32_t body);
bool ir_attrs_same(ir_op_kind k, const ir_attrs *a, const ir_attrs *b);
ir_attrs *ir_attrs_copy(ir_module *m, ir_op_kind k, uint32_t n_view_coords, const ir_attrs *at);

/* -- ir_build.c -- */
ir_type ir_map_type(ir_module *m, const ir_graph *g, ir_fn fn, const ir_val *args, uint32_t n);
ir_type ir_gather_type(ir_module *m, ir_type table, ir_dim dim, ir_type index);
ir_type ir_attend_type(ir_module *m, ir_type q, ir_type v, const ir_attend *at);
ir_type ir_scan_type(ir_module *m, const ir_scan *at);
ir_type ir_call_type(ir_module *m, const ir_call *at);

/* -- ir_fold.c, ir_fold_table.c: {0} where nothing folds -- */
ir_val ir_fold_map(ir_builder *b, ir_fn fn, const ir_val *args, uint32_t n, ir_type t);
ir_val ir_fold_constant(ir_builder *b, ir_op_kind k, const ir_val *args, uint32_t n,
                        const ir_attrs *at, ir_type t);
ir_val ir_fold_gathers(ir_builder *b, ir_fn fn, const ir_val *args, uint32_t n, ir_type t);
ir_val ir_map_typed(ir_builder *b, ir_fn fn, const ir_val *args, uint32_t n, ir_type t);
/* The one value that all elements of v have, if it is a scalar const or a broadcast of one. */
bool ir_splat_of(const ir_graph *g, ir_val v, double *out);
/* v as an index expression, if it is an integer made of iota and constants. */
bool ir_ix_of_val(ir_module *m, const ir_graph *g, ir_val v, ir_ix *out);
ir_val ir_splat(ir_builder *b, ir_type t, double x);
/* x with t's dtype and dims (of which x's are a subset), whatever ops that takes. */
ir_val ir_fit(ir_builder *b, ir_val x, ir_type t);

/* -- ir_view.c -- */
/* Simplifies the conditions in place; false if they can never hold. */
bool ir_guard_simplify(ir_module *m, ir_cond *c, uint32_t *n);
bool ir_is_broadcast(const ir_module *m, const ir_graph *g, const ir_op *view);

/* -- ir_eval*.c -- */
void ir_eval_view(const ir_module *m, const ir_graph *g, const ir_op *op, const double *x,
                  double *out);
void ir_eval_contract(const ir_module *m, const ir_graph *g, const ir_op *op,
                      const double *const *args, double *out);
/* How values are rounded, and the seed of one value's elements (IR_ROUND_EITHER; 0: to nearest). */
typedef struct ir_rounding { ir_round how; uint64_t seed; } ir_rounding;
/* Element i of a value typed dt. */
double ir_rounded(ir_rounding r, dfm_dtype dt, double x, uint64_t i);
void ir_eval_attend(const ir_module *m, const ir_graph *g, const ir_op *op,
                    const double *const *args, ir_rounding r, double *const *out);
/* Strides of the dims of `src` for walking over `over`: 0 for those that src lacks. */
void ir_strides_over(const ir_module *m, const ir_type_info *src, const ir_type_info *over,
                     int64_t *out);
const ir_op_desc *ir_describe(ir_op_kind k);

#endif

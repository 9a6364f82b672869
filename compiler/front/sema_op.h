/* sema_op.h - between the files that evaluate `op` bodies; internal to them.
 *
 * A comprehension `y[b, d] = expr` is evaluated like any expression, with three additions (the
 * hook sema_op_expr): an index variable is an iota, a read `x[b, d + 1]` is a view whose result
 * dims are those of the index variables, and `sum[k](...)` is a reduce over k's dims. So index
 * variables become dims, and everything between reads is maps aligned by name.
 *
 *     sema_op.c        statements: comprehensions, their variables and ranges, return
 *     sema_op_expr.c   the hook: reads, index variables as numbers, reductions, select
 *     sema_op_index.c  index expressions: from the tree to ir_ix, ranges under conditions
 *     sema_op_memo.c   tables that were computed before
 *     sema_op_vjp.c    ops with a `vjp`: body graph, gradient graph, call
 */
#ifndef DFM_COMPILER_FRONT_SEMA_OP_H
#define DFM_COMPILER_FRONT_SEMA_OP_H

#include "compiler/front/sema.h"

enum { OP_MAX_VARS = 32, OP_MAX_CONDS = 64 };

/* One place of an index list: a dim, a group of dims that one index covers, or `...`. */
typedef struct op_axis {
    bool rest;
    uint32_t n;
    ir_dim dims[IR_MAX_RANK];
} op_axis;

typedef struct op_array {
    const char *name;
    uint32_t n;
    op_axis axis[IR_MAX_RANK + 1];
} op_array;

/* An index variable in scope. Its dims are its own: no other variable in scope has them. */
typedef struct op_var {
    const char *name;              /* "..." for the rest */
    bool exact;                    /* a direct read must have the same range (no `k: range`) */
    uint32_t n;
    ir_dim dims[IR_MAX_RANK];
    int64_t low;                   /* first value: `k: 2..5` */
    dfm_loc loc;
} op_var;

struct sema_op {
    struct sema_op *outer;         /* of the op that called this one */
    sema_act *outer_act;
    const ast_node *node;
    bool inside;                   /* a right-hand side is being evaluated */
    bool in_vjp;                   /* targets are gradients of formals */
    uint32_t n_rest;               /* what `...` stands for */
    ir_dim rest[IR_MAX_RANK];
    DFM_VEC(op_array) arrays;
    op_var vars[OP_MAX_VARS];
    uint32_t n_vars;
    ir_cond conds[OP_MAX_CONDS];   /* hold where the expression under evaluation matters */
    uint32_t n_conds;
};

/* -- sema_op.c ---------------------------------------------------------------------------- */

/* Begin and end the evaluation of an op's statements in s->act; registers the formals. */
struct sema_op *op_begin(sema *s, const ast_node *op);
void op_end(sema *s);
/* Give the local tensor `name` the index list of result k: `...` where its type has it. */
void op_register_result(sema *s, const char *name, uint32_t k);
/* Statements of an op or vjp body. False after reporting what makes going on pointless. */
bool op_stmts(sema *s, const ast_node *list);
/* The array of a name, from its registration or its type; NULL if it is no tensor with dims. */
const op_array *op_array_of(sema *s, const char *name, sema_value *out);
op_var *op_find_var(struct sema_op *op, const char *name);
/* Push the variable of an index-list elem (NAME, ELEM or ELLIPSIS). Its range: the one written,
 * or `prefer` (may be NULL), or the first axis that it indexes directly in `scope`. */
bool op_push_var(sema *s, const ast_node *elem, const op_axis *prefer, const ast_node *scope);
int64_t op_extent(const ir_module *m, const ir_dim *dims, uint32_t n);

/* -- sema_op_index.c ---------------------------------------------------------------------- */

/* The value of a variable as an index expression, flat over its dims. */
ir_ix op_var_ix(sema *s, const op_var *v);
/* A quasi-affine expression over index variables; false, silently, if e is none. */
bool op_index_of(sema *s, const ast_node *e, ir_ix *out);
/* Bounds of x where all conditions of the context hold. */
void op_range(sema *s, ir_ix x, int64_t *lo, int64_t *hi);
/* Add what `cond` (negated: its opposite) says about index variables to the conditions. */
void op_assume(sema *s, const ast_node *cond, bool negated);

/* -- sema_op_expr.c ----------------------------------------------------------------------- */
/* sema_op_expr: see sema.h */
bool op_is_reduction(const ast_node *e);

/* -- sema_op_memo.c ----------------------------------------------------------------------- */

/* If s->act calls `op` with constants only: its results from an earlier such call, in
 * act->results (true); else false, and the key under which op_memo_keep keeps them (NULL: an
 * argument is a tensor). */
bool op_memo_find(sema *s, const ast_node *op, const char **out_key, size_t *out_n);
void op_memo_keep(sema *s, const ast_node *op, const char *key, size_t n_key);

/* -- sema_op_vjp.c ------------------------------------------------------------------------ */

bool op_call_with_vjp(sema *s, const ast_node *op);

#endif

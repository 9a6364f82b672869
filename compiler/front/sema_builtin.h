/* sema_builtin.h - what the sema_builtin*.c files share. */
#ifndef DFM_COMPILER_FRONT_SEMA_BUILTIN_H
#define DFM_COMPILER_FRONT_SEMA_BUILTIN_H

#include "compiler/front/sema.h"

typedef struct builtin_call {
    sema *s;
    const ast_node *node;
    const char *name;
    sema_arg *args;
    uint32_t n;                    /* positional ones come first */
    uint32_t n_pos;
    dfm_loc loc;
} builtin_call;

/* The argument called `name`, taken out of consideration of builtin_done; NULL: not given. */
const sema_arg *builtin_named(builtin_call *c, const char *name);
/* Between lo and hi arguments by position, and no argument by name that is not in `allowed`
 * (ends with NULL). Reports E0407 with `usage`. */
bool builtin_args(builtin_call *c, uint32_t lo, uint32_t hi, const char *const *allowed,
                  const char *usage);
/* Argument i as a value of the current frame; {0} after reporting. */
ir_val builtin_val(builtin_call *c, uint32_t i);
/* Dims of argument i, which tensor x must have (E0316); -1 after reporting. */
int builtin_dims(builtin_call *c, uint32_t i, const sema_dim **out);
bool builtin_has_dim(builtin_call *c, ir_val x, const sema_dim *d, dfm_loc loc);
/* A dim that x must not have yet (E0314). */
bool builtin_new_dim(builtin_call *c, ir_val x, const sema_dim *d, dfm_loc loc);
sema_value builtin_result(builtin_call *c, ir_val v);

/* sema_builtin_view.c */
sema_value builtin_split(builtin_call *c);
sema_value builtin_merge(builtin_call *c);
sema_value builtin_slice(builtin_call *c);
sema_value builtin_rename(builtin_call *c);
sema_value builtin_unstack(builtin_call *c);
sema_value builtin_stack(builtin_call *c);
sema_value builtin_concat(builtin_call *c);
/* sema_builtin_math.c */
sema_value builtin_contract(builtin_call *c);
sema_value builtin_attend(builtin_call *c);
sema_value builtin_conv(builtin_call *c);
sema_value builtin_gather(builtin_call *c);
sema_value builtin_scatter_add(builtin_call *c);
sema_value builtin_draw(builtin_call *c);
/* sema_builtin_const.c */
sema_value builtin_arange(builtin_call *c);
sema_value builtin_append(builtin_call *c);
sema_value builtin_cumprod(builtin_call *c);
sema_value builtin_dim_query(builtin_call *c);

#endif

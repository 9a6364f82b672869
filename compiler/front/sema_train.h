/* sema_train.h - what a train section leaves for the optimizer; between sema_train.c and
 * sema_optim.c. */
#ifndef DFM_COMPILER_FRONT_SEMA_TRAIN_H
#define DFM_COMPILER_FRONT_SEMA_TRAIN_H

#include "compiler/front/sema.h"

typedef struct train_use {         /* `use adamw(lr=1e-4, skip=no_decay)` */
    const ast_node *node;          /* USE */
    sema_fn fn;
    sema_arg args[SEMA_MAX_ARGS];  /* without `skip` */
    uint32_t n_args;
    const char *skip;              /* tag, or NULL */
} train_use;

struct sema_train {
    const ast_node *node;          /* TRAIN */
    struct sema_train *before;     /* the section evaluated before this one (check) */
    bool minimized;
    DFM_VEC(train_use *) uses;
};

#endif

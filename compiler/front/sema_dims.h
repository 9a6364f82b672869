/* sema_dims.h - the tables behind symbolic dims; for sema_dims.c and its tests. */
#ifndef DFM_COMPILER_FRONT_SEMA_DIMS_H
#define DFM_COMPILER_FRONT_SEMA_DIMS_H

#include "compiler/front/sema.h"

typedef struct sema_term {
    int64_t coef;
    uint32_t n;
    uint32_t atoms[12];            /* sorted; a power repeats its atom */
} sema_term;

struct sema_poly {
    uint32_t n, cap;
    sema_term *t;                  /* sorted, no zero coefficients */
};

typedef enum sema_atom_kind { ATOM_BASE, ATOM_FLOOR, ATOM_MOD } sema_atom_kind;

typedef struct sema_atom {
    sema_atom_kind kind;
    const sema_poly *p, *q;        /* p // q, p % q */
    const char *name;              /* BASE */
    int64_t value;
    bool fixed, unbound;
    const sema_poly *replaced;     /* by a fact: b * (a // b) */
} sema_atom;

typedef struct sema_fact { const sema_poly *p, *q; } sema_fact;          /* p % q == 0 */

typedef struct sema_factors {
    const sema_dim *of;
    const sema_dim *group[IR_MAX_FACTORS];
    uint32_t n;
    dfm_loc loc;
} sema_factors;

struct sema_dims {
    DFM_VEC(sema_atom) atoms;
    DFM_VEC(sema_dim *) dims;      /* by id */
    DFM_VEC(sema_fact) facts;
    DFM_VEC(sema_factors) factors;
    DFM_VEC(const sema_dim *) of_ir;         /* by ir_dim.i */
};

#endif

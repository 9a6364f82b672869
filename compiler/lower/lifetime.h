/* lifetime.h - when each buffer of a program is live: shared by the files of the memory plan.
 *
 * Nodes are numbered from 1 in schedule order; a loop covers the numbers of its body. A buffer is
 * live from its first to its last use. Used both inside and outside of a loop, or read in the body
 * before it is written there, or walked along by the loop, it is live during the whole loop; used
 * in the body alone it is free again between its last use and its first use of the next iteration.
 * Inputs are live from the start, outputs to the end.
 */
#ifndef DFM_COMPILER_LOWER_LIFETIME_H
#define DFM_COMPILER_LOWER_LIFETIME_H

#include "compiler/kir/kir.h"

typedef struct life_use {
    kir_node *node;
    kir_arg *arg;
    uint32_t at;                             /* number of the node */
} life_use;

typedef struct life_loop {
    uint32_t first, last, depth;             /* numbers of the nodes of its body, inclusive */
    int64_t trips;
} life_loop;

typedef struct life {
    uint32_t buf;
    uint32_t first, last;                    /* uses as they stand; 0 of a buffer never used */
    uint32_t from, to;                       /* live, inclusive */
    bool read_first;                         /* its first node reads it */
    uint8_t walked;                          /* depths of the loops that walk along it */
    uint64_t bytes, offset;                  /* bytes: rounded up, with LIFE_SKEW */
    DFM_VEC(life_use) uses;                  /* in order */
} life;

typedef struct lives {
    kir_module *m;
    dfm_arena *a;
    uint32_t program, n_nodes;
    life *of;                                /* by buffer; only those of the program count */
    DFM_VEC(life_loop) loops;                /* inner ones before outer ones */
    DFM_VEC(kir_node *) nodes;               /* by number; [0] unused */
} lives;

/* Large buffers are a page and a few cache lines longer than their contents. Else those of equal
 * shape, often a power of two or three times one in size, begin at the same place of every cache:
 * a kernel that walks along ten of them has them all in the same sets. */
enum { LIFE_ALIGN = 64, LIFE_LARGE = 64 << 10, LIFE_SKEW = 4096 + 5 * LIFE_ALIGN };

bool life_is_planned(const kir_buffer *b);   /* has a place in the arena */
/* Everything in `a`. A program that uses a buffer of another one is an error. */
dfm_status lives_of(kir_module *m, uint32_t program, dfm_arena *a, lives *out, dfm_err *err);
/* from, to and bytes again, after uses have changed. */
void life_refresh(lives *s, life *l);

/* share.c: makes buffers of one program share memory where that needs no copy: a kernel's result
 * takes the place of an operand that dies in it; a temporary of a loop's body lies in the slice of
 * a stack that this iteration has consumed, or has not made yet. Rewrites operands. */
typedef struct share_counts { uint32_t in_place, in_slots; } share_counts;
share_counts share_buffers(lives *s);

#endif

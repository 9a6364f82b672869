/* gen_int.h - what the generator's files share: random choices, dims, values in scope. */
#ifndef DFM_TESTS_RANDOM_GEN_INT_H
#define DFM_TESTS_RANDOM_GEN_INT_H

#include "tests/random/gen.h"

enum { GEN_DIMS = 96, GEN_VALS = 400, GEN_RANK = 8, GEN_ELEMS = 3000, GEN_BIG_ELEMS = 24000 };

/* The dims that every program declares, by place in gen.dims. */
enum {
    DB,
    DS,
    DT,
    DD,
    DE,
    DF,
    DH,
    DK,
    DHK,
    DC,
    DQ,
    DG0,
    DG1,
    DG2,
    DSG,
    DS2,
    DL,
    DM,
    DP,
    DR,
    N_FIXED_DIMS
};

typedef enum gkind { GF, GI, GB } gkind; /* float, i32 of 0..12, bool */

typedef struct dset {
    uint8_t n, d[GEN_RANK + 4];
} dset; /* dims, in storage order */

typedef struct gval {
    char name[24];
    gkind kind;
    bool used;
    bool data; /* of a GI: surely made from the model's input, so unknown to the compiler */
    dset ds;
} gval;

typedef struct gdim {
    char name[8];
    int extent;
} gdim;

typedef struct gen {
    dfm_arena *a;
    uint64_t seed;
    uint32_t counter; /* of draws */
    gdim dims[GEN_DIMS];
    uint32_t n_dims;
    dfm_sb decl, defs, *out; /* dims; ops and blocks; the body being written */
    gval vals[GEN_VALS];
    uint32_t n_vals, n_names, n_fns;
    int indent, loops, calls; /* calls: depth of blocks being written */
    bool params, stops; /* may make parameters; may use stop_grad */
    bool clamps; /* y chooses rows that may not exist: no call may pass a known y */
    bool big; /* some extents reach what targets work on in blocks */
} gen;

/* -- gen_base.c: choices and dims -------------------------------------------------------------- */
uint32_t grnd(gen *g, uint32_t n); /* 0..n-1 */
bool gchance(gen *g, uint32_t percent);
const char *gone(gen *g, const char *const *items, uint32_t n);
uint8_t gdim_new(gen *g, int extent, const char *format, ...) /* format: its definition */
    __attribute__((format(printf, 3, 4)));
const char *gname(const gen *g, uint8_t d);
int gextent(const gen *g, uint8_t d);
/* At most `most`; the product of 1 + it along d is moderate. */
double gfactor(const gen *g, uint8_t d, double most);
const char *gdims(gen *g, const dset *s); /* "B, S, D" */
bool ghas(const dset *s, uint8_t d);
bool gsubset(const dset *a, const dset *b);
dset gunion(const dset *a, const dset *b);
dset gwithout(const dset *a, uint8_t d);
dset gset(const uint8_t *d, uint32_t n);
#define GSET(...) gset((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))
uint64_t gelems(const gen *g, const dset *s);
uint64_t gen_elems(const gen *g); /* most elements of a value */
/* May a and b meet in an elementwise function (mul: in a product)? */
bool gmeet(const gen *g, const dset *a, const dset *b, bool mul);

/* -- gen_base.c: lines and values -------------------------------------------------------------- */
void gline(gen *g, const char *format, ...) __attribute__((format(printf, 2, 3)));
gval *gadd(gen *g, gkind k, const char *name, const dset *ds);
/* A new line `vN = <format>`, and its value. */
gval *gput(gen *g, gkind k, const dset *ds, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
gval *gpick(gen *g, gkind k); /* NULL: none in scope */
gval *gint_for(gen *g, const dset *ds); /* an i32 value with dims of ds; NULL for no dims */
/* i as rows of dim d. Rows known to the compiler must exist; others are clamped. */
const char *grows(gen *g, const gval *i, uint8_t d);
gval *gbool_for(gen *g, const dset *ds);
gval *gbool_new(gen *g, const dset *ds); /* a comparison of its own */
/* A float value with exactly these dims (in some order), made from what is in scope. */
gval *gshape(gen *g, const dset *want);
const char *gfresh(gen *g, const char *prefix);
/* The value with its dims in exactly this order: through a block that declares it. */
gval *gordered(gen *g, const gval *v, const dset *order);

/* -- gen_stmt.c, gen_view.c, gen_big.c, gen_net.c, gen_op.c: each adds lines, or nothing ------- */
typedef void gstmt(gen *g);
gstmt gs_unary, gs_binary, gs_separated, gs_ints, gs_bools, gs_select, gs_reduce, gs_std,
    gs_overlap;
gstmt gs_split, gs_merge, gs_slice, gs_concat, gs_stack, gs_unstack, gs_rename, gs_index;
gstmt gs_linear, gs_contract, gs_embed, gs_gather, gs_lookups, gs_scatter, gs_attend, gs_conv;
gstmt gs_param;
gstmt gs_branch, gs_layers, gs_conv2, gs_ties;
gstmt gs_repeat, gs_block, gs_if, gs_rope, gs_buffer, gs_op, gs_op_vjp;
void gstatements(gen *g, uint32_t n); /* n of them at random */

#endif

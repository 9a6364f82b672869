/* device.h - what executes the steps of a plan: memory, code, and a list of bound steps.
 *
 * A device is a const table of functions (cpu, null); it is chosen by the plan's target. The
 * caller (runtime/exec) allocates regions, turns the operands of a program into addresses once, and
 * then asks for the whole list to run. Addresses are the device's: only dev copies may touch what
 * is behind them.
 *
 * To add a device: clone dev_null.c, add it to the list in device.c, and pass tests/exec.
 */
#ifndef DFM_RUNTIME_DEVICE_H
#define DFM_RUNTIME_DEVICE_H

#include "runtime/plan/plan.h"

typedef struct dev_ops dev_ops;

/* Times of the steps of a run, for `dfm-rt bench`: the device calls `step` after each, with the
 * counters of the open loops. */
typedef struct dev_profile {
    void (*step)(void *user, uint32_t index, const int64_t *iter, double begin, double end);
    void *user;
} dev_profile;

/* What the hardware can do, measured: the roofs that kernels are compared with. */
enum { DEV_ROOF_SIZES = 6 };
typedef struct dev_roof {
    double flops;                            /* per second, f32, in matrix products: best of several
                                                sizes and layouts; 0: unknown */
    uint64_t size[DEV_ROOF_SIZES];           /* bytes read and written by a copy, growing */
    double bytes[DEV_ROOF_SIZES];            /* per second, of a copy of that size, repeated */
} dev_roof;

typedef struct dev {                         /* each device extends this */
    const dev_ops *ops;
    const dev_profile *profile;              /* NULL: nothing is timed */
    uint32_t threads;                        /* that results may depend on; 0: they do not */
} dev;

typedef struct dev_options {
    const plan *p;                           /* kept: kernels, products and code are read from it */
    const char *path; /* of the plan's file, for the owner check and messages */
    uint32_t threads;                        /* 0: all that the process may use */
    bool trust;                              /* load host code whoever owns the file */
} dev_options;

/* An operand with its address: base + sum over open loops j of iter[j] * loop_stride[j]. */
typedef struct dev_operand {
    char *base;                              /* NULL: none */
    int64_t loop_stride[PLAN_MAX_LOOPS];
} dev_operand;

enum { DEV_NO_DRAW = UINT32_MAX };

typedef struct dev_step {
    uint32_t kind;                           /* plan_step_kind */
    uint32_t item;                           /* kernel or product of the plan */
    uint32_t first_operand, n_operands;      /* in dev_list.operands */
    uint32_t depth, reverse;                 /* LOOP */
    uint32_t partner;                        /* LOOP: its END; END: its LOOP; index in the list */
    uint32_t draw;                           /* skipped if given[draw]; DEV_NO_DRAW: never */
    uint64_t value;                          /* COPY: bytes; LOOP: trips */
    bool moves;                              /* some operand has a loop stride */
} dev_step;

typedef struct dev_list {
    const dev_step *steps;
    uint32_t n_steps;
    const dev_operand *operands;
    void *const *fixed;                      /* the operands' bases, for steps that do not move */
    uint32_t n_operands, max_operands;       /* in all; of one step */
} dev_list;

typedef struct dev_counts {                  /* what a run did, by the plan's cost model */
    uint64_t calls, products, copies;
    double flops;
} dev_counts;

struct dev_ops {
    const char *name, *meaning;
    /* Check that the plan can run here and open. DFM_UNAVAILABLE names what is missing. */
    dfm_status (*open)(dfm_arena *a, const dev_options *options, dev **out, dfm_err *err);
    void (*close)(dev *d);                   /* frees blocks as well */
    /* A block of zeros, page-aligned; DFM_NO_MEMORY. Lives until close. */
    dfm_status (*alloc)(dev *d, uint64_t bytes, void **out, dfm_err *err);
    /* Read-only constants: the caller keeps p alive. */
    dfm_status (*constants)(dev *d, const void *p, uint64_t bytes, void **out, dfm_err *err);
    /* Make ready what the list uses (code, products). Before the first run of the list. */
    dfm_status (*prepare)(dev *d, const dev_list *list, dfm_err *err);
    /* Run the list to its end. given: by draw, see dev_step.draw. */
    dfm_status (*run)(dev *d, const dev_list *list, plan_kctx *ctx, const bool *given,
                      dfm_err *err);
    /* Between host and device memory, or within device memory; all done on return. */
    void (*copy_in)(dev *d, void *device, const void *host, uint64_t bytes);
    void (*copy_out)(dev *d, void *host, const void *device, uint64_t bytes);
    void (*copy)(dev *d, void *to, const void *from, uint64_t bytes);
    void (*clear)(dev *d, void *device, uint64_t bytes);
    dev_counts (*counts)(const dev *d);      /* since open */
    /* Measure for about a second and raise in *roof (zero at first) what proves to be higher. */
    dfm_status (*roof)(dev *d, dev_roof *roof, dfm_err *err);
};

/* Call first in main: may start the program again, with settings that libraries read at their
 * start. What the user has set stays. */
void dev_process_settings(char **argv);

/* The device for a plan's target; NULL if there is none. */
const dev_ops *dev_find(const char *target);
const dev_ops *const *dev_list_all(uint32_t *out_n);

#endif

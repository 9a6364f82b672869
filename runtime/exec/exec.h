/* exec.h - an opened plan: its memory, its programs bound to addresses, values in and out.
 *
 *     rt_open(path, &options, &r, &err);
 *     rt_init(r, seed, &err);                           initial weights
 *     rt_program *p;  rt_program_get(r, "forward", &p, &err);
 *     rt_set(r, p, "x", &value, &err);                  inputs by name
 *     rt_run(r, p, &call, &err);
 *     rt_get(r, rt_find_io(p, "out", PLAN_IO_OUTPUT), buffer);
 *
 * Programs share one arena: set the inputs right before a run and read the outputs right after it.
 * State (weights, gradients, optimizer) persists between runs. Nothing here knows the target.
 * Not for several threads at a time.
 */
#ifndef DFM_RUNTIME_EXEC_H
#define DFM_RUNTIME_EXEC_H

#include "runtime/ckpt/safetensors.h"
#include "runtime/device/device.h"
#include "runtime/plan/plan.h"

typedef struct rt rt;

typedef struct rt_options {
    uint32_t threads;                        /* 0: all that the process may use */
    bool trust;                              /* load host code whoever owns the file */
    bool accumulate;                         /* allocate state that only accumulation needs */
} rt_options;

/* -- exec.c ------------------------------------------------------------------------------------ */
/* Open, verify, allocate all memory. On failure *out is NULL. Undo with rt_close. */
dfm_status rt_open(const char *path, const rt_options *options, rt **out, dfm_err *err);
void rt_close(rt *r);                        /* NULL is allowed */
const plan *rt_plan_of(const rt *r);
const char *rt_plan_path(const rt *r);
dev *rt_device(rt *r);
uint64_t rt_memory(const rt *r);             /* bytes of arena and state */

typedef struct rt_program {
    const plan_program *prog;
    const plan_io *io;                       /* [prog->n_io] */
    const plan *p;
    bool *given;                             /* by io: this draw is given from outside */
    double *scalars;
    dev_list list;
} rt_program;

bool rt_has_program(const rt *r, const char *name);
/* Bound at first use. DFM_BAD_CONFIG if the plan has none, saying which there are. */
dfm_status rt_program_get(rt *r, const char *name, rt_program **out, dfm_err *err);

typedef struct rt_call {
    uint64_t seed, step;
    int64_t first_sample;                    /* global index of the batch's first sample */
    double keep, scale;                      /* of step.accumulate */
    double lr;                               /* of step.update: base rate; 0: the program's own */
} rt_call;
dfm_status rt_run(rt *r, rt_program *p, const rt_call *call, dfm_err *err);

/* Address of state buffer (state, flat); NULL if there is none (or it is not allocated). */
void *rt_state(const rt *r, uint32_t state, uint32_t flat, const plan_region **out_region);
/* Index of the state with that name; UINT32_MAX if there is none. */
uint32_t rt_state_find(const rt *r, const char *name);

/* -- exec_io.c --------------------------------------------------------------------------------- */
typedef struct rt_value {                    /* C order; data may be unaligned */
    dfm_dtype dtype;
    uint32_t rank;
    const uint64_t *shape;
    const void *data;
} rt_value;

/* Input or output of that name whose flags meet `roles`; NULL if there is none. */
const plan_io *rt_find_io(const rt_program *p, const char *name, uint32_t roles);
/* Store an input by name; a draw counts as given from now on (rt_clear_given). The shape must be
 * the program's; values convert to its type if none changes by that, else DFM_BAD_DATA. Integers
 * with a known range must lie in it. */
dfm_status rt_set(rt *r, rt_program *p, const char *name, const rt_value *v, dfm_err *err);
/* Store bytes that already have the input's type and shape; integers are checked. */
dfm_status rt_set_raw(rt *r, const rt_program *p, const plan_io *io, const void *data,
                      dfm_err *err);
void rt_clear_given(rt_program *p);
/* Copy an output (io->bytes) to dst. */
void rt_get(rt *r, const plan_io *io, void *dst);
double rt_get_number(rt *r, const plan_io *io);          /* its first element */
/* "f32[B=8, C=1]", in the arena. */
const char *rt_io_text(const plan *p, const plan_io *io, dfm_arena *a);

/* -- exec_weights.c ---------------------------------------------------------------------------- */
enum { RT_MODEL_STATE = 0 };

typedef enum rt_names { RT_PUBLISHED, RT_STATE_PATH } rt_names; /* "a.weight"; "adamw.m.a.weight" */
enum { RT_STRICT = 1, RT_PARTIAL = 2 };

/* Read state `state` from tensors found by name. All missing and wrong ones are reported together,
 * in groups. Buffers, and with RT_PARTIAL all, may be missing: they keep their values. Names in the
 * file that nothing takes: *out_unused (may be NULL) tells how many and gives examples; with
 * RT_STRICT they are an error. */
typedef struct rt_unused { uint32_t n; const char *text; } rt_unused;
dfm_status rt_load_state(rt *r, uint32_t state, rt_names names, const ckpt_weights *w, uint32_t how,
                         dfm_arena *a, rt_unused *out_unused, dfm_err *err);
/* Weights by published names from a file or folder, into the model and its averages. */
dfm_status rt_load_weights(rt *r, const char *path, dfm_arena *a, rt_unused *out_unused,
                           dfm_err *err);
/* Tensors (without data) of a state, one per parameter that has it, in the order of the plan. */
uint32_t rt_state_tensors(const rt *r, uint32_t state, rt_names names, const char *prefix,
                          dfm_arena *a, ckpt_tensor **out);
/* Bytes from `offset` on of parameter `param` of a state. */
void rt_read_param(rt *r, uint32_t state, uint32_t param, uint64_t offset, uint64_t bytes,
                   void *dst);
bool rt_has_param(const rt *r, uint32_t state, uint32_t param);

/* -- exec_train.c ------------------------------------------------------------------------------ */
/* Run `init`; averages become equal to the weights, other state zero. */
dfm_status rt_init(rt *r, uint64_t seed, dfm_err *err);
/* The same before weights are loaded: what `w` has by published names is not made, and the averages
 * stay zero. Call rt_load_state or what uses it next, then rt_reset_averages. */
dfm_status rt_init_except(rt *r, uint64_t seed, const ckpt_weights *w, dfm_err *err);
/* Make averages equal to the weights (after loading weights). */
void rt_reset_averages(rt *r);

typedef struct rt_step_args {
    uint64_t seed, step;                     /* step: updates done before */
    uint32_t parts;                          /* batches whose gradients are averaged, >= 1 */
    uint32_t batch;                          /* samples of one */
    double lr;                               /* base rate; 0: the program's own */
    /* Store the inputs of p for part `part`. */
    dfm_status (*fetch)(void *user, rt *r, rt_program *p, uint32_t part, dfm_err *err);
    void *user;
} rt_step_args;
typedef struct rt_step_result {
    double loss, lr, grad_norm;              /* NaN: unknown */
    bool finite;                             /* loss and gradients are */
} rt_step_result;
/* One optimizer step: gradients of each part, their mean, the update. If the loss is not finite
 * nothing is updated. If the gradients are not the update was made with them: the state is lost,
 * and the caller must stop without saving it. */
dfm_status rt_train_step(rt *r, const rt_step_args *args, rt_step_result *out, dfm_err *err);

#endif

/* dfm_rt.h - the runtime for other programs: load a plan, bind weights, run its programs.
 *
 *     dfm_rt *rt = dfm_rt_load("dit.plan", 0, 0);
 *     if (!rt) fprintf(stderr, "%s\n", dfm_rt_error(NULL));
 *     dfm_rt_weights(rt, "model.safetensors");
 *     dfm_rt_set(rt, "forward", "x", "f32", 4, shape, x);
 *     dfm_rt_run(rt, "forward", seed, 0, 0);
 *     dfm_rt_get(rt, "forward", "out", out, sizeof out);
 *     dfm_rt_close(rt);
 *
 * Functions return 0, or an exit code of docs/cli.md; dfm_rt_error then has the text. Element types
 * are named "f32", "bf16", "i32" and so on. Programs share memory: set all inputs of a program
 * right before running it, and get its outputs right after. Not for several threads at a time.
 */
#ifndef DFM_RUNTIME_DFM_RT_H
#define DFM_RUNTIME_DFM_RT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct dfm_rt dfm_rt;

/* threads 0: all that the process may use. trust: load machine code from a file that others could
 * have written. NULL on failure: see dfm_rt_error(NULL). */
dfm_rt *dfm_rt_load(const char *plan_path, unsigned threads, int trust);
void dfm_rt_close(dfm_rt *rt);               /* NULL is allowed */

/* What the last failing call on rt said (NULL: the last failing dfm_rt_load of this thread). */
const char *dfm_rt_error(const dfm_rt *rt);

/* Initial weights from the program's own initialisers; optimizer state zero, averages equal. */
int dfm_rt_init(dfm_rt *rt, uint64_t seed);
/* Weights by published names from a safetensors file or folder; call dfm_rt_init before if the
 * program has buffers that the file lacks. */
int dfm_rt_weights(dfm_rt *rt, const char *path);

/* Store an input in C order. A draw given by name replaces the program's own from now on. */
int dfm_rt_set(dfm_rt *rt, const char *program, const char *name, const char *dtype, unsigned rank,
               const uint64_t *shape, const void *data);
int dfm_rt_run(dfm_rt *rt, const char *program, uint64_t seed, uint64_t step, int64_t first_sample);
/* Copy an output, in its own element type; `bytes` must be its size. */
int dfm_rt_get(dfm_rt *rt, const char *program, const char *name, void *out, size_t bytes);

/* One optimizer step on inputs stored for program "step.grad"; `step` counts those done before. */
int dfm_rt_train_step(dfm_rt *rt, uint64_t seed, uint64_t step, double *out_loss);

#ifdef __cplusplus
}
#endif
#endif

/* attn_run.c - runs the plan of attention.dfm when told to, and prints what attention took.
 *
 *     attn_run PLAN THREADS
 *
 * Reads lines from standard input. "run": one training step's gradient; prints the seconds of the
 * attention forward and backward. "roof": prints the FLOP/s of a large f32 product. End of input
 * ends it. compare.py is at the other end.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/exec/exec.h"

typedef struct timing {
    const plan *p;
    const rt_program *program;
    double forward, backward;
} timing;

static void on_step(void *user, uint32_t index, const int64_t *iter, double begin, double end)
{
    timing *t = user;
    (void)iter;
    const plan_step *s = &t->p->steps[t->program->prog->first_step + index];
    if (s->kind != PLAN_STEP_CALL) return;
    const char *name = plan_text(t->p, t->p->kernels[s->item].name);
    if (!strcmp(name, "attend")) t->forward += end - begin;
    if (!strcmp(name, "attend_bwd")) t->backward += end - begin;
}

/* Inputs are numbers of order one; weights are normal, so that scores are as after training. */
static dfm_status fill(rt *r, rt_program *p, dfm_err *err)
{
    for (uint32_t i = 0; i < p->prog->n_io; i++) {
        const plan_io *io = &p->io[i];
        if (io->flags & PLAN_IO_OUTPUT) continue;
        uint64_t n = io->bytes / dfm_dtype_bytes((dfm_dtype)io->dtype);
        char *data = calloc(n + 1, dfm_dtype_bytes((dfm_dtype)io->dtype));
        if (!data) return dfm_fail(err, DFM_NO_MEMORY, "out of memory");
        for (uint64_t e = 0; e < n; e++)
            dfm_store_double((dfm_dtype)io->dtype, data, e, (double)(e * 7919 % 2003) / 1000 - 1);
        dfm_status s = rt_set_raw(r, p, io, data, err);
        free(data);
        DFM_TRY(s);
    }
    return DFM_OK;
}

static dfm_status serve(rt *r, dfm_err *err)
{
    rt_program *p;
    char line[64];
    DFM_TRY(rt_init(r, 1, err));
    DFM_TRY(rt_program_get(r, "step.grad", &p, err));
    timing t = {.p = rt_plan_of(r), .program = p};
    dev_profile profile = {on_step, &t};
    dev *d = rt_device(r);
    while (fgets(line, sizeof line, stdin)) {
        if (!strncmp(line, "roof", 4)) {
            dev_roof roof;
            DFM_TRY(d->ops->roof(d, &roof, err));
            printf("%.6g\n", roof.flops);
        } else {
            rt_call call = {.scale = 1.0};
            t.forward = t.backward = 0;
            d->profile = &profile;
            DFM_TRY(fill(r, p, err));
            DFM_TRY(rt_run(r, p, &call, err));
            d->profile = NULL;
            printf("%.9f %.9f\n", t.forward, t.backward);
        }
        fflush(stdout);
    }
    return DFM_OK;
}

int main(int argc, char **argv)
{
    dfm_err err = {0};
    rt *r = NULL;
    if (argc != 3) return fprintf(stderr, "attn_run PLAN THREADS\n"), 2;
    rt_options o = {.threads = (uint32_t)atoi(argv[2])};
    dfm_status s = rt_open(argv[1], &o, &r, &err);
    if (s == DFM_OK) s = serve(r, &err);
    if (s != DFM_OK) fprintf(stderr, "attn_run: %s\n", err.text);
    rt_close(r);
    return s == DFM_OK ? 0 : 1;
}

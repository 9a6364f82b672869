/* bench.h - what `dfm-rt bench` measures (bench.c) and how it says it (bench_report.c). */
#ifndef DFM_RUNTIME_APP_BENCH_H
#define DFM_RUNTIME_APP_BENCH_H

#include "runtime/app/app.h"

typedef struct bench_entry {                 /* a line: one kernel, product or copy */
    uint32_t kind, item;                     /* plan_step_kind; kernel or product */
    bool product;                            /* a kernel that is a product in generated code */
    const char *name, *where;
    double flops, bytes;                     /* of one call */
    double seconds;                          /* of all timed runs */
    uint64_t calls;
} bench_entry;

typedef struct bench_event {
    uint32_t program, step;                  /* of bench.programs; of the plan */
    int64_t iter;                            /* of the outermost loop, if the step is in one */
    double begin, end;
} bench_event;

typedef struct bench {
    app *x;
    rt *r;
    const char *what;                        /* "step", or the program's name */
    rt_program *programs[2];                 /* that make one run */
    uint32_t n_programs;
    uint32_t program;                        /* that runs now */
    void **host[2];                          /* by program and io: its input; NULL: none */
    bool timing, tracing;
    uint32_t *entry_of;                      /* by step of the plan */
    DFM_VEC(bench_entry) entries;
    DFM_VEC(bench_event) events;
    double seconds;                          /* inside steps, all timed runs */
    double wall, least;                      /* all timed runs; the fastest of them */
    uint32_t runs;
    dev_roof roof;
} bench;

/* Operations of one run by the plan's cost model. */
double bench_flops(const bench *b);
/* The table, slowest first; sorts the entries. */
void bench_print(bench *b, FILE *out);
/* The same as one JSON object. */
void bench_print_json(bench *b, FILE *out);
/* The events of the last run, as a trace that Perfetto and Chrome open (bench_trace.c); before the
 * entries are sorted. */
dfm_status bench_write_trace(const bench *b, const char *path, dfm_err *err);

#endif

/* test_models.c - the shipped models at small, odd sizes, through every level: the interpreter of G
 * in float64, the interpreter of K on planned memory, and compiled code; every program of each.
 *
 * Fails if lowering, the memory plan or generated code changes any result beyond rounding.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "compiler/driver_impl.h"
#include "compiler/truth/levels.h"

typedef struct model { const char *title, *argv[24]; double floor; } model;

static const model models[] = {
    {"dit, flow", {"dfmc", DFM_SOURCE_DIR "/models/dit.dfm", "--set", "dim.B=3", "--set",
                   "dim.D=36", "--set", "dim.H=3", "--set", "dim.L=2"}, 1e-5},
    {"dit, ddpm, ddim", {"dfmc", DFM_SOURCE_DIR "/models/dit.dfm", "--train", "ddpm", "--sampler",
                         "ddim", "--set", "dim.B=2", "--set", "dim.Co=2*C", "--set", "dim.D=24",
                         "--set", "dim.H=2", "--set", "dim.L=3", "--set", "dim.Y=6", "--set",
                         "dim.X=10", "--set", "dim.L=2"}, 2e-5},
    {"dit, bf16", {"dfmc", DFM_SOURCE_DIR "/models/dit.dfm", "--set", "dim.B=3", "--set",
                   "dim.D=32", "--set", "dim.H=2", "--set", "dim.L=2", "--precision",
                   "bf16"}, 4e-2},
    {"wan", {"dfmc", DFM_SOURCE_DIR "/models/wan_1_3b.dfm", "--precision", "f32", "--set",
             "dim.B=2", "--set", "dim.T=2", "--set", "dim.Y=4", "--set", "dim.X=6", "--set",
             "dim.C=3", "--set", "dim.D=48", "--set", "dim.H=2", "--set", "dim.F=50"}, 2e-5},
    {"novel", {"dfmc", DFM_SOURCE_DIR "/models/novel.dfm", "--set", "dim.B=2"}, 2e-5},
};

static void run_model(void **state)
{
    const model *t = *state;
    const char *more[] = {"--set", "dim.L=2", "--set", "dim.Lt=5", "--set", "dim.Dt=7"};
    char *argv[40];
    int argc = 0;
    for (int i = 0; t->argv[i]; i++) argv[argc++] = (char *)t->argv[i];
    if (!strcmp(t->title, "wan"))
        for (size_t i = 0; i < sizeof more / sizeof *more; i++) argv[argc++] = (char *)more[i];
    dfm_arena *a = dfm_arena_create("test");
    options opt;
    dfm_err err = {0};
    assert_int_equal(options_parse(a, argc, argv, &opt, &err), DFM_OK);
    driver d = {.arena = a, .names = dfm_names_create(a), .diag = diag_create(a), .opt = &opt,
                .out = stdout, .log = stderr};
    ir_module *m = driver_front(&d);
    if (!m) diag_print(d.diag, stderr, DIAG_TEXT, false);
    assert_non_null(m);
    if (!driver_passes(&d, m)) fail_msg("%s: %s", t->title, d.err.text);
    levels_options o = {.seed = 11, .compiled = true, .floor = t->floor, .spread = 10};
    levels_report r;
    if (!levels_check(m, &o, &r)) fail_msg("%s: %s", t->title, r.text);
    print_message("%s: %u nodes, %u kernels, worst K %.2g, worst code %.2g\n", t->title, r.n_nodes,
                  r.n_kernels, r.worst_k, r.worst_code);
    dfm_arena_destroy(a);
}

int main(void)
{
    struct CMUnitTest tests[sizeof models / sizeof *models];
    for (size_t i = 0; i < sizeof models / sizeof *models; i++)
        tests[i] = (struct CMUnitTest){.name = models[i].title, .test_func = run_model,
                                       .initial_state = (void *)&models[i]};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

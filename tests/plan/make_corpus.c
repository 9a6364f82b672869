/* make_corpus.c - writes seed plans for the fuzz target into a folder. */
#include <stdio.h>
#include <string.h>

#include "tests/plan/sample_plan.h"

int main(int argc, char **argv)
{
    if (argc != 2) return 64;
    dfm_err err = {0};
    if (dfm_make_folders(argv[1], &err) != DFM_OK) return 73;
    static sample_plan s;
    dfm_arena *a = dfm_arena_create("corpus");
    for (int i = 0; i < 3; i++) {
        sample_plan_make(&s);
        if (i == 1) s.p.n_programs = 1, s.p.n_steps = 1, s.p.n_io = 0;
        if (i == 2) s.p.n_params = 1;
        if (plan_save(&s.p, dfm_fmt(a, "%s/plan_%d.plan", argv[1], i), &err) != DFM_OK) {
            fprintf(stderr, "%s\n", err.text);
            return 73;
        }
    }
    dfm_arena_destroy(a);
    return 0;
}

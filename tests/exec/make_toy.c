/* make_toy.c - make_toy PLAN [KEY=VALUE ...]: writes the plan of toy_plan.h for the tests of the
 * command line. Keys: target, flag, data, symbol, nan. */
#include <stdio.h>
#include <string.h>

#include "tests/exec/toy_plan.h"

int main(int argc, char **argv)
{
    toy_options o = {.target = "cpu"};
    dfm_err err = {0};
    if (argc < 2) return DFM_USAGE;
    for (int i = 2; i < argc; i++) {
        const char *value = strchr(argv[i], '=');
        value = value ? value + 1 : "";
        if (dfm_starts_with(argv[i], "target=")) o.target = value;
        if (dfm_starts_with(argv[i], "flag=")) o.flag = value;
        if (dfm_starts_with(argv[i], "data=")) o.data = value;
        if (dfm_starts_with(argv[i], "symbol=")) o.symbol = value;
        if (dfm_starts_with(argv[i], "nan=")) o.nan_at_3 = true;
    }
    dfm_arena *a = dfm_arena_create("make_toy");
    const char *folder = dfm_path_beside(a, argv[1], ".");
    dfm_status s = toy_plan_write(argv[1], folder, &o, &err);
    if (s != DFM_OK) fprintf(stderr, "error: %s\n", err.text);
    dfm_arena_destroy(a);
    return (int)s;
}

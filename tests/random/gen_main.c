/* gen_main.c - print the program of a seed: for looking at, and for other tools. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/random/gen.h"

int main(int argc, char **argv)
{
    dfm_arena *a = dfm_arena_create("gen");
    dfm_sb sb = dfm_sb_make(a);
    gen_traits t;
    gen_program(a, argc > 1 ? strtoull(argv[1], NULL, 10) : 0, &sb, &t);
    fputs(dfm_sb_cstr(&sb), stdout);
    dfm_arena_destroy(a);
    return 0;
}

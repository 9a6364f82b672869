/* options.h - the command line of dfmc. */
#ifndef DFM_COMPILER_OPTIONS_H
#define DFM_COMPILER_OPTIONS_H

#include "runtime/base/arena.h"
#include "runtime/base/status.h"
#include "runtime/base/str.h"

typedef enum option_id {
#define OPT(id, flag, arg, help) OPT_##id,
#include "compiler/options.def"
#undef OPT
    OPT_COUNT
} option_id;

typedef enum command {
    CMD_COMPILE, CMD_CHECK, CMD_TEST, CMD_FMT, CMD_PARAMS, CMD_EXPLAIN, CMD_HELP, CMD_VERSION,
    CMD_COUNT
} command;

typedef struct options {
    command cmd;
    const char *input;                       /* file, or the code of `explain`; NULL: none */
    const char *value[OPT_COUNT];            /* NULL: not given; "" for a flag that is */
    DFM_VEC(const char *) sets;
} options;

/* Parse argv. DFM_USAGE with the flag at fault and the nearest known one. */
dfm_status options_parse(dfm_arena *a, int argc, char **argv, options *out, dfm_err *err);
void options_help(dfm_sb *out);
/* The page docs/cli.md about dfmc, in Markdown. */
void options_markdown(dfm_sb *out);

#endif

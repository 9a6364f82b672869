/* options.h - the command line of dfm-rt. */
#ifndef DFM_RUNTIME_APP_OPTIONS_H
#define DFM_RUNTIME_APP_OPTIONS_H

#include "runtime/base/arena.h"
#include "runtime/base/status.h"
#include "runtime/base/str.h"

typedef enum app_command {
#define COMMAND(id, name, args, help) APP_##id,
#include "runtime/app/options.def"
    APP_COMMAND_COUNT
} app_command;

typedef enum app_flag {
#define FLAG(id, flag, arg, commands, help) FLAG_##id,
#include "runtime/app/options.def"
    APP_FLAG_COUNT
} app_flag;

typedef struct app_options {
    app_command command;
    const char *plan;                        /* or the topic of `help`; NULL: none */
    const char *value[APP_FLAG_COUNT];       /* NULL: not given; "" for a flag without argument */
    DFM_VEC(const char *) overrides;         /* key=value, in order */
} app_options;

/* DFM_USAGE with the word at fault and the nearest known one. */
dfm_status app_options_parse(dfm_arena *a, int argc, char **argv, app_options *out, dfm_err *err);
/* Help for one command, or (APP_COMMAND_COUNT) for all. */
void app_help(dfm_sb *out, app_command command);
/* Command of that name; APP_COMMAND_COUNT if there is none. */
app_command app_command_find(const char *name);
/* The part of docs/cli.md about dfm-rt, in Markdown. */
void app_markdown(dfm_sb *out);

#endif

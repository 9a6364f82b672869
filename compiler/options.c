/* options.c - the command line of dfmc. */
#include "compiler/options.h"

#include <string.h>

static const struct { const char *flag, *arg, *help; } table[] = {
#define OPT(id, flag, arg, help) {flag, arg, help},
#include "compiler/options.def"
#undef OPT
};

static const struct { const char *name, *arg, *help; } commands[CMD_COUNT] = {
    [CMD_COMPILE] = {"", "FILE.dfm", "compile to a plan"},
    [CMD_CHECK] = {"check", "FILE.dfm", "report errors, write nothing; unbound dims need no value"},
    [CMD_TEST] = {"test", "FILE.dfm",
                  "compare gradients with differences, compiled code with the interpreter"},
    [CMD_FMT] = {"fmt", "FILE.dfm", "print the file in canonical form"},
    [CMD_PARAMS] = {"params", "FILE.dfm", "list the parameters: names, shapes, counts"},
    [CMD_EXPLAIN] = {"explain", "CODE", "explain an error code, as E0304"},
    [CMD_HELP] = {"help", "", "print this"},
    [CMD_VERSION] = {"version", "", "print the version"},
};

void options_help(dfm_sb *out)
{
    dfm_sb_puts(out, "dfmc: compile a diffusion transformer to a plan\n\n");
    for (int c = 0; c < CMD_COUNT; c++) {
        char left[64];
        snprintf(left, sizeof left, "dfmc%s%s %s", *commands[c].name ? " " : "", commands[c].name,
                 commands[c].arg);
        dfm_sb_printf(out, "  %-26s %s\n", left, commands[c].help);
    }
    dfm_sb_puts(out, "\nflags (--flag value or --flag=value):\n");
    for (int o = 0; o < OPT_COUNT; o++) {
        char left[64];
        snprintf(left, sizeof left, "%s%s%s", table[o].flag, table[o].arg ? " " : "",
                 table[o].arg ? table[o].arg : "");
        dfm_sb_printf(out, "  %-18s %s\n", left, table[o].help);
    }
    dfm_sb_puts(out, "\nexit codes: 0 done, 1 error in the program, 2 usage, 3 environment, "
                     "4 a bug of ours\n");
}

void options_markdown(dfm_sb *out)
{
    dfm_sb_puts(out, "## dfmc\n\n| command | meaning |\n|---|---|\n");
    for (int c = 0; c < CMD_COUNT; c++)
        dfm_sb_printf(out, "| `dfmc%s%s %s` | %s |\n", *commands[c].name ? " " : "",
                      commands[c].name, commands[c].arg, commands[c].help);
    dfm_sb_puts(out, "\n| flag | meaning |\n|---|---|\n");
    for (int o = 0; o < OPT_COUNT; o++)
        dfm_sb_printf(out, "| `%s%s%s` | %s |\n", table[o].flag, table[o].arg ? " " : "",
                      table[o].arg ? table[o].arg : "", table[o].help);
    dfm_sb_puts(out, "\nExit codes: 0 done, 1 error in the program, 2 usage, 3 environment, "
                     "4 a bug of ours.\n");
}

static dfm_status unknown_flag(const char *word, dfm_err *err)
{
    const char *names[OPT_COUNT];
    for (int o = 0; o < OPT_COUNT; o++) names[o] = table[o].flag;
    const char *near = dfm_nearest(word, names, OPT_COUNT);
    dfm_fail(err, DFM_USAGE, "unknown flag '%s'", word);
    if (near) dfm_help(err, "did you mean %s?", near);
    else dfm_help(err, "dfmc --help lists the flags");
    return DFM_USAGE;
}

/* One flag at argv[*i], with its value; advances *i over what it takes. */
static dfm_status take_flag(dfm_arena *a, int argc, char **argv, int *i, options *out, dfm_err *err)
{
    const char *eq = dfm_starts_with(argv[*i], "--") ? strchr(argv[*i], '=') : NULL;
    char *word = eq ? dfm_strndup(a, argv[*i], (size_t)(eq - argv[*i])) : argv[*i];
    int o = 0;
    if (!strcmp(word, "-h")) word = "--help";
    while (o < OPT_COUNT && strcmp(table[o].flag, word) != 0) o++;
    if (o == OPT_COUNT) return unknown_flag(word, err);
    const char *value = eq ? eq + 1 : "";
    if (table[o].arg && !eq) {
        if (*i + 1 >= argc)
            return dfm_fail(err, DFM_USAGE, "%s needs a value: %s", word, table[o].arg);
        value = argv[++*i];
    }
    if (!table[o].arg && eq) return dfm_fail(err, DFM_USAGE, "%s takes no value", word);
    if (o == OPT_SET) dfm_push(a, &out->sets, value);
    else if (out->value[o] && table[o].arg)
        return dfm_fail(err, DFM_USAGE, "%s is given twice", word);
    out->value[o] = value;
    return DFM_OK;
}

static int command_of(const char *word)
{
    for (int c = 1; c < CMD_COUNT; c++)
        if (!strcmp(commands[c].name, word)) return c;
    return -1;
}

static dfm_status no_input(const options *o, dfm_err *err)
{
    dfm_fail(err, DFM_USAGE, "%s is missing", o->cmd == CMD_EXPLAIN ? "the code" : "the file");
    dfm_help(err, "dfmc %s%s%s", commands[o->cmd].name, *commands[o->cmd].name ? " " : "",
             commands[o->cmd].arg);
    return DFM_USAGE;
}

/* A word that is neither a command nor looks like a file: perhaps a misspelt command. */
static dfm_status second_input(const options *o, const char *word, dfm_err *err)
{
    const char *names[CMD_COUNT];
    for (int c = 0; c < CMD_COUNT; c++) names[c] = c ? commands[c].name : NULL;
    const char *near = dfm_nearest(o->input, names, CMD_COUNT);
    if (near) {
        dfm_fail(err, DFM_USAGE, "unknown command '%s'", o->input);
        dfm_help(err, "did you mean 'dfmc %s %s'?", near, word);
    } else
        dfm_fail(err, DFM_USAGE, "one file at a time: '%s' and '%s' are given", o->input, word);
    return DFM_USAGE;
}

dfm_status options_parse(dfm_arena *a, int argc, char **argv, options *out, dfm_err *err)
{
    bool have_command = false, only_words = false;
    *out = (options){0};
    for (int i = 1; i < argc; i++) {
        int c = have_command || out->input ? -1 : command_of(argv[i]);
        if (!only_words && !strcmp(argv[i], "--")) only_words = true;
        else if (!only_words && argv[i][0] == '-' && argv[i][1])
            DFM_TRY(take_flag(a, argc, argv, &i, out, err));
        else if (c >= 0 && !only_words) {
            out->cmd = (command)c;
            have_command = true;
        } else if (out->input)
            return second_input(out, argv[i], err);
        else
            out->input = argv[i];
    }
    if (out->value[OPT_HELP]) out->cmd = CMD_HELP;
    if (out->value[OPT_VERSION]) out->cmd = CMD_VERSION;
    bool needs = out->cmd != CMD_HELP && out->cmd != CMD_VERSION &&
                 !(out->cmd == CMD_EXPLAIN && (out->value[OPT_ALL] || out->value[OPT_OPS]));
    if (argc == 1) out->cmd = CMD_HELP;
    else if (needs && !out->input) return no_input(out, err);
    return DFM_OK;
}

/* options.c - commands and flags from their table; help from the same table. */
#include "runtime/app/options.h"

#include <string.h>

#include "runtime/app/config.h"
#include "runtime/base/file.h"

typedef struct command_row { const char *name, *args, *help; } command_row;
typedef struct flag_row { const char *flag, *arg, *commands, *help; } flag_row;

static const command_row commands[] = {
#define COMMAND(id, name, args, help) {name, args, help},
#include "runtime/app/options.def"
};

static const flag_row flags[] = {
#define FLAG(id, flag, arg, commands, help) {flag, arg, commands, help},
#include "runtime/app/options.def"
};

static const char letters[] = "tsridb";       /* of the commands, in their order */

static bool takes(app_command c, app_flag f)
{
    return (size_t)c < strlen(letters) && strchr(flags[f].commands, letters[c]) != NULL;
}

app_command app_command_find(const char *name)
{
    for (int i = 0; i < APP_COMMAND_COUNT; i++)
        if (!strcmp(commands[i].name, name)) return (app_command)i;
    return APP_COMMAND_COUNT;
}

/* -- errors ------------------------------------------------------------------------------------ */

static dfm_status unknown_command(const char *word, dfm_err *err)
{
    const char *names[APP_COMMAND_COUNT];
    for (int i = 0; i < APP_COMMAND_COUNT; i++) names[i] = commands[i].name;
    const char *near = dfm_nearest(word, names, APP_COMMAND_COUNT);
    dfm_fail(err, DFM_USAGE, "unknown command '%.100s'", word);
    if (near) dfm_help(err, "did you mean '%s'?", near);
    else dfm_help(err, "dfm-rt --help lists the commands");
    return DFM_USAGE;
}

static dfm_status unknown_flag(app_command c, const char *word, dfm_err *err)
{
    const char *names[APP_FLAG_COUNT] = {0};
    for (int i = 0; i < APP_FLAG_COUNT; i++)
        if (takes(c, (app_flag)i)) names[i] = flags[i].flag;
    const char *near = dfm_nearest(word, names, APP_FLAG_COUNT);
    dfm_fail(err, DFM_USAGE, "dfm-rt %s has no flag '%.100s'", commands[c].name, word);
    if (near) dfm_help(err, "did you mean '%s'?", near);
    else dfm_help(err, "dfm-rt %s --help lists its flags", commands[c].name);
    return DFM_USAGE;
}

/* -- parsing ----------------------------------------------------------------------------------- */

/* Does `word` match the flag, alone or as --flag=VALUE? */
static bool matches(app_flag f, const char *word, const char **out_value)
{
    size_t n = strlen(flags[f].flag);
    *out_value = NULL;
    if (strncmp(word, flags[f].flag, n) != 0) return false;
    if (word[n] == '=' && n > 2) *out_value = word + n + 1;
    return word[n] == 0 || *out_value;
}

/* Is the word after a flag whose argument may be left out its argument? */
static bool optional_argument(const app_options *o, const char *word)
{
    if (!word || word[0] == '-' || strchr(word, '=')) return false;
    return o->plan || dfm_is_folder(word);
}

static dfm_status parse_flag(app_options *o, int argc, char **argv, int *i, dfm_err *err)
{
    const char *word = argv[*i], *value;
    for (int f = 0; f < APP_FLAG_COUNT; f++) {
        if (!takes(o->command, (app_flag)f) || !matches((app_flag)f, word, &value)) continue;
        const char *next = *i + 1 < argc ? argv[*i + 1] : NULL;
        const char *arg = flags[f].arg;
        if (!arg && value)
            return dfm_fail(err, DFM_USAGE, "%s takes no value", flags[f].flag);
        if (arg && !value && (arg[0] != '[' || optional_argument(o, next))) {
            if (!next) return dfm_fail(err, DFM_USAGE, "%s needs %s", flags[f].flag, arg);
            value = next;
            ++*i;
        }
        o->value[f] = value ? value : "";
        return DFM_OK;
    }
    return unknown_flag(o->command, word, err);
}

static bool is_help(const char *word) { return !strcmp(word, "--help") || !strcmp(word, "-h"); }

dfm_status app_options_parse(dfm_arena *a, int argc, char **argv, app_options *out, dfm_err *err)
{
    *out = (app_options){.command = APP_HELP};
    if (argc < 2 || is_help(argv[1])) return DFM_OK;
    out->command = !strcmp(argv[1], "--version") ? APP_VERSION : app_command_find(argv[1]);
    if (out->command == APP_COMMAND_COUNT) return unknown_command(argv[1], err);
    for (int i = 2; i < argc; i++) {
        const char *word = argv[i];
        if (is_help(word)) {
            out->value[FLAG_HELP] = "";
        } else if (word[0] == '-' && word[1]) {
            DFM_TRY(parse_flag(out, argc, argv, &i, err));
        } else if (!out->plan && !(strchr(word, '=') && !dfm_file_exists(word))) {
            out->plan = word;
        } else if (strchr(word, '=')) {
            dfm_push(a, &out->overrides, word);
        } else {
            dfm_fail(err, DFM_USAGE, "unexpected argument '%.200s'", word);
            dfm_help(err, "dfm-rt %s %s", commands[out->command].name, commands[out->command].args);
            return DFM_USAGE;
        }
    }
    bool needs_plan = (size_t)out->command < strlen(letters) && !out->value[FLAG_HELP];
    if (needs_plan && !out->plan) {
        dfm_fail(err, DFM_USAGE, "dfm-rt %s needs a plan", commands[out->command].name);
        dfm_help(err, "dfm-rt %s %s; dfmc makes plans: dfmc models/dit.dfm -o dit.plan",
                 commands[out->command].name, commands[out->command].args);
        return DFM_USAGE;
    }
    return DFM_OK;
}

/* -- help -------------------------------------------------------------------------------------- */

static void put_flags(dfm_sb *out, app_command c)
{
    for (int f = 0; f < APP_FLAG_COUNT; f++) {
        if (!takes(c, (app_flag)f)) continue;
        char left[64];
        snprintf(left, sizeof left, "%s%s%s", flags[f].flag, flags[f].arg ? " " : "",
                 flags[f].arg ? flags[f].arg : "");
        dfm_sb_printf(out, "  %-20s %s\n", left, flags[f].help);
    }
}

void app_help(dfm_sb *out, app_command command)
{
    if (command != APP_COMMAND_COUNT) {
        const command_row *c = &commands[command];
        dfm_sb_printf(out, "usage: dfm-rt %s %s\n\n%s\n", c->name, c->args, c->help);
        if ((size_t)command < strlen(letters)) {
            dfm_sb_puts(out, "\n");
            put_flags(out, command);
        }
        if (command <= APP_RUN)
            dfm_sb_puts(out, "\nkey=value sets a key of the configuration: dfm-rt help config\n");
        return;
    }
    dfm_sb_puts(out, "usage: dfm-rt COMMAND ...\n\n");
    for (int i = 0; i < APP_COMMAND_COUNT; i++)
        dfm_sb_printf(out, "  %-8s %s\n", commands[i].name, commands[i].help);
    dfm_sb_puts(out,
                "\nfirst steps\n"
                "  dfmc models/dit.dfm -o dit.plan    compile a model\n"
                "  dfm-rt train dit.plan              train it on its default data\n"
                "  dfm-rt sample dit.plan             generate samples with the newest run\n"
                "\ndfm-rt COMMAND --help explains a command.\n"
                "\nexit codes: 0 done, 64 command line, 65 input data, 69 something is not "
                "available,\n70 internal error, 71 no memory, 73 cannot write, 75 stopped with "
                "a checkpoint, 78 configuration\n");
}

void app_markdown(dfm_sb *out)
{
    dfm_sb_puts(out, "## dfm-rt\n");
    for (int i = 0; i < APP_COMMAND_COUNT; i++) {
        dfm_sb_printf(out, "\n### dfm-rt %s\n\n    dfm-rt %s %s\n\n%s.\n", commands[i].name,
                      commands[i].name, commands[i].args, commands[i].help);
        if ((size_t)i >= strlen(letters)) continue;
        dfm_sb_puts(out, "\n| flag | meaning |\n|---|---|\n");
        for (int f = 0; f < APP_FLAG_COUNT; f++)
            if (takes((app_command)i, (app_flag)f))
                dfm_sb_printf(out, "| `%s%s%s` | %s |\n", flags[f].flag, flags[f].arg ? " " : "",
                              flags[f].arg ? flags[f].arg : "", flags[f].help);
    }
    dfm_sb_puts(out, "\n### Configuration\n\n");
    dfm_sb_puts(out, cfg_markdown(out->arena));
}

/* main.c - dfmc: the command line, and the only place that prints errors and exits. */
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "compiler/driver.h"
#include "compiler/ir/ir.h"
#include "runtime/base/file.h"

enum { EXIT_USER = 1, EXIT_BAD_USAGE = 2, EXIT_ENVIRONMENT = 3 };

static int explain(const options *o, dfm_sb *ops)
{
    if (o->value[OPT_ALL]) {
        diag_write_markdown(stdout);
        return 0;
    }
    if (o->value[OPT_OPS]) {
        ir_write_ops_markdown(ops);
        fputs(dfm_sb_cstr(ops), stdout);
        return 0;
    }
    diag_code code = diag_code_find(o->input);
    if (!code) {
        fprintf(stderr, "error: there is no code '%s'\n  help: codes look like E0304; "
                        "dfmc explain --all lists them\n", o->input);
        return EXIT_BAD_USAGE;
    }
    diag_explain(code, stdout);
    return 0;
}

static bool format_of(const char *name, diag_format *out)
{
    static const char *const names[] = {"text", "short", "json", "sarif"};
    *out = DIAG_TEXT;
    for (int i = 0; name && i < 4; i++) {
        *out = (diag_format)i;
        if (!strcmp(name, names[i])) return true;
    }
    if (!name) return true;
    fprintf(stderr, "error: unknown format '%s'\n  help: formats: text short json sarif\n", name);
    return false;
}

static int run(driver *d, options *o)
{
    diag_format format;
    if (!format_of(o->value[OPT_FORMAT], &format)) return EXIT_BAD_USAGE;
    bool machine = format == DIAG_JSON || format == DIAG_SARIF;
    if (machine) o->value[OPT_QUIET] = "";  /* nothing but reports, for those who parse them */
    int code = driver_run(d);
    bool colour = format == DIAG_TEXT && isatty(2) && !getenv("NO_COLOR");
    if (machine && d->err.code != DFM_OK)
        diag_error(d->diag, DIAG_NONE, (dfm_loc){0}, "%s", d->err.text);
    diag_print(d->diag, stderr, format, colour);
    if (d->err.code != DFM_OK) {
        if (!machine) fprintf(stderr, "error: %s\n", d->err.text);
        if (code == 4 && d->err.code == DFM_USAGE) code = EXIT_BAD_USAGE;
        if (code == 4 && d->err.code != DFM_INTERNAL) code = EXIT_ENVIRONMENT;
        if (code == 4)
            fprintf(stderr, "This is a bug in dfmc. Please report it with the program.\n");
    }
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "error: cannot write the output\n");
        return EXIT_ENVIRONMENT;
    }
    return code;
}

static void out_of_memory(const char *what, size_t bytes)
{
    fprintf(stderr, "error: no memory for %zu bytes (%s)\n", bytes, what);
    dfm_temp_remove_all();
    _exit(EXIT_ENVIRONMENT);
}

/* A thread that waits for the signals that end a program, so that what it does then need not be
 * safe at any instant: remove what is half done and end. */
static void *wait_for_signals(void *user)
{
    int sig = SIGTERM;
    while (sigwait(user, &sig) != 0) continue;
    dfm_temp_remove_all();
    _exit(128 + sig);
}

static void catch_signals(void)
{
    static const int which[] = {SIGINT, SIGTERM, SIGHUP};
    static sigset_t set;                     /* the thread reads it as long as the process lives */
    pthread_t thread;
    sigemptyset(&set);
    for (size_t i = 0; i < DFM_LEN(which); i++) {
        struct sigaction old;
        if (sigaction(which[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
            sigaddset(&set, which[i]);
    }
    signal(SIGXFSZ, SIG_IGN);                /* a write beyond the limit fails, and is reported */
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (pthread_create(&thread, NULL, wait_for_signals, &set) != 0)
        pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

int main(int argc, char **argv)
{
    dfm_on_no_memory(out_of_memory);
    catch_signals();
    dfm_arena *a = dfm_arena_create("dfmc");
    options opt;
    dfm_err err = {0};
    int code = 0;
    dfm_sb sb = dfm_sb_make(a);
    if (options_parse(a, argc, argv, &opt, &err) != DFM_OK) {
        fprintf(stderr, "error: %s\n", err.text);
        code = EXIT_BAD_USAGE;
    } else if (opt.cmd == CMD_HELP) {
        if (opt.value[OPT_ALL]) options_markdown(&sb);
        else options_help(&sb);
        fputs(dfm_sb_cstr(&sb), stdout);
    } else if (opt.cmd == CMD_VERSION) {
        puts("dfmc " DFM_VERSION);
    } else if (opt.cmd == CMD_EXPLAIN) {
        code = explain(&opt, &sb);
    } else {
        driver d = {.arena = a, .names = dfm_names_create(a), .diag = diag_create(a), .opt = &opt,
                    .out = stdout, .log = stderr};
        code = run(&d, &opt);
    }
    dfm_arena_destroy(a);
    return code;
}

/* main.c - dfm-rt: the command line, and the only place of the runtime that prints errors and
 * exits.
 *
 * Exit codes are those of runtime/base/status.h.
 */
#include <jansson.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "runtime/app/app.h"
#include "runtime/base/sys.h"

static dfm_status help(const app_options *o, dfm_arena *a, dfm_err *err)
{
    dfm_sb text = dfm_sb_make(a);
    if (o->command != APP_HELP) app_help(&text, o->command);
    else if (!o->plan) app_help(&text, APP_COMMAND_COUNT);
    else if (!strcmp(o->plan, "config")) dfm_sb_puts(&text, cfg_markdown(a));
    else if (!strcmp(o->plan, "markdown")) app_markdown(&text);
    else if (app_command_find(o->plan) != APP_COMMAND_COUNT)
        app_help(&text, app_command_find(o->plan));
    else return dfm_fail(err, DFM_USAGE, "there is no help about '%.100s'", o->plan);
    fputs(dfm_sb_cstr(&text), stdout);
    return DFM_OK;
}

static dfm_status run(app *x, dfm_err *err)
{
    switch (x->o->command) {
    case APP_TRAIN: return app_train(x, err);
    case APP_SAMPLE: return app_sample(x, err);
    case APP_RUN: return app_run(x, err);
    case APP_INFO:
    case APP_DIS: return app_info(x, err);
    case APP_BENCH: return app_bench(x, err);
    case APP_VERSION: printf("dfm-rt %s\n", DFM_VERSION); return DFM_OK;
    default: return help(x->o, x->arena, err);
    }
}

/* From any thread: others may be at work, so nothing of theirs is torn down. */
static void out_of_memory(const char *what, size_t bytes)
{
    fprintf(stderr, "error: no memory for %zu bytes (%s)\n", bytes, what);
    dfm_temp_remove_all();
    _exit(DFM_NO_MEMORY);
}

/* jansson has no memory of its own: what it cannot get, we cannot. */
static void *json_memory(size_t n)
{
    void *p = dfm_sys_zeroed(n);
    if (!p) dfm_no_memory("JSON", n);
    return p;
}

int main(int argc, char **argv)
{
    dev_process_settings(argv);
    signal(SIGXFSZ, SIG_IGN);                /* a write beyond the limit fails, and is reported */
    dfm_on_no_memory(out_of_memory);
    json_set_alloc_funcs(json_memory, dfm_sys_free);
    dfm_arena *a = dfm_arena_create("dfm-rt");
    dfm_err err = {0};
    app_options o;
    app x = {.arena = a, .o = &o, .out = stdout, .log = stderr};
    dfm_status s = app_options_parse(a, argc, argv, &o, &err);
    if (s == DFM_OK && o.value[FLAG_HELP]) s = help(&o, a, &err);
    else if (s == DFM_OK) s = run(&x, &err);
    if (s != DFM_OK && err.len) fprintf(stderr, "error: %s\n", err.text);
    dfm_arena_destroy(a);
    return (int)s;
}

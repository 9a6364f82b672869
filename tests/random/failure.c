/* failure.c - a failing program: made small, printed, kept as a file with the command to run it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/random/runner.h"
#include "tests/random/shrink.h"

static char *read_text(dfm_arena *a, const char *path)
{
    char *text = dfm_alloc(a, 1 << 17);
    FILE *f = fopen(path, "r");
    if (!f) return "";
    text[fread(text, 1, (1 << 17) - 1, f)] = 0;
    fclose(f);
    return text;
}

static const char *words_of(dfm_arena *a, const check_options *o)
{
    return dfm_fmt(a, "seed %llu%s%s%s", (unsigned long long)o->seed, o->arch ? " " : "",
                   o->arch ? o->arch : "", o->quick ? " quick" : "");
}

file_marks marks_of(const char *path, const check_options *given)
{
    static const char *const archs[] = {"x86-64-v2", "x86-64-v3", "x86-64-v4"};
    file_marks r = {.o = *given};
    char line[300];
    unsigned long long seed;
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f) && line[0] == '#') {
        if (!strncmp(line, "# fails: ", 9))
            snprintf(r.reason, sizeof r.reason, "%.*s", (int)strcspn(line + 9, "\n"), line + 9);
        if (sscanf(line, "# inputs: seed %llu", &seed) != 1) continue;
        r.o.seed = seed;
        r.o.quick = strstr(line, " quick") != NULL;
        for (size_t i = 0; i < DFM_LEN(archs); i++)
            if (strstr(line, archs[i])) r.o.arch = archs[i];
    }
    if (f) fclose(f);
    return r;
}

/* The shrunk program as a file; its path, or NULL. */
static const char *keep(dfm_arena *a, const failure *f, const char *text)
{
    const char *folder = f->save ? f->save : "/tmp";
    const char *path = dfm_fmt(a, "%s/seed_%llu.dfm", folder, (unsigned long long)f->o.seed);
    FILE *out = fopen(path, "w");
    if (!out) return NULL;
    fprintf(out, "# %.*s\n# inputs: %s\n%s", (int)strcspn(f->out->text, "\n"), f->out->text,
            words_of(a, &f->o), text);
    fclose(out);
    return path;
}

void failure_report(const failure *f)
{
    dfm_arena *a = dfm_arena_create("failure");
    const char *text = read_text(a, f->path), *kept;
    printf("FAILED %s%s in %s:\n  %s\n", f->from_seed ? "" : dfm_fmt(a, "%s, inputs of ", f->path),
           words_of(a, &f->o), f->out->stage, f->out->text);
    fflush(stdout);
    if (f->shrink) {
        char path[] = "/tmp/dfm-shrink-XXXXXX.dfm";
        int fd = mkstemps(path, 4);
        check_options o = f->o;
        o.compiled = o.compiled &&
                     (!strncmp(f->out->stage, "code", 4) || !strcmp(f->out->stage, "crash"));
        if (fd >= 0) {
            close(fd);
            text = shrink_text(a, text, path, &o, f->out);
            unlink(path);
        }
    }
    printf("---- program ----\n%s-----------------\n", text);
    kept = keep(a, f, text);
    if (kept) printf("again: test_random_programs --file %s\n", kept);
    if (kept && !f->save)
        printf("keep it: the same run with --save writes to tests/random/regress\n");
    fflush(stdout);
    dfm_arena_destroy(a);
}

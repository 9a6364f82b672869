/* batch.c - many programs, one run of the host compiler: their kernels in common translation units,
 * so that the prelude is read, and processes are started, once for all of them. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "codegen/cpu/code_run.h"
#include "codegen/cpu/cpu.h"
#include "codegen/cpu/cpu_product.h"
#include "codegen/cpu/cpu_thin.h"
#include "tests/random/check.h"

typedef DFM_VEC(const char *) strings;

enum { UNIT_BYTES = 256 * 1024 };

/* Texts with nothing but functions of their own names may stand in one unit. */
static bool joins(const char *body)
{
    return !strstr(body, "\n#define") && !strstr(body, "\nstatic");
}

static void join(dfm_arena *a, checked *const *c, uint32_t n, strings *out)
{
    dfm_sb head = dfm_sb_make(a), open = {0};
    dfm_sb_puts(&head, cg_text_philox);
    dfm_sb_puts(&head, cg_text_prelude);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t n_texts = 0;
        const char *const *texts = c[i] ? check_texts(c[i], &n_texts) : NULL;
        for (uint32_t t = 0; t < n_texts; t++) {
            bool same = !strncmp(texts[t], head.p, head.n);
            if (!same || !joins(texts[t] + head.n)) {
                dfm_push(a, out, texts[t]);
                continue;
            }
            if (open.n > UNIT_BYTES) {
                dfm_push(a, out, dfm_sb_cstr(&open));
                open = (dfm_sb){0};
            }
            if (!open.arena) {
                open = dfm_sb_make(a);
                dfm_sb_add(&open, head.p, head.n);
            }
            dfm_sb_puts(&open, texts[t] + head.n);
        }
    }
    if (open.arena) dfm_push(a, out, dfm_sb_cstr(&open));
}

static void all_fail(checked **c, uint32_t n, const char *text, check_outcome *out)
{
    for (uint32_t i = 0; i < n; i++) {
        if (!c[i]) continue;
        out[i].ok = false;
        snprintf(out[i].stage, sizeof out[i].stage, "code");
        snprintf(out[i].text, sizeof out[i].text, "code: %.800s", text);
    }
}

void check_files(const char (*paths)[256], const check_options *o, uint32_t n, check_outcome *out)
{
    dfm_arena *a = dfm_arena_create("batch");
    checked *c[CHECK_BATCH] = {0};
    strings texts = {0};
    cg_object object = {0};
    dfm_err err = {0};
    code_file file = {0};
    /* Small products: ours in every 16th batch (they take long to compile), else oneDNN's; in half
     * of these with the drivers of few rows or terms, without which the others meet them. */
    const uint64_t batch = o[0].seed / CHECK_BATCH;
    cpu_product_least(batch % 16 ? 32 : 1);
    cpu_thin_allow(batch % 16 || batch / 16 % 2);
    for (uint32_t i = 0; i < n; i++)
        c[i] = check_open(paths[i], &o[i], dfm_fmt(a, "p%u_", i), &out[i]);
    if (o->compiled) join(a, c, n, &texts);
    if (texts.n) {
        cg_options co = {.arch = o->arch ? o->arch : "native", .cc = "cc", .jobs = 1,
                         .quick = o->quick};
        bool ok = cpu_compile(texts.p, texts.n, &co, a, &object, &err) == DFM_OK;
        if (ok) code_open(object.code, object.n_code, &file, &err);
    }
    if (texts.n && !file.handle) all_fail(c, n, err.text, out);
    else
        for (uint32_t i = 0; i < n; i++)
            if (c[i]) check_close(c[i], file.handle, &out[i]);
    code_close(&file);
    dfm_arena_destroy(a);
}

check_job check_begin_all(const char (*paths)[256], const check_options *o, uint32_t n,
                          unsigned seconds)
{
    int pipe_fd[2];
    check_job j = {-1, -1};
    if (pipe(pipe_fd) != 0) return j;
    fflush(NULL);
    j.pid = fork();
    if (j.pid == 0) {
        static check_outcome out[CHECK_BATCH];
        close(pipe_fd[0]);
        alarm(seconds);
        check_files(paths, o, n, out);
        const char *p = (const char *)out;
        for (size_t left = n * sizeof *out; left;) {
            ssize_t w = write(pipe_fd[1], p, left);
            if (w <= 0) _exit(1);
            p += w;
            left -= (size_t)w;
        }
        _exit(0);
    }
    close(pipe_fd[1]);
    j.fd = pipe_fd[0];
    return j;
}

bool check_end_all(check_job *j, check_outcome *out, uint32_t n)
{
    size_t got = 0, want = n * sizeof *out;
    int status = 0;
    for (ssize_t r; got < want && (r = read(j->fd, (char *)out + got, want - got)) > 0;)
        got += (size_t)r;
    close(j->fd);
    waitpid(j->pid, &status, 0);
    j->pid = -1;
    return got == want;
}

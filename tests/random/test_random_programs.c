/* test_random_programs.c - random programs through every level, and the files of past failures.
 *
 *   test_random_programs                       regress/ and the default seeds (what ctest runs)
 *   test_random_programs --seeds A..B          these seeds
 *   test_random_programs --file F.dfm          one file (with --seed N: the inputs of that seed)
 *   --interpreted   do not compile      --keep-going   do not stop at the fifth failure
 *   --no-shrink     print failures as they are      --jobs N   processes at a time (2)
 *
 * Fails if a program fails, or if an op or a function of the tables was never met.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/random/check.h"
#include "tests/random/gen.h"
#include "tests/random/shrink.h"

enum { DEFAULT_SEEDS = 300, MAX_JOBS = 16, MAX_FAILURES = 5, SECONDS = 120 };

typedef struct task {
    check_job job;
    check_options o;
    uint64_t seed;
    bool from_seed, busy;
    char path[256];
} task;

typedef struct bench {
    uint64_t lo, hi, seed;
    const char *file, *folder;
    uint32_t jobs, n_run, n_failed;
    bool interpreted, keep_going, shrink, all;
    double worst_k, worst_code, worst_diff;
    uint64_t n_kernels;
    check_coverage seen;
    task tasks[MAX_JOBS];
} bench;

static char *read_text(dfm_arena *a, const char *path)
{
    char *text = dfm_alloc(a, 1 << 17);
    FILE *f = fopen(path, "r");
    if (!f) return "";
    text[fread(text, 1, (1 << 17) - 1, f)] = 0;
    fclose(f);
    return text;
}

/* -- outcomes ---------------------------------------------------------------------------------- */

static void report_failure(bench *b, task *t, const check_outcome *out)
{
    dfm_arena *a = dfm_arena_create("failure");
    const char *text = read_text(a, t->path), *shrunk = text;
    printf("FAILED %s%llu (%s) in %s:\n  %s\n", t->from_seed ? "seed " : "inputs of seed ",
           (unsigned long long)t->seed, t->path, out->stage, out->text);
    if (b->shrink) {
        char path[300];
        snprintf(path, sizeof path, "%s/shrink-%llu.dfm", b->folder, (unsigned long long)t->seed);
        check_options o = t->o;
        o.compiled = o.compiled && !strncmp(out->stage, "code", 4);
        shrunk = shrink_text(a, text, path, &o, out);
        unlink(path);
    }
    printf("---- program ----\n%s-----------------\n", shrunk);
    if (t->from_seed)
        printf("again: test_random_programs --seeds %llu..%llu\n", (unsigned long long)t->seed,
               (unsigned long long)t->seed);
    else
        printf("again: test_random_programs --file %s --seed %llu\n", t->path,
               (unsigned long long)t->seed);
    fflush(stdout);
    dfm_arena_destroy(a);
}

static void add(uint32_t *to, const uint32_t *x, size_t n)
{
    for (size_t i = 0; i < n; i++) to[i] += x[i];
}

static void finish(bench *b, task *t)
{
    check_outcome out;
    check_end(&t->job, &out);
    t->busy = false;
    b->n_run++;
    b->n_kernels += out.n_kernels;
    if (out.worst_k > b->worst_k) b->worst_k = out.worst_k;
    if (out.worst_code > b->worst_code) b->worst_code = out.worst_code;
    if (out.worst_diff > b->worst_diff) b->worst_diff = out.worst_diff;
    add((uint32_t *)&b->seen, (const uint32_t *)&out.seen, sizeof out.seen / sizeof(uint32_t));
    if (!out.ok) {
        b->n_failed++;
        report_failure(b, t, &out);
    }
    if (t->from_seed) unlink(t->path);
}

/* -- tasks ------------------------------------------------------------------------------------- */

static task *free_task(bench *b, uint32_t *turn)
{
    task *t = &b->tasks[*turn];
    *turn = (*turn + 1) % b->jobs;
    if (t->busy) finish(b, t);
    return t;
}

static void begin(bench *b, task *t, uint64_t seed)
{
    t->seed = seed;
    t->busy = true;
    t->o = (check_options){.seed = seed, .compiled = !b->interpreted, .differences = seed % 3 == 0};
    t->job = check_begin(t->path, &t->o, SECONDS);
}

static void begin_seed(bench *b, task *t, uint64_t seed)
{
    dfm_arena *a = dfm_arena_create("program");
    dfm_sb sb = dfm_sb_make(a);
    gen_traits traits;
    gen_program(a, seed, &sb, &traits);
    t->from_seed = true;
    snprintf(t->path, sizeof t->path, "%s/random-%llu.dfm", b->folder, (unsigned long long)seed);
    FILE *f = fopen(t->path, "w");
    if (f) {
        fputs(dfm_sb_cstr(&sb), f);
        fclose(f);
    }
    dfm_arena_destroy(a);
    begin(b, t, seed);
}

static bool enough(const bench *b) { return b->n_failed >= MAX_FAILURES && !b->keep_going; }

static void run_regress(bench *b, uint32_t *turn)
{
    struct dirent **list;
    const char *folder = DFM_SOURCE_DIR "/tests/random/regress";
    int n = scandir(folder, &list, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        if (dfm_ends_with(list[i]->d_name, ".dfm") && !enough(b)) {
            task *t = free_task(b, turn);
            t->from_seed = false;
            snprintf(t->path, sizeof t->path, "%s/%.100s", folder, list[i]->d_name);
            begin(b, t, 3 * (uint64_t)i);
        }
        free(list[i]);
    }
    if (n >= 0) free(list);
}

static void run_all(bench *b)
{
    uint32_t turn = 0;
    if (b->file) {
        snprintf(b->tasks[0].path, sizeof b->tasks[0].path, "%s", b->file);
        begin(b, &b->tasks[0], b->seed);
    } else {
        if (b->all) run_regress(b, &turn);
        for (uint64_t s = b->lo; s <= b->hi && !enough(b); s++)
            begin_seed(b, free_task(b, &turn), s);
    }
    for (uint32_t i = 0; i < b->jobs; i++)
        if (b->tasks[i].busy) finish(b, &b->tasks[i]);
}

/* -- coverage ---------------------------------------------------------------------------------- */

static void row(const char *name, uint32_t forward, uint32_t backward)
{
    printf("  %-14s %9u %9u\n", name, forward, backward);
}

/* What no program of the language can have in its first graphs. */
static bool exempt_op(ir_op_kind k)
{
    return k == IR_ATTEND_BWD; /* made by differentiation: counted there */
}

static uint32_t print_coverage(const check_coverage *c)
{
    uint32_t missing = 0;
    printf("  %-14s %9s %9s\n", "op", "forward", "gradient");
    for (int k = IR_NONE + 1; k < IR_OP_COUNT; k++) {
        row(ir_op_name((ir_op_kind)k), c->op[k], c->op_back[k]);
        bool met = exempt_op((ir_op_kind)k) ? c->op_back[k] : c->op[k];
        if (!met) printf("never met: op %s\n", ir_op_name((ir_op_kind)k)), missing++;
    }
    for (int k = IR_FN_NONE + 1; k < IR_FN_COUNT; k++) {
        row(ir_fn_name((ir_fn)k), c->fn[k], c->fn_back[k]);
        if (!c->fn[k]) printf("never met: function %s\n", ir_fn_name((ir_fn)k)), missing++;
    }
    for (int k = IR_RED_NONE + 1; k < IR_RED_COUNT; k++) {
        row(ir_reducer_name((ir_reducer)k), c->reducer[k], c->reducer_back[k]);
        if (!c->reducer[k])
            printf("never met: reducer %s\n", ir_reducer_name((ir_reducer)k)), missing++;
    }
    return missing;
}

/* -- main -------------------------------------------------------------------------------------- */

static bool read_args(bench *b, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *x = i + 1 < argc ? argv[i + 1] : "";
        unsigned long long lo, hi;
        if (!strcmp(argv[i], "--interpreted"))
            b->interpreted = true;
        else if (!strcmp(argv[i], "--keep-going"))
            b->keep_going = true;
        else if (!strcmp(argv[i], "--no-shrink"))
            b->shrink = false;
        else if (!strcmp(argv[i], "--file"))
            b->file = x, b->all = false, i++;
        else if (!strcmp(argv[i], "--seed"))
            b->seed = strtoull(x, NULL, 10), i++;
        else if (!strcmp(argv[i], "--jobs"))
            b->jobs = (uint32_t)atoi(x), i++;
        else if (!strcmp(argv[i], "--seeds") && sscanf(x, "%llu..%llu", &lo, &hi) == 2)
            b->lo = lo, b->hi = hi, b->all = false, i++;
        else
            return false;
    }
    return b->jobs >= 1 && b->jobs <= MAX_JOBS;
}

int main(int argc, char **argv)
{
    bench *b = calloc(1, sizeof *b);
    char folder[] = "/tmp/dfm-random-XXXXXX";
    *b = (bench){.hi = DEFAULT_SEEDS - 1, .jobs = 2, .shrink = true, .all = true, .folder = folder};
    if (!read_args(b, argc, argv)) {
        fprintf(stderr, "usage: see the head of tests/random/test_random_programs.c\n");
        return 2;
    }
    if (!getenv("OMP_WAIT_POLICY")) { /* two processes share two processors: do not spin */
        setenv("OMP_WAIT_POLICY", "passive", 1);
        setenv("OMP_NUM_THREADS", "2", 0);
        execv("/proc/self/exe", argv);
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!mkdtemp(folder)) return 2;
    struct timespec from, to;
    clock_gettime(CLOCK_MONOTONIC, &from);
    run_all(b);
    clock_gettime(CLOCK_MONOTONIC, &to);
    rmdir(folder);
    uint32_t missing = print_coverage(&b->seen);
    printf("%u programs, %llu kernels, %u failed, %.0f s; largest errors: K %.2g, code %.2g, "
           "differences %.2g\n",
           b->n_run, (unsigned long long)b->n_kernels, b->n_failed,
           (double)(to.tv_sec - from.tv_sec), b->worst_k, b->worst_code, b->worst_diff);
    bool ok = !b->n_failed && (!b->all || !missing);
    free(b);
    return ok ? 0 : 1;
}

/* test_random_programs.c - random programs through every level, and the files of past failures.
 *
 *   test_random_programs                       regress/ and the default seeds (what ctest runs)
 *   test_random_programs --seeds A..B          these seeds
 *   test_random_programs --file F.dfm          one file (with --seed N: the inputs of that seed)
 *   --interpreted   do not compile      --keep-going   do not stop at the fifth failure
 *   --first         stop at the first
 *   --no-shrink     print failures as they are      --jobs N   processes at a time (2)
 *   --arch LEVEL    of --file; seeds choose by themselves      --save   shrunk failures to regress/
 *
 * Seeds run in batches of 16 that share one run of the host compiler; a batch in which something
 * fails is run again one by one. Fails if a program fails, or if an op or a function of the tables
 * was never met.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/random/gen.h"
#include "tests/random/runner.h"

enum { DEFAULT_SEEDS = 300, MAX_JOBS = 16, MAX_FAILURES = 5, SECONDS = 120, BATCH_SECONDS = 900 };

static const char regress[] = DFM_SOURCE_DIR "/tests/random/regress";

typedef struct task {
    check_job job;
    uint32_t n;
    check_options o[CHECK_BATCH];
    char path[CHECK_BATCH][256];
    bool from_seed, busy;
} task;

typedef struct bench {
    uint64_t lo, hi, seed;
    const char *file, *folder, *arch;
    uint32_t jobs, n_run, n_failed;
    bool interpreted, keep_going, first, shrink, all, save;
    double worst_k, worst_code, worst_diff;
    uint64_t n_kernels;
    check_coverage seen;
    task tasks[MAX_JOBS];
} bench;

/* -- outcomes ---------------------------------------------------------------------------------- */

static void add(uint32_t *to, const uint32_t *x, size_t n)
{
    for (size_t i = 0; i < n; i++) to[i] += x[i];
}

static void count(bench *b, const check_outcome *out)
{
    b->n_run++;
    b->n_kernels += out->n_kernels;
    if (out->worst_k > b->worst_k) b->worst_k = out->worst_k;
    if (out->worst_code > b->worst_code) b->worst_code = out->worst_code;
    if (out->worst_diff > b->worst_diff) b->worst_diff = out->worst_diff;
    add((uint32_t *)&b->seen, (const uint32_t *)&out->seen, sizeof out->seen / sizeof(uint32_t));
}

static bool enough(const bench *b)
{
    return b->n_failed >= (b->first ? 1 : MAX_FAILURES) && !b->keep_going;
}

/* Alone, with what the file says of itself. */
static void run_alone(bench *b, const task *t, uint32_t i)
{
    check_outcome out;
    file_marks marks = marks_of(t->path[i], &t->o[i]);
    check_job j = check_begin(t->path[i], &marks.o, SECONDS);
    check_end(&j, &out);
    count(b, &out);
    if (*marks.reason && !out.ok) {
        printf("%s fails still: %s\n", t->path[i], marks.reason);
        return;
    }
    if (*marks.reason) {
        printf("FAILED %s passes: take out its line `# fails`\n", t->path[i]);
        b->n_failed++;
    }
    if (out.ok) return;
    b->n_failed++;
    failure_report(&(failure){.path = t->path[i], .o = marks.o, .out = &out,
                              .from_seed = t->from_seed, .shrink = b->shrink,
                              .save = b->save ? regress : NULL});
}

static void finish(bench *b, task *t)
{
    static check_outcome out[CHECK_BATCH];
    bool alive = check_end_all(&t->job, out, t->n);
    t->busy = false;
    for (uint32_t i = 0; i < t->n && !enough(b); i++) {
        if (alive && out[i].ok)
            count(b, &out[i]);
        else
            run_alone(b, t, i);
    }
    for (uint32_t i = 0; i < t->n; i++)
        if (t->from_seed) unlink(t->path[i]);
}

/* -- tasks ------------------------------------------------------------------------------------- */

static task *free_task(bench *b, uint32_t *turn)
{
    task *t = &b->tasks[*turn];
    *turn = (*turn + 1) % b->jobs;
    if (t->busy) finish(b, t);
    t->n = 0;
    return t;
}

static void write_seed(bench *b, task *t, uint64_t seed)
{
    dfm_arena *a = dfm_arena_create("program");
    dfm_sb sb = dfm_sb_make(a);
    gen_traits traits;
    gen_program(a, seed, &sb, &traits);
    char *path = t->path[t->n];
    snprintf(path, sizeof t->path[0], "%s/random-%llu.dfm", b->folder, (unsigned long long)seed);
    FILE *f = fopen(path, "w");
    if (f) {
        fputs(dfm_sb_cstr(&sb), f);
        fclose(f);
    }
    t->o[t->n++] = check_options_of(seed, b->interpreted);
    dfm_arena_destroy(a);
}

static void run_seeds(bench *b, uint32_t *turn)
{
    for (uint64_t s = b->lo; s <= b->hi && !enough(b);) {
        task *t = free_task(b, turn);
        t->from_seed = t->busy = true;
        do write_seed(b, t, s++);
        while (s <= b->hi && s % CHECK_BATCH);
        t->job = check_begin_all((const char(*)[256])t->path, t->o, t->n, BATCH_SECONDS);
    }
    for (uint32_t i = 0; i < b->jobs; i++)
        if (b->tasks[i].busy) finish(b, &b->tasks[i]);
}

static void run_file(bench *b, const char *path, uint64_t seed)
{
    task *t = &b->tasks[0];
    t->from_seed = false;
    t->o[0] = (check_options){.seed = seed, .compiled = !b->interpreted, .arch = b->arch,
                              .differences = true};
    snprintf(t->path[0], sizeof t->path[0], "%s", path);
    run_alone(b, t, 0);
}

static void run_regress(bench *b)
{
    struct dirent **list;
    char path[256];
    int n = scandir(regress, &list, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/%.100s", regress, list[i]->d_name);
        if (dfm_ends_with(path, ".dfm") && !enough(b)) run_file(b, path, 3 * (uint64_t)i);
        free(list[i]);
    }
    if (n >= 0) free(list);
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
        else if (!strcmp(argv[i], "--first"))
            b->first = true;
        else if (!strcmp(argv[i], "--no-shrink"))
            b->shrink = false;
        else if (!strcmp(argv[i], "--save"))
            b->save = true;
        else if (!strcmp(argv[i], "--file"))
            b->file = x, b->all = false, i++;
        else if (!strcmp(argv[i], "--seed"))
            b->seed = strtoull(x, NULL, 10), i++;
        else if (!strcmp(argv[i], "--arch"))
            b->arch = x, i++;
        else if (!strcmp(argv[i], "--jobs"))
            b->jobs = (uint32_t)atoi(x), i++;
        else if (!strcmp(argv[i], "--seeds") && sscanf(x, "%llu..%llu", &lo, &hi) == 2)
            b->lo = lo, b->hi = hi, b->all = false, i++;
        else
            return false;
    }
    return b->jobs >= 1 && b->jobs <= MAX_JOBS;
}

static void run_all(bench *b)
{
    uint32_t turn = 0;
    if (b->all) run_regress(b);
    if (b->file) run_file(b, b->file, b->seed);
    else run_seeds(b, &turn);
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

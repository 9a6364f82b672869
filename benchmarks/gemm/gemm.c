/* gemm.c - generated matrix products against oneDNN's, one after the other in one process.
 *
 *   bench_gemm [--arch native] [--bf16] [--rounds 15] [M N K LAYOUT ...]
 *
 * LAYOUT is two letters as BLAS has them: NT forward, NN the gradient of the data, TN of the
 * weights. Without shapes: the products of DiT-S/2 at batch 8 and of DiT-B/2 at batch 4. Every
 * round runs own, dnnl_sgemm and the matmul primitive once, in this order, each on operands that
 * the caches have forgotten. Printed are GFLOP/s of the best and the median round, and the median
 * over the rounds of own's speed over each other's. OMP_NUM_THREADS sets the threads; with 1 the
 * thread's processor time counts, so that other processes disturb less. dnnl_sgemm is left out for
 * bf16, and the primitive then converts nothing: it runs where the processor has bf16 instructions.
 */
#include <dlfcn.h>
#include <omp.h>
#include <oneapi/dnnl/dnnl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "codegen/cpu/cpu.h"
#include "codegen/cpu/cpu_product.h"
#include "runtime/device/gemm/cpu_gemm.h"

enum { MAX_ROUNDS = 1000, WAYS = 3, OWN = 0, SGEMM = 1, MATMUL = 2 };

typedef struct shape { int64_t m, n, k; char a, b; } shape;

typedef void product_fn(const void *ctx, void *const *operands);

typedef struct bench {
    dfm_arena *arena;
    const char *arch;
    dfm_dtype type;
    int rounds;
    char *flush;                             /* written between runs */
    size_t n_flush;
} bench;

static const shape usual[] = {
    {2048, 1152, 384, 'N', 'T'}, {2048, 384, 384, 'N', 'T'}, {2048, 1536, 384, 'N', 'T'},
    {2048, 384, 1536, 'N', 'T'}, {2048, 384, 1152, 'N', 'N'}, {2048, 384, 384, 'N', 'N'},
    {2048, 384, 1536, 'N', 'N'}, {2048, 1536, 384, 'N', 'N'}, {1152, 384, 2048, 'T', 'N'},
    {384, 384, 2048, 'T', 'N'},  {1536, 384, 2048, 'T', 'N'}, {384, 1536, 2048, 'T', 'N'},
    {1024, 2304, 768, 'N', 'T'}, {1024, 768, 3072, 'N', 'N'}, {3072, 768, 1024, 'T', 'N'},
};

static void stop(const char *what, const char *why)
{
    fprintf(stderr, "bench_gemm: %s: %s\n", what, why);
    exit(1);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(omp_get_max_threads() == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Pages as the runtime's arena has them. */
static void *pages(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) stop("mmap", "no memory");
    madvise(p, bytes, MADV_HUGEPAGE);
    return p;
}

static kir_gemm node_of(kir_module *m, const shape *s, dfm_dtype d)
{
    kir_gemm g = {.batch = {1, 1}, .m = s->m, .n = s->n, .k = s->k};
    memcpy(g.sa, s->a == 'T' ? (int64_t[]){0, 0, 1, s->m} : (int64_t[]){0, 0, s->k, 1},
           sizeof g.sa);
    memcpy(g.sb, s->b == 'T' ? (int64_t[]){0, 0, 1, s->k} : (int64_t[]){0, 0, s->n, 1},
           sizeof g.sb);
    memcpy(g.sc, (int64_t[]){0, 0, s->n, 1}, sizeof g.sc);
    g.a.dtype = g.b.dtype = g.c.dtype = d;
    g.a.buf = g.b.buf = g.c.buf = kir_buffer_new(m, KIR_MEM_TEMP, "any", d, 1);
    return g;
}

static product_fn *compile(bench *b, const kir_gemm *g, const cpu_product_level *l)
{
    cg_options o = {.arch = b->arch, .cc = "cc", .jobs = 1};
    cg_object object = {0};
    dfm_err err = {0};
    dfm_sb sb = dfm_sb_make(b->arena);
    cpu_product_begin(&sb, l);
    cpu_emit_product_driver(&sb, cpu_product_kind_of(g), l);
    cpu_emit_product(&sb, g, l, "g", NULL);
    const char *text = dfm_sb_cstr(&sb);
    if (cpu_compile(&text, 1, &o, b->arena, &object, &err) != DFM_OK) stop("cc", err.text);
    char path[] = "/tmp/dfm-bench-XXXXXX";
    int fd = mkstemp(path);
    if (fd < 0 || write(fd, object.code, object.n_code) != (ssize_t)object.n_code)
        stop(path, "not written");
    close(fd);
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    unlink(path);
    if (!handle) stop("dlopen", dlerror());
    return (product_fn *)dlsym(handle, "g");
}

static cpu_gemm *primitive(const kir_gemm *g, void **scratch)
{
    cpu_gemm_shape s = {.batch = {1, 1}, .m = g->m, .n = g->n, .k = g->k, .da = g->a.dtype,
                        .db = g->b.dtype, .dc = g->c.dtype};
    memcpy(s.sa, g->sa, sizeof s.sa);
    memcpy(s.sb, g->sb, sizeof s.sb);
    memcpy(s.sc, g->sc, sizeof s.sc);
    cpu_gemm *prim;
    dfm_err err = {0};
    if (!cpu_gemm_takes(&s) || cpu_gemm_create(&s, &prim, &err) != DFM_OK) return NULL;
    *scratch = pages(cpu_gemm_scratch(&s) + 64);
    return prim;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *v, int n)
{
    qsort(v, (size_t)n, sizeof *v, by_value);
    return v[n / 2];
}

static void report(const shape *s, double t[WAYS][MAX_ROUNDS], const bool *has, int rounds)
{
    static const char *const names[] = {"own", "sgemm", "matmul"};
    double flops = 2e-9 * (double)s->m * (double)s->n * (double)s->k, ratio[MAX_ROUNDS];
    printf("%5lld x %5lld over %5lld %c%c", (long long)s->m, (long long)s->n, (long long)s->k, s->a,
           s->b);
    for (int w = 1; w < WAYS; w++) {
        for (int r = 0; r < rounds; r++) ratio[r] = t[w][r] / t[OWN][r];
        if (has[w]) printf("  own/%s %.3f", names[w], median(ratio, rounds));
    }
    for (int w = 0; w < WAYS; w++) {
        double mid = median(t[w], rounds);
        if (has[w]) printf("  %s %.0f/%.0f", names[w], flops / t[w][0], flops / mid);
    }
    printf("\n");
    fflush(stdout);
}

static void measure(bench *b, const shape *s)
{
    static double t[WAYS][MAX_ROUNDS];
    ir_module *graph = ir_module_create(b->arena, dfm_names_create(b->arena));
    kir_module *m = kir_module_create(b->arena, graph);
    const cpu_product_level *l = cpu_product_level_of(b->arch);
    kir_gemm g = node_of(m, s, b->type);
    size_t size = dfm_dtype_bytes(b->type);
    void *scratch = NULL;
    product_fn *own = compile(b, &g, l);
    cpu_gemm *prim = primitive(&g, &scratch);
    const bool has[WAYS] = {true, b->type == DFM_F32, prim != NULL};
    char *x = pages((size_t)(s->m * s->k) * size), *y = pages((size_t)(s->k * s->n) * size);
    char *z = pages((size_t)(s->m * s->n) * size);
    for (int64_t i = 0; i < s->m * s->k; i++)
        dfm_store_double(b->type, x, (size_t)i, (double)(i % 17) - 8);
    for (int64_t i = 0; i < s->k * s->n; i++)
        dfm_store_double(b->type, y, (size_t)i, (double)(i % 13) - 6);
    void *args[] = {x, y, z, pages(cpu_product_scratch(&g, l) + 64)};
    for (int r = -1; r < b->rounds; r++)
        for (int w = 0; w < WAYS; w++) {
            memset(b->flush, r, b->n_flush);
            double begin = now();
            dfm_err err = {0};
            if (w == OWN) own(NULL, args);
            if (w == SGEMM && has[w])
                dnnl_sgemm(s->a, s->b, s->m, s->n, s->k, 1, (float *)x, s->a == 'T' ? s->m : s->k,
                           (float *)y, s->b == 'T' ? s->k : s->n, 0, (float *)z, s->n);
            if (w == MATMUL && has[w] && cpu_gemm_run(prim, x, y, z, NULL, scratch, &err) != DFM_OK)
                stop("oneDNN", err.text);
            if (r >= 0) t[w][r] = now() - begin;
        }
    report(s, t, has, b->rounds);
}

int main(int argc, char **argv)
{
    bench b = {.arena = dfm_arena_create("bench"), .arch = "native", .type = DFM_F32, .rounds = 15,
               .n_flush = 16 << 20};
    int i = 1, n = 0;
    for (; i < argc && !strncmp(argv[i], "--", 2); i++) {
        if (!strcmp(argv[i], "--bf16")) b.type = DFM_BF16;
        else if (!strcmp(argv[i], "--arch") && i + 1 < argc) b.arch = argv[++i];
        else if (!strcmp(argv[i], "--rounds") && i + 1 < argc) b.rounds = atoi(argv[++i]);
        else stop(argv[i], "unknown; see the head of benchmarks/gemm/gemm.c");
    }
    const cpu_product_level *l = cpu_product_level_of(b.arch);
    if (!l || !l->vl) stop(b.arch, "no level with generated products");
    if (b.rounds < 1 || b.rounds > MAX_ROUNDS) stop("--rounds", "1 to 1000");
    b.flush = pages(b.n_flush);
    for (; i + 3 < argc; i += 4, n++) {
        shape s = {atoll(argv[i]), atoll(argv[i + 1]), atoll(argv[i + 2]), argv[i + 3][0],
                   argv[i + 3][1]};
        if (s.m < 1 || s.n < 1 || s.k < 1) stop(argv[i], "shapes are M N K LAYOUT");
        measure(&b, &s);
    }
    for (size_t u = 0; !n && u < sizeof usual / sizeof *usual; u++) measure(&b, &usual[u]);
    return 0;
}

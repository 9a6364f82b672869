/* dev_cpu_roof.c - what this machine can do: rates of matrix products and of copies.
 *
 * The best of several tries: what the machine can do, not what its neighbours leave. All candidates
 * take turns, and the caller asks again between the runs that it measures, so that a slow second
 * falls on all alike.
 */
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "runtime/device/dev_impl.h"
#include "runtime/device/gemm/cpu_gemm.h"

/* -- products ---------------------------------------------------------------------------------- */

static const int64_t shapes[][3] = {         /* rows, columns, inner */
    {1536, 1536, 1536}, {2048, 1536, 384}, {1024, 3072, 768}, {1536, 384, 2048},
};
enum { N_SHAPES = sizeof shapes / sizeof *shapes, LAYOUTS = 3, PRODUCT_TRIES = 2 };

typedef struct product { cpu_gemm *g; double flops; uint64_t scratch; } product;

/* Layouts: both row by row; the second by columns (as weights are); the first by columns. */
static dfm_status make_product(const int64_t *mnk, int layout, product *out, dfm_err *err)
{
    int64_t m = mnk[0], n = mnk[1], k = mnk[2];
    cpu_gemm_shape s = {.batch = {1, 1}, .m = m, .n = n, .k = k, .sa = {0, 0, k, 1},
                        .sb = {0, 0, n, 1}, .sc = {0, 0, n, 1}, .da = DFM_F32, .db = DFM_F32,
                        .dc = DFM_F32};
    if (layout == 1) s.sb[2] = 1, s.sb[3] = k;
    if (layout == 2) s.sa[2] = 1, s.sa[3] = m;
    out->flops = 2.0 * (double)m * (double)n * (double)k;
    out->scratch = cpu_gemm_scratch(&s);
    return cpu_gemm_create(&s, &out->g, err);
}

static dfm_status time_products(const product *p, uint32_t n, float *a, float *b, float *c,
                                void *scratch, dev_roof *out, dfm_err *err)
{
    for (int t = 0; t < PRODUCT_TRIES; t++)
        for (uint32_t i = 0; i < n; i++) {
            double begin = omp_get_wtime();
            DFM_TRY(cpu_gemm_run(p[i].g, a, b, c, NULL, scratch, err));
            double rate = p[i].flops / (omp_get_wtime() - begin);
            if (rate > out->flops) out->flops = rate;
        }
    return DFM_OK;
}

/* memory: floats that may be used as the operands, none of them 0 throughout. */
static dfm_status roof_flops(float *memory, size_t n, dev_roof *out, dfm_err *err)
{
    product p[N_SHAPES * LAYOUTS] = {{0}};
    uint32_t n_products = 0;
    uint64_t bytes = 64;
    dfm_status s = DFM_OK;
    for (int i = 0; i < N_SHAPES * LAYOUTS && s == DFM_OK; i++, n_products++) {
        s = make_product(shapes[i / LAYOUTS], i % LAYOUTS, &p[i], err);
        if (p[i].scratch > bytes) bytes = p[i].scratch;
    }
    void *scratch = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (s == DFM_OK && !scratch) s = dfm_fail(err, DFM_NO_MEMORY, "no memory for a measurement");
    if (s == DFM_OK)
        s = time_products(p, n_products, memory, memory + n / 4, memory + n / 2, scratch, out, err);
    for (uint32_t i = 0; i < n_products; i++) cpu_gemm_destroy(p[i].g);
    free(scratch);
    return s;
}

/* -- copies ------------------------------------------------------------------------------------ */

enum { COPY_TRIES = 2, COPY_BYTES = 1 << 24, HUGE_PAGE = 2 << 20 };

/* Copy of n floats, read and written counted: each thread its part, by plain stores or by the C
 * library (which may bypass the caches). Small ones are repeated, so that they can be timed. */
static double copy_rate(float *to, const float *from, size_t n, bool library)
{
    size_t repeat = n * sizeof *to < COPY_BYTES ? COPY_BYTES / (n * sizeof *to) : 1;
    double begin = omp_get_wtime();
#pragma omp parallel
    {
        size_t k = (size_t)omp_get_num_threads(), i = (size_t)omp_get_thread_num();
        size_t first = n * i / k, end = n * (i + 1) / k;
        for (size_t r = 0; r < repeat; r++) {
            if (library) {
                memcpy(to + first, from + first, (end - first) * sizeof *to);
            } else {
#pragma omp simd
                for (size_t e = first; e < end; e++) to[e] = from[e];
            }
            __asm__ volatile("" : : "r"(to) : "memory");         /* every repetition counts */
        }
    }
    return 2.0 * sizeof *to * (double)n * (double)repeat / (omp_get_wtime() - begin);
}

static void roof_bytes(float *memory, size_t n, dev_roof *out)
{
    for (uint32_t i = 0; i < DEV_ROOF_SIZES; i++) out->size[i] = (uint64_t)1 << (18 + 2 * i);
    for (int t = 0; t < COPY_TRIES; t++)
        for (uint32_t i = 0; i < DEV_ROOF_SIZES; i++)
            for (int library = 0; library < 2; library++) {
                size_t half = out->size[i] / 2 / sizeof *memory;
                double rate = copy_rate(memory + n / 2, memory, half, library);
                if (rate > out->bytes[i]) out->bytes[i] = rate;
            }
}

/* -- both -------------------------------------------------------------------------------------- */

dfm_status dev_cpu_roof(dev_roof *out, dfm_err *err)
{
    size_t n = ((size_t)1 << (18 + 2 * (DEV_ROOF_SIZES - 1))) / sizeof(float);
    float *memory = aligned_alloc(HUGE_PAGE, n * sizeof *memory);
    if (!memory) return dfm_fail(err, DFM_NO_MEMORY, "no memory for a measurement");
    madvise(memory, n * sizeof *memory, MADV_HUGEPAGE);  /* as the device's own blocks */
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < n; i++) memory[i] = (float)(i % 1021) / 1021 - 0.5f;
    roof_bytes(memory, n, out);
    dfm_status s = roof_flops(memory, n, out, err);
    free(memory);
    return s;
}

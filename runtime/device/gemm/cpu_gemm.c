/* cpu_gemm.c - matrix products through oneDNN's matmul primitive, scratch given by the caller. */
#include "runtime/device/gemm/cpu_gemm.h"

#include <dnnl.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#endif

#include "runtime/base/sys.h"

struct cpu_gemm {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_t prim;
    dnnl_memory_t a, b, c, bias, scratch;
    uint64_t scratch_bytes;
};

static dnnl_data_type_t type_of(dfm_dtype d) { return d == DFM_BF16 ? dnnl_bf16 : dnnl_f32; }

/* Dims [b0 x b1, rows, cols] with strides. oneDNN wants one batch dim to be collapsible or both
 * given: we give both when there are two, else one, else none. An extent of 1 gets a harmless
 * stride; batch stride 0 (broadcast) becomes an extent of 1, which matmul broadcasts. */
static bool describe(dnnl_memory_desc_t *md, const int64_t batch[2], int64_t rows, int64_t cols,
                     const int64_t s[4], dfm_dtype d, int n_batch)
{
    dnnl_dims_t dims, strides;
    int n = 0;
    for (int i = 2 - n_batch; i < 2; i++) {
        dims[n] = s[i] == 0 ? 1 : batch[i];
        strides[n++] = s[i] == 0 ? rows * cols : s[i];
    }
    dims[n] = rows;
    strides[n++] = rows == 1 ? (cols == 1 ? 1 : cols * (s[3] ? s[3] : 1)) : s[2];
    dims[n] = cols;
    strides[n++] = cols == 1 ? (rows == 1 ? 1 : (s[2] == 1 ? rows : 1)) : s[3];
    return dnnl_memory_desc_init_by_strides(md, n, dims, type_of(d), strides) == dnnl_success;
}

typedef struct pieces {
    dnnl_engine_t engine;
    dnnl_primitive_desc_t pd;
    dnnl_memory_desc_t a, b, c, bias;
} pieces;

static void pieces_free(pieces *p)
{
    if (p->pd) dnnl_primitive_desc_destroy(p->pd);
    if (p->engine) dnnl_engine_destroy(p->engine);
}

static bool pieces_make(const cpu_gemm_shape *s, pieces *p)
{
    memset(p, 0, sizeof *p);
    int n_batch = s->batch[0] > 1 ? 2 : s->batch[1] > 1 ? 1 : 0;
    dnnl_dims_t bias_dims = {1, 1, 1, 1};
    bias_dims[n_batch + 1] = s->n;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_matmul_desc_t md;
    bool ok = dnnl_engine_create(&p->engine, dnnl_cpu, 0) == dnnl_success &&
              describe(&p->a, s->batch, s->m, s->k, s->sa, s->da, n_batch) &&
              describe(&p->b, s->batch, s->k, s->n, s->sb, s->db, n_batch) &&
              describe(&p->c, s->batch, s->m, s->n, s->sc, s->dc, n_batch);
    if (ok && s->has_bias) {
        dnnl_dims_t strides;
        for (int i = 0; i < n_batch + 2; i++) strides[i] = i == n_batch + 1 ? 1 : s->n;
        ok = dnnl_success == dnnl_memory_desc_init_by_strides(&p->bias, n_batch + 2, bias_dims,
                                                              dnnl_f32, strides);
    }
    ok = ok &&
         dnnl_matmul_desc_init(&md, &p->a, &p->b, s->has_bias ? &p->bias : NULL, &p->c) ==
             dnnl_success &&
         dnnl_primitive_attr_create(&attr) == dnnl_success &&
         dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user) == dnnl_success &&
         dnnl_primitive_desc_create(&p->pd, &md, attr, p->engine, NULL) == dnnl_success;
    if (attr) dnnl_primitive_attr_destroy(attr);
    if (!ok) pieces_free(p);
    return ok;
}

static uint64_t scratch_of(const pieces *p)
{
    const dnnl_memory_desc_t *md = dnnl_primitive_desc_query_md(p->pd, dnnl_query_scratchpad_md, 0);
    uint64_t bytes = md ? dnnl_memory_desc_get_size(md) : 0;
    return (bytes + 63) / 64 * 64;
}

bool cpu_gemm_takes(const cpu_gemm_shape *s)
{
    bool half = s->da == DFM_BF16 || s->db == DFM_BF16 || s->dc == DFM_BF16;
    if (half && (s->da != DFM_BF16 || s->db != DFM_BF16)) return false;
    if (half && !__builtin_cpu_supports("avx512bf16")) return false;
    pieces p;
    if (!pieces_make(s, &p)) return false;
    pieces_free(&p);
    return true;
}

uint64_t cpu_gemm_scratch(const cpu_gemm_shape *s)
{
    pieces p;
    if (!pieces_make(s, &p)) return 0;
    uint64_t bytes = scratch_of(&p);
    pieces_free(&p);
    return bytes;
}

uint64_t cpu_gemm_plan_scratch(const cpu_gemm_shape *s)
{
#ifdef _OPENMP                               /* else there is one thread: builds for fuzzing */
    int threads = omp_get_max_threads();
    omp_set_num_threads(CPU_GEMM_THREADS);
    uint64_t bytes = cpu_gemm_scratch(s);
    omp_set_num_threads(threads);
    return bytes;
#else
    return cpu_gemm_scratch(s);
#endif
}

void cpu_gemm_destroy(cpu_gemm *g)
{
    if (!g) return;
    dnnl_memory_t *mems[] = {&g->a, &g->b, &g->c, &g->bias, &g->scratch};
    for (size_t i = 0; i < sizeof mems / sizeof *mems; i++)
        if (*mems[i]) dnnl_memory_destroy(*mems[i]);
    if (g->prim) dnnl_primitive_destroy(g->prim);
    if (g->stream) dnnl_stream_destroy(g->stream);
    if (g->engine) dnnl_engine_destroy(g->engine);
    dfm_sys_free(g);
}

dfm_status cpu_gemm_create(const cpu_gemm_shape *s, cpu_gemm **out, dfm_err *err)
{
    pieces p;
    *out = NULL;
    cpu_gemm *g = dfm_sys_zeroed(sizeof *g);
    if (!g) return dfm_fail(err, DFM_NO_MEMORY, "no memory for a matrix product");
    if (!pieces_make(s, &p)) {
        dfm_sys_free(g);
        return dfm_fail(err, DFM_UNAVAILABLE,
                        "oneDNN has no matrix product of %lld x %lld x %lld in %s here",
                        (long long)s->m, (long long)s->n, (long long)s->k, dfm_dtype_name(s->da));
    }
    g->engine = p.engine;
    g->scratch_bytes = scratch_of(&p);
    const dnnl_memory_desc_t *sm = dnnl_primitive_desc_query_md(p.pd, dnnl_query_scratchpad_md, 0);
    dnnl_stream_flags_t plain = dnnl_stream_default_flags;
    bool ok = dnnl_stream_create(&g->stream, g->engine, plain) == dnnl_success &&
              dnnl_primitive_create(&g->prim, p.pd) == dnnl_success &&
              dnnl_memory_create(&g->a, &p.a, g->engine, DNNL_MEMORY_NONE) == dnnl_success &&
              dnnl_memory_create(&g->b, &p.b, g->engine, DNNL_MEMORY_NONE) == dnnl_success &&
              dnnl_memory_create(&g->c, &p.c, g->engine, DNNL_MEMORY_NONE) == dnnl_success;
    if (ok && s->has_bias)
        ok = dnnl_memory_create(&g->bias, &p.bias, g->engine, DNNL_MEMORY_NONE) == dnnl_success;
    if (ok && g->scratch_bytes)
        ok = dnnl_memory_create(&g->scratch, sm, g->engine, DNNL_MEMORY_NONE) == dnnl_success;
    p.engine = NULL;                         /* now owned by g */
    pieces_free(&p);
    if (!ok) {
        cpu_gemm_destroy(g);
        return dfm_fail(err, DFM_NO_MEMORY, "oneDNN cannot create a matrix product");
    }
    *out = g;
    return DFM_OK;
}

dfm_status cpu_gemm_run(cpu_gemm *g, const void *a, const void *b, void *c, const void *bias,
                        void *scratch, dfm_err *err)
{
    dnnl_exec_arg_t args[5];
    int n = 0;
    dnnl_memory_set_data_handle(g->a, (void *)a);
    dnnl_memory_set_data_handle(g->b, (void *)b);
    dnnl_memory_set_data_handle(g->c, c);
    args[n++] = (dnnl_exec_arg_t){DNNL_ARG_SRC, g->a};
    args[n++] = (dnnl_exec_arg_t){DNNL_ARG_WEIGHTS, g->b};
    args[n++] = (dnnl_exec_arg_t){DNNL_ARG_DST, g->c};
    if (g->bias) {
        dnnl_memory_set_data_handle(g->bias, (void *)bias);
        args[n++] = (dnnl_exec_arg_t){DNNL_ARG_BIAS, g->bias};
    }
    if (g->scratch) {
        dnnl_memory_set_data_handle(g->scratch, scratch);
        args[n++] = (dnnl_exec_arg_t){DNNL_ARG_SCRATCHPAD, g->scratch};
    }
    if (dnnl_primitive_execute(g->prim, g->stream, n, args) != dnnl_success ||
        dnnl_stream_wait(g->stream) != dnnl_success)
        return dfm_fail(err, DFM_INTERNAL, "oneDNN failed in a matrix product");
    return DFM_OK;
}

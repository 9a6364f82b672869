/* code_run.c - compiled nodes, executed one by one, without plan or runtime. */
#include "codegen/cpu/code_run.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/sys.h"
#include "runtime/device/gemm/cpu_gemm.h"
#include "runtime/plan/plan.h"

dfm_status code_load(code_run *r, const kir_module *m, dfm_arena *a, dfm_err *err)
{
    return code_load_as(r, m, NULL, false, a, err);
}

static bool write_all(int fd, const char *p, uint64_t n)
{
    while (n) {
        ssize_t done = dfm_sys_write(fd, p, n);
        if (done <= 0) return false;
        p += done;
        n -= (uint64_t)done;
    }
    return true;
}

dfm_status code_open(const void *elf, uint64_t n, code_file *out, dfm_err *err)
{
    char path[64];
    *out = (code_file){.fd = dfm_sys_memory_file("code")};
    if (out->fd < 0) return dfm_fail(err, DFM_UNAVAILABLE, "no memory file for compiled code");
    if (write_all(out->fd, elf, n)) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", out->fd);
        out->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (out->handle) return DFM_OK;
        dfm_fail(err, DFM_INTERNAL, "%s", dlerror());
    } else {
        dfm_fail(err, DFM_UNAVAILABLE, "no memory for compiled code");
    }
    dfm_sys_close(out->fd);
    return err->code;
}

void code_close(code_file *f)
{
    if (!f->handle) return;
    dlclose(f->handle);
    dfm_sys_close(f->fd);
    *f = (code_file){0};
}

dfm_status code_load_as(code_run *r, const kir_module *m, const char *arch, bool quick,
                        dfm_arena *a, dfm_err *err)
{
    cg_options o = {.arch = arch ? arch : "native", .cc = "cc", .jobs = 2, .quick = quick};
    *r = (code_run){.m = m};
    DFM_TRY(cg_target_find("cpu")->build(m, &o, a, &r->object, err));
    if (!r->object.n_code) return DFM_OK;
    return code_open(r->object.code, r->object.n_code, &r->file, err);
}

dfm_status code_texts(code_run *r, const kir_module *m, const char *prefix, const char *arch,
                      dfm_arena *a, dfm_err *err)
{
    cg_options o = {.arch = arch, .cc = "cc", .prefix = prefix, .texts_only = true};
    *r = (code_run){.m = m, .shared = true};
    return cg_target_find("cpu")->build(m, &o, a, &r->object, err);
}

void code_unload(code_run *r)
{
    if (!r->shared) code_close(&r->file);
}

typedef struct walk {
    code_run *r;
    const kir_program *p;
    void *const *base;
    const kir_env *env;
    plan_kctx ctx;
    uint32_t position;
    void *args[KIR_MAX_ARGS];
    uint32_t n_args;
    dfm_err *err;
} walk;

static void *address(const walk *w, const kir_arg *a)
{
    if (!a->buf.i) return NULL;
    int64_t at = a->offset;
    for (int l = 0; l < KIR_MAX_LOOPS; l++) at += w->ctx.iter[l] * a->loop_stride[l];
    return (char *)w->base[a->buf.i] + at * (int64_t)dfm_dtype_bytes(a->dtype);
}

static void add_arg(void *user, kir_arg *a)
{
    walk *w = user;
    w->args[w->n_args++] = address(w, a);
}

static dfm_status run_gemm(walk *w, const kir_gemm *g)
{
    cpu_gemm_shape s = {.batch = {g->batch[0], g->batch[1]}, .m = g->m, .n = g->n, .k = g->k,
                        .da = g->a.dtype, .db = g->b.dtype, .dc = g->c.dtype,
                        .has_bias = g->bias.buf.i != 0};
    memcpy(s.sa, g->sa, sizeof s.sa);
    memcpy(s.sb, g->sb, sizeof s.sb);
    memcpy(s.sc, g->sc, sizeof s.sc);
    cpu_gemm *prim;
    DFM_TRY(cpu_gemm_create(&s, &prim, w->err));
    dfm_status st = cpu_gemm_run(prim, address(w, &g->a), address(w, &g->b), address(w, &g->c),
                                 address(w, &g->bias), address(w, &g->scratch), w->err);
    cpu_gemm_destroy(prim);
    return st;
}

static uint32_t count_nodes(const kir_nodes *nodes)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < nodes->n; i++)
        n += 1 + (nodes->p[i]->kind == KIR_NODE_LOOP ? count_nodes(&nodes->p[i]->loop.body) : 0);
    return n;
}

static dfm_status run_nodes(walk *w, const kir_nodes *nodes);

static dfm_status run_loop(walk *w, const kir_loop *l)
{
    int64_t trips = ir_extent(w->r->m->ir, l->dim);
    uint32_t start = w->position;
    for (int64_t t = 0; t < trips; t++) {
        w->position = start;
        w->ctx.iter[l->depth] = l->reverse ? trips - 1 - t : t;
        DFM_TRY(run_nodes(w, &l->body));
    }
    w->ctx.iter[l->depth] = 0;
    w->position = start + count_nodes(&l->body);
    return DFM_OK;
}

static dfm_status run_node(walk *w, kir_node *n)
{
    uint32_t unit = w->r->object.unit_of[w->position++];
    if (n->replaces.i && w->env->replaced &&
        w->env->replaced(w->env->user, dfm_name_str(w->r->m->ir->names, n->replaces)))
        return DFM_OK;
    if (n->kind == KIR_NODE_LOOP) return run_loop(w, &n->loop);
    if (n->kind == KIR_NODE_GEMM && unit == UINT32_MAX) return run_gemm(w, &n->gemm);
    w->n_args = 0;
    kir_each_arg(n, add_arg, w);
    if (n->kind == KIR_NODE_COPY) {
        memmove(w->args[1], w->args[0], (size_t)n->copy.elems * dfm_dtype_bytes(n->copy.src.dtype));
        return DFM_OK;
    }
    const char *symbol = w->r->object.units.p[unit].symbol;
    plan_kernel_fn *fn = (plan_kernel_fn *)dlsym(w->r->file.handle, symbol);
    if (!fn) return dfm_fail(w->err, DFM_INTERNAL, "no symbol for a node");
    fn(&w->ctx, w->args);
    return DFM_OK;
}

static dfm_status run_nodes(walk *w, const kir_nodes *nodes)
{
    for (uint32_t i = 0; i < nodes->n; i++) DFM_TRY(run_node(w, nodes->p[i]));
    return DFM_OK;
}

dfm_status code_execute(code_run *r, const kir_program *p, void *const *base, const kir_env *env,
                        dfm_err *err)
{
    double scalars[64] = {0};
    for (uint32_t i = 0; i < DFM_LEN(scalars); i++) {
        dfm_name n = cg_scalar_at(r->m, i);
        if (n.i && env->scalar)
            scalars[i] = env->scalar(env->user, dfm_name_str(r->m->ir->names, n));
    }
    walk w = {.r = r, .p = p, .base = base, .env = env, .err = err,
              .ctx = {.seed = env->seed, .step = env->step, .first_sample = env->first_sample,
                      .scalars = scalars}};
    for (uint32_t i = 0; r->m->programs.p[i] != p; i++)
        w.position += count_nodes(&r->m->programs.p[i]->nodes);
    return run_nodes(&w, &p->nodes);
}

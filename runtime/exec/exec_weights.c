/* exec_weights.c - state to and from named tensors, with one report for all that does not fit. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "runtime/exec/exec_impl.h"

enum { EXAMPLES = 5 };

/* -- places ------------------------------------------------------------------------------------ */

/* Address of a parameter in a state; NULL if the state does not have it. */
static char *param_at(const rt *r, uint32_t state, const plan_param *q, dfm_dtype *out_dtype)
{
    const plan_region *g;
    char *base = rt_state(r, state, q->flat, &g);
    if (!base) return NULL;
    *out_dtype = (dfm_dtype)g->dtype;
    return base + q->offset * dfm_dtype_bytes(*out_dtype);
}

bool rt_has_param(const rt *r, uint32_t state, uint32_t param)
{
    dfm_dtype d;
    return param_at(r, state, &r->p.params[param], &d) != NULL;
}

void rt_read_param(rt *r, uint32_t state, uint32_t param, uint64_t offset, uint64_t bytes,
                   void *dst)
{
    dfm_dtype d;
    const char *at = param_at(r, state, &r->p.params[param], &d);
    r->device->ops->copy_out(r->device, dst, at + offset, bytes);
}

static const char *tensor_name(const rt *r, uint32_t state, const plan_param *q, rt_names names,
                               dfm_arena *a)
{
    if (names == RT_PUBLISHED) return plan_text(&r->p, q->published);
    return dfm_fmt(a, "%s.%s", plan_text(&r->p, r->p.states[state].name),
                   plan_text(&r->p, q->path));
}

uint32_t rt_state_tensors(const rt *r, uint32_t state, rt_names names, const char *prefix,
                          dfm_arena *a, ckpt_tensor **out)
{
    uint32_t n = 0;
    *out = dfm_new_n(a, ckpt_tensor, r->p.n_params + 1);
    for (uint32_t i = 0; i < r->p.n_params; i++) {
        const plan_param *q = &r->p.params[i];
        dfm_dtype d;
        if (!param_at(r, state, q, &d)) continue;
        uint64_t *shape = dfm_new_n(a, uint64_t, q->rank + 1);
        for (uint32_t k = 0; k < q->rank; k++) shape[k] = (uint64_t)q->shape[k];
        (*out)[n++] = (ckpt_tensor){
            .name = dfm_fmt(a, "%s%s", prefix, tensor_name(r, state, q, names, a)), .dtype = d,
            .dtype_text = dfm_dtype_safetensors(d), .rank = q->rank, .shape = shape,
            .bytes = q->elems * dfm_dtype_bytes(d)};
    }
    return n;
}

/* -- shapes ------------------------------------------------------------------------------------ */

/* Products of the leading 1, 2, ... extents that are not 1: the places where dims end. */
static uint32_t ends_of(const uint64_t *shape, uint32_t rank, uint64_t *ends)
{
    uint64_t product = 1;
    uint32_t n = 0;
    for (uint32_t i = 0; i < rank; i++)
        if (shape[i] != 1) ends[n++] = product *= shape[i];
    return n;
}

static bool all_in(const uint64_t *a, uint32_t n, const uint64_t *b, uint32_t m)
{
    uint32_t k = 0;
    for (uint32_t i = 0; i < n; i++, k++) {
        while (k < m && b[k] != a[i]) k++;
        if (k == m) return false;
    }
    return true;
}

/* Equal after dropping ones and merging adjacent dims of one of them. */
static bool shapes_agree(const plan_param *q, const ckpt_tensor *t)
{
    uint64_t own[PLAN_MAX_RANK], a[PLAN_MAX_RANK], b[CKPT_MAX_RANK], elems = 1;
    for (uint32_t i = 0; i < t->rank; i++)
        if (__builtin_mul_overflow(elems, t->shape[i], &elems)) return false;
    if (elems != q->elems) return false;
    if (q->flags & PLAN_PARAM_RESHAPE) return true;
    for (uint32_t i = 0; i < q->rank; i++) own[i] = (uint64_t)q->shape[i];
    uint32_t n = ends_of(own, q->rank, a), m = ends_of(t->shape, t->rank, b);
    return all_in(a, n, b, m) || all_in(b, m, a, n);
}

/* -- the report -------------------------------------------------------------------------------- */

typedef struct group { uint32_t n; dfm_sb text; } group;

static void note(group *g, const char *line)
{
    if (g->n++ < EXAMPLES) dfm_sb_printf(&g->text, "\n    %s", line);
}

static void put_group(const group *g, const char *title, dfm_sb *out)
{
    if (!g->n) return;
    dfm_sb text = g->text;
    dfm_sb_printf(out, "\n  %u %s:%s", g->n, title, dfm_sb_cstr(&text));
    if (g->n > EXAMPLES) dfm_sb_printf(out, "\n    and %u more", g->n - EXAMPLES);
}

static const char *shape_text(const plan_param *q, dfm_dtype d, dfm_arena *a)
{
    uint64_t shape[PLAN_MAX_RANK];
    for (uint32_t i = 0; i < q->rank; i++) shape[i] = (uint64_t)q->shape[i];
    ckpt_tensor t = {.dtype_text = dfm_dtype_safetensors(d), .rank = q->rank, .shape = shape};
    return ckpt_tensor_text(a, &t);
}

typedef struct match {                       /* of one load */
    group missing, wrong, unused;
    bool *used;                              /* by tensor of the file */
    const ckpt_tensor **tensor;              /* by parameter; NULL: keep */
} match;

static void match_params(const rt *r, uint32_t state, rt_names names, const ckpt_weights *w,
                         bool partial, dfm_arena *a, match *m)
{
    const char **file_names = dfm_new_n(a, const char *, w->n_tensors + 1);
    for (uint32_t i = 0; i < w->n_tensors; i++) file_names[i] = w->tensors[i].name;
    for (uint32_t i = 0; i < r->p.n_params; i++) {
        const plan_param *q = &r->p.params[i];
        dfm_dtype d;
        if (!param_at(r, state, q, &d)) continue;
        const char *name = tensor_name(r, state, q, names, a);
        const ckpt_tensor *t = ckpt_weights_find(w, name);
        if (!t && (partial || (q->flags & PLAN_PARAM_BUFFER))) continue;
        if (!t) {
            const char *near = m->missing.n < EXAMPLES ? dfm_nearest(name, file_names, w->n_tensors)
                                                       : NULL;
            note(&m->missing, dfm_fmt(a, near ? "%s %s (the file has '%s')" : "%s %s", name,
                                      shape_text(q, d, a), near));
            continue;
        }
        m->used[t - w->tensors] = true;
        if (!dfm_dtype_is_float(t->dtype) || !shapes_agree(q, t))
            note(&m->wrong, dfm_fmt(a, "%s: the file has %s, the program %s", name,
                                    ckpt_tensor_text(a, t), shape_text(q, d, a)));
        m->tensor[i] = t;
    }
    for (uint32_t i = 0; i < w->n_tensors; i++)
        if (!m->used[i])
            note(&m->unused, dfm_fmt(a, "%s %s", w->tensors[i].name,
                                     ckpt_tensor_text(a, &w->tensors[i])));
}

static dfm_status report(const match *m, const ckpt_weights *w, bool strict, dfm_arena *a,
                         dfm_err *err)
{
    if (!m->missing.n && !m->wrong.n && !(strict && m->unused.n)) return DFM_OK;
    dfm_sb text = dfm_sb_make(a);
    put_group(&m->missing, "missing in the file", &text);
    put_group(&m->wrong, "of another shape or type", &text);
    put_group(&m->unused, "in the file that the program does not have", &text);
    return dfm_fail(err, DFM_BAD_DATA, "the weights in '%s' do not fit this plan%s", w->path,
                    dfm_sb_cstr(&text));
}

/* -- loading ----------------------------------------------------------------------------------- */

static void load_one(rt *r, const ckpt_tensor *t, char *to, dfm_dtype d, uint64_t elems)
{
    enum { CHUNK = 1 << 16 };
    const char *from = t->data;
    uint64_t fs = dfm_dtype_bytes(t->dtype), ts = dfm_dtype_bytes(d);
    if (t->dtype == d) {
        r->device->ops->copy_in(r->device, to, from, elems * ts);
        return;
    }
    dfm_arena *a = dfm_arena_create("convert");
    void *src = dfm_alloc(a, CHUNK * fs), *dst = dfm_alloc(a, CHUNK * ts);
    for (uint64_t at = 0; at < elems; at += CHUNK) {
        uint64_t m = elems - at < CHUNK ? elems - at : CHUNK;
        memcpy(src, from + at * fs, m * fs);
        for (uint64_t i = 0; i < m; i++)
            dfm_store_double(d, dst, i, dfm_load_as_double(t->dtype, src, i));
        r->device->ops->copy_in(r->device, to + at * ts, dst, m * ts);
    }
    dfm_arena_destroy(a);
}

dfm_status rt_load_state(rt *r, uint32_t state, rt_names names, const ckpt_weights *w, uint32_t how,
                         dfm_arena *a, rt_unused *out_unused, dfm_err *err)
{
    match m = {.missing.text = dfm_sb_make(a), .wrong.text = dfm_sb_make(a),
               .unused.text = dfm_sb_make(a)};
    m.used = dfm_new_n(a, bool, w->n_tensors + 1);
    m.tensor = dfm_new_n(a, const ckpt_tensor *, r->p.n_params + 1);
    match_params(r, state, names, w, how & RT_PARTIAL, a, &m);
    DFM_TRY(report(&m, w, how & RT_STRICT, a, err));
    r->used = true;
    for (uint32_t i = 0; i < r->p.n_params; i++) {
        dfm_dtype d = DFM_DT_NONE;
        if (!m.tensor[i]) continue;
        char *to = param_at(r, state, &r->p.params[i], &d);
        load_one(r, m.tensor[i], to, d, r->p.params[i].elems);
    }
    if (out_unused) {
        dfm_sb text = dfm_sb_make(a);
        put_group(&m.unused, "in the file that the program does not have", &text);
        *out_unused = (rt_unused){m.unused.n, dfm_sb_cstr(&text)};
    }
    return DFM_OK;
}

dfm_status rt_load_weights(rt *r, const char *path, dfm_arena *a, rt_unused *out_unused,
                           dfm_err *err)
{
    ckpt_weights w;
    uint32_t how = plan_meta_int(&r->p, "weights_strict", 0) ? RT_STRICT : 0;
    DFM_TRY(ckpt_weights_open(a, path, &w, err));
    dfm_status s = rt_load_state(r, RT_MODEL_STATE, RT_PUBLISHED, &w, how, a, out_unused, err);
    ckpt_weights_close(&w);
    if (s == DFM_OK) rt_reset_averages(r);
    return s;
}

/* exec_io.c - inputs and outputs of programs, by name. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "runtime/exec/exec_impl.h"

const plan_io *rt_find_io(const rt_program *p, const char *name, uint32_t roles)
{
    for (uint32_t i = 0; i < p->prog->n_io; i++)
        if ((p->io[i].flags & roles) && !strcmp(plan_text(p->p, p->io[i].name), name))
            return &p->io[i];
    return NULL;
}

const char *rt_io_text(const plan *p, const plan_io *io, dfm_arena *a)
{
    dfm_sb sb = dfm_sb_make(a);
    dfm_sb_puts(&sb, dfm_dtype_name((dfm_dtype)io->dtype));
    for (uint32_t i = 0; i < io->rank; i++) {
        const char *dim = plan_text(p, io->dims[i]);
        dfm_sb_printf(&sb, "%s%s%s%" PRId64, i ? ", " : "[", dim, *dim ? "=" : "", io->shape[i]);
    }
    if (io->rank) dfm_sb_puts(&sb, "]");
    return dfm_sb_cstr(&sb);
}

/* -- checks ------------------------------------------------------------------------------------ */

static uint64_t elems_of(const plan_io *io)
{
    return io->bytes / dfm_dtype_bytes((dfm_dtype)io->dtype);
}

static dfm_status check_range(const rt_program *p, const plan_io *io, const void *data,
                              dfm_err *err)
{
    if (!io->modulus || dfm_dtype_is_float((dfm_dtype)io->dtype)) return DFM_OK;
    for (uint64_t i = 0; i < elems_of(io); i++) {
        double x = dfm_load_as_double((dfm_dtype)io->dtype, data, i);
        if (x >= 0 && x < io->modulus) continue;
        return dfm_fail(err, DFM_BAD_DATA, "'%s' holds %.0f where the program takes 0 to %d",
                        plan_text(p->p, io->name), x, io->modulus - 1);
    }
    return DFM_OK;
}

static dfm_status no_input(const rt_program *p, const char *name, dfm_err *err)
{
    const char *names[256];
    uint32_t n = 0;
    dfm_arena *a = dfm_arena_create("names");
    dfm_sb have = dfm_sb_make(a);
    for (uint32_t i = 0; i < p->prog->n_io; i++) {
        if (p->io[i].flags & PLAN_IO_OUTPUT) continue;
        const char *t = plan_text(p->p, p->io[i].name);
        if (n < DFM_LEN(names)) names[n++] = t;
        dfm_sb_printf(&have, " %s", t);
    }
    dfm_fail(err, DFM_BAD_DATA, "program '%s' has no input '%s'", plan_text(p->p, p->prog->name),
             name);
    const char *near = dfm_nearest(name, names, n);
    if (near) dfm_help(err, "did you mean '%s'?", near);
    else if (n) dfm_help(err, "its inputs are:%s", dfm_sb_cstr(&have));
    dfm_arena_destroy(a);
    return DFM_BAD_DATA;
}

static bool same_shape(const plan_io *io, const rt_value *v)
{
    bool same = v->rank == io->rank;
    for (uint32_t i = 0; same && i < io->rank; i++) same = v->shape[i] == (uint64_t)io->shape[i];
    return same;
}

static dfm_status wrong_shape(const rt_program *p, const plan_io *io, const rt_value *v,
                              dfm_err *err)
{
    dfm_arena *a = dfm_arena_create("shape");
    ckpt_tensor t = {.dtype_text = dfm_dtype_name(v->dtype), .rank = v->rank, .shape = v->shape};
    dfm_fail(err, DFM_BAD_DATA, "input '%s' is %s, the program takes %s", plan_text(p->p, io->name),
             ckpt_tensor_text(a, &t), rt_io_text(p->p, io, a));
    if (io->flags & PLAN_IO_BATCH)
        dfm_help(err, "a plan has one batch size: dfmc --set dim.%s=...",
                 plan_text(p->p, io->dims[0]));
    dfm_arena_destroy(a);
    return DFM_BAD_DATA;
}

/* Convert n values; the index of the first one that would change, or n. */
static uint64_t convert(dfm_dtype from, const void *src, dfm_dtype to, void *dst, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        double x = dfm_load_as_double(from, src, i);
        dfm_store_double(to, dst, i, x);
        double y = dfm_load_as_double(to, dst, i);
        if (x != y && !(isnan(x) && isnan(y))) return i;
    }
    return n;
}

/* -- in and out -------------------------------------------------------------------------------- */

dfm_status rt_set_raw(rt *r, const rt_program *p, const plan_io *io, const void *data, dfm_err *err)
{
    DFM_TRY(check_range(p, io, data, err));
    for (uint32_t i = 0; i < r->p.n_regions; i++)
        if (r->p.regions[i].kind == PLAN_REGION_ARENA)
            r->device->ops->copy_in(r->device, r->region[i] + io->offset, data, io->bytes);
    return DFM_OK;
}

dfm_status rt_set(rt *r, rt_program *p, const char *name, const rt_value *v, dfm_err *err)
{
    const plan_io *io = rt_find_io(p, name, PLAN_IO_FORMAL | PLAN_IO_DATA | PLAN_IO_DRAW);
    if (!io) return no_input(p, name, err);
    if (!same_shape(io, v)) return wrong_shape(p, io, v, err);
    dfm_arena *a = dfm_arena_create("input");
    dfm_dtype to = (dfm_dtype)io->dtype;
    uint64_t n = elems_of(io), bytes = n * dfm_dtype_bytes(v->dtype);
    void *src = dfm_alloc(a, bytes), *dst = dfm_alloc(a, io->bytes);
    memcpy(src, v->data, bytes);                         /* aligned */
    uint64_t at = convert(v->dtype, src, to, dst, n);
    dfm_status s = DFM_OK;
    if (at < n) {
        s = dfm_fail(err, DFM_BAD_DATA,
                     "element %" PRIu64 " of input '%s' is %.9g, which %s cannot hold", at, name,
                     dfm_load_as_double(v->dtype, src, at), dfm_dtype_name(to));
        dfm_help(err, "round the input first; nothing is rounded silently");
    } else {
        s = rt_set_raw(r, p, io, dst, err);
    }
    if (s == DFM_OK && (io->flags & PLAN_IO_DRAW)) p->given[io - p->io] = true;
    dfm_arena_destroy(a);
    return s;
}

void rt_clear_given(rt_program *p)
{
    for (uint32_t i = 0; i < p->prog->n_io; i++) p->given[i] = false;
}

void rt_get(rt *r, const plan_io *io, void *dst)
{
    for (uint32_t i = 0; i < r->p.n_regions; i++)
        if (r->p.regions[i].kind == PLAN_REGION_ARENA)
            r->device->ops->copy_out(r->device, dst, r->region[i] + io->offset, io->bytes);
}

double rt_get_number(rt *r, const plan_io *io)
{
    dfm_arena *a = dfm_arena_create("number");
    void *p = dfm_alloc(a, io->bytes);
    rt_get(r, io, p);
    double x = dfm_load_as_double((dfm_dtype)io->dtype, p, 0);
    dfm_arena_destroy(a);
    return x;
}

/* driver_sizes.c - small sizes for `dfmc test`: what a file's dims may be lowered to. */
#include <string.h>

#include "compiler/driver_impl.h"

enum { SMALL = 6 };              /* extents up to this stay */

typedef struct sizes {
    driver *d;
    front_options o;             /* o.sets: the user's, then ours */
    driver_sets sets;
} sizes;

/* Does the file compile with the sets so far? Reports go nowhere. */
static bool compiles(sizes *z)
{
    dfm_arena *a = dfm_arena_create("sizes");
    front_ctx cx = {a, dfm_names_create(a), diag_create(a)};
    ir_module *m = NULL;
    z->o.sets = z->sets.p;
    z->o.n_sets = z->sets.n;
    bool ok = front_compile(&cx, &z->o, &m);
    dfm_arena_destroy(a);
    return ok;
}

/* `D = 64` or `B = dynamic(1..64, 8)`; what is computed from other dims follows them. */
static bool is_base(driver *d, const ir_dim_info *dim)
{
    const char *text = diag_source(d->diag, d->arena, dim->loc);
    const char *name = dfm_name_str(d->names, dim->name);
    size_t n = strlen(name);
    if (strncmp(text, name, n) != 0) return false;
    text += n;
    text += strspn(text, " \t");
    if (*text == '=') text++;
    text += strspn(text, " \t");
    if (dfm_starts_with(text, "dynamic(")) return true;
    return *text && strspn(text, "0123456789") == strlen(text);
}

static bool given(const sizes *z, const char *name)
{
    for (uint32_t i = 0; i < z->d->opt->sets.n; i++) {
        const char *s = z->d->opt->sets.p[i];
        size_t n = strlen(name);
        if (dfm_starts_with(s, "dim.") && !strncmp(s + 4, name, n) && s[4 + n] == '=') return true;
    }
    return false;
}

/* The smallest extent that works, from `first` on: neighbours get different ones, so that mixed-up
 * dims show. */
static void lower(sizes *z, const char *name, int64_t *extent, uint32_t first)
{
    static const int64_t to[] = {3, 2, 4, 5, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128};
    for (uint32_t k = 0; k < DFM_LEN(to); k++) {
        int64_t v = to[k < 4 ? (k + first) % 4 : k];
        if (v >= *extent) continue;
        dfm_push(z->d->arena, &z->sets, dfm_fmt(z->d->arena, "dim.%s=%lld", name, (long long)v));
        if (compiles(z)) {
            *extent = v;
            return;
        }
        z->sets.n--;
    }
}

/* The last set of a name counts: earlier ones go. */
static void last_of_each(sizes *z, driver_sets *out)
{
    for (uint32_t i = 0; i < z->sets.n; i++) {
        const char *s = z->sets.p[i];
        size_t n = strcspn(s, "=") + 1;
        bool later = false;
        for (uint32_t k = i + 1; k < z->sets.n && i >= z->d->opt->sets.n; k++)
            later |= !strncmp(z->sets.p[k], s, n);
        if (!later) dfm_push(z->d->arena, out, s);
    }
}

/* Two rounds: what a large dim must divide may have become small in the first. */
bool driver_small_sizes(driver *d, driver_sets *out)
{
    sizes z = {.d = d, .o = driver_front_options(d)};
    front_ctx cx = {d->arena, d->names, d->diag};
    ir_module *m = NULL;
    z.o.witnesses = true;
    if (!front_compile(&cx, &z.o, &m)) return false;
    int64_t *extent = dfm_new_n(d->arena, int64_t, m->dims.n);
    for (uint32_t i = 1; i < m->dims.n; i++) extent[i] = m->dims.p[i].extent;
    for (uint32_t i = 0; i < d->opt->sets.n; i++) dfm_push(d->arena, &z.sets, d->opt->sets.p[i]);
    for (int round = 0; round < 2; round++)
        for (uint32_t i = 1; i < m->dims.n; i++) {
            const ir_dim_info *dim = &m->dims.p[i];
            const char *name = dfm_name_str(d->names, dim->name);
            if (dim->alias_of.i || !dfm_loc_some(dim->loc) || extent[i] <= SMALL) continue;
            if (is_base(d, dim) && !given(&z, name)) lower(&z, name, &extent[i], i);
        }
    last_of_each(&z, out);
    return true;
}

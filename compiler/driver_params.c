/* driver_params.c - `dfmc params`: every parameter with its shape, and the totals. */
#include "compiler/driver_impl.h"

#include <string.h>

static void shape_text(dfm_sb *sb, const ir_module *m, const ir_param *p)
{
    const ir_type_info *t = ir_type_of(m, p->type);
    for (uint32_t i = 0; i < t->rank; i++)
        dfm_sb_printf(sb, "%s%s=%lld", i ? ", " : "", ir_dim_str(m, t->dims[i]),
                      (long long)ir_extent(m, t->dims[i]));
}

static void print_text(driver *d, const ir_module *m)
{
    char n[32];
    for (uint32_t i = 0; i < m->params.n; i++) {
        const ir_param *p = &m->params.p[i];
        dfm_sb sb = dfm_sb_make(d->arena);
        shape_text(&sb, m, p);
        fprintf(d->out, "%-44s %-5s %-40s %15s%s\n", dfm_name_str(m->names, p->path),
                dfm_dtype_name(ir_type_of(m, p->type)->dtype), dfm_sb_cstr(&sb),
                dfm_thousands(ir_elems(m, p->type), n),
                p->is_buffer ? "  buffer" : p->trainable ? "" : "  frozen");
    }
    front_counts c = front_params(m);
    fprintf(d->out, "trainable %s", dfm_thousands(c.trainable, n));
    if (c.frozen) fprintf(d->out, ", frozen %s", dfm_thousands(c.frozen, n));
    if (c.buffers) fprintf(d->out, ", buffers %s", dfm_thousands(c.buffers, n));
    fprintf(d->out, "\n");
}

static void print_json(driver *d, const ir_module *m)
{
    front_counts c = front_params(m);
    fprintf(d->out, "{\"trainable\": %llu, \"frozen\": %llu, \"buffers\": %llu, \"params\": [",
            (unsigned long long)c.trainable, (unsigned long long)c.frozen,
            (unsigned long long)c.buffers);
    for (uint32_t i = 0; i < m->params.n; i++) {
        const ir_param *p = &m->params.p[i];
        const ir_type_info *t = ir_type_of(m, p->type);
        dfm_sb sb = dfm_sb_make(d->arena);
        dfm_sb_puts(&sb, i ? ",\n  {\"path\": " : "\n  {\"path\": ");
        dfm_sb_json(&sb, dfm_name_str(m->names, p->path));
        dfm_sb_puts(&sb, ", \"published\": ");
        dfm_sb_json(&sb, dfm_name_str(m->names, p->published.i ? p->published : p->path));
        fprintf(d->out, "%s, \"dtype\": \"%s\", \"shape\": [", dfm_sb_cstr(&sb),
                dfm_dtype_name(t->dtype));
        for (uint32_t k = 0; k < t->rank; k++)
            fprintf(d->out, "%s%lld", k ? ", " : "", (long long)ir_extent(m, t->dims[k]));
        fprintf(d->out, "], \"trainable\": %s}", p->trainable ? "true" : "false");
    }
    fprintf(d->out, "\n]}\n");
}

void driver_print_params(driver *d, const ir_module *m)
{
    if (driver_flag(d, OPT_JSON)) print_json(d, m);
    else print_text(d, m);
}

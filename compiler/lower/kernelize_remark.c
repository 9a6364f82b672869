/* kernelize_remark.c - says of each kernel what was fused into it, and which values that it reads
 * were not, with the number of the rule that objected (docs/design/0004).
 */
#include "compiler/lower/kernelize.h"

static void list_roots(const kz_frame *f, const kz_unit *u, kz_root_kind kind, const char *what,
                       dfm_sb *out)
{
    bool first = true;
    for (uint32_t i = 0; i < u->roots.n; i++) {
        if (u->roots.p[i].kind != kind) continue;
        dfm_sb_printf(out, "%s'%s'", first ? what : ", ", kz_name(f, u->roots.p[i].v));
        first = false;
    }
}

void kz_remark_kernel(kz_frame *f, uint32_t unit, const kir_kernel *k)
{
    kz *z = f->z;
    if (!z->remark) return;
    const kz_unit *u = &f->units.p[unit];
    const char *name = dfm_name_str(z->m->names, k->name);
    dfm_sb made = dfm_sb_make(z->a);
    list_roots(f, u, KZ_STORE, "; values ", &made);
    list_roots(f, u, KZ_ROW, "; reductions of its rows ", &made);
    list_roots(f, u, KZ_COLUMN, "; sums over its rows ", &made);
    list_roots(f, u, KZ_SPLIT, "; reductions in two stages ", &made);
    kz_note(z, k->loc, "kernel '%s' makes %u result%s%s", name, u->roots.n,
            u->roots.n > 1 ? "s" : "", dfm_sb_cstr(&made));
    for (uint32_t i = 0; i < u->leaves.n; i++) {
        ir_val v = u->leaves.p[i].v;
        uint32_t made_by = f->slot[v.i].unit;
        if (!made_by || made_by == unit + 1) continue;
        const char *why = kz_why_apart(f, &f->units.p[made_by - 1], u);
        kz_note(z, kz_loc(f, v), "'%s' is not fused into kernel '%s': rule %s", kz_name(f, v), name,
                why ? why : "3.3: other merges came first");
    }
}

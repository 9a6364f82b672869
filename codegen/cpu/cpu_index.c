/* cpu_index.c - index expressions as C text. */
#include "codegen/cpu/cpu.h"

const char *cpu_ctype(dfm_dtype d)
{
    switch (d) {
    case DFM_BOOL: case DFM_U8: return "uint8_t";
    case DFM_I32: return "int32_t";
    case DFM_I64: return "int64_t";
    case DFM_BF16: case DFM_F16: return "uint16_t";
    case DFM_F64: return "double";
    default: return "float";
    }
}

void cpu_index_text(dfm_sb *out, const ir_module *m, ir_ix x, cpu_dim_text *dim, void *user)
{
    const ir_ix_node *n = ir_ix_of(m, x);
    int64_t lo, hi;
    switch (n->kind) {
    case IX_CONST: dfm_sb_printf(out, "%lld", (long long)n->c); return;
    case IX_VAR: dfm_sb_puts(out, dim(user, n->var)); return;
    case IX_ADD:
        dfm_sb_puts(out, "(");
        cpu_index_text(out, m, n->a, dim, user);
        dfm_sb_puts(out, " + ");
        cpu_index_text(out, m, n->b, dim, user);
        dfm_sb_puts(out, ")");
        return;
    case IX_MUL:
        cpu_index_text(out, m, n->a, dim, user);
        dfm_sb_printf(out, " * %lld", (long long)n->c);
        return;
    case IX_DIV:
    case IX_MOD:
        ir_ix_range(m, n->a, &lo, &hi);
        if (lo >= 0) {                      /* C rounds like floor; unsigned divides faster */
            dfm_sb_puts(out, "(int)((uint32_t)(");
            cpu_index_text(out, m, n->a, dim, user);
            dfm_sb_printf(out, ") %c %lldu)", n->kind == IX_DIV ? '/' : '%', (long long)n->c);
        } else {
            dfm_sb_puts(out, n->kind == IX_DIV ? "floor_div(" : "floor_mod(");
            cpu_index_text(out, m, n->a, dim, user);
            dfm_sb_printf(out, ", %lld)", (long long)n->c);
        }
        return;
    case IX_CLAMP:
        dfm_sb_puts(out, "clamp_int(");
        cpu_index_text(out, m, n->a, dim, user);
        dfm_sb_printf(out, ", %lld, %lld)", (long long)n->c, (long long)n->c2);
        return;
    default: DFM_ASSERT(!"index kind");
    }
}

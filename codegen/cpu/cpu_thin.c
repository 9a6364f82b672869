/* cpu_thin.c - products of few rows or few terms: which they are, and their drivers. */
#include "codegen/cpu/cpu_thin.h"

#include <string.h>

#include "codegen/cpu/cpu.h"

enum { FEW_MOST = 8 };

static bool allowed = true;

void cpu_thin_allow(bool yes) { allowed = yes; }

static char form_of(const kir_gemm *g, int64_t least)
{
    const bool f32 = g->a.dtype == DFM_F32 && g->b.dtype == DFM_F32 && g->c.dtype == DFM_F32;
    if (!allowed || !f32 || g->n < least) return 0;
    if (g->m <= FEW_MOST && g->k >= least) {
        if (g->sb[3] == 1) return 'n';
        return g->sb[2] == 1 && g->sa[3] == 1 ? 'k' : 0;
    }
    return g->k <= FEW_MOST && g->m >= least && g->sb[3] == 1 && g->sc[3] == 1 ? 't' : 0;
}

bool cpu_thin(const kir_gemm *g, int64_t least, char letters[8])
{
    const char form = form_of(g, least);
    if (!form) return false;
    memcpy(letters, "thin_  ", 8);
    letters[5] = form;
    letters[6] = (char)('0' + (form == 't' ? g->k : g->m));
    return true;
}

void cpu_emit_thin_driver(dfm_sb *out, const char *letters)
{
    static const char *const own[] = {"FN", "FEW", "THIN_N", "THIN_K", "THIN_T", "CAT2", "CAT",
                                      "L", "LINE", "PIECE", "STEPS", "COLUMNS", "ROWS"};
    dfm_sb_printf(out, "\n#define FN multiply_%s\n#define FEW %c\n", letters, letters[6]);
    for (const char *f = "nkt"; *f; f++)
        dfm_sb_printf(out, "#define THIN_%c %d\n", *f - 'a' + 'A', letters[5] == *f);
    dfm_sb_puts(out, cg_text_thin);
    for (size_t i = 0; i < DFM_LEN(own); i++) dfm_sb_printf(out, "#undef %s\n", own[i]);
}

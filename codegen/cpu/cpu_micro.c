/* cpu_micro.c - the innermost loop of generated matrix products, in assembly.
 *
 * Vector registers: the sums, row by row; then nv vectors of B; then broadcasts of A in turn.
 */
#include "codegen/cpu/cpu_micro.h"

#include <stdarg.h>
#include <stdio.h>

typedef struct writer {
    dfm_sb *out;
    const cpu_micro *m;
    const char *v;                           /* "%%zmm" or "%%ymm": a register's name without
                                                number */
    int n_regs;
} writer;

/* One line of assembly, as a piece of the string of the asm statement. */
static void put(const writer *w, const char *form, ...) __attribute__((format(printf, 2, 3)));
static void put(const writer *w, const char *form, ...)
{
    char text[160];
    va_list args;
    va_start(args, form);
    vsnprintf(text, sizeof text, form, args);
    va_end(args);
    dfm_sb_printf(w->out, "        \"%s\\n\"\n", text);
}

static int sum(const writer *w, int i, int j) { return i * w->m->nv + j; }
static int b_reg(const writer *w, int j) { return w->m->mr * w->m->nv + j; }
static int a_reg(const writer *w, int i)
{
    int first = (w->m->mr + 1) * w->m->nv;
    return first + i % (w->n_regs - first);
}

/* sums += a[u][..] * b[u][..], u steps ahead of where [a] and [b] point. */
static void step(const writer *w, int u)
{
    const cpu_micro *m = w->m;
    for (int j = 0; j < m->nv; j++)
        put(w, "vmovups %d(%%[b]), %s%d", (u * m->nv + j) * m->vl * 4, w->v, b_reg(w, j));
    for (int i = 0; i < m->mr; i++) {
        put(w, "vbroadcastss %d(%%[a]), %s%d", (u * m->strip + i) * 4, w->v, a_reg(w, i));
        for (int j = 0; j < m->nv; j++)
            put(w, "vfmadd231ps %s%d, %s%d, %s%d", w->v, b_reg(w, j), w->v, a_reg(w, i), w->v,
                sum(w, i, j));
    }
}

static void advance(const writer *w, int steps)
{
    put(w, "add $%d, %%[a]", steps * w->m->strip * 4);
    put(w, "add $%d, %%[b]", steps * w->m->nv * w->m->vl * 4);
}

/* A turn of the loop: a line of each stream, UNROLL steps. `rows`: lines of so many rows of C as
 * well. */
static void turn(const writer *w, int rows)
{
    const cpu_micro *m = w->m;
    put(w, "prefetcht1 (%%[panel])");
    put(w, "prefetcht1 (%%[piece])");
    put(w, "add %%[panel_step], %%[panel]");
    put(w, "add %%[piece_step], %%[piece]");
    for (int u = 0; u < CPU_MICRO_UNROLL; u++) {
        if (u < rows) {
            for (int at = 0; at < m->nv * m->vl * 4; at += 64) put(w, "prefetchw %d(%%[c])", at);
            put(w, "add %%[c_step], %%[c]");
        }
        step(w, u);
    }
    advance(w, CPU_MICRO_UNROLL);
    put(w, "dec %%[turns]");
}

static void loops(const writer *w)
{
    const int mr = w->m->mr;
    /* The first turns have C to fetch. Is K shorter than they are, then nobody waits for long. */
    for (int row = 0; row < mr; row += CPU_MICRO_UNROLL) {
        put(w, "test %%[turns], %%[turns]");
        put(w, "jz 2f");
        turn(w, mr - row < CPU_MICRO_UNROLL ? mr - row : CPU_MICRO_UNROLL);
    }
    put(w, "test %%[turns], %%[turns]");
    put(w, "jz 2f");
    put(w, ".p2align 5");
    put(w, "1:");
    turn(w, 0);
    put(w, "jnz 1b");
    put(w, "2:");
    put(w, "test %%[rest], %%[rest]");
    put(w, "jz 4f");
    put(w, "3:");
    step(w, 0);
    advance(w, 1);
    put(w, "dec %%[rest]");
    put(w, "jnz 3b");
    put(w, "4:");
}

static void results(const writer *w)
{
    const cpu_micro *m = w->m;
    for (int i = 0; i < m->mr; i++) {
        for (int j = 0; j < m->nv; j++) {
            int r = sum(w, i, j), at = j * m->vl * 4;
            if (m->add) put(w, "vaddps %d(%%[to]), %s%d, %s%d", at, w->v, r, w->v, r);
            if (m->bias) put(w, "vaddps %d(%%[bias]), %s%d, %s%d", at, w->v, r, w->v, r);
            put(w, "vmovups %s%d, %d(%%[to])", w->v, r, at);
        }
        if (i + 1 < m->mr) put(w, "add %%[to_step], %%[to]");
    }
}

static void operands(const writer *w)
{
    dfm_sb_puts(w->out,
                "        : [a] \"+&r\"(a), [b] \"+&r\"(b), [to] \"+&r\"(to), [c] \"+&r\"(c), "
                "[turns] \"+&r\"(turns),\n"
                "          [rest] \"+&r\"(rest), [panel] \"+&r\"(panel), [piece] \"+&r\"(piece)\n"
                "        : [to_step] \"m\"(x->to_step), [c_step] \"m\"(x->c_step), "
                "[bias] \"r\"(x->bias),\n"
                "          [panel_step] \"r\"(x->panel_step), [piece_step] \"r\"(x->piece_step)\n"
                "        : \"memory\", \"cc\"");
    for (int r = 0; r < w->n_regs; r++) dfm_sb_printf(w->out, ", \"xmm%d\"", r);
    dfm_sb_puts(w->out, ");\n");
}

void cpu_emit_micro(dfm_sb *out, const cpu_micro *m)
{
    const bool wide = m->vl == 16;
    const writer w = {.out = out, .m = m, .v = wide ? "%%zmm" : "%%ymm", .n_regs = wide ? 32 : 16};
    dfm_sb_printf(out,
                  "\n__attribute__((noinline)) static void %s(const micro *x)\n{\n"
                  "    const float *a = x->a, *b = x->b;\n    float *to = x->to;\n"
                  "    const char *c = x->c, *panel = x->panel, *piece = x->piece;\n"
                  "    int64_t turns = x->kc / %d, rest = x->kc %% %d;\n    __asm__ volatile(\n",
                  m->name, CPU_MICRO_UNROLL, CPU_MICRO_UNROLL);
    for (int r = 0; r < m->mr * m->nv; r++)
        put(&w, "%s %s%d, %s%d, %s%d", wide ? "vpxord" : "vxorps", w.v, r, w.v, r, w.v, r);
    loops(&w);
    results(&w);
    operands(&w);
    dfm_sb_puts(out, "}\n");
}

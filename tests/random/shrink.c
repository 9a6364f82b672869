/* shrink.c - see shrink.h. Works on lines, so that it can shrink any file. */
#include "tests/random/shrink.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_LINES = 600, SECONDS = 60, MINUTES = 5 };

typedef struct lines {
    const char *p[MAX_LINES];
    uint32_t n;
} lines;

typedef struct work {
    dfm_arena *a;
    const char *path;
    const check_options *o;
    const check_outcome *how;
    lines best;
    uint32_t tries;
    time_t until;
} work;

static bool late(const work *w) { return time(NULL) > w->until; }

static lines split(dfm_arena *a, const char *text)
{
    lines l = {.n = 0};
    while (*text && l.n < MAX_LINES) {
        size_t n = strcspn(text, "\n");
        if (n) l.p[l.n++] = dfm_strndup(a, text, n);
        text += n + (text[n] == '\n');
    }
    return l;
}

static const char *join(dfm_arena *a, const lines *l)
{
    dfm_sb sb = dfm_sb_make(a);
    for (uint32_t i = 0; i < l->n; i++) dfm_sb_printf(&sb, "%s\n", l->p[i]);
    return dfm_sb_cstr(&sb);
}

static bool same_failure(const check_outcome *x, const check_outcome *y)
{
    size_t n = strcspn(y->stage, " ");
    if (x->ok || strncmp(x->stage, y->stage, n) || x->stage[n] > ' ') return false;
    bool coded =
        !strcmp(y->stage, "front") || !strcmp(y->stage, "crash") || !strcmp(y->stage, "passes");
    return !coded || !strncmp(x->text, y->text, 8);
}

static bool try_lines(work *w, const lines *l)
{
    check_outcome out;
    const char *text = join(w->a, l);
    FILE *f = fopen(w->path, "w");
    if (!f) return false;
    fputs(text, f);
    fclose(f);
    check_job j = check_begin(w->path, w->o, SECONDS);
    check_end(&j, &out);
    w->tries++;
    if (!same_failure(&out, w->how)) return false;
    w->best = *l;
    return true;
}

/* The line after the one that closes what line i opens; i + 1 if it opens nothing. */
static uint32_t unit_end(const lines *l, uint32_t i)
{
    int depth = 0;
    for (uint32_t k = i; k < l->n; k++) {
        for (const char *c = l->p[k]; *c && *c != '#'; c++) depth += (*c == '{') - (*c == '}');
        if (depth <= 0 && !(k + 1 < l->n && strstr(l->p[k], "vjp"))) return k + 1;
    }
    return i + 1;
}

static lines without(const lines *l, uint32_t from, uint32_t to)
{
    lines r = {.n = 0};
    for (uint32_t i = 0; i < l->n; i++)
        if (i < from || i >= to) r.p[r.n++] = l->p[i];
    return r;
}

/* text with the word replaced. */
static const char *replace_word(dfm_arena *a, const char *text, const char *word, const char *by)
{
    dfm_sb sb = dfm_sb_make(a);
    size_t n = strlen(word);
    for (const char *p = text; *p;) {
        bool start = p == text || (!isalnum((unsigned char)p[-1]) && p[-1] != '_');
        if (start && !strncmp(p, word, n) && !isalnum((unsigned char)p[n]) && p[n] != '_') {
            dfm_sb_puts(&sb, by);
            p += n;
        } else
            dfm_sb_add(&sb, p++, 1);
    }
    return dfm_sb_cstr(&sb);
}

/* Line i is `name = expr`: drop it and use a word of expr where the name was used. */
static bool drop_value(work *w, uint32_t i)
{
    const char *line = w->best.p[i] + strspn(w->best.p[i], " ");
    size_t n = strcspn(line, " [=");
    const char *eq = strstr(line, " = ");
    if (!eq || !n || !strncmp(line, "dim ", 4)) return false;
    const char *name = dfm_strndup(w->a, line, n);
    for (const char *p = eq + 3; *p;) {
        size_t k = 0;
        while (isalnum((unsigned char)p[k]) || p[k] == '_') k++;
        if (!k) {
            p++;
            continue;
        }
        const char *word = dfm_strndup(w->a, p, k);
        bool call = p[k] == '(';
        p += k;
        if (call || (isupper((unsigned char)word[0]) && k < 3) || !strcmp(word, name)) continue;
        lines l = without(&w->best, i, i + 1);
        for (uint32_t j = i; j < l.n; j++) l.p[j] = replace_word(w->a, l.p[j], name, word);
        if (try_lines(w, &l)) return true;
    }
    return false;
}

static bool drop_units(work *w)
{
    bool any = false;
    for (uint32_t i = w->best.n; i-- > 1 && !late(w);) {
        if (i >= w->best.n) continue;
        uint32_t end = unit_end(&w->best, i);
        lines l = without(&w->best, i, end);
        if (try_lines(w, &l)) {
            any = true;
            continue;
        }
        if (end == i + 1)
            any |= drop_value(w, i);
        else { /* keep what is inside */
            l = without(&w->best, end - 1, end);
            l = without(&l, i, i + 1);
            any |= try_lines(w, &l);
        }
    }
    return any;
}

/* -- expressions ------------------------------------------------------------------------------- */

enum { MAX_PARTS = 60 };

typedef struct part {
    const char *from, *to;
} part;

typedef struct part_list {
    part p[MAX_PARTS];
    uint32_t n;
} part_list;

static void add_part(part_list *out, const char *from, const char *to)
{
    while (from < to && *from == ' ') from++;
    while (to > from && to[-1] == ' ') to--;
    if (from < to && out->n < MAX_PARTS) out->p[out->n++] = (part){from, to};
}

/* What an expression is made of: arguments of its calls, operands of its signs, at every depth. */
static void find_parts(const char *text, part_list *out)
{
    for (const char *p = text;; p++) {
        bool start = p == text || p[-1] == '(' || p[-1] == ',' ||
                     (p[-1] == ' ' && p - text > 1 && strchr("+-*/", p[-2]));
        if (start && *p) {
            int depth = 0;
            const char *q = p;
            for (; *q; q++) {
                depth += (*q == '(') - (*q == ')');
                if (depth < 0 || (depth == 0 && *q == ',')) break;
                bool sign = depth == 0 && q > p && *q == ' ' && strchr("+-*/", q[1]) && q[2] == ' ';
                if (sign && (p != text || q[1] != '-')) add_part(out, p, q);
            }
            if (p != text || *q) add_part(out, p, q);
        }
        if (!*p) return;
    }
}

/* Some expression of the line becomes a part of itself: f(g(x), y) becomes g(x), x, y, f(x, y). */
static bool shorten(work *w, uint32_t i)
{
    const char *line = w->best.p[i], *eq = strstr(line, " = "), *from = NULL;
    const char *word = line + strspn(line, " ");
    if (dfm_starts_with(word, "return ")) from = word + 7;
    else if (dfm_starts_with(word, "minimize ")) from = word + 9;
    else if (eq && !dfm_starts_with(word, "dim ") && !dfm_starts_with(word, "param "))
        from = eq + 3;
    if (!from || strchr(line, '{')) return false;
    part_list found = {.p = {{from, from + strlen(from)}}, .n = 1};
    find_parts(from, &found);
    for (uint32_t o = 0; o < found.n; o++)
        for (uint32_t k = 0; k < found.n && !late(w); k++) {
            part out = found.p[o], in = found.p[k];
            if (in.from < out.from || in.to > out.to || in.to - in.from >= out.to - out.from)
                continue;
            lines l = w->best;
            l.p[i] = dfm_fmt(w->a, "%.*s%.*s%s", (int)(out.from - line), line,
                             (int)(in.to - in.from), in.from, out.to);
            if (try_lines(w, &l)) return true;
        }
    return false;
}

static bool shorten_all(work *w)
{
    bool any = false;
    for (uint32_t i = 0; i < w->best.n && !late(w); i++)
        while (shorten(w, i)) any = true;
    return any;
}

/* -- dims -------------------------------------------------------------------------------------- */

/* The dim's extent, and what it is written as otherwise: 0 and the text. */
static bool dim_line(const char *line, char name[32], int *extent)
{
    int at = 0;
    *extent = 0;
    if (sscanf(line, "dim %31[A-Za-z0-9] = %n", name, &at) != 1 || !at) return false;
    const char *rest = line + at;
    if (rest[strspn(rest, "0123456789")] == 0) *extent = atoi(rest);
    return true;
}

static bool lower_dims(work *w)
{
    bool any = false;
    for (uint32_t i = 0; i < w->best.n && !late(w); i++) {
        char name[32];
        int x;
        if (!dim_line(w->best.p[i], name, &x) || x == 1) continue;
        const int to[] = {1, 2, 3, x / 2, x - 1};
        for (size_t k = 0; k < DFM_LEN(to); k++) {
            lines l = w->best;
            if (to[k] < 1 || (x && to[k] >= x)) continue;
            l.p[i] = dfm_fmt(w->a, "dim %s = %d", name, to[k]);
            if (!try_lines(w, &l)) continue;
            any = true;
            break;
        }
    }
    return any;
}

/* Half of the lines at a time, then quarters: quick where much is dead. */
static void drop_chunks(work *w)
{
    for (uint32_t size = w->best.n / 2; size > 2; size /= 2)
        for (uint32_t i = 1; i + size <= w->best.n;) {
            lines l = without(&w->best, i, i + size);
            if (!try_lines(w, &l)) i += size;
        }
}

const char *shrink_text(dfm_arena *a, const char *text, const char *path, const check_options *o,
                        const check_outcome *how)
{
    work w = {.a = a, .path = path, .o = o, .how = how, .best = split(a, text),
              .until = time(NULL) + MINUTES * 60};
    drop_chunks(&w);
    for (int round = 0; round < 12; round++) {
        bool units = drop_units(&w), shorter = shorten_all(&w), dims = lower_dims(&w);
        if ((!units && !shorter && !dims) || late(&w)) break;
    }
    return join(a, &w.best);
}

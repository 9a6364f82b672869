/* str.c - text building, interned names, spelling suggestions. */
#include "runtime/base/str.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/hash.h"

dfm_sb dfm_sb_make(dfm_arena *a) { return (dfm_sb){.arena = a}; }

static void reserve(dfm_sb *sb, size_t more)
{
    if (sb->n + more + 1 <= sb->cap) return;
    size_t cap = sb->cap ? sb->cap : 64;
    while (cap < sb->n + more + 1) cap *= 2;
    char *p = dfm_alloc(sb->arena, cap);
    if (sb->n) memcpy(p, sb->p, sb->n);
    sb->p = p;
    sb->cap = cap;
}

void dfm_sb_add(dfm_sb *sb, const char *bytes, size_t n)
{
    reserve(sb, n);
    memcpy(sb->p + sb->n, bytes, n);
    sb->n += n;
    sb->p[sb->n] = 0;
}

void dfm_sb_puts(dfm_sb *sb, const char *s) { dfm_sb_add(sb, s, strlen(s)); }

void dfm_sb_printf(dfm_sb *sb, const char *format, ...)
{
    va_list ap, again;
    va_start(ap, format);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (n > 0) {
        reserve(sb, (size_t)n);
        vsnprintf(sb->p + sb->n, (size_t)n + 1, format, ap);
        sb->n += (size_t)n;
    }
    va_end(ap);
}

const char *dfm_sb_cstr(dfm_sb *sb) { return sb->p ? sb->p : ""; }

void dfm_sb_double(dfm_sb *sb, double x)
{
    char buf[40];
    if (isnan(x)) { dfm_sb_puts(sb, "nan"); return; }
    if (isinf(x)) { dfm_sb_puts(sb, x > 0 ? "inf" : "-inf"); return; }
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(buf, sizeof buf, "%.*g", digits, x);
        if (strtod(buf, NULL) == x) break;
    }
    dfm_sb_puts(sb, buf);
}

void dfm_sb_json(dfm_sb *sb, const char *s)
{
    dfm_sb_puts(sb, "\"");
    for (; *s; s++) {
        if (*s == '"' || *s == '\\') dfm_sb_printf(sb, "\\%c", *s);
        else if ((unsigned char)*s < 0x20) dfm_sb_printf(sb, "\\u%04x", (unsigned)*s);
        else dfm_sb_add(sb, s, 1);
    }
    dfm_sb_puts(sb, "\"");
}

struct dfm_names {
    dfm_arena *arena;
    DFM_VEC(const char *) text;          /* [0] is "" */
    uint32_t *slots;                     /* open addressing, 0 = empty */
    uint32_t n_slots;
};

dfm_names *dfm_names_create(dfm_arena *a)
{
    dfm_names *t = dfm_new(a, dfm_names);
    t->arena = a;
    t->n_slots = 256;
    t->slots = dfm_new_n(a, uint32_t, t->n_slots);
    dfm_push(a, &t->text, "");
    return t;
}

static void rehash(dfm_names *t)
{
    uint32_t n = t->n_slots * 2;
    uint32_t *slots = dfm_new_n(t->arena, uint32_t, n);
    for (uint32_t i = 1; i < t->text.n; i++) {
        uint64_t h = dfm_hash64(t->text.p[i], strlen(t->text.p[i]), 0);
        while (slots[h & (n - 1)]) h++;
        slots[h & (n - 1)] = i;
    }
    t->slots = slots;
    t->n_slots = n;
}

dfm_name dfm_intern_n(dfm_names *t, const char *s, size_t n)
{
    if (n == 0) return (dfm_name){0};
    uint64_t h = dfm_hash64(s, n, 0);
    for (;; h++) {
        uint32_t i = t->slots[h & (t->n_slots - 1)];
        if (!i) break;
        if (strncmp(t->text.p[i], s, n) == 0 && t->text.p[i][n] == 0) return (dfm_name){i};
    }
    uint32_t i = t->text.n;
    dfm_push(t->arena, &t->text, dfm_strndup(t->arena, s, n));
    t->slots[h & (t->n_slots - 1)] = i;
    if (t->text.n * 2 > t->n_slots) rehash(t);
    return (dfm_name){i};
}

dfm_name dfm_intern(dfm_names *t, const char *s) { return dfm_intern_n(t, s, strlen(s)); }

const char *dfm_name_str(const dfm_names *t, dfm_name x) { return t->text.p[x.i]; }

bool dfm_starts_with(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

/* One code point of several bytes that starts at *at; moves *at behind it. 0 if it is malformed. */
static uint32_t utf8_tail(const unsigned char **at)
{
    const unsigned char *p = *at;
    unsigned char c = *p++;
    int more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
    uint32_t x = c & (0x3fu >> more);
    if (c < 0xc2 || c > 0xf4) return 0;
    for (int i = 0; i < more; i++, p++) {
        if ((*p & 0xc0) != 0x80) return 0;
        x = x << 6 | (*p & 0x3fu);
    }
    *at = p;
    if ((more == 2 && x < 0x800) || (more == 3 && (x < 0x10000 || x > 0x10ffff))) return 0;
    return x >= 0xd800 && x <= 0xdfff ? 0 : x;
}

bool dfm_is_clean_text(const char *s)
{
    const unsigned char *p = (const unsigned char *)s;
    while (*p) {
        if (*p < 0x20 || *p == 0x7f) return false;
        if (*p < 0x80) {
            p++;
            continue;
        }
        uint32_t x = utf8_tail(&p);
        if (x < 0xa0 || x == 0x2028 || x == 0x2029 || x == 0xfeff || (x & 0xfffe) == 0xfffe)
            return false;
        if ((x >= 0x202a && x <= 0x202e) || (x >= 0x2066 && x <= 0x2069)) return false;
    }
    return true;
}

bool dfm_ends_with(const char *s, const char *suffix)
{
    size_t n = strlen(s), m = strlen(suffix);
    return n >= m && strcmp(s + n - m, suffix) == 0;
}

/* Edit distance with swaps of neighbours counted once; long words are not compared. */
static int distance(const char *a, const char *b)
{
    enum { MAX = 64 };
    int n = (int)strlen(a), m = (int)strlen(b), d[3][MAX + 1];
    if (n > MAX || m > MAX) return MAX;
    for (int j = 0; j <= m; j++) d[0][j] = j;
    for (int i = 1; i <= n; i++) {
        int *row = d[i % 3], *up = d[(i + 2) % 3], *up2 = d[(i + 1) % 3];
        row[0] = i;
        for (int j = 1; j <= m; j++) {
            int best = up[j - 1] + (a[i - 1] != b[j - 1]);
            if (up[j] + 1 < best) best = up[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                up2[j - 2] + 1 < best)
                best = up2[j - 2] + 1;
            row[j] = best;
        }
    }
    return d[n % 3][m];
}

const char *dfm_nearest(const char *word, const char *const *candidates, uint32_t n)
{
    int limit = (int)strlen(word) / 3;
    limit = limit < 1 ? 1 : limit > 2 ? 2 : limit;
    const char *best = NULL;
    for (uint32_t i = 0; i < n; i++) {
        if (!candidates[i]) continue;
        int d = distance(word, candidates[i]);
        if (d <= limit && d > 0 && d < (int)strlen(word)) {
            best = candidates[i];
            limit = d - 1;
        }
    }
    return best;
}

char *dfm_human_bytes(uint64_t bytes, char out[32])
{
    static const char *const unit[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double x = (double)bytes;
    size_t u = 0;
    while (x >= 1024 && u + 1 < DFM_LEN(unit)) { x /= 1024; u++; }
    snprintf(out, 32, u ? "%.2f %s" : "%.0f %s", x, unit[u]);
    return out;
}

char *dfm_thousands(uint64_t x, char out[32])
{
    char digits[24];
    int n = snprintf(digits, sizeof digits, "%llu", (unsigned long long)x), k = 0;
    for (int i = 0; i < n; i++) {
        if (i && (n - i) % 3 == 0) out[k++] = ',';
        out[k++] = digits[i];
    }
    out[k] = 0;
    return out;
}

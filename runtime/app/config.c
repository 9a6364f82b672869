/* config.c - the table of keys: setting from text, ranges, suggestions, writing back. */
#include "runtime/app/config.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "runtime/base/str.h"

typedef enum cfg_type { CFG_INT = 1, CFG_REAL, CFG_BOOL, CFG_TEXT, CFG_NAME } cfg_type;

typedef struct row {
    const char *section, *name, *key, *def, *help;
    cfg_type type;
    double lo, hi;                 /* INT64_MAX becomes 2^63, which only loosens a comparison */
    size_t offset;
} row;

static const row rows[CFG_COUNT] = {
#define CONFIG(section, name, type, def, lo, hi, help)                                          \
    {#section, #name, #section "." #name, def, help, CFG_##type, (double)(lo), (double)(hi),    \
     offsetof(cfg, section##_##name)},
#include "runtime/app/config.def"
#undef CONFIG
};

const char *cfg_name(cfg_key key) { return rows[key].key; }

cfg_key cfg_find(const char *name)
{
    for (int i = 0; i < CFG_COUNT; i++)
        if (!strcmp(rows[i].key, name)) return (cfg_key)i;
    return CFG_COUNT;
}

dfm_status cfg_unknown(const char *name, const char *where, dfm_err *err)
{
    const char *keys[CFG_COUNT], *near = NULL;
    if (!dfm_is_clean_text(name)) name = "?";
    dfm_status s = dfm_fail(err, DFM_BAD_CONFIG, "%s: unknown key '%.100s'", where, name);
    for (int i = 0; i < CFG_COUNT; i++) {
        keys[i] = rows[i].key;
        if (!near && !strcmp(rows[i].name, name)) near = rows[i].key;   /* steps: train.steps */
    }
    if (!near) near = dfm_nearest(name, keys, CFG_COUNT);
    if (near) dfm_help(err, "did you mean '%s'?", near);
    else dfm_help(err, "dfm-rt help config lists all keys");
    return s;
}

/* -- setting ------------------------------------------------------------------------------- */

static void *field(cfg *c, const row *r) { return (char *)c + r->offset; }

static const char *range_text(const row *r, char out[80])
{
    dfm_arena *a = dfm_arena_create("range");
    dfm_sb sb = dfm_sb_make(a);
    const char *kind = r->type == CFG_INT ? "a whole number" : "a number";
    dfm_sb_printf(&sb, "%s, ", kind);
    if (r->type == CFG_INT && r->hi > 9e18) dfm_sb_printf(&sb, "at least %.0f", r->lo);
    else if (r->type == CFG_INT) dfm_sb_printf(&sb, "%.0f to %.0f", r->lo, r->hi);
    else dfm_sb_printf(&sb, "%g to %g", r->lo, r->hi);
    snprintf(out, 80, "%s", dfm_sb_cstr(&sb));
    dfm_arena_destroy(a);
    return out;
}

static bool parse_int(const char *s, int64_t *out)
{
    char *end;
    errno = 0;
    if (s[0] != '-' && (s[0] < '0' || s[0] > '9')) return false;
    long long x = strtoll(s, &end, 10);
    *out = x;
    return !errno && end != s && !*end;
}

static bool parse_real(const char *s, double *out)
{
    char *end;
    if (strspn(s, "0123456789+-.eE") != strlen(s)) return false;
    *out = strtod(s, &end);
    return end != s && !*end && isfinite(*out);
}

static bool parse_bool(const char *s, bool *out)
{
    static const char *const yes[] = {"true", "yes", "on"}, *const no[] = {"false", "no", "off"};
    for (int i = 0; i < 3; i++) {
        if (!strcmp(s, yes[i])) { *out = true; return true; }
        if (!strcmp(s, no[i])) { *out = false; return true; }
    }
    return false;
}

static void unset(cfg *c, cfg_key key)
{
    const row *r = &rows[key];
    c->is_set[key] = false;
    if (r->type == CFG_INT) *(int64_t *)field(c, r) = 0;
    else if (r->type == CFG_REAL) *(double *)field(c, r) = 0;
    else if (r->type == CFG_BOOL) *(bool *)field(c, r) = false;
    else *(const char **)field(c, r) = "";
}

/* Parse into c. False: the value is of another type or out of range. */
static bool set_value(cfg *c, const row *r, const char *text)
{
    int64_t i;
    double x;
    switch (r->type) {
    case CFG_INT:
        if (!parse_int(text, &i) || (double)i < r->lo || (double)i > r->hi) return false;
        *(int64_t *)field(c, r) = i;
        return true;
    case CFG_REAL:
        if (!parse_real(text, &x) || x < r->lo || x > r->hi) return false;
        *(double *)field(c, r) = x;
        return true;
    case CFG_BOOL: return parse_bool(text, field(c, r));
    case CFG_NAME:
        if (text[0] == '.' || strchr(text, '/') || strlen(text) > 200) return false;
        /* fall through */
    case CFG_TEXT:
        if (!dfm_is_clean_text(text)) return false;
        *(const char **)field(c, r) = dfm_strdup(c->arena, text);
        return true;
    }
    return false;
}

dfm_status cfg_set(cfg *c, cfg_key key, const char *text, const char *where, dfm_err *err)
{
    const row *r = &rows[key];
    char range[80];
    c->is_given[key] = true;
    if (!text[0] || !strcmp(text, "~") || !strcmp(text, "null")) {
        if (r->def[0] && r->type < CFG_TEXT)
            return dfm_fail(err, DFM_BAD_CONFIG, "%s: '%s' needs a value", where, r->key);
        unset(c, key);
        return DFM_OK;
    }
    if (set_value(c, r, text)) {
        c->is_set[key] = true;
        return DFM_OK;
    }
    const char *want = r->type == CFG_BOOL ? "true or false"
                       : r->type == CFG_TEXT ? "UTF-8 text without control characters"
                       : r->type == CFG_NAME ? "the name of a folder, without '/' and not hidden"
                                             : range_text(r, range);
    return dfm_fail(err, DFM_BAD_CONFIG, "%s: '%s' must be %s, not '%.100s'", where, r->key,
                    want, dfm_is_clean_text(text) ? text : "?");
}

void cfg_init(dfm_arena *a, cfg *c)
{
    *c = (cfg){.arena = a};
    for (int i = 0; i < CFG_COUNT; i++) {
        unset(c, (cfg_key)i);
        if (!rows[i].def[0]) continue;
        c->is_set[i] = true;
        DFM_ASSERT(set_value(c, &rows[i], rows[i].def));
    }
}

dfm_status cfg_override(cfg *c, const char *assignment, dfm_err *err)
{
    const char *equals = strchr(assignment, '=');
    const char *where = dfm_fmt(c->arena, "override '%.100s'", assignment);
    if (!equals || equals == assignment) {
        dfm_fail(err, DFM_BAD_CONFIG, "%s: it is not of the form key=value", where);
        dfm_help(err, "for example train.steps=1000");
        return DFM_BAD_CONFIG;
    }
    const char *name = dfm_strndup(c->arena, assignment, (size_t)(equals - assignment));
    cfg_key key = cfg_find(name);
    if (key == CFG_COUNT) return cfg_unknown(name, where, err);
    return cfg_set(c, key, equals + 1, where, err);
}

/* -- writing ------------------------------------------------------------------------------- */

static void add_quoted(dfm_sb *sb, const char *s)
{
    dfm_sb_puts(sb, "\"");
    for (; *s; s++) {
        if (*s == '"' || *s == '\\') dfm_sb_puts(sb, "\\");
        dfm_sb_add(sb, s, 1);
    }
    dfm_sb_puts(sb, "\"");
}

static void add_value(dfm_sb *sb, const cfg *c, const row *r)
{
    const void *p = (const char *)c + r->offset;
    if (!c->is_set[r - rows]) dfm_sb_puts(sb, "~");
    else if (r->type == CFG_INT) dfm_sb_printf(sb, "%" PRId64, *(const int64_t *)p);
    else if (r->type == CFG_REAL) dfm_sb_double(sb, *(const double *)p);
    else if (r->type == CFG_BOOL) dfm_sb_puts(sb, *(const bool *)p ? "true" : "false");
    else add_quoted(sb, *(const char *const *)p);
}

const char *cfg_yaml(const cfg *c, dfm_arena *a)
{
    dfm_sb sb = dfm_sb_make(a);
    const char *section = "";
    for (int i = 0; i < CFG_COUNT; i++) {
        if (strcmp(section, rows[i].section)) dfm_sb_printf(&sb, "%s:\n", rows[i].section);
        section = rows[i].section;
        dfm_sb_printf(&sb, "  %s: ", rows[i].name);
        add_value(&sb, c, &rows[i]);
        dfm_sb_puts(&sb, "\n");
    }
    return dfm_sb_cstr(&sb);
}

const char *cfg_markdown(dfm_arena *a)
{
    static const char *const types[] = {"", "whole number", "number", "true or false", "text",
                                        "name of a folder"};
    dfm_sb sb = dfm_sb_make(a);
    dfm_sb_puts(&sb, "| key | type | default | meaning |\n|---|---|---|---|\n");
    for (int i = 0; i < CFG_COUNT; i++) {
        const row *r = &rows[i];
        dfm_sb_printf(&sb, "| `%s` | %s", r->key, types[r->type]);
        if (r->type == CFG_INT && r->hi > 9e18) dfm_sb_printf(&sb, " >= %.0f", r->lo);
        else if (r->type == CFG_INT) dfm_sb_printf(&sb, ", %.0f to %.0f", r->lo, r->hi);
        else if (r->type == CFG_REAL) dfm_sb_printf(&sb, ", %g to %g", r->lo, r->hi);
        if (r->def[0]) dfm_sb_printf(&sb, " | `%s` | %s |\n", r->def, r->help);
        else dfm_sb_printf(&sb, " | not set | %s |\n", r->help);
    }
    return dfm_sb_cstr(&sb);
}

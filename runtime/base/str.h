/* str.h - text building, names interned to handles, spelling suggestions. */
#ifndef DFM_RUNTIME_BASE_STR_H
#define DFM_RUNTIME_BASE_STR_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "runtime/base/arena.h"

/* -- growable text, always NUL-terminated, in an arena ------------------------------------- */
typedef struct dfm_sb {
    dfm_arena *arena;
    char *p;                   /* NULL until something is added: use dfm_sb_cstr */
    size_t n, cap;
} dfm_sb;

dfm_sb dfm_sb_make(dfm_arena *a);
void dfm_sb_add(dfm_sb *sb, const char *bytes, size_t n);
void dfm_sb_puts(dfm_sb *sb, const char *s);
void dfm_sb_printf(dfm_sb *sb, const char *format, ...) __attribute__((format(printf, 2, 3)));
const char *dfm_sb_cstr(dfm_sb *sb);

/* Shortest decimal text that reads back as exactly x ("0.1", "1e-06", "inf", "nan"). */
void dfm_sb_double(dfm_sb *sb, double x);

/* s as a JSON string, quotes included. Bytes from 0x80 on go through as they are (UTF-8). */
void dfm_sb_json(dfm_sb *sb, const char *s);

/* -- interned names ------------------------------------------------------------------------ */
/* Handle of an interned name; {0} is "no name". Equal handles <=> equal text, in one table. */
typedef struct { uint32_t i; } dfm_name;

typedef struct dfm_names dfm_names;
dfm_names *dfm_names_create(dfm_arena *a);      /* lives as long as the arena */
dfm_name dfm_intern(dfm_names *t, const char *s);
dfm_name dfm_intern_n(dfm_names *t, const char *s, size_t n);
const char *dfm_name_str(const dfm_names *t, dfm_name x);   /* "" for no name */

static inline bool dfm_name_eq(dfm_name a, dfm_name b) { return a.i == b.i; }

/* -- small helpers ------------------------------------------------------------------------- */
bool dfm_starts_with(const char *s, const char *prefix);
bool dfm_ends_with(const char *s, const char *suffix);

/* Valid UTF-8 (no overlong forms, no surrogates) without control characters, Unicode's line and
 * paragraph separators, marks that turn the direction of text, byte order marks and
 * non-characters: safe to print and to put into YAML. */
bool dfm_is_clean_text(const char *s);

/* The candidate nearest to `word` by edit distance, at most max(1, min(2, strlen(word) / 3)) and
 * less than strlen(word); NULL if none. Ties go to the earlier one. Candidates that are NULL are
 * skipped. */
const char *dfm_nearest(const char *word, const char *const *candidates, uint32_t n);

/* Bytes as "512 B", "1.50 GiB"; `out` has room for 32 characters. Returns out. */
char *dfm_human_bytes(uint64_t bytes, char out[32]);
/* A whole number with thousands separators, "674,834,720". Returns out. */
char *dfm_thousands(uint64_t x, char out[32]);

#endif

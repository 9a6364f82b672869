/* front_util.h - text in, printed text out: what the tests of the front end share. */
#ifndef DFM_TESTS_FRONT_FRONT_UTIL_H
#define DFM_TESTS_FRONT_FRONT_UTIL_H

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/front/ast.h"

typedef struct front {             /* one source text and what became of it */
    dfm_arena *a;
    diag_ctx *cx;
    diag_src src;
} front;

static inline front front_open(const char *path, const char *text, size_t n)
{
    front f = {.a = dfm_arena_create("test")};
    f.cx = diag_create(f.a);
    char *copy = dfm_alloc(f.a, n + 1);
    memcpy(copy, text, n);
    f.src = diag_add_file(f.cx, path, copy, (uint32_t)n);
    return f;
}

static inline front front_text(const char *text) { return front_open("t.dfm", text, strlen(text)); }
static inline void front_close(front *f) { dfm_arena_destroy(f->a); }

/* The results are in the arena of f. */
static inline char *front_take(front *f, FILE *out, char **p, size_t *n)
{
    fclose(out);
    char *copy = dfm_strndup(f->a, *p, *n);
    free(*p);
    return copy;
}

static inline char *front_reports(front *f, diag_format format)
{
    char *p = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&p, &n);
    diag_print(f->cx, out, format, false);
    return front_take(f, out, &p, &n);
}

static inline char *front_tokens(front *f)
{
    char *p = NULL;
    size_t n = 0;
    const ast_tokens *t = ast_lex(f->a, f->cx, f->src);
    FILE *out = open_memstream(&p, &n);
    ast_print_tokens(t, f->cx, out);
    return front_take(f, out, &p, &n);
}

static inline char *front_tree(front *f, bool locs)
{
    char *p = NULL;
    size_t n = 0;
    const ast_file *file = ast_parse(f->a, f->cx, f->src);
    FILE *out = open_memstream(&p, &n);
    ast_print(file->root, f->cx, locs, out);
    return front_take(f, out, &p, &n);
}

/* NULL if the text has errors. */
static inline const char *front_format(front *f)
{
    dfm_sb sb = dfm_sb_make(f->a);
    return ast_format(f->a, f->cx, f->src, &sb) ? dfm_sb_cstr(&sb) : NULL;
}

#endif

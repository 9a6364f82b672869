/* diag_impl.h - what diag.c, diag_print.c and diag_sarif.c share; nobody else includes it. */
#ifndef DFM_COMPILER_DIAG_IMPL_H
#define DFM_COMPILER_DIAG_IMPL_H

#include "compiler/diag.h"
#include "runtime/base/file.h"
#include "runtime/base/str.h"

enum { DIAG_MAX_WARNINGS = 50 };

typedef struct diag_file {
    const char *path, *text;
    uint32_t n;
    DFM_VEC(uint32_t) lines;       /* offsets of line starts; empty until needed */
} diag_file;

typedef struct diag_mark {
    dfm_loc loc;
    const char *text;
} diag_mark;

typedef struct diag_line {         /* a note or a help line */
    bool help;
    const char *text;
} diag_line;

struct diag {
    diag_ctx *cx;
    diag_severity severity;
    diag_code code;
    dfm_loc loc;
    const char *message;
    DFM_VEC(diag_mark) labels;
    DFM_VEC(diag_line) tail;
};

struct diag_ctx {
    dfm_arena *arena;
    DFM_VEC(diag_file) files;      /* [0] is "no file" */
    DFM_VEC(diag_span) spans;      /* [0] is "no place" */
    DFM_VEC(diag *) diags;
    uint32_t n_errors, n_warnings;
};

/* Line number, from 1, of a byte offset. */
uint32_t diag_line_at(const diag_ctx *cx, diag_src src, uint32_t offset);
/* Bytes [begin, end) of a line, without its line end. */
void diag_line_bounds(const diag_ctx *cx, diag_src src, uint32_t line, uint32_t *out_begin,
                      uint32_t *out_end);
/* Number of code points in n bytes. */
uint32_t diag_columns(const char *p, uint32_t n);

/* A span in lines and columns, both from 1; columns count code points, end_col is one behind. */
typedef struct diag_region { uint32_t line, col, end_line, end_col; } diag_region;

/* -- diag_print.c -- */
diag_region diag_region_of(const diag_ctx *cx, dfm_loc loc);
const char *diag_severity_name(const diag *d);              /* "error", "warning" */
/* s as a JSON string, quotes included; bytes that are no UTF-8 become U+FFFD. */
void diag_put_json(dfm_sb *sb, const char *s);
/* -- diag_sarif.c -- */
void diag_put_sarif(const diag_ctx *cx, dfm_sb *sb);

#endif

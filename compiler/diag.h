/* diag.h - source files, places in them, and the errors and warnings a user sees.
 *
 * A diag_ctx belongs to one run of the compiler. It keeps
 *   - the text of every source file (diag_add_file, diag_load_file),
 *   - the table of spans behind dfm_loc handles (diag_span, diag_merge, diag_get_span),
 *   - the diagnostics reported so far, in the order of the reports.
 * Phases report and go on; nothing is printed until main calls diag_print. After DIAG_MAX_ERRORS
 * errors further ones are counted but not kept, and diag_full() tells a phase to give up.
 *
 * A report has three parts: what is wrong (the message), where the reason is (labels), and what
 * to do (help):
 *
 *     diag *d = diag_error(cx, DIAG_E0304, loc, "dims `%s` and `%s` do not meet in `+`", p, q);
 *     diag_label(d, left, "bf16[B, S, D]");
 *     diag_label(d, right, "f32[B, S, F]");
 *     diag_note(d, "F = 8960, D = 1536 in variant \"1.3B\"");
 *     diag_help(d, "the second matrix of the MLP is missing: `linear(f, F -> D) as \"ffn.2\"`");
 *
 * The functions that add to a diag accept NULL (the report was dropped) and return their first
 * argument, so calls can be chained. Texts are copied. Messages speak the user's language, start
 * with a small letter, have no full stop, and put source text between backquotes.
 *
 * Codes are listed in diag.def with a title and the text of `dfmc explain`; a code is never used
 * again for something else.
 */
#ifndef DFM_COMPILER_DIAG_H
#define DFM_COMPILER_DIAG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "compiler/loc.h"
#include "runtime/base/arena.h"
#include "runtime/base/status.h"

typedef struct diag_ctx diag_ctx;
typedef struct diag diag;

enum {
    DIAG_MAX_ERRORS = 20,                     /* errors kept and printed per run */
    DIAG_MAX_FILE_BYTES = 16 * 1024 * 1024,   /* size of one source file */
};

typedef enum diag_code {
    DIAG_NONE,
#define DIAG(code, title, explanation) DIAG_##code,
#include "compiler/diag.def"
#undef DIAG
    DIAG_N_CODES
} diag_code;

typedef enum diag_severity { DIAG_SEV_NONE, DIAG_ERROR, DIAG_WARNING } diag_severity;
typedef enum diag_format { DIAG_TEXT, DIAG_SHORT, DIAG_JSON, DIAG_SARIF } diag_format;

/* A registered source file; {0} is "no file". */
typedef struct { uint32_t i; } diag_src;

/* A decoded place: bytes [begin, end) of a file. begin == end marks a point. */
typedef struct diag_span {
    diag_src src;
    uint32_t begin, end;
} diag_span;

/* -- diag.c: context and source files -------------------------------------------------------- */

/* An empty context that lives in (and as long as) the arena. */
diag_ctx *diag_create(dfm_arena *arena);

/* Register a file under the name shown in messages. Neither is copied: `path` and `text` (n
 * bytes, text[n] == 0, n <= DIAG_MAX_FILE_BYTES) must live as long as the context. Adding the
 * same path again makes a second, separate file. */
diag_src diag_add_file(diag_ctx *cx, const char *path, const char *text, uint32_t n);

/* Read a file into the context's arena and register it. Fails with DFM_BAD_DATA if it cannot be
 * read or is larger than DIAG_MAX_FILE_BYTES. */
dfm_status diag_load_file(diag_ctx *cx, const char *path, diag_src *out_src, dfm_err *err);

const char *diag_src_path(const diag_ctx *cx, diag_src src);    /* "" for no file */
const char *diag_src_text(const diag_ctx *cx, diag_src src, uint32_t *out_n);   /* n may be NULL */

/* -- diag.c: spans --------------------------------------------------------------------------- */

/* The handle of bytes [begin, end) of a file; offsets beyond its end are clamped to it. */
dfm_loc diag_span_make(diag_ctx *cx, diag_src src, uint32_t begin, uint32_t end);
/* The smallest span around both. If one is none, or the files differ, the other (first) one. */
dfm_loc diag_merge(diag_ctx *cx, dfm_loc a, dfm_loc b);
/* Decode; a zero span for none. */
diag_span diag_get_span(const diag_ctx *cx, dfm_loc loc);
/* Line and column of the first character, both from 1; columns count code points. Returns
 * false, and 0 and 0, for none. */
bool diag_line_col(const diag_ctx *cx, dfm_loc loc, uint32_t *out_line, uint32_t *out_col);
/* "wan.dfm:57:14" in the arena; "" for none. */
const char *diag_place(const diag_ctx *cx, dfm_arena *a, dfm_loc loc);
/* The source text of the span, copied to the arena; "" for none. */
const char *diag_source(const diag_ctx *cx, dfm_arena *a, dfm_loc loc);

static inline bool dfm_loc_some(dfm_loc l) { return l.i != 0; }

/* -- diag.c: reports ------------------------------------------------------------------------- */

/* Report an error or a warning. `loc` may be none (command line). Returns NULL when the report
 * is dropped: beyond DIAG_MAX_ERRORS, or equal in code, place and message to an earlier one. */
diag *diag_error(diag_ctx *cx, diag_code code, dfm_loc loc, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
diag *diag_warning(diag_ctx *cx, diag_code code, dfm_loc loc, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Text at a place. A label on exactly the report's own span becomes the text at its carets;
 * other places, in other files too, are underlined with dashes. */
diag *diag_label(diag *d, dfm_loc loc, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
diag *diag_note(diag *d, const char *format, ...) __attribute__((format(printf, 2, 3)));
diag *diag_help(diag *d, const char *format, ...) __attribute__((format(printf, 2, 3)));

uint32_t diag_n_errors(const diag_ctx *cx);       /* all that were reported, dropped ones too */
uint32_t diag_n_warnings(const diag_ctx *cx);
bool diag_full(const diag_ctx *cx);               /* DIAG_MAX_ERRORS reached: give up */

/* The number of reports kept, and a stable sort by file and offset of those from the n-th on
 * (a phase that does not report in source order calls this at its end). */
uint32_t diag_count(const diag_ctx *cx);
void diag_sort_from(diag_ctx *cx, uint32_t n);
diag_code diag_code_at(const diag_ctx *cx, uint32_t n);         /* of the n-th report kept */
const char *diag_message_at(const diag_ctx *cx, uint32_t n);

/* -- diag_print.c ---------------------------------------------------------------------------- */

/* Print all reports. DIAG_TEXT shows source lines and ends with the line that names
 * `dfmc explain`; DIAG_SHORT is one line each, "path:line:col: error[E0304]: message"; DIAG_JSON
 * is one JSON object per line, DIAG_SARIF one log in SARIF 2.1.0 (diag_sarif.c). `colour` is for
 * DIAG_TEXT (main passes isatty). */
void diag_print(const diag_ctx *cx, FILE *out, diag_format format, bool colour);

/* -- diag_print.c: the table of codes -------------------------------------------------------- */

const char *diag_code_name(diag_code code);       /* "E0304"; "" for DIAG_NONE */
const char *diag_code_title(diag_code code);
const char *diag_code_explanation(diag_code code);
diag_code diag_code_find(const char *name);       /* "E0304" or "e0304"; DIAG_NONE if unknown */

/* What `dfmc explain CODE` prints. */
void diag_explain(diag_code code, FILE *out);
/* All codes as one Markdown page: docs/errors.md is exactly this. */
void diag_write_markdown(FILE *out);

#endif

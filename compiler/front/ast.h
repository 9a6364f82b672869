/* ast.h - from source text to a tree: tokens, the syntax tree, its printers, the formatter.
 *
 *     text --flex, ast_lex.c--> tokens --bison--> tree of ast_node --> sema
 *                                  \--> fmt.c (dfmc fmt)
 *
 * One node struct serves all kinds. What each field holds for a kind is one line in
 * ast_kinds.def, which is the documentation of the tree; for example
 *
 *     q = f(x, D -> F) as proj     ASSIGN  a = LIST { TARGET text "q" }
 *                                          b = AS  a = CALL a = NAME "f"
 *                                                           kids = NAME "x", ARROW a, b
 *                                                  b = NAME "proj"
 *
 * The parser does no semantic work: names are not resolved, shape lists, index lists and
 * reduction lists are all lists of elems. A file with errors still gives a tree: what could not
 * be understood is an ERROR node or is left out, and at least one error has been reported.
 * Trees are at most AST_MAX_DEPTH deep, so recursion over them is safe.
 */
#ifndef DFM_COMPILER_FRONT_AST_H
#define DFM_COMPILER_FRONT_AST_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "compiler/diag.h"
#include "compiler/loc.h"
#include "runtime/base/arena.h"
#include "runtime/base/str.h"

enum {
    AST_MAX_DEPTH = 1000,          /* of the tree; E0203 beyond */
    AST_MAX_BRACKETS = 200,        /* of ( [ {; E0203 beyond */
    AST_MAX_NODES = 2000000,       /* per file, and as many tokens; E0204 beyond */
};

/* -- the tree -------------------------------------------------------------------------------- */

typedef enum ast_kind {
    AST_NONE,
#define AST_KIND(name, print, text, a, b, c, d, kids, form) AST_##name,
#include "compiler/front/ast_kinds.def"
#undef AST_KIND
    AST_N_KINDS
} ast_kind;

typedef enum ast_op {
    AST_OP_NONE,
    AST_OP_OR, AST_OP_AND, AST_OP_NOT,
    AST_OP_EQ, AST_OP_NE, AST_OP_LT, AST_OP_GT, AST_OP_LE, AST_OP_GE,
    AST_OP_ADD, AST_OP_SUB, AST_OP_MUL, AST_OP_DIV, AST_OP_MOD, AST_OP_FDIV,
    AST_OP_NEG, AST_OP_POW,
    AST_N_OPS
} ast_op;

typedef enum ast_unit { AST_UNIT_NONE, AST_UNIT_BYTES, AST_UNIT_SECONDS } ast_unit;

typedef struct ast_node ast_node;
struct ast_node {
    uint16_t kind;                 /* ast_kind */
    uint8_t op;                    /* ast_op of BINARY and UNARY */
    uint8_t unit;                  /* ast_unit of UNIT */
    uint32_t depth;                /* 1 for a leaf */
    dfm_loc loc;                   /* the whole construct */
    dfm_loc name_loc;              /* the token behind `text`, or the operator; else none */
    const char *text;              /* decoded, NUL-terminated; see ast_kinds.def */
    const char *doc;               /* items: the `##` lines above, joined by '\n'; or NULL */
    struct {
        int64_t i;                 /* INT, BOOL, UNIT when whole; 0 otherwise */
        double f;                  /* INT, FLOAT, UNIT */
    } num;
    ast_node *a, *b, *c, *d;
    ast_node **kids;
    uint32_t n_kids;
};

/* Name of a kind as printed, and the spelling of an operator ("+", "and"). */
const char *ast_kind_name(ast_kind kind);
const char *ast_op_text(ast_op op);

static inline bool ast_is(const ast_node *n, ast_kind kind) { return n && n->kind == kind; }
/* Kids of a LIST slot that may be NULL: for (i < ast_n(n->a)) ast_at(n->a, i). */
static inline uint32_t ast_n(const ast_node *list) { return list ? list->n_kids : 0; }
static inline ast_node *ast_at(const ast_node *list, uint32_t i) { return list->kids[i]; }

/* Slots of items by meaning (each is NULL for kinds that lack it). */
static inline ast_node *ast_formals(const ast_node *n)
{
    return n->kind == AST_LAYOUT ? NULL : n->a;
}
static inline ast_node *ast_results(const ast_node *n) { return n->b; }
static inline ast_node *ast_body(const ast_node *n) { return n->c; }
static inline ast_node *ast_for(const ast_node *n) { return n->kind == AST_OP ? NULL : n->d; }

/* -- tokens: ast_lex.c ----------------------------------------------------------------------- */

typedef enum ast_token_flags {
    AST_TOK_INSERTED = 1,          /* a `;` supplied at a line end or before `}` */
    AST_TOK_OWN_LINE = 2,          /* comment: nothing but blanks before it on its line */
    AST_TOK_FIRST = 4,             /* first token or comment on its line */
    AST_TOK_BLANK_BEFORE = 8,      /* FIRST, and the line above is blank */
    AST_TOK_FAULT = 16,            /* an error was reported here or just before */
} ast_token_flags;

typedef struct ast_token {
    uint16_t kind;                 /* token number of the grammar; 0 = end of file */
    uint16_t flags;
    uint32_t begin, end;           /* bytes of the file; equal for an inserted `;` */
    const char *text;              /* identifiers, numbers: spelling; strings: decoded; or NULL */
    int64_t i;                     /* value of numbers, as in ast_node */
    double f;
    uint8_t unit;
} ast_token;

typedef struct ast_comment {
    uint32_t begin, end;           /* from `#` to before the line end, trailing blanks left out */
    uint32_t before;               /* index of the token that follows it */
    uint16_t flags;
} ast_comment;

typedef struct ast_tokens {
    diag_src src;
    ast_token *t;
    uint32_t n;                    /* the last one is the end of file */
    ast_comment *comments;
    uint32_t n_comments;
    bool ok;                       /* no lexical error */
} ast_tokens;

/* All tokens of a file, with the automatic `;` in place. Reports E01xx. */
ast_tokens *ast_lex(dfm_arena *a, diag_ctx *cx, diag_src src);

/* One token per line, "line:col kind spelling"; comments and inserted `;` included. */
void ast_print_tokens(const ast_tokens *t, const diag_ctx *cx, FILE *out);

/* -- parsing: ast.c, grammar/dfm.y ----------------------------------------------------------- */

typedef struct ast_file {
    diag_src src;
    ast_node *root;                /* AST_FILE; never NULL */
    const ast_tokens *tokens;
    bool ok;                       /* no lexical or syntax error */
} ast_file;

/* Parse a registered file. Never NULL; everything lives in the arena. Reports E01xx and E02xx,
 * in source order. */
ast_file *ast_parse(dfm_arena *a, diag_ctx *cx, diag_src src);

/* -- ast_print.c ----------------------------------------------------------------------------- */

/* The tree as indented S-expressions, one node per line: (kind "text" slot: ...). With
 * `locs`, each node is followed by its line:col-line:col. */
void ast_print(const ast_node *n, const diag_ctx *cx, bool locs, FILE *out);

/* -- fmt.c ----------------------------------------------------------------------------------- */

/* The file in canonical form (dfmc fmt): 2 spaces, 100 columns, canonical blanks; comments and
 * single blank lines are kept. Returns false, after reporting, if the file has lexical or syntax
 * errors; the text is then not touched. Formatting twice gives the same text, and the result
 * always has the same tokens as the source. */
bool ast_format(dfm_arena *a, diag_ctx *cx, diag_src src, dfm_sb *out);

#endif

/* ast_parse.h - what the scanner, the parser and the ast_*.c files share; nobody else includes it.
 *
 * dfm.l calls the ast_scan_* functions, which append to the token array; dfm.y takes tokens from
 * that array through ast_next_token and builds nodes with ast_make. Both have no state of their
 * own.
 */
#ifndef DFM_COMPILER_FRONT_AST_PARSE_H
#define DFM_COMPILER_FRONT_AST_PARSE_H

#include "compiler/front/ast.h"

/* A span before it has a handle: bytes [begin, end). bison's YYLTYPE. */
typedef struct ast_range {
    uint32_t begin, end;
} ast_range;

/* -- scanning: ast_lex.c --------------------------------------------------------------------- */

typedef struct ast_bracket {
    char c;                        /* ( [ { */
    uint32_t at;
} ast_bracket;

typedef struct ast_lexer {
    dfm_arena *arena, *scratch;
    diag_ctx *cx;
    diag_src src;
    const char *text;
    uint32_t n, pos;
    DFM_VEC(ast_token) out;
    DFM_VEC(ast_comment) comments;
    uint32_t pending;              /* first comment whose `before` is not known yet */
    uint32_t lines, blanks;        /* line ends since the last token; since that or a comment */
    ast_bracket open[AST_MAX_BRACKETS];
    uint32_t n_open;
    int start;                     /* kind of the token that the statement begins with */
    bool fault;                    /* the next token is marked FAULT */
    bool stopped;                  /* too large or too deep: the rest is ignored */
    bool ok;
} ast_lexer;

void ast_scan_all(ast_lexer *l);                                         /* dfm.l */
void ast_scan_newline(ast_lexer *l, uint32_t at);
void ast_scan_comment(ast_lexer *l, uint32_t at, uint32_t n);
void ast_scan_name(ast_lexer *l, uint32_t at, uint32_t n);
void ast_scan_number(ast_lexer *l, int kind, uint32_t at, uint32_t n);   /* kind 0: malformed */
void ast_scan_string(ast_lexer *l, bool closed, uint32_t at, uint32_t n);
void ast_scan_word(ast_lexer *l, int kind, uint32_t at, uint32_t n);     /* a sign */
void ast_scan_bracket(ast_lexer *l, char c, uint32_t at);
void ast_scan_bad(ast_lexer *l, uint32_t at, uint32_t n);

enum { ITEM = 1, STMT = 2, BOTH = 3, GOES = 4, VALUE = 8 };    /* flags of keywords.def */

/* The flags of a keyword token, -1 for other tokens; its spelling (NULL for others). */
int ast_keyword_flags(int token);
const char *ast_keyword_text(int token);
/* A statement may end behind this token; a line that starts with it goes on with the one before
 * (`for` in a body only behind `keep`). */
bool ast_ends_statement(int token);
bool ast_goes_on(int token);

/* -- parsing: ast.c, ast_error.c, dfm.y ------------------------------------------------------ */

typedef struct ast_list {
    ast_node **p;
    uint32_t n, cap;
} ast_list;

typedef struct ast_parser {
    dfm_arena *arena;
    diag_ctx *cx;
    const ast_tokens *tokens;
    uint32_t next, look;           /* token to hand out next; the lookahead */
    bool recovering;               /* skip blocks until the statement's `;` */
    bool too_deep, too_many;       /* reported */
    bool failed;                   /* anything was reported */
    ast_node *version;             /* of `dfm 1`, if seen */
    ast_list items;
    ast_node *pool;                /* nodes are taken from here */
    uint32_t pool_left, n_nodes;
} ast_parser;

int ast_run_grammar(ast_parser *p);                                      /* dfm.y */

/* The next token; inside a recovery, blocks in braces are passed over. */
const ast_token *ast_next_token(ast_parser *p);
dfm_loc ast_span(ast_parser *p, ast_range r);
/* A node of this kind and span; the rest is copied from init, the depth is computed. Too deep
 * and too many nodes are reported once; the result is an ERROR node then. */
ast_node *ast_make(ast_parser *p, ast_kind kind, ast_range r, ast_node init);
ast_list *ast_list_new(ast_parser *p);
ast_list *ast_list_add(ast_parser *p, ast_list *l, ast_node *n);
ast_node *ast_list_node(ast_parser *p, ast_list *l, ast_range r);
void ast_set_version(ast_parser *p, ast_node *version);
ast_node *ast_join_path(ast_parser *p, ast_list *parts, ast_range r);

/* Report a syntax error at the lookahead. `expected` are bison's names of the tokens that could
 * stand there. */
void ast_syntax_error(ast_parser *p, const char *const *expected, uint32_t n);
/* Report E0203 once, at the lookahead. */
void ast_too_deep(ast_parser *p, ast_range r);
/* The recovery reached the end of the statement. False: so many errors that parsing stops. */
bool ast_recovered(ast_parser *p);

#endif

/* ir_lex.h - tokens of the IR's text form, and the parser's state. */
#ifndef DFM_COMPILER_IR_LEX_H
#define DFM_COMPILER_IR_LEX_H

#include "compiler/ir/ir_text.h"

typedef enum token_kind { T_END, T_IDENT, T_STRING, T_NUMBER, T_PUNCT } token_kind;

typedef struct ir_parser {
    dfm_arena *a;
    dfm_names *names;
    ir_module *m;
    dfm_err *err;
    bool bad;                                /* sticky: from then on every token is T_END */
    const char *p, *end, *line_start;
    uint32_t line;
    token_kind kind;                         /* the current token */
    const char *text;                        /* its bytes; of a string, those between the quotes */
    uint32_t n;
    const char *comment;                     /* behind the token before, in its line; or NULL */
    uint32_t comment_n;
    uint32_t depth;                          /* of nested expressions and types */
    struct ir_places *places;                /* of ops, as they were read; made with the first */
} ir_parser;

enum { IR_PARSE_DEPTH = 64 };

/* -- ir_lex.c -- */
void ir_lex_start(ir_parser *p, const char *text, size_t n);
void ir_lex_fail(ir_parser *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
void ir_lex_next(ir_parser *p);
bool ir_at(const ir_parser *p, const char *what);       /* identifier or punctuation */
bool ir_accept(ir_parser *p, const char *what);
void ir_expect(ir_parser *p, const char *what);
char *ir_take_string(ir_parser *p);          /* "..." with escapes undone; "" after an error */
dfm_name ir_take_name(ir_parser *p);
int64_t ir_take_int(ir_parser *p);
uint64_t ir_take_u64(ir_parser *p);
uint32_t ir_take_u32(ir_parser *p);
bool ir_take_flag(ir_parser *p);             /* 0 or 1 */
double ir_take_double(ir_parser *p);
/* Index in a table of names that NULL ends. */
int ir_take_enum(ir_parser *p, const char *const *table, const char *what);
/* "key=" of an attribute list; a comma before it unless it is the first. */
void ir_key(ir_parser *p, const char *key, bool first);

/* -- ir_parse_op.c -- */
ir_dim ir_take_dim(ir_parser *p);            /* {0} for "-" */
ir_type ir_take_type(ir_parser *p);
double *ir_take_numbers(ir_parser *p, bool first, uint64_t *out_n);    /* data=[..] or hex=".." */
/* One op line; appended to g. number: of the graph. */
void ir_parse_op(ir_parser *p, ir_graph *g, uint32_t number);

#endif

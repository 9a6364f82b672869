/* dfm.y - tokens to a syntax tree. No semantic work: names are not looked up, lists of elems are
 * shared by shapes, indices and reductions.
 *
 * The grammar is LALR(1) without conflicts; `make -Wcounterexamples` stays silent. Choices that
 * keep it so:
 *   - `repeat name[i: L] with x {}`, for `as` is a suffix of expressions already;
 *   - `as`, `init` and `tag` live in `suffixed`, above `postfix`, so that `init zeros (` cannot be
 *     read in two ways;
 *   - there are no expression statements: a statement that starts with a name assigns;
 *   - `{` never starts an expression, so `if cond {` is safe.
 *
 * Recovery: a syntax error skips to the `;` that ends the statement or item, passing over blocks
 * in braces (ast_next_token). The scanner guarantees matched brackets and a `;` before every `}`
 * and at the end of the file, so this always lands in the right list.
 */
%require "3.8"
%define api.pure full
%define api.prefix {dfm_yy}
%define api.token.prefix {TOK_}
%define api.location.type {ast_range}
%define parse.error custom
%define parse.lac full
%locations
%param { ast_parser *p }
%expect 0

%code requires {
#include "compiler/front/ast_parse.h"
}

%union {
    ast_node *node;
    ast_list *list;
    const ast_token *tok;
}

%code {
#define YYMAXDEPTH 20000
#define YYLLOC_DEFAULT(cur, rhs, n)                                                             \
    do {                                                                                        \
        (cur).begin = (n) ? YYRHSLOC(rhs, 1).begin : YYRHSLOC(rhs, 0).end;                      \
        (cur).end = (n) ? YYRHSLOC(rhs, n).end : YYRHSLOC(rhs, 0).end;                          \
    } while (0)

/* NODE(KIND, @$, .field = value, ...): a node. NAMED: its text and name_loc from a token. */
#define NODE(kind, loc, ...) ast_make(p, AST_##kind, (loc), (ast_node){__VA_ARGS__})
#define NAMED(tok, loc)      .text = (tok)->text, .name_loc = ast_span(p, (loc))
#define KIDS(list)           .kids = (list)->p, .n_kids = (list)->n
#define LIST(list, loc)      ast_list_node(p, (list), (loc))
#define ONE(x)               ast_list_add(p, ast_list_new(p), (x))
#define ADD(list, x)         ast_list_add(p, (list), (x))
#define BINARY(name, l, x, at, y)                                                               \
    NODE(BINARY, (l), .op = AST_OP_##name, .a = (x), .b = (y), .name_loc = ast_span(p, (at)))
#define RECOVERED                                                                               \
    do {                                                                                        \
        yyerrok;                                                                                \
        if (!ast_recovered(p)) YYABORT;                                                         \
    } while (0)

static int dfm_yylex(YYSTYPE *value, YYLTYPE *loc, ast_parser *p);
static void dfm_yyerror(YYLTYPE *loc, ast_parser *p, const char *text);
}

%token EOF 0 "the end of the file"
%token <tok> IDENT "a name" STRING "a string"
%token <tok> INT "a whole number" FLOAT "a number" UNIT "a size or time"
%token ELLIPSIS "..." ARROW "->"
%token EQ "==" NE "!=" LE "<=" GE ">=" DOTDOT ".." FDIV "//"
%token DFM "dfm" IMPORT "import" DIM "dim" CONST "const" REQUIRE "require" OP "op" BLOCK "block"
%token MODEL "model" VARIANT "variant"
%token <tok> TRAIN "train" SAMPLER "sampler" PRECISION "precision" WEIGHTS "weights" LAYOUT "layout"
%token PARAM "param" BUFFER "buffer" DATA "data" RETURN "return" REPEAT "repeat" IF "if"
%token MINIMIZE "minimize" USE "use" KEEP "keep" MAP "map" MESH "mesh" SHARD "shard"
%token PIPELINE "pipeline" RECOMPUTE "recompute" BUCKET "bucket"
%token AS "as" INIT "init" TAG "tag" VIA "via" SAVING "saving" WHERE "where" ELSE "else" ON "on"
%token IN "in" WITH "with" VJP "vjp" FOR "for" TO "to" OR "or" AND "and" NOT "not"
%token <tok> TRUE "true" FALSE "false"

%left OR
%left AND
%precedence NOT
%nonassoc EQ NE '<' '>' LE GE
%nonassoc DOTDOT
%left '+' '-'
%left '*' '/' '%' FDIV
%precedence UMINUS
%right '^'

%type <node> item dims consts require opt_vjp opt_where dimitem formal ftype type results elem
%type <node> stmt else_part scope target path attr spec call arg expr suffixed postfix primary
%type <node> opt_via prec mapr lay axis opt_in opt_keep name set
%type <list> dimlist formals formal_list elems elem_list stmts lhs exprs names dotted attrs args
%type <list> arg_list sets precs maps lays axes
%type <tok> set_name

%%

file: items ;

items:
    %empty
  | items item ';'          { ADD(&p->items, $2); }
  | items DFM INT ';'       { ast_set_version(p, NODE(INT, @3, NAMED($3, @3),
                                                      .num = {$3->i, $3->f})); }
  | items ';'
  | items error ';'         { RECOVERED; }
  ;

item:
    IMPORT STRING           { $$ = NODE(IMPORT, @$, NAMED($2, @2)); }
  | IMPORT STRING AS name   { $$ = NODE(IMPORT, @$, NAMED($2, @2), .a = $4); }
  | dims
  | consts
  | require
  | OP IDENT '(' formals ')' ARROW results '{' stmts '}' opt_vjp
                            { $$ = NODE(OP, @$, NAMED($2, @2), .a = LIST($4, @4), .b = $7,
                                        .c = LIST($9, @9), .d = $11); }
  | BLOCK IDENT '(' formals ')' ARROW results '{' stmts '}'
                            { $$ = NODE(BLOCK, @$, NAMED($2, @2), .a = LIST($4, @4), .b = $7,
                                        .c = LIST($9, @9)); }
  | MODEL IDENT '(' formals ')' ARROW results '{' stmts '}'
                            { $$ = NODE(MODEL, @$, NAMED($2, @2), .a = LIST($4, @4), .b = $7,
                                        .c = LIST($9, @9)); }
  | SAMPLER IDENT '(' formals ')' FOR name ARROW results '{' stmts '}'
                            { $$ = NODE(SAMPLER, @$, NAMED($2, @2), .a = LIST($4, @4), .b = $9,
                                        .c = LIST($11, @11), .d = $7); }
  | TRAIN IDENT FOR name '{' stmts '}'
                            { $$ = NODE(TRAIN, @$, NAMED($2, @2), .c = LIST($6, @6), .d = $4); }
  | VARIANT STRING FOR name '{' sets '}'
                            { $$ = NODE(VARIANT, @$, NAMED($2, @2), .c = LIST($6, @6), .d = $4); }
  | PRECISION IDENT FOR name '{' precs '}'
                            { $$ = NODE(PRECISION, @$, NAMED($2, @2), .c = LIST($6, @6),
                                        .d = $4); }
  | WEIGHTS IDENT FOR name '{' maps '}'
                            { $$ = NODE(WEIGHTS, @$, NAMED($2, @2), .c = LIST($6, @6), .d = $4); }
  | LAYOUT IDENT FOR name opt_where '{' lays '}'
                            { $$ = NODE(LAYOUT, @$, NAMED($2, @2), .a = $5, .c = LIST($7, @7),
                                        .d = $4); }
  ;

opt_vjp:
    %empty                  { $$ = NULL; }
  | VJP '(' names ')' '{' stmts '}'
                            { $$ = NODE(VJP, @$, .a = LIST($3, @3), .c = LIST($6, @6)); }
  ;

opt_where:
    %empty                  { $$ = NULL; }
  | WHERE expr              { $$ = $2; }
  ;

dims: DIM dimlist           { $$ = NODE(DIMS, @$, KIDS($2)); } ;

dimlist:
    dimitem                 { $$ = ONE($1); }
  | dimlist ',' dimitem     { $$ = ADD($1, $3); }
  ;

dimitem:
    IDENT                   { $$ = NODE(DIM_DEF, @$, NAMED($1, @1)); }
  | IDENT '=' expr          { $$ = NODE(DIM_DEF, @$, NAMED($1, @1), .a = $3); }
  ;

consts:
    CONST IDENT '=' expr    { $$ = NODE(CONST, @$, NAMED($2, @2), .b = $4); }
  | CONST IDENT ':' type '=' expr
                            { $$ = NODE(CONST, @$, NAMED($2, @2), .a = $4, .b = $6); }
  ;

require:
    REQUIRE expr            { $$ = NODE(REQUIRE, @$, .a = $2); }
  | REQUIRE expr ',' STRING { $$ = NODE(REQUIRE, @$, .a = $2,
                                        .b = NODE(STRING, @4, NAMED($4, @4))); }
  ;

/* ---- formals and types ---- */

formals:
    %empty                  { $$ = ast_list_new(p); }
  | formal_list
  ;

formal_list:
    formal                  { $$ = ONE($1); }
  | formal_list ',' formal  { $$ = ADD($1, $3); }
  ;

formal:
    IDENT ':' ftype         { $$ = NODE(FORMAL, @$, NAMED($1, @1), .a = $3); }
  | IDENT ':' ftype '=' expr
                            { $$ = NODE(FORMAL, @$, NAMED($1, @1), .a = $3, .b = $5); }
  ;

ftype:
    type
  | DIM                     { $$ = NODE(KIND_DIM, @$, .op = 0); }
  | CONST                   { $$ = NODE(KIND_CONST, @$, .op = 0); }
  | DIM ARROW DIM           { $$ = NODE(KIND_DIM_MAP, @$, .op = 0); }
  ;

type:
    IDENT                   { $$ = NODE(TYPE, @$, NAMED($1, @1)); }
  | '[' elems ']'           { $$ = NODE(TYPE, @$, .a = LIST($2, @2)); }
  | IDENT '[' elems ']'     { $$ = NODE(TYPE, @$, NAMED($1, @1), .a = LIST($3, @3)); }
  ;

results:
    type
  | '(' formal_list ')'     { $$ = NODE(RESULTS, @$, KIDS($2)); }
  ;

elems:
    %empty                  { $$ = ast_list_new(p); }
  | elem_list
  ;

elem_list:
    elem                    { $$ = ONE($1); }
  | elem_list ',' elem      { $$ = ADD($1, $3); }
  ;

elem:
    expr
  | IDENT ':' expr          { $$ = NODE(ELEM, @$, NAMED($1, @1), .a = $3); }
  | ELLIPSIS                { $$ = NODE(ELLIPSIS, @$, .op = 0); }
  ;

/* ---- statements ---- */

stmts:
    %empty                  { $$ = ast_list_new(p); }
  | stmts stmt ';'          { $$ = ADD($1, $2); }
  | stmts ';'
  | stmts error ';'         { $$ = ADD($1, NODE(ERROR, @2, .op = 0)); RECOVERED; }
  ;

stmt:
    dims
  | require
  | PARAM IDENT ':' type attrs
                            { $$ = NODE(PARAM, @$, NAMED($2, @2), .a = $4, .b = LIST($5, @5)); }
  | BUFFER IDENT ':' type '=' expr
                            { $$ = NODE(BUFFER, @$, NAMED($2, @2), .a = $4, .b = $6); }
  | DATA IDENT ':' type IN expr
                            { $$ = NODE(DATA, @$, NAMED($2, @2), .a = $4, .b = $6); }
  | lhs '=' exprs           { $$ = NODE(ASSIGN, @$, .a = LIST($1, @1),
                                        .b = $3->n == 1 ? $3->p[0] : NODE(TUPLE, @3, KIDS($3)),
                                        .name_loc = ast_span(p, @2)); }
  | RETURN exprs            { $$ = NODE(RETURN, @$, KIDS($2)); }
  | REPEAT IDENT '[' elem ']' WITH names '{' stmts '}'
                            { $$ = NODE(REPEAT, @$, NAMED($2, @2), .a = $4, .b = LIST($7, @7),
                                        .c = LIST($9, @9)); }
  | IF expr '{' stmts '}' else_part
                            { $$ = NODE(IF, @$, .a = $2, .c = LIST($4, @4), .d = $6); }
  | MINIMIZE expr           { $$ = NODE(MINIMIZE, @$, .a = $2); }
  | USE call                { $$ = NODE(USE, @$, .a = $2); }
  ;

else_part:
    %empty                  { $$ = NULL; }
  | ELSE '{' stmts '}'      { $$ = LIST($3, @3); }
  | ELSE IF expr '{' stmts '}' else_part
                            { $$ = LIST(ONE(NODE(IF, ((ast_range){@2.begin, @7.end}), .a = $3,
                                                 .c = LIST($5, @5), .d = $7)), @$); }
  ;

scope:
    name
  | STRING                  { $$ = NODE(STRING, @$, NAMED($1, @1)); }
  ;

lhs:
    target                  { $$ = ONE($1); }
  | lhs ',' target          { $$ = ADD($1, $3); }
  ;

target:
    IDENT                   { $$ = NODE(TARGET, @$, NAMED($1, @1)); }
  | IDENT '[' elems ']'     { $$ = NODE(TARGET, @$, NAMED($1, @1), .a = LIST($3, @3)); }
  ;

exprs:
    expr                    { $$ = ONE($1); }
  | exprs ',' expr          { $$ = ADD($1, $3); }
  ;

name: IDENT                 { $$ = NODE(NAME, @$, NAMED($1, @1)); } ;

names:
    path                    { $$ = ONE($1); }
  | names ',' path          { $$ = ADD($1, $3); }
  ;

path:
    dotted                  { $$ = ast_join_path(p, $1, @$); }
  | STRING                  { $$ = NODE(STRING, @$, NAMED($1, @1)); }
  ;

dotted:
    name                    { $$ = ONE($1); }
  | dotted '.' name         { $$ = ADD($1, $3); }
  ;

attrs:
    %empty                  { $$ = ast_list_new(p); }
  | attrs attr              { $$ = ADD($1, $2); }
  ;

attr:
    INIT spec               { $$ = NODE(ATTR_INIT, @$, .a = $2); }
  | AS scope                { $$ = NODE(ATTR_AS, @$, .a = $2); }
  | TAG name                { $$ = NODE(ATTR_TAG, @$, .a = $2); }
  ;

spec: name | call ;

call: name '(' args ')'     { $$ = NODE(CALL, @$, .a = $1, KIDS($3)); } ;

args:
    %empty                  { $$ = ast_list_new(p); }
  | arg_list
  ;

arg_list:
    arg                     { $$ = ONE($1); }
  | arg_list ',' arg        { $$ = ADD($1, $3); }
  ;

arg:
    expr
  | IDENT '=' expr          { $$ = NODE(ARG, @$, NAMED($1, @1), .a = $3); }
  | expr ARROW expr         { $$ = NODE(ARROW, @$, .a = $1, .b = $3,
                                        .name_loc = ast_span(p, @2)); }
  ;

/* ---- expressions ---- */

expr:
    expr OR expr            { $$ = BINARY(OR, @$, $1, @2, $3); }
  | expr AND expr           { $$ = BINARY(AND, @$, $1, @2, $3); }
  | NOT expr                { $$ = NODE(UNARY, @$, .op = AST_OP_NOT, .a = $2,
                                        .name_loc = ast_span(p, @1)); }
  | expr EQ expr            { $$ = BINARY(EQ, @$, $1, @2, $3); }
  | expr NE expr            { $$ = BINARY(NE, @$, $1, @2, $3); }
  | expr '<' expr           { $$ = BINARY(LT, @$, $1, @2, $3); }
  | expr '>' expr           { $$ = BINARY(GT, @$, $1, @2, $3); }
  | expr LE expr            { $$ = BINARY(LE, @$, $1, @2, $3); }
  | expr GE expr            { $$ = BINARY(GE, @$, $1, @2, $3); }
  | expr DOTDOT expr        { $$ = NODE(RANGE, @$, .a = $1, .b = $3,
                                        .name_loc = ast_span(p, @2)); }
  | expr '+' expr           { $$ = BINARY(ADD, @$, $1, @2, $3); }
  | expr '-' expr           { $$ = BINARY(SUB, @$, $1, @2, $3); }
  | expr '*' expr           { $$ = BINARY(MUL, @$, $1, @2, $3); }
  | expr '/' expr           { $$ = BINARY(DIV, @$, $1, @2, $3); }
  | expr '%' expr           { $$ = BINARY(MOD, @$, $1, @2, $3); }
  | expr FDIV expr          { $$ = BINARY(FDIV, @$, $1, @2, $3); }
  | '-' expr %prec UMINUS   { $$ = NODE(UNARY, @$, .op = AST_OP_NEG, .a = $2,
                                        .name_loc = ast_span(p, @1)); }
  | expr '^' expr           { $$ = BINARY(POW, @$, $1, @2, $3); }
  | suffixed
  ;

suffixed:
    postfix
  | suffixed AS scope       { $$ = NODE(AS, @$, .a = $1, .b = $3); }
  | suffixed INIT spec      { $$ = NODE(INIT, @$, .a = $1, .b = $3); }
  | suffixed TAG name       { $$ = NODE(TAG, @$, .a = $1, .b = $3); }
  ;

postfix:
    primary
  | postfix '(' args ')'    { $$ = NODE(CALL, @$, .a = $1, KIDS($3)); }
  | postfix '[' elems ']'   { $$ = NODE(INDEX, @$, .a = $1, KIDS($3)); }
  | postfix '.' IDENT       { $$ = NODE(FIELD, @$, NAMED($3, @3), .a = $1); }
  ;

primary:
    name
  | INT                     { $$ = NODE(INT, @$, NAMED($1, @1), .num = {$1->i, $1->f}); }
  | FLOAT                   { $$ = NODE(FLOAT, @$, NAMED($1, @1), .num = {$1->i, $1->f}); }
  | UNIT                    { $$ = NODE(UNIT, @$, NAMED($1, @1), .num = {$1->i, $1->f},
                                        .unit = $1->unit); }
  | TRUE                    { $$ = NODE(BOOL, @$, NAMED($1, @1), .num = {1, 1}); }
  | FALSE                   { $$ = NODE(BOOL, @$, NAMED($1, @1), .num = {0, 0}); }
  | STRING                  { $$ = NODE(STRING, @$, NAMED($1, @1)); }
  | '(' expr ')'            { $$ = $2; }
  | '(' expr ',' exprs ')'  { ast_list *l = ONE($2);
                              for (uint32_t i = 0; i < $4->n; i++) ADD(l, $4->p[i]);
                              $$ = NODE(TUPLE, @$, KIDS(l)); }
  | '[' elems ']'           { $$ = NODE(ARRAY, @$, KIDS($2)); }
  ;

/* ---- lines of sections ---- */

set_name: IDENT | TRAIN | SAMPLER | PRECISION | WEIGHTS | LAYOUT ;

set: set_name '=' expr      { $$ = NODE(SET, @$, NAMED($1, @1), .a = $3); } ;

sets:
    %empty                  { $$ = ast_list_new(p); }
  | sets set ';'            { $$ = ADD($1, $2); }
  | sets ';'
  | sets error ';'          { RECOVERED; }
  ;

precs:
    %empty                  { $$ = ast_list_new(p); }
  | precs prec ';'          { $$ = ADD($1, $2); }
  | precs ';'
  | precs error ';'         { RECOVERED; }
  ;

prec:
    IDENT '=' name          { $$ = NODE(SET, @$, NAMED($1, @1), .a = $3); }
  | KEEP IDENT FOR names    { $$ = NODE(KEEP, @$, NAMED($2, @2), .a = LIST($4, @4)); }
  ;

maps:
    %empty                  { $$ = ast_list_new(p); }
  | maps mapr ';'           { $$ = ADD($1, $2); }
  | maps ';'
  | maps error ';'          { RECOVERED; }
  ;

mapr:
    MAP STRING TO STRING opt_via
                            { $$ = NODE(MAP, @$, .a = NODE(STRING, @2, NAMED($2, @2)),
                                        .b = NODE(STRING, @4, NAMED($4, @4)), .c = $5); }
  | IDENT '=' expr          { $$ = NODE(SET, @$, NAMED($1, @1), .a = $3); }
  ;

opt_via:
    %empty                  { $$ = NULL; }
  | VIA spec                { $$ = $2; }
  ;

lays:
    %empty                  { $$ = ast_list_new(p); }
  | lays lay ';'            { $$ = ADD($1, $2); }
  | lays ';'
  | lays error ';'          { RECOVERED; }
  ;

lay:
    MESH axes               { $$ = NODE(MESH, @$, KIDS($2)); }
  | SHARD names ON names opt_via opt_in
                            { $$ = NODE(SHARD, @$, .a = LIST($2, @2), .b = LIST($4, @4), .c = $5,
                                        .d = $6); }
  | PIPELINE names ON name opt_via
                            { $$ = NODE(PIPELINE, @$, .a = LIST($2, @2), .b = $4, .c = $5); }
  | RECOMPUTE names opt_keep
                            { $$ = NODE(RECOMPUTE, @$, .a = LIST($2, @2), .b = $3); }
  | BUCKET names IN expr    { $$ = NODE(BUCKET, @$, .a = LIST($2, @2), .b = $4); }
  | USE call                { $$ = NODE(USE, @$, .a = $2); }
  | require
  ;

axes:
    axis                    { $$ = ONE($1); }
  | axes ',' axis           { $$ = ADD($1, $3); }
  ;

axis: IDENT '=' expr        { $$ = NODE(SET, @$, NAMED($1, @1), .a = $3); } ;

opt_in:
    %empty                  { $$ = NULL; }
  | IN names                { $$ = LIST($2, @2); }
  ;

opt_keep:
    %empty                  { $$ = NULL; }
  | SAVING names            { $$ = LIST($2, @2); }
  ;

%%

static int dfm_yylex(YYSTYPE *value, YYLTYPE *loc, ast_parser *p)
{
    const ast_token *t = ast_next_token(p);
    value->tok = t;
    *loc = (ast_range){t->begin, t->end};
    return t->kind;
}

/* Called for one reason only: the parser's stack is full. */
static void dfm_yyerror(YYLTYPE *loc, ast_parser *p, const char *text) { ast_too_deep(p, *loc); }

static int yyreport_syntax_error(const yypcontext_t *cx, ast_parser *p)
{
    yysymbol_kind_t kinds[YYNTOKENS];
    const char *names[YYNTOKENS];
    int n = yypcontext_expected_tokens(cx, kinds, YYNTOKENS);
    for (int i = 0; i < n; i++) names[i] = yysymbol_name(kinds[i]);
    ast_syntax_error(p, names, n < 0 ? 0 : (uint32_t)n);
    return 0;
}

int ast_run_grammar(ast_parser *p) { return yyparse(p); }

/* ir_parse_op.c - reading ops: types, index expressions, attributes.
 *
 * What is read is interned and appended as it stands, without folding, so that printing it again
 * gives the same text. Here only what later code relies on to be memory-safe is checked; types
 * and rules are ir_verify's.
 */
#include "compiler/ir/ir_lex.h"

#include <string.h>

static const ir_ix_node zero = {.kind = IX_CONST};

ir_dim ir_take_dim(ir_parser *p)
{
    ir_dim d = {0};
    if (ir_accept(p, "-")) return d;
    if (p->kind == T_STRING) {
        const char *s = ir_take_string(p);
        d = ir_dim_find(p->m, dfm_intern(p->names, s));
        if (!d.i) ir_lex_fail(p, "unknown dim '%s'", s);
    } else if (p->kind == T_IDENT) {
        d = ir_dim_find(p->m, dfm_intern_n(p->names, p->text, p->n));
        if (!d.i) ir_lex_fail(p, "unknown dim '%.*s'", (int)p->n, p->text);
        ir_lex_next(p);
    } else {
        ir_lex_fail(p, "expected the name of a dim");
    }
    return d;
}

static ir_dim some_dim(ir_parser *p)
{
    ir_dim d = ir_take_dim(p);
    if (!d.i) ir_lex_fail(p, "expected the name of a dim");
    return d;
}

/* "[A,B]" with at most IR_MAX_RANK dims, none twice. */
static uint32_t take_dims(ir_parser *p, ir_dim dims[IR_MAX_RANK])
{
    uint32_t n = 0;
    ir_expect(p, "[");
    while (!p->bad && !ir_at(p, "]")) {
        if (n) ir_expect(p, ",");
        if (n == IR_MAX_RANK) ir_lex_fail(p, "more than %d dims", IR_MAX_RANK);
        ir_dim d = some_dim(p);
        for (uint32_t i = 0; i < n; i++)
            if (dims[i].i == d.i) ir_lex_fail(p, "dim '%s' twice", ir_dim_str(p->m, d));
        if (!p->bad) dims[n++] = d;
    }
    ir_expect(p, "]");
    return n;
}

static ir_type tuple_type(ir_parser *p)
{
    DFM_VEC(ir_type) members = {0};
    ir_expect(p, "(");
    while (!p->bad && !ir_at(p, ")")) {
        if (members.n) ir_expect(p, ",");
        dfm_push(p->a, &members, ir_take_type(p));
    }
    ir_expect(p, ")");
    return ir_tuple(p->m, members.p, p->bad ? 0 : members.n);
}

ir_type ir_take_type(ir_parser *p)
{
    ir_type t = {0};
    if (++p->depth > IR_PARSE_DEPTH) ir_lex_fail(p, "nested too deeply");
    if (ir_at(p, "(")) {
        t = tuple_type(p);
    } else {
        char name[8] = {0};
        if (p->kind == T_IDENT && p->n < sizeof name) memcpy(name, p->text, p->n);
        dfm_dtype dt = dfm_dtype_of_name(name);
        if (!dt) ir_lex_fail(p, "expected a type");
        ir_lex_next(p);
        ir_dim dims[IR_MAX_RANK];
        uint32_t n = take_dims(p, dims);
        if (!p->bad) t = ir_tensor(p->m, dt, dims, n);
    }
    p->depth--;
    return t;
}

/* -- index expressions ----------------------------------------------------------------------- */

static ir_ix take_ix(ir_parser *p);

static ir_ix primary(ir_parser *p)
{
    ir_ix_node e = zero;
    if (ir_accept(p, "(")) {
        ir_ix x = take_ix(p);
        ir_expect(p, ")");
        return x;
    }
    if (p->kind == T_NUMBER) {
        e.c = ir_take_int(p);
        return ir_ix_raw(p->m, &e);
    }
    bool clamp = ir_at(p, "clamp") && p->p < p->end && *p->p == '(';
    if (clamp) {
        ir_lex_next(p);
        ir_expect(p, "(");
        e = (ir_ix_node){.kind = IX_CLAMP, .a = take_ix(p)};
        ir_expect(p, ",");
        e.c = ir_take_int(p);
        ir_expect(p, ",");
        e.c2 = ir_take_int(p);
        ir_expect(p, ")");
        if (e.c > e.c2) ir_lex_fail(p, "a clamp whose bounds are crossed");
    } else {
        e = (ir_ix_node){.kind = IX_VAR, .var = some_dim(p)};
    }
    return ir_ix_raw(p->m, p->bad ? &zero : &e);
}

static ir_ix term(ir_parser *p)
{
    ir_ix x = primary(p);
    uint32_t length = 0;
    for (;;) {
        ir_ix_node e = {.a = x};
        if (ir_accept(p, "*")) e.kind = IX_MUL;
        else if (ir_accept(p, "//")) e.kind = IX_DIV;
        else if (ir_accept(p, "%")) e.kind = IX_MOD;
        else return x;
        e.c = ir_take_int(p);
        if (e.kind != IX_MUL && e.c <= 0) ir_lex_fail(p, "a divisor that is not positive");
        if (++length > IR_PARSE_DEPTH) ir_lex_fail(p, "an expression that is too long");
        if (p->bad) return ir_ix_raw(p->m, &zero);
        x = ir_ix_raw(p->m, &e);
    }
}

static ir_ix take_ix(ir_parser *p)
{
    if (++p->depth > IR_PARSE_DEPTH) ir_lex_fail(p, "nested too deeply");
    ir_ix x = p->bad ? ir_ix_raw(p->m, &zero) : term(p);
    uint32_t length = 0;
    while (ir_accept(p, "+")) {
        ir_ix_node e = {.kind = IX_ADD, .a = x, .b = term(p)};
        if (++length > IR_PARSE_DEPTH) ir_lex_fail(p, "an expression that is too long");
        x = ir_ix_raw(p->m, p->bad ? &zero : &e);
    }
    p->depth--;
    return x;
}

/* -- attributes ------------------------------------------------------------------------------ */

static double *hex_numbers(ir_parser *p, uint64_t *out_n)
{
    if (p->kind != T_STRING || p->n % 16) {
        ir_lex_fail(p, "expected 16 hexadecimal digits per number");
        return NULL;
    }
    *out_n = p->n / 16;
    double *out = dfm_new_n(p->a, double, *out_n);
    for (uint32_t i = 0; i < p->n; i += 16) {
        uint64_t bits = 0;
        for (uint32_t k = 0; k < 16; k++) {
            char c = p->text[i + k];
            int d = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
            if (d < 0) {
                ir_lex_fail(p, "expected hexadecimal digits");
                return NULL;
            }
            bits = bits << 4 | (uint64_t)d;
        }
        memcpy(&out[i / 16], &bits, sizeof bits);
    }
    ir_lex_next(p);
    return out;
}

double *ir_take_numbers(ir_parser *p, bool first, uint64_t *out_n)
{
    DFM_VEC(double) v = {0};
    *out_n = 0;
    if (!first) ir_expect(p, ",");
    if (ir_accept(p, "hex")) {
        ir_expect(p, "=");
        return hex_numbers(p, out_n);
    }
    ir_expect(p, "data");
    ir_expect(p, "=");
    ir_expect(p, "[");
    while (!p->bad && !ir_at(p, "]")) {
        if (v.n) ir_expect(p, ",");
        dfm_push(p->a, &v, ir_take_double(p));
    }
    ir_expect(p, "]");
    *out_n = p->bad ? 0 : v.n;
    return v.p;
}

static void parse_view(ir_parser *p, const ir_graph *g, const ir_op *op, ir_view *out)
{
    const ir_type_info *src = ir_type_of(p->m, ir_type_at(g, op->args[0]));
    ir_ix *coords = dfm_new_n(p->a, ir_ix, IR_MAX_RANK);
    DFM_VEC(ir_cond) guard = {0};
    uint32_t n = 0;
    ir_key(p, "coords", true);
    ir_expect(p, "[");
    while (!p->bad && !ir_at(p, "]")) {
        if (n) ir_expect(p, ",");
        if (n == src->rank) ir_lex_fail(p, "more coordinates than the operand has dims");
        else coords[n++] = take_ix(p);
    }
    ir_expect(p, "]");
    if (n != src->rank) ir_lex_fail(p, "%u coordinates for %u dims", n, src->rank);
    out->coords = coords;
    if (p->bad || ir_at(p, "}")) return;
    ir_key(p, "guard", false);
    ir_expect(p, "[");
    while (!p->bad && !ir_at(p, "]")) {
        ir_cond c = {0};
        if (guard.n) ir_expect(p, ",");
        c.lo = ir_take_int(p);
        ir_expect(p, "<=");
        c.e = take_ix(p);
        ir_expect(p, "<=");
        c.hi = ir_take_int(p);
        if (guard.n == 256) ir_lex_fail(p, "more than 256 conditions");
        dfm_push(p->a, &guard, c);
    }
    ir_expect(p, "]");
    ir_key(p, "fill", false);
    out->fill = ir_take_double(p);
    out->guard = guard.p;
    out->n_conds = guard.n;
}

static void parse_random(ir_parser *p, ir_random *r)
{
    ir_key(p, "dist", true);
    r->dist = (ir_dist)ir_take_enum(p, ir_dist_names, "distribution");
    ir_key(p, "stream", false);
    r->stream = ir_take_u64(p);
    ir_key(p, "sample", false);
    r->sample = ir_take_dim(p);
    ir_key(p, "lo", false);
    r->lo = ir_take_int(p);
    ir_key(p, "hi", false);
    r->hi = ir_take_int(p);
    ir_key(p, "name", false);
    r->name = ir_take_name(p);
}

static void parse_reduce(ir_parser *p, ir_reduce *r)
{
    const char *names[IR_RED_COUNT + 1] = {0};
    for (int i = 0; i < IR_RED_COUNT; i++) names[i] = ir_reducer_name((ir_reducer)i);
    ir_dim *dims = dfm_new_n(p->a, ir_dim, IR_MAX_RANK);
    ir_key(p, "fn", true);
    r->kind = (ir_reducer)ir_take_enum(p, names, "reducer");
    ir_key(p, "dims", false);
    r->n_dims = take_dims(p, dims);
    r->dims = dims;
}

static void parse_pairs(ir_parser *p, ir_contract *c)
{
    ir_pair *pairs = dfm_new_n(p->a, ir_pair, IR_MAX_RANK);
    ir_key(p, "pairs", true);
    ir_expect(p, "[");
    while (!p->bad && !ir_at(p, "]")) {
        if (c->n_pairs) ir_expect(p, ",");
        ir_pair x = {.a = some_dim(p)};
        ir_expect(p, ":");
        x.b = some_dim(p);
        if (c->n_pairs == IR_MAX_RANK) ir_lex_fail(p, "more than %d pairs", IR_MAX_RANK);
        else pairs[c->n_pairs++] = x;
    }
    ir_expect(p, "]");
    c->pairs = pairs;
}

static void parse_attend(ir_parser *p, ir_attend *a)
{
    ir_key(p, "seq", true);
    a->seq = some_dim(p);
    ir_key(p, "over", false);
    a->over = some_dim(p);
    ir_key(p, "feature", false);
    a->feature = some_dim(p);
    ir_key(p, "value", false);
    a->value = some_dim(p);
    ir_key(p, "scale", false);
    a->scale = ir_take_double(p);
    ir_key(p, "causal", false);
    a->causal = ir_take_flag(p);
    ir_key(p, "window", false);
    a->window = ir_take_int(p);
}

/* A graph that was read before this one. */
static uint32_t take_body(ir_parser *p, uint32_t number, bool optional)
{
    uint32_t body = ir_take_u32(p);
    if (body >= number || (!body && !optional)) ir_lex_fail(p, "no graph %u above this one", body);
    return p->bad ? 0 : body;
}

static void parse_scan(ir_parser *p, ir_scan *s, uint32_t number)
{
    ir_key(p, "body", true);
    s->body = take_body(p, number, false);
    ir_key(p, "loop", false);
    s->loop = some_dim(p);
    ir_key(p, "carry", false);
    s->n_carry = ir_take_u32(p);
    ir_key(p, "xs", false);
    s->n_xs = ir_take_u32(p);
    ir_key(p, "caps", false);
    s->n_caps = ir_take_u32(p);
    ir_key(p, "ys", false);
    s->n_ys = ir_take_u32(p);
    ir_key(p, "reverse", false);
    s->reverse = ir_take_flag(p);
}

static void parse_attrs(ir_parser *p, const ir_graph *g, const ir_op *op, ir_attrs *at,
                        uint32_t number)
{
    switch (op->kind) {
    case IR_INPUT:
        ir_key(p, "role", true);
        at->input.role = (ir_role)ir_take_enum(p, ir_role_names, "role");
        ir_key(p, "index", false);
        at->input.index = ir_take_u32(p);
        ir_key(p, "name", false);
        at->input.name = ir_take_name(p);
        return;
    case IR_PARAM:
        ir_key(p, "index", true);
        at->param = ir_take_u32(p);
        if (at->param >= p->m->params.n) ir_lex_fail(p, "no parameter %u", at->param);
        return;
    case IR_CONST: at->cst.data = ir_take_numbers(p, true, &at->cst.n); return;
    case IR_RANDOM: parse_random(p, &at->random); return;
    case IR_VIEW: parse_view(p, g, op, &at->view); return;
    case IR_REDUCE: parse_reduce(p, &at->reduce); return;
    case IR_CONTRACT: parse_pairs(p, &at->contract); return;
    case IR_GATHER:
    case IR_SCATTER_ADD:
        ir_key(p, "dim", true);
        at->gather.dim = some_dim(p);
        return;
    case IR_ATTEND:
    case IR_ATTEND_BWD: parse_attend(p, &at->attend); return;
    case IR_SCAN: parse_scan(p, &at->scan, number); return;
    case IR_CALL:
        ir_key(p, "body", true);
        at->call.body = take_body(p, number, false);
        ir_key(p, "vjp", false);
        at->call.vjp = take_body(p, number, true);
        return;
    case IR_GET:
        ir_key(p, "member", true);
        at->member = ir_take_u32(p);
        return;
    default: return;
    }
}

/* -- op lines -------------------------------------------------------------------------------- */

static uint32_t take_args(ir_parser *p, const ir_graph *g, ir_val **out)
{
    DFM_VEC(ir_val) args = {0};
    while (ir_at(p, "%") || (args.n && ir_at(p, ","))) {
        if (args.n) ir_expect(p, ",");
        ir_expect(p, "%");
        ir_val v = {ir_take_u32(p)};
        if (!v.i || v.i >= g->ops.n) ir_lex_fail(p, "operand %%%u is not above its user", v.i);
        if (p->bad) return 0;
        dfm_push(p->a, &args, v);
    }
    *out = args.p;
    return args.n;
}

static ir_op_kind take_kind(ir_parser *p, ir_fn *out_fn)
{
    char name[32] = {0};
    if (p->kind == T_IDENT && p->n < sizeof name) memcpy(name, p->text, p->n);
    *out_fn = ir_fn_find(name);
    ir_op_kind kind = *out_fn ? IR_MAP : IR_NONE;
    for (int k = 1; k < IR_OP_COUNT && !kind; k++)
        if (k != IR_MAP && !strcmp(ir_op_name((ir_op_kind)k), name)) kind = (ir_op_kind)k;
    if (!kind) ir_lex_fail(p, "unknown op '%.*s'", p->n > 40 ? 40 : (int)p->n, p->text);
    ir_lex_next(p);
    return kind;
}

/* -- places ------------------------------------------------------------------------------------ */

struct ir_places { DFM_VEC(const char *) text; };        /* loc.i counts them from 1 */

static void known_place(const void *user, dfm_loc loc, dfm_sb *out)
{
    const struct ir_places *places = user;
    if (loc.i && loc.i <= places->text.n) dfm_sb_puts(out, places->text.p[loc.i - 1]);
}

/* The length of ":41" at the end of s[0..n), or 0. */
static uint32_t number_at_end(const char *s, uint32_t n)
{
    uint32_t k = 0;
    while (k < n && s[n - 1 - k] >= '0' && s[n - 1 - k] <= '9') k++;
    return k && k < n && s[n - 1 - k] == ':' ? k + 1 : 0;
}

/* The comment behind the op, if it is a place; else none. */
static dfm_loc take_place(ir_parser *p)
{
    const char *s = p->comment;
    uint32_t n = s ? p->comment_n : 0;
    for (; n && *s == ' '; n--) s++;
    while (n && (s[n - 1] == ' ' || s[n - 1] == '\r')) n--;
    uint32_t column = n ? number_at_end(s, n) : 0;
    uint32_t line = column ? number_at_end(s, n - column) : 0;
    if (!line || memchr(s, 0, n)) return (dfm_loc){0};
    if (!p->places) {
        p->places = dfm_new(p->a, struct ir_places);
        p->m->place_of = known_place;
        p->m->place_user = p->places;
    }
    dfm_push(p->a, &p->places->text, dfm_strndup(p->a, s, n));
    return (dfm_loc){p->places->text.n};
}

void ir_parse_op(ir_parser *p, ir_graph *g, uint32_t number)
{
    ir_attrs *at = dfm_new(p->a, ir_attrs);
    ir_op op = {.at = at};
    ir_val *args = NULL;
    ir_fn fn;
    ir_expect(p, "%");
    if (ir_take_u32(p) != g->ops.n) ir_lex_fail(p, "expected value %%%u", g->ops.n);
    ir_expect(p, "=");
    op.kind = take_kind(p, &fn);
    op.n_args = take_args(p, g, &args);
    op.args = args;
    const ir_op_desc *d = ir_describe(op.kind);
    uint32_t lo = fn ? ir_fn_arity(fn) : d->min_args, hi = fn ? lo : d->max_args;
    if (op.n_args < lo || op.n_args > hi) ir_lex_fail(p, "%u operands", op.n_args);
    if (fn) at->fn = fn;
    if (!p->bad && ir_accept(p, "{")) {
        parse_attrs(p, g, &op, at, number);
        ir_expect(p, "}");
    } else if (op.kind != IR_MAP && op.kind != IR_IOTA && op.kind != IR_CAST
               && op.kind != IR_STOP_GRAD) {
        ir_lex_fail(p, "attributes are missing");
    }
    ir_expect(p, ":");
    op.type = ir_take_type(p);
    if (p->kind == T_STRING) op.name = ir_take_name(p);
    for (int k = IR_KEEP_SAVED; k < IR_KEEP_COUNT && !op.keep; k++)
        if (ir_accept(p, ir_keep_names[k])) op.keep = (ir_keep)k;
    op.loc = take_place(p);
    if (!p->bad) ir_append(p->m, g, &op);
}

/* kir_parse.c - reads the text of kir_print. Anything else gives DFM_BAD_DATA with a line number.
 *
 * The text may be hostile: depths, ranks and counts are bounded here, and kir_verify checks what
 * was read before anybody uses it.
 */
#include "compiler/kir/kir.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum { MAX_DEPTH = 60, MAX_TOKEN = 4096 };

typedef enum tok_kind { T_END, T_WORD, T_QUOTED, T_NUM, T_REF, T_PUNCT } tok_kind;

typedef struct parser {
    dfm_arena *a;
    const char *s, *end;
    uint32_t line, depth;
    dfm_err *err;
    bool bad;
    tok_kind kind;
    char punct;                              /* PUNCT; "//" is 'D' */
    const char *text;                        /* WORD, QUOTED, NUM, REF: NUL-terminated copy */
    kir_module *m;
} parser;

/* -- tokens ------------------------------------------------------------------------------------ */

static void fail(parser *p, const char *what)
{
    if (!p->bad) dfm_fail(p->err, DFM_BAD_DATA, "kernel IR, line %" PRIu32 ": %s", p->line, what);
    p->bad = true;
    p->kind = T_END;
    p->text = "";
}

static bool word_char(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '.' || c == '\'';
}

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void quoted(parser *p)
{
    char *o = dfm_alloc(p->a, MAX_TOKEN + 1);
    size_t n = 0;
    for (p->s++; p->s < p->end && *p->s != '"'; p->s++) {
        char c = *p->s;
        if (c == '\\') {
            if (p->end - p->s < 3 || hex(p->s[1]) < 0 || hex(p->s[2]) < 0) {
                fail(p, "bad escape in a name");
                return;
            }
            c = (char)(hex(p->s[1]) * 16 + hex(p->s[2]));
            p->s += 2;
        }
        if (n == MAX_TOKEN || !c || *p->s == '\n') {
            fail(p, "bad name");
            return;
        }
        o[n++] = c;
    }
    if (p->s == p->end) {
        fail(p, "a name without closing quote");
        return;
    }
    p->s++;
    p->kind = T_QUOTED;
    p->text = o;
}

static void take(parser *p, tok_kind kind, const char *from)
{
    if (p->s - from > MAX_TOKEN) {
        fail(p, "a word is too long");
        return;
    }
    p->kind = kind;
    p->text = dfm_strndup(p->a, from, (size_t)(p->s - from));
}

static void next(parser *p)
{
    if (p->bad) return;
    for (; p->s < p->end && isspace((unsigned char)*p->s); p->s++)
        if (*p->s == '\n') p->line++;
    p->text = "";
    if (p->s == p->end) {
        p->kind = T_END;
        return;
    }
    const char *from = p->s;
    char c = *p->s, d = p->s + 1 < p->end ? p->s[1] : 0;
    if (c == '"') {
        quoted(p);
    } else if (isdigit((unsigned char)c) || (c == '-' && (isdigit((unsigned char)d) || d == 'i'))) {
        for (p->s++; p->s < p->end && (isalnum((unsigned char)*p->s) || *p->s == '.' ||
                                       ((*p->s == '-' || *p->s == '+') && p->s[-1] == 'e'));
             p->s++) {
        }
        take(p, T_NUM, from);
    } else if (c == '%' && isdigit((unsigned char)d)) {
        for (p->s++, from++; p->s < p->end && isdigit((unsigned char)*p->s); p->s++) {}
        take(p, T_REF, from);
    } else if (word_char(c)) {
        for (; p->s < p->end && word_char(*p->s); p->s++) {}
        take(p, T_WORD, from);
    } else {
        p->kind = T_PUNCT;
        p->punct = c == '/' && d == '/' ? 'D' : c;
        p->s += c == '/' && d == '/' ? 2 : 1;
    }
}

static bool at_word(const parser *p, const char *w)
{
    return p->kind == T_WORD && !strcmp(p->text, w);
}
static bool at_punct(const parser *p, char c) { return p->kind == T_PUNCT && p->punct == c; }

static bool accept_word(parser *p, const char *w)
{
    if (!at_word(p, w)) return false;
    next(p);
    return true;
}

static bool accept(parser *p, char c)
{
    if (!at_punct(p, c)) return false;
    next(p);
    return true;
}

static void expect_word(parser *p, const char *w)
{
    if (!accept_word(p, w)) fail(p, dfm_fmt(p->a, "expected '%s'", w));
}

static void expect(parser *p, char c)
{
    if (!accept(p, c)) fail(p, dfm_fmt(p->a, "expected '%c'", c));
}

static dfm_name name(parser *p)
{
    dfm_name n = {0};
    if (p->kind == T_WORD || p->kind == T_QUOTED) n = dfm_intern(p->m->ir->names, p->text);
    else fail(p, "expected a name");
    next(p);
    return n;
}

static int64_t i64(parser *p)
{
    char *end = NULL;
    errno = 0;
    int64_t x = p->kind == T_NUM ? strtoll(p->text, &end, 10) : 0;
    if (!end || *end || errno) fail(p, "expected a whole number");
    next(p);
    return x;
}

static uint64_t u64(parser *p)
{
    char *end = NULL;
    errno = 0;
    uint64_t x = p->kind == T_NUM && p->text[0] != '-' ? strtoull(p->text, &end, 10) : 0;
    if (!end || *end || errno) fail(p, "expected a whole number >= 0");
    next(p);
    return x;
}

static uint32_t u32(parser *p)
{
    uint64_t x = u64(p);
    if (x > UINT32_MAX) fail(p, "the number is too large");
    return (uint32_t)x;
}

static double number(parser *p)
{
    char *end = NULL;
    double x = 0;
    if (p->kind == T_NUM || at_word(p, "inf") || at_word(p, "nan")) x = strtod(p->text, &end);
    if (!end || *end) fail(p, "expected a number");
    next(p);
    return x;
}

static void i64s(parser *p, const char *what, int64_t *out, uint32_t n)
{
    expect_word(p, what);
    for (uint32_t i = 0; i < n; i++) out[i] = i64(p);
}

/* One of the words of a list; 0 (with an error) if it is none. words[0] is not allowed. */
static uint32_t one_of(parser *p, const char *const *words, uint32_t n, const char *what)
{
    for (uint32_t i = 1; i < n; i++) {
        if (!at_word(p, words[i])) continue;
        next(p);
        return i;
    }
    fail(p, dfm_fmt(p->a, "expected %s", what));
    return 0;
}

/* -- dims, expressions, types ------------------------------------------------------------------ */

static ir_dim dim(parser *p)
{
    ir_dim d = ir_dim_find(p->m->ir, name(p));
    if (!d.i && !p->bad) fail(p, "no such dim");
    return d.i ? d : (ir_dim){1};
}

static uint32_t dims(parser *p, ir_dim *out)
{
    uint32_t n = 0;
    while ((p->kind == T_WORD && !at_word(p, "keep") && !at_word(p, "arg")) ||
           p->kind == T_QUOTED) {
        if (n == KIR_MAX_RANK) {
            fail(p, "too many dims");
            return 0;
        }
        out[n++] = dim(p);
        if (p->bad) return 0;
    }
    return n;
}

static ir_ix ix(parser *p);

static int64_t divisor(parser *p)
{
    int64_t c = i64(p);
    if (c <= 0) fail(p, "a divisor must be positive");
    return c > 0 ? c : 1;
}

static ir_ix ix_atom(parser *p)
{
    ir_module *m = p->m->ir;
    ir_ix x = ir_ix_const(m, 0);
    if (++p->depth > MAX_DEPTH) fail(p, "an expression is nested too deeply");
    if (p->bad) return x;
    if (p->kind == T_NUM) {
        x = ir_ix_const(m, i64(p));
    } else if (accept_word(p, "clamp")) {
        expect(p, '(');
        x = ix(p);
        expect(p, ',');
        int64_t lo = i64(p);
        expect(p, ',');
        int64_t hi = i64(p);
        x = ir_ix_clamp(m, x, lo, hi);
        expect(p, ')');
    } else if (accept(p, '(')) {
        x = ix(p);
        if (accept(p, '*')) x = ir_ix_mul(m, x, i64(p));
        else if (accept(p, 'D')) x = ir_ix_div(m, x, divisor(p));
        else if (accept(p, '%')) x = ir_ix_mod(m, x, divisor(p));
        expect(p, ')');
    } else {
        ir_dim d = dim(p);
        if (!p->bad) x = ir_ix_var(m, d);
    }
    p->depth--;
    return x;
}

static ir_ix ix(parser *p)
{
    ir_ix x = ix_atom(p);
    while (!p->bad && accept(p, '+')) x = ir_ix_add(p->m->ir, x, ix_atom(p));
    return x;
}

static dfm_dtype dtype(parser *p)
{
    dfm_dtype d = p->kind == T_WORD ? dfm_dtype_of_name(p->text) : DFM_DT_NONE;
    if (d == DFM_DT_NONE) fail(p, "expected an element type");
    next(p);
    return d;
}

static ir_type type(parser *p)
{
    ir_dim d[KIR_MAX_RANK];
    uint32_t n = 0;
    dfm_dtype dt = dtype(p);
    expect(p, '[');
    while (!p->bad && !at_punct(p, ']')) {
        if (n == KIR_MAX_RANK) fail(p, "too many dims");
        else d[n++] = dim(p);
        for (uint32_t k = 0; k + 1 < n; k++)
            if (ir_dim_same(d[k], d[n - 1])) fail(p, "a type holds a dim twice");
        if (!at_punct(p, ']')) expect(p, ',');
    }
    expect(p, ']');
    return p->bad ? (ir_type){0} : ir_tensor(p->m->ir, dt, d, n);
}

static kir_arg arg(parser *p)
{
    kir_arg a = {0};
    if (accept_word(p, "none")) return a;
    a.write = accept_word(p, "out");
    dfm_name n = name(p);
    for (uint32_t i = 1; i < p->m->bufs.n; i++)
        if (dfm_name_eq(p->m->bufs.p[i].name, n)) a.buf.i = i;
    if (!a.buf.i) fail(p, "no such buffer");
    a.dtype = dtype(p);
    expect(p, '[');
    while (!p->bad && !at_punct(p, ']')) {
        if (a.rank == KIR_MAX_RANK) {
            fail(p, "too many dims");
            break;
        }
        a.dims[a.rank] = dim(p);
        a.stride[a.rank++] = i64(p);
        if (!at_punct(p, ']')) expect(p, ',');
    }
    expect(p, ']');
    expect(p, '+');
    a.offset = i64(p);
    i64s(p, "loop", a.loop_stride, KIR_MAX_LOOPS);
    return a;
}

static kir_arg labelled(parser *p, const char *label)
{
    expect_word(p, label);
    return arg(p);
}

/* -- kernels ----------------------------------------------------------------------------------- */

static kir_op op(parser *p)
{
    for (int k = 1; k < KIR_OP_COUNT; k++)
        if (at_word(p, kir_op_name((kir_op)k))) return next(p), (kir_op)k;
    fail(p, "no such instruction");
    return KIR_NONE;
}

static void address(parser *p, const kir_kernel *k, kir_inst *i)
{
    i->arg = u32(p);
    if (i->arg >= k->args.n) {
        fail(p, "no such operand");
        return;
    }
    uint32_t rank = k->args.p[i->arg].rank;
    ir_ix *c = dfm_new_n(p->a, ir_ix, rank ? rank : 1);
    expect(p, '(');
    for (uint32_t r = 0; r < rank && !p->bad; r++) {
        if (r) expect(p, ',');
        c[r] = ix(p);
    }
    expect(p, ')');
    i->coords = c;
    if (!accept_word(p, "if")) return;
    DFM_VEC(ir_cond) conds = {0};
    expect(p, '(');
    do {
        ir_cond cond = {.e = ix(p)};
        expect(p, ':');
        cond.lo = i64(p);
        cond.hi = i64(p);
        dfm_push(p->a, &conds, cond);
    } while (!p->bad && accept(p, ','));
    expect(p, ')');
    i->guard = conds.p;
    i->n_conds = conds.n;
}

static void draw(parser *p, kir_inst *i)
{
    static const char *const dists[] = {"", "uniform", "normal", "randint"};
    ir_random *r = dfm_new(p->a, ir_random);
    r->dist = (ir_dist)one_of(p, dists, DFM_LEN(dists), "a distribution");
    r->stream = u64(p);
    r->lo = i64(p);
    r->hi = i64(p);
    expect_word(p, "iters");
    i->n_iters = u32(p);
    i->random = r;
    if (!accept_word(p, "loop")) return;
    if (p->kind != T_REF) fail(p, "expected an instruction");
    else i->ref[2].i = (uint32_t)strtoul(p->text, NULL, 10);
    next(p);
}

static void inst(parser *p, kir_kernel *k)
{
    kir_inst i = {0};
    uint32_t at = k->insts.n ? k->insts.n : 1;
    if (p->kind != T_REF || strtoull(p->text, NULL, 10) != at)
        fail(p, "expected the next instruction");
    next(p);
    expect(p, '=');
    i.op = op(p);
    i.dtype = dtype(p);
    for (uint32_t r = 0; r < kir_op_refs(i.op) && p->kind == T_REF; r++) {
        i.ref[r].i = (uint32_t)strtoul(p->text, NULL, 10);
        next(p);
    }
    switch (i.op) {
    case KIR_CONST: i.value = number(p); break;
    case KIR_INDEX:
        expect(p, '(');
        i.ix = ix(p);
        expect(p, ')');
        break;
    case KIR_ITER: i.arg = u32(p); break;
    case KIR_LOAD:
        address(p, k, &i);
        expect_word(p, "fill");
        i.value = number(p);
        break;
    case KIR_STORE: address(p, k, &i); break;
    case KIR_FN:
        i.fn = p->kind == T_WORD ? ir_fn_find(p->text) : IR_FN_NONE;
        if (!i.fn) fail(p, "no such function");
        next(p);
        break;
    case KIR_REDUCE:
        for (int r = 1; r < IR_RED_COUNT; r++)
            if (at_word(p, ir_reducer_name((ir_reducer)r))) i.red = (ir_reducer)r;
        if (!i.red) fail(p, "no such reducer");
        next(p);
        break;
    case KIR_RANDOM: draw(p, &i); break;
    default: break;
    }
    if (accept(p, ':')) i.name = name(p);
    i.keep = accept_word(p, "keep");
    if (!p->bad) kir_push(p->m, k, i);
}

static void sections(parser *p, kir_kernel *k)
{
    static const char *const kinds[] = {"", "pass", "row", "flush"};
    while (!p->bad && !at_punct(p, '}')) {
        kir_section s = {.kind = (kir_section_kind)one_of(p, kinds, DFM_LEN(kinds), "a section")};
        expect(p, '{');
        s.first = k->insts.n ? k->insts.n : 1;
        while (!p->bad && !at_punct(p, '}')) inst(p, k);
        expect(p, '}');
        s.n = (k->insts.n ? k->insts.n : 1) - s.first;
        if (!p->bad) dfm_push(p->a, &k->sections, s);
    }
}

static kir_kernel *kernel(parser *p, dfm_name n)
{
    kir_kernel *k = dfm_new(p->a, kir_kernel);
    k->name = n;
    expect(p, '{');
    expect_word(p, "rows");
    k->n_rows = dims(p, k->rows);
    expect_word(p, "keep");
    k->n_keep = u32(p);
    expect_word(p, "block");
    k->block = i64(p);
    if (!at_word(p, "lanes")) k->block_dim = dim(p);
    expect_word(p, "lanes");
    while (!p->bad && (p->kind == T_QUOTED || p->kind == T_WORD) && !at_word(p, "arg") &&
           !at_word(p, "indirect") && !at_word(p, "pass") && !at_word(p, "row") &&
           !at_word(p, "flush")) {
        if (k->n_lanes == KIR_MAX_RANK) fail(p, "too many dims");
        else k->lanes[k->n_lanes++] = dim(p);
    }
    while (!p->bad && accept_word(p, "arg")) {
        kir_arg a = arg(p);
        dfm_push(p->a, &k->args, a);
    }
    while (!p->bad && accept_word(p, "indirect")) {
        kir_indirect x = {.dim = dim(p)};
        x.value.i = p->kind == T_REF ? (uint32_t)strtoul(p->text, NULL, 10) : 0;
        next(p);
        dfm_push(p->a, &k->indirect, x);
    }
    while (!p->bad && p->kind == T_REF) inst(p, k);
    sections(p, k);
    expect(p, '}');
    return k;
}

/* -- nodes ------------------------------------------------------------------------------------- */

static void gemm(parser *p, kir_gemm *g)
{
    int64_t size[5];
    i64s(p, "size", size, 5);
    memcpy(g->batch, size, sizeof g->batch);
    g->m = size[2];
    g->n = size[3];
    g->k = size[4];
    g->a = labelled(p, "a");
    i64s(p, "by", g->sa, 4);
    g->b = labelled(p, "b");
    i64s(p, "by", g->sb, 4);
    g->c = labelled(p, "c");
    i64s(p, "by", g->sc, 4);
    g->bias = labelled(p, "bias");
    g->scratch = labelled(p, "scratch");
}

static void attn(parser *p, kir_attn *t)
{
    static const char *const label[] = {"q", "k", "v", "o", "lse", "mask", "do", "dq", "dk", "dv"};
    kir_arg *const a[] = {&t->q, &t->k, &t->v, &t->o, &t->lse, &t->mask, &t->d_o, &t->dq,
                          &t->dk, &t->dv};
    int64_t *const s[] = {t->sq, t->sk, t->sv, t->so, t->slse, t->smask, t->sd_o, t->sdq,
                          t->sdk, t->sdv};
    int64_t size[4];
    t->backward = accept_word(p, "backward");
    if (!t->backward) expect_word(p, "forward");
    t->causal = accept_word(p, "causal");
    if (!t->causal) expect_word(p, "full");
    expect_word(p, "scale");
    t->scale = number(p);
    i64s(p, "window", &t->window, 1);
    i64s(p, "batch", t->batch, KIR_ATTN_BATCH);
    i64s(p, "size", size, 4);
    t->seq = size[0];
    t->over = size[1];
    t->feature = size[2];
    t->value = size[3];
    for (uint32_t i = 0; i < DFM_LEN(a); i++) {
        *a[i] = labelled(p, label[i]);
        i64s(p, "by", s[i], a[i] == &t->mask ? 6 : 5);
    }
    t->scratch = labelled(p, "scratch");
}

static void nodes(parser *p, kir_nodes *out);

static void node(parser *p, kir_nodes *out)
{
    static const char *const kinds[] = {"", "kernel", "gemm", "attn", "scatter", "copy", "loop"};
    kir_node *n = dfm_new(p->a, kir_node);
    n->kind = (kir_node_kind)one_of(p, kinds, DFM_LEN(kinds), "a node");
    n->name = name(p);
    if (accept_word(p, "replaces")) n->replaces = name(p);
    switch (n->kind) {
    case KIR_NODE_KERNEL: n->kernel = kernel(p, n->name); break;
    case KIR_NODE_GEMM:
        gemm(p, &n->gemm);
        if (accept_word(p, "then")) {
            dfm_name then = name(p);
            n->gemm.epi = kernel(p, then);
        }
        break;
    case KIR_NODE_ATTN: attn(p, &n->attn); break;
    case KIR_NODE_SCATTER:
        n->scatter.dim = dim(p);
        n->scatter.index = labelled(p, "index");
        n->scatter.updates = labelled(p, "updates");
        n->scatter.out = labelled(p, "to");
        break;
    case KIR_NODE_COPY:
        n->copy.elems = i64(p);
        n->copy.src = labelled(p, "from");
        n->copy.dst = labelled(p, "to");
        break;
    case KIR_NODE_LOOP:
        n->loop.dim = dim(p);
        expect_word(p, "depth");
        n->loop.depth = u32(p);
        n->loop.reverse = accept_word(p, "reverse");
        expect(p, '{');
        if (++p->depth > MAX_DEPTH) fail(p, "loops are nested too deeply");
        nodes(p, &n->loop.body);
        p->depth--;
        expect(p, '}');
        break;
    case KIR_NODE_NONE: break;
    }
    if (!p->bad) dfm_push(p->a, out, n);
}

static void nodes(parser *p, kir_nodes *out)
{
    while (!p->bad && !at_punct(p, '}')) node(p, out);
}

static kir_io io(parser *p)
{
    kir_io x = {.name = name(p)};
    expect(p, ':');
    x.type = type(p);
    expect(p, '=');
    x.arg = arg(p);
    return x;
}

/* -- modules ----------------------------------------------------------------------------------- */

static void buffer(parser *p)
{
    static const char *const mems[] = {"", "temp", "input", "output", "state", "const"};
    kir_buffer b = {.name = name(p)};
    if (!p->bad && !kir_take_name(p->m, &p->m->buf_names, b.name))
        fail(p, "two buffers have this name");
    b.mem = (kir_mem)one_of(p, mems, DFM_LEN(mems), "a kind of memory");
    b.dtype = dtype(p);
    b.elems = u64(p);
    expect_word(p, "program");
    b.program = u32(p);
    expect_word(p, "offset");
    b.offset = u64(p);
    if (accept_word(p, "state")) {
        b.state = u32(p);
        expect_word(p, "flat");
        b.flat = u32(p);
    }
    b.is_draw = accept_word(p, "draw");
    DFM_VEC(double) data = {0};
    if (b.mem == KIR_MEM_CONST) {
        expect(p, '=');
        for (uint64_t i = 0; i < b.elems && !p->bad; i++) dfm_push(p->a, &data, number(p));
    }
    b.data = data.p;
    if (!p->bad) dfm_push(p->a, &p->m->bufs, b);
}

static void dim_declaration(parser *p)
{
    dfm_name n = name(p);
    int64_t extent = i64(p);
    if (p->bad) return;
    if (!n.i) fail(p, "a dim has no name");
    else if (extent < 1 || extent > (int64_t)1 << 40) fail(p, "bad extent");
    else if (ir_dim_find(p->m->ir, n).i) fail(p, "a dim is declared twice");
    else ir_dim_new(p->m->ir, n, extent, (dfm_loc){0});
}

static void program(parser *p)
{
    kir_program *g = dfm_new(p->a, kir_program);
    g->name = dfm_name_str(p->m->ir->names, name(p));
    expect_word(p, "arena");
    g->arena_bytes = u64(p);
    expect(p, '{');
    while (accept_word(p, "in")) dfm_push(p->a, &g->inputs, io(p));
    while (accept_word(p, "result")) dfm_push(p->a, &g->outputs, io(p));
    while (accept_word(p, "scalar")) dfm_push(p->a, &g->scalars, name(p));
    nodes(p, &g->nodes);
    expect(p, '}');
    if (!p->bad) dfm_push(p->a, &p->m->programs, g);
}

dfm_status kir_parse(dfm_arena *a, dfm_names *names, const char *text, size_t n, kir_module **out,
                     dfm_err *err)
{
    parser p = {.a = a, .s = text, .end = text + n, .line = 1, .err = err, .text = ""};
    p.m = kir_module_create(a, ir_module_create(a, names));
    next(&p);
    expect_word(&p, "kir");
    while (!p.bad && p.kind != T_END) {
        if (accept_word(&p, "dim")) dim_declaration(&p);
        else if (accept_word(&p, "buf")) buffer(&p);
        else if (accept_word(&p, "program")) program(&p);
        else fail(&p, "expected 'dim', 'buf' or 'program'");
    }
    if (p.bad) return DFM_BAD_DATA;
    dfm_status st = kir_verify(p.m, err);
    if (st != DFM_OK) return st;
    *out = p.m;
    return DFM_OK;
}

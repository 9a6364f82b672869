/* ir_parse.c - reading modules: the header, dims, tables, graphs and programs. */
#include "compiler/ir/ir_lex.h"

#include <string.h>

enum { MAX_EXTENT_BITS = 40 };

/* Factors by name until all dims are there. */
typedef struct pending {
    ir_dim dim;
    dfm_name factor;
} pending;

typedef struct factors { DFM_VEC(pending) p; } factors;

static dfm_name dim_name(ir_parser *p)
{
    if (p->kind == T_STRING) return ir_take_name(p);
    if (p->kind != T_IDENT) ir_lex_fail(p, "expected the name of a dim");
    dfm_name n = dfm_intern_n(p->names, p->text, p->n);
    ir_lex_next(p);
    return n;
}

static void parse_dim(ir_parser *p, factors *f)
{
    ir_dim_info info = {.name = dim_name(p)};
    ir_dim self = {p->m->dims.n};
    ir_expect(p, "=");
    info.extent = ir_take_int(p);
    if (!info.name.i || ir_dim_find(p->m, info.name).i) ir_lex_fail(p, "a dim twice or unnamed");
    if (info.extent < 1 || info.extent >> MAX_EXTENT_BITS) ir_lex_fail(p, "an extent out of range");
    if (ir_accept(p, "=")) {
        do {
            pending x = {self, dim_name(p)};
            if (++info.n_factors > IR_MAX_FACTORS) ir_lex_fail(p, "too many factors");
            else dfm_push(p->a, &f->p, x);
        } while (ir_accept(p, "*"));
    }
    if (ir_accept(p, "alias")) {
        info.alias_of = ir_dim_find(p->m, dim_name(p));
        if (!info.alias_of.i) ir_lex_fail(p, "an alias of an unknown dim");
        else if (p->m->dims.p[info.alias_of.i].alias_of.i
                 || ir_extent(p->m, info.alias_of) != info.extent)
            ir_lex_fail(p, "an alias of an alias, or of another extent");
    }
    if (!p->bad) ir_dim_add(p->m, &info);
}

static void resolve_factors(ir_parser *p, const factors *f)
{
    for (uint32_t i = 0; i < f->p.n; i++) {
        ir_dim_info *info = &p->m->dims.p[f->p.p[i].dim.i];
        uint32_t k = 0;
        while (info->factors[k].i) k++;
        info->factors[k] = ir_dim_find(p->m, f->p.p[i].factor);
        if (!info->factors[k].i) {
            ir_lex_fail(p, "unknown factor '%s'", dfm_name_str(p->names, f->p.p[i].factor));
            return;
        }
    }
}

/* ", key=" if it is the next key of the header. */
static bool optional_key(ir_parser *p, const char *key)
{
    size_t n = strlen(key);
    const char *s = p->p;
    if (!ir_at(p, ",")) return false;
    while (s < p->end && *s == ' ') s++;
    if ((size_t)(p->end - s) <= n || memcmp(s, key, n) != 0 || s[n] != '=') return false;
    ir_key(p, key, false);
    return true;
}

static void parse_header(ir_parser *p)
{
    const char **fields[] = {&p->m->model, &p->m->train, &p->m->sampler, &p->m->variant,
                             &p->m->precision};
    static const char *const keys[] = {"model", "train", "sampler", "variant", "precision"};
    ir_expect(p, "module");
    ir_expect(p, "{");
    for (uint32_t i = 0; i < DFM_LEN(fields); i++) {
        ir_key(p, keys[i], i == 0);
        *fields[i] = ir_take_string(p);
    }
    if (optional_key(p, "weights")) p->m->weights_folder = ir_take_string(p);
    ir_key(p, "strict", false);
    p->m->weights_strict = ir_take_flag(p);
    if (optional_key(p, "data")) p->m->data_path = ir_take_string(p);
    ir_key(p, "batch", false);
}

/* -- tables ---------------------------------------------------------------------------------- */

static dfm_dtype take_dtype(ir_parser *p)
{
    const char *names[DFM_DT_COUNT + 1] = {0};
    for (int d = 0; d < DFM_DT_COUNT; d++) names[d] = dfm_dtype_name((dfm_dtype)d);
    return (dfm_dtype)ir_take_enum(p, names, "element type");
}

static ir_type tensor_type(ir_parser *p)
{
    ir_type t = ir_take_type(p);
    if (ir_type_of(p->m, t)->is_tuple) ir_lex_fail(p, "expected the type of a tensor");
    return t;
}

static void parse_shape(ir_parser *p, ir_param *out)
{
    ir_key(p, "file", false);
    ir_expect(p, "[");
    while (!p->bad && !ir_at(p, "]")) {
        if (out->file_rank) ir_expect(p, ",");
        if (out->file_rank == IR_MAX_RANK) ir_lex_fail(p, "a shape of too many dims");
        else out->file_shape[out->file_rank++] = ir_take_int(p);
    }
    ir_expect(p, "]");
}

static void parse_names(ir_parser *p, const char *key, bool first, dfm_name *out, uint32_t cap,
                        uint32_t *n)
{
    ir_key(p, key, first);
    ir_expect(p, "[");
    while (!p->bad && !ir_at(p, "]")) {
        if (*n) ir_expect(p, ",");
        if (*n == cap) ir_lex_fail(p, "too many names");
        else out[(*n)++] = ir_take_name(p);
    }
    ir_expect(p, "]");
}

static void parse_param(ir_parser *p)
{
    ir_param x = {.path = ir_take_name(p)};
    dfm_name *tags = dfm_new_n(p->a, dfm_name, 32);
    uint32_t n_loops = 0;
    ir_expect(p, ":");
    x.type = tensor_type(p);
    ir_expect(p, "{");
    parse_names(p, "loops", true, x.loop_vars, DFM_LEN(x.loop_vars), &n_loops);
    x.n_loops = (uint8_t)n_loops;
    ir_key(p, "trainable", false);
    x.trainable = ir_take_flag(p);
    ir_key(p, "buffer", false);
    x.is_buffer = ir_take_flag(p);
    parse_names(p, "tags", false, tags, 32, &x.n_tags);
    x.tags = tags;
    ir_key(p, "init", false);
    x.init = (ir_init)ir_take_enum(p, ir_init_names, "initialisation");
    ir_key(p, "a", false);
    x.init_a = ir_take_double(p);
    ir_key(p, "b", false);
    x.init_b = ir_take_double(p);
    ir_key(p, "fan", false);
    ir_expect(p, "[");
    x.fan_in = ir_take_int(p);
    ir_expect(p, ",");
    x.fan_out = ir_take_int(p);
    ir_expect(p, "]");
    parse_shape(p, &x);
    ir_key(p, "published", false);
    x.published = ir_take_name(p);
    ir_key(p, "reshape", false);
    x.reshape_any = ir_take_flag(p);
    ir_key(p, "group", false);
    x.group = ir_take_u32(p);
    ir_key(p, "offset", false);
    x.flat_offset = ir_take_u64(p);
    if (ir_at(p, ",")) {
        uint64_t n;
        x.table = ir_take_numbers(p, false, &n);
        if (n != ir_elems(p->m, x.type)) ir_lex_fail(p, "a table of the wrong size");
    }
    ir_expect(p, "}");
    if (!p->bad) dfm_push(p->a, &p->m->params, x);
}

static void parse_flat(ir_parser *p)
{
    ir_flat x = {.name = ir_take_name(p)};
    ir_expect(p, "{");
    ir_key(p, "dtype", true);
    x.dtype = take_dtype(p);
    ir_key(p, "trainable", false);
    x.trainable = ir_take_flag(p);
    ir_key(p, "dim", false);
    x.dim = ir_take_dim(p);
    ir_key(p, "elems", false);
    x.n_elems = ir_take_u64(p);
    ir_expect(p, "}");
    if (!p->bad) dfm_push(p->a, &p->m->flats, x);
}

static void parse_state(ir_parser *p)
{
    ir_state x = {.name = ir_take_name(p)};
    ir_expect(p, "{");
    ir_key(p, "dtype", true);
    x.dtype = take_dtype(p);
    ir_key(p, "ema", false);
    x.is_ema = ir_take_flag(p);
    ir_key(p, "saved", false);
    x.saved = ir_take_flag(p);
    ir_expect(p, "}");
    if (!p->bad) dfm_push(p->a, &p->m->states, x);
}

static void parse_data(ir_parser *p)
{
    ir_data_field x = {.name = ir_take_name(p)};
    ir_expect(p, ":");
    x.type = tensor_type(p);
    ir_expect(p, "{");
    ir_key(p, "source", true);
    x.source = ir_take_string(p);
    if (ir_at(p, ",")) {
        ir_key(p, "pad", false);
        x.pad_dim = ir_take_string(p);
    }
    ir_expect(p, "}");
    if (!p->bad) dfm_push(p->a, &p->m->data, x);
}

/* -- graphs, programs ------------------------------------------------------------------------ */

static void parse_results(ir_parser *p, ir_graph *g)
{
    bool first = true;
    ir_expect(p, "ret");
    while (!p->bad && !ir_at(p, "}")) {
        ir_result r = {{0}, {0}};
        if (!first) ir_expect(p, ",");
        first = false;
        ir_expect(p, "%");
        r.val.i = ir_take_u32(p);
        if (!r.val.i || r.val.i >= g->ops.n) ir_lex_fail(p, "no value %%%u", r.val.i);
        if (p->kind == T_STRING) r.name = ir_take_name(p);
        if (!p->bad) dfm_push(p->a, &g->results, r);
    }
    ir_expect(p, "}");
}

static void parse_graph(ir_parser *p)
{
    uint32_t number = p->m->graphs.n;
    if (ir_take_u32(p) != number) ir_lex_fail(p, "expected graph %u", number);
    const char *name = ir_take_string(p);
    ir_expect(p, "{");
    if (p->bad) return;
    ir_graph *g = ir_graph_create(p->m, name, &number);
    while (ir_at(p, "%")) ir_parse_op(p, g, number);
    parse_results(p, g);
}

static void parse_program(ir_parser *p)
{
    ir_program x = {.name = ir_take_string(p)};
    DFM_VEC(ir_target) to = {0};
    DFM_VEC(uint32_t) index = {0};
    ir_expect(p, "{");
    ir_key(p, "graph", true);
    x.graph = ir_take_u32(p);
    if (!x.graph || x.graph >= p->m->graphs.n) ir_lex_fail(p, "no graph %u", x.graph);
    ir_key(p, "replace_draws", false);
    x.replace_draws = ir_take_flag(p);
    ir_key(p, "to", false);
    ir_expect(p, "[");
    while (!p->bad && !ir_at(p, "]")) {
        if (to.n) ir_expect(p, ",");
        dfm_push(p->a, &to, (ir_target)ir_take_enum(p, ir_target_names, "target"));
        dfm_push(p->a, &index, ir_take_u32(p));
    }
    ir_expect(p, "]");
    ir_expect(p, "}");
    x.to = to.p;
    x.index = index.p;
    x.n_results = to.n;
    if (!p->bad) dfm_push(p->a, &p->m->programs, x);
}

static void parse_module(ir_parser *p)
{
    factors f = {0};
    dfm_name batch = {0};
    parse_header(p);
    if (!ir_accept(p, "-")) batch = dim_name(p);
    ir_expect(p, "}");
    while (ir_accept(p, "dim")) parse_dim(p, &f);
    if (!p->bad) resolve_factors(p, &f);
    p->m->batch = ir_dim_find(p->m, batch);
    if (batch.i && !p->m->batch.i) ir_lex_fail(p, "unknown batch dim");
    while (ir_accept(p, "param")) parse_param(p);
    while (ir_accept(p, "flat")) parse_flat(p);
    while (ir_accept(p, "state")) parse_state(p);
    while (ir_accept(p, "data")) parse_data(p);
    while (ir_accept(p, "graph")) parse_graph(p);
    while (ir_accept(p, "program")) parse_program(p);
    if (p->kind != T_END) ir_lex_fail(p, "expected the next item or the end");
}

dfm_status ir_parse(dfm_arena *a, dfm_names *names, const char *text, size_t n, ir_module **out,
                    dfm_err *err)
{
    dfm_err own = {0};
    ir_module *m = ir_module_create(a, names);
    ir_parser p = {.a = a, .names = names, .m = m, .err = err ? err : &own};
    *out = NULL;
    if (n > UINT32_MAX / 2) return dfm_fail(p.err, DFM_BAD_DATA, "the text is too long");
    ir_lex_start(&p, text, n);
    parse_module(&p);
    if (p.bad) return DFM_BAD_DATA;
    if (ir_verify(p.m, &own) != DFM_OK) return dfm_fail(p.err, DFM_BAD_DATA, "%s", own.text);
    *out = p.m;
    return DFM_OK;
}

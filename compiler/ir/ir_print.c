/* ir_print.c - the text form of modules and graphs (grammar in ir_text.h). */
#include "compiler/ir/ir_text.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

const char *const ir_keep_names[] = {"free", "saved", "again", NULL};
const char *const ir_role_names[] = {"none", "body", "formal", "data", "scalar", "state", NULL};
const char *const ir_dist_names[] = {"none", "uniform", "normal", "randint", NULL};
const char *const ir_init_names[] = {"none",    "zeros",          "ones",
                                     "constant", "normal",        "uniform",
                                     "xavier_uniform", "trunc_normal", "table", NULL};
const char *const ir_target_names[] = {"none", "output", "grad", "state", "param", NULL};

/* -- names, numbers, types ------------------------------------------------------------------- */

static bool is_identifier(const char *s)
{
    if (!(*s == '_' || (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z'))) return false;
    for (; *s; s++)
        if (!(*s == '_' || *s == '\'' || (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z')
              || (*s >= '0' && *s <= '9')))
            return false;
    return true;
}

static void put_quoted(dfm_sb *out, const char *s)
{
    dfm_sb_puts(out, "\"");
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\') dfm_sb_printf(out, "\\%c", c);
        else if (c < 32 || c == 127) dfm_sb_printf(out, "\\x%02x", c);
        else dfm_sb_add(out, s, 1);
    }
    dfm_sb_puts(out, "\"");
}

static void put_name(dfm_sb *out, const ir_module *m, dfm_name n)
{
    put_quoted(out, dfm_name_str(m->names, n));
}

static void put_dim(dfm_sb *out, const ir_module *m, ir_dim d)
{
    const char *s = ir_dim_str(m, d);
    if (!d.i) dfm_sb_puts(out, "-");
    else if (is_identifier(s)) dfm_sb_puts(out, s);
    else put_quoted(out, s);
}

static void put_dims(dfm_sb *out, const ir_module *m, const ir_dim *dims, uint32_t n)
{
    dfm_sb_puts(out, "[");
    for (uint32_t i = 0; i < n; i++) {
        if (i) dfm_sb_puts(out, ",");
        put_dim(out, m, dims[i]);
    }
    dfm_sb_puts(out, "]");
}

void ir_print_type(dfm_sb *out, const ir_module *m, ir_type t)
{
    const ir_type_info *ti = ir_type_of(m, t);
    if (!ti->is_tuple) {
        dfm_sb_puts(out, dfm_dtype_name(ti->dtype));
        put_dims(out, m, ti->dims, ti->rank);
        return;
    }
    dfm_sb_puts(out, "(");
    for (uint32_t i = 0; i < ti->n_members; i++) {
        if (i) dfm_sb_puts(out, ", ");
        ir_print_type(out, m, ti->members[i]);
    }
    dfm_sb_puts(out, ")");
}

/* -- index expressions ----------------------------------------------------------------------- */

static void put_factor(dfm_sb *out, const ir_module *m, ir_ix x)
{
    bool parens = ir_ix_of(m, x)->kind == IX_ADD;
    if (parens) dfm_sb_puts(out, "(");
    ir_print_ix(out, m, x);
    if (parens) dfm_sb_puts(out, ")");
}

void ir_print_ix(dfm_sb *out, const ir_module *m, ir_ix x)
{
    const ir_ix_node *e = ir_ix_of(m, x);
    switch (e->kind) {
    case IX_NONE: dfm_sb_puts(out, "?"); return;
    case IX_CONST: dfm_sb_printf(out, "%" PRId64, e->c); return;
    case IX_VAR: put_dim(out, m, e->var); return;
    case IX_ADD:
        ir_print_ix(out, m, e->a);
        dfm_sb_puts(out, " + ");
        put_factor(out, m, e->b);
        return;
    case IX_MUL:
    case IX_DIV:
    case IX_MOD:
        put_factor(out, m, e->a);
        dfm_sb_printf(out, "%s%" PRId64,
                      e->kind == IX_MUL ? "*" : e->kind == IX_DIV ? "//" : "%", e->c);
        return;
    case IX_CLAMP:
        dfm_sb_puts(out, "clamp(");
        ir_print_ix(out, m, e->a);
        dfm_sb_printf(out, ", %" PRId64 ", %" PRId64 ")", e->c, e->c2);
        return;
    }
}

/* -- ops ------------------------------------------------------------------------------------- */

static void put_numbers(dfm_sb *out, const double *p, uint64_t n)
{
    bool plain = n <= IR_TEXT_PLAIN;
    for (uint64_t i = 0; i < n && plain; i++) plain = !isnan(p[i]);
    if (plain) {
        dfm_sb_puts(out, "data=[");
        for (uint64_t i = 0; i < n; i++) {
            if (i) dfm_sb_puts(out, ", ");
            dfm_sb_double(out, p[i]);
        }
        dfm_sb_puts(out, "]");
        return;
    }
    static const char digits[] = "0123456789abcdef";
    dfm_sb_puts(out, "hex=\"");
    for (uint64_t i = 0; i < n; i++) {
        uint64_t bits;
        char hex[16];
        memcpy(&bits, &p[i], sizeof bits);
        for (int k = 0; k < 16; k++) hex[k] = digits[bits >> (60 - 4 * k) & 15];
        dfm_sb_add(out, hex, sizeof hex);
    }
    dfm_sb_puts(out, "\"");
}

static void put_view(dfm_sb *out, const ir_module *m, uint32_t rank, const ir_view *v)
{
    dfm_sb_puts(out, "coords=[");
    for (uint32_t i = 0; i < rank; i++) {
        if (i) dfm_sb_puts(out, ", ");
        ir_print_ix(out, m, v->coords[i]);
    }
    dfm_sb_puts(out, "]");
    if (!v->n_conds) return;
    dfm_sb_puts(out, ", guard=[");
    for (uint32_t i = 0; i < v->n_conds; i++) {
        dfm_sb_printf(out, "%s%" PRId64 " <= ", i ? ", " : "", v->guard[i].lo);
        ir_print_ix(out, m, v->guard[i].e);
        dfm_sb_printf(out, " <= %" PRId64, v->guard[i].hi);
    }
    dfm_sb_puts(out, "], fill=");
    dfm_sb_double(out, v->fill);
}

static void put_random(dfm_sb *out, const ir_module *m, const ir_random *r)
{
    dfm_sb_printf(out, "dist=%s, stream=0x%" PRIx64 ", sample=", ir_dist_names[r->dist], r->stream);
    put_dim(out, m, r->sample);
    dfm_sb_printf(out, ", lo=%" PRId64 ", hi=%" PRId64 ", name=", r->lo, r->hi);
    put_name(out, m, r->name);
}

static void put_attend(dfm_sb *out, const ir_module *m, const ir_attend *a)
{
    dfm_sb_puts(out, "seq=");
    put_dim(out, m, a->seq);
    dfm_sb_puts(out, ", over=");
    put_dim(out, m, a->over);
    dfm_sb_puts(out, ", feature=");
    put_dim(out, m, a->feature);
    dfm_sb_puts(out, ", value=");
    put_dim(out, m, a->value);
    dfm_sb_puts(out, ", scale=");
    dfm_sb_double(out, a->scale);
    dfm_sb_printf(out, ", causal=%d, window=%" PRId64, a->causal, a->window);
}

static void put_pairs(dfm_sb *out, const ir_module *m, const ir_contract *c)
{
    dfm_sb_puts(out, "pairs=[");
    for (uint32_t i = 0; i < c->n_pairs; i++) {
        if (i) dfm_sb_puts(out, ", ");
        put_dim(out, m, c->pairs[i].a);
        dfm_sb_puts(out, ":");
        put_dim(out, m, c->pairs[i].b);
    }
    dfm_sb_puts(out, "]");
}

/* number: printed number of each graph, or NULL for the index itself. */
static void put_attrs(dfm_sb *out, const ir_module *m, const ir_graph *g, const ir_op *op,
                      const uint32_t *number)
{
    const ir_attrs *at = op->at;
    switch (op->kind) {
    case IR_INPUT:
        dfm_sb_printf(out, "role=%s, index=%u, name=", ir_role_names[at->input.role],
                      at->input.index);
        put_name(out, m, at->input.name);
        return;
    case IR_PARAM: dfm_sb_printf(out, "index=%u", at->param); return;
    case IR_CONST: put_numbers(out, at->cst.data, at->cst.n); return;
    case IR_RANDOM: put_random(out, m, &at->random); return;
    case IR_VIEW:
        put_view(out, m, ir_type_of(m, ir_type_at(g, op->args[0]))->rank, &at->view);
        return;
    case IR_REDUCE:
        dfm_sb_printf(out, "fn=%s, dims=", ir_reducer_name(at->reduce.kind));
        put_dims(out, m, at->reduce.dims, at->reduce.n_dims);
        return;
    case IR_CONTRACT: put_pairs(out, m, &at->contract); return;
    case IR_GATHER:
    case IR_SCATTER_ADD:
        dfm_sb_puts(out, "dim=");
        put_dim(out, m, at->gather.dim);
        return;
    case IR_ATTEND:
    case IR_ATTEND_BWD: put_attend(out, m, &at->attend); return;
    case IR_SCAN:
        dfm_sb_printf(out, "body=%u, loop=", number ? number[at->scan.body] : at->scan.body);
        put_dim(out, m, at->scan.loop);
        dfm_sb_printf(out, ", carry=%u, xs=%u, caps=%u, ys=%u, reverse=%d", at->scan.n_carry,
                      at->scan.n_xs, at->scan.n_caps, at->scan.n_ys, at->scan.reverse);
        return;
    case IR_CALL:
        dfm_sb_printf(out, "body=%u, vjp=%u", number ? number[at->call.body] : at->call.body,
                      number ? number[at->call.vjp] : at->call.vjp);
        return;
    case IR_GET: dfm_sb_printf(out, "member=%u", at->member); return;
    default: return;
    }
}

static bool has_attrs(ir_op_kind k)
{
    return k != IR_IOTA && k != IR_MAP && k != IR_CAST && k != IR_STOP_GRAD && k != IR_NONE;
}

static void put_op(dfm_sb *out, const ir_module *m, const ir_graph *g, ir_val v,
                   const uint32_t *number)
{
    const ir_op *op = ir_op_of(g, v);
    dfm_sb_printf(out, "%%%u = %s", v.i,
                  op->kind == IR_MAP ? ir_fn_name(op->at->fn) : ir_op_name(op->kind));
    for (uint32_t k = 0; k < op->n_args; k++)
        dfm_sb_printf(out, "%s%%%u", k ? ", " : " ", op->args[k].i);
    if (has_attrs(op->kind)) {
        dfm_sb_puts(out, " {");
        put_attrs(out, m, g, op, number);
        dfm_sb_puts(out, "}");
    }
    dfm_sb_puts(out, " : ");
    ir_print_type(out, m, op->type);
    if (op->name.i) {
        dfm_sb_puts(out, " ");
        put_name(out, m, op->name);
    }
    if (op->keep) dfm_sb_printf(out, " %s", ir_keep_names[op->keep]);
}

void ir_print_op(dfm_sb *out, const ir_module *m, const ir_graph *g, ir_val v)
{
    put_op(out, m, g, v, NULL);
}

/* As a comment, which ends with the line: control characters of a file's name become '?'. */
static void put_place(dfm_sb *out, const ir_module *m, dfm_loc loc)
{
    if (!m->place_of || !loc.i) return;
    dfm_sb_puts(out, "  ; ");
    uint32_t from = out->n;
    m->place_of(m->place_user, loc, out);
    for (uint32_t i = from; i < out->n; i++)
        if ((unsigned char)out->p[i] < 32) out->p[i] = '?';
}

static void put_graph(dfm_sb *out, const ir_module *m, const ir_graph *g, uint32_t self,
                      const uint32_t *number)
{
    dfm_sb_printf(out, "graph %u ", self);
    put_name(out, m, g->name);
    dfm_sb_puts(out, " {\n");
    for (uint32_t i = 1; i < g->ops.n; i++) {
        dfm_sb_puts(out, "  ");
        put_op(out, m, g, (ir_val){i}, number);
        put_place(out, m, g->ops.p[i].loc);
        dfm_sb_puts(out, "\n");
    }
    dfm_sb_puts(out, "  ret");
    for (uint32_t i = 0; i < g->results.n; i++) {
        dfm_sb_printf(out, "%s %%%u", i ? "," : "", g->results.p[i].val.i);
        if (!g->results.p[i].name.i) continue;
        dfm_sb_puts(out, " ");
        put_name(out, m, g->results.p[i].name);
    }
    dfm_sb_puts(out, "\n}\n");
}

void ir_print_graph(dfm_sb *out, const ir_module *m, const ir_graph *g)
{
    uint32_t self = 0;
    for (uint32_t i = 1; i < m->graphs.n; i++)
        if (m->graphs.p[i] == g) self = i;
    put_graph(out, m, g, self, NULL);
}

/* -- module ---------------------------------------------------------------------------------- */

static void put_dim_line(dfm_sb *out, const ir_module *m, ir_dim d)
{
    const ir_dim_info *info = &m->dims.p[d.i];
    dfm_sb_puts(out, "dim ");
    put_dim(out, m, d);
    dfm_sb_printf(out, " = %" PRId64, info->extent);
    for (uint32_t i = 0; i < info->n_factors; i++) {
        dfm_sb_puts(out, i ? " * " : " = ");
        put_dim(out, m, info->factors[i]);
    }
    if (info->alias_of.i) {
        dfm_sb_puts(out, " alias ");
        put_dim(out, m, info->alias_of);
    }
    dfm_sb_puts(out, "\n");
}

static void put_param(dfm_sb *out, const ir_module *m, const ir_param *p)
{
    dfm_sb_puts(out, "param ");
    put_name(out, m, p->path);
    dfm_sb_puts(out, " : ");
    ir_print_type(out, m, p->type);
    dfm_sb_puts(out, " {loops=[");
    for (uint32_t i = 0; i < p->n_loops; i++) {
        if (i) dfm_sb_puts(out, ", ");
        put_name(out, m, p->loop_vars[i]);
    }
    dfm_sb_printf(out, "], trainable=%d, buffer=%d, tags=[", p->trainable, p->is_buffer);
    for (uint32_t i = 0; i < p->n_tags; i++) {
        if (i) dfm_sb_puts(out, ", ");
        put_name(out, m, p->tags[i]);
    }
    dfm_sb_printf(out, "], init=%s, a=", ir_init_names[p->init]);
    dfm_sb_double(out, p->init_a);
    dfm_sb_puts(out, ", b=");
    dfm_sb_double(out, p->init_b);
    dfm_sb_printf(out, ", fan=[%" PRId64 ", %" PRId64 "], file=[", p->fan_in, p->fan_out);
    for (uint32_t i = 0; i < p->file_rank; i++)
        dfm_sb_printf(out, "%s%" PRId64, i ? ", " : "", p->file_shape[i]);
    dfm_sb_puts(out, "], published=");
    put_name(out, m, p->published);
    dfm_sb_printf(out, ", reshape=%d, group=%u, offset=%" PRIu64, p->reshape_any, p->group,
                  p->flat_offset);
    if (p->table) {
        dfm_sb_puts(out, ", ");
        put_numbers(out, p->table, ir_elems(m, p->type));
    }
    dfm_sb_puts(out, "}\n");
}

static void put_tables(dfm_sb *out, const ir_module *m)
{
    for (uint32_t i = 0; i < m->params.n; i++) put_param(out, m, &m->params.p[i]);
    for (uint32_t i = 0; i < m->flats.n; i++) {
        const ir_flat *f = &m->flats.p[i];
        dfm_sb_puts(out, "flat ");
        put_name(out, m, f->name);
        dfm_sb_printf(out, " {dtype=%s, trainable=%d, dim=", dfm_dtype_name(f->dtype),
                      f->trainable);
        put_dim(out, m, f->dim);
        dfm_sb_printf(out, ", elems=%" PRIu64 "}\n", f->n_elems);
    }
    for (uint32_t i = 0; i < m->states.n; i++) {
        const ir_state *s = &m->states.p[i];
        dfm_sb_puts(out, "state ");
        put_name(out, m, s->name);
        dfm_sb_printf(out, " {dtype=%s, ema=%d, saved=%d}\n", dfm_dtype_name(s->dtype), s->is_ema,
                      s->saved);
    }
    for (uint32_t i = 0; i < m->data.n; i++) {
        const ir_data_field *d = &m->data.p[i];
        dfm_sb_puts(out, "data ");
        put_name(out, m, d->name);
        dfm_sb_puts(out, " : ");
        ir_print_type(out, m, d->type);
        dfm_sb_puts(out, " {source=");
        put_quoted(out, d->source ? d->source : "");
        if (d->pad_dim) {
            dfm_sb_puts(out, ", pad=");
            put_quoted(out, d->pad_dim);
        }
        dfm_sb_puts(out, "}\n");
    }
}

static void put_program(dfm_sb *out, const ir_program *p, const uint32_t *number)
{
    dfm_sb_puts(out, "program ");
    put_quoted(out, p->name);
    dfm_sb_printf(out, " {graph=%u, replace_draws=%d, to=[", number[p->graph], p->replace_draws);
    for (uint32_t i = 0; i < p->n_results; i++)
        dfm_sb_printf(out, "%s%s %u", i ? ", " : "", ir_target_names[p->to[i]], p->index[i]);
    dfm_sb_puts(out, "]}\n");
}

/* Depth-first over bodies, so that a body comes before its users. order: graph indices. */
typedef struct ordering {
    const ir_module *m;
    uint32_t *order, n;
    bool *seen;
} ordering;

static void visit(ordering *o, uint32_t graph)
{
    if (!graph || graph >= o->m->graphs.n || o->seen[graph]) return;
    const ir_graph *g = o->m->graphs.p[graph];
    o->seen[graph] = true;
    for (uint32_t i = 1; i < g->ops.n; i++) {
        const ir_op *op = &g->ops.p[i];
        if (op->kind == IR_SCAN) visit(o, op->at->scan.body);
        if (op->kind != IR_CALL) continue;
        visit(o, op->at->call.body);
        visit(o, op->at->call.vjp);
    }
    o->order[o->n++] = graph;
}

static void put_header(dfm_sb *out, const ir_module *m)
{
    const char *names[] = {"model", m->model, "train", m->train, "sampler", m->sampler,
                           "variant", m->variant, "precision", m->precision};
    dfm_sb_puts(out, "module {");
    for (uint32_t i = 0; i < DFM_LEN(names); i += 2) {
        dfm_sb_printf(out, "%s=", names[i]);
        put_quoted(out, names[i + 1] ? names[i + 1] : "");
        dfm_sb_puts(out, ", ");
    }
    if (m->weights_folder) {
        dfm_sb_puts(out, "weights=");
        put_quoted(out, m->weights_folder);
        dfm_sb_puts(out, ", ");
    }
    dfm_sb_printf(out, "strict=%d, ", m->weights_strict);
    if (m->data_path) {
        dfm_sb_puts(out, "data=");
        put_quoted(out, m->data_path);
        dfm_sb_puts(out, ", ");
    }
    dfm_sb_puts(out, "batch=");
    put_dim(out, m, m->batch);
    dfm_sb_puts(out, "}\n");
}

void ir_print(dfm_sb *out, const ir_module *m)
{
    dfm_arena *a = dfm_arena_create("ir_print");
    ordering o = {.m = m, .order = dfm_new_n(a, uint32_t, m->graphs.n),
                  .seen = dfm_new_n(a, bool, m->graphs.n)};
    uint32_t *number = dfm_new_n(a, uint32_t, m->graphs.n);
    if (m->programs.n) {                     /* which graphs; then in their own order */
        for (uint32_t i = 0; i < m->programs.n; i++) visit(&o, m->programs.p[i].graph);
        bool *wanted = o.seen;
        o.seen = dfm_new_n(a, bool, m->graphs.n);
        o.n = 0;
        for (uint32_t i = 1; i < m->graphs.n; i++)
            if (wanted[i]) visit(&o, i);
    } else {
        for (uint32_t i = 1; i < m->graphs.n; i++) visit(&o, i);
    }
    for (uint32_t k = 0; k < o.n; k++) number[o.order[k]] = k + 1;
    put_header(out, m);
    for (uint32_t i = 1; i < m->dims.n; i++) put_dim_line(out, m, (ir_dim){i});
    put_tables(out, m);
    for (uint32_t k = 0; k < o.n; k++)
        put_graph(out, m, m->graphs.p[o.order[k]], k + 1, number);
    for (uint32_t i = 0; i < m->programs.n; i++) put_program(out, &m->programs.p[i], number);
    dfm_arena_destroy(a);
}

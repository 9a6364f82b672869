/* sema_decl.c - dims and constants at file level: their values, replaced by a variant or by --set.
 *
 * A dynamic dim has the value that --set gives it, else its default. `check` needs neither: such a
 * dim gets a witness, a small value that satisfies every `require`. Witnesses are found by plain
 * integer evaluation of the requires, one dim at a time, with a bounded number of tries; they are
 * at least 2 and differ from each other, so that accidental equality hides no error.
 */
#include <string.h>

#include "compiler/front/sema.h"

enum { MAX_TRIES = 4096, MAX_ROUNDS = 24, MAX_DECL_DEPTH = 64 };

/* -- finding declarations ---------------------------------------------------------------------- */

static sema_decl *find_decl(sema_file *f, const char *name, sema_file **out_file, int depth)
{
    for (uint32_t i = 0; i < f->decls.n; i++)
        if (strcmp(f->decls.p[i].name, name) == 0) return *out_file = f, &f->decls.p[i];
    for (uint32_t i = 0; i < f->imports.n && depth < 8; i++) {
        if (f->imports.p[i].alias) continue;
        sema_decl *d = find_decl(f->imports.p[i].file, name, out_file, depth + 1);
        if (d) return d;
    }
    return NULL;
}

static void add_decl(sema *s, sema_file *f, const ast_node *node, bool is_const)
{
    for (uint32_t i = 0; i < f->decls.n; i++) {
        if (strcmp(f->decls.p[i].name, node->text) != 0) continue;
        diag *d = sema_error(s, E0406, node->loc, "`%s` is defined twice", node->text);
        diag_label(d, f->decls.p[i].node->loc, "first here");
        return;
    }
    sema_decl x = {.name = node->text, .is_const = is_const, .node = node};
    dfm_push(s->arena, &f->decls, x);
}

void sema_collect_decls(sema *s, sema_file *f)
{
    for (uint32_t i = 0; i < f->ast->root->n_kids; i++) {
        const ast_node *item = f->ast->root->kids[i];
        if (item->kind == AST_CONST) add_decl(s, f, item, true);
        for (uint32_t k = 0; item->kind == AST_DIMS && k < item->n_kids; k++)
            if (ast_is(item->kids[k], AST_DIM_DEF)) add_decl(s, f, item->kids[k], false);
    }
}

/* -- overrides --------------------------------------------------------------------------------- */

static void decl_names(sema *s, sema_file *f, const char **out, uint32_t *n, uint32_t cap)
{
    for (uint32_t i = 0; i < f->decls.n && *n < cap; i++) out[(*n)++] = f->decls.p[i].name;
    for (uint32_t i = 0; i < f->imports.n; i++)
        if (!f->imports.p[i].alias && !f->imports.p[i].file->is_std)
            decl_names(s, f->imports.p[i].file, out, n, cap);
}

static bool override(sema *s, const char *name, const ast_node *value, const char *from,
                     dfm_loc loc)
{
    sema_file *f;
    sema_decl *d = find_decl(s->main, name, &f, 0);
    if (d && !f->is_std) {
        d->override = value;
        d->override_from = from;
        return true;
    }
    if (sema_sampler_takes(s, name, dfm_starts_with(from, "variant"))) {
        dfm_push(s->arena, &s->sampler_sets, ((sema_setting){name, value}));
        return true;
    }
    const char *names[256];
    uint32_t n = 0;
    diag *e = sema_error(s, E0403, loc, "%s sets `%s`, and the file has no dim or constant of that "
                                        "name", from, name);
    decl_names(s, s->main, names, &n, 256);
    sema_suggest(s, e, name, names, n);
    return false;
}

/* "dim.B=8" as a declaration in a file of its own, so that errors can point into it. */
static bool apply_set(sema *s, const char *set)
{
    const char *eq = strchr(set, '=');
    bool is_dim = dfm_starts_with(set, "dim."), is_const = dfm_starts_with(set, "const.");
    if (!eq || (!is_dim && !is_const)) {
        diag *d = sema_error(s, E0403, (dfm_loc){0}, "`--set %s`: not understood", set);
        diag_help(d, "`--set dim.NAME=value` or `--set const.NAME=value`");
        return false;
    }
    const char *start = set + (is_dim ? 4 : 6);
    const char *name = dfm_strndup(s->arena, start, (size_t)(eq - start));
    const char *text = sema_fmt(s, "dfm 1\nconst %s = %s\n", name, eq + 1);
    diag_src src = diag_add_file(s->diag, "--set", text, (uint32_t)strlen(text));
    ast_file *f = ast_parse(s->arena, s->diag, src);
    if (!f->ok) return false;
    const ast_node *item = f->root->n_kids ? f->root->kids[0] : NULL;
    if (!ast_is(item, AST_CONST)) return false;
    return override(s, name, item->b, "`--set`", item->loc);
}

static bool apply_overrides(sema *s)
{
    bool ok = true;
    for (uint32_t i = 0; s->variant && i < ast_n(s->variant->c); i++) {
        const ast_node *set = ast_at(s->variant->c, i);
        if (!ast_is(set, AST_SET)) continue;
        if (sema_is_section_word(set->text)) continue;          /* the variant's default section */
        const char *from = sema_fmt(s, "variant \"%s\"", s->variant->text);
        ok &= override(s, set->text, set->a, from, set->loc);
    }
    for (uint32_t i = 0; i < s->o->n_sets; i++) ok &= apply_set(s, s->o->sets[i]);
    return ok;
}

/* -- plain evaluation, for witnesses ----------------------------------------------------------- */

static const ast_node *definition(const sema_decl *d)
{
    if (d->override) return d->override;
    return d->is_const ? d->node->b : d->node->a;
}

static bool is_call_of(const ast_node *e, const char *name)
{
    return ast_is(e, AST_CALL) && ast_is(e->a, AST_NAME) && strcmp(e->a->text, name) == 0;
}

static const ast_node *call_arg(const ast_node *call, const char *name, uint32_t position)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < call->n_kids; i++) {
        const ast_node *k = call->kids[i];
        if (k->kind == AST_ARG && strcmp(k->text, name) == 0) return k->a;
        if (k->kind != AST_ARG && n++ == position) return k;
    }
    return NULL;
}

static bool eval_int(sema_file *f, const ast_node *e, int64_t *out, int depth);

static bool eval_name(sema_file *f, const char *name, int64_t *out, int depth)
{
    sema_file *home;
    sema_decl *d = find_decl(f, name, &home, 0);
    if (!d) return false;
    if (d->witness) return *out = d->witness, true;
    return eval_int(home, definition(d), out, depth + 1);
}

static bool eval_binary(ast_op op, int64_t a, int64_t b, int64_t *out)
{
    switch (op) {
    case AST_OP_ADD: return !__builtin_add_overflow(a, b, out);
    case AST_OP_SUB: return !__builtin_sub_overflow(a, b, out);
    case AST_OP_MUL: return !__builtin_mul_overflow(a, b, out);
    case AST_OP_DIV: case AST_OP_FDIV:
        if (b <= 0) return false;
        return *out = a / b - (a % b < 0), true;
    case AST_OP_MOD:
        if (b <= 0) return false;
        return *out = a % b + (a % b < 0 ? b : 0), true;
    case AST_OP_EQ: return *out = a == b, true;
    case AST_OP_NE: return *out = a != b, true;
    case AST_OP_LT: return *out = a < b, true;
    case AST_OP_GT: return *out = a > b, true;
    case AST_OP_LE: return *out = a <= b, true;
    case AST_OP_GE: return *out = a >= b, true;
    case AST_OP_AND: return *out = a && b, true;
    case AST_OP_OR: return *out = a || b, true;
    default: return false;
    }
}

static bool eval_int(sema_file *f, const ast_node *e, int64_t *out, int depth)
{
    int64_t a, b;
    if (!e || depth > MAX_DECL_DEPTH) return false;
    switch ((ast_kind)e->kind) {
    case AST_INT: case AST_BOOL: return *out = e->num.i, true;
    case AST_NAME: return eval_name(f, e->text, out, depth + 1);
    case AST_UNARY:
        if (!eval_int(f, e->a, &a, depth + 1)) return false;
        if (e->op == AST_OP_NEG) return !__builtin_sub_overflow((int64_t)0, a, out);
        return *out = !a, true;
    case AST_BINARY:
        return eval_int(f, e->a, &a, depth + 1) && eval_int(f, e->b, &b, depth + 1) &&
               eval_binary((ast_op)e->op, a, b, out);
    default: return false;
    }
}

/* -- witnesses --------------------------------------------------------------------------------- */

typedef struct search {
    sema *s;
    DFM_VEC(sema_decl *) dims;     /* unbound */
    DFM_VEC(int64_t) hi;
    DFM_VEC(const ast_node *) requires;
    DFM_VEC(sema_file *) homes;
} search;

static void add_requires(search *w, sema_file *f, const ast_node *cond)
{
    if (ast_is(cond, AST_BINARY) && cond->op == AST_OP_AND) {
        add_requires(w, f, cond->a);
        add_requires(w, f, cond->b);
        return;
    }
    dfm_push(w->s->arena, &w->requires, cond);
    dfm_push(w->s->arena, &w->homes, f);
}

static bool taken(const search *w, int64_t v)
{
    for (uint32_t i = 0; i < w->dims.n; i++)
        if (w->dims.p[i]->witness == v) return true;
    return false;
}

static void add_unbound(search *w, sema_file *f, sema_decl *d)
{
    const ast_node *def = definition(d);
    int64_t lo = 1, hi = INT32_MAX, given;
    bool ragged = is_call_of(def, "ragged");
    if (d->is_const || (def && !is_call_of(def, "dynamic") && !ragged)) return;
    if (def && !ragged) {
        const ast_node *range = call_arg(def, "range", 0), *value = call_arg(def, "default", 1);
        if (value && eval_int(f, value, &given, 0)) return;
        if (ast_is(range, AST_RANGE)) {
            if (!eval_int(f, range->a, &lo, 0)) lo = 1;
            if (!eval_int(f, range->b, &hi, 0)) hi = INT32_MAX;
        }
    }
    int64_t v = lo < 2 ? 2 : lo;
    if (v > hi) v = hi;
    if (ragged) {                            /* runs of equal length, a multiple of what is asked */
        int64_t over = 2, step = 3;
        const ast_node *of = call_arg(def, "over", 0), *by = call_arg(def, "multiple", 9);
        if (of) eval_int(f, of, &over, 0);
        if (by && w->s->o->check_only) eval_int(f, by, &step, 0); /* runs as files have them */
        if (step < 1 || step > 1 << 20 || over < 1 || over > 1 << 20) step = over = 1;
        for (v = over * step; taken(w, v); v += over * step) {}
        lo = hi = v;
    }
    while (v < hi && taken(w, v)) v++;
    d->witness = v;
    dfm_push(w->s->arena, &w->dims, d);
    dfm_push(w->s->arena, &w->hi, hi);
}

static bool require_holds(const search *w, uint32_t i)
{
    int64_t yes;
    return !eval_int(w->homes.p[i], w->requires.p[i], &yes, 0) || yes;
}

/* Raise one dim until requirement i holds. */
static bool repair(search *w, uint32_t i)
{
    for (uint32_t k = 0; k < w->dims.n; k++) {
        int64_t before = w->dims.p[k]->witness;
        for (int64_t v = before + 1; v <= w->hi.p[k] && v < before + MAX_TRIES; v++) {
            w->dims.p[k]->witness = v;
            if (require_holds(w, i)) return true;
        }
        w->dims.p[k]->witness = before;
    }
    return false;
}

static void find_witnesses(sema *s)
{
    search w = {.s = s};
    for (uint32_t i = 0; i < s->files.n; i++) {
        sema_file *f = s->files.p[i];
        if (f->is_std) continue;
        for (uint32_t k = 0; k < f->decls.n; k++) add_unbound(&w, f, &f->decls.p[k]);
        for (uint32_t k = 0; k < f->sections.n; k++)
            if (f->sections.p[k]->kind == AST_REQUIRE) add_requires(&w, f, f->sections.p[k]->a);
    }
    bool again = w.dims.n > 0;
    for (int round = 0; again && round < MAX_ROUNDS; round++) {
        again = false;
        for (uint32_t i = 0; i < w.requires.n; i++)
            if (!require_holds(&w, i)) again |= repair(&w, i);
    }
}

/* -- evaluation -------------------------------------------------------------------------------- */

static bool witnesses(const sema *s) { return s->o->check_only || s->o->witnesses; }

static sema_value unbound(sema *s, const sema_decl *d)
{
    diag *e = sema_error(s, E0301, d->node->loc, "dim `%s` has no value", d->name);
    diag_help(e, "give it one: `--set dim.%s=8`", d->name);
    diag_note(e, "or a value used when none is given: `dynamic(lo..hi, value)`");
    return sema_poison();
}

static sema_value dynamic_dim(sema *s, const sema_decl *d, const ast_node *call)
{
    int64_t lo = 1, hi = INT64_MAX / 4, v = 0;
    const ast_node *range = call ? call_arg(call, "range", 0) : NULL;
    const ast_node *value = call ? call_arg(call, "default", 1) : NULL;
    if (call && !ast_is(range, AST_RANGE)) {
        sema_error(s, E0407, call->loc, "`dynamic` takes a range, and maybe a value: "
                                        "dynamic(lo..hi, value)");
        return sema_poison();
    }
    if (range) {
        sema_value a = sema_dim_expr(s, range->a), b = sema_dim_expr(s, range->b);
        if (!sema_need_int(s, a, range->loc, "a range", &lo) ||
            !sema_need_int(s, b, range->loc, "a range", &hi))
            return sema_poison();
    }
    bool has_value = value != NULL;
    if (value && !sema_need_int(s, sema_dim_expr(s, value), value->loc, "the value of a dim", &v))
        return sema_poison();
    if (!has_value && !witnesses(s)) return unbound(s, d);
    if (!has_value) v = d->witness ? d->witness : lo;
    if (v < lo || v > hi || lo < 1) {
        diag *e = sema_error(s, E0302, value ? value->loc : d->node->loc,
                             "%lld is not in %lld..%lld", (long long)v, (long long)lo,
                             (long long)hi);
        diag_label(e, d->node->loc, "the range of this dim");
        return sema_poison();
    }
    return sema_of_dim(sema_dim_base(s, d->name, v, false, !has_value, NULL, d->node->loc));
}

static sema_value ragged_dim(sema *s, const sema_decl *d, const ast_node *call)
{
    const ast_node *of = call_arg(call, "over", 0);
    if (!of) {
        sema_error(s, E0407, call->loc, "`ragged` names the dim of samples: ragged(B, max=65536)");
        return sema_poison();
    }
    sema_value v = sema_dim_expr(s, of);
    const sema_dim *over = sema_bad(v) ? NULL : sema_need_dim(s, v, of->loc, "`ragged`");
    if (!over) return sema_poison();
    if (!witnesses(s)) {
        diag *e = sema_error(s, E0317, d->node->loc, "dim `%s` is ragged; ragged dims are checked, "
                                                     "not compiled", d->name);
        diag_help(e, "`--set dim.%s=1024` makes it a plain dim, if the program needs no runs",
                  d->name);
        return sema_poison();
    }
    int64_t n = d->witness ? d->witness : over->value * 3;
    return sema_of_dim(sema_dim_base(s, d->name, n, false, true, over, d->node->loc));
}

static sema_value evaluate_dim(sema *s, const sema_decl *d)
{
    const ast_node *def = definition(d);
    if (!def) return dynamic_dim(s, d, NULL);
    if (is_call_of(def, "dynamic")) return dynamic_dim(s, d, def);
    if (is_call_of(def, "ragged")) return ragged_dim(s, d, def);
    sema_value v = sema_dim_expr(s, def);
    if (sema_bad(v)) return v;
    const sema_dim *x = sema_need_dim(s, v, def->loc, sema_fmt(s, "dim `%s`", d->name));
    if (!x) return sema_poison();
    if (v.kind == SV_INT)
        return sema_of_dim(sema_dim_base(s, d->name, v.u.i, true, false, NULL, d->node->loc));
    return sema_of_dim(sema_dim_named(s, d->name, x, d->node->loc));
}

/* `const X: f32 = 2` is a float, `const N: i32 = 2.5` an error. */
static sema_value typed_const(sema *s, const ast_node *type, sema_value v)
{
    dfm_dtype dt;
    bool any;
    double x;
    int64_t whole;
    if (!ast_is(type, AST_TYPE) || !type->text) return v;
    if (!sema_dtype_of_name(type->text, &dt, &any) || ast_n(type->a)) {
        sema_error(s, E0311, type->loc, "the type of a constant is f32, i32 or bool");
        return sema_poison();
    }
    if (any || (dt == DFM_BOOL && v.kind == SV_BOOL)) return v;
    if (dfm_dtype_is_float(dt) && sema_is_number(v, &x)) return sema_float(x);
    if (dt != DFM_BOOL && !dfm_dtype_is_float(dt) && sema_is_int(v, &whole)) return v;
    sema_error(s, E0312, type->loc, "the constant is %s, and its value is %s", type->text,
               sema_value_text(s, v));
    return sema_poison();
}

static sema_value evaluate_const(sema *s, const sema_decl *d)
{
    const ast_node *def = definition(d);
    sema_value v = sema_expr(s, def);
    if (sema_bad(v)) return v;
    bool ok = v.kind == SV_INT || v.kind == SV_FLOAT || v.kind == SV_BOOL || v.kind == SV_STRING ||
              v.kind == SV_DIM || v.kind == SV_TUPLE;
    if (ok) return typed_const(s, d->node->a, v);
    double x;
    if (v.kind == SV_TENSOR && sema_need_number(s, v, def->loc, "`const`", &x))
        return sema_float(x);
    if (v.kind != SV_TENSOR)
        sema_error(s, E0313, def->loc, "a constant is a number, a string, a condition or a tuple");
    return sema_poison();
}

static sema_value evaluate(sema *s, sema_file *f, sema_decl *d)
{
    if (d->state == SD_DONE) return d->v;
    if (d->state == SD_BUSY) {
        diag *e =
            sema_error(s, E0303, d->node->loc, "the value of `%s` depends on itself", d->name);
        diag_label(e, definition(d) ? definition(d)->loc : d->node->loc, "through this");
        return sema_poison();
    }
    d->state = SD_BUSY;
    sema_act *before = s->act;
    bool in_dims = s->in_dim_expr;
    s->act = NULL;
    sema_act *own = sema_act_begin(s, NULL, f, (dfm_loc){0});
    own->compute = DFM_F32;
    sema_value v = d->is_const ? evaluate_const(s, d) : evaluate_dim(s, d);
    s->act = before;
    s->in_dim_expr = in_dims;
    d->v = v;
    d->state = SD_DONE;
    return v;
}

bool sema_file_name(sema *s, sema_file *f, const char *name, sema_value *out)
{
    sema_file *home;
    sema_decl *d = f ? find_decl(f, name, &home, 0) : NULL;
    if (!d) return false;
    *out = evaluate(s, home, d);
    return true;
}

static void check_requires(sema *s, sema_file *f)
{
    for (uint32_t i = 0; i < f->sections.n; i++)
        if (f->sections.p[i]->kind == AST_REQUIRE) sema_require(s, f->sections.p[i]);
}

/* Facts of divisibility between base dims come first: normal forms are built under them. False if
 * one does not hold: the divisions that rely on it are better not evaluated. */
static bool early_facts(sema *s, sema_file *f)
{
    bool ok = true;
    for (uint32_t i = 0; i < f->sections.n; i++)
        if (f->sections.p[i]->kind == AST_REQUIRE) ok &= sema_require_facts(s, f->sections.p[i]->a);
    return ok;
}

/* `dim S = Gy * Gx` declares the factors of S. */
static void declared_factors(sema *s, sema_decl *d)
{
    const ast_node *e = definition(d);
    const sema_dim *group[IR_MAX_FACTORS];
    uint32_t n = 0;
    if (d->is_const || d->v.kind != SV_DIM || !d->v.u.dim->name || d->v.u.dim->value < 1) return;
    const ast_node *parts[IR_MAX_FACTORS];
    for (; ast_is(e, AST_BINARY) && e->op == AST_OP_MUL; e = e->a) {
        if (n + 1 >= IR_MAX_FACTORS) return;
        parts[n++] = e->b;
    }
    if (!n || !e) return;
    parts[n++] = e;
    for (uint32_t i = 0; i < n; i++) {
        if (parts[n - 1 - i]->kind != AST_NAME) return;
        sema_value v;
        if (!sema_file_name(s, s->act->file, parts[n - 1 - i]->text, &v)) return;
        if (v.kind != SV_DIM || v.u.dim->value < 1) return;
        group[i] = v.u.dim;
        for (uint32_t k = 0; k < i; k++)
            if (group[k] == group[i]) return;
    }
    sema_dim_factors(s, d->v.u.dim, group, n, d->node->loc);
}

bool sema_declare_file(sema *s)
{
    if (!apply_overrides(s)) return false;
    if (witnesses(s)) find_witnesses(s);
    uint32_t errors = diag_n_errors(s->diag);
    for (uint32_t i = 0; i < s->files.n; i++) {
        sema_file *f = s->files.p[i];
        sema_act *own = sema_act_begin(s, NULL, f, (dfm_loc){0});
        own->compute = DFM_F32;
        bool facts = early_facts(s, f);
        for (uint32_t k = 0; facts && k < f->decls.n; k++) evaluate(s, f, &f->decls.p[k]);
        bool fine = diag_n_errors(s->diag) == errors;
        for (uint32_t k = 0; facts && fine && k < f->decls.n; k++)
            declared_factors(s, &f->decls.p[k]);
        if (fine) check_requires(s, f);
        sema_act_end(s);
    }
    return diag_n_errors(s->diag) == errors;
}

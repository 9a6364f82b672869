/* sema_layout.c - layout sections: what they name exists, and their lines fit together. Layouts
 * are applied by later passes; this checks every layout of the file, whether used or not. */
#include <string.h>

#include "compiler/front/sema.h"

enum { MAX_AXES = 16 };

typedef struct layout_check {
    sema *s;
    const ast_node *node;
    const char *axis[MAX_AXES];
    dfm_loc axis_loc[MAX_AXES];
    uint32_t n_axes;
    const char *seen_dim[64], *seen_axis[64];        /* `shard` pairs */
    uint32_t n_seen;
    const ast_node *mesh;
} layout_check;

/* -- mesh ------------------------------------------------------------------------------------- */

static void mesh_axis(layout_check *c, const ast_node *set)
{
    sema *s = c->s;
    int64_t n;
    for (uint32_t i = 0; i < c->n_axes; i++) {
        if (strcmp(c->axis[i], set->text)) continue;
        diag *d = sema_error(s, E0704, set->loc, "axis `%s` is listed twice", set->text);
        diag_label(d, c->axis_loc[i], "first here");
        return;
    }
    if (c->n_axes == MAX_AXES) {
        sema_error(s, E0704, set->loc, "a mesh has at most %d axes", MAX_AXES);
        return;
    }
    c->axis_loc[c->n_axes] = set->loc;
    c->axis[c->n_axes++] = set->text;
    if (ast_is(set->a, AST_NAME) && !strcmp(set->a->text, "auto")) return;
    sema_value v = sema_expr(s, set->a);
    if (sema_bad(v) || !sema_need_int(s, v, set->a->loc, "the size of an axis", &n)) return;
    if (n < 1)
        sema_error(s, E0704, set->a->loc, "axis `%s` has size %lld", set->text, (long long)n);
}

static void check_mesh(layout_check *c, const ast_node *n)
{
    if (c->mesh) {
        diag *d = sema_error(c->s, E0704, n->loc, "a second `mesh`");
        diag_label(d, c->mesh->loc, "the first one");
        return;
    }
    c->mesh = n;
    for (uint32_t i = 0; i < n->n_kids; i++) mesh_axis(c, n->kids[i]);
}

static bool known_axis(layout_check *c, const ast_node *n)
{
    if (!n->text) return false;
    for (uint32_t i = 0; i < c->n_axes; i++)
        if (!strcmp(c->axis[i], n->text)) return true;
    diag *d = sema_error(c->s, E0701, n->loc, "the mesh of layout `%s` has no axis `%s`",
                         c->node->text, n->text);
    if (c->mesh) diag_label(d, c->mesh->loc, "axes");
    sema_suggest(c->s, d, n->text, c->axis, c->n_axes);
    return false;
}

/* -- dims ------------------------------------------------------------------------------------- */

static bool is_reserved(const char *name)
{
    return !strcmp(name, "params") || !strcmp(name, "grads") || !strcmp(name, "optim");
}

static bool known_dim(layout_check *c, const ast_node *n)
{
    sema *s = c->s;
    sema_value v;
    if (!n->text) return false;
    if (sema_file_name(s, s->main, n->text, &v) && (v.kind == SV_DIM || sema_bad(v))) return true;
    const char *names[256];
    uint32_t k = 0;
    for (uint32_t i = 0; i < s->main->decls.n && k < DFM_LEN(names); i++)
        if (!s->main->decls.p[i].is_const) names[k++] = s->main->decls.p[i].name;
    diag *d = sema_error(s, E0702, n->loc, "the file has no dim `%s`", n->text);
    sema_suggest(s, d, n->text, names, k);
    return false;
}

static void sharded_once(layout_check *c, const ast_node *dim, const ast_node *axis)
{
    for (uint32_t i = 0; i < c->n_seen; i++) {
        if (strcmp(c->seen_dim[i], dim->text) || strcmp(c->seen_axis[i], axis->text)) continue;
        sema_error(c->s, E0704, axis->loc, "`%s` is sharded on `%s` already", dim->text,
                   axis->text);
        return;
    }
    if (c->n_seen == DFM_LEN(c->seen_dim)) return;
    c->seen_dim[c->n_seen] = dim->text;
    c->seen_axis[c->n_seen++] = axis->text;
}

/* -- names of functions and repeats ----------------------------------------------------------- */

typedef struct repeat_names { const char *p[64]; uint32_t n; } repeat_names;

static void add_repeats(const ast_node *list, repeat_names *out)
{
    for (uint32_t i = 0; i < ast_n(list); i++) {
        const ast_node *st = ast_at(list, i);
        if (st->kind == AST_REPEAT && out->n < DFM_LEN(out->p)) out->p[out->n++] = st->text;
        if (st->kind == AST_REPEAT || st->kind == AST_IF) add_repeats(st->c, out);
        if (st->kind == AST_IF && st->d) add_repeats(st->d, out);
    }
}

static void known_name(layout_check *c, const ast_node *n, bool repeats, const char *what)
{
    sema *s = c->s;
    sema_fn fn;
    repeat_names names = {0};
    if (!n->text || n->kind == AST_STRING) return;
    for (uint32_t i = 0; repeats && i < s->main->fns.n; i++)
        add_repeats(s->main->fns.p[i].node->c, &names);
    for (uint32_t i = 0; i < names.n; i++)
        if (!strcmp(names.p[i], n->text)) return;
    if (sema_find_fn(s, s->main, n->text, &fn) || sema_is_builtin(n->text)) return;
    diag *d = sema_error(s, E0703, n->loc, "no %s is called `%s`", what, n->text);
    sema_suggest(s, d, n->text, names.p, names.n);
    diag_help(d, "parts of parameter paths are written as strings: \"ffn.0\"");
}

/* -- lines ------------------------------------------------------------------------------------ */

static void check_shard(layout_check *c, const ast_node *n)
{
    bool ok = true;
    for (uint32_t i = 0; i < ast_n(n->b); i++) ok &= known_axis(c, ast_at(n->b, i));
    for (uint32_t i = 0; i < ast_n(n->a); i++) {
        const ast_node *d = ast_at(n->a, i);
        if (d->text && is_reserved(d->text)) continue;
        ok &= known_dim(c, d);
        for (uint32_t k = 0; ok && !n->d && k < ast_n(n->b); k++)
            sharded_once(c, d, ast_at(n->b, k));
    }
    for (uint32_t i = 0; n->d && i < ast_n(n->d); i++)
        known_name(c, ast_at(n->d, i), false, "function");
}

static void check_bucket(layout_check *c, const ast_node *n)
{
    uint32_t dims = ast_n(n->a);
    for (uint32_t i = 0; i < dims; i++) known_dim(c, ast_at(n->a, i));
    if (!ast_is(n->b, AST_ARRAY)) {
        sema_error(c->s, E0704, n->b->loc, "`bucket` lists its values in `[...]`");
        return;
    }
    for (uint32_t i = 0; i < n->b->n_kids; i++) {
        const ast_node *k = n->b->kids[i];
        uint32_t have = ast_is(k, AST_TUPLE) ? k->n_kids : 1;
        if (k->kind == AST_ERROR || have == dims) continue;
        sema_error(c->s, E0704, k->loc, "%u value%s for %u dim%s", have, have == 1 ? "" : "s", dims,
                   dims == 1 ? "" : "s");
    }
}

static void check_line(layout_check *c, const ast_node *n)
{
    switch (n->kind) {
    case AST_SHARD: check_shard(c, n); return;
    case AST_PIPELINE:
        known_axis(c, n->b);
        for (uint32_t i = 0; i < ast_n(n->a); i++) known_name(c, ast_at(n->a, i), true, "repeat");
        return;
    case AST_RECOMPUTE:
        for (uint32_t i = 0; i < ast_n(n->a); i++)
            known_name(c, ast_at(n->a, i), true, "repeat or block");
        for (uint32_t i = 0; n->b && i < ast_n(n->b); i++)
            known_name(c, ast_at(n->b, i), false, "function");
        return;
    case AST_BUCKET: check_bucket(c, n); return;
    case AST_REQUIRE: sema_require(c->s, n); return;
    default: return;
    }
}

static void check_layout(sema *s, const ast_node *layout)
{
    layout_check c = {.s = s, .node = layout};
    for (uint32_t i = 0; i < ast_n(layout->c); i++)
        if (ast_at(layout->c, i)->kind == AST_MESH) check_mesh(&c, ast_at(layout->c, i));
    if (!c.mesh) {
        diag *d = sema_error(s, E0704, layout->name_loc, "layout `%s` has no `mesh`", layout->text);
        diag_help(d, "list the axes, outermost first: `mesh dp=2, tp=4`");
    }
    for (uint32_t i = 0; i < ast_n(layout->c); i++) check_line(&c, ast_at(layout->c, i));
}

bool sema_check_layouts(sema *s)
{
    uint32_t before = diag_n_errors(s->diag);
    for (uint32_t i = 0; i < s->main->sections.n; i++) {
        const ast_node *n = s->main->sections.p[i];
        if (n->kind != AST_LAYOUT) continue;
        sema_root_begin(s, "layout");
        sema_act_begin(s, n, s->main, n->name_loc);
        check_layout(s, n);
        sema_act_end(s);
        sema_root_end(s);
    }
    return diag_n_errors(s->diag) == before;
}

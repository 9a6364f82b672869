/* sema_scope.c - names of values and of functions, and what to suggest for unknown ones. */
#include <string.h>

#include "compiler/front/sema.h"

/* -- values ------------------------------------------------------------------------------------ */

static sema_binding *find_in(sema_scope *sc, const char *name)
{
    for (uint32_t i = 0; i < sc->names.n; i++)
        if (strcmp(sc->names.p[i].name, name) == 0) return &sc->names.p[i];
    return NULL;
}

static sema_binding *find_local(sema_act *a, const char *name)
{
    for (sema_scope *sc = a ? a->scope : NULL; sc; sc = sc->parent) {
        sema_binding *b = find_in(sc, name);
        if (b) return b;
    }
    return NULL;
}

void sema_set(sema *s, const char *name, sema_value v)
{
    sema_scope *sc = s->act->scope;
    sema_binding *b = find_in(sc, name);
    if (b) b->v = v;
    else dfm_push(s->arena, &sc->names, ((sema_binding){.name = name, .v = v}));
}

bool sema_assign(sema *s, const char *name, sema_value v, bool drawn, dfm_loc loc)
{
    sema_scope *sc = s->act->scope;
    sema_binding *own = find_in(sc, name), *b = own ? own : find_local(s->act, name);
    if (b && b->drawn) {
        diag *d = sema_error(s, E0406, loc, "`%s` was drawn at random and keeps its value", name);
        diag_label(d, b->v.loc, "drawn here");
        diag_help(d, "use a new name");
        return false;
    }
    if (b && !own) {
        diag *d = sema_error(s, E0417, loc, "`%s` gets a new value in the body of a repeat, and "
                                            "loses it at the end", name);
        diag_help(d, "carry it: `repeat ... with %s`, or use a new name in the body", name);
        return false;
    }
    sema_set(s, name, v);
    if (drawn) find_in(sc, name)->drawn = true;
    return true;
}

bool sema_local(sema *s, const char *name, sema_value *out)
{
    sema_binding *b = find_local(s->act, name);
    if (!b) return false;
    b->used = true;
    *out = b->v;
    return true;
}

void sema_suggest(sema *s, diag *d, const char *word, const char *const *candidates, uint32_t n)
{
    const char *near = dfm_nearest(word, candidates, n);
    if (near) diag_help(d, "did you mean `%s`?", near);
}

typedef DFM_VEC(const char *) name_list;

static void file_value_names(sema *s, sema_file *f, name_list *out, int depth)
{
    for (uint32_t i = 0; i < f->decls.n; i++) dfm_push(s->arena, out, f->decls.p[i].name);
    for (uint32_t i = 0; i < f->imports.n && depth < 8; i++)
        if (!f->imports.p[i].alias) file_value_names(s, f->imports.p[i].file, out, depth + 1);
}

sema_value sema_name(sema *s, const char *name, dfm_loc loc)
{
    sema_value v;
    if (sema_local(s, name, &v)) return v;
    if (s->act && strcmp(name, "named") == 0) return sema_bool(s->act->named);
    sema_file *f = s->act ? s->act->file : s->main;
    if (sema_file_name(s, f, name, &v)) return v;
    sema_fn fn;
    diag *d = sema_error(s, E0401, loc, "unknown name `%s`", name);
    if (!d) return sema_poison();
    name_list names = {0};
    for (sema_scope *sc = s->act ? s->act->scope : NULL; sc; sc = sc->parent)
        for (uint32_t i = sc->names.n; i-- > 0;) dfm_push(s->arena, &names, sc->names.p[i].name);
    file_value_names(s, f, &names, 0);
    if (sema_is_builtin(name) || sema_find_fn(s, f, name, &fn))
        diag_help(d, "`%s` is a function: write `%s(...)`", name, name);
    else sema_suggest(s, d, name, names.p, names.n);
    if (name[0] >= 'A' && name[0] <= 'Z')
        diag_help(d, "a dim is declared, at the top or in a body: `dim %s = ...`", name);
    return sema_poison();
}

/* -- functions --------------------------------------------------------------------------------- */

static bool fn_in_file(sema_file *f, const char *name, sema_fn *out, int depth)
{
    for (uint32_t i = 0; i < f->fns.n; i++)
        if (strcmp(f->fns.p[i].node->text, name) == 0) return *out = f->fns.p[i], true;
    for (uint32_t i = 0; i < f->imports.n && depth < 8; i++)
        if (!f->imports.p[i].alias && fn_in_file(f->imports.p[i].file, name, out, depth + 1))
            return true;
    return false;
}

bool sema_find_fn(sema *s, sema_file *f, const char *name, sema_fn *out)
{
    if (f && fn_in_file(f, name, out, 0)) return true;
    return s->prelude && fn_in_file(s->prelude, name, out, 0);
}

sema_file *sema_alias(sema *s, sema_file *f, const char *name)
{
    for (uint32_t i = 0; f && i < f->imports.n; i++)
        if (f->imports.p[i].alias && strcmp(f->imports.p[i].alias, name) == 0)
            return f->imports.p[i].file;
    return NULL;
}

static void file_fn_names(sema *s, sema_file *f, name_list *out, int depth)
{
    for (uint32_t i = 0; i < f->fns.n; i++) dfm_push(s->arena, out, f->fns.p[i].node->text);
    for (uint32_t i = 0; i < f->imports.n && depth < 8; i++)
        if (!f->imports.p[i].alias) file_fn_names(s, f->imports.p[i].file, out, depth + 1);
}

void sema_unknown_fn(sema *s, sema_file *f, const char *name, dfm_loc loc)
{
    sema_value v;
    diag *d = sema_error(s, E0402, loc, "unknown function `%s`", name);
    if (!d) return;
    if (sema_local(s, name, &v)) {
        diag_help(d, "`%s` is a value; elements are taken with `%s[...]`", name, name);
        return;
    }
    if (sema_foreign(name)) {
        diag_help(d, "%s", sema_foreign(name));
        return;
    }
    name_list names = {0};
    file_fn_names(s, f, &names, 0);
    if (s->prelude) file_fn_names(s, s->prelude, &names, 0);
    for (const char *const *b = sema_builtin_names(); *b; b++) dfm_push(s->arena, &names, *b);
    sema_suggest(s, d, name, names.p, names.n);
}

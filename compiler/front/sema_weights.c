/* sema_weights.c - weights sections: the names and shapes that published files have.
 *
 * A map's pattern matches a prefix of whole segments of a parameter's path; `{x}` stands for the
 * text of one segment or a part of it. The first map that matches wins; the rest of the path is
 * appended. Paths that nothing matches stay as they are.
 */
#include <string.h>

#include "compiler/front/sema.h"

enum { MAX_VARS = 8 };

typedef struct capture { const char *name, *text; uint32_t n_name, n_text; } capture;
typedef struct match { capture var[MAX_VARS]; uint32_t n; const char *rest; } match;

static const char *segment_end(const char *p)
{
    while (*p && *p != '.') p++;
    return p;
}

/* Match pattern segment [p, pe) with text segment [t, te); literals are greedy to the left. */
static bool match_segment(const char *p, const char *pe, const char *t, const char *te, match *m)
{
    while (p < pe && *p != '{') {
        if (t == te || *p != *t) return false;
        p++;
        t++;
    }
    if (p == pe) return t == te;
    const char *close = memchr(p, '}', (size_t)(pe - p));
    if (!close || m->n == MAX_VARS) return false;
    uint32_t at = m->n++;
    for (const char *end = te; end > t; end--) {
        m->var[at] = (capture){p + 1, t, (uint32_t)(close - p - 1), (uint32_t)(end - t)};
        m->n = at + 1;
        if (match_segment(close + 1, pe, end, te, m)) return true;
    }
    m->n = at;
    return false;
}

static bool match_path(const char *pattern, const char *path, match *m)
{
    *m = (match){0};
    for (;;) {
        const char *pe = segment_end(pattern), *te = segment_end(path);
        if (!match_segment(pattern, pe, path, te, m)) return false;
        if (!*pe) {
            m->rest = te;
            return true;
        }
        if (!*te) return false;
        pattern = pe + 1;
        path = te + 1;
    }
}

static const capture *find_capture(const match *m, const char *name, size_t n)
{
    for (uint32_t i = 0; i < m->n; i++)
        if (m->var[i].n_name == n && !memcmp(m->var[i].name, name, n)) return &m->var[i];
    return NULL;
}

static const char *substitute(sema *s, const char *to, const match *m)
{
    dfm_sb sb = dfm_sb_make(s->arena);
    while (*to) {
        const char *close = *to == '{' ? strchr(to, '}') : NULL;
        const capture *c = close ? find_capture(m, to + 1, (size_t)(close - to - 1)) : NULL;
        if (c) {
            dfm_sb_add(&sb, c->text, c->n_text);
            to = close + 1;
        } else {
            dfm_sb_add(&sb, to++, 1);
        }
    }
    dfm_sb_puts(&sb, m->rest);
    return dfm_sb_cstr(&sb);
}

/* -- checking maps ----------------------------------------------------------------------------- */

/* Names in braces of a text, up to MAX_VARS; false if braces do not pair or cross a dot. */
static bool names_in(const char *text, match *out)
{
    *out = (match){0};
    for (const char *p = text; *p; p++) {
        if (*p == '}') return false;
        if (*p != '{') continue;
        const char *close = strchr(p, '}');
        if (!close || close == p + 1 || out->n == MAX_VARS) return false;
        for (const char *q = p + 1; q < close; q++)
            if (*q == '.' || *q == '{') return false;
        out->var[out->n++] = (capture){.name = p + 1, .n_name = (uint32_t)(close - p - 1)};
        p = close;
    }
    return *text != 0;
}

static bool check_map(sema *s, const ast_node *map)
{
    match from, to;
    const ast_node *sides[] = {map->a, map->b};
    for (uint32_t i = 0; i < 2; i++) {
        if (!ast_is(sides[i], AST_STRING)) return false;
        if (names_in(sides[i]->text, i ? &to : &from)) continue;
        sema_error(s, E0801, sides[i]->loc,
                   "`{x}` stands for a part of one segment, and has a name");
        return false;
    }
    for (uint32_t i = 0; i < to.n; i++) {
        if (find_capture(&from, to.var[i].name, to.var[i].n_name)) continue;
        sema_error(s, E0801, map->b->loc, "`{%.*s}` does not occur on the left",
                   (int)to.var[i].n_name, to.var[i].name);
        return false;
    }
    for (uint32_t i = 0; i < from.n; i++) {
        if (find_capture(&to, from.var[i].name, from.var[i].n_name)) continue;
        diag *d = sema_error(s, E0802, map->b->loc, "`{%.*s}` is lost, so different parameters get "
                             "one name", (int)from.var[i].n_name, from.var[i].name);
        diag_label(d, map->a->loc, "taken here");
        return false;
    }
    return true;
}

/* -- via -------------------------------------------------------------------------------------- */

static void bad_via(sema *s, const ast_node *via, const char *why)
{
    diag *d = sema_error(s, E0803, via->loc, "%s", why);
    diag_help(d, "`reshape()`, `reshape(dims of the file)` and `squeeze(place)` are known");
}

static bool via_reshape(sema *s, const ast_node *via, ir_param *p)
{
    uint64_t have = 1, want = 1;
    int64_t shape[IR_MAX_RANK];
    p->reshape_any = true;
    if (!via->n_kids) return true;
    if (via->n_kids > IR_MAX_RANK) {
        bad_via(s, via, "too many dims");
        return false;
    }
    for (uint32_t i = 0; i < p->file_rank; i++) have *= (uint64_t)p->file_shape[i];
    for (uint32_t i = 0; i < via->n_kids; i++) {
        sema_value v = sema_dim_expr(s, via->kids[i]);
        if (sema_bad(v)) return false;
        if (!sema_need_int(s, v, via->kids[i]->loc, "a dim of `reshape`", &shape[i])) return false;
        want *= (uint64_t)shape[i];
    }
    if (have != want) {
        diag *d =
            sema_error(s, E0803, via->loc, "`reshape` gives %llu elements to a parameter of %llu",
                       (unsigned long long)want, (unsigned long long)have);
        diag_note(d, "the parameter is `%s`", dfm_name_str(s->m->names, p->path));
        return false;
    }
    p->file_rank = (uint8_t)via->n_kids;
    memcpy(p->file_shape, shape, sizeof shape);
    return true;
}

static bool via_squeeze(sema *s, const ast_node *via, ir_param *p)
{
    int64_t at = 0;
    if (via->n_kids != 1 || p->file_rank == IR_MAX_RANK) {
        bad_via(s, via, "`squeeze` takes the place of one dim");
        return false;
    }
    sema_value v = sema_expr(s, via->kids[0]);
    if (sema_bad(v) || !sema_need_int(s, v, via->loc, "the place of `squeeze`", &at)) return false;
    if (at < 0 || at > p->file_rank) {
        bad_via(s, via, "the file has no such dim");
        return false;
    }
    memmove(p->file_shape + at + 1, p->file_shape + at,
            (size_t)(p->file_rank - at) * sizeof *p->file_shape);
    p->file_shape[at] = 1;
    p->file_rank++;
    return true;
}

static bool apply_via(sema *s, const ast_node *via, ir_param *p)
{
    if (!via) return true;
    if (ast_is(via, AST_CALL) && ast_is(via->a, AST_NAME)) {
        if (!strcmp(via->a->text, "reshape")) return via_reshape(s, via, p);
        if (!strcmp(via->a->text, "squeeze")) return via_squeeze(s, via, p);
    }
    bad_via(s, via, "this way of reading is not known");
    return false;
}

/* -- the section ------------------------------------------------------------------------------ */

static void set_line(sema *s, const ast_node *n)
{
    static const char *const names[] = {"strict", "folder"};
    if (!strcmp(n->text, "strict") && ast_is(n->a, AST_BOOL)) s->m->weights_strict = n->a->num.i;
    else if (!strcmp(n->text, "folder") && ast_is(n->a, AST_STRING))
        s->m->weights_folder = dfm_strdup(s->m->arena, n->a->text);
    else {
        diag *d = sema_error(s, E0801, n->loc, "a weights section has no such setting");
        diag_help(d, "`strict = true` or `folder = \"transformer\"`");
        sema_suggest(s, d, n->text, names, DFM_LEN(names));
    }
}

static void apply_maps(sema *s, const ast_node *section, bool *used)
{
    for (uint32_t i = 0; i < s->m->params.n; i++) {
        ir_param *p = &s->m->params.p[i];
        const char *path = dfm_name_str(s->m->names, p->path);
        for (uint32_t k = 0; k < ast_n(section->c); k++) {
            const ast_node *n = ast_at(section->c, k);
            match m;
            if (n->kind != AST_MAP || !match_path(n->a->text, path, &m)) continue;
            used[k] = true;
            p->published = dfm_intern(s->m->names, substitute(s, n->b->text, &m));
            if (!apply_via(s, n->c, p)) return;
            break;
        }
    }
}

static void check_injective(sema *s, const ast_node *section)
{
    const ir_module *m = s->m;
    for (uint32_t i = 0; i < m->params.n; i++)
        for (uint32_t k = 0; k < i; k++) {
            if (!dfm_name_eq(m->params.p[i].published, m->params.p[k].published)) continue;
            diag *d = sema_error(s, E0802, section->name_loc,
                                 "two parameters are called \"%s\" in the "
                                 "file",
                                 dfm_name_str(m->names, m->params.p[i].published));
            diag_label(d, m->params.p[k].loc, "`%s`", dfm_name_str(m->names, m->params.p[k].path));
            diag_label(d, m->params.p[i].loc, "`%s`", dfm_name_str(m->names, m->params.p[i].path));
            return;
        }
}

static void warn_unused(sema *s, const ast_node *section, const bool *used)
{
    for (uint32_t k = 0; k < ast_n(section->c); k++) {
        const ast_node *n = ast_at(section->c, k);
        if (n->kind != AST_MAP || used[k]) continue;
        diag *d = diag_warning(s->diag, DIAG_E0804, n->a->loc, "no parameter is called \"%s\"",
                               n->a->text);
        diag_help(d, "`dfmc params` lists the paths; an earlier map may have taken it");
    }
}

bool sema_apply_weights(sema *s, const ast_node *section)
{
    uint32_t before = diag_n_errors(s->diag);
    for (uint32_t i = 0; i < s->m->params.n; i++)
        if (!s->m->params.p[i].published.i) s->m->params.p[i].published = s->m->params.p[i].path;
    if (!section) return true;
    for (uint32_t k = 0; k < ast_n(section->c); k++) {
        const ast_node *n = ast_at(section->c, k);
        if (n->kind == AST_SET) set_line(s, n);
        if (n->kind == AST_MAP && !check_map(s, n)) return false;
    }
    bool *used = dfm_new_n(s->arena, bool, ast_n(section->c) + 1);
    sema_act_begin(s, section, s->main, section->name_loc);
    apply_maps(s, section, used);
    sema_act_end(s);
    if (diag_n_errors(s->diag) == before) check_injective(s, section);
    if (diag_n_errors(s->diag) == before) warn_unused(s, section, used);
    return diag_n_errors(s->diag) == before;
}

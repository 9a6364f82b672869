/* sema_precision.c - precision sections: which element type an omitted one is, and where. */
#include <string.h>

#include "compiler/front/sema.h"

typedef struct prec_keep {
    const char *name;              /* of a function, or a pattern of paths */
    bool is_pattern, used;
    dfm_loc loc;
} prec_keep;

struct sema_prec {
    dfm_dtype params, compute, reduce, optim;
    bool plain;                    /* plain, or a section called f32: see sema_precision_data */
    DFM_VEC(prec_keep) keeps;
};

/* `*` stands for any text, dots included. */
static bool glob(const char *pattern, const char *text)
{
    const char *star = NULL, *back = NULL;
    while (*text) {
        if (*pattern == '*') {
            star = ++pattern;
            back = text;
        } else if (*pattern == *text) {
            pattern++;
            text++;
        } else if (star) {
            pattern = star;
            text = ++back;
        } else {
            return false;
        }
    }
    while (*pattern == '*') pattern++;
    return !*pattern;
}

/* A pattern matches a path from the start of any of its segments. */
static bool match_path(const char *pattern, const char *path)
{
    for (;;) {
        if (glob(pattern, path)) return true;
        path = strchr(path, '.');
        if (!path) return false;
        path++;
    }
}

static void set_line(sema *s, const ast_node *n)
{
    struct sema_prec *p = s->prec;
    static const char *const names[] = {"params", "compute", "reduce", "optim"};
    dfm_dtype *slots[] = {&p->params, &p->compute, &p->reduce, &p->optim};
    dfm_dtype dt = ast_is(n->a, AST_NAME) ? dfm_dtype_of_name(n->a->text) : DFM_DT_NONE;
    for (uint32_t i = 0; i < DFM_LEN(names); i++) {
        if (strcmp(names[i], n->text)) continue;
        if (dt == DFM_F32 || dt == DFM_BF16) {
            *slots[i] = dt;
            return;
        }
        diag *d = sema_error(s, E0604, n->loc, "`%s` cannot have this element type", n->text);
        diag_help(d, "f32 or bf16");
        return;
    }
    diag *d = sema_error(s, E0604, n->loc, "a precision section has no setting `%s`", n->text);
    sema_suggest(s, d, n->text, names, DFM_LEN(names));
    diag_help(d, "settings are params, compute, reduce, optim");
}

static void keep_line(sema *s, const ast_node *n)
{
    if (strcmp(n->text, "f32")) {
        diag *d = sema_error(s, E0604, n->loc, "`keep %s`: only f32 can be kept", n->text);
        diag_help(d, "write `keep f32 for ...`");
        return;
    }
    for (uint32_t i = 0; i < ast_n(n->a); i++) {
        const ast_node *k = ast_at(n->a, i);
        if (!k->text) continue;
        prec_keep keep = {.name = k->text, .is_pattern = k->kind == AST_STRING, .loc = k->loc};
        dfm_push(s->arena, &s->prec->keeps, keep);
    }
}

bool sema_precision_begin(sema *s, const ast_node *section, const char *plain)
{
    uint32_t before = diag_n_errors(s->diag);
    struct sema_prec *p = s->prec = dfm_new(s->arena, struct sema_prec);
    p->params = p->compute = p->reduce = p->optim = DFM_F32;
    p->plain = !section || !strcmp(section->text, "f32");
    if (!section) {
        if (plain && !strcmp(plain, "bf16")) p->compute = DFM_BF16;
        return true;
    }
    for (uint32_t i = 0; i < ast_n(section->c); i++) {
        const ast_node *n = ast_at(section->c, i);
        if (n->kind == AST_SET) set_line(s, n);
        else if (n->kind == AST_KEEP) keep_line(s, n);
    }
    return diag_n_errors(s->diag) == before;
}

dfm_dtype sema_precision_for(sema *s, const char *fn, const char *path, dfm_dtype outer,
                             bool *out_kept)
{
    struct sema_prec *p = s->prec;
    *out_kept = false;
    if (!p) return outer ? outer : DFM_F32;
    for (uint32_t i = 0; i < p->keeps.n; i++) {
        prec_keep *k = &p->keeps.p[i];
        if (k->is_pattern ? !match_path(k->name, path) : strcmp(k->name, fn) != 0) continue;
        k->used = true;
        *out_kept = true;
    }
    if (*out_kept) return DFM_F32;
    return outer ? outer : p->compute;
}

dfm_dtype sema_precision_params(sema *s) { return s->prec ? s->prec->params : DFM_F32; }
dfm_dtype sema_precision_optim(sema *s) { return s->prec ? s->prec->optim : DFM_F32; }

dfm_dtype sema_precision_data(sema *s, dfm_dtype declared)
{
    bool plain_f32 = !s->prec || (s->prec->plain && s->prec->compute == DFM_F32);
    return plain_f32 && dfm_dtype_is_float(declared) ? DFM_F32 : declared;
}

void sema_precision_end(sema *s)
{
    for (uint32_t i = 0; s->prec && i < s->prec->keeps.n; i++) {
        prec_keep *k = &s->prec->keeps.p[i];
        for (uint32_t j = 0; k->is_pattern && !k->used && j < s->m->params.n; j++)
            k->used = match_path(k->name, dfm_name_str(s->m->names, s->m->params.p[j].path));
        sema_fn fn;
        if (!k->used && !k->is_pattern) k->used = sema_find_fn(s, s->main, k->name, &fn);
        /* of a model with errors not all parameters may have been met */
        if (k->used || (k->is_pattern && diag_n_errors(s->diag))) continue;
        diag *d = diag_warning(s->diag, DIAG_E0604, k->loc, "nothing is called `%s`", k->name);
        diag_help(d, k->is_pattern ? "patterns match paths such as \"blocks.{i}.attn.qkv\"; "
                                     "`dfmc params` lists them"
                                   : "names are those of functions; for parameters write a string");
    }
}

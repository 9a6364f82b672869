/* sema.c - the whole of semantic analysis: files, the sections chosen, the order of work. */
#include "compiler/front/sema.h"

#include <string.h>

#include "runtime/base/file.h"

/* -- files ------------------------------------------------------------------------------------- */

static sema_file *load(sema *s, const char *path, bool is_std, dfm_loc loc, int depth);

static const char *import_path(sema *s, const sema_file *from, const ast_node *item)
{
    const char *name = item->text;
    if (dfm_starts_with(name, "std/") && s->o->std_path)
        return dfm_path_join(s->arena, s->o->std_path, name + 4);
    if (!dfm_ends_with(name, ".dfm") || name[0] == '/') {
        diag *d = sema_error(s, E0405, item->loc, "`%s` cannot be imported", name);
        diag_help(d, "import .dfm files by a path relative to this file, or \"std/...\"");
        return NULL;
    }
    return dfm_path_beside(s->arena, from->path, name);
}

static void add_fn(sema *s, sema_file *f, const ast_node *node)
{
    dfm_dtype dt;
    bool any;
    dfm_loc at = dfm_loc_some(node->name_loc) ? node->name_loc : node->loc;
    if (sema_is_builtin(node->text) || sema_dtype_of_name(node->text, &dt, &any)) {
        sema_error(s, E0406, at, "`%s` is built in and cannot be defined again", node->text);
        return;
    }
    for (uint32_t i = 0; i < f->fns.n; i++) {
        if (strcmp(f->fns.p[i].node->text, node->text) != 0) continue;
        diag *d = sema_error(s, E0406, at, "`%s` is defined twice", node->text);
        diag_label(d, f->fns.p[i].node->name_loc, "first here");
        return;
    }
    sema_fn fn = {node, f};
    dfm_push(s->arena, &f->fns, fn);
}

static void collect(sema *s, sema_file *f, int depth)
{
    const ast_node *root = f->ast->root;
    for (uint32_t i = 0; i < root->n_kids; i++) {
        const ast_node *item = root->kids[i];
        if (item->kind == AST_IMPORT) {
            const char *path = import_path(s, f, item);
            sema_file *g = path ? load(s, path, f->is_std || dfm_starts_with(item->text, "std/"),
                                       item->loc, depth + 1) : NULL;
            sema_import im = {item->a ? item->a->text : NULL, g, item->loc};
            if (g) dfm_push(s->arena, &f->imports, im);
        } else if (item->kind == AST_OP || item->kind == AST_BLOCK || item->kind == AST_MODEL) {
            add_fn(s, f, item);
        } else if (item->kind != AST_DIMS && item->kind != AST_CONST && item->kind != AST_ERROR) {
            dfm_push(s->arena, &f->sections, item);
        }
    }
    sema_collect_decls(s, f);
}

static sema_file *load(sema *s, const char *path, bool is_std, dfm_loc loc, int depth)
{
    dfm_err err = {0};
    diag_src src;
    for (uint32_t i = 0; i < s->files.n; i++) {
        if (strcmp(s->files.p[i]->path, path) != 0) continue;
        if (!s->files.p[i]->loading) return s->files.p[i];
        sema_error(s, E0405, loc, "files import each other in a circle: `%s`", path);
        return NULL;
    }
    if (depth > 16 || s->files.n >= 256) {
        sema_error(s, E0405, loc, "too many files, or imports nested too deeply");
        return NULL;
    }
    if (diag_load_file(s->diag, path, &src, &err) != DFM_OK) {
        diag *d = sema_error(s, E0405, loc, "`%s` cannot be read", path);
        diag_note(d, "%s", err.text);
        return NULL;
    }
    sema_file *f = dfm_new(s->arena, sema_file);
    f->path = path;
    f->is_std = is_std;
    f->loading = true;
    dfm_push(s->arena, &s->files, f);
    f->ast = ast_parse(s->arena, s->diag, src);
    collect(s, f, depth);
    f->loading = false;
    return f;
}

static bool load_all(sema *s)
{
    if (s->o->std_path) {
        const char *prelude = dfm_path_join(s->arena, s->o->std_path, "prelude.dfm");
        s->prelude = load(s, prelude, true, (dfm_loc){0}, 0);
        if (!s->prelude) return false;
    }
    s->main = load(s, s->o->file, false, (dfm_loc){0}, 0);
    return s->main && diag_n_errors(s->diag) == 0;
}

/* -- what is chosen ---------------------------------------------------------------------------- */

bool sema_is_section_word(const char *word)
{
    return strcmp(word, "train") == 0 || strcmp(word, "sampler") == 0 ||
           strcmp(word, "precision") == 0 || strcmp(word, "weights") == 0;
}

static bool is_for_model(const sema *s, const ast_node *section)
{
    const ast_node *target = ast_for(section);
    return target && target->text && s->model.node &&
           strcmp(target->text, s->model.node->text) == 0;
}

static uint32_t sections_of(sema *s, ast_kind kind, const ast_node **out, uint32_t cap)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->main->sections.n && n < cap; i++)
        if (s->main->sections.p[i]->kind == kind && is_for_model(s, s->main->sections.p[i]))
            out[n++] = s->main->sections.p[i];
    return n;
}

/* `train = flow` in the variant. */
static const char *variant_choice(sema *s, const char *word)
{
    for (uint32_t i = 0; s->variant && i < ast_n(s->variant->c); i++) {
        const ast_node *set = ast_at(s->variant->c, i);
        if (!ast_is(set, AST_SET) || strcmp(set->text, word) != 0) continue;
        if (ast_is(set->a, AST_NAME) || ast_is(set->a, AST_STRING)) return set->a->text;
    }
    return NULL;
}

typedef enum ambiguous { TAKE_FIRST, TAKE_NONE, REPORT } ambiguous;

/* The section called `wanted`; else the variant's choice; else the only one. */
static bool choose(sema *s, ast_kind kind, const char *wanted, ambiguous several,
                   const ast_node **out)
{
    const ast_node *all[64];
    const char *names[64], *word = ast_kind_name(kind);
    uint32_t n = sections_of(s, kind, all, 64);
    *out = NULL;
    if (!wanted) wanted = variant_choice(s, word);
    for (uint32_t i = 0; i < n; i++) {
        names[i] = all[i]->text;
        if (wanted && strcmp(wanted, all[i]->text) == 0) *out = all[i];
    }
    if (*out) return true;
    if (wanted && kind == AST_PRECISION &&
        (strcmp(wanted, "f32") == 0 || strcmp(wanted, "bf16") == 0))
        return true;
    if (wanted) {
        diag *d =
            sema_error(s, E0403, (dfm_loc){0}, "there is no %s `%s`%s%s", word, wanted,
                       s->model.node ? " for " : "", s->model.node ? s->model.node->text : "");
        dfm_sb sb = dfm_sb_make(s->arena);
        for (uint32_t i = 0; i < n; i++) dfm_sb_printf(&sb, "%s%s", i ? ", " : "", names[i]);
        if (n) diag_note(d, "the file has: %s", dfm_sb_cstr(&sb));
        sema_suggest(s, d, wanted, names, n);
        return false;
    }
    if (n == 1 || (n > 1 && several == TAKE_FIRST)) *out = all[0];
    if (n <= 1 || several != REPORT) return true;
    diag *d = sema_error(s, E0418, all[1]->loc, "the file has several sections `%s`", word);
    diag_label(d, all[0]->loc, "the first one");
    diag_help(d, "choose one: `--%s %s`", word, names[0]);
    return false;
}

static bool choose_model(sema *s)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->main->fns.n; i++) {
        if (s->main->fns.p[i].node->kind != AST_MODEL) continue;
        if (n++ == 0) s->model = s->main->fns.p[i];
        else {
            diag *d = sema_error(s, E0418, s->main->fns.p[i].node->name_loc,
                                 "a file has one model; this is another one");
            diag_help(d, "make it a `block`, or put it in a file of its own");
        }
    }
    for (uint32_t i = 0; i < s->main->sections.n; i++) {
        const ast_node *sec = s->main->sections.p[i], *target = ast_for(sec);
        if (!target || !target->text || sec->kind == AST_REQUIRE) continue;
        if (is_for_model(s, sec)) continue;
        diag *d = sema_error(s, E0401, target->loc, "there is no model `%s`", target->text);
        if (s->model.node) sema_suggest(s, d, target->text, &s->model.node->text, 1);
    }
    return n <= 1;
}

static bool choose_all(sema *s)
{
    const front_options *o = s->o;
    if (!choose_model(s)) return false;
    bool ok = choose(s, AST_VARIANT, o->variant, TAKE_NONE, &s->variant);
    if (!o->variant) s->variant = NULL;      /* without a name: the file's own values */
    ok = ok && choose(s, AST_TRAIN, o->train, TAKE_FIRST, &s->train);
    ok = ok && choose(s, AST_SAMPLER, o->sampler, TAKE_FIRST, &s->sampler);
    ok = ok && choose(s, AST_PRECISION, o->precision, TAKE_FIRST, &s->precision);
    ok = ok && choose(s, AST_LAYOUT, o->layout, TAKE_NONE, &s->layout);
    if (!o->layout) s->layout = NULL;        /* without a name: one rank, the default policy */
    return ok && choose(s, AST_WEIGHTS, o->weights, REPORT, &s->weights);
}

/* f32 or bf16, where no section is chosen. */
static const char *plain_precision(sema *s)
{
    const char *name = s->o->precision ? s->o->precision : variant_choice(s, "precision");
    return name ? name : "f32";
}

static void name_module(sema *s)
{
    ir_module *m = s->m;
    m->model = s->model.node ? s->model.node->text : "";
    m->variant = s->o->variant ? s->o->variant : "";
    m->train = s->train ? s->train->text : "";
    m->sampler = s->sampler ? s->sampler->text : "";
    m->precision = s->precision ? s->precision->text : plain_precision(s);
}

/* -- the order of work ------------------------------------------------------------------------- */

static bool ok_so_far(const sema *s) { return diag_n_errors(s->diag) == 0; }

/* In check every section of a kind is looked at, not only the chosen one. */
static void check_others(sema *s, ast_kind kind, const ast_node *chosen)
{
    const ast_node *all[64];
    uint32_t n = sections_of(s, kind, all, 64);
    for (uint32_t i = 0; i < n; i++) {
        if (all[i] == chosen || diag_full(s->diag)) continue;
        sema_mark mark = sema_mark_take(s);
        if (kind == AST_TRAIN) sema_train_section(s, all[i]);
        else sema_sampler_section(s, all[i]);
        sema_mark_restore(s, &mark);
    }
}

static void work(sema *s)
{
    if (!load_all(s) || !choose_all(s)) return;
    name_module(s);
    if (!sema_declare_file(s)) return;
    if (!sema_precision_begin(s, s->precision, s->precision ? NULL : plain_precision(s))) return;
    bool model = s->model.node != NULL;
    if (model && !sema_forward(s)) model = false;
    if (model && s->train) sema_train_section(s, s->train);
    if (model && s->sampler) sema_sampler_section(s, s->sampler);
    if (s->o->units) {
        if (ok_so_far(s)) sema_units_build(s);
        if (ok_so_far(s)) sema_assign_flats(s);
        return;
    }
    if (s->o->check_only && model && ok_so_far(s)) {
        check_others(s, AST_TRAIN, s->train);
        check_others(s, AST_SAMPLER, s->sampler);
    }
    if (s->o->check_only) sema_check_uncalled(s);
    if (s->o->check_only && ok_so_far(s)) sema_check_names(s);
    if (model && ok_so_far(s)) sema_apply_weights(s, s->weights);
    if (s->o->check_only || s->layout) sema_check_layouts(s);
    sema_precision_end(s);
    if (!ok_so_far(s)) return;
    if (!sema_assign_flats(s)) return;
    if (s->train && !sema_optimizer_programs(s, s->train)) return;
    if (model) sema_init_program(s);
}

/* A graph outside the module for what stands in no function: `dim A = max(3, 5)`. */
static void constant_frame(sema *s)
{
    sema_root_begin(s, "constants");
    s->m->graphs.n--;
}

static sema *run(front_ctx *cx, const front_options *o)
{
    sema *s = dfm_new(cx->arena, sema);
    uint32_t first = diag_count(cx->diag);
    s->cx = cx;
    s->o = o;
    s->arena = cx->arena;
    s->diag = cx->diag;
    s->scratch = dfm_arena_create("sema");
    s->m = ir_module_create(cx->arena, cx->names);
    constant_frame(s);
    work(s);
    dfm_arena_destroy(s->scratch);
    diag_sort_from(cx->diag, first);
    return s;
}

/* Does the program compile with this variant? Reports go nowhere. */
static bool variant_is_fine(const front_options *o)
{
    dfm_arena *a = dfm_arena_create("variant");
    front_ctx own = {a, dfm_names_create(a), diag_create(a)};
    run(&own, o);
    bool fine = diag_n_errors(own.diag) == 0;
    dfm_arena_destroy(a);
    return fine;
}

/* In check without a variant, all of them are tried; the first that fails is reported. */
static void check_variants(sema *s)
{
    const ast_node *all[64];
    uint32_t n = sections_of(s, AST_VARIANT, all, 64);
    for (uint32_t i = 0; i < n; i++) {
        front_options o = *s->o;
        if (!ast_n(all[i]->c)) continue;
        o.variant = all[i]->text;
        if (variant_is_fine(&o)) continue;
        front_options *kept = dfm_dup(s->arena, &o, sizeof o);
        run(s->cx, kept);
        return;
    }
}

bool front_compile(front_ctx *cx, const front_options *o, ir_module **out)
{
    sema *s = run(cx, o);
    bool plain = o->check_only && !o->variant && s->main && ok_so_far(s);
    if (plain) check_variants(s);
    bool ok = diag_n_errors(cx->diag) == 0;
    *out = ok ? s->m : NULL;
    return ok;
}

front_counts front_params(const ir_module *m)
{
    front_counts c = {0};
    for (uint32_t i = 0; i < m->params.n; i++) {
        const ir_param *p = &m->params.p[i];
        uint64_t n = ir_elems(m, p->type);
        if (p->is_buffer) c.buffers += n, c.n_buffers++;
        else if (p->trainable) c.trainable += n, c.n_params++;
        else c.frozen += n, c.n_params++;
    }
    return c;
}

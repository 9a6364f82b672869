/* sema_op_memo.c - results of ops that depend on constants only, kept for the next call.
 *
 * Tables of positions are made by such ops; they are large, and a program of the plan calls for
 * them again in each of its graphs.
 */
#include "compiler/front/sema_op.h"

#include <string.h>

typedef struct memo_entry {
    const ast_node *op;
    const char *key;
    size_t n_key;
    uint32_t n;                    /* results */
    ir_type type[8];
    const double *data[8];
} memo_entry;

struct op_memo {
    DFM_VEC(memo_entry) entries;
};

static void add_bytes(dfm_sb *sb, const void *p, size_t n) { dfm_sb_add(sb, p, n); }

/* The value as bytes; false if it is not a constant. */
static bool add_value(dfm_sb *sb, sema_value v)
{
    uint32_t kind = v.kind;
    add_bytes(sb, &kind, sizeof kind);
    switch (v.kind) {
    case SV_INT: add_bytes(sb, &v.u.i, sizeof v.u.i); return true;
    case SV_FLOAT: add_bytes(sb, &v.u.f, sizeof v.u.f); return true;
    case SV_BOOL: add_bytes(sb, v.u.b ? "t" : "f", 1); return true;
    case SV_STRING: add_bytes(sb, v.u.s, strlen(v.u.s) + 1); return true;
    case SV_DIM: add_bytes(sb, &v.u.dim, sizeof v.u.dim); return true;
    case SV_ARROW: return add_value(sb, v.u.pair[0]) && add_value(sb, v.u.pair[1]);
    case SV_TUPLE:
        add_bytes(sb, &v.u.list.n, sizeof v.u.list.n);
        for (uint32_t i = 0; i < v.u.list.n; i++)
            if (!add_value(sb, v.u.list.p[i])) return false;
        return true;
    default: return false;
    }
}

static bool make_key(sema *s, const ast_node *op, dfm_sb *sb)
{
    add_bytes(sb, &s->act->compute, sizeof s->act->compute);
    for (uint32_t i = 0; i < ast_n(op->a); i++) {
        sema_value v;
        if (!sema_local(s, ast_at(op->a, i)->text, &v) || !add_value(sb, v)) return false;
    }
    return true;
}

bool op_memo_find(sema *s, const ast_node *op, const char **out_key, size_t *out_n)
{
    dfm_sb sb = dfm_sb_make(s->arena);
    *out_key = NULL;
    if (op->d || !make_key(s, op, &sb)) return false;
    *out_key = dfm_sb_cstr(&sb);
    *out_n = sb.n;
    for (uint32_t i = 0; s->op_memo && i < s->op_memo->entries.n; i++) {
        const memo_entry *e = &s->op_memo->entries.p[i];
        if (e->op != op || e->n_key != sb.n || memcmp(e->key, sb.p, sb.n)) continue;
        for (uint32_t k = 0; k < e->n; k++) {
            ir_val v = ir_table(sema_at(s, op->loc), e->type[k], e->data[k]);
            dfm_push(s->arena, &s->act->results, sema_tensor(s, v));
        }
        s->act->returned = true;
        return true;
    }
    return false;
}

void op_memo_keep(sema *s, const ast_node *op, const char *key, size_t n_key)
{
    memo_entry e = {.op = op, .key = key, .n_key = n_key, .n = s->act->results.n};
    if (!key || !e.n || e.n > DFM_LEN(e.data)) return;
    for (uint32_t k = 0; k < e.n; k++) {
        sema_value v = s->act->results.p[k];
        if (v.kind != SV_TENSOR) return;
        ir_val x = sema_fold(s, sema_use(s, v));
        const ir_const *c = ir_const_of(s->frame->g, x);
        e.type[k] = ir_type_at(s->frame->g, x);
        if (!c || c->n != ir_elems(s->m, e.type[k])) return;
        e.data[k] = c->data;
    }
    if (!s->op_memo) s->op_memo = dfm_new(s->arena, struct op_memo);
    dfm_push(s->arena, &s->op_memo->entries, e);
}

/* dce_scan.c - drop carries, inputs and outputs of scans that nothing uses.
 *
 * For each scan, which members of its tuple are used is known from the graph around it. From them
 * the live values of the body follow; a carry whose formal is live is needed itself, which may
 * make more live: repeat until nothing changes. A carry that the body passes on unchanged becomes
 * a capture. A capture of a scalar constant, or of a value captured already, leaves the operands.
 */
#include "compiler/pass/pass.h"

#include <string.h>

typedef struct trimmed {                     /* old member -> new member, or a value */
    uint32_t n;
    uint32_t *member;
    ir_val *value;                           /* nonzero: the member is this value */
    ir_val scan;                             /* {0}: nothing is left of it */
} trimmed;

typedef struct work {
    pass_ctx *cx;
    const ir_graph *body;
    const ir_scan *at;
    bool *needed;                            /* per result of the body */
    bool *passed;                            /* per carry: its next value is its formal */
    bool *live;                              /* per value of the body */
} work;

static ir_val formal(const work *w, uint32_t k) { return w->body->inputs.p[k]; }

/* Liveness of the body under the needed results. */
static void mark(work *w)
{
    uint32_t n = w->body->ops.n;
    for (bool changed = true; changed;) {
        changed = false;
        memset(w->live, 0, n);
        for (uint32_t k = 0; k < w->body->results.n; k++)
            if (w->needed[k]) w->live[w->body->results.p[k].val.i] = true;
        for (uint32_t i = n; i-- > 1;) {
            const ir_op *op = &w->body->ops.p[i];
            for (uint32_t k = 0; w->live[i] && k < op->n_args; k++) w->live[op->args[k].i] = true;
        }
        for (uint32_t k = 0; k < w->at->n_carry; k++)
            if (w->live[formal(w, 1 + k).i] && !w->needed[k]) w->needed[k] = changed = true;
    }
}

static void analyse(work *w, const bool *used)
{
    uint32_t n = w->body->results.n;
    w->needed = dfm_new_n(w->cx->scratch, bool, n + 1);
    w->passed = dfm_new_n(w->cx->scratch, bool, n + 1);
    w->live = dfm_new_n(w->cx->scratch, bool, w->body->ops.n);
    memcpy(w->needed, used, n);
    for (uint32_t k = 0; k < w->at->n_carry; k++)
        w->passed[k] = ir_same(w->body->results.p[k].val, formal(w, 1 + k));
    for (uint32_t k = 0; k < w->at->n_carry; k++)
        if (w->passed[k]) w->needed[k] = false;          /* its value is the operand */
    mark(w);
}

typedef struct trim {                        /* the new scan being put together */
    ir_builder body;
    ir_val *map;                             /* old body value -> new */
    DFM_VEC(ir_val) args;                    /* of the new scan */
    ir_scan at;
} trim;

static ir_val new_formal(work *w, trim *t, uint32_t old)
{
    const ir_op *op = ir_op_of(w->body, formal(w, old));
    uint32_t index = t->body.g->inputs.n;
    return ir_input_new(&t->body, op->type, IR_ROLE_BODY, index,
                        dfm_name_str(w->cx->m->names, op->at->input.name));
}

/* Formals and operands: carries, xs, captures; those that live. */
static void keep_formals(work *w, trim *t, const ir_graph *outer, const ir_val *args)
{
    const ir_scan *at = w->at;
    dfm_arena *scratch = w->cx->scratch;
    uint32_t n = at->n_carry + at->n_xs + at->n_caps, first_cap;
    t->map[formal(w, 0).i] = new_formal(w, t, 0);
    for (uint32_t k = 0; k < at->n_carry + at->n_xs; k++) {
        bool carry = k < at->n_carry;
        if (carry ? !w->needed[k] || w->passed[k] : !w->live[formal(w, 1 + k).i]) continue;
        t->map[formal(w, 1 + k).i] = new_formal(w, t, 1 + k);
        dfm_push(scratch, &t->args, args[k]);
        if (carry) t->at.n_carry++;
        else t->at.n_xs++;
    }
    first_cap = t->args.n;
    for (uint32_t k = 0; k < n; k++) {       /* captures, and carries that never change */
        bool capture = k >= at->n_carry + at->n_xs;
        if (capture ? !w->live[formal(w, 1 + k).i]
                    : k >= at->n_carry || !w->needed[k] || !w->passed[k])
            continue;
        const ir_const *c = ir_const_of(outer, args[k]);
        if (c && c->n == 1) {
            t->map[formal(w, 1 + k).i] = ir_emit_copy(&t->body, ir_op_of(outer, args[k]), NULL);
            continue;
        }
        uint32_t same = first_cap;
        while (same < t->args.n && !ir_same(t->args.p[same], args[k])) same++;
        if (same == t->args.n) {
            new_formal(w, t, 1 + k);
            dfm_push(scratch, &t->args, args[k]);
            t->at.n_caps++;
        }
        t->map[formal(w, 1 + k).i] = t->body.g->inputs.p[1 + same];
    }
}

static bool copy_graph(pass_ctx *cx, const ir_graph *in, const bool *live, ir_builder *b,
                       ir_val *map);

static bool trim_scan(pass_ctx *cx, ir_builder *b, const ir_op *op, const ir_val *args,
                      const bool *used, trimmed *out)
{
    work w = {.cx = cx, .at = &op->at->scan, .body = cx->m->graphs.p[op->at->scan.body]};
    trim t = {.at = {.loop = w.at->loop, .reverse = w.at->reverse}};
    analyse(&w, used);
    const char *name = dfm_name_str(cx->m->names, w.body->name);
    t.body = (ir_builder){.m = cx->m, .g = ir_graph_create(cx->m, name, &t.at.body)};
    t.map = dfm_new_n(cx->scratch, ir_val, w.body->ops.n);
    keep_formals(&w, &t, b->g, args);
    if (!copy_graph(cx, w.body, w.live, &t.body, t.map)) return false;
    out->n = w.body->results.n;
    out->member = dfm_new_n(cx->scratch, uint32_t, out->n + 1);
    out->value = dfm_new_n(cx->scratch, ir_val, out->n + 1);
    for (uint32_t k = 0; k < out->n; k++) {
        const ir_result *r = &w.body->results.p[k];
        bool carry = k < w.at->n_carry;
        if (carry && w.passed[k]) out->value[k] = args[k];
        if (!w.needed[k] || (carry && w.passed[k])) continue;
        out->member[k] = t.body.g->results.n;
        ir_result_add(&t.body, t.map[r->val.i], dfm_name_str(cx->m->names, r->name));
        if (!carry) t.at.n_ys++;
    }
    if (t.body.g->results.n) out->scan = ir_scan_over(b, &t.at, t.args.p, t.args.n);
    uint32_t n_old = w.at->n_carry + w.at->n_xs + w.at->n_caps;
    if (t.args.n < n_old || t.body.g->results.n < out->n)
        pass_remark(cx, "dce_scan", op->loc, "scan over %s: operands %u -> %u, results %u -> %u",
                    ir_dim_str(cx->m, w.at->loop), n_old, t.args.n, out->n,
                    t.body.g->results.n);
    return true;
}

/* Copies the live ops of `in` that map does not have yet. */
static bool copy_graph(pass_ctx *cx, const ir_graph *in, const bool *live, ir_builder *b,
                       ir_val *map)
{
    trimmed *scans = dfm_new_n(cx->scratch, trimmed, in->ops.n);
    bool **used = dfm_new_n(cx->scratch, bool *, in->ops.n);
    for (uint32_t i = 1; i < in->ops.n; i++) {
        const ir_op *op = &in->ops.p[i];
        if (!live[i]) continue;
        if (op->kind == IR_SCAN)
            used[i] = dfm_new_n(cx->scratch, bool, op->at->scan.n_carry + op->at->scan.n_ys + 1);
        if (op->kind == IR_GET && used[op->args[0].i]) used[op->args[0].i][op->at->member] = true;
    }
    for (uint32_t i = 1; i < in->ops.n; i++) {
        const ir_op *op = &in->ops.p[i];
        if (!live[i] || map[i].i) continue;
        const ir_val *args = pass_args(cx, op, map);
        b->loc = op->loc;
        if (op->kind == IR_SCAN) {
            if (!trim_scan(cx, b, op, args, used[i], &scans[i])) return false;
        } else if (op->kind == IR_GET && used[op->args[0].i]) {
            const trimmed *s = &scans[op->args[0].i];
            uint32_t k = op->at->member;
            map[i] = s->value[k].i ? s->value[k] : ir_get(b, s->scan, s->member[k]);
        } else {
            map[i] = ir_emit_copy(b, op, args);
        }
    }
    return true;
}

bool pass_dce_scan(pass_ctx *cx, const ir_graph *in, ir_graph *out)
{
    ir_builder b = {.m = cx->m, .g = out};
    ir_val *map = dfm_new_n(cx->scratch, ir_val, in->ops.n);
    if (!copy_graph(cx, in, pass_live(cx, in), &b, map)) return false;
    pass_results(cx, in, map, out);
    return true;
}

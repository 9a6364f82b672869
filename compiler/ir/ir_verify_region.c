/* ir_verify_region.c - rules of attention, and R7 and R8: scans, calls and their bodies. */
#include "compiler/ir/ir_verify.h"

/* -- attention ------------------------------------------------------------------------------- */

static bool is_batch(const ir_attend *a, ir_dim d)
{
    return d.i != a->seq.i && d.i != a->over.i && d.i != a->feature.i && d.i != a->value.i;
}

/* t = batch dims of q, and the dims of own (0 ends the list); `all`: every batch dim of q. */
static bool made_of(const ir_check *c, const ir_type_info *t, const ir_dim *own, bool all)
{
    const ir_attend *a = &c->op->at->attend;
    const ir_type_info *q = ir_arg(c, 0);
    for (uint32_t i = 0; own[i].i; i++)
        if (!ir_has_dim(t, own[i])) return false;
    for (int i = 0; i < t->rank; i++) {
        bool mine = false;
        for (uint32_t k = 0; own[k].i; k++) mine |= own[k].i == t->dims[i].i;
        if (!mine && !(is_batch(a, t->dims[i]) && ir_has_dim(q, t->dims[i]))) return false;
    }
    for (int i = 0; i < q->rank && all; i++)
        if (is_batch(a, q->dims[i]) && !ir_has_dim(t, q->dims[i])) return false;
    return true;
}

static bool mask_fits(const ir_check *c, uint32_t k)
{
    const ir_attend *a = &c->op->at->attend;
    const ir_type_info *t = ir_arg(c, k);
    if (t->dtype != DFM_BOOL) return false;
    for (int i = 0; i < t->rank; i++) {
        ir_dim d = t->dims[i];
        bool token = d.i == a->seq.i || d.i == a->over.i;
        if (!token && !(is_batch(a, d) && ir_has_dim(ir_arg(c, 0), d))) return false;
    }
    return true;
}

static bool check_qkv(const ir_check *c)
{
    const ir_attend *a = &c->op->at->attend;
    bool apart = a->seq.i != a->feature.i && a->seq.i != a->value.i && a->over.i != a->feature.i
        && a->over.i != a->value.i;
    if (!apart) return ir_broken(c, "R3", "token and feature dims must differ");
    if (a->window < 0) return ir_broken(c, "R3", "a negative window");
    for (uint32_t k = 0; k < 3; k++)
        if (!dfm_dtype_is_float(ir_arg(c, k)->dtype))
            return ir_broken(c, "R3", "operand %u is not a float", k);
    if (!made_of(c, ir_arg(c, 0), (ir_dim[]){a->seq, a->feature, {0}}, true))
        return ir_broken(c, "R3", "q is over batch dims, seq and feature");
    if (!made_of(c, ir_arg(c, 1), (ir_dim[]){a->over, a->feature, {0}}, false))
        return ir_broken(c, "R3", "k is over batch dims of q, over and feature");
    if (!made_of(c, ir_arg(c, 2), (ir_dim[]){a->over, a->value, {0}}, false))
        return ir_broken(c, "R3", "v is over batch dims of q, over and value");
    return true;
}

bool ir_check_attend(const ir_check *c)
{
    const ir_attend *a = &c->op->at->attend;
    if (!check_qkv(c)) return false;
    if (c->op->n_args == 4 && !mask_fits(c, 3))
        return ir_broken(c, "R3", "the mask is bool over batch dims, seq and over");
    const ir_type_info *t = ir_type_of(c->m, c->op->type);
    bool ok = t->n_members == 2;
    const ir_type_info *o = ok ? ir_type_of(c->m, t->members[0]) : t;
    const ir_type_info *lse = ok ? ir_type_of(c->m, t->members[1]) : t;
    ok = ok && dfm_dtype_is_float(o->dtype) && lse->dtype == DFM_F32
        && made_of(c, o, (ir_dim[]){a->seq, a->value, {0}}, true)
        && made_of(c, lse, (ir_dim[]){a->seq, {0}}, true);
    return ok || ir_broken(c, "R3", "the result is (o over q's dims with value, f32 lse)");
}

bool ir_check_attend_bwd(const ir_check *c)
{
    const ir_attend *a = &c->op->at->attend;
    const ir_type_info *t = ir_type_of(c->m, c->op->type);
    if (!check_qkv(c)) return false;
    if (c->op->n_args == 7 && !mask_fits(c, 6))
        return ir_broken(c, "R3", "the mask is bool over batch dims, seq and over");
    if (!made_of(c, ir_arg(c, 3), (ir_dim[]){a->seq, a->value, {0}}, true)
        || !made_of(c, ir_arg(c, 5), (ir_dim[]){a->seq, a->value, {0}}, true)
        || !made_of(c, ir_arg(c, 4), (ir_dim[]){a->seq, {0}}, true)
        || !dfm_dtype_is_float(ir_arg(c, 3)->dtype) || !dfm_dtype_is_float(ir_arg(c, 4)->dtype)
        || !dfm_dtype_is_float(ir_arg(c, 5)->dtype))
        return ir_broken(c, "R3", "o, lse or the cotangent does not fit q and v");
    bool ok = t->n_members == 3;
    for (uint32_t k = 0; k < 3 && ok; k++) {
        const ir_type_info *d = ir_type_of(c->m, t->members[k]);
        ok = dfm_dtype_is_float(d->dtype) && ir_same_dims(d, ir_arg(c, k));
    }
    return ok || ir_broken(c, "R3", "the result is (dq, dk, dv)");
}

/* -- bodies ---------------------------------------------------------------------------------- */

/* A body: n formals, all of role BODY and numbered in order; n_results valid results. */
static bool check_body(const ir_check *c, uint32_t graph, const char *rule, uint32_t n,
                       uint32_t n_results)
{
    const ir_graph *b = c->m->graphs.p[graph];
    if (!b || b == c->g) return ir_broken(c, rule, "the body is not another graph");
    if (b->inputs.n != n || b->results.n != n_results)
        return ir_broken(c, rule, "the body has %u formals and %u results instead of %u and %u",
                         b->inputs.n, b->results.n, n, n_results);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t v = b->inputs.p[i].i;
        if (!v || v >= b->ops.n || b->ops.p[v].kind != IR_INPUT || !b->ops.p[v].at
            || b->ops.p[v].at->input.index != i)
            return ir_broken(c, rule, "formal %u of the body is not in its place", i);
        if (!ir_valid_type(c->m, b->ops.p[v].type) || ir_type_of(c->m, b->ops.p[v].type)->is_tuple)
            return ir_broken(c, rule, "formal %u of the body has no tensor type", i);
    }
    for (uint32_t i = 0; i < n_results; i++) {
        uint32_t v = b->results.p[i].val.i;
        if (!v || v >= b->ops.n || !ir_valid_type(c->m, b->ops.p[v].type)
            || ir_type_of(c->m, b->ops.p[v].type)->is_tuple)
            return ir_broken(c, rule, "result %u of the body is no tensor", i);
    }
    for (uint32_t i = 1; i < b->ops.n; i++) {
        const ir_op *op = &b->ops.p[i];
        bool formal = op->kind == IR_INPUT && op->at && op->at->input.role == IR_ROLE_BODY;
        if (op->kind == IR_INPUT && !formal)
            return ir_broken(c, "R8", "%%%u of the body is an input from outside", i);
        if (op->kind == IR_PARAM && op->at && op->at->param < c->m->params.n
            && c->m->params.p[op->at->param].trainable)
            return ir_broken(c, "R8", "%%%u of the body is a parameter that is not captured", i);
    }
    return true;
}

static ir_type formal_type(const ir_graph *b, uint32_t k) { return ir_type_at(b, b->inputs.p[k]); }
static ir_type result_type(const ir_graph *b, uint32_t k)
{
    return ir_type_at(b, b->results.p[k].val);
}

/* Is `whole` the type `slice` with `loop` before its dims? */
static bool stacked(const ir_module *m, ir_type whole, ir_type slice, ir_dim loop)
{
    const ir_type_info *w = ir_type_of(m, whole), *s = ir_type_of(m, slice);
    if (w->dtype != s->dtype || w->rank != s->rank + 1 || w->dims[0].i != loop.i) return false;
    for (int i = 0; i < s->rank; i++)
        if (w->dims[i + 1].i != s->dims[i].i) return false;
    return true;
}

bool ir_check_scan(const ir_check *c)
{
    const ir_scan *s = &c->op->at->scan;
    const ir_type_info *t = ir_type_of(c->m, c->op->type);
    uint64_t n_args = (uint64_t)s->n_carry + s->n_xs + s->n_caps;
    uint64_t n_results = (uint64_t)s->n_carry + s->n_ys;
    if (n_args != c->op->n_args || n_results != t->n_members)
        return ir_broken(c, "R7", "operands or results are not as many as the scan says");
    if (!check_body(c, s->body, "R7", c->op->n_args + 1, t->n_members)) return false;
    const ir_graph *b = c->m->graphs.p[s->body];
    const ir_type_info *iter = ir_type_of(c->m, formal_type(b, 0));
    if (iter->dtype != DFM_I32 || iter->rank)
        return ir_broken(c, "R7", "the body's first formal is no i32 scalar");
    for (uint32_t k = 0; k < c->op->n_args; k++) {
        ir_type arg = ir_type_at(c->g, c->op->args[k]), formal = formal_type(b, k + 1);
        bool slice = k >= s->n_carry && k < s->n_carry + s->n_xs;
        if (slice ? !stacked(c->m, arg, formal, s->loop) : arg.i != formal.i)
            return ir_broken(c, "R7", "operand %u does not fit the body's formal", k);
    }
    for (uint32_t k = 0; k < t->n_members; k++) {
        bool carry = k < s->n_carry;
        ir_type r = result_type(b, k);
        if (carry && r.i != formal_type(b, k + 1).i)
            return ir_broken(c, "R7", "carry %u changes its type", k);
        if (carry ? t->members[k].i != r.i : !stacked(c->m, t->members[k], r, s->loop))
            return ir_broken(c, "R7", "member %u of the result does not fit the body's", k);
    }
    return true;
}

static bool check_vjp(const ir_check *c, const ir_graph *b)
{
    uint32_t n = c->op->n_args, r = b->results.n;
    const ir_call *call = &c->op->at->call;
    if (!check_body(c, call->vjp, "R7", n + 2 * r, n)) return false;
    const ir_graph *v = c->m->graphs.p[call->vjp];
    for (uint32_t k = 0; k < n + 2 * r; k++) {
        ir_type want = k < n ? formal_type(b, k) : result_type(b, (k - n) % r);
        if (!ir_same_dims(ir_type_of(c->m, want), ir_type_of(c->m, formal_type(v, k))))
            return ir_broken(c, "R7", "formal %u of the vjp does not fit the call", k);
    }
    for (uint32_t k = 0; k < n; k++)
        if (!ir_same_dims(ir_type_of(c->m, formal_type(b, k)), ir_type_of(c->m, result_type(v, k))))
            return ir_broken(c, "R7", "cotangent %u of the vjp does not fit the call", k);
    return true;
}

bool ir_check_call(const ir_check *c)
{
    const ir_call *call = &c->op->at->call;
    const ir_type_info *t = ir_type_of(c->m, c->op->type);
    uint32_t n_results = t->is_tuple ? t->n_members : 1;
    if (!check_body(c, call->body, "R7", c->op->n_args, n_results)) return false;
    const ir_graph *b = c->m->graphs.p[call->body];
    for (uint32_t k = 0; k < c->op->n_args; k++)
        if (ir_type_at(c->g, c->op->args[k]).i != formal_type(b, k).i)
            return ir_broken(c, "R7", "operand %u does not fit the body's formal", k);
    for (uint32_t k = 0; k < n_results; k++)
        if ((t->is_tuple ? t->members[k] : c->op->type).i != result_type(b, k).i)
            return ir_broken(c, "R7", "result %u does not fit the body's", k);
    return !call->vjp || check_vjp(c, b);
}

/* kir_interp_kernel.c - one kernel: blocks, rows, lanes, in that order, one value at a time. */
#include "compiler/kir/kir_interp_impl.h"

#include <math.h>
#include <string.h>

#include "runtime/base/philox.h"

typedef struct value { float f; int32_t i; } value;     /* i: I32 and BOOL */

typedef struct acc {                         /* of a REDUCE (one) or of an ACC (one per lane) */
    double f;
    int64_t i, best;
    bool any;
} acc;

typedef struct machine {
    kir_run *r;
    const kir_kernel *k;
    int64_t *at;                             /* index of every dim of the module */
    value *v;                                /* by instruction */
    value **kept;                            /* by instruction: per lane, or NULL */
    acc *red;                                /* by instruction: REDUCE */
    double **sums;                           /* by instruction: ACC per lane, or NULL */
    int64_t lanes, lane;
} machine;

static int64_t index_value(const machine *x, ir_ix e)
{
    const ir_ix_node *n = ir_ix_of(x->r->m->ir, e);
    int64_t a, q;
    switch (n->kind) {
    case IX_NONE: return 0;
    case IX_CONST: return n->c;
    case IX_VAR: return x->at[n->var.i];
    case IX_ADD: return index_value(x, n->a) + index_value(x, n->b);
    case IX_MUL: return index_value(x, n->a) * n->c;
    default: break;
    }
    a = index_value(x, n->a);
    if (n->kind == IX_CLAMP) return a < n->c ? n->c : a > n->c2 ? n->c2 : a;
    q = a / n->c - (a % n->c < 0);
    return n->kind == IX_DIV ? q : a - q * n->c;
}

static bool guard_holds(const machine *x, const kir_inst *i)
{
    for (uint32_t k = 0; k < i->n_conds; k++) {
        int64_t e = index_value(x, i->guard[k].e);
        if (e < i->guard[k].lo || e > i->guard[k].hi) return false;
    }
    return true;
}

static int64_t distance(const machine *x, const kir_inst *i)
{
    const kir_arg *a = &x->k->args.p[i->arg];
    int64_t d = 0;
    for (uint32_t k = 0; k < a->rank; k++) d += index_value(x, i->coords[k]) * a->stride[k];
    return d;
}

static value of_double(dfm_dtype t, double x)
{
    if (t == DFM_F32) return (value){.f = (float)x};
    if (t == DFM_BOOL) return (value){.i = x != 0};
    return (value){.i = (int32_t)dfm_round_to(DFM_I32, x)};
}

static double to_double(dfm_dtype t, value v) { return t == DFM_F32 ? (double)v.f : v.i; }

/* -- functions --------------------------------------------------------------------------------- */

static float float_fn(ir_fn fn, float a, float b)
{
    switch (fn) {
    case IR_FN_NEG: return -a;
    case IR_FN_ABS: return fabsf(a);
    case IR_FN_SIGN: return (float)((a > 0) - (a < 0));
    case IR_FN_FLOOR: return floorf(a);
    case IR_FN_CEIL: return ceilf(a);
    case IR_FN_ROUND: return rintf(a);
    case IR_FN_EXP: return expf(a);
    case IR_FN_EXPM1: return expm1f(a);
    case IR_FN_LOG: return logf(a);
    case IR_FN_LOG1P: return log1pf(a);
    case IR_FN_SQRT: return sqrtf(a);
    case IR_FN_RSQRT: return 1.0f / sqrtf(a);
    case IR_FN_RECIP: return 1.0f / a;
    case IR_FN_SIN: return sinf(a);
    case IR_FN_COS: return cosf(a);
    case IR_FN_TANH: return tanhf(a);
    case IR_FN_ERF: return erff(a);
    case IR_FN_SIGMOID: return a >= 0 ? 1.0f / (1.0f + expf(-a)) : expf(a) / (1.0f + expf(a));
    case IR_FN_ADD: return a + b;
    case IR_FN_SUB: return a - b;
    case IR_FN_MUL: return a * b;
    case IR_FN_DIV: return a / b;
    case IR_FN_MOD: return a - b * floorf(a / b);
    case IR_FN_POW: return powf(a, b);
    case IR_FN_MIN: return b < a ? b : a;
    case IR_FN_MAX: return b > a ? b : a;
    default: return 0;
    }
}

/* Integers wrap; division by zero gives 0. */
static int32_t int_fn(ir_fn fn, int32_t a, int32_t b)
{
    int64_t q;
    switch (fn) {
    case IR_FN_NEG: return (int32_t)(0u - (uint32_t)a);
    case IR_FN_ABS: return a < 0 ? (int32_t)(0u - (uint32_t)a) : a;
    case IR_FN_SIGN: return (a > 0) - (a < 0);
    case IR_FN_ADD: return (int32_t)((uint32_t)a + (uint32_t)b);
    case IR_FN_SUB: return (int32_t)((uint32_t)a - (uint32_t)b);
    case IR_FN_MUL: return (int32_t)((uint32_t)a * (uint32_t)b);
    case IR_FN_MIN: return a <= b ? a : b;
    case IR_FN_MAX: return a >= b ? a : b;
    case IR_FN_NOT: return !a;
    case IR_FN_AND: return a && b;
    case IR_FN_OR: return a || b;
    case IR_FN_DIV: case IR_FN_MOD:
        if (!b) return 0;
        q = (int64_t)a / b;
        if ((int64_t)a % b && (a < 0) != (b < 0)) q--;
        return (int32_t)(fn == IR_FN_DIV ? q : (int64_t)a - q * b);
    default: return 0;
    }
}

static int32_t compare(ir_fn fn, dfm_dtype t, value a, value b)
{
    bool lt = t == DFM_F32 ? a.f < b.f : a.i < b.i, eq = t == DFM_F32 ? a.f == b.f : a.i == b.i;
    switch (fn) {
    case IR_FN_LT: return lt;
    case IR_FN_LE: return lt || eq;
    case IR_FN_EQ: return eq;
    case IR_FN_NE: return !eq;
    default: return 0;
    }
}

static value call(const machine *x, const kir_inst *i, const value *a)
{
    dfm_dtype t = kir_at(x->k, i->ref[0])->dtype;
    ir_fn_class c = ir_fn_class_of(i->fn);
    if (c == IR_SELECT) return a[0].i ? a[1] : a[2];
    if (c == IR_CMP) return (value){.i = compare(i->fn, t, a[0], a[1])};
    if (i->dtype == DFM_F32) return (value){.f = float_fn(i->fn, a[0].f, a[1].f)};
    return (value){.i = int_fn(i->fn, a[0].i, a[1].i)};
}

static value draw(const machine *x, const kir_inst *i, const value *a)
{
    const kir_env *env = x->r->env;
    uint32_t loop = 0, sample = i->ref[1].i ? (uint32_t)(a[1].i + env->first_sample) : 0;
    for (uint32_t k = 0; k < i->n_iters; k++)
        loop = dfm_draw_loop(loop, (uint32_t)x->r->iter[k]);
    if (i->ref[2].i) loop = (uint32_t)a[2].i;
    uint32_t step = (uint32_t)env->step, e = (uint32_t)a[0].i;
    uint64_t stream = i->random->stream;
    if (i->random->dist == IR_UNIFORM)
        return (value){.f = dfm_draw_uniform(env->seed, stream, step, sample, loop, e)};
    if (i->random->dist == IR_NORMAL)
        return (value){.f = dfm_draw_normal(env->seed, stream, step, sample, loop, e)};
    return (value){.i = dfm_draw_randint(env->seed, stream, step, sample, loop, e,
                                         (int32_t)i->random->lo, (int32_t)i->random->hi)};
}

/* -- reductions -------------------------------------------------------------------------------- */

static void fold(acc *s, const kir_inst *i, dfm_dtype t, value v, int64_t lane)
{
    double x = to_double(t, v);
    bool first = !s->any;
    s->any = true;
    switch (i->red) {
    case IR_RED_SUM:
        s->f = first ? x : s->f + x;
        s->i = (int64_t)(int32_t)((uint32_t)s->i + (uint32_t)v.i);
        break;
    case IR_RED_PROD:
        s->f = first ? x : s->f * x;
        s->i = first ? v.i : (int64_t)(int32_t)((uint32_t)s->i * (uint32_t)v.i);
        break;
    case IR_RED_MAX: s->f = first || x > s->f || isnan(x) ? x : s->f; break;
    case IR_RED_MIN: s->f = first || x < s->f || isnan(x) ? x : s->f; break;
    case IR_RED_ANY: s->f = first ? x : s->f != 0 || x != 0; break;
    case IR_RED_ALL: s->f = first ? x : s->f != 0 && x != 0; break;
    case IR_RED_ARGMAX:
        if (first || x > s->f) {
            s->f = x;
            s->best = lane;
        }
        break;
    default: break;
    }
}

static value folded(const kir_inst *i, const acc *s)
{
    if (i->red == IR_RED_ARGMAX) return (value){.i = (int32_t)s->best};
    if (i->dtype == DFM_F32) return (value){.f = (float)s->f};
    if (i->red == IR_RED_SUM || i->red == IR_RED_PROD) return (value){.i = (int32_t)s->i};
    return (value){.i = (int32_t)s->f};
}

/* -- instructions ------------------------------------------------------------------------------ */

static value operand(const machine *x, kir_ref ref)
{
    const value *kept = x->kept[ref.i];
    return kept ? kept[x->lane] : x->v[ref.i];
}

static value convert(dfm_dtype to, dfm_dtype from, value v)
{
    if (to == from) return v;
    if (from == DFM_F32 && to == DFM_BOOL) return (value){.i = v.f != 0};
    return of_double(to, to_double(from, v));
}

static double runtime_scalar(const machine *x, const kir_inst *i)
{
    const kir_env *env = x->r->env;
    const char *n = dfm_name_str(x->r->m->ir->names, i->name);
    if (i->op == KIR_STEP) return (double)env->step;
    return env->scalar ? env->scalar(env->user, n) : !strcmp(n, "step") ? (double)env->step : 0;
}

static void execute(machine *x, uint32_t at, bool flush)
{
    const kir_inst *i = &x->k->insts.p[at];
    const kir_arg *arg = i->op == KIR_LOAD || i->op == KIR_STORE ? &x->k->args.p[i->arg] : NULL;
    value a[3] = {{0}}, out = {0};
    for (int r = 0; r < 3; r++) {
        if (!i->ref[r].i) continue;
        if (flush && x->sums[i->ref[r].i]) a[r].f = (float)x->sums[i->ref[r].i][x->lane];
        else a[r] = operand(x, i->ref[r]);
    }
    switch (i->op) {
    case KIR_CONST: out = of_double(i->dtype, i->value); break;
    case KIR_INDEX: out.i = (int32_t)index_value(x, i->ix); break;
    case KIR_ITER: out.i = (int32_t)x->r->iter[i->arg]; break;
    case KIR_STEP: case KIR_SCALAR: out = of_double(i->dtype, runtime_scalar(x, i)); break;
    case KIR_LOAD:
        out =
            of_double(i->dtype, guard_holds(x, i) ? kir_get(x->r, arg, distance(x, i)) : i->value);
        break;
    case KIR_FN: out = call(x, i, a); break;
    case KIR_CONVERT: out = convert(i->dtype, kir_at(x->k, i->ref[0])->dtype, a[0]); break;
    case KIR_ROUND: out.f = dfm_bf16_to_f32(dfm_f32_to_bf16(a[0].f)); break;
    case KIR_RANDOM: out = draw(x, i, a); break;
    case KIR_REDUCE: fold(&x->red[at], i, kir_at(x->k, i->ref[0])->dtype, a[0], x->lane); return;
    case KIR_ACC: x->sums[at][x->lane] += a[0].f; return;
    case KIR_STORE:
        if (guard_holds(x, i))
            kir_put(x->r, arg, distance(x, i), to_double(kir_at(x->k, i->ref[0])->dtype, a[0]));
        return;
    case KIR_NONE: case KIR_OP_COUNT: return;
    }
    if (i->keep) x->kept[at][x->lane] = out;
    else x->v[at] = out;
    for (uint32_t k = 0; k < x->k->indirect.n; k++)
        if (x->k->indirect.p[k].value.i == at) x->at[x->k->indirect.p[k].dim.i] = out.i;
}

/* Indirect dims whose value is kept from an earlier pass get it back for this lane. */
static void enter_lane(machine *x, int64_t lane)
{
    x->lane = lane;
    for (uint32_t d = x->k->n_lanes; d-- > 0;) {
        int64_t e = ir_extent(x->r->m->ir, x->k->lanes[d]);
        x->at[x->k->lanes[d].i] = lane % e;
        lane /= e;
    }
    for (uint32_t k = 0; k < x->k->indirect.n; k++) {
        const value *kept = x->kept[x->k->indirect.p[k].value.i];
        if (kept) x->at[x->k->indirect.p[k].dim.i] = kept[x->lane].i;
    }
}

static void run_section(machine *x, const kir_section *s)
{
    int64_t lanes = s->kind == KIR_ROW ? 1 : x->lanes;
    for (uint32_t i = s->first; i < s->first + s->n; i++) memset(&x->red[i], 0, sizeof x->red[i]);
    for (int64_t l = 0; l < lanes; l++) {
        if (s->kind == KIR_ROW) x->lane = 0;
        else enter_lane(x, l);
        for (uint32_t i = s->first; i < s->first + s->n; i++) execute(x, i, s->kind == KIR_FLUSH);
    }
    for (uint32_t i = s->first; i < s->first + s->n; i++)
        if (x->k->insts.p[i].op == KIR_REDUCE) x->v[i] = folded(&x->k->insts.p[i], &x->red[i]);
}

static void enter_row(machine *x, int64_t row)
{
    for (uint32_t d = x->k->n_rows; d-- > 0;) {
        int64_t e = ir_extent(x->r->m->ir, x->k->rows[d]);
        x->at[x->k->rows[d].i] = row % e;
        row /= e;
    }
}

static void run_block(machine *x, int64_t first, int64_t n, int64_t number)
{
    const kir_kernel *k = x->k;
    for (uint32_t i = 1; i < k->insts.n; i++)
        if (x->sums[i]) memset(x->sums[i], 0, (size_t)x->lanes * sizeof(double));
    for (int64_t r = 0; r < n; r++) {
        enter_row(x, first + r);
        for (uint32_t s = 0; s < k->sections.n; s++)
            if (k->sections.p[s].kind != KIR_FLUSH) run_section(x, &k->sections.p[s]);
    }
    for (uint32_t s = 0; s < k->sections.n; s++) {
        if (k->sections.p[s].kind != KIR_FLUSH) continue;
        x->at[k->block_dim.i] = number;
        run_section(x, &k->sections.p[s]);
    }
}

dfm_status kir_run_kernel(kir_run *r, const kir_kernel *k)
{
    dfm_arena *a = r->scratch;
    machine x = {.r = r, .k = k, .lanes = kir_lanes(r->m->ir, k)};
    uint32_t n = k->insts.n + 1;
    x.at = dfm_new_n(a, int64_t, r->m->ir->dims.n + 1);
    x.v = dfm_new_n(a, value, n);
    x.kept = dfm_new_n(a, value *, n);
    x.red = dfm_new_n(a, acc, n);
    x.sums = dfm_new_n(a, double *, n);
    for (uint32_t i = 1; i < k->insts.n; i++) {
        if (k->insts.p[i].keep) x.kept[i] = dfm_new_n(a, value, x.lanes);
        if (k->insts.p[i].op == KIR_ACC) x.sums[i] = dfm_new_n(a, double, x.lanes);
    }
    uint32_t first = k->sections.n ? k->sections.p[0].first : k->insts.n;
    for (uint32_t i = 1; i < first; i++) execute(&x, i, false);
    int64_t rest = 1, kept = 1;
    for (uint32_t d = 0; d < k->n_rows; d++)
        *(d < k->n_keep ? &kept : &rest) *= ir_extent(r->m->ir, k->rows[d]);
    for (int64_t o = 0; o < kept; o++)
        for (int64_t b = 0; b * k->block < rest; b++) {
            int64_t left = rest - b * k->block;
            run_block(&x, o * rest + b * k->block, left < k->block ? left : k->block, b);
        }
    return DFM_OK;
}

/* exec.c - open a plan, give its regions memory, bind its programs, run them. */
#include <string.h>

#include "runtime/exec/exec_impl.h"

/* -- scalars that programs may ask for --------------------------------------------------------- */

static const char *const scalar_names[] = {"step", "keep", "scale", "lr"};

static double scalar_value(const char *name, const rt_call *call)
{
    if (!strcmp(name, "step")) return (double)call->step;
    if (!strcmp(name, "keep")) return call->keep;
    if (!strcmp(name, "lr")) return call->lr;
    return call->scale;
}

static dfm_status check_scalars(const plan *p, dfm_err *err)
{
    for (uint32_t i = 0; i < p->n_scalars; i++) {
        const char *name = plan_text(p, p->scalars[i]);
        bool known = false;
        for (size_t k = 0; k < DFM_LEN(scalar_names); k++)
            known = known || !strcmp(name, scalar_names[k]);
        if (!known)
            return dfm_fail(err, DFM_UNAVAILABLE,
                            "the plan wants to be told '%s', which this dfm-rt does not know",
                            name);
    }
    return DFM_OK;
}

/* -- opening ----------------------------------------------------------------------------------- */

static dfm_status alloc_regions(rt *r, dfm_err *err)
{
    const plan *p = &r->p;
    r->region = dfm_new_n(r->arena, char *, p->n_regions + 1);
    for (uint32_t i = 0; i < p->n_regions; i++) {
        const plan_region *g = &p->regions[i];
        void *at = NULL;
        bool optional = g->kind == PLAN_REGION_STATE && p->states[g->state].on_demand;
        if (optional && !r->options.accumulate) continue;
        if (g->kind == PLAN_REGION_CONST) {
            DFM_TRY(r->device->ops->constants(r->device, p->consts, p->n_consts, &at, err));
        } else {
            DFM_TRY(r->device->ops->alloc(r->device, g->bytes, &at, err));
            r->memory += g->bytes;
        }
        r->region[i] = at;
    }
    return DFM_OK;
}

static dfm_status open_device(rt *r, dfm_err *err)
{
    const char *target = plan_meta_string(&r->p, r->arena, "target");
    const dev_ops *ops = dev_find(target);
    if (!ops) {
        dfm_fail(err, DFM_UNAVAILABLE,
                 "the plan is for target '%s', which this dfm-rt does not have", target);
        dfm_help(err, "compile it for another: dfmc --target cpu");
        return DFM_UNAVAILABLE;
    }
    dev_options options = {.p = &r->p, .path = r->path, .threads = r->options.threads,
                           .trust = r->options.trust};
    return ops->open(r->arena, &options, &r->device, err);
}

static dfm_status open_plan(rt *r, dfm_err *err)
{
    DFM_TRY(plan_open(r->path, &r->p, err));
    r->opened = true;
    r->programs = dfm_new_n(r->arena, rt_program *, r->p.n_programs + 1);
    DFM_TRY(check_scalars(&r->p, err));
    DFM_TRY(open_device(r, err));
    return alloc_regions(r, err);
}

dfm_status rt_open(const char *path, const rt_options *options, rt **out, dfm_err *err)
{
    dfm_arena *a = dfm_arena_create("plan");
    rt *r = dfm_new(a, rt);
    r->arena = a;
    r->path = dfm_strdup(a, path);
    r->options = *options;
    dfm_status s = open_plan(r, err);
    if (s != DFM_OK) {
        rt_close(r);
        r = NULL;
    }
    *out = r;
    return s;
}

void rt_close(rt *r)
{
    if (!r) return;
    if (r->device) r->device->ops->close(r->device);
    if (r->opened) plan_close(&r->p);
    dfm_arena_destroy(r->arena);
}

const plan *rt_plan_of(const rt *r) { return &r->p; }
const char *rt_plan_path(const rt *r) { return r->path; }
dev *rt_device(rt *r) { return r->device; }
uint64_t rt_memory(const rt *r) { return r->memory; }

uint32_t rt_state_find(const rt *r, const char *name)
{
    for (uint32_t i = 0; i < r->p.n_states; i++)
        if (!strcmp(plan_text(&r->p, r->p.states[i].name), name)) return i;
    return UINT32_MAX;
}

void *rt_state(const rt *r, uint32_t state, uint32_t flat, const plan_region **out_region)
{
    for (uint32_t i = 0; i < r->p.n_regions; i++) {
        const plan_region *g = &r->p.regions[i];
        if (g->kind != PLAN_REGION_STATE || g->state != state || g->flat != flat) continue;
        if (out_region) *out_region = g;
        return r->region[i];
    }
    return NULL;
}

/* -- binding ----------------------------------------------------------------------------------- */

static uint32_t draw_of(const rt_program *b, const char *name)
{
    for (uint32_t i = 0; i < b->prog->n_io; i++)
        if ((b->io[i].flags & PLAN_IO_DRAW) && !strcmp(plan_text(b->p, b->io[i].name), name))
            return i;
    return DEV_NO_DRAW;
}

static dfm_status bind_operand(const rt *r, const plan_operand *o, dev_operand *out, void **fixed,
                               dfm_err *err)
{
    *out = (dev_operand){0};
    *fixed = NULL;
    if (o->region == UINT32_MAX) return DFM_OK;
    char *base = r->region[o->region];
    if (!base)
        return dfm_fail(err, DFM_INTERNAL, "a program needs state '%s' that was not allocated",
                        plan_text(&r->p, r->p.states[r->p.regions[o->region].state].name));
    out->base = base + o->offset;
    memcpy(out->loop_stride, o->loop_stride, sizeof out->loop_stride);
    *fixed = out->base;
    return DFM_OK;
}

static dfm_status bind_steps(rt *r, rt_program *b, dfm_err *err)
{
    const plan *p = &r->p;
    const plan_program *g = b->prog;
    uint32_t total = 0, open[PLAN_MAX_LOOPS] = {0}, depth = 0;
    for (uint32_t i = 0; i < g->n_steps; i++) total += p->steps[g->first_step + i].n_operands;
    dev_step *steps = dfm_new_n(r->arena, dev_step, g->n_steps + 1);
    dev_operand *operands = dfm_new_n(r->arena, dev_operand, total + 1);
    void **fixed = dfm_new_n(r->arena, void *, total + 1);
    b->list =
        (dev_list){.steps = steps, .n_steps = g->n_steps, .operands = operands, .fixed = fixed};
    for (uint32_t i = 0; i < g->n_steps; i++) {
        const plan_step *s = &p->steps[g->first_step + i];
        dev_step *d = &steps[i];
        *d = (dev_step){.kind = s->kind, .item = s->item, .first_operand = b->list.n_operands,
                        .n_operands = s->n_operands, .depth = s->depth, .reverse = s->reverse,
                        .draw = DEV_NO_DRAW, .value = s->value};
        if (s->replaces) d->draw = draw_of(b, plan_text(p, s->replaces));
        if (s->kind == PLAN_STEP_LOOP) open[depth++] = i;
        if (s->kind == PLAN_STEP_END) {
            d->partner = open[--depth];
            steps[d->partner].partner = i;
        }
        for (uint32_t k = 0; k < s->n_operands; k++) {
            const plan_operand *o = &p->operands[s->first_operand + k];
            uint32_t at = b->list.n_operands++;
            DFM_TRY(bind_operand(r, o, &operands[at], &fixed[at], err));
            for (int j = 0; j < PLAN_MAX_LOOPS; j++) d->moves = d->moves || o->loop_stride[j];
        }
        if (s->n_operands > b->list.max_operands) b->list.max_operands = s->n_operands;
    }
    return DFM_OK;
}

bool rt_has_program(const rt *r, const char *name)
{
    return plan_find_program(&r->p, name) != NULL;
}

static dfm_status no_program(const rt *r, const char *name, dfm_err *err)
{
    dfm_sb have = dfm_sb_make(r->arena);
    for (uint32_t i = 0; i < r->p.n_programs; i++)
        dfm_sb_printf(&have, " %s", plan_text(&r->p, r->p.programs[i].name));
    dfm_fail(err, DFM_BAD_CONFIG, "the plan has no program '%s'; it has:%s", name,
             dfm_sb_cstr(&have));
    if (dfm_starts_with(name, "step") || !strcmp(name, "loss") || !strcmp(name, "grad"))
        dfm_help(err, "a model is trained by a `train` section: dfmc --train NAME");
    if (!strcmp(name, "sample"))
        dfm_help(err, "samples come from a `sampler` section: dfmc --sampler NAME");
    return DFM_BAD_CONFIG;
}

dfm_status rt_program_get(rt *r, const char *name, rt_program **out, dfm_err *err)
{
    const plan_program *g = plan_find_program(&r->p, name);
    if (!g) return no_program(r, name, err);
    rt_program **slot = &r->programs[g - r->p.programs];
    if (!*slot) {
        rt_program *b = dfm_new(r->arena, rt_program);
        *b = (rt_program){.prog = g, .io = r->p.io + g->first_io, .p = &r->p};
        b->given = dfm_new_n(r->arena, bool, g->n_io + 1);
        b->scalars = dfm_new_n(r->arena, double, g->n_scalars + 1);
        DFM_TRY(bind_steps(r, b, err));
        DFM_TRY(r->device->ops->prepare(r->device, &b->list, err));
        *slot = b;
    }
    *out = *slot;
    return DFM_OK;
}

dfm_status rt_run(rt *r, rt_program *p, const rt_call *call, dfm_err *err)
{
    plan_kctx ctx = {.seed = call->seed, .step = call->step, .first_sample = call->first_sample,
                     .scalars = p->scalars};
    for (uint32_t i = 0; i < p->prog->n_scalars; i++)
        p->scalars[i] =
            scalar_value(plan_text(&r->p, r->p.scalars[p->prog->first_scalar + i]), call);
    r->used = true;
    dfm_status s = r->device->ops->run(r->device, &p->list, &ctx, p->given, err);
    if (s != DFM_OK) dfm_while(err, "running program '%s'", plan_text(&r->p, p->prog->name));
    return s;
}

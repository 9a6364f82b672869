/* emit_plan.c - K nodes become steps, buffers become regions and offsets, names become strings.
 *
 * Regions: the arena, the constants, then one per (state, flat buffer) in the order of the tables.
 * Offsets of arena buffers are the memory plan's; constants are packed in the order of the buffers.
 */
#include "compiler/emit_plan.h"

#include <string.h>

enum { ARENA_REGION = 0, CONST_REGION = 1, FIRST_STATE_REGION = 2, NO_REGION = -1 };

typedef struct emitter {
    const emit_plan_input *in;
    const kir_module *k;
    const ir_module *ir;
    dfm_arena *a;
    plan_pool *pool;
    uint32_t position;                       /* of the node, in the order of cg_each_node */
    uint32_t program;
    int32_t *region_of;                      /* by state * n_flats + flat */
    uint64_t *const_at;                      /* by buffer: byte offset in the constants */
    DFM_VEC(plan_region) regions;
    DFM_VEC(plan_state) states;
    DFM_VEC(plan_param) params;
    DFM_VEC(plan_io) io;
    DFM_VEC(plan_program) programs;
    DFM_VEC(plan_str) scalars;
    DFM_VEC(plan_step) steps;
    DFM_VEC(plan_operand) operands;
    DFM_VEC(plan_gemm) gemms;
    DFM_VEC(plan_kernel) kernels;
    double flops, bytes;                     /* of the program so far, per execution */
    double times;                            /* product of the open loops' trip counts */
} emitter;

static const char *name_of(const emitter *em, dfm_name n) { return dfm_name_str(em->ir->names, n); }
static plan_str text(emitter *em, const char *s) { return plan_pool_add(em->pool, s); }

/* "dit.dfm:41:9"; places in the standard library as "std/nn.dfm:12:3", wherever it is installed. */
static plan_str place(emitter *em, dfm_loc loc)
{
    const char *at = diag_place(em->in->diag, em->a, loc), *std = em->in->std_path;
    size_t n = strlen(std);
    if (n && !strncmp(at, std, n) && at[n] == '/') at = dfm_fmt(em->a, "std%s", at + n);
    if (!dfm_is_clean_text(at)) {           /* a file's name may hold anything, a plan's text not */
        char *clean = dfm_strdup(em->a, at);
        for (char *c = clean; *c; c++)
            if (*c < 0x20 || *c == 0x7f) *c = '?';
        at = clean;
    }
    return text(em, at);
}

/* -- regions, states, parameters --------------------------------------------------------------- */

static bool is_on_demand(const ir_module *m, const ir_state *st)
{
    return !strcmp(dfm_name_str(m->names, st->name), "acc");
}

uint64_t emit_state_bytes(const ir_module *m)
{
    uint64_t sum = 0;
    for (uint32_t s = 0; s < m->states.n; s++) {
        const ir_state *st = &m->states.p[s];
        for (uint32_t f = 0; f < m->flats.n && !is_on_demand(m, st); f++) {
            const ir_flat *fl = &m->flats.p[f];
            if (s != IR_STATE_W && !fl->trainable) continue;
            sum += fl->n_elems * dfm_dtype_bytes(st->dtype ? st->dtype : fl->dtype);
        }
    }
    return sum;
}

static void emit_regions(emitter *em)
{
    const ir_module *ir = em->ir;
    uint64_t arena = 0, consts = 0;
    for (uint32_t p = 0; p < em->k->programs.n; p++)
        if (em->k->programs.p[p]->arena_bytes > arena) arena = em->k->programs.p[p]->arena_bytes;
    em->const_at = dfm_new_n(em->a, uint64_t, em->k->bufs.n);
    for (uint32_t b = 1; b < em->k->bufs.n; b++) {
        const kir_buffer *buf = &em->k->bufs.p[b];
        if (buf->mem != KIR_MEM_CONST) continue;
        em->const_at[b] = consts;
        consts += (buf->elems * dfm_dtype_bytes(buf->dtype) + 63) / 64 * 64;
    }
    dfm_push(em->a, &em->regions, ((plan_region){.kind = PLAN_REGION_ARENA, .bytes = arena}));
    dfm_push(em->a, &em->regions, ((plan_region){.kind = PLAN_REGION_CONST, .bytes = consts}));
    em->region_of = dfm_new_n(em->a, int32_t, ir->states.n * ir->flats.n + 1);
    for (uint32_t s = 0; s < ir->states.n; s++) {
        const ir_state *st = &ir->states.p[s];
        plan_state ps = {.name = text(em, name_of(em, st->name)), .is_ema = st->is_ema,
                         .saved = st->saved,
                         .on_demand = is_on_demand(ir, st)};
        dfm_push(em->a, &em->states, ps);
        for (uint32_t f = 0; f < ir->flats.n; f++) {
            const ir_flat *fl = &ir->flats.p[f];
            em->region_of[s * ir->flats.n + f] = NO_REGION;
            if (s != IR_STATE_W && !fl->trainable) continue;
            dfm_dtype d = st->dtype ? st->dtype : fl->dtype;
            em->region_of[s * ir->flats.n + f] = (int32_t)em->regions.n;
            dfm_push(em->a, &em->regions,
                     ((plan_region){.kind = PLAN_REGION_STATE, .dtype = d, .state = s, .flat = f,
                                    .bytes = fl->n_elems * dfm_dtype_bytes(d)}));
        }
    }
}

/* "blocks.{i}.attn" with {i} replaced by the layer's numbers. */
static const char *layer_name(emitter *em, const ir_param *p, dfm_name pattern, const int64_t *at)
{
    dfm_sb sb = dfm_sb_make(em->a);
    for (const char *s = name_of(em, pattern); *s;) {
        const char *end = *s == '{' ? strchr(s, '}') : NULL;
        bool done = false;
        for (uint32_t l = 0; end && l < p->n_loops && !done; l++) {
            const char *var = name_of(em, p->loop_vars[l]);
            if (strlen(var) != (size_t)(end - s - 1) || strncmp(var, s + 1, strlen(var))) continue;
            dfm_sb_printf(&sb, "%lld", (long long)at[l]);
            s = end + 1;
            done = true;
        }
        if (!done) dfm_sb_add(&sb, s++, 1);
    }
    return dfm_sb_cstr(&sb);
}

static void emit_param(emitter *em, const ir_param *p)
{
    const ir_type_info *t = ir_type_of(em->ir, p->type);
    uint64_t layers = 1, elems;
    for (uint32_t l = 0; l < p->n_loops; l++) layers *= (uint64_t)ir_extent(em->ir, t->dims[l]);
    elems = ir_elems(em->ir, p->type) / layers;
    for (uint64_t k = 0; k < layers; k++) {
        int64_t at[4] = {0};
        uint64_t rest = k;
        for (uint32_t l = p->n_loops; l-- > 0;) {
            at[l] = (int64_t)(rest % (uint64_t)ir_extent(em->ir, t->dims[l]));
            rest /= (uint64_t)ir_extent(em->ir, t->dims[l]);
        }
        plan_param pp = {.path = text(em, layer_name(em, p, p->path, at)),
                         .published = text(em, layer_name(em, p, p->published.i ? p->published
                                                                                : p->path, at)),
                         .flat = p->group, .dtype = t->dtype, .offset = p->flat_offset + k * elems,
                         .elems = elems, .rank = p->file_rank,
                         .flags = (p->trainable ? PLAN_PARAM_TRAINABLE : 0u) |
                                  (p->is_buffer ? PLAN_PARAM_BUFFER : 0u) |
                                  (p->reshape_any ? PLAN_PARAM_RESHAPE : 0u)};
        memcpy(pp.shape, p->file_shape, p->file_rank * sizeof pp.shape[0]);
        dfm_push(em->a, &em->params, pp);
    }
}

/* -- operands ---------------------------------------------------------------------------------- */

static void emit_operand(void *user, kir_arg *arg)
{
    emitter *em = user;
    plan_operand op = {.region = UINT32_MAX};
    if (arg->buf.i) {
        const kir_buffer *b = &em->k->bufs.p[arg->buf.i];
        int64_t size = (int64_t)dfm_dtype_bytes(arg->dtype), last = 0, first = 0;
        for (int d = 0; d < arg->rank; d++) {
            int64_t reach = (ir_extent(em->ir, arg->dims[d]) - 1) * arg->stride[d];
            *(reach < 0 ? &first : &last) += reach;
        }
        uint64_t base = b->mem == KIR_MEM_CONST ? em->const_at[arg->buf.i]
                        : b->mem == KIR_MEM_STATE ? 0 : b->offset;
        op.region = b->mem == KIR_MEM_CONST ? CONST_REGION : ARENA_REGION;
        if (b->mem == KIR_MEM_STATE)
            op.region = (uint32_t)em->region_of[b->state * em->ir->flats.n + b->flat];
        op.flags = arg->write ? PLAN_WRITE : PLAN_READ;
        op.offset = base + (uint64_t)(arg->offset * size);
        op.span = (uint64_t)((last - first + 1) * size);
        if (arg->dtype == DFM_U8 && arg->rank == 0) op.span = b->elems;     /* scratch */
        for (int l = 0; l < PLAN_MAX_LOOPS; l++) op.loop_stride[l] = arg->loop_stride[l] * size;
    }
    dfm_push(em->a, &em->operands, op);
}

/* -- steps ------------------------------------------------------------------------------------- */

static void emit_gemm(emitter *em, const kir_node *n, plan_step *st)
{
    const kir_gemm *g = &n->gemm;
    plan_gemm pg = {.batch = {g->batch[0], g->batch[1]}, .m = g->m, .n = g->n, .k = g->k,
                    .da = g->a.dtype, .db = g->b.dtype, .dc = g->c.dtype,
                    .has_bias = g->bias.buf.i != 0};
    memcpy(pg.sa, g->sa, sizeof pg.sa);
    memcpy(pg.sb, g->sb, sizeof pg.sb);
    memcpy(pg.sc, g->sc, sizeof pg.sc);
    if (g->scratch.buf.i) pg.scratch_bytes = em->k->bufs.p[g->scratch.buf.i].elems;
    st->kind = PLAN_STEP_GEMM;
    st->item = em->gemms.n;
    for (uint32_t i = 0; i < em->gemms.n; i++)
        if (!memcmp(&em->gemms.p[i], &pg, sizeof pg)) st->item = i;
    if (st->item == em->gemms.n) dfm_push(em->a, &em->gemms, pg);
    kir_arg args[] = {g->a, g->b, g->c, g->bias, g->scratch};
    for (size_t i = 0; i < DFM_LEN(args); i++) emit_operand(em, &args[i]);
}

static void emit_nodes(emitter *em, const kir_nodes *nodes);

static void emit_loop(emitter *em, const kir_node *n, plan_step st)
{
    uint32_t at = em->steps.n;
    int64_t trips = ir_extent(em->ir, n->loop.dim);
    st.kind = PLAN_STEP_LOOP;
    st.depth = n->loop.depth;
    st.reverse = n->loop.reverse;
    st.value = (uint64_t)trips;
    dfm_push(em->a, &em->steps, st);
    em->times *= (double)trips;
    emit_nodes(em, &n->loop.body);
    em->times /= (double)trips;
    dfm_push(em->a, &em->steps, ((plan_step){.kind = PLAN_STEP_END, .item = at, .value = at,
                                             .depth = n->loop.depth, .where = st.where}));
}

static void emit_node(emitter *em, kir_node *n)
{
    plan_step st = {.first_operand = em->operands.n, .name = text(em, name_of(em, n->name)),
                    .replaces = n->replaces.i ? text(em, name_of(em, n->replaces)) : 0,
                    .where = place(em, n->loc)};
    uint32_t unit = em->in->code->unit_of[em->position++];
    if (n->kind == KIR_NODE_LOOP) {
        emit_loop(em, n, st);
        return;
    }
    kir_cost cost = kir_node_cost(em->k, n);
    em->flops += em->times * cost.flops;
    em->bytes += em->times * cost.bytes;
    if (n->kind == KIR_NODE_GEMM && unit == UINT32_MAX) emit_gemm(em, n, &st);
    else if (n->kind == KIR_NODE_COPY) {
        st.kind = PLAN_STEP_COPY;
        st.value = (uint64_t)n->copy.elems * dfm_dtype_bytes(n->copy.src.dtype);
        kir_each_arg(n, emit_operand, em);
    } else {
        st.kind = PLAN_STEP_CALL;
        st.item = unit;
        kir_each_arg(n, emit_operand, em);
    }
    st.n_operands = em->operands.n - st.first_operand;
    dfm_push(em->a, &em->steps, st);
}

/* Loops nest at most KIR_MAX_LOOPS deep, so this recursion is bounded. */
static void emit_nodes(emitter *em, const kir_nodes *nodes)
{
    for (uint32_t i = 0; i < nodes->n; i++) emit_node(em, nodes->p[i]);
}

/* -- programs ---------------------------------------------------------------------------------- */

static const ir_data_field *data_field(const emitter *em, dfm_name name)
{
    for (uint32_t i = 0; i < em->ir->data.n; i++)
        if (dfm_name_eq(em->ir->data.p[i].name, name)) return &em->ir->data.p[i];
    return NULL;
}

/* Is the input of this name data in the program's graph? (A model's formal may be called alike.) */
static bool is_data(const emitter *em, dfm_name name)
{
    const ir_graph *g = em->ir->graphs.p[em->ir->programs.p[em->program].graph];
    for (uint32_t i = 0; i < g->inputs.n; i++) {
        const ir_op *op = ir_op_of(g, g->inputs.p[i]);
        if (dfm_name_eq(op->at->input.name, name)) return op->at->input.role == IR_ROLE_DATA;
    }
    return false;
}

/* Rows of the smallest table that value v of g selects from, also through selects, views and the
 * bodies of scans; 0 if it selects from none. Bodies nest at most KIR_MAX_LOOPS deep. */
static int64_t index_bound(const ir_module *m, const ir_graph *g, ir_val v, int depth)
{
    dfm_arena *a = dfm_arena_create("index");
    bool *same = dfm_new_n(a, bool, g->ops.n);          /* carries the index's own values */
    int64_t bound = 0;
    same[v.i] = true;
    for (uint32_t i = v.i + 1; i < g->ops.n; i++) {
        const ir_op *op = &g->ops.p[i];
        for (uint32_t k = 0; k < op->n_args; k++) {
            int64_t found = 0;
            if (!same[op->args[k].i]) continue;
            if (op->kind == IR_VIEW || (op->kind == IR_MAP && op->at->fn == IR_FN_SELECT && k > 0))
                same[i] = true;
            if (op->kind == IR_GATHER && k == 1) found = ir_extent(m, op->at->gather.dim);
            if (op->kind == IR_SCAN && depth < KIR_MAX_LOOPS) {
                const ir_graph *body = m->graphs.p[op->at->scan.body];
                found = index_bound(m, body, body->inputs.p[k + 1], depth + 1);
            }
            if (found && (!bound || found < bound)) bound = found;
        }
    }
    dfm_arena_destroy(a);
    return bound;
}

/* Integer inputs that choose rows: their values are checked before they are used. */
static int32_t modulus_of(const emitter *em, dfm_name name)
{
    const ir_graph *g = em->ir->graphs.p[em->ir->programs.p[em->program].graph];
    for (uint32_t i = 0; i < g->inputs.n; i++) {
        const ir_op *op = ir_op_of(g, g->inputs.p[i]);
        if (!dfm_name_eq(op->at->input.name, name)) continue;
        int64_t bound = index_bound(em->ir, g, g->inputs.p[i], 0);
        return bound <= INT32_MAX ? (int32_t)bound : 0;
    }
    return 0;
}

static void emit_io(emitter *em, const kir_io *io, bool output)
{
    const kir_buffer *b = &em->k->bufs.p[io->arg.buf.i];
    const ir_type_info *t = ir_type_of(em->ir, io->type);
    const ir_data_field *df = !output && is_data(em, io->name) ? data_field(em, io->name) : NULL;
    plan_io p = {.name = text(em, name_of(em, io->name)), .dtype = io->arg.dtype, .rank = t->rank,
                 .offset = b->offset + (uint64_t)io->arg.offset * dfm_dtype_bytes(io->arg.dtype),
                 .bytes = ir_elems(em->ir, io->type) * dfm_dtype_bytes(io->arg.dtype)};
    p.flags = output ? PLAN_IO_OUTPUT
              : df ? PLAN_IO_DATA : b->is_draw ? PLAN_IO_DRAW : PLAN_IO_FORMAL;
    for (uint32_t d = 0; d < t->rank; d++) {
        p.shape[d] = ir_extent(em->ir, t->dims[d]);
        p.dims[d] = text(em, ir_dim_str(em->ir, t->dims[d]));
    }
    if (t->rank && em->ir->batch.i && t->dims[0].i == em->ir->batch.i) p.flags |= PLAN_IO_BATCH;
    if (df) {
        p.source = text(em, df->source);
        p.pad_dim = df->pad_dim ? text(em, df->pad_dim) : 0;
    }
    if (!output && t->dtype == DFM_I32) p.modulus = modulus_of(em, io->name);
    dfm_push(em->a, &em->io, p);
}

static void emit_program(emitter *em, uint32_t index)
{
    const kir_program *kp = em->k->programs.p[index];
    plan_program p = {.name = text(em, kp->name), .first_step = em->steps.n, .first_io = em->io.n,
                      .n_scalars = em->scalars.n, .arena_bytes = kp->arena_bytes};
    em->program = index;
    em->flops = em->bytes = 0;
    em->times = 1;
    for (uint32_t i = 0; i < kp->inputs.n; i++) emit_io(em, &kp->inputs.p[i], false);
    for (uint32_t i = 0; i < kp->outputs.n; i++) emit_io(em, &kp->outputs.p[i], true);
    emit_nodes(em, &kp->nodes);
    p.n_steps = em->steps.n - p.first_step;
    p.n_io = em->io.n - p.first_io;
    p.n_results = kp->outputs.n;
    p.flops = em->flops;
    p.bytes = em->bytes;
    dfm_push(em->a, &em->programs, p);
}

static void emit_kernels(emitter *em)
{
    for (uint32_t u = 0; u < em->in->code->units.n; u++) {
        const cg_unit *unit = &em->in->code->units.p[u];
        kir_cost cost = kir_node_cost(em->k, unit->node);
        dfm_push(em->a, &em->kernels,
                 ((plan_kernel){.symbol = text(em, unit->symbol),
                                .name = text(em, name_of(em, unit->node->name)),
                                .where = place(em, unit->node->loc), .n_operands = unit->n_args,
                                .flops = cost.flops, .bytes = cost.bytes}));
    }
}

static void *pack_consts(emitter *em, uint64_t bytes)
{
    char *p = dfm_alloc(em->a, bytes ? bytes : 1);
    for (uint32_t b = 1; b < em->k->bufs.n; b++) {
        const kir_buffer *buf = &em->k->bufs.p[b];
        if (buf->mem != KIR_MEM_CONST) continue;
        for (uint64_t i = 0; i < buf->elems; i++)
            dfm_store_double(buf->dtype, p + em->const_at[b], i, buf->data[i]);
    }
    return p;
}

/* -- META -------------------------------------------------------------------------------------- */

static void json_member(dfm_sb *sb, const char *key, const char *value)
{
    dfm_sb_printf(sb, ",\n  ");
    dfm_sb_json(sb, key);
    dfm_sb_puts(sb, ": ");
    dfm_sb_json(sb, value ? value : "");
}

/* Dims that the user named; aliases and the compiler's own (with odd characters) are left out. */
static void json_dims(emitter *em, dfm_sb *sb)
{
    const char *comma = "";
    dfm_sb_puts(sb, ",\n  \"dims\": {");
    for (uint32_t d = 1; d < em->ir->dims.n; d++) {
        const ir_dim_info *info = &em->ir->dims.p[d];
        const char *name = name_of(em, info->name);
        if (info->alias_of.i || strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_"
                                             "0123456789") != strlen(name))
            continue;
        dfm_sb_puts(sb, comma);
        dfm_sb_json(sb, name);
        dfm_sb_printf(sb, ": %lld", (long long)info->extent);
        comma = ", ";
    }
    dfm_sb_puts(sb, "}");
}

static const char *meta_text(emitter *em)
{
    const emit_plan_input *in = em->in;
    dfm_sb sb = dfm_sb_make(em->a);
    int64_t batch = em->ir->batch.i ? ir_extent(em->ir, em->ir->batch) : 1;
    dfm_sb_printf(&sb, "{\n  \"dfmc\": \"%s\"", DFM_VERSION);
    json_member(&sb, "target", in->target);
    json_member(&sb, "arch", in->arch);
    dfm_sb_puts(&sb, ",\n  \"cpu\": [");
    for (uint32_t i = 0; i < in->code->n_features; i++) {
        if (i) dfm_sb_puts(&sb, ", ");
        dfm_sb_json(&sb, in->code->features[i]);
    }
    dfm_sb_puts(&sb, "]");
    json_member(&sb, "model", em->ir->model);
    json_member(&sb, "train", em->ir->train);
    json_member(&sb, "sampler", em->ir->sampler);
    json_member(&sb, "variant", em->ir->variant);
    json_member(&sb, "precision", em->ir->precision);
    json_member(&sb, "source", in->source_file);
    json_member(&sb, "data", in->data_path);
    dfm_sb_printf(&sb, ",\n  \"batch\": %lld", (long long)batch);
    dfm_sb_printf(&sb, ",\n  \"weights_strict\": %d", em->ir->weights_strict);
    json_dims(em, &sb);
    dfm_sb_puts(&sb, "\n}\n");
    return dfm_sb_cstr(&sb);
}

void emit_plan(const emit_plan_input *in, dfm_arena *a, plan *out)
{
    emitter e = {.in = in, .k = in->kir, .ir = in->kir->ir, .a = a, .pool = plan_pool_create(a)};
    emitter *em = &e;
    emit_regions(em);
    for (uint32_t i = 0; i < em->ir->params.n; i++) emit_param(em, &em->ir->params.p[i]);
    for (dfm_name n; (n = cg_scalar_at(em->k, em->scalars.n)).i;)
        dfm_push(a, &em->scalars, text(em, name_of(em, n)));
    for (uint32_t i = 0; i < em->k->programs.n; i++) emit_program(em, i);
    emit_kernels(em);
    const char *meta = meta_text(em);
    *out = (plan){
        .flags = (in->code->n_code ? PLAN_HAS_HOST_CODE : 0) | PLAN_DETERMINISTIC,
        .source_id = in->source_id,
        .meta = meta, .n_meta = strlen(meta),
        .regions = em->regions.p, .n_regions = em->regions.n,
        .states = em->states.p, .n_states = em->states.n,
        .params = em->params.p, .n_params = em->params.n,
        .io = em->io.p, .n_io = em->io.n,
        .programs = em->programs.p, .n_programs = em->programs.n,
        .scalars = em->scalars.p, .n_scalars = em->scalars.n,
        .steps = em->steps.p, .n_steps = em->steps.n,
        .operands = em->operands.p, .n_operands = em->operands.n,
        .gemms = em->gemms.p, .n_gemms = em->gemms.n,
        .kernels = em->kernels.p, .n_kernels = em->kernels.n,
        .consts = pack_consts(em, em->regions.p[CONST_REGION].bytes),
        .n_consts = em->regions.p[CONST_REGION].bytes,
        .code = in->code->code, .n_code = in->code->n_code,
    };
    out->strs = plan_pool_bytes(em->pool, &out->n_strs);
}

/* pass_common.c - the table of passes, liveness, memory of rewritten bodies. */
#include "compiler/pass/pass.h"

#include <stdarg.h>
#include <string.h>

const pass_info pass_table[] = {
#define PASS(name, meaning) {#name, meaning, pass_##name},
#include "compiler/pass/pass.def"
#undef PASS
    {NULL, NULL, NULL},
};

typedef struct rewritten {
    pass_fn *run;
    uint32_t from, to;
} rewritten;

struct pass_memo { DFM_VEC(rewritten) done; };

const pass_info *pass_find(const char *name)
{
    for (const pass_info *p = pass_table; p->name; p++)
        if (!strcmp(p->name, name)) return p;
    return NULL;
}

void pass_remark(pass_ctx *cx, const char *pass, dfm_loc loc, const char *format, ...)
{
    if (!cx->remark) return;
    va_list ap;
    va_start(ap, format);
    cx->remark(cx->user, pass, loc, dfm_vfmt(cx->scratch, format, ap));
    va_end(ap);
}

bool *pass_live(pass_ctx *cx, const ir_graph *in)
{
    bool *live = dfm_new_n(cx->scratch, bool, in->ops.n);
    for (uint32_t i = 0; i < in->results.n; i++) live[in->results.p[i].val.i] = true;
    for (uint32_t i = in->ops.n; i-- > 1;) {
        const ir_op *op = &in->ops.p[i];
        if (op->kind == IR_INPUT) live[i] = true;
        for (uint32_t k = 0; live[i] && k < op->n_args; k++) live[op->args[k].i] = true;
    }
    return live;
}

uint32_t pass_body(pass_ctx *cx, pass_fn *run, uint32_t body)
{
    if (!cx->memo) cx->memo = dfm_new(cx->m->arena, struct pass_memo);
    for (uint32_t i = 0; i < cx->memo->done.n; i++)
        if (cx->memo->done.p[i].run == run && cx->memo->done.p[i].from == body)
            return cx->memo->done.p[i].to;
    uint32_t to;
    const ir_graph *in = cx->m->graphs.p[body];
    ir_graph *out = ir_graph_create(cx->m, dfm_name_str(cx->m->names, in->name), &to);
    if (!run(cx, in, out)) return 0;
    dfm_push(cx->m->arena, &cx->memo->done, ((rewritten){run, body, to}));
    return to;
}

const ir_val *pass_args(pass_ctx *cx, const ir_op *op, const ir_val *map)
{
    ir_val *args = dfm_new_n(cx->scratch, ir_val, op->n_args);
    for (uint32_t k = 0; k < op->n_args; k++) args[k] = map[op->args[k].i];
    return args;
}

void pass_results(pass_ctx *cx, const ir_graph *in, const ir_val *map, ir_graph *out)
{
    for (uint32_t i = 0; i < in->results.n; i++) {
        ir_result r = {map[in->results.p[i].val.i], in->results.p[i].name};
        dfm_push(cx->m->arena, &out->results, r);
    }
}

/* ir_tables.c - what ir_ops.def and ir_fns.def say, as arrays, and docs/ops.md from them. */
#include "compiler/ir/ir_impl.h"

#include <string.h>

static const ir_op_desc op_table[IR_OP_COUNT] = {
    [IR_NONE] = {"none", "-", "no op", "LEAF", 0, 0},
#define OP(id, name, lo, hi, cls, grad, doc) [IR_##id] = {name, grad, doc, #cls, lo, hi},
#include "compiler/ir/ir_ops.def"
#undef OP
};

static const struct { const char *name; uint32_t arity; ir_fn_class cls; const char *doc; }
fn_table[IR_FN_COUNT] = {
    [IR_FN_NONE] = {"none", 0, IR_ARITH, ""},
#define FN(id, name, arity, cls, doc) [IR_FN_##id] = {name, arity, IR_##cls, doc},
#include "compiler/ir/ir_fns.def"
#undef FN
};

static const char *const reducers[IR_RED_COUNT] = {
    "none", "sum", "prod", "max", "min", "any", "all", "argmax",
};

const ir_op_desc *ir_describe(ir_op_kind k) { return &op_table[k]; }
const char *ir_op_name(ir_op_kind k) { return op_table[k].name; }
const char *ir_fn_name(ir_fn f) { return fn_table[f].name; }
uint32_t ir_fn_arity(ir_fn f) { return fn_table[f].arity; }
ir_fn_class ir_fn_class_of(ir_fn f) { return fn_table[f].cls; }
const char *ir_reducer_name(ir_reducer r) { return reducers[r]; }

ir_fn ir_fn_find(const char *name)
{
    for (int f = 1; f < IR_FN_COUNT; f++)
        if (!strcmp(fn_table[f].name, name)) return (ir_fn)f;
    return IR_FN_NONE;
}

static void write_fns(dfm_sb *out, ir_fn_class cls, const char *title)
{
    dfm_sb_printf(out, "\n### %s\n\n| name | operands | meaning |\n|---|---|---|\n", title);
    for (int f = 1; f < IR_FN_COUNT; f++) {
        if (fn_table[f].cls != cls) continue;
        dfm_sb_printf(out, "| `%s` | %u | ", fn_table[f].name, fn_table[f].arity);
        for (const char *s = fn_table[f].doc; *s; s++) {
            if (*s == '|') dfm_sb_puts(out, "\\");
            dfm_sb_add(out, s, 1);
        }
        dfm_sb_puts(out, " |\n");
    }
}

void ir_write_ops_markdown(dfm_sb *out)
{
    dfm_sb_puts(out, "# Ops of the graph IR\n\n"
                     "Made from `compiler/ir/ir_ops.def` and `compiler/ir/ir_fns.def` by "
                     "`dfmc explain --ops`; do not edit.\n\n"
                     "A graph is an array of ops in topological order. Every tensor dim has a "
                     "name; operands meet by name.\n`compiler/ir/ir.h` has the attributes of each "
                     "op and the rules that the verifier checks.\n\n"
                     "| op | operands | class | meaning | gradient |\n|---|---|---|---|---|\n");
    for (int k = 1; k < IR_OP_COUNT; k++) {
        const ir_op_desc *d = &op_table[k];
        dfm_sb_printf(out, "| `%s` | ", d->name);
        if (d->max_args == 65535) dfm_sb_puts(out, "any");
        else if (d->min_args == d->max_args) dfm_sb_printf(out, "%u", d->min_args);
        else dfm_sb_printf(out, "%u to %u", d->min_args, d->max_args);
        dfm_sb_printf(out, " | %s | %s | %s |\n", d->cls, d->meaning, d->gradient);
    }
    dfm_sb_puts(out, "\n## Scalar functions of `map`\n");
    write_fns(out, IR_ARITH, "Arithmetic: floats (any mix of float types), or all i32");
    write_fns(out, IR_FLOAT, "Floats only");
    write_fns(out, IR_CMP, "Comparisons: result bool");
    write_fns(out, IR_LOGIC, "Logic: bool");
    write_fns(out, IR_SELECT, "Choice");
}

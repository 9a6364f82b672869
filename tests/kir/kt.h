/* kt.h - what the tests of K share: a G graph through kernelisation, memory plan, text, verifier
 * and K's interpreter, compared with G's interpreter. */
#ifndef DFM_TESTS_KIR_KT_H
#define DFM_TESTS_KIR_KT_H

#include "tests/autodiff/check.h"

#include "compiler/kir/kir.h"

/* Which limits kt_lower uses: 0 a target that takes everything and wants some scratch; 1 one with
 * no room for kept values, few operands, and products of dense f32 only; 2 one without fusion. */
enum { KT_WIDE, KT_NARROW, KT_ALONE, KT_LIMITS };
/* Graph g of f as a program with all results as outputs; returns its K module, verified. */
kir_module *kt_lower(fx *f, const ir_graph *g, bool replace_draws);
kir_module *kt_lower_for(fx *f, const ir_graph *g, bool replace_draws, int limits);
/* Runs the program in one planned arena, poisoned, and compares every result with G's interpreter:
 * the norm of the difference may be `tol` times the norm of the truth plus `spread` times the
 * difference that rounding to f32 makes. Also: text round trip. */
void kt_check(fx *f, const ir_graph *g, double tol);
kir_module *kt_check_with(fx *f, const ir_graph *g, double tol, bool replace_draws);
void kt_check_for(fx *f, const ir_graph *g, double tol, int limits);
uint32_t kt_count(const kir_module *m, kir_node_kind kind);      /* nodes, loops' bodies included */
const char *kt_text(fx *f, const kir_module *m);

#endif

/* shadow.h - proves a memory plan without believing it.
 *
 * The schedule of a program is replayed twice, loops unrolled: once with every buffer in memory of
 * its own, once in the planned arena. Every byte of memory carries the number of the node instance
 * that wrote it last. Each node must find the same writers behind every element that it reads in
 * both replays, and so must the host in the outputs: then no value was overwritten while somebody
 * still wanted it. Lifetimes, sharing and offsets are not looked at, nor is planner code used.
 */
#ifndef DFM_COMPILER_TRUTH_SHADOW_H
#define DFM_COMPILER_TRUTH_SHADOW_H

#include "compiler/kir/kir.h"

/* alone: kernelised, not planned; planned: the same module, kernelised again and planned. False
 * with a text that names node, operand and both writers. */
bool shadow_check(const kir_module *alone, const kir_module *planned, uint32_t program, char *text,
                  size_t n);

#endif

/* ir_text.h - what printer and parser of the graph IR share: the names of enum members.
 *
 *     module {model="dit", train="flow", sampler="", variant="", precision="",
 *             strict=0, batch=B}
 *     dim B = 8
 *     dim S = 16 = Gy * Gx
 *     dim D' = 96 alias D
 *     param "blocks.{i}.w" : f32[L,D] {loops=["i"], trainable=1, ...}
 *     flat "decay" {dtype=f32, trainable=1, dim=P0, elems=4096}
 *     state "w" {dtype=none, ema=0, saved=1}
 *     data "x0" : f32[B,C,Y,X] {source="image.npy"}
 *     graph 1 "loss" {
 *       %1 = input {role=data, index=0, name="x0"} : f32[B,C,Y,X]
 *       %2 = mul %1, %1 : f32[B,C,Y,X] "square"
 *       %3 = reduce %2 {fn=sum, dims=[B,C,Y,X]} : f32[]
 *       ret %3 "loss"
 *     }
 *     program "loss" {graph=1, replace_draws=1, to=[output 0]}
 *
 * A semicolon starts a comment. One behind an op that ends in :LINE:COLUMN is the op's place in the
 * source: `%2 = mul %1, %1 : f32[B]  ; dit.dfm:41:9`. Names that are no identifiers are written in
 * quotes. Graphs are printed bodies first and numbered in that order; if there are programs, only
 * the graphs that they reach are printed.
 */
#ifndef DFM_COMPILER_IR_TEXT_H
#define DFM_COMPILER_IR_TEXT_H

#include "compiler/ir/ir_impl.h"

enum { IR_TEXT_PLAIN = 16 };                 /* longer tables are printed as hexadecimal bits */

/* Tables of names indexed by enum, NULL at the end. */
extern const char *const ir_keep_names[];
extern const char *const ir_role_names[];
extern const char *const ir_dist_names[];
extern const char *const ir_init_names[];
extern const char *const ir_target_names[];

#endif

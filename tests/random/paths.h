/* paths.h - which ways through a target's code the programs took, by their K nodes. */
#ifndef DFM_TESTS_RANDOM_PATHS_H
#define DFM_TESTS_RANDOM_PATHS_H

#include "compiler/kir/kir.h"

typedef enum path_kind {
#define PATH(id, text) PATH_##id,
#include "tests/random/paths.def"
#undef PATH
    PATH_COUNT
} path_kind;

const char *path_text(path_kind p);
/* Adds one to each path that the node takes. */
void paths_count(const kir_module *m, const kir_node *n, uint32_t counts[PATH_COUNT]);

#endif

/* shrink.h - make a failing program small: drop lines and definitions, put older values in the
 * place of newer ones, take expressions apart, lower extents, while it fails in the same way. */
#ifndef DFM_TESTS_RANDOM_SHRINK_H
#define DFM_TESTS_RANDOM_SHRINK_H

#include "tests/random/check.h"

/* The smallest text found that fails in the stage of `how`. `path`: a file to write tries to. */
const char *shrink_text(dfm_arena *a, const char *text, const char *path, const check_options *o,
                        const check_outcome *how);

#endif

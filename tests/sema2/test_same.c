/* test_same.c - the same thing said in two ways: every result of `forward` of the programs in same/
 * is 0. They run in the float64 interpreter, on numbers made up from the names of the inputs.
 *
 * Fails if a builtin, an index expression or a rule of dims means something else than its twin.
 */
#include "tests/sema2/harness.h"

#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/base/file.h"

static void all_zero(void **state)
{
    char path[128];
    snprintf(path, sizeof path, "tests/sema2/same/%s", (const char *)*state);
    h_ctx *h = h_compile_file(path, NULL);
    if (!h->m) h_print(h);
    assert_non_null(h->m);
    const ir_graph *g = h_graph(h, "forward");
    const double *const *all = h_run_all(h, "forward");
    assert_true(g->results.n > 1);
    for (uint32_t r = 0; r < g->results.n; r++) {
        uint64_t n = ir_elems(h->m, ir_type_at(g, g->results.p[r].val));
        for (uint64_t i = 0; i < n; i++)
            if (!(fabs(all[r][i]) < 1e-9))
                fail_msg("%s: result %s[%llu] is %.9g", path,
                         dfm_name_str(h->m->names, g->results.p[r].name), (unsigned long long)i,
                         all[r][i]);
    }
    h_done(h);
}

static int is_program(const struct dirent *d) { return dfm_ends_with(d->d_name, ".dfm"); }

int main(void)
{
    struct dirent **list;
    struct CMUnitTest tests[32];
    int n = scandir(DFM_SOURCE_DIR "/tests/sema2/same", &list, is_program, alphasort);
    if (n < 4 || n > 32) return 1;
    for (int i = 0; i < n; i++)
        tests[i] = (struct CMUnitTest){.name = list[i]->d_name, .test_func = all_zero,
                                       .initial_state = list[i]->d_name};
    int failed = _cmocka_run_group_tests("same", tests, (size_t)n, NULL, NULL);
    for (int i = 0; i < n; i++) free(list[i]);
    free(list);
    return failed;
}

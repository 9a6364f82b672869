/* fuzz_front.c - any bytes as a program for `dfmc check`: reports or a module that verifies.
 *
 * The bytes stand in a file of the working folder, for programs are read from files. Inputs with
 * large numbers are left alone: the tables that they ask for are allowed, and only slow.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/front/front.h"
#include "runtime/base/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static bool has_large_number(const uint8_t *p, size_t n)
{
    size_t digits = 0;
    for (size_t i = 0; i < n; i++) {
        digits = isdigit(p[i]) || p[i] == '_' ? digits + 1 : 0;
        if (digits > 4) return true;
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n > 16384 || has_large_number(data, n)) return 0;
    const char *path = "fuzz_front_input.dfm";
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(data, 1, n, f) != n || fclose(f) != 0) abort();
    dfm_arena *a = dfm_arena_create("fuzz");
    dfm_err err = {0};
    front_ctx cx = {a, dfm_names_create(a), diag_create(a)};
    front_options o = {.file = path, .std_path = DFM_SOURCE_DIR "/models/std", .check_only = true};
    ir_module *m;
    bool ok = front_compile(&cx, &o, &m);
    if (ok != (diag_n_errors(cx.diag) == 0) || ok != (m != NULL)) abort();
    if (ok && ir_verify(m, &err) != DFM_OK) {
        fprintf(stderr, "%s\n", err.text);
        abort();
    }
    dfm_arena_destroy(a);
    return 0;
}

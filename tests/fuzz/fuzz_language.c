/* fuzz_language.c - any bytes as a source file: tokens, tree, messages in all forms, formatter.
 *
 * Beyond "no crash": a file with errors has at least one report, a tree is never too deep, and
 * what the formatter prints parses and is left alone by a second pass (the formatter itself
 * compares the tokens).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/front/ast.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool ok)
{
    if (!ok) abort();
}

static void print_all(diag_ctx *cx, const ast_file *file)
{
    char *p = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&p, &n);
    ast_print_tokens(file->tokens, cx, out);
    ast_print(file->root, cx, true, out);
    diag_print(cx, out, DIAG_TEXT, true);
    diag_print(cx, out, DIAG_SHORT, false);
    diag_print(cx, out, DIAG_JSON, false);
    fclose(out);
    check(n > 0);
    free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n > DIAG_MAX_FILE_BYTES) return 0;
    dfm_arena *a = dfm_arena_create("fuzz");
    diag_ctx *cx = diag_create(a);
    char *text = dfm_alloc(a, n + 1);
    if (n) memcpy(text, data, n);
    diag_src src = diag_add_file(cx, "fuzz.dfm", text, (uint32_t)n);
    const ast_file *file = ast_parse(a, cx, src);
    check(file->ok == (diag_n_errors(cx) == 0));
    check(file->root && file->root->depth <= AST_MAX_DEPTH);
    print_all(cx, file);
    dfm_sb once = dfm_sb_make(a), twice = dfm_sb_make(a);
    check(ast_format(a, cx, src, &once) == file->ok);
    if (file->ok) {
        diag_src again = diag_add_file(cx, "once.dfm", dfm_sb_cstr(&once), (uint32_t)once.n);
        check(ast_format(a, cx, again, &twice));
        check(strcmp(dfm_sb_cstr(&once), dfm_sb_cstr(&twice)) == 0);
    }
    dfm_arena_destroy(a);
    return 0;
}

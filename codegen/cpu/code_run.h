/* code_run.h - runs K programs through compiled code, to compare with the K interpreter. */
#ifndef DFM_CODEGEN_CPU_CODE_RUN_H
#define DFM_CODEGEN_CPU_CODE_RUN_H

#include "codegen/codegen.h"

/* A loaded object. Its memory file stays open as long as it is loaded: the loader knows an object
 * by its path, and "/proc/self/fd/N" with an N used again would give the object loaded first. */
typedef struct code_file {
    void *handle;                            /* of dlopen; NULL: nothing is loaded */
    int fd;
} code_file;

typedef struct code_run {
    const kir_module *m;
    cg_object object;
    code_file file;
    bool shared;                             /* the file is somebody else's */
} code_run;

/* Compile all nodes of m for the cpu. Fails the way cg_target.build does. */
dfm_status code_load(code_run *r, const kir_module *m, dfm_arena *a, dfm_err *err);
/* `quick`: for speed of compilation, not of the code. arch NULL: native. */
dfm_status code_load_as(code_run *r, const kir_module *m, const char *arch, bool quick,
                        dfm_arena *a, dfm_err *err);
void code_unload(code_run *r);
/* In two steps, for many modules in one shared object: the translation units, with a prefix before
 * all symbols (r->object.texts); and the object that holds them. */
dfm_status code_texts(code_run *r, const kir_module *m, const char *prefix, const char *arch,
                      dfm_arena *a, dfm_err *err);
/* Load n bytes of a shared object. On failure nothing is held, and closing does nothing. */
dfm_status code_open(const void *elf, uint64_t n, code_file *out, dfm_err *err);
void code_close(code_file *f);
/* Execute a program on real memory, like kir_interpret. `replaced` of env is honoured. */
dfm_status code_execute(code_run *r, const kir_program *p, void *const *base, const kir_env *env,
                        dfm_err *err);

#endif

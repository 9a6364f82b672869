/* arena.h - memory by lifetime.
 *
 * An arena is a bump allocator over chained blocks. Objects are never freed one by one; the
 * arena is reset or destroyed as a whole. All memory handed out is zeroed. Out of memory calls
 * the process's hook (dfm_on_no_memory), from the thread that asked; a hook must not return. The
 * default hook prints one line and exits with status 3.
 *
 * With -DDFM_ARENA_MALLOC every object is a malloc of its own, so that address sanitizers see
 * overruns between neighbours.
 */
#ifndef DFM_RUNTIME_BASE_ARENA_H
#define DFM_RUNTIME_BASE_ARENA_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

typedef struct dfm_arena dfm_arena;

/* A new, empty arena; `name` (a literal) appears in reports. */
dfm_arena *dfm_arena_create(const char *name);
void dfm_arena_destroy(dfm_arena *a);           /* NULL is allowed */
void dfm_arena_reset(dfm_arena *a);             /* frees all objects, keeps one block */
size_t dfm_arena_bytes(const dfm_arena *a);     /* bytes handed out since the last reset */

/* For main, before there are threads. A hook must not allocate and must not return. */
typedef void dfm_no_memory_hook(const char *what, size_t bytes);
void dfm_on_no_memory(dfm_no_memory_hook *hook);
/* Call the hook: for libraries' memory that we hand out ourselves. */
_Noreturn void dfm_no_memory(const char *what, size_t bytes);

/* `bytes` zeroed bytes, aligned for any type up to 64 bytes wide. Never NULL. */
void *dfm_alloc(dfm_arena *a, size_t bytes);
/* n * size bytes with overflow check (an overflow is out of memory). */
void *dfm_alloc_n(dfm_arena *a, size_t n, size_t size);
void *dfm_dup(dfm_arena *a, const void *p, size_t bytes);
char *dfm_strdup(dfm_arena *a, const char *s);
char *dfm_strndup(dfm_arena *a, const char *s, size_t n);
char *dfm_fmt(dfm_arena *a, const char *format, ...) __attribute__((format(printf, 2, 3)));
char *dfm_vfmt(dfm_arena *a, const char *format, va_list ap);

#define dfm_new(a, T)          ((T *)dfm_alloc((a), sizeof(T)))
#define dfm_new_n(a, T, n)     ((T *)dfm_alloc_n((a), (size_t)(n), sizeof(T)))
#define DFM_LEN(array)         (sizeof(array) / sizeof((array)[0]))

/* Growable array in an arena: `struct { T *p; uint32_t n, cap; }` declared by DFM_VEC(T).
 * dfm_push copies to a larger block when full; pointers into the array go stale then. */
#define DFM_VEC(T)             struct { T *p; uint32_t n, cap; }
#define dfm_push(a, v, x)                                                                       \
    (((v)->n == (v)->cap                                                                        \
          ? (void)((v)->p = dfm_vec_grow((a), (v)->p, (v)->n, &(v)->cap, sizeof *(v)->p))       \
          : (void)0),                                                                           \
     (v)->p[(v)->n++] = (x))
void *dfm_vec_grow(dfm_arena *a, void *p, uint32_t n, uint32_t *cap, size_t size);

#endif

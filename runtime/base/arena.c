/* arena.c - bump allocator over chained blocks. */
#include "runtime/base/arena.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/sys.h"

enum { ALIGN = 64, BLOCK_BYTES = 256 * 1024 };

typedef struct block {
    struct block *next;
    size_t used, cap;          /* of the bytes behind the header */
} block;

struct dfm_arena {
    const char *name;
    block *blocks;             /* the current one first */
    size_t bytes;
};

static dfm_no_memory_hook *on_no_memory;   /* the process's, as its memory is; set once, by main */

/* The header takes one alignment unit so that the bytes behind it are aligned. */
static char *block_data(block *b) { return (char *)b + ALIGN; }

void dfm_on_no_memory(dfm_no_memory_hook *hook) { on_no_memory = hook; }

void dfm_no_memory(const char *what, size_t bytes)
{
    if (on_no_memory) on_no_memory(what, bytes);
    fprintf(stderr, "error: no memory for %zu bytes (%s)\n", bytes, what);
    exit(3);
}

static void oom(const dfm_arena *a, size_t bytes) { dfm_no_memory(a->name, bytes); }

static block *block_new(dfm_arena *a, size_t cap)
{
    block *b = NULL;
    if (cap > SIZE_MAX - 2 * ALIGN) oom(a, cap);
    size_t total = (cap + 2 * ALIGN - 1) / ALIGN * ALIGN;
    b = dfm_sys_alloc(ALIGN, total);
    if (!b) oom(a, cap);
    memset(b, 0, total);
    b->cap = total - ALIGN;
    return b;
}

dfm_arena *dfm_arena_create(const char *name)
{
    dfm_arena *a = dfm_sys_zeroed(sizeof *a);
    if (!a) dfm_no_memory(name, sizeof *a);
    a->name = name;
    return a;
}

static void free_blocks(block *b)
{
    while (b) {
        block *next = b->next;
        dfm_sys_free(b);
        b = next;
    }
}

void dfm_arena_destroy(dfm_arena *a)
{
    if (!a) return;
    free_blocks(a->blocks);
    dfm_sys_free(a);
}

void dfm_arena_reset(dfm_arena *a)
{
    block *b = a->blocks;
    a->bytes = 0;
    if (!b) return;
    free_blocks(b->next);
    b->next = NULL;
    memset(block_data(b), 0, b->used);
    b->used = 0;
}

size_t dfm_arena_bytes(const dfm_arena *a) { return a->bytes; }

void *dfm_alloc(dfm_arena *a, size_t bytes)
{
    size_t unit = bytes >= ALIGN ? ALIGN : 16;
#ifdef DFM_ARENA_MALLOC
    block *own = block_new(a, bytes);
    own->next = a->blocks;
    own->used = own->cap;
    a->blocks = own;
    a->bytes += bytes;
    return block_data(own);
#endif
    block *b = a->blocks;
    size_t at = b ? (b->used + unit - 1) / unit * unit : 0;
    if (!b || at > b->cap || bytes > b->cap - at) {
        block *fresh = block_new(a, bytes > BLOCK_BYTES ? bytes : BLOCK_BYTES);
        if (b && bytes > BLOCK_BYTES) {            /* keep filling the current block */
            fresh->next = b->next;
            b->next = fresh;
        } else {
            fresh->next = b;
            a->blocks = fresh;
        }
        b = fresh;
        at = 0;
    }
    b->used = at + bytes;
    a->bytes += bytes;
    return block_data(b) + at;
}

void *dfm_alloc_n(dfm_arena *a, size_t n, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes)) oom(a, SIZE_MAX);
    return dfm_alloc(a, bytes);
}

void *dfm_dup(dfm_arena *a, const void *p, size_t bytes)
{
    void *q = dfm_alloc(a, bytes);
    if (bytes) memcpy(q, p, bytes);
    return q;
}

char *dfm_strndup(dfm_arena *a, const char *s, size_t n)
{
    char *q = dfm_alloc(a, n + 1);
    memcpy(q, s, n);
    return q;
}

char *dfm_strdup(dfm_arena *a, const char *s) { return dfm_strndup(a, s, strlen(s)); }

char *dfm_vfmt(dfm_arena *a, const char *format, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (n < 0) n = 0;
    char *s = dfm_alloc(a, (size_t)n + 1);
    vsnprintf(s, (size_t)n + 1, format, ap);
    return s;
}

char *dfm_fmt(dfm_arena *a, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    char *s = dfm_vfmt(a, format, ap);
    va_end(ap);
    return s;
}

void *dfm_vec_grow(dfm_arena *a, void *p, uint32_t n, uint32_t *cap, size_t size)
{
    if (*cap > UINT32_MAX / 2) oom(a, SIZE_MAX);
    uint32_t want = *cap ? *cap * 2 : 8;
    void *q = dfm_alloc_n(a, want, size);
    if (n) memcpy(q, p, (size_t)n * size);
    *cap = want;
    return q;
}

/* dev_cpu_copy.c - copies between host memory and the cpu device's, which is host memory too, by
 * all threads: one thread alone does not use all of the memory's bandwidth, and the first write to
 * fresh pages makes the system clear them. */
#include <omp.h>
#include <string.h>

#include "runtime/device/dev_impl.h"

enum { PARALLEL_FROM = 4 << 20, PIECE = 2 << 20 };       /* bytes; pieces are huge pages */

static void copy_pieces(char *to, const char *from, uint64_t bytes)
{
    uint64_t head = (PIECE - (uintptr_t)to % PIECE) % PIECE;
    int64_t n = (int64_t)((bytes - head + PIECE - 1) / PIECE);
    memcpy(to, from, head);
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < n; i++) {
        uint64_t at = head + (uint64_t)i * PIECE;
        memcpy(to + at, from + at, bytes - at < PIECE ? bytes - at : PIECE);
    }
}

void dev_cpu_copy(dev *d, void *to, const void *from, uint64_t bytes)
{
    const char *f = from;
    char *t = to;
    (void)d;
    bool apart = t + bytes <= f || f + bytes <= t;
    if (bytes >= PARALLEL_FROM && apart) copy_pieces(t, f, bytes);
    else memmove(t, f, bytes);
}

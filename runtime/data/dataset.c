/* dataset.c - open a data set, keep or window its samples, and read batches ahead on a thread.
 *
 * Samples lie in a store: per field one array of `capacity` samples. Slot i of the store holds
 * sample i of the current window (in memory: the only window, in file order). A position p of an
 * epoch is element perm[p % window] of window p / window.
 */
#include "runtime/data/dataset.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "runtime/base/hash.h"
#include "runtime/base/philox.h"
#include "runtime/base/str.h"

#define DEFAULT_MEMORY ((uint64_t)1 << 30)
#define SHARD_ORDER UINT32_MAX     /* stands for a window's index when shards are permuted */
enum { WINDOW_SHARE = 4 };

typedef struct window_state {
    bool valid;
    uint64_t epoch;
    uint32_t index;
} window_state;

typedef DFM_VEC(uint64_t) offset_list;

struct data_set {
    dfm_arena *arena, *scratch;    /* scratch: the reading thread's, per sample */
    data_options o;
    data_field *fields;
    uint64_t *field_bytes;
    uint32_t n_fields;
    uint64_t sample_bytes;

    const char **shards;
    uint32_t n_shards;
    uint64_t *offsets;             /* [n] of each sample in its shard, all shards in sequence */
    uint64_t *shard_first;         /* [n_shards + 1] index of a shard's first sample */
    uint64_t n;                    /* samples */

    bool in_memory;
    uint32_t capacity;             /* samples per window */
    char **store;                  /* [n_fields] -> [capacity] samples */
    uint32_t *perm;                /* [capacity] for (loaded.epoch, loaded.index) */
    uint32_t *shard_order;         /* [n_shards] for loaded.epoch */
    window_state loaded;
    data_cursor at;                /* next sample to put into a batch */

    data_batch *ring;              /* [n_ring] batches */
    uint32_t n_ring, head, count;  /* count full ones from head on; the one in use is one of them */
    bool in_use, stop, started;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    dfm_err err;                   /* of the thread; code != 0: it has ended */
};

/* -- index --------------------------------------------------------------------------------- */

static dfm_status index_shard(data_set *d, uint32_t i, offset_list *offsets, dfm_err *err)
{
    data_shard *s;
    DFM_TRY(data_shard_open(d->shards[i], 0, false, &s, err));
    dfm_status status = DFM_OK;
    for (;;) {
        data_sample sample;
        bool end;
        status = data_shard_next(s, &sample, &end, err);
        if (status != DFM_OK || end) break;
        dfm_push(d->arena, offsets, sample.offset);
    }
    data_shard_close(s);
    d->shard_first[i + 1] = offsets->n;
    if (status == DFM_OK && d->shard_first[i] == offsets->n)
        return dfm_fail(err, DFM_BAD_DATA, "shard '%s' holds no sample", d->shards[i]);
    return status;
}

static dfm_status build_index(data_set *d, dfm_err *err)
{
    offset_list offsets = {0};
    DFM_TRY(data_shard_list(d->arena, d->o.path, &d->shards, &d->n_shards, err));
    d->shard_first = dfm_new_n(d->arena, uint64_t, d->n_shards + 1);
    for (uint32_t i = 0; i < d->n_shards; i++) DFM_TRY(index_shard(d, i, &offsets, err));
    d->offsets = offsets.p;
    d->n = offsets.n;
    return DFM_OK;
}

/* -- store --------------------------------------------------------------------------------- */

static char *slot(const data_set *d, uint32_t field, uint64_t i)
{
    return d->store[field] + i * d->field_bytes[field];
}

static dfm_status decode_into(data_set *d, const data_sample *s, uint64_t i, dfm_err *err)
{
    for (uint32_t f = 0; f < d->n_fields; f++) {
        DFM_TRY(data_decode(d->scratch, &d->fields[f], s, d->o.extract, slot(d, f, i), err));
        dfm_arena_reset(d->scratch);
    }
    return DFM_OK;
}

/* Samples first .. first + n - 1 of one shard into slots i, i + 1, ... */
static dfm_status read_run(data_set *d, uint32_t shard, uint64_t first, uint64_t n, uint64_t i,
                           dfm_err *err)
{
    data_shard *s;
    uint64_t offset = d->offsets[d->shard_first[shard] + first];
    DFM_TRY(data_shard_open(d->shards[shard], offset, true, &s, err));
    dfm_status status = DFM_OK;
    for (uint64_t k = 0; k < n && status == DFM_OK; k++) {
        data_sample sample;
        bool end;
        status = data_shard_next(s, &sample, &end, err);
        if (status == DFM_OK && end)
            status = dfm_fail(err, DFM_BAD_DATA, "shard '%s' has changed while it was in use",
                              d->shards[shard]);
        if (status == DFM_OK) status = decode_into(d, &sample, i + k, err);
    }
    data_shard_close(s);
    return status;
}

/* Fill the store with the samples of a window: a stretch of the epoch's sequence of shards. */
static dfm_status read_window(data_set *d, uint32_t index, dfm_err *err)
{
    uint64_t begin = (uint64_t)index * d->capacity, end = begin + d->capacity, at = 0;
    if (end > d->n) end = d->n;
    for (uint32_t k = 0; k < d->n_shards; k++) {
        uint32_t shard = d->shard_order[k];
        uint64_t size = d->shard_first[shard + 1] - d->shard_first[shard];
        uint64_t lo = begin > at ? begin : at, hi = end < at + size ? end : at + size;
        if (lo < hi) DFM_TRY(read_run(d, shard, lo - at, hi - lo, lo - begin, err));
        at += size;
    }
    return DFM_OK;
}

static uint32_t window_size(const data_set *d, uint32_t index)
{
    uint64_t begin = (uint64_t)index * d->capacity;
    return d->n - begin < d->capacity ? (uint32_t)(d->n - begin) : d->capacity;
}

/* Make the window of the current position present. */
static dfm_status need_window(data_set *d, dfm_err *err)
{
    uint32_t index = (uint32_t)(d->at.position / d->capacity);
    bool new_epoch = !d->loaded.valid || d->loaded.epoch != d->at.epoch;
    if (!new_epoch && d->loaded.index == index) return DFM_OK;
    if (!d->in_memory) {
        if (new_epoch)
            data_permutation(d->o.shuffle, d->o.seed, d->at.epoch, SHARD_ORDER, d->n_shards,
                             d->shard_order);
        d->loaded.valid = false;
        DFM_TRY(read_window(d, index, err));
    }
    data_permutation(d->o.shuffle, d->o.seed, d->at.epoch, index, window_size(d, index), d->perm);
    d->loaded = (window_state){true, d->at.epoch, index};
    return DFM_OK;
}

static dfm_status make_store(data_set *d, dfm_err *err)
{
    uint64_t limit = d->o.memory_limit ? d->o.memory_limit : DEFAULT_MEMORY;
    d->in_memory = d->n <= limit / d->sample_bytes && d->n <= UINT32_MAX;
    uint64_t fit = limit / WINDOW_SHARE / d->sample_bytes;
    if (fit > d->n) fit = d->n;
    if (fit > UINT32_MAX) fit = UINT32_MAX;
    d->capacity = d->in_memory ? (uint32_t)d->n : fit ? (uint32_t)fit : 1;
    d->store = dfm_new_n(d->arena, char *, d->n_fields);
    for (uint32_t f = 0; f < d->n_fields; f++)
        d->store[f] = dfm_alloc_n(d->arena, d->capacity, d->field_bytes[f]);
    d->perm = dfm_new_n(d->arena, uint32_t, d->capacity);
    d->shard_order = dfm_new_n(d->arena, uint32_t, d->n_shards);
    data_permutation(false, 0, 0, 0, d->n_shards, d->shard_order);
    return d->in_memory ? read_window(d, 0, err) : DFM_OK;
}

/* -- batches ------------------------------------------------------------------------------- */

static void mock_field(const data_set *d, uint32_t f, uint64_t position, char *dst)
{
    const data_field *field = &d->fields[f];
    uint64_t stream = dfm_hash64(field->name, strlen(field->name), 0x6d6f636b);
    uint64_t n = d->field_bytes[f] / dfm_dtype_bytes(field->dtype);
    uint32_t key[2], w[4] = {0}, top = field->modulus ? field->modulus : 10;
    dfm_draw_key(d->o.seed, stream, key);
    for (uint64_t i = 0; i < n; i++) {
        if (i % 4 == 0) {
            dfm_draw_words(key, (uint32_t)(position >> 32), (uint32_t)position, (uint32_t)(i >> 32),
                           (uint32_t)i, w);
        }
        if (dfm_dtype_is_float(field->dtype)) {
            float even, odd;
            dfm_words_normal(w[i & 2], w[(i & 2) | 1], &even, &odd);
            dfm_store_double(field->dtype, dst, i, i & 1 ? odd : even);
        } else {
            dfm_store_double(field->dtype, dst, i, (double)((uint64_t)w[i & 3] * top >> 32));
        }
    }
}

static dfm_status fill_batch(data_set *d, data_batch *b, dfm_err *err)
{
    b->first = d->at;
    for (uint32_t i = 0; i < d->o.batch; i++) {
        if (!d->o.mock) DFM_TRY(need_window(d, err));
        for (uint32_t f = 0; f < d->n_fields; f++) {
            char *dst = (char *)b->fields[f] + i * d->field_bytes[f];
            if (d->o.mock) mock_field(d, f, d->at.position, dst);
            else memcpy(dst, slot(d, f, d->perm[d->at.position % d->capacity]), d->field_bytes[f]);
        }
        if (++d->at.position == d->n && !d->o.mock) d->at = (data_cursor){d->at.epoch + 1, 0};
    }
    b->next = d->at;
    return DFM_OK;
}

/* The thread: fills the ring's free batches until stopped or failed. */
static void *read_ahead(void *user)
{
    data_set *d = user;
    pthread_mutex_lock(&d->lock);
    for (;;) {
        while (d->count == d->n_ring && !d->stop) pthread_cond_wait(&d->changed, &d->lock);
        if (d->stop) break;
        data_batch *b = &d->ring[(d->head + d->count) % d->n_ring];
        pthread_mutex_unlock(&d->lock);
        dfm_err err = {0};
        dfm_status s = fill_batch(d, b, &err);
        pthread_mutex_lock(&d->lock);
        if (s != DFM_OK) d->err = err;
        else d->count++;
        pthread_cond_signal(&d->changed);
        if (s != DFM_OK) break;
    }
    pthread_mutex_unlock(&d->lock);
    return NULL;
}

dfm_status data_next(data_set *d, const data_batch **out, dfm_err *err)
{
    dfm_status s = DFM_OK;
    pthread_mutex_lock(&d->lock);
    if (d->in_use) {
        d->in_use = false;
        d->head = (d->head + 1) % d->n_ring;
        d->count--;
        pthread_cond_signal(&d->changed);
    }
    while (d->count == 0 && d->err.code == DFM_OK) pthread_cond_wait(&d->changed, &d->lock);
    if (d->count) {
        *out = &d->ring[d->head];
        d->in_use = true;
    } else {
        s = dfm_fail(err, d->err.code, "%s", d->err.text);
    }
    pthread_mutex_unlock(&d->lock);
    return s;
}

/* -- opening ------------------------------------------------------------------------------- */

static dfm_status copy_fields(data_set *d, const data_field *fields, dfm_err *err)
{
    d->fields = dfm_new_n(d->arena, data_field, d->n_fields);
    d->field_bytes = dfm_new_n(d->arena, uint64_t, d->n_fields);
    for (uint32_t i = 0; i < d->n_fields; i++) {
        data_field *f = &d->fields[i];
        *f = fields[i];
        f->name = dfm_strdup(d->arena, f->name);
        f->source = dfm_strdup(d->arena, f->source ? f->source : "");
        f->shape = dfm_dup(d->arena, f->rank ? f->shape : (const uint64_t[]){0},
                           (f->rank + !f->rank) * sizeof(uint64_t));
        d->field_bytes[i] = data_field_bytes(f);
        if (f->rank > DATA_MAX_RANK || !d->field_bytes[i] ||
            __builtin_add_overflow(d->sample_bytes, d->field_bytes[i], &d->sample_bytes) ||
            d->sample_bytes > (uint64_t)1 << 40)
            return dfm_fail(err, DFM_BAD_DATA, "data '%s' is empty or too large", f->name);
    }
    return DFM_OK;
}

static void make_ring(data_set *d)
{
    d->n_ring = (d->o.prefetch ? d->o.prefetch : 2) + 1;
    d->ring = dfm_new_n(d->arena, data_batch, d->n_ring);
    for (uint32_t i = 0; i < d->n_ring; i++) {
        void **p = dfm_new_n(d->arena, void *, d->n_fields + 1);
        for (uint32_t f = 0; f < d->n_fields; f++)
            p[f] = dfm_alloc_n(d->arena, d->o.batch, d->field_bytes[f]);
        d->ring[i].fields = p;
    }
}

static dfm_status start_thread(data_set *d, dfm_err *err)
{
    sigset_t all, old;
    sigfillset(&all);                           /* signals go to the main thread */
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int failed = pthread_create(&d->thread, NULL, read_ahead, d);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (failed)
        return dfm_fail(err, DFM_UNAVAILABLE, "cannot start a thread: %s", strerror(failed));
    d->started = true;
    return DFM_OK;
}

static dfm_status open_set(data_set *d, const data_field *fields, dfm_err *err)
{
    DFM_ASSERT(d->o.batch >= 1);
    DFM_TRY(copy_fields(d, fields, err));
    if (!d->o.mock) {
        DFM_TRY(build_index(d, err));
        DFM_TRY(make_store(d, err));
        if (d->at.position >= d->n) {
            return dfm_fail(err, DFM_BAD_DATA, "the data has %" PRIu64 " samples, but training "
                            "stopped at sample %" PRIu64 ": it is other data", d->n,
                            d->at.position);
        }
        /* the first window now: what is wrong with many samples is found before anything starts */
        if (!d->in_memory) DFM_TRY(need_window(d, err));
    }
    make_ring(d);
    return start_thread(d, err);
}

dfm_status data_open(const data_options *options, const data_field *fields, uint32_t n_fields,
                     data_set **out, dfm_err *err)
{
    dfm_arena *a = dfm_arena_create("data");
    data_set *d = dfm_new(a, data_set);
    *d = (data_set){.arena = a, .scratch = dfm_arena_create("decode"), .o = *options,
                    .n_fields = n_fields, .at = options->start};
    d->o.path = dfm_strdup(a, options->path ? options->path : "");
    d->o.mock = options->mock || n_fields == 0;     /* a program without data reads none */
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->changed, NULL);
    dfm_status s = open_set(d, fields, err);
    *out = d;
    if (s == DFM_OK) return s;
    dfm_while(err, "reading the data at '%s'", d->o.mock ? "mock" : d->o.path);
    data_close(d);
    *out = NULL;
    return s;
}

void data_close(data_set *d)
{
    if (!d) return;
    if (d->started) {
        pthread_mutex_lock(&d->lock);
        d->stop = true;
        pthread_cond_signal(&d->changed);
        pthread_mutex_unlock(&d->lock);
        pthread_join(d->thread, NULL);
    }
    pthread_cond_destroy(&d->changed);
    pthread_mutex_destroy(&d->lock);
    dfm_arena_destroy(d->scratch);
    dfm_arena_destroy(d->arena);
}

uint64_t data_samples(const data_set *d) { return d->n; }
uint32_t data_shards(const data_set *d) { return d->n_shards; }
bool data_in_memory(const data_set *d) { return d->in_memory; }

const char *data_describe(const data_set *d, dfm_arena *a)
{
    char samples[32], bytes[32];
    if (d->o.mock) return "mock data";
    return dfm_fmt(a, "%s samples in %u shard%s, %s decoded, %s", dfm_thousands(d->n, samples),
                   d->n_shards, d->n_shards == 1 ? "" : "s",
                   dfm_human_bytes(d->n * d->sample_bytes, bytes),
                   d->in_memory ? "in memory" : "read in windows");
}

/* plan_verify.c - everything about a plan that execution relies on, checked once.
 *
 * Arithmetic on numbers of the plan is overflow-checked. Rules are texts in the code below; a
 * failure names section, record and rule.
 */
#include "runtime/plan/plan_verify_impl.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

enum { MAX_REGION_LOG2 = 46, MAX_REGIONS = 4096, MAX_STATES = 256,
       MAX_META_BYTES = 1 << 26 };

dfm_status plan_bad(const verifier *v, const char *section, uint64_t index, const char *rule)
{
    return dfm_fail(v->err, DFM_BAD_DATA, "damaged plan: %s %" PRIu64 ": %s", section, index, rule);
}

bool plan_str_ok(const plan *p, plan_str s)
{
    return s < p->n_strs && (s == 0 || p->strs[s - 1] == 0);
}

bool plan_name_ok(const plan *p, plan_str s) { return s != 0 && plan_str_ok(p, s); }

/* Length of the UTF-8 character at s (n bytes are left); 0 if it is none or cannot be printed. */
static size_t printable(const uint8_t *s, size_t n)
{
    if (s[0] < 0x80) return s[0] >= 0x20 && s[0] != 0x7f;
    size_t len = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4 || len > n) return 0;
    for (size_t i = 1; i < len; i++)
        if ((s[i] & 0xc0) != 0x80) return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f)) return 0;
    if ((s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f)) return 0;
    return s[0] == 0xc2 && s[1] < 0xa0 ? 0 : len;
}

static dfm_status check_text(const verifier *v)
{
    const plan *p = v->p;
    const uint8_t *s = (const uint8_t *)p->strs;
    PLAN_RULE(p->n_strs > 0 && p->n_strs <= UINT32_MAX && s[0] == 0 && s[p->n_strs - 1] == 0,
              "STRS", 0, "the text does not begin and end with NUL");
    for (uint64_t i = 0; i < p->n_strs;) {
        size_t n = s[i] ? printable(s + i, p->n_strs - i) : 1;
        PLAN_RULE(n, "STRS", i, "there is a character that cannot be printed");
        i += n;
    }
    PLAN_RULE(p->n_meta <= MAX_META_BYTES, "META", 0, "it is too large");
    json_t *meta = json_loadb(p->n_meta ? p->meta : "", p->n_meta, JSON_REJECT_DUPLICATES, NULL);
    bool ok = json_is_object(meta) && json_is_string(json_object_get(meta, "target"));
    json_decref(meta);
    PLAN_RULE(ok, "META", 0, "it is no JSON object with a \"target\"");
    return DFM_OK;
}

/* True if the product of n extents of at least 1 is `elems`. */
static bool shape_is(const int64_t *shape, uint32_t n, uint64_t elems)
{
    uint64_t product = 1;
    for (uint32_t i = 0; i < n; i++)
        if (shape[i] < 1 || __builtin_mul_overflow(product, (uint64_t)shape[i], &product))
            return false;
    return product == elems;
}

static bool rest_zero(const void *array, size_t size, uint32_t from, uint32_t to)
{
    const char *b = array;
    for (size_t i = from * size; i < to * size; i++)
        if (b[i]) return false;
    return true;
}

static bool dtype_ok(uint32_t d) { return d > DFM_DT_NONE && d < DFM_DT_COUNT; }

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorts texts; true if no two are equal. */
static bool all_differ(const char **text, uint32_t n)
{
    qsort(text, n, sizeof *text, by_name);
    for (uint32_t i = 1; i < n; i++)
        if (!strcmp(text[i - 1], text[i])) return false;
    return true;
}

/* -- regions and state ------------------------------------------------------------------------- */

static dfm_status check_region(verifier *v, uint32_t i)
{
    const plan *p = v->p;
    const plan_region *r = &p->regions[i];
    PLAN_RULE(r->kind >= PLAN_REGION_ARENA && r->kind <= PLAN_REGION_CONST, "REGN", i,
              "unknown kind");
    PLAN_RULE(r->bytes >> MAX_REGION_LOG2 == 0, "REGN", i, "it is larger than 64 TiB");
    if (r->kind == PLAN_REGION_STATE) {
        PLAN_RULE(r->state < p->n_states, "REGN", i, "its state does not exist");
        PLAN_RULE(dtype_ok(r->dtype) && r->bytes % dfm_dtype_bytes(r->dtype) == 0, "REGN", i,
                  "its element type does not fit its size");
        return DFM_OK;
    }
    PLAN_RULE(!r->dtype && !r->state && !r->flat, "REGN", i, "only state has type, state and flat");
    uint32_t *one = r->kind == PLAN_REGION_ARENA ? &v->arena : &v->consts;
    PLAN_RULE(*one == UINT32_MAX, "REGN", i, "there is another one of its kind");
    *one = i;
    if (r->kind == PLAN_REGION_CONST)
        PLAN_RULE(r->bytes == p->n_consts, "REGN", i, "its size is not that of section CNST");
    return DFM_OK;
}

static int by_flat(const void *a, const void *b)
{
    const plan_region *x = *(const plan_region *const *)a, *y = *(const plan_region *const *)b;
    if (x->flat != y->flat) return x->flat < y->flat ? -1 : 1;
    return x->state < y->state ? -1 : x->state > y->state;
}

static dfm_status check_regions(verifier *v)
{
    const plan *p = v->p;
    const plan_region **state = dfm_new_n(v->a, const plan_region *, p->n_regions + 1);
    uint32_t n = 0;
    PLAN_RULE(p->n_regions <= MAX_REGIONS, "REGN", p->n_regions, "there are too many regions");
    PLAN_RULE(p->n_states <= MAX_STATES, "STAT", p->n_states, "there are too many states");
    for (uint32_t i = 0; i < p->n_regions; i++) {
        DFM_TRY(check_region(v, i));
        if (p->regions[i].kind == PLAN_REGION_STATE) state[n++] = &p->regions[i];
    }
    if (p->n_consts)
        PLAN_RULE(v->consts != UINT32_MAX, "REGN", 0, "no region for section CNST");
    qsort(state, n, sizeof *state, by_flat);
    for (uint32_t i = 1; i < n; i++) {
        const plan_region *x = state[i - 1], *y = state[i];
        if (x->flat != y->flat) continue;
        uint64_t at = (uint64_t)(y - p->regions);
        PLAN_RULE(x->state != y->state, "REGN", at, "state and flat occur twice");
        PLAN_RULE(x->bytes / dfm_dtype_bytes(x->dtype) == y->bytes / dfm_dtype_bytes(y->dtype),
                  "REGN", at, "buffers of one flat have different lengths");
    }
    const char **names = dfm_new_n(v->a, const char *, p->n_states + 1);
    for (uint32_t i = 0; i < p->n_states; i++) {
        const plan_state *s = &p->states[i];
        PLAN_RULE(plan_name_ok(p, s->name), "STAT", i, "its name does not exist");
        PLAN_RULE(s->is_ema <= 1 && s->saved <= 1 && s->on_demand <= 1, "STAT", i, "unknown flags");
        names[i] = plan_text(p, s->name);
    }
    PLAN_RULE(all_differ(names, p->n_states), "STAT", 0, "two have one name");
    return DFM_OK;
}

/* -- parameters, inputs, outputs --------------------------------------------------------------- */

static const plan_region *weights_of(const plan *p, uint32_t flat)
{
    for (uint32_t i = 0; i < p->n_regions; i++) {
        const plan_region *r = &p->regions[i];
        if (r->kind == PLAN_REGION_STATE && r->flat == flat && r->state == 0) return r;
    }
    return NULL;
}

static dfm_status check_params(const verifier *v)
{
    const plan *p = v->p;
    const char **published = dfm_new_n(v->a, const char *, p->n_params + 1);
    const char **path = dfm_new_n(v->a, const char *, p->n_params + 1);
    if (p->n_params)
        PLAN_RULE(p->n_states > 0 && !strcmp(plan_text(p, p->states[0].name), "w"), "STAT", 0,
                  "the first state is not called \"w\"");
    for (uint32_t i = 0; i < p->n_params; i++) {
        const plan_param *q = &p->params[i];
        PLAN_RULE(plan_name_ok(p, q->published) && plan_name_ok(p, q->path), "PARM", i,
                  "its names do not exist");
        const plan_region *r = weights_of(p, q->flat);
        PLAN_RULE(r && r->dtype == q->dtype, "PARM", i,
                  "its buffer does not exist or has another type");
        uint64_t end, elems = r->bytes / dfm_dtype_bytes(r->dtype);
        PLAN_RULE(!__builtin_add_overflow(q->offset, q->elems, &end) && end <= elems, "PARM", i,
                  "it lies outside its buffer");
        PLAN_RULE(q->rank <= PLAN_MAX_RANK && shape_is(q->shape, q->rank, q->elems) &&
                      rest_zero(q->shape, 8, q->rank, PLAN_MAX_RANK),
                  "PARM", i, "its shape and number of elements differ");
        PLAN_RULE(!(q->flags & ~7u), "PARM", i, "unknown flags");
        published[i] = plan_text(p, q->published);
        path[i] = plan_text(p, q->path);
    }
    PLAN_RULE(all_differ(published, p->n_params), "PARM", 0, "two have one published name");
    PLAN_RULE(all_differ(path, p->n_params), "PARM", 0, "two have one path");
    return DFM_OK;
}

static dfm_status check_io(const verifier *v, uint32_t i)
{
    const plan *p = v->p;
    const plan_io *io = &p->io[i];
    PLAN_RULE(plan_name_ok(p, io->name), "INOU", i, "its name does not exist");
    PLAN_RULE(dtype_ok(io->dtype), "INOU", i, "unknown element type");
    uint64_t size = dfm_dtype_bytes(io->dtype), end;
    PLAN_RULE(io->rank <= PLAN_MAX_RANK && io->bytes % size == 0 &&
                  shape_is(io->shape, io->rank, io->bytes / size) &&
                  rest_zero(io->shape, 8, io->rank, PLAN_MAX_RANK),
              "INOU", i, "its shape and size differ");
    for (uint32_t k = 0; k < PLAN_MAX_RANK; k++)
        PLAN_RULE(plan_str_ok(p, io->dims[k]) && (k < io->rank || !io->dims[k]), "INOU", i,
                  "a dim's name does not exist");
    uint32_t role = io->flags & (PLAN_IO_FORMAL | PLAN_IO_DATA | PLAN_IO_DRAW | PLAN_IO_OUTPUT);
    PLAN_RULE(!(io->flags & ~31u) && role && !(role & (role - 1)), "INOU", i, "unknown flags");
    PLAN_RULE(!(io->flags & PLAN_IO_BATCH) || io->rank > 0, "INOU", i,
              "a scalar counts no samples");
    PLAN_RULE(v->arena != UINT32_MAX && io->offset % size == 0 &&
                  !__builtin_add_overflow(io->offset, io->bytes, &end) &&
                  end <= p->regions[v->arena].bytes,
              "INOU", i, "it lies outside the arena");
    PLAN_RULE(plan_str_ok(p, io->source) && plan_str_ok(p, io->pad_dim), "INOU", i,
              "a text does not exist");
    PLAN_RULE((role == PLAN_IO_DATA) == (io->source != 0), "INOU", i, "only data has a source");
    PLAN_RULE(io->modulus >= 0 && !io->zero, "INOU", i, "reserved or negative values");
    return DFM_OK;
}

static dfm_status check_code(const verifier *v)
{
    const plan *p = v->p;
    PLAN_RULE(!(p->flags & ~(uint32_t)PLAN_KNOWN_FLAGS), "header", 0, "unknown flags");
    PLAN_RULE(!!(p->flags & PLAN_HAS_HOST_CODE) == (p->n_code > 0), "CODE", 0,
              "the header does not say truly whether there is host code");
    if (p->n_code)
        PLAN_RULE(p->n_code >= 64 && !memcmp(p->code, "\177ELF", 4), "CODE", 0,
                  "it is not a shared object");
    return DFM_OK;
}

static dfm_status verify(verifier *v)
{
    DFM_TRY(check_text(v));
    DFM_TRY(check_regions(v));
    DFM_TRY(check_params(v));
    for (uint32_t i = 0; i < v->p->n_io; i++) DFM_TRY(check_io(v, i));
    DFM_TRY(check_code(v));
    return plan_verify_steps(v);
}

dfm_status plan_verify(const plan *p, dfm_err *err)
{
    verifier v = {.p = p, .a = dfm_arena_create("plan verifier"), .err = err,
                  .arena = UINT32_MAX, .consts = UINT32_MAX};
    dfm_status s = verify(&v);
    dfm_arena_destroy(v.a);
    return s;
}

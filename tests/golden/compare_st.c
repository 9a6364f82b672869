/* compare_st.c - compare results with a reference, tensor by tensor.
 *
 *     compare_st RESULT.safetensors REFERENCE.safetensors [options]
 *       --only PREFIX       only reference tensors whose names begin so (may be repeated)
 *       --skip PREFIX       none of those (may be repeated)
 *       --map OLD=NEW       reference names beginning with OLD are called NEW... in RESULT
 *                           (may be repeated; the first that fits is taken)
 *       --limit X           largest relative error, 1e-5 unless given
 *       --limits FILE.json  larger limits for single tensors: {KEY: {NAME: x, ...}}
 *       --limits-key KEY    "limit_f32" unless given
 *       --any-shape         compare element by element although the shapes differ
 *       --all               print every tensor, not only the worst ten
 *
 * The error of a tensor is |result - reference| / |reference|, both 2-norms in float64. A tensor
 * that is missing, has another shape (dims of 1 aside), or holds a NaN fails. Exit status: 0 all
 * within limits, 1 not, 2 wrong command line or unreadable file.
 */
#include <jansson.h>
#include <math.h>
#include <stdio.h>

#include "runtime/base/str.h"
#include "tests/golden/st_file.h"

enum { MAX_RULES = 32, WORST = 10 };

typedef struct options {
    const char *result, *reference, *limits, *limits_key;
    const char *only[MAX_RULES], *skip[MAX_RULES], *map[MAX_RULES];
    uint32_t n_only, n_skip, n_map;
    double limit;
    bool any_shape, all;
} options;

typedef struct row {
    const char *name;
    double error, limit;
    const char *fault;         /* NULL, or why the error could not be measured */
} row;

static bool has_prefix(const char *name, const char *const *prefix, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (dfm_starts_with(name, prefix[i])) return true;
    return false;
}

static const char *result_name(dfm_arena *a, const options *o, const char *name)
{
    for (uint32_t i = 0; i < o->n_map; i++) {
        const char *eq = strchr(o->map[i], '=');
        size_t n_old = (size_t)(eq - o->map[i]);
        if (strncmp(name, o->map[i], n_old) == 0) return dfm_fmt(a, "%s%s", eq + 1, name + n_old);
    }
    return name;
}

static double relative_error(const st_tensor *x, const st_tensor *ref)
{
    double diff2 = 0, ref2 = 0;
    for (uint64_t i = 0; i < ref->n; i++) {
        double r = st_at(ref, i), d = st_at(x, i) - r;
        diff2 += d * d;
        ref2 += r * r;
    }
    return diff2 == 0 ? 0 : sqrt(diff2 / ref2);     /* infinite for a reference of zeros */
}

static row compare_tensor(dfm_arena *a, const options *o, json_t *limits, const st_file *result,
                          const st_tensor *ref)
{
    row r = {.name = ref->name, .limit = o->limit, .error = INFINITY};
    double own = json_number_value(json_object_get(limits, ref->name));
    if (own > r.limit) r.limit = own;
    const char *name = result_name(a, o, ref->name);
    const st_tensor *x = st_find(result, name);
    if (!x) {
        r.fault = dfm_fmt(a, "'%s' is missing", name);
    } else if (x->n != ref->n || (!o->any_shape && !st_same_shape(x, ref))) {
        r.fault = dfm_fmt(a, "shape %s, expected %s", st_shape_text(a, x), st_shape_text(a, ref));
    } else {
        r.error = relative_error(x, ref);
        if (isnan(r.error)) r.fault = "not a number";
    }
    return r;
}

static bool row_passes(const row *r) { return !r->fault && r->error <= r->limit; }

/* Faults first, then by how much of the limit is used. */
static int by_badness(const void *px, const void *py)
{
    const row *x = px, *y = py;
    if (!x->fault != !y->fault) return x->fault ? -1 : 1;
    double bx = x->error / x->limit, by = y->error / y->limit;
    return bx > by ? -1 : bx < by ? 1 : strcmp(x->name, y->name);
}

static void print_rows(const row *rows, uint32_t n, bool all)
{
    for (uint32_t i = 0; i < n; i++) {
        bool ok = row_passes(&rows[i]);
        if (ok && !all && i >= WORST) continue;
        if (rows[i].fault)
            printf("FAIL  %-56s %s\n", rows[i].name, rows[i].fault);
        else
            printf("%s  %-56s %.3e  (limit %.1e)\n", ok ? "ok  " : "FAIL", rows[i].name,
                   rows[i].error, rows[i].limit);
    }
}

/* Exit status, see above. */
static int compare(dfm_arena *a, const options *o, dfm_err *err)
{
    st_file result, reference;
    if (st_read(a, o->result, &result, err) != DFM_OK) return 2;
    if (st_read(a, o->reference, &reference, err) != DFM_OK) return 2;
    json_t *sidecar = NULL;
    if (o->limits && !(sidecar = json_load_file(o->limits, 0, NULL))) {
        dfm_fail(err, DFM_BAD_DATA, "%s: not a readable JSON file", o->limits);
        return 2;
    }
    json_t *limits = json_object_get(sidecar, o->limits_key);
    if (o->limits && !json_is_object(limits)) {
        dfm_fail(err, DFM_BAD_DATA, "%s: no object '%s'", o->limits, o->limits_key);
        json_decref(sidecar);
        return 2;
    }
    row *rows = dfm_new_n(a, row, reference.n + 1);
    uint32_t n = 0, n_bad = 0;
    for (uint32_t i = 0; i < reference.n; i++) {
        const st_tensor *ref = &reference.t[i];
        if (o->n_only && !has_prefix(ref->name, o->only, o->n_only)) continue;
        if (has_prefix(ref->name, o->skip, o->n_skip)) continue;
        rows[n] = compare_tensor(a, o, limits, &result, ref);
        n_bad += !row_passes(&rows[n++]);
    }
    json_decref(sidecar);
    qsort(rows, n, sizeof *rows, by_badness);
    print_rows(rows, n, o->all);
    printf("%u of %u tensors within limits\n", n - n_bad, n);
    if (n == 0) {
        dfm_fail(err, DFM_USAGE, "nothing to compare: no reference tensor is selected");
        return 2;
    }
    return n_bad ? 1 : 0;
}

static bool parse(int argc, char **argv, options *o)
{
    *o = (options){.limit = 1e-5, .limits_key = "limit_f32"};
    for (int i = 1; i < argc; i++) {
        const char *s = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(s, "--any-shape") == 0) { o->any_shape = true; continue; }
        if (strcmp(s, "--all") == 0) { o->all = true; continue; }
        if (s[0] != '-') {
            if (!o->result) o->result = s;
            else if (!o->reference) o->reference = s;
            else return false;
            continue;
        }
        if (!value) return false;
        i++;
        if (strcmp(s, "--limit") == 0) o->limit = atof(value);
        else if (strcmp(s, "--limits") == 0) o->limits = value;
        else if (strcmp(s, "--limits-key") == 0) o->limits_key = value;
        else if (strcmp(s, "--only") == 0 && o->n_only < MAX_RULES) o->only[o->n_only++] = value;
        else if (strcmp(s, "--skip") == 0 && o->n_skip < MAX_RULES) o->skip[o->n_skip++] = value;
        else if (strcmp(s, "--map") == 0 && o->n_map < MAX_RULES && strchr(value, '='))
            o->map[o->n_map++] = value;
        else return false;
    }
    return o->reference && o->limit > 0;
}

int main(int argc, char **argv)
{
    options o;
    if (!parse(argc, argv, &o)) {
        fprintf(stderr, "usage: compare_st RESULT.safetensors REFERENCE.safetensors\n"
                        "       [--only PREFIX] [--skip PREFIX] [--map OLD=NEW] [--limit X]\n"
                        "       [--limits FILE.json] [--limits-key KEY] [--any-shape] [--all]\n");
        return 2;
    }
    dfm_err err = {0};
    dfm_arena *a = dfm_arena_create("compare_st");
    int status = compare(a, &o, &err);
    if (err.code != DFM_OK) fprintf(stderr, "compare_st: %s\n", err.text);
    dfm_arena_destroy(a);
    return status;
}

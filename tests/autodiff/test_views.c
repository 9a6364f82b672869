/* test_views.c - adjoints of views: every kind by name, then random ones. */
#include "tests/autodiff/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- coordinates as text ---------------------------------------------------------------------- */

/* Reads "2*i + j//3 - 1", "clamp(i - 1, 0, 4)", "(i + 1) % 4". */
typedef struct reader { fx *f; const char *p; } reader;

static ir_ix read_sum(reader *r);

static void skip_spaces(reader *r) { while (*r->p == ' ') r->p++; }

static bool take(reader *r, const char *s)
{
    skip_spaces(r);
    if (strncmp(r->p, s, strlen(s))) return false;
    r->p += strlen(s);
    return true;
}

static int64_t read_int(reader *r)
{
    char *end;
    skip_spaces(r);
    int64_t x = strtoll(r->p, &end, 10);
    assert_true(end != r->p);
    r->p = end;
    return x;
}

static ir_ix read_atom(reader *r)
{
    ir_module *m = r->f->m;
    if (take(r, "(")) {
        ir_ix e = read_sum(r);
        assert_true(take(r, ")"));
        return e;
    }
    if (take(r, "clamp(")) {
        ir_ix e = read_sum(r);
        assert_true(take(r, ","));
        int64_t lo = read_int(r);
        assert_true(take(r, ","));
        int64_t hi = read_int(r);
        assert_true(take(r, ")"));
        return ir_ix_clamp(m, e, lo, hi);
    }
    skip_spaces(r);
    if (*r->p >= '0' && *r->p <= '9') {
        int64_t c = read_int(r);
        return take(r, "*") ? ir_ix_mul(m, read_atom(r), c) : ir_ix_const(m, c);
    }
    size_t n = strspn(r->p, "abcdefghijklmnopqrstuvwxyz'");
    ir_dim d = ir_dim_find(m, dfm_intern_n(r->f->names, r->p, n));
    assert_true(n && d.i);
    r->p += n;
    return ir_ix_var(m, d);
}

static ir_ix read_term(reader *r)
{
    ir_ix e = read_atom(r);
    for (;;) {
        if (take(r, "//")) e = ir_ix_div(r->f->m, e, read_int(r));
        else if (take(r, "%")) e = ir_ix_mod(r->f->m, e, read_int(r));
        else return e;
    }
}

static ir_ix read_sum(reader *r)
{
    ir_module *m = r->f->m;
    bool minus = take(r, "-");
    ir_ix e = read_term(r);
    if (minus) e = ir_ix_mul(m, e, -1);
    for (;;) {
        if (take(r, "+")) e = ir_ix_add(m, e, read_term(r));
        else if (take(r, "-")) e = ir_ix_add(m, e, ir_ix_mul(m, read_term(r), -1));
        else return e;
    }
}

/* "0 <= e < n" as "n: e", several separated by ";" */
static uint32_t read_guard(fx *f, const char *text, ir_cond *out)
{
    uint32_t n = 0;
    reader r = {f, text};
    while (text && *r.p) {
        int64_t hi = read_int(&r);
        assert_true(take(&r, ":"));
        out[n++] = (ir_cond){read_sum(&r), 0, hi - 1};
        take(&r, ";");
        skip_spaces(&r);
    }
    return n;
}

/* -- views by name ---------------------------------------------------------------------------- */

typedef struct view_case {
    const char *name, *src, *res, *coords, *guard;
    uint64_t most;                           /* elements of the largest value of the gradient */
} view_case;

/* The last column bounds what the adjoint may materialise: 0 is ten times what it reads. */
static const view_case cases[] = {
    {"transpose", "a=3,b=4", "b=4,a=3", "a, b", NULL, 12},
    {"rename", "a=5", "b=5", "b", NULL, 5},
    {"split", "s=12", "a=3,b=4", "4*a + b", NULL, 12},
    {"merge", "a=3,b=4", "s=12", "s//4, s%4", NULL, 12},
    {"merge three", "a=2,b=3,c=4", "s=24", "s//12, s//4%3, s%4", NULL, 24},
    {"patches", "h=6,w=4", "y=3,x=2,p=2,q=2", "2*y + p, 2*x + q", NULL, 24},
    {"unpatch", "s=6,d=4", "h=6,w=4", "2*(h//2) + w//2, 2*(h%2) + w%2", NULL, 24},
    {"slice", "a=7", "b=3", "b + 2", NULL, 7},
    {"strided slice", "a=7", "b=3", "2*b + 1", NULL, 7},
    {"unstack", "k=3,a=4", "a=4", "1, a", NULL, 12},
    {"one element", "k=3,a=4", "b=5", "1, 2", NULL, 12},
    {"shift, clamped", "a=5", "a=5", "clamp(a - 1, 0, 4)", NULL, 0},
    {"shift up, clamped", "a=5", "a=5", "clamp(a + 2, 0, 4)", NULL, 0},
    {"shift by guard", "a=5", "a=5", "a - 1", "5: a - 1", 5},
    {"pad", "a=3", "b=7", "b - 2", "3: b - 2", 7},
    {"pad and split", "s=5", "a=2,b=3", "3*a + b", "5: 3*a + b", 6},
    {"broadcast", "a=3", "b=4,a=3,c=2", "a", NULL, 24},
    {"flip", "a=5", "a=5", "4 - a", NULL, 5},
    {"flip and split", "s=6", "a=2,b=3", "5 - 3*a - b", NULL, 6},
    {"mixed signs", "s=6", "a=2,b=3", "3*a + 2 - b", NULL, 6},
    {"diagonal", "a=4,b=4", "i=4", "i, i", NULL, 16},
    {"diagonal, same name", "a=4,b=4", "a=4", "a, a", NULL, 16},
    {"anti-diagonal", "a=4,b=4", "i=4", "i, 3 - i", NULL, 16},
    {"repeat each", "a=3", "i=7", "i//3", NULL, 0},
    {"tile", "a=3", "i=7", "i%3", NULL, 0},
    {"middle digit", "b=3", "s=24", "s//4%3", NULL, 0},
    {"roll", "a=5", "i=5", "(i + 2) % 5", NULL, 0},
    {"windows", "s=8", "i=6,j=3", "i + j", NULL, 24},
    {"strided windows", "s=9", "i=4,j=3", "2*i + j", NULL, 27},
    {"dilated windows", "s=9", "i=5,j=3", "i + 2*j", NULL, 27},
    {"im2col", "h=5,w=4", "y=4,x=3,p=2,q=2", "y + p, x + q", NULL, 80},
    {"im2col, padded", "h=5,w=4", "y=5,x=4,p=3,q=3", "y + p - 1, x + q - 1",
     "5: y + p - 1; 4: x + q - 1", 180},
    {"correlation", "s=9", "i=5,j=5", "i - j + 4", NULL, 45},
    {"three overlap", "s=10", "i=4,j=3,k=4", "i + j + k", NULL, 0},
    {"split of windows", "s=12", "a=3,i=2,j=3", "3*a + i + j", NULL, 0},
    {"swap names", "a=4,b=4", "a=4,b=4", "b, a", NULL, 16},
    {"names cross", "a=4,b=4", "b=4,i=4", "b, i", NULL, 16},
    {"sum of names", "a=7", "a=7,j=1", "clamp(a + j - 3, 0, 6)", NULL, 0},
    {"clamp of windows", "s=6", "i=6,j=3", "clamp(i + j - 1, 0, 5)", NULL, 0},
    {"two clamps", "h=4,w=3", "y=4,x=3,p=2", "clamp(y + p - 1, 0, 3), clamp(x + 1, 0, 2)", NULL, 0},
    {"clamped split", "s=5", "a=2,b=4", "clamp(4*a + b, 0, 4)", NULL, 0},
    {"clamp in digits", "a=3", "i=9", "clamp(i, 1, 7)//3", NULL, 0},
    {"guard of the idle", "a=3", "a=3,b=5", "a", "3: a + b", 0},
    {"triangle", "a=4", "i=4,j=4", "j", "4: i - j", 0},
    {"digits that clash", "a=2,b=3", "s=6", "s//3, s%3", NULL, 6},
    {"digits that do not fit", "a=3,b=4", "s=9", "s//4, s%3", NULL, 0},
    {"shifted digits", "a=3,b=4", "s=9", "(s + 2)//4, (s + 2)%4", NULL, 0},
    {"sum in a digit", "a=4", "i=5,j=4", "(i + j)//2", NULL, 0},
    {"variable twice", "s=9", "i=6", "i + i//2", NULL, 0},
    {"extent one", "a=1,b=3", "b=3,c=1", "0, b", NULL, 3},
    {"scalar", "", "b=3", "", NULL, 3},
    {"rope halves", "d=6", "h=2,e=3", "2*e + h", NULL, 6},
    {"flip in windows", "s=8", "i=6,j=3", "i + 2 - j", NULL, 24},
    {"never true", "a=3", "i=4", "0", "2: i + 7", 4},
};

static uint64_t largest(fx *f, const ir_graph *g)
{
    uint64_t most = 0;
    for (uint32_t v = 1; v < g->ops.n; v++) {
        uint64_t n = ir_elems(f->m, g->ops.p[v].type);
        if (n > most) most = n;
    }
    return most;
}

static void check_view(const view_case *c, uint64_t seed)
{
    fx *f = fx_new(seed);
    ir_ix coords[IR_MAX_RANK];
    ir_cond guard[8];
    ir_val x = fx_f32(f, c->src);
    ir_type t = fx_type(f, DFM_F32, c->res);
    reader r = {f, c->coords};
    for (uint32_t n = 0; *r.p; take(&r, ",")) coords[n++] = read_sum(&r);
    uint32_t n_conds = read_guard(f, c->guard, guard);
    ir_val y = ir_view_of(&f->b, x, t, coords, guard, n_conds, 0.25);
    fx_loss(f, ir_map1(&f->b, IR_FN_SIN, y));
    fx_loss(f, x);
    f->full = true;
    ir_graph *g = fx_check(f);
    uint64_t size = ir_elems(f->m, t) + ir_elems(f->m, ir_type_at(f->b.g, x));
    uint64_t most = c->most ? c->most : 10 * size, n = largest(f, g);
    if (n > most) fail_msg("%s: a value of %llu elements", c->name, (unsigned long long)n);
    assert_int_equal(fx_count(f, g, IR_SCATTER_ADD), 0);
    fx_free(f);
}

static void views_by_name(void **state)
{
    for (uint32_t k = 0; k < DFM_LEN(cases); k++) {
        print_message("  %s\n", cases[k].name);
        check_view(&cases[k], k + 1);
    }
}

/* -- random views ----------------------------------------------------------------------------- */

static const int64_t extents[] = {1, 2, 3, 4, 5, 6, 7, 8};

static ir_ix random_ix(fx *f, const ir_dim *dims, uint32_t n, int depth)
{
    ir_module *m = f->m;
    int64_t pick = fx_int(f, 0, depth > 0 ? 9 : 2);
    if (pick <= 2) {
        ir_ix v = ir_ix_var(m, dims[fx_int(f, 0, n - 1)]);
        if (pick == 0) return v;
        return ir_ix_mul(m, v, fx_int(f, 0, 1) ? fx_int(f, 1, 4) : -fx_int(f, 1, 3));
    }
    ir_ix a = random_ix(f, dims, n, depth - 1);
    switch (pick) {
    case 3: return ir_ix_div(m, a, fx_int(f, 2, 4));
    case 4: return ir_ix_mod(m, a, fx_int(f, 2, 5));
    case 5: {
        int64_t lo = fx_int(f, -1, 2);
        return ir_ix_clamp(m, a, lo, lo + fx_int(f, 0, 4));
    }
    case 6: return ir_ix_add(m, a, ir_ix_const(m, fx_int(f, -3, 3)));
    default: return ir_ix_add(m, a, random_ix(f, dims, n, depth - 1));
    }
}

/* Coordinates are brought into the source by a shift and a guard, a clamp, or its size. */
static void check_random_view(uint64_t seed)
{
    fx *f = fx_new(seed);
    ir_dim pool[6], src[3], res[3];
    for (int i = 0; i < 6; i++)
        pool[i] = fx_dim(f, (const char *[]){"a", "b", "c", "d", "e", "g"}[i],
                         extents[fx_int(f, 0, (int64_t)DFM_LEN(extents) - 1)]);
    uint32_t n_src = (uint32_t)fx_int(f, 1, 3), n_res = (uint32_t)fx_int(f, 1, 3), n_conds = 0;
    uint32_t first = (uint32_t)fx_int(f, 0, 3);
    for (uint32_t i = 0; i < n_src; i++) src[i] = pool[i];
    for (uint32_t i = 0; i < n_res; i++) res[i] = pool[first + i];
    ir_ix coords[3];
    ir_cond guard[5];
    for (uint32_t k = 0; k < n_src; k++) {
        int64_t lo, hi, extent = ir_extent(f->m, src[k]);
        ir_ix e = random_ix(f, res, n_res, 2);
        ir_ix_range(f->m, e, &lo, &hi);
        if (fx_int(f, 0, 1)) e = ir_ix_add(f->m, e, ir_ix_const(f->m, -lo));
        if (fx_int(f, 0, 2)) guard[n_conds++] = (ir_cond){e, 0, extent - 1};
        else e = ir_ix_clamp(f->m, e, 0, extent - 1);
        coords[k] = e;
    }
    if (fx_int(f, 0, 3) == 0)
        guard[n_conds++] = (ir_cond){random_ix(f, res, n_res, 1), 0, fx_int(f, 1, 5)};
    ir_val x = fx_input(f, ir_tensor(f->m, DFM_F32, src, n_src), -1, 1);
    ir_type t = ir_tensor(f->m, DFM_F32, res, n_res);
    ir_val y = ir_view_of(&f->b, x, t, coords, guard, n_conds, 0.25);
    fx_loss(f, ir_map1(&f->b, IR_FN_SIN, y));
    fx_check(f);
    fx_free(f);
}

static void random_views(void **state)
{
    uint64_t first = *state ? strtoull(*state, NULL, 10) : 1;
    for (uint64_t seed = first; seed < first + 400; seed++) {
        if (*state) print_message("  seed %llu\n", (unsigned long long)seed);
        check_random_view(seed);
    }
}

int main(int argc, char **argv)              /* [first seed] */
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(views_by_name),
        cmocka_unit_test_prestate(random_views, argc > 1 ? argv[1] : NULL),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_ir_index.c - index expressions: the simplifier against evaluation without it. */
#include "tests/ir/ir_testing.h"

enum { N_DIMS = 4 };
static const int64_t extents[N_DIMS] = {1, 4, 6, 7};

/* A random expression as a little program, so that it can be evaluated without the simplifier. */
typedef struct step {
    int kind;
    int a, b;
    int64_t c, c2;
} step;

static int64_t floor_div(int64_t a, int64_t c)
{
    return (a - ((a % c) + c) % c) / c;
}

static void eval_steps(const step *s, int n, const int64_t *at, int64_t *out)
{
    for (int i = 0; i < n; i++) {
        int64_t a = s[i].a >= 0 ? out[s[i].a] : 0, v = 0;
        switch (s[i].kind) {
        case 0: v = s[i].c; break;
        case 1: v = at[s[i].c]; break;
        case 2: v = a + out[s[i].b]; break;
        case 3: v = a * s[i].c; break;
        case 4: v = floor_div(a, s[i].c); break;
        case 5: v = a - s[i].c * floor_div(a, s[i].c); break;
        default:
            v = a < s[i].c ? s[i].c : a;
            v = v > s[i].c2 ? s[i].c2 : v;
            break;
        }
        out[i] = v;
    }
}

static ir_ix build_steps(world *w, const step *s, int n, const ir_dim *dims)
{
    ir_ix x[32];
    for (int i = 0; i < n; i++) {
        ir_ix a = s[i].a >= 0 ? x[s[i].a] : (ir_ix){0};
        switch (s[i].kind) {
        case 0: x[i] = ir_ix_const(w->m, s[i].c); break;
        case 1: x[i] = ir_ix_var(w->m, dims[s[i].c]); break;
        case 2: x[i] = ir_ix_add(w->m, a, x[s[i].b]); break;
        case 3: x[i] = ir_ix_mul(w->m, a, s[i].c); break;
        case 4: x[i] = ir_ix_div(w->m, a, s[i].c); break;
        case 5: x[i] = ir_ix_mod(w->m, a, s[i].c); break;
        default: x[i] = ir_ix_clamp(w->m, a, s[i].c, s[i].c2); break;
        }
    }
    return x[n - 1];
}

static int random_steps(uint64_t *seed, step *s, int n)
{
    static const int64_t nice[] = {1, 2, 3, 4, 6, 7, 12, 24, 28, 42};
    for (int i = 0; i < n; i++) {
        step *p = &s[i];
        *p = (step){.a = -1, .b = -1};
        p->kind = i < 3 ? 1 : (int)roll_in(seed, 0, 6);
        if (p->kind == 1) p->c = roll_in(seed, 0, N_DIMS - 1);
        if (p->kind == 0) p->c = roll_in(seed, -9, 9);
        if (p->kind >= 2) p->a = (int)roll_in(seed, i > 4 ? i - 4 : 0, i - 1);
        if (p->kind == 2) p->b = (int)roll_in(seed, 0, i - 1);
        if (p->kind == 3) p->c = roll(seed) % 4 ? nice[roll(seed) % 10] : -nice[roll(seed) % 4];
        if (p->kind == 4 || p->kind == 5) p->c = nice[roll(seed) % 10];
        if (p->kind == 6) {
            p->c = roll_in(seed, -3, 3);
            p->c2 = p->c + roll_in(seed, 0, 9);
        }
    }
    return n;
}

/* Fails if a rewriting rule of ir_index.c is wrong, or a range too narrow. */
static void random_expressions(void **state)
{
    world w = world_make();
    uint64_t seed = 1;
    ir_dim dims[N_DIMS];
    for (int i = 0; i < N_DIMS; i++) dims[i] = dim(&w, (char[]){(char)('a' + i), 0}, extents[i]);
    for (int trial = 0; trial < 20000; trial++) {
        step s[32];
        int n = random_steps(&seed, s, (int)roll_in(&seed, 3, 14));
        ir_ix x = build_steps(&w, s, n, dims);
        int64_t lo, hi, values[32];
        ir_ix_range(w.m, x, &lo, &hi);
        for (int k = 0; k < 1 * 4 * 6 * 7; k++) {
            int64_t at[N_DIMS] = {0, k % 4, k / 4 % 6, k / 24};
            eval_steps(s, n, at, values);
            int64_t got = ir_ix_eval(w.m, x, dims, at, N_DIMS);
            if (got == values[n - 1] && got >= lo && got <= hi) continue;
            dfm_sb sb = dfm_sb_make(w.a);
            ir_print_ix(&sb, w.m, x);
            fail_msg("trial %d: %s is %lld instead of %lld (range %lld..%lld)", trial,
                     dfm_sb_cstr(&sb), (long long)got, (long long)values[n - 1], (long long)lo,
                     (long long)hi);
        }
    }
    world_free(&w);
}

/* What the rest of the compiler relies on: these are equal handles, not only equal values. */
static void canonical_forms(void **state)
{
    world w = world_make();
    ir_module *m = w.m;
    ir_ix a = ir_ix_var(m, dim(&w, "a", 4)), b = ir_ix_var(m, dim(&w, "b", 6));
    ir_ix c = ir_ix_var(m, dim(&w, "c", 5)), s = ir_ix_var(m, dim(&w, "s", 120));
    ir_ix ab = ir_ix_add(m, ir_ix_mul(m, a, 6), b); /* a * 6 + b */
    assert_int_equal(ir_ix_div(m, ab, 6).i, a.i);
    assert_int_equal(ir_ix_mod(m, ab, 6).i, b.i);
    ir_ix abc = ir_ix_add(m, ir_ix_mul(m, ab, 5), c);
    assert_int_equal(ir_ix_div(m, abc, 30).i, a.i);
    assert_int_equal(ir_ix_mod(m, ir_ix_div(m, abc, 5), 6).i, b.i);
    assert_int_equal(ir_ix_mod(m, abc, 5).i, c.i);
    assert_int_equal(ir_ix_mod(m, abc, 30).i, ir_ix_add(m, ir_ix_mul(m, b, 5), c).i);
    /* split and merge again */
    ir_ix back = ir_ix_add(m, ir_ix_mul(m, ir_ix_div(m, s, 6), 6), ir_ix_mod(m, s, 6));
    assert_int_equal(back.i, s.i);
    ir_ix hi = ir_ix_div(m, s, 30), mid = ir_ix_mod(m, ir_ix_div(m, s, 5), 6),
          lo = ir_ix_mod(m, s, 5);
    back = ir_ix_add(m, ir_ix_add(m, ir_ix_mul(m, hi, 30), ir_ix_mul(m, mid, 5)), lo);
    assert_int_equal(back.i, s.i);
    back = ir_ix_add(m, ir_ix_mul(m, ir_ix_add(m, ir_ix_mul(m, hi, 6), mid), 5), lo);
    assert_int_equal(back.i, s.i);
    assert_int_equal(ir_ix_add(m, ir_ix_mul(m, mid, 5), lo).i, ir_ix_mod(m, s, 30).i);
    assert_int_equal(ir_ix_div(m, ir_ix_div(m, s, 4), 5).i, ir_ix_div(m, s, 20).i);
    assert_int_equal(ir_ix_add(m, s, ir_ix_mul(m, ir_ix_div(m, s, 7), -7)).i, ir_ix_mod(m, s, 7).i);
    assert_int_equal(ir_ix_mod(m, ir_ix_mod(m, s, 20), 5).i, ir_ix_mod(m, s, 5).i);
    assert_int_equal(ir_ix_clamp(m, a, 0, 3).i, a.i);
    assert_int_equal(ir_ix_clamp(m, ir_ix_clamp(m, s, 3, 90), 5, 100).i,
                     ir_ix_clamp(m, s, 5, 90).i);
    assert_int_equal(ir_ix_add(m, ir_ix_add(m, a, b), c).i, ir_ix_add(m, ir_ix_add(m, c, b), a).i);
    assert_int_equal(ir_ix_add(m, ab, ir_ix_mul(m, ab, -1)).i, ir_ix_const(m, 0).i);
    world_free(&w);
}

static void substitution_and_affine(void **state)
{
    world w = world_make();
    ir_module *m = w.m;
    ir_dim a = dim(&w, "a", 4), b = dim(&w, "b", 6), s = dim(&w, "s", 24);
    ir_ix merged = ir_ix_add(m, ir_ix_mul(m, ir_ix_var(m, a), 6), ir_ix_var(m, b));
    ir_ix e = ir_ix_add(m, ir_ix_div(m, ir_ix_var(m, s), 6), ir_ix_const(m, 1));
    assert_int_equal(ir_ix_subst(m, e, &s, &merged, 1).i,
                     ir_ix_add(m, ir_ix_var(m, a), ir_ix_const(m, 1)).i);
    /* simultaneous: a and b change places */
    ir_ix swapped =
        ir_ix_subst(m, merged, (ir_dim[]){a, b}, (ir_ix[]){ir_ix_var(m, b), ir_ix_var(m, a)}, 2);
    assert_int_equal(swapped.i, ir_ix_add(m, ir_ix_mul(m, ir_ix_var(m, b), 6), ir_ix_var(m, a)).i);
    ir_dim dims[2];
    int64_t coef[2], c;
    uint32_t n;
    assert_true(ir_ix_affine(m, ir_ix_add(m, merged, ir_ix_const(m, -3)), dims, coef, 2, &n, &c));
    assert_int_equal(n, 2);
    assert_int_equal(c, -3);
    assert_true(dims[0].i == a.i && coef[0] == 6 && dims[1].i == b.i && coef[1] == 1);
    assert_false(ir_ix_affine(m, merged, dims, coef, 1, &n, &c));
    assert_false(ir_ix_affine(m, e, dims, coef, 2, &n, &c));
    assert_true(ir_ix_uses(m, merged, a) && !ir_ix_uses(m, merged, s));
    world_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_expressions),
        cmocka_unit_test(canonical_forms),
        cmocka_unit_test(substitution_and_affine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

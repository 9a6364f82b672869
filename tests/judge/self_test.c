/* self_test.c - the judge judged: good pictures pass, each kind of bad ones fails for its reason.
 *
 * The model is imagined to have been trained on the training split, so unseen real digits are
 * the perfect answer, and everything else is made from real digits by spoiling one property.
 */
#include "tests/judge/judge.h"

#include <stdio.h>
#include <string.h>

typedef struct spoiler {
    dfm_arena *arena;
    const picture_set *train, *held_out;
    uint64_t state;
} spoiler;

/* Uniform in [0, 1). */
static double draw(spoiler *s)
{
    s->state = s->state * 6364136223846793005u + 1442695040888963407u;
    return (double)(s->state >> 11) / 9007199254740992.0;
}

/* A new picture: x moved by at most `noise` per pixel, kept in [0, 1]. */
static const float *blurred(spoiler *s, const float *x, double noise)
{
    float *y = dfm_new_n(s->arena, float, PIXELS);
    for (int k = 0; k < PIXELS; k++) {
        double v = (double)x[k] + noise * (2 * draw(s) - 1);
        y[k] = (float)(v < 0 ? 0 : v > 1 ? 1 : v);
    }
    return y;
}

typedef picture make_picture(spoiler *s, uint32_t i);

static picture make_unseen(spoiler *s, uint32_t i) { return s->held_out->p[i]; }

static picture make_noise(spoiler *s, uint32_t i)
{
    static const float grey[PIXELS] = {0};
    return (picture){blurred(s, grey, 1), (int)(i % CLASSES)};
}

static picture make_copy(spoiler *s, uint32_t i)
{
    picture p = s->train->p[i];
    return (picture){blurred(s, p.x, 0.02), p.label};
}

/* One copy among ten unseen pictures: the median does not notice. */
static picture make_some_copies(spoiler *s, uint32_t i)
{
    return i % 10 == 0 ? make_copy(s, i) : make_unseen(s, i);
}

/* All pictures of a class are its first unseen one. */
static picture make_collapsed(spoiler *s, uint32_t i)
{
    picture p = s->held_out->p[i];
    for (uint32_t j = 0; j < s->held_out->n; j++)
        if (s->held_out->p[j].label == p.label)
            return (picture){blurred(s, s->held_out->p[j].x, 0.1), p.label};
    return p;
}

/* Only the sevens are all alike. */
static picture make_one_class_collapsed(spoiler *s, uint32_t i)
{
    return s->held_out->p[i].label == 7 ? make_collapsed(s, i) : make_unseen(s, i);
}

static picture make_permuted(spoiler *s, uint32_t i)
{
    picture p = s->held_out->p[i];
    return (picture){p.x, (p.label + 3) % CLASSES};
}

/* Every twelfth label is wrong: 91.7%. */
static picture make_some_wrong(spoiler *s, uint32_t i)
{
    return i % 12 == 0 ? make_permuted(s, i) : make_unseen(s, i);
}

typedef struct expectation {
    const char *name;
    make_picture *make;
    const char *permutation;   /* what the judge is told, or NULL */
    int accurate, not_copies, varied;      /* 1 yes, 0 no, EITHER */
} expectation;

enum { EITHER = -1 };

static bool as_expected(bool is, int expected) { return expected == EITHER || is == expected; }

static bool run_case(spoiler *s, const expectation *e, const char *scratch, dfm_err *err)
{
    picture_set made = {s->held_out->n, dfm_new_n(s->arena, picture, s->held_out->n)}, back;
    for (uint32_t i = 0; i < made.n; i++) made.p[i] = e->make(s, i);
    if (samples_write(s->arena, scratch, &made, err) != DFM_OK) return false;
    if (samples_read(s->arena, scratch, &back, err) != DFM_OK) return false;
    if (e->permutation) samples_permute(&back, e->permutation);
    bounds b = DEFAULT_BOUNDS;
    b.min_samples = 100;
    verdict v;
    judge_pictures(s->arena, s->train, s->held_out, s->train, &back, &b, &v);
    bool ok = v.reads_well && v.enough && as_expected(v.accurate, e->accurate) &&
              as_expected(v.not_copies, e->not_copies) && as_expected(v.varied, e->varied) &&
              verdict_passes(&v) == (v.accurate && v.not_copies && v.varied);
    printf("%s %-21s accuracy %6.2f%% %d  distance %.2f copies %5.1f%% %d  variety %.2f.. %d\n",
           ok ? "ok  " : "FAIL", e->name, 100 * v.accuracy, v.accurate, v.median / v.real_median,
           100 * v.copies, v.not_copies, v.variety[7], v.varied);
    return ok;
}

bool judge_self_test(dfm_arena *a, const picture_set *digits, const char *scratch, dfm_err *err)
{
    static const expectation cases[] = {
        {"unseen real digits", make_unseen, NULL, 1, 1, 1},
        {"noise", make_noise, NULL, 0, 0, EITHER},
        {"copies", make_copy, NULL, 1, 0, 1},
        {"a tenth copies", make_some_copies, NULL, 1, 0, 1},
        {"one per class", make_collapsed, NULL, 1, 1, 0},
        {"sevens all alike", make_one_class_collapsed, NULL, 1, 1, 0},
        {"permuted labels", make_permuted, NULL, 0, 1, EITHER},
        {"permuted, and told so", make_permuted, "7890123456", 1, 1, 1},
        {"told a permutation", make_unseen, "7890123456", 0, 1, EITHER},
        {"a twelfth wrong", make_some_wrong, NULL, 0, 1, 1},
    };
    picture_set train, held_out;
    split_every_fourth(a, digits, &train, &held_out);
    spoiler s = {a, &train, &held_out, 1};
    bool ok = true;
    for (uint32_t i = 0; i < DFM_LEN(cases); i++) ok &= run_case(&s, &cases[i], scratch, err);
    return ok && err->code == DFM_OK;
}

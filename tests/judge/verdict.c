/* verdict.c - measure a set of pictures against the real digits. */
#include "tests/judge/judge.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* A picture nearer to a training image than COPY of the real 1st percentile is called a copy.
 * Variety is the mean distance between pictures of one class. */
static const double COPY = 0.5, MIN_HELD_OUT = 0.97;

const bounds DEFAULT_BOUNDS = {
    .min_accuracy = 0.95,
    .min_samples = 500,
    .min_distance = 0.5,
    .max_distance = 1.5,
    .max_copies = 0.02,
    .min_variety = 0.7,
    .max_variety = 1.3,
};

static int by_value(const void *x, const void *y)
{
    double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

/* Distance to the nearest picture of `seen`, x itself (the same pixels in memory) aside. */
static double nearest(const picture_set *seen, const float *x)
{
    double best = INFINITY;
    for (uint32_t i = 0; i < seen->n; i++) {
        double d = seen->p[i].x == x ? INFINITY : distance(seen->p[i].x, x);
        if (d < best) best = d;
    }
    return best;
}

/* Sorted distances of all pictures of s to their nearest in `seen`. */
static double *nearest_all(dfm_arena *a, const picture_set *seen, const picture_set *s)
{
    double *d = dfm_new_n(a, double, s->n + 1);
    for (uint32_t i = 0; i < s->n; i++) d[i] = nearest(seen, s->p[i].x);
    qsort(d, s->n, sizeof *d, by_value);
    return d;
}

/* Mean distance between two pictures of one class; 0 if there are fewer than two. */
static double spread(const picture_set *s, int label)
{
    double sum = 0;
    uint64_t n = 0;
    for (uint32_t i = 0; i < s->n; i++) {
        if (s->p[i].label != label) continue;
        for (uint32_t j = 0; j < i; j++) {
            if (s->p[j].label != label) continue;
            sum += distance(s->p[i].x, s->p[j].x);
            n++;
        }
    }
    return n ? sum / (double)n : 0;
}

static void measure_reading(const classifier *c, const picture_set *train,
                            const picture_set *held_out, const picture_set *samples, verdict *v)
{
    for (uint32_t i = 0; i < held_out->n; i++) {
        const picture *p = &held_out->p[i];
        v->held_out_accuracy += (classifier_read(c, p->x) == p->label) / (double)held_out->n;
        v->held_out_accuracy_nearest += (nearest_read(train, p->x) == p->label) /
                                        (double)held_out->n;
    }
    for (uint32_t i = 0; i < samples->n; i++) {
        const picture *p = &samples->p[i];
        bool right = classifier_read(c, p->x) == p->label;
        v->accuracy += right / (double)samples->n;
        v->accuracy_nearest += (nearest_read(train, p->x) == p->label) / (double)samples->n;
        v->class_accuracy[p->label] += right;
        v->class_n[p->label]++;
    }
    for (int k = 0; k < CLASSES; k++)
        if (v->class_n[k]) v->class_accuracy[k] /= v->class_n[k];
}

static void measure_copies(dfm_arena *a, const picture_set *held_out, const picture_set *seen,
                           const picture_set *samples, verdict *v)
{
    const double *real = nearest_all(a, seen, held_out), *d = nearest_all(a, seen, samples);
    v->real_median = real[held_out->n / 2];
    v->median = d[samples->n / 2];
    double copy = COPY * real[held_out->n / 100];
    for (uint32_t i = 0; i < samples->n; i++) v->copies += (d[i] < copy) / (double)samples->n;
}

void judge_pictures(dfm_arena *a, const picture_set *train, const picture_set *held_out,
                    const picture_set *seen, const picture_set *samples, const bounds *b,
                    verdict *v)
{
    *v = (verdict){.n = samples->n};
    measure_reading(classifier_fit(a, train), train, held_out, samples, v);
    measure_copies(a, held_out, seen, samples, v);
    v->varied = true;
    for (int k = 0; k < CLASSES; k++) {
        v->variety[k] = spread(samples, k) / spread(train, k);
        v->varied &= v->variety[k] >= b->min_variety && v->variety[k] <= b->max_variety;
    }
    v->enough = v->n >= b->min_samples;
    v->reads_well = v->held_out_accuracy >= MIN_HELD_OUT;
    v->accurate = v->accuracy >= b->min_accuracy;
    double ratio = v->median / v->real_median;
    v->not_copies = ratio >= b->min_distance && ratio <= b->max_distance &&
                    v->copies <= b->max_copies;
}

bool verdict_passes(const verdict *v)
{
    return v->enough && v->reads_well && v->accurate && v->not_copies && v->varied;
}

static const char *word(bool ok) { return ok ? "ok  " : "FAIL"; }

void verdict_print(const verdict *v, const bounds *b)
{
    printf("%s classifier: reads %.2f%% of unseen real digits (>= %.0f%%); 3 nearest %.2f%%\n",
           word(v->reads_well), 100 * v->held_out_accuracy, 100 * MIN_HELD_OUT,
           100 * v->held_out_accuracy_nearest);
    printf("%s samples:    %u (>= %u)\n", word(v->enough), v->n, b->min_samples);
    printf("%s accuracy:   %.2f%% read as their label (>= %.0f%%); by 3 nearest %.2f%%\n",
           word(v->accurate), 100 * v->accuracy, 100 * b->min_accuracy, 100 * v->accuracy_nearest);
    printf("%s distance:   median to the nearest training image %.3f, real %.3f, ratio %.2f "
           "(%.2f..%.2f); copies %.1f%% (<= %.0f%%)\n",
           word(v->not_copies), v->median, v->real_median, v->median / v->real_median,
           b->min_distance, b->max_distance, 100 * v->copies, 100 * b->max_copies);
    printf("%s variety:    within each class, over real (%.2f..%.2f)\n", word(v->varied),
           b->min_variety, b->max_variety);
    printf("     class    ");
    for (int k = 0; k < CLASSES; k++) printf("%7d", k);
    printf("\n     samples  ");
    for (int k = 0; k < CLASSES; k++) printf("%7u", v->class_n[k]);
    printf("\n     accuracy ");
    for (int k = 0; k < CLASSES; k++) printf("%6.1f%%", 100 * v->class_accuracy[k]);
    printf("\n     variety  ");
    for (int k = 0; k < CLASSES; k++) printf("%7.2f", v->variety[k]);
    printf("\n%s\n", verdict_passes(v) ? "PASS" : "FAIL");
}

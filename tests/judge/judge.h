/* judge.h - an independent opinion on generated digits.
 *
 * The judge knows nothing of the models and of the compiler. It learns to read digits from real
 * ones, and asks of a set of pictures with labels:
 *   accuracy  does a classifier read each picture as its label?
 *   copies    are pictures as far from the nearest training image as unseen real digits are?
 *   variety   do the pictures of a class differ as much as the real ones of that class do?
 */
#ifndef DFM_TESTS_JUDGE_JUDGE_H
#define DFM_TESTS_JUDGE_JUDGE_H

#include "runtime/base/arena.h"
#include "runtime/base/status.h"

enum { SIDE = 8, PIXELS = SIDE * SIDE, CLASSES = 10 };

/* Pictures by reference: sets that share pictures share their pixels. */
typedef struct picture {
    const float *x;            /* [PIXELS], 0 = paper, 1 = ink */
    int label;                 /* 0..CLASSES-1 */
} picture;

typedef struct picture_set {
    uint32_t n;
    picture *p;
} picture_set;

/* -- pictures.c ---------------------------------------------------------------------------- */

/* The digits shard: ustar members KEY.image.npy (f32 [1, 8, 8] in [-1, 1]) and KEY.cls. */
dfm_status digits_read(dfm_arena *a, const char *path, picture_set *out, dfm_err *err);

/* `images` f32 [N, 1, 8, 8] in [0, 1] and `labels` i32 [N] of a safetensors file. */
dfm_status samples_read(dfm_arena *a, const char *path, picture_set *out, dfm_err *err);
dfm_status samples_write(dfm_arena *a, const char *path, const picture_set *s, dfm_err *err);

/* Label l becomes the digit permutation[l]; ten ASCII digits. */
void samples_permute(picture_set *s, const char *permutation);

/* Every fourth picture into `held_out`, the others into `train`. */
void split_every_fourth(dfm_arena *a, const picture_set *all, picture_set *train,
                        picture_set *held_out);

double distance(const float *x, const float *y);       /* Euclidean */

/* -- classifier.c -------------------------------------------------------------------------- */

typedef struct classifier classifier;

/* Ridge regression with a Gaussian kernel, one output per class, on all pictures of `train`. */
classifier *classifier_fit(dfm_arena *a, const picture_set *train);
int classifier_read(const classifier *c, const float *x);

/* The label of most of the 3 nearest pictures; ties go to the nearest. */
int nearest_read(const picture_set *train, const float *x);

/* -- verdict.c ----------------------------------------------------------------------------- */

typedef struct bounds {
    double min_accuracy;
    uint32_t min_samples;
    double min_distance, max_distance;     /* median to the nearest training image, over real */
    double max_copies;                     /* share of pictures that are as good as copies */
    double min_variety, max_variety;       /* per class, over real */
} bounds;

extern const bounds DEFAULT_BOUNDS;

typedef struct verdict {
    double held_out_accuracy;              /* of the classifier, on real digits */
    double held_out_accuracy_nearest;
    uint32_t n;
    double accuracy, accuracy_nearest;
    uint32_t class_n[CLASSES];
    double class_accuracy[CLASSES];
    double median, real_median, copies;    /* distances; share */
    double variety[CLASSES];
    bool enough, reads_well, accurate, not_copies, varied;
} verdict;

/* `seen` is what the generating model was trained on. The classifier learns from `train`;
 * `held_out` measures it, and its distances to `seen` (itself aside) are the yardstick. */
void judge_pictures(dfm_arena *a, const picture_set *train, const picture_set *held_out,
                    const picture_set *seen, const picture_set *samples, const bounds *b,
                    verdict *out);
bool verdict_passes(const verdict *v);
void verdict_print(const verdict *v, const bounds *b);

/* -- self_test.c --------------------------------------------------------------------------- */

/* Does the judge tell good from bad? Prints one line per case; true if all come out right.
 * `scratch` names a file to write and read back. */
bool judge_self_test(dfm_arena *a, const picture_set *digits, const char *scratch, dfm_err *err);

#endif

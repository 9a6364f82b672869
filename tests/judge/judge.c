/* judge.c - judge generated digits.
 *
 *     judge SAMPLES.safetensors DIGITS.tar [--min-accuracy X] [--min-samples N] [--permuted PERM]
 *     judge --self-test DIGITS.tar SCRATCH.safetensors
 *
 * SAMPLES holds `images` f32 [N, 1, 8, 8] in [0, 1] and `labels` i32 [N]. PERM is ten digits:
 * pictures labelled l ought to show the digit PERM[l] (tests/judge/permute_labels.py makes the
 * training data for it). Exit status: 0 good, 1 not, 2 wrong command line or unreadable file.
 */
#include "tests/judge/judge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct options {
    const char *samples, *digits, *permuted;
    bool self_test;
    bounds b;
} options;

static bool is_permutation(const char *s)
{
    unsigned seen = 0;
    if (strlen(s) != CLASSES) return false;
    for (int i = 0; i < CLASSES; i++)
        if (s[i] >= '0' && s[i] <= '9') seen |= 1u << (s[i] - '0');
    return seen == (1u << CLASSES) - 1;
}

static bool parse(int argc, char **argv, options *o)
{
    const char *file[2] = {0};
    int n = 0;
    *o = (options){.b = DEFAULT_BOUNDS};
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (argv[i][0] != '-' && n < 2) file[n++] = argv[i];
        else if (strcmp(argv[i], "--self-test") == 0) o->self_test = true;
        else if (strcmp(argv[i], "--min-accuracy") == 0) o->b.min_accuracy = atof(value), i++;
        else if (strcmp(argv[i], "--min-samples") == 0)
            o->b.min_samples = (uint32_t)atoi(value), i++;
        else if (strcmp(argv[i], "--permuted") == 0) o->permuted = value, i++;
        else return false;
    }
    o->samples = file[o->self_test];
    o->digits = file[!o->self_test];
    return n == 2 && (!o->permuted || is_permutation(o->permuted));
}

/* Exit status, see above. */
static int run(dfm_arena *a, const options *o, dfm_err *err)
{
    picture_set digits, samples, train, held_out;
    if (digits_read(a, o->digits, &digits, err) != DFM_OK) return 2;
    if (o->self_test) return judge_self_test(a, &digits, o->samples, err) ? 0 : 1;
    if (samples_read(a, o->samples, &samples, err) != DFM_OK) return 2;
    if (o->permuted) samples_permute(&samples, o->permuted);
    split_every_fourth(a, &digits, &train, &held_out);
    verdict v;
    judge_pictures(a, &train, &held_out, &digits, &samples, &o->b, &v);
    verdict_print(&v, &o->b);
    return verdict_passes(&v) ? 0 : 1;
}

int main(int argc, char **argv)
{
    options o;
    if (!parse(argc, argv, &o)) {
        fprintf(stderr, "usage: judge SAMPLES.safetensors DIGITS.tar [--min-accuracy X]\n"
                        "             [--min-samples N] [--permuted PERM]\n"
                        "       judge --self-test DIGITS.tar SCRATCH.safetensors\n");
        return 2;
    }
    dfm_err err = {0};
    dfm_arena *a = dfm_arena_create("judge");
    int status = run(a, &o, &err);
    if (err.code != DFM_OK) fprintf(stderr, "judge: %s\n", err.text);
    dfm_arena_destroy(a);
    return status;
}

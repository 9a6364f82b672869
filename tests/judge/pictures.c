/* pictures.c - read the real digits (a tar) and the generated ones (safetensors). */
#include "tests/judge/judge.h"

#include <math.h>
#include <string.h>

#include "runtime/base/file.h"
#include "runtime/base/str.h"
#include "tests/golden/st_file.h"

enum { BLOCK = 512, MAX_TAR = 1 << 26, MAX_DIGITS = 100000 };

typedef struct member {
    const char *name, *data;
    size_t n_name, n_data;
} member;

/* The member at *at of a ustar file; moves *at behind it. False at the end or at damage. */
static bool next_member(const char *tar, size_t n_tar, size_t *at, member *out)
{
    if (n_tar - *at < BLOCK || tar[*at] == 0) return false;
    const char *head = tar + *at;
    size_t size = 0;
    for (int i = 124; i < 135; i++) {
        if (head[i] < '0' || head[i] > '7') return false;
        size = size * 8 + (size_t)(head[i] - '0');
    }
    if (size > n_tar - *at - BLOCK) return false;
    *out = (member){.name = head, .n_name = strnlen(head, 100), .data = head + BLOCK,
                    .n_data = size};
    *at += BLOCK + (size + BLOCK - 1) / BLOCK * BLOCK;
    if (*at > n_tar) *at = n_tar;
    return true;
}

static bool name_ends(const member *m, const char *suffix)
{
    size_t n = strlen(suffix);
    return m->n_name >= n && memcmp(m->name + m->n_name - n, suffix, n) == 0;
}

/* Pixels of an npy file whose data are the last PIXELS floats, from [-1, 1] to [0, 1]. */
static const float *npy_pixels(dfm_arena *a, const member *m)
{
    static const char magic[] = "\x93NUMPY\x01";
    size_t bytes = PIXELS * sizeof(float);
    if (m->n_data < 10 + bytes || memcmp(m->data, magic, 7) != 0) return NULL;
    size_t n_head = 10 + (unsigned char)m->data[8] + 256u * (unsigned char)m->data[9];
    if (n_head + bytes != m->n_data) return NULL;
    if (!memmem(m->data, n_head, "'<f4'", 5) || !memmem(m->data, n_head, "(1, 8, 8)", 9))
        return NULL;
    float *x = dfm_new_n(a, float, PIXELS);
    memcpy(x, m->data + n_head, bytes);
    for (int i = 0; i < PIXELS; i++) x[i] = (x[i] + 1) / 2;
    return x;
}

dfm_status digits_read(dfm_arena *a, const char *path, picture_set *out, dfm_err *err)
{
    char *tar;
    size_t n_tar, at = 0;
    DFM_TRY(dfm_file_read(a, path, MAX_TAR, &tar, &n_tar, err));
    *out = (picture_set){.p = dfm_new_n(a, picture, n_tar / (2 * BLOCK) + 1)};
    member cls, npy;
    while (next_member(tar, n_tar, &at, &cls)) {
        if (!next_member(tar, n_tar, &at, &npy) || !name_ends(&cls, ".cls") ||
            !name_ends(&npy, ".image.npy"))
            return dfm_fail(err, DFM_BAD_DATA, "%s: members are not pairs of .cls and .image.npy",
                            path);
        const float *x = npy_pixels(a, &npy);
        if (!x || cls.n_data != 1 || cls.data[0] < '0' || cls.data[0] > '9')
            return dfm_fail(err, DFM_BAD_DATA, "%s: sample %u is damaged", path, out->n);
        out->p[out->n++] = (picture){x, cls.data[0] - '0'};
    }
    if (at >= n_tar || out->n == 0)
        return dfm_fail(err, DFM_BAD_DATA, "%s: a tar that is cut short, or empty", path);
    return DFM_OK;
}

dfm_status samples_read(dfm_arena *a, const char *path, picture_set *out, dfm_err *err)
{
    st_file f;
    DFM_TRY(st_read(a, path, &f, err));
    const st_tensor *images = st_find(&f, "images"), *labels = st_find(&f, "labels");
    if (!images || images->dtype != DFM_F32 || images->n_dims != 4 || images->dims[1] != 1 ||
        images->dims[2] != SIDE || images->dims[3] != SIDE)
        return dfm_fail(err, DFM_BAD_DATA, "%s: 'images' must be f32 [N, 1, 8, 8]", path);
    if (!labels || labels->dtype != DFM_I32 || labels->n_dims != 1 ||
        labels->dims[0] != images->dims[0])
        return dfm_fail(err, DFM_BAD_DATA, "%s: 'labels' must be i32 [N]", path);
    *out = (picture_set){(uint32_t)labels->n, dfm_new_n(a, picture, labels->n + 1)};
    const float *x = images->data;
    for (uint32_t i = 0; i < out->n; i++, x += PIXELS) {
        out->p[i] = (picture){x, ((const int32_t *)labels->data)[i]};
        if (out->p[i].label < 0 || out->p[i].label >= CLASSES)
            return dfm_fail(err, DFM_BAD_DATA, "%s: label %d is not a digit", path,
                            out->p[i].label);
        for (int k = 0; k < PIXELS; k++)
            if (!(x[k] >= 0 && x[k] <= 1))
                return dfm_fail(err, DFM_BAD_DATA, "%s: image %u leaves [0, 1]: %g", path, i,
                                (double)x[k]);
    }
    return DFM_OK;
}

dfm_status samples_write(dfm_arena *a, const char *path, const picture_set *s, dfm_err *err)
{
    float *x = dfm_new_n(a, float, (size_t)s->n * PIXELS);
    int32_t *label = dfm_new_n(a, int32_t, s->n);
    for (uint32_t i = 0; i < s->n; i++) {
        memcpy(x + (size_t)i * PIXELS, s->p[i].x, PIXELS * sizeof *x);
        label[i] = s->p[i].label;
    }
    st_tensor t[] = {
        {"images", DFM_F32, 4, {s->n, 1, SIDE, SIDE}, (uint64_t)s->n * PIXELS, x},
        {"labels", DFM_I32, 1, {s->n}, s->n, label},
    };
    return st_write(a, path, t, 2, err);
}

void samples_permute(picture_set *s, const char *permutation)
{
    for (uint32_t i = 0; i < s->n; i++) s->p[i].label = permutation[s->p[i].label] - '0';
}

void split_every_fourth(dfm_arena *a, const picture_set *all, picture_set *train,
                        picture_set *held_out)
{
    *train = (picture_set){0, dfm_new_n(a, picture, all->n)};
    *held_out = (picture_set){0, dfm_new_n(a, picture, all->n)};
    for (uint32_t i = 0; i < all->n; i++) {
        picture_set *to = i % 4 == 3 ? held_out : train;
        to->p[to->n++] = all->p[i];
    }
}

double distance(const float *x, const float *y)
{
    double sum = 0;
    for (int k = 0; k < PIXELS; k++) {
        double d = (double)x[k] - (double)y[k];
        sum += d * d;
    }
    return sqrt(sum);
}

/* toy_kernels.c - the kernels of toy_plan.h. Compiled by the tests, not by the build. */
#include <stdint.h>

typedef struct kctx {
    uint64_t seed, step;
    int64_t first_sample, iter[4];
    const double *scalars;                   /* step keep scale */
} kctx;

/* A number in -1 .. 1 from five others. */
static float noise(const kctx *c, uint64_t sample, uint64_t element)
{
    uint64_t x = c->seed * 0x9e3779b97f4a7c15u + c->step * 0xbf58476d1ce4e5b9u +
                 sample * 0x94d049bb133111ebu + element * 0x2545f4914f6cdd1du + 1;
    x ^= x >> 31;
    x *= 0xd6e8feb86659fd93u;
    x ^= x >> 32;
    return (float)(x & 0xffff) / 32768.0f - 1.0f;
}

/* w[row] = unit vector 3 - row, u[row] = seed + row; called once per row, operands move */
void k_row(const kctx *c, float *const *a)
{
    for (int k = 0; k < 4; k++) a[0][k] = k == 3 - c->iter[0] ? 1.0f : 0.0f;
    a[1][0] = (float)c->seed + (float)c->iter[0];
}

void k_bias(const kctx *c, void *const *a)
{
    (void)c;
    const int32_t *y = a[0];
    float *out = a[1];
    for (int i = 0; i < 8; i++) out[i] += (float)y[i / 4];
}

void k_draw(const kctx *c, float *const *a)
{
    for (int i = 0; i < 8; i++) a[0][i] = noise(c, (uint64_t)c->first_sample + i / 4, i % 4);
}

/* u x0 label e -> loss g */
void k_grad(const kctx *c, void *const *a)
{
    const float *u = a[0], *x0 = a[1], *e = a[3];
    const int32_t *label = a[2];
    float *loss = a[4], *g = a[5], sum = 0;
    for (int n = 0; n < 4; n++) g[n] = 0;
    for (int i = 0; i < 8; i++) {
        float d = u[i % 4] - x0[i] - (float)label[i / 4] - e[i] / 100;
        sum += d * d / 16;
        g[i % 4] += d / 8;
    }
    *loss = sum;
#ifdef NAN_AT_3
    if (c->scalars[0] == 3) *loss = 0.0f / 0.0f;
#else
    (void)c;
#endif
}

/* acc g */
void k_accumulate(const kctx *c, float *const *a)
{
    for (int n = 0; n < 4; n++) {
        a[0][n] = c->scalars[1] > 0 ? a[0][n] + a[1][n] : a[1][n];
        a[1][n] = a[0][n] * (float)c->scalars[2];
    }
}

/* u g v ema -> lr norm */
void k_update(const kctx *c, float *const *a)
{
    float norm = 0;
    for (int n = 0; n < 4; n++) {
        norm += a[1][n] * a[1][n];
        a[2][n] = 0.9f * a[2][n] + a[1][n];
        a[0][n] -= 0.5f * a[2][n];
        a[3][n] = (a[3][n] + a[0][n]) / 2;
    }
    a[4][0] = 0.5f + 0 * (float)c->scalars[0];
    a[5][0] = norm;
}

/* u y -> out */
void k_sample(const kctx *c, void *const *a)
{
    const float *u = a[0];
    const int32_t *y = a[1];
    float *out = a[2];
    for (int i = 0; i < 8; i++)
        out[i] = (u[i % 4] / 10 + (float)y[i / 4] / 100 +
                  noise(c, (uint64_t)c->first_sample + i / 4, i % 4) / 1000);
}

/* test_metrics.c - log lines and cutting back, the progress line, and a grid that decodes. */
#include "tests/rt/rt_test.h"

#include <jansson.h>
#include <math.h>
#include <png.h>

#include "runtime/metrics/jsonl.h"
#include "runtime/metrics/png_grid.h"
#include "runtime/metrics/progress.h"

static const char *contents(rt_fixture *f, const char *path)
{
    char *p;
    size_t n;
    RT_OK(f, dfm_file_read(f->arena, path, 1 << 24, &p, &n, &f->err));
    return p;
}

static void add_steps(rt_fixture *f, met_log *log, int from, int to)
{
    for (int i = from; i <= to; i++) {
        met_log_begin(log);
        met_log_int(log, "step", i);
        met_log_real(log, "loss", 1.0 / i);
        RT_OK(f, met_log_end(log, &f->err));
    }
}

static void log_lines(void **state)
{
    rt_fixture *f = *state;
    const char *path = rt_path(f, "log.jsonl");
    met_log *log;
    RT_OK(f, met_log_open(path, false, 0, &log, &f->err));
    met_log_begin(log);
    met_log_int(log, "step", 1);
    met_log_real(log, "loss", 0.1);
    met_log_real(log, "bad", NAN);
    met_log_real(log, "worse", -INFINITY);
    met_log_text(log, "note", "a \"quoted\"\nline\\");
    RT_OK(f, met_log_end(log, &f->err));
    met_log_close(log);
    const char *want = "{\"step\":1,\"loss\":0.1,\"bad\":\"nan\",\"worse\":\"-inf\","
                       "\"note\":\"a \\\"quoted\\\"\\u000aline\\\\\"}\n";
    assert_string_equal(contents(f, path), want);
    json_t *root = json_loads(want, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(root, "note")), "a \"quoted\"\nline\\");
    json_decref(root);
}

static void log_cut_back(void **state)
{
    rt_fixture *f = *state;
    const char *path = rt_path(f, "log.jsonl");
    met_log *log;
    RT_OK(f, met_log_open(path, true, 5, &log, &f->err));       /* no file yet */
    add_steps(f, log, 1, 3);
    met_log_close(log);
    const char *three = contents(f, path);
    RT_OK(f, met_log_open(path, true, 3, &log, &f->err));
    add_steps(f, log, 4, 9);
    met_log_close(log);
    FILE *torn = fopen(path, "a");
    fputs("{\"step\":2,\"lo", torn);
    fclose(torn);
    RT_OK(f, met_log_open(path, true, 3, &log, &f->err));
    met_log_close(log);
    assert_string_equal(contents(f, path), three);
    rt_write_text(path, "{\"event\":\"start\"}\nnot json\n{\"step\":4}\n{\"step\":3}\n");
    RT_OK(f, met_log_open(path, true, 3, &log, &f->err));
    add_steps(f, log, 4, 4);
    met_log_close(log);
    assert_string_equal(contents(f, path), "{\"event\":\"start\"}\nnot json\n{\"step\":3}\n"
                                           "{\"step\":4,\"loss\":0.25}\n");
    RT_OK(f, met_log_open(path, false, 0, &log, &f->err));
    met_log_close(log);
    assert_string_equal(contents(f, path), "");
}

static void log_full_disk(void **state)
{
    rt_fixture *f = *state;
    met_log *log;
    if (access("/dev/full", W_OK) != 0) skip();
    RT_OK(f, met_log_open("/dev/full", false, 0, &log, &f->err));
    met_log_begin(log);
    RT_FAILS(f, met_log_end(log, &f->err), DFM_CANNOT_WRITE, "cannot write '/dev/full': No space");
    met_log_close(log);
    RT_FAILS(f, met_log_open(rt_path(f, "no/log"), false, 0, &log, &f->err), DFM_CANNOT_WRITE,
             "cannot create");
}

static void progress_piped(void **state)
{
    rt_fixture *f = *state;
    const char *path = rt_path(f, "out");
    FILE *out = fopen(path, "w");
    met_progress p = met_progress_start(out, 100);
    assert_false(p.tty);
    assert_false(p.color);
    for (int i = 1; i <= 40; i++) {
        const met_step s = {.step = (uint64_t)i, .total = 40, .loss = 0.5, .lr = 2e-3,
                            .grad_norm = 0.8125, .samples_per_step = 1000};
        met_progress_update(&p, &s, 100 + i * 0.5, i == 40);
    }
    met_progress_note(&p, "saved");
    met_progress_end(&p);
    fclose(out);
    assert_string_equal(contents(f, path),
        "step  1/40   2%  loss 0.5000  lr 2.00e-03  grad 0.812  2,000 samples/s  ETA 20s\n"
        "step 21/40  52%  loss 0.5000  lr 2.00e-03  grad 0.812  2,000 samples/s  ETA 10s\n"
        "step 40/40 100%  loss 0.5000  lr 2.00e-03  grad 0.812  2,000 samples/s  in 20s\n"
        "saved\n");
}

static void progress_on_a_terminal(void **state)
{
    rt_fixture *f = *state;
    const char *path = rt_path(f, "out");
    FILE *out = fopen(path, "w");
    met_progress p = met_progress_start(out, 0);
    p.tty = true;
    met_step s = {.step = 1, .loss = NAN, .lr = NAN, .grad_norm = NAN};
    met_progress_update(&p, &s, 1, false);
    s.step = 2;
    met_progress_update(&p, &s, 1.05, false);   /* too soon */
    met_progress_note(&p, "note");
    s.step = 3;
    met_progress_update(&p, &s, 2, false);
    met_progress_end(&p);
    fclose(out);
    assert_string_equal(contents(f, path), "\rstep 1\033[K\r\033[Knote\n\rstep 3\033[K\n");
}

static void durations(void **state)
{
    char out[32];
    assert_string_equal(met_duration(12.4, out), "12s");
    assert_string_equal(met_duration(59.6, out), "1m00s");
    assert_string_equal(met_duration(3725, out), "1h02m");
    assert_string_equal(met_duration(4 * 86400 + 2 * 3600, out), "4d02h");
    assert_string_equal(met_duration(NAN, out), "?");
    assert_string_equal(met_duration(-1, out), "?");
}

/* Read a PNG back: 8-bit pixels. */
static uint8_t *decode(rt_fixture *f, const char *path, uint32_t format, png_image *image)
{
    memset(image, 0, sizeof *image);
    image->version = PNG_IMAGE_VERSION;
    assert_int_equal(png_image_begin_read_from_file(image, path), 1);
    assert_int_equal(image->format, format);
    uint8_t *p = dfm_alloc(f->arena, PNG_IMAGE_SIZE(*image));
    assert_int_equal(png_image_finish_read(image, NULL, p, 0, NULL), 1);
    return p;
}

static void grid_decodes(void **state)
{
    rt_fixture *f = *state;
    float images[5][2][3];
    static const int32_t rows[2] = {0, -17}, cols[3] = {4, 5, 6};
    for (int i = 0; i < 5; i++)
        for (int k = 0; k < 6; k++) (&images[i][0][0])[k] = (float)(i * 6 + k) / 29;
    images[0][0][0] = NAN;
    images[4][1][2] = 7;
    const met_grid g = {.rows = 2, .cols = 3, .channels = 1, .height = 2, .width = 3, .scale = 8,
                        .images = &images[0][0][0], .n = 5, .row_labels = rows, .col_labels = cols};
    const char *path = rt_path(f, "g.png");
    RT_OK(f, met_png_grid(path, &g, &f->err));
    png_image image;
    uint8_t *p = decode(f, path, PNG_FORMAT_GRAY, &image);
    uint32_t left = 17 + 6, top = 7 + 6;        /* "-17" is 17 wide at zoom 1 */
    assert_int_equal(image.width, left + 3 * 26);
    assert_int_equal(image.height, top + 2 * 18);
    for (uint32_t i = 0; i < 6; i++) {
        for (uint32_t y = 0; y < 16; y++) {
            for (uint32_t x = 0; x < 24; x++) {
                uint32_t at = (top + i / 3 * 18 + y) * image.width + left + i % 3 * 26 + x;
                double v = i == 5 ? 230 / 255.0 : images[i][y / 8][x / 8];
                double want = isnan(v) ? 0 : v > 1 ? 255 : floor(v * 255 + 0.5);
                assert_int_equal(p[at], (int)want);
            }
        }
    }
    int ink = 0;                                /* labels are there, outside the images only */
    for (uint32_t i = 0; i < top * image.width; i++) ink += p[i] == 0;
    assert_int_equal(ink, 14 + 17 + 15);        /* the pixels of 4, 5 and 6 */
    assert_int_equal(p[0], 255);
    char *first, *second;
    size_t n_first, n_second;
    RT_OK(f, dfm_file_read(f->arena, path, 1 << 20, &first, &n_first, &f->err));
    RT_OK(f, met_png_grid(path, &g, &f->err));
    RT_OK(f, dfm_file_read(f->arena, path, 1 << 20, &second, &n_second, &f->err));
    assert_int_equal(n_first, n_second);
    assert_memory_equal(first, second, n_first);
}

static void grid_in_colour_and_limits(void **state)
{
    rt_fixture *f = *state;
    static const float image[3][1][1] = {{{1}}, {{0.5f}}, {{0}}};
    met_grid g = {.rows = 1, .cols = 1, .channels = 3, .height = 1, .width = 1, .scale = 2,
                  .images = &image[0][0][0], .n = 1};
    const char *path = rt_path(f, "c.png");
    RT_OK(f, met_png_grid(path, &g, &f->err));
    png_image info;
    uint8_t *p = decode(f, path, PNG_FORMAT_RGB, &info);
    uint8_t *at = p + (2 * info.width + 2) * 3;
    assert_int_equal(at[0], 255);
    assert_int_equal(at[1], 128);
    assert_int_equal(at[2], 0);
    RT_FAILS(f, met_png_grid(rt_path(f, "no/c.png"), &g, &f->err), DFM_CANNOT_WRITE,
             "cannot create");
    g.rows = 40000;
    RT_FAILS(f, met_png_grid(path, &g, &f->err), DFM_USAGE, "too large");
    g.rows = 0;
    RT_FAILS(f, met_png_grid(path, &g, &f->err), DFM_USAGE, "empty");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RT_TEST(log_lines), RT_TEST(log_cut_back), RT_TEST(log_full_disk), RT_TEST(progress_piped),
        RT_TEST(progress_on_a_terminal), RT_TEST(durations), RT_TEST(grid_decodes),
        RT_TEST(grid_in_colour_and_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* png_grid.c - lay images out on a canvas, label it with a 5 x 7 font, encode it with libpng. */
#include "runtime/metrics/png_grid.h"

#include <png.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/file.h"
#include "runtime/base/str.h"

enum { GLYPH_W = 5, GLYPH_H = 7, GAP = 2, PAPER = 255, INK = 0, EMPTY = 230 };

/* Rows from top to bottom, the leftmost pixel is bit 4. */
static const uint8_t digits[11][GLYPH_H] = {
    {0x0e, 0x11, 0x13, 0x15, 0x19, 0x11, 0x0e}, {0x04, 0x0c, 0x04, 0x04, 0x04, 0x04, 0x0e},
    {0x0e, 0x11, 0x01, 0x06, 0x08, 0x10, 0x1f}, {0x1e, 0x01, 0x01, 0x0e, 0x01, 0x01, 0x1e},
    {0x02, 0x06, 0x0a, 0x12, 0x1f, 0x02, 0x02}, {0x1f, 0x10, 0x1e, 0x01, 0x01, 0x11, 0x0e},
    {0x06, 0x08, 0x10, 0x1e, 0x11, 0x11, 0x0e}, {0x1f, 0x01, 0x02, 0x04, 0x04, 0x08, 0x08},
    {0x0e, 0x11, 0x11, 0x0e, 0x11, 0x11, 0x0e}, {0x0e, 0x11, 0x11, 0x0f, 0x01, 0x02, 0x0c},
    {0x00, 0x00, 0x00, 0x0e, 0x00, 0x00, 0x00},
};

typedef struct canvas {
    dfm_arena *arena;
    uint8_t *p;                /* [height, width, channels] */
    uint32_t height, width, channels;
    uint32_t zoom;             /* of the font */
    uint32_t left, top;        /* where the images start */
} canvas;

static void fill(canvas *c, uint32_t y, uint32_t x, uint32_t h, uint32_t w, uint8_t value)
{
    for (uint32_t i = y; i < y + h; i++)
        memset(c->p + ((size_t)i * c->width + x) * c->channels, value, (size_t)w * c->channels);
}

static void draw_number(canvas *c, uint32_t y, uint32_t x, int32_t number)
{
    char text[16];
    snprintf(text, sizeof text, "%d", (int)number);
    for (const char *s = text; *s; s++, x += (GLYPH_W + 1) * c->zoom) {
        const uint8_t *glyph = digits[*s == '-' ? 10 : *s - '0'];
        for (uint32_t i = 0; i < GLYPH_H; i++)
            for (uint32_t k = 0; k < GLYPH_W; k++)
                if (glyph[i] >> (GLYPH_W - 1 - k) & 1)
                    fill(c, y + i * c->zoom, x + k * c->zoom, c->zoom, c->zoom, INK);
    }
}

static uint32_t number_width(const canvas *c, int32_t number)
{
    return (uint32_t)snprintf(NULL, 0, "%d", (int)number) * (GLYPH_W + 1) * c->zoom - c->zoom;
}

static uint8_t to_byte(float x)
{
    return !(x > 0) ? 0 : x >= 1 ? 255 : (uint8_t)(x * 255.0f + 0.5f);
}

static void draw_image(canvas *c, const met_grid *g, uint32_t index, uint32_t y, uint32_t x)
{
    size_t plane = (size_t)g->height * g->width;
    const float *image = g->images + index * plane * g->channels;
    for (uint32_t i = 0; i < g->height * g->scale; i++) {
        uint8_t *out = c->p + ((size_t)(y + i) * c->width + x) * c->channels;
        for (uint32_t k = 0; k < g->width * g->scale; k++)
            for (uint32_t ch = 0; ch < g->channels; ch++)
                *out++ = to_byte(image[ch * plane + (i / g->scale) * g->width + k / g->scale]);
    }
}

/* Sizes, with room for the labels; false if the picture would be absurdly large. */
static bool make_canvas(canvas *c, const met_grid *g)
{
    uint64_t cell_h = (uint64_t)g->height * g->scale + GAP;
    uint64_t cell_w = (uint64_t)g->width * g->scale + GAP;
    c->channels = g->channels;
    c->zoom = cell_h > 3 * GLYPH_H ? 2 : 1;
    c->left = c->top = GAP;
    for (uint32_t i = 0; g->row_labels && i < g->rows; i++) {
        uint32_t w = number_width(c, g->row_labels[i]) + 2 * GAP + 2;
        if (w > c->left) c->left = w;
    }
    if (g->col_labels) c->top = GLYPH_H * c->zoom + 2 * GAP + 2;
    uint64_t h = c->top + g->rows * cell_h, w = c->left + g->cols * cell_w;
    for (uint32_t i = 0; g->col_labels && i < g->cols; i++)     /* a wide label at the right edge */
        if (c->left + i * cell_w + number_width(c, g->col_labels[i]) + GAP > w)
            w = c->left + i * cell_w + number_width(c, g->col_labels[i]) + GAP;
    if (!g->rows || !g->cols || !g->height || !g->width || !g->scale || h > 32768 || w > 32768 ||
        h * w * g->channels > (uint64_t)1 << 30)
        return false;
    c->height = (uint32_t)h;
    c->width = (uint32_t)w;
    c->p = dfm_alloc(c->arena, h * w * g->channels);
    fill(c, 0, 0, c->height, c->width, PAPER);
    return true;
}

static void draw_all(canvas *c, const met_grid *g)
{
    uint32_t h = g->height * g->scale, w = g->width * g->scale, text = GLYPH_H * c->zoom;
    for (uint32_t r = 0; r < g->rows; r++) {
        uint32_t y = c->top + r * (h + GAP);
        for (uint32_t k = 0; k < g->cols; k++) {
            uint32_t x = c->left + k * (w + GAP), i = r * g->cols + k;
            if (i < g->n) draw_image(c, g, i, y, x);
            else fill(c, y, x, h, w, EMPTY);
        }
        if (g->row_labels && h + GAP >= text)
            draw_number(c, y + (h > text ? (h - text) / 2 : 0),
                        c->left - GAP - 1 - number_width(c, g->row_labels[r]), g->row_labels[r]);
    }
    for (uint32_t k = 0; g->col_labels && k < g->cols; k++) {
        uint32_t x = c->left + k * (w + GAP), wide = number_width(c, g->col_labels[k]);
        draw_number(c, GAP, x + (w > wide ? (w - wide) / 2 : 0), g->col_labels[k]);
    }
}

/* -- encoding ------------------------------------------------------------------------------ */

static void on_write(png_structp png, png_bytep p, size_t n)
{
    dfm_sb_add(png_get_io_ptr(png), (const char *)p, n);
}

static void on_flush(png_structp png) { (void)png; }

static bool encode(const canvas *c, dfm_sb *out)
{
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    if (!info || setjmp(png_jmpbuf(png))) {
        png_destroy_write_struct(&png, &info);
        return false;
    }
    png_set_write_fn(png, out, on_write, on_flush);
    png_set_IHDR(png, info, c->width, c->height, 8,
                 c->channels == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_set_filter(png, 0, PNG_FILTER_NONE);
    png_set_compression_level(png, 9);
    png_write_info(png, info);
    for (uint32_t y = 0; y < c->height; y++)
        png_write_row(png, c->p + (size_t)y * c->width * c->channels);
    png_write_end(png, NULL);
    png_destroy_write_struct(&png, &info);
    return true;
}

dfm_status met_png_grid(const char *path, const met_grid *g, dfm_err *err)
{
    DFM_ASSERT(g->channels == 1 || g->channels == 3);
    canvas c = {.arena = dfm_arena_create("picture")};
    dfm_sb png = dfm_sb_make(c.arena);
    dfm_status s;
    if (!make_canvas(&c, g)) {
        s = dfm_fail(err, DFM_USAGE, "a grid of %u x %u images of %u x %u pixels is too large or "
                     "empty", g->rows, g->cols, g->height, g->width);
    } else {
        draw_all(&c, g);
        s = encode(&c, &png) ? dfm_file_replace(path, png.p, png.n, err)
                             : dfm_fail(err, DFM_CANNOT_WRITE, "cannot encode '%s'", path);
    }
    dfm_arena_destroy(c.arena);
    return s;
}

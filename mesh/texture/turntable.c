/* A picture of the surface from eight sides, and what the writers share. */
#include "mesh/views/mesh.h"

#include <stdlib.h>
#include <string.h>

/* An eye that looks at the middle of the surface from `azimuth` and `elevation`. */
static kn_eye look(const kn_surface *s, int size, double azimuth, double elevation) {
    double low[3] = {1e300, 1e300, 1e300}, high[3] = {-1e300, -1e300, -1e300}, middle[3], diagonal = 0;
    for (size_t v = 0; v < 3 * s->vertex_count; v++)
        low[v % 3] = fmin(low[v % 3], s->positions[v]), high[v % 3] = fmax(high[v % 3], s->positions[v]);
    for (int i = 0; i < 3; i++) middle[i] = (low[i] + high[i]) / 2, diagonal += (high[i] - low[i]) * (high[i] - low[i]);
    diagonal = sqrt(diagonal);
    double ca = cos(azimuth), sa = sin(azimuth), ce = cos(elevation), se = sin(elevation),
           forward[3] = {-ca * ce, -sa * ce, -se};
    kn_eye eye = {
        .width = size, .height = size, .fx = 1.9 * size, .fy = 1.9 * size, .cx = size / 2.0, .cy = size / 2.0};
    double right[3] = {-sa, ca, 0},
           down[3] = {forward[1] * right[2] - forward[2] * right[1], forward[2] * right[0] - forward[0] * right[2],
                      forward[0] * right[1] - forward[1] * right[0]};
    for (int j = 0; j < 3; j++) {
        eye.r[0][j] = right[j], eye.r[1][j] = down[j], eye.r[2][j] = forward[j];
        eye.center[j] = middle[j] - forward[j] * 2.0 * fmax(diagonal, 1e-9);
    }
    for (int i = 0; i < 3; i++)
        eye.t[i] = -(eye.r[i][0] * eye.center[0] + eye.r[i][1] * eye.center[1] + eye.r[i][2] * eye.center[2]);
    return eye;
}

/* Colour of the surface at a drawn pixel: texture with soft light, or clay with stronger light. */
static void shade(const kn_surface *s, const kn_raster *raster, size_t i, const kn_eye *eye, bool clay, double rgb[3]) {
    size_t t = raster->triangle[i] - 1;
    double b = raster->weights[2 * i], c = raster->weights[2 * i + 1], w[3] = {1 - b - c, b, c}, n[3] = {0},
           uv[2] = {0}, facing = 0;
    for (size_t k = 0; k < 3; k++) {
        for (size_t j = 0; j < 3; j++) n[j] += w[k] * s->normals[3 * s->triangles[3 * t + k] + j];
        for (size_t j = 0; j < 2 && s->corners; j++) uv[j] += w[k] * s->corners[6 * t + 2 * k + j];
    }
    for (int j = 0; j < 3; j++) facing -= n[j] * (eye->r[2][j] + 0.4 * eye->r[1][j] + 0.25 * eye->r[0][j]);
    double light = fmin(fmax(facing, 0), 1.1);
    if (clay || !s->texture.data) {
        for (int j = 0; j < 3; j++) rgb[j] = 40 + 190 * light;
        return;
    }
    int x = (int)(uv[0] * s->texture.width), y = (int)(uv[1] * s->texture.height);
    x = x < 0                   ? 0
        : x >= s->texture.width ? s->texture.width - 1
                                : x,
    y = y < 0                    ? 0
        : y >= s->texture.height ? s->texture.height - 1
                                 : y;
    for (int j = 0; j < 3; j++)
        rgb[j] = s->texture.data[3 * ((size_t)y * (size_t)s->texture.width + (size_t)x) + (size_t)j];
}

static void draw_tile(const kn_surface *s, const kn_tris *mesh, kn_raster *raster, kn_image *image, int tile,
                      int across) {
    int size = raster->width / 2, left = tile % across * size, top = tile / across * size;
    bool clay = tile >= 4; /* the lower row shows the shape alone */
    kn_eye eye = look(s, raster->width, (tile % 4) * M_PI / 2 + 0.6, clay ? 0.35 : 0.3);
    kn_raster_draw(raster, &eye, mesh, false);
    for (int y = 0; y < size; y++)
        for (int x = 0; x < size; x++) {
            double sum[3] = {0};
            for (int k = 0; k < 4; k++) { /* four samples a pixel */
                size_t at = (size_t)(2 * y + k / 2) * (size_t)raster->width + (size_t)(2 * x + k % 2);
                double rgb[3] = {236, 238, 240};
                if (raster->triangle[at]) shade(s, raster, at, &eye, clay, rgb);
                for (int c = 0; c < 3; c++) sum[c] += fmin(rgb[c], 255) / 4;
            }
            uint8_t *out = image->data + 3 * ((size_t)(top + y) * (size_t)image->width + (size_t)(left + x));
            for (int c = 0; c < 3; c++) out[c] = (uint8_t)lround(sum[c]);
        }
}

bool kn_surface_draw_turntable(const kn_surface *surface, kn_image *image, int width, kn_error *error) {
    if (width < 64 || width > 8192)
        return kn_fail(error, KN_ERROR_INPUT, "turntable of %d pixels, expected 64 to 8192", width);
    int tile = width / 4;
    kn_tris mesh = {.positions = surface->positions,
                    .triangles = surface->triangles,
                    .vertex_count = surface->vertex_count,
                    .triangle_count = surface->triangle_count};
    kn_raster raster = {0};
    bool ok = kn_image_init(image, 4 * tile, 2 * tile, 3, error) && kn_raster_init(&raster, 2 * tile, 2 * tile, error);
    for (int i = 0; ok && i < 8; i++) draw_tile(surface, &mesh, &raster, image, i, 4);
    kn_raster_finish(&raster);
    return ok;
}

bool kn_surface_write_turntable(const kn_surface *surface, const char *path, int width, kn_error *error) {
    kn_image image = {0};
    bool ok = kn_surface_draw_turntable(surface, &image, width, error) && kn_image_write_png(&image, path, error);
    kn_image_finish(&image);
    return ok;
}

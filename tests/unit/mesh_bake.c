/* The texture: what the pictures show, without seams where charts meet or exposures differ, without highlights. No
 * device. */
#include <criterion/criterion.h>
#include <string.h>

#include "mesh_shapes.h"

enum { VIEWS = 24, SIZE = 128, TEXTURE = 512 };

static kn_eye items[VIEWS];
static kn_eyes eyes = {.items = items, .count = VIEWS, .from_input = {{1, 0, 0, 0}, {0, 1, 0, 0}, {0, 0, 1, 0}}};

/* The shape itself with a texture from its pictures; every other picture has another exposure when `uneven`. */
static kn_surface *paint(kn_tris *truth, shape_kind kind, shape_paint how, bool uneven) {
    kn_view_camera cameras[VIEWS];
    shape_make(truth, kind);
    orbit_cameras(cameras, VIEWS, (const double[]){-10, 15, 45}, 3, SIZE);
    for (int e = 0; e < VIEWS; e++) {
        kn_image picture;
        const double gains[3] = {uneven ? (e % 2 ? 0.8 : 1) : 1, uneven ? (e % 3 ? 0.95 : 0.8) : 1,
                                 uneven ? (e % 2 ? 0.85 : 0.95) : 1};
        shape_render(&picture, truth, kind, how, &cameras[e], 0);
        items[e] = shape_eye(&cameras[e]);
        items[e].rgb = kn_alloc(SIZE * SIZE, 3, NULL), items[e].mask = kn_alloc(SIZE * SIZE, 1, NULL),
        items[e].edge = kn_alloc(SIZE * SIZE, 4, NULL);
        for (size_t i = 0; i < SIZE * SIZE; i++) {
            for (size_t c = 0; c < 3; c++)
                items[e].rgb[3 * i + c] = (uint8_t)lround(gains[c] * picture.data[4 * i + c]);
            items[e].mask[i] = picture.data[4 * i + 3] >= 128 ? 255 : 0;
        }
        cr_assert(kn_mask_distance(items[e].mask, SIZE, SIZE, items[e].edge, NULL));
        kn_image_finish(&picture);
    }
    kn_surface *s = kn_alloc(1, sizeof *s, NULL);
    kn_surface_params params = KN_SURFACE_PARAMS_DEFAULT;
    kn_error error = {0};
    cr_assert(kn_place(s, truth, kn_tris_normals(truth, NULL), &eyes, &params, &error) &&
                  kn_atlas(s, TEXTURE, &error) && kn_bake(s, truth, &eyes, TEXTURE, &error),
              "%s", error.message);
    return s;
}

static void forget(kn_tris *truth, kn_surface *s) {
    for (int e = 0; e < VIEWS; e++) kn_free(items[e].rgb), kn_free(items[e].mask), kn_free(items[e].edge);
    kn_tris_finish(truth);
    kn_surface_destroy(&s);
}

/* Bilinear texture at weights of a triangle's corners. */
static void texel(const kn_surface *s, size_t t, const double w[3], double rgb[3]) {
    double at[2] = {0}, f[2];
    int low[2];
    for (size_t k = 0; k < 2; k++) {
        for (size_t c = 0; c < 3; c++) at[k] += w[c] * s->corners[6 * t + 2 * c + k] * TEXTURE;
        at[k] = fmin(fmax(at[k] - 0.5, 0), TEXTURE - 1.001);
        low[k] = (int)at[k], f[k] = at[k] - low[k];
    }
    for (size_t c = 0; c < 3; c++) {
        const uint8_t *p = s->texture.data + 3 * ((size_t)low[1] * TEXTURE + (size_t)low[0]) + c;
        rgb[c] = (p[0] * (1 - f[0]) + p[3] * f[0]) * (1 - f[1]) +
                 (p[3 * TEXTURE] * (1 - f[0]) + p[3 * TEXTURE + 3] * f[0]) * f[1];
    }
}

/* Mean difference of the two sides of edges between charts, in levels of 255. */
static double seams(const kn_surface *s) {
    double sum = 0, count = 0;
    for (size_t i = 0; i < 3 * s->triangle_count; i++) {
        size_t t = i / 3, k = i % 3;
        uint32_t a = s->triangles[i], b = s->triangles[3 * t + (k + 1) % 3];
        for (size_t j = t > 1500 ? 3 * (t - 1500) : 0; j < 3 * s->triangle_count && j < 3 * (t + 1500); j++) {
            size_t u = j / 3, m = j % 3;
            if (s->triangles[j] != b || s->triangles[3 * u + (m + 1) % 3] != a || s->charts[u] == s->charts[t] ||
                s->confidence[a] < 0.3f || s->confidence[b] < 0.3f)
                continue;
            double here[3] = {0}, there[3] = {0}, x[3], y[3];
            here[k] = here[(k + 1) % 3] = there[m] = there[(m + 1) % 3] = 0.5;
            texel(s, t, here, x), texel(s, u, there, y);
            for (int c = 0; c < 3; c++) sum += fabs(x[c] - y[c]), count++;
        }
    }
    cr_assert_gt(count, 100);
    return sum / count;
}

/* Root mean square error of the texture against the shape's own pictures, apart from one factor a channel for the
 * exposure. */
static double error_against_pictures(const kn_surface *s, const kn_tris *truth, shape_kind kind, shape_paint how,
                                     double *brighter) {
    kn_view_camera cameras[VIEWS];
    kn_raster raster;
    double sums[3][3] = {{0}}, squares = 0, count = 0, scale[3];
    *brighter = 0;
    orbit_cameras(cameras, VIEWS, (const double[]){-10, 15, 45}, 3, SIZE);
    cr_assert(kn_raster_init(&raster, SIZE, SIZE, NULL));
    for (int pass = 0; pass < 2; pass++)
        for (int e = 0; e < VIEWS; e += 5) {
            kn_image picture;
            kn_eye eye = shape_eye(&cameras[e]);
            shape_render(&picture, truth, kind, how, &cameras[e], 0);
            kn_raster_draw(&raster, &eye, truth, false);
            for (size_t i = 0; i < SIZE * SIZE; i++) {
                if (!raster.triangle[i] || picture.data[4 * i + 3] < 255 || items[e].edge[i] > -2) continue;
                double b = raster.weights[2 * i], c = raster.weights[2 * i + 1], rgb[3];
                texel(s, raster.triangle[i] - 1, (const double[]){1 - b - c, b, c}, rgb);
                for (int k = 0; k < 3; k++) {
                    double wanted = picture.data[4 * i + (size_t)k], off = pass ? scale[k] * rgb[k] - wanted : 0;
                    sums[k][0] += rgb[k] * wanted, sums[k][1] += rgb[k] * rgb[k];
                    if (pass) squares += off * off, count++, *brighter += off > 40;
                }
            }
            kn_image_finish(&picture);
            for (int k = 0; k < 3 && !pass; k++) scale[k] = sums[k][0] / fmax(sums[k][1], 1);
        }
    kn_raster_finish(&raster);
    *brighter /= count;
    return sqrt(squares / count);
}

Test(mesh_bake, charts_meet_without_seams) {
    kn_tris truth;
    double brighter;
    kn_surface *s = paint(&truth, SHAPE_CAR, PAINT_TEXTURED, false);
    double across = seams(s), off = error_against_pictures(s, &truth, SHAPE_CAR, PAINT_TEXTURED, &brighter);
    cr_log_info("%.2f levels across chart borders, error %.2f", across, off);
    cr_assert(across < 3 && off < 3, "%g levels across borders, error %g", across, off);
    forget(&truth, s);
}

Test(mesh_bake, exposures_are_evened_out) {
    kn_tris truth;
    double brighter;
    kn_surface *s = paint(&truth, SHAPE_CAR, PAINT_TEXTURED, true);
    double off = error_against_pictures(s, &truth, SHAPE_CAR, PAINT_TEXTURED, &brighter);
    cr_log_info("uneven exposures: error %.2f", off);
    cr_assert_lt(off, 3, "%g", off);
    forget(&truth, s);
}

Test(mesh_bake, highlights_are_outvoted) {
    kn_tris truth;
    double brighter;
    kn_surface *s = paint(&truth, SHAPE_CAR, PAINT_GLOSSY, false);
    double off = error_against_pictures(s, &truth, SHAPE_CAR, PAINT_FLAT, &brighter);
    cr_log_info("glossy paint against flat: error %.2f, %.2f %% brighter by 40 levels", off, 100 * brighter);
    cr_assert_lt(brighter, 0.01, "%g", brighter);
    forget(&truth, s);
}

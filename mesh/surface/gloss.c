/* Whether the surface shines: its brightness changes with the eye while its chroma does not (Shafer 1985: a highlight
 * adds white). */
#include "mesh/views/mesh.h"

#include <stdlib.h>
#include <string.h>

#define SAMPLES 1500
#define PATCH 2 /* colours are means of (2 PATCH + 1)^2 pixels, so that small errors of the surface do not count */

typedef struct spread {
    double sum[2], squares[2]; /* of brightness and chroma */
    int count;
} spread;

/* Mean brightness and chroma around a pixel; false when the patch leaves the mask. */
static bool patch(const kn_eye *eye, int x, int y, double out[2]) {
    out[0] = out[1] = 0;
    if (x < PATCH || y < PATCH || x + PATCH >= eye->width || y + PATCH >= eye->height) return false;
    for (int j = y - PATCH; j <= y + PATCH; j++)
        for (int i = x - PATCH; i <= x + PATCH; i++) {
            size_t at = (size_t)j * (size_t)eye->width + (size_t)i;
            if (!eye->mask[at]) return false;
            out[0] += kn_eye_grey(eye, at, false), out[1] += kn_eye_grey(eye, at, true);
        }
    for (int k = 0; k < 2; k++) out[k] /= (2 * PATCH + 1) * (2 * PATCH + 1);
    return true;
}

static void look(const kn_eye *eye, const kn_raster *raster, const kn_tris *mesh, const float *normals, size_t stride,
                 spread *spreads) {
    for (size_t v = 0, s = 0; v < mesh->vertex_count && s < SAMPLES; v += stride, s++) {
        double p[3], to[3], pixel[2], depth, away = 0, facing = 0, values[2];
        for (size_t i = 0; i < 3; i++) {
            p[i] = mesh->positions[3 * v + i], to[i] = eye->center[i] - p[i];
            away += to[i] * to[i], facing += to[i] * normals[3 * v + i];
        }
        if (facing < 0.45 * sqrt(away) || !kn_eye_project(eye, p, pixel, &depth) || pixel[0] < 0 || pixel[1] < 0)
            continue;
        int x = (int)fmin(pixel[0], 1e6), y = (int)fmin(pixel[1], 1e6);
        if (!patch(eye, x, y, values) || depth > raster->depth[(size_t)y * (size_t)eye->width + (size_t)x] + 0.01)
            continue;
        for (int k = 0; k < 2; k++) spreads[s].sum[k] += values[k], spreads[s].squares[k] += values[k] * values[k];
        spreads[s].count++;
    }
}

static int ascending(const void *a, const void *b) {
    const double *p = a, *q = b;
    return *p < *q ? -1 : *p > *q;
}

/* Median deviation of brightness (0) or chroma (1) over the eyes; 0 when too little is seen. */
static double typical(const spread *spreads, int channel, double *scratch) {
    size_t n = 0;
    for (size_t s = 0; s < SAMPLES; s++) {
        double count = spreads[s].count, mean = spreads[s].sum[channel] / fmax(count, 1);
        if (count >= 4) scratch[n++] = sqrt(fmax(spreads[s].squares[channel] / count - mean * mean, 0));
    }
    if (n < 20) return 0;
    qsort(scratch, n, sizeof *scratch, ascending);
    return scratch[n / 2];
}

bool kn_gloss_find(bool *glossy, const kn_eyes *eyes, const kn_tris *mesh, const kn_log *log, kn_error *error) {
    kn_raster raster = {0};
    spread *spreads = kn_alloc(SAMPLES, sizeof *spreads, error);
    double *scratch = kn_alloc(SAMPLES, sizeof *scratch, error);
    float *normals = kn_tris_normals(mesh, error);
    bool ok =
        spreads && scratch && normals && kn_raster_init(&raster, eyes->items[0].width, eyes->items[0].height, error);
    for (size_t e = 0; ok && e < eyes->count; e++) {
        kn_raster_draw(&raster, &eyes->items[e], mesh, false);
        look(&eyes->items[e], &raster, mesh, normals, mesh->vertex_count / SAMPLES + 1, spreads);
    }
    if (ok) {
        double brightness = typical(spreads, 0, scratch), chroma = typical(spreads, 1, scratch);
        *glossy = brightness > 4 && chroma < 0.5 * brightness;
        kn_log_line(log, KN_LOG_DEBUG, "over the views brightness changes by %.1f and chroma by %.1f: %s", brightness,
                    chroma, *glossy ? "glossy" : "matt");
    }
    kn_raster_finish(&raster);
    kn_free(spreads), kn_free(scratch), kn_free(normals);
    return ok;
}

#include "pipelines/style/protect_measure.h"

#include <math.h>
#include <string.h>

static const double LUMA[3] = {0.299, 0.587, 0.114};
static const double LEAST_SIGNAL = 1e-5; /* variance: about a step of 8 bits */

float kn_protect_soft(const kn_track_box *box, double x, double y) {
    double half_width = 0.65 * (double)box->width, half_height = 0.65 * (double)box->height,
           edge = fmax(0.3 * fmax((double)box->width, (double)box->height), 2);
    double dx = fmax(fabs(x - (double)box->x - 0.5 * (double)box->width) - half_width, 0),
           dy = fmax(fabs(y - (double)box->y - 0.5 * (double)box->height) - half_height, 0),
           t = fmin(hypot(dx, dy) / edge, 1);
    return (float)(1 - t * t * (3 - 2 * t));
}

/* The region around a box, with the detail of source and picture in it. */
typedef struct region {
    int left, top, width, height;
    float *weights, *source, *luma, *axis; /* [height][width]; the last three without their planes */
    double power;                          /* weighted mean square of the source's */
} region;

static size_t places_of(const region *r) { return (size_t)r->width * (size_t)r->height; }

static bool region_init(region *r, const kn_track_box *box, int width, int height, kn_error *error) {
    double reach = 0.15 + 0.31;
    double margin_x = fmax(reach * (double)box->width, 3), margin_y = fmax(reach * (double)box->height, 3),
           margin = fmax(margin_x, margin_y);
    double left = fmax(floor((double)box->x - margin), 0), top = fmax(floor((double)box->y - margin), 0),
           right = fmin(ceil((double)(box->x + box->width) + margin), width),
           bottom = fmin(ceil((double)(box->y + box->height) + margin), height);
    *r = (region){.left = (int)left, .top = (int)top, .width = (int)(right - left), .height = (int)(bottom - top)};
    if (!(right - left >= 3 && bottom - top >= 3)) r->width = r->height = 0;
    size_t n = places_of(r);
    if (!(r->weights = kn_alloc(4 * n, sizeof(float), error))) return false;
    r->source = r->weights + n, r->luma = r->source + n, r->axis = r->luma + n;
    for (size_t i = 0; i < n; i++)
        r->weights[i] = kn_protect_soft(box, r->left + (double)(i % (size_t)r->width) + 0.5,
                                        r->top + (double)(i / (size_t)r->width) + 0.5);
    return true;
}

/* --- signals ---------------------------------------------------------------------------------- */

/* Takes the plane away that fits best. */
static void flatten(const region *r, float *values) {
    double sums[3] = {0}, moments[6] = {0}; /* 1, x, y; 11, 1x, 1y, xx, xy, yy */
    size_t n = places_of(r);
    for (size_t i = 0; i < n; i++) {
        double w = (double)r->weights[i], v = w * (double)values[i], x = (double)(i % (size_t)r->width),
               y = (double)(i / (size_t)r->width);
        sums[0] += v, sums[1] += v * x, sums[2] += v * y;
        moments[0] += w, moments[1] += w * x, moments[2] += w * y;
        moments[3] += w * x * x, moments[4] += w * x * y, moments[5] += w * y * y;
    }
    double total = fmax(moments[0], 1e-9), mx = moments[1] / total, my = moments[2] / total, mean = sums[0] / total;
    double xx = moments[3] - total * mx * mx, xy = moments[4] - total * mx * my, yy = moments[5] - total * my * my,
           vx = sums[1] - sums[0] * mx, vy = sums[2] - sums[0] * my, det = xx * yy - xy * xy;
    double a = det > 1e-9 ? (vx * yy - vy * xy) / det : 0, b = det > 1e-9 ? (vy * xx - vx * xy) / det : 0;
    for (size_t i = 0; i < n; i++)
        values[i] -=
            (float)(mean + a * ((double)(i % (size_t)r->width) - mx) + b * ((double)(i / (size_t)r->width) - my));
}

static float mixed(const float *planes, size_t pixels, size_t at, const double mix[3]) {
    return (float)(mix[0] * (double)planes[at] + mix[1] * (double)planes[pixels + at] +
                   mix[2] * (double)planes[2 * pixels + at]);
}

static void project(const region *r, const float *planes, int width, int height, const double mix[3], float *out) {
    size_t pixels = (size_t)width * (size_t)height, n = places_of(r);
    for (size_t i = 0; i < n; i++) {
        size_t x = (size_t)r->left + i % (size_t)r->width, y = (size_t)r->top + i / (size_t)r->width;
        out[i] = mixed(planes, pixels, y * (size_t)width + x, mix);
    }
    flatten(r, out);
}

/* The direction of colour in which the source varies most, of unit sum; brighter is positive. */
static void main_colour(const region *r, const float *source, int width, int height, double mix[3], float *spare) {
    double covariance[3][3] = {{0}};
    size_t n = places_of(r);
    for (int c = 0; c < 3; c++) {
        const double only[3] = {c == 0, c == 1, c == 2};
        project(r, source, width, height, only, spare + (size_t)c * n);
    }
    for (int a = 0; a < 3; a++)
        for (int b = 0; b < 3; b++)
            for (size_t i = 0; i < n; i++)
                covariance[a][b] += (double)(r->weights[i] * spare[(size_t)a * n + i] * spare[(size_t)b * n + i]);
    memcpy(mix, LUMA, sizeof LUMA);
    for (int round = 0; round < 30; round++) { /* power iteration */
        double next[3], size = 1e-30;
        for (int a = 0; a < 3; a++) {
            next[a] = covariance[a][0] * mix[0] + covariance[a][1] * mix[1] + covariance[a][2] * mix[2];
            size += fabs(next[a]);
        }
        if (size < 1e-12) return;
        for (int a = 0; a < 3; a++) mix[a] = next[a] / size;
    }
    double bright = mix[0] * LUMA[0] + mix[1] * LUMA[1] + mix[2] * LUMA[2];
    for (int a = 0; a < 3 && bright < 0; a++) mix[a] = -mix[a];
}

/* --- measures --------------------------------------------------------------------------------- */

static double slope(const region *r, const float *a, const float *b) {
    double product = 0, power = 0;
    for (size_t i = 0, n = places_of(r); i < n; i++) {
        product += (double)(r->weights[i] * a[i] * b[i]);
        power += (double)(r->weights[i] * a[i] * a[i]);
    }
    return power > 0 ? product / power : 0;
}

static double edge_slope(const region *r, const float *a, const float *b) {
    double product = 0, power = 0;
    size_t w = (size_t)r->width;
    for (size_t y = 1; y + 1 < (size_t)r->height; y++)
        for (size_t x = 1; x + 1 < w; x++) {
            size_t i = y * w + x;
            float au = a[i + 1] - a[i - 1], av = a[i + w] - a[i - w], bu = b[i + 1] - b[i - 1],
                  bv = b[i + w] - b[i - w];
            product += (double)(r->weights[i] * (au * bu + av * bv));
            power += (double)(r->weights[i] * (au * au + av * av));
        }
    return power > 0 ? product / power : 0;
}

static void judge(const region *r, kn_protect_kept *kept) {
    kept->contrast = fmax(slope(r, r->source, r->luma), slope(r, r->source, r->axis));
    kept->edges = fmax(edge_slope(r, r->source, r->luma), edge_slope(r, r->source, r->axis));
}

/* Fills the region's signals. */
static bool read_signals(region *r, const float *source, const float *picture, int width, int height, double mix[3],
                         kn_error *error) {
    size_t n = places_of(r);
    float *spare = kn_alloc(3 * n, sizeof *spare, error);
    double power = 0, total = 1e-9;
    if (!spare) return false;
    main_colour(r, source, width, height, mix, spare);
    kn_free(spare);
    project(r, source, width, height, mix, r->source);
    project(r, picture, width, height, LUMA, r->luma);
    project(r, picture, width, height, mix, r->axis);
    for (size_t i = 0; i < n; i++) {
        power += (double)(r->weights[i] * r->source[i] * r->source[i]);
        total += (double)r->weights[i];
    }
    r->power = power / total;
    return true;
}

bool kn_protect_measure(const float *source, const float *picture, int width, int height, const kn_track_box *box,
                        kn_protect_kept *kept, kn_error *error) {
    region r;
    double mix[3];
    *kept = (kn_protect_kept){NAN, NAN, false};
    bool ok =
        region_init(&r, box, width, height, error) && read_signals(&r, source, picture, width, height, mix, error);
    kept->measurable = ok && r.power > LEAST_SIGNAL;
    if (kept->measurable) judge(&r, kept);
    kn_free(r.weights);
    return ok;
}

/* --- restoring -------------------------------------------------------------------------------- */

/* How far the brightest and darkest channel of the region lie outside 0..1 once `change` is added. */
static void overshoot(const region *r, const float *picture, int width, int height, const float *change, double *above,
                      double *below) {
    size_t pixels = (size_t)width * (size_t)height;
    *above = *below = 0;
    for (size_t i = 0, n = places_of(r); i < n; i++) {
        size_t at = ((size_t)r->top + i / (size_t)r->width) * (size_t)width + (size_t)r->left + i % (size_t)r->width;
        for (size_t c = 0; c < 3 && r->weights[i] > 0.5f; c++) {
            double value = (double)(picture[c * pixels + at] + change[i]);
            *above = fmax(*above, value - 1);
            *below = fmax(*below, -value);
        }
    }
}

/* Adds `share` of the source's detail; where it would not fit, all of the region becomes darker or brighter. */
static void add(const region *r, float *picture, int width, int height, double share, float weight, float *change) {
    size_t pixels = (size_t)width * (size_t)height, n = places_of(r);
    double above, below;
    for (size_t i = 0; i < n; i++) change[i] = (float)share * r->source[i] * r->weights[i];
    overshoot(r, picture, width, height, change, &above, &below);
    double shift = above > 0 && below > 0 ? 0.5 * (below - above) : below - above;
    for (size_t i = 0; i < n; i++) {
        size_t at = ((size_t)r->top + i / (size_t)r->width) * (size_t)width + (size_t)r->left + i % (size_t)r->width;
        float by = weight * (change[i] + (float)shift * r->weights[i]);
        for (size_t c = 0; c < 3; c++) picture[c * pixels + at] = fminf(fmaxf(picture[c * pixels + at] + by, 0), 1);
    }
}

bool kn_protect_restore(const float *source, float *picture, int width, int height, const kn_track_box *box,
                        float weight, double contrast, double edges, kn_protect_kept *kept, float *blend,
                        kn_error *error) {
    region r;
    double mix[3];
    *kept = (kn_protect_kept){NAN, NAN, false};
    *blend = 0;
    bool ok = region_init(&r, box, width, height, error);
    float *change = ok ? kn_alloc(places_of(&r), sizeof *change, error) : NULL;
    ok = change && read_signals(&r, source, picture, width, height, mix, error);
    kept->measurable = ok && r.power > LEAST_SIGNAL;
    for (int round = 0; ok && kept->measurable; round++) {
        judge(&r, kept);
        double lacks = fmax(contrast - kept->contrast, edges - kept->edges);
        if (lacks < 0.01 || round == 4) break;
        add(&r, picture, width, height, lacks, weight, change);
        *blend += (float)lacks * weight;
        ok = read_signals(&r, source, picture, width, height, mix, error);
    }
    kn_free(change);
    kn_free(r.weights);
    return ok;
}

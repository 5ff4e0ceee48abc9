#include "pipelines/eval/measure.h"

#include "base/base.h"

#include <math.h>

#define OVERLAP_STEP 2     /* every second pixel along each axis */
#define OVERLAP_MINIMUM 20 /* points that a pair needs */
#define TRACK_PIXELS 60
#define TRACK_FRAMES 3

static kn_vec3 unproject(const kn_camera *c, double x, double y, double depth) {
    double v = (y - c->k[1][2]) / c->k[1][1], u = (x - c->k[0][2] - c->k[0][1] * v) / c->k[0][0];
    return (kn_vec3){u * depth, v * depth, depth};
}

/* Pixel coordinates of a point in the camera's axes; false behind it or outside the picture by more than half a
 * pixel. */
static bool project(const kn_camera *c, kn_vec3 p, double *x, double *y) {
    if (p.z < .05) return false;
    *y = c->k[1][1] * p.y / p.z + c->k[1][2];
    *x = (c->k[0][0] * p.x + c->k[0][1] * p.y) / p.z + c->k[0][2];
    return *x >= .5 && *y >= .5 && *x <= c->width - .5 && *y <= c->height - .5;
}

/* Bilinear value at (x, y), pixel centres at + 0.5. */
static void sample(const kn_camera *c, const uint8_t *rgb, double x, double y, double out[3]) {
    double fx = x - .5, fy = y - .5;
    int x0 = (int)fx, y0 = (int)fy, x1 = x0 + 1 < c->width ? x0 + 1 : x0, y1 = y0 + 1 < c->height ? y0 + 1 : y0;
    fx -= x0;
    fy -= y0;
    size_t w = (size_t)c->width;
    const uint8_t *p00 = rgb + 3 * ((size_t)y0 * w + (size_t)x0), *p01 = rgb + 3 * ((size_t)y0 * w + (size_t)x1);
    const uint8_t *p10 = rgb + 3 * ((size_t)y1 * w + (size_t)x0), *p11 = rgb + 3 * ((size_t)y1 * w + (size_t)x1);
    for (int i = 0; i < 3; i++)
        out[i] = ((p00[i] * (1 - fx) + p01[i] * fx) * (1 - fy) + (p10[i] * (1 - fx) + p11[i] * fx) * fy) / 255;
}

static size_t pixel_at(const kn_camera *c, double x, double y) {
    int px = (int)x, py = (int)y;
    if (px >= c->width) px = c->width - 1;
    if (py >= c->height) py = c->height - 1;
    return (size_t)py * (size_t)c->width + (size_t)px;
}

/* --- warp ------------------------------------------------------------------------------------- */

/* Was the surface seen now at pixel `i` visible before at (x, y)? */
static bool same_surface(const kn_view_facts *now, const kn_view_facts *before, const kn_pose *now_to_before, size_t i,
                         double x, double y) {
    const kn_camera *c = now->camera;
    size_t j = pixel_at(c, x, y);
    float d = now->depth[i], e = before->depth[j];
    if (isinf(d) || isinf(e)) return isinf(d) && isinf(e); /* sky to sky */
    if (now->instance[i] != before->instance[j]) return false;
    kn_vec3 p = kn_pose_point(
        now_to_before, unproject(c, (double)(i % (size_t)c->width) + .5, (double)(i / (size_t)c->width) + .5, d));
    double px, py;
    bool fixed = project(c, p, &px, &py) && hypot(px - x, py - y) < .5; /* it moved as the world does */
    return fixed ? fabs(e / p.z - 1) < .05 : fabs(e / d - 1) < .25;
}

void kn_measure_warp(kn_measure *m, const kn_view_facts *now, const kn_view_facts *before, const uint8_t *rgb_now,
                     const uint8_t *rgb_before) {
    const kn_camera *c = now->camera;
    size_t width = (size_t)c->width, count = width * (size_t)c->height;
    kn_pose world_to_before = kn_pose_inverse(&before->pose), relative = kn_pose_multiply(&world_to_before, &now->pose);
    m->seen_pixels += count;
    for (size_t i = 0; i < count; i++) {
        double x = (double)(i % width) + .5 - now->motion[i], y = (double)(i / width) + .5 - now->motion[count + i];
        if (!(x >= .5 && y >= .5 && x <= c->width - .5 && y <= c->height - .5)) continue;
        if (!same_surface(now, before, &relative, i, x, y)) continue;
        double value[3];
        sample(c, rgb_before, x, y, value);
        for (int k = 0; k < 3; k++) {
            double d = rgb_now[3 * i + (size_t)k] / 255.0 - value[k];
            m->warp_sum += d * d / 3;
        }
        m->warp_pixels++;
    }
}

/* --- overlap ---------------------------------------------------------------------------------- */

/* Sums over the points that two cameras share. */
typedef struct pair_sums {
    uint64_t count;
    double a[3], b[3], aa[3], bb[3], ab[3]; /* per channel */
    double la, lb, laa, lbb, lab;           /* brightness */
} pair_sums;

static void add_pair(pair_sums *s, const double a[3], const double b[3]) {
    s->count++;
    for (int k = 0; k < 3; k++) {
        s->aa[k] += a[k] * a[k];
        s->bb[k] += b[k] * b[k];
        s->ab[k] += a[k] * b[k];
    }
    double la = .2126 * a[0] + .7152 * a[1] + .0722 * a[2], lb = .2126 * b[0] + .7152 * b[1] + .0722 * b[2];
    s->la += la;
    s->lb += lb;
    s->laa += la * la;
    s->lbb += lb * lb;
    s->lab += la * lb;
}

/* Where b sees the surface point that pixel (x, y) of a shows. relative: a to b. */
static bool seen_by(const kn_view_facts *a, const kn_view_facts *b, const kn_pose *relative, int x, int y, double *bx,
                    double *by) {
    size_t i = (size_t)y * (size_t)a->camera->width + (size_t)x;
    if (isinf(a->depth[i])) return false;
    kn_vec3 p = kn_pose_point(relative, unproject(a->camera, x + .5, y + .5, a->depth[i]));
    if (!project(b->camera, p, bx, by)) return false;
    size_t j = pixel_at(b->camera, *bx, *by);
    return fabs(b->depth[j] / p.z - 1) < .03 && a->instance[i] == b->instance[j];
}

void kn_measure_overlap(kn_measure *m, const kn_view_facts *a, const kn_view_facts *b, const uint8_t *rgb_a,
                        const uint8_t *rgb_b) {
    kn_pose world_to_b = kn_pose_inverse(&b->pose), relative = kn_pose_multiply(&world_to_b, &a->pose);
    pair_sums s = {0};
    for (int y = 0; y < a->camera->height; y += OVERLAP_STEP)
        for (int x = 0; x < a->camera->width; x += OVERLAP_STEP) {
            double bx, by, va[3], vb[3];
            if (!seen_by(a, b, &relative, x, y, &bx, &by)) continue;
            sample(a->camera, rgb_a, x + .5, y + .5, va);
            sample(b->camera, rgb_b, bx, by, vb);
            add_pair(&s, va, vb);
        }
    if (s.count < OVERLAP_MINIMUM) return;
    double n = (double)s.count, saa = s.laa - s.la * s.la / n, sbb = s.lbb - s.lb * s.lb / n,
           sab = s.lab - s.la * s.lb / n;
    if (saa > 1e-9 * n && sbb > 1e-9 * n) {
        m->overlap_correlation_sum += sab / sqrt(saa * sbb);
        m->overlap_pairs++;
    }
    for (int k = 0; k < 3; k++) { /* min over g of sum (b - g a)^2 */
        double gain = s.aa[k] > 0 ? s.ab[k] / s.aa[k] : 1;
        m->overlap_square_sum += fmax(s.bb[k] - gain * s.ab[k], 0) / 3;
    }
    m->overlap_points += s.count;
}

/* --- time and appearance ------------------------------------------------------------------------ */

static double linear(double v) { return v <= .04045 ? v / 12.92 : pow((v + .055) / 1.055, 2.4); }

static void to_lab(const double rgb[3], double lab[3]);

/* Smoothed a little: what counts is the surface's colour, not where its grain lies. */
static void patch_lab(const kn_camera *camera, const uint8_t *rgb, double x, double y, double lab[3]) {
    double sum[3] = {0}, value[3];
    for (int k = 0; k < 9; k++) {
        double px = fmin(fmax(x + 2 * (k % 3 - 1), .5), camera->width - .5);
        double py = fmin(fmax(y + 2 * (k / 3 - 1), .5), camera->height - .5);
        sample(camera, rgb, px, py, value);
        for (int c = 0; c < 3; c++) sum[c] += linear(value[c]) / 9;
    }
    to_lab(sum, lab);
}

void kn_measure_last(kn_measure *m, const kn_view_facts *first, const kn_view_facts *last, const uint8_t *rgb_first,
                     const uint8_t *rgb_last) {
    kn_pose world_to_last = kn_pose_inverse(&last->pose), relative = kn_pose_multiply(&world_to_last, &first->pose);
    for (int y = 0; y < first->camera->height; y += OVERLAP_STEP)
        for (int x = 0; x < first->camera->width; x += OVERLAP_STEP) {
            double bx, by, a[3], b[3];
            if (!seen_by(first, last, &relative, x, y, &bx, &by)) continue;
            patch_lab(first->camera, rgb_first, x + .5, y + .5, a);
            patch_lab(last->camera, rgb_last, bx, by, b);
            for (int c = 0; c < 3; c++) m->last_sum += (a[c] - b[c]) * (a[c] - b[c]);
            m->last_points++;
        }
}

void kn_measure_variety(kn_measure *m, const kn_view_facts *view, const uint8_t *rgb, const uint8_t *other) {
    size_t count = (size_t)view->camera->width * (size_t)view->camera->height;
    for (size_t i = 0; i < count; i++) {
        uint8_t what = view->semantic[i];
        if (what != KN_SEMANTIC_BUILDING && what != KN_SEMANTIC_VEGETATION && what != KN_SEMANTIC_SKY) continue;
        for (size_t c = 0; c < 3; c++) {
            double d = (rgb[3 * i + c] - other[3 * i + c]) / 255.0;
            m->variety_sum += d * d / 3;
        }
        m->variety_pixels++;
    }
}

/* --- colour ----------------------------------------------------------------------------------- */

static double lab_curve(double t) { return t > 216.0 / 24389 ? cbrt(t) : (24389.0 / 27 * t + 16) / 116; }

/* Linear sRGB to CIELAB, white D65 (CIE 15; IEC 61966-2-1). */
static void to_lab(const double rgb[3], double lab[3]) {
    double x = .4124564 * rgb[0] + .3575761 * rgb[1] + .1804375 * rgb[2],
           y = .2126729 * rgb[0] + .7151522 * rgb[1] + .0721750 * rgb[2];
    double z = .0193339 * rgb[0] + .1191920 * rgb[1] + .9503041 * rgb[2];
    double fx = lab_curve(x / .95047), fy = lab_curve(y), fz = lab_curve(z / 1.08883);
    lab[0] = 116 * fy - 16;
    lab[1] = 500 * (fx - fy);
    lab[2] = 200 * (fy - fz);
}

typedef struct colour_sum {
    int instance;
    uint32_t count;
    double sum[3];
} colour_sum;

static bool add_colour(kn_measure *m, int camera, const colour_sum *c, kn_error *error) {
    double mean[3], lab[3];
    for (int k = 0; k < 3; k++) mean[k] = c->sum[k] / c->count;
    to_lab(mean, lab);
    kn_colour_track *track = NULL;
    for (size_t i = 0; i < m->track_count && !track; i++)
        if (m->tracks[i].camera == camera && m->tracks[i].instance == c->instance) track = &m->tracks[i];
    if (!track) {
        if (!kn_grow(&m->tracks, &m->track_capacity, m->track_count + 1, sizeof *m->tracks, error)) return false;
        track = &m->tracks[m->track_count++];
        *track = (kn_colour_track){.camera = camera, .instance = c->instance};
    }
    track->frames++;
    for (int k = 0; k < 3; k++) {
        track->sum[k] += lab[k];
        track->square += lab[k] * lab[k];
    }
    return true;
}

bool kn_measure_colours(kn_measure *m, const kn_view_facts *view, int camera, const uint8_t *rgb, kn_error *error) {
    size_t count = (size_t)view->camera->width * (size_t)view->camera->height, used = 0, capacity = 0;
    double curve[256];
    for (int i = 0; i < 256; i++) curve[i] = linear(i / 255.0);
    colour_sum *sums = NULL;
    bool ok = true;
    size_t last = 0;
    for (size_t i = 0; ok && i < count; i++) {
        int instance = view->instance[i];
        if (instance == 0) continue;
        if (!(last < used && sums[last].instance == instance))
            for (last = 0; last < used && sums[last].instance != instance;) last++;
        if (last == used) {
            ok = kn_grow(&sums, &capacity, used + 1, sizeof *sums, error);
            if (!ok) break;
            sums[used++] = (colour_sum){.instance = instance};
        }
        sums[last].count++;
        for (size_t k = 0; k < 3; k++) sums[last].sum[k] += curve[rgb[3 * i + k]];
    }
    for (size_t i = 0; ok && i < used; i++)
        if (sums[i].count >= TRACK_PIXELS) ok = add_colour(m, camera, &sums[i], error);
    kn_free(sums);
    return ok;
}

/* --- classes ---------------------------------------------------------------------------------- */

/* The groups of shaders/scene/shade.glsl's class_code. */
kn_segment kn_segment_of(kn_semantic semantic) {
    switch (semantic) {
    case KN_SEMANTIC_SKY: return KN_SEGMENT_SKY;
    case KN_SEMANTIC_ROAD:
    case KN_SEMANTIC_LANE_MARK: return KN_SEGMENT_ROAD;
    case KN_SEMANTIC_TERRAIN:
    case KN_SEMANTIC_VEGETATION: return KN_SEGMENT_NATURE;
    default:
        return semantic >= KN_SEMANTIC_CAR && semantic <= KN_SEMANTIC_PEDESTRIAN ? KN_SEGMENT_ROAD_USER
                                                                                 : KN_SEGMENT_BUILT;
    }
}

void kn_measure_classes(kn_measure *m, const kn_view_facts *view, const uint8_t *found) {
    size_t count = (size_t)view->camera->width * (size_t)view->camera->height;
    for (size_t i = 0; i < count; i++)
        if (found[i] < KN_SEGMENT_COUNT) m->confusion[kn_segment_of((kn_semantic)view->semantic[i])][found[i]]++;
}

/* Mean intersection over union of the classes that the scene shows; NAN when there is none. */
static double mean_iou(const kn_measure *m) {
    double sum = 0;
    int classes = 0;
    for (int k = 0; k < KN_SEGMENT_COUNT; k++) {
        uint64_t is = 0, found = 0;
        for (int i = 0; i < KN_SEGMENT_COUNT; i++) {
            is += m->confusion[k][i];
            found += m->confusion[i][k];
        }
        if (is == 0) continue;
        sum += (double)m->confusion[k][k] / (double)(is + found - m->confusion[k][k]);
        classes++;
    }
    return classes ? sum / classes : NAN;
}

/* --- detail and the whole --------------------------------------------------------------------- */

static double brightness(const uint8_t *p) { return (.2126 * p[0] + .7152 * p[1] + .0722 * p[2]) / 255; }

void kn_measure_detail(kn_measure *m, const kn_camera *camera, const uint8_t *rgb) {
    size_t w = (size_t)camera->width, h = (size_t)camera->height;
    for (size_t y = 1; y + 1 < h; y++)
        for (size_t x = 1; x + 1 < w; x++) {
            const uint8_t *p = rgb + 3 * (y * w + x);
            m->detail_sum += fabs(4 * brightness(p) - brightness(p - 3) - brightness(p + 3) - brightness(p - 3 * w) -
                                  brightness(p + 3 * w));
            m->detail_pixels++;
        }
}

/* The median of the Sampson errors, within its bin by the ranks there; NAN without matches. */
static double sampson_median(const kn_measure *m) {
    double rank = (double)m->matches / 2, before = 0;
    for (int i = 0; i < KN_SAMPSON_BINS; i++) {
        double here = (double)m->sampson[i];
        if (here > 0 && before + here >= rank) return (i + (rank - before) / here) * KN_SAMPSON_BIN;
        before += here;
    }
    return NAN;
}

static double ratio(double sum, uint64_t count) { return count ? sum / (double)count : NAN; }

kn_drive_score kn_measure_score(const kn_measure *m) {
    kn_drive_score score = {.warp_error = ratio(m->warp_sum, m->warp_pixels),
                            .warp_share = ratio((double)m->warp_pixels, m->seen_pixels),
                            .overlap_correlation = ratio(m->overlap_correlation_sum, m->overlap_pairs),
                            .overlap_error = sqrt(ratio(m->overlap_square_sum, m->overlap_points)),
                            .overlap_points = (size_t)m->overlap_points,
                            .detail = ratio(m->detail_sum, m->detail_pixels)};
    score.last_drift = sqrt(ratio(m->last_sum, m->last_points));
    score.variety = sqrt(ratio(m->variety_sum, m->variety_pixels));
    uint64_t close = 0;
    for (int i = 0; i < (int)(3 / KN_SAMPSON_BIN); i++) close += m->sampson[i];
    score.sampson = sampson_median(m);
    score.sampson_share = ratio((double)close, m->matches);
    score.matches = (size_t)m->matches;
    score.mean_iou = mean_iou(m);
    double square = 0, frames = 0;
    for (size_t i = 0; i < m->track_count; i++) {
        const kn_colour_track *t = &m->tracks[i];
        if (t->frames < TRACK_FRAMES) continue;
        double n = (double)t->frames, mean = 0;
        for (int k = 0; k < 3; k++) mean += t->sum[k] * t->sum[k] / n;
        square += fmax(t->square - mean, 0);
        frames += n;
        score.drift_tracks++;
    }
    score.colour_drift = frames > 0 ? sqrt(square / frames) : NAN;
    return score;
}

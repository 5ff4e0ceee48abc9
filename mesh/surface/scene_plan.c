/* Which pictures of a scene are compared, and between which depths. */
#include "mesh/surface/scene.h"

#include <stdlib.h>
#include <string.h>

static int ascending(const void *a, const void *b) {
    const double *p = a, *q = b;
    return *p < *q ? -1 : *p > *q;
}

/* How useful an angle between two rays is, degrees (as Yao et al. 2018 weigh them): best at 8, less when wider. */
static double usefulness(double angle) {
    double off = angle - 8;
    return exp(-off * off / (2 * (off < 0 ? 3 * 3 : 14 * 14)));
}

static double angle_at(const double p[3], const double a[3], const double b[3]) {
    double ab = 0, aa = 0, bb = 0;
    for (int i = 0; i < 3; i++)
        ab += (a[i] - p[i]) * (b[i] - p[i]), aa += (a[i] - p[i]) * (a[i] - p[i]), bb += (b[i] - p[i]) * (b[i] - p[i]);
    return acos(fmin(fmax(ab / sqrt(aa * bb), -1), 1)) * 180 / M_PI;
}

/* scores[a][b]: points that both see, by the usefulness of their angle there; points in the region count most. */
static void rate_pairs(double *scores, const kn_cloud *cloud, const kn_region *region, const kn_eyes *eyes) {
    for (size_t i = 0; i < cloud->count; i++) {
        double weight = kn_region_distance(region, cloud->points[i]) < 0 ? 1 : 0.15;
        for (size_t k = cloud->first[i]; k < cloud->first[i + 1]; k++)
            for (size_t l = k + 1; l < cloud->first[i + 1]; l++) {
                size_t a = cloud->seen[k], b = cloud->seen[l];
                double s =
                    weight * usefulness(angle_at(cloud->points[i], eyes->items[a].center, eyes->items[b].center));
                scores[a * eyes->count + b] += s, scores[b * eyes->count + a] += s;
            }
    }
}

/* Eyes without common points may still see the region alike: a little for a useful angle at its middle. */
static void rate_places(double *scores, const kn_region *region, const kn_eyes *eyes) {
    double low[3], high[3], middle[3];
    kn_region_bounds(region, low, high);
    for (int i = 0; i < 3; i++) middle[i] = (low[i] + high[i]) / 2;
    for (size_t a = 0; a < eyes->count; a++)
        for (size_t b = 0; b < eyes->count; b++) {
            double angle = angle_at(middle, eyes->items[a].center, eyes->items[b].center);
            if (a != b && angle < 90) scores[a * eyes->count + b] += 0.01 * (90 - angle) / 90 + usefulness(angle);
        }
}

static void choose_sources(kn_scan_view *view, double *scores, size_t count) {
    view->count = 0;
    while (view->count < KN_MAX_NEIGHBOURS) {
        size_t best = 0;
        for (size_t i = 1; i < count; i++)
            if (scores[i] > scores[best]) best = i;
        if (!(scores[best] > 0)) return;
        scores[best] = 0;
        view->sources[view->count++] = (int32_t)best;
    }
}

/* Depths of the points that the eye sees and of the region's. */
static void set_range(kn_scan_view *view, size_t e, const kn_cloud *cloud, const kn_region *region, const kn_eye *eye,
                      double *depths) {
    size_t count = 0;
    double pixel[2], depth, low[3], high[3], near = 1e30, far = 0;
    for (size_t i = 0; i < cloud->count; i++)
        for (size_t k = cloud->first[i]; k < cloud->first[i + 1]; k++)
            if (cloud->seen[k] == e && kn_eye_project(eye, cloud->points[i], pixel, &depth)) depths[count++] = depth;
    qsort(depths, count, sizeof *depths, ascending);
    if (count >= 10) near = 0.8 * depths[count / 50], far = 1.4 * depths[count - 1 - count / 50];
    kn_region_bounds(region, low, high);
    for (int c = 0; c < 1000; c++) {
        double p[3] = {low[0] + (high[0] - low[0]) * (c % 10) / 9, low[1] + (high[1] - low[1]) * (c / 10 % 10) / 9,
                       low[2] + (high[2] - low[2]) * (c / 100) / 9};
        if (kn_region_distance(region, p) > 0 || !kn_eye_project(eye, p, pixel, &depth)) continue;
        near = fmin(near, 0.9 * depth), far = fmax(far, 1.1 * depth);
    }
    double away =
        sqrt(eye->center[0] * eye->center[0] + eye->center[1] * eye->center[1] + eye->center[2] * eye->center[2]);
    view->far = far > 0 ? far : 3 * away;
    view->near = fmax(fmin(near, 0.9 * view->far), 0.04 * view->far);
}

bool kn_scan_plan(kn_scan_view *views, const kn_cloud *cloud, const kn_region *region, const kn_eyes *eyes,
                  kn_error *error) {
    double *scores = kn_alloc(eyes->count * eyes->count, sizeof *scores, error),
           *depths = kn_alloc(cloud->first[cloud->count] + 1, sizeof *depths, error);
    bool ok = scores && depths;
    if (ok) rate_pairs(scores, cloud, region, eyes), rate_places(scores, region, eyes);
    for (size_t e = 0; ok && e < eyes->count; e++) {
        choose_sources(&views[e], scores + e * eyes->count, eyes->count);
        set_range(&views[e], e, cloud, region, &eyes->items[e], depths);
    }
    kn_free(scores), kn_free(depths);
    return ok;
}

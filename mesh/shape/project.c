/* Cameras of drawings, and rays through a sample. */
#include "mesh/shape/shape.h"

#include <math.h>

double kn_shape_value(const kn_shape_class *kind, const int size[3], const float *slices, const double point[3]) {
    int base[3];
    double f[3], sum = 0;
    for (int i = 0; i < 3; i++) {
        double at = fmin(fmax(kn_shape_cell(kind, size, i, point[i]), 0), size[i] - 1);
        base[i] = (int)at < size[i] - 2 ? (int)at : size[i] - 2;
        f[i] = at - base[i];
    }
    for (int c = 0; c < 8; c++) {
        double w = (c & 1 ? f[0] : 1 - f[0]) * (c & 2 ? f[1] : 1 - f[1]) * (c & 4 ? f[2] : 1 - f[2]);
        sum += w * (double)slices[kn_shape_index(size, base[0] + (c & 1), base[1] + (c >> 1 & 1), base[2] + (c >> 2))];
    }
    return sum;
}

void kn_shape_mean_box(const kn_shape_class *kind, const double lengths[3], double box[6]) {
    const double *l = lengths ? lengths : kind->mean;
    box[0] = -l[0] / 2, box[1] = -l[1] / 2, box[2] = 0;
    box[3] = l[0] / 2, box[4] = l[1] / 2, box[5] = l[2];
}

bool kn_shape_bounds(const kn_shape_class *kind, const int size[3], const float *slices, double box[6]) {
    for (int i = 0; i < 3; i++) box[i] = 1e30, box[3 + i] = -1e30;
    double unit = 3 * kn_shape_mean_cell(kind, size);
    for (int y = 0; y < size[1]; y++)
        for (int z = 0; z < size[2]; z++)
            for (int x = 0; x < size[0]; x++) {
                double d = unit * (double)slices[kn_shape_index(size, x, y, z)];
                if (d >= 0) continue;
                const int cell[3] = {x, y, z};
                for (int i = 0; i < 3; i++) { /* the surface lies about -d further out */
                    double at = kn_shape_at(kind, size, i, cell[i]), out = fmin(-d, kind->frame[i] / size[i]);
                    box[i] = fmin(box[i], at - out), box[3 + i] = fmax(box[3 + i], at + out);
                }
            }
    if (box[3] < box[0]) return false;
    box[2] = fmax(box[2], 0);
    return true;
}

/* --- cameras ---------------------------------------------------------------------------------- */

static void corner_box(const kn_eye *eye, const double box[6], double seen[4]) {
    seen[0] = seen[1] = 1e30, seen[2] = seen[3] = -1e30;
    for (int c = 0; c < 8; c++) {
        const double p[3] = {box[c & 1 ? 3 : 0], box[c & 2 ? 4 : 1], box[c & 4 ? 5 : 2]};
        double pixel[2], depth;
        kn_eye_project(eye, p, pixel, &depth);
        for (int i = 0; i < 2; i++) seen[i] = fmin(seen[i], pixel[i]), seen[2 + i] = fmax(seen[2 + i], pixel[i]);
    }
}

static void stand(kn_eye *eye, const double middle[3], const double away[3], double distance) {
    for (int i = 0; i < 3; i++) eye->center[i] = middle[i] + distance * away[i];
    for (int i = 0; i < 3; i++)
        eye->t[i] = -(eye->r[i][0] * eye->center[0] + eye->r[i][1] * eye->center[1] + eye->r[i][2] * eye->center[2]);
}

void kn_shape_eye(kn_eye *eye, const double box[6], const kn_drawing_pose *drawing) {
    double a = drawing->view.azimuth, e = drawing->view.elevation, seen[4];
    const double away[3] = {cos(e) * cos(a), cos(e) * sin(a), sin(e)},
                 middle[3] = {(box[0] + box[3]) / 2, (box[1] + box[4]) / 2, (box[2] + box[5]) / 2},
                 right[3] = {-sin(a), cos(a), 0}, down[3] = {sin(e) * cos(a), sin(e) * sin(a), -cos(e)};
    *eye = (kn_eye){.width = KN_DRAWING_SIZE, .height = KN_DRAWING_SIZE};
    eye->fx = eye->fy = KN_DRAWING_SIZE / 2.0 / tan(15 * M_PI / 180);
    eye->cx = eye->cy = KN_DRAWING_SIZE / 2.0;
    for (int i = 0; i < 3; i++) eye->r[0][i] = right[i], eye->r[1][i] = down[i], eye->r[2][i] = -away[i];
    const double *b = drawing->drawing->box;
    double wanted = sqrt((b[2] - b[0]) * (b[3] - b[1]));
    double radius = sqrt(pow(box[3] - box[0], 2) + pow(box[4] - box[1], 2) + pow(box[5] - box[2], 2)) / 2;
    double low = log(1.05 * radius), high = log(200 * radius);
    for (int i = 0; i < 60; i++) { /* the nearer, the larger */
        stand(eye, middle, away, exp((low + high) / 2));
        corner_box(eye, box, seen);
        if (sqrt((seen[2] - seen[0]) * (seen[3] - seen[1])) > wanted) low = (low + high) / 2;
        else high = (low + high) / 2;
    }
    eye->cx += (b[0] + b[2]) / 2 - (seen[0] + seen[2]) / 2;
    eye->cy += (b[1] + b[3]) / 2 - (seen[1] + seen[3]) / 2;
}

/* --- rays ------------------------------------------------------------------------------------- */

/* Where a ray runs through the frame; false: nowhere. */
static bool clip_ray(const kn_shape_class *kind, const double from[3], const double along[3], double range[2]) {
    range[0] = 0, range[1] = 1e30;
    for (int i = 0; i < 3; i++) {
        double extent = kind->frame[i], low = i == 2 ? -0.02 * extent : -extent / 2, high = low + extent;
        if (fabs(along[i]) < 1e-12) {
            if (from[i] < low || from[i] > high) return false;
            continue;
        }
        double a = (low - from[i]) / along[i], b = (high - from[i]) / along[i];
        range[0] = fmax(range[0], fmin(a, b)), range[1] = fmin(range[1], fmax(a, b));
    }
    return range[0] < range[1];
}

void kn_shape_march(const kn_shape_class *kind, const int size[3], const float *slices, const kn_eye *eye, int side,
                    float *low, float *points) {
    double unit = 3 * kn_shape_mean_cell(kind, size), step = kn_shape_mean_cell(kind, size) * 0.75,
           scale = (double)eye->width / side;
    for (int i = 0; i < side * side; i++) {
        double u = ((i % side + 0.5) * scale - eye->cx) / eye->fx, v = ((i / side + 0.5) * scale - eye->cy) / eye->fy,
               along[3], length = sqrt(u * u + v * v + 1), range[2], best[3] = {0};
        for (int k = 0; k < 3; k++) along[k] = (u * eye->r[0][k] + v * eye->r[1][k] + eye->r[2][k]) / length;
        low[i] = 1e9f;
        if (!clip_ray(kind, eye->center, along, range)) continue;
        for (double t = range[0] + step / 2; t < range[1]; t += step) {
            double p[3];
            for (int k = 0; k < 3; k++) p[k] = eye->center[k] + t * along[k];
            double d = unit * kn_shape_value(kind, size, slices, p);
            if (p[2] < 0) d = fmax(d, -p[2]); /* nothing stands below the ground */
            if (d >= (double)low[i]) continue;
            low[i] = (float)d;
            for (int k = 0; k < 3; k++) best[k] = p[k];
        }
        for (int k = 0; points && k < 3; k++) points[3 * i + k] = (float)best[k];
    }
}

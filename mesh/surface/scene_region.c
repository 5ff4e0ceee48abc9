/* Where in a scene the object is. */
#include "mesh/surface/scene.h"

#include <stdlib.h>
#include <string.h>

#define TRIALS 3000
#define THIN 0.04  /* of the object's size: how far points may lie from the plane that it stands on */
#define SLICE 0.05 /* of the object's radius: thickness of what is kept below that plane */
#define MARGIN 1.3

static double dot(const double a[3], const double b[3]) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }

static int ascending(const void *a, const void *b) {
    const double *p = a, *q = b;
    return *p < *q ? -1 : *p > *q;
}

/* The value below which `share` of the values lie; sorts them. */
static double quantile(double *values, size_t count, double share) {
    if (count == 0) return 0;
    qsort(values, count, sizeof *values, ascending);
    return values[(size_t)fmin(share * (double)count, (double)(count - 1))];
}

/* Two axes across `up`. */
static void set_axes(kn_region *r, const double up[3]) {
    const double x[3] = {fabs(up[0]) < 0.8 ? 1 : 0, fabs(up[0]) < 0.8 ? 0 : 1, 0};
    double along = dot(x, up), length = 0;
    memcpy(r->axes[2], up, sizeof r->axes[2]);
    for (int i = 0; i < 3; i++) r->axes[0][i] = x[i] - along * up[i], length += r->axes[0][i] * r->axes[0][i];
    for (int i = 0; i < 3; i++) r->axes[0][i] /= sqrt(length);
    const double *u = r->axes[2], *v = r->axes[0];
    r->axes[1][0] = u[1] * v[2] - u[2] * v[1], r->axes[1][1] = u[2] * v[0] - u[0] * v[2],
    r->axes[1][2] = u[0] * v[1] - u[1] * v[0];
}

/* --- what most eyes look at ------------------------------------------------------------------- */

typedef struct finder {
    const kn_cloud *cloud;
    const kn_eyes *eyes;
    double *share;          /* [count] of the eyes in whose picture the point lies */
    double *scratch;        /* [count] */
    bool *central;          /* [count] */
    double middle[3], size; /* of the central points: median, and median distance from it */
    double plane[4];        /* normal towards the eyes, and where it lies along that */
} finder;

static void find_shares(finder *f) {
    for (size_t i = 0; i < f->cloud->count; i++) {
        size_t n = 0;
        for (size_t e = 0; e < f->eyes->count; e++) {
            const kn_eye *eye = &f->eyes->items[e];
            double pixel[2], depth;
            n += kn_eye_project(eye, f->cloud->points[i], pixel, &depth) && pixel[0] >= 0 && pixel[1] >= 0 &&
                 pixel[0] < eye->width && pixel[1] < eye->height;
        }
        f->share[i] = (double)n / (double)f->eyes->count;
    }
}

static void find_middle(finder *f) {
    size_t n = f->cloud->count;
    memcpy(f->scratch, f->share, n * sizeof *f->scratch);
    double limit = 0.65 * quantile(f->scratch, n, 0.95);
    for (size_t i = 0; i < n; i++) f->central[i] = f->share[i] >= limit;
    for (int pass = 0; pass < 2; pass++) {
        size_t count = 0;
        for (int k = 0; k < 3; k++) {
            count = 0;
            for (size_t i = 0; i < n; i++)
                if (f->central[i]) f->scratch[count++] = f->cloud->points[i][k];
            f->middle[k] = quantile(f->scratch, count, 0.5);
        }
        for (size_t i = 0, at = 0; i < n; i++) {
            const double *p = f->cloud->points[i];
            if (f->central[i])
                f->scratch[at++] =
                    sqrt(pow(p[0] - f->middle[0], 2) + pow(p[1] - f->middle[1], 2) + pow(p[2] - f->middle[2], 2));
        }
        f->size = quantile(f->scratch, count, 0.5);
        for (size_t i = 0; i < n; i++) {
            const double *p = f->cloud->points[i];
            if (pow(p[0] - f->middle[0], 2) + pow(p[1] - f->middle[1], 2) + pow(p[2] - f->middle[2], 2) >
                pow(4 * f->size, 2))
                f->central[i] = false;
        }
    }
}

/* --- what the object stands on ---------------------------------------------------------------- */

static bool is_near(const finder *f, size_t i) {
    const double *p = f->cloud->points[i];
    return pow(p[0] - f->middle[0], 2) + pow(p[1] - f->middle[1], 2) + pow(p[2] - f->middle[2], 2) <
           pow(8 * f->size, 2);
}

/* The plane through three points, towards the eyes; false when it is none or an eye lies behind it. */
static bool plane_of(const finder *f, const double *a, const double *b, const double *c, double plane[4]) {
    double u[3], v[3], length = 0, above = 0;
    for (int i = 0; i < 3; i++) u[i] = b[i] - a[i], v[i] = c[i] - a[i];
    const double n[3] = {u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]};
    length = sqrt(dot(n, n));
    if (!(length > 0.05 * f->size * f->size)) return false;
    for (int i = 0; i < 3; i++) plane[i] = n[i] / length;
    plane[3] = dot(plane, a);
    for (size_t e = 0; e < f->eyes->count; e++) above += dot(plane, f->eyes->items[e].center) > plane[3] ? 1 : 0;
    if (above < 0.5 * (double)f->eyes->count)
        for (int i = 0; i < 4; i++) plane[i] = -plane[i];
    above = fmax(above, (double)f->eyes->count - above);
    return above >= 0.95 * (double)f->eyes->count;
}

/* Points near the plane, less those behind it. */
static double rate_plane(const finder *f, const double plane[4], size_t *on, size_t *behind) {
    double thin = THIN * f->size;
    *on = *behind = 0;
    for (size_t i = 0; i < f->cloud->count; i++) {
        if (!is_near(f, i)) continue;
        double d = dot(plane, f->cloud->points[i]) - plane[3];
        *on += fabs(d) < thin, *behind += d < -2.5 * thin;
    }
    return (double)*on - 2.0 * (double)*behind;
}

/* Least squares of height over the axes, twice. */
static void refine_plane(const finder *f, double plane[4]) {
    for (int pass = 0; pass < 3; pass++) {
        kn_region r;
        double a[3][4] = {{0}};
        set_axes(&r, plane);
        for (size_t i = 0; i < f->cloud->count; i++) {
            const double *p = f->cloud->points[i], h = dot(plane, p) - plane[3];
            if (!is_near(f, i) || fabs(h) > THIN * f->size) continue;
            const double x[3] = {dot(r.axes[0], p), dot(r.axes[1], p), 1};
            for (int j = 0; j < 3; j++) {
                for (int k = 0; k < 3; k++) a[j][k] += x[j] * x[k];
                a[j][3] += x[j] * h;
            }
        }
        for (int i = 0; i < 3; i++) {
            if (!(fabs(a[i][i]) > 1e-12)) return;
            for (int k = 0; k < 3; k++) {
                double s = k == i ? 0 : a[k][i] / a[i][i];
                for (int j = i; j < 4; j++) a[k][j] -= s * a[i][j];
            }
        }
        double u = a[0][3] / a[0][0], v = a[1][3] / a[1][1], w = a[2][3] / a[2][2], length = sqrt(1 + u * u + v * v);
        for (int i = 0; i < 3; i++) plane[i] = (r.axes[2][i] - u * r.axes[0][i] - v * r.axes[1][i]) / length;
        plane[3] = (plane[3] + w) / length;
    }
}

static bool find_support(finder *f, const kn_log *log) {
    size_t n = f->cloud->count, on, behind, best_on = 0, best_behind = 0, near = 0;
    double best = 0;
    for (size_t i = 0; i < n; i++) near += is_near(f, i);
    for (uint64_t trial = 0; trial < TRIALS; trial++) {
        double plane[4];
        size_t a = kn_hash64(3 * trial) % n, b = kn_hash64(3 * trial + 1) % n, c = kn_hash64(3 * trial + 2) % n;
        if (!is_near(f, a) || !is_near(f, b) || !is_near(f, c)) continue;
        if (!plane_of(f, f->cloud->points[a], f->cloud->points[b], f->cloud->points[c], plane)) continue;
        double score = rate_plane(f, plane, &on, &behind);
        if (score > best) best = score, best_on = on, best_behind = behind, memcpy(f->plane, plane, sizeof plane);
    }
    bool found = best_on > near / 16 && best_on >= 20 && best_behind < near / 12;
    kn_log_line(log, KN_LOG_DEBUG, "of %zu points around the middle %zu lie on the largest plane and %zu behind it: %s",
                near, best_on, best_behind, found ? "the object stands on it" : "no support");
    if (found) refine_plane(f, f->plane);
    return found;
}

/* --- the region ------------------------------------------------------------------------------- */

enum { CELLS = 64 };

/* Where a point lies on a map of the ground around the middle; false beyond it. */
static bool cell_of(const kn_region *r, const finder *f, const double p[3], int *cell) {
    int at[2];
    for (int k = 0; k < 2; k++)
        at[k] = (int)floor((dot(r->axes[k], p) - dot(r->axes[k], f->middle)) / (0.2 * f->size)) + CELLS / 2;
    *cell = at[1] * CELLS + at[0];
    return at[0] >= 0 && at[1] >= 0 && at[0] < CELLS && at[1] < CELLS;
}

/* Of things that stand apart only the largest is kept, unless it is less than a third. */
static void keep_one(const kn_region *r, const finder *f, bool *use) {
    int map[CELLS * CELLS] = {0}, stack[CELLS * CELLS], cell;
    uint8_t group[CELLS * CELLS] = {0};
    size_t total = 0, best = 0;
    int best_group = 0, groups = 0;
    for (size_t i = 0; i < f->cloud->count; i++)
        if (use[i]) total++, map[cell_of(r, f, f->cloud->points[i], &cell) ? cell : 0]++;
    int least = 1 + (int)(total / 1500);
    for (int seed = 0; seed < CELLS * CELLS && groups < 255; seed++) {
        if (group[seed] || map[seed] < least) continue;
        int top = 0;
        size_t sum = 0;
        stack[top++] = seed, group[seed] = (uint8_t)++groups;
        while (top) {
            int at = stack[--top];
            sum += (size_t)map[at];
            for (int k = 0; k < 9; k++) {
                int x = at % CELLS + k % 3 - 1, y = at / CELLS + k / 3 - 1, next = y * CELLS + x;
                if (x < 0 || y < 0 || x >= CELLS || y >= CELLS || group[next] || map[next] < least) continue;
                group[next] = (uint8_t)groups, stack[top++] = next;
            }
        }
        if (sum > best) best = sum, best_group = groups;
    }
    if (best * 3 < total) return;
    for (size_t i = 0; i < f->cloud->count; i++)
        if (use[i]) use[i] = cell_of(r, f, f->cloud->points[i], &cell) && group[cell] == best_group;
}

/* Turns axes 0 and 1 to the directions in which the points spread most and least. */
static void turn_axes(kn_region *r, const finder *f, const bool *use) {
    double m[2] = {0}, c[3] = {0}, n = 0;
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < f->cloud->count; i++) {
            if (!use[i]) continue;
            double u = dot(r->axes[0], f->cloud->points[i]), v = dot(r->axes[1], f->cloud->points[i]);
            if (pass == 0) m[0] += u, m[1] += v, n++;
            else
                c[0] += (u - m[0] / n) * (u - m[0] / n), c[1] += (u - m[0] / n) * (v - m[1] / n),
                    c[2] += (v - m[1] / n) * (v - m[1] / n);
        }
    double angle = 0.5 * atan2(2 * c[1], c[0] - c[2]), s = sin(angle), k = cos(angle);
    for (int i = 0; i < 3; i++) {
        double x = r->axes[0][i], y = r->axes[1][i];
        r->axes[0][i] = k * x + s * y, r->axes[1][i] = k * y - s * x;
    }
}

/* Range of the used points along an axis, without the outermost share. */
static void range_of(const finder *f, const bool *use, const double axis[3], double share, double *low, double *high) {
    size_t n = 0;
    for (size_t i = 0; i < f->cloud->count; i++)
        if (use[i]) f->scratch[n++] = dot(axis, f->cloud->points[i]);
    *low = quantile(f->scratch, n, share), *high = quantile(f->scratch, n, 1 - share);
}

static void set_region(kn_region *r, const finder *f, bool *use) {
    double low, high, middle[2];
    turn_axes(r, f, use);
    memset(r->center, 0, sizeof r->center);
    for (int k = 0; k < 2; k++) {
        range_of(f, use, r->axes[k], 0.01, &low, &high);
        middle[k] = (low + high) / 2;
        for (int i = 0; i < 3; i++) r->center[i] += middle[k] * r->axes[k][i];
    }
    /* The ellipse of this shape that holds almost all points. */
    double half[2] = {0};
    for (int k = 0; k < 2; k++) range_of(f, use, r->axes[k], 0.01, &low, &high), half[k] = fmax((high - low) / 2, 1e-6);
    size_t n = 0;
    for (size_t i = 0; i < f->cloud->count; i++)
        if (use[i])
            f->scratch[n++] = hypot((dot(r->axes[0], f->cloud->points[i]) - middle[0]) / half[0],
                                    (dot(r->axes[1], f->cloud->points[i]) - middle[1]) / half[1]);
    double grow = MARGIN * quantile(f->scratch, n, 0.985);
    for (int k = 0; k < 2; k++) r->radius[k] = half[k] * grow;
    double least = 0.5 * fmax(r->radius[0], r->radius[1]);
    for (int k = 0; k < 2; k++) r->radius[k] = fmax(r->radius[k], least);
    range_of(f, use, r->axes[2], 0.004, &low, &high);
    r->bottom = r->has_ground ? r->ground[3] - SLICE * fmax(r->radius[0], r->radius[1]) : low - 0.1 * (high - low);
    r->top = high + 0.15 * (high - (r->has_ground ? r->ground[3] : low));
}

bool kn_region_find(kn_region *region, const kn_cloud *cloud, const kn_eyes *eyes, const kn_log *log, kn_error *error) {
    finder f = {.cloud = cloud,
                .eyes = eyes,
                .share = kn_alloc(cloud->count, sizeof(double), error),
                .scratch = kn_alloc(cloud->count, sizeof(double), error),
                .central = kn_alloc(cloud->count, sizeof(bool), error)};
    bool *use = kn_alloc(cloud->count, sizeof *use, error), ok = f.share && f.scratch && f.central && use;
    *region = (kn_region){0};
    if (ok) {
        find_shares(&f);
        find_middle(&f);
        region->has_ground = find_support(&f, log);
        set_axes(region, region->has_ground ? f.plane : (const double[3]){0, 0, 1});
        memcpy(region->ground, f.plane, sizeof f.plane);
        size_t above = 0, central = 0;
        for (size_t i = 0; i < cloud->count; i++) {
            central += f.central[i];
            use[i] = f.central[i] && (!region->has_ground ||
                                      dot(region->ground, cloud->points[i]) - region->ground[3] > 3 * THIN * f.size);
            above += use[i];
        }
        if (region->has_ground && above < central / 8)
            memcpy(use, f.central, cloud->count * sizeof *use); /* a relief */
        else if (region->has_ground) keep_one(region, &f, use);
        set_region(region, &f, use);
        kn_log_line(log, KN_LOG_DEBUG,
                    "%zu points in the middle, %zu of them on the object; region %.3f x %.3f, from %.3f to %.3f",
                    central, above, 2 * region->radius[0], 2 * region->radius[1], region->bottom, region->top);
    }
    kn_free(f.share), kn_free(f.scratch), kn_free(f.central), kn_free(use);
    return ok;
}

void kn_region_set_box(kn_region *region, const double box[6], const kn_eyes *eyes) {
    const double(*m)[4] = eyes->from_input;
    double scale = sqrt(m[0][0] * m[0][0] + m[0][1] * m[0][1] + m[0][2] * m[0][2]);
    region->box = true;
    for (int a = 0; a < 3; a++) {
        for (int i = 0; i < 3; i++) region->axes[a][i] = m[i][a] / scale;
    }
    double middle[3];
    for (int i = 0; i < 3; i++) {
        middle[i] = m[i][3];
        for (int j = 0; j < 3; j++) middle[i] += m[i][j] * (box[j] + box[3 + j]) / 2;
    }
    double along = dot(region->axes[2], middle), half = scale * (box[5] - box[2]) / 2;
    for (int i = 0; i < 3; i++) region->center[i] = middle[i] - along * region->axes[2][i];
    for (int k = 0; k < 2; k++) region->radius[k] = scale * (box[3 + k] - box[k]) / 2;
    region->bottom = along - half, region->top = along + half;
}

void kn_region_get_box(const kn_region *r, double box[6], const kn_eyes *eyes) {
    const double(*m)[4] = eyes->from_input;
    double scale2 = m[0][0] * m[0][0] + m[0][1] * m[0][1] + m[0][2] * m[0][2];
    for (int k = 0; k < 3; k++) box[k] = 1e300, box[3 + k] = -1e300;
    for (int c = 0; c < 8; c++) {
        double p[3];
        for (int i = 0; i < 3; i++) {
            p[i] = r->center[i] + (c & 4 ? r->top : r->bottom) * r->axes[2][i] - m[i][3];
            for (int k = 0; k < 2; k++) p[i] += (c >> k & 1 ? 1 : -1) * r->radius[k] * r->axes[k][i];
        }
        for (int k = 0; k < 3; k++) {
            double v = (m[0][k] * p[0] + m[1][k] * p[1] + m[2][k] * p[2]) / scale2;
            box[k] = fmin(box[k], v), box[3 + k] = fmax(box[3 + k], v);
        }
    }
}

double kn_region_distance_sides(const kn_region *r, const double p[3]) {
    double q[2], along = dot(r->axes[2], p) - r->top;
    for (int k = 0; k < 2; k++) q[k] = dot(r->axes[k], p) - dot(r->axes[k], r->center);
    if (r->box) return fmax(along, fmax(fabs(q[0]) - r->radius[0], fabs(q[1]) - r->radius[1]));
    double k0 = hypot(q[0] / r->radius[0], q[1] / r->radius[1]);
    double k1 = hypot(q[0] / (r->radius[0] * r->radius[0]), q[1] / (r->radius[1] * r->radius[1]));
    return fmax(along, k1 > 1e-9 ? k0 * (k0 - 1) / k1 : -fmin(r->radius[0], r->radius[1]));
}

double kn_region_distance(const kn_region *r, const double p[3]) {
    return fmax(r->bottom - dot(r->axes[2], p), kn_region_distance_sides(r, p));
}

void kn_region_bounds(const kn_region *r, double low[3], double high[3]) {
    for (int i = 0; i < 3; i++) {
        double side = r->box ? fabs(r->radius[0] * r->axes[0][i]) + fabs(r->radius[1] * r->axes[1][i])
                             : hypot(r->radius[0] * r->axes[0][i], r->radius[1] * r->axes[1][i]);
        double a = r->bottom * r->axes[2][i], b = r->top * r->axes[2][i];
        low[i] = r->center[i] - side + fmin(a, b), high[i] = r->center[i] + side + fmax(a, b);
    }
    /* center has no part along axes[2] */
}

void kn_region_turn(kn_region *r, const double turn[3][3]) {
    double old[5][3];
    memcpy(old, r->axes, sizeof r->axes), memcpy(old[3], r->center, sizeof r->center),
        memcpy(old[4], r->ground, sizeof old[4]);
    for (int i = 0; i < 3; i++) {
        for (int a = 0; a < 3; a++) r->axes[a][i] = dot(turn[i], old[a]);
        r->center[i] = dot(turn[i], old[3]), r->ground[i] = dot(turn[i], old[4]);
    }
}

void kn_region_move(kn_region *r, const double center[3], double scale) {
    double along = dot(r->axes[2], center);
    for (int i = 0; i < 3; i++) r->center[i] = scale * (r->center[i] - (center[i] - along * r->axes[2][i]));
    for (int k = 0; k < 2; k++) r->radius[k] *= scale;
    r->bottom = scale * (r->bottom - along), r->top = scale * (r->top - along);
    r->ground[3] = scale * (r->ground[3] - dot(r->ground, center));
}

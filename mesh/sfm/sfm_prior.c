/* The orbit as prior knowledge: cameras that turn evenly around an axis tell where the missing ones are. */
#include "mesh/sfm/sfm.h"

#include <string.h>

#define REACH 4    /* frames beyond the nearest known ones up to which a place is predicted */
#define SLACK 0.05 /* of the radius: how far a camera may be from its prediction */

/* A circle: centre + radius (cos(azimuth) x + sin(azimuth) y). */
typedef struct circle {
    kn_vec3 center, x, y, axis;
    double radius, residual; /* residual: mean distance from the circle, in radii */
} circle;

static kn_vec3 center_of(const kn_sfm *sfm, size_t view) {
    double c[3];
    kn_sfm_center(&sfm->poses[view], c);
    return (kn_vec3){c[0], c[1], c[2]};
}

/* The circle through known views [first, last]: the plane of least squares, in it Kasa's fit (1976). */
static bool fit(const kn_sfm *sfm, size_t first, size_t last, circle *out) {
    kn_vec3 mean = {0, 0, 0};
    double count = 0, m[9] = {0}, values[3], v[9], a[3][3] = {{0}}, b[3] = {0}, s[3];
    for (size_t i = first; i <= last; i++)
        if (sfm->known[i]) mean = kn_vec3_add(mean, center_of(sfm, i)), count++;
    if (count < 4) return false;
    mean = kn_vec3_scale(mean, 1 / count);
    for (size_t i = first; i <= last; i++) {
        if (!sfm->known[i]) continue;
        kn_vec3 d = kn_vec3_sub(center_of(sfm, i), mean);
        const double p[3] = {d.x, d.y, d.z};
        for (int r = 0; r < 3; r++)
            for (int k = 0; k < 3; k++) m[r * 3 + k] += p[r] * p[k];
    }
    kn_eigen(3, m, values, v);
    *out = (circle){.axis = {v[0], v[1], v[2]}, .x = {v[6], v[7], v[8]}};
    out->y = kn_vec3_cross(out->axis, out->x);
    for (size_t i = first; i <= last; i++) {
        if (!sfm->known[i]) continue;
        kn_vec3 d = kn_vec3_sub(center_of(sfm, i), mean);
        const double row[3] = {2 * kn_vec3_dot(d, out->x), 2 * kn_vec3_dot(d, out->y), 1},
                     square = (row[0] * row[0] + row[1] * row[1]) / 4;
        for (int r = 0; r < 3; r++) {
            b[r] += row[r] * square;
            for (int k = 0; k < 3; k++) a[r][k] += row[r] * row[k];
        }
    }
    if (!kn_solve3((const double(*)[3])a, b, s) || !(s[2] + s[0] * s[0] + s[1] * s[1] > 0)) return false;
    out->radius = sqrt(s[2] + s[0] * s[0] + s[1] * s[1]);
    out->center = kn_vec3_add(mean, kn_vec3_add(kn_vec3_scale(out->x, s[0]), kn_vec3_scale(out->y, s[1])));
    for (size_t i = first; i <= last; i++) {
        if (!sfm->known[i]) continue;
        kn_vec3 d = kn_vec3_sub(center_of(sfm, i), out->center);
        out->residual += (fabs(hypot(kn_vec3_dot(d, out->x), kn_vec3_dot(d, out->y)) - out->radius) +
                          fabs(kn_vec3_dot(d, out->axis))) /
                         (out->radius * count);
    }
    return out->residual < SLACK;
}

static double azimuth(const circle *c, const kn_sfm *sfm, size_t view) {
    kn_vec3 d = kn_vec3_sub(center_of(sfm, view), c->center);
    return atan2(kn_vec3_dot(d, c->y), kn_vec3_dot(d, c->x));
}

/* The pose of `near` turned around the circle's axis by `angle`. */
static void turn_pose(const kn_sfm *sfm, const circle *c, size_t near, double angle, kn_sfm_pose *pose) {
    const double w[3] = {c->axis.x * angle, c->axis.y * angle, c->axis.z * angle};
    kn_vec3 d = kn_vec3_sub(center_of(sfm, near), c->center);
    double turn[3][3], from[3] = {d.x, d.y, d.z}, to[3], t[3];
    kn_rotation_exp(w, turn);
    kn_mul3((const double(*)[3])turn, from, to);
    const double center[3] = {c->center.x + to[0], c->center.y + to[1], c->center.z + to[2]};
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            pose->r[i][j] = sfm->poses[near].r[i][0] * turn[j][0] + sfm->poses[near].r[i][1] * turn[j][1] +
                            sfm->poses[near].r[i][2] * turn[j][2];
    kn_mul3((const double(*)[3])pose->r, center, t);
    for (int i = 0; i < 3; i++) pose->t[i] = -t[i];
}

/* Where the orbit puts an unknown view: the frames around it tell the circle and the step a frame. */
static bool predict(const kn_sfm *sfm, size_t view, kn_sfm_pose *pose, double *radius) {
    size_t first = view > 10 ? view - 10 : 0, last = kn_min_size(view + 10, sfm->view_count - 1), near = SIZE_MAX,
           other = SIZE_MAX;
    circle c;
    if (!fit(sfm, first, last, &c)) return false;
    for (size_t i = first; i <= last; i++) { /* the two nearest known ones */
        size_t away = i > view ? i - view : view - i;
        if (!sfm->known[i]) continue;
        if (near == SIZE_MAX || away < (near > view ? near - view : view - near)) other = near, near = i;
        else if (other == SIZE_MAX || away < (other > view ? other - view : view - other)) other = i;
    }
    if (other == SIZE_MAX || (near > view ? near - view : view - near) > REACH) return false;
    double step = kn_wrap_angle(azimuth(&c, sfm, other) - azimuth(&c, sfm, near)) / ((double)other - (double)near);
    if (fabs(step) < 1e-4 || fabs(step) > 0.7) return false;
    turn_pose(sfm, &c, near, step * ((double)view - (double)near), pose);
    *radius = c.radius;
    return true;
}

/* A pair with a known view whose relative rotation agrees with a predicted pose. */
static bool agrees(const kn_sfm *sfm, size_t view, const kn_sfm_pose *pose) {
    for (size_t i = 0; i < sfm->pair_count; i++) {
        const kn_pair *p = &sfm->pairs[i];
        bool second = p->b == view;
        if ((!second && p->a != view) || !sfm->known[second ? p->a : p->b]) continue;
        const kn_sfm_pose *from = second ? &sfm->poses[p->a] : pose, *to = second ? pose : &sfm->poses[p->b];
        double between[3][3], rest[3][3], w[3];
        for (int r = 0; r < 3; r++)
            for (int k = 0; k < 3; k++)
                between[r][k] = to->r[r][0] * from->r[k][0] + to->r[r][1] * from->r[k][1] + to->r[r][2] * from->r[k][2];
        for (int r = 0; r < 3; r++)
            for (int k = 0; k < 3; k++)
                rest[r][k] = between[r][0] * p->geometry.r[k][0] + between[r][1] * p->geometry.r[k][1] +
                             between[r][2] * p->geometry.r[k][2];
        kn_rotation_log((const double(*)[3])rest, w);
        if (w[0] * w[0] + w[1] * w[1] + w[2] * w[2] < 0.2 * 0.2) return true;
    }
    return false;
}

bool kn_sfm_place_by_orbit(kn_sfm *sfm, size_t *placed, kn_error *error) {
    *placed = 0;
    if (!sfm->priors && !(sfm->priors = kn_alloc(sfm->view_count, sizeof *sfm->priors, error))) return false;
    for (size_t v = 0; v < sfm->view_count; v++) {
        kn_sfm_pose pose;
        double radius;
        if (sfm->known[v] || !predict(sfm, v, &pose, &radius) || !agrees(sfm, v, &pose)) continue;
        sfm->poses[v] = pose, sfm->known[v] = true, (*placed)++;
        kn_sfm_center(&pose, sfm->priors[v].center);
        sfm->priors[v].weight = sfm->unit * sfm->unit / (SLACK * SLACK * radius * radius);
    }
    return true;
}

/* Is it an orbit? Checks on matches and cameras, and the frame in which the cameras are given. */
#include "mesh/sfm/sfm.h"

#include <stdlib.h>
#include <string.h>

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Median of values[count], which are sorted. */
static double median(double *values, size_t count) {
    if (count == 0) return 0;
    qsort(values, count, sizeof *values, ascending);
    return values[count / 2];
}

/* How far features of a pair moved in the picture: the median, in units. */
static double motion_of(const kn_sfm *sfm, const kn_pair *pair, double *room) {
    for (size_t m = 0; m < pair->count; m++) {
        const float *p = sfm->features[pair->a].xy + 2 * pair->matches[m].a,
                    *q = sfm->features[pair->b].xy + 2 * pair->matches[m].b;
        room[m] = hypot(p[0] - q[0], p[1] - q[1]) / sfm->unit;
    }
    return median(room, pair->count);
}

bool kn_sfm_check_matches(const kn_sfm *sfm, kn_error *error) {
    size_t most = 1, features = 0;
    for (size_t v = 0; v < sfm->view_count; v++) features += sfm->features[v].count;
    if (features < 20 * sfm->view_count)
        return kn_fail(error, KN_ERROR_INPUT,
                       "the pictures show too little detail to find cameras: %zu features a picture, expected at least "
                       "20; give --cameras",
                       features / sfm->view_count);
    if (sfm->pair_count == 0)
        return kn_fail(error, KN_ERROR_INPUT,
                       "no two pictures show the same things: expected an orbit around one object");
    for (size_t i = 0; i < sfm->pair_count; i++) most = kn_max_size(most, sfm->pairs[i].count);
    double *room = kn_alloc(kn_max_size(most, sfm->pair_count), sizeof *room, error), largest = 0;
    if (!room) return false;
    for (size_t i = 0; i < sfm->pair_count; i++) largest = fmax(largest, motion_of(sfm, &sfm->pairs[i], room));
    kn_free(room);
    if (largest < 2)
        return kn_fail(
            error, KN_ERROR_INPUT,
            "the camera stands still: nothing moves by more than %.1f pixels; expected an orbit around the object",
            largest * sfm->unit);
    return true;
}

bool kn_sfm_check_pairs(const kn_sfm *sfm, size_t matched, kn_error *error) {
    size_t clear = 0, turning = 0;
    for (size_t i = 0; i < sfm->pair_count; i++)
        turning += sfm->pairs[i].geometry.rotation_only > 0.85, clear += sfm->pairs[i].geometry.angle > 0.03;
    if (sfm->pair_count * 4 < matched || sfm->pair_count + 2 < sfm->view_count)
        return kn_fail(
            error, KN_ERROR_INPUT,
            "only %zu of %zu pairs of alike pictures show one rigid scene: does something move while the camera does?",
            sfm->pair_count, matched);
    if (turning * 10 > sfm->pair_count * 9 || clear == 0)
        return kn_fail(error, KN_ERROR_INPUT,
                       "the camera turns but does not move: nearer and farther things shift alike; expected an orbit "
                       "around the object");
    return true;
}

/* The point nearest to the cameras' viewing rays; false when they are nearly parallel. */
static bool focus_of(const kn_sfm *sfm, double focus[3]) {
    double a[3][3] = {{0}}, b[3] = {0}, values[3], vectors[9], copy[9], count = 0;
    for (size_t v = 0; v < sfm->view_count; v++) {
        double c[3];
        if (!sfm->known[v]) continue;
        const double *d = sfm->poses[v].r[2];
        kn_sfm_center(&sfm->poses[v], c);
        count++;
        for (int i = 0; i < 3; i++)
            for (int j = 0; j < 3; j++) a[i][j] += (i == j) - d[i] * d[j], b[i] += ((i == j) - d[i] * d[j]) * c[j];
    }
    memcpy(copy, a, sizeof copy);
    kn_eigen(3, copy, values, vectors);
    return values[0] > 2e-3 * count && kn_solve3((const double(*)[3])a, b, focus);
}

/* Where the cameras look and from how far on average; refuses what does not go around anything. */
static bool check_orbit(const kn_sfm *sfm, double focus[3], double *distance, kn_error *error) {
    if (!focus_of(sfm, focus))
        return kn_fail(error, KN_ERROR_INPUT,
                       "the cameras all look in one direction: expected an orbit around the object");
    size_t before = 0, known = 0;
    double widest = 0;
    kn_vec3 first = {0, 0, 0};
    *distance = 0;
    for (size_t v = 0; v < sfm->view_count; v++) {
        double c[3], depth = 0, to[3];
        if (!sfm->known[v]) continue;
        kn_sfm_center(&sfm->poses[v], c);
        for (int k = 0; k < 3; k++) to[k] = c[k] - focus[k], depth -= sfm->poses[v].r[2][k] * to[k];
        kn_vec3 direction = {to[0], to[1], to[2]};
        *distance += kn_vec3_length(direction);
        direction = kn_vec3_normalize(direction);
        if (!known) first = direction;
        widest = fmax(widest, acos(fmin(1, fmax(-1, kn_vec3_dot(first, direction)))));
        before += depth > 0, known++;
    }
    *distance /= (double)known;
    if (before * 10 < known * 9)
        return kn_fail(error, KN_ERROR_INPUT,
                       "the cameras look outwards or past each other: expected an orbit around the object");
    if (widest < 10 * M_PI / 180)
        return kn_fail(error, KN_ERROR_INPUT,
                       "the camera goes only %.0f degrees around the object: expected at least 10",
                       widest * 180 / M_PI);
    return true;
}

/* Turns, shifts and scales the world. */
static void move_world(kn_sfm *sfm, const double r[3][3], const double center[3], double scale) {
    for (size_t v = 0; v < sfm->view_count; v++) {
        kn_sfm_pose *p = &sfm->poses[v];
        double c[3], turned[3][3], moved[3];
        kn_sfm_center(p, c);
        for (int i = 0; i < 3; i++)
            for (int j = 0; j < 3; j++)
                turned[i][j] = p->r[i][0] * r[j][0] + p->r[i][1] * r[j][1] + p->r[i][2] * r[j][2];
        for (int k = 0; k < 3; k++) c[k] = scale * (c[k] - center[k]);
        kn_mul3(r, c, moved);
        memcpy(p->r, turned, sizeof turned);
        kn_mul3((const double(*)[3])turned, moved, p->t);
        for (int k = 0; k < 3; k++) p->t[k] = -p->t[k];
    }
    for (size_t t = 0; t < sfm->track_count; t++) {
        double *x = sfm->tracks[t].point, moved[3];
        for (int k = 0; k < 3; k++) moved[k] = scale * (x[k] - center[k]);
        kn_mul3(r, moved, x);
    }
}

bool kn_sfm_normalise(kn_sfm *sfm, kn_error *error) {
    double focus[3], distance = 1;
    kn_vec3 up = {0, 0, 0};
    size_t known = kn_sfm_known(sfm);
    if (known < 3 || known * 2 < sfm->view_count)
        return kn_fail(error, KN_ERROR_INPUT,
                       "only %zu of %zu pictures fit together: expected an orbit around one object that does not move, "
                       "with neighbouring pictures less than about 25 degrees apart",
                       known, sfm->view_count);
    if (!check_orbit(sfm, focus, &distance, error)) return false;
    for (size_t v = 0; v < sfm->view_count; v++)
        if (sfm->known[v])
            up = kn_vec3_sub(up, (kn_vec3){sfm->poses[v].r[1][0], sfm->poses[v].r[1][1], sfm->poses[v].r[1][2]});
    up = kn_vec3_length(up) > 0 ? kn_vec3_normalize(up) : (kn_vec3){0, 0, 1};
    kn_vec3 x = kn_vec3_normalize(kn_vec3_cross(fabs(up.x) < 0.8 ? (kn_vec3){1, 0, 0} : (kn_vec3){0, 1, 0}, up)),
            y = kn_vec3_cross(up, x);
    const double axes[3][3] = {{x.x, x.y, x.z}, {y.x, y.y, y.z}, {up.x, up.y, up.z}};
    move_world(sfm, axes, focus, 1 / distance);
    return true;
}

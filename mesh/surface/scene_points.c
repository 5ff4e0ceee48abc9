/* Sparse points of a scene whose cameras are known. */
#include "mesh/surface/scene.h"
#include "mesh/sfm/sfm.h"

#include <string.h>

#define FEATURE_SIZE 800
#define MAX_FEATURES 2500
#define LIMIT 2.5 /* pixels (at 1000 pixels) up to which a match agrees with the poses */
#define LEAST_MATCHES 8
#define LEAST_POINTS 60

void kn_cloud_finish(kn_cloud *cloud) {
    kn_free(cloud->points), kn_free(cloud->first), kn_free(cloud->seen);
    *cloud = (kn_cloud){0};
}

static void sfm_finish(kn_sfm *sfm) {
    kn_sfm_tracks_finish(sfm);
    for (size_t v = 0; sfm->features && v < sfm->view_count; v++) kn_features_finish(&sfm->features[v]);
    for (size_t i = 0; i < sfm->pair_count; i++) kn_free(sfm->pairs[i].matches);
    kn_free(sfm->features), kn_free(sfm->pairs), kn_free(sfm->poses), kn_free(sfm->known);
}

/* Features of one eye, as one lens for all eyes would show them. */
static bool find_features(kn_sfm *sfm, const kn_eye *eye, size_t e, kn_error *error) {
    kn_image picture = {.width = eye->width, .height = eye->height, .channels = 3, .data = eye->rgb};
    kn_features *f = &sfm->features[e];
    if (!kn_features_find(f, &picture, FEATURE_SIZE, MAX_FEATURES, error)) return false;
    for (size_t i = 0; i < f->count; i++) {
        f->xy[2 * i] = (float)((f->xy[2 * i] - eye->cx) / eye->fx * sfm->lens.f + sfm->lens.cx);
        f->xy[2 * i + 1] = (float)((f->xy[2 * i + 1] - eye->cy) / eye->fy * sfm->lens.f + sfm->lens.cy);
    }
    memcpy(sfm->poses[e].r, eye->r, sizeof eye->r), memcpy(sfm->poses[e].t, eye->t, sizeof eye->t);
    sfm->known[e] = true;
    return true;
}

/* b = r * a + t between two eyes as an essential matrix. */
static void essential(const kn_sfm_pose *a, const kn_sfm_pose *b, double e[3][3]) {
    double r[3][3], t[3], m[3];
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            r[i][j] = b->r[i][0] * a->r[j][0] + b->r[i][1] * a->r[j][1] + b->r[i][2] * a->r[j][2];
    kn_mul3(r, a->t, m);
    for (int i = 0; i < 3; i++) t[i] = b->t[i] - m[i];
    double length = sqrt(t[0] * t[0] + t[1] * t[1] + t[2] * t[2]);
    for (int i = 0; i < 3; i++) t[i] /= length > 0 ? length : 1;
    const double cross[3][3] = {{0, -t[2], t[1]}, {t[2], 0, -t[0]}, {-t[1], t[0], 0}};
    kn_mul33(cross, (const double(*)[3])r, e);
}

/* Keeps the matches near their epipolar lines, and the pairs that keep enough. */
static void verify(kn_sfm *sfm) {
    size_t kept = 0;
    double limit = LIMIT * sfm->unit / sfm->lens.f;
    for (size_t i = 0; i < sfm->pair_count; i++) {
        kn_pair pair = sfm->pairs[i];
        size_t count = 0;
        double e[3][3];
        essential(&sfm->poses[pair.a], &sfm->poses[pair.b], e);
        for (size_t m = 0; m < pair.count; m++) {
            const float *p = sfm->features[pair.a].xy + 2 * pair.matches[m].a,
                        *q = sfm->features[pair.b].xy + 2 * pair.matches[m].b;
            const double a[2] = {(p[0] - sfm->lens.cx) / sfm->lens.f, (p[1] - sfm->lens.cy) / sfm->lens.f};
            const double b[2] = {(q[0] - sfm->lens.cx) / sfm->lens.f, (q[1] - sfm->lens.cy) / sfm->lens.f};
            if (kn_epipolar_error((const double(*)[3])e, a, b) < limit * limit) pair.matches[count++] = pair.matches[m];
        }
        pair.count = count;
        if (count < LEAST_MATCHES) kn_free(pair.matches);
        else sfm->pairs[kept++] = pair;
    }
    sfm->pair_count = kept;
}

/* Solved tracks; those of two views only when there are few others. */
static bool collect(kn_cloud *cloud, const kn_sfm *sfm, kn_error *error) {
    size_t firm = 0, least = 2;
    for (size_t t = 0; t < sfm->track_count; t++) {
        size_t good = 0;
        for (size_t i = 0; i < sfm->tracks[t].count; i++) good += sfm->good[sfm->tracks[t].first + i];
        firm += sfm->tracks[t].solved && good >= 3;
    }
    if (firm >= 1500) least = 3;
    cloud->points = kn_alloc(sfm->track_count + 1, sizeof *cloud->points, error);
    cloud->first = kn_alloc(sfm->track_count + 2, sizeof *cloud->first, error);
    cloud->seen = kn_alloc(sfm->observation_count + 1, sizeof *cloud->seen, error);
    if (!cloud->points || !cloud->first || !cloud->seen) return false;
    for (size_t t = 0, at = 0; t < sfm->track_count; t++) {
        const kn_track *track = &sfm->tracks[t];
        size_t begin = at;
        for (size_t i = track->first; track->solved && i < track->first + track->count; i++)
            if (sfm->good[i]) cloud->seen[at++] = sfm->observations[i].view;
        if (at - begin < least) {
            at = begin;
            continue;
        }
        memcpy(cloud->points[cloud->count++], track->point, sizeof *cloud->points);
        cloud->first[cloud->count] = at;
    }
    return true;
}

bool kn_cloud_find(kn_cloud *cloud, const kn_eyes *eyes, const kn_log *log, kn_error *error) {
    kn_find_params none = {.log = *log};
    const kn_eye *one = &eyes->items[0];
    double focal = 0, size = fmax(one->width, one->height);
    *cloud = (kn_cloud){0};
    for (size_t e = 0; e < eyes->count; e++) focal += eyes->items[e].fx / (double)eyes->count;
    kn_sfm sfm = {.view_count = eyes->count,
                  .width = one->width,
                  .height = one->height,
                  .params = &none,
                  .log = *log,
                  .unit = fmax(1, size / 1000),
                  .lens = {.f = focal, .cx = one->width / 2.0, .cy = one->height / 2.0}};
    bool ok = (sfm.features = kn_alloc(eyes->count, sizeof *sfm.features, error)) &&
              (sfm.poses = kn_alloc(eyes->count, sizeof *sfm.poses, error)) &&
              (sfm.known = kn_alloc(eyes->count, sizeof *sfm.known, error));
    for (size_t e = 0; ok && e < eyes->count; e++) ok = find_features(&sfm, &eyes->items[e], e, error);
    ok = ok && kn_sfm_match(&sfm, error);
    if (ok) verify(&sfm);
    ok = ok && kn_sfm_tracks(&sfm, error);
    if (ok) kn_sfm_solve_points(&sfm, LIMIT);
    ok = ok && collect(cloud, &sfm, error);
    sfm_finish(&sfm);
    if (ok) kn_log_line(log, KN_LOG_DEBUG, "%zu sparse points", cloud->count);
    if (ok && cloud->count < LEAST_POINTS)
        ok = kn_fail(error, KN_ERROR_INPUT,
                     "only %zu points of the scene were found in several pictures: do the cameras belong to these "
                     "pictures? without masks a scene "
                     "needs sharp, textured pictures that overlap",
                     cloud->count);
    if (!ok) kn_cloud_finish(cloud);
    return ok;
}

/* Incremental reconstruction: a first pair, then picture after picture. */
#include "mesh/sfm/sfm.h"

#include <stdlib.h>
#include <string.h>

#define LIMIT 4.0       /* units of reprojection error up to which an observation agrees */
#define MIN_ANGLE 0.026 /* radians between rays of a point */
#define MAX_SEEDS 8     /* first pairs that are tried */

size_t kn_sfm_known(const kn_sfm *sfm) {
    size_t count = 0;
    for (size_t v = 0; v < sfm->view_count; v++) count += sfm->known[v];
    return count;
}

static double squared_error(const kn_sfm *sfm, const kn_observation *o, const double point[3]) {
    double at[2];
    if (!kn_sfm_project(&sfm->lens, &sfm->poses[o->view], point, at)) return 1e30;
    return (at[0] - o->pixel[0]) * (at[0] - o->pixel[0]) + (at[1] - o->pixel[1]) * (at[1] - o->pixel[1]);
}

double kn_sfm_error(const kn_sfm *sfm, size_t *count) {
    double sum = 0;
    *count = 0;
    for (size_t i = 0; i < sfm->observation_count; i++) {
        const kn_observation *o = &sfm->observations[i];
        if (!sfm->good[i] || !sfm->known[o->view] || !sfm->tracks[o->point].solved) continue;
        sum += sqrt(squared_error(sfm, o, sfm->tracks[o->point].point)), (*count)++;
    }
    return *count ? sum / (double)*count : 0;
}

/* --- points ----------------------------------------------------------------------------------- */

typedef struct rays {
    const kn_sfm_pose *poses[64];
    double normal[64][2];
    size_t observation[64], count;
} rays;

static void gather(const kn_sfm *sfm, const kn_track *track, rays *r) {
    r->count = 0;
    for (size_t i = track->first; i < track->first + track->count && r->count < KN_COUNT(r->poses); i++) {
        const kn_observation *o = &sfm->observations[i];
        if (!sfm->known[o->view]) continue;
        kn_lens_undistort(&sfm->lens, o->pixel, r->normal[r->count]);
        r->poses[r->count] = &sfm->poses[o->view], r->observation[r->count++] = i;
    }
}

/* Marks the observations that agree with a point and counts them. */
static size_t agree(kn_sfm *sfm, const kn_track *track, const double point[3], double limit, bool mark) {
    size_t count = 0;
    for (size_t i = track->first; i < track->first + track->count; i++) {
        const kn_observation *o = &sfm->observations[i];
        bool in = sfm->known[o->view] && squared_error(sfm, o, point) < limit * limit;
        if (mark) sfm->good[i] = in;
        count += in;
    }
    return count;
}

/* All rays; where they do not agree, the pair of rays that most others agree with. */
static void solve_track(kn_sfm *sfm, kn_track *track, double limit) {
    rays r;
    double best[3], point[3];
    size_t most = 0;
    gather(sfm, track, &r);
    track->solved = false;
    for (size_t i = track->first; i < track->first + track->count; i++) sfm->good[i] = false;
    if (r.count < 2) return;
    if (kn_triangulate(point, r.poses, (const double(*)[2])r.normal, r.count, MIN_ANGLE))
        most = agree(sfm, track, point, limit, false), memcpy(best, point, sizeof best);
    for (size_t trial = 0, pairs = r.count * (r.count - 1) / 2;
         most < r.count && r.count > 2 && trial < kn_min_size(pairs, 24); trial++) {
        size_t a = kn_hash64(track->first * 64 + trial) % r.count,
               b = (a + 1 + kn_hash64(trial + 977) % (r.count - 1)) % r.count;
        const kn_sfm_pose *poses[2] = {r.poses[a], r.poses[b]};
        const double normal[2][2] = {{r.normal[a][0], r.normal[a][1]}, {r.normal[b][0], r.normal[b][1]}};
        if (!kn_triangulate(point, poses, normal, 2, MIN_ANGLE)) continue;
        size_t count = agree(sfm, track, point, limit, false);
        if (count > most) most = count, memcpy(best, point, sizeof best);
    }
    if (most < 2) return;
    agree(sfm, track, best, limit, true);
    size_t kept = 0;
    for (size_t i = 0; i < r.count; i++) {
        if (!sfm->good[r.observation[i]]) continue;
        r.poses[kept] = r.poses[i], memcpy(r.normal[kept], r.normal[i], sizeof r.normal[kept]), kept++;
    }
    if (kept < 2 || !kn_triangulate(point, r.poses, (const double(*)[2])r.normal, kept, MIN_ANGLE)) return;
    track->solved = agree(sfm, track, point, limit, true) >= 2;
    memcpy(track->point, point, sizeof point);
}

void kn_sfm_solve_points(kn_sfm *sfm, double limit) {
    for (size_t t = 0; t < sfm->track_count; t++) solve_track(sfm, &sfm->tracks[t], limit * sfm->unit);
}

/* After a bundle adjustment: points keep their place, observations are judged anew. */
static void filter(kn_sfm *sfm, double limit) {
    for (size_t t = 0; t < sfm->track_count; t++) {
        kn_track *track = &sfm->tracks[t];
        if (!track->solved || agree(sfm, track, track->point, limit * sfm->unit, true) < 2)
            solve_track(sfm, track, limit * sfm->unit);
    }
}

/* --- bundle ----------------------------------------------------------------------------------- */

static void lens_priors(const kn_sfm *sfm, kn_bundle *b) {
    double size = fmax(sfm->width, sfm->height), sigma2 = sfm->unit * sfm->unit;
    const double values[KN_LENS_NUMBERS] = {sfm->lens.f, 0, 0, sfm->width / 2.0, sfm->height / 2.0, 0, 0};
    const double widths[KN_LENS_NUMBERS] = {0.5 * size, 0.2, 0.4, 0.01 * size, 0.01 * size, 0.003, 0.003};
    for (int k = 0; k < KN_LENS_NUMBERS; k++)
        b->lens_prior[k] = (kn_lens_prior){values[k], sigma2 / (widths[k] * widths[k])};
}

bool kn_sfm_bundle(kn_sfm *sfm, unsigned free, int iterations, kn_error *error) {
    size_t points = 0, count = 0;
    double(*place)[3] = kn_alloc(sfm->track_count + 1, sizeof *place, error);
    uint32_t *track_of = kn_alloc(sfm->track_count + 1, sizeof *track_of, error);
    kn_observation *used = kn_alloc(sfm->observation_count + 1, sizeof *used, error);
    bool ok = place && track_of && used;
    for (size_t t = 0; ok && t < sfm->track_count; t++) {
        const kn_track *track = &sfm->tracks[t];
        if (!track->solved) continue;
        for (size_t i = track->first; i < track->first + track->count; i++) {
            if (!sfm->good[i]) continue;
            used[count] = sfm->observations[i];
            used[count++].point = (uint32_t)points;
        }
        memcpy(place[points], track->point, sizeof place[points]);
        track_of[points++] = (uint32_t)t;
    }
    kn_bundle b = {.lens = &sfm->lens,
                   .poses = sfm->poses,
                   .view_count = sfm->view_count,
                   .points = place,
                   .point_count = points,
                   .observations = used,
                   .count = count,
                   .priors = sfm->priors,
                   .free = free,
                   .loss = sfm->unit,
                   .iterations = iterations};
    lens_priors(sfm, &b);
    if (sfm->focal_given) b.lens_prior[0].weight = 0; /* a start, not a wish */
    ok = ok && kn_bundle_run(&b, NULL, error);
    for (size_t p = 0; ok && p < points; p++) memcpy(sfm->tracks[track_of[p]].point, place[p], sizeof place[p]);
    kn_free(place), kn_free(track_of), kn_free(used);
    return ok;
}

/* What of the lens so many views determine. */
static unsigned free_of(size_t known) {
    unsigned free = 0;
    if (known >= 4) free |= KN_FREE_FOCAL;
    if (known >= 8) free |= KN_FREE_K1;
    if (known >= 12) free |= KN_FREE_K2;
    return free;
}

/* --- growth ----------------------------------------------------------------------------------- */

static int by_worth(const void *a, const void *b) {
    const double *p = a, *q = b;
    if (p[0] != q[0]) return p[0] < q[0] ? 1 : -1;
    return (p[1] > q[1]) - (p[1] < q[1]);
}

/* Starts from a pair; the number of its points. */
static size_t start(kn_sfm *sfm, const kn_pair *pair) {
    memset(sfm->known, 0, sfm->view_count * sizeof *sfm->known);
    sfm->known[pair->a] = sfm->known[pair->b] = true;
    sfm->poses[pair->a] = (kn_sfm_pose){.r = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}};
    memcpy(sfm->poses[pair->b].r, pair->geometry.r, sizeof pair->geometry.r);
    memcpy(sfm->poses[pair->b].t, pair->geometry.t, sizeof pair->geometry.t);
    kn_sfm_solve_points(sfm, LIMIT);
    size_t solved = 0;
    for (size_t t = 0; t < sfm->track_count; t++) solved += sfm->tracks[t].solved;
    return solved;
}

typedef struct grower {
    kn_sfm *sfm;
    size_t *first;  /* [view_count + 1] where a view's observations start */
    uint32_t *list; /* [observation_count] observations by view */
    double (*points)[3], (*pixels)[2];
    uint32_t *which;
    bool *inlier; /* these four: [most observations of a view] */
} grower;

static void grower_finish(grower *g) {
    kn_free(g->first), kn_free(g->list), kn_free(g->points), kn_free(g->pixels), kn_free(g->which), kn_free(g->inlier);
}

static bool grower_init(grower *g, kn_sfm *sfm, kn_error *error) {
    *g = (grower){.sfm = sfm};
    bool ok = (g->first = kn_alloc(sfm->view_count + 2, sizeof *g->first, error)) &&
              (g->list = kn_alloc(sfm->observation_count + 1, sizeof *g->list, error));
    size_t most = 0;
    for (size_t i = 0; ok && i < sfm->observation_count; i++) g->first[sfm->observations[i].view + 2]++;
    for (size_t v = 0; ok && v < sfm->view_count; v++)
        most = kn_max_size(most, g->first[v + 2]), g->first[v + 2] += g->first[v + 1];
    for (size_t i = 0; ok && i < sfm->observation_count; i++)
        g->list[g->first[sfm->observations[i].view + 1]++] = (uint32_t)i;
    ok = ok && (g->points = kn_alloc(most + 1, sizeof *g->points, error)) &&
         (g->pixels = kn_alloc(most + 1, sizeof *g->pixels, error)) &&
         (g->which = kn_alloc(most + 1, sizeof *g->which, error)) &&
         (g->inlier = kn_alloc(most + 1, sizeof *g->inlier, error));
    if (!ok) grower_finish(g);
    return ok;
}

/* Points with a place that the view sees. */
static size_t seen_points(grower *g, size_t view) {
    size_t count = 0;
    for (size_t k = g->first[view]; k < g->first[view + 1]; k++) {
        const kn_observation *o = &g->sfm->observations[g->list[k]];
        if (!g->sfm->tracks[o->point].solved) continue;
        memcpy(g->points[count], g->sfm->tracks[o->point].point, sizeof *g->points);
        memcpy(g->pixels[count], o->pixel, sizeof *g->pixels);
        g->which[count++] = g->list[k];
    }
    return count;
}

/* Finds a view's pose and adds what it sees. */
static bool add_view(grower *g, size_t view, size_t needed) {
    kn_sfm *sfm = g->sfm;
    size_t count = seen_points(g, view);
    if (count < needed) return false;
    size_t inliers =
        kn_resect(&sfm->poses[view], &sfm->lens, (const double(*)[3])g->points, (const double(*)[2])g->pixels, count,
                  1.5 * LIMIT * sfm->unit, view * 7919 + count, g->inlier);
    if (inliers < needed || (double)inliers < 0.2 * (double)count) return false;
    sfm->known[view] = true;
    for (size_t k = g->first[view]; k < g->first[view + 1]; k++) {
        size_t index = g->list[k];
        kn_track *track = &sfm->tracks[sfm->observations[index].point];
        if (!track->solved) solve_track(sfm, track, LIMIT * sfm->unit);
        else
            sfm->good[index] =
                squared_error(sfm, &sfm->observations[index], track->point) < LIMIT * LIMIT * sfm->unit * sfm->unit;
    }
    return true;
}

/* The unknown view that sees most points and that has not failed since the last bundle adjustment. */
static size_t next_view(grower *g, const bool *failed, size_t needed) {
    size_t best = g->sfm->view_count, most = needed - 1;
    for (size_t v = 0; v < g->sfm->view_count; v++) {
        if (g->sfm->known[v] || failed[v]) continue;
        size_t count = 0;
        for (size_t k = g->first[v]; k < g->first[v + 1]; k++)
            count += g->sfm->tracks[g->sfm->observations[g->list[k]].point].solved;
        if (count > most) most = count, best = v;
    }
    return best;
}

static bool settle(kn_sfm *sfm, int iterations, kn_error *error) {
    if (!kn_sfm_bundle(sfm, free_of(kn_sfm_known(sfm)), iterations, error)) return false;
    filter(sfm, LIMIT);
    return true;
}

static bool grow_from(grower *g, bool *failed, kn_error *error) {
    kn_sfm *sfm = g->sfm;
    size_t since = 0, idle = 0;
    bool ok = settle(sfm, 10, error);
    memset(failed, 0, sfm->view_count * sizeof *failed);
    while (ok) {
        size_t needed = idle ? 10 : 16, view = next_view(g, failed, needed);
        if (view == sfm->view_count) { /* nothing fits: once more after a bundle adjustment, then with fewer points */
            if (idle == 3) break;
            idle++, since = 0;
            memset(failed, 0, sfm->view_count * sizeof *failed);
            ok = settle(sfm, 10, error);
            continue;
        }
        if (!add_view(g, view, needed)) {
            failed[view] = true;
            continue;
        }
        idle = 0;
        if (++since < 1 + kn_sfm_known(sfm) / 8) continue;
        since = 0;
        memset(failed, 0, sfm->view_count * sizeof *failed);
        ok = settle(sfm, 6, error);
    }
    return ok;
}

/* What no points could place, an even orbit places; then growth goes on from there. Views that end up without support
 * go again. */
static bool grow_by_orbit(grower *g, bool *failed, kn_error *error) {
    kn_sfm *sfm = g->sfm;
    for (size_t round = 0, placed; round < sfm->view_count && kn_sfm_known(sfm) < sfm->view_count; round++) {
        if (!kn_sfm_place_by_orbit(sfm, &placed, error)) return false;
        if (placed == 0) break;
        kn_log_line(&sfm->log, KN_LOG_DEBUG, "%zu cameras placed by the orbit", placed);
        kn_sfm_solve_points(sfm, 3 * LIMIT);
        if (!kn_sfm_bundle(sfm, free_of(kn_sfm_known(sfm)), 15, error)) return false;
        kn_sfm_solve_points(sfm, LIMIT);
        if (!grow_from(g, failed, error)) return false;
    }
    for (size_t v = 0; v < sfm->view_count; v++) {
        size_t support = 0;
        for (size_t k = g->first[v]; k < g->first[v + 1]; k++)
            support += sfm->good[g->list[k]] && sfm->tracks[sfm->observations[g->list[k]].point].solved;
        if (support < 8) sfm->known[v] = false;
    }
    return true;
}

/* Final rounds with the whole lens. */
static bool polish(kn_sfm *sfm, kn_error *error) {
    size_t known = kn_sfm_known(sfm);
    unsigned free = free_of(known);
    if (known >= 16) free |= KN_FREE_MIDDLE | KN_FREE_TANGENTIAL;
    for (int round = 0; round < 3; round++) {
        kn_sfm_solve_points(sfm, LIMIT);
        if (!kn_sfm_bundle(sfm, free, 20, error)) return false;
        filter(sfm, round < 2 ? LIMIT : 0.75 * LIMIT);
    }
    return kn_sfm_bundle(sfm, free, 30, error);
}

/* Pairs from best to worst as a start: many matches and a clear angle. */
static double (*rank_pairs(const kn_sfm *sfm, kn_error *error))[2] {
    double(*order)[2] = kn_alloc(sfm->pair_count + 1, sizeof *order, error);
    for (size_t i = 0; order && i < sfm->pair_count; i++) {
        const kn_pair *p = &sfm->pairs[i];
        order[i][0] = (double)p->count * fmin(p->geometry.angle, 0.3) * (1.05 - p->geometry.rotation_only),
        order[i][1] = (double)i;
    }
    if (order) qsort(order, sfm->pair_count, sizeof *order, by_worth);
    return order;
}

bool kn_sfm_grow(kn_sfm *sfm, kn_error *error) {
    grower g;
    if (!grower_init(&g, sfm, error)) return false;
    double(*order)[2] = rank_pairs(sfm, error);
    bool *failed = kn_alloc(sfm->view_count, sizeof *failed, error), ok = order && failed;
    kn_lens lens = sfm->lens;
    size_t best_known = 0, best_seed = 0, seeds = kn_min_size(sfm->pair_count, MAX_SEEDS);
    memset(sfm->known, 0, sfm->view_count * sizeof *sfm->known);
    for (size_t s = 0; ok && s <= seeds && seeds; s++) {
        bool again = s == seeds; /* none was good enough: the best once more */
        size_t seed = again ? best_seed : s;
        sfm->lens = lens;
        if (start(sfm, &sfm->pairs[(size_t)order[seed][1]]) < 12) continue;
        ok = grow_from(&g, failed, error);
        size_t known = kn_sfm_known(sfm);
        kn_log_line(&sfm->log, KN_LOG_DEBUG, "from pictures %u and %u: %zu of %zu cameras, focal length %.0f",
                    sfm->pairs[(size_t)order[seed][1]].a, sfm->pairs[(size_t)order[seed][1]].b, known, sfm->view_count,
                    sfm->lens.f);
        if (again || known * 10 >= sfm->view_count * 9) break;
        if (known > best_known) best_known = known, best_seed = s;
    }
    ok = ok && (kn_sfm_known(sfm) < 4 || grow_by_orbit(&g, failed, error)) && polish(sfm, error);
    kn_free(order), kn_free(failed);
    grower_finish(&g);
    return ok;
}

/* Which pictures show the same things, and what their matches say about the lens. */
#include "mesh/sfm/sfm.h"

#include <stdlib.h>
#include <string.h>

#define RATIO 0.8         /* Lowe's test */
#define FULL_BUDGET 1.2e9 /* inner products up to which all pairs are matched in full */
#define PREVIEW                                                                                                        \
    300              /* features of the first look (Wu, "Towards linear-time incremental structure from motion", 2013) \
                        \ */
#define NEIGHBOURS 4 /* pictures before and after that are always matched */

static bool match_pair(kn_sfm *sfm, size_t a, size_t b, bool full, kn_error *error) {
    kn_pair pair = {.a = (uint32_t)a, .b = (uint32_t)b};
    const kn_features *f = sfm->features;
    if (!full && b - a > NEIGHBOURS && sfm->view_count - (b - a) > NEIGHBOURS) {
        if (!kn_features_match(&f[a], &f[b], PREVIEW, RATIO, &pair.matches, &pair.count, error)) return false;
        bool promising = pair.count >= 7;
        kn_free(pair.matches);
        if (!promising) return true;
    }
    if (!kn_features_match(&f[a], &f[b], SIZE_MAX, RATIO, &pair.matches, &pair.count, error)) return false;
    if (pair.count < 12 || !kn_grow(&sfm->pairs, &sfm->pair_capacity, sfm->pair_count + 1, sizeof *sfm->pairs, error)) {
        bool enough = pair.count >= 12;
        kn_free(pair.matches);
        return !enough;
    }
    sfm->pairs[sfm->pair_count++] = pair;
    return true;
}

bool kn_sfm_match(kn_sfm *sfm, kn_error *error) {
    double total = 0, sum = 0;
    for (size_t v = 0; v < sfm->view_count; v++)
        total += sum * (double)sfm->features[v].count, sum += (double)sfm->features[v].count;
    for (size_t a = 0; a < sfm->view_count; a++) {
        for (size_t b = a + 1; b < sfm->view_count; b++)
            if (!match_pair(sfm, a, b, total < FULL_BUDGET, error)) return false;
        if (!kn_sfm_step(sfm, 20 + 30 * a / sfm->view_count, error)) return false;
    }
    return true;
}

typedef struct workspace {
    double (*a)[2], (*b)[2];
    bool *inlier;
} workspace;

static void workspace_finish(workspace *w) { kn_free(w->a), kn_free(w->b), kn_free(w->inlier); }

static bool workspace_init(workspace *w, const kn_sfm *sfm, kn_error *error) {
    size_t most = 1;
    *w = (workspace){0};
    for (size_t i = 0; i < sfm->pair_count; i++) most = kn_max_size(most, sfm->pairs[i].count);
    bool ok = (w->a = kn_alloc(most, sizeof *w->a, error)) && (w->b = kn_alloc(most, sizeof *w->b, error)) &&
              (w->inlier = kn_alloc(most, sizeof *w->inlier, error));
    if (!ok) workspace_finish(w);
    return ok;
}

/* Normal coordinates of a pair's matches, at most `limit` of them. */
static size_t normalise(const kn_sfm *sfm, const kn_pair *pair, workspace *w, size_t limit) {
    size_t count = kn_min_size(pair->count, limit);
    for (size_t i = 0; i < count; i++) {
        const kn_match *m = &pair->matches[i * pair->count / count];
        const float *p = sfm->features[pair->a].xy + 2 * m->a, *q = sfm->features[pair->b].xy + 2 * m->b;
        kn_lens_undistort(&sfm->lens, (const double[2]){p[0], p[1]}, w->a[i]);
        kn_lens_undistort(&sfm->lens, (const double[2]){q[0], q[1]}, w->b[i]);
    }
    return count;
}

static int by_order(const void *a, const void *b) {
    const double *p = a, *q = b;
    if (p[0] != q[0]) return p[0] < q[0] ? 1 : -1;
    return (p[1] > q[1]) - (p[1] < q[1]);
}

/* Of the pairs with enough matches, those whose features moved most. */
static double (*rank_by_motion(const kn_sfm *sfm, kn_error *error))[2] {
    double(*order)[2] = kn_alloc(sfm->pair_count + 1, sizeof *order, error);
    for (size_t i = 0; order && i < sfm->pair_count; i++) {
        const kn_pair *p = &sfm->pairs[i];
        double sum = 0;
        for (size_t k = 0; k < p->count; k++) {
            const float *u = sfm->features[p->a].xy + 2 * p->matches[k].a,
                        *v = sfm->features[p->b].xy + 2 * p->matches[k].b;
            sum += fmin(hypot(u[0] - v[0], u[1] - v[1]), 150 * sfm->unit) / (double)p->count;
        }
        order[i][0] = sum * fmin((double)p->count, 200), order[i][1] = (double)i;
    }
    if (order) qsort(order, sfm->pair_count, sizeof *order, by_order);
    return order;
}

bool kn_sfm_guess_focal(kn_sfm *sfm, kn_error *error) {
    static const double factors[] = {0.6, 0.75, 0.9, 1.1, 1.3, 1.6, 2.0, 2.6};
    double size = fmax(sfm->width, sfm->height), best = 1e300, chosen = 1.2 * size;
    if (sfm->focal_given) return true;
    workspace w;
    if (!workspace_init(&w, sfm, error)) return false;
    double(*order)[2] = rank_by_motion(sfm, error);
    bool ok = order != NULL;
    for (size_t f = 0; ok && f < KN_COUNT(factors); f++) {
        double misses = 0;
        sfm->lens.f = factors[f] * size;
        for (size_t i = 0; ok && i < kn_min_size(sfm->pair_count, 10); i++) {
            const kn_pair *pair = &sfm->pairs[(size_t)order[i][1]];
            size_t count = normalise(sfm, pair, &w, 200);
            kn_two_view view;
            kn_error inner = {0};
            bool found = kn_two_view_find(&view, (const double(*)[2])w.a, (const double(*)[2])w.b, count,
                                          1.5 * sfm->unit / sfm->lens.f, 17 * i, w.inlier, &inner);
            if (inner.kind != KN_ERROR_NONE) ok = kn_fail(error, inner.kind, "%s", inner.message);
            misses += 1 - (found ? (double)view.inliers / (double)count : 0);
        }
        kn_log_line(&sfm->log, KN_LOG_DEBUG, "focal length %.0f pixels leaves %.1f %% of the matches", sfm->lens.f,
                    100 * misses / 10);
        if (misses < best) best = misses, chosen = sfm->lens.f;
    }
    sfm->lens.f = chosen;
    kn_free(order);
    workspace_finish(&w);
    return ok;
}

bool kn_sfm_verify(kn_sfm *sfm, kn_error *error) {
    workspace w;
    size_t kept = 0;
    if (!workspace_init(&w, sfm, error)) return false;
    bool ok = true;
    for (size_t i = 0; i < sfm->pair_count; i++) {
        kn_pair pair = sfm->pairs[i];
        kn_error inner = {0};
        size_t count = ok ? normalise(sfm, &pair, &w, SIZE_MAX) : 0;
        bool found = ok && kn_two_view_find(&pair.geometry, (const double(*)[2])w.a, (const double(*)[2])w.b, count,
                                            2 * sfm->unit / sfm->lens.f, 31 * i, w.inlier, &inner);
        if (inner.kind != KN_ERROR_NONE) ok = kn_fail(error, inner.kind, "%s", inner.message);
        if (!found || pair.geometry.inliers < 12 || (double)pair.geometry.inliers < 0.25 * (double)count) {
            kn_free(pair.matches);
            continue;
        }
        pair.count = 0;
        for (size_t m = 0; m < count; m++)
            if (w.inlier[m]) pair.matches[pair.count++] = pair.matches[m];
        sfm->pairs[kept++] = pair;
        if (ok && i % 32 == 0) ok = kn_sfm_step(sfm, 50 + 20 * i / sfm->pair_count, error);
    }
    sfm->pair_count = kept;
    workspace_finish(&w);
    return ok;
}

bool kn_sfm_step(const kn_sfm *sfm, size_t percent, kn_error *error) {
    if (sfm->params->progress && !sfm->params->progress(sfm->params->progress_user, "cameras", percent, 100))
        return kn_fail(error, KN_ERROR_CANCELLED, "stopped");
    return true;
}

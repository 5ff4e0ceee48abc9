/* Cameras from pictures alone. */
#include "mesh/sfm/sfm.h"

#include <stdlib.h>
#include <string.h>

#define MAX_PICTURES 600  /* the bundle adjustment is dense in the cameras */
#define FEATURE_SIZE 1000 /* pixels along the longer side in which features are looked for */
#define MAX_FEATURES 3000 /* of a picture */

static void sfm_finish(kn_sfm *sfm) {
    kn_sfm_tracks_finish(sfm);
    for (size_t v = 0; sfm->features && v < sfm->view_count; v++) kn_features_finish(&sfm->features[v]);
    for (size_t i = 0; i < sfm->pair_count; i++) kn_free(sfm->pairs[i].matches);
    kn_free(sfm->features), kn_free(sfm->pairs), kn_free(sfm->poses), kn_free(sfm->known), kn_free(sfm->priors);
    *sfm = (kn_sfm){0};
}

static bool sfm_init(kn_sfm *sfm, const kn_image *const *pictures, size_t count, const kn_find_params *params,
                     kn_error *error) {
    *sfm = (kn_sfm){.view_count = count,
                    .width = pictures[0]->width,
                    .height = pictures[0]->height,
                    .log = params->log,
                    .params = params};
    double size = fmax(sfm->width, sfm->height);
    sfm->unit = fmax(1, size / FEATURE_SIZE);
    sfm->focal_given = params->focal > 0;
    sfm->lens =
        (kn_lens){.f = sfm->focal_given ? params->focal : 1.2 * size, .cx = sfm->width / 2.0, .cy = sfm->height / 2.0};
    return (sfm->features = kn_alloc(count, sizeof *sfm->features, error)) &&
           (sfm->poses = kn_alloc(count, sizeof *sfm->poses, error)) &&
           (sfm->known = kn_alloc(count, sizeof *sfm->known, error));
}

static bool find_features(kn_sfm *sfm, const kn_image *const *pictures, kn_error *error) {
    size_t total = 0;
    for (size_t v = 0; v < sfm->view_count; v++) {
        if (!kn_features_find(&sfm->features[v], pictures[v], FEATURE_SIZE, MAX_FEATURES, error)) return false;
        total += sfm->features[v].count;
        if (!kn_sfm_step(sfm, 20 * v / sfm->view_count, error)) return false;
    }
    kn_log_line(&sfm->log, KN_LOG_DEBUG, "%zu features a picture", total / sfm->view_count);
    return true;
}

static bool check(const kn_image *const *pictures, size_t count, kn_error *error) {
    if (count < 3 || count > MAX_PICTURES)
        return kn_fail(error, KN_ERROR_INPUT, "%zu pictures: cameras are found for 3 to %d; choose with --frames",
                       count, MAX_PICTURES);
    for (size_t i = 0; i < count; i++)
        if (pictures[i]->width != pictures[0]->width || pictures[i]->height != pictures[0]->height)
            return kn_fail(error, KN_ERROR_INPUT,
                           "picture %zu has %d x %d pixels, the first %d x %d: expected one size", i,
                           pictures[i]->width, pictures[i]->height, pictures[0]->width, pictures[0]->height);
    return true;
}

static bool output(const kn_sfm *sfm, kn_view_list *list, kn_error *error) {
    list->items = kn_alloc(sfm->view_count, sizeof *list->items, error);
    if (!list->items) return false;
    list->count = sfm->view_count;
    for (size_t v = 0; v < sfm->view_count; v++) {
        kn_view_camera *view = &list->items[v];
        if (!sfm->known[v]) continue;
        kn_camera *c = &view->camera;
        c->width = sfm->width, c->height = sfm->height;
        c->k[0][0] = c->k[1][1] = sfm->lens.f, c->k[0][2] = sfm->lens.cx, c->k[1][2] = sfm->lens.cy, c->k[2][2] = 1;
        memcpy(view->distortion, sfm->lens.d, sizeof view->distortion);
        kn_sfm_center(&sfm->poses[v], c->translation);
        for (int i = 0; i < 3; i++)
            for (int j = 0; j < 3; j++) c->rotation[i][j] = sfm->poses[v].r[j][i];
        snprintf(c->name, sizeof c->name, "%zu", v);
    }
    return true;
}

bool kn_cameras_find(kn_view_list *list, const kn_image *const *pictures, size_t count, const kn_find_params *params,
                     kn_find_facts *facts, kn_error *error) {
    kn_sfm sfm = {0};
    *list = (kn_view_list){0}, *facts = (kn_find_facts){0};
    if (!check(pictures, count, error)) return false;
    bool ok = sfm_init(&sfm, pictures, count, params, error) && find_features(&sfm, pictures, error) &&
              kn_sfm_match(&sfm, error) && kn_sfm_check_matches(&sfm, error) && kn_sfm_guess_focal(&sfm, error);
    size_t matched = sfm.pair_count;
    ok = ok && kn_sfm_verify(&sfm, error) && kn_sfm_check_pairs(&sfm, matched, error) && kn_sfm_tracks(&sfm, error) &&
         kn_sfm_grow(&sfm, error) && kn_sfm_normalise(&sfm, error);
    kn_log_line(&params->log, KN_LOG_DEBUG, "%zu pairs, %zu tracks, %zu observations", sfm.pair_count, sfm.track_count,
                sfm.observation_count);
    facts->pictures = count;
    facts->used = ok ? kn_sfm_known(&sfm) : 0;
    facts->error = ok ? kn_sfm_error(&sfm, &facts->observations) : 0;
    facts->focal = sfm.lens.f;
    memcpy(facts->distortion, sfm.lens.d, sizeof facts->distortion);
    for (size_t t = 0; t < sfm.track_count; t++) facts->points += sfm.tracks[t].solved;
    ok = ok && output(&sfm, list, error);
    sfm_finish(&sfm);
    return ok;
}

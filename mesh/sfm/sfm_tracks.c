/* Tracks: the same point in several pictures. */
#include "mesh/sfm/sfm.h"

#include <stdlib.h>
#include <string.h>

#define NONE UINT32_MAX

/* Disjoint sets of features whose members are chained, so that a set never holds two features of one picture. */
typedef struct sets {
    uint32_t *root, *next, *view, *size; /* [total] */
    uint32_t *seen;                      /* [views] stamp */
    uint32_t stamp;
} sets;

static uint32_t find(sets *s, uint32_t i) {
    while (s->root[i] != i) i = s->root[i] = s->root[s->root[i]];
    return i;
}

static bool shares_view(sets *s, uint32_t a, uint32_t b) {
    s->stamp++;
    for (uint32_t i = a; i != NONE; i = s->next[i]) s->seen[s->view[i]] = s->stamp;
    for (uint32_t i = b; i != NONE; i = s->next[i])
        if (s->seen[s->view[i]] == s->stamp) return true;
    return false;
}

static void join(sets *s, uint32_t a, uint32_t b) {
    a = find(s, a), b = find(s, b);
    if (a == b || shares_view(s, a, b)) return;
    if (s->size[a] < s->size[b]) {
        uint32_t keep = a;
        a = b, b = keep;
    }
    uint32_t last = b;
    while (s->next[last] != NONE) last = s->next[last];
    s->next[last] = s->next[a], s->next[a] = b; /* the root stays the head of its chain */
    s->root[b] = a, s->size[a] += s->size[b];
}

static int by_count(const void *a, const void *b) {
    const kn_pair *p = *(const kn_pair *const *)a, *q = *(const kn_pair *const *)b;
    if (p->count != q->count) return p->count < q->count ? 1 : -1;
    if (p->a != q->a) return p->a < q->a ? -1 : 1;
    return (p->b > q->b) - (p->b < q->b);
}

static bool join_pairs(const kn_sfm *sfm, sets *s, const size_t *base, kn_error *error) {
    const kn_pair **order = kn_alloc(sfm->pair_count + 1, sizeof *order, error);
    if (!order) return false;
    for (size_t i = 0; i < sfm->pair_count; i++) order[i] = &sfm->pairs[i];
    qsort(order, sfm->pair_count, sizeof *order, by_count);
    for (size_t i = 0; i < sfm->pair_count; i++)
        for (size_t m = 0; m < order[i]->count; m++)
            join(s, (uint32_t)(base[order[i]->a] + order[i]->matches[m].a),
                 (uint32_t)(base[order[i]->b] + order[i]->matches[m].b));
    kn_free(order);
    return true;
}

void kn_sfm_tracks_finish(kn_sfm *sfm) {
    kn_free(sfm->tracks), kn_free(sfm->observations), kn_free(sfm->observed), kn_free(sfm->good);
    sfm->tracks = NULL, sfm->observations = NULL, sfm->observed = NULL, sfm->good = NULL;
    sfm->track_count = sfm->observation_count = 0;
}

static bool fill(kn_sfm *sfm, const sets *s, const size_t *base, kn_error *error) {
    size_t total = base[sfm->view_count];
    for (size_t i = 0; i < total; i++)
        if (s->root[i] == i && s->size[i] > 1) sfm->track_count++, sfm->observation_count += s->size[i];
    bool ok = (sfm->tracks = kn_alloc(sfm->track_count + 1, sizeof *sfm->tracks, error)) &&
              (sfm->observations = kn_alloc(sfm->observation_count + 1, sizeof *sfm->observations, error)) &&
              (sfm->observed = kn_alloc(sfm->observation_count + 1, sizeof *sfm->observed, error)) &&
              (sfm->good = kn_alloc(sfm->observation_count + 1, sizeof *sfm->good, error));
    size_t track = 0, at = 0;
    for (size_t i = 0; ok && i < total; i++) {
        if (s->root[i] != i || s->size[i] < 2) continue;
        sfm->tracks[track] = (kn_track){.first = at, .count = s->size[i]};
        for (uint32_t k = (uint32_t)i; k != NONE; k = s->next[k], at++) {
            uint32_t view = s->view[k], feature = (uint32_t)(k - base[view]);
            const float *xy = sfm->features[view].xy + 2 * feature;
            sfm->observations[at] = (kn_observation){view, (uint32_t)track, {xy[0], xy[1]}};
            sfm->observed[at] = feature;
        }
        track++;
    }
    return ok;
}

bool kn_sfm_tracks(kn_sfm *sfm, kn_error *error) {
    kn_sfm_tracks_finish(sfm);
    size_t *base = kn_alloc(sfm->view_count + 1, sizeof *base, error);
    if (!base) return false;
    for (size_t v = 0; v < sfm->view_count; v++) base[v + 1] = base[v] + sfm->features[v].count;
    size_t total = base[sfm->view_count];
    sets s = {0};
    bool ok = total < NONE || kn_fail(error, KN_ERROR_MEMORY, "too many features");
    ok = ok && (s.root = kn_alloc(total + 1, sizeof *s.root, error)) &&
         (s.next = kn_alloc(total + 1, sizeof *s.next, error)) &&
         (s.view = kn_alloc(total + 1, sizeof *s.view, error)) &&
         (s.size = kn_alloc(total + 1, sizeof *s.size, error)) &&
         (s.seen = kn_alloc(sfm->view_count + 1, sizeof *s.seen, error));
    for (size_t v = 0; ok && v < sfm->view_count; v++)
        for (size_t i = base[v]; i < base[v + 1]; i++)
            s.root[i] = (uint32_t)i, s.next[i] = NONE, s.view[i] = (uint32_t)v, s.size[i] = 1;
    ok = ok && join_pairs(sfm, &s, base, error) && fill(sfm, &s, base, error);
    kn_free(base), kn_free(s.root), kn_free(s.next), kn_free(s.view), kn_free(s.size), kn_free(s.seen);
    if (!ok) kn_sfm_tracks_finish(sfm);
    return ok;
}

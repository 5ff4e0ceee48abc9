/* A detail followed through a film whose motion is known. */
#include "base/base.h"
#include "kinora/film.h"
#include "kinora/track.h"
#include "tools/known_shot.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

typedef struct outcome {
    int seen, found, hidden, invented; /* frames: truly visible, found there; hidden, claimed all the same */
    double worst, sum;                 /* distances of those that were found */
} outcome;

static void judge(outcome *o, const known_truth *truth, const kn_track_place *place, double size, int frame) {
    double x = (double)(place->box.x + .5f * place->box.width), y = (double)(place->box.y + .5f * place->box.height),
           off = hypot(x - truth->x, y - truth->y);
    if (getenv("KN_TRACK_LOG"))
        printf("%3d truth %6.1f %6.1f visible %.2f | %6.1f %6.1f match %.2f visible %.2f size %.1f off %.1f\n", frame,
               truth->x, truth->y, truth->visible, x, y, (double)place->match, (double)place->visible,
               (double)place->box.width, off);
    if (truth->visible > .95) {
        o->seen++;
        if (place->visible > 0 && off < .4 * size) {
            o->found++;
            o->sum += off;
            o->worst = fmax(o->worst, off);
        }
    }
    if (truth->visible < .05) {
        o->hidden++;
        o->invented += place->visible > .5f;
    }
    if (place->visible > .5f && off > size) o->invented++;
}

/* Marks the ring in the first frame and follows it to the last, or the other way round. */
static outcome run(const known_shot *shot, bool backwards) {
    kn_error error = {0};
    kn_track *track;
    outcome o = {0};
    size_t pixels = (size_t)shot->width * (size_t)shot->height;
    float *planes = kn_alloc(3 * pixels, sizeof *planes, &error);
    int first = backwards ? shot->frames - 1 : 0, step = backwards ? -1 : 1;
    cr_assert(kn_track_create(&track, shot->width, shot->height, &error), "%s", error.message);
    for (int i = 0; i < shot->frames; i++) {
        int frame = first + i * step;
        known_truth truth = known_shot_truth(shot, frame, NULL, NULL, NULL, NULL);
        kn_track_place place;
        known_shot_draw(shot, frame, planes);
        if (i == 0) {
            float half = (float)(.6 * shot->ring);
            kn_track_box box = {(float)truth.x - half, (float)truth.y - half, 2 * half, 2 * half};
            cr_assert(kn_track_mark(track, planes, box, NULL, &error), "%s", error.message);
            continue;
        }
        if (shot->cut && frame == shot->cut - backwards) kn_track_cut(track);
        cr_assert(kn_track_next(track, planes, &place, &error), "%s", error.message);
        judge(&o, &truth, &place, shot->ring, frame);
    }
    kn_track_destroy(&track);
    kn_free(planes);
    return o;
}

static void expect(const known_shot *shot, bool backwards, double share) {
    outcome o = run(shot, backwards);
    if (getenv("KN_TRACK_LOG"))
        printf("found %d of %d, mean distance %.2f, worst %.1f; hidden %d, invented %d\n", o.found, o.seen,
               o.sum / fmax(o.found, 1), o.worst, o.hidden, o.invented);
    cr_expect_geq(o.found, share * o.seen, "found in %d of %d frames", o.found, o.seen);
    cr_expect_eq(o.invented, 0, "claimed in %d frames where it was not", o.invented);
    cr_expect_lt(o.sum / fmax(o.found, 1), 1.5, "mean distance %g pixels", o.sum / fmax(o.found, 1));
}

static known_shot small(void) {
    known_shot shot = KNOWN_SHOT_DEFAULT;
    shot.width = 320, shot.height = 180;
    shot.hide_from = shot.hide_until = 0, shot.whip_from = shot.whip_until = 1000, shot.cut = 0;
    return shot;
}

Test(track, follows_a_fast_ring_both_ways) {
    known_shot shot = small();
    shot.frames = 28;
    expect(&shot, false, .95);
    expect(&shot, true, .95);
    shot.ring = 10;
    expect(&shot, false, .9);
}

Test(track, finds_it_again_after_it_was_hidden) {
    known_shot shot = small();
    shot.frames = 34;
    shot.hide_from = 8, shot.hide_until = 20;
    expect(&shot, false, .85);
    expect(&shot, true, .85);
}

Test(track, survives_a_whip_pan_and_a_cut) {
    known_shot shot = small();
    shot.frames = 30;
    shot.whip_from = 8, shot.whip_until = 14, shot.cut = 22;
    expect(&shot, false, .85);
}

Test(track, is_not_seen_where_it_is_not) {
    kn_error error = {0};
    known_shot shot = small(), empty = small();
    size_t pixels = (size_t)shot.width * (size_t)shot.height;
    float *planes = kn_alloc(3 * pixels, sizeof *planes, &error);
    kn_track *track;
    kn_track_place place;
    known_truth truth = known_shot_truth(&shot, 0, NULL, NULL, NULL, NULL);
    empty.hide_from = 0, empty.hide_until = 100;
    cr_assert(kn_track_create(&track, shot.width, shot.height, &error));
    known_shot_draw(&shot, 0, planes);
    cr_assert(
        kn_track_mark(track, planes, (kn_track_box){(float)truth.x - 8, (float)truth.y - 8, 16, 16}, NULL, &error));
    known_shot_draw(&empty, 50, planes);
    for (int i = 0; i < 5; i++) {
        cr_assert(kn_track_next(track, planes, &place, &error));
        cr_expect_eq(place.visible, 0, "match %g", (double)place.match);
    }
    kn_track_destroy(&track);
    kn_free(planes);
}

Test(track, wants_something_to_follow) {
    kn_error error = {0};
    static float planes[3 * 64 * 48];
    kn_track *track;
    kn_track_place place;
    planes[100] = NAN;
    cr_assert_not(kn_track_create(&track, 4, 4, &error));
    cr_assert(kn_track_create(&track, 64, 48, &error));
    cr_expect_not(kn_track_next(track, planes, &place, &error));
    const kn_track_box boxes[] = {{-1, 0, 10, 10}, {60, 0, 10, 10}, {0, 0, 0, 10}, {0, 0, NAN, 4}, {20, 20, 10, 10}};
    for (size_t i = 0; i < KN_COUNT(boxes); i++) {
        error = (kn_error){0};
        cr_expect_not(kn_track_mark(track, planes, boxes[i], NULL, &error));
        cr_expect_eq(error.kind, KN_ERROR_INPUT);
    }
    kn_track_destroy(&track);
    kn_track_destroy(&track);
}

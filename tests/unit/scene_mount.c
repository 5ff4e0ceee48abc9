/* The default rig on vehicles of other sizes: no camera inside the ego or what it tows, at any angle of the hitch. */
#include "scene/world/scene.h"

#include <criterion/criterion.h>
#include <string.h>

enum { FRAMES = 29 };

static kn_actor vehicle(kn_actor_class kind, double x, double length, double width, double height) {
    return (kn_actor){.kind = kind, .length = length, .width = width, .height = height, .center = {x, 0, height / 2}};
}

typedef struct convoy {
    kn_actor actors[3];
    kn_actor_state states[FRAMES * 3];
    kn_timeline timeline;
} convoy;

/* The ego drives about, its first trailer swings by up to 70 degrees about the hitch, a stranger stands across all of
 * it. */
static void make_convoy(convoy *c, const kn_actor *ego, const kn_actor *trailer, double hitch, double coupler) {
    *c = (convoy){.actors = {*ego, *trailer, vehicle(KN_ACTOR_TRAILER, 0, 20, 20, 20)}};
    c->actors[1].towed_by_ego = trailer->length > 0;
    c->timeline = (kn_timeline){
        .frame_rate = 12, .frame_count = FRAMES, .actor_count = 3, .actors = c->actors, .states = c->states};
    for (int f = 0; f < FRAMES; f++) {
        double yaw = 0.3 * f, bend = (f - FRAMES / 2) * 5 * M_PI / 180;
        kn_actor_state *s = &c->states[f * 3];
        s[0].pose = kn_pose_from_euler((kn_vec3){5.0 * f, -3.0 * f, 0.1 * f}, yaw, 0, 0);
        kn_vec3 at = kn_pose_point(&s[0].pose, (kn_vec3){hitch, 0, 0});
        s[1].pose = kn_pose_from_euler(
            (kn_vec3){at.x - coupler * cos(yaw + bend), at.y - coupler * sin(yaw + bend), at.z}, yaw + bend, 0, 0);
        s[2].pose = s[0].pose;
        s[0].present = s[1].present = s[2].present = true;
    }
}

/* Metres by which a point of the ego's frame is outside an actor's box at a frame; negative inside. */
static double clearance(const convoy *c, int frame, int actor, const double p[3]) {
    const kn_actor *a = &c->actors[actor];
    kn_pose inverse = kn_pose_inverse(&c->states[frame * 3 + actor].pose);
    kn_vec3 q = kn_pose_point(&inverse, kn_pose_point(&c->states[frame * 3].pose, (kn_vec3){p[0], p[1], p[2]}));
    return fmax(fabs(q.x - a->center[0]) - a->length / 2,
                fmax(fabs(q.y - a->center[1]) - a->width / 2, fabs(q.z - a->center[2]) - a->height / 2));
}

static kn_rig check_convoy(const convoy *c, bool outside_ego) {
    kn_rig rig;
    kn_rig_init_nuscenes(&rig, 400, 224);
    kn_rig_mount_on(&rig, &c->timeline);
    for (int i = 0; i < rig.camera_count; i++)
        for (int f = 0; f < FRAMES; f++) {
            const kn_camera *camera = &rig.cameras[i];
            if (outside_ego)
                cr_assert_gt(clearance(c, f, 0, camera->translation), 0.05, "%s is inside the ego", camera->name);
            if (c->actors[1].towed_by_ego)
                cr_assert_gt(clearance(c, f, 1, camera->translation), 0.05, "frame %d: %s is inside the trailer", f,
                             camera->name);
        }
    return rig;
}

static const kn_actor NOTHING = {0};

Test(scene_mount, cars_and_smaller_keep_the_rig) {
    static const kn_actor_class kinds[] = {KN_ACTOR_CAR, KN_ACTOR_MOTORBIKE, KN_ACTOR_BICYCLE, KN_ACTOR_PEDESTRIAN};
    kn_rig plain;
    kn_rig_init_nuscenes(&plain, 400, 224);
    for (size_t k = 0; k < KN_COUNT(kinds); k++) {
        convoy c;
        kn_actor ego = vehicle(kinds[k], 1.4, 4.5, 1.9, 1.5);
        make_convoy(&c, &ego, &NOTHING, 0, 0);
        kn_rig rig = check_convoy(&c, false);
        cr_assert_eq(memcmp(&rig, &plain, sizeof rig), 0);
    }
}

Test(scene_mount, large_vehicles_wear_it_outside) {
    const kn_actor egos[] = {vehicle(KN_ACTOR_VAN, 1.6, 5.9, 2.0, 2.6), vehicle(KN_ACTOR_TRUCK, 3.1, 9.2, 2.5, 3.6),
                             vehicle(KN_ACTOR_BUS, 3, 12.2, 2.55, 3.1)};
    for (size_t k = 0; k < KN_COUNT(egos); k++) {
        convoy c;
        make_convoy(&c, &egos[k], &NOTHING, 0, 0);
        kn_rig rig = check_convoy(&c, true);
        for (int i = 0; i < rig.camera_count; i++) {
            const kn_camera *camera = &rig.cameras[i];
            double ahead = camera->rotation[0][2], aside = camera->rotation[1][2];
            cr_assert(camera->translation[2] > 1.2 && camera->translation[2] < 2.5, "%s at %g m", camera->name,
                      camera->translation[2]);
            /* and each looks away from the body */
            if (fabs(aside) > 0.5) cr_assert_gt(camera->translation[1] * aside, egos[k].width / 2 * fabs(aside));
            else cr_assert_gt((camera->translation[0] - egos[k].center[0]) * ahead, egos[k].length / 2 * 0.99);
        }
    }
}

Test(scene_mount, never_inside_what_is_towed) {
    convoy c;
    kn_actor tractor = vehicle(KN_ACTOR_TRUCK, 2.2, 5.7, 2.6, 3.36),
             semi = vehicle(KN_ACTOR_TRAILER, 2.56, 11.23, 2.6, 3.54);
    make_convoy(&c, &tractor, &semi, 1, 7);
    kn_rig rig = check_convoy(&c, true);
    cr_assert_gt(rig.cameras[4].translation[2], 3.54); /* CAM_BACK looks over it */
    /* a load that hangs over the cab of a pick-up, and a caravan */
    kn_actor car = vehicle(KN_ACTOR_CAR, 1.4, 5, 2, 1.7), wide = vehicle(KN_ACTOR_TRAILER, 3, 11, 3, 2.6),
             caravan = vehicle(KN_ACTOR_TRAILER, .5, 5, 2.2, 2.4);
    make_convoy(&c, &car, &wide, .2, 5);
    check_convoy(&c, false);
    make_convoy(&c, &car, &caravan, -1.2, 3.3);
    rig = check_convoy(&c, false);
    kn_rig plain;
    kn_rig_init_nuscenes(&plain, 400, 224);
    cr_assert_eq(memcmp(&rig, &plain, sizeof rig), 0);
}

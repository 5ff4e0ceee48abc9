/* Where the default rig sits on vehicles that are no cars. */
#include "scene/world/scene.h"

static const double STANDOFF = 0.1;  /* metres between a camera and the body that it hangs on */
static const double HIGHEST = 2.2;   /* of cameras on a front, a side or a tail: where mirrors of lorries are */
static const double OVER_LOAD = 0.6; /* metres of the rear camera above what is towed */

/* The ego's box in its own frame. */
typedef struct body {
    double rear, front, left, right, top;
} body;

static body body_of(const kn_actor *actor) {
    const double *c = actor->center;
    return (body){c[0] - actor->length / 2, c[0] + actor->length / 2, c[1] + actor->width / 2, c[1] - actor->width / 2,
                  c[2] + actor->height / 2};
}

static bool is_large(kn_actor_class kind) {
    return kind == KN_ACTOR_VAN || kind == KN_ACTOR_TRUCK || kind == KN_ACTOR_BUS;
}

/* Height of the tallest thing that the ego tows; 0: nothing. */
static double load_height(const kn_timeline *t) {
    double height = 0;
    for (size_t a = 1; a < t->actor_count; a++)
        if (t->actors[a].towed_by_ego) height = fmax(height, t->actors[a].center[2] + t->actors[a].height / 2);
    return height;
}

/* Is a point of the ego's frame inside what it tows, or closer than the standoff, at any frame? */
static bool inside_load(const kn_timeline *t, const double point[3]) {
    for (size_t f = 0; f < t->frame_count; f++)
        for (size_t a = 1; a < t->actor_count; a++) {
            const kn_actor *actor = &t->actors[a];
            const kn_actor_state *ego = &t->states[f * t->actor_count], *state = ego + a;
            if (!actor->towed_by_ego || !state->present) continue;
            kn_pose to_load = kn_pose_inverse(&state->pose);
            kn_vec3 p = kn_pose_point(&to_load, kn_pose_point(&ego->pose, (kn_vec3){point[0], point[1], point[2]}));
            if (fabs(p.x - actor->center[0]) < actor->length / 2 + STANDOFF &&
                fabs(p.y - actor->center[1]) < actor->width / 2 + STANDOFF &&
                fabs(p.z - actor->center[2]) < actor->height / 2 + STANDOFF)
                return true;
        }
    return false;
}

/* On the body's front, side or tail, whichever the camera looks away from. */
static void hang(kn_camera *camera, const body *b, double load) {
    double ahead = camera->rotation[0][2], aside = camera->rotation[1][2], *at = camera->translation;
    at[2] = fmin(0.97 * b->top, HIGHEST);
    if (fabs(aside) > 0.5) {
        at[0] = b->front - fmin(ahead > 0 ? 0.5 : 0.8, 0.3 * (b->front - b->rear));
        at[1] = aside > 0 ? b->left + STANDOFF : b->right - STANDOFF;
    } else {
        at[0] = ahead > 0 ? b->front + STANDOFF : b->rear - STANDOFF;
        at[1] = (b->left + b->right) / 2;
        if (ahead < 0 && load > 0) at[2] = fmax(at[2], load + OVER_LOAD);
    }
}

void kn_rig_mount_on(kn_rig *rig, const kn_timeline *timeline) {
    enum { STEPS = 60 };
    const kn_actor *ego = &timeline->actors[0];
    body b = body_of(ego);
    double load = load_height(timeline);
    for (int i = 0; i < rig->camera_count; i++) {
        kn_camera *camera = &rig->cameras[i];
        if (is_large(ego->kind)) hang(camera, &b, load);
        for (int step = 0; load > 0 && step < STEPS && inside_load(timeline, camera->translation); step++)
            camera->translation[2] += 0.1;
    }
}

void kn_scene_mount_rig(const kn_scene *scene, kn_rig *rig) { kn_rig_mount_on(rig, &scene->timeline); }

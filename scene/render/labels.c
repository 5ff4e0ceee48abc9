/* What labels need of a scene: poses, boxes, captions, the map. */
#include "kinora/render.h"

#include "scene/road/road_walk.h"
#include "scene/world/scene.h"

#include <string.h>

size_t kn_scene_frame_count(const kn_scene *scene) { return scene->timeline.frame_count; }

double kn_scene_frame_rate(const kn_scene *scene) { return scene->timeline.frame_rate; }

const kn_weather *kn_scene_weather(const kn_scene *scene) { return &scene->timeline.weather; }

static const kn_actor_state *state_at(const kn_timeline *timeline, size_t frame, size_t actor) {
    frame = frame < timeline->frame_count ? frame : timeline->frame_count - 1;
    return &timeline->states[frame * timeline->actor_count + actor];
}

void kn_scene_ego_pose(const kn_scene *scene, size_t frame, double translation[3], double rotation[3][3],
                       double *speed) {
    const kn_actor_state *state = state_at(&scene->timeline, frame, 0);
    translation[0] = state->pose.translation.x;
    translation[1] = state->pose.translation.y;
    translation[2] = state->pose.translation.z;
    memcpy(rotation, state->pose.rotation, sizeof state->pose.rotation);
    if (speed) *speed = state->speed;
}

static void place_box(kn_box *box, const kn_pose *pose, const double center[3], double length, double width,
                      double height) {
    kn_vec3 p = kn_pose_point(pose, (kn_vec3){center[0], center[1], center[2]});
    box->translation[0] = p.x;
    box->translation[1] = p.y;
    box->translation[2] = p.z;
    kn_pose_quaternion(pose, box->rotation);
    box->size[0] = width;
    box->size[1] = length;
    box->size[2] = height;
}

/* Velocity of the box centre by central differences of the frames around. */
static void box_velocity(const kn_timeline *timeline, size_t frame, size_t actor, kn_box *box) {
    size_t a = frame > 0 ? frame - 1 : frame, b = frame + 1 < timeline->frame_count ? frame + 1 : frame;
    const kn_actor_state *sa = state_at(timeline, a, actor), *sb = state_at(timeline, b, actor);
    const kn_actor_state *now = state_at(timeline, frame, actor);
    if (!sa->present || a == b) sa = now;
    if (!sb->present || a == b) sb = now;
    double dt = (double)((sb == now ? frame : b) - (sa == now ? frame : a)) / timeline->frame_rate;
    const double *c = timeline->actors[actor].center;
    kn_vec3 center = {c[0], c[1], c[2]}, d;
    if (dt > 0)
        d = kn_vec3_scale(kn_vec3_sub(kn_pose_point(&sb->pose, center), kn_pose_point(&sa->pose, center)), 1 / dt);
    else d = kn_pose_direction(&now->pose, (kn_vec3){now->speed, 0, 0});
    box->velocity[0] = d.x;
    box->velocity[1] = d.y;
    box->velocity[2] = d.z;
}

size_t kn_scene_boxes(const kn_scene *scene, size_t frame, kn_box *boxes, size_t capacity) {
    static const char *const names[] = {"car",     "van",        "truck",   "bus",  "trailer", "motorbike",
                                        "bicycle", "pedestrian", "barrier", "cone", "object"};
    const kn_timeline *timeline = &scene->timeline;
    size_t count = 0;
    for (size_t a = 1; a < timeline->actor_count; a++) {
        const kn_actor *actor = &timeline->actors[a];
        const kn_actor_state *state = state_at(timeline, frame, a);
        if (!state->present) continue;
        if (count < capacity) {
            kn_box *box = &boxes[count];
            *box = (kn_box){.instance = actor->instance, .kind = actor->kind, .is_parked = actor->is_static};
            snprintf(box->name, sizeof box->name, "%s", actor->name);
            place_box(box, &state->pose, actor->center, actor->length, actor->width, actor->height);
            box_velocity(timeline, frame, a, box);
            box->is_moving = hypot(box->velocity[0], box->velocity[1]) > 0.1;
        }
        count++;
    }
    const kn_world *world = NULL;
    if (!kn_scene_acquire(scene, frame, &world, NULL)) return count; /* what draws the frame will fail and say why */
    for (size_t i = 0; i < world->instance_count; i++) {
        const kn_static_instance *thing = &world->instances[i];
        if (count < capacity) {
            kn_box *box = &boxes[count];
            *box = (kn_box){
                .instance = thing->instance, .kind = thing->kind, .is_parked = thing->kind <= KN_ACTOR_BICYCLE};
            snprintf(box->name, sizeof box->name, "%s_%d", names[thing->kind], thing->instance);
            place_box(box, &thing->pose, thing->center, thing->size[0], thing->size[1], thing->size[2]);
        }
        count++;
    }
    kn_scene_release(scene, world);
    return count;
}

static const char *place_words(const kn_scene *scene) {
    const kn_actor_state *state = state_at(&scene->timeline, 0, 0);
    kn_road_position at = kn_road_locate(&scene->network, state->pose.translation.x, state->pose.translation.y, 10);
    if (at.road < 0) return "an open road";
    const kn_road *road = &scene->network.roads[at.road];
    const kn_lane_section *section = kn_road_section(road, at.s);
    int lanes = 0;
    bool pavement = false;
    for (size_t i = 0; i < section->lane_count; i++) {
        lanes += kn_lane_is_drivable(section->lanes[i].type);
        pavement |= section->lanes[i].type == KN_LANE_SIDEWALK;
    }
    if (road->junction >= 0) return "a junction";
    if (road->town || pavement) return "a town street";
    return lanes >= 4 ? "a motorway" : "a country road";
}

void kn_scene_caption(const kn_scene *scene, char *text, size_t size) {
    const kn_weather *w = &scene->timeline.weather;
    double degrees = w->sun_elevation * 180 / M_PI;
    const char *time = degrees > 6 ? "day" : degrees > -8 ? "dusk" : "night";
    const char *weather = w->rain > 0.05                            ? "rain"
                          : w->fog_range > 0 && w->fog_range < 2000 ? "fog"
                          : w->cloud_cover > 0.6                    ? "overcast"
                                                                    : "clear";
    size_t cars = 0, large = 0, people = 0, cycles = 0;
    for (size_t a = 1; a < scene->timeline.actor_count; a++) {
        kn_actor_class kind = scene->timeline.actors[a].kind;
        cars += kind == KN_ACTOR_CAR || kind == KN_ACTOR_VAN;
        large += kind == KN_ACTOR_TRUCK || kind == KN_ACTOR_BUS || kind == KN_ACTOR_TRAILER;
        people += kind == KN_ACTOR_PEDESTRIAN;
        cycles += kind == KN_ACTOR_BICYCLE || kind == KN_ACTOR_MOTORBIKE;
    }
    snprintf(text, size, "a driving scene on %s, %s, %s, %s%s%s%s", place_words(scene), weather, time,
             cars + large == 0  ? "no traffic"
             : cars + large < 6 ? "some cars"
                                : "many cars",
             large ? ", a truck" : "", people ? ", people" : "", cycles ? ", a bicycle" : "");
}

size_t kn_scene_map(const kn_scene *scene, const kn_map_line **lines) {
    if (lines) *lines = scene->lines;
    return scene->line_count;
}

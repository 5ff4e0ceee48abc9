/* Placing things beside roads: poses, room, level of detail, parked cars. */
#include "scene/world/models.h"
#include "scene/world/props.h"
#include "scene/road/signals.h"
#include "scene/world/world_build.h"

enum { TRIANGLE_BUDGET = 400000 };

kn_pose kn_world_place(const kn_world_builder *w, int index, double s, int side, double offset, kn_vec2 *at) {
    const kn_road *road = &w->network->roads[index];
    double margins[2], height = 0;
    kn_road_margins(road, s, margins);
    double edge = side > 0 ? margins[0] : margins[1];
    kn_road_frame f = kn_road_at(road, s, edge);
    kn_vec3 p = {f.position.x - sin(f.heading) * side * offset, f.position.y + cos(f.heading) * side * offset,
                 f.position.z};
    double paved = kn_world_pavement_width(w, index, side, s);
    const kn_lane_section *section = kn_road_section(road, s);
    for (size_t i = 0; i < section->lane_count; i++) {
        if (section->lanes[i].id * side > 0 && section->lanes[i].type == KN_LANE_SIDEWALK)
            height = section->lanes[i].height_outer;
    }
    if (paved > 0 && offset > 0) height = .13;
    p.z = offset > paved + .3 ? kn_world_land(w, p.x, p.y) + .05 : p.z + height;
    if (at) *at = (kn_vec2){p.x, p.y};
    return kn_pose_from_euler(p, f.heading + (side > 0 ? 0 : M_PI), 0, 0);
}

bool kn_world_clear(const kn_world_builder *w, double x, double y, double radius) {
    for (int k = 0; k < 9; k++) {
        double a = M_PI / 4 * k, r = k < 8 ? radius : 0, px = x + r * cos(a), py = y + r * sin(a);
        long c = kn_space_cell(&w->space, px, py);
        if (c < 0 || w->space.flags[c] & (KN_SPACE_DRIVEN | KN_SPACE_FILL | KN_SPACE_BUILT | KN_SPACE_WAY))
            return false;
    }
    return true;
}

double kn_world_detail(const kn_world_builder *w, double x, double y) {
    double d = kn_world_path_distance(w, x, y);
    return d < 32 ? 1 : d < 75 ? .6 : d < 140 ? .3 : .1;
}

bool kn_world_budget(const kn_world_builder *w, size_t count) {
    return !w->draw.failed && w->world->mesh.triangle_count + w->unseen + count < TRIANGLE_BUDGET;
}

void kn_world_light(kn_world_builder *w, const kn_light *light) {
    kn_world *world = w->world;
    if (w->draw.failed || world->light_count >= 256) return;
    if (!kn_grow(&world->lights, &world->light_capacity, world->light_count + 1, sizeof *world->lights, w->draw.error))
        w->draw.failed = true;
    else world->lights[world->light_count++] = *light;
}

void kn_world_signal(kn_world_builder *w, int road, int direction, int object, double height, double arm) {
    kn_world *world = w->world;
    const kn_signals *signals = w->network->signals;
    kn_traffic_light_draw(&w->draw, height, arm);
    for (size_t i = 0; signals && i < signals->count; i++) {
        const kn_signal *s = &signals->list[i];
        if (s->road != road || s->direction != direction || s->object != object) continue;
        if (w->draw.failed || !kn_grow(&world->signals, &world->signal_capacity, world->signal_count + 1,
                                       sizeof *world->signals, w->draw.error))
            w->draw.failed = true;
        else
            world->signals[world->signal_count++] =
                (kn_signal_place){w->draw.pose, (int)i, w->draw.instance, height, arm};
        return;
    }
}

bool kn_world_tree(kn_world_builder *w, double x, double y, int species, double height, double clearance,
                   uint64_t seed) {
    double detail = kn_world_detail(w, x, y);
    if (!kn_world_budget(w, detail > .9 ? 1500 : 700) || !kn_world_clear(w, x, y, 1)) return false;
    if (kn_space_distance(&w->space, x, y) < clearance) return false;
    w->draw.pose = kn_pose_identity();
    w->draw.pose.translation = kn_v3(x, y, kn_world_land(w, x, y));
    kn_tree_draw(&w->draw, (kn_species)species, height, detail, seed);
    w->draw.pose = kn_pose_identity();
    kn_space_occupy(&w->space, x, y, 0, .8, .8);
    return true;
}

static void parked_actor(kn_actor *a, uint64_t seed) {
    static const double paints[][3] = {{.55, .56, .57}, {.62, .62, .60}, {.025, .025, .028}, {.10, .105, .11},
                                       {.24, .25, .26}, {.03, .07, .20}, {.30, .02, .02},    {.05, .10, .07},
                                       {.02, .12, .28}, {.34, .27, .18}, {.45, .10, .02},    {.16, .10, .07}};
    kn_rng rng;
    kn_rng_init(&rng, seed);
    *a = (kn_actor){.kind = KN_ACTOR_CAR, .seed = seed, .is_static = true};
    double kind = kn_rng_uniform(&rng, 0, 1);
    if (kind < .1) a->kind = KN_ACTOR_VAN, a->length = 5.2, a->width = 1.98, a->height = 2.15;
    else if (kind < .35)
        a->length = kn_rng_uniform(&rng, 4.4, 4.7), a->width = 1.86, a->height = kn_rng_uniform(&rng, 1.6, 1.7);
    else if (kind < .65) a->length = kn_rng_uniform(&rng, 3.7, 4.2), a->width = 1.74, a->height = 1.48;
    else a->length = kn_rng_uniform(&rng, 4.4, 4.85), a->width = 1.81, a->height = 1.45;
    a->center[0] = a->length * .295;
    a->center[2] = a->height / 2;
    const double *c = paints[kn_rng_int(&rng, 0, (int)KN_COUNT(paints) - 1)];
    for (int k = 0; k < 3; k++) a->color[k] = c[k];
}

/* `pose` is that of the middle of the box's ground. */
void kn_world_park(kn_world_builder *w, const kn_pose *pose, uint64_t seed) {
    kn_actor actor;
    parked_actor(&actor, seed);
    double heading = atan2(pose->rotation[1][0], pose->rotation[0][0]), x = pose->translation.x,
           y = pose->translation.y;
    if (!kn_world_budget(w, 4500) ||
        kn_space_has(&w->space, x, y, heading, actor.length / 2, actor.width / 2, KN_SPACE_WAY | KN_SPACE_BUILT))
        return;
    kn_actor_model model;
    double d = kn_world_path_distance(w, x, y);
    kn_world *world = w->world;
    if (!kn_actor_model_build_detail(&model, world, &actor, d < 25 ? .8 : .55, w->draw.error)) {
        w->draw.failed = true;
        return;
    }
    kn_pose shift = kn_pose_identity();
    shift.translation.x = -actor.center[0];
    kn_pose at = kn_pose_multiply(pose, &shift);
    uint16_t instance = kn_world_new_instance(w);
    bool ok = true;
    if (!w->parked) {
        w->unseen += model.body.triangle_count;
        for (int i = 0; i < model.wheel_count; i++) w->unseen += model.wheels[i].mesh.triangle_count;
    } else {
        ok = kn_mesh_append(&world->mesh, &model.body, &at, 0, instance, w->draw.error);
    }
    for (int i = 0; i < model.wheel_count && ok && w->parked; i++) {
        kn_pose wheel = kn_pose_identity();
        wheel.translation = model.wheels[i].position;
        wheel = kn_pose_multiply(&at, &wheel);
        ok = kn_mesh_append(&world->mesh, &model.wheels[i].mesh, &wheel, 0, instance, w->draw.error);
    }
    kn_actor_model_finish(&model);
    if (!w->parked) {
        kn_space_occupy(&w->space, x, y, heading, actor.length / 2 + .2, actor.width / 2 + .2);
        return;
    }
    ok = ok && kn_grow(&world->instances, &world->instance_capacity, world->instance_count + 1,
                       sizeof *world->instances, w->draw.error);
    if (ok) {
        world->instances[world->instance_count++] =
            (kn_static_instance){.instance = instance,
                                 .kind = actor.kind,
                                 .pose = at,
                                 .size = {actor.length, actor.width, actor.height},
                                 .center = {actor.center[0], actor.center[1], actor.center[2]}};
        kn_space_occupy(&w->space, x, y, heading, actor.length / 2 + .2, actor.width / 2 + .2);
    } else {
        w->draw.failed = true;
    }
}

/* Does a lane of another road pass within the footprint of a car? */
static bool in_the_way(const kn_world_builder *w, const kn_pose *pose, int road) {
    for (int k = 0; k < 15; k++) {
        kn_vec3 p = kn_pose_point(pose, kn_v3((k % 5 - 2) * 1.5, (k / 5 - 1) * 1.1, 0));
        if (kn_space_driven(&w->space, p.x, p.y, road)) return true;
    }
    return false;
}

/* Cars along one lane, nose to tail with gaps; angled across when the lane is deep. */
static void park_lane(kn_world_builder *w, int index, const kn_lane_section *section, const kn_lane *lane,
                      double share) {
    const kn_road *road = &w->network->roads[index];
    double end = fmin(section->end, road->length);
    kn_rng rng;
    kn_rng_init(&rng, kn_hash64(w->seed ^ kn_hash64((uint64_t)index * 4096 + (uint64_t)(section - road->sections) * 64 +
                                                    (uint64_t)(lane->id + 32))));
    for (double s = section->s + 4; s < end - 4;) {
        kn_lane_span span = kn_lane_span_at(road, s, lane->id);
        double width = fabs(span.outer - span.inner);
        bool across = width > 4.2;
        uint64_t seed = kn_rng_next(&rng);
        bool take = kn_rng_uniform(&rng, 0, 1) < share;
        double jitter = kn_rng_uniform(&rng, -.12, .12), turn = kn_rng_uniform(&rng, -.03, .03);
        kn_road_frame f = kn_road_at(road, s, span.center + jitter);
        bool forward = (lane->id < 0) != road->left_hand_traffic;
        kn_pose pose = kn_pose_from_euler(f.position,
                                          f.heading + (forward ? 0 : M_PI) + turn +
                                              (across ? M_PI / 2 * (kn_rng_int(&rng, 0, 1) ? 1 : -1) : 0),
                                          f.pitch * (forward ? 1 : -1), 0);
        bool beside = in_the_way(w, &pose, index);
        if (take && width > 1.7 && !beside &&
            kn_world_path_distance(w, f.position.x, f.position.y) < fmin(w->reach, 120))
            kn_world_park(w, &pose, seed);
        s += across ? 2.7 : kn_rng_uniform(&rng, 5.6, 6.6);
    }
}

void kn_world_parking(kn_world_builder *w) {
    for (size_t r = 0; r < w->network->road_count; r++) {
        const kn_road *road = &w->network->roads[r];
        if (!isfinite(w->road_distance[r]) || road->junction >= 0) continue;
        for (size_t k = 0; k < road->section_count; k++) {
            const kn_lane_section *section = &road->sections[k];
            for (size_t i = 0; i < section->lane_count; i++) {
                const kn_lane *lane = &section->lanes[i];
                if (lane->type == KN_LANE_PARKING) park_lane(w, (int)r, section, lane, .72);
                else if (lane->type == KN_LANE_SHOULDER && w->kind[r] == KN_SURROUND_TOWN)
                    park_lane(w, (int)r, section, lane, .35);
            }
        }
    }
}

uint16_t kn_world_new_instance(kn_world_builder *w) {
    if (w->world->next_instance == UINT16_MAX) return w->world->next_instance; /* the last number is shared */
    return w->world->next_instance++;
}

/* Placing things beside roads: poses, room, level of detail, parked cars. */
#include "scene/world/models.h"
#include "scene/world/props.h"
#include "scene/road/signals.h"
#include "scene/world/world_build.h"

enum { TILE_INSTANCES = 64 };
enum { TILE_TRIANGLES = 160000 }; /* that the things of a tile may need, by rough estimates */

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

/* Every tile has numbers of its own, in the order in which the ego comes by: the same in every window. When a way is so
 * long that numbers run out, they are given again to tiles kilometres away. */
uint16_t kn_world_new_instance(kn_world_builder *w, double x, double y) {
    int i = (int)floor(x / KN_TILE), j = (int)floor(y / KN_TILE);
    const kn_tile *tile = kn_world_site_tile(w->site, i, j);
    bool on = i >= w->ti0 && j >= w->tj0 && i < w->ti0 + w->tnx && j < w->tj0 + w->tny;
    if (!tile || !on) return UINT16_MAX; /* not drawn */
    uint16_t *used = &w->tile_used[(size_t)(j - w->tj0) * (size_t)w->tnx + (size_t)(i - w->ti0)];
    uint32_t slots = (uint32_t)(UINT16_MAX - w->first_static) / TILE_INSTANCES;
    uint32_t number = *used < TILE_INSTANCES - 1 ? (*used)++ : TILE_INSTANCES - 1; /* the last one is shared */
    return (uint16_t)(w->first_static + tile->ordinal % slots * TILE_INSTANCES + number);
}

bool kn_world_budget(kn_world_builder *w, size_t count) {
    if (w->draw.failed) return false;
    w->tile_spent += count;
    if (w->tile_spent <= TILE_TRIANGLES) return true;
    uint8_t *tile = &w->tiles[(size_t)(w->tj - w->tj0) * (size_t)w->tnx + (size_t)(w->ti - w->ti0)];
    w->tiles_full += w->drawing && !(*tile & KN_TILE_FULL);
    *tile |= KN_TILE_FULL;
    return false;
}

void kn_world_light(kn_world_builder *w, const kn_light *light) {
    kn_world *world = w->world;
    if (w->draw.failed) return;
    if (!kn_grow(&world->lights, &world->light_capacity, world->light_count + 1, sizeof *world->lights, w->draw.error))
        w->draw.failed = true;
    else world->lights[world->light_count++] = *light;
}

/* The lenses of a traffic light in its own frame. */
static bool build_lenses(kn_world_builder *w, kn_signal_place *place) {
    kn_build build;
    kn_build_init(&build, w->world, &place->lenses, w->draw.error);
    build.instance = place->instance;
    kn_traffic_lenses_draw(&build, place->height, place->arm);
    if (build.failed) kn_mesh_finish(&place->lenses);
    return !build.failed;
}

void kn_world_signal(kn_world_builder *w, int road, int direction, int object, double height, double arm) {
    kn_world *world = w->world;
    const kn_signals *signals = w->network->signals;
    kn_traffic_light_draw(&w->draw, height, arm);
    for (size_t i = 0; signals && i < signals->count; i++) {
        const kn_signal *s = &signals->list[i];
        if (s->road != road || s->direction != direction || s->object != object) continue;
        kn_signal_place place = {
            .pose = w->draw.pose, .signal = (int)i, .instance = w->draw.instance, .height = height, .arm = arm};
        bool ok = !w->draw.failed && build_lenses(w, &place) &&
                  kn_grow(&world->signals, &world->signal_capacity, world->signal_count + 1, sizeof *world->signals,
                          w->draw.error);
        if (ok) world->signals[world->signal_count++] = place;
        else kn_mesh_finish(&place.lenses);
        w->draw.failed |= !ok;
        return;
    }
}

bool kn_world_tree(kn_world_builder *w, double x, double y, int species, double height, double clearance,
                   uint64_t seed) {
    double detail = kn_world_detail(w, x, y);
    if (!kn_world_budget(w, detail > .9 ? 1500 : 700) || !kn_world_clear(w, x, y, 1)) return false;
    if (kn_space_distance(&w->space, x, y) < clearance) return false;
    kn_space_occupy(&w->space, x, y, 0, .8, .8);
    if (!w->drawing) return true;
    w->draw.pose = kn_pose_identity();
    w->draw.pose.translation = kn_v3(x, y, kn_world_land(w, x, y));
    kn_tree_draw(&w->draw, (kn_species)species, height, detail, seed);
    w->draw.pose = kn_pose_identity();
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

/* Its triangles and its box. */
static bool draw_parked(kn_world_builder *w, const kn_actor *actor, const kn_pose *at) {
    kn_actor_model model;
    kn_world *world = w->world;
    double d = kn_world_path_distance(w, at->translation.x, at->translation.y);
    if (!kn_actor_model_build_detail(&model, world, actor, d < 25 ? .8 : .55, w->draw.error)) return false;
    uint16_t instance = kn_world_new_instance(w, at->translation.x, at->translation.y);
    kn_pose local = *at;
    local.translation = kn_vec3_sub(at->translation, w->draw.origin);
    bool ok = !w->site->parked || kn_mesh_append(&world->mesh, &model.body, &local, 0, instance, w->draw.error);
    for (int i = 0; i < model.wheel_count && ok && w->site->parked; i++) {
        kn_pose wheel = kn_pose_identity();
        wheel.translation = model.wheels[i].position;
        wheel = kn_pose_multiply(&local, &wheel);
        ok = kn_mesh_append(&world->mesh, &model.wheels[i].mesh, &wheel, 0, instance, w->draw.error);
    }
    kn_actor_model_finish(&model);
    if (!ok || !w->site->parked) return ok;
    if (!kn_grow(&world->instances, &world->instance_capacity, world->instance_count + 1, sizeof *world->instances,
                 w->draw.error))
        return false;
    world->instances[world->instance_count++] =
        (kn_static_instance){.instance = instance,
                             .kind = actor->kind,
                             .pose = *at,
                             .size = {actor->length, actor->width, actor->height},
                             .center = {actor->center[0], actor->center[1], actor->center[2]}};
    return true;
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
    kn_pose shift = kn_pose_identity();
    shift.translation.x = -actor.center[0];
    kn_pose at = kn_pose_multiply(pose, &shift);
    if (w->drawing && !draw_parked(w, &actor, &at)) w->draw.failed = true;
    kn_space_occupy(&w->space, x, y, heading, actor.length / 2 + .2, actor.width / 2 + .2);
}

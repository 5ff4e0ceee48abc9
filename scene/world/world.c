/* Builds worlds: the order of the steps. */
#include "scene/world/models.h"
#include "scene/world/world_build.h"

#include <string.h>

enum { FIRST_STATIC = 2048 };

/* Models of all actors but the ego; static instance numbers go on after theirs. */
static bool build_models(kn_world *world, const kn_timeline *timeline, kn_error *error) {
    world->models = kn_alloc(timeline->actor_count, sizeof *world->models, error);
    if (!world->models) return false;
    world->model_count = timeline->actor_count;
    int highest = 0;
    for (size_t i = 0; i < timeline->actor_count; i++) {
        const kn_actor *actor = &timeline->actors[i];
        highest = actor->instance > highest ? actor->instance : highest;
        if (!actor->is_ego && !kn_actor_model_build(&world->models[i], world, actor, error)) return false;
    }
    highest = highest < FIRST_STATIC ? FIRST_STATIC - 1
                                     : highest; /* the same for any number of road users: looks follow it */
    world->next_instance = (uint16_t)(highest < UINT16_MAX ? highest + 1 : UINT16_MAX);
    return true;
}

static bool build_ground(kn_world_builder *w) {
    if (!kn_world_survey(w) || !kn_world_junctions(w, false) || !kn_space_settle(&w->space, w->draw.error))
        return false;
    kn_world_roads(w);
    kn_world_marks(w);
    kn_world_margins(w);
    if (!kn_world_junctions(w, true)) return false;
    kn_world_terrain(w);
    return !w->draw.failed;
}

bool kn_world_build(kn_world *world, const kn_road_network *network, const kn_timeline *timeline, uint64_t seed,
                    double reach, bool grow_surroundings, kn_error *error) {
    return kn_world_build_variant(world, network, timeline, timeline, true, seed, reach, grow_surroundings, error);
}

bool kn_world_build_variant(kn_world *world, const kn_road_network *network, const kn_timeline *timeline,
                            const kn_timeline *layout, bool parked, uint64_t seed, double reach, bool grow_surroundings,
                            kn_error *error) {
    memset(world, 0, sizeof *world);
    kn_world_builder w = {.world = world,
                          .network = network,
                          .timeline = layout,
                          .parked = parked,
                          .seed = seed,
                          .grow = grow_surroundings};
    w.reach = kn_clamp(reach, 20, 2000);
    kn_build_init(&w.draw, world, &world->mesh, error);
    bool ok = build_models(world, timeline, error) && build_ground(&w);
    if (ok) {
        kn_world_spans(&w);
        kn_world_objects(&w);
        if (grow_surroundings) {
            kn_world_grow_town(&w);
            kn_world_grow_country(&w);
        }
        ok = !w.draw.failed;
    }
    kn_space_finish(&w.space);
    kn_free(w.path);
    kn_free(w.road_distance);
    kn_free(w.kind);
    if (!ok) kn_world_finish(world);
    return ok;
}

void kn_world_finish(kn_world *world) {
    if (!world) return;
    for (size_t i = 0; i < world->model_count; i++) kn_actor_model_finish(&world->models[i]);
    kn_free(world->models);
    kn_mesh_finish(&world->mesh);
    kn_free(world->materials);
    kn_free(world->lights);
    kn_free(world->instances);
    kn_free(world->signals);
    memset(world, 0, sizeof *world);
}

/* Builds worlds: the order of the steps. */
#include "scene/world/models.h"
#include "scene/world/world_build.h"

#include <string.h>

enum { FIRST_STATIC = 2048 };

/* Models of all actors but the ego; static instance numbers go on after theirs. */
static bool build_models(kn_world_builder *w, const kn_timeline *timeline, kn_error *error) {
    kn_world *world = w->world;
    world->models = kn_alloc(timeline->actor_count, sizeof *world->models, error);
    if (!world->models) return false;
    world->model_count = timeline->actor_count;
    int highest = FIRST_STATIC - 1; /* the same for any number of road users: looks follow it */
    for (size_t i = 0; i < timeline->actor_count; i++) {
        const kn_actor *actor = &timeline->actors[i];
        highest = actor->instance > highest ? actor->instance : highest;
        if (!actor->is_ego && !kn_actor_model_build(&world->models[i], world, actor, error)) return false;
    }
    w->first_static = (uint16_t)(highest < UINT16_MAX / 2 ? highest + 1 : UINT16_MAX / 2);
    return true;
}

static bool build_ground(kn_world_builder *w, size_t window) {
    if (!kn_world_survey(w, window) || !kn_world_junctions(w, false) || !kn_space_settle(&w->space, w->draw.error))
        return false;
    kn_world_roads(w);
    kn_world_marks(w);
    kn_world_margins(w);
    if (!kn_world_junctions(w, true)) return false;
    kn_world_terrain(w);
    if (w->grow) kn_world_barriers(w);
    kn_world_spans(w);
    kn_world_objects(w);
    return !w->draw.failed;
}

/* What grows in the tiles: those of lower colours first (world_survey.c). */
static void grow_tiles(kn_world_builder *w) {
    for (int colour = 0; colour < 4; colour++)
        for (int j = w->tj0; j < w->tj0 + w->tny; j++)
            for (int i = w->ti0; i < w->ti0 + w->tnx && !w->draw.failed; i++) {
                uint8_t flags = w->tiles[(size_t)(j - w->tj0) * (size_t)w->tnx + (size_t)(i - w->ti0)];
                if ((i & 1) + 2 * (j & 1) != colour || !(flags & KN_TILE_KNOWN)) continue;
                w->ti = i, w->tj = j;
                w->drawing = flags & KN_TILE_DRAWN;
                w->tile_spent = 0;
                kn_world_grow_town(w);
                kn_world_grow_country(w);
            }
}

bool kn_world_build_window(kn_world *world, const kn_world_site *site, const kn_timeline *actors, size_t window,
                           kn_error *error) {
    memset(world, 0, sizeof *world);
    kn_world_builder w = {.world = world,
                          .site = site,
                          .network = site->network,
                          .kind = site->kind,
                          .main_kind = site->main_kind,
                          .seed = site->seed,
                          .grow = site->grow,
                          .heading = site->heading,
                          .country = kn_country_of(site->seed)};
    kn_build_init(&w.draw, world, &world->mesh, error);
    w.draw.origin = world->origin = site->origin;
    bool ok = build_models(&w, actors, error) && build_ground(&w, window);
    if (ok && w.grow) grow_tiles(&w);
    ok = ok && !w.draw.failed;
    world->tiles_full = w.tiles_full;
    kn_space_finish(&w.space);
    kn_free(w.path);
    kn_free(w.road_near);
    kn_free(w.tiles);
    kn_free(w.tile_used);
    if (!ok) kn_world_finish(world);
    return ok;
}

bool kn_world_build(kn_world *world, const kn_road_network *network, const kn_timeline *timeline, uint64_t seed,
                    double reach, bool grow_surroundings, kn_error *error) {
    kn_world_site site;
    memset(world, 0, sizeof *world);
    bool ok = kn_world_site_init(&site, network, timeline, seed, reach, grow_surroundings, error) &&
              kn_world_build_window(world, &site, timeline, KN_WHOLE_WAY, error);
    kn_world_site_finish(&site);
    return ok;
}

void kn_world_finish(kn_world *world) {
    if (!world) return;
    for (size_t i = 0; i < world->model_count; i++) kn_actor_model_finish(&world->models[i]);
    for (size_t i = 0; i < world->signal_count; i++) kn_mesh_finish(&world->signals[i].lenses);
    kn_free(world->models);
    kn_mesh_finish(&world->mesh);
    kn_free(world->materials);
    kn_free(world->lights);
    kn_free(world->instances);
    kn_free(world->signals);
    memset(world, 0, sizeof *world);
}

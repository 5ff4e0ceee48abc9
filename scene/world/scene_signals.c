/* Traffic lights of a built world: their lenses as parts that the renderer switches. */
#include "scene/world/scene.h"

#include "scene/world/models.h"
#include "scene/world/props.h"
#include "scene/road/signals.h"

#include <string.h>

static unsigned lamps_of(kn_signal_state state) {
    static const unsigned lamps[KN_SIGNAL_STATES] = {[KN_SIGNAL_RED] = KN_LAMP_TAIL,
                                                     [KN_SIGNAL_AMBER] = KN_LAMP_REVERSE,
                                                     [KN_SIGNAL_GREEN] = KN_LAMP_BRAKE,
                                                     [KN_SIGNAL_RED_AMBER] = KN_LAMP_TAIL | KN_LAMP_REVERSE,
                                                     [KN_SIGNAL_DARK] = 0};
    return lamps[state];
}

static bool build_lenses(kn_world *world, kn_actor_model *model, const kn_signal_place *place, kn_error *error) {
    memset(model, 0, sizeof *model);
    kn_build build;
    kn_build_init(&build, world, &model->body, error);
    build.instance = place->instance;
    kn_traffic_lenses_draw(&build, place->height, place->arm);
    if (build.failed) kn_actor_model_finish(model);
    return !build.failed;
}

/* Widens [frame][actor] states by `more` actors. */
static bool widen(kn_timeline *t, size_t more, kn_error *error) {
    size_t n = t->actor_count, wide = n + more;
    kn_actor *actors = kn_alloc(wide, sizeof *actors, error);
    kn_actor_state *states = actors ? kn_alloc(t->frame_count * wide, sizeof *states, error) : NULL;
    if (!states) {
        kn_free(actors);
        return false;
    }
    memcpy(actors, t->actors, n * sizeof *actors);
    for (size_t f = 0; f < t->frame_count; f++) memcpy(states + f * wide, t->states + f * n, n * sizeof *states);
    kn_free(t->actors);
    kn_free(t->states);
    t->actors = actors;
    t->states = states;
    t->actor_count = wide;
    return true;
}

bool kn_scene_add_signals(kn_scene *scene, kn_error *error) {
    kn_world *world = &scene->world;
    kn_timeline *t = &scene->timeline;
    size_t n = t->actor_count, more = world->signal_count;
    if (!more) return true;
    kn_actor_model *models = kn_alloc(n + more, sizeof *models, error);
    if (!models) return false;
    memcpy(models, world->models, world->model_count * sizeof *models);
    kn_free(world->models);
    world->models = models;
    if (!widen(t, more, error)) return false;
    for (size_t i = 0; i < more; i++) {
        const kn_signal_place *place = &world->signals[i];
        kn_actor *actor = &t->actors[n + i];
        *actor = (kn_actor){.kind = KN_ACTOR_OBJECT,
                            .length = 0.3,
                            .width = 0.6,
                            .height = 1.2,
                            .is_static = true,
                            .is_signal = true,
                            .instance = place->instance};
        snprintf(actor->name, sizeof actor->name, "light_%zu", i + 1);
        for (size_t f = 0; f < t->frame_count; f++)
            t->states[f * t->actor_count + n + i] = (kn_actor_state){
                .pose = place->pose,
                .present = true,
                .lamps = lamps_of((kn_signal_state)t->signals[f * t->signal_count + (size_t)place->signal])};
        if (!build_lenses(world, &models[n + i], place, error)) return false;
        world->model_count = n + i + 1;
    }
    return true;
}

/* Loads a scene file of either kind, brings overrides into force and plays it. */
#include "scene/world/scene_load.h"

#include "base/random.h"

#include <string.h>

static bool ends_with(const char *text, const char *end) {
    size_t a = strlen(text), b = strlen(end);
    return a >= b && !strcasecmp(text + a - b, end);
}

kn_sim *kn_loaded_sim(kn_loaded *loaded) { return loaded->is_json ? &loaded->json.sim : &loaded->scenario.sim; }

const char *kn_loaded_path(const kn_loaded *loaded) {
    const char *path = loaded->is_json ? loaded->json.path : loaded->scenario.path;
    return path ? path : "";
}

void kn_loaded_finish(kn_loaded *loaded) {
    kn_json_scene_finish(&loaded->json);
    kn_scenario_finish(&loaded->scenario);
    *loaded = (kn_loaded){0};
}

/* Where the ego starts and how fast, as the file says (not as overrides do). */
static bool ego_start(kn_loaded *loaded, kn_walker *walker, double *speed) {
    const kn_sim *sim = kn_loaded_sim(loaded);
    *speed = sim->actors[0].speed;
    *walker = sim->actors[0].walker;
    bool found = loaded->is_json && sim->actors[0].on_lane;
    for (size_t i = 0; !loaded->is_json && i < loaded->scenario.init_count; i++) {
        const kn_action *a = &loaded->scenario.init[i];
        kn_placement place;
        if (a->actor == 0 && a->kind == KN_ACTION_SPEED && a->absolute) *speed = a->value;
        bool still = a->position.kind == KN_POSITION_LANE || a->position.kind == KN_POSITION_ROAD ||
                     a->position.kind == KN_POSITION_WORLD;
        if (a->actor == 0 && a->kind == KN_ACTION_TELEPORT && still &&
            kn_position_resolve(sim, &a->position, 0, &place) && place.on_lane) {
            *walker = place.walker;
            found = true;
        }
    }
    return found;
}

static bool plan_signals(kn_loaded *loaded, kn_error *error) {
    kn_sim *sim = kn_loaded_sim(loaded);
    kn_road_network *network = loaded->is_json ? &loaded->json.network : &loaded->scenario.network;
    kn_walker walker;
    double speed;
    bool found = ego_start(loaded, &walker, &speed);
    uint64_t seed = loaded->params.seed ^ (loaded->is_json ? kn_hash64(loaded->json.seed) : 0);
    return kn_signals_plan(network, seed, found ? &walker : NULL, sim->actors[0].turn, fabs(speed),
                           sim->actors[0].speed_mode != KN_SPEED_DRIVER, error);
}

bool kn_load(kn_loaded *loaded, const char *path, const kn_scene_params *params, kn_report *report, kn_error *error) {
    *loaded = (kn_loaded){.params = *params, .is_json = ends_with(path, ".json")};
    if (!loaded->is_json && !ends_with(path, ".xosc"))
        return kn_fail(error, KN_ERROR_INPUT, "%s: expected a scenario (.xosc) or a scene (.json)", path);
    if (loaded->is_json && (params->parameters || params->variation))
        return kn_fail(error, KN_ERROR_INPUT,
                       "%s: parameters or a variation are given, but only scenarios (.xosc) have them", path);
    bool ok = loaded->is_json ? kn_json_scene_read(&loaded->json, path, params->seed, report, error)
                              : kn_scenario_read(&loaded->scenario, path, params, report, error);
    if (!ok) {
        kn_loaded_finish(loaded);
        return false;
    }
    kn_sim *sim = kn_loaded_sim(loaded);
    sim->network = loaded->is_json ? &loaded->json.network : &loaded->scenario.network;
    if (!plan_signals(loaded, error) ||
        (!loaded->is_json && !kn_scenario_link_signals(&loaded->scenario, report, error))) {
        kn_loaded_finish(loaded);
        return false;
    }
    if (!loaded->is_json) sim->weather = kn_weather_default();
    else if (!loaded->params.frame_count && loaded->json.duration > 0 && params->frame_rate > 0)
        loaded->params.frame_count = (size_t)fmin(loaded->json.duration * params->frame_rate + 0.5, 1e6);
    if (loaded->is_json && !loaded->params.frame_count)
        loaded->params.frame_count = (size_t)fmin(fmax(10 * params->frame_rate, 1), 1e6);
    sim->actors[0].fixed_speed = params->ego_speed > 0 ? params->ego_speed : -1;
    for (size_t i = 1; i < sim->actor_count; i++) {
        if (params->traffic < 0 || kn_sim_coupled(sim, 0, i)) continue; /* the ego keeps its trailers */
        sim->actors[i].removed = true;
        sim->actors[i].present = false;
    }
    return true;
}

static bool populate(kn_loaded *loaded, kn_report *report, kn_error *error) {
    const kn_scene_params *params = &loaded->params;
    int count = params->traffic > 0                      ? params->traffic
                : params->traffic < 0 && loaded->is_json ? loaded->json.traffic
                                                         : 0;
    if (count > 1000) return kn_fail(error, KN_ERROR_INPUT, "traffic of %d vehicles, expected at most 1000", count);
    kn_traffic_plan plan = {.count = count, .keep_actors = params->traffic < 0, .seed = params->seed};
    if (!loaded->is_json)
        plan.hook = kn_storyboard_step, plan.reset = kn_storyboard_reset, plan.user = &loaded->scenario;
    else
        plan.seed ^= kn_hash64(loaded->json.seed),
            plan.droppable = params->traffic < 0 && loaded->json.generated ? 1 : 0;
    if (count == 0 && !plan.droppable) return true;
    int placed = 0;
    if (!kn_traffic_populate(kn_loaded_sim(loaded), &plan, params, &placed, error)) return false;
    if (placed < count)
        kn_report_add(report, false, kn_loaded_path(loaded), 0,
                      "only %d of %d traffic vehicles found a place around the ego's way where they disturb nobody",
                      placed, count);
    return true;
}

/* Of a clip without a given length. */
static void report_cut(const kn_loaded *loaded, const kn_timeline *timeline, kn_report *report) {
    if (timeline->cut)
        kn_report_add(report, false, kn_loaded_path(loaded), 0,
                      "the scenario never stops by itself: cut after %g s; --frames gives a longer clip",
                      KN_SIM_LONGEST);
}

bool kn_loaded_record(kn_loaded *loaded, kn_timeline *timeline, kn_report *report, kn_error *error) {
    *timeline = (kn_timeline){0};
    kn_sim *sim = kn_loaded_sim(loaded);
    if (!populate(loaded, report, error)) return false;
    if (loaded->is_json) return kn_sim_record(sim, NULL, NULL, &loaded->params, timeline, error);
    if (!kn_sim_record(sim, kn_storyboard_step, &loaded->scenario, &loaded->params, timeline, error)) return false;
    report_cut(loaded, timeline, report);
    if (!sim->actors[0].placed) {
        kn_timeline_finish(timeline);
        return kn_fail(error, KN_ERROR_INPUT, "%s:%d: the ego '%s' is never put anywhere", loaded->scenario.path,
                       sim->actors[0].line, sim->actors[0].look.name);
    }
    return true;
}

/* Reads any bytes as an OpenSCENARIO file on a fixed road network and plays a second of what was accepted. */
#include "scene/scenario/scenario.h"
#include "scene/json/scene_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool make_network(kn_road_network *network) {
    kn_profile profile = {.left = {{KN_LANE_DRIVING, 3.5, 0, KN_MARK_SOLID, KN_MARK_WHITE}},
                          .left_count = 1,
                          .right = {{KN_LANE_DRIVING, 3.5, 0, KN_MARK_BROKEN, KN_MARK_WHITE},
                                    {KN_LANE_DRIVING, 3.5, 0, KN_MARK_SOLID, KN_MARK_WHITE}},
                          .right_count = 2};
    kn_cursor cursor = {0};
    kn_segment segments[] = {{300, 0, 0}, {200, 0, 0.005}};
    if (!kn_plan_init(network, 2, 0, NULL) || kn_plan_road(network, &cursor, segments, 2, &profile, NULL) < 0 ||
        kn_plan_road(network, &cursor, segments, 2, &profile, NULL) < 0)
        return false;
    kn_plan_join(network, 0, 1);
    kn_road_object *light = network->roads[0].objects = kn_arena_alloc(&network->arena, 1, sizeof *light, NULL);
    if (!light) return false;
    *light =
        (kn_road_object){.id = "s1", .type = "1000001", .is_signal = true, .dynamic = true, .s = 200, .orientation = 1};
    network->roads[0].object_count = 1;
    kn_road_network_complete(network);
    return true;
}

/* Lights as kn_load plans them. */
static bool plan(kn_scenario *scenario, kn_report *report, kn_error *error) {
    return kn_signals_plan(&scenario->network, 1, NULL, 0, 10, true, error) &&
           kn_scenario_link_signals(scenario, report, error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    bool ground = size > 0 && data[0] == '\n'; /* no roads but the open ground */
    kn_road_network network;
    kn_scenario scenario;
    kn_report report = {0};
    kn_error error = {0};
    if (!make_network(&network)) return 0;
    if (kn_scenario_parse(&scenario, "fuzz/fuzz.xosc", data, size, ground ? NULL : &network, 1, &report, &error)) {
        kn_scene_params params = KN_SCENE_PARAMS_DEFAULT;
        kn_timeline timeline;
        params.frame_count = 12;
        scenario.sim.network = &scenario.network;
        if (scenario.sim.actor_count < 8 && plan(&scenario, &report, &error) &&
            kn_sim_record(&scenario.sim, kn_storyboard_step, &scenario, &params, &timeline, &error)) {
            kn_check_motion(&scenario.sim, &timeline, &report);
            kn_timeline_finish(&timeline);
        }
        kn_scenario_finish(&scenario);
    } else if (error.kind == KN_ERROR_NONE || !error.message[0]) {
        __builtin_trap();
    }
    kn_road_network_finish(&network);
    kn_report_finish(&report);
    return 0;
}

/* Reads any bytes as Kinora's scene JSON and plays half a second of what was accepted. */
#include "scene/world/scene_load.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    kn_json_scene scene;
    kn_report report = {0};
    kn_error error = {0};
    if (kn_json_scene_parse(&scene, "fuzz/fuzz.json", (const char *)data, size, 1, &report, &error)) {
        kn_scene_params params = KN_SCENE_PARAMS_DEFAULT;
        kn_timeline timeline;
        params.frame_count = 6;
        if (scene.sim.actor_count < 24 && kn_sim_record(&scene.sim, NULL, NULL, &params, &timeline, &error)) {
            kn_check_motion(&scene.sim, &timeline, &report);
            kn_timeline_finish(&timeline);
        }
        kn_json_scene_finish(&scene);
    } else if (error.kind == KN_ERROR_NONE || !error.message[0]) {
        __builtin_trap();
    }
    kn_report_finish(&report);
    return 0;
}

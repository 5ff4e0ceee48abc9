/* From a scene file to a simulation that can be recorded. Internal to scene/. */
#ifndef KN_SCENE_SCENE_LOAD_H
#define KN_SCENE_SCENE_LOAD_H

#include "scene/json/scene_json.h"
#include "scene/scenario/scenario.h"
#include "scene/world/scene.h"

/* A file of either kind, loaded and with overrides in force. */
typedef struct kn_loaded {
    bool is_json;
    kn_scenario scenario;
    kn_json_scene json;
    kn_scene_params params; /* with the file's duration filled in */
} kn_loaded;
bool kn_load(kn_loaded *loaded, const char *path, const kn_scene_params *params, kn_report *report, kn_error *error);
kn_sim *kn_loaded_sim(kn_loaded *loaded);
/* Plays it; what is cut off goes to `report` (may be NULL). */
bool kn_loaded_record(kn_loaded *loaded, kn_timeline *timeline, kn_report *report, kn_error *error);
const char *kn_loaded_path(const kn_loaded *loaded);
void kn_loaded_finish(kn_loaded *loaded);

#endif

/* From a scene file to a simulation that can be recorded. Internal to scene/. */
#ifndef KN_SCENE_SCENE_LOAD_H
#define KN_SCENE_SCENE_LOAD_H

#include "scene/scenario/scenario.h"
#include "scene/world/scene.h"

/* A scene in Kinora's JSON; its simulation's actors stand at their places. */
typedef struct kn_json_scene {
    kn_arena arena;
    char *path;
    char name[128];
    kn_road_network network;
    kn_sim sim;
    double duration; /* seconds; 0: as long as asked for */
    int traffic;     /* lawful vehicles that the file asks for besides its actors */
    uint64_t seed;
    bool generated; /* its people may be left out where they would touch somebody */
} kn_json_scene;
bool kn_json_scene_read(kn_json_scene *scene, const char *path, uint64_t seed, kn_report *report, kn_error *error);
bool kn_json_scene_parse(kn_json_scene *scene, const char *path, const char *text, size_t size, uint64_t seed,
                         kn_report *report, kn_error *error);
void kn_json_scene_finish(kn_json_scene *scene);

/* A file of either kind, loaded and with overrides in force. */
typedef struct kn_loaded {
    bool is_json;
    kn_scenario scenario;
    kn_json_scene json;
    kn_scene_params params; /* with the file's duration filled in */
} kn_loaded;
bool kn_load(kn_loaded *loaded, const char *path, const kn_scene_params *params, kn_report *report, kn_error *error);
kn_sim *kn_loaded_sim(kn_loaded *loaded);
/* Plays it. */
bool kn_loaded_record(kn_loaded *loaded, kn_timeline *timeline, kn_error *error);
void kn_loaded_finish(kn_loaded *loaded);

/* Weather of a scene whose file says nothing: a clear day. */
kn_weather kn_weather_default(void);

#endif

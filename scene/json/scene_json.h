/* Scenes in Kinora's JSON, written out or generated. Internal to scene/. */
#ifndef KN_SCENE_SCENE_JSON_H
#define KN_SCENE_SCENE_JSON_H

#include "base/random.h"
#include "scene/read/check.h"
#include "scene/road/road_plan.h"
#include "scene/simulation/simulation.h"

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
    uint64_t content; /* hash of the file without weather, length and name */
    bool generated;   /* its people may be left out where they would touch somebody */
} kn_json_scene;
bool kn_json_scene_read(kn_json_scene *scene, const char *path, uint64_t seed, kn_report *report, kn_error *error);
bool kn_json_scene_parse(kn_json_scene *scene, const char *path, const char *text, size_t size, uint64_t seed,
                         kn_report *report, kn_error *error);
void kn_json_scene_finish(kn_json_scene *scene);

/* Fills an empty scene: roads, ego, actors, weather. */
bool kn_generate(kn_json_scene *scene, const char *kind, uint64_t seed, kn_error *error);

#endif

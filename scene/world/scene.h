/* What a kn_scene holds. Internal to scene/ (the renderer and the label writers of pipelines/ read it through
 * include/kinora/render.h). */
#ifndef KN_SCENE_SCENE_H
#define KN_SCENE_SCENE_H

#include "kinora/render.h"
#include "scene/simulation/timeline.h"
#include "scene/world/world.h"

/* The lenses of the world's traffic lights become actors of the timeline, lit as its signals say. */
bool kn_scene_add_signals(kn_scene *scene, kn_error *error);

/* kn_scene_mount_rig for a timeline. */
void kn_rig_mount_on(kn_rig *rig, const kn_timeline *timeline);

struct kn_scene {
    kn_road_network network;
    kn_timeline timeline;
    kn_world world;
    char name[128];
    kn_map_line *lines; /* [line_count], of the top view */
    size_t line_count;
    kn_arena map_arena; /* their points */
};

#endif

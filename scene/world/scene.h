/* What a kn_scene holds. Internal to scene/ (the renderer and the label writers of pipelines/ read it through
 * include/kinora/render.h). */
#ifndef KN_SCENE_SCENE_H
#define KN_SCENE_SCENE_H

#include "kinora/render.h"
#include "scene/read/check.h"
#include "scene/simulation/timeline.h"
#include "scene/world/world_site.h"

/* The world around the ego at a frame. kn_scene_release gives it back; it stays until then. Thread-safe. */
bool kn_scene_acquire(const kn_scene *scene, size_t frame, const kn_world **world, kn_error *error);
void kn_scene_release(const kn_scene *scene, const kn_world *world);
/* Tells whether two frames see the same world. */
size_t kn_scene_window(const kn_scene *scene, size_t frame);

/* kn_scene_mount_rig for a timeline. */
void kn_rig_mount_on(kn_rig *rig, const kn_timeline *timeline);

struct kn_scene {
    kn_report report; /* closed */
    kn_road_network network;
    kn_timeline timeline;
    kn_world_site site; /* empty: `world` is all there is */
    kn_world world;     /* around the ego at frame 0 */
    size_t first_window;
    struct kn_windows *windows; /* the others that are in use; NULL: none */
    char name[128];
    kn_map_line *lines; /* [line_count], of the top view */
    size_t line_count;
    kn_arena map_arena; /* their points */
};

#endif

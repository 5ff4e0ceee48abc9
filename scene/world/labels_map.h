/* The lines of the top view. Internal to scene/. */
#ifndef KN_SCENE_LABELS_MAP_H
#define KN_SCENE_LABELS_MAP_H

#include "scene/world/scene.h"

/* Fills scene->lines from the roads within `reach` metres of the ego's way; memory in scene->map_arena. */
bool kn_scene_build_map(kn_scene *scene, double reach, kn_error *error);

#endif

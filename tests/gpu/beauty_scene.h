/* A small scene made by hand: one of every texture, a street lamp, one parked ball of car paint. */
#ifndef KN_TESTS_BEAUTY_SCENE_H
#define KN_TESTS_BEAUTY_SCENE_H

#include "scene/world/scene.h"

/* Builds it with this weather; the ego stands at the origin and looks along +x. Freed with beauty_scene_finish. */
bool beauty_scene_init(kn_scene *scene, const kn_weather *weather, kn_error *error);
void beauty_scene_finish(kn_scene *scene);

/* A camera on the ego, 1.5 m high, looking forward. */
kn_camera beauty_scene_camera(int width, int height);

#endif

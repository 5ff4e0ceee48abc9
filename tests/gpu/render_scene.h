/* A small world made by hand for the renderer's tests: ground, mark, boxes, two driving cars with wheels, a lamp; or a
 * soup of random triangles. */
#ifndef KN_TESTS_RENDER_SCENE_H
#define KN_TESTS_RENDER_SCENE_H

#include "kinora/render.h"
#include "scene/world/scene.h"

enum { RENDER_SCENE_FRAMES = 8 };

/* soup: number of random triangles instead of the hand-made street (-1: the street). */
bool render_scene_init(kn_scene *scene, const kn_weather *weather, int soup, uint64_t seed, kn_error *error);
void render_scene_finish(kn_scene *scene);

extern const kn_weather render_scene_noon, render_scene_night, render_scene_downpour;

/* A camera on the ego, 1.6 m high, turned left by `yaw` (radians). */
kn_camera render_scene_camera(int width, int height, double yaw);

#endif

/* A small scene for tests: a textured box and a ball on a textured table, seen without masks. */
#ifndef KN_TESTS_MESH_STILL_LIFE_H
#define KN_TESTS_MESH_STILL_LIFE_H

#include "mesh/views/mesh.h"

/* An eye at distance about 2.4 in this direction (radians around z) and height, looking at (0, 0, 0.2). No pictures. */
kn_eye still_life_eye(double turn, double height, int width, int height_pixels);
/* What it sees: rgb [height][width][3]; planes (may be NULL) [height][width][4]: normal x, y in the camera, depth,
 * weight. */
void still_life_render(const kn_eye *eye, uint8_t *rgb, float *planes);
/* Signed distance to the table (z = 0, up to 1.6 from the middle), box (0.6 x 0.4 x 0.35) and ball. */
double still_life_distance(const double p[3]);

#endif

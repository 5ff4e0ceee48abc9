/* The facts turned into what public ControlNets were trained to see. */
#ifndef KN_PIPELINES_PUBLIC_CONTROLS_H
#define KN_PIPELINES_PUBLIC_CONTROLS_H

#include "base/base.h"

#define KN_PUBLIC_CONTROL_KINDS "depth, seg, normalbae, lineart, softedge, canny, scribble or tile"

/* Is this the name of a kind below? */
bool kn_public_control_exists(const char *kind);
/* Does it need the shaded colours among the conditions? */
bool kn_public_control_shaded(const char *kind);

/* conditions [KN_CONDITION_CHANNELS][height][width] (render.h) -> out [3][height][width] in 0..1, alike for every
 * camera and frame:
 *   "depth"      inverse depth like MiDaS', three equal channels: 1 at 4 m and nearer, 4 m / depth beyond, sky 0
 *   "seg"        ADE20K's palette, the class that most of the pixel shows
 *   "normalbae"  normals: red is left, green is up, blue is towards the camera; sky faces the camera
 *   "canny"      1 where the instance, the material or the direction of the surface changes, a pixel wide
 *   "lineart"    the same with soft borders;  "softedge" wider;  "scribble" three pixels wide
 *   "tile"       flat colours, sky as the renderer shades it
 * Fails with KN_ERROR_INPUT for another kind. */
bool kn_public_control(const char *kind, const float *conditions, int width, int height, float *out, kn_error *error);

#endif

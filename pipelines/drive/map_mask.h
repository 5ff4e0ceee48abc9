/* The mask of drivable surface that nuScenes tables name. Internal to pipelines/. */
#ifndef KN_PIPELINES_MAP_MASK_H
#define KN_PIPELINES_MAP_MASK_H

#include "kinora/render.h"

#define KN_MAP_MASK_RESOLUTION .1 /* metres per pixel: what nuscenes-devkit's MapMask expects unless it is told */

/* Metres per pixel of a mask of `size` metres: KN_MAP_MASK_RESOLUTION, doubled until the mask has at most 16384 pixels
 * along each side and 64 million in all. */
double kn_map_mask_resolution(const double size[2]);

/* 255 where a lane is, 0 elsewhere; row 0 at the top (largest y). Covers `size` metres from `origin` of the lines'
 * coordinates with pixels of `resolution` metres. *mask [height][width] is freed with kn_free. Where the map gives no
 * lane surfaces, a band along each lane mark stands for them. */
bool kn_map_mask(const kn_map_line *lines, size_t line_count, const double origin[2], const double size[2],
                 double resolution, uint8_t **mask, int *width, int *height, kn_error *error);

#endif

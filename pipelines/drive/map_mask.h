/* The mask of drivable surface that nuScenes tables name. Internal to pipelines/. */
#ifndef KN_PIPELINES_MAP_MASK_H
#define KN_PIPELINES_MAP_MASK_H

#include "kinora/render.h"

/* 255 where a lane is, 0 elsewhere; 0.1 m per pixel, row 0 at the top (largest y). Covers `size` metres from `origin`
 * of the lines' coordinates. *mask [height][width] is freed with kn_free. Where the map gives no lane surfaces, a band
 * along each lane mark stands for them. */
bool kn_map_mask(const kn_map_line *lines, size_t line_count, const double origin[2], const double size[2],
                 uint8_t **mask, int *width, int *height, kn_error *error);

#endif

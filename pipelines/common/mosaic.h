/* All cameras of a rig in one picture. Internal to pipelines/. */
#ifndef KN_PIPELINES_MOSAIC_H
#define KN_PIPELINES_MOSAIC_H

#include "base/base.h"
#include "kinora/camera.h"

typedef struct kn_mosaic {
    int width, height;                                     /* of the whole picture, even */
    int left[KN_RIG_MAX_CAMERAS], top[KN_RIG_MAX_CAMERAS]; /* where each camera's picture goes */
} kn_mosaic;

/* nuScenes' six names: FRONT_LEFT, FRONT, FRONT_RIGHT above BACK_LEFT, BACK, BACK_RIGHT. Other rigs: a near-square grid
 * in the rig's order. Pictures smaller than the largest are centred in their cell. */
void kn_mosaic_init(kn_mosaic *mosaic, const kn_rig *rig);

/* Copies camera `index`'s rgb [height][width][3] into its place in image (mosaic size, 3 channels). */
void kn_mosaic_place(const kn_mosaic *mosaic, kn_image *image, const kn_rig *rig, int index, const uint8_t *rgb);

#endif

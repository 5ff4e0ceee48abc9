/* Cameras and rigs. Shared by scene, diffusion (noise, view order) and mesh. */
#ifndef KINORA_CAMERA_H
#define KINORA_CAMERA_H

#include "kinora/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A pinhole camera without distortion. Camera axes: x right, y down, z forward. Pixel (0, 0) is the centre of the
 * upper left pixel's upper left corner + (0.5, 0.5): a point at camera (X, Y, Z) appears at u = fx X / Z + cx,
 * v = fy Y / Z + cy in pixels, where the image covers [0, width) x [0, height). */
typedef struct kn_camera {
    char name[64];
    int width, height;     /* pixels */
    double k[3][3];        /* intrinsic matrix for that size; last row 0 0 1 */
    double rotation[3][3]; /* camera to parent (ego vehicle, or world once posed); row-major */
    double translation[3]; /* camera centre in the parent, metres */
} kn_camera;

#define KN_RIG_MAX_CAMERAS 16

/* The cameras that move with the ego. Ego frame: x forward, y left, z up, origin on the ground under the rear axle. */
typedef struct kn_rig {
    int camera_count;
    kn_camera cameras[KN_RIG_MAX_CAMERAS];
} kn_rig;

/* nuScenes' six cameras (order FRONT_LEFT, FRONT, FRONT_RIGHT, BACK_RIGHT, BACK, BACK_LEFT), intrinsics scaled from
 * 1600x900 to width x height by the width ratio and cropped at the top so that the horizon stays in the picture. */
void kn_rig_init_nuscenes(kn_rig *rig, int width, int height);

/* Reads {"cameras": [{"name", "width", "height", "K": 3x3, "translation": [3], "rotation": quaternion wxyz or 3x3}]}.
 * width and height > 0 override the file's: pictures are scaled alike in both axes until they cover that size, and cut
 * off evenly on both sides (docs/formats.md). Distorted lenses and unknown members are refused by name. */
bool kn_rig_read(kn_rig *rig, const char *path, int width, int height, kn_error *error);

/* neighbours[i][0] and [1]: the cameras to the left and to the right that camera i shares most of its view with (points
 * 6, 15 and 50 m away), -1 where nobody's view overlaps. Follows from poses and intrinsics alone, for any number of
 * cameras. */
void kn_rig_neighbours(const kn_rig *rig, int neighbours[][2]);

#ifdef __cplusplus
}
#endif
#endif

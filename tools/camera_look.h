/* What a camera does to light, for training pictures: exposure, white balance, contrast, glare, vignette, softness,
 * motion blur and noise. One look belongs to a clip: all of its cameras and frames share it, only noise differs. */
#ifndef KN_TOOLS_CAMERA_LOOK_H
#define KN_TOOLS_CAMERA_LOOK_H

#include "base/base.h"

typedef struct kn_camera_look {
    float gain[3];    /* exposure times white balance, of linear light */
    float saturation; /* 1: as it is */
    float contrast;   /* exponent of luminance about a middle grey */
    float glare;      /* light that is spread over the whole picture, of linear white */
    float vignette;   /* share of light that is missing in the corners */
    float softness;   /* standard deviation of the lens' and the sensor's blur, pixels of a picture 224 high */
    float sharpening; /* share of the detail that is added again */
    float shutter;    /* share of the time between frames in which it is open */
    float shot, read,
        chroma;    /* noise: variance a unit of linear light; standard deviation in the dark; share of colour */
    uint64_t seed; /* of the noise */
} kn_camera_look;

/* Draws the look of a clip from its seed. */
kn_camera_look kn_camera_look_draw(uint64_t seed);

/* Changes picture[3][height][width] (sRGB-encoded, 0..1) in place, in linear light. motion[2][height][width] (pixels
 * since the previous frame) or NULL; `shot` tells pictures of a clip apart. False with KN_ERROR_MEMORY. Thread-safe. */
bool kn_camera_look_apply(const kn_camera_look *look, float *picture, const float *motion, int width, int height,
                          uint64_t shot, kn_error *error);

#endif

/* A small network that says what each pixel of a picture shows: `eval` compares its answer with the labels of the
 * scene. It knows only pictures, so that what it finds again is really to be seen in them. */
#ifndef KINORA_SEGMENTER_H
#define KINORA_SEGMENTER_H

#include "kinora/gpu.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Its classes: sums of the conditions' classes: road, nature, road users, built; and sky. */
typedef enum kn_segment {
    KN_SEGMENT_SKY,
    KN_SEGMENT_ROAD,      /* and lane marks */
    KN_SEGMENT_NATURE,    /* vegetation and terrain */
    KN_SEGMENT_ROAD_USER, /* vehicles, riders, pedestrians */
    KN_SEGMENT_BUILT,     /* buildings, pavements, kerbs, poles, signs and all else */
    KN_SEGMENT_COUNT
} kn_segment;

/* Weights on one device. The gpu outlives it. Not thread-safe. */
typedef struct kn_segmenter kn_segmenter;

/* Reads a folder with config.json and diffusion_pytorch_model.safetensors (training/segmenter.py). Fails with one line
 * that names the file, the tensor or key, and what was expected. */
bool kn_segmenter_create(kn_segmenter **segmenter, kn_gpu *gpu, const char *folder, kn_error *error);
void kn_segmenter_destroy(kn_segmenter **segmenter);

/* The most likely class of each pixel. rgb [height][width][3], sRGB; classes [height][width], kn_segment.
 * Sizes 16..8192. Work is recorded once per size: give pictures of one size one after the other. */
bool kn_segmenter_run(kn_segmenter *segmenter, const uint8_t *rgb, int width, int height, uint8_t *classes,
                      kn_error *error);

#ifdef __cplusplus
}
#endif
#endif

/* Noise that travels with the picture. Every place of the field has a sample of unit Gaussian noise, which remembers
 * where between the places it really is. From one frame to the next each place takes the nearest sample at the end of
 * its motion that no other place has taken, and a fresh one where there is none. No sample is ever used twice or mixed
 * with others and none is chosen by its value, so that every frame's noise is exactly independent and unit Gaussian, as
 * the network expects. Internal to diffusion/. */
#ifndef KN_DIFFUSION_FLOW_NOISE_H
#define KN_DIFFUSION_FLOW_NOISE_H

#include "base/base.h"

typedef struct kn_flow_noise {
    int channels, width, height;
    uint64_t seed, frame; /* the next frame's number, for its fresh samples */
    float *values;        /* [channels][height][width] of the last frame */
    float *offsets;       /* [2][height][width]: from a place to its sample, -1..1 */
    float *fresh, *before, *before_offsets;
    bool *taken;
} kn_flow_noise;

/* Finish also after failure. */
bool kn_flow_noise_init(kn_flow_noise *noise, int channels, int width, int height, uint64_t seed, kn_error *error);
void kn_flow_noise_finish(kn_flow_noise *noise);
/* The next frame's noise in noise->values. motion [2][height][width] in places, confident [height][width]: from below
 * .5 the sample is fresh; NULL: all are. */
void kn_flow_noise_next(kn_flow_noise *noise, const float *motion, const float *confident);

#endif

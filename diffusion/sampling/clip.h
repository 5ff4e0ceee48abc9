/* What the files of kn_clip share. Internal to diffusion/sampling/clip*.c. */
#ifndef KN_DIFFUSION_CLIP_H
#define KN_DIFFUSION_CLIP_H

#include "diffusion/sampling/flow_noise.h"
#include "diffusion/sampling/paint.h"
#include "kinora/clip.h"

struct kn_clip {
    kn_model *model;
    kn_clip_params params;
    kn_paint_params paint; /* the same for the parts of kn_paint; owns its prompts */
    int halves, factor, evaluations;
    size_t cells, floats, pixels; /* of one latent: cells, and cells times channels; of a picture */
    kn_solver *solver;
    kn_paint_plan plan;
    kn_paint_network network;
    bool open;                 /* network is there */
    kn_tiler *encode, *decode; /* NULL for packed pixels */
    kn_flow_noise noise;       /* per pixel for packed pixels, else per cell */
    float *look;               /* [vector size]: what the prompt says beside the context, for models with structure */
    float *extra;              /* [channels][cells]: structure of the frame; NULL */
    float *clean;              /* [floats]: the frame's latent, with strength < 1 */
    float *memory;             /* [evaluations][floats]: clean estimates of the frame before, as they are warped */
    bool remembers;            /* memory holds something */
    float *input, *output, *estimate, *spare, *warped, *motion, *confident; /* of a frame; motion in cells */
};

/* Draws the evaluation's clean estimate `estimate` [floats], as the latent lies, to that of the frame before, and keeps
 * it for the next one. */
void kn_clip_lock(kn_clip *clip, const kn_clip_frame *frame, int evaluation);
/* The frame's motion and trust per latent cell, in cells: clip->motion and clip->confident. */
void kn_clip_cells(kn_clip *clip, const kn_clip_frame *frame);
/* PyTorch's pixel_unshuffle and pixel_shuffle of 3 planes. */
void kn_clip_pack(const float *planes, int width, int height, int block, float *packed);
void kn_clip_unpack(const float *packed, int width, int height, int block, float *planes);

#endif

/* Repainting film frame by frame with a diffusion model, steady along the motion in the picture: noise that travels
 * with the surfaces it lies on, and clean estimates that agree with those of the frame before. Works with any model of
 * the Stable Diffusion family and its ControlNets, and with models that take structure (kn_model_info.structure).
 *
 *     kn_clip_params params = KN_CLIP_PARAMS_DEFAULT;
 *     params.width = 640, params.height = 360, params.prompt = "anime";
 *     kn_clip_create(&clip, model, &params, &error);
 *     for each frame: kn_clip_next(clip, &(kn_clip_frame){.picture = rgb, .motion = m, .confident = c}, out, &error);
 */
#ifndef KINORA_CLIP_H
#define KINORA_CLIP_H

#include "kinora/paint.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct kn_clip_params {
    const char *prompt, *negative; /* UTF-8, weighted as in kn_paint; NULL: "" */
    int width, height;             /* pixels, multiples of the model's latent_factor */
    int steps;                     /* evaluations of the network from `strength` on; 0: the model's default */
    kn_method method;
    kn_noise_spacing spacing;
    float guidance; /* classifier-free guidance; up to 1: no unconditional half */
    float strength; /* 0..1: 1 starts from noise alone, less from the frame with that much of it */
    float grain;    /* 0..1: how much of the unit noise it starts from: less gives calmer pictures and less texture */
    float lock; /* 0..1: how far each clean estimate is drawn to that of the frame before along the motion; 0: off */
    bool fresh_noise; /* no travelling: each frame has noise of its own */
    bool fixed_noise; /* no travelling: all frames have the same noise, which sticks to the screen */
    uint64_t seed;
    int control_count;
    kn_paint_control controls[KN_MAX_CONTROLS]; /* pictures come with the frames */
} kn_clip_params;
#define KN_CLIP_PARAMS_DEFAULT ((kn_clip_params){.guidance = 1, .strength = 1, .grain = 1, .lock = 0.5f})

typedef struct kn_clip_frame {
    const float *picture;                   /* [3][height][width], 0..1, sRGB-encoded */
    const float *controls[KN_MAX_CONTROLS]; /* [channels][height][width] each */
    const float *motion;    /* [2][height][width]: where each pixel was in the frame before (kn_flow_next); NULL: a shot
                               begins */
    const float *confident; /* [height][width], 0..1: how far that can be trusted; with `motion` */
} kn_clip_frame;

/* One shot after another on a device. The model outlives it. Not thread-safe. */
typedef struct kn_clip kn_clip;

/* Strings live until the call returns. Fails with KN_ERROR_INPUT naming the parameter, KN_ERROR_MEMORY. */
bool kn_clip_create(kn_clip **clip, kn_model *model, const kn_clip_params *params, kn_error *error);
void kn_clip_destroy(kn_clip **clip);

/* Paints the next frame into rgb[3][height][width], 0..1. KN_ERROR_INTERNAL when the network gave numbers that are not
 * finite. */
bool kn_clip_next(kn_clip *clip, const kn_clip_frame *frame, float *rgb, kn_error *error);

/* What the next frame takes from those before: [kn_clip_memory_floats] to keep and to give back, so that a clip goes on
 * in another process just as it would have. */
size_t kn_clip_memory_floats(const kn_clip *clip);
void kn_clip_memory_read(const kn_clip *clip, float *memory);
void kn_clip_memory_write(kn_clip *clip, const float *memory);

/* What public ControlNets are shown of a frame: picture [3][height][width] in 0..1 -> out of the same shape.
 * "lineart": dark lines and borders, white on black; "softedge": strength of the edges; "canny": thin edges, 100 and
 * 200 of 255 as thresholds; "scribble": broad lines; "tile": the picture itself. Fails with KN_ERROR_INPUT for another
 * kind. */
bool kn_annotate(const char *kind, const float *picture, int width, int height, float *out, kn_error *error);

#ifdef __cplusplus
}
#endif
#endif

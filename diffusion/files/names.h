/* Tensor names of other tools -> diffusers' names, which Kinora's networks use. Internal to diffusion/. */
#ifndef KN_DIFFUSION_NAMES_H
#define KN_DIFFUSION_NAMES_H

#include "diffusion/files/tensors.h"

/* The networks that a file may hold. */
typedef enum kn_part {
    KN_PART_UNET,
    KN_PART_AUTOENCODER,
    KN_PART_TINY,
    KN_PART_TEXT,
    KN_PART_CONTROLNET,
    KN_PART_COUNT
} kn_part;

/* How a network's tensors are called. */
typedef enum kn_naming {
    KN_NAMING_DIFFUSERS, /* as in diffusers' and transformers' state_dict */
    KN_NAMING_LDM,       /* CompVis' latent-diffusion: UNet, autoencoder; ControlNet's own repository */
    KN_NAMING_OPENCLIP,  /* text encoder of SD2.x, with q, k and v in one matrix */
    KN_NAMING_TAESD_ENCODER,
    KN_NAMING_TAESD_DECODER /* indices of a torch.nn.Sequential */
} kn_naming;

/* Numbers of a network that its names alone do not tell. */
typedef struct kn_layout {
    int layers;    /* UNet, ControlNet: residual blocks of a level */
    int levels;    /* autoencoder: resolutions */
    int last_hint; /* ControlNet: index of the last convolution of input_hint_block */
} kn_layout;

#define KN_TENSOR_NAME_SIZE 256

/* Writes the diffusers name of `name` (without the part's prefix) to out[KN_TENSOR_NAME_SIZE]; false when it has none.
 * A fused
 * "...self_attn.in_proj_weight" stays in one piece. */
bool kn_name_translate(kn_part part, kn_naming naming, const kn_layout *layout, const char *name, char *out);

/* Whether `text` begins with `start`. */
bool kn_name_starts(const char *text, const char *start);
bool kn_name_ends(const char *text, const char *end);

#endif

/* A loaded model. Internal to diffusion/. */
#ifndef KN_DIFFUSION_MODEL_H
#define KN_DIFFUSION_MODEL_H

#include "diffusion/networks/autoencoder.h"
#include "diffusion/sampling/component.h"
#include "diffusion/sampling/schedule.h"
#include "diffusion/networks/text_encoder.h"
#include "diffusion/text/tokenizer.h"
#include "diffusion/networks/unet.h"

struct kn_model {
    unsigned revision; /* changes with the weights: what was made with others is stale */
    kn_gpu *gpu;
    kn_model_params params;
    kn_model_info info;
    kn_unet unet;
    kn_autoencoder autoencoder;
    kn_schedule schedule;
    kn_text_encoder text_encoder; /* with info.text */
    kn_tokenizer *tokenizer;
    kn_controlnet controlnets[KN_MAX_CONTROLS];
    /* The control whose condition pictures the UNet also takes, as means over each latent cell, behind the latent's
     * channels (unet/config.json: `condition_means`, Kinora's own); empty: none. */
    char condition_means[64];
    bool lazy; /* weights come and go: what follows lives as long as the model, else only while loading */
    /* One more than can be used: a ControlNet too many is refused with its part open. */
    kn_component parts[4 + KN_MAX_CONTROLS];
    int part_count;
    kn_checkpoint *checkpoint; /* of a single file */
    kn_lora_set *loras;
};

/* With KN_RESIDENCY_ONE takes a network's weights off the device; work that was recorded with them must be gone. */
void kn_model_leave(const kn_model *model, kn_layers *layers);

#endif

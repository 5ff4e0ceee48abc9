/* A loaded model. Internal to diffusion/. */
#ifndef KN_DIFFUSION_MODEL_H
#define KN_DIFFUSION_MODEL_H

#include "diffusion/autoencoder.h"
#include "diffusion/checkpoint.h"
#include "diffusion/schedule.h"
#include "diffusion/text_encoder.h"
#include "diffusion/tokenizer.h"
#include "diffusion/unet.h"

struct kn_model {
    kn_gpu *gpu;
    kn_model_params params;
    kn_model_info info;
    kn_unet unet;
    kn_autoencoder autoencoder;
    kn_schedule schedule;
    kn_text_encoder text_encoder; /* with info.text */
    kn_tokenizer *tokenizer;
    kn_controlnet controlnets[KN_MAX_CONTROLS];
    kn_checkpoint *checkpoint; /* while a single file is loaded */
    kn_lora_set *loras;        /* while loading */
};

#endif

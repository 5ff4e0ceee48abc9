/* What the files of LoRAs share. Internal to diffusion/lora*.c. */
#ifndef KN_DIFFUSION_LORA_INTERNAL_H
#define KN_DIFFUSION_LORA_INTERNAL_H

#include "diffusion/lora.h"

#define KN_LORA_KEY_SIZE 256

/* Parts of an adaptation; R: its rank, O, I, K: outputs, inputs and kernel places of the layer. */
typedef enum kn_lora_role {
    KN_LORA_DOWN, KN_LORA_UP, KN_LORA_MID,         /* [R][I][K], [O][R]; Tucker form: mid [R][R][K] and down [R][I] */
    KN_LORA_DIFFERENCE,                            /* [O][I][K] */
    KN_LOHA_1A, KN_LOHA_1B, KN_LOHA_2A, KN_LOHA_2B, KN_LOHA_1T, KN_LOHA_2T, /* [O][R], [R][I][K]; Tucker form: a [R][O], b [R][I], t [R][R][K] */
    KN_LOKR_1, KN_LOKR_1A, KN_LOKR_1B, KN_LOKR_2, KN_LOKR_2A, KN_LOKR_2B, KN_LOKR_2T,
    KN_LORA_ALPHA,                                 /* one number */
    KN_LORA_MAGNITUDE,                             /* DoRA: one number for each output, or for each input */
    KN_LORA_ROLES
} kn_lora_role;

/* What one file does to one layer. */
typedef struct kn_adaptation {
    char key[KN_LORA_KEY_SIZE];                    /* "unet " or "text ", and the layer's name with '_' for '.' */
    const kn_archive *file;
    int order;                                     /* of the file among those of its set: DoRA sees what the ones before it changed */
    float strength;
    const kn_stored_tensor *parts[KN_LORA_ROLES];  /* NULL: not there */
    bool used;
} kn_adaptation;

/* Fails when the parts are not those of one kind of adaptation. */
bool kn_adaptation_check(const kn_adaptation *layer, kn_error *error);
/* Adds it to a tensor's values[tensor->count]. */
bool kn_adaptation_apply(const kn_adaptation *layer, const kn_stored_tensor *tensor, float *values, kn_error *error);

#endif

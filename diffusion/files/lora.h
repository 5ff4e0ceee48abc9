/* Adaptations that are added to weights when they go to the device: LoRA (arXiv 2106.09685; LoCon for convolutions),
 * LoHa and LoKr (LyCORIS), each also as DoRA, OFT and GLoRA. W += strength * difference; DoRA's difference is that to
 * the weight with its learned lengths. Internal to diffusion/. */
#ifndef KN_DIFFUSION_LORA_H
#define KN_DIFFUSION_LORA_H

#include "diffusion/files/tensors.h"
#include "kinora/diffusion.h"

typedef struct kn_lora_set kn_lora_set;

typedef enum kn_lora_target { KN_LORA_UNET, KN_LORA_TEXT } kn_lora_target;

/* Opens the files. Understood are kohya's names (lora_unet_..., lora_te_... with lora_down, lora_up, lora_mid, alpha;
 * the UNet's also in ldm naming), diffusers' (unet..., text_encoder... with lora.down, to_q_lora.down,
 * lora_linear_layer.down) and PEFT's (lora_A, lora_B, lora_magnitude_vector), and LyCORIS' (hada_*, lokr_*,
 * dora_scale). A tensor of any other kind is refused with its name. */
bool kn_lora_set_create(kn_lora_set **set, const kn_lora_use *uses, int count, kn_error *error);
void kn_lora_set_destroy(kn_lora_set **set);

/* Whether kn_lora_apply would change the tensor at some strength; notes that its adaptations have found their
 * tensor. */
bool kn_lora_adapts(kn_lora_set *set, kn_lora_target target, const kn_stored_tensor *tensor);
/* The strength of the file with that index, from now on. */
void kn_lora_set_strength(kn_lora_set *set, int index, float strength);
/* Adds every adaptation of `tensor` (diffusers' name) to its values[tensor->count]. Fails when shapes do not fit. */
bool kn_lora_apply(kn_lora_set *set, kn_lora_target target, const kn_stored_tensor *tensor, float *values,
                   kn_error *error);
/* Fails when adaptations found no tensor, naming file and tensors. Those of the text encoder are let through unless
 * `text`. */
bool kn_lora_check_used(const kn_lora_set *set, bool text, kn_error *error);

#endif

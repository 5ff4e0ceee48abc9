/* The tensors of a network, looked up by name while it is built, from one or more files of any format. Internal to
 * diffusion/. */
#ifndef KN_DIFFUSION_WEIGHTS_H
#define KN_DIFFUSION_WEIGHTS_H

#include "diffusion/files/lora.h"
#include "diffusion/files/safetensors.h"

typedef struct kn_weights kn_weights;

bool kn_weights_create(kn_weights **weights, kn_error *error);
void kn_weights_destroy(kn_weights **weights);

/* Adds a file's tensors. A name that another file already gave is refused. */
bool kn_weights_add(kn_weights *weights, const char *path, kn_error *error);
/* Adds tensors that outlive the weights; `path` is the file for messages, `map` where most of their bytes lie (may be
 * NULL). */
bool kn_weights_add_tensors(kn_weights *weights, const kn_stored_tensor *tensors, size_t count, const char *path,
                            const kn_file_map *map, kn_error *error);
/* Adds the weights of a diffusers component folder: "<folder>/<stem>.safetensors", or the files that
 * "<folder>/<stem>.safetensors.index.json" names, where stem is diffusion_pytorch_model or model; else .bin (a zip
 * archive of PyTorch's) or .gguf. */
bool kn_weights_add_folder(kn_weights *weights, const char *folder, kn_error *error);

/* Tensors sorted by name. */
size_t kn_weights_count(const kn_weights *weights);
const kn_stored_tensor *kn_weights_at(const kn_weights *weights, size_t index);

/* A network that is loaded from lazy weights takes its matrices to the device when an operation needs them
 * (kn_weight_origin) and may give them up again: the weights must outlive it. Shapes and names are checked at once all
 * the same. */
void kn_weights_set_lazy(kn_weights *weights, bool lazy);
bool kn_weights_is_lazy(const kn_weights *weights);

/* What kn_weights_read adds to the tensors; `set` outlives the weights. */
void kn_weights_set_loras(kn_weights *weights, kn_lora_set *set, kn_lora_target target);

bool kn_weights_has(const kn_weights *weights, const char *name);
/* The shape of a tensor that may be absent (NULL then), without taking it. */
const kn_stored_tensor *kn_weights_peek(const kn_weights *weights, const char *name);
/* The tensor of that name, marked as used; fails naming it when it is absent or has another shape. Trailing dimensions
 * of 1 in the file are accepted (1x1 convolutions stand in for linear layers). */
const kn_stored_tensor *kn_weights_take(kn_weights *weights, const char *name, int rank, const int64_t *shape,
                                        kn_error *error);
/* A tensor's values with the LoRAs' differences as fp32: out[tensor->count]. */
bool kn_weights_read(const kn_weights *weights, const kn_stored_tensor *tensor, float *out, kn_error *error);
/* Whether a LoRA, of whatever strength, changes the tensor. */
bool kn_weights_is_adapted(const kn_weights *weights, const kn_stored_tensor *tensor);
/* The values as fp16 as they lie in the file (perhaps unaligned), when kn_weights_read would give just them; else
 * NULL. */
const void *kn_weights_raw_half(const kn_weights *weights, const kn_stored_tensor *tensor);
/* A tensor was used: its pages need not stay in the process's memory. */
void kn_weights_drop(const kn_weights *weights, const kn_stored_tensor *tensor);
/* Fails when tensors were never taken, naming the first ones. Buffers without a part in inference (position_ids,
 * text_projection) are let through. */
bool kn_weights_check_used(const kn_weights *weights, kn_error *error);

#endif

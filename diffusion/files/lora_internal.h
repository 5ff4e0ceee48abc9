/* What the files of LoRAs share. Internal to diffusion/files/lora*.c. */
#ifndef KN_DIFFUSION_LORA_INTERNAL_H
#define KN_DIFFUSION_LORA_INTERNAL_H

#include "diffusion/files/lora.h"

#define KN_LORA_KEY_SIZE 256

/* Parts of an adaptation; R: its rank, O, I, K: outputs, inputs and kernel places of the layer. */
typedef enum kn_lora_role {
    KN_LORA_DOWN,
    KN_LORA_UP,
    KN_LORA_MID,        /* [R][I][K], [O][R]; Tucker form: mid [R][R][K] and down [R][I] */
    KN_LORA_DIFFERENCE, /* [O][I][K] */
    KN_LOHA_1A,
    KN_LOHA_1B,
    KN_LOHA_2A,
    KN_LOHA_2B,
    KN_LOHA_1T,
    KN_LOHA_2T, /* [O][R], [R][I][K]; Tucker form: a [R][O], b [R][I], t [R][R][K] */
    KN_LOKR_1,
    KN_LOKR_1A,
    KN_LOKR_1B,
    KN_LOKR_2,
    KN_LOKR_2A,
    KN_LOKR_2B,
    KN_LOKR_2T,
    KN_OFT_BLOCKS,
    KN_OFT_DIAGONAL,
    KN_OFT_RESCALE, /* [B][O/B][O/B]: what is turned into rotations, or the rotations themselves; [O] */
    KN_GLORA_A1,
    KN_GLORA_A2,
    KN_GLORA_B1,
    KN_GLORA_B2,
    KN_GLORA_BM,       /* [I][R], [R][I], [O][R], [R][I][K]; Tucker form: bm [R][R][K] and b2 [R][I] */
    KN_LORA_ALPHA,     /* one number */
    KN_LORA_MAGNITUDE, /* DoRA: one number for each output, or for each input */
    KN_LORA_ROLES
} kn_lora_role;

/* What one file does to one layer. */
typedef struct kn_adaptation {
    char key[KN_LORA_KEY_SIZE]; /* "unet " or "text ", and the layer's name with '_' for '.' */
    const kn_archive *file;
    int order; /* of the file among those of its set: DoRA sees what the ones before it changed */
    float strength;
    const kn_stored_tensor *parts[KN_LORA_ROLES]; /* NULL: not there */
    float given_scale;                            /* with has_scale: what the file's config says alpha / rank is */
    bool has_scale, used;
} kn_adaptation;

/* Fails when the parts are not those of one kind of adaptation. */
bool kn_adaptation_check(const kn_adaptation *layer, kn_error *error);
/* Adds it to a tensor's values[tensor->count]. */
bool kn_adaptation_apply(const kn_adaptation *layer, const kn_stored_tensor *tensor, float *values, kn_error *error);

/* --- what lora_apply.c and lora_turn.c share -------------------------------------------------- */

/* A layer's weight: [rows][inputs][taps]. */
typedef struct kn_adaptation_shape {
    size_t rows, inputs, taps;
} kn_adaptation_shape;

/* Fails: the part's shape does not fit the tensor's. */
bool kn_adaptation_misfit(const kn_adaptation *layer, const kn_stored_tensor *part, const kn_stored_tensor *tensor,
                          kn_error *error);
/* All its elements, in new memory. */
float *kn_adaptation_floats(const kn_stored_tensor *tensor, kn_error *error);
/* Its first dimension, or 0. */
size_t kn_adaptation_rows(const kn_stored_tensor *tensor);
/* Whether its first two dimensions and the number of its elements are these. */
bool kn_adaptation_is_matrix(const kn_stored_tensor *part, size_t rows, size_t columns, size_t count);
/* Reads the scales of one file's layers from `config_path` (adapter_config.json) or, when that is NULL, from the file's
 * header. Layers with an alpha of their own keep it. */
bool kn_lora_read_scales(kn_adaptation *layers, size_t count, const kn_archive *file, const char *config_path,
                         kn_error *error);
/* alpha / rank, or what the file's config says; 1 without either. */
float kn_adaptation_scale(const kn_adaptation *layer, size_t rank);
/* A product a b [rows][inputs * taps], or with `mid` sum_ij a[.][i] mid[i][j] b[j][.]; `turned`: a is [rank][rows], as
 * LyCORIS has it in Tucker form. In new memory; *rank is that of the factors. */
float *kn_adaptation_product(const kn_adaptation *layer, const kn_stored_tensor *a, const kn_stored_tensor *b,
                             const kn_stored_tensor *mid, bool turned, size_t rows, size_t inputs, size_t taps,
                             const kn_stored_tensor *tensor, size_t *rank, kn_error *error);

/* Differences that depend on the weight, values[rows][inputs][taps]; in new memory, alpha included, without the
 * strength: OFT's and GLoRA's. */
float *kn_adaptation_turn(const kn_adaptation *layer, const kn_stored_tensor *tensor, kn_adaptation_shape s,
                          const float *values, kn_error *error);
float *kn_adaptation_general(const kn_adaptation *layer, const kn_stored_tensor *tensor, kn_adaptation_shape s,
                             const float *values, kn_error *error);

#endif

/* Memory plans: what a run will take on the device, found before it starts, and the autoencoder in tiles when the whole
 * picture does not fit. Internal to Kinora. */
#ifndef KN_DIFFUSION_PLAN_H
#define KN_DIFFUSION_PLAN_H

#include "diffusion/sampling/model.h"

/* Bytes that may still be allocated on the device: what its memory (a software device's: the machine) has left, at most
 * `max_memory` in all (0: no limit). */
uint64_t kn_plan_free_bytes(const kn_gpu *gpu, uint64_t max_memory);

/* How an autoencoder goes over one picture. Sizes are latent cells; tiles of the whole size when it goes in one
 * piece. */
typedef struct kn_tiling {
    bool decode;
    int width, height;           /* of the latent */
    int tile_width, tile_height; /* all tiles are of this size; neighbours overlap */
    int columns, rows;
    uint64_t arena; /* bytes of its activations; 0: not known */
    uint64_t bytes; /* device memory that it will take, with the weights that are not there yet */
} kn_tiling;

/* Square tiles of at most `tile` cells; bytes stays 0. */
kn_tiling kn_tiling_of(bool decode, int width, int height, int tile);
/* Smaller tiles, for when memory ran out all the same; bytes stay as they are. False when there are none. */
bool kn_tiling_shrink(kn_tiling *tiling);
/* Chooses the whole picture, or the largest tiles that fit into what is free. Fails with KN_ERROR_MEMORY, naming what
 * the smallest plan would take, when none fits. width, height: of the latent. */
bool kn_plan_tiling(kn_tiling *tiling, const kn_autoencoder *autoencoder, kn_gpu *gpu, bool decode, int width,
                    int height, uint64_t max_memory, kn_error *error);

/* An autoencoder recorded for a tiling; runs any number of pictures. Not thread-safe. */
typedef struct kn_tiler kn_tiler;
bool kn_tiler_create(kn_tiler **tiler, const kn_autoencoder *autoencoder, kn_gpu *gpu, const kn_tiling *tiling,
                     kn_error *error);
void kn_tiler_destroy(kn_tiler **tiler); /* accepts NULL and clears the handle */
/* Decodes in[latent_channels][height][width] to out[3][height * factor][width * factor], or encodes the other way
 * round. Values are kn_autoencoder_decode's and kn_autoencoder_encode's. Where tiles overlap they are blended
 * linearly. */
bool kn_tiler_run(kn_tiler *tiler, const float *in, float *out, kn_error *error);

#endif

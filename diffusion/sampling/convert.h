/* Converts weight files: formats, element types, and between single files and diffusers folders. Internal to Kinora. */
#ifndef KN_DIFFUSION_CONVERT_H
#define KN_DIFFUSION_CONVERT_H

#include "base/base.h"

typedef struct kn_convert_job {
    const char *input;  /* a file of any format, or a diffusers folder */
    const char *output; /* .safetensors, .gguf, or a folder (ends with '/', or is one) */
    const char *type;   /* f32, f16, bf16, q8_0, q4_0, q4_k, q5_k, q6_k; NULL: as they are */
    kn_log log;
} kn_convert_job;

typedef struct kn_convert_facts {
    size_t tensors, dropped; /* written; left over from training */
    uint64_t bytes;          /* of tensors written */
    char what[200];          /* "Stable Diffusion 1.x, UNet + ..."; "" when the file is none that Kinora runs */
} kn_convert_facts;

/* A file becomes a file with the same tensor names, or a diffusers folder with configs derived from the shapes (a file
 * with one network: that network's folder). A folder becomes a file with the prefixes unet., vae., text_encoder. .
 * Matrices whose rows are whole blocks are quantised (rows of 32 to Q8_0 where a K format needs 256), others stay as
 * they are; what is not floating stays. One tensor at a time is in memory. Nothing appears under the output's name
 * unless it is complete (folders: per file). */
bool kn_convert_run(const kn_convert_job *job, kn_convert_facts *facts, kn_error *error);

#endif

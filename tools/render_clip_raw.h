/* The raw training file of kinora-render-clip: one safetensors file that is written sample by sample. */
#ifndef KN_TOOLS_RENDER_CLIP_RAW_H
#define KN_TOOLS_RENDER_CLIP_RAW_H

#include "base/base.h"
#include "kinora/render.h"

/* Which tensors beside `conditions` and `beauty` a raw file holds. */
typedef struct kn_raw_params {
    size_t sample_count; /* N */
    int width, height;
    bool depth, instance, motion, noise, semantic;
    const char *metadata; /* the inside of the JSON object __metadata__: "\"a\":\"b\",..." */
} kn_raw_params;

/* safetensors: conditions U8 [N,30,H,W] (include/kinora/render.h; 0..1 -> 0..255; normals -1..1 -> 0..255), beauty U8
 * [N,3,H,W], and by choice depth F16 [N,H,W] (metres, inf for sky), instance U16 [N,H,W], motion F16 [N,2,H,W]
 * (pixels), noise F16 [N,3,H,W] (anchored, unit Gaussian), semantic U8 [N,H,W]. Appears under its name only when
 * complete. */
typedef struct kn_raw_writer {
    kn_raw_params params;
    kn_file_writer file;
    uint64_t data_start; /* bytes */
    uint64_t offsets[7]; /* of each tensor in the data part, bytes */
    void *row;           /* scratch for one tensor of one sample */
} kn_raw_writer;

bool kn_raw_writer_init(kn_raw_writer *writer, const char *path, const kn_raw_params *params, kn_error *error);
/* Stores what was rendered as sample `index`. */
bool kn_raw_writer_put(kn_raw_writer *writer, size_t index, const kn_render_target *target, kn_error *error);
bool kn_raw_writer_commit(kn_raw_writer *writer, kn_error *error); /* also finishes, whatever the outcome */
void kn_raw_writer_finish(kn_raw_writer *writer);

#endif

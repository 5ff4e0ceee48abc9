/* GGUF files, version 2 and 3, little-endian: a table of metadata, a table of tensors, then their bytes, each at a
 * multiple of the alignment. Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Internal to
 * diffusion/. */
#ifndef KN_DIFFUSION_GGUF_H
#define KN_DIFFUSION_GGUF_H

#include "diffusion/files/safetensors.h"

/* Reading is kn_archive_open. Types F64, F32, F16, BF16, I64, I32, I16, I8, Q8_0, Q4_0, Q4_K, Q5_K, Q6_K; others are
 * refused. */

/* Writes version 3 beside `path` and renames it into place: tensors in the given order with data from `source`, and the
 * metadata general.architecture = `architecture`. */
bool kn_gguf_write_from(const char *path, const char *architecture, const kn_stored_tensor *tensors, size_t count,
                        kn_tensor_source *source, void *user, kn_error *error);

#endif

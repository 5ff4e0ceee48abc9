/* safetensors files: a little-endian 64-bit header length, a JSON header, then the tensors' bytes.
 * Format: https://huggingface.co/docs/safetensors. Internal to diffusion/. */
#ifndef KN_DIFFUSION_SAFETENSORS_H
#define KN_DIFFUSION_SAFETENSORS_H

#include "diffusion/files/tensors.h"

typedef kn_archive kn_safetensors;

/* Maps and checks a file: header within the file and at most 100 MB, known types, shapes whose product matches the byte
 * range, ranges inside the file that neither overlap nor leave gaps, no name twice. A refusal names file, tensor and
 * reason. */
bool kn_safetensors_open(kn_safetensors **file, const char *path, kn_error *error);
/* The same for bytes in memory, which must outlive the handle; `label` stands for the path in messages. */
bool kn_safetensors_parse(kn_safetensors **file, const uint8_t *data, size_t size, const char *label, kn_error *error);
void kn_safetensors_close(kn_safetensors **file);

/* Tensors sorted by name. */
const kn_stored_tensor *kn_safetensors_tensors(const kn_safetensors *file, size_t *count);
const kn_stored_tensor *kn_safetensors_find(const kn_safetensors *file, const char *name); /* NULL when absent */

/* Writes tensors (name, dtype, rank, shape, data; count is derived from the shape) in the given order, beside `path`,
 * and renames the file into place. Names must be distinct. */
bool kn_safetensors_write(const char *path, const kn_stored_tensor *tensors, size_t count, kn_error *error);

/* Gives the bytes of tensors[index], valid until the next call; NULL with the error set. */
typedef const uint8_t *kn_tensor_source(void *user, size_t index, kn_error *error);
/* The same with bytes that are made one tensor at a time; tensors[].data is not read. */
bool kn_safetensors_write_from(const char *path, const kn_stored_tensor *tensors, size_t count,
                               kn_tensor_source *source, void *user, kn_error *error);

#endif

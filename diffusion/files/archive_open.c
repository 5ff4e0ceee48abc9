/* Which format a file of tensors has. */
#include "diffusion/files/settle.h"
#include "diffusion/files/tensors.h"

#include <string.h>

/* A header of JSON of a length that fits. Such a length may look like the beginning of a pickle. */
static bool is_safetensors(const uint8_t *data, size_t size) {
    uint64_t length = 0;
    for (int i = 7; size > 8 && i >= 0; i--) length = length << 8 | data[i];
    return size > 8 && length <= size - 8 && data[8] == '{';
}

static bool read_by_format(kn_archive *archive, const uint8_t *data, size_t size, kn_error *error) {
    if (is_safetensors(data, size)) return kn_safetensors_read(archive, data, size, error);
    if (size >= 4 && memcmp(data, "GGUF", 4) == 0) return kn_gguf_read(archive, data, size, error);
    if (size >= 4 && memcmp(data, "PK\3\4", 4) == 0) return kn_torch_read(archive, data, size, error);
    if (size >= 2 && data[0] == 0x80 && data[1] <= 5)
        return kn_fail(error, KN_ERROR_UNSUPPORTED,
                       "%s: a pickle without a zip archive around it (PyTorch before 1.6): save it again with a newer "
                       "torch.save, or convert it to safetensors",
                       archive->path);
    return kn_safetensors_read(archive, data, size, error);
}

static bool read_any(kn_archive *archive, const uint8_t *data, size_t size, kn_error *error) {
    return read_by_format(archive, data, size, error) && kn_archive_settle(archive, error);
}

bool kn_archive_open(kn_archive **archive, const char *path, kn_error *error) {
    return kn_archive_open_as(archive, path, read_any, error);
}

bool kn_archive_parse(kn_archive **archive, const uint8_t *data, size_t size, const char *label, kn_error *error) {
    return kn_archive_parse_as(archive, data, size, label, read_any, error);
}

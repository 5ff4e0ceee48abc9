/* Which format a file of tensors has. */
#include "diffusion/files/tensors.h"

#include <string.h>

static bool read_any(kn_archive *archive, const uint8_t *data, size_t size, kn_error *error) {
    if (size >= 4 && memcmp(data, "GGUF", 4) == 0) return kn_gguf_read(archive, data, size, error);
    if (size >= 4 && memcmp(data, "PK\3\4", 4) == 0) return kn_torch_read(archive, data, size, error);
    if (size >= 2 && data[0] == 0x80 && data[1] <= 5)
        return kn_fail(error, KN_ERROR_UNSUPPORTED,
                       "%s: a pickle without a zip archive around it (PyTorch before 1.6): save it again with a newer "
                       "torch.save, or convert it to safetensors",
                       archive->path);
    return kn_safetensors_read(archive, data, size, error);
}

bool kn_archive_open(kn_archive **archive, const char *path, kn_error *error) {
    return kn_archive_open_as(archive, path, read_any, error);
}

bool kn_archive_parse(kn_archive **archive, const uint8_t *data, size_t size, const char *label, kn_error *error) {
    return kn_archive_parse_as(archive, data, size, label, read_any, error);
}

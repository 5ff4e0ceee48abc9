/* Reads any bytes as a GGUF file and touches everything that was accepted. */
#include "diffusion/files/tensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    kn_archive *archive;
    if (!kn_archive_parse_as(&archive, data, size, "fuzz", kn_gguf_read, NULL)) return 0;
    for (size_t i = 0; i < archive->count; i++) {
        const kn_stored_tensor *tensor = &archive->tensors[i];
        float *values = kn_alloc(tensor->count, sizeof *values, NULL);
        if (kn_archive_find(archive, tensor->name) != tensor) __builtin_trap();
        if (values) kn_stored_tensor_to_float(tensor, values);
        kn_free(values);
    }
    kn_archive_close(&archive);
    return 0;
}

/* Reads any bytes as a safetensors file and touches everything that was accepted. */
#include "diffusion/files/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    kn_error error;
    kn_safetensors *file;
    if (!kn_safetensors_parse(&file, data, size, "fuzz", &error)) return 0;
    size_t count;
    const kn_stored_tensor *tensors = kn_safetensors_tensors(file, &count);
    for (size_t i = 0; i < count; i++) {
        char shape[64];
        float *values = kn_alloc(tensors[i].count, sizeof *values, NULL);
        kn_stored_tensor_shape(&tensors[i], shape, sizeof shape);
        if (kn_safetensors_find(file, tensors[i].name) != &tensors[i]) __builtin_trap();
        if (values) kn_stored_tensor_to_float(&tensors[i], values);
        kn_free(values);
    }
    kn_safetensors_close(&file);
    return 0;
}

#include "diffusion/layers.h"

#include <stdarg.h>
#include <string.h>

void kn_layers_init(kn_layers *layers, kn_gpu *gpu, kn_weights *source, kn_precision precision) {
    *layers = (kn_layers){.gpu = gpu, .source = source, .precision = precision};
}

void kn_layers_finish(kn_layers *layers) {
    for (size_t i = 0; i < layers->weight_count; i++)
        kn_weight_destroy(layers->weights[i]);
    for (size_t i = 0; i < layers->buffer_count; i++)
        kn_gpu_buffer_destroy(&layers->buffers[i]);
    kn_free(layers->weights);
    kn_free(layers->buffers);
    kn_arena_finish(&layers->arena);
    *layers = (kn_layers){0};
}

kn_name kn_name_of(const char *format, ...) {
    kn_name name;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(name.text, sizeof name.text, format, arguments);
    va_end(arguments);
    return name;
}

void kn_tensor_replace(kn_graph *graph, kn_tensor *tensor, kn_tensor *next) {
    kn_graph_release(graph, tensor);
    *tensor = *next;
    *next = (kn_tensor){0};
}

/* --- loading ----------------------------------------------------------------------------------------------------------- */

/* Registers a weight made from fp16 or fp32 data. */
static kn_weight *add_weight(kn_layers *layers, const void *data, bool half_data, const float *bias, int out, int in, int kernel, bool half, kn_error *error) {
    if (!kn_grow(&layers->weights, &layers->weight_capacity, layers->weight_count + 1, sizeof *layers->weights, error))
        return NULL;
    kn_weight *weight = kn_arena_alloc(&layers->arena, 1, sizeof *weight, error);
    if (!weight || !kn_weight_create_from(weight, layers->gpu, data, half_data, bias, out, in, kernel, kernel, half, error))
        return NULL;
    layers->weights[layers->weight_count++] = weight;
    return weight;
}

kn_weight *kn_layers_weight(kn_layers *layers, const float *data, const float *bias, int out, int in, int kernel, bool half, kn_error *error) {
    return add_weight(layers, data, false, bias, out, in, kernel, half, error);
}

/* A tensor's values as fp32 in new memory (kn_free). */
static float *take_floats(kn_layers *layers, const char *name, int rank, const int64_t *shape, kn_error *error) {
    const kn_stored_tensor *tensor = kn_weights_take(layers->source, name, rank, shape, error);
    float *data = tensor ? kn_alloc(tensor->count, sizeof *data, error) : NULL;
    if (!data)
        return NULL;
    if (!kn_weights_read(layers->source, tensor, data, error)) {
        kn_free(data);
        return NULL;
    }
    layers->parameters += tensor->count;
    return data;
}

static kn_weight *load(kn_layers *layers, const char *prefix, const char *suffix, int rank, const int64_t shape[4], bool bias, kn_error *error) {
    kn_name weight_name = kn_name_of("%s%s.weight", prefix, suffix), bias_name = kn_name_of("%s%s.bias", prefix, suffix);
    const kn_stored_tensor *tensor = kn_weights_take(layers->source, weight_name.text, rank, shape, error);
    if (!tensor)
        return NULL;
    bool half = layers->precision == KN_PRECISION_HALF ||
                (layers->precision == KN_PRECISION_FILE && (tensor->dtype == KN_DTYPE_F16 || tensor->dtype >= KN_DTYPE_PLAIN_COUNT));
    const void *raw = kn_weights_raw_half(layers->source, tensor);
    float *data = raw ? NULL : kn_alloc(tensor->count, sizeof *data, error), *bias_data = NULL;
    kn_weight *weight = NULL;
    if ((raw || (data && kn_weights_read(layers->source, tensor, data, error))) &&
        (!bias || (bias_data = take_floats(layers, bias_name.text, 1, shape, error)))) {
        weight = add_weight(layers, raw ? raw : data, raw != NULL, bias_data, (int)shape[0], (int)shape[1], rank == 4 ? (int)shape[2] : 1, half, error);
        layers->parameters += tensor->count;
        kn_weights_drop(layers->source, tensor);
    }
    kn_free(data);
    kn_free(bias_data);
    return weight;
}

kn_weight *kn_load_linear(kn_layers *layers, const char *prefix, const char *suffix, int in, int out, bool bias, kn_error *error) {
    return load(layers, prefix, suffix, 2, (int64_t[4]){out, in, 1, 1}, bias, error);
}

kn_weight *kn_load_conv(kn_layers *layers, const char *prefix, const char *suffix, int in, int out, int kernel, bool bias, kn_error *error) {
    return load(layers, prefix, suffix, 4, (int64_t[4]){out, in, kernel, kernel}, bias, error);
}

/* A vector on the device, padded with zeros to whole vec4s. */
static kn_gpu_buffer *load_vector(kn_layers *layers, const char *name, int channels, kn_error *error) {
    int64_t shape = channels;
    if (!kn_grow(&layers->buffers, &layers->buffer_capacity, layers->buffer_count + 1, sizeof *layers->buffers, error))
        return NULL;
    float *data = take_floats(layers, name, 1, &shape, error);
    if (!data)
        return NULL;
    kn_gpu_buffer *buffer = NULL;
    size_t bytes = (size_t)channels * sizeof *data;
    if (kn_gpu_buffer_create(&buffer, layers->gpu, (bytes + KN_GPU_ALIGN - 1) / KN_GPU_ALIGN * KN_GPU_ALIGN, KN_GPU_MEMORY_DEVICE, error)) {
        layers->buffers[layers->buffer_count++] = buffer;
        if (!kn_gpu_upload(buffer, 0, data, bytes, error))
            buffer = NULL;
    }
    kn_free(data);
    return buffer;
}

bool kn_load_norm(kn_layers *layers, kn_norm *norm, const char *prefix, const char *suffix, int channels, kn_error *error) {
    kn_name gamma = kn_name_of("%s%s.weight", prefix, suffix), beta = kn_name_of("%s%s.bias", prefix, suffix);
    norm->gamma = load_vector(layers, gamma.text, channels, error);
    norm->beta = norm->gamma ? load_vector(layers, beta.text, channels, error) : NULL;
    return norm->beta != NULL;
}

float *kn_load_host(kn_layers *layers, const char *name, int rank, const int64_t *shape, kn_error *error) {
    const kn_stored_tensor *tensor = kn_weights_take(layers->source, name, rank, shape, error);
    float *data = tensor ? kn_arena_alloc(&layers->arena, tensor->count, sizeof *data, error) : NULL;
    if (!data || !kn_weights_read(layers->source, tensor, data, error))
        return NULL;
    layers->parameters += tensor->count;
    return data;
}

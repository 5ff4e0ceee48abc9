#include "diffusion/networks/layers.h"

#include <stdarg.h>
#include <string.h>

void kn_layers_init(kn_layers *layers, kn_gpu *gpu, kn_weights *source, kn_precision precision) {
    *layers = (kn_layers){.gpu = gpu, .source = source, .precision = precision};
}

void kn_layers_finish(kn_layers *layers) {
    for (size_t i = 0; i < layers->weight_count; i++) kn_weight_destroy(layers->weights[i]);
    for (size_t i = 0; i < layers->buffer_count; i++) kn_gpu_buffer_destroy(&layers->buffers[i]);
    kn_free(layers->weights);
    kn_free(layers->buffers);
    kn_free(layers->adapted);
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

/* --- loading ---------------------------------------------------------------------------------- */

kn_weight *kn_layers_weight(kn_layers *layers, const float *data, const float *bias, int out, int in, int kernel,
                            bool half, kn_error *error) {
    if (!kn_grow(&layers->weights, &layers->weight_capacity, layers->weight_count + 1, sizeof *layers->weights, error))
        return NULL;
    kn_weight *weight = kn_arena_alloc(&layers->arena, 1, sizeof *weight, error);
    if (!weight || !kn_weight_create(weight, layers->gpu, data, bias, out, in, kernel, kernel, half, error))
        return NULL;
    layers->weights[layers->weight_count++] = weight;
    return weight;
}

/* A tensor's values as fp32 in new memory (kn_free). */
static float *take_floats(kn_layers *layers, const char *name, int rank, const int64_t *shape, kn_error *error) {
    const kn_stored_tensor *tensor = kn_weights_take(layers->source, name, rank, shape, error);
    float *data = tensor ? kn_alloc(tensor->count, sizeof *data, error) : NULL;
    if (!data) return NULL;
    if (!kn_weights_read(layers->source, tensor, data, error)) {
        kn_free(data);
        return NULL;
    }
    layers->parameters += tensor->count;
    return data;
}

/* Where a matrix and its bias lie in the files. */
typedef struct origin {
    kn_weight_origin base; /* first: kn_weight_origin's fetch gets this address */
    kn_weight weight;
    kn_gpu *gpu;
    const kn_weights *weights;
    const kn_stored_tensor *tensor, *bias; /* bias: NULL when there is none */
} origin;

static bool fetch(kn_weight_origin *base, kn_error *error) {
    const origin *from = (const origin *)base;
    const void *raw = kn_weights_raw_half(from->weights, from->tensor);
    float *data = raw ? NULL : kn_alloc(from->tensor->count, sizeof *data, error), *bias = NULL;
    bool ok = raw || (data && kn_weights_read(from->weights, from->tensor, data, error));
    if (ok && from->bias)
        ok = (bias = kn_alloc(from->bias->count, sizeof *bias, error)) &&
             kn_weights_read(from->weights, from->bias, bias, error);
    ok = ok && kn_weight_fill(base->weight, from->gpu, raw ? raw : data, raw != NULL, bias, error);
    kn_weights_drop(from->weights, from->tensor);
    kn_free(data);
    kn_free(bias);
    return ok;
}

/* Fills in a weight that has no content yet; lazy weights get it when they are needed. */
static bool open_origin(kn_layers *layers, origin *from, const int64_t shape[4], int kernel, kn_error *error) {
    const kn_stored_tensor *tensor = from->tensor;
    bool half = layers->precision == KN_PRECISION_HALF ||
                (layers->precision == KN_PRECISION_FILE &&
                 (kn_dtype_size(tensor->dtype) <= 2 || tensor->dtype >= KN_DTYPE_PLAIN_COUNT) &&
                 tensor->dtype != KN_DTYPE_BF16);
    from->base = (kn_weight_origin){fetch, &from->weight};
    from->gpu = layers->gpu;
    from->weights = layers->source;
    if (!kn_weight_init(&from->weight, layers->gpu, (int)shape[0], (int)shape[1], kernel, kernel, half, error))
        return false;
    bool lazy = kn_weights_is_lazy(layers->source);
    if (lazy) kn_weights_is_adapted(layers->source, tensor); /* notes that the LoRA's layer has a place */
    from->weight.origin = lazy ? &from->base : NULL;
    return lazy || fetch(&from->base, error);
}

static kn_weight *load(kn_layers *layers, const char *prefix, const char *suffix, int rank, const int64_t shape[4],
                       bool bias, kn_error *error) {
    kn_name weight_name = kn_name_of("%s%s.weight", prefix, suffix),
            bias_name = kn_name_of("%s%s.bias", prefix, suffix);
    origin *from = kn_arena_alloc(&layers->arena, 1, sizeof *from, error);
    if (!from || !(from->tensor = kn_weights_take(layers->source, weight_name.text, rank, shape, error)) ||
        (bias && !(from->bias = kn_weights_take(layers->source, bias_name.text, 1, shape, error))) ||
        !kn_grow(&layers->weights, &layers->weight_capacity, layers->weight_count + 1, sizeof *layers->weights,
                 error) ||
        !open_origin(layers, from, shape, rank == 4 ? (int)shape[2] : 1, error))
        return NULL;
    layers->weights[layers->weight_count++] = &from->weight;
    layers->parameters += from->tensor->count + (from->bias ? from->bias->count : 0);
    return &from->weight;
}

kn_weight *kn_load_linear(kn_layers *layers, const char *prefix, const char *suffix, int in, int out, bool bias,
                          kn_error *error) {
    return load(layers, prefix, suffix, 2, (int64_t[4]){out, in, 1, 1}, bias, error);
}

kn_weight *kn_load_conv(kn_layers *layers, const char *prefix, const char *suffix, int in, int out, int kernel,
                        bool bias, kn_error *error) {
    return load(layers, prefix, suffix, 4, (int64_t[4]){out, in, kernel, kernel}, bias, error);
}

/* --- what LoRAs change beside matrices -------------------------------------------------------- */

typedef struct kn_adapted {
    const kn_weights *weights;
    const kn_stored_tensor *tensor;
    kn_gpu_buffer *buffer; /* on the device, or */
    float *data;           /* on the host */
} kn_adapted;

static bool note_adapted(kn_layers *layers, const kn_stored_tensor *tensor, kn_gpu_buffer *buffer, float *data,
                         kn_error *error) {
    if (!kn_weights_is_lazy(layers->source) || !kn_weights_is_adapted(layers->source, tensor)) return true;
    if (!kn_grow(&layers->adapted, &layers->adapted_capacity, layers->adapted_count + 1, sizeof *layers->adapted,
                 error))
        return false;
    layers->adapted[layers->adapted_count++] = (kn_adapted){layers->source, tensor, buffer, data};
    return true;
}

static bool adapt(const kn_adapted *part, kn_error *error) {
    if (part->data) return kn_weights_read(part->weights, part->tensor, part->data, error);
    float *data = kn_alloc(part->tensor->count, sizeof *data, error);
    bool ok = data && kn_weights_read(part->weights, part->tensor, data, error) &&
              kn_gpu_upload(part->buffer, 0, data, part->tensor->count * sizeof *data, error);
    kn_free(data);
    return ok;
}

/* --- lazy weights ----------------------------------------------------------------------------- */

bool kn_layers_fetch(kn_layers *layers, kn_error *error) {
    for (size_t i = 0; i < layers->weight_count; i++) {
        kn_weight *weight = layers->weights[i];
        if (!weight->buffer && !weight->origin->fetch(weight->origin, error)) return false;
    }
    return true;
}

void kn_layers_evict(kn_layers *layers) {
    for (size_t i = 0; i < layers->weight_count; i++) {
        if (layers->weights[i]->origin) kn_weight_evict(layers->weights[i]);
    }
}

bool kn_layers_adapt(kn_layers *layers, kn_error *error) {
    for (size_t i = 0; i < layers->weight_count; i++) {
        kn_weight *weight = layers->weights[i];
        if (!weight->origin || !weight->buffer) continue;
        const origin *from = (const origin *)weight->origin;
        if (kn_weights_is_adapted(from->weights, from->tensor) && !fetch(weight->origin, error)) return false;
    }
    for (size_t i = 0; i < layers->adapted_count; i++) {
        if (!adapt(&layers->adapted[i], error)) return false;
    }
    return true;
}

uint64_t kn_layers_missing_bytes(const kn_layers *layers) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < layers->weight_count; i++)
        bytes += layers->weights[i]->buffer ? 0 : kn_weight_bytes(layers->weights[i]);
    return bytes;
}

/* --- vectors and host tensors ----------------------------------------------------------------- */

/* A vector on the device, padded with zeros to whole vec4s. */
static kn_gpu_buffer *load_vector(kn_layers *layers, const char *name, int channels, kn_error *error) {
    int64_t shape = channels;
    if (!kn_grow(&layers->buffers, &layers->buffer_capacity, layers->buffer_count + 1, sizeof *layers->buffers, error))
        return NULL;
    float *data = take_floats(layers, name, 1, &shape, error);
    if (!data) return NULL;
    kn_gpu_buffer *buffer = NULL;
    size_t bytes = (size_t)channels * sizeof *data;
    if (kn_gpu_buffer_create(&buffer, layers->gpu, (bytes + KN_GPU_ALIGN - 1) / KN_GPU_ALIGN * KN_GPU_ALIGN,
                             KN_GPU_MEMORY_DEVICE, error)) {
        layers->buffers[layers->buffer_count++] = buffer;
        if (!kn_gpu_upload(buffer, 0, data, bytes, error) ||
            !note_adapted(layers, kn_weights_peek(layers->source, name), buffer, NULL, error))
            buffer = NULL;
    }
    kn_free(data);
    return buffer;
}

bool kn_load_norm(kn_layers *layers, kn_norm *norm, const char *prefix, const char *suffix, int channels,
                  kn_error *error) {
    kn_name gamma = kn_name_of("%s%s.weight", prefix, suffix), beta = kn_name_of("%s%s.bias", prefix, suffix);
    norm->gamma = load_vector(layers, gamma.text, channels, error);
    norm->beta = norm->gamma ? load_vector(layers, beta.text, channels, error) : NULL;
    return norm->beta != NULL;
}

float *kn_load_host(kn_layers *layers, const char *name, int rank, const int64_t *shape, kn_error *error) {
    const kn_stored_tensor *tensor = kn_weights_take(layers->source, name, rank, shape, error);
    float *data = tensor ? kn_arena_alloc(&layers->arena, tensor->count, sizeof *data, error) : NULL;
    if (!data || !kn_weights_read(layers->source, tensor, data, error) ||
        !note_adapted(layers, tensor, NULL, data, error))
        return NULL;
    layers->parameters += tensor->count;
    return data;
}

bool kn_load_table(kn_layers *layers, kn_stored_tensor *table, const char *name, int rows, int columns,
                   kn_error *error) {
    const kn_stored_tensor *tensor = kn_weights_take(layers->source, name, 2, (int64_t[2]){rows, columns}, error);
    if (!tensor) return false;
    *table = *tensor;
    bool whole_rows = (size_t)columns % kn_dtype_block(tensor->dtype) == 0;
    if (!whole_rows || kn_weights_is_adapted(layers->source, tensor)) {
        table->dtype = KN_DTYPE_F32;
        table->data = (const uint8_t *)kn_load_host(layers, name, 2, (int64_t[2]){rows, columns}, error);
        return table->data != NULL;
    }
    layers->parameters += tensor->count;
    if (kn_weights_is_lazy(layers->source)) return true;
    size_t bytes = kn_stored_tensor_bytes(tensor);
    uint8_t *copy = kn_arena_alloc(&layers->arena, bytes, 1, error);
    if (copy && bytes) memcpy(copy, tensor->data, bytes);
    kn_weights_drop(layers->source, tensor);
    table->data = copy;
    return copy != NULL;
}

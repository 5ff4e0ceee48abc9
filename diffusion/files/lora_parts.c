/* Products of the small matrices that a LoRA stores. */
#include "diffusion/files/lora_internal.h"

bool kn_adaptation_misfit(const kn_adaptation *layer, const kn_stored_tensor *part, const kn_stored_tensor *tensor,
                          kn_error *error) {
    char own[128], other[128];
    kn_stored_tensor_shape(part, own, sizeof own);
    kn_stored_tensor_shape(tensor, other, sizeof other);
    return kn_fail(error, KN_ERROR_INPUT, "%s: tensor '%.200s' of shape %s does not fit '%.200s' of shape %s",
                   layer->file->path, part->name, own, tensor->name, other);
}

float *kn_adaptation_floats(const kn_stored_tensor *tensor, kn_error *error) {
    float *values = kn_alloc(tensor->count, sizeof *values, error);
    if (values) kn_stored_tensor_to_float(tensor, values);
    return values;
}

size_t kn_adaptation_rows(const kn_stored_tensor *tensor) { return tensor->rank ? (size_t)tensor->shape[0] : 0; }

bool kn_adaptation_is_matrix(const kn_stored_tensor *part, size_t rows, size_t columns, size_t count) {
    return part->rank >= 2 && rows > 0 && columns > 0 && (size_t)part->shape[0] == rows &&
           (size_t)part->shape[1] == columns && part->count == count;
}

/* out[rows][columns] += scale * a[rows][rank] b[rank][columns] */
static void add_product(float *out, const float *a, const float *b, size_t rows, size_t rank, size_t columns,
                        float scale) {
    for (size_t i = 0; i < rows; i++) {
        for (size_t k = 0; k < rank; k++) {
            float factor = scale * a[i * rank + k];
            const float *row = b + k * columns;
            float *target = out + i * columns;
            for (size_t j = 0; j < columns; j++) target[j] += factor * row[j];
        }
    }
}

float kn_adaptation_scale(const kn_adaptation *layer, size_t rank) {
    float alpha = (float)rank;
    if (layer->has_scale) return layer->given_scale;
    if (layer->parts[KN_LORA_ALPHA]) kn_stored_tensor_to_float(layer->parts[KN_LORA_ALPHA], &alpha);
    return alpha / (float)rank;
}

/* sum_j mid[i][j][k] b[j][in]: [rank][inputs][taps] */
static float *widen(const kn_stored_tensor *mid_part, const float *b, size_t rank, size_t inputs, size_t taps,
                    kn_error *error) {
    float *mid = kn_adaptation_floats(mid_part, error),
          *out = mid ? kn_alloc(rank * inputs * taps, sizeof *out, error) : NULL;
    for (size_t i = 0; out && i < rank; i++) {
        for (size_t j = 0; j < rank; j++) {
            for (size_t in = 0; in < inputs; in++) {
                for (size_t k = 0; k < taps; k++)
                    out[(i * inputs + in) * taps + k] += mid[(i * rank + j) * taps + k] * b[j * inputs + in];
            }
        }
    }
    kn_free(mid);
    return out;
}

float *kn_adaptation_product(const kn_adaptation *layer, const kn_stored_tensor *a, const kn_stored_tensor *b,
                             const kn_stored_tensor *mid, bool turned, size_t rows, size_t inputs, size_t taps,
                             const kn_stored_tensor *tensor, size_t *rank, kn_error *error) {
    size_t r = *rank = kn_adaptation_rows(b), columns = inputs * taps;
    if (r == 0 || b->count % r != 0 || b->count / r != (mid ? inputs : columns)) {
        kn_adaptation_misfit(layer, b, tensor, error);
        return NULL;
    }
    if (!kn_adaptation_is_matrix(a, turned ? r : rows, turned ? rows : r, rows * r) ||
        (mid && !kn_adaptation_is_matrix(mid, r, r, r * r * taps))) {
        kn_adaptation_misfit(
            layer, mid && kn_adaptation_is_matrix(a, turned ? r : rows, turned ? rows : r, rows * r) ? mid : a, tensor,
            error);
        return NULL;
    }
    float *left = kn_adaptation_floats(a, error), *right = left ? kn_adaptation_floats(b, error) : NULL,
          *wide = right && mid ? widen(mid, right, r, inputs, taps, error) : NULL;
    float *straight = turned && left ? kn_alloc(rows * r, sizeof *straight, error) : NULL;
    for (size_t i = 0; straight && i < rows * r; i++) straight[i] = left[i % r * rows + i / r];
    bool ok = right && (wide || !mid) && (straight || !turned);
    float *out = ok ? kn_alloc(rows * columns, sizeof *out, error) : NULL;
    if (out) add_product(out, straight ? straight : left, wide ? wide : right, rows, r, columns, 1);
    kn_free(straight);
    kn_free(wide);
    kn_free(left);
    kn_free(right);
    return out;
}

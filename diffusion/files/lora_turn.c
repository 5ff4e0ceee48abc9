/* Adaptations whose difference depends on the weight: OFT (arXiv 2306.07280), which turns outputs by orthogonal blocks,
 * and GLoRA (arXiv 2306.07967, its A and B), in the layouts of kohya's scripts and LyCORIS. */
#include "diffusion/files/lora_internal.h"

#include <math.h>
#include <string.h>

/* --- OFT -------------------------------------------------------------------------------------- */

/* q[block] = learned - its transpose, all together no longer than `limit` (0: as long as they are). */
static void make_skew(double *q, const float *learned, size_t blocks, size_t size, double limit) {
    double sum = 0;
    for (size_t b = 0; b < blocks; b++)
        for (size_t i = 0; i < size; i++)
            for (size_t j = 0; j < size; j++) {
                const float *own = learned + b * size * size;
                double value = (double)own[i * size + j] - (double)own[j * size + i];
                q[b * size * size + i * size + j] = value;
                sum += value * value;
            }
    double factor = limit > 0 && sqrt(sum) > limit ? limit / sqrt(sum) : 1;
    for (size_t i = 0; i < blocks * size * size; i++) q[i] *= factor;
}

static void swap_rows(double *a, double *b, size_t count) {
    for (size_t i = 0; i < count; i++) {
        double kept = a[i];
        a[i] = b[i];
        b[i] = kept;
    }
}

/* Cayley's transform (1 + q) (1 - q)^-1, which is also (1 - q)^-1 (1 + q): elimination with pivots. work
 * [2][size][size]; 1 - q of a skew q is never singular. */
static void cayley(const double *q, float *rotation, double *work, size_t size) {
    double *left = work, *right = work + size * size;
    for (size_t i = 0; i < size; i++)
        for (size_t j = 0; j < size; j++) {
            left[i * size + j] = (i == j) - q[i * size + j];
            right[i * size + j] = (i == j) + q[i * size + j];
        }
    for (size_t k = 0; k < size; k++) {
        size_t pivot = k;
        for (size_t i = k + 1; i < size; i++)
            pivot = fabs(left[i * size + k]) > fabs(left[pivot * size + k]) ? i : pivot;
        swap_rows(left + k * size, left + pivot * size, pivot == k ? 0 : size);
        swap_rows(right + k * size, right + pivot * size, pivot == k ? 0 : size);
        for (size_t i = 0; i < size; i++) {
            double factor = i == k ? 0 : left[i * size + k] / left[k * size + k];
            if (factor == 0) continue;
            for (size_t j = k; j < size; j++) left[i * size + j] -= factor * left[k * size + j];
            for (size_t j = 0; j < size; j++) right[i * size + j] -= factor * right[k * size + j];
        }
    }
    for (size_t i = 0; i < size * size; i++) rotation[i] = (float)(right[i] / left[i / size * size + i / size]);
}

/* In place: what is learned becomes rotations. */
static bool make_rotations(float *blocks, size_t count, size_t size, double limit, kn_error *error) {
    double *q = kn_alloc(count * size * size, sizeof *q, error),
           *work = q ? kn_alloc(2 * size * size, sizeof *work, error) : NULL;
    if (work) {
        make_skew(q, blocks, count, size, limit);
        for (size_t b = 0; b < count; b++) cayley(q + b * size * size, blocks + b * size * size, work, size);
    }
    kn_free(q);
    kn_free(work);
    return work != NULL;
}

/* out = rescale R^T W - W, block by block: row m is the sum over n of R[n][m] W[n]. `rescale` may be NULL. */
static void turn_rows(float *out, const float *rotations, const float *rescale, const float *values, size_t blocks,
                      size_t size, size_t row) {
    for (size_t m = 0; m < blocks * size; m++) {
        size_t first = m / size * size;
        float *to = out + m * row;
        for (size_t n = 0; n < size; n++) {
            float factor = rotations[(first + n) * size + m - first] * (rescale ? rescale[m] : 1);
            const float *from = values + (first + n) * row;
            for (size_t i = 0; i < row; i++) to[i] += factor * from[i];
        }
        for (size_t i = 0; i < row; i++) to[i] -= values[m * row + i];
    }
}

float *kn_adaptation_turn(const kn_adaptation *layer, const kn_stored_tensor *tensor, kn_adaptation_shape s,
                          const float *values, kn_error *error) {
    const kn_stored_tensor *learned = layer->parts[KN_OFT_BLOCKS],
                           *part = learned ? learned : layer->parts[KN_OFT_DIAGONAL],
                           *rescale = layer->parts[KN_OFT_RESCALE];
    size_t blocks = kn_adaptation_rows(part), size = blocks && s.rows % blocks == 0 ? s.rows / blocks : 0;
    if (part->rank != 3 || size == 0 || (size_t)part->shape[1] != size || (size_t)part->shape[2] != size) {
        kn_adaptation_misfit(layer, part, tensor, error);
        return NULL;
    }
    if (rescale && rescale->count != s.rows) {
        kn_adaptation_misfit(layer, rescale, tensor, error);
        return NULL;
    }
    float constraint = 0;
    if (layer->parts[KN_LORA_ALPHA]) kn_stored_tensor_to_float(layer->parts[KN_LORA_ALPHA], &constraint);
    float *rotations = kn_adaptation_floats(part, error),
          *factors = rotations && rescale ? kn_adaptation_floats(rescale, error) : NULL;
    bool ok = rotations && (factors || !rescale) &&
              (!learned || make_rotations(rotations, blocks, size, (double)constraint * (double)s.rows, error));
    float *out = ok ? kn_alloc(tensor->count, sizeof *out, error) : NULL;
    if (out) turn_rows(out, rotations, factors, values, blocks, size, s.inputs * s.taps);
    kn_free(rotations);
    kn_free(factors);
    return out;
}

/* --- GLoRA ------------------------------------------------------------------------------------ */

/* out[o][j][k] += sum over i and r of values[o][i][k] a1[i][r] a2[r][j]; between [rank][taps]: memory of one output. */
static void add_turned_inputs(float *out, const float *values, const float *a1, const float *a2, float *between,
                              kn_adaptation_shape s, size_t rank) {
    for (size_t o = 0; o < s.rows; o++) {
        const float *from = values + o * s.inputs * s.taps;
        float *to = out + o * s.inputs * s.taps;
        memset(between, 0, rank * s.taps * sizeof *between);
        for (size_t i = 0; i < s.inputs; i++)
            for (size_t r = 0; r < rank; r++)
                for (size_t k = 0; k < s.taps; k++) between[r * s.taps + k] += from[i * s.taps + k] * a1[i * rank + r];
        for (size_t r = 0; r < rank; r++)
            for (size_t j = 0; j < s.inputs; j++)
                for (size_t k = 0; k < s.taps; k++)
                    to[j * s.taps + k] += between[r * s.taps + k] * a2[r * s.inputs + j];
    }
}

float *kn_adaptation_general(const kn_adaptation *layer, const kn_stored_tensor *tensor, kn_adaptation_shape s,
                             const float *values, kn_error *error) {
    const kn_stored_tensor *a1 = layer->parts[KN_GLORA_A1], *a2 = layer->parts[KN_GLORA_A2],
                           *b1 = layer->parts[KN_GLORA_B1], *b2 = layer->parts[KN_GLORA_B2];
    if (s.taps == 1 && !layer->parts[KN_GLORA_BM] &&
        (kn_adaptation_rows(b1) != s.rows ||
         kn_adaptation_rows(a1) != s.inputs)) { /* LyCORIS until 2023: numbered the other way */
        const kn_stored_tensor *kept = a1;
        a1 = a2, a2 = kept;
        kept = b1, b1 = b2, b2 = kept;
    }
    size_t rank, own = kn_adaptation_rows(a2);
    if (own == 0 || !kn_adaptation_is_matrix(a2, own, s.inputs, own * s.inputs) ||
        !kn_adaptation_is_matrix(a1, s.inputs, own, own * s.inputs)) {
        kn_adaptation_misfit(layer, own && kn_adaptation_is_matrix(a2, own, s.inputs, own * s.inputs) ? a1 : a2, tensor,
                             error);
        return NULL;
    }
    float *out = kn_adaptation_product(layer, b1, b2, layer->parts[KN_GLORA_BM], false, s.rows, s.inputs, s.taps,
                                       tensor, &rank, error);
    float *first = out ? kn_adaptation_floats(a1, error) : NULL,
          *second = first ? kn_adaptation_floats(a2, error) : NULL;
    float *between = second ? kn_alloc(own * s.taps, sizeof *between, error) : NULL;
    if (between) {
        add_turned_inputs(out, values, first, second, between, s, own);
        float scale = kn_adaptation_scale(layer, own);
        for (size_t i = 0; i < tensor->count; i++) out[i] *= scale;
    } else {
        kn_free(out);
        out = NULL;
    }
    kn_free(first);
    kn_free(second);
    kn_free(between);
    return out;
}

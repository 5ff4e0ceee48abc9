/* What adaptations do to a layer: LoRA (arXiv 2106.09685), LoHa (arXiv 2108.06098), LoKr (arXiv 2309.14859,
 * section 3.2) and DoRA (arXiv 2402.09353), in the layouts of kohya's scripts, LyCORIS and PEFT; lora_turn.c has OFT
 * and GLoRA. */
#include "diffusion/files/lora_internal.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* --- whole? ----------------------------------------------------------------------------------- */

static bool has(const kn_adaptation *layer, kn_lora_role role) { return layer->parts[role] != NULL; }

/* A factor of LoKr: as it is, or as a product. */
static bool has_factor(const kn_adaptation *layer, kn_lora_role whole, kn_lora_role a, kn_lora_role b) {
    return has(layer, whole) ? !has(layer, a) && !has(layer, b) : has(layer, a) && has(layer, b);
}

static bool any(const kn_adaptation *layer, kn_lora_role first, kn_lora_role last) {
    for (int role = (int)first; role <= (int)last; role++) {
        if (layer->parts[role]) return true;
    }
    return false;
}

bool kn_adaptation_check(const kn_adaptation *layer, kn_error *error) {
    bool oft = has(layer, KN_OFT_BLOCKS) || has(layer, KN_OFT_DIAGONAL), glora = any(layer, KN_GLORA_A1, KN_GLORA_BM);
    bool lora = any(layer, KN_LORA_DOWN, KN_LORA_MID), loha = any(layer, KN_LOHA_1A, KN_LOHA_2T),
         lokr = any(layer, KN_LOKR_1, KN_LOKR_2T);
    const char *path = layer->file->path, *name = layer->key + 5;
    const kn_stored_tensor *alpha = layer->parts[KN_LORA_ALPHA];
    if (lora + loha + lokr + oft + glora > 1 || (has(layer, KN_OFT_BLOCKS) && has(layer, KN_OFT_DIAGONAL)))
        return kn_fail(error, KN_ERROR_INPUT, "%s: layer '%s' has parts of two kinds of adaptation", path, name);
    if (lora && (!has(layer, KN_LORA_DOWN) || !has(layer, KN_LORA_UP)))
        return kn_fail(error, KN_ERROR_INPUT, "%s: layer '%s' has no %s matrix", path, name,
                       has(layer, KN_LORA_DOWN) ? "up" : "down");
    bool whole_loha = has(layer, KN_LOHA_1A) && has(layer, KN_LOHA_1B) && has(layer, KN_LOHA_2A) &&
                      has(layer, KN_LOHA_2B) && has(layer, KN_LOHA_1T) == has(layer, KN_LOHA_2T);
    if (loha && !whole_loha)
        return kn_fail(error, KN_ERROR_INPUT,
                       "%s: layer '%s' lacks a part of its LoHa (hada_w1_a, hada_w1_b, hada_w2_a, hada_w2_b; both or "
                       "none of hada_t1, hada_t2)",
                       path, name);
    if (lokr &&
        (!has_factor(layer, KN_LOKR_1, KN_LOKR_1A, KN_LOKR_1B) ||
         !has_factor(layer, KN_LOKR_2, KN_LOKR_2A, KN_LOKR_2B) || (has(layer, KN_LOKR_2T) && !has(layer, KN_LOKR_2A))))
        return kn_fail(error, KN_ERROR_INPUT,
                       "%s: layer '%s' lacks a part of its LoKr (lokr_w1 or lokr_w1_a and lokr_w1_b; lokr_w2 or "
                       "lokr_w2_a and lokr_w2_b)",
                       path, name);
    if (glora &&
        (!has(layer, KN_GLORA_A1) || !has(layer, KN_GLORA_A2) || !has(layer, KN_GLORA_B1) || !has(layer, KN_GLORA_B2)))
        return kn_fail(error, KN_ERROR_INPUT, "%s: layer '%s' lacks a part of its GLoRA (a1, a2, b1, b2)", path, name);
    if (has(layer, KN_OFT_RESCALE) && !oft)
        return kn_fail(error, KN_ERROR_INPUT, "%s: layer '%s' has a rescale, but no oft_blocks", path, name);
    if (!lora && !loha && !lokr && !oft && !glora && !has(layer, KN_LORA_DIFFERENCE))
        return kn_fail(error, KN_ERROR_INPUT, "%s: layer '%s' has no matrices", path, name);
    return !alpha || alpha->count == 1 || kn_archive_refuse(layer->file, alpha->name, "expected one number", error);
}

/* --- differences: each in new memory, alpha included, without the strength -------------------- */

static void multiply(float *values, size_t count, float factor) {
    for (size_t i = 0; i < count; i++) values[i] *= factor;
}

static float *low_rank(const kn_adaptation *layer, const kn_stored_tensor *tensor, kn_adaptation_shape s,
                       kn_error *error) {
    size_t rank;
    float *out =
        kn_adaptation_product(layer, layer->parts[KN_LORA_UP], layer->parts[KN_LORA_DOWN], layer->parts[KN_LORA_MID],
                              false, s.rows, s.inputs, s.taps, tensor, &rank, error);
    if (out) multiply(out, tensor->count, kn_adaptation_scale(layer, rank));
    return out;
}

/* (a1 b1) times (a2 b2), element by element. */
static float *hadamard(const kn_adaptation *layer, const kn_stored_tensor *tensor, kn_adaptation_shape s,
                       kn_error *error) {
    const kn_stored_tensor *const *parts = layer->parts, *t1 = parts[KN_LOHA_1T], *t2 = parts[KN_LOHA_2T];
    size_t rank, other_rank;
    float *out = kn_adaptation_product(layer, parts[KN_LOHA_1A], parts[KN_LOHA_1B], t1, t1 != NULL, s.rows, s.inputs,
                                       s.taps, tensor, &rank, error);
    float *other = out ? kn_adaptation_product(layer, parts[KN_LOHA_2A], parts[KN_LOHA_2B], t2, t2 != NULL, s.rows,
                                               s.inputs, s.taps, tensor, &other_rank, error)
                       : NULL;
    float scale = out ? kn_adaptation_scale(layer, rank) : 0;
    for (size_t i = 0; other && i < tensor->count; i++) out[i] *= scale * other[i];
    if (!other) {
        kn_free(out);
        out = NULL;
    }
    kn_free(other);
    return out;
}

/* out[i * c + j][m * d + n][k] = scale * first[i][m] second[j][n][k]; first [a][b], second [c][d][taps] */
static void kronecker(float *out, const float *first, const float *second, size_t a, size_t b, size_t c, size_t d,
                      size_t taps, float scale) {
    for (size_t i = 0; i < a; i++)
        for (size_t j = 0; j < c; j++)
            for (size_t m = 0; m < b; m++) {
                float factor = scale * first[i * b + m], *to = out + (((i * c + j) * b + m) * d) * taps;
                const float *from = second + j * d * taps;
                for (size_t n = 0; n < d * taps; n++) to[n] = factor * from[n];
            }
}

static float *kronecker_product(const kn_adaptation *layer, const kn_stored_tensor *tensor, kn_adaptation_shape s,
                                kn_error *error) {
    const kn_stored_tensor *const *parts = layer->parts, *mid = parts[KN_LOKR_2T];
    const kn_stored_tensor *first = parts[KN_LOKR_1] ? parts[KN_LOKR_1] : parts[KN_LOKR_1A],
                           *right = parts[KN_LOKR_1] ? first : parts[KN_LOKR_1B];
    size_t a = kn_adaptation_rows(first), b = right->rank >= 2 ? (size_t)right->shape[1] : 0, rank = 0;
    if (a == 0 || b == 0 || s.rows % a != 0 || s.inputs % b != 0) {
        kn_adaptation_misfit(layer, first, tensor, error);
        return NULL;
    }
    size_t c = s.rows / a, d = s.inputs / b;
    const kn_stored_tensor *second = parts[KN_LOKR_2];
    if ((first == right && first->count != a * b) ||
        (second && !kn_adaptation_is_matrix(second, c, d, c * d * s.taps))) {
        kn_adaptation_misfit(layer, second ? second : first, tensor, error);
        return NULL;
    }
    float *w1 = first == right ? kn_adaptation_floats(first, error)
                               : kn_adaptation_product(layer, first, right, NULL, false, a, b, 1, tensor, &rank, error);
    float *w2 = !w1      ? NULL
                : second ? kn_adaptation_floats(second, error)
                         : kn_adaptation_product(layer, parts[KN_LOKR_2A], parts[KN_LOKR_2B], mid, mid != NULL, c, d,
                                                 s.taps, tensor, &rank, error);
    float *out = w2 ? kn_alloc(tensor->count, sizeof *out, error) : NULL;
    if (out)
        kronecker(out, w1, w2, a, b, c, d, s.taps, rank || layer->has_scale ? kn_adaptation_scale(layer, rank) : 1);
    kn_free(w1);
    kn_free(w2);
    return out;
}

/* --- applying --------------------------------------------------------------------------------- */

/* DoRA: brings every output's (or input's) weights to the length that was learned. `changed` becomes the change at
 * strength 1. */
static bool set_lengths(const kn_adaptation *layer, const kn_stored_tensor *tensor, kn_adaptation_shape s,
                        const float *values, float *changed, kn_error *error) {
    const kn_stored_tensor *part = layer->parts[KN_LORA_MAGNITUDE];
    bool peft = strstr(part->name, "lora_magnitude_vector") != NULL,
         by_output = part->count == s.rows && (peft || part->rank == 1 || (size_t)part->shape[0] == s.rows);
    if (!by_output && (part->count != s.inputs || part->rank < 2 || part->shape[0] != 1))
        return kn_adaptation_misfit(layer, part, tensor, error);
    size_t groups = by_output ? s.rows : s.inputs, row = s.inputs * s.taps;
    float *lengths = kn_adaptation_floats(part, error);
    double *squares = lengths ? kn_alloc(groups, sizeof *squares, error) : NULL;
    for (size_t i = 0; squares && i < tensor->count; i++) {
        double sum = (double)values[i] + (double)changed[i];
        squares[by_output ? i / row : i % row / s.taps] += sum * sum;
    }
    for (size_t i = 0; squares && i < tensor->count; i++) {
        size_t group = by_output ? i / row : i % row / s.taps;
        changed[i] = (float)((double)(values[i] + changed[i]) * (double)lengths[group] /
                             (sqrt(squares[group]) + (double)FLT_EPSILON)) -
                     values[i];
    }
    bool ok = squares != NULL;
    kn_free(lengths);
    kn_free(squares);
    return ok;
}

static float *difference(const kn_adaptation *layer, const kn_stored_tensor *tensor, kn_adaptation_shape s,
                         const float *values, kn_error *error) {
    if (layer->parts[KN_LORA_DOWN]) return low_rank(layer, tensor, s, error);
    if (layer->parts[KN_LOHA_1A]) return hadamard(layer, tensor, s, error);
    if (any(layer, KN_LOKR_1, KN_LOKR_2T)) return kronecker_product(layer, tensor, s, error);
    if (layer->parts[KN_OFT_BLOCKS] || layer->parts[KN_OFT_DIAGONAL])
        return kn_adaptation_turn(layer, tensor, s, values, error);
    if (layer->parts[KN_GLORA_A1]) return kn_adaptation_general(layer, tensor, s, values, error);
    return kn_alloc(tensor->count, sizeof(float), error); /* the whole difference comes below */
}

bool kn_adaptation_apply(const kn_adaptation *layer, const kn_stored_tensor *tensor, float *values, kn_error *error) {
    const kn_stored_tensor *whole = layer->parts[KN_LORA_DIFFERENCE];
    kn_adaptation_shape s = {.rows = kn_adaptation_rows(tensor)};
    s.inputs = tensor->rank > 1 ? (size_t)tensor->shape[1] : 1;
    s.taps = s.rows && s.inputs ? tensor->count / s.rows / s.inputs : 0;
    if (layer->strength == 0 || tensor->count == 0) return true;
    if (whole && whole->count != tensor->count) return kn_adaptation_misfit(layer, whole, tensor, error);
    float *change = difference(layer, tensor, s, values, error),
          *added = change && whole ? kn_adaptation_floats(whole, error) : NULL;
    bool ok = change && (added || !whole);
    for (size_t i = 0; ok && whole && i < tensor->count; i++) change[i] += added[i];
    ok = ok && (!layer->parts[KN_LORA_MAGNITUDE] || set_lengths(layer, tensor, s, values, change, error));
    for (size_t i = 0; ok && i < tensor->count; i++) values[i] += layer->strength * change[i];
    kn_free(added);
    kn_free(change);
    return ok;
}

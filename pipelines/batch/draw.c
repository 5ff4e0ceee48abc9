#include "pipelines/batch/draw.h"

#include "base/random.h"

#include <math.h>
#include <string.h>

static bool read_pair(kn_draw *d, const char *path, const kn_node *node, kn_error *error) {
    bool ok = node->kind == KN_NODE_LIST && node->count == 2 && kn_node_number(node->first, &d->a) &&
              kn_node_number(node->first->next, &d->b);
    if (!ok)
        return kn_node_fail(path, node, error, "%s: expected two numbers: [%s]", node->key,
                            d->kind == KN_DRAW_NORMAL ? "mean, deviation" : "low, high");
    if (d->kind == KN_DRAW_NORMAL)
        return d->b >= 0 || kn_node_fail(path, node, error, "normal: the deviation is below 0");
    if (d->a > d->b) return kn_node_fail(path, node, error, "%s: low is above high", node->key);
    if (d->kind == KN_DRAW_LOGUNIFORM && d->a <= 0)
        return kn_node_fail(path, node, error, "loguniform: low must be above 0");
    if (d->kind == KN_DRAW_INT && (d->a != floor(d->a) || d->b != floor(d->b) || d->b - d->a > 1e15))
        return kn_node_fail(path, node, error, "int: expected whole numbers");
    return true;
}

static bool read_choices(kn_draw *d, const char *path, const kn_node *node, kn_arena *arena, kn_error *error) {
    if (node->kind == KN_NODE_TEXT || node->count == 0)
        return kn_node_fail(path, node, error, "choice: expected a list, or values with weights");
    d->choices = kn_arena_alloc(arena, node->count, sizeof *d->choices, error);
    d->weights = kn_arena_alloc(arena, node->count, sizeof *d->weights, error);
    if (!d->choices || !d->weights) return false;
    double sum = 0, weight = 1;
    for (const kn_node *child = node->first; child; child = child->next) {
        if (child->kind != KN_NODE_TEXT) return kn_node_fail(path, child, error, "choice: expected plain values");
        if (node->kind == KN_NODE_MAP && (!kn_node_number(child, &weight) || weight < 0))
            return kn_node_fail(path, child, error, "choice: %s: expected a weight of 0 or more", child->key);
        d->choices[d->choice_count] =
            kn_arena_strdup(arena, node->kind == KN_NODE_MAP ? child->key : child->text, error);
        if (!d->choices[d->choice_count]) return false;
        if (strlen(d->choices[d->choice_count]) > 1000)
            return kn_node_fail(path, child, error, "choice: a value of more than 1000 bytes");
        if (!*d->choices[d->choice_count]) return kn_node_fail(path, child, error, "choice: an empty value");
        d->weights[d->choice_count++] = sum += weight;
    }
    return sum > 0 || kn_node_fail(path, node, error, "choice: all weights are 0");
}

static bool read_limits(kn_draw *d, const char *path, const kn_node *node, kn_error *error) {
    const kn_node *min = kn_node_get(node, "min"), *max = kn_node_get(node, "max"),
                  *digits = kn_node_get(node, "digits");
    double places = 3;
    if (d->kind == KN_DRAW_CHOICE && (min || max || digits))
        return kn_node_fail(path, node, error, "%s: a choice has no min, max or digits", node->key);
    if ((min && !kn_node_number(min, &d->min)) || (max && !kn_node_number(max, &d->max)) || d->min > d->max)
        return kn_node_fail(path, node, error, "%s: min and max must be numbers, min not above max", node->key);
    if (digits && (!kn_node_number(digits, &places) || places < 0 || places > 9 || places != floor(places)))
        return kn_node_fail(path, digits, error, "digits: expected a whole number from 0 to 9");
    double low = d->kind == KN_DRAW_NORMAL ? d->a - 4 * d->b : d->a,
           high = d->kind == KN_DRAW_NORMAL ? d->a + 4 * d->b : d->b;
    if (d->kind != KN_DRAW_CHOICE && (low > d->max || high < d->min))
        return kn_node_fail(path, node, error, "%s: min and max leave nothing of the distribution", node->key);
    d->digits = d->kind == KN_DRAW_INT ? 0 : (int)places;
    return true;
}

bool kn_draw_read(kn_draw *d, const char *path, const kn_node *node, kn_arena *arena, kn_error *error) {
    static const char *const kinds[] = {"uniform", "int", "normal", "loguniform", "choice"};
    *d = (kn_draw){.min = -INFINITY, .max = INFINITY, .line = node->line};
    const kn_node *value = NULL;
    size_t known = 0;
    for (size_t k = 0; k < KN_COUNT(kinds); k++) {
        const kn_node *found = kn_node_get(node, kinds[k]);
        if (found) value = found, d->kind = (kn_draw_kind)k, known++;
    }
    static const char *const limits[] = {"min", "max", "digits"};
    size_t others = 0;
    for (size_t k = 0; k < KN_COUNT(limits); k++) others += kn_node_get(node, limits[k]) != NULL;
    if (known != 1 || node->count != 1 + others)
        return kn_node_fail(
            path, node, error,
            "%s: expected one of uniform, int, normal, loguniform and choice, as in {uniform: [30, 60]}", node->key);
    if (!(d->key = kn_arena_strdup(arena, node->key, error))) return false;
    return (d->kind == KN_DRAW_CHOICE ? read_choices(d, path, value, arena, error)
                                      : read_pair(d, path, value, error)) &&
           read_limits(d, path, node, error);
}

static double draw_number(const kn_draw *d, kn_rng *rng) {
    switch (d->kind) {
    case KN_DRAW_INT: return d->a + floor(kn_rng_uniform(rng, 0, 1) * (d->b - d->a + 1));
    case KN_DRAW_NORMAL: return d->a + d->b * kn_rng_normal(rng);
    case KN_DRAW_LOGUNIFORM: return exp(kn_rng_uniform(rng, log(d->a), log(d->b)));
    default: return kn_rng_uniform(rng, d->a, d->b);
    }
}

void kn_draw_value(const kn_draw *d, uint64_t seed, char *text, size_t size) {
    kn_rng rng;
    for (const char *c = d->key; *c; c++) seed = kn_hash64(seed ^ (unsigned char)*c);
    kn_rng_init(&rng, seed);
    if (d->kind == KN_DRAW_CHOICE) {
        double at = kn_rng_uniform(&rng, 0, d->weights[d->choice_count - 1]);
        size_t i = 0;
        while (i + 1 < d->choice_count && at >= d->weights[i]) i++;
        snprintf(text, size, "%s", d->choices[i]);
        return;
    }
    double value = draw_number(d, &rng), scale = pow(10, d->digits);
    for (int tries = 0; (value < d->min || value > d->max) && tries < 100000; tries++) value = draw_number(d, &rng);
    value = fmin(fmax(value, d->min), d->max); /* a limit far out in a tail */
    value = round(value * scale) / scale;
    snprintf(text, size, "%.15g", value == 0 ? 0 : value);
}

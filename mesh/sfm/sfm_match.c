/* Matches between the features of two pictures. Compiled with -O3: the inner product is what the time goes into. */
#include "mesh/sfm/sfm.h"

#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define KN_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define KN_CLONES
#endif

/* out[i]: inner product of one descriptor with each of count. */
KN_CLONES static void products(const int16_t *one, const int16_t *many, size_t count, int32_t *out) {
    for (size_t i = 0; i < count; i++) {
        int32_t sum = 0;
        for (int k = 0; k < 128; k++) sum += one[k] * many[128 * i + (size_t)k];
        out[i] = sum;
    }
}

#define LENGTH2 65025 /* of a descriptor, up to rounding */

typedef struct best_match {
    int32_t first, second; /* inner products: larger is nearer */
    uint32_t index;
} best_match;

static void offer(best_match *best, int32_t product, uint32_t index) {
    if (product > best->first) best->second = best->first, best->first = product, best->index = index;
    else if (product > best->second) best->second = product;
}

static bool distinct(const best_match *best, double ratio) {
    double near = 2.0 * (LENGTH2 - best->first), far = 2.0 * (LENGTH2 - best->second);
    return best->first > 0 && near < ratio * ratio * far && near < 0.7 * LENGTH2;
}

bool kn_features_match(const kn_features *a, const kn_features *b, size_t limit, double ratio, kn_match **matches,
                       size_t *count, kn_error *error) {
    size_t na = kn_min_size(a->count, limit), nb = kn_min_size(b->count, limit);
    *matches = NULL, *count = 0;
    best_match *rows = kn_alloc(na + 1, sizeof *rows, error), *columns = kn_alloc(nb + 1, sizeof *columns, error);
    int32_t *product = kn_alloc(nb + 1, sizeof *product, error);
    kn_match *found = kn_alloc(na + 1, sizeof *found, error);
    bool ok = rows && columns && product && found;
    for (size_t i = 0; ok && i < na; i++) {
        products(a->descriptors + 128 * i, b->descriptors, nb, product);
        for (size_t j = 0; j < nb; j++) {
            offer(&rows[i], product[j], (uint32_t)j);
            offer(&columns[j], product[j], (uint32_t)i);
        }
    }
    for (size_t i = 0; ok && i < na; i++)
        if (nb && distinct(&rows[i], ratio) && columns[rows[i].index].index == i &&
            distinct(&columns[rows[i].index], ratio))
            found[(*count)++] = (kn_match){(uint32_t)i, rows[i].index};
    kn_free(rows), kn_free(columns), kn_free(product);
    if (ok) *matches = found;
    else kn_free(found);
    return ok;
}

/* Random draws of a sweep. A distribution in the manifest is one of
 *   {uniform: [low, high]}  {int: [low, high]}  {normal: [mean, deviation]}  {loguniform: [low, high]}
 *   {choice: [a, b, c]}     {choice: {a: 3, b: 1}} (with weights)
 * and for the numbers, beside it, min and max (a draw outside is drawn again), and digits: decimals that are kept (3).
 */
#ifndef KN_BATCH_DRAW_H
#define KN_BATCH_DRAW_H

#include "pipelines/batch/node.h"

typedef enum kn_draw_kind {
    KN_DRAW_UNIFORM,
    KN_DRAW_INT,
    KN_DRAW_NORMAL,
    KN_DRAW_LOGUNIFORM,
    KN_DRAW_CHOICE
} kn_draw_kind;

/* Texts belong to the arena. */
typedef struct kn_draw {
    const char *key; /* the option */
    kn_draw_kind kind;
    double a, b; /* low and high, or mean and deviation */
    double min, max;
    int digits;
    const char **choices;
    double *weights; /* sums up to the choice */
    size_t choice_count;
    int line;
} kn_draw;

/* Reads the distribution of the option node->key. */
bool kn_draw_read(kn_draw *draw, const char *path, const kn_node *node, kn_arena *arena, kn_error *error);

/* The value that belongs to a seed; it depends on the seed and the option's name only. */
void kn_draw_value(const kn_draw *draw, uint64_t seed, char *text, size_t size);

#endif

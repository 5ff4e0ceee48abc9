/* The colours and tones of one picture carried over to a film. Internal to pipelines/style. */
#ifndef KN_PIPELINES_STYLE_PALETTE_H
#define KN_PIPELINES_STYLE_PALETTE_H

#include "base/base.h"

enum { KN_TONES = 64 /* steps of lightness */, KN_PALETTE_GRID = 33 /* colours on each side of the table */ };

/* How often each lightness occurs, and with which colours; CIELAB. Zeroed: of nothing. */
typedef struct kn_tones {
    double count[KN_TONES], a[KN_TONES], b[KN_TONES], aa, ab, bb;
} kn_tones;

/* Counts every fourth pixel of planes [3][pixels], sRGB in 0..1. */
void kn_tones_add(kn_tones *tones, const float *planes, size_t pixels);

/* A change of colours: a table over the cube of R, G and B. */
typedef struct kn_palette {
    float table[KN_PALETTE_GRID * KN_PALETTE_GRID * KN_PALETTE_GRID][3];
} kn_palette;

/* What turns the colours of `from` into those of `to`: lightness by its distribution, colours by their mean and
 * covariance and, tone by tone, by their mean. The same colour always becomes the same colour. */
bool kn_palette_create(kn_palette **palette, const kn_tones *from, const kn_tones *to, kn_error *error);
void kn_palette_apply(const kn_palette *palette, float *planes, size_t pixels);

/* How far two pictures' ways of drawing are apart: lines, textures and flat parts, not colours. Both
 * [3][height][width]; 0 for the same picture. */
double kn_manner_distance(const float *one, const float *other, int width, int height);

#endif

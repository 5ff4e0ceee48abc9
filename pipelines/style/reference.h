/* A look from one picture: the nearest of the model's, in the picture's colours. Internal to pipelines/style. */
#ifndef KN_PIPELINES_STYLE_REFERENCE_H
#define KN_PIPELINES_STYLE_REFERENCE_H

#include "pipelines/style/palette.h"
#include "pipelines/style/style_internal.h"

/* Reads the picture and counts its colours. */
bool kn_reference_create(kn_style *style, kn_error *error);
void kn_reference_destroy(struct kn_reference **reference);
/* Which of these looks' prompts, with their grain, paints the picture most like itself? The model is loaded. */
bool kn_reference_nearest(kn_style *style, const char *const *prompts, const double *grains, size_t count,
                          size_t *nearest, kn_error *error);
/* Finds what turns the painted frames' colours into the picture's. */
bool kn_reference_learn(kn_style *style, kn_error *error);
/* planes [3][pixels]. */
void kn_reference_apply(const kn_style *style, float *planes, size_t pixels);

#endif

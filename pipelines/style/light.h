/* What film says in its own light, and what networks see: sRGB in 0..1. Internal to pipelines/. */
#ifndef KN_PIPELINES_STYLE_LIGHT_H
#define KN_PIPELINES_STYLE_LIGHT_H

#include "kinora/film.h"

/* planes [3][count] of a film with this transfer (H.273) -> seen [3][count]: white is 1, what is brighter too. */
void kn_light_see(int transfer, const float *planes, size_t count, float *seen);
/* The way back for repainted pictures: what was brighter than white stays as much brighter as it was. `planes` holds
 * the film's frame and receives the repainted one. Film with other transfers than linear, PQ and HLG takes `seen` as it
 * is. */
void kn_light_give(int transfer, const float *seen, size_t count, float *planes);

#endif

/* Pictures of more than a screen's range, for a screen: PQ, HLG and linear light to sRGB. */
#ifndef KN_ENCODERS_TONE_H
#define KN_ENCODERS_TONE_H

#include "base/base.h"

/* Is it a transfer (H.273) that must not be shown as it is: linear (8), PQ (16) or HLG (18)? */
bool kn_tone_needed(int transfer);

/* planes [3][count], encoded by `transfer` with `primaries` -> rgb [count][3], sRGB. HDR's reference white (203 cd/m2,
 * ITU-R BT.2408) becomes white; what is brighter than .8 of it is compressed, hues are kept. HLG is shown as on a
 * screen of 1000 cd/m2. Linear values are clipped at 1. */
void kn_tone_map(const float *planes, size_t count, int transfer, int primaries, uint8_t *rgb);

#endif

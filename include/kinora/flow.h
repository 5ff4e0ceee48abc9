/* Dense optical flow between the frames of a film: dense inverse search (arXiv 1603.03590) and variational refinement
 * (Brox et al. 2004) on a pyramid, with occlusions found by going forward and back. On the host's processors. */
#ifndef KINORA_FLOW_H
#define KINORA_FLOW_H

#include "kinora/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The frames of one shot, one after another. Not thread-safe; works on two threads. */
typedef struct kn_flow kn_flow;

/* Of frames of this size, 1..16384. */
bool kn_flow_create(kn_flow **flow, int width, int height, kn_error *error);
void kn_flow_destroy(kn_flow **flow);

/* Takes the next frame and says where each of its pixels was in the frame before:
 *   planes    [3][height][width], R'G'B' in about 0..1; NaN counts as black
 *   motion    [2][height][width]: pixel (x, y) was at (x + motion[0], y + motion[1]); pixels
 *   confident [height][width]: 1 where going there and back leads home, 0 where the pixel was hidden or outside
 * For the first frame after creation or kn_flow_cut both are 0. */
bool kn_flow_next(kn_flow *flow, const float *planes, float *motion, float *confident, kn_error *error);
/* The next frame begins a new shot. */
void kn_flow_cut(kn_flow *flow);

#ifdef __cplusplus
}
#endif
#endif

/* Bounding volume hierarchies over triangles, binned by the surface area heuristic (Wald 2007, "On fast construction of
 * SAH-based bounding volume hierarchies"), and their threaded form for the shaders. Internal to scene/. */
#ifndef KN_SCENE_BVH_H
#define KN_SCENE_BVH_H

#include "base/base.h"

/* Axis-aligned, metres. */
typedef struct kn_bvh_box {
    float low[3], high[3];
} kn_bvh_box;

typedef struct kn_bvh_node {
    kn_bvh_box box;
    uint32_t first; /* leaf: first entry of `order`; inner: the left child, the right one is first + 1 */
    uint16_t count; /* triangles of a leaf; 0: inner */
    uint16_t axis;  /* of the split: the left child has the smaller coordinates */
} kn_bvh_node;

/* A tree; nodes[0] is the root. Reused from build to build without allocating when it fits. A zeroed one is empty. */
typedef struct kn_bvh {
    kn_bvh_node *nodes;
    size_t node_count, node_capacity;
    uint32_t *order;     /* [triangle_count]: the leaves' triangles */
    size_t triangle_count, order_capacity;
} kn_bvh;

/* Signs of a ray's (x, y): bit 0 set when x < 0, bit 1 when y < 0. */
enum { KN_BVH_ORDERS = 4, KN_BVH_LEAF = 4, KN_BVH_NODE_FLOATS = 8 };

/* Builds over boxes[count] (of the triangles). Non-finite boxes are refused. count 0 gives an empty tree (node_count 0). */
bool kn_bvh_build(kn_bvh *bvh, const kn_bvh_box *boxes, size_t count, kn_error *error);
void kn_bvh_finish(kn_bvh *bvh);

/* Writes the nodes in the order in which a ray of these signs meets them: out[node_count][8] = low, skip link, high, first
 * triangle of the leaf or -1. Links and triangles are counted from node_base and triangle_base; the last skip link is `end`
 * (-1, or the root of a tree to go on with). All are exact in fp32 below 2^24. `stack` is scratch of node_count words. */
void kn_bvh_emit(const kn_bvh *bvh, int signs, size_t node_base, size_t triangle_base, float end, uint32_t *stack, float *out);

#endif

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
    uint32_t *order; /* [triangle_count]: the leaves' triangles */
    size_t triangle_count, order_capacity;
} kn_bvh;

/* Signs of a ray's (x, y): bit 0 set when x < 0, bit 1 when y < 0. */
enum { KN_BVH_ORDERS = 4, KN_BVH_LEAF = 8 };

/* The lattice that packed nodes are rounded to (outwards): coordinate = low + q * cell, q in 0..65535. Boxes must lie
 * inside it. */
typedef struct kn_bvh_grid {
    float low[3], cell[3];
} kn_bvh_grid;
kn_bvh_grid kn_bvh_grid_over(const kn_bvh_box *box); /* with a margin */

/* A node as the shaders read it. Six 16-bit planes: near x | near y << 16, low z | far x << 16, far y | high z << 16,
 * where near is the side that rays of these signs enter by. Then, for a leaf, KN_BVH_IS_LEAF | first triangle, else the
 * node that a ray which misses goes on with. A ray goes on with the next node in memory after a leaf and after a box
 * that it hits. */
typedef uint32_t kn_bvh_packed[4];
#define KN_BVH_IS_LEAF 0x80000000u
#define KN_BVH_END 0x7fffffffu

/* Builds over boxes[count] (of the triangles). Non-finite boxes are refused. count 0 gives an empty tree (node_count
 * 0). */
bool kn_bvh_build(kn_bvh *bvh, const kn_bvh_box *boxes, size_t count, kn_error *error);
void kn_bvh_finish(kn_bvh *bvh);

/* Writes the tree in the order in which rays of these signs meet it: node_count nodes and one that sends every ray on
 * to `end` (KN_BVH_END, or the root of another tree). Nodes and triangles are counted from node_base and triangle_base.
 * `scratch` holds 2 (node_count + 1) words. Nothing is written for an empty tree. */
void kn_bvh_emit(const kn_bvh *bvh, const kn_bvh_grid *grid, int signs, size_t node_base, size_t triangle_base,
                 uint32_t end, uint32_t *scratch, kn_bvh_packed *out);

#endif

/* The tree on the host: every ray finds what brute force finds, in all four orders. */
#include "base/random.h"
#include "scene/render/bvh.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

static kn_bvh_box random_box(kn_rng *rng, double spread, double size) {
    kn_bvh_box box;
    for (int a = 0; a < 3; a++) {
        double middle = kn_rng_uniform(rng, -spread, spread), half = kn_rng_uniform(rng, 0, size);
        box.low[a] = (float)(middle - half);
        box.high[a] = (float)(middle + half);
    }
    return box;
}

static bool crosses(const float *low, const float *high, const double origin[3], const double direction[3]) {
    double enter = 0, leave = 1e30;
    for (int a = 0; a < 3; a++) {
        double t0 = (low[a] - origin[a]) / direction[a], t1 = (high[a] - origin[a]) / direction[a];
        enter = fmax(enter, fmin(t0, t1));
        leave = fmin(leave, fmax(t0, t1));
    }
    return enter <= leave;
}

/* One plane of a packed box in coordinates. */
static float plane(const kn_bvh_grid *grid, int axis, uint32_t step) {
    return grid->low[axis] + (float)(step & 0xffff) * grid->cell[axis];
}

/* Walks the packed form; marks the first entries of leaves whose box the ray crosses. Returns the number of steps. */
static size_t walk(const kn_bvh_packed *nodes, const kn_bvh_grid *grid, int signs, uint32_t base, size_t first,
                   const double origin[3], const double direction[3], uint8_t *seen) {
    size_t steps = 0;
    for (uint32_t at = base; at != KN_BVH_END && steps < 1000000; steps++) {
        const uint32_t *node = nodes[at - base];
        float x[2] = {plane(grid, 0, node[0]), plane(grid, 0, node[1] >> 16)},
              y[2] = {plane(grid, 1, node[0] >> 16), plane(grid, 1, node[2])};
        float low[3] = {x[signs & 1], y[signs >> 1], plane(grid, 2, node[1])};
        float high[3] = {x[!(signs & 1)], y[!(signs >> 1)], plane(grid, 2, node[2] >> 16)};
        bool inside = low[0] <= high[0] && crosses(low, high, origin, direction), leaf = node[3] & KN_BVH_IS_LEAF;
        if (inside && leaf) seen[(node[3] & ~KN_BVH_IS_LEAF) - first] = 1;
        at = inside || leaf ? at + 1 : node[3];
    }
    return steps;
}

static void check_tree(size_t count, double spread, double size, uint64_t seed) {
    kn_rng rng;
    kn_bvh bvh = {0};
    kn_rng_init(&rng, seed);
    kn_bvh_box *boxes = calloc(count + 1, sizeof *boxes);
    for (size_t i = 0; i < count; i++) boxes[i] = random_box(&rng, spread, size);
    cr_assert(kn_bvh_build(&bvh, boxes, count, NULL));
    cr_expect_eq(bvh.triangle_count, count);
    size_t *leaf_of = calloc(count + 1, sizeof *leaf_of);
    uint8_t *present = calloc(count + 1, 1);
    for (size_t n = 0; n < bvh.node_count; n++)
        for (size_t i = 0; i < bvh.nodes[n].count; i++) {
            leaf_of[bvh.order[bvh.nodes[n].first + i]] = bvh.nodes[n].first;
            present[bvh.order[bvh.nodes[n].first + i]]++;
        }
    for (size_t i = 0; i < count; i++) cr_expect_eq(present[i], 1);
    kn_bvh_packed *nodes = calloc(bvh.node_count + 1, sizeof *nodes);
    uint32_t *scratch = calloc(bvh.node_count + 1, 2 * sizeof *scratch);
    kn_bvh_grid grid = kn_bvh_grid_over(count ? &bvh.nodes[0].box : &(kn_bvh_box){0});
    uint8_t *seen = calloc(count + 1, 1);
    for (int ray = 0; ray < 40; ray++) {
        double origin[3], direction[3];
        for (int a = 0; a < 3; a++) {
            origin[a] = kn_rng_uniform(&rng, -spread, spread);
            direction[a] = kn_rng_normal(&rng);
        }
        int signs = (direction[0] < 0) + 2 * (direction[1] < 0);
        kn_bvh_emit(&bvh, &grid, signs, 5, 100, KN_BVH_END, scratch, nodes);
        for (size_t i = 0; i < count; i++) seen[i] = 0;
        size_t steps = count ? walk(nodes, &grid, signs, 5, 100, origin, direction, seen) : 0;
        cr_expect(steps <= bvh.node_count + 1);
        for (size_t i = 0; i < count; i++)
            if (crosses(boxes[i].low, boxes[i].high, origin, direction))
                cr_expect(seen[leaf_of[i]], "box %zu is not met", i);
    }
    kn_bvh_finish(&bvh);
    free(boxes), free(leaf_of), free(present), free(nodes), free(scratch), free(seen);
}

Test(bvh, every_box_is_met) {
    static const size_t counts[] = {0, 1, 2, 3, 4, 5, 17, 256, 3001};
    for (size_t i = 0; i < KN_COUNT(counts); i++) check_tree(counts[i], 20, 1.5, i + 1);
}

Test(bvh, equal_boxes_end) { check_tree(777, 0, 0, 3); }

Test(bvh, bad_boxes_are_refused) {
    kn_bvh bvh = {0};
    kn_error error;
    kn_bvh_box boxes[2] = {{{0, 0, 0}, {1, 1, 1}}, {{0, NAN, 0}, {1, 1, 1}}};
    cr_expect(!kn_bvh_build(&bvh, boxes, 2, &error));
    cr_expect_eq(error.kind, KN_ERROR_INPUT);
    boxes[1].low[1] = -INFINITY;
    cr_expect(!kn_bvh_build(&bvh, boxes, 2, &error));
    kn_bvh_finish(&bvh);
}

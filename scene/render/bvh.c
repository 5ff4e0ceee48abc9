#include "scene/render/bvh.h"

#include <math.h>
#include <string.h>

enum { BINS = 12, STACK = 64 };

/* What one triangle test costs, in node steps. */
static const float triangle_cost = 0.5f;

/* Unlike fminf these are one instruction. */
static inline float least(float a, float b) { return a < b ? a : b; }
static inline float most(float a, float b) { return a > b ? a : b; }

static void box_clear(kn_bvh_box *box) {
    for (int a = 0; a < 3; a++) {
        box->low[a] = INFINITY;
        box->high[a] = -INFINITY;
    }
}

static void box_grow(kn_bvh_box *box, const kn_bvh_box *other) {
    for (int a = 0; a < 3; a++) {
        box->low[a] = least(box->low[a], other->low[a]);
        box->high[a] = most(box->high[a], other->high[a]);
    }
}

static float box_area(const kn_bvh_box *box) {
    float x = box->high[0] - box->low[0], y = box->high[1] - box->low[1], z = box->high[2] - box->low[2];
    return x < 0 ? 0 : x * y + y * z + z * x;
}

static float middle(const kn_bvh_box *box, int axis) { return box->low[axis] + box->high[axis]; }

typedef struct split {
    int axis; /* -1: none */
    int bin;  /* the left side holds bins below it */
    float cost, low, scale;
} split;

/* Cost of every plane between the bins of one axis; improves *best. */
static void sweep_axis(const kn_bvh_box *bins, const uint32_t *counts, int axis, float low, float scale, split *best) {
    kn_bvh_box box;
    float left[BINS];
    uint32_t count = 0;
    box_clear(&box);
    for (int b = 0; b < BINS - 1; b++) {
        box_grow(&box, &bins[b]);
        count += counts[b];
        left[b] = box_area(&box) * (float)count;
    }
    box_clear(&box);
    count = 0;
    for (int b = BINS - 1; b > 0; b--) {
        box_grow(&box, &bins[b]);
        count += counts[b];
        float cost = left[b - 1] + box_area(&box) * (float)count;
        if (cost < best->cost) *best = (split){axis, b, cost, low, scale};
    }
}

static int bin_of(float value, float low, float scale) {
    int bin = (int)((value - low) * scale);
    return bin < 0 ? 0 : bin >= BINS ? BINS - 1 : bin;
}

static split find_split(const kn_bvh_box *boxes, const uint32_t *order, size_t count, const kn_bvh_box *middles) {
    split best = {.axis = -1, .cost = INFINITY};
    for (int axis = 0; axis < 3; axis++) {
        float low = middles->low[axis], extent = middles->high[axis] - low;
        if (!(extent > 0)) continue;
        float scale = (float)BINS / extent * 0.9999f;
        if (!isfinite(scale)) continue;
        kn_bvh_box bins[BINS];
        uint32_t counts[BINS] = {0};
        for (int b = 0; b < BINS; b++) box_clear(&bins[b]);
        for (size_t i = 0; i < count; i++) {
            int bin = bin_of(middle(&boxes[order[i]], axis), low, scale);
            counts[bin]++;
            box_grow(&bins[bin], &boxes[order[i]]);
        }
        sweep_axis(bins, counts, axis, low, scale, &best);
    }
    return best;
}

/* Moves the left side's entries to the front; returns how many there are. */
static size_t partition(const kn_bvh_box *boxes, uint32_t *order, size_t count, const split *at) {
    size_t left = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t triangle = order[i];
        if (bin_of(middle(&boxes[triangle], at->axis), at->low, at->scale) < at->bin) {
            order[i] = order[left];
            order[left++] = triangle;
        }
    }
    return left;
}

typedef struct task {
    uint32_t node;
    size_t first, count;
} task;

/* Makes the node a leaf (returns 0) or divides its range (returns the size of the left side). */
static size_t divide(kn_bvh *bvh, const kn_bvh_box *boxes, const task *job) {
    kn_bvh_node *node = &bvh->nodes[job->node];
    uint32_t *order = bvh->order + job->first;
    kn_bvh_box middles;
    box_clear(&node->box);
    box_clear(&middles);
    for (size_t i = 0; i < job->count; i++) {
        const kn_bvh_box *box = &boxes[order[i]];
        box_grow(&node->box, box);
        for (int a = 0; a < 3; a++) {
            middles.low[a] = least(middles.low[a], middle(box, a));
            middles.high[a] = most(middles.high[a], middle(box, a));
        }
    }
    split at = {.axis = -1};
    if (job->count > 1) at = find_split(boxes, order, job->count, &middles);
    float whole = box_area(&node->box);
    bool small = job->count <= KN_BVH_LEAF;
    if (job->count == 1 ||
        (small && (at.axis < 0 || whole + triangle_cost * at.cost >= triangle_cost * whole * (float)job->count))) {
        node->first = (uint32_t)job->first;
        node->count = (uint16_t)job->count;
        return 0;
    }
    node->axis = at.axis < 0 ? 0 : (uint16_t)at.axis;
    size_t left = at.axis < 0 ? 0 : partition(boxes, order, job->count, &at);
    return left == 0 || left == job->count ? job->count / 2 : left;
}

bool kn_bvh_build(kn_bvh *bvh, const kn_bvh_box *boxes, size_t count, kn_error *error) {
    bvh->node_count = bvh->triangle_count = 0;
    if (count == 0) return true;
    if (count > (1u << 23))
        return kn_fail(error, KN_ERROR_UNSUPPORTED, "scene has %zu triangles, at most %u can be drawn", count,
                       1u << 23);
    for (size_t i = 0; i < count; i++)
        for (int a = 0; a < 3; a++)
            if (!isfinite(boxes[i].low[a]) || !isfinite(boxes[i].high[a]))
                return kn_fail(error, KN_ERROR_INPUT, "triangle %zu of the scene has a corner that is not finite", i);
    if (!kn_grow(&bvh->nodes, &bvh->node_capacity, 2 * count, sizeof *bvh->nodes, error) ||
        !kn_grow(&bvh->order, &bvh->order_capacity, count, sizeof *bvh->order, error))
        return false;
    for (size_t i = 0; i < count; i++) bvh->order[i] = (uint32_t)i;
    task stack[STACK];
    int depth = 0;
    stack[depth++] = (task){0, 0, count};
    bvh->node_count = 1;
    bvh->triangle_count = count;
    while (depth > 0) {
        task job = stack[--depth];
        memset(&bvh->nodes[job.node], 0, sizeof *bvh->nodes);
        size_t left = divide(bvh, boxes, &job);
        if (left == 0) continue;
        uint32_t child = (uint32_t)bvh->node_count;
        bvh->nodes[job.node].first = child;
        bvh->node_count += 2;
        task sides[2] = {{child, job.first, left}, {child + 1, job.first + left, job.count - left}};
        bool right_smaller = sides[1].count < sides[0].count;
        stack[depth++] = sides[right_smaller ? 0 : 1]; /* the larger waits: at most log2(count) tasks do */
        stack[depth++] = sides[right_smaller ? 1 : 0];
    }
    return true;
}

void kn_bvh_finish(kn_bvh *bvh) {
    kn_free(bvh->nodes);
    kn_free(bvh->order);
    *bvh = (kn_bvh){0};
}

kn_bvh_grid kn_bvh_grid_over(const kn_bvh_box *box) {
    kn_bvh_grid grid;
    for (int a = 0; a < 3; a++) {
        float extent = most(box->high[a] - box->low[a], 0) + 1;
        grid.cell[a] = extent / 65000;
        grid.low[a] = box->low[a] - 200 * grid.cell[a];
    }
    return grid;
}

/* Whether rays of these signs meet the right child first. Along z the lower child always comes first. */
static bool right_first(const kn_bvh_node *node, int signs) { return node->axis < 2 && (signs >> node->axis & 1); }

static uint32_t clamp_step(float q) { return q < 0 ? 0 : q > 65535 ? 65535 : (uint32_t)q; }

static void pack_box(const kn_bvh_box *box, const kn_bvh_grid *grid, int signs, uint32_t *out) {
    uint32_t near[3], far[3];
    for (int a = 0; a < 3; a++) {
        uint32_t low = clamp_step(floorf((box->low[a] - grid->low[a]) / grid->cell[a] - .05f));
        uint32_t high = clamp_step(ceilf((box->high[a] - grid->low[a]) / grid->cell[a] + .05f));
        bool turned = a < 2 && (signs >> a & 1);
        near[a] = turned ? high : low;
        far[a] = turned ? low : high;
    }
    out[0] = near[0] | near[1] << 16;
    out[1] = near[2] | far[0] << 16;
    out[2] = far[1] | far[2] << 16;
}

void kn_bvh_emit(const kn_bvh *bvh, const kn_bvh_grid *grid, int signs, size_t node_base, size_t triangle_base,
                 uint32_t end, uint32_t *scratch, kn_bvh_packed *out) {
    uint32_t *stack = scratch, *waiting = scratch + bvh->node_count + 1; /* subtrees that wait when a node is written */
    size_t depth = 0, at = 0;
    if (bvh->node_count == 0) return;
    stack[depth++] = 0;
    while (depth > 0) {
        const kn_bvh_node *node = &bvh->nodes[stack[--depth]];
        waiting[at] = (uint32_t)depth;
        pack_box(&node->box, grid, signs, out[at]);
        out[at++][3] = node->count ? KN_BVH_IS_LEAF | (uint32_t)(triangle_base + node->first) : 0;
        if (!node->count) {
            bool right = right_first(node, signs);
            stack[depth++] = node->first + (right ? 0 : 1);
            stack[depth++] = node->first + (right ? 1 : 0);
        }
    }
    /* A node's subtree ends at the first later node with one waiting subtree less: walk backwards and remember for each
     * number of waiting subtrees the nearest node that has it. */
    for (size_t i = bvh->node_count; i-- > 0;) {
        if (!(out[i][3] & KN_BVH_IS_LEAF))
            out[i][3] = (uint32_t)(node_base + (waiting[i] == 0 ? bvh->node_count : stack[waiting[i] - 1]));
        stack[waiting[i]] = (uint32_t)i;
    }
    /* The way out: a box whose near side lies behind its far side is missed by every ray. */
    uint32_t near = signs & 1 ? 0 : 65535;
    out[bvh->node_count][0] = near;
    out[bvh->node_count][1] = (65535 - near) << 16;
    out[bvh->node_count][2] = 0;
    out[bvh->node_count][3] = end;
}

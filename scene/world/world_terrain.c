/* The land: a quadtree of grass and fields that is fine beside roads and coarse far away, with hills at the horizon. */
#include "scene/world/world_build.h"

enum { LEVELS = 11, SIDE = 1 << LEVELS }; /* SIDE smallest cells of 2 m: 4096 m */
static const double smallest = 2;

static double lattice(uint64_t seed, int i, int j) {
    return (double)(kn_hash64(seed ^ ((uint64_t)(uint32_t)i << 32 | (uint32_t)j)) >> 40) / (double)(1 << 24) * 2 - 1;
}

/* Smooth value noise in -1..1. */
static double noise(uint64_t seed, double x, double y) {
    double fx = floor(x), fy = floor(y), u = x - fx, v = y - fy;
    u = u * u * (3 - 2 * u), v = v * v * (3 - 2 * v);
    int i = (int)fx, j = (int)fy;
    return kn_mix(kn_mix(lattice(seed, i, j), lattice(seed, i + 1, j), u),
                  kn_mix(lattice(seed, i, j + 1), lattice(seed, i + 1, j + 1), u), v);
}

double kn_world_land(const kn_world_builder *w, double x, double y) {
    double d = kn_space_distance(&w->space, x, y), base = kn_space_ground(&w->space, x, y);
    bool town = w->main_kind == KN_SURROUND_TOWN;
    double gentle = (town ? .3 : 1.6) * noise(w->seed, x / 45, y / 45) * kn_smooth(8, 60, d) +
                    (town ? 0 : 3.5) * noise(w->seed + 1, x / 160, y / 160) * kn_smooth(30, 160, d);
    double hills = kn_smooth(350, 1500, d) *
                   (45 + 60 * noise(w->seed + 2, x / 700, y / 700) + 12 * noise(w->seed + 3, x / 210, y / 210));
    return base - .16 + gentle + fmax(hills, kn_smooth(350, 900, d) * 4);
}

/* Terrain frame: fields are rectangles in it. */
typedef struct land {
    kn_world_builder *w;
    double cx, cy, c, s;
    double eye_x, eye_y;
} land;

static void to_world(const land *l, double u, double v, double *x, double *y) {
    *x = l->cx + l->c * u - l->s * v;
    *y = l->cy + l->s * u + l->c * v;
}

/* Should the node of `size` metres with lower corner (u, v) be split? */
static bool split(const land *l, double u, double v, double size) {
    if (size <= smallest) return false;
    double x, y, half = size * .7072;
    to_world(l, u + size / 2, v + size / 2, &x, &y);
    double d = kn_space_distance(&l->w->space, x, y) - half;
    double limit = d < 5 ? 2 : d < 14 ? 4 : d < 40 ? 8 : d < 100 ? 16 : d < 300 ? 32 : d < 700 ? 64 : 128;
    return size > limit;
}

/* Size of the leaf that contains a point. */
static double leaf_size(const land *l, double u, double v) {
    double size = smallest * SIDE, u0 = floor(u / size) * size, v0 = floor(v / size) * size;
    while (split(l, u0, v0, size)) {
        size /= 2;
        if (u >= u0 + size) u0 += size;
        if (v >= v0 + size) v0 += size;
    }
    return size;
}

static double height_at(const land *l, double u, double v) {
    double x, y;
    to_world(l, u, v, &x, &y);
    double d = kn_space_distance(&l->w->space, x, y), z = kn_world_land(l->w, x, y);
    return d < 1.3 ? z - .45 : z; /* sunk below the roads; verges and pavements cover the step */
}

static uint32_t put_vertex(const land *l, double u, double v) {
    double x, y, e = 3;
    to_world(l, u, v, &x, &y);
    double dx = (kn_world_land(l->w, x + e, y) - kn_world_land(l->w, x - e, y)) / (2 * e),
           dy = (kn_world_land(l->w, x, y + e) - kn_world_land(l->w, x, y - e)) / (2 * e);
    return kn_build_vertex(&l->w->draw, kn_v3(x, y, height_at(l, u, v)), kn_vec3_normalize(kn_v3(-dx, -dy, 1)), x, y);
}

/* Walks one edge of a leaf, adding corners of finer neighbours (probed just outside at (pu, pv)). */
static void edge_points(const land *l, double u0, double v0, double u1, double v1, double ou, double ov,
                        double (*out)[2], int *count, int capacity) {
    double length = fabs(u1 - u0) + fabs(v1 - v0), um = (u0 + u1) / 2, vm = (v0 + v1) / 2;
    if (length > smallest && *count < capacity) {
        double a = leaf_size(l, kn_mix(u0, u1, .25) + ou, kn_mix(v0, v1, .25) + ov),
               b = leaf_size(l, kn_mix(u0, u1, .75) + ou, kn_mix(v0, v1, .75) + ov);
        if (a < length * .99 || b < length * .99) {
            edge_points(l, u0, v0, um, vm, ou, ov, out, count, capacity);
            if (*count < capacity) out[*count][0] = um, out[*count][1] = vm, (*count)++;
            edge_points(l, um, vm, u1, v1, ou, ov, out, count, capacity);
        }
    }
}

/* Meadow, crops, ploughed soil: rectangles along the road; grass beside roads and in town. */
static kn_material land_matter(const land *l, double u, double v) {
    double x, y;
    to_world(l, u, v, &x, &y);
    double d = kn_space_distance(&l->w->space, x, y);
    if (d < 14 || l->w->main_kind == KN_SURROUND_TOWN)
        return d < 250 ? kn_grass((int)(kn_hash64(l->w->seed) & 1))
                       : kn_matter(.05, .085, .035, .95, KN_TEXTURE_LEAVES, KN_SEMANTIC_TERRAIN, .2);
    int i = (int)floor(u / 128), j = (int)floor(v / 64);
    uint64_t h = kn_hash64(l->w->seed ^ 0xf1e1d5u ^ ((uint64_t)(uint32_t)i << 32 | (uint32_t)j));
    switch (h % 7) {
    case 0: return kn_matter(.19, .165, .06, .95, KN_TEXTURE_GRASS, KN_SEMANTIC_TERRAIN, .2); /* ripe corn */
    case 1: return kn_matter(.13, .095, .06, .95, KN_TEXTURE_SOIL, KN_SEMANTIC_TERRAIN, .25); /* ploughed */
    case 2: return kn_matter(.15, .17, .05, .95, KN_TEXTURE_GRASS, KN_SEMANTIC_TERRAIN, .2);
    case 3: return kn_matter(.045, .095, .03, .95, KN_TEXTURE_GRASS, KN_SEMANTIC_TERRAIN, .2); /* beet */
    default: return kn_grass((int)(h >> 8 & 3));
    }
}

static void draw_leaf(land *l, double u, double v, double size) {
    enum { CAPACITY = 160 };
    double ring[CAPACITY][2], corner[5][2] = {{u, v}, {u + size, v}, {u + size, v + size}, {u, v + size}, {u, v}};
    static const double out[4][2] = {{0, -1}, {1, 0}, {0, 1}, {-1, 0}};
    int count = 0;
    for (int k = 0; k < 4; k++) {
        ring[count][0] = corner[k][0], ring[count++][1] = corner[k][1];
        edge_points(l, corner[k][0], corner[k][1], corner[k + 1][0], corner[k + 1][1], out[k][0] * .5, out[k][1] * .5,
                    ring, &count, CAPACITY - 4 + k);
    }
    kn_build_use(&l->w->draw, land_matter(l, u + size / 2, v + size / 2));
    uint32_t index[CAPACITY];
    for (int i = 0; i < count; i++) index[i] = put_vertex(l, ring[i][0], ring[i][1]);
    if (count == 4) {
        kn_build_triangle(&l->w->draw, index[0], index[1], index[2]);
        kn_build_triangle(&l->w->draw, index[0], index[2], index[3]);
        return;
    }
    uint32_t middle = put_vertex(l, u + size / 2, v + size / 2);
    for (int i = 0; i < count; i++) kn_build_triangle(&l->w->draw, middle, index[i], index[(i + 1) % count]);
}

/* Is the whole node, and half a metre around it, under the driven lanes of one road, or all of it where roads lie over
 * each other, so that nobody sees it? Between two roads there may be a gap that the raster is too coarse for. */
static bool covered(const land *l, double u, double v, double size) {
    const kn_space *space = &l->w->space;
    uint16_t road = 0;
    if (size > smallest) return false;
    for (int k = 0; k < 49; k++) {
        double x, y;
        to_world(l, u + (k % 7 - 1) * size / 4, v + (k / 7 - 1) * size / 4, &x, &y);
        if (!kn_space_driven(space, x, y, -1)) return false;
        long cell = kn_space_cell(space, x, y);
        if (space->flags[cell] & KN_SPACE_FILL) continue;
        if (road && space->road[cell] != road) return false;
        road = space->road[cell];
    }
    return true;
}

static void descend(land *l, double u, double v, double size) {
    if (l->w->draw.failed) return;
    if (!split(l, u, v, size)) {
        double x, y;
        to_world(l, u + size / 2, v + size / 2, &x, &y);
        bool in_sight = hypot(x - l->eye_x, y - l->eye_y) < smallest * SIDE / 2;
        if (in_sight && !covered(l, u, v, size)) draw_leaf(l, u, v, size);
        return;
    }
    for (int k = 0; k < 4; k++) descend(l, u + (k & 1) * size / 2, v + (k >> 1) * size / 2, size / 2);
}

/* Middle of the part of the way that the window is about. */
static void find_eye(land *l) {
    const kn_space *space = &l->w->space;
    l->eye_x = space->x0 + space->nx * space->cell / 2;
    l->eye_y = space->y0 + space->ny * space->cell / 2;
}

void kn_world_terrain(kn_world_builder *w) {
    const kn_vec2 *start = &w->site->path[0]; /* fields lie alike in all windows */
    land l = {.w = w, .c = cos(w->heading), .s = sin(w->heading), .cx = start->x, .cy = start->y};
    find_eye(&l);
    double size = smallest * SIDE, dx = l.eye_x - l.cx, dy = l.eye_y - l.cy, u = l.c * dx + l.s * dy,
           v = -l.s * dx + l.c * dy;
    for (double i = floor((u - size / 2) / size); i * size < u + size / 2; i++)
        for (double j = floor((v - size / 2) / size); j * size < v + size / 2; j++)
            descend(&l, i * size, j * size, size);
}

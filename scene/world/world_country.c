/* Grows the open country: woods, hedgerows, farms, and what lines rural roads and motorways. */
#include "scene/world/props.h"
#include "scene/world/world_build.h"

static const double HEDGE = 9; /* metres of one piece */

static double hash_unit(uint64_t h) { return (double)(kn_hash64(h) >> 11) / 9007199254740992.0; }

static double cell_value(const kn_world_builder *w, uint64_t salt, double x, double y) {
    return hash_unit(w->seed ^ salt ^ ((uint64_t)(uint32_t)(int32_t)x << 32 | (uint32_t)(int32_t)y));
}

/* Smooth 0..1 field that says where woods stand. */
static double woods(const kn_world_builder *w, double x, double y) {
    double u = x / 75, v = y / 75, i = floor(u), j = floor(v), a = kn_smooth(0, 1, u - i), b = kn_smooth(0, 1, v - j);
    return kn_mix(kn_mix(cell_value(w, 5, i, j), cell_value(w, 5, i + 1, j), a),
                  kn_mix(cell_value(w, 5, i, j + 1), cell_value(w, 5, i + 1, j + 1), a), b);
}

/* Undergrowth along the edge of a wood. */
static void grow_bush(kn_world_builder *w, double x, double y, double clear, kn_rng *rng) {
    double px = x + kn_rng_uniform(rng, -4, 4), py = y + kn_rng_uniform(rng, -4, 4), radius = kn_rng_uniform(rng, 1, 2),
           height = kn_rng_uniform(rng, 1.2, 2.6);
    uint64_t seed = kn_rng_next(rng);
    if (!kn_world_budget(w, 400) || !w->drawing || kn_space_distance(&w->space, px, py) < clear - 2 ||
        !kn_world_clear(w, px, py, 1))
        return;
    w->draw.pose = kn_pose_identity();
    w->draw.pose.translation = kn_v3(px, py, kn_world_land(w, px, py) - .1);
    kn_bush_draw(&w->draw, radius, height, kn_world_detail(w, px, py), seed);
    w->draw.pose = kn_pose_identity();
}

/* One place of the lattice on which trees stand. */
static void grow_at(kn_world_builder *w, double x, double y, double clear, kn_rng *rng) {
    const kn_country *land = &w->country;
    double d = kn_space_distance(&w->space, x, y), wood = woods(w, x, y) - land->wood,
           chance = wood > .04 ? .9
                    : wood > 0 ? .5
                               : land->lone_trees,
           take = kn_rng_uniform(rng, 0, 1), inner = kn_rng_uniform(rng, 0, 1);
    if (d < clear || d > 130 || take > chance) return;
    /* the inside of a wood is not seen */
    if (wood > .04 && d > 45 && kn_world_path_distance(w, x, y) > 60 && inner < .45) return;
    bool firs = cell_value(w, 6, floor(x / 150), floor(y / 150)) < land->firs && wood > -.06;
    int pick = kn_rng_int(rng, 0, 4), conifer = pick ? KN_TREE_SPRUCE : KN_TREE_PINE;
    double height = kn_rng_uniform(rng, 8, 16);
    kn_world_tree(w, x, y, firs ? conifer : land->leaf_trees[pick], height, clear, kn_rng_next(rng));
    if (fabs(wood - .04) < .06 && d < 60) grow_bush(w, x, y, clear, rng);
}

/* Woods and single trees on a jittered lattice. */
static void grow_woods(kn_world_builder *w) {
    const double PITCH = 9.5;
    double clear = w->main_kind == KN_SURROUND_MOTORWAY ? 11 : 7;
    for (double i = ceil(w->ti * KN_TILE / PITCH); i * PITCH < (w->ti + 1) * KN_TILE; i++) {
        for (double j = ceil(w->tj * KN_TILE / PITCH); j * PITCH < (w->tj + 1) * KN_TILE; j++) {
            kn_rng rng;
            kn_rng_init(&rng, kn_hash64(w->seed ^ kn_hash64((uint64_t)(int64_t)i * 1000003u + (uint64_t)(int64_t)j)));
            double x = i * PITCH + kn_rng_uniform(&rng, -4, 4), y = j * PITCH + kn_rng_uniform(&rng, -4, 4);
            grow_at(w, x, y, clear, &rng);
        }
    }
}

/* A piece of hedge on the border of two fields, which lie as in world_terrain.c. */
static void grow_hedge(kn_world_builder *w, double u, double v, int axis, uint64_t seed) {
    const kn_vec2 *start = &w->site->path[0];
    double c = cos(w->heading), s = sin(w->heading), x = start->x + c * u - s * v, y = start->y + s * u + c * v,
           d = kn_space_distance(&w->space, x, y);
    if (!kn_world_in_tile(w, x, y) || d < 13 || d > 90 || seed % 7 == 0 || !kn_world_budget(w, 600) ||
        !kn_world_clear(w, x, y, 2))
        return;
    if (w->drawing) {
        w->draw.pose = kn_pose_from_euler(kn_v3(x, y, kn_world_land(w, x, y) - .1), w->heading + axis * M_PI / 2, 0, 0);
        kn_hedge_draw(&w->draw, HEDGE * 1.02, 1.5, 1.5 + hash_unit(seed), kn_world_detail(w, x, y) * .6, seed);
        w->draw.pose = kn_pose_identity();
    }
    if (seed % 5 == 1)
        kn_world_tree(w, x + 1, y + 1, w->country.leaf_trees[seed >> 9 & 1], 7 + 4 * hash_unit(seed + 1), 9, seed);
}

/* Hedges along some of the borders of fields that cross this tile. */
static void grow_hedgerows(kn_world_builder *w) {
    const kn_vec2 *start = &w->site->path[0];
    double c = cos(w->heading), s = sin(w->heading), dx = (w->ti + .5) * KN_TILE - start->x,
           dy = (w->tj + .5) * KN_TILE - start->y, middle[2] = {c * dx + s * dy, -s * dx + c * dy},
           reach = KN_TILE * .7072;
    for (int axis = 0; axis < 2; axis++) {
        double pitch = axis ? 128 : 64, across = middle[axis ? 0 : 1], along = middle[axis ? 1 : 0];
        for (double j = ceil((across - reach) / pitch); j * pitch <= across + reach; j++) {
            uint64_t row = kn_hash64(w->seed ^ ((uint64_t)(int64_t)j * 31 + (uint64_t)axis));
            if (hash_unit(row) > w->country.hedges) continue;
            for (double k = ceil((along - reach) / HEDGE); k * HEDGE <= along + reach; k++) {
                uint64_t seed = kn_hash64(row + (uint64_t)(int64_t)k);
                grow_hedge(w, axis ? j * pitch : k * HEDGE, axis ? k * HEDGE : j * pitch, axis, seed);
            }
        }
    }
}

static void draw_farm(kn_world_builder *w, double x, double y, double heading, uint64_t seed) {
    for (int k = 0; k < 2; k++) { /* house and barn */
        double grow = .85 + .4 * hash_unit(seed + 7 + (uint64_t)k);
        kn_building b = {.width = (k ? 18 : 12) * grow,
                         .depth = k ? 10 : 9,
                         .storey = k ? 3.4 : 2.8,
                         .storeys = k ? 1 : 1 + (int)(seed >> 11 & 1),
                         .style = k ? (int)(seed >> 13 & 1) * 2 : 1,
                         .roof = seed >> 17 & 3 ? KN_ROOF_GABLE : KN_ROOF_HIP,
                         .open = k ? KN_EAST : 15u,
                         .porch = !k && seed >> 19 & 1,
                         .detail = kn_world_detail(w, x, y) > .5 ? .8 : .4,
                         .seed = seed + (uint64_t)k};
        double bx = x + cos(heading) * (k ? 0 : -2) - sin(heading) * (k ? 3 : -12),
               by = y + sin(heading) * (k ? 0 : -2) + cos(heading) * (k ? 3 : -12);
        w->draw.pose = kn_pose_from_euler(kn_v3(bx, by, kn_world_land(w, bx, by)), heading, 0, 0);
        w->draw.instance = kn_world_new_instance(w, x, y);
        kn_building_draw(&w->draw, &b);
    }
    w->draw.pose = kn_pose_identity();
    w->draw.instance = 0;
}

/* In some tiles a farm. */
static void grow_farm(kn_world_builder *w) {
    uint64_t place = (uint64_t)(int64_t)w->ti * 65537 + (uint64_t)(int64_t)w->tj;
    kn_rng rng;
    kn_rng_init(&rng, kn_hash64(w->seed ^ 0xfa53u ^ kn_hash64(place)));
    bool here = kn_rng_uniform(&rng, 0, 1) < w->country.farms;
    double x = (w->ti + kn_rng_uniform(&rng, .3, .7)) * KN_TILE, y = (w->tj + kn_rng_uniform(&rng, .3, .7)) * KN_TILE,
           heading = w->heading + kn_rng_int(&rng, 0, 3) * M_PI / 2 + kn_rng_uniform(&rng, -.3, .3);
    uint64_t seed = kn_rng_next(&rng);
    if (!here || kn_space_distance(&w->space, x, y) > 130 || !kn_space_free(&w->space, x, y, heading, 16, 14, 18) ||
        !kn_world_budget(w, 6000))
        return;
    kn_space_occupy(&w->space, x, y, heading, 16, 14);
    if (w->drawing) draw_farm(w, x, y, heading, seed);
}

static void grow_delineators(kn_world_builder *w, int index, int side) {
    const kn_road *road = &w->network->roads[index];
    double offset = w->kind[index] == KN_SURROUND_MOTORWAY ? .75 : .5;
    kn_vec2 at;
    for (double s = 25; w->drawing && s < road->length - 3; s += 50) {
        if (!kn_world_near(w, road, s)) continue;
        kn_world_place(w, index, s, side, offset, &at);
        if (!kn_world_in_tile(w, at.x, at.y) || !kn_world_beside(w, index, s, side, 4.5) ||
            !kn_world_clear(w, at.x, at.y, .3))
            continue;
        w->draw.pose = kn_pose_from_euler(kn_v3(at.x, at.y, kn_world_land(w, at.x, at.y) + .1),
                                          kn_road_at(road, s, 0).heading, 0, 0);
        kn_delineator_draw(&w->draw);
        w->draw.pose = kn_pose_identity();
    }
}

static void grow_avenue(kn_world_builder *w, int index, int side) {
    static const int kinds[] = {KN_TREE_POPLAR, KN_TREE_BIRCH, KN_TREE_LIME};
    const kn_road *road = &w->network->roads[index];
    uint64_t base = kn_hash64(w->seed ^ kn_hash64((uint64_t)index * 64 + (uint64_t)(side + 1)));
    kn_vec2 at;
    for (double s = 6; s < road->length - 6; s += 13) {
        if (!kn_world_near(w, road, s)) continue;
        kn_world_place(w, index, s, side, 4.2, &at);
        if (kn_world_in_tile(w, at.x, at.y) && kn_world_beside(w, index, s, side, 4.5))
            kn_world_tree(w, at.x, at.y, kinds[(w->seed >> 5) % 3], 8 + 3 * hash_unit(base + (uint64_t)s), 3.5,
                          base + (uint64_t)(s * 3));
    }
}

/* Gantries over motorways every few hundred metres, for both directions of travel. */
static void grow_gantries(kn_world_builder *w, int index) {
    const kn_road *road = &w->network->roads[index];
    double start = 90 + 120 * hash_unit(w->seed ^ 0x6a7u);
    for (double s = start; w->drawing && road->length > 200 && s < road->length - 20; s += 450) {
        double margins[2];
        kn_road_margins(road, s, margins);
        double half = (margins[0] - margins[1]) / 2 + 2.2, center = (margins[0] + margins[1]) / 2;
        kn_road_frame f = kn_road_at(road, s, center);
        if (half > 25 || !kn_world_in_tile(w, f.position.x, f.position.y)) continue;
        w->draw.pose = kn_pose_from_euler(f.position, f.heading, 0, 0);
        w->draw.instance = kn_world_new_instance(w, f.position.x, f.position.y);
        kn_gantry_draw(&w->draw, half, 5.8, kn_hash64(w->seed ^ (uint64_t)s));
        w->draw.pose = kn_pose_identity();
        w->draw.instance = 0;
    }
}

void kn_world_grow_country(kn_world_builder *w) {
    bool avenues = hash_unit(w->seed ^ 0xa11ee) < .45;
    for (size_t r = 0; r < w->network->road_count && !w->draw.failed; r++) {
        if (w->kind[r] == KN_SURROUND_TOWN || !w->road_near[r] || w->network->roads[r].junction >= 0) continue;
        bool motorway = w->kind[r] == KN_SURROUND_MOTORWAY;
        for (int side = 1; side >= -1; side -= 2) {
            grow_delineators(w, (int)r, side);
            if (!motorway && avenues) grow_avenue(w, (int)r, side);
        }
        if (motorway) grow_gantries(w, (int)r);
    }
    if (w->main_kind == KN_SURROUND_TOWN) return;
    grow_farm(w);
    grow_hedgerows(w);
    grow_woods(w);
}

/* --- noise barriers --------------------------------------------------------------------------- */

/* Wooden or concrete noise barriers on some stretches of motorway. */
static void visit_barrier(kn_world_builder *w, const kn_stretch *stretch, void *user) {
    const double BLOCK = 3 * KN_PIECE, height = 3.2;
    const kn_road *road = &w->network->roads[stretch->road];
    int side = stretch->side;
    uint64_t block = (uint64_t)(stretch->s0 / BLOCK + 1e-9);
    (void)user;
    if (!stretch->drawn || stretch->to - stretch->from < 20 ||
        hash_unit(w->seed ^ block * 17 ^ (uint64_t)(side + 5) << 20 ^ (uint64_t)stretch->road << 32) > .3)
        return;
    kn_strip_profile wall = {4, {5.0, 5.0, 5.18, 5.18}, {-1, height, height, -1}};
    kn_build_use(&w->draw, kn_matter(.23, .21, .165, .9, KN_TEXTURE_CONCRETE, KN_SEMANTIC_WALL, .6));
    kn_world_strip(w, road, stretch->s0, stretch->s1, side, &wall);
    kn_build_use(&w->draw, kn_matter(.20, .20, .20, .7, KN_TEXTURE_METAL, KN_SEMANTIC_WALL, .4));
    for (double s = ceil(stretch->s0 / 4) * 4; s <= stretch->s1; s += 4) {
        kn_vec2 at;
        w->draw.pose = kn_world_place(w, stretch->road, s, side, 5.0, &at);
        w->draw.pose.translation.z = kn_road_at(road, s, 0).position.z;
        kn_build_box(&w->draw, kn_v3(-.1, -.08, -1), kn_v3(.1, .2, height + .05), KN_BOX_ALL & ~KN_BOX_BOTTOM);
    }
    w->draw.pose = kn_pose_identity();
}

void kn_world_barriers(kn_world_builder *w) {
    for (size_t r = 0; r < w->network->road_count && !w->draw.failed; r++)
        if (w->kind[r] == KN_SURROUND_MOTORWAY && w->network->roads[r].junction < 0)
            kn_world_stretches(w, (int)r, 7, visit_barrier, NULL);
}

/* --- character ---------------------------------------------------------------------------------- */

kn_country kn_country_of(uint64_t seed) {
    static const int leaves[4][5] = {{KN_TREE_LIME, KN_TREE_MAPLE, KN_TREE_BIRCH, KN_TREE_LIME, KN_TREE_PINE},
                                     {KN_TREE_BIRCH, KN_TREE_BIRCH, KN_TREE_PINE, KN_TREE_MAPLE, KN_TREE_BIRCH},
                                     {KN_TREE_MAPLE, KN_TREE_LIME, KN_TREE_LIME, KN_TREE_MAPLE, KN_TREE_POPLAR},
                                     {KN_TREE_PINE, KN_TREE_SPRUCE, KN_TREE_BIRCH, KN_TREE_PINE, KN_TREE_LIME}};
    kn_country c = {.wood = .50 + .2 * hash_unit(seed ^ 0x77),
                    .lone_trees = .006 + .034 * hash_unit(seed ^ 0x6c),
                    .firs = .1 + .6 * hash_unit(seed ^ 0x66),
                    .hedges = .1 + .5 * hash_unit(seed ^ 0x68),
                    .farms = .02 + .08 * hash_unit(seed ^ 0x61)};
    const int *kinds = leaves[kn_hash64(seed ^ 0x6b) % 4];
    for (int i = 0; i < 5; i++) c.leaf_trees[i] = kinds[i];
    return c;
}

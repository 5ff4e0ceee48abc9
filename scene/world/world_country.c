/* Grows the open country: woods, hedgerows, farms, and what lines rural roads and motorways. */
#include "scene/world/props.h"
#include "scene/world/world_build.h"

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

/* Woods and single trees on a jittered lattice. */
static void grow_woods(kn_world_builder *w) {
    const kn_space *space = &w->space;
    double pitch = 9.5, clear = w->main_kind == KN_SURROUND_MOTORWAY ? 11 : 7;
    for (int ring = 0; ring < 2; ring++) { /* near ones first, should the budget run out */
        for (double x = space->x0; x < space->x0 + space->nx * space->cell; x += pitch) {
            for (double y = space->y0; y < space->y0 + space->ny * space->cell; y += pitch) {
                kn_rng rng;
                kn_rng_init(&rng, kn_hash64(w->seed ^ kn_hash64((uint64_t)(int64_t)(x * 4) * 1000003u +
                                                                (uint64_t)(int64_t)(y * 4))));
                double px = x + kn_rng_uniform(&rng, -4, 4), py = y + kn_rng_uniform(&rng, -4, 4),
                       d = kn_space_distance(space, px, py);
                if (d < clear || d > 130) continue;
                double wood = woods(w, px, py),
                       chance = wood > .60   ? .9
                                : wood > .56 ? .5
                                             : .022,
                       far = kn_world_path_distance(w, px, py);
                if ((far < 90) != (ring == 0) || far > w->reach || kn_rng_uniform(&rng, 0, 1) > chance) continue;
                if (wood > .6 && d > 45 && far > 60 && kn_rng_uniform(&rng, 0, 1) < .45)
                    continue; /* the inside of a wood is not seen */
                bool firs = cell_value(w, 6, floor(px / 150), floor(py / 150)) < .4;
                int species = firs && wood > .5 ? (kn_rng_int(&rng, 0, 4) ? KN_TREE_SPRUCE : KN_TREE_PINE)
                                                : (int[]){KN_TREE_LIME, KN_TREE_MAPLE, KN_TREE_BIRCH, KN_TREE_LIME,
                                                          KN_TREE_PINE}[kn_rng_int(&rng, 0, 4)];
                kn_world_tree(w, px, py, species, kn_rng_uniform(&rng, 8, 16), clear, kn_rng_next(&rng));
                if (wood > .54 && wood < .66 && d < 60 && kn_world_budget(w, 400)) { /* undergrowth along the edge */
                    double bx = px + kn_rng_uniform(&rng, -4, 4), by = py + kn_rng_uniform(&rng, -4, 4);
                    if (kn_space_distance(space, bx, by) < clear - 2 || !kn_world_clear(w, bx, by, 1)) continue;
                    w->draw.pose = kn_pose_identity();
                    w->draw.pose.translation = kn_v3(bx, by, kn_world_land(w, bx, by) - .1);
                    kn_bush_draw(&w->draw, kn_rng_uniform(&rng, 1, 2), kn_rng_uniform(&rng, 1.2, 2.6),
                                 kn_world_detail(w, bx, by), kn_rng_next(&rng));
                    w->draw.pose = kn_pose_identity();
                }
            }
        }
    }
}

/* Hedges along the borders of fields, which lie as in world_terrain.c. */
static void grow_hedgerows(kn_world_builder *w) {
    const kn_space *space = &w->space;
    double cx = space->x0 + space->nx * space->cell / 2, cy = space->y0 + space->ny * space->cell / 2,
           c = cos(w->heading), s = sin(w->heading), piece = 9;
    for (int j = -12; j <= 12; j++) {
        for (int axis = 0; axis < 2; axis++) {
            if (hash_unit(w->seed ^ ((uint64_t)(j + 100) * 31 + (uint64_t)axis)) > .4) continue;
            for (double a = -900; a < 900; a += piece) {
                double u = axis ? j * 128. : a, v = axis ? a : j * 64., x = cx + c * u - s * v, y = cy + s * u + c * v,
                       d = kn_space_distance(space, x, y);
                uint64_t seed =
                    kn_hash64(w->seed ^ (uint64_t)(int64_t)(a * 7) ^ (uint64_t)(j + 50) << 32 ^ (uint64_t)axis << 50);
                if (d < 13 || d > 90 || seed % 7 == 0 || !kn_world_budget(w, 600) ||
                    kn_world_path_distance(w, x, y) > w->reach || !kn_world_clear(w, x, y, 2))
                    continue;
                w->draw.pose =
                    kn_pose_from_euler(kn_v3(x, y, kn_world_land(w, x, y) - .1), w->heading + axis * M_PI / 2, 0, 0);
                kn_hedge_draw(&w->draw, piece * 1.02, 1.5, 1.5 + hash_unit(seed), kn_world_detail(w, x, y) * .6, seed);
                w->draw.pose = kn_pose_identity();
                if (seed % 5 == 1)
                    kn_world_tree(w, x + 1, y + 1, (int)(seed >> 9 & 1) ? KN_TREE_LIME : KN_TREE_MAPLE,
                                  7 + 4 * hash_unit(seed + 1), 9, seed);
            }
        }
    }
}

static void grow_farms(kn_world_builder *w) {
    kn_rng rng;
    kn_rng_init(&rng, w->seed ^ 0xfa53u);
    for (int i = 0; i < 60; i++) {
        const kn_vec2 *p = &w->path[kn_rng_int(&rng, 0, (int)w->path_count - 1)];
        double angle = kn_rng_uniform(&rng, 0, 2 * M_PI), far = kn_rng_uniform(&rng, 28, 130),
               x = p->x + far * cos(angle), y = p->y + far * sin(angle),
               heading = w->heading + kn_rng_int(&rng, 0, 3) * M_PI / 2;
        uint64_t seed = kn_rng_next(&rng);
        if (i % 6 || !kn_space_free(&w->space, x, y, heading, 16, 14, 18) || !kn_world_budget(w, 6000)) continue;
        for (int k = 0; k < 2; k++) { /* house and barn */
            kn_building b = {.width = k ? 18 : 12,
                             .depth = k ? 10 : 9,
                             .storey = k ? 3.4 : 2.8,
                             .storeys = k ? 1 : 2,
                             .style = k ? 0 : 1,
                             .roof = KN_ROOF_GABLE,
                             .open = k ? KN_EAST : 15u,
                             .porch = !k,
                             .detail = kn_world_detail(w, x, y) > .5 ? .8 : .4,
                             .seed = seed + (uint64_t)k};
            double bx = x + cos(heading) * (k ? 0 : -2) - sin(heading) * (k ? 3 : -12),
                   by = y + sin(heading) * (k ? 0 : -2) + cos(heading) * (k ? 3 : -12);
            w->draw.pose = kn_pose_from_euler(kn_v3(bx, by, kn_world_land(w, bx, by)), heading + (k ? 0 : .0), 0, 0);
            w->draw.instance = kn_world_new_instance(w);
            kn_building_draw(&w->draw, &b);
        }
        w->draw.pose = kn_pose_identity();
        w->draw.instance = 0;
        kn_space_occupy(&w->space, x, y, heading, 16, 14);
    }
}

static void visit_roadside(kn_world_builder *w, int index, double s0, double s1, int side, void *user) {
    const kn_road *road = &w->network->roads[index];
    bool motorway = w->kind[index] == KN_SURROUND_MOTORWAY, avenue = !motorway && hash_unit(w->seed ^ 0xa11ee) < .45;
    kn_vec2 at;
    (void)user;
    for (double s = s0 + 3; s < s1 - 3; s += 50) {
        kn_pose pose = kn_world_place(w, index, s, side, motorway ? .75 : .5, &at);
        if (!kn_world_clear(w, at.x, at.y, .3)) continue;
        pose.translation.z = kn_road_at(road, s, 0).position.z;
        w->draw.pose =
            kn_pose_from_euler(kn_v3(pose.translation.x, pose.translation.y, kn_world_land(w, at.x, at.y) + .1),
                               kn_road_at(road, s, 0).heading, 0, 0);
        kn_delineator_draw(&w->draw);
    }
    w->draw.pose = kn_pose_identity();
    uint64_t base = kn_hash64(w->seed ^ kn_hash64((uint64_t)index * 64 + (uint64_t)(side + 1)));
    int species = (int)(w->seed >> 5) % 3 == 0   ? KN_TREE_POPLAR
                  : (int)(w->seed >> 5) % 3 == 1 ? KN_TREE_BIRCH
                                                 : KN_TREE_LIME;
    for (double s = s0 + 6; avenue && s < s1 - 6; s += 13) {
        kn_world_place(w, index, s, side, 4.2, &at);
        kn_world_tree(w, at.x, at.y, species, 8 + 3 * hash_unit(base + (uint64_t)s), 3.5, base + (uint64_t)(s * 3));
    }
}

/* Wooden or concrete noise barriers on some stretches of motorway. */
static void visit_barrier(kn_world_builder *w, int index, double s0, double s1, int side, void *user) {
    (void)user;
    const double block = 160;
    for (double b = floor(s0 / block) * block; b < s1; b += block) {
        if (hash_unit(w->seed ^ (uint64_t)(b / block) * 17 ^ (uint64_t)(side + 5) << 20 ^ (uint64_t)index << 32) > .3)
            continue;
        double from = fmax(b, s0), to = fmin(b + block, s1), height = 3.2;
        if (to - from < 20) continue;
        kn_profile wall = {4, {5.0, 5.0, 5.18, 5.18}, {-1, height, height, -1}};
        kn_build_use(&w->draw, kn_matter(.23, .21, .165, .9, KN_TEXTURE_CONCRETE, KN_SEMANTIC_WALL, .6));
        kn_world_strip(w, &w->network->roads[index], from, to, side, &wall);
        kn_build_use(&w->draw, kn_matter(.20, .20, .20, .7, KN_TEXTURE_METAL, KN_SEMANTIC_WALL, .4));
        for (double s = from; s <= to; s += 4) {
            kn_vec2 at;
            kn_pose pose = kn_world_place(w, index, s, side, 5.0, &at);
            pose.translation.z = kn_road_at(&w->network->roads[index], s, 0).position.z;
            w->draw.pose = pose;
            kn_build_box(&w->draw, kn_v3(-.1, -.08, -1), kn_v3(.1, .2, height + .05), KN_BOX_ALL & ~KN_BOX_BOTTOM);
        }
        w->draw.pose = kn_pose_identity();
    }
}

/* Gantries over motorways every few hundred metres, for both directions of travel. */
static void grow_gantries(kn_world_builder *w, int index) {
    const kn_road *road = &w->network->roads[index];
    double start = 90 + 120 * hash_unit(w->seed ^ 0x6a7u);
    for (double s = start; s < road->length - 20; s += 450) {
        double margins[2];
        kn_road_margins(road, s, margins);
        double half = (margins[0] - margins[1]) / 2 + 2.2, center = (margins[0] + margins[1]) / 2;
        kn_road_frame f = kn_road_at(road, s, center);
        if (half > 25 || kn_world_path_distance(w, f.position.x, f.position.y) > w->reach) continue;
        w->draw.pose = kn_pose_from_euler(f.position, f.heading, 0, 0);
        w->draw.instance = kn_world_new_instance(w);
        kn_gantry_draw(&w->draw, half, 5.8, kn_hash64(w->seed ^ (uint64_t)s));
        w->draw.pose = kn_pose_identity();
        w->draw.instance = 0;
    }
}

void kn_world_grow_country(kn_world_builder *w) {
    for (size_t r = 0; r < w->network->road_count && !w->draw.failed; r++) {
        const kn_road *road = &w->network->roads[r];
        if (w->kind[r] == KN_SURROUND_TOWN || !isfinite(w->road_distance[r])) continue;
        if (road->junction < 0) kn_world_stretches(w, (int)r, 4.5, visit_roadside, NULL);
        if (w->kind[r] != KN_SURROUND_MOTORWAY || road->junction >= 0) continue;
        kn_world_stretches(w, (int)r, 7, visit_barrier, NULL);
        if (road->length > 200) grow_gantries(w, (int)r);
    }
    if (w->main_kind == KN_SURROUND_TOWN) return;
    grow_farms(w);
    grow_hedgerows(w);
    grow_woods(w);
}

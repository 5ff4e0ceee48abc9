/* Grows a town along its streets: facades, street trees, lamps, furniture, signs, crossings. */
#include "scene/world/props.h"
#include "scene/world/world_build.h"

#include <stdlib.h>

/* Where the kerb is, measured from the margin: 0 beside grown pavements, inwards of a sidewalk that the file has. */
static double kerb_offset(const kn_world_builder *w, int index, double s, int side) {
    const kn_road *road = &w->network->roads[index];
    const kn_lane_section *section = kn_road_section(road, s);
    double margins[2];
    kn_road_margins(road, s, margins);
    for (size_t i = 0; i < section->lane_count; i++) {
        const kn_lane *lane = &section->lanes[i];
        if (lane->id * side <= 0 || lane->type != KN_LANE_SIDEWALK) continue;
        kn_lane_span span = kn_lane_span_at(road, s, lane->id);
        if (fabs(span.outer - (side > 0 ? margins[0] : margins[1])) < .3) return -fabs(span.outer - span.inner);
    }
    return 0;
}

static uint64_t spot_seed(const kn_world_builder *w, int road, double s, int side, uint64_t what) {
    return kn_hash64(w->seed ^ kn_hash64((uint64_t)road * 2654435761u + (uint64_t)(s * 8) * 31 + (uint64_t)(side + 2) +
                                         what * 7919));
}

/* --- houses ----------------------------------------------------------------------------------- */

/* Low-frequency character of the quarter: 0 detached houses .. 1 dense. */
static double density(const kn_world_builder *w, double x, double y) {
    uint64_t h =
        kn_hash64(w->seed ^ 0xd5u ^ ((uint64_t)(int64_t)floor(x / 160) << 20) ^ (uint64_t)(int64_t)floor(y / 160));
    return kn_clamp(.72 + ((double)(h % 1000) / 1000 - .5) * .9, 0, 1);
}

static kn_building random_house(const kn_world_builder *w, kn_vec2 at, bool dense, kn_rng *rng) {
    kn_building s = {.seed = kn_rng_next(rng), .storey = kn_rng_uniform(rng, 2.8, 3.3)};
    s.style = (int[]){0, 0, 1, 1, 1, 2, 3}[kn_rng_int(rng, 0, 6)];
    if (dense) {
        s.width = kn_rng_uniform(rng, 8.5, 17), s.depth = kn_rng_uniform(rng, 9.5, 12.5),
        s.storeys = kn_rng_int(rng, 2, 5) + (kn_rng_uniform(rng, 0, 1) < .12 ? 2 : 0);
        s.shop = kn_rng_uniform(rng, 0, 1) < .48;
        s.balconies = s.storeys > 2 && s.style != 2 && kn_rng_uniform(rng, 0, 1) < .4;
        s.roof = s.style == 3 || kn_rng_uniform(rng, 0, 1) < .25 ? KN_ROOF_FLAT : KN_ROOF_GABLE;
        s.open = KN_FRONT | KN_BACK;
    } else {
        s.width = kn_rng_uniform(rng, 8, 12), s.depth = kn_rng_uniform(rng, 8, 10.5), s.storeys = kn_rng_int(rng, 1, 2);
        s.porch = kn_rng_uniform(rng, 0, 1) < .6;
        s.roof = kn_rng_uniform(rng, 0, 1) < .3 ? KN_ROOF_HIP : KN_ROOF_GABLE;
        s.open = KN_FRONT | KN_BACK | KN_WEST | KN_EAST;
        if (s.style > 1) s.style = 1;
    }
    double d = kn_world_path_distance(w, at.x, at.y);
    s.detail = d < 55 ? 1 : d < 100 ? .6 : .4;
    return s;
}

/* Draws a house whose front's middle stands at `pose` (x along the street, y away from it). */
static void put_house(kn_world_builder *w, const kn_pose *pose, const kn_building *house) {
    kn_pose at = *pose;
    double lowest = INFINITY;
    for (int k = 0; k < 4; k++) {
        kn_vec3 p = kn_pose_point(pose, kn_v3((k & 1 ? .5 : -.5) * house->width, k & 2 ? house->depth : 0, 0));
        lowest = fmin(lowest, kn_world_land(w, p.x, p.y));
    }
    at.translation.z = fmax(pose->translation.z - .1, lowest);
    w->draw.pose = at;
    w->draw.instance = kn_world_new_instance(w, at.translation.x, at.translation.y);
    kn_building_draw(&w->draw, house);
    w->draw.pose = kn_pose_identity();
    w->draw.instance = 0;
}

/* A paved path from the pavement to the door, and perhaps a car on a drive beside the house. */
static void drive_and_path(kn_world_builder *w, const kn_pose *front, double setback, double x, bool car,
                           uint64_t seed) {
    kn_build_use(&w->draw, kn_pavement_matter((int)(seed >> 7 & 3)));
    const double span[2][3] = {{-.65, .65, 0}, {x - 1.5, x + 1.5, 5.5}};
    for (int k = 0; w->drawing && k < (car ? 2 : 1); k++) {
        kn_vec3 p[4];
        const double ys[4] = {-setback - .1, -setback - .1, span[k][2], span[k][2]};
        for (int c = 0; c < 4; c++) {
            p[c] = kn_pose_point(front, kn_v3(span[k][c == 1 || c == 2], ys[c], 0));
            p[c].z = kn_world_land(w, p[c].x, p[c].y) + (c < 2 ? .22 : .12);
        }
        kn_build_quad(&w->draw, p[0], p[1], p[2], p[3]);
    }
    if (!car) return;
    kn_pose local = kn_pose_from_euler(kn_v3(x, 1.4, 0), M_PI / 2 * (seed & 64 ? 1 : -1), 0, 0),
            pose = kn_pose_multiply(front, &local);
    pose.translation.z = kn_world_land(w, pose.translation.x, pose.translation.y) + .15;
    if (kn_world_clear(w, pose.translation.x, pose.translation.y, 1.2) &&
        kn_world_path_distance(w, pose.translation.x, pose.translation.y) < 90)
        kn_world_park(w, &pose, seed);
}

/* Front garden of a detached house: hedge along the street with a gap, bushes, a tree. */
static void garden(kn_world_builder *w, int road, double s, int side, double paved, double setback, double width,
                   kn_rng *rng) {
    kn_vec2 at;
    kn_pose pose = kn_world_place(w, road, s, side, paved + .55, &at);
    double detail = kn_world_detail(w, at.x, at.y);
    double half = width / 2 - .3, gap = .9;
    if (kn_rng_uniform(rng, 0, 1) < .7 && kn_world_budget(w, 2500)) {
        for (int k = 0; k < 2; k++) {
            kn_pose start = pose, move = kn_pose_from_euler(kn_v3(k ? gap : -half, 0, 0), 0, 0, 0);
            kn_vec3 mid = kn_pose_point(&pose, kn_v3(k ? (gap + half) / 2 : -(gap + half) / 2, 0, 0));
            double height = kn_rng_uniform(rng, .8, 1.3);
            uint64_t seed = kn_rng_next(rng);
            if (!w->drawing || !kn_world_clear(w, mid.x, mid.y, .7)) continue;
            w->draw.pose = kn_pose_multiply(&start, &move);
            kn_hedge_draw(&w->draw, half - gap, .6, height, detail, seed);
        }
    }
    for (int i = 0; i < 2; i++) {
        kn_vec3 p = kn_pose_point(
            &pose, kn_v3(kn_rng_uniform(rng, -half, half), kn_rng_uniform(rng, 1, fmax(1.1, setback - 1.2)), 0));
        double radius = kn_rng_uniform(rng, .5, .9), height = kn_rng_uniform(rng, .8, 1.6);
        uint64_t seed = kn_rng_next(rng);
        if (!kn_world_budget(w, 500) || !w->drawing || !kn_world_clear(w, p.x, p.y, .8)) continue;
        w->draw.pose = kn_pose_identity();
        w->draw.pose.translation = kn_v3(p.x, p.y, kn_world_land(w, p.x, p.y));
        kn_bush_draw(&w->draw, radius, height, detail, seed);
    }
    w->draw.pose = kn_pose_identity();
}

/* A house's place along a street. */
typedef struct plot {
    double s0, s1;    /* metres along the road */
    bool first, last; /* nothing adjoins at its lower or upper end */
} plot;

/* Builds on a plot where there is room: the whole of it, or narrower at one of its ends. */
static void build_plot(kn_world_builder *w, int index, int side, const plot *p, kn_building house, bool dense,
                       double gap, kn_rng *rng) {
    const kn_road *road = &w->network->roads[index];
    double paved = kn_world_pavement_width(w, index, side, (p->s0 + p->s1) / 2), full = p->s1 - p->s0,
           setback = dense ? .06 : kn_rng_uniform(rng, 3.5, 6);
    for (int attempt = 0; attempt < 5; attempt++) {
        static const double share[5] = {1, .75, .75, .56, .56}, shift[5] = {0, 0, 1, 0, 1};
        house.width = full * share[attempt];
        if (house.width < 5.5) return;
        double mid = p->s0 + house.width / 2 + shift[attempt] * (full - house.width);
        double bend = kn_road_at(road, mid, 0).curvature * side; /* toward the house: the chord stands further off */
        double sag = house.width * house.width / 8 * fabs(bend) * (bend > 0 ? 1 : 0) + .02;
        kn_vec2 at;
        kn_pose pose = kn_world_place(w, index, mid, side, paved + setback + sag, &at);
        kn_vec3 c = kn_pose_point(&pose, kn_v3(0, house.depth / 2 + .15, 0));
        double heading = atan2(pose.rotation[1][0], pose.rotation[0][0]);
        if (!kn_space_free(&w->space, c.x, c.y, heading, house.width / 2 - .05, house.depth / 2 - .3,
                           paved + setback * .6 + .05))
            continue;
        if (p->first || (attempt && shift[attempt] > 0)) house.open |= side > 0 ? KN_WEST : KN_EAST;
        if (p->last || (attempt && shift[attempt] == 0)) house.open |= side > 0 ? KN_EAST : KN_WEST;
        kn_space_occupy(&w->space, c.x, c.y, heading, house.width / 2, house.depth / 2 + .2);
        if (w->drawing) put_house(w, &pose, &house);
        if (dense) return;
        drive_and_path(w, &pose, setback, (house.width + gap) / 2 * side, gap > 3.6, house.seed);
        garden(w, index, mid, side, paved, setback, gap > 3.6 ? house.width - .2 : house.width + gap * .8, rng);
        return;
    }
}

/* Plots follow each other along blocks of a street; which ones is a matter of the block alone. Those of this tile are
 * built on. */
static void grow_houses(kn_world_builder *w, int index, int side) {
    const double BLOCK = 160;
    const kn_road *road = &w->network->roads[index];
    for (double b = 0; b * BLOCK < road->length; b++) {
        double end = fmin((b + 1) * BLOCK, road->length), s = b * BLOCK + (b > 0 ? 0 : .5);
        if (!kn_world_near_between(w, road, s, end)) continue;
        kn_rng rng;
        kn_rng_init(&rng, spot_seed(w, index, b * BLOCK, side, 1));
        bool alone = b == 0;
        while (s < end - 5.5 && !w->draw.failed) {
            kn_vec2 at;
            kn_world_place(w, index, s, side, kn_world_pavement_width(w, index, side, s), &at);
            bool dense = density(w, at.x, at.y) > .45;
            kn_rng own;
            kn_rng_init(&own, kn_rng_next(&rng));
            kn_building house = random_house(w, at, dense, &own);
            double gap = dense ? (kn_rng_uniform(&own, 0, 1) < .12 ? kn_rng_uniform(&own, 3, 7) : .0)
                               : kn_rng_uniform(&own, 3, 7);
            plot p = {s, fmin(s + house.width, end), alone, gap > 0 || s + house.width > end - 7};
            kn_vec2 middle;
            kn_world_place(w, index, (p.s0 + p.s1) / 2, side, 0, &middle);
            bool room = kn_world_in_tile(w, middle.x, middle.y) && kn_world_budget(w, 6000);
            if (room) build_plot(w, index, side, &p, house, dense, gap, &own);
            alone = gap > 0;
            s = p.s1 + gap + .02;
        }
    }
}

/* --- pavements' furniture --------------------------------------------------------------------- */

/* Draws one thing at a place beside the kerb when there is room. */
static bool put_thing(kn_world_builder *w, int road, double s, int side, double offset, double room, int what,
                      uint64_t seed) {
    kn_vec2 at;
    kn_pose pose = kn_world_place(w, road, s, side, offset, &at);
    if (!kn_world_clear(w, at.x, at.y, room) || !kn_world_budget(w, 2000)) return false;
    kn_space_occupy(&w->space, at.x, at.y, 0, fmax(room * .7, .3), fmax(room * .7, .3));
    if (!w->drawing) return true;
    double detail = kn_world_detail(w, at.x, at.y);
    kn_build *b = &w->draw;
    b->pose = pose;
    if (what > 0) b->instance = kn_world_new_instance(w, at.x, at.y);
    switch (what) {
    case 0: { /* street tree in its grating */
        kn_build_use(b, kn_matter(.06, .045, .03, .95, KN_TEXTURE_SOIL, KN_SEMANTIC_TERRAIN, .6));
        kn_build_quad(b, kn_v3(-.6, -.45, .012), kn_v3(.6, -.45, .012), kn_v3(.6, .6, .012), kn_v3(-.6, .6, .012));
        kn_tree_draw(b, KN_TREE_STREET, 8 + (double)(seed >> 8 & 255) / 255 * 2.2, detail, seed);
        break;
    }
    case 1: {
        kn_light light = kn_lamp_post_draw(b, 7.2, 1.5, (int)(kn_hash64(w->seed ^ 9) & 1));
        if (kn_world_path_distance(w, at.x, at.y) < 90) kn_world_light(w, &light);
        break;
    }
    case 2: kn_bin_draw(b, w->seed >> 3); break;
    case 3: kn_bench_draw(b); break;
    case 4: kn_bicycle_stand_draw(b); break;
    case 5: kn_mailbox_draw(b); break;
    case 6: kn_power_box_draw(b, seed); break;
    case 7: kn_bus_shelter_draw(b); break;
    default: kn_bollard_draw(b); break;
    }
    b->pose = kn_pose_identity();
    b->instance = 0;
    return true;
}

/* What stands at one place of the kerb: lamps and trees take turns, other things between them. */
static void furnish(kn_world_builder *w, int index, long n, double s, int side, bool avenue) {
    uint64_t seed = spot_seed(w, index, s, side, 3);
    double kerb = kerb_offset(w, index, s, side), width = kerb < 0 ? -kerb : kn_world_pavement_width(w, index, side, s),
           near = kerb + .85, far = kerb + width - .42;
    kn_vec2 at;
    kn_world_place(w, index, s, side, kerb, &at);
    if (width < 1.3 || !kn_world_in_tile(w, at.x, at.y) || !kn_world_beside(w, index, s, side, 2)) return;
    if (n % 6 == (side > 0 ? 3 : 0)) put_thing(w, index, s, side, near - .1, .2, 1, seed);
    else if (n % 2 == 1 && avenue && width > 2.2) put_thing(w, index, s, side, near + .1, .35, 0, seed);
    else if (n % 31 == 4 && width > 2.4 && seed & 1) put_thing(w, index, s, side, far - .65, 1.4, 7, 1);
    else if (seed % 9 == 0) put_thing(w, index, s, side, near - .1, .25, 2, seed);
    else if (seed % 9 == 1 && width > 2.4) put_thing(w, index, s, side, far - .3, .6, 3, seed);
    else if (seed % 19 == 2 && width > 2.2) put_thing(w, index, s, side, far - .4, 1.0, 4, seed);
    else if (seed % 23 == 3) put_thing(w, index, s, side, far - .1, .3, 5, seed);
    else if (seed % 17 == 4) put_thing(w, index, s, side, far - .1, .6, 6, seed);
}

static void grow_furniture(kn_world_builder *w, int index, int side) {
    const kn_road *road = &w->network->roads[index];
    if (road->junction >= 0 || road->length < 9) return;
    bool avenue = kn_hash64(w->seed ^ kn_hash64((uint64_t)index + 77)) % 10 < 7;
    double pitch = 4.5 + 1.5 * (double)(kn_hash64(w->seed ^ kn_hash64((uint64_t)index * 2 + (side > 0))) % 64) / 64;
    for (long n = 1; (double)n * pitch < road->length - 4; n++) {
        if (!kn_world_near(w, road, (double)n * pitch)) n += 3;
        else furnish(w, index, n, (double)n * pitch, side, avenue);
    }
}

/* --- where streets meet junctions ------------------------------------------------------------- */

static bool file_has(const kn_road *road, bool signals) {
    for (size_t i = 0; i < road->object_count; i++) {
        if (road->objects[i].is_signal == signals) return true;
    }
    return false;
}

/* Zebra bars between the outermost driven lanes at s, and the stop line of the lanes that arrive. */
static void paint_crossing(kn_world_builder *w, const kn_road *road, double s, double away, bool stop_line) {
    const kn_lane_section *section = kn_road_section(road, s);
    double left = -INFINITY, right = INFINITY, in0 = INFINITY, in1 = -INFINITY;
    for (size_t i = 0; i < section->lane_count; i++) {
        const kn_lane *lane = &section->lanes[i];
        if (!lane->id || !kn_lane_is_driven(lane->type)) continue;
        kn_lane_span span = kn_lane_span_at(road, s, lane->id);
        if (fabs(span.outer - span.inner) < .5) continue;
        left = fmax(left, fmax(span.inner, span.outer)), right = fmin(right, fmin(span.inner, span.outer));
        bool arrives = (lane->id < 0) == (away < 0); /* away < 0: the junction is at the road's end */
        if (road->left_hand_traffic) arrives = !arrives;
        if (arrives && lane->type == KN_LANE_DRIVING)
            in0 = fmin(in0, fmin(span.inner, span.outer)), in1 = fmax(in1, fmax(span.inner, span.outer));
    }
    if (!(left - right > 2 && left - right < 40)) return;
    kn_road_frame f = kn_road_at(road, s, 0), side = kn_road_at(road, s, 1);
    kn_build_use(&w->draw, kn_matter(.68, .68, .65, .7, KN_TEXTURE_PAINT, KN_SEMANTIC_LANE_MARK, .8));
    double roll = atan2(side.position.z - f.position.z, 1);
    w->draw.pose = kn_pose_from_euler(f.position, f.heading, f.pitch, roll);
    for (double t = right + .35; t + .5 < left; t += 1)
        kn_build_quad(&w->draw, kn_v3(-1.6, t, .009), kn_v3(1.6, t, .009), kn_v3(1.6, t + .5, .009),
                      kn_v3(-1.6, t + .5, .009));
    if (stop_line && in1 > in0) {
        double x = 2.8 * away;
        kn_build_quad(&w->draw, kn_v3(x - .2, in0 + .1, .009), kn_v3(x + .2, in0 + .1, .009),
                      kn_v3(x + .2, in1 - .1, .009), kn_v3(x - .2, in1 - .1, .009));
    }
    w->draw.pose = kn_pose_identity();
}

/* One end of a street at a junction: crossing, stop line, lights or signs. */
static void street_end(kn_world_builder *w, int index, bool at_end, int arms) {
    const kn_road *road = &w->network->roads[index];
    double away = at_end ? -1 : 1, s = at_end ? road->length - 2.6 : 2.6;
    if (road->length < 14) return;
    kn_road_frame f = kn_road_at(road, s, 0);
    if (!kn_world_in_tile(w, f.position.x, f.position.y)) return;
    bool lights = arms >= 4;
    if (w->drawing && !file_has(road, false)) paint_crossing(w, road, s, away, true);
    if (file_has(road, true)) return;
    /* the right-hand side of those who arrive (left in left-hand traffic) */
    int side = (at_end ? -1 : 1) * (road->left_hand_traffic ? -1 : 1);
    double travel = f.heading + (at_end ? 0 : M_PI), kerb = kerb_offset(w, index, s, side);
    kn_vec2 at;
    kn_pose place = kn_world_place(w, index, s + away * 2.2, side, kerb + .45, &at);
    if (!kn_world_clear(w, at.x, at.y, .25)) return;
    kn_space_occupy(&w->space, at.x, at.y, 0, .4, .4);
    if (!w->drawing) return;
    w->draw.pose = kn_pose_from_euler(place.translation, travel, 0, 0);
    w->draw.instance = kn_world_new_instance(w, at.x, at.y);
    bool along = fabs(cos(travel - w->heading)) > .7;
    if (lights) kn_world_signal(w, index, at_end ? 1 : -1, -1, 3.0, 0);
    else kn_sign_draw(&w->draw, along ? KN_SIGN_PRIORITY : KN_SIGN_YIELD, 0, 2.5);
    w->draw.pose = kn_pose_identity();
    w->draw.instance = 0;
}

static int junction_arms(const kn_world_builder *w, int junction) {
    int arms = 0;
    for (size_t r = 0; r < w->network->road_count; r++) {
        const kn_road *road = &w->network->roads[r];
        if (road->junction >= 0) continue;
        arms += road->predecessor.kind == KN_LINK_JUNCTION && road->predecessor.index == junction;
        arms += road->successor.kind == KN_LINK_JUNCTION && road->successor.index == junction;
    }
    return arms;
}

/* A house in the second row or beyond, coarse. */
static void back_house(kn_world_builder *w, double x, double y, double heading, kn_rng *rng) {
    kn_building house = random_house(w, (kn_vec2){x, y}, kn_rng_int(rng, 0, 1), rng);
    house.detail = .4, house.shop = false, house.balconies = false, house.open = KN_FRONT | KN_BACK | KN_WEST | KN_EAST;
    house.width = fmin(house.width, 14);
    kn_pose pose = kn_pose_from_euler(kn_v3(x, y, kn_world_land(w, x, y) + .1), heading, 0, 0),
            shift = kn_pose_from_euler(kn_v3(0, -house.depth / 2, 0), 0, 0, 0);
    pose = kn_pose_multiply(&pose, &shift);
    if (!kn_world_budget(w, 3000)) return;
    kn_space_occupy(&w->space, x, y, heading, house.width / 2, house.depth / 2);
    if (w->drawing) put_house(w, &pose, &house);
}

/* Houses and trees behind the streets of this tile, on a jittered lattice. */
static void backdrop(kn_world_builder *w) {
    const double PITCH = 15;
    for (double i = ceil(w->ti * KN_TILE / PITCH); i * PITCH < (w->ti + 1) * KN_TILE; i++) {
        for (double j = ceil(w->tj * KN_TILE / PITCH); j * PITCH < (w->tj + 1) * KN_TILE; j++) {
            kn_rng rng;
            kn_rng_init(&rng, kn_hash64(w->seed ^ kn_hash64((uint64_t)(int64_t)i * 65536 + (uint64_t)(int64_t)j)));
            double x = i * PITCH + kn_rng_uniform(&rng, -5, 5), y = j * PITCH + kn_rng_uniform(&rng, -5, 5),
                   d = kn_space_distance(&w->space, x, y), heading = w->heading + M_PI / 2 * kn_rng_int(&rng, 0, 3);
            bool house = kn_rng_uniform(&rng, 0, 1) < .35, tree = kn_rng_uniform(&rng, 0, 1) < .5;
            if (d < 7 || d > 130) continue;
            if (house && d > 22 && kn_space_free(&w->space, x, y, heading, 8, 8, 20)) {
                back_house(w, x, y, heading, &rng);
            } else if (tree) {
                int species = kn_rng_int(&rng, 0, 4);
                double height = kn_rng_uniform(&rng, 6, 12);
                kn_world_tree(w, x, y, species, height, 5.5, kn_rng_next(&rng));
            }
        }
    }
}

/* --- parked cars
 * --------------------------------------------------------------------------------------------------------- */

/* Does a lane of another road pass within the footprint of a car? */
static bool in_the_way(const kn_world_builder *w, const kn_pose *pose, int road) {
    for (int k = 0; k < 15; k++) {
        kn_vec3 p = kn_pose_point(pose, kn_v3((k % 5 - 2) * 1.5, (k / 5 - 1) * 1.1, 0));
        if (kn_space_driven(&w->space, p.x, p.y, road)) return true;
    }
    return false;
}

/* A place on a lane on which somebody may have parked: along it, or across when the lane is deep. */
static void park_here(kn_world_builder *w, int index, const kn_lane *lane, double s, double share, bool across,
                      uint64_t seed) {
    const kn_road *road = &w->network->roads[index];
    kn_lane_span span = kn_lane_span_at(road, s, lane->id);
    kn_rng rng;
    kn_rng_init(&rng, seed);
    bool take = kn_rng_uniform(&rng, 0, 1) < share;
    double width = fabs(span.outer - span.inner), room = kn_clamp(width / 2 - 1.08, 0, .12); /* beside the widest van */
    double jitter = kn_rng_uniform(&rng, -room, room), turn = kn_rng_uniform(&rng, -.03, .03);
    int nose = kn_rng_int(&rng, 0, 1) ? 1 : -1;
    kn_road_frame f = kn_road_at(road, s, span.center + jitter);
    if (!take || width < 1.7 || !kn_world_in_tile(w, f.position.x, f.position.y)) return;
    bool forward = (lane->id < 0) != road->left_hand_traffic;
    double heading = f.heading + (forward ? 0 : M_PI) + turn + (across ? M_PI / 2 * nose : 0);
    kn_pose pose = kn_pose_from_euler(f.position, heading, f.pitch * (forward ? 1 : -1), 0);
    if (!in_the_way(w, &pose, index) && kn_world_path_distance(w, f.position.x, f.position.y) < 120)
        kn_world_park(w, &pose, kn_rng_next(&rng));
}

/* Cars along one lane, nose to tail with gaps. */
static void park_lane(kn_world_builder *w, int index, const kn_lane_section *section, const kn_lane *lane,
                      double share) {
    const kn_road *road = &w->network->roads[index];
    uint64_t key = (uint64_t)index * 4096 + (uint64_t)(section - road->sections) * 64 + (uint64_t)(lane->id + 32);
    double end = fmin(section->end, road->length) - 4;
    kn_lane_span span = kn_lane_span_at(road, (section->s + end) / 2, lane->id);
    bool across = fabs(span.outer - span.inner) > 4.2;
    double pitch = across ? 2.7 : 6.1;
    for (long n = 0; section->s + 4 + (double)n * pitch < end; n++) {
        uint64_t seed = kn_hash64(w->seed ^ kn_hash64(key * 65536 + (uint64_t)n));
        double s = section->s + 4 + ((double)n + (across ? 0 : .08 * (double)(seed % 16) / 16)) * pitch;
        if (!kn_world_near(w, road, s)) n += 3;
        else park_here(w, index, lane, s, share, across, seed);
    }
}

/* Nothing of the road lies beyond lane i of a section but pavement. */
static bool outermost(const kn_lane_section *section, size_t i) {
    int side = section->lanes[i].id > 0 ? 1 : -1;
    for (size_t k = 0; k < section->lane_count; k++) {
        const kn_lane *other = &section->lanes[k];
        if (other->id * side > section->lanes[i].id * side && kn_lane_is_driven(other->type)) return false;
    }
    return abs(section->lanes[i].id) > 1;
}

/* On parking lanes, and on the outer shoulders of slow streets. */
static void grow_parking(kn_world_builder *w, int index) {
    const kn_road *road = &w->network->roads[index];
    bool slow = !(road->speed_limit > 60 / 3.6 + .1);
    for (size_t k = 0; k < road->section_count && road->junction < 0; k++) {
        const kn_lane_section *section = &road->sections[k];
        for (size_t i = 0; i < section->lane_count; i++) {
            const kn_lane *lane = &section->lanes[i];
            if (lane->type == KN_LANE_PARKING) park_lane(w, index, section, lane, .72);
            else if (lane->type == KN_LANE_SHOULDER && w->kind[index] == KN_SURROUND_TOWN && slow &&
                     outermost(section, i))
                park_lane(w, index, section, lane, .35);
        }
    }
}

/* --- all
 * ------------------------------------------------------------------------------------------------------------------ */

static void grow_ends(kn_world_builder *w, int index) {
    const kn_road *road = &w->network->roads[index];
    if (road->junction >= 0) return;
    if (road->predecessor.kind == KN_LINK_JUNCTION)
        street_end(w, index, false, junction_arms(w, road->predecessor.index));
    if (road->successor.kind == KN_LINK_JUNCTION) street_end(w, index, true, junction_arms(w, road->successor.index));
}

void kn_world_grow_town(kn_world_builder *w) {
    for (size_t r = 0; r < w->network->road_count && !w->draw.failed; r++)
        if (w->road_near[r]) grow_parking(w, (int)r);
    for (size_t r = 0; r < w->network->road_count && !w->draw.failed; r++) {
        if (w->kind[r] != KN_SURROUND_TOWN || !w->road_near[r]) continue;
        grow_ends(w, (int)r);
        for (int side = 1; side >= -1; side -= 2) grow_furniture(w, (int)r, side);
    }
    for (size_t r = 0; r < w->network->road_count && !w->draw.failed; r++)
        for (int side = 1; side >= -1 && w->kind[r] == KN_SURROUND_TOWN && w->road_near[r]; side -= 2)
            if (w->network->roads[r].junction < 0) grow_houses(w, (int)r, side);
    if (w->main_kind == KN_SURROUND_TOWN) backdrop(w);
}

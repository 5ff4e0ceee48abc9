/* Grows a town along its streets: facades, street trees, lamps, furniture, signs, crossings. */
#include "scene/world/props.h"
#include "scene/world/world_build.h"

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
    w->draw.instance = kn_world_new_instance(w);
    kn_building_draw(&w->draw, house);
    w->draw.pose = kn_pose_identity();
    w->draw.instance = 0;
}

/* A paved path from the pavement to the door, and perhaps a car on a drive beside the house. */
static void drive_and_path(kn_world_builder *w, const kn_pose *front, double setback, double x, bool car,
                           uint64_t seed) {
    kn_build_use(&w->draw, kn_pavement_matter((int)(seed >> 7 & 3)));
    const double span[2][3] = {{-.65, .65, 0}, {x - 1.5, x + 1.5, 5.5}};
    for (int k = 0; k < (car ? 2 : 1); k++) {
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
    double detail = kn_world_detail(w, w->path[0].x, w->path[0].y);
    kn_vec2 at;
    kn_pose pose = kn_world_place(w, road, s, side, paved + .55, &at);
    detail = kn_world_detail(w, at.x, at.y);
    double half = width / 2 - .3, gap = .9;
    if (kn_rng_uniform(rng, 0, 1) < .7 && kn_world_budget(w, 2500)) {
        for (int k = 0; k < 2; k++) {
            kn_pose start = pose, move = kn_pose_from_euler(kn_v3(k ? gap : -half, 0, 0), 0, 0, 0);
            kn_vec3 mid = kn_pose_point(&pose, kn_v3(k ? (gap + half) / 2 : -(gap + half) / 2, 0, 0));
            if (!kn_world_clear(w, mid.x, mid.y, .7)) continue;
            w->draw.pose = kn_pose_multiply(&start, &move);
            kn_hedge_draw(&w->draw, half - gap, .6, kn_rng_uniform(rng, .8, 1.3), detail, kn_rng_next(rng));
        }
    }
    for (int i = 0; i < 2; i++) {
        kn_vec3 p = kn_pose_point(
            &pose, kn_v3(kn_rng_uniform(rng, -half, half), kn_rng_uniform(rng, 1, fmax(1.1, setback - 1.2)), 0));
        if (!kn_world_budget(w, 500) || !kn_world_clear(w, p.x, p.y, .8)) continue;
        w->draw.pose = kn_pose_identity();
        w->draw.pose.translation = kn_v3(p.x, p.y, kn_world_land(w, p.x, p.y));
        kn_bush_draw(&w->draw, kn_rng_uniform(rng, .5, .9), kn_rng_uniform(rng, .8, 1.6), detail, kn_rng_next(rng));
    }
    w->draw.pose = kn_pose_identity();
}

static void visit_houses(kn_world_builder *w, int index, double s0, double s1, int side, void *user) {
    const kn_road *road = &w->network->roads[index];
    kn_rng rng;
    kn_rng_init(&rng, spot_seed(w, index, s0, side, 1));
    (void)user;
    bool alone = true; /* nothing adjoins at the lower end */
    for (double s = s0 + .5; s < s1;) {
        kn_vec2 at;
        double paved = kn_world_pavement_width(w, index, side, s);
        kn_world_place(w, index, s, side, paved, &at);
        bool dense = density(w, at.x, at.y) > .45;
        kn_building house = random_house(w, at, dense, &rng);
        double setback = dense ? .06 : kn_rng_uniform(&rng, 3.5, 6),
               gap = dense ? (kn_rng_uniform(&rng, 0, 1) < .12 ? kn_rng_uniform(&rng, 3, 7) : .0)
                           : kn_rng_uniform(&rng, 3, 7);
        bool placed = false;
        for (int attempt = 0; attempt < 3 && !placed && kn_world_budget(w, 6000); attempt++, house.width *= .75) {
            double mid = s + house.width / 2;
            if (mid + house.width / 2 > s1 + 2 || house.width < 5.5) continue;
            double bend = kn_road_at(road, fmin(mid, road->length), 0).curvature *
                          side; /* toward the house: the chord stands further off */
            double sag = house.width * house.width / 8 * fabs(bend) * (bend > 0 ? 1 : 0) + .02;
            kn_pose pose = kn_world_place(w, index, fmin(mid, road->length), side, paved + setback + sag, &at);
            kn_vec3 c = kn_pose_point(&pose, kn_v3(0, house.depth / 2 + .15, 0));
            double heading = atan2(pose.rotation[1][0], pose.rotation[0][0]);
            if (!kn_space_free(&w->space, c.x, c.y, heading, house.width / 2 - .05, house.depth / 2 - .3,
                               paved + setback * .6 + .05))
                continue;
            if (alone) house.open |= side > 0 ? KN_WEST : KN_EAST;
            if (gap > 0 || mid + house.width / 2 > s1 - 7) house.open |= side > 0 ? KN_EAST : KN_WEST;
            put_house(w, &pose, &house);
            kn_space_occupy(&w->space, c.x, c.y, heading, house.width / 2, house.depth / 2 + .2);
            if (!dense) drive_and_path(w, &pose, setback, (house.width + gap) / 2 * side, gap > 3.6, house.seed);
            alone = gap > 0;
            if (!dense)
                garden(w, index, fmin(mid, road->length), side, paved, setback,
                       gap > 3.6 ? house.width - .2 : house.width + gap * .8, &rng);
            s += house.width + gap + .02;
            placed = true;
        }
        if (!placed) s += 2, alone = true;
    }
}

/* --- pavements' furniture --------------------------------------------------------------------- */

/* Draws one thing at a place beside the kerb when there is room. */
static bool put_thing(kn_world_builder *w, int road, double s, int side, double offset, double room, int what,
                      uint64_t seed) {
    kn_vec2 at;
    kn_pose pose = kn_world_place(w, road, s, side, offset, &at);
    if (!kn_world_clear(w, at.x, at.y, room) || !kn_world_budget(w, 2000)) return false;
    double detail = kn_world_detail(w, at.x, at.y);
    kn_build *b = &w->draw;
    b->pose = pose;
    if (what > 1) b->instance = kn_world_new_instance(w);
    switch (what) {
    case 0: { /* street tree in its grating */
        kn_build_use(b, kn_matter(.06, .045, .03, .95, KN_TEXTURE_SOIL, KN_SEMANTIC_TERRAIN, .6));
        kn_build_quad(b, kn_v3(-.6, -.45, .012), kn_v3(.6, -.45, .012), kn_v3(.6, .6, .012), kn_v3(-.6, .6, .012));
        kn_tree_draw(b, KN_TREE_STREET, 8 + (double)(seed >> 8 & 255) / 255 * 2.2, detail, seed);
        break;
    }
    case 1: {
        b->instance = kn_world_new_instance(w);
        kn_light light = kn_lamp_post_draw(b, 7.2, 1.5, (int)(kn_hash64(w->seed ^ 9) & 1));
        if (kn_world_path_distance(w, at.x, at.y) < 70) kn_world_light(w, &light);
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
    kn_space_occupy(&w->space, at.x, at.y, 0, fmax(room * .7, .3), fmax(room * .7, .3));
    return true;
}

static void visit_furniture(kn_world_builder *w, int index, double s0, double s1, int side, void *user) {
    const kn_road *road = &w->network->roads[index];
    (void)user;
    if (road->junction >= 0 || s1 - s0 < 6) return;
    kn_rng rng;
    kn_rng_init(&rng, spot_seed(w, index, s0, side, 2));
    double kerb = kerb_offset(w, index, (s0 + s1) / 2, side),
           width = kerb < 0 ? -kerb : kn_world_pavement_width(w, index, side, (s0 + s1) / 2);
    if (width < 1.3) return;
    bool avenue = kn_hash64(w->seed ^ kn_hash64((uint64_t)index + 77)) % 10 < 7 && width > 2.2;
    double pitch = kn_rng_uniform(&rng, 9, 12), near = kerb + .85, far = kerb + width - .42;
    int lamp = side > 0 ? 0 : 1;
    for (double s = s0 + 4.5; s < s1 - 4; s += pitch / 2) { /* lamps and trees take turns */
        int k = (int)floor((s - s0) / (pitch / 2));
        uint64_t seed = spot_seed(w, index, s, side, 3);
        if (k % 6 == (lamp ? 0 : 3)) put_thing(w, index, s, side, near - .1, .2, 1, seed);
        else if (k % 2 == 1 && avenue) put_thing(w, index, s, side, near + .1, .35, 0, seed);
        else if (seed % 9 == 0) put_thing(w, index, s, side, near - .1, .25, 2, seed);
        else if (seed % 9 == 1 && width > 2.4) put_thing(w, index, s, side, far - .3, .6, 3, seed);
        else if (seed % 19 == 2 && width > 2.2) put_thing(w, index, s, side, far - .4, 1.0, 4, seed);
        else if (seed % 23 == 3) put_thing(w, index, s, side, far - .1, .3, 5, seed);
        else if (seed % 17 == 4) put_thing(w, index, s, side, far - .1, .6, 6, seed);
    }
    if (s1 - s0 > 60 && width > 2.4 && kn_rng_uniform(&rng, 0, 1) < .5)
        put_thing(w, index, kn_mix(s0, s1, .4), side, far - .65, 1.4, 7, 1);
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
    if (kn_world_path_distance(w, f.position.x, f.position.y) > fmin(w->reach, 130)) return;
    bool lights = arms >= 4;
    if (!file_has(road, false)) paint_crossing(w, road, s, away, true);
    if (file_has(road, true)) return;
    /* the right-hand side of those who arrive (left in left-hand traffic) */
    int side = (at_end ? -1 : 1) * (road->left_hand_traffic ? -1 : 1);
    double travel = f.heading + (at_end ? 0 : M_PI), kerb = kerb_offset(w, index, s, side);
    kn_vec2 at;
    kn_pose place = kn_world_place(w, index, s + away * 2.2, side, kerb + .45, &at);
    if (!kn_world_clear(w, at.x, at.y, .25)) return;
    w->draw.pose = kn_pose_from_euler(place.translation, travel, 0, 0);
    w->draw.instance = kn_world_new_instance(w);
    bool along = fabs(cos(travel - w->heading)) > .7;
    if (lights) kn_world_signal(w, index, at_end ? 1 : -1, -1, 3.0, 0);
    else kn_sign_draw(&w->draw, along ? KN_SIGN_PRIORITY : KN_SIGN_YIELD, 0, 2.5);
    w->draw.pose = kn_pose_identity();
    w->draw.instance = 0;
    kn_space_occupy(&w->space, at.x, at.y, 0, .4, .4);
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

/* Houses and trees in the second row and beyond, coarse. */
static void backdrop(kn_world_builder *w) {
    const kn_space *space = &w->space;
    double pitch = 15;
    for (double x = space->x0 + pitch; x < space->x0 + space->nx * space->cell - pitch; x += pitch) {
        for (double y = space->y0 + pitch; y < space->y0 + space->ny * space->cell - pitch; y += pitch) {
            kn_rng rng;
            kn_rng_init(&rng, kn_hash64(w->seed ^ kn_hash64((uint64_t)(int64_t)(x - space->x0) * 65536 +
                                                            (uint64_t)(int64_t)(y - space->y0))));
            double px = x + kn_rng_uniform(&rng, -5, 5), py = y + kn_rng_uniform(&rng, -5, 5),
                   d = kn_space_distance(space, px, py);
            if (kn_world_path_distance(w, px, py) > w->reach - 10 || d < 7) continue;
            double heading = w->heading + M_PI / 2 * kn_rng_int(&rng, 0, 3);
            if (d > 22 && kn_rng_uniform(&rng, 0, 1) < .35 && kn_space_free(space, px, py, heading, 8, 8, 20)) {
                kn_building house = random_house(w, (kn_vec2){px, py}, kn_rng_int(&rng, 0, 1), &rng);
                house.detail = .4, house.shop = false, house.balconies = false,
                house.open = KN_FRONT | KN_BACK | KN_WEST | KN_EAST;
                house.width = fmin(house.width, 14);
                kn_pose pose = kn_pose_from_euler(kn_v3(px, py, kn_world_land(w, px, py) + .1), heading, 0, 0),
                        shift = kn_pose_from_euler(kn_v3(0, -house.depth / 2, 0), 0, 0, 0);
                pose = kn_pose_multiply(&pose, &shift);
                if (kn_world_budget(w, 3000)) put_house(w, &pose, &house);
                kn_space_occupy((kn_space *)space, px, py, heading, house.width / 2, house.depth / 2);
            } else if (kn_rng_uniform(&rng, 0, 1) < .5) {
                kn_world_tree(w, px, py, kn_rng_int(&rng, 0, 4), kn_rng_uniform(&rng, 6, 12), 5.5, kn_rng_next(&rng));
            }
        }
    }
}

void kn_world_grow_town(kn_world_builder *w) {
    bool any = false;
    kn_world_parking(w);
    for (size_t r = 0; r < w->network->road_count && !w->draw.failed; r++) {
        const kn_road *road = &w->network->roads[r];
        if (w->kind[r] != KN_SURROUND_TOWN || !isfinite(w->road_distance[r])) continue;
        any = true;
        if (road->junction < 0) {
            if (road->predecessor.kind == KN_LINK_JUNCTION)
                street_end(w, (int)r, false, junction_arms(w, road->predecessor.index));
            if (road->successor.kind == KN_LINK_JUNCTION)
                street_end(w, (int)r, true, junction_arms(w, road->successor.index));
        }
        kn_world_stretches(w, (int)r, 2, visit_furniture, NULL);
    }
    /* houses along the nearest streets first, should the budget run out */
    for (double near = 0; near < w->reach + 40 && any; near += 20) {
        for (size_t r = 0; r < w->network->road_count && !w->draw.failed; r++) {
            double d = w->road_distance[r];
            if (w->kind[r] == KN_SURROUND_TOWN && d >= near && d < near + 20)
                kn_world_stretches(w, (int)r, 4, visit_houses, NULL);
        }
    }
    if (any && w->main_kind == KN_SURROUND_TOWN) backdrop(w);
}

/* Worlds built from small networks made in memory: a town crossing and a motorway. */
#include "scene/world/world.h"
#include "tests/render_naive.h"

#include <criterion/criterion.h>
#include <string.h>

/* A straight road along x (or y) through the origin with lanes given from left to right. */
typedef struct straight {
    kn_geometry geometry;
    kn_poly3 widths[16];
    kn_road_mark marks[16];
    kn_lane lanes[16];
    kn_lane_section section;
} straight;

static void make_road(kn_road *road, straight *s, const kn_lane_type *left, int left_count, const kn_lane_type *right,
                      int right_count, double heading, double speed) {
    memset(road, 0, sizeof *road);
    memset(s, 0, sizeof *s);
    double length = 240;
    s->geometry = (kn_geometry){.kind = KN_GEOMETRY_LINE,
                                .x = -length / 2 * cos(heading),
                                .y = -length / 2 * sin(heading),
                                .heading = heading,
                                .length = length};
    int n = 0;
    for (int id = left_count; id >= -right_count; id--, n++) {
        kn_lane *lane = &s->lanes[n];
        lane->id = id;
        lane->predecessor = lane->successor = KN_NO_LANE;
        lane->type = id > 0 ? left[id - 1] : id < 0 ? right[-id - 1] : KN_LANE_NONE;
        s->widths[n].a = lane->type == KN_LANE_SIDEWALK ? 3 : lane->type == KN_LANE_PARKING ? 2.2 : 3.5;
        lane->height_inner = lane->height_outer = lane->type == KN_LANE_SIDEWALK ? .12 : 0;
        lane->widths = id ? &s->widths[n] : NULL;
        lane->width_count = id ? 1 : 0;
        s->marks[n] =
            (kn_road_mark){.type = id ? KN_MARK_SOLID : KN_MARK_BROKEN, .width = .12, .dash_length = 3, .dash_gap = 6};
        lane->marks = &s->marks[n];
        lane->mark_count = lane->type == KN_LANE_SIDEWALK ? 0 : 1;
    }
    s->section = (kn_lane_section){.s = 0, .end = length, .lanes = s->lanes, .lane_count = (size_t)n};
    *road = (kn_road){.id = "1",
                      .length = length,
                      .junction = -1,
                      .speed_limit = speed,
                      .geometries = &s->geometry,
                      .geometry_count = 1,
                      .sections = &s->section,
                      .section_count = 1};
    road->predecessor.index = road->successor.index = -1;
}

static const kn_lane_type town[] = {KN_LANE_DRIVING, KN_LANE_PARKING, KN_LANE_SIDEWALK}, bare[] = {KN_LANE_DRIVING},
                          fast[] = {KN_LANE_DRIVING, KN_LANE_DRIVING, KN_LANE_STOP};

typedef struct fixture {
    kn_road roads[2];
    straight parts[2];
    kn_road_network network;
    kn_actor actors[2];
    kn_actor_state states[6];
    kn_timeline timeline;
} fixture;

/* The ego drives 30 m along x; a pedestrian stands on the pavement. */
static void make_fixture(fixture *f, bool motorway) {
    memset(f, 0, sizeof *f);
    make_road(&f->roads[0], &f->parts[0], motorway ? fast : town, 3, motorway ? fast : town, 3, 0,
              motorway ? 33 : 13.9);
    make_road(&f->roads[1], &f->parts[1], bare, 1, bare, 1, M_PI / 2, 13.9);
    f->network = (kn_road_network){.roads = f->roads, .road_count = motorway ? 1 : 2};
    f->actors[0] = (kn_actor){.kind = KN_ACTOR_CAR,
                              .length = 4.6,
                              .width = 1.8,
                              .height = 1.5,
                              .center = {1.4, 0, .75},
                              .is_ego = true,
                              .instance = 1};
    f->actors[1] = (kn_actor){.kind = KN_ACTOR_PEDESTRIAN,
                              .length = .6,
                              .width = .6,
                              .height = 1.75,
                              .center = {0, 0, .875},
                              .color = {.4, .1, .1},
                              .seed = 4,
                              .instance = 2};
    for (int i = 0; i < 6; i++) {
        f->states[i].present = true;
        f->states[i].pose = kn_pose_identity();
        f->states[i].pose.translation = i % 2 ? (kn_vec3){-30, -6.5, .12} : (kn_vec3){-50 + 15 * (i / 2), -1.75, 0};
    }
    f->timeline =
        (kn_timeline){.frame_rate = 12, .frame_count = 3, .actor_count = 2, .actors = f->actors, .states = f->states};
}

static kn_camera camera_at(kn_vec3 eye, kn_vec3 forward, kn_vec3 up, double focal, int width, int height) {
    kn_camera c = {.width = width,
                   .height = height,
                   .k = {{focal, 0, width / 2.}, {0, focal, height / 2.}, {0, 0, 1}},
                   .translation = {eye.x, eye.y, eye.z}};
    kn_vec3 right = kn_vec3_cross(forward, up), axes[3] = {right, kn_vec3_scale(up, -1), forward};
    for (int k = 0; k < 3; k++)
        c.rotation[0][k] = axes[k].x, c.rotation[1][k] = axes[k].y, c.rotation[2][k] = axes[k].z;
    return c;
}

Test(world, the_same_seed_gives_the_same_world) {
    fixture f;
    make_fixture(&f, false);
    kn_error error = {0};
    kn_world a, b, c;
    cr_assert(kn_world_build(&a, &f.network, &f.timeline, 5, 90, true, &error), "%s", error.message);
    cr_assert(kn_world_build(&b, &f.network, &f.timeline, 5, 90, true, &error));
    cr_assert(kn_world_build(&c, &f.network, &f.timeline, 6, 90, true, &error));
    cr_assert_eq(a.mesh.vertex_count, b.mesh.vertex_count);
    cr_assert_eq(a.mesh.triangle_count, b.mesh.triangle_count);
    cr_assert_arr_eq(a.mesh.position, b.mesh.position, a.mesh.vertex_count * sizeof *a.mesh.position);
    cr_assert_arr_eq(a.mesh.material, b.mesh.material, a.mesh.triangle_count * sizeof *a.mesh.material);
    cr_assert_eq(a.material_count, b.material_count);
    cr_assert_arr_eq(a.materials, b.materials, a.material_count * sizeof *a.materials);
    cr_assert(a.mesh.vertex_count != c.mesh.vertex_count ||
              memcmp(a.mesh.position, c.mesh.position, a.mesh.vertex_count * sizeof *a.mesh.position));
    cr_assert_gt(a.light_count, 0);
    cr_assert_gt(a.instance_count, 0, "cars stand on the parking lanes");
    cr_assert_lt(a.mesh.triangle_count, 400000 + 20000);
    kn_world_finish(&a);
    kn_world_finish(&b);
    kn_world_finish(&c);
}

/* Nothing solid within 2 m above any driven lane, nor where the pedestrian stands. */
Test(world, nothing_stands_on_lanes) {
    for (uint64_t seed = 1; seed <= 4; seed++) {
        fixture f;
        make_fixture(&f, seed % 2);
        kn_world w;
        cr_assert(kn_world_build(&w, &f.network, &f.timeline, seed, 110, true, NULL));
        for (size_t i = 0; i < w.mesh.triangle_count; i++) {
            kn_semantic kind = w.materials[w.mesh.material[i]].semantic;
            if (kind <= KN_SEMANTIC_TERRAIN && kind != KN_SEMANTIC_KERB) continue;
            float low = 1e9f, c[2] = {0, 0};
            for (int k = 0; k < 3; k++) {
                const float *p = w.mesh.position[w.mesh.triangle[i][k]];
                low = fminf(low, p[2]);
                c[0] += p[0] / 3, c[1] += p[1] / 3;
            }
            double half = f.network.road_count == 1 ? 10.5 : 3.5;
            if (low > 2 || fabs(c[0]) > 119) continue;
            cr_assert(fabs(c[1]) > half - .01 - .6 * (fabs(c[0]) < 4), "class %d stands at (%g, %g)", kind, c[0], c[1]);
            if (f.network.road_count == 2)
                cr_assert(fabs(c[0]) > 3.1 || fabs(c[1]) > 119, "class %d stands at (%g, %g) on the side street", kind,
                          c[0], c[1]);
            if (kind != KN_SEMANTIC_KERB)
                cr_assert(hypot(c[0] + 30, c[1] + 6.5) > .25, "class %d stands on the pedestrian", kind);
        }
        kn_world_finish(&w);
    }
}

/* Seen from above the lanes are road or paint, the pavement is pavement, and there is no hole. */
Test(world, surfaces_lie_where_the_lanes_are) {
    fixture f;
    make_fixture(&f, false);
    kn_world w;
    cr_assert(kn_world_build(&w, &f.network, &f.timeline, 3, 80, false, NULL));
    enum { W = 201, H = 121 };
    static uint8_t semantic[W * H];
    static float depth[W * H];
    kn_camera c = camera_at((kn_vec3){-40, 0, 50}, (kn_vec3){0, 0, -1}, (kn_vec3){0, 1, 0}, 250, W, H);
    cr_assert(kn_naive_render(&w, NULL, 0, &c, &(kn_naive_target){.semantic = semantic, .depth = depth}, NULL));
    for (int v = 0; v < H; v++) {
        for (int u = 0; u < W; u++) {
            double y = -(v + .5 - H / 2.) / 250 * 50, a = fabs(y);
            int kind = semantic[v * W + u];
            cr_assert_neq(kind, KN_SEMANTIC_SKY, "hole at pixel %d, %d", u, v);
            if (a < 5.6)
                cr_assert(kind == KN_SEMANTIC_ROAD || kind == KN_SEMANTIC_LANE_MARK, "class %d at x = %g, y = %g", kind,
                          -40 + (u + .5 - W / 2.) / 5, y);
            if (a < 5.6) cr_assert_float_eq(depth[v * W + u], 50, .02);
            if (a > 6.0 && a < 8.5) cr_assert_eq(kind, KN_SEMANTIC_SIDEWALK, "class %d at y = %g", kind, y);
            if (a > 9) cr_assert_eq(kind, KN_SEMANTIC_TERRAIN, "class %d at y = %g", kind, y);
        }
    }
    kn_world_finish(&w);
}

Test(world, dashes_have_their_rhythm) {
    fixture f;
    make_fixture(&f, false);
    kn_world w;
    cr_assert(kn_world_build(&w, &f.network, &f.timeline, 3, 100, false, NULL));
    double area = 0, s0 = -90, s1 = -18; /* eight periods of the centre line of road 0, away from the crossing */
    for (size_t i = 0; i < w.mesh.triangle_count; i++) {
        if (w.materials[w.mesh.material[i]].semantic != KN_SEMANTIC_LANE_MARK) continue;
        const float *p[3];
        for (int k = 0; k < 3; k++) p[k] = w.mesh.position[w.mesh.triangle[i][k]];
        double mx = (p[0][0] + p[1][0] + p[2][0]) / 3, my = (p[0][1] + p[1][1] + p[2][1]) / 3;
        if (mx < s0 || mx > s1 || fabs(my) > .1) continue;
        area += fabs((p[1][0] - p[0][0]) * (p[2][1] - p[0][1]) - (p[2][0] - p[0][0]) * (p[1][1] - p[0][1])) / 2;
    }
    cr_assert_float_eq(area, 8 * 3 * .12, .08, "painted %g m2", area);
    kn_world_finish(&w);
}

Test(world, failing_allocations_are_reported) {
    fixture f;
    make_fixture(&f, false);
    for (uint64_t n = 1; n < 8000; n = n < 12 ? n + 1 : n * 2) {
        kn_error error = {0};
        kn_world w;
        kn_alloc_fail_after(n);
        bool ok = kn_world_build(&w, &f.network, &f.timeline, 3, 25, true, &error);
        kn_alloc_fail_after(0);
        cr_assert(ok || error.kind == KN_ERROR_MEMORY, "allocation %d: %s", (int)n, error.message);
        kn_world_finish(&w);
    }
}

Test(world, an_empty_network_is_open_country) {
    fixture f;
    make_fixture(&f, false);
    f.network.road_count = 0;
    kn_world w;
    kn_error error = {0};
    cr_assert(kn_world_build(&w, &f.network, &f.timeline, 3, 60, true, &error), "%s", error.message);
    cr_assert_gt(w.mesh.triangle_count, 100);
    kn_world_finish(&w);
}

Test(world, a_way_that_is_not_finite_is_refused) {
    fixture f;
    make_fixture(&f, false);
    f.states[2].pose.translation.x = NAN;
    kn_world w;
    kn_error error = {0};
    cr_assert_not(kn_world_build(&w, &f.network, &f.timeline, 3, 60, true, &error));
    cr_assert_eq(error.kind, KN_ERROR_INPUT);
}

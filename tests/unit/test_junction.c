/* Junctions of generated towns: whoever looks down on them sees asphalt everywhere, no hole and no kerb in the way. */
#include "scene/road/road_walk.h"
#include "scene/world/scene.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <unistd.h>

static kn_scene *make_scene(int seed) {
    char path[64], text[128];
    kn_error error = {0};
    kn_scene *scene = NULL;
    kn_log log = {0};
    kn_scene_params params = KN_SCENE_PARAMS_DEFAULT;
    params.frame_count = 60;
    snprintf(path, sizeof path, "/tmp/kinora-junction-%d-%d.json", (int)getpid(), seed);
    int length = snprintf(text, sizeof text, "{\"generate\": {\"kind\": \"junction\", \"seed\": %d}}", seed);
    cr_assert(kn_file_write(path, text, (size_t)length, &error), "%s", error.message);
    cr_assert(kn_scene_create(&scene, path, &params, &log, &error), "%s", error.message);
    unlink(path);
    return scene;
}

/* The highest triangle between low and high on the plumb line through (x, y): its height and class; -1: none. */
static int look_down(const kn_scene *scene, const uint32_t *near, size_t count, double x, double y, double low,
                     double high, double *z) {
    const kn_mesh *mesh = &scene->world.mesh;
    int found = -1;
    *z = low;
    for (size_t i = 0; i < count; i++) {
        const float *p[3];
        for (int c = 0; c < 3; c++) p[c] = mesh->position[mesh->triangle[near[i]][c]];
        double ax = p[1][0] - p[0][0], ay = p[1][1] - p[0][1], bx = p[2][0] - p[0][0], by = p[2][1] - p[0][1],
               area = ax * by - ay * bx;
        if (fabs(area) < 1e-9) continue;
        double u = ((x - p[0][0]) * by - (y - p[0][1]) * bx) / area,
               v = (ax * (y - p[0][1]) - ay * (x - p[0][0])) / area;
        double at = p[0][2] + u * (p[1][2] - p[0][2]) + v * (p[2][2] - p[0][2]);
        if (u < -1e-4 || v < -1e-4 || u + v > 1 + 1e-4 || at < *z || at > high) continue;
        *z = at;
        found = scene->world.materials[mesh->material[near[i]]].semantic;
    }
    return found;
}

/* Triangles whose box meets a square around a point. */
static size_t find_near(const kn_scene *scene, kn_vec3 middle, double reach, uint32_t *out) {
    const kn_mesh *mesh = &scene->world.mesh;
    size_t count = 0;
    for (size_t i = 0; i < mesh->triangle_count; i++) {
        double low[2] = {1e30, 1e30}, high[2] = {-1e30, -1e30};
        for (int c = 0; c < 3; c++)
            for (int a = 0; a < 2; a++) {
                double at = mesh->position[mesh->triangle[i][c]][a];
                low[a] = fmin(low[a], at), high[a] = fmax(high[a], at);
            }
        if (low[0] < middle.x + reach && high[0] > middle.x - reach && low[1] < middle.y + reach &&
            high[1] > middle.y - reach)
            out[count++] = (uint32_t)i;
    }
    return count;
}

static bool is_road(int semantic) { return semantic == KN_SEMANTIC_ROAD || semantic == KN_SEMANTIC_LANE_MARK; }

/* Points across the driven lanes of a way through a junction. */
static size_t check_way(const kn_scene *scene, const kn_road *road, const uint32_t *near, size_t count, int seed) {
    size_t points = 0;
    for (double s = .13; s < road->length; s += .7) {
        const kn_lane_section *section = kn_road_section(road, s);
        for (size_t i = 0; i < section->lane_count; i++) {
            if (!section->lanes[i].id || !kn_lane_is_drivable(section->lanes[i].type)) continue;
            kn_lane_span span = kn_lane_span_at(road, s, section->lanes[i].id);
            for (double q = .03; q < 1; q += .157, points++) {
                kn_vec3 p = kn_road_at(road, s, span.inner + q * (span.outer - span.inner)).position;
                double z;
                int what = look_down(scene, near, count, p.x, p.y, p.z - .3, p.z + .5, &z);
                cr_assert(is_road(what), "seed %d, road %s, s %g: class %d lies on the lane", seed, road->id, s, what);
                cr_assert_lt(fabs(z - p.z), .05, "seed %d, road %s, s %g: %g m off", seed, road->id, s, z - p.z);
            }
        }
    }
    return points;
}

/* Where a parking or cycle lane ends at a junction, nothing stands up from the asphalt. */
static size_t check_lane_ends(const kn_scene *scene, const kn_road *road, const uint32_t *near, size_t count,
                              int seed) {
    size_t ends = 0;
    for (int end = 0; end < 2; end++) {
        const kn_road_link *link = end ? &road->successor : &road->predecessor;
        double s = end ? road->length : 0, ahead = end ? 1 : -1;
        const kn_lane_section *section = kn_road_section(road, end ? road->length - 1e-3 : 0);
        for (size_t i = 0; link->kind == KN_LINK_JUNCTION && i < section->lane_count; i++) {
            kn_lane_type type = section->lanes[i].type;
            if (type != KN_LANE_PARKING && type != KN_LANE_BIKING) continue;
            kn_lane_span span = kn_lane_span_at(road, end ? road->length - 1e-3 : 0, section->lanes[i].id);
            for (double q = .1; q < .7; q += .2, ends++) {
                kn_road_frame f = kn_road_at(road, s, span.inner + q * (span.outer - span.inner));
                double d = ahead * .4, z, x = f.position.x + d * cos(f.heading), y = f.position.y + d * sin(f.heading);
                int what = look_down(scene, near, count, x, y, f.position.z - .3, f.position.z + .5, &z);
                cr_assert(is_road(what), "seed %d, road %s: class %d stands where lane %d ends", seed, road->id, what,
                          section->lanes[i].id);
            }
        }
    }
    return ends;
}

Test(junction, asphalt_everywhere) {
    size_t points = 0, ends = 0;
    for (int seed = 1; seed <= 6; seed += 1 + (seed == 1)) {
        kn_scene *scene = make_scene(seed);
        const kn_road_network *network = &scene->network;
        uint32_t *near = kn_alloc(scene->world.mesh.triangle_count, sizeof *near, NULL);
        cr_assert_not_null(near);
        kn_vec3 ego = scene->timeline.states[0].pose.translation;
        for (size_t r = 0; r < network->road_count; r++) {
            const kn_road *road = &network->roads[r];
            kn_vec3 middle = kn_road_at(road, road->length / 2, 0).position;
            if (kn_vec3_length(kn_vec3_sub(middle, ego)) > 120) continue;
            size_t count = find_near(scene, middle, fmax(road->length, 4) / 2 + 12, near);
            if (road->junction >= 0) points += check_way(scene, road, near, count, seed);
            else ends += check_lane_ends(scene, road, near, count, seed);
        }
        kn_free(near);
        kn_scene_destroy(&scene);
    }
    cr_assert_gt(points, 5000);
    cr_assert_gt(ends, 20);
}

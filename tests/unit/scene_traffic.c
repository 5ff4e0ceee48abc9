/* Populated traffic: lawful, apart from each other, on its lanes; traffic lights. */
#include "scene/world/scene_load.h"
#include "tests/unit/brief.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct played {
    kn_loaded loaded;
    kn_timeline timeline;
} played;

/* A generated scene with `traffic` vehicles, 10 s at 12 frames/s (brief: 1 s). */
static void play(played *p, const char *kind, int seed, int traffic) {
    char text[200], path[] = "/tmp/kinora-traffic-XXXXXX.json";
    int file = mkstemps(path, 5);
    cr_assert(file >= 0);
    int n = snprintf(text, sizeof text, "{\"generate\": {\"kind\": \"%s\", \"seed\": %d}}", kind, seed);
    cr_assert_eq(write(file, text, (size_t)n), n);
    close(file);
    kn_scene_params params = KN_SCENE_PARAMS_DEFAULT;
    params.frame_count = (size_t)brief(12, 120);
    params.traffic = traffic;
    kn_error error = {0};
    cr_assert(kn_load(&p->loaded, path, &params, NULL, &error), "%s", error.message);
    cr_assert(kn_loaded_record(&p->loaded, &p->timeline, NULL, &error), "%s", error.message);
    unlink(path);
}

static void end(played *p) {
    kn_timeline_finish(&p->timeline);
    kn_loaded_finish(&p->loaded);
}

static const kn_actor_state *at(const kn_timeline *t, size_t frame, size_t actor) {
    return &t->states[frame * t->actor_count + actor];
}

static void expect_apart(const played *p, const char *what) {
    const kn_timeline *t = &p->timeline;
    for (size_t f = 0; f < t->frame_count; f++)
        for (size_t a = 0; a < t->actor_count; a++)
            for (size_t b = a + 1; b < t->actor_count; b++)
                cr_assert_not(kn_boxes_overlap(&t->actors[a], &at(t, f, a)->pose, &t->actors[b], &at(t, f, b)->pose, 0),
                              "%s: %s and %s at frame %zu", what, t->actors[a].name, t->actors[b].name, f);
}

static void expect_on_lanes(const played *p, const char *what) {
    const kn_timeline *t = &p->timeline;
    const kn_road_network *network = kn_loaded_sim((kn_loaded *)&p->loaded)->network;
    for (size_t a = 1; a < t->actor_count; a++)
        for (size_t f = 0; f < t->frame_count; f += 3) {
            kn_vec3 c = at(t, f, a)->pose.translation;
            kn_road_position place = kn_road_locate(network, c.x, c.y, 0.1);
            cr_assert_geq(place.road, 0, "%s: %s at frame %zu", what, t->actors[a].name, f);
            const kn_road *road = &network->roads[place.road];
            const kn_lane *lane = kn_section_lane(kn_road_section(road, place.s), place.lane);
            cr_assert(lane && kn_lane_is_drivable(lane->type), "%s: %s at frame %zu", what, t->actors[a].name, f);
            double change = at(t, f, a)->acceleration;
            cr_assert(change > -8 && change < 4, "%s: %s brakes with %g", what, t->actors[a].name, change);
        }
}

/* Nobody's front passes a red light. Returns how many waited for one. */
static int expect_lights_obeyed(const played *p, const char *what) {
    const kn_timeline *t = &p->timeline;
    const kn_road_network *network = kn_loaded_sim((kn_loaded *)&p->loaded)->network;
    int waits = 0;
    for (size_t i = 0; i < t->signal_count; i++) {
        const kn_signal *signal = &network->signals->list[i];
        const kn_road *road = &network->roads[signal->road];
        for (size_t a = 0; a < t->actor_count; a++)
            for (size_t f = 1; f < t->frame_count; f++) {
                const kn_actor *look = &t->actors[a];
                double s[2], front = look->center[0] + look->length / 2;
                bool valid = look->kind < KN_ACTOR_PEDESTRIAN;
                for (int k = 0; k < 2 && valid; k++) {
                    kn_vec3 c = kn_pose_point(&at(t, f - 1 + (size_t)k, a)->pose, (kn_vec3){front, 0, 0});
                    kn_road_position place = kn_road_locate(network, c.x, c.y, 0.1);
                    const kn_road_frame frame = kn_road_at(road, place.s, 0);
                    double facing =
                        cos(frame.heading - atan2(at(t, f, a)->pose.rotation[1][0], at(t, f, a)->pose.rotation[0][0])) *
                        signal->direction;
                    valid = place.road == signal->road && facing > 0.7;
                    s[k] = place.s;
                }
                if (!valid) continue;
                bool red = t->signals[(f >= 6 ? f - 6 : 0) * t->signal_count + i] == KN_SIGNAL_RED &&
                           t->signals[(f - 1) * t->signal_count + i] == KN_SIGNAL_RED &&
                           t->signals[f * t->signal_count + i] == KN_SIGNAL_RED;
                bool passes = (s[0] - signal->s) * signal->direction < 0 && (s[1] - signal->s) * signal->direction >= 0;
                cr_assert_not(red && passes, "%s: %s passes a red light at frame %zu", what, look->name, f);
                waits += red && f == 119 && at(t, f, a)->speed < 0.5 && fabs(s[1] - signal->s) < 12;
            }
    }
    return waits;
}

Test(scene_traffic, lawful) {
    static const char *const kinds[] = {"junction", "town", "motorway", "rural"};
    int waits = 0, kept = 0, asked = 0, lights = 0;
    for (int k = 0; k < brief(1, 4); k++)
        for (int seed = brief(4, 1); seed <= brief(4, k < 2 ? 4 : 1); seed++)
            for (int n = seed % 2 ? 30 : brief(6, 12), once = 1; once; once = 0) {
                char what[60];
                played p;
                snprintf(what, sizeof what, "%s %d with %d", kinds[k], seed, n);
                play(&p, kinds[k], seed, n);
                kept += (int)p.timeline.actor_count - 1;
                asked += n;
                lights += p.timeline.signal_count > 0;
                expect_apart(&p, what);
                expect_on_lanes(&p, what);
                waits += expect_lights_obeyed(&p, what);
                end(&p);
            }
    cr_assert_gt(kept, asked * 6 / 10, "%d of %d vehicles found a place", kept, asked);
    cr_assert_geq(lights, brief(1, 5));
    cr_assert_gt(waits, brief(-1, 2), "%d vehicles wait at red lights", waits);
}

/* --- variants of a clip ----------------------------------------------------------------------- */

static bool is_parked(const kn_world *world, uint16_t instance) {
    for (size_t i = 0; i < world->instance_count; i++)
        if (world->instances[i].instance == instance && world->instances[i].kind <= KN_ACTOR_BICYCLE) return true;
    return false;
}

/* Everything that stands there but parked cars: corners, colours and the numbers that looks follow. */
static uint64_t layout_hash(const kn_scene *scene) {
    const kn_mesh *mesh = &scene->world.mesh;
    uint64_t hash = 1;
    for (size_t i = 0; i < mesh->triangle_count; i++) {
        if (is_parked(&scene->world, mesh->instance[i])) continue;
        const float *color = scene->world.materials[mesh->material[i]].color;
        for (int c = 0; c < 3; c++) {
            const float *p = mesh->position[mesh->triangle[i][c]];
            for (int k = 0; k < 3; k++) {
                uint32_t bits[2];
                memcpy(&bits[0], &p[k], 4);
                memcpy(&bits[1], &color[k], 4);
                hash = (hash ^ bits[0]) * 0x100000001b3 ^ bits[1];
            }
        }
        hash = (hash ^ mesh->instance[i]) * 0x100000001b3;
    }
    return hash;
}

static kn_scene *variant(const char *path, int traffic, double ego_speed, kn_weather_override weather,
                         kn_time_override time) {
    kn_scene_params params = KN_SCENE_PARAMS_DEFAULT;
    kn_scene *scene;
    kn_error error = {0};
    params.frame_count = 24;
    params.seed = 5;
    params.traffic = traffic;
    params.ego_speed = ego_speed;
    params.weather = weather;
    params.time = time;
    cr_assert(kn_scene_create(&scene, path, &params, NULL, &error), "%s", error.message);
    return scene;
}

Test(scene_traffic, variants_keep_the_layout) {
    static const char path[] = "samples/drive/town.xosc";
    kn_scene *plain = variant(path, -1, 0, KN_WEATHER_KEEP, KN_TIME_KEEP);
    uint64_t hash = layout_hash(plain);
    size_t parked = plain->world.instance_count;
    cr_assert_gt(parked, 5);
    static const struct {
        int traffic;
        double speed;
        kn_weather_override weather;
        kn_time_override time;
    } variants[] = {{0, 0, 0, 0},         {1, 0, 0, 0},         {12, 0, 0, 0},
                    {-1, 60 / 3.6, 0, 0}, {-1, 80 / 3.6, 0, 0}, {-1, 0, KN_WEATHER_RAIN, KN_TIME_DUSK}};
    for (size_t i = (size_t)brief(KN_COUNT(variants) - 1, 0); i < KN_COUNT(variants); i++) {
        kn_scene *scene = variant(path, variants[i].traffic, variants[i].speed, variants[i].weather, variants[i].time);
        cr_assert_eq(layout_hash(scene), hash, "variant %zu", i);
        cr_assert_eq(scene->world.instance_count, variants[i].traffic ? parked : 0, "variant %zu", i);
        kn_box boxes[100];
        if (!variants[i].traffic) cr_assert_eq(kn_scene_boxes(scene, 0, boxes, 100), 0); /* the ego alone */
        for (size_t a = 0; variants[i].traffic < 0 && a < plain->timeline.actor_count; a++) {
            cr_assert_str_eq(scene->timeline.actors[a].name, plain->timeline.actors[a].name);
            cr_assert_eq(memcmp(scene->timeline.actors[a].color, plain->timeline.actors[a].color, sizeof(double[3])),
                         0);
        }
        kn_scene_destroy(&scene);
    }
    kn_scene_destroy(&plain);
}

/* --- one world per scene and seed --------------------------------------------------------------- */

static kn_scene *part(const char *path, uint64_t seed, double start, size_t frames) {
    kn_scene_params params = KN_SCENE_PARAMS_DEFAULT;
    kn_scene *scene;
    kn_error error = {0};
    params.frame_count = frames;
    params.start = start;
    params.seed = seed;
    cr_assert(kn_scene_create(&scene, path, &params, NULL, &error), "%s", error.message);
    return scene;
}

Test(scene_traffic, start_and_length_keep_the_world) {
    static const char path[] = "samples/drive/town.xosc";
    kn_scene *whole = part(path, 3, 0, 24), *half = part(path, 3, 1, 12), *glimpse = part(path, 3, 0, 1),
             *other = part(path, 4, 0, 1);
    cr_assert_eq(whole->first_window, half->first_window);
    uint64_t hash = layout_hash(whole);
    cr_assert_eq(layout_hash(half), hash);
    cr_assert_eq(layout_hash(glimpse), hash);
    cr_assert_neq(layout_hash(other), hash);
    cr_assert_eq(whole->world.instance_count, half->world.instance_count);
    cr_assert_arr_eq(whole->world.instances, half->world.instances,
                     whole->world.instance_count * sizeof *whole->world.instances);
    kn_scene_destroy(&whole);
    kn_scene_destroy(&half);
    kn_scene_destroy(&glimpse);
    kn_scene_destroy(&other);
}

/* Sum over the things that stand in a square: independent of the order in which they were built. */
static uint64_t square_hash(const kn_world *world, double x0, double y0, double size, size_t *count) {
    uint64_t sum = 0;
    for (size_t i = 0; i < world->mesh.triangle_count; i++) {
        if (!world->mesh.instance[i]) continue;
        float c[3] = {0, 0, 0};
        for (int k = 0; k < 9; k++) c[k % 3] += world->mesh.position[world->mesh.triangle[i][k / 3]][k % 3] / 3;
        if (c[0] < x0 || c[1] < y0 || c[0] >= x0 + size || c[1] >= y0 + size) continue;
        uint64_t h = world->mesh.instance[i];
        for (int k = 0; k < 9; k++) {
            uint32_t bits;
            memcpy(&bits, &world->mesh.position[world->mesh.triangle[i][k / 3]][k % 3], 4);
            h = (h ^ bits) * 0x100000001b3;
        }
        sum += h * 0x9e3779b97f4a7c15;
        ++*count;
    }
    return sum;
}

/* A long drive: what stands at a place is the same, from whichever part of the way it is built. */
Test(scene_traffic, windows_agree) {
    char path[] = "/tmp/kinora-drive-XXXXXX.json";
    static const char text[] =
        "{\"network\": {\"roads\": [{\"id\": \"1\", \"segments\": [{\"length\": 700}, {\"length\": 300, "
        "\"curvature\": 0.004}, {\"length\": 500}], \"town\": true, \"left\": [{\"type\": \"driving\"}, {\"type\": "
        "\"parking\"}], \"right\": [{\"type\": \"driving\"}, {\"type\": \"parking\"}]}]}, \"ego\": {\"road\": \"1\", "
        "\"lane\": -1, \"s\": 20, \"speed\": 14}}";
    int file = mkstemps(path, 5);
    cr_assert(file >= 0 && write(file, text, sizeof text - 1) == (ssize_t)(sizeof text - 1));
    close(file);
    kn_scene *scene = part(path, 2, 0, 12);
    unlink(path);
    kn_world a, b;
    kn_error error = {0};
    cr_assert(kn_world_build_window(&a, &scene->site, &scene->timeline, 2, &error), "%s", error.message);
    cr_assert(kn_world_build_window(&b, &scene->site, &scene->timeline, 4, &error), "%s", error.message);
    size_t things = 0;
    for (double x = 448; x < 704; x += KN_TILE) /* within reach of both */
        for (double y = -64; y < 64; y += KN_TILE) {
            size_t in_a = 0, in_b = 0;
            uint64_t hash_a = square_hash(&a, x, y, KN_TILE, &in_a), hash_b = square_hash(&b, x, y, KN_TILE, &in_b);
            cr_assert_eq(in_a, in_b, "%zu and %zu triangles at %g, %g", in_a, in_b, x, y);
            cr_assert_eq(hash_a, hash_b, "at %g, %g", x, y);
            things += in_a;
        }
    cr_assert_gt(things, 5000);
    kn_world_finish(&a);
    kn_world_finish(&b);
    kn_scene_destroy(&scene);
}

/* Scenarios at one seed do not share their surroundings. */
Test(scene_traffic, every_scenario_has_its_own_surroundings) {
    static const char *const paths[] = {"samples/drive/town.xosc", "samples/drive/junction.xosc",
                                        "samples/drive/cut-in.xosc", "samples/drive/empty.xosc"};
    uint64_t seeds[KN_COUNT(paths)];
    for (size_t i = 0; i < KN_COUNT(paths); i++) {
        kn_scene_params params = KN_SCENE_PARAMS_DEFAULT;
        kn_loaded loaded;
        kn_error error = {0};
        cr_assert(kn_load(&loaded, paths[i], &params, NULL, &error), "%s", error.message);
        seeds[i] = loaded.scenario.content;
        for (size_t k = 0; k < i; k++) cr_assert_neq(seeds[i], seeds[k]);
        kn_loaded_finish(&loaded);
    }
}

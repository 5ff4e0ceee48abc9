/* Kinora's scene JSON and the generator. */
#include "kinora/render.h"
#include "scene/world/scene_load.h"
#include "tests/unit/brief.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool parse(kn_json_scene *scene, const char *text, kn_report *report, kn_error *error) {
    return kn_json_scene_parse(scene, "scene.json", text, strlen(text), 1, report, error);
}

#define ROAD                                                                                                           \
    "{\"id\": \"r\", \"segments\": [{\"length\": 100}, {\"length\": 80, \"curvature\": 0, \"curvature_end\": 0.01}], " \
    "\"left\": [{\"width\": 3}], \"right\": [{\"width\": 3, \"mark\": \"broken\"}, {\"type\": \"sidewalk\", "          \
    "\"width\": 2}], \"next\": \"q\"}, {\"id\": \"q\", \"start\": [173.3, 10.6, 22.9], \"segments\": [{\"length\": "   \
    "50}], \"right\": [{\"width\": 3}]}"

Test(scene_json, reads) {
    kn_json_scene scene;
    kn_error error = {0};
    kn_report report = {0};
    cr_assert(
        parse(
            &scene,
            "{\"network\": {\"roads\": [" ROAD "]}, \"ego\": {\"road\": \"r\", \"lane\": -1, \"s\": 10, \"speed\": 12, "
            "\"color\": \"#ff0000\", \"size\": [4, 1.7, 1.4]},"
            "\"actors\": [{\"class\": \"pedestrian\", \"road\": \"r\", \"lane\": -2, \"s\": 20, \"against\": true, "
            "\"speed\": 1}, {\"waypoints\": [{\"x\": 0, \"y\": 0, \"time\": 0}, {\"x\": 30, \"y\": 0, \"time\": 3}]}],"
            "\"weather\": {\"rain\": 0.5, \"hour\": 20, \"sun_elevation\": 5}, \"odd\": 1, \"\": 3}",
            &report, &error),
        "%s", error.message);
    cr_assert_eq(scene.sim.actor_count, 3);
    cr_assert_eq(report.count, 2); /* one has an empty name */
    cr_assert(strstr(report.findings[0].message, "odd"));
    const kn_sim_actor *ego = &scene.sim.actors[0];
    cr_assert(ego->look.is_ego);
    cr_assert_float_eq(ego->look.color[0], 1, 1e-9);
    cr_assert_float_eq(ego->look.length, 4, 1e-9);
    cr_assert_float_eq(ego->pose.translation.y, -1.5, 1e-9);
    cr_assert_lt(scene.sim.actors[1].pose.rotation[0][0], 0);
    cr_assert_gt(scene.sim.weather.wetness, 0.9);
    kn_timeline t;
    kn_scene_params params = KN_SCENE_PARAMS_DEFAULT;
    params.frame_count = 25;
    cr_assert(kn_sim_record(&scene.sim, NULL, NULL, &params, &t, &error));
    cr_assert_float_eq(t.states[24 * 3 + 2].pose.translation.x, 20, 0.1);
    cr_assert_float_eq(t.states[24 * 3].pose.translation.x, 34, 0.01);
    kn_timeline_finish(&t);
    kn_report_finish(&report);
    kn_json_scene_finish(&scene);
}

Test(scene_json, bad_files) {
    static const struct {
        const char *text, *message;
    } cases[] = {{"", "not valid JSON"},
                 {"[]", "JSON object"},
                 {"{}", "\"network\""},
                 {"{\"network\": \"absent.xodr\", \"ego\": {}}", "absent.xodr"},
                 {"{\"network\": {\"roads\": []}}", "1 to"},
                 {"{\"network\": {\"roads\": [{\"segments\": []}]}}", "\"segments\""},
                 {"{\"network\": {\"roads\": [" ROAD "]}}", "\"ego\" is missing"},
                 {"{\"network\": {\"roads\": [" ROAD "]}, \"ego\": {\"lane\": 4}}", "no lane 4"},
                 {"{\"network\": {\"roads\": [" ROAD "]}, \"ego\": {\"s\": 1000}}", "lies beyond"},
                 {"{\"network\": {\"roads\": [" ROAD "]}, \"ego\": {\"speed\": \"fast\"}}", "must be a number"},
                 {"{\"network\": {\"roads\": [" ROAD "]}, \"ego\": {\"class\": \"boat\"}}", "'boat'"},
                 {"{\"generate\": {\"kind\": \"moon\"}}", "'moon'"},
                 {"{\"generate\": {\"kind\": \"town\"}, \"ego\": {}}", "leave those out"}};
    for (size_t i = 0; i < KN_COUNT(cases); i++) {
        kn_json_scene scene;
        kn_error error = {0};
        cr_assert_not(parse(&scene, cases[i].text, NULL, &error), "case %zu", i);
        cr_assert(strstr(error.message, cases[i].message), "case %zu: %s", i, error.message);
    }
}

Test(scene_json, generated_scenes_are_sound) {
    static const char *const kinds[] = {"town", "junction", "rural", "motorway"};
    for (int k = 0; k < 4; k++)
        for (int seed = 20; seed < brief(21, 24); seed++) {
            char path[] = "/tmp/kinora-scene-XXXXXX.json", text[100];
            int file = mkstemps(path, 5);
            cr_assert_geq(file, 0);
            int length =
                snprintf(text, sizeof text, "{\"generate\": {\"kind\": \"%s\", \"seed\": %d}}", kinds[k], seed);
            cr_assert_eq(write(file, text, (size_t)length), length);
            close(file);
            kn_finding *findings;
            size_t count;
            kn_error error = {0};
            kn_scene_params params = KN_SCENE_PARAMS_DEFAULT;
            params.frame_count = 48;
            cr_assert(kn_scene_check(path, &params, &findings, &count, &error), "%s", error.message);
            for (size_t i = 0; i < count; i++)
                cr_assert_not(findings[i].is_error, "%s %d: %s", kinds[k], seed, findings[i].message);
            kn_findings_free(findings);
            unlink(path);
        }
}

Test(scene_json, generation_is_deterministic) {
    kn_json_scene a, b, c;
    kn_error error = {0};
    cr_assert(parse(&a, "{\"generate\": {\"kind\": \"town\", \"seed\": 5}}", NULL, &error));
    cr_assert(parse(&b, "{\"generate\": {\"kind\": \"town\", \"seed\": 5}}", NULL, &error));
    cr_assert(parse(&c, "{\"generate\": {\"kind\": \"town\", \"seed\": 6}}", NULL, &error));
    cr_assert_eq(a.sim.actor_count, b.sim.actor_count);
    for (size_t i = 0; i < a.sim.actor_count; i++) {
        cr_assert_eq(memcmp(&a.sim.actors[i].pose, &b.sim.actors[i].pose, sizeof(kn_pose)), 0);
        cr_assert_eq(memcmp(&a.sim.actors[i].look, &b.sim.actors[i].look, sizeof(kn_actor)), 0);
    }
    cr_assert_eq(a.network.roads[0].length, b.network.roads[0].length);
    cr_assert_neq(a.network.roads[0].length, c.network.roads[0].length);
    kn_json_scene_finish(&a);
    kn_json_scene_finish(&b);
    kn_json_scene_finish(&c);
}

Test(scene_json, labels) {
    kn_scene *scene;
    kn_error error = {0};
    kn_scene_params params = KN_SCENE_PARAMS_DEFAULT;
    params.frame_count = 6;
    params.grow_surroundings = false;
    cr_assert(kn_scene_create(&scene, "samples/drive/town.xosc", &params, NULL, &error), "%s", error.message);
    cr_assert_eq(kn_scene_frame_count(scene), 6);
    double translation[3], rotation[3][3], speed;
    kn_scene_ego_pose(scene, 0, translation, rotation, &speed);
    cr_assert_float_eq(speed, 11.5, 1e-6);
    kn_box boxes[64];
    size_t count = kn_scene_boxes(scene, 3, boxes, 64);
    cr_assert_geq(count, 10);
    for (size_t i = 0; i < count; i++) {
        cr_assert_gt(boxes[i].instance, 0);
        for (size_t k = 0; k < i; k++) cr_assert_neq(boxes[i].instance, boxes[k].instance);
    }
    cr_assert_str_eq(boxes[0].name, "Lead");
    cr_assert_float_eq(hypot(boxes[0].velocity[0], boxes[0].velocity[1]), 11, 0.3);
    cr_assert_float_eq(boxes[0].size[1], 4.5, 1e-9); /* width, length, height */
    cr_assert_eq(kn_scene_boxes(scene, 3, boxes, 2), count);
    char caption[200];
    kn_scene_caption(scene, caption, sizeof caption);
    cr_assert(strstr(caption, "town") && strstr(caption, "day") && strstr(caption, "people"), "%s", caption);
    const kn_map_line *lines;
    size_t line_count = kn_scene_map(scene, &lines);
    int kinds[5] = {0};
    for (size_t i = 0; i < line_count; i++) {
        cr_assert(lines[i].kind >= 0 && lines[i].kind < 5);
        cr_assert_geq(lines[i].point_count, 2);
        kinds[lines[i].kind]++;
    }
    cr_assert(kinds[0] > 0 && kinds[1] > 0 && kinds[2] > 0 && kinds[3] > 0 && kinds[4] > 0);
    kn_scene_destroy(&scene);
    cr_assert_null(scene);
    kn_scene_destroy(&scene);
}

/* The shipped scenarios: they pass the check, and overrides change what they should and nothing else. */
#include "scene/world/scene_load.h"
#include "tests/unit/brief.h"

#include <criterion/criterion.h>
#include <string.h>

static kn_timeline record(const char *path, kn_scene_params params) {
    kn_loaded loaded;
    kn_timeline timeline;
    kn_error error = {0};
    cr_assert(kn_load(&loaded, path, &params, NULL, &error), "%s", error.message);
    cr_assert(kn_loaded_record(&loaded, &timeline, NULL, &error), "%s", error.message);
    kn_loaded_finish(&loaded);
    return timeline;
}

static kn_scene_params frames(size_t count) {
    kn_scene_params params = KN_SCENE_PARAMS_DEFAULT;
    params.frame_count = count;
    return params;
}

static const kn_actor_state *state(const kn_timeline *t, size_t frame, size_t actor) {
    return &t->states[frame * t->actor_count + actor];
}

static double apart(const kn_timeline *a, const kn_timeline *b, size_t frame_a, size_t frame_b, size_t actor) {
    return kn_vec3_length(
        kn_vec3_sub(state(a, frame_a, actor)->pose.translation, state(b, frame_b, actor)->pose.translation));
}

Test(scene_samples, pass_the_check) {
    static const char *const names[] = {"cut-in", "town", "junction", "empty"};
    for (size_t i = 0; i < KN_COUNT(names); i++) {
        char path[100];
        snprintf(path, sizeof path, "samples/drive/%s.xosc", names[i]);
        kn_finding *findings;
        size_t count;
        kn_error error = {0};
        kn_scene_params params = KN_SCENE_PARAMS_DEFAULT;
        cr_assert(kn_scene_check(path, &params, &findings, &count, &error), "%s", error.message);
        for (size_t k = 0; k < count; k++)
            cr_assert_not(findings[k].is_error, "%s:%d: %s", findings[k].file, findings[k].line, findings[k].message);
        kn_findings_free(findings);
    }
}

Test(scene_samples, a_car_cuts_in) {
    kn_timeline t = record("samples/drive/cut-in.xosc", frames(60));
    cr_assert_str_eq(t.actors[1].name, "CutIn");
    kn_pose inverse0 = kn_pose_inverse(&state(&t, 0, 0)->pose), inverse1 = kn_pose_inverse(&state(&t, 40, 0)->pose);
    kn_vec3 before = kn_pose_point(&inverse0, state(&t, 0, 1)->pose.translation),
            after = kn_pose_point(&inverse1, state(&t, 40, 1)->pose.translation);
    cr_assert_lt(before.y, -3);
    cr_assert_gt(before.x, 10);
    cr_assert_lt(fabs(after.y), 1);
    cr_assert_gt(after.x, 8);
    kn_timeline_finish(&t);
}

Test(scene_samples, frame_rate_does_not_matter) {
    kn_scene_params fine = frames(97);
    fine.frame_rate = 24;
    kn_timeline a = record("samples/drive/cut-in.xosc", frames(49)), b = record("samples/drive/cut-in.xosc", fine);
    for (size_t f = 0; f < 49; f++)
        for (size_t k = 0; k < a.actor_count; k++) cr_assert_lt(apart(&a, &b, f, 2 * f, k), 1e-9);
    kn_timeline_finish(&a);
    kn_timeline_finish(&b);
    fine = frames(10);
    fine.start = 1;
    a = record("samples/drive/cut-in.xosc", frames(25)), b = record("samples/drive/cut-in.xosc", fine);
    cr_assert_lt(apart(&a, &b, 12, 0, 1), 1e-9);
    kn_timeline_finish(&a);
    kn_timeline_finish(&b);
}

Test(scene_samples, weather_changes_only_weather_and_lamps) {
    kn_scene_params params = frames(20);
    kn_timeline day = record("samples/drive/cut-in.xosc", params);
    params.weather = KN_WEATHER_RAIN;
    params.time = KN_TIME_DUSK;
    kn_timeline dusk = record("samples/drive/cut-in.xosc", params);
    cr_assert_eq(day.actor_count, dusk.actor_count);
    for (size_t a = 0; a < day.actor_count; a++) {
        cr_assert_eq(memcmp(&day.actors[a], &dusk.actors[a], sizeof(kn_actor)), 0);
        for (size_t f = 0; f < 20; f++)
            cr_assert_eq(memcmp(&state(&day, f, a)->pose, &state(&dusk, f, a)->pose, sizeof(kn_pose)), 0);
    }
    cr_assert_eq(day.weather.rain, 0);
    cr_assert_gt(dusk.weather.rain, 0.3);
    cr_assert_gt(dusk.weather.wetness, 0.5);
    cr_assert_float_eq(dusk.weather.sun_elevation, -2 * M_PI / 180, 1e-9);
    cr_assert_not(state(&day, 5, 1)->lamps & KN_LAMP_HEAD);
    cr_assert(state(&dusk, 5, 1)->lamps & KN_LAMP_HEAD);
    cr_assert(state(&dusk, 5, 1)->lamps & KN_LAMP_TAIL);
    kn_timeline_finish(&day);
    kn_timeline_finish(&dusk);
}

Test(scene_samples, ego_speed) {
    static const double speeds[] = {60 / 3.6, 80 / 3.6};
    kn_timeline base = record("samples/drive/town.xosc", frames(36));
    for (int i = 0; i < 2; i++) {
        kn_scene_params params = frames(36);
        params.ego_speed = speeds[i];
        kn_timeline t = record("samples/drive/town.xosc", params);
        double way = 0;
        for (size_t f = 1; f < 36; f++) {
            way +=
                kn_vec3_length(kn_vec3_sub(state(&t, f, 0)->pose.translation, state(&t, f - 1, 0)->pose.translation));
            cr_assert_float_eq(state(&t, f, 0)->speed, speeds[i], 1e-9);
        }
        cr_assert_float_eq(way, speeds[i] * 35 / 12, 0.03 * way);
        cr_assert_eq(memcmp(t.actors, base.actors, base.actor_count * sizeof(kn_actor)), 0);
        for (size_t a = 1; a < t.actor_count; a++) cr_assert_lt(apart(&t, &base, 30, 30, a), 1e-9);
        kn_timeline_finish(&t);
    }
    kn_timeline_finish(&base);
}

Test(scene_samples, traffic) {
    static const int counts[] = {0, 1, 12};
    static const char *const paths[] = {"samples/drive/cut-in.xosc", "samples/drive/town.xosc",
                                        "samples/drive/junction.xosc"};
    const size_t length = (size_t)brief(6, 72);
    for (size_t s = (size_t)brief(2, 0); s < 3; s++)
        for (int i = brief(2, 0); i < 3; i++) {
            kn_scene_params params = frames(length);
            params.traffic = counts[i];
            params.seed = 7;
            kn_timeline t = record(paths[s], params), again = record(paths[s], params),
                        base = record(paths[s], frames(length));
            cr_assert_eq(t.actor_count, (size_t)counts[i] + 1, "%s with %d: %zu", paths[s], counts[i], t.actor_count);
            cr_assert_eq(memcmp(t.actors, again.actors, t.actor_count * sizeof(kn_actor)), 0);
            cr_assert_eq(memcmp(&t.actors[0].color, &base.actors[0].color, sizeof base.actors[0].color), 0);
            for (size_t f = 0; f < length; f++)
                for (size_t a = 0; a < t.actor_count; a++) {
                    cr_assert(state(&t, f, a)->present);
                    cr_assert_lt(apart(&t, &again, f, f, a), 1e-12);
                    for (size_t b = 0; b < a; b++)
                        cr_assert_not(kn_boxes_overlap(&t.actors[a], &state(&t, f, a)->pose, &t.actors[b],
                                                       &state(&t, f, b)->pose, 0));
                }
            kn_timeline_finish(&t);
            kn_timeline_finish(&again);
            kn_timeline_finish(&base);
        }
}

Test(scene_samples, bad_paths) {
    kn_scene *scene;
    kn_error error = {0};
    kn_scene_params params = KN_SCENE_PARAMS_DEFAULT;
    cr_assert_not(kn_scene_create(&scene, "samples/drive/absent.xosc", &params, NULL, &error));
    cr_assert_null(scene);
    cr_assert(strstr(error.message, "absent.xosc"));
    cr_assert_not(kn_scene_create(&scene, "README.md", &params, NULL, &error));
    cr_assert(strstr(error.message, "expected a scenario"));
    params.frame_rate = 0;
    cr_assert_not(kn_scene_create(&scene, "samples/drive/empty.xosc", &params, NULL, &error));
}

/* The check names road users who overlap and who leave the road, with the line. */
Test(scene_samples, wrong_motion_is_found) {
    static const char text[] =
        "{\"network\": {\"roads\": [{\"segments\": [{\"length\": 300}], \"right\": [{\"width\": 3.5}]}]},"
        "\"ego\": {\"s\": 20, \"speed\": 20}, \"actors\": [{\"name\": \"wall\", \"s\": 60, \"speed\": 0},"
        "{\"name\": \"stray\", \"x\": 100, \"y\": 30, \"speed\": 5}]}";
    kn_json_scene scene;
    kn_error error = {0};
    kn_report report = {0};
    kn_timeline t;
    kn_scene_params params = frames(60);
    cr_assert(kn_json_scene_parse(&scene, "wrong.json", text, strlen(text), 1, &report, &error), "%s", error.message);
    cr_assert(kn_sim_record(&scene.sim, NULL, NULL, &params, &t, &error));
    kn_check_motion(&scene.sim, &t, &report);
    bool overlap = false, stray = false;
    for (size_t i = 0; i < report.count; i++) {
        overlap |= strstr(report.findings[i].message, "'ego' and 'wall' overlap") != NULL;
        stray |= strstr(report.findings[i].message, "'stray' leaves the drivable surface") != NULL;
        cr_assert_str_eq(report.findings[i].file, "wrong.json");
    }
    cr_assert(overlap && stray);
    kn_report_finish(&report);
    kn_timeline_finish(&t);
    kn_json_scene_finish(&scene);
}

/* Half a clip is half of the clip: weather, indicators, traffic, whatever comes before or after. */
Test(scene_samples, start_and_length_change_nothing) {
    static const char *const paths[] = {"samples/drive/cut-in.xosc", "samples/drive/town.xosc"};
    for (size_t s = 0; s < KN_COUNT(paths); s++) {
        kn_scene_params whole = frames(48), half = frames(12);
        whole.traffic = half.traffic = s ? 6 : -1;
        half.start = 2;
        kn_timeline a = record(paths[s], whole), b = record(paths[s], half);
        cr_assert_eq(a.actor_count, b.actor_count);
        cr_assert_eq(memcmp(a.actors, b.actors, a.actor_count * sizeof *a.actors), 0);
        for (size_t f = 0; f < 12; f++) {
            cr_assert_eq(memcmp(kn_timeline_weather(&a, 24 + f), kn_timeline_weather(&b, f), sizeof(kn_weather)), 0);
            for (size_t k = 0; k < a.actor_count; k++) {
                cr_assert_lt(apart(&a, &b, 24 + f, f, k), 1e-9);
                cr_assert_eq(state(&a, 24 + f, k)->lamps, state(&b, f, k)->lamps, "%s: %s at frame %zu", paths[s],
                             a.actors[k].name, f);
            }
        }
        kn_timeline_finish(&a);
        kn_timeline_finish(&b);
    }
}

/* Metres and seconds between somebody and who drives behind him on the same lane at the start. */
Test(scene_samples, nobody_spawns_on_a_bumper) {
    for (uint64_t seed = 0; seed < (uint64_t)brief(3, 12); seed++) {
        kn_scene_params params = frames(6);
        params.traffic = 12;
        params.seed = seed;
        kn_timeline t = record("samples/drive/town.xosc", params);
        for (size_t a = 0; a < t.actor_count; a++)
            for (size_t b = 0; b < t.actor_count; b++) {
                kn_pose to_b = kn_pose_inverse(&state(&t, 0, b)->pose);
                kn_vec3 at = kn_pose_point(&to_b, state(&t, 0, a)->pose.translation);
                bool behind = at.x < 0 && fabs(at.y) < 1.8 &&
                              state(&t, 0, a)->pose.rotation[0][0] * state(&t, 0, b)->pose.rotation[0][0] +
                                      state(&t, 0, a)->pose.rotation[1][0] * state(&t, 0, b)->pose.rotation[1][0] >
                                  .7;
                if (a == b || !behind || at.x < -80) continue;
                double gap =
                    kn_box_distance(&t.actors[a], &state(&t, 0, a)->pose, &t.actors[b], &state(&t, 0, b)->pose);
                cr_expect_geq(gap, 1.0 * state(&t, 0, a)->speed, "seed %d: %s is %.2f m behind %s at %.1f m/s",
                              (int)seed, t.actors[a].name, gap, t.actors[b].name, state(&t, 0, a)->speed);
            }
        kn_timeline_finish(&t);
    }
}

/* A traffic that finds no room says so. */
Test(scene_samples, fewer_vehicles_are_named) {
    kn_scene_params params = frames(6);
    params.traffic = 200;
    kn_loaded loaded;
    kn_timeline timeline;
    kn_error error = {0};
    kn_report report = {0};
    cr_assert(kn_load(&loaded, "samples/drive/cut-in.xosc", &params, NULL, &error), "%s", error.message);
    cr_assert(kn_loaded_record(&loaded, &timeline, &report, &error), "%s", error.message);
    cr_assert_lt(timeline.actor_count, 201);
    char expected[60];
    snprintf(expected, sizeof expected, "only %zu of 200 traffic vehicles", timeline.actor_count - 1);
    cr_assert_eq(report.count, 1);
    cr_assert(strstr(report.findings[0].message, expected), "%s", report.findings[0].message);
    kn_report_finish(&report);
    kn_timeline_finish(&timeline);
    kn_loaded_finish(&loaded);
}

static size_t findings_with(const char *path, const kn_scene_params *params, const char *word) {
    kn_finding *findings;
    size_t count, found = 0;
    kn_error error = {0};
    cr_assert(kn_scene_check(path, params, &findings, &count, &error), "%s", error.message);
    for (size_t i = 0; i < count; i++) found += findings[i].is_error && strstr(findings[i].message, word);
    kn_findings_free(findings);
    return found;
}

/* What check calls an error, a scene knows as well. */
Test(scene_samples, a_scene_knows_what_check_finds) {
    kn_scene_params params = frames(12);
    params.start = 2;
    params.ego_speed = 80 / 3.6;
    params.grow_surroundings = false;
    cr_assert_eq(findings_with("samples/drive/town.xosc", &params, "overlap"), 1);
    kn_scene *scene;
    kn_error error = {0};
    cr_assert(kn_scene_create(&scene, "samples/drive/town.xosc", &params, NULL, &error), "%s", error.message);
    const kn_finding *findings;
    size_t count = kn_scene_findings(scene, &findings), overlaps = 0;
    for (size_t i = 0; i < count; i++) overlaps += findings[i].is_error && strstr(findings[i].message, "overlap");
    cr_assert_eq(overlaps, 1);
    kn_scene_destroy(&scene);
}

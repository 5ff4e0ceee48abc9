/* The tables as nuscenes-devkit reads them: every check here mirrors what NuScenes.__init__ and its reverse indexing
 * do. */
#include "pipelines/common/journal.h"
#include "pipelines/drive/nuscenes.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static char folder[64];
static const char *const table_names[] = {
    "attribute", "calibrated_sensor", "category",    "ego_pose", "instance", "log",       "map",
    "sample",    "sample_annotation", "sample_data", "scene",    "sensor",   "visibility"};
enum { TABLES = 13 };
static json_t *tables[TABLES], *indices[TABLES];

static void make_folder(void) {
    strcpy(folder, "/tmp/kinora-nuscenes-XXXXXX");
    cr_assert(mkdtemp(folder) != NULL);
}

static void remove_folder(void) { cr_assert(kn_remove_tree(folder, NULL)); }

TestSuite(nuscenes, .init = make_folder, .fini = remove_folder);

static int table_index(const char *name) {
    for (int i = 0; i < TABLES; i++)
        if (strcmp(table_names[i], name) == 0) return i;
    cr_assert_fail("table %s", name);
    return -1;
}

static json_t *get(const char *table, const char *token) {
    json_t *record = json_object_get(indices[table_index(table)], token);
    cr_assert_not_null(record, "%s: no record %s", table, token);
    return record;
}

static const char *text(json_t *record, const char *key) {
    const char *value = json_string_value(json_object_get(record, key));
    cr_assert_not_null(value, "%s is absent or no string", key);
    return value;
}

static void load_tables(void) {
    for (int i = 0; i < TABLES; i++) {
        char path[200];
        json_error_t error;
        snprintf(path, sizeof path, "%s/%s/%s.json", folder, KN_NUSCENES_VERSION, table_names[i]);
        tables[i] = json_load_file(path, 0, &error);
        cr_assert(json_is_array(tables[i]), "%s: %s (line %d)", path, error.text, error.line);
        indices[i] = json_object();
        size_t k;
        json_t *record;
        json_array_foreach(tables[i], k, record) {
            const char *token = text(record, "token");
            bool visibility = strcmp(table_names[i], "visibility") == 0;
            cr_assert(visibility || (strlen(token) == 32 && strspn(token, "0123456789abcdef") == 32), "%s", token);
            cr_assert_null(json_object_get(indices[i], token), "%s: token twice", table_names[i]);
            json_object_set(indices[i], token, record);
        }
    }
}

static void free_tables(void) {
    for (int i = 0; i < TABLES; i++) {
        json_decref(tables[i]);
        json_decref(indices[i]);
    }
}

/* prev and next of a table are each other's inverse, and following next from the first one reaches all `expected`. */
static size_t walk(const char *table, const char *first) {
    size_t count = 0;
    char previous[40] = "";
    for (const char *token = first; *token; count++) {
        json_t *record = get(table, token);
        cr_assert_str_eq(text(record, "prev"), previous, "%s %s", table, token);
        snprintf(previous, sizeof previous, "%s", token);
        token = text(record, "next");
        cr_assert_lt(count, 100000u);
    }
    return count;
}

static void check_sample_data(size_t frames, size_t cameras) {
    json_t *list = tables[table_index("sample_data")], *record;
    size_t i, chains = 0;
    cr_assert_eq(json_array_size(list), frames * cameras);
    json_array_foreach(list, i, record) {
        json_t *sensor =
            get("sensor", text(get("calibrated_sensor", text(record, "calibrated_sensor_token")), "sensor_token"));
        json_t *pose = get("ego_pose", text(record, "ego_pose_token")),
               *sample = get("sample", text(record, "sample_token"));
        cr_assert_eq(json_integer_value(json_object_get(pose, "timestamp")),
                     json_integer_value(json_object_get(record, "timestamp")));
        const char *file = text(record, "filename");
        bool key = json_is_true(json_object_get(record, "is_key_frame"));
        cr_assert_eq(strncmp(file, key ? "samples/" : "sweeps/", key ? 8 : 7), 0, "%s", file);
        cr_assert_not_null(strstr(file, text(sensor, "channel")));
        long long apart = llabs(json_integer_value(json_object_get(sample, "timestamp")) -
                                json_integer_value(json_object_get(record, "timestamp")));
        cr_assert_leq(apart, key ? 0 : 300000, "a sweep %lld us from its sample", apart);
        if (key) { /* the devkit fills sample['data'][channel] */
            json_t *data = json_object_get(sample, "data");
            if (!data) {
                data = json_object();
                json_object_set_new(sample, "data", data);
            }
            cr_assert_null(json_object_get(data, text(sensor, "channel")), "two key frames of one channel in a sample");
            json_object_set_new(data, text(sensor, "channel"), json_string(text(record, "token")));
        }
        if (!*text(record, "prev")) {
            chains++;
            cr_assert_eq(walk("sample_data", text(record, "token")), frames);
        }
    }
    cr_assert_eq(chains, cameras);
    json_array_foreach(tables[table_index("sample")], i, record)
        cr_assert_eq(json_object_size(json_object_get(record, "data")), cameras);
}

static void check_annotations(void) {
    size_t i, k, chained = 0;
    json_t *record, *attribute;
    json_array_foreach(tables[table_index("sample_annotation")], i, record) {
        get("sample", text(record, "sample_token"));
        get("category", text(get("instance", text(record, "instance_token")), "category_token"));
        get("visibility", text(record, "visibility_token"));
        json_array_foreach(json_object_get(record, "attribute_tokens"), k, attribute)
            get("attribute", json_string_value(attribute));
        json_t *q = json_object_get(record, "rotation");
        double norm = 0;
        for (size_t n = 0; n < 4; n++) norm += pow(json_number_value(json_array_get(q, n)), 2);
        cr_assert_float_eq(norm, 1, 1e-6);
        cr_assert_eq(json_array_size(json_object_get(record, "translation")), 3u);
        cr_assert_eq(json_array_size(json_object_get(record, "size")), 3u);
        cr_assert(json_is_integer(json_object_get(record, "num_lidar_pts")) &&
                  json_is_integer(json_object_get(record, "num_radar_pts")));
    }
    json_array_foreach(tables[table_index("instance")], i, record) {
        size_t count = walk("sample_annotation", text(record, "first_annotation_token"));
        cr_assert_eq((json_int_t)count, json_integer_value(json_object_get(record, "nbr_annotations")));
        json_t *last = get("sample_annotation", text(record, "last_annotation_token"));
        cr_assert_str_eq(text(last, "next"), "");
        cr_assert_str_eq(text(last, "instance_token"), text(record, "token"));
        chained += count;
    }
    cr_assert_eq(chained, json_array_size(tables[table_index("sample_annotation")]));
}

static void check_scene(size_t samples) {
    size_t i;
    json_t *record, *scene = json_array_get(tables[table_index("scene")], 0);
    cr_assert_eq(json_array_size(tables[table_index("scene")]), 1u);
    get("log", text(scene, "log_token"));
    cr_assert_eq(walk("sample", text(scene, "first_sample_token")), samples);
    cr_assert_eq(json_integer_value(json_object_get(scene, "nbr_samples")), (json_int_t)samples);
    cr_assert_str_eq(text(get("sample", text(scene, "last_sample_token")), "next"), "");
    json_array_foreach(tables[table_index("sample")], i, record)
        cr_assert_str_eq(text(record, "scene_token"), text(scene, "token"));
    json_t *map = json_array_get(tables[table_index("map")], 0);
    cr_assert_str_eq(json_string_value(json_array_get(json_object_get(map, "log_tokens"), 0)),
                     text(scene, "log_token"));
    cr_assert_eq(strncmp(text(map, "filename"), "maps/", 5), 0);
}

static bool write_clip(const kn_nuscenes_params *params, kn_error *error) {
    kn_nuscenes *writer = NULL;
    bool ok = kn_nuscenes_create(&writer, params, error);
    for (size_t f = 0; ok && f < params->frame_count; f++) {
        double t = (double)f * params->rate.den / params->rate.num;
        kn_box boxes[4] = {{.instance = 1, .is_ego = true, .rotation = {1, 0, 0, 0}},
                           {.instance = 2,
                            .kind = KN_ACTOR_CAR,
                            .translation = {20 + 12 * t, 3, 1},
                            .rotation = {.6, 0, 0, .8},
                            .size = {2, 4, 1.5},
                            .is_moving = true},
                           {.instance = 3,
                            .kind = KN_ACTOR_PEDESTRIAN,
                            .translation = {10, 8, 1},
                            .rotation = {1, 0, 0, 0},
                            .size = {.6, .6, 1.8}},
                           {.instance = 4,
                            .kind = KN_ACTOR_CONE,
                            .translation = {30, 8, .4},
                            .rotation = {1, 0, 0, 0},
                            .size = {.4, .4, .8},
                            .is_parked = true}};
        /* The pedestrian goes away and comes back: its chain of annotations must span the gap. */
        size_t count = 4;
        if (t > .8 && t < 1.7) boxes[2] = boxes[--count];
        kn_frame_facts facts = {.frame = f,
                                .ego_translation = {10 * t, 0, 0},
                                .ego_rotation = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}},
                                .boxes = boxes,
                                .box_count = count};
        kn_box_2d seen[2] = {{.instance = 2, .visible_pixels = 50, .box_pixels = 100, .occluded_pixels = 50},
                             {.instance = 4, .visible_pixels = 9, .box_pixels = 10}};
        ok = kn_nuscenes_add(writer, &facts, seen, 2, (const uint32_t[]){9, 8, 7, 6}, error);
    }
    ok = ok && kn_nuscenes_commit(writer, error);
    kn_nuscenes_destroy(&writer);
    return ok;
}

static kn_nuscenes_params clip_params(const kn_rig *rig, kn_rational rate, size_t frames) {
    return (kn_nuscenes_params){.folder = folder,
                                .job = "job",
                                .scene_name = "scene-test",
                                .description = "A \"test\" with \\ and \xc3\xa4 and \xff",
                                .rig = rig,
                                .rate = rate,
                                .frame_count = frames,
                                .origin = {-100, -200},
                                .reach = 120};
}

Test(nuscenes, references_hold) {
    static const struct {
        kn_rational rate;
        size_t frames, samples;
    } cases[] = {{{12, 1}, 31, 6}, {{24000, 1001}, 50, 5}, {{25, 2}, 26, 5}, {{1, 1}, 4, 4}, {{12, 1}, 1, 1}};
    for (size_t i = 0; i < KN_COUNT(cases); i++) {
        kn_rig rig;
        kn_error error = {0};
        kn_rig_init_nuscenes(&rig, 400, 224);
        kn_nuscenes_params params = clip_params(&rig, cases[i].rate, cases[i].frames);
        params.lidar = i % 2 == 1;
        cr_assert(write_clip(&params, &error), "%s", error.message);
        load_tables();
        check_sample_data(cases[i].frames, 6 + params.lidar);
        check_annotations();
        check_scene(cases[i].samples);
        free_tables();
    }
}

Test(nuscenes, values_are_right) {
    kn_rig rig;
    kn_error error = {0};
    kn_rig_init_nuscenes(&rig, 400, 224);
    kn_nuscenes_params params = clip_params(&rig, (kn_rational){12, 1}, 31);
    cr_assert(write_clip(&params, &error), "%s", error.message);
    load_tables();
    cr_assert_eq(json_array_size(tables[table_index("instance")]), 3u); /* not the ego */
    size_t i, cars = 0;
    json_t *record;
    json_array_foreach(tables[table_index("sample_annotation")], i, record) {
        const char *category =
            text(get("category", text(get("instance", text(record, "instance_token")), "category_token")), "name");
        const char *attribute = json_string_value(json_array_get(json_object_get(record, "attribute_tokens"), 0));
        long long stamp = json_integer_value(json_object_get(get("sample", text(record, "sample_token")), "timestamp"));
        double t = (double)(stamp - 1700000000000000ll) * 1e-6;
        if (strcmp(category, "vehicle.car") == 0) {
            cr_assert_float_eq(json_number_value(json_array_get(json_object_get(record, "translation"), 0)),
                               120 + 12 * t, 1e-4);
            cr_assert_float_eq(json_number_value(json_array_get(json_object_get(record, "translation"), 1)), 203, 1e-6);
            cr_assert_str_eq(text(record, "visibility_token"), "2");
            cr_assert_eq(json_integer_value(json_object_get(record, "num_lidar_pts")), 8);
            cr_assert_str_eq(text(get("attribute", attribute), "name"), "vehicle.moving");
            cars++;
        } else if (strcmp(category, "movable_object.trafficcone") == 0) {
            cr_assert_str_eq(text(record, "visibility_token"), "4");
            cr_assert_null(attribute);
        } else {
            cr_assert_str_eq(category, "human.pedestrian.adult");
            cr_assert_str_eq(text(record, "visibility_token"), "1");
            cr_assert_str_eq(text(get("attribute", attribute), "name"), "pedestrian.standing");
        }
    }
    cr_assert_eq(cars, 6u);
    free_tables();
}

Test(nuscenes, broken_runs_leave_no_tables) {
    kn_rig rig;
    kn_error error = {0};
    kn_rig_init_nuscenes(&rig, 40, 24);
    kn_nuscenes_params params = clip_params(&rig, (kn_rational){12, 1}, 3);
    kn_nuscenes *writer = NULL;
    cr_assert(kn_nuscenes_create(&writer, &params, &error));
    cr_assert_not(kn_nuscenes_commit(writer, &error)); /* frames are missing */
    kn_nuscenes_destroy(&writer);
    char path[200];
    snprintf(path, sizeof path, "%s/%s/sample.json", folder, KN_NUSCENES_VERSION);
    cr_assert_not(kn_file_exists(path));
    for (uint64_t n = 1; n < 400; n++) {
        error = (kn_error){0};
        kn_alloc_fail_after(n);
        bool ok = write_clip(&params, &error);
        kn_alloc_fail_after(0);
        if (ok) return;
        cr_assert_eq(error.kind, KN_ERROR_MEMORY, "%s", error.message);
    }
    cr_assert_fail("never succeeded");
}

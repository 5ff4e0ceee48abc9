#include "pipelines/drive/nuscenes_internal.h"

#include "base/vecmath.h"

#include <string.h>

const char *const kn_table_names[KN_TABLE_COUNT] = {
    "attribute", "calibrated_sensor", "category",    "ego_pose", "instance", "log",        "map",
    "sample",    "sample_annotation", "sample_data", "scene",    "sensor",   "visibility", "lidarseg",
};

/* nuScenes' own names, so that its tools' class mappings work. */
static const char *const attributes[][2] = {
    {"vehicle.moving", "Vehicle is moving."},
    {"vehicle.stopped", "Vehicle, with a driver, is stationary but intends to move."},
    {"vehicle.parked", "Vehicle is stationary for a longer time."},
    {"cycle.with_rider", "There is a rider on the cycle."},
    {"cycle.without_rider", "There is no rider on the cycle."},
    {"pedestrian.moving", "The human is moving."},
    {"pedestrian.standing", "The human is standing."},
    {"pedestrian.sitting_lying_down", "The human is sitting or lying down."},
};

/* In lidarseg's order, whose numbers its colours and mappings count on. */
static const char *const categories[] = {
    "noise",
    "animal",
    "human.pedestrian.adult",
    "human.pedestrian.child",
    "human.pedestrian.construction_worker",
    "human.pedestrian.personal_mobility",
    "human.pedestrian.police_officer",
    "human.pedestrian.stroller",
    "human.pedestrian.wheelchair",
    "movable_object.barrier",
    "movable_object.debris",
    "movable_object.pushable_pullable",
    "movable_object.trafficcone",
    "static_object.bicycle_rack",
    "vehicle.bicycle",
    "vehicle.bus.bendy",
    "vehicle.bus.rigid",
    "vehicle.car",
    "vehicle.construction",
    "vehicle.emergency.ambulance",
    "vehicle.emergency.police",
    "vehicle.motorcycle",
    "vehicle.trailer",
    "vehicle.truck",
    "flat.driveable_surface",
    "flat.other",
    "flat.sidewalk",
    "flat.terrain",
    "static.manmade",
    "static.other",
    "static.vegetation",
    "vehicle.ego",
};

int kn_nuscenes_category_index(const char *name) {
    for (size_t i = 0; i < KN_COUNT(categories); i++)
        if (strcmp(categories[i], name) == 0) return (int)i;
    return 0;
}

const kn_nuscenes_mount kn_nuscenes_lidar_mount = {{.943713, 0, 1.84023}, {{0, 1, 0}, {-1, 0, 0}, {0, 0, 1}}};

static const char *const visibilities[] = {"v0-40", "v40-60", "v60-80", "v80-100"};

kn_token kn_nuscenes_token(const char *job, const char *kind, uint64_t a, uint64_t b) {
    char text[256], hex[65];
    kn_token token;
    int length =
        snprintf(text, sizeof text, "%.100s|%.100s|%llu|%llu", job, kind, (unsigned long long)a, (unsigned long long)b);
    kn_sha256_hex(text, (size_t)length, hex);
    memcpy(token.text, hex, 32);
    token.text[32] = 0;
    return token;
}

/* Length of the valid UTF-8 sequence at `text` (no overlong forms, no surrogates), 0 when it is invalid. */
static int utf8_length(const unsigned char *text) {
    int length = text[0] >= 0xf0 && text[0] < 0xf5   ? 4
                 : text[0] >= 0xe0 && text[0] < 0xf0 ? 3
                 : text[0] >= 0xc2 && text[0] < 0xe0 ? 2
                                                     : 0;
    for (int i = 1; i < length; i++)
        if ((text[i] & 0xc0) != 0x80) return 0;
    if ((text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xed && text[1] > 0x9f)) return 0;
    if ((text[0] == 0xf0 && text[1] < 0x90) || (text[0] == 0xf4 && text[1] > 0x8f)) return 0;
    return length;
}

void kn_json_string(FILE *stream, const char *text) {
    fputc('"', stream);
    for (const unsigned char *p = (const unsigned char *)text; *p;) {
        int length = *p < 0x80 ? 1 : utf8_length(p);
        if (*p == '"' || *p == '\\') fprintf(stream, "\\%c", *p);
        else if (*p < 0x20 || *p == 0x7f) fprintf(stream, "\\u%04x", *p);
        else if (length == 0) fputs("\\ufffd", stream);
        else fwrite(p, 1, (size_t)length, stream);
        p += length > 0 ? length : 1;
    }
    fputc('"', stream);
}

bool kn_nuscenes_attribute(const char *job, const kn_box *box, kn_token *token) {
    int index;
    switch (box->kind) {
    case KN_ACTOR_CAR:
    case KN_ACTOR_VAN:
    case KN_ACTOR_TRUCK:
    case KN_ACTOR_BUS:
    case KN_ACTOR_TRAILER: index = box->is_parked ? 2 : box->is_moving ? 0 : 1; break;
    case KN_ACTOR_MOTORBIKE:
    case KN_ACTOR_BICYCLE: index = box->is_parked ? 4 : 3; break;
    case KN_ACTOR_PEDESTRIAN: index = box->is_moving ? 5 : 6; break;
    default: return false;
    }
    *token = kn_nuscenes_token(job, "attribute", (uint64_t)index, 0);
    return true;
}

static void write_vocabulary(kn_nuscenes *writer, const char *job) {
    for (size_t i = 0; i < KN_COUNT(attributes); i++)
        fprintf(kn_nuscenes_record(writer, KN_TABLE_ATTRIBUTE),
                "{\"token\": \"%s\", \"name\": \"%s\", \"description\": \"%s\"}",
                kn_nuscenes_token(job, "attribute", i, 0).text, attributes[i][0], attributes[i][1]);
    for (size_t i = 0; i < KN_COUNT(categories); i++)
        fprintf(kn_nuscenes_record(writer, KN_TABLE_CATEGORY),
                "{\"token\": \"%s\", \"name\": \"%s\", \"description\": \"nuScenes category %s\", \"index\": %zu}",
                kn_nuscenes_token(job, categories[i], 0, 0).text, categories[i], categories[i], i);
    static const char *const ranges[] = {"0 and 40%", "40 and 60%", "60 and 80%", "80 and 100%"};
    for (size_t i = 0; i < KN_COUNT(visibilities); i++)
        fprintf(
            kn_nuscenes_record(writer, KN_TABLE_VISIBILITY),
            "{\"token\": \"%zu\", \"level\": \"%s\", \"description\": \"visibility of whole object is between %s\"}",
            i + 1, visibilities[i], ranges[i]);
}

static void write_lidar(kn_nuscenes *writer, const char *job, uint64_t index) {
    const kn_nuscenes_mount *m = &kn_nuscenes_lidar_mount;
    kn_pose pose = kn_pose_identity();
    memcpy(pose.rotation, m->rotation, sizeof pose.rotation);
    double q[4];
    kn_pose_quaternion(&pose, q);
    kn_token sensor = kn_nuscenes_token(job, "sensor", index, 0);
    fprintf(kn_nuscenes_record(writer, KN_TABLE_SENSOR),
            "{\"token\": \"%s\", \"channel\": \"LIDAR_TOP\", \"modality\": \"lidar\"}", sensor.text);
    fprintf(kn_nuscenes_record(writer, KN_TABLE_CALIBRATED_SENSOR),
            "{\"token\": \"%s\", \"sensor_token\": \"%s\", \"translation\": [%.9g, %.9g, %.9g], \"rotation\": "
            "[%.12g, %.12g, %.12g, %.12g], \"camera_intrinsic\": []}",
            kn_nuscenes_token(job, "calibrated_sensor", index, 0).text, sensor.text, m->translation[0],
            m->translation[1], m->translation[2], q[0], q[1], q[2], q[3]);
}

static void write_sensors(kn_nuscenes *writer, const char *job, const kn_rig *rig) {
    for (int i = 0; i < rig->camera_count; i++) {
        const kn_camera *camera = &rig->cameras[i];
        kn_token sensor = kn_nuscenes_token(job, "sensor", (uint64_t)i, 0);
        FILE *stream = kn_nuscenes_record(writer, KN_TABLE_SENSOR);
        fprintf(stream, "{\"token\": \"%s\", \"channel\": ", sensor.text);
        kn_json_string(stream, camera->name);
        fputs(", \"modality\": \"camera\"}", stream);
        kn_pose pose = kn_pose_identity();
        memcpy(pose.rotation, camera->rotation, sizeof pose.rotation);
        double q[4];
        kn_pose_quaternion(&pose, q);
        fprintf(kn_nuscenes_record(writer, KN_TABLE_CALIBRATED_SENSOR),
                "{\"token\": \"%s\", \"sensor_token\": \"%s\", \"translation\": [%.9g, %.9g, %.9g], \"rotation\": "
                "[%.12g, %.12g, %.12g, %.12g], "
                "\"camera_intrinsic\": [[%.9g, %.9g, %.9g], [%.9g, %.9g, %.9g], [%.9g, %.9g, %.9g]]}",
                kn_nuscenes_token(job, "calibrated_sensor", (uint64_t)i, 0).text, sensor.text, camera->translation[0],
                camera->translation[1], camera->translation[2], q[0], q[1], q[2], q[3], camera->k[0][0],
                camera->k[0][1], camera->k[0][2], camera->k[1][0], camera->k[1][1], camera->k[1][2], camera->k[2][0],
                camera->k[2][1], camera->k[2][2]);
    }
}

void kn_nuscenes_fixed_tables(kn_nuscenes *writer, const kn_nuscenes_params *params, size_t sample_count) {
    const char *job = params->job;
    write_vocabulary(writer, job);
    write_sensors(writer, job, params->rig);
    if (params->lidar) write_lidar(writer, job, (uint64_t)params->rig->camera_count);
    kn_token log = kn_nuscenes_token(job, "log", 0, 0);
    FILE *stream = kn_nuscenes_record(writer, KN_TABLE_LOG);
    fprintf(stream, "{\"token\": \"%s\", \"logfile\": ", log.text);
    kn_json_string(stream, params->scene_name);
    fputs(", \"vehicle\": \"kinora\", \"date_captured\": \"2023-11-14\", \"location\": ", stream);
    kn_json_string(stream, params->scene_name);
    fputc('}', stream);
    char map[64];
    kn_nuscenes_map_name(params, map, sizeof map);
    fprintf(kn_nuscenes_record(writer, KN_TABLE_MAP),
            "{\"category\": \"semantic_prior\", \"token\": \"%s\", \"filename\": \"%s\", \"log_tokens\": [\"%s\"]}",
            kn_nuscenes_token(job, "map", 0, 0).text, map, log.text);
    stream = kn_nuscenes_record(writer, KN_TABLE_SCENE);
    fprintf(stream,
            "{\"token\": \"%s\", \"log_token\": \"%s\", \"nbr_samples\": %zu, \"first_sample_token\": \"%s\", "
            "\"last_sample_token\": \"%s\", \"name\": ",
            kn_nuscenes_token(job, "scene", 0, 0).text, log.text, sample_count,
            kn_nuscenes_token(job, "sample", 0, 0).text, kn_nuscenes_token(job, "sample", sample_count - 1, 0).text);
    kn_json_string(stream, params->scene_name);
    fputs(", \"description\": ", stream);
    kn_json_string(stream, params->description);
    fputc('}', stream);
}

void kn_nuscenes_map_name(const kn_nuscenes_params *params, char *name, size_t size) {
    snprintf(name, size, "maps/%s.png", kn_nuscenes_token(params->job, "map", 0, 0).text);
}

FILE *kn_nuscenes_record(kn_nuscenes *w, kn_table table) {
    FILE *stream = w->tables[table].stream;
    fputs(w->begun[table] ? ",\n" : "[\n", stream);
    w->begun[table] = true;
    return stream;
}

bool kn_nuscenes_commit_tables(kn_file_writer tables[KN_TABLE_COUNT], const bool begun[KN_TABLE_COUNT],
                               kn_error *error) {
    bool ok = true;
    for (int i = 0; ok && i < KN_TABLE_COUNT; i++) {
        if (i == KN_TABLE_LIDARSEG && !begun[i]) continue; /* nuscenes-devkit looks for its files when it is there */
        fputs(begun[i] ? "\n]\n" : "[]\n", tables[i].stream);
        ok = kn_file_writer_commit(&tables[i], error);
    }
    return ok;
}

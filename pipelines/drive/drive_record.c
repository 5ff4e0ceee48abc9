#include "pipelines/drive/drive_internal.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

int kn_drive_outputs(const kn_drive_job *job, char names[][96]) {
    int count = 0;
    const char *extension = kn_codec_extension(job->params.codec);
    for (int i = 0; i < job->rig.camera_count; i++)
        snprintf(names[count++], 96, "%s%s", job->rig.cameras[i].name, extension);
    snprintf(names[count++], 96, "surround%s", extension);
    snprintf(names[count++], 96, "bev%s", extension);
    snprintf(names[count++], 96, "nuscenes");
    snprintf(names[count++], 96, "labels");
    snprintf(names[count++], 96, "preview.jpg");
    return count;
}

static json_t *text_or_null(const char *text) {
    json_t *value = text ? json_string(text) : json_null();
    return value ? value : json_null(); /* text that is not UTF-8 */
}

/* JSON's integers end at 2^63: larger seeds are text. */
static json_t *seed_record(uint64_t seed) {
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)seed);
    return seed <= INT64_MAX ? json_integer((json_int_t)seed) : json_string(text);
}

static json_t *rig_record(const kn_rig *rig) {
    json_t *cameras = json_array();
    for (int i = 0; i < rig->camera_count; i++) {
        const kn_camera *c = &rig->cameras[i];
        json_t *k = json_array(), *r = json_array();
        for (int row = 0; row < 3; row++) {
            json_array_append_new(k, json_pack("[fff]", c->k[row][0], c->k[row][1], c->k[row][2]));
            json_array_append_new(r, json_pack("[fff]", c->rotation[row][0], c->rotation[row][1], c->rotation[row][2]));
        }
        json_array_append_new(cameras, json_pack("{ss si si so s[fff] so}", "name", c->name, "width", c->width,
                                                 "height", c->height, "K", k, "translation", c->translation[0],
                                                 c->translation[1], c->translation[2], "rotation", r));
    }
    return json_pack("{so}", "cameras", cameras);
}

static const char *weather_name(kn_weather_override w) {
    static const char *const names[] = {NULL, "clear", "overcast", "rain", "fog"};
    return w <= KN_WEATHER_FOG ? names[w] : NULL;
}

static const char *time_name(kn_time_override t) {
    static const char *const names[] = {NULL, "day", "dusk", "night"};
    return t <= KN_TIME_NIGHT ? names[t] : NULL;
}

static json_t *overrides_record(const kn_scene_params *o) {
    json_t *record = json_object();
    json_object_set_new(record, "weather", text_or_null(weather_name(o->weather)));
    json_object_set_new(record, "time", text_or_null(time_name(o->time)));
    json_object_set_new(record, "traffic", o->traffic >= 0 ? json_integer(o->traffic) : json_null());
    json_object_set_new(record, "ego_speed_kmh", o->ego_speed > 0 ? json_real(o->ego_speed * 3.6) : json_null());
    json_object_set_new(record, "start", json_real(o->start));
    json_object_set_new(record, "surroundings", json_boolean(o->grow_surroundings));
    json_object_set_new(record, "parameters", text_or_null(o->parameters));
    json_object_set_new(record, "variation", json_integer(o->variation));
    return record;
}

static json_t *controls_record(const kn_drive_params *p) {
    json_t *list = json_array();
    for (int i = 0; i < p->control_count; i++) {
        json_t *entry = json_object();
        json_object_set_new(entry, "kind", text_or_null(p->controls[i].kind));
        json_object_set_new(entry, "model", text_or_null(p->controls[i].model));
        json_object_set_new(entry, "strength", json_real(p->controls[i].strength));
        json_array_append_new(list, entry);
    }
    return list;
}

static json_t *loras_record(const kn_drive_params *p) {
    json_t *list = json_array();
    for (int i = 0; i < p->lora_count; i++) {
        json_t *entry = json_object();
        json_object_set_new(entry, "model", text_or_null(p->loras[i].path));
        json_object_set_new(entry, "strength", json_real((double)p->loras[i].strength));
        json_array_append_new(list, entry);
    }
    return list;
}

static json_t *sampler_record(const kn_drive_job *job) {
    const kn_drive_params *p = &job->params;
    if (p->source != KN_DRIVE_SAMPLER) return json_null();
    json_t *record = json_object();
    json_object_set_new(record, "model", text_or_null(p->model));
    json_object_set_new(record, job->model_hash_partial ? "model_sha256_of_ends" : "model_sha256",
                        text_or_null(job->model_hash));
    json_object_set_new(record, "prompt", text_or_null(job->prompt));
    json_object_set_new(record, "negative", text_or_null(p->negative));
    if (p->control_count > 0) json_object_set_new(record, "controls", controls_record(p));
    if (p->lora_count > 0) json_object_set_new(record, "loras", loras_record(p));
    json_object_set_new(record, "look", json_string(p->look == KN_LOOK_PHOTO ? "photo" : "render"));
    json_object_set_new(record, "strength", json_real(p->strength));
    json_object_set_new(record, "appearance", seed_record(p->appearance));
    json_object_set_new(record, "steps", p->steps > 0 ? json_integer(p->steps) : json_null());
    json_object_set_new(record, "guidance", p->guidance >= 0 ? json_real(p->guidance) : json_null());
    json_object_set_new(record, "chunk_frames", json_integer((json_int_t)job->chunk_frames));
    json_object_set_new(record, "anchored_noise", json_boolean(!p->no_anchored_noise));
    json_object_set_new(record, "locked_sampling", json_boolean(!p->no_locked_sampling));
    json_object_set_new(record, "multi_view", json_boolean(!p->no_multi_view));
    json_object_set_new(record, "temporal", json_boolean(!p->no_temporal));
    return record;
}

static json_t *labels_record(unsigned labels) {
    static const char *const names[] = {"depth", "semantic", "instance", "depth_exr"};
    json_t *list = json_array();
    for (int i = 0; i < 4; i++)
        if (labels >> i & 1) json_array_append_new(list, json_string(names[i]));
    return list;
}

/* What kn_scene_check says of this clip. */
static json_t *findings_record(const kn_drive_job *job) {
    const kn_finding *findings;
    size_t count = kn_scene_findings(job->scene, &findings);
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, json_pack("{ss so si so}", "severity", findings[i].is_error ? "error" : "warning",
                                              "file", text_or_null(findings[i].file), "line", findings[i].line,
                                              "message", text_or_null(findings[i].message)));
    return list;
}

/* What was logged as a warning while the job ran: what was left out, cut off or not understood. */
static json_t *warnings_record(const kn_drive_job *job) {
    json_t *list = json_array();
    for (size_t i = 0; i < job->warning_count; i++) json_array_append_new(list, text_or_null(job->warnings[i]));
    return list;
}

static json_t *make_record(const kn_drive_job *job) {
    static const char *const sources[] = {"sampler", "beauty", "control"};
    const kn_drive_params *p = &job->params;
    const kn_drive_report *r = &job->report;
    json_t *outputs = json_array(), *root = json_object();
    char names[KN_DRIVE_MAX_OUTPUTS][96];
    int count = kn_drive_outputs(job, names);
    for (int i = 0; i < count; i++) json_array_append_new(outputs, json_string(names[i]));
    json_object_set_new(root, "kinora", json_string(KINORA_VERSION));
    json_object_set_new(root, "verb", json_string("drive"));
    json_object_set_new(root, "job", json_string(job->hash));
    json_object_set_new(root, "command", text_or_null(p->command));
    json_object_set_new(root, "scene", json_pack("{so ss}", "path", text_or_null(p->scene), "sha256", job->scene_hash));
    json_object_set_new(root, "seed", seed_record(p->seed));
    json_object_set_new(root, "frames", json_integer((json_int_t)job->frame_count));
    json_object_set_new(root, "frame_rate", json_pack("[ii]", p->rate.num, p->rate.den));
    json_object_set_new(root, "overrides", overrides_record(&p->overrides));
    json_object_set_new(root, "source", json_string(sources[p->source]));
    json_object_set_new(root, "sampler", sampler_record(job));
    json_object_set_new(root, "codec", json_string(kn_codec_name(p->codec)));
    json_object_set_new(root, "labels", labels_record(p->labels));
    json_object_set_new(root, "lidar", json_boolean(p->lidar));
    json_object_set_new(root, "rig", rig_record(&job->rig));
    json_object_set_new(root, "device",
                        json_pack("{ss ss ss}", "name", kn_gpu_get_info(job->gpu)->name, "driver",
                                  kn_gpu_get_info(job->gpu)->driver, "tuning_sha256", job->tuning_hash));
    json_object_set_new(root, "nuscenes_origin", json_pack("[ff]", job->origin[0], job->origin[1]));
    json_object_set_new(root, "nuscenes_map_resolution", json_real(job->map_resolution));
    json_object_set_new(root, "findings", findings_record(job));
    /* null: an earlier life of the job rendered everything */
    json_object_set_new(root, "lamps_left_out",
                        job->renderer ? json_integer((json_int_t)kn_renderer_lights_left_out(job->renderer))
                                      : json_null());
    json_object_set_new(root, "warnings", warnings_record(job));
    json_object_set_new(root, "warnings_left_out", json_integer((json_int_t)job->warnings_left_out));
    json_object_set_new(root, "seconds",
                        json_pack("{sf sf sf sf sf sf}", "setup", r->setup, "render", r->render, "sample", r->sample,
                                  "segments", r->segments, "finish", r->finish, "total", kn_now() - job->started));
    json_object_set_new(root, "resumed_frames", json_integer((json_int_t)r->resumed_frames));
    json_object_set_new(root, "outputs", outputs);
    return root;
}

bool kn_drive_write_record(kn_drive_job *job, kn_error *error) {
    json_t *root = make_record(job);
    char *text = root ? json_dumps(root, JSON_INDENT(2) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(12)) : NULL;
    char *path = kn_path_join(job->params.output, "job.json", error);
    bool ok = path != NULL;
    if (ok && !text) ok = kn_fail(error, KN_ERROR_MEMORY, "%s: out of memory", path);
    ok = ok && kn_file_write(path, text, strlen(text), error);
    kn_free(path);
    free(text);
    json_decref(root);
    return ok;
}

/* A name that stays inside the output folder. */
static bool plain_name(const char *name) { return *name && *name != '.' && !strchr(name, '/') && strlen(name) < 96; }

bool kn_drive_read_record(const char *path, char hash[65], char names[][96], int capacity, int *count) {
    json_t *root = json_load_file(path, 0, NULL);
    const char *job = json_string_value(json_object_get(root, "job"));
    bool ok = job && strlen(job) == 64;
    *count = 0;
    if (ok) snprintf(hash, 65, "%s", job);
    size_t i;
    json_t *entry;
    json_array_foreach(json_object_get(root, "outputs"), i, entry) {
        const char *name = json_string_value(entry);
        if (ok && name && plain_name(name) && *count < capacity) snprintf(names[(*count)++], 96, "%s", name);
    }
    json_decref(root);
    return ok;
}

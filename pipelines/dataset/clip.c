#include "pipelines/dataset/clip.h"

#include "base/base.h"
#include "pipelines/drive/nuscenes_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const kn_clip_categories[KN_CLIP_CATEGORIES] = {"human.pedestrian.adult",
                                                            "human.pedestrian.child",
                                                            "human.pedestrian.wheelchair",
                                                            "human.pedestrian.stroller",
                                                            "human.pedestrian.personal_mobility",
                                                            "human.pedestrian.police_officer",
                                                            "human.pedestrian.construction_worker",
                                                            "animal",
                                                            "vehicle.car",
                                                            "vehicle.motorcycle",
                                                            "vehicle.bicycle",
                                                            "vehicle.bus.bendy",
                                                            "vehicle.bus.rigid",
                                                            "vehicle.truck",
                                                            "vehicle.construction",
                                                            "vehicle.emergency.ambulance",
                                                            "vehicle.emergency.police",
                                                            "vehicle.trailer",
                                                            "movable_object.barrier",
                                                            "movable_object.trafficcone",
                                                            "movable_object.pushable_pullable",
                                                            "movable_object.debris",
                                                            "static_object.bicycle_rack"};

int kn_clip_category(const char *name) {
    for (int i = 0; name && i < KN_CLIP_CATEGORIES; i++)
        if (strcmp(kn_clip_categories[i], name) == 0) return i;
    return -1;
}

static json_t *load(const kn_clip *clip, const char *name, kn_error *error) {
    json_error_t problem;
    char *path = kn_path_join(clip->folder, name, error);
    json_t *root = path ? json_load_file(path, 0, &problem) : NULL;
    if (path && !root) kn_fail(error, KN_ERROR_INPUT, "%s: line %d: %s", path, problem.line, problem.text);
    kn_free(path);
    return root;
}

static json_t *load_table(const kn_clip *clip, const char *table, kn_error *error) {
    char name[100];
    snprintf(name, sizeof name, "nuscenes/v1.0-kinora/%s.json", table);
    json_t *root = load(clip, name, error);
    if (root && !json_is_array(root)) {
        kn_fail(error, KN_ERROR_INPUT, "%s/%s: expected a list of records", clip->folder, name);
        json_decref(root);
        return NULL;
    }
    return root;
}

static const char *text_of(const json_t *record, const char *key) {
    const char *text = json_string_value(json_object_get(record, key));
    return text ? text : "";
}

static void read_numbers(const json_t *list, double *out, size_t count) {
    for (size_t i = 0; i < count; i++) out[i] = json_number_value(json_array_get(list, i));
}

static kn_pose read_pose(const json_t *record) {
    double t[3], q[4];
    read_numbers(json_object_get(record, "translation"), t, 3);
    read_numbers(json_object_get(record, "rotation"), q, 4);
    return kn_pose_from_quaternion((kn_vec3){t[0], t[1], t[2]}, q);
}

/* --- job.json -------------------------------------------------------------------------------------------------------
 */

static bool read_camera(kn_camera *camera, const json_t *value) {
    snprintf(camera->name, sizeof camera->name, "%s", text_of(value, "name"));
    camera->width = (int)json_integer_value(json_object_get(value, "width"));
    camera->height = (int)json_integer_value(json_object_get(value, "height"));
    for (size_t row = 0; row < 3; row++) {
        read_numbers(json_array_get(json_object_get(value, "K"), row), camera->k[row], 3);
        read_numbers(json_array_get(json_object_get(value, "rotation"), row), camera->rotation[row], 3);
    }
    read_numbers(json_object_get(value, "translation"), camera->translation, 3);
    return camera->name[0] && !strchr(camera->name, '/') && camera->width > 0 && camera->height > 0 &&
           camera->width <= 8192 && camera->height <= 8192;
}

static bool read_job(kn_clip *clip, kn_error *error) {
    if (!(clip->job = load(clip, "job.json", error))) return false;
    const json_t *cameras = json_object_get(json_object_get(clip->job, "rig"), "cameras"),
                 *rate = json_object_get(clip->job, "frame_rate");
    double parts[2];
    json_int_t frames = json_integer_value(json_object_get(clip->job, "frames"));
    read_numbers(rate, parts, 2);
    clip->rate = parts[0] / parts[1];
    bool ok = frames > 0 && frames <= 1000000 && clip->rate > 0 && isfinite(clip->rate) &&
              json_array_size(cameras) > 0 && json_array_size(cameras) <= KN_RIG_MAX_CAMERAS;
    for (size_t i = 0; ok && i < json_array_size(cameras); i++)
        ok = read_camera(&clip->rig.cameras[i], json_array_get(cameras, i));
    if (!ok) return kn_fail(error, KN_ERROR_INPUT, "%s/job.json: not the record of a drive job", clip->folder);
    clip->rig.camera_count = (int)json_array_size(cameras);
    clip->frame_count = (size_t)frames;
    size_t pictures = clip->frame_count * (size_t)clip->rig.camera_count;
    return (clip->files = kn_alloc(pictures, sizeof *clip->files, error)) &&
           (clip->is_key = kn_alloc(clip->frame_count, 1, error)) &&
           (clip->ego = kn_alloc(clip->frame_count, sizeof *clip->ego, error)) &&
           (clip->time = kn_alloc(clip->frame_count, sizeof *clip->time, error));
}

/* --- tables ---------------------------------------------------------------------------------------------------------
 */

static int camera_index(const kn_clip *clip, const char *name, size_t length) {
    for (int i = 0; i < clip->rig.camera_count; i++)
        if (strlen(clip->rig.cameras[i].name) == length && memcmp(clip->rig.cameras[i].name, name, length) == 0)
            return i;
    return -1;
}

/* A record of sample_data: "samples/CAM_FRONT/..." at a time. What is no picture of the rig is left out. */
static bool read_picture(kn_clip *clip, const json_t *record, const json_t *poses, kn_error *error) {
    const char *file = text_of(record, "filename"), *slash = strchr(file, '/'),
               *end = slash ? strchr(slash + 1, '/') : NULL;
    int camera = end ? camera_index(clip, slash + 1, (size_t)(end - slash - 1)) : -1;
    long long time = json_integer_value(json_object_get(record, "timestamp"));
    long frame = lround((double)(time - KN_NUSCENES_TIME_ORIGIN) * 1e-6 * clip->rate);
    if (camera < 0) return true;
    if (frame < 0 || (size_t)frame >= clip->frame_count || strstr(file, ".."))
        return kn_fail(error, KN_ERROR_INPUT, "%s/nuscenes: sample_data names %s, which is no picture of this clip",
                       clip->folder, file);
    char **place = &clip->files[(size_t)frame * (size_t)clip->rig.camera_count + (size_t)camera];
    kn_free(*place);
    if (!(*place = kn_strdup(file, error))) return false;
    clip->is_key[frame] = json_is_true(json_object_get(record, "is_key_frame"));
    clip->time[frame] = time;
    const json_t *pose = json_object_get(poses, text_of(record, "ego_pose_token"));
    if (!pose) return kn_fail(error, KN_ERROR_INPUT, "%s/nuscenes: %s has no ego pose", clip->folder, file);
    clip->ego[frame] = read_pose(pose);
    return true;
}

/* token -> record, for look-ups. */
static json_t *index_table(const json_t *table) {
    json_t *index = json_object(), *record;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)table, i, record) json_object_set(index, text_of(record, "token"), record);
    return index;
}

static bool read_pictures(kn_clip *clip, kn_error *error) {
    json_t *data = load_table(clip, "sample_data", error), *poses = data ? load_table(clip, "ego_pose", error) : NULL,
           *record;
    json_t *index = poses ? index_table(poses) : NULL;
    bool ok = index != NULL;
    size_t i;
    json_array_foreach(ok ? data : NULL, i, record) ok = ok && read_picture(clip, record, index, error);
    size_t pictures = clip->frame_count * (size_t)clip->rig.camera_count;
    for (i = 0; ok && i < pictures; i++)
        if (!clip->files[i])
            ok = kn_fail(error, KN_ERROR_INPUT, "%s/nuscenes: a picture of frame %zu is missing in sample_data",
                         clip->folder, i / (size_t)clip->rig.camera_count);
    json_decref(data);
    json_decref(poses);
    json_decref(index);
    return ok;
}

/* The frame of a sample: that of its time. */
static size_t frame_of_sample(const kn_clip *clip, const json_t *sample) {
    long frame = lround((double)(json_integer_value(json_object_get(sample, "timestamp")) - KN_NUSCENES_TIME_ORIGIN) *
                        1e-6 * clip->rate);
    return frame >= 0 && (size_t)frame < clip->frame_count ? (size_t)frame : 0;
}

typedef struct indices {
    json_t *samples, *annotations, *categories, *ids; /* by token; ids: instance token -> id in the label images */
} indices;

static void read_annotation(kn_clip *clip, kn_clip_annotation *a, const json_t *record, const indices *by) {
    const json_t *sample = json_object_get(by->samples, text_of(record, "sample_token"));
    const json_t *next = json_object_get(by->annotations, text_of(record, "next")),
                 *id = json_object_get(by->ids, text_of(record, "instance_token"));
    *a = (kn_clip_annotation){
        .frame = frame_of_sample(clip, sample), .pose = read_pose(record), .speed = NAN, .instance = -1};
    a->centre = a->pose.translation;
    a->category =
        kn_clip_category(json_string_value(json_object_get(by->categories, text_of(record, "instance_token"))));
    if (id) a->instance = (int)json_integer_value(id);
    read_numbers(json_object_get(record, "size"), a->size, 3);
    a->lidar_points = (int)json_integer_value(json_object_get(record, "num_lidar_pts"));
    a->visibility = atoi(text_of(record, "visibility_token"));
    kn_vec3 from = clip->ego[a->frame].translation;
    a->distance = hypot(a->centre.x - from.x, a->centre.y - from.y);
    if (next) {
        kn_vec3 to = read_pose(next).translation;
        size_t later = frame_of_sample(clip, json_object_get(by->samples, text_of(next, "sample_token")));
        if (later > a->frame)
            a->speed = kn_vec3_length(kn_vec3_sub(to, a->centre)) * clip->rate / (double)(later - a->frame);
    }
}

/* instance token -> name of its category. */
static json_t *index_categories(const json_t *instances, const json_t *categories) {
    json_t *names = index_table(categories), *out = json_object(), *record;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)instances, i, record)
        json_object_set(out, text_of(record, "token"),
                        json_object_get(json_object_get(names, text_of(record, "category_token")), "name"));
    json_decref(names);
    return out;
}

static json_t *index_ids(const kn_clip *clip) {
    json_t *ids = json_object();
    const char *hash = text_of(clip->job, "job");
    for (size_t i = 0; i < clip->box_count; i++)
        json_object_set_new(ids, kn_nuscenes_token(hash, "instance", (uint64_t)clip->boxes[i].instance, 0).text,
                            json_integer(clip->boxes[i].instance));
    return ids;
}

static bool read_annotations(kn_clip *clip, kn_error *error) {
    json_t *table = load_table(clip, "sample_annotation", error),
           *samples = table ? load_table(clip, "sample", error) : NULL, *record;
    json_t *instances = samples ? load_table(clip, "instance", error) : NULL,
           *categories = instances ? load_table(clip, "category", error) : NULL;
    bool ok = categories && (clip->annotations = kn_alloc(json_array_size(table), sizeof *clip->annotations, error));
    if (ok) {
        indices by = {index_table(samples), index_table(table), index_categories(instances, categories),
                      index_ids(clip)};
        size_t i;
        json_array_foreach(table, i, record)
            read_annotation(clip, &clip->annotations[clip->annotation_count++], record, &by);
        json_decref(by.samples);
        json_decref(by.annotations);
        json_decref(by.categories);
        json_decref(by.ids);
    }
    json_decref(table);
    json_decref(samples);
    json_decref(instances);
    json_decref(categories);
    return ok;
}

static bool read_boxes(kn_clip *clip, kn_error *error) {
    json_t *root = load(clip, "labels/boxes_2d.json", error), *list = json_object_get(root, "boxes"), *record;
    size_t i;
    bool ok = root && (clip->boxes = kn_alloc(json_array_size(list), sizeof *clip->boxes, error));
    json_array_foreach(ok ? list : NULL, i, record) {
        const char *camera = text_of(record, "camera");
        kn_clip_box *b = &clip->boxes[clip->box_count];
        *b = (kn_clip_box){.frame = (size_t)json_integer_value(json_object_get(record, "frame")),
                           .camera = camera_index(clip, camera, strlen(camera)),
                           .instance = (int)json_integer_value(json_object_get(record, "instance")),
                           .category = kn_clip_category(text_of(record, "category")),
                           .visible_pixels = (long)json_integer_value(json_object_get(record, "visible_pixels")),
                           .occlusion = json_number_value(json_object_get(record, "occlusion"))};
        read_numbers(json_object_get(record, "amodal"), b->amodal, 4);
        read_numbers(json_object_get(record, "visible"), b->visible, 4);
        if (b->camera >= 0 && b->category >= 0 && b->frame < clip->frame_count) clip->box_count++;
    }
    json_decref(root);
    return ok;
}

/* --- whole ----------------------------------------------------------------------------------------------------------
 */

bool kn_clip_init(kn_clip *clip, const char *folder, const char *name, kn_error *error) {
    *clip = (kn_clip){.name = name, .folder = kn_strdup(folder, error)};
    bool ok = clip->folder && read_job(clip, error) && read_pictures(clip, error) && read_boxes(clip, error) &&
              read_annotations(clip, error);
    if (!ok) kn_clip_finish(clip);
    return ok;
}

void kn_clip_finish(kn_clip *clip) {
    for (size_t i = 0; clip->files && i < clip->frame_count * (size_t)clip->rig.camera_count; i++)
        kn_free(clip->files[i]);
    kn_free(clip->files);
    kn_free(clip->is_key);
    kn_free(clip->ego);
    kn_free(clip->time);
    kn_free(clip->annotations);
    kn_free(clip->boxes);
    kn_free(clip->folder);
    json_decref(clip->job);
    *clip = (kn_clip){0};
}

char *kn_clip_label(const kn_clip *clip, const char *kind, size_t frame, int camera, kn_error *error) {
    return kn_format(error, "%s/labels/%s/%s/%05zu.png", clip->folder, kind, clip->rig.cameras[camera].name, frame);
}

bool kn_clip_has(const kn_clip *clip, const char *kind) {
    size_t i;
    json_t *label;
    json_array_foreach(json_object_get(clip->job, "labels"), i,
                       label) if (json_is_string(label) && strcmp(json_string_value(label), kind) == 0) return true;
    return false;
}

char *kn_clip_picture(const kn_clip *clip, size_t frame, int camera, kn_error *error) {
    return kn_format(error, "%s/nuscenes/%s", clip->folder,
                     clip->files[frame * (size_t)clip->rig.camera_count + (size_t)camera]);
}

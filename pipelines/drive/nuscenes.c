#include "pipelines/drive/nuscenes.h"

#include "base/vecmath.h"
#include "pipelines/drive/nuscenes_internal.h"

#include <math.h>
#include <string.h>

static double rate_of(kn_rational rate) { return (double)rate.num / rate.den; }

/* The frame of the j-th key frame: the one nearest to j / 2 seconds; every frame below 2 frames/s. */
static size_t key_frame(kn_rational rate, size_t j) {
    double step = fmax(rate_of(rate) / 2, 1);
    return (size_t)floor((double)j * step + .5);
}

/* The number of key frames before `frame`. */
static size_t keys_before(kn_rational rate, size_t frame) {
    size_t j = (size_t)((double)frame / fmax(rate_of(rate) / 2, 1));
    while (j > 0 && key_frame(rate, j - 1) >= frame) j--;
    while (key_frame(rate, j) < frame) j++;
    return j;
}

bool kn_nuscenes_is_key(kn_rational rate, size_t frame) { return key_frame(rate, keys_before(rate, frame)) == frame; }

/* The sample that a frame belongs to: that of the nearest key frame. */
static size_t sample_of(const kn_nuscenes *w, size_t frame) {
    size_t next = keys_before(w->params.rate, frame);
    if (next == 0) return 0;
    if (next >= w->sample_count) return w->sample_count - 1;
    size_t after = key_frame(w->params.rate, next) - frame, before = frame - key_frame(w->params.rate, next - 1);
    return after <= before ? next : next - 1;
}

static long long timestamp(kn_rational rate, size_t frame) {
    return KN_NUSCENES_TIME_ORIGIN + llround((double)frame * 1e6 * rate.den / rate.num);
}

void kn_nuscenes_file_name(const kn_nuscenes_params *params, size_t frame, int camera, char *name, size_t size) {
    const char *channel = params->rig->cameras[camera].name;
    snprintf(name, size, "%s/%s/%s__%s__%lld.jpg", kn_nuscenes_is_key(params->rate, frame) ? "samples" : "sweeps",
             channel, params->scene_name, channel, timestamp(params->rate, frame));
}

void kn_nuscenes_lidar_name(const kn_nuscenes_params *params, size_t frame, char *name, size_t size) {
    snprintf(name, size, "%s/LIDAR_TOP/%s__LIDAR_TOP__%lld.pcd.bin",
             kn_nuscenes_is_key(params->rate, frame) ? "samples" : "sweeps", params->scene_name,
             timestamp(params->rate, frame));
}

/* LIDAR_TOP comes after the cameras. */
static kn_token lidar_data_token(const kn_nuscenes_params *params, size_t frame) {
    return kn_nuscenes_token(params->job, "sample_data", frame, (uint64_t)params->rig->camera_count);
}

void kn_nuscenes_lidarseg_name(const kn_nuscenes_params *params, size_t frame, char *name, size_t size) {
    snprintf(name, size, "lidarseg/%s/%s_lidarseg.bin", KN_NUSCENES_VERSION, lidar_data_token(params, frame).text);
}

bool kn_nuscenes_create(kn_nuscenes **writer, const kn_nuscenes_params *params, kn_error *error) {
    *writer = NULL;
    if (params->frame_count == 0 || params->rig->camera_count < 1)
        return kn_fail(error, KN_ERROR_INPUT, "nuScenes tables need at least one frame and one camera");
    kn_nuscenes *w = kn_alloc(1, sizeof *w, error);
    if (!w) return false;
    w->params = *params;
    w->sample_count = keys_before(params->rate, params->frame_count);
    char *folder = kn_path_join(params->folder, KN_NUSCENES_VERSION, error),
         *maps = kn_path_join(params->folder, "maps", error);
    bool ok = folder && maps && kn_make_directories(folder, error) && kn_make_directories(maps, error);
    for (int i = 0; ok && i < KN_TABLE_COUNT; i++) {
        char *path = kn_format(error, "%s/%s.json", folder, kn_table_names[i]);
        ok = path && kn_file_writer_init(&w->tables[i], path, error);
        kn_free(path);
    }
    kn_free(folder);
    kn_free(maps);
    if (ok) kn_nuscenes_fixed_tables(w, params, w->sample_count);
    else kn_nuscenes_destroy(&w);
    *writer = w;
    return ok;
}

static void write_pose(kn_nuscenes *w, const kn_frame_facts *facts, int camera) {
    kn_pose pose = kn_pose_identity();
    memcpy(pose.rotation, facts->ego_rotation, sizeof pose.rotation);
    double q[4];
    kn_pose_quaternion(&pose, q);
    fprintf(kn_nuscenes_record(w, KN_TABLE_EGO_POSE),
            "{\"token\": \"%s\", \"timestamp\": %lld, \"rotation\": [%.12g, %.12g, %.12g, %.12g], \"translation\": "
            "[%.9g, %.9g, %.9g]}",
            kn_nuscenes_token(w->params.job, "ego_pose", facts->frame, (uint64_t)camera).text,
            timestamp(w->params.rate, facts->frame), q[0], q[1], q[2], q[3],
            facts->ego_translation[0] - w->params.origin[0], facts->ego_translation[1] - w->params.origin[1],
            facts->ego_translation[2]);
}

static void write_sample_data(kn_nuscenes *w, size_t frame, int camera) {
    const char *job = w->params.job;
    uint64_t c = (uint64_t)camera;
    char file[300];
    bool is_lidar = camera == w->params.rig->camera_count;
    const kn_camera *view = &w->params.rig->cameras[is_lidar ? 0 : camera];
    if (is_lidar) kn_nuscenes_lidar_name(&w->params, frame, file, sizeof file);
    else kn_nuscenes_file_name(&w->params, frame, camera, file, sizeof file);
    FILE *stream = kn_nuscenes_record(w, KN_TABLE_SAMPLE_DATA);
    fprintf(stream,
            "{\"token\": \"%s\", \"sample_token\": \"%s\", \"ego_pose_token\": \"%s\", \"calibrated_sensor_token\": "
            "\"%s\", \"timestamp\": %lld, "
            "\"fileformat\": \"%s\", \"is_key_frame\": %s, \"height\": %d, \"width\": %d, \"filename\": ",
            kn_nuscenes_token(job, "sample_data", frame, c).text,
            kn_nuscenes_token(job, "sample", sample_of(w, frame), 0).text,
            kn_nuscenes_token(job, "ego_pose", frame, c).text, kn_nuscenes_token(job, "calibrated_sensor", c, 0).text,
            timestamp(w->params.rate, frame), is_lidar ? "pcd" : "jpg",
            kn_nuscenes_is_key(w->params.rate, frame) ? "true" : "false", is_lidar ? 0 : view->height,
            is_lidar ? 0 : view->width);
    kn_json_string(stream, file);
    fprintf(stream, ", \"prev\": \"%s\", \"next\": \"%s\"}",
            frame > 0 ? kn_nuscenes_token(job, "sample_data", frame - 1, c).text : "",
            frame + 1 < w->params.frame_count ? kn_nuscenes_token(job, "sample_data", frame + 1, c).text : "");
}

static void write_lidarseg(kn_nuscenes *w, size_t frame) {
    char file[100];
    kn_token data = lidar_data_token(&w->params, frame);
    kn_nuscenes_lidarseg_name(&w->params, frame, file, sizeof file);
    fprintf(kn_nuscenes_record(w, KN_TABLE_LIDARSEG),
            "{\"token\": \"%s\", \"sample_data_token\": \"%s\", \"filename\": \"%s\"}", data.text, data.text, file);
}

static void write_sample(kn_nuscenes *w, size_t frame, size_t sample) {
    const char *job = w->params.job;
    fprintf(kn_nuscenes_record(w, KN_TABLE_SAMPLE),
            "{\"token\": \"%s\", \"timestamp\": %lld, \"prev\": \"%s\", \"next\": \"%s\", \"scene_token\": \"%s\"}",
            kn_nuscenes_token(job, "sample", sample, 0).text, timestamp(w->params.rate, frame),
            sample > 0 ? kn_nuscenes_token(job, "sample", sample - 1, 0).text : "",
            sample + 1 < w->sample_count ? kn_nuscenes_token(job, "sample", sample + 1, 0).text : "",
            kn_nuscenes_token(job, "scene", 0, 0).text);
}

static kn_token annotation_token(const kn_nuscenes *w, size_t sample, int instance) {
    return kn_nuscenes_token(w->params.job, "sample_annotation", sample, (uint64_t)instance);
}

static void write_annotation(kn_nuscenes *w, const kn_nuscenes_track *track, const char *next) {
    const char *job = w->params.job;
    const kn_box *b = &track->box;
    kn_token attribute;
    bool has_attribute = kn_nuscenes_attribute(job, b, &attribute);
    FILE *stream = kn_nuscenes_record(w, KN_TABLE_SAMPLE_ANNOTATION);
    fprintf(stream,
            "{\"token\": \"%s\", \"sample_token\": \"%s\", \"instance_token\": \"%s\", \"visibility_token\": \"%d\", "
            "\"attribute_tokens\": [",
            annotation_token(w, track->last_sample, track->instance).text,
            kn_nuscenes_token(job, "sample", track->last_sample, 0).text,
            kn_nuscenes_token(job, "instance", (uint64_t)track->instance, 0).text, track->visibility);
    if (has_attribute) fprintf(stream, "\"%s\"", attribute.text);
    fprintf(stream,
            "], \"translation\": [%.9g, %.9g, %.9g], \"size\": [%.6g, %.6g, %.6g], \"rotation\": [%.12g, %.12g, %.12g, "
            "%.12g], "
            "\"prev\": \"%s\", \"next\": \"%s\", \"num_lidar_pts\": %u, \"num_radar_pts\": 0}",
            b->translation[0], b->translation[1], b->translation[2], b->size[0], b->size[1], b->size[2], b->rotation[0],
            b->rotation[1], b->rotation[2], b->rotation[3], track->previous.text, next, track->lidar_points);
}

static kn_nuscenes_track *find_track(kn_nuscenes *w, const kn_box *box, kn_error *error) {
    for (size_t i = 0; i < w->track_count; i++)
        if (w->tracks[i].instance == box->instance) return &w->tracks[i];
    if (!kn_grow(&w->tracks, &w->track_capacity, w->track_count + 1, sizeof *w->tracks, error)) return NULL;
    kn_nuscenes_track *track = &w->tracks[w->track_count++];
    *track = (kn_nuscenes_track){.instance = box->instance, .kind = box->kind};
    return track;
}

/* Share of the box's pixels over all cameras that nothing else covers, as nuScenes' level 1..4. */
static int visibility_level(int instance, const kn_box_2d *boxes, size_t count) {
    uint64_t all = 0, covered = 0, visible = 0;
    for (size_t i = 0; i < count; i++)
        if (boxes[i].instance == instance) {
            all += boxes[i].box_pixels;
            covered += boxes[i].occluded_pixels;
            visible += boxes[i].visible_pixels;
        }
    if (all == 0 || visible == 0) return 1;
    double share = 1 - (double)covered / (double)all;
    return share < .4 ? 1 : share < .6 ? 2 : share < .8 ? 3 : 4;
}

static bool annotate(kn_nuscenes *w, const kn_frame_facts *facts, size_t sample, const kn_box_2d *boxes_2d,
                     size_t count, const uint32_t *lidar_points, kn_error *error) {
    for (size_t i = 0; i < facts->box_count; i++) {
        const kn_box *box = &facts->boxes[i];
        double dx = box->translation[0] - facts->ego_translation[0],
               dy = box->translation[1] - facts->ego_translation[1];
        if (box->is_ego || hypot(dx, dy) > w->params.reach) continue;
        kn_nuscenes_track *track = find_track(w, box, error);
        if (!track) return false;
        kn_token token = annotation_token(w, sample, box->instance);
        if (track->annotation_count == 0) {
            track->first = token;
        } else {
            write_annotation(w, track, token.text);
            track->previous = annotation_token(w, track->last_sample, track->instance);
        }
        track->box = *box;
        for (int d = 0; d < 2; d++) track->box.translation[d] -= w->params.origin[d];
        track->lidar_points = lidar_points ? lidar_points[i] : 0;
        track->visibility = visibility_level(box->instance, boxes_2d, count);
        track->last_sample = sample;
        track->annotation_count++;
    }
    return true;
}

bool kn_nuscenes_add(kn_nuscenes *w, const kn_frame_facts *facts, const kn_box_2d *boxes_2d, size_t box_2d_count,
                     const uint32_t *lidar_points, kn_error *error) {
    if (facts->frame != w->frame_count || facts->frame >= w->params.frame_count)
        return kn_fail(error, KN_ERROR_INTERNAL, "nuScenes frame %zu out of order", facts->frame);
    for (int c = 0; c < w->params.rig->camera_count + w->params.lidar; c++) {
        write_pose(w, facts, c);
        write_sample_data(w, facts->frame, c);
    }
    w->frame_count++;
    if (!kn_nuscenes_is_key(w->params.rate, facts->frame)) return true;
    size_t sample = keys_before(w->params.rate, facts->frame);
    write_sample(w, facts->frame, sample);
    if (w->params.lidar) write_lidarseg(w, facts->frame);
    return annotate(w, facts, sample, boxes_2d, box_2d_count, lidar_points, error);
}

bool kn_nuscenes_commit(kn_nuscenes *w, kn_error *error) {
    if (w->frame_count != w->params.frame_count)
        return kn_fail(error, KN_ERROR_INTERNAL, "nuScenes tables got %zu of %zu frames", w->frame_count,
                       w->params.frame_count);
    for (size_t i = 0; i < w->track_count; i++) {
        const kn_nuscenes_track *track = &w->tracks[i];
        write_annotation(w, track, "");
        fprintf(kn_nuscenes_record(w, KN_TABLE_INSTANCE),
                "{\"token\": \"%s\", \"category_token\": \"%s\", \"nbr_annotations\": %zu, \"first_annotation_token\": "
                "\"%s\", \"last_annotation_token\": \"%s\"}",
                kn_nuscenes_token(w->params.job, "instance", (uint64_t)track->instance, 0).text,
                kn_nuscenes_token(w->params.job, kn_category_name(track->kind), 0, 0).text, track->annotation_count,
                track->first.text, annotation_token(w, track->last_sample, track->instance).text);
    }
    return kn_nuscenes_commit_tables(w->tables, w->begun, error);
}

void kn_nuscenes_destroy(kn_nuscenes **writer) {
    kn_nuscenes *w = *writer;
    if (!w) return;
    for (int i = 0; i < KN_TABLE_COUNT; i++) kn_file_writer_finish(&w->tables[i]);
    kn_free(w->tracks);
    kn_free(w);
    *writer = NULL;
}

#include "pipelines/dataset/formats.h"

#include <math.h>
#include <string.h>

static const char *kitti_type(int category) {
    static const char *const types[][2] = {{"human.pedestrian", "Pedestrian"}, {"vehicle.car", "Car"},
                                           {"vehicle.truck", "Truck"},         {"vehicle.motorcycle", "Cyclist"},
                                           {"vehicle.bicycle", "Cyclist"},     {"vehicle.emergency", "Car"}};
    const char *name = category >= 0 ? kn_clip_categories[category] : "";
    for (size_t i = 0; i < KN_COUNT(types); i++)
        if (strncmp(types[i][0], name, strlen(types[i][0])) == 0) return types[i][1];
    return "Misc";
}

static kn_pose camera_to_world(const kn_clip *clip, size_t frame, const kn_camera *camera) {
    kn_pose pose = {.translation = {camera->translation[0], camera->translation[1], camera->translation[2]}};
    memcpy(pose.rotation, camera->rotation, sizeof pose.rotation);
    return kn_pose_multiply(&clip->ego[frame], &pose);
}

/* The share of the box's rectangle that lies outside the picture; 1 when a corner is behind the camera. */
static double truncation(const kn_camera *camera, const kn_pose *world_to_camera, const kn_clip_annotation *a,
                         const double clipped[4]) {
    double low[2] = {INFINITY, INFINITY}, high[2] = {-INFINITY, -INFINITY};
    for (int i = 0; i < 8; i++) {
        kn_vec3 corner = {a->size[1] * (i & 1 ? .5 : -.5), a->size[0] * (i & 2 ? .5 : -.5),
                          a->size[2] * (i & 4 ? .5 : -.5)};
        kn_vec3 p = kn_pose_point(world_to_camera, kn_pose_point(&a->pose, corner));
        if (p.z < .1) return 1;
        double at[2] = {camera->k[0][0] * p.x / p.z + camera->k[0][2], camera->k[1][1] * p.y / p.z + camera->k[1][2]};
        for (int d = 0; d < 2; d++) low[d] = fmin(low[d], at[d]), high[d] = fmax(high[d], at[d]);
    }
    double whole = (high[0] - low[0]) * (high[1] - low[1]),
           seen = (clipped[2] - clipped[0]) * (clipped[3] - clipped[1]);
    return whole > 0 ? fmin(fmax(1 - seen / whole, 0), 1) : 0;
}

static const kn_clip_annotation *find_annotation(const kn_clip *clip, size_t frame, int instance) {
    for (size_t i = 0; i < clip->annotation_count; i++)
        if (clip->annotations[i].frame == frame && clip->annotations[i].instance == instance)
            return &clip->annotations[i];
    return NULL;
}

/* type truncated occluded alpha bbox[4] height width length x y z rotation_y, as KITTI's devkit says. */
static void write_label(FILE *stream, const kn_clip *clip, const kn_clip_box *b, const kn_camera *camera) {
    const kn_clip_annotation *a = find_annotation(clip, b->frame, b->instance);
    if (!a || b->visible_pixels == 0) return;
    kn_pose pose = camera_to_world(clip, b->frame, camera), inverse = kn_pose_inverse(&pose);
    kn_vec3 ahead = kn_pose_direction(&inverse, kn_pose_direction(&a->pose, (kn_vec3){1, 0, 0}));
    kn_vec3 foot = kn_pose_point(&inverse, kn_pose_point(&a->pose, (kn_vec3){0, 0, -.5 * a->size[2]}));
    double turn = atan2(-ahead.z, ahead.x), alpha = kn_wrap_angle(turn - atan2(foot.x, foot.z));
    int occluded = b->occlusion < .1 ? 0 : b->occlusion < .5 ? 1 : 2;
    fprintf(stream, "%s %.2f %d %.2f %.2f %.2f %.2f %.2f %.2f %.2f %.2f %.2f %.2f %.2f %.2f\n", kitti_type(b->category),
            truncation(camera, &inverse, a, b->amodal), occluded, alpha, b->amodal[0], b->amodal[1], b->amodal[2],
            b->amodal[3], a->size[2], a->size[0], a->size[1], foot.x, foot.y, foot.z, turn);
}

/* "velodyne" is the ego's frame: x forward, y left, z up. */
static void write_calibration(FILE *stream, const kn_camera *c) {
    for (int p = 0; p < 4; p++)
        fprintf(stream, "P%d: %.9g %.9g %.9g 0 %.9g %.9g %.9g 0 %.9g %.9g %.9g 0\n", p, c->k[0][0], c->k[0][1],
                c->k[0][2], c->k[1][0], c->k[1][1], c->k[1][2], c->k[2][0], c->k[2][1], c->k[2][2]);
    fputs("R0_rect: 1 0 0 0 1 0 0 0 1\nTr_velo_to_cam:", stream);
    for (int row = 0; row < 3; row++) {
        double moved = 0;
        for (int i = 0; i < 3; i++) {
            fprintf(stream, " %.9g", c->rotation[i][row]);
            moved -= c->rotation[i][row] * c->translation[i];
        }
        fprintf(stream, " %.9g", moved);
    }
    fputs("\nTr_imu_to_velo: 1 0 0 0 0 1 0 0 0 0 1 0\n", stream);
}

static char *path_of(const char *root, const char *part, const char *kind, size_t index, const char *extension,
                     kn_error *error) {
    return kn_format(error, "%s/kitti/%s/%s/%06zu.%s", root, part, kind, index, extension);
}

bool kn_kitti_create(const char *root, kn_error *error) {
    static const char *const folders[] = {"training/image_2", "training/label_2", "training/calib", "ImageSets"};
    bool ok = true;
    for (size_t i = 0; ok && i < KN_COUNT(folders); i++) {
        char *path = kn_format(error, "%s/kitti/%s", root, folders[i]);
        ok = path && kn_make_directories(path, error);
        kn_free(path);
    }
    for (int s = 0; ok && s < KN_SPLIT_COUNT; s++) { /* a split without a clip has its list, too */
        char *path = kn_format(error, "%s/kitti/ImageSets/%s.txt", root, kn_split_names[s]);
        ok = path && kn_file_write(path, "", 0, error);
        kn_free(path);
    }
    return ok;
}

static bool list_picture(const char *root, kn_split split, size_t index, kn_error *error) {
    char *path = kn_format(error, "%s/kitti/ImageSets/%s.txt", root, kn_split_names[split]);
    FILE *file = path ? fopen(path, "a") : NULL;
    bool ok = file && fprintf(file, "%06zu\n", index) > 0;
    if (file && fclose(file) != 0) ok = false;
    if (path && !ok) kn_fail(error, KN_ERROR_IO, "%s: cannot write", path);
    kn_free(path);
    return ok;
}

static bool write_texts(const char *root, const char *part, size_t index, const kn_clip *clip, size_t frame, int camera,
                        kn_error *error) {
    char *label = path_of(root, part, "label_2", index, "txt", error),
         *calibration = path_of(root, part, "calib", index, "txt", error);
    kn_file_writer writer;
    bool ok = label && calibration && kn_file_writer_init(&writer, label, error);
    if (ok) {
        for (size_t i = 0; i < clip->box_count; i++)
            if (clip->boxes[i].frame == frame && clip->boxes[i].camera == camera)
                write_label(writer.stream, clip, &clip->boxes[i], &clip->rig.cameras[camera]);
        ok = kn_file_writer_commit(&writer, error) && kn_file_writer_init(&writer, calibration, error);
    }
    if (ok) {
        write_calibration(writer.stream, &clip->rig.cameras[camera]);
        ok = kn_file_writer_commit(&writer, error);
    }
    kn_free(label);
    kn_free(calibration);
    return ok;
}

bool kn_kitti_add(const char *root, const kn_clip *clip, kn_split split, size_t *next, kn_error *error) {
    int camera = 0;
    for (int i = clip->rig.camera_count - 1; i >= 0; i--)
        if (strcmp(clip->rig.cameras[i].name, "CAM_FRONT") == 0) camera = i;
    bool ok = true;
    for (size_t frame = 0; ok && frame < clip->frame_count; frame++) {
        if (!clip->is_key[frame]) continue;
        kn_image picture = {0};
        size_t index = (*next)++;
        char *from = kn_clip_picture(clip, frame, camera, error),
             *to = path_of(root, "training", "image_2", index, "png", error);
        ok = from && to && kn_image_read(&picture, from, 3, error) && kn_image_write_png(&picture, to, error) &&
             write_texts(root, "training", index, clip, frame, camera, error) &&
             list_picture(root, split, index, error);
        kn_image_finish(&picture);
        kn_free(from);
        kn_free(to);
    }
    return ok;
}

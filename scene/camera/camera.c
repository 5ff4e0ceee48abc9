/* Camera rigs: nuScenes' six cameras, rigs from files, neighbours. */
#include "kinora/camera.h"

#include "base/base.h"
#include "base/vecmath.h"

#include <jansson.h>
#include <string.h>

static void set_pose(kn_camera *camera, const double translation[3], const double wxyz[4]) {
    kn_pose pose = kn_pose_from_quaternion((kn_vec3){translation[0], translation[1], translation[2]}, wxyz);
    memcpy(camera->rotation, pose.rotation, sizeof camera->rotation);
    memcpy(camera->translation, translation, sizeof camera->translation);
}

void kn_rig_init_nuscenes(kn_rig *rig, int width, int height) {
    /* Calibration as the nuScenes tables give it (1600 x 900): focal length, principal point, pose on the ego. */
    static const struct {
        const char *name;
        double f, cx, cy, translation[3], wxyz[4];
    } cameras[] = {
        {"CAM_FRONT_LEFT", 1272.6, 826.62, 479.75, {1.5239, 0.4946, 1.5093}, {0.6757, -0.6736, 0.2121, -0.2122}},
        {"CAM_FRONT", 1266.4, 816.27, 491.51, {1.7008, 0.0159, 1.5110}, {0.4998, -0.5030, 0.4998, -0.4974}},
        {"CAM_FRONT_RIGHT", 1260.8, 807.97, 495.33, {1.5508, -0.4934, 1.4957}, {0.2060, -0.2026, 0.6824, -0.6714}},
        {"CAM_BACK_RIGHT", 1259.5, 807.25, 501.20, {1.0149, -0.4806, 1.5624}, {0.1228, -0.1324, -0.7004, 0.6907}},
        {"CAM_BACK", 809.2, 829.22, 481.78, {0.0283, 0.0035, 1.5791}, {0.5038, -0.4974, -0.4942, 0.5046}},
        {"CAM_BACK_LEFT", 1256.7, 792.11, 492.78, {1.0357, 0.4848, 1.5910}, {0.6924, -0.7032, -0.1165, 0.1122}}};
    double scale = width / 1600.0;
    *rig = (kn_rig){.camera_count = (int)KN_COUNT(cameras)};
    for (int i = 0; i < rig->camera_count; i++) {
        kn_camera *camera = &rig->cameras[i];
        snprintf(camera->name, sizeof camera->name, "%s", cameras[i].name);
        camera->width = width;
        camera->height = height;
        double crop = fmin(900 * scale - height, cameras[i].cy * scale - 0.3 * height);
        camera->k[0][0] = camera->k[1][1] = cameras[i].f * scale;
        camera->k[0][2] = cameras[i].cx * scale;
        camera->k[1][2] = cameras[i].cy * scale - crop;
        camera->k[2][2] = 1;
        set_pose(camera, cameras[i].translation, cameras[i].wxyz);
    }
}

static bool read_numbers(json_t *array, size_t count, double *out) {
    if (!json_is_array(array) || json_array_size(array) != count) return false;
    for (size_t i = 0; i < count; i++) {
        json_t *value = json_array_get(array, i);
        if (!json_is_number(value) || !(fabs(json_number_value(value)) < 1e9)) return false;
        out[i] = json_number_value(value);
    }
    return true;
}

static bool read_matrix(json_t *rows, double out[3][3]) {
    if (!json_is_array(rows) || json_array_size(rows) != 3) return false;
    for (size_t i = 0; i < 3; i++)
        if (!read_numbers(json_array_get(rows, i), 3, out[i])) return false;
    return true;
}

static double determinant(double m[3][3]) {
    return m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1]) - m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0]) +
           m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0]);
}

/* Rows unit and orthogonal, right-handed. */
static bool is_rotation(double m[3][3]) {
    for (int i = 0; i < 3; i++)
        for (int j = i; j < 3; j++) {
            double dot = m[i][0] * m[j][0] + m[i][1] * m[j][1] + m[i][2] * m[j][2];
            if (!(fabs(dot - (i == j)) < 1e-3)) return false;
        }
    return determinant(m) > 0;
}

static bool read_pose(json_t *json, kn_camera *camera, const char *path, size_t index, kn_error *error) {
    double wxyz[4];
    if (!read_numbers(json_object_get(json, "translation"), 3, camera->translation))
        return kn_fail(error, KN_ERROR_INPUT, "%s: camera %zu: \"translation\" must be 3 numbers in metres", path,
                       index);
    json_t *rotation = json_object_get(json, "rotation");
    if (read_numbers(rotation, 4, wxyz)) {
        if (!(wxyz[0] * wxyz[0] + wxyz[1] * wxyz[1] + wxyz[2] * wxyz[2] + wxyz[3] * wxyz[3] > 1e-6))
            return kn_fail(error, KN_ERROR_INPUT, "%s: camera %zu: \"rotation\" is a zero quaternion", path, index);
        double translation[3];
        memcpy(translation, camera->translation, sizeof translation);
        set_pose(camera, translation, wxyz);
        return true;
    }
    if (!read_matrix(rotation, camera->rotation))
        return kn_fail(error, KN_ERROR_INPUT, "%s: camera %zu: \"rotation\" must be a quaternion wxyz or a 3x3 matrix",
                       path, index);
    if (!is_rotation(camera->rotation))
        return kn_fail(error, KN_ERROR_INPUT, "%s: camera %zu: \"rotation\" is not a rotation matrix", path, index);
    return true;
}

/* Cameras are pinholes: a lens that bends lines is refused by the member that describes it, as is what nobody reads. */
static bool check_members(json_t *json, const char *name, const char *path, kn_error *error) {
    static const char known[] = " name width height K translation rotation comment D model ";
    static const char *const straight[] = {"pinhole", "perspective", "plumb_bob", "rational_polynomial"};
    const char *key;
    json_t *value;
    json_object_foreach(json, key, value) {
        char padded[80];
        snprintf(padded, sizeof padded, " %.70s ", key);
        if (!strstr(known, padded) || strchr(key, ' '))
            return kn_fail(error, KN_ERROR_INPUT,
                           "%s: camera '%s': unknown member \"%.60s\"; expected name, width, height, K, translation, "
                           "rotation, model, D, comment",
                           path, name, key);
    }
    json_t *model = json_object_get(json, "model"), *d = json_object_get(json, "D");
    const char *lens = model ? json_string_value(model) : "pinhole";
    bool is_straight = false;
    for (size_t i = 0; lens && i < KN_COUNT(straight); i++) is_straight = is_straight || !strcmp(lens, straight[i]);
    if (!is_straight)
        return kn_fail(error, KN_ERROR_INPUT,
                       "%s: camera '%s': \"model\" %s%.60s%s is not rendered yet: expected \"pinhole\"; undistort the "
                       "calibration first",
                       path, name, lens ? "\"" : "", lens ? lens : "without a name", lens ? "\"" : "");
    if (d && !json_is_null(d) && !json_is_array(d))
        return kn_fail(error, KN_ERROR_INPUT, "%s: camera '%s': \"D\" must be a list of numbers", path, name);
    for (size_t i = 0; i < json_array_size(d); i++) {
        json_t *coefficient = json_array_get(d, i);
        if (!json_is_number(coefficient) || json_number_value(coefficient) != 0)
            return kn_fail(error, KN_ERROR_INPUT,
                           "%s: camera '%s': \"D\" (lens distortion) is not rendered yet: its number %zu must be 0; "
                           "undistort the calibration first",
                           path, name, i + 1);
    }
    return true;
}

/* K for another size: one scale for both axes, so that pixels stay square and angles true; the picture covers the new
 * size and what is too much is cut off evenly on both sides. */
static void resize(kn_camera *camera, int width, int height) {
    double scale = fmax((double)width / camera->width, (double)height / camera->height);
    for (int j = 0; j < 3; j++) camera->k[0][j] *= scale, camera->k[1][j] *= scale;
    camera->k[0][2] -= (camera->width * scale - width) / 2;
    camera->k[1][2] -= (camera->height * scale - height) / 2;
    camera->width = width;
    camera->height = height;
}

static bool read_camera(json_t *json, kn_camera *camera, const char *path, size_t index, int width, int height,
                        kn_error *error) {
    json_t *name = json_object_get(json, "name");
    const char *text = json_string_value(name);
    if (!text || !*text || strlen(text) >= sizeof camera->name ||
        strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") != strlen(text))
        return kn_fail(error, KN_ERROR_INPUT, "%s: camera %zu: \"name\" must be 1 to 63 letters, digits, _ or -", path,
                       index);
    snprintf(camera->name, sizeof camera->name, "%s", text);
    if (!check_members(json, text, path, error)) return false;
    json_int_t w = json_integer_value(json_object_get(json, "width")),
               h = json_integer_value(json_object_get(json, "height"));
    if (w < 1 || h < 1 || w > 16384 || h > 16384)
        return kn_fail(error, KN_ERROR_INPUT, "%s: camera '%s': \"width\" and \"height\" must be 1 to 16384 pixels",
                       path, text);
    if (!read_matrix(json_object_get(json, "K"), camera->k))
        return kn_fail(error, KN_ERROR_INPUT, "%s: camera '%s': \"K\" must be a 3x3 matrix", path, text);
    if (!(camera->k[0][0] > 1e-3 && camera->k[1][1] > 1e-3) || fabs(determinant(camera->k)) < 1e-6)
        return kn_fail(error, KN_ERROR_INPUT, "%s: camera '%s': \"K\" is singular or has no positive focal length",
                       path, text);
    if (camera->k[2][0] != 0 || camera->k[2][1] != 0 || camera->k[2][2] != 1)
        return kn_fail(error, KN_ERROR_INPUT, "%s: camera '%s': the last row of \"K\" must be 0 0 1", path, text);
    camera->width = (int)w;
    camera->height = (int)h;
    if (width > 0 && height > 0) resize(camera, width, height);
    return read_pose(json, camera, path, index, error);
}

bool kn_rig_read(kn_rig *rig, const char *path, int width, int height, kn_error *error) {
    *rig = (kn_rig){0};
    uint8_t *data = NULL;
    size_t size;
    if (!kn_file_read(path, 1 << 20, &data, &size, error)) return false;
    json_error_t where;
    json_t *root = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, &where);
    kn_free(data);
    if (!root) return kn_fail(error, KN_ERROR_INPUT, "%s:%d: not valid JSON: %s", path, where.line, where.text);
    json_t *cameras = json_object_get(root, "cameras");
    size_t count = json_array_size(cameras);
    bool ok = count >= 1 && count <= KN_RIG_MAX_CAMERAS;
    if (!ok) kn_fail(error, KN_ERROR_INPUT, "%s: \"cameras\" must list 1 to %d cameras", path, KN_RIG_MAX_CAMERAS);
    for (size_t i = 0; ok && i < count; i++) {
        ok = read_camera(json_array_get(cameras, i), &rig->cameras[i], path, i, width, height, error);
        for (size_t k = 0; ok && k < i; k++)
            if (!strcmp(rig->cameras[k].name, rig->cameras[i].name))
                ok = kn_fail(error, KN_ERROR_INPUT, "%s: two cameras are called '%s'", path, rig->cameras[i].name);
    }
    rig->camera_count = (int)count;
    json_decref(root);
    if (!ok) *rig = (kn_rig){0};
    return ok;
}

/* --- who overlaps whom ----------------------------------------------------------------------------------------------
 */

enum { GRID = 24 }; /* rays along each side of a picture */

/* Does `camera` see a point of the ego's frame? */
static bool sees(const kn_camera *camera, const double point[3]) {
    double p[3] = {0}, away[3];
    for (int i = 0; i < 3; i++) away[i] = point[i] - camera->translation[i];
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) p[i] += camera->rotation[j][i] * away[j];
    if (p[2] < 0.1) return false;
    double u = (camera->k[0][0] * p[0] + camera->k[0][1] * p[1]) / p[2] + camera->k[0][2];
    double v = camera->k[1][1] * p[1] / p[2] + camera->k[1][2];
    return u >= 0 && v >= 0 && u < camera->width && v < camera->height;
}

/* The share of a's rays whose points at some usual distance b sees as well. */
static double overlap(const kn_camera *a, const kn_camera *b) {
    static const double distances[] = {6, 15, 50};
    int seen = 0;
    for (int i = 0; i < GRID * GRID; i++) {
        double v = ((i / GRID + .5) * a->height / GRID - a->k[1][2]) / a->k[1][1];
        double u = ((i % GRID + .5) * a->width / GRID - a->k[0][2] - a->k[0][1] * v) / a->k[0][0], point[3];
        bool hit = false;
        for (size_t d = 0; d < KN_COUNT(distances) && !hit; d++) {
            double scale = distances[d] / sqrt(u * u + v * v + 1);
            for (int k = 0; k < 3; k++)
                point[k] =
                    a->translation[k] + scale * (a->rotation[k][0] * u + a->rotation[k][1] * v + a->rotation[k][2]);
            hit = sees(b, point);
        }
        seen += hit;
    }
    return (double)seen / (GRID * GRID);
}

/* Is b to the right of a: by its view direction, or by its place when both look the same way? */
static bool is_right(const kn_camera *a, const kn_camera *b) {
    double yaw = atan2(a->rotation[1][2], a->rotation[0][2]);
    double turn = kn_wrap_angle(atan2(b->rotation[1][2], b->rotation[0][2]) - yaw);
    if (fabs(turn) > 1e-3) return turn < 0;
    return sin(yaw) * (b->translation[0] - a->translation[0]) > cos(yaw) * (b->translation[1] - a->translation[1]);
}

void kn_rig_neighbours(const kn_rig *rig, int neighbours[][2]) {
    for (int i = 0; i < rig->camera_count; i++) {
        double best[2] = {0, 0};
        const kn_camera *a = &rig->cameras[i];
        neighbours[i][0] = neighbours[i][1] = -1;
        for (int j = 0; j < rig->camera_count; j++) {
            if (j == i) continue;
            const kn_camera *b = &rig->cameras[j];
            int side = is_right(a, b);
            double share = fmax(overlap(a, b), overlap(b, a));
            if (share <= best[side]) continue;
            best[side] = share;
            neighbours[i][side] = j;
        }
    }
}

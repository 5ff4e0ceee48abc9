/* NeRF transforms.json and Kinora's own sidecar. */
#include "mesh/views/mesh.h"

#include <jansson.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_CAMERAS 100000

/* A finite number under `key` of the frame, or else of the file; false when absent or no finite number. */
static bool number(const json_t *frame, const json_t *root, const char *key, double *value) {
    const json_t *found = json_object_get(frame, key);
    if (!found) found = json_object_get(root, key);
    if (!json_is_number(found)) return false;
    *value = json_number_value(found);
    return isfinite(*value);
}

static bool read_matrix(const json_t *matrix, double m[4][4]) {
    size_t rows = json_array_size(matrix);
    if (rows != 3 && rows != 4) return false;
    memset(m, 0, 16 * sizeof(double));
    m[3][3] = 1;
    for (size_t r = 0; r < 3; r++) {
        const json_t *row = json_array_get(matrix, r);
        if (json_array_size(row) != 4) return false;
        for (size_t c = 0; c < 4; c++) {
            const json_t *entry = json_array_get(row, c);
            if (!json_is_number(entry)) return false;
            m[r][c] = json_number_value(entry);
        }
    }
    return true;
}

/* Removes a common scale of the axes and checks that what remains is a rotation. */
static bool set_pose(kn_camera *camera, double m[4][4]) {
    double scale = 0;
    for (int r = 0; r < 3; r++)
        for (int c = 0; c < 4; c++) {
            if (!isfinite(m[r][c]) || fabs(m[r][c]) > 1e9) return false;
            if (c < 3) scale += m[r][c] * m[r][c] / 3;
        }
    if (scale < 1e-12) return false;
    for (int r = 0; r < 3; r++) {
        for (int c = 0; c < 3; c++)
            camera->rotation[r][c] = m[r][c] / sqrt(scale) * (c == 0 ? 1 : -1); /* OpenGL: y up, z backward */
        camera->translation[r] = m[r][3];
    }
    for (int a = 0; a < 3; a++)
        for (int b = 0; b < 3; b++) {
            double dot = 0;
            for (int r = 0; r < 3; r++) dot += camera->rotation[r][a] * camera->rotation[r][b];
            if (fabs(dot - (a == b)) > 1e-2) return false;
        }
    double(*r)[3] = camera->rotation;
    double determinant = r[0][0] * (r[1][1] * r[2][2] - r[1][2] * r[2][1]) -
                         r[0][1] * (r[1][0] * r[2][2] - r[1][2] * r[2][0]) +
                         r[0][2] * (r[1][0] * r[2][1] - r[1][1] * r[2][0]);
    return determinant > 0;
}

/* fx, fy, cx, cy and the size from what the file gives. */
static bool set_intrinsics(kn_view_camera *view, const json_t *frame, const json_t *root) {
    static const char *const names[] = {"k1", "k2", "p1", "p2"};
    double w = 0, h = 0, fx = 0, fy = 0, cx, cy, angle;
    number(frame, root, "w", &w);
    number(frame, root, "h", &h);
    if (w < 0 || h < 0 || w > 16384 || h > 16384) return false;
    kn_camera *camera = &view->camera;
    camera->width = (int)w, camera->height = (int)h;
    if (!number(frame, root, "fl_x", &fx)) {
        if (!number(frame, root, "camera_angle_x", &angle) || angle <= 0 || angle >= M_PI) return false;
        fx = (w > 0 ? w : 1) / 2 /
             tan(angle / 2); /* without a size: in picture widths, scaled when the picture is known */
    }
    if (!number(frame, root, "fl_y", &fy)) fy = fx;
    if (!number(frame, root, "cx", &cx)) cx = w > 0 ? w / 2 : 0.5;
    if (!number(frame, root, "cy", &cy)) cy = h > 0 ? h / 2 : -1; /* -1: the middle, when the size is known */
    for (int i = 0; i < 4; i++) number(frame, root, names[i], &view->distortion[i]);
    camera->k[0][0] = fx, camera->k[1][1] = fy, camera->k[0][2] = cx, camera->k[1][2] = cy, camera->k[2][2] = 1;
    return fx > 0 && fy > 0 && fx < 1e7 && fy < 1e7;
}

static bool read_frame(kn_view_camera *view, const json_t *frame, const json_t *root, const char *name, size_t index,
                       kn_error *error) {
    double m[4][4];
    const char *file = json_string_value(json_object_get(frame, "file_path"));
    if (file && strlen(file) >= sizeof view->file)
        return kn_fail(error, KN_ERROR_INPUT, "%s: frame %zu: the file name is too long", name, index);
    if (file) strcpy(view->file, file);
    if (!read_matrix(json_object_get(frame, "transform_matrix"), m))
        return kn_fail(error, KN_ERROR_INPUT, "%s: frame %zu: expected transform_matrix with 4 rows of 4 numbers", name,
                       index);
    if (!set_pose(&view->camera, m))
        return kn_fail(error, KN_ERROR_INPUT,
                       "%s: frame %zu: transform_matrix is not a finite rotation and translation", name, index);
    if (!set_intrinsics(view, frame, root))
        return kn_fail(
            error, KN_ERROR_INPUT,
            "%s: frame %zu: expected a focal length (fl_x, or camera_angle_x in radians) and a size up to 16384", name,
            index);
    snprintf(view->camera.name, sizeof view->camera.name, "%zu", index);
    return true;
}

/* [3][3] numbers. */
static bool read_33(const json_t *value, double m[3][3]) {
    if (json_array_size(value) != 3) return false;
    for (size_t r = 0; r < 3; r++)
        for (size_t c = 0; c < 3; c++) {
            const json_t *entry = json_array_get(json_array_get(value, r), c);
            if (!json_is_number(entry) || json_array_size(json_array_get(value, r)) != 3) return false;
            m[r][c] = json_number_value(entry);
        }
    return true;
}

/* "rotation": 3x3 or a quaternion wxyz, camera to world; "translation": the centre. Camera axes x right, y down, z
 * forward. */
static bool read_rigid(kn_camera *camera, const json_t *value) {
    const json_t *rotation = json_object_get(value, "rotation"), *translation = json_object_get(value, "translation");
    double m[4][4] = {{0}}, r[3][3], q[4], norm = 0;
    if (json_array_size(rotation) == 4) {
        for (size_t i = 0; i < 4; i++) q[i] = json_number_value(json_array_get(rotation, i)), norm += q[i] * q[i];
        if (!(norm > 1e-6 && norm < 1e6)) return false;
        kn_pose pose = kn_pose_from_quaternion((kn_vec3){0, 0, 0}, q);
        memcpy(r, pose.rotation, sizeof r);
    } else if (!read_33(rotation, r)) return false;
    if (json_array_size(translation) != 3) return false;
    for (size_t i = 0; i < 3; i++) {
        if (!json_is_number(json_array_get(translation, i))) return false;
        m[i][3] = json_number_value(json_array_get(translation, i));
        for (size_t k = 0; k < 3; k++) m[i][k] = k == 0 ? r[i][k] : -r[i][k]; /* set_pose turns OpenGL's axes */
    }
    return set_pose(camera, m);
}

/* A camera of a sidecar: the keys of a rig's cameras (docs/formats.md), and "file" and "distortion". */
static bool read_sidecar_camera(kn_view_camera *view, const json_t *value, const char *name, size_t index,
                                kn_error *error) {
    kn_camera *c = &view->camera;
    const char *file = json_string_value(json_object_get(value, "file"));
    const json_t *bent = json_object_get(value, "distortion");
    json_int_t width = json_integer_value(json_object_get(value, "width")),
               height = json_integer_value(json_object_get(value, "height"));
    if (file && strlen(file) >= sizeof view->file)
        return kn_fail(error, KN_ERROR_INPUT, "%s: camera %zu: the file name is too long", name, index);
    if (file) strcpy(view->file, file);
    if (width < 1 || height < 1 || width > 16384 || height > 16384)
        return kn_fail(error, KN_ERROR_INPUT, "%s: camera %zu: expected width and height of 1 to 16384 pixels", name,
                       index);
    c->width = (int)width, c->height = (int)height;
    if (!read_33(json_object_get(value, "K"), c->k) ||
        !(c->k[0][0] > 0 && c->k[0][0] < 1e7 && c->k[1][1] > 0 && c->k[1][1] < 1e7) || !(fabs(c->k[0][2]) < 1e6) ||
        !(fabs(c->k[1][2]) < 1e6))
        return kn_fail(error, KN_ERROR_INPUT,
                       "%s: camera %zu: expected K, 3 rows of 3 numbers with focal lengths above 0", name, index);
    if (bent && json_array_size(bent) != 4)
        return kn_fail(error, KN_ERROR_INPUT, "%s: camera %zu: expected distortion [k1, k2, p1, p2]", name, index);
    for (size_t i = 0; bent && i < 4; i++) {
        view->distortion[i] = json_number_value(json_array_get(bent, i));
        if (!(fabs(view->distortion[i]) < 1e3))
            return kn_fail(error, KN_ERROR_INPUT, "%s: camera %zu: expected distortion [k1, k2, p1, p2]", name, index);
    }
    if (!read_rigid(c, value))
        return kn_fail(
            error, KN_ERROR_INPUT,
            "%s: camera %zu: rotation and translation are not a finite rotation (3x3 or quaternion wxyz) and a centre",
            name, index);
    snprintf(c->name, sizeof c->name, "%zu", index);
    return true;
}

/* JSON has no NaN, but Python writes it: as null the pose check names the frame. */
static void replace_nan(char *text, size_t size) {
    bool quoted = false;
    for (size_t i = 0; i + 3 <= size; i++) {
        if (text[i] == '"' && (i == 0 || text[i - 1] != '\\')) quoted = !quoted;
        if (!quoted && (memcmp(text + i, "NaN", 3) == 0)) memcpy(text + i, "\"N\"", 3);
    }
}

bool kn_view_list_parse_transforms(kn_view_list *list, const char *name, const char *text, size_t size,
                                   kn_error *error) {
    *list = (kn_view_list){0};
    char *copy = kn_alloc(size + 1, 1, error);
    if (!copy) return false;
    memcpy(copy, text, size);
    replace_nan(copy, size);
    json_error_t where;
    json_t *root = json_loadb(copy, size, 0, &where);
    kn_free(copy);
    if (!root) return kn_fail(error, KN_ERROR_INPUT, "%s:%d: %s", name, where.line, where.text);
    const json_t *sidecar = json_object_get(root, "cameras"),
                 *frames = json_is_array(sidecar) ? sidecar : json_object_get(root, "frames");
    size_t count = json_array_size(frames);
    bool ok = count > 0 && count <= MAX_CAMERAS;
    if (!ok)
        kn_fail(error, KN_ERROR_INPUT, "%s: expected an array frames (NeRF) or cameras (Kinora) with 1 to %d entries",
                name, MAX_CAMERAS);
    list->items = ok ? kn_alloc(count, sizeof *list->items, error) : NULL;
    ok = ok && list->items;
    for (size_t i = 0; ok && i < count; i++)
        ok = frames == sidecar ? read_sidecar_camera(&list->items[i], json_array_get(frames, i), name, i, error)
                               : read_frame(&list->items[i], json_array_get(frames, i), root, name, i, error);
    list->count = count;
    json_decref(root);
    if (!ok) kn_view_list_finish(list);
    return ok;
}

/* Reads folder/cameras.txt and folder/images.txt. */
static bool read_colmap(kn_view_list *list, const char *folder, kn_error *error) {
    uint8_t *cameras = NULL, *images = NULL;
    size_t size;
    char *cameras_path = kn_path_join(folder, "cameras.txt", error);
    char *images_path = cameras_path ? kn_path_join(folder, "images.txt", error) : NULL;
    bool ok = images_path && kn_file_read(cameras_path, (size_t)64 << 20, &cameras, &size, error) &&
              kn_file_read(images_path, (size_t)1 << 30, &images, &size, error) &&
              kn_view_list_parse_colmap(list, folder, (const char *)cameras, (const char *)images, error);
    kn_free(cameras), kn_free(images), kn_free(cameras_path), kn_free(images_path);
    return ok;
}

bool kn_view_list_read(kn_view_list *list, const char *path, kn_error *error) {
    *list = (kn_view_list){0};
    struct stat info;
    if (stat(path, &info) != 0) return kn_fail(error, KN_ERROR_IO, "%s: no such file", path);
    if (S_ISDIR(info.st_mode)) return read_colmap(list, path, error);
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    if (strcmp(base, "cameras.txt") == 0 || strcmp(base, "images.txt") == 0) {
        char *folder = kn_format(error, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
        bool ok = folder && read_colmap(list, folder, error);
        kn_free(folder);
        return ok;
    }
    uint8_t *text;
    size_t size;
    if (!kn_file_read(path, (size_t)256 << 20, &text, &size, error)) return false;
    bool ok = kn_view_list_parse_transforms(list, path, (const char *)text, size, error);
    kn_free(text);
    return ok;
}

/* A file's name as a string of JSON. */
static void print_name(kn_bytes *out, const char *name) {
    kn_bytes_print(out, "\"");
    for (const unsigned char *c = (const unsigned char *)name; *c; c++)
        kn_bytes_print(out, *c == '"' || *c == '\\' || *c < ' ' ? "\\u%04x" : "%c", *c);
    kn_bytes_print(out, "\"");
}

bool kn_view_list_write(const kn_view_list *list, const char *path, kn_error *error) {
    kn_bytes out = {0};
    kn_bytes_print(&out, "{\n \"camera_model\": \"OPENCV\",\n \"frames\": [\n");
    for (size_t i = 0; i < list->count; i++) {
        const kn_view_camera *view = &list->items[i];
        const kn_camera *c = &view->camera;
        kn_bytes_print(&out, "  {\"file_path\": ");
        print_name(&out, view->file);
        kn_bytes_print(&out,
                       ", \"w\": %d, \"h\": %d, \"fl_x\": %.10g, \"fl_y\": %.10g, \"cx\": %.10g, \"cy\": %.10g,\n",
                       c->width, c->height, c->k[0][0], c->k[1][1], c->k[0][2], c->k[1][2]);
        kn_bytes_print(&out,
                       "   \"k1\": %.10g, \"k2\": %.10g, \"p1\": %.10g, \"p2\": %.10g,\n   \"transform_matrix\": [",
                       view->distortion[0], view->distortion[1], view->distortion[2], view->distortion[3]);
        for (int r = 0; r < 3; r++)
            kn_bytes_print(&out, "[%.10g, %.10g, %.10g, %.10g], ", c->rotation[r][0], -c->rotation[r][1],
                           -c->rotation[r][2], c->translation[r]);
        kn_bytes_print(&out, "[0, 0, 0, 1]]}%s\n", i + 1 < list->count ? "," : "");
    }
    kn_bytes_print(&out, " ]\n}\n");
    bool ok =
        out.failed ? kn_fail(error, KN_ERROR_MEMORY, "out of memory") : kn_file_write(path, out.data, out.size, error);
    kn_bytes_finish(&out);
    return ok;
}

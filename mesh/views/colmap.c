/* COLMAP's text models: cameras.txt and images.txt. */
#include "mesh/views/mesh.h"

#include <stdlib.h>
#include <string.h>

typedef struct colmap_camera {
    long id;
    kn_view_camera view; /* intrinsics only */
} colmap_camera;

static const struct {
    const char *name;
    int count;
    int at[8]; /* which parameter is fx, fy, cx, cy, k1, k2, p1, p2; -1: zero */
} models[] = {
    {"SIMPLE_PINHOLE", 3, {0, 0, 1, 2, -1, -1, -1, -1}},
    {"PINHOLE", 4, {0, 1, 2, 3, -1, -1, -1, -1}},
    {"SIMPLE_RADIAL", 4, {0, 0, 1, 2, 3, -1, -1, -1}},
    {"RADIAL", 5, {0, 0, 1, 2, 3, 4, -1, -1}},
    {"OPENCV", 8, {0, 1, 2, 3, 4, 5, 6, 7}},
};

/* Copies the next line into `line`; false at the end. Over-long lines are cut (point lists are not needed). */
static bool next_line(const char **text, char *line, size_t size, int *number) {
    if (!**text) return false;
    const char *end = strchr(*text, '\n');
    size_t length = end ? (size_t)(end - *text) : strlen(*text);
    size_t kept = length < size ? length : size - 1;
    memcpy(line, *text, kept);
    line[kept] = 0;
    if (kept && line[kept - 1] == '\r') line[kept - 1] = 0;
    *text += length + (end ? 1 : 0);
    (*number)++;
    return true;
}

static bool parse_camera(colmap_camera *camera, const char *line) {
    char model[32];
    long width, height;
    int used = 0;
    if (sscanf(line, "%ld %31s %ld %ld%n", &camera->id, model, &width, &height, &used) != 4) return false;
    if (width < 1 || height < 1 || width > 16384 || height > 16384) return false;
    for (size_t m = 0; m < KN_COUNT(models); m++) {
        if (strcmp(models[m].name, model) != 0) continue;
        double given[8], value[8];
        const char *at = line + used;
        for (int i = 0; i < models[m].count; i++) {
            char *end;
            given[i] = strtod(at, &end);
            if (end == at || !isfinite(given[i])) return false;
            at = end;
        }
        for (int i = 0; i < 8; i++) value[i] = models[m].at[i] < 0 ? 0 : given[models[m].at[i]];
        kn_camera *c = &camera->view.camera;
        c->width = (int)width, c->height = (int)height;
        c->k[0][0] = value[0], c->k[1][1] = value[1], c->k[0][2] = value[2], c->k[1][2] = value[3], c->k[2][2] = 1;
        memcpy(camera->view.distortion, value + 4, 4 * sizeof(double));
        return value[0] > 0 && value[1] > 0 && value[0] < 1e7 && value[1] < 1e7;
    }
    return false;
}

static bool parse_cameras(colmap_camera **cameras, size_t *count, const char *name, const char *text, kn_error *error) {
    char line[1024];
    int number = 0;
    size_t capacity = 0;
    while (next_line(&text, line, sizeof line, &number)) {
        if (line[0] == '#' || line[strspn(line, " \t")] == 0) continue;
        if (*count >= 100000) return kn_fail(error, KN_ERROR_INPUT, "%s/cameras.txt: more than 100000 cameras", name);
        if (!kn_grow(cameras, &capacity, *count + 1, sizeof **cameras, error)) return false;
        memset(&(*cameras)[*count], 0, sizeof **cameras);
        if (!parse_camera(&(*cameras)[*count], line))
            return kn_fail(
                error, KN_ERROR_INPUT,
                "%s/cameras.txt:%d: expected ID MODEL WIDTH HEIGHT PARAMETERS of a pinhole, radial or OPENCV model",
                name, number);
        (*count)++;
    }
    if (*count == 0) return kn_fail(error, KN_ERROR_INPUT, "%s/cameras.txt: no cameras", name);
    return true;
}

/* ID QW QX QY QZ TX TY TZ CAMERA_ID NAME: world to camera. */
static bool parse_image(kn_view_camera *view, const char *line, const colmap_camera *cameras, size_t count) {
    long id, camera_id;
    double q[4], t[3], norm = 0;
    char file[sizeof view->file];
    if (sscanf(line, "%ld %lf %lf %lf %lf %lf %lf %lf %ld %511[^\n]", &id, &q[0], &q[1], &q[2], &q[3], &t[0], &t[1],
               &t[2], &camera_id, file) != 10)
        return false;
    for (int i = 0; i < 4; i++) norm += q[i] * q[i];
    if (!(norm > 1e-6 && norm < 1e6)) return false;
    for (int i = 0; i < 3; i++)
        if (!isfinite(t[i]) || fabs(t[i]) > 1e9) return false;
    const colmap_camera *camera = NULL;
    for (size_t i = 0; i < count && !camera; i++)
        if (cameras[i].id == camera_id) camera = &cameras[i];
    if (!camera) return false;
    *view = camera->view;
    kn_pose world_to_camera = kn_pose_from_quaternion((kn_vec3){t[0], t[1], t[2]}, q),
            pose = kn_pose_inverse(&world_to_camera);
    memcpy(view->camera.rotation, pose.rotation, sizeof pose.rotation);
    view->camera.translation[0] = pose.translation.x, view->camera.translation[1] = pose.translation.y,
    view->camera.translation[2] = pose.translation.z;
    strcpy(view->file, file);
    snprintf(view->camera.name, sizeof view->camera.name, "%ld", id);
    return true;
}

static int by_file(const void *a, const void *b) {
    return strcmp(((const kn_view_camera *)a)->file, ((const kn_view_camera *)b)->file);
}

static bool parse_images(kn_view_list *list, const char *name, const char *text, const colmap_camera *cameras,
                         size_t count, kn_error *error) {
    char line[2048];
    int number = 0;
    size_t capacity = 0;
    while (next_line(&text, line, sizeof line, &number)) {
        if (line[0] == '#' || line[strspn(line, " \t")] == 0) continue;
        if (list->count >= 100000)
            return kn_fail(error, KN_ERROR_INPUT, "%s/images.txt: more than 100000 images", name);
        if (!kn_grow(&list->items, &capacity, list->count + 1, sizeof *list->items, error)) return false;
        memset(&list->items[list->count], 0, sizeof *list->items);
        if (!parse_image(&list->items[list->count], line, cameras, count))
            return kn_fail(error, KN_ERROR_INPUT,
                           "%s/images.txt:%d: expected ID QW QX QY QZ TX TY TZ CAMERA_ID NAME with finite numbers and "
                           "a camera of cameras.txt",
                           name, number);
        list->count++;
        next_line(&text, line, sizeof line, &number); /* the image's points, which may be empty */
    }
    if (list->count == 0) return kn_fail(error, KN_ERROR_INPUT, "%s/images.txt: no images", name);
    qsort(list->items, list->count, sizeof *list->items,
          by_file); /* the order of the frames, whatever COLMAP registered first */
    return true;
}

bool kn_view_list_parse_colmap(kn_view_list *list, const char *name, const char *cameras_text, const char *images_text,
                               kn_error *error) {
    *list = (kn_view_list){0};
    colmap_camera *cameras = NULL;
    size_t count = 0;
    bool ok = parse_cameras(&cameras, &count, name, cameras_text, error) &&
              parse_images(list, name, images_text, cameras, count, error);
    kn_free(cameras);
    if (!ok) kn_view_list_finish(list);
    return ok;
}

void kn_view_list_finish(kn_view_list *list) {
    kn_free(list->items);
    *list = (kn_view_list){0};
}

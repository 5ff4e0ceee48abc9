#include "pipelines/dataset/formats.h"

#include "kinora/encoders.h"
#include "kinora/scene.h"

#include <string.h>

/* Cityscapes' label of each kn_semantic: id, colour, and whether it has instances (labels.py of cityscapesScripts). */
static const struct {
    int id;
    uint8_t rgb[3];
    bool thing;
} labels[KN_SEMANTIC_COUNT] = {
    [KN_SEMANTIC_SKY] = {23, {70, 130, 180}, false},
    [KN_SEMANTIC_ROAD] = {7, {128, 64, 128}, false},
    [KN_SEMANTIC_LANE_MARK] = {7, {128, 64, 128}, false},
    [KN_SEMANTIC_SIDEWALK] = {8, {244, 35, 232}, false},
    [KN_SEMANTIC_KERB] = {8, {244, 35, 232}, false},
    [KN_SEMANTIC_TERRAIN] = {22, {152, 251, 152}, false},
    [KN_SEMANTIC_BUILDING] = {11, {70, 70, 70}, false},
    [KN_SEMANTIC_WALL] = {12, {102, 102, 156}, false},
    [KN_SEMANTIC_FENCE] = {13, {190, 153, 153}, false},
    [KN_SEMANTIC_POLE] = {17, {153, 153, 153}, false},
    [KN_SEMANTIC_TRAFFIC_LIGHT] = {19, {250, 170, 30}, false},
    [KN_SEMANTIC_TRAFFIC_SIGN] = {20, {220, 220, 0}, false},
    [KN_SEMANTIC_VEGETATION] = {21, {107, 142, 35}, false},
    [KN_SEMANTIC_CAR] = {26, {0, 0, 142}, true},
    [KN_SEMANTIC_TRUCK] = {27, {0, 0, 70}, true},
    [KN_SEMANTIC_BUS] = {28, {0, 60, 100}, true},
    [KN_SEMANTIC_MOTORCYCLE] = {32, {0, 0, 230}, true},
    [KN_SEMANTIC_BICYCLE] = {33, {119, 11, 32}, true},
    [KN_SEMANTIC_PEDESTRIAN] = {24, {220, 20, 60}, true},
    [KN_SEMANTIC_OBJECT] = {4, {0, 0, 0}, false},
};

/* Everything of one picture. */
typedef struct view {
    const kn_clip *clip;
    size_t frame;
    int camera, width, height;
    uint16_t *semantic, *instance;
    char name[280]; /* <city>/<city>_<sequence>_<frame>_ */
} view;

/* A city's name has no underscore: cityscapesScripts splits file names at them. */
static void city_name(const kn_clip *clip, char *city, size_t size) {
    size_t i = 0;
    for (const char *c = clip->name; *c && i + 1 < size; c++) city[i++] = *c == '_' ? '-' : *c;
    city[i] = 0;
}

static char *path_of(const char *root, const char *kind, kn_split split, const view *v, const char *end,
                     kn_error *error) {
    return kn_format(error, "%s/cityscapes/%s/%s/%s%s", root, kind, kn_split_names[split], v->name, end);
}

static bool make_folders(const char *root, kn_split split, const char *city, kn_error *error) {
    static const char *const kinds[] = {"leftImg8bit", "gtFine", "depth"};
    bool ok = true;
    for (size_t i = 0; ok && i < KN_COUNT(kinds); i++) {
        char *path = kn_format(error, "%s/cityscapes/%s/%s/%s", root, kinds[i], kn_split_names[split], city);
        ok = path && kn_make_directories(path, error);
        kn_free(path);
    }
    return ok;
}

static bool write_ids(const char *root, kn_split split, const view *v, kn_error *error) {
    size_t pixels = (size_t)v->width * (size_t)v->height;
    uint8_t *ids = kn_alloc(pixels, 1, error);
    uint16_t *instances = ids ? kn_alloc(pixels, sizeof *instances, error) : NULL;
    kn_image colour = {0};
    bool ok = instances && kn_image_init(&colour, v->width, v->height, 3, error);
    /* Ids of things are label * 1000 + a number below 1000, counted up in this picture. */
    uint16_t *numbers = ok ? kn_alloc(65536, sizeof *numbers, error) : NULL, next = 0;
    for (size_t i = 0; numbers && i < pixels; i++) {
        unsigned s = v->semantic[i] < KN_SEMANTIC_COUNT ? v->semantic[i] : KN_SEMANTIC_OBJECT;
        ids[i] = (uint8_t)labels[s].id;
        instances[i] = (uint16_t)labels[s].id;
        memcpy(colour.data + 3 * i, labels[s].rgb, 3);
        uint16_t id = v->instance[i];
        if (!labels[s].thing || id == 0) continue;
        if (!numbers[id] && next < 999) numbers[id] = ++next;
        if (numbers[id]) instances[i] = (uint16_t)(labels[s].id * 1000 + numbers[id] - 1);
    }
    char *paths[3] = {path_of(root, "gtFine", split, v, "gtFine_labelIds.png", error),
                      path_of(root, "gtFine", split, v, "gtFine_instanceIds.png", error),
                      path_of(root, "gtFine", split, v, "gtFine_color.png", error)};
    ok = ok && numbers && paths[0] && paths[1] && paths[2] &&
         kn_png_write_gray8(paths[0], ids, v->width, v->height, error) &&
         kn_png_write_gray16(paths[1], instances, v->width, v->height, error) &&
         kn_image_write_png(&colour, paths[2], error);
    for (int i = 0; i < 3; i++) kn_free(paths[i]);
    kn_free(numbers);
    kn_free(ids);
    kn_free(instances);
    kn_image_finish(&colour);
    return ok;
}

static bool write_picture(const char *root, kn_split split, const view *v, kn_error *error) {
    kn_image picture = {0};
    char *from = kn_clip_picture(v->clip, v->frame, v->camera, error),
         *to = path_of(root, "leftImg8bit", split, v, "leftImg8bit.png", error);
    bool ok = from && to && kn_image_read(&picture, from, 3, error) && kn_image_write_png(&picture, to, error);
    kn_image_finish(&picture);
    kn_free(from);
    kn_free(to);
    if (!ok || !kn_clip_has(v->clip, "depth")) return ok;
    from = kn_clip_label(v->clip, "depth", v->frame, v->camera, error);
    to = path_of(root, "depth", split, v, "depth.png", error);
    ok = from && to && kn_dataset_link(from, to, error);
    kn_free(from);
    kn_free(to);
    return ok;
}

static bool read_map(const view *v, const char *kind, uint16_t **pixels, int *width, int *height, kn_error *error) {
    char *path = kn_clip_label(v->clip, kind, v->frame, v->camera, error);
    bool ok = path && kn_png_read_gray(path, pixels, width, height, error);
    kn_free(path);
    return ok;
}

static bool add_view(const char *root, kn_split split, view *v, kn_error *error) {
    int width, height;
    v->semantic = v->instance = NULL;
    bool ok = read_map(v, "semantic", &v->semantic, &v->width, &v->height, error) &&
              read_map(v, "instance", &v->instance, &width, &height, error);
    if (ok && (width != v->width || height != v->height))
        ok = kn_fail(error, KN_ERROR_INPUT, "%s: label images of two sizes", v->clip->folder);
    ok = ok && write_ids(root, split, v, error) && write_picture(root, split, v, error);
    kn_pixels_free(v->semantic);
    kn_pixels_free(v->instance);
    return ok;
}

bool kn_cityscapes_add(const char *root, const kn_clip *clip, kn_split split, kn_error *error) {
    char city[120];
    view v = {.clip = clip};
    city_name(clip, city, sizeof city);
    if (!make_folders(root, split, city, error)) return false;
    for (v.frame = 0; v.frame < clip->frame_count; v.frame++)
        for (v.camera = 0; clip->is_key[v.frame] && v.camera < clip->rig.camera_count; v.camera++) {
            snprintf(v.name, sizeof v.name, "%s/%s_%06d_%06zu_", city, city, v.camera, v.frame);
            if (!add_view(root, split, &v, error)) return false;
        }
    return true;
}

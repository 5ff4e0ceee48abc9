/* A material pack: photographs of surfaces that take the place of procedural grain, as the shaders read them
 * (shaders/scene/photo.glsl). Each is stored in proportion to its mean, so that flat colours stay what they are. */
#include "scene/render/render_internal.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

enum { SIZE = KN_RENDER_PICTURE_SIZE, MOST_PICTURES = 64 };

static const char *const names[KN_TEXTURE_COUNT] = {
    "flat", "asphalt", "concrete",  "paving", "grass", "soil",   "brick",  "plaster", "roof", "leaves",
    "bark", "paint",   "car_paint", "glass",  "metal", "rubber", "fabric", "window",  "skin"};

void kn_render_materials_finish(kn_render_materials *pack) {
    kn_free(pack->pictures);
    kn_free(pack->texels);
    *pack = (kn_render_materials){0};
}

/* --- pictures --------------------------------------------------------------------------------- */

static float decode(float x) { return x > .04045f ? powf((x + .055f) / 1.055f, 2.4f) : x / 12.92f; }

/* SIZE x SIZE means of areas, linear, in proportion to the mean of each channel. */
static void reduce(const kn_image *image, float (*out)[3]) {
    double mean[3] = {0};
    for (int y = 0; y < SIZE; y++)
        for (int x = 0; x < SIZE; x++) {
            int x0 = x * image->width / SIZE, x1 = (x + 1) * image->width / SIZE;
            int y0 = y * image->height / SIZE, y1 = (y + 1) * image->height / SIZE;
            float *cell = out[y * SIZE + x];
            for (int c = 0; c < 3; c++) {
                double sum = 0;
                for (int j = y0; j < y1; j++)
                    for (int i = x0; i < x1; i++)
                        sum += decode(
                            (float)image->data[((size_t)j * (size_t)image->width + (size_t)i) * 3 + (size_t)c] / 255);
                cell[c] = (float)(sum / ((x1 - x0) * (y1 - y0)));
                mean[c] += cell[c];
            }
        }
    for (int i = 0; i < SIZE * SIZE; i++)
        for (int c = 0; c < 3; c++) out[i][c] *= (float)(1 / fmax(mean[c] / (SIZE * SIZE), .002));
}

/* A level of n x n values, four a texel; each value is three bytes (square roots of a quarter) as one whole number. */
static void pack_level(const float (*values)[3], int n, float (*texels)[4]) {
    for (int i = 0; i < n * n; i++) {
        float number = 0;
        for (int c = 0; c < 3; c++) number = number * 256 + rintf(255 * sqrtf(fminf(fmaxf(values[i][c] / 4, 0), 1)));
        texels[i / 4][i % 4] = number;
    }
}

static void halve(float (*values)[3], int n) {
    for (int y = 0; y < n / 2; y++)
        for (int x = 0; x < n / 2; x++)
            for (int c = 0; c < 3; c++) {
                const float *a = values[2 * y * n + 2 * x], *b = values[(2 * y + 1) * n + 2 * x];
                float mean = (a[c] + a[c + 3] + b[c] + b[c + 3]) / 4;
                values[y * (n / 2) + x][c] = mean; /* never behind what is still to be read */
            }
}

static bool read_picture(kn_render_materials *pack, size_t index, const char *path, kn_error *error) {
    kn_image image;
    if (!kn_image_read(&image, path, 3, error)) return false;
    float(*values)[3] = kn_alloc((size_t)SIZE * SIZE, sizeof *values, error);
    bool good = values != NULL;
    if (good && (image.width < SIZE || image.height < SIZE))
        good = kn_fail(error, KN_ERROR_INPUT, "%s: %dx%d pixels, expected at least %dx%d", path, image.width,
                       image.height, SIZE, SIZE);
    if (good) {
        float(*texels)[4] = pack->texels + index * KN_RENDER_PICTURE_TEXELS;
        reduce(&image, values);
        for (int n = SIZE; n >= 2; texels += n * n / 4, n /= 2) {
            pack_level((const float(*)[3])values, n, texels);
            halve(values, n);
        }
    }
    kn_free(values);
    kn_image_finish(&image);
    return good;
}

/* --- the list --------------------------------------------------------------------------------- */

static bool read_entry(kn_render_materials *pack, size_t index, const char *list, json_t *entry, kn_error *error) {
    const char *file = json_string_value(json_object_get(entry, "file"));
    const char *texture = json_string_value(json_object_get(entry, "texture"));
    double metres = json_number_value(json_object_get(entry, "metres"));
    kn_render_picture *picture = &pack->pictures[index];
    if (!file || !texture || !(metres >= .05 && metres <= 100))
        return kn_fail(error, KN_ERROR_INPUT,
                       "%s: picture %zu: expected \"file\", \"texture\" and \"metres\" from 0.05 to 100", list, index);
    picture->metres = (float)metres;
    for (picture->texture = 0; picture->texture < KN_TEXTURE_COUNT; picture->texture++)
        if (strcmp(texture, names[picture->texture]) == 0) break;
    if (picture->texture == KN_TEXTURE_COUNT)
        return kn_fail(error, KN_ERROR_INPUT, "%s: picture %zu: unknown texture \"%.40s\"", list, index, texture);
    char *path = kn_path_beside(list, file, error);
    bool good = path && read_picture(pack, index, path, error);
    kn_free(path);
    return good;
}

static bool read_list(kn_render_materials *pack, const char *list, json_t *root, kn_error *error) {
    json_t *pictures = json_object_get(root, "pictures");
    size_t count = json_array_size(pictures);
    if (count < 1 || count > MOST_PICTURES)
        return kn_fail(error, KN_ERROR_INPUT, "%s: expected \"pictures\", a list of 1 to %d", list, MOST_PICTURES);
    if (!(pack->pictures = kn_alloc(count, sizeof *pack->pictures, error)) ||
        !(pack->texels = kn_alloc(count * KN_RENDER_PICTURE_TEXELS, sizeof *pack->texels, error)))
        return false;
    for (; pack->count < count; pack->count++)
        if (!read_entry(pack, pack->count, list, json_array_get(pictures, pack->count), error)) return false;
    return true;
}

bool kn_render_materials_read(kn_render_materials *pack, const char *folder, kn_error *error) {
    uint8_t *data = NULL;
    size_t size;
    json_error_t where;
    *pack = (kn_render_materials){0};
    char *list = kn_path_join(folder, "materials.json", error);
    bool good = list && kn_file_read(list, (size_t)1 << 20, &data, &size, error);
    json_t *root = good ? json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, &where) : NULL;
    if (good && !root) good = kn_fail(error, KN_ERROR_INPUT, "%s:%d: not valid JSON: %s", list, where.line, where.text);
    good = good && read_list(pack, list, root, error);
    json_decref(root);
    kn_free(data);
    kn_free(list);
    if (!good) kn_render_materials_finish(pack);
    return good;
}

int kn_render_materials_choose(const kn_render_materials *pack, const kn_material *material, uint64_t seed) {
    size_t fitting = 0;
    for (size_t i = 0; i < pack->count; i++) fitting += pack->pictures[i].texture == material->texture;
    if (fitting == 0) return 0;
    /* A road is one surface in all its shades; walls differ. */
    uint64_t key = kn_hash64(seed + (uint64_t)material->texture * 0x9e3779b97f4a7c15u);
    for (int c = 0; c < 3 && material->texture != KN_TEXTURE_ASPHALT; c++)
        key = kn_hash64(key ^ (uint64_t)(material->color[c] * 4096));
    size_t wanted = (size_t)(key % fitting);
    for (size_t i = 0;; i++)
        if (pack->pictures[i].texture == material->texture && wanted-- == 0) return (int)i + 1;
}

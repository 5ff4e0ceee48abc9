/* The written files: their bytes read back, and outside programs where they are installed. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "mesh_shapes.h"

static char folder[64];

/* A car's hull-like blob: the closed surface of an ellipsoid field, 4.52 m long, with charts and a texture. */
static kn_surface *make_surface(void) {
    kn_surface *s = kn_alloc(1, sizeof *s, NULL);
    kn_grid grid = {.size = {30, 20, 16}, .origin = {-0.5, -0.35, -0.3}, .step = 0.035};
    float *field = kn_alloc(kn_grid_count(&grid), 4, NULL);
    for (size_t i = 0; i < kn_grid_count(&grid); i++) {
        double x = (double)(i % 30) * 0.035 - 0.5, y = (double)(i / 30 % 20) * 0.035 - 0.35,
               z = (double)(i / 600) * 0.035 - 0.3;
        field[i] = (float)(sqrt(x * x / 0.16 + y * y / 0.05 + z * z / 0.03) - 1) * 0.1f;
    }
    kn_tris mesh;
    kn_eyes eyes = {.from_input = {{1, 0, 0, 0}, {0, 1, 0, 0}, {0, 0, 1, 0}}};
    kn_surface_params params = KN_SURFACE_PARAMS_DEFAULT;
    params.length = 4.52;
    cr_assert(kn_tets_extract(&mesh, &grid, field, NULL));
    cr_assert(kn_place(s, &mesh, kn_field_normals(&mesh, &grid, field, NULL), &eyes, &params, NULL));
    cr_assert(kn_atlas(s, 128, NULL) && kn_image_init(&s->texture, 128, 128, 3, NULL));
    cr_assert(kn_bake_normals(s, &mesh, &grid, field, 128, NULL));
    s->colors = kn_alloc(s->vertex_count, 3, NULL), s->confidence = kn_alloc(s->vertex_count, 4, NULL);
    for (size_t i = 0; i < 128 * 128 * 3; i++) s->texture.data[i] = (uint8_t)(i * 7);
    for (size_t i = 0; i < 3 * s->vertex_count; i++) s->colors[i] = (uint8_t)(i * 5);
    kn_free(field);
    kn_tris_finish(&mesh);
    return s;
}

static void remove_folder(void) {
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    if (folder[0]) cr_assert_eq(system(command), 0);
}

/* Writes it as folder/object.<extension> and reads the bytes. */
static uint8_t *written(const kn_surface *s, const char *extension, size_t *size, char path[128]) {
    kn_error error = {0};
    uint8_t *data;
    if (!folder[0]) snprintf(folder, sizeof folder, "/tmp/kinora-mesh-%d", getpid());
    cr_assert(kn_make_directories(folder, &error));
    snprintf(path, 128, "%s/object.%s", folder, extension);
    cr_assert(kn_surface_write(s, path, &error), "%s", error.message);
    cr_assert(kn_file_read(path, 1 << 28, &data, size, &error));
    return data;
}

static bool installed(const char *program) {
    char command[128];
    snprintf(command, sizeof command, "command -v %s >/dev/null 2>&1", program);
    return system(command) == 0;
}

/* What a program prints. */
static void output_of(const char *command, char *text, size_t size) {
    FILE *pipe = popen(command, "r");
    size_t n = pipe ? fread(text, 1, size - 1, pipe) : 0;
    text[n] = 0;
    if (pipe) pclose(pipe);
}

static uint32_t word(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

Test(mesh_files, stl_is_closed_and_to_scale, .fini = remove_folder) {
    kn_surface *s = make_surface();
    size_t size;
    char path[128], command[256], text[8192];
    uint8_t *d = written(s, "stl", &size, path);
    cr_assert_eq(word(d + 80), s->triangle_count);
    cr_assert_eq(size, 84 + 50 * s->triangle_count);
    float low = 1e9f, high = -1e9f, bottom = 1e9f;
    for (size_t t = 0; t < s->triangle_count; t++)
        for (size_t k = 1; k < 4; k++) {
            float p[3];
            memcpy(p, d + 84 + 50 * t + 12 * k, 12);
            low = fminf(low, p[0]), high = fmaxf(high, p[0]), bottom = fminf(bottom, p[2]);
        }
    cr_assert_float_eq(high - low, 4520, 4.52);
    cr_assert_float_eq(bottom, 0, 1e-3);
    if (installed("admesh")) {
        snprintf(command, sizeof command, "admesh %s 2>/dev/null", path);
        output_of(command, text, sizeof text);
        const char *line = strstr(text, "Total disconnected facets");
        cr_assert(line && strtol(line + strcspn(line, ":") + 1, NULL, 10) == 0, "%s", text);
        static const char *const counts[] = {"Degenerate facets", "Edges fixed",     "Facets removed",
                                             "Facets added",      "Facets reversed", "Backwards edges"};
        for (size_t i = 0; i < KN_COUNT(counts); i++) {
            line = strstr(text, counts[i]);
            cr_assert(line && strtol(line + strcspn(line, ":") + 1, NULL, 10) == 0, "%s: %s", counts[i], text);
        }
    }
    unlink(path);
    kn_free(d);
    kn_surface_destroy(&s);
}

Test(mesh_files, glb_is_what_the_specification_says, .fini = remove_folder) {
    kn_surface *s = make_surface();
    size_t size;
    char path[128];
    uint8_t *d = written(s, "glb", &size, path);
    cr_assert_eq(word(d), 0x46546c67);
    cr_assert_eq(word(d + 4), 2);
    cr_assert_eq(word(d + 8), size);
    uint32_t json_size = word(d + 12);
    cr_assert_eq(word(d + 16), 0x4e4f534a);
    cr_assert(json_size % 4 == 0 && word(d + 20 + json_size + 4) == 0x004e4942);
    json_t *root = json_loadb((char *)d + 20, json_size, 0, NULL);
    cr_assert_not_null(root);
    json_t *position = json_array_get(json_object_get(root, "accessors"), 0),
           *views = json_object_get(root, "bufferViews");
    size_t count = (size_t)json_integer_value(json_object_get(position, "count")), end = 0;
    const uint8_t *bin = d + 28 + json_size;
    for (size_t i = 0; i < json_array_size(views); i++) {
        size_t offset = (size_t)json_integer_value(json_object_get(json_array_get(views, i), "byteOffset"));
        cr_assert(offset % 4 == 0 && offset == (end + 3) / 4 * 4);
        end = offset + (size_t)json_integer_value(json_object_get(json_array_get(views, i), "byteLength"));
    }
    cr_assert_leq(end, size);
    for (int axis = 0; axis < 3; axis++) {
        float low = 1e9f, high = -1e9f;
        for (size_t v = 0; v < count; v++) {
            float p;
            memcpy(&p, bin + 12 * v + 4 * (size_t)axis, 4);
            low = fminf(low, p), high = fmaxf(high, p);
        }
        cr_assert_float_eq(json_number_value(json_array_get(json_object_get(position, "min"), (size_t)axis)), low,
                           1e-6);
        cr_assert_float_eq(json_number_value(json_array_get(json_object_get(position, "max"), (size_t)axis)), high,
                           1e-6);
        if (axis == 1) cr_assert_float_eq(low, 0, 1e-6);             /* up: it stands on y = 0 */
        if (axis == 2) cr_assert_float_eq(high - low, 4.52, 0.0045); /* forward */
    }
    json_decref(root);
    unlink(path);
    kn_free(d);
    kn_surface_destroy(&s);
}

Test(mesh_files, outside_programs_open_every_format, .fini = remove_folder) {
    if (!installed("assimp")) cr_skip_test("assimp is not installed");
    static const char *const formats[] = {"glb", "obj", "ply", "stl", "3mf"};
    kn_surface *s = make_surface();
    for (size_t i = 0; i < KN_COUNT(formats); i++) {
        size_t size;
        char path[128], command[256], text[16384], faces[64];
        kn_free(written(s, formats[i], &size, path));
        snprintf(command, sizeof command, "assimp info %s 2>&1", path);
        output_of(command, text, sizeof text);
        snprintf(faces, sizeof faces, "%zu", s->triangle_count);
        const char *line = strstr(text, "Faces:");
        cr_assert(line && strstr(line, faces), "%s: %s", formats[i], text);
        unlink(path);
    }
    kn_surface_destroy(&s);
}

Test(mesh_files, usdz_files_start_at_multiples_of_64_and_are_stored, .fini = remove_folder) {
    kn_surface *s = make_surface();
    size_t size, files = 0;
    char path[128];
    uint8_t *d = written(s, "usdz", &size, path);
    for (size_t at = 0; at + 30 < size && word(d + at) == 0x04034b50; files++) {
        size_t name = (size_t)d[at + 26] | (size_t)d[at + 27] << 8,
               extra = (size_t)d[at + 28] | (size_t)d[at + 29] << 8, begin = at + 30 + name + extra;
        cr_assert_eq(begin % 64, 0);
        cr_assert_eq(d[at + 8], 0, "stored");
        if (files == 0) cr_assert_arr_eq(d + begin, "#usda 1.0", 9);
        at = begin + word(d + at + 18);
    }
    cr_assert_eq(files, 2);
    unlink(path);
    kn_free(d);
    kn_surface_destroy(&s);
}

Test(mesh_files, nothing_appears_under_a_bad_name_or_in_a_missing_folder, .fini = remove_folder) {
    kn_surface *s = make_surface();
    kn_error error = {0};
    cr_assert(!kn_surface_write(s, "/tmp/kinora.fbx", &error));
    cr_assert_eq(error.kind, KN_ERROR_INPUT);
    error = (kn_error){0};
    cr_assert(!kn_surface_write(s, "/nowhere/at/all.glb", &error));
    cr_assert(error.kind != KN_ERROR_NONE && strstr(error.message, "/nowhere"));
    kn_surface_destroy(&s);
}

Test(mesh_files, pictures_survive_png, .fini = remove_folder) {
    kn_image image, again;
    uint8_t *data;
    size_t size;
    char path[64];
    kn_error error = {0};
    snprintf(path, sizeof path, "/tmp/kinora-png-%d.png", getpid());
    for (int channels = 1; channels <= 4; channels += channels == 1 ? 2 : 1) {
        cr_assert(kn_image_init(&image, 37, 19, channels, &error));
        for (int i = 0; i < 37 * 19 * channels; i++) image.data[i] = (uint8_t)(i * i / 7);
        cr_assert(kn_png_encode(&image, &data, &size, &error) && kn_file_write(path, data, size, &error) &&
                      kn_image_read(&again, path, 0, &error),
                  "%s", error.message);
        cr_assert_eq(again.channels, channels);
        cr_assert_arr_eq(again.data, image.data, (size_t)(37 * 19 * channels));
        cr_assert_arr_eq(data + size - 8, "IEND\xae\x42\x60\x82", 8); /* the checksum that every reader knows */
        kn_free(data), kn_image_finish(&image), kn_image_finish(&again);
    }
    unlink(path);
}

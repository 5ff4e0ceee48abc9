/* Renders samples/mesh/orbit.mp4 and transforms.json: a small painted building before a grey background, 36 pictures on
 * three rings. Built with the tests: build/tests/unit/make_orbit FOLDER. */
#include <stdio.h>
#include <string.h>

#include "kinora/encoders.h"
#include "tests/unit/mesh_shapes.h"

enum { COUNT = 36, SIZE = 256 };

int main(int argc, char **argv) {
    static kn_view_camera cameras[COUNT];
    char path[1024];
    kn_error error = {0};
    kn_tris mesh;
    kn_video_writer *writer = NULL;
    static uint8_t rgb[SIZE * SIZE * 3];
    if (argc != 2) return fputs("usage: make_orbit FOLDER\n", stderr), 2;
    shape_make(&mesh, SHAPE_BUILDING);
    orbit_cameras(cameras, COUNT, (const double[]){-10, 15, 45}, 3, SIZE);
    snprintf(path, sizeof path, "%s/orbit.mp4", argv[1]);
    bool ok = kn_video_writer_create(
        &writer, path,
        &(kn_video_params){.width = SIZE, .height = SIZE, .rate = {12, 1}, .codec = KN_CODEC_H264, .quality = 16},
        &error);
    for (int i = 0; ok && i < COUNT; i++) {
        kn_image picture;
        shape_render(&picture, &mesh, SHAPE_BUILDING, PAINT_TEXTURED, &cameras[i], 205);
        for (size_t p = 0; p < SIZE * SIZE; p++) memcpy(rgb + 3 * p, picture.data + 4 * p, 3);
        ok = kn_video_writer_add(writer, rgb, &error);
        kn_image_finish(&picture);
    }
    ok = ok && kn_video_writer_commit(writer, &error);
    kn_video_writer_destroy(&writer);
    snprintf(path, sizeof path, "%s/transforms.json", argv[1]);
    ok = ok && kn_view_list_write(&(kn_view_list){cameras, COUNT}, path, &error);
    kn_tris_finish(&mesh);
    if (!ok) fprintf(stderr, "make_orbit: %s\n", error.message);
    return ok ? 0 : 2;
}
